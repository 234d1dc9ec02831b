//! The hops that the branches of all contexts have left (RFC 3263 §4.3), and the flows (RFC 5626 §7).

use super::targets::TargetTexts;
use crate::memory::Chunks;
use crate::transport::Hop;

/// The hops that one branch has left, by the place of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ways(u32);

const NONE: u32 = u32::MAX;

impl Ways {
    /// None at all.
    pub(super) const NONE: Self = Self(NONE);

    /// Whether none is left.
    pub(super) fn is_empty(self) -> bool {
        self.0 == NONE
    }
}

#[derive(Clone, Debug)]
struct Link {
    hop: Hop,
    /// What is sent there: another flow to the same user agent instance has texts of its own.
    texts: TargetTexts,
    next: u32,
}

/// All lists of hops of a shard, in one place that allocates nothing in the steady state.
#[derive(Clone, Debug, Default)]
pub(super) struct AllWays(Chunks<Link>);

impl AllWays {
    /// Keeps hops in their order.
    pub(super) fn keep(&mut self, hops: impl DoubleEndedIterator<Item = (Hop, TargetTexts)>) -> Ways {
        let link = |next, (hop, texts)| self.0.insert_with(|_| Link { hop, texts, next });
        Ways(hops.rev().fold(NONE, link))
    }

    /// Takes the first hop that is left, with what is sent there.
    pub(super) fn take(&mut self, ways: &mut Ways) -> Option<(Hop, TargetTexts)> {
        let link = self.0.remove(ways.0)?;
        ways.0 = link.next;
        Some((link.hop, link.texts))
    }

    /// Whether the next hop is another one to the same contact.
    pub(super) fn has_other_hop(&self, ways: Ways, texts: TargetTexts) -> bool {
        self.0.get(ways.0).is_some_and(|link| link.texts == texts)
    }

    /// Forgets the hops that lead to the same contact. Whether those to another one are left.
    pub(super) fn leave_contact(&mut self, ways: &mut Ways, texts: TargetTexts) -> bool {
        while self.has_other_hop(*ways, texts) {
            self.take(ways);
        }
        !ways.is_empty()
    }

    /// Forgets what is left.
    pub(super) fn forget(&mut self, ways: &mut Ways) {
        while !ways.is_empty() && self.take(ways).is_some() {}
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}
