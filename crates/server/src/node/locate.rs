//! Where a request goes: bindings of our users, and the hosts of foreign targets (RFC 3261 §16.5, §16.6 step 7).

use std::num::NonZeroU32;

use smallvec::SmallVec;
use strowger_sip::endpoint::{Identity, Ingress};
use strowger_sip::memory::{Id, Stored};
use strowger_sip::proxy::{
    Cause, Disposition, Flows, Progress, RecordRoute, Recursion, Start, Suits, Taken, next_route, suits,
};
use strowger_sip::registrar::{Binding, Bindings};
use strowger_sip::transaction::KEPT;
use strowger_sip::transport::{Departure, Hop, Located, Server, Size, leads_by_name, locate, way_to};
use strowger_sip::{Destination, Now, Outbox, Reject, Source};
use strowger_syntax::header::NameAddr;
use strowger_syntax::message::ListItems;
use strowger_syntax::uri::{SipUri, Uri};
use strowger_syntax::{Message, Name, Status};

use super::candidates::{BoundWay, Candidate, Origin, Terms, Way, group_of};
use super::flows::{Instances, put_newest_first};
use super::trace::{BindingUse, Step};
use super::trunks::preferred;
use super::waking::{Sleep, sleep_of};
use super::{Kept, Node};
use crate::config::Fork;
use crate::dns::Age;
use crate::routing::{Role, Routes};

/// The most hops to one candidate.
const MOST_HOPS: usize = 8;

/// A request whose candidates are to be located.
pub(super) struct Onward<'a> {
    pub(super) request: Message<'a>,
    pub(super) ingress: &'a Ingress,
    /// The next element of its own route set.
    pub(super) next: Option<&'a [u8]>,
    /// That, or else its Request-URI, if it is at hand.
    pub(super) next_uri: Option<&'a SipUri<'a>>,
    pub(super) size: Size,
    /// Whether it is for a SIPS URI.
    pub(super) secure: bool,
    /// The trunk that it goes out by.
    pub(super) trunk: Option<NonZeroU32>,
}

/// Whether a request can wait for what is not known yet, and for devices that sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Some,
    None,
    /// It could, but its caller does not want it to wait for devices (RFC 3841 §9.1).
    Unwanted,
}

impl Patience {
    /// What a request says that can wait. That is the only queue here (RFC 3841 §9.1), and a dialog is in none: whoever has answered
    /// is there.
    pub(super) fn wanted(request: Message<'_>) -> Self {
        let is_queued = request.to_tag().is_some() || Disposition::of(request).queue.unwrap_or(true);
        if is_queued { Self::Some } else { Self::Unwanted }
    }
}

/// What the candidates of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Targets, which are in the work buffers; none if no candidate can be reached.
    Targets,
    /// Some whose names must be looked up first.
    Names,
}

/// A request that waits for the servers of its next hops.
#[derive(Clone, Debug)]
pub(super) struct PendingLookup {
    waiting: Waiting,
    request: Stored,
    /// The candidates with their texts and with the hops that are known.
    list: SmallVec<[Candidate; 1]>,
    texts: Stored,
    hops: SmallVec<[Hop; 1]>,
    /// How many answers are still to come.
    awaited: u16,
}

/// What is known of a request that waits, beside its bytes.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    /// `None` for what is forwarded without state.
    server: Option<Id>,
    ingress: Ingress,
    loop_part: u64,
    taken: Taken,
    record_route: Option<RecordRoute>,
    call: Option<Id>,
    recursion: Recursion,
    keeps_others: bool,
    account: Option<NonZeroU32>,
    flows: Flows,
    /// The 3xx that it stands for, and which of its contacts have become candidates.
    redirect: Option<(Id, u64)>,
    size: Size,
    secure: bool,
}

impl Waiting {
    /// A request that has its server transaction.
    pub(super) fn stateful(start: &Start<'_>, onward: &Onward<'_>) -> Self {
        Self {
            server: Some(start.server),
            ingress: *start.ingress,
            loop_part: start.loop_part,
            taken: start.taken,
            record_route: start.record_route,
            call: start.call,
            recursion: start.recursion,
            keeps_others: start.keeps_others,
            account: start.account,
            flows: start.flows,
            redirect: None,
            size: onward.size,
            secure: onward.secure,
        }
    }

    /// The request as the proxy takes it; `None` without a server transaction.
    fn start(&self) -> Option<Start<'_>> {
        self.server.map(|server| self.start_with(server))
    }

    /// The request as the proxy takes it, with this server transaction.
    pub(super) fn start_with(&self, server: Id) -> Start<'_> {
        let Self {
            ref ingress,
            loop_part,
            taken,
            record_route,
            call,
            recursion,
            keeps_others,
            account,
            flows,
            ..
        } = *self;
        Start {
            server,
            ingress,
            loop_part,
            taken,
            record_route,
            call,
            recursion,
            awaited: 0,
            keeps_others,
            account,
            flows,
        }
    }

    /// How the request came.
    pub(super) fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    /// What it is forwarded by without transactions.
    pub(super) fn forwarded(&self) -> (Taken, Option<RecordRoute>, u64) {
        (self.taken, self.record_route, self.loop_part)
    }

    /// A request that is forwarded without state.
    pub(super) fn stateless(
        onward: &Onward<'_>,
        taken: Taken,
        record_route: Option<RecordRoute>,
        loop_part: u64,
    ) -> Self {
        Self {
            server: None,
            ingress: *onward.ingress,
            loop_part,
            taken,
            record_route,
            call: None,
            recursion: Recursion::Never,
            keeps_others: false,
            account: None,
            flows: Flows::default(),
            redirect: None,
            size: onward.size,
            secure: onward.secure,
        }
    }

    /// A request whose target has named others by a 3xx.
    pub(super) fn redirected(onward: &Onward<'_>, redirect: Id, followed: u64) -> Self {
        Self {
            server: None,
            ingress: *onward.ingress,
            loop_part: 0,
            taken: Taken::default(),
            record_route: None,
            call: None,
            recursion: Recursion::Never,
            keeps_others: false,
            account: None,
            flows: Flows::default(),
            redirect: Some((redirect, followed)),
            size: onward.size,
            secure: onward.secure,
        }
    }
}

impl Node {
    /// Makes the bindings of the address-of-record in the work buffers the candidates (§16.5).
    pub(super) fn candidates_of_aor(
        &mut self,
        request: Message<'_>,
        source: &Source,
        role: &Role,
        patience: Patience,
        now: Now,
    ) {
        self.work.candidates.clear();
        let asked = Disposition::of(request);
        let at_once = asked.parallel.unwrap_or(role.fork == Fork::Parallel);
        let one = asked.fork == Some(false);
        let group = |q, rank| if at_once && !one { 0 } else { group_of(q, rank) };
        let terms = |binding: &Binding<'_>, rank| Terms {
            group: group(binding.q, rank),
            ring_timeout_ms: role.ring_ms,
            ..Terms::new(Origin::Binding, Way::Nowhere)
        };
        let mut has_others = false;
        self.add_bindings(source, patience, now, |binding| {
            let suits = suits(request, binding.params);
            has_others |= suits == Suits::NotByItself;
            match suits {
                Suits::Rank(rank) => Ok(terms(binding, rank)),
                Suits::Not | Suits::NotByItself => Err(BindingUse::Unsuited),
            }
        });
        if has_others && self.work.candidates.is_empty() {
            self.add_bindings(source, patience, now, |binding| {
                match suits(request, binding.params) {
                    Suits::NotByItself => Ok(terms(binding, 0)),
                    Suits::Rank(_) | Suits::Not => Err(BindingUse::Unsuited),
                }
            });
        }
        if one {
            self.work.candidates.keep_first();
        }
        self.work.candidates.settle_groups(role.turn_ms, false);
    }

    /// Adds bindings of the address-of-record in the work buffers to the candidates; `terms` says of each all but the way,
    /// or why it is none. Devices that sleep are woken only for requests that can wait; for those that are not to wait they are
    /// out of reach.
    pub(super) fn add_bindings(
        &mut self,
        source: &Source,
        patience: Patience,
        now: Now,
        mut terms: impl FnMut(&Binding<'_>) -> Result<Terms, BindingUse>,
    ) {
        let work = &mut self.work;
        self.shared.location.read(&work.aor, &mut work.record);
        let (shared, from) = (&self.shared, self.endpoint.identity.departure(source));
        let mut instances = Instances::default();
        let record = Bindings::new(&work.record);
        let mut bindings: SmallVec<[_; 2]> = record.live(now.wall_secs()).collect();
        put_newest_first(&mut bindings);
        for binding in &bindings {
            let sleep = sleep_of(shared, record, binding, now);
            if sleep == Sleep::Replaced {
                let used = BindingUse::Replaced;
                self.trace.note(|| Step::binding(binding, used, now));
                continue;
            }
            if sleep == Sleep::Asleep
                && patience != Patience::None
                && let Ok(terms) = terms(binding)
            {
                let is_queued = patience == Patience::Some;
                let used = match is_queued {
                    true => BindingUse::Pushed,
                    false => BindingUse::NotQueued,
                };
                self.trace.note(|| Step::binding(binding, used, now));
                if is_queued {
                    work.candidates.add_asleep(binding.contact, &work.aor, terms);
                }
                continue;
            }
            let Some(way) = way_of(shared, from, binding) else {
                self.trace.note(|| Step::not_reached(binding, shared, now));
                continue;
            };
            let terms = match terms(binding) {
                Ok(terms) => terms,
                Err(used) => {
                    self.trace.note(|| Step::binding(binding, used, now));
                    continue;
                }
            };
            let place = work.candidates.list().len() as u32;
            let known = (bindings.len() > 1).then(|| instances.place_of(binding, place));
            let stands_in_for = known.flatten();
            let used = stands_in_for.map_or(BindingUse::Target, |_| BindingUse::StandIn);
            self.trace.note(|| Step::binding(binding, used, now));
            work.stays |= !binding.path.is_empty() && binding.instance().is_some();
            work.candidates.add_bound(binding, terms, way);
            if let Some(place) = stands_in_for {
                work.candidates.stand_in(place);
            }
        }
    }

    /// Puts the address-of-record of one of our users into the work buffers; false if a URI is not one.
    pub(super) fn write_registered(&mut self, uri: &[u8]) -> bool {
        let work = &mut self.work;
        work.aor.clear();
        if work.own.addressed.write_aor(uri, &mut work.aor)
            || work.own.registered.write_aor(uri, &mut work.aor)
        {
            return true;
        }
        match Uri::parse(uri) {
            Ok(Uri::Sip(sip)) if self.shared.is_ours(&sip) && sip.user.is_some() => {
                self.write_aor_of(&sip);
                true
            }
            _ => false,
        }
    }

    /// Finds the ways to the candidates (RFC 3263 §4) as far as they are known, and if all are, makes the target set of those
    /// that can be reached. With `Patience::None` what is not known is no target.
    pub(super) fn locate_candidates(&mut self, onward: &Onward<'_>, patience: Patience, now: Now) -> Found {
        if onward.secure {
            self.leave_out_insecure();
        }
        let from = departure_of(&self.endpoint.identity, &self.shared.policy.routes, onward);
        let mut found = Found::Targets;
        let work = self.work.candidates.parts_mut();
        for number in 0..work.list.len() {
            let candidate = &work.list[number];
            if candidate.way != Way::ByUri {
                continue;
            }
            let first = work.hops.len();
            let hops = &mut *work.hops;
            match locate_candidate(candidate, work.text, onward) {
                Located::Address(ip, ways) => ways.put(from, ip, hops),
                Located::Unreachable => {}
                Located::Name(next_hop) => {
                    let seed = self.endpoint.identity.call_key(onward.request.call_id(), &[]);
                    let put = |servers: &[Server]| {
                        if patience == Patience::Some {
                            self.trace.note(|| Step::servers(next_hop.name, servers, true));
                        }
                        next_hop.ways.put_servers(from, servers, seed, hops);
                    };
                    let known = self.shared.dns.look(&next_hop, now.mono_ms(), put);
                    if known == Some(Age::Fresh) {
                        self.tally.dns_hit();
                    } else if patience == Patience::Some {
                        found = Found::Names;
                        work.hops.truncate(first);
                        continue;
                    }
                }
            }
            self.shared
                .dns
                .avoided
                .put_last(&mut work.hops[first..], now.mono_ms());
            work.hops.truncate(first + MOST_HOPS);
            let (first, end) = (first as u32, work.hops.len() as u32);
            work.list[number].way = Way::Located(first, end);
        }
        if found == Found::Targets {
            self.work.candidates.take_asleep(&mut self.work.asleep);
            self.work.candidates.fill(&mut self.work.targets);
        }
        found
    }

    /// Why a request goes nowhere although there are candidates.
    pub(super) fn no_way(&self, onward: &Onward<'_>) -> Reject {
        let candidates = &self.work.candidates;
        if onward.secure {
            return self.no_secure_way();
        }
        let is_named = |candidate: &Candidate| {
            matches!(
                locate_candidate(candidate, candidates.text(), onward),
                Located::Name(_)
            )
        };
        if candidates.list().iter().any(is_named) {
            no_address()
        } else {
            Reject::because(Status::SERVER_INTERNAL_ERROR, "No Way To Next Hop")
        }
    }

    /// Asks for the names among the candidates, and keeps the request until all answers have come.
    pub(super) fn look_up(&mut self, onward: &Onward<'_>, waiting: Waiting, now: Now, out: &mut Outbox) {
        let (pool, candidates) = (&mut self.endpoint.layer.pool, &self.work.candidates);
        let pending = PendingLookup {
            waiting,
            request: pool.store(onward.request.bytes()),
            list: SmallVec::from_slice(candidates.list()),
            texts: pool.store(candidates.text()),
            hops: SmallVec::from_slice(candidates.located()),
            awaited: 0,
        };
        let is_full = self.lookups.len() >= self.shared.policy.max_transactions;
        let ticket = self.lookups.insert_with(|_| pending);
        let Some(pending) = self.lookups.get_mut(ticket) else {
            return;
        };
        let asker = Some((self.endpoint.identity.shard, ticket));
        for candidate in &mut pending.list {
            if candidate.way != Way::ByUri {
                continue;
            }
            let asked = match locate_candidate(candidate, candidates.text(), onward) {
                Located::Name(next_hop) if !is_full => {
                    self.trace.note(|| Step::looked_up(&next_hop));
                    self.shared.dns.ask_for(&next_hop, asker)
                }
                _ => false,
            };
            if asked {
                self.tally.dns_miss();
                pending.awaited += 1;
            } else {
                candidate.way = Way::Nowhere;
            }
        }
        if pending.awaited == 0 {
            self.on_located(ticket, now, out);
        }
    }

    /// An answer is in the cache.
    pub(super) fn on_resolved(&mut self, ticket: Id, now: Now, out: &mut Outbox) {
        let Some(pending) = self.lookups.get_mut(ticket) else {
            return;
        };
        pending.awaited = pending.awaited.saturating_sub(1);
        if pending.awaited == 0 {
            self.on_located(ticket, now, out);
        }
    }

    /// All answers came: the request goes on, or is refused when no candidate has an address that we can reach.
    fn on_located(&mut self, ticket: Id, now: Now, out: &mut Outbox) {
        let Some(pending) = self.lookups.remove(ticket) else {
            return;
        };
        let Kept { mut text, mut index } = self.work.kept.take().unwrap_or_default();
        let (pool, candidates) = (&mut self.endpoint.layer.pool, &mut self.work.candidates);
        pool.take(pending.request, &mut text);
        pool.take(pending.texts, candidates.restore(&pending.list, &pending.hops));
        if let Ok(request) = index.parse(&text, &KEPT) {
            let waiting = &pending.waiting;
            let onward = Onward {
                request,
                ingress: &waiting.ingress,
                next: next_route(request, waiting.taken),
                next_uri: None,
                size: waiting.size,
                secure: waiting.secure,
                trunk: waiting.account,
            };
            self.locate_candidates(&onward, Patience::None, now);
            self.go_on(request, waiting, now, out);
            self.account(now);
        }
        self.work.kept = Some(Kept { text, index });
    }

    /// A hop has failed (RFC 3263 §4.3): for a while others are tried first.
    pub(super) fn note_failure(&mut self, peer: Option<Destination>, now: Now) {
        if let Some(peer) = peer {
            self.tally.failed_hop();
            self.shared.dns.avoided.failed(peer, None, now.mono_ms());
        }
    }

    /// A hop has answered: it works, unless it said 503.
    pub(super) fn note_answer(&mut self, client: Id, response: Message<'_>, now: Now) {
        let (avoided, now_ms) = (&self.shared.dns.avoided, now.mono_ms());
        let is_unavailable = response.status() == Some(Status::SERVICE_UNAVAILABLE);
        if !is_unavailable && !avoided.any(now_ms) {
            return;
        }
        let Some(peer) = self.endpoint.layer.peer_of(client) else {
            return;
        };
        if is_unavailable {
            self.tally.failed_hop();
            avoided.failed(
                peer,
                response.first(Name::RetryAfter).and_then(leading_number),
                now_ms,
            );
        } else {
            avoided.works(peer, now_ms);
        }
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
        let Kept { mut text, mut index } = self.work.kept.take().unwrap_or_default();
        self.endpoint.layer.pool.take(pending.request, &mut text);
        self.endpoint.layer.pool.give(pending.texts);
        if let Ok(request) = index.parse(&text, &KEPT)
            && let Some(start) = pending.waiting.start()
        {
            self.refuse(
                request,
                &start,
                &Reject::new(Status::REQUEST_TERMINATED),
                Cause::Cancelled,
                now,
                out,
            );
        }
        self.work.kept = Some(Kept { text, index });
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
        let request = self.endpoint.layer.pool.bytes(&pending.request);
        if let Ok(request) = self.work.index.parse(request, &KEPT) {
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
        if let Some((redirect, followed)) = waiting.redirect {
            let source = waiting.ingress.source;
            return self.go_on_elsewhere(request, &source, (redirect, followed), now, out);
        }
        let Some(mut start) = waiting.start() else {
            return self.go_on_stateless(request, waiting, now, out);
        };
        if self.work.targets.is_empty() && self.work.asleep.is_empty() {
            self.refuse(
                request,
                &start,
                &no_address(),
                Cause::NextHopHasNoAddress,
                now,
                out,
            );
        } else {
            self.begin(request, &mut start, now, out);
        }
    }

    /// Forwards a request to the targets in the work buffers, and has the devices woken that sleep.
    pub(super) fn begin(&mut self, request: Message<'_>, start: &mut Start<'_>, now: Now, out: &mut Outbox) {
        self.note_targets();
        start.awaited = self.work.asleep.len() as u8;
        self.proxy.start(
            &mut self.endpoint,
            request,
            start,
            &self.work.targets,
            now.mono_ms(),
            out,
        );
        self.wake_devices(request, start.server, &start.ingress.source, now, out);
    }

    /// Notes the targets in the work buffers.
    pub(super) fn note_targets(&self) {
        let (targets, listeners) = (&self.work.targets, &self.endpoint.identity.listeners);
        for target in targets.targets() {
            self.trace.note(|| Step::target(targets, target, listeners));
        }
    }

    /// Refuses a request that has a server transaction.
    pub(super) fn refuse(
        &mut self,
        request: Message<'_>,
        start: &Start<'_>,
        reject: &Reject,
        cause: Cause,
        now: Now,
        out: &mut Outbox,
    ) {
        let from = out.bytes.len();
        self.endpoint
            .identity
            .write_reject(request, start.ingress.stamp, reject, &mut out.bytes);
        self.tally.rejected(reject.status);
        self.trace.note(|| Step::refused(reject, true));
        // The transaction may have ended meanwhile; then nobody waits for the answer.
        let _ = self
            .endpoint
            .layer
            .respond(start.server, reject.status, from, now.mono_ms(), out);
        if let Some(call) = start.call {
            let method = request.method();
            let progress = Progress {
                call,
                method,
                place: None,
                status: reject.status,
                session_expires: None,
                cause: Some(cause),
            };
            self.on_progress(&progress, now);
        }
    }
}

/// By which listener a request leaves if that will do: by the one that it came to, or that of the trunk it goes out by.
fn departure_of<'i>(identity: &'i Identity, routes: &Routes, onward: &Onward<'_>) -> Departure<'i> {
    let from = identity.departure(&onward.ingress.source);
    let trunk = onward.trunk.and_then(|id| routes.trunk_of(id));
    match trunk.and_then(|trunk| preferred(from.listeners, trunk)) {
        Some(preferred) => Departure { preferred, ..from },
        None => from,
    }
}

/// The way to a binding; `None` if there is none.
fn way_of(shared: &super::Shared, from: Departure<'_>, binding: &Binding<'_>) -> Option<BoundWay> {
    let is_ours = |uri: &SipUri<'_>| shared.is_ours(uri);
    match way_to(from, binding, shared.policy.boot, is_ours) {
        Some((hop, fallback)) => Some(BoundWay::Hops(hop, fallback)),
        None => leads_by_name(binding, is_ours).then_some(BoundWay::ByPath),
    }
}

/// The first ways to a binding, or `Err` while the name at the beginning of its path is being looked up; `None` if there is none. The
/// last answer of DNS will do, however old.
pub(super) fn known_way(
    shared: &super::Shared,
    from: Departure<'_>,
    binding: &Binding<'_>,
    now: Now,
) -> Result<Option<(Hop, Option<Hop>)>, Unknown> {
    match way_of(shared, from, binding) {
        None => return Ok(None),
        Some(BoundWay::Hops(hop, fallback)) => return Ok(Some((hop, fallback))),
        Some(BoundWay::ByPath) => {}
    }
    let first = ListItems::new(binding.path).next().map(|(first, _)| first);
    let edge = first.and_then(|first| NameAddr::parse(first).ok());
    let Some(Uri::Sip(edge)) = edge.map(|edge| edge.uri) else {
        return Ok(None);
    };
    let Located::Name(name) = locate(&edge, Size::Small) else {
        return Ok(None);
    };
    let mut hops = Vec::new();
    let put = |servers: &[Server]| name.ways.put_servers(from, servers, now.mono_ms(), &mut hops);
    let known = shared.dns.look(&name, now.mono_ms(), put);
    if known != Some(Age::Fresh) {
        shared.dns.ask_for(&name, None);
    }
    if known.is_none() {
        return Err(Unknown);
    }
    shared.dns.avoided.put_last(&mut hops, now.mono_ms());
    Ok(hops.first().map(|hop| (*hop, hops.get(1).copied())))
}

/// A name has not been looked up yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown;

/// The answer when the name of a next hop leads nowhere.
fn no_address() -> Reject {
    Reject::because(Status::BAD_GATEWAY, "Next Hop Has No Address")
}

/// The way to a candidate, by where it is to go next. What is for a SIPS URI goes as to one, whatever leads there (RFC 3261 §16.6
/// step 7).
fn locate_candidate<'a>(candidate: &Candidate, text: &'a [u8], onward: &Onward<'a>) -> Located<'a> {
    if let Some(uri) = onward.next_uri.filter(|_| candidate.is_as_asked(text)) {
        return locate_by(uri, onward);
    }
    match Uri::parse(candidate.next_hop(text, onward.next)) {
        Ok(Uri::Sip(sip)) => locate_by(&sip, onward),
        _ => Located::Unreachable,
    }
}

fn locate_by<'a>(uri: &SipUri<'a>, onward: &Onward<'_>) -> Located<'a> {
    if onward.secure && !uri.secure {
        let secure = SipUri { secure: true, ..*uri };
        return locate(&secure, onward.size);
    }
    locate(uri, onward.size)
}

/// The number at the beginning of a value such as Retry-After (RFC 3261 §20.33).
fn leading_number(value: &[u8]) -> Option<u64> {
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    strowger_syntax::scan::number(&value[..digits])
}

/// Whether a contact is this URI, which the phone's answer may have written in another way (RFC 3261 §19.1.4).
pub(super) fn is_contact(contact: &[u8], uri: &[u8]) -> bool {
    let equivalent = |contact, uri| {
        Some(Uri::equivalent(
            &Uri::parse(contact).ok()?,
            &Uri::parse(uri).ok()?,
        ))
    };
    contact == uri || equivalent(contact, uri) == Some(true)
}
