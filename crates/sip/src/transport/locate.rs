//! Where a request goes next (RFC 3263 §4): the way to the host of a SIP URI, and to a binding.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use strowger_syntax::header::NameAddr;
use strowger_syntax::message::ListItems;
use strowger_syntax::scan::{find_near, strip_ipv4};
use strowger_syntax::uri::{Host, SipUri, TransportParam, Uri};

use super::{Destination, Hop, Listener, Listeners, Source, Transport, Wanted, Ways};
use crate::registrar::{Binding, OB, Origin};

/// Where requests leave from: the listeners, and which of them at which address is taken first.
#[derive(Clone, Copy, Debug)]
pub struct Departure<'a> {
    /// All that there are.
    pub listeners: &'a Listeners,
    /// The number of the preferred one, and our address there.
    pub preferred: (u16, IpAddr),
}

/// What a next hop's URI comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located<'a> {
    /// An address, and how to reach it.
    Address(IpAddr, Ways),
    /// A name that must be looked up first.
    Name(NextHop<'a>),
    /// Nothing that can be reached from here.
    Unreachable,
}

/// A next hop whose address is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// What has to be known of that.
    pub wanted: Wanted,
    /// How its servers are reached then.
    pub ways: Ways,
}

/// How large a request is, for a datagram (RFC 3261 §18.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// It fits.
    Small,
    /// It goes by TCP unless its target asks for a transport, and back to UDP when TCP fails.
    Large,
}

impl Size {
    /// The size of a request of this many bytes, where the limit is so many.
    pub fn of(len: usize, udp_limit: usize) -> Self {
        if len > udp_limit { Self::Large } else { Self::Small }
    }
}

/// Finds where a request of this size to a SIP URI's host goes (RFC 3263 §4.1, §4.2).
pub fn locate<'a>(uri: &SipUri<'a>, size: Size) -> Located<'a> {
    let said = match uri.transport() {
        Some(TransportParam::Unknown(_)) => return Located::Unreachable,
        // RFC 3261 §26.2.2: over TLS, whatever carries that.
        Some(TransportParam::Known(Transport::Udp)) if uri.secure => return Located::Unreachable,
        Some(TransportParam::Known(Transport::Ws | Transport::Wss)) if uri.secure => Some(Transport::Wss),
        Some(TransportParam::Known(_)) if uri.secure => Some(Transport::Tls),
        Some(TransportParam::Known(transport)) => Some(transport),
        None => None,
    };
    let usual = if uri.secure {
        Transport::Tls
    } else {
        Transport::Udp
    };
    let ways = Ways {
        port: uri.port,
        transport: said.unwrap_or(usual),
        is_large: size == Size::Large && said.is_none() && !uri.secure,
    };
    let host = uri.maddr().unwrap_or(uri.host);
    match (host, host.ip()) {
        (_, Some(ip)) => Located::Address(ip, ways),
        (Host::Name(name), None) => {
            let wanted = match (uri.port, said) {
                (Some(_), _) => Wanted::Addresses,
                (None, Some(transport)) => Wanted::Servers(transport),
                (None, None) => Wanted::AnyServers { secure: uri.secure },
            };
            Located::Name(NextHop { name, wanted, ways })
        }
        (_, None) => Located::Unreachable,
    }
}

/// The first hop to a URI that names an address.
fn hop_to(from: Departure<'_>, uri: &SipUri<'_>) -> Option<Hop> {
    match locate(uri, Size::Small) {
        Located::Address(ip, ways) => ways.first(from, ip),
        Located::Name(_) | Located::Unreachable => None,
    }
}

/// The way to a binding in this boot, and another one. A contact that names an address is believed, unless that address
/// means nothing from here; for those, and for names that only the phone's side may know, the way back is taken. A contact
/// that names no transport means the one that it was registered by, and the connection as long as that is open.
/// `is_ours` says whether a URI names this node: such a contact would come back here, and fork again.
pub fn way_to(
    from: Departure<'_>,
    binding: &Binding<'_>,
    boot: u32,
    is_ours: impl Fn(&SipUri<'_>) -> bool,
) -> Option<(Hop, Option<Hop>)> {
    let origin = &binding.origin;
    let Ok(Uri::Sip(contact)) = Uri::parse(binding.contact) else {
        return None;
    };
    if is_ours(&contact) {
        return None;
    }
    if !binding.path.is_empty() {
        return way_by_path(from, binding, is_ours);
    }
    let back = || way_back(from, origin, boot);
    let is_reachable = |ip| !is_behind(ip, origin.remote.ip());
    if contact.secure {
        return secure_way(from, &contact, back()?);
    }
    if binding.outbound {
        return Some((way_over_flow(from, &contact, origin, boot)?, None));
    }
    let reachable = contact.maddr().is_none() && contact.host.ip().is_some_and(is_reachable);
    let unsaid = contact.transport().is_none() && origin.flow.is_some();
    if !reachable {
        return Some((back()?, None));
    }
    if unsaid {
        return Some((back()?, hop_by_same(from, &contact, origin.transport)));
    }
    let Some(hop) = hop_to(from, &contact) else {
        return Some((back()?, None));
    };
    let same = hop.to
        == Destination::Connect {
            transport: origin.transport,
            to: origin.remote,
        };
    if same {
        Some((back()?, Some(hop)))
    } else {
        Some((hop, origin.flow.and_then(|_| back())))
    }
}

/// The way to a binding that is known by its flow: that and no other, if it can still be there (RFC 5626 §7).
fn way_over_flow(from: Departure<'_>, contact: &SipUri<'_>, origin: &Origin, boot: u32) -> Option<Hop> {
    if origin.flow.is_some_and(|bound| bound.boot != boot) {
        return None;
    }
    let back = way_back(from, origin, boot)?;
    Some(Hop {
        over_flow: !leads_to(contact, origin.transport, origin.remote),
        ..back
    })
}

/// Whether a URI leads to where something came from, and its owner has not asked for the flow (RFC 5626 §4.3).
fn leads_to(uri: &SipUri<'_>, transport: Transport, remote: SocketAddr) -> bool {
    let port = uri.port.unwrap_or_else(|| transport.default_port());
    let is_by_same = match uri.transport() {
        None => transport == Transport::Udp,
        Some(said) => said == TransportParam::Known(transport),
    };
    is_by_same
        && uri.host.ip() == Some(remote.ip())
        && port == remote.port()
        && uri.maddr().is_none()
        && !uri.params.has(OB)
}

/// Whether later requests of a dialog reach whoever has sent this contact from there only over the flow that it came by: it says
/// so, it came over a connection that the contact does not name, or the contact means nothing from here (RFC 5626 §5.3.2).
pub fn needs_flow(contact: &SipUri<'_>, source: &Source) -> bool {
    if contact.params.has(OB) || is_nowhere(contact) {
        return true;
    }
    let remote = source.remote;
    match contact.host.ip() {
        Some(ip) if contact.maddr().is_none() => {
            is_behind(ip, remote.ip())
                || (source.flow.is_some() && !leads_to(contact, source.transport, remote))
        }
        _ => false,
    }
}

/// Whether a URI can be followed by its host when its flow is gone: it asks for no flow, and names an address that means something
/// from `local`, an address of ours.
pub fn way_without_flow(from: Departure<'_>, uri: &SipUri<'_>, local: IpAddr) -> Option<Hop> {
    let is_asked = uri.params.has(OB) || is_nowhere(uri) || uri.secure;
    if is_asked || uri.host.ip().is_none_or(|ip| is_behind(ip, local)) {
        return None;
    }
    hop_to(from, uri)
}

/// Whether a URI's host is a name that nothing ever has (`.invalid`).
fn is_nowhere(uri: &SipUri<'_>) -> bool {
    const INVALID: &[u8] = b".invalid";
    match uri.host {
        Host::Name(name) => {
            let end = name.strip_suffix(b".").unwrap_or(name);
            let top = end.len().saturating_sub(INVALID.len());
            end[top..].eq_ignore_ascii_case(INVALID) || end.eq_ignore_ascii_case(&INVALID[1..])
        }
        _ => false,
    }
}

/// The hop to a URI that names an address and no transport, by the one that it was registered by, if a phone can be called by
/// that.
fn hop_by_same(from: Departure<'_>, uri: &SipUri<'_>, transport: Transport) -> Option<Hop> {
    let (ip, port) = (
        uri.host.ip()?,
        uri.port.unwrap_or_else(|| transport.default_port()),
    );
    let is_called = transport == Transport::Tcp;
    is_called.then(|| {
        from.listeners
            .hop(transport, (ip, port).into(), Some(from.preferred))
    })?
}

/// The way to where a binding was registered from: by the listener that it came to, or by another one of its kind when
/// that is listened at no more.
pub fn way_back(from: Departure<'_>, origin: &Origin, boot: u32) -> Option<Hop> {
    let (listeners, number, to) = (from.listeners, origin.listener, origin.destination(boot));
    let of_its_kind = |listener: &&Listener| {
        listener.transport == origin.transport && listener.address.is_ipv4() == origin.remote.is_ipv4()
    };
    let listener = listeners
        .get(number)
        .filter(of_its_kind)
        .filter(|_| !listeners.is_retired(number));
    if let Some(listener) = listener {
        return Some(Hop {
            transport: origin.transport,
            listener: number,
            local: origin.from.unwrap_or_else(|| listener.address.ip()),
            told: listeners.told(number, origin.remote.ip()),
            to,
            over_flow: true,
        });
    }
    let hop = listeners.hop(origin.transport, origin.remote, Some(from.preferred))?;
    let to = match to {
        Destination::Flow(_) => to,
        _ => hop.to,
    };
    Some(Hop {
        to,
        over_flow: true,
        ..hop
    })
}

/// Whether a phone is reached only as long as a NAT remembers it: it registered by datagrams, and from another address than it
/// believed to be at, or than its contact names. One behind a proxy of its own, which it has registered through (RFC 3327), is that one's to care for.
pub fn is_behind_nat(binding: &Binding<'_>) -> bool {
    let origin = &binding.origin;
    if origin.transport.is_reliable() || !binding.path.is_empty() {
        return false;
    }
    // Some learn their public address and name that in their contact.
    if origin.translated {
        return true;
    }
    if matches!(origin.remote.ip(), IpAddr::V4(ip) if plainly_names(binding.contact, ip)) {
        return false;
    }
    let Ok(Uri::Sip(contact)) = Uri::parse(binding.contact) else {
        return false;
    };
    let named = contact.host.ip().map(|ip| ip.to_canonical());
    named != Some(origin.remote.ip().to_canonical())
}

/// Whether a contact names an address in the way that nearly all do: it need not be read to know that.
fn plainly_names(contact: &[u8], ip: Ipv4Addr) -> bool {
    let host = find_near(contact, b'@').map_or(&[][..], |at| &contact[at + 1..]);
    contact.starts_with(b"sip:") && matches!(strip_ipv4(host, ip), Some([] | [b':' | b';' | b'?', ..]))
}

/// The way to the first element of a path (RFC 3327 §5.3), if that neither comes back here nor, for somebody outside, leads
/// to what listens on this machine only.
fn way_by_path(
    from: Departure<'_>,
    binding: &Binding<'_>,
    is_ours: impl Fn(&SipUri<'_>) -> bool,
) -> Option<(Hop, Option<Hop>)> {
    let first = ListItems::new(binding.path).next()?.0;
    let Uri::Sip(edge) = NameAddr::parse(first).ok()?.uri else {
        return None;
    };
    let source = binding.origin.remote.ip();
    if is_ours(&edge) || edge.host.ip().is_some_and(|ip| is_elsewhere(ip, source)) {
        return None;
    }
    Some((hop_to(from, &edge)?, None))
}

/// Whether a binding is reached through a path whose first element is a name, and neither that nor its contact is this node.
pub fn leads_by_name(binding: &Binding<'_>, is_ours: impl Fn(&SipUri<'_>) -> bool) -> bool {
    let Some((first, _)) = ListItems::new(binding.path).next() else {
        return false;
    };
    let is_others = |uri: &Uri<'_>| matches!(uri, Uri::Sip(sip) if !is_ours(sip));
    let by_name = |edge: &SipUri<'_>| matches!(locate(edge, Size::Small), Located::Name(_));
    Uri::parse(binding.contact).is_ok_and(|contact| is_others(&contact))
        && NameAddr::parse(first)
            .is_ok_and(|edge| is_others(&edge.uri) && edge.uri.as_sip().is_some_and(by_name))
}

/// The way to a `sips:` contact (RFC 3261 §26.2.2): the way back if that is secure, else whatever the contact says.
fn secure_way(from: Departure<'_>, contact: &SipUri<'_>, back: Hop) -> Option<(Hop, Option<Hop>)> {
    if back.transport.is_secure() {
        return Some((back, None));
    }
    Some((hop_to(from, contact)?, None))
}

/// Whether an address that a phone gave itself cannot be where a request from `source` came from: its own loopback, or a
/// private one behind a NAT.
fn is_behind(given: IpAddr, source: IpAddr) -> bool {
    let (given, source) = (given.to_canonical(), source.to_canonical());
    is_elsewhere(given, source) || (is_private(given) && !is_private(source) && !source.is_loopback())
}

/// Whether an address is a loopback one and the source's is not, or the other way round, or is none at all.
fn is_elsewhere(given: IpAddr, source: IpAddr) -> bool {
    let (given, source) = (given.to_canonical(), source.to_canonical());
    given.is_unspecified() || given.is_loopback() != source.is_loopback()
}

/// Addresses of RFC 1918, RFC 6598 and RFC 4193, and link-local ones.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
