//! REGISTER (RFC 3261 §10.3): from the request to the commit, and from the commit to the answer.
//!
//! The pure procedure runs on a snapshot of the record; what it decides is committed only if the record is still the
//! same, and run again if it is not. Commit, publish, answer, in this order.

use strowger_sip::auth::Staleness;
use strowger_sip::endpoint::Ingress;
use strowger_sip::registrar::{
    Bindings, Changes, Gruus, Origin, Outcome, Told, canonical_aor, has_registered, is_merged, knows_gruu,
    register, write_answer,
};
use strowger_sip::transaction::KEPT;
use strowger_sip::transport::via::is_translated;
use strowger_sip::uas::check_content;
use strowger_sip::{Extra, Keys, Now, Outbox, Reject};
use strowger_syntax::uri::{SipUri, Uri};
use strowger_syntax::{Message, Method, Name, Status};

use super::committing::PendingRegister;
use super::guard::is_home;
use super::policy::{Checked, Right, Sender, spoken_for};
use super::push::{Purrs, check_push, has_other_pusher, write_feature_caps};
use super::shared::Shared;
use super::trace::{AskedWhy, RoleTaken, Step};
use super::user_lookup::{Known, Progress, unavailable};
use super::{Kept, Node, Work};
use crate::config::effective;
use crate::location::{Caller, Commit, CommitError, Committed, Ticket, Version};
use crate::subscriber::Resolved;

/// How often the procedure is run again because the record had changed meanwhile.
const ATTEMPTS: u8 = 3;

/// The largest datagram there is, in bytes: what IPv4 leaves for UDP.
const LARGEST_DATAGRAM: usize = 65_507;

/// Extensions that may be required of the node.
const SUPPORTED: &[&str] = &["path", "gruu", "outbound"];
/// The same where outbound is switched off.
const WITHOUT_OUTBOUND: &[&str] = &["path", "gruu"];

/// A REGISTER that may be carried out.
struct Admitted<'a> {
    request: Message<'a>,
    ingress: &'a Ingress,
    /// The number of the use of a nonce that its credentials are, which were right; `None` if they were not asked for.
    proven: Option<u64>,
}

impl PendingRegister {
    /// Whether the answer is still what it would be now, and there is nothing to be logged, for which the request would have
    /// to be read again.
    fn is_answer_right(&self, now: Now) -> bool {
        self.answer_secs == now.wall_secs() && !is_noted(self.changes)
    }
}

/// What one run of the procedure came to.
enum Run {
    Answered,
    Pending,
    Again,
}

impl Node {
    /// §10.3 steps 1 to 5: extensions, who asks, and for which address-of-record; and the body (§8.2.3).
    pub(super) fn on_register(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        now: Now,
        out: &mut Outbox,
    ) {
        self.trace.note(|| Step::own(RoleTaken::Registrar));
        if let Err(reject) = self.check_register(request, ingress) {
            return self.refuse_unproven(request, ingress, &reject, now, out);
        }
        // Steps 3 and 4: who asks, and whether the address is theirs.
        let mut right = None;
        if self.is_asked_who(request, ingress) {
            match self.check_credentials(request, ingress, now) {
                Checked::Right(credentials) => right = Some(credentials),
                Checked::Absent => return self.challenge_again(request, ingress, Staleness::Fresh, now, out),
                Checked::Rejected(rejection) => {
                    return self.refuse_credentials(request, ingress, rejection, now, out);
                }
                Checked::Waits => return,
                refused => {
                    let reject = refused.refusal().unwrap_or_else(unavailable);
                    return self.refuse_unproven(request, ingress, &reject, now, out);
                }
            }
        }
        if let Err(reject) = check_push(request, &self.shared) {
            return self.refuse_unproven(request, ingress, &reject, now, out);
        }
        // Step 5: the address-of-record.
        match self.settle_aor(request, ingress, right.map(|right| right.address), now) {
            Ok(Progress::On) => {}
            Ok(Progress::Waits) => return,
            Err(reject) => return self.refuse_unproven(request, ingress, &reject, now, out),
        }
        let admitted = Admitted {
            request,
            ingress,
            proven: right.as_ref().map(Right::number),
        };
        // The nonce count is used up only now. A retransmission has none left; it is known by the binding it made.
        if let Some(right) = right
            && !self.claim(&right, ingress, now)
        {
            return self.on_used_count(&admitted, now, out);
        }
        self.run_register(&admitted, 0, now, out);
    }

    /// A REGISTER with a nonce count that was used before. Whatever it asks for, it is answered only: nothing is committed with it.
    fn on_used_count(&mut self, admitted: &Admitted<'_>, now: Now, out: &mut Outbox) {
        let Admitted { request, ingress, .. } = *admitted;
        if self.is_known_retransmission(request, ingress, now) {
            self.trace.note(|| Step::Repeated { pending: false });
            self.work.contacts.clear();
            return self.answer_register(admitted, now, out);
        }
        if self.is_being_committed(admitted) {
            self.trace.note(|| Step::Repeated { pending: true });
            return;
        }
        if self.is_known_merged(request, now) {
            return self.refuse_register(admitted, &Reject::new(Status::LOOP_DETECTED), now, out);
        }
        self.challenge_again(request, ingress, Staleness::Stale, now, out);
    }

    /// Whether the listener takes new work, and step 2: extensions.
    fn check_register(&self, request: Message<'_>, ingress: &Ingress) -> Result<(), Reject> {
        if self.is_retired(ingress) {
            return Err(Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(5)));
        }
        check_extensions(request, &self.shared)?;
        check_content(request)
    }

    /// Whether whoever sends a REGISTER has to show credentials.
    fn is_asked_who(&self, request: Message<'_>, ingress: &Ingress) -> bool {
        let challenged = self.shared.is_challenged(Method::Register, b"REGISTER");
        let trusted = self.shared.is_trusted(ingress.source.remote.ip());
        self.trace.note(|| Step::Sender {
            sender: self.sender_by_source(ingress).into(),
            digest: self.shared.auth_on(),
        });
        self.trace.note(|| Step::Asked {
            why: match (challenged, trusted) {
                _ if self.is_visitor(request, ingress) => AskedWhy::Visitor,
                (true, false) => AskedWhy::Method,
                (true, true) => AskedWhy::Trusted,
                _ if !self.shared.auth_on() => AskedWhy::DigestOff,
                _ => AskedWhy::NotChallenged,
            },
        });
        challenged && !trusted && !self.is_visitor(request, ingress)
    }

    /// Whether it is a REGISTER of somebody else's user from where visitors may register.
    #[inline]
    pub(super) fn is_visitor(&self, request: Message<'_>, ingress: &Ingress) -> bool {
        !self.shared.policy.visitors.is_empty() && self.is_from_afar(request, ingress)
    }

    #[cold]
    fn is_from_afar(&self, request: Message<'_>, ingress: &Ingress) -> bool {
        effective::is_trusted(&self.shared.policy.visitors, ingress.source.remote.ip())
            && spoken_for(request).is_some_and(|sip| {
                !self.shared.is_ours(&sip) && sip.user.is_some_and(|user| !user.is_empty())
            })
    }

    /// Puts the address-of-record of a REGISTER into the work buffers as soon as it is known whose it is, as that of whoever has shown
    /// credentials is.
    #[inline]
    fn settle_aor(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        known: Option<Resolved>,
        now: Now,
    ) -> Result<Progress, Reject> {
        let is_settled = known == Some(Resolved::User) || self.shared.subscribers.lookup().is_none();
        if !is_settled && self.is_registered_known(request, ingress, now)? == Progress::Waits {
            return Ok(Progress::Waits);
        }
        self.find_aor(request, ingress, known)?;
        Ok(Progress::On)
    }

    /// Puts the address-of-record of a REGISTER into the work buffers. An alias stands for its user; `known` says that it
    /// is known to be one, or not.
    fn find_aor(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        known: Option<Resolved>,
    ) -> Result<(), Reject> {
        self.write_address(request, ingress)?;
        if known != Some(Resolved::User) && self.shared.subscribers.has_aliases() {
            self.follow_alias();
        }
        if self.work.aor.len() > crate::location::MAX_AOR {
            return Err(Reject::because(Status::BAD_REQUEST, "Address Too Long"));
        }
        Ok(())
    }

    /// Puts the address-of-record of a REGISTER into the work buffers as it is written.
    fn write_address(&mut self, request: Message<'_>, ingress: &Ingress) -> Result<(), Reject> {
        let work = &mut self.work;
        work.aor.clear();
        if !work.own.registered.write_aor(request.to_uri(), &mut work.aor) {
            self.write_aor(request, ingress)?;
        }
        Ok(())
    }

    /// Whether enough is known of the address-of-record that a REGISTER is for: it may be an alias.
    #[cold]
    fn is_registered_known(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        now: Now,
    ) -> Result<Progress, Reject> {
        if self.is_visitor(request, ingress) {
            return Ok(Progress::On);
        }
        self.write_address(request, ingress)?;
        match self.know_name(request, ingress, now)? {
            Known::Enough => Ok(Progress::On),
            Known::Asked => Ok(Progress::Waits),
            Known::Nothing => Err(unavailable()),
        }
    }

    /// Appends the address-of-record of a REGISTER as it is written to the work buffers.
    fn write_aor(&mut self, request: Message<'_>, ingress: &Ingress) -> Result<(), Reject> {
        let Some(sip) = spoken_for(request) else {
            return Err(Reject::because(Status::BAD_REQUEST, "To Is No SIP Address"));
        };
        if self.is_visitor(request, ingress) {
            return self.write_visitor(request, &sip);
        }
        // Steps 1 and 5: not ours means not found, and a registrar does not register for others, nor for one instance alone.
        if !self.shared.is_ours(&sip) || sip.user.is_none() || sip.params.has(b"gr") {
            return Err(Reject::new(Status::NOT_FOUND));
        }
        self.shared.ours.write_aor(&sip, &mut self.work.aor);
        self.work
            .own
            .registered
            .remember(request.to_uri(), &self.work.aor);
        Ok(())
    }

    /// Appends the address-of-record of a visitor: its whole address is a user part of the domain that it visits. Under its own
    /// name it is for its own domain to find (§16.5).
    fn write_visitor(&mut self, request: Message<'_>, visitor: &SipUri<'_>) -> Result<(), Reject> {
        let Ok(Uri::Sip(visited)) = Uri::parse(request.request_uri()) else {
            return Err(Reject::new(Status::NOT_FOUND));
        };
        let aor = &mut self.work.aor;
        canonical_aor(visitor, aor);
        aor.push(b'@');
        self.shared.ours.write_host(&visited.host, aor);
        Ok(())
    }

    /// Replaces the address-of-record in the work buffers by its user's, if it is an alias. Tells what it is.
    pub(super) fn follow_alias(&mut self) -> Resolved {
        let aor = &mut self.work.aor;
        let resolved = self.shared.subscribers.resolve_aor(aor, &mut self.work.name);
        if resolved == Resolved::Alias
            && let Some(at) = aor.iter().rposition(|&b| b == b'@')
        {
            aor.splice(..at, self.work.name.iter().copied());
        }
        resolved
    }

    fn is_known_retransmission(&mut self, request: Message<'_>, ingress: &Ingress, now: Now) -> bool {
        self.shared.location.read(&self.work.aor, &mut self.work.record);
        let record = Bindings::new(&self.work.record);
        has_registered(request, record, ingress.source.remote, now.wall_secs())
    }

    /// Whether a REGISTER has come before on another way (§8.2.2.2). The record is in the work buffers.
    fn is_known_merged(&self, request: Message<'_>, now: Now) -> bool {
        is_merged(request, Bindings::new(&self.work.record), now.wall_secs())
    }

    /// Whether this very request waits for its commit: it will be answered then.
    fn is_being_committed(&self, admitted: &Admitted<'_>) -> bool {
        let same = admitted.proven.and_then(|used| self.registers.by_use(used));
        let pool = &self.endpoint.layer.pool;
        same.is_some_and(|pending| pool.bytes(&pending.request) == admitted.request.bytes())
    }

    /// Steps 6 to 8, as often as the record changes under them. The address-of-record is in the work buffers.
    fn run_register(&mut self, admitted: &Admitted<'_>, attempts: u8, now: Now, out: &mut Outbox) {
        for attempt in attempts..ATTEMPTS {
            match self.try_register(admitted, attempt, now, out) {
                Run::Answered | Run::Pending => return,
                Run::Again => {}
            }
        }
        let reject = Reject::because(Status::SERVER_INTERNAL_ERROR, "Registration Kept Changing");
        self.refuse_register(admitted, &reject, now, out);
    }

    fn try_register(&mut self, admitted: &Admitted<'_>, attempt: u8, now: Now, out: &mut Outbox) -> Run {
        let seen = self.shared.location.read(&self.work.aor, &mut self.work.record);
        let record = Bindings::new(&self.work.record);
        let Admitted { request, ingress, .. } = *admitted;
        let mut origin = Origin::of(&ingress.source, self.shared.policy.boot);
        let listener = self.endpoint.identity.listeners.get(ingress.source.listener);
        if listener.is_some_and(|l| l.address.ip().is_unspecified()) {
            origin.from = Some(ingress.source.local.ip());
        }
        origin.translated = is_translated(request, &ingress.source);
        origin.pushed_elsewhere = has_other_pusher(request, &self.shared.push);
        let policy = &self.shared.policy.registrar;
        let decided = register(
            request,
            record,
            &origin,
            policy,
            now.wall_secs(),
            &mut self.work.next_record,
            &mut self.work.contacts,
        );
        if let Ok(outcome) = &decided {
            self.trace.note(|| Step::registered(&self.work.aor, *outcome));
        }
        match decided {
            Err(reject) => self.refuse_register(admitted, &reject, now, out),
            Ok(Outcome::Fetch | Outcome::Unchanged | Outcome::Retransmission) => {
                self.answer_register(admitted, now, out)
            }
            Ok(Outcome::Changed(changes)) => {
                // What is refreshed in the short way was found good when it was bound.
                let checked = match self.work.contacts.is_empty() {
                    true => self.check_instances(request),
                    false => Ok(()),
                };
                let checked = checked.and_then(|()| self.check_visitor(request, ingress, now));
                if let Err(reject) = checked {
                    self.refuse_register(admitted, &reject, now, out);
                    return Run::Answered;
                }
                if !self.is_answerable(admitted, now, &mut out.bytes) {
                    self.refuse_register(admitted, &answer_too_large(), now, out);
                    return Run::Answered;
                }
                let waiting = (attempt + 1, changes);
                return self.commit_register(admitted, seen, waiting, now, out);
            }
        }
        Run::Answered
    }

    /// Whether the 200 by the next record in the work buffers fits into a datagram, if it is to go by one: who never hears of a
    /// binding must not have it. `scratch` is left as it is.
    fn is_answerable(&mut self, admitted: &Admitted<'_>, now: Now, scratch: &mut Vec<u8>) -> bool {
        let (record, request) = (self.work.next_record.len(), admitted.request.bytes().len());
        if admitted.ingress.source.flow.is_some() || is_surely_short(record, request) {
            return true;
        }
        let start = scratch.len();
        std::mem::swap(&mut self.work.record, &mut self.work.next_record);
        self.append_answer(admitted, now, scratch);
        std::mem::swap(&mut self.work.record, &mut self.work.next_record);
        let len = scratch.len() - start;
        scratch.truncate(start);
        len <= LARGEST_DATAGRAM
    }

    /// Commits the next record in the work buffers, and answers when that is done at once.
    fn commit_register(
        &mut self,
        admitted: &Admitted<'_>,
        seen: Version,
        (attempts, changes): (u8, Changes),
        now: Now,
        out: &mut Outbox,
    ) -> Run {
        // Most stores answer at once, so what it takes to go on later is copied only if there is a later.
        let ticket = self.registers.next_id();
        let caller = Caller {
            shard: self.endpoint.identity.shard,
            ticket: Ticket(u64::from(ticket.index) << 32 | u64::from(ticket.counter)),
        };
        let (location, record) = (&self.shared.location, &self.work.next_record);
        let commit = location.commit(&self.work.aor, seen, record, caller);
        match commit {
            Commit::Done(_) => {
                std::mem::swap(&mut self.work.record, &mut self.work.next_record);
                self.registered(admitted, changes, now, out);
                Run::Answered
            }
            Commit::Conflict => Run::Again,
            // Another thread may be answering already, but the answer reaches this shard as a later event.
            Commit::Pending => {
                std::mem::swap(&mut self.work.record, &mut self.work.next_record);
                self.wait_for_commit(admitted, (attempts, changes), now, &mut out.bytes);
                Run::Pending
            }
            Commit::Unavailable => {
                self.store_failed(admitted, now, out);
                Run::Answered
            }
        }
    }

    /// Keeps a REGISTER, and its answer by the record in the work buffers, which is written at the end of `scratch` before.
    fn wait_for_commit(
        &mut self,
        admitted: &Admitted<'_>,
        (attempts, changes): (u8, Changes),
        now: Now,
        scratch: &mut Vec<u8>,
    ) {
        let start = scratch.len();
        self.append_answer(admitted, now, scratch);
        let pool = &mut self.endpoint.layer.pool;
        let answer = pool.store(&scratch[start..]);
        scratch.truncate(start);
        let request = pool.store(admitted.request.bytes());
        self.registers.insert(PendingRegister {
            request,
            ingress: *admitted.ingress,
            proven: admitted.proven,
            attempts,
            changes,
            answer,
            answer_secs: now.wall_secs(),
        });
    }

    /// The store has answered.
    pub(super) fn on_committed(&mut self, committed: Committed, now: Now, out: &mut Outbox) {
        let Ticket(ticket) = committed.caller.ticket;
        let ticket = strowger_sip::memory::Id {
            index: (ticket >> 32) as u32,
            counter: ticket as u32,
        };
        let Some(waiting) = self.registers.remove(ticket) else {
            return;
        };
        if committed.result.is_ok() && waiting.is_answer_right(now) {
            return self.give_answer(waiting, out);
        }
        self.endpoint.layer.pool.give(waiting.answer);
        let Kept { mut text, mut index } = self.work.kept.take().unwrap_or_default();
        self.endpoint.layer.pool.take(waiting.request, &mut text);
        if let Ok(request) = index.parse(&text, &KEPT)
            && self.find_aor(request, &waiting.ingress, None).is_ok()
        {
            let admitted = &Admitted {
                request,
                ingress: &waiting.ingress,
                proven: waiting.proven,
            };
            match committed.result {
                Ok(_) => {
                    self.shared.location.read(&self.work.aor, &mut self.work.record);
                    self.work.contacts.clear();
                    self.registered(admitted, waiting.changes, now, out);
                }
                Err(CommitError::Conflict) => self.run_register(admitted, waiting.attempts, now, out),
                Err(CommitError::Failed(_)) => self.store_failed(admitted, now, out),
            }
        }
        self.work.kept = Some(Kept { text, index });
    }

    /// Sends the answer that was written when the commit was asked for.
    fn give_answer(&mut self, waiting: PendingRegister, out: &mut Outbox) {
        self.tally.registered();
        let pool = &mut self.endpoint.layer.pool;
        let answer = pool.bytes(&waiting.answer);
        if !answer.is_empty() {
            out.send(answer, waiting.ingress.to(), 0);
        }
        pool.give(waiting.answer);
        pool.give(waiting.request);
    }

    fn registered(&mut self, admitted: &Admitted<'_>, changes: Changes, now: Now, out: &mut Outbox) {
        if is_noted(changes) {
            self.note_registration(admitted, changes, now);
        }
        self.answer_register(admitted, now, out);
    }

    #[inline(never)]
    fn note_registration(&mut self, admitted: &Admitted<'_>, changes: Changes, now: Now) {
        let bindings = Bindings::new(&self.work.record).live(now.wall_secs()).count();
        let source = &admitted.ingress.source;
        self.journal.line(now, "registration").map(|line| {
            line.text("aor", &self.work.aor)
                .number("added", u64::from(changes.added))
                .number("removed", u64::from(changes.removed))
                .number("contacts", bindings as u64)
                .address("source", source.transport.uri_param(), source.remote)
        });
    }

    /// Step 8: the 200 with all current bindings, from the record in the work buffers.
    fn answer_register(&mut self, admitted: &Admitted<'_>, now: Now, out: &mut Outbox) {
        let start = out.bytes.len();
        let is_sent = self.append_answer(admitted, now, &mut out.bytes);
        if out.bytes.len() - start > LARGEST_DATAGRAM && admitted.ingress.source.flow.is_none() {
            out.bytes.truncate(start);
            return self.refuse_register(admitted, &answer_too_large(), now, out);
        }
        self.tally.registered();
        self.trace.note(|| Step::Answered { status: 200 });
        if is_sent {
            out.send_from(start, admitted.ingress.to(), 0);
        }
    }

    /// Appends that 200, if it may be sent. Who cannot be told to be at the address that asks gets no more than fits.
    fn append_answer(&mut self, admitted: &Admitted<'_>, now: Now, out: &mut Vec<u8>) -> bool {
        let Work {
            aor,
            record,
            contacts,
            date,
            ..
        } = &mut self.work;
        let record = Bindings::new(record);
        let (identity, push) = (&self.endpoint.identity, &self.shared.push);
        let service_route = &self.shared.policy.service_route;
        let Admitted { request, ingress, .. } = *admitted;
        let flow_timer = self.shared.policy.registrar.flow_timer(ingress.source.transport);
        let is_there = || {
            sender_of(&self.shared, &self.endpoint.identity.keys, admitted).is_exempt()
                || is_home(record, &ingress.source, now)
        };
        identity.append_reply(request, ingress, Status::OK, is_there, out, |out| {
            let told = Told {
                contacts,
                gruus: (contacts.is_empty() && knows_gruu(request)).then(|| Gruus {
                    key: &identity.keys.gruu,
                    aor,
                    port: spoken_for(request).and_then(|sip| sip.port),
                }),
                outbound: self.shared.policy.registrar.outbound,
                flow_timer,
            };
            write_answer(request, record, &told, now.wall_secs(), date, out);
            let purrs = Purrs {
                key: &identity.keys.purr,
                aor,
                now_secs: now.wall_secs(),
            };
            write_feature_caps(request, push, &purrs, out);
            out.extend_from_slice(service_route);
        })
    }

    fn store_failed(&mut self, admitted: &Admitted<'_>, now: Now, out: &mut Outbox) {
        let reject = Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(5));
        self.refuse_register(admitted, &reject, now, out);
    }

    fn refuse_register(&mut self, admitted: &Admitted<'_>, reject: &Reject, now: Now, out: &mut Outbox) {
        let Admitted { request, ingress, .. } = *admitted;
        let sender = sender_of(&self.shared, &self.endpoint.identity.keys, admitted);
        self.reject(request, ingress, sender, reject, now, out);
    }

    /// Refuses a request whose sender is known by its source alone.
    fn refuse_unproven(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        reject: &Reject,
        now: Now,
        out: &mut Outbox,
    ) {
        let sender = self.sender_by_source(ingress);
        self.reject(request, ingress, sender, reject, now, out);
    }
}

/// Whether the answer to a request of so many bytes surely fits into a datagram if the record has so many: it has the lines of
/// the request, the record, the instances' IDs once more in at most three times as many bytes, and for each binding, which takes
/// 60 bytes or more, the address-of-record in its GRUUs, which takes less than twice the request.
fn is_surely_short(record: usize, request: usize) -> bool {
    record <= 4096 && request <= 8192 && record * request <= 1_000_000
}

/// 513: by another transport it can be told.
fn answer_too_large() -> Reject {
    Reject::because(Status::MESSAGE_TOO_LARGE, "Answer Too Large For UDP")
}

/// Whether the log says what a REGISTER did.
fn is_noted(changes: Changes) -> bool {
    changes.added > 0 || changes.removed > 0
}

/// Step 2, and §8.2.2.3: whether all extensions that are required are known.
#[inline]
pub(super) fn check_extensions(request: Message<'_>, shared: &Shared) -> Result<(), Reject> {
    match request.has(Name::Require) {
        true => check_required(request, shared),
        false => Ok(()),
    }
}

fn check_required(request: Message<'_>, shared: &Shared) -> Result<(), Reject> {
    let supported = match shared.policy.registrar.outbound {
        true => SUPPORTED,
        false => WITHOUT_OUTBOUND,
    };
    let is_known = |tag: &[u8]| supported.iter().any(|s| tag.eq_ignore_ascii_case(s.as_bytes()));
    if request.elements(Name::Require).all(is_known) {
        return Ok(());
    }
    let extra = Extra::Unsupported(Name::Require, supported);
    Err(Reject::with(Status::BAD_EXTENSION, extra))
}

fn sender_of(shared: &Shared, keys: &Keys, admitted: &Admitted<'_>) -> Sender {
    if admitted.proven.is_some() {
        Sender::Authenticated
    } else {
        Sender::by_source(shared, keys, admitted.ingress)
    }
}
