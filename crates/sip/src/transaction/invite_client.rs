//! The INVITE client transaction (RFC 3261 §17.1.1 with RFC 6026 §7.2).

use strowger_syntax::Status;

use super::{Cx, NEVER, Next};
use crate::memory::{Pool, Stored};

/// ```text
///          INVITE sent
///              |
///           Calling --B--> Terminated
///              |1xx                   (2xx, 300-699 from here as well)
///         Proceeding --2xx--> Accepted --M--> Terminated
///              |300-699, ACK sent
///         Completed --D--> Terminated
/// ```
#[derive(Clone, Debug)]
pub enum InviteClient {
    /// Nothing was heard yet.
    Calling {
        /// The INVITE.
        request: Stored,
        /// Timer A; never on a reliable transport.
        resend_a: u64,
        /// The interval that led to `resend_a`.
        interval_ms: u32,
        /// Timer B, or the time after which a silent next hop is given up.
        until_b: u64,
    },
    /// A provisional response came; how long to wait on is the proxy's business (timer C).
    Proceeding {
        /// The INVITE, or what CANCEL and ACK are made from of it.
        request: Stored,
        /// When the rest of it goes; never once that is done.
        shorten_at: u64,
    },
    /// A 2xx came; more of them go to the user (RFC 6026 §7.2).
    Accepted {
        /// Timer M.
        until_m: u64,
    },
    /// A 300-699 came and was acknowledged; when it comes again, so is the ACK sent.
    Completed {
        /// The ACK.
        ack: Stored,
        /// Timer D.
        until_d: u64,
    },
}

/// What the user is to make of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is for the user.
    Pass,
    /// It was a retransmission, dealt with here.
    Absorbed,
}

impl InviteClient {
    /// Sends the INVITE that was written to the outbox since `start`. A next hop that says nothing for `patience_ms`, at most
    /// the time of timer B, is given up.
    pub fn start(start: usize, patience_ms: u64, cx: &mut Cx<'_>) -> Self {
        let request = cx.send_and_keep(start);
        let interval_ms = cx.timers.t1_ms as u32;
        Self::Calling {
            request,
            resend_a: cx.resend_after(interval_ms),
            interval_ms,
            until_b: cx.now_ms + patience_ms,
        }
    }

    /// A response came. `write_ack` writes the ACK for a 300-699 (RFC 3261 §17.1.1.3), given the INVITE.
    pub fn on_response(
        &mut self,
        status: Status,
        write_ack: impl FnOnce(&[u8], &mut Vec<u8>),
        cx: &mut Cx<'_>,
    ) -> Delivery {
        match (&mut *self, status.class()) {
            (Self::Calling { .. }, 1) => {
                if let Self::Calling { request, .. } = std::mem::replace(self, Self::Accepted { until_m: 0 })
                {
                    *self = Self::Proceeding {
                        request,
                        shorten_at: cx.now_ms + cx.timers.t1_ms,
                    };
                }
                Delivery::Pass
            }
            (Self::Proceeding { .. }, 1) | (Self::Accepted { .. }, 2) => Delivery::Pass,
            (Self::Calling { .. } | Self::Proceeding { .. }, 2) => {
                let until_m = cx.rest_for(cx.timers.lifetime_ms());
                std::mem::replace(self, Self::Accepted { until_m }).dispose(cx.pool);
                Delivery::Pass
            }
            (Self::Calling { request, .. } | Self::Proceeding { request, .. }, _) => {
                let start = cx.out.bytes.len();
                write_ack(cx.pool.bytes(request), &mut cx.out.bytes);
                let ack = cx.send_and_keep(start);
                let until_d = cx.rest_unless_reliable(cx.timers.d_ms());
                std::mem::replace(self, Self::Completed { ack, until_d }).dispose(cx.pool);
                Delivery::Pass
            }
            (Self::Completed { ack, .. }, 3..) => {
                cx.resend(ack);
                Delivery::Absorbed
            }
            (Self::Completed { .. } | Self::Accepted { .. }, _) => Delivery::Absorbed,
        }
    }

    /// The INVITE, as long as it is kept.
    pub fn request(&self) -> Option<&Stored> {
        match self {
            Self::Calling { request, .. } | Self::Proceeding { request, .. } => Some(request),
            Self::Accepted { .. } | Self::Completed { .. } => None,
        }
    }

    /// Whether a CANCEL may be sent now: after a provisional response, before a final one (RFC 3261 §9.1).
    pub fn may_cancel(&self) -> bool {
        matches!(self, Self::Proceeding { .. })
    }

    /// Whether no final response came yet.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Calling { .. } | Self::Proceeding { .. })
    }

    /// When [`on_deadline`](Self::on_deadline) wants to be called.
    pub fn deadline(&self) -> Option<u64> {
        match self {
            Self::Calling {
                resend_a, until_b, ..
            } => Some(*resend_a.min(until_b)),
            Self::Proceeding { shorten_at, .. } => (*shorten_at != NEVER).then_some(*shorten_at),
            Self::Accepted { until_m } => Some(*until_m),
            Self::Completed { until_d, .. } => Some(*until_d),
        }
    }

    /// Time has come to the deadline. Ending in Calling is a timeout that the user must hear of.
    pub fn on_deadline(&mut self, cx: &mut Cx<'_>) -> Next {
        match self {
            Self::Calling {
                request,
                resend_a,
                interval_ms,
                until_b,
            } if *resend_a != NEVER && cx.now_ms < *until_b => {
                cx.resend(request);
                *interval_ms = interval_ms.saturating_mul(2);
                *resend_a = cx.resend_after(*interval_ms);
                Next::Live
            }
            Self::Proceeding { .. } => Next::Live,
            _ => Next::Ended,
        }
    }

    /// Drops of the INVITE what nobody needs once it is not sent again, when its next hop has been ringing for a while: most
    /// are answered sooner, and are spared it. `write` writes what stays. Whether it is time, for others to do the like.
    pub fn shorten(&mut self, write: impl FnOnce(&[u8], &mut Vec<u8>), cx: &mut Cx<'_>) -> bool {
        let Self::Proceeding { request, shorten_at } = self else {
            return false;
        };
        if *shorten_at > cx.now_ms {
            return false;
        }
        *shorten_at = NEVER;
        let start = cx.out.bytes.len();
        write(cx.pool.bytes(request), &mut cx.out.bytes);
        if cx.out.bytes.len() > start {
            let short = cx.pool.store(&cx.out.bytes[start..]);
            cx.out.bytes.truncate(start);
            cx.pool.give(std::mem::replace(request, short));
        }
        true
    }

    /// Gives back what it keeps.
    pub fn dispose(self, pool: &mut Pool) {
        match self {
            Self::Calling { request: stored, .. }
            | Self::Proceeding { request: stored, .. }
            | Self::Completed { ack: stored, .. } => pool.give(stored),
            Self::Accepted { .. } => {}
        }
    }
}
