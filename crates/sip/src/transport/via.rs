//! Via on receipt, and where responses go (RFC 3261 §18.2, RFC 3581 §4).

use std::net::{IpAddr, SocketAddr};

use strowger_syntax::header::{Header, Via};
use strowger_syntax::message::{Rport, ViaIndex, ViaStamp};
use strowger_syntax::scan::spells_ipv4;
use strowger_syntax::uri::Host;
use strowger_syntax::{Message, Name};

use super::{Destination, Source, Transport};

/// What the top Via of a request must be told (RFC 3261 §18.2.1): `received` when sent-by is not the source address,
/// and both `received` and `rport` when rport asks (RFC 3581 §4).
pub fn stamp(request: Message<'_>, source: &Source) -> ViaStamp {
    let asked = matches!(request.via().rport, Rport::Asked(_));
    let (host, ip) = (request.sent_by_host(), source.remote.ip());
    let is_told = asked || !(spells(host, ip) || host_ip(host) == Some(ip));
    ViaStamp {
        received: is_told.then(|| source.remote.ip()),
        rport: asked.then(|| source.remote.port()),
    }
}

/// Whether whoever sent a request believes to be at another address than it came from: a NAT has changed that (RFC 3581 §4). Of
/// what came through a proxy nothing is known.
pub fn is_translated(request: Message<'_>, source: &Source) -> bool {
    // Nearly every phone is where it believes to be.
    if spells(request.sent_by_host(), source.remote.ip()) {
        return false;
    }
    let said = host_ip(request.sent_by_host());
    said.is_some_and(|ip| ip.to_canonical() != source.remote.ip().to_canonical()) && !request.has_second_via()
}

/// Where the responses to a request go (RFC 3261 §18.2.2): back over the connection; by UDP to the source address, at
/// the port it came from if rport asked, else at the port of sent-by.
pub fn response_destination(via: &ViaIndex, source: &Source) -> Destination {
    if let Some(flow) = source.flow {
        return Destination::Flow(flow);
    }
    let port = match via.rport {
        Rport::Asked(_) | Rport::Value(_) => source.remote.port(),
        Rport::Absent => via.port.unwrap_or_else(|| source.transport.default_port()),
    };
    Destination::Datagram {
        listener: source.listener,
        from: Some(source.local.ip()).filter(|ip| !ip.is_multicast()),
        to: source_at(source, port),
    }
}

/// The source at another port. A link-local address keeps its interface, without which it leads nowhere: this is all that is
/// known of it, as neither Via nor a binding has a place for it.
fn source_at(source: &Source, port: u16) -> SocketAddr {
    let mut address = source.remote;
    address.set_port(port);
    address
}

/// The group that the responses to a request go to which was sent there, as its top Via says (RFC 3261 §18.2.2), at the port
/// of sent-by, whatever rport asks (RFC 3581 §4). A maddr that is another address is not followed: whoever wrote it could
/// have us send anywhere.
pub fn response_group(request: Message<'_>, source: &Source) -> Option<SocketAddr> {
    if !source.is_multicast() {
        return None;
    }
    let via = Via::decode(request.elements(Name::Via).next()?).ok()?;
    let is_group = via.maddr()?.ip() == Some(source.local.ip());
    let port = via.port.unwrap_or_else(|| source.transport.default_port());
    // A group of one interface keeps its number.
    let mut group = source.local;
    group.set_port(port);
    is_group.then_some(group)
}

/// The address that the top Via of a request names once it is stamped: the source, at the port that rport or sent-by
/// gives.
pub fn stamped_address(via: &ViaIndex, source: &Source) -> SocketAddr {
    let port = match via.rport {
        Rport::Asked(_) => source.remote.port(),
        Rport::Value(port) => port,
        Rport::Absent => via.port.unwrap_or_else(|| source.transport.default_port()),
    };
    SocketAddr::new(source.remote.ip(), port)
}

/// The address that a Via names to which a response goes (RFC 3261 §18.2.2, RFC 3581 §4); `text` is what its spans are of.
pub fn written_address(via: &ViaIndex, text: &[u8]) -> Option<SocketAddr> {
    let received = via
        .received
        .and_then(|received| Host::parse_bare(received.of(text)));
    let ip = received
        .and_then(|host| host.ip())
        .or_else(|| host_ip(via.host.of(text)))?;
    let port = match via.rport {
        Rport::Value(port @ 1..) => Some(port),
        Rport::Value(0) | Rport::Asked(_) | Rport::Absent => via.port,
    };
    let default = via.transport.map_or(5060, Transport::default_port);
    Some(SocketAddr::new(ip, port.unwrap_or(default)))
}

/// Where a response goes when its connection is gone: a new one to the source address, at the port of sent-by.
pub fn response_fallback(via: &ViaIndex, source: &Source) -> Option<Destination> {
    source.flow?;
    let port = via.port.unwrap_or_else(|| source.transport.default_port());
    Some(Destination::Connect {
        transport: source.transport,
        to: source_at(source, port),
    })
}

/// Whether a sent-by host is this address in the way that nearly all are written.
#[inline]
fn spells(host: &[u8], ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if spells_ipv4(host, ip))
}

/// The address that a sent-by host is, when it is one.
pub fn host_ip(host: &[u8]) -> Option<IpAddr> {
    Host::parse(host).or_else(|| Host::parse_bare(host))?.ip()
}
