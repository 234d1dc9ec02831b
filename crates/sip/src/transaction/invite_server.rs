//! The INVITE server transaction (RFC 3261 §17.2.1 with RFC 6026 §7.1).

use strowger_syntax::Status;

use super::{Cx, Misuse, NEVER, Next};
use crate::memory::Stored;

/// ```text
///            INVITE
///              |
///         Proceeding --2xx--> Accepted --L--> Terminated
///              |300-699
///         Completed  --H--> Terminated
///              |ACK
///         Confirmed  --I--> Terminated
/// ```
#[derive(Clone, Debug)]
pub enum InviteServer {
    /// No final response yet. The last provisional one answers retransmissions.
    Proceeding {
        /// What was sent last.
        last: Option<Stored>,
    },
    /// A 2xx was sent. Its retransmissions are the UAS core's; this state absorbs the INVITE's.
    Accepted {
        /// Timer L.
        until_l: u64,
    },
    /// A 300-699 was sent and waits for its ACK.
    Completed {
        /// The response.
        response: Stored,
        /// Timer G: when it is sent again; never on a reliable transport.
        resend_g: u64,
        /// The interval that led to `resend_g`.
        interval_ms: u32,
        /// Timer H: when waiting is given up.
        until_h: u64,
    },
    /// The ACK has come; more of them are absorbed.
    Confirmed {
        /// Timer I.
        until_i: u64,
    },
}

impl InviteServer {
    /// The state for an INVITE that has just come.
    pub fn new() -> Self {
        Self::Proceeding { last: None }
    }

    /// The INVITE came again.
    pub fn on_request(&mut self, cx: &mut Cx<'_>) {
        match self {
            Self::Proceeding { last: Some(response) } | Self::Completed { response, .. } => {
                cx.resend(response)
            }
            Self::Proceeding { last: None } | Self::Accepted { .. } | Self::Confirmed { .. } => {}
        }
    }

    /// The ACK to a 300-699 came.
    pub fn on_ack(&mut self, cx: &mut Cx<'_>) {
        if let Self::Completed { .. } = self {
            let until_i = cx.rest_unless_reliable(cx.timers.t4_ms);
            self.become_state(Self::Confirmed { until_i }, cx);
        }
    }

    /// Sends the response that was written to the outbox since `start`.
    pub fn respond(&mut self, status: Status, start: usize, cx: &mut Cx<'_>) -> Result<(), Misuse> {
        match (&mut *self, status.class()) {
            (Self::Proceeding { last }, 1) => {
                let kept = cx.send_and_keep(start);
                if let Some(old) = last.replace(kept) {
                    cx.pool.give(old);
                }
            }
            (Self::Proceeding { .. }, 2) => {
                cx.send_written(start);
                let until_l = cx.rest_for(cx.timers.lifetime_ms());
                self.become_state(Self::Accepted { until_l }, cx);
            }
            (Self::Accepted { .. }, 2) => cx.send_written(start),
            (Self::Proceeding { .. }, _) => {
                let response = cx.send_and_keep(start);
                let interval_ms = cx.timers.t1_ms as u32;
                let resend_g = cx.resend_after(interval_ms);
                let until_h = cx.now_ms + cx.timers.lifetime_ms();
                self.become_state(
                    Self::Completed {
                        response,
                        resend_g,
                        interval_ms,
                        until_h,
                    },
                    cx,
                );
            }
            (Self::Accepted { .. } | Self::Completed { .. } | Self::Confirmed { .. }, _) => {
                cx.out.bytes.truncate(start);
                return Err(Misuse);
            }
        }
        Ok(())
    }

    /// Whether a final response was sent.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Proceeding { .. })
    }

    /// Whether a 2xx was sent.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    /// When [`on_deadline`](Self::on_deadline) wants to be called.
    pub fn deadline(&self) -> Option<u64> {
        match self {
            Self::Proceeding { .. } => None,
            Self::Accepted { until_l } => Some(*until_l),
            Self::Completed {
                resend_g, until_h, ..
            } => Some(*resend_g.min(until_h)),
            Self::Confirmed { until_i } => Some(*until_i),
        }
    }

    /// Time has come to the deadline.
    pub fn on_deadline(&mut self, cx: &mut Cx<'_>) -> Next {
        match self {
            Self::Proceeding { .. } => Next::Live,
            Self::Completed {
                response,
                resend_g,
                interval_ms,
                until_h,
            } if *resend_g != NEVER && cx.now_ms < *until_h => {
                cx.resend(response);
                *interval_ms = (*interval_ms * 2).min(cx.timers.t2_ms as u32);
                *resend_g = cx.resend_after(*interval_ms);
                Next::Live
            }
            _ => Next::Ended,
        }
    }

    /// Gives back what it keeps.
    pub fn dispose(self, pool: &mut crate::memory::Pool) {
        if let Self::Proceeding { last: Some(stored) } | Self::Completed { response: stored, .. } = self {
            pool.give(stored);
        }
    }

    fn become_state(&mut self, next: Self, cx: &mut Cx<'_>) {
        std::mem::replace(self, next).dispose(cx.pool);
    }
}

impl Default for InviteServer {
    fn default() -> Self {
        Self::new()
    }
}
