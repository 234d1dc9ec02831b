//! The primitives of the grammar (RFC 3261 §25.1): character classes, white space, quoted strings, numbers.
//!
//! The message index has checked every line end, so a CR or LF inside a value is folding and counts as white space.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::lanes::{no_call_id_bits, no_quoted_bits, no_uri_bits, no_visible_bits, no_word_bits, odd_bits};

/// Whether a byte is linear white space inside a value.
#[inline]
pub const fn is_ws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// May stand in a `token`.
const TOKEN: u8 = 1;
/// May stand in the value of a parameter: a token or a host; `/`, `@` and `=` are met in the wild and harm nothing.
pub(crate) const PARAM: u8 = 2;
/// May stand in a host name or an IPv4 address; underscores are in names of real machines.
pub(crate) const HOST: u8 = 4;
/// May stand in the user part of a URI and means nothing there: no separator and no escape.
const USER: u8 = 8;
/// May stand in a parameter of a URI, where it ends nothing and is no escape. With an `@`, what looks like parameters
/// could be a user part.
const URI_PARAM: u8 = 16;

const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        let token = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
            );
        if token {
            table[i] |= TOKEN | PARAM;
        }
        if matches!(byte, b':' | b'/' | b'[' | b']' | b'@' | b'=') {
            table[i] |= PARAM;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            table[i] |= HOST;
        }
        let plain = byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b'%' | b'@');
        if plain && byte != b':' {
            table[i] |= USER;
        }
        if plain && !matches!(byte, b';' | b'?') {
            table[i] |= URI_PARAM;
        }
        i += 1;
    }
    table
};

#[inline(always)]
pub(crate) const fn is_of(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// The position of the first byte from `at` that is not of a class.
#[inline]
fn end_of(text: &[u8], mut at: usize, class: u8) -> usize {
    while text.get(at).is_some_and(|&b| is_of(b, class)) {
        at += 1;
    }
    at
}

/// The block of bytes at `at`, if there is one.
#[inline(always)]
fn block_at(text: &[u8], at: usize) -> Option<&[u8; BLOCK]> {
    let last = text.len().checked_sub(BLOCK)?;
    if at > last {
        return None;
    }
    text[at..].first_chunk()
}

const BLOCK: usize = 16;

/// [`end_of`] for what is longer than a few bytes. Most of them are letters, digits, hyphens and dots, which every class
/// has.
#[inline]
fn far_end_of(text: &[u8], mut at: usize, class: u8) -> usize {
    while let Some(block) = block_at(text, at) {
        let mut bits = no_word_bits(block);
        while bits != 0 {
            let end = at + bits.trailing_zeros() as usize;
            if !text.get(end).is_some_and(|&b| is_of(b, class)) {
                return end;
            }
            bits &= bits - 1;
        }
        at += BLOCK;
    }
    end_of(text, at, class)
}

/// The end of a parameter's value, unless it is quoted, that starts at `at`.
pub fn param_end(text: &[u8], at: usize) -> usize {
    far_end_of(text, at, PARAM)
}

/// The end of a host name or IPv4 address that starts at `at`.
#[inline]
pub fn host_end(text: &[u8], at: usize) -> usize {
    end_of(text, at, HOST)
}

/// The end of a user part without password and escapes, if that is what starts at `at`.
#[inline]
pub fn user_end(text: &[u8], at: usize) -> usize {
    end_of(text, at, USER)
}

/// The end of a parameter of a URI that starts at `at`, if it has no escapes.
#[inline]
pub fn uri_param_end(text: &[u8], at: usize) -> usize {
    far_end_of(text, at, URI_PARAM)
}

/// The end of the digits that start at `at`.
pub fn digits_end(text: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    at
}

/// The number up to a greatest one that starts at `at`, and its end, which is `at` where there is none.
#[inline]
pub fn number_at(text: &[u8], mut at: usize, most: u32) -> Option<(u32, usize)> {
    let mut value = 0;
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        value = value * 10 + u64::from(digit - b'0');
        if value > u64::from(most) {
            return None;
        }
        at += 1;
    }
    Some((value as u32, at))
}

/// The number that some bytes begin with, and how many digits it has; `None` when it does not end among them. They are so few
/// that it cannot overflow.
#[inline(always)]
pub(crate) fn near_number<const N: usize>(bytes: &[u8; N]) -> Option<(u32, u32)> {
    const { assert!(N <= 9) };
    let mut value = 0;
    for (len, byte) in (0..).zip(bytes) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Some((value, len));
        }
        value = value * 10 + u32::from(digit);
    }
    None
}

/// The port, 1 to 65535, that starts at `at`, and its end.
#[inline]
pub fn port(text: &[u8], at: usize) -> Option<(u16, usize)> {
    let (value, end) = number_at(text, at, u32::from(u16::MAX))?;
    (value != 0).then_some((value as u16, end))
}

/// Whether a text is a word, in any case. Nearly always it is written as it is here.
#[inline]
pub fn is_word<const N: usize>(text: &[u8], word: &[u8; N]) -> bool {
    text == word || text.len() == N && text.eq_ignore_ascii_case(word)
}

/// A byte eight times.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

const HIGH_BITS: u64 = each(0x80);

/// Marks the bytes of a word that are `byte`, by their highest bits. As with all marks the lowest is right and counts;
/// those above it may be wrong.
#[inline]
pub(crate) const fn marks(word: u64, byte: u8) -> u64 {
    let differences = word ^ each(byte);
    differences.wrapping_sub(each(1)) & !differences & HIGH_BITS
}

/// The position of the first byte that is marked.
#[inline]
pub(crate) const fn first_mark(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// Marks what is not visible, and bytes that are not ASCII.
#[inline]
const fn marks_invisible(word: u64) -> u64 {
    (word.wrapping_sub(each(b'!')) | word | word.wrapping_add(each(1))) & HIGH_BITS
}

/// Marks bytes that no URI has: what is not visible and what could end it in a header field.
#[inline]
const fn marks_no_uri(word: u64) -> u64 {
    // `<` and `>` differ in one bit.
    let angles = marks(word | each(2), b'>');
    marks_invisible(word) | angles | marks(word, b'"')
}

/// The position of the first byte that gets a mark. What fills up a text of less than a word must get none.
#[inline]
fn find_marked(text: &[u8], marks: impl Fn(u64) -> u64) -> Option<usize> {
    let mut rest = text;
    while let Some((word, behind)) = rest.split_first_chunk() {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(text.len() - rest.len() + first_mark(found));
        }
        rest = behind;
    }
    if rest.is_empty() {
        return None;
    }
    let (word, at) = match text.last_chunk() {
        // Of these some were looked at before, and had no mark.
        Some(last) => (u64::from_le_bytes(*last), text.len() - 8),
        None => (filled_up(rest), 0),
    };
    let found = marks(word);
    (found != 0).then(|| at + first_mark(found))
}

/// A word of what is less than one, and of `A` behind it.
#[inline]
fn filled_up(text: &[u8]) -> u64 {
    let shift_in = |word: u64, &byte: &u8| word << 8 | u64::from(byte);
    text.iter().rev().fold(each(b'A'), shift_in)
}

/// The position of a byte that is expected within the next few; for longer searches `memchr` is better.
#[inline]
pub fn find_near(text: &[u8], byte: u8) -> Option<usize> {
    find_marked(text, |word| marks(word, byte))
}

/// The position of the first byte from `at` that a block of bytes may not have, or the end; those that are left over are
/// looked at by their marks, as words.
#[inline(always)]
fn end_by(text: &[u8], mut at: usize, bits: impl Fn(&[u8; 16]) -> u32, marks: impl Fn(u64) -> u64) -> usize {
    while let Some(block) = block_at(text, at) {
        let bits = bits(block);
        if bits != 0 {
            return at + bits.trailing_zeros() as usize;
        }
        at += BLOCK;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + find_marked(rest, marks).unwrap_or(rest.len())
}

/// The position of the first byte from `at` that is a control character or not ASCII, or the end.
#[inline]
pub fn odd_at(text: &[u8], at: usize) -> usize {
    let odd = |word: u64| (word.wrapping_sub(each(b' ')) | word) & HIGH_BITS;
    end_by(text, at, odd_bits, odd)
}

/// The position of the first CR or LF from `at`.
#[inline]
pub fn find_line_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = odd_at(text, at);
        if matches!(text.get(at)?, b'\r' | b'\n') {
            return Some(at);
        }
        at += 1;
    }
}

/// The end of a URI in a header field that starts at `at`: the first byte that it cannot have.
#[inline]
pub fn uri_end(text: &[u8], at: usize) -> usize {
    end_by(text, at, no_uri_bits, marks_no_uri)
}

/// Whether no byte is one that a URI cannot have.
#[inline]
pub fn is_uri_text(text: &[u8]) -> bool {
    uri_end(text, 0) == text.len()
}

/// The end of a `callid` that starts at `at`, less strict: anything visible but the comma that would end it in a list.
#[inline]
pub fn call_id_end(text: &[u8], at: usize) -> usize {
    let marks_other = |word: u64| marks_invisible(word) | marks(word, b',');
    end_by(text, at, no_call_id_bits, marks_other)
}

/// Whether all of it is one `callid`.
pub fn is_call_id(text: &[u8]) -> bool {
    !text.is_empty() && call_id_end(text, 0) == text.len()
}

/// The position behind a quoted string whose opening quote is at `at`, if it has no escapes and is on one line.
#[inline]
pub fn quoted_near(text: &[u8], at: usize) -> Option<usize> {
    let odd = |word: u64| word.wrapping_sub(each(b' ')) & !word & HIGH_BITS;
    let marks_end = |word: u64| odd(word) | marks(word, b'"') | marks(word, b'\\');
    let end = end_by(text, at + 1, no_quoted_bits, marks_end);
    (text.get(end) == Some(&b'"')).then_some(end + 1)
}

/// Whether all of it is one `token`.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && token_end(text, 0) == text.len()
}

/// The position of the first byte that is not white space, from `at`.
#[inline]
pub fn skip_ws(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|&b| is_ws(b)) {
        at += 1;
    }
    at
}

/// The text without white space at its ends.
#[inline]
pub fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// The text without white space at its start.
#[inline]
pub fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_ws(*first)
    {
        text = rest;
    }
    text
}

/// The text without white space at its end.
#[inline]
pub fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_ws(*last)
    {
        text = rest;
    }
    text
}

/// [`token_end`] of a token that is longer than a word.
#[inline]
pub fn far_token_end(text: &[u8], at: usize) -> usize {
    far_end_of(text, at, TOKEN)
}

/// The end of a token that starts at `at` (equal to `at` when there is none).
pub fn token_end(text: &[u8], at: usize) -> usize {
    end_of(text, at, TOKEN)
}

/// The position behind a quoted string whose opening quote is at `at`; `None` when it is never closed.
pub fn quoted_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// A decimal number of digits only, without overflow.
#[inline]
pub fn number(text: &[u8]) -> Option<u64> {
    match number_at(text, 0, u32::MAX) {
        Some((value, end)) => (end == text.len() && end > 0).then_some(u64::from(value)),
        None => long_number(text),
    }
}

/// [`number`] of many digits.
#[cold]
fn long_number(text: &[u8]) -> Option<u64> {
    /// So many digits cannot overflow.
    const SAFE: usize = 19;
    let (safe, rest) = text.split_at(text.len().min(SAFE));
    let mut value = 0;
    for digit in safe {
        value = value * 10 + decimal(*digit)?;
    }
    for digit in rest {
        value = value.checked_mul(10)?.checked_add(decimal(*digit)?)?;
    }
    Some(value)
}

#[inline]
fn decimal(digit: u8) -> Option<u64> {
    let value = digit.wrapping_sub(b'0');
    (value < 10).then_some(u64::from(value))
}

/// The two digits of every number below 100.
static PAIRS: [[u8; 2]; 100] = {
    let mut table = [[b'0'; 2]; 100];
    let mut value = 0;
    while value < 100 {
        table[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    table
};

/// The last two digits of a number.
#[inline]
pub fn two_digits(value: u16) -> [u8; 2] {
    PAIRS[usize::from(value % 100)]
}

/// The digits of every octet and the dot behind them, and how long that is.
static OCTETS: [(u32, u8); 256] = {
    let mut table = [(0, 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let [a, b, c] = [octet / 100, octet / 10 % 10, octet % 10];
        let [a, b, c] = [b'0' + a as u8, b'0' + b as u8, b'0' + c as u8];
        let (text, len) = match octet {
            0..10 => ([c, b'.', 0, 0], 2),
            10..100 => ([b, c, b'.', 0], 3),
            _ => ([a, b, c, b'.'], 4),
        };
        table[octet] = (u32::from_le_bytes(text), len);
        octet += 1;
    }
    table
};

/// Appends the first `len` bytes of a word, written as one.
#[inline(always)]
fn put_word(out: &mut Vec<u8>, word: u64, len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(&word.to_le_bytes());
    out.truncate(end);
}

/// The digits of a number, at most five, and how many they are.
#[inline(always)]
fn digits(value: u16) -> (u64, usize) {
    let value = u32::from(value);
    let (high, low) = (value / 100, value % 100);
    let [a, b] = PAIRS[(high % 100) as usize];
    let [c, d] = PAIRS[low as usize];
    let digits = u64::from_le_bytes([b'0' + (high / 100) as u8, a, b, c, d, 0, 0, 0]);
    // The last digit is written even if it is a zero.
    let zeros = (digits ^ each(b'0') | 1 << 32).trailing_zeros() / 8;
    (digits >> (8 * zeros), 5 - zeros as usize)
}

/// An IPv4 address in two words, and how long their texts are.
#[inline(always)]
pub(crate) fn octets(address: Ipv4Addr) -> [(u64, usize); 2] {
    let [a, b, c, d] = address.octets().map(|octet| OCTETS[usize::from(octet)]);
    let pair = |(first, len): (u32, u8), (second, more): (u32, u8)| {
        let text = u64::from(first) | u64::from(second) << (8 * len);
        (text, usize::from(len + more))
    };
    let (high, (low, len)) = (pair(a, b), pair(c, d));
    // Behind the last one there is no dot.
    [high, (low, len - 1)]
}

/// Writes a byte and a decimal number behind it.
#[inline]
pub fn put_short(out: &mut Vec<u8>, byte: u8, value: u16) {
    let (digits, len) = digits(value);
    put_word(out, digits << 8 | u64::from(byte), 1 + len);
}

/// Writes a decimal number.
#[inline]
pub fn put_number(out: &mut Vec<u8>, value: u64) {
    match u16::try_from(value) {
        Ok(octet @ 0..=255) => put_octet(out, octet as u8),
        Ok(value) => {
            let (digits, len) = digits(value);
            put_word(out, digits, len);
        }
        Err(_) => put_long_number(out, value),
    }
}

/// Writes a decimal number of one octet.
#[inline]
pub fn put_octet(out: &mut Vec<u8>, value: u8) {
    let (text, len) = OCTETS[usize::from(value)];
    // Behind the digits there is a dot.
    put_word(out, u64::from(text), usize::from(len) - 1);
}

fn put_long_number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes an IP address as it stands in a `received` parameter: IPv6 without brackets.
#[inline]
pub fn put_ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (text, len) in octets(address) {
                put_word(out, text, len);
            }
        }
        IpAddr::V6(address) => put_ipv6(out, address),
    }
}

/// Whether a text is an IPv4 address as [`put_ip`] writes it.
#[inline]
pub fn spells_ipv4(text: &[u8], address: Ipv4Addr) -> bool {
    matches!(strip_ipv4(text, address), Some([]))
}

/// What follows an IPv4 address as [`put_ip`] writes it, if a text begins with that.
#[inline]
pub fn strip_ipv4(text: &[u8], address: Ipv4Addr) -> Option<&[u8]> {
    let [(high, high_len), (low, low_len)] = octets(address);
    let spelled = u128::from(high) | u128::from(low) << (8 * high_len);
    let len = high_len + low_len;
    let (text, rest) = text.split_at_checked(len)?;
    let is_spelled = match (text.first_chunk(), text.last_chunk()) {
        // Between them they have all of it.
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) == spelled as u64
                && u64::from_le_bytes(*last) == (spelled >> (8 * (len - 8))) as u64
        }
        _ => text == &spelled.to_le_bytes()[..len],
    };
    is_spelled.then_some(rest)
}

#[cold]
fn put_ipv6(out: &mut Vec<u8>, address: Ipv6Addr) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{address}");
}

/// Writes an IP address as the host of a URI: IPv6 in brackets.
pub fn put_host(out: &mut Vec<u8>, address: IpAddr) {
    if address.is_ipv4() {
        return put_ip(out, address);
    }
    out.push(b'[');
    put_ip(out, address);
    out.push(b']');
}

/// Writes an address with its port; IPv6 in brackets.
pub fn put_socket_address(out: &mut Vec<u8>, address: SocketAddr) {
    put_host(out, address.ip());
    put_short(out, b':', address.port());
}

/// Writes a byte as `%` and two hexadecimal digits.
pub fn put_hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[
        b'%',
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]);
}

/// Appends text as one word for people to read, whoever has written it: what is not visible ASCII is escaped as in a URI, so
/// that nothing looks like the end of the word or of the line, and no terminal is told anything.
pub fn put_visible(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    loop {
        let (visible, behind) = rest.split_at(end_by(rest, 0, no_visible_bits, marks_invisible));
        out.extend_from_slice(visible);
        let [byte, behind @ ..] = behind else { return };
        put_hex(out, *byte);
        rest = behind;
    }
}

/// Appends text as the inside of a quoted string: quotes and backslashes escaped, control characters made spaces.
pub fn escape_quoted_into(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\t' => out.push(byte),
            0..=31 | 127 => out.push(b' '),
            _ => out.push(byte),
        }
    }
}

/// The text that the inside of a quoted string stands for; allocates only when there is an escape in it.
#[inline]
pub fn unescape_quoted(inside: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match find_near(inside, b'\\') {
        None => inside.into(),
        Some(_) => without_escapes(inside).into(),
    }
}

fn without_escapes(inside: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        out.push(if byte == b'\\' {
            bytes.next().copied().unwrap_or(byte)
        } else {
            byte
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of texts of every length that words, parts of words and both make.
    fn every_place(check: impl Fn(&[u8])) {
        for len in 0..40 {
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; len];
                    text[at] = byte;
                    check(&text);
                }
            }
        }
    }

    #[test]
    fn words_find_what_single_bytes_find() {
        let uri = |b: u8| b.is_ascii_graphic() && !b"<>\"".contains(&b);
        every_place(|text| {
            let position = |found: &dyn Fn(u8) -> bool| text.iter().position(|&b| found(b));
            assert_eq!(find_near(text, b'%'), position(&|b| b == b'%'), "{text:?}");
            assert_eq!(
                find_line_end(text, 0),
                position(&|b| b == b'\r' || b == b'\n'),
                "{text:?}"
            );
            assert_eq!(
                uri_end(text, 0),
                position(&|b| !uri(b)).unwrap_or(text.len()),
                "{text:?}"
            );
            assert_eq!(is_uri_text(text), text.iter().all(|&b| uri(b)), "{text:?}");
            let call_id = text.iter().all(|&b| b.is_ascii_graphic() && b != b',');
            assert_eq!(is_call_id(text), call_id, "{text:?}");
            let host = position(&|b| !b.is_ascii_alphanumeric() && !b"-._".contains(&b));
            assert_eq!(host_end(text, 0), host.unwrap_or(text.len()), "{text:?}");
        });
    }

    #[test]
    fn numbers_end_where_they_would_overflow() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"0000000000000000000000000000007"), Some(7));
        for text in ["", "18446744073709551616", "1x", "x", "99999999999999999999x"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
        assert_eq!(port(b":0005060;", 1), Some((5060, 8)));
        for text in ["", "0", "65536", "99999999999999999999", "x"] {
            assert_eq!(port(text.as_bytes(), 0), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_written_with_all_their_digits() {
        let powers = (0..20).map(|exponent| 10u64.pow(exponent));
        let around = powers.flat_map(|power| [power - 1, power, power + 1, power.saturating_mul(7)]);
        for value in around.chain([0, 305, 65_535, u64::MAX]) {
            let mut out = Vec::new();
            put_number(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    #[test]
    fn a_text_from_outside_is_written_as_one_visible_word() {
        let mut out = Vec::new();
        put_visible(&mut out, "a@b\r\n x=1\u{202e}\u{85}\u{7f}".as_bytes());
        assert_eq!(out, b"a@b%0D%0A%20x=1%E2%80%AE%C2%85%7F");
        // Wherever it stands among many that are visible.
        for at in 0..40 {
            for byte in [b' ', 0, 0x7F, 0x80, 0xFF] {
                let mut text = [b'a'; 40];
                text[at] = byte;
                out.clear();
                put_visible(&mut out, &text);
                let (before, after) = ("a".repeat(at), "a".repeat(39 - at));
                assert_eq!(out, format!("{before}%{byte:02X}{after}").as_bytes());
            }
        }
    }

    #[test]
    fn what_follows_an_address_is_found_only_behind_that_address() {
        for (text, address, rest) in [
            ("1.1.1.1", [1, 1, 1, 1], Some("")),
            ("1.1.1.1:5060;lr", [1, 1, 1, 1], Some(":5060;lr")),
            ("1.1.1.10", [1, 1, 1, 1], Some("0")),
            ("1.1.1.1", [1, 1, 1, 10], None),
            ("1.1.1.", [1, 1, 1, 1], None),
            ("192.168.100.200>", [192, 168, 100, 200], Some(">")),
            ("192.168.100.201>", [192, 168, 100, 200], None),
            ("", [0, 0, 0, 0], None),
        ] {
            let found = strip_ipv4(text.as_bytes(), Ipv4Addr::from(address));
            assert_eq!(found, rest.map(str::as_bytes), "{text} {address:?}");
        }
    }

    #[test]
    fn addresses_are_written_for_their_place() {
        let mut out = Vec::new();
        put_ip(&mut out, "192.0.2.10".parse().expect("address"));
        put_ip(&mut out, "2001:db8::7".parse().expect("address"));
        put_socket_address(&mut out, "[2001:db8::7]:5060".parse().expect("address"));
        put_socket_address(&mut out, "0.255.0.1:1".parse().expect("address"));
        assert_eq!(out, b"192.0.2.102001:db8::7[2001:db8::7]:50600.255.0.1:1");
    }

    #[test]
    fn a_text_spells_the_address_that_is_written_so_and_no_other() {
        let texts = [
            "1.2.3.4",
            "10.2.3.4",
            "10.20.3.4",
            "127.0.0.1",
            "192.0.2.10",
            "192.168.100.200",
        ];
        for text in texts {
            let address: Ipv4Addr = text.parse().expect("an address");
            for other in texts {
                assert_eq!(
                    spells_ipv4(other.as_bytes(), address),
                    text == other,
                    "{other} for {text}"
                );
            }
            for at in 0..text.len() {
                let mut changed = text.as_bytes().to_vec();
                changed[at] ^= 1;
                assert!(!spells_ipv4(&changed, address), "{at} of {text}");
                changed.remove(at);
                assert!(!spells_ipv4(&changed, address), "without {at} of {text}");
            }
            assert!(
                !spells_ipv4(&[text.as_bytes(), b"0"].concat(), address),
                "{text}0"
            );
        }
        assert!(!spells_ipv4(b"", Ipv4Addr::LOCALHOST));
        assert!(!spells_ipv4(b"127.000.0.1", Ipv4Addr::LOCALHOST));
    }
}
