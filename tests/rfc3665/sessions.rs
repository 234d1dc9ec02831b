//! RFC 3665 §3.4 to §3.7: sessions through one proxy, after one has failed, behind an application layer gateway, after a
//! redirect, and past it.

use std::time::Duration;

use system_tests::digest::Answer;
use system_tests::message::{fresh, uri_of};
use system_tests::peer::sdp;
use system_tests::server::Setup;
use system_tests::{Message, Peer};

use crate::flow::Flow;
use crate::{ALICE, ATLANTA, BILOXI, BOB, CHICAGO, expect_trying, uris};

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

/// RFC 3665 §3.5: the caller's application layer gateway is the test's, Bob's proxy does not stay in the path.
#[test]
fn a_session_through_an_application_layer_gateway() {
    let flow = Flow::of("3.5");
    let proxy = Setup::new().domains(&[BILOXI]);
    let proxy = proxy.toml("[proxy]\nrecord_route = false").start();
    let (alice, gateway) = (Peer::udp(proxy.sip()), Peer::udp(proxy.sip()));
    let bob = Peer::udp(proxy.sip()).registered(BOB);
    let route = format!("<sip:{};lr>", gateway.address());
    let invite = alice
        .request("INVITE", BOB, ALICE, BOB)
        .with("Route", route.as_str())
        .with_body("application/sdp", &sdp(49_172));
    alice.send_to(&invite, gateway.address());
    flow.step("INVITE");

    let taken = gateway.expect_request("INVITE");
    let bridged = sdp(20_000);
    let onward = taken
        .clone()
        .without("Route")
        .with_top("Via", gateway.via())
        .with("Record-Route", route.as_str())
        .set("Max-Forwards", "69");
    let onward = onward.with_body("application/sdp", &bridged);
    gateway.send(&onward);
    flow.step("INVITE");
    gateway.send_to(&Message::response(&taken, 100, "Trying", ""), alice.address());
    expect_trying(&alice);
    flow.step("100");
    let arrived = bob.expect_request("INVITE");
    flow.step("INVITE");
    assert_eq!(
        (arrived.uri(), &arrived.body),
        (bob.uri("bob").as_str(), &bridged)
    );
    assert_eq!(
        arrived.list("Record-Route"),
        [route.as_str()],
        "the proxy adds none"
    );
    assert_eq!(arrived.all("Via").count(), 3);
    expect_trying(&gateway);
    flow.step("100");

    let contact = format!("<{}>", bob.uri("bob"));
    for (status, reason) in [(180, "Ringing"), (200, "OK")] {
        let response =
            Message::response(&arrived, status, reason, "314159").with("Contact", contact.as_str());
        bob.send(&response);
        let passed = gateway.expect_status(status);
        let vias: Vec<_> = passed.all("Via").skip(1).map(str::to_owned).collect();
        let back = passed.without("Via");
        let back = vias
            .iter()
            .rev()
            .fold(back, |back, via| back.with_top("Via", via.as_str()));
        gateway.send_to(&back, alice.address());
        alice.expect_status(status);
        (0..3).for_each(|_| flow.step(&status.to_string()));
    }

    // Within the dialog the gateway speaks to Bob itself.
    let within = |cseq: u32, method: &str| {
        let request = Message::request(method, &bob.uri("bob"))
            .with("Via", alice.via())
            .with("From", invite.header("From"))
            .with("To", format!("<{BOB}>;tag=314159"))
            .with("Call-ID", invite.header("Call-ID"))
            .with("CSeq", format!("{cseq} {method}"));
        alice.send_to(&request, gateway.address());
        flow.step(method);
        let taken = gateway.expect_request(method);
        gateway.send_to(&taken.clone().with_top("Via", gateway.via()), bob.address());
        flow.step(method);
        (taken, bob.expect_request(method))
    };
    within(1, "ACK");
    let (taken, bye) = within(2, "BYE");
    bob.send_to(&Message::response(&bye, 200, "OK", ""), gateway.address());
    flow.step("200");
    gateway.expect_status(200);
    gateway.send_to(&Message::response(&taken, 200, "OK", ""), alice.address());
    flow.step("200");
    alice.expect_status(200);
    flow.end();
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
