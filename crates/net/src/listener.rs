//! Addresses that are listened at: probed first, then bound once per shard.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};
use strowger_syntax::Transport;

use crate::machine;
use crate::options::Options;
use crate::socket_option::{self, Buffer, Family};
use crate::spread;
use crate::udp::UdpSocket;

/// An address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listen {
    /// UDP or TCP; others are not carried.
    pub transport: Transport,
    /// The address; port 0 picks a free one.
    pub address: SocketAddr,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.uri_param(), self.address)
    }
}

impl Group {
    /// What a shard hears it by, as that of a listener.
    pub(crate) fn listen(self, listener: u16) -> UdpSocket {
        UdpSocket::new(self.socket, listener, self.address, 0)
    }
}

/// Why an address could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// The address that was asked for.
    pub listen: Listen,
    /// What is wrong with it.
    pub fault: BindFault,
}

/// What is wrong with an address.
#[derive(Debug)]
pub enum BindFault {
    /// Somebody, or another listener of this process, is there already.
    InUse,
    /// Ports below 1024 need a privilege.
    NotPermitted,
    /// No interface of this machine has the address.
    NotAvailable,
    /// The machine has no such address family (IPv6 is switched off).
    NoFamily,
    /// The transport is not carried.
    Transport,
    /// The process or the system has no descriptors left.
    NoDescriptors,
    /// Anything else.
    Os(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen, fault } = self;
        match fault {
            BindFault::InUse => write!(f, "{listen} is in use by another program or listener"),
            BindFault::NotPermitted => write!(f, "{listen} may not be bound by this user"),
            BindFault::NotAvailable => write!(f, "{listen} is not an address of this machine"),
            BindFault::NoFamily => write!(
                f,
                "{listen} is of an address family that this machine does not have"
            ),
            BindFault::Transport => write!(f, "{listen} names a transport that is not carried"),
            BindFault::NoDescriptors => write!(f, "{listen} cannot be bound: too many open files"),
            BindFault::Os(error) => write!(f, "{listen} cannot be bound: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

impl From<io::Error> for BindFault {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::InUse,
            Some(libc::EACCES | libc::EPERM) => Self::NotPermitted,
            Some(libc::EADDRNOTAVAIL) => Self::NotAvailable,
            Some(libc::EAFNOSUPPORT) => Self::NoFamily,
            Some(libc::EMFILE | libc::ENFILE) => Self::NoDescriptors,
            _ => Self::Os(error),
        }
    }
}

/// A bound address with one socket per shard.
#[derive(Debug)]
pub struct Listener {
    listen: Listen,
    receive_buffer: Option<usize>,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) group: Option<Group>,
}

/// A multicast group that is heard at a listener's port: one socket, which the first shard has, and which nothing is sent
/// from.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) address: SocketAddr,
    pub(crate) socket: Socket,
}

impl Listener {
    /// Binds an address for `options.shards` shards. From the moment it returns, messages queue in the kernel.
    ///
    /// # Errors
    /// A [`BindError`] that names the address and what is wrong with it.
    pub fn bind(listen: Listen, options: &Options) -> Result<Self, BindError> {
        bind(listen, options, Company::Nobody).map_err(|fault| BindError { listen, fault })
    }

    /// [`bind`](Self::bind) for an address that a listener of this process has a part of, or that is a part of what it has:
    /// `0.0.0.0:5060` beside `127.0.0.1:5060`. That somebody else is there too is not noticed.
    ///
    /// # Errors
    /// The same.
    pub fn bind_beside(listen: Listen, options: &Options) -> Result<Self, BindError> {
        bind(listen, options, Company::Ourselves).map_err(|fault| BindError { listen, fault })
    }

    /// Joins a multicast group on the interface that has the listener's address, and hears what comes to it at the listener's
    /// port. Datagrams to a group leave by that interface too, as far as the next router (`ttl` 1) or further, and come to
    /// whoever else on this machine is in the group.
    ///
    /// # Errors
    /// A [`BindError`] that names the group and what is wrong with it.
    pub fn join(&mut self, group: IpAddr, ttl: u8) -> Result<(), BindError> {
        let address = SocketAddr::new(group, self.listen.address.port());
        let listen = Listen {
            address,
            ..self.listen
        };
        let socket = join(self.listen.address, address, &self.sockets, ttl);
        let socket = socket.map_err(|error| BindError {
            listen,
            fault: error.into(),
        })?;
        self.group = Some(Group { address, socket });
        Ok(())
    }

    /// The transport.
    pub fn transport(&self) -> Transport {
        self.listen.transport
    }

    /// The address it is bound to, with the port that was picked for port 0.
    pub fn address(&self) -> SocketAddr {
        self.listen.address
    }

    /// Transport and address.
    pub fn listen(&self) -> Listen {
        self.listen
    }

    /// Bytes of receive buffer that the kernel granted each UDP socket, to be compared with
    /// [`Options::udp_buffer`]; `None` for TCP.
    pub fn receive_buffer(&self) -> Option<usize> {
        self.receive_buffer
    }

    /// How many shards it was bound for.
    pub fn shards(&self) -> u16 {
        self.sockets.len() as u16
    }
}

/// Who may be at an address already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    Nobody,
    Ourselves,
}

fn bind(listen: Listen, options: &Options, company: Company) -> Result<Listener, BindFault> {
    if !matches!(listen.transport, Transport::Udp | Transport::Tcp) {
        return Err(BindFault::Transport);
    }
    // The first socket is the probe: it is bound without SO_REUSEPORT, so that it fails where another server is.
    let probe = unbound(listen)?;
    if company == Company::Ourselves {
        probe.set_reuse_port(true)?;
    }
    probe.bind(&listen.address.into())?;
    let address = probe.local_addr()?.as_socket().ok_or(BindFault::NoFamily)?;
    let listen = Listen { address, ..listen };
    let mut sockets = vec![probe];
    // It admits the other shards' sockets, which are bound with the option set, and listeners beside this one.
    sockets[0].set_reuse_port(true)?;
    for _ in 1..options.shards {
        let socket = unbound(listen)?;
        socket.set_reuse_port(true)?;
        socket.bind(&listen.address.into())?;
        sockets.push(socket);
    }
    let mut receive_buffer = None;
    for socket in &sockets {
        if listen.transport == Transport::Udp {
            let granted = set_up_udp(socket, listen.address, options)?;
            receive_buffer = Some(receive_buffer.map_or(granted, |least: usize| least.min(granted)));
        } else {
            socket.listen(BACKLOG)?;
        }
    }
    if options.shards > 1 && listen.transport == Transport::Udp {
        // A trunk is one peer, and all shards shall work for it. Where the kernel refuses, peers stay where they are.
        let _: io::Result<()> = spread::spread(sockets[0].as_fd(), family(listen.address), options.shards);
    }
    Ok(Listener {
        listen,
        receive_buffer,
        sockets,
        group: None,
    })
}

/// The socket of a group. Another server on this machine may hear the same one, so the address is shared; its datagrams come
/// to every socket that is bound to it.
fn join(local: SocketAddr, group: SocketAddr, senders: &[Socket], ttl: u8) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    match (local.ip(), group.ip()) {
        (IpAddr::V4(local), IpAddr::V4(ip)) => {
            socket.bind(&group.into())?;
            socket.join_multicast_v4(&ip, &local)?;
            for sender in senders {
                sender.set_multicast_if_v4(&local)?;
                sender.set_multicast_ttl_v4(ttl.into())?;
                sender.set_multicast_loop_v4(true)?;
            }
        }
        (IpAddr::V6(local), IpAddr::V6(ip)) => {
            let interface =
                machine::interface_of(IpAddr::V6(local)).ok_or(io::ErrorKind::AddrNotAvailable)?;
            socket.set_only_v6(true)?;
            // A group of link-local scope is one of an interface.
            socket.bind(&SocketAddrV6::new(ip, group.port(), 0, interface).into())?;
            socket.join_multicast_v6(&ip, interface)?;
            for sender in senders {
                sender.set_multicast_if_v6(interface)?;
                sender.set_multicast_hops_v6(ttl.into())?;
                sender.set_multicast_loop_v6(true)?;
            }
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    }
    socket.set_nonblocking(true)?;
    socket_option::receive_drops(socket.as_fd())?;
    Ok(socket)
}

/// Connections that may wait to be accepted by one shard. The kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

fn unbound(listen: Listen) -> io::Result<Socket> {
    let domain = Domain::for_address(listen.address);
    let socket = if listen.transport == Transport::Udp {
        Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?
    } else {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        // Connections of a former process that are still in TIME_WAIT must not hinder a restart.
        socket.set_reuse_address(true)?;
        socket
    };
    if listen.address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn family(address: SocketAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

fn set_up_udp(socket: &Socket, address: SocketAddr, options: &Options) -> io::Result<usize> {
    let family = family(address);
    let fd = socket.as_fd();
    socket_option::receive_errors(fd, family)?;
    socket_option::receive_drops(fd)?;
    socket_option::allow_fragments(fd, family)?;
    if address.ip().is_unspecified() {
        socket_option::receive_destination(fd, family)?;
    }
    socket_option::size_buffer(fd, Buffer::Send, options.udp_buffer)?;
    socket_option::size_buffer(fd, Buffer::Receive, options.udp_buffer)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    const SHARDS: u16 = 3;

    /// A listener of three shards and a peer of it, of each family that the machine has.
    fn each(run: impl Fn(&Listener, &UdpSocket)) {
        let options = Options {
            shards: SHARDS,
            ..Options::default()
        };
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let address: SocketAddr = address.parse().expect("an address");
            let listen = Listen {
                transport: Transport::Udp,
                address,
            };
            let listener = match Listener::bind(listen, &options) {
                Ok(listener) => listener,
                Err(error) if matches!(error.fault, BindFault::NoFamily | BindFault::NotAvailable) => {
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let peer = UdpSocket::bind((address.ip(), 0)).expect("bound");
            peer.connect(listener.address()).expect("connected");
            run(&listener, &peer);
        }
    }

    /// What has come to each shard.
    fn received(listener: &Listener) -> Vec<Vec<String>> {
        let all = |socket: &Socket| {
            let socket = UdpSocket::from(socket.try_clone().expect("a descriptor"));
            let mut buffer = [0; 2000];
            std::iter::from_fn(|| {
                let len = socket.recv(&mut buffer).ok()?;
                Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
            })
            .collect()
        };
        listener.sockets.iter().map(all).collect()
    }

    fn request(method: &str, call: u32) -> String {
        format!(
            "{method} sip:+4930{call:06}@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK{method}{call}\r\n\
             Max-Forwards: 70\r\nCall-ID: {call}@192.0.2.9\r\nContent-Length: 0\r\n\r\n"
        )
    }

    /// Their branches name the shards in turn.
    fn response(status: &str, call: u32) -> String {
        let shard = call % u32::from(SHARDS);
        format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt{shard:04x}{call:08x}00000001abcd01234567\r\n\
             To: <sip:b@192.0.2.1>\r\nCall-ID: {call}@192.0.2.9\r\nContent-Length: 0\r\n\r\n"
        )
    }

    #[test]
    fn the_calls_of_one_peer_come_to_all_shards_and_each_stays_in_order() {
        type Pair = [fn(u32) -> String; 2];
        let pairs: [Pair; 2] = [
            [|call| request("ACK", call), |call| request("BYE", call)],
            [
                |call| response("180 Ringing", call),
                |call| response("200 OK", call),
            ],
        ];
        let calls = 100;
        each(|listener, peer| {
            for [first, second] in pairs {
                for call in 0..calls {
                    peer.send(first(call).as_bytes()).expect("sent");
                    peer.send(second(call).as_bytes()).expect("sent");
                }
                let received = received(listener);
                assert_eq!(received.iter().map(Vec::len).sum::<usize>(), 2 * calls as usize);
                for shard in &received {
                    // A share is 66.
                    assert!(shard.len() >= 24, "{:?}", received.iter().map(Vec::len));
                    for pair in shard.chunks(2) {
                        let is_pair = |call| pair == [first(call), second(call)];
                        assert!((0..calls).any(is_pair), "{pair:?}");
                    }
                }
            }
        });
    }

    #[test]
    fn phones_that_all_write_the_same_come_to_all_shards() {
        each(|listener, peer| {
            let ip = peer.local_addr().expect("an address").ip();
            let text = request("REGISTER", 0);
            for _ in 0..150 {
                let phone = UdpSocket::bind((ip, 0)).expect("bound");
                phone.send_to(text.as_bytes(), listener.address()).expect("sent");
            }
            let received: Vec<_> = received(listener).iter().map(Vec::len).collect();
            assert_eq!(received.iter().sum::<usize>(), 150);
            assert!(received.iter().all(|&count| count >= 15), "{received:?}");
        });
    }

    #[test]
    fn what_is_no_message_comes_to_some_shard() {
        each(|listener, peer| {
            let long = "x".repeat(500);
            let line = format!("SIP/2.0 200 {long}\r\n\r\n");
            for text in ["", "\r\n\r\n", "SIP/", "INVITE sip:b SIP/2.0", &long, &line] {
                peer.send(text.as_bytes()).expect("sent");
            }
            assert_eq!(received(listener).iter().map(Vec::len).sum::<usize>(), 6);
        });
    }
}
