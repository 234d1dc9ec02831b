//! The table of header field names: one line each yields the parser, the writer, the compact forms and the
//! reference in the documentation.

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
    RejectContact "Reject-Contact" Some(b'j'), List, "RFC 3841 §9.3.";
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

/// The bytes of a name in words that do not depend on the case of its letters. No two names of one length share theirs.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    len: usize,
    first: u64,
    middle: u64,
    last: u64,
}

impl Key {
    /// The longest name that words tell apart.
    const MAX: usize = 24;

    const fn of(name: &[u8]) -> Self {
        let len = name.len();
        let (first, middle, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(first), Some(last)) => {
                let middle = match name.split_at(8).1.first_chunk::<8>() {
                    Some(middle) => u64::from_le_bytes(*middle),
                    None => 0,
                };
                (u64::from_le_bytes(*first), middle, u64::from_le_bytes(*last))
            }
            _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
                (Some(first), Some(last)) => (
                    u32::from_le_bytes(*first) as u64,
                    0,
                    u32::from_le_bytes(*last) as u64,
                ),
                _ => match *name {
                    [a, b, c] => (a as u64, b as u64, c as u64),
                    [a, b] => (a as u64, b as u64, 0),
                    [a] => (a as u64, 0, 0),
                    _ => (0, 0, 0),
                },
            },
        };
        Self {
            len,
            first: fold(first),
            middle: fold(middle),
            last: fold(last),
        }
    }

    const fn slot(self) -> usize {
        let mixed = self.first ^ self.last.rotate_left(29) ^ self.middle.rotate_left(13);
        (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize
    }
}

/// Makes the capital letters in a word small. Of what is no letter, nothing becomes one.
const fn fold(word: u64) -> u64 {
    word | (word & 0x4040_4040_4040_4040) >> 1
}

const EMPTY: u8 = u8::MAX;

const KEYS: [Key; Name::COUNT] = {
    let mut keys = [Key::of(b""); Name::COUNT];
    let mut i = 0;
    while i < Name::COUNT {
        assert!(Name::TEXTS[i].len() <= Key::MAX);
        keys[i] = Key::of(Name::TEXTS[i].as_bytes());
        i += 1;
    }
    keys
};

/// Open addressing, filled at compile time.
const TABLE: [u8; 256] = {
    let mut table = [EMPTY; 256];
    let mut i = 0;
    while i < Name::COUNT {
        let mut at = KEYS[i].slot();
        while table[at] != EMPTY {
            at = (at + 1) & 255;
        }
        table[at] = i as u8;
        i += 1;
    }
    table
};

const COMPACT_TABLE: [u8; 26] = {
    let mut table = [EMPTY; 26];
    let mut i = 0;
    while i < Name::COUNT {
        if let Some(letter) = Name::COMPACTS[i] {
            table[(letter - b'a') as usize] = i as u8;
        }
        i += 1;
    }
    table
};

impl Name {
    /// Reads a header field name, long or compact; case does not matter.
    pub fn from_bytes(name: &[u8]) -> Self {
        if let [letter] = name {
            let letter = letter.to_ascii_lowercase().wrapping_sub(b'a');
            return match COMPACT_TABLE.get(usize::from(letter)) {
                Some(&i) if i != EMPTY => Self::KNOWN[usize::from(i)],
                _ => Self::Other,
            };
        }
        if name.len() > Key::MAX {
            return Self::Other;
        }
        let key = Key::of(name);
        let mut at = key.slot();
        while TABLE[at] != EMPTY {
            let i = usize::from(TABLE[at]);
            if KEYS[i] == key {
                return Self::KNOWN[i];
            }
            at = (at + 1) & 255;
        }
        Self::Other
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
