//! Opening an embedded database: a SQLite file of 0600 in the data directory, write-ahead logged, whose schema is brought
//! up to date by itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

mod failure;
mod wal;

pub use failure::{OpenError, StoreFailure};

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

/// Marks the complete replacement of a database.
const REPLACEMENT: &str = ".replacement";

/// How long a write waits for another program (the sqlite3 shell, a backup) that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// A database and, as long as it works, the connection to it.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    durability: Durability,
    /// `None` after an error that a new connection may mend.
    connection: Option<Connection>,
}

impl Database {
    /// Opens a database, making it if it is not there.
    pub(crate) fn open(path: &Path, schema: Schema, durability: Durability) -> Result<Self, OpenError> {
        let io = |source| OpenError::io(path, source);
        let replacement = beside(path, REPLACEMENT);
        if replacement.try_exists().map_err(io)? {
            put_in_place(&replacement, path).map_err(io)?;
        }
        let there = path.try_exists().map_err(io)?;
        let log = wal::check(&beside(path, "-wal")).map_err(io)?;
        if !there && log != wal::Found::Nothing {
            return Err(OpenError::Missing {
                path: path.to_owned(),
            });
        }
        if !there {
            make(path, schema)?;
        }
        check_length(path, log)?;
        if let wal::Found::Damaged { at } = log {
            keep_damaged_log(path, at)?;
        }
        let mut connection = connect(path, durability).map_err(|source| OpenError::of(path, source))?;
        migrate(&mut connection, path, schema)?;
        Ok(Self {
            path: path.to_owned(),
            durability,
            connection: Some(connection),
        })
    }

    /// A database by a connection that somebody else opened, to be looked at.
    pub(crate) fn over(path: &Path, connection: Connection) -> Self {
        Self {
            path: path.to_owned(),
            durability: Durability::default(),
            connection: Some(connection),
        }
    }

    /// The connection: the one that is open, or a new one.
    pub(crate) fn connection(&mut self) -> rusqlite::Result<&mut Connection> {
        let open = match self.connection.take() {
            Some(open) => open,
            None => connect(&self.path, self.durability)?,
        };
        Ok(self.connection.insert(open))
    }

    /// Whether the connection is open; the next one knows nothing of what was set on this one.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a database with other content in the place of this one: all of it, or nothing.
    pub(crate) fn replace(
        &mut self,
        schema: Schema,
        fill: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), OpenError> {
        self.connection = None;
        let io = |source| OpenError::io(&self.path, source);
        let fresh = write_new(&self.path, schema, fill)?;
        let replacement = beside(&self.path, REPLACEMENT);
        fs::rename(fresh, &replacement).map_err(io)?;
        sync_directory(&self.path).map_err(io)?;
        put_in_place(&replacement, &self.path).map_err(io)
    }

    /// To be told of every failure. The next use opens the file anew where that may help. Answers what has to be mended: where
    /// SQLite only knows that something is wrong with the disk, the file system is asked.
    pub(crate) fn failed(&mut self, failure: StoreFailure) -> StoreFailure {
        if matches!(failure, StoreFailure::Full | StoreFailure::Busy) {
            return failure;
        }
        self.connection = None;
        match failure {
            StoreFailure::Io => probe(&self.path),
            known => known,
        }
    }
}

/// Opens a database that another process may have open, to look at it only. Where nobody has, SQLite is told that nobody will
/// change it: else it would make the files that go with a write-ahead log, as whoever looks.
pub(crate) fn look_at(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if ["-wal", "-shm"]
        .iter()
        .any(|suffix| beside(path, suffix).exists())
    {
        return Connection::open_with_flags(path, flags);
    }
    let mut uri = Vec::from(b"file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => uri.push(byte),
        }
    }
    uri.extend_from_slice(b"?immutable=1");
    let uri = std::ffi::OsString::from_vec(uri);
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
}

/// The file of SQLite's that belongs to a database: `-wal`, `-shm`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a database that has its tables, or does not appear at all: so a file without them has been damaged.
fn make(path: &Path, schema: Schema) -> Result<(), OpenError> {
    let io = |source| OpenError::io(path, source);
    let fresh = write_new(path, schema, |_| Ok(()))?;
    fs::rename(fresh, path).map_err(io)?;
    sync_directory(path).map_err(io)
}

/// Writes a database with its tables and what `fill` puts into them, synced, beside the one that it is to become.
fn write_new(
    path: &Path,
    schema: Schema,
    fill: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> Result<PathBuf, OpenError> {
    let fresh = beside(path, ".new");
    let io = |source| OpenError::io(path, source);
    let failed = |source| OpenError::of(path, source);
    remove(&fresh).map_err(io)?;
    remove(&beside(&fresh, "-journal")).map_err(io)?;
    // SQLite would make it with the permissions of the umask; its -wal and -shm files take after it.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(&fresh).map_err(io)?;
    let write = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let mut connection = Connection::open_with_flags(&fresh, flags).map_err(failed)?;
        migrate_from(&mut connection, path, schema, 0)?;
        let transaction = connection.transaction().map_err(failed)?;
        fill(&transaction)
            .and_then(|()| transaction.commit())
            .map_err(failed)
    };
    let written = write();
    if written.is_err() {
        // What is left of it goes with the next attempt at the latest.
        let _ = fs::remove_file(&fresh);
    }
    written.map(|()| fresh)
}

/// Puts a replacement that is complete in the place of a database, whose latest changes are then void. When it is cut short,
/// the next start goes on with it.
fn put_in_place(replacement: &Path, path: &Path) -> io::Result<()> {
    for old in ["-wal", "-shm"] {
        remove(&beside(path, old))?;
    }
    // A log that is still there when the file is another one would be read into it.
    sync_directory(path)?;
    fs::rename(replacement, path)?;
    sync_directory(path)
}

fn sync_directory(of: &Path) -> io::Result<()> {
    of.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Removes a file that may be there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// SQLite would take what is missing of the last page for zeros (unless the write-ahead log has the whole page), and an empty
/// file for a new one, whose log is to be removed.
fn check_length(path: &Path, log: wal::Found) -> Result<(), OpenError> {
    let io = |source| OpenError::io(path, source);
    let mut file = File::open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    let len = about.len();
    if len == 0 || !about.is_file() {
        return Err(OpenError::Blank {
            path: path.to_owned(),
        });
    }
    let mut header = [0; 18];
    // A file that is too short for a header is told about when SQLite reads it.
    if file.read_exact(&mut header).is_err() {
        return Ok(());
    }
    let page = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        page => page.max(1),
    };
    if len.is_multiple_of(page) || log != wal::Found::Nothing {
        return Ok(());
    }
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    let what = "its end is cut off".to_owned();
    Err(OpenError::Damaged {
        path: path.to_owned(),
        source: rusqlite::Error::SqliteFailure(corrupt, Some(what)),
    })
}

/// How many damaged logs are kept beside a database.
const DAMAGED_LOGS: u32 = 5;

/// SQLite reads a write-ahead log up to its first damaged frame and then writes over the rest.
fn keep_damaged_log(path: &Path, at: u64) -> Result<(), OpenError> {
    let log = beside(path, "-wal");
    let kept = copy_damaged_log(path, &log)?;
    let log = log.display();
    let kept = match kept {
        Some(copy) => format!("a copy for a closer look is {}", copy.display()),
        None => format!(
            "no copy is kept beside the {DAMAGED_LOGS} that are there, {log}.damaged.1 and so on: move them away"
        ),
    };
    tracing::error!(
        "{log} is damaged at byte {at}: changes that were written behind that, the latest before the server ended, are \
         lost; look at the disk (see the kernel's log); {kept}"
    );
    Ok(())
}

/// Copies a damaged log to the first name that is free, if one is.
fn copy_damaged_log(path: &Path, log: &Path) -> Result<Option<PathBuf>, OpenError> {
    for number in 1..=DAMAGED_LOGS {
        let copy = beside(path, &format!("-wal.damaged.{number}"));
        let mut options = OpenOptions::new();
        let mut into = match options.write(true).create_new(true).mode(0o600).open(&copy) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            opened => opened.map_err(|source| OpenError::io(&copy, source))?,
        };
        let copied = File::open(log).and_then(|mut log| io::copy(&mut log, &mut into));
        if let Err(source) = copied.and_then(|_| into.sync_all()) {
            // A part of it would take a name from a whole one.
            let _ = fs::remove_file(&copy);
            return Err(OpenError::io(&copy, source));
        }
        return Ok(Some(copy));
    }
    Ok(None)
}

/// What keeps a file beside this one from being written and synced. The file itself is not touched: closing it would drop
/// the locks that this process has on it.
fn probe(path: &Path) -> StoreFailure {
    let file = beside(path, ".probe");
    let write = || {
        let mut options = OpenOptions::new();
        let mut probe = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)?;
        probe.write_all(&[0; 8192])?;
        probe.sync_all()
    };
    let written = write();
    let _ = fs::remove_file(&file);
    match written.map_err(|error| error.kind()) {
        Err(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => StoreFailure::Full,
        Err(ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => StoreFailure::ReadOnly,
        _ => StoreFailure::Io,
    }
}

/// Opens a database that is there.
fn connect(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
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

/// Brings the tables of a file that is there up to date.
fn migrate(connection: &mut Connection, path: &Path, schema: Schema) -> Result<(), OpenError> {
    migrate_from(connection, path, schema, 1)
}

/// The same for a file whose tables have this version at least.
fn migrate_from(
    connection: &mut Connection,
    path: &Path,
    schema: Schema,
    least: usize,
) -> Result<(), OpenError> {
    let failed = |source| OpenError::of(path, source);
    let known = schema.steps.len();
    // The lock is taken first, so that two processes don't take the same step.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let found: i64 = transaction
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(failed)?;
    let version = usize::try_from(found).unwrap_or(usize::MAX);
    if version < least {
        return Err(OpenError::Blank {
            path: path.to_owned(),
        });
    }
    let Some(steps) = schema.steps.get(version..) else {
        return Err(OpenError::TooNew {
            path: path.to_owned(),
            found,
            known,
        });
    };
    if steps.is_empty() {
        return Ok(());
    }
    for step in steps {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "user_version", known as i64)
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}
