//! Streams are cut into messages the same way however their bytes arrive (RFC 3261 §18.3, RFC 5626 §3.5.1).

use crate::samples;
use strowger_syntax::message::stream::{Frame, FrameError, Framer};
use strowger_syntax::{Index, Limits};

/// What a stream held: where its messages are, the pings in front of each, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cut {
    messages: Vec<(usize, usize, usize)>,
    pings: usize,
    consumed: usize,
    error: Option<FrameError>,
}

/// Gives a framer the stream in pieces that end at `ends`.
fn cut(stream: &[u8], ends: impl IntoIterator<Item = usize>, limits: Limits) -> Cut {
    let mut framer = Framer::new(limits);
    let mut cut = Cut::default();
    for end in ends.into_iter().chain([stream.len()]) {
        loop {
            match framer.next(&stream[cut.consumed..end]) {
                Ok(Frame::Incomplete) => break,
                Ok(Frame::KeepAlive { len, pings }) => {
                    assert!(len > 0);
                    cut.pings += pings;
                    cut.consumed += len;
                }
                Ok(Frame::Message { skip, len }) => {
                    cut.messages.push((cut.consumed + skip, len, cut.pings));
                    cut.consumed += skip + len;
                }
                Err(FrameError::Unframeable { head_len }) => {
                    let head_end = cut.consumed + head_len;
                    return Cut {
                        error: Some(FrameError::Unframeable { head_len: head_end }),
                        consumed: 0,
                        ..cut
                    };
                }
                Err(error) => {
                    return Cut {
                        error: Some(error),
                        consumed: 0,
                        ..cut
                    };
                }
            }
        }
    }
    cut
}

/// All at once, then split at every offset, then byte by byte: one result.
fn whole(stream: &[u8]) -> Cut {
    whole_within(stream, Limits::DEFAULT)
}

fn whole_within(stream: &[u8], limits: Limits) -> Cut {
    let whole = cut(stream, [], limits);
    for at in 0..stream.len() {
        assert_eq!(cut(stream, [at], limits), whole, "split at {at}");
    }
    assert_eq!(cut(stream, 0..stream.len(), limits), whole, "byte by byte");
    whole
}

const BYE: &str = "BYE sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\n\
    Call-ID: 1\r\nCSeq: 1 BYE\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn messages_and_keep_alives_are_told_apart_at_any_split() {
    let compact = BYE.replace("Content-Length", "L");
    let folded = BYE.replace("Content-Length: 3", "l  :\r\n \t3\r\n ");
    let stream = format!("{BYE}\r\n\r\n{compact}\r\n{folded}\r\n\r\n\r\n{BYE}\r\n\r\n\r\n\r\n");
    let found = whole(stream.as_bytes());
    let (a, b, c) = (BYE.len(), compact.len(), folded.len());
    let third = a + 4 + b + 2;
    assert_eq!(
        found.messages,
        [(0, a, 0), (a + 4, b, 1), (third, c, 1), (third + c + 6, a, 2)]
    );
    assert_eq!(
        (found.pings, found.consumed, found.error),
        (4, stream.len(), None)
    );
}

#[test]
fn framing_agrees_with_the_index() {
    let mut index = Index::default();
    let mut agreed = 0;
    for (name, bytes) in samples::all() {
        if bytes.starts_with(b"\r\n") {
            continue;
        }
        let framed = cut(&bytes, [], Limits::DEFAULT);
        match index.parse_framed(&bytes, &Limits::DEFAULT) {
            Ok(message) => {
                assert_eq!(
                    framed.messages.first(),
                    Some(&(0, message.bytes().len(), 0)),
                    "{name}"
                );
                agreed += 1;
            }
            Err(_) => {
                if let Some(&(start, len, _)) = framed.messages.first() {
                    assert!(
                        index
                            .parse_framed(&bytes[start..start + len], &Limits::DEFAULT)
                            .is_err(),
                        "{name}"
                    );
                }
            }
        }
    }
    assert!(agreed >= samples::OWN.len() - 1);
}

#[test]
fn samples_are_framed_the_same_at_any_split() {
    let mut stream = Vec::new();
    for text in samples::OWN {
        if text.contains("Content-Length") || text.contains("\r\nl") {
            stream.extend_from_slice(text.as_bytes());
            stream.extend_from_slice(b"\r\n");
        }
    }
    let found = whole(&stream);
    assert_eq!((found.messages.len(), found.error), (samples::OWN.len(), None));
}

#[test]
fn what_cannot_be_framed_is_refused() {
    let head_len = BYE.len() - 3;
    let refused = |text: &str| {
        let found = whole(text.as_bytes());
        assert!(found.messages.is_empty(), "{text}");
        found.error
    };
    let without = BYE.replace("Content-Length: 3\r\n", "");
    assert_eq!(
        refused(&without),
        Some(FrameError::Unframeable {
            head_len: head_len - 19
        })
    );
    let twice = BYE.replace("CSeq", "l: 3\r\nCSeq");
    assert_eq!(
        refused(&twice),
        Some(FrameError::Unframeable {
            head_len: head_len + 6
        })
    );
    for broken in ["-1", "3 3", "0x3", "", "99999999999999999999"] {
        let text = BYE.replace("Length: 3", &format!("Length: {broken}"));
        assert!(
            matches!(refused(&text), Some(FrameError::Unframeable { .. })),
            "{broken}"
        );
    }
    for alone in ["\r", "\n", "\r\r\n"] {
        let text = BYE.replace("\r\nCall-ID", &format!("{alone}Call-ID"));
        assert!(
            matches!(refused(&text), Some(FrameError::Unframeable { .. })),
            "{alone:?}"
        );
    }
    assert!(matches!(
        refused("\r\n\rx"),
        Some(FrameError::Unframeable { head_len: 2 })
    ));
}

#[test]
fn only_header_fields_give_a_length() {
    // Neither the start line nor a line that is folded into another one.
    let text = BYE
        .replace("BYE sip:a", "l: 9")
        .replace("To: <sip:b>", "To: <sip:b>\r\n Content-Length: 7");
    assert_eq!(whole(text.as_bytes()).messages, [(0, text.len(), 0)]);
}

#[test]
fn heads_and_bodies_over_the_limits_are_refused() {
    let limits = |head, body| Limits {
        head,
        body,
        ..Limits::DEFAULT
    };
    let head = BYE.len() - 3;
    assert_eq!(whole_within(BYE.as_bytes(), limits(head, 3)).messages.len(), 1);
    assert_eq!(
        whole_within(BYE.as_bytes(), limits(head - 1, 3)).error,
        Some(FrameError::TooLarge)
    );
    assert_eq!(
        whole_within(BYE.as_bytes(), limits(head, 2)).error,
        Some(FrameError::TooLarge)
    );
    assert_eq!(
        whole_within(&BYE.as_bytes()[..head - 2], limits(head - 2, 2)).error,
        Some(FrameError::TooLarge)
    );
    // What comes first, the limit or a broken line end, does not hang on how the bytes arrive.
    for broken in ["\r", "\n"] {
        let text = BYE.replace("\r\nCall-ID", &format!("{broken}Call-ID"));
        let at = text.find("Call-ID").unwrap_or_default() - 1;
        for (head, too_large) in [(at, true), (at + 1, true), (at + 2, false)] {
            let error = whole_within(text.as_bytes(), limits(head, 3)).error;
            assert_eq!(
                error == Some(FrameError::TooLarge),
                too_large,
                "{broken:?} {head} {at}"
            );
        }
    }
}
