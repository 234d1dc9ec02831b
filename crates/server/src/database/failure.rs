//! What goes wrong with a database, in words that say what to do about it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::{error, fmt};

use rusqlite::ErrorCode;

use super::probe;

/// Why a store can't write at the moment. It tries again with the next commit, so what is mended needs no restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// The disk, or the room that the store was given, is full.
    Full,
    /// The file or its file system may not be written.
    ReadOnly,
    /// Another program holds the file locked.
    Busy,
    /// The file is damaged.
    Damaged,
    /// The disk answered with an error.
    Io,
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk is full; make room and it goes on by itself",
            Self::ReadOnly => {
                "it may not be written; mount the file system for writing or give the permission, and it goes on by itself"
            }
            Self::Busy => "another program holds the database locked; end it and it goes on by itself",
            Self::Damaged => {
                "the database is damaged; stop the server and put a copy of the file in its place"
            }
            Self::Io => "the disk reports an error; see the kernel's log; once that is mended it goes on by itself",
        })
    }
}

impl StoreFailure {
    /// Sorts what SQLite says by what mends it.
    pub(crate) fn of(error: &rusqlite::Error) -> Self {
        // A row of ours has what its columns are for, unless its page was overwritten.
        if matches!(
            error,
            rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)
        ) {
            return Self::Damaged;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            _ => Self::Io,
        }
    }
}

/// Why a database can't be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The file can't be made, read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no database, or a damaged one.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file is a database, but without the tables that it had when it was made.
    Blank {
        /// The file.
        path: PathBuf,
    },
    /// The file is gone, but not the latest changes to it.
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the program made it.
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The latest that this program knows.
        known: usize,
    },
    /// Another program holds it locked.
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file or its file system may not be written.
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// What is stored needs more memory than is allowed.
    Memory {
        /// The file.
        path: PathBuf,
        /// The memory allowed, in bytes.
        max_bytes: usize,
    },
    /// Another error of SQLite.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// Sorts what SQLite says by what mends it.
    pub(crate) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let at = path.to_owned();
        match StoreFailure::of(&source) {
            StoreFailure::Damaged => Self::Damaged { path: at, source },
            StoreFailure::Busy => Self::Busy { path: at },
            StoreFailure::Full => Self::Full { path: at },
            StoreFailure::ReadOnly => Self::ReadOnly { path: at },
            StoreFailure::Io => match probe(path) {
                StoreFailure::Full => Self::Full { path: at },
                StoreFailure::ReadOnly => Self::ReadOnly { path: at },
                _ => Self::Sqlite { path: at, source },
            },
        }
    }

    /// The same as what keeps an open database from being written.
    pub(crate) fn failure(&self) -> StoreFailure {
        match self {
            Self::Damaged { .. } | Self::Blank { .. } | Self::Missing { .. } | Self::TooNew { .. } => {
                StoreFailure::Damaged
            }
            Self::Busy { .. } => StoreFailure::Busy,
            Self::Full { .. } => StoreFailure::Full,
            Self::ReadOnly { .. } => StoreFailure::ReadOnly,
            Self::Io { .. } | Self::Memory { .. } | Self::Sqlite { .. } => StoreFailure::Io,
        }
    }

    /// The same for what the system says.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path },
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly { path },
            _ => Self::Io { path, source },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => {
                write!(
                    f,
                    "cannot use {}: {source}; choose another directory with --data-dir",
                    path.display()
                )
            }
            Self::Damaged { path, source } => {
                let path = path.display();
                write!(
                    f,
                    "{path} is damaged or no database ({source}): move it and {path}-wal away, "
                )?;
                f.write_str("then put a copy from a backup in its place, ")?;
                write!(
                    f,
                    "or what `sqlite3 FILE .recover` still finds in it, or start with an empty one"
                )
            }
            Self::Blank { path } => {
                let path = path.display();
                write!(
                    f,
                    "{path} has lost its tables, or was never a database of ours: move it away, "
                )?;
                f.write_str("then put a copy from a backup in its place, or start with an empty one")
            }
            Self::Missing { path } => {
                let path = path.display();
                write!(
                    f,
                    "{path} is missing, but {path}-wal with its latest changes is there: "
                )?;
                write!(
                    f,
                    "put {path} back, or move {path}-wal away to start with an empty one"
                )
            }
            Self::TooNew { path, found, known } => {
                let path = path.display();
                write!(
                    f,
                    "{path} was written by a later strowger (schema {found}, this one knows {known}): "
                )?;
                f.write_str("start that version, or put a copy from before the update in its place")
            }
            Self::Busy { path } => {
                write!(
                    f,
                    "another program holds {} locked: end it (see `fuser {0}`) and start again",
                    path.display()
                )
            }
            Self::Full { path } => write!(
                f,
                "the disk of {} is full: make room and start again",
                path.display()
            ),
            Self::ReadOnly { path } => {
                let path = path.display();
                write!(
                    f,
                    "{path} may not be written: mount its file system for writing, give the permission "
                )?;
                f.write_str("(`ls -l`, `lsattr`), or choose another directory with --data-dir")
            }
            Self::Memory { path, max_bytes } => {
                let path = path.display();
                write!(
                    f,
                    "what {path} holds needs more than the {max_bytes} bytes of memory allowed: allow more"
                )
            }
            Self::Sqlite { path, source } => write!(
                f,
                "{} can't be opened: {source}; look at the kernel's log, or choose another directory with --data-dir",
                path.display()
            ),
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Damaged { source, .. } | Self::Sqlite { source, .. } => Some(source),
            _ => None,
        }
    }
}
