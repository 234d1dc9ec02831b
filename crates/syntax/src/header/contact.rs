//! Contact (RFC 3261 §20.10).

use super::{Encode, Header, HeaderError, Name, NameAddr};
use crate::scan::number;

/// One value of a Contact field.
#[derive(Clone, Copy, Debug)]
pub enum Contact<'a> {
    /// `*`, which stands alone and only in a REGISTER that removes all bindings (§10.2.2).
    Star,
    /// An address.
    Address(NameAddr<'a>),
}

/// A preference from 0 to 1, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Q(u16);

impl Q {
    /// 1, the highest.
    pub const ONE: Self = Self(1000);

    /// Of thousandths, at most 1000.
    pub const fn of_thousandths(value: u16) -> Self {
        Self(if value > 1000 { 1000 } else { value })
    }

    /// In thousandths.
    pub const fn thousandths(self) -> u16 {
        self.0
    }

    /// Reads a `qvalue` (§25.1).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (whole, fraction) = match text {
            [whole @ (b'0' | b'1')] => (*whole, &[][..]),
            [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
            // Some write `.5`.
            [b'.', fraction @ ..] if matches!(fraction.len(), 1..=3) => (b'0', fraction),
            _ => return None,
        };
        let mut value = u16::from(whole - b'0') * 1000;
        for (digit, weight) in fraction.iter().zip([100, 10, 1]) {
            value += u16::from(digit.is_ascii_digit().then(|| digit - b'0')?) * weight;
        }
        (value <= 1000).then_some(Self(value))
    }

    /// Appends it in its shortest form.
    pub fn encode(self, out: &mut Vec<u8>) {
        if self.0 >= 1000 {
            return out.push(b'1');
        }
        out.push(b'0');
        let digits = [self.0 / 100, self.0 / 10 % 10, self.0 % 10].map(|d| b'0' + d as u8);
        let len = digits.iter().rposition(|&d| d != b'0').map_or(0, |i| i + 1);
        if len > 0 {
            out.push(b'.');
            out.extend_from_slice(&digits[..len]);
        }
    }
}

impl<'a> Contact<'a> {
    /// The address, unless it is `*`.
    pub fn address(&self) -> Option<&NameAddr<'a>> {
        match self {
            Self::Star => None,
            Self::Address(address) => Some(address),
        }
    }

    /// The expires parameter in seconds.
    pub fn expires(&self) -> Option<u32> {
        self.address()?.params.get(b"expires").map(Self::expires_of)
    }

    /// The seconds that the value of an expires parameter means. What is no number of 32 bits counts as 3600 (§10.2.1.1).
    pub fn expires_of(value: Option<&[u8]>) -> u32 {
        value
            .and_then(number)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(3600)
    }

    /// The q parameter; `None` too when it is malformed.
    pub fn q(&self) -> Option<Q> {
        self.address()?.params.value(b"q").and_then(Q::parse)
    }
}

impl<'a> Header<'a> for Contact<'a> {
    const NAME: Name = Name::Contact;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        if value == b"*" {
            return Ok(Self::Star);
        }
        NameAddr::parse(value)
            .map(Self::Address)
            .map_err(|what| HeaderError {
                name: Self::NAME,
                what,
            })
    }
}

impl Encode for Contact<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Star => out.push(b'*'),
            Self::Address(address) => address.encode(out),
        }
    }
}
