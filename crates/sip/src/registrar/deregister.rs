//! What an administrator does to bindings, as pure functions: record in, new record out.

use super::binding::{Binding, Bindings, Entry, RecordWriter, Tombstone};
use super::burial::TOMBSTONE_SECS;

/// Why an administrator removed a binding (RFC 3680 §4.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is no longer valid, but may be made anew at once.
    Deactivated,
    /// It is not wanted again.
    Rejected,
    /// It may be made anew later.
    Probation {
        /// After so many seconds.
        retry_after: u32,
    },
}

/// How a binding has ended, as long as its tombstone says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// When, in Unix seconds.
    pub at: u32,
    /// Why, if an administrator did it.
    pub why: Option<Removal>,
}

impl Bindings<'_> {
    /// How the binding of a contact was removed, if that is how it went.
    pub fn removed(self, contact: &[u8], now_secs: u64) -> Option<Removed> {
        let gone = self.heads().filter(|head| head.is_tombstone());
        // The last one says how it went the last time.
        let last = gone
            .filter(|head| head.contact == contact && u64::from(head.ends_at) > now_secs)
            .last()?;
        Some(Removed {
            at: last.ends_at.saturating_sub(TOMBSTONE_SECS),
            why: last.removal(),
        })
    }

    /// Whether an administrator has removed a binding of late.
    pub fn has_removed(self, now_secs: u64) -> bool {
        let mut current = self.heads().filter(|head| u64::from(head.ends_at) > now_secs);
        current.any(|head| head.is_tombstone() && head.removal().is_some())
    }
}

/// Removes the bindings of the contacts that are `meant`, and tells how many: the new record is then in `out`, which is emptied
/// first. A tombstone says why, and keeps a late duplicate of the request that made the binding from bringing it back.
pub fn deregister(
    record: Bindings<'_>,
    meant: impl Fn(&[u8]) -> bool,
    why: Removal,
    now_secs: u64,
    out: &mut Vec<u8>,
) -> usize {
    let now = now_secs as u32;
    let mut writer = RecordWriter::new(out);
    let mut removed = 0;
    for head in record.heads().filter(|head| head.ends_at > now) {
        if head.is_tombstone() || !meant(head.contact) {
            writer.copy(head.ends_at, head.encoded);
            continue;
        }
        removed += 1;
        let tombstone = Tombstone {
            contact: head.contact,
            order: head.order,
            until: now.saturating_add(TOMBSTONE_SECS),
        };
        writer.put_removed(&tombstone, why);
    }
    writer.finish();
    removed
}

/// Has the bindings of the contacts that are `meant` expire at a time in Unix seconds, if they would later, and tells how many: the
/// new record is then in `out`, which is emptied first. So a phone that knows of it registers again, and shows who it is
/// (RFC 3680 §4.7.1).
pub fn shorten(
    record: Bindings<'_>,
    meant: impl Fn(&[u8]) -> bool,
    expires_at: u32,
    now_secs: u64,
    out: &mut Vec<u8>,
) -> usize {
    let now = now_secs as u32;
    let mut writer = RecordWriter::new(out);
    let mut shortened = 0;
    for head in record.heads().filter(|head| head.ends_at > now) {
        let later = head
            .binding()
            .filter(|_| !head.is_tombstone() && head.ends_at > expires_at && meant(head.contact));
        match later {
            Some(binding) => {
                shortened += 1;
                writer.put(&Entry::Binding(Binding {
                    expires_at,
                    ..binding
                }));
            }
            None => writer.copy(head.ends_at, head.encoded),
        }
    }
    writer.finish();
    shortened
}
