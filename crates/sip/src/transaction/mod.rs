//! Transactions (RFC 3261 §17, RFC 6026, RFC 4320): four state machines of one shape, and the layer that finds the
//! right one for a message.
//!
//! A machine is given events (`on_*`, `respond`) with a [`Cx`], pushes what it sends into the outbox, and says when it
//! wants to be woken (`deadline`). Its state is an enum whose variants own their data and timers: leaving a state
//! leaves its timers behind.

mod hop_request;
mod invite_client;
mod invite_server;
mod key;
mod layer;
mod non_invite_client;
mod non_invite_server;
#[cfg(test)]
mod tests;
mod timers;

pub use invite_client::{Delivery, InviteClient};
pub use invite_server::InviteServer;
pub use key::{KeyHasher, SentBy, ServerKey};
pub use layer::{Expired, FailedSend, Layer, Matched, Patience, Sending, Timed, User, awaits_answer};
pub use non_invite_client::NonInviteClient;
pub use non_invite_server::NonInviteServer;
pub use timers::Timers;

use strowger_syntax::Limits;

use crate::memory::{Pool, Stored};
use crate::{Destination, Outbox};

/// For messages that were kept: what was accepted once, whatever the limits were, is indexed again.
pub const KEPT: Limits = Limits {
    body: usize::MAX,
    ..Limits::DEFAULT
};

/// What a machine works with during one event.
#[derive(Debug)]
pub struct Cx<'a> {
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// The timers' values.
    pub timers: &'a Timers,
    /// Whether the transport is reliable.
    pub reliable: bool,
    /// Where the machine's messages go.
    pub to: Destination,
    /// The token its transmits carry.
    pub token: u64,
    /// Where they are put.
    pub out: &'a mut Outbox,
    /// Where what must be kept is copied to.
    pub pool: &'a mut Pool,
}

impl Cx<'_> {
    /// Sends what was written to the outbox's bytes since `start`; nothing when nothing could be written.
    fn send_written(&mut self, start: usize) {
        if self.out.bytes.len() > start {
            self.out.send_from(start, self.to, self.token);
        }
    }

    /// Sends it and keeps a copy.
    fn send_and_keep(&mut self, start: usize) -> Stored {
        let kept = self.pool.store(&self.out.bytes[start..]);
        self.send_written(start);
        kept
    }

    /// Sends stored bytes again.
    fn resend(&mut self, stored: &Stored) {
        let start = self.out.bytes.len();
        self.out.bytes.extend_from_slice(self.pool.bytes(stored));
        self.send_written(start);
    }

    /// When a message that was just sent is sent again, `interval` from now; never on a reliable transport.
    fn resend_after(&self, interval_ms: u32) -> u64 {
        if self.reliable {
            NEVER
        } else {
            self.now_ms + u64::from(interval_ms)
        }
    }

    /// The end of a transaction that only waits for what comes late, `delay` from now or a little later.
    fn rest_for(&self, delay_ms: u64) -> u64 {
        (self.now_ms + delay_ms).next_multiple_of(REST_MS)
    }

    /// The same on an unreliable transport; at once on a reliable one (timers D, I, J and K).
    fn rest_unless_reliable(&self, delay_ms: u64) -> u64 {
        if self.reliable {
            self.now_ms
        } else {
            self.rest_for(delay_ms)
        }
    }
}

/// The ends that nobody waits for come at multiples of this, so that a shard wakes for many of them at once and its wheel
/// need not bring each to its millisecond.
const REST_MS: u64 = 64;

/// When a timer goes off that is not set.
const NEVER: u64 = u64::MAX;

/// Whether a machine goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It lives.
    Live,
    /// It has reached Terminated.
    Ended,
}

/// A response that the state does not allow: the caller's fault, nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misuse;
