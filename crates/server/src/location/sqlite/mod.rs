//! The location service that survives: bindings in `location.db`, an append-only [`log`] that is folded into the shared
//! table at the start. What was answered as done has been committed.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use self::gathering::Gathering;
use self::log::Log;
use self::writer::{Item, Writer};
use super::table::Table;
use super::{
    Caller, Commit, Committed, Expired, Location, MAX_AOR, MAX_RECORD, Memory, StoreFailure, Swept, Version,
    Watch,
};
use crate::data_dir::DataDir;
use crate::database::{Durability, OpenError};

mod gathering;
mod log;
mod row;
mod writer;

/// The name of the file in the data directory.
const FILE: &str = "location.db";

/// Takes the answers to commits of one shard, which were written together. It is called on the writer's thread and must not
/// wait.
pub type Answer = Arc<dyn Fn(u16, Vec<Committed>) + Send + Sync>;

/// How a store works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Keys the hash of the table: random bytes.
    pub key: [u8; 16],
    /// What an answered commit survives.
    pub durability: Durability,
    /// The memory that records may use, in bytes.
    pub max_bytes: usize,
    /// How many commits may wait for the disk.
    pub queue: usize,
}

impl Settings {
    /// 16,384 commits may wait, and records may use 8 GiB.
    pub fn new(key: [u8; 16], durability: Durability) -> Self {
        Self {
            key,
            durability,
            max_bytes: 8 << 30,
            queue: 16_384,
        }
    }
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    table: Table,
    /// Held by the writer from deciding to publishing, and by a sweep, so that neither pulls records from under the other.
    turn: Mutex<()>,
    failure: Mutex<Option<StoreFailure>>,
    /// The most pages of the file; zero is no limit.
    page_limit: AtomicU32,
    gathering: Gathering,
}

impl Shared {
    fn failure(&self) -> Option<StoreFailure> {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what it was before.
    fn set_failure(&self, failure: Option<StoreFailure>) -> Option<StoreFailure> {
        std::mem::replace(
            &mut *self.failure.lock().unwrap_or_else(PoisonError::into_inner),
            failure,
        )
    }

    fn page_limit(&self) -> Option<u32> {
        match self.page_limit.load(Ordering::Relaxed) {
            0 => None,
            pages => Some(pages),
        }
    }
}

/// Bindings on the disk, read from memory. A commit costs the shard one allocation and one push to a bounded queue without a
/// lock. Dropping the store writes and answers what is queued.
pub struct Sqlite {
    shared: Arc<Shared>,
    queue: Option<SyncSender<Item>>,
    writer: Option<JoinHandle<()>>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("records", &self.shared.table.len())
            .finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens the store of a data directory, making it if there is none, and reads it into memory, except for what has
    /// expired at `now_secs` (Unix time in seconds). `answer` gets one [`Committed`] for each commit that was
    /// [`Commit::Pending`], in their order.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &DataDir, settings: Settings, now_secs: u32, answer: Answer) -> Result<Self, OpenError> {
        let path = dir.file(FILE);
        let table = Table::new(settings.key, settings.max_bytes);
        let mut log = Log::open(&path, settings.durability)?;
        log.fold(&table, now_secs, settings.max_bytes)?;
        let shared = Arc::new(Shared {
            table,
            turn: Mutex::new(()),
            failure: Mutex::new(None),
            page_limit: AtomicU32::new(0),
            gathering: Gathering::default(),
        });
        let (queue, received) = sync_channel(settings.queue.max(1));
        let writer = Writer::new(log, Arc::clone(&shared), answer);
        let writer = thread::Builder::new()
            .name("location".to_owned())
            .spawn(move || writer.run(&received))
            .map_err(|source: io::Error| OpenError::Io { path, source })?;
        Ok(Self {
            shared,
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    /// What the store of a directory holds, in memory: for a look at a directory that a server may be using. Nothing is
    /// changed. Empty when there is no store.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn peek(dir: &Path, settings: Settings, now_secs: u32) -> Result<Memory, OpenError> {
        let table = Table::new(settings.key, settings.max_bytes);
        let path = dir.join(FILE);
        if path.exists() {
            log::peek(&path, &table, now_secs, settings.max_bytes)?;
        }
        Ok(Memory::from(table))
    }

    /// Bounds the size of the file in bytes (`None`: by the disk only). A commit that finds no room is answered as on a full
    /// disk. A file that is larger already stays as it is.
    pub fn limit_file(&self, bytes: Option<u64>) {
        let pages = bytes.map_or(0, |bytes| u32::try_from(bytes / 4096).unwrap_or(0).max(1));
        self.shared.page_limit.store(pages, Ordering::Relaxed);
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the location store had failed");
        }
    }
}

impl Location for Sqlite {
    fn read(&self, aor: &[u8], into: &mut Vec<u8>) -> Version {
        self.shared.table.read(aor, into)
    }

    fn commit(&self, aor: &[u8], seen: Version, record: &[u8], caller: Caller) -> Commit {
        if aor.len() > MAX_AOR || record.len() > MAX_RECORD {
            return Commit::Unavailable;
        }
        // A version that is gone never comes back, so the writer need not be asked.
        if !self.shared.table.is_current(aor, seen) {
            return Commit::Conflict;
        }
        if seen == Version::ABSENT && record.is_empty() {
            return Commit::Done(Version::ABSENT);
        }
        let item = Item::new(aor, seen, record, caller);
        self.shared.gathering.add();
        match self.queue.as_ref().map(|queue| queue.try_send(item)) {
            Some(Ok(())) => Commit::Pending,
            _ => {
                self.shared.gathering.remove(1);
                Commit::Unavailable
            }
        }
    }

    fn turn_ended(&self) {
        if let Some(writer) = &self.writer
            && self.shared.gathering.calls_writer()
        {
            writer.thread().unpark();
        }
    }

    fn for_each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.shared.table.for_each(visit);
    }

    fn for_each_due(&self, secs: u32, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.shared.table.for_each_due(secs, visit);
    }

    fn visit(&self, from: u64, most: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> Option<u64> {
        let from = u32::try_from(from).ok()?;
        self.shared.table.visit(from, most, visit).map(u64::from)
    }

    fn sweep(&self, now_secs: u32, expired: &mut dyn FnMut(&Expired)) -> Swept {
        let mut some = Vec::new();
        let swept = {
            let _turn = self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.table.sweep(now_secs, &mut some)
        };
        some.iter().for_each(expired);
        swept
    }

    fn len(&self) -> usize {
        self.shared.table.len()
    }

    fn bytes(&self) -> usize {
        self.shared.table.bytes()
    }

    fn watch(&self) -> &Watch {
        self.shared.table.watch()
    }

    fn failing(&self) -> Option<StoreFailure> {
        self.shared.failure()
    }
}
