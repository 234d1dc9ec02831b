//! The shared table in memory under every store: readers and refreshes take no lock.
//!
//! A record lies in one place of an `arena`, guarded by a sequence lock (`record`); an `index` leads from the hash of
//! the address-of-record to it. An update that fits its place claims the record by its sequence word and takes no lock, so
//! the refreshes that are nearly all of a registrar's work neither wait nor allocate. What changes the structure (a new
//! record, one that outgrows its place, a removal, a bucket divided) is done under one lock. Readers never wait for it when
//! they find their record. When records are due is kept in a `wheel`, under the same lock. A reader that *misses* while links are being changed may have been led astray, so every such
//! change counts `shape` up, to odd while it is under way: a miss counts only if `shape` was even and has stayed the same.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

use self::arena::{Allocator, Arena, Place};
use self::index::Index;
use self::record::{Glance, Sequence};
use self::wheel::Wheel;
use super::{Expired, MAX_AOR, MAX_RECORD, Swept, Version, Watch, due, unexpired};

mod arena;
mod index;
mod record;
#[cfg(test)]
mod tests;
mod wheel;

/// How many records one step of a sweep looks at: some ten microseconds.
const STEP: usize = 256;

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
    wheel: Wheel,
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

/// The version of a record: its place, and the count of its sequence there.
fn version(place: Place, count: u64) -> Version {
    Version::new([u64::from(place), count])
}

/// Place and count of a version; that of another store has a place that never was.
fn parts(version: Version) -> (Place, u64) {
    let [place, count] = version.numbers();
    (Place::try_from(place).unwrap_or(Place::MAX), count)
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
                wheel: Wheel::new(),
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
        let words = self.arena.words(parts(seen).0).ok_or(Refused::Conflict)?;
        if !record.is_empty() && record::units_for(aor.len(), record.len()) <= record::units(words) {
            return self.update(words, seen, record);
        }
        let found = self.seen(seen).ok_or(Refused::Conflict)?;
        if record.is_empty() {
            self.remove(found)?;
            Ok(Version::ABSENT)
        } else {
            self.relocate(aor, found, record, &mut self.lock())
        }
    }

    /// Replaces a record whatever it was; an empty `record` removes it.
    ///
    /// # Errors
    /// [`Refused::Full`] or [`Refused::TooLong`].
    pub fn set(&self, aor: &[u8], record: &[u8]) -> Result<Version, Refused> {
        if aor.len() > MAX_AOR || record.len() > MAX_RECORD {
            return Err(Refused::TooLong);
        }
        let hash = self.hash(aor);
        loop {
            let done = match self.find(hash, aor, None) {
                Some(found) => self.publish(aor, found.version(), record),
                None if record.is_empty() => Ok(Version::ABSENT),
                None => self.insert(hash, aor, record),
            };
            if done.is_ok() {
                self.watch.changed(aor);
            }
            if done != Err(Refused::Conflict) {
                return done;
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

    /// Visits every record that is due by this second, and perhaps others; see
    /// [`Location::for_each_due`](super::Location::for_each_due). The records of one second are copied while the lock is held.
    pub fn for_each_due(&self, secs: u32, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let lists = self.lock().wheel.lists_by(secs);
        let (mut aor, mut record, mut copied, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for list in lists {
            copied.clear();
            ends.clear();
            let structure = self.lock();
            for place in structure.wheel.places(&self.arena, list) {
                if self.stop_at(place, &mut aor, &mut record).0.is_some() {
                    copied.extend_from_slice(&aor);
                    let between = copied.len();
                    copied.extend_from_slice(&record);
                    ends.push((between, copied.len()));
                }
            }
            drop(structure);
            let mut start = 0;
            for &(between, end) in &ends {
                visit(&copied[start..between], &copied[between..end]);
                start = end;
            }
        }
    }

    /// Tells an empty table what time it is, in Unix seconds, so that what comes is filed right from the beginning.
    pub fn begin_at(&self, now_secs: u32) {
        self.lock().wheel.begin_at(now_secs);
    }

    /// Looks at some of the records that are due at `now_secs`, takes out of them what has ended, and tells it.
    pub fn sweep(&self, now_secs: u32, expired: &mut Vec<Expired>) -> Swept {
        let before = expired.len();
        let swept = self.sweep_some(now_secs, expired);
        let changed = expired.iter().skip(before);
        changed.for_each(|expired| self.watch.changed(&expired.aor));
        swept
    }

    fn sweep_some(&self, now_secs: u32, expired: &mut Vec<Expired>) -> Swept {
        let mut structure = self.lock();
        structure.wheel.turn_to(now_secs);
        for _ in 0..STEP {
            let Some(place) = structure.wheel.take_due(&self.arena, now_secs) else {
                let next = structure.wheel.next_due();
                return Swept::Done { next };
            };
            expired.extend(self.look_at(place, now_secs, &mut structure));
        }
        Swept::Going
    }

    /// Looks at a record that was taken out of the wheel because it may be due, and files it again if it stays.
    fn look_at(&self, place: Place, now_secs: u32, structure: &mut Structure) -> Option<Expired> {
        let at = self.due_at(place)?;
        let (mut aor, mut before, mut left) = (Vec::new(), Vec::new(), Vec::new());
        if at > now_secs {
            if !self.tighten(place, structure) {
                structure.wheel.file(&self.arena, place, at);
            }
            return None;
        }
        let (found, _) = self.stop_at(place, &mut aor, &mut before);
        let found = found?;
        unexpired(&before, now_secs, &mut left);
        let claimed = if due(&before) <= now_secs {
            self.claim(found).ok()
        } else {
            None
        };
        let Some(words) = claimed else {
            // Somebody has refreshed it meanwhile.
            structure
                .wheel
                .file(&self.arena, place, now_secs.saturating_add(1));
            return None;
        };
        if left.is_empty() {
            self.unlink(words, found, structure);
        } else {
            record::update(words, &left, found.sequence.count() + 1);
            if !self.tighten(place, structure) {
                structure.wheel.file(&self.arena, place, due(&left));
            }
        }
        Some(Expired { aor, before, left })
    }

    /// Moves a record out of a place that has become larger than need be, if there is a free one that fits better: records
    /// grow for a while, and the larger places must not end up with small ones. Whether it did.
    fn tighten(&self, place: Place, structure: &mut Structure) -> bool {
        let Some(words) = self.arena.words(place) else {
            return false;
        };
        let (units, needed) = (record::units(words), record::units_needed(words));
        let better = structure.allocator.smallest(needed);
        if needed >= units || better.is_none_or(|better| better >= units) {
            return false;
        }
        let (mut aor, mut record) = (Vec::new(), Vec::new());
        let (found, _) = self.stop_at(place, &mut aor, &mut record);
        found.is_some_and(|found| self.relocate(&aor, found, &record, structure).is_ok())
    }

    /// When the record in a place is due; `None` if there is none.
    fn due_at(&self, place: Place) -> Option<u32> {
        let words = self.arena.words(place)?;
        let mut patience = Patience::default();
        loop {
            match record::due_here(words) {
                Ok(due) => return due,
                Err(record::Unsettled) => patience.wait(),
            }
        }
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
        size_of::<Self>() + self.arena.bytes() + self.index.bytes() + Wheel::bytes()
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
        let (place, count) = parts(version);
        let words = self.arena.words(place)?;
        let sequence = Sequence::stable(count);
        record::is_current(words, sequence).then(|| Found {
            place,
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
        structure.wheel.file(&self.arena, place, due(record));
        let len = self.len.fetch_add(1, Ordering::Relaxed) + 1;
        if len > self.index.buckets() {
            self.divide_bucket();
        }
        Ok(version(place, count))
    }

    /// Moves a record to a place that fits it better.
    fn relocate(
        &self,
        aor: &[u8],
        found: Found,
        record: &[u8],
        structure: &mut Structure,
    ) -> Result<Version, Refused> {
        let (place, words) = self.take(aor, record, structure)?;
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
        self.release(old, found, structure);
        structure.wheel.file(&self.arena, place, due(record));
        Ok(version(place, count))
    }

    fn remove(&self, found: Found) -> Result<(), Refused> {
        let mut structure = self.lock();
        let words = self.claim(found)?;
        self.unlink(words, found, &mut structure);
        Ok(())
    }

    /// Takes a claimed record out of its bucket, and frees its place.
    fn unlink(&self, words: &[AtomicU64], found: Found, structure: &mut Structure) {
        self.change_links(|| self.link_to(found).set(record::link(words).1));
        self.release(words, found, structure);
        self.len.fetch_sub(1, Ordering::Relaxed);
    }

    /// An update in place: no lock, unless it is due earlier than before.
    fn update(&self, words: &[AtomicU64], seen: Version, record: &[u8]) -> Result<Version, Refused> {
        let (place, seen) = parts(seen);
        if !record::claim(words, Sequence::stable(seen)) {
            return Err(Refused::Conflict);
        }
        let count = seen + 1;
        if record::update(words, record, count) {
            self.file_again(place);
        }
        Ok(version(place, count))
    }

    /// Files a record for when it is due now, whichever record is there by then.
    #[cold]
    fn file_again(&self, place: Place) {
        let mut structure = self.lock();
        if let Some(at) = self.due_at(place) {
            structure.wheel.take_out(&self.arena, place);
            structure.wheel.file(&self.arena, place, at);
        }
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
        structure.wheel.take_out(&self.arena, found.place);
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
