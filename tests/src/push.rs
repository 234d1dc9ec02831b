//! Push notification services of the test's own (RFC 8599), and phones that sleep until they are asked to wake.

use std::time::Duration;

use serde_json::Value;

use crate::process::Process;
use crate::server::DOMAIN;
use crate::{Message, Peer, Server, Setup, wait};

const PATIENCE: Duration = Duration::from_secs(10);

/// What the server shows the service.
pub const TOKEN: &str = "Bearer 3f9c-secret";

/// A push service of the test's.
#[derive(Debug)]
pub struct Service {
    process: Process,
    port: u16,
}

impl Service {
    /// Starts it: the status that it answers with, and its certificate and key if it is asked by HTTPS.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
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

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Value> {
        let output = self.process.stdout();
        let objects = output.lines().filter(|line| line.starts_with('{'));
        objects
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits until it has been asked so often; what for.
    #[track_caller]
    pub fn await_asked(&self, times: usize) -> Vec<Value> {
        let enough = || Some(self.asked()).filter(|asked| asked.len() >= times);
        wait::until(PATIENCE, enough).unwrap_or_else(|| panic!("was asked {:?}", self.asked()))
    }
}

/// A server that has phones woken by the service at this URL.
pub fn setup(url: &str, more: &str) -> Setup {
    Setup::new()
        .user("alice", "a")
        .user("bob", "b")
        .toml(&format!(
            "[push]\nwait = \"3s\"\n{more}[[push.provider]]\nname = \"acme\"\nurl = \"{url}\"\n\
         authorization = {{ env = \"PUSH_TOKEN\" }}\n"
        ))
        .env("PUSH_TOKEN", TOKEN)
}

/// The address-of-record of a user.
pub fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// The REGISTER of a phone that sleeps when nobody wakes it.
pub fn sleepy(phone: &Peer, user: &str) -> Message {
    let contact = format!(
        "<{};pn-provider=acme;pn-param=app;pn-prid=device%2F{user}>;+sip.instance=\"<urn:x:{user}>\"",
        phone.uri(user)
    );
    phone.register(&aor(user), 3600).set("Contact", contact)
}

/// A phone registers over a connection of its own and falls asleep, which closes that.
#[track_caller]
pub fn sleeps(server: &Server, user: &str) {
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
pub fn wakes(server: &Server, user: &str) -> (Peer, Message) {
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
