//! Subscriptions on the disk: `subscriptions.db` in the data directory, written by a thread of its own. What was answered as
//! done has been committed. The file is made when the first subscription comes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Row, Transaction, params};
use strowger_sip::event::{Dialog, Package};
use strowger_sip::registrar::{Binding, Bindings, Entry, Order, Origin, Q_DEFAULT, RecordWriter};

use crate::data_dir::DataDir;
use crate::database::{Database, Durability, OpenError, Schema, StoreFailure};
use crate::location::Caller;

/// The name of the file in the data directory.
const FILE: &str = "subscriptions.db";

const SCHEMA: Schema = Schema {
    steps: &["CREATE TABLE subscriptions (
        local_tag BLOB PRIMARY KEY, call_id BLOB NOT NULL, remote_tag BLOB NOT NULL, local BLOB NOT NULL,
        remote BLOB NOT NULL, remote_target BLOB NOT NULL, route_set BLOB NOT NULL, local_cseq INTEGER NOT NULL,
        remote_cseq INTEGER NOT NULL, package TEXT NOT NULL, event_id BLOB NOT NULL, aor BLOB NOT NULL,
        owner INTEGER NOT NULL, ends_at INTEGER NOT NULL, origin BLOB NOT NULL) WITHOUT ROWID"],
};

/// How many changes may wait for the disk, and how many are written together.
const QUEUE: usize = 4096;
const BATCH: usize = 256;

/// What is kept of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its dialog. The number of the last request that was sent is one that none is sent with any more.
    pub dialog: Dialog,
    /// What it is about.
    pub package: Package,
    /// The `id` of its Event.
    pub id: Box<[u8]>,
    /// The address-of-record that it is about, in its canonical form.
    pub aor: Box<[u8]>,
    /// Whether the subscriber may register for that.
    pub owner: bool,
    /// When it ends, in Unix seconds.
    pub ends_at: u64,
    /// Where the last SUBSCRIBE came from.
    pub origin: Origin,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the disk.
    Done,
    /// The store could not write.
    Failed(StoreFailure),
}

/// The answer to a change that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Who waits for it.
    pub caller: Caller,
    /// What became of it.
    pub outcome: Outcome,
}

/// Takes the answers. It is called on the writer's thread and must not wait.
pub type Answer = Box<dyn Fn(Settled) + Send>;

/// A change on its way to the disk.
enum Change {
    Put(Box<Kept>),
    /// The subscription of this tag of ours is over.
    Remove(Box<[u8]>),
}

struct Item {
    change: Change,
    caller: Option<Caller>,
}

/// Subscriptions on the disk. Dropping it writes and answers what is queued.
pub struct Store {
    queue: Option<SyncSender<Item>>,
    writer: Option<JoinHandle<()>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens the store of a data directory. What it holds that has not ended at `now_secs` (Unix time) comes with it. A file
    /// that cannot be read is no reason not to start, as subscribers renew what they need: it is told of, and nothing can be
    /// subscribed to until that is mended.
    ///
    /// # Errors
    /// [`OpenError`] when there can be no thread.
    pub fn open(
        dir: &DataDir,
        durability: Durability,
        now_secs: u64,
        answer: Answer,
    ) -> Result<(Self, Vec<Kept>), OpenError> {
        let path = dir.file(FILE);
        let mut writer = Writer {
            path: path.clone(),
            durability,
            database: None,
            failure: None,
            answer,
        };
        let kept = writer.load(now_secs);
        let (queue, items) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("subscriptions".to_owned())
            .spawn(move || writer.run(&items))
            .map_err(|source| OpenError::Io { path, source })?;
        let store = Self {
            queue: Some(queue),
            writer: Some(thread),
        };
        Ok((store, kept))
    }

    /// Keeps a subscription, in the place of what was kept of it. Whoever waits is answered later; false when the queue is
    /// full.
    pub fn put(&self, kept: Kept, caller: Option<Caller>) -> bool {
        self.send(Change::Put(Box::new(kept)), caller)
    }

    /// Forgets the subscription of this tag of ours. Whoever waits is answered later; false when the queue is full.
    pub fn remove(&self, local_tag: &[u8], caller: Option<Caller>) -> bool {
        self.send(Change::Remove(local_tag.into()), caller)
    }

    fn send(&self, change: Change, caller: Option<Caller>) -> bool {
        let item = Item { change, caller };
        self.queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(item).is_ok())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of subscriptions had failed");
        }
    }
}

/// The one thread that writes.
struct Writer {
    path: PathBuf,
    durability: Durability,
    /// `None` until there is something to keep.
    database: Option<Database>,
    failure: Option<StoreFailure>,
    answer: Answer,
}

impl Writer {
    fn load(&mut self, now_secs: u64) -> Vec<Kept> {
        if !self.path.exists() {
            return Vec::new();
        }
        let loaded = self.open().and_then(|database| {
            let path = database.path().to_owned();
            let connection = database.connection().map_err(|e| OpenError::of(&path, e))?;
            read(connection, now_secs).map_err(|e| OpenError::of(&path, e))
        });
        match loaded {
            Ok(kept) => kept,
            Err(error) => {
                self.database = None;
                tracing::error!(
                    "subscriptions are lost, and none are accepted until this is mended: {error}"
                );
                Vec::new()
            }
        }
    }

    fn open(&mut self) -> Result<&mut Database, OpenError> {
        match self.database.take() {
            Some(open) => Ok(self.database.insert(open)),
            None => {
                let opened = Database::open(&self.path, SCHEMA, self.durability)?;
                Ok(self.database.insert(opened))
            }
        }
    }

    /// Works until the store is dropped and the queue is empty.
    fn run(mut self, items: &Receiver<Item>) {
        let mut batch = Vec::new();
        while let Ok(first) = items.recv() {
            batch.push(first);
            while batch.len() < BATCH
                && let Ok(next) = items.try_recv()
            {
                batch.push(next);
            }
            let outcome = self.write(&batch);
            for caller in batch.drain(..).filter_map(|item| item.caller) {
                (self.answer)(Settled { caller, outcome });
            }
        }
    }

    fn write(&mut self, batch: &[Item]) -> Outcome {
        let database = match self.open() {
            Ok(database) => database,
            Err(error) => return self.failed(StoreFailure::Io, &error),
        };
        let written = database.connection().and_then(|connection| {
            let transaction = connection.transaction()?;
            for item in batch {
                match &item.change {
                    Change::Put(kept) => insert(&transaction, kept)?,
                    Change::Remove(tag) => {
                        let sql = "DELETE FROM subscriptions WHERE local_tag = ?";
                        transaction.prepare_cached(sql)?.execute([tag])?;
                    }
                }
            }
            transaction.commit()
        });
        match written {
            Ok(()) => {
                if self.failure.take().is_some() {
                    tracing::info!("{} can be written again", self.path.display());
                }
                Outcome::Done
            }
            Err(error) => {
                let failure = database.failed(StoreFailure::of(&error));
                self.failed(failure, &error)
            }
        }
    }

    /// Says what fails, unless that has been said.
    fn failed(&mut self, failure: StoreFailure, error: &dyn fmt::Display) -> Outcome {
        if self.failure.replace(failure) != Some(failure) {
            let path = Path::display(&self.path);
            tracing::error!("subscriptions can't be stored in {path} ({error}): {failure}");
        }
        Outcome::Failed(failure)
    }
}

fn insert(transaction: &Transaction<'_>, kept: &Kept) -> rusqlite::Result<()> {
    let dialog = &kept.dialog;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            dialog.local_tag,
            dialog.call_id,
            dialog.remote_tag,
            dialog.local,
            dialog.remote,
            dialog.remote_target,
            dialog.route_set,
            dialog.local_cseq,
            dialog.remote_cseq,
            kept.package.name(),
            kept.id,
            kept.aor,
            kept.owner,
            kept.ends_at as i64,
            origin_record(&kept.origin),
        ])
        .map(drop)
}

/// Reads what has not ended, and removes the rest.
fn read(connection: &mut Connection, now_secs: u64) -> rusqlite::Result<Vec<Kept>> {
    connection.execute("DELETE FROM subscriptions WHERE ends_at <= ?", [now_secs as i64])?;
    let mut statement = connection.prepare("SELECT * FROM subscriptions")?;
    let rows = statement.query_map([], kept_of)?;
    let mut all = Vec::new();
    for row in rows {
        all.extend(row?);
    }
    Ok(all)
}

/// A row; `None` for what this version does not know.
fn kept_of(row: &Row<'_>) -> rusqlite::Result<Option<Kept>> {
    let blob = |name: &str| row.get::<_, Vec<u8>>(name).map(Vec::into_boxed_slice);
    let dialog = Dialog {
        call_id: blob("call_id")?,
        local: blob("local")?,
        local_tag: blob("local_tag")?,
        remote: blob("remote")?,
        remote_tag: blob("remote_tag")?,
        remote_target: blob("remote_target")?,
        route_set: blob("route_set")?,
        local_cseq: row.get("local_cseq")?,
        remote_cseq: row.get("remote_cseq")?,
    };
    let package = Package::named(row.get::<_, String>("package")?.as_bytes());
    let origin = origin_of(&blob("origin")?);
    let (Some(package), Some(origin)) = (package, origin) else {
        return Ok(None);
    };
    Ok(Some(Kept {
        dialog,
        package,
        id: blob("event_id")?,
        aor: blob("aor")?,
        owner: row.get("owner")?,
        ends_at: row.get::<_, i64>("ends_at")?.max(0) as u64,
        origin,
    }))
}

/// An origin, as records of bindings have it.
fn origin_record(origin: &Origin) -> Vec<u8> {
    let mut record = Vec::new();
    let mut writer = RecordWriter::new(&mut record);
    writer.put(&Entry::Binding(Binding {
        contact: b"",
        params: b"",
        q: Q_DEFAULT,
        order: Order {
            branch: 0,
            cseq: 0,
            call_id: b"",
        },
        expires_at: u32::MAX,
        updated_at: u32::MAX,
        bound_at: None,
        origin: *origin,
        path: b"",
        user_agent: b"",
        epoch: None,
        outbound: false,
    }));
    writer.finish();
    record
}

fn origin_of(record: &[u8]) -> Option<Origin> {
    match Bindings::new(record).entries().next()? {
        (Entry::Binding(binding), _) => Some(binding.origin),
        (Entry::Tombstone(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use strowger_sip::{Flow, Source};
    use strowger_syntax::Transport;
    use strowger_testkit::Scratch;

    use super::*;
    use crate::location::Ticket;

    const NOW: u64 = 1_764_000_000;

    fn kept(tag: &str, lasts: u64) -> Kept {
        let text = |text: &str| Box::from(text.as_bytes());
        Kept {
            dialog: Dialog {
                call_id: text("1@a"),
                local: text("<sip:a@b.test>;tag=x"),
                local_tag: text(tag),
                remote: text("<sip:a@b.test>;tag=y"),
                remote_tag: text("y"),
                remote_target: text("sip:a@192.0.2.7"),
                route_set: text(""),
                local_cseq: 1000,
                remote_cseq: u32::MAX,
            },
            package: Package::Registration,
            id: text("7"),
            aor: text("a@b.test"),
            owner: true,
            ends_at: NOW + lasts,
            origin: Origin::of(
                &Source {
                    transport: Transport::Tcp,
                    listener: 3,
                    local: ([192, 0, 2, 1], 5060).into(),
                    remote: ([192, 0, 2, 7], 5060).into(),
                    flow: Some(Flow {
                        shard: 1,
                        index: 2,
                        generation: 3,
                    }),
                },
                4,
            ),
        }
    }

    #[test]
    fn what_is_kept_comes_back_until_it_has_ended() {
        let scratch = Scratch::new();
        let dir = DataDir::open(scratch.path()).expect("free");
        let open = |now| {
            let (answer, answers) = channel();
            let answer = move |settled| answer.send(settled).expect("heard");
            let (store, kept) = Store::open(&dir, Durability::Process, now, Box::new(answer)).expect("opens");
            (store, kept, answers)
        };
        let (store, found, answers) = open(NOW);
        assert_eq!(found, []);
        assert!(!dir.file(FILE).exists());
        let caller = Caller {
            shard: 1,
            ticket: Ticket(5),
        };
        assert!(store.put(kept("x", 60), None) && store.put(kept("y", 600), None));
        assert!(store.put(kept("z", 600), None) && store.remove(b"z", Some(caller)));
        let outcome = Outcome::Done;
        assert_eq!(answers.recv(), Ok(Settled { caller, outcome }));
        drop(store);
        let (store, found, _) = open(NOW + 60);
        assert_eq!(found, [kept("y", 600)]);
        drop(store);
    }

    #[test]
    fn a_file_that_cannot_be_read_keeps_nobody_from_starting() {
        let scratch = Scratch::new();
        let dir = DataDir::open(scratch.path()).expect("free");
        std::fs::write(dir.file(FILE), b"no database").expect("written");
        let (answer, answers) = channel();
        let answer = move |settled| answer.send(settled).expect("heard");
        let (store, found) = Store::open(&dir, Durability::Process, NOW, Box::new(answer)).expect("opens");
        assert_eq!(found, []);
        let caller = Caller {
            shard: 0,
            ticket: Ticket(1),
        };
        assert!(store.put(kept("x", 60), Some(caller)));
        let settled: Settled = answers.recv().expect("an answer");
        assert!(matches!(settled.outcome, Outcome::Failed(_)), "{settled:?}");
    }
}
