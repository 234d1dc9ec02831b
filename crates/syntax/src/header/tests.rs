use super::*;
use crate::Method;
use crate::scan::escape_quoted_into;

/// Decodes each good value, and what it is written as; refuses each bad one.
macro_rules! table {
    ($test:ident $type:ident good: [$($good:expr),* $(,)?] bad: [$($bad:expr),* $(,)?]) => {
        #[test]
        fn $test() {
            for text in [$($good),*] as [&str; _] {
                let value = $type::decode(text.as_bytes()).unwrap_or_else(|e| panic!("{text:?}: {e}"));
                let mut written = Vec::new();
                value.encode(&mut written);
                let again = $type::decode(&written).unwrap_or_else(|e| panic!("{text:?}: {e}"));
                assert_eq!(canonical(&format!("{value:?}")), canonical(&format!("{again:?}")), "{text:?}");
            }
            for text in [$($bad),*] as [&str; _] {
                let error = $type::decode(text.as_bytes()).err();
                assert_eq!(error.map(|e| e.name), Some($type::NAME), "{text:?}");
            }
        }
    };
}

/// As if every URI had stood in angle brackets: they are always written.
fn canonical(debug: &str) -> String {
    debug.replace("bracketed: false", "bracketed: true")
}

table! { from_values From
    good: [
        "sip:a@b", "sip:a@b;tag=1", "<sip:a@b>", "<sip:a@b;x>;tag=1;y=\"z;\"", "Al Bert <sip:a>;tag=x",
        "\"A, <b> \\\" c\" <sip:a?x=y>", "\"\"<tel:+1>", "<http://a/?x=y>", "caller<sip:a>", "J\u{f6}rg <sip:a>", "<sip:a>;",
        "<sip:a>;;tag=1",
    ]
    bad: [
        "", "a", "<>", "<sip:>", "<a>", "sip:", "<sip:a", "sip:a>", "\"A <sip:a>", "A, B <sip:a>", "< sip:a>", "<sip:a >",
        "<sip:a> tag=1", "<sip:a>;=1", "<sip:a>;tag=\"1", "<sip:a>;;;", "sip:a?x=y", "sip:a, sip:b", "\"A\" b <sip:a>",
        "\"A\" sip:a", "<sip:a>, <sip:b>", "<sip:a@b@c>",
    ]
}

table! { route_values Route
    good: ["<sip:a;lr>", "A <sip:a>;x=y", "<sips:[::1]:5061;lr>"]
    bad: ["sip:a;lr", "", "<sip:a;lr>x"]
}

table! { contact_values Contact
    good: ["*", "<sip:a>;q=0.5;expires=60", "sip:a;q=1", "<sip:a;x=y?z=w>;+sip.instance=\"<urn:uuid:1>\";reg-id=1"]
    bad: ["", "**", "*;x", "sip:a?Route=%3Csip:x%3E", "a@b"]
}

table! { via_values Via
    good: [
        "SIP/2.0/UDP h", "SIP/2.0/TCP h:5060;branch=z9hG4bK1", "sip/2.0/WSS x.invalid;rport;received=::1",
        "SIP/2.0/SCTP [::1]:5;ttl=1", "SIP/7.0/UDP h", "SIP/2.0/UDP h;branch=a=b;maddr=1.2.3.4;alias",
    ]
    bad: [
        "", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 UDP h", "SIP//UDP h", "SIP/2.0/UDP h:", "SIP/2.0/UDP h:0",
        "SIP/2.0/UDP h:65536", "SIP/2.0/UDP h x", "SIP/2.0/UDP [::1", "SIP/2.0/UDP ::1", "SIP/2.0/UDP h;;;",
        "SIP/2.0/UDP a@b",
    ]
}

table! { cseq_values CSeq
    good: ["1 INVITE", "0 X", "2147483647 ACK"]
    bad: ["", "1", "INVITE", "1INVITE", "2147483648 INVITE", "-1 INVITE", "1 INVITE x", "1 IN,VITE"]
}

table! { rack_values RAck
    good: ["776656 1 INVITE", "4294967295 1 X"]
    bad: ["", "1 INVITE", "0 1 INVITE", "1 1", "11 INVITE", "1 1INVITE", "4294967296 1 INVITE"]
}

table! { max_forwards_values MaxForwards good: ["0", "70", "255"] bad: ["", "256", "-1", "7 0", "+1"] }
table! { expires_values Expires good: ["0", "4294967295"] bad: ["", "4294967296", "1.5", "soon"] }
table! { rseq_values RSeq good: ["1", "988789"] bad: ["0", "", "x"] }
table! { call_id_values CallId good: ["a", "f81d4fae@h", "a<b>\"c"] bad: ["", "a b", "a,b", "\u{e9}"] }
table! { supported_values Supported good: ["100rel", "x-y.z"] bad: ["", "a b", "a=b", "\"a\""] }
table! { subject_values Subject good: ["", "any (text)", "\u{1F4DE}"] bad: [] }

table! { event_values Event
    good: ["presence", "dialog;id=1", "presence.winfo ; x = y"]
    bad: ["", ";id=1", "a b", "a;;;"]
}

table! { subscription_state_values SubscriptionState
    good: ["active;expires=3600", "terminated;reason=noresource;retry-after=1", "pending"]
    bad: ["", "active expires", "active;\"x\""]
}

table! { content_type_values ContentType
    good: ["application/sdp", "multipart/mixed;boundary=\"a b\"", "text/html; charset=ISO-8859-4"]
    bad: ["", "text", "text/", "/html", "a b/c", "text/html charset"]
}

table! { accept_values Accept good: ["*/*;q=0.1", "application/*"] bad: ["", "*", "q=1"] }

table! { replaces_values Replaces
    good: ["a@b;to-tag=1;from-tag=2", "a;from-tag=2;early-only;to-tag=1;x=y"]
    bad: ["", "a", "a;to-tag=1", "a;from-tag=1", "a;to-tag=1;to-tag=2;from-tag=3", ";to-tag=1;from-tag=2", "a;to-tag;from-tag=1"]
}

table! { session_expires_values SessionExpires
    good: ["1800", "90;refresher=uac", "90;refresher=uas;x"]
    bad: ["", "x", "4294967296", "90;refresher=me", "90;refresher", "90 refresher"]
}

table! { retry_after_values RetryAfter
    good: ["18000;duration=3600", "120 (I'm in a (long) meeting)", "5 (a\\)b);x"]
    bad: ["", "soon", "949302838503028349304023988", "5 (open", "5 close)"]
}

table! { warning_values Warning
    good: ["307 isi.edu \"Session \\\"x\\\"\"", "399 [::1]:5060 \"\"", "076 a \"b\""]
    bad: ["", "30 a \"b\"", "3070 a \"b\"", "307 \"b\"", "307 a b", "307 a \"b", "307 a \"b\" c", "307"]
}

table! { date_values Date
    good: ["Sat, 13 Nov 2010 23:29:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Tue, 29 Feb 2000 12:00:59 GMT"]
    bad: [
        "", "Fri, 01 Jan 2010 16:00:00 EST", "Fri, 1 Jan 2010 16:00:00 GMT", "Xxx, 01 Jan 2010 16:00:00 GMT",
        "Fri, 29 Feb 2010 16:00:00 GMT", "Fri, 00 Jan 2010 16:00:00 GMT", "Fri, 01 Jan 2010 24:00:00 GMT",
        "Fri, 01 Jan 2010 16:60:00 GMT", "Fri, 01 Foo 2010 16:00:00 GMT", "Fri  01 Jan 2010 16:00:00 GMT",
    ]
}

table! { timestamp_values Timestamp good: ["54", "54.21 0.5", "1. .5"] bad: ["", ".", ".5", "1.2.3", "a", "1 b", "1 2 3"] }
table! { privacy_values Privacy good: ["id", "header;user;critical"] bad: ["", "a;;b", "a b", ";"] }

table! { authorization_values Authorization
    good: [
        "Digest username=\"bob\", realm=\"a, \\\"b\\\"\", nonce=\"n\", uri=\"sip:x\", response=\"r\"",
        "digest username*=UTF-8''J%C3%A4s, nc=00000001,, qop=auth", "Bearer abc.def==", "X y=z y=z",
    ]
    bad: [
        "", "Digest", "Digest username", "Digest username=\"bob", "Digest a=b c=d", "Digest realm=\"a\", realm=\"a\"",
        "Digest=x", "Digest ,", "Digest x=1", "Digest username=\"a\"b", "\"Digest\" a=b",
    ]
}

table! { www_authenticate_values WwwAuthenticate
    good: ["Digest realm=\"r\", nonce=\"n\", qop=\"auth,auth-int\", algorithm=SHA-256, stale=TRUE", "NTLM x"]
    bad: ["", "Digest", "Digest x=1", "Digest nonce=\"a\", Nonce=\"b\""]
}

table! { authentication_info_values AuthenticationInfo
    good: ["nextnonce=\"n\", qop=auth, rspauth=\"1\", cnonce=\"c\", nc=00000001", ""]
    bad: ["qop=auth, qop=auth", "x"]
}

#[test]
fn addresses_give_their_parts() {
    let from = From::decode(b"\"A \\\"x\\\"\" <sip:a@b;lr>;Tag=1;y=\"z\"").expect("good");
    assert_eq!(from.display_name().expect("there").as_ref(), b"A \"x\"");
    assert_eq!((from.uri_text, from.tag()), (&b"sip:a@b;lr"[..], Some(&b"1"[..])));
    assert_eq!(from.params.param_value(b"Y"), Some(ParamValue::Quoted(b"z")));
    let bare = To::decode(b"sip:a@b ;tag=1").expect("good");
    assert!(bare.params.has(b"tag") && bare.uri.as_sip().is_some_and(|uri| uri.params.is_empty()));
    assert_eq!(
        From::decode(b"A  B <sip:a>").expect("good").display,
        Some(ParamValue::Token(b"A  B"))
    );
}

#[test]
fn preferences_are_read_in_thousandths() {
    for (text, value) in [
        ("0", 0),
        ("1", 1000),
        ("0.5", 500),
        ("0.123", 123),
        ("1.000", 1000),
        ("0.", 0),
        (".7", 700),
    ] {
        let q = Q::parse(text.as_bytes()).expect(text);
        assert_eq!(q.thousandths(), value, "{text}");
        let mut out = Vec::new();
        q.encode(&mut out);
        assert_eq!(Q::parse(&out), Some(q), "{text}");
    }
    for text in ["", "2", "1.001", "0.1234", "0.x", "-0", "00.5", "."] {
        assert_eq!(Q::parse(text.as_bytes()), None, "{text}");
    }
    let contact = Contact::decode(b"<sip:a>; q = 0.33").expect("good");
    assert_eq!(contact.q(), Some(Q::of_thousandths(330)));
}

#[test]
fn vias_give_their_parts() {
    let via = Via::decode(
        b"SIP / 2.0 / udp  h.example : 5061 ;received=[::1];rport=7;branch=z;maddr=224.0.0.1;ttl=3",
    )
    .expect("good");
    assert_eq!(
        (via.transport, via.port, via.rport()),
        (Some(crate::Transport::Udp), Some(5061), Some(7))
    );
    assert_eq!(
        (via.received(), via.branch()),
        (Some("::1".parse().expect("address")), Some(&b"z"[..]))
    );
    assert_eq!(
        (via.maddr().and_then(|m| m.ip()), via.ttl()),
        (Some([224, 0, 0, 1].into()), Some(3))
    );
    let asked = Via::decode(b"SIP/2.0/XYZ h;rport").expect("good");
    assert_eq!(
        (asked.rport(), asked.params.get(b"rport"), asked.transport),
        (None, Some(None), None)
    );
}

#[test]
fn digests_give_their_parts() {
    let field =
        Authorization::decode(b"Digest username=\"a\\\"b\",nc=0000001F,qop=auth,uri=\"sip:x\",extra=1")
            .expect("good");
    let digest = field.digest().expect("digest");
    let user = digest.username.expect("there");
    assert_eq!(
        (user.text().as_ref(), user.inside()),
        (&b"a\"b"[..], &b"a\\\"b"[..])
    );
    assert_eq!(
        (digest.nonce_count(), digest.qop, digest.realm),
        (Some(31), Some(ParamValue::Token(b"auth")), None)
    );
    for nc in ["1", "0000000g", "000000001", "+0000001"] {
        let text = format!("Digest nc={nc}");
        let field = Authorization::decode(text.as_bytes()).expect("good");
        assert_eq!(field.digest().and_then(DigestResponse::nonce_count), None, "{nc}");
    }
    let field = WwwAuthenticate::decode(b"Digest qop=\"auth , auth-int\", stale=True").expect("good");
    let challenge = field.digest().expect("digest");
    assert!(challenge.offers(b"AUTH-INT") && !challenge.offers(b"int") && challenge.is_stale());
}

#[test]
fn dates_count_seconds() {
    for (text, unix) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940),
        ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ("Sat, 01 Jan 0000 00:00:00 GMT", -62_167_219_200),
    ] {
        assert_eq!(Date::decode(text.as_bytes()).expect(text).unix, unix);
        let mut out = Vec::new();
        Date { unix }.encode(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), text);
    }
}

#[test]
fn the_rest_give_their_parts() {
    let cseq = CSeq::decode(b"0009\r\n  INVITE").expect("good");
    assert_eq!((cseq.number, cseq.method), (9, Method::Invite));
    let replaces = Replaces::decode(b"a@b ;early-only;to-tag=1; from-tag=2").expect("good");
    assert_eq!(
        replaces,
        Replaces {
            call_id: b"a@b",
            to_tag: b"1",
            from_tag: b"2",
            early_only: true
        }
    );
    let session = SessionExpires::decode(b"90;refresher=UAC").expect("good");
    assert_eq!((session.seconds, session.refresher), (90, Some(Refresher::Uac)));
    let retry = RetryAfter::decode(b"5 (a (b) c) ;duration=6").expect("good");
    assert_eq!(
        (retry.seconds, retry.comment, retry.duration()),
        (5, Some(&b"a (b) c"[..]), Some(6))
    );
    let state = SubscriptionState::decode(b"Terminated;reason=giveup;retry-after=9").expect("good");
    assert_eq!(
        (state.is(b"terminated"), state.reason(), state.retry_after()),
        (true, Some(&b"giveup"[..]), Some(9))
    );
    let reason = Reason::decode(b"Q.850 ;cause=16;text=\"x\"").expect("good");
    assert_eq!(
        (reason.cause(), reason.text()),
        (Some(16), Some(ParamValue::Quoted(b"x")))
    );
    let disposition = ContentDisposition::decode(b"session;handling=Optional").expect("good");
    assert_eq!(disposition.handling(), Handling::Optional);
    let accept = Accept::decode(b"application/*;q=0.2").expect("good");
    assert!(
        accept.covers(b"Application", b"sdp")
            && !accept.covers(b"text", b"plain")
            && accept.q().thousandths() == 200
    );
}

#[test]
fn written_text_cannot_leave_its_quotes_or_its_line() {
    let mut inside = Vec::new();
    escape_quoted_into(b"a\"b\\c\r\nX: y", &mut inside);
    assert_eq!(inside, b"a\\\"b\\\\c  X: y");
    assert_eq!(ParamValue::Quoted(&inside).text().as_ref(), b"a\"b\\c  X: y");
    let mut subject = Vec::new();
    Subject(b"a\r\nX: y").encode(&mut subject);
    assert_eq!(subject, b"a  X: y");
}
