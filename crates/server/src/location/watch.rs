//! Who waits for changes of bindings, and how they learn of them: the one hook for everything that has to follow a
//! registration.
//!
//! A store tells its [`Watch`] of every record that it has published: a commit that is done, whoever asked for it, and what a
//! sweep removed. A store whose records others write too tells of their changes in the same way, as it hears of them. While
//! nobody waits for anything this costs a fence and one relaxed load.
//!
//! Addresses-of-record fall into a fixed number of [`Slot`]s. A shard that waits for an address has its bit in the slot's
//! word; a change sets the slot's bit in a map of that shard's and tells the shard once, until it has looked. So the
//! memory is bounded, nothing can be lost in a full queue, and a storm of changes is one event. What a shard learns is that
//! *something* in a slot may have changed: it reads the record, which is published before, and compares it with what it
//! knew. It is told too often when addresses share a slot, and never too seldom.
//!
//! On a shard, waiting is three steps, in this order:
//! 1. [`Watcher::add`] for the address-of-record; keep the slot that it returns.
//! 2. Read the record. What is published from then on is told.
//! 3. When the slot is among those of [`Watcher::take_changed`], read it again; [`Watcher::remove`] at the end.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

use foldhash::quality::RandomState;
use hashbrown::HashMap;

/// Slots of a watch, and words of their bits.
const SLOTS: usize = 4096;
const WORDS: usize = SLOTS / 64;

/// Tells a shard that slots of its have changed. It is called by whoever made the change and must not wait; what it brings
/// may come late, but has to come.
pub type Tell = Box<dyn Fn(u16) + Send + Sync>;

/// A part of all addresses-of-record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

/// What a store tells of its changes, and who wants to know.
#[derive(Default)]
pub struct Watch {
    /// How many watchers there are, on all shards.
    watchers: AtomicUsize,
    served: OnceLock<Served>,
}

/// What it takes to tell anybody.
struct Served {
    /// For each slot the shards that wait; those whose numbers differ by 64 share a bit.
    waiting: Box<[AtomicU64]>,
    shards: Box<[Changed]>,
    hasher: RandomState,
    tell: Tell,
}

/// What has changed since a shard last looked.
struct Changed {
    slots: [AtomicU64; WORDS],
    told: AtomicBool,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("watchers", &self.watchers)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// Tells so many shards from now on. Only the first call counts.
    pub fn serve(&self, shards: u16, tell: Tell) {
        let changed = || Changed {
            slots: [const { AtomicU64::new(0) }; WORDS],
            told: AtomicBool::new(false),
        };
        // A second one finds everything served.
        let _ = self.served.set(Served {
            waiting: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            shards: (0..shards).map(|_| changed()).collect(),
            hasher: RandomState::default(),
            tell,
        });
    }

    /// The record of an address-of-record has been published, or is gone. For stores.
    #[inline]
    pub fn changed(&self, aor: &[u8]) {
        // Pairs with the one in `Watcher::add`: either whoever begins to wait is seen here, or it reads the new record.
        fence(Ordering::SeqCst);
        if self.watchers.load(Ordering::Relaxed) != 0 {
            self.tell(aor);
        }
    }

    #[cold]
    fn tell(&self, aor: &[u8]) {
        let Some(served) = self.served.get() else { return };
        let Slot(slot) = served.slot(aor);
        let slot = usize::from(slot);
        let mut waiting = served.waiting[slot].load(Ordering::Relaxed);
        while waiting != 0 {
            let first = waiting.trailing_zeros() as usize;
            waiting &= waiting - 1;
            for shard in (first..served.shards.len()).step_by(64) {
                let changed = &served.shards[shard];
                changed.slots[slot / 64].fetch_or(1 << (slot % 64), Ordering::SeqCst);
                if !changed.told.swap(true, Ordering::SeqCst) {
                    (served.tell)(shard as u16);
                }
            }
        }
    }
}

impl Served {
    fn slot(&self, aor: &[u8]) -> Slot {
        Slot((self.hasher.hash_one(aor) % SLOTS as u64) as u16)
    }
}

/// One shard's part: for which slots it waits, and how often.
#[derive(Clone, Debug)]
pub struct Watcher {
    shard: u16,
    counts: HashMap<Slot, u32>,
}

impl Watcher {
    /// A shard that waits for nothing.
    pub fn new(shard: u16) -> Self {
        Self {
            shard,
            counts: HashMap::new(),
        }
    }

    /// Waits for changes of an address-of-record, once more. Its record is to be read after this.
    pub fn add(&mut self, watch: &Watch, aor: &[u8]) -> Slot {
        let Some(served) = watch.served.get() else {
            return Slot(0);
        };
        let slot = served.slot(aor);
        let count = self.counts.entry(slot).or_insert(0);
        *count += 1;
        if *count == 1 {
            watch.watchers.fetch_add(1, Ordering::SeqCst);
            served.waiting[usize::from(slot.0)].fetch_or(self.bit(), Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        slot
    }

    /// Waits once less for what is in a slot.
    pub fn remove(&mut self, watch: &Watch, slot: Slot) {
        let (Some(count), Some(served)) = (self.counts.get_mut(&slot), watch.served.get()) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.counts.remove(&slot);
        // A bit that is shared is left: its shards are told in vain.
        if served.shards.len() <= 64 {
            served.waiting[usize::from(slot.0)].fetch_and(!self.bit(), Ordering::SeqCst);
        }
        watch.watchers.fetch_sub(1, Ordering::SeqCst);
    }

    /// The slots that have changed since this was last asked, for which this shard waits.
    pub fn take_changed(&self, watch: &Watch, into: &mut Vec<Slot>) {
        into.clear();
        let changed = watch
            .served
            .get()
            .and_then(|served| served.shards.get(usize::from(self.shard)));
        let Some(changed) = changed else { return };
        // What changes from here on tells anew.
        changed.told.store(false, Ordering::SeqCst);
        for (place, word) in changed.slots.iter().enumerate() {
            let mut bits = word.swap(0, Ordering::SeqCst);
            while bits != 0 {
                let slot = Slot((place * 64) as u16 + bits.trailing_zeros() as u16);
                bits &= bits - 1;
                if self.counts.contains_key(&slot) {
                    into.push(slot);
                }
            }
        }
    }

    /// The slot of an address-of-record.
    pub fn slot(&self, watch: &Watch, aor: &[u8]) -> Slot {
        watch.served.get().map_or(Slot(0), |served| served.slot(aor))
    }

    fn bit(&self) -> u64 {
        1 << (self.shard % 64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn watch(shards: u16) -> (Arc<Watch>, Arc<Mutex<Vec<u16>>>) {
        let (watch, told) = (Arc::new(Watch::default()), Arc::new(Mutex::new(Vec::new())));
        let tell = Arc::clone(&told);
        watch.serve(
            shards,
            Box::new(move |shard| tell.lock().expect("told").push(shard)),
        );
        (watch, told)
    }

    fn changed(watcher: &Watcher, watch: &Watch) -> Vec<Slot> {
        let mut slots = Vec::new();
        watcher.take_changed(watch, &mut slots);
        slots
    }

    #[test]
    fn those_who_wait_are_told_once_until_they_have_looked() {
        let (watch, told) = watch(2);
        let told = || std::mem::take(&mut *told.lock().expect("told"));
        let (mut first, mut second) = (Watcher::new(0), Watcher::new(1));
        watch.changed(b"a@b.test");
        assert!(told().is_empty());
        let slot = second.add(&watch, b"a@b.test");
        watch.changed(b"a@b.test");
        watch.changed(b"a@b.test");
        assert_eq!((told(), changed(&first, &watch)), (vec![1], vec![]));
        assert_eq!(changed(&second, &watch), [slot]);
        assert_eq!(changed(&second, &watch), []);
        assert_eq!(first.add(&watch, b"a@b.test"), slot);
        watch.changed(b"a@b.test");
        assert_eq!(told(), [0, 1]);
        assert_eq!(
            (changed(&first, &watch), changed(&second, &watch)),
            (vec![slot], vec![slot])
        );
    }

    #[test]
    fn who_waits_twice_is_told_until_both_are_over() {
        let (watch, told) = watch(1);
        let mut watcher = Watcher::new(0);
        let slot = watcher.add(&watch, b"a@b.test");
        watcher.add(&watch, b"a@b.test");
        watcher.remove(&watch, slot);
        watch.changed(b"a@b.test");
        assert_eq!(changed(&watcher, &watch), [slot]);
        watcher.remove(&watch, slot);
        watch.changed(b"a@b.test");
        assert_eq!(told.lock().expect("told").len(), 1);
        assert_eq!(watch.watchers.load(Ordering::Relaxed), 0);
        watcher.remove(&watch, slot);
    }

    #[test]
    fn shards_that_share_a_bit_are_all_told() {
        let (watch, told) = watch(130);
        let mut watcher = Watcher::new(65);
        let slot = watcher.add(&watch, b"a@b.test");
        watch.changed(b"a@b.test");
        assert_eq!(*told.lock().expect("told"), [1, 65, 129]);
        assert_eq!(changed(&watcher, &watch), [slot]);
        assert_eq!(changed(&Watcher::new(1), &watch), []);
    }

    /// Whoever reads after it has begun to wait either reads the new state or is told of it.
    #[test]
    fn nothing_is_missed_between_threads() {
        use std::sync::atomic::AtomicU32;
        for _ in 0..300 {
            let (watch, told) = watch(1);
            let record = AtomicU32::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    record.store(1, Ordering::Release);
                    watch.changed(b"a@b.test");
                });
                let mut watcher = Watcher::new(0);
                let slot = watcher.add(&watch, b"a@b.test");
                if record.load(Ordering::Acquire) == 0 {
                    let mut spins = 0;
                    while told.lock().expect("told").is_empty() {
                        spins += 1;
                        assert!(spins < 1_000_000_000, "never told");
                        std::thread::yield_now();
                    }
                    assert_eq!(changed(&watcher, &watch), [slot]);
                }
            });
        }
    }
}
