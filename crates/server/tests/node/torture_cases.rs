//! The table of the torture messages, with a message of the project's own for each.

/// A message, as what differs from a plain one: each pair is a text of it and what stands there instead.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Own {
    Options(&'static [(&'static str, &'static str)]),
    Invite(&'static [(&'static str, &'static str)]),
    Register(&'static [(&'static str, &'static str)]),
    Response(&'static [(&'static str, &'static str)]),
}

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    /// The archive's name for it.
    pub(crate) name: &'static str,
    /// Where the RFC has it.
    pub(crate) clause: &'static str,
    pub(crate) own: Own,
    /// The answers and `forwarded`, comma-separated; nothing when it is dropped.
    pub(crate) outcome: &'static str,
    /// What the last of these says among other things.
    pub(crate) says: &'static str,
    /// What comes of the archive's message instead, where that has another fault.
    pub(crate) printed: Option<&'static str>,
    /// Why this and nothing else.
    pub(crate) why: &'static str,
}

const HEAD: &str = "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKkd1\r\nMax-Forwards: 70\r\n\
    From: <sip:caller@example.net>;tag=c1\r\nTo: <sip:user@example.com>\r\nCall-ID: tt.1@192.0.2.10\r\n";
const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

impl Own {
    /// The message.
    pub(crate) fn message(self) -> Vec<u8> {
        let (mut text, edits) = match self {
            Self::Options(edits) => (
                format!(
                    "OPTIONS sip:user@example.com SIP/2.0\r\n{HEAD}CSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n"
                ),
                edits,
            ),
            Self::Invite(edits) => {
                let length = SDP.len();
                let body = format!("Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{SDP}");
                let contact = "Contact: <sip:caller@192.0.2.10>\r\n";
                (
                    format!("INVITE sip:user@example.com SIP/2.0\r\n{HEAD}CSeq: 7 INVITE\r\n{contact}{body}"),
                    edits,
                )
            }
            Self::Register(edits) => (
                format!(
                    "REGISTER sip:example.com SIP/2.0\r\n{HEAD}CSeq: 7 REGISTER\r\nContact: <sip:caller@192.0.2.10>\r\n\
                     Content-Length: 0\r\n\r\n"
                ),
                edits,
            ),
            Self::Response(edits) => (
                format!("SIP/2.0 200 OK\r\n{HEAD}CSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n"),
                edits,
            ),
        };
        for (from, to) in edits {
            assert!(text.contains(from), "{from:?} in {text}");
            text = text.replacen(from, to, 1);
        }
        text.into_bytes()
    }
}

use Own::{Invite, Options, Register, Response};

const FORWARDED_CALL: &str = "100 Trying, forwarded";

/// A case that needs nothing but an outcome.
const fn case(
    name: &'static str,
    clause: &'static str,
    own: Own,
    outcome: &'static str,
    why: &'static str,
) -> Case {
    Case {
        name,
        clause,
        own,
        outcome,
        says: "",
        printed: None,
        why,
    }
}

impl Case {
    const fn saying(mut self, says: &'static str) -> Self {
        self.says = says;
        self
    }

    const fn but_printed(mut self, outcome: &'static str) -> Self {
        self.printed = Some(outcome);
        self
    }
}

/// Every message of both RFCs, in their order.
pub(crate) const CASES: &[Case] = &[
    case(
        "wsinv",
        "RFC 4475 §3.1.1.1",
        Invite(&[
            ("To: <sip:user", "TO :\r\n <sip:user"),
            ("com>\r\nCall-ID", "com>  ;   other = \"a \\\\\\\" b\"\r\nCaLl-Id"),
            ("Via: SIP/2.0/UDP", "v:  SIP  / 2.0\r\n /UDP\r\n   "),
            ("Max-Forwards: 70", "MaX-fOrWaRdS: 0068\r\ns :\r\nUnusual: ;;,,;;,;"),
            ("CSeq: 7 INVITE", "cseq: 0007\r\n  INVITE\r\nRoute:\r\n <sip:services.example.com;lr;unknown=value;none>"),
        ]),
        FORWARDED_CALL,
        "White space, folding, compact names and cases change nothing; all of it goes on as it came.",
    ),
    case(
        "intmeth",
        "RFC 4475 §3.1.1.2",
        Options(&[
            ("OPTIONS sip:user@", "!Odd-Method09_*+`.%'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&pw=1@"),
            ("7 OPTIONS", "7 !Odd-Method09_*+`.%'~\r\next-!.%*+_`'~: \u{feff}\u{5927}"),
            ("z9hG4bKkd1", "z9hG4bK-.!%66*_+`'~"),
            ("To: <", "To: \"NUL:\\\u{0} DEL:\\\u{7f}\" <"),
            ("From: <sip:caller@example.net>", "From: t1~` t2'+_ t3*%!.- <sip:caller@example.net>;p''~+*_!.-%=\"\u{440}\""),
            ("tt.1@192.0.2.10", "w%ZK-!.*_+'@word`~)(><:\\/\"][?}{"),
        ]),
        "forwarded",
        "An unknown method for a user is forwarded to the user; a password is no part of the address-of-record.",
    ),
    case(
        "esc01",
        "RFC 4475 §3.1.1.3",
        Invite(&[("sip:user@example.com SIP", "sip:sips%3Auser%40example.com@example.net SIP")]),
        FORWARDED_CALL,
        "An escaped @ separates nothing: the host is example.net.",
    ),
    case(
        "escnull",
        "RFC 4475 §3.1.1.4",
        Register(&[
            ("<sip:user@example.com>", "<sip:null-%00-null@example.com>"),
            ("<sip:caller@192.0.2.10>", "<sip:%00@host5.example.com>, <sip:%00%00@host5.example.com>"),
        ]),
        "200 OK",
        "An escaped NUL ends no name: two contacts are two.",
    )
    .saying("Contact: <sip:%00%00@host5.example.com>"),
    case(
        "esc02",
        "RFC 4475 §3.1.1.5",
        Options(&[
            ("OPTIONS sip:user@example.com", "RE%47IST%45R sip:registrar.example.com"),
            ("7 OPTIONS", "7 RE%47IST%45R\r\nC%6Fntact: <sip:alias2@host2.example.com>"),
            ("To: <", "To: \"%Z%45\" <"),
        ]),
        "forwarded",
        "A method has no escapes: this is no REGISTER, and goes where its Request-URI says.",
    ),
    case(
        "lwsdisp",
        "RFC 4475 §3.1.1.6",
        Options(&[("From: <", "From: caller<")]),
        "forwarded",
        "White space between a display name and < is not needed.",
    ),
    case(
        "longreq",
        "RFC 4475 §3.1.1.7",
        Invite(&[
            ("Max-Forwards", "Via: SIP/2.0/TCP sip33.example.com\r\nV: SIP/2.0/TCP sip32.example.com;branch=z9hG4bKa\r\nMax-Forwards"),
            ("tag=c1", "tag=12982424oiwueoirwueoiruweoirweoirwueoiruwoeirwoeiruwoeiruwoeiruwoieruw982424;unknown=verylongvalueverylongvalue"),
            ("To: <", "To: \"I have a user name of extreme proportion, and on it goes and on it goes and on it goes\" <"),
            ("Call-ID: tt", "Unknown-LongLongLongLongLongLongLongLongLongLongLongLong-Name: unknown-value-value-value-value\r\nCall-ID: longlonglonglonglonglonglonglong"),
        ]),
        FORWARDED_CALL,
        "Long is not wrong, as long as it is within the limits.",
    ),
    case(
        "dblreq",
        "RFC 4475 §3.1.1.8",
        Register(&[("Length: 0\r\n\r\n", "Length: 0\r\n\r\nINVITE sip:joe@example.com SIP/2.0\r\nt: <sip:joe@example.com>\r\n\r\n")]),
        "200 OK",
        "What follows the body in a datagram is no second message, and is let lie.",
    ),
    case(
        "semiuri",
        "RFC 4475 §3.1.1.9",
        Options(&[("sip:user@", "sip:user;par=u%40example.net@")]),
        "forwarded",
        "A semicolon in front of the @ is part of the user's name.",
    ),
    case(
        "transports",
        "RFC 4475 §3.1.1.10",
        Options(&[("Max-F", "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKk\r\nVia: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKa\r\nMax-F")]),
        "forwarded",
        "Transports of hops below the top one are nobody's business.",
    ),
    case(
        "mpart01",
        "RFC 4475 §3.1.1.11",
        Options(&[
            ("OPTIONS sip:user@example.com", "MESSAGE sip:kumiko@example.org"),
            ("7 OPTIONS", "7 MESSAGE\r\nRoute: <sip:192.0.2.13:5080>\r\nContent-Type: multipart/mixed;boundary=7a9"),
            ("Length: 0\r\n\r\n", "Length: 43\r\n\r\n--7a9\r\n\r\nHello\r\n--7a9\r\n\r\n\u{0}\u{1}\u{7f}\r\n\n\r--\r\n--7a9--\r\n"),
        ]),
        "forwarded",
        "A body is octets: it goes on as it came, NULs and bare line ends included.",
    ),
    case(
        "unreason",
        "RFC 4475 §3.1.1.12",
        Response(&[("200 OK", "200 = 2**3 * 5**2 \u{43d}\u{43e}")]),
        "",
        "Well-formed, and the answer to nothing of ours: a proxy with transactions drops it (RFC 6026 §7.3).",
    ),
    case(
        "noreason",
        "RFC 4475 §3.1.1.13",
        Response(&[("200 OK", "100 ")]),
        "",
        "The same without a Reason-Phrase.",
    ),
    case(
        "badinv01",
        "RFC 4475 §3.1.2.1",
        Invite(&[("z9hG4bKkd1", "z9hG4bKkd1;;,;,,"), ("Contact: <sip:caller@192.0.2.10>", "Contact: <sip:caller@192.0.2.10>;;;;")]),
        "400 Malformed Via",
        "Whose parameters nobody can read, whose answer may go astray: refused.",
    ),
    case(
        "clerr",
        "RFC 4475 §3.1.2.2",
        Invite(&[("Content-Length: ", "Content-Length: 9")]),
        "400 Content-Length Larger Than Body",
        "RFC 3261 §18.3: a datagram that is cut off gets a 400.",
    ),
    case(
        "ncl",
        "RFC 4475 §3.1.2.3",
        Invite(&[("Content-Length: ", "Content-Length: -")]),
        "400 Malformed Content-Length",
        "No length can be negative.",
    ),
    case(
        "scalar02",
        "RFC 4475 §3.1.2.4",
        Register(&[("CSeq: 7", "CSeq: 36893488147419103232"), ("Max-Forwards: 70", "Max-Forwards: 300\r\nExpires: 10000000000")]),
        "400 Malformed CSeq",
        "The RFC asks for a 400 because of CSeq.",
    ),
    case(
        "scalarlg",
        "RFC 4475 §3.1.2.5",
        Response(&[("200 OK", "503 Service Unavailable"), ("CSeq: 7", "CSeq: 9292394834772304023312\r\nRetry-After: 949302838503028349304023988")]),
        "",
        "A response whose CSeq is out of range is dropped.",
    ),
    case(
        "quotbal",
        "RFC 4475 §3.1.2.6",
        Invite(&[("To: <", "To: \"Mr. J. User <")]),
        "400 Malformed To",
        "Where the missing quote belongs is a guess that two readers would make differently.",
    ),
    case(
        "ltgtruri",
        "RFC 4475 §3.1.2.7",
        Invite(&[("sip:user@example.com SIP", "<sip:user@example.com> SIP")]),
        "400 Malformed Start Line",
        "Allowed to be refused, and no phone in use writes this.",
    ),
    case(
        "lwsruri",
        "RFC 4475 §3.1.2.8",
        Invite(&[("sip:user@example.com SIP", "sip:user@example.com; lr SIP")]),
        "400 Malformed Start Line",
        "Allowed to be refused; to guess would be to route by a guess.",
    ),
    case(
        "lwsstart",
        "RFC 4475 §3.1.2.9",
        Invite(&[("INVITE sip:user@example.com SIP", "INVITE  sip:user@example.com  SIP")]),
        "400 Malformed Start Line",
        "Allowed to be refused: elements are parted by one SP.",
    ),
    case(
        "trws",
        "RFC 4475 §3.1.2.10",
        Options(&[("SIP/2.0\r\nVia", "SIP/2.0  \r\nVia")]),
        "400 Malformed Start Line",
        "Allowed to be refused.",
    ),
    case(
        "escruri",
        "RFC 4475 §3.1.2.11",
        Invite(&[("example.com SIP", "example.com?Route=%3Csip:example.com%3E SIP")]),
        "400 Headers In Request-URI",
        "What somebody wants in our requests does not get there: refused rather than cut out in silence.",
    ),
    case(
        "baddate",
        "RFC 4475 §3.1.2.12",
        Invite(&[("Contact", "Date: Fri, 01 Jan 2010 16:00:00 EST\r\nContact")]),
        FORWARDED_CALL,
        "A proxy has no use for Date: the RFC says not to refuse it for that.",
    ),
    case(
        "regbadct",
        "RFC 4475 §3.1.2.13",
        Register(&[("<sip:caller@192.0.2.10>", "sip:caller@192.0.2.10?Route=%3Csip:sip.example.com%3E")]),
        "400 Malformed Contact",
        "RFC 3261 §20: a URI with ? stands in brackets; what belongs to the URI would be a guess.",
    ),
    case(
        "badaspec",
        "RFC 4475 §3.1.2.14",
        Options(&[("To: <sip:user@example.com>", "To: \"Watson\" < sip:user@example.com >")]),
        "400 Malformed To",
        "Refused always, as the RFC calls reasonable: To is part of what later requests are matched by.",
    ),
    case(
        "baddn",
        "RFC 4475 §3.1.2.15",
        Options(&[("From: <", "From: Bell, Alexander <")]),
        "400 Malformed From",
        "Refused always: a comma that is no separator here is one elsewhere.",
    ),
    case(
        "badvers",
        "RFC 4475 §3.1.2.16",
        Options(&[("SIP/2.0\r\nVia", "SIP/7.0\r\nVia")]),
        "505 Version Not Supported",
        "RFC 3261 §21.5.6.",
    ),
    case(
        "mismatch01",
        "RFC 4475 §3.1.2.17",
        Options(&[("7 OPTIONS", "7 INVITE")]),
        "400 CSeq Method Does Not Match",
        "Its answer could be taken for that of another request.",
    ),
    case(
        "mismatch02",
        "RFC 4475 §3.1.2.18",
        Options(&[("OPTIONS sip", "NEWMETHOD sip"), ("7 OPTIONS", "7 INVITE")]),
        "400 CSeq Method Does Not Match",
        "400 before 501: whether the method is known does not matter to a proxy.",
    ),
    case(
        "bigcode",
        "RFC 4475 §3.1.2.19",
        Response(&[("200 OK", "4294967301 better not break the receiver")]),
        "",
        "A response that is none is dropped.",
    ),
    case(
        "badbranch",
        "RFC 4475 §3.2.1",
        Options(&[("z9hG4bKkd1", "z9hG4bK")]),
        "forwarded",
        "A branch that names nothing is matched as RFC 2543 had it (RFC 3261 §17.2.3).",
    ),
    case(
        "insuf",
        "RFC 4475 §3.3.1",
        Invite(&[("Call-ID: tt.1@192.0.2.10\r\n", ""), ("From: <sip:caller@example.net>;tag=c1\r\n", "")]),
        "400 Missing Call-ID",
        "The RFC asks for a 400 and, if it is useful, to name what is missing.",
    ),
    case(
        "unkscm",
        "RFC 4475 §3.3.2",
        Options(&[("sip:user@example.com SIP", "nobodyKnowsThisScheme:totallyopaquecontent SIP")]),
        "416 Unsupported URI Scheme",
        "RFC 3261 §16.3 step 2.",
    ),
    case(
        "novelsc",
        "RFC 4475 §3.3.3",
        Options(&[("sip:user@example.com SIP", "soap.beep://192.0.2.103:3002 SIP")]),
        "416 Unsupported URI Scheme",
        "A scheme that the world knows and a SIP proxy does not.",
    ),
    case(
        "unksm2",
        "RFC 4475 §3.3.4",
        Register(&[("<sip:user@example.com>", "isbn:2983792873"), ("<sip:caller@example.net>", "<http://www.example.com>"), ("<sip:caller@192.0.2.10>", "<name:John_Smith>")]),
        "400 To Is No SIP Address",
        "An address-of-record is a SIP or SIPS URI.",
    ),
    case(
        "bext01",
        "RFC 4475 §3.3.5",
        Options(&[("Max-F", "Require: nothingSupportsThis\r\nProxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\r\nMax-F")]),
        "420 Bad Extension",
        "As a proxy it answers for Proxy-Require alone.",
    )
    .saying("Unsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis\r\n"),
    case(
        "invut",
        "RFC 4475 §3.3.6",
        Invite(&[("application/sdp", "application/unknownformat")]),
        FORWARDED_CALL,
        "415 is for whom the body is meant for: a proxy does not look into it.",
    ),
    case(
        "regaut01",
        "RFC 4475 §3.3.7",
        Register(&[("CSeq", "Authorization: NoOneKnowsThisScheme opaque-data=here\r\nCSeq")]),
        "200 OK",
        "Where nobody is challenged, unknown credentials are as good as none; with digest on there is a 401.",
    ),
    case(
        "multi01",
        "RFC 4475 §3.3.8",
        Invite(&[("CSeq: 7 INVITE", "CSeq: 5 INVITE\r\nCSeq: 59 INVITE\r\nCall-ID: other\r\nFrom: <sip:x@example.net>;tag=y")]),
        "400 More Than One CSeq",
        "Which of two counts would be for each reader to choose.",
    ),
    case(
        "mcl01",
        "RFC 4475 §3.3.9",
        Options(&[("Content-Length: 0", "Content-Length: 13\r\nContent-Length: 5\r\n\r\nThere's no way to know how many octets")]),
        "400 More Than One Content-Length",
        "Over a stream it ends the connection; in a datagram it gets a 400.",
    ),
    case(
        "bcast",
        "RFC 4475 §3.3.10",
        Response(&[("Max-F", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKs\r\nMax-F")]),
        "",
        "Nothing of ours, so it goes to nobody, and to no broadcast address either.",
    ),
    case(
        "zeromf",
        "RFC 4475 §3.3.11",
        Options(&[("Max-Forwards: 70", "Max-Forwards: 0")]),
        "200 OK",
        "RFC 3261 §16.3 step 3: where the way ends, a proxy may answer an OPTIONS itself; traces live on it.",
    ),
    case(
        "cparam01",
        "RFC 4475 §3.3.12",
        Register(&[("<sip:caller@192.0.2.10>", "sip:+19725552222@gw1.example.net;unknownparam")]),
        "200 OK",
        "Without brackets the parameter is the contact's, not the URI's.",
    )
    .saying("Contact: <sip:+19725552222@gw1.example.net>;"),
    case(
        "cparam02",
        "RFC 4475 §3.3.13",
        Register(&[("<sip:caller@192.0.2.10>", "<sip:+19725552222@gw1.example.net;unknownparam>")]),
        "200 OK",
        "In brackets it is the URI's.",
    )
    .saying("Contact: <sip:+19725552222@gw1.example.net;unknownparam>;"),
    case(
        "regescrt",
        "RFC 4475 §3.3.14",
        Register(&[("<sip:caller@192.0.2.10>", "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>")]),
        "200 OK",
        "A contact may have headers, and is given back with them.",
    )
    .saying("Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>;"),
    case(
        "sdp01",
        "RFC 4475 §3.3.15",
        Invite(&[("Contact", "Accept: text/nobodyKnowsThis\r\nContact")]),
        FORWARDED_CALL,
        "406 is for whoever writes the body of the answer.",
    ),
    case(
        "inv2543",
        "RFC 4475 §3.4.1",
        Invite(&[
            (";branch=z9hG4bKkd1\r\nMax-Forwards: 70", ""),
            (";tag=c1", ""),
            ("Content-Length: 89\r\n", ""),
        ]),
        FORWARDED_CALL,
        "Callers of RFC 2543 are still served: branch, tag, Max-Forwards and Content-Length may be missing.",
    ),
    case(
        "ipv6-good",
        "RFC 5118 §4.1",
        Register(&[("sip:example.com", "sip:[2001:db8::10]"), ("<sip:caller@192.0.2.10>", "\"Caller\" <sip:caller@[2001:db8::1]>")]),
        "200 OK",
        "Addresses in brackets, in a Request-URI and in a contact.",
    )
    .saying("Contact: <sip:caller@[2001:db8::1]>"),
    case(
        "ipv6-bad",
        "RFC 5118 §4.2",
        Register(&[("sip:example.com", "sip:2001:db8::10")]),
        "400 Malformed Request-URI",
        "Without brackets the port cannot be told from the address.",
    ),
    case(
        "port-ambiguous",
        "RFC 5118 §4.3",
        Register(&[("sip:example.com", "sip:[2001:db8::10:5070]")]),
        "200 OK",
        "Inside of the brackets all belongs to the address, which here is one of ours.",
    ),
    case(
        "port-unambiguous",
        "RFC 5118 §4.4",
        Register(&[("sip:example.com", "sip:[2001:db8::10]:5070")]),
        "500 No Way To Next Hop",
        "The address is ours and the port is not: it is somebody else's, whom a node without IPv6 cannot reach.",
    ),
    case(
        "via-received-param-with-delim",
        "RFC 5118 §4.5",
        Options(&[("sip:user@example.com", "sip:[2001:db8::10]"), ("OPTIONS", "BYE"), ("7 OPTIONS", "7 BYE"), ("com>\r\nCall", "com>;tag=b\r\nCall"), ("192.0.2.10;", "[2001:db8::9:1];received=[2001:db8::9:255];")]),
        "481 Call/Transaction Does Not Exist",
        "Brackets around a received address are understood, and it is answered to where it really came from.",
    ),
    case(
        "via-received-param-no-delim",
        "RFC 5118 §4.5",
        Options(&[("sip:user@example.com", "sip:[2001:db8::10]"), ("192.0.2.10;", "[2001:db8::9:1];received=2001:db8::9:255;")]),
        "200 OK",
        "And without brackets, as the grammar of RFC 3261 has it.",
    ),
    case(
        "ipv6-in-sdp",
        "RFC 5118 §4.6",
        Invite(&[("sip:user@example.com", "sip:user@[2001:db8::10]"), ("c=IN IP4 192.0.2.10", "c=IN IP6 2001:db8::"), ("IP4 192.0.2.10", "IP6 2001:db8::")]),
        FORWARDED_CALL,
        "A proxy does not look into the body.",
    )
    .but_printed("400 Content-Length Larger Than Body"),
    case(
        "mult-ip-in-header",
        "RFC 5118 §4.7",
        Options(&[("OPTIONS sip:user@example.com", "BYE sip:user@host.example.net"), ("7 OPTIONS", "7 BYE"), ("com>\r\nCall", "com>;tag=b\r\nCall"), ("Max-F", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKj\r\nVia: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bKk;received=192.0.2.200\r\nMax-F")]),
        "forwarded",
        "The families of the hops below are not ours to judge.",
    ),
    case(
        "mult-ip-in-sdp",
        "RFC 5118 §4.8",
        Invite(&[("sip:user@example.com", "sip:user@[2001:db8::10]"), ("192.0.2.10;", "[2001:db8::9:1];"), ("c=IN IP4 192.0.2.10", "c=IN IP6 2001:db8::")]),
        FORWARDED_CALL,
        "Nor those of media.",
    ),
    case(
        "ipv4-mapped-ipv6",
        "RFC 5118 §4.9",
        Invite(&[("192.0.2.10;", "[::ffff:192.0.2.10]:19823;"), ("Max-F", "Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKa\r\nMax-F")]),
        FORWARDED_CALL,
        "An IPv4-mapped address is an address like any other.",
    ),
    case(
        "ipv6-bug-abnf-3-colons",
        "RFC 5118 §4.10",
        Options(&[("sip:user@example.com", "sip:user@[2001:db8:::192.0.2.1]")]),
        "forwarded",
        "What RFC 3261's own grammar wrote before it was mended is read as what it means.",
    ),
    case(
        "ipv6-correct-abnf-2-colons",
        "RFC 5118 §4.10",
        Options(&[("sip:user@example.com", "sip:user@[2001:db8::192.0.2.1]")]),
        "forwarded",
        "And is the same address.",
    ),
];
