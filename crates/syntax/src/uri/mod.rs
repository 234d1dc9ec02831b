//! URIs (RFC 3261 §19.1, RFC 3966). Parsing borrows and allocates nothing.
//!
//! What the grammar asks for is checked as far as two readers could otherwise see two different things: structure,
//! host, port and escapes. Characters that should have been escaped but separate nothing (`#` in a user part) pass.

mod compare;
pub mod escape;
mod host;
mod params;
mod sip;
mod tel;
#[cfg(test)]
mod tests;

pub use host::Host;
pub use params::Params;
pub use sip::{SipUri, TransportParam};
pub use tel::TelUri;

use crate::scan::{find_near, is_uri_text, is_word};

/// A URI.
#[derive(Clone, Copy, Debug)]
pub enum Uri<'a> {
    /// `sip:` or `sips:`.
    Sip(SipUri<'a>),
    /// `tel:`.
    Tel(TelUri<'a>),
    /// Any other scheme.
    Other {
        /// The scheme, without its colon.
        scheme: &'a [u8],
        /// What follows the colon.
        rest: &'a [u8],
    },
}

/// What breaks a URI: the fault of whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    /// There is no scheme.
    Scheme,
    /// White space, control characters, quotes, angle brackets or bytes that are not ASCII.
    Character,
    /// The user part is empty or has a broken escape.
    User,
    /// The host is neither a name nor an address.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
    /// A parameter has no name or a broken escape, or there are more than [`Params::MAX`].
    Param,
    /// A header has no name or a broken escape, or there are more than [`Params::MAX`].
    Headers,
    /// The telephone number has other characters than digits and separators.
    Number,
}

impl std::fmt::Display for UriError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Scheme => "URI without scheme",
            Self::Character => "character that no URI may have",
            Self::User => "malformed user part",
            Self::Host => "malformed host",
            Self::Port => "malformed port",
            Self::Param => "malformed URI parameter",
            Self::Headers => "malformed URI headers",
            Self::Number => "malformed telephone number",
        })
    }
}

impl std::error::Error for UriError {}

impl<'a> Uri<'a> {
    /// Reads a URI that is the whole text.
    pub fn parse(text: &'a [u8]) -> Result<Self, UriError> {
        if let [b's', b'i', b'p', b':', rest @ ..] = text
            && let Some(uri) = SipUri::read_plain(false, rest)
        {
            return Ok(Self::Sip(uri));
        }
        Self::read(text)
    }

    #[inline(never)]
    fn read(text: &'a [u8]) -> Result<Self, UriError> {
        let colon = find_near(text, b':').ok_or(UriError::Scheme)?;
        let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
        if !is_scheme(scheme) || rest.is_empty() {
            return Err(UriError::Scheme);
        }
        if !is_uri_text(rest) {
            return Err(UriError::Character);
        }
        if is_word(scheme, b"sip") {
            return SipUri::read(false, rest).map(Self::Sip);
        }
        if is_word(scheme, b"sips") {
            return SipUri::read(true, rest).map(Self::Sip);
        }
        if is_word(scheme, b"tel") {
            return TelUri::parse(rest).map(Self::Tel);
        }
        Ok(Self::Other { scheme, rest })
    }

    /// The SIP or SIPS URI, if it is one.
    pub fn as_sip(&self) -> Option<&SipUri<'a>> {
        match self {
            Self::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// The telephone URI, if it is one.
    pub fn as_tel(&self) -> Option<&TelUri<'a>> {
        match self {
            Self::Tel(uri) => Some(uri),
            _ => None,
        }
    }

    /// The scheme, in lower case where it is one of ours.
    pub fn scheme(&self) -> &'a [u8] {
        match self {
            Self::Sip(uri) if uri.secure => b"sips",
            Self::Sip(_) => b"sip",
            Self::Tel(_) => b"tel",
            Self::Other { scheme, .. } => scheme,
        }
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sip(uri) => uri.encode(out),
            Self::Tel(uri) => uri.encode(out),
            Self::Other { scheme, rest } => {
                out.extend_from_slice(scheme);
                out.push(b':');
                out.extend_from_slice(rest);
            }
        }
    }
}

/// `scheme` (RFC 3261 §25.1).
fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .iter()
            .all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}
