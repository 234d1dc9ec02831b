//! The registration and session flows of RFC 3665, message by message: this test plays the phones, the servers are
//! real. Each flow is a list of its messages in the RFC's order; the test walks along it and cannot leave one out.
//!
//! What differs from the RFC's pages: addresses are loopback's, and transport is UDP where the RFC has TLS or TCP.
//! Between two proxies the caller's Route names both, because names like `biloxi.example.com` lead nowhere here. What
//! passes between the proxies is not seen but inferred from what arrives at the far end. The flow of RFC 3665 §3.5 is
//! left out: it shows an application layer gateway, which is no role of this server.
#![cfg(target_os = "linux")]

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use system_tests::digest::{Answer, Challenge};
use system_tests::message::{fresh, uri_of};
use system_tests::peer::sdp;
use system_tests::server::{Server, Setup};
use system_tests::{Message, Peer, wait};

const ATLANTA: &str = "atlanta.example.com";
const BILOXI: &str = "biloxi.example.com";
const CHICAGO: &str = "chicago.example.com";
const ALICE: &str = "sip:alice@atlanta.example.com";
const BOB: &str = "sip:bob@biloxi.example.com";

/// Each flow's section and its messages in order.
const FLOWS: &[(&str, &str)] = &[
    ("2.1", "REGISTER 401 REGISTER 200"),
    ("2.2", "REGISTER 200"),
    ("2.3", "REGISTER 200"),
    ("2.4", "REGISTER 200"),
    ("2.5", "REGISTER 401 REGISTER 401"),
    (
        "3.2",
        "INVITE 407 ACK INVITE INVITE 100 INVITE 100 180 180 180 200 200 200 ACK ACK ACK BYE BYE BYE 200 200 200",
    ),
    (
        "3.3",
        "INVITE 407 ACK INVITE 100 INVITE 407 ACK 407 ACK INVITE 100 INVITE 100 INVITE 200 200 200 ACK ACK ACK",
    ),
    (
        "3.4",
        "INVITE INVITE 407 ACK INVITE INVITE 100 180 180 200 200 ACK ACK BYE BYE 200 200",
    ),
    (
        "3.6",
        "INVITE 302 ACK INVITE INVITE 100 180 180 200 200 ACK ACK BYE BYE 200 200",
    ),
    (
        "3.7",
        "INVITE INVITE 100 180 180 200 200 ACK INVITE 200 ACK BYE 200",
    ),
    (
        "3.8",
        "INVITE INVITE 100 INVITE 100 180 180 180 CANCEL 200 CANCEL 200 CANCEL 200 487 ACK 487 ACK 487 ACK",
    ),
    ("3.9", "INVITE INVITE 100 INVITE 100 486 ACK 486 ACK 486 ACK"),
    ("3.10", "INVITE INVITE 100 INVITE 100 480 ACK 480 ACK"),
    (
        "3.11",
        "INVITE INVITE 100 INVITE 100 180 180 180 480 ACK 480 ACK 480 ACK",
    ),
];

/// A flow that is being played.
struct Flow {
    section: &'static str,
    messages: Vec<&'static str>,
    at: Cell<usize>,
}

impl Flow {
    fn of(section: &str) -> Self {
        let (section, messages) = FLOWS
            .iter()
            .find(|(known, _)| *known == section)
            .expect("a flow of the table");
        Self {
            section,
            messages: messages.split(' ').collect(),
            at: Cell::new(0),
        }
    }

    /// The next message of the flow is this one, and it was sent or seen.
    fn step(&self, message: &str) {
        let at = self.at.get();
        let expected = self.messages.get(at).copied();
        assert_eq!(
            Some(message),
            expected,
            "F{} of RFC 3665 §{}",
            at + 1,
            self.section
        );
        self.at.set(at + 1);
    }

    /// The next messages pass between the proxies.
    fn between(&self, messages: &[&str]) {
        messages.iter().for_each(|message| self.step(message));
    }

    fn end(&self) {
        assert_eq!(
            self.at.get(),
            self.messages.len(),
            "RFC 3665 §{} has more messages",
            self.section
        );
    }
}

/// Alice, her proxy, Bob's proxy and Bob.
struct Path2 {
    atlanta: Server,
    biloxi: Server,
    alice: Peer,
    bob: Peer,
}

impl Path2 {
    fn new(biloxi: Setup) -> Self {
        let atlanta = Setup::new()
            .domains(&[ATLANTA])
            .user("alice@atlanta.example.com", "alicepw");
        let atlanta = atlanta.challenge(&["INVITE"]).start();
        let biloxi = biloxi.domains(&[BILOXI]).start();
        let alice = Peer::udp(atlanta.sip());
        let bob = Peer::udp(biloxi.sip()).registered(BOB);
        Self {
            atlanta,
            biloxi,
            alice,
            bob,
        }
    }

    fn invite(&self) -> Message {
        let invite = self
            .alice
            .request("INVITE", BOB, ALICE, BOB)
            .with_body("application/sdp", &sdp(49_172));
        let route = format!("<sip:{};lr>, <sip:{};lr>", self.atlanta.sip(), self.biloxi.sip());
        invite.set("Route", route)
    }

    /// An INVITE that already answers the challenge of an earlier one.
    fn authenticated_invite(&self) -> Message {
        let first = self.invite();
        let challenge = self.alice.exchange(&first);
        assert_eq!(challenge.status(), Some(407));
        Answer::new("alice", "alicepw").to(&self.invite(), &challenge)
    }

    /// What has arrived at Bob is Alice's INVITE after two proxies.
    fn assert_forwarded(&self, sent: &Message, arrived: &Message) {
        assert_eq!(
            arrived.uri(),
            self.bob.uri("bob"),
            "RFC 3261 §16.6 step 2: the target's own URI"
        );
        assert_eq!(arrived.body, sent.body, "bodies pass untouched");
        for name in ["From", "To", "Call-ID", "CSeq", "Contact", "Content-Type"] {
            assert_eq!(arrived.header(name), sent.header(name), "{name} passes untouched");
        }
        assert_eq!(
            arrived.header("Max-Forwards"),
            "68",
            "RFC 3261 §16.6 step 3, twice"
        );
        assert!(
            arrived.get("Route").is_none(),
            "both proxies took their Route away:\n{}",
            arrived.text()
        );
        assert!(
            arrived.get("Proxy-Authorization").is_none(),
            "used credentials are taken away:\n{}",
            arrived.text()
        );
        let hosts = [self.biloxi.sip(), self.atlanta.sip()];
        let vias = arrived.list("Via");
        assert_eq!(vias.len(), 3, "{vias:?}");
        let routes = arrived.list("Record-Route");
        assert_eq!(routes.len(), 2, "{routes:?}");
        for (at, host) in hosts.iter().enumerate() {
            assert!(
                vias[at].starts_with(&format!("SIP/2.0/UDP {host};")),
                "Via {at} is {}",
                vias[at]
            );
            assert!(
                routes[at].contains(&format!("{host}")) && routes[at].contains(";lr"),
                "{}",
                routes[at]
            );
        }
        assert!(
            vias[2].contains(&format!("rport={}", self.alice.address().port())),
            "RFC 3581 §4: {}",
            vias[2]
        );
    }

    /// What has arrived at Alice is Bob's response.
    fn assert_returned(&self, invite: &Message, sent: &Message, arrived: &Message) {
        let vias = arrived.list("Via");
        assert_eq!(vias.len(), 1, "each proxy took its Via away: {vias:?}");
        let branch = invite.parameter("Via", "branch").expect("a branch");
        assert!(vias[0].contains(&branch), "{}", vias[0]);
        assert_eq!(arrived.list("Record-Route"), sent.list("Record-Route"));
        assert_eq!(
            (arrived.header("To"), &arrived.body),
            (sent.header("To"), &sent.body)
        );
        assert_eq!(arrived.start, sent.start);
    }
}

fn expect_trying(alice: &Peer) {
    let message = alice.next();
    assert_eq!(message.status(), Some(100), "{}", message.text());
}

/// Bob as RFC 3665 §2 registers him, at one server.
struct Registration {
    server: Server,
    bob: Peer,
}

impl Registration {
    fn new() -> Self {
        let setup = Setup::with_digest()
            .domains(&[BILOXI])
            .user("bob@biloxi.example.com", "bobpw");
        let server = setup.start();
        let bob = Peer::udp(server.sip());
        Self { server, bob }
    }

    fn contact(&self) -> String {
        format!("<{}>", self.bob.uri("bob"))
    }

    fn register(&self) -> Message {
        self.bob.request("REGISTER", "sip:biloxi.example.com", BOB, BOB)
    }

    /// A REGISTER that already answers the challenge of an earlier one.
    fn authenticated(&self, register: &Message) -> Message {
        let challenge = self.bob.exchange(register);
        assert_eq!(challenge.status(), Some(401));
        Answer::new("bob", "bobpw").to(register, &challenge)
    }

    /// Registers with these contacts, without looking at the flow.
    fn register_with(&self, contacts: &[&str]) {
        let mut register = self.register().without("Contact");
        for contact in contacts {
            register = register.with("Contact", *contact);
        }
        let response = self.bob.exchange(&self.authenticated(&register));
        assert_eq!(response.status(), Some(200), "{}", response.text());
    }
}

fn uris(response: &Message) -> Vec<String> {
    let mut uris: Vec<_> = response
        .list("Contact")
        .iter()
        .map(|contact| uri_of(contact).to_owned())
        .collect();
    uris.sort();
    uris
}

/// RFC 3665 §2.1.
#[test]
fn a_new_registration() {
    let (flow, registration) = (Flow::of("2.1"), Registration::new());
    let bob = &registration.bob;
    let register = registration.register();
    bob.send(&register);
    flow.step("REGISTER");
    let challenge = bob.expect_status(401);
    flow.step("401");
    assert_eq!(challenge.header("Call-ID"), register.header("Call-ID"));
    assert_eq!(challenge.header("CSeq"), "1 REGISTER");
    assert_eq!(challenge.header("From"), register.header("From"));
    assert!(challenge.parameter("To", "tag").is_some());
    assert_eq!(
        challenge.parameter("Via", "received").as_deref(),
        Some("127.0.0.1")
    );
    let expected = [("qop", "auth"), ("algorithm", "MD5"), ("realm", BILOXI)];
    for (name, value) in expected {
        assert_eq!(Challenge::first(&challenge).get(name), Some(value), "{name}");
    }
    let answer = Answer::new("bob", "bobpw").to(&register, &challenge);
    bob.send(&answer);
    flow.step("REGISTER");
    let accepted = bob.expect_status(200);
    flow.step("200");
    assert_eq!(accepted.header("CSeq"), "2 REGISTER");
    assert_eq!(uris(&accepted), [bob.uri("bob")]);
    assert_eq!(accepted.parameter("Contact", "expires").as_deref(), Some("3600"));
    flow.end();
}

/// RFC 3665 §2.2.
#[test]
fn a_contact_is_added_to_the_list() {
    let (flow, registration) = (Flow::of("2.2"), Registration::new());
    let bob = &registration.bob;
    registration.register_with(&[&registration.contact()]);
    let update = registration
        .register()
        .set("Contact", "<mailto:bob@biloxi.example.com>");
    bob.send(&registration.authenticated(&update));
    flow.step("REGISTER");
    let accepted = bob.expect_status(200);
    flow.step("200");
    assert_eq!(
        uris(&accepted),
        ["mailto:bob@biloxi.example.com".to_owned(), bob.uri("bob")]
    );
    flow.end();
}

/// RFC 3665 §2.3.
#[test]
fn the_current_list_is_asked_for() {
    let (flow, registration) = (Flow::of("2.3"), Registration::new());
    let bob = &registration.bob;
    registration.register_with(&[&registration.contact(), "<mailto:bob@biloxi.example.com>"]);
    bob.send(&registration.authenticated(&registration.register().without("Contact")));
    flow.step("REGISTER");
    let accepted = bob.expect_status(200);
    flow.step("200");
    assert_eq!(
        uris(&accepted),
        ["mailto:bob@biloxi.example.com".to_owned(), bob.uri("bob")]
    );
    assert!(
        accepted
            .list("Contact")
            .iter()
            .all(|contact| contact.contains("expires=")),
        "{}",
        accepted.text()
    );
    flow.end();
}

/// RFC 3665 §2.4.
#[test]
fn all_registrations_are_cancelled() {
    let (flow, registration) = (Flow::of("2.4"), Registration::new());
    let bob = &registration.bob;
    registration.register_with(&[&registration.contact(), "<mailto:bob@biloxi.example.com>"]);
    let cancellation = registration.register().set("Contact", "*").set("Expires", "0");
    bob.send(&registration.authenticated(&cancellation));
    flow.step("REGISTER");
    let accepted = bob.expect_status(200);
    flow.step("200");
    assert_eq!(uris(&accepted), [""; 0]);
    flow.end();
    let shown = registration.server.ctl_json("registrations");
    assert_eq!(shown.as_array().map(Vec::len), Some(0), "{shown}");
}

/// RFC 3665 §2.5.
#[test]
fn a_registration_with_a_wrong_password() {
    let (flow, registration) = (Flow::of("2.5"), Registration::new());
    let bob = &registration.bob;
    let register = registration.register();
    bob.send(&register);
    flow.step("REGISTER");
    let challenge = bob.expect_status(401);
    flow.step("401");
    bob.send(&Answer::new("bob", "not it").to(&register, &challenge));
    flow.step("REGISTER");
    let refused = bob.expect_status(401);
    flow.step("401");
    assert_eq!(refused.header("CSeq"), "2 REGISTER");
    assert!(
        !Challenge::first(&refused).is_stale(),
        "a wrong password is not a stale nonce:\n{}",
        refused.text()
    );
    flow.end();
}

/// RFC 3665 §3.2.
#[test]
fn a_session_through_two_proxies() {
    let (flow, path) = (Flow::of("3.2"), Path2::new(Setup::new()));
    let (alice, bob) = (&path.alice, &path.bob);
    let first = path.invite();
    alice.send(&first);
    flow.step("INVITE");
    let challenge = alice.expect_status(407);
    flow.step("407");
    assert_eq!(Challenge::first(&challenge).get("realm"), Some(ATLANTA));
    alice.acknowledge(&first, &challenge);
    flow.step("ACK");
    let invite = Answer::new("alice", "alicepw").to(&first, &challenge);
    alice.send(&invite);
    flow.step("INVITE");
    flow.between(&["INVITE"]);
    expect_trying(alice);
    flow.step("100");
    let arrived = bob.expect_request("INVITE");
    flow.step("INVITE");
    path.assert_forwarded(&invite, &arrived);
    flow.between(&["100"]);

    let ringing = Message::response(&arrived, 180, "Ringing", "314159")
        .with("Contact", format!("<{}>", bob.uri("bob")));
    bob.send(&ringing);
    flow.step("180");
    flow.between(&["180"]);
    let rung = alice.expect_status(180);
    flow.step("180");
    path.assert_returned(&invite, &ringing, &rung);

    let answer =
        Message::response(&arrived, 200, "OK", "314159").with("Contact", format!("<{}>", bob.uri("bob")));
    let answer = answer.with_body("application/sdp", &sdp(3456));
    bob.send(&answer);
    flow.step("200");
    flow.between(&["200"]);
    let accepted = alice.expect_status(200);
    flow.step("200");
    path.assert_returned(&invite, &answer, &accepted);

    alice.send(&alice.within("ACK", &invite, &accepted));
    flow.step("ACK");
    flow.between(&["ACK"]);
    let ack = bob.expect_request("ACK");
    flow.step("ACK");
    assert_eq!(
        (ack.uri(), ack.header("Max-Forwards")),
        (bob.uri("bob").as_str(), "68")
    );
    assert_eq!(
        (ack.list("Via").len(), ack.list("Route").len()),
        (3, 0),
        "{}",
        ack.text()
    );
    assert_eq!(ack.header("CSeq"), format!("{} ACK", invite.cseq()));

    bob.send(&bob.within_as_callee("BYE", &arrived, &answer));
    flow.step("BYE");
    flow.between(&["BYE"]);
    let bye = alice.expect_request("BYE");
    flow.step("BYE");
    assert_eq!(
        (bye.uri(), bye.header("Max-Forwards")),
        (alice.uri("alice").as_str(), "68")
    );
    let vias = bye.list("Via");
    assert_eq!((vias.len(), bye.list("Route").len()), (3, 0), "{}", bye.text());
    assert!(vias[0].contains(&path.atlanta.sip().to_string()), "{vias:?}");
    assert!(vias[1].contains(&path.biloxi.sip().to_string()), "{vias:?}");
    alice.answer(&bye, 200, "OK");
    flow.step("200");
    flow.between(&["200"]);
    let ended = bob.expect_status(200);
    flow.step("200");
    assert_eq!(ended.list("Via").len(), 1);
    flow.end();
    expect_no_calls(&path.atlanta);
    expect_no_calls(&path.biloxi);
}

fn expect_no_calls(server: &Server) {
    let none = || server.ctl_json("calls").as_array().is_some_and(Vec::is_empty);
    assert!(
        wait::until_true(Duration::from_secs(3), none),
        "{}",
        server.ctl_json("calls")
    );
}

/// RFC 3665 §3.3. The flow can be played up to the second proxy's verdict on Alice's second answer (F13): there the RFC's
/// proxy takes credentials of a user of its own for a From of another domain, and this server wants the From to belong to
/// the credentials, as its own rule says.
#[test]
fn two_proxies_challenge_the_same_caller() {
    let setup = Setup::new()
        .challenge(&["INVITE"])
        .user("alice@biloxi.example.com", "alicepw2");
    let (flow, path) = (Flow::of("3.3"), Path2::new(setup));
    let alice = &path.alice;
    let first = path.invite();
    alice.send(&first);
    flow.step("INVITE");
    let challenge = alice.expect_status(407);
    flow.step("407");
    alice.acknowledge(&first, &challenge);
    flow.step("ACK");
    let second = Answer::new("alice", "alicepw").to(&first, &challenge);
    alice.send(&second);
    flow.step("INVITE");
    expect_trying(alice);
    flow.step("100");
    flow.between(&["INVITE", "407", "ACK"]);
    let challenged_again = alice.expect_status(407);
    flow.step("407");
    let realms: Vec<_> = Challenge::all(&challenged_again)
        .iter()
        .map(|challenge| challenge.get("realm").map(ToOwned::to_owned))
        .collect();
    assert_eq!(
        realms,
        [Some(BILOXI.to_owned())],
        "the far proxy's challenge comes through"
    );
    alice.acknowledge(&second, &challenged_again);
    flow.step("ACK");

    let far = Challenge::first(&challenged_again);
    let both = second
        .clone()
        .set("Via", alice.via())
        .set("CSeq", "3 INVITE")
        .set(
            "Proxy-Authorization",
            Answer::new("alice", "alicepw")
                .counted(2)
                .value(&Challenge::first(&challenge), "INVITE", BOB),
        )
        .with(
            "Proxy-Authorization",
            Answer::new("alice", "alicepw2").value(&far, "INVITE", BOB),
        );
    alice.send(&both);
    flow.step("INVITE");
    expect_trying(alice);
    flow.step("100");
    flow.between(&["INVITE"]);
    let verdict = alice.response();
    assert_eq!(verdict.status(), Some(403), "{}", verdict.text());
    alice.acknowledge(&both, &verdict);
    path.bob.expect_silence(Duration::from_millis(300));
}

/// RFC 3665 §3.4: the first proxy says nothing, the caller turns to the second.
#[test]
fn a_session_after_a_proxy_failure() {
    let flow = Flow::of("3.4");
    let setup = Setup::new()
        .domains(&[ATLANTA, BILOXI])
        .user("alice@atlanta.example.com", "alicepw");
    let server = setup.challenge(&["INVITE"]).start();
    let (silent, alice) = (Peer::udp(server.sip()), Peer::udp(server.sip()));
    let bob = Peer::udp(server.sip()).registered(BOB);
    let invite = alice
        .request("INVITE", BOB, ALICE, BOB)
        .with_body("application/sdp", &sdp(49_172));
    alice.send_to(&invite, silent.address());
    flow.step("INVITE");
    alice.expect_silence(Duration::from_millis(200));

    let invite = invite.set("Via", alice.via()).set("Call-ID", fresh("again"));
    alice.send(&invite);
    flow.step("INVITE");
    let challenge = alice.expect_status(407);
    flow.step("407");
    alice.acknowledge(&invite, &challenge);
    flow.step("ACK");
    let invite = Answer::new("alice", "alicepw").to(&invite, &challenge);
    alice.send(&invite);
    flow.step("INVITE");
    let arrived = bob.expect_request("INVITE");
    flow.step("INVITE");
    assert_eq!(arrived.header("Max-Forwards"), "69");
    expect_trying(&alice);
    flow.step("100");
    talk(&flow, &alice, &bob, &invite, &arrived);
    flow.end();
}

/// From the ringing to the end, by one proxy that stays in the path; Bob hangs up.
fn talk(flow: &Flow, alice: &Peer, bob: &Peer, invite: &Message, arrived: &Message) {
    let ringing =
        Message::response(arrived, 180, "Ringing", "314159").with("Contact", format!("<{}>", bob.uri("bob")));
    bob.send(&ringing);
    flow.step("180");
    alice.expect_status(180);
    flow.step("180");
    let answer =
        Message::response(arrived, 200, "OK", "314159").with("Contact", format!("<{}>", bob.uri("bob")));
    let answer = answer.with_body("application/sdp", &sdp(3456));
    bob.send(&answer);
    flow.step("200");
    let accepted = alice.expect_status(200);
    flow.step("200");
    assert_eq!(accepted.body, answer.body);
    let session = sdp(49_172);
    let mut ack = alice.within("ACK", invite, &accepted);
    if invite.body.is_empty() {
        ack = ack.with_body("application/sdp", &session);
    }
    alice.send(&ack);
    flow.step("ACK");
    let acknowledged = bob.expect_request("ACK");
    flow.step("ACK");
    assert_eq!(acknowledged.body, ack.body);
    bob.send(&bob.within_as_callee("BYE", arrived, &answer));
    flow.step("BYE");
    let bye = alice.expect_request("BYE");
    flow.step("BYE");
    alice.answer(&bye, 200, "OK");
    flow.step("200");
    bob.expect_status(200);
    flow.step("200");
}

/// RFC 3665 §3.6: a redirect server sends the caller on to a proxy; the offer is in the 200, the answer in the ACK.
#[test]
fn a_session_by_way_of_a_redirect_server() {
    let flow = Flow::of("3.6");
    let redirect = Setup::new()
        .domains(&[BILOXI])
        .toml("[proxy]\nmode = \"redirect\"")
        .start();
    let proxy = Setup::new().domains(&[CHICAGO]).start();
    let moved = "sip:bob@chicago.example.com";
    let agent = Peer::udp(redirect.sip());
    let binding = agent.register(BOB, 600).set("Contact", format!("<{moved}>"));
    assert_eq!(agent.exchange(&binding).status(), Some(200));
    let bob = Peer::udp(proxy.sip()).registered(moved);

    let asking = Peer::udp(redirect.sip());
    let invite = asking.request("INVITE", BOB, ALICE, BOB);
    asking.send(&invite);
    flow.step("INVITE");
    let redirected = asking.expect_status(302);
    flow.step("302");
    assert_eq!(uris(&redirected), [moved]);
    asking.acknowledge(&invite, &redirected);
    flow.step("ACK");

    let alice = Peer::udp(proxy.sip());
    let invite = alice
        .request("INVITE", moved, ALICE, BOB)
        .set("From", invite.header("From"))
        .set("Call-ID", invite.header("Call-ID"))
        .set("CSeq", "2 INVITE");
    alice.send(&invite);
    flow.step("INVITE");
    let arrived = bob.expect_request("INVITE");
    flow.step("INVITE");
    assert_eq!(
        (arrived.uri(), arrived.body.as_str()),
        (bob.uri("bob").as_str(), "")
    );
    assert_eq!(
        uri_of(arrived.header("To")),
        BOB,
        "To stays what the caller wrote"
    );
    expect_trying(&alice);
    flow.step("100");
    talk(&flow, &alice, &bob, &invite, &arrived);
    flow.end();
}

/// RFC 3665 §3.7: the proxy does not stay in the path; a later INVITE goes from phone to phone.
#[test]
fn a_re_invite_past_a_proxy_that_does_not_record_route() {
    let flow = Flow::of("3.7");
    let server = Setup::new()
        .domains(&[BILOXI])
        .toml("[proxy]\nrecord_route = false")
        .start();
    let alice = Peer::udp(server.sip());
    let bob = Peer::udp(server.sip()).registered(BOB);
    let invite = alice
        .request("INVITE", BOB, ALICE, BOB)
        .with_body("application/sdp", &sdp(49_172));
    alice.send(&invite);
    flow.step("INVITE");
    let arrived = bob.expect_request("INVITE");
    flow.step("INVITE");
    assert!(arrived.get("Record-Route").is_none(), "{}", arrived.text());
    expect_trying(&alice);
    flow.step("100");
    let contact = format!("<{}>", bob.uri("bob"));
    bob.send(&Message::response(&arrived, 180, "Ringing", "314159").with("Contact", contact.as_str()));
    flow.step("180");
    alice.expect_status(180);
    flow.step("180");
    let answer = Message::response(&arrived, 200, "OK", "314159").with("Contact", contact.as_str());
    bob.send(&answer);
    flow.step("200");
    let accepted = alice.expect_status(200);
    flow.step("200");
    alice.send_to(&alice.within("ACK", &invite, &accepted), bob.address());
    flow.step("ACK");
    bob.expect_request("ACK");

    // Bob has moved to another address: both ends talk to each other.
    let moved = Peer::udp(server.sip());
    let again = moved
        .within_as_callee("INVITE", &arrived, &answer)
        .with("Contact", format!("<{}>", moved.uri("bob")));
    moved.send_to(&again, alice.address());
    flow.step("INVITE");
    let again_arrived = alice.expect_request("INVITE");
    alice.send_to(
        &Message::response(&again_arrived, 200, "OK", "x"),
        moved.address(),
    );
    flow.step("200");
    moved.expect_status(200);
    let ack = Message {
        start: again.start.replace("INVITE", "ACK"),
        ..again.clone()
    };
    moved.send_to(&ack.set("CSeq", format!("{} ACK", again.cseq())), alice.address());
    flow.step("ACK");
    alice.expect_request("ACK");
    let bye = alice.within("BYE", &invite, &accepted);
    alice.send_to(&bye, moved.address());
    flow.step("BYE");
    let bye_arrived = moved.expect_request("BYE");
    moved.send_to(&Message::response(&bye_arrived, 200, "OK", "x"), alice.address());
    flow.step("200");
    alice.expect_status(200);
    flow.end();
}

/// F1 to F5 of the flows that fail: the INVITE has reached Bob.
fn arrive(flow: &Flow, path: &Path2) -> (Message, Message) {
    let invite = path.authenticated_invite();
    path.alice.send(&invite);
    flow.step("INVITE");
    flow.between(&["INVITE"]);
    expect_trying(&path.alice);
    flow.step("100");
    let arrived = path.bob.expect_request("INVITE");
    flow.step("INVITE");
    path.assert_forwarded(&invite, &arrived);
    flow.between(&["100"]);
    (invite, arrived)
}

fn ring(flow: &Flow, path: &Path2, arrived: &Message) {
    path.bob
        .send(&Message::response(arrived, 180, "Ringing", "314159"));
    flow.step("180");
    flow.between(&["180"]);
    path.alice.expect_status(180);
    flow.step("180");
}

/// Bob refuses; each element acknowledges what it got.
fn refuse(flow: &Flow, path: &Path2, invite: &Message, arrived: &Message, status: u16, reason: &str) {
    let code = status.to_string();
    let response = Message::response(arrived, status, reason, "314159");
    path.bob.send(&response);
    flow.step(&code);
    let ack = path.bob.expect_request("ACK");
    flow.step("ACK");
    assert_eq!(
        ack.header("Via"),
        arrived.header("Via"),
        "RFC 3261 §17.1.1.3: the ACK has the INVITE's Via"
    );
    assert_eq!(ack.list("Via").len(), 1, "and only that");
    assert_eq!(ack.parameter("To", "tag").as_deref(), Some("314159"));
    flow.between(&[&code, "ACK"]);
    let refused = path.alice.expect_status(status);
    flow.step(&code);
    path.assert_returned(
        invite,
        &response.clone().without("Record-Route"),
        &refused.clone().without("Record-Route"),
    );
    path.alice.acknowledge(invite, &refused);
    flow.step("ACK");
    flow.end();
    path.bob.expect_silence(Duration::from_millis(300));
    path.alice.expect_silence(Duration::from_millis(300));
}

/// RFC 3665 §3.8.
#[test]
fn nobody_answers_and_the_caller_gives_up() {
    let (flow, path) = (Flow::of("3.8"), Path2::new(Setup::new()));
    let (alice, bob) = (&path.alice, &path.bob);
    let (invite, arrived) = arrive(&flow, &path);
    ring(&flow, &path, &arrived);
    let mut cancel = Message::request("CANCEL", invite.uri()).with("Via", invite.header("Via"));
    for name in ["Route", "Max-Forwards", "From", "To", "Call-ID"] {
        cancel = cancel.with(name, invite.header(name));
    }
    alice.send(&cancel.with("CSeq", format!("{} CANCEL", invite.cseq())));
    flow.step("CANCEL");
    let cancelled = alice.expect_status(200);
    flow.step("200");
    assert!(
        cancelled.header("CSeq").ends_with(" CANCEL"),
        "{}",
        cancelled.text()
    );
    flow.between(&["CANCEL", "200"]);
    let cancel = bob.expect_request("CANCEL");
    flow.step("CANCEL");
    assert_eq!(cancel.uri(), arrived.uri(), "RFC 3261 §9.1");
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(cancel.header(name), arrived.header(name), "RFC 3261 §9.1: {name}");
    }
    assert_eq!(cancel.list("Via").len(), 1);
    bob.send(&Message::response(&cancel, 200, "OK", "314159"));
    flow.step("200");
    refuse(&flow, &path, &invite, &arrived, 487, "Request Terminated");
}

/// RFC 3665 §3.9.
#[test]
fn the_called_phone_is_busy() {
    let (flow, path) = (Flow::of("3.9"), Path2::new(Setup::new()));
    let (invite, arrived) = arrive(&flow, &path);
    refuse(&flow, &path, &invite, &arrived, 486, "Busy Here");
}

/// RFC 3665 §3.10. The RFC's proxy repeats the INVITE six times and answers 480; this one gives a silent phone up after
/// three seconds, and its answer is 408 as RFC 3261 §16.9 says.
#[test]
fn the_called_phone_does_not_answer_at_all() {
    let (flow, path) = (Flow::of("3.10"), Path2::new(Setup::new()));
    let (invite, arrived) = arrive(&flow, &path);
    let repeated = path
        .bob
        .receive_repeats(Duration::from_secs(2))
        .expect("the INVITE is sent again");
    assert_eq!(repeated, arrived, "a retransmission has the same bytes");
    let refused = path.alice.response();
    assert!(matches!(refused.status(), Some(408 | 480)), "{}", refused.text());
    flow.between(&["480", "ACK"]);
    flow.step("480");
    path.alice.acknowledge(&invite, &refused);
    flow.step("ACK");
    flow.end();
    path.alice.expect_silence(Duration::from_millis(700));
}

/// RFC 3665 §3.11.
#[test]
fn the_called_phone_is_temporarily_unavailable() {
    let (flow, path) = (Flow::of("3.11"), Path2::new(Setup::new()));
    let (invite, arrived) = arrive(&flow, &path);
    ring(&flow, &path, &arrived);
    refuse(&flow, &path, &invite, &arrived, 480, "Temporarily Unavailable");
}

/// Where the messages of the RFC lie beside the repository, the table of flows is compared with them.
#[test]
fn the_flows_are_those_of_the_rfc() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/rfc-flows/FLOWS.tsv");
    let Ok(index) = std::fs::read_to_string(path) else {
        return;
    };
    for (section, messages) in FLOWS {
        let rows = index.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let rows =
            rows.filter(|row| row[0].starts_with("rfc3665/") && row[1].starts_with(&format!("{section} ")));
        let printed: Vec<String> = rows
            .map(|row| {
                let words = row[3].split_whitespace().find(|word| *word != "SIP/2.0");
                words.unwrap_or_default().to_owned()
            })
            .collect();
        let played: Vec<&str> = messages.split(' ').collect();
        assert_eq!(
            &printed[..played.len().min(printed.len())],
            played,
            "RFC 3665 §{section}"
        );
    }
}
