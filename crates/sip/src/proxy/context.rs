//! The response context (RFC 3261 §16.7): what was forwarded for one request, and what came back.

mod awaited;
mod branch;
mod challenge;
mod early;
mod redirect;
mod response;
mod search;

use std::collections::VecDeque;
use std::num::NonZeroU32;

use smallvec::SmallVec;
use strowger_syntax::message::Edits;
use strowger_syntax::{Index, Message, Method, Name, Status};

use self::branch::Branch;
pub use self::challenge::Challenged;
pub use self::redirect::Redirected;
use self::redirect::Redirection;
use self::search::{Opened, Opening};
use super::best::is_better;
use super::forward::{RecordRoute, max_breadth};
use super::progress::{Cause, Progress};
use super::route::Taken;
use super::targets::{Failover, TargetSet};
use super::ways::{AllWays, Ways};
use crate::endpoint::{Arrival, Ingress};
use crate::memory::{Chunks, Id, Slab, Stored, TimerId};
use crate::transaction::{KEPT, Timed, User};
use crate::{Endpoint, Outbox};

/// What holds for every request that is forwarded.
#[derive(Clone, Copy, Debug)]
pub struct ProxyConfig {
    /// Timer C, in milliseconds: more than three minutes (RFC 3261 §16.6 step 11).
    pub timer_c_ms: u64,
}

/// A request that is to be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Its server transaction.
    pub server: Id,
    /// Where it came in.
    pub ingress: &'a Ingress,
    /// The loop part of its branches.
    pub loop_part: u64,
    /// What is ours of the route set.
    pub taken: Taken,
    /// Whether to stay on the path.
    pub record_route: Option<RecordRoute>,
    /// Whose account hears of progress.
    pub call: Option<Id>,
    /// Whether the contacts of a 3xx are tried (§16.7 step 4): each 3xx is reported by [`Proxy::next_redirect`] and must be
    /// answered with [`Proxy::add_targets`].
    pub recursion: Recursion,
    /// How many targets are awaited: each comes, or is given up, by [`Proxy::add_awaited`].
    pub awaited: u8,
    /// Whether the caller cancels the other targets when one has answered (RFC 3841 §9.1 `no-cancel`).
    pub keeps_others: bool,
    /// Whose credentials answer the challenges of its first target: see [`Proxy::challenged`].
    pub account: Option<NonZeroU32>,
    /// Whose the flows are that it goes over.
    pub flows: Flows,
}

/// Whose the flows are that a request goes over, which may be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flows {
    /// Those of proxies further on, if there are any.
    #[default]
    Others,
    /// Ours: its Route names one, and whoever wrote it is told that it is gone (RFC 5626 §5.3.1).
    Named,
    /// Those of registered user agents: to the caller one without any is away (RFC 5626 §11.5).
    Registered,
}

/// A contact whose flow has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedFlow {
    /// The Request-URI of the request, as it came.
    pub asked: Vec<u8>,
    /// The contact.
    pub contact: Vec<u8>,
    /// The path to it.
    pub path: Vec<u8>,
}

/// What becomes of the contacts of a 3xx (§16.7 step 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recursion {
    /// They are the caller's business.
    #[default]
    Never,
    /// Those that are our users are tried.
    ToUsers,
    /// They are tried, wherever they are.
    Anywhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No final response was passed on.
    Open,
    /// A 6xx came: nobody else is asked.
    Declined,
    /// The caller gave up.
    Cancelled,
    /// A 2xx was passed on; more of them may come.
    Answered,
    /// Another final response was passed on.
    Refused,
}

impl Phase {
    /// Whether a final response is still to be sent.
    fn is_unanswered(self) -> bool {
        matches!(self, Self::Open | Self::Declined | Self::Cancelled)
    }
}

/// What stays until the last client transaction has ended, because of the answers of forked UAS.
#[derive(Clone, Debug)]
struct ResponseContext {
    server: Id,
    call: Option<Id>,
    method: Method,
    phase: Phase,
    /// Client transactions that have not ended.
    alive: u16,
    /// The place of its pending part, as long as it has one.
    pending: Option<u32>,
}

/// What is needed of a context as long as a branch waits for its final response.
#[derive(Clone, Debug)]
struct Pending {
    arrival: Arrival,
    loop_part: u64,
    taken: Taken,
    record_route: Option<RecordRoute>,
    branches: SmallVec<[Branch; 3]>,
    started_ms: u64,
    best: Option<(Status, Stored)>,
    /// Why branches have no response that could be passed on, of which the best counts (§16.7 step 6, §16.9).
    failed: Option<Cause>,
    request: Stored,
    /// The targets' texts, as long as one of them may still be needed.
    texts: Stored,
    /// Early dialogs, if the caller wants to know when they end.
    early: Stored,
    wants_199: bool,
    /// Whether only so much of the request is left as an answer is made from.
    is_short: bool,
    recursion: Recursion,
    keeps_others: bool,
    /// Whose credentials answer the challenges of the first branch, and how many were answered.
    account: Option<NonZeroU32>,
    answered: u8,
    flows: Flows,
    /// How many branches there may be at once.
    breadth: u8,
    /// The group that has its turn.
    group: u16,
    /// On which answers the next one has it.
    failover: Failover,
    /// 3xx responses whose contacts may yet become targets.
    redirections: u8,
    /// Targets that may yet come.
    awaited: u8,
    /// When timer C fires, in milliseconds after the start.
    timer_c: u32,
    timer: TimerId,
}

/// All response contexts of a shard.
#[derive(Clone, Debug)]
pub struct Proxy {
    contexts: Slab<ResponseContext>,
    pending: Chunks<Pending>,
    /// The hops that branches have left.
    ways: AllWays,
    redirections: Slab<Redirection>,
    redirected: VecDeque<Id>,
    config: ProxyConfig,
    progress: VecDeque<Progress>,
    failed_flows: VecDeque<FailedFlow>,
    edits: Edits,
    scratch: Index,
    /// Of something that was kept.
    text: Vec<u8>,
}

impl Proxy {
    /// A proxy with nothing under way.
    pub fn new(config: ProxyConfig) -> Self {
        Self {
            contexts: Slab::default(),
            pending: Chunks::default(),
            ways: AllWays::default(),
            redirections: Slab::default(),
            redirected: VecDeque::new(),
            config,
            progress: VecDeque::new(),
            failed_flows: VecDeque::new(),
            edits: Edits::default(),
            scratch: Index::default(),
            text: Vec::new(),
        }
    }

    /// Goes on with another configuration; what is under way keeps its timers.
    pub fn reconfigure(&mut self, config: ProxyConfig) {
        self.config = config;
    }

    /// How many requests are under way.
    pub fn len(&self) -> usize {
        self.contexts.len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    /// Bytes of what is kept of requests under way, without their texts.
    pub fn bytes(&self) -> usize {
        self.contexts.bytes() + self.pending.bytes() + self.ways.bytes() + self.redirections.bytes()
    }

    /// Takes the next report for an account of calls.
    pub fn next_progress(&mut self) -> Option<Progress> {
        self.progress.pop_front()
    }

    /// Takes the next contact of a registered user agent whose first hop says that its flow is gone (RFC 5626 §7).
    pub fn next_failed_flow(&mut self) -> Option<FailedFlow> {
        self.failed_flows.pop_front()
    }

    /// Forwards a request to the targets of the first group, and later to the others as far as they are needed (§16.6).
    pub fn start(
        &mut self,
        endpoint: &mut Endpoint,
        request: Message<'_>,
        start: &Start<'_>,
        targets: &TargetSet,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let kept = endpoint.layer.pool.store(request.bytes());
        let (id, pending) = self.insert(endpoint, start, request, kept, now_ms);
        if let Some(pending) = self.pending.get_mut(pending) {
            let first = targets.targets().first();
            pending.failover = first.map_or(Failover::ANY, |target| target.turn.failover);
            let first_group = targets.first_group();
            for (number, target) in targets.targets().iter().enumerate() {
                let known = usize::from(Some(target.turn.group) == first_group);
                let ways = if targets.hops(target).len() > known || !targets.stand_ins().is_empty() {
                    self.ways.keep(targets.ways(number, known))
                } else {
                    Ways::NONE
                };
                pending
                    .branches
                    .push(Branch::new(target.texts(), ways, target.turn));
            }
        }
        let all = Opening::First(targets);
        while self.open_group(endpoint, id, request, all, now_ms, out) == Opened::Skipped {}
        // The texts are for other attempts.
        if let Some(pending) = self.pending.get_mut(pending)
            && pending.may_send_again()
        {
            pending.texts = endpoint.layer.pool.store(targets.text());
        }
        self.conclude(endpoint, id, now_ms, out);
    }

    /// A context without branches.
    fn insert(
        &mut self,
        endpoint: &mut Endpoint,
        start: &Start<'_>,
        request: Message<'_>,
        kept: Stored,
        now_ms: u64,
    ) -> (Id, u32) {
        let (layer, method) = (&mut endpoint.layer, request.method());
        let pending = self.pending.insert_with(|_| Pending {
            arrival: start.ingress.arrival(&endpoint.identity.listeners),
            loop_part: start.loop_part,
            taken: start.taken,
            record_route: start.record_route,
            branches: SmallVec::new(),
            started_ms: now_ms,
            best: None,
            failed: None,
            request: kept,
            texts: Stored::default(),
            early: Stored::default(),
            wants_199: early::wants_199(request),
            is_short: false,
            recursion: start.recursion,
            keeps_others: start.keeps_others,
            account: start.account,
            answered: 0,
            flows: start.flows,
            breadth: max_breadth(request),
            group: 0,
            failover: Failover::ANY,
            redirections: 0,
            awaited: start.awaited,
            timer_c: branch::NEVER,
            timer: TimerId::NONE,
        });
        let id = self.contexts.insert_with(|_| ResponseContext {
            server: start.server,
            call: start.call,
            method,
            phase: Phase::Open,
            alive: 0,
            pending: Some(pending),
        });
        if let Some(pending) = self.pending.get_mut(pending)
            && method == Method::Invite
        {
            pending.timer = layer.wheel.add(Timed::Context(id), None);
        }
        layer.set_context(start.server, Some(id));
        (id, pending)
    }

    /// A branch has been ringing for a while. Who has answered is not given up for another way, and when nobody else can
    /// be sent the request, all that is needed of it is what an answer is made from.
    pub fn on_ringing(&mut self, endpoint: &mut Endpoint, user: User) {
        let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, user.context) else {
            return;
        };
        if let Some(branch) = pending.branches.get_mut(usize::from(user.branch)) {
            self.ways.forget(&mut branch.ways);
        }
        // Whom it rings at has let the call through.
        pending.account = None;
        if pending.is_short || pending.may_send_again() {
            return;
        }
        let pool = &mut endpoint.layer.pool;
        let Ok(request) = self.scratch.parse(pool.bytes(&pending.request), &KEPT) else {
            return;
        };
        self.text.clear();
        write_answerable(request, &mut self.text);
        pending.is_short = true;
        for (kept, text) in [(&mut pending.request, &self.text[..]), (&mut pending.texts, &[])] {
            let short = pool.store(text);
            pool.give(std::mem::replace(kept, short));
        }
    }

    /// Once a final response was passed on and no branch is pending, only the answers of forked UAS are still waited for.
    fn let_go(&mut self, endpoint: &mut Endpoint, id: Id) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        if let Some(place) = context.pending.take()
            && let Some(pending) = self.pending.get_mut(place)
        {
            let pool = &mut endpoint.layer.pool;
            pool.give(std::mem::take(&mut pending.request));
            pool.give(std::mem::take(&mut pending.texts));
            pool.give(std::mem::take(&mut pending.early));
            if let Some((_, kept)) = pending.best.take() {
                pool.give(kept);
            }
            for branch in &mut pending.branches {
                self.ways.forget(&mut branch.ways);
            }
            endpoint.layer.wheel.remove(pending.timer);
            self.pending.discard(place);
        }
        let more_2xx = context.phase == Phase::Answered && context.method == Method::Invite;
        if !more_2xx || context.alive == 0 {
            endpoint.layer.set_context(context.server, None);
            self.contexts.discard(id);
        }
    }
}

impl Pending {
    /// Whether the request may have to be sent once more, and so must be kept whole.
    fn may_send_again(&self) -> bool {
        self.account.is_some()
            || self.recursion != Recursion::Never
            || self.awaited > 0
            || self.branches.iter().any(|branch| !branch.ways.is_empty())
    }
}

/// A context with its pending part, if it still has one.
fn whole<'p>(
    contexts: &'p mut Slab<ResponseContext>,
    pending: &'p mut Chunks<Pending>,
    id: Id,
) -> Option<(&'p mut ResponseContext, &'p mut Pending)> {
    let context = contexts.get_mut(id)?;
    let pending = pending.get_mut(context.pending?)?;
    Some((context, pending))
}

/// Whether the caller's timer F must have fired: an answer to anything but INVITE would only be a stray one
/// (RFC 4320 §4.2).
fn is_too_late(context: &ResponseContext, pending: &Pending, endpoint: &Endpoint, now_ms: u64) -> bool {
    context.method != Method::Invite && now_ms >= pending.started_ms + endpoint.layer.timers.lifetime_ms()
}

/// A request with the fields that a response copies (RFC 3261 §8.2.6.2), and no others.
fn write_answerable(request: Message<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(request.method_text());
    out.push(b' ');
    out.extend_from_slice(request.request_uri());
    out.extend_from_slice(b" SIP/2.0\r\n");
    for field in request.fields() {
        if matches!(
            field.name,
            Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq
        ) {
            out.extend_from_slice(field.line.of(request.bytes()));
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_small_and_smaller_once_no_branch_is_pending() {
        assert!(
            size_of::<ResponseContext>() <= 32,
            "{}",
            size_of::<ResponseContext>()
        );
        assert!(size_of::<Pending>() <= 304, "{}", size_of::<Pending>());
    }
}
