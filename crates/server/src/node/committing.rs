//! REGISTERs whose commits are under way: found by the ticket of the commit, and by the use of a nonce that has let them in, so that a
//! retransmission is known by what it repeats (RFC 3261 §10.3; RFC 7616 §3.4: each count of a nonce is used once).

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use strowger_sip::endpoint::Ingress;
use strowger_sip::memory::{Id, Slab, Stored};
use strowger_sip::registrar::Changes;

use crate::hashed::Identity;

/// A REGISTER whose commit is under way.
#[derive(Clone, Debug)]
pub(super) struct PendingRegister {
    pub(super) request: Stored,
    pub(super) ingress: Ingress,
    /// The number of the use of a nonce that its credentials are, if they were asked for.
    pub(super) proven: Option<u64>,
    pub(super) attempts: u8,
    pub(super) changes: Changes,
    /// The 200 as it is in the second (Unix time) in which the commit was asked for, which is hardly ever over when it is
    /// done; empty when it may not be sent.
    pub(super) answer: Stored,
    pub(super) answer_secs: u64,
}

/// All of a shard. There are as many as the store lets wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Committing {
    registers: Slab<PendingRegister>,
    by_use: HashMap<u64, Id, BuildHasherDefault<Identity>>,
}

impl Committing {
    /// The ticket that the next one gets.
    pub(super) fn next_id(&self) -> Id {
        self.registers.next_id()
    }

    /// Keeps one.
    pub(super) fn insert(&mut self, pending: PendingRegister) {
        let used = pending.proven;
        let id = self.registers.insert_with(|_| pending);
        if let Some(used) = used {
            self.by_use.insert(used, id);
        }
    }

    /// Takes out the one with this ticket.
    pub(super) fn remove(&mut self, id: Id) -> Option<PendingRegister> {
        let pending = self.registers.remove(id)?;
        if let Some(used) = pending.proven
            && self.by_use.get(&used) == Some(&id)
        {
            self.by_use.remove(&used);
        }
        Some(pending)
    }

    /// The one that this use of a nonce has let in.
    pub(super) fn by_use(&self, used: u64) -> Option<&PendingRegister> {
        self.registers.get(*self.by_use.get(&used)?)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.registers.is_empty()
    }

    /// Bytes that all of it takes.
    pub(super) fn bytes(&self) -> usize {
        self.registers.bytes() + self.by_use.capacity() * size_of::<(u64, Id)>()
    }
}
