//! The one place that effects leave through: messages to send, written back to back into one buffer that is
//! reused from turn to turn, so that sending allocates nothing.

use std::ops::Range;

use crate::transport::Destination;

/// One message to send.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where it goes.
    pub to: Destination,
    /// Its bytes, in [`Outbox::bytes`].
    pub span: Range<u32>,
    /// Names the sender's state when a failure must be reported; 0 when nobody wants to know.
    pub token: u64,
}

/// Messages to send, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The bytes of all messages of this turn.
    pub bytes: Vec<u8>,
    /// The messages.
    pub transmits: Vec<Transmit>,
}

impl Outbox {
    /// Queues what was appended to `bytes` since it had length `start`.
    pub fn send_from(&mut self, start: usize, to: Destination, token: u64) {
        let span = start as u32..self.bytes.len() as u32;
        self.transmits.push(Transmit { to, span, token });
    }

    /// Queues a copy of stored bytes.
    pub fn send(&mut self, message: &[u8], to: Destination, token: u64) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(message);
        self.send_from(start, to, token);
    }

    /// The bytes of one queued message.
    pub fn message(&self, transmit: &Transmit) -> &[u8] {
        &self.bytes[transmit.span.start as usize..transmit.span.end as usize]
    }

    /// Forgets all messages; keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.transmits.clear();
    }
}
