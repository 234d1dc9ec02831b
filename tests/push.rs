//! RFC 8599: the server asks a real web server to wake phones that sleep, and calls reach them then.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use system_tests::peer::sdp;
use system_tests::process::{self, Process, Signal};
use system_tests::server::DOMAIN;
use system_tests::{Message, Peer, Scratch, Server, Setup, wait};

const PATIENCE: Duration = Duration::from_secs(10);
const TOKEN: &str = "Bearer 3f9c-secret";

/// A push service of the test's.
struct Service {
    process: Process,
    port: u16,
}

impl Service {
    fn start(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/push/service.py");
        let words = [&[script], arguments].concat();
        let process = Process::client(Duration::from_secs(120), "python3", &words, |_| {});
        let port = wait::until(PATIENCE, || {
            let output = process.stdout();
            output
                .lines()
                .find_map(|line| line.strip_prefix("at ")?.parse().ok())
        });
        let port = port.unwrap_or_else(|| panic!("no service: {}", process.output()));
        Self { process, port }
    }

    fn asked(&self) -> Vec<Value> {
        let output = self.process.stdout();
        let objects = output.lines().filter(|line| line.starts_with('{'));
        objects
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits until it has been asked so often; what for.
    #[track_caller]
    fn await_asked(&self, times: usize) -> Vec<Value> {
        let enough = || Some(self.asked()).filter(|asked| asked.len() >= times);
        wait::until(PATIENCE, enough).unwrap_or_else(|| panic!("was asked {:?}", self.asked()))
    }
}

/// A server that has phones woken by the service at this URL; beside it the file of its secret.
fn server(url: &str, more: &str) -> Setup {
    Setup::new()
        .user("alice", "a")
        .user("bob", "b")
        .toml(&format!(
            "[push]\nwait = \"3s\"\n{more}[[push.provider]]\nname = \"acme\"\nurl = \"{url}\"\n\
         authorization = {{ env = \"PUSH_TOKEN\" }}\n"
        ))
        .env("PUSH_TOKEN", TOKEN)
}

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// The REGISTER of a phone that sleeps when nobody wakes it.
fn sleepy(phone: &Peer, user: &str) -> Message {
    let contact = format!(
        "<{};pn-provider=acme;pn-param=app;pn-prid=device%2F{user}>;+sip.instance=\"<urn:x:{user}>\"",
        phone.uri(user)
    );
    phone.register(&aor(user), 3600).set("Contact", contact)
}

/// A phone registers over a connection of its own and falls asleep, which closes that.
#[track_caller]
fn sleeps(server: &Server, user: &str) {
    let phone = Peer::tcp(server.sip());
    let ok = phone.exchange(&sleepy(&phone, user));
    assert_eq!(ok.status(), Some(200), "{}", ok.text());
    assert!(
        ok.header("Feature-Caps").contains("+sip.pns=\"acme\""),
        "{}",
        ok.text()
    );
}

/// The phone wakes: it connects and registers anew. It may be sent a request before the answer to that.
#[track_caller]
fn wakes(server: &Server, user: &str) -> (Peer, Message) {
    let phone = Peer::tcp(server.sip());
    phone.send(&sleepy(&phone, user));
    let (first, second) = (phone.next(), phone.next());
    let requests: Vec<_> = [first, second]
        .into_iter()
        .filter(|m| m.method().is_some())
        .collect();
    let [request] = &requests[..] else {
        panic!("{} came", requests.len());
    };
    (phone, request.clone())
}

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
    let server = server(&format!("http://127.0.0.1:{}/wake", service.port), "").start();
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
    let refused = server(&format!("http://127.0.0.1:{}/wake", gone.port), "").start();
    sleeps(&refused, "bob");
    let caller = Peer::udp(refused.sip());
    assert_eq!(caller.exchange(&invite(&caller)).status(), Some(480));
    await_log(&refused, &["device not woken", "fault=device"]);
    assert_eq!(refused.metric("strowger_pushes_total{result=\"failed\"}"), 1);
    assert_discreet(&refused);
    // Nobody listens there.
    let port = system_tests::ports::free();
    let down = server(&format!("http://127.0.0.1:{port}/"), "").start();
    sleeps(&down, "bob");
    let caller = Peer::udp(down.sip());
    assert_eq!(caller.exchange(&invite(&caller)).status(), Some(480));
    await_log(&down, &["device not woken", "fault=network"]);
    let service = Service::start(&["200"]);
    let vain = server(&format!("http://127.0.0.1:{}/", service.port), "").start();
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
    let url = format!("https://127.0.0.1:{}/wake", service.port);
    let trusting = server(&url, "")
        .env("SSL_CERT_FILE", &certificate.to_string_lossy())
        .start();
    sleeps(&trusting, "bob");
    let caller = Peer::udp(trusting.sip());
    caller.send(&invite(&caller));
    assert_eq!(service.await_asked(1)[0]["header"]["authorization"], TOKEN);
    let (phone, request) = wakes(&trusting, "bob");
    phone.answer(&request, 486, "Busy Here");
    caller.expect_status(486);
    let doubting = server(&url, "").start();
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
    let url = format!("http://127.0.0.1:{}/wake", service.port);
    let brief = "[location]\nmin_expires = \"1s\"\n";
    let server = server(&url, "refresh_before = \"5s\"\n").toml(brief).start();
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

// Pushes are under way when the server is killed: what was acknowledged is there, and a call that is repeated wakes anew.
#[test]
fn nothing_is_lost_with_pushes_under_way() {
    const PHONES: usize = 20;
    let service = Service::start(&["200"]);
    let mut server = server(&format!("http://127.0.0.1:{}/wake", service.port), "").start();
    let users: Vec<_> = (0..PHONES).map(|n| format!("user{n}")).collect();
    users.iter().for_each(|user| sleeps(&server, user));
    sleeps(&server, "bob");
    let caller = Peer::udp(server.sip());
    let call = invite(&caller);
    caller.send(&call);
    for user in &users {
        caller.send(&caller.request("INVITE", &aor(user), &aor("alice"), &aor(user)));
    }
    service.await_asked(1);
    server.restart(Signal::Kill);
    let registrations = server.ctl_json("registrations").to_string();
    for user in users.iter().map(String::as_str).chain(["bob"]) {
        assert!(
            registrations.contains(&format!("{user}@{DOMAIN}")),
            "{user}: {registrations}"
        );
    }
    let before = service.asked().len();
    caller.send(&call);
    service.await_asked(before + 1);
    let (phone, request) = wakes(&server, "bob");
    assert_eq!(request.header("Call-ID"), call.header("Call-ID"));
    phone.answer(&request, 200, "OK");
    loop {
        let answer = caller.next();
        if answer.status() == Some(200) {
            assert_eq!(answer.header("Call-ID"), call.header("Call-ID"));
            break;
        }
        assert_eq!(answer.status(), Some(100), "{}", answer.text());
    }
}

// What an administrator asks for is told, and nothing is pushed.
#[test]
fn explain_says_that_a_phone_would_be_pushed() {
    let service = Service::start(&["200"]);
    let server = server(&format!("http://127.0.0.1:{}/wake", service.port), "").start();
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
