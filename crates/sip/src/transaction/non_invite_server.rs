//! The non-INVITE server transaction (RFC 3261 §17.2.2 with RFC 4320).

use strowger_syntax::Status;

use super::{Cx, Misuse, Next};
use crate::memory::{Pool, Stored};

/// ```text
///        request
///           |
///        Trying --100--> Proceeding
///           |                |
///           +---200-699------+--> Completed --J--> Terminated
/// ```
#[derive(Clone, Debug)]
pub enum NonInviteServer {
    /// Nothing was sent yet; retransmissions are absorbed.
    Trying {
        /// When a 100 is due at the latest (RFC 4320 §4.1); the layer's user writes it.
        trying_at: u64,
    },
    /// A 100 was sent and answers retransmissions.
    Proceeding {
        /// The 100.
        last: Stored,
    },
    /// A final response was sent and answers retransmissions.
    Completed {
        /// The response.
        response: Stored,
        /// Timer J.
        until_j: u64,
    },
}

impl NonInviteServer {
    /// The state for a request that has just come.
    pub fn new(cx: &Cx<'_>) -> Self {
        Self::Trying {
            trying_at: cx.now_ms + cx.timers.trying_after_ms(),
        }
    }

    /// The request came again.
    pub fn on_request(&mut self, cx: &mut Cx<'_>) {
        match self {
            Self::Trying { .. } => {}
            Self::Proceeding { last } => cx.resend(last),
            Self::Completed { response, .. } => cx.resend(response),
        }
    }

    /// Sends the response that was written to the outbox since `start`. Of the provisional ones only a 100 is let
    /// through, on an unreliable transport none before its time (RFC 4320 §4.1); no 408 at all (§4.2).
    pub fn respond(&mut self, status: Status, start: usize, cx: &mut Cx<'_>) -> Result<(), Misuse> {
        let next = match self {
            _ if status == Status::REQUEST_TIMEOUT => None,
            Self::Trying { trying_at }
                if status == Status::TRYING && (cx.reliable || cx.now_ms >= *trying_at) =>
            {
                Some(Self::Proceeding {
                    last: cx.send_and_keep(start),
                })
            }
            Self::Proceeding { .. } if status == Status::TRYING => Some(Self::Proceeding {
                last: cx.send_and_keep(start),
            }),
            Self::Trying { .. } | Self::Proceeding { .. } if !status.is_provisional() => {
                let response = cx.send_and_keep(start);
                Some(Self::Completed {
                    response,
                    until_j: cx.rest_unless_reliable(cx.timers.lifetime_ms()),
                })
            }
            _ => None,
        };
        match next {
            Some(next) => {
                std::mem::replace(self, next).dispose(cx.pool);
                Ok(())
            }
            None => {
                cx.out.bytes.truncate(start);
                Err(Misuse)
            }
        }
    }

    /// Whether a final response was sent.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Completed { .. })
    }

    /// Whether a 100 is due now.
    pub fn wants_trying(&self, now_ms: u64) -> bool {
        matches!(self, Self::Trying { trying_at } if *trying_at <= now_ms)
    }

    /// When something is due: a 100, or the end.
    pub fn deadline(&self) -> Option<u64> {
        match self {
            Self::Trying { trying_at } => Some(*trying_at),
            Self::Proceeding { .. } => None,
            Self::Completed { until_j, .. } => Some(*until_j),
        }
    }

    /// Time has come to the deadline.
    pub fn on_deadline(&mut self) -> Next {
        match self {
            Self::Completed { .. } => Next::Ended,
            _ => Next::Live,
        }
    }

    /// Gives back what it keeps.
    pub fn dispose(self, pool: &mut Pool) {
        match self {
            Self::Trying { .. } => {}
            Self::Proceeding { last: stored } | Self::Completed { response: stored, .. } => pool.give(stored),
        }
    }
}
