//! Privacy (RFC 3323 §4.2).

use super::{Encode, Header, HeaderError, Name};
use crate::scan::{is_token, trim};

/// The kinds of privacy asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privacy<'a>(&'a [u8]);

impl<'a> Privacy<'a> {
    /// Each kind: `header`, `session`, `user`, `none`, `critical`, `id` (RFC 3325 §9.3), `history` (RFC 7044) ...
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.0.split(|&b| b == b';').map(trim)
    }

    /// Whether a kind is asked for, in any case.
    pub fn has(self, kind: &[u8]) -> bool {
        self.iter().any(|k| k.eq_ignore_ascii_case(kind))
    }
}

impl<'a> Header<'a> for Privacy<'a> {
    const NAME: Name = Name::Privacy;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        let known = Self(value).iter().all(is_token);
        known.then_some(Self(value)).ok_or(HeaderError {
            name: Self::NAME,
            what: "not a list of tokens",
        })
    }
}

impl Encode for Privacy<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        for (i, kind) in self.iter().enumerate() {
            if i > 0 {
                out.push(b';');
            }
            out.extend_from_slice(kind);
        }
    }
}
