//! Accepting connections, within limits.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::Socket;
use strowger_sip::Source;
use strowger_syntax::Transport;

use super::Connections;
use super::connection::{Party, State, later};
use crate::clock::NEVER;
use crate::directory::normalised;
use crate::epoll::{Interest, Token};
use crate::listener::Listen;
use crate::sources::source_of;

/// One listener's listening socket of one shard.
#[derive(Debug)]
pub(super) struct Acceptor {
    socket: Socket,
    listener: u16,
    transport: Transport,
}

/// Connections accepted by one socket in one turn.
const ACCEPTS_PER_TURN: usize = 64;

/// How often as many are accepted of a socket before it is closed: no more than may wait there.
const BACKLOG_ROUNDS: usize = 64;

/// Bytes that the kernel keeps for a peer (it takes twice as many for itself).
const SEND_BUFFER: usize = 64 << 10;

/// How long nothing is accepted when there are no descriptors left.
const PAUSE: Duration = Duration::from_secs(1);

impl Connections {
    /// Accepts connections from now on from a listening socket that epoll knows.
    pub(crate) fn listen(&mut self, socket: Socket, listener: u16, transport: Transport) {
        self.acceptors.push(Acceptor {
            socket,
            listener,
            transport,
        });
    }

    /// Closes one listening socket after what waits there was accepted; connections stay. They are another listener's if
    /// that is at their address, or if we opened them.
    pub(crate) fn stop_accepting_at(&mut self, listener: u16, now: u64) {
        for _ in 0..BACKLOG_ROUNDS {
            if !self.accept(listener, now) {
                break;
            }
        }
        self.acceptors.retain(|acceptor| acceptor.listener != listener);
        for index in 0..self.slots.len() {
            let connection = self.slots[index].connection.as_ref();
            let of_it = connection.filter(|c| c.source.listener == listener);
            let heir = of_it.and_then(|c| match c.party {
                Party::Opened => Some(self.listener_for(c.source.transport, c.source.local)),
                Party::Accepted { .. } => self.listener_at(c.source.transport, c.source.local),
            });
            if let (Some(heir), Some(connection)) = (heir, self.slots[index].connection.as_mut()) {
                connection.source.listener = heir;
            }
        }
    }

    /// Ends the connections that a listener has left, after what is under way.
    pub(crate) fn close_listener(&mut self, listener: u16, now: u64) {
        self.stop_accepting_at(listener, now);
        for index in 0..self.slots.len() {
            let connection = self.slots[index].connection.as_ref();
            let accepted = connection.filter(|c| c.source.listener == listener && c.party != Party::Opened);
            if let Some(flow) = accepted.map(|c| c.flow) {
                self.end_ours(flow, now);
            }
        }
    }

    /// The listener that a connection to this address of ours would come to.
    fn listener_at(&self, transport: Transport, local: SocketAddr) -> Option<u16> {
        let is_at = |listen: &Listen| {
            let (at, ip) = (listen.address, listen.address.ip());
            let is_same = ip == local.ip() || (ip.is_unspecified() && ip.is_ipv4() == local.is_ipv4());
            listen.transport == transport && at.port() == local.port() && is_same
        };
        let mut live = self.around.listening.live.iter();
        live.find(|(_, listen)| is_at(listen)).map(|&(number, _)| number)
    }

    /// Closes the listening sockets; connections stay.
    pub(crate) fn stop_accepting(&mut self) {
        self.acceptors.clear();
        self.watch.accept_at = NEVER;
    }

    /// Accepts what waits at a listener; true when there may be more.
    pub(crate) fn accept(&mut self, listener: u16, now: u64) -> bool {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(acceptor) = self.acceptors.iter().find(|a| a.listener == listener) else {
                return false;
            };
            let transport = acceptor.transport;
            match acceptor.socket.accept() {
                Ok((socket, remote)) => {
                    if let Some(remote) = remote.as_socket() {
                        self.admit(socket, normalised(remote), listener, transport, now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => match error.raw_os_error() {
                    // The connection was gone before it was accepted: nothing to pause for.
                    Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO) => {}
                    _ => {
                        self.pause_accepting(now);
                        return false;
                    }
                },
            }
        }
        true
    }

    fn admit(&mut self, socket: Socket, remote: SocketAddr, listener: u16, transport: Transport, now: u64) {
        if self.open >= self.options.per_shard {
            return self.around.counters.connections_refused.add(1);
        }
        // Or the kernel would let megabytes wait for a peer that does not read.
        let ready = socket
            .set_nonblocking(true)
            .and_then(|()| socket.set_tcp_nodelay(true))
            .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER));
        let local = socket.local_addr().ok().and_then(|address| address.as_socket());
        let (Ok(()), Some(local)) = (ready, local) else {
            return;
        };
        let source = Source {
            transport,
            listener,
            local: normalised(local),
            remote,
            flow: None,
        };
        let Some(most) = self.options.most_of(remote.ip()) else {
            return self.insert_accepted(socket, source, None, now);
        };
        let key = source_of(remote.ip());
        if self.around.connected.enter(key, most) {
            self.insert_accepted(socket, source, Some(key), now);
        } else {
            self.around.counters.connections_refused.add(1);
        }
    }

    fn insert_accepted(&mut self, socket: Socket, source: Source, counted: Option<IpAddr>, now: u64) {
        match self.insert(socket, source, State::Open, Party::Accepted { counted }, now) {
            Ok(_) => self.around.counters.connections_accepted.add(1),
            Err(_) => counted
                .into_iter()
                .for_each(|key| self.around.connected.leave(key)),
        }
    }

    // A listening socket stays readable while its queue is not empty: without a pause the loop would spin.
    fn pause_accepting(&mut self, now: u64) {
        self.watch.accept_at = later(now, PAUSE);
        self.set_accepting(Interest::Nothing);
    }

    /// Accepts again after a pause.
    pub(super) fn resume_accepting(&mut self) {
        self.watch.accept_at = NEVER;
        self.set_accepting(Interest::Read);
    }

    fn set_accepting(&self, interest: Interest) {
        for acceptor in &self.acceptors {
            let token = Token::Acceptor(acceptor.listener);
            let _: io::Result<()> = self.around.epoll.modify(acceptor.socket.as_fd(), interest, token);
        }
    }
}
