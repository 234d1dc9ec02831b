//! Header fields, or elements of them, that are one token.

use super::{Encode, Header, HeaderError, Name};
use crate::Method;
use crate::scan::is_token;

macro_rules! tokens {
    ($($variant:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $variant<'a>(pub &'a [u8]);

        impl $variant<'_> {
            /// Whether it is this token, in any case.
            pub fn is(&self, token: &[u8]) -> bool {
                self.0.eq_ignore_ascii_case(token)
            }
        }

        impl<'a> Header<'a> for $variant<'a> {
            const NAME: Name = Name::$variant;

            fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
                let error = HeaderError { name: Self::NAME, what: "not a token" };
                is_token(value).then_some(Self(value)).ok_or(error)
            }
        }

        impl Encode for $variant<'_> {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.0);
            }
        }
    )*};
}

tokens! {
    Allow "RFC 3261 §20.5: a method.";
    AllowEvents "RFC 6665 §8.2.2: an event package.";
    ContentEncoding "RFC 3261 §20.12: a coding of the body.";
    ContentLanguage "RFC 3261 §20.13: a language of the body.";
    MimeVersion "RFC 3261 §20.24: two numbers with a dot between them.";
    Priority "RFC 3261 §20.26.";
    ProxyRequire "RFC 3261 §20.29: an option tag.";
    RequestDisposition "RFC 3841 §9.1: a directive.";
    Require "RFC 3261 §20.32: an option tag.";
    Supported "RFC 3261 §20.37: an option tag.";
    Unsupported "RFC 3261 §20.40: an option tag.";
}

impl Allow<'_> {
    /// The method.
    pub fn method(&self) -> Method {
        Method::from_token(self.0)
    }
}
