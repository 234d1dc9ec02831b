//! Who is asked, and for how long (RFC 3261 §16.6): groups of targets one after the other, each of their hops in turn, and
//! what is given up.

use std::collections::VecDeque;

use strowger_syntax::message::Edits;
use strowger_syntax::{Message, Method, Status};

use super::super::forward::{BranchKind, Forwarding, write_forward};
use super::super::progress::Progress;
use super::super::targets::TargetSet;
use super::super::ways::AllWays;
use super::branch::{Branch, BranchState, NEVER};
use super::{Cause, Flows, Pending, Phase, Proxy, ResponseContext, is_better, is_too_late, whole};
use crate::memory::{Id, TimerId};
use crate::transaction::{FailedSend, KEPT, Patience, Sending, User};
use crate::transport::Hop;
use crate::{Endpoint, Outbox};

/// What became of the next group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// Its targets were sent the request.
    Sent,
    /// It needs more branches at once than the request allows.
    Skipped,
    /// It must wait until more of the breadth is free.
    NotYet,
    /// There is no other.
    Nobody,
}

/// One way that a branch is tried.
pub(super) struct Attempt<'a> {
    pub(super) user: User,
    pub(super) uri: &'a [u8],
    pub(super) routes: &'a [u8],
    pub(super) hop: Hop,
    /// Lines of credentials.
    pub(super) credentials: &'a [u8],
    pub(super) now_ms: u64,
}

/// What a group is opened with.
#[derive(Clone, Copy)]
pub(super) enum Opening<'a> {
    /// The target set that the context began with: of what is sent first, only the hops behind the first one were kept.
    First(&'a TargetSet),
    /// The texts that were kept.
    Later(&'a [u8]),
}

impl<'a> Opening<'a> {
    fn texts(self) -> &'a [u8] {
        match self {
            Self::First(targets) => targets.text(),
            Self::Later(texts) => texts,
        }
    }

    /// The targets that have the first hops of the branches of this group, if those were not kept.
    fn first_hops(self, group: u16) -> Option<&'a TargetSet> {
        match self {
            Self::First(targets) if targets.first_group() == Some(group) => Some(targets),
            Self::First(_) | Self::Later(_) => None,
        }
    }
}

/// Tells an account of calls that knows targets by numbers that the turn of one has come.
#[inline]
fn note_turn(told: &mut VecDeque<Progress>, context: &ResponseContext, branch: &Branch) {
    if let (Some(call), Some(_)) = (context.call, branch.place) {
        told.push_back(Progress {
            call,
            method: context.method,
            place: branch.place,
            status: Status::TRYING,
            session_expires: None,
            cause: None,
        });
    }
}

impl Proxy {
    /// Sends the request to the next group of targets, if the breadth that is free allows it.
    pub(super) fn open_group(
        &mut self,
        endpoint: &mut Endpoint,
        id: Id,
        request: Message<'_>,
        all: Opening<'_>,
        now_ms: u64,
        out: &mut Outbox,
    ) -> Opened {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return Opened::Nobody;
        };
        let standing = pending.standing();
        let Some((group, count)) = standing.next else {
            return Opened::Nobody;
        };
        if count > usize::from(pending.breadth) {
            pending.fail(Cause::TooManyBranches);
            pending.drop_waiting(&mut self.ways, |branch| branch.group == group);
            return Opened::Skipped;
        }
        let Some(mut shares) = standing.shares(pending.breadth, count) else {
            return Opened::NotYet;
        };
        pending.group = group;
        // Step 11: timer C.
        if context.method == Method::Invite {
            pending.timer_c = pending.after(now_ms, self.config.timer_c_ms);
        }
        let first_hops = all.first_hops(group);
        for number in 0..pending.branches.len() {
            let Some(branch) = pending.branches.get_mut(number) else {
                break;
            };
            if branch.state != BranchState::Waiting || branch.group != group {
                continue;
            }
            (branch.state, branch.breadth) = (BranchState::Done, shares.next().unwrap_or(1));
            branch.until = given_up_at(branch.until, pending.started_ms, now_ms);
            let hop = match first_hops {
                Some(targets) => targets.first_hop(number),
                None => self.ways.take(&mut branch.ways).map(|(hop, _)| hop),
            };
            let Some(hop) = hop else { continue };
            let attempt = Attempt {
                user: User {
                    context: id,
                    branch: number as u16,
                },
                uri: branch.target.uri(all.texts()),
                routes: branch.target.routes(all.texts()),
                hop,
                credentials: &[],
                now_ms,
            };
            note_turn(&mut self.progress, context, branch);
            pending.send(context, &mut self.edits, endpoint, request, &attempt, out);
        }
        Opened::Sent
    }

    /// Does something with what was kept of a request and with the texts of its targets.
    pub(super) fn with_request<T>(
        &mut self,
        endpoint: &mut Endpoint,
        id: Id,
        act: impl FnOnce(&mut Self, &mut Endpoint, Message<'_>, &[u8]) -> T,
    ) -> Option<T> {
        let (_, pending) = whole(&mut self.contexts, &mut self.pending, id)?;
        let (mut index, mut text) = (std::mem::take(&mut self.scratch), std::mem::take(&mut self.text));
        text.clear();
        text.extend_from_slice(endpoint.layer.pool.bytes(&pending.request));
        let request_len = text.len();
        text.extend_from_slice(endpoint.layer.pool.bytes(&pending.texts));
        let (request, texts) = text.split_at(request_len);
        let done = match index.parse(request, &KEPT) {
            Ok(request) => Some(act(self, endpoint, request, texts)),
            Err(_) => None,
        };
        (self.scratch, self.text) = (index, text);
        done
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
            self.branch_failed(endpoint, user, Cause::NextHopSilent, now_ms, out);
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
        self.branch_failed(endpoint, user, Cause::NextHopUnreachable, now_ms, out);
        self.conclude(endpoint, user.context, now_ms, out);
    }

    /// A branch without an answer, or with a 503: its next hop is tried, else it is done.
    pub(super) fn branch_failed(
        &mut self,
        endpoint: &mut Endpoint,
        user: User,
        cause: Cause,
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
        let may_try = branch.state == BranchState::Pending && !too_late;
        branch.state = BranchState::Done;
        let hop = if may_try {
            self.ways.take(&mut branch.ways)
        } else {
            self.ways.forget(&mut branch.ways);
            None
        };
        let Some((hop, target)) = hop else {
            let cause = match cause {
                Cause::NextHopUnreachable if pending.flows == Flows::Named => Cause::FlowFailed,
                cause => cause,
            };
            pending.fail(cause);
            self.stop_unless_next(user.context, cause.counts_as());
            return;
        };
        branch.target = target;
        self.with_request(endpoint, user.context, |proxy, endpoint, request, texts| {
            let attempt = Attempt {
                user,
                uri: target.uri(texts),
                routes: target.routes(texts),
                hop,
                credentials: &[],
                now_ms,
            };
            if let Some((context, pending)) = whole(&mut proxy.contexts, &mut proxy.pending, user.context) {
                pending.send(context, &mut proxy.edits, endpoint, request, &attempt, out);
            }
        });
    }

    /// The caller's CANCEL (§16.10): every pending branch is cancelled.
    pub fn on_cancel(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        if let Some(context) = self.contexts.get_mut(id)
            && matches!(context.phase, Phase::Open | Phase::Declined)
        {
            context.phase = Phase::Cancelled;
            self.cancel_pending(endpoint, id, now_ms, out);
            self.conclude(endpoint, id, now_ms, out);
        }
    }

    /// §16.7 step 10: CANCEL for every branch without a final response, and nobody else is asked.
    pub(super) fn cancel_pending(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        pending.drop_waiting(&mut self.ways, |_| true);
        let is_theirs = context.phase == Phase::Answered && pending.keeps_others;
        if context.method == Method::Invite && !is_theirs {
            pending.give_up(endpoint, now_ms, out, |_| true);
        }
    }

    /// A branch has rung for as long as its target may, timer C fired (§16.8), or one that was cancelled never answered.
    pub fn on_deadline(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        let now = offset(pending.started_ms, now_ms);
        let mut unanswered = false;
        for branch in &mut pending.branches {
            if branch.state == BranchState::CancelWanted && branch.until <= now {
                branch.state = BranchState::Done;
                endpoint.layer.drop_client(branch.client);
                context.alive = context.alive.saturating_sub(1);
                unanswered = true;
            }
        }
        if unanswered {
            pending.fail(Cause::NobodyAnswered);
        }
        let all = pending.timer_c <= now;
        pending.give_up(endpoint, now_ms, out, |until| all || until <= now);
        self.conclude(endpoint, id, now_ms, out);
    }
}

/// When a branch that may ring for so long is given up, if its turn comes now.
fn given_up_at(ring_ms: u32, started_ms: u64, now_ms: u64) -> u32 {
    match ring_ms {
        NEVER => NEVER,
        ring_ms => offset(started_ms, now_ms + u64::from(ring_ms)),
    }
}

/// A time in milliseconds after the start.
fn offset(started_ms: u64, at_ms: u64) -> u32 {
    u32::try_from(at_ms.saturating_sub(started_ms)).unwrap_or(NEVER)
}

impl Pending {
    /// The time so much from now, in milliseconds after the start.
    pub(super) fn after(&self, now_ms: u64, delay_ms: u64) -> u32 {
        offset(self.started_ms, now_ms + delay_ms)
    }

    /// Notes why a branch has no answer that could be passed on.
    pub(super) fn fail(&mut self, cause: Cause) {
        let is_worse = |failed: Cause| is_better(cause.counts_as(), failed.counts_as());
        if self.failed.is_none_or(is_worse) {
            self.failed = Some(cause);
        }
    }

    /// How its branches stand.
    pub(super) fn standing(&self) -> Standing {
        let mut standing = Standing {
            others: self.awaited > 0,
            ..Standing::default()
        };
        for branch in &self.branches {
            match branch.state {
                BranchState::Waiting => standing.add_waiting(branch.group),
                BranchState::Pending | BranchState::CancelWanted => {
                    standing.is_pending |= branch.state == BranchState::Pending;
                    standing.held += usize::from(branch.breadth);
                    let until = standing.until.unwrap_or(NEVER);
                    standing.until = Some(until.min(branch.until));
                }
                BranchState::Done => {}
            }
        }
        standing
    }

    /// Those that wait and are meant are not asked any more.
    pub(super) fn drop_waiting(&mut self, ways: &mut AllWays, is_meant: impl Fn(&Branch) -> bool) {
        for branch in &mut self.branches {
            if branch.state == BranchState::Waiting && is_meant(branch) {
                branch.state = BranchState::Done;
                ways.forget(&mut branch.ways);
            }
        }
    }

    /// §16.6 for one target: the first attempt of a branch, or the next.
    pub(super) fn send(
        &mut self,
        context: &mut ResponseContext,
        edits: &mut Edits,
        endpoint: &mut Endpoint,
        request: Message<'_>,
        attempt: &Attempt<'_>,
        out: &mut Outbox,
    ) {
        let user = attempt.user;
        let Some(branch) = self.branches.get_mut(usize::from(user.branch)) else {
            return;
        };
        let forwarding = Forwarding {
            uri: attempt.uri,
            routes: attempt.routes,
            taken: self.taken,
            record_route: self.record_route,
            hop: attempt.hop,
            arrival: self.arrival,
            loop_part: self.loop_part,
            breadth: branch.breadth,
            credentials: attempt.credentials,
        };
        // Within a dialog nobody else can answer, and a BYE that is given up leaves a call that one side takes for over. Another
        // address of the same next hop is tried all the same (RFC 3263 §4.3).
        let patience = match request.to_tag() {
            _ if !branch.ways.is_empty() => Patience::Less,
            Some(_) => Patience::Whole,
            None => Patience::Usual,
        };
        let sending = Sending {
            method: context.method,
            to: attempt.hop.to,
            user,
            patience,
        };
        let identity = &endpoint.identity;
        branch.client = endpoint
            .layer
            .send(sending, attempt.now_ms, out, |client, bytes| {
                let check = identity.branches.check(identity.shard, client);
                let branch = BranchKind::Stateful { client, check };
                write_forward(identity, request, &forwarding, branch, edits, bytes);
                check
            });
        context.alive += 1;
        branch.state = BranchState::Pending;
    }

    /// Cancels the pending branches whose time is over.
    fn give_up(
        &mut self,
        endpoint: &mut Endpoint,
        now_ms: u64,
        out: &mut Outbox,
        is_over: impl Fn(u32) -> bool,
    ) {
        // A cancelled branch that never answers is given up as §9.1 says.
        let until = self.after(now_ms, endpoint.layer.timers.lifetime_ms());
        for branch in &mut self.branches {
            if branch.state == BranchState::Pending && is_over(branch.until) {
                branch.state = BranchState::CancelWanted;
                branch.until = until;
                endpoint.layer.cancel(branch.client, now_ms, out);
            }
        }
    }

    /// Sets the timer to what comes next.
    pub(super) fn set_timer(&self, standing: &Standing, endpoint: &mut Endpoint) {
        if self.timer == TimerId::NONE {
            return;
        }
        let timer_c = if standing.is_pending { self.timer_c } else { NEVER };
        let next = standing.until.map_or(timer_c, |until| until.min(timer_c));
        let deadline = (next != NEVER).then(|| self.started_ms + u64::from(next));
        endpoint.layer.wheel.set(self.timer, deadline);
    }
}

/// How the branches of a context stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// The next group that waits, and how many targets it has.
    pub(super) next: Option<(u16, usize)>,
    /// Whether other groups wait behind that, or targets are awaited.
    others: bool,
    /// Whether a final response is waited for.
    pub(super) is_pending: bool,
    /// How much of the breadth those have that were sent something and have no final response.
    held: usize,
    /// When the first of these is given up, in milliseconds after the start; `None` if there are none.
    until: Option<u32>,
}

impl Standing {
    /// Whether no branch can have another response, or be sent something.
    pub(super) fn is_done(&self) -> bool {
        self.next.is_none() && self.until.is_none()
    }

    fn add_waiting(&mut self, group: u16) {
        self.next = match self.next {
            Some((next, count)) if next == group => Some((next, count + 1)),
            Some((next, count)) => {
                self.others = true;
                Some(if next < group { (next, count) } else { (group, 1) })
            }
            None => Some((group, 1)),
        };
    }

    /// How the breadth that is free is split among the branches of the next group (RFC 5393 §5.3.3); `None` while it does not
    /// suffice. Half of it is kept back for the groups behind, because a branch that is given up may take its time to end.
    fn shares(&self, breadth: u8, count: usize) -> Option<impl Iterator<Item = u8> + use<>> {
        let free = usize::from(breadth).saturating_sub(self.held);
        let given = if self.others {
            free.div_ceil(2).max(count)
        } else {
            free
        };
        let (each, more) = (given / count.max(1), given % count.max(1));
        (free >= count).then(|| (0..count).map(move |n| (each + usize::from(n < more)) as u8))
    }
}
