//! What came back, and what the caller is told (RFC 3261 §16.7).

use strowger_syntax::message::{Draft, write_without_top_via};
use strowger_syntax::{Message, Method, Name, Status};

use super::super::best::is_better;
use super::super::progress::{Cause, Progress};
use super::super::targets::TargetTexts;
use super::branch::BranchState;
use super::search::{Opened, Opening, Standing};
use super::{FailedFlow, Flows, Pending, Phase, Proxy, is_too_late, whole};
use crate::memory::{Id, Stored};
use crate::reject::Reject;
use crate::transaction::{KEPT, User};
use crate::{Endpoint, Outbox};

/// What is known of a branch whose response came.
#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    /// It had been given up before its final response.
    was_given_up: bool,
    /// See [`Turn::place`](super::super::targets::Turn::place).
    place: Option<u8>,
    /// Whether its context has other branches, which a 2xx may have to end.
    has_others: bool,
}

impl Proxy {
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
        let Some(Noted {
            was_given_up,
            place,
            has_others,
        }) = self.note(endpoint, user, response, status, now_ms, out)
        else {
            return;
        };
        match status.class() {
            // Step 3: without another Via it was meant for us.
            _ if !response.has_second_via() => {}
            // Step 5: these are passed on at once, but for 100 (step 3, the top Via, is in writing them).
            1 if status == Status::TRYING => {}
            1 | 2 => {
                self.pass_on(endpoint, user.context, response, place, now_ms, out);
                if status.is_success() && has_others {
                    self.cancel_pending(endpoint, user.context, now_ms, out);
                }
            }
            // Step 4: its contacts are tried, or it is kept until the best one is known.
            3 if self.redirect(endpoint, user.context, response, status) => {}
            _ if was_given_up && self.is_provoked(user.context, status) => {}
            class => {
                self.keep_if_better(endpoint, user.context, response, status);
                if class == 6 {
                    self.decline(endpoint, user.context, now_ms, out);
                } else if !was_given_up {
                    self.stop_unless_next(user.context, status);
                }
            }
        }
        self.conclude(endpoint, user.context, now_ms, out);
        if status.class() >= 3 {
            self.end_early(endpoint, user, status, now_ms, out);
        }
    }

    /// Step 2, and what becomes of the branch. `None` when nothing more is to be done.
    fn note(
        &mut self,
        endpoint: &mut Endpoint,
        user: User,
        response: Message<'_>,
        status: Status,
        now_ms: u64,
        out: &mut Outbox,
    ) -> Option<Noted> {
        // Without a pending part all branches are done, and it is the 2xx of one more UAS.
        let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, user.context) else {
            return Some(Noted::default());
        };
        if pending.wants_199 && status.is_provisional() {
            let pool = &mut endpoint.layer.pool;
            pending.note_early(pool, user.branch, response, &mut self.text);
        }
        let has_others = pending.branches.len() > 1;
        let branch = pending.branches.get_mut(usize::from(user.branch))?;
        let place = branch.place;
        // Timer C; what was cancelled gets no more time.
        if status.is_provisional() {
            match branch.state {
                BranchState::CancelWanted => drop(endpoint.layer.cancel(branch.client, now_ms, out)),
                BranchState::Pending if status != Status::TRYING => {
                    pending.timer_c = pending.after(now_ms, self.config.timer_c_ms);
                }
                _ => {}
            }
            return Some(Noted {
                was_given_up: false,
                place,
                has_others,
            });
        }
        let branch = match status {
            Status::SERVICE_UNAVAILABLE | Status::FLOW_FAILED | Status::REQUEST_TIMEOUT => {
                if let Some(cause) = self.leads_on(endpoint, user, status) {
                    self.branch_failed(endpoint, user, cause, now_ms, out);
                    self.conclude(endpoint, user.context, now_ms, out);
                    return None;
                }
                let (_, pending) = whole(&mut self.contexts, &mut self.pending, user.context)?;
                pending.branches.get_mut(usize::from(user.branch))?
            }
            _ => branch,
        };
        let was_given_up = branch.state == BranchState::CancelWanted;
        branch.state = BranchState::Done;
        self.ways.forget(&mut branch.ways);
        Some(Noted {
            was_given_up,
            place,
            has_others,
        })
    }

    /// Whether a final response lets the branch go on by its next hop: why.
    #[cold]
    fn leads_on(&mut self, endpoint: &mut Endpoint, user: User, status: Status) -> Option<Cause> {
        let (_, pending) = whole(&mut self.contexts, &mut self.pending, user.context)?;
        let (flows, branch) = (pending.flows, pending.branches.get_mut(usize::from(user.branch))?);
        let (target, is_pending) = (branch.target, branch.state == BranchState::Pending);
        let cause = match status {
            // RFC 3263 §4.3: this server cannot, another one of the same name may.
            Status::SERVICE_UNAVAILABLE => {
                let has_other = self.ways.has_other_hop(branch.ways, target);
                has_other.then_some(Cause::NextHopUnavailable)
            }
            // RFC 5626 §7: the user agent has not answered, and may be there over another flow.
            _ => {
                let has_other = is_pending && self.ways.leave_contact(&mut branch.ways, target);
                has_other.then_some(Cause::FlowFailed)
            }
        };
        if status == Status::FLOW_FAILED && flows == Flows::Registered {
            self.note_failed_flow(endpoint, user.context, target);
        }
        cause
    }

    /// Notes that the flow to a contact has failed, as far as it is known yet where that is.
    #[cold]
    fn note_failed_flow(&mut self, endpoint: &mut Endpoint, id: Id, target: TargetTexts) {
        let failed = self.with_request(endpoint, id, |_, _, request, texts| FailedFlow {
            asked: request.request_uri().to_owned(),
            contact: target.uri(texts).to_owned(),
            path: target.routes(texts).to_owned(),
        });
        self.failed_flows
            .extend(failed.filter(|failed| !failed.contact.is_empty()));
    }

    /// Whether a response says only that we gave its branch up because it rang for too long: no answer of the target's, but
    /// none at all, which is a 408 (step 6, §16.8).
    fn is_provoked(&mut self, id: Id, status: Status) -> bool {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return false;
        };
        let is_provoked = status == Status::REQUEST_TERMINATED && context.phase == Phase::Open;
        if is_provoked {
            pending.fail(Cause::NobodyAnswered);
        }
        is_provoked
    }

    /// Step 5: after a 6xx nobody else is asked, and nobody goes on ringing.
    fn decline(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        if let Some(context) = self.contexts.get_mut(id)
            && context.phase == Phase::Open
        {
            context.phase = Phase::Declined;
        }
        self.cancel_pending(endpoint, id, now_ms, out);
    }

    /// After an answer on which the next group is not tried, none of those that wait is.
    pub(super) fn stop_unless_next(&mut self, id: Id, status: Status) {
        let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        if pending.failover.is_on(status) {
            return;
        }
        pending.drop_waiting(&mut self.ways, |_| true);
    }

    /// Steps 3, 8 and 9: without our Via, to the caller.
    fn pass_on(
        &mut self,
        endpoint: &mut Endpoint,
        id: Id,
        response: Message<'_>,
        place: Option<u8>,
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
                place,
                status,
                session_expires,
                cause: None,
            });
        }
    }

    /// Step 4: keeps a response as long as no better one comes.
    pub(super) fn keep_if_better(
        &mut self,
        endpoint: &mut Endpoint,
        id: Id,
        response: Message<'_>,
        status: Status,
    ) {
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

    /// Goes on with what is due: the next group, or the answer once every branch is done; then lets go of what nobody needs.
    pub(super) fn conclude(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        let mut tried = false;
        loop {
            let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
                return self.let_go(endpoint, id);
            };
            let standing = pending.standing();
            let is_open = context.phase == Phase::Open;
            if is_open && !tried && pending.may_open(&standing) {
                let open = |proxy: &mut Self, endpoint: &mut Endpoint, request: Message<'_>, texts: &[u8]| {
                    proxy.open_group(endpoint, id, request, Opening::Later(texts), now_ms, out)
                };
                tried = self.with_request(endpoint, id, open) != Some(Opened::Skipped);
                continue;
            }
            if !standing.is_done() || is_open && pending.is_to_grow() {
                return pending.set_timer(&standing, endpoint);
            }
            self.answer_best(endpoint, id, now_ms, out);
            return self.let_go(endpoint, id);
        }
    }

    /// Step 6: the best response, or one of our own.
    fn answer_best(&mut self, endpoint: &mut Endpoint, id: Id, now_ms: u64, out: &mut Outbox) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        if context.phase.is_unanswered() {
            // What a branch without an answer counts as may be better than any answer.
            let failed = pending.failed;
            let beaten = |(best, _): &(Status, Stored)| {
                failed.is_some_and(|failed| is_better(failed.counts_as(), *best))
            };
            if let Some((_, kept)) = pending.best.take_if(|best| beaten(best)) {
                endpoint.layer.pool.give(kept);
            }
            match pending.best.take() {
                // No end point is told that a flow has failed: nobody is there (RFC 5626 §11.5).
                Some((Status::FLOW_FAILED, kept)) if pending.flows == Flows::Registered => {
                    endpoint.layer.pool.give(kept);
                    let reject = Reject::new(Status::TEMPORARILY_UNAVAILABLE);
                    self.answer(endpoint, id, reject, Cause::FlowFailed, now_ms, out);
                }
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
                        self.pass_on(endpoint, id, response, None, now_ms, out);
                    }
                    (self.scratch, self.text) = (index, text);
                }
                None => {
                    let cause = match (context.phase, pending.failed) {
                        (Phase::Cancelled, _) => Cause::Cancelled,
                        (_, failed) => failed.unwrap_or(Cause::NobodyAnswered),
                    };
                    let status = match cause.counts_as() {
                        Status::SERVICE_UNAVAILABLE => Status::SERVER_INTERNAL_ERROR,
                        Status::FLOW_FAILED if pending.flows == Flows::Registered => {
                            Status::TEMPORARILY_UNAVAILABLE
                        }
                        // No 408 to anything but INVITE (RFC 4320 §4.2).
                        Status::REQUEST_TIMEOUT if context.method != Method::Invite => Status::SERVER_TIMEOUT,
                        status => status,
                    };
                    self.answer(endpoint, id, Reject::new(status), cause, now_ms, out);
                }
            }
        }
    }

    /// Answers a request here, from what was kept of it, unless it is too late for that.
    fn answer(
        &mut self,
        endpoint: &mut Endpoint,
        id: Id,
        mut reject: Reject,
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
            // Within a dialog a 480 would end more than this transaction (RFC 8599 §6.2.3, RFC 5057 §5.1).
            if cause == Cause::NotWoken && request.to_tag().is_some() {
                reject = Reject::new(Status::SERVER_TIMEOUT);
            }
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
                place: None,
                status,
                session_expires: None,
                cause: Some(cause),
            });
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
}

impl Pending {
    /// Whether the next group has its turn: when nobody else can answer, or when it has come to that which has it.
    fn may_open(&self, standing: &Standing) -> bool {
        let has_come = !standing.is_pending && self.redirections == 0;
        standing
            .next
            .is_some_and(|(group, _)| has_come || group <= self.group)
    }
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
