//! The node as a notifier (RFC 6665) of its users' registrations (RFC 3680). A subscription belongs to the shard of its
//! dialog's Call-ID; `subscribe` makes, refreshes and ends them, `notify` tells what is due, `withdrawal` sees who may be told
//! no longer.

mod begun;
mod notify;
mod subscribe;
mod withdrawal;

use std::net::IpAddr;

use hashbrown::HashMap;
use strowger_sip::event::{Course, Dialog, End, Number, Package, Told};
use strowger_sip::memory::{Id, Slab, TimerId, Wheel};
use strowger_sip::registrar::Origin;
use strowger_sip::transaction::{Timed, User};
use strowger_sip::{Now, Outbox};

use super::Node;
use crate::admin;
use crate::events::{Kept, Store};
use crate::location::Slot;
use begun::Begun;
pub(super) use subscribe::PendingSubscribe;

/// What stands for a branch in the name of a client transaction that is a NOTIFY's, with its number in the lower bits.
const NOTIFY: u16 = 0x8000;
const NUMBER: u16 = 0x3fff;

/// So many numbers of requests are set aside at once, so that few of them have to be written down: after a restart no number
/// is used that may have been used before.
const SET_ASIDE: u32 = 1000;
/// So many subscriptions of a shard are told again in a second after a restart, unless that would take more than a minute.
const RESUMED_PER_SECOND: u64 = 50;
const RESUMED_WITHIN_MS: u64 = 60_000;

/// A subscription.
#[derive(Clone, Debug)]
struct Subscription {
    package: Package,
    /// The `id` of its Event.
    id: Box<[u8]>,
    /// Whose registrations it is about.
    aor: Box<[u8]>,
    slot: Slot,
    /// Whether the subscriber may register for that.
    owner: bool,
    dialog: Dialog,
    /// Numbers of requests up to this one may be used before the next ones are set aside.
    set_aside: u32,
    /// Where the last SUBSCRIBE came from.
    origin: Origin,
    course: Course,
    /// The client transaction of the last notification, which may have ended.
    client: Option<Id>,
    told: Told,
    /// When it ends, in Unix seconds.
    ends_at: u64,
    timer: TimerId,
    /// Whether there are two ways for the present notification, and whether it goes the other one, as the first one has failed; and
    /// how often one had to wait for a name.
    has_other_way: bool,
    other_way: bool,
    lookups: u8,
    /// What is known of an address that its notifications go to by datagrams, other than the one that it came from.
    elsewhere: Elsewhere,
    /// How many notifications told nothing.
    probes: u32,
    is_kept: bool,
}

/// Whether somebody at an address wants what is sent there: who subscribes may name any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Elsewhere {
    /// It is not known.
    #[default]
    Unknown,
    /// A notification that tells nothing is under way there.
    Asked(Number, IpAddr),
    /// One was answered there.
    Reached(IpAddr),
}

impl Subscription {
    /// What is kept of it.
    fn kept(&self) -> Kept {
        Kept {
            dialog: Dialog {
                local_cseq: self.set_aside,
                ..self.dialog.clone()
            },
            package: self.package,
            id: self.id.clone(),
            aor: self.aor.clone(),
            owner: self.owner,
            ends_at: self.ends_at,
            origin: self.origin,
        }
    }

    /// Sets numbers of requests aside when those that were are used up.
    fn set_numbers_aside(&mut self, store: Option<&Store>) {
        let used = self.dialog.local_cseq;
        if used < self.set_aside {
            return;
        }
        self.set_aside = used + SET_ASIDE;
        let kept = match store {
            Some(store) if self.is_kept => store.put(self.kept(), None),
            _ => true,
        };
        if !kept {
            // It is tried with the next one.
            self.set_aside = used;
        }
    }

    fn bytes(&self) -> usize {
        self.id.len() + self.aor.len() + self.dialog.bytes() + self.told.bytes()
    }
}

/// The subscriptions of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    subscriptions: Slab<Subscription>,
    /// By a hash of our tag.
    by_tag: HashMap<u64, Id, foldhash::fast::FixedState>,
    by_slot: HashMap<Slot, Vec<Id>>,
    pub(super) pending: Slab<PendingSubscribe>,
    begun: Begun,
    /// Bytes of what the subscriptions refer to.
    bytes: usize,
    /// How many there were.
    count: u64,
}

impl Events {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether no change of a subscription waits for the disk.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether the last notification of any is under way.
    fn is_any_ending(&self) -> bool {
        self.subscriptions
            .iter()
            .any(|(_, subscription)| subscription.course.is_ending())
    }

    /// The bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        self.subscriptions.bytes() + self.pending.bytes() + self.begun.bytes() + self.bytes
    }
}

/// Whether a client transaction works for a subscription.
pub(super) fn is_notify(user: User) -> bool {
    user.branch & !NUMBER == NOTIFY
}

impl Node {
    /// Goes on with subscriptions that were accepted before a restart.
    pub fn resume(&mut self, all: Vec<Kept>, now: Now) {
        let pause_ms = (1000 / RESUMED_PER_SECOND).min(RESUMED_WITHIN_MS / (all.len() as u64).max(1));
        for (number, kept) in all.into_iter().enumerate() {
            let left_ms = kept.ends_at.saturating_mul(1000).saturating_sub(now.wall_ms);
            let at_ms = now.mono_ms() + number as u64 * pause_ms;
            self.shared.events.quota.admit(&kept.aor, kept.origin.remote.ip());
            let set_aside = kept.dialog.local_cseq;
            self.add_subscription(Subscription {
                package: kept.package,
                id: kept.id,
                aor: kept.aor,
                slot: Slot::default(),
                owner: kept.owner,
                dialog: kept.dialog,
                set_aside,
                origin: kept.origin,
                course: Course::resumed(at_ms, now.mono_ms() + left_ms),
                client: None,
                told: Told::default(),
                ends_at: kept.ends_at,
                timer: TimerId::NONE,
                has_other_way: false,
                other_way: false,
                lookups: 0,
                elsewhere: Elsewhere::Unknown,
                probes: 0,
                is_kept: true,
            });
        }
    }

    /// Begins a subscription; from then on it is told of changes.
    fn add_subscription(&mut self, subscription: Subscription) -> Id {
        let events = &mut self.events;
        let tag = self
            .endpoint
            .identity
            .call_key(&subscription.dialog.local_tag, &[]);
        events.bytes += subscription.bytes();
        let slot = self.watcher.add(self.shared.location.watch(), &subscription.aor);
        let wheel = &mut self.endpoint.layer.wheel;
        let deadline = subscription.course.deadline();
        let id = events.subscriptions.insert_with(|id| {
            let timer = wheel.add(Timed::Subscription(id), deadline);
            Subscription {
                slot,
                timer,
                ..subscription
            }
        });
        events.by_tag.insert(tag, id);
        events.by_slot.entry(slot).or_default().push(id);
        id
    }

    /// Ends a subscription without another word.
    fn end_subscription(&mut self, id: Id, why: &str, now: Now) {
        let Some(subscription) = self.events.subscriptions.remove(id) else {
            return;
        };
        self.events.bytes -= subscription.bytes().min(self.events.bytes);
        let Subscription {
            dialog,
            aor,
            slot,
            timer,
            origin,
            is_kept,
            ..
        } = subscription;
        let tag = self.endpoint.identity.call_key(&dialog.local_tag, &[]);
        self.events.by_tag.remove(&tag);
        if let Some(all) = self.events.by_slot.get_mut(&slot) {
            all.retain(|&other| other != id);
            if all.is_empty() {
                self.events.by_slot.remove(&slot);
            }
        }
        self.endpoint.layer.wheel.remove(timer);
        self.watcher.remove(self.shared.location.watch(), slot);
        self.shared.events.quota.leave(&aor, origin.remote.ip());
        if is_kept && let Some(store) = &self.shared.events.store {
            // If it is full, what is left there ends with its time, or as soon as its subscriber says that it is gone.
            store.remove(&dialog.local_tag, None);
        }
        self.journal
            .line(now, "subscription ended")
            .map(|line| line.text("aor", &aor).text("reason", why.as_bytes()));
    }

    /// Bindings in a slot may have changed.
    pub(super) fn on_slot_changed(&mut self, slot: Slot, now: Now, out: &mut Outbox) {
        let Some(all) = self.events.by_slot.get(&slot) else {
            return;
        };
        for id in all.clone() {
            if let Some(subscription) = self.events.subscriptions.get_mut(id) {
                subscription.course.changed(now.mono_ms());
            }
            self.attend(id, now, out);
        }
    }

    /// Another configuration is in force: subscriptions that it does not allow end.
    pub(super) fn review_subscriptions(&mut self, now: Now, out: &mut Outbox) {
        let all: Vec<_> = self.events.subscriptions.iter().map(|(id, _)| id).collect();
        for id in all {
            self.review(id, now, out);
        }
    }

    /// No subscription outlives a node that keeps none: their subscribers are told to look elsewhere.
    pub(super) fn end_subscriptions(&mut self, now: Now, out: &mut Outbox) {
        if self.shared.events.store.is_some() {
            return;
        }
        let all: Vec<_> = self.events.subscriptions.iter().map(|(id, _)| id).collect();
        for id in all {
            if let Some(subscription) = self.events.subscriptions.get_mut(id) {
                subscription.course.end(End::Deactivated, now.mono_ms());
            }
            self.attend(id, now, out);
        }
    }

    /// Whether subscribers are still being told that their subscriptions are over.
    pub(super) fn is_taking_leave(&self) -> bool {
        self.draining && self.shared.events.store.is_none() && self.events.is_any_ending()
    }

    /// The subscriptions, for an administrator.
    pub(super) fn list_subscriptions(&self, now: Now) -> Vec<admin::Subscription> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let describe = |(_, subscription): (Id, &Subscription)| admin::Subscription {
            id: text(&subscription.dialog.local_tag),
            event: subscription.package.name().to_owned(),
            aor: text(&subscription.aor),
            subscriber: crate::node::trace::shown(&subscription.dialog.remote_target),
            expires_in: subscription.course.left_ms(now.mono_ms()) / 1000,
            notified: subscription.dialog.local_cseq,
            transport: subscription.origin.transport.uri_param().to_owned(),
            source: subscription.origin.remote,
            call_id: text(&subscription.dialog.call_id),
        };
        self.events.subscriptions.iter().map(describe).collect()
    }

    /// Where subscriptions are kept, if they are.
    fn subscription_store(&self) -> Option<&Store> {
        self.shared.events.store.as_deref()
    }

    fn set_timer(wheel: &mut Wheel<Timed>, subscription: &Subscription, now: Now) {
        let deadline = subscription.course.deadline();
        // What expires by itself is a change that nobody tells of; one that is owed already has its time.
        let expiry = subscription
            .told
            .first_expiry()
            .filter(|_| subscription.course.is_settled())
            .map(|at| (u64::from(at) * 1000).saturating_sub(now.wall_ms) + now.mono_ms());
        let next = [deadline, expiry].into_iter().flatten().min();
        wheel.set(subscription.timer, next.filter(|_| deadline.is_some()));
    }
}
