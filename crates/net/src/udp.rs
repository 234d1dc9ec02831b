//! Datagram sockets: batches in, batches out, and what could not be sent.

mod error_queue;
mod mmsg;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::Socket;
use strowger_sip::{Failure, Outbox, Source};
use strowger_syntax::Transport;

use crate::counters::Counters;
use crate::epoll::Interest;
use crate::packet::{DATAGRAM_MAX, Packet, Pool};
use error_queue::IcmpError;
use mmsg::{Ancillary, Datagram, RECEIVE_BATCH, ReceiveBatch, Received, SEND_BATCH, SendBatch};

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
    /// The kernel's count of dropped datagrams as last seen.
    drops: u32,
    /// What goes out here at the end of this turn.
    queue: Vec<Queued>,
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
    to: SocketAddr,
    from: Option<IpAddr>,
}

impl Queued {
    fn datagram<'a>(&'a self, outbox: &'a Outbox) -> Datagram<'a> {
        Datagram {
            to: &self.to,
            from: self.from,
            bytes: outbox.message(&outbox.transmits[self.position as usize]),
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
}

impl UdpSocket {
    pub(crate) fn new(socket: Socket, listener: u16, local: SocketAddr, backlog_limit: usize) -> Self {
        Self {
            socket,
            listener,
            local,
            drops: 0,
            queue: Vec::new(),
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            backlog_limit,
            is_armed: false,
        }
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

    /// Queues one of this turn's transmits; false when it can never go out here.
    pub(crate) fn queue(
        &mut self,
        position: usize,
        len: usize,
        from: Option<IpAddr>,
        to: &SocketAddr,
    ) -> bool {
        let fits = to.is_ipv4() == self.local.is_ipv4() && len <= DATAGRAM_MAX;
        if fits {
            self.queue.push(Queued {
                position: position as u32,
                to: *to,
                from: self.source_address(from),
            });
        }
        fits
    }

    /// Keeps a datagram until there is room in the send buffer; false when too much waits already.
    fn store(&mut self, datagram: Datagram<'_>) -> bool {
        let Datagram { to, from, bytes } = datagram;
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
        from.filter(|ip| {
            self.local.ip().is_unspecified() && !ip.is_unspecified() && ip.is_ipv4() == self.local.is_ipv4()
        })
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
    quote: Box<[u8]>,
}

impl Batches {
    pub(crate) fn new(pool: &mut Pool) -> Self {
        Self {
            receive: ReceiveBatch::new(std::array::from_fn(|_| pool.take())),
            send: SendBatch::new(),
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
        while !socket.backlog.is_empty() {
            let stored = socket.backlog.iter();
            let datagrams = stored.map(|d| Datagram {
                to: &d.to,
                from: d.from,
                bytes: &d.bytes,
            });
            let gone = match attempt(&mut self.send, socket.as_fd(), counters, datagrams) {
                Attempt::Sent(count) => count,
                Attempt::Full => return,
                Attempt::Failed(_) => {
                    counters.datagrams_not_sent.add(1);
                    1
                }
            };
            for stored in socket.backlog.drain(..gone) {
                socket.backlog_bytes -= stored.bytes.len();
            }
        }
    }

    /// Sends the transmits that were queued for a socket; `failed` gets the tokens of those that cannot be sent.
    pub(crate) fn send(
        &mut self,
        socket: &mut UdpSocket,
        outbox: &Outbox,
        counters: &Counters,
        mut failed: impl FnMut(u64, Failure),
    ) {
        let queue = std::mem::take(&mut socket.queue);
        let mut rest = queue.as_slice();
        // What waits was there first.
        if !socket.backlog.is_empty() {
            self.send_backlog(socket, counters);
        }
        while !rest.is_empty() {
            let next = rest.iter().map(|queued| queued.datagram(outbox));
            let attempted = if socket.backlog.is_empty() {
                attempt(&mut self.send, socket.as_fd(), counters, next)
            } else {
                Attempt::Full
            };
            match attempted {
                Attempt::Sent(count) => rest = &rest[count..],
                Attempt::Failed(failure) => {
                    counters.datagrams_not_sent.add(1);
                    failed(rest[0].token(outbox), failure);
                    rest = &rest[1..];
                }
                Attempt::Full => {
                    for queued in rest {
                        if !socket.store(queued.datagram(outbox)) {
                            counters.datagrams_not_sent.add(1);
                            failed(queued.token(outbox), Failure::Full);
                        }
                    }
                    break;
                }
            }
        }
        socket.queue = queue;
        socket.queue.clear();
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
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::ENOBUFS) => return Attempt::Full,
                Some(libc::EINTR) => {}
                // It may be a pending ICMP error about an earlier datagram: reporting it has cleared it.
                Some(libc::ECONNREFUSED) => last = Failure::Refused,
                Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EPROTO | libc::ENOPROTOOPT) => {
                    last = Failure::Unreachable;
                }
                _ => return Attempt::Failed(Failure::Unreachable),
            },
        }
    }
    Attempt::Failed(last)
}

const _: () = assert!(SEND_BATCH <= 1024, "the kernel's UIO_MAXIOV");
