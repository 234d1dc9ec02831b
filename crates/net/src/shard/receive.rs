//! Taking what has come: datagrams, bytes of connections, items of other shards, messages of the control side.

use strowger_sip::{Destination, Source};

use super::{CONTROLS_PER_TURN, ITEMS_PER_TURN, ITEMS_PER_TURN_AT_LEAST, Shard};
use crate::application::{Application, Handled};
use crate::clock;
use crate::counters::Counters;
use crate::epoll::Readiness;
use crate::packet::{Errand, Packet, Pool};
use crate::ring::{Item, Links};
use crate::tcp::Input;

/// How long one socket's datagrams are taken before others get their turn.
const RECEIVE_NS: u64 = 1_000_000;

/// ICMP errors taken from one socket in one turn.
const ERRORS_PER_TURN: usize = 64;

/// What is done with a message or an ICMP error that cannot be handed over at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenFull {
    /// It is dropped: it is a datagram, or an error about one, and whoever sent that will send it again.
    Drop,
    /// It waits: it came over a connection, and nobody will send it again.
    Wait,
}

impl<A: Application> Shard<A> {
    pub(super) fn receive_datagrams(&mut self, listener: u16) {
        let Self {
            app,
            now,
            out,
            udp,
            batches,
            links,
            pool,
            counters,
            id,
            ..
        } = self;
        let Some(Some(socket)) = udp.get_mut(usize::from(listener)) else {
            return;
        };
        let before = counters.datagrams_received.read();
        let until = now.mono_ns + RECEIVE_NS;
        loop {
            let may_have_more = batches.receive(socket, counters, |packet, source| {
                let Packet { data, index, .. } = &mut **packet;
                if let Handled::Hop(shard) = app.receive(data, index, source, *now, out) {
                    if shard == *id {
                        app.receive_hop(data, index, source, *now, out);
                        return;
                    }
                    let mut hopping = std::mem::replace(packet, take_packet(pool, links));
                    hopping.errand = Errand::Received(*source);
                    hand_over(links, pool, counters, shard, hopping, WhenFull::Drop);
                }
            });
            let taken = counters.datagrams_received.read().wrapping_sub(before);
            // What is left is told again by epoll, which is level-triggered.
            if !may_have_more || taken >= self.datagrams_per_turn as u64 || clock::mono_ns() >= until {
                return;
            }
        }
    }

    pub(super) fn take_udp_errors(&mut self, listener: u16) {
        let Self {
            app,
            now,
            out,
            udp,
            batches,
            links,
            pool,
            counters,
            id,
            ..
        } = self;
        let Some(Some(socket)) = udp.get(usize::from(listener)) else {
            return;
        };
        for _ in 0..ERRORS_PER_TURN {
            let any = batches.take_error(socket, counters, |remote, failure, quoted| {
                let handled = app.unreachable(remote, failure, quoted, *now, out);
                if let Handled::Hop(shard) = handled
                    && shard != *id
                {
                    let mut hopping = take_packet(pool, links);
                    hopping.data.extend_from_slice(quoted);
                    hopping.errand = Errand::Unreachable { remote, failure };
                    hand_over(links, pool, counters, shard, hopping, WhenFull::Drop);
                }
            });
            if !any {
                return socket.clear_error();
            }
        }
    }

    pub(super) fn read_connection(&mut self, readiness: Readiness, index: u32, generation: u32) {
        let Self {
            app,
            now,
            out,
            connections,
            links,
            pool,
            scratch,
            counters,
            id,
            ..
        } = self;
        connections.ready(
            readiness,
            index,
            generation,
            now.mono_ns,
            &mut |input, source| match input {
                Input::Message(bytes) => {
                    let handled = app.receive(bytes, &mut scratch.index, source, *now, out);
                    let Handled::Hop(shard) = handled else {
                        return;
                    };
                    if shard == *id {
                        app.receive_hop(bytes, &scratch.index, source, *now, out);
                        return;
                    }
                    let mut hopping = std::mem::replace(scratch, take_packet(pool, links));
                    hopping.data.extend_from_slice(bytes);
                    hopping.errand = Errand::Received(*source);
                    hand_over(links, pool, counters, shard, hopping, WhenFull::Wait);
                }
                Input::Pings(count) => {
                    if let Some(flow) = source.flow {
                        let start = out.bytes.len();
                        out.bytes.extend(std::iter::repeat_n(*b"\r\n", count).flatten());
                        out.send_from(start, Destination::Flow(flow), 0);
                    }
                }
            },
        );
    }

    pub(super) fn take_items(&mut self) {
        for shard in 0..self.links.shards() {
            // Most items have an answer that goes back the same way, where there must be room for it.
            let most = (self.links.room(shard) / 2).clamp(ITEMS_PER_TURN_AT_LEAST, ITEMS_PER_TURN);
            for taken in 0.. {
                if taken == most {
                    self.more = true;
                    break;
                }
                let Some(item) = self.links.pop(shard) else {
                    break;
                };
                self.take_item(shard, item);
            }
        }
    }

    fn take_item(&mut self, from: u16, item: Item) {
        let packet = match item {
            Item::Packet(packet) => packet,
            Item::Failed { token, failure } => {
                return self.app.send_failed(token, failure, self.now, &mut self.out);
            }
        };
        self.counters.hops_in.add(1);
        match packet.errand {
            Errand::None => {}
            Errand::Received(source) => self.receive_hop(&packet, &source),
            Errand::Unreachable { remote, failure } => {
                // The error has made its one hop, whatever the application says.
                let _: Handled = self
                    .app
                    .unreachable(remote, failure, &packet.data, self.now, &mut self.out);
            }
            Errand::Send { to, flow, token } => {
                let start = self.out.bytes.len() as u32;
                self.out.bytes.extend_from_slice(&packet.data);
                let span = start..self.out.bytes.len() as u32;
                self.stage_for_other(to, flow, span, token, from);
            }
        }
        self.links.send_home(packet);
    }

    fn receive_hop(&mut self, packet: &Packet, source: &Source) {
        self.app
            .receive_hop(&packet.data, &packet.index, source, self.now, &mut self.out);
    }

    pub(super) fn take_controls(&mut self) {
        if !self.doorbell.take_control() {
            return;
        }
        for _ in 0..CONTROLS_PER_TURN {
            let Ok(control) = self.control.try_recv() else {
                return;
            };
            self.app.control(control, self.now, &mut self.out);
        }
        self.doorbell.announce_control();
        self.more = true;
    }
}

/// An empty packet: a spare one, one that has come home, or a new one.
pub(super) fn take_packet(pool: &mut Pool, links: &mut Links) -> Box<Packet> {
    if pool.is_empty() {
        links.collect_spent(pool);
    }
    pool.take()
}

fn hand_over(
    links: &mut Links,
    pool: &mut Pool,
    counters: &Counters,
    shard: u16,
    packet: Box<Packet>,
    when_full: WhenFull,
) {
    let result = match when_full {
        WhenFull::Drop => links.push(shard, Item::Packet(packet)),
        WhenFull::Wait => links.push_or_wait(shard, Item::Packet(packet)),
    };
    match result {
        Ok(()) => counters.hops_out.add(1),
        Err(item) => {
            counters.ring_drops.add(1);
            if let Item::Packet(packet) = item {
                pool.give(packet);
            }
        }
    }
}
