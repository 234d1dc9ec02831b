//! The SIP node: one [`Node`] per shard, and what all of them share.
//!
//! A request's way: [`Node::receive`](strowger_net::Application::receive) indexes it and finds its shard, the transaction
//! layer takes what belongs to a transaction, [`dispatch`] decides which core answers the rest ([`registrar`], proxy, or
//! the node itself), [`policy`] says who may do what, and [`locate`] finds where it goes.

mod calls;
mod candidates;
mod changes;
mod committing;
mod dispatch;
mod events;
mod flows;
mod forward;
mod gruu;
mod guard;
mod journal;
mod keep_alive;
mod locate;
mod multicast;
mod own_names;
mod pings;
mod policy;
mod probes;
mod push;
mod recurse;
mod refused;
mod registrar;
mod routes;
mod secure;
mod shared;
mod tally;
pub(crate) mod trace;
mod trunks;
mod user_lookup;
mod visitors;
mod waking;

use std::net::SocketAddr;
use std::sync::Arc;

use strowger_net::{Application, Handled};
use strowger_sip::auth::{ChallengeLines, RequestHashes, is_challenge};
use strowger_sip::endpoint::{Ingress, send_bounded};
use strowger_sip::memory::{Id, Slab};
use strowger_sip::proxy::{Progress, Proxy, ProxyConfig, TargetSet};
use strowger_sip::registrar::DateLine;
use strowger_sip::transaction::{Expired, FailedSend, Matched};
use strowger_sip::transport::{OurBranch, Owner};
use strowger_sip::ua::Why;
use strowger_sip::{Endpoint, EndpointConfig, Failure, Flow, Now, Outbox, Source};
use strowger_syntax::message::{BadMessage, Edits, ResponseWriter, StartLine};
use strowger_syntax::{Index, Message, Method, Status};
use tokio::sync::oneshot;

pub use candidates::{Candidate, Candidates, Origin, Terms, Way};
pub use journal::{Journal, JournalEnd};
pub use shared::{EventPolicy, NodePolicy, Shared};
pub use tally::Tally;
pub use visitors::Visitors;

use crate::admin;
use crate::events::Settled;
use crate::location::{Committed, Slot, Watcher};
use crate::push::Pushed;
use crate::routing::{Dialled, Stay};
use calls::Calls;
use candidates::Sleeper;
use committing::Committing;
use events::{Events, is_notify};
use locate::PendingLookup;
use own_names::OwnNames;
use pings::Pings;
use probes::{Probes, is_probe};
use tally::{Held, Sizes};
use trace::{ResponseBranch, Step, Tracer, TransactionFound};
use trunks::{Registrations, is_registration};
use waking::Waking;

/// Transactions and calls of a shard that are copied at most, to try what it would do: about 10 MB, which takes it a few
/// milliseconds.
const MOST_COPIED: usize = 5000;

/// What the control side sends to a shard.
#[derive(Debug)]
pub enum Control {
    /// Commits of the location service are done, or have failed, in the order in which they were asked for.
    Committed(Vec<Committed>),
    /// One of the names that the request of this ticket waits for was looked up; what was found is in the cache.
    Resolved(Id),
    /// Bindings have changed that this shard waits for.
    BindingsChanged,
    /// Changes of subscriptions are on the disk, or have failed.
    SubscriptionsKept(Vec<Settled>),
    /// A device was pushed, or could not be.
    Pushed(Box<Pushed>),
    /// The device of this number could not be pushed, as another shard wanted.
    NotPushed(u64),
    /// The server of users was asked for the one that the request of this ticket waits for, and has answered or failed; what it
    /// said is known.
    UserLookedUp {
        /// What waits.
        ticket: Id,
        /// Whether it answered.
        answered: bool,
    },
    /// An administrator wants to see the calls.
    ListCalls(oneshot::Sender<Vec<admin::Call>>),
    /// An administrator wants to see the subscriptions.
    ListSubscriptions(oneshot::Sender<Vec<admin::Subscription>>),
    /// An administrator wants to see the trunks that this shard registers.
    ListTrunks(oneshot::Sender<Vec<admin::Trunk>>),
    /// Somebody wants to try what the shard would do.
    Copy(Box<Copying>),
    /// Another configuration is in force.
    Reload(Reload),
    /// New work is to be refused.
    Drain,
}

/// What the copy of a shard's node is made with, and where it goes; `None` when there is too much to copy.
#[derive(Debug)]
pub struct Copying {
    /// What it shares with nobody.
    pub shared: Arc<Shared>,
    /// Its journal.
    pub journal: Journal,
    /// Who wants it.
    pub reply: oneshot::Sender<Option<Box<Node>>>,
}

/// Another configuration for a shard that runs.
pub struct Reload {
    /// What the shards share now.
    pub shared: Arc<Shared>,
    /// What the endpoint is made of now.
    pub endpoint: Arc<EndpointConfig>,
    /// Whether log lines are wanted.
    pub logs: bool,
    /// Gets what they shared before, once nothing of the shard needs it any more.
    pub done: oneshot::Sender<Arc<Shared>>,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

/// One shard's part of the node.
pub struct Node {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    proxy: Proxy,
    calls: Calls,
    registers: Committing,
    lookups: Slab<PendingLookup>,
    wakings: Slab<Waking>,
    /// Requests that wait for what the server of users says.
    waiting: Slab<user_lookup::Waiting>,
    probes: Probes,
    registrations: Registrations,
    /// For whose bindings this shard waits.
    watcher: Watcher,
    events: Events,
    pings: Pings,
    journal: Journal,
    refused: refused::Quota,
    tally: Arc<Tally>,
    trace: Tracer,
    /// Whether it held nothing at the end of the last turn.
    is_empty: bool,
    /// When the sizes of what is held are told again while there is work, in milliseconds.
    sizes_due_ms: u64,
    draining: bool,
    work: Work,
}

/// How often the sizes of what a shard at work holds are told, in milliseconds.
const SIZES_MS: u64 = 100;

/// Buffers that are reused from request to request.
#[derive(Default)]
struct Work {
    candidates: Candidates,
    /// Of those, the ones whose devices sleep.
    asleep: Vec<Sleeper>,
    targets: TargetSet,
    /// An address-of-record.
    aor: Vec<u8>,
    /// The instance ID that a GRUU of it stands for.
    instance: Vec<u8>,
    /// Whether to stay on the path of a dialog, whatever the configuration says (RFC 5627 §6.2).
    stays: bool,
    /// A record of the location service, and the next one.
    record: Vec<u8>,
    next_record: Vec<u8>,
    /// The Contact lines that go with the record, where they are known already.
    contacts: Vec<u8>,
    /// Header field lines.
    lines: Vec<u8>,
    /// A user name or a domain.
    name: Vec<u8>,
    realm: Vec<u8>,
    own: OwnNames,
    challenges: ChallengeLines,
    request_hashes: RequestHashes,
    date: DateLine,
    edits: Edits,
    index: Index,
    /// `None` while one goes on.
    kept: Option<Kept>,
    /// A request with another header.
    rewritten: Kept,
    dialled: Dialled,
    entered: Option<Stay>,
    /// Where bindings have changed.
    changed: Vec<Slot>,
    /// What came of asking for the users of the request that goes on.
    looked: user_lookup::LookedUp,
}

/// A request that was kept, while it goes on.
#[derive(Default)]
struct Kept {
    text: Vec<u8>,
    index: Index,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node {{ shard: {} }}", self.endpoint.identity.shard)
    }
}

impl Node {
    /// The part of one shard.
    pub fn new(
        shard: u16,
        shared: Arc<Shared>,
        endpoint: &EndpointConfig,
        journal: Journal,
        tally: Arc<Tally>,
    ) -> Self {
        let mut probes = Probes::default();
        probes.start(&shared.policy.routes, shard);
        let mut pings = Pings::default();
        pings.start(&shared.policy.nat, shard);
        Self {
            endpoint: Endpoint::new(shard, endpoint),
            probes,
            registrations: Registrations::of(&shared.policy.routes),
            pings,
            proxy: Proxy::new(proxy_config(&shared.policy)),
            calls: Calls::default(),
            registers: Committing::default(),
            lookups: Slab::default(),
            wakings: Slab::default(),
            watcher: Watcher::new(shard),
            events: Events::default(),
            waiting: Slab::default(),
            journal,
            refused: refused::Quota::default(),
            tally,
            trace: Tracer::default(),
            is_empty: false,
            sizes_due_ms: 0,
            draining: false,
            work: Work::default(),
            shared,
        }
    }

    /// A node in the state of this one, over other stores, which notes its steps: to try what this one would do with a message.
    /// `None` when there is too much to copy.
    pub fn copy(&self, shared: Arc<Shared>, journal: Journal) -> Option<Self> {
        let (servers, clients) = self.endpoint.layer.counts();
        if servers + clients + self.calls.len() + self.events.len() > MOST_COPIED {
            return None;
        }
        Some(Self {
            endpoint: self.endpoint.clone(),
            proxy: self.proxy.clone(),
            probes: Probes::default(),
            registrations: Registrations::default(),
            pings: Pings::default(),
            calls: self.calls.copy(),
            registers: self.registers.clone(),
            lookups: self.lookups.clone(),
            wakings: self.wakings.clone(),
            watcher: Watcher::new(self.endpoint.identity.shard),
            events: self.events.clone(),
            waiting: self.waiting.clone(),
            journal,
            refused: refused::Quota::default(),
            tally: Arc::default(),
            trace: Tracer::listening(),
            is_empty: false,
            sizes_due_ms: 0,
            draining: self.draining,
            work: Work::default(),
            shared,
        })
    }

    /// Begins to note its steps, to try what it would do with a message; it asks no targets of groups if they are there.
    pub fn listen(&mut self) {
        self.trace = Tracer::listening();
        self.probes = Probes::default();
        self.registrations = Registrations::default();
        self.pings = Pings::default();
    }

    /// The steps since they were last taken.
    pub fn steps(&self) -> Vec<Step> {
        self.trace.take()
    }

    /// Whether what has this Call-ID belongs to this shard.
    pub fn owns(&self, call_id: &[u8]) -> bool {
        let identity = &self.endpoint.identity;
        identity.owner_of(call_id) == identity.shard
    }

    fn on_message(&mut self, message: Message<'_>, source: &Source, now: Now, out: &mut Outbox) {
        out.of_call(Some(message.call_id()));
        if message.is_request() {
            self.on_request(message, source, now, out);
        } else {
            self.on_response(message, now, out);
        }
        out.of_call(None);
    }

    fn on_request(&mut self, request: Message<'_>, source: &Source, now: Now, out: &mut Outbox) {
        self.tally.request(request.method());
        let ingress = Ingress::of(request, source);
        if !self.waiting.is_empty() && self.is_waiting(request) {
            let found = TransactionFound::Absorbed;
            self.trace.note(|| Step::Transaction { found });
            return self.tally.absorbed();
        }
        let cancels = request.method() == Method::Cancel && !self.waiting.is_empty();
        if cancels && self.cancel_waiting(request, &ingress, now, out) {
            return;
        }
        self.take_up(request, &ingress, now, out);
    }

    /// Deals with a request that is new here, or has waited for what the server of users says.
    fn take_up(&mut self, request: Message<'_>, ingress: &Ingress, now: Now, out: &mut Outbox) {
        if ingress.source.is_multicast() {
            return self.on_multicast(request, ingress, now, out);
        }
        if self.answer_own(request, ingress, now, out) {
            return;
        }
        let key = self.endpoint.identity.server_key(request);
        match self.endpoint.layer.on_request(request, key, now.mono_ms(), out) {
            Matched::Absorbed => {
                let found = TransactionFound::Absorbed;
                self.trace.note(|| Step::Transaction { found });
                self.tally.absorbed();
            }
            Matched::Cancel(server) => {
                self.trace.note(|| Step::Transaction {
                    found: match self.endpoint.layer.context_of(server) {
                        Some(_) => TransactionFound::CancelsForwarded,
                        None => TransactionFound::CancelsLookUp,
                    },
                });
                // RFC 3261 §16.10: a 200 for the CANCEL itself, whatever becomes of the branches.
                self.endpoint
                    .identity
                    .reply(request, ingress, Status::OK, &[], out);
                match self.endpoint.layer.context_of(server) {
                    Some(context) => self
                        .proxy
                        .on_cancel(&mut self.endpoint, context, now.mono_ms(), out),
                    None => self.cancel_lookup(server, now, out),
                }
                self.account(now);
            }
            Matched::New => {
                let found = TransactionFound::New;
                self.trace.note(|| Step::Transaction { found });
                self.dispatch(request, ingress, key, now, out);
            }
        }
    }

    /// A response: to the client transaction that its branch names (§16.7 step 1), or on its way back to where a request
    /// was forwarded without state. What matches neither is dropped (RFC 6026 §7.3).
    fn on_response(&mut self, response: Message<'_>, now: Now, out: &mut Outbox) {
        self.tally.response(response.status());
        match response
            .branch()
            .and_then(|b| self.endpoint.identity.branches.read(b))
        {
            Some(OurBranch::Stateful { shard, client, check })
                if shard == self.endpoint.identity.shard && self.endpoint.layer.is_named(client, check) =>
            {
                self.note_answer(client, response, now);
                let user = self
                    .endpoint
                    .layer
                    .on_response(client, response, now.mono_ms(), out);
                self.trace.note(|| Step::Response {
                    branch: match user {
                        Some(_) => ResponseBranch::Passed,
                        None => ResponseBranch::Absorbed,
                    },
                });
                if let Some(user) = user {
                    if is_probe(user) {
                        let status = response.status().unwrap_or(Status::SERVER_INTERNAL_ERROR);
                        return self.on_probe_answer(user, status, now);
                    }
                    if is_notify(user) {
                        return self.on_notify_answer(user, response, now, out);
                    }
                    if is_registration(user) {
                        return self.on_registration_answer(user, client, response, now, out);
                    }
                    if is_challenge(response) && self.on_challenge(user, response, now, out) {
                        return self.account(now);
                    }
                    self.proxy
                        .on_response(&mut self.endpoint, user, response, now.mono_ms(), out);
                    self.account(now);
                    self.recurse(now, out);
                }
            }
            Some(OurBranch::Stateful { client, check, .. }) if self.is_ping_answer(client, check) => {}
            Some(OurBranch::Stateless { token }) => self.forward_response(response, token, out),
            ours => {
                self.trace.note(|| Step::Response {
                    branch: match ours {
                        Some(_) => ResponseBranch::Ended,
                        None => ResponseBranch::Stray,
                    },
                });
                self.tally.stray();
            }
        }
    }

    /// A message that cannot be used: a request is told why, if it can be answered without keeping state of it.
    fn on_bad(
        &mut self,
        bytes: &[u8],
        index: &Index,
        bad: BadMessage,
        source: &Source,
        now: Now,
        out: &mut Outbox,
    ) {
        self.tally.malformed();
        self.trace.note(|| Step::unusable(bad));
        if !bad.answerable
            || source.is_multicast()
            || !matches!(index.start_line(), Some(StartLine::Request { .. }))
        {
            return;
        }
        let request = Message::view(bytes, index);
        let ingress = Ingress::of(request, source);
        if !self.may_refuse(&ingress, self.sender_by_source(&ingress), now) {
            return;
        }
        let tag = self.endpoint.identity.to_tag(bytes, index);
        let start = out.bytes.len();
        let (status, reason) = (bad.fault.status(), bad.fault.reason());
        ResponseWriter::begin(&mut out.bytes, bytes, index, status, reason, ingress.stamp, &tag).finish();
        send_bounded(bytes.len(), &ingress, start, out);
    }

    /// Brings the calls up to date with what the proxy has passed on.
    fn account(&mut self, now: Now) {
        while let Some(progress) = self.proxy.next_progress() {
            self.on_progress(&progress, now);
        }
        while let Some(failed) = self.proxy.next_failed_flow() {
            self.unbind_flow(&failed, now);
        }
    }

    fn on_progress(&mut self, progress: &Progress, now: Now) {
        let wheel = &mut self.endpoint.layer.wheel;
        self.calls
            .on_progress(progress, wheel, &mut self.journal, &self.tally, now);
    }

    /// Goes on with another configuration. What was begun goes on; what was worked out from the former one is forgotten.
    fn reload(&mut self, reload: Reload, now: Now, out: &mut Outbox) {
        let Reload {
            shared,
            endpoint,
            logs,
            done,
        } = reload;
        let former_listeners = Arc::clone(&self.endpoint.identity.listeners);
        self.endpoint.reconfigure(&endpoint);
        self.proxy.reconfigure(proxy_config(&shared.policy));
        self.journal.want(logs);
        self.work.own = OwnNames::default();
        self.work.challenges = ChallengeLines::default();
        self.probes
            .start(&shared.policy.routes, self.endpoint.identity.shard);
        self.pings.start(&shared.policy.nat, self.endpoint.identity.shard);
        let former = std::mem::replace(&mut self.shared, shared);
        self.follow_trunks(&former_listeners, now, out);
        self.review_subscriptions(now, out);
        // Whoever asked drops it, off the shard; or it goes here if nobody waits any more.
        drop(done.send(former));
    }

    /// A message could not be sent.
    fn on_failed(&mut self, failed: FailedSend, now: Now, out: &mut Outbox) {
        match failed {
            FailedSend::Client(user) if is_probe(user) => self.on_probe_failed(user, now),
            FailedSend::Client(user) if is_notify(user) => self.on_notify_failed(user, false, now, out),
            FailedSend::Client(user) if is_registration(user) => {
                self.on_registration_failed(user, Why::Unreachable, now, out);
            }
            failed => {
                self.proxy
                    .on_send_failed(&mut self.endpoint, failed, now.mono_ms(), out);
                self.account(now);
            }
        }
    }

    /// Tells what is held; and how large it is, from time to time while there is work, and at its end.
    fn publish(&mut self, now: Now) {
        let layer = &self.endpoint.layer;
        let (servers, clients) = layer.counts();
        let held = Held {
            server_transactions: servers,
            client_transactions: clients,
            calls: self.calls.len(),
            message_bytes: layer.pool.used_bytes(),
            spare_bytes: layer.pool.free_bytes(),
        };
        self.tally.publish(&held);
        let is_idle = self.is_idle();
        let is_empty = is_idle && servers + clients + self.calls.len() + self.events.len() == 0;
        let was_empty = std::mem::replace(&mut self.is_empty, is_empty);
        // As long as there is work, there is a turn after this one; and from nothing to nothing there is nothing to tell.
        let may_wait = !is_idle || (was_empty && is_empty);
        if may_wait && now.mono_ms() < self.sizes_due_ms {
            return;
        }
        self.sizes_due_ms = now.mono_ms() + SIZES_MS;
        self.tally.publish_sizes(&Sizes {
            transaction_bytes: layer.bytes(),
            proxy_bytes: self.proxy.bytes(),
            timer_bytes: layer.wheel.bytes(),
            call_bytes: self.calls.bytes(),
            subscription_bytes: self.events.bytes(),
            waiting_bytes: self.registers.bytes()
                + self.lookups.bytes()
                + self.wakings.bytes()
                + self.waiting.bytes(),
        });
    }
}

fn proxy_config(policy: &NodePolicy) -> ProxyConfig {
    ProxyConfig {
        timer_c_ms: policy.timer_c_ms,
    }
}

impl Application for Node {
    type Control = Control;

    fn receive(
        &mut self,
        bytes: &[u8],
        index: &mut Index,
        source: &Source,
        now: Now,
        out: &mut Outbox,
    ) -> Handled {
        let limits = &self.endpoint.identity.limits;
        let parsed = if source.flow.is_some() {
            index.parse_framed(bytes, limits).err()
        } else if self.is_keep_alive(bytes, source, out) {
            return Handled::Done;
        } else {
            index.parse(bytes, limits).err()
        };
        match parsed {
            Some(bad) => self.on_bad(bytes, index, bad, source, now, out),
            None => match self.endpoint.identity.owner(bytes, index) {
                Owner::Shard(shard) => return Handled::Hop(shard),
                Owner::Here => self.on_message(Message::view(bytes, index), source, now, out),
            },
        }
        Handled::Done
    }

    fn receive_hop(&mut self, bytes: &[u8], index: &Index, source: &Source, now: Now, out: &mut Outbox) {
        self.on_message(Message::view(bytes, index), source, now, out);
    }

    fn send_failed(&mut self, token: u64, failure: Failure, now: Now, out: &mut Outbox) {
        let layer = &mut self.endpoint.layer;
        let peer = layer.peer_of_token(token);
        let failed = layer.on_send_failed(token, failure, now.mono_ms(), out);
        // A peer that ends a connection may well take another one, and a queue of ours that is full says nothing of the peer.
        let blames_peer = !matches!(failure, Failure::Closed | Failure::Lost | Failure::Full);
        if let FailedSend::Client(_) = failed
            && blames_peer
        {
            self.note_failure(peer, now);
        }
        self.on_failed(failed, now, out);
    }

    fn unreachable(
        &mut self,
        _: SocketAddr,
        _: Failure,
        quoted: &[u8],
        now: Now,
        out: &mut Outbox,
    ) -> Handled {
        let identity = &self.endpoint.identity;
        match identity.branches.find(quoted) {
            Some(OurBranch::Stateful { shard, client, check }) if shard == identity.shard => {
                if !self.endpoint.layer.is_named(client, check) {
                    return Handled::Done;
                }
                let peer = self.endpoint.layer.peer_of(client);
                let failed = self.endpoint.layer.on_unreachable(client);
                if let FailedSend::Client(_) = failed {
                    self.note_failure(peer, now);
                }
                self.on_failed(failed, now, out);
                Handled::Done
            }
            Some(OurBranch::Stateful { shard, .. }) if shard < identity.shards => Handled::Hop(shard),
            _ => Handled::Done,
        }
    }

    fn flow_closed(&mut self, _: Flow, _: Now, _: &mut Outbox) {}

    fn control(&mut self, control: Control, now: Now, out: &mut Outbox) {
        match control {
            Control::Committed(all) => {
                for committed in all {
                    self.on_committed(committed, now, out);
                }
            }
            Control::Resolved(ticket) => self.on_resolved(ticket, now, out),
            Control::BindingsChanged => self.on_bindings_changed(now, out),
            Control::SubscriptionsKept(all) => {
                for settled in all {
                    self.on_subscription_kept(settled, now, out);
                }
            }
            Control::ListSubscriptions(reply) => drop(reply.send(self.list_subscriptions(now))),
            Control::Pushed(pushed) => self.on_pushed(*pushed, now, out),
            Control::NotPushed(device) => self.on_not_pushed(device, now, out),
            Control::UserLookedUp { ticket, answered } => self.on_looked_up(ticket, answered, now, out),
            // The administrator may have gone meanwhile.
            Control::ListCalls(reply) => drop(reply.send(self.calls.list())),
            Control::ListTrunks(reply) => drop(reply.send(self.registrations.list(now))),
            Control::Copy(copy) => {
                let Copying {
                    shared,
                    journal,
                    reply,
                } = *copy;
                drop(reply.send(self.copy(shared, journal).map(Box::new)));
            }
            Control::Reload(reload) => self.reload(reload, now, out),
            Control::Drain => {
                self.draining = true;
                self.end_subscriptions(now, out);
                self.leave_trunks(now, out);
            }
        }
    }

    fn deadline(&self) -> Option<u64> {
        if self.registrations.are_to_start() && !self.draining {
            return Some(0);
        }
        let or_never = |ms: Option<u64>| ms.unwrap_or(u64::MAX);
        let mut next_ms = or_never(self.endpoint.layer.wheel.next_deadline());
        if !self.draining {
            let own = or_never(self.probes.deadline()).min(or_never(self.pings.deadline()));
            next_ms = next_ms.min(own);
        }
        (next_ms != u64::MAX).then(|| next_ms * 1_000_000)
    }

    fn wake(&mut self, now: Now, out: &mut Outbox) {
        let ms = now.mono_ms();
        if self.registrations.are_to_start() && !self.draining {
            let listeners = Arc::clone(&self.endpoint.identity.listeners);
            self.follow_trunks(&listeners, now, out);
        }
        while let Some(expired) = self.endpoint.layer.expired(ms, out) {
            match expired {
                Expired::Client { user, timed_out, .. } if is_probe(user) => {
                    if timed_out {
                        self.on_probe_failed(user, now);
                    }
                }
                Expired::Client { user, timed_out, .. } if is_notify(user) => {
                    if timed_out {
                        self.on_notify_failed(user, true, now, out);
                    }
                }
                Expired::Client {
                    user,
                    timed_out,
                    silent,
                } if is_registration(user) => {
                    self.note_failure(silent, now);
                    if timed_out {
                        self.on_registration_failed(user, Why::Silent, now, out);
                    }
                }
                Expired::Registration(registration) => self.on_registration_due(registration, now, out),
                Expired::Client {
                    user,
                    timed_out,
                    silent,
                } => {
                    self.note_failure(silent, now);
                    self.proxy
                        .on_client_ended(&mut self.endpoint, user, timed_out, ms, out);
                }
                Expired::Ringing(user) => self.proxy.on_ringing(&mut self.endpoint, user),
                Expired::Waking(ticket) => self.on_not_woken(ticket, now, out),
                Expired::TryingDue(server) => self.on_trying_due(server, now, out),
                Expired::Context(context) => self.proxy.on_deadline(&mut self.endpoint, context, ms, out),
                Expired::Subscription(subscription) => self.attend(subscription, now, out),
                Expired::Call(call) => {
                    self.calls
                        .on_deadline(call, &mut self.endpoint.layer.wheel, &mut self.journal, now)
                }
            }
            self.account(now);
        }
        if !self.draining {
            self.send_probes(now, out);
            self.send_pings(now, out);
        }
    }

    fn turn_ended(&mut self, now: Now) {
        self.shared.location.turn_ended();
        self.journal.flush();
        self.publish(now);
    }

    fn is_idle(&self) -> bool {
        self.proxy.is_empty()
            && self.registers.is_empty()
            && self.lookups.is_empty()
            && self.events.is_settled()
            && !self.is_taking_leave()
            && (!self.draining || self.registrations.are_over())
            && self.wakings.is_empty()
            && self.waiting.is_empty()
    }
}
