//! The table of header field names: one line each yields the parser, the writer, the compact forms and the
//! reference in the documentation.

use crate::lanes::begins;

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
    FeatureCaps "Feature-Caps" None, List, "RFC 6809 §6.";
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
type Key = [u64; 3];

/// The bytes of a key.
const KEY_SIZE: usize = 24;
/// What no name has.
const NO_KEY: Key = [0; 3];

/// The key of a name; [`NO_KEY`] when it is too long.
const fn key_of(name: &[u8]) -> Key {
    let mut text = [0; KEY_SIZE];
    if name.len() >= text.len() {
        return NO_KEY;
    }
    let mut i = 0;
    while i < name.len() {
        text[i] = name[i];
        i += 1;
    }
    text[i] = b':';
    words_of(text)
}

const fn words_of(text: [u8; KEY_SIZE]) -> Key {
    let [first, second, third] = text.as_chunks::<8>().0 else {
        return NO_KEY;
    };
    [
        u64::from_le_bytes(*first),
        u64::from_le_bytes(*second),
        u64::from_le_bytes(*third),
    ]
}

/// Makes the capital letters in a word small. Of what is no letter, nothing becomes one.
const fn fold(word: u64) -> u64 {
    word | (word & 0x4040_4040_4040_4040) >> 1
}

/// Which header field a line is, and the length of its name as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: Name,
    pub(crate) len: u8,
}

impl Named {
    /// Nothing that is known.
    pub(crate) const NONE: Self = Self {
        name: Name::Other,
        len: 0,
    };
}

/// The names in all ways to write them, by their keys in small letters: open addressing by the first three bytes.
static KEYS: [(Key, Name); 256] = {
    let mut table = [(NO_KEY, Name::Other); 256];
    let mut i = 0;
    while i < Name::COUNT {
        insert_key(&mut table, Name::KNOWN[i], Name::TEXTS[i].as_bytes());
        if let Some(letter) = Name::COMPACTS[i] {
            insert_key(&mut table, Name::KNOWN[i], &[letter]);
        }
        i += 1;
    }
    table
};

const fn insert_key(table: &mut [(Key, Name); 256], name: Name, text: &[u8]) {
    let [first, second, third] = key_of(text);
    assert!(first != 0, "a name is longer than a key");
    let mut at = key_slot(first);
    while table[at].0[0] != 0 {
        at = (at + 1) & 255;
    }
    table[at] = ([fold(first), fold(second), fold(third)], name);
}

/// Where to look for a key.
const fn key_slot(first: u64) -> usize {
    let mixed = (first as u32 & 0x00DF_DFDF).wrapping_mul(0x8E8B_68DB);
    (mixed >> 24) as usize
}

/// What a line begins with, as nearly all write it.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct LineStart {
    /// The name, its colon and a space, as far as there is room for them.
    text: [u8; START_SIZE],
    /// A bit for each of its bytes.
    bits: u16,
    /// The name, or the one that it may be.
    pub(crate) named: Named,
    /// Where the value begins, unless there is one more space; more than [`START_SIZE`] when this does not tell the name.
    pub(crate) value: u8,
}

impl LineStart {
    /// Of no known name.
    pub(crate) const NOTHING: Self = Self {
        text: [0; START_SIZE],
        bits: 0,
        named: Named::NONE,
        value: u8::MAX,
    };
}

/// The bytes at the start of a line that tell its name.
pub(crate) const START_SIZE: usize = 16;

type LineStarts = [LineStart; 256];

/// Open addressing by the first three bytes, which every name has with its colon and a space; filled at compile time with the
/// long and the compact forms. Of those that begin alike, the one that most messages have is found first, and nothing that is
/// found first is in the way of another one.
static STARTS: LineStarts = {
    const OFTEN: [Name; 7] = [
        Name::ContentLength,
        Name::Contact,
        Name::ContentType,
        Name::MaxForwards,
        Name::Authorization,
        Name::ProxyAuthorization,
        Name::Require,
    ];
    let mut table = [LineStart::NOTHING; 256];
    let mut round = 0;
    while round < 2 {
        let mut i = 0;
        while i < OFTEN.len() + Name::COUNT {
            let name = if i < OFTEN.len() {
                OFTEN[i]
            } else {
                Name::KNOWN[i - OFTEN.len()]
            };
            insert_start(&mut table, name, Name::TEXTS[name as usize].as_bytes(), round > 0);
            if let Some(letter) = Name::COMPACTS[name as usize] {
                insert_start(&mut table, name, &[letter], round > 0);
            }
            i += 1;
        }
        round += 1;
    }
    table
};

/// Puts a name where it is looked for first, or anywhere if it may be found later.
const fn insert_start(table: &mut LineStarts, name: Name, text: &[u8], later: bool) {
    let (mut start, mut bits) = ([0; START_SIZE], 0);
    let mut i = 0;
    while i < text.len() + 2 && i < START_SIZE {
        start[i] = match i {
            i if i < text.len() => text[i],
            i if i == text.len() => b':',
            _ => b' ',
        };
        bits |= 1 << i;
        i += 1;
    }
    let len = text.len() as u8;
    let mut at = slot(u32::from_le_bytes([start[0], start[1], start[2], 0]));
    while table[at].bits != 0 {
        let is_same = table[at].named.name as u8 == name as u8 && table[at].named.len == len;
        if is_same || !later {
            let [a, b, c, ..] = table[at].text;
            assert!(
                a == start[0] && b == start[1] && c == start[2],
                "two that begin differently have one place: another factor is needed"
            );
            return;
        }
        at = (at + 1) & 255;
    }
    table[at] = LineStart {
        text: start,
        bits,
        named: Named { name, len },
        value: len + 2,
    };
}

/// Where to look in the table for what begins with the first three bytes of a word: the factor's last byte leaves the fourth
/// out. All that begin differently have places of their own.
#[inline(always)]
const fn slot(word: u32) -> usize {
    (word.wrapping_mul(0xF2D4_E100) >> 24) as usize
}

impl Name {
    /// Reads a header field name, long or compact; case does not matter.
    pub fn from_bytes(name: &[u8]) -> Self {
        let mut text = [0; KEY_SIZE];
        match text.get_mut(..=name.len()) {
            Some([start @ .., colon]) => {
                start.copy_from_slice(name);
                *colon = b':';
            }
            _ => return Self::Other,
        }
        let key = words_of(text).map(fold);
        let mut at = key_slot(key[0]);
        loop {
            let (known, name) = &KEYS[at];
            if *known == key || *name == Self::Other {
                return *name;
            }
            at = (at + 1) & 255;
        }
    }

    /// What a line begins with of a known name, written as it is in the table, and of the colon and the space behind it.
    #[inline(always)]
    pub(crate) fn at_start(line: &[u8; START_SIZE]) -> &'static LineStart {
        let first = line.first_chunk().map_or(0, |first| u32::from_le_bytes(*first));
        let mut at = slot(first);
        loop {
            let start = &STARTS[at];
            if begins(line, &start.text, start.bits) {
                return start;
            }
            at = (at + 1) & 255;
        }
    }

    /// The long form, as it is written; empty for [`Other`](Self::Other).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Other => "",
            known => Self::TEXTS[known as usize],
        }
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
    fn a_name_is_found_at_the_start_of_a_line() {
        let compacts = Name::KNOWN
            .iter()
            .filter_map(|&name| Some((name, name.compact()?.to_string())));
        let names = Name::KNOWN.iter().map(|&name| (name, name.as_str().to_owned()));
        let found = |line: &str| {
            let start = Name::at_start(line.as_bytes().first_chunk().expect("long enough"));
            (start.named, usize::from(start.value))
        };
        for (name, text) in names.chain(compacts) {
            let (named, value) = found(&format!("{text}: a value and more of it"));
            let len = text.len() as u8;
            assert_eq!((named, value), (Named { name, len }, text.len() + 2), "{text}");
            for other in [
                "x: a value",
                " : a value",
                "\0: a value",
                "  a: value",
                ":a value",
            ] {
                // Whether it is a longer name is left to those who see more of the line (`tests/messages/plain.rs`).
                let line = format!("{text}{other} and more of it");
                assert!(found(&line).1 > START_SIZE, "{line}");
            }
        }
    }

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
