//! Requests for phones that are reached in another way than their contacts say: over the connection that they registered by,
//! or through a NAT.
#![cfg(target_os = "linux")]

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use system_tests::digest::Answer;
use system_tests::peer::sdp;
use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::{Message, Peer};

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

fn invite(caller: &Peer) -> Message {
    caller
        .request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"))
        .with_body("application/sdp", &sdp(40_000))
}

/// A phone of bob's with this contact.
fn registered(phone: &Peer, contact: &str) {
    let register = phone.register(&aor("bob"), 300).set("Contact", contact);
    assert_eq!(phone.exchange(&register).status(), Some(200));
}

/// Calls the phone, which answers with its contact; BYE comes from the caller.
fn call_and_hang_up(server: &Server, phone: &Peer, contact: &str) {
    let caller = Peer::udp(server.sip());
    let sent = invite(&caller);
    caller.send(&sent);
    let arrived = phone.expect_request("INVITE");
    phone.send(&Message::response(&arrived, 200, "OK", "callee").with("Contact", contact));
    let accepted = caller.expect_status(200);
    caller.send(&caller.within("ACK", &sent, &accepted));
    phone.expect_request("ACK");
    caller.send(&caller.within("BYE", &sent, &accepted));
    phone.answer(&phone.expect_request("BYE"), 200, "OK");
    caller.expect_status(200);
}

#[test]
fn a_phone_on_a_connection_hears_all_of_a_call_over_it() {
    let server = Setup::new().start();
    let phone = Peer::tcp(server.sip());
    // Without a transport, and in the answer written otherwise.
    registered(&phone, &format!("<sip:bob@{}>", phone.address()));
    call_and_hang_up(&server, &phone, &format!("<sip:%62ob@{}>", phone.address()));
}

#[test]
fn a_phone_behind_a_nat_hears_all_of_a_call() {
    let server = Setup::new().start();
    for phone in [Peer::udp(server.sip()), Peer::tcp(server.sip())] {
        let contact = "<sip:bob@10.0.0.5:5060>";
        registered(&phone, contact);
        call_and_hang_up(&server, &phone, contact);
        let gone = phone.register(&aor("bob"), 0).set("Contact", contact);
        assert_eq!(phone.exchange(&gone).status(), Some(200));
    }
}

/// RFC 5626 §5.3.2: a caller who has not registered, and whose contact names an address behind its NAT, hears what its callee has to say
/// in the call over the flow that it has called by.
#[test]
fn a_caller_behind_a_nat_who_is_not_registered_hears_its_callee() {
    let open = Setup::new().start();
    let closed = Setup::with_digest()
        .user("bob", "bobpw")
        .user("alice", "alicepw")
        .start();
    for (server, is_closed) in [(&open, false), (&closed, true)] {
        let phone = Peer::udp(server.sip());
        let phone = match is_closed {
            true => phone.registered_as(&aor("bob"), "bobpw"),
            false => phone.registered(&aor("bob")),
        };
        for caller in [Peer::udp(server.sip()), Peer::tcp(server.sip())] {
            let contact = "<sip:alice@10.0.0.5:5060>";
            let mut sent = invite(&caller).set("Contact", contact);
            if is_closed {
                let challenge = caller.exchange(&sent);
                assert_eq!(challenge.status(), Some(407));
                sent = Answer::new("alice", "alicepw").to(&sent, &challenge);
            }
            caller.send(&sent);
            let arrived = phone.expect_request("INVITE");
            let accepted = phone.answer(&arrived, 200, "OK");
            let accepted_there = caller.expect_status(200);
            caller.send(&caller.within("ACK", &sent, &accepted_there));
            phone.expect_request("ACK");
            let again = phone
                .within_as_callee("INVITE", &arrived, &accepted)
                .with("Contact", format!("<{}>", phone.uri("bob")));
            phone.send(&again);
            let heard = caller.expect_request("INVITE");
            assert_eq!(heard.uri(), "sip:alice@10.0.0.5:5060");
            caller.send(&Message::response(&heard, 200, "OK", "caller").with("Contact", contact));
            phone.expect_status(200);
            let ack = phone.within_as_callee("ACK", &arrived, &accepted);
            phone.send(&ack.set("CSeq", "7000 ACK"));
            caller.expect_request("ACK");
            let bye = phone.within_as_callee("BYE", &arrived, &accepted);
            phone.send(&bye.set("CSeq", "7001 BYE"));
            caller.answer(&caller.expect_request("BYE"), 200, "OK");
            phone.expect_status(200);
        }
    }
}

/// RFC 5658 §3: each side is told the address by which it reaches the server, and finds it there.
#[test]
fn each_side_of_a_call_is_told_the_address_for_its_network() {
    let server = Setup::new().start();
    let port = server.port();
    let text = std::fs::read_to_string(server.config()).expect("its configuration");
    let uri = format!("uri = \"udp:127.0.0.1:{port}\"\n");
    let advertise =
        format!("advertise = [{{ to = \"127.0.0.2\", as = \"127.0.0.1:{port}\" }}, \"pbx.test:{port}\"]\n");
    let text = text.replace(&uri, &format!("{uri}{advertise}"));
    std::fs::write(server.config(), text).expect("written");
    let ended = server.ctl(&["reload"]);
    assert!(ended.succeeded(), "{ended:?}");

    let inside = Peer::udp_at("127.0.0.2:0", server.sip());
    let outside = Peer::udp_at("127.0.0.3:0", server.sip());
    registered(&outside, &format!("<sip:bob@{}>", outside.address()));
    let sent = invite(&inside);
    inside.send(&sent);
    let arrived = outside.expect_request("INVITE");
    assert!(
        arrived.header("Via").contains(&format!("pbx.test:{port}")),
        "{}",
        arrived.text()
    );
    let routes = arrived.list("Record-Route");
    assert_eq!(routes.len(), 2, "{routes:?}");
    assert!(
        routes[0].starts_with(&format!("<sip:pbx.test:{port};lr")),
        "{routes:?}"
    );
    assert!(
        routes[1].starts_with(&format!("<sip:127.0.0.1:{port};lr")),
        "{routes:?}"
    );
    outside.answer(&arrived, 200, "OK");
    let accepted = inside.expect_status(200);
    inside.send(&inside.within("ACK", &sent, &accepted));
    outside.expect_request("ACK");
    inside.send(&inside.within("BYE", &sent, &accepted));
    outside.answer(&outside.expect_request("BYE"), 200, "OK");
    inside.expect_status(200);
    // A name that is told is ours.
    let uri = format!("sip:bob@pbx.test:{port}");
    inside.send(&inside.request("OPTIONS", &format!("sip:pbx.test:{port}"), &aor("alice"), &uri));
    inside.expect_status(200);
}

#[test]
fn a_phone_whose_connection_is_gone_is_called_by_tcp() {
    let server = Setup::new().start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = listener.local_addr().expect("bound");
    let phone = Peer::tcp(server.sip());
    registered(&phone, &format!("<sip:bob@{place}>"));
    drop(phone);
    let caller = Peer::udp(server.sip());
    caller.send(&invite(&caller));
    listener.set_nonblocking(true).expect("an option");
    let end = Instant::now() + Duration::from_secs(5);
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) => assert!(Instant::now() < end, "nobody connects: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    stream.set_nonblocking(false).expect("an option");
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("an option");
    let mut first = [0; 11];
    stream.read_exact(&mut first).expect("a request");
    assert_eq!(&first, b"INVITE sip:");
}

/// The contact is believed as the URI of requests outside of dialogs that strangers send: only the dialog's own requests,
/// with the proof in Route, take the way of a registration.
#[test]
fn a_request_without_the_proof_of_a_dialog_takes_no_way_back() {
    let server = Setup::with_digest().user("bob", "bobpw").start();
    let (phone, stranger) = (Peer::tcp(server.sip()), Peer::udp(server.sip()));
    let phone = phone.registered_as(&aor("bob"), "bobpw");
    let uri = format!("sip:bob@{}", phone.address());
    let bye = stranger
        .request("BYE", &uri, "sip:mallory@far.test", &aor("bob"))
        .set("To", format!("<{}>;tag=1", aor("bob")));
    let refused = stranger.exchange(&bye);
    assert!(
        matches!(refused.status(), Some(403 | 407 | 481)),
        "{}",
        refused.text()
    );
    phone.expect_silence(Duration::from_millis(300));
}
