//! Opening an embedded database: a SQLite file of 0600 in the data directory, write-ahead logged, whose schema is brought
//! up to date by itself.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{error, fmt, io};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A loss of power: every commit waits for the disk.
    #[default]
    Power,
    /// `kill -9`, but not a loss of power: a commit waits for the operating system only.
    Process,
}

/// The tables of a database: `STEPS[n]` brings version `n` to `n + 1`; version 0 is an empty file. A step never loses
/// what is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// The steps, in order.
    pub(crate) steps: &'static [&'static str],
}

/// How long a write waits for another program (the sqlite3 shell, a backup) that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// Opens a database, making it if it is not there.
pub(crate) fn open(path: &Path, schema: Schema, durability: Durability) -> Result<Connection, OpenError> {
    // SQLite would make it with the permissions of the umask; its -wal and -shm files take after it.
    let mut options = OpenOptions::new();
    let made = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    made.map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut connection = reopen(path, durability).map_err(|source| OpenError::of(path, source))?;
    migrate(&mut connection, path, schema)?;
    Ok(connection)
}

/// Opens a database that is there and up to date.
pub(crate) fn reopen(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let synchronous = match durability {
        Durability::Power => "FULL",
        Durability::Process => "NORMAL",
    };
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON;
         PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 33554432;"
    ))?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path, schema: Schema) -> Result<(), OpenError> {
    let failed = |source| OpenError::of(path, source);
    let known = schema.steps.len();
    // The lock is taken first, so that two processes don't take the same step.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let found: i64 = transaction
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(failed)?;
    let steps = usize::try_from(found)
        .ok()
        .and_then(|found| schema.steps.get(found..));
    let Some(steps) = steps else {
        return Err(OpenError::TooNew {
            path: path.to_owned(),
            found,
            known,
        });
    };
    for step in steps {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "user_version", known as i64)
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Why a store can't write at the moment. It tries again with the next commit, so what is mended needs no restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// The disk, or the room that the store was given, is full.
    Full,
    /// The file or its file system is read-only.
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
            Self::ReadOnly => "the file system is read-only; mount it for writing and it goes on by itself",
            Self::Busy => "another program holds the database locked; end it and it goes on by itself",
            Self::Damaged => {
                "the database is damaged; stop the server and put a copy of the file in its place"
            }
            Self::Io => "the disk reports an error; see the kernel's log",
        })
    }
}

impl StoreFailure {
    /// Sorts what SQLite says by what mends it.
    pub(crate) fn of(error: &rusqlite::Error) -> Self {
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
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            _ => Self::Sqlite { path, source },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => {
                write!(
                    f,
                    "{}: {source}; mend that, or choose another directory with --data-dir",
                    path.display()
                )
            }
            Self::Damaged { path, source } => {
                let path = path.display();
                write!(
                    f,
                    "{path} is damaged or no database ({source}): put a copy from a backup in its place, "
                )?;
                write!(
                    f,
                    "or save what is left with `sqlite3 {path} .recover`, or move it away to begin with an empty one"
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
            Self::Memory { path, max_bytes } => {
                let path = path.display();
                write!(
                    f,
                    "what {path} holds needs more than the {max_bytes} bytes of memory allowed: allow more"
                )
            }
            Self::Sqlite { path, source } => write!(f, "{}: {source}", path.display()),
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
