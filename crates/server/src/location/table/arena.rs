//! Where records lie: chunks of atomic words, cut into places. A place is addressed by the number of its first unit, is
//! never cut again nor joined with another, and is reused for records of about its size. So the first word of a place
//! stays the sequence word of a place for ever, and a reader that comes late finds a record or a free place, never the
//! middle of one.

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
    max_bytes: usize,
}

impl Allocator {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            free: vec![0; CHUNK_UNITS as usize + 1].into_boxed_slice(),
            max_bytes,
        }
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

    /// Takes a place of `units` or slightly more: a free one, else a fresh one; `None` when the memory allowed is used up.
    /// The place is marked free until a record is written to it.
    pub(super) fn take(&self, units: u32, allocator: &mut Allocator) -> Option<Place> {
        let roomy = (units + units / 8).min(CHUNK_UNITS);
        for size in units..=roomy {
            let place = allocator.free[size as usize];
            if place != 0 {
                allocator.free[size as usize] = self.words(place).map_or(0, record::free_link);
                return Some(place);
            }
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

    /// Puts a place, already marked free, on the list of its size.
    pub(super) fn give_back(&self, place: Place, units: u32, allocator: &mut Allocator) {
        if let Some(words) = self.words(place) {
            record::set_free_link(words, allocator.free[units as usize]);
            allocator.free[units as usize] = place;
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
