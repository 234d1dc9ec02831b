//! `strowger explain`: what it tells is what the server does, by the server that runs and by its configuration, and nothing is
//! changed by it.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use system_tests::digest::Answer;
use system_tests::process::Ended;
use system_tests::server::{DOMAIN, Server, Setup, strowger};
use system_tests::{Message, Peer};

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// Writes a message beside the server's data, and has it explained with these options.
fn explain(server: &Server, message: &[u8], options: &[&str]) -> Ended {
    let file = server.scratch().path().join("message.sip");
    fs::write(&file, message).expect("writable");
    let (file, data) = (file.to_string_lossy(), server.data().to_string_lossy());
    strowger(&[&["explain", "--data-dir", &data], options, &[&file]].concat())
}

fn explain_json(server: &Server, message: &Message, from: SocketAddr, options: &[&str]) -> Value {
    let (from, text) = (from.to_string(), message.text());
    let options = [&["--json", "--source", &from], options].concat();
    let ended = explain(server, text.as_bytes(), &options);
    assert!(ended.succeeded(), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// The content of every file of a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("readable").flatten();
    entries
        .filter_map(|entry| {
            Some((
                entry.file_name().into_string().ok()?,
                fs::read(entry.path()).ok()?,
            ))
        })
        .collect()
}

#[test]
fn what_the_running_server_explains_is_what_it_does() {
    let server = Setup::with_digest().user("alice", "a").user("bob", "b").start();
    let bob = Peer::udp(server.sip()).registered_as(&aor("bob"), "b");
    let alice = Peer::udp(server.sip()).registered_as(&aor("alice"), "a");
    let invite = alice.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"));
    let before = files(server.data());
    let (registrations, metrics) = (server.ctl_json("registrations"), counted(&server));
    for _ in 0..3 {
        let told = explain_json(&server, &invite, alice.address(), &[]);
        assert_eq!(told["verdict"]["outcome"], "challenged", "{told:#}");
        assert_eq!(told["ground"], "live");
    }
    let register = alice.register(&aor("carol"), 60);
    let told = explain_json(&server, &register, alice.address(), &[]);
    assert_eq!(told["verdict"]["status"], 401, "{told:#}");
    assert_eq!(files(server.data()), before, "no file has changed");
    assert_eq!(counted(&server), metrics, "nothing was counted");
    assert_eq!(
        contacts(&server.ctl_json("registrations")),
        contacts(&registrations)
    );

    let challenge = alice.exchange(&invite);
    assert_eq!(challenge.status(), Some(407));
    let right = Answer::new("alice", "a").to(&invite, &challenge);
    let told = explain_json(&server, &right, alice.address(), &[]);
    assert_eq!(told["verdict"]["outcome"], "forwarded", "{told:#}");
    assert_eq!(told["verdict"]["role"], "call-stateful");
    assert!(!told["steps"].to_string().contains("response="));
    alice.send(&right);
    let forwarded = bob.expect_request("INVITE");
    let sent = told["sent"].as_array().expect("a list");
    let copy = sent
        .iter()
        .filter_map(|sent| Message::parse(sent["text"].as_str()?.as_bytes()))
        .find(|message| message.method() == Some("INVITE"))
        .expect("an INVITE is told");
    assert_eq!(copy.uri(), forwarded.uri());
    for name in [
        "Route",
        "Record-Route",
        "Max-Forwards",
        "From",
        "To",
        "CSeq",
        "Call-ID",
        "Content-Length",
    ] {
        assert_eq!(copy.get(name), forwarded.get(name), "{name}");
    }
    // The same again is a retransmission, to the copy as well.
    let told = explain_json(&server, &right, alice.address(), &[]);
    assert_eq!(told["verdict"]["outcome"], "absorbed", "{told:#}");
}

#[test]
fn an_explanation_that_ends_at_a_challenge_says_how_to_go_on() {
    let server = Setup::with_digest().user("alice", "a").user("bob", "b").start();
    let bob = Peer::udp(server.sip()).registered_as(&aor("bob"), "b");
    let alice = Peer::udp(server.sip());
    let invite = alice.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"));
    let config = server.config().to_string_lossy().into_owned();
    let by_file: &[&str] = &["--config", &config];
    for by in [&[], by_file] {
        let ended = explain(&server, invite.text().as_bytes(), by);
        assert!(ended.stdout.contains("--as USER"), "{}", ended.stdout);
        let ended = explain(
            &server,
            invite.text().as_bytes(),
            &[by, &["--as", "alice"]].concat(),
        );
        let to = format!("is forwarded to udp:{}", bob.address());
        assert!(
            ended
                .stdout
                .lines()
                .next()
                .is_some_and(|line| line.ends_with(&to)),
            "{ended:?}"
        );
        assert!(!ended.stdout.contains("--as USER"), "{}", ended.stdout);
        let ended = explain(
            &server,
            invite.text().as_bytes(),
            &[by, &["--as", "nobody"]].concat(),
        );
        assert!(
            !ended.succeeded() && ended.stderr.contains("no user `nobody`"),
            "{ended:?}"
        );
    }
}

fn contacts(registrations: &Value) -> Vec<String> {
    let items = registrations["items"].as_array().or(registrations.as_array());
    let contact = |item: &Value| item["contact"].to_string();
    items
        .map(|items| items.iter().map(contact).collect())
        .unwrap_or_default()
}

/// The counts of what the server did by SIP.
fn counted(server: &Server) -> Vec<String> {
    let counts = [
        "strowger_requests_total",
        "strowger_rejected_total",
        "strowger_challenges_total",
        "strowger_bans_total",
    ];
    let is_one = |line: &&str| counts.iter().any(|count| line.starts_with(count));
    server
        .metrics()
        .lines()
        .filter(is_one)
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_configuration_is_explained_beside_the_server_and_without_one() {
    let mut server = Setup::new().start();
    let bob = Peer::udp(server.sip()).registered(&aor("bob"));
    let caller = Peer::udp(server.sip());
    let message = caller.request("MESSAGE", &aor("bob"), &aor("alice"), &aor("bob"));
    let config = server.config().to_string_lossy().into_owned();
    let beside = explain_json(&server, &message, caller.address(), &["--config", &config]);
    assert_eq!(beside["ground"], "candidate");
    assert_eq!(beside["verdict"]["outcome"], "forwarded", "{beside:#}");
    assert!(
        beside["verdict"]["line"]
            .to_string()
            .contains(&bob.address().to_string())
    );
    assert_eq!(server.stop(), Some(0));
    let before = files(server.data());
    let options = ["--config", config.as_str(), "--at", "+2h"];
    let later = explain_json(&server, &message, caller.address(), &options);
    assert_eq!(
        later["verdict"]["status"], 404,
        "its registration is over then: {later:#}"
    );
    let without = explain_json(&server, &message, caller.address(), &["--config", &config]);
    assert_eq!(without["verdict"]["outcome"], "forwarded", "{without:#}");
    assert_eq!(files(server.data()), before, "no file has changed");
}

#[test]
fn whatever_the_file_holds_is_explained() {
    let server = Setup::new().start();
    let large = [
        &b"OPTIONS sip:a SIP/2.0\r\nX: "[..],
        &vec![b'x'; 1_000_000],
        b"\r\n\r\n",
    ]
    .concat();
    for (message, told) in [
        (&b""[..], "there is nothing"),
        (b"\r\n\r\n", "keep-alive"),
        (b"\x00\xff\xfe\x1b[2J", "is no Request-Line"),
        (b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl", "STUN Binding request"),
        (
            b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1",
            "Head Does Not End",
        ),
        (b"OPTIONS sip:a SIP/2.0\n\n", "end with LF alone"),
        (b"SIP/2.0 200 OK\r\n\r\n", "Missing Via"),
        (&large, "Message Too Large"),
    ] {
        let ended = explain(&server, message, &[]);
        assert!(ended.succeeded(), "{ended:?}");
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
        assert!(
            !ended.stdout.contains('\x1b'),
            "no colours and no escapes: {}",
            ended.stdout
        );
    }
}

#[test]
fn what_is_asked_in_a_wrong_way_ends_with_2_and_what_cannot_be_read_with_1() {
    let server = Setup::new().start();
    let options: [&[&str]; 4] = [
        &["--source", "nowhere"],
        &["--listener", "udp:192.0.2.1:1"],
        &["--at", "soon"],
        &["--no-such-option"],
    ];
    for options in options {
        let config = server.config().to_string_lossy().into_owned();
        let all = [options, &["--config", &config]].concat();
        let ended = explain(&server, b"OPTIONS sip:a SIP/2.0\r\n\r\n", &all);
        assert_eq!(ended.code, Some(2), "{options:?}: {ended:?}");
    }
    let data = server.data().to_string_lossy().into_owned();
    let ended = strowger(&["explain", "--data-dir", &data, "no-such-file"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
