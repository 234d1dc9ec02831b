//! What the nodes sent.

use strowger_sip::Destination;

use crate::peer;

/// One message that a node sent.
pub(crate) struct Sent {
    pub(crate) shard: usize,
    /// Milliseconds since the site began.
    pub(crate) at_ms: u64,
    pub(crate) to: Destination,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) token: u64,
}

impl Sent {
    pub(crate) fn is_to(&self, who: char) -> bool {
        peer::is_reached(who, self.to)
    }

    /// `who what`: the peer's letter with the method or the status code.
    pub(crate) fn describe(&self) -> String {
        let who = peer::LETTERS.chars().find(|&who| self.is_to(who));
        let mut words = self.text.split(' ');
        let first = words.next().unwrap_or_default();
        let word = if first == "SIP/2.0" {
            words.next().unwrap_or_default()
        } else {
            first
        };
        match who {
            Some(who) => format!("{who} {word}"),
            None => format!("{:?} {word}", self.to),
        }
    }
}
