//! Datagram sockets: batches in, batches out, and what could not be sent.

mod error_queue;
mod mmsg;
mod segments;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::Socket;
use strowger_sip::{Failure, Outbox, Source, Transmit};
use strowger_syntax::Transport;

use crate::counters::Counters;
use crate::epoll::Interest;
use crate::packet::{DATAGRAM_MAX, Packet, Pool};
use crate::socket_option;
use error_queue::IcmpError;
use mmsg::{Ancillary, Datagram, NotSent, RECEIVE_BATCH, ReceiveBatch, Received, SEND_BATCH, SendBatch};
use segments::Arrangement;

/// Bytes of a datagram that are kept of what an ICMP error quotes. There are seldom more: the whole error has at most 576
/// bytes with IPv4 (RFC 1812) and 1,280 with IPv6 (RFC 4443), and old routers quote 8.
const QUOTE_MAX: usize = 1280;

/// How often one datagram is tried when the kernel reports an error with it that may be about an earlier one.
const TRIES: u32 = 3;

/// One listener's socket of one shard.
pub(crate) struct UdpSocket {
    socket: Socket,
    listener: u16,
    local: SocketAddr,
    /// Whether it has all our addresses, so that there is a choice of the one to send from.
    is_wildcard: bool,
    /// The kernel's count of dropped datagrams as last seen.
    drops: u32,
    /// What goes out here at the end of this turn.
    queue: Vec<Queued>,
    /// Whether datagrams may be sent as segments of one message.
    joins: bool,
    backlog: VecDeque<Stored>,
    backlog_bytes: usize,
    backlog_limit: usize,
    /// Whether room to write is waited for.
    is_armed: bool,
}

/// One of this turn's transmits.
#[derive(Clone, Copy, Debug)]
struct Queued {
    position: u32,
    len: u32,
    to: SocketAddr,
    from: Option<IpAddr>,
    /// Which call it belongs to, 0 when that is not known.
    call: u32,
    /// The message for the kernel that it was given, by their number in this turn.
    message: u32,
    /// Whether it is a part of the message of the one that is sent before it.
    follows: bool,
}

impl Queued {
    fn datagram<'a>(&'a self, outbox: &'a Outbox) -> Datagram<'a> {
        Datagram {
            to: &self.to,
            from: self.from,
            bytes: outbox.message(&outbox.transmits[self.position as usize]),
            follows: self.follows,
        }
    }

    fn token(&self, outbox: &Outbox) -> u64 {
        outbox.transmits[self.position as usize].token
    }
}

/// A datagram that waits for room in the socket's send buffer.
struct Stored {
    to: SocketAddr,
    from: Option<IpAddr>,
    bytes: Box<[u8]>,
}

/// What became of one attempt to send.
enum Attempt {
    /// The first so many have gone.
    Sent(usize),
    /// The send buffer is full.
    Full,
    /// The first one cannot be sent.
    Failed(Failure),
    /// The first ones cannot be sent as segments of one message.
    Unjoinable {
        /// Whether none ever can.
        ever: bool,
    },
}

impl UdpSocket {
    pub(crate) fn new(socket: Socket, listener: u16, local: SocketAddr, backlog_limit: usize) -> Self {
        let joins = socket_option::knows_segments(socket.as_fd());
        Self {
            socket,
            listener,
            local,
            is_wildcard: local.ip().is_unspecified(),
            drops: 0,
            queue: Vec::new(),
            joins,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            backlog_limit,
            is_armed: false,
        }
    }

    /// The number of its listener.
    pub(crate) fn listener(&self) -> u16 {
        self.listener
    }

    /// Whether something waits for room in the send buffer.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether anything is to be sent.
    pub(crate) fn has_output(&self) -> bool {
        !self.queue.is_empty() || self.has_backlog()
    }

    /// What has to be heard about the socket, when that has changed since the last call: room to write is waited for
    /// exactly as long as something waits for it.
    pub(crate) fn changed_interest(&mut self) -> Option<Interest> {
        if self.is_armed == self.has_backlog() {
            return None;
        }
        self.is_armed = self.has_backlog();
        Some(if self.is_armed {
            Interest::ReadWrite
        } else {
            Interest::Read
        })
    }

    /// Forgets a pending error that the error queue has no entry for, which would be told again and again.
    pub(crate) fn clear_error(&self) {
        let _: io::Result<Option<io::Error>> = self.socket.take_error();
    }

    /// Queues one of this turn's transmits for a peer; false when it can never go out here.
    pub(crate) fn queue(
        &mut self,
        position: usize,
        transmit: &Transmit,
        from: Option<IpAddr>,
        to: &SocketAddr,
    ) -> bool {
        let len = transmit.span.len();
        let fits = to.is_ipv4() == self.local.is_ipv4() && len <= DATAGRAM_MAX;
        if fits {
            self.queue.push(Queued {
                position: position as u32,
                len: len as u32,
                to: *to,
                from: self.source_address(from),
                call: transmit.call,
                message: 0,
                follows: false,
            });
        }
        fits
    }

    /// Keeps datagrams until there is room in the send buffer; `failed` gets the tokens of those that would be too much.
    #[cold]
    fn store_all<'q>(
        &mut self,
        queue: impl Iterator<Item = &'q Queued>,
        outbox: &Outbox,
        counters: &Counters,
        mut failed: impl FnMut(u64, Failure),
    ) {
        for queued in queue {
            if !self.store(queued.datagram(outbox)) {
                counters.datagrams_not_sent.add(1);
                failed(queued.token(outbox), Failure::Full);
            }
        }
    }

    /// Keeps a datagram until there is room in the send buffer; false when too much waits already.
    fn store(&mut self, datagram: Datagram<'_>) -> bool {
        let Datagram { to, from, bytes, .. } = datagram;
        let fits = self.backlog_bytes + bytes.len() <= self.backlog_limit;
        if fits {
            self.backlog_bytes += bytes.len();
            self.backlog.push_back(Stored {
                to: *to,
                from,
                bytes: bytes.into(),
            });
        }
        fits
    }

    /// The source address to ask the kernel for: only a wildcard socket has a choice.
    fn source_address(&self, from: Option<IpAddr>) -> Option<IpAddr> {
        if !self.is_wildcard {
            return None;
        }
        from.filter(|ip| !ip.is_unspecified() && ip.is_ipv4() == self.local.is_ipv4())
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The arrays of the system calls and the packets that the next datagrams land in; one set serves all sockets of a
/// shard.
pub(crate) struct Batches {
    receive: ReceiveBatch,
    send: SendBatch,
    arrangement: Arrangement,
    quote: Box<[u8]>,
}

impl Batches {
    pub(crate) fn new(pool: &mut Pool) -> Self {
        Self {
            receive: ReceiveBatch::new(std::array::from_fn(|_| pool.take())),
            send: SendBatch::new(),
            arrangement: Arrangement::new(),
            quote: vec![0; QUOTE_MAX].into(),
        }
    }

    /// Receives one batch; `deliver` gets each datagram and may take its packet away by leaving another one.
    /// Returns true when there may be more.
    pub(crate) fn receive(
        &mut self,
        socket: &mut UdpSocket,
        counters: &Counters,
        mut deliver: impl FnMut(&mut Box<Packet>, &Source),
    ) -> bool {
        let UdpSocket {
            socket,
            listener,
            local,
            drops,
            ..
        } = socket;
        let mut bytes = 0;
        let received = self.receive.receive(socket.as_fd(), |received| {
            let Received {
                packet,
                remote,
                ancillary,
                is_truncated,
            } = received;
            note_drops(drops, ancillary, counters);
            if is_truncated {
                return counters.datagrams_truncated.add(1);
            }
            let Some(remote) = remote else {
                return;
            };
            bytes += packet.data.len() as u64;
            let source = Source {
                transport: Transport::Udp,
                listener: *listener,
                local: ancillary
                    .local
                    .map_or(*local, |ip| SocketAddr::new(ip, local.port())),
                remote,
                flow: None,
            };
            deliver(packet, &source);
        });
        let count = match received {
            Ok(count) => count,
            // A pending ICMP error is reported once in place of data; its details are on the error queue.
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        };
        counters.receive_batches.add(1);
        counters.datagrams_received.add(count as u64);
        counters.datagram_bytes_received.add(bytes);
        count == RECEIVE_BATCH
    }

    /// Takes one ICMP error from a socket's queue and gives it to `report` with the quoted bytes; false when there
    /// is none left.
    pub(crate) fn take_error(
        &mut self,
        socket: &UdpSocket,
        counters: &Counters,
        report: impl FnOnce(SocketAddr, Failure, &[u8]),
    ) -> bool {
        match error_queue::take(socket.as_fd(), &mut self.quote) {
            Ok(Some(IcmpError {
                remote,
                failure: Some(failure),
                quoted,
            })) => {
                counters.icmp_errors.add(1);
                report(remote, failure, &self.quote[..quoted.min(QUOTE_MAX)]);
                true
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }

    /// Sends what waits; what is left waits on.
    pub(crate) fn send_backlog(&mut self, socket: &mut UdpSocket, counters: &Counters) {
        send_backlog(&mut self.send, socket, counters);
    }

    /// Sends the transmits that were queued for a socket; `failed` gets the tokens of those that cannot be sent.
    pub(crate) fn send(
        &mut self,
        socket: &mut UdpSocket,
        outbox: &Outbox,
        counters: &Counters,
        mut failed: impl FnMut(u64, Failure),
    ) {
        let mut queue = std::mem::take(&mut socket.queue);
        let mut rest = self.arrangement.arrange(&mut queue, socket.joins);
        // What waits was there first.
        if !socket.backlog.is_empty() {
            send_backlog(&mut self.send, socket, counters);
        }
        while let Some(&first) = rest.first() {
            let next = rest
                .iter()
                .map(|&position| queue[position as usize].datagram(outbox));
            let attempted = if socket.backlog.is_empty() {
                attempt(&mut self.send, socket.as_fd(), counters, next)
            } else {
                Attempt::Full
            };
            match attempted {
                Attempt::Sent(count) => rest = &rest[count..],
                Attempt::Failed(failure) => {
                    counters.datagrams_not_sent.add(1);
                    failed(queue[first as usize].token(outbox), failure);
                    rest = &rest[1..];
                }
                Attempt::Unjoinable { ever } => {
                    socket.joins &= !ever;
                    for &position in &rest[1..] {
                        let was_part = std::mem::take(&mut queue[position as usize].follows);
                        if !was_part && !ever {
                            break;
                        }
                    }
                }
                Attempt::Full => {
                    let rest = rest.iter().map(|&position| &queue[position as usize]);
                    socket.store_all(rest, outbox, counters, failed);
                    break;
                }
            }
        }
        queue.clear();
        socket.queue = queue;
    }
}

/// Counts what the kernel has dropped since it last said so.
fn note_drops(seen: &mut u32, ancillary: Ancillary, counters: &Counters) {
    if let Some(drops) = ancillary.drops {
        counters
            .datagrams_dropped_by_kernel
            .add(u64::from(drops.wrapping_sub(*seen)));
        *seen = drops;
    }
}

#[cold]
fn send_backlog(batch: &mut SendBatch, socket: &mut UdpSocket, counters: &Counters) {
    while !socket.backlog.is_empty() {
        let stored = socket.backlog.iter();
        let datagrams = stored.map(|d| Datagram {
            to: &d.to,
            from: d.from,
            bytes: &d.bytes,
            follows: false,
        });
        let gone = match attempt(batch, socket.as_fd(), counters, datagrams) {
            Attempt::Sent(count) => count,
            Attempt::Full => return,
            Attempt::Failed(_) | Attempt::Unjoinable { .. } => {
                counters.datagrams_not_sent.add(1);
                1
            }
        };
        for stored in socket.backlog.drain(..gone) {
            socket.backlog_bytes -= stored.bytes.len();
        }
    }
}

fn attempt<'a>(
    batch: &mut SendBatch,
    fd: BorrowedFd<'_>,
    counters: &Counters,
    datagrams: impl Iterator<Item = Datagram<'a>> + Clone,
) -> Attempt {
    let mut last = Failure::Unreachable;
    for _ in 0..TRIES {
        counters.send_batches.add(1);
        match batch.send(fd, datagrams.clone()) {
            Ok(sent) => {
                counters.datagrams_sent.add(sent.count as u64);
                counters.datagram_bytes_sent.add(sent.bytes);
                return Attempt::Sent(sent.count);
            }
            Err(NotSent { error, segments }) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::ENOBUFS) => return Attempt::Full,
                Some(libc::EINTR) => {}
                // It may be a pending ICMP error about an earlier datagram: reporting it has cleared it.
                Some(libc::ECONNREFUSED) => last = Failure::Refused,
                Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EPROTO | libc::ENOPROTOOPT) => {
                    last = Failure::Unreachable;
                }
                // Either tells, by the kernel's age, that a segment does not fit the path to this peer.
                Some(libc::EMSGSIZE | libc::EINVAL) if segments > 1 => {
                    return Attempt::Unjoinable { ever: false };
                }
                Some(libc::EIO | libc::EOPNOTSUPP) if segments > 1 => {
                    return Attempt::Unjoinable { ever: true };
                }
                _ => return Attempt::Failed(Failure::Unreachable),
            },
        }
    }
    Attempt::Failed(last)
}

const _: () = assert!(SEND_BATCH <= 1024, "the kernel's UIO_MAXIOV");

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;
    use std::time::Duration;

    use strowger_sip::Destination;

    use super::*;

    #[test]
    fn a_socket_that_cannot_send_segments_sends_datagrams() {
        let peer = StdSocket::bind("127.0.0.1:0").expect("a free port");
        peer.set_read_timeout(Some(Duration::from_secs(5)))
            .expect("timeout");
        let to = peer.local_addr().expect("bound");
        let ours = StdSocket::bind("127.0.0.1:0").expect("a free port");
        let local = ours.local_addr().expect("bound");
        // Segments need a checksum.
        socket_option::omit_checksum(ours.as_fd()).expect("without a checksum");
        let mut socket = UdpSocket::new(ours.into(), 0, local, 1 << 20);
        let mut batches = Batches::new(&mut Pool::new(0, 64));
        let (counters, mut outbox) = (Counters::default(), Outbox::default());
        assert!(socket.joins);
        for number in 0..5u8 {
            let to = Destination::Datagram {
                listener: 0,
                from: None,
                to,
            };
            outbox.send(&[number; 200], to, 0);
        }
        for (position, transmit) in outbox.transmits.iter().enumerate() {
            assert!(socket.queue(position, transmit, None, &to));
        }
        batches.send(&mut socket, &outbox, &counters, |_, failure| {
            panic!("{failure:?}")
        });
        let mut buffer = [0; 2000];
        for number in 0..5u8 {
            let len = peer.recv(&mut buffer).expect("a datagram");
            assert_eq!(buffer[..len], [number; 200]);
        }
        assert!(socket.joins, "another peer may take segments");
        assert_eq!(counters.datagrams_sent.read(), 5);
        assert_eq!(counters.datagrams_not_sent.read(), 0);
    }
}
