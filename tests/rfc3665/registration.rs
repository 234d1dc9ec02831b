//! RFC 3665 §2: one registrar and Bob.

use system_tests::digest::{Answer, Challenge};
use system_tests::server::{Server, Setup};
use system_tests::{Message, Peer};

use crate::flow::Flow;
use crate::{BILOXI, BOB, uris};

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

    /// F1 and F2 of the flows that begin without credentials: the REGISTER and its challenge.
    fn challenged(&self, flow: &Flow) -> (Message, Message) {
        let register = self.register();
        self.bob.send(&register);
        flow.step("REGISTER");
        let challenge = self.bob.expect_status(401);
        flow.step("401");
        (register, challenge)
    }

    /// The last two messages of the flows that end well: the REGISTER and its 200.
    fn accepted(&self, flow: &Flow, register: &Message) -> Message {
        self.bob.send(register);
        flow.step("REGISTER");
        let accepted = self.bob.expect_status(200);
        flow.step("200");
        accepted
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

/// RFC 3665 §2.1.
#[test]
fn a_new_registration() {
    let (flow, registration) = (Flow::of("2.1"), Registration::new());
    let bob = &registration.bob;
    let (register, challenge) = registration.challenged(&flow);
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
    let accepted = registration.accepted(&flow, &answer);
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
    let accepted = registration.accepted(&flow, &registration.authenticated(&update));
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
    let query = registration.register().without("Contact");
    let accepted = registration.accepted(&flow, &registration.authenticated(&query));
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
    registration.register_with(&[&registration.contact(), "<mailto:bob@biloxi.example.com>"]);
    let cancellation = registration.register().set("Contact", "*").set("Expires", "0");
    let accepted = registration.accepted(&flow, &registration.authenticated(&cancellation));
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
    let (register, challenge) = registration.challenged(&flow);
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
