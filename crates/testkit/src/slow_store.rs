//! A location service that answers when it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strowger_server::location::{Caller, Commit, CommitError, Committed, Location, Memory, Version, Watch};

/// A store in memory whose every commit is pending until [`commit_next`](Self::commit_next) or
/// [`fail_next`](Self::fail_next). Its clones are the same store: one for the node, one for the test.
#[derive(Clone, Debug)]
pub struct SlowStore(Arc<Held>);

#[derive(Debug)]
struct Held {
    memory: Memory,
    commits: Mutex<VecDeque<Waiting>>,
}

/// A commit that nobody has answered.
#[derive(Debug)]
struct Waiting {
    aor: Vec<u8>,
    seen: Version,
    record: Vec<u8>,
    caller: Caller,
}

impl SlowStore {
    /// A store that commits to this one when it is told to.
    pub fn new(memory: Memory) -> Self {
        Self(Arc::new(Held {
            memory,
            commits: Mutex::default(),
        }))
    }

    /// How many commits wait.
    pub fn waiting(&self) -> usize {
        self.commits().len()
    }

    /// Makes the first commit that waits: the answer to it.
    pub fn commit_next(&self) -> Option<Committed> {
        let waiting = self.commits().pop_front()?;
        let Waiting {
            aor,
            seen,
            record,
            caller,
        } = waiting;
        let result = match self.0.memory.commit(&aor, seen, &record, caller) {
            Commit::Done(version) => Ok(version),
            Commit::Conflict => Err(CommitError::Conflict),
            other => panic!("a store in memory answers at once, and has room for a test: {other:?}"),
        };
        Some(Committed { caller, result })
    }

    /// Forgets the first commit that waits: the answer to it.
    pub fn fail_next(&self, error: CommitError) -> Option<Committed> {
        let caller = self.commits().pop_front()?.caller;
        Some(Committed {
            caller,
            result: Err(error),
        })
    }

    fn commits(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Location for SlowStore {
    fn read(&self, aor: &[u8], into: &mut Vec<u8>) -> Version {
        self.0.memory.read(aor, into)
    }

    fn commit(&self, aor: &[u8], seen: Version, record: &[u8], caller: Caller) -> Commit {
        self.commits().push_back(Waiting {
            aor: aor.to_vec(),
            seen,
            record: record.to_vec(),
            caller,
        });
        Commit::Pending
    }

    fn for_each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.memory.for_each(visit);
    }

    fn visit(&self, from: u64, most: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> Option<u64> {
        self.0.memory.visit(from, most, visit)
    }

    fn sweep(&self, now_secs: u32, removed: &mut dyn FnMut(&[u8])) -> usize {
        self.0.memory.sweep(now_secs, removed)
    }

    fn len(&self) -> usize {
        self.0.memory.len()
    }

    fn bytes(&self) -> usize {
        self.0.memory.bytes()
    }

    fn watch(&self) -> &Watch {
        self.0.memory.watch()
    }
}

#[cfg(test)]
mod tests {
    use strowger_server::location::Ticket;

    use super::*;

    #[test]
    fn a_commit_is_seen_when_it_was_made_and_answered_to_its_caller() {
        let store = SlowStore::new(Memory::new([0; 16], 1 << 20));
        let callers = [1, 2, 3].map(|n| Caller {
            shard: n,
            ticket: Ticket(u64::from(n)),
        });
        for caller in callers {
            assert_eq!(
                store.commit(b"a", Version::ABSENT, &[9; 8], caller),
                Commit::Pending
            );
        }
        assert_eq!((store.waiting(), store.len()), (3, 0));
        let made = store.commit_next().expect("one waits");
        assert_eq!(
            (made.caller, made.result.is_ok(), store.len()),
            (callers[0], true, 1)
        );
        let late = store.commit_next().expect("one waits");
        assert_eq!(
            (late.caller, late.result),
            (callers[1], Err(CommitError::Conflict))
        );
        let failed = store.fail_next(CommitError::Conflict).expect("one waits");
        assert_eq!(failed.caller, callers[2]);
        assert_eq!(store.commit_next(), None);
    }
}
