//! What whoever keeps an account of calls is told.

use strowger_syntax::{Method, Status};

use crate::memory::Id;

/// Something that whoever keeps an account of calls wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The account given at the start.
    pub call: Id,
    /// The method of the request.
    pub method: Method,
    /// The target whose turn has come, or whose answer was passed on, if it has a number ([`Turn::place`](super::Turn::place)).
    pub place: Option<u8>,
    /// The status that was sent to the caller; 100 when a target's turn has come.
    pub status: Status,
    /// The time in seconds after which the session ends unless refreshed, when the answer names one (RFC 4028).
    pub session_expires: Option<u32>,
    /// Why it was answered here; `None` when somebody else's answer was passed on.
    pub cause: Option<Cause>,
}

/// Why a request got a final answer of our own instead of a target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The caller cancelled it.
    Cancelled,
    /// It could not be sent: nobody listens there, or there is no way.
    NextHopUnreachable,
    /// The flow that its Route names is gone (RFC 5626 §5.3.1).
    FlowFailed,
    /// Nothing came back in time.
    NextHopSilent,
    /// The next hop said 503, which is not passed on (RFC 3261 §16.7 step 6).
    NextHopUnavailable,
    /// The name of the next hop has no address.
    NextHopHasNoAddress,
    /// It rang for as long as it may, and nobody answered.
    NobodyAnswered,
    /// The next hop has challenged us, and our answer did not do, or there is none.
    Challenged,
    /// The device that would be its target was not woken: it could not be pushed, or did not register in time (RFC 8599 §5.6.2).
    NotWoken,
    /// It has more targets than it may be sent to at once (RFC 5393 §5.3.3).
    TooManyBranches,
}

impl Cause {
    /// The response that a branch without one counts as to have got (RFC 3261 §16.8, §16.9).
    pub(super) const fn counts_as(self) -> Status {
        match self {
            Self::Cancelled => Status::REQUEST_TERMINATED,
            Self::NextHopUnreachable | Self::NextHopUnavailable | Self::NextHopHasNoAddress => {
                Status::SERVICE_UNAVAILABLE
            }
            Self::FlowFailed => Status::FLOW_FAILED,
            Self::NextHopSilent | Self::NobodyAnswered => Status::REQUEST_TIMEOUT,
            Self::Challenged => Status::SERVER_INTERNAL_ERROR,
            Self::NotWoken => Status::TEMPORARILY_UNAVAILABLE,
            Self::TooManyBranches => Status::MAX_BREADTH_EXCEEDED,
        }
    }

    /// One word for a log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::NextHopUnreachable => "next-hop-unreachable",
            Self::FlowFailed => "flow-failed",
            Self::NextHopSilent => "next-hop-silent",
            Self::NextHopUnavailable => "next-hop-unavailable",
            Self::NextHopHasNoAddress => "next-hop-has-no-address",
            Self::NobodyAnswered => "nobody-answered",
            Self::Challenged => "challenged",
            Self::NotWoken => "not-woken",
            Self::TooManyBranches => "too-many-branches",
        }
    }
}
