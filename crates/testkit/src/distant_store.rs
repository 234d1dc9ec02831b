//! Location services whose records are elsewhere and are shared: what a database on another machine and its clients are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use strowger_server::location::{
    Answer, Caller, Commit, CommitError, Committed, Expired, Location, MAX_AOR, MAX_RECORD, Swept, Version,
    Watch, due, unexpired,
};

/// A record, and how many changes of all records there had been with its last one; one that is gone is empty.
type Numbered = (u64, Vec<u8>);

/// The records that several [`DistantStore`]s share.
#[derive(Clone, Debug, Default)]
pub struct Distant(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    changes: u64,
    records: BTreeMap<Vec<u8>, Numbered>,
    servers: Vec<Sender<News>>,
}

/// What the thread of a server hears, in order.
#[derive(Debug)]
enum News {
    /// A shard commits.
    Commit {
        aor: Vec<u8>,
        seen: Version,
        record: Vec<u8>,
        caller: Caller,
    },
    /// Another server has committed.
    Changed(Vec<u8>, Numbered),
    /// It is over.
    End,
}

impl Distant {
    /// The location service of one more server. Its commits are answered on a thread of its own.
    pub fn join(&self, answer: Answer) -> DistantStore {
        let (news, heard) = channel();
        let number = {
            let mut shared = lock(&self.0);
            shared.servers.push(news.clone());
            shared.servers.len() - 1
        };
        let here = Arc::new(Here::default());
        let server = Server {
            number,
            distant: self.clone(),
            here: Arc::clone(&here),
            answer,
        };
        // It ends with its store.
        thread::spawn(move || server.run(&heard));
        DistantStore {
            distant: self.clone(),
            here,
            news,
        }
    }
}

impl Distant {
    /// Lets go of a record that has ended, as a database does whose records have a time to live.
    fn expire(&self, aor: &[u8], now_secs: u32) {
        let mut shared = lock(&self.0);
        let Some((_, record)) = shared.records.get(aor) else {
            return;
        };
        let mut left = Vec::new();
        unexpired(record, now_secs, &mut left);
        if left.is_empty() {
            shared.changes += 1;
            let gone = (shared.changes, left);
            shared.records.insert(aor.to_vec(), gone);
        }
    }
}

/// What one server has of the records in its memory, and who hears of their changes.
#[derive(Default)]
struct Here {
    records: Mutex<BTreeMap<Vec<u8>, Numbered>>,
    watch: Watch,
}

impl Here {
    /// Takes over a record, unless a later one is there.
    fn learn(&self, aor: &[u8], (number, record): Numbered) {
        let mut records = lock(&self.records);
        let known = records.entry(aor.to_vec()).or_default();
        if known.0 < number {
            *known = (number, record);
            drop(records);
            self.watch.changed(aor);
        }
    }
}

/// The connection of one server.
struct Server {
    number: usize,
    distant: Distant,
    here: Arc<Here>,
    answer: Answer,
}

impl Server {
    fn run(&self, news: &Receiver<News>) {
        while let Ok(news) = news.recv() {
            match news {
                News::Commit {
                    aor,
                    seen,
                    record,
                    caller,
                } => {
                    let result = self.commit(&aor, seen, record);
                    (self.answer)(caller.shard, vec![Committed { caller, result }]);
                }
                News::Changed(aor, record) => self.here.learn(&aor, record),
                News::End => return,
            }
        }
    }

    /// Decides where the records are, and lets this server know what is there now: before the answer, whichever it is.
    fn commit(&self, aor: &[u8], seen: Version, record: Vec<u8>) -> Result<Version, CommitError> {
        let mut shared = lock(&self.distant.0);
        let current = shared.records.get(aor).cloned().unwrap_or_default();
        if version(&current) != seen {
            self.here.learn(aor, current);
            return Err(CommitError::Conflict);
        }
        if seen == Version::ABSENT && record.is_empty() {
            return Ok(seen);
        }
        shared.changes += 1;
        let next = (shared.changes, record);
        shared.records.insert(aor.to_vec(), next.clone());
        for (_, server) in shared
            .servers
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != self.number)
        {
            // Who is gone need not know.
            let _ = server.send(News::Changed(aor.to_vec(), next.clone()));
        }
        self.here.learn(aor, next.clone());
        Ok(version(&next))
    }
}

fn version((number, record): &Numbered) -> Version {
    if record.is_empty() {
        return Version::ABSENT;
    }
    Version::new([0, *number])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The location service of one server, which reads from its memory and commits to the [`Distant`] records.
pub struct DistantStore {
    distant: Distant,
    here: Arc<Here>,
    news: Sender<News>,
}

impl fmt::Debug for DistantStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DistantStore").finish_non_exhaustive()
    }
}

impl Drop for DistantStore {
    fn drop(&mut self) {
        let _ = self.news.send(News::End);
    }
}

impl Location for DistantStore {
    fn read(&self, aor: &[u8], into: &mut Vec<u8>) -> Version {
        let records = lock(&self.here.records);
        into.clear();
        let Some(known) = records.get(aor) else {
            return Version::ABSENT;
        };
        into.extend_from_slice(&known.1);
        version(known)
    }

    fn commit(&self, aor: &[u8], seen: Version, record: &[u8], caller: Caller) -> Commit {
        if aor.len() > MAX_AOR || record.len() > MAX_RECORD {
            return Commit::Unavailable;
        }
        let news = News::Commit {
            aor: aor.to_vec(),
            seen,
            record: record.to_vec(),
            caller,
        };
        match self.news.send(news) {
            Ok(()) => Commit::Pending,
            Err(_) => Commit::Unavailable,
        }
    }

    fn for_each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let records = lock(&self.here.records).clone();
        let there = records.iter().filter(|(_, (_, record))| !record.is_empty());
        there.for_each(|(aor, (_, record))| visit(aor, record));
    }

    fn visit(&self, from: u64, most: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> Option<u64> {
        let (mut at, until) = (0, from + most as u64);
        self.for_each(&mut |aor, record| {
            if (from..until).contains(&at) {
                visit(aor, record);
            }
            at += 1;
        });
        (at > until).then_some(until)
    }

    /// Everyone sees by themselves what has ended: neither the record that is shared nor its version changes by it, until
    /// all of it has.
    fn sweep(&self, now_secs: u32, expired: &mut dyn FnMut(&Expired)) -> Swept {
        let mut some = Vec::new();
        let mut records = lock(&self.here.records);
        for (aor, (_, record)) in records.iter_mut().filter(|(_, (_, record))| !record.is_empty()) {
            let mut left = record.clone();
            if due(record) <= now_secs {
                unexpired(record, now_secs, &mut left);
                some.push(Expired {
                    aor: aor.clone(),
                    before: std::mem::replace(record, left.clone()),
                    left,
                });
            }
        }
        let there = records.values().filter(|(_, record)| !record.is_empty());
        let next = there.map(|(_, record)| due(record)).min();
        drop(records);
        let gone = some.iter().filter(|expired| expired.left.is_empty());
        gone.for_each(|expired| self.distant.expire(&expired.aor, now_secs));
        some.iter()
            .for_each(|expired| self.here.watch.changed(&expired.aor));
        some.iter().for_each(expired);
        Swept::Done { next }
    }

    fn watch(&self) -> &Watch {
        &self.here.watch
    }

    fn len(&self) -> usize {
        let records = lock(&self.here.records);
        records.values().filter(|(_, record)| !record.is_empty()).count()
    }

    fn bytes(&self) -> usize {
        let records = lock(&self.here.records);
        records
            .iter()
            .map(|(aor, (_, record))| aor.len() + record.len())
            .sum()
    }
}
