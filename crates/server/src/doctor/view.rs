//! Which address each kind of peer is told of each listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use strowger_sip::transport::Listeners;

use super::facts::{Facts, described};
use super::{Seen, Told};
use crate::config::effective::{self, is_loopback};
use crate::config::{Config, ListenUri};

/// Somebody who stands for all who are outside of the machine's networks (RFC 5737, RFC 3849).
const OUTSIDE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// What peers outside are called.
const OUTSIDE_NAME: &str = "everywhere else";

/// A kind of peers.
struct Peers {
    name: String,
    /// One of them.
    one: IpAddr,
    /// The address of this machine that they ask, where there is a choice.
    asks: Option<IpAddr>,
}

fn kinds(facts: &Facts) -> Vec<Peers> {
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let this = loopback.map(|one| Peers {
        name: "this machine".to_owned(),
        one,
        asks: Some(one),
    });
    let own = facts
        .networks
        .iter()
        .filter(|(address, _)| !is_loopback(*address))
        .map(|&(address, network)| Peers {
            name: network.to_string(),
            one: address,
            asks: Some(address),
        });
    let outside = OUTSIDE.map(|one| Peers {
        name: OUTSIDE_NAME.to_owned(),
        one,
        asks: None,
    });
    this.into_iter().chain(own).chain(outside).collect()
}

/// All listeners, and what their peers are told.
pub(super) fn all(config: &Config, facts: &Facts) -> Vec<Seen> {
    let listeners = described(config, &facts.machine);
    let kinds = kinds(facts);
    let seen = |(number, listener): (u16, effective::Listener)| {
        let uri = listener.listen.uri;
        let told = kinds.iter().filter_map(|peers| {
            let address = told(&listeners, number, uri, peers)?;
            let peer = peers.name.clone();
            Some(Told { peer, address })
        });
        Seen {
            listener: uri.to_string(),
            told: told.collect(),
        }
    };
    (0..).zip(effective::listeners(config)).map(seen).collect()
}

/// What peers outside are told of a listener; `None` if they do not reach it.
pub(super) fn outside(listeners: &Listeners, number: u16, uri: ListenUri) -> Option<String> {
    OUTSIDE.into_iter().find_map(|one| {
        let peers = Peers {
            name: String::new(),
            one,
            asks: None,
        };
        told(listeners, number, uri, &peers)
    })
}

fn told(listeners: &Listeners, number: u16, uri: ListenUri, peers: &Peers) -> Option<String> {
    let bound = uri.address.ip();
    let reaches = bound.is_ipv4() == peers.one.is_ipv4() && (!is_loopback(bound) || is_loopback(peers.one));
    if !reaches {
        return None;
    }
    let asked = peers.asks.filter(|_| bound.is_unspecified());
    let local = asked.or_else(|| listeners.local(number, peers.one))?;
    let mut written = Vec::new();
    let as_told = (number, listeners.told(number, peers.one));
    listeners.write_uri(uri.transport, as_told, local, &mut written);
    let text = String::from_utf8_lossy(&written).into_owned();
    let host_port = text.strip_prefix("sip:").unwrap_or(&text);
    Some(host_port.split(';').next().unwrap_or_default().to_owned())
}
