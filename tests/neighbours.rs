//! Other proxies, and a back-to-back user agent, before and behind the server: calls, re-INVITEs and BYEs of both sides go the
//! way that Record-Route says.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use system_tests::kamailio::Kamailio;
use system_tests::peer::sdp;
use system_tests::server::{DOMAIN, Setup};
use system_tests::sippy::Sippy;
use system_tests::{Message, Peer, ports};

const ALICE: &str = "sip:alice@strowger.test";
const BOB: &str = "sip:bob@strowger.test";

/// Who hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Caller,
    Callee,
}

/// A dialog as both sides see it.
struct Dialog<'a> {
    alice: &'a Peer,
    bob: &'a Peer,
    /// As Alice sent the INVITE, and as it arrived.
    invite: (Message, Message),
    /// As Bob sent the 200, and as it arrived.
    ok: (Message, Message),
    cseq: u32,
}

impl<'a> Dialog<'a> {
    /// Alice calls, and Bob answers. So many servers stay on the path.
    fn open(alice: &'a Peer, bob: &'a Peer, uri: &str, servers: usize) -> Self {
        let invite = alice
            .request("INVITE", uri, ALICE, BOB)
            .with_body("application/sdp", &sdp(49_170));
        alice.send(&invite);
        let arrived = bob.expect_request("INVITE");
        let recorded = arrived.list("Record-Route").len();
        assert!(recorded >= servers, "{recorded} entries:\n{}", arrived.text());
        bob.send(&Message::response(&arrived, 180, "Ringing", "bob"));
        alice.expect_status(180);
        let ok = Message::response(&arrived, 200, "OK", "bob")
            .with("Contact", format!("<{}>", bob.uri("bob")))
            .with_body("application/sdp", &sdp(49_180));
        bob.send(&ok);
        let got = alice.expect_status(200);
        assert_eq!(got.body, ok.body);
        alice.send(&alice.within("ACK", &invite, &got));
        bob.expect_request("ACK");
        Self {
            alice,
            bob,
            invite: (invite, arrived),
            ok: (ok, got),
            cseq: 100,
        }
    }

    /// A request of one side within the dialog; who sends it and who gets it.
    fn request(&mut self, method: &str, by: By) -> (&'a Peer, &'a Peer, Message) {
        self.cseq += 1;
        let (from, to, request) = match by {
            By::Caller => (
                self.alice,
                self.bob,
                self.alice.within(method, &self.invite.0, &self.ok.1),
            ),
            By::Callee => {
                let request = self.bob.within_as_callee(method, &self.invite.1, &self.ok.0);
                (self.bob, self.alice, request)
            }
        };
        (from, to, request.set("CSeq", format!("{} {method}", self.cseq)))
    }

    /// One side changes the session.
    fn re_invite(&mut self, by: By) {
        let (from, to, invite) = self.request("INVITE", by);
        let invite = invite
            .with("Contact", format!("<{}>", from.uri("x")))
            .with_body("application/sdp", &sdp(49_190));
        from.send(&invite);
        let arrived = to.expect_request("INVITE");
        assert_eq!((arrived.cseq(), &arrived.body), (invite.cseq(), &invite.body));
        assert!(arrived.get("Route").is_none(), "{}", arrived.text());
        let ok =
            Message::response(&arrived, 200, "OK", "unused").with("Contact", format!("<{}>", to.uri("x")));
        to.send(&ok);
        from.expect_status(200);
        let (_, _, ack) = self.request("ACK", by);
        from.send(&ack.set("CSeq", format!("{} ACK", invite.cseq())));
        let ack = to.expect_request("ACK");
        assert_eq!(ack.cseq(), invite.cseq());
    }

    /// One side hangs up.
    fn close(mut self, by: By) {
        let (from, to, bye) = self.request("BYE", by);
        from.send(&bye);
        let arrived = to.expect_request("BYE");
        to.send(&Message::response(&arrived, 200, "OK", "unused"));
        from.expect_status(200);
        for peer in [self.alice, self.bob] {
            peer.expect_silence(Duration::from_millis(200));
        }
    }
}

/// Two calls with all that belongs to them; each side ends one.
fn calls(alice: &Peer, bob: &Peer, uri: &str, servers: usize) {
    for by in [By::Caller, By::Callee] {
        let mut dialog = Dialog::open(alice, bob, uri, servers);
        dialog.re_invite(By::Caller);
        dialog.re_invite(By::Callee);
        dialog.close(by);
    }
}

/// Addresses of a neighbour on a free port.
struct Place {
    v4: SocketAddr,
    v6: SocketAddr,
}

impl Place {
    fn new() -> Self {
        let v4 = IpAddr::from([127, 0, 0, 1]);
        let v6: IpAddr = "::1".parse().expect("an address");
        Self {
            v4: SocketAddr::new(v4, ports::free_at(v4)),
            v6: SocketAddr::new(v6, ports::free_at(v6)),
        }
    }

    fn listen(&self) -> Vec<String> {
        vec![
            format!("udp:{}", self.v4),
            format!("tcp:{}", self.v4),
            format!("udp:{}", self.v6),
        ]
    }
}

/// A phone by UDP on the same kind of address.
fn phone(server: SocketAddr) -> Peer {
    match server {
        SocketAddr::V4(_) => Peer::udp(server),
        SocketAddr::V6(_) => Peer::udp_at("[::1]:0", server),
    }
}

/// Kamailio upstream: Alice, Kamailio, Strowger, Bob.
#[test]
fn calls_come_from_kamailio_by_udp_and_by_tcp() {
    let server = Setup::new().start();
    let bob = Peer::udp(server.sip()).registered(BOB);
    for transport in ["udp", "tcp"] {
        let place = Place::new();
        let next = format!("sip:{};transport={transport}", server.sip());
        let _kamailio = Kamailio::start(&place.listen(), &next);
        calls(&phone(place.v4), &bob, BOB, 2);
        calls(&Peer::tcp(place.v4), &bob, BOB, 2);
    }
}

/// The same with a phone on TCP behind the server.
#[test]
fn calls_come_from_kamailio_to_a_phone_on_tcp() {
    let server = Setup::new().start();
    let bob = Peer::tcp(server.sip()).registered(BOB);
    let place = Place::new();
    let _kamailio = Kamailio::start(&place.listen(), &format!("sip:{};transport=udp", server.sip()));
    calls(&phone(place.v4), &bob, BOB, 2);
}

/// Kamailio downstream: Alice, Strowger, Kamailio, Bob.
#[test]
fn calls_go_to_kamailio_by_udp_and_by_tcp() {
    let server = Setup::new().start();
    let place = Place::new();
    let bob = phone(place.v4);
    let _kamailio = Kamailio::start(&place.listen(), &format!("sip:{};transport=udp", bob.address()));
    for transport in ["udp", "tcp"] {
        let uri = format!("sip:bob@{};transport={transport}", place.v4);
        calls(&phone(server.sip()), &bob, &uri, 2);
        calls(&Peer::tcp(server.sip()), &bob, &uri, 2);
    }
}

/// Kamailio has IPv6 on the side of the phone, then on the side of the server.
#[test]
fn calls_come_from_kamailio_with_ipv6_on_one_side() {
    let v6: IpAddr = "::1".parse().expect("an address");
    let own = SocketAddr::new(v6, ports::free_at(v6));
    let server = Setup::new().listen(&format!("udp:{own}")).start();
    let bob = Peer::udp(server.sip()).registered(BOB);
    let place = Place::new();
    {
        let _kamailio = Kamailio::start(&place.listen(), &format!("sip:{};transport=udp", server.sip()));
        calls(&phone(place.v6), &bob, BOB, 2);
    }
    let place = Place::new();
    let _kamailio = Kamailio::start(&place.listen(), &format!("sip:{own};transport=udp"));
    calls(&phone(place.v4), &bob, BOB, 2);
}

/// The server has IPv6 on the side of the phone, then on the side of Kamailio.
#[test]
fn calls_go_to_kamailio_with_ipv6_on_one_side() {
    let v6: IpAddr = "::1".parse().expect("an address");
    let own = SocketAddr::new(v6, ports::free_at(v6));
    let server = Setup::new().listen(&format!("udp:{own}")).start();
    let place = Place::new();
    let bob = phone(place.v4);
    let _kamailio = Kamailio::start(&place.listen(), &format!("sip:{};transport=udp", bob.address()));
    calls(&phone(own), &bob, &format!("sip:bob@{}", place.v4), 2);
    calls(&phone(server.sip()), &bob, &format!("sip:bob@{}", place.v6), 2);
}

/// Two calls, each side ends one. The b2bua makes another dialog of each, so the peers are compared with nothing but bodies.
fn plain_calls(alice: &Peer, bob: &Peer, uri: &str) {
    for by in [By::Caller, By::Callee] {
        Dialog::open(alice, bob, uri, 1).close(by);
    }
}

/// sippy upstream: Alice, sippy, Strowger, Bob.
#[test]
fn calls_come_from_a_back_to_back_user_agent() {
    let server = Setup::new().domains(&[DOMAIN, "127.0.0.1"]).start();
    let bob = Peer::udp(server.sip()).registered("sip:bob@127.0.0.1");
    let place = Place::new();
    let _sippy = Sippy::start(place.v4, server.sip());
    plain_calls(&phone(place.v4), &bob, &format!("sip:bob@{}", place.v4));
}

/// sippy downstream: Alice, Strowger, sippy, Bob.
#[test]
fn calls_go_to_a_back_to_back_user_agent() {
    let server = Setup::new().start();
    let place = Place::new();
    let bob = phone(place.v4);
    let _sippy = Sippy::start(place.v4, bob.address());
    let alice = phone(server.sip());
    for by in [By::Caller, By::Callee] {
        Dialog::open(&alice, &bob, &format!("sip:bob@{}", place.v4), 0).close(by);
    }
}
