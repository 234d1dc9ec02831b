//! NOTIFY (RFC 6665 §4.2.2): what is due is sent in a client transaction of its own, and its answer decides what follows.

use std::net::{IpAddr, Ipv4Addr};

use strowger_sip::event::{
    Answer, Dialog, Due, Fate, Notify, Told, Watched, next_hop, write_notify, write_reginfo,
};
use strowger_sip::memory::Id;
use strowger_sip::registrar::{Binding, Bindings, Gruus, Order, Q_DEFAULT};
use strowger_sip::transaction::User;
use strowger_sip::transport::{Departure, Hop, Located, Server, Size, locate, way_to};
use strowger_sip::{Now, Outbox};
use strowger_syntax::header::{NameAddr, RetryAfter};
use strowger_syntax::{Message, Method, Uri};

use super::{NOTIFY, NUMBER, Subscription};
use crate::dns::Age;
use crate::node::Node;

/// How long a name of a next hop is waited for, in milliseconds, and how often.
const LOOKUP_MS: u64 = 300;
const LOOKUPS: u8 = 30;

/// The way to a subscriber.
enum Way {
    /// The first hop, and another one to try if that fails.
    To(Hop, Option<Hop>),
    /// There is none.
    None,
    /// A name has to be looked up first.
    Unknown,
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
        let Some(subscription) = self.events.subscriptions.get(id) else {
            return;
        };
        let mut record = std::mem::take(&mut self.work.record);
        self.shared.location.read(&subscription.aor, &mut record);
        let mut body = std::mem::take(&mut self.work.lines);
        body.clear();
        let is_news = self.write_state(subscription, due, &record, now, &mut body);
        let told = Told::of(Bindings::new(&record), now.wall_secs());
        self.work.record = record;
        if is_news {
            match self.way_to_subscriber(subscription, now) {
                Way::To(first, other) => {
                    let hop = other.filter(|_| subscription.other_way).unwrap_or(first);
                    self.send_notify(id, due, &hop, &body, now, out);
                    self.remember_told(id, told);
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
            version: subscription.dialog.local_cseq,
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
        let Some(subscription) = self.events.subscriptions.get_mut(id) else {
            return;
        };
        subscription.lookups = 0;
        subscription.dialog.local_cseq += 1;
        subscription.set_numbers_aside(self.shared.events.store.as_deref());
        let number = subscription.course.sent(due, now.mono_ms());
        let notify = Notify {
            package: subscription.package,
            id: &subscription.id,
            end: match due {
                Due::End(end) => Some(end),
                Due::Change | Due::Full => None,
            },
            left_secs: subscription.course.left_ms(now.mono_ms()) / 1000,
            body,
        };
        let user = User {
            context: id,
            branch: NOTIFY | number & NUMBER,
        };
        let (dialog, identity) = (&subscription.dialog, &self.endpoint.identity);
        let (layer, mut check) = (&mut self.endpoint.layer, 0);
        out.of_call(Some(&dialog.call_id));
        let write = |client, bytes: &mut Vec<u8>| {
            check = identity.branches.check(identity.shard, client);
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
        };
        let client = layer.send(Method::Notify, hop.to, user, now.mono_ms(), out, write);
        layer.set_check(client, check);
        // Nobody else can answer within a dialog.
        layer.wait_out(client, now.mono_ms());
        out.of_call(None);
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

    /// The way to a subscriber (RFC 3261 §12.2.1.1): by its route set, or to its contact as to that of a phone that has
    /// registered from where the last SUBSCRIBE came from.
    fn way_to_subscriber(&self, subscription: &Subscription, now: Now) -> Way {
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
        let Some(next) = next_hop(dialog) else {
            let shared = &self.shared;
            let contact = contact_of(subscription);
            let way = way_to(from, &contact, shared.policy.boot, |uri| shared.is_ours(uri));
            return way.map_or(Way::None, |(hop, other)| Way::To(hop, other));
        };
        let Ok(Uri::Sip(next)) = Uri::parse(next) else {
            return Way::None;
        };
        let mut hops = Vec::new();
        match locate(&next, Size::Small) {
            Located::Address(ip, ways) => ways.put(from, ip, &mut hops),
            Located::Name(name) => {
                let put = |servers: &[Server]| {
                    name.ways.put_servers(from, servers, now.mono_ms(), &mut hops);
                };
                if self.shared.dns.look(&name, now.mono_ms(), put) != Some(Age::Fresh) {
                    self.shared.dns.ask_for(&name, None);
                    return Way::Unknown;
                }
            }
            Located::Unreachable => {}
        }
        match hops[..] {
            [] => Way::None,
            [only] => Way::To(only, None),
            [first, other, ..] => Way::To(first, Some(other)),
        }
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

    /// A NOTIFY was not answered, or could not be sent. One that could not be sent is tried on the other way once.
    pub(in crate::node) fn on_notify_failed(&mut self, user: User, sent: bool, now: Now, out: &mut Outbox) {
        let known = self.events.subscriptions.get(user.context);
        let other = known.is_some_and(|subscription| {
            !sent
                && !subscription.other_way
                && matches!(self.way_to_subscriber(subscription, now), Way::To(_, Some(_)))
        });
        if let Some(subscription) = self.events.subscriptions.get_mut(user.context) {
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
            Fate::Lives => self.attend(id, now, out),
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
