//! One pass over a head: lines, names, and the fields that every message must have (RFC 3261 §8.1.1).

use memchr::memchr2;

use super::index::{ABSENT, Field, Fault, Index, Rport, Span, StartLine, ViaIndex};
use crate::scan::{is_token, is_token_byte, is_ws, number, quoted_end, skip_ws, token_end, trim};
use crate::{Limits, Method, Name, Status, Transport};

const VERSION: &[u8] = b"SIP/2.0";

impl Index {
    pub(super) fn read(&mut self, bytes: &[u8], limits: &Limits, framed: bool) -> Result<(), Fault> {
        let head_end = self.read_lines(bytes, limits)?;
        let body = self.read_body_length(bytes, head_end, limits, framed);
        self.read_core(bytes, limits)?;
        body
    }

    /// Start line and fields, up to the empty line; the offset behind it.
    fn read_lines(&mut self, bytes: &[u8], limits: &Limits) -> Result<usize, Fault> {
        let head = &bytes[..bytes.len().min(limits.head.min(usize::from(u16::MAX)))];
        let cut = head.len() < bytes.len();
        let mut fault = self.read_start_line(head, limits).err();
        if fault == Some(Fault::NotSip) {
            return Err(Fault::NotSip);
        }
        let mut at = line_end(head, 0).map_err(|_| Fault::StartLine)?.1;
        loop {
            if head[at..].starts_with(b"\r\n") {
                at += 2;
                break;
            }
            if at >= head.len() {
                return Err(fault.unwrap_or(if cut { Fault::TooLarge } else { Fault::NoEnd }));
            }
            match self.read_field(head, at, limits) {
                Ok(next) => at = next,
                Err(LineFault::Open) => return Err(if cut { Fault::TooLarge } else { Fault::NoEnd }),
                Err(LineFault::Broken(next)) => {
                    fault.get_or_insert(Fault::Line);
                    at = next;
                }
                Err(LineFault::Many) => return Err(Fault::TooLarge),
            }
        }
        self.body_start = at as u32;
        self.body_end = bytes.len() as u32;
        match fault {
            Some(fault) => {
                // What can be found helps to answer; what cannot is already at fault.
                let _ = self.read_core(bytes, limits);
                Err(fault)
            }
            None => Ok(at),
        }
    }

    fn read_start_line(&mut self, head: &[u8], limits: &Limits) -> Result<(), Fault> {
        let (end, _) = line_end(head, 0).map_err(|_| Fault::NotSip)?;
        let line = &head[..end];
        if line.starts_with(b"SIP/") {
            return self.read_status_line(line);
        }
        let method_end = token_end(line, 0);
        if method_end == 0 || line.get(method_end) != Some(&b' ') {
            return Err(Fault::NotSip);
        }
        let version = line.iter().rposition(|&b| b == b' ').ok_or(Fault::NotSip)?;
        if !line[version + 1..].get(..4).is_some_and(|v| v.eq_ignore_ascii_case(b"SIP/")) {
            return Err(Fault::NotSip);
        }
        let uri = Span::new(method_end + 1, version.max(method_end + 1));
        let method_text = Span::new(0, method_end);
        let method = Method::from_token(method_text.of(line));
        self.start_line = Some(StartLine::Request { method, method_text, uri });
        let text = uri.of(line);
        if !line[version + 1..].eq_ignore_ascii_case(VERSION) {
            return Err(Fault::Version);
        }
        if text.is_empty() || text.iter().any(|&b| is_ws(b) || matches!(b, b'<' | b'>' | b'"')) {
            return Err(Fault::StartLine);
        }
        if text.len() > limits.request_uri {
            return Err(Fault::UriTooLong);
        }
        Ok(())
    }

    fn read_status_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let rest = line.strip_prefix(VERSION).and_then(|r| r.strip_prefix(b" ")).ok_or(Fault::NotSip)?;
        let code = rest.get(..3).and_then(number).filter(|c| (100..700).contains(c)).ok_or(Fault::NotSip)?;
        match rest.get(3) {
            None | Some(b' ') => {}
            Some(_) => return Err(Fault::NotSip),
        }
        let start = (VERSION.len() + 5).min(line.len());
        let reason = Span::new(start, line.len());
        self.start_line = Some(StartLine::Response { status: Status::new(code as u16), reason });
        Ok(())
    }

    /// One field at `at`, with the lines folded into it; the offset of the next.
    fn read_field(&mut self, head: &[u8], at: usize, limits: &Limits) -> Result<usize, LineFault> {
        let (mut end, mut next) = line_end(head, at)?;
        while let Some(b' ' | b'\t') = head.get(next) {
            (end, next) = line_end(head, next)?;
        }
        let line = &head[at..end];
        let name_len = token_end(line, 0);
        let colon = skip_ws(line, name_len);
        if name_len == 0 || name_len > 255 || line.get(colon) != Some(&b':') {
            return Err(LineFault::Broken(next));
        }
        if self.fields.len() >= limits.fields.min(254) {
            return Err(LineFault::Many);
        }
        let mut start = colon + 1;
        while start < line.len() && is_ws(line[start]) {
            start += 1;
        }
        let mut stop = line.len();
        while stop > start && is_ws(line[stop - 1]) {
            stop -= 1;
        }
        let name = Name::from_bytes(&line[..name_len]);
        if let Some(first) = self.first.get_mut(name as usize)
            && *first == ABSENT
        {
            *first = self.fields.len() as u8;
        }
        self.fields.push(Field {
            name,
            name_len: name_len as u8,
            start: at as u16,
            value: Span::new(at + start, at + stop),
            end: next as u16,
        });
        Ok(next)
    }

    /// The body's extent (RFC 3261 §18.3, §20.14).
    fn read_body_length(&mut self, bytes: &[u8], head_end: usize, limits: &Limits, framed: bool) -> Result<(), Fault> {
        let present = bytes.len() - head_end;
        let length = match self.value(bytes, Name::ContentLength) {
            None if framed => return Err(Fault::Missing(Name::ContentLength)),
            None => present,
            Some(text) => match number(text) {
                Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
                None => return Err(Fault::Malformed(Name::ContentLength)),
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
    fn read_core(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
        let via = self.span(Name::Via).ok_or(Fault::Missing(Name::Via))?;
        self.via = read_via(bytes, via).ok_or(Fault::Malformed(Name::Via))?;
        let mut fault = None;
        let mut note = |found: Fault| {
            fault.get_or_insert(found);
        };
        match self.span(Name::CallId) {
            None => note(Fault::Missing(Name::CallId)),
            Some(span) if !is_call_id(span.of(bytes), limits) => note(Fault::Malformed(Name::CallId)),
            Some(span) => self.call_id = span,
        }
        match self.span(Name::CSeq).map(|span| read_cseq(span.of(bytes))) {
            None => note(Fault::Missing(Name::CSeq)),
            Some(None) => note(Fault::Malformed(Name::CSeq)),
            Some(Some((number, method))) => {
                self.cseq = number;
                self.cseq_method = Method::from_token(method);
                if let Some(StartLine::Request { method_text, .. }) = self.start_line
                    && method_text.of(bytes) != method
                {
                    note(Fault::CSeqMethod);
                }
            }
        }
        for (name, tag) in [(Name::From, &mut self.from_tag), (Name::To, &mut self.to_tag)] {
            let field = self.first[name as usize];
            match self.fields.get(usize::from(field)).map(|f| read_tag(bytes, f.value)) {
                None => note(Fault::Missing(name)),
                Some(None) => note(Fault::Malformed(name)),
                Some(Some(found)) => *tag = found,
            }
        }
        for (i, field) in self.fields.iter().enumerate() {
            let single = matches!(
                field.name,
                Name::From | Name::To | Name::CallId | Name::CSeq | Name::ContentLength | Name::MaxForwards
            );
            if single && usize::from(self.first[field.name as usize]) != i {
                note(Fault::Duplicate(field.name));
            }
        }
        fault.map_or(Ok(()), Err)
    }

    fn span(&self, name: Name) -> Option<Span> {
        let first = *self.first.get(name as usize)?;
        self.fields.get(usize::from(first)).map(|f| f.value)
    }

    fn value<'a>(&self, bytes: &'a [u8], name: Name) -> Option<&'a [u8]> {
        self.span(name).map(|s| s.of(bytes))
    }
}

enum LineFault {
    /// The line does not end.
    Open,
    /// Not a header field; the next line is at this offset.
    Broken(usize),
    /// More fields than the limits allow.
    Many,
}

impl From<OpenLine> for LineFault {
    fn from(_: OpenLine) -> Self {
        Self::Open
    }
}

struct OpenLine;

/// The end of the line that holds `at`, and the start of the next. Only CRLF ends a line: a CR or LF alone would let
/// two parsers see two different messages, so it makes the head end nowhere.
fn line_end(head: &[u8], at: usize) -> Result<(usize, usize), OpenLine> {
    match memchr2(b'\r', b'\n', head.get(at..).ok_or(OpenLine)?) {
        Some(i) if head[at + i..].starts_with(b"\r\n") => Ok((at + i, at + i + 2)),
        _ => Err(OpenLine),
    }
}

fn is_call_id(text: &[u8], limits: &Limits) -> bool {
    !text.is_empty() && text.len() <= limits.call_id && text.iter().all(|&b| b.is_ascii_graphic() && b != b',')
}

fn read_cseq(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = number(&text[..digits]).filter(|&n| n < 1 << 31)?;
    let method = trim(&text[digits..]);
    (digits + method.len() < text.len() && is_token(method)).then_some((number as u32, method))
}

/// The tag of a From or To value; `None` when the value breaks the grammar (RFC 3261 §20.20).
fn read_tag(bytes: &[u8], value: Span) -> Option<Option<Span>> {
    let base = usize::from(value.start);
    let text = value.of(bytes);
    let mut at = params_start(text)?;
    let mut tag = None;
    while let Some((name, value, next)) = next_param(text, at)? {
        if text[name.0..name.1].eq_ignore_ascii_case(b"tag") {
            if tag.is_some() || !is_token(&text[value.0..value.1]) {
                return None;
            }
            tag = Some(Span::new(base + value.0, base + value.1));
        }
        at = next;
    }
    Some(tag)
}

/// Where the parameters of a name-addr or addr-spec begin: behind `>`, or at the first `;` (RFC 3261 §20.10).
fn params_start(text: &[u8]) -> Option<usize> {
    let quoted = if text.first() == Some(&b'"') { quoted_end(text, 0)? } else { 0 };
    if let Some(open) = memchr::memchr(b'<', &text[quoted..]) {
        let close = memchr::memchr(b'>', &text[quoted + open..])?;
        return (close > 1).then_some(quoted + open + close + 1);
    }
    let end = memchr::memchr(b';', text).unwrap_or(text.len());
    (quoted == 0 && !text[..end].is_empty() && text[..end].contains(&b':')).then_some(end)
}

type Range = (usize, usize);

/// The parameter that begins with the `;` at `at`: name, value (quotes included) and what follows. `Some(None)` at the
/// end, `None` when it is malformed.
#[expect(clippy::option_option, reason = "outer: grammar, inner: end")]
fn next_param(text: &[u8], at: usize) -> Option<Option<(Range, Range, usize)>> {
    let at = skip_ws(text, at);
    if at == text.len() {
        return Some(None);
    }
    if text[at] != b';' {
        return None;
    }
    let start = skip_ws(text, at + 1);
    let end = token_end(text, start);
    if end == start {
        // A stray semicolon is common enough to be let pass.
        return (text.get(end).is_none_or(|&b| b == b';')).then_some(Some(((start, start), (start, start), end)));
    }
    let mut after = skip_ws(text, end);
    let mut value = (after, after);
    if text.get(after) == Some(&b'=') {
        let from = skip_ws(text, after + 1);
        let to = match text.get(from) {
            Some(b'"') => quoted_end(text, from)?,
            Some(b'[') => from + memchr::memchr(b']', &text[from..])? + 1,
            _ => from + text[from..].iter().take_while(|&&b| is_param_byte(b)).count(),
        };
        value = (from, to);
        after = skip_ws(text, to);
    }
    Some(Some(((start, end), value, after)))
}

/// Values of parameters are tokens or hosts; `:`, `/` and `@` are met in the wild and harm nothing.
fn is_param_byte(byte: u8) -> bool {
    is_token_byte(byte) || matches!(byte, b':' | b'/' | b'[' | b']' | b'@')
}

/// The first value of a Via field (RFC 3261 §20.42).
fn read_via(bytes: &[u8], field: Span) -> Option<ViaIndex> {
    let base = usize::from(field.start);
    let text = field.of(bytes);
    let mut at = expect_token(text, 0, b"SIP")?;
    at = expect_slash(text, at)?;
    at = expect_token(text, at, b"2.0")?;
    at = expect_slash(text, at)?;
    let transport_end = token_end(text, at);
    let transport = Transport::from_token(&text[at..transport_end]);
    at = skip_ws(text, transport_end);
    if transport_end == 0 || at == transport_end {
        return None;
    }
    let host_end = if text.get(at) == Some(&b'[') {
        at + memchr::memchr(b']', &text[at..])? + 1
    } else {
        at + text[at..].iter().take_while(|&&b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')).count()
    };
    let mut via = ViaIndex { transport, host: Span::new(base + at, base + host_end), ..ViaIndex::default() };
    if host_end == at {
        return None;
    }
    at = skip_ws(text, host_end);
    if text.get(at) == Some(&b':') {
        let from = skip_ws(text, at + 1);
        let to = from + text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        via.port = Some(number(&text[from..to]).and_then(|n| u16::try_from(n).ok()).filter(|&n| n != 0)?);
        at = skip_ws(text, to);
    }
    let mut end = at;
    while at < text.len() && text[at] != b',' {
        let Some((name, value, next)) = next_param(text, at)? else { break };
        via.note_param(&text[name.0..name.1], (base + name.0, base + name.1), (base + value.0, base + value.1), &text[value.0..value.1])?;
        (at, end) = (next, next);
    }
    via.value = Span::new(base, base + trim(&text[..end]).len());
    Some(via)
}

impl ViaIndex {
    fn note_param(&mut self, name: &[u8], at: Range, value_at: Range, value: &[u8]) -> Option<()> {
        if name.eq_ignore_ascii_case(b"branch") {
            if value.is_empty() {
                return None;
            }
            self.branch = Some(Span::new(value_at.0, value_at.1));
        } else if name.eq_ignore_ascii_case(b"rport") {
            self.rport = match value {
                [] => Rport::Asked(at.1 as u16),
                digits => Rport::Value(u16::try_from(number(digits)?).ok()?),
            };
        } else if name.eq_ignore_ascii_case(b"received") {
            self.received = Some(Span::new(value_at.0, value_at.1));
        }
        Some(())
    }
}

fn expect_token(text: &[u8], at: usize, token: &[u8]) -> Option<usize> {
    let end = token_end(text, at);
    text[at..end].eq_ignore_ascii_case(token).then_some(end)
}

fn expect_slash(text: &[u8], at: usize) -> Option<usize> {
    let at = skip_ws(text, at);
    (text.get(at) == Some(&b'/')).then(|| skip_ws(text, at + 1))
}
