//! Tombstones: what is left of removed bindings, and when they make room.

use strowger_syntax::Status;

use super::binding::{Bindings, Entry, Head, Order, RecordWriter, Tombstone};
use crate::reject::Reject;

/// How long a removed binding is remembered, in seconds: as long as a duplicate can be under way (64 * T1).
pub const TOMBSTONE_SECS: u32 = 32;

/// The longest record, in bytes.
pub const LARGEST_RECORD: usize = 32 * 1024;

/// Leaves tombstones for removed bindings.
pub(super) struct Burial<'a> {
    order: Order<'a>,
    until: u32,
    /// The contact of the last one.
    last: Option<&'a [u8]>,
    /// Whether a tombstone shows that the removing request has been processed.
    marked: bool,
}

impl<'a> Burial<'a> {
    /// The one by a request of this order, at a time in Unix seconds.
    pub(super) fn by(order: Order<'a>, now: u32) -> Self {
        Self {
            order,
            until: now.saturating_add(TOMBSTONE_SECS),
            last: None,
            marked: false,
        }
    }

    /// The tombstone stops duplicates of the request that made the binding. If the removing one is of the same user agent,
    /// stopping all up to that covers it.
    pub(super) fn bury(&mut self, writer: &mut RecordWriter<'_>, binding: &Head<'a>) {
        let same_agent = binding.order.call_id == self.order.call_id;
        let order = if same_agent { self.order } else { binding.order };
        self.last = Some(binding.contact);
        self.marked |= same_agent;
        writer.put(&Entry::Tombstone(Tombstone {
            contact: binding.contact,
            order,
            until: self.until,
        }));
    }

    /// Makes sure that a retransmission of the removing request is recognised.
    pub(super) fn mark(&self, writer: &mut RecordWriter<'_>) {
        if let (Some(contact), false) = (self.last, self.marked) {
            writer.put(&Entry::Tombstone(Tombstone {
                contact,
                order: self.order,
                until: self.until,
            }));
        }
    }
}

/// Takes the oldest tombstones out of a record that is too long, so that what only removes is always carried out.
///
/// # Errors
/// 513 if the bindings alone are too long.
#[cold]
pub(super) fn fit(record: &mut Vec<u8>) -> Result<(), Reject> {
    let whole = std::mem::take(record);
    let mut excess = whole.len() - LARGEST_RECORD;
    let mut writer = RecordWriter::new(record);
    for head in Bindings::new(&whole).heads() {
        if excess > 0 && head.is_tombstone() {
            excess = excess.saturating_sub(head.encoded.len());
        } else {
            writer.copy(head.ends_at, head.encoded);
        }
    }
    writer.finish();
    match excess {
        0 => Ok(()),
        _ => Err(Reject::because(
            Status::MESSAGE_TOO_LARGE,
            "Contacts Too Large Together",
        )),
    }
}
