//! Messages as peers would write them, and what tests read in those that they get.

use strowger_sip::auth::{Algorithm, Ha1, Inputs, Protection, Response};
use strowger_syntax::message::{ResponseWriter, ViaStamp};
use strowger_syntax::{Index, Limits, Status};

use crate::peer;

/// A request of a peer, with a branch, a From tag and a Call-ID by number.
pub fn request(who: char, method: &str, uri: &str, n: u32) -> String {
    let via = peer::address(who);
    let name = peer::user(who);
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:{name}@example.test>;tag={who}{n}\r\nTo: <{uri}>\r\nCall-ID: call{n}@{who}\r\nCSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// A REGISTER of a peer for an address-of-record, with `n` as its CSeq and branch: all of one peer have one Call-ID.
pub fn registration(who: char, aor: &str, contact: &str, n: u32) -> String {
    let text = request(who, "REGISTER", "sip:example.test", 1)
        .replace("To: <sip:example.test>", &format!("To: <{aor}>"))
        .replace("CSeq: 1", &format!("CSeq: {n}"))
        .replace("z9hG4bK1", &format!("z9hG4bKr{n}"));
    with(&text, &format!("Contact: {contact}\r\nExpires: 600"))
}

/// A later request of call `n`, from `a` to where `b` is, with the tags of the call's 200 and without its route.
pub fn in_dialog(method: &str, ok: &str, n: u32) -> String {
    let contact = format!("sip:{}@{}", peer::user('b'), peer::address('b'));
    request('a', method, &contact, n)
        .replace(
            &format!("To: <{contact}>"),
            &format!("To: {}", lines(ok, "To")[0]),
        )
        .replace("CSeq: 1", "CSeq: 2")
        .replace("z9hG4bK", &format!("z9hG4bK{method}"))
}

/// The request with the route that was recorded in the call's 200.
pub fn routed(text: &str, ok: &str) -> String {
    with(text, &format!("Route: {}", lines(ok, "Record-Route")[0]))
}

/// The ACK to the answer that refuses an INVITE.
pub fn ack(invite: &str, refusal: &str) -> String {
    let to = |text| format!("To: {}\r\n", lines(text, "To")[0]);
    invite.replace("INVITE", "ACK").replace(&to(invite), &to(refusal))
}

/// The request with header field lines put in.
pub fn with(text: &str, lines: &str) -> String {
    text.replacen("Max-Forwards:", &format!("{lines}\r\nMax-Forwards:"), 1)
}

/// The values of a header field, one for each of its lines.
pub fn lines<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let head = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    let value = |line: &'t str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    head.take_while(|line| !line.is_empty())
        .filter_map(value)
        .collect()
}

/// The first line.
pub fn start_line(text: &str) -> &str {
    text.split('\r').next().unwrap_or_default()
}

/// The answer of a peer to a request that it got, with header field lines of its own.
pub fn response(request: &str, who: char, code: u16, lines: &str) -> String {
    let (mut index, bytes) = (Index::default(), request.as_bytes());
    index.parse(bytes, &Limits::DEFAULT).expect("a request");
    let (status, mut out) = (Status::new(code), Vec::new());
    let tag = match status {
        Status::TRYING => String::new(),
        _ => format!("{who}-side"),
    };
    let (reason, stamp) = (status.reason(), ViaStamp::default());
    let mut writer = ResponseWriter::begin(&mut out, bytes, &index, status, reason, stamp, tag.as_bytes());
    if !lines.is_empty() {
        writer = writer.lines(format!("{lines}\r\n").as_bytes());
    }
    writer.finish();
    String::from_utf8(out).expect("text")
}

/// The request with a user's credentials for the challenge in an answer (RFC 3261 §22, RFC 7616); `nc` is how often its
/// nonce has been used, this time included.
pub fn authorize(text: &str, challenge: &str, user: &str, nc: u32) -> String {
    let (name, value) = [
        ("WWW-Authenticate", "Authorization"),
        ("Proxy-Authenticate", "Proxy-Authorization"),
    ]
    .into_iter()
    .find_map(|(asked, told)| Some((told, *lines(challenge, asked).first()?)))
    .expect("a challenge");
    let parameters = ["realm", "nonce", "algorithm"].map(|name| parameter(value, name));
    let [realm, nonce, algorithm] = parameters;
    let kind = Algorithm::from_token(algorithm.as_bytes()).expect("known");
    let password = peer::password(user);
    let ha1 = Ha1::compute(kind, user.as_bytes(), realm.as_bytes(), password.as_bytes());
    let mut words = text.split(' ');
    let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let count = format!("{nc:08x}");
    let protection = Protection::Auth {
        nc: count.as_bytes(),
        cnonce: b"cn",
    };
    let inputs = Inputs {
        method: method.as_bytes(),
        uri: uri.as_bytes(),
        nonce: nonce.as_bytes(),
        protection,
    };
    let response = Response::compute(kind, &ha1, &inputs);
    let response = String::from_utf8_lossy(response.as_bytes());
    let line = format!(
        "{name}: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         algorithm={algorithm}, qop=auth, nc={count}, cnonce=\"cn\", response=\"{response}\""
    );
    with(text, &line)
}

/// The value of a challenge's parameter, unquoted.
fn parameter<'t>(challenge: &'t str, name: &str) -> &'t str {
    let (_, value) = challenge.split_once(&format!("{name}=")).expect("is there");
    value
        .split([',', ' '])
        .next()
        .unwrap_or_default()
        .trim_matches('"')
}
