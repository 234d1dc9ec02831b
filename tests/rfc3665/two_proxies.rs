//! RFC 3665 §3.2 and §3.3: Alice, her proxy, Bob's proxy and Bob.

use std::time::Duration;

use system_tests::digest::{Answer, Challenge};
use system_tests::peer::sdp;
use system_tests::server::{Server, Setup};
use system_tests::{Message, Peer, wait};

use crate::flow::Flow;
use crate::{ALICE, ATLANTA, BILOXI, BOB, expect_trying};

/// Alice, her proxy, Bob's proxy and Bob.
pub(crate) struct Path2 {
    pub(crate) atlanta: Server,
    pub(crate) biloxi: Server,
    pub(crate) alice: Peer,
    pub(crate) bob: Peer,
}

impl Path2 {
    pub(crate) fn new(biloxi: Setup) -> Self {
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

    pub(crate) fn invite(&self) -> Message {
        let invite = self
            .alice
            .request("INVITE", BOB, ALICE, BOB)
            .with_body("application/sdp", &sdp(49_172));
        let route = format!("<sip:{};lr>, <sip:{};lr>", self.atlanta.sip(), self.biloxi.sip());
        invite.set("Route", route)
    }

    /// An INVITE that already answers the challenge of an earlier one.
    pub(crate) fn authenticated_invite(&self) -> Message {
        let first = self.invite();
        let challenge = self.alice.exchange(&first);
        assert_eq!(challenge.status(), Some(407));
        Answer::new("alice", "alicepw").to(&self.invite(), &challenge)
    }

    /// What has arrived at Bob is Alice's INVITE after two proxies.
    pub(crate) fn assert_forwarded(&self, sent: &Message, arrived: &Message) {
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
    pub(crate) fn assert_returned(&self, invite: &Message, sent: &Message, arrived: &Message) {
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

/// RFC 3665 §3.2.
/// RFC 3261 §16.12.1.1.
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
