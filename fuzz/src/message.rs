//! Whole messages.

use strowger_syntax::message::{Span, ViaStamp};
use strowger_syntax::{
    BadMessage, Draft, Edits, Fault, Index, Limits, Message, Name, ResponseWriter, Status,
};

use crate::every;

const STAMP: ViaStamp = ViaStamp {
    received: Some(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1))),
    rport: Some(5070),
};

/// The message.
pub fn seeds(message: &[u8]) -> Vec<Vec<u8>> {
    vec![message.to_vec()]
}

/// What parses is consistent and leaves as it came; what does not can be answered, if it says so.
pub fn check(data: &[u8]) {
    let mut index = Index::default();
    match index.parse(data, &Limits::DEFAULT) {
        Ok(message) => good(data, message),
        Err(bad) => refused(data, &index, bad),
    }
    // What is written plainly is read by the grammar to the same end.
    let mut by_grammar = Index::default();
    let _ = by_grammar.parse_by_grammar(data, &Limits::DEFAULT);
    assert_eq!(index, by_grammar);
    let before = format!("{index:?}");
    // An index that was used before finds the same.
    let _ = index.parse(
        b"ACK sip:a SIP/2.0\r\nv: SIP/2.0/UDP h;received=::1\r\nt: <sip:a>;tag=1\r\n\r\n",
        &Limits::DEFAULT,
    );
    let _ = index.parse(data, &Limits::DEFAULT);
    assert_eq!(before, format!("{index:?}"));
}

fn good(data: &[u8], message: Message<'_>) {
    every::accessors(message);
    every::headers(message);
    assert!(data.starts_with(message.bytes()));
    assert!(message.bytes().ends_with(message.body()));
    lies_within(data, message);
    untouched(message);
    edited(message);
    by_the_whole_grammar(message);
}

/// Field lines follow one another, and each has its name and its value in it.
fn lies_within(data: &[u8], message: Message<'_>) {
    let mut end = None;
    for field in message.fields() {
        let Span { start, end: behind } = field.line;
        assert_eq!(start, end.unwrap_or(start));
        assert!(
            usize::from(behind) <= data.len() && field.span.start >= start && field.span.end + 2 <= behind
        );
        assert!(field.line.of(data).starts_with(field.text) && field.line.of(data).ends_with(b"\r\n"));
        assert_eq!(Name::from_bytes(field.text), field.name);
        end = Some(behind);
    }
    let head = data.len() - data[usize::from(end.unwrap_or_default())..].len();
    assert!(
        data[head..].starts_with(b"\r\n"),
        "the empty line follows the fields"
    );
    assert!(head + 2 + message.body().len() == message.bytes().len());
    for span in [message.via().value, message.via().host] {
        assert!(span.start < span.end && usize::from(span.end) <= head);
    }
}

fn untouched(message: Message<'_>) {
    let (mut edits, mut out) = (Edits::default(), Vec::new());
    Draft::of(message, &mut edits).finish(&mut out);
    assert_eq!(out, message.bytes());
}

/// What a proxy changes is changed, and all the rest is as it was.
fn edited(message: Message<'_>) {
    let (mut edits, mut out) = (Edits::default(), Vec::new());
    let mut draft = Draft::of(message, &mut edits);
    draft.push_top(Name::Via, |out| {
        out.extend_from_slice(b"SIP/2.0/UDP us;branch=z9hG4bKus")
    });
    draft.stamp_via(STAMP);
    draft.set(Name::MaxForwards, |out| out.extend_from_slice(b"7"));
    draft.remove_first_elements(Name::Route, 1);
    if message.is_request() {
        draft.set_request_uri(b"sip:next.example.com");
    }
    draft.finish(&mut out);
    let mut index = Index::default();
    let limits = Limits {
        fields: 254,
        ..Limits::DEFAULT
    };
    let changed = match index.parse(&out, &limits) {
        Ok(changed) => changed,
        // With what is added it has grown too large.
        Err(BadMessage {
            fault: Fault::TooLarge,
            ..
        }) => return,
        Err(bad) => panic!("{bad}"),
    };
    assert_eq!(changed.branch(), Some(&b"z9hG4bKus"[..]));
    assert_eq!(changed.first(Name::MaxForwards), Some(&b"7"[..]));
    assert_eq!(changed.body(), message.body());
    let routes = |message: Message<'_>| {
        message
            .elements(Name::Route)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        routes(changed),
        routes(message).split_off(routes(message).len().min(1))
    );
    assert_eq!(vias(changed)[1..].len(), vias(message).len());
    assert!(vias(changed)[1].windows(9).any(|text| text == b"192.0.2.1"));
    assert_eq!(vias(changed)[2..], vias(message)[1..]);
    let others = |message: Message<'_>| {
        let touched = [Name::Via, Name::MaxForwards, Name::Route];
        let others = message.fields().filter(|field| !touched.contains(&field.name));
        others
            .map(|field| field.line.of(message.bytes()).to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(others(changed), others(message));
}

fn vias(message: Message<'_>) -> Vec<Vec<u8>> {
    message.elements(Name::Via).map(<[u8]>::to_vec).collect()
}

/// The short ways that read most lines and the reader of the whole grammar see the same. White space in front of the
/// colon keeps off the short ways.
fn by_the_whole_grammar(message: Message<'_>) {
    let bytes = message.bytes();
    let mut text = bytes[..message.fields().next().map_or(0, |field| field.line.start.into())].to_vec();
    for field in message.fields() {
        text.extend_from_slice(field.text);
        text.extend_from_slice(b" \t");
        text.extend_from_slice(&field.line.of(bytes)[field.text.len()..]);
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(message.body());
    if text.len() - message.body().len() > usize::from(u16::MAX) {
        return;
    }
    let mut index = Index::default();
    let other = index
        .parse(&text, &Limits::DEFAULT)
        .expect("read by the whole grammar");
    assert_eq!(seen(message), seen(other));
}

/// What a server sees of a message.
fn seen(message: Message<'_>) -> impl PartialEq + std::fmt::Debug {
    let via = message.via();
    let of = |span: Option<Span>| span.map(|span| span.of(message.bytes()).to_vec());
    let rport = match via.rport {
        strowger_syntax::message::Rport::Asked(_) => None,
        rport => Some(rport),
    };
    (
        (
            message.is_request(),
            message.method(),
            message.method_text().to_vec(),
            message.status(),
        ),
        (
            message.request_uri().to_vec(),
            message.reason().to_vec(),
            message.call_id().to_vec(),
            message.cseq(),
        ),
        (
            message.from_tag().map(<[u8]>::to_vec),
            message.to_tag().map(<[u8]>::to_vec),
            message.body().to_vec(),
        ),
        (
            of(Some(via.value)),
            via.transport,
            of(Some(via.host)),
            via.port,
            of(via.branch),
            rport,
            of(via.received),
        ),
        message
            .fields()
            .map(|field| (field.name, field.value.to_vec()))
            .collect::<Vec<_>>(),
    )
}

/// An answer has one head, whatever it copies, and goes to where the request says.
fn refused(data: &[u8], index: &Index, bad: BadMessage) {
    if !bad.answerable {
        return;
    }
    let mut out = Vec::new();
    ResponseWriter::begin(
        &mut out,
        data,
        index,
        Status::BAD_REQUEST,
        bad.fault.reason(),
        STAMP,
        b"t",
    )
    .finish();
    let ends = out.windows(4).filter(|text| text == b"\r\n\r\n").count();
    assert!(
        ends == 1 && out.ends_with(b"Content-Length: 0\r\n\r\n"),
        "one head"
    );
    let mut answer = Index::default();
    let _ = answer.parse(&out, &Limits::DEFAULT);
    assert!(
        answer.via().value.start < answer.via().value.end,
        "it finds its way back"
    );
    let (host, other) = (index.via().host.of(data), answer.via().host.of(&out));
    assert_eq!(host, other);
}
