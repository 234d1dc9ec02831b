//! Which connection leads to which peer, for all shards (RFC 3261 §18: connections are reused).

use std::net::SocketAddr;

use papaya::HashMap;
use strowger_sip::Flow;
use strowger_syntax::Transport;

/// Open connections by transport and remote address. It is written when connections open and close, and read only
/// for a peer to which the asking shard has no connection of its own.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    flows: HashMap<(Transport, SocketAddr), Flow>,
}

impl Directory {
    /// The connection that was opened last to this peer.
    pub(crate) fn find(&self, transport: Transport, remote: SocketAddr) -> Option<Flow> {
        self.flows.pin().get(&(transport, remote)).copied()
    }

    /// Notes a connection.
    pub(crate) fn enter(&self, transport: Transport, remote: SocketAddr, flow: Flow) {
        self.flows.pin().insert((transport, remote), flow);
    }

    /// Takes a connection out, unless a later one has taken its place.
    pub(crate) fn leave(&self, transport: Transport, remote: SocketAddr, flow: Flow) {
        // An error says that a later one is there.
        let _: Result<_, _> = self
            .flows
            .pin()
            .remove_if(&(transport, remote), |_, present| *present == flow);
    }
}

/// The address without what does not tell one peer from another.
pub(crate) fn normalised(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(mut v6) => {
            v6.set_flowinfo(0);
            v6.into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_connection_does_not_take_its_successor_out() {
        let directory = Directory::default();
        let peer = SocketAddr::from(([192, 0, 2, 1], 5060));
        let flow = |generation| Flow {
            shard: 0,
            index: 1,
            generation,
        };
        directory.enter(Transport::Tcp, peer, flow(1));
        directory.enter(Transport::Tcp, peer, flow(2));
        directory.leave(Transport::Tcp, peer, flow(1));
        assert_eq!(directory.find(Transport::Tcp, peer), Some(flow(2)));
        directory.leave(Transport::Tcp, peer, flow(2));
        assert_eq!(directory.find(Transport::Tcp, peer), None);
        assert_eq!(directory.find(Transport::Tls, peer), None);
    }
}
