//! A user agent's client transactions over UDP (RFC 3261 §17.1, RFC 6026 §7.2), written straight from the diagrams.

use super::{Out, T1, T2, T4};
use crate::message::{ack, lines};

/// A request, repeated until it is answered.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) request: String,
    state: State,
    /// Timer A or E: when the request is sent again.
    resend_at: Option<u64>,
    interval: u64,
    /// When the state ends: timers B, F, D, K, M.
    until: Option<u64>,
    given_up_at: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// Calling or Trying.
    Unheard,
    Proceeding,
    /// The ACK, if it was an INVITE.
    Completed(Option<String>),
    Accepted,
}

/// What time has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing: it goes on.
    Not,
    /// It is over.
    Done,
    /// It is over without a final response.
    TimedOut,
}

impl Client {
    /// Sends a request.
    pub(super) fn start(request: String, now: u64, out: &mut Out) -> Self {
        out.push(request.clone());
        Self {
            request,
            state: State::Unheard,
            resend_at: Some(now + T1),
            interval: T1,
            until: Some(now + 64 * T1),
            given_up_at: None,
        }
    }

    /// Whether a response is to this request: by branch and method (§17.1.3).
    pub(super) fn matches(&self, response: &str) -> bool {
        branch(response) == branch(&self.request) && method_of_cseq(response) == self.method()
    }

    /// The method.
    pub(super) fn method(&self) -> &str {
        self.request.split(' ').next().unwrap_or_default()
    }

    fn is_invite(&self) -> bool {
        self.method() == "INVITE"
    }

    /// Whether no final response has come.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.state, State::Unheard | State::Proceeding)
    }

    /// Whether a CANCEL may be sent (§9.1).
    pub(super) fn may_cancel(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    /// A response came; whether it is for the user.
    pub(super) fn on_response(&mut self, code: u16, response: &str, now: u64, out: &mut Out) -> bool {
        match (&self.state, code) {
            (State::Unheard | State::Proceeding, 100..200) => {
                if self.is_invite() {
                    (self.resend_at, self.until) = (None, self.given_up_at);
                }
                self.state = State::Proceeding;
                true
            }
            (State::Unheard | State::Proceeding, _) => {
                let (state, lasts) = if !self.is_invite() {
                    (State::Completed(None), T4)
                } else if code < 300 {
                    (State::Accepted, 64 * T1)
                } else {
                    let ack = ack(&self.request, response);
                    out.push(ack.clone());
                    (State::Completed(Some(ack)), 64 * T1)
                };
                self.state = state;
                (self.resend_at, self.until) = (None, Some(now + lasts));
                true
            }
            (State::Accepted, 200..300) => true,
            (State::Completed(Some(ack)), 300..) => {
                out.push(ack.clone());
                false
            }
            (State::Accepted | State::Completed(_), _) => false,
        }
    }

    /// A request that nobody waits for any more is given up then, if nothing final comes (§9.1).
    pub(super) fn give_up_at(&mut self, at: u64) {
        if self.is_pending() && self.given_up_at.is_none() {
            self.given_up_at = Some(at);
            self.until = self.until.or(Some(at));
        }
    }

    /// When [`wake`](Self::wake) wants to be called.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.resend_at.into_iter().chain(self.until).min()
    }

    /// Time has passed.
    pub(super) fn wake(&mut self, now: u64, out: &mut Out) -> Ended {
        if self.until.is_some_and(|until| until <= now) {
            return if self.is_pending() {
                Ended::TimedOut
            } else {
                Ended::Done
            };
        }
        if self.resend_at.is_some_and(|at| at <= now) {
            out.push(self.request.clone());
            self.interval = match (self.is_invite(), &self.state) {
                (true, _) => self.interval * 2,
                (false, State::Proceeding) => T2,
                (false, _) => T2.min(self.interval * 2),
            };
            self.resend_at = Some(now + self.interval);
        }
        Ended::Not
    }
}

/// The branch of the top Via.
pub(super) fn branch(text: &str) -> &str {
    let via = lines(text, "Via").first().copied().unwrap_or_default();
    let branch = via.split("branch=").nth(1).unwrap_or_default();
    branch.split([';', ',', ' ']).next().unwrap_or_default()
}

/// The method that CSeq names.
pub(super) fn method_of_cseq(text: &str) -> &str {
    let cseq = lines(text, "CSeq").first().copied().unwrap_or_default();
    cseq.split(' ').nth(1).unwrap_or_default()
}
