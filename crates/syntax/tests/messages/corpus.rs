//! Messages that others collected, where they lie beside the repository: what each is taken for is listed in `verdicts/`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{every, samples, torture};
use strowger_syntax::message::stream::{Frame, FrameError, Framer};
use strowger_syntax::{Draft, Edits, Index, Limits, Uri};

/// The files of a folder of the corpus with what is found of each.
fn found(folder: &str, verdict: fn(&str, &[u8]) -> String) -> BTreeMap<String, String> {
    let files = samples::folder(folder).into_iter();
    let files = files.filter(|(name, _)| !name.ends_with(".tsv"));
    files
        .map(|(name, bytes)| {
            let verdict = verdict(&name, &bytes);
            (name, verdict)
        })
        .collect()
}

/// The list of a folder: name and verdict in each line.
fn listed(list: &str) -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/verdicts")
        .join(list);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    lines
        .map(|(name, verdict)| (name.to_owned(), verdict.to_owned()))
        .collect()
}

#[track_caller]
fn agree(found: &BTreeMap<String, String>, listed: &BTreeMap<String, String>) {
    let wrong: Vec<_> = found
        .iter()
        .filter(|(name, verdict)| listed.get(*name) != Some(verdict))
        .map(|(name, verdict)| format!("{name}\t{verdict}"))
        .collect();
    assert!(wrong.is_empty(), "listed otherwise:\n{}", wrong.join("\n"));
    // Without the corpus nothing is found.
    let gone: Vec<_> = listed.keys().filter(|name| !found.contains_key(*name)).collect();
    assert!(found.is_empty() || gone.is_empty(), "listed only: {gone:?}");
}

/// A datagram, a header field (`.hdr`) or a URI (`.uri`).
fn one(name: &str, bytes: &[u8]) -> String {
    if name.ends_with(".uri") {
        return match Uri::parse(bytes.trim_ascii_end()) {
            Ok(_) => "good".to_owned(),
            Err(error) => error.to_string(),
        };
    }
    if name.ends_with(".hdr") {
        return torture::judge(&around(bytes)).to_string();
    }
    torture::judge(bytes).to_string()
}

/// Without empty lines in front, with CRLF for every line end, and with an empty line behind the head: what collectors lose.
fn made_whole(bytes: &[u8]) -> Vec<u8> {
    let text = bytes.iter().filter(|&&byte| byte != b'\r');
    let text = text
        .skip_while(|&&byte| byte == b'\n')
        .flat_map(|byte| match byte {
            b'\n' => b"\r\n",
            byte => std::slice::from_ref(byte),
        });
    let mut text: Vec<u8> = text.copied().collect();
    if !text.windows(4).any(|window| window == b"\r\n\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// The verdict as it lies there and, where that differs, that of the message made whole.
fn mended(name: &str, bytes: &[u8]) -> String {
    let (as_it_is, mended) = (one(name, bytes), one(name, &made_whole(bytes)));
    if as_it_is == mended {
        return as_it_is;
    }
    format!("{as_it_is}; mended: {mended}")
}

/// A request with this field and what it needs beside it.
fn around(field: &[u8]) -> Vec<u8> {
    let name = field
        .split(|&b| b == b':')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let needed = [
        "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
        "From: <sip:a@h>;tag=1",
        "To: <sip:b@h>",
        "Call-ID: 1",
        "CSeq: 1 INVITE",
    ];
    let mut text = b"INVITE sip:b@h SIP/2.0\r\n".to_vec();
    for line in needed
        .iter()
        .filter(|line| !line.as_bytes().starts_with(name) || name.is_empty())
    {
        text.extend_from_slice(line.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let lines = field.trim_ascii_end().split(|&b| b == b'\n');
    for line in lines {
        text.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// A datagram, and a stream of the same bytes made whole.
fn streamed(name: &str, bytes: &[u8]) -> String {
    let (mut framer, mut at, mut messages) = (Framer::new(Limits::DEFAULT), 0, 0);
    let stream = made_whole(bytes);
    let end = loop {
        match framer.next(&stream[at..]) {
            Ok(Frame::Incomplete) => break "more to come",
            Ok(Frame::KeepAlive { len, .. }) => at += len,
            Ok(Frame::Message { skip, len }) => {
                messages += 1;
                at += skip + len;
            }
            Err(FrameError::Unframeable { .. }) => break "unframeable",
            Err(FrameError::TooLarge) => break "too large",
        }
    };
    format!(
        "{}; as a stream {messages} messages, then {end}",
        mended(name, bytes)
    )
}

/// A message that is printed in an RFC; a good one is written as it was read.
fn printed(name: &str, bytes: &[u8]) -> String {
    let (mut index, mut edits, mut out) = (Index::default(), Edits::default(), Vec::new());
    if let Ok(message) = index.parse(bytes, &Limits::DEFAULT) {
        every::accessors(message);
        Draft::of(message, &mut edits).finish(&mut out);
        assert_eq!(out, bytes[..message.bytes().len()], "{name}");
    }
    one(name, bytes)
}

#[test]
fn messages_printed_in_rfcs_are_good_but_for_those_listed() {
    let mut found = found("rfc-flows", printed);
    let count = found.len();
    assert!(count == 0 || count == 1150, "{count}");
    found.retain(|_, verdict| verdict != "good");
    agree(&found, &listed("rfc-flows.tsv"));
}

#[test]
fn collected_messages_get_their_listed_verdicts() {
    agree(&found("sip-msg/jain", mended), &listed("jain.tsv"));
    agree(&found("sip-msg/kamailio", mended), &listed("kamailio.tsv"));
    agree(&found("sip-msg/sip2json", streamed), &listed("sip2json.tsv"));
}
