//! Attributes (RFC 8866 §5.13), and the values of those that say what media is and where it goes (§6).

use std::time::Duration;

use super::line::{is_byte_string, is_digits, is_token, split_once};
use crate::scan::number;

/// An attribute: a name, and a value unless it is a flag. It is always one that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Attribute<'a> {
    /// Reads what stands behind `a=`. An empty value, which the grammar does not have, is taken for what it is.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (name, value) = match split_once(text, b':') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        (is_token(name) && is_byte_string(text)).then_some(Self { name, value })
    }

    /// The name, which is case-sensitive.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// What stands behind the colon.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name);
        if let Some(value) = self.value {
            out.push(b':');
            out.extend_from_slice(value);
        }
    }
}

/// Which way media flows, as seen by who wrote the description (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// It sends only.
    SendOnly,
    /// It receives only.
    RecvOnly,
    /// No way; RTCP still flows.
    Inactive,
}

impl Direction {
    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The direction that an attribute stands for.
    pub fn of(attribute: &Attribute<'_>) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        let named = all
            .into_iter()
            .find(|it| it.as_str().as_bytes() == attribute.name);
        named.filter(|_| attribute.value.is_none())
    }
}

/// What an RTP payload type stands for (RFC 8866 §6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpMap<'a> {
    /// The payload type.
    pub payload_type: u8,
    /// The name of the encoding, which is compared without regard to case (RFC 4855 §3).
    pub encoding_name: &'a [u8],
    /// Ticks a second.
    pub clock_rate: u32,
    /// The parameters of the encoding: of audio, the number of channels.
    pub encoding_params: Option<&'a [u8]>,
}

impl<'a> RtpMap<'a> {
    /// Reads the value of an `rtpmap` attribute.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (payload_type, encoding) = split_once(value.trim_ascii(), b' ')?;
        let (encoding_name, rate) = split_once(encoding.trim_ascii(), b'/')?;
        let (rate, encoding_params) = match split_once(rate, b'/') {
            Some((rate, params)) => (rate, Some(params)),
            None => (rate, None),
        };
        is_token(encoding_name).then_some(Self {
            payload_type: number(payload_type)?.try_into().ok()?,
            encoding_name,
            clock_rate: number(rate)?.try_into().ok().filter(|&rate| rate > 0)?,
            encoding_params,
        })
    }
}

/// `non-zero-int-or-real` milliseconds, to the nanosecond.
pub(super) fn milliseconds(value: &[u8]) -> Option<Duration> {
    let value = value.trim_ascii();
    let (whole, fraction) = split_once(value, b'.').unwrap_or((value, b"0"));
    if !is_digits(fraction) {
        return None;
    }
    let mut digits = *b"000000";
    for (to, from) in digits.iter_mut().zip(fraction) {
        *to = *from;
    }
    let whole: u32 = number(whole)?.try_into().ok()?;
    let time = Duration::from_millis(whole.into()) + Duration::from_nanos(number(&digits)?);
    (!time.is_zero()).then_some(time)
}
