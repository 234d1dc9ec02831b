//! What nearly all peers write: lines of a name, a colon, at most one space, the value and a line end, and values of the
//! fields that every message must have without anything unusual in them.
//!
//! What is written in any other way is left to the readers of the whole grammar.

use super::index::{Field, Index, Party, Rport, StartLine, ViaIndex};
use crate::edits::Span;
use crate::lanes::odd_bits;
use crate::scan::{
    far_host_end, far_token_end, find_near, is_word, number_at, odd_at, param_end, port, quoted_near,
    token_end, uri_end,
};
use crate::{Limits, Method, Name, Status, Transport};

/// The `N` bytes at `at`.
#[inline(always)]
fn at<const N: usize>(text: &[u8], at: usize) -> Option<&[u8; N]> {
    text.get(at..)?.first_chunk()
}

impl Index {
    /// The Request-Line of a known method or the Status-Line that `head` begins with; where the next line starts.
    pub(super) fn read_plain_start(&mut self, head: &[u8], limits: &Limits) -> Option<usize> {
        if let Some(b"SIP/2.0 ") = at(head, 0) {
            return self.read_plain_status(head);
        }
        let method_end = find_near(at::<16>(head, 0)?, b' ')?;
        let method = Method::from_token(head.get(..method_end)?);
        let start = method_end + 1;
        let end = uri_end(head, start);
        let fits = method != Method::Other && end > start && end - start <= limits.request_uri;
        if !fits || at(head, end) != Some(b" SIP/2.0\r\n") {
            return None;
        }
        self.start_line = Some(StartLine::Request {
            method,
            method_text: Span::new(0, method_end),
            uri: Span::new(start, end),
        });
        Some(end + b" SIP/2.0\r\n".len())
    }

    fn read_plain_status(&mut self, head: &[u8]) -> Option<usize> {
        let start = b"SIP/2.0 200 ".len();
        let [code @ .., b' '] = at::<4>(head, start - 4)? else {
            return None;
        };
        let code = code.iter().try_fold(0, |code, digit| {
            digit
                .is_ascii_digit()
                .then(|| code * 10 + u16::from(digit - b'0'))
        })?;
        let end = odd_at(head, start);
        if !(100..700).contains(&code) || at(head, end) != Some(b"\r\n") {
            return None;
        }
        self.start_line = Some(StartLine::Response {
            status: Status::new(code),
            reason: Span::new(start, end),
        });
        Some(end + 2)
    }

    /// Reads the field lines from `start` on as long as they are plain and there is room for them; where it stopped.
    // A function of its own, so that what the loop needs stays in registers.
    #[inline(never)]
    pub(super) fn read_plain_lines(&mut self, head: &[u8], start: usize, most: usize) -> usize {
        let most = most.min(self.fields.places.len());
        let mut count = self.fields.len;
        // Positions of less than a word: their sums need no checks.
        let mut start = start as u32;
        let mut odd = OddBytes::before(start);
        while count < most
            && let Some(end) = odd.line_end(head, start)
            && let Some(field) = plain_field(head, start, end)
            && let Some(place) = self.fields.places.get_mut(count)
        {
            *place = field;
            if field.name != Name::Other {
                self.note_name(field.name, count);
            }
            count += 1;
            start = end + 2;
        }
        self.fields.len = count;
        start as usize
    }

    /// Reads a CSeq value whose method is known and, in a request, the right one; whether it is that.
    #[inline]
    pub(super) fn read_plain_cseq(&mut self, head: &[u8], value: Span) -> bool {
        let (start, end) = (usize::from(value.start), usize::from(value.end));
        let Some((number, space)) = number_at(head, start, (1 << 31) - 1) else {
            return false;
        };
        let text = space + 1;
        if space == start || head.get(space) != Some(&b' ') || end < text {
            return false;
        }
        let method = match self.start_line {
            Some(StartLine::Request {
                method, method_text, ..
            }) if is_same(head, text, end, method_text) => method,
            Some(StartLine::Response { .. }) => Method::from_token(&head[text..end]),
            _ => return false,
        };
        if method == Method::Other {
            return false;
        }
        (self.cseq, self.cseq_method) = (number, method);
        true
    }
}

/// Whether the bytes from `start` to `end` are those of a method's text, which begins the head.
#[inline(always)]
fn is_same(head: &[u8], start: usize, end: usize, method: Span) -> bool {
    let len = usize::from(method.end);
    let (Some(first), Some(second)) = (at::<8>(head, 0), at::<8>(head, start)) else {
        return false;
    };
    if len > 8 || end - start != len {
        return head[start..end] == head[..len];
    }
    let different = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*second);
    len > 0 && different << (64 - 8 * len) == 0
}

/// The field line that has no control characters from `start` to its line end at `end`.
#[inline(always)]
fn plain_field(head: &[u8], start: u32, end: u32) -> Option<Field> {
    let (name, name_len, value) = match at_near(head, start).and_then(Name::at_start) {
        Some((name, len)) => (name, len, start + u32::from(len) + 2),
        None => other_name(head, start, end)?,
    };
    let is_space = |at: u32| head.get(at as usize) == Some(&b' ');
    if is_space(value) || is_space(end.wrapping_sub(1)) {
        return None;
    }
    Some(Field {
        name,
        name_len,
        start: start as u16,
        value: Span {
            start: value as u16,
            end: end as u16,
        },
        end: (end + 2) as u16,
    })
}

/// The name at `start` that is not known, or not written as in the table, or long, its length, and where the value may begin.
#[inline(never)]
fn other_name(head: &[u8], start: u32, end: u32) -> Option<(Name, u8, u32)> {
    if start == end {
        return None;
    }
    let text = head.get(start as usize..)?;
    let len = far_token_end(text, 0);
    let space = match text.get(len..)? {
        [b':', b' ', ..] => 1,
        [b':', ..] => 0,
        _ => return None,
    };
    let name = Name::from_bytes(&text[..len]);
    let short = u8::try_from(len).ok().filter(|&len| len > 0)?;
    Some((name, short, start + 1 + len as u32 + space))
}

/// [`at`] a position of less than a word.
#[inline(always)]
fn at_near<const N: usize>(text: &[u8], at: u32) -> Option<&[u8; N]> {
    let at = at as usize;
    text.get(at..at + N)?.try_into().ok()
}

/// The control characters and bytes that are not ASCII of 64 bytes of a head, as far as nobody has asked for them.
struct OddBytes {
    /// Where the 64 bytes are.
    from: u32,
    bits: u64,
}

impl OddBytes {
    /// Nothing, and then what is at `start`.
    fn before(start: u32) -> Self {
        Self {
            from: start.wrapping_sub(64),
            bits: 0,
        }
    }

    /// The end of the line at `start`, if there are no control characters in it and it is not folded. Must be asked for line
    /// after line.
    #[inline(always)]
    fn line_end(&mut self, head: &[u8], start: u32) -> Option<u32> {
        loop {
            while self.bits == 0 {
                self.from = start.max(self.from.wrapping_add(64));
                self.bits = match at_near(head, self.from) {
                    Some(bytes) => odd_bits(bytes),
                    None => last_odd_bits(head, self.from as usize)?,
                };
            }
            let end = self.from.wrapping_add(self.bits.trailing_zeros());
            self.bits &= self.bits - 1;
            let line_end = u32::from_le_bytes(*at_near(head, end)?);
            if line_end as u16 == LINE_END {
                // The line feed.
                self.bits &= self.bits.wrapping_sub(1);
                // Space and tab, and a few more bytes that begin no name.
                let folded = line_end & 0x00D6_0000 == 0;
                return (!folded).then_some(end);
            }
            if (line_end as u8).is_ascii() {
                return None;
            }
        }
    }
}

/// The bits of the less than 64 bytes from `from` to the end, which are part of the last 64.
#[inline(never)]
fn last_odd_bits(head: &[u8], from: usize) -> Option<u64> {
    let seen = 64usize.checked_sub(head.len().checked_sub(from)?)?;
    odd_bits(head.last_chunk()?).checked_shr(seen as u32)
}

const LINE_END: u16 = u16::from_le_bytes(*b"\r\n");

impl Party {
    /// Reads a From or To value: maybe a display name, an address in angle brackets, and no parameter but a tag. Whether it is
    /// that.
    #[inline(never)]
    pub(super) fn read_plain(&mut self, head: &[u8], value: Span) -> bool {
        let found = Self::plain(head, usize::from(value.start), usize::from(value.end));
        *self = found.unwrap_or_default();
        found.is_some()
    }

    #[inline(always)]
    fn plain(head: &[u8], start: usize, end: usize) -> Option<Self> {
        let open = match head.get(start)? {
            b'<' => start,
            b'"' => {
                let end = quoted_near(head, start)?;
                end + usize::from(head.get(end) == Some(&b' '))
            }
            _ => words_end(head, start),
        };
        if head.get(open) != Some(&b'<') {
            return None;
        }
        let close = uri_end(head, open + 1);
        if close == open + 1 || head.get(close) != Some(&b'>') {
            return None;
        }
        let uri = Span::new(open + 1, close);
        if close + 1 == end {
            return Some(Self { uri, tag: None });
        }
        let tag = close + b">;tag=".len();
        let whole = at(head, close) == Some(b">;tag=") && tag < end && far_token_end(head, tag) == end;
        whole.then(|| Self {
            uri,
            tag: Some(Span::new(tag, end)),
        })
    }
}

/// The end of the words at `at`, and of the spaces between and behind them.
fn words_end(text: &[u8], mut at: usize) -> usize {
    loop {
        at = far_token_end(text, at);
        if text.get(at) != Some(&b' ') {
            return at;
        }
        at += 1;
    }
}

impl ViaIndex {
    /// Reads the value if it is alone in its field; whether it is.
    #[inline(never)]
    pub(super) fn read_plain(&mut self, head: &[u8], value: Span) -> bool {
        let found = Self::plain(head, value).filter(|via| via.value == value);
        *self = found.unwrap_or_default();
        found.is_some()
    }

    #[inline(always)]
    fn plain(head: &[u8], value: Span) -> Option<Self> {
        let start = usize::from(value.start);
        if at(head, start) != Some(b"SIP/2.0/") {
            return None;
        }
        let transport = match u32::from_le_bytes(*at(head, start + 8)?) {
            UDP => Transport::Udp,
            TCP => Transport::Tcp,
            TLS => Transport::Tls,
            WSS => Transport::Wss,
            _ => return None,
        };
        let host = start + b"SIP/2.0/UDP ".len();
        let mut end = far_host_end(head, host);
        if end == host {
            return None;
        }
        let mut via = Self {
            transport: Some(transport),
            host: Span::new(host, end),
            ..Self::default()
        };
        if head.get(end) == Some(&b':') {
            let (value, behind) = port(head, end + 1)?;
            (via.port, end) = (Some(value), behind);
        }
        while head.get(end) == Some(&b';') {
            end = via.read_plain_param(head, end + 1)?;
        }
        via.value = Span::new(start, end);
        Some(via)
    }

    /// The end of the parameter at `start`.
    #[inline(always)]
    fn read_plain_param(&mut self, head: &[u8], start: usize) -> Option<usize> {
        let name = u64::from_le_bytes(*at(head, start)?);
        if name & BRANCH.mask == BRANCH.word && self.branch.is_none() {
            value_of(head, start + b"branch=".len(), &mut self.branch)
        } else if name & RPORT.mask == RPORT.word && self.rport == Rport::Absent {
            let end = start + b"rport".len();
            if head.get(end) == Some(&b'=') {
                let (value, end) = port(head, end + 1)?;
                self.rport = Rport::Value(value);
                return Some(end);
            }
            self.rport = Rport::Asked(end as u16);
            Some(end)
        } else if name == RECEIVED.word && self.received.is_none() && head.get(start + 8) == Some(&b'=') {
            value_of(head, start + b"received=".len(), &mut self.received)
        } else {
            other_param_end(head, start)
        }
    }
}

// Compared as words; a pattern of bytes would be compared byte by byte.
const UDP: u32 = u32::from_le_bytes(*b"UDP ");
const TCP: u32 = u32::from_le_bytes(*b"TCP ");
const TLS: u32 = u32::from_le_bytes(*b"TLS ");
const WSS: u32 = u32::from_le_bytes(*b"WSS ");
const BRANCH: Start = Start::of(b"branch=");
const RPORT: Start = Start::of(b"rport");
const RECEIVED: Start = Start::of(b"received");

/// What a word begins with.
struct Start {
    word: u64,
    mask: u64,
}

impl Start {
    const fn of(text: &[u8]) -> Self {
        let (mut word, mut at) = (0, text.len());
        while at > 0 {
            at -= 1;
            word = word << 8 | text[at] as u64;
        }
        Self {
            word,
            mask: u64::MAX >> (64 - 8 * text.len()),
        }
    }
}

/// The end of a parameter's value that begins at `start`.
#[inline(always)]
fn value_of(text: &[u8], start: usize, value: &mut Option<Span>) -> Option<usize> {
    let end = param_end(text, start);
    *value = Some(Span::new(start, end));
    (end > start).then_some(end)
}

/// The end of a Via's parameter at `start` that we do not know.
#[inline(never)]
fn other_param_end(text: &[u8], start: usize) -> Option<usize> {
    let end = token_end(text, start);
    let name = &text[start..end];
    if name.is_empty() || is_word(name, b"branch") || is_word(name, b"rport") || is_word(name, b"received") {
        return None;
    }
    match text.get(end..)? {
        [b'=', b'"', ..] => quoted_near(text, end + 1),
        [b'=', ..] => Some(param_end(text, end + 1)),
        _ => Some(end),
    }
}
