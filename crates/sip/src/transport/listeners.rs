//! The addresses we listen on: what we write into Via and Record-Route, and which socket a message leaves by.

use std::net::{IpAddr, SocketAddr};

use strowger_syntax::Transport;

use super::Destination;

/// One listener, bound.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its transport.
    pub transport: Transport,
    /// The address it is bound to, with the port it got.
    pub address: SocketAddr,
    /// Host and port that peers are told instead (`advertise`).
    pub advertise: Option<String>,
}

impl Listener {
    /// The URIs by which peers reach it: one, or one for each address that it may be told by.
    fn uris(&self, written: &Written, outward: &[IpAddr]) -> Vec<Vec<u8>> {
        if !written.uri.is_empty() {
            return vec![written.uri.clone()];
        }
        let bound = self.address;
        let addresses = outward.iter().filter(|ip| ip.is_ipv4() == bound.is_ipv4());
        let uri = |&ip: &IpAddr| {
            let mut uri = Vec::new();
            put_uri(self.transport, &mut uri, |out| {
                write_socket_address(SocketAddr::new(ip, bound.port()), out);
            });
            uri
        };
        addresses.map(uri).collect()
    }
}

/// How peers are told of a listener.
#[derive(Clone, Debug, Default)]
struct Written {
    /// Host and port.
    host_port: Vec<u8>,
    /// The beginning of a Via value: protocol and sent-by.
    via: Vec<u8>,
    /// A URI.
    uri: Vec<u8>,
}

impl Written {
    fn of(listener: &Listener) -> Self {
        let mut host_port = Vec::new();
        match &listener.advertise {
            Some(advertise) => host_port.extend_from_slice(advertise.as_bytes()),
            None if listener.address.ip().is_unspecified() => return Self::default(),
            None => write_socket_address(listener.address, &mut host_port),
        }
        let (mut via, mut uri) = (Vec::new(), Vec::new());
        put_via(listener.transport, &mut via, |out| {
            out.extend_from_slice(&host_port)
        });
        put_uri(listener.transport, &mut uri, |out| {
            out.extend_from_slice(&host_port)
        });
        Self { host_port, via, uri }
    }
}

/// The way a request leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The transport, as it is written into Via.
    pub transport: Transport,
    /// Our listener whose address is written into Via and Record-Route.
    pub listener: u16,
    /// Our address there, for listeners bound to a wildcard.
    pub local: IpAddr,
    /// Where it goes.
    pub to: Destination,
    /// Whether it follows a flow to where the target's URI does not lead: later requests of a dialog have to follow that too
    /// (RFC 5626 §5.3).
    pub over_flow: bool,
}

/// Former URIs that are remembered.
const FORMER_URIS: usize = 256;

/// All listeners of the node, the same on every shard. A listener's place is its number, which messages and bindings have
/// that may be older than the configuration: those that are listened at no more stay in the list.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    all: Vec<Listener>,
    /// The numbers of those that are listened at, the preferred ones first.
    live: Vec<u16>,
    /// How each is written; empty for one whose host depends on who is written to.
    written: Vec<Written>,
    /// The URIs by which peers reach the listeners, as they are written, and behind them the former ones.
    uris: Vec<Vec<u8>>,
    /// What stands for us where a wildcard listener was not asked by any address yet, by family.
    outward: Vec<IpAddr>,
}

impl Listeners {
    /// The listeners, and the addresses of this machine that are told to peers of wildcard listeners, best first.
    pub fn new(all: Vec<Listener>, outward: Vec<IpAddr>) -> Self {
        let live = (0..all.len() as u16).collect();
        let written: Vec<_> = all.iter().map(Written::of).collect();
        let uris = all
            .iter()
            .zip(&written)
            .flat_map(|(listener, written)| listener.uris(written, &outward))
            .collect();
        Self {
            all,
            live,
            written,
            uris,
            outward,
        }
    }

    /// The same, where only these are listened at, the preferred ones first. What `former` has told peers is still known to
    /// be ours, or dialogs that began before would lose us.
    #[must_use]
    pub fn following(mut self, former: &Self, live: Vec<u16>) -> Self {
        self.live = live;
        for uri in &former.uris {
            if self.uris.len() < self.all.len() + FORMER_URIS && !self.uris.contains(uri) {
                self.uris.push(uri.clone());
            }
        }
        self
    }

    /// Whether a listener is listened at no more, or is to be soon.
    pub fn is_retired(&self, listener: u16) -> bool {
        self.live.len() < self.all.len() && !self.live.contains(&listener)
    }

    /// All of them, by their numbers.
    pub fn all(&self) -> &[Listener] {
        &self.all
    }

    /// The listener of a number.
    pub fn get(&self, listener: u16) -> Option<&Listener> {
        self.all.get(usize::from(listener))
    }

    /// The way to a peer: from the preferred listener if it can reach it, else from the first that can. One that is listened
    /// at no more is better than none.
    pub fn hop(&self, transport: Transport, to: SocketAddr, preferred: Option<(u16, IpAddr)>) -> Option<Hop> {
        let able = |l: &Listener| l.transport == transport && reaches(l.address.ip(), to.ip());
        let preferred = preferred.filter(|&(number, local)| {
            self.get(number).is_some_and(able) && local.is_ipv4() == to.is_ipv4() && !self.is_retired(number)
        });
        let (listener, local) = match preferred {
            Some(found) => found,
            None => {
                let found = |number| Some((number, self.get(number).filter(|l| able(l))?));
                let all = self.live.iter().copied().chain(0..self.all.len() as u16);
                let (number, listener) = all.into_iter().find_map(found)?;
                (number, self.local_for(listener.address.ip(), to.ip()))
            }
        };
        let to = if transport.is_reliable() {
            Destination::Connect { transport, to }
        } else {
            Destination::Datagram {
                listener,
                from: None,
                to,
            }
        };
        Some(Hop {
            transport,
            listener,
            local,
            to,
            over_flow: false,
        })
    }

    /// Our address at a listener, towards a peer: for one that is bound to a wildcard the one that it is told of.
    pub fn local(&self, listener: u16, peer: IpAddr) -> Option<IpAddr> {
        Some(self.local_for(self.get(listener)?.address.ip(), peer))
    }

    fn local_for(&self, bound: IpAddr, to: IpAddr) -> IpAddr {
        if !bound.is_unspecified() {
            return bound;
        }
        if to.is_loopback() {
            return to;
        }
        self.outward
            .iter()
            .copied()
            .find(|a| a.is_ipv4() == to.is_ipv4())
            .unwrap_or(bound)
    }

    /// Appends the beginning of a Via value of ours: protocol and sent-by (RFC 3261 §20.42).
    pub fn write_via(&self, hop: &Hop, out: &mut Vec<u8>) {
        match self.written(hop.listener, hop.transport) {
            Some(written) => out.extend_from_slice(&written.via),
            None => put_via(hop.transport, out, |out| {
                self.write_host_port(hop.listener, hop.local, out)
            }),
        }
    }

    /// Appends the URI by which peers reach a listener by this transport.
    pub fn write_uri(&self, transport: Transport, listener: u16, local: IpAddr, out: &mut Vec<u8>) {
        match self.written(listener, transport) {
            Some(written) => out.extend_from_slice(&written.uri),
            None => put_uri(transport, out, |out| self.write_host_port(listener, local, out)),
        }
    }

    /// Whether a URI is known to be what [`write_uri`](Self::write_uri) writes. A wildcard listener has others too.
    pub fn is_written(&self, uri: &[u8]) -> bool {
        self.uris.iter().any(|known| known == uri)
    }

    fn written(&self, listener: u16, transport: Transport) -> Option<&Written> {
        let place = usize::from(listener);
        let is_its = self.all.get(place)?.transport == transport;
        self.written
            .get(place)
            .filter(|written| is_its && !written.uri.is_empty())
    }

    /// Appends host and port by which peers reach a listener.
    fn write_host_port(&self, listener: u16, local: IpAddr, out: &mut Vec<u8>) {
        match (self.written.get(usize::from(listener)), self.get(listener)) {
            (Some(written), _) if !written.host_port.is_empty() => out.extend_from_slice(&written.host_port),
            (_, Some(listener)) => write_socket_address(SocketAddr::new(local, listener.address.port()), out),
            _ => {}
        }
    }
}

fn put_via(transport: Transport, out: &mut Vec<u8>, write_host_port: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"SIP/2.0/");
    out.extend_from_slice(transport.as_str().as_bytes());
    out.push(b' ');
    write_host_port(out);
}

fn put_uri(transport: Transport, out: &mut Vec<u8>, write_host_port: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"sip:");
    write_host_port(out);
    if transport != Transport::Udp {
        out.extend_from_slice(b";transport=");
        out.extend_from_slice(transport.uri_param().as_bytes());
    }
}

/// Whether a socket bound to `bound` can send to `to`: the same family, and loopback only among itself.
fn reaches(bound: IpAddr, to: IpAddr) -> bool {
    bound.is_ipv4() == to.is_ipv4() && (bound.is_unspecified() || bound.is_loopback() == to.is_loopback())
}

/// Appends an address with its port; IPv6 in brackets.
pub fn write_socket_address(address: SocketAddr, out: &mut Vec<u8>) {
    strowger_syntax::scan::put_socket_address(out, address);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(text: &str) -> Listener {
        Listener {
            transport: Transport::Udp,
            address: text.parse().expect("address"),
            advertise: None,
        }
    }

    #[test]
    fn loopback_stays_on_loopback() {
        let listeners = Listeners::new(
            vec![listener("127.0.0.1:5060"), listener("192.0.2.1:5060")],
            vec![],
        );
        let hop = |to: &str| {
            listeners
                .hop(Transport::Udp, to.parse().expect("address"), None)
                .map(|h| h.listener)
        };
        assert_eq!(
            (hop("127.0.0.2:9"), hop("198.51.100.7:9"), hop("[2001:db8::1]:9")),
            (Some(0), Some(1), None)
        );
    }

    #[test]
    fn one_that_is_listened_at_no_more_is_known_and_not_taken() {
        let all = || vec![listener("192.0.2.1:5060"), listener("192.0.2.1:5070")];
        let to: SocketAddr = "198.51.100.7:9".parse().expect("address");
        let both = Listeners::new(all(), vec![]);
        let preferred = Some((0, IpAddr::from([192, 0, 2, 1])));
        let hop = |listeners: &Listeners| listeners.hop(Transport::Udp, to, preferred).map(|h| h.listener);
        assert_eq!((hop(&both), both.is_retired(0)), (Some(0), false));
        let mut told = all();
        told[1].advertise = Some("sip.example.test".to_owned());
        let second = Listeners::new(told, vec![]).following(&both, vec![1]);
        assert_eq!((hop(&second), second.is_retired(0)), (Some(1), true));
        for uri in ["sip:192.0.2.1:5060", "sip:192.0.2.1:5070", "sip:sip.example.test"] {
            assert!(second.is_written(uri.as_bytes()), "{uri}");
        }
        let turned = Listeners::new(all(), vec![]).following(&second, vec![1, 0]);
        let first = turned.hop(Transport::Udp, to, None).map(|h| h.listener);
        assert_eq!((first, hop(&turned)), (Some(1), Some(0)));
    }

    #[test]
    fn former_addresses_are_remembered_within_a_limit() {
        let mut listeners = Listeners::new(vec![listener("192.0.2.1:5060")], vec![]);
        for port in 1024..3000 {
            let next = Listeners::new(vec![listener(&format!("192.0.2.1:{port}"))], vec![]);
            listeners = next.following(&listeners, vec![0]);
        }
        assert_eq!(listeners.uris.len(), 1 + FORMER_URIS);
        assert!(listeners.is_written(b"sip:192.0.2.1:2998") && !listeners.is_written(b"sip:192.0.2.1:1024"));
    }

    #[test]
    fn addresses_are_written_as_uris_need_them() {
        let mut out = Vec::new();
        write_socket_address("[2001:db8::7]:5060".parse().expect("address"), &mut out);
        write_socket_address("192.0.2.10:1".parse().expect("address"), &mut out);
        assert_eq!(out, b"[2001:db8::7]:5060192.0.2.10:1");
    }
}
