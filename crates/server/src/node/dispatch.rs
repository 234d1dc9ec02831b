//! Which core answers a request that no transaction knows: registrar, proxy, or the node itself (RFC 3261 §8.2, §16.2).

use std::sync::Arc;

use strowger_sip::auth::Staleness;
use strowger_sip::endpoint::Ingress;
use strowger_sip::proxy::{Disposition, RouteToken, Routing, preprocess, validate};
use strowger_sip::registrar::{Bindings, is_secure, write_public_contacts};
use strowger_sip::transaction::ServerKey;
use strowger_sip::transport::Size;
use strowger_sip::uas::check_content;
use strowger_sip::{Extra, Now, Outbox, Reject};
use strowger_syntax::uri::{SipUri, Uri};
use strowger_syntax::{Message, Method, Name, Status};

use super::Node;
use super::gruu::has_gr;
use super::locate::{Found, Onward, Patience};
use super::policy::{Checked, Sender, only_proxy_credentials};
use super::refused::Why;
use super::registrar::check_extensions;
use super::routes::translated;
use super::trace::{AskedWhy, BoundTo, DroppedWhy, RoleTaken, Step};
use super::user_lookup::Progress;
use crate::config::Mode;
use crate::routing::{Action, Decision, Dialled};
use crate::subscriber::Resolved;

/// What a node that is asked for its abilities says (RFC 3261 §11.2).
const ABILITIES: &[u8] = b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, SUBSCRIBE, NOTIFY, \
    PUBLISH, REFER\r\nAccept: application/sdp\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\nSupported: path, outbound\r\n\
    Allow-Events: reg\r\n";

/// About what Via and Record-Route add to a request.
pub(super) const ADDED: usize = 270;

/// Where a request is bound for.
#[derive(Clone, Copy)]
pub(super) enum Bound<'a> {
    /// One of our addresses-of-record; the URI.
    User(&'a [u8]),
    /// This node itself.
    Node,
    /// Somebody else's host; where the request goes next.
    Foreign(SipUri<'a>),
}

impl Bound<'_> {
    fn step(&self, routing: &Routing<'_>, method: Method) -> Step {
        let to = match self {
            Self::User(_) | Self::Node if method == Method::Register && routing.next.is_none() => {
                BoundTo::Registrar
            }
            Self::User(_) => BoundTo::User,
            Self::Node => BoundTo::Node,
            Self::Foreign(_) => BoundTo::Foreign,
        };
        Step::bound(to, routing.next.unwrap_or(routing.request_uri))
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
    pub(super) key: ServerKey,
    /// Whether its caller is to be reached over the flow that it came by, whatever its contact says.
    pub(super) keeps_caller: bool,
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
        let to = if method == Method::Register {
            BoundTo::Registrar
        } else {
            BoundTo::Node
        };
        self.trace.note(|| Step::bound(to, request.request_uri()));
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
            let why = DroppedWhy::AckToOurs;
            self.trace.note(|| Step::Dropped { why });
            return;
        }
        let routing = preprocess(&self.endpoint.identity, request, |uri| self.shared.is_ours(uri));
        self.trace.note(|| Step::route_set(request, &routing));
        let mut case = Case {
            request,
            ingress,
            routing,
            dialled: None,
            key,
            keeps_caller: false,
        };
        // What comes by a Path goes to its phone as it was asked for.
        if !routing.is_by_path() && self.is_dialled(&routing) {
            let mut dialled = std::mem::take(&mut self.work.dialled);
            if self.dial(routing.request_uri, &mut dialled) {
                self.trace
                    .note(|| Step::dialled(routing.request_uri, dialled.uri()));
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
        } else {
            self.trace.note(|| Step::refused(reject, false));
        }
    }

    /// Who may send it, and for whom it is. What is refused before its sender is known is the error.
    fn decide(&mut self, case: &mut Case<'_>, now: Now, out: &mut Outbox) -> Result<(), Reject> {
        self.settle_flow(case)?;
        let Case {
            request,
            ingress,
            ref routing,
            ..
        } = *case;
        let method = request.method();
        // It has reached its domain, and no Route leads it past that.
        if method == Method::Register && routing.next.is_some() && self.shared.names_us(routing.request_uri) {
            self.trace
                .note(|| Step::bound(BoundTo::Registrar, routing.request_uri));
            self.on_register(request, ingress, now, out);
            return Ok(());
        }
        let bound = self.bound_for(routing)?;
        self.trace.note(|| bound.step(routing, method));
        match bound {
            Bound::User(_) | Bound::Node if method == Method::Register && routing.next.is_none() => {
                self.on_register(request, ingress, now, out);
                return Ok(());
            }
            _ if self.is_for_notifier(&bound, case) => return self.on_subscribe(case, &bound, now, out),
            Bound::Node => return self.on_own(request, ingress, out),
            _ if method == Method::Options && request.first(Name::MaxForwards) == Some(b"0") => {
                return self.on_own(request, ingress, out);
            }
            _ => {}
        }
        let loop_part = self.endpoint.identity.loop_part(request);
        validate(request, loop_part)?;
        self.trace.note(|| Step::validated(request));
        let Some(sender) = self.admit(&bound, case, now, out)? else {
            return Ok(());
        };
        if sender == Sender::Authenticated {
            case.routing.taken.credentials = only_proxy_credentials(request);
        } else if self.is_called_known(case, &bound, sender, now)? == Progress::Waits {
            return Ok(());
        }
        if let Err(reject) = self.serve(case, &bound, sender, loop_part, now, out) {
            self.reject_case(case, sender, &reject, now, out);
        }
        Ok(())
    }

    /// Does what the routes say with what its sender may send.
    fn serve(
        &mut self,
        case: &Case<'_>,
        bound: &Bound<'_>,
        sender: Sender,
        loop_part: u64,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let leads_here = self.check_contact(case.request, sender, now)?;
        self.work.stays = leads_here && case.request.has(Name::RecordRoute);
        if self.shared.policy.routes.is_empty() || case.routing.flow.is_some() {
            let decision = self.shared.policy.routes.built_in();
            return self.carry_out(case, bound, sender, &decision, loop_part, now, out);
        }
        let routes = Arc::clone(&self.shared.policy.routes);
        let decision = self.route_of(&routes, case, sender);
        let followed = match decision.translation() {
            None => self.carry_out(case, bound, sender, &decision, loop_part, now, out),
            Some(translation) => {
                let mut number = Dialled::default();
                let case = translated(case, translation, &mut number);
                self.trace.note(|| Step::translated(case.routing.request_uri));
                let bound = self.bound_for(&case.routing)?;
                self.carry_out(&case, &bound, sender, &decision, loop_part, now, out)
            }
        };
        self.work.entered = None;
        followed
    }

    /// Forwards, redirects or refuses a request as was decided.
    #[expect(
        clippy::too_many_arguments,
        reason = "the request, what is known of it, and where effects go"
    )]
    fn carry_out(
        &mut self,
        case: &Case<'_>,
        bound: &Bound<'_>,
        sender: Sender,
        decision: &Decision<'_>,
        loop_part: u64,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let Case { request, ingress, .. } = *case;
        let (method, action, mode) = (request.method(), decision.action(), decision.role.mode);
        let begun = Self::is_begun(case);
        let leads_away = match action {
            Action::Targets(_) | Action::Group(_) | Action::Trunk(_) => !decision.is_open(),
            Action::BuiltIn => matches!(bound, Bound::Foreign(_)),
            Action::Reply(_) | Action::Redirect(_) | Action::FromTrunk(_) => false,
        };
        if leads_away && !begun && !sender.may_relay() {
            return self.deny_relay(request, ingress, now, out);
        }
        let stranger = sender == Sender::Stranger && self.shared.auth_on();
        let is_of_invite = matches!(method, Method::Cancel | Method::Ack);
        let is_for_user = matches!(bound, Bound::User(_)) && !begun;
        if stranger && is_for_user && is_of_invite && self.knows_its_invites(mode) {
            return Err(Reject::new(Status::CALL_DOES_NOT_EXIST));
        }
        // Strangers are not told where phones and targets are.
        let mode = match !stranger && is_redirect_asked(request, bound, action) {
            true => Mode::Redirect,
            false => mode,
        };
        match action {
            Action::Reply(reply) => {
                self.reply_by_route(case, sender, reply, now, out);
                return Ok(());
            }
            Action::Redirect(redirect) => {
                return self.redirect_by_route(case, bound, sender, redirect, now, out);
            }
            Action::Targets(targets) if mode == Mode::Redirect => {
                return self.redirect_to_targets(case, sender, targets, now, out);
            }
            Action::FromTrunk(_) | Action::Trunk(_) => {}
            _ if mode == Mode::Redirect && !begun => {
                self.note_redirect(decision.role.mode);
                return self.redirect(bound, case, sender, Status::MOVED_TEMPORARILY, now, out);
            }
            _ => {}
        }
        let found = self.find_targets(case, bound, sender, decision, now)?;
        if decision.has_headers() && !is_of_invite {
            return self.send_rewritten(case, sender, decision, loop_part, found, now, out);
        }
        self.send(case, sender, decision, loop_part, found, now, out)
    }

    /// Whether the next Route element or else the Request-URI names us (§16.5).
    fn bound_for<'a>(&mut self, routing: &Routing<'a>) -> Result<Bound<'a>, Reject> {
        let uri = routing.request_uri;
        // What comes by a Path goes over its flow and nowhere else, whomever it names (RFC 5626 §5.3.1).
        if routing.is_by_path() {
            return match Uri::parse(uri) {
                Ok(Uri::Sip(sip)) if sip.headers.is_empty() => Ok(Bound::Foreign(sip)),
                _ => Err(Reject::because(Status::BAD_REQUEST, "Malformed Request-URI")),
            };
        }
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
                Ok(Uri::Sip(next)) => Ok(Bound::Foreign(next)),
                _ => Err(Reject::because(Status::BAD_REQUEST, "Malformed Route")),
            };
        }
        match target {
            // A maddr of somebody else's leads there, whatever the host (§16.5).
            Uri::Sip(sip) if !self.shared.is_ours(&sip) || !self.shared.ours.is_maddr_ours(&sip) => {
                Ok(Bound::Foreign(sip))
            }
            Uri::Sip(sip) if sip.user.is_some_and(|user| !user.is_empty()) => {
                // What follows the `@` in a GRUU is one phone's.
                if !sip.params.has(b"gr") {
                    let aor = &mut self.work.aor;
                    aor.clear();
                    self.shared.ours.write_aor(&sip, aor);
                    self.work.own.addressed.remember(uri, aor);
                }
                Ok(Bound::User(uri))
            }
            Uri::Sip(_) => Ok(Bound::Node),
            Uri::Tel(_) => Err(Reject::new(Status::NOT_FOUND)),
            Uri::Other { .. } => Err(Reject::new(Status::UNSUPPORTED_URI_SCHEME)),
        }
    }

    /// A request for the node itself (RFC 3261 §8.2, §11). It is answered as by a stateless UAS (RFC 3261 §8.2.7): no transaction
    /// is under way that a copy of an OPTIONS could be merged with (RFC 3261 §8.2.2.2), so each copy gets the answer of the first.
    fn on_own(&mut self, request: Message<'_>, ingress: &Ingress, out: &mut Outbox) -> Result<(), Reject> {
        match request.method() {
            Method::Options => {
                check_extensions(request, &self.shared)?;
                check_content(request)?;
                self.trace.note(|| Step::own(RoleTaken::Server));
                self.trace.note(|| Step::Answered { status: 200 });
                self.endpoint
                    .identity
                    .reply(request, ingress, Status::OK, ABILITIES, out);
                Ok(())
            }
            Method::Ack => {
                let why = DroppedWhy::Ack;
                self.trace.note(|| Step::Dropped { why });
                Ok(())
            }
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
        case: &Case<'_>,
        now: Now,
        out: &mut Outbox,
    ) -> Result<Option<Sender>, Reject> {
        let Case {
            request,
            ingress,
            ref routing,
            ..
        } = *case;
        let sender = match self.sender_by_source(ingress) {
            Sender::Trunk if !self.is_inbound(case) => Sender::Stranger,
            sender => sender,
        };
        let digest = self.shared.auth_on();
        self.trace.note(|| Step::Sender {
            sender: sender.into(),
            digest,
        });
        let method = request.method();
        if let Some(why) = self.exemption(sender, routing, method) {
            self.trace.note(|| Step::Asked { why });
            return Ok(Some(sender));
        }
        let by_method = self.shared.is_challenged(method, request.method_text());
        let asked = by_method
            || (matches!(bound, Bound::User(_))
                && self.shared.is_closed()
                && !self.is_from_home(request, ingress, now));
        let shown = request.has(Name::ProxyAuthorization);
        if asked && !shown && self.is_open_to_strangers(case) {
            let why = AskedWhy::Open;
            self.trace.note(|| Step::Asked { why });
            return Ok(Some(sender));
        }
        self.trace.note(|| Step::Asked {
            why: match (by_method, asked, shown) {
                (true, ..) => AskedWhy::Method,
                (_, true, _) => AskedWhy::Closed,
                (.., true) => AskedWhy::Shown,
                _ => AskedWhy::NotChallenged,
            },
        });
        if asked || shown {
            self.admit_by_credentials(bound, case, sender, asked, now, out)
        } else {
            Ok(Some(sender))
        }
    }

    /// What the credentials of a request make of its sender; `asked` says whether it has to have any. `None` when it was
    /// challenged.
    fn admit_by_credentials(
        &mut self,
        bound: &Bound<'_>,
        case: &Case<'_>,
        sender: Sender,
        asked: bool,
        now: Now,
        out: &mut Outbox,
    ) -> Result<Option<Sender>, Reject> {
        let (request, ingress) = (case.request, case.ingress);
        match self.check_credentials(request, ingress, now) {
            // The nonce count is used up once, when the request goes on.
            Checked::Right(_)
                if self.is_called_known(case, bound, Sender::Authenticated, now)? == Progress::Waits =>
            {
                return Ok(None);
            }
            Checked::Right(proof) if self.claim(&proof, ingress, now) => {
                return Ok(Some(Sender::Authenticated));
            }
            Checked::Waits => return Ok(None),
            Checked::Unknown(reject) => return Err(reject),
            Checked::Right(_) => self.challenge(request, ingress, Staleness::Stale, now, out),
            Checked::NotOwner | Checked::Insists | Checked::ShutOut => {
                return Err(Reject::new(Status::FORBIDDEN));
            }
            // Credentials for somebody further on are not ours to judge.
            Checked::Absent if !asked => return Ok(Some(sender)),
            Checked::Absent => self.challenge(request, ingress, Staleness::Fresh, now, out),
            Checked::Rejected(rejection) => self.refuse_credentials(request, ingress, rejection, now, out),
        }
        Ok(None)
    }

    /// Why nobody asks who a sender is, whatever it has shown.
    fn exemption(&self, sender: Sender, routing: &Routing<'_>, method: Method) -> Option<AskedWhy> {
        match method {
            _ if !self.shared.auth_on() => Some(AskedWhy::DigestOff),
            _ if routing.token == RouteToken::Valid => Some(AskedWhy::Dialog),
            _ if routing.is_by_path() => Some(AskedWhy::Path),
            _ if sender.is_known_source() => Some(AskedWhy::Trusted),
            Method::Ack | Method::Cancel => Some(AskedWhy::AckOrCancel),
            _ => None,
        }
    }

    /// Whether whatever a stranger could cancel or acknowledge is known here: strangers cannot call, and calls have
    /// transactions. A CANCEL or ACK without one is then for nothing, whoever is there to get it.
    fn knows_its_invites(&self, mode: Mode) -> bool {
        self.shared.is_closed() && mode != Mode::Stateless
    }

    /// A stranger's request for a foreign target: asked for credentials where there are any, else refused.
    fn deny_relay(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let can_answer = !matches!(request.method(), Method::Ack | Method::Cancel);
        if self.shared.auth_on() && can_answer {
            self.trace.note(|| Step::RelayDenied);
            self.challenge(request, ingress, Staleness::Fresh, now, out);
            return Ok(());
        }
        self.trace.note(|| Step::RelayDenied);
        self.tell_refused(request, ingress, Why::RelayingDenied, now);
        Err(Reject::because(Status::FORBIDDEN, "Relaying Denied"))
    }

    /// §16.5: the target set, or that names have to be looked up for it.
    fn find_targets(
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
            (Action::Trunk(number), _) => self.candidate_of_trunk(case, decision, *number),
            (Action::FromTrunk(number), _) => {
                if !self.candidates_of_inbound(case, decision, *number, now) {
                    return Err(self.nowhere(Resolved::User, sender));
                }
            }
            (_, Bound::Node) => return Err(Reject::new(Status::NOT_FOUND)),
            (_, Bound::User(uri)) => {
                let patience = patience(case.request, decision);
                self.candidates_of_user(case, uri, &decision.role, sender, patience, now)?;
            }
            (_, Bound::Foreign(_)) if self.candidates_by_route(case, sender, now)? => {}
            (_, Bound::Foreign(_))
                if self.candidate_asleep(&case.routing, patience(case.request, decision), now) => {}
            (_, Bound::Foreign(sip)) if self.candidate_of_flow(case, sip, now)? => {}
            (_, Bound::Foreign(_)) => self.candidate_by_uri(case, decision),
        }
        let next_uri = match bound {
            Bound::Foreign(next) => Some(next),
            Bound::User(_) | Bound::Node => None,
        };
        let onward = Onward {
            next_uri,
            trunk: decision.role.trunk,
            ..self.onward(case)
        };
        let found = self.locate_candidates(&onward, Patience::Some, now);
        if found == Found::Targets && self.work.targets.is_empty() && self.work.asleep.is_empty() {
            return Err(self.no_way(&onward));
        }
        Ok(found)
    }

    /// A request as its candidates are located. A dialog that was set up through us has reached its target by datagrams of
    /// any size.
    pub(super) fn onward<'a>(&self, case: &Case<'a>) -> Onward<'a> {
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
            next_uri: None,
            size,
            secure: is_secure(routing.request_uri),
            trunk: None,
        }
    }

    /// Why a request for a user goes nowhere. To a stranger a user who is not there is like one who is away.
    pub(super) fn nowhere(&self, resolved: Resolved, sender: Sender) -> Reject {
        let stranger = sender == Sender::Stranger && self.shared.auth_on();
        if resolved == Resolved::Unknown && !stranger {
            Reject::new(Status::NOT_FOUND)
        } else {
            Reject::new(Status::TEMPORARILY_UNAVAILABLE)
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
                self.trace.note(|| Step::Answered { status: 200 });
                self.endpoint
                    .identity
                    .reply(request, ingress, Status::OK, b"", out);
                Ok(())
            }
            (Bound::User(uri), method) if method != Method::Ack => {
                let (known, is_one) = self.find_record(uri, now);
                let (work, shared) = (&mut self.work, &self.shared);
                // No request is sent back here.
                let elsewhere = Bindings::new(&work.record)
                    .live(now.wall_secs())
                    .filter(|binding| !is_one || binding.is_of(&work.instance))
                    .filter(|binding| {
                        let ours = shared.names_us(binding.contact);
                        self.trace.note(|| Step::told(binding, ours, now));
                        !ours
                    });
                work.lines.clear();
                write_public_contacts(elsewhere, now.wall_secs(), &mut work.lines);
                if work.lines.is_empty() {
                    return Err(self.nowhere(known, sender));
                }
                let is_there = sender.is_exempt() || self.is_from_home(request, ingress, now);
                let (identity, lines) = (&self.endpoint.identity, &self.work.lines);
                self.trace.note(|| Step::Answered {
                    status: status.code(),
                });
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
        let is_asked = request.method() != Method::Ack && !ingress.source.is_multicast();
        let told = is_asked && (is_ours || self.may_refuse(ingress, sender, now));
        self.trace.note(|| Step::refused(reject, told));
        if told {
            self.endpoint.identity.reject(request, ingress, reject, out);
        }
    }
}

/// Whether a request can wait for a device to be woken: only in a transaction.
pub(super) fn patience(request: Message<'_>, decision: &Decision<'_>) -> Patience {
    match request.method() {
        Method::Ack | Method::Cancel => Patience::None,
        _ if decision.role.mode == Mode::Stateless => Patience::None,
        _ => Patience::wanted(request),
    }
}

/// Whether the caller wants to be told where to ask (RFC 3841 §9.1), where we would tell. Whose turn it is in a group is for
/// requests of ours only, and a GRUU may be all that gets through to its phone (RFC 5627 §6.1).
fn is_redirect_asked(request: Message<'_>, bound: &Bound<'_>, action: &Action) -> bool {
    matches!(bound, Bound::User(uri) if Disposition::of(request).proxy == Some(false) && !has_gr(uri))
        && !matches!(action, Action::Group(_) | Action::Trunk(_) | Action::FromTrunk(_))
        && !matches!(request.method(), Method::Cancel | Method::Ack)
}
