//! The trunks: the registrations that the node keeps up with providers, the requests that go out to them and come in from
//! them, and their challenges.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use strowger_sip::auth::{Answers, Unanswerable};
use strowger_sip::memory::{Id, Slab, TimerId};
use strowger_sip::proxy::{Challenged, Suits, suits};
use strowger_sip::transaction::{Patience, Sending, Timed, User};
use strowger_sip::transport::{Departure, Hop, Listeners, Located, Server, Size, locate};
use strowger_sip::ua::{Registration, Standing, Step, Why};
use strowger_sip::{Destination, Now, Outbox};
use strowger_syntax::header::Challenge;
use strowger_syntax::uri::{SipUri, Uri};
use strowger_syntax::{Message, Method, Name};

use super::Node;
use super::candidates::{Origin, Terms, Way};
use super::dispatch::{Case, patience};
use super::trace;
use crate::admin;
use crate::dns::Age;
use crate::routing::{Decision, Peer, Routes, Target, Trunk};

/// What stands for a branch in the name of a client transaction that is a registration's.
const REGISTER: u16 = u16::MAX - 1;

/// The registrations of a shard.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    all: Slab<Kept>,
    are_to_start: bool,
}

/// One that is kept up.
#[derive(Debug)]
struct Kept {
    trunk: Trunk,
    registration: Registration,
    timer: TimerId,
    /// What it was last told to stand at, and since when, in seconds since the Unix epoch.
    standing: Standing,
    since: u64,
    /// The address that the last REGISTER went to.
    peer: Option<SocketAddr>,
}

impl Registrations {
    /// Those of the configuration, as soon as there is time.
    pub(super) fn of(routes: &Routes) -> Self {
        Self {
            are_to_start: !routes.trunks().is_empty(),
            ..Self::default()
        }
    }

    /// Whether they have not been looked at.
    pub(super) fn are_to_start(&self) -> bool {
        self.are_to_start
    }

    /// Whether all have been removed.
    pub(super) fn are_over(&self) -> bool {
        self.all.is_empty()
    }

    /// How they are.
    pub(super) fn list(&self, now: Now) -> Vec<admin::Trunk> {
        self.all.iter().map(|(_, kept)| kept.describe(now)).collect()
    }
}

/// Whether a client transaction works for a registration.
pub(super) fn is_registration(user: User) -> bool {
    user.branch == REGISTER
}

/// The listener that requests to a trunk leave by, with our address there, if one is configured.
pub(super) fn preferred(listeners: &Listeners, trunk: &Trunk) -> Option<(u16, IpAddr)> {
    let wanted = trunk.listener?;
    let is_it = |listener: &strowger_sip::transport::Listener| {
        listener.transport == wanted.transport && listener.address == wanted.address
    };
    let number = u16::try_from(listeners.all().iter().position(is_it)?).ok()?;
    let anybody = match wanted.address.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(ip) => IpAddr::V6(ip),
    };
    Some((number, listeners.local(number, anybody)?))
}

/// Whether another set of listeners is listened at.
fn have_moved(former: &Listeners, now: &Listeners) -> bool {
    let count = now.all().len();
    former.all().len() != count || (0..count as u16).any(|n| former.is_retired(n) != now.is_retired(n))
}

fn address_of(to: Destination) -> Option<SocketAddr> {
    match to {
        Destination::Datagram { to, .. } | Destination::Connect { to, .. } => Some(to),
        Destination::Flow(_) => None,
    }
}

impl Kept {
    /// Notes what it stands at now. True when that is something else than before.
    fn note(&mut self, now: Now) -> bool {
        let standing = self.registration.standing();
        let is_registered = matches!(standing, Standing::Registered(_));
        let route = &self.registration.given().service_route;
        self.trunk.state.note(is_registered, route);
        if self.registration.bound_until_ms().is_none() {
            self.trunk.state.forget_peers();
        }
        let changed = standing != self.standing;
        if std::mem::discriminant(&standing) != std::mem::discriminant(&self.standing) {
            self.since = now.wall_secs();
        }
        self.standing = standing;
        changed
    }

    fn describe(&self, now: Now) -> admin::Trunk {
        let registration = &self.registration;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let some = |bytes: &[u8]| (!bytes.is_empty()).then(|| text(bytes));
        let secs = |at_ms: u64| at_ms.saturating_sub(now.mono_ms()).div_ceil(1000);
        let (state, why) = match self.standing {
            Standing::Registering => (admin::TrunkState::Registering, None),
            Standing::Registered(why) => (admin::TrunkState::Registered, why),
            Standing::Failing(why) => (admin::TrunkState::Failing, Some(why)),
            Standing::Removing | Standing::Ended => (admin::TrunkState::Removing, None),
        };
        admin::Trunk {
            name: self.trunk.name.clone(),
            aor: text(&registration.settings().aor),
            registrar: text(&registration.settings().registrar),
            state,
            why: why.map(|why| why.to_string()),
            since: self.since,
            expires_in: registration.bound_until_ms().map(secs),
            next_in: registration.next_ms().map(secs),
            contact: registration.contact().map(text),
            address: self.peer.map(|peer| peer.to_string()),
            service_route: some(&registration.given().service_route),
            path: some(&registration.given().path),
        }
    }
}

impl Node {
    /// Goes on with the trunks of the configuration: those that are new are registered, those that are gone removed. All shards
    /// see them; each registers those whose Call-ID is its own.
    pub(super) fn follow_trunks(&mut self, former: &Listeners, now: Now, out: &mut Outbox) {
        self.registrations.are_to_start = false;
        let routes = Arc::clone(&self.shared.policy.routes);
        let moved = have_moved(former, &self.endpoint.identity.listeners);
        let ids: Vec<_> = self.registrations.all.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(kept) = self.registrations.all.get_mut(id) else {
                continue;
            };
            let step = match routes.trunks().iter().find(|trunk| trunk.is_same(&kept.trunk)) {
                None => kept.registration.leave(now.mono_ms()),
                Some(trunk) => {
                    let is_other = *trunk.settings != **kept.registration.settings()
                        || trunk.listener != kept.trunk.listener;
                    kept.trunk = trunk.clone();
                    kept.registration.stay(now.mono_ms());
                    if is_other {
                        kept.registration
                            .change(Arc::clone(&trunk.settings), now.mono_ms());
                    } else if moved {
                        kept.registration.hurry(now.mono_ms());
                    }
                    Step::Wait
                }
            };
            self.do_step(id, step, now, out);
        }
        if self.draining {
            return;
        }
        for trunk in routes.trunks() {
            let is_known = self
                .registrations
                .all
                .iter()
                .any(|(_, kept)| kept.trunk.is_same(trunk));
            if !is_known && self.registers(trunk) {
                self.register(trunk, now);
            }
        }
    }

    /// Whether this shard registers a trunk: the one that owns the Call-ID of its REGISTERs.
    fn registers(&self, trunk: &Trunk) -> bool {
        let (identity, boot) = (&self.endpoint.identity, self.shared.policy.boot);
        let key = &identity.keys.user_agent;
        let call_id = Registration::call_id_of(&trunk.settings, key, boot, &trunk.name);
        identity.owner_of(&call_id) == identity.shard
    }

    fn register(&mut self, trunk: &Trunk, now: Now) {
        let key = &self.endpoint.identity.keys.user_agent;
        // A registration that was removed and is made again goes on with higher numbers.
        let cseq = (now.wall_secs() & 0x7fff_ffff) as u32;
        let (settings, boot) = (Arc::clone(&trunk.settings), self.shared.policy.boot);
        let registration = Registration::new(settings, key, boot, &trunk.name, cseq, now.mono_ms());
        let wheel = &mut self.endpoint.layer.wheel;
        self.registrations.all.insert_with(|id| {
            let timer = wheel.add(Timed::Registration(id), registration.deadline());
            Kept {
                trunk: trunk.clone(),
                standing: registration.standing(),
                registration,
                timer,
                since: now.wall_secs(),
                peer: None,
            }
        });
    }

    /// Removes all registrations, for the node stops.
    pub(super) fn leave_trunks(&mut self, now: Now, out: &mut Outbox) {
        let ids: Vec<_> = self.registrations.all.iter().map(|(id, _)| id).collect();
        for id in ids {
            if let Some(kept) = self.registrations.all.get_mut(id) {
                let step = kept.registration.leave(now.mono_ms());
                self.do_step(id, step, now, out);
            }
        }
    }

    /// Time has come for a registration.
    pub(super) fn on_registration_due(&mut self, id: Id, now: Now, out: &mut Outbox) {
        if let Some(kept) = self.registrations.all.get_mut(id) {
            let step = kept.registration.on_deadline(now.mono_ms());
            self.do_step(id, step, now, out);
        }
    }

    /// A registrar answered.
    pub(super) fn on_registration_answer(
        &mut self,
        user: User,
        client: Id,
        response: Message<'_>,
        now: Now,
        out: &mut Outbox,
    ) {
        let peer = self.endpoint.layer.peer_of(client).and_then(address_of);
        let Some(kept) = self.registrations.all.get_mut(user.context) else {
            return;
        };
        // What comes late, from a server that was given up, answers nothing any more.
        if response.cseq() != kept.registration.cseq() {
            return;
        }
        let step = kept.registration.on_response(response, now.mono_ms());
        let is_success = response.status().is_some_and(|status| status.is_success());
        if is_success && let Some(peer) = peer {
            let peer = Peer::of(peer.ip(), &self.endpoint.identity.keys);
            let lasts_ms = 1000 * u64::from(kept.registration.given().expires);
            let now_ms = now.mono_ms();
            kept.trunk.state.note_peer(peer, now_ms, now_ms + lasts_ms);
        }
        self.do_step(user.context, step, now, out);
    }

    /// A registrar did not answer, or could not be sent to.
    pub(super) fn on_registration_failed(&mut self, user: User, why: Why, now: Now, out: &mut Outbox) {
        if let Some(kept) = self.registrations.all.get_mut(user.context) {
            let step = kept.registration.on_no_answer(why, now.mono_ms());
            self.do_step(user.context, step, now, out);
        }
    }

    /// Does what a registration wants done, and what follows.
    fn do_step(&mut self, id: Id, mut step: Step, now: Now, out: &mut Outbox) {
        while step == Step::Locate {
            let hops = self.ways_to_registrar(id, now);
            let Some(kept) = self.registrations.all.get_mut(id) else {
                return;
            };
            step = kept.registration.on_located(hops.as_deref(), now.mono_ms());
        }
        if let Step::Send(hop) = step {
            self.send_register(id, hop, now, out);
        }
        let Some(kept) = self.registrations.all.get_mut(id) else {
            return;
        };
        let wheel = &mut self.endpoint.layer.wheel;
        wheel.set(kept.timer, kept.registration.deadline());
        if kept.note(now) {
            tell(&mut self.journal, kept, now);
        }
        if step == Step::End {
            wheel.remove(kept.timer);
            self.registrations.all.discard(id);
        }
    }

    /// The ways to a registrar (RFC 3261 §8.1.2, RFC 3263 §4); `None` while its name is being looked up.
    fn ways_to_registrar(&self, id: Id, now: Now) -> Option<Vec<Hop>> {
        let kept = self.registrations.all.get(id)?;
        let listeners = &self.endpoint.identity.listeners;
        let first = listeners.get(0).map(|first| (0, first.address.ip()));
        let nobody = (0, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let preferred = preferred(listeners, &kept.trunk).or(first).unwrap_or(nobody);
        let from = Departure { listeners, preferred };
        let Ok(Uri::Sip(uri)) = Uri::parse(kept.registration.next_hop()) else {
            return Some(Vec::new());
        };
        let mut hops = Vec::new();
        match locate(&uri, Size::Small) {
            Located::Address(ip, ways) => ways.put(from, ip, &mut hops),
            Located::Unreachable => {}
            Located::Name(next_hop) => {
                let seed = self.endpoint.identity.call_key(kept.registration.call_id(), &[]);
                let put = |servers: &[Server]| next_hop.ways.put_servers(from, servers, seed, &mut hops);
                let dns = &self.shared.dns;
                let known = dns.look(&next_hop, now.mono_ms(), put);
                let is_first = kept.registration.is_first_look();
                if is_first && known != Some(Age::Fresh) {
                    dns.ask_for(&next_hop, None);
                    return None;
                }
                // Who has asked takes the last answer, however old.
                known?;
            }
        }
        self.shared.dns.avoided.put_last(&mut hops, now.mono_ms());
        Some(hops)
    }

    fn send_register(&mut self, id: Id, hop: Hop, now: Now, out: &mut Outbox) {
        let Some(kept) = self.registrations.all.get_mut(id) else {
            return;
        };
        kept.peer = address_of(hop.to);
        let user = User {
            context: id,
            branch: REGISTER,
        };
        let sending = Sending {
            method: Method::Register,
            to: hop.to,
            user,
            patience: Patience::Usual,
        };
        let (identity, registration) = (&self.endpoint.identity, &mut kept.registration);
        let former = out.call;
        out.of_call(Some(registration.call_id()));
        self.endpoint
            .layer
            .send(sending, now.mono_ms(), out, |client, bytes| {
                let check = identity.branches.check(identity.shard, client);
                let key = &identity.keys.user_agent;
                registration.write(identity, key, &hop, (client, check), bytes);
                check
            });
        out.call = former;
    }

    /// A next hop has challenged a request. True when that was for a trunk, and is dealt with (RFC 3261 §22.3).
    pub(super) fn on_challenge(
        &mut self,
        user: User,
        response: Message<'_>,
        now: Now,
        out: &mut Outbox,
    ) -> bool {
        let Some(challenged) = self.proxy.challenged(user) else {
            return false;
        };
        let routes = Arc::clone(&self.shared.policy.routes);
        let now_ms = now.mono_ms();
        let Some(trunk) = routes.trunk_of(challenged.account) else {
            return false;
        };
        let answered = match answers_to(response, trunk, challenged) {
            Ok(mut answers) => {
                trunk.state.note_challenge();
                let key = self.endpoint.identity.keys.user_agent.clone();
                let account = &trunk.settings.account;
                let write = |request: Message<'_>, uri: &[u8], out: &mut Vec<u8>| {
                    let method = String::from_utf8_lossy(request.method_text());
                    answers.write(account, &method, uri, &key, out);
                };
                self.proxy
                    .answer_challenge(&mut self.endpoint, user, write, now_ms, out)
            }
            Err(unanswerable) => {
                self.journal.line(now, "trunk refuses a call").map(|line| {
                    line.text("trunk", trunk.name.as_bytes())
                        .text("call-id", response.call_id())
                        .text("why", unanswerable.to_string().as_bytes())
                });
                false
            }
        };
        if !answered {
            self.proxy.refuse_challenge(&mut self.endpoint, user, now_ms, out);
        }
        true
    }

    /// The trunk that a request comes in by: from its provider, for its contact.
    pub(super) fn trunk_of_inbound(
        &self,
        routes: &Routes,
        case: &Case<'_>,
        sip: &SipUri<'_>,
    ) -> Option<usize> {
        if routes.trunks().is_empty() || case.request.to_tag().is_some() || !self.shared.is_ours(sip) {
            return None;
        }
        let source = case.ingress.source.remote.ip();
        let peer = Peer::of(source, &self.endpoint.identity.keys);
        let is_trusted = self.shared.is_trusted(source);
        routes.trunks().iter().position(|trunk| {
            let is_contact = sip.user == Some(&*trunk.settings.contact_user);
            is_contact && (is_trusted || trunk.state.is_peer(peer))
        })
    }

    /// Whether a request comes in by a trunk whose provider need not authenticate.
    pub(super) fn is_inbound(&self, case: &Case<'_>) -> bool {
        let trunks = self.shared.policy.routes.trunks();
        let trunk = self.inbound_trunk(case).and_then(|place| trunks.get(place));
        trunk.is_some_and(|trunk| trunk.trusted)
    }

    /// The trunk that a request comes in by.
    pub(super) fn inbound_trunk(&self, case: &Case<'_>) -> Option<usize> {
        let routes = &self.shared.policy.routes;
        match Uri::parse(case.routing.request_uri) {
            Ok(Uri::Sip(sip)) => self.trunk_of_inbound(routes, case, &sip),
            _ => None,
        }
    }

    /// Makes a trunk the candidate: its registrar, with the number that was called.
    pub(super) fn candidate_of_trunk(&mut self, case: &Case<'_>, decision: &Decision<'_>, number: usize) {
        self.work.candidates.clear();
        let routes = Arc::clone(&self.shared.policy.routes);
        let Some(trunk) = routes.trunks().get(number) else {
            return;
        };
        self.trace.note(|| trace::Step::trunk(trunk, false));
        let terms = Terms {
            ring_timeout_ms: decision.role.ring_ms,
            ..Terms::new(Origin::Route, Way::ByUri)
        };
        self.add_target(case, &trunk.target, |out| trunk.write_route(out), terms);
    }

    /// Makes what calls from a trunk are for the candidates: the bindings of our users, and URIs elsewhere. False if there are
    /// none.
    pub(super) fn candidates_of_inbound(
        &mut self,
        case: &Case<'_>,
        decision: &Decision<'_>,
        number: usize,
        now: Now,
    ) -> bool {
        let patience = patience(case.request, decision);
        self.work.candidates.clear();
        let routes = Arc::clone(&self.shared.policy.routes);
        let Some(trunk) = routes.trunks().get(number) else {
            return false;
        };
        self.trace.note(|| trace::Step::trunk(trunk, true));
        let terms = |origin, way| Terms {
            ring_timeout_ms: decision.role.ring_ms,
            ..Terms::new(origin, way)
        };
        for target in &trunk.to {
            if self.write_user(target) {
                let resolved = self.follow_alias();
                self.trace
                    .note(|| trace::Step::address(target.text(), &self.work.aor, resolved));
                let request = case.request;
                self.add_bindings(&case.ingress.source, patience, now, |binding| {
                    match suits(request, binding.params) {
                        Suits::Not => Err(trace::BindingUse::Unsuited),
                        Suits::Rank(_) | Suits::NotByItself => Ok(terms(Origin::Binding, Way::Nowhere)),
                    }
                });
            } else {
                let none = |_: &mut Vec<u8>| {};
                self.add_target(case, target, none, terms(Origin::Route, Way::ByUri));
            }
        }
        !self.work.candidates.is_empty()
    }

    /// Puts the address-of-record that a target is into the work buffers; false if it is none of ours.
    pub(super) fn write_user(&mut self, target: &Target) -> bool {
        let sip = target.uri().filter(|sip| self.shared.is_ours(sip));
        let Some(sip) = sip.filter(|sip| sip.user.is_some()) else {
            return false;
        };
        self.work.aor.clear();
        self.shared.ours.write_aor(&sip, &mut self.work.aor);
        true
    }
}

/// The answers to a challenge of a call. A second one must say that the nonce was old, or the password is wrong.
fn answers_to(response: Message<'_>, trunk: &Trunk, challenged: Challenged) -> Result<Answers, Unanswerable> {
    let is_stale = |name| {
        response.fields_of(name).any(|field| {
            let challenge = Challenge::parse(field.value);
            challenge.is_ok_and(|challenge| challenge.digest().is_some_and(|digest| digest.is_stale()))
        })
    };
    if challenged.answered > 0 && !is_stale(Name::ProxyAuthenticate) && !is_stale(Name::WwwAuthenticate) {
        return Err(Unanswerable::Refused);
    }
    let mut answers = Answers::default();
    answers.take(response, &trunk.settings.account)?;
    Ok(answers)
}

/// Tells of what a registration has come to.
fn tell(journal: &mut super::Journal, kept: &Kept, now: Now) {
    let (what, why) = match kept.standing {
        Standing::Registering => return,
        Standing::Registered(None) => ("trunk registered", None),
        Standing::Registered(Some(why)) => ("trunk not refreshed", Some(why)),
        Standing::Failing(why) => ("trunk not registered", Some(why)),
        Standing::Removing => ("trunk is removed", None),
        Standing::Ended => ("trunk removed", None),
    };
    let registration = &kept.registration;
    journal.line(now, what).map(|line| {
        let line = line
            .text("trunk", kept.trunk.name.as_bytes())
            .text("aor", &registration.settings().aor);
        let line = match kept.peer {
            Some(peer) => line.text("address", peer.to_string().as_bytes()),
            None => line,
        };
        match (why, kept.standing) {
            (Some(why), _) => line.text("why", why.to_string().as_bytes()),
            (None, Standing::Registered(_)) => {
                line.number("expires", u64::from(registration.given().expires))
            }
            (None, _) => line,
        }
    });
}
