//! What waits to be written to one connection.

use std::collections::VecDeque;
use std::io;

use socket2::Socket;
use strowger_sip::transaction::awaits_answer;

use super::Sender;
use super::awaited::Awaited;

/// A message whose last byte has not been written yet, and whose sender wants to know if it never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    /// One behind its last byte, in the buffer.
    end: usize,
    sender: Sender,
}

/// Bytes that wait for room in the kernel's send buffer. It owns no memory while nothing waits.
#[derive(Debug, Default)]
pub(super) struct Output {
    buffer: Vec<u8>,
    written: usize,
    waiting: VecDeque<Waiting>,
    /// When the peer last took something, or the first byte began to wait; monotonic nanoseconds.
    progress_at: u64,
}

/// Written bytes are moved out of a buffer that never runs empty once there are so many.
const COMPACT_AT: usize = 32 << 10;

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.written
    }

    pub(super) fn progress_at(&self) -> u64 {
        self.progress_at
    }

    /// Appends a message, or the rest of one; `buffers` are spare buffers.
    pub(super) fn append(&mut self, bytes: &[u8], sender: Sender, now: u64, buffers: &mut Vec<Vec<u8>>) {
        if self.buffer.is_empty() {
            self.progress_at = now;
            if self.buffer.capacity() == 0 {
                self.buffer = buffers.pop().unwrap_or_default();
            }
        }
        self.buffer.extend_from_slice(bytes);
        if sender.token != 0 {
            self.waiting.push_back(Waiting {
                end: self.buffer.len(),
                sender,
            });
        }
    }

    /// Writes as much as the kernel takes. Returns how many bytes it took; requests among them are awaited from now on.
    pub(super) fn write(&mut self, socket: &Socket, awaited: &mut Awaited, now: u64) -> io::Result<usize> {
        let mut total = 0;
        let mut outcome = Ok(());
        while self.written < self.buffer.len() && outcome.is_ok() {
            match socket.send_with_flags(&self.buffer[self.written..], libc::MSG_NOSIGNAL) {
                Ok(count) => {
                    self.written += count;
                    self.progress_at = now;
                    total += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => outcome = Err(error),
            }
        }
        self.forget_written(|sender| awaited.note(sender, now));
        outcome.map(|()| total)
    }

    /// Forgets the messages whose last byte was written, and the bytes where it is worth it.
    fn forget_written(&mut self, mut written: impl FnMut(Sender)) {
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.end <= self.written) {
            written(waiting.sender);
        }
        if self.written == self.buffer.len() {
            self.buffer.clear();
            self.written = 0;
        } else if self.written >= COMPACT_AT {
            self.buffer.drain(..self.written);
            for waiting in &mut self.waiting {
                waiting.end -= self.written;
            }
            self.written = 0;
        }
    }

    /// The memory of an output that has run empty.
    pub(super) fn take_memory(&mut self) -> Option<Vec<u8>> {
        if !self.buffer.is_empty() {
            return None;
        }
        self.waiting = VecDeque::new();
        Some(std::mem::take(&mut self.buffer))
    }

    /// The requests that were not written to their end, when no answer to them can come by here any more: nobody waits for them from
    /// now on. Their bytes stay, between those of answers.
    pub(super) fn give_up_requests(&mut self) -> impl Iterator<Item = Sender> + use<> {
        let (given_up, kept): (VecDeque<_>, _) = self
            .waiting
            .drain(..)
            .partition(|waiting| awaits_answer(waiting.sender.token));
        self.waiting = kept;
        given_up.into_iter().map(|waiting| waiting.sender)
    }

    /// The messages that were not written to their end.
    pub(super) fn unwritten(&mut self) -> impl Iterator<Item = Sender> {
        self.waiting.drain(..).map(|waiting| waiting.sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(token: u64) -> Sender {
        Sender { token, origin: 0 }
    }

    #[test]
    fn a_message_is_unwritten_until_its_last_byte_is_gone() {
        let mut output = Output::default();
        output.append(&[1; 10], by(7), 0, &mut Vec::new());
        output.append(&[2; 10], by(8), 0, &mut Vec::new());
        output.written = 19;
        let mut written = Vec::new();
        output.forget_written(|sender| written.push(sender.token));
        assert_eq!(output.len(), 1);
        assert_eq!(written, [7]);
        assert_eq!(output.unwritten().map(|w| w.token).collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn requests_are_given_up_once_and_answers_are_not() {
        let mut output = Output::default();
        let request = 2 << 62 | 1;
        for token in [request, 8] {
            output.append(&[1; 10], by(token), 0, &mut Vec::new());
        }
        let given_up: Vec<_> = output.give_up_requests().map(|w| w.token).collect();
        assert_eq!(given_up, [request]);
        assert_eq!(output.len(), 20, "the bytes are written nevertheless");
        assert_eq!(output.unwritten().map(|w| w.token).collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn written_bytes_of_a_buffer_that_never_runs_empty_do_not_pile_up() {
        let mut output = Output::default();
        output.append(&[1; COMPACT_AT], by(7), 0, &mut Vec::new());
        output.append(&[2; 10], by(8), 0, &mut Vec::new());
        output.written = COMPACT_AT;
        output.forget_written(|_| {});
        assert_eq!(output.buffer, [2; 10]);
        output.written = 10;
        output.forget_written(|_| {});
        assert!(output.is_empty());
        assert_eq!(output.unwritten().count(), 0);
    }
}
