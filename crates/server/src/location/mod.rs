//! The location service (RFC 3261 §10, §16.5): which record belongs to an address-of-record.
//!
//! A *record* is an opaque byte string: the encoded bindings of one address-of-record, made and read by
//! `strowger_sip::registrar`. All that a store knows of it are its first four bytes, little-endian: the Unix time in seconds at
//! which it is *due*, for the first of its bindings ends then. What is left of it is for the registrar to say. An empty record
//! is no record.
//!
//! [`Location`] is the port. It does not say where records are decided on: a commit may be answered late, and others may
//! write, too. What every store has to do is one suite of tests, `crates/server/tests/location/suite.rs`.
//!
//! Both stores here read from one shared [`table`]: a look-up copies the record out of memory and takes no lock. [`Memory`]
//! answers a commit at once; [`Sqlite`] answers it when it is on the disk. Compare-and-set on the [`Version`] gives §10.3's
//! all or nothing without a lock in protocol code.

mod memory;
mod overlay;
mod sqlite;
pub mod table;
mod watch;

use std::fmt;

use strowger_sip::registrar;

pub use memory::Memory;
pub use overlay::{Change, Overlay};
pub use sqlite::{Answer, Settings, Sqlite};
pub use watch::{Slot, Tell, Watch, Watcher};

pub use crate::database::{Durability, OpenError, StoreFailure};

/// The longest address-of-record a store takes, in bytes.
pub const MAX_AOR: usize = 1024;

/// The longest record a store takes, in bytes. The registrar, which makes them, makes none that is longer.
pub const MAX_RECORD: usize = registrar::LARGEST_RECORD;

/// The state of one record, as it was read. What it is made of is known to the store alone (a place in memory and a sequence
/// there, or a number that a database counts up): who gets one compares it and gives it back. It changes with every commit,
/// never comes back for a record of this address-of-record, and does not survive a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version([u64; 2]);

impl Version {
    /// The version of an address-of-record without a record.
    pub const ABSENT: Self = Self([0; 2]);

    /// A version, made by a store of whatever tells its records' states apart; not both numbers are zero.
    pub const fn new(numbers: [u64; 2]) -> Self {
        Self(numbers)
    }

    /// The numbers that the store has made it of.
    pub const fn numbers(self) -> [u64; 2] {
        self.0
    }
}

/// Chosen by the caller of [`Location::commit`]; comes back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    /// That of a commit whose answer nobody waits for.
    pub const NOBODYS: Self = Self(u64::MAX);
}

/// Who committed, so that the answer finds the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The shard that waits.
    pub shard: u16,
    /// What it waits for.
    pub ticket: Ticket,
}

/// What became of a commit, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is done; the record has this version ([`Version::ABSENT`] after a removal).
    Done(Version),
    /// The record is no longer what the caller saw: read it again and decide again. What is read then is what the caller
    /// did not see, or something later.
    Conflict,
    /// It is answered later, by one [`Committed`].
    Pending,
    /// It can't be taken: the queue or the memory is full, or the record is longer than [`MAX_RECORD`]. The server
    /// answers 503.
    Unavailable,
}

/// The late answer to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Who waits for it.
    pub caller: Caller,
    /// The version of the record now, or why nothing was changed.
    pub result: Result<Version, CommitError>,
}

/// Why a commit changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// As [`Commit::Conflict`].
    Conflict,
    /// The store could not write. The server answers 503.
    Failed(StoreFailure),
}

/// Why registrations can't be stored, in words that say what to do about it: a damaged file is written anew from memory, so
/// that nobody need put an older copy over what was acknowledged since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice(pub StoreFailure);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            StoreFailure::Damaged => f.write_str(
                "the database is damaged; look at the disk (see the kernel's log), leave the file where it is and let the \
                 server run: all registrations are in its memory, from which it writes the file anew by itself",
            ),
            other => other.fmt(f),
        }
    }
}

/// The port: what the server asks of a location service.
///
/// Records may be shared with other servers. What is read is in memory, and so perhaps not the last that somebody else has
/// committed; a commit is decided where the records are, by their [`Version`], so nobody overwrites what they have not seen.
pub trait Location: Send + Sync {
    /// Copies the record of an address-of-record into `into` (what was there is gone) and tells its version;
    /// [`Version::ABSENT`] and an empty `into` when there is none. An expired record that was not swept yet is returned
    /// like any other. Takes no lock, and does not allocate when `into` has the room.
    fn read(&self, aor: &[u8], into: &mut Vec<u8>) -> Version;

    /// Replaces the record if it still has the version `seen`, which was read for this `aor`; an empty `record` removes it.
    /// When it is answered as done, [`read`](Self::read) gives it, or something later.
    fn commit(&self, aor: &[u8], seen: Version, record: &[u8], caller: Caller) -> Commit;

    /// Tells that who has asked for commits asks for no more at the moment: the end of a turn of a shard. A store that lets
    /// them gather need not be told, but may be sooner done with them then.
    fn turn_ended(&self) {}

    /// Visits every record (address-of-record, record), in no order. A record that is being moved by a commit meanwhile
    /// may be visited twice or not at all. For listings, not for the path of a message.
    fn for_each(&self, visit: &mut dyn FnMut(&[u8], &[u8]));

    /// Visits at most so many records as [`for_each`](Self::for_each) does, from a place on: 0, or where the last visit ended.
    /// Returns where the next ones begin; `None` at the end.
    fn visit(&self, from: u64, most: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> Option<u64>;

    /// Visits every record of which something ends by `secs` (Unix time in seconds), and perhaps others, as
    /// [`for_each`](Self::for_each) does. A store that knows when records are due need not look at all of them.
    fn for_each_due(&self, secs: u32, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let _ = secs;
        self.for_each(visit);
    }

    /// Takes what has ended by `now_secs` (Unix time in seconds) out of some of the records that are due, and tells `expired`
    /// of each that has changed. It does a bounded piece of work and holds up nobody: call it as long as it is
    /// [`Swept::Going`]. The clock may go back between calls.
    fn sweep(&self, now_secs: u32, expired: &mut dyn FnMut(&Expired)) -> Swept;

    /// How many addresses-of-record have a record.
    fn len(&self) -> usize;

    /// Whether there is no record at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that the records and their index use, in bytes.
    fn bytes(&self) -> usize;

    /// The hook for whoever has to follow changes of records. The store tells it of every record that it has published, and of
    /// every one that is gone, whoever changed it.
    fn watch(&self) -> &Watch;

    /// Why the last write failed; `None` while all is well.
    fn failing(&self) -> Option<StoreFailure> {
        None
    }
}

/// How far a sweep went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// There may be more that is due.
    Going,
    /// Nothing is due any more.
    Done {
        /// When some record may be due next, in Unix seconds, as far as is known; `None` when there is nothing to wait for.
        next: Option<u32>,
    },
}

/// What a sweep did to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The address-of-record.
    pub aor: Vec<u8>,
    /// Its record as it was.
    pub before: Vec<u8>,
    /// What of it has not ended; empty when it is gone.
    pub left: Vec<u8>,
}

/// When a record is due, in Unix seconds. One that is too short to say so has been due for ever.
pub fn due(record: &[u8]) -> u32 {
    record.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Writes what of a record has not ended at `now_secs` (Unix time in seconds) into `left`, which is no longer than it was.
pub fn unexpired(record: &[u8], now_secs: u32, left: &mut Vec<u8>) {
    registrar::unexpired(record, u64::from(now_secs), left);
}
