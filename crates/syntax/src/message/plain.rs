//! What nearly all peers write: lines of a name, a colon, at most one space, the value and a line end, and values of the
//! fields that every message must have without anything unusual in them.
//!
//! What is written in any other way is left to the readers of the whole grammar.

use super::index::{ABSENT, Index, NAMES, Party, Rport, StartLine, ViaIndex};
use crate::edits::Span;
use crate::header::{LineStart, Named, START_SIZE};
use crate::lanes::{control_bits, far_no_word_bits, no_word_bits};
use crate::scan::{
    HOST, PARAM, far_token_end, is_of, is_word, near_number, number_at, odd_at, param_end, quoted_near,
    token_end, uri_end,
};
use crate::{Limits, Method, Name, Status, Transport};

/// The `N` bytes at a position of less than a word, whose sum with `N` needs no check.
#[inline(always)]
fn at<const N: usize>(text: &[u8], at: u32) -> Option<&[u8; N]> {
    let at = at as usize;
    text.get(at..at + N)?.try_into().ok()
}

/// A value that is a number of a few digits and nothing else.
#[inline(always)]
pub(super) fn plain_number(head: &[u8], value: Span) -> Option<u32> {
    // Few enough to be there though the head may end behind it.
    let (number, len) = near_number::<5>(at(head, value.start.into())?)?;
    let is_whole = len > 0 && u32::from(value.start) + len == u32::from(value.end);
    is_whole.then_some(number)
}

impl Index {
    /// The Request-Line of a known method or the Status-Line that `head` begins with; where the next line starts.
    pub(super) fn read_plain_start(&mut self, head: &[u8], limits: &Limits) -> Option<usize> {
        if let Some(b"SIP/2.0 ") = at(head, 0) {
            return self.read_plain_status(head);
        }
        let (method, method_end) = Method::at_start(at(head, 0)?);
        let start = method_end + 1;
        let end = uri_end(head, start);
        let fits = method != Method::Other && end > start && end - start <= limits.request_uri;
        if !fits || at(head, end as u32) != Some(b" SIP/2.0\r\n") {
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
        let [code @ .., b' '] = at::<4>(head, start as u32 - 4)? else {
            return None;
        };
        let code = code.iter().try_fold(0, |code, digit| {
            digit
                .is_ascii_digit()
                .then(|| code * 10 + u16::from(digit - b'0'))
        })?;
        let end = odd_at(head, start);
        if !(100..700).contains(&code) || at(head, end as u32) != Some(b"\r\n") {
            return None;
        }
        self.start_line = Some(StartLine::Response {
            status: Status::new(code),
            reason: Span::new(start, end),
        });
        Some(end + 2)
    }

    /// Reads the field lines from `start` on as long as they are plain and there is room for them; where it stopped.
    #[inline(always)]
    pub(super) fn read_plain_lines(&mut self, head: &[u8], start: usize, most: usize) -> usize {
        let end = self.push_plain_lines(head, start as u32, most) as usize;
        match head.get(end) {
            Some(b' ' | b'\t') if end > start => self.take_back(),
            _ => end,
        }
    }

    /// Reads lines, the last one maybe folded; where the next one starts.
    // A function of its own, so that what the loop needs stays in registers. What is known of a field is written at once;
    // it counts when all of it is.
    #[inline(never)]
    fn push_plain_lines(&mut self, head: &[u8], start: u32, most: usize) -> u32 {
        let mut tail = [0; TAIL];
        if let (Some(tail), Some(last)) = (tail.first_chunk_mut(), head.last_chunk::<WINDOW>()) {
            *tail = *last;
        }
        // Positions of less than a word: their sums need no checks.
        let mut lines = Lines::from(head, &tail, start);
        let Some(mut window) = lines.window(start.wrapping_sub(3)) else {
            return start;
        };
        let mut count = self.fields.len;
        let most = most.min(self.fields.places.len());
        let mut places = self.fields.places.get_mut(count..most).unwrap_or_default();
        while let Some(place) = places.first_mut() {
            let begun = window.start();
            place.named = begun.named;
            place.start = lines.base as u16;
            place.value.start = (lines.base + u32::from(begun.value)) as u16;
            if usize::from(begun.value) > START_SIZE {
                if window.is_last() {
                    break;
                }
                let Some((named, value)) = other_name(head, place.start, begun.named) else {
                    break;
                };
                (place.named, place.value.start) = (named, value);
            } else if window.is_space_at(begun.value) {
                break;
            }
            let Some((end, next)) = lines.next() else {
                lines.base = place.start.into();
                break;
            };
            place.value.end = end as u16;
            place.end = lines.base as u16;
            let name = place.named.name as usize % NAMES;
            match &mut self.first[name] {
                first if *first == ABSENT => *first = count as u8,
                _ => again(&mut self.again, name),
            }
            count += 1;
            window = next;
            places = std::mem::take(&mut places).get_mut(1..).unwrap_or_default();
        }
        // Other names are not told apart.
        self.first[Name::Other as usize] = ABSENT;
        self.again &= !(1 << Name::Other as u32);
        self.fields.len = count;
        lines.base
    }

    /// Forgets the last of the fields; where its line starts.
    #[cold]
    #[inline(never)]
    fn take_back(&mut self) -> usize {
        let Some((&last, others)) = self.fields.split_last() else {
            return 0;
        };
        let name = last.name();
        match others.iter().filter(|field| field.name() == name).count() {
            0 => self.first[name as usize] = ABSENT,
            1 => self.again &= !(1 << name as u32),
            _ => {}
        }
        self.fields.len -= 1;
        usize::from(last.start)
    }

    /// Reads a CSeq value whose method is known and, in a request, the right one; whether it is that.
    #[inline]
    pub(super) fn read_plain_cseq(&mut self, head: &[u8], value: Span) -> bool {
        let (start, end) = (usize::from(value.start), usize::from(value.end));
        let near = at(head, value.start.into()).and_then(near_number::<8>);
        let near = near.map(|(number, len)| (number, start + len as usize));
        let Some((number, space)) = near.or_else(|| number_at(head, start, (1 << 31) - 1)) else {
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
    let (Some(first), Some(second)) = (at::<8>(head, 0), at::<8>(head, start as u32)) else {
        return false;
    };
    if len > 8 || end - start != len {
        return head[start..end] == head[..len];
    }
    let different = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*second);
    len > 0 && different << (64 - 8 * len) == 0
}

/// Notes that a name is there again.
#[cold]
#[inline(never)]
fn again(names: &mut u128, name: usize) {
    *names |= 1 << name;
}

/// The name at `start` that is not known, or not written as in the table, or long and may be one, and where its value begins.
#[inline(never)]
fn other_name(head: &[u8], start: u16, named: Named) -> Option<(Named, u16)> {
    let text = head.get(usize::from(start)..)?;
    let is_known = named.len > 0 && text.starts_with(named.name.as_str().as_bytes());
    let len = if is_known {
        usize::from(named.len)
    } else {
        far_token_end(text, 0)
    };
    let space = match text.get(len..)? {
        [b':', b' ', b' ', ..] => return None,
        [b':', b' ', ..] => 1,
        [b':', ..] => 0,
        _ => return None,
    };
    let name = if is_known {
        named.name
    } else {
        Name::from_bytes(&text[..len])
    };
    let short = u8::try_from(len).ok().filter(|&len| len > 0)?;
    Some((Named { name, len: short }, start + u16::from(short) + 1 + space))
}

/// The last byte of a line, its line end, and what the next line begins with: a name, a colon, a space, and a byte more.
struct Window<'a>(&'a [u8; WINDOW]);

const WINDOW: usize = 3 + 16 + 2;

/// What a head ends with, and zeros: no window that begins before the end reaches beyond them.
const TAIL: usize = 2 * WINDOW;

impl Window<'_> {
    /// Whether there is a line end.
    #[inline(always)]
    fn ends(&self) -> bool {
        let [_, first, second, ..] = *self.0;
        u16::from_le_bytes([first, second]) == u16::from_le_bytes(*b"\r\n")
    }

    /// Whether the next line is empty.
    fn is_last(&self) -> bool {
        self.0[3..].starts_with(b"\r\n")
    }

    /// What the next line begins with.
    #[inline(always)]
    fn start(&self) -> &'static LineStart {
        self.0[3..]
            .first_chunk()
            .map_or(&LineStart::NOTHING, Name::at_start)
    }

    /// Whether there is a space at a place of the next line.
    #[inline(always)]
    fn is_space_at(&self, place: u8) -> bool {
        self.0.get(3 + usize::from(place)) == Some(&b' ')
    }
}

/// Finds the ends of the lines, by the control characters of 64 bytes.
struct Lines<'a> {
    head: &'a [u8],
    tail: &'a [u8; TAIL],
    /// Where those are that nobody has asked for, and the next line.
    base: u32,
    bits: u64,
    /// Where the next ones are.
    next: u32,
}

impl<'a> Lines<'a> {
    fn from(head: &'a [u8], tail: &'a [u8; TAIL], start: u32) -> Self {
        Self {
            head,
            tail,
            base: start,
            bits: 0,
            next: start,
        }
    }

    /// The window at a position.
    #[inline(always)]
    fn window(&self, start: u32) -> Option<Window<'a>> {
        if let Some(bytes) = at(self.head, start) {
            return Some(Window(bytes));
        }
        let in_tail = (start as usize + WINDOW).checked_sub(self.head.len())?;
        self.tail.get(in_tail..)?.first_chunk().map(Window)
    }

    /// The end of the next line, if there are no control characters in it and no space before its end. If there are, `base` stays
    /// somewhere in the line, and whoever asked sets it back.
    #[inline(always)]
    fn next(&mut self) -> Option<(u32, Window<'a>)> {
        loop {
            while self.bits == 0 {
                self.base = self.base.max(self.next);
                self.bits = match at(self.head, self.base) {
                    Some(bytes) => control_bits(bytes),
                    None => last_control_bits(self.head, self.base as usize)?,
                };
                self.next = self.base + 64;
            }
            let before = self.bits.trailing_zeros();
            let end = self.base + before;
            let window = self.window(end.wrapping_sub(1))?;
            self.bits = self.bits >> before >> 1;
            self.base = end + 1;
            if window.ends() {
                // The line feed.
                self.bits >>= 1;
                self.base += 1;
                if window.0[0] == b' ' {
                    return None;
                }
                return Some((end, window));
            }
            if window.0[1].is_ascii() {
                return None;
            }
        }
    }
}

/// The bits of the less than 64 bytes from `from` to the end, which are part of the last 64.
#[inline(always)]
fn last_control_bits(head: &[u8], from: usize) -> Option<u64> {
    let seen = 64usize.checked_sub(head.len().checked_sub(from)?)?;
    control_bits(head.last_chunk()?).checked_shr(seen as u32)
}

impl Party {
    /// Reads a From or To value: maybe a display name, an address in angle brackets, and no parameter but a tag. Whether it is
    /// that. What was not read is as it was.
    #[inline(always)]
    pub(super) fn read_plain(&mut self, head: &[u8], value: Span) -> bool {
        let found = Self::plain(head, usize::from(value.start), usize::from(value.end));
        if let Some(found) = found {
            *self = found;
        }
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
        let whole = at(head, close as u32) == Some(b">;tag=") && tag < end && is_token_at(head, tag, end);
        whole.then(|| Self {
            uri,
            tag: Some(Span::new(tag, end)),
        })
    }
}

/// Whether all that is between two positions, which is not nothing, is one token. Few are longer than a block, or have what
/// is no letter, digit, hyphen or dot.
#[inline(always)]
fn is_token_at(head: &[u8], start: usize, end: usize) -> bool {
    let word = at(head, start as u32).map_or(0, |block| no_word_bits(block).trailing_zeros() as usize);
    word.min(16) >= end - start || far_token_end(head, start) == end
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
    /// Reads the value if it is alone in its field; whether it is. What was not read is as it was.
    #[inline(always)]
    pub(super) fn read_plain(&mut self, head: &[u8], value: Span) -> bool {
        let read = self.read_value(head, value).is_some();
        if !read {
            *self = Self::default();
        }
        read
    }

    #[inline(always)]
    fn read_value(&mut self, head: &[u8], value: Span) -> Option<()> {
        let start = u32::from(value.start);
        let (protocol, transport) = at::<12>(head, start)?.split_first_chunk()?;
        if u64::from_le_bytes(*protocol) != PROTOCOL {
            return None;
        }
        self.transport = match u32::from_le_bytes(*transport.first_chunk()?) {
            UDP => Some(Transport::Udp),
            TCP => Some(Transport::Tcp),
            TLS => Some(Transport::Tls),
            WSS => Some(Transport::Wss),
            _ => return None,
        };
        let host = start + b"SIP/2.0/UDP ".len() as u32;
        let mut breaks = Breaks::from(head, host);
        let (mut end, mut byte) = breaks.end_of(HOST)?;
        if end == host {
            return None;
        }
        self.host = span(host, end);
        if byte == b':' {
            let (value, behind) = plain_port(head, end + 1)?;
            self.port = Some(value);
            (end, byte) = breaks.at(behind)?;
        }
        while byte == b';' {
            (end, byte) = self.read_plain_param(head, &mut breaks, end + 1)?;
        }
        self.value = span(start, end);
        (self.value == value).then_some(())
    }

    /// Reads the parameter at `start`; where it ends, and the byte there.
    #[inline(always)]
    fn read_plain_param(&mut self, head: &[u8], breaks: &mut Breaks<'_>, start: u32) -> Option<(u32, u8)> {
        let name = u64::from_le_bytes(*at(head, start)?);
        if name & BRANCH.mask == BRANCH.word && self.branch.is_none() {
            return value_of(breaks, start + b"branch=".len() as u32, &mut self.branch);
        }
        if name & RPORT.mask == RPORT.word && self.rport == Rport::Absent {
            let (end, byte) = breaks.at(start + b"rport".len() as u32)?;
            if byte != b'=' {
                self.rport = Rport::Asked(end as u16);
                return Some((end, byte));
            }
            let (value, end) = plain_port(head, end + 1)?;
            self.rport = Rport::Value(value);
            return breaks.at(end);
        }
        if name == RECEIVED.word && self.received.is_none() && head.get(start as usize + 8) == Some(&b'=') {
            return value_of(breaks, start + b"received=".len() as u32, &mut self.received);
        }
        breaks.at(other_param_end(head, start as usize)? as u32)
    }
}

/// The port, 1 to 65535, that starts at a position, and its end.
#[inline(always)]
fn plain_port(head: &[u8], start: u32) -> Option<(u16, u32)> {
    let (value, len) = near_number::<6>(at(head, start)?)?;
    let value = u16::try_from(value).ok().filter(|&port| port > 0)?;
    Some((value, start + len))
}

fn span(start: u32, end: u32) -> Span {
    Span {
        start: start as u16,
        end: end as u16,
    }
}

/// The places of what is no letter, digit, hyphen or dot, from a position on.
struct Breaks<'a> {
    head: &'a [u8],
    /// The bytes that the bits are of, and where they are.
    block: &'a [u8; 32],
    base: u32,
    bits: u32,
}

impl<'a> Breaks<'a> {
    #[inline(always)]
    fn from(head: &'a [u8], start: u32) -> Self {
        Self {
            head,
            block: &[0; 32],
            base: start.wrapping_sub(32),
            bits: 0,
        }
    }

    /// The next one, and the byte there; `None` too in the last few bytes.
    #[inline(always)]
    fn next(&mut self) -> Option<(u32, u8)> {
        while self.bits == 0 {
            self.base = self.base.wrapping_add(32);
            self.block = at(self.head, self.base)?;
            self.bits = far_no_word_bits(self.block);
        }
        let place = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some((self.base + place, *self.block.get(place as usize)?))
    }

    /// The next one that is not of a class.
    #[inline(always)]
    fn end_of(&mut self, class: u8) -> Option<(u32, u8)> {
        loop {
            let (at, byte) = self.next()?;
            if !is_of(byte, class) {
                return Some((at, byte));
            }
        }
    }

    /// The one at a position, if there is one.
    #[inline(always)]
    fn at(&mut self, position: u32) -> Option<(u32, u8)> {
        loop {
            let (at, byte) = self.next()?;
            if at >= position {
                return (at == position).then_some((at, byte));
            }
        }
    }
}

// Compared as words; a pattern of bytes would be compared byte by byte.
const PROTOCOL: u64 = u64::from_le_bytes(*b"SIP/2.0/");
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

/// Reads a parameter's value that begins at `start`, behind an equals sign; where it ends, and the byte there.
#[inline(always)]
fn value_of(breaks: &mut Breaks<'_>, start: u32, value: &mut Option<Span>) -> Option<(u32, u8)> {
    let (end, byte) = breaks.end_of(PARAM)?;
    *value = Some(span(start, end));
    (end > start).then_some((end, byte))
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
