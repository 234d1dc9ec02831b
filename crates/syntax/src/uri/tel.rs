//! `tel:` (RFC 3966).

use super::escape::escapes_are_whole;
use super::sip::check_params;
use super::{Params, UriError};

/// A telephone URI.
#[derive(Clone, Copy, Debug)]
pub struct TelUri<'a> {
    /// The number as it was written, its `+` and visual separators included.
    pub number: &'a [u8],
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> TelUri<'a> {
    /// Reads a telephone-subscriber: what follows `tel:`, or the user part of a SIP URI with `user=phone`. A local number
    /// without phone-context is let pass: gateways and phones write emergency numbers so.
    pub fn parse(text: &'a [u8]) -> Result<Self, UriError> {
        let end = memchr::memchr(b';', text).unwrap_or(text.len());
        let (number, params) = text.split_at(end);
        let known = match number.strip_prefix(b"+") {
            Some(digits) => {
                digits.iter().all(|&b| b.is_ascii_digit() || is_separator(b))
                    && digits.iter().any(u8::is_ascii_digit)
            }
            None => {
                number.iter().all(|&b| is_local_digit(b) || is_separator(b))
                    && number.iter().copied().any(is_local_digit)
            }
        };
        if !known {
            return Err(UriError::Number);
        }
        check_params(params)?;
        if !escapes_are_whole(params) {
            return Err(UriError::Param);
        }
        Ok(Self {
            number,
            params: Params(params),
        })
    }

    /// Whether the number is global (E.164, with a `+`).
    pub fn is_global(&self) -> bool {
        self.number.starts_with(b"+")
    }

    /// The digits, visual separators left out.
    pub fn digits(&self) -> impl Iterator<Item = u8> + Clone + use<'a> {
        digits(self.number)
    }

    /// Where a local number is valid (RFC 3966 §5.1.5).
    pub fn phone_context(&self) -> Option<&'a [u8]> {
        self.params.value(b"phone-context")
    }

    /// The extension (RFC 3966 §5.3).
    pub fn extension(&self) -> Option<&'a [u8]> {
        self.params.value(b"ext")
    }

    /// The ISDN subaddress (RFC 3966 §5.2).
    pub fn isdn_subaddress(&self) -> Option<&'a [u8]> {
        self.params.value(b"isub")
    }

    /// Appends it as it was written.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"tel:");
        out.extend_from_slice(self.number);
        out.extend_from_slice(self.params.text());
    }
}

pub(super) fn digits(number: &[u8]) -> impl Iterator<Item = u8> + Clone {
    number
        .iter()
        .filter(|&&b| !is_separator(b))
        .map(u8::to_ascii_lowercase)
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

const fn is_local_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'*' | b'#')
}
