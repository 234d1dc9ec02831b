use super::*;
use crate::{Limits, Method, Name, Status};

const INVITE: &[u8] = b"INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
Via: SIP/2.0/UDP pc33.example.com:5062;branch=z9hG4bKnashds8;rport, SIP/2.0/TCP a;branch=z9hG4bKx\r\n\
v: SIP / 2.0 / UDP 192.0.2.2\r\n\
Max-Forwards: 70\r\n\
Route: <sip:a;lr>, \"x, y\" <sip:b,c;lr>\r\n\
Route: <sip:d;lr>\r\n\
t: Bob <sip:bob@biloxi.example.com;tag=no>\r\n\
From: \"Al \\\" <x;tag=z>\" <sip:alice@atlanta.example.com>\r\n ;tag=1928301774\r\n\
Call-ID: a84b4c76e66710@pc33\r\n\
CSeq:  314159   INVITE\r\n\
X-Own: kept as it is \r\n\
Content-Length: 4\r\n\r\nbodyjunk";

#[test]
fn a_request_is_indexed() {
    let mut index = Index::default();
    let m = index.parse(INVITE, &Limits::DEFAULT).expect("well-formed");
    assert_eq!(
        (m.method(), m.request_uri()),
        (Method::Invite, &b"sip:bob@biloxi.example.com"[..])
    );
    assert_eq!((m.call_id(), m.cseq()), (&b"a84b4c76e66710@pc33"[..], 314_159));
    assert_eq!((m.from_tag(), m.to_tag()), (Some(&b"1928301774"[..]), None));
    assert_eq!(
        (m.branch(), m.sent_by_host()),
        (Some(&b"z9hG4bKnashds8"[..]), &b"pc33.example.com"[..])
    );
    assert_eq!((m.via().port, m.body()), (Some(5062), &b"body"[..]));
    let routes: Vec<_> = m.elements(Name::Route).map(String::from_utf8_lossy).collect();
    assert_eq!(routes, ["<sip:a;lr>", "\"x, y\" <sip:b,c;lr>", "<sip:d;lr>"]);
}

/// What is read of the fields that every message must have.
fn core_of(text: &str) -> Result<String, BadMessage> {
    let mut index = Index::default();
    let m = index.parse(text.as_bytes(), &Limits::DEFAULT)?;
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let via = m.via();
    Ok(format!(
        "{} {} {} {:?} {:?} {} {:?} {:?} {:?} {} {:?} {:?}",
        text(m.call_id()),
        m.cseq(),
        text(m.method_text()),
        m.from_tag().map(text),
        m.to_tag().map(text),
        text(m.sent_by_host()),
        via.transport,
        via.port,
        m.branch().map(text),
        matches!(via.rport, Rport::Asked(_)),
        via.received
            .map(|span| span.of(m.bytes()).escape_ascii().to_string()),
        m.first(Name::MaxForwards).map(text),
    ))
}

#[test]
fn it_does_not_matter_how_a_line_is_written() {
    let lines = [
        "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa;rport;received=192.0.2.7",
        "Max-Forwards: 70",
        "From: \"A B\" <sip:a@example.com>;tag=ab-c.def1234",
        "To: <sip:b@example.com>",
        "Call-ID: 0123456789abcdef@example.com",
        "CSeq: 17 INVITE",
    ];
    let message = |lines: &[String]| format!("INVITE sip:b SIP/2.0\r\n{}\r\n\r\n", lines.join("\r\n"));
    let plain = lines.map(str::to_owned);
    let expected = core_of(&message(&plain)).expect("well-formed");
    for (i, line) in lines.iter().enumerate() {
        let (name, value) = line.split_once(": ").expect("name and value");
        let others = [
            format!("{}: {value}", name.to_lowercase()),
            format!("{name}:{value}"),
            format!("{name} :\t{value} "),
            format!("{name}:\r\n {value}\r\n "),
        ];
        for other in others {
            let mut lines = plain.clone();
            lines[i] = other;
            assert_eq!(core_of(&message(&lines)).as_ref(), Ok(&expected), "{lines:?}");
        }
        let mut lines = plain.clone();
        lines[i] = format!("{line}\n");
        assert!(core_of(&message(&lines)).is_err(), "{lines:?}");
    }
}

#[test]
fn an_unchanged_draft_is_the_message() {
    let mut index = Index::default();
    let m = index.parse(INVITE, &Limits::DEFAULT).expect("well-formed");
    let (mut edits, mut out) = (Edits::default(), Vec::new());
    Draft::of(m, &mut edits).finish(&mut out);
    assert_eq!(out, &INVITE[..INVITE.len() - 4]);
}

#[test]
fn edits_touch_nothing_else() {
    let mut index = Index::default();
    let m = index.parse(INVITE, &Limits::DEFAULT).expect("well-formed");
    let (mut edits, mut out) = (Edits::default(), Vec::new());
    let mut draft = Draft::of(m, &mut edits);
    draft.remove_first_elements(Name::Route, 1);
    draft.set(Name::MaxForwards, |o| o.extend_from_slice(b"69"));
    draft.set_request_uri(b"sip:bob@192.0.2.4");
    draft.push_top(Name::Via, |o| o.extend_from_slice(b"SIP/2.0/UDP new"));
    draft.push_top(Name::RecordRoute, |o| o.extend_from_slice(b"<sip:me;lr>"));
    draft.stamp_via(ViaStamp {
        received: Some([192, 0, 2, 1].into()),
        rport: Some(9),
    });
    draft.finish(&mut out);
    let text = String::from_utf8_lossy(&INVITE[..INVITE.len() - 4])
        .replace("sip:bob@biloxi.example.com SIP", "sip:bob@192.0.2.4 SIP")
        .replace("Max-Forwards: 70", "Max-Forwards: 69")
        .replace("Route: <sip:a;lr>,", "Route:")
        .replace(";rport,", ";rport=9;received=192.0.2.1,")
        .replace(
            "2.0\r\nVia:",
            "2.0\r\nVia: SIP/2.0/UDP new\r\nRecord-Route: <sip:me;lr>\r\nVia:",
        );
    assert_eq!(String::from_utf8_lossy(&out), text);
}

#[test]
fn what_is_set_twice_is_as_it_was_set_last() {
    let mut index = Index::default();
    let m = index.parse(INVITE, &Limits::DEFAULT).expect("well-formed");
    let (mut edits, mut out) = (Edits::default(), Vec::new());
    let mut draft = Draft::of(m, &mut edits);
    draft.set(Name::MaxForwards, |o| o.extend_from_slice(b"1"));
    draft.set(Name::MaxForwards, |o| o.extend_from_slice(b"23"));
    draft.finish(&mut out);
    let text =
        String::from_utf8_lossy(&INVITE[..INVITE.len() - 4]).replace("Max-Forwards: 70", "Max-Forwards: 23");
    assert_eq!(String::from_utf8_lossy(&out), text);
}

#[test]
fn a_response_copies_what_it_must() {
    let mut index = Index::default();
    index.parse(INVITE, &Limits::DEFAULT).expect("well-formed");
    let mut out = Vec::new();
    let stamp = ViaStamp {
        received: None,
        rport: Some(5),
    };
    ResponseWriter::begin(
        &mut out,
        INVITE,
        &index,
        Status::NOT_FOUND,
        "Not Found",
        stamp,
        b"xyz",
    )
    .finish();
    let mut other = Index::default();
    let m = other.parse(&out, &Limits::DEFAULT).expect("well-formed");
    assert_eq!(
        (m.status(), m.to_tag(), m.from_tag()),
        (
            Some(Status::NOT_FOUND),
            Some(&b"xyz"[..]),
            Some(&b"1928301774"[..])
        )
    );
    assert_eq!(m.via().rport, Rport::Value(5));
    assert_eq!(m.elements(Name::Via).count(), 3);
    assert_eq!((m.method(), m.cseq()), (Method::Invite, 314_159));
}

/// The Via lines of the response to a request with these.
fn stamped(vias: &str, stamp: ViaStamp) -> String {
    let text = format!(
        "OPTIONS sip:a SIP/2.0\r\n{vias}From: <sip:a>;tag=1\r\nTo: <sip:b>;x\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
    );
    let (mut index, mut out) = (Index::default(), Vec::new());
    index
        .parse(text.as_bytes(), &Limits::DEFAULT)
        .expect("well-formed");
    let tag = b"0123456789";
    ResponseWriter::begin(&mut out, text.as_bytes(), &index, Status::OK, "OK", stamp, tag).finish();
    let text = String::from_utf8(out).expect("text");
    let (vias, rest) = text.split_at(text.find("From:").expect("a From"));
    assert_eq!(
        rest,
        "From: <sip:a>;tag=1\r\nTo: <sip:b>;x;tag=0123456789\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    vias.strip_prefix("SIP/2.0 200 OK\r\n")
        .expect("a Status-Line")
        .to_owned()
}

// RFC 3261 §18.2.1, RFC 3581 §4.
#[test]
fn a_stamp_is_written_wherever_the_parameters_are() {
    let stamp = |ip: &str, rport| ViaStamp {
        received: Some(ip.parse().expect("an address")),
        rport,
    };
    for (via, stamp, expected) in [
        (
            ";rport;b=1",
            stamp("192.0.2.255", Some(5060)),
            ";rport=5060;received=192.0.2.255;b=1",
        ),
        (
            ";b=1;rport",
            stamp("1.10.100.0", Some(65535)),
            ";b=1;rport=65535;received=1.10.100.0",
        ),
        (
            ";rport;b=1",
            stamp("2001:db8::1", Some(5060)),
            ";rport=5060;received=2001:db8::1;b=1",
        ),
        (";b=1", stamp("2001:db8::1", None), ";b=1;received=2001:db8::1"),
        (
            ";rport;received=x;b",
            stamp("192.0.2.1", Some(9)),
            ";rport=9;received=192.0.2.1;b",
        ),
        (
            ";received=x;rport;b",
            stamp("192.0.2.1", Some(10)),
            ";received=192.0.2.1;rport=10;b",
        ),
        (";received=x;rport;b", ViaStamp::default(), ";received=x;rport;b"),
        (
            ";rport",
            ViaStamp {
                received: None,
                rport: Some(0),
            },
            ";rport=0",
        ),
    ] {
        for rest in [
            "\r\n",
            ", SIP/2.0/UDP p;branch=z9hG4bK2\r\nMax-Forwards: 70\r\nv:SIP/2.0/UDP q\r\n",
        ] {
            let written = stamped(&format!("Via: SIP/2.0/UDP h{via}{rest}"), stamp);
            let rest = rest.replace("Max-Forwards: 70\r\n", "");
            assert_eq!(written, format!("Via: SIP/2.0/UDP h{expected}{rest}"));
        }
    }
}

fn fault(text: &str) -> (Fault, bool) {
    let mut index = Index::default();
    let bad = index
        .parse(text.as_bytes(), &Limits::DEFAULT)
        .map(|m| m.bytes().len())
        .expect_err("broken");
    (bad.fault, bad.answerable)
}

#[test]
fn faults_are_named() {
    let good = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
    assert_eq!(
        fault(&good.replace("Call-ID: 1\r\n", "")),
        (Fault::Missing(Name::CallId), true)
    );
    assert_eq!(
        fault(&good.replace("Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n", "")),
        (Fault::Missing(Name::Via), false)
    );
    assert_eq!(
        fault(&good.replace("1 OPTIONS", "1 INVITE")),
        (Fault::CSeqMethod, true)
    );
    assert_eq!(
        fault(&good.replace("1 OPTIONS", "2147483648 OPTIONS")),
        (Fault::Malformed(Name::CSeq), true)
    );
    assert_eq!(
        fault(&good.replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia")),
        (Fault::Version, true)
    );
    assert_eq!(
        fault(&good.replace("Call-ID: 1\r\n", "Call-ID: 1\r\ni: 2\r\n")),
        (Fault::Duplicate(Name::CallId), true)
    );
    assert_eq!(
        fault(&good.replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n")),
        (Fault::Truncated, true)
    );
    assert_eq!(
        fault(&good.replace("<sip:b>", "\"b <sip:b>")),
        (Fault::Malformed(Name::To), true)
    );
    assert_eq!(fault(&good.replace("Call-ID", "Call ID")), (Fault::Line, true));
    assert_eq!(
        fault(&good.replace("sip:a SIP", "sip:a b SIP")),
        (Fault::StartLine, true)
    );
    assert_eq!(fault(&good[..good.len() - 2]), (Fault::NoEnd, true));
    assert_eq!(fault(&good[..good.len() - 3]), (Fault::NoEnd, true));
    assert_eq!(
        fault(&good.replace("Call-ID: 1\r\n", "Call-ID: 1\n")),
        (Fault::NoEnd, true)
    );
    assert_eq!(
        fault(&good.replace(" SIP/2.0\r\nVia", " SIP/2.0 \r\nVia")),
        (Fault::StartLine, true)
    );
    assert_eq!(
        fault(&good.replace("SIP/2.0/UDP h;", "SIP/2.0/UDP h;;;")),
        (Fault::Malformed(Name::Via), true)
    );
    assert_eq!(
        fault(&good.replace("branch=z9hG4bK1", "received;branch=a")),
        (Fault::Malformed(Name::Via), true)
    );
    assert_eq!(
        fault(&good.replace("branch=z9hG4bK1", "branch=a;branch=b")),
        (Fault::Malformed(Name::Via), true)
    );
    assert_eq!(
        fault(&good.replace("SIP/2.0/UDP h", "SIP/2.0/UDP  ;")),
        (Fault::Malformed(Name::Via), false)
    );
    assert_eq!(fault(&good.replace("SIP/2.0", "SIP/7.0")), (Fault::Version, true));
    assert_eq!(
        fault(&good.replace("<sip:a>", "Bell, A. <sip:a>")),
        (Fault::Malformed(Name::From), true)
    );
    assert_eq!(
        fault(&good.replace("<sip:b>", "< sip:b >")),
        (Fault::Malformed(Name::To), true)
    );
    assert_eq!(
        fault(&good.replace("<sip:b>", "<sip:b>;;;")),
        (Fault::Malformed(Name::To), true)
    );
    assert_eq!(
        fault(&good.replace("tag=1", "tag=1;tag=2")),
        (Fault::Malformed(Name::From), true)
    );
    assert_eq!(fault("hello"), (Fault::NotSip, false));
}

// As SIPp writes the To of its 200 to a re-INVITE.
#[test]
fn the_same_tag_twice_is_one_tag() {
    let text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\n\
        To: <sip:b>;tag=2;x;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n";
    let mut index = Index::default();
    let response = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("good");
    assert_eq!(response.to_tag(), Some(&b"2"[..]));
}

#[test]
fn a_head_over_the_limit_is_answered_with_513() {
    let head = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nX: ".to_owned();
    let text = head
        + &"x".repeat(70_000)
        + "\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
    assert_eq!(fault(&text), (Fault::TooLarge, true));
    let many = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n".to_owned()
        + &"X: y\r\n".repeat(300);
    assert_eq!(fault(&many), (Fault::TooLarge, true));
}

#[test]
fn an_rport_with_an_empty_value_is_left_alone() {
    let text = String::from_utf8_lossy(INVITE).replace(";rport,", ";rport=,");
    let mut index = Index::default();
    let m = index
        .parse(text.as_bytes(), &Limits::DEFAULT)
        .expect("well-formed");
    assert_eq!(m.via().rport, Rport::Absent);
}

fn response(vias: &str) -> String {
    format!(
        "SIP/2.0 200 OK\r\nSubject: x\r\n{vias}From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: c\r\n\
         CSeq: 1 INVITE\r\nContent-Length: 2\r\n\r\nhi"
    )
}

#[test]
fn the_second_via_is_read_wherever_it_stands() {
    let ours = "SIP/2.0/UDP ours;branch=z9hG4bK1";
    let read = |vias: &str| {
        let (text, mut index) = (response(vias), Index::default());
        let message = index
            .parse(text.as_bytes(), &Limits::DEFAULT)
            .expect("a response");
        let (via, text) = message.second_via()?;
        let of = |span: Option<Span>| span.map(|span| String::from_utf8_lossy(span.of(text)).into_owned());
        let host = of(Some(via.host));
        Some((
            via.transport?,
            host?,
            via.port,
            of(via.branch)?,
            via.rport,
            of(via.received),
        ))
    };
    for other in [
        "SIP/2.0/TCP other:5070;received=192.0.2.1;rport=7;branch=z9hG4bK2",
        "SIP / 2.0 / tcp  other : 5070 ; Received = 192.0.2.1;x=\"y,\";branch=z9hG4bK2;rport=7",
        "SIP/2.0/TCP other:5070;branch=z9hG4bK2;received=192.0.2.1;rport=7",
    ] {
        let found = Some((
            crate::Transport::Tcp,
            "other".to_owned(),
            Some(5070),
            "z9hG4bK2".to_owned(),
            Rport::Value(7),
            Some("192.0.2.1".to_owned()),
        ));
        for vias in [
            format!("Via: {ours}\r\nVia: {other}\r\n"),
            format!("Via: {ours}\r\nv: {other}, {ours}\r\nVia: {ours}\r\n"),
            format!("Via: {ours}\r\nSubject: y\r\nVia: , ,{other}\r\n"),
            format!("Via: {ours} ,\r\n {other},{ours}\r\n"),
        ] {
            assert_eq!(read(&vias), found, "{vias}");
        }
    }
    for vias in [
        format!("Via: {ours}\r\n"),
        format!("Via: {ours}\r\nVia: ,\r\n"),
        format!("Via: {ours}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1;branch=z9hG4bK2\r\n"),
        format!("Via: {ours}\r\nVia: SIP/2.0/UDP\r\n"),
    ] {
        assert_eq!(read(&vias), None, "{vias}");
    }
}

#[test]
fn a_response_loses_its_top_via_and_nothing_else() {
    let (ours, other) = (
        "SIP/2.0/UDP ours;branch=z9hG4bK1",
        "SIP/2.0/UDP other;branch=z9hG4bK2",
    );
    for (vias, left) in [
        (format!("Via: {ours}\r\n"), String::new()),
        (format!("Via: {ours},\r\n"), String::new()),
        (
            format!("Via: {ours}\r\nVia: {other}\r\n"),
            format!("Via: {other}\r\n"),
        ),
        (format!("v: {ours} , {other}\r\n"), format!("v: {other}\r\n")),
        (
            format!("Via: {ours}\r\nSubject: y\r\nVia: {other},{ours}\r\n"),
            format!("Subject: y\r\nVia: {other},{ours}\r\n"),
        ),
    ] {
        let (text, mut index, mut out) = (response(&vias), Index::default(), Vec::new());
        let message = index
            .parse(text.as_bytes(), &Limits::DEFAULT)
            .expect("a response");
        assert_eq!(message.has_second_via(), left.contains("other"), "{vias}");
        write_without_top_via(message, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), response(&left), "{vias}");
    }
}
