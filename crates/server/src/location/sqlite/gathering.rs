//! How commits gather for one transaction, which costs much, while a commit more in it costs little. Whoever queues one wakes
//! nobody: the writer is woken at the end of a shard's turn, once as many are queued as it expects, and looks by itself after
//! [`GATHER`].
//!
//! It expects as many as were under way when it answered last. A peer that has so many requests under way sends the next ones
//! when it is answered, and nobody else is left to wait for; where more come, waiting ends with the time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long commits may gather.
pub(super) const GATHER: Duration = Duration::from_millis(1);

/// How many commits are queued, and for how many the writer waits.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    queued: AtomicUsize,
    /// Zero while the writer waits for none.
    awaited: AtomicUsize,
}

impl Gathering {
    /// One more will be queued.
    pub(super) fn add(&self) {
        self.queued.fetch_add(1, Ordering::SeqCst);
    }

    /// So many are no longer queued.
    pub(super) fn remove(&self, count: usize) {
        self.queued.fetch_sub(count, Ordering::SeqCst);
    }

    /// How many are queued, or about to be.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::SeqCst)
    }

    /// Waits until so many are queued, for this time at most: until then, whoever finds that it [calls](Self::calls_writer) for
    /// the writer unparks this thread.
    pub(super) fn wait_for(&self, count: usize, longest: Duration) {
        let until = Instant::now() + longest;
        self.awaited.store(count, Ordering::SeqCst);
        // Who queues one counts it, then looks for how many are awaited, so one of the two sees what the other did.
        while self.queued() < count {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        self.awaited.store(0, Ordering::SeqCst);
        // The shard that called has ended one turn: on the same CPU it takes what has come meanwhile before it sleeps.
        thread::yield_now();
    }

    /// Whether the writer is to be woken: it waits, and as many are queued as it waits for. True once.
    pub(super) fn calls_writer(&self) -> bool {
        let awaited = self.awaited.load(Ordering::SeqCst);
        awaited != 0 && self.queued() >= awaited && self.awaited.swap(0, Ordering::SeqCst) != 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn with(queued: usize) -> Arc<Gathering> {
        let gathering = Gathering::default();
        (0..queued).for_each(|_| gathering.add());
        Arc::new(gathering)
    }

    #[test]
    fn nobody_waits_for_what_is_queued() {
        let gathering = with(3);
        gathering.wait_for(3, GATHER);
        assert!(!gathering.calls_writer());
        gathering.remove(2);
        assert_eq!(gathering.queued(), 1);
    }

    #[test]
    fn nobody_waits_long_for_what_does_not_come() {
        let begun = Instant::now();
        with(3).wait_for(4, GATHER);
        assert!(begun.elapsed() >= GATHER);
    }

    #[test]
    fn the_writer_is_called_once_and_only_for_as_many_as_it_waits_for() {
        let gathering = with(2);
        gathering.awaited.store(3, Ordering::SeqCst);
        assert!(!gathering.calls_writer());
        gathering.add();
        assert!(gathering.calls_writer());
        assert!(!gathering.calls_writer());
    }

    #[test]
    fn a_writer_that_waits_is_called_with_the_last_that_it_waits_for() {
        let (gathering, begun) = (with(0), Instant::now());
        let longest = Duration::from_secs(60);
        let writer = thread::spawn({
            let gathering = Arc::clone(&gathering);
            move || gathering.wait_for(5, longest)
        });
        while gathering.awaited.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        let calls = (0..5).map(|_| {
            gathering.add();
            gathering.calls_writer()
        });
        assert_eq!(calls.collect::<Vec<_>>(), [false, false, false, false, true]);
        writer.thread().unpark();
        assert!(writer.join().is_ok());
        assert!(begun.elapsed() < longest);
    }
}
