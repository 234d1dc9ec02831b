//! The response context (RFC 3261 §16.7): what was forwarded for one request, and what came back.

use std::collections::VecDeque;

use smallvec::SmallVec;
use strowger_syntax::message::{Draft, Edits, Index, write_without_top_via};
use strowger_syntax::{Message, Method, Name, Status};

use super::best::is_better;
use super::forward::{BranchKind, Forwarding, RecordRoute, write_forward};
use super::progress::{Cause, Progress};
use super::route::Taken;
use super::targets::{Target, TargetSet, TargetTexts};
use crate::endpoint::{Arrival, Ingress};
use crate::memory::{Chunks, Id, Slab, Stored, TimerId};
use crate::reject::Reject;
use crate::transaction::{FailedSend, KEPT, Timed, User};
use crate::transport::Hop;
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BranchState {
    /// Waits for a final response.
    Pending,
    /// To be cancelled as soon as a provisional response allows it (RFC 3261 §9.1).
    CancelWanted,
    /// Has its final response, or never will have one.
    Done,
}

#[derive(Debug)]
struct Branch {
    client: Id,
    state: BranchState,
    /// The target's texts, and the place of its other way.
    target: TargetTexts,
    fallback: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No final response was passed on.
    Open,
    /// The caller gave up.
    Cancelled,
    /// A 2xx was passed on; more of them may come.
    Answered,
    /// Another final response was passed on.
    Refused,
}

/// What stays until the last client transaction has ended, because of the answers of forked UAS.
#[derive(Debug)]
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
#[derive(Debug)]
struct Pending {
    arrival: Arrival,
    loop_part: u64,
    taken: Taken,
    record_route: Option<RecordRoute>,
    branches: SmallVec<[Branch; 3]>,
    started_ms: u64,
    best: Option<(Status, Stored)>,
    /// What the branches without a response count as (§16.6 step 7, §16.9).
    failed: Option<Status>,
    request: Stored,
    /// The targets' texts, when there is another way to any of them.
    texts: Stored,
    /// Whether only so much of the request is left as an answer is made from.
    is_short: bool,
    timer_c: Option<TimerId>,
}

/// All response contexts of a shard.
#[derive(Debug)]
pub struct Proxy {
    contexts: Slab<ResponseContext>,
    pending: Chunks<Pending>,
    /// The branches' other ways.
    fallbacks: Chunks<Hop>,
    config: ProxyConfig,
    progress: VecDeque<Progress>,
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
            fallbacks: Chunks::default(),
            config,
            progress: VecDeque::new(),
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
        self.contexts.bytes() + self.pending.bytes() + self.fallbacks.bytes()
    }

    /// Takes the next report for an account of calls.
    pub fn next_progress(&mut self) -> Option<Progress> {
        self.progress.pop_front()
    }

    /// Forwards a request to all targets at once (§16.6).
    pub fn start(
        &mut self,
        endpoint: &mut Endpoint,
        request: Message<'_>,
        start: &Start<'_>,
        targets: &TargetSet,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let method = request.method();
        let layer = &mut endpoint.layer;
        // The texts are for another attempt.
        let has_fallback = targets.targets().iter().any(|target| target.fallback.is_some());
        let texts = if has_fallback { targets.text() } else { &[] };
        let (kept, texts) = (layer.pool.store(request.bytes()), layer.pool.store(texts));
        let pending = self.pending.insert_with(|_| Pending {
            arrival: start.ingress.arrival(),
            loop_part: start.loop_part,
            taken: start.taken,
            record_route: start.record_route,
            branches: SmallVec::new(),
            started_ms: now_ms,
            best: None,
            failed: None,
            request: kept,
            texts,
            is_short: false,
            timer_c: None,
        });
        let id = self.contexts.insert_with(|_| ResponseContext {
            server: start.server,
            call: start.call,
            method,
            phase: Phase::Open,
            alive: 0,
            pending: Some(pending),
        });
        // Step 11: timer C.
        if method == Method::Invite
            && let Some(pending) = self.pending.get_mut(pending)
        {
            let timer = layer.wheel.add(Timed::Context(id));
            layer.wheel.set(timer, Some(now_ms + self.config.timer_c_ms));
            pending.timer_c = Some(timer);
        }
        layer.set_context(start.server, Some(id));
        for target in targets.targets() {
            let texts = targets.text();
            self.forward(endpoint, id, request, texts, target, None, now_ms, out);
        }
        self.conclude(endpoint, id, now_ms, out);
    }

    /// §16.6 for one target: a branch of its own, or the next attempt of one.
    #[expect(clippy::too_many_arguments, reason = "a branch is made from all of them")]
    fn forward(
        &mut self,
        endpoint: &mut Endpoint,
        id: Id,
        request: Message<'_>,
        texts: &[u8],
        target: &Target,
        again: Option<u16>,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        let forwarding = Forwarding {
            uri: target.uri(texts),
            routes: target.routes(texts),
            taken: pending.taken,
            record_route: pending.record_route,
            hop: target.hop,
            arrival: pending.arrival,
            loop_part: pending.loop_part,
        };
        let number = again.unwrap_or(pending.branches.len() as u16);
        let user = User {
            context: id,
            branch: number,
        };
        let (edits, identity, mut check) = (&mut self.edits, &endpoint.identity, 0);
        let client = endpoint.layer.send(
            context.method,
            target.hop.to,
            user,
            now_ms,
            out,
            |client, bytes| {
                check = identity.branches.check(identity.shard, client);
                let branch = BranchKind::Stateful { client, check };
                write_forward(identity, request, &forwarding, branch, edits, bytes);
            },
        );
        endpoint.layer.set_check(client, check);
        // Within a dialog nobody else can answer, and a BYE that is given up leaves a call that one side takes for over. Another
        // address of the same next hop is tried all the same (RFC 3263 §4.3).
        if request.to_tag().is_some() && target.fallback.is_none() {
            endpoint.layer.wait_out(client, now_ms);
        }
        context.alive += 1;
        let branch = Branch {
            client,
            state: BranchState::Pending,
            target: target.texts(),
            fallback: target.fallback.map(|hop| self.fallbacks.insert_with(|_| hop)),
        };
        pending.put(number, branch);
    }

    /// The ten steps of §16.7 for a response that a client transaction passed up.
    pub fn on_response(
        &mut self,
        endpoint: &mut Endpoint,
        user: User,
        response: Message<'_>,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        // Step 1: the context was found by the branch.
        let Some(status) = response.status() else { return };
        // Without a pending part all branches are done, and it is the 2xx of one more UAS.
        if let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, user.context) {
            let Some(branch) = pending.branches.get_mut(usize::from(user.branch)) else {
                return;
            };
            // Step 2: timer C; what was cancelled gets no more time.
            if status.is_provisional() {
                if status != Status::TRYING
                    && branch.state == BranchState::Pending
                    && let Some(timer) = pending.timer_c
                {
                    let timer_c = now_ms + self.config.timer_c_ms;
                    endpoint.layer.wheel.set(timer, Some(timer_c));
                }
                if branch.state == BranchState::CancelWanted {
                    endpoint.layer.cancel(branch.client, now_ms, out);
                }
            } else {
                branch.state = BranchState::Done;
            }
        }
        match status.class() {
            // Step 3: without another Via it was meant for us.
            _ if !response.has_second_via() => {}
            // Step 5: these are passed on at once, but for 100 (step 3, the top Via, is in writing them).
            1 if status == Status::TRYING => {}
            1 | 2 => {
                self.pass_on(endpoint, user.context, response, now_ms, out);
                if status.is_success() {
                    self.cancel_pending(endpoint, user.context, now_ms, out);
                }
            }
            // Step 4: kept until the best one is known.
            class => {
                self.keep_if_better(endpoint, user.context, response, status);
                if class == 6 {
                    self.cancel_pending(endpoint, user.context, now_ms, out);
                }
            }
        }
        self.conclude(endpoint, user.context, now_ms, out);
    }

    /// Steps 3, 8 and 9: without our Via, to the caller.
    fn pass_on(
        &mut self,
        endpoint: &mut Endpoint,
        id: Id,
        response: Message<'_>,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let Some(status) = response.status() else { return };
        let start = out.bytes.len();
        write_without_top_via(response, &mut out.bytes);
        if endpoint
            .layer
            .respond(context.server, status, start, now_ms, out)
            .is_err()
        {
            return;
        }
        if status.is_success() {
            context.phase = Phase::Answered;
        } else if !status.is_provisional() {
            context.phase = Phase::Refused;
        }
        if let Some(call) = context.call {
            let session_expires = response.first(Name::SessionExpires).and_then(leading_number);
            self.progress.push_back(Progress {
                call,
                method: context.method,
                status,
                session_expires,
                cause: None,
            });
        }
    }

    fn keep_if_better(&mut self, endpoint: &mut Endpoint, id: Id, response: Message<'_>, status: Status) {
        let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        match pending.best {
            Some((best, _)) if is_challenge(best) && is_challenge(status) => {
                return self.add_challenges(endpoint, id, response);
            }
            Some((best, _)) if !is_better(status, best) => return,
            _ => {}
        }
        let kept = endpoint.layer.pool.store(response.bytes());
        if let Some((_, old)) = pending.best.replace((status, kept)) {
            endpoint.layer.pool.give(old);
        }
    }

    /// Step 7: the challenges of every branch go into the response that is passed on.
    fn add_challenges(&mut self, endpoint: &mut Endpoint, id: Id, response: Message<'_>) {
        let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        let Some((_, kept)) = &mut pending.best else {
            return;
        };
        let mut all = Vec::new();
        if let Ok(best) = self.scratch.parse(endpoint.layer.pool.bytes(kept), &KEPT) {
            let mut draft = Draft::of(best, &mut self.edits);
            for field in response.fields() {
                if matches!(field.name, Name::WwwAuthenticate | Name::ProxyAuthenticate) {
                    draft.append(field.name, |out| out.extend_from_slice(field.value));
                }
            }
            draft.finish(&mut all);
        }
        // What has grown beyond the limits could not be passed on.
        if self.scratch.parse(&all, &KEPT).is_ok() {
            let old = std::mem::replace(kept, endpoint.layer.pool.store(&all));
            endpoint.layer.pool.give(old);
        }
    }

    /// Step 10: CANCEL for every branch without a final response.
    fn cancel_pending(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        if context.method != Method::Invite {
            return;
        }
        let mut any = false;
        for branch in pending
            .branches
            .iter_mut()
            .filter(|b| b.state == BranchState::Pending)
        {
            any = true;
            branch.state = BranchState::CancelWanted;
            endpoint.layer.cancel(branch.client, now_ms, out);
        }
        // A cancelled branch that never answers is given up as §9.1 says.
        if any && let Some(timer) = pending.timer_c {
            endpoint
                .layer
                .wheel
                .set(timer, Some(now_ms + endpoint.layer.timers.lifetime_ms()));
        }
    }

    /// The caller's CANCEL (§16.10): every pending branch is cancelled.
    pub fn on_cancel(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        if let Some(context) = self.contexts.get_mut(id)
            && context.phase == Phase::Open
        {
            context.phase = Phase::Cancelled;
            self.cancel_pending(endpoint, id, now_ms, out);
        }
    }

    /// A client transaction ended; `timed_out` when without a final response (§16.9).
    pub fn on_client_ended(
        &mut self,
        endpoint: &mut Endpoint,
        user: User,
        timed_out: bool,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let Some(context) = self.contexts.get_mut(user.context) else {
            return;
        };
        context.alive = context.alive.saturating_sub(1);
        if timed_out {
            self.branch_failed(endpoint, user, Status::REQUEST_TIMEOUT, now_ms, out);
        }
        self.conclude(endpoint, user.context, now_ms, out);
    }

    /// A message could not be sent: as if a 503 had come (§16.9).
    pub fn on_send_failed(
        &mut self,
        endpoint: &mut Endpoint,
        failed: FailedSend,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let FailedSend::Client(user) = failed else { return };
        let Some(context) = self.contexts.get_mut(user.context) else {
            return;
        };
        context.alive = context.alive.saturating_sub(1);
        self.branch_failed(endpoint, user, Status::SERVICE_UNAVAILABLE, now_ms, out);
        self.conclude(endpoint, user.context, now_ms, out);
    }

    /// A branch without an answer: its other way is tried, else it is done, as if it had answered `status`.
    fn branch_failed(
        &mut self,
        endpoint: &mut Endpoint,
        user: User,
        status: Status,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, user.context) else {
            return;
        };
        let too_late = is_too_late(context, pending, endpoint, now_ms);
        let Some(branch) = pending.branches.get_mut(usize::from(user.branch)) else {
            return;
        };
        let fallback = branch
            .fallback
            .take()
            .and_then(|place| self.fallbacks.remove(place));
        let retry = fallback.filter(|_| branch.state == BranchState::Pending && !too_late);
        branch.state = BranchState::Done;
        if retry.is_none() && pending.failed.is_none_or(|failed| is_better(status, failed)) {
            pending.failed = Some(status);
        }
        let Some(hop) = retry else { return };
        let target = branch.target.with(hop);
        let (mut index, mut text) = (std::mem::take(&mut self.scratch), std::mem::take(&mut self.text));
        text.clear();
        text.extend_from_slice(endpoint.layer.pool.bytes(&pending.request));
        let request_len = text.len();
        text.extend_from_slice(endpoint.layer.pool.bytes(&pending.texts));
        let (request, texts) = text.split_at(request_len);
        if let Ok(request) = index.parse(request, &KEPT) {
            self.forward(
                endpoint,
                user.context,
                request,
                texts,
                &target,
                Some(user.branch),
                now_ms,
                out,
            );
        }
        (self.scratch, self.text) = (index, text);
    }

    /// Timer C fired (§16.8), or a cancelled branch never answered.
    pub fn on_deadline(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        if context.phase == Phase::Open && pending.branches.iter().any(|b| b.state == BranchState::Pending) {
            self.cancel_pending(endpoint, id, now_ms, out);
            return;
        }
        for branch in pending
            .branches
            .iter_mut()
            .filter(|b| b.state != BranchState::Done)
        {
            branch.state = BranchState::Done;
            endpoint.layer.drop_client(branch.client);
            context.alive = context.alive.saturating_sub(1);
        }
        self.conclude(endpoint, id, now_ms, out);
    }

    /// Step 6, once every branch is done: the best response, or one of our own; then lets go of what nobody needs.
    fn conclude(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return self.let_go(endpoint, id);
        };
        if pending.branches.iter().any(|b| b.state != BranchState::Done) {
            return;
        }
        if matches!(context.phase, Phase::Open | Phase::Cancelled) {
            // What a branch without an answer counts as may be better than any answer.
            let failed = pending.failed;
            let beaten = |(best, _): &(Status, Stored)| failed.is_some_and(|failed| is_better(failed, *best));
            if let Some((_, kept)) = pending.best.take_if(|best| beaten(best)) {
                endpoint.layer.pool.give(kept);
            }
            match pending.best.take() {
                // A 503 says that this next hop is overloaded, not that we are (step 6).
                Some((Status::SERVICE_UNAVAILABLE, kept)) => {
                    endpoint.layer.pool.give(kept);
                    self.answer(
                        endpoint,
                        id,
                        Reject::new(Status::SERVER_INTERNAL_ERROR),
                        Cause::NextHopUnavailable,
                        now_ms,
                        out,
                    );
                }
                Some((_, kept)) => {
                    let (mut index, mut text) =
                        (std::mem::take(&mut self.scratch), std::mem::take(&mut self.text));
                    endpoint.layer.pool.take(kept, &mut text);
                    if let Ok(response) = index.parse(&text, &KEPT) {
                        self.pass_on(endpoint, id, response, now_ms, out);
                    }
                    (self.scratch, self.text) = (index, text);
                }
                None => {
                    let status = match (context.phase, context.method, pending.failed) {
                        (Phase::Cancelled, ..) => Status::REQUEST_TERMINATED,
                        (_, _, Some(Status::SERVICE_UNAVAILABLE)) => Status::SERVER_INTERNAL_ERROR,
                        (_, Method::Invite, _) => Status::REQUEST_TIMEOUT,
                        // No 408 to anything else (RFC 4320 §4.2).
                        _ => Status::SERVER_TIMEOUT,
                    };
                    let cause = match (context.phase, pending.failed) {
                        (Phase::Cancelled, _) => Cause::Cancelled,
                        (_, Some(Status::SERVICE_UNAVAILABLE)) => Cause::NextHopUnreachable,
                        (_, Some(_)) => Cause::NextHopSilent,
                        (_, None) => Cause::NobodyAnswered,
                    };
                    self.answer(endpoint, id, Reject::new(status), cause, now_ms, out);
                }
            }
        }
        self.let_go(endpoint, id);
    }

    /// Answers a request here, from what was kept of it, unless it is too late for that.
    fn answer(
        &mut self,
        endpoint: &mut Endpoint,
        id: Id,
        reject: Reject,
        cause: Cause,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        let kept = &pending.request;
        if is_too_late(context, pending, endpoint, now_ms) {
            endpoint.layer.drop_server(context.server);
        } else if let Ok(request) = self.scratch.parse(endpoint.layer.pool.bytes(kept), &KEPT) {
            let start = out.bytes.len();
            endpoint
                .identity
                .write_reject(request, pending.arrival.stamp, &reject, &mut out.bytes);
            let _ = endpoint
                .layer
                .respond(context.server, reject.status, start, now_ms, out);
        }
        context.phase = Phase::Refused;
        if let Some(call) = context.call {
            let (method, status) = (context.method, reject.status);
            self.progress.push_back(Progress {
                call,
                method,
                status,
                session_expires: None,
                cause: Some(cause),
            });
        }
    }

    /// A branch has been ringing for a while. Who has answered is not given up for another way, and when no branch has one
    /// left, all that is needed of the request is what an answer is made from.
    pub fn on_ringing(&mut self, endpoint: &mut Endpoint, user: User) {
        let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, user.context) else {
            return;
        };
        if let Some(branch) = pending.branches.get_mut(usize::from(user.branch))
            && let Some(place) = branch.fallback.take()
        {
            self.fallbacks.remove(place);
        }
        if pending.is_short || pending.branches.iter().any(|b| b.fallback.is_some()) {
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

    /// Answers a non-INVITE request with the 100 that is due (RFC 4320 §4.1).
    pub fn on_trying_due(&mut self, endpoint: &mut Endpoint, server: Id, now_ms: u64, out: &mut Outbox) {
        let context = endpoint.layer.context_of(server);
        let context = context.and_then(|id| whole(&mut self.contexts, &mut self.pending, id));
        let Some((_, pending)) = context else {
            endpoint.layer.drop_server(server);
            return;
        };
        let Ok(request) = self
            .scratch
            .parse(endpoint.layer.pool.bytes(&pending.request), &KEPT)
        else {
            return;
        };
        let start = out.bytes.len();
        endpoint.identity.write_reject(
            request,
            pending.arrival.stamp,
            &Reject::new(Status::TRYING),
            &mut out.bytes,
        );
        let _ = endpoint.layer.respond(server, Status::TRYING, start, now_ms, out);
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
            if let Some((_, kept)) = pending.best.take() {
                pool.give(kept);
            }
            for place in pending.branches.iter().filter_map(|branch| branch.fallback) {
                self.fallbacks.discard(place);
            }
            if let Some(timer) = pending.timer_c {
                endpoint.layer.wheel.remove(timer);
            }
            self.pending.discard(place);
        }
        let more_2xx = context.phase == Phase::Answered && context.method == Method::Invite;
        if !more_2xx || context.alive == 0 {
            endpoint.layer.set_context(context.server, None);
            self.contexts.discard(id);
        }
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

impl Pending {
    fn put(&mut self, number: u16, branch: Branch) {
        match self.branches.get_mut(usize::from(number)) {
            Some(place) => *place = branch,
            None => self.branches.push(branch),
        }
    }
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

fn is_challenge(status: Status) -> bool {
    matches!(
        status,
        Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED
    )
}

/// The number at the beginning of a value such as Session-Expires.
fn leading_number(value: &[u8]) -> Option<u32> {
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    strowger_syntax::scan::number(&value[..digits]).and_then(|n| u32::try_from(n).ok())
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
