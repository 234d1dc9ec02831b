//! The addresses we listen on: what we write into Via and Record-Route, and which socket a message leaves by.

use std::net::{IpAddr, SocketAddr};

use strowger_syntax::Transport;

use super::{Cidr, Destination};

/// One listener, bound.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its transport.
    pub transport: Transport,
    /// The address it is bound to, with the port it got.
    pub address: SocketAddr,
    /// What peers are told instead: the first one that is for them, and the address itself if there is none.
    pub advertise: Vec<Advertised>,
}

/// What peers are told instead of a listener's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// Where the peers are that it is for; nowhere stands for everywhere.
    pub to: Vec<Cidr>,
    /// Host and port.
    pub host_port: String,
}

impl Advertised {
    fn is_for(&self, peer: IpAddr) -> bool {
        self.to.is_empty() || self.to.iter().any(|block| block.contains(peer))
    }
}

/// Which of the things that peers are told of a listener one of them is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdvertisedAs(u8);

impl Listener {
    /// The texts that peers may be told, by their [`AdvertisedAs`]: the address itself is the last.
    fn written(&self) -> impl Iterator<Item = Written> {
        let advertised = self
            .advertise
            .iter()
            .map(|advertised| advertised.host_port.as_bytes());
        let itself = Written::of_address(self);
        advertised
            .map(|host_port| Written::of(self, host_port))
            .chain([itself])
    }

    /// Whether it depends on the peer what that is told.
    fn is_told_apart(&self) -> bool {
        self.advertise.len() > 1 || self.advertise.iter().any(|advertised| !advertised.to.is_empty())
    }

    /// How many of its texts a peer may be told: behind one that is for everywhere there are no others.
    fn texts(&self) -> usize {
        let everywhere = self
            .advertise
            .iter()
            .position(|advertised| advertised.to.is_empty());
        everywhere.unwrap_or(self.advertise.len()) + 1
    }

    /// The URIs by which peers reach it as one of the texts says: one, or one for each address that it may be told by.
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
    fn of_address(listener: &Listener) -> Self {
        if listener.address.ip().is_unspecified() {
            return Self::default();
        }
        let mut host_port = Vec::new();
        write_socket_address(listener.address, &mut host_port);
        Self::of(listener, &host_port)
    }

    fn of(listener: &Listener, host_port: &[u8]) -> Self {
        let (mut via, mut uri) = (Vec::new(), Vec::new());
        put_via(listener.transport, &mut via, |out| {
            out.extend_from_slice(host_port)
        });
        put_uri(listener.transport, &mut uri, |out| {
            out.extend_from_slice(host_port)
        });
        Self {
            host_port: host_port.to_owned(),
            via,
            uri,
        }
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
    /// What the peer there is told of the listener.
    pub told: AdvertisedAs,
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
    /// How each is written by the first of its texts; empty for one whose host depends on our address there.
    written: Vec<Written>,
    /// How they are written by their other texts.
    others: Vec<(u16, AdvertisedAs, Written)>,
    /// Whether there is a listener of which not all peers are told the same.
    tells_apart: bool,
    /// The URIs by which peers reach the listeners, as they are written, and behind them the former ones.
    uris: Vec<Vec<u8>>,
    /// What stands for us where a wildcard listener was not asked by any address yet, by family.
    outward: Vec<IpAddr>,
}

impl Listeners {
    /// The listeners, and the addresses of this machine that are told to peers of wildcard listeners, best first.
    pub fn new(all: Vec<Listener>, outward: Vec<IpAddr>) -> Self {
        let live = (0..all.len() as u16).collect();
        let (mut written, mut others, mut uris) = (Vec::new(), Vec::new(), Vec::new());
        for (number, listener) in (0..).zip(&all) {
            for (told, text) in (0..)
                .map(AdvertisedAs)
                .zip(listener.written().take(listener.texts()))
            {
                uris.extend(listener.uris(&text, &outward));
                if told == AdvertisedAs::default() {
                    written.push(text);
                } else {
                    others.push((number, told, text));
                }
            }
        }
        Self {
            tells_apart: all.iter().any(Listener::is_told_apart),
            all,
            live,
            written,
            others,
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
            if self.uris.len() < self.all.len() + self.others.len() + FORMER_URIS && !self.uris.contains(uri)
            {
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
        let told = self.told(listener, to.ip());
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
            told,
            to,
            over_flow: false,
        })
    }

    /// What a peer is told of a listener.
    #[inline]
    pub fn told(&self, listener: u16, peer: IpAddr) -> AdvertisedAs {
        if !self.tells_apart {
            return AdvertisedAs::default();
        }
        self.told_apart(listener, peer)
    }

    #[cold]
    fn told_apart(&self, listener: u16, peer: IpAddr) -> AdvertisedAs {
        let advertise = self.get(listener).map_or(&[][..], |listener| &listener.advertise);
        let first = advertise.iter().position(|advertised| advertised.is_for(peer));
        AdvertisedAs(first.unwrap_or(advertise.len()) as u8)
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
        match self.written(hop.listener, hop.told, hop.transport) {
            Some(written) => out.extend_from_slice(&written.via),
            None => put_via(hop.transport, out, |out| {
                self.write_host_port((hop.listener, hop.told), hop.local, out)
            }),
        }
    }

    /// Appends the URI by which a peer that is told so reaches a listener by this transport, at this address of ours.
    pub fn write_uri(
        &self,
        transport: Transport,
        (listener, told): (u16, AdvertisedAs),
        local: IpAddr,
        out: &mut Vec<u8>,
    ) {
        match self.written(listener, told, transport) {
            Some(written) => out.extend_from_slice(&written.uri),
            None => put_uri(transport, out, |out| {
                self.write_host_port((listener, told), local, out)
            }),
        }
    }

    /// Whether a URI is known to be what [`write_uri`](Self::write_uri) writes. A wildcard listener has others too.
    pub fn is_written(&self, uri: &[u8]) -> bool {
        self.uris.iter().any(|known| known == uri)
    }

    #[inline]
    fn written(&self, listener: u16, told: AdvertisedAs, transport: Transport) -> Option<&Written> {
        let is_its = self.get(listener)?.transport == transport;
        self.text(listener, told)
            .filter(|written| is_its && !written.uri.is_empty())
    }

    #[inline]
    fn text(&self, listener: u16, told: AdvertisedAs) -> Option<&Written> {
        if told == AdvertisedAs::default() {
            self.written.get(usize::from(listener))
        } else {
            self.other(listener, told)
        }
    }

    #[cold]
    fn other(&self, listener: u16, told: AdvertisedAs) -> Option<&Written> {
        let found = self
            .others
            .iter()
            .find(|other| (other.0, other.1) == (listener, told));
        found.map(|other| &other.2)
    }

    /// Appends host and port by which a peer that is told so reaches a listener.
    fn write_host_port(&self, (listener, told): (u16, AdvertisedAs), local: IpAddr, out: &mut Vec<u8>) {
        match (self.text(listener, told), self.get(listener)) {
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
            advertise: Vec::new(),
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

    /// Told so to whoever is in one of these blocks; to everybody where there is none.
    fn advertised(to: &[([u8; 4], u8)], host_port: &str) -> Advertised {
        let block = |&(network, prefix): &([u8; 4], u8)| Cidr::new(network.into(), prefix);
        Advertised {
            to: to.iter().map(block).collect(),
            host_port: host_port.to_owned(),
        }
    }

    // RFC 3261 §18.1.1, §16.6 step 4: what is written is what the peer there can reach.
    #[test]
    fn each_peer_is_told_the_address_that_is_for_it() {
        let mut wildcard = listener("0.0.0.0:5060");
        wildcard.advertise = vec![
            advertised(&[([10, 0, 0, 0], 8), ([192, 168, 0, 0], 16)], "10.1.2.3:5060"),
            advertised(&[([127, 0, 0, 0], 8)], "pbx.test"),
        ];
        let mut usual = listener("192.0.2.1:5062");
        usual.advertise = vec![advertised(&[], "203.0.113.5:5062"), advertised(&[], "x.test")];
        let outward = vec![IpAddr::from([192, 0, 2, 1])];
        let listeners = Listeners::new(vec![wildcard, usual, listener("192.0.2.1:5064")], outward);
        let told = |number: u16, peer: &str| {
            let peer: SocketAddr = peer.parse().expect("address");
            let preferred = listeners.local(number, peer.ip()).map(|local| (number, local));
            let hop = listeners.hop(Transport::Udp, peer, preferred).expect("a way");
            let (mut via, mut uri) = (Vec::new(), Vec::new());
            listeners.write_via(&hop, &mut via);
            listeners.write_uri(hop.transport, (hop.listener, hop.told), hop.local, &mut uri);
            assert!(listeners.is_written(&uri) || peer.ip().is_loopback());
            let [via, uri] = [via, uri].map(|text| String::from_utf8(text).expect("text"));
            let host_port = uri.trim_start_matches("sip:").to_owned();
            assert_eq!(via, format!("SIP/2.0/UDP {host_port}"));
            host_port
        };
        for (number, peer, host_port) in [
            (0, "10.200.0.1:9", "10.1.2.3:5060"),
            (0, "192.168.7.7:9", "10.1.2.3:5060"),
            (0, "127.0.0.1:9", "pbx.test"),
            (0, "198.51.100.9:9", "192.0.2.1:5060"),
            (1, "10.200.0.1:9", "203.0.113.5:5062"),
            (2, "10.200.0.1:9", "192.0.2.1:5064"),
        ] {
            assert_eq!(told(number, peer), host_port, "{peer}");
        }
        assert!(!listeners.is_written(b"sip:x.test"), "nobody is told so");
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
        told[1].advertise = vec![advertised(&[], "sip.example.test")];
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
