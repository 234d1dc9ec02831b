//! The torture messages of RFC 4475 and RFC 5118: what each is to be taken for. Where the corpus does not lie beside the
//! repository, messages of our own with the same faults are judged alone.

use crate::{every, samples};
use strowger_syntax::header::Contact;
use strowger_syntax::{Fault, Index, Limits, Name, Uri};

/// What a message is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Well-formed in every header.
    Good,
    /// Refused as a whole; whether it is answered.
    Refused(Fault, bool),
    /// Taken, but this header does not decode.
    BadHeader(Name),
    /// Taken, but its Request-URI is none.
    BadUri,
}

use Verdict::*;

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Good => f.write_str("good"),
            Refused(fault, true) => f.write_str(fault.reason()),
            Refused(fault, false) => write!(f, "{}, dropped", fault.reason()),
            BadHeader(name) => write!(f, "bad {}", name.as_str()),
            BadUri => f.write_str("bad Request-URI"),
        }
    }
}

const RFC4475: [(&str, Verdict); 49] = [
    ("wsinv", Good),
    ("intmeth", Good),
    ("esc01", Good),
    ("escnull", Good),
    ("esc02", Good),
    ("lwsdisp", Good),
    ("longreq", Good),
    ("dblreq", Good),
    ("semiuri", Good),
    ("transports", Good),
    ("mpart01", Good),
    ("unreason", Good),
    ("noreason", Good),
    ("badinv01", Refused(Fault::Malformed(Name::Via), true)),
    ("clerr", Refused(Fault::Truncated, true)),
    ("ncl", Refused(Fault::Malformed(Name::ContentLength), true)),
    ("scalar02", Refused(Fault::Malformed(Name::CSeq), true)),
    ("scalarlg", Refused(Fault::Malformed(Name::CSeq), false)),
    ("quotbal", Refused(Fault::Malformed(Name::To), true)),
    ("ltgtruri", Refused(Fault::StartLine, true)),
    ("lwsruri", Refused(Fault::StartLine, true)),
    ("lwsstart", Refused(Fault::StartLine, true)),
    ("trws", Refused(Fault::StartLine, true)),
    // Headers in a Request-URI are for whoever routes the request to judge.
    ("escruri", Good),
    ("baddate", BadHeader(Name::Date)),
    ("regbadct", BadHeader(Name::Contact)),
    ("badaspec", Refused(Fault::Malformed(Name::To), true)),
    // The archive's bytes lack the empty line too.
    ("baddn", Refused(Fault::NoEnd, true)),
    ("badvers", Refused(Fault::Version, true)),
    ("mismatch01", Refused(Fault::CSeqMethod, true)),
    ("mismatch02", Refused(Fault::CSeqMethod, true)),
    ("bigcode", Refused(Fault::NotSip, false)),
    ("badbranch", Good),
    ("insuf", Refused(Fault::Missing(Name::CallId), true)),
    ("unkscm", Good),
    ("novelsc", Good),
    ("unksm2", Good),
    ("bext01", Good),
    ("invut", Good),
    ("regaut01", Good),
    ("multi01", Refused(Fault::Duplicate(Name::CSeq), true)),
    ("mcl01", Refused(Fault::Duplicate(Name::ContentLength), true)),
    ("bcast", Good),
    ("zeromf", Good),
    ("cparam01", Good),
    ("cparam02", Good),
    ("regescrt", Good),
    ("sdp01", Good),
    ("inv2543", Good),
];

const RFC5118: [(&str, Verdict); 12] = [
    ("ipv6-good", Good),
    ("ipv6-bad", BadUri),
    ("port-ambiguous", Good),
    ("port-unambiguous", Good),
    ("via-received-param-with-delim", Good),
    ("via-received-param-no-delim", Good),
    // As it is printed its body is shorter than its Content-Length.
    ("ipv6-in-sdp", Refused(Fault::Truncated, true)),
    ("mult-ip-in-header", Good),
    ("mult-ip-in-sdp", Good),
    ("ipv4-mapped-ipv6", Good),
    ("ipv6-bug-abnf-3-colons", Good),
    ("ipv6-correct-abnf-2-colons", Good),
];

pub(crate) fn judge(bytes: &[u8]) -> Verdict {
    let mut index = Index::default();
    let message = match index.parse(bytes, &Limits::DEFAULT) {
        Ok(message) => message,
        Err(bad) => return Refused(bad.fault, bad.answerable),
    };
    every::accessors(message);
    if let Some(error) = every::headers(message).first() {
        return BadHeader(error.name);
    }
    if message.is_request() && Uri::parse(message.request_uri()).is_err() {
        BadUri
    } else {
        Good
    }
}

#[test]
fn messages_of_rfc_4475_are_taken_for_what_they_are() {
    for (name, verdict) in RFC4475 {
        if let Some(bytes) = samples::corpus_file(&format!("torture/rfc4475/{name}.dat")) {
            assert_eq!(judge(&bytes), verdict, "{name}");
        }
    }
}

#[test]
fn messages_of_rfc_5118_are_taken_for_what_they_are() {
    for (name, verdict) in RFC5118 {
        let Some(bytes) = samples::corpus_file(&format!("torture/rfc5118/{name}")) else {
            continue;
        };
        // The archive has bare line feeds, and of two messages the empty line is missing.
        let mut text = String::from_utf8_lossy(&bytes)
            .replace("\r\n", "\n")
            .replace('\n', "\r\n");
        if !text.contains("\r\n\r\n") {
            text.push_str("\r\n");
        }
        assert_eq!(judge(text.as_bytes()), verdict, "{name}");
    }
}

/// A good request, from which each message below differs in one thing.
const GOOD: &str = "INVITE sip:user@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h.example.com;branch=z9hG4bKkdjuw\r\n\
    To: sip:j.user@example.com\r\nFrom: <sip:caller@example.net>;tag=13\r\nMax-Forwards: 7\r\nCall-ID: a.b\r\n\
    CSeq: 8 INVITE\r\nContact: <sip:joe@example.org>\r\nDate: Fri, 01 Jan 2010 16:00:00 GMT\r\nContent-Length: 0\r\n\r\n";

#[test]
fn one_fault_makes_one_verdict() {
    for (good, bad, verdict) in [
        ("", "", Good),
        ("INVITE", "!interesting-Method0123456789_*+`.%indeed'~", Good),
        ("user@", "sips%3Auser%40example.com@", Good),
        ("<sip:caller", "caller<sip:caller", Good),
        (
            "sip:user@example.com SIP",
            "nobodyKnowsThisScheme:totallyopaquecontent SIP",
            Good,
        ),
        ("tag=13", "tag=13;;x", Good),
        (
            "UDP h.example.com",
            "UDP [2001:db8:,:9:1]",
            Refused(Fault::Malformed(Name::Via), false),
        ),
        (";branch=", ";received=[2001:db8::9:255];branch=", Good),
        (";branch=", ";received=2001:db8::9:255;branch=", Good),
        ("UDP h.example.com", "UNKNOWN [2001:db8::9:1]:1", Good),
        (
            ";branch=z9hG4bKkdjuw",
            ";;,;,,",
            Refused(Fault::Malformed(Name::Via), true),
        ),
        (
            "<sip:joe@example.org>",
            "<sip:joe@example.org>;;;;",
            BadHeader(Name::Contact),
        ),
        (
            "<sip:joe@example.org>",
            "sip:joe@example.org?Route=%3Csip:x%3E",
            BadHeader(Name::Contact),
        ),
        (
            "Length: 0",
            "Length: -999",
            Refused(Fault::Malformed(Name::ContentLength), true),
        ),
        ("Length: 0", "Length: 9", Refused(Fault::Truncated, true)),
        (
            "Length: 0",
            "Length: 0\r\nl: 0",
            Refused(Fault::Duplicate(Name::ContentLength), true),
        ),
        (
            "CSeq: 8",
            "CSeq: 36893488147419103232",
            Refused(Fault::Malformed(Name::CSeq), true),
        ),
        (
            "To: sip",
            "To: \"Mr. J. User <sip",
            Refused(Fault::Malformed(Name::To), true),
        ),
        (
            "sip:user@example.com S",
            "<sip:user@example.com> S",
            Refused(Fault::StartLine, true),
        ),
        (
            "sip:user@example.com S",
            "sip:user@example.com; lr S",
            Refused(Fault::StartLine, true),
        ),
        (
            "sip:user@example.com S",
            "sip:user@example.com  S",
            Refused(Fault::StartLine, true),
        ),
        ("2.0\r\nVia", "2.0 \r\nVia", Refused(Fault::StartLine, true)),
        ("GMT", "EST", BadHeader(Name::Date)),
        (
            "sip:j.user@example.com",
            "\"Watson\" < sip:t@example.org >",
            Refused(Fault::Malformed(Name::To), true),
        ),
        (
            "<sip:caller",
            "Bell, Alexander <sip:caller",
            Refused(Fault::Malformed(Name::From), true),
        ),
        ("SIP/2.0", "SIP/7.0", Refused(Fault::Version, true)),
        ("8 INVITE", "8 OPTIONS", Refused(Fault::CSeqMethod, true)),
        (
            "Call-ID: a.b\r\n",
            "",
            Refused(Fault::Missing(Name::CallId), true),
        ),
        (
            "CSeq: 8",
            "CSeq: 5 INVITE\r\nCSeq: 8",
            Refused(Fault::Duplicate(Name::CSeq), true),
        ),
        (
            "INVITE sip:user@example.com SIP/2.0",
            "SIP/2.0 4294967301 x",
            Refused(Fault::NotSip, false),
        ),
        ("sip:user@example.com S", "sip:2001:db8::10 S", BadUri),
    ] {
        let mut text = GOOD.replace(good, bad);
        if good.is_empty() {
            text = GOOD.to_owned();
        }
        if good == "INVITE" {
            assert!(text.contains(&format!("CSeq: 8 {bad}")));
        }
        assert_eq!(judge(text.as_bytes()), verdict, "{bad:?}");
    }
}

#[test]
fn a_contact_without_a_usable_expiry_lasts_an_hour() {
    // RFC 3261 §10.2.1.1, RFC 4475 §3.1.2.4
    for (text, seconds) in [
        ("<sip:a>;expires=0", Some(0)),
        ("<sip:a>;expires=4294967295", Some(u32::MAX)),
        ("<sip:a>;expires=280297596632815", Some(3600)),
        ("<sip:a>;expires=soon", Some(3600)),
        ("<sip:a>;expires", Some(3600)),
        ("<sip:a>", None),
        ("*", None),
    ] {
        let contact = <Contact<'_> as strowger_syntax::Header<'_>>::decode(text.as_bytes()).expect(text);
        assert_eq!(contact.expires(), seconds, "{text}");
    }
}
