//! The log table: every commit appends a row (address-of-record, record; an empty record is a removal), and the last row of
//! an address counts. Refreshes so write to the end of the file only, where an UPDATE would dirty a page each.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use siphasher::sip128::SipHasher13;

use crate::database::{Database, Durability, OpenError, Schema, StoreFailure};
use crate::location::expiry;
use crate::location::table::{Refused, Table};

const SCHEMA: Schema = Schema {
    steps: &["CREATE TABLE log (seq INTEGER PRIMARY KEY, aor BLOB NOT NULL, record BLOB NOT NULL)"],
};

/// The rows that one step of a compaction reads: about five milliseconds.
const STEP_ROWS: i64 = 2048;

/// The log and how long it is.
#[derive(Debug)]
pub(super) struct Log {
    database: Database,
    doubtful: bool,
    rows: u64,
    max_pages: Option<u32>,
    hasher: SipHasher13,
}

/// A compaction under way. Rows are taken from the beginning of the log; those that still count are appended again, and all
/// that were taken are deleted, in one transaction a step: whatever happens, the last row of an address stays the last.
#[derive(Debug)]
pub(super) struct Compaction {
    until: i64,
    /// The addresses (128 bits of keyed hash) whose row has been appended again. Without it, an address whose record went
    /// back and forth between two values would be copied for each row that says what counts.
    copied: HashSet<u128>,
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
    pub(super) fn open(path: &Path, durability: Durability, key: [u8; 16]) -> Result<Self, OpenError> {
        let database = Database::open(path, SCHEMA, durability)?;
        let hasher = SipHasher13::new_with_key(&key);
        Ok(Self {
            database,
            doubtful: false,
            rows: 0,
            max_pages: None,
            hasher,
        })
    }

    /// Brings the log into an empty table, leaving out what has expired at `now_secs`.
    pub(super) fn fold(&mut self, table: &Table, now_secs: u32, max_bytes: usize) -> Result<(), OpenError> {
        let path = self.database.path().to_owned();
        let connection = self
            .database
            .connection()
            .map_err(|source| OpenError::of(&path, source))?;
        self.rows = fold(connection, &path, table, now_secs, max_bytes)?;
        Ok(())
    }

    /// The rows of the log, also those that no longer count.
    pub(super) fn rows(&self) -> u64 {
        self.rows
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

    /// Appends rows: all of them, or none.
    pub(super) fn append<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> rusqlite::Result<()> {
        let transaction = self.begin()?;
        let count = insert(&transaction, rows)?;
        transaction.commit()?;
        self.rows += count;
        Ok(())
    }

    /// Begins a compaction of all that the log has by now.
    pub(super) fn compaction(&mut self) -> rusqlite::Result<Compaction> {
        let sql = "SELECT coalesce(max(seq), 0) FROM log";
        let until = self.database.connection()?.query_row(sql, [], |row| row.get(0))?;
        Ok(Compaction {
            until,
            copied: HashSet::new(),
        })
    }

    /// Does one step of a compaction; after an error the compaction has to begin anew. A row counts if it says what the table
    /// says; the caller sees to it that the table does not lag behind the log.
    pub(super) fn compact(
        &mut self,
        compaction: &mut Compaction,
        table: &Table,
    ) -> rusqlite::Result<Progress> {
        let hasher = self.hasher;
        let transaction = self.begin()?;
        let mut counting: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut last = None;
        {
            let mut current = Vec::new();
            let sql = "SELECT seq, aor, record FROM log WHERE seq <= ? ORDER BY seq LIMIT ?";
            let mut select = transaction.prepare_cached(sql)?;
            let mut rows = select.query([compaction.until, STEP_ROWS])?;
            while let Some(row) = rows.next()? {
                last = Some(row.get::<_, i64>(0)?);
                let (aor, record) = (row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob()?);
                table.read(aor, &mut current);
                let counts = !record.is_empty() && record == current;
                if counts && compaction.copied.insert(hasher.hash(aor).as_u128()) {
                    counting.push((aor.to_vec(), record.to_vec()));
                }
            }
        }
        let Some(last) = last else {
            return Ok(Progress::Finished);
        };
        let copied = insert(
            &transaction,
            counting.iter().map(|(aor, record)| (&aor[..], &record[..])),
        )?;
        let deleted = transaction
            .prepare_cached("DELETE FROM log WHERE seq <= ?")?
            .execute([last])?;
        transaction.commit()?;
        self.rows = (self.rows + copied).saturating_sub(deleted as u64);
        Ok(if last < compaction.until {
            Progress::Going
        } else {
            Progress::Finished
        })
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
            let mut insert = transaction.prepare("INSERT INTO log (aor, record) VALUES (?, ?)")?;
            let mut written = Ok(());
            table.for_each(&mut |aor, record| {
                if written.is_ok() {
                    written = insert.execute([aor, record]).map(|_| ());
                    count += 1;
                }
            });
            written
        })?;
        self.rows = count;
        self.doubtful = false;
        Ok(())
    }

    fn begin(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.database
            .connection()?
            .transaction_with_behavior(TransactionBehavior::Immediate)
    }
}

/// Brings the log of a directory that another process may hold into a table, without changing anything.
pub(super) fn peek(path: &Path, table: &Table, now_secs: u32, max_bytes: usize) -> Result<(), OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|source| OpenError::of(path, source))?;
    fold(&connection, path, table, now_secs, max_bytes).map(|_| ())
}

fn fold(
    connection: &Connection,
    path: &Path,
    table: &Table,
    now_secs: u32,
    max_bytes: usize,
) -> Result<u64, OpenError> {
    let failed = |source| OpenError::of(path, source);
    let mut select = connection
        .prepare("SELECT aor, record FROM log ORDER BY seq")
        .map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    let mut count = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        count += 1;
        let blob = |column| Ok(row.get_ref(column)?.as_blob()?);
        let (aor, record) = (blob(0).map_err(failed)?, blob(1).map_err(failed)?);
        let lasting = if expiry(record) > now_secs { record } else { &[] };
        match table.set(aor, lasting) {
            Ok(_) | Err(Refused::Conflict | Refused::TooLong) => {}
            Err(Refused::Full) => {
                return Err(OpenError::Memory {
                    path: path.to_owned(),
                    max_bytes,
                });
            }
        }
    }
    Ok(count)
}

fn insert<'a>(
    transaction: &Transaction<'_>,
    rows: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> rusqlite::Result<u64> {
    let mut insert = transaction.prepare_cached("INSERT INTO log (aor, record) VALUES (?, ?)")?;
    let mut count = 0;
    for (aor, record) in rows {
        insert.execute([aor, record])?;
        count += 1;
    }
    Ok(count)
}
