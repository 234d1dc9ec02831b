//! RFC 5626 on the wire: phones that are reached over their flows alone, by the registrar and through an edge proxy.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use system_tests::peer::sdp;
use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::{Message, Peer};

/// What leads nowhere: whoever is called is reached over its flow, or not at all.
const NOWHERE: &str = "<sip:bob@c7k2.invalid;transport=tcp>";

/// Within this time a call is where it has to go: nobody waits for somebody who is not there.
const AT_ONCE: Duration = Duration::from_millis(1000);

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// Registers this flow of bob's user agent.
#[track_caller]
fn register(phone: &Peer, reg_id: u32, route: Option<&Server>) {
    let contact = format!(
        "{NOWHERE};reg-id={reg_id};+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\""
    );
    let mut request = phone
        .register(&aor("bob"), 300)
        .set("Contact", contact)
        .with("Supported", "path, outbound");
    if let Some(edge) = route {
        request = request.with("Route", format!("<sip:{};transport=tcp;lr>", edge.sip()));
    }
    let ok = phone.exchange(&request);
    assert_eq!(ok.status(), Some(200), "{}", ok.text());
    assert_eq!(ok.list("Require"), ["outbound"], "RFC 5626 §6: {}", ok.text());
    assert!(ok.get("Flow-Timer").is_some(), "RFC 5626 §4.4: {}", ok.text());
}

fn invite(caller: &Peer) -> Message {
    caller
        .request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"))
        .with_body("application/sdp", &sdp(40_000))
}

/// A call to the phone, with requests of both sides within it.
#[track_caller]
fn call(caller: &Peer, phone: &Peer, callers_contact: Option<&str>) {
    let mut sent = invite(caller);
    if let Some(contact) = callers_contact {
        sent = sent.set("Contact", contact);
    }
    caller.send(&sent);
    let arrived = phone.expect_request("INVITE");
    let ok = Message::response(&arrived, 200, "OK", "callee").with("Contact", NOWHERE);
    phone.send(&ok);
    let accepted = caller.expect_status(200);
    caller.send(&caller.within("ACK", &sent, &accepted));
    phone.expect_request("ACK");
    caller.send(&caller.within("INFO", &sent, &accepted));
    phone.answer(&phone.expect_request("INFO"), 200, "OK");
    caller.expect_status(200);
    phone.send(&phone.within_as_callee("BYE", &arrived, &ok));
    caller.answer(&caller.expect_request("BYE"), 200, "OK");
    phone.expect_status(200);
}

#[test]
fn a_phone_that_has_connected_anew_is_called_over_its_new_connection() {
    let server = Setup::new().start();
    let caller = Peer::udp(server.sip());
    let first = Peer::tcp(server.sip());
    register(&first, 1, None);
    call(&caller, &first, None);
    drop(first);
    let second = Peer::tcp(server.sip());
    register(&second, 1, None);
    call(&caller, &second, Some("<sip:alice@10.0.0.5:5060>"));
    let listed = server.ctl_json("registrations").to_string();
    assert_eq!(listed.matches("c7k2.invalid").count(), 1, "{listed}");
}

#[test]
fn a_call_goes_on_to_the_next_flow_when_the_first_is_gone() {
    let server = Setup::new().start();
    let caller = Peer::udp(server.sip());
    let older = Peer::tcp(server.sip());
    register(&older, 1, None);
    std::thread::sleep(Duration::from_millis(1100));
    let newer = Peer::tcp(server.sip());
    register(&newer, 2, None);
    call(&caller, &newer, None);
    older.expect_silence(Duration::from_millis(200));
    drop(newer);
    let begun = Instant::now();
    call(&caller, &older, None);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// An edge proxy that forwards all that is not for its own domain to a registrar.
fn edge_and_registrar() -> (Server, Server) {
    let registrar = Setup::new().top("trusted = [\"127.0.0.0/8\"]").start();
    let route = format!(
        "[[route]]\nname = \"registrar\"\nto = [\"sip:{}\"]\n",
        registrar.sip()
    );
    let edge = Setup::new()
        .domains(&["edge.test"])
        .top("trusted = [\"127.0.0.0/8\"]")
        .toml(&route)
        .start();
    (edge, registrar)
}

#[test]
fn a_phone_is_called_through_its_edge_proxy() {
    let (edge, registrar) = edge_and_registrar();
    let (caller, phone) = (Peer::udp(registrar.sip()), Peer::tcp(edge.sip()));
    register(&phone, 1, Some(&edge));
    call(&caller, &phone, None);
    // RFC 5626 §5.3.1, §7: the edge proxy says that the flow is gone, the registrar's proxy that nobody is there.
    drop(phone);
    let begun = Instant::now();
    let refused = caller.exchange(&invite(&caller));
    assert_eq!(refused.status(), Some(480), "{}", refused.text());
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// What a phone has said before it goes is its answer.
#[test]
fn a_phone_that_declines_and_goes_has_declined() {
    let server = Setup::new().start();
    let (caller, phone) = (Peer::udp(server.sip()), Peer::tcp(server.sip()));
    register(&phone, 1, None);
    caller.send(&invite(&caller));
    let arrived = phone.expect_request("INVITE");
    phone.answer(&arrived, 603, "Decline");
    phone.end();
    caller.expect_status(603);
    phone.expect_request("ACK");
}

/// RFC 3261 §17.1.4: what was written to a phone whose connection then ends is as good as not sent.
#[test]
fn a_phone_that_goes_while_it_is_called_is_gone_at_once() {
    let (edge, registrar) = edge_and_registrar();
    let (caller, phone) = (Peer::udp(registrar.sip()), Peer::tcp(edge.sip()));
    register(&phone, 1, Some(&edge));
    caller.send(&invite(&caller));
    phone.expect_request("INVITE");
    let begun = Instant::now();
    drop(phone);
    caller.expect_status(480);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// RFC 5626 §5.3.1, §7: its edge proxy answers 430 at once, and the next flow of the same instance is tried.
#[test]
fn a_phone_with_two_edge_proxies_is_called_through_the_one_that_is_left() {
    let (first, registrar) = edge_and_registrar();
    let second = Setup::new()
        .domains(&["edge.test"])
        .top("trusted = [\"127.0.0.0/8\"]")
        .toml(&format!(
            "[[route]]\nname = \"registrar\"\nto = [\"sip:{}\"]\n",
            registrar.sip()
        ))
        .start();
    let caller = Peer::udp(registrar.sip());
    let (one, other) = (Peer::tcp(first.sip()), Peer::tcp(second.sip()));
    register(&one, 1, Some(&first));
    std::thread::sleep(Duration::from_millis(1100));
    register(&other, 2, Some(&second));
    call(&caller, &other, None);
    drop(other);
    let begun = Instant::now();
    call(&caller, &one, None);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let listed = registrar.ctl_json("registrations").to_string();
    assert_eq!(
        listed.matches("c7k2.invalid").count(),
        1,
        "RFC 5626 §9.3: {listed}"
    );
}
