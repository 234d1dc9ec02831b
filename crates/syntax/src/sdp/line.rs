//! Lines of a description (RFC 8866 §5), and what stands between the spaces of one.

use crate::edits::Span;

/// A line: `<type>=<value>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its type: one character, case-significant.
    pub letter: u8,
    /// Its value, as it was written.
    pub value: &'a [u8],
    /// Where the line is, without its end.
    pub span: Span,
}

impl Line<'_> {
    /// Where the value is.
    pub(super) fn value_span(&self) -> Span {
        Span {
            start: self.span.end - self.value.len() as u16,
            end: self.span.end,
        }
    }
}

/// The lines of a section, in order.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Lines<'a> {
    /// The lines in a range of a text.
    pub(super) fn within(text: &'a [u8], span: Span) -> Self {
        Self {
            text,
            at: span.start.into(),
            end: span.end.into(),
        }
    }

    /// Where the next line begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (content, next) = split_line(self.text.get(..self.end)?, self.at)?;
        let start = std::mem::replace(&mut self.at, next);
        match content {
            [letter, b'=', value @ ..] => Some(Line {
                letter: *letter,
                value,
                span: Span::new(start, start + content.len()),
            }),
            _ => None,
        }
    }
}

/// The line at `at` without its end, which is CRLF, LF or that of the text (RFC 8866 §5 lets a parser accept LF), and
/// where the next one begins.
pub(super) fn split_line(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    let Some(end) = memchr::memchr(b'\n', rest) else {
        return Some((rest, text.len()));
    };
    let line = &rest[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), at + end + 1))
}

/// The subfields of a value. The grammar has one space between two; peers write more, also at the ends.
pub(super) fn fields(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value.split(|&b| b == b' ').filter(|field| !field.is_empty())
}

/// Exactly so many subfields.
pub(super) fn all_fields<const N: usize>(value: &[u8]) -> Option<[&[u8]; N]> {
    let mut found = fields(value);
    let mut all = [&[][..]; N];
    for field in &mut all {
        *field = found.next()?;
    }
    found.next().is_none().then_some(all)
}

/// `token` of RFC 8866 §9, which has more characters than SIP's.
pub(super) fn is_token(text: &[u8]) -> bool {
    let ends = |b: u8| b"\"(),/:;<=>?@[\\]".contains(&b);
    !text.is_empty() && text.iter().all(|&b| b.is_ascii_graphic() && !ends(b))
}

/// `non-ws-string` of RFC 8866 §9.
pub(super) fn is_visible(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| b.is_ascii_graphic() || b >= 0x80)
}

/// `1*DIGIT`.
pub(super) fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// Whether a text can be a value: it has no NUL, CR or LF (`byte-string` of RFC 8866 §9).
pub(super) fn is_byte_string(text: &[u8]) -> bool {
    memchr::memchr3(0, b'\r', b'\n', text).is_none()
}

/// What stands before and behind the first such byte.
pub(super) fn split_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, text)?;
    Some((&text[..at], &text[at + 1..]))
}
