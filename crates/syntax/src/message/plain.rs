//! Field lines as nearly all peers write them: a known name, a colon, a space, the value, a line end. The fields that every
//! message must have are read on the way to the end of their line.
//!
//! What is written in any other way is left to the readers of the whole grammar.

use super::index::{ABSENT, Index, Party, Rport, StartLine, ViaIndex};
use super::parse::Line;
use crate::edits::Span;
use crate::scan::{
    call_id_end, digits_end, far_host_end, far_token_end, find_near, find_odd, is_ws, number_at, param_end,
    port, quoted_near, uri_end,
};
use crate::{Limits, Method, Name, Transport};

/// Which of the fields that every message must have were read with their line: a bit for each.
#[derive(Clone, Copy, Default)]
pub(super) struct Plain(u8);

impl Plain {
    const VIA: Self = Self(1);
    const FROM: Self = Self(2);
    const TO: Self = Self(4);
    const CALL_ID: Self = Self(8);
    const CSEQ: Self = Self(16);
    /// Of a field that a message may lack.
    const OTHER: Self = Self(0);

    /// Whether all were, so that nobody must look at them again.
    pub(super) fn is_all(self) -> bool {
        self.0 == Self::VIA.0 | Self::FROM.0 | Self::TO.0 | Self::CALL_ID.0 | Self::CSEQ.0
    }
}

impl Index {
    /// The Request-Line of a known method that `head` begins with; where the next line starts.
    #[inline(never)]
    pub(super) fn read_plain_start(&mut self, head: &[u8], limits: &Limits) -> Option<usize> {
        let method_end = find_near(head, b' ')?;
        let method = Method::from_token(head.get(..method_end)?);
        let start = method_end + 1;
        let end = uri_end(head, start);
        let fits = method != Method::Other && end > start && end - start <= limits.request_uri;
        if !fits || !head.get(end..)?.starts_with(b" SIP/2.0\r\n") {
            return None;
        }
        self.start_line = Some(StartLine::Request {
            method,
            method_text: Span::new(0, method_end),
            uri: Span::new(start, end),
        });
        Some(end + b" SIP/2.0\r\n".len())
    }

    /// The field line that `rest` begins with, which is at `at` in the head. The value of a field that every message must
    /// have is put into the index; if not all are, that means nothing.
    #[inline(always)]
    pub(super) fn read_plain_line(
        &mut self,
        rest: &[u8],
        at: usize,
        limits: &Limits,
        plain: &mut Plain,
    ) -> Option<Line> {
        let (name, name_len) = Name::before_colon(rest)?;
        let ([colon, space], value) = rest.get(name_len..)?.split_first_chunk()?;
        if [*colon, *space] != *b": " {
            return None;
        }
        let start = name_len + 2;
        let (len, read) = self.read_plain_value(name, value, at + start, limits)?;
        let [cr, lf, next] = *value.get(len..)?.first_chunk()?;
        if [cr, lf] != *b"\r\n" || matches!(next, b' ' | b'\t') {
            return None;
        }
        plain.0 |= read.0;
        Some(Line {
            name,
            name_len,
            value: (start, start + len),
            len: start + len + 2,
        })
    }

    /// The length of the value that `text` begins with, which is at `at` in the head, and which of the fields that every
    /// message must have it was read as.
    #[inline(always)]
    fn read_plain_value(
        &mut self,
        name: Name,
        text: &[u8],
        at: usize,
        limits: &Limits,
    ) -> Option<(usize, Plain)> {
        let is_first = |index: &Self| index.first.get(name as usize) == Some(&ABSENT);
        Some(match name {
            Name::Via if is_first(self) => (self.via.read_plain(text, at)?, Plain::VIA),
            Name::From if is_first(self) => (self.from.read_plain(text, at)?, Plain::FROM),
            Name::To if is_first(self) => (self.to.read_plain(text, at)?, Plain::TO),
            Name::CallId if is_first(self) => {
                let len = call_id_end(text, 0);
                self.call_id = Span::new(at, at + len);
                if len == 0 || len > limits.call_id {
                    return None;
                }
                (len, Plain::CALL_ID)
            }
            Name::ContentLength | Name::MaxForwards => match digits_end(text, 0) {
                0 => return None,
                len => (len, Plain::OTHER),
            },
            Name::CSeq if is_first(self) => (self.read_plain_cseq(text)?, Plain::CSEQ),
            _ => {
                let len = find_odd(text)?;
                let (first, last) = (*text.first()?, *text.get(len.checked_sub(1)?)?);
                if is_ws(first) || is_ws(last) {
                    return None;
                }
                (len, Plain::OTHER)
            }
        })
    }

    /// The length of the CSeq value that `text` begins with, whose method is known and, in a request, the right one.
    #[inline(never)]
    fn read_plain_cseq(&mut self, text: &[u8]) -> Option<usize> {
        let (number, end) = number_at(text, 0, (1 << 31) - 1)?;
        let text = text.get(end..)?.strip_prefix(b" ")?;
        let method = match self.start_line? {
            StartLine::Request { method, .. } => method,
            StartLine::Response { .. } => Method::from_token(&text[..find_near(text, b'\r')?]),
        };
        (self.cseq, self.cseq_method) = (number, method);
        let expected = method.as_str().as_bytes();
        let fits = end > 0 && method != Method::Other && text.starts_with(expected);
        fits.then_some(end + 1 + expected.len())
    }
}

impl Party {
    /// The length of the From or To value that `text` begins with, which is at `at` in the head: maybe a quoted display
    /// name, an address in angle brackets, and no parameter but a tag.
    #[inline(never)]
    fn read_plain(&mut self, text: &[u8], at: usize) -> Option<usize> {
        let mut open = 0;
        if text.first() == Some(&b'"') {
            open = quoted_near(text, 0)?;
            open += usize::from(text.get(open) == Some(&b' '));
        }
        if text.get(open) != Some(&b'<') {
            return None;
        }
        let close = uri_end(text, open + 1);
        if close == open + 1 {
            return None;
        }
        self.uri = Span::new(at + open + 1, at + close);
        let rest = text.get(close..)?;
        if rest.starts_with(b">;tag=") {
            let start = close + b">;tag=".len();
            let end = far_token_end(text, start);
            self.tag = Some(Span::new(at + start, at + end));
            return (end > start).then_some(end);
        }
        rest.starts_with(b">").then_some(close + 1)
    }
}

impl ViaIndex {
    /// The length of the value that `head` begins with, which is at `base` in the whole head, if it is alone in its field.
    /// All parameters are ones that we know.
    #[inline(never)]
    fn read_plain(&mut self, head: &[u8], base: usize) -> Option<usize> {
        let [protocol @ .., a, b, c, b' '] = head.first_chunk::<12>()? else {
            return None;
        };
        if protocol != b"SIP/2.0/" {
            return None;
        }
        self.transport = Some(match [*a, *b, *c] {
            [b'U', b'D', b'P'] => Transport::Udp,
            [b'T', b'C', b'P'] => Transport::Tcp,
            [b'T', b'L', b'S'] => Transport::Tls,
            [b'W', b'S', b'S'] => Transport::Wss,
            _ => return None,
        });
        let host = b"SIP/2.0/UDP ".len();
        let mut end = far_host_end(head, host);
        self.host = Span::new(base + host, base + end);
        if end == host {
            return None;
        }
        if head.get(end) == Some(&b':') {
            let (value, behind) = port(head, end + 1)?;
            (self.port, end) = (Some(value), behind);
        }
        while let [b';', param @ ..] = head.get(end..)? {
            let start = end + 1;
            end = if param.starts_with(b"branch=") && self.branch.is_none() {
                value_of(head, start + b"branch=".len(), base, &mut self.branch)?
            } else if param.starts_with(b"rport") && self.rport == Rport::Absent {
                let end = start + b"rport".len();
                if head.get(end) == Some(&b'=') {
                    let (value, end) = port(head, end + 1)?;
                    self.rport = Rport::Value(value);
                    end
                } else {
                    self.rport = Rport::Asked((base + end) as u16);
                    end
                }
            } else if param.starts_with(b"received=") && self.received.is_none() {
                value_of(head, start + b"received=".len(), base, &mut self.received)?
            } else {
                return None;
            };
        }
        self.value = Span::new(base, base + end);
        Some(end)
    }
}

/// The end of a parameter's value that begins at `at` of a text, which begins at `base`.
#[inline]
fn value_of(text: &[u8], at: usize, base: usize, value: &mut Option<Span>) -> Option<usize> {
    let end = param_end(text, at);
    *value = Some(Span::new(base + at, base + end));
    (end > at).then_some(end)
}
