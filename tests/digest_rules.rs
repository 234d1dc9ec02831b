//! Digest authentication as phones meet it: which challenges come, what is accepted, and what must give nothing away.
#![cfg(target_os = "linux")]

use std::time::Duration;

use system_tests::digest::{Answer, Challenge};
use system_tests::message::fresh;
use system_tests::process::Signal;
use system_tests::server::{DOMAIN, Server, Setup, strowger};
use system_tests::{Message, Peer};

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

fn start(algorithms: &[&str]) -> Server {
    Setup::with_digest()
        .algorithms(algorithms)
        .user("alice", "alicepw")
        .user("bob", "bobpw")
        .start()
}

fn challenges(server: &Server) -> Vec<Challenge> {
    let peer = Peer::udp(server.sip());
    let response = peer.exchange(&peer.register(&aor("alice"), 60));
    assert_eq!(response.status(), Some(401), "{}", response.text());
    Challenge::all(&response)
}

fn algorithms(challenges: &[Challenge]) -> Vec<&str> {
    challenges.iter().map(Challenge::algorithm).collect()
}

#[test]
fn by_default_there_is_one_challenge_of_md5_with_auth_only() {
    let server = Setup::with_digest().start();
    let challenges = challenges(&server);
    assert_eq!(algorithms(&challenges), ["MD5"]);
    assert_eq!(
        challenges[0].get("qop"),
        Some("auth"),
        "auth-int only when configured"
    );
    assert_eq!(challenges[0].get("realm"), Some(DOMAIN));
}

#[test]
fn there_is_one_challenge_for_each_algorithm_in_the_configured_order() {
    for wanted in [&["SHA-256", "MD5"][..], &["MD5", "SHA-512-256"], &["SHA-256"]] {
        assert_eq!(algorithms(&challenges(&start(wanted))), wanted);
    }
}

#[test]
fn every_configured_algorithm_is_accepted() {
    let server = start(&["SHA-512-256", "SHA-256", "MD5"]);
    for at in 0..3 {
        let peer = Peer::udp(server.sip());
        let register = peer.register(&aor("alice"), 60);
        let response = peer.exchange(&register);
        let challenge = &Challenge::all(&response)[at];
        let answered =
            peer.exchange(&Answer::new("alice", "alicepw").to_challenge(&register, &response, challenge));
        assert_eq!(
            answered.status(),
            Some(200),
            "{}: {}",
            challenge.algorithm(),
            answered.text()
        );
    }
}

#[test]
fn an_algorithm_that_is_not_configured_is_not_accepted() {
    let server = start(&["SHA-256"]);
    let peer = Peer::udp(server.sip());
    let register = peer.register(&aor("alice"), 60);
    let response = peer.exchange(&register);
    let mut challenge = Challenge::first(&response);
    for (name, value) in &mut challenge.parameters {
        if name == "algorithm" {
            "MD5".clone_into(value);
        }
    }
    let answered =
        peer.exchange(&Answer::new("alice", "alicepw").to_challenge(&register, &response, &challenge));
    assert_eq!(answered.status(), Some(401), "{}", answered.text());
}

#[test]
fn register_gets_401_and_invite_407() {
    let server = start(&["MD5"]);
    let peer = Peer::udp(server.sip());
    assert_eq!(
        peer.exchange(&peer.register(&aor("alice"), 60)).status(),
        Some(401)
    );
    let invite = peer.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"));
    assert_eq!(peer.exchange(&invite).status(), Some(407));
}

/// What an attacker sees of an answer, without what is different each time.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    status: Option<u16>,
    headers: Vec<String>,
    challenges: Vec<Challenge>,
}

fn shape(response: &Message) -> Shape {
    let headers = response.headers.iter().map(|(name, _)| name.clone()).collect();
    let mut challenges = Challenge::all(response);
    for challenge in &mut challenges {
        for parameter in challenge
            .parameters
            .iter_mut()
            .filter(|(name, _)| name == "nonce")
        {
            parameter.1 = parameter.1.len().to_string();
        }
    }
    Shape {
        status: response.status(),
        headers,
        challenges,
    }
}

#[test]
fn an_unknown_user_is_answered_like_a_known_one() {
    let server = start(&["SHA-256", "MD5"]);
    for method in ["REGISTER", "INVITE"] {
        let ask = |user: &str| {
            let peer = Peer::udp(server.sip());
            let uri = if method == "REGISTER" {
                format!("sip:{DOMAIN}")
            } else {
                aor("bob")
            };
            let to = if method == "REGISTER" {
                aor(user)
            } else {
                aor("bob")
            };
            let request = peer.request(method, &uri, &aor(user), &to);
            let first = peer.exchange(&request);
            let wrong = peer.exchange(&Answer::new(user, "wrong").to(&request, &first));
            (shape(&first), shape(&wrong))
        };
        assert_eq!(ask("alice"), ask("nobody"), "{method}");
    }
}

#[test]
fn calling_an_unknown_user_without_credentials_does_not_tell_that_it_is_unknown() {
    let server = start(&["MD5"]);
    let peer = Peer::udp(server.sip());
    let ask =
        |user: &str| shape(&peer.exchange(&peer.request("INVITE", &aor(user), &aor("alice"), &aor(user))));
    assert_eq!(ask("bob"), ask("nobody"));
}

#[test]
fn a_nonce_may_be_used_again_with_a_higher_count() {
    let server = start(&["MD5"]);
    let peer = Peer::udp(server.sip());
    let register = peer.register(&aor("alice"), 60);
    let challenge = peer.exchange(&register);
    let mut request = register;
    for count in 1..=5 {
        request = Answer::new("alice", "alicepw")
            .counted(count)
            .to(&request, &challenge);
        let response = peer.exchange(&request);
        assert_eq!(response.status(), Some(200), "nc={count}: {}", response.text());
    }
}

#[test]
fn a_replayed_count_is_challenged_as_stale() {
    let server = start(&["MD5"]);
    let peer = Peer::udp(server.sip());
    let register = peer.register(&aor("alice"), 60);
    let challenge = peer.exchange(&register);
    let first = Answer::new("alice", "alicepw").to(&register, &challenge);
    assert_eq!(peer.exchange(&first).status(), Some(200));
    let replayed = first
        .clone()
        .set("Via", peer.via())
        .set("Call-ID", fresh("replay"))
        .set("Contact", "<sip:attacker@127.0.0.1:9>");
    let response = peer.exchange(&replayed);
    assert_eq!(response.status(), Some(401), "{}", response.text());
    assert!(Challenge::first(&response).is_stale(), "{}", response.text());
}

#[test]
fn a_retransmission_is_no_replay() {
    let server = start(&["MD5"]);
    let peer = Peer::udp(server.sip());
    let register = peer.register(&aor("alice"), 60);
    let challenge = peer.exchange(&register);
    let answer = Answer::new("alice", "alicepw").to(&register, &challenge);
    peer.send(&answer);
    let first = peer.expect_status(200);
    peer.send(&answer);
    let second = peer
        .receive_repeats(Duration::from_secs(3))
        .expect("an answer to the retransmission");
    assert_eq!(second.status(), Some(200), "{}", second.text());
    assert_eq!(first.header("CSeq"), second.header("CSeq"));
}

#[test]
fn an_invented_nonce_is_not_accepted() {
    let server = start(&["MD5"]);
    let peer = Peer::udp(server.sip());
    let register = peer.register(&aor("alice"), 60);
    let response = peer.exchange(&register);
    let real = Challenge::first(&response);
    let nonce = real.get("nonce").unwrap_or_default().to_owned();
    let changed = |at: usize| {
        let mut bytes = nonce.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut request = register;
    for nonce in [
        "guess".to_owned(),
        String::new(),
        changed(0),
        changed(nonce.len() / 2),
        changed(nonce.len() - 1),
    ] {
        let mut challenge = real.clone();
        for (name, value) in &mut challenge.parameters {
            if name == "nonce" {
                value.clone_from(&nonce);
            }
        }
        request = Answer::new("alice", "alicepw").to_challenge(&request, &response, &challenge);
        let answered = peer.exchange(&request);
        assert_eq!(answered.status(), Some(401), "nonce {nonce}: {}", answered.text());
    }
}

#[test]
fn a_nonce_from_before_a_restart_is_stale_and_not_wrong() {
    let mut server = start(&["MD5"]);
    let peer = Peer::udp(server.sip());
    let register = peer.register(&aor("alice"), 60);
    let challenge = peer.exchange(&register);
    server.restart(Signal::Term);
    let response = peer.exchange(&Answer::new("alice", "alicepw").to(&register, &challenge));
    match response.status() {
        Some(200) => {}
        Some(401) => assert!(Challenge::first(&response).is_stale(), "{}", response.text()),
        _ => panic!("{}", response.text()),
    }
}

#[test]
fn ack_and_cancel_are_never_challenged() {
    let server = start(&["MD5"]);
    let peer = Peer::udp(server.sip());
    let invite = peer.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"));
    peer.send(&invite);
    let refused = peer.expect_status(407);
    peer.acknowledge(&invite, &refused);
    peer.expect_silence(Duration::from_millis(300));
    let cancel = Message::request("CANCEL", invite.uri())
        .with("Via", invite.header("Via"))
        .with("Max-Forwards", "70")
        .with("From", invite.header("From"))
        .with("To", invite.header("To"))
        .with("Call-ID", invite.header("Call-ID"))
        .with("CSeq", "1 CANCEL");
    peer.send(&cancel);
    if let Some(answer) = peer.receive(Duration::from_secs(1)) {
        assert!(!matches!(answer.status(), Some(401 | 407)), "{}", answer.text());
    }
}

#[test]
fn methods_outside_the_list_are_not_challenged_at_home() {
    let server = start(&["MD5"]);
    let bob = Peer::udp(server.sip()).registered_as(&aor("bob"), "bobpw");
    let alice = Peer::udp(server.sip()).registered_as(&aor("alice"), "alicepw");
    alice.send(&alice.request("MESSAGE", &aor("bob"), &aor("alice"), &aor("bob")));
    bob.expect_request("MESSAGE");
    // Whoever only says to be alice is asked, or could find out who exists.
    let stranger = Peer::udp(server.sip());
    let message = stranger.request("MESSAGE", &aor("bob"), &aor("alice"), &aor("bob"));
    assert_eq!(stranger.exchange(&message).status(), Some(407));
}

#[test]
fn a_user_added_or_changed_or_removed_beside_the_running_server_counts_at_once() {
    let server = start(&["MD5"]);
    let data = server.data().to_string_lossy().into_owned();
    let user = |words: &[&str]| {
        let mut all = vec!["user"];
        all.extend(words);
        all.extend(["--data-dir", &data]);
        let ended = strowger(&all);
        assert!(ended.succeeded(), "{words:?}: {ended:?}");
        ended.stdout
    };
    let status = |password: &str| {
        let peer = Peer::udp(server.sip());
        peer.exchange_as(&peer.register(&aor("carol"), 60), "carol", password)
            .status()
    };
    let carol = format!("carol@{DOMAIN}");
    assert_eq!(status("first"), Some(401));
    user(&["add", &carol, "--password", "first"]);
    assert_eq!(status("first"), Some(200));
    user(&["passwd", &carol, "--password", "second"]);
    assert_eq!((status("first"), status("second")), (Some(401), Some(200)));
    assert!(user(&["list"]).contains(&carol));
    user(&["remove", &carol]);
    // The third wrong one: it is not asked for another.
    assert_eq!(status("second"), Some(403));
}

#[test]
fn passwords_are_nowhere_in_the_data_folder_or_the_log() {
    let server = Setup::with_digest()
        .user("alice", "correct-horse-battery")
        .start();
    let peer = Peer::udp(server.sip()).registered_as(&aor("alice"), "correct-horse-battery");
    drop(peer);
    let files = std::fs::read_dir(server.data()).expect("the data folder");
    for file in files.flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let found = bytes.windows(13).any(|window| window == b"correct-horse");
        assert!(!found, "the password is in {}", file.path().display());
    }
    let log = server.process().output();
    assert!(
        !log.contains("correct-horse") && !log.contains("response="),
        "{log}"
    );
}
