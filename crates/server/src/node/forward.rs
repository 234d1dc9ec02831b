//! Sends requests on (RFC 3261 §16.6): in transactions or without, and what that takes: room, a place on the path of the
//! dialog, and one in the account of calls.

use strowger_sip::endpoint::Ingress;
use strowger_sip::memory::Id;
use strowger_sip::proxy::{
    BranchKind, Disposition, Flows, Forwarding, RecordRoute, Recursion, RouteToken, Routing, Start, Taken,
    max_breadth, write_forward,
};
use strowger_sip::transaction::{Matched, ServerKey};
use strowger_sip::{Extra, Now, Outbox, Reject};
use strowger_syntax::message::write_without_top_via;
use strowger_syntax::{Message, Method, Status};

use super::candidates::Origin;
use super::dispatch::Case;
use super::gruu::has_gr;
use super::locate::{Found, Onward, Waiting};
use super::policy::Sender;
use super::trace::{RecordRouteWhy, ResponseBranch, RoleTaken, RoleWhy, Step};
use super::{Kept, Node};
use crate::config::Mode;
use crate::routing::{Decision, Role};

/// Whether the contacts of a 3xx are tried: not within a dialog, whose target is known, nor where a Route says the way; and a
/// GRUU means one phone and nobody else (RFC 5627 §6.1).
fn recursion(case: &Case<'_>, sender: Sender, role: &Role) -> Recursion {
    let is_settled = case.request.to_tag().is_some() || case.routing.next.is_some();
    let wanted = Disposition::of(case.request).recurse.unwrap_or(true);
    if is_settled || !wanted || !role.recurse || has_gr(case.routing.request_uri) {
        Recursion::Never
    } else if sender.may_relay() {
        Recursion::Anywhere
    } else {
        Recursion::ToUsers
    }
}

impl Node {
    /// Forwards a request with another header.
    #[expect(
        clippy::too_many_arguments,
        reason = "the request, what is known of it, and where effects go"
    )]
    pub(super) fn send_rewritten(
        &mut self,
        case: &Case<'_>,
        sender: Sender,
        decision: &Decision<'_>,
        loop_part: u64,
        found: Found,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let Kept { mut text, mut index } = std::mem::take(&mut self.work.rewritten);
        let sent = if self.rewrite(case.request, decision, &mut text, &mut index) {
            let mut rewritten = Case {
                request: Message::view(&text, &index),
                ..*case
            };
            // These are places in the request as it came.
            rewritten.routing.taken.cut = None;
            rewritten.routing.taken.credentials = None;
            self.send(&rewritten, sender, decision, loop_part, found, now, out)
        } else {
            Err(Reject::because(Status::SERVER_INTERNAL_ERROR, "Header Too Large"))
        };
        self.work.rewritten = Kept { text, index };
        sent
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
        let role = &decision.role;
        let is_of_invite = matches!(case.request.method(), Method::Ack | Method::Cancel);
        if role.mode != Mode::Stateless && !is_of_invite {
            let why = match role.mode {
                Mode::Redirect => RoleWhy::Dialog,
                mode => self.why_role(mode),
            };
            return self.send_stateful(case, sender, (role, why), loop_part, found, now, out);
        }
        if found == Found::Targets && self.needs_state(case.request, case.ingress) {
            let role = Role {
                mode: Mode::Transaction,
                recurse: false,
                ..*role
            };
            let role = (&role, RoleWhy::Transports);
            return self.send_stateful(case, sender, role, loop_part, found, now, out);
        }
        self.trace.note(|| Step::Role {
            role: RoleTaken::Stateless,
            why: match role.mode {
                Mode::Stateless => self.why_role(Mode::Stateless),
                _ => RoleWhy::AckOrCancel,
            },
        });
        let record_route = self.register_route(case);
        self.send_stateless(case, record_route, loop_part, found, now, out);
        Ok(())
    }

    /// Whether a request that was to be forwarded without transactions needs them, as it comes by datagrams and leaves for its target
    /// in the work buffers by a connection, or the other way round (RFC 3261 §16.1).
    fn needs_state(&self, request: Message<'_>, ingress: &Ingress) -> bool {
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return false;
        }
        let targets = &self.work.targets;
        let first = targets.targets().iter().min_by_key(|target| target.turn.group);
        let hop = first.and_then(|target| targets.hops(target).first());
        let comes_by = ingress.source.transport;
        hop.is_some_and(|hop| hop.transport.is_reliable() != comes_by.is_reliable())
    }

    /// A request that was to be forwarded without transactions goes to the target in the work buffers, now that its name is known.
    pub(super) fn go_on_stateless(
        &mut self,
        request: Message<'_>,
        waiting: &Waiting,
        now: Now,
        out: &mut Outbox,
    ) {
        let (key, ingress) = (self.endpoint.identity.server_key(request), waiting.ingress());
        if !self.needs_state(request, ingress) {
            let (taken, record_route, loop_part) = waiting.forwarded();
            return self.forward_stateless(request, ingress, key, taken, record_route, loop_part, out);
        }
        // It may have come again while it waited.
        if self.endpoint.layer.on_request(request, key, now.mono_ms(), out) != Matched::New {
            return;
        }
        if self.is_full(false) {
            let reject = Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(5));
            let sender = self.sender_by_source(ingress);
            return self.reject(request, ingress, sender, &reject, now, out);
        }
        self.trace.note(|| Step::Role {
            role: RoleTaken::TransactionStateful,
            why: RoleWhy::Transports,
        });
        let server = self.begin_server(request, ingress, key, now, out);
        self.begin(request, &mut waiting.start_with(server), now, out);
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
        (role, why): (&Role, RoleWhy),
        loop_part: u64,
        found: Found,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        self.check_room(case.ingress, &case.routing)?;
        let record_route = self.record_route(case, sender, role);
        let recursion = recursion(case, sender, role);
        self.trace.note(|| Step::Role {
            role: match record_route {
                Some(_) => RoleTaken::CallStateful,
                None => RoleTaken::TransactionStateful,
            },
            why,
        });
        let mut start = self.accept(case, role, record_route, recursion, loop_part, now, out);
        match found {
            Found::Targets => {
                self.begin(case.request, &mut start, now, out);
                self.account(now);
            }
            Found::Names => {
                let onward = Onward {
                    trunk: role.trunk,
                    ..self.onward(case)
                };
                self.look_up(&onward, Waiting::stateful(&start, &onward), now, out);
            }
        }
        Ok(())
    }

    /// Forwards without transactions (§16.11), at once or when the next hop's address is known.
    fn send_stateless(
        &mut self,
        case: &Case<'_>,
        record_route: Option<RecordRoute>,
        loop_part: u64,
        found: Found,
        now: Now,
        out: &mut Outbox,
    ) {
        let Case {
            request,
            ingress,
            ref routing,
            key,
            ..
        } = *case;
        match found {
            Found::Targets => {
                self.forward_stateless(request, ingress, key, routing.taken, record_route, loop_part, out)
            }
            Found::Names => {
                let onward = self.onward(case);
                let waiting = Waiting::stateless(&onward, routing.taken, record_route, loop_part);
                self.look_up(&onward, waiting, now, out);
            }
        }
    }

    /// Why a mode is taken: by the route, or for the whole node.
    pub(super) fn why_role(&self, mode: Mode) -> RoleWhy {
        if mode == self.shared.policy.routes.role().mode {
            RoleWhy::Mode
        } else {
            RoleWhy::Route
        }
    }

    /// Notes that a request is redirected, by the mode of what decides on it or because its caller wants it so.
    pub(super) fn note_redirect(&self, mode: Mode) {
        self.trace.note(|| Step::Role {
            role: RoleTaken::Redirect,
            why: match mode {
                Mode::Redirect => self.why_role(mode),
                _ => RoleWhy::Caller,
            },
        });
    }

    /// New work is refused while draining, by a listener that is going, and beyond the limits of transactions and of the bytes kept for them; what was begun
    /// goes on, up to a quarter more.
    pub(super) fn check_room(&self, ingress: &Ingress, routing: &Routing<'_>) -> Result<(), Reject> {
        let begun = routing.token == RouteToken::Valid || routing.is_by_path();
        if self.is_full(begun) || ((self.draining || self.is_retired(ingress)) && !begun) {
            return Err(Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(5)));
        }
        Ok(())
    }

    /// Whether there is no room for another transaction, of what was begun or of what is new.
    pub(super) fn is_full(&self, begun: bool) -> bool {
        let (servers, clients) = self.endpoint.layer.counts();
        let policy = &self.shared.policy;
        let is_full = |held: usize, most: usize| held >= if begun { most + most / 4 } else { most };
        is_full(servers + clients, policy.max_transactions)
            || is_full(self.endpoint.layer.pool.used_bytes(), policy.max_kept_bytes)
    }

    /// The server transaction of a request that is going to be forwarded, with the 100 for an INVITE (§16.2).
    fn begin_server(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        key: ServerKey,
        now: Now,
        out: &mut Outbox,
    ) -> Id {
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
        server
    }

    /// The server transaction of a request that is going to be forwarded, and its place in the account of calls.
    #[expect(
        clippy::too_many_arguments,
        reason = "the request, what is known of it, and where effects go"
    )]
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
        let server = self.begin_server(request, ingress, key, now, out);
        let call = self.call_of(request, ingress, role, now);
        Start {
            server,
            ingress,
            loop_part,
            taken: routing.taken,
            record_route,
            call,
            recursion,
            awaited: 0,
            keeps_others: Disposition::of(request).cancel == Some(false),
            account: role.trunk,
            flows: self.flows_of(case),
        }
    }

    /// Whose the flows are that a request goes over. Its candidates are in the work buffers.
    fn flows_of(&self, case: &Case<'_>) -> Flows {
        let candidates = self.work.candidates.list();
        match candidates.first().map(|candidate| candidate.origin) {
            _ if case.routing.flow.is_some() => Flows::Named,
            Some(Origin::Binding) => Flows::Registered,
            _ => Flows::Others,
        }
    }

    /// Whether to stay on the path: for requests that set up a dialog. Later ones of a dialog keep its route set. Who may
    /// not send through us gets no token, which would let them: their dialogs go on without us.
    fn record_route(&self, case: &Case<'_>, sender: Sender, role: &Role) -> Option<RecordRoute> {
        let Case {
            request, ref routing, ..
        } = *case;
        if request.method() == Method::Register {
            return self.register_route(case);
        }
        let sets_up = matches!(
            request.method(),
            Method::Invite | Method::Subscribe | Method::Refer | Method::Notify
        );
        let Some(tag) = request.from_tag() else {
            let why = RecordRouteWhy::NoTag;
            self.trace.note(|| Step::RecordRoute { why });
            return None;
        };
        let stays = role.record_route || self.work.stays || sets_up && self.is_for_purr(request);
        let wanted = stays && sets_up && routing.token != RouteToken::Valid;
        // Without digest anybody may call, and calls have to end.
        let earned = sender.may_relay()
            || sender == Sender::Trunk
            || routing.is_by_path()
            || (!self.shared.auth_on() && request.method() == Method::Invite);
        self.trace.note(|| Step::RecordRoute {
            why: match sets_up {
                false => RecordRouteWhy::NoDialog,
                _ if routing.token == RouteToken::Valid => RecordRouteWhy::Dialog,
                _ if !stays => RecordRouteWhy::Off,
                _ if !earned => RecordRouteWhy::Stranger,
                _ if !role.record_route => RecordRouteWhy::Gruu,
                _ => RecordRouteWhy::SetsUp,
            },
        });
        (wanted && earned).then(|| RecordRoute::Dialog {
            token: self.endpoint.identity.route_token(request.call_id(), tag),
            caller: self.callers_flow(case),
        })
    }

    /// Whether to stay on the path to who registers elsewhere.
    fn register_route(&self, case: &Case<'_>) -> Option<RecordRoute> {
        let path = (case.request.method() == Method::Register).then(|| self.registration_path(case));
        let path = path?;
        self.trace.note(|| Step::RecordRoute {
            why: match path {
                Some(_) => RecordRouteWhy::Registers,
                None => RecordRouteWhy::NoPath,
            },
        });
        path
    }

    /// The call that a request within a dialog is of.
    #[inline]
    pub(super) fn call_begun(&self, request: Message<'_>) -> Option<Id> {
        let key = |tag| self.endpoint.identity.call_key(request.call_id(), tag);
        let (from, to) = (request.from_tag().unwrap_or(&[]), request.to_tag()?);
        // Either side may speak: the caller's tag is in From or in To.
        self.calls.find(key(from)).or_else(|| self.calls.find(key(to)))
    }

    fn call_of(&mut self, request: Message<'_>, ingress: &Ingress, role: &Role, now: Now) -> Option<Id> {
        let key = |tag| self.endpoint.identity.call_key(request.call_id(), tag);
        let (from, to) = (request.from_tag().unwrap_or(&[]), request.to_tag());
        match (request.method(), to) {
            (Method::Invite, None) if role.mode == Mode::Transaction => None,
            // Beyond the limit calls go through, unaccounted.
            (Method::Invite, None) if self.calls.len() < self.shared.policy.max_transactions => {
                let branches = self.work.targets.targets().len() + self.work.asleep.len();
                let branches = branches.max(1);
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
                if let Some(stay) = self.work.entered.take() {
                    self.calls.enter(call, stay);
                }
                Some(call)
            }
            (Method::Invite | Method::Update | Method::Bye, Some(_)) => self.call_begun(request),
            _ => None,
        }
    }

    /// Forwards without state (§16.11): what a stateless node forwards at all, an ACK to a 2xx (§16.6), and a CANCEL that
    /// nobody here knows of (§16.10).
    #[expect(
        clippy::too_many_arguments,
        reason = "the request, what is known of it, and where effects go"
    )]
    pub(super) fn forward_stateless(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        key: ServerKey,
        taken: Taken,
        record_route: Option<RecordRoute>,
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
        let listeners = &self.endpoint.identity.listeners;
        self.trace.note(|| Step::target(targets, target, listeners));
        let forwarding = Forwarding {
            uri: target.uri(text),
            routes: target.routes(text),
            taken,
            record_route,
            hop,
            arrival: ingress.arrival(&self.endpoint.identity.listeners),
            loop_part,
            breadth: max_breadth(request),
            credentials: &[],
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
                let branch = ResponseBranch::Stateless;
                self.trace.note(|| Step::Response { branch });
                let start = out.bytes.len();
                write_without_top_via(response, &mut out.bytes);
                out.send_from(start, to, 0);
            }
            None => {
                let branch = ResponseBranch::Stray;
                self.trace.note(|| Step::Response { branch });
                self.tally.stray();
            }
        }
    }
}
