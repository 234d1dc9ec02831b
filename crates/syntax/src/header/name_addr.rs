//! Header fields that hold a `name-addr` or an `addr-spec` with parameters (RFC 3261 §20.10, §25.1).

use std::borrow::Cow;

use super::{Encode, ParamValue, Params};
use crate::Uri;
use crate::scan::{find_near, is_ws, quoted_end, skip_ws, trim};

/// An address with an optional display name and parameters.
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    /// The display name as written; quoted or words.
    pub display: Option<ParamValue<'a>>,
    /// The URI as written, without its angle brackets.
    pub uri_text: &'a [u8],
    /// The URI.
    pub uri: Uri<'a>,
    /// Whether the URI stood in angle brackets; without them, parameters belong to the header field.
    pub bracketed: bool,
    /// The header field's parameters.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// An address without display name and parameters.
    pub fn of_uri(uri_text: &'a [u8]) -> Result<Self, crate::uri::UriError> {
        let uri = Uri::parse(uri_text)?;
        Ok(Self {
            display: None,
            uri_text,
            uri,
            bracketed: true,
            params: Params::default(),
        })
    }

    /// Reads a value; `what` is wrong when it cannot be.
    pub fn parse(value: &'a [u8]) -> Result<Self, &'static str> {
        let WrittenAddr {
            display,
            uri_text,
            bracketed,
            params,
        } = WrittenAddr::parse(value)?;
        let uri = Uri::parse(uri_text).map_err(|_| "malformed URI")?;
        let display = (!display.is_empty()).then(|| ParamValue::of(display));
        Ok(Self {
            display,
            uri_text,
            uri,
            bracketed,
            params,
        })
    }

    /// [`parse`](Self::parse) for fields whose grammar asks for angle brackets.
    pub fn parse_bracketed(value: &'a [u8]) -> Result<Self, &'static str> {
        Self::parse(value).and_then(|address| match address.bracketed {
            true => Ok(address),
            false => Err("URI without angle brackets"),
        })
    }

    /// The display name that is meant, without quotes and escapes.
    pub fn display_name(&self) -> Option<Cow<'a, [u8]>> {
        self.display.map(ParamValue::text)
    }

    /// The tag parameter (§19.3).
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.value(b"tag")
    }
}

/// A [`NameAddr`] whose URI nobody has looked into: for who knows the text already.
#[derive(Clone, Copy, Debug)]
pub struct WrittenAddr<'a> {
    /// The display name as written; empty without one.
    pub display: &'a [u8],
    /// What should be a URI, without its angle brackets.
    pub uri_text: &'a [u8],
    /// Whether it stood in angle brackets.
    pub bracketed: bool,
    /// The header field's parameters.
    pub params: Params<'a>,
}

impl<'a> WrittenAddr<'a> {
    /// Finds the parts of a value; `what` is wrong when they cannot be told apart.
    pub fn parse(value: &'a [u8]) -> Result<Self, &'static str> {
        let layout = layout(value).ok_or("malformed address")?;
        let uri_text = &value[layout.uri.0..layout.uri.1];
        if !layout.bracketed && uri_text.contains(&b'?') {
            // §20: a URI with `?` needs angle brackets, or its headers could be read as the field's.
            return Err("URI without angle brackets");
        }
        Ok(Self {
            display: trim(&value[..layout.display_end]),
            uri_text,
            bracketed: layout.bracketed,
            params: Params::parse(&value[layout.params..]).ok_or("malformed parameters")?,
        })
    }
}

impl Encode for NameAddr<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        if let Some(display) = self.display {
            display.encode(out);
            out.push(b' ');
        }
        out.push(b'<');
        out.extend_from_slice(self.uri_text);
        out.push(b'>');
        self.params.encode(out);
    }
}

/// Where the parts of a name-addr or addr-spec are.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    display_end: usize,
    /// Where the URI is, without its angle brackets.
    pub(crate) uri: (usize, usize),
    /// Where the parameters begin: behind `>`, or at the first `;`.
    pub(crate) params: usize,
    /// Whether the URI stands in angle brackets.
    pub(crate) bracketed: bool,
}

/// Finds the parts, and looks at no URI. Words of a display name may have more characters than the grammar allows, but none
/// that could end it or the value.
pub(crate) fn layout(text: &[u8]) -> Option<Layout> {
    let quoted = if text.first() == Some(&b'"') {
        quoted_end(text, 0)?
    } else {
        0
    };
    if let [b'<', inner @ ..] = text {
        let close = 1 + find_near(inner, b'>')?;
        return (close > 1).then_some(Layout {
            display_end: 0,
            uri: (1, close),
            params: close + 1,
            bracketed: true,
        });
    }
    if let Some(open) = find_near(&text[quoted..], b'<') {
        let open = quoted + open;
        let close = open + find_near(&text[open..], b'>')?;
        let words = &text[quoted..open];
        let plain = match quoted {
            0 => !words
                .iter()
                .any(|b| matches!(b, b'"' | b',' | b';' | b'\\' | b'>')),
            _ => words.iter().all(|&b| is_ws(b)),
        };
        let found = Layout {
            display_end: open,
            uri: (open + 1, close),
            params: close + 1,
            bracketed: true,
        };
        return (plain && close > open + 1).then_some(found);
    }
    let end = text
        .iter()
        .position(|&b| b == b';' || b == b',')
        .unwrap_or(text.len());
    let uri = trim(&text[..end]);
    let start = skip_ws(text, 0);
    let found = Layout {
        display_end: 0,
        uri: (start, start + uri.len()),
        params: end,
        bracketed: false,
    };
    (quoted == 0 && uri.contains(&b':')).then_some(found)
}

family! { NameAddr, NameAddr::parse:
    From "RFC 3261 §20.20.";
    To "RFC 3261 §20.39.";
    ReplyTo "RFC 3261 §20.31.";
    ReferTo "RFC 3515 §2.1.";
    ReferredBy "RFC 3892 §3.";
    PAssertedIdentity "RFC 3325 §9.1.";
    PPreferredIdentity "RFC 3325 §9.2.";
}

family! { NameAddr, NameAddr::parse_bracketed:
    Route "RFC 3261 §20.34.";
    RecordRoute "RFC 3261 §20.30.";
    Path "RFC 3327 §4.";
    ServiceRoute "RFC 3608 §5.";
    AlertInfo "RFC 3261 §20.4: where a ring tone is.";
    CallInfo "RFC 3261 §20.9: where there is more about the caller or callee.";
    ErrorInfo "RFC 3261 §20.18: where there is more about an error.";
}
