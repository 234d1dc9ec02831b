//! Bindings that a message would change.

use serde::{Deserialize, Serialize};
use strowger_sip::registrar::Bindings;

use crate::location::Change;
use crate::node::trace::{BindingSeen, text};

/// What would become of the bindings of an address-of-record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordChange {
    /// The address-of-record.
    pub aor: String,
    /// Bindings that would be new.
    pub added: Vec<BindingSeen>,
    /// Bindings that would be refreshed or changed, as they would be.
    pub refreshed: Vec<BindingSeen>,
    /// Bindings that would be gone, as they are.
    pub removed: Vec<BindingSeen>,
    /// How many would stay as they are.
    pub untouched: usize,
}

impl RecordChange {
    pub(super) fn of(change: &Change, now_secs: u64) -> Self {
        let bindings = |record| -> Vec<BindingSeen> {
            let live = Bindings::new(record).live(now_secs);
            live.map(|binding| BindingSeen::of(&binding, now_secs)).collect()
        };
        let (before, after) = (bindings(&change.before), bindings(&change.after));
        let had = |contact: &str| before.iter().find(|binding| binding.contact == contact);
        let has = |contact: &str| after.iter().any(|binding| binding.contact == contact);
        let mut told = Self {
            aor: text(&change.aor),
            added: Vec::new(),
            refreshed: Vec::new(),
            removed: before
                .iter()
                .filter(|binding| !has(&binding.contact))
                .cloned()
                .collect(),
            untouched: 0,
        };
        for binding in &after {
            match had(&binding.contact) {
                None => told.added.push(binding.clone()),
                Some(old) if old == binding => told.untouched += 1,
                Some(_) => told.refreshed.push(binding.clone()),
            }
        }
        told
    }
}
