//! Requests for devices that sleep (RFC 8599 §5.6.2): the device is pushed, and as soon as it has registered it is one more target of
//! the request, which others may be answering meanwhile.

use std::sync::Arc;

use smallvec::SmallVec;
use strowger_sip::memory::{Id, Stored, TimerId};
use strowger_sip::proxy::{Routing, TargetSet};
use strowger_sip::registrar::{
    Binding, Bindings, PurrKey, PushParams, is_same_instance, may_have_push, purr_of,
};
use strowger_sip::transaction::Timed;
use strowger_sip::{Now, Outbox, Source};
use strowger_syntax::header::NameAddr;
use strowger_syntax::{Message, Name};

use super::Node;
use super::candidates::{Origin, Sleeper, Terms, Way};
use super::journal::Journal;
use super::locate::{Patience, Unknown, known_way};
use super::shared::Shared;
use super::trace::{BindingUse, Step};
use crate::location::Slot;
use crate::push::{Ask, NotPushed, Provider, Push, Pushed, Waited};

/// After so long the way to a device that has registered is looked at again if its name was not known, in milliseconds.
const LOOK_AGAIN_MS: u64 = 300;

/// A request that waits for one device.
#[derive(Clone, Debug)]
pub(super) struct Waking {
    /// The request's server transaction.
    server: Id,
    /// Where the request came from, which says by which of our addresses it leaves.
    source: Source,
    /// The address-of-record, and behind it the instance-id of the device, if it has one. At the end the Request-URI, if it is not to be
    /// that of the binding.
    texts: Stored,
    aor_len: u16,
    instance_len: u16,
    slot: Slot,
    device: u64,
    /// The registration that it had.
    seen: u64,
    terms: Terms,
    since_ms: u64,
    timer: TimerId,
}

/// Whether a binding's device can be sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sleep {
    /// It is awake, as far as is known.
    Awake,
    /// It has to be pushed, unless that was done and it has not registered yet.
    Asleep,
    /// Another binding is of the same device, and newer.
    Replaced,
}

/// Whether a binding's device can be sent a request. One that was pushed lately and has registered since is awake (RFC 8599 §5.6.2).
pub(super) fn sleep_of(shared: &Shared, record: Bindings<'_>, binding: &Binding<'_>, now: Now) -> Sleep {
    let push = &shared.push;
    if !push.is_on() || binding.origin.pushed_elsewhere {
        return Sleep::Awake;
    }
    let Some((params, _)) = device_of(shared, binding) else {
        return Sleep::Awake;
    };
    let device = push.device(&params);
    let newest = newest_of(shared, record, device, None, now);
    if newest.is_some_and(|newest| newest.contact != binding.contact) {
        return Sleep::Replaced;
    }
    let pushed_at = push.pushed_lately(device, now.wall_ms);
    match pushed_at {
        // Both may be of one second, and then it is not known which was first.
        Some(pushed) if pushed.has_woken || u64::from(binding.updated_at) > pushed.at_ms / 1000 => {
            Sleep::Awake
        }
        _ => Sleep::Asleep,
    }
}

/// Whether a binding's device sleeps from time to time, and is woken by a push: from here, or by another proxy.
pub(super) fn is_pushed(shared: &Shared, binding: &Binding<'_>) -> bool {
    binding.origin.pushed_elsewhere || shared.push.is_on() && device_of(shared, binding).is_some()
}

/// How a binding's device is pushed; `None` if it is not.
fn device_of<'b, 's>(
    shared: &'s Shared,
    binding: &Binding<'b>,
) -> Option<(PushParams<'b>, &'s Arc<Provider>)> {
    let params = PushParams::of(binding.contact)?;
    let provider = shared.push.service_of(&params)?;
    Some((params, provider))
}

/// The binding of the device that a reference leads to.
fn referred<'r>(key: &PurrKey, record: Bindings<'r>, device: u64, now: Now) -> Option<Binding<'r>> {
    let is_meant = |binding: &Binding<'_>| {
        let params = PushParams::of(binding.contact).filter(|params| params.prid.is_some());
        params.is_some_and(|params| key.device(&params, binding.instance()) == device)
    };
    record
        .live(now.wall_secs())
        .filter(is_meant)
        .max_by_key(|binding| binding.updated_at)
}

/// The binding of a device that was registered last. A device that has got another `pn-prid` is known by its instance-id.
fn newest_of<'r>(
    shared: &Shared,
    record: Bindings<'r>,
    device: u64,
    instance: Option<&[u8]>,
    now: Now,
) -> Option<Binding<'r>> {
    let is_meant = |binding: &Binding<'_>| {
        let is_device =
            device_of(shared, binding).is_some_and(|(params, _)| shared.push.device(&params) == device);
        is_device
            || instance.is_some_and(|wanted| {
                binding
                    .instance()
                    .is_some_and(|has| is_same_instance(has, wanted))
            })
    };
    // Of several of one second the last one of the record is the newest.
    record
        .live(now.wall_secs())
        .filter(is_meant)
        .max_by_key(|binding| binding.updated_at)
}

impl Node {
    /// Has the devices woken whose candidates are in the work buffers, for a request that is being forwarded and awaits as many
    /// targets.
    pub(super) fn wake_devices(
        &mut self,
        request: Message<'_>,
        server: Id,
        source: &Source,
        now: Now,
        out: &mut Outbox,
    ) {
        if self.work.asleep.is_empty() {
            return;
        }
        let mut asleep = std::mem::take(&mut self.work.asleep);
        for sleeper in asleep.drain(..) {
            if let Err((fault, why)) = self.wake_device(request, server, source, &sleeper, now) {
                note_not_woken(&mut self.journal, &sleeper.aor, fault, why, now);
                self.shared.push.count(Waited::GivenUp);
                self.end_waiting(server, None, now, out);
            }
        }
        self.work.asleep = asleep;
    }

    /// Has one device pushed unless it was lately, and waits for it. Whose fault it is if that cannot be, and why.
    fn wake_device(
        &mut self,
        request: Message<'_>,
        server: Id,
        source: &Source,
        sleeper: &Sleeper,
        now: Now,
    ) -> Result<(), (&'static str, &'static str)> {
        let aor = &sleeper.aor[..];
        if self.wakings.len() >= self.shared.push.max_waiting() {
            return Err(("this-node", "too many requests wait"));
        }
        // Whoever is told of what comes reads what is there.
        let slot = self.watcher.add(self.shared.location.watch(), aor);
        self.shared.location.read(aor, &mut self.work.record);
        let binding = self.binding_of(sleeper, now);
        let found = binding.and_then(|binding| Some((binding, device_of(&self.shared, &binding)?)));
        let Some((binding, (params, provider))) = found else {
            self.watcher.remove(self.shared.location.watch(), slot);
            return Err(("device", "its registration has ended"));
        };
        let device = self.shared.push.device(&params);
        let ticket = self.wakings.next_id();
        let method = String::from_utf8_lossy(request.method_text());
        let ask = Ask {
            provider: Arc::clone(provider),
            push: Push::of(&params, aor, request.call_id(), &method, true),
            device,
            asker: (self.endpoint.identity.shard, ticket),
        };
        let is_pushed = self.shared.push.pushed_lately(device, now.wall_ms).is_some();
        if !is_pushed && !self.shared.push.ask(ask, now.wall_ms) {
            self.watcher.remove(self.shared.location.watch(), slot);
            return Err(("this-node", "too many pushes wait"));
        }
        let seen = self.registration_of(&binding);
        let instance = binding.instance().unwrap_or_default();
        let (aor_len, instance_len) = (aor.len() as u16, instance.len() as u16);
        let texts = [aor, instance, sleeper.aim()].concat();
        let layer = &mut self.endpoint.layer;
        let texts = layer.pool.store(&texts);
        let until_ms = now.mono_ms() + self.shared.push.wait_ms();
        let timer = layer.wheel.add(Timed::Waking(ticket), Some(until_ms));
        self.wakings.insert_with(|_| Waking {
            server,
            source: *source,
            texts,
            aor_len,
            instance_len,
            slot,
            device,
            seen,
            terms: sleeper.terms,
            since_ms: now.mono_ms(),
            timer,
        });
        Ok(())
    }

    /// The binding of a device that sleeps, from the record in the work buffers.
    fn binding_of(&self, sleeper: &Sleeper, now: Now) -> Option<Binding<'_>> {
        let record = Bindings::new(&self.work.record);
        if sleeper.is_aimed() {
            let (key, mut aor) = (&self.endpoint.identity.keys.purr, Vec::new());
            let device = key.read(purr_of(&sleeper.contact)?, &mut aor)?;
            return referred(key, record, device, now);
        }
        record
            .live(now.wall_secs())
            .find(|binding| binding.contact == &*sleeper.contact)
    }

    /// Makes the device the candidate that a request within a dialog refers to by its `pn-purr`, if it sleeps (RFC 8599 §6.2.3).
    /// False if there is none. So a request is treated too that is to replace a dialog (RFC 8599 §7).
    pub(super) fn candidate_asleep(&mut self, routing: &Routing<'_>, patience: Patience, now: Now) -> bool {
        let uri = routing.request_uri;
        if patience == Patience::None || !self.shared.push.is_on() || routing.next.is_some() {
            return false;
        }
        let (key, work) = (&self.endpoint.identity.keys.purr, &mut self.work);
        let Some(device) = purr_of(uri).and_then(|purr| key.read(purr, &mut work.aor)) else {
            return false;
        };
        self.shared.location.read(&work.aor, &mut work.record);
        let record = Bindings::new(&work.record);
        let Some(binding) = referred(key, record, device, now) else {
            return false;
        };
        if sleep_of(&self.shared, record, &binding, now) != Sleep::Asleep {
            return false;
        }
        let used = BindingUse::Pushed;
        self.trace.note(|| Step::binding(&binding, used, now));
        work.candidates.clear();
        let terms = Terms::new(Origin::RequestUri, Way::Asleep);
        work.candidates.add(uri, &work.aor, terms);
        true
    }

    /// Whether a request sets up a dialog in which a device may have to be pushed, for which it has to come through here (RFC 8599
    /// §6.2.2): its contact refers to a registration, or it goes to a device that has such a reference.
    pub(super) fn is_for_purr(&self, request: Message<'_>) -> bool {
        if !self.shared.push.is_on() {
            return false;
        }
        let contact = request
            .first(Name::Contact)
            .filter(|contact| may_have_push(contact));
        let purr = contact.and_then(|contact| purr_of(NameAddr::parse(contact).ok()?.uri_text));
        let refers = |purr| {
            self.endpoint
                .identity
                .keys
                .purr
                .read(purr, &mut Vec::new())
                .is_some()
        };
        !self.work.asleep.is_empty()
            || purr.is_some_and(refers)
            || self
                .work
                .targets
                .targets()
                .iter()
                .any(|target| may_have_push(target.uri(self.work.targets.text())))
    }

    /// A number for what made a binding.
    fn registration_of(&self, binding: &Binding<'_>) -> u64 {
        let order = &binding.order;
        let number = u64::from(order.branch) << 32 | u64::from(order.cseq);
        self.endpoint
            .identity
            .call_key(order.call_id, &number.to_le_bytes())
    }

    /// Bindings have changed in one of these slots, which are in order: a device that is waited for may have registered.
    pub(super) fn on_devices_changed(&mut self, slots: &[Slot], now: Now, out: &mut Outbox) {
        if self.wakings.is_empty() {
            return;
        }
        let meant = self
            .wakings
            .iter()
            .filter(|(_, waking)| slots.binary_search(&waking.slot).is_ok());
        let tickets: SmallVec<[Id; 8]> = meant.map(|(ticket, _)| ticket).collect();
        for ticket in tickets {
            self.look_for_device(ticket, now, out);
        }
    }

    fn look_for_device(&mut self, ticket: Id, now: Now, out: &mut Outbox) {
        let Some(waking) = self.wakings.get(ticket) else {
            return;
        };
        let texts = self.endpoint.layer.pool.bytes(&waking.texts);
        let (aor, behind) = texts.split_at(usize::from(waking.aor_len));
        let (instance, aim) = behind.split_at(usize::from(waking.instance_len));
        let instance = (!instance.is_empty()).then_some(instance);
        self.shared.location.read(aor, &mut self.work.record);
        let record = Bindings::new(&self.work.record);
        let newest = newest_of(&self.shared, record, waking.device, instance, now);
        let Some(binding) = newest.filter(|binding| self.registration_of(binding) != waking.seen) else {
            return;
        };
        let from = self.endpoint.identity.departure(&waking.source);
        let (hop, fallback) = match known_way(&self.shared, from, &binding, now) {
            Ok(Some(way)) => way,
            Ok(None) => return,
            Err(Unknown) => {
                let at_ms = (now.mono_ms() + LOOK_AGAIN_MS).min(self.ends_ms(waking));
                let wheel = &mut self.endpoint.layer.wheel;
                return wheel.set(waking.timer, Some(at_ms));
            }
        };
        let candidates = &mut self.work.candidates;
        candidates.clear();
        candidates.add_located(
            if aim.is_empty() { binding.contact } else { aim },
            binding.path,
            waking.terms,
            &hop,
            fallback.as_ref(),
        );
        candidates.fill(&mut self.work.targets);
        self.end_waking(ticket, Waited::Woken, now, out);
    }

    /// A push was sent, or could not be.
    pub(super) fn on_pushed(&mut self, pushed: Pushed, now: Now, out: &mut Outbox) {
        let Err(error) = pushed.result else { return };
        let Some(waking) = self.wakings.get(pushed.ticket) else {
            return;
        };
        let device = waking.device;
        self.shared.push.forget(device);
        self.note_waking(pushed.ticket, &error, now);
        self.on_not_pushed(device, now, out);
    }

    /// A device could not be pushed: all that wait for it wait in vain.
    pub(super) fn on_not_pushed(&mut self, device: u64, now: Now, out: &mut Outbox) {
        let meant = self.wakings.iter().filter(|(_, waking)| waking.device == device);
        let tickets: SmallVec<[Id; 8]> = meant.map(|(ticket, _)| ticket).collect();
        for ticket in tickets {
            self.end_waking(ticket, Waited::GivenUp, now, out);
        }
    }

    /// When a device is waited for no more, in milliseconds.
    fn ends_ms(&self, waking: &Waking) -> u64 {
        waking.since_ms + self.shared.push.wait_ms()
    }

    /// A device has not registered in time, or the name of its way is to be looked at again.
    pub(super) fn on_not_woken(&mut self, ticket: Id, now: Now, out: &mut Outbox) {
        let Some(waking) = self.wakings.get(ticket) else {
            return;
        };
        let ends_ms = self.ends_ms(waking);
        if now.mono_ms() < ends_ms {
            self.endpoint.layer.wheel.set(waking.timer, Some(ends_ms));
            return self.look_for_device(ticket, now, out);
        }
        if self.proxy.can_use_more(&self.endpoint, waking.server) {
            let texts = self.endpoint.layer.pool.bytes(&waking.texts);
            let aor = &texts[..usize::from(waking.aor_len)];
            note_not_woken(
                &mut self.journal,
                aor,
                "device",
                "it was pushed and did not register in time",
                now,
            );
        }
        self.end_waking(ticket, Waited::TimedOut, now, out);
    }

    /// A wait is over. A device that was woken is the target in the work buffers.
    fn end_waking(&mut self, ticket: Id, waited: Waited, now: Now, out: &mut Outbox) {
        let Some(waking) = self.wakings.remove(ticket) else {
            return;
        };
        if waited == Waited::Woken {
            self.shared.push.woken(waking.device);
        }
        let layer = &mut self.endpoint.layer;
        layer.wheel.remove(waking.timer);
        self.watcher.remove(self.shared.location.watch(), waking.slot);
        // Otherwise it has been answered or cancelled since.
        if self.proxy.can_use_more(&self.endpoint, waking.server) {
            self.shared.push.count(waited);
            if waited == Waited::Woken {
                let aor = &self.endpoint.layer.pool.bytes(&waking.texts)[..usize::from(waking.aor_len)];
                let after_ms = now.mono_ms().saturating_sub(waking.since_ms);
                self.journal
                    .line(now, "device woken")
                    .map(|line| line.text("aor", aor).number("after_ms", after_ms));
            }
        }
        self.endpoint.layer.pool.give(waking.texts);
        self.end_waiting(waking.server, Some(waited), now, out);
    }

    /// The request with this server transaction has one target less to wait for.
    fn end_waiting(&mut self, server: Id, waited: Option<Waited>, now: Now, out: &mut Outbox) {
        let none = TargetSet::default();
        let targets = match waited {
            Some(Waited::Woken) => {
                self.note_targets();
                &self.work.targets
            }
            _ => &none,
        };
        self.proxy
            .add_awaited(&mut self.endpoint, server, targets, now.mono_ms(), out);
        self.account(now);
    }

    fn note_waking(&mut self, ticket: Id, error: &NotPushed, now: Now) {
        let Some(waking) = self.wakings.get(ticket) else {
            return;
        };
        let aor = &self.endpoint.layer.pool.bytes(&waking.texts)[..usize::from(waking.aor_len)];
        note_not_woken(&mut self.journal, aor, error.fault(), &error.to_string(), now);
    }
}

/// Says whose fault it is that a device is not woken.
fn note_not_woken(journal: &mut Journal, aor: &[u8], fault: &str, why: &str, now: Now) {
    journal.line(now, "device not woken").map(|line| {
        line.text("aor", aor)
            .text("fault", fault.as_bytes())
            .text("why", why.as_bytes())
    });
}
