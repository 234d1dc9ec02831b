//! Which requests are one server transaction (RFC 3261 §17.2.3).

use strowger_syntax::{Index, Limits};

use super::{KeyHasher, ServerKey};

const INVITE: &str = "INVITE sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/UDP host.test:5060;branch=z9hG4bKabc\r\n\
    From: <sip:alice@example.test>;tag=a\r\nTo: <sip:bob@example.test>\r\nCall-ID: c1\r\nCSeq: 7 INVITE\r\n\r\n";

fn key(text: &str) -> ServerKey {
    key_with([1; 16], text)
}

fn key_with(secret: [u8; 16], text: &str) -> ServerKey {
    let mut index = Index::default();
    match index.parse(text.as_bytes(), &Limits::DEFAULT) {
        Ok(request) => KeyHasher::new(secret).of(request),
        Err(bad) => panic!("{bad}: {text}"),
    }
}

fn as_method(text: &str, method: &str) -> String {
    text.replace("INVITE", method)
}

// §17.2.3 steps 1 to 3.
#[test]
fn with_the_magic_cookie_branch_sent_by_and_method_decide() {
    let same = INVITE
        .replace("example.test SIP", "elsewhere.test SIP")
        .replace("tag=a", "tag=other")
        .replace("c1", "c2")
        .replace("CSeq: 7", "CSeq: 8")
        .replace("SIP/2.0/UDP", "SIP / 2.0 / TCP")
        .replace("host.test", "HOST.test")
        .replace("branch=", "x=y;branch=");
    assert_eq!(key(INVITE), key(&same));
    for (from, to) in [
        ("z9hG4bKabc", "z9hG4bKabd"),
        ("host.test", "host2.test"),
        ("host.test:5060", "host.test:5061"),
        ("INVITE", "MESSAGE"),
    ] {
        assert_ne!(key(INVITE), key(&INVITE.replace(from, to)), "{to}");
    }
}

#[test]
fn an_ack_and_a_cancel_have_the_key_of_their_invite() {
    for method in ["ACK", "CANCEL"] {
        assert_eq!(key(INVITE), key(&as_method(INVITE, method)), "{method}");
    }
    let bye = as_method(INVITE, "BYE");
    assert_ne!(key(&bye), key(&as_method(INVITE, "CANCEL")));
}

#[test]
fn methods_without_a_name_of_their_own_differ_by_their_text() {
    let (foo, bar) = (as_method(INVITE, "FOO"), as_method(INVITE, "BAR"));
    assert_ne!(key(&foo), key(&bar));
    assert_eq!(key(&foo), key(&foo.replace("c1", "c2")));
}

// Peers of RFC 2543: Request-URI, From tag, Call-ID, CSeq number and top Via. The To tag is left out, which an ACK has
// and its INVITE has not.
#[test]
fn without_the_magic_cookie_the_fields_of_rfc_2543_decide() {
    for branch in ["", ";branch=1", ";branch=z9hG4b"] {
        let invite = INVITE.replace(";branch=z9hG4bKabc", branch);
        let ack = as_method(&invite, "ACK")
            .replace("To: <sip:bob@example.test>", "To: <sip:bob@example.test>;tag=b");
        assert_eq!(key(&invite), key(&ack), "{branch}");
        assert_eq!(key(&invite), key(&as_method(&invite, "CANCEL")));
        for (from, to) in [
            ("sip:bob@example.test SIP", "sip:bob@other.test SIP"),
            ("tag=a", "tag=b"),
            ("c1", "c2"),
            ("CSeq: 7", "CSeq: 8"),
            ("host.test", "host2.test"),
            ("INVITE", "MESSAGE"),
        ] {
            assert_ne!(key(&invite), key(&invite.replace(from, to)), "{branch} {to}");
        }
    }
}

#[test]
fn a_lower_via_is_no_part_of_the_key() {
    let two = |second: &str| INVITE.replace("z9hG4bKabc", &format!("1, SIP/2.0/UDP {second};branch=2"));
    assert_eq!(key(&two("a.test")), key(&two("b.test")));
}

#[test]
fn keys_depend_on_the_secret() {
    assert_ne!(key(INVITE), key_with([2; 16], INVITE));
}
