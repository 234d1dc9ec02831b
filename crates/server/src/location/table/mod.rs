//! The shared table in memory under every store: readers and refreshes take no lock.
//!
//! A record lies in one place of an `arena`, guarded by a sequence lock (`record`); an `index` leads from the hash of
//! the address-of-record to it. An update that fits its place claims the record by its sequence word and takes no lock, so
//! the refreshes that are nearly all of a registrar's work neither wait nor allocate. What changes the structure (a new
//! record, one that outgrows its place, a removal, a bucket divided) is done under one lock. Readers never wait for it when
//! they find their record. A reader that *misses* while links are being changed may have been led astray, so every such
//! change counts `shape` up, to odd while it is under way: a miss counts only if `shape` was even and has stayed the same.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

use self::arena::{Allocator, Arena, CHUNK_UNITS, Place};
use self::index::Index;
use self::record::{Glance, Sequence};
use super::{MAX_AOR, MAX_RECORD, Version, Watch, expiry};

mod arena;
mod index;
mod record;
#[cfg(test)]
mod tests;

/// Records of addresses-of-record in memory.
#[derive(Debug)]
pub struct Table {
    arena: Arena,
    index: Index,
    /// Odd while links are being changed; see the module.
    shape: AtomicU64,
    len: AtomicUsize,
    /// Both seeds are secret, and no hash is shown, so that nobody can choose addresses that fall into one bucket.
    seeds: (u64, SharedSeed),
    structure: Mutex<Structure>,
    max_bytes: usize,
    watch: Watch,
}

/// What only the holder of the lock touches.
#[derive(Debug)]
struct Structure {
    allocator: Allocator,
    /// At least the count of every record that was ever freed.
    floor: u64,
}

/// Why the table changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The record does not have the version that the caller saw.
    Conflict,
    /// The memory that the table may use is used up.
    Full,
    /// The address or the record is longer than [`MAX_AOR`] or [`MAX_RECORD`].
    TooLong,
}

/// Where a look-up ended.
#[derive(Clone, Copy, Debug)]
struct Found {
    place: Place,
    hash: u32,
    sequence: Sequence,
    units: u32,
}

impl Found {
    fn version(self) -> Version {
        version(self.place, self.sequence.count())
    }
}

fn version(place: Place, sequence: u64) -> Version {
    Version { place, sequence }
}

fn seeds(key: [u8; 16]) -> (u64, SharedSeed) {
    let key = u128::from_le_bytes(key);
    (key as u64, SharedSeed::from_u64((key >> 64) as u64))
}

impl Table {
    /// An empty table that hashes with this key and uses at most `max_bytes` of memory for its records.
    pub fn new(key: [u8; 16], max_bytes: usize) -> Self {
        Self {
            arena: Arena::new(),
            index: Index::new(),
            shape: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            seeds: seeds(key),
            structure: Mutex::new(Structure {
                allocator: Allocator::new(max_bytes),
                floor: 0,
            }),
            max_bytes,
            watch: Watch::default(),
        }
    }

    /// Copies a record into `into` and tells its version; [`Version::ABSENT`] and an empty `into` when there is none.
    pub fn read(&self, aor: &[u8], into: &mut Vec<u8>) -> Version {
        if let Some(found) = self.find(self.hash(aor), aor, Some(into)) {
            return found.version();
        }
        into.clear();
        Version::ABSENT
    }

    /// The version of a record.
    pub fn version(&self, aor: &[u8]) -> Version {
        self.find(self.hash(aor), aor, None)
            .map_or(Version::ABSENT, Found::version)
    }

    /// Whether the record still has the version `seen`.
    pub fn is_current(&self, aor: &[u8], seen: Version) -> bool {
        match seen {
            Version::ABSENT => self.version(aor) == seen,
            _ => self.seen(seen).is_some(),
        }
    }

    /// Who waits for changes, which are told here as they are published.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Replaces a record that still has the version `seen`; an empty `record` removes it. Takes no lock and allocates
    /// nothing when the record exists and its place has the room.
    ///
    /// # Errors
    /// [`Refused`]; nothing was changed.
    pub fn compare_and_set(&self, aor: &[u8], seen: Version, record: &[u8]) -> Result<Version, Refused> {
        let published = self.publish(aor, seen, record);
        if published.is_ok() {
            self.watch.changed(aor);
        }
        published
    }

    fn publish(&self, aor: &[u8], seen: Version, record: &[u8]) -> Result<Version, Refused> {
        if aor.len() > MAX_AOR || record.len() > MAX_RECORD {
            return Err(Refused::TooLong);
        }
        if seen == Version::ABSENT {
            let hash = self.hash(aor);
            return match self.find(hash, aor, None) {
                Some(_) => Err(Refused::Conflict),
                None if record.is_empty() => Ok(Version::ABSENT),
                None => self.insert(hash, aor, record),
            };
        }
        // No look-up: a sequence never comes back at one place.
        let words = self.arena.words(seen.place).ok_or(Refused::Conflict)?;
        if !record.is_empty() && record::units_for(aor.len(), record.len()) <= record::units(words) {
            return update(words, seen, record);
        }
        let found = self.seen(seen).ok_or(Refused::Conflict)?;
        if record.is_empty() {
            self.remove(found)?;
            Ok(Version::ABSENT)
        } else {
            self.relocate(aor, found, record)
        }
    }

    /// Replaces a record whatever it was; an empty `record` removes it.
    ///
    /// # Errors
    /// [`Refused::Full`] or [`Refused::TooLong`].
    pub fn set(&self, aor: &[u8], record: &[u8]) -> Result<Version, Refused> {
        loop {
            match self.compare_and_set(aor, self.version(aor), record) {
                Err(Refused::Conflict) => {}
                done => return done,
            }
        }
    }

    /// Visits every record, in no order; see [`Location::for_each`](super::Location::for_each).
    pub fn for_each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.visit(0, usize::MAX, visit);
    }

    /// Visits at most so many records, from a place on (first 0). Returns where the next ones begin; `None` at the end.
    pub fn visit(&self, from: u32, most: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> Option<u32> {
        let (mut aor, mut record) = (Vec::new(), Vec::new());
        let mut place = from;
        let mut visited = 0;
        while place < self.arena.cut() {
            if visited == most {
                return Some(place);
            }
            let (found, next) = self.stop_at(place, &mut aor, &mut record);
            if found.is_some() {
                visit(&aor, &record);
                visited += 1;
            }
            place = next;
        }
        None
    }

    /// Removes what has expired at `now_secs` in the part of the table that begins at `from` (first 0), and adds the
    /// addresses to `removed`. Returns where the next part begins; `None` at the end.
    pub fn sweep(&self, from: u32, now_secs: u32, removed: &mut Vec<Vec<u8>>) -> Option<u32> {
        let (mut aor, mut record) = (Vec::new(), Vec::new());
        let mut place = from;
        let end = from.saturating_add(CHUNK_UNITS).min(self.arena.cut());
        while place < end {
            let (found, next) = self.stop_at(place, &mut aor, &mut record);
            if let Some(found) = found
                && expiry(&record) <= now_secs
                && self.remove(found).is_ok()
            {
                self.watch.changed(&aor);
                removed.push(aor.clone());
            }
            place = next;
        }
        (end < self.arena.cut()).then_some(end)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory in use, in bytes: records, free places, index.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.arena.bytes() + self.index.bytes()
    }

    /// Whether a new record might find no room.
    pub fn is_full(&self) -> bool {
        self.arena.bytes() + 2 * arena::CHUNK_BYTES > self.max_bytes
    }

    fn hash(&self, aor: &[u8]) -> u32 {
        let mut hasher = FoldHasher::with_seed(self.seeds.0, &self.seeds.1);
        hasher.write(aor);
        (hasher.finish() & 0xffff_ffff) as u32
    }

    /// Looks a record up, and copies it out if asked.
    fn find(&self, hash: u32, aor: &[u8], mut copy: Option<&mut Vec<u8>>) -> Option<Found> {
        let mut patience = Patience::default();
        loop {
            let shape = self.shape.load(Ordering::Acquire);
            match self.walk(hash, aor, copy.as_deref_mut(), &mut patience) {
                Walk::Found(found) => return Some(found),
                Walk::End => {
                    // Pairs with the fence in `change_links`: a link of a change under way shows that change here.
                    fence(Ordering::Acquire);
                    if shape & 1 == 0 && self.shape.load(Ordering::Relaxed) == shape {
                        return None;
                    }
                }
                Walk::Lost => {}
            }
            patience.wait();
        }
    }

    /// The record that was read with this version, unless it has changed.
    fn seen(&self, version: Version) -> Option<Found> {
        let words = self.arena.words(version.place)?;
        let sequence = Sequence::stable(version.sequence);
        record::is_current(words, sequence).then(|| Found {
            place: version.place,
            hash: record::link(words).0,
            sequence,
            units: record::units(words),
        })
    }

    fn walk(&self, hash: u32, aor: &[u8], mut copy: Option<&mut Vec<u8>>, patience: &mut Patience) -> Walk {
        let mut place = self.index.head(hash).load(Ordering::Acquire);
        while place != 0 {
            let Some(words) = self.arena.words(place) else {
                return Walk::Lost;
            };
            match record::look(words, hash, aor, copy.as_deref_mut()) {
                Glance::Found { sequence, units } => {
                    return Walk::Found(Found {
                        place,
                        hash,
                        sequence,
                        units,
                    });
                }
                Glance::Other(next) => place = next,
                Glance::Busy => patience.wait(),
                Glance::Lost => return Walk::Lost,
            }
        }
        Walk::End
    }

    /// Copies out the record in a place, if there is one, and tells where the place after it begins.
    fn stop_at(&self, place: Place, aor: &mut Vec<u8>, record: &mut Vec<u8>) -> (Option<Found>, Place) {
        let Some(words) = self.arena.words(place) else {
            return (None, Place::MAX);
        };
        let units = record::units(words);
        let next = place.saturating_add(units.max(1));
        let mut patience = Patience::default();
        loop {
            match record::copy(words, aor, record) {
                Ok(None) => return (None, next),
                Ok(Some((sequence, hash))) => {
                    return (
                        Some(Found {
                            place,
                            hash,
                            sequence,
                            units,
                        }),
                        next,
                    );
                }
                Err(record::Unsettled) => patience.wait(),
            }
        }
    }

    fn insert(&self, hash: u32, aor: &[u8], record: &[u8]) -> Result<Version, Refused> {
        let mut structure = self.lock();
        if self.find(hash, aor, None).is_some() {
            return Err(Refused::Conflict);
        }
        let (place, words) = self.take(aor, record, &mut structure)?;
        let count = structure.floor + 1;
        record::fill(words, hash, aor, record, count);
        let head = self.index.head(hash);
        record::set_next(words, head.load(Ordering::Relaxed));
        head.store(place, Ordering::Release);
        let len = self.len.fetch_add(1, Ordering::Relaxed) + 1;
        if len > self.index.buckets() {
            self.divide_bucket();
        }
        Ok(version(place, count))
    }

    /// Moves a record that outgrows its place.
    fn relocate(&self, aor: &[u8], found: Found, record: &[u8]) -> Result<Version, Refused> {
        let mut structure = self.lock();
        let (place, words) = self.take(aor, record, &mut structure)?;
        let old = match self.claim(found) {
            Ok(old) => old,
            Err(refused) => {
                let units = record::units(words);
                self.arena.give_back(place, units, &mut structure.allocator);
                return Err(refused);
            }
        };
        let count = structure.floor.max(found.sequence.count()) + 1;
        record::fill(words, found.hash, aor, record, count);
        self.change_links(|| {
            record::set_next(words, record::link(old).1);
            self.link_to(found).set(place);
        });
        self.release(old, found, &mut structure);
        Ok(version(place, count))
    }

    fn remove(&self, found: Found) -> Result<(), Refused> {
        let mut structure = self.lock();
        let words = self.claim(found)?;
        self.change_links(|| self.link_to(found).set(record::link(words).1));
        self.release(words, found, &mut structure);
        self.len.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Structure> {
        self.structure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, found: Found) -> Result<&[AtomicU64], Refused> {
        let words = self.arena.words(found.place).ok_or(Refused::Conflict)?;
        if record::claim(words, found.sequence) {
            Ok(words)
        } else {
            Err(Refused::Conflict)
        }
    }

    fn take(
        &self,
        aor: &[u8],
        record: &[u8],
        structure: &mut Structure,
    ) -> Result<(Place, &[AtomicU64]), Refused> {
        let units = record::units_for(aor.len(), record.len());
        let place = self
            .arena
            .take(units, &mut structure.allocator)
            .ok_or(Refused::Full)?;
        Ok((place, self.arena.words(place).ok_or(Refused::Full)?))
    }

    /// Ends the claim on a place that no link leads to any more.
    fn release(&self, words: &[AtomicU64], found: Found, structure: &mut Structure) {
        structure.floor = structure.floor.max(found.sequence.count());
        record::free(words, found.sequence.count());
        self.arena
            .give_back(found.place, found.units, &mut structure.allocator);
    }

    /// Lets readers that miss meanwhile look again. The caller holds the lock.
    fn change_links(&self, change: impl FnOnce()) {
        let shape = self.shape.load(Ordering::Relaxed);
        self.shape.store(shape + 1, Ordering::Relaxed);
        // Pairs with the fence in `find`: who sees one of the links that follow sees the odd shape.
        fence(Ordering::Release);
        change();
        self.shape.store(shape + 2, Ordering::Release);
    }

    /// What leads to a record. The caller holds the lock, so the record is in the bucket of its hash.
    fn link_to(&self, found: Found) -> Link<'_> {
        let head = self.index.head(found.hash);
        let mut link = Link::Head(head);
        let mut place = head.load(Ordering::Relaxed);
        while place != found.place
            && let Some(words) = self.arena.words(place)
            && place != 0
        {
            link = Link::Record(words);
            place = record::link(words).1;
        }
        link
    }

    /// Divides one bucket, so that there are as many buckets as records. The caller holds the lock.
    fn divide_bucket(&self) {
        let Some(split) = self.index.split() else { return };
        self.change_links(|| {
            let mut place = split.old.swap(0, Ordering::AcqRel);
            while place != 0
                && let Some(words) = self.arena.words(place)
            {
                let (hash, next) = record::link(words);
                let head = split.side(hash);
                record::set_next(words, head.load(Ordering::Relaxed));
                head.store(place, Ordering::Release);
                place = next;
            }
            self.index.divided();
        });
    }
}

/// An update in place: no lock.
fn update(words: &[AtomicU64], seen: Version, record: &[u8]) -> Result<Version, Refused> {
    if !record::claim(words, Sequence::stable(seen.sequence)) {
        return Err(Refused::Conflict);
    }
    let count = seen.sequence + 1;
    record::update(words, record, count);
    Ok(version(seen.place, count))
}

/// What leads to a record: the head of its bucket, or the record before it.
#[derive(Debug)]
enum Link<'a> {
    Head(&'a AtomicU32),
    Record(&'a [AtomicU64]),
}

impl Link<'_> {
    fn set(&self, place: Place) {
        match self {
            Self::Head(head) => head.store(place, Ordering::Release),
            Self::Record(words) => record::set_next(words, place),
        }
    }
}

/// How a walk along one bucket ended.
#[derive(Debug)]
enum Walk {
    Found(Found),
    End,
    Lost,
}

/// Waits for a writer that is in the middle of a record: a little while at once, then by letting others run, for the
/// writer may have been put off its core.
#[derive(Debug, Default)]
struct Patience(u32);

impl Patience {
    fn wait(&mut self) {
        if self.0 < 64 {
            self.0 += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}
