//! Registrations of devices that sleep are refreshed before they end: the device is pushed, and registers again (RFC 8599 §5.5).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use strowger_sip::registrar::{Bindings, PushParams, may_have_push};
use tokio::task::JoinSet;

use super::{Provider, Push, Services};
use crate::location::Location;

/// Devices that are pushed at once for this. Nobody waits for them.
const AT_ONCE: usize = 8;

/// A look for the registrations that are about to end.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// When, in Unix seconds.
    pub at_secs: u64,
    /// When it was looked before; `None` for the first one.
    pub before_secs: Option<u64>,
}

/// A device whose registration is about to end.
#[derive(Debug)]
pub struct Due {
    provider: Arc<Provider>,
    device: u64,
    /// What is told to its service.
    pub push: Push,
}

impl Services {
    /// How long before their end registrations are due for the first time, in seconds: between two looks none may fall
    /// below what is configured.
    pub(super) fn due_before_secs(&self) -> u64 {
        u64::from(self.least_expires()) - 1
    }

    /// How often it is looked for them.
    pub(crate) fn look_every(&self) -> Duration {
        self.settings.look_every()
    }

    /// The devices that are to be pushed now, once for each of their registrations, and once more at half of the time that is
    /// left then, should that have been in vain. One that has been pushed lately is left out.
    pub fn due(&self, location: &dyn Location, sweep: Sweep) -> Vec<Due> {
        let mut due = Vec::new();
        if !self.is_on() {
            return due;
        }
        let Sweep { at_secs, before_secs } = sweep;
        let first = self.due_before_secs();
        let is_due = |ends_at: u64, threshold: u64| {
            ends_at <= at_secs + threshold && before_secs.is_none_or(|before| ends_at > before + threshold)
        };
        let last = u32::try_from(at_secs + first).unwrap_or(u32::MAX);
        location.for_each_due(last, &mut |aor, record| {
            if !may_have_push(record) {
                return;
            }
            for binding in Bindings::new(record).live(at_secs) {
                let ends_at = u64::from(binding.expires_at);
                if binding.origin.pushed_elsewhere || !is_due(ends_at, first) && !is_due(ends_at, first / 2) {
                    continue;
                }
                let Some(params) = PushParams::of(binding.contact) else {
                    continue;
                };
                let Some(provider) = self.service_of(&params) else {
                    continue;
                };
                let device = self.device(&params);
                if self.pushed_lately(device, at_secs * 1000).is_none() {
                    let provider = Arc::clone(provider);
                    let push = Push::of(&params, aor, b"", "REGISTER", false);
                    due.push(Due {
                        provider,
                        device,
                        push,
                    });
                }
            }
        });
        // One device may have several registrations.
        due.sort_by_key(|due| due.device);
        due.dedup_by_key(|due| due.device);
        due
    }
}

/// Pushes those that are due.
pub(crate) async fn push_all(services: &Services, due: Vec<Due>) {
    let mut tasks = JoinSet::new();
    for Due { provider, push, .. } in due {
        if tasks.len() >= AT_ONCE {
            let _ = tasks.join_next().await;
        }
        let counts = Arc::clone(&services.counts);
        tasks.spawn(async move {
            let aor = push.aor.clone();
            let result = provider.push(push).await;
            counts.pushed(&result);
            counts.refreshes.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = result {
                let (fault, provider) = (error.fault(), provider.name());
                tracing::warn!(%aor, provider, fault, "a registration could not be refreshed by push: {error}");
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}
