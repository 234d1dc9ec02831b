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
    /// Which call it belongs to: a hash of the Call-ID, 0 when that is not known. What belongs to one call comes to a peer in
    /// the order in which it was queued, as far as that is in our hands.
    pub call: u32,
}

/// Messages to send, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The bytes of all messages of this turn.
    pub bytes: Vec<u8>,
    /// The messages.
    pub transmits: Vec<Transmit>,
    /// Which call the messages belong to that are queued next.
    pub call: u32,
}

impl Outbox {
    /// What is queued from now on belongs to the call of this Call-ID; to one that is not known if there is none.
    pub fn of_call(&mut self, call_id: Option<&[u8]>) {
        self.call = call_id.map_or(0, mark);
    }

    /// Queues what was appended to `bytes` since it had length `start`.
    pub fn send_from(&mut self, start: usize, to: Destination, token: u64) {
        let span = start as u32..self.bytes.len() as u32;
        let call = self.call;
        self.transmits.push(Transmit {
            to,
            span,
            token,
            call,
        });
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

/// A number for a Call-ID, never 0. Its beginning, its middle and its end tell it from most others; calls that have the same
/// number keep an order that nobody asked for, nothing worse.
fn mark(call_id: &[u8]) -> u32 {
    let mix = |hash: u64, word: &[u8; 8]| {
        let product = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        product ^ product >> 32
    };
    let middle = call_id.split_at(call_id.len() / 2).1;
    let places = [call_id.first_chunk(), middle.first_chunk(), call_id.last_chunk()];
    places.into_iter().flatten().fold(call_id.len() as u64, mix) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_call_has_one_number() {
        let call_ids: [&[u8]; 6] = [
            b"",
            b"a84b4c76e66710@pc33.atlanta.example",
            b"b84b4c76e66710@pc33.atlanta.example",
            b"a84b4c76e66710@pc34.atlanta.example",
            b"a84b4c76e66710@pc33.atlanta.exampla",
            b"a84b4c76",
        ];
        let mut numbers = call_ids.map(mark).to_vec();
        assert_eq!(numbers, call_ids.map(mark));
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.len() == call_ids.len() && !numbers.contains(&0));
    }
}
