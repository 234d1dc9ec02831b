//! Authentication (RFC 3261 §20.6, §20.7, §20.27, §20.28, §20.44; RFC 7616; RFC 8760).

use wide::u8x16;

use super::{Encode, Header, HeaderError, Name, ParamValue};
use crate::scan::{first_mark, is_word, is_ws, marks, quoted_end, skip_ws, token_end, trim};

/// The parameter at `at` of a list: name, value and what follows it. `None` when it is malformed.
fn any_param(text: &[u8], at: usize) -> Option<(&[u8], ParamValue<'_>, usize)> {
    let end = token_end(text, at);
    let equals = skip_ws(text, end);
    if end == at || text.get(equals) != Some(&b'=') {
        return None;
    }
    let from = skip_ws(text, equals + 1);
    let to = match text.get(from) {
        Some(b'"') => quoted_end(text, from)?,
        _ => token_value_end(text, from),
    };
    let next = skip_ws(text, to);
    if text.get(next).is_some_and(|&b| b != b',') {
        return None;
    }
    Some((&text[at..end], ParamValue::of(&text[from..to]), next))
}

fn token_value_end(text: &[u8], from: usize) -> usize {
    let ends = |b: u8| is_ws(b) || matches!(b, b',' | b'"');
    text[from..]
        .iter()
        .position(|&b| ends(b))
        .map_or(text.len(), |at| from + at)
}

/// A name of letters as numbers, in which case does not matter: its first eight, and the ninth or 0.
type Key = (u64, u8);

/// [`any_param`] as nearly all are written: a name of one to nine letters, `=` and a value, with nothing in between. The
/// name as its [`key`]. `None` for everything else, malformed or not.
#[inline]
fn plain_param(text: &[u8], at: usize) -> Option<(Key, ParamValue<'_>, usize)> {
    if text.len() < 16 {
        return None;
    }
    let rest = text.get(at..)?;
    let word = u64::from_le_bytes(*rest.first_chunk()?);
    let equals = marks(word, b'=');
    // Letters in lower case.
    let lower = word | 0x2020_2020_2020_2020;
    let (name, len) = if equals != 0 {
        let len = first_mark(equals);
        ((lower & !(u64::MAX << (8 * len)), 0), len)
    } else {
        match rest[8..] {
            [b'=', ..] => ((lower, 0), 8),
            [ninth, b'=', ..] => ((lower, ninth | 0x20), 9),
            _ => return None,
        }
    };
    let from = at + len + 1;
    let (value, to) = if text.get(from) == Some(&b'"') {
        let end = first_marked(text, from + 1, quotes)?;
        if text.get(end) != Some(&b'"') {
            return None;
        }
        (ParamValue::Quoted(text.get(from + 1..end)?), end + 1)
    } else {
        let end = first_marked(text, from, low_signs).unwrap_or(text.len());
        (ParamValue::Token(text.get(from..end)?), end)
    };
    let next = match *text.get(to..)? {
        [b',', b' ', ..] => to + 2,
        [b',', ..] | [] => to,
        _ => return None,
    };
    Some((name, value, next))
}

/// The position from `at` on of the first byte that gets a mark, in a text of sixteen bytes at least.
#[inline]
fn first_marked(text: &[u8], mut at: usize, marks: impl Fn(&[u8; 16]) -> u32) -> Option<usize> {
    let last = text.last_chunk()?;
    loop {
        let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk) else {
            // The end of the last sixteen are those that are left.
            let found = marks(last) >> (at + 16).saturating_sub(text.len()).min(16);
            return (found != 0).then(|| at + found.trailing_zeros() as usize);
        };
        let found = marks(chunk);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += 16;
    }
}

/// Marks quotes and backslashes: a bit for each byte, the lowest for the first.
#[inline]
fn quotes(chunk: &[u8; 16]) -> u32 {
    let bytes = u8x16::new(*chunk);
    let ends = bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
    ends.to_bitmask()
}

/// Marks what is no greater than a comma: what may end a value that is not quoted, and a few signs that it may have.
#[inline]
fn low_signs(chunk: &[u8; 16]) -> u32 {
    let above = u8x16::new(*chunk).saturating_sub(u8x16::splat(b','));
    above.simd_eq(u8x16::splat(0)).to_bitmask()
}

/// The key of a name; of one that is not all letters, what is no key.
const fn key(name: &[u8]) -> Key {
    let (mut first, mut ninth, mut i) = (0, 0, 0);
    while i < name.len() {
        // Of each byte of a key, bit 5 is set.
        match name[i] {
            letter @ (b'a'..=b'z') if i < 8 => first |= (letter as u64) << (8 * i),
            letter @ (b'a'..=b'z') if i == 8 => ninth = letter,
            _ => return (1, 0),
        }
        i += 1;
    }
    (first, ninth)
}

/// A struct with a field for each parameter of a list that we know. Others are let pass; a known one that comes twice is
/// refused, for two readers could choose differently.
macro_rules! parameters {
    ($(#[doc = $doc:literal])* $struct:ident $parse:ident { $($field:ident $text:literal $field_doc:literal;)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $struct<'a> {
            $(#[doc = $field_doc] pub $field: Option<ParamValue<'a>>,)*
        }

        impl<'a> $struct<'a> {
            #[inline]
            fn $parse(text: &'a [u8]) -> Result<Self, &'static str> {
                let mut found = Self::default();
                let mut at = 0;
                loop {
                    // Empty elements are skipped.
                    while let Some(&byte) = text.get(at) && (byte == b',' || is_ws(byte)) {
                        at += 1;
                    }
                    if at == text.len() {
                        return Ok(found);
                    }
                    let plain = plain_param(text, at).and_then(|(name, value, next)| {
                        Some((found.named(name)?, value, next))
                    });
                    let (field, value, next) = match plain {
                        Some((field, value, next)) => (Some(field), value, next),
                        None => {
                            let (name, value, next) = any_param(text, at).ok_or("malformed parameters")?;
                            (found.spelled(name), value, next)
                        }
                    };
                    if let Some(field) = field && field.replace(value).is_some() {
                        return Err("parameter repeated");
                    }
                    at = next;
                }
            }

            /// The field of a name with this key.
            #[inline]
            #[expect(non_upper_case_globals, reason = "they are patterns")]
            fn named(&mut self, name: Key) -> Option<&mut Option<ParamValue<'a>>> {
                $(const $field: Key = key($text.as_bytes());)*
                match name {
                    $($field => Some(&mut self.$field),)*
                    _ => None,
                }
            }

            /// The field of a name.
            fn spelled(&mut self, name: &[u8]) -> Option<&mut Option<ParamValue<'a>>> {
                $(
                    if name.eq_ignore_ascii_case($text.as_bytes()) {
                        return Some(&mut self.$field);
                    }
                )*
                None
            }

            /// Whether none of the parameters that we know is there.
            pub fn is_empty(&self) -> bool {
                $(self.$field.is_none())&&*
            }
        }

        impl Encode for $struct<'_> {
            fn encode(&self, out: &mut Vec<u8>) {
                let mut first = true;
                $(
                    if let Some(value) = self.$field {
                        if !std::mem::take(&mut first) {
                            out.extend_from_slice(b", ");
                        }
                        out.extend_from_slice($text.as_bytes());
                        out.push(b'=');
                        value.encode(out);
                    }
                )*
            }
        }
    };
}

parameters! {
    /// What a client answers to a digest challenge (RFC 7616 §3.4).
    DigestResponse read {
        username "username" "The user's name.";
        username_star "username*" "The user's name in the encoding of RFC 8187.";
        userhash "userhash" "Whether the user's name is hashed.";
        realm "realm" "The realm of the challenge.";
        nonce "nonce" "The nonce of the challenge.";
        uri "uri" "The digest-uri.";
        response "response" "The response: hexadecimal digits.";
        algorithm "algorithm" "The algorithm; MD5 when absent.";
        cnonce "cnonce" "The client's nonce.";
        opaque "opaque" "The opaque of the challenge.";
        qop "qop" "The quality of protection chosen.";
        nc "nc" "The nonce count: eight hexadecimal digits.";
    }
}

parameters! {
    /// A digest challenge (RFC 7616 §3.3).
    DigestChallenge read {
        realm "realm" "The realm.";
        domain "domain" "The URIs that the credentials are for.";
        nonce "nonce" "The nonce.";
        opaque "opaque" "What the client is to send back.";
        stale "stale" "`true`: the response was right but its nonce is old.";
        algorithm "algorithm" "The algorithm; MD5 when absent.";
        qop "qop" "The qualities of protection offered, separated by commas.";
        userhash "userhash" "Whether hashed user names are understood.";
        charset "charset" "`UTF-8`, or absent.";
    }
}

parameters! {
    /// Authentication-Info (RFC 3261 §20.6, RFC 7616 §3.5).
    AuthenticationInfo read {
        nextnonce "nextnonce" "The nonce to use next.";
        qop "qop" "The quality of protection applied to the response.";
        rspauth "rspauth" "The server's proof that it knows the secret.";
        cnonce "cnonce" "The client's nonce.";
        nc "nc" "The nonce count.";
    }
}

impl<'a> DigestResponse<'a> {
    /// The nonce count as a number; `None` when it is absent or not eight hexadecimal digits.
    pub fn nonce_count(&self) -> Option<u32> {
        let digits: &[u8; 8] = self.nc?.inside().try_into().ok()?;
        digits.iter().try_fold(0, |count, &digit| {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return None,
            };
            Some(count << 4 | u32::from(value))
        })
    }
}

impl DigestChallenge<'_> {
    /// Whether only the nonce was at fault.
    pub fn is_stale(&self) -> bool {
        self.stale.is_some_and(|s| s.is(b"true"))
    }

    /// Whether it offers a quality of protection (`auth`, `auth-int`).
    pub fn offers(&self, qop: &[u8]) -> bool {
        self.qop.is_some_and(|q| {
            q.inside()
                .split(|&b| b == b',')
                .any(|offer| trim(offer).eq_ignore_ascii_case(qop))
        })
    }
}

/// The scheme of a value, and what follows it.
fn split_scheme(value: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let end = token_end(value, 0);
    let rest = trim(&value[end..]);
    let spaced = value.get(end).is_none_or(|&b| is_ws(b));
    if end == 0 || !spaced || rest.is_empty() {
        Err("malformed scheme")
    } else {
        Ok((&value[..end], rest))
    }
}

/// The value of an Authorization or Proxy-Authorization field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack for a moment; a box would allocate"
)]
pub enum Credentials<'a> {
    /// Scheme Digest.
    Digest(DigestResponse<'a>),
    /// Any other scheme (RFC 8898 has Bearer).
    Other {
        /// The scheme.
        scheme: &'a [u8],
        /// What follows it.
        rest: &'a [u8],
    },
}

impl<'a> Credentials<'a> {
    /// Reads a value.
    #[inline]
    pub fn parse(value: &'a [u8]) -> Result<Self, &'static str> {
        let (scheme, rest) = split_scheme(value)?;
        if !is_word(scheme, b"Digest") {
            return Ok(Self::Other { scheme, rest });
        }
        let said = DigestResponse::read(rest)?;
        if said.is_empty() {
            // The grammar wants one at least.
            return Err("no digest parameters");
        }
        Ok(Self::Digest(said))
    }

    /// The digest response, if it is one.
    pub fn digest(&self) -> Option<&DigestResponse<'a>> {
        match self {
            Self::Digest(response) => Some(response),
            Self::Other { .. } => None,
        }
    }
}

/// The value of a WWW-Authenticate or Proxy-Authenticate field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge<'a> {
    /// Scheme Digest.
    Digest(DigestChallenge<'a>),
    /// Any other scheme.
    Other {
        /// The scheme.
        scheme: &'a [u8],
        /// What follows it.
        rest: &'a [u8],
    },
}

impl<'a> Challenge<'a> {
    /// Reads a value.
    pub fn parse(value: &'a [u8]) -> Result<Self, &'static str> {
        let (scheme, rest) = split_scheme(value)?;
        if !is_word(scheme, b"Digest") {
            return Ok(Self::Other { scheme, rest });
        }
        let said = DigestChallenge::read(rest)?;
        if said.is_empty() {
            // The grammar wants one at least.
            return Err("no digest parameters");
        }
        Ok(Self::Digest(said))
    }

    /// The digest challenge, if it is one.
    pub fn digest(&self) -> Option<&DigestChallenge<'a>> {
        match self {
            Self::Digest(challenge) => Some(challenge),
            Self::Other { .. } => None,
        }
    }
}

macro_rules! encode_scheme {
    ($($value:ident)*) => {$(
        impl Encode for $value<'_> {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    Self::Digest(params) => {
                        out.extend_from_slice(b"Digest ");
                        params.encode(out);
                    }
                    Self::Other { scheme, rest } => {
                        out.extend_from_slice(scheme);
                        out.push(b' ');
                        out.extend_from_slice(rest);
                    }
                }
            }
        }
    )*};
}

encode_scheme! { Credentials Challenge }

family! { Credentials, Credentials::parse:
    Authorization "RFC 3261 §20.7.";
    ProxyAuthorization "RFC 3261 §20.28.";
}

family! { Challenge, Challenge::parse:
    WwwAuthenticate "RFC 3261 §20.44.";
    ProxyAuthenticate "RFC 3261 §20.27.";
}

impl<'a> Header<'a> for AuthenticationInfo<'a> {
    const NAME: Name = Name::AuthenticationInfo;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        Self::read(value).map_err(|what| HeaderError {
            name: Self::NAME,
            what,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_short_way_reads_the_grammar_reads_alike() {
        let whole = b"nc=1, qop=auth,realm=a,uri=\"sip:a\", nonce=\"b,c\", algorithm=MD5,response=\"0123456789abcdef\",cnonce=x";
        let known = [
            "nc",
            "qop",
            "realm",
            "uri",
            "nonce",
            "algorithm",
            "response",
            "cnonce",
        ];
        let known = known.map(|name| key(name.as_bytes()));
        let mut read = 0;
        for start in 0..whole.len() {
            for end in start..=whole.len() {
                let text = &whole[start..end];
                let Some((name, value, next)) =
                    plain_param(text, 0).filter(|(name, ..)| known.contains(name))
                else {
                    continue;
                };
                let (written, meant, behind) = any_param(text, 0).expect("the grammar takes it");
                // Commas and spaces between two are skipped after both.
                let separators = |from: usize| {
                    let is_separator = |&&b: &&u8| b == b',' || is_ws(b);
                    from + text[from..].iter().take_while(is_separator).count()
                };
                assert_eq!(separators(next), separators(behind), "{text:?}");
                assert_eq!(name, key(&written.to_ascii_lowercase()), "{text:?}");
                assert_eq!(format!("{value:?}"), format!("{meant:?}"));
                read += 1;
            }
        }
        assert!(read > 100, "{read} were read by the short way");
    }
}
