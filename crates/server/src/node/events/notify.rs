//! NOTIFY (RFC 6665 §4.2.2): what is due is sent in a client transaction of its own, and its answer decides what follows.

use std::net::{IpAddr, Ipv4Addr};

use strowger_sip::event::{
    Answer, Dialog, Due, End, Fate, Notify, Number, Standing, Told, Watched, next_hop, write_notify,
    write_reginfo,
};
use strowger_sip::memory::Id;
use strowger_sip::registrar::{Binding, Bindings, Gruus, Order, Q_DEFAULT};
use strowger_sip::transaction::{Patience, Sending, User};
use strowger_sip::transport::{Departure, Destination, Hop, Located, Server, Size, locate, way_to};
use strowger_sip::{Now, Outbox};
use strowger_syntax::header::{NameAddr, RetryAfter};
use strowger_syntax::{Message, Method, Uri};

use super::{Elsewhere, NOTIFY, NUMBER, Subscription};
use crate::dns::Age;
use crate::node::Node;

/// How long a name of a next hop is waited for, in milliseconds, and how often.
const LOOKUP_MS: u64 = 300;
const LOOKUPS: u8 = 30;
/// What a NOTIFY has beside its body and what is remembered of its dialog, in bytes, or less.
const HEAD: usize = 400;

/// The way to a subscriber.
enum Way {
    /// The first hop, and another one to try if that fails.
    To(Hop, Option<Hop>),
    /// There is none.
    None,
    /// A name has to be looked up first.
    Unknown,
}

impl Way {
    /// By the first hop, and if it fails by the second.
    fn of(hops: &[Hop]) -> Self {
        match *hops {
            [] => Self::None,
            [only] => Self::To(only, None),
            [first, other, ..] => Self::To(first, Some(other)),
        }
    }
}

/// How long the next hop of a NOTIFY is waited for. Nobody else can answer within a dialog; but before there is one it may be dead.
fn patience(standing: Standing) -> Patience {
    match standing {
        Standing::Pending => Patience::Usual,
        Standing::Active | Standing::Terminated(_) => Patience::Whole,
    }
}

impl Node {
    /// Does what is due for a subscription, and sees to it that it is looked at again in time.
    pub(in crate::node) fn attend(&mut self, id: Id, now: Now, out: &mut Outbox) {
        let Some(subscription) = self.events.subscriptions.get_mut(id) else {
            return;
        };
        if subscription
            .told
            .first_expiry()
            .is_some_and(|at| u64::from(at) <= now.wall_secs())
        {
            subscription.course.changed(now.mono_ms());
        }
        if let Some(due) = subscription.course.due(now.mono_ms()) {
            self.notify(id, due, now, out);
        }
        if let Some(subscription) = self.events.subscriptions.get(id) {
            Self::set_timer(&mut self.endpoint.layer.wheel, subscription, now);
        }
    }

    /// Tells a subscriber what is due, if there is anything to tell.
    fn notify(&mut self, id: Id, due: Due, now: Now, out: &mut Outbox) {
        let due = match due {
            Due::Change | Due::Full => self.withdrawn(id, now).map_or(due, Due::End),
            Due::End(_) => due,
        };
        let Some(subscription) = self.events.subscriptions.get(id) else {
            return;
        };
        let other_way = subscription.other_way;
        let mut record = std::mem::take(&mut self.work.record);
        self.shared.location.read(&subscription.aor, &mut record);
        let mut body = std::mem::take(&mut self.work.lines);
        body.clear();
        let is_told = due != Due::End(End::Rejected);
        let is_news = !is_told || self.write_state(subscription, due, &record, now, &mut body);
        let told = Told::of(Bindings::new(&record), now.wall_secs());
        self.work.record = record;
        if is_news {
            match self.way_to_subscriber(subscription, body.len(), now) {
                Way::To(first, other) => {
                    let hop = other.filter(|_| other_way).unwrap_or(first);
                    let address = unproven(subscription, &hop);
                    if let Some(subscription) = self.events.subscriptions.get_mut(id) {
                        subscription.has_other_way = other.is_some();
                    }
                    match address {
                        Some(address) => self.send_probe(id, &hop, address, now, out),
                        None => {
                            self.send_notify(id, due, &hop, &body, now, out);
                            self.remember_told(id, told);
                        }
                    }
                }
                Way::Unknown => self.wait_for_name(id, due, now),
                Way::None => self.end_subscription(id, "unreachable", now),
            }
        } else {
            if let Some(subscription) = self.events.subscriptions.get_mut(id) {
                subscription.course.settled();
            }
            self.remember_told(id, told);
        }
        self.work.lines = body;
    }

    /// Appends what the subscriber is to be told; false if that is nothing.
    fn write_state(
        &self,
        subscription: &Subscription,
        due: Due,
        record: &[u8],
        now: Now,
        body: &mut Vec<u8>,
    ) -> bool {
        let watched = Watched {
            aor: &subscription.aor,
            ids: &self.endpoint.identity.keys.tables,
            version: subscription.dialog.local_cseq.saturating_sub(subscription.probes),
            is_full: due != Due::Change,
            now_secs: now.wall_secs(),
            gruus: Gruus {
                key: &self.endpoint.identity.keys.gruu,
                aor: &subscription.aor,
                port: port_of(&subscription.dialog),
            },
            is_owner: subscription.owner,
        };
        write_reginfo(&watched, &subscription.told, Bindings::new(record), body)
    }

    fn remember_told(&mut self, id: Id, told: Told) {
        let events = &mut self.events;
        if let Some(subscription) = events.subscriptions.get_mut(id) {
            let before = subscription.told.bytes();
            events.bytes = (events.bytes + told.bytes()).saturating_sub(before);
            subscription.told = told;
        }
    }

    fn send_notify(&mut self, id: Id, due: Due, hop: &Hop, body: &[u8], now: Now, out: &mut Outbox) {
        let standing = match due {
            Due::End(end) => Standing::Terminated(end),
            Due::Change | Due::Full => Standing::Active,
        };
        self.send_as(id, due, standing, (hop, body), now, out);
    }

    /// Asks whether somebody at an address wants to be told anything (RFC 6665 §6.3): with a NOTIFY that has no body, and is
    /// repeated as seldom as anything to a next hop that may be dead.
    fn send_probe(&mut self, id: Id, hop: &Hop, address: IpAddr, now: Now, out: &mut Outbox) {
        let sent = self.send_as(id, Due::Full, Standing::Pending, (hop, b""), now, out);
        if let (Some(number), Some(subscription)) = (sent, self.events.subscriptions.get_mut(id)) {
            subscription.elsewhere = Elsewhere::Asked(number, address);
            subscription.probes += 1;
        }
    }

    /// Sends a NOTIFY: its number.
    fn send_as(
        &mut self,
        id: Id,
        due: Due,
        standing: Standing,
        (hop, body): (&Hop, &[u8]),
        now: Now,
        out: &mut Outbox,
    ) -> Option<Number> {
        let subscription = self.events.subscriptions.get_mut(id)?;
        subscription.lookups = 0;
        subscription.dialog.local_cseq += 1;
        subscription.set_numbers_aside(self.shared.events.store.as_deref());
        let number = subscription.course.sent(due, now.mono_ms());
        let notify = Notify {
            package: subscription.package,
            id: &subscription.id,
            standing,
            left_secs: subscription.course.left_ms(now.mono_ms()) / 1000,
            body,
        };
        let user = User {
            context: id,
            branch: NOTIFY | number & NUMBER,
        };
        let sending = Sending {
            method: Method::Notify,
            to: hop.to,
            user,
            patience: patience(standing),
        };
        let (dialog, identity) = (&subscription.dialog, &self.endpoint.identity);
        out.of_call(Some(&dialog.call_id));
        let write = |client, bytes: &mut Vec<u8>| {
            let check = identity.branches.check(identity.shard, client);
            write_notify(
                dialog,
                &notify,
                |out| {
                    identity.listeners.write_via(hop, out);
                    out.extend_from_slice(b";branch=");
                    identity
                        .branches
                        .write_stateful(out, identity.shard, client, check, 0);
                },
                |out| {
                    identity
                        .listeners
                        .write_uri(hop.transport, (hop.listener, hop.told), hop.local, out);
                },
                bytes,
            );
            check
        };
        let layer = &mut self.endpoint.layer;
        let client = layer.send(sending, now.mono_ms(), out, write);
        out.of_call(None);
        self.overtake(id, client);
        Some(number)
    }

    /// Nobody waits for the answer to the notification before this one if a refresh has come meanwhile: it is sent no more, so that
    /// one is under way at a time.
    fn overtake(&mut self, id: Id, client: Id) {
        let subscription = self.events.subscriptions.get_mut(id);
        if let Some(before) = subscription.and_then(|subscription| subscription.client.replace(client)) {
            self.endpoint.layer.drop_client(before);
        }
    }

    fn wait_for_name(&mut self, id: Id, due: Due, now: Now) {
        let Some(subscription) = self.events.subscriptions.get_mut(id) else {
            return;
        };
        subscription.lookups += 1;
        if subscription.lookups > LOOKUPS {
            return self.end_subscription(id, "unreachable", now);
        }
        subscription.course.put_off(due, now.mono_ms() + LOOKUP_MS);
    }

    /// The way to a subscriber (RFC 3261 §12.2.1.1) for a body of so many bytes: by its route set, or to its contact as to that of a
    /// phone that has registered from where the last SUBSCRIBE came from. What is too large for a datagram goes by TCP (§18.1.1)
    /// unless it goes back to there.
    fn way_to_subscriber(&self, subscription: &Subscription, body: usize, now: Now) -> Way {
        let size = Size::of(
            HEAD + subscription.dialog.bytes() + body,
            self.shared.policy.udp_limit,
        );
        let origin = &subscription.origin;
        let listeners = &self.endpoint.identity.listeners;
        let local = origin
            .from
            .or_else(|| listeners.local(origin.listener, origin.remote.ip()));
        let from = Departure {
            listeners,
            preferred: (
                origin.listener,
                local.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            ),
        };
        let dialog = &subscription.dialog;
        let next = match next_hop(dialog) {
            Some(next) => next,
            None => {
                let shared = &self.shared;
                let contact = contact_of(subscription);
                match way_to(from, &contact, shared.policy.boot, |uri| shared.is_ours(uri)) {
                    Some((hop, _)) if size == Size::Large && elsewhere(subscription, &hop).is_some() => {
                        &dialog.remote_target
                    }
                    Some((hop, other)) => return Way::To(hop, other),
                    None => return Way::None,
                }
            }
        };
        let Ok(Uri::Sip(next)) = Uri::parse(next) else {
            return Way::None;
        };
        let mut hops = Vec::new();
        match locate(&next, size) {
            Located::Address(ip, ways) => ways.put(from, ip, &mut hops),
            Located::Name(name) => {
                let put = |servers: &[Server]| {
                    name.ways.put_servers(from, servers, now.mono_ms(), &mut hops);
                };
                // An answer whose time is over is for those who have asked for it.
                let has_asked = subscription.lookups > 0;
                match self.shared.dns.look(&name, now.mono_ms(), put) {
                    Some(Age::Fresh) => {}
                    Some(_) if has_asked => {}
                    _ => {
                        self.shared.dns.ask_for(&name, None);
                        return Way::Unknown;
                    }
                }
            }
            Located::Unreachable => {}
        }
        Way::of(&hops)
    }

    /// A NOTIFY was answered.
    pub(in crate::node) fn on_notify_answer(
        &mut self,
        user: User,
        response: Message<'_>,
        now: Now,
        out: &mut Outbox,
    ) {
        let Some(status) = response.status().filter(|status| !status.is_provisional()) else {
            return;
        };
        let retry_after = response
            .get::<RetryAfter<'_>>()
            .ok()
            .flatten()
            .map(|retry| retry.seconds);
        self.on_notified(user, Answer::Status(status, retry_after), now, out);
    }

    /// A NOTIFY was not answered in time (`silent`), or could not be sent, or was sent in vain. Unless it was silence, the other way is
    /// tried once.
    pub(in crate::node) fn on_notify_failed(&mut self, user: User, silent: bool, now: Now, out: &mut Outbox) {
        if let Some(subscription) = self.events.subscriptions.get_mut(user.context) {
            let other = !silent && subscription.has_other_way && !subscription.other_way;
            subscription.other_way = other;
            if other && subscription.course.lost(user.branch & NUMBER, now.mono_ms()) {
                return self.attend(user.context, now, out);
            }
        }
        self.on_notified(user, Answer::None, now, out);
    }

    fn on_notified(&mut self, user: User, answer: Answer, now: Now, out: &mut Outbox) {
        let id = user.context;
        let Some(subscription) = self.events.subscriptions.get_mut(id) else {
            return;
        };
        let number = user.branch & NUMBER;
        match subscription.course.answered(number, answer, now.mono_ms()) {
            Fate::Lives => {
                subscription.learn(number, answer, now);
                self.attend(id, now, out);
            }
            Fate::Ends => {
                let why = match answer {
                    _ if subscription.course.is_ending() => "over",
                    Answer::Status(..) => "refused",
                    Answer::None => "silent",
                };
                self.end_subscription(id, why, now);
            }
        }
    }
}

/// The address that a hop leads to by datagrams, if that is another one than the last SUBSCRIBE came from.
fn elsewhere(subscription: &Subscription, hop: &Hop) -> Option<IpAddr> {
    match hop.to {
        Destination::Datagram { to, .. } if to.ip() != subscription.origin.remote.ip() => Some(to.ip()),
        Destination::Datagram { .. } | Destination::Flow(_) | Destination::Connect { .. } => None,
    }
}

/// The same, as long as nobody there has answered.
fn unproven(subscription: &Subscription, hop: &Hop) -> Option<IpAddr> {
    elsewhere(subscription, hop).filter(|&address| subscription.elsewhere != Elsewhere::Reached(address))
}

impl Subscription {
    /// Learns from the answer to a notification that told nothing that somebody is there, who is told all then.
    fn learn(&mut self, number: Number, answer: Answer, now: Now) {
        let Elsewhere::Asked(asked, address) = self.elsewhere else {
            return;
        };
        let is_reached = matches!(answer, Answer::Status(status, _) if status.is_success());
        if number == asked && is_reached {
            self.elsewhere = Elsewhere::Reached(address);
            if !self.course.is_ending() {
                self.course.put_off(Due::Full, now.mono_ms());
            }
        }
    }
}

/// The port that the subscriber writes behind the domain of the address-of-record, which GRUUs have too.
fn port_of(dialog: &Dialog) -> Option<u16> {
    match NameAddr::parse(&dialog.local).ok()?.uri {
        Uri::Sip(sip) => sip.port,
        _ => None,
    }
}

/// A subscriber as the contact of a phone that has registered.
fn contact_of(subscription: &Subscription) -> Binding<'_> {
    Binding {
        contact: &subscription.dialog.remote_target,
        params: b"",
        q: Q_DEFAULT,
        order: Order {
            branch: 0,
            cseq: 0,
            call_id: &subscription.dialog.call_id,
        },
        expires_at: u32::MAX,
        updated_at: 0,
        bound_at: None,
        origin: subscription.origin,
        path: b"",
        user_agent: b"",
        epoch: None,
        outbound: false,
    }
}
