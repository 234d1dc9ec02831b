//! Taking a binding out of a record when no REGISTER has asked for it.

use super::binding::{Bindings, Entry, RecordWriter};

/// Writes a record without the bindings that `which` picks, and without what has ended at
/// `now_secs`. False when nothing was to be taken out. Nothing is left of a binding that is taken out: a REGISTER that comes late
/// shows that its phone is there after all.
pub fn without_binding(
    record: Bindings<'_>,
    which: impl Fn(&super::Binding<'_>) -> bool,
    now_secs: u64,
    out: &mut Vec<u8>,
) -> bool {
    let mut writer = RecordWriter::new(out);
    let mut found = false;
    for (entry, encoded) in record.entries() {
        if u64::from(entry.ends_at()) <= now_secs {
            continue;
        }
        match entry {
            Entry::Binding(binding) if which(&binding) => found = true,
            _ => writer.copy(entry.ends_at(), encoded),
        }
    }
    writer.finish();
    found
}
