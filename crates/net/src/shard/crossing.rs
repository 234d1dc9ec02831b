//! The way to the other shards, and the packets that travel it.

use std::sync::Arc;

use crate::counters::Counters;
use crate::packet::{Errand, Packet, Pool};
use crate::ring::{Item, Links};

/// What is done with a message or an ICMP error that cannot be handed over at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// It is dropped: it is a datagram, or an error about one, and whoever sent that will send it again.
    Drop,
    /// It waits: it came over a connection, and nobody will send it again.
    Wait,
}

/// The rings to the other shards, and the packets of this one.
pub(super) struct Crossing {
    pub(super) links: Links,
    pub(super) pool: Pool,
    pub(super) counters: Arc<Counters>,
}

impl Crossing {
    /// An empty packet: a spare one, one that has come home, or a new one.
    pub(super) fn take_packet(&mut self) -> Box<Packet> {
        if self.pool.is_empty() {
            self.links.collect_spent(&mut self.pool);
        }
        self.pool.take()
    }

    /// Takes back a packet that came from another shard: it stays here while this one is short of spare packets, as about as
    /// many go the other way, else it goes home.
    pub(super) fn give_back(&mut self, packet: Box<Packet>) {
        if let Err(packet) = self.pool.adopt(packet) {
            self.links.send_home(packet);
        }
    }

    /// Sends a packet to the shard that what is in it belongs to.
    pub(super) fn hand_over(
        &mut self,
        shard: u16,
        mut packet: Box<Packet>,
        errand: Errand,
        when_full: WhenFull,
    ) {
        packet.errand = errand;
        let result = match when_full {
            WhenFull::Drop => self.links.push(shard, Item::Packet(packet)),
            WhenFull::Wait => self.links.push_or_wait(shard, Item::Packet(packet)),
        };
        match result {
            Ok(()) => self.counters.hops_out.add(1),
            Err(item) => {
                self.counters.ring_drops.add(1);
                if let Item::Packet(packet) = item {
                    self.pool.give(packet);
                }
            }
        }
    }
}
