//! No bytes make the parsers panic, and what parses is consistent.

use crate::mutate::{Random, mutate};
use crate::{every, samples};
use strowger_syntax::message::ViaStamp;
use strowger_syntax::message::stream::{Frame, Framer};
use strowger_syntax::{Draft, Edits, Index, Limits, Name, ResponseWriter, Status, Uri};

/// Does with a message everything that a server does.
fn exercise(bytes: &[u8]) {
    let stamp = ViaStamp {
        received: Some([192, 0, 2, 1].into()),
        rport: Some(5060),
    };
    let (mut index, mut edits, mut out) = (Index::default(), Edits::default(), Vec::new());
    match index.parse(bytes, &Limits::DEFAULT) {
        Ok(message) => {
            every::accessors(message);
            every::headers(message);
            Draft::of(message, &mut edits).finish(&mut out);
            assert_eq!(out, message.bytes());
            out.clear();
            let mut draft = Draft::of(message, &mut edits);
            draft.stamp_via(stamp);
            draft.remove_first_elements(Name::Route, 1);
            draft.remove_first_elements(Name::Via, 1);
            draft.remove(Name::Supported);
            draft.set(Name::MaxForwards, |o| o.push(b'1'));
            draft.finish(&mut out);
        }
        Err(bad) if bad.answerable => {
            ResponseWriter::begin(
                &mut out,
                bytes,
                &index,
                Status::BAD_REQUEST,
                bad.fault.reason(),
                stamp,
                b"t",
            )
            .finish();
            assert!(out.ends_with(b"\r\n\r\n"));
        }
        Err(_) => {}
    }
    let _ = Uri::parse(bytes);
    let mut framer = Framer::new(Limits::DEFAULT);
    let mut at = 0;
    while let Ok(frame) = framer.next(&bytes[at..]) {
        match frame {
            Frame::Incomplete => break,
            Frame::KeepAlive { len, .. } => at += len,
            Frame::Message { skip, len } => at += skip + len,
        }
    }
}

#[test]
fn mutated_messages_panic_nowhere() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..1500 {
        let mut bytes = samples::OWN[round % samples::OWN.len()].as_bytes().to_vec();
        mutate(&mut bytes, &mut random);
        exercise(&bytes);
    }
}

#[test]
fn the_corpus_panics_nowhere_mutated_or_not() {
    let mut random = Random(42);
    for (_, mut bytes) in samples::all() {
        exercise(&bytes);
        mutate(&mut bytes, &mut random);
        exercise(&bytes);
    }
}

#[test]
fn noise_panics_nowhere() {
    let mut random = Random(7);
    for _ in 0..500 {
        let len = random.below(200);
        let mut bytes = b"INVITE sip:a SIP/2.0\r\n".to_vec();
        bytes.extend((0..len).map(|_| random.below(256) as u8));
        exercise(&bytes);
        exercise(&bytes[22..]);
    }
}

#[test]
fn mutated_uris_panic_nowhere() {
    const URIS: [&str; 4] = [
        "sips:alice;day=tuesday:secretword@atlanta.com:5061;transport=TCP;lr;maddr=[2001:db8::1]?to=a%40b&x=",
        "sip:%61@[2001:db8:::192.0.2.1]:1;method=INVITE;ttl=9;user=phone",
        "tel:7042;phone-context=+1-2;ext=4;isub=5",
        "urn:service:sos",
    ];
    let mut random = Random(99);
    for round in 0..1500 {
        let original = URIS[round % URIS.len()].as_bytes();
        let mut text = original.to_vec();
        mutate(&mut text, &mut random);
        let (Ok(a), Ok(b)) = (Uri::parse(original), Uri::parse(&text)) else {
            continue;
        };
        assert_eq!(
            Uri::equivalent(&a, &b),
            Uri::equivalent(&b, &a),
            "{:?}",
            String::from_utf8_lossy(&text)
        );
        assert!(Uri::equivalent(&b, &b), "{:?}", String::from_utf8_lossy(&text));
    }
}
