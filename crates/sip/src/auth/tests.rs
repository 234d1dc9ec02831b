//! Credentials against a protection space: what passes, what does not, and what the client is told.

use std::net::{IpAddr, Ipv4Addr};

use strowger_syntax::header::{Credentials, DigestResponse};
use strowger_syntax::{Index, Limits};

use super::*;
use crate::keys::MacKey;

const NOW: u64 = 1_764_000_000;
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const URI: &str = "sip:example.test";

struct Node {
    nonces: NonceTable,
    key: MacKey,
    algorithms: Vec<Algorithm>,
    qop: Qop,
}

impl Node {
    fn new() -> Self {
        let nonces = NonceTable::new(7, 16, 300);
        Self {
            nonces,
            key: MacKey::new([2; 16]),
            algorithms: Algorithm::ALL.to_vec(),
            qop: Qop::Auth,
        }
    }

    fn space(&self) -> ProtectionSpace<'_> {
        let Self {
            nonces,
            key,
            algorithms,
            qop,
        } = self;
        ProtectionSpace {
            realm: b"example.test",
            source: SOURCE,
            algorithms,
            qop: *qop,
            nonces,
            key,
        }
    }

    fn nonce(&self, at: u64) -> String {
        String::from_utf8(self.nonces.issue(&self.key, SOURCE, at).as_bytes().to_vec()).expect("ASCII")
    }

    fn check(&self, value: &str, body: &[u8], now_secs: u64) -> Result<Proof, Rejection> {
        let given = match Credentials::parse(value.as_bytes()) {
            Ok(Credentials::Digest(given)) => given,
            other => panic!("{other:?}"),
        };
        self.check_given(&given, body, now_secs)
    }

    fn check_given(
        &self,
        given: &DigestResponse<'_>,
        body: &[u8],
        now_secs: u64,
    ) -> Result<Proof, Rejection> {
        let facts = Facts {
            method: b"REGISTER",
            body,
            now_secs,
        };
        let space = self.space();
        let selected = Selected::of(*given, &space).ok_or(Rejection::Unasked)?;
        let user = given.username.map(|user| user.text()).unwrap_or_default();
        check_response(
            &selected,
            &facts,
            &space,
            &mut RequestHashes::default(),
            |algorithm| {
                (*user == *b"al\"ice").then(|| Ha1::compute(algorithm, &user, b"example.test", b"secret"))
            },
        )
    }
}

/// What a client sends; `qop` is a whole parameter list.
fn credentials(
    algorithm: Algorithm,
    nonce: &str,
    qop: &str,
    nc: &str,
    body: &[u8],
    password: &[u8],
) -> String {
    let ha1 = Ha1::compute(algorithm, b"al\"ice", b"example.test", password);
    let (nc, cnonce) = (nc.as_bytes(), b"0a4f113b".as_slice());
    let protection = match qop {
        "auth" => Protection::Auth { nc, cnonce },
        "auth-int" => Protection::AuthInt { nc, cnonce, body },
        _ => Protection::None,
    };
    let inputs = Inputs {
        method: b"REGISTER",
        uri: URI.as_bytes(),
        nonce: nonce.as_bytes(),
        protection,
    };
    let response = Response::compute(algorithm, &ha1, &inputs);
    let response = std::str::from_utf8(response.as_bytes())
        .expect("hexadecimal digits")
        .to_uppercase();
    let qop = match qop {
        "" => String::new(),
        qop => format!(
            ", qop={qop}, nc={}, cnonce=\"0a4f113b\"",
            String::from_utf8_lossy(nc)
        ),
    };
    format!(
        "Digest username=\"al\\\"ice\", realm=\"example.test\", nonce=\"{nonce}\", uri=\"{URI}\", \
         response=\"{response}\", algorithm={algorithm}{qop}"
    )
}

fn auth(node: &Node, nc: &str) -> String {
    credentials(Algorithm::Md5, &node.nonce(NOW), "auth", nc, b"", b"secret")
}

#[test]
fn the_right_response_passes_with_every_algorithm_and_protection() {
    let mut node = Node::new();
    node.qop = Qop::AuthAndAuthInt;
    for algorithm in Algorithm::ALL {
        for qop in ["auth", "auth-int", ""] {
            for body in [b"".as_slice(), b"v=0"] {
                let value = credentials(algorithm, &node.nonce(NOW), qop, "00000001", body, b"secret");
                let proof = node
                    .check(&value, body, NOW)
                    .unwrap_or_else(|e| panic!("{algorithm} {qop}: {e:?}"));
                assert_eq!(proof.claim(&node.nonces), Claim::Ok);
                assert_eq!(proof.claim(&node.nonces), Claim::Stale, "used twice");
            }
        }
    }
}

#[test]
fn auth_int_protects_the_body_and_only_when_offered() {
    let mut node = Node::new();
    let value = credentials(
        Algorithm::Md5,
        &node.nonce(NOW),
        "auth-int",
        "00000001",
        b"v=0",
        b"secret",
    );
    assert_eq!(
        node.check(&value, b"v=0", NOW),
        Err(Rejection::Malformed("qop was not offered"))
    );
    node.qop = Qop::AuthAndAuthInt;
    assert!(node.check(&value, b"v=0", NOW).is_ok());
    assert_eq!(node.check(&value, b"v=1", NOW), Err(Rejection::Wrong));
}

#[test]
fn without_an_algorithm_parameter_it_is_md5() {
    let node = Node::new();
    let value = auth(&node, "00000001").replace(", algorithm=MD5", "");
    assert!(node.check(&value, b"", NOW).is_ok());
}

#[test]
fn counts_go_up_within_one_nonce() {
    let node = Node::new();
    let nonce = node.nonce(NOW);
    for nc in ["00000001", "00000002", "0000000a"] {
        let value = credentials(Algorithm::Md5, &nonce, "auth", nc, b"", b"secret");
        let proof = node.check(&value, b"", NOW).expect("a right response");
        assert_eq!(proof.claim(&node.nonces), Claim::Ok, "{nc}");
        let again = node
            .check(&value, b"", NOW)
            .expect("a retransmission is still right");
        assert_eq!(again, proof);
        assert_eq!(again.claim(&node.nonces), Claim::Stale, "{nc}");
    }
}

#[test]
fn what_does_not_pass_and_why() {
    let node = Node::new();
    let good = auth(&node, "00000001");
    let other = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let wrong = credentials(
        Algorithm::Md5,
        &node.nonce(NOW),
        "auth",
        "00000001",
        b"",
        b"Secret",
    );
    let old = credentials(
        Algorithm::Md5,
        &node.nonce(NOW - 301),
        "auth",
        "00000001",
        b"",
        b"secret",
    );
    let foreign = credentials(
        Algorithm::Md5,
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "auth",
        "00000001",
        b"",
        b"secret",
    );
    let wrong_and_foreign = foreign.replace("response=\"", "response=\"0");
    let wrong_and_old = credentials(
        Algorithm::Md5,
        &node.nonce(NOW - 301),
        "auth",
        "00000001",
        b"",
        b"Secret",
    );
    for (value, rejection) in [
        (wrong, Rejection::Wrong),
        (wrong_and_old, Rejection::Wrong),
        (old, Rejection::Stale),
        (foreign, Rejection::ForeignNonce),
        (wrong_and_foreign, Rejection::ForeignNonce),
        (other("al\\\"ice", "mallory"), Rejection::UnknownUser),
        (
            other("uri=\"sip:example.test\"", "uri=\"sip:other.test\""),
            Rejection::Wrong,
        ),
        (other("nc=00000001", "nc=00000002"), Rejection::Wrong),
        (other("cnonce=\"0", "cnonce=\"1"), Rejection::Wrong),
        (other("MD5", "SHA-256"), Rejection::Wrong),
        (other("MD5", "MD5-sess"), Rejection::Unasked),
        (other("MD5", "AKAv1-MD5"), Rejection::Unasked),
        (
            other("realm=\"example.test\"", "realm=\"other.test\""),
            Rejection::Unasked,
        ),
        (other("realm=\"example.test\", ", ""), Rejection::Unasked),
        (
            other("nc=00000001", "nc=1"),
            Rejection::Malformed("nonce count malformed"),
        ),
        (
            other("nc=00000001, ", ""),
            Rejection::Malformed("nonce count missing"),
        ),
        (
            other(", cnonce=\"0a4f113b\"", ""),
            Rejection::Malformed("cnonce missing"),
        ),
        (
            other("qop=auth", "qop=auth-conf"),
            Rejection::Malformed("qop was not offered"),
        ),
        (
            other("uri=\"sip:example.test\"", "uri=\"\""),
            Rejection::Malformed("digest uri empty"),
        ),
        (
            other(", uri=\"sip:example.test\"", ""),
            Rejection::Malformed("digest uri missing"),
        ),
        (
            other("username=", "user="),
            Rejection::Malformed("username missing"),
        ),
        (
            other("username=", "username*=UTF-8''alice, username="),
            Rejection::Malformed("username given twice"),
        ),
        (
            other("qop=", "userhash=true, qop="),
            Rejection::Malformed("userhash was not offered"),
        ),
        (
            other("response=", "answer="),
            Rejection::Malformed("response missing"),
        ),
        (
            other("nonce=", "once=").replace("conce=", "cnonce="),
            Rejection::Malformed("nonce missing"),
        ),
    ] {
        assert_eq!(node.check(&value, b"", NOW), Err(rejection), "{value}");
    }
    let unasked =
        "Digest username=\"alice\", realm=\"example.test\", nonce=\"\", uri=\"sip:x\", response=\"\"";
    assert_eq!(
        node.check(unasked, b"", NOW),
        Err(Rejection::Unasked),
        "RFC 8760 §2.7"
    );
}

#[test]
fn an_algorithm_that_is_known_but_not_offered_is_challenged_again() {
    let mut node = Node::new();
    node.algorithms = vec![Algorithm::Sha256];
    assert_eq!(
        node.check(&auth(&node, "00000001"), b"", NOW),
        Err(Rejection::Unasked)
    );
}

#[test]
fn strangers_and_wrong_passwords_are_told_the_same() {
    assert_eq!(Rejection::UnknownUser.staleness(), Rejection::Wrong.staleness());
    assert_eq!(Rejection::Stale.staleness(), Some(Staleness::Stale));
    assert_eq!(Rejection::Malformed("x").staleness(), None);
}

fn selected(fields: &str) -> Option<Result<String, Rejection>> {
    let text = format!(
        "REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@example.test>;tag=1\r\n\
         To: <sip:a@example.test>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n{fields}Content-Length: 0\r\n\r\n"
    );
    let mut index = Index::default();
    let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
    let mut node = Node::new();
    node.algorithms = vec![Algorithm::Md5];
    let name = |selected: Selected<'_>| {
        String::from_utf8_lossy(selected.given.username.expect("a name").inside()).into_owned()
    };
    select(request, Challenger::Server, &node.space()).map(|found| found.map(name))
}

#[test]
fn the_credentials_of_our_realm_are_picked() {
    let line = |realm: &str, user: &str, algorithm: &str| {
        format!("Authorization: Digest realm=\"{realm}\", username=\"{user}\", algorithm={algorithm}\r\n")
    };
    assert_eq!(selected(""), None);
    assert_eq!(selected(&line("other.test", "a", "MD5")), None);
    assert_eq!(
        selected("Authorization: Basic QWxhZGRpbg==\r\n"),
        None,
        "RFC 3261 §22.1"
    );
    let both = line("other.test", "a", "MD5") + &line("example.test", "b", "MD5");
    assert_eq!(selected(&both), Some(Ok("b".to_owned())));
    let stronger = line("example.test", "a", "SHA-256") + &line("example.test", "b", "md5");
    assert_eq!(selected(&stronger), Some(Ok("b".to_owned())));
    assert_eq!(
        selected(&line("example.test", "a", "SHA-256")),
        Some(Ok("a".to_owned()))
    );
    assert!(matches!(
        selected("Authorization: Digest realm\r\n"),
        Some(Err(Rejection::Malformed(_)))
    ));
    let broken = "Authorization: Digest realm\r\n".to_owned() + &line("example.test", "a", "MD5");
    assert_eq!(selected(&broken), Some(Ok("a".to_owned())));
}
