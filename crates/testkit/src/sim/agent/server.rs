//! A user agent's server transactions over UDP (RFC 3261 §17.2, RFC 6026 §7.1), written straight from the diagrams.

use super::client::branch;
use super::{Out, T1, T2, T4};

/// A request that came, and what answers it when it comes again.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) request: String,
    state: State,
    last: Option<String>,
    /// Timer G: when a 300-699 is sent again.
    resend_at: Option<u64>,
    interval: u64,
    /// When the state ends: timers H, I, J, L.
    until: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Trying or Proceeding.
    Open,
    /// A final response was sent; for INVITE, one that is no 2xx.
    Completed,
    Confirmed,
    Accepted,
}

impl Server {
    /// For a request that has just come.
    pub(super) fn new(request: &str) -> Self {
        Self {
            request: request.to_owned(),
            state: State::Open,
            last: None,
            resend_at: None,
            interval: T1,
            until: None,
        }
    }

    fn is_invite(&self) -> bool {
        self.request.starts_with("INVITE ")
    }

    /// Whether it is for an INVITE without a final response.
    pub(super) fn is_open_invite(&self) -> bool {
        self.is_invite() && self.state == State::Open
    }

    /// Whether a request is this one again, or its ACK (§17.2.3); an ACK to a 2xx is none of it.
    pub(super) fn matches(&self, request: &str) -> bool {
        let (ours, theirs) = (method(&self.request), method(request));
        let ours = ours == theirs || (ours == "INVITE" && theirs == "ACK");
        ours && branch(request) == branch(&self.request)
    }

    /// Whether a CANCEL is for this INVITE (§9.2).
    pub(super) fn is_cancelled_by(&self, cancel: &str) -> bool {
        self.is_invite() && branch(cancel) == branch(&self.request)
    }

    /// It came again, or its ACK.
    pub(super) fn on_request(&mut self, request: &str, now: u64, out: &mut Out) {
        if method(request) == "ACK" {
            if self.state == State::Completed {
                self.state = State::Confirmed;
                (self.resend_at, self.until) = (None, Some(now + T4));
            }
        } else if let (State::Open | State::Completed, Some(last)) = (self.state, &self.last) {
            out.push(last.clone());
        }
    }

    /// Answers it.
    pub(super) fn respond(&mut self, code: u16, response: String, now: u64, out: &mut Out) {
        assert_eq!(self.state, State::Open, "{response}");
        out.push(response.clone());
        self.last = Some(response);
        match (code, self.is_invite()) {
            (100..200, _) => return,
            (200..300, true) => self.state = State::Accepted,
            (_, true) => {
                self.state = State::Completed;
                self.resend_at = Some(now + T1);
            }
            (_, false) => self.state = State::Completed,
        }
        self.until = Some(now + 64 * T1);
    }

    /// When [`wake`](Self::wake) wants to be called.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.resend_at.into_iter().chain(self.until).min()
    }

    /// Time has passed; whether it goes on.
    pub(super) fn wake(&mut self, now: u64, out: &mut Out) -> bool {
        if self.until.is_some_and(|until| until <= now) {
            return false;
        }
        if self.resend_at.is_some_and(|at| at <= now) {
            out.extend(self.last.clone());
            self.interval = T2.min(self.interval * 2);
            self.resend_at = Some(now + self.interval);
        }
        true
    }
}

/// The method of a request.
pub(super) fn method(request: &str) -> &str {
    request.split(' ').next().unwrap_or_default()
}
