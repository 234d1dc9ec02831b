//! Where a configuration comes from: a file, with the command line over it. It can be read again, and what turns out wrong
//! with a value later is told with its place.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Complaint, Diagnostic, Place, Report};
use super::{Config, Flags, check};

/// A file, if there is one, and what the command line says over it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file.
    pub file: Option<PathBuf>,
    /// The command line.
    pub flags: Flags,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// What is written is wrong.
    Wrong(Vec<Diagnostic>),
}

/// A configuration and where it is written.
#[derive(Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    source: Source,
    text: String,
}

/// Without the text, in which somebody may have written a secret.
impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { config, source, .. } = self;
        let mut shown = f.debug_struct("Loaded");
        shown.field("config", config).field("source", source);
        shown.finish_non_exhaustive()
    }
}

/// A value of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A key at the top.
    Top(&'static str),
    /// A key of a section.
    Of(&'static str, &'static str),
    /// A listener, by its place.
    Listener(usize),
}

impl Key {
    /// What the command line calls it, if that says it.
    fn flag(self, flags: &Flags) -> Option<&'static str> {
        match self {
            Self::Top("data_dir") if flags.data_dir.is_some() => Some("--data-dir"),
            Self::Of("admin", "listen") if flags.admin.is_some() => Some("--admin"),
            Self::Listener(_) if !flags.listen.is_empty() => Some("--listen"),
            _ => None,
        }
    }

    /// Where its value is; the beginning of the file when it is not written.
    fn span(self, root: &DeTable<'_>) -> Range<usize> {
        let found = match self {
            Self::Top(key) => root.get(key),
            Self::Of(section, key) => root.get(section).and_then(|section| section.get_ref().get(key)),
            Self::Listener(place) => root
                .get("listen")
                .and_then(|listen| listen.get_ref().get(place))
                .and_then(|listener: &Spanned<DeValue<'_>>| listener.get_ref().get("uri")),
        };
        found.map_or(0..0, Spanned::span)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Top(key) => f.write_str(key),
            Self::Of(section, key) => write!(f, "{section}.{key}"),
            Self::Listener(_) => f.write_str("listen.uri"),
        }
    }
}

impl Source {
    /// Reads the configuration as it is written now, and checks it.
    ///
    /// # Errors
    /// A file that cannot be read, or everything that is wrong.
    pub fn load(&self) -> Result<Loaded, LoadError> {
        let (mut config, text) = match &self.file {
            Some(path) => {
                let bytes =
                    std::fs::read(path).map_err(|error| LoadError::Unreadable(path.clone(), error))?;
                let config = check(&bytes, &path.display().to_string()).map_err(LoadError::Wrong)?;
                (config, String::from_utf8_lossy(&bytes).into_owned())
            }
            None => (Config::default(), String::new()),
        };
        config.overlay(&self.flags).map_err(LoadError::Wrong)?;
        let source = self.clone();
        Ok(Loaded { config, source, text })
    }
}

/// The data directory that a file names which may be wrong in other places. `None` when that cannot be told: what is no TOML
/// may have been meant to name one.
pub fn data_dir_in(text: &[u8]) -> Option<PathBuf> {
    let text = String::from_utf8_lossy(text);
    let (table, errors) = DeTable::parse_recoverable(&text);
    match table.get_ref().get("data_dir").map(Spanned::get_ref) {
        Some(DeValue::String(dir)) if !dir.is_empty() => Some(PathBuf::from(dir.as_ref())),
        None if errors.is_empty() => Some(Config::default().data_dir),
        _ => None,
    }
}

impl Loaded {
    /// What is wrong with a value that reads well, where it is written.
    pub fn diagnostic(&self, key: Key, what: impl Into<String>, mend: impl Into<String>) -> Diagnostic {
        let complaint = Complaint::new(what, mend);
        if let Some(flag) = key.flag(&self.source.flags) {
            return complaint.at_flag(flag);
        }
        let file = self.source.file.as_ref();
        let file = file.map_or_else(|| "defaults".to_owned(), |path| path.display().to_string());
        let (table, _) = DeTable::parse_recoverable(&self.text);
        let (line, column) = Report::new(&file, &self.text).locate(key.span(table.get_ref()).start);
        let Complaint { what, mend } = complaint;
        let place = Place::File { file, line, column };
        Diagnostic { place, what, mend }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_out_wrong_is_told_where_it_is_written() {
        let text = "shards = 2\n[[listen]]\nuri = \"udp:127.0.0.1:1\"\n[[listen]]\n uri = \"udp:127.0.0.1:2\"\n\
                    [location]\nstore = \"memory\"\n";
        let mut loaded = Loaded {
            config: check(text, "f").expect("it is in order"),
            source: Source {
                file: Some(PathBuf::from("f")),
                flags: Flags::default(),
            },
            text: text.to_owned(),
        };
        let place = |loaded: &Loaded, key| loaded.diagnostic(key, "w", "m").place.to_string();
        assert_eq!(place(&loaded, Key::Top("shards")), "f:1:10");
        assert_eq!(place(&loaded, Key::Listener(1)), "f:5:8");
        assert_eq!(place(&loaded, Key::Of("location", "store")), "f:7:9");
        assert_eq!(place(&loaded, Key::Of("location", "durability")), "f:1:1");
        loaded.source.flags.listen = vec!["udp:127.0.0.1:3".to_owned()];
        assert_eq!(place(&loaded, Key::Listener(0)), "--listen");
    }

    #[test]
    fn a_data_directory_is_found_in_a_file_that_is_wrong_elsewhere() {
        let default = Config::default().data_dir;
        for (text, dir) in [
            ("data_dir = \"d\"\nshards = \"two\"\n", Some("d".into())),
            ("data_dir = \"d\"\nshards = \n", Some("d".into())),
            ("colour = 1\ndata_dir = 'd'\n[[listen\n", Some("d".into())),
            ("shards = 0\n[location]\ndata_dir = \"d\"\n", Some(default)),
            ("data_dir = \"d\nshards = 2\n", Some("d".into())),
            ("data_dir = 7\n", None),
            ("data_dir = \"\"\n", None),
            ("shards = \n", None),
        ] {
            assert_eq!(data_dir_in(text.as_bytes()), dir, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_not_shown_for_debugging() {
        let text = "shards = 2 # s3cret\n";
        let loaded = Loaded {
            config: check(text, "f").expect("it is in order"),
            source: Source::default(),
            text: text.to_owned(),
        };
        let shown = format!("{loaded:?}");
        assert!(shown.contains("shards") && !shown.contains("s3cret"), "{shown}");
    }
}
