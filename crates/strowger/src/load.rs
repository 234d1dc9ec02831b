//! The configuration from its file and the command line.

use std::path::Path;

use strowger_server::config::{self, Config, Flags};

use crate::failed::Failed;

/// Reads the file, if there is one, and lays the flags over it.
pub(crate) fn load(file: Option<&Path>, flags: &Flags) -> Result<Config, Failed> {
    let mut config = match file {
        Some(path) => config::check(read(path)?, &path.display().to_string()).map_err(Failed::Config)?,
        None => Config::default(),
    };
    config.overlay(flags).map_err(Failed::Config)?;
    Ok(config)
}

/// Reads a configuration file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(path).map_err(|error| {
        let mend = "name an existing file with --config; `strowger check --print-default` writes one";
        Failed::new(format!("cannot read {}: {error}", path.display()), mend)
    })
}
