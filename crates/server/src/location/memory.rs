//! The location service that keeps nothing: records live as long as the process.

use super::table::{Refused, Table};
use super::{Caller, Commit, Expired, Location, Swept, Version, Watch};

/// Bindings in memory only. A commit is answered at once; a refresh takes no lock and allocates nothing.
#[derive(Debug)]
pub struct Memory {
    table: Table,
}

impl Memory {
    /// An empty store whose table hashes with this key (random bytes) and uses at most `max_bytes`.
    pub fn new(key: [u8; 16], max_bytes: usize) -> Self {
        Self {
            table: Table::new(key, max_bytes),
        }
    }

    /// Tells an empty store what time it is, in Unix seconds, so that what comes is filed right from the beginning.
    pub fn begin_at(&self, now_secs: u32) {
        self.table.begin_at(now_secs);
    }
}

impl Location for Memory {
    fn read(&self, aor: &[u8], into: &mut Vec<u8>) -> Version {
        self.table.read(aor, into)
    }

    fn commit(&self, aor: &[u8], seen: Version, record: &[u8], _: Caller) -> Commit {
        match self.table.compare_and_set(aor, seen, record) {
            Ok(version) => Commit::Done(version),
            Err(Refused::Conflict) => Commit::Conflict,
            Err(Refused::Full | Refused::TooLong) => Commit::Unavailable,
        }
    }

    fn for_each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.table.for_each(visit);
    }

    fn for_each_due(&self, secs: u32, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.table.for_each_due(secs, visit);
    }

    fn visit(&self, from: u64, most: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> Option<u64> {
        let from = u32::try_from(from).ok()?;
        self.table.visit(from, most, visit).map(u64::from)
    }

    fn sweep(&self, now_secs: u32, expired: &mut dyn FnMut(&Expired)) -> Swept {
        let mut some = Vec::new();
        let swept = self.table.sweep(now_secs, &mut some);
        some.iter().for_each(expired);
        swept
    }

    fn len(&self) -> usize {
        self.table.len()
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }

    fn watch(&self) -> &Watch {
        self.table.watch()
    }
}

impl From<Table> for Memory {
    fn from(table: Table) -> Self {
        Self { table }
    }
}
