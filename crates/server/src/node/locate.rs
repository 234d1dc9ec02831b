//! Where a request goes: bindings of our users, and the hosts of foreign targets (RFC 3261 §16.5, §16.6 step 7).

use std::net::{IpAddr, SocketAddr};

use strowger_sip::endpoint::Ingress;
use strowger_sip::memory::{Id, Stored};
use strowger_sip::proxy::{RecordRoute, Routing, Start, Taken};
use strowger_sip::registrar::{Binding, Bindings};
use strowger_sip::transaction::KEPT;
use strowger_sip::transport::{Hop, Listeners};
use strowger_sip::{Destination, Now, Outbox, Reject};
use strowger_syntax::message::ListItems;
use strowger_syntax::uri::{SipUri, TransportParam, Uri};
use strowger_syntax::{Message, Status, Transport, header::NameAddr};

use super::Node;
use super::shared::Shared;

/// A host name to look up, off the shard.
#[derive(Clone, Debug)]
pub struct Question {
    /// The shard that waits for the answer.
    pub shard: u16,
    /// What it waits with.
    pub ticket: Id,
    /// The name.
    pub host: String,
}

/// A request that waits for the address of its next hop.
#[derive(Debug)]
pub(super) struct PendingLookup {
    waiting: Waiting,
    request: Stored,
    uri: Stored,
    ways: Ways,
}

/// What is known of a request that waits, beside its bytes.
#[derive(Debug)]
pub(super) struct Waiting {
    /// `None` for what is forwarded without state.
    server: Option<Id>,
    ingress: Ingress,
    loop_part: u64,
    taken: Taken,
    record_route: Option<RecordRoute>,
    call: Option<Id>,
}

impl Waiting {
    /// A request that has its server transaction.
    pub(super) fn stateful(start: &Start<'_>) -> Self {
        Self {
            server: Some(start.server),
            ingress: *start.ingress,
            loop_part: start.loop_part,
            taken: start.taken,
            record_route: start.record_route,
            call: start.call,
        }
    }

    /// The request as the proxy takes it; `None` without a server transaction.
    fn start(&self) -> Option<Start<'_>> {
        let Self {
            ref ingress,
            loop_part,
            taken,
            record_route,
            call,
            ..
        } = *self;
        Some(Start {
            server: self.server?,
            ingress,
            loop_part,
            taken,
            record_route,
            call,
        })
    }

    /// A request that is forwarded without state.
    pub(super) fn stateless(ingress: &Ingress, routing: &Routing<'_>, loop_part: u64) -> Self {
        Self {
            server: None,
            ingress: *ingress,
            loop_part,
            taken: routing.taken,
            record_route: None,
            call: None,
        }
    }
}

/// The ports and transports by which a next hop is tried, the second after the first has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ways {
    port: u16,
    transport: Transport,
    fallback: Option<Transport>,
}

/// A target whose host is a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedTarget<'a> {
    /// Its Request-URI.
    pub(super) uri: &'a [u8],
    /// The name to look up.
    pub(super) name: &'a [u8],
    /// The ways to it.
    pub(super) ways: Ways,
}

/// What a next hop's URI comes to.
#[derive(Debug)]
pub(super) enum Located<'a> {
    /// An address, and how to reach it.
    Address(Hop, Option<Hop>),
    /// A name that must be looked up first.
    Name(&'a [u8], Ways),
    /// Nothing that can be reached from here.
    Unreachable,
}

/// Finds the way to a SIP URI's host. `len` is the size of the request: one larger than the limit goes by TCP unless the
/// URI asks for a transport, and back to UDP when TCP fails (RFC 3261 §18.1.1).
pub(super) fn locate<'a>(
    listeners: &Listeners,
    uri: &SipUri<'a>,
    preferred: (u16, IpAddr),
    len: usize,
    udp_limit: usize,
) -> Located<'a> {
    let (transport, fallback) = match uri.transport() {
        Some(TransportParam::Known(transport)) => (transport, None),
        Some(TransportParam::Unknown(_)) => return Located::Unreachable,
        None if uri.secure => (Transport::Tls, None),
        None if len > udp_limit => (Transport::Tcp, Some(Transport::Udp)),
        None => (Transport::Udp, None),
    };
    let ways = Ways {
        port: uri.port.unwrap_or_else(|| transport.default_port()),
        transport,
        fallback,
    };
    let host = uri.maddr().unwrap_or(uri.host);
    match host.ip() {
        Some(ip) => match ways.hop(listeners, ip, preferred) {
            Some((hop, fallback)) => Located::Address(hop, fallback),
            None => Located::Unreachable,
        },
        None => match host {
            strowger_syntax::uri::Host::Name(name) => Located::Name(name, ways),
            _ => Located::Unreachable,
        },
    }
}

impl Ways {
    fn hop(self, listeners: &Listeners, ip: IpAddr, preferred: (u16, IpAddr)) -> Option<(Hop, Option<Hop>)> {
        let to = SocketAddr::new(ip, self.port);
        let way = |transport| listeners.hop(transport, to, Some(preferred));
        match (way(self.transport), self.fallback.and_then(way)) {
            (Some(first), second) => Some((first, second)),
            (None, Some(second)) => Some((second, None)),
            (None, None) => None,
        }
    }
}

impl Node {
    /// Fills the target set with the bindings of the address-of-record in the work buffers (§16.5).
    pub(super) fn targets_of_aor(&mut self, preferred: (u16, IpAddr), now: Now) {
        self.work.targets.clear();
        self.shared.location.read(&self.work.aor, &mut self.work.record);
        let listeners = &self.endpoint.identity.listeners;
        for binding in Bindings::new(&self.work.record).live(now.wall_secs()) {
            if let Some((hop, fallback)) = way_to(&binding, listeners, preferred, &self.shared) {
                self.work
                    .targets
                    .add(binding.contact, binding.path, hop, fallback);
            }
        }
    }

    /// Asks for the addresses of a name, and keeps the request until the answer comes.
    pub(super) fn look_up(
        &mut self,
        request: Message<'_>,
        waiting: Waiting,
        target: NamedTarget<'_>,
        now: Now,
        out: &mut Outbox,
    ) {
        let shard = self.endpoint.identity.shard;
        let pool = &mut self.endpoint.layer.pool;
        let pending = PendingLookup {
            waiting,
            request: pool.store(request.bytes()),
            uri: pool.store(target.uri),
            ways: target.ways,
        };
        let ticket = self.lookups.insert_with(|_| pending);
        let host = String::from_utf8_lossy(target.name).into_owned();
        if self
            .shared
            .resolver
            .try_send(Question { shard, ticket, host })
            .is_err()
        {
            self.on_resolved(ticket, &[], now, out);
        }
    }

    /// The answer came: the request goes on, or is refused when the name has no address we can reach.
    pub(super) fn on_resolved(&mut self, ticket: Id, addresses: &[IpAddr], now: Now, out: &mut Outbox) {
        let Some(pending) = self.lookups.remove(ticket) else {
            return;
        };
        let mut index = std::mem::take(&mut self.work.index);
        let source = pending.waiting.ingress.source;
        let preferred = (source.listener, source.local.ip());
        let listeners = &self.endpoint.identity.listeners;
        let mut hops = addresses
            .iter()
            .filter_map(|&ip| pending.ways.hop(listeners, ip, preferred));
        if let Ok(request) = index.parse(pending.request.bytes(), &KEPT) {
            let first = hops.next();
            let second = hops.next().map(|(hop, _)| hop);
            self.work.targets.clear();
            if let Some((hop, fallback)) = first {
                self.work
                    .targets
                    .add(pending.uri.bytes(), &[], hop, fallback.or(second));
            }
            self.go_on(request, &pending.waiting, now, out);
            self.account(now);
        }
        self.work.index = index;
        self.endpoint.layer.pool.give(pending.request);
        self.endpoint.layer.pool.give(pending.uri);
    }

    /// The caller gave up before the next hop's address was known.
    pub(super) fn cancel_lookup(&mut self, server: Id, now: Now, out: &mut Outbox) {
        let waiting = self
            .lookups
            .iter()
            .find(|(_, pending)| pending.waiting.server == Some(server));
        let Some(pending) = waiting
            .map(|(ticket, _)| ticket)
            .and_then(|ticket| self.lookups.remove(ticket))
        else {
            return;
        };
        let mut index = std::mem::take(&mut self.work.index);
        if let Ok(request) = index.parse(pending.request.bytes(), &KEPT)
            && let Some(start) = pending.waiting.start()
        {
            self.refuse(
                request,
                &start,
                &Reject::new(Status::REQUEST_TERMINATED),
                now,
                out,
            );
        }
        self.work.index = index;
        self.endpoint.layer.pool.give(pending.request);
        self.endpoint.layer.pool.give(pending.uri);
    }

    /// A 100 is due to what is no INVITE (RFC 4320 §4.1), also while the next hop's address is looked up.
    pub(super) fn on_trying_due(&mut self, server: Id, now: Now, out: &mut Outbox) {
        let forwarded = self.endpoint.layer.context_of(server).is_some();
        let mut lookups = self.lookups.iter().filter(|_| !forwarded);
        let Some((_, pending)) = lookups.find(|(_, pending)| pending.waiting.server == Some(server)) else {
            return self
                .proxy
                .on_trying_due(&mut self.endpoint, server, now.mono_ms(), out);
        };
        if let Ok(request) = self.work.index.parse(pending.request.bytes(), &KEPT) {
            let (start, stamp) = (out.bytes.len(), pending.waiting.ingress.stamp);
            self.endpoint
                .identity
                .write_reject(request, stamp, &Reject::new(Status::TRYING), &mut out.bytes);
            // It is due, so the transaction takes it.
            let _ = self
                .endpoint
                .layer
                .respond(server, Status::TRYING, start, now.mono_ms(), out);
        }
    }

    /// A request that waited goes to the targets in the work buffers.
    fn go_on(&mut self, request: Message<'_>, waiting: &Waiting, now: Now, out: &mut Outbox) {
        let Some(start) = waiting.start() else {
            let key = self.endpoint.identity.server_key(request);
            return self.forward_stateless(
                request,
                &waiting.ingress,
                key,
                waiting.taken,
                waiting.loop_part,
                out,
            );
        };
        if self.work.targets.is_empty() {
            let reject = Reject::because(Status::BAD_GATEWAY, "Next Hop Has No Address");
            self.refuse(request, &start, &reject, now, out);
        } else {
            self.proxy.start(
                &mut self.endpoint,
                request,
                &start,
                &self.work.targets,
                now.mono_ms(),
                out,
            );
        }
    }

    /// Refuses a request that has a server transaction.
    pub(super) fn refuse(
        &mut self,
        request: Message<'_>,
        start: &Start<'_>,
        reject: &Reject,
        now: Now,
        out: &mut Outbox,
    ) {
        let from = out.bytes.len();
        self.endpoint
            .identity
            .write_reject(request, start.ingress.stamp, reject, &mut out.bytes);
        self.tally.rejected(reject.status);
        // The transaction may have ended meanwhile; then nobody waits for the answer.
        let _ = self
            .endpoint
            .layer
            .respond(start.server, reject.status, from, now.mono_ms(), out);
        if let Some(call) = start.call {
            let method = request.method();
            let progress = strowger_sip::proxy::Progress {
                call,
                method,
                status: reject.status,
                session_expires: None,
            };
            self.calls.on_progress(
                &progress,
                &mut self.endpoint.layer.wheel,
                &mut self.journal,
                &self.tally,
                now,
            );
        }
    }
}

/// The way to a binding, and another one. A contact that names an address is believed, unless that address means nothing
/// from here; for those, and for names that only the phone's side may know, the way back is taken.
fn way_to(
    binding: &Binding<'_>,
    listeners: &Listeners,
    preferred: (u16, IpAddr),
    shared: &Shared,
) -> Option<(Hop, Option<Hop>)> {
    if !binding.path.is_empty() {
        let first = ListItems::new(binding.path).next()?.0;
        let Uri::Sip(edge) = NameAddr::parse(first).ok()?.uri else {
            return None;
        };
        return match locate(listeners, &edge, preferred, 0, usize::MAX) {
            Located::Address(hop, fallback) => Some((hop, fallback)),
            Located::Name(..) | Located::Unreachable => None,
        };
    }
    let Ok(Uri::Sip(contact)) = Uri::parse(binding.contact) else {
        return None;
    };
    // A contact that names this node would come back here, and fork again.
    if shared.is_ours(&contact) {
        return None;
    }
    let origin = &binding.origin;
    let back = Hop {
        transport: origin.transport,
        listener: origin.listener,
        local: origin
            .from
            .or_else(|| listeners.get(origin.listener).map(|l| l.address.ip()))?,
        to: origin.destination(shared.policy.boot),
    };
    let reachable = contact
        .host
        .ip()
        .is_some_and(|ip| !is_behind(ip, origin.remote.ip()))
        && contact.maddr().is_none();
    let unsaid = contact.transport().is_none() && origin.flow.is_some();
    if !reachable || unsaid {
        return Some((back, None));
    }
    match locate(listeners, &contact, preferred, 0, usize::MAX) {
        Located::Address(hop, _) => {
            let same = hop.to
                == Destination::Connect {
                    transport: origin.transport,
                    to: origin.remote,
                };
            if same {
                Some((back, Some(hop)))
            } else {
                Some((hop, origin.flow.map(|_| back)))
            }
        }
        Located::Name(..) | Located::Unreachable => Some((back, None)),
    }
}

/// Whether an address that a phone gave itself cannot be where a request from `source` came from: its own loopback, or a
/// private one behind a NAT.
fn is_behind(given: IpAddr, source: IpAddr) -> bool {
    let (given, source) = (given.to_canonical(), source.to_canonical());
    given.is_unspecified()
        || given.is_loopback() != source.is_loopback()
        || (is_private(given) && !is_private(source) && !source.is_loopback())
}

/// Addresses of RFC 1918, RFC 6598 and RFC 4193, and link-local ones.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
