//! The primitives of the grammar (RFC 3261 §25.1): character classes, white space, quoted strings, numbers.
//!
//! The message index has checked every line end, so a CR or LF inside a value is folding and counts as white space.

/// Whether a byte is linear white space inside a value.
pub const fn is_ws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// May stand in a `token`.
const TOKEN: u8 = 1;
/// May stand in the value of a parameter: a token or a host; `/`, `@` and `=` are met in the wild and harm nothing.
const PARAM: u8 = 2;
/// May stand in a host name or an IPv4 address; underscores are in names of real machines.
const HOST: u8 = 4;
/// May stand in a Call-ID: anything visible but the comma that would end it in a list.
const CALL_ID: u8 = 8;
/// May stand in a URI: anything visible but what could end it in a header field.
const URI: u8 = 16;

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
        if byte.is_ascii_graphic() && byte != b',' {
            table[i] |= CALL_ID;
        }
        if byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"') {
            table[i] |= URI;
        }
        i += 1;
    }
    table
};

const fn is_of(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// The position of the first byte from `at` that is not of a class.
fn end_of(text: &[u8], mut at: usize, class: u8) -> usize {
    while at < text.len() && is_of(text[at], class) {
        at += 1;
    }
    at
}

/// The end of a parameter's value, unless it is quoted, that starts at `at`.
pub(crate) fn param_end(text: &[u8], at: usize) -> usize {
    end_of(text, at, PARAM)
}

/// The end of a host name or IPv4 address that starts at `at`.
pub(crate) fn host_end(text: &[u8], at: usize) -> usize {
    end_of(text, at, HOST)
}

/// The end of the digits that start at `at`.
pub(crate) fn digits_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && text[at].is_ascii_digit() {
        at += 1;
    }
    at
}

/// `callid`, less strict.
pub(crate) fn is_call_id(text: &[u8]) -> bool {
    !text.is_empty() && end_of(text, 0, CALL_ID) == text.len()
}

/// Whether no byte is one that a URI cannot have.
pub(crate) fn is_uri_text(text: &[u8]) -> bool {
    end_of(text, 0, URI) == text.len()
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;

/// The position of a byte that is expected within the next few; for longer searches `memchr` is better.
#[inline]
pub(crate) fn find_near(text: &[u8], byte: u8) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let differences = u64::from_le_bytes(*word) ^ (LOW_BITS * u64::from(byte));
        // The lowest bit that is set marks the first zero byte; those above it may be wrong.
        let zeros = differences.wrapping_sub(LOW_BITS) & !differences & HIGH_BITS;
        if zeros != 0 {
            return Some(i * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&b| b == byte).map(|i| words.len() * 8 + i)
}

/// The position of the first CR or LF from `at`.
#[inline]
pub(crate) fn find_line_end(text: &[u8], at: usize) -> Option<usize> {
    memchr::memchr2(b'\r', b'\n', text.get(at..)?).map(|i| at + i)
}

/// Whether all of it is one `token`.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && token_end(text, 0) == text.len()
}

/// The position of the first byte that is not white space, from `at`.
pub fn skip_ws(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && is_ws(text[at]) {
        at += 1;
    }
    at
}

/// The text without white space at its ends.
pub fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_ws(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_ws(*last)
    {
        text = rest;
    }
    text
}

/// The end of a token that starts at `at` (equal to `at` when there is none).
pub fn token_end(text: &[u8], at: usize) -> usize {
    end_of(text, at, TOKEN)
}

/// The position behind a quoted string whose opening quote is at `at`; `None` when it is never closed.
pub fn quoted_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    while at < text.len() {
        match text[at] {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// A decimal number of digits only, without overflow.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for digit in text {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// Writes a decimal number.
pub fn put_number(out: &mut Vec<u8>, value: u64) {
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

/// Writes a byte as `%` and two hexadecimal digits.
pub(crate) fn put_hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[
        b'%',
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]);
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
pub fn unescape_quoted(inside: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if memchr::memchr(b'\\', inside).is_none() {
        return inside.into();
    }
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        out.push(if byte == b'\\' {
            bytes.next().copied().unwrap_or(byte)
        } else {
            byte
        });
    }
    out.into()
}
