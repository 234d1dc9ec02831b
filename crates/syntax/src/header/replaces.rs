//! Replaces (RFC 3891 §6.1).

use super::{Encode, Header, HeaderError, Name, Params};
use crate::scan::{is_call_id, trim};

/// The dialog that an INVITE is to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces<'a> {
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// The tag of its To, seen from the sender of the INVITE.
    pub to_tag: &'a [u8],
    /// The tag of its From.
    pub from_tag: &'a [u8],
    /// Whether a dialog that is confirmed is to be left alone (RFC 3891 §3).
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    fn read(value: &'a [u8]) -> Result<Self, &'static str> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let call_id = trim(&value[..end]);
        if !is_call_id(call_id) {
            return Err("not a Call-ID");
        }
        let params = Params::parse(&value[end..]).ok_or("malformed parameters")?;
        let tag = |name: &[u8]| {
            let mut tags = params.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
            match (tags.next(), tags.next()) {
                (Some((_, Some(tag))), None) if !tag.is_empty() => Ok(tag),
                _ => Err("not one to-tag and one from-tag"),
            }
        };
        let early_only = params.has(b"early-only");
        Ok(Self {
            call_id,
            to_tag: tag(b"to-tag")?,
            from_tag: tag(b"from-tag")?,
            early_only,
        })
    }
}

impl<'a> Header<'a> for Replaces<'a> {
    const NAME: Name = Name::Replaces;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        Self::read(value).map_err(|what| HeaderError {
            name: Self::NAME,
            what,
        })
    }
}

impl Encode for Replaces<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.call_id);
        out.extend_from_slice(b";to-tag=");
        out.extend_from_slice(self.to_tag);
        out.extend_from_slice(b";from-tag=");
        out.extend_from_slice(self.from_tag);
        if self.early_only {
            out.extend_from_slice(b";early-only");
        }
    }
}
