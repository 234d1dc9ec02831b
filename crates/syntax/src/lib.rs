//! SIP as bytes and values: messages, header fields, URIs and session descriptions. No state, no time, no I/O.
//!
//! A message is a view over one buffer. [`Index::parse`] walks the head once and notes where each header field is;
//! values are decoded when they are asked for. A change is a [`Draft`]: it is written out by copying ranges of the
//! original and inserts, so what nobody touched leaves byte for byte as it came.

mod edits;
pub mod header;
mod lanes;
pub mod limits;
pub mod message;
pub mod method;
pub mod scan;
pub mod sdp;
pub mod status;
pub mod transport;
pub mod uri;

pub use header::{Header, HeaderError, Name};
pub use limits::{Limits, SdpLimits};
pub use message::{BadMessage, Draft, Edits, Fault, Index, Message, ResponseWriter};
pub use method::Method;
pub use status::Status;
pub use transport::Transport;
pub use uri::Uri;
