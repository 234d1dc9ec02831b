//! Targets that are still to come: a device that was pushed is one as soon as it has registered (RFC 8599 §5.6.2).

use super::super::progress::Cause;
use super::super::targets::TargetSet;
use super::{Pending, Phase, Proxy, whole};
use crate::memory::Id;
use crate::{Endpoint, Outbox};

impl Proxy {
    /// Whether more targets would be of use to the request with this server transaction.
    pub fn can_use_more(&self, endpoint: &Endpoint, server: Id) -> bool {
        let context = endpoint.layer.context_of(server);
        let context = context.and_then(|id| self.contexts.get(id));
        context.is_some_and(|context| context.phase == Phase::Open)
    }

    /// So many more targets are awaited of the request with this server transaction.
    pub fn await_more(&mut self, endpoint: &Endpoint, server: Id, count: u8) {
        let context = endpoint.layer.context_of(server);
        let context = context.and_then(|id| whole(&mut self.contexts, &mut self.pending, id));
        if let Some((_, pending)) = context {
            pending.awaited = pending.awaited.saturating_add(count);
        }
    }

    /// A target that the request with this server transaction awaits has come, or with none never will. It is tried at once.
    /// What was a target of the request before is none again.
    pub fn add_awaited(
        &mut self,
        endpoint: &mut Endpoint,
        server: Id,
        targets: &TargetSet,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let Some(id) = endpoint.layer.context_of(server) else {
            return;
        };
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return;
        };
        pending.awaited = pending.awaited.saturating_sub(1);
        if targets.is_empty() {
            pending.fail(Cause::NotWoken);
        } else if context.phase == Phase::Open {
            self.add_new(endpoint, id, targets);
        }
        self.conclude(endpoint, id, now_ms, out);
    }
}

impl Pending {
    /// Whether more targets may come.
    pub(super) fn is_to_grow(&self) -> bool {
        self.redirections > 0 || self.awaited > 0
    }
}
