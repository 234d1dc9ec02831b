//! A message, as it is told: the one that came, and those that would be sent.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use strowger_sip::registrar::write_shown_text;
use strowger_sip::transport::Listeners;
use strowger_sip::{Destination, Flow};
use strowger_syntax::{Index, Message, Name};

use super::Sent;
use crate::node::trace::{destination, listener, text};

/// The message that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSeen {
    /// Whether it is a request.
    pub request: bool,
    /// Its first line.
    pub start_line: String,
    /// Its bytes.
    pub length: usize,
    /// The bytes of its body.
    pub body: usize,
    /// From, as it is written.
    pub from: Option<String>,
    /// To, as it is written.
    pub to: Option<String>,
    /// Call-ID.
    pub call_id: Option<String>,
    /// CSeq.
    pub cseq: Option<String>,
}

impl MessageSeen {
    pub(super) fn of(bytes: &[u8], index: &Index) -> Self {
        let message = Message::view(bytes, index);
        let field = |name| message.first(name).map(text);
        Self {
            request: message.is_request(),
            start_line: first_line(bytes),
            length: bytes.len(),
            body: message.body().len(),
            from: field(Name::From),
            to: field(Name::To),
            call_id: field(Name::CallId),
            cseq: field(Name::CSeq),
        }
    }
}

impl Sent {
    /// `came_by` is the connection that the explained message came by.
    pub(super) fn of(
        bytes: &[u8],
        to: &Destination,
        listeners: &Listeners,
        came_by: Option<(Flow, &str, &str)>,
    ) -> Self {
        let (transport, to, listener) = match (to, came_by) {
            (Destination::Datagram { listener: number, .. }, _) => {
                ("udp", destination(to), Some(listener(listeners, *number)))
            }
            (Destination::Connect { transport, .. }, _) => (transport.uri_param(), destination(to), None),
            (Destination::Flow(flow), Some((came, transport, source))) if *flow == came => {
                (transport, format!("{source}, over its connection"), None)
            }
            (Destination::Flow(_), _) => ("tcp", destination(to), None),
        };
        let mut shown = Vec::with_capacity(bytes.len());
        write_shown_text(bytes, &mut shown);
        Self {
            transport: transport.to_owned(),
            to,
            listener,
            start_line: first_line(&shown),
            length: bytes.len(),
            text: text(&shown),
            hex: std::str::from_utf8(&shown).is_err().then(|| hex(&shown)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn first_line(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == b'\r' || byte == b'\n');
    let line = &bytes[..end.unwrap_or(bytes.len())];
    text(&line[..line.len().min(256)])
}
