//! Where records lie: chunks of atomic words, cut into places. A place is addressed by the number of its first unit, and
//! reused for records that fit; a free one that is much too large may be cut once more, but none is ever joined with
//! another. So the first word of a place stays the sequence word of a place for ever, and a reader that comes late finds a
//! record or a free place, never the middle of one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::record;

/// The words of a unit (32 bytes), in which places are measured and addressed.
pub(super) const UNIT_WORDS: usize = 4;

/// The units of a chunk (64 KiB), so that a small server stays small.
pub(super) const CHUNK_UNITS: u32 = 2048;

const CHUNK_WORDS: usize = CHUNK_UNITS as usize * UNIT_WORDS;

/// The bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = CHUNK_WORDS * 8;

/// The most units that there can be: 64 GiB.
const MOST_UNITS: u32 = 1 << 31;

/// Directory segments; segment `s` has room for `2^s` chunks. Together they cover every address.
const SEGMENTS: usize = 21;

type Chunk = OnceLock<Box<[AtomicU64]>>;

/// The address of a place; zero is none, and the highest bit is never set.
pub(super) type Place = u32;

/// The memory itself. Reading takes no lock; cutting and freeing places is done through the [`Allocator`], which is kept
/// under the table's lock.
#[derive(Debug)]
pub(super) struct Arena {
    segments: [OnceLock<Box<[Chunk]>>; SEGMENTS],
    /// Units cut so far: everything below belongs to a place whose header has been written.
    cut: AtomicU32,
    bytes: AtomicUsize,
}

/// What is free. One list for each size in units, linked through the free places themselves.
#[derive(Debug)]
pub(super) struct Allocator {
    free: Box<[Place]>,
    /// One bit for each size of which there is a free place.
    sizes: [u64; CHUNK_UNITS as usize / 64 + 1],
    max_bytes: usize,
}

impl Allocator {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            free: vec![0; CHUNK_UNITS as usize + 1].into_boxed_slice(),
            sizes: [0; _],
            max_bytes,
        }
    }

    /// The size of the smallest free place that has so many units.
    pub(super) fn smallest(&self, units: u32) -> Option<u32> {
        let first = (units / 64) as usize;
        let mut wanted = u64::MAX << (units % 64);
        for (at, sizes) in self.sizes.iter().enumerate().skip(first) {
            let found = sizes & wanted;
            if found != 0 {
                return Some(at as u32 * 64 + found.trailing_zeros());
            }
            wanted = u64::MAX;
        }
        None
    }

    /// Makes `place` the first free one of its size, and tells which it was before.
    fn set_first(&mut self, units: u32, place: Place) -> Place {
        let bit = 1 << (units % 64);
        let sizes = &mut self.sizes[(units / 64) as usize];
        *sizes = if place == 0 { *sizes & !bit } else { *sizes | bit };
        std::mem::replace(&mut self.free[units as usize], place)
    }
}

impl Arena {
    pub(super) fn new() -> Self {
        Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
            cut: AtomicU32::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// The words from the beginning of a place to the end of its chunk; `None` for an address that was never cut.
    pub(super) fn words(&self, place: Place) -> Option<&[AtomicU64]> {
        let (segment, index) = position(place / CHUNK_UNITS);
        let chunk = self.segments.get(segment)?.get()?.get(index)?.get()?;
        chunk.get((place % CHUNK_UNITS) as usize * UNIT_WORDS..)
    }

    /// The units that have been cut into places; the places tile `0..cut()`.
    pub(super) fn cut(&self) -> u32 {
        // Acquire: whoever sees the new end sees the headers below it.
        self.cut.load(Ordering::Acquire)
    }

    /// The memory in use, in bytes, with the directory and the lists of free places.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed) + (CHUNK_UNITS as usize + 1) * size_of::<Place>()
    }

    /// Takes a place of `units` or more: the smallest free one, else a fresh one; `None` when the memory allowed is used up.
    /// The place is marked free until a record is written to it.
    pub(super) fn take(&self, units: u32, allocator: &mut Allocator) -> Option<Place> {
        if let Some(size) = allocator.smallest(units) {
            return self.take_free(size, units, allocator);
        }
        let left = (CHUNK_UNITS - self.cut() % CHUNK_UNITS) % CHUNK_UNITS;
        if left < units {
            if left > 0 {
                let rest = self.cut_place(left)?;
                self.give_back(rest, left, allocator);
            }
            self.grow(allocator.max_bytes)?;
        }
        self.cut_place(units)
    }

    /// Takes a free place of this size. Of one that could hold two such records the rest stays free.
    fn take_free(&self, size: u32, units: u32, allocator: &mut Allocator) -> Option<Place> {
        let place = allocator.free[size as usize];
        let words = self.words(place)?;
        allocator.set_first(size, record::free_link(words));
        if size >= 2 * units {
            let rest = place + units;
            record::cut(self.words(rest)?, size - units);
            record::shorten(words, units);
            self.give_back(rest, size - units, allocator);
        }
        Some(place)
    }

    /// Puts a place, already marked free, on the list of its size.
    pub(super) fn give_back(&self, place: Place, units: u32, allocator: &mut Allocator) {
        if let Some(words) = self.words(place) {
            let after = allocator.set_first(units, place);
            record::set_free_link(words, after);
        }
    }

    fn cut_place(&self, units: u32) -> Option<Place> {
        let place = self.cut.load(Ordering::Relaxed);
        let end = place.checked_add(units).filter(|end| *end <= MOST_UNITS)?;
        record::cut(self.words(place)?, units);
        self.cut.store(end, Ordering::Release);
        Some(place)
    }

    /// Adds a chunk behind the last one.
    fn grow(&self, max_bytes: usize) -> Option<()> {
        let (segment, index) = position(self.cut.load(Ordering::Relaxed) / CHUNK_UNITS);
        let directory = 1 << segment;
        let fresh_segment = self.segments.get(segment)?.get().is_none();
        let more = CHUNK_BYTES
            + if fresh_segment {
                directory * size_of::<Chunk>()
            } else {
                0
            };
        if self.bytes.load(Ordering::Relaxed) + more > max_bytes {
            return None;
        }
        let chunks = self.segments[segment].get_or_init(|| (0..directory).map(|_| Chunk::new()).collect());
        chunks
            .get(index)?
            .get_or_init(|| (0..CHUNK_WORDS).map(|_| AtomicU64::new(0)).collect());
        self.bytes.fetch_add(more, Ordering::Relaxed);
        if self.cut() == 0 {
            self.cut_place(1)?; // unit 0 is never given away: its address means "none"
        }
        Some(())
    }
}

/// Directory segment and index of a chunk.
fn position(chunk: u32) -> (usize, usize) {
    let segment = (chunk + 1).ilog2();
    (segment as usize, (chunk + 1 - (1 << segment)) as usize)
}
