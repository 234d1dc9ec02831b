//! No bytes make the parsers panic, and what parses is consistent.

use crate::{every, samples};
use strowger_syntax::message::ViaStamp;
use strowger_syntax::message::stream::{Frame, Framer};
use strowger_syntax::{Draft, Edits, Index, Limits, Name, ResponseWriter, Status, Uri};

/// xorshift64: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Pieces that mean something to some parser.
const PIECES: [&[u8]; 40] = [
    b"\r\n",
    b"\r\n ",
    b"\n",
    b"\r",
    b";",
    b",",
    b"=",
    b"\"",
    b"\\",
    b"<",
    b">",
    b":",
    b"@",
    b"%",
    b"%4",
    b"%00",
    b"[",
    b"]",
    b"?",
    b"&",
    b"/",
    b"(",
    b")",
    b" ",
    b"\t",
    b"\0",
    b"\xff",
    b"*",
    b"+",
    b"l: 9\r\n",
    b"Content-Length: 0\r\n",
    b"99999999999999999999",
    b"4294967296",
    b"65536",
    b"-1",
    b"SIP/2.0",
    b"tag=",
    b"rport",
    b"received=",
    b"\r\n\r\n",
];

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => drop(bytes.drain(at..(at + random.below(20)).min(bytes.len()))),
            1 => bytes.truncate(at),
            2 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            3 => {
                let from = random.below(bytes.len() + 1).min(at);
                let piece = bytes[from..at.min(from + 60)].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}

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
    for round in 0..6000 {
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
    for _ in 0..2000 {
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
    for round in 0..6000 {
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
