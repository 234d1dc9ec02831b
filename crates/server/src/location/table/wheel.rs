//! When records are due: a wheel of seconds, each with the list of the places whose records are to be looked at then.
//!
//! The lists go through the places themselves: `before` and `after` in one word of each. A record is filed for the time at
//! which it is due, and stays there when it is refreshed: when that time comes it is looked at, and filed again for when it
//! is due now. So a refresh costs the wheel nothing, and a record is looked at once in a lifetime. Only one that is due
//! earlier than before has to be moved. What is due later than the wheel reaches is filed as far off as can be.
//!
//! Seconds are those of the wall clock, which may jump. Forwards, every list is gone through once. Back, the wheel goes back:
//! what was filed meanwhile is looked at no later than it was filed for. What is due before the wheel's time is filed apart
//! and is looked at with the next turn, as it may be that the clock has gone back and the wheel does not know.

use super::arena::{Arena, Place};
use super::record::{self, Filed};

/// The seconds that the wheel has: more than most registrations last.
const SLOTS: u32 = 8192;
/// The list of what was due before the wheel's time.
const LATE: u32 = SLOTS;
/// Instead of the place before the first of a list: its slot.
const HEAD: u32 = 1 << 31;

/// The first places of the lists. Who has it holds the table's lock.
#[derive(Debug)]
pub(super) struct Wheel {
    heads: Box<[Place]>,
    /// The second whose list is the next to be gone through.
    next: u32,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            heads: vec![0; SLOTS as usize + 1].into_boxed_slice(),
            next: 0,
        }
    }

    /// The memory that it uses, in bytes.
    pub(super) const fn bytes() -> usize {
        (SLOTS as usize + 1) * size_of::<Place>()
    }

    /// Tells an empty wheel what time it is.
    pub(super) fn begin_at(&mut self, now_secs: u32) {
        self.next = now_secs;
    }

    /// Lets the wheel know what time it is, before it goes on from there.
    pub(super) fn turn_to(&mut self, now_secs: u32) {
        let oldest = now_secs.saturating_sub(SLOTS - 1);
        self.next = self.next.clamp(oldest, now_secs.saturating_add(1));
    }

    /// Files a place, which is not filed, for when its record is due.
    pub(super) fn file(&mut self, arena: &Arena, place: Place, due: u32) {
        let slot = if due < self.next {
            LATE
        } else {
            due.min(self.next.saturating_add(SLOTS - 1)) % SLOTS
        };
        let Some(words) = arena.words(place) else { return };
        let head = &mut self.heads[slot as usize];
        let after = std::mem::replace(head, place);
        let before = HEAD | slot;
        record::set_filed(words, Filed { before, after });
        if let Some(words) = linked(arena, after) {
            let filed = record::filed(words);
            record::set_filed(
                words,
                Filed {
                    before: place,
                    ..filed
                },
            );
        }
    }

    /// Takes a place out, if it is filed.
    pub(super) fn take_out(&mut self, arena: &Arena, place: Place) {
        let Some(words) = arena.words(place) else { return };
        let Filed { before, after } = record::filed(words);
        if before == 0 {
            return;
        }
        record::set_filed(words, Filed::default());
        if before & HEAD != 0 {
            if let Some(head) = self.heads.get_mut((before & !HEAD) as usize) {
                *head = after;
            }
        } else if let Some(words) = linked(arena, before) {
            let filed = record::filed(words);
            record::set_filed(words, Filed { after, ..filed });
        }
        if let Some(words) = linked(arena, after) {
            let filed = record::filed(words);
            record::set_filed(words, Filed { before, ..filed });
        }
    }

    /// Takes out the next place that is to be looked at by this second; `None` when there is none any more.
    pub(super) fn take_due(&mut self, arena: &Arena, now_secs: u32) -> Option<Place> {
        let mut place = self.heads[LATE as usize];
        while place == 0 && self.next <= now_secs {
            place = self.heads[(self.next % SLOTS) as usize];
            self.next += u32::from(place == 0);
        }
        if place == 0 {
            return None;
        }
        self.take_out(arena, place);
        Some(place)
    }

    /// The lists that have every place whose record is due by a second, and others.
    pub(super) fn lists_by(&self, secs: u32) -> impl Iterator<Item = u32> + use<> {
        let last = secs.min(self.next.saturating_add(SLOTS - 1));
        std::iter::once(LATE).chain((self.next..=last).map(|second| second % SLOTS))
    }

    /// The places of one of its lists.
    pub(super) fn places<'a>(&self, arena: &'a Arena, list: u32) -> impl Iterator<Item = Place> + use<'a> {
        let first = self.heads.get(list as usize).copied().unwrap_or(0);
        std::iter::successors(Some(first), |&place| {
            linked(arena, place).map(|words| record::filed(words).after)
        })
        .take_while(|&place| place != 0)
    }

    /// The first second from the wheel's time on for which something is filed.
    pub(super) fn next_due(&self) -> Option<u32> {
        let (before, from) = self.heads[..SLOTS as usize].split_at((self.next % SLOTS) as usize);
        let mut ahead = from.iter().chain(before);
        let ahead = ahead.position(|place| *place != 0)?;
        Some(self.next.saturating_add(ahead as u32))
    }
}

/// The words of a place that a link leads to; none leads to place 0.
fn linked(arena: &Arena, place: Place) -> Option<&[std::sync::atomic::AtomicU64]> {
    if place == 0 { None } else { arena.words(place) }
}
