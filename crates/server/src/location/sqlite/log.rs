//! The log table: every transaction appends its commits (address-of-record, record; an empty record is a removal) as one
//! [`row`](super::row), and the last commit of an address counts. Refreshes so write to the end of the file only, where an
//! UPDATE would dirty a page each, and an INSERT of their own would cost more than all that the server does for one.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior};

use super::row::{self, RowWriter};
use crate::database::{Database, Durability, OpenError, Schema, StoreFailure, look_at};
use crate::location::table::{Refused, Table};
use crate::location::{due, unexpired};

/// A row of the log's first version, which has one commit, as a packed one without a checksum.
macro_rules! packed {
    () => {
        "unhex('0000000000000000' || printf('%02X%02X%02X%02X',
             length(aor) & 255, length(aor) >> 8, length(record) & 255, length(record) >> 8) || hex(aor) || hex(record))"
    };
}

const SCHEMA: Schema = Schema {
    steps: &[
        "CREATE TABLE log (seq INTEGER PRIMARY KEY, aor BLOB NOT NULL, record BLOB NOT NULL)",
        concat!(
            "CREATE TABLE packed (seq INTEGER PRIMARY KEY, commits BLOB NOT NULL);
             INSERT INTO packed (seq, commits) SELECT seq, ",
            packed!(),
            " FROM log ORDER BY seq; DROP TABLE log; ALTER TABLE packed RENAME TO log"
        ),
    ],
};

/// All rows, of a log as it is and of one of the first version.
const ALL: &str = "SELECT commits FROM log ORDER BY seq";
const ALL_OF_FIRST: &str = concat!("SELECT ", packed!(), " FROM log ORDER BY seq");

const INSERT: &str = "INSERT INTO log (commits) VALUES (?)";

/// How much one step of a compaction copies, and how much it removes: some milliseconds.
const STEP_COMMITS: usize = 2048;
const STEP_BYTES: i64 = 256 * 1024;

/// A row that is as long is written, and another one begun.
pub(super) const ROW_BYTES: usize = 64 * 1024;

/// The log and how long it is.
#[derive(Debug)]
pub(super) struct Log {
    database: Database,
    doubtful: bool,
    commits: u64,
    max_pages: Option<u32>,
    row: RowWriter,
}

/// A compaction under way. First the records of the table are appended again, then the rows that were there at the beginning
/// are removed, oldest first: whatever happens, the last commit of an address stays the last. What is changed meanwhile has a
/// later row anyway.
#[derive(Debug)]
pub(super) struct Compaction {
    /// The last row at the beginning, and how many commits there were.
    until: i64,
    commits: u64,
    /// How far the table is copied; `None` when that is done.
    from: Option<u32>,
}

/// How far a step of a compaction went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More steps are needed.
    Going,
    /// Everything up to the row that was the last at the beginning is compacted.
    Finished,
}

impl Log {
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, OpenError> {
        Ok(Self {
            database: Database::open(path, SCHEMA, durability)?,
            doubtful: false,
            commits: 0,
            max_pages: None,
            row: RowWriter::new(),
        })
    }

    /// Brings the log into an empty table, leaving out what has expired at `now_secs`.
    pub(super) fn fold(&mut self, table: &Table, now_secs: u32, max_bytes: usize) -> Result<(), OpenError> {
        let path = self.database.path().to_owned();
        let connection = self
            .database
            .connection()
            .map_err(|source| OpenError::of(&path, source))?;
        self.commits = fold(connection, ALL, &path, table, now_secs, max_bytes)?;
        Ok(())
    }

    /// The commits in the log, also those that no longer count.
    pub(super) fn commits(&self) -> u64 {
        self.commits
    }

    /// Bounds the file, in pages of 4096 bytes; it is not made smaller.
    pub(super) fn limit(&mut self, pages: Option<u32>) -> rusqlite::Result<()> {
        if self.max_pages != pages {
            let most = pages.unwrap_or(u32::MAX - 1);
            self.database
                .connection()?
                .query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))?;
            self.max_pages = pages;
        }
        Ok(())
    }

    /// Appends commits as one row: all of them, or none. One statement is a transaction by itself.
    pub(super) fn append<'a>(
        &mut self,
        commits: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> rusqlite::Result<()> {
        self.row.clear();
        let mut count = 0;
        for (aor, record) in commits {
            self.row.push(aor, record);
            count += 1;
        }
        if let Some(row) = self.row.seal() {
            self.database
                .connection()?
                .prepare_cached(INSERT)?
                .execute([row])?;
        }
        self.commits += count;
        Ok(())
    }

    /// Begins a compaction of all that the log has by now.
    pub(super) fn compaction(&mut self) -> rusqlite::Result<Compaction> {
        let sql = "SELECT coalesce(max(seq), 0) FROM log";
        let until = self.database.connection()?.query_row(sql, [], |row| row.get(0))?;
        Ok(Compaction {
            until,
            commits: self.commits,
            from: Some(0),
        })
    }

    /// Does one step of a compaction; after an error the compaction has to begin anew. The caller sees to it that the table
    /// does not lag behind the log.
    pub(super) fn compact(
        &mut self,
        compaction: &mut Compaction,
        table: &Table,
    ) -> rusqlite::Result<Progress> {
        let transaction = self
            .database
            .connection()?
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(from) = compaction.from {
            let (copied, next) = copy(&transaction, &mut self.row, table, from)?;
            transaction.commit()?;
            self.commits += copied;
            compaction.from = next;
            return Ok(Progress::Going);
        }
        let last = remove(&transaction, compaction.until)?;
        transaction.commit()?;
        if last < compaction.until {
            return Ok(Progress::Going);
        }
        self.commits = self.commits.saturating_sub(compaction.commits);
        Ok(Progress::Finished)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        self.database.path()
    }

    /// To be told of every failure; answers what has to be mended.
    pub(super) fn failed(&mut self, error: &rusqlite::Error) -> StoreFailure {
        let failure = self.database.failed(StoreFailure::of(error));
        if !self.database.is_open() {
            self.max_pages = None;
            self.doubtful = true;
        }
        failure
    }

    /// Whether the file may have what was refused, or lack what was acknowledged, and has to be written anew: after a sync
    /// that failed, what was written counts as synced, and yet only memory has it.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Writes the file anew.
    pub(super) fn rewrite(&mut self, table: &Table) -> Result<(), OpenError> {
        let mut count = 0;
        self.database.replace(SCHEMA, |transaction| {
            let mut rows = Rows::new(transaction, &mut self.row)?;
            let mut written = Ok(());
            table.for_each(&mut |aor, record| {
                if written.is_ok() {
                    written = rows.push(aor, record);
                }
            });
            count = written.and_then(|()| rows.finish())?;
            Ok(())
        })?;
        self.commits = count;
        self.doubtful = false;
        Ok(())
    }
}

/// Brings the log of a directory that another process may hold into a table, without changing anything.
pub(super) fn peek(path: &Path, table: &Table, now_secs: u32, max_bytes: usize) -> Result<(), OpenError> {
    let connection = look_at(path).map_err(|source| OpenError::of(path, source))?;
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|source| OpenError::of(path, source))?;
    let sql = if version == 1 { ALL_OF_FIRST } else { ALL };
    fold(&connection, sql, path, table, now_secs, max_bytes).map(|_| ())
}

fn fold(
    connection: &Connection,
    sql: &str,
    path: &Path,
    table: &Table,
    now_secs: u32,
    max_bytes: usize,
) -> Result<u64, OpenError> {
    let failed = |source| OpenError::of(path, source);
    let mut reading = Reading::of(connection, path).map_err(failed)?;
    let mut select = connection.prepare(sql).map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    let (mut count, mut is_full, mut left) = (0, false, Vec::new());
    table.begin_at(now_secs);
    while let Some(row) = rows.next().map_err(failed)? {
        let commits = row
            .get_ref(0)
            .map_err(failed)?
            .as_blob()
            .map_err(|e| failed(e.into()))?;
        let visited = row::for_each(commits, |aor, record| {
            let lasting = if due(record) > now_secs {
                record
            } else {
                unexpired(record, now_secs, &mut left);
                &left
            };
            is_full |= table.set(aor, lasting) == Err(Refused::Full);
        });
        count += visited.map_err(|_| failed(damaged()))?;
        reading.row(table);
        if is_full {
            return Err(OpenError::Memory {
                path: path.to_owned(),
                max_bytes,
            });
        }
    }
    Ok(count)
}

/// How long reading lasts between two lines that tell how far it is.
const TELL: Duration = Duration::from_secs(1);

/// How far a log is read: it may take a while, and somebody may be watching.
struct Reading<'a> {
    path: &'a Path,
    rows: i64,
    read: i64,
    told: Instant,
}

impl<'a> Reading<'a> {
    fn of(connection: &Connection, path: &'a Path) -> rusqlite::Result<Self> {
        let sql = "SELECT coalesce((SELECT max(seq) FROM log) - (SELECT min(seq) FROM log) + 1, 0)";
        Ok(Self {
            path,
            rows: connection.query_row(sql, [], |row| row.get(0))?,
            read: 0,
            told: Instant::now(),
        })
    }

    /// One more row is in the table.
    fn row(&mut self, table: &Table) {
        self.read += 1;
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            let percent = 100 * self.read / self.rows.max(self.read);
            let (path, records) = (self.path.display(), table.len());
            tracing::info!("reading {path}: {percent} %, registrations of {records} users");
        }
    }
}

/// A row that is not what was written is an error of the database, like those that SQLite finds by itself.
fn damaged() -> rusqlite::Error {
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(corrupt, Some("a row is not what was written".to_owned()))
}

/// Appends the records of the table from a place on. How many, and where the next ones begin, if there are any.
fn copy(
    transaction: &Transaction<'_>,
    row: &mut RowWriter,
    table: &Table,
    from: u32,
) -> rusqlite::Result<(u64, Option<u32>)> {
    let mut rows = Rows::new(transaction, row)?;
    let mut written = Ok(());
    let next = table.visit(from, STEP_COMMITS, &mut |aor, record| {
        if written.is_ok() {
            written = rows.push(aor, record);
        }
    });
    written?;
    Ok((rows.finish()?, next))
}

/// Removes the first rows up to this one. Which the last was; the last of all when there are no more.
fn remove(transaction: &Transaction<'_>, until: i64) -> rusqlite::Result<i64> {
    let mut last = until;
    {
        let sql = "SELECT seq, length(commits) FROM log WHERE seq <= ? ORDER BY seq";
        let mut select = transaction.prepare_cached(sql)?;
        let mut rows = select.query([until])?;
        let mut bytes = 0;
        while bytes < STEP_BYTES
            && let Some(row) = rows.next()?
        {
            last = row.get(0)?;
            bytes += row.get::<_, i64>(1)?;
        }
    }
    transaction
        .prepare_cached("DELETE FROM log WHERE seq <= ?")?
        .execute([last])?;
    Ok(last)
}

/// Packs commits into rows and inserts them.
struct Rows<'t> {
    insert: CachedStatement<'t>,
    row: &'t mut RowWriter,
    commits: u64,
}

impl<'t> Rows<'t> {
    fn new(transaction: &'t Transaction<'_>, row: &'t mut RowWriter) -> rusqlite::Result<Self> {
        row.clear();
        let insert = transaction.prepare_cached(INSERT)?;
        Ok(Self {
            insert,
            row,
            commits: 0,
        })
    }

    fn push(&mut self, aor: &[u8], record: &[u8]) -> rusqlite::Result<()> {
        self.row.push(aor, record);
        self.commits += 1;
        if self.row.len() >= ROW_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> rusqlite::Result<()> {
        if let Some(row) = self.row.seal() {
            self.insert.execute([row])?;
        }
        self.row.clear();
        Ok(())
    }

    /// Inserts what is left; how many commits there were.
    fn finish(mut self) -> rusqlite::Result<u64> {
        self.write()?;
        Ok(self.commits)
    }
}
