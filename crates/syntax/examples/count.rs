//! What reading costs, in instructions. One case is run so often as asked:
//!
//! ```text
//! cargo build --release -p strowger-syntax --example count
//! for n in 1000 3000; do valgrind --tool=callgrind --callgrind-out-file=count.$n target/release/examples/count uri $n; done
//! ```
//!
//! The difference of the two totals, divided by 2000, is the cost of one run: start and end fall out.

use std::hint::black_box;

use strowger_syntax::header::NameAddr;
use strowger_syntax::message::stream::Framer;
use strowger_syntax::message::{ListItems, ViaStamp};
use strowger_syntax::{Draft, Edits, Index, Limits, ResponseWriter, Status, Uri};

const REGISTER: &[u8] = b"REGISTER sip:127.0.0.1:5060 SIP/2.0\r\n\
Via: SIP/2.0/UDP 127.0.0.1:6000;rport;branch=z9hG4bK00000001-0000002aa\r\n\
Max-Forwards: 70\r\n\
From: <sip:u0000001@127.0.0.1>;tag=f00000001\r\n\
To: <sip:u0000001@127.0.0.1>\r\n\
Call-ID: c00000001-0000002a-7f000001@127.0.0.1\r\n\
CSeq: 42 REGISTER\r\n\
Contact: <sip:u0000001@127.0.0.1:6000;transport=udp>;expires=3600\r\n\
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\n\
User-Agent: strowger-testkit\r\n\
Content-Length: 0\r\n\r\n";

const INVITE: &[u8] = b"INVITE sip:u0000002@127.0.0.1:5060 SIP/2.0\r\n\
Via: SIP/2.0/UDP 127.0.0.1:6000;rport;branch=z9hG4bK00000001-0000002b\r\n\
Max-Forwards: 70\r\n\
From: \"First User\" <sip:u0000001@127.0.0.1>;tag=f00000001\r\n\
To: <sip:u0000002@127.0.0.1>\r\n\
Call-ID: c00000001-0000002b-7f000001@127.0.0.1\r\n\
CSeq: 1 INVITE\r\n\
Contact: <sip:u0000001@127.0.0.1:6000>\r\n\
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\n\
Supported: 100rel, timer, replaces, gruu, path\r\n\
Session-Expires: 1800\r\n\
User-Agent: strowger-testkit\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 161\r\n\r\n\
v=0\r\n\
o=- 3724394400 3724394400 IN IP4 127.0.0.1\r\n\
s=a call\r\n\
c=IN IP4 127.0.0.1\r\n\
t=0 0\r\n\
m=audio 40000 RTP/AVP 0 8 101\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=sendrecv\r\n";

const NAME_ADDR: &[u8] = b"<sip:u0000001@127.0.0.1>;tag=abc";
const URI: &[u8] = b"sip:u0000001@127.0.0.1:6000;transport=tcp";
const CONTACT: &[u8] = b"<sip:u0000001@127.0.0.1:6000;transport=udp>;expires=3600";
const VIA: &[u8] = b"SIP/2.0/UDP 127.0.0.1:6000;rport;branch=z9hG4bK00000001-0000002a";

fn index(bytes: &[u8], times: usize) {
    let mut index = Index::default();
    for _ in 0..times {
        black_box(index.parse(black_box(bytes), &Limits::DEFAULT).is_ok());
    }
}

/// Where a message ends that came over a stream.
fn frame(bytes: &[u8], times: usize) {
    let mut framer = Framer::new(Limits::DEFAULT);
    for _ in 0..times {
        black_box(framer.next(black_box(bytes)).is_ok());
    }
}

/// A draft that only stamps its Via, but for the writing out.
fn stamp(times: usize) {
    let stamp = ViaStamp {
        received: Some([127, 0, 0, 1].into()),
        rport: Some(6000),
    };
    let (mut index, mut edits, mut out) = (Index::default(), Edits::default(), Vec::new());
    let Ok(message) = index.parse(REGISTER, &Limits::DEFAULT) else {
        return;
    };
    for _ in 0..times {
        out.clear();
        let mut draft = Draft::of(black_box(message), &mut edits);
        draft.stamp_via(black_box(stamp));
        draft.finish(&mut out);
        black_box(&out);
    }
}

/// The start of an answer, with everything stamped.
fn respond(times: usize) {
    let stamp = ViaStamp {
        received: Some([127, 0, 0, 1].into()),
        rport: Some(6000),
    };
    let (mut index, mut out) = (Index::default(), Vec::new());
    if index.parse(REGISTER, &Limits::DEFAULT).is_err() {
        return;
    }
    for _ in 0..times {
        out.clear();
        let (request, stamp, tag) = (
            black_box(REGISTER),
            black_box(stamp),
            black_box(b"0123456789abcdef"),
        );
        ResponseWriter::begin(&mut out, request, &index, Status::OK, black_box("OK"), stamp, tag);
        black_box(&out);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let times = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    match name.as_str() {
        "register" => index(REGISTER, times),
        "invite" => index(INVITE, times),
        "frame-register" => frame(REGISTER, times),
        "frame-invite" => frame(INVITE, times),
        "name-addr" => (0..times).for_each(|_| _ = black_box(NameAddr::parse(black_box(NAME_ADDR)))),
        "uri" => (0..times).for_each(|_| _ = black_box(Uri::parse(black_box(URI)))),
        "contact-items" => (0..times).for_each(|_| _ = black_box(ListItems::new(black_box(CONTACT)).next())),
        "via-items" => (0..times).for_each(|_| _ = black_box(ListItems::new(black_box(VIA)).next())),
        "stamp" => stamp(times),
        "respond" => respond(times),
        _ => println!(
            "register ({}), invite ({}), frame-register, frame-invite, name-addr, uri, contact-items, via-items, stamp or respond",
            REGISTER.len(),
            INVITE.len()
        ),
    }
}
