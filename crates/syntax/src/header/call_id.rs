//! Call-ID (RFC 3261 §20.8) and In-Reply-To (§20.21). Compared byte by byte.

use super::{Encode, Header, HeaderError, Name};
use crate::scan::is_call_id;

macro_rules! call_ids {
    ($($variant:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $variant<'a>(pub &'a [u8]);

        impl<'a> Header<'a> for $variant<'a> {
            const NAME: Name = Name::$variant;

            fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
                let error = HeaderError { name: Self::NAME, what: "not a Call-ID" };
                is_call_id(value).then_some(Self(value)).ok_or(error)
            }
        }

        impl Encode for $variant<'_> {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.0);
            }
        }
    )*};
}

call_ids! {
    CallId "RFC 3261 §20.8.";
    InReplyTo "RFC 3261 §20.21.";
}
