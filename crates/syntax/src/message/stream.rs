//! Framing on stream transports (RFC 3261 §18.3, §7.5) with the keep-alives of RFC 5626 §3.5.1.

use memchr::memchr2;

use super::parse::split_field;
use crate::scan::number;
use crate::{Limits, Name};

/// What comes next in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// More bytes are needed.
    Incomplete,
    /// Empty lines between messages.
    KeepAlive {
        /// The bytes to take out of the stream.
        len: usize,
        /// Pings (double CRLF) completed by them; each wants one CRLF in answer.
        pings: usize,
    },
    /// A whole message.
    Message {
        /// Bytes in front of it that belong to nothing.
        skip: usize,
        /// Its bytes, from `skip` on; `skip + len` leave the stream.
        len: usize,
    },
}

/// Why a stream has no next message: the peer's fault, and the end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Nobody can tell where the message ends: Content-Length is missing, repeated or no number, or a CR or LF stands
    /// alone in the head.
    Unframeable {
        /// The bytes of the head as far as it goes, from the start of what was given: enough to answer it.
        head_len: usize,
    },
    /// Head or body are larger than the limits allow.
    TooLarge,
}

/// What the head said so far about the body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Unsaid,
    Said(u64),
    /// Said twice, or not as a number.
    Broken,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between messages.
    Between,
    /// In a head that starts at `start`; `line` is the start of the line being read, and up to `at` nothing is left to
    /// be looked at.
    Head {
        start: usize,
        line: usize,
        at: usize,
        length: Length,
    },
    /// Behind a head; the message ends at `end`.
    Body { start: usize, end: usize },
}

/// Finds messages in a stream. It never looks twice at what it has scanned, however the bytes trickle in.
#[derive(Clone, Copy, Debug)]
pub struct Framer {
    head: usize,
    body: usize,
    state: State,
    /// The last thing taken out was the first half of a ping.
    half_ping: bool,
}

impl Framer {
    /// For a stream that starts.
    pub fn new(limits: Limits) -> Self {
        let head = limits.head.min(usize::from(u16::MAX));
        Self {
            head,
            body: limits.body,
            state: State::Between,
            half_ping: false,
        }
    }

    /// Looks at the bytes of a stream that were not taken out yet. After [`Frame::Incomplete`] it is to be called with
    /// the same bytes and more, after any other frame with what follows it.
    pub fn next(&mut self, unconsumed: &[u8]) -> Result<Frame, FrameError> {
        loop {
            match self.state {
                State::Between => match self.empty_lines(unconsumed) {
                    Some(frame) => return Ok(frame),
                    None => continue,
                },
                State::Head { .. } => {
                    if !self.read_head(unconsumed)? {
                        return Ok(Frame::Incomplete);
                    }
                }
                State::Body { start, end } => {
                    if unconsumed.len() < end {
                        return Ok(Frame::Incomplete);
                    }
                    self.state = State::Between;
                    self.half_ping = false;
                    return Ok(Frame::Message {
                        skip: start,
                        len: end - start,
                    });
                }
            }
        }
    }

    /// Empty lines (§7.5); `None` when a head begins.
    fn empty_lines(&mut self, bytes: &[u8]) -> Option<Frame> {
        let lines = bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count();
        let halves = lines + usize::from(self.half_ping);
        match bytes.get(2 * lines..) {
            None | Some([] | [b'\r']) if lines == 0 => Some(Frame::Incomplete),
            None | Some([] | [b'\r']) => {
                self.half_ping = halves % 2 == 1;
                Some(Frame::KeepAlive {
                    len: 2 * lines,
                    pings: halves / 2,
                })
            }
            Some(_) if halves > 1 => {
                // The line that is left over begins no ping: a message follows it.
                self.half_ping = false;
                Some(Frame::KeepAlive {
                    len: 2 * lines,
                    pings: halves / 2,
                })
            }
            Some(_) => {
                let start = 2 * lines;
                self.state = State::Head {
                    start,
                    line: start,
                    at: start,
                    length: Length::Unsaid,
                };
                None
            }
        }
    }

    /// Reads on in the head, line by line; whether it reached its end.
    fn read_head(&mut self, bytes: &[u8]) -> Result<bool, FrameError> {
        let State::Head {
            start,
            mut line,
            mut at,
            mut length,
        } = self.state
        else {
            return Ok(true);
        };
        let head_len = loop {
            let Some(i) = bytes.get(at..).and_then(|rest| memchr2(b'\r', b'\n', rest)) else {
                at = bytes.len();
                break None;
            };
            at += i;
            match bytes.get(at + 1..) {
                Some([b'\n', rest @ ..]) if bytes[at] == b'\r' => match rest {
                    [] | [b'\r'] => break None,
                    [b' ' | b'\t', ..] => at += 2,
                    _ => {
                        if line != start {
                            length = length.and(&bytes[line..at]);
                        }
                        (line, at) = (at + 2, at + 2);
                        if rest.starts_with(b"\r\n") {
                            break Some(at + 2 - start);
                        }
                    }
                },
                Some([]) if bytes[at] == b'\r' => break None,
                _ => return Err(FrameError::Unframeable { head_len: at }),
            }
        };
        if head_len.unwrap_or(at - start) > self.head
            || head_len.is_none() && bytes.len() - start >= self.head
        {
            return Err(FrameError::TooLarge);
        }
        let Some(head_len) = head_len else {
            self.state = State::Head {
                start,
                line,
                at,
                length,
            };
            return Ok(false);
        };
        let Length::Said(length) = length else {
            return Err(FrameError::Unframeable {
                head_len: start + head_len,
            });
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|&n| n <= self.body)
            .ok_or(FrameError::TooLarge)?;
        self.state = State::Body {
            start,
            end: start + head_len + length,
        };
        Ok(true)
    }
}

impl Length {
    /// What is known after one more line of the head, folded lines included.
    fn and(self, line: &[u8]) -> Self {
        if !matches!(line.first(), Some(b'C' | b'c' | b'L' | b'l')) {
            return self;
        }
        match split_field(line) {
            Some((name_len, value)) if Name::from_bytes(&line[..name_len]) == Name::ContentLength => {
                match (self, number(&line[value.0..value.1])) {
                    (Self::Unsaid, Some(length)) => Self::Said(length),
                    _ => Self::Broken,
                }
            }
            _ => self,
        }
    }
}
