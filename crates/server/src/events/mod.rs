//! Subscriptions as far as they are not one shard's matter: how many there may be, and what of them survives the process.

mod quota;
mod store;

use std::sync::Arc;

pub use quota::{Most, Quota};
pub use store::{Answer, Kept, Outcome, Settled, Store};

/// What all shards share of subscriptions.
#[derive(Debug)]
pub struct Events {
    /// How many there are, by whom and of whom.
    pub quota: Quota,
    /// Where they are kept; `None` keeps them for as long as the process lives.
    pub store: Option<Arc<Store>>,
}

impl Events {
    /// No subscriptions yet.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        Self {
            quota: Quota::default(),
            store,
        }
    }
}
