//! Parameters of header fields (RFC 3261 §25.1 `generic-param`) and their values.

use std::borrow::Cow;

use crate::scan::{find_near, param_end, quoted_end, skip_ws, token_end, unescape_quoted};

/// A range of a text.
pub(crate) type Range = (usize, usize);

/// The parameter that begins with the `;` at `at`: name, value (quotes included) and what follows. `Some(None)` at the
/// end, `None` when it is malformed. A value that is empty starts behind its `=` or, without one, behind the name.
///
/// A stray semicolon, between two parameters or at the end, is common enough to be let pass; two in a row are refused
/// (RFC 4475 §3.1.2.1).
pub(crate) fn next_param(text: &[u8], at: usize) -> Option<Option<(Range, Range, usize)>> {
    let at = skip_ws(text, at);
    match text.get(at) {
        None => return Some(None),
        Some(b';') => {}
        Some(_) => return None,
    }
    let mut start = skip_ws(text, at + 1);
    match text.get(start) {
        None | Some(b',') => return Some(Some(((start, start), (start, start), start))),
        Some(b';') => start = skip_ws(text, start + 1),
        Some(_) => {}
    }
    let end = token_end(text, start);
    if end == start {
        return None;
    }
    let mut after = skip_ws(text, end);
    let mut value = (end, end);
    if text.get(after) == Some(&b'=') {
        let from = skip_ws(text, after + 1);
        let to = match text.get(from) {
            Some(b'"') => quoted_end(text, from)?,
            _ => param_end(text, from),
        };
        value = (from, to);
        after = skip_ws(text, to);
    }
    Some(Some(((start, end), value, after)))
}

/// The value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamValue<'a> {
    /// A token, a host or a number.
    Token(&'a [u8]),
    /// What is between the quotes of a quoted string, its backslashes included.
    Quoted(&'a [u8]),
}

impl<'a> ParamValue<'a> {
    /// Of a value as it is written.
    pub fn of(raw: &'a [u8]) -> Self {
        match raw {
            [b'"', inside @ .., b'"'] => Self::Quoted(inside),
            token => Self::Token(token),
        }
    }

    /// The text, without quotes but with the escapes of a quoted string (RFC 7616 `unq`).
    pub fn inside(self) -> &'a [u8] {
        match self {
            Self::Token(text) | Self::Quoted(text) => text,
        }
    }

    /// The text that is meant: without quotes and escapes.
    pub fn text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Token(text) => Cow::Borrowed(text),
            Self::Quoted(inside) => unescape_quoted(inside),
        }
    }

    /// Whether it means this text: without quotes and escapes, byte by byte.
    pub fn means(self, text: &[u8]) -> bool {
        let inside = self.inside();
        (inside == text && find_near(inside, b'\\').is_none()) || *self.text() == *text
    }

    /// Whether it is this token, in any case, quoted or not.
    pub fn is(self, token: &[u8]) -> bool {
        self.inside().eq_ignore_ascii_case(token)
    }

    /// Appends it.
    pub fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Token(text) => out.extend_from_slice(text),
            Self::Quoted(inside) => {
                out.push(b'"');
                out.extend_from_slice(inside);
                out.push(b'"');
            }
        }
    }
}

/// Parameters as they were written: empty, or from their first `;` on, white space and folding included.
#[derive(Clone, Copy, Default)]
pub struct Params<'a>(&'a [u8]);

/// Byte by byte, but for white space around separators.
impl PartialEq for Params<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Params<'_> {}

impl std::fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, value) in self.iter() {
            write!(f, ";{}", name.escape_ascii())?;
            if let Some(value) = value {
                write!(f, "={}", value.escape_ascii())?;
            }
        }
        Ok(())
    }
}

impl<'a> Params<'a> {
    /// Checks that a text is nothing but parameters.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(text));
        }
        let mut at = 0;
        while let Some((_, _, next)) = next_param(text, at)? {
            at = next;
        }
        Some(Self(text))
    }

    /// The text, its first `;` included.
    pub fn text(self) -> &'a [u8] {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// Name and value of each, as written. A value is `None` where there is no `=`.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let (text, mut at) = (self.0, 0);
        std::iter::from_fn(move || {
            let (name, value, next) = next_param(text, at)??;
            at = next;
            (name.1 > name.0).then(|| {
                let valued = value.0 > name.1;
                (&text[name.0..name.1], valued.then(|| &text[value.0..value.1]))
            })
        })
    }

    /// The value of the first of a name, without regard to case, as written. Outer: whether it is there; inner: whether
    /// it has a value.
    pub fn get(self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        self.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of the first of a name, if it has one, as written.
    pub fn value(self, name: &[u8]) -> Option<&'a [u8]> {
        self.get(name).flatten()
    }

    /// [`value`](Self::value), told apart by whether it is quoted.
    pub fn param_value(self, name: &[u8]) -> Option<ParamValue<'a>> {
        self.value(name).map(ParamValue::of)
    }

    /// Whether there is one of that name.
    pub fn has(self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Appends them, without white space around their separators.
    pub fn encode(self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            out.push(b';');
            out.extend_from_slice(name);
            if let Some(value) = value {
                out.push(b'=');
                out.extend_from_slice(value);
            }
        }
    }
}
