//! A fixed table of leaky buckets that all shards charge, without locks and without ever growing.
//!
//! One entry is one 128-bit word:
//!
//! ```text
//!  127        88 87           44 43           0
//! | tag         | drained at    | banned until |
//! ```
//!
//! The tag is a part of the key's hash, of which another part chooses the set. Times are ticks of 2^14 nanoseconds
//! (16 µs), of which 44 bits last for nine years. A bucket is empty once `drained at` has passed; its level is how far
//! away that is. A key that has no entry takes the one of its set that says the least; none gives way to a key that
//! would say less.

use std::time::Duration;

use portable_atomic::{AtomicU128, Ordering};

/// Entries of a set: two cache lines.
const WAYS: usize = 8;
/// Entries of a table for a node of any size: 1 MiB.
const ENTRIES: usize = 1 << 16;
/// How often a change is tried that other threads get in the way of.
const ATTEMPTS: usize = 64;

const TAG_BITS: u32 = 40;
const TIME_BITS: u32 = 44;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// What is counted of whom: a secret hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) u64);

/// A point in time, or a length of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticks(pub(super) u64);

impl Ticks {
    /// Monotonic nanoseconds as ticks.
    pub(super) fn at(mono_ns: u64) -> Self {
        Self(mono_ns >> 14)
    }

    pub(super) fn of(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos() >> 14).unwrap_or(TIME_MASK))
    }

    pub(super) fn as_ms(self) -> u64 {
        (self.0 << 14) / 1_000_000
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0).min(TIME_MASK))
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// How large a bucket is and what one charge costs, both as the time in which that much leaks away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) size: Ticks,
    pub(super) cost: Ticks,
}

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charged {
    /// It is the first one ever, or in a bucket that had been empty for as long as a full one takes to drain.
    First,
    /// There was room for it: how many have been charged and have not drained since, with this one.
    Fits(u64),
    /// It was the last one that there was room for.
    Filled,
    /// There was no room, and it was not charged.
    Full,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    tag: u64,
    drained_at: Ticks,
    banned_until: Ticks,
}

impl Entry {
    fn unpack(word: u128) -> Self {
        Self {
            tag: (word >> (2 * TIME_BITS)) as u64,
            drained_at: Ticks((word >> TIME_BITS) as u64 & TIME_MASK),
            banned_until: Ticks(word as u64 & TIME_MASK),
        }
    }

    fn pack(self) -> u128 {
        u128::from(self.tag) << (2 * TIME_BITS)
            | u128::from(self.drained_at.0 & TIME_MASK) << TIME_BITS
            | u128::from(self.banned_until.0 & TIME_MASK)
    }

    /// Until when it says anything.
    fn matters_until(self) -> Ticks {
        self.drained_at.max(self.banned_until)
    }
}

#[repr(align(128))]
struct Set([AtomicU128; WAYS]);

/// The table.
pub(super) struct Meters {
    sets: Box<[Set]>,
}

impl Meters {
    pub(super) fn new() -> Self {
        let set = |_| Set(std::array::from_fn(|_| AtomicU128::new(0)));
        Self {
            sets: (0..ENTRIES / WAYS).map(set).collect(),
        }
    }

    /// The table as it is at this moment.
    pub(super) fn copy(&self) -> Self {
        let slot = |slot: &AtomicU128| AtomicU128::new(slot.load(Ordering::Relaxed));
        Self {
            sets: self
                .sets
                .iter()
                .map(|Set(ways)| Set(ways.each_ref().map(slot)))
                .collect(),
        }
    }

    fn set(&self, key: Key) -> (&[AtomicU128; WAYS], u64) {
        let place = key.0 as usize & (self.sets.len() - 1);
        // A tag of 0 is nobody's.
        (&self.sets[place].0, (key.0 >> (64 - TAG_BITS)).max(1))
    }

    /// Adds one charge to a bucket.
    pub(super) fn charge(&self, key: Key, bucket: Bucket, now: Ticks) -> Charged {
        self.change(key, now, |entry| {
            let level = entry.drained_at.minus(now).plus(bucket.cost);
            if level > bucket.size {
                return Charged::Full;
            }
            // At 0 nothing was ever charged; the clock may be shorter of that than a bucket takes to drain.
            let long_empty = entry.drained_at == Ticks(0) || entry.drained_at.plus(bucket.size) <= now;
            entry.drained_at = now.plus(level);
            if level.plus(bucket.cost) > bucket.size {
                Charged::Filled
            } else if long_empty {
                Charged::First
            } else {
                Charged::Fits(level.0 / bucket.cost.0.max(1))
            }
        })
        // Nobody can be held to what there is no room to remember.
        .unwrap_or(Charged::Fits(1))
    }

    /// Takes charges back.
    pub(super) fn refund(&self, key: Key, charges: Ticks, now: Ticks) {
        let refund = |entry: &mut Entry| entry.drained_at = entry.drained_at.minus(charges);
        self.change_at(key, now, find, refund);
    }

    /// Bans a key. True when it was not banned before.
    pub(super) fn ban(&self, key: Key, until: Ticks, now: Ticks) -> bool {
        let banned = self.change(key, now, |entry| {
            let before = entry.banned_until;
            entry.banned_until = until;
            before <= now
        });
        banned.unwrap_or(false)
    }

    /// Whether a key is banned.
    pub(super) fn is_banned(&self, key: Key, now: Ticks) -> bool {
        let (set, tag) = self.set(key);
        set.iter().any(|slot| {
            let entry = Entry::unpack(slot.load(Ordering::Relaxed));
            entry.tag == tag && entry.banned_until > now
        })
    }

    /// Forgets all of a key. Until when it was banned, if it was.
    pub(super) fn forget(&self, key: Key, now: Ticks) -> Option<Ticks> {
        let (set, tag) = self.set(key);
        let mut until = Ticks(0);
        for slot in set {
            let word = slot.load(Ordering::Relaxed);
            let entry = Entry::unpack(word);
            if entry.tag == tag {
                until = until.max(entry.banned_until);
                // Whoever came in between has charged it anew.
                let _ = slot.compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
        (until > now).then_some(until)
    }

    /// Changes the entry of a key, or a new one of it. `None` when there is no room for what it would say, or the set is
    /// so busy that it could not be said.
    ///
    /// Relaxed is enough: all that is shared is the one word.
    fn change<T>(&self, key: Key, now: Ticks, change: impl Fn(&mut Entry) -> T) -> Option<T> {
        self.change_at(key, now, place, change)
    }

    /// [`change`](Self::change) where `place` finds the entry.
    fn change_at<T>(
        &self,
        key: Key,
        now: Ticks,
        place: impl Fn(&[AtomicU128; WAYS], u64) -> Option<(&AtomicU128, u128)>,
        change: impl Fn(&mut Entry) -> T,
    ) -> Option<T> {
        let (set, tag) = self.set(key);
        for _ in 0..ATTEMPTS {
            let (slot, word) = place(set, tag)?;
            let before = Entry::unpack(word);
            let mut entry = if before.tag == tag {
                before
            } else {
                Entry {
                    tag,
                    ..Entry::default()
                }
            };
            let result = change(&mut entry);
            let displaces = before.tag != tag && before.matters_until() > now;
            if displaces && before.matters_until() >= entry.matters_until() {
                return None;
            }
            if slot
                .compare_exchange(word, entry.pack(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
            {
                return Some(result);
            }
        }
        None
    }
}

/// The entries of a set, from the one on where a tag is most often: it goes there if all say the same.
fn ways(set: &[AtomicU128; WAYS], tag: u64) -> impl Iterator<Item = (&AtomicU128, u128)> {
    (0..WAYS).map(move |way| {
        let slot = &set[(tag as usize + way) % WAYS];
        (slot, slot.load(Ordering::Relaxed))
    })
}

/// The entry of a tag.
fn find(set: &[AtomicU128; WAYS], tag: u64) -> Option<(&AtomicU128, u128)> {
    ways(set, tag).find(|&(_, word)| Entry::unpack(word).tag == tag)
}

/// The entry of a tag, or the one that says the least.
fn place(set: &[AtomicU128; WAYS], tag: u64) -> Option<(&AtomicU128, u128)> {
    find(set, tag).or_else(|| ways(set, tag).min_by_key(|&(_, word)| Entry::unpack(word).matters_until()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: Bucket = Bucket {
        size: Ticks(100),
        cost: Ticks(10),
    };
    const NOW: Ticks = Ticks(1_000_000);
    /// Another tag of the same set.
    fn neighbour(n: u64) -> Key {
        Key((n + 1) << 24)
    }

    #[test]
    fn a_bucket_takes_what_it_holds_and_leaks() {
        let meters = Meters::new();
        let key = Key(1 << 40);
        assert_eq!(meters.charge(key, BUCKET, NOW), Charged::First);
        for charges in 2..10 {
            assert_eq!(meters.charge(key, BUCKET, NOW), Charged::Fits(charges));
        }
        assert_eq!(meters.charge(key, BUCKET, NOW), Charged::Filled);
        assert_eq!(meters.charge(key, BUCKET, NOW), Charged::Full);
        assert_eq!(meters.charge(key, BUCKET, Ticks(NOW.0 + 9)), Charged::Full);
        assert_eq!(meters.charge(key, BUCKET, Ticks(NOW.0 + 10)), Charged::Filled);
        assert_eq!(meters.charge(key, BUCKET, Ticks(NOW.0 + 110)), Charged::Fits(1));
        assert_eq!(meters.charge(key, BUCKET, Ticks(NOW.0 + 300)), Charged::First);
    }

    #[test]
    fn the_first_charge_is_the_first_however_short_the_clock_has_run() {
        let meters = Meters::new();
        assert_eq!(meters.charge(Key(5), BUCKET, Ticks(3)), Charged::First);
        assert_eq!(meters.charge(Key(5), BUCKET, Ticks(3)), Charged::Fits(2));
    }

    #[test]
    fn a_refund_makes_room_and_no_more_than_there_was() {
        let meters = Meters::new();
        let key = Key(7);
        for _ in 0..10 {
            meters.charge(key, BUCKET, NOW);
        }
        meters.refund(key, Ticks(10), NOW);
        assert_eq!(meters.charge(key, BUCKET, NOW), Charged::Filled);
        meters.refund(key, Ticks(10_000), NOW);
        assert_eq!(meters.charge(key, BUCKET, NOW), Charged::First);
        assert_eq!(
            meters.charge(key, BUCKET, NOW),
            Charged::Fits(2),
            "it began at nothing"
        );
        meters.refund(Key(8), Ticks(10), NOW);
        assert_eq!(meters.charge(Key(8), BUCKET, NOW), Charged::First);
    }

    #[test]
    fn a_ban_ends_when_its_time_is_over_or_when_it_is_lifted() {
        let meters = Meters::new();
        let (key, until) = (Key(3 << 50), Ticks(NOW.0 + 50));
        assert!(meters.ban(key, until, NOW) && !meters.ban(key, until, NOW));
        assert!(meters.is_banned(key, NOW) && !meters.is_banned(Key(4 << 50), NOW));
        assert!(!meters.is_banned(key, until));
        assert_eq!(meters.forget(key, until), None, "it had ended");
        meters.ban(key, until, NOW);
        assert_eq!(meters.forget(key, NOW), Some(until));
        assert!(!meters.is_banned(key, NOW));
    }

    #[test]
    fn a_ban_outlasts_any_number_of_others_that_are_only_charged() {
        let meters = Meters::new();
        let banned = neighbour(9_999);
        meters.ban(banned, Ticks(NOW.0 + 1000), NOW);
        for n in 0..5_000 {
            meters.charge(neighbour(n), BUCKET, NOW);
        }
        assert!(meters.is_banned(banned, NOW));
        assert_eq!(
            meters.charge(neighbour(4_000), BUCKET, Ticks(NOW.0 + 500)),
            Charged::First,
            "drained entries give way"
        );
    }

    #[test]
    fn charges_of_many_threads_add_up() {
        let meters = Meters::new();
        let key = Key(11);
        let bucket = Bucket {
            size: Ticks(100_000),
            cost: Ticks(1),
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        meters.charge(key, bucket, NOW);
                    }
                });
            }
        });
        let entry = place(meters.set(key).0, meters.set(key).1).map(|(_, word)| Entry::unpack(word));
        let level = entry.map(|entry| entry.drained_at.minus(NOW).0);
        // A change that others get in the way of too often is not made.
        assert!(
            level.is_some_and(|level| (3_990..=4_000).contains(&level)),
            "{level:?}"
        );
    }
}
