//! Taking what has come: datagrams, bytes of connections, items of other shards, messages of the control side.

use strowger_sip::{Destination, Source};

use super::crossing::WhenFull;
use super::{CONTROLS_PER_TURN, ITEMS_PER_TURN, ITEMS_PER_TURN_AT_LEAST, Shard};
use crate::application::{Application, Handled};
use crate::clock;
use crate::epoll::{Readiness, Token};
use crate::packet::{Errand, Packet};
use crate::ring::Item;
use crate::tcp::Input;

/// How long one socket's datagrams are taken before others get their turn.
const RECEIVE_NS: u64 = 1_000_000;

/// ICMP errors taken from one socket in one turn.
const ERRORS_PER_TURN: usize = 64;

impl<A: Application> Shard<A> {
    /// Takes what has come to the socket of a listener or of a group; true when there may be more.
    pub(super) fn receive_datagrams(&mut self, token: Token) -> bool {
        let socket = match token {
            Token::Udp(listener) => self.udp.get_mut(usize::from(listener)).and_then(Option::as_mut),
            Token::Group(listener) => self.groups.iter_mut().find(|group| group.listener() == listener),
            _ => None,
        };
        let Some(socket) = socket else { return false };
        let before = self.counters.datagrams_received.read();
        let until = self.now.mono_ns + RECEIVE_NS;
        loop {
            let may_have_more = self.batches.receive(socket, &self.counters, |packet, source| {
                let Packet { data, index, .. } = &mut **packet;
                let handled = self.app.receive(data, index, source, self.now, &mut self.out);
                let Handled::Hop(shard) = handled else { return };
                if shard == self.id {
                    self.app.receive_hop(data, index, source, self.now, &mut self.out);
                    return;
                }
                let hopping = std::mem::replace(packet, self.crossing.take_packet());
                let errand = Errand::Received(*source);
                self.crossing.hand_over(shard, hopping, errand, WhenFull::Drop);
            });
            let taken = self.counters.datagrams_received.read().wrapping_sub(before);
            // What is left is told again by epoll, which is level-triggered.
            if !may_have_more || taken >= self.datagrams_per_turn as u64 || clock::mono_ns() >= until {
                return may_have_more;
            }
        }
    }

    #[cold]
    pub(super) fn take_udp_errors(&mut self, listener: u16) {
        let Some(Some(socket)) = self.udp.get(usize::from(listener)) else {
            return;
        };
        for _ in 0..ERRORS_PER_TURN {
            let take = |remote, failure, quoted: &[u8]| {
                let handled = self
                    .app
                    .unreachable(remote, failure, quoted, self.now, &mut self.out);
                if let Handled::Hop(shard) = handled
                    && shard != self.id
                {
                    let mut hopping = self.crossing.take_packet();
                    hopping.data.extend_from_slice(quoted);
                    let errand = Errand::Unreachable { remote, failure };
                    self.crossing.hand_over(shard, hopping, errand, WhenFull::Drop);
                }
            };
            if !self.batches.take_error(socket, &self.counters, take) {
                return socket.clear_error();
            }
        }
    }

    #[inline(never)]
    pub(super) fn read_connection(&mut self, readiness: Readiness, index: u32, generation: u32) {
        self.connections.ready(
            readiness,
            index,
            generation,
            self.now.mono_ns,
            &mut |input, source| match input {
                Input::Message(bytes) => {
                    let index = &mut self.scratch.index;
                    let handled = self.app.receive(bytes, index, source, self.now, &mut self.out);
                    let Handled::Hop(shard) = handled else { return };
                    if shard == self.id {
                        self.app
                            .receive_hop(bytes, index, source, self.now, &mut self.out);
                        return;
                    }
                    let mut hopping = std::mem::replace(&mut self.scratch, self.crossing.take_packet());
                    hopping.data.extend_from_slice(bytes);
                    let errand = Errand::Received(*source);
                    self.crossing.hand_over(shard, hopping, errand, WhenFull::Wait);
                }
                Input::Pings(count) => {
                    if let Some(flow) = source.flow {
                        let start = self.out.bytes.len();
                        self.out
                            .bytes
                            .extend(std::iter::repeat_n(*b"\r\n", count).flatten());
                        self.out.send_from(start, Destination::Flow(flow), 0);
                    }
                }
            },
        );
    }

    pub(super) fn take_items(&mut self) {
        for shard in 0..self.crossing.links.shards() {
            self.take_items_of(shard);
        }
    }

    #[inline(never)]
    fn take_items_of(&mut self, shard: u16) {
        let mut most = None;
        for taken in 1.. {
            let Some(item) = self.crossing.links.pop(shard) else {
                break;
            };
            // Most items have an answer that goes back the same way, where there must be room for it.
            let most = *most.get_or_insert_with(|| {
                let room = self.crossing.links.room(shard);
                (room / 2).clamp(ITEMS_PER_TURN_AT_LEAST, ITEMS_PER_TURN)
            });
            self.take_item(shard, item);
            if taken == most {
                self.more = true;
                break;
            }
        }
    }

    fn take_item(&mut self, from: u16, item: Item) {
        let packet = match item {
            Item::Packet(packet) => packet,
            Item::Failed(all) => return self.tell_unsent(&all),
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
        self.crossing.give_back(packet);
    }

    fn receive_hop(&mut self, packet: &Packet, source: &Source) {
        self.app
            .receive_hop(&packet.data, &packet.index, source, self.now, &mut self.out);
    }

    pub(super) fn take_controls(&mut self) {
        if self.doorbell.take_control() {
            self.take_announced();
        }
    }

    #[inline(never)]
    fn take_announced(&mut self) {
        self.take_change();
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
