//! SUBSCRIBE (RFC 6665 §4.2.1): from the request to the commit, and from the commit to the answer and the first NOTIFY.

use strowger_sip::auth::Staleness;
use strowger_sip::event::{Asked, Course, Dialog, Told, asked, package_of};
use strowger_sip::memory::{Id, Stored, TimerId};
use strowger_sip::registrar::{Bindings, Origin};
use strowger_sip::transaction::KEPT;
use strowger_sip::uas::check_content;
use strowger_sip::{Extra, Ingress, Now, Outbox, Reject};
use strowger_syntax::header::NameAddr;
use strowger_syntax::message::ResponseWriter;
use strowger_syntax::scan::put_number;
use strowger_syntax::uri::SipUri;
use strowger_syntax::{Message, Method, Name, Status, Uri};

use super::{Elsewhere, SET_ASIDE, Subscription};
use crate::events::{Outcome, Settled, Store};
use crate::location::{Caller, MAX_AOR, Slot, Ticket};
use crate::node::dispatch::{Bound, Case};
use crate::node::policy::{Checked, Sender, spoken_for};
use crate::node::trace::{AskedWhy, RoleTaken, Step};
use crate::node::user_lookup::{Known, Progress, unavailable};
use crate::node::{Kept, Node};
use crate::subscriber::Resolved;

/// After how many seconds a subscriber who found no place may try again.
const RETRY_SECS: u32 = 60;

/// A SUBSCRIBE whose change waits for the disk.
#[derive(Clone, Debug)]
pub(in crate::node) struct PendingSubscribe {
    server: Id,
    request: Stored,
    ingress: Ingress,
    grant: Grant,
    change: Change,
}

/// What a SUBSCRIBE is told.
#[derive(Clone, Debug)]
struct Grant {
    /// Our tag.
    tag: Box<[u8]>,
    secs: u32,
}

/// What a SUBSCRIBE does.
#[derive(Clone, Debug)]
enum Change {
    /// It makes a subscription.
    Begin(Box<Subscription>),
    /// It refreshes one for so many seconds, or ends it. How long it would have lasted, and how long it does now.
    Refresh(Id, u32, [Lasting; 2]),
}

/// How long a subscription lasts: when it ends, and whether it is kept until then.
type Lasting = (u64, bool);

impl Node {
    /// Whether a SUBSCRIBE is for the node itself to answer.
    pub(in crate::node) fn is_for_notifier(&self, bound: &Bound<'_>, case: &Case<'_>) -> bool {
        case.request.method() == Method::Subscribe
            && match bound {
                Bound::Node => true,
                Bound::User(_) => package_of(case.request).is_some(),
                Bound::Foreign(_) => false,
            }
    }

    /// A SUBSCRIBE for the node itself.
    pub(in crate::node) fn on_subscribe(
        &mut self,
        case: &Case<'_>,
        bound: &Bound<'_>,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        self.trace.note(|| Step::own(RoleTaken::Notifier));
        let Some(sender) = self.admit_subscriber(case, bound, now, out)? else {
            return Ok(());
        };
        let done = self.subscribe(case, bound, sender, now, out);
        if let Err(reject) = done {
            self.reject(case.request, case.ingress, sender, &reject, now, out);
        }
        Ok(())
    }

    /// Who sends it (RFC 6665 §4.2.1.3): where digest is on, everybody but trusted sources is asked, also within a dialog.
    fn admit_subscriber(
        &mut self,
        case: &Case<'_>,
        bound: &Bound<'_>,
        now: Now,
        out: &mut Outbox,
    ) -> Result<Option<Sender>, Reject> {
        let (request, ingress) = (case.request, case.ingress);
        let (sender, digest) = (self.sender_by_source(ingress), self.shared.auth_on());
        self.trace.note(|| Step::Sender {
            sender: sender.into(),
            digest,
        });
        let exempt = match sender {
            _ if !digest => Some(AskedWhy::DigestOff),
            Sender::Trusted => Some(AskedWhy::Trusted),
            _ => None,
        };
        if let Some(why) = exempt {
            self.trace.note(|| Step::Asked { why });
            if self.is_watched_known(case, bound, sender, now)? == Progress::Waits {
                return Ok(None);
            }
            if self.is_merged(request, now) {
                return Err(Reject::new(Status::LOOP_DETECTED));
            }
            return Ok(Some(sender));
        }
        self.trace.note(|| Step::Asked {
            why: AskedWhy::Method,
        });
        match self.check_credentials(request, ingress, now) {
            // The nonce count is used up once, when the request goes on.
            Checked::Right(_)
                if self.is_watched_known(case, bound, Sender::Authenticated, now)? == Progress::Waits =>
            {
                return Ok(None);
            }
            // A copy has the nonce count of the first one: it would be challenged, and asked for again.
            Checked::Right(_) if self.is_merged(request, now) => {
                return Err(Reject::new(Status::LOOP_DETECTED));
            }
            Checked::Right(proof) if self.claim(&proof, ingress, now) => {
                return Ok(Some(Sender::Authenticated));
            }
            Checked::Waits => return Ok(None),
            Checked::Unknown(reject) => return Err(reject),
            Checked::Right(_) => self.challenge(request, ingress, Staleness::Stale, now, out),
            Checked::NotOwner | Checked::Insists | Checked::ShutOut => {
                return Err(Reject::new(Status::FORBIDDEN));
            }
            Checked::Absent => self.challenge(request, ingress, Staleness::Fresh, now, out),
            Checked::Rejected(rejection) => self.refuse_credentials(request, ingress, rejection, now, out),
        }
        Ok(None)
    }

    /// Whether enough is known of whom a SUBSCRIBE asks about.
    fn is_watched_known(
        &mut self,
        case: &Case<'_>,
        bound: &Bound<'_>,
        sender: Sender,
        now: Now,
    ) -> Result<Progress, Reject> {
        let (request, ingress) = (case.request, case.ingress);
        if request.to_tag().is_none() {
            return self.is_called_known(case, bound, sender, now);
        }
        let Some((_, subscription)) = self.subscription_of(request) else {
            return Ok(Progress::On);
        };
        let aor = subscription.aor.clone();
        self.work.aor.clear();
        self.work.aor.extend_from_slice(&aor);
        match self.know_name(request, ingress, now)? {
            Known::Enough => Ok(Progress::On),
            Known::Asked => Ok(Progress::Waits),
            // The subscription goes on (RFC 6665 §4.1.2.2).
            Known::Nothing => Err(unavailable()),
        }
    }

    /// The subscription that a SUBSCRIBE within a dialog is for.
    fn subscription_of(&self, request: Message<'_>) -> Option<(Id, &Subscription)> {
        let key = self.endpoint.identity.call_key(request.to_tag()?, &[]);
        let id = *self.events.by_tag.get(&key)?;
        let subscription = self.events.subscriptions.get(id)?;
        subscription.dialog.is_of(request).then_some((id, subscription))
    }

    /// Whether a SUBSCRIBE is a copy of one that has begun a subscription, and came another way (RFC 3261 §8.2.2.2): what comes the
    /// same way again has its transaction.
    fn is_merged(&mut self, request: Message<'_>, now: Now) -> bool {
        let id = self.request_id(request);
        request.to_tag().is_none() && self.events.begun.has(id, now.mono_ms())
    }

    fn request_id(&self, request: Message<'_>) -> (u64, u32) {
        let tag = request.from_tag().unwrap_or_default();
        let call = self.endpoint.identity.call_key(request.call_id(), tag);
        (call, request.cseq())
    }

    fn subscribe(
        &mut self,
        case: &Case<'_>,
        bound: &Bound<'_>,
        sender: Sender,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let request = case.request;
        if request.has(Name::Require) {
            let extra = Extra::Unsupported(Name::Require, &[]);
            return Err(Reject::with(Status::BAD_EXTENSION, extra));
        }
        check_content(request)?;
        let asked = asked(request, &self.shared.policy.events.durations)?;
        if request.to_tag().is_some() {
            return self.refresh_subscription(case, &asked, sender, now, out);
        }
        let Bound::User(uri) = bound else {
            return Err(Reject::new(Status::NOT_FOUND));
        };
        let owner = self.find_watched(request, uri, sender, now)?;
        self.check_room(case.ingress, &case.routing)?;
        self.begin_subscription(case, &asked, owner, sender, now, out)
    }

    /// Puts the address-of-record that is asked about into the work buffers, if the sender may be told of it. Whether it is
    /// the sender's own.
    fn find_watched(
        &mut self,
        request: Message<'_>,
        uri: &[u8],
        sender: Sender,
        now: Now,
    ) -> Result<bool, Reject> {
        let speaker = self.speaker(request);
        let Ok(Uri::Sip(sip)) = Uri::parse(uri) else {
            return Err(Reject::new(Status::NOT_FOUND));
        };
        self.work.aor.clear();
        self.shared.ours.write_aor(&sip, &mut self.work.aor);
        self.check_watcher(speaker.as_ref(), sender, now)
    }

    /// Whether the address-of-record in the work buffers is the speaker's own, if the speaker may be told of it.
    pub(super) fn check_watcher(
        &mut self,
        speaker: Option<&Vec<u8>>,
        sender: Sender,
        now: Now,
    ) -> Result<bool, Reject> {
        let resolved = self.follow_alias();
        let owner = speaker == Some(&self.work.aor);
        let may_watch = |speaker: &Vec<u8>| {
            let watchers = &self.shared.policy.events.watchers;
            watchers.iter().any(|watcher| watcher.as_bytes() == &speaker[..])
        };
        if sender == Sender::Authenticated && !owner && !speaker.is_some_and(may_watch) {
            return Err(Reject::new(Status::FORBIDDEN));
        }
        // Who is registered is somebody, also while the server of users has not been asked.
        let is_nobody = self.shared.auth_on() && resolved == Resolved::Unknown && !self.is_anywhere(now);
        if is_nobody || self.work.aor.len() > MAX_AOR {
            return Err(Reject::new(Status::NOT_FOUND));
        }
        Ok(owner && (sender == Sender::Authenticated || !self.shared.auth_on()))
    }

    /// Whether the address-of-record in the work buffers is registered.
    fn is_anywhere(&mut self, now: Now) -> bool {
        let work = &mut self.work;
        self.shared.location.read(&work.aor, &mut work.record);
        Bindings::new(&work.record).live(now.wall_secs()).next().is_some()
    }

    /// The address-of-record that a request speaks for, if that is ours; an alias stands for its user.
    fn speaker(&mut self, request: Message<'_>) -> Option<Vec<u8>> {
        self.user_of(spoken_for(request)?)
    }

    /// The address-of-record that a URI names, if that is ours; an alias stands for its user.
    pub(super) fn user_of(&mut self, sip: SipUri<'_>) -> Option<Vec<u8>> {
        if !self.shared.is_ours(&sip) {
            return None;
        }
        self.work.aor.clear();
        self.shared.ours.write_aor(&sip, &mut self.work.aor);
        self.follow_alias();
        Some(self.work.aor.clone())
    }

    /// The subscription to the address-of-record in the work buffers.
    fn begin_subscription(
        &mut self,
        case: &Case<'_>,
        asked: &Asked<'_>,
        owner: bool,
        sender: Sender,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let Case { request, ingress, .. } = *case;
        let remote = ingress.source.remote.ip();
        let (quota, most) = (&self.shared.events.quota, &self.shared.policy.events.most);
        if !quota.enter(most, &self.work.aor, remote, sender.is_exempt()) {
            return Err(Reject {
                reason: "Too Many Subscriptions",
                ..Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(RETRY_SECS))
            });
        }
        let tag = self.new_tag(request, now);
        let subscription = Subscription {
            package: asked.package,
            id: asked.id.into(),
            aor: self.work.aor.as_slice().into(),
            slot: Slot::default(),
            owner,
            dialog: Dialog::of(request, &tag, asked.contact),
            set_aside: SET_ASIDE,
            origin: self.origin_of(ingress),
            course: Course::new(now.mono_ms(), u64::from(asked.secs) * 1000),
            client: None,
            told: Told::default(),
            ends_at: now.wall_secs() + u64::from(asked.secs),
            timer: TimerId::NONE,
            has_other_way: false,
            other_way: false,
            lookups: 0,
            elsewhere: Elsewhere::Unknown,
            probes: 0,
            // What is over with its first notification need not be kept.
            is_kept: asked.secs > 0,
        };
        let kept = subscription.is_kept.then(|| subscription.kept());
        let change = Change::Begin(Box::new(subscription));
        let grant = Grant {
            tag: tag.into(),
            secs: asked.secs,
        };
        self.carry_out_change(case, grant, change, now, out, |store, caller| {
            kept.is_none_or(|kept| store.put(kept, Some(caller)))
        })?;
        let (id, lifetime_ms) = (self.request_id(request), self.endpoint.layer.timers.lifetime_ms());
        let most = self.shared.policy.max_transactions;
        self.events.begun.add(id, now.mono_ms(), lifetime_ms, most);
        Ok(())
    }

    /// A tag of ours that no other dialog has.
    fn new_tag(&mut self, request: Message<'_>, now: Now) -> Vec<u8> {
        self.events.count += 1;
        let key = &self.endpoint.identity.keys.to_tag;
        let parts = [
            b"subscription",
            request.call_id(),
            request.from_tag().unwrap_or(&[]),
            &now.wall_ms.to_be_bytes(),
            &self.events.count.to_be_bytes(),
        ];
        format!("{:016x}", key.mac(&parts)).into_bytes()
    }

    /// Where a request came from, and the way back.
    fn origin_of(&self, ingress: &Ingress) -> Origin {
        let mut origin = Origin::of(&ingress.source, self.shared.policy.boot);
        let listener = self.endpoint.identity.listeners.get(ingress.source.listener);
        if listener.is_some_and(|listener| listener.address.ip().is_unspecified()) {
            origin.from = Some(ingress.source.local.ip());
        }
        origin
    }

    /// Whether who sends a SUBSCRIBE within a dialog is who began it, and may still be told (RFC 6665 §4.2.1.3): to know a dialog
    /// is no leave to go on with it. Whether what is told of is the sender's own.
    fn check_refresher(
        &mut self,
        id: Id,
        request: Message<'_>,
        sender: Sender,
        now: Now,
    ) -> Result<bool, Reject> {
        let subscription = self.events.subscriptions.get(id).ok_or_else(unknown)?;
        let (remote, aor) = (subscription.dialog.remote.clone(), subscription.aor.clone());
        let began = NameAddr::parse(&remote).ok();
        let speaker = self.speaker(request);
        let is_same = began.is_some_and(|began| match (began.uri, &speaker) {
            (Uri::Sip(sip), Some(_)) => self.user_of(sip) == speaker,
            (uri, _) => Uri::parse(request.from_uri()).is_ok_and(|from| Uri::equivalent(&uri, &from)),
        });
        if !is_same {
            return Err(Reject::new(Status::FORBIDDEN));
        }
        self.work.aor.clear();
        self.work.aor.extend_from_slice(&aor);
        let owner = self.check_watcher(speaker.as_ref(), sender, now)?;
        // What was a user may be another one's alias now.
        let is_still = *self.work.aor == *aor;
        is_still
            .then_some(owner)
            .ok_or_else(|| Reject::new(Status::NOT_FOUND))
    }

    /// A SUBSCRIBE within a dialog (RFC 6665 §4.2.1.4).
    fn refresh_subscription(
        &mut self,
        case: &Case<'_>,
        asked: &Asked<'_>,
        sender: Sender,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let Case { request, ingress, .. } = *case;
        let origin = self.origin_of(ingress);
        let is_it = |subscription: &Subscription| {
            (subscription.package, &*subscription.id) == (asked.package, asked.id)
                && !subscription.course.is_ending()
        };
        let id = match self.subscription_of(request) {
            Some((id, subscription)) if is_it(subscription) => id,
            _ => return Err(unknown()),
        };
        let owner = match self.check_refresher(id, request, sender, now) {
            Ok(owner) => owner,
            Err(reject) => {
                self.review(id, now, out);
                return Err(reject);
            }
        };
        if self.is_full(true) {
            return Err(try_later());
        }
        let subscription = self.events.subscriptions.get_mut(id).ok_or_else(unknown)?;
        let before = subscription.bytes();
        if subscription.dialog.refresh(request, asked.contact).is_err() {
            return Err(Reject::because(
                Status::SERVER_INTERNAL_ERROR,
                "CSeq Out Of Order",
            ));
        }
        let after = subscription.bytes();
        let quota = &self.shared.events.quota;
        quota.leave(&subscription.aor, subscription.origin.remote.ip());
        quota.admit(&subscription.aor, origin.remote.ip());
        (subscription.origin, subscription.owner) = (origin, owner);
        // At once, for what is kept meanwhile for another reason comes behind it.
        let before_it = (subscription.ends_at, subscription.is_kept);
        let lasting = (now.wall_secs() + u64::from(asked.secs), asked.secs > 0);
        (subscription.ends_at, subscription.is_kept) = lasting;
        let kept = subscription.kept();
        self.events.bytes = (self.events.bytes + after).saturating_sub(before);
        let grant = Grant {
            tag: kept.dialog.local_tag.clone(),
            secs: asked.secs,
        };
        let change = Change::Refresh(id, asked.secs, [before_it, lasting]);
        self.carry_out_change(case, grant, change, now, out, |store, caller| {
            if kept.ends_at > now.wall_secs() {
                store.put(kept, Some(caller))
            } else {
                store.remove(&kept.dialog.local_tag, Some(caller))
            }
        })
    }

    /// Keeps a change, then answers and does it; at once where there is nothing to keep.
    fn carry_out_change(
        &mut self,
        case: &Case<'_>,
        grant: Grant,
        change: Change,
        now: Now,
        out: &mut Outbox,
        keep: impl FnOnce(&Store, Caller) -> bool,
    ) -> Result<(), Reject> {
        let Case { request, ingress, .. } = *case;
        let is_kept = match &change {
            Change::Begin(subscription) => subscription.is_kept,
            Change::Refresh(..) => true,
        };
        let ticket = self.events.pending.next_id();
        let caller = Caller {
            shard: self.endpoint.identity.shard,
            ticket: Ticket(u64::from(ticket.index) << 32 | u64::from(ticket.counter)),
        };
        let waits = match self.subscription_store().filter(|_| is_kept) {
            Some(store) if keep(store, caller) => true,
            Some(_) => {
                self.drop_change(&change);
                return Err(try_later());
            }
            None => false,
        };
        let (to, fallback) = (ingress.to(), ingress.fallback());
        let layer = &mut self.endpoint.layer;
        let server = layer.accept(case.key, Method::Subscribe, to, fallback, now.mono_ms(), out);
        if !waits {
            self.grant(server, request, ingress, &grant, now, out);
            self.do_change(change, now, out);
            return Ok(());
        }
        let request = self.endpoint.layer.pool.store(request.bytes());
        self.events.pending.insert_with(|_| PendingSubscribe {
            server,
            request,
            ingress: *ingress,
            grant,
            change,
        });
        Ok(())
    }

    /// The store has answered.
    pub(in crate::node) fn on_subscription_kept(&mut self, settled: Settled, now: Now, out: &mut Outbox) {
        let Ticket(ticket) = settled.caller.ticket;
        let ticket = Id {
            index: (ticket >> 32) as u32,
            counter: ticket as u32,
        };
        let Some(pending) = self.events.pending.remove(ticket) else {
            return;
        };
        let Kept { mut text, mut index } = self.work.kept.take().unwrap_or_default();
        self.endpoint.layer.pool.take(pending.request, &mut text);
        if let Ok(request) = index.parse(&text, &KEPT) {
            let (server, ingress) = (pending.server, &pending.ingress);
            let is_gone = matches!(&pending.change, Change::Refresh(id, ..) if self.events.subscriptions.get(*id).is_none());
            match settled.outcome {
                Outcome::Done if is_gone => {
                    let (start, reject) = (out.bytes.len(), Reject::new(Status::CALL_DOES_NOT_EXIST));
                    self.endpoint
                        .identity
                        .write_reject(request, ingress.stamp, &reject, &mut out.bytes);
                    self.answer_subscribe(server, reject.status, start, now, out);
                }
                Outcome::Done => {
                    self.grant(server, request, ingress, &pending.grant, now, out);
                    self.do_change(pending.change, now, out);
                }
                Outcome::Failed(_) => {
                    let (start, reject) = (out.bytes.len(), try_later());
                    self.endpoint
                        .identity
                        .write_reject(request, ingress.stamp, &reject, &mut out.bytes);
                    self.answer_subscribe(server, reject.status, start, now, out);
                    self.drop_change(&pending.change);
                }
            }
        }
        self.work.kept = Some(Kept { text, index });
    }

    /// Answers 200 (RFC 6665 §4.2.1.1, RFC 3261 §12.1.1).
    fn grant(
        &mut self,
        server: Id,
        request: Message<'_>,
        ingress: &Ingress,
        grant: &Grant,
        now: Now,
        out: &mut Outbox,
    ) {
        let (status, source) = (Status::OK, &ingress.source);
        let (bytes, index, reason) = (request.bytes(), request.index(), status.reason());
        let (start, listeners) = (out.bytes.len(), &self.endpoint.identity.listeners);
        ResponseWriter::begin(
            &mut out.bytes,
            bytes,
            index,
            status,
            reason,
            ingress.stamp,
            &grant.tag,
        )
        .lines_with(|out| {
            for field in request.fields_of(Name::RecordRoute) {
                out.extend_from_slice(field.line.of(bytes));
            }
        })
        .field_with(Name::Contact, |out| {
            out.push(b'<');
            let told = listeners.told(source.listener, source.remote.ip());
            let listener = (source.listener, told);
            listeners.write_uri(source.transport, listener, source.local.ip(), out);
            out.push(b'>');
        })
        .field_with(Name::Expires, |out| put_number(out, u64::from(grant.secs)))
        .finish();
        self.answer_subscribe(server, status, start, now, out);
    }

    fn answer_subscribe(&mut self, server: Id, status: Status, start: usize, now: Now, out: &mut Outbox) {
        self.trace.note(|| Step::Answered {
            status: status.code(),
        });
        // The transaction may have ended while the disk was slow; its subscriber asks again.
        let _ = self
            .endpoint
            .layer
            .respond(server, status, start, now.mono_ms(), out);
    }

    fn do_change(&mut self, change: Change, now: Now, out: &mut Outbox) {
        let id = match change {
            Change::Begin(mut subscription) => {
                self.journal.line(now, "subscription").map(|line| {
                    let origin = &subscription.origin;
                    line.text("aor", &subscription.aor)
                        .text("event", subscription.package.name().as_bytes())
                        .address("source", origin.transport.uri_param(), origin.remote)
                });
                let secs = subscription.ends_at.saturating_sub(now.wall_secs());
                subscription.course.refresh(now.mono_ms(), secs * 1000);
                self.add_subscription(*subscription)
            }
            Change::Refresh(id, secs, _) => {
                let Some(subscription) = self.events.subscriptions.get_mut(id) else {
                    return;
                };
                subscription.course.refresh(now.mono_ms(), u64::from(secs) * 1000);
                id
            }
        };
        self.attend(id, now, out);
    }

    /// A change is not made after all.
    fn drop_change(&mut self, change: &Change) {
        match change {
            Change::Begin(subscription) => {
                let source = subscription.origin.remote.ip();
                self.shared.events.quota.leave(&subscription.aor, source);
            }
            Change::Refresh(id, _, [before, refreshed]) => {
                // Unless a later one has come meanwhile.
                if let Some(subscription) = self.events.subscriptions.get_mut(*id)
                    && (subscription.ends_at, subscription.is_kept) == *refreshed
                {
                    (subscription.ends_at, subscription.is_kept) = *before;
                }
            }
        }
    }

    /// Why nobody will serve a SUBSCRIBE for a user of ours: it asks for what only a server has, and comes from the user who
    /// would get it. Its own phone would be sent what it has sent itself. The address-of-record is in the work buffers.
    pub(in crate::node) fn without_notifier(&mut self, request: Message<'_>) -> Option<Reject> {
        let is_of_servers = request.method() == Method::Subscribe
            && request.to_tag().is_none()
            && request
                .first(Name::Event)
                .is_some_and(|event| event.split(|&byte| byte == b';').next() == Some(b"message-summary"));
        if !is_of_servers {
            return None;
        }
        let asked = self.work.aor.clone();
        let speaker = self.speaker(request);
        let is_own = speaker.as_ref() == Some(&asked);
        self.work.aor = asked;
        is_own.then(|| Reject::with(Status::BAD_EVENT, Extra::AllowEvents))
    }

    /// Whether a SUBSCRIBE is for what this node serves.
    pub(in crate::node) fn is_served(&self, request: Message<'_>) -> bool {
        package_of(request).is_some() && self.shared.names_us(request.request_uri())
    }
}

/// There is no such subscription, or it is over.
fn unknown() -> Reject {
    Reject::because(Status::CALL_DOES_NOT_EXIST, "Subscription Does Not Exist")
}

/// Nothing can be kept at the moment.
fn try_later() -> Reject {
    Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(5))
}
