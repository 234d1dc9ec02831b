//! CSeq (RFC 3261 §20.16) and RAck (RFC 3262 §7.2).

use super::{Encode, Header, HeaderError, Name};
use crate::Method;
use crate::scan::{digits_end, is_token, number, put_number, trim};

/// A command sequence number and its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The number, below 2^31 (§8.1.1.5).
    pub number: u32,
    /// The method.
    pub method: Method,
    /// The method's text, which matters for [`Method::Other`].
    pub method_text: &'a [u8],
}

/// The response that a PRACK acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    /// The RSeq of the response, from 1 on.
    pub rseq: u32,
    /// The CSeq of the response.
    pub cseq: CSeq<'a>,
}

impl<'a> CSeq<'a> {
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let (number, rest) = split_number(value)?;
        let method_text = trim(rest);
        let method = Method::from_token(method_text);
        let known = method != Method::Other || is_token(method_text);
        (method_text.len() < rest.len() && known).then_some(Self {
            number,
            method,
            method_text,
        })
    }
}

/// A number below 2^31 and what follows it.
fn split_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at(digits_end(text, 0));
    let number = number(digits).and_then(|n| u32::try_from(n).ok())?;
    (number < 1 << 31).then_some((number, rest))
}

impl<'a> Header<'a> for CSeq<'a> {
    const NAME: Name = Name::CSeq;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        Self::parse(value).ok_or(HeaderError {
            name: Self::NAME,
            what: "not a number and a method",
        })
    }
}

impl<'a> Header<'a> for RAck<'a> {
    const NAME: Name = Name::RAck;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        let error = HeaderError {
            name: Self::NAME,
            what: "not two numbers and a method",
        };
        let (digits, rest) = value.split_at(digits_end(value, 0));
        let rseq = number(digits)
            .and_then(|n| u32::try_from(n).ok())
            .filter(|&n| n > 0)
            .ok_or(error)?;
        let cseq = trim(rest);
        if cseq.len() == rest.len() {
            return Err(error);
        }
        Ok(Self {
            rseq,
            cseq: CSeq::parse(cseq).ok_or(error)?,
        })
    }
}

impl Encode for CSeq<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_number(out, u64::from(self.number));
        out.push(b' ');
        out.extend_from_slice(self.method_text);
    }
}

impl Encode for RAck<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_number(out, u64::from(self.rseq));
        out.push(b' ');
        self.cseq.encode(out);
    }
}
