//! Just enough of Rust's lexis to tell code from comments, strings and tests.

/// A Rust file, with its comments and literals blanked out.
pub(crate) struct Source<'a> {
    /// From the repository's top.
    pub(crate) path: &'a str,
    /// As it stands.
    pub(crate) text: &'a str,
    /// The same bytes with comments and literals as spaces; line ends are kept.
    pub(crate) code: String,
    /// For each line whether it belongs to tests.
    tests: Vec<bool>,
}

impl<'a> Source<'a> {
    /// Reads a file.
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        let code = blank(text);
        let tests = test_lines(path, &code);
        Self {
            path,
            text,
            code,
            tests,
        }
    }

    /// True when this line (from 1) belongs to tests.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.tests
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    /// The number of lines before the first that belongs to tests.
    pub(crate) fn lines_before_tests(&self) -> usize {
        self.tests
            .iter()
            .position(|&test| test)
            .unwrap_or(self.tests.len())
    }

    /// The line (from 1) of a byte offset.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        1 + self
            .code
            .as_bytes()
            .iter()
            .take(offset)
            .filter(|&&byte| byte == b'\n')
            .count()
    }

    /// Where a word stands in the code by itself, not as a part of a longer name.
    pub(crate) fn words<'s>(&'s self, word: &'s str) -> impl Iterator<Item = usize> + 's {
        words(&self.code, word)
    }

    /// The offset just after the bracket that closes the one at `open`.
    pub(crate) fn closing(&self, open: usize) -> usize {
        closing(self.code.as_bytes(), open)
    }
}

/// The offsets of `word` in `text` where neither neighbour could belong to the same name.
pub(crate) fn words<'s>(text: &'s str, word: &'s str) -> impl Iterator<Item = usize> + 's {
    let bytes = text.as_bytes();
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let after = bytes.get(at + word.len());
        !before.is_some_and(|&byte| in_name(byte)) && !after.is_some_and(|&byte| in_name(byte))
    })
}

pub(crate) fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn closing(code: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let count = code.lines().count();
    let whole = path.starts_with("tests/")
        || path.starts_with("fuzz/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.contains("/benches/")
        || path.contains("/examples/");
    let mut tests = vec![whole; count];
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let bytes = code.as_bytes();
        let end = (at + 12..bytes.len())
            .find(|&at| matches!(bytes[at], b'{' | b';'))
            .map_or(bytes.len(), |at| {
                if bytes[at] == b'{' {
                    closing(bytes, at)
                } else {
                    at + 1
                }
            });
        let first = code[..at].matches('\n').count();
        let last = code[..end].matches('\n').count();
        for line in tests.iter_mut().take(last + 1).skip(first) {
            *line = true;
        }
    }
    tests
}

/// Blanks comments, strings and character literals.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    // Only whole characters were replaced, each byte by a space.
    String::from_utf8(out).unwrap_or_default()
}

/// The end of the comment or literal that begins at `at`; `at` itself when none does.
fn skipped(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_name = at > 0 && in_name(bytes[at - 1]);
    if rest.starts_with(b"//") {
        at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
    } else if rest.starts_with(b"/*") {
        at + block_comment(rest)
    } else if rest.starts_with(b"\"") {
        at + string(rest, 1)
    } else if !after_name && (rest.starts_with(b"b\"") || rest.starts_with(b"c\"")) {
        at + string(rest, 2)
    } else if !after_name && (rest.starts_with(b"r\"") || rest.starts_with(b"r#")) {
        at + raw_string(rest, 1)
    } else if !after_name && (rest.starts_with(b"br\"") || rest.starts_with(b"br#")) {
        at + raw_string(rest, 2)
    } else if rest.starts_with(b"'") {
        at + character(rest)
    } else {
        at
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(rest: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// 0 when it is a raw identifier and not a string.
fn raw_string(rest: &[u8], from: usize) -> usize {
    let hashes = rest[from..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(from + hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.resize(hashes + 1, b'#');
    let body = from + hashes + 1;
    let close = rest[body..].windows(end.len()).position(|window| window == end);
    close.map_or(rest.len(), |at| body + at + end.len())
}

/// 0 when it is a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let close = rest.iter().skip(3).position(|&byte| byte == b'\'');
        return close.map_or(rest.len(), |at| at + 4);
    }
    let close = rest.iter().take(6).skip(2).position(|&byte| byte == b'\'');
    match close {
        Some(at) if at == 0 || rest[1] >= 0x80 => at + 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_kept() {
        let text =
            "a /* x /* y */ z */ b // c\n\"d\\\"e\" f r#\"g\"h\"# 'i' b'\\'' '\\u{41}' 'é' &'j k\nr#type";
        let code = blank(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(
            code.split_whitespace().collect::<Vec<_>>(),
            ["a", "b", "f", "b", "&'j", "k", "r#type"]
        );
        assert_eq!(code.lines().count(), 3);
    }

    #[test]
    fn an_inline_test_module_and_nothing_after_it_is_test() {
        let source = Source::new(
            "crates/x/src/a.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n",
        );
        let tests: Vec<bool> = (1..=6).map(|line| source.is_test(line)).collect();
        assert_eq!(tests, [false, true, true, true, true, false]);
        assert_eq!(source.lines_before_tests(), 1);
    }

    #[test]
    fn a_word_is_not_found_inside_a_longer_one() {
        assert_eq!(
            words("unsafe unsafe_code deny(unsafe)", "unsafe").collect::<Vec<_>>(),
            [0, 24]
        );
    }
}
