//! A location service over another one, which it reads and never changes: to try what a request would do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Caller, Commit, Location, MAX_AOR, MAX_RECORD, StoreFailure, Version, Watch};

/// The place of records that are kept here. Nobody else has it.
const PLACE: u32 = u32::MAX;

/// What would have become of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The address-of-record.
    pub aor: Vec<u8>,
    /// Its record as it is.
    pub before: Vec<u8>,
    /// Its record as it would be; empty if it would be gone.
    pub after: Vec<u8>,
}

/// Records by address-of-record, each with how often it was committed.
type Kept = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;

/// Reads from another location service, and keeps what is committed to itself.
pub struct Overlay {
    under: Arc<dyn Location>,
    kept: Mutex<Kept>,
    /// Nobody is told of what is only tried.
    watch: Watch,
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay")
            .field("kept", &self.kept().len())
            .finish()
    }
}

impl Overlay {
    /// Over a location service.
    pub fn new(under: Arc<dyn Location>) -> Self {
        Self {
            under,
            kept: Mutex::default(),
            watch: Watch::default(),
        }
    }

    /// What was committed here, by address-of-record.
    pub fn changes(&self) -> Vec<Change> {
        let change = |(aor, (_, after)): (&Vec<u8>, &(u64, Vec<u8>))| {
            let mut before = Vec::new();
            self.under.read(aor, &mut before);
            Change {
                aor: aor.clone(),
                before,
                after: after.clone(),
            }
        };
        self.kept().iter().map(change).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version(sequence: u64, record: &[u8]) -> Version {
    if record.is_empty() {
        return Version::ABSENT;
    }
    Version {
        place: PLACE,
        sequence,
    }
}

impl Location for Overlay {
    fn read(&self, aor: &[u8], into: &mut Vec<u8>) -> Version {
        match self.kept().get(aor) {
            Some((sequence, record)) => {
                into.clear();
                into.extend_from_slice(record);
                version(*sequence, record)
            }
            None => self.under.read(aor, into),
        }
    }

    fn commit(&self, aor: &[u8], seen: Version, record: &[u8], _: Caller) -> Commit {
        if aor.len() > MAX_AOR || record.len() > MAX_RECORD {
            return Commit::Unavailable;
        }
        let mut current = Vec::new();
        if self.read(aor, &mut current) != seen {
            return Commit::Conflict;
        }
        if seen == Version::ABSENT && record.is_empty() {
            return Commit::Done(Version::ABSENT);
        }
        let mut kept = self.kept();
        let sequence = kept.get(aor).map_or(1, |(sequence, _)| sequence + 1);
        kept.insert(aor.to_owned(), (sequence, record.to_owned()));
        Commit::Done(version(sequence, record))
    }

    fn for_each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let kept = self.kept().clone();
        self.under.for_each(&mut |aor, record| {
            if !kept.contains_key(aor) {
                visit(aor, record);
            }
        });
        let there = kept.iter().filter(|(_, (_, record))| !record.is_empty());
        there.for_each(|(aor, (_, record))| visit(aor, record));
    }

    /// All at once: there are few who try a request.
    fn visit(&self, _: u64, _: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> Option<u64> {
        self.for_each(visit);
        None
    }

    /// Nothing expires while one request is tried.
    fn sweep(&self, _: u32, _: &mut dyn FnMut(&[u8])) -> usize {
        0
    }

    fn len(&self) -> usize {
        let mut count = 0;
        self.for_each(&mut |_, _| count += 1);
        count
    }

    fn bytes(&self) -> usize {
        self.under.bytes()
    }

    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn failing(&self) -> Option<StoreFailure> {
        self.under.failing()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Memory, Ticket};
    use super::*;

    const NOBODY: Caller = Caller {
        shard: 0,
        ticket: Ticket(0),
    };

    #[test]
    fn what_is_committed_stays_here_and_is_read_here() {
        let under: Arc<dyn Location> = Arc::new(Memory::new([1; 16], 1 << 20));
        let commit = |location: &dyn Location, record: &[u8]| {
            let mut before = Vec::new();
            let seen = location.read(b"a@b.test", &mut before);
            assert!(matches!(
                location.commit(b"a@b.test", seen, record, NOBODY),
                Commit::Done(_)
            ));
        };
        let read = |location: &dyn Location| {
            let mut record = Vec::new();
            location.read(b"a@b.test", &mut record);
            record
        };
        commit(&*under, &[9; 8]);
        let overlay = Overlay::new(Arc::clone(&under));
        assert_eq!(overlay.changes(), []);
        assert_eq!(read(&overlay), [9; 8]);
        let old = overlay.read(b"a@b.test", &mut Vec::new());
        commit(&overlay, &[7; 9]);
        assert_eq!(
            overlay.commit(b"a@b.test", old, &[1; 8], NOBODY),
            Commit::Conflict
        );
        assert_eq!((read(&overlay), read(&*under)), (vec![7; 9], vec![9; 8]));
        commit(&overlay, &[]);
        assert_eq!((read(&overlay), overlay.len(), under.len()), (vec![], 0, 1));
        let [change] = &overlay.changes()[..] else {
            panic!("one change");
        };
        assert_eq!((&change.before[..], &change.after[..]), (&[9; 8][..], &[][..]));
    }
}
