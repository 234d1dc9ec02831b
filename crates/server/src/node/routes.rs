//! Where the configured routes take part: what was dialled, which route decides, and what that comes to for a request.

use std::net::SocketAddr;

use strowger_sip::memory::Id;
use strowger_sip::proxy::{Disposition, RouteToken, Routing};
use strowger_sip::transaction::KEPT;
use strowger_sip::{Extra, Now, Outbox, Reject};
use strowger_syntax::message::ResponseWriter;
use strowger_syntax::uri::{SipUri, Uri, escape};
use strowger_syntax::{Index, Message, Method, Status};

use std::sync::Arc;

use super::Node;
use super::candidates::{Origin, Terms, Way};
use super::dispatch::{Bound, Case};
use super::policy::Sender;
use super::trace::{DroppedWhy, RoleTaken, RoleWhy, Step, Tracer};
use crate::config::route::{Reply, Translation};
use crate::config::{Fork, Mode};
use crate::routing::{
    Action, Decision, Dialled, Facts, Group, Health, Redirect, Routes, Target, decide, explain,
};

/// After how many seconds a caller may try again when all targets of a group have what they may have.
const RETRY_AFTER: u32 = 5;

impl Node {
    /// Whether the Request-URI is a number that has to be looked up in the dial plan, or could be.
    pub(super) fn is_dialled(&self, routing: &Routing<'_>) -> bool {
        let uri = routing.request_uri;
        routing.next.is_none()
            && (self.shared.policy.routes.plan.is_dialled() || is_tel(uri) || is_phone(uri))
    }

    /// The Request-URI that a number comes to. False if it stays what it is.
    pub(super) fn dial(&self, uri: &[u8], dialled: &mut Dialled) -> bool {
        let plan = &self.shared.policy.routes.plan;
        match Uri::parse(uri) {
            Ok(Uri::Tel(tel)) => {
                plan.dial_tel(&tel, dialled);
                true
            }
            // A GRUU is no number, whatever its user part is (RFC 5627 §4.2).
            Ok(Uri::Sip(sip))
                if self.shared.is_ours(&sip) && sip.headers.is_empty() && !sip.params.has(b"gr") =>
            {
                plan.dial_sip(&sip, dialled)
            }
            _ => false,
        }
    }

    /// Which route decides on a request. One that follows a Route goes where that says (RFC 3261 §16.12).
    pub(super) fn route_of<'r>(
        &mut self,
        routes: &'r Routes,
        case: &Case<'_>,
        sender: Sender,
    ) -> Decision<'r> {
        self.route_with(routes, case, sender, |node, facts, decision| {
            if node.trace.is_listening() {
                note_routes(&node.trace, routes, facts, decision);
            }
        })
    }

    /// Whether the route of a stranger's request is open, so that nobody is asked who it is.
    pub(super) fn is_open_to_strangers(&mut self, case: &Case<'_>) -> bool {
        if !self.shared.policy.routes.has_open() {
            return false;
        }
        let routes = Arc::clone(&self.shared.policy.routes);
        self.route_with(&routes, case, Sender::Stranger, |_, _, _| {})
            .is_open()
    }

    fn route_with<'r>(
        &mut self,
        routes: &'r Routes,
        case: &Case<'_>,
        sender: Sender,
        note: impl FnOnce(&Self, &Facts<'_>, &Decision<'r>),
    ) -> Decision<'r> {
        let routing = &case.routing;
        let sip = match Uri::parse(routing.request_uri) {
            Ok(Uri::Sip(sip)) if routing.next.is_none() => sip,
            _ => return routes.built_in(),
        };
        let source = &case.ingress.source;
        let listeners = &self.endpoint.identity.listeners;
        let listener = listeners.get(source.listener).map(|listener| listener.address);
        let written = sip.user.unwrap_or_default();
        let mut user = std::mem::take(&mut self.work.name);
        user.clear();
        if written.contains(&b'%') {
            escape::unescape_into(written, &mut user);
        }
        let trunk = self.trunk_of_inbound(routes, case, &sip);
        let facts = Facts {
            request: case.request,
            uri: routing.request_uri,
            user: if user.is_empty() { written } else { &user },
            host: sip.host,
            source: source.remote.ip(),
            transport: source.transport,
            listener: listener.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
            authenticated: sender == Sender::Authenticated,
            in_dialog: case.request.to_tag().is_some(),
            trunk,
        };
        let decision = decide(routes, &facts);
        note(self, &facts, &decision);
        self.work.name = user;
        decision
    }

    /// The request with what the route changes in its header. False if it has become too large.
    pub(super) fn rewrite(
        &mut self,
        request: Message<'_>,
        decision: &Decision<'_>,
        text: &mut Vec<u8>,
        index: &mut Index,
    ) -> bool {
        self.trace.note(|| Step::HeaderChanged);
        text.clear();
        if let Some(rules) = decision.route.and_then(|route| route.headers.as_ref()) {
            rules.write(request, &mut self.work.edits, text);
        }
        index.parse(text, &KEPT).is_ok()
    }

    /// Makes the targets of a route the candidates (RFC 3261 §16.5): all, the first where the caller wants no fork (RFC 3841
    /// §9.1), or the one that a proxy without state sends every request of a call to (RFC 3261 §16.11).
    pub(super) fn candidates_of_targets(
        &mut self,
        case: &Case<'_>,
        decision: &Decision<'_>,
        targets: &[Target],
    ) {
        self.work.candidates.clear();
        let role = &decision.role;
        let all = match (role.mode, targets.len()) {
            (Mode::Stateless, count @ 2..) => {
                let one = (self.draw_key(case) % count as u64) as usize;
                &targets[one..=one]
            }
            _ => targets,
        };
        let asked = Disposition::of(case.request);
        let at_once = asked.parallel.unwrap_or(role.fork == Fork::Parallel);
        for (place, target) in (0u16..).zip(all) {
            let terms = Terms {
                group: if at_once { 0 } else { place },
                ring_timeout_ms: role.ring_ms,
                ..Terms::new(Origin::Route, Way::ByUri)
            };
            self.add_target(case, target, |out| target.write_route(out), terms);
            if asked.fork == Some(false) {
                break;
            }
        }
        self.work.candidates.settle_groups(role.turn_ms, false);
    }

    /// Makes the targets of a group that may be used the candidates, the one whose turn it is first. That one gets a place for
    /// the request.
    pub(super) fn candidates_of_group(
        &mut self,
        case: &Case<'_>,
        decision: &Decision<'_>,
        number: usize,
        now: Now,
    ) -> Result<(), Reject> {
        self.work.candidates.clear();
        let routes = Arc::clone(&self.shared.policy.routes);
        let targets = routes
            .group(number)
            .map_or(0, |group| self.add_group(case, decision, group, now));
        if targets == 0 {
            return Err(Reject {
                reason: "No Target Available",
                ..Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(RETRY_AFTER))
            });
        }
        Ok(())
    }

    /// How many of a group's targets may be used.
    fn add_group(&mut self, case: &Case<'_>, decision: &Decision<'_>, group: &Group, now: Now) -> u16 {
        let method = case.request.method();
        let sets_up = case.request.to_tag().is_none() && !matches!(method, Method::Ack | Method::Cancel);
        let is_call = method == Method::Invite && decision.role.mode == Mode::Stateful;
        let ring_timeout_ms = decision.role.ring_ms.or(group.ring_ms);
        let begun = self.call_begun(case.request);
        let (secs, mut turn) = (now.wall_secs(), 0);
        for at in self.order_of(case, group, begun) {
            let Some(target) = group.targets.get(usize::from(at)) else {
                continue;
            };
            let usable = match (sets_up, turn) {
                (true, 0) => target.enter(is_call, secs),
                (true, _) => target.has_room(secs),
                // What was begun goes on, however full the target is.
                _ if case.request.to_tag().is_some() => {
                    !target.is_down() || begun.is_some_and(|call| self.calls.is_at(call, target))
                }
                _ => target.health() == Health::Up,
            };
            self.trace.note(|| Step::group_target(group, target, usable));
            if !usable {
                continue;
            }
            if turn == 0 && sets_up && is_call {
                self.work.entered = Some(group.stay(at));
            }
            let terms = Terms {
                group: turn,
                ring_timeout_ms,
                failover: group.failover,
                place: Some(at),
                ..Terms::new(Origin::Group, Way::ByUri)
            };
            self.add_target(case, &target.target, |out| target.target.write_route(out), terms);
            turn += 1;
            if decision.role.mode == Mode::Stateless {
                break;
            }
        }
        turn
    }

    /// The places of a group's targets in the order of the draw, but first the one that has the call already.
    fn order_of(
        &self,
        case: &Case<'_>,
        group: &Group,
        begun: Option<Id>,
    ) -> impl Iterator<Item = u8> + use<> {
        let order = group.order(self.draw_key(case));
        let own = begun.and_then(|call| {
            let at = |target| self.calls.is_at(call, target);
            group.targets.iter().position(at)
        });
        let own = own.and_then(|own| u8::try_from(own).ok());
        own.into_iter()
            .chain(order.into_iter().filter(move |&at| Some(at) != own))
    }

    /// What a draw among targets depends on: the call, so that all of its requests get the same.
    fn draw_key(&self, case: &Case<'_>) -> u64 {
        self.endpoint.identity.call_key(case.request.call_id(), b"")
    }

    /// Adds a target to the candidates; `write_route` appends the values of its Route.
    pub(super) fn add_target(
        &mut self,
        case: &Case<'_>,
        target: &Target,
        write_route: impl FnOnce(&mut Vec<u8>),
        terms: Terms,
    ) {
        let work = &mut self.work;
        work.lines.clear();
        write_target(case, target, &mut work.lines);
        let uri_len = work.lines.len();
        write_route(&mut work.lines);
        let (uri, route) = work.lines.split_at(uri_len);
        work.candidates.add(uri, route, terms);
    }

    /// Where a request for somebody else goes: by its Request-URI, through the outbound proxy if there is one.
    pub(super) fn candidate_by_uri(&mut self, case: &Case<'_>, decision: &Decision<'_>) {
        let work = &mut self.work;
        work.candidates.clear();
        work.lines.clear();
        let in_dialog = case.request.to_tag().is_some() && decision.role.mode != Mode::Stateless;
        let follows = case.routing.next.is_some() || case.routing.token == RouteToken::Valid || in_dialog;
        if let Some(outbound) = self.shared.policy.routes.outbound().filter(|_| !follows) {
            outbound.write_route(&mut work.lines);
        }
        let terms = Terms::new(Origin::RequestUri, Way::ByUri);
        work.candidates.add(case.routing.request_uri, &work.lines, terms);
    }

    /// Refuses a request as its route says.
    pub(super) fn reply_by_route(
        &mut self,
        case: &Case<'_>,
        sender: Sender,
        reply: &Reply,
        now: Now,
        out: &mut Outbox,
    ) {
        let Case { request, ingress, .. } = *case;
        let status = reply.status;
        self.tally.rejected(status);
        self.tell_reject(request, ingress, &Reject::new(status), now);
        let told = request.method() != Method::Ack && self.may_refuse(ingress, sender, now);
        self.trace.note(|| Step::Refused {
            status: status.code(),
            reason: match reply.reason.as_str() {
                "" => status.reason().to_owned(),
                reason => reason.to_owned(),
            },
            told,
        });
        if !told {
            return;
        }
        let reason = match reply.reason.as_str() {
            "" => status.reason(),
            reason => reason,
        };
        let (bytes, index) = (request.bytes(), request.index());
        let tag = self.endpoint.identity.to_tag(bytes, index);
        let start = out.bytes.len();
        ResponseWriter::begin(&mut out.bytes, bytes, index, status, reason, ingress.stamp, &tag).finish();
        strowger_sip::endpoint::send_bounded(bytes.len(), ingress, start, out);
    }

    /// Tells where else to ask (RFC 3261 §8.3), as a route says.
    pub(super) fn redirect_by_route(
        &mut self,
        case: &Case<'_>,
        bound: &Bound<'_>,
        sender: Sender,
        redirect: &Redirect,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        if redirect.contacts.is_empty() {
            return self.redirect(bound, case, sender, redirect.status, now, out);
        }
        let lines = &mut self.work.lines;
        lines.clear();
        for contact in &redirect.contacts {
            write_contact(case, &contact.target, &contact.params, lines);
        }
        self.redirect_to_lines(case, sender, redirect.status, now, out)
    }

    /// Tells the targets of a route to whoever asks, instead of going there (RFC 3261 §8.3).
    pub(super) fn redirect_to_targets(
        &mut self,
        case: &Case<'_>,
        sender: Sender,
        targets: &[Target],
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let lines = &mut self.work.lines;
        lines.clear();
        targets
            .iter()
            .for_each(|target| write_contact(case, target, "", lines));
        self.redirect_to_lines(case, sender, Status::MOVED_TEMPORARILY, now, out)
    }

    fn redirect_to_lines(
        &mut self,
        case: &Case<'_>,
        sender: Sender,
        status: Status,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let Case { request, ingress, .. } = *case;
        let role = RoleTaken::Redirect;
        let why = RoleWhy::Route;
        self.trace.note(|| Step::Role { role, why });
        match request.method() {
            Method::Cancel => return Err(Reject::new(Status::CALL_DOES_NOT_EXIST)),
            Method::Ack => {
                let why = DroppedWhy::Ack;
                self.trace.note(|| Step::Dropped { why });
                return Ok(());
            }
            _ => {}
        }
        self.trace.note(|| Step::Answered {
            status: status.code(),
        });
        let is_there = sender.is_exempt() || self.is_from_home(request, ingress, now);
        let (identity, lines) = (&self.endpoint.identity, &self.work.lines);
        identity.reply_with(
            request,
            ingress,
            status,
            || is_there,
            out,
            |out| {
                out.extend_from_slice(lines);
            },
        );
        Ok(())
    }
}

/// Notes which routes were tried, and why which one decides.
#[cold]
fn note_routes(trace: &Tracer, routes: &Routes, facts: &Facts<'_>, decision: &Decision<'_>) {
    // What comes in by a trunk that says where to is led past them.
    if let Action::FromTrunk(place) = *decision.action()
        && routes
            .trunks()
            .get(place)
            .is_some_and(|trunk| !trunk.after_routes)
    {
        return;
    }
    let considered = explain(routes, facts);
    for route in &considered {
        trace.note(|| Step::route(route));
    }
    if decision.route.is_none() {
        let routes = considered.len();
        trace.note(|| Step::NoRoute { routes });
    }
}

/// Whether a Request-URI is a telephone URI.
fn is_tel(uri: &[u8]) -> bool {
    uri.get(..4)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"tel:"))
}

/// Whether a Request-URI says that its user is a telephone number (RFC 3261 §19.1.1).
fn is_phone(uri: &[u8]) -> bool {
    memchr::memchr(b';', uri).is_some() && matches!(Uri::parse(uri), Ok(Uri::Sip(sip)) if sip.is_phone())
}

/// Appends the Request-URI that a target gets.
fn write_target(case: &Case<'_>, target: &Target, out: &mut Vec<u8>) {
    let request_uri = case.routing.request_uri;
    let sip = match Uri::parse(request_uri) {
        Ok(Uri::Sip(sip)) => Some(sip),
        _ => None,
    };
    let user = sip.as_ref().and_then(|sip| sip.user).unwrap_or_default();
    let (extras, phone) = case
        .dialled
        .map_or((&[][..], false), |dialled| (dialled.extras(), dialled.phone));
    let phone = phone || sip.as_ref().is_some_and(SipUri::is_phone);
    if extras.is_empty() {
        return target.write_uri(request_uri, user, phone, out);
    }
    target.write_uri(request_uri, &[user, extras].concat(), phone, out);
}

fn write_contact(case: &Case<'_>, target: &Target, params: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Contact: <");
    write_target(case, target, out);
    out.push(b'>');
    out.extend_from_slice(params.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A request whose number is what its route makes of it.
pub(super) fn translated<'a>(
    case: &Case<'a>,
    translation: &Translation,
    number: &'a mut Dialled,
) -> Case<'a> {
    let mut case = *case;
    if let Some(dialled) = case.dialled {
        number.clone_from(dialled);
    }
    if let Ok(Uri::Sip(sip)) = Uri::parse(case.routing.request_uri) {
        number.translate(&sip, sip.user.unwrap_or_default(), translation);
        let number: &Dialled = number;
        case.routing.request_uri = number.uri();
        case.dialled = Some(number);
    }
    case
}
