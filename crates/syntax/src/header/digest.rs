//! Authentication (RFC 3261 §20.6, §20.7, §20.27, §20.28, §20.44; RFC 7616; RFC 8760).

use super::{Encode, Header, HeaderError, Name, ParamValue};
use crate::scan::{is_word, is_ws, quoted_end, skip_ws, token_end, trim};

/// The parameter at `at` of a comma-separated list: name, value and what follows its comma. `Some(None)` at the end,
/// `None` when it is malformed. Empty elements are skipped.
fn next_param(text: &[u8], mut at: usize) -> Option<Option<(&[u8], ParamValue<'_>, usize)>> {
    while at < text.len() && (is_ws(text[at]) || text[at] == b',') {
        at += 1;
    }
    if at == text.len() {
        return Some(None);
    }
    let end = token_end(text, at);
    let equals = skip_ws(text, end);
    if end == at || text.get(equals) != Some(&b'=') {
        return None;
    }
    let from = skip_ws(text, equals + 1);
    let to = match text.get(from) {
        Some(b'"') => quoted_end(text, from)?,
        _ => {
            from + text[from..]
                .iter()
                .take_while(|&&b| !is_ws(b) && !matches!(b, b',' | b'"'))
                .count()
        }
    };
    let next = skip_ws(text, to);
    if text.get(next).is_some_and(|&b| b != b',') {
        return None;
    }
    Some(Some((&text[at..end], ParamValue::of(&text[from..to]), next)))
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
            fn $parse(text: &'a [u8]) -> Result<Self, &'static str> {
                let mut found = Self::default();
                let mut at = 0;
                while let Some((name, value, next)) = next_param(text, at).ok_or("malformed parameters")? {
                    at = next;
                    $(
                        {
                            const WORD: Option<&[u8; $text.len()]> = $text.as_bytes().first_chunk();
                            if WORD.is_some_and(|word| is_word(name, word)) {
                                if found.$field.replace(value).is_some() {
                                    return Err("parameter repeated");
                                }
                                continue;
                            }
                        }
                    )*
                }
                Ok(found)
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
        let text = self.nc?.inside();
        let digits = std::str::from_utf8(text)
            .ok()
            .filter(|t| t.len() == 8 && t.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
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

/// Parameters that say something: the grammar wants one at least.
fn said<T: Default + PartialEq>(parameters: T) -> Result<T, &'static str> {
    if parameters == T::default() {
        Err("no digest parameters")
    } else {
        Ok(parameters)
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
    pub fn parse(value: &'a [u8]) -> Result<Self, &'static str> {
        let (scheme, rest) = split_scheme(value)?;
        if scheme.eq_ignore_ascii_case(b"Digest") {
            return said(DigestResponse::read(rest)?).map(Self::Digest);
        }
        Ok(Self::Other { scheme, rest })
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
        if scheme.eq_ignore_ascii_case(b"Digest") {
            return said(DigestChallenge::read(rest)?).map(Self::Digest);
        }
        Ok(Self::Other { scheme, rest })
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
