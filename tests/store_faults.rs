//! A store that can't write while the server runs: REGISTER gets 503 with Retry-After, calls go on by what is known, nothing
//! that was acknowledged is lost, and all is well by itself as soon as the cause is gone.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use system_tests::fault::{Immutable, fill, inject, lock};
use system_tests::message::uri_of;
use system_tests::process::{Ended, Signal};
use system_tests::server::{DOMAIN, Server, Setup, strowger};
use system_tests::{Peer, Scratch, http, namespace, wait};

const PATIENCE: Duration = Duration::from_secs(20);

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// A server, and alice who has registered.
struct Site {
    server: Server,
    alice: Peer,
}

impl Site {
    fn new(setup: Setup) -> Self {
        let server = setup.start();
        let alice = Peer::udp(server.sip()).registered(&aor("alice"));
        Self { server, alice }
    }

    /// REGISTER gets 503, by and by says nothing wrong, and alice can be called.
    fn assert_failing(&self, why: &str) {
        for user in ["bob", "alice"] {
            let phone = Peer::udp(self.server.sip());
            let response = phone.exchange(&phone.register(&aor(user), 300));
            assert_eq!(response.status(), Some(503), "{}", response.text());
            let after: u32 = response.header("Retry-After").parse().expect("seconds");
            assert!((1..=60).contains(&after));
        }
        self.assert_alice_is_reached();
        assert_eq!(self.registered(), [aor("alice")], "what was refused is not there");
        assert_eq!(self.failing(), "1");
        let health = http::send(&self.server.admin(), "GET", "/healthz", &[], "");
        assert_eq!(health.status, 200, "calls go on");
        assert!(health.body.contains(why), "{}", health.body);
        let status = self.server.ctl(&["status"]);
        assert!(status.stdout.contains(why), "{}", status.stdout);
        let log = self.server.process().stderr();
        let told: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(told.len(), 1, "told once, not for each REGISTER:\n{log}");
        let file = self.server.data().join("location.db");
        let file = file.to_string_lossy();
        for part in [&*file, why, "by itself"] {
            assert!(told[0].contains(part), "says nothing of {part}: {}", told[0]);
        }
    }

    fn assert_alice_is_reached(&self) {
        let caller = Peer::udp(self.server.sip());
        caller.send(&caller.request("MESSAGE", &aor("alice"), &aor("x"), &aor("alice")));
        let message = self.alice.expect_request("MESSAGE");
        self.alice.answer(&message, 200, "OK");
        caller.expect_status(200);
    }

    /// Registrations are taken again, and what was acknowledged is there after `kill -9`.
    fn assert_recovered(&mut self) {
        let bob = Peer::udp(self.server.sip());
        let taken = wait::until_true(PATIENCE, || {
            bob.exchange(&bob.register(&aor("bob"), 300)).status() == Some(200)
        });
        assert!(taken, "{}", self.server.process().output());
        assert_eq!(self.failing(), "0");
        // The answer may be quicker than the line.
        let log = || self.server.process().stderr();
        let told = wait::until_true(PATIENCE, || log().contains("can be written again"));
        assert!(told, "{}", log());
        self.server.restart(Signal::Kill);
        assert_eq!(self.registered(), [aor("alice"), aor("bob")]);
        self.assert_alice_is_reached();
    }

    fn registered(&self) -> Vec<String> {
        let listing = self.server.ctl_json("registrations");
        let items = listing.as_array().expect("a list");
        let mut aors: Vec<_> = items
            .iter()
            .map(|item| format!("sip:{}", item["aor"].as_str().expect("an address")))
            .collect();
        aors.sort();
        aors
    }

    fn failing(&self) -> String {
        let metrics = self.server.metrics();
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix("strowger_location_failing "));
        value.expect("a metric").to_owned()
    }

    fn user(&self, command: &[&str]) -> Ended {
        user(self.server.data(), command)
    }
}

fn user(data: &Path, command: &[&str]) -> Ended {
    let data = data.to_string_lossy();
    let mut words = vec!["user"];
    words.extend(command);
    words.extend(["--data-dir", &data]);
    strowger(&words)
}

/// `user add` is refused with its reason and what to do.
fn assert_refused(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "says nothing of {part}: {ended:?}");
    }
    assert!(ended.stderr.lines().count() <= 3, "one clear message: {ended:?}");
}

#[test]
fn a_full_disk_is_refused_and_recovered_from() {
    if !namespace::enter("a_full_disk_is_refused_and_recovered_from") {
        return;
    }
    let scratch = Scratch::new();
    namespace::mount_disk(scratch.path(), 2048);
    let data = scratch.join("data");
    let mut site = Site::new(Setup::new().data(&data).user("dora", "pw"));
    let fill = fill(&data);
    site.assert_failing("full");
    let carol = format!("carol@{DOMAIN}");
    let refused = site.user(&["add", &carol, "--password", "pw"]);
    assert_refused(&refused, &["subscribers.db", "full", "make room"]);
    fs::remove_file(fill).expect("removed");
    assert!(site.user(&["add", &carol, "--password", "pw"]).succeeded());
    site.assert_recovered();
    let users = site.user(&["list"]);
    assert!(
        users.stdout.contains("carol@") && users.stdout.contains("dora@"),
        "{users:?}"
    );
}

#[test]
fn a_database_that_is_locked_is_refused_and_recovered_from() {
    let mut site = Site::new(Setup::new());
    let location = lock(&site.server.data().join("location.db"), "BEGIN IMMEDIATE");
    site.assert_failing("locked");
    drop(location);
    site.assert_recovered();
    let users = lock(&site.server.data().join("subscribers.db"), "BEGIN IMMEDIATE");
    let dave = format!("dave@{DOMAIN}");
    let refused = site.user(&["add", &dave, "--password", "pw"]);
    assert_refused(&refused, &["subscribers.db", "locked", "end it"]);
    drop(users);
    assert!(site.user(&["add", &dave, "--password", "pw"]).succeeded());
}

#[test]
fn files_that_may_not_be_written_are_refused_and_recovered_from() {
    let mut site = Site::new(Setup::new());
    let data = site.server.data().to_owned();
    let files = ["location.db", "location.db-wal"].map(|file| data.join(file));
    let immutable = Immutable::make([files.as_slice(), &[data]].concat());
    site.assert_failing("may not be written");
    drop(immutable);
    site.assert_recovered();
}

#[test]
fn digests_are_checked_while_the_users_cannot_be_written() {
    let server = Setup::with_digest().user("alice", "alicepw").start();
    let data = server.data().to_owned();
    let files = ["subscribers.db", "subscribers.db-wal"].map(|file| data.join(file));
    let immutable = Immutable::make(files.to_vec());
    let bob = format!("bob@{DOMAIN}");
    let refused = user(&data, &["add", &bob, "--password", "bobpw"]);
    assert_refused(&refused, &["subscribers.db", "mend"]);
    let alice = Peer::udp(server.sip()).registered_as(&aor("alice"), "alicepw");
    drop(alice);
    drop(immutable);
    let added = user(&data, &["add", &bob, "--password", "bobpw"]);
    assert!(added.succeeded(), "{added:?}");
    drop(Peer::udp(server.sip()).registered_as(&aor("bob"), "bobpw"));
}

#[test]
fn errors_of_the_disk_are_refused_and_recovered_from() {
    let broken = "the disk reports an error";
    for (calls, error, told) in [
        ("fsync,fdatasync", "EIO", broken),
        ("pwrite64", "EIO", broken),
        ("fsync,fdatasync", "ENOSPC", "full"),
    ] {
        let mut site = Site::new(Setup::new());
        let mut tracer = inject(site.server.process(), calls, error);
        site.assert_failing(told);
        tracer.signal(Signal::Term);
        assert!(tracer.wait(PATIENCE).is_some(), "{}", tracer.output());
        site.assert_recovered();
    }
}

#[test]
fn a_removal_that_could_not_be_stored_is_none() {
    let mut site = Site::new(Setup::new());
    let tracer = inject(site.server.process(), "fsync,fdatasync", "EIO");
    let request = site.alice.register(&aor("alice"), 0);
    let response = site.alice.exchange(&request);
    assert_eq!(response.status(), Some(503), "{}", response.text());
    site.assert_alice_is_reached();
    drop(tracer);
    let response = site.alice.exchange(&site.alice.register(&aor("alice"), 0));
    assert_eq!(response.status(), Some(200), "{}", response.text());
    assert!(
        response.get("Contact").is_none(),
        "{}",
        uri_of(response.header("Contact"))
    );
    site.server.restart(Signal::Kill);
    assert!(site.registered().is_empty(), "what was removed is back");
}
