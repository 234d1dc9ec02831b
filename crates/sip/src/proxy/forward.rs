//! Request forwarding (RFC 3261 §16.6): the copy that leaves.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use strowger_syntax::header::Credentials;
use strowger_syntax::message::{Draft, Edits, ListItems, Rewrite, Span};
use strowger_syntax::scan::{number, put_number, put_octet};
use strowger_syntax::{Message, Name, Transport};

use super::route::{LOOSE_AND_TOKEN, Taken, is_loose, next_route};
use crate::endpoint::{Arrival, Identity};
use crate::memory::Id;
use crate::transaction::ServerKey;
use crate::transport::branch::hex_digits;
use crate::transport::{AdvertisedAs, Hop, Listener, LogicalFlow, Peer, TokenUse};

/// Which branch the copy gets.
#[derive(Clone, Copy, Debug)]
pub enum BranchKind {
    /// A client transaction's.
    Stateful {
        /// Its name.
        client: Id,
        /// What stands behind that.
        check: u32,
    },
    /// One that the same request always gets (§16.11).
    Stateless {
        /// What identifies its server transaction.
        key: ServerKey,
        /// The address that its top Via names once it is stamped.
        reply_address: SocketAddr,
    },
}

/// How we stay on the path of what comes later.
#[derive(Clone, Copy, Debug)]
pub enum RecordRoute {
    /// By Record-Route, of requests of the dialog.
    Dialog {
        /// The token that proves them.
        token: u64,
        /// The flow that the caller is to be reached over, where its contact does not lead to it (RFC 5626 §5.3.2).
        caller: Option<Peer>,
    },
    /// By the Path of a REGISTER, of requests for whoever is registered: over this flow, as the first hop (RFC 5626 §5.1).
    Registration(Peer),
}

impl RecordRoute {
    fn field(&self) -> Name {
        match self {
            Self::Dialog { .. } => Name::RecordRoute,
            Self::Registration(_) => Name::Path,
        }
    }
}

/// Everything that makes the copy differ from the request.
#[derive(Clone, Copy, Debug)]
pub struct Forwarding<'a> {
    /// The target's URI.
    pub uri: &'a [u8],
    /// Route values of the target (its Path), to stand on top; empty for none.
    pub routes: &'a [u8],
    /// What is ours of the route set.
    pub taken: Taken,
    /// Whether and how to stay on the path.
    pub record_route: Option<RecordRoute>,
    /// The way it leaves.
    pub hop: Hop,
    /// Where the request came in.
    pub arrival: Arrival,
    /// The loop part of the branch.
    pub loop_part: u64,
    /// How many branches it may become at once further on (RFC 5393 §5.3.3).
    pub breadth: u8,
    /// Lines of credentials of ours, for whoever has challenged the copy before (§22.3); empty for none.
    pub credentials: &'a [u8],
}

/// Writes the copy, steps 1 to 9 of §16.6; step 10 is the caller's.
pub fn write_forward(
    identity: &Identity,
    request: Message<'_>,
    forwarding: &Forwarding<'_>,
    branch: BranchKind,
    edits: &mut Edits,
    out: &mut Vec<u8>,
) {
    match Places::of(identity, request, forwarding) {
        Some(places) => write_at_places(identity, request, forwarding, &places, branch, out),
        None => write_draft(identity, request, forwarding, branch, edits, out),
    }
}

/// Where a request changes on which no step has to be done that moves more than a piece of Route.
struct Places {
    /// Where Record-Route or Path is written, if it is.
    record_route: Option<u16>,
    via: u16,
    /// What is cut out of Route, if anything is.
    route: Option<Span>,
    max_forwards: Span,
    hops: u64,
    /// The value, if there is one.
    max_breadth: Option<Span>,
    /// The line that ends here, if one does.
    credentials: Option<Span>,
}

/// The place of what is not done, behind all others.
const NOWHERE: u16 = u16::MAX;

/// What is done at a place. At one place the steps are done in this order.
#[derive(Clone, Copy)]
enum Step {
    RecordRoute,
    Via,
    Route,
    MaxForwards,
    MaxBreadth,
    Credentials,
}

impl Step {
    const ALL: [Self; 6] = [
        Self::RecordRoute,
        Self::Via,
        Self::Route,
        Self::MaxForwards,
        Self::MaxBreadth,
        Self::Credentials,
    ];
}

impl Places {
    fn of(identity: &Identity, request: Message<'_>, forwarding: &Forwarding<'_>) -> Option<Self> {
        let taken = forwarding.taken;
        if taken.cut.is_none() && (taken.pop > 0 || taken.strict) {
            return None;
        }
        let credentials = match taken.credentials {
            None if request.has(Name::ProxyAuthorization) => {
                let mut ours = own_credentials(identity, request);
                let line = ours.next();
                if ours.next().is_some() {
                    return None;
                }
                line
            }
            known => known,
        };
        let in_pieces = !forwarding.routes.is_empty() || !request.has(Name::ContentLength);
        if in_pieces || next_route(request, taken).is_some_and(|next| !is_loose(next)) {
            return None;
        }
        let via = request.field(Name::Via)?.line.start;
        let max_forwards = request.field(Name::MaxForwards)?;
        let record_route = match forwarding.record_route {
            Some(stays) => {
                let others = request.field(stays.field());
                Some(others.or_else(|| request.fields().next())?.line.start)
            }
            None => None,
        };
        Some(Self {
            record_route,
            via,
            route: taken.cut,
            max_forwards: max_forwards.span,
            hops: hops_left(max_forwards.value),
            max_breadth: request.field(Name::MaxBreadth).map(|field| field.span),
            credentials,
        })
    }

    /// Where a step is done.
    fn place(&self, step: Step) -> u16 {
        let start = |span: Option<Span>| span.map_or(NOWHERE, |span| span.start);
        match step {
            Step::RecordRoute => self.record_route.unwrap_or(NOWHERE),
            Step::Via => self.via,
            Step::Route => start(self.route),
            Step::MaxForwards => self.max_forwards.start,
            Step::MaxBreadth => start(self.max_breadth),
            Step::Credentials => start(self.credentials),
        }
    }

    /// The places from the first on, each with its step.
    fn in_order(&self) -> impl Iterator<Item = (u16, Step)> {
        // Place and step in one number: those are sorted at the least cost.
        const STEPS: u32 = Step::ALL.len() as u32;
        let mut places = Step::ALL.map(|step| u32::from(self.place(step)) * STEPS + step as u32);
        places.sort_unstable();
        places
            .into_iter()
            .map(|number| ((number / STEPS) as u16, Step::ALL[(number % STEPS) as usize]))
            .take_while(|&(place, _)| place != NOWHERE)
    }
}

/// All steps in one pass over the request: nearly every request needs no more.
fn write_at_places(
    identity: &Identity,
    request: Message<'_>,
    forwarding: &Forwarding<'_>,
    places: &Places,
    branch: BranchKind,
    out: &mut Vec<u8>,
) {
    let mut copy = Rewrite::begin(request, ADDED, out);
    let uri = request_line_uri(forwarding.uri);
    if *uri != *request.request_uri() {
        copy.set_request_uri(&uri);
    }
    for (place, step) in places.in_order() {
        match step {
            Step::RecordRoute => {
                if let Some(record_route) = forwarding.record_route {
                    write_record_route(identity, forwarding, record_route, |entry| {
                        let out = copy.at(place);
                        out.extend_from_slice(record_route.field().as_str().as_bytes());
                        out.extend_from_slice(b": ");
                        entry.write(identity, out);
                        out.extend_from_slice(b"\r\n");
                    });
                }
            }
            Step::Via => {
                let out = copy.at(place);
                out.extend_from_slice(b"Via: ");
                write_via(identity, forwarding, branch, out);
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(forwarding.credentials);
                copy.stamp_via(forwarding.arrival.stamp);
            }
            Step::Route => {
                copy.instead_of(places.route.unwrap_or_default());
            }
            Step::MaxForwards => {
                let breadth = places.max_breadth.is_none().then_some(forwarding.breadth);
                write_hops(places.hops, breadth, copy.instead_of(places.max_forwards));
            }
            Step::MaxBreadth => {
                if let Some(span) = places.max_breadth {
                    put_octet(copy.instead_of(span), forwarding.breadth);
                }
            }
            Step::Credentials => {
                copy.instead_of(places.credentials.unwrap_or_default());
            }
        }
    }
    copy.finish();
}

/// How many branches a request may have at once that does not say so, and at most (RFC 5393 §5.3.3).
pub const MAX_BREADTH: u8 = 60;

/// The most branches that a request allows at once (RFC 5393 §5.3.3).
pub fn max_breadth(request: Message<'_>) -> u8 {
    let given = request.first(Name::MaxBreadth).and_then(number);
    given.map_or(MAX_BREADTH, |most| most.min(u64::from(MAX_BREADTH)) as u8)
}

/// About what the copy has more than the request.
const ADDED: usize = 400;

/// Step 3.
fn hops_left(max_forwards: &[u8]) -> u64 {
    number(max_forwards).map_or(70, |n| n.saturating_sub(1))
}

/// The value of Max-Forwards, with a Max-Breadth behind it in a request that has none.
fn write_hops(hops: u64, breadth: Option<u8>, out: &mut Vec<u8>) {
    put_number(out, hops);
    if let Some(breadth) = breadth {
        out.extend_from_slice(b"\r\nMax-Breadth: ");
        put_octet(out, breadth);
    }
}

/// All steps as edits of a draft, which may be anywhere.
fn write_draft(
    identity: &Identity,
    request: Message<'_>,
    forwarding: &Forwarding<'_>,
    branch: BranchKind,
    edits: &mut Edits,
    out: &mut Vec<u8>,
) {
    // Step 1: copy. A draft leaves alone what no step below changes.
    let mut draft = Draft::of(request, edits);
    // Steps 2 and 6: Request-URI, and the route set that goes with it.
    set_target(&mut draft, request, forwarding);
    // Step 3: Max-Forwards.
    let hops = request.first(Name::MaxForwards).map_or(70, hops_left);
    let breadth = (!request.has(Name::MaxBreadth)).then_some(forwarding.breadth);
    draft.set(Name::MaxForwards, |out| write_hops(hops, breadth, out));
    if breadth.is_none() {
        draft.set(Name::MaxBreadth, |out| put_octet(out, forwarding.breadth));
    }
    // Step 4: Record-Route.
    if let Some(record_route) = forwarding.record_route {
        write_record_route(identity, forwarding, record_route, |entry| {
            draft.push_top(record_route.field(), |out| entry.write(identity, out));
        });
    }
    // Step 5: what else changes: our credentials end here.
    match forwarding.taken.credentials {
        Some(line) => draft.remove_line(line),
        None => own_credentials(identity, request).for_each(|line| draft.remove_line(line)),
    }
    draft.stamp_via(forwarding.arrival.stamp);
    // Step 8: Via, and the credentials below it.
    draft.push_top(Name::Via, |out| {
        write_via(identity, forwarding, branch, out);
        if let Some(lines) = forwarding.credentials.strip_suffix(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(lines);
        }
    });
    // Step 9: Content-Length.
    if !request.has(Name::ContentLength) {
        draft.append(Name::ContentLength, |out| {
            put_number(out, request.body().len() as u64)
        });
    }
    draft.finish(out);
}

/// Steps 2 and 6. A next hop that is a strict router gets itself as Request-URI, and the target at the end of Route.
fn set_target(draft: &mut Draft<'_, '_>, request: Message<'_>, forwarding: &Forwarding<'_>) {
    let uri = request_line_uri(forwarding.uri);
    let next = next_route(request, forwarding.taken);
    let strict_router = next.filter(|next| forwarding.routes.is_empty() && !is_loose(next));
    take_routes(
        draft,
        request,
        forwarding.taken,
        u16::from(strict_router.is_some()),
    );
    match strict_router {
        Some(next) => {
            draft.set_request_uri(next);
            draft.append(Name::Route, |out| {
                out.push(b'<');
                out.extend_from_slice(&uri);
                out.push(b'>');
            });
        }
        None => {
            if *uri != *request.request_uri() {
                draft.set_request_uri(&uri);
            }
            if !forwarding.routes.is_empty() {
                draft.push_top(Name::Route, |out| out.extend_from_slice(forwarding.routes));
            }
        }
    }
}

/// A target's URI without what must not stand in a Request-URI: its headers and its method (§16.6 step 2, §19.1.1).
pub fn request_line_uri(uri: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b';', b'?', uri).is_none() {
        return Cow::Borrowed(uri);
    }
    let is_sip = [&b"sip:"[..], b"sips:"]
        .iter()
        .any(|s| uri.get(..s.len()).is_some_and(|u| u.eq_ignore_ascii_case(s)));
    let host = memchr::memchr(b'@', uri).map_or(0, |at| at + 1);
    let end = memchr::memchr(b'?', &uri[host..]).map_or(uri.len(), |at| host + at);
    let is_method = |param: &[u8]| {
        param
            .get(..7)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"method="))
    };
    let mut params = uri[host..end].split(|&b| b == b';');
    if !is_sip || (end == uri.len() && !params.clone().any(is_method)) {
        return Cow::Borrowed(uri);
    }
    let mut kept = uri[..host].to_vec();
    kept.extend_from_slice(params.next().unwrap_or(&[]));
    for param in params.filter(|param| !is_method(param)) {
        kept.push(b';');
        kept.extend_from_slice(param);
    }
    Cow::Owned(kept)
}

/// Takes what is ours off the route set, and `more` elements behind that.
fn take_routes(draft: &mut Draft<'_, '_>, request: Message<'_>, taken: Taken, more: u16) {
    let count = taken.pop + more;
    if count == 0 && !taken.strict {
        return;
    }
    if taken.left <= more {
        return draft.remove(Name::Route);
    }
    draft.remove_first_elements(Name::Route, usize::from(count));
    if taken.strict {
        remove_last_route(draft, request);
    }
}

fn remove_last_route(draft: &mut Draft<'_, '_>, request: Message<'_>) {
    if let Some(field) = request.fields_of(Name::Route).last() {
        let items = ListItems::new(field.value);
        let count = items.clone().count();
        if count <= 1 {
            draft.remove_line(field.line);
        } else if let Some((_, end)) = items.take(count - 1).last() {
            // From the comma before the last element to the end of the value.
            let start = field.span.start + (end as u16).saturating_sub(1);
            draft.replace(
                Span {
                    start,
                    end: field.span.end,
                },
                |_| {},
            );
        }
    }
}

/// An entry of ours in Record-Route or Path.
struct RecordRouteEntry {
    transport: Transport,
    listener: (u16, AdvertisedAs),
    local: IpAddr,
    /// The token of the dialog; without one it stands in Path.
    token: Option<u64>,
    /// Where whoever is on that side is to be reached.
    flow: Option<LogicalFlow>,
}

impl RecordRouteEntry {
    fn write(&self, identity: &Identity, out: &mut Vec<u8>) {
        out.push(b'<');
        let start = out.len();
        identity
            .listeners
            .write_uri(self.transport, self.listener, self.local, out);
        if let Some(flow) = &self.flow {
            self.write_user(identity, flow, start, out);
        }
        match self.token {
            Some(token) => {
                out.extend_from_slice(LOOSE_AND_TOKEN);
                out.extend_from_slice(&hex_digits(token));
            }
            None => out.extend_from_slice(b";lr;ob"),
        }
        out.push(b'>');
    }

    /// Puts the token of a flow into the URI that begins at `start`.
    #[cold]
    fn write_user(&self, identity: &Identity, flow: &LogicalFlow, start: usize, out: &mut Vec<u8>) {
        let used = self.token.map_or(TokenUse::Path, TokenUse::Dialog);
        let end = out.len();
        flow.write(&identity.keys.flow, identity.boot, used, out);
        out.push(b'@');
        // It was written behind the URI: turn it to behind the scheme.
        let len = out.len() - end;
        out[start + b"sip:".len()..].rotate_right(len);
    }
}

/// Gives one entry, or two when the request leaves by another listener than it came in by, so that each side finds us at
/// an address and transport it can reach (RFC 5658 §3), or when both sides are reached over flows. What comes back ends at the
/// last of them, which names the flow of its side.
fn write_record_route(
    identity: &Identity,
    forwarding: &Forwarding<'_>,
    record_route: RecordRoute,
    mut push: impl FnMut(&RecordRouteEntry),
) {
    let (arrival, hop) = (&forwarding.arrival, &forwarding.hop);
    let inside = (arrival.transport, (arrival.listener, arrival.told), arrival.local);
    let outside = (hop.transport, (hop.listener, hop.told), hop.local);
    let entry = |(transport, listener, local), token, flow| RecordRouteEntry {
        transport,
        listener,
        local,
        token,
        flow,
    };
    let flow_in = |peer| {
        let is_wildcard =
            |l: &Listener| l.address.ip().is_unspecified() && matches!(peer, Peer::Datagrams(..));
        let listener = identity.listeners.get(arrival.listener);
        LogicalFlow {
            transport: arrival.transport,
            listener: arrival.listener,
            from: listener.is_some_and(is_wildcard).then_some(arrival.local),
            peer,
        }
    };
    let (token, caller) = match record_route {
        RecordRoute::Registration(peer) => return push(&entry(outside, None, Some(flow_in(peer)))),
        RecordRoute::Dialog { token, caller } => (token, caller.map(flow_in)),
    };
    let callee = hop.over_flow.then(|| LogicalFlow::of_hop(hop)).flatten();
    let is_twice = outside != inside || (caller.is_some() && callee.is_some());
    push(&entry(
        outside,
        Some(token),
        if is_twice { callee } else { callee.or(caller) },
    ));
    if is_twice {
        push(&entry(inside, Some(token), caller));
    }
}

/// The lines of Proxy-Authorization for a realm of ours: it ends here (RFC 3261 §22.3).
fn own_credentials(identity: &Identity, request: Message<'_>) -> impl Iterator<Item = Span> {
    let is_ours = |value| {
        let Ok(Credentials::Digest(given)) = Credentials::parse(value) else {
            return false;
        };
        let realm = given.realm.map(|realm| realm.text());
        realm.is_some_and(|given| identity.realms.iter().any(|realm| *realm.as_bytes() == *given))
    };
    request
        .fields_of(Name::ProxyAuthorization)
        .filter(move |field| is_ours(field.value))
        .map(|field| field.line)
}

fn write_via(identity: &Identity, forwarding: &Forwarding<'_>, branch: BranchKind, out: &mut Vec<u8>) {
    identity.listeners.write_via(&forwarding.hop, out);
    out.extend_from_slice(b";branch=");
    match branch {
        BranchKind::Stateful { client, check } => {
            identity
                .branches
                .write_stateful(out, identity.shard, client, check, forwarding.loop_part);
        }
        BranchKind::Stateless { key, reply_address } => {
            let token = identity.stateless_token(key, reply_address);
            identity
                .branches
                .write_stateless(out, token, forwarding.loop_part);
        }
    }
}
