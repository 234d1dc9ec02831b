//! What the server writes, read by Wireshark's dissectors: nothing of it is malformed.
#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use system_tests::digest::Answer;
use system_tests::dissector::Capture;
use system_tests::peer::sdp;
use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::{Message, Peer};

/// What the server's port is in captures, so that the dissectors know what to look for.
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5060);

const STUN: &[u8] = b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl";

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(address) => panic!("{address}"),
    }
}

fn peer(server: &Server) -> Peer {
    Peer::udp(server.sip()).remembering()
}

/// The answer to a Binding request, and where it went.
fn stun_answer(server: &Server, request: &[u8]) -> (SocketAddr, Vec<u8>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let limit = Duration::from_secs(8);
    socket.set_read_timeout(Some(limit)).expect("a time limit");
    socket.send_to(request, server.sip()).expect("a datagram");
    let mut answer = [0; 1500];
    let len = socket.recv(&mut answer).expect("an answer");
    (socket.local_addr().expect("an address"), answer[..len].to_vec())
}

/// Registers bob's phone with an instance and a flow, behind what its Contact does not lead through.
#[track_caller]
fn register(phone: &Peer) -> Message {
    let contact = "<sip:bob@10.0.0.6:5060;transport=udp>;reg-id=1;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"";
    let request = phone
        .register(&aor("bob"), 300)
        .set("Contact", contact)
        .with("Supported", "path, outbound, gruu");
    let ok = phone.exchange_as(&request, "bob", "bobpw");
    assert_eq!(ok.status(), Some(200), "{}", ok.text());
    ok
}

// RFC 8489 §5, RFC 3261 §25.1, RFC 5626 §5.2, RFC 5627 §5.2, RFC 3680 §5
#[test]
fn nothing_that_is_sent_is_malformed() {
    let server = Setup::with_digest()
        .user("alice", "alicepw")
        .user("bob", "bobpw")
        .start();
    let (phone, caller, watcher) = (peer(&server), peer(&server), peer(&server));

    let ok = register(&phone);
    assert!(
        ok.text().contains("pub-gruu=") && ok.text().contains("temp-gruu="),
        "{}",
        ok.text()
    );
    let subscribe = watcher
        .request("SUBSCRIBE", &aor("bob"), &aor("bob"), &aor("bob"))
        .with("Event", "reg")
        .with("Expires", "600")
        .with("Supported", "gruu");
    assert_eq!(
        watcher.exchange_as(&subscribe, "bob", "bobpw").status(),
        Some(200)
    );
    let notify = watcher.expect_request("NOTIFY");
    assert!(notify.text().contains("pub-gruu"), "{}", notify.text());
    watcher.answer(&notify, 200, "OK");

    let invite = caller
        .request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"))
        .set("Contact", "<sip:alice@10.0.0.5:5060;ob>")
        .with_body("application/sdp", &sdp(40_000));
    let challenge = caller.exchange(&invite);
    assert_eq!(challenge.status(), Some(407), "{}", challenge.text());
    let invite = Answer::new("alice", "alicepw").to(&invite, &challenge);
    caller.send(&invite);
    let arrived = phone.expect_request("INVITE");
    let recorded = arrived.list("Record-Route");
    assert!(
        recorded.iter().all(|entry| entry.contains('@')),
        "with flow tokens: {recorded:?}"
    );
    let ok = Message::response(&arrived, 200, "OK", "callee").with("Contact", "<sip:bob@10.0.0.6:5060>");
    phone.send(&ok);
    let accepted = caller.expect_status(200);
    caller.send(&caller.within("ACK", &invite, &accepted));
    phone.expect_request("ACK");
    phone.send(&phone.within_as_callee("BYE", &arrived, &ok));
    caller.answer(&caller.expect_request("BYE"), 200, "OK");
    phone.expect_status(200);
    let refused =
        caller.exchange(&caller.request("MESSAGE", "sip:x@far.test", &aor("alice"), "sip:x@far.test"));
    assert_eq!(refused.status(), Some(407), "{}", refused.text());

    let mut capture = Capture::new();
    let mut expected = Vec::new();
    // RFC 5389 §15.2, RFC 3489 §11.2.1: with and without the magic cookie, and one that asks for what is unknown.
    let classic = [&STUN[..4], &[9; 16]].concat();
    let unknown = [b"\0\x01\0\x04".as_slice(), &STUN[4..], b"\x7f\xff\0\0"].concat();
    for (request, protocol) in [(STUN, "stun"), (&classic, "classicstun"), (&unknown, "stun")] {
        let (to, answer) = stun_answer(&server, request);
        capture.add(SERVER, v4(to), &answer);
        expected.push(protocol);
    }
    for peer in [&phone, &caller, &watcher] {
        for bytes in peer.heard() {
            capture.add(SERVER, v4(peer.address()), &bytes);
            expected.push("sip");
        }
    }
    let dissected = capture.dissect();
    assert_eq!(dissected.len(), expected.len(), "{dissected:?}");
    let mut documents = 0;
    for (protocol, dissected) in expected.iter().zip(&dissected) {
        let found = dissected.protocols.split(':').any(|found| found == *protocol);
        assert!(found && dissected.faults.is_empty(), "{dissected:?}");
        documents += usize::from(dissected.protocols.ends_with(":xml"));
    }
    assert_eq!(documents, 1, "{dissected:?}");
}

// What would be found if there were something.
#[test]
fn what_is_malformed_is_found() {
    let mut capture = Capture::new();
    let peer = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 6000);
    // A mapped address that ends before it is whole.
    capture.add(
        SERVER,
        peer,
        b"\x01\x01\0\x06\x21\x12\xa4\x42abcdefghijkl\0\x20\0\x08\0\x01",
    );
    capture.add(SERVER, peer, b"\x01\x01\0\0\x21\x12\xa4\x42abcdefghijkl");
    let dissected = capture.dissect();
    assert_eq!(dissected.len(), 2);
    assert!(!dissected[0].faults.is_empty(), "{dissected:?}");
    assert!(dissected[1].faults.is_empty(), "{dissected:?}");
}
