//! Which shard a message belongs to. A pure function, so that a simulation runs any number of shards.

use strowger_syntax::message::{Index, StartLine};

use super::branch::Branches;
use crate::transaction::KeyHasher;

/// Whose a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This shard's, wherever it arrived.
    Shard(u16),
    /// The one's that received it.
    Here,
}

/// A request belongs to the shard of its Call-ID, so that INVITE, CANCEL, ACK and BYE meet; a response to the shard
/// that its branch names. What has neither is dealt with where it arrived.
pub fn owner(bytes: &[u8], index: &Index, shards: u16, hasher: &KeyHasher, branches: &Branches) -> Owner {
    if shards <= 1 {
        return Owner::Here;
    }
    match index.start_line() {
        Some(StartLine::Request { .. }) => match index.call_id(bytes) {
            Some(call_id) => Owner::Shard(shard_of_call_id(call_id, shards, hasher)),
            None => Owner::Here,
        },
        Some(StartLine::Response { .. }) => {
            let branch = index.via().branch.map(|branch| branch.of(bytes));
            match branch.and_then(|branch| branches.shard_of(branch)) {
                Some(shard) if shard < shards => Owner::Shard(shard),
                _ => Owner::Here,
            }
        }
        None => Owner::Here,
    }
}

/// The shard of a Call-ID.
pub fn shard_of_call_id(call_id: &[u8], shards: u16, hasher: &KeyHasher) -> u16 {
    (hasher.of_call_id(call_id) % u64::from(shards.max(1))) as u16
}
