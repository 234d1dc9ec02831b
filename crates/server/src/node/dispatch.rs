//! Which core answers a request that no transaction knows: registrar, proxy, or the node itself (RFC 3261 §8.2, §16.2).

use strowger_sip::auth::Staleness;
use strowger_sip::endpoint::Ingress;
use strowger_sip::memory::Id;
use strowger_sip::proxy::{
    BranchKind, Forwarding, RecordRoute, Recursion, RouteToken, Routing, Start, Taken, max_breadth,
    preprocess, validate, write_forward,
};
use strowger_sip::registrar::{Bindings, canonical_aor, write_contacts_of};
use strowger_sip::transaction::ServerKey;
use strowger_sip::transport::Size;
use strowger_sip::uas::check_content;
use strowger_sip::{Extra, Now, Outbox, Reject};
use strowger_syntax::message::write_without_top_via;
use strowger_syntax::uri::Uri;
use strowger_syntax::{Message, Method, Name, Status};

use super::Node;
use super::locate::{Found, Onward, Patience, Waiting};
use super::policy::{Checked, Sender, only_proxy_credentials};
use super::refused::Why;
use crate::config::Mode;
use crate::routing::{Action, Decision, Dialled, Role};
use crate::subscriber::Resolved;

/// What a node that is asked for its abilities says (RFC 3261 §11.2).
const ABILITIES: &[u8] = b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, SUBSCRIBE, NOTIFY, \
    PUBLISH, REFER\r\nAccept: application/sdp\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\nSupported: path\r\n";

/// About what Via and Record-Route add to a request.
pub(super) const ADDED: usize = 270;

/// Where a request is bound for.
#[derive(Clone, Copy)]
pub(super) enum Bound<'a> {
    /// One of our addresses-of-record; the URI.
    User(&'a [u8]),
    /// This node itself.
    Node,
    /// Somebody else's host.
    Foreign,
}

/// Whether the contacts of a 3xx are tried: not within a dialog, whose target is known, nor where a Route says the way.
fn recursion(case: &Case<'_>, sender: Sender, role: &Role) -> Recursion {
    let is_settled = case.request.to_tag().is_some() || case.routing.next.is_some();
    if is_settled || !role.recurse {
        Recursion::Never
    } else if sender.may_relay() {
        Recursion::Anywhere
    } else {
        Recursion::ToUsers
    }
}

/// A request on its way through the dispatcher.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) request: Message<'a>,
    pub(super) ingress: &'a Ingress,
    pub(super) routing: Routing<'a>,
    /// What its Request-URI was made of, if that is not as it came.
    pub(super) dialled: Option<&'a Dialled>,
    key: ServerKey,
}

impl Node {
    /// Answers a REGISTER for our domain and an OPTIONS for the node itself at once: nothing of them is forwarded, so
    /// there is no transaction to look for. False for everything else.
    pub(super) fn answer_own(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        now: Now,
        out: &mut Outbox,
    ) -> bool {
        let method = request.method();
        if !matches!(method, Method::Register | Method::Options) || request.has(Name::Route) {
            return false;
        }
        if !self.names_node(request.request_uri(), method) {
            return false;
        }
        if method == Method::Register {
            self.on_register(request, ingress, now, out);
        } else if let Err(reject) = self.on_own(request, ingress, out) {
            let sender = self.sender_by_source(ingress);
            self.reject(request, ingress, sender, &reject, now, out);
        }
        true
    }

    /// Whether a Request-URI names the node itself, or for a REGISTER one of our domains.
    fn names_node(&mut self, uri: &[u8], method: Method) -> bool {
        if self.work.own.is_node(uri) {
            return true;
        }
        let Ok(Uri::Sip(sip)) = Uri::parse(uri) else {
            return false;
        };
        if !self.shared.is_ours(&sip) || sip.params.has(b"maddr") || !sip.headers.is_empty() {
            return false;
        }
        if sip.user.is_some_and(|user| !user.is_empty()) {
            return method != Method::Options;
        }
        self.work.own.remember_node(uri);
        true
    }

    /// Decides on a request.
    pub(super) fn dispatch(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        key: ServerKey,
        now: Now,
        out: &mut Outbox,
    ) {
        if request.method() == Method::Ack && self.endpoint.identity.has_own_tag(request) {
            return;
        }
        let routing = preprocess(&self.endpoint.identity, request, |uri| self.shared.is_ours(uri));
        let mut case = Case {
            request,
            ingress,
            routing,
            dialled: None,
            key,
        };
        if self.is_dialled(&routing) {
            let mut dialled = std::mem::take(&mut self.work.dialled);
            if self.dial(routing.request_uri, &mut dialled) {
                case.routing.request_uri = dialled.uri();
                case.dialled = Some(&dialled);
            }
            self.dispatch_case(&mut case, now, out);
            self.work.dialled = dialled;
        } else {
            self.dispatch_case(&mut case, now, out);
        }
    }

    fn dispatch_case(&mut self, case: &mut Case<'_>, now: Now, out: &mut Outbox) {
        if let Err(reject) = self.decide(case, now, out) {
            self.reject_case(case, self.sender_by_source(case.ingress), &reject, now, out);
        }
    }

    fn reject_case(&mut self, case: &Case<'_>, sender: Sender, reject: &Reject, now: Now, out: &mut Outbox) {
        if case.request.method() != Method::Ack {
            self.reject(case.request, case.ingress, sender, reject, now, out);
        }
    }

    /// Who may send it, and for whom it is. What is refused before its sender is known is the error.
    fn decide(&mut self, case: &mut Case<'_>, now: Now, out: &mut Outbox) -> Result<(), Reject> {
        let Case {
            request,
            ingress,
            ref routing,
            ..
        } = *case;
        let bound = self.bound_for(routing)?;
        let method = request.method();
        match bound {
            Bound::User(_) | Bound::Node if method == Method::Register && routing.next.is_none() => {
                self.on_register(request, ingress, now, out);
                return Ok(());
            }
            Bound::Node => return self.on_own(request, ingress, out),
            _ if method == Method::Options && request.first(Name::MaxForwards) == Some(b"0") => {
                return self.on_own(request, ingress, out);
            }
            _ => {}
        }
        let loop_part = self.endpoint.identity.loop_part(request);
        validate(request, loop_part)?;
        let Some(sender) = self.admit(&bound, request, ingress, routing, now, out)? else {
            return Ok(());
        };
        if sender == Sender::Authenticated {
            case.routing.taken.credentials = only_proxy_credentials(request);
        }
        if let Err(reject) = self.serve(case, &bound, sender, loop_part, now, out) {
            self.reject_case(case, sender, &reject, now, out);
        }
        Ok(())
    }

    /// Forwards a request in the role that was decided on.
    #[expect(
        clippy::too_many_arguments,
        reason = "the request, what is known of it, and where effects go"
    )]
    pub(super) fn send(
        &mut self,
        case: &Case<'_>,
        sender: Sender,
        decision: &Decision<'_>,
        loop_part: u64,
        found: Found,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let method = case.request.method();
        if decision.role.mode == Mode::Stateless || matches!(method, Method::Ack | Method::Cancel) {
            self.send_stateless(case, loop_part, found, now, out);
            return Ok(());
        }
        self.send_stateful(case, sender, &decision.role, loop_part, found, now, out)
    }

    /// Forwards in transactions (§16.2), at once or when the next hop's address is known.
    #[expect(
        clippy::too_many_arguments,
        reason = "the request, what is known of it, and where effects go"
    )]
    fn send_stateful(
        &mut self,
        case: &Case<'_>,
        sender: Sender,
        role: &Role,
        loop_part: u64,
        found: Found,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        self.check_room(case.ingress, &case.routing)?;
        let record_route = self.record_route(case, sender, role);
        let recursion = recursion(case, sender, role);
        let start = self.accept(case, role, record_route, recursion, loop_part, now, out);
        match found {
            Found::Targets => {
                self.proxy.start(
                    &mut self.endpoint,
                    case.request,
                    &start,
                    &self.work.targets,
                    now.mono_ms(),
                    out,
                );
                self.account(now);
            }
            Found::Names => {
                let onward = self.onward(case);
                self.look_up(&onward, Waiting::stateful(&start, onward.size), now, out);
            }
        }
        Ok(())
    }

    /// Forwards without transactions (§16.11), at once or when the next hop's address is known.
    fn send_stateless(&mut self, case: &Case<'_>, loop_part: u64, found: Found, now: Now, out: &mut Outbox) {
        let Case {
            request,
            ingress,
            ref routing,
            key,
            ..
        } = *case;
        match found {
            Found::Targets => self.forward_stateless(request, ingress, key, routing.taken, loop_part, out),
            Found::Names => {
                let onward = self.onward(case);
                let waiting = Waiting::stateless(&onward, routing.taken, loop_part);
                self.look_up(&onward, waiting, now, out);
            }
        }
    }

    /// Whether the next Route element or else the Request-URI names us (§16.5).
    pub(super) fn bound_for<'a>(&mut self, routing: &Routing<'a>) -> Result<Bound<'a>, Reject> {
        let uri = routing.request_uri;
        if routing.next.is_none() && self.work.own.addressed.is_of(uri) {
            return Ok(Bound::User(uri));
        }
        let malformed = |_| Reject::because(Status::BAD_REQUEST, "Malformed Request-URI");
        let target = Uri::parse(uri).map_err(malformed)?;
        // No request may have them (RFC 3261 §19.1.1), and to cut them out would change what somebody asked for.
        if target.as_sip().is_some_and(|sip| !sip.headers.is_empty()) {
            return Err(Reject::because(Status::BAD_REQUEST, "Headers In Request-URI"));
        }
        if let Some(next) = routing.next {
            return match Uri::parse(next) {
                Ok(Uri::Sip(_)) => Ok(Bound::Foreign),
                _ => Err(Reject::because(Status::BAD_REQUEST, "Malformed Route")),
            };
        }
        match target {
            // A maddr of somebody else's leads there, whatever the host (§16.5).
            Uri::Sip(sip) if !self.shared.is_ours(&sip) || !self.shared.ours.is_maddr_ours(&sip) => {
                Ok(Bound::Foreign)
            }
            Uri::Sip(sip) if sip.user.is_some_and(|user| !user.is_empty()) => {
                let aor = &mut self.work.aor;
                aor.clear();
                canonical_aor(&sip, aor);
                self.work.own.addressed.remember(uri, aor);
                Ok(Bound::User(uri))
            }
            Uri::Sip(_) => Ok(Bound::Node),
            Uri::Tel(_) => Err(Reject::new(Status::NOT_FOUND)),
            Uri::Other { .. } => Err(Reject::new(Status::UNSUPPORTED_URI_SCHEME)),
        }
    }

    /// A request for the node itself (RFC 3261 §8.2, §11).
    fn on_own(&mut self, request: Message<'_>, ingress: &Ingress, out: &mut Outbox) -> Result<(), Reject> {
        match request.method() {
            Method::Options => {
                if request
                    .elements(Name::Require)
                    .any(|tag| !tag.eq_ignore_ascii_case(b"path"))
                {
                    return Err(Reject::with(
                        Status::BAD_EXTENSION,
                        Extra::Unsupported(Name::Require, &["path"]),
                    ));
                }
                check_content(request)?;
                self.endpoint
                    .identity
                    .reply(request, ingress, Status::OK, ABILITIES, out);
                Ok(())
            }
            Method::Ack => Ok(()),
            Method::Cancel => Err(Reject::new(Status::CALL_DOES_NOT_EXIST)),
            _ if request.to_tag().is_some() => Err(Reject::new(Status::CALL_DOES_NOT_EXIST)),
            Method::Invite => Err(Reject::new(Status::NOT_FOUND)),
            _ => Err(Reject::with(Status::METHOD_NOT_ALLOWED, Extra::Allow)),
        }
    }

    /// §16.3 step 6: who sends it. `None` when it was challenged. A valid token stands for a dialog that was set up
    /// through us; a To tag alone counts for nothing.
    fn admit(
        &mut self,
        bound: &Bound<'_>,
        request: Message<'_>,
        ingress: &Ingress,
        routing: &Routing<'_>,
        now: Now,
        out: &mut Outbox,
    ) -> Result<Option<Sender>, Reject> {
        let sender = self.sender_by_source(ingress);
        let method = request.method();
        let exempt = sender == Sender::Trusted || routing.token == RouteToken::Valid;
        if exempt || matches!(method, Method::Ack | Method::Cancel) || !self.shared.auth_on() {
            return Ok(Some(sender));
        }
        let asked = self.shared.is_challenged(method, request.method_text())
            || (matches!(bound, Bound::User(_))
                && self.shared.is_closed()
                && !self.is_from_home(request, ingress, now));
        if !asked && !request.has(Name::ProxyAuthorization) {
            return Ok(Some(sender));
        }
        match self.check_credentials(request, ingress, now) {
            Checked::Right(proof) if self.claim(&proof, ingress, now) => {
                return Ok(Some(Sender::Authenticated));
            }
            Checked::Right(_) => self.challenge(request, ingress, Staleness::Stale, now, out),
            Checked::NotOwner | Checked::ShutOut => return Err(Reject::new(Status::FORBIDDEN)),
            // Credentials for somebody further on are not ours to judge.
            Checked::Absent if !asked => return Ok(Some(sender)),
            Checked::Absent => self.challenge(request, ingress, Staleness::Fresh, now, out),
            Checked::Rejected(rejection) => self.refuse_credentials(request, ingress, rejection, now, out),
        }
        Ok(None)
    }

    /// Whether whatever a stranger could cancel or acknowledge is known here: strangers cannot call, and calls have
    /// transactions. A CANCEL or ACK without one is then for nothing, whoever is there to get it.
    pub(super) fn knows_its_invites(&self, mode: Mode) -> bool {
        self.shared.is_closed() && mode != Mode::Stateless
    }

    /// A stranger's request for a foreign target: asked for credentials where there are any, else refused.
    pub(super) fn deny_relay(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let can_answer = !matches!(request.method(), Method::Ack | Method::Cancel);
        if self.shared.auth_on() && can_answer {
            self.challenge(request, ingress, Staleness::Fresh, now, out);
            return Ok(());
        }
        self.tell_refused(request, ingress, Why::RelayingDenied, now);
        Err(Reject::because(Status::FORBIDDEN, "Relaying Denied"))
    }

    /// §16.5: the target set, or that names have to be looked up for it.
    pub(super) fn find_targets(
        &mut self,
        case: &Case<'_>,
        bound: &Bound<'_>,
        sender: Sender,
        decision: &Decision<'_>,
        now: Now,
    ) -> Result<Found, Reject> {
        match (decision.action(), bound) {
            (Action::Targets(targets), _) => self.candidates_of_targets(case, decision, targets),
            (Action::Group(number), _) => self.candidates_of_group(case, decision, *number, now)?,
            (_, Bound::Node) => return Err(Reject::new(Status::NOT_FOUND)),
            (_, Bound::User(uri)) => {
                self.write_addressed(uri);
                let resolved = self.follow_alias();
                self.candidates_of_aor(&case.ingress.source, &decision.role, now);
                if self.work.candidates.is_empty() {
                    return Err(self.nowhere(resolved, sender));
                }
            }
            (_, Bound::Foreign) => self.candidate_by_uri(case, decision),
        }
        let onward = self.onward(case);
        let found = self.locate_candidates(&onward, Patience::Some, now);
        if found == Found::Targets && self.work.targets.is_empty() {
            return Err(self.no_way(&onward));
        }
        Ok(found)
    }

    /// A request as its candidates are located. A dialog that was set up through us has reached its target by datagrams of
    /// any size.
    fn onward<'a>(&self, case: &Case<'a>) -> Onward<'a> {
        let Case {
            request,
            ingress,
            ref routing,
            ..
        } = *case;
        let size = match routing.token {
            RouteToken::Valid => Size::Small,
            RouteToken::Absent | RouteToken::Forged => {
                Size::of(request.bytes().len() + ADDED, self.shared.policy.udp_limit)
            }
        };
        let next = routing.next;
        Onward {
            request,
            ingress,
            next,
            size,
        }
    }

    /// Why a request for a user goes nowhere. To a stranger a user who is not there is like one who is away.
    fn nowhere(&self, resolved: Resolved, sender: Sender) -> Reject {
        let stranger = sender == Sender::Stranger && self.shared.auth_on();
        if resolved == Resolved::Unknown && !stranger {
            Reject::new(Status::NOT_FOUND)
        } else {
            Reject::new(Status::TEMPORARILY_UNAVAILABLE)
        }
    }

    /// Puts the address-of-record that a Request-URI is into the work buffers.
    fn write_addressed(&mut self, uri: &[u8]) {
        let aor = &mut self.work.aor;
        aor.clear();
        if !self.work.own.addressed.write_aor(uri, aor)
            && let Ok(Uri::Sip(sip)) = Uri::parse(uri)
        {
            canonical_aor(&sip, aor);
        }
    }

    /// A redirect server (RFC 3261 §8.3): tells where our user is, whether we could get there or not, and takes no part in
    /// what follows.
    pub(super) fn redirect(
        &mut self,
        bound: &Bound<'_>,
        case: &Case<'_>,
        sender: Sender,
        status: Status,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let Case { request, ingress, .. } = *case;
        match (bound, request.method()) {
            // Its INVITE had its final response at once: there is nothing left to cancel, and that is no error (§8.3).
            (_, Method::Cancel) => {
                self.endpoint
                    .identity
                    .reply(request, ingress, Status::OK, b"", out);
                Ok(())
            }
            (Bound::User(uri), method) if method != Method::Ack => {
                self.write_addressed(uri);
                let resolved = self.follow_alias();
                let (work, shared) = (&mut self.work, &self.shared);
                shared.location.read(&work.aor, &mut work.record);
                // No request is sent back here.
                let names_node = |uri| matches!(Uri::parse(uri), Ok(Uri::Sip(sip)) if shared.is_ours(&sip));
                let elsewhere = Bindings::new(&work.record)
                    .live(now.wall_secs())
                    .filter(|binding| !names_node(binding.contact));
                work.lines.clear();
                write_contacts_of(elsewhere, now.wall_secs(), &mut work.lines);
                if work.lines.is_empty() {
                    return Err(self.nowhere(resolved, sender));
                }
                let is_there = sender.is_exempt() || self.is_from_home(request, ingress, now);
                let (identity, lines) = (&self.endpoint.identity, &self.work.lines);
                identity.reply_with(
                    request,
                    ingress,
                    status,
                    || is_there,
                    out,
                    |out| out.extend_from_slice(lines),
                );
                Ok(())
            }
            _ => Err(Reject::new(Status::NOT_FOUND)),
        }
    }

    /// Whether a request came to a listener that takes no new work.
    pub(super) fn is_retired(&self, ingress: &Ingress) -> bool {
        self.endpoint
            .identity
            .listeners
            .is_retired(ingress.source.listener)
    }

    /// New work is refused while draining, by a listener that is going, and beyond the limits of transactions and of the bytes kept for them; what was begun
    /// goes on, up to a quarter more.
    fn check_room(&self, ingress: &Ingress, routing: &Routing<'_>) -> Result<(), Reject> {
        let (servers, clients) = self.endpoint.layer.counts();
        let policy = &self.shared.policy;
        let begun = routing.token == RouteToken::Valid;
        let is_full = |held: usize, most: usize| held >= if begun { most + most / 4 } else { most };
        if is_full(servers + clients, policy.max_transactions)
            || is_full(self.endpoint.layer.pool.used_bytes(), policy.max_kept_bytes)
            || ((self.draining || self.is_retired(ingress)) && !begun)
        {
            return Err(Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(5)));
        }
        Ok(())
    }

    /// The server transaction of a request that is going to be forwarded, with the 100 for an INVITE (§16.2), and its
    /// place in the account of calls.
    fn accept<'a>(
        &mut self,
        case: &Case<'a>,
        role: &Role,
        record_route: Option<RecordRoute>,
        recursion: Recursion,
        loop_part: u64,
        now: Now,
        out: &mut Outbox,
    ) -> Start<'a> {
        let Case {
            request,
            ingress,
            ref routing,
            key,
            ..
        } = *case;
        let method = request.method();
        let layer = &mut self.endpoint.layer;
        let server = layer.accept(key, method, ingress.to(), ingress.fallback(), now.mono_ms(), out);
        if method == Method::Invite {
            let start = out.bytes.len();
            let trying = Reject::new(Status::TRYING);
            self.endpoint
                .identity
                .write_reject(request, ingress.stamp, &trying, &mut out.bytes);
            // A transaction just made takes a provisional response.
            let _ = self
                .endpoint
                .layer
                .respond(server, Status::TRYING, start, now.mono_ms(), out);
        }
        let call = self.call_of(request, ingress, role, now);
        Start {
            server,
            ingress,
            loop_part,
            taken: routing.taken,
            record_route,
            call,
            recursion,
        }
    }

    /// Whether to stay on the path: for requests that set up a dialog. Later ones of a dialog keep its route set. Who may
    /// not send through us gets no token, which would let them: their dialogs go on without us.
    fn record_route(&self, case: &Case<'_>, sender: Sender, role: &Role) -> Option<RecordRoute> {
        let Case {
            request, ref routing, ..
        } = *case;
        let sets_up = matches!(
            request.method(),
            Method::Invite | Method::Subscribe | Method::Refer | Method::Notify
        );
        let tag = request.from_tag()?;
        let wanted = role.record_route && sets_up && routing.token != RouteToken::Valid;
        // Without digest anybody may call, and calls have to end.
        let earned = sender.may_relay() || (!self.shared.auth_on() && request.method() == Method::Invite);
        (wanted && earned).then(|| RecordRoute {
            token: self.endpoint.identity.route_token(request.call_id(), tag),
        })
    }

    fn call_of(&mut self, request: Message<'_>, ingress: &Ingress, role: &Role, now: Now) -> Option<Id> {
        let key = |tag| self.endpoint.identity.call_key(request.call_id(), tag);
        let (from, to) = (request.from_tag().unwrap_or(&[]), request.to_tag());
        match (request.method(), to) {
            (Method::Invite, None) if role.mode == Mode::Transaction => None,
            // Beyond the limit calls go through, unaccounted.
            (Method::Invite, None) if self.calls.len() < self.shared.policy.max_transactions => {
                let branches = self.work.targets.targets().len().max(1);
                let (call, is_new) = self.calls.begin(
                    request,
                    key(from),
                    ingress,
                    branches,
                    &mut self.endpoint.layer.wheel,
                    now,
                );
                if is_new {
                    self.tally.call_started();
                }
                if let Some(target) = self.work.entered.take() {
                    self.calls.enter(call, target);
                }
                Some(call)
            }
            // Either side may speak: the caller's tag is in From or in To.
            (Method::Invite | Method::Update | Method::Bye, Some(to)) => {
                self.calls.find(key(from)).or_else(|| self.calls.find(key(to)))
            }
            _ => None,
        }
    }

    /// Forwards without state (§16.11): what a stateless node forwards at all, an ACK to a 2xx (§16.6), and a CANCEL that
    /// nobody here knows of (§16.10).
    pub(super) fn forward_stateless(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        key: ServerKey,
        taken: Taken,
        loop_part: u64,
        out: &mut Outbox,
    ) {
        let targets = &self.work.targets;
        let Some(target) = targets.targets().iter().min_by_key(|target| target.turn.group) else {
            return;
        };
        let (text, Some(&hop)) = (targets.text(), targets.hops(target).first()) else {
            return;
        };
        let forwarding = Forwarding {
            uri: target.uri(text),
            routes: target.routes(text),
            taken,
            record_route: None,
            hop,
            arrival: ingress.arrival(),
            loop_part,
            breadth: max_breadth(request),
        };
        let start = out.bytes.len();
        let identity = &self.endpoint.identity;
        write_forward(
            identity,
            request,
            &forwarding,
            BranchKind::Stateless {
                key,
                reply_address: ingress.reply_address(),
            },
            &mut self.work.edits,
            &mut out.bytes,
        );
        out.send_from(start, hop.to, 0);
    }

    /// A response to what was forwarded without state (§16.11): without our Via, to where the next one says. Our branch
    /// proves that it was us who forwarded a request with that Via from that address: nobody else is sent anything.
    pub(super) fn forward_response(&mut self, response: Message<'_>, token: u64, out: &mut Outbox) {
        match self.endpoint.identity.way_back(response, token) {
            Some(to) => {
                let start = out.bytes.len();
                write_without_top_via(response, &mut out.bytes);
                out.send_from(start, to, 0);
            }
            None => self.tally.stray(),
        }
    }

    /// Refuses a request without state.
    pub(super) fn reject(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        sender: Sender,
        reject: &Reject,
        now: Now,
        out: &mut Outbox,
    ) {
        self.tally.rejected(reject.status);
        self.tell_reject(request, ingress, reject, now);
        let is_ours = reject.status.class() != 4;
        if request.method() != Method::Ack && (is_ours || self.may_refuse(ingress, sender, now)) {
            self.endpoint.identity.reject(request, ingress, reject, out);
        }
    }
}
