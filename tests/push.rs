//! RFC 8599: the server asks a real web server to wake phones that sleep, and calls reach them then.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use system_tests::peer::sdp;
use system_tests::process;
use system_tests::push::{Service, TOKEN, aor, setup, sleeps, sleepy, wakes};
use system_tests::server::DOMAIN;
use system_tests::{Message, Peer, Scratch, Server, wait};

const PATIENCE: Duration = Duration::from_secs(10);

fn invite(caller: &Peer) -> Message {
    let bob = aor("bob");
    caller
        .request("INVITE", &bob, &aor("alice"), &bob)
        .with_body("application/sdp", &sdp(4000))
}

/// Waits until the log has a line with all these words.
#[track_caller]
fn await_log(server: &Server, words: &[&str]) {
    let has_all = |line: &str| words.iter().all(|word| line.contains(word));
    let logged = || server.process().output().lines().any(has_all);
    assert!(
        wait::until_true(PATIENCE, logged),
        "{}",
        server.process().output()
    );
}

/// That nothing secret of this is in the log or shown by `ctl`.
#[track_caller]
fn assert_discreet(server: &Server) {
    let output = server.process().output();
    let shown = server.ctl_json("registrations").to_string();
    for secret in ["3f9c", "device%2F", "device/"] {
        assert!(!output.contains(secret), "{secret}: {output}");
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

// RFC 8599 §5.6.2.
#[test]
fn a_call_wakes_a_phone_and_is_answered_by_it() {
    let service = Service::start(&["202"]);
    let server = setup(&format!("http://127.0.0.1:{}/wake", service.port()), "").start();
    sleeps(&server, "bob");
    let caller = Peer::udp(server.sip());
    let call = invite(&caller);
    caller.send(&call);
    assert_eq!(caller.next().status(), Some(100));
    let asked = &service.await_asked(1)[0];
    assert_eq!(
        (&asked["path"], &asked["header"]["authorization"]),
        (&"/wake".into(), &TOKEN.into())
    );
    let body: Value = serde_json::from_str(asked["body"].as_str().expect("a body")).expect("JSON");
    let expected = serde_json::json!({
        "pn-provider": "acme", "pn-param": "app", "pn-prid": "device/bob", "aor": format!("bob@{DOMAIN}"),
        "call-id": call.header("Call-ID"), "method": "INVITE", "priority": "high",
    });
    assert_eq!(body, expected);
    let (phone, request) = wakes(&server, "bob");
    phone.answer(&request, 180, "Ringing");
    caller.expect_status(180);
    phone.answer(&request, 200, "OK");
    let ok = caller.expect_status(200);
    caller.send(&caller.within("ACK", &call, &ok));
    phone.expect_request("ACK");
    assert_eq!(server.metric("strowger_pushes_total{result=\"sent\"}"), 1);
    assert_eq!(server.metric("strowger_push_waits_total{result=\"woken\"}"), 1);
    assert_discreet(&server);
}

// RFC 8599 §5.6.2: a push that fails, and one that is in vain.
#[test]
fn a_phone_that_cannot_be_woken_is_answered_for() {
    let gone = Service::start(&["410"]);
    let refused = setup(&format!("http://127.0.0.1:{}/wake", gone.port()), "").start();
    sleeps(&refused, "bob");
    let caller = Peer::udp(refused.sip());
    assert_eq!(caller.exchange(&invite(&caller)).status(), Some(480));
    await_log(&refused, &["device not woken", "fault=device"]);
    assert_eq!(refused.metric("strowger_pushes_total{result=\"failed\"}"), 1);
    assert_discreet(&refused);
    // Nobody listens there.
    let port = system_tests::ports::free();
    let down = setup(&format!("http://127.0.0.1:{port}/"), "").start();
    sleeps(&down, "bob");
    let caller = Peer::udp(down.sip());
    assert_eq!(caller.exchange(&invite(&caller)).status(), Some(480));
    await_log(&down, &["device not woken", "fault=network"]);
    let service = Service::start(&["200"]);
    let vain = setup(&format!("http://127.0.0.1:{}/", service.port()), "").start();
    sleeps(&vain, "bob");
    let caller = Peer::udp(vain.sip());
    assert_eq!(caller.exchange(&invite(&caller)).status(), Some(480));
    assert_eq!(vain.metric("strowger_push_waits_total{result=\"timed_out\"}"), 1);
}

/// A certificate for 127.0.0.1 and its key.
#[track_caller]
fn certificate(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let (certificate, key) = (scratch.join("certificate.pem"), scratch.join("key.pem"));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let made = process::run(
        Duration::from_secs(30),
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=push",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-out",
            &text(&certificate),
            "-keyout",
            &text(&key),
        ],
    );
    assert!(made.succeeded(), "apt-get install openssl: {made:?}");
    (certificate, key)
}

#[test]
fn a_service_is_asked_by_https_if_its_certificate_is_trusted() {
    let scratch = Scratch::new();
    let (certificate, key) = certificate(&scratch);
    let service = Service::start(&["200", &certificate.to_string_lossy(), &key.to_string_lossy()]);
    let url = format!("https://127.0.0.1:{}/wake", service.port());
    let trusting = setup(&url, "")
        .env("SSL_CERT_FILE", &certificate.to_string_lossy())
        .start();
    sleeps(&trusting, "bob");
    let caller = Peer::udp(trusting.sip());
    caller.send(&invite(&caller));
    assert_eq!(service.await_asked(1)[0]["header"]["authorization"], TOKEN);
    let (phone, request) = wakes(&trusting, "bob");
    phone.answer(&request, 486, "Busy Here");
    caller.expect_status(486);
    let doubting = setup(&url, "").start();
    sleeps(&doubting, "bob");
    let caller = Peer::udp(doubting.sip());
    assert_eq!(caller.exchange(&invite(&caller)).status(), Some(480));
    await_log(&doubting, &["device not woken", "certificate"]);
    assert_eq!(
        service.asked().len(),
        1,
        "whom it does not trust it tells nothing"
    );
    assert_discreet(&doubting);
}

// RFC 8599 §5.5: a phone is pushed before its registration ends, so that it registers again.
#[test]
fn a_registration_is_refreshed_by_a_push() {
    let service = Service::start(&["200"]);
    let url = format!("http://127.0.0.1:{}/wake", service.port());
    let brief = "[location]\nmin_expires = \"1s\"\n";
    let server = setup(&url, "refresh_before = \"5s\"\n").toml(brief).start();
    let phone = Peer::tcp(server.sip());
    let brief = phone.exchange(&sleepy(&phone, "bob").set("Expires", "6"));
    assert_eq!((brief.status(), brief.header("Min-Expires")), (Some(423), "7"));
    let ok = phone.exchange(&sleepy(&phone, "bob").set("Expires", "8"));
    assert_eq!(ok.status(), Some(200));
    drop(phone);
    let asked = wait::until(Duration::from_secs(40), || service.asked().pop());
    let body = asked.expect("a push")["body"]
        .as_str()
        .expect("a body")
        .to_owned();
    assert!(
        body.contains("\"method\":\"REGISTER\",\"priority\":\"normal\""),
        "{body}"
    );
}

// What an administrator asks for is told, and nothing is pushed.
#[test]
fn explain_says_that_a_phone_would_be_pushed() {
    let service = Service::start(&["200"]);
    let server = setup(&format!("http://127.0.0.1:{}/wake", service.port()), "").start();
    sleeps(&server, "bob");
    let caller = Peer::udp(server.sip());
    let file = server.scratch().write("invite.sip", invite(&caller).text());
    let data = server.data().to_string_lossy().into_owned();
    let told = system_tests::server::strowger(&["explain", "--data-dir", &data, &file.to_string_lossy()]);
    assert!(
        told.stdout.contains("waits for a device, which is pushed"),
        "{told:?}"
    );
    assert!(!told.stdout.contains("device%2Fbob"), "{told:?}");
    assert_eq!(service.asked().len(), 0);
}
