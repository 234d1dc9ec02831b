//! Header fields that are one decimal number (RFC 3261 §25.1 `delta-seconds`, `1*DIGIT`).

use super::{Encode, Header, HeaderError, Name};
use crate::scan::{number, put_number};

macro_rules! numbers {
    ($($variant:ident $type:ty, $min:literal..=$max:expr, $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $variant(pub $type);

        impl<'a> Header<'a> for $variant {
            const NAME: Name = Name::$variant;

            fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
                let number = number(value).and_then(|n| <$type>::try_from(n).ok());
                let known = number.filter(|n| ($min..=$max).contains(n));
                known.map(Self).ok_or(HeaderError { name: Self::NAME, what: "not a number in range" })
            }
        }

        impl Encode for $variant {
            fn encode(&self, out: &mut Vec<u8>) {
                put_number(out, u64::from(self.0));
            }
        }
    )*};
}

numbers! {
    MaxForwards u8, 0..=u8::MAX, "RFC 3261 §20.22: hops left, 0 to 255.";
    MaxBreadth u32, 0..=u32::MAX, "RFC 5393 §5.3: parallel branches left.";
    Expires u32, 0..=u32::MAX, "RFC 3261 §20.19, in seconds.";
    MinExpires u32, 0..=u32::MAX, "RFC 3261 §20.23, in seconds.";
    ContentLength u64, 0..=u64::MAX, "RFC 3261 §20.14, in bytes.";
    RSeq u32, 1..=u32::MAX, "RFC 3262 §7.1, from 1 on.";
}
