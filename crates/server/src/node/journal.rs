//! Log lines from the shards: collected in a buffer, handed over once a turn, written by another thread. A shard never
//! waits for whoever reads the log, and writing a line costs it little more than copying its texts.

use std::net::SocketAddr;
use std::thread::{self, Thread};

use rtrb::{Consumer, Producer, PushError, RingBuffer};
use strowger_sip::Now;
use strowger_sip::transport::listeners::write_socket_address;
use strowger_syntax::scan::{put_number, put_visible, two_digits};

/// Bytes of lines that a shard collects before it drops more of them.
const LIMIT: usize = 256 * 1024;
/// `2026-11-23T07:02:29`.
const SECOND: usize = 19;

/// A shard's end.
#[derive(Debug)]
pub struct Journal {
    lines: Vec<u8>,
    dropped: u64,
    wanted: bool,
    /// A second, and how it is written.
    stamp: (u64, [u8; SECOND]),
    to: Producer<Vec<u8>>,
    back: Consumer<Vec<u8>>,
    writer: Option<Thread>,
}

/// The writer's end.
#[derive(Debug)]
pub struct JournalEnd {
    from: Consumer<Vec<u8>>,
    back: Producer<Vec<u8>>,
}

/// One line that is being written; it ends when it is dropped.
pub(super) struct Line<'j>(&'j mut Vec<u8>);

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.0.push(b'\n');
    }
}

impl Line<'_> {
    /// Adds ` name=` and a text from the wire, made one word.
    pub(super) fn text(self, name: &str, text: &[u8]) -> Self {
        let line = self.name(name);
        put_visible(line.0, text);
        line
    }

    /// Adds ` name=` and a number.
    pub(super) fn number(self, name: &str, value: u64) -> Self {
        let line = self.name(name);
        put_number(line.0, value);
        line
    }

    /// Adds ` name=` and an address.
    pub(super) fn address(self, name: &str, transport: &str, address: SocketAddr) -> Self {
        let line = self.name(name);
        line.0.extend_from_slice(transport.as_bytes());
        line.0.push(b':');
        write_socket_address(address, line.0);
        line
    }

    fn name(self, name: &str) -> Self {
        self.0.push(b' ');
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        self
    }
}

impl Journal {
    /// Both ends. Nothing is collected unless `wanted`.
    pub fn new(wanted: bool) -> (Self, JournalEnd) {
        let (to, from) = RingBuffer::new(4);
        let (back_to, back) = RingBuffer::new(4);
        let journal = Self {
            lines: Vec::new(),
            dropped: 0,
            wanted,
            stamp: (0, second_text(0)),
            to,
            back,
            writer: None,
        };
        (journal, JournalEnd { from, back: back_to })
    }

    /// Whether lines are wanted from now on.
    pub(super) fn want(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// Names the thread that writes, which sleeps while there is nothing to write.
    pub fn wake(&mut self, writer: Thread) {
        self.writer = Some(writer);
    }

    /// Begins a line; `None` when there is to be none.
    pub(super) fn line(&mut self, now: Now, what: &str) -> Option<Line<'_>> {
        if !self.wanted {
            return None;
        }
        if self.lines.len() > LIMIT {
            self.dropped += 1;
            return None;
        }
        if self.dropped > 0 {
            self.begin(now, "WARN", "log lines dropped, the log is read too slowly:")
                .push(b' ');
            put_number(&mut self.lines, self.dropped);
            self.lines.push(b'\n');
            self.dropped = 0;
        }
        Some(Line(self.begin(now, "INFO", what)))
    }

    fn begin(&mut self, now: Now, level: &str, what: &str) -> &mut Vec<u8> {
        if self.stamp.0 != now.wall_secs() {
            self.stamp = (now.wall_secs(), second_text(now.wall_secs()));
        }
        let lines = &mut self.lines;
        lines.extend_from_slice(&self.stamp.1);
        let ms = now.wall_ms % 1000;
        lines.extend_from_slice(&[
            b'.',
            b'0' + (ms / 100) as u8,
            b'0' + (ms / 10 % 10) as u8,
            b'0' + (ms % 10) as u8,
        ]);
        lines.extend_from_slice(b"Z  ");
        lines.extend_from_slice(level.as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(what.as_bytes());
        lines
    }

    /// Hands the lines over, if the writer can take them.
    pub(super) fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let spare = self.back.pop().unwrap_or_default();
        match self.to.push(std::mem::replace(&mut self.lines, spare)) {
            Ok(()) => self.writer.iter().for_each(Thread::unpark),
            Err(PushError::Full(lines)) => self.lines = lines,
        }
    }
}

/// `2026-11-23T07:02:29` (UTC).
fn second_text(secs: u64) -> [u8; SECOND] {
    let (year, month, day) = strowger_sip::time::civil(secs / 86_400);
    let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    let mut text = *b"0000-00-00T00:00:00";
    let numbers = [
        (0, year / 100),
        (2, year),
        (5, month),
        (8, day),
        (11, hour),
        (14, minute),
        (17, second),
    ];
    for (at, number) in numbers {
        text[at..at + 2].copy_from_slice(&two_digits((number % 100) as u16));
    }
    text
}

/// The writer sees that the shard is gone once it is awake.
impl Drop for Journal {
    fn drop(&mut self) {
        let (gone, _) = RingBuffer::new(0);
        self.flush();
        self.to = gone;
        self.writer.iter().for_each(Thread::unpark);
    }
}

impl JournalEnd {
    /// Gives `write` all lines that are there; false when the shard is gone and everything is written.
    pub fn write_all(&mut self, mut write: impl FnMut(&[u8])) -> bool {
        let gone = self.from.is_abandoned();
        while let Ok(mut lines) = self.from.pop() {
            write(&lines);
            lines.clear();
            // The shard may be gone, or have spare buffers enough.
            let _ = self.back.push(lines);
        }
        !gone
    }

    /// Writes until the shard is gone. To be run by the thread that [`Journal::wake`] names.
    pub fn run(mut self, mut write: impl FnMut(&[u8])) {
        while self.write_all(&mut write) {
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time_and_nothing_of_the_wire_breaks_it() {
        let (mut journal, mut end) = Journal::new(true);
        let now = Now {
            mono_ns: 0,
            wall_ms: 1_289_690_940_007,
        };
        journal
            .line(now, "call ended")
            .map(|l| l.text("from", b"sip:a\r\nERROR b").number("duration", 7));
        journal.flush();
        end.write_all(|lines| {
            let text = String::from_utf8_lossy(lines);
            assert_eq!(
                text,
                "2010-11-13T23:29:00.007Z  INFO call ended from=sip:a%0D%0AERROR%20b duration=7\n"
            );
        });
    }

    #[test]
    fn a_writer_that_does_not_keep_up_costs_lines_and_not_memory() {
        let (mut journal, _end) = Journal::new(true);
        let now = Now::default();
        for _ in 0..20_000 {
            journal
                .line(now, "call ended")
                .map(|l| l.text("from", &[b'x'; 100]));
            journal.flush();
        }
        assert!(journal.lines.len() <= LIMIT + 256 && journal.dropped > 0);
    }
}
