//! The stores, each with the answers that it gives late.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use strowger_server::data_dir::DataDir;
use strowger_server::location::{
    Answer, Caller, Commit, CommitError, Committed, Durability, Expired, Location, Memory, OpenError,
    Settings, Sqlite, StoreFailure, Swept, Ticket, Version,
};
use strowger_testkit::{Distant, Scratch};

pub(crate) const NOW: u32 = 1_000_000;
pub(crate) const KEY: [u8; 16] = *b"sixteen bytes...";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A store and the answers it gives late.
pub(crate) struct Bench<L: ?Sized> {
    pub(crate) store: Arc<L>,
    answers: Mutex<Receiver<Committed>>,
    /// The location service of another server that shares the records.
    elsewhere: Option<Box<Self>>,
}

impl<L: Location + ?Sized> Bench<L> {
    fn new(store: Arc<L>, answers: Receiver<Committed>) -> Self {
        Self {
            store,
            answers: Mutex::new(answers),
            elsewhere: None,
        }
    }

    /// The location service of somebody else who writes the same records: this one, if the store is nobody else's.
    pub(crate) fn elsewhere(&self) -> &Self {
        self.elsewhere.as_deref().unwrap_or(self)
    }

    /// Whether other servers share the records.
    pub(crate) fn is_shared(&self) -> bool {
        self.elsewhere.is_some()
    }

    pub(crate) fn submit(&self, aor: &str, seen: Version, record: &[u8], ticket: u64) -> Commit {
        self.store.commit(
            aor.as_bytes(),
            seen,
            record,
            Caller {
                shard: 3,
                ticket: Ticket(ticket),
            },
        )
    }

    pub(crate) fn answer(&self) -> Committed {
        let answers = self.answers.lock().expect("nobody has panicked");
        answers.recv_timeout(PATIENCE).expect("an answer")
    }

    /// Commits and waits for the answer, whichever way it comes.
    pub(crate) fn commit(&self, aor: &str, seen: Version, record: &[u8]) -> Result<Version, CommitError> {
        match self.submit(aor, seen, record, 77) {
            Commit::Done(version) => Ok(version),
            Commit::Conflict => Err(CommitError::Conflict),
            Commit::Unavailable => Err(CommitError::Failed(StoreFailure::Full)),
            Commit::Pending => {
                let committed = self.answer();
                assert_eq!(
                    committed.caller,
                    Caller {
                        shard: 3,
                        ticket: Ticket(77)
                    }
                );
                committed.result
            }
        }
    }

    /// Replaces a record whatever it is.
    pub(crate) fn put(&self, aor: &str, record: &[u8]) -> Version {
        loop {
            let (seen, _) = self.read(aor);
            match self.commit(aor, seen, record) {
                Ok(version) => return version,
                Err(CommitError::Conflict) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    pub(crate) fn read(&self, aor: &str) -> (Version, Vec<u8>) {
        let mut record = b"left over".to_vec();
        let version = self.store.read(aor.as_bytes(), &mut record);
        (version, record)
    }

    pub(crate) fn all(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        self.store.for_each(&mut |aor, record| {
            all.push((String::from_utf8_lossy(aor).into_owned(), record.to_vec()));
        });
        all.sort();
        all
    }

    /// Sweeps until nothing is due: what was told, by address, and when something may be due next.
    pub(crate) fn sweep(&self, now_secs: u32) -> (Vec<Expired>, Option<u32>) {
        let mut all = Vec::new();
        loop {
            let sweep = self
                .store
                .sweep(now_secs, &mut |expired| all.push(expired.clone()));
            if let Swept::Done { next } = sweep {
                all.sort_by(|a, b| a.aor.cmp(&b.aor));
                return (all, next);
            }
        }
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: never");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A record that expires `seconds` after [`NOW`].
pub(crate) fn record(seconds: u32, content: &str) -> Vec<u8> {
    [&(NOW + seconds).to_le_bytes(), content.as_bytes()].concat()
}

fn answers() -> (Answer, Receiver<Committed>) {
    let (answer, answers) = channel();
    let answer: Answer = Arc::new(move |_, committed: Vec<Committed>| {
        for committed in committed {
            let _ = answer.send(committed);
        }
    });
    (answer, answers)
}

/// Runs a property on the store in memory.
pub(crate) fn in_memory(property: impl Fn(&Bench<dyn Location>)) {
    let (_, answers) = answers();
    property(&Bench::new(Arc::new(Memory::new(KEY, 64 << 20)), answers));
}

/// Runs a property on the store that survives.
pub(crate) fn on_disk(property: impl Fn(&Bench<dyn Location>)) {
    let scratch = Scratch::new();
    let Bench { store, answers, .. } = sqlite(scratch.path()).expect("opens");
    property(&Bench {
        store: store as Arc<dyn Location>,
        answers,
        elsewhere: None,
    });
}

/// Runs a property on a store whose records are elsewhere, and which another server writes, too.
pub(crate) fn shared_with_others(property: impl Fn(&Bench<dyn Location>)) {
    let records = Distant::default();
    let join = || {
        let (answer, answers) = answers();
        Bench::<dyn Location>::new(Arc::new(records.join(answer)), answers)
    };
    property(&Bench {
        elsewhere: Some(Box::new(join())),
        ..join()
    });
}

pub(crate) fn settings() -> Settings {
    Settings::new(KEY, Durability::Process)
}

pub(crate) fn sqlite(dir: &Path) -> Result<Bench<Sqlite>, OpenError> {
    open(dir, settings(), NOW)
}

pub(crate) fn open(dir: &Path, settings: Settings, now: u32) -> Result<Bench<Sqlite>, OpenError> {
    let dir = DataDir::open(dir).expect("a free directory");
    let (answer, answers) = answers();
    let store = Sqlite::open(&dir, settings, now, answer)?;
    Ok(Bench::new(Arc::new(store), answers))
}
