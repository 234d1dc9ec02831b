//! Logs to standard error.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use strowger_server::config::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::failed::Failed;

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

/// Begins to log. `STROWGER_LOG` (such as `info,strowger_server=debug`) goes before the configured level;
/// one with a word that names no level is refused, for it would turn off the log.
pub(crate) fn start(level: Level) -> Result<Logging, Failed> {
    let of_level = |level: Level| EnvFilter::new(level.as_str());
    let asked = std::env::var("STROWGER_LOG").ok();
    let asked = asked.as_deref().map(filter).transpose()?;
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
    Ok(Logging {
        set: (!is_asked).then(|| Arc::new(set) as Arc<dyn Fn(Level) + Send + Sync>),
    })
}

/// The filter that the environment asks for.
fn filter(directives: &str) -> Result<EnvFilter, Failed> {
    let refused = |what: String| Failed::Usage {
        what: format!("STROWGER_LOG: {what}"),
        mend: "use error, warn, info, debug, trace, or a filter such as info,strowger_server=debug"
            .to_owned(),
    };
    // Directives that name spans may have commas of their own.
    if !directives.contains('[') {
        let mut words = directives
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty());
        if let Some(word) = words.find_map(no_level) {
            return Err(refused(format!("`{word}` is no level")));
        }
    }
    EnvFilter::try_new(directives).map_err(|error| refused(error.to_string()))
}

/// What stands in a directive where a level has to be and is none. A module of ours may stand alone.
fn no_level(directive: &str) -> Option<&str> {
    let level = match directive.rsplit_once('=') {
        Some((_, level)) => level,
        None if directive.starts_with("strowger") => return None,
        None => directive,
    };
    level.parse::<LevelFilter>().is_err().then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_and_filters_are_taken() {
        for (directives, word) in [
            ("debgu", "debgu"),
            ("info,strowger_server=debgu", "debgu"),
            ("warn,hyper", "hyper"),
        ] {
            let refused = filter(directives).map(drop).expect_err(directives);
            assert_eq!(refused.what(), format!("STROWGER_LOG: `{word}` is no level"));
        }
        for directives in [
            "",
            "WARN",
            "off",
            "strowger=debug,info",
            "info, strowger_server",
            "[call]=info",
        ] {
            assert!(filter(directives).is_ok(), "{directives}");
        }
    }
}
