//! The hops that the branches of all contexts have left (RFC 3263 §4.3).

use crate::memory::Chunks;
use crate::transport::Hop;

/// The hops that one branch has left, by the place of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ways(u32);

const NONE: u32 = u32::MAX;

impl Ways {
    /// Whether none is left.
    pub(super) fn is_empty(self) -> bool {
        self.0 == NONE
    }
}

#[derive(Clone, Debug)]
struct Link {
    hop: Hop,
    next: u32,
}

/// All lists of hops of a shard, in one place that allocates nothing in the steady state.
#[derive(Clone, Debug, Default)]
pub(super) struct AllWays(Chunks<Link>);

impl AllWays {
    /// Keeps hops in their order.
    pub(super) fn keep(&mut self, hops: &[Hop]) -> Ways {
        let link = |next, &hop: &Hop| self.0.insert_with(|_| Link { hop, next });
        Ways(hops.iter().rev().fold(NONE, link))
    }

    /// Takes the first hop that is left.
    pub(super) fn take(&mut self, ways: &mut Ways) -> Option<Hop> {
        let link = self.0.remove(ways.0)?;
        ways.0 = link.next;
        Some(link.hop)
    }

    /// Forgets what is left.
    pub(super) fn forget(&mut self, ways: &mut Ways) {
        while self.take(ways).is_some() {}
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}
