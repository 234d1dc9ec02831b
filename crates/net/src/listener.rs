//! Addresses that are listened at: probed first, then bound once per shard.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};
use strowger_syntax::Transport;

use crate::options::Options;
use crate::socket_option::{self, Buffer, Family};

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
}

impl Listener {
    /// Binds an address for `options.shards` shards. From the moment it returns, messages queue in the kernel.
    ///
    /// # Errors
    /// A [`BindError`] that names the address and what is wrong with it.
    pub fn bind(listen: Listen, options: &Options) -> Result<Self, BindError> {
        bind(listen, options).map_err(|fault| BindError { listen, fault })
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

fn bind(listen: Listen, options: &Options) -> Result<Listener, BindFault> {
    if !matches!(listen.transport, Transport::Udp | Transport::Tcp) {
        return Err(BindFault::Transport);
    }
    // The first socket is the probe: it is bound without SO_REUSEPORT, so that it fails where another server is.
    let probe = unbound(listen)?;
    probe.bind(&listen.address.into())?;
    let address = probe.local_addr()?.as_socket().ok_or(BindFault::NoFamily)?;
    let listen = Listen { address, ..listen };
    let mut sockets = vec![probe];
    if options.shards > 1 {
        // It admits the other shards' sockets, which are bound with the option set.
        sockets[0].set_reuse_port(true)?;
        for _ in 1..options.shards {
            let socket = unbound(listen)?;
            socket.set_reuse_port(true)?;
            socket.bind(&listen.address.into())?;
            sockets.push(socket);
        }
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
        // A trunk is one peer, and all shards shall work for it. Nothing is lost by it: whose a message is does not depend
        // on who sent it, so most of them have to make a hop anyway. Where the kernel refuses, peers stay where they are.
        let _: io::Result<()> = socket_option::spread(sockets[0].as_fd(), options.shards);
    }
    Ok(Listener {
        listen,
        receive_buffer,
        sockets,
    })
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

fn set_up_udp(socket: &Socket, address: SocketAddr, options: &Options) -> io::Result<usize> {
    let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
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
    use super::*;

    #[test]
    fn the_datagrams_of_one_peer_come_to_the_sockets_of_all_shards() {
        let options = Options {
            shards: 3,
            ..Options::default()
        };
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let address = address.parse().expect("an address");
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
            let peer = std::net::UdpSocket::bind((address.ip(), 0)).expect("bound");
            let datagrams = 300;
            for _ in 0..datagrams {
                peer.send_to(b"OPTIONS", listener.address()).expect("sent");
            }
            let received = |socket: &Socket| {
                let mut buffer = [std::mem::MaybeUninit::uninit(); 16];
                (0..)
                    .take_while(|_: &u32| socket.recv(&mut buffer).is_ok())
                    .count()
            };
            let counts: Vec<_> = listener.sockets.iter().map(received).collect();
            assert_eq!(counts.iter().sum::<usize>(), datagrams);
            // A share is 100; that one is below 50 has a chance of less than one in a thousand million.
            assert!(counts.iter().all(|&count| count >= 50), "{counts:?}");
        }
    }
}
