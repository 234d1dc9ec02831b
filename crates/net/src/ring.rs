//! The mesh of bounded rings between shards, and how one shard wakes another.
//!
//! Each ordered pair of shards has two rings: one for what is to be done, one that brings spent buffers home. A
//! shard looks whether the other sleeps only once per turn, after all it has for it is in the ring.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::counters::Counters;
use crate::epoll::Bell;
use crate::packet::{Packet, Pool};
use crate::tcp::Unsent;

/// What one shard hands to another.
#[derive(Debug)]
pub(crate) enum Item {
    /// A message and what is to be done with it.
    Packet(Box<Packet>),
    /// Stream sends that this shard asked for have failed, or were in vain. What one flush of the other brings is one item, for
    /// it may be much, and other items need room.
    Failed(Box<[Unsent]>),
}

/// What other threads know of a shard: whether it sleeps, and its bell.
///
/// No wake-up is lost: whoever brings work puts it where the shard looks, *then* asks whether it sleeps; the shard
/// says that it sleeps, *then* looks once more. A fence stands between the two on either side, so at least one of
/// them sees the other.
#[derive(Debug)]
pub(crate) struct Doorbell {
    bell: Bell,
    asleep: AtomicBool,
    /// The control side has sent something.
    control: AtomicBool,
    /// The shard is draining and has nothing left to wait for.
    idle: AtomicBool,
}

impl Doorbell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            bell: Bell::new()?,
            asleep: AtomicBool::new(false),
            control: AtomicBool::new(false),
            idle: AtomicBool::new(false),
        })
    }

    /// Wakes the shard if it sleeps; true when the bell had to be rung.
    pub(crate) fn wake(&self) -> bool {
        fence(Ordering::SeqCst);
        let wakes = self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed);
        if wakes {
            self.bell.ring();
        }
        wakes
    }

    /// Says that the shard is about to sleep. It has to look once more for work before it does.
    pub(crate) fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that the shard is awake.
    pub(crate) fn rise(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Says that the control side has sent something.
    pub(crate) fn announce_control(&self) {
        self.control.store(true, Ordering::Release);
    }

    /// Whether the control side has sent something.
    pub(crate) fn has_control(&self) -> bool {
        self.control.load(Ordering::Relaxed)
    }

    /// The same, and forgets it: what is sent from here on announces itself again.
    pub(crate) fn take_control(&self) -> bool {
        self.has_control() && self.control.swap(false, Ordering::Acquire)
    }

    /// Says whether the shard has nothing left to wait for.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::SeqCst);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::SeqCst)
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[derive(Debug)]
struct Outward {
    items: Producer<Item>,
    spent: Producer<Box<Packet>>,
    doorbell: Arc<Doorbell>,
    news: bool,
    // What must not be lost waits here for room.
    waiting: VecDeque<Item>,
}

#[derive(Debug)]
struct Inward {
    items: Consumer<Item>,
    spent: Consumer<Box<Packet>>,
}

/// One shard's ends of the rings to and from all others.
#[derive(Debug)]
pub(crate) struct Links {
    outward: Vec<Option<Outward>>,
    inward: Vec<Option<Inward>>,
    capacity: usize,
    /// Something was handed over since receivers were last woken.
    news: bool,
    /// Something waits for room.
    waits: bool,
}

impl Links {
    /// The links of all shards, in their order.
    pub(crate) fn mesh(doorbells: &[Arc<Doorbell>], capacity: usize) -> Vec<Self> {
        let empty = || Self {
            outward: Vec::new(),
            inward: Vec::new(),
            capacity,
            news: false,
            waits: false,
        };
        let mut links: Vec<Self> = doorbells.iter().map(|_| empty()).collect();
        if doorbells.len() == 1 {
            // A shard that is alone has nobody to look at.
            return links;
        }
        for from in 0..doorbells.len() {
            for (to, doorbell) in doorbells.iter().enumerate() {
                if from == to {
                    links[from].outward.push(None);
                    links[from].inward.push(None);
                    continue;
                }
                let (item_producer, item_consumer) = RingBuffer::new(capacity);
                let (spent_producer, spent_consumer) = RingBuffer::new(capacity);
                links[from].outward.push(Some(Outward {
                    items: item_producer,
                    spent: spent_producer,
                    doorbell: Arc::clone(doorbell),
                    news: false,
                    waiting: VecDeque::new(),
                }));
                links[to].inward.push(Some(Inward {
                    items: item_consumer,
                    spent: spent_consumer,
                }));
            }
        }
        links
    }

    /// Hands an item over. It comes back when there is no such shard or no room.
    pub(crate) fn push(&mut self, shard: u16, item: Item) -> Result<(), Item> {
        let Some(outward) = self.outward.get_mut(usize::from(shard)).and_then(Option::as_mut) else {
            return Err(item);
        };
        if !outward.waiting.is_empty() {
            return Err(item);
        }
        match outward.items.push(item) {
            Ok(()) => {
                outward.news = true;
                self.news = true;
                Ok(())
            }
            Err(PushError::Full(item)) => Err(item),
        }
    }

    /// Hands an item over that nobody would send again: it waits when there is no room, as long as not more wait
    /// than a ring holds.
    pub(crate) fn push_or_wait(&mut self, shard: u16, item: Item) -> Result<(), Item> {
        let Err(item) = self.push(shard, item) else {
            return Ok(());
        };
        match self.outward.get_mut(usize::from(shard)).and_then(Option::as_mut) {
            Some(outward) if outward.waiting.len() < self.capacity => {
                outward.waiting.push_back(item);
                self.waits = true;
                Ok(())
            }
            _ => Err(item),
        }
    }

    /// Hands over what waits, as far as there is room; true when something still waits.
    pub(crate) fn retry(&mut self) -> bool {
        self.waits && self.retry_waiting()
    }

    #[cold]
    fn retry_waiting(&mut self) -> bool {
        self.waits = false;
        for outward in self.outward.iter_mut().flatten() {
            while let Some(item) = outward.waiting.pop_front() {
                if let Err(PushError::Full(item)) = outward.items.push(item) {
                    outward.waiting.push_front(item);
                    self.waits = true;
                    break;
                }
                outward.news = true;
                self.news = true;
            }
        }
        self.waits
    }

    /// How many items the ring to a shard has room for.
    pub(crate) fn room(&self, shard: u16) -> usize {
        let outward = self.outward.get(usize::from(shard)).and_then(Option::as_ref);
        outward.map_or(self.capacity, |outward| outward.items.slots())
    }

    /// Whether the ring to one of the shards is nearly full.
    pub(crate) fn is_crowded(&self) -> bool {
        let shards = 0..self.outward.len() as u16;
        shards
            .into_iter()
            .any(|shard| self.room(shard) < self.capacity / 4)
    }

    /// How many shards there may be items from, itself among them; none when it is alone.
    pub(crate) fn shards(&self) -> u16 {
        self.inward.len() as u16
    }

    /// The next item from a shard.
    pub(crate) fn pop(&mut self, shard: u16) -> Option<Item> {
        self.inward
            .get_mut(usize::from(shard))?
            .as_mut()?
            .items
            .pop()
            .ok()
    }

    /// True when no shard has an item for this one.
    pub(crate) fn is_empty(&self) -> bool {
        self.inward.iter().flatten().all(|inward| inward.items.is_empty())
    }

    /// Sends a spent buffer home. It is no news: nobody is woken for it, and without room it is dropped.
    pub(crate) fn send_home(&mut self, packet: Box<Packet>) {
        if let Some(Some(outward)) = self.outward.get_mut(usize::from(packet.home)) {
            let _: Result<(), PushError<Box<Packet>>> = outward.spent.push(packet);
        }
    }

    /// Takes in the buffers that came home.
    pub(crate) fn collect_spent(&mut self, pool: &mut Pool) {
        for inward in self.inward.iter_mut().flatten() {
            while let Ok(packet) = inward.spent.pop() {
                pool.give(packet);
            }
        }
    }

    /// Wakes the shards that something was handed to since the last call, if they sleep.
    pub(crate) fn wake_receivers(&mut self, counters: &Counters) {
        if std::mem::take(&mut self.news) {
            self.wake_those_with_news(counters);
        }
    }

    #[inline(never)]
    fn wake_those_with_news(&mut self, counters: &Counters) {
        for outward in self.outward.iter_mut().flatten() {
            if outward.news {
                outward.news = false;
                if outward.doorbell.wake() {
                    counters.bells.add(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use strowger_sip::Failure;

    use super::*;

    fn pair(capacity: usize) -> (Vec<Arc<Doorbell>>, Links, Links) {
        let doorbells: Vec<_> = (0..2)
            .map(|_| Arc::new(Doorbell::new().expect("eventfd")))
            .collect();
        let mut links = Links::mesh(&doorbells, capacity);
        let second = links.pop().expect("two");
        let first = links.pop().expect("two");
        (doorbells, first, second)
    }

    fn failed(token: u64) -> Item {
        let (origin, failure) = (1, Failure::Full);
        Item::Failed(
            [Unsent {
                origin,
                token,
                failure,
            }]
            .into(),
        )
    }

    fn token(item: Option<Item>) -> Option<u64> {
        match item {
            Some(Item::Failed(all)) => Some(all[0].token),
            _ => None,
        }
    }

    #[test]
    fn a_full_ring_gives_the_item_back_and_keeps_what_may_wait_in_order() {
        let (_bells, mut first, mut second) = pair(1);
        assert!(first.push(1, failed(1)).is_ok());
        assert!(first.push(1, failed(2)).is_err());
        assert!(first.push_or_wait(1, failed(3)).is_ok());
        assert!(first.push_or_wait(1, failed(4)).is_err());
        assert_eq!(token(second.pop(0)), Some(1));
        // What waits goes first, or the order would change.
        assert!(first.push(1, failed(5)).is_err());
        assert!(!first.retry());
        assert_eq!(token(second.pop(0)), Some(3));
        assert!(second.is_empty());
    }

    #[test]
    fn a_ring_that_is_nearly_full_is_crowded() {
        let (_bells, mut first, mut second) = pair(8);
        for token in 1..=6 {
            assert!(!first.is_crowded());
            assert!(first.push(1, failed(token)).is_ok());
        }
        assert_eq!(first.room(1), 2);
        assert!(first.push(1, failed(7)).is_ok());
        assert!(first.is_crowded() && !second.is_crowded());
        second.pop(0);
        assert!(!first.is_crowded());
    }

    #[test]
    fn nothing_is_handed_to_oneself_or_to_a_shard_that_is_not_there() {
        let (_bells, mut first, _second) = pair(1);
        assert!(first.push(0, failed(1)).is_err());
        assert!(first.push_or_wait(9, failed(1)).is_err());
    }

    #[test]
    fn a_sleeper_is_woken_once_and_one_that_is_awake_never() {
        let (bells, mut first, _second) = pair(4);
        let counters = Counters::default();
        assert!(first.push(1, failed(1)).is_ok());
        first.wake_receivers(&counters);
        assert_eq!(counters.bells.read(), 0);
        bells[1].fall_asleep();
        for _ in 0..2 {
            assert!(first.push(1, failed(2)).is_ok());
            first.wake_receivers(&counters);
        }
        assert_eq!(counters.bells.read(), 1);
    }

    #[test]
    fn a_spent_packet_comes_home() {
        let (_bells, mut first, mut second) = pair(4);
        let mut pool = Pool::new(0, 4);
        let packet = pool.take();
        assert!(first.push(1, Item::Packet(packet)).is_ok());
        let Some(Item::Packet(packet)) = second.pop(0) else {
            panic!("no packet")
        };
        second.send_home(packet);
        assert!(pool.is_empty());
        first.collect_spent(&mut pool);
        assert!(!pool.is_empty());
    }
}
