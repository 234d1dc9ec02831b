//! The non-INVITE client transaction (RFC 3261 §17.1.2).

use strowger_syntax::Status;

use super::{Cx, Delivery, NEVER, Next};
use crate::memory::{Pool, Stored};

/// ```text
///        request sent
///            |
///         Trying --1xx--> Proceeding --F--> Terminated
///            |                |
///            +---200-699------+--> Completed --K--> Terminated
/// ```
#[derive(Clone, Debug)]
pub enum NonInviteClient {
    /// Nothing was heard yet.
    Trying {
        /// The request.
        request: Stored,
        /// Timer E; never on a reliable transport.
        resend_e: u64,
        /// The interval that led to `resend_e`.
        interval_ms: u32,
        /// Timer F, for when something is heard.
        until_f: u64,
        /// How long before timer F a silent next hop is given up.
        earlier_ms: u32,
    },
    /// A provisional response came; the request is still repeated, every T2.
    Proceeding {
        /// The request.
        request: Stored,
        /// Timer E.
        resend_e: u64,
        /// Timer F.
        until_f: u64,
    },
    /// A final response came; more of them are absorbed.
    Completed {
        /// Timer K.
        until_k: u64,
    },
}

impl NonInviteClient {
    /// Sends the request that was written to the outbox since `start`. A next hop that says nothing for `patience_ms` is
    /// given up; timer F ends it in any case.
    pub fn start(start: usize, patience_ms: u64, cx: &mut Cx<'_>) -> Self {
        let request = cx.send_and_keep(start);
        let interval_ms = cx.timers.t1_ms as u32;
        let until_f = cx.now_ms + cx.timers.lifetime_ms();
        Self::Trying {
            request,
            resend_e: cx.resend_after(interval_ms),
            interval_ms,
            until_f,
            earlier_ms: cx.timers.lifetime_ms().saturating_sub(patience_ms) as u32,
        }
    }

    /// A response came.
    pub fn on_response(&mut self, status: Status, cx: &mut Cx<'_>) -> Delivery {
        if let Self::Completed { .. } = self {
            return Delivery::Absorbed;
        }
        if !status.is_provisional() {
            let until_k = cx.rest_unless_reliable(cx.timers.t4_ms);
            std::mem::replace(self, Self::Completed { until_k }).dispose(cx.pool);
        } else if let Self::Trying { .. } = self
            && let Self::Trying {
                request,
                resend_e,
                until_f,
                ..
            } = std::mem::replace(self, Self::Completed { until_k: 0 })
        {
            *self = Self::Proceeding {
                request,
                resend_e,
                until_f,
            };
        }
        Delivery::Pass
    }

    /// Whether no final response came yet.
    pub fn is_pending(&self) -> bool {
        !matches!(self, Self::Completed { .. })
    }

    /// Whether nothing has come back.
    pub fn is_unanswered(&self) -> bool {
        matches!(self, Self::Trying { .. })
    }

    /// When [`on_deadline`](Self::on_deadline) wants to be called.
    pub fn deadline(&self) -> Option<u64> {
        match self {
            Self::Trying {
                resend_e,
                until_f,
                earlier_ms,
                ..
            } => Some(*resend_e.min(&(until_f - u64::from(*earlier_ms)))),
            Self::Proceeding {
                resend_e, until_f, ..
            } => Some(*resend_e.min(until_f)),
            Self::Completed { until_k } => Some(*until_k),
        }
    }

    /// Time has come to the deadline. Ending before Completed is a timeout that the user must hear of.
    pub fn on_deadline(&mut self, cx: &mut Cx<'_>) -> Next {
        match self {
            Self::Trying {
                request,
                resend_e,
                interval_ms,
                until_f,
                earlier_ms,
            } if *resend_e != NEVER && cx.now_ms < *until_f - u64::from(*earlier_ms) => {
                cx.resend(request);
                *interval_ms = (*interval_ms * 2).min(cx.timers.t2_ms as u32);
                *resend_e = cx.resend_after(*interval_ms);
                Next::Live
            }
            Self::Proceeding {
                request,
                resend_e,
                until_f,
            } if *resend_e != NEVER && cx.now_ms < *until_f => {
                cx.resend(request);
                *resend_e = cx.now_ms + cx.timers.t2_ms;
                Next::Live
            }
            _ => Next::Ended,
        }
    }

    /// Gives back what it keeps.
    pub fn dispose(self, pool: &mut Pool) {
        match self {
            Self::Trying { request, .. } | Self::Proceeding { request, .. } => pool.give(request),
            Self::Completed { .. } => {}
        }
    }
}
