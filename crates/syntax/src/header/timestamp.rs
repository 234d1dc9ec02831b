//! Timestamp (RFC 3261 §20.38).

use super::{Encode, Header, HeaderError, Name};
use crate::scan::{is_ws, trim};

/// When a request was sent, and how long its receiver took. Both are decimal fractions, as written, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp<'a> {
    /// The sender's time; only the sender knows what it counts from.
    pub time: &'a [u8],
    /// The receiver's delay.
    pub delay: Option<&'a [u8]>,
}

impl<'a> Timestamp<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let end = value.iter().position(|&b| is_ws(b)).unwrap_or(value.len());
        let (time, rest) = (&value[..end], trim(&value[end..]));
        let delay = (!rest.is_empty()).then_some(rest);
        let known =
            time.first().is_some_and(u8::is_ascii_digit) && is_decimal(time) && delay.is_none_or(is_decimal);
        known.then_some(Self { time, delay })
    }
}

/// Digits, with one dot at most, and at least one digit (§25.1 lets a delay begin with the dot).
fn is_decimal(text: &[u8]) -> bool {
    let dots = text.iter().filter(|&&b| b == b'.').count();
    dots <= 1 && dots < text.len() && text.iter().all(|&b| b.is_ascii_digit() || b == b'.')
}

impl<'a> Header<'a> for Timestamp<'a> {
    const NAME: Name = Name::Timestamp;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        Self::read(value).ok_or(HeaderError {
            name: Self::NAME,
            what: "not a time and a delay",
        })
    }
}

impl Encode for Timestamp<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.time);
        if let Some(delay) = self.delay {
            out.push(b' ');
            out.extend_from_slice(delay);
        }
    }
}
