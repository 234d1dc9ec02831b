//! What would become of a message, and why. The code that serves does it: a [`Node`] over stores that it reads and can't
//! change ([`Detached`]), which notes its steps, and whose messages nobody sends.

mod asked;
mod candidate;
mod change;
mod credentials;
mod detached;
mod message;
mod remarks;
mod stage;
mod verdict;
mod words;

use serde::{Deserialize, Serialize};

pub use asked::{Asked, Circumstances, Unclear, check_time};
pub use candidate::{Candidate, CandidateError};
pub use change::RecordChange;
pub use detached::Detached;
pub use message::MessageSeen;
pub use remarks::{Remark, Weight};
pub use stage::{Names, Stage, owner};
pub use verdict::{Outcome, Verdict};
pub use words::{Line, Mark};

pub use crate::dns::ZoneError;
pub use crate::node::trace::*;

/// What a message was explained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// A running node, with the state that it had.
    Live,
    /// A configuration that no node runs with, and what a data directory holds.
    Candidate,
}

/// What would become of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// In one line.
    pub verdict: Verdict,
    /// What it was explained on.
    pub ground: Ground,
    /// When, in seconds since the Unix epoch.
    pub at: u64,
    /// How it came.
    pub arrival: Arrival,
    /// The message as it was read.
    pub message: MessageSeen,
    /// What is malformed or odd about it.
    pub remarks: Vec<Remark>,
    /// What was found and decided, in this order.
    pub steps: Vec<Step>,
    /// The messages that would be sent.
    pub sent: Vec<Sent>,
    /// The bindings that would be changed.
    pub changed: Vec<RecordChange>,
    /// What would follow if nobody answered.
    pub later: Vec<Later>,
    /// The lines that the log would have, without their times.
    pub log: Vec<String>,
}

/// How a message came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// From where, as `udp:192.0.2.7:5060`.
    pub source: String,
    /// The listener that it came to.
    pub listener: String,
    /// Whose shard it is.
    pub shard: u16,
    /// How many there are.
    pub shards: u16,
    /// What nobody said, and how it was chosen.
    pub assumed: Vec<String>,
}

/// A message that would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// `udp` and so on.
    pub transport: String,
    /// An address with its port, or the connection that the message came by.
    pub to: String,
    /// The listener that it leaves by; `None` for a connection.
    pub listener: Option<String>,
    /// Its first line.
    pub start_line: String,
    /// Its bytes.
    pub length: usize,
    /// The message; what is no UTF-8 is shown as such.
    pub text: String,
    /// Its bytes in hexadecimal, if they are no UTF-8.
    pub hex: Option<String>,
}

/// Something that would happen later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Later {
    /// When, in milliseconds after the message came.
    pub after_ms: u64,
    /// What would be sent.
    pub sent: Sent,
    /// Whether the same had been sent there before.
    pub again: bool,
}
