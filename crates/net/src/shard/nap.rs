//! Short naps between idle and busy. Waking up costs several times what a message costs, so at some thousands of messages
//! a second it pays to let a few of them gather instead of being woken for each. Nobody waits longer than the nap that
//! is allowed, nobody waits at all while there is little to do, and a shard with work left does not nap.

use std::time::Duration;

/// Messages that one nap is to gather: a tenth of a wake-up is a small part of what a message costs anyway.
const GATHERED: u64 = 10;

/// The shortest nap: what falls asleep for less is woken too soon to have gained anything.
const SHORTEST_NS: u64 = 100_000;

/// No nap is longer, whatever is allowed.
const LIMIT_NS: u64 = 10_000_000;

/// How often the rate of messages is measured.
const WINDOW_NS: u64 = 4_000_000;

/// A window that took so long had a pause in it, so the next one begins with little to do.
const PAUSE_NS: u64 = 2 * WINDOW_NS;

/// How long a shard naps at the rate at which messages come.
pub(super) struct Naps {
    longest_ns: u64,
    /// When the rate is measured next.
    due: u64,
    /// When it was measured last, and how many messages had come by then.
    since: u64,
    before: u64,
    nap_ns: u64,
}

impl Naps {
    /// Naps of this length at most.
    pub(super) fn new(longest: Duration) -> Self {
        let longest_ns = u64::try_from(longest.as_nanos())
            .unwrap_or(u64::MAX)
            .min(LIMIT_NS);
        Self {
            longest_ns,
            due: if longest_ns < SHORTEST_NS { u64::MAX } else { 0 },
            since: 0,
            before: 0,
            nap_ns: 0,
        }
    }

    /// How long to nap when there is nothing to do; 0 is not at all.
    pub(super) fn length_ns(&self) -> u64 {
        self.nap_ns
    }

    /// Measures the rate if it is time to; `messages` says how many have come so far.
    pub(super) fn measure(&mut self, now_ns: u64, messages: impl FnOnce() -> u64) {
        if now_ns < self.due {
            return;
        }
        let messages = messages();
        let (came, took) = (messages.wrapping_sub(self.before), now_ns - self.since);
        self.nap_ns = if took < PAUSE_NS {
            nap_ns(came, took, self.longest_ns)
        } else {
            0
        };
        (self.since, self.before) = (now_ns, messages);
        self.due = now_ns + WINDOW_NS;
    }
}

/// The nap for so many messages in such a time. None when so few come that even the longest gathers hardly any, nor when
/// so many come that they gather while others are worked on.
fn nap_ns(came: u64, took_ns: u64, longest_ns: u64) -> u64 {
    // As many as the longest nap gathers at this rate.
    let gathered = came * longest_ns / took_ns.max(1);
    if gathered < 3 {
        return 0;
    }
    let nap = (GATHERED * longest_ns / gathered).min(longest_ns);
    if nap < SHORTEST_NS { 0 } else { nap }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: u64 = 300_000;
    const ALLOWED: Duration = Duration::from_nanos(LONGEST);

    /// The nap after messages have come evenly for some windows.
    fn nap_at(per_second: u64) -> u64 {
        let mut naps = Naps::new(ALLOWED);
        for ms in 1..50 {
            naps.measure(ms * 1_000_000, || ms * per_second / 1000);
        }
        naps.length_ns()
    }

    #[test]
    fn a_light_load_is_served_at_once_a_moderate_one_gathers_and_a_heavy_one_needs_no_nap() {
        assert_eq!(nap_at(0), 0);
        assert_eq!(nap_at(6_000), 0);
        assert_eq!(nap_at(20_000), LONGEST);
        assert!((150_000..LONGEST).contains(&nap_at(50_000)));
        assert_eq!(nap_at(150_000), 0);
    }

    #[test]
    fn a_pause_ends_the_naps() {
        let mut naps = Naps::new(ALLOWED);
        naps.measure(WINDOW_NS, || 0);
        naps.measure(2 * WINDOW_NS, || 100);
        assert_eq!(naps.length_ns(), LONGEST);
        naps.measure(2 * WINDOW_NS + PAUSE_NS, || 1000);
        assert_eq!(naps.length_ns(), 0);
    }

    #[test]
    fn where_none_is_allowed_nothing_is_measured() {
        let mut naps = Naps::new(Duration::ZERO);
        naps.measure(1, || unreachable!("nobody asks"));
        assert_eq!(naps.length_ns(), 0);
    }
}
