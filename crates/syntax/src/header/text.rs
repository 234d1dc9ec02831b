//! Header fields for people to read: any text (RFC 3261 §25.1 `TEXT-UTF8-TRIM`).

use super::{Encode, Header, HeaderError, Name};

macro_rules! texts {
    ($($variant:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $variant<'a>(pub &'a [u8]);

        impl<'a> Header<'a> for $variant<'a> {
            const NAME: Name = Name::$variant;

            fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
                Ok(Self(value))
            }
        }

        impl Encode for $variant<'_> {
            /// Line ends become spaces: no text can begin another header field.
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend(self.0.iter().map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }));
            }
        }
    )*};
}

texts! {
    Organization "RFC 3261 §20.25.";
    Server "RFC 3261 §20.35.";
    Subject "RFC 3261 §20.36.";
    UserAgent "RFC 3261 §20.41.";
}
