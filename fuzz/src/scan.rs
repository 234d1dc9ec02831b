//! The scanners that look at many bytes at once, against the same done byte by byte. The first byte says where to begin.

use strowger_syntax::scan::*;

/// Lines and values, at a few offsets.
pub fn seeds(message: &[u8]) -> Vec<Vec<u8>> {
    let lines = message.split(|&b| b == b'\n').take(4).enumerate();
    lines
        .map(|(i, line)| [&[3 * i as u8], line, b"\r\n"].concat())
        .collect()
}

/// One byte at a time is what everything here has to agree with.
pub fn check(data: &[u8]) {
    let [at, text @ ..] = data else { return };
    let at = usize::from(*at).min(text.len());
    let rest = &text[at..];
    let first = |is: &dyn Fn(u8) -> bool| rest.iter().position(|&b| is(b));
    let end = |is: &dyn Fn(u8) -> bool| at + first(&|b| !is(b)).unwrap_or(rest.len());

    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let is_uri = |b: u8| b.is_ascii_graphic() && !b"<>\"".contains(&b);
    let is_user = |b: u8| is_uri(b) && !b"%@:".contains(&b);
    assert_eq!(odd_at(text, at), end(&|b| (b' '..0x80).contains(&b)));
    assert_eq!(
        find_line_end(text, at),
        first(&|b| matches!(b, b'\r' | b'\n')).map(|i| at + i)
    );
    for byte in [b':', b'@', b'\r', 0, 0x7f, 0x80, 0xff] {
        assert_eq!(find_near(rest, byte), first(&|b| b == byte));
    }
    assert_eq!(uri_end(text, at), end(&is_uri));
    assert_eq!(is_uri_text(rest), rest.iter().all(|&b| is_uri(b)));
    assert_eq!(call_id_end(text, at), end(&|b| b.is_ascii_graphic() && b != b','));
    assert_eq!(token_end(text, at), end(&is_token));
    assert_eq!(far_token_end(text, at), end(&is_token));
    assert_eq!(
        param_end(text, at),
        end(&|b| is_token(b) || b":/[]@=".contains(&b))
    );
    assert_eq!(host_end(text, at), end(&is_host));
    assert_eq!(user_end(text, at), end(&is_user));
    assert_eq!(
        uri_param_end(text, at),
        end(&|b| is_uri(b) && !b"%@;?".contains(&b))
    );
    assert_eq!(digits_end(text, at), end(&|b| b.is_ascii_digit()));
    numbers(text, at);
    quotes(text, at);
}

fn numbers(text: &[u8], at: usize) {
    let digits = &text[at..digits_end(text, at)];
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    let behind = at + digits.len();
    let small = value.and_then(|value| u32::try_from(value).ok());
    assert_eq!(number_at(text, at, u32::MAX), small.map(|value| (value, behind)));
    let least = small.filter(|&value| value <= 255);
    assert_eq!(number_at(text, at, 255), least.map(|value| (value, behind)));
    let in_range = small
        .and_then(|value| u16::try_from(value).ok())
        .filter(|&value| value != 0);
    assert_eq!(port(text, at), in_range.map(|value| (value, behind)));
    assert_eq!(number(digits), value.filter(|_| !digits.is_empty()));
    if let Some(value) = number(digits) {
        let mut out = Vec::new();
        put_number(&mut out, value);
        assert_eq!(out, value.to_string().as_bytes());
    }
}

/// The end of a quoted string, and whether all of it is plain: on one line, in ASCII, without escapes.
fn quoted(text: &[u8], at: usize) -> Option<(usize, bool)> {
    let (mut i, mut plain) = (at + 1, true);
    loop {
        match *text.get(i)? {
            b'"' => return Some((i + 1, plain)),
            b'\\' => (i, plain) = (i + 2, false),
            byte => (i, plain) = (i + 1, plain && byte >= b' '),
        }
    }
}

fn quotes(text: &[u8], at: usize) {
    if text.get(at) != Some(&b'"') {
        return;
    }
    let found = quoted(text, at);
    assert_eq!(quoted_end(text, at), found.map(|(end, _)| end));
    assert_eq!(
        quoted_near(text, at),
        found.filter(|(_, plain)| *plain).map(|(end, _)| end)
    );
    let Some((end, _)) = found else { return };
    let inside = unescape_quoted(&text[at + 1..end - 1]);
    // Control characters are not written.
    if inside.iter().any(u8::is_ascii_control) {
        return;
    }
    let mut out = Vec::new();
    escape_quoted_into(&inside, &mut out);
    assert_eq!(unescape_quoted(&out), inside);
}
