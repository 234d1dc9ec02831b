//! Which requests have begun subscriptions lately (RFC 3261 §8.2.2.2).

use std::collections::VecDeque;

use hashbrown::HashSet;
use strowger_sip::memory::{is_sparse, table_bytes};

/// A hash of the Call-ID and the From tag of a request, and its CSeq number.
type RequestId = (u64, u32);

/// The requests that have begun subscriptions, each for as long as a server transaction on an unreliable transport lasts after its
/// answer: a copy that came another way is as late on any transport.
#[derive(Clone, Debug, Default)]
pub(super) struct Begun {
    requests: HashSet<RequestId, foldhash::fast::FixedState>,
    /// With the time at which each is forgotten, in milliseconds, the first one first.
    ends: VecDeque<(u64, RequestId)>,
}

impl Begun {
    /// Whether this request has begun a subscription.
    pub(super) fn has(&mut self, request: RequestId, now_ms: u64) -> bool {
        self.forget(now_ms);
        self.requests.contains(&request)
    }

    /// This request begins one. Of `most` others the first one is forgotten.
    pub(super) fn add(&mut self, request: RequestId, now_ms: u64, lifetime_ms: u64, most: usize) {
        self.forget(now_ms);
        if self.ends.len() >= most
            && let Some((_, first)) = self.ends.pop_front()
        {
            self.requests.remove(&first);
        }
        if self.requests.insert(request) {
            self.ends.push_back((now_ms + lifetime_ms, request));
        }
    }

    /// Forgets those whose time is over.
    fn forget(&mut self, now_ms: u64) {
        while let Some((_, request)) = self.ends.pop_front_if(|(end_ms, _)| *end_ms <= now_ms) {
            self.requests.remove(&request);
        }
        if is_sparse(self.requests.len(), self.requests.capacity()) {
            let room = 4 * self.requests.len();
            self.requests.shrink_to(room);
            self.ends.shrink_to(room);
        }
    }

    /// The bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        table_bytes(self.requests.capacity(), size_of::<RequestId>())
            + self.ends.capacity() * size_of::<(u64, RequestId)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_forgotten_when_there_are_too_many_and_each_when_its_time_is_over() {
        let mut begun = Begun::default();
        for cseq in 1..=5 {
            begun.add((7, cseq), 1000 * u64::from(cseq), 32_000, 4);
        }
        let has = |begun: &mut Begun, now_ms| {
            (1..=5)
                .filter(|&cseq| begun.has((7, cseq), now_ms))
                .collect::<Vec<_>>()
        };
        assert_eq!(has(&mut begun, 5000), [2, 3, 4, 5]);
        assert_eq!(has(&mut begun, 35_000), [4, 5]);
        assert!(has(&mut begun, 37_000).is_empty());
    }
}
