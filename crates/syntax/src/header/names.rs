//! The table of header field names: one line each yields the parser, the writer, the compact forms and the
//! reference in the documentation.

use crate::scan::{first_mark, marks_ascii};

/// How often a header field's value may occur (RFC 3261 §7.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiplicity {
    /// At most once in a message.
    Single,
    /// A comma-separated list that may also be spread over several fields.
    List,
    /// Several fields, never combined with commas (the digest ones, §20.7).
    Repeated,
}

macro_rules! names {
    ($($variant:ident $text:literal $compact:expr, $multiplicity:ident, $doc:literal;)*) => {
        /// A header field name. The text of [`Other`](Self::Other) is in the message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Name {
            $(#[doc = $doc] $variant,)*
            /// A name that is not in the table: the field passes untouched.
            Other,
        }

        impl Name {
            /// How many names the table has.
            pub const COUNT: usize = Self::Other as usize;
            /// Every name of the table, in its order.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),*];
            const TEXTS: &'static [&'static str] = &[$($text),*];
            const COMPACTS: &'static [Option<u8>] = &[$($compact),*];
            const CLAUSES: &'static [&'static str] = &[$($doc),*];
            const MULTIPLICITIES: &'static [Multiplicity] = &[$(Multiplicity::$multiplicity),*];
        }
    };
}

names! {
    Accept "Accept" None, List, "RFC 3261 §20.1.";
    AcceptContact "Accept-Contact" Some(b'a'), List, "RFC 3841 §9.2.";
    AcceptEncoding "Accept-Encoding" None, List, "RFC 3261 §20.2.";
    AcceptLanguage "Accept-Language" None, List, "RFC 3261 §20.3.";
    AlertInfo "Alert-Info" None, List, "RFC 3261 §20.4.";
    Allow "Allow" None, List, "RFC 3261 §20.5.";
    AllowEvents "Allow-Events" Some(b'u'), List, "RFC 6665 §8.2.2.";
    AuthenticationInfo "Authentication-Info" None, Single, "RFC 3261 §20.6.";
    Authorization "Authorization" None, Repeated, "RFC 3261 §20.7.";
    CallId "Call-ID" Some(b'i'), Single, "RFC 3261 §20.8.";
    CallInfo "Call-Info" None, List, "RFC 3261 §20.9.";
    Contact "Contact" Some(b'm'), List, "RFC 3261 §20.10.";
    ContentDisposition "Content-Disposition" None, Single, "RFC 3261 §20.11.";
    ContentEncoding "Content-Encoding" Some(b'e'), List, "RFC 3261 §20.12.";
    ContentLanguage "Content-Language" None, List, "RFC 3261 §20.13.";
    ContentLength "Content-Length" Some(b'l'), Single, "RFC 3261 §20.14.";
    ContentType "Content-Type" Some(b'c'), Single, "RFC 3261 §20.15.";
    CSeq "CSeq" None, Single, "RFC 3261 §20.16.";
    Date "Date" None, Single, "RFC 3261 §20.17.";
    ErrorInfo "Error-Info" None, List, "RFC 3261 §20.18.";
    Event "Event" Some(b'o'), Single, "RFC 6665 §8.2.1.";
    Expires "Expires" None, Single, "RFC 3261 §20.19.";
    From "From" Some(b'f'), Single, "RFC 3261 §20.20.";
    InReplyTo "In-Reply-To" None, List, "RFC 3261 §20.21.";
    MaxBreadth "Max-Breadth" None, Single, "RFC 5393 §5.3.";
    MaxForwards "Max-Forwards" None, Single, "RFC 3261 §20.22.";
    MimeVersion "MIME-Version" None, Single, "RFC 3261 §20.24.";
    MinExpires "Min-Expires" None, Single, "RFC 3261 §20.23.";
    MinSe "Min-SE" None, Single, "RFC 4028 §5.";
    Organization "Organization" None, Single, "RFC 3261 §20.25.";
    PAssertedIdentity "P-Asserted-Identity" None, List, "RFC 3325 §9.1.";
    PPreferredIdentity "P-Preferred-Identity" None, List, "RFC 3325 §9.2.";
    Path "Path" None, List, "RFC 3327 §4.";
    Priority "Priority" None, Single, "RFC 3261 §20.26.";
    Privacy "Privacy" None, Single, "RFC 3323 §4.2.";
    ProxyAuthenticate "Proxy-Authenticate" None, Repeated, "RFC 3261 §20.27.";
    ProxyAuthorization "Proxy-Authorization" None, Repeated, "RFC 3261 §20.28.";
    ProxyRequire "Proxy-Require" None, List, "RFC 3261 §20.29.";
    RAck "RAck" None, Single, "RFC 3262 §7.2.";
    Reason "Reason" None, List, "RFC 3326 §2.";
    RecordRoute "Record-Route" None, List, "RFC 3261 §20.30.";
    ReferTo "Refer-To" Some(b'r'), Single, "RFC 3515 §2.1.";
    ReferredBy "Referred-By" Some(b'b'), Single, "RFC 3892 §3.";
    RejectContact "Reject-Contact" Some(b'j'), List, "RFC 3841 §9.2.";
    Replaces "Replaces" None, Single, "RFC 3891 §6.1.";
    ReplyTo "Reply-To" None, Single, "RFC 3261 §20.31.";
    RequestDisposition "Request-Disposition" Some(b'd'), List, "RFC 3841 §9.1.";
    Require "Require" None, List, "RFC 3261 §20.32.";
    RetryAfter "Retry-After" None, Single, "RFC 3261 §20.33.";
    Route "Route" None, List, "RFC 3261 §20.34.";
    RSeq "RSeq" None, Single, "RFC 3262 §7.1.";
    Server "Server" None, Single, "RFC 3261 §20.35.";
    ServiceRoute "Service-Route" None, List, "RFC 3608 §5.";
    SessionExpires "Session-Expires" Some(b'x'), Single, "RFC 4028 §4.";
    Subject "Subject" Some(b's'), Single, "RFC 3261 §20.36.";
    SubscriptionState "Subscription-State" None, Single, "RFC 6665 §8.2.3.";
    Supported "Supported" Some(b'k'), List, "RFC 3261 §20.37.";
    Timestamp "Timestamp" None, Single, "RFC 3261 §20.38.";
    To "To" Some(b't'), Single, "RFC 3261 §20.39.";
    Unsupported "Unsupported" None, List, "RFC 3261 §20.40.";
    UserAgent "User-Agent" None, Single, "RFC 3261 §20.41.";
    Via "Via" Some(b'v'), List, "RFC 3261 §20.42.";
    Warning "Warning" None, List, "RFC 3261 §20.43.";
    WwwAuthenticate "WWW-Authenticate" None, Repeated, "RFC 3261 §20.44.";
}

/// A name and the colon behind it, with zeros up to its size. No name has a colon, so no key is the beginning of another
/// one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u64, u64, u64);

impl Key {
    /// The bytes of a key.
    const SIZE: usize = 24;
    /// What no name has.
    const NONE: Self = Self(0, 0, 0);

    /// The key of a name; [`NONE`](Self::NONE) when it is too long to be known or has a colon.
    const fn of(name: &[u8]) -> Self {
        let mut text = [0; Self::SIZE];
        if name.len() >= text.len() {
            return Self::NONE;
        }
        let mut i = 0;
        while i < name.len() {
            if name[i] == b':' {
                return Self::NONE;
            }
            text[i] = name[i];
            i += 1;
        }
        text[i] = b':';
        let [first, second, third] = text.as_chunks::<8>().0 else {
            return Self::NONE;
        };
        Self(
            u64::from_le_bytes(*first),
            u64::from_le_bytes(*second),
            u64::from_le_bytes(*third),
        )
    }

    /// Where to look for it in the table, in whatever case it is.
    #[inline]
    const fn slot(self) -> usize {
        let mixed = (self.0 ^ self.1.rotate_left(24) ^ self.2.rotate_left(40)) & 0xDFDF_DFDF_DFDF_DFDF;
        (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize
    }

    const fn fold(self) -> Self {
        Self(fold(self.0), fold(self.1), fold(self.2))
    }
}

/// Makes the capital letters in a word small. Of what is no letter, nothing becomes one.
const fn fold(word: u64) -> u64 {
    word | (word & 0x4040_4040_4040_4040) >> 1
}

/// The part of a key that a word is: up to the first colon, which is marked.
#[inline]
const fn up_to(word: u64, colons: u64) -> u64 {
    word & (colons ^ (colons - 1))
}

type Table = [(Key, Name); 256];

/// Open addressing, filled at compile time with the long and the compact forms.
static TABLE: Table = {
    let mut table = [(Key::NONE, Name::Other); 256];
    let mut i = 0;
    while i < Name::COUNT {
        insert(&mut table, Name::TEXTS[i].as_bytes(), Name::KNOWN[i]);
        if let Some(letter) = Name::COMPACTS[i] {
            insert(&mut table, &[letter], Name::KNOWN[i]);
        }
        i += 1;
    }
    table
};

const fn insert(table: &mut Table, text: &[u8], name: Name) {
    let key = Key::of(text);
    assert!(key.0 != 0, "a name is longer than a key");
    let mut at = key.slot();
    while table[at].0.0 != 0 {
        at = (at + 1) & 255;
    }
    table[at] = (key, name);
}

/// The name of a key that is equal to it in the way that is asked for.
#[inline(always)]
fn find(key: Key, equal: impl Fn(Key) -> bool) -> Name {
    let mut at = key.slot();
    loop {
        let (found, name) = &TABLE[at];
        if equal(*found) || *name == Name::Other {
            return *name;
        }
        at = (at + 1) & 255;
    }
}

impl Name {
    /// Reads a header field name, long or compact; case does not matter.
    pub fn from_bytes(name: &[u8]) -> Self {
        let key = Key::of(name);
        find(key, |found| found.fold() == key.fold())
    }

    /// The known name that begins a text, written as it is in the table, with nothing between it and its colon, and the
    /// name's length. Looks beyond the colon, but takes nothing from there: where the text ends soon, a name may not be
    /// seen.
    #[inline(always)]
    pub(crate) fn before_colon(text: &[u8]) -> Option<(Self, usize)> {
        let [first, rest @ ..] = text.as_chunks::<8>().0 else {
            return None;
        };
        let first = u64::from_le_bytes(*first);
        let colons = marks_ascii(first, b':');
        // A colon ends a key: what is equal up to it is equal. What is marked and is no colon is in no key.
        let (name, len) = if colons != 0 {
            let first = up_to(first, colons);
            (find(Key(first, 0, 0), |key| key.0 == first), first_mark(colons))
        } else {
            let [second, rest @ ..] = rest else {
                return None;
            };
            let second = u64::from_le_bytes(*second);
            let colons = marks_ascii(second, b':');
            if colons != 0 {
                let key = Key(first, up_to(second, colons), 0);
                let equal = |found: Key| found.0 == key.0 && found.1 == key.1;
                (find(key, equal), 8 + first_mark(colons))
            } else {
                let third = u64::from_le_bytes(*rest.first()?);
                let colons = marks_ascii(third, b':');
                if colons == 0 {
                    return None;
                }
                let key = Key(first, second, up_to(third, colons));
                (find(key, |found| found == key), 16 + first_mark(colons))
            }
        };
        (name != Self::Other).then_some((name, len))
    }

    /// The long form, as it is written; empty for [`Other`](Self::Other).
    pub fn as_str(self) -> &'static str {
        Self::TEXTS.get(self as usize).copied().unwrap_or("")
    }

    /// The compact form (RFC 3261 §7.3.3), if there is one.
    pub fn compact(self) -> Option<char> {
        Self::COMPACTS
            .get(self as usize)
            .copied()
            .flatten()
            .map(char::from)
    }

    /// Where it is defined, without the full stop: `RFC 3261 §20.1`.
    pub fn clause(self) -> &'static str {
        Self::CLAUSES
            .get(self as usize)
            .map_or("", |text| text.trim_end_matches('.'))
    }

    /// How often its value may occur.
    pub fn multiplicity(self) -> Multiplicity {
        Self::MULTIPLICITIES
            .get(self as usize)
            .copied()
            .unwrap_or(Multiplicity::Repeated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for &name in Name::KNOWN {
            assert_eq!(Name::from_bytes(name.as_str().as_bytes()), name);
            assert_eq!(Name::from_bytes(name.as_str().to_uppercase().as_bytes()), name);
            assert_eq!(Name::from_bytes(name.as_str().to_lowercase().as_bytes()), name);
            for i in 0..name.as_str().len() {
                for byte in 0..=u8::MAX {
                    let mut text = name.as_str().as_bytes().to_vec();
                    text[i] = byte;
                    let same = text.eq_ignore_ascii_case(name.as_str().as_bytes());
                    assert_eq!(Name::from_bytes(&text) == name, same, "{text:?}");
                }
            }
            if let Some(letter) = name.compact() {
                assert_eq!(Name::from_bytes(letter.to_string().as_bytes()), name);
                assert_eq!(
                    Name::from_bytes(letter.to_uppercase().to_string().as_bytes()),
                    name
                );
            }
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_other() {
        for name in [
            "",
            "Q",
            "-",
            "\u{1}",
            "Vie",
            "Call_ID",
            "Call\rID",
            "X-Via",
            "Contents",
            "V\u{49}\u{c1}",
        ] {
            assert_eq!(Name::from_bytes(name.as_bytes()), Name::Other, "{name:?}");
        }
    }
}
