//! Logs to standard error.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use strowger_server::config::Level;
use tracing_subscriber::EnvFilter;

/// The log, whose level can be changed.
#[derive(Clone)]
pub(crate) struct Logging {
    /// `None` while the environment says the level.
    set: Option<Arc<dyn Fn(Level) + Send + Sync>>,
}

impl Logging {
    /// Writes lines of this level and more severe ones from now on, unless the environment says otherwise.
    pub(crate) fn set_level(&self, level: Level) {
        if let Some(set) = &self.set {
            set(level);
        }
    }
}

/// Begins to log. `STROWGER_LOG` (such as `info,strowger_server=debug`) goes before the configured level.
pub(crate) fn start(level: Level) -> Logging {
    let of_level = |level: Level| EnvFilter::new(level.as_str());
    let asked = std::env::var("STROWGER_LOG").ok().and_then(|directives| {
        let asked = EnvFilter::try_new(&directives);
        asked
            .inspect_err(|error| {
                eprintln!("strowger: STROWGER_LOG is not understood ({error}); the configured level applies");
            })
            .ok()
    });
    let is_asked = asked.is_some();
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(asked.unwrap_or_else(|| of_level(level)))
        .with_writer(stderr)
        .with_ansi(colour)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    // Only a second call in one process could fail, and there is none.
    let _ = builder.try_init();
    let set = move |level| {
        // It fails when the log is gone, and that lives as long as the process.
        let _ = handle.reload(of_level(level));
    };
    Logging {
        set: (!is_asked).then(|| Arc::new(set) as Arc<dyn Fn(Level) + Send + Sync>),
    }
}
