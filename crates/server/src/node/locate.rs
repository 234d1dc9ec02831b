//! Where a request goes: bindings of our users, and the hosts of foreign targets (RFC 3261 §16.5, §16.6 step 7).

use std::net::IpAddr;

use strowger_sip::endpoint::Ingress;
use strowger_sip::memory::{Id, Stored};
use strowger_sip::proxy::{Cause, Progress, RecordRoute, Routing, Start, Taken, Turn};
use strowger_sip::registrar::Bindings;
use strowger_sip::transaction::KEPT;
use strowger_sip::transport::{Ways, way_to};
use strowger_sip::{Now, Outbox, Reject, Source};
use strowger_syntax::{Message, Status};

use super::{Kept, Node};

/// A host name to look up, off the shard.
#[derive(Clone, Debug)]
pub struct Question {
    /// The shard that waits for the answer.
    pub shard: u16,
    /// What it waits with.
    pub ticket: Id,
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
    recurse: bool,
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
            recurse: start.recurse,
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
            recurse,
            ..
        } = *self;
        Some(Start {
            server: self.server?,
            ingress,
            loop_part,
            taken,
            record_route,
            call,
            recurse,
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
            recurse: false,
        }
    }
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

impl Node {
    /// Fills the target set with the bindings of the address-of-record in the work buffers (§16.5).
    pub(super) fn targets_of_aor(&mut self, source: &Source, now: Now) {
        self.work.targets.clear();
        self.shared.location.read(&self.work.aor, &mut self.work.record);
        let (shared, from) = (&self.shared, self.endpoint.identity.departure(source));
        for binding in Bindings::new(&self.work.record).live(now.wall_secs()) {
            let way = way_to(from, &binding, shared.policy.boot, |uri| shared.is_ours(uri));
            if let Some((hop, fallback)) = way {
                let hops = [hop].into_iter().chain(fallback);
                self.work
                    .targets
                    .add(binding.contact, binding.path, hops, Turn::default());
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
        let resolver = &self.shared.resolver;
        let asked = HostName::new(target.name)
            .is_some_and(|host| resolver.try_send(Question { shard, ticket, host }).is_ok());
        if !asked {
            self.on_resolved(ticket, &[], now, out);
        }
    }

    /// The answer came: the request goes on, or is refused when the name has no address we can reach.
    pub(super) fn on_resolved(&mut self, ticket: Id, addresses: &[IpAddr], now: Now, out: &mut Outbox) {
        let Some(pending) = self.lookups.remove(ticket) else {
            return;
        };
        let Kept { mut text, mut index } = self.work.kept.take().unwrap_or_default();
        let pool = &mut self.endpoint.layer.pool;
        pool.take(pending.request, &mut text);
        pool.take(pending.uri, &mut self.work.name);
        let from = self.endpoint.identity.departure(&pending.waiting.ingress.source);
        let mut hops = addresses.iter().filter_map(|&ip| pending.ways.hop(from, ip));
        if let Ok(request) = index.parse(&text, &KEPT) {
            let first = hops.next();
            let second = hops.next().map(|(hop, _)| hop);
            self.work.targets.clear();
            if let Some((hop, fallback)) = first {
                let hops = [hop].into_iter().chain(fallback.or(second));
                self.work.targets.add(&self.work.name, &[], hops, Turn::default());
            }
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
        self.endpoint.layer.pool.give(pending.uri);
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
