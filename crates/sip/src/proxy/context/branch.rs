//! A branch: one target, and what became of it.

use super::super::targets::{TargetTexts, Turn};
use super::super::ways::Ways;
use crate::memory::Id;

/// A time that does not come, in milliseconds after the start of a context.
pub(super) const NEVER: u32 = u32::MAX;

/// What becomes of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BranchState {
    /// Its group has not had its turn.
    Waiting,
    /// Waits for a final response.
    Pending,
    /// Given up: cancelled as soon as a provisional response allows it (RFC 3261 §9.1).
    CancelWanted,
    /// Has its final response, or never will have one.
    Done,
}

/// One target of a context.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    /// Its client transaction; nobody's while it waits.
    pub(super) client: Id,
    pub(super) state: BranchState,
    /// The share of the breadth that its request was given (RFC 5393 §5.3.3).
    pub(super) breadth: u8,
    pub(super) group: u16,
    /// See [`Turn::place`].
    pub(super) place: Option<u8>,
    /// How long it may ring while it waits. Then, in milliseconds after the start of the context, when it is given up, and
    /// when no answer to its CANCEL is waited for any longer.
    pub(super) until: u32,
    pub(super) target: TargetTexts,
    /// The hops that are left.
    pub(super) ways: Ways,
}

impl Branch {
    /// A target whose turn has not come.
    pub(super) fn new(target: TargetTexts, ways: Ways, turn: Turn) -> Self {
        Self {
            client: Id {
                index: u32::MAX,
                counter: u32::MAX,
            },
            state: BranchState::Waiting,
            breadth: 0,
            group: turn.group,
            place: turn.place,
            until: turn.ring_ms.unwrap_or(NEVER),
            target,
            ways,
        }
    }
}
