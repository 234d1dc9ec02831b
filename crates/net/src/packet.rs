//! Buffers that messages travel in, from the socket to the shard that owns them and back to be used again.

use std::net::SocketAddr;

use strowger_sip::{Destination, Failure, Flow, Source};
use strowger_syntax::Index;

/// The longest datagram there can be.
pub(crate) const DATAGRAM_MAX: usize = 65_535;

/// A message with its index or the beginning of one, on its way between shards, or an empty buffer. Its memory is reserved
/// for the longest datagram, but the pages of it that nothing was ever written to cost nothing.
#[derive(Debug)]
pub(crate) struct Packet {
    /// The bytes of the message.
    pub(crate) data: Vec<u8>,
    /// Where everything is in it.
    pub(crate) index: Index,
    /// The shard whose pool it belongs to.
    pub(crate) home: u16,
    /// Why it travels.
    pub(crate) errand: Errand,
}

/// Why a packet travels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Errand {
    /// It does not.
    None,
    /// It was received, and belongs to the shard it travels to.
    Received(Source),
    /// Its bytes are what an ICMP error quotes that belongs to the shard it travels to.
    Unreachable {
        /// Where the datagram was sent to.
        remote: SocketAddr,
        /// What the error means.
        failure: Failure,
    },
    /// It shall be sent over a connection of the shard it travels to.
    Send {
        /// The destination that the sender named.
        to: Destination,
        /// The connection that was found for it.
        flow: Flow,
        /// The sender's token.
        token: u64,
    },
}

/// Spare buffers below which a pool keeps those of others: those of a few batches.
const FEW: usize = 64;

/// Buffers of one shard that are not in use.
#[derive(Debug)]
pub(crate) struct Pool {
    home: u16,
    // The one used last is taken first: its pages are the ones in the cache.
    #[expect(clippy::vec_box, reason = "packets travel by their pointer")]
    spare: Vec<Box<Packet>>,
    limit: usize,
}

impl Pool {
    /// A pool that keeps at most `limit` spare buffers.
    pub(crate) fn new(home: u16, limit: usize) -> Self {
        Self {
            home,
            spare: Vec::with_capacity(limit),
            limit,
        }
    }

    /// An empty buffer: a spare one, else a new one.
    pub(crate) fn take(&mut self) -> Box<Packet> {
        self.spare.pop().unwrap_or_else(|| {
            Box::new(Packet {
                data: Vec::with_capacity(DATAGRAM_MAX),
                index: Index::default(),
                home: self.home,
                errand: Errand::None,
            })
        })
    }

    /// Whether the next [`take`](Self::take) makes a new one.
    pub(crate) fn is_empty(&self) -> bool {
        self.spare.is_empty()
    }

    /// Takes a buffer of another pool for its own, as long as it has few.
    pub(crate) fn adopt(&mut self, mut packet: Box<Packet>) -> Result<(), Box<Packet>> {
        if self.spare.len() >= FEW.min(self.limit) {
            return Err(packet);
        }
        packet.home = self.home;
        self.give(packet);
        Ok(())
    }

    /// Takes back a buffer of this pool.
    pub(crate) fn give(&mut self, mut packet: Box<Packet>) {
        packet.data.clear();
        packet.errand = Errand::None;
        // A message of a stream may have made it longer than any datagram: such memory is not kept.
        let fits = packet.data.capacity() <= 2 * DATAGRAM_MAX;
        if fits && packet.home == self.home && self.spare.len() < self.limit {
            self.spare.push(packet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again_empty() {
        let mut pool = Pool::new(3, 1);
        let mut packet = pool.take();
        packet.data.extend_from_slice(b"abc");
        let address = packet.data.as_ptr();
        pool.give(packet);
        assert!(!pool.is_empty());
        let again = pool.take();
        assert_eq!(again.data.as_ptr(), address);
        assert!(again.data.is_empty());
    }

    #[test]
    fn a_pool_that_has_few_keeps_the_buffers_of_others() {
        let (mut ours, mut others) = (Pool::new(0, 100), Pool::new(1, 100));
        for _ in 0..FEW {
            assert!(ours.adopt(others.take()).is_ok());
        }
        assert_eq!(ours.adopt(others.take()).expect_err("it has enough").home, 1);
        assert_eq!(ours.take().home, 0);
    }

    #[test]
    fn no_more_than_the_limit_and_nothing_oversized_is_kept() {
        let mut pool = Pool::new(0, 1);
        let (first, second) = (pool.take(), pool.take());
        pool.give(first);
        pool.give(second);
        assert_eq!(pool.spare.len(), 1);
        let mut large = pool.take();
        large.data.reserve(4 * DATAGRAM_MAX);
        pool.give(large);
        assert!(pool.is_empty());
    }
}
