//! Log lines from the shards: collected in a buffer, handed over once a turn, written by another thread. A shard never
//! waits for whoever reads the log.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Bytes of lines that a shard collects before it drops more of them.
const LIMIT: usize = 256 * 1024;

/// A shard's end.
#[derive(Debug)]
pub struct Journal {
    lines: Vec<u8>,
    dropped: u64,
    wanted: bool,
    to: SyncSender<Vec<u8>>,
    back: Receiver<Vec<u8>>,
}

/// The writer's end.
#[derive(Debug)]
pub struct JournalEnd {
    from: Receiver<Vec<u8>>,
    back: SyncSender<Vec<u8>>,
}

/// Text from the wire, made fit for one line of a log.
pub(super) struct Plain<'a>(pub(super) &'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in String::from_utf8_lossy(self.0).chars() {
            f.write_char(if c.is_control() { '?' } else { c })?;
        }
        Ok(())
    }
}

impl Journal {
    /// Both ends. Nothing is collected unless `wanted`.
    pub fn new(wanted: bool) -> (Self, JournalEnd) {
        let (to, from) = sync_channel(4);
        let (back_to, back) = sync_channel(4);
        (Self { lines: Vec::new(), dropped: 0, wanted, to, back }, JournalEnd { from, back: back_to })
    }

    /// Adds a line.
    pub(super) fn line(&mut self, text: fmt::Arguments<'_>) {
        use std::io::Write as _;
        if !self.wanted {
            return;
        }
        if self.lines.len() > LIMIT {
            self.dropped += 1;
            return;
        }
        if self.dropped > 0 {
            let _ = writeln!(self.lines, "{} log lines dropped: the log is read too slowly", self.dropped);
            self.dropped = 0;
        }
        let _ = writeln!(self.lines, "{text}");
    }

    /// Hands the lines over, if the writer can take them.
    pub(super) fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let spare = self.back.try_recv().unwrap_or_default();
        match self.to.try_send(std::mem::replace(&mut self.lines, spare)) {
            Ok(()) => self.lines.clear(),
            Err(TrySendError::Full(lines) | TrySendError::Disconnected(lines)) => self.lines = lines,
        }
    }
}

impl JournalEnd {
    /// Waits for lines and gives each to `write`; false when the shard is gone.
    pub fn write_next(&self, mut write: impl FnMut(&str)) -> bool {
        let Ok(mut lines) = self.from.recv() else { return false };
        String::from_utf8_lossy(&lines).lines().for_each(&mut write);
        lines.clear();
        // The shard may be gone, or have spare buffers enough.
        let _ = self.back.try_send(lines);
        true
    }
}
