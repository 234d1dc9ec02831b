//! What the core knows of the network (RFC 3261 §18): where a message came from, where one shall go, and how
//! sending can fail. Sockets are the driver's; here they are numbers.

pub mod branch;
mod cidr;
pub mod flow_token;
pub mod keep_alive;
pub mod listeners;
pub mod locate;
pub mod owner;
pub mod servers;
pub mod stun;
pub mod via;

use std::net::{IpAddr, SocketAddr};

pub use branch::{Branches, OurBranch};
pub use cidr::Cidr;
pub use flow_token::{LogicalFlow, Peer, ReadToken, TokenUse, read_token};
pub use keep_alive::{KeepAlive, keep_alive};
pub use listeners::{Advertised, AdvertisedAs, Hop, Listener, Listeners};
pub use locate::{
    Departure, Located, NextHop, Size, is_behind_nat, is_private, leads_by_name, locate, needs_flow,
    way_back, way_to, way_without_flow,
};
pub use owner::{Owner, owner};
pub use servers::{Server, Wanted, Ways};
pub use strowger_syntax::Transport;

/// A connection (TCP, TLS, WebSocket). It stays on the shard that opened or accepted it for its whole life; the
/// generation tells a reused index from the connection that was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The shard that owns the connection.
    pub shard: u16,
    /// Its place in that shard's table of connections.
    pub index: u32,
    /// Counts the uses of that place.
    pub generation: u32,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The transport it arrived by.
    pub transport: Transport,
    /// The listener (index into the configured ones) it arrived at.
    pub listener: u16,
    /// Our address that it was sent to, or the multicast group. For a wildcard listener this is the address that was asked, not
    /// 0.0.0.0.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The connection it arrived over; `None` for datagrams.
    pub flow: Option<Flow>,
}

impl Source {
    /// Whether it was sent to a multicast group.
    pub fn is_multicast(&self) -> bool {
        self.local.ip().is_multicast()
    }
}

/// Where a message shall go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// By datagram from a listener's socket.
    Datagram {
        /// The UDP listener whose socket sends it.
        listener: u16,
        /// The address to send from, for wildcard listeners (IP_PKTINFO); `None` lets the kernel choose.
        from: Option<IpAddr>,
        /// The peer.
        to: SocketAddr,
    },
    /// Over an existing connection; fails with [`Failure::Closed`] when it is gone.
    Flow(Flow),
    /// Over a connection to this peer: an open one if there is one, else a new one.
    Connect {
        /// TCP, TLS, WS or WSS.
        transport: Transport,
        /// The peer.
        to: SocketAddr,
    },
}

/// Why a message could not be sent, or was sent in vain. Reported at most once for each [`Transmit`](crate::Transmit) that carried a
/// token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer answered that nobody listens (RST, ICMP port unreachable).
    Refused,
    /// No route, or ICMP host or network unreachable.
    Unreachable,
    /// The connection had been closed or was reset.
    Closed,
    /// It is a request that was written, or was to be, when the connection ended over which its answers come. Who reports it does
    /// not know which answers have come before.
    Lost,
    /// The connection was not established in time, or its peer took nothing for too long.
    TimedOut,
    /// A bounded queue (connection or ring) was full.
    Full,
}
