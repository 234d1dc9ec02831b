//! What a node shares with others, for one that may change nothing: stores that are read through, and copies of the tables
//! that a request writes to.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::dns::Question;
use crate::events::Events;
use crate::location::{Location, Overlay};
use crate::node::{Journal, JournalEnd, NodePolicy, Shared};
use crate::push::Ask;

/// A [`Shared`] that no running node has, and the ends of what leaves it.
#[derive(Debug)]
pub struct Detached {
    /// For the node.
    pub shared: Arc<Shared>,
    pub(super) overlay: Arc<Overlay>,
    pub(super) questions: mpsc::Receiver<Question>,
    /// What would be pushed stays in it.
    _asks: mpsc::Receiver<Ask>,
    pub(super) lines: JournalEnd,
}

impl Detached {
    /// Detaches what others share, and the journal of the node that is going to use it. With `forgetful` it knows nothing
    /// that DNS has said before.
    pub fn of(shared: &Shared, forgetful: bool) -> (Self, Journal) {
        let overlay = Arc::new(Overlay::new(Arc::clone(&shared.location)));
        let (dns, questions) = shared.dns.copy(forgetful);
        let (push, asks) = shared.push.copy();
        let (journal, lines) = Journal::new(true);
        let shared = Arc::new(Shared {
            policy: NodePolicy {
                routes: Arc::new(shared.policy.routes.copy()),
                ..shared.policy.clone()
            },
            ours: shared.ours.clone(),
            location: Arc::clone(&overlay) as Arc<dyn Location>,
            subscribers: shared.subscribers.silenced(),
            nonces: Arc::new(shared.nonces.copy()),
            defence: shared.defence.copy(),
            visitors: Arc::new(shared.visitors.copy()),
            dns: Arc::new(dns),
            events: Arc::new(Events::new(None)),
            push,
        });
        let detached = Self {
            shared,
            overlay,
            questions,
            _asks: asks,
            lines,
        };
        (detached, journal)
    }
}
