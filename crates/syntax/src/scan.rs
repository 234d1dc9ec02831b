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
            || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
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
