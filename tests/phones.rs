//! Phones made by others register and call each other: each hears the tone that the other sends, and each may end the
//! call. What the server says of them meanwhile is compared.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::Value;
use system_tests::baresip::Baresip;
use system_tests::linphone::Linphone;
use system_tests::pjsua::Pjsua;
use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::{Account, wait};

/// Where phones are.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const LOW: f64 = 440.0;
const HIGH: f64 = 880.0;

/// How long a call lasts here: enough for a tone to be recorded on both sides.
const CALL: Duration = Duration::from_millis(2500);

fn account<'a>(server: &Server, user: &'a str, password: Option<&'a str>, transport: &'a str) -> Account<'a> {
    let tone = if user == "alice" { LOW } else { HIGH };
    Account {
        user,
        domain: DOMAIN,
        password,
        server: server.sip(),
        local: LOCAL,
        transport,
        tone,
    }
}

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// True when this text stands anywhere in the value.
fn mentions(value: &Value, text: &str) -> bool {
    value.to_string().contains(text)
}

/// The entries of an answer that is a list, or has one list.
fn entries(value: &Value) -> usize {
    let list = value
        .as_array()
        .or_else(|| value.as_object()?.values().find_map(Value::as_array));
    list.unwrap_or_else(|| panic!("no list in {value}")).len()
}

fn assert_shows_registrations(server: &Server, users: &[&str]) {
    let shown = server.ctl_json("registrations");
    for user in users {
        assert!(
            mentions(&shown, &format!("{user}@{DOMAIN}")),
            "{user} is registered, but: {shown}"
        );
    }
    assert_eq!(entries(&shown), users.len(), "{shown}");
}

fn assert_shows_calls(server: &Server, count: usize) {
    let shown = || server.ctl_json("calls");
    let right = wait::until_true(Duration::from_secs(3), || entries(&shown()) == count);
    assert!(right, "{count} calls are up, but: {}", shown());
}

/// Two baresip call each other in both directions; each ends the call that it was called by.
fn two_baresip_call_each_other(server: &Server, passwords: [Option<&str>; 2], transports: [&str; 2]) {
    let mut alice = Baresip::registered(&account(server, "alice", passwords[0], transports[0]));
    let mut bob = Baresip::registered(&account(server, "bob", passwords[1], transports[1]));
    assert_shows_registrations(server, &["alice", "bob"]);

    alice.dial(&aor("bob"));
    alice.expect_event("CALL_ESTABLISHED");
    bob.expect_event("CALL_ESTABLISHED");
    assert_shows_calls(server, 1);
    std::thread::sleep(CALL);
    bob.hang_up();
    alice.expect_event("CALL_CLOSED");
    assert_shows_calls(server, 0);

    bob.dial(&aor("alice"));
    bob.expect_event("CALL_ESTABLISHED");
    alice.expect_event("CALL_ESTABLISHED");
    std::thread::sleep(CALL);
    alice.hang_up();
    bob.expect_event("CALL_CLOSED");

    assert!(alice.heard(HIGH), "alice has to hear bob's tone");
    assert!(bob.heard(LOW), "bob has to hear alice's tone");
}

#[test]
fn baresip_on_udp_and_baresip_on_tcp_call_each_other_without_passwords() {
    let server = Setup::new().start();
    two_baresip_call_each_other(&server, [None, None], ["udp", "tcp"]);
}

#[test]
fn baresip_on_tcp_and_baresip_on_udp_call_each_other_with_digest() {
    let server = Setup::with_digest()
        .user("alice", "alicepw")
        .user("bob", "bobpw")
        .start();
    two_baresip_call_each_other(&server, [Some("alicepw"), Some("bobpw")], ["tcp", "udp"]);
}

#[test]
fn linphone_and_pjsua_call_each_other_with_sha_256_and_md5_offered() {
    let server = Setup::with_digest()
        .algorithms(&["SHA-256", "MD5"])
        .user("alice", "alicepw")
        .user("bob", "bobpw")
        .start();
    let mut alice = Linphone::registered(&account(&server, "alice", Some("alicepw"), "udp"));
    let mut bob = Pjsua::registered(&account(&server, "bob", Some("bobpw"), "tcp"));
    assert_shows_registrations(&server, &["alice", "bob"]);

    alice.dial(&aor("bob"));
    alice.expect_call();
    bob.expect("call CONFIRMED");
    assert_shows_calls(&server, 1);
    std::thread::sleep(CALL);
    bob.hang_up();
    alice.expect_end();
    bob.expect("call DISCONN");
    assert_shows_calls(&server, 0);
    assert!(alice.heard(HIGH), "linphone has to hear pjsua's tone");
    assert!(bob.heard(LOW), "pjsua has to hear linphone's tone");
}

#[test]
fn pjsua_on_udp_calls_baresip_with_digest() {
    let server = Setup::with_digest()
        .user("alice", "alicepw")
        .user("bob", "bobpw")
        .start();
    let mut alice = Pjsua::registered(&account(&server, "alice", Some("alicepw"), "udp"));
    let mut bob = Baresip::registered(&account(&server, "bob", Some("bobpw"), "tcp"));

    alice.dial(&aor("bob"));
    alice.expect("call CONFIRMED");
    bob.expect_event("CALL_ESTABLISHED");
    std::thread::sleep(CALL);
    bob.hang_up();
    alice.expect("call DISCONN");
    assert!(alice.heard(HIGH), "pjsua has to hear baresip's tone");
    assert!(bob.heard(LOW), "baresip has to hear pjsua's tone");
}

/// Against RFC 3261 §22.2, baresip answers every new challenge at once with the password that was refused.
#[test]
fn baresip_with_a_wrong_password_is_stopped_before_it_is_banned() {
    let server = Setup::with_digest().user("bob", "bobpw").start();
    let bob = Baresip::started(&account(&server, "bob", Some("mistyped"), "udp"));
    let stopped = || bob.output().contains("403 Forbidden");
    assert!(
        wait::until_true(Duration::from_secs(10), stopped),
        "{}",
        bob.output()
    );
    std::thread::sleep(Duration::from_secs(4));
    let bans = server.ctl_json("bans");
    assert_eq!(bans.as_array().map(Vec::len), Some(0), "{bans}");
    drop(bob);
    Baresip::registered(&account(&server, "bob", Some("bobpw"), "udp"));
}

/// RFC 5626 §4.2.1: baresip registers over two flows, is one user agent for all that, and both sides end calls over its flow.
#[test]
fn baresip_with_two_flows_is_called_once() {
    let server = Setup::with_digest()
        .user("alice", "alicepw")
        .user("bob", "bobpw")
        .start();
    let mut alice = Pjsua::registered(&account(&server, "alice", Some("alicepw"), "tcp"));
    let other = format!(
        ";outbound2=\"sip:{};transport=tcp\";sipnat=outbound",
        server.sip()
    );
    let mut bob = Baresip::registered_as(&account(&server, "bob", Some("bobpw"), "udp"), &other);
    let registrations = || server.ctl_json("registrations");
    let in_time = wait::until_true(Duration::from_secs(5), || entries(&registrations()) == 3);
    assert!(in_time, "two flows of bob's, one of alice's: {}", registrations());

    alice.dial(&aor("bob"));
    alice.expect("call CONFIRMED");
    bob.expect_event("CALL_ESTABLISHED");
    std::thread::sleep(CALL);
    bob.hang_up();
    alice.expect("call DISCONN");

    bob.dial(&aor("alice"));
    bob.expect_event("CALL_ESTABLISHED");
    std::thread::sleep(CALL);
    alice.hang_up();
    bob.expect_event("CALL_CLOSED");
    assert!(alice.heard(HIGH), "alice has to hear bob's tone");
    assert!(bob.heard(LOW), "bob has to hear alice's tone");
}

#[test]
fn a_wrong_password_does_not_register() {
    let server = Setup::with_digest().user("alice", "alicepw").start();
    let peer = system_tests::Peer::udp(server.sip());
    let refused = peer.exchange_as(&peer.register(&aor("alice"), 60), "alice", "wrong");
    assert_eq!(refused.status(), Some(401));
    assert_shows_registrations(&server, &[]);
}
