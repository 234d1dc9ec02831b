//! The one thread that writes: it takes all that is queued, decides each commit in the order of the queue, appends what holds
//! in one transaction, publishes it to the table, then answers. Between batches it compacts the log, a step at a time.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use super::gathering::GATHER;
use super::log::{Compaction, Log, Progress, ROW_BYTES};
use super::{Answer, Shared};
use crate::location::table::{Refused, Table};
use crate::location::{Advice, Caller, CommitError, Committed, StoreFailure, Version};

/// The most commits of one transaction; they are not many more bytes than a row is to have.
const BATCH: usize = 1024;

/// A compaction begins when the log has more commits than `FACTOR` for each record that counts, and `SPARE` more. Before it
/// takes any away it adds one for each record.
const FACTOR: u64 = 3;
const SPARE: u64 = 10_000;

/// Commits come in close order when so many come in the time that they may gather: only a busy server lets them.
const CLOSE_ORDER: u32 = 4;

/// How long a log that can't be written anew is let alone.
const PAUSE: Duration = Duration::from_secs(1);

/// A commit on its way to the disk: one allocation for address and record.
#[derive(Debug)]
pub(super) struct Item {
    bytes: Box<[u8]>,
    aor: usize,
    seen: Version,
    caller: Caller,
}

impl Item {
    pub(super) fn new(aor: &[u8], seen: Version, record: &[u8], caller: Caller) -> Self {
        Self {
            bytes: [aor, record].concat().into_boxed_slice(),
            aor: aor.len(),
            seen,
            caller,
        }
    }

    fn aor(&self) -> &[u8] {
        &self.bytes[..self.aor]
    }

    fn record(&self) -> &[u8] {
        &self.bytes[self.aor..]
    }
}

/// What shall become of a queued commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Write,
    Refuse(CommitError),
}

pub(super) struct Writer {
    log: Log,
    shared: Arc<Shared>,
    answer: Answer,
    compaction: Option<Compaction>,
    /// When writing the log anew failed last, and why.
    rewrite_failed: Option<(Instant, StoreFailure)>,
    /// Commits come in close order.
    is_busy: bool,
    /// As many as were under way at the last answers; a batch that is full by itself is enough.
    expected: usize,
    /// The last batch is as large as one may be.
    is_full: bool,
}

impl Writer {
    pub(super) fn new(log: Log, shared: Arc<Shared>, answer: Answer) -> Self {
        Self {
            log,
            shared,
            answer,
            compaction: None,
            rewrite_failed: None,
            is_busy: false,
            expected: 0,
            is_full: false,
        }
    }

    /// Works until the store is dropped and the queue is empty.
    pub(super) fn run(mut self, queue: &Receiver<Item>) {
        let mut batch = Vec::new();
        let mut taken = Instant::now();
        while self.take(&mut batch, queue) {
            let before = std::mem::replace(&mut taken, Instant::now());
            self.is_busy = GATHER * batch.len() as u32 >= CLOSE_ORDER * (taken - before);
            if !batch.is_empty() {
                self.shared.gathering.remove(batch.len());
                self.settle(&batch);
                batch.clear();
            }
            if self.compaction_due() {
                self.compact();
            }
        }
    }

    /// Waits for commits, unless there is something else to do, and takes what is queued; false at the end. While commits come
    /// in close order, this thread is not woken by the first of them but lets them [gather](super::gathering).
    fn take(&mut self, batch: &mut Vec<Item>, queue: &Receiver<Item>) -> bool {
        let mut bytes = 0;
        let mut add = |item: Item| {
            bytes += item.bytes.len();
            batch.push(item);
            bytes < ROW_BYTES && batch.len() < BATCH
        };
        self.is_full = false;
        if self.is_busy {
            self.shared.gathering.wait_for(self.expected, GATHER);
        } else if !self.compaction_due() {
            match queue.recv() {
                Ok(item) => _ = add(item),
                Err(_) => return false,
            }
        }
        loop {
            match queue.try_recv() {
                Ok(item) => {
                    if !add(item) {
                        self.is_full = true;
                        return true;
                    }
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !batch.is_empty(),
            }
        }
    }

    /// Commit, publish, answer: in this order.
    fn settle(&mut self, batch: &[Item]) {
        let shared = Arc::clone(&self.shared);
        let turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let verdicts = decide(batch, &shared.table);
        let written = self.append(batch, &verdicts);
        let mut answers: Vec<Committed> = batch
            .iter()
            .zip(&verdicts)
            .map(|(item, verdict)| {
                let result = match (verdict, written) {
                    (Verdict::Refuse(refusal), _) => Err(*refusal),
                    (Verdict::Write, Err(failure)) => Err(CommitError::Failed(failure)),
                    (Verdict::Write, Ok(())) => publish(item, &shared.table),
                };
                Committed {
                    caller: item.caller,
                    result,
                }
            })
            .collect();
        drop(turn);
        self.expected = batch.len();
        if !self.is_full {
            self.expected += self.shared.gathering.queued();
        }
        answers.sort_by_key(|committed| committed.caller.shard);
        for of_shard in answers.chunk_by(|a, b| a.caller.shard == b.caller.shard) {
            (self.answer)(of_shard[0].caller.shard, of_shard.to_vec());
        }
    }

    fn append(&mut self, batch: &[Item], verdicts: &[Verdict]) -> Result<(), StoreFailure> {
        if !verdicts.contains(&Verdict::Write) {
            return Ok(());
        }
        self.rewrite_if_doubtful()?;
        let rows = batch
            .iter()
            .zip(verdicts)
            .filter(|(_, verdict)| **verdict == Verdict::Write)
            .map(|(item, _)| (item.aor(), item.record()));
        let limit = self.shared.page_limit();
        let written = self.log.limit(limit).and_then(|()| self.log.append(rows));
        self.note(written)
    }

    /// What is in memory is what was acknowledged, so a file that is in doubt is written anew from it; when that fails, not
    /// again for a while.
    fn rewrite_if_doubtful(&mut self) -> Result<(), StoreFailure> {
        if !self.log.is_doubtful() {
            return Ok(());
        }
        if let Some((tried, failure)) = self.rewrite_failed
            && tried.elapsed() < PAUSE
        {
            return Err(failure);
        }
        self.compaction = None;
        match self.log.rewrite(&self.shared.table) {
            Ok(()) => {
                self.rewrite_failed = None;
                tracing::info!("{} was written anew", self.log.path().display());
                Ok(())
            }
            Err(error) => {
                let failure = error.failure();
                self.rewrite_failed = Some((Instant::now(), failure));
                self.tell(failure, &error);
                Err(failure)
            }
        }
    }

    fn compaction_due(&self) -> bool {
        let worth = self.log.commits() > FACTOR * self.shared.table.len() as u64 + SPARE;
        (worth || self.compaction.is_some()) && self.shared.failure().is_none()
    }

    fn compact(&mut self) {
        let shared = Arc::clone(&self.shared);
        let step = match self.compaction.take() {
            // No turn is needed: only this thread writes, and a sweep removes only what has expired.
            Some(mut compaction) => {
                self.log
                    .compact(&mut compaction, &shared.table)
                    .map(|progress| match progress {
                        Progress::Going => Some(compaction),
                        Progress::Finished => None,
                    })
            }
            None => self.log.compaction().map(Some),
        };
        if let Ok(next) = self.note(step) {
            self.compaction = next;
        }
    }

    /// Remembers whether writing works, and says so when that changes.
    fn note<T>(&mut self, result: rusqlite::Result<T>) -> Result<T, StoreFailure> {
        match result {
            Ok(done) => {
                if self.shared.set_failure(None).is_some() {
                    tracing::info!("{} can be written again", self.log.path().display());
                }
                Ok(done)
            }
            Err(error) => {
                let failure = self.log.failed(&error);
                self.tell(failure, &error);
                Err(failure)
            }
        }
    }

    /// Says what fails, unless that has been said.
    fn tell(&self, failure: StoreFailure, error: &dyn Display) {
        if self.shared.set_failure(Some(failure)) != Some(failure) {
            let path = self.log.path().display();
            tracing::error!(
                "registrations can't be stored in {path} ({error}): {}",
                Advice(failure)
            );
        }
    }
}

/// Compare-and-set in the order of the queue. Nobody can have seen what an earlier commit of the same batch will publish, so
/// only the first one of an address can hold.
fn decide(batch: &[Item], table: &Table) -> Vec<Verdict> {
    let mut taken = HashSet::with_capacity_and_hasher(batch.len(), RandomState::default());
    batch
        .iter()
        .map(|item| {
            let is_new = item.seen == Version::ABSENT;
            // A version is that of one record.
            let name = (item.seen, if is_new { item.aor() } else { &[] });
            if !table.is_current(item.aor(), item.seen) || taken.contains(&name) {
                Verdict::Refuse(CommitError::Conflict)
            } else if is_new && table.is_full() {
                Verdict::Refuse(CommitError::Failed(StoreFailure::Full))
            } else {
                taken.insert(name);
                Verdict::Write
            }
        })
        .collect()
}

fn publish(item: &Item, table: &Table) -> Result<Version, CommitError> {
    table
        .compare_and_set(item.aor(), item.seen, item.record())
        .map_err(|refused| match refused {
            Refused::Conflict => CommitError::Conflict,
            // The row is in the log but was never acknowledged; the next compaction leaves it out.
            Refused::Full | Refused::TooLong => CommitError::Failed(StoreFailure::Full),
        })
}
