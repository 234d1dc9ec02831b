//! Percent escapes (RFC 3261 §19.1.2, RFC 2396 §2.4): writing, undoing and comparing them.

use crate::scan::{find_near, put_hex};

/// Characters whose escaped and plain forms mean different things (RFC 2396 §2.2).
const fn is_reserved(byte: u8) -> bool {
    matches!(
        byte,
        b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b','
    )
}

/// `unreserved` (RFC 3261 §25.1): what no part of a URI ever escapes.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
        )
}

const fn is_user_byte(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
}

const fn is_param_byte(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$')
}

const fn is_header_byte(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'[' | b']' | b'/' | b'?' | b':' | b'+' | b'$')
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// One character of an escaped text.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Unit {
    byte: u8,
    /// It was escaped and is reserved, so it is not the same as its plain form.
    guarded: bool,
}

/// The characters of a text, escapes undone. A `%` that begins no escape stands for itself.
#[derive(Clone)]
struct Units<'a>(&'a [u8]);

impl Iterator for Units<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        let (&first, rest) = self.0.split_first()?;
        if first == b'%'
            && let [high, low, rest @ ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.0 = rest;
            let byte = high << 4 | low;
            return Some(Unit {
                byte,
                guarded: is_reserved(byte),
            });
        }
        self.0 = rest;
        Some(Unit {
            byte: first,
            guarded: false,
        })
    }
}

/// Whether every `%` of a text begins an escape.
#[inline]
pub(super) fn escapes_are_whole(text: &[u8]) -> bool {
    let mut at = 0;
    while let Some(i) = find_near(&text[at..], b'%') {
        let digits = &text[at + i + 1..];
        if digits.len() < 2 || hex(digits[0]).is_none() || hex(digits[1]).is_none() {
            return false;
        }
        at += i + 3;
    }
    true
}

/// Whether two texts are the same once escapes of unreserved characters are undone (RFC 3261 §19.1.4).
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a == b || Units(a).eq(Units(b))
}

/// [`same`] without regard to case.
pub fn same_ignoring_case(a: &[u8], b: &[u8]) -> bool {
    let fold = |u: Unit| Unit {
        byte: u.byte.to_ascii_lowercase(),
        ..u
    };
    a.eq_ignore_ascii_case(b) || Units(a).map(fold).eq(Units(b).map(fold))
}

/// Whether a text is this plain one with some of its characters escaped, without regard to case.
pub fn spells_ignoring_case(escaped: &[u8], plain: &[u8]) -> bool {
    escaped.eq_ignore_ascii_case(plain)
        || Units(escaped)
            .map(|u| u.byte.to_ascii_lowercase())
            .eq(plain.iter().map(u8::to_ascii_lowercase))
}

/// Appends a text with all its escapes undone.
pub fn unescape_into(text: &[u8], out: &mut Vec<u8>) {
    match find_near(text, b'%') {
        None => out.extend_from_slice(text),
        Some(_) => out.extend(Units(text).map(|u| u.byte)),
    }
}

/// Appends a text in the one form that all its equivalents share: escapes of unreserved characters undone, everything
/// else that is not a plain reserved character escaped in upper case hexadecimal.
pub fn normalize_into(text: &[u8], out: &mut Vec<u8>) {
    for unit in Units(text) {
        if is_unreserved(unit.byte) || is_reserved(unit.byte) && !unit.guarded {
            out.push(unit.byte);
        } else {
            put_hex(out, unit.byte);
        }
    }
}

fn escape_into(text: &[u8], out: &mut Vec<u8>, plain: fn(u8) -> bool) {
    for &byte in text {
        if plain(byte) {
            out.push(byte);
        } else {
            put_hex(out, byte);
        }
    }
}

/// Appends plain text escaped as the user part of a URI.
pub fn escape_user_into(text: &[u8], out: &mut Vec<u8>) {
    escape_into(text, out, is_user_byte);
}

/// Appends plain text escaped as a name or value of a URI parameter.
pub fn escape_param_into(text: &[u8], out: &mut Vec<u8>) {
    escape_into(text, out, is_param_byte);
}

/// Appends plain text escaped as a name or value of a URI header (behind the `?`).
pub fn escape_header_into(text: &[u8], out: &mut Vec<u8>) {
    escape_into(text, out, is_header_byte);
}
