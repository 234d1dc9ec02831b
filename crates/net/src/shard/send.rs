//! Sending what the application wants sent, at the end of a turn.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsFd;

use strowger_sip::{Destination, Failure, Flow, Transmit};
use strowger_syntax::Transport;

use super::{FLUSH_ROUNDS, Shard};
use crate::application::Application;
use crate::epoll::Token;
use crate::packet::Errand;
use crate::ring::Item;
use crate::tcp::Unsent;

/// Memory that the buffer of outgoing messages keeps from one turn to the next.
const KEPT_BYTES: usize = 4 << 20;

impl<A: Application> Shard<A> {
    /// Sends everything, tells who has to know what could not be sent, and sends what that led to.
    pub(super) fn flush(&mut self) {
        for _ in 0..FLUSH_ROUNDS {
            for position in 0..self.out.transmits.len() {
                self.dispatch(position);
            }
            self.flush_sockets();
            self.out.clear();
            if self.out.bytes.capacity() > KEPT_BYTES {
                self.out.bytes.shrink_to(KEPT_BYTES);
            }
            if self.connections.reports.is_empty() {
                break;
            }
            self.tell_reports();
        }
        self.more |= !self.out.transmits.is_empty() || !self.connections.reports.is_empty();
        self.waits = self.crossing.links.retry();
        self.crossing.links.wake_receivers(&self.counters);
    }

    fn flush_sockets(&mut self) {
        let Self {
            udp,
            batches,
            out,
            counters,
            connections,
            around,
            id,
            ..
        } = self;
        for (listener, socket) in udp.iter_mut().enumerate() {
            let Some(socket) = socket else {
                continue;
            };
            if socket.has_output() {
                batches.send(socket, out, counters, |token, failure| {
                    connections.reports.unsent(*id, token, failure)
                });
            }
            if let Some(interest) = socket.changed_interest() {
                let token = Token::Udp(listener as u16);
                // The descriptor is open and registered, so this cannot fail.
                let _: io::Result<()> = around.epoll.modify(socket.as_fd(), interest, token);
            }
        }
        if connections.has_work() {
            connections.flush(&out.bytes, self.now.mono_ns);
        }
    }

    /// Puts one transmit where it goes out.
    fn dispatch(&mut self, position: usize) {
        let transmit = &self.out.transmits[position];
        let Transmit { to, span, token, .. } = transmit;
        match to {
            Destination::Datagram { listener, from, to } => {
                let socket = match self.udp.get_mut(usize::from(*listener)) {
                    Some(Some(socket)) => Some(socket),
                    _ => {
                        let heir = self.listening.heir_of(*listener);
                        heir.and_then(|heir| self.udp.get_mut(usize::from(heir))?.as_mut())
                    }
                };
                if !socket.is_some_and(|socket| socket.queue(position, transmit, *from, to)) {
                    self.counters.datagrams_not_sent.add(1);
                    let reports = &mut self.connections.reports;
                    reports.unsent(self.id, *token, Failure::Unreachable);
                }
            }
            Destination::Flow(flow) if flow.shard == self.id => {
                self.connections.stage(*flow, span.clone(), *token, self.id);
            }
            Destination::Flow(flow) => self.send_by(*flow, *to, span.clone(), *token),
            Destination::Connect {
                transport,
                to: remote,
            } => self.dispatch_by_address(*transport, *remote, span.clone(), *token),
        }
    }

    /// Sends over a connection to an address, whichever shard has one.
    #[inline(never)]
    fn dispatch_by_address(
        &mut self,
        transport: Transport,
        remote: SocketAddr,
        span: Range<u32>,
        token: u64,
    ) {
        let to = Destination::Connect {
            transport,
            to: remote,
        };
        if self.connections.find(transport, remote).is_some() {
            return self.stage_or_connect(to, span, token, self.id);
        }
        let remote = crate::directory::normalised(remote);
        match self.around.directory.find(transport, remote) {
            Some(flow) if flow.shard != self.id => self.send_by(flow, to, span, token),
            _ => self.stage_or_connect(to, span, token, self.id),
        }
    }

    /// Stages a message over a connection of this shard: the one there is, else a new one.
    fn stage_or_connect(&mut self, to: Destination, span: Range<u32>, token: u64, origin: u16) {
        let Destination::Connect {
            transport,
            to: remote,
        } = to
        else {
            return self.connections.reports.unsent(origin, token, Failure::Closed);
        };
        let flow = match self.connections.find(transport, remote) {
            Some(flow) => Ok(flow),
            None => self.connections.connect(transport, remote, self.now.mono_ns),
        };
        match flow {
            Ok(flow) => self.connections.stage(flow, span, token, origin),
            Err(failure) => self.connections.reports.unsent(origin, token, failure),
        }
    }

    /// Stages a message of another shard, whose bytes are in the outbox that is being filled.
    pub(super) fn stage_for_other(
        &mut self,
        to: Destination,
        flow: Flow,
        span: Range<u32>,
        token: u64,
        origin: u16,
    ) {
        if self.connections.takes(flow, token) {
            self.connections.stage(flow, span, token, origin);
        } else {
            // The connection has closed since the other shard found it: a new one is opened if any will do.
            self.stage_or_connect(to, span, token, origin);
        }
    }

    /// Hands a message to the shard that owns the connection.
    #[inline(never)]
    fn send_by(&mut self, flow: Flow, to: Destination, span: Range<u32>, token: u64) {
        let mut packet = self.crossing.take_packet();
        packet
            .data
            .extend_from_slice(&self.out.bytes[span.start as usize..span.end as usize]);
        packet.errand = Errand::Send { to, flow, token };
        let is_known = usize::from(flow.shard) < self.shared.doorbells.len();
        match self.crossing.links.push(flow.shard, Item::Packet(packet)) {
            Ok(()) => self.counters.hops_out.add(1),
            Err(item) => {
                if let Item::Packet(packet) = item {
                    self.crossing.pool.give(packet);
                }
                let failure = if is_known { Failure::Full } else { Failure::Closed };
                self.counters.ring_refusals.add(1);
                self.connections.reports.unsent(self.id, token, failure);
            }
        }
    }

    /// Tells the application, or the shard that asked, what became of messages and connections.
    #[inline(never)]
    fn tell_reports(&mut self) {
        let mut reports = std::mem::take(&mut self.connections.reports);
        reports.unsent.sort_by_key(|unsent| unsent.origin);
        for of_one in reports.unsent.chunk_by(|one, next| one.origin == next.origin) {
            let origin = of_one[0].origin;
            if origin == self.id {
                self.tell_unsent(of_one);
                continue;
            }
            let item = Item::Failed(of_one.into());
            if self.crossing.links.push_or_wait(origin, item).is_err() {
                self.counters.ring_drops.add(of_one.len() as u64);
            }
        }
        reports.unsent.clear();
        for flow in reports.closed.drain(..) {
            self.app.flow_closed(flow, self.now, &mut self.out);
        }
        // Nothing was added meanwhile: the application only writes to its outbox.
        self.connections.reports = reports;
    }

    /// Tells the application what became of messages of this shard.
    pub(super) fn tell_unsent(&mut self, all: &[Unsent]) {
        for unsent in all {
            self.app
                .send_failed(unsent.token, unsent.failure, self.now, &mut self.out);
        }
    }

    #[cold]
    pub(super) fn send_udp_backlog(&mut self, listener: u16) {
        let Self {
            udp,
            batches,
            counters,
            ..
        } = self;
        if let Some(Some(socket)) = udp.get_mut(usize::from(listener)) {
            batches.send_backlog(socket, counters);
        }
    }
}
