//! Framing of streams (RFC 3261 §18.3): the first two bytes say where the stream is split.

use strowger_syntax::message::stream::{Frame, FrameError, Framer};
use strowger_syntax::{Fault, Index, Limits, Name};

const LIMITS: Limits = Limits {
    head: 2000,
    body: 3000,
    ..Limits::DEFAULT
};

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Whatever it needs next may still come.
    Open,
    Unframeable,
    TooLarge,
}

/// A message twice, once with an empty line in front.
pub fn seeds(message: &[u8]) -> Vec<Vec<u8>> {
    let split = [0, message.len().min(255) as u8];
    vec![[&split, message, b"\r\n\r\n\r\n", message].concat()]
}

/// However a stream is split, it has the same messages: those that reading it slowly and simply finds.
pub fn check(data: &[u8]) {
    let [a, b, stream @ ..] = data else { return };
    let whole = cut(stream, &[]);
    let (a, b) = (usize::from(*a), usize::from(*a) + usize::from(*b));
    assert_eq!(cut(stream, &[a.min(stream.len()), b.min(stream.len())]), whole);
    if stream.len() < 300 {
        let all: Vec<_> = (0..stream.len()).collect();
        assert_eq!(cut(stream, &all), whole);
    }
    assert_eq!((whole.messages.clone(), whole.end), simply(stream));
    for (start, len) in whole.messages {
        parsed(&stream[start..start + len]);
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Cut {
    messages: Vec<(usize, usize)>,
    pings: usize,
    end: End,
}

/// Gives a framer the stream in pieces that end at `ends`.
fn cut(stream: &[u8], ends: &[usize]) -> Cut {
    let mut framer = Framer::new(LIMITS);
    let (mut messages, mut pings, mut consumed) = (Vec::new(), 0, 0);
    for &end in ends.iter().chain([&stream.len()]) {
        loop {
            let end = match framer.next(&stream[consumed..end]) {
                Ok(Frame::Incomplete) => break,
                Ok(Frame::KeepAlive { len, pings: more }) => {
                    assert!(len > 0 && more <= len.div_ceil(2));
                    (pings, consumed) = (pings + more, consumed + len);
                    continue;
                }
                Ok(Frame::Message { skip, len }) => {
                    assert!(len > 0 && consumed + skip + len <= end);
                    messages.push((consumed + skip, len));
                    consumed += skip + len;
                    continue;
                }
                Err(FrameError::Unframeable { head_len }) => {
                    assert!(consumed + head_len <= end);
                    End::Unframeable
                }
                Err(FrameError::TooLarge) => End::TooLarge,
            };
            return Cut { messages, pings, end };
        }
    }
    Cut {
        messages,
        pings,
        end: End::Open,
    }
}

/// The messages of a stream, read line by line.
fn simply(stream: &[u8]) -> (Vec<(usize, usize)>, End) {
    let (mut messages, mut at) = (Vec::new(), 0);
    loop {
        while stream[at..].starts_with(b"\r\n") {
            at += 2;
        }
        if matches!(stream[at..], [] | [b'\r']) {
            return (messages, End::Open);
        }
        let (head, closed) = match head(&stream[at..]) {
            Ok(head) => head,
            Err(end) => return (messages, end),
        };
        if head.len() > LIMITS.head || !closed && head.len() >= LIMITS.head {
            return (messages, End::TooLarge);
        }
        if !closed {
            return (messages, End::Open);
        }
        let length = match content_length(head) {
            None => return (messages, End::Unframeable),
            Some(length) if length > LIMITS.body as u128 => return (messages, End::TooLarge),
            Some(length) => length as usize,
        };
        if stream.len() < at + head.len() + length {
            return (messages, End::Open);
        }
        messages.push((at, head.len() + length));
        at += head.len() + length;
    }
}

/// The head that a text begins with, or what there is of it, and whether it is closed.
fn head(text: &[u8]) -> Result<(&[u8], bool), End> {
    let mut at = 0;
    while at < text.len() {
        match &text[at..] {
            [b'\r', b'\n', b'\r', b'\n', ..] => return Ok((&text[..at + 4], true)),
            [b'\r', b'\n', ..] => at += 2,
            [b'\r'] => break,
            [b'\r' | b'\n', ..] if at + 2 > LIMITS.head => return Err(End::TooLarge),
            [b'\r' | b'\n', ..] => return Err(End::Unframeable),
            _ => at += 1,
        }
    }
    Ok((text, false))
}

/// The one Content-Length of a head.
fn content_length(head: &[u8]) -> Option<u128> {
    let text = String::from_utf8_lossy(head)
        .replace("\r\n ", "\n ")
        .replace("\r\n\t", "\n\t");
    let white = [' ', '\t', '\n'];
    let mut lengths = text.split("\r\n").skip(1).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim_end_matches(white).to_ascii_lowercase();
        (name == "content-length" || name == "l").then(|| value.trim_matches(white).to_owned())
    });
    let length = lengths.next()?;
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    if lengths.next().is_some() || !digits {
        return None;
    }
    let value = length.parse().ok()?;
    (value <= u128::from(u64::MAX)).then_some(value)
}

/// The index sees the message that the framer has seen.
fn parsed(bytes: &[u8]) {
    let mut index = Index::default();
    match index.parse_framed(bytes, &LIMITS) {
        Ok(message) => assert_eq!(message.bytes().len(), bytes.len()),
        Err(bad) => {
            let length = |name| name == Name::ContentLength;
            let about_length = match bad.fault {
                Fault::Missing(name) | Fault::Duplicate(name) | Fault::Malformed(name) => length(name),
                Fault::Truncated => true,
                _ => false,
            };
            assert!(!about_length, "{bad}");
        }
    }
}
