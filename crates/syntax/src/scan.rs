//! The primitives of the grammar (RFC 3261 §25.1): character classes, white space, quoted strings, numbers.
//!
//! The message index has checked every line end, so a CR or LF inside a value is folding and counts as white space.

/// Whether a byte is linear white space inside a value.
pub const fn is_ws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        table[i] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
            );
        i += 1;
    }
    table
};

/// Whether a byte may stand in a `token`.
pub const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether all of it is one `token`.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| is_token_byte(b))
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
pub fn token_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && is_token_byte(text[at]) {
        at += 1;
    }
    at
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
    text.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
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
