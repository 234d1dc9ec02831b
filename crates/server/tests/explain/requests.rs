//! Requests and responses of all kinds, from a seed.

use strowger_testkit::message::{authorize, response};
use strowger_testkit::{Random, Site, peer};

/// Where nobody is who is not asked: DNS has this.
pub(crate) const ZONE: &str = "one.test A 192.0.2.14\ntwo.test A 192.0.2.15\n";

const METHODS: &[&str] = &[
    "INVITE",
    "INVITE",
    "INVITE",
    "INVITE",
    "OPTIONS",
    "MESSAGE",
    "BYE",
    "ACK",
    "CANCEL",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "REFER",
    "UPDATE",
    "INFO",
    "PRACK",
    "STRANGE",
];

const URIS: &[&str] = &[
    "sip:alice@example.test",
    "sip:bob@example.test",
    "sip:bob@example.test",
    "sip:bob@example.test;user=phone",
    "sip:carol@example.test",
    "sip:b%6Fb@example.test",
    "sip:1001@example.test",
    "sip:1002@example.test",
    "sip:nobody@example.test",
    "sip:BOB@EXAMPLE.TEST.:5060",
    "sip:bob@example.test;gr=urn:uuid:1",
    "sip:1001@example.test;gr=urn:uuid:1",
    "sip:nobody@example.test;gr=urn:uuid:1",
    "sip:bob@example.test;gr",
    "sips:bob@example.test",
    "sip:example.test",
    "sip:192.0.2.1",
    "sip:bob@192.0.2.1:5060;transport=tcp",
    "sip:bob@example.test;maddr=192.0.2.14",
    "sip:bob@example.test?Subject=x",
    "sip:192.0.2.13",
    "sip:x@192.0.2.13:5070;transport=tcp",
    "sip:x@192.0.2.13;transport=sctp",
    "sip:x@one.test",
    "sip:x@two.test;transport=tcp",
    "sip:x@nowhere.test",
    "sip:x@[2001:db8::1]",
    "tel:+15551234;phone-context=x",
    "tel:1001",
    "http://example.test/",
    "sip:",
    "x",
];

/// A request that looks like something a peer may send, or not quite.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) number: u32,
    pub(crate) who: char,
    pub(crate) text: Vec<u8>,
    pub(crate) by_connection: bool,
}

/// Makes message number `n`. What was sent before gives challenges and routes to use.
pub(crate) fn make(random: &mut Random, site: &mut Site, sent: &[Made], n: u32) -> Made {
    let who = random.of(&['a', 'a', 'a', 'b', 'c', 'd', 'e', 'l']);
    if random.below(16) == 0 && !sent.is_empty() {
        // A retransmission, or nearly one.
        let made = &sent[sent.len() - 1 - random.below(sent.len().min(5) as u64) as usize];
        return Made {
            number: n,
            ..made.clone()
        };
    }
    let by_connection = who != 'l' && random.below(8) == 0;
    let text = match random.below(20) {
        0..5 => register(random, who, n),
        5..8 => answer(random, site),
        _ => request(random, site, who, n),
    };
    let text = match random.below(12) {
        0 => authorized(random, site, who, text, by_connection),
        _ => text,
    };
    let text = if by_connection {
        text.replace("SIP/2.0/UDP", "SIP/2.0/TCP")
    } else {
        text
    };
    Made {
        number: n,
        who,
        text: damaged(random, text.into_bytes()),
        by_connection,
    }
}

/// A call to somebody whom some sites redirect, so that one is among the messages whatever the numbers say.
pub(crate) fn call_to_carol() -> Made {
    let source = peer::address('a');
    let text = format!(
        "INVITE sip:carol@example.test SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bKcarol\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.test>;tag=a\r\nTo: <sip:carol@example.test>\r\n\
         Call-ID: carol\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    );
    Made {
        number: 0,
        who: 'a',
        text: text.into_bytes(),
        by_connection: false,
    }
}

/// A request for somebody, with whatever it may have.
fn request(random: &mut Random, site: &Site, who: char, n: u32) -> String {
    let (method, uri) = (random.of(METHODS), random.of(URIS));
    let mut lines = vec![via(random, who, n), from(random, who, n), to(random, uri)];
    lines.push(format!(
        "{}: call{}@{who}",
        random.of(&["Call-ID", "i"]),
        n - n % 3
    ));
    lines.push(format!("CSeq: {} {method}", 1 + random.below(3)));
    match random.below(12) {
        0 => {}
        1 => lines.push("Max-Forwards: 0".to_owned()),
        2 => lines.push("Max-Forwards: 1".to_owned()),
        3 => lines.push("Max-Forwards: 256".to_owned()),
        _ => lines.push("Max-Forwards: 70".to_owned()),
    }
    if random.below(3) == 0 {
        lines.push(format!(
            "{}: <sip:{}@{}>",
            random.of(&["Contact", "m"]),
            peer::user(who),
            peer::address(who)
        ));
    }
    lines.extend(routes(random, site));
    if random.below(10) == 0 {
        let more = [
            "Require: 100rel",
            "Proxy-Require: foo",
            "Proxy-Authorization: Digest realm=\"example.test\", nonce=\"x\", username=\"alice\", uri=\"x\", response=\"x\"",
            "Proxy-Authorization: Digest realm=\"elsewhere\"",
            "Proxy-Authorization: Digest username",
            "Max-Breadth: 1",
            "Record-Route: <sip:192.0.2.14;lr>",
            "Session-Expires: 90",
            "X-Other: yes\r\n folded",
        ];
        lines.push(random.of(&more).to_owned());
    }
    let body = random.of(&["", "", "v=0\r\n", "hello"]);
    match random.below(6) {
        0 => {}
        1 => lines.push(format!("l: {}", body.len())),
        _ => lines.push(format!("Content-Length: {}", body.len())),
    }
    format!("{method} {uri} SIP/2.0\r\n{}\r\n\r\n{body}", lines.join("\r\n"))
}

fn via(random: &mut Random, who: char, n: u32) -> String {
    let name = random.of(&["Via", "Via", "v", "VIA"]);
    let host = match random.below(6) {
        0 => "phone.invalid".to_owned(),
        1 => "192.0.2.99:5080".to_owned(),
        _ => peer::address(who).to_string(),
    };
    let rport = random.of(&["", ";rport", ";rport"]);
    let branch = match random.below(20) {
        0 => String::new(),
        1 => format!(";branch={n}"),
        _ => format!(";branch=z9hG4bK{n}"),
    };
    let below = match random.below(8) {
        0 => "\r\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKbelow",
        _ => "",
    };
    format!("{name}: SIP/2.0/UDP {host}{rport}{branch}{below}")
}

fn from(random: &mut Random, who: char, n: u32) -> String {
    let name = random.of(&["From", "From", "f"]);
    let user = match random.below(8) {
        0 => "bob@example.test",
        1 => "1001@example.test",
        2 => "x@elsewhere.test",
        _ => return format!("{name}: <sip:{}@example.test>;tag={who}{n}", peer::user(who)),
    };
    let tag = random.of(&["", ";tag=t", ";tag=t"]);
    format!("{name}: \"Somebody\" <sip:{user}>{tag}")
}

fn to(random: &mut Random, uri: &str) -> String {
    let name = random.of(&["To", "To", "t"]);
    let tag = random.of(&["", "", "", ";tag=b-side", ";tag=0123456789abcdef"]);
    format!("{name}: <{}>{tag}", uri.replace('?', ""))
}

/// A route set: of others, ours with a right token, ours with a forged one, or none.
fn routes(random: &mut Random, site: &Site) -> Vec<String> {
    let route = match random.below(12) {
        0 => "<sip:192.0.2.13;lr>".to_owned(),
        1 => "<sip:192.0.2.1;lr>,<sip:192.0.2.13;lr>".to_owned(),
        2 => "<sip:192.0.2.1:5060;lr;st=0123456789abcdef>".to_owned(),
        3 => "<sip:192.0.2.13>".to_owned(),
        4 => "<sip:one.test;lr>".to_owned(),
        5 => "nonsense".to_owned(),
        6 => {
            let recorded = site.recorded();
            if recorded.is_empty() {
                return Vec::new();
            }
            recorded[random.below(recorded.len() as u64) as usize].clone()
        }
        _ => return Vec::new(),
    };
    vec![format!("Route: {route}")]
}

/// A REGISTER, by one of many ways.
fn register(random: &mut Random, who: char, n: u32) -> String {
    let user = random.of(&[peer::user(who), peer::user(who), "bob", "1001", "nobody"]);
    let domain = random.of(&["example.test", "example.test", "example.test", "elsewhere.test"]);
    let contacts = match random.below(12) {
        0 => String::new(),
        1 => "Contact: *\r\nExpires: 0\r\n".to_owned(),
        2 => "Contact: *\r\n".to_owned(),
        3 => format!(
            "Contact: <sip:{user}@{}>;q=0.5,<sip:{user}@192.0.2.16:5062>;q=0.25\r\n",
            peer::address(who)
        ),
        4 => format!("Contact: <sip:{user}@example.test>\r\nContact: <sip:{user}@192.0.2.17>;expires=90\r\n"),
        5 => format!(
            "Contact: <sip:{user}@{};transport=tcp>;expires=0\r\n",
            peer::address(who)
        ),
        6 => "Contact: <mailto:a@b.test>\r\n".to_owned(),
        7 => format!("m: <sip:{user}@10.0.0.1:5070;ob>;+sip.instance=\"<urn:uuid:1>\"\r\n"),
        8 => format!("Contact: <sip:{user}@phone.test>;expires=30\r\n"),
        9 => format!("Contact: <sip:{user}@{}>;q=2\r\n", peer::address(who)),
        _ => format!("Contact: <sip:{user}@{}>\r\n", peer::address(who)),
    };
    let expires = random.of(&["", "", "Expires: 600\r\n", "Expires: 10\r\n", "Expires: x\r\n"]);
    let more = random.of(&[
        "",
        "",
        "",
        "Path: <sip:192.0.2.13;lr>\r\nSupported: path\r\n",
        "Path: <sip:192.0.2.13;lr>\r\n",
        "Require: path\r\n",
        "Require: outbound\r\n",
        "User-Agent: Phone/1\r\n",
        "Supported: gruu\r\n",
    ]);
    format!(
        "REGISTER sip:{domain} SIP/2.0\r\n{}\r\nMax-Forwards: 70\r\nFrom: <sip:{user}@{domain}>;tag={n}\r\n\
         To: <sip:{user}@{domain}>\r\nCall-ID: reg{}@{who}\r\nCSeq: {} REGISTER\r\n{contacts}{expires}{more}Content-Length: 0\r\n\r\n",
        via(random, who, n),
        random.below(3),
        random.below(20) + u64::from(n / 20),
    )
}

/// An answer to something that was forwarded.
fn answer(random: &mut Random, site: &Site) -> String {
    let forwarded = site.forwarded();
    let Some(last) = forwarded.len().checked_sub(1) else {
        return "SIP/2.0 200 OK\r\n\r\n".to_owned();
    };
    // Mostly one that has not ended yet.
    let at = last.saturating_sub(random.below(12) as usize);
    let code = random.of(&[100, 180, 183, 200, 200, 302, 404, 486, 407, 503, 603]);
    let lines = random.of(&[
        "",
        "Contact: <sip:x@192.0.2.16>",
        "Contact: <sip:x@one.test>;q=0.5",
    ]);
    response(forwarded[at], 'b', code, lines)
}

/// With credentials for a challenge that the node makes for the same request.
fn authorized(random: &mut Random, site: &mut Site, who: char, text: String, by_connection: bool) -> String {
    if text.starts_with("SIP/2.0") || text.is_empty() {
        return text;
    }
    let challenge = site.explain(who, text.as_bytes(), by_connection, ZONE);
    let challenged = challenge
        .sent
        .iter()
        .find(|sent| sent.text.contains("-Authenticate: Digest"));
    let Some(challenged) = challenged else {
        return text;
    };
    // A nonce of an explanation is as good as one that was sent: the next one that is sent is the same.
    let user = random.of(&[peer::user(who), peer::user(who), "alice", "bob", "nobody"]);
    let count = random.of(&[1, 1, 1, 2]);
    authorize(&text, &challenged.text, user, count)
}

/// Mostly the same bytes; now and then with a mistake.
fn damaged(random: &mut Random, mut text: Vec<u8>) -> Vec<u8> {
    if text.is_empty() {
        return text;
    }
    let at = random.below(text.len() as u64) as usize;
    match random.below(60) {
        0 => text.truncate(at),
        1 => text[at] = random.below(256) as u8,
        2 => text.insert(at, random.of(b"\r\n\0 ,;<>\"\xff")),
        3 => {
            let copy = text.clone();
            text.extend_from_slice(&copy);
        }
        4 => {
            text.splice(0..0, *b"\r\n\r\n");
        }
        _ => {}
    }
    text
}
