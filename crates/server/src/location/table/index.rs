//! From a hash to the first record of its bucket: linear hashing over segments that double, so that growing moves the
//! records of one bucket at a time and never the whole.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::arena::Place;

/// The buckets of the first segment; each later one doubles what there is.
const FIRST: u32 = 256;
const SEGMENTS: usize = 24;

/// The heads of the buckets. Reading takes no lock; who changes it holds the table's.
#[derive(Debug)]
pub(super) struct Index {
    segments: [OnceLock<Box<[AtomicU32]>>; SEGMENTS],
    buckets: AtomicU32,
    bytes: AtomicUsize,
}

/// A bucket that is to be divided.
#[derive(Debug)]
pub(super) struct Split<'a> {
    /// The bucket that holds the records of both.
    pub(super) old: &'a AtomicU32,
    /// The one that is new.
    pub(super) new: &'a AtomicU32,
    number: u32,
    mask: u32,
}

impl Split<'_> {
    /// Where a record of the old bucket belongs.
    pub(super) fn side(&self, hash: u32) -> &AtomicU32 {
        if hash & self.mask == self.number {
            self.new
        } else {
            self.old
        }
    }
}

impl Index {
    pub(super) fn new() -> Self {
        let index = Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
            buckets: AtomicU32::new(FIRST),
            bytes: AtomicUsize::new(0),
        };
        index.segment(0);
        index
    }

    /// The head of the bucket that a hash belongs to. While a bucket is being divided this may be the wrong one of the
    /// two: who misses looks again.
    pub(super) fn head(&self, hash: u32) -> &AtomicU32 {
        let buckets = self.buckets.load(Ordering::Acquire);
        let mask = buckets.next_power_of_two() - 1;
        let number = if hash & mask < buckets {
            hash & mask
        } else {
            hash & (mask >> 1)
        };
        self.bucket(number)
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets.load(Ordering::Relaxed) as usize
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The next bucket to divide; `None` when there are as many as there can be. Ends with [`Self::divided`].
    pub(super) fn split(&self) -> Option<Split<'_>> {
        let number = self.buckets.load(Ordering::Relaxed);
        let half = 1 << number.ilog2();
        let last = FIRST << (SEGMENTS - 1);
        (number < last).then(|| Split {
            old: self.bucket(number - half),
            new: self.bucket(number),
            number,
            mask: (half << 1) - 1,
        })
    }

    /// Lets look-ups use the bucket that was split off.
    pub(super) fn divided(&self) {
        self.buckets.fetch_add(1, Ordering::Release);
    }

    fn bucket(&self, number: u32) -> &AtomicU32 {
        let segment = (number / FIRST).checked_ilog2().map_or(0, |log| log as usize + 1);
        let start = if segment == 0 { 0 } else { FIRST << (segment - 1) };
        &self.segment(segment)[(number - start) as usize]
    }

    fn segment(&self, segment: usize) -> &[AtomicU32] {
        self.segments[segment].get_or_init(|| {
            let buckets = if segment == 0 {
                FIRST
            } else {
                FIRST << (segment - 1)
            };
            self.bytes
                .fetch_add(buckets as usize * size_of::<Place>(), Ordering::Relaxed);
            (0..buckets).map(|_| AtomicU32::new(0)).collect()
        })
    }
}
