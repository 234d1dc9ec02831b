//! RFC 5627 with phones made by others: each is called by its public and its temporary GRUU, those that know of GRUUs use them as
//! their contacts, and calls end from both sides.
#![cfg(target_os = "linux")]

use std::net::IpAddr;
use std::time::Duration;

use system_tests::baresip::Baresip;
use system_tests::baresip_python::BaresipPython;
use system_tests::linphone::Linphone;
use system_tests::pjsua::Pjsua;
use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::{Account, Peer, wait};

fn server() -> Server {
    Setup::with_digest()
        .user("alice", "alicepw")
        .user("bob", "bobpw")
        .start()
}

fn account<'a>(server: &Server, user: &'a str, password: &'a str, transport: &'a str) -> Account<'a> {
    Account {
        user,
        domain: DOMAIN,
        password: Some(password),
        server: server.sip(),
        local: IpAddr::from([127, 0, 0, 1]),
        transport,
        tone: 440.0,
    }
}

/// The public and the temporary GRUU of a user's only phone, as the registrar tells them to those who ask.
fn gruus(server: &Server, user: &str) -> (String, Option<String>) {
    let peer = Peer::udp(server.sip());
    let fetch = peer.register(&format!("sip:{user}@{DOMAIN}"), 60);
    let fetch = fetch
        .without("Contact")
        .without("Expires")
        .with("Supported", "gruu");
    let told = peer.exchange_as(&fetch, user, &format!("{user}pw"));
    let contact = told.header("Contact").to_owned();
    let value = |name: &str| {
        let (_, rest) = contact.split_once(&format!(";{name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    (
        value("pub-gruu").unwrap_or_else(|| panic!("{user} has an instance: {contact}")),
        value("temp-gruu"),
    )
}

fn assert_calls(server: &Server, count: usize) {
    let calls = || server.ctl_json("calls").to_string().matches("call_id").count();
    let right = wait::until_true(Duration::from_secs(4), || calls() == count);
    assert!(right, "{count} calls are up, but: {}", server.ctl_json("calls"));
}

// RFC 5627 §4.4, §6.1
#[test]
fn linphone_and_baresip_call_each_others_gruus() {
    let server = server();
    let mut alice = Linphone::registered(&account(&server, "alice", "alicepw", "udp"));
    let mut bob = Baresip::registered(&account(&server, "bob", "bobpw", "tcp"));
    let (public, temporary) = gruus(&server, "alice");
    let temporary = temporary.expect("linphone knows of GRUUs");

    bob.dial(&public);
    bob.expect_event("CALL_ESTABLISHED");
    alice.expect_call();
    assert_calls(&server, 1);
    assert!(
        bob.output().contains(&format!("Contact: <{public}>")),
        "linphone answers with its GRUU:\n{}",
        bob.output()
    );
    bob.hang_up();
    alice.expect_end();
    assert_calls(&server, 0);

    bob.dial(&temporary);
    bob.expect_event("CALL_ESTABLISHED");
    assert_calls(&server, 1);
    alice.hang_up();
    bob.expect_event("CALL_CLOSED");
    assert_calls(&server, 0);

    let (public, _) = gruus(&server, "bob");
    alice.dial(&public);
    bob.expect_event("CALL_ESTABLISHED");
    assert_calls(&server, 1);
    bob.hang_up();
    bob.expect_event("CALL_CLOSED");
    assert_calls(&server, 0);
}

// RFC 5627 §6.1
#[test]
fn pjsua_and_linphone_call_each_others_gruus() {
    let server = server();
    let mut alice = Linphone::registered(&account(&server, "alice", "alicepw", "tcp"));
    let mut bob = Pjsua::registered(&account(&server, "bob", "bobpw", "tcp"));
    let (public, _) = gruus(&server, "alice");
    // It writes what it is given into To; without brackets it would not understand the answers.
    bob.dial(&format!("<{public}>"));
    bob.expect("call CONFIRMED");
    assert_calls(&server, 1);
    bob.hang_up();
    alice.expect_end();
    assert_calls(&server, 0);

    let (public, _) = gruus(&server, "bob");
    alice.dial(&public);
    assert_calls(&server, 1);
    alice.expect_call();
    alice.hang_up();
    assert_calls(&server, 0);
}

// RFC 5627 §4.2, §6.1, RFC 5626 §4.2
#[test]
fn baresip_of_today_is_called_by_its_gruus_over_its_flow() {
    let server = server();
    let mut alice = BaresipPython::registered(
        &account(&server, "alice", "alicepw", "udp"),
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    );
    let mut bob = BaresipPython::registered(
        &account(&server, "bob", "bobpw", "tcp"),
        "00000000-0000-1000-8000-000a95a0e128",
    );
    let (public, temporary) = gruus(&server, "bob");
    for (times, uri) in (1..).zip([public, temporary.expect("it knows of GRUUs")]) {
        alice.dial(&uri);
        bob.expect("call ESTABLISHED", times);
        alice.expect("call ESTABLISHED", times);
        assert_calls(&server, 1);
        match times {
            1 => alice.hang_up(),
            _ => bob.hang_up(),
        }
        bob.expect("call CLOSED", times);
        alice.expect("call CLOSED", times);
        assert_calls(&server, 0);
    }
    let (_, temporary) = gruus(&server, "alice");
    bob.dial(&temporary.expect("it knows of GRUUs"));
    alice.expect("call ESTABLISHED", 3);
    alice.hang_up();
    bob.expect("call CLOSED", 3);
    assert_calls(&server, 0);
}
