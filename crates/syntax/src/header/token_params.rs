//! Header fields, or elements of them, that are a token with parameters.

use super::{Encode, ParamValue, Params, Q};
use crate::scan::{is_token, number, trim};

/// A token with parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenParams<'a> {
    /// The token.
    pub token: &'a [u8],
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> TokenParams<'a> {
    /// Reads a value; `what` is wrong when it cannot be.
    pub fn parse(value: &'a [u8]) -> Result<Self, &'static str> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let token = trim(&value[..end]);
        if !is_token(token) {
            return Err("not a token");
        }
        Ok(Self {
            token,
            params: Params::parse(&value[end..]).ok_or("malformed parameters")?,
        })
    }

    /// Whether the token is this one, in any case.
    pub fn is(&self, token: &[u8]) -> bool {
        self.token.eq_ignore_ascii_case(token)
    }

    /// The q parameter; 1 without one or with a malformed one.
    pub fn q(&self) -> Q {
        self.params.value(b"q").and_then(Q::parse).unwrap_or(Q::ONE)
    }

    fn seconds(&self, name: &[u8]) -> Option<u32> {
        self.params
            .value(name)
            .and_then(number)
            .and_then(|n| u32::try_from(n).ok())
    }
}

impl Encode for TokenParams<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.token);
        self.params.encode(out);
    }
}

family! { TokenParams, TokenParams::parse:
    AcceptContact "RFC 3841 §9.2: `*` and feature parameters.";
    AcceptEncoding "RFC 3261 §20.2.";
    AcceptLanguage "RFC 3261 §20.3.";
    ContentDisposition "RFC 3261 §20.11.";
    Event "RFC 6665 §8.2.1: an event package, compared byte by byte.";
    Reason "RFC 3326 §2: a protocol, its cause and text.";
    RejectContact "RFC 3841 §9.2: `*` and feature parameters.";
    SubscriptionState "RFC 6665 §8.2.3.";
}

impl<'a> Event<'a> {
    /// The id parameter, which tells subscriptions of one dialog apart.
    pub fn id(&self) -> Option<&'a [u8]> {
        self.params.value(b"id")
    }
}

impl<'a> Reason<'a> {
    /// The cause: a status code for protocol SIP, a Q.850 cause for protocol Q.850.
    pub fn cause(&self) -> Option<u16> {
        self.params
            .value(b"cause")
            .and_then(number)
            .and_then(|n| u16::try_from(n).ok())
    }

    /// The text parameter.
    pub fn text(&self) -> Option<ParamValue<'a>> {
        self.params.param_value(b"text")
    }
}

impl<'a> SubscriptionState<'a> {
    /// How many seconds the subscription has left.
    pub fn expires(&self) -> Option<u32> {
        self.seconds(b"expires")
    }

    /// After how many seconds to subscribe again.
    pub fn retry_after(&self) -> Option<u32> {
        self.seconds(b"retry-after")
    }

    /// Why it was terminated (RFC 6665 §4.1.3).
    pub fn reason(&self) -> Option<&'a [u8]> {
        self.params.value(b"reason")
    }
}

/// What is to become of a message whose disposition is not understood (RFC 3261 §20.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// The message is refused.
    Required,
    /// The body is ignored.
    Optional,
}

impl ContentDisposition<'_> {
    /// The handling parameter; required without one.
    pub fn handling(&self) -> Handling {
        match self.params.param_value(b"handling") {
            Some(value) if value.is(b"optional") => Handling::Optional,
            _ => Handling::Required,
        }
    }
}
