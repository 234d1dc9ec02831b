//! Framing on stream transports (RFC 3261 §18.3, §7.5) with the keep-alives of RFC 5626 §3.5.1.

use wide::i8x32;

use super::parse::split_field;
use crate::scan::{find_line_end, number};
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

/// A head being read.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Where it starts.
    start: usize,
    /// Where the line that is being read starts.
    line: usize,
    /// Up to here nothing is left to be looked at.
    at: usize,
    length: Length,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between messages.
    Between,
    /// In a head.
    Head(Head),
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
                State::Head(mut head) => {
                    let read = head.read(unconsumed);
                    let least = match read {
                        Ok(Some(end)) => end,
                        Ok(None) => unconsumed.len() + 1,
                        // That a line end is broken is known by the byte behind it at the latest.
                        Err(_) => head.at + 2,
                    };
                    if least - head.start > self.head {
                        return Err(FrameError::TooLarge);
                    }
                    let Some(end) = read? else {
                        self.state = State::Head(head);
                        return Ok(Frame::Incomplete);
                    };
                    self.state = self.behind(&head, end)?;
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
                self.state = State::Head(Head::new(2 * lines));
                None
            }
        }
    }

    /// What follows a head that ends at `head_end`.
    fn behind(&self, head: &Head, head_end: usize) -> Result<State, FrameError> {
        let Length::Said(length) = head.length else {
            return Err(FrameError::Unframeable { head_len: head_end });
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|&n| n <= self.body)
            .ok_or(FrameError::TooLarge)?;
        Ok(State::Body {
            start: head.start,
            end: head_end + length,
        })
    }
}

impl Head {
    const fn new(start: usize) -> Self {
        Self {
            start,
            line: start,
            at: start,
            length: Length::Unsaid,
        }
    }

    /// Reads on, line by line; where the head ends, if it does.
    fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        loop {
            self.pass_lines(bytes);
            let Some(end) = find_line_end(bytes, self.at) else {
                self.at = bytes.len();
                return Ok(None);
            };
            self.at = end;
            match &bytes[end..] {
                [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Ok(None),
                [b'\r', b'\n', b' ' | b'\t', ..] => self.at += 2,
                [b'\r', b'\n', rest @ ..] => {
                    // The start line is no field.
                    if self.line != self.start {
                        self.length = self.length.and(&bytes[self.line..], end - self.line);
                    }
                    (self.line, self.at) = (end + 2, end + 2);
                    if rest.starts_with(b"\r\n") {
                        return Ok(Some(end + 4));
                    }
                }
                _ => return Err(FrameError::Unframeable { head_len: end }),
            }
        }
    }

    /// Passes over lines, a block of bytes at a time, up to one that matters: it may be Content-Length, it is folded, it ends
    /// wrongly, or an empty one may follow it. What is left begins with the CR of its end at the latest.
    // A function of its own, so that what the loop needs stays in registers.
    #[inline(never)]
    fn pass_lines(&mut self, bytes: &[u8]) {
        let (start, mut line, mut at) = (self.start, self.line, self.at);
        let mut carry = 0;
        'blocks: for block in bytes[at..].as_chunks().0 {
            let LineEnds { returns, feeds } = LineEnds::of(block);
            // A LF is where a CR was before it, and nowhere else.
            let expected = u64::from(returns) << 1 | carry;
            if expected as u32 != feeds {
                break;
            }
            let mut rest = feeds;
            while rest != 0 {
                let next = at + rest.trailing_zeros() as usize + 1;
                let is_length = line != start && Length::may_be(&bytes[line..]);
                if is_length || matches!(bytes.get(next), None | Some(b'\r' | b' ' | b'\t')) {
                    (at, carry) = (next - 2, 0);
                    break 'blocks;
                }
                line = next;
                rest &= rest - 1;
            }
            at += block.len();
            carry = expected >> 32;
        }
        (self.line, self.at) = (line, at - carry as usize);
    }
}

/// Which bytes of a block are CR or LF, the first one in the lowest bit.
struct LineEnds {
    returns: u32,
    feeds: u32,
}

impl LineEnds {
    #[inline(always)]
    fn of(block: &[u8; 32]) -> Self {
        let lanes = i8x32::new(block.map(|byte| byte as i8));
        let marks = |byte: u8| lanes.simd_eq(i8x32::splat(byte as i8)).to_bitmask();
        Self {
            returns: marks(b'\r'),
            feeds: marks(b'\n'),
        }
    }
}

impl Length {
    /// Whether the line that a text begins with may be a Content-Length: a few letters tell it from nearly all others.
    #[inline]
    fn may_be(text: &[u8]) -> bool {
        matches!(
            text,
            [b'C' | b'c', _, _, _, _, _, _, b'-', b'L' | b'l', ..]
                | [b'L' | b'l', b':' | b' ' | b'\t' | b'\r', ..]
        )
    }

    /// What is known after one more line of the head, the first `len` bytes of a text, folded lines included.
    fn and(self, text: &[u8], len: usize) -> Self {
        if !Self::may_be(text) {
            return self;
        }
        match split_field(&text[..len]) {
            Some((Name::ContentLength, _, value)) => match (self, number(&text[value.0..value.1])) {
                (Self::Unsaid, Some(length)) => Self::Said(length),
                _ => Self::Broken,
            },
            _ => self,
        }
    }
}
