//! Logs to standard error.

use std::io::{IsTerminal, stderr};

use strowger_server::config::Level;
use tracing_subscriber::EnvFilter;

/// Begins to log. `STROWGER_LOG` (such as `info,strowger_server=debug`) goes before the configured level.
pub(crate) fn start(level: Level) {
    let configured = || EnvFilter::new(level.as_str());
    let filter = match std::env::var("STROWGER_LOG") {
        Ok(directives) => EnvFilter::try_new(&directives).unwrap_or_else(|error| {
            eprintln!("strowger: STROWGER_LOG is not understood ({error}); the configured level applies");
            configured()
        }),
        Err(_) => configured(),
    };
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Only a second call in one process could fail, and there is none.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(colour)
        .try_init();
}
