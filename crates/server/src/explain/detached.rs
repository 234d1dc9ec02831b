//! What a node shares with others, for one that may change nothing: stores that are read through, and copies of the tables
//! that a request writes to.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::dns::Question;
use crate::events::Events;
use crate::location::{Location, Overlay};
use crate::node::{Journal, JournalEnd, NodePolicy, Shared};

/// A [`Shared`] that no running node has, and the ends of what leaves it.
#[derive(Debug)]
pub struct Detached {
    /// For the node.
    pub shared: Arc<Shared>,
    pub(super) overlay: Arc<Overlay>,
    pub(super) questions: mpsc::Receiver<Question>,
    pub(super) lines: JournalEnd,
}

impl Detached {
    /// Detaches what others share, and the journal of the node that is going to use it. With `forgetful` it knows nothing
    /// that DNS has said before.
    pub fn of(shared: &Shared, forgetful: bool) -> (Self, Journal) {
        let overlay = Arc::new(Overlay::new(Arc::clone(&shared.location)));
        let (dns, questions) = shared.dns.copy(forgetful);
        let (journal, lines) = Journal::new(true);
        let shared = Arc::new(Shared {
            policy: NodePolicy {
                routes: Arc::new(shared.policy.routes.copy()),
                ..shared.policy.clone()
            },
            ours: shared.ours.clone(),
            location: Arc::clone(&overlay) as Arc<dyn Location>,
            subscribers: Arc::clone(&shared.subscribers),
            nonces: Arc::new(shared.nonces.copy()),
            defence: shared.defence.copy(),
            dns: Arc::new(dns),
            events: Arc::new(Events::new(None)),
        });
        let detached = Self {
            shared,
            overlay,
            questions,
            lines,
        };
        (detached, journal)
    }
}
