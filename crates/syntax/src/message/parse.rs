//! One pass over a head: lines, names, and the fields that every message must have (RFC 3261 §8.1.1).

use super::index::{ABSENT, Fault, Field, Index, Party, Rport, StartLine, ViaIndex};
use super::plain::plain_number;
use crate::edits::Span;
use crate::header::{CSeq, Named, Range, layout, next_param, sent_protocol};
use crate::scan::{
    self, call_id_end, find_near, is_token, is_uri_text, is_word, number, odd_at, skip_ws, trim, trim_end,
    trim_start,
};
use crate::{Limits, Method, Name, Status, Transport};

const VERSION: &[u8; 7] = b"SIP/2.0";

impl Index {
    /// Reads a message; `PLAIN` is whether what is written plainly is read by the short way.
    pub(super) fn read<const PLAIN: bool>(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        framed: bool,
    ) -> Result<(), Fault> {
        let head_end = self.read_lines::<PLAIN>(bytes, limits)?;
        let body = self.read_body_length::<PLAIN>(bytes, head_end, limits, framed);
        self.read_core::<PLAIN>(bytes, limits)?;
        body
    }

    /// Start line and fields, up to the empty line; the offset behind it.
    #[inline(always)]
    fn read_lines<const PLAIN: bool>(&mut self, bytes: &[u8], limits: &Limits) -> Result<usize, Fault> {
        let head = &bytes[..bytes.len().min(limits.head.min(usize::from(u16::MAX)))];
        let mut read_to = None;
        if PLAIN && let Some(start) = self.read_plain_start(head, limits) {
            let end = self.read_plain_lines(head, start, most_fields(limits));
            if head.get(end..end + 2) == Some(b"\r\n") {
                self.body_start = end as u32 + 2;
                self.body_end = bytes.len() as u32;
                return Ok(end + 2);
            }
            read_to = Some(end);
        }
        self.read_any_lines::<PLAIN>(bytes, head, read_to, limits)
    }

    /// Start line and fields in whatever way they are written, but for those that were read up to an offset.
    #[inline(never)]
    fn read_any_lines<const PLAIN: bool>(
        &mut self,
        bytes: &[u8],
        head: &[u8],
        read_to: Option<usize>,
        limits: &Limits,
    ) -> Result<usize, Fault> {
        let cut = head.len() < bytes.len();
        let (start, fault) = match read_to {
            Some(start) => (start, None),
            None => {
                let end = line_end(head, 0).ok_or(Fault::NotSip)?;
                (end + 2, self.read_start_line(&head[..end], limits).err())
            }
        };
        if fault == Some(Fault::NotSip) {
            return Err(Fault::NotSip);
        }
        let (at, found) = self.read_fields::<PLAIN>(head, start, limits);
        let fault = fault.or(match found {
            Some(LineFault::Open) if !cut => Some(Fault::NoEnd),
            Some(LineFault::Open | LineFault::Many) => Some(Fault::TooLarge),
            Some(LineFault::Broken) => Some(Fault::Line),
            None => None,
        });
        self.body_start = at as u32;
        self.body_end = bytes.len() as u32;
        match fault {
            Some(fault) => {
                // What can be found helps to answer; what cannot is already at fault.
                let _ = self.read_core::<PLAIN>(bytes, limits);
                Err(fault)
            }
            None => Ok(at),
        }
    }

    #[inline(never)]
    fn read_start_line(&mut self, whole: &[u8], limits: &Limits) -> Result<(), Fault> {
        if whole.starts_with(b"SIP/") {
            return self.read_status_line(whole);
        }
        let line = whole.trim_ascii_end();
        let padded = line.len() < whole.len();
        let method_end = find_near(line, b' ').ok_or(Fault::NotSip)?;
        let method_text = &line[..method_end];
        let method = Method::from_token(method_text);
        if method == Method::Other && !is_token(method_text) {
            return Err(Fault::NotSip);
        }
        let version = match line.strip_suffix(b" SIP/2.0") {
            Some(rest) => rest.len(),
            None => line.iter().rposition(|&b| b == b' ').ok_or(Fault::NotSip)?,
        };
        let version_text = &line[version + 1..];
        if !version_text.get(..4).is_some_and(|v| is_word(v, b"SIP/")) {
            return Err(Fault::NotSip);
        }
        let uri = Span::new(method_end + 1, version.max(method_end + 1));
        self.start_line = Some(StartLine::Request {
            method,
            method_text: Span::new(0, method_end),
            uri,
        });
        let text = uri.of(line);
        if !is_word(version_text, VERSION) {
            return Err(Fault::Version);
        }
        if padded || text.is_empty() || !is_uri_text(text) {
            return Err(Fault::StartLine);
        }
        if text.len() > limits.request_uri {
            return Err(Fault::UriTooLong);
        }
        Ok(())
    }

    fn read_status_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let rest = line
            .strip_prefix(VERSION)
            .and_then(|r| r.strip_prefix(b" "))
            .ok_or(Fault::NotSip)?;
        let code = rest
            .get(..3)
            .and_then(number)
            .filter(|c| (100..700).contains(c))
            .ok_or(Fault::NotSip)?;
        match rest.get(3) {
            None | Some(b' ') => {}
            Some(_) => return Err(Fault::NotSip),
        }
        let start = (VERSION.len() + 5).min(line.len());
        let reason = Span::new(start, line.len());
        self.start_line = Some(StartLine::Response {
            status: Status::new(code as u16),
            reason,
        });
        Ok(())
    }

    /// The fields from `at` on, up to the empty line or a fault that ends the head; the offset behind them, and the first
    /// fault.
    fn read_fields<const PLAIN: bool>(
        &mut self,
        head: &[u8],
        mut at: usize,
        limits: &Limits,
    ) -> (usize, Option<LineFault>) {
        let most = most_fields(limits);
        let mut broken = None;
        loop {
            if PLAIN {
                at = self.read_plain_lines(head, at, most);
            }
            let rest = head.get(at..).unwrap_or_default();
            if rest.starts_with(b"\r\n") {
                return (at + 2, broken);
            }
            match read_line(rest) {
                Ok(_) if self.fields.len() >= most => return (at, broken.or(Some(LineFault::Many))),
                Ok(line) => {
                    self.push_field(&line, at);
                    at += line.len;
                }
                Err(LineEnd::Open) => return (at, broken.or(Some(LineFault::Open))),
                Err(LineEnd::Broken { len }) => {
                    broken = broken.or(Some(LineFault::Broken));
                    at += len;
                }
            }
        }
    }

    fn push_field(&mut self, line: &Line, at: usize) {
        if line.name != Name::Other {
            match &mut self.first[line.name as usize] {
                first if *first == ABSENT => *first = self.fields.len as u8,
                _ => self.again |= 1 << line.name as u32,
            }
        }
        self.fields.push(Field {
            named: Named {
                name: line.name,
                len: line.name_len as u8,
            },
            start: at as u16,
            value: Span::new(at + line.value.0, at + line.value.1),
            end: (at + line.len) as u16,
        });
    }

    /// The body's extent (RFC 3261 §18.3, §20.14).
    fn read_body_length<const PLAIN: bool>(
        &mut self,
        bytes: &[u8],
        head_end: usize,
        limits: &Limits,
        framed: bool,
    ) -> Result<(), Fault> {
        let present = bytes.len() - head_end;
        let length = match self.span(Name::ContentLength) {
            None if framed => return Err(Fault::Missing(Name::ContentLength)),
            None => present,
            Some(value) => match plain_number(bytes, value) {
                Some(n) if PLAIN => n as usize,
                _ => match number(value.of(bytes)) {
                    Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
                    None => return Err(Fault::Malformed(Name::ContentLength)),
                },
            },
        };
        if length > limits.body {
            return Err(Fault::TooLarge);
        }
        if length > present {
            return Err(Fault::Truncated);
        }
        self.body_end = (head_end + length) as u32;
        Ok(())
    }

    /// The mandatory fields. Via comes first: with it a request can be answered.
    #[inline(never)]
    fn read_core<const PLAIN: bool>(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
        let mut fault = None;
        let mut note = |found| note(&mut fault, found);
        let via = self.span(Name::Via).ok_or(Fault::Missing(Name::Via))?;
        if !(PLAIN && self.via.read_plain(bytes, via)) {
            let (via, whole) = read_via(bytes, via).ok_or(Fault::Malformed(Name::Via))?;
            self.via = via;
            if !whole {
                note(Fault::Malformed(Name::Via));
            }
        }
        match self.span(Name::CallId) {
            None => note(Fault::Missing(Name::CallId)),
            Some(span) if !is_call_id_at(bytes, span, limits) => note(Fault::Malformed(Name::CallId)),
            Some(span) => self.call_id = span,
        }
        match self.span(Name::CSeq) {
            None => note(Fault::Missing(Name::CSeq)),
            Some(span) if PLAIN && self.read_plain_cseq(bytes, span) => {}
            Some(span) => self.read_cseq(bytes, span).unwrap_or_else(&mut note),
        }
        let (from, to) = (self.span(Name::From), self.span(Name::To));
        match from.map(|value| self.from.read::<PLAIN>(bytes, value)) {
            None => note(Fault::Missing(Name::From)),
            Some(false) => note(Fault::Malformed(Name::From)),
            Some(true) => {}
        }
        match to.map(|value| self.to.read::<PLAIN>(bytes, value)) {
            None => note(Fault::Missing(Name::To)),
            Some(false) => note(Fault::Malformed(Name::To)),
            Some(true) => {}
        }
        if self.again & ONCE != 0
            && let Some(name) = self.repeated()
        {
            note(Fault::Duplicate(name));
        }
        fault.map_or(Ok(()), Err)
    }

    /// The first name that is there again though it may occur once.
    #[cold]
    fn repeated(&self) -> Option<Name> {
        let first_at = |name: Name| usize::from(self.first[name as usize]);
        let mut fields = self.fields.iter().enumerate();
        let again = fields.find(|(at, field)| occurs_once(field.name()) && first_at(field.name()) < *at);
        again.map(|(_, field)| field.name())
    }

    fn read_cseq(&mut self, bytes: &[u8], span: Span) -> Result<(), Fault> {
        let cseq = CSeq::parse(span.of(bytes)).ok_or(Fault::Malformed(Name::CSeq))?;
        self.cseq = cseq.number;
        self.cseq_method = cseq.method;
        let Some(StartLine::Request {
            method, method_text, ..
        }) = self.start_line
        else {
            return Ok(());
        };
        let same =
            method == cseq.method && (method != Method::Other || method_text.of(bytes) == cseq.method_text);
        if same { Ok(()) } else { Err(Fault::CSeqMethod) }
    }

    fn span(&self, name: Name) -> Option<Span> {
        self.first_field(name).map(|f| f.value)
    }
}

/// Keeps the first fault.
#[cold]
#[inline(never)]
fn note(fault: &mut Option<Fault>, found: Fault) {
    fault.get_or_insert(found);
}

/// How many fields a message may have; a place of each is less than [`ABSENT`].
fn most_fields(limits: &Limits) -> usize {
    limits.fields.min(usize::from(ABSENT) - 1)
}

/// The fields that every message is read by: two of one would let two readers see two different messages. Of the other
/// single fields the first counts.
const fn occurs_once(name: Name) -> bool {
    matches!(
        name,
        Name::From | Name::To | Name::CallId | Name::CSeq | Name::ContentLength | Name::MaxForwards
    )
}

/// The names of [`occurs_once`], a bit for each.
const ONCE: u128 = {
    let (mut names, mut at) = (0, 0);
    while at < Name::COUNT {
        if occurs_once(Name::KNOWN[at]) {
            names |= 1 << at;
        }
        at += 1;
    }
    names
};

/// A field line and those folded into it. Places are counted from its start.
pub(super) struct Line {
    pub(super) name: Name,
    /// Of the name's text.
    pub(super) name_len: usize,
    /// Without white space at its ends.
    pub(super) value: Range,
    /// Up to where the next line starts.
    pub(super) len: usize,
}

/// Why there is no field line.
enum LineEnd {
    /// It does not end.
    Open,
    /// It is no header field.
    Broken { len: usize },
}

enum LineFault {
    /// A line does not end, nor does the head.
    Open,
    /// A line is no header field.
    Broken,
    /// More fields than the limits allow.
    Many,
}

/// The end of the line that holds `at`; two bytes further the next one starts. Only CRLF ends a line: a CR or LF alone
/// would let two parsers see two different messages, so it makes the head end nowhere.
#[inline(always)]
fn line_end(head: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = odd_at(head, at);
        let rest = head.get(at..)?;
        if rest.starts_with(b"\r\n") {
            return Some(at);
        }
        if let [b'\r' | b'\n', ..] = rest {
            return None;
        }
        at += 1;
    }
}

/// The field line that a text begins with, however it is written.
#[inline(never)]
fn read_line(text: &[u8]) -> Result<Line, LineEnd> {
    let (line, next) = split_line(text).ok_or(LineEnd::Open)?;
    let len = text.len() - next.len();
    let (name, name_len, value) = split_field(line).ok_or(LineEnd::Broken { len })?;
    Ok(Line {
        name,
        name_len,
        value,
        len,
    })
}

/// The line that a text begins with, together with the lines folded into it, and what follows its CRLF.
#[inline]
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        let end = line_end(text, at)?;
        at = end + 2;
        let (line, next) = (text.get(..end)?, text.get(at..)?);
        if !matches!(next, [b' ' | b'\t', ..]) {
            return Some((line, next));
        }
    }
}

/// The name of the field line that a text begins with, the length of the name's text, and where the value is, without
/// white space around it.
#[inline(always)]
pub(super) fn split_field(line: &[u8]) -> Option<(Name, usize, Range)> {
    let (name, name_len, colon) = split_name(line)?;
    let value = trim_start(line.get(colon + 1..)?);
    let start = line.len() - value.len();
    Some((name, name_len, (start, start + trim_end(value).len())))
}

/// Name, its length and the colon of a field line.
#[cold]
#[inline(never)]
fn split_name(line: &[u8]) -> Option<(Name, usize, usize)> {
    let colon = find_near(line, b':')?;
    let text = trim_end(&line[..colon]);
    let name = Name::from_bytes(text);
    if name == Name::Other && (!is_token(text) || text.len() > 255) {
        return None;
    }
    Some((name, text.len(), colon))
}

/// Whether all of a value is one Call-ID that is not too long.
#[inline(always)]
fn is_call_id_at(bytes: &[u8], value: Span, limits: &Limits) -> bool {
    let (start, end) = (usize::from(value.start), usize::from(value.end));
    // What it may have does not include line ends: nothing is found beyond its own.
    call_id_end(bytes, start) == end && start < end && end - start <= limits.call_id
}

impl Party {
    /// Reads a From or To value; whether it keeps to the grammar. What was not read is as it was.
    #[inline(always)]
    fn read<const PLAIN: bool>(&mut self, bytes: &[u8], value: Span) -> bool {
        if PLAIN && self.read_plain(bytes, value) {
            return true;
        }
        let found = read_party(bytes, value);
        if let Some(found) = found {
            *self = found;
        }
        found.is_some()
    }
}

/// A From or To value; `None` when it breaks the grammar (RFC 3261 §20.20).
#[inline(never)]
fn read_party(bytes: &[u8], value: Span) -> Option<Party> {
    let base = usize::from(value.start);
    let at = |(start, end): Range| Span::new(base + start, base + end);
    let text = value.of(bytes);
    let layout = layout(text)?;
    let uri = &text[layout.uri.0..layout.uri.1];
    // White space in angle brackets is refused at once (RFC 4475 §3.1.2.14).
    if layout.bracketed && !is_uri_text(uri) {
        return None;
    }
    let is_clear = layout.bracketed || !uri.contains(&b'?');
    Some(Party {
        uri: if is_clear { at(layout.uri) } else { Span::default() },
        tag: any_tag(text, layout.params)?.map(at),
    })
}

/// The tag among the parameters at `at`. The same one again says nothing else, and some phones that add it to a To which they
/// copy do so in a re-INVITE too; another one would be a second dialog.
fn any_tag(text: &[u8], mut at: usize) -> Option<Option<Range>> {
    let mut tag: Option<Range> = None;
    while let Some((name, value, next)) = next_param(text, at)? {
        if is_word(&text[name.0..name.1], b"tag") {
            let written = &text[value.0..value.1];
            if !is_token(written) || tag.is_some_and(|tag| text[tag.0..tag.1] != *written) {
                return None;
            }
            tag = tag.or(Some(value));
        }
        at = next;
    }
    Some(tag)
}

/// The first value of a Via field (RFC 3261 §20.42), and whether its parameters are well-formed: with sent-by alone a
/// request can be answered.
#[inline(never)]
pub(super) fn read_via(bytes: &[u8], field: Span) -> Option<(ViaIndex, bool)> {
    let base = usize::from(field.start);
    let text = field.of(bytes);
    let [_, _, transport] = sent_protocol(text)?;
    let mut at = skip_ws(text, transport.1);
    let transport = Transport::from_token(&text[transport.0..transport.1]);
    let host_end = if text.get(at) == Some(&b'[') {
        let end = at + memchr::memchr(b']', &text[at..])?;
        // What separates anything elsewhere would let two readers see two different hosts.
        let address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        if !text[at + 1..end].iter().all(address) {
            return None;
        }
        end + 1
    } else {
        scan::host_end(text, at)
    };
    let mut via = ViaIndex {
        transport,
        host: Span::new(base + at, base + host_end),
        ..ViaIndex::default()
    };
    if host_end == at {
        return None;
    }
    let mut end = host_end;
    at = skip_ws(text, host_end);
    if text.get(at) == Some(&b':') {
        let (port, behind) = scan::port(text, skip_ws(text, at + 1))?;
        (via.port, end) = (Some(port), behind);
        at = skip_ws(text, end);
    }
    let whole = via.read_params(text, base, at, &mut end);
    via.value = Span::new(base, base + trim(&text[..end]).len());
    Some((via, whole.is_some()))
}

impl ViaIndex {
    /// The parameters at `at`, up to the end of the value; `end` follows the last good one.
    fn read_params(&mut self, text: &[u8], base: usize, mut at: usize, end: &mut usize) -> Option<()> {
        while at < text.len() && text[at] != b',' {
            let Some((name, value, next)) = next_param(text, at)? else {
                break;
            };
            let at_of = |range: Range| (base + range.0, base + range.1);
            self.note_param(
                &text[name.0..name.1],
                at_of(name),
                at_of(value),
                &text[value.0..value.1],
            )?;
            (at, *end) = (next, next);
        }
        Some(())
    }

    fn note_param(&mut self, name: &[u8], at: Range, value_at: Range, value: &[u8]) -> Option<()> {
        if is_word(name, b"branch") {
            if value.is_empty() || self.branch.is_some() {
                return None;
            }
            self.branch = Some(Span::new(value_at.0, value_at.1));
        } else if is_word(name, b"rport") {
            if self.rport != Rport::Absent {
                return None;
            }
            self.rport = match value {
                // `rport=` asks for nothing and leaves no place for a value.
                [] if value_at.0 > at.1 => Rport::Absent,
                [] => Rport::Asked(at.1 as u16),
                digits => Rport::Value(u16::try_from(number(digits)?).ok()?),
            };
        } else if is_word(name, b"received") {
            if value.is_empty() || self.received.is_some() {
                return None;
            }
            self.received = Some(Span::new(value_at.0, value_at.1));
        }
        Some(())
    }
}
