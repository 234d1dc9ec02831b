//! Requests that wait for what the server of users says of whoever sends them, or of whom they are for. Such a request is taken
//! up again from its beginning when that is known: nothing was done with it before.

use std::sync::Arc;

use strowger_sip::auth::{Proof, Rejection};
use strowger_sip::endpoint::Ingress;
use strowger_sip::memory::{Id, Stored};
use strowger_sip::registrar::Bindings;
use strowger_sip::transaction::{KEPT, ServerKey};
use strowger_sip::{Extra, Now, Outbox, Reject};
use strowger_syntax::{Message, Method, Status};

use super::dispatch::{Bound, Case};
use super::policy::Sender;
use super::trace::Step;
use super::{Kept, Node};
use crate::subscriber::{Belief, Looked, Question};

/// Seconds until it is worth while to ask again.
const RETRY_AFTER: u32 = 2;

/// What came of asking for the users of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LookedUp {
    /// For the one whose credentials it has.
    sender: Looked,
    /// For the other name that the sender speaks for.
    speaker: Looked,
    /// For the one whom it is for.
    called: Looked,
    /// How many of the targets of a trunk need not be asked for any more; `called` is for the next one.
    targets: usize,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Enough.
    Enough,
    /// Not enough yet: the server is asked, and the request will be taken up again.
    Asked,
    /// The server failed.
    Nothing,
}

/// Which user a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Sender,
    Speaker,
    Called,
}

/// A request that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    request: Stored,
    /// Of the transaction that it would have; its CANCEL names the same.
    key: ServerKey,
    ingress: Ingress,
    looked: LookedUp,
    whom: Whom,
    since_ms: u64,
}

/// After so long whoever has sent a request has given up (timers B and F, RFC 3261 §17.1.1.2, §17.1.2.2), in milliseconds.
const GIVEN_UP_MS: u64 = 32_000;

/// Whether a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// What is known is enough.
    On,
    /// It waits, and will be taken up again.
    Waits,
}

/// The refusal of a request for which nobody can be asked (RFC 3261 §21.5.4).
pub(super) fn unavailable() -> Reject {
    Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(RETRY_AFTER))
}

impl Node {
    /// Whether credentials that were checked by what is known of their user may count as such. The realm is in the work buffers.
    #[inline]
    pub(super) fn may_count(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        user: &[u8],
        checked: &Result<Proof, Rejection>,
        now: Now,
    ) -> Result<Progress, Reject> {
        let Some(lookup) = self.shared.subscribers.lookup() else {
            return Ok(Progress::On);
        };
        let (realm, looked) = (&self.work.realm, self.work.looked.sender);
        let belief = lookup.judge_credentials(user, realm, checked, looked, now.mono_ms());
        self.act_on(belief, request, ingress, (Whom::Sender, user), now)
    }

    /// Whether enough is known of another name than their own that somebody with right credentials speaks for. The realm is in
    /// the work buffers.
    #[inline]
    pub(super) fn is_speaker_known(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        name: &[u8],
        now: Now,
    ) -> Result<Progress, Reject> {
        let Some(lookup) = self.shared.subscribers.lookup() else {
            return Ok(Progress::On);
        };
        let (realm, looked) = (&self.work.realm, self.work.looked.speaker);
        let belief = lookup.judge_name(name, realm, looked, now.mono_ms());
        self.act_on(belief, request, ingress, (Whom::Speaker, name), now)
    }

    /// Goes on with what is known of a name of the realm in the work buffers, asks for it, or gives up.
    fn act_on(
        &mut self,
        belief: Belief,
        request: Message<'_>,
        ingress: &Ingress,
        (whom, name): (Whom, &[u8]),
        now: Now,
    ) -> Result<Progress, Reject> {
        match belief {
            Belief::Holds => Ok(Progress::On),
            Belief::Ask => {
                let realm = std::mem::take(&mut self.work.realm);
                let asked = self.ask_for(request, ingress, whom, (name, &realm), now);
                self.work.realm = realm;
                asked
            }
            Belief::Fails => Err(unavailable()),
        }
    }

    /// Whether enough is known of whom a request is for. Strangers are not told that nobody could be asked, as they are not told
    /// who exists.
    pub(super) fn is_called_known(
        &mut self,
        case: &Case<'_>,
        bound: &Bound<'_>,
        sender: Sender,
        now: Now,
    ) -> Result<Progress, Reject> {
        if self.shared.subscribers.lookup().is_none() {
            return Ok(Progress::On);
        }
        let Bound::User(uri) = bound else {
            return Ok(Progress::On);
        };
        let (request, ingress) = (case.request, case.ingress);
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Ok(Progress::On);
        }
        if let Some(number) = self.inbound_trunk(case) {
            return self.are_targets_known(case, number, now);
        }
        self.write_addressed(uri);
        match self.know_name(request, ingress, now)? {
            Known::Asked => Ok(Progress::Waits),
            Known::Nothing if sender != Sender::Stranger => Err(unavailable()),
            Known::Enough | Known::Nothing => Ok(Progress::On),
        }
    }

    /// Whether enough is known of the users whom calls from a trunk are for, one after the other.
    fn are_targets_known(&mut self, case: &Case<'_>, number: usize, now: Now) -> Result<Progress, Reject> {
        let routes = Arc::clone(&self.shared.policy.routes);
        let Some(trunk) = routes.trunks().get(number) else {
            return Ok(Progress::On);
        };
        // What has become of the targets before is for this request alone.
        let before = self.work.looked;
        let mut progress = Ok(Progress::On);
        for (target, place) in trunk.to.iter().zip(0..).skip(before.targets) {
            if self.write_user(target) {
                match self.know_name(case.request, case.ingress, now) {
                    Ok(Known::Asked) => progress = Ok(Progress::Waits),
                    Ok(Known::Nothing) if trunk.to.len() == 1 => progress = Err(unavailable()),
                    // The others may be found.
                    Ok(Known::Enough | Known::Nothing) => {}
                    Err(reject) => progress = Err(reject),
                }
            }
            if progress != Ok(Progress::On) {
                break;
            }
            self.work.looked = LookedUp {
                called: Looked::NotYet,
                targets: place + 1,
                ..before
            };
        }
        self.work.looked = before;
        progress
    }

    /// Whether enough is known of the name in the work buffers, whoever needs to know whether it is an alias: all that somebody who is
    /// registered under it needs is there. The record is left there too.
    pub(super) fn know_name(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        now: Now,
    ) -> Result<Known, Reject> {
        let (work, shared) = (&mut self.work, &self.shared);
        let Some(lookup) = shared.subscribers.lookup() else {
            return Ok(Known::Enough);
        };
        shared.location.read(&work.aor, &mut work.record);
        if Bindings::new(&work.record).live(now.wall_secs()).next().is_some() {
            return Ok(Known::Enough);
        }
        let Some(at) = work.aor.iter().rposition(|&b| b == b'@') else {
            return Ok(Known::Enough);
        };
        let (user, domain) = (&work.aor[..at], &work.aor[at + 1..]);
        match lookup.judge_name(user, domain, work.looked.called, now.mono_ms()) {
            Belief::Holds => Ok(Known::Enough),
            Belief::Fails => Ok(Known::Nothing),
            Belief::Ask => {
                let aor = std::mem::take(&mut self.work.aor);
                let name = (&aor[..at], &aor[at + 1..]);
                let asked = self.ask_for(request, ingress, Whom::Called, name, now);
                self.work.aor = aor;
                asked.map(|progress| match progress {
                    Progress::Waits => Known::Asked,
                    Progress::On => Known::Enough,
                })
            }
        }
    }

    /// Asks for a user, and keeps the request until the server has answered.
    fn ask_for(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        whom: Whom,
        (user, domain): (&[u8], &[u8]),
        now: Now,
    ) -> Result<Progress, Reject> {
        let Some(lookup) = self.shared.subscribers.lookup() else {
            return Ok(Progress::On);
        };
        self.trace.note(|| Step::user_asked(user, domain, lookup.asks()));
        if !lookup.asks() {
            return Ok(Progress::Waits);
        }
        let ticket = self.waiting.next_id();
        let asker = Some((self.endpoint.identity.shard, ticket));
        let is_full = self.waiting.len() >= lookup.most_waiting();
        let question = Question::of(user, domain, asker).filter(|_| !is_full);
        if !question.is_some_and(|question| lookup.ask(question)) {
            return Err(unavailable());
        }
        let key = self.endpoint.identity.server_key(request);
        let request = self.endpoint.layer.pool.store(request.bytes());
        self.waiting.insert_with(|_| Waiting {
            request,
            key,
            ingress: *ingress,
            looked: self.work.looked,
            whom,
            since_ms: now.mono_ms(),
        });
        Ok(Progress::Waits)
    }

    /// Whether this very request waits: it will be answered then.
    pub(super) fn is_waiting(&self, request: Message<'_>) -> bool {
        let pool = &self.endpoint.layer.pool;
        self.waiting_as(request)
            .any(|(_, waiting)| pool.bytes(&waiting.request) == request.bytes())
    }

    /// Those that wait whose transaction a request names. However many wait, it costs little to ask.
    fn waiting_as(&self, request: Message<'_>) -> impl Iterator<Item = (Id, &Waiting)> {
        let key = self.endpoint.identity.server_key(request);
        self.waiting.iter().filter(move |(_, waiting)| waiting.key == key)
    }

    /// Ends an INVITE that waits, which this CANCEL is for (RFC 3261 §9.2). False if it is for none.
    pub(super) fn cancel_waiting(
        &mut self,
        cancel: Message<'_>,
        ingress: &Ingress,
        now: Now,
        out: &mut Outbox,
    ) -> bool {
        let Kept { mut text, mut index } = self.work.kept.take().unwrap_or_default();
        let pool = &self.endpoint.layer.pool;
        let cancelled = self.waiting_as(cancel).find_map(|(ticket, waiting)| {
            let request = index.parse(pool.bytes(&waiting.request), &KEPT).ok()?;
            is_cancelled(request, cancel).then_some(ticket)
        });
        let waiting = cancelled.and_then(|ticket| self.waiting.remove(ticket));
        let found = waiting.is_some();
        if let Some(waiting) = waiting {
            let identity = &self.endpoint.identity;
            identity.reply(cancel, ingress, Status::OK, &[], out);
            self.endpoint.layer.pool.take(waiting.request, &mut text);
            if let Ok(invite) = index.parse(&text, &KEPT) {
                self.terminate(invite, &waiting.ingress, now, out);
            }
        }
        self.work.kept = Some(Kept { text, index });
        found
    }

    /// Answers an INVITE with 487 in a transaction, so that one that comes again meanwhile rings nowhere; without one where there
    /// is no room.
    fn terminate(&mut self, invite: Message<'_>, ingress: &Ingress, now: Now, out: &mut Outbox) {
        let terminated = Reject::new(Status::REQUEST_TERMINATED);
        if self.is_full(false) {
            let sender = self.sender_by_source(ingress);
            return self.reject(invite, ingress, sender, &terminated, now, out);
        }
        let (to, fallback, now_ms) = (ingress.to(), ingress.fallback(), now.mono_ms());
        let identity = &self.endpoint.identity;
        let key = identity.server_key(invite);
        let layer = &mut self.endpoint.layer;
        let server = layer.accept(key, Method::Invite, to, fallback, now_ms, out);
        let start = out.bytes.len();
        identity.write_reject(invite, ingress.stamp, &terminated, &mut out.bytes);
        self.tally.rejected(terminated.status);
        self.trace.note(|| Step::refused(&terminated, true));
        // It has only just been made, so it takes its answer.
        let _ = layer.respond(server, terminated.status, start, now_ms, out);
        self.account(now);
    }

    /// The server has answered or failed: the request is taken up again.
    pub(super) fn on_looked_up(&mut self, ticket: Id, answered: bool, now: Now, out: &mut Outbox) {
        let Some(Waiting {
            request,
            ingress,
            mut looked,
            whom,
            since_ms,
            ..
        }) = self.waiting.remove(ticket)
        else {
            return;
        };
        if now.mono_ms() >= since_ms + GIVEN_UP_MS {
            return self.endpoint.layer.pool.give(request);
        }
        let outcome = if answered {
            Looked::Answered
        } else {
            Looked::Failed
        };
        match whom {
            Whom::Sender => looked.sender = outcome,
            Whom::Speaker => looked.speaker = outcome,
            Whom::Called => looked.called = outcome,
        }
        let Kept { mut text, mut index } = self.work.kept.take().unwrap_or_default();
        self.endpoint.layer.pool.take(request, &mut text);
        if let Ok(request) = index.parse(&text, &KEPT) {
            self.work.looked = looked;
            out.of_call(Some(request.call_id()));
            self.take_up(request, &ingress, now, out);
            self.account(now);
            out.of_call(None);
            self.work.looked = LookedUp::default();
        }
        self.work.kept = Some(Kept { text, index });
    }
}

/// Whether a CANCEL is for this request: all but the method says that it is the same transaction (RFC 3261 §9.2).
fn is_cancelled(request: Message<'_>, cancel: Message<'_>) -> bool {
    let names = |message: Message<'_>| message.via().port;
    request.method() == Method::Invite
        && request.branch() == cancel.branch()
        && request.sent_by_host().eq_ignore_ascii_case(cancel.sent_by_host())
        && names(request) == names(cancel)
        && request.call_id() == cancel.call_id()
        && request.cseq() == cancel.cseq()
}
