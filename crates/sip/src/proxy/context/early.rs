//! Early dialogs of branches that ended while others go on (RFC 6228 §6).

use strowger_syntax::message::ResponseWriter;
use strowger_syntax::scan::put_number;
use strowger_syntax::{Message, Method, Name, Status};

use super::{Pending, Proxy, whole};
use crate::memory::Pool;
use crate::transaction::{KEPT, User};
use crate::{Endpoint, Outbox};

/// How many bytes are kept of the early dialogs of a request.
const MOST: usize = 2048;

/// Whether a caller wants to be told of early dialogs that have ended, and may be told by a proxy.
pub(super) fn wants_199(request: Message<'_>) -> bool {
    let has = |name, tag: &[u8]| {
        let mut elements = request.elements(name);
        request.has(name) && elements.any(|element| element.eq_ignore_ascii_case(tag))
    };
    // Nearly every phone has a Supported, and nearly none has a 9 in it.
    let mut supported = request.fields_of(Name::Supported);
    request.method() == Method::Invite
        && supported.any(|field| memchr::memchr(b'9', field.value).is_some())
        && request.to_tag().is_none()
        && has(Name::Supported, b"199")
        && !has(Name::Require, b"100rel")
        && !has(Name::ProxyRequire, b"100rel")
}

/// An early dialog in the text that is kept of them: its branch, and its To tag behind the length of that.
fn entries(text: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let ([low, high, len], behind) = rest.split_first_chunk()?;
        let (tag, behind) = behind.split_at_checked(usize::from(*len))?;
        rest = behind;
        Some((u16::from_le_bytes([*low, *high]), tag))
    })
}

fn write_entry(branch: u16, tag: &[u8], out: &mut Vec<u8>) {
    if let Ok(len) = u8::try_from(tag.len())
        && out.len() + tag.len() < MOST
    {
        let [low, high] = branch.to_le_bytes();
        out.extend_from_slice(&[low, high, len]);
        out.extend_from_slice(tag);
    }
}

impl Pending {
    /// A branch has answered: one more early dialog, or one less. `text` is a work buffer.
    pub(super) fn note_early(
        &mut self,
        pool: &mut Pool,
        branch: u16,
        response: Message<'_>,
        text: &mut Vec<u8>,
    ) {
        let (Some(status), Some(tag)) = (response.status(), response.to_tag()) else {
            return;
        };
        let ends = status == Status::EARLY_DIALOG_TERMINATED;
        let known = entries(pool.bytes(&self.early)).any(|entry| entry == (branch, tag));
        if !self.wants_199 || known != ends {
            return;
        }
        text.clear();
        for entry in entries(pool.bytes(&self.early)).filter(|&entry| entry != (branch, tag)) {
            write_entry(entry.0, entry.1, text);
        }
        if !ends {
            write_entry(branch, tag, text);
        }
        let early = pool.store(text);
        pool.give(std::mem::replace(&mut self.early, early));
    }
}

impl Proxy {
    /// Tells the caller of the early dialogs of a branch that was refused while others go on.
    pub(super) fn end_early(
        &mut self,
        endpoint: &mut Endpoint,
        user: User,
        cause: Status,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, user.context) else {
            return;
        };
        if !pending.wants_199 || !context.phase.is_unanswered() {
            return;
        }
        let (server, stamp, layer) = (context.server, pending.arrival.stamp, &mut endpoint.layer);
        self.text.clear();
        let mut ended = Vec::new();
        for (branch, tag) in entries(layer.pool.bytes(&pending.early)) {
            let text = if branch == user.branch {
                &mut ended
            } else {
                &mut self.text
            };
            write_entry(branch, tag, text);
        }
        if ended.is_empty() {
            return;
        }
        let early = layer.pool.store(&self.text);
        layer.pool.give(std::mem::replace(&mut pending.early, early));
        for (_, tag) in entries(&ended) {
            let kept = layer.pool.bytes(&pending.request);
            let start = out.bytes.len();
            let Ok(request) = self.scratch.parse(kept, &KEPT) else {
                return;
            };
            let status = Status::EARLY_DIALOG_TERMINATED;
            let (bytes, index, reason) = (request.bytes(), request.index(), status.reason());
            ResponseWriter::begin(&mut out.bytes, bytes, index, status, reason, stamp, tag)
                .field_with(Name::Reason, |out| {
                    out.extend_from_slice(b"SIP;cause=");
                    put_number(out, u64::from(cause.code()));
                })
                .finish();
            // A transaction without a final response takes it.
            let _ = layer.respond(server, status, start, now_ms, out);
        }
    }
}
