//! The peers that tests play, each named by a letter from `a` to `l`, and how their messages arrive.
//!
//! `a`, `b` and `c` are alice, bob and carol, users of `example.test`; the others are strangers. `l` is on the node's own
//! machine.

use std::net::SocketAddr;

use strowger_sip::{Destination, Flow, Source};
use strowger_syntax::Transport;

/// The letters of all peers.
pub(crate) const LETTERS: &str = "abcdefghijkl";

/// Where the nodes listen; a [`Source`] names a listener by its place.
pub(crate) const LISTENERS: [(Transport, [u8; 4]); 3] = [
    (Transport::Udp, [192, 0, 2, 1]),
    (Transport::Tcp, [192, 0, 2, 1]),
    (Transport::Udp, [127, 0, 0, 1]),
];

/// Where a peer sends its datagrams from and gets them.
pub fn address(who: char) -> SocketAddr {
    match who {
        'l' => SocketAddr::from(([127, 0, 0, 1], 6000)),
        who => SocketAddr::from(([192, 0, 2, 10 + (who as u8 - b'a')], 5060)),
    }
}

/// The user that a peer is.
pub fn user(who: char) -> &'static str {
    match who {
        'a' => "alice",
        'b' => "bob",
        'c' => "carol",
        _ => "somebody",
    }
}

/// The password of a user.
pub fn password(user: &str) -> String {
    format!("{user}pw")
}

/// The node's end of a listener.
pub(crate) fn listener(place: usize) -> SocketAddr {
    SocketAddr::from((LISTENERS[place].1, 5060))
}

/// Where a peer's datagram came from.
pub(crate) fn datagram(who: char) -> Source {
    let place = if who == 'l' { 2 } else { 0 };
    source(place, address(who), None)
}

/// Where a datagram came from that was sent from this address to the nodes' first listener.
pub(crate) fn datagram_from(remote: SocketAddr) -> Source {
    source(0, remote, None)
}

/// Where a message came from that a peer sent over its connection, which is at this shard.
pub(crate) fn connection(who: char, shard: usize) -> Source {
    let flow = Flow {
        shard: shard as u16,
        index: who as u32,
        generation: 1,
    };
    source(1, SocketAddr::new(address(who).ip(), 40_000), Some(flow))
}

/// Where a peer's datagram came from that it sent to this multicast group.
pub(crate) fn multicast(who: char, group: SocketAddr) -> Source {
    Source {
        local: group,
        ..datagram(who)
    }
}

fn source(place: usize, remote: SocketAddr, flow: Option<Flow>) -> Source {
    Source {
        transport: LISTENERS[place].0,
        listener: place as u16,
        local: listener(place),
        remote,
        flow,
    }
}

/// Whether what goes there comes to this peer.
pub(crate) fn is_reached(who: char, to: Destination) -> bool {
    match to {
        Destination::Datagram { to, .. } => to == address(who),
        Destination::Connect { to, .. } => to.ip() == address(who).ip(),
        Destination::Flow(flow) => flow.index == who as u32,
    }
}
