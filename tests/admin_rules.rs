//! The administration: who may ask, and what it tells.
#![cfg(target_os = "linux")]

use std::time::Duration;

use serde_json::Value;
use system_tests::http::{self, Answer};
use system_tests::server::{DOMAIN, Server, Setup, await_ready, ready_line, serve, strowger};
use system_tests::{Peer, Scratch, ports};

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

fn bearer(server: &Server) -> String {
    format!("Bearer {}", server.token())
}

fn get(server: &Server, path: &str) -> Answer {
    http::send(
        &server.admin(),
        "GET",
        path,
        &[("Authorization", &bearer(server))],
        "",
    )
}

#[test]
fn health_is_told_to_anyone_on_this_machine() {
    let server = Setup::new().start();
    let answer = http::send(&server.admin(), "GET", "/healthz", &[], "");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn the_api_and_the_metrics_want_the_token() {
    let server = Setup::new().start();
    let admin = server.admin();
    for path in [
        "/api/v1/status",
        "/api/v1/registrations",
        "/api/v1/calls",
        "/api/v1/users",
        "/metrics",
    ] {
        assert_eq!(http::send(&admin, "GET", path, &[], "").status, 401, "{path}");
        let wrong = format!("Bearer {}x", server.token());
        assert_eq!(
            http::send(&admin, "GET", path, &[("Authorization", &wrong)], "").status,
            401,
            "{path}"
        );
        assert_eq!(get(&server, path).status, 200, "{path}");
    }
}

#[test]
fn the_host_must_name_loopback() {
    let server = Setup::new().start();
    let (admin, token) = (server.admin(), bearer(&server));
    let port = admin.rsplit(':').next().unwrap_or_default();
    for (host, good) in [
        (format!("127.0.0.1:{port}"), true),
        (format!("localhost:{port}"), true),
        (format!("attacker.test:{port}"), false),
        ("attacker.test".to_owned(), false),
        (format!("127.0.0.1.attacker.test:{port}"), false),
    ] {
        let answer = http::send(
            &admin,
            "GET",
            "/api/v1/status",
            &[("Host", &host), ("Authorization", &token)],
            "",
        );
        assert_eq!(answer.status == 200, good, "Host: {host}: {answer:?}");
    }
}

#[test]
fn a_web_page_cannot_change_anything() {
    let server = Setup::new().start();
    let token = bearer(&server);
    let user = format!("{{\"address\":\"mallory@{DOMAIN}\",\"password\":\"mallorypw\"}}");
    let post = |headers: &[(&str, &str)]| {
        http::send(&server.admin(), "POST", "/api/v1/users", headers, &user).status
    };
    let plain = ("Content-Type", "text/plain");
    let json = ("Content-Type", "application/json");
    assert_eq!(post(&[plain, ("Origin", "http://attacker.test")]), 403);
    assert_eq!(
        post(&[
            json,
            ("Origin", "http://attacker.test"),
            ("Authorization", &token)
        ]),
        403
    );
    assert_eq!(post(&[json, ("Origin", "null"), ("Authorization", &token)]), 403);
    assert_eq!(
        post(&[json, ("Sec-Fetch-Site", "cross-site"), ("Authorization", &token)]),
        403
    );
    assert!(matches!(post(&[plain]), 401 | 403 | 415));
    assert!(!get(&server, "/api/v1/users").body.contains("mallory"));
}

#[test]
fn the_same_post_with_the_token_from_a_program_works() {
    let server = Setup::new().start();
    let token = bearer(&server);
    let user = format!("{{\"address\":\"carol@{DOMAIN}\",\"password\":\"carolpw\"}}");
    let headers = [
        ("Content-Type", "application/json"),
        ("Authorization", token.as_str()),
    ];
    let answer = http::send(&server.admin(), "POST", "/api/v1/users", &headers, &user);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(get(&server, "/api/v1/users").body.contains("carol"));
}

#[test]
fn off_loopback_the_administration_is_refused() {
    let scratch = Scratch::new();
    let uri = format!("udp:127.0.0.1:{}", ports::free());
    let admin = format!("0.0.0.0:{}", ports::free());
    let mut process = serve(
        &["--listen", &uri, "--admin", &admin, "--data-dir", "data"],
        scratch.path(),
    );
    let status = process
        .wait(Duration::from_secs(15))
        .unwrap_or_else(|| panic!("it runs:\n{}", process.output()));
    assert!(!status.success() && ready_line(&process).is_none());
    assert!(process.stderr().contains("loopback"), "{}", process.output());
}

#[test]
fn off_means_that_nothing_listens() {
    let scratch = Scratch::new();
    let uri = format!("udp:127.0.0.1:{}", ports::free());
    let process = serve(
        &["--listen", &uri, "--admin", "off", "--data-dir", "data"],
        scratch.path(),
    );
    let line = await_ready(&process);
    assert!(!line.contains("http://"), "{line}");
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", process.id())).unwrap_or_default();
    let listening = listening_inodes(&table);
    let own = std::fs::read_dir(format!("/proc/{}/fd", process.id()))
        .expect("its files")
        .flatten();
    let links = own.filter_map(|file| std::fs::read_link(file.path()).ok());
    let found: Vec<_> = links
        .filter(|link| {
            listening
                .iter()
                .any(|inode| link.to_string_lossy().contains(inode))
        })
        .collect();
    assert!(found.is_empty(), "it listens by TCP: {found:?}");
}

/// The sockets of all processes that listen, as `/proc` names them.
fn listening_inodes(table: &str) -> Vec<String> {
    let rows = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(3) == Some(&"0A"))
        .filter_map(|row| Some(format!("[{}]", row.get(9)?)))
        .collect()
}

#[test]
fn ctl_finds_the_server_by_its_data_folder() {
    let server = Setup::new().start();
    for what in ["status", "registrations", "calls"] {
        let ended = server.ctl(&[what]);
        assert!(ended.succeeded(), "{what}: {ended:?}");
        server.ctl_json(what);
    }
    let scratch = Scratch::new();
    let nobody = strowger(&["ctl", "status", "--data-dir", &scratch.path().to_string_lossy()]);
    assert!(!nobody.succeeded() && !nobody.stderr.is_empty(), "{nobody:?}");
}

#[test]
fn ctl_status_tells_the_listeners_and_counts() {
    let server = Setup::new().start();
    let _bob = Peer::udp(server.sip()).registered(&aor("bob"));
    let status = server.ctl_json("status");
    assert!(status.to_string().contains(&server.sip().to_string()), "{status}");
    assert_eq!(status["counts"]["registered"], Value::from(1), "{status}");
}

#[test]
fn registrations_and_calls_are_shown_live() {
    let server = Setup::new().start();
    let bob = Peer::udp(server.sip()).registered(&aor("bob"));
    let shown = server.ctl_json("registrations");
    assert!(shown.to_string().contains(&bob.uri("bob")), "{shown}");

    let alice = Peer::udp(server.sip());
    let invite = alice.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"));
    alice.send(&invite);
    let arrived = bob.expect_request("INVITE");
    bob.answer(&arrived, 200, "OK");
    let accepted = alice.expect_status(200);
    alice.send(&alice.within("ACK", &invite, &accepted));
    bob.expect_request("ACK");
    let shown = server.ctl_json("calls");
    assert_eq!(shown.as_array().map(Vec::len), Some(1), "{shown}");
    assert!(shown.to_string().contains(invite.header("Call-ID")), "{shown}");

    alice.send(&alice.within("BYE", &invite, &accepted));
    let bye = bob.expect_request("BYE");
    bob.answer(&bye, 200, "OK");
    alice.expect_status(200);
    let shown = server.ctl_json("calls");
    assert_eq!(shown.as_array().map(Vec::len), Some(0), "{shown}");
}

#[test]
fn metrics_are_prometheus_text_and_count() {
    let server = Setup::new().start();
    let _bob = Peer::udp(server.sip()).registered(&aor("bob"));
    let metrics = server.metrics();
    assert!(metrics.contains("# TYPE strowger_"), "{metrics}");
    for line in metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let value = line.rsplit(' ').next().unwrap_or_default();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn the_api_describes_itself() {
    let server = Setup::new().start();
    let answer = get(&server, "/api/v1/openapi.json");
    let described: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(described["openapi"].is_string(), "{described}");
    assert!(
        described["paths"]["/api/v1/registrations"].is_object(),
        "{described}"
    );
}

#[test]
fn ctl_drain_ends_the_server() {
    let server = Setup::new().start();
    let ended = server.ctl(&["drain"]);
    assert!(ended.succeeded(), "{ended:?}");
    let pid = server.process().id();
    let gone =
        || std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
    assert!(
        system_tests::wait::until_true(Duration::from_secs(8), gone),
        "{}",
        server.process().output()
    );
}
