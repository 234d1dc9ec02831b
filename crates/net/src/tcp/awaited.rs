//! Requests that were written to one connection, and whose answers come back over it.

use std::collections::VecDeque;
use std::time::Duration;

use strowger_sip::transaction::awaits_answer;

use super::Sender;
use super::connection::later;

/// A SIP request that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    sender: Sender,
    /// When it was written; monotonic nanoseconds.
    written_at: u64,
}

/// The latest of them. Which have been answered is known to their senders only, so a few stay in that have. It owns no memory
/// until the first.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    requests: VecDeque<Written>,
}

/// Timers B and F at their usual length (RFC 3261 §17.1): nobody waits longer for the first answer.
const PATIENCE: Duration = Duration::from_secs(32);

/// So many are kept at most: the older ones of a peer that is sent more are left to their timers.
const KEPT: usize = 256;

impl Awaited {
    /// Notes a message that was written, if it is a request that somebody waits for.
    #[inline]
    pub(super) fn note(&mut self, sender: Sender, now: u64) {
        if awaits_answer(sender.token) {
            self.push(sender, now);
        }
    }

    fn push(&mut self, sender: Sender, now: u64) {
        self.forget_old(now);
        if self.requests.len() == KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(Written {
            sender,
            written_at: now,
        });
    }

    /// Forgets those that nobody waits for any more.
    fn forget_old(&mut self, now: u64) {
        let is_over = |written: &mut Written| later(written.written_at, PATIENCE) <= now;
        while self.requests.pop_front_if(is_over).is_some() {}
    }

    /// Until when somebody may wait; 0 when nobody does.
    pub(super) fn until(&self) -> u64 {
        let latest = self.requests.back();
        latest.map_or(0, |written| later(written.written_at, PATIENCE))
    }

    /// Whoever sent them, now that no answer can come.
    pub(super) fn take(&mut self, now: u64) -> impl Iterator<Item = Sender> + use<> {
        self.forget_old(now);
        std::mem::take(&mut self.requests)
            .into_iter()
            .map(|written| written.sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the transaction layer adds to a name to make the token of a request, and of a response.
    const REQUEST: u64 = 2 << 62;
    const RESPONSE: u64 = 1 << 62;

    fn by(token: u64) -> Sender {
        Sender { token, origin: 0 }
    }

    fn tokens(awaited: &mut Awaited, now: u64) -> Vec<u64> {
        awaited.take(now).map(|sender| sender.token - REQUEST).collect()
    }

    #[test]
    fn only_requests_are_awaited() {
        let mut awaited = Awaited::default();
        for token in [RESPONSE + 1, REQUEST + 2, 0, REQUEST + 3] {
            awaited.note(by(token), 0);
        }
        assert_eq!(tokens(&mut awaited, 0), [2, 3]);
        assert_eq!(tokens(&mut awaited, 0), [], "they are told once");
    }

    #[test]
    fn what_nobody_can_wait_for_any_more_is_forgotten() {
        let mut awaited = Awaited::default();
        let patience = PATIENCE.as_nanos() as u64;
        awaited.note(by(REQUEST + 1), 0);
        awaited.note(by(REQUEST + 2), 1);
        awaited.note(by(REQUEST + 3), patience);
        assert_eq!(tokens(&mut awaited, patience), [2, 3]);
        awaited.note(by(REQUEST + 4), 0);
        awaited.note(by(REQUEST + 5), 1);
        assert_eq!(tokens(&mut awaited, patience), [5]);
    }

    #[test]
    fn a_peer_that_is_sent_much_has_only_the_latest() {
        let mut awaited = Awaited::default();
        for number in 0..3 * KEPT as u64 {
            awaited.note(by(REQUEST + number), 0);
        }
        let latest: Vec<u64> = (2 * KEPT as u64..3 * KEPT as u64).collect();
        assert_eq!(tokens(&mut awaited, 0), latest);
    }
}
