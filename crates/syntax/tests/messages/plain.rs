//! What is written plainly is read a short way: the index is the same as by the whole grammar.

use crate::mutate::{Random, mutate};
use crate::samples;
use strowger_syntax::{Index, Limits};

/// Messages that are read the short way, at least but for a field.
const PLAIN: [&str; 5] = [
    "REGISTER sip:registrar.example.com SIP/2.0\r\n\
     Via: SIP/2.0/UDP 192.0.2.7:5062;rport;branch=z9hG4bKab-12.c_d~e\r\n\
     Max-Forwards: 70\r\nFrom: \"J\u{f6}rg \u{ff} B\" <sip:joerg@example.com>;tag=a-b.c_1\r\n\
     To: Joerg B. <sip:joerg@example.com>\r\nCall-ID: 0123456789abcdef0123456789abcdef@192.0.2.7\r\n\
     CSeq: 42 REGISTER\r\nContact: <sip:joerg@192.0.2.7:5062;transport=udp>;expires=3600\r\n\
     Allow: INVITE, ACK, CANCEL, BYE\r\nUser-Agent: a phone\r\nContent-Length: 0\r\n\r\n",
    "INVITE sip:bob@example.com;user=phone SIP/2.0\r\n\
     v: SIP/2.0/TCP host.example.com;branch=z9hG4bK1;received=192.0.2.9;rport=5070;alias;oc=\"5\"\r\n\
     Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2\r\nf: <sip:al@example.com>;tag=1\r\nt: <sip:bob@example.com>\r\n\
     i: 1\r\nCSeq: 2147483647 INVITE\r\nX-Own-Name: x\r\nsubject: \u{e9}\u{e8} to the end\r\nProxy-Authorization: Digest a=b\r\n\
     Route: <sip:p;lr>\r\nRoute: <sip:q;lr>\r\nl: 4\r\n\r\nbody and what is behind it",
    "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/TLS a.example.com:5061;branch=z9hG4bK3\r\nFrom: <sip:a@b>;tag=1\r\n\
     To: <sip:b@c>;tag=2\r\nCall-ID: 3\r\nCSeq: 4 INVITE\r\nContact: <sip:b@d>\r\nContent-Length: 0\r\n\r\n",
    "BYE sip:b@c SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch=z9hG4bK4;rport\r\nCSeq: 5 BYE\r\nFrom: <sip:a@b>;tag=1\r\n\
     To: <sip:b@c>;tag=2\r\nCall-ID: 3\r\nl: 0\r\n\r\n",
    "FETCH sip:b@c SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK4\r\nCSeq: 5 FETCH\r\nFrom: <sip:a@b>;tag=1\r\n\
     To: <sip:b@c>\r\nCall-ID: 3\r\nCall-ID: 3\r\nUser-Agent:  x\r\nSubject:\r\nServer: \r\n\r\n",
];

/// Reads message after message in both ways.
#[derive(Default)]
struct Both {
    short: Index,
    long: Index,
}

impl Both {
    fn agree(&mut self, bytes: &[u8]) {
        let text = || bytes.escape_ascii();
        let short = self.short.parse(bytes, &Limits::DEFAULT);
        let long = self.long.parse_by_grammar(bytes, &Limits::DEFAULT);
        assert_eq!(
            short.map(|message| message.bytes().len()),
            long.map(|message| message.bytes().len()),
            "{}",
            text()
        );
        assert_eq!(self.short, self.long, "{}", text());
    }
}

/// All messages that there are.
fn messages() -> Vec<Vec<u8>> {
    let plain = PLAIN.iter().map(|text| text.as_bytes().to_vec());
    plain
        .chain(samples::all().into_iter().map(|(_, bytes)| bytes))
        .collect()
}

#[test]
fn the_index_is_the_same_in_both_ways() {
    let mut both = Both::default();
    for text in PLAIN {
        both.agree(text.as_bytes());
    }
    for bytes in messages() {
        both.agree(&bytes);
    }
}

#[test]
fn it_is_the_same_wherever_a_message_ends() {
    let mut both = Both::default();
    for text in PLAIN.iter().chain(&samples::OWN) {
        for end in 0..text.len() {
            both.agree(&text.as_bytes()[..end]);
        }
    }
}

#[test]
fn it_is_the_same_with_another_byte_anywhere() {
    let mut both = Both::default();
    for text in PLAIN {
        let mut bytes = text.as_bytes().to_vec();
        for at in 0..bytes.len() {
            let kept = bytes[at];
            for byte in *b"\0\t\r\n \",:;<>9x\xC3" {
                bytes[at] = byte;
                both.agree(&bytes);
            }
            bytes[at] = kept;
        }
    }
}

#[test]
fn it_is_the_same_of_mutated_messages() {
    let (mut both, mut random) = (Both::default(), Random(0x2545_F491_4F6C_DD1D));
    let messages = messages();
    for round in 0..8000 {
        // Half of them are plain.
        let place = match round % 2 {
            0 => random.below(PLAIN.len()),
            _ => random.below(messages.len()),
        };
        let mut bytes = messages[place].clone();
        mutate(&mut bytes, &mut random);
        both.agree(&bytes);
    }
}
