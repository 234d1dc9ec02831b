//! One record in its place: a sequence lock over atomic words.
//!
//! ```text
//! word 0   sequence: version (62 bits), state (2 bits)
//! word 1   link: hash (32 bits), the place of the next record of the bucket (32 bits)
//! word 2   sizes: units of the place (16 bits), length of the AOR (16 bits), length of the record (32 bits)
//! word 3   where it is filed in the wheel: the places before and after it (32 bits each); only for who holds the lock
//! word 4.. the AOR, filled up to a word, then the record
//! ```
//!
//! **Memory ordering.** Every word is an atomic, so a torn read is a wrong value, never undefined behaviour; the sequence
//! tells wrong values from right ones. A writer claims the record by a compare-exchange of the sequence word to `Writing`,
//! then a release fence, then relaxed stores, then a release store of the new sequence. A reader loads the sequence
//! (acquire), then the words (relaxed), then an acquire fence, then the sequence again (relaxed). If any of the words came
//! from a writer, the reader's fence synchronises with that writer's fence, so the second load sees that writer's claim or
//! something later, and differs from the first. If the first load saw a stable sequence, its acquire makes everything
//! visible that was written before that sequence was stored. The link is read with acquire and written with release, so
//! that who follows it sees the record that it leads to.
//!
//! A sequence never comes back at one place: an update counts it up, and a record that moves to a place or is made in one
//! gets a version above that of every record that was ever freed (the table's floor). So a compare-exchange of the
//! sequence that was seen succeeds only on the very record that was seen.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::arena::{Place, UNIT_WORDS};
use crate::location::due;

/// The words before the AOR.
const HEADER_WORDS: usize = 4;

const STABLE: u64 = 0;
const WRITING: u64 = 1;
const FREE: u64 = 2;
const STATE: u64 = 3;

/// The sequence word of a record as it was read while stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence(u64);

impl Sequence {
    /// That of a record which has just been written, or was read with this version.
    pub(super) fn stable(count: u64) -> Self {
        Self(count << 2 | STABLE)
    }

    pub(super) fn count(self) -> u64 {
        self.0 >> 2
    }
}

/// What a reader saw of the record in a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Glance {
    /// The record that was looked for.
    Found {
        /// To claim it by.
        sequence: Sequence,
        /// The size of its place.
        units: u32,
    },
    /// Another one; the next of the bucket.
    Other(Place),
    /// It is being written.
    Busy,
    /// It was changed while it was read, or the place is free: start again from the bucket.
    Lost,
}

/// The units a place needs for a record of these lengths in bytes.
pub(super) fn units_for(aor: usize, record: usize) -> u32 {
    let words = HEADER_WORDS + aor.div_ceil(8) + record.div_ceil(8);
    u32::try_from(words.div_ceil(UNIT_WORDS)).unwrap_or(u32::MAX)
}

/// Looks whether the record here is that of `aor`, and copies it into `copy` if so.
pub(super) fn look(words: &[AtomicU64], hash: u32, aor: &[u8], copy: Option<&mut Vec<u8>>) -> Glance {
    let before = words[0].load(Ordering::Acquire);
    match before & STATE {
        STABLE => {}
        WRITING => return Glance::Busy,
        _ => return Glance::Lost,
    }
    let (its_hash, next) = unpack_link(words[1].load(Ordering::Acquire));
    let sizes = Sizes::of(words);
    let found = its_hash == hash && sizes.aor == aor.len() && same(&words[HEADER_WORDS..], aor);
    if let (true, Some(copy)) = (found, copy) {
        copy_out(words, sizes.record_at(), sizes.record, copy);
    }
    if !unchanged(words, before) {
        return Glance::Lost;
    }
    if found {
        Glance::Found {
            sequence: Sequence(before),
            units: sizes.units,
        }
    } else {
        Glance::Other(next)
    }
}

/// Copies whatever record is here, and tells its sequence and hash; `Ok(None)` if the place is free.
///
/// # Errors
/// [`Unsettled`] if it was being written; look again.
pub(super) fn copy(
    words: &[AtomicU64],
    aor: &mut Vec<u8>,
    record: &mut Vec<u8>,
) -> Result<Option<(Sequence, u32)>, Unsettled> {
    let before = words[0].load(Ordering::Acquire);
    match before & STATE {
        STABLE => {}
        WRITING => return Err(Unsettled),
        _ => return Ok(None),
    }
    let (hash, _) = unpack_link(words[1].load(Ordering::Acquire));
    let sizes = Sizes::of(words);
    copy_out(words, HEADER_WORDS, sizes.aor, aor);
    copy_out(words, sizes.record_at(), sizes.record, record);
    if unchanged(words, before) {
        Ok(Some((Sequence(before), hash)))
    } else {
        Err(Unsettled)
    }
}

/// The record was changed while it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsettled;

/// Whether the record is still what was seen.
pub(super) fn is_current(words: &[AtomicU64], seen: Sequence) -> bool {
    words[0].load(Ordering::Acquire) == seen.0
}

/// Claims the record for writing; `false` if it is no longer what was seen. Who claims must write or free it.
pub(super) fn claim(words: &[AtomicU64], seen: Sequence) -> bool {
    let claimed = words[0]
        .compare_exchange(seen.0, seen.0 | WRITING, Ordering::Acquire, Ordering::Relaxed)
        .is_ok();
    // Pairs with the reader's fence: who reads a word stored after this sees the claim.
    fence(Ordering::Release);
    claimed
}

/// Replaces the record of a claimed place that has room for it, and ends the claim. Whether it is due earlier than before.
pub(super) fn update(words: &[AtomicU64], record: &[u8], count: u64) -> bool {
    let before = Sizes::of(words);
    let was_due = before.due(words);
    let sizes = Sizes {
        record: record.len(),
        ..before
    };
    sizes.put(words);
    copy_in(&words[sizes.record_at()..], record);
    words[0].store(count << 2 | STABLE, Ordering::Release);
    due(record) < was_due
}

/// When the record here is due; `Ok(None)` if the place is free.
///
/// # Errors
/// [`Unsettled`] if it was being written; look again.
pub(super) fn due_here(words: &[AtomicU64]) -> Result<Option<u32>, Unsettled> {
    let before = words[0].load(Ordering::Acquire);
    match before & STATE {
        STABLE => {}
        WRITING => return Err(Unsettled),
        _ => return Ok(None),
    }
    let due = Sizes::of(words).due(words);
    if unchanged(words, before) {
        Ok(Some(due))
    } else {
        Err(Unsettled)
    }
}

/// Writes a new record into a free place that is not linked yet.
pub(super) fn fill(words: &[AtomicU64], hash: u32, aor: &[u8], record: &[u8], count: u64) {
    // A reader that still believes in the record that was here must not take these words for it.
    words[0].store(count << 2 | WRITING, Ordering::Relaxed);
    fence(Ordering::Release);
    let sizes = Sizes {
        aor: aor.len(),
        record: record.len(),
        ..Sizes::of(words)
    };
    sizes.put(words);
    words[1].store(pack_link(hash, 0), Ordering::Release);
    copy_in(&words[HEADER_WORDS..], aor);
    copy_in(&words[sizes.record_at()..], record);
    words[0].store(count << 2 | STABLE, Ordering::Release);
}

/// Marks a claimed place free, once no link leads to it.
pub(super) fn free(words: &[AtomicU64], count: u64) {
    words[0].store(count << 2 | FREE, Ordering::Release);
}

/// Makes a place of fresh words, or of the last words of a free one.
pub(super) fn cut(words: &[AtomicU64], units: u32) {
    // A reader that still believes in the record that was here must not take these words for it.
    fence(Ordering::Release);
    Sizes {
        units,
        aor: 0,
        record: 0,
    }
    .put(words);
    words[0].store(FREE, Ordering::Release);
}

/// Makes a free place smaller, once there is one behind it.
pub(super) fn shorten(words: &[AtomicU64], units: u32) {
    let sizes = Sizes {
        units,
        ..Sizes::of(words)
    };
    // Who goes from place to place by their sizes finds the new one.
    fence(Ordering::Release);
    sizes.put(words);
}

/// The units of a place; they change only while it is free.
pub(super) fn units(words: &[AtomicU64]) -> u32 {
    let units = Sizes::of(words).units;
    fence(Ordering::Acquire);
    units
}

/// The units that the record in a place needs. Only for who holds the table's lock.
pub(super) fn units_needed(words: &[AtomicU64]) -> u32 {
    let sizes = Sizes::of(words);
    units_for(sizes.aor, sizes.record)
}

/// Hash of the record, and the next of its bucket. Only for who holds the table's lock.
pub(super) fn link(words: &[AtomicU64]) -> (u32, Place) {
    unpack_link(words[1].load(Ordering::Acquire))
}

/// Lets the record be followed by another one. Only for who holds the table's lock.
pub(super) fn set_next(words: &[AtomicU64], next: Place) {
    let (hash, _) = link(words);
    words[1].store(pack_link(hash, next), Ordering::Release);
}

/// The free place after this free one.
pub(super) fn free_link(words: &[AtomicU64]) -> Place {
    link(words).1
}

/// Lets a free place be followed by another one.
pub(super) fn set_free_link(words: &[AtomicU64], next: Place) {
    words[1].store(pack_link(0, next), Ordering::Release);
}

/// Where a place is filed in the wheel. The place before the first of a list is the wheel's to say; that of a place that is
/// not filed is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filed {
    pub(super) before: Place,
    pub(super) after: Place,
}

/// Where a place is filed. Only for who holds the table's lock.
pub(super) fn filed(words: &[AtomicU64]) -> Filed {
    let (before, after) = unpack_link(words[3].load(Ordering::Relaxed));
    Filed { before, after }
}

/// Notes where a place is filed. Only for who holds the table's lock.
pub(super) fn set_filed(words: &[AtomicU64], Filed { before, after }: Filed) {
    words[3].store(pack_link(before, after), Ordering::Relaxed);
}

/// The last step of a reader: nothing that was read counts unless this says so.
fn unchanged(words: &[AtomicU64], before: u64) -> bool {
    fence(Ordering::Acquire);
    words[0].load(Ordering::Relaxed) == before
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    units: u32,
    aor: usize,
    record: usize,
}

impl Sizes {
    fn of(words: &[AtomicU64]) -> Self {
        let word = words[2].load(Ordering::Relaxed);
        Self {
            units: (word >> 48) as u32,
            aor: (word >> 32 & 0xffff) as usize,
            record: (word & 0xffff_ffff) as usize,
        }
    }

    fn put(self, words: &[AtomicU64]) {
        let word = u64::from(self.units) << 48 | (self.aor as u64) << 32 | self.record as u64;
        words[2].store(word, Ordering::Relaxed);
    }

    fn record_at(self) -> usize {
        HEADER_WORDS + self.aor.div_ceil(8)
    }

    /// When the record is due, which its first bytes say.
    fn due(self, words: &[AtomicU64]) -> u32 {
        match words.get(self.record_at()) {
            Some(word) if self.record >= 4 => (word.load(Ordering::Relaxed) & 0xffff_ffff) as u32,
            _ => 0,
        }
    }
}

fn pack_link(hash: u32, next: Place) -> u64 {
    u64::from(hash) << 32 | u64::from(next)
}

fn unpack_link(word: u64) -> (u32, Place) {
    ((word >> 32) as u32, (word & 0xffff_ffff) as u32)
}

/// A text as whole words, and what is left filled up with zeros, if anything is.
fn packed(bytes: &[u8]) -> (&[[u8; 8]], Option<u64>) {
    let (whole, rest) = bytes.as_chunks::<8>();
    if rest.is_empty() {
        return (whole, None);
    }
    let last = match bytes.last_chunk() {
        // Shifting out what belongs to the word before is quicker than putting bytes together.
        Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest.len())),
        None => rest
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    (whole, Some(last))
}

fn same(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let (whole, last) = packed(bytes);
    let equal = |word: &AtomicU64, expected| word.load(Ordering::Relaxed) == expected;
    words
        .iter()
        .zip(whole)
        .all(|(word, text)| equal(word, u64::from_le_bytes(*text)))
        && last.is_none_or(|last| words.get(whole.len()).is_some_and(|word| equal(word, last)))
}

fn copy_in(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, last) = packed(bytes);
    let put = |word: &AtomicU64, text: &[u8; 8]| word.store(u64::from_le_bytes(*text), Ordering::Relaxed);
    let places = &words[..words.len().min(whole.len())];
    let ((fours, rest), (text_fours, text_rest)) = (places.as_chunks::<4>(), whole.as_chunks::<4>());
    for (word, text) in fours.iter().zip(text_fours) {
        for i in 0..4 {
            put(&word[i], &text[i]);
        }
    }
    for (word, text) in rest.iter().zip(text_rest) {
        put(word, text);
    }
    if let (Some(last), Some(word)) = (last, words.get(whole.len())) {
        word.store(last, Ordering::Relaxed);
    }
}

/// Copies `len` bytes that begin at word `at`. Lengths read during a write may lie; the end of the chunk bounds them.
fn copy_out(words: &[AtomicU64], at: usize, len: usize, into: &mut Vec<u8>) {
    let Some(words) = words.get(at..) else {
        return into.clear();
    };
    let words = &words[..words.len().min(len.div_ceil(8))];
    into.resize(words.len() * 8, 0);
    let (places, _) = into.as_chunks_mut::<8>();
    // Four at once: the compiler does not join atomics.
    let ((fours, rest), (place_fours, place_rest)) = (words.as_chunks::<4>(), places.as_chunks_mut::<4>());
    for (place, word) in place_fours.iter_mut().zip(fours) {
        *place = word
            .each_ref()
            .map(|word| word.load(Ordering::Relaxed).to_le_bytes());
    }
    for (place, word) in place_rest.iter_mut().zip(rest) {
        *place = word.load(Ordering::Relaxed).to_le_bytes();
    }
    into.truncate(len);
}
