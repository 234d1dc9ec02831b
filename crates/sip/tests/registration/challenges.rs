//! The client's answers to challenges, checked by the server's side.

use std::net::{IpAddr, Ipv4Addr};

use strowger_sip::MacKey;
use strowger_sip::auth::{
    Algorithm, ChallengeLines, Challenger, Claim, Facts, Ha1, NonceTable, ProtectionSpace, Qop,
    RequestHashes, Staleness, check_response, select,
};
use strowger_syntax::{Index, Limits};

use crate::registrar::{Scene, settings};

const NOW_SECS: u64 = 1_764_000_000;

struct Server {
    nonces: NonceTable,
    key: MacKey,
    algorithms: Vec<Algorithm>,
}

impl Server {
    fn new(algorithms: &[Algorithm]) -> Self {
        Self {
            nonces: NonceTable::new(7, 16, 300),
            key: MacKey::new([2; 16]),
            algorithms: algorithms.to_vec(),
        }
    }

    fn space(&self) -> ProtectionSpace<'_> {
        ProtectionSpace {
            realm: b"pro\"vider",
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            algorithms: &self.algorithms,
            qop: Qop::Auth,
            nonces: &self.nonces,
            key: &self.key,
        }
    }

    fn challenge(&self, challenger: Challenger, staleness: Staleness) -> Vec<String> {
        let mut lines = ChallengeLines::default();
        let text = lines.write(&self.space(), challenger, staleness, NOW_SECS);
        let text = std::str::from_utf8(text).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    /// The algorithm of credentials that are right and were not used before.
    fn accept(&self, request: &str, challenger: Challenger) -> Option<Algorithm> {
        let mut index = Index::default();
        let request = index
            .parse(request.as_bytes(), &Limits::DEFAULT)
            .expect("well-formed");
        let space = self.space();
        let selected = select(request, challenger, &space)?.expect("readable");
        let facts = Facts {
            method: b"REGISTER",
            body: b"",
            now_secs: NOW_SECS,
        };
        let mut used = None;
        let proof = check_response(
            &selected,
            &facts,
            &space,
            &mut RequestHashes::default(),
            |algorithm| {
                used = Some(algorithm);
                Some(Ha1::compute(algorithm, b"12345", b"pro\"vider", b"secret"))
            },
        );
        let proof = proof.ok()?;
        (proof.claim(&self.nonces) == Claim::Ok).then_some(used?)
    }
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// RFC 3261 §22.2, RFC 8760 §2.4: of several challenges the strongest is answered, in whatever order they come.
#[test]
fn the_strongest_challenge_is_answered_as_its_server_wants_it() {
    let [strongest, middle, weakest] = Algorithm::ALL;
    for (offered, expected) in [
        (vec![weakest], weakest),
        (vec![middle], middle),
        (vec![strongest], strongest),
        (vec![weakest, middle], middle),
        (vec![middle, weakest], middle),
        (vec![weakest, strongest, middle], strongest),
    ] {
        let server = Server::new(&offered);
        let mut scene = Scene::of(settings());
        scene.go_to(0);
        let lines = server.challenge(Challenger::Server, Staleness::Fresh);
        scene.answer(401, &refs(&lines));
        let answer = &scene.sent.last().expect("an answer").text;
        assert_eq!(
            server.accept(answer, Challenger::Server),
            Some(expected),
            "{answer}"
        );
    }
}

/// RFC 3261 §22.3: a registrar and a proxy before it each get their own credentials.
#[test]
fn a_proxy_and_the_registrar_behind_it_are_both_answered() {
    let (proxy, registrar) = (Server::new(&[Algorithm::Md5]), Server::new(&[Algorithm::Sha256]));
    let mut scene = Scene::of(settings());
    scene.go_to(0);
    scene.answer(407, &refs(&proxy.challenge(Challenger::Proxy, Staleness::Fresh)));
    scene.answer(
        401,
        &refs(&registrar.challenge(Challenger::Server, Staleness::Fresh)),
    );
    let text = &scene.sent.last().expect("an answer").text;
    assert_eq!(
        registrar.accept(text, Challenger::Server),
        Some(Algorithm::Sha256)
    );
    assert_eq!(
        proxy.accept(text, Challenger::Proxy),
        Some(Algorithm::Md5),
        "a second use of its nonce"
    );
}

/// RFC 7616 §3.4: the same nonce is used for the next REGISTER, with a count that was not used before; a stale one is replaced.
#[test]
fn a_nonce_is_used_again_until_it_is_stale() {
    let server = Server::new(&[Algorithm::Sha256]);
    let mut scene = Scene::of(settings());
    scene.go_to(0);
    scene.answer(
        401,
        &refs(&server.challenge(Challenger::Server, Staleness::Fresh)),
    );
    for _ in 0..3 {
        let text = &scene.sent.last().expect("an answer").text;
        assert_eq!(server.accept(text, Challenger::Server), Some(Algorithm::Sha256));
        scene.answer(200, &["Contact: <sip:12345@192.0.2.1:5060>;expires=3600"]);
        scene.go_to(scene.registration.deadline().expect("a refresh"));
    }
    scene.answer(
        401,
        &refs(&server.challenge(Challenger::Server, Staleness::Stale)),
    );
    let text = &scene.sent.last().expect("an answer").text;
    assert_eq!(server.accept(text, Challenger::Server), Some(Algorithm::Sha256));
    assert!(text.contains("nc=00000001"), "{text}");
}

/// RFC 2069 servers offer no qop, and are answered without one.
#[test]
fn a_challenge_without_qop_and_algorithm_is_answered_without_them() {
    let mut scene = Scene::of(settings());
    scene.go_to(0);
    scene.answer(
        401,
        &["WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", opaque=\"o\\\"p\""],
    );
    let text = &scene.sent.last().expect("an answer").text;
    let line = text
        .lines()
        .find(|line| line.starts_with("Authorization:"))
        .expect("credentials");
    assert!(
        line.contains("opaque=\"o\\\"p\"") && !line.contains("qop") && !line.contains("algorithm"),
        "{line}"
    );
    assert!(!line.contains("cnonce") && !line.contains("nc="), "{line}");
}

/// No password is shown by what may come into a log.
#[test]
fn the_password_is_not_shown() {
    let scene = Scene::of(settings());
    assert!(!format!("{:?}", scene.registration).contains("secret"));
}
