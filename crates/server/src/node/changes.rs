//! What a shard does when bindings have changed that somebody waits for on it. The hook is the location service's
//! [`Watch`](crate::location::Watch).

use strowger_sip::{Now, Outbox};

use super::Node;

impl Node {
    /// Bindings have changed. Everybody on this shard who waits for one of the slots reads the record again, and compares.
    pub(super) fn on_bindings_changed(&mut self, now: Now, out: &mut Outbox) {
        let mut changed = std::mem::take(&mut self.work.changed);
        self.watcher
            .take_changed(self.shared.location.watch(), &mut changed);
        self.on_devices_changed(&changed, now, out);
        changed.clear();
        self.work.changed = changed;
    }
}
