//! Content-Type (RFC 3261 §20.15) and Accept (§20.1).

use super::{Encode, ParamValue, Params, Q};
use crate::scan::{is_token, trim};

/// A media type with parameters. In Accept, `*` may stand for the subtype or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// The type.
    pub kind: &'a [u8],
    /// The subtype.
    pub subtype: &'a [u8],
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> MediaType<'a> {
    /// Reads a value; `what` is wrong when it cannot be.
    pub fn parse(value: &'a [u8]) -> Result<Self, &'static str> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let slash = memchr::memchr(b'/', &value[..end]).ok_or("not a media type")?;
        let (kind, subtype) = (trim(&value[..slash]), trim(&value[slash + 1..end]));
        if !is_token(kind) || !is_token(subtype) {
            return Err("not a media type");
        }
        Ok(Self {
            kind,
            subtype,
            params: Params::parse(&value[end..]).ok_or("malformed parameters")?,
        })
    }

    /// Whether it is this media type, in any case and whatever its parameters.
    pub fn is(&self, kind: &[u8], subtype: &[u8]) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// Whether it, as a range, covers a media type.
    pub fn covers(&self, kind: &[u8], subtype: &[u8]) -> bool {
        (self.kind == b"*" || self.kind.eq_ignore_ascii_case(kind))
            && (self.subtype == b"*" || self.subtype.eq_ignore_ascii_case(subtype))
    }

    /// The boundary parameter of a multipart type (RFC 2046 §5.1.1).
    pub fn boundary(&self) -> Option<ParamValue<'a>> {
        self.params.param_value(b"boundary")
    }

    /// The q parameter; 1 without one or with a malformed one.
    pub fn q(&self) -> Q {
        self.params.value(b"q").and_then(Q::parse).unwrap_or(Q::ONE)
    }
}

impl Encode for MediaType<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.kind);
        out.push(b'/');
        out.extend_from_slice(self.subtype);
        self.params.encode(out);
    }
}

family! { MediaType, MediaType::parse:
    Accept "RFC 3261 §20.1.";
    ContentType "RFC 3261 §20.15.";
}
