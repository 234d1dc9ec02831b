//! The configuration from its file and the command line.

use std::path::Path;

use strowger_server::config::{Config, Flags, LoadError, Source};

use crate::failed::Failed;

/// Reads the file, if there is one, and lays the flags over it.
pub(crate) fn load(file: Option<&Path>, flags: &Flags) -> Result<Config, Failed> {
    let source = Source {
        file: file.map(Path::to_path_buf),
        flags: flags.clone(),
    };
    match source.load() {
        Ok(loaded) => Ok(loaded.config),
        Err(LoadError::Wrong(wrong)) => Err(Failed::Config(wrong)),
        Err(LoadError::Unreadable(path, error)) => Err(unreadable(&path, &error)),
    }
}

/// Reads a configuration file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failed {
    let mend = "name an existing file with --config; `strowger check --print-default` writes one";
    Failed::new(format!("cannot read {}: {error}", path.display()), mend)
}
