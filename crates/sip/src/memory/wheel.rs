//! The timer wheel: six levels of 64 slots, a millisecond the finest. Setting, moving and clearing a timer costs the
//! same however many there are; the next deadline is found from one bitmap a level. A timer that is put off stays where it
//! is until that comes up, so that putting it off again and again costs nothing.

use super::Chunks;

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const NONE: u32 = u32::MAX;
const IDLE: u16 = u16::MAX;
const DUE: u16 = (LEVELS * SLOTS) as u16;

/// Names a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId(u32);

impl TimerId {
    /// No timer: setting and removing it do nothing.
    pub const NONE: Self = Self(NONE);
}

#[derive(Clone, Debug)]
struct Node<T> {
    payload: T,
    at_ms: u64,
    next: u32,
    prev: u32,
    /// `IDLE`, `DUE`, or level * 64 + slot: one that comes up at `at_ms` or before.
    slot: u16,
}

/// Which slots are occupied, and since when.
#[derive(Clone, Debug, Default)]
struct Slots {
    occupied: [u64; LEVELS],
    /// One bit for each level that has an occupied slot.
    levels: u8,
    /// Everything before this is in the list of what is due.
    elapsed_ms: u64,
}

/// Timers that each carry a payload.
#[derive(Clone, Debug)]
pub struct Wheel<T> {
    nodes: Chunks<Node<T>>,
    heads: Box<[u32]>,
    slots: Slots,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self {
            nodes: Chunks::default(),
            heads: vec![NONE; LEVELS * SLOTS + 1].into_boxed_slice(),
            slots: Slots::default(),
        }
    }
}

impl<T: Copy> Wheel<T> {
    /// A timer that is set to a deadline (monotonic milliseconds), or is not set.
    pub fn add(&mut self, payload: T, deadline_ms: Option<u64>) -> TimerId {
        let mut next = NONE;
        let index = self.nodes.insert_with(|index| {
            let slot = match deadline_ms {
                Some(at) => self.slots.occupy(at),
                None => IDLE,
            };
            if let Some(head) = self.heads.get_mut(usize::from(slot)) {
                next = std::mem::replace(head, index);
            }
            Node {
                payload,
                at_ms: deadline_ms.unwrap_or(0),
                next,
                prev: NONE,
                slot,
            }
        });
        if let Some(next) = self.nodes.get_mut(next) {
            next.prev = index;
        }
        TimerId(index)
    }

    /// Sets a timer to a deadline (monotonic milliseconds), or clears it.
    #[inline]
    pub fn set(&mut self, timer: TimerId, deadline_ms: Option<u64>) {
        let index = timer.0;
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        if let Some(at) = deadline_ms {
            let is_later = at >= std::mem::replace(&mut node.at_ms, at);
            // Its slot comes up before that: it is moved on from there.
            if node.slot < DUE && is_later {
                return;
            }
        }
        if node.slot != IDLE {
            self.unlink(index);
        }
        if deadline_ms.is_some() {
            self.link(index);
        }
    }

    /// Takes a timer away.
    pub fn remove(&mut self, timer: TimerId) {
        self.unlink(timer.0);
        self.nodes.discard(timer.0);
    }

    /// The payload of one timer that is due at `now_ms`; that timer is then not set. Call until it says `None`.
    pub fn expired(&mut self, now_ms: u64) -> Option<T> {
        self.advance(now_ms);
        let index = self.heads[DUE as usize];
        self.unlink(index);
        self.nodes.get(index).map(|node| node.payload)
    }

    /// When to look again, in monotonic milliseconds: never later than the earliest deadline. A far deadline is
    /// approached in few steps, a near one is named exactly.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.heads[DUE as usize] != NONE {
            return Some(self.slots.elapsed_ms);
        }
        self.slots.next().map(|(_, _, start)| start)
    }

    fn advance(&mut self, now_ms: u64) {
        while let Some((level, slot, start)) = self.slots.next()
            && start <= now_ms
        {
            self.slots.elapsed_ms = start;
            self.empty_slot(level, slot);
        }
        self.slots.elapsed_ms = self.slots.elapsed_ms.max(now_ms);
    }

    /// Links everything of a slot anew: to what is due, or to a finer level.
    fn empty_slot(&mut self, level: usize, slot: usize) {
        let mut index = std::mem::replace(&mut self.heads[level * SLOTS + slot], NONE);
        self.slots.vacate(level, slot);
        while let Some(node) = self.nodes.get_mut(index) {
            let next = node.next;
            node.slot = IDLE;
            self.link(index);
            index = next;
        }
    }

    fn link(&mut self, index: u32) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        let slot = self.slots.occupy(node.at_ms);
        let head = std::mem::replace(&mut self.heads[usize::from(slot)], index);
        (node.next, node.prev, node.slot) = (head, NONE, slot);
        if let Some(head) = self.nodes.get_mut(head) {
            head.prev = index;
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        let Node { next, prev, slot, .. } = *node;
        if slot == IDLE {
            return;
        }
        node.slot = IDLE;
        if let Some(next) = self.nodes.get_mut(next) {
            next.prev = prev;
        }
        if let Some(prev) = self.nodes.get_mut(prev) {
            prev.next = next;
        } else {
            self.heads[slot as usize] = next;
            if next == NONE && slot != DUE {
                self.slots.vacate(slot as usize / SLOTS, slot as usize % SLOTS);
            }
        }
    }

    /// Bytes of the timers' places.
    pub fn bytes(&self) -> usize {
        self.nodes.bytes()
    }
}

impl Slots {
    /// The next occupied slot: level, slot and start. A timer lives on the level of the highest 6-bit digit in which it
    /// differs from `elapsed_ms`, so what is on a finer level comes first.
    fn next(&self) -> Option<(usize, usize, u64)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        let now = self.elapsed_ms >> (6 * level);
        let ahead = self.occupied[level]
            .rotate_right((now % 64) as u32)
            .trailing_zeros();
        let start = now + u64::from(ahead);
        Some((level, start as usize % SLOTS, start << (6 * level)))
    }

    /// The slot for a timer with this deadline, which is occupied from now on.
    fn occupy(&mut self, at_ms: u64) -> u16 {
        if at_ms <= self.elapsed_ms {
            return DUE;
        }
        let ahead = (at_ms ^ self.elapsed_ms) | 63;
        let level = ((63 - ahead.leading_zeros()) as usize / 6).min(LEVELS - 1);
        // What lies beyond the coarsest level waits in its farthest slot, and is looked at again from there.
        let farthest = (self.elapsed_ms >> (6 * level)) + SLOTS as u64 - 1;
        let slot = (at_ms >> (6 * level)).min(farthest) as usize % SLOTS;
        self.occupied[level] |= 1 << slot;
        self.levels |= 1 << level;
        (level * SLOTS + slot) as u16
    }

    fn vacate(&mut self, level: usize, slot: usize) {
        self.occupied[level] &= !(1 << slot);
        self.levels &= !(u8::from(self.occupied[level] == 0) << level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn timers_fire_exactly_when_a_plain_list_says() {
        let (mut wheel, mut seed, mut now) = (Wheel::default(), 42, 1_700_000_000_123);
        assert_eq!(wheel.expired(now), None);
        let timers: Vec<_> = (0..200usize).map(|i| wheel.add(i, None)).collect();
        let mut model = vec![None; timers.len()];
        for _ in 0..20_000 {
            for _ in 0..3 {
                let i = random(&mut seed) as usize % timers.len();
                let deadline = match random(&mut seed) % 5 {
                    0 => None,
                    n => Some(now + random(&mut seed) % (1 << (7 * n))),
                };
                model[i] = deadline;
                wheel.set(timers[i], deadline);
            }
            let earliest = model.iter().flatten().min().copied();
            let next = wheel.next_deadline();
            assert_eq!(earliest.is_some(), next.is_some());
            if let (Some(earliest), Some(next)) = (earliest, next) {
                assert!(next <= earliest.max(now), "{next} {earliest}");
            }
            now += random(&mut seed) % 5000;
            let mut fired = Vec::new();
            while let Some(i) = wheel.expired(now) {
                fired.push(i);
            }
            fired.sort_unstable();
            let due: Vec<_> = (0..model.len())
                .filter(|&i| model[i].is_some_and(|at| at <= now))
                .collect();
            assert_eq!(fired, due);
            due.into_iter().for_each(|i| model[i] = None);
        }
    }

    /// Two years and more: a clock that counts from the machine's start, an interval that a peer may choose.
    #[test]
    fn a_timer_beyond_the_coarsest_level_fires_when_it_is_due() {
        const REACH: u64 = 1 << 36;
        for begin in [0, REACH - 5, 3 * REACH + (1 << 30) - 1, 7 * REACH + 12_345] {
            for ahead in [
                REACH - 1,
                REACH,
                REACH + 1,
                64 * REACH,
                1000 * REACH + 77,
                u64::from(u32::MAX) * 1000,
            ] {
                let mut wheel = Wheel::default();
                if begin % 2 == 1 {
                    assert_eq!(wheel.expired(begin), None);
                }
                let due = begin + ahead;
                wheel.add((), Some(due));
                for early in [begin, begin + ahead / 2, due - 1] {
                    assert_eq!(wheel.expired(early), None, "{begin} {ahead} {early}");
                    assert!(
                        wheel
                            .next_deadline()
                            .is_some_and(|next| next > early && next <= due)
                    );
                }
                assert_eq!(wheel.expired(due), Some(()));
            }
        }
    }

    #[test]
    fn the_next_deadline_is_exact_when_near() {
        let mut wheel = Wheel::default();
        wheel.expired(1000);
        let timer = wheel.add((), Some(1010));
        assert_eq!(wheel.next_deadline(), Some(1010));
        wheel.set(timer, None);
        assert_eq!(wheel.next_deadline(), None);
    }
}
