//! Where a request goes: bindings of our users, and the hosts of foreign targets (RFC 3261 §16.5, §16.6 step 7).

use std::net::IpAddr;

use smallvec::SmallVec;
use strowger_sip::endpoint::Ingress;
use strowger_sip::memory::{Id, Stored};
use strowger_sip::proxy::{
    Cause, Disposition, Progress, RecordRoute, Recursion, Routing, Start, Suits, Taken, suits,
};
use strowger_sip::registrar::{Binding, Bindings};
use strowger_sip::transaction::KEPT;
use strowger_sip::transport::{Departure, Located, Size, locate, way_to};
use strowger_sip::{Now, Outbox, Reject, Source};
use strowger_syntax::uri::{Host, Uri};
use strowger_syntax::{Message, Status};

use super::candidates::{Candidate, Origin, Terms, Way, group_of};
use super::{Kept, Node};
use crate::config::Fork;

/// What the candidates of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Targets, which are in the work buffers; none if no candidate can be reached.
    Targets,
    /// Some whose names must be looked up first.
    Names,
}

/// A host name to look up, off the shard.
#[derive(Clone, Debug)]
pub struct Question {
    /// The shard that waits for the answer.
    pub shard: u16,
    /// What it waits with.
    pub ticket: Id,
    /// Which candidate of the request it is asked for.
    pub number: u16,
    /// The name.
    pub host: HostName,
}

/// A host name by itself, so that asking for one allocates nothing.
#[derive(Clone, Copy)]
pub struct HostName {
    text: [u8; Self::MAX],
    len: u8,
}

impl HostName {
    /// The most bytes that a name has (RFC 1035 §2.3.4).
    const MAX: usize = 255;

    /// Takes a name; `None` if it is too long or not ASCII.
    pub fn new(name: &[u8]) -> Option<Self> {
        let (mut text, len) = ([0; Self::MAX], u8::try_from(name.len()).ok()?);
        text.get_mut(..name.len())?.copy_from_slice(name);
        name.is_ascii().then_some(Self { text, len })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl std::fmt::Debug for HostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A request that waits for the addresses of its next hops.
#[derive(Debug)]
pub(super) struct PendingLookup {
    waiting: Waiting,
    request: Stored,
    /// The candidates and their texts.
    list: SmallVec<[Candidate; 1]>,
    texts: Stored,
    /// How many answers are still to come.
    awaited: u16,
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
    recursion: Recursion,
    keeps_others: bool,
    /// The 3xx that it stands for, and which of its contacts have become candidates.
    redirect: Option<(Id, u64)>,
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
            recursion: start.recursion,
            keeps_others: start.keeps_others,
            redirect: None,
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
            recursion,
            keeps_others,
            ..
        } = *self;
        Some(Start {
            server: self.server?,
            ingress,
            loop_part,
            taken,
            record_route,
            call,
            recursion,
            keeps_others,
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
            recursion: Recursion::Never,
            keeps_others: false,
            redirect: None,
        }
    }

    /// A request whose target has named others by a 3xx.
    pub(super) fn redirected(ingress: &Ingress, redirect: Id, followed: u64) -> Self {
        Self {
            server: None,
            ingress: *ingress,
            loop_part: 0,
            taken: Taken::default(),
            record_route: None,
            call: None,
            recursion: Recursion::Never,
            keeps_others: false,
            redirect: Some((redirect, followed)),
        }
    }
}

impl Node {
    /// Makes the bindings of the address-of-record in the work buffers the candidates (§16.5).
    pub(super) fn candidates_of_aor(
        &mut self,
        request: Message<'_>,
        asked: &Disposition,
        source: &Source,
        now: Now,
    ) {
        self.work.candidates.clear();
        let policy = &self.shared.policy;
        let (fork, ring_timeout_ms) = (policy.fork, policy.ring_timeout_ms);
        let at_once = asked.parallel.unwrap_or(fork == Fork::Parallel);
        let one = asked.fork == Some(false);
        let group = |q, rank| if at_once && !one { 0 } else { group_of(q, rank) };
        let terms = |binding: &Binding<'_>, rank| Terms {
            group: group(binding.q, rank),
            ..Terms::new(Origin::Binding, Way::Nowhere)
        };
        self.add_bindings(source, now, |binding| match suits(request, binding.params) {
            Suits::Rank(rank) => Some(terms(binding, rank)),
            Suits::Not | Suits::NotByItself => None,
        });
        if self.work.candidates.is_empty() {
            self.add_bindings(source, now, |binding| match suits(request, binding.params) {
                Suits::NotByItself => Some(terms(binding, 0)),
                Suits::Rank(_) | Suits::Not => None,
            });
        }
        if one {
            self.work.candidates.keep_first();
        }
        self.work.candidates.settle_groups(ring_timeout_ms);
    }

    /// Adds bindings of the address-of-record in the work buffers to the candidates; `terms` says which, and all but the way.
    pub(super) fn add_bindings(
        &mut self,
        source: &Source,
        now: Now,
        terms: impl Fn(&Binding<'_>) -> Option<Terms>,
    ) {
        let work = &mut self.work;
        self.shared.location.read(&work.aor, &mut work.record);
        let (shared, from) = (&self.shared, self.endpoint.identity.departure(source));
        for binding in Bindings::new(&work.record).live(now.wall_secs()) {
            let way = way_to(from, &binding, shared.policy.boot, |uri| shared.is_ours(uri));
            if let Some((hop, fallback)) = way
                && let Some(terms) = terms(&binding)
            {
                let terms = Terms {
                    way: Way::Known(hop, fallback),
                    ..terms
                };
                work.candidates.add(binding.contact, binding.path, terms);
            }
        }
    }

    /// Finds the ways to the candidates of a request of this size, whose next Route element is `next`, as far as no name
    /// has to be looked up for them; and if none has to, makes those that can be reached the target set.
    pub(super) fn locate_candidates(&mut self, next: Option<&[u8]>, source: &Source, size: Size) -> Found {
        let work = &mut self.work;
        let from = self.endpoint.identity.departure(source);
        let mut found = Found::Targets;
        let (list, text) = work.candidates.parts_mut();
        for candidate in list {
            if candidate.way == Way::ByUri {
                candidate.way = match locate_uri(from, candidate.next_hop(text, next), size) {
                    Located::Address(hop, fallback) => Way::Known(hop, fallback),
                    Located::Name(_, ways) => Way::Named(ways),
                    Located::Unreachable => Way::Nowhere,
                };
            }
            if matches!(candidate.way, Way::Named(_)) {
                found = Found::Names;
            }
        }
        if found == Found::Targets {
            work.candidates.fill(&mut work.targets);
        }
        found
    }

    /// Asks for the names among the candidates, and keeps the request until all answers have come.
    pub(super) fn look_up(
        &mut self,
        request: Message<'_>,
        waiting: Waiting,
        next: Option<&[u8]>,
        now: Now,
        out: &mut Outbox,
    ) {
        let shard = self.endpoint.identity.shard;
        let (pool, candidates) = (&mut self.endpoint.layer.pool, &self.work.candidates);
        let pending = PendingLookup {
            waiting,
            request: pool.store(request.bytes()),
            list: SmallVec::from_slice(candidates.list()),
            texts: pool.store(candidates.text()),
            awaited: 0,
        };
        let ticket = self.lookups.insert_with(|_| pending);
        let Some(pending) = self.lookups.get_mut(ticket) else {
            return;
        };
        let (resolver, text) = (&self.shared.resolver, candidates.text());
        for (number, candidate) in (0..).zip(&mut pending.list) {
            if !matches!(candidate.way, Way::Named(_)) {
                continue;
            }
            let question = host_name(candidate.next_hop(text, next)).map(|host| Question {
                shard,
                ticket,
                number,
                host,
            });
            if question.is_some_and(|question| resolver.try_send(question).is_ok()) {
                pending.awaited += 1;
            } else {
                candidate.way = Way::Nowhere;
            }
        }
        if pending.awaited == 0 {
            self.on_located(ticket, now, out);
        }
    }

    /// The answer to a question came: the ways to that candidate are known.
    pub(super) fn on_resolved(
        &mut self,
        ticket: Id,
        number: u16,
        addresses: &[IpAddr],
        now: Now,
        out: &mut Outbox,
    ) {
        let Some(pending) = self.lookups.get_mut(ticket) else {
            return;
        };
        let from = self.endpoint.identity.departure(&pending.waiting.ingress.source);
        let Some(candidate) = pending.list.get_mut(usize::from(number)) else {
            return;
        };
        let Way::Named(ways) = candidate.way else { return };
        let mut hops = addresses.iter().filter_map(|&ip| ways.hop(from, ip));
        let (first, second) = (hops.next(), hops.next().map(|(hop, _)| hop));
        candidate.way = match first {
            Some((hop, fallback)) => Way::Known(hop, fallback.or(second)),
            None => Way::Nowhere,
        };
        pending.awaited -= 1;
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
        let (pool, work) = (&mut self.endpoint.layer.pool, &mut self.work);
        pool.take(pending.request, &mut text);
        pool.take(pending.texts, work.candidates.restore(&pending.list));
        if let Ok(request) = index.parse(&text, &KEPT) {
            work.candidates.fill(&mut work.targets);
            self.go_on(request, &pending.waiting, now, out);
            self.account(now);
        }
        self.work.kept = Some(Kept { text, index });
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
            return self.go_on_elsewhere(redirect, followed, now, out);
        }
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
            self.refuse(request, &start, &reject, Cause::NextHopHasNoAddress, now, out);
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
        cause: Cause,
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
            let progress = Progress {
                call,
                method,
                status: reject.status,
                session_expires: None,
                cause: Some(cause),
            };
            self.on_progress(&progress, now);
        }
    }
}

/// The way to the host of a URI, which may be none at all.
fn locate_uri<'a>(from: Departure<'_>, uri: &'a [u8], size: Size) -> Located<'a> {
    match Uri::parse(uri) {
        Ok(Uri::Sip(sip)) => locate(from, &sip, size),
        _ => Located::Unreachable,
    }
}

/// The name that the way to a URI depends on.
fn host_name(uri: &[u8]) -> Option<HostName> {
    match Uri::parse(uri) {
        Ok(Uri::Sip(sip)) => match sip.maddr().unwrap_or(sip.host) {
            Host::Name(name) => HostName::new(name),
            _ => None,
        },
        _ => None,
    }
}
