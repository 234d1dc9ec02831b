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
    fn written(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.advertise {
            Some(advertise) => out.extend_from_slice(advertise.as_bytes()),
            None if self.address.ip().is_unspecified() => {}
            None => write_socket_address(self.address, &mut out),
        }
        out
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
}

/// All listeners of the node, the same on every shard.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    all: Vec<Listener>,
    /// Host and port of each, as they are written; empty for one whose host depends on who is written to.
    written: Vec<Vec<u8>>,
    /// What stands for us where a wildcard listener was not asked by any address yet, by family.
    outward: Vec<IpAddr>,
}

impl Listeners {
    /// The listeners, and the addresses of this machine that are told to peers of wildcard listeners, best first.
    pub fn new(all: Vec<Listener>, outward: Vec<IpAddr>) -> Self {
        let written = all.iter().map(Listener::written).collect();
        Self {
            all,
            written,
            outward,
        }
    }

    /// All of them, in configured order.
    pub fn all(&self) -> &[Listener] {
        &self.all
    }

    /// The listener of a number.
    pub fn get(&self, listener: u16) -> Option<&Listener> {
        self.all.get(usize::from(listener))
    }

    /// The way to a peer: from the preferred listener if it can reach it, else from the first that can.
    pub fn hop(&self, transport: Transport, to: SocketAddr, preferred: Option<(u16, IpAddr)>) -> Option<Hop> {
        let able = |l: &Listener| l.transport == transport && reaches(l.address.ip(), to.ip());
        let preferred = preferred
            .filter(|&(number, local)| self.get(number).is_some_and(able) && local.is_ipv4() == to.is_ipv4());
        let (listener, local) = match preferred {
            Some(found) => found,
            None => {
                let number = self.all.iter().position(able)?;
                (
                    number as u16,
                    self.local_for(self.all[number].address.ip(), to.ip()),
                )
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
        })
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

    /// Appends host and port by which peers reach a listener.
    pub fn write_host_port(&self, listener: u16, local: IpAddr, out: &mut Vec<u8>) {
        match (self.written.get(usize::from(listener)), self.get(listener)) {
            (Some(written), _) if !written.is_empty() => out.extend_from_slice(written),
            (_, Some(listener)) => write_socket_address(SocketAddr::new(local, listener.address.port()), out),
            _ => {}
        }
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
    fn addresses_are_written_as_uris_need_them() {
        let mut out = Vec::new();
        write_socket_address("[2001:db8::7]:5060".parse().expect("address"), &mut out);
        write_socket_address("192.0.2.10:1".parse().expect("address"), &mut out);
        assert_eq!(out, b"[2001:db8::7]:5060192.0.2.10:1");
    }
}
