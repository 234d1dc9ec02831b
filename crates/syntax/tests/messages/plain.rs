//! What is written plainly is read a short way: the index is the same as by the whole grammar.

use crate::mutate::{Random, mutate};
use crate::samples;
use strowger_syntax::{Index, Limits, Name};

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
        self.agree_within(bytes, &Limits::DEFAULT);
    }

    fn agree_within(&mut self, bytes: &[u8], limits: &Limits) {
        let text = || bytes.escape_ascii();
        let short = self.short.parse(bytes, limits);
        let long = self.long.parse_by_grammar(bytes, limits);
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

/// A request with one more line, and other texts in the places that the short way reads.
fn request(line: &str, [port, tag, cseq, length]: [&str; 4]) -> String {
    format!(
        "INVITE sip:b@c SIP/2.0\r\nVia: SIP/2.0/UDP x{port};branch=z9hG4bK4;rport\r\nFrom: <sip:a@b>;tag={tag}\r\n\
         To: <sip:b@c>\r\nCall-ID: 3\r\nCSeq: {cseq} INVITE\r\n{line}Content-Length: {length}\r\n\r\n0123456789"
    )
}

const USUAL: [&str; 4] = ["", "1", "5", "4"];

#[test]
fn it_is_the_same_of_every_name_in_every_way_to_write_it() {
    let mut both = Both::default();
    for name in Name::KNOWN {
        let name = name.as_str();
        for rest in [
            ": v", ":v", ":  v", ": \tv", "x: v", " : v", ":", ": ", "-x: v", "",
        ] {
            both.agree(request(&format!("{name}{rest}\r\n"), USUAL).as_bytes());
            both.agree(request(&format!("{}{rest}\r\n", name.to_lowercase()), USUAL).as_bytes());
        }
    }
}

#[test]
fn it_is_the_same_where_a_field_is_folded_or_one_too_many() {
    let mut both = Both::default();
    for count in 1..40 {
        for line in ["Route: <sip:a>\r\n", "X-Own: 1\r\n", "Subject: 1\r\n"] {
            let lines = line.repeat(count);
            for end in ["", " ;x\r\n", "\t\r\n", " ;x\r\n y\r\nRoute: <sip:z>\r\n", " \r"] {
                let text = request(&format!("{lines}{end}"), USUAL);
                both.agree(text.as_bytes());
                for fields in [3, 6, 7, count + 5, count + 6] {
                    let limits = Limits {
                        fields,
                        ..Limits::DEFAULT
                    };
                    both.agree_within(text.as_bytes(), &limits);
                }
            }
        }
    }
}

#[test]
fn a_folded_field_leaves_those_of_its_name_before_it() {
    let routes = "Route: <sip:p>\r\nRoute: <sip:q>\r\nRoute: <sip:r>\r\n ;lr\r\n";
    let text = request(routes, USUAL);
    let mut index = Index::default();
    let message = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
    let values: Vec<_> = message.fields_of(Name::Route).map(|field| field.value).collect();
    assert_eq!(values.len(), 3, "{values:?}");
}

#[test]
fn it_is_the_same_of_numbers_and_tags_of_any_length() {
    let mut both = Both::default();
    for digits in 0..13 {
        for number in ["0".repeat(digits), "9".repeat(digits), format!("{:0>digits$}", 4)] {
            let port = format!(":{number}");
            both.agree(request("", [&port, "1", "5", "4"]).as_bytes());
            both.agree(request("", ["", "1", &number, "4"]).as_bytes());
            both.agree(request("", ["", "1", "5", &number]).as_bytes());
        }
    }
    for number in [
        "65535",
        "65536",
        "2147483647",
        "2147483648",
        "4294967296",
        "1x",
        "1 ",
        "+1",
    ] {
        let port = format!(":{number}");
        both.agree(request("", [&port, "1", number, number]).as_bytes());
    }
    for len in 0..40 {
        for last in ["", "_", ";", " ", ",", "\"", ";x=y"] {
            let tag = format!("{}{last}", "a".repeat(len));
            both.agree(request("", ["", &tag, "5", "4"]).as_bytes());
        }
    }
}
