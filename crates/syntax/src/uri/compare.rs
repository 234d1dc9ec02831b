//! When two URIs mean the same (RFC 3261 §19.1.4, RFC 3966 §4). Nothing is allocated: escapes are undone on the fly.

use super::escape::{same, same_ignoring_case};
use super::tel::digits;
use super::{Params, SipUri, TelUri, Uri};

/// Parameters that match nothing when only one of the URIs has them.
const DECIDING: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];

/// Headers whose values are compared with regard to case (RFC 3261 §20.8, §7.4).
const EXACT_HEADERS: [&[u8]; 3] = [b"body", b"call-id", b"i"];

impl Uri<'_> {
    /// Whether two URIs are equivalent. Not transitive (RFC 3261 §19.1.4).
    pub fn equivalent(a: &Uri<'_>, b: &Uri<'_>) -> bool {
        match (a, b) {
            (Uri::Sip(a), Uri::Sip(b)) => sip(a, b),
            (Uri::Tel(a), Uri::Tel(b)) => tel(a, b),
            (Uri::Other { scheme: a, rest: x }, Uri::Other { scheme: b, rest: y }) => {
                a.eq_ignore_ascii_case(b) && same(x, y)
            }
            _ => false,
        }
    }
}

fn sip(a: &SipUri<'_>, b: &SipUri<'_>) -> bool {
    a.secure == b.secure
        && same_part(a.user, b.user)
        && same_part(a.password, b.password)
        && a.host == b.host
        && a.port == b.port
        && params(a.params, b.params)
        && headers(a, b)
}

fn same_part(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn params(a: Params<'_>, b: Params<'_>) -> bool {
    let decides = |name: &[u8]| DECIDING.iter().any(|d| same_ignoring_case(d, name));
    // Of a repeated parameter the first counts, as everywhere else.
    a.text() == b.text()
        || a.iter().all(|(name, _)| match b.get(name) {
            Some(other) => same_value(name, a.value(name), other),
            None => !decides(name),
        }) && b.iter().all(|(name, _)| a.has(name) || !decides(name))
}

/// Methods are the one parameter value that case matters for (§7.1).
fn same_value(name: &[u8], a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if same_ignoring_case(name, b"method") => same(a, b),
        (Some(a), Some(b)) => same_ignoring_case(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn headers(a: &SipUri<'_>, b: &SipUri<'_>) -> bool {
    let within = |a: &SipUri<'_>, b: &SipUri<'_>| {
        a.header_fields().all(|(name, value)| {
            let exact = EXACT_HEADERS.iter().any(|e| same_ignoring_case(e, name));
            b.header_fields().any(|(n, v)| {
                same_ignoring_case(n, name)
                    && if exact {
                        same(v, value)
                    } else {
                        same_ignoring_case(v, value)
                    }
            })
        })
    };
    a.headers == b.headers
        || a.header_fields().count() == b.header_fields().count() && within(a, b) && within(b, a)
}

fn tel(a: &TelUri<'_>, b: &TelUri<'_>) -> bool {
    let within = |a: &TelUri<'_>, b: &TelUri<'_>| {
        a.params
            .iter()
            .all(|(name, _)| match (a.params.value(name), b.params.get(name)) {
                (Some(value), Some(Some(other))) if is_number_param(name, value, other) => {
                    digits(value).eq(digits(other))
                }
                (value, Some(other)) => same_value(name, value, other),
                (_, None) => false,
            })
    };
    a.is_global() == b.is_global() && a.digits().eq(b.digits()) && within(a, b) && within(b, a)
}

/// Values whose visual separators do not count: extensions, and contexts that are numbers.
fn is_number_param(name: &[u8], a: &[u8], b: &[u8]) -> bool {
    same_ignoring_case(name, b"ext")
        || same_ignoring_case(name, b"phone-context") && a.starts_with(b"+") && b.starts_with(b"+")
}
