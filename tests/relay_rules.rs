//! Who may send through the server to somebody else's host: never an open relay.
#![cfg(target_os = "linux")]

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use system_tests::digest::Answer;
use system_tests::message::fresh;
use system_tests::namespace;
use system_tests::peer::sdp;
use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::{Message, Peer, ports};

const SHORT: Duration = Duration::from_millis(700);

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// A server that asks for passwords, a caller that has one, and an element that is not the server's.
fn closed() -> (Server, Peer, Peer) {
    let server = Setup::with_digest()
        .user("alice", "alicepw")
        .user("bob", "bobpw")
        .start();
    let (caller, other) = (Peer::udp(server.sip()), Peer::udp(server.sip()));
    (server, caller, other)
}

/// A request from alice to somebody at a foreign element.
fn outward(caller: &Peer, method: &str, other: &Peer) -> Message {
    caller.request(
        method,
        &other.uri("stranger"),
        &aor("alice"),
        &other.uri("stranger"),
    )
}

/// A call from alice to a foreign element that was let through: the INVITE as sent and as it arrived, and the 200 as
/// sent there and as it arrived here.
struct Call {
    sent: Message,
    arrived: Message,
    answered: Message,
    accepted: Message,
}

fn call(caller: &Peer, other: &Peer) -> Call {
    let invite = outward(caller, "INVITE", other).with_body("application/sdp", &sdp(40_000));
    let challenge = caller.exchange(&invite);
    let sent = Answer::new("alice", "alicepw").to(&invite, &challenge);
    caller.send(&sent);
    let arrived = other.expect_request("INVITE");
    let answered = other.answer(&arrived, 200, "OK");
    let accepted = caller.expect_status(200);
    caller.send(&caller.within("ACK", &sent, &accepted));
    other.expect_request("ACK");
    Call {
        sent,
        arrived,
        answered,
        accepted,
    }
}

/// Sends it and makes sure that it is refused and does not arrive.
fn assert_refused(caller: &Peer, request: &Message, other: &Peer) {
    let response = caller.exchange(request);
    let refused = matches!(response.status(), Some(401 | 403 | 404 | 407 | 481));
    assert!(
        refused,
        "has to be refused:\n{}\nbut:\n{}",
        request.text(),
        response.text()
    );
    other.expect_silence(SHORT);
}

#[test]
fn an_invite_to_a_foreign_host_is_challenged_and_not_forwarded() {
    let (_server, caller, other) = closed();
    let response = caller.exchange(&outward(&caller, "INVITE", &other));
    assert_eq!(response.status(), Some(407), "{}", response.text());
    other.expect_silence(SHORT);
}

#[test]
fn a_method_that_is_not_challenged_at_home_is_not_relayed_abroad_either() {
    let (_server, caller, other) = closed();
    for method in ["MESSAGE", "OPTIONS", "SUBSCRIBE", "REGISTER", "BYE"] {
        assert_refused(&caller, &outward(&caller, method, &other), &other);
    }
}

#[test]
fn an_authenticated_invite_to_a_foreign_host_is_forwarded() {
    let (_server, caller, other) = closed();
    let call = call(&caller, &other);
    assert_eq!(call.arrived.uri(), other.uri("stranger"));
}

#[test]
fn loopback_may_relay_when_auth_is_off() {
    let server = Setup::new().start();
    let (caller, other) = (Peer::udp(server.sip()), Peer::udp(server.sip()));
    caller.send(&outward(&caller, "MESSAGE", &other));
    other.expect_request("MESSAGE");
}

#[test]
fn others_may_not_relay_even_when_auth_is_off() {
    if !namespace::enter("others_may_not_relay_even_when_auth_is_off") {
        return;
    }
    let setup = Setup::new();
    let address = format!("{}:{}", namespace::OUTSIDE, setup.port());
    let server = setup.listen(&format!("udp:{address}")).start();
    let outside = address.parse().expect("an address");
    let caller = Peer::udp_at(&format!("{}:0", namespace::OUTSIDE), outside);
    let other = Peer::udp(server.sip());
    assert_refused(&caller, &outward(&caller, "INVITE", &other), &other);
    assert_refused(&caller, &outward(&caller, "MESSAGE", &other), &other);

    // At home they are served: authentication is off.
    let bob = Peer::udp(server.sip()).registered(&aor("bob"));
    caller.send(&caller.request("MESSAGE", &aor("bob"), &aor("alice"), &aor("bob")));
    bob.expect_request("MESSAGE");
}

#[test]
fn a_trusted_source_need_not_authenticate_and_others_must() {
    let server = Setup::with_digest().top("trusted = [\"127.0.0.9/32\"]").start();
    let other = Peer::udp(server.sip());
    let provider = Peer::udp_at("127.0.0.9:0", server.sip());
    provider.send(&outward(&provider, "INVITE", &other));
    other.expect_request("INVITE");

    let neighbour = Peer::udp_at("127.0.0.8:0", server.sip());
    let response = neighbour.exchange(&outward(&neighbour, "INVITE", &other));
    assert_eq!(response.status(), Some(407), "{}", response.text());
}

#[test]
fn a_to_tag_alone_opens_nothing() {
    let (_server, caller, other) = closed();
    for method in ["INVITE", "BYE", "MESSAGE", "REFER"] {
        let request = outward(&caller, method, &other);
        let to = format!("{};tag={}", request.header("To"), fresh("t"));
        assert_refused(&caller, &request.set("To", to), &other);
    }
    let ack = outward(&caller, "ACK", &other);
    let to = format!("{};tag={}", ack.header("To"), fresh("t"));
    caller.send(&ack.set("To", to));
    other.expect_silence(SHORT);
    caller.expect_silence(Duration::from_millis(100));
}

#[test]
fn a_to_tag_does_not_spare_the_challenge_at_home() {
    let server = Setup::with_digest().user("bob", "bobpw").start();
    let bob = Peer::udp(server.sip()).registered_as(&aor("bob"), "bobpw");
    let caller = Peer::udp(server.sip());
    let request = caller.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"));
    caller.send(&request.set("To", format!("<{}>;tag=x", aor("bob"))));
    caller.expect_status(407);
    bob.expect_silence(SHORT);
}

#[test]
fn requests_within_a_dialog_pass_in_both_directions_without_a_challenge() {
    let (_server, caller, other) = closed();
    let Call {
        sent,
        arrived,
        answered,
        accepted,
    } = call(&caller, &other);

    let again = caller
        .within("INVITE", &sent, &accepted)
        .with("Contact", format!("<{}>", caller.uri("alice")));
    caller.send(&again);
    let arrived_again = other.expect_request("INVITE");
    assert!(arrived_again.get("Route").is_none(), "{}", arrived_again.text());
    other.answer(&arrived_again, 200, "OK");
    caller.expect_status(200);
    // The route set is the dialog's, made by the first INVITE (RFC 3261 §12.2.1.2).
    caller.send(&caller.within("ACK", &again, &accepted));
    other.expect_request("ACK");

    other.send(&other.within_as_callee("BYE", &arrived, &answered));
    let bye = caller.expect_request("BYE");
    caller.answer(&bye, 200, "OK");
    other.expect_status(200);
}

#[test]
fn our_token_is_good_for_its_own_dialog_only() {
    let (_server, caller, other) = closed();
    let Call { sent, accepted, .. } = call(&caller, &other);
    let bye = caller.within("BYE", &sent, &accepted);
    let foreign = |message: &Message| message.clone().set("Via", caller.via());

    assert_refused(&caller, &foreign(&bye).set("Call-ID", fresh("other")), &other);
    let stranger = format!("<{}>;tag={}", aor("alice"), fresh("f"));
    assert_refused(&caller, &foreign(&bye).set("From", stranger), &other);

    // Unchanged it still passes: the dialog was not harmed.
    caller.send(&bye);
    other.expect_request("BYE");
}

#[test]
fn a_changed_or_invented_token_opens_nothing() {
    let (server, caller, other) = closed();
    let Call { sent, accepted, .. } = call(&caller, &other);
    let route = accepted.list("Record-Route").pop().expect("a Record-Route");
    let request = |route: String| {
        let mut request = caller.within("MESSAGE", &sent, &accepted).without("Route");
        request.headers.insert(1, ("Route".to_owned(), route));
        request
    };
    let mut invented = vec![
        format!("<sip:{};lr>", server.sip()),
        format!("<sip:guess@{};lr>", server.sip()),
    ];
    // Letters and digits of the parameters' values are changed, one at a time.
    let uri = route.trim_matches(['<', '>']);
    let values = uri
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .map(|(_, value)| value);
    let places: Vec<usize> = values
        .flat_map(|value| {
            let start = value.as_ptr().addr() - uri.as_ptr().addr();
            start..start + value.len()
        })
        .collect();
    assert!(places.len() >= 8, "a token in {route}");
    for &at in places.iter().step_by((places.len() / 6).max(1)) {
        let mut bytes = uri.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
        invented.push(format!("<{}>", String::from_utf8_lossy(&bytes)));
    }
    for route in invented {
        assert_refused(&caller, &request(route), &other);
    }
    other.expect_silence(SHORT);
}

#[test]
fn a_pre_loaded_route_is_checked_like_a_target() {
    let (server, caller, other) = closed();
    let routed = |request: Message| {
        let request = request.with_top("Route", format!("<{};lr>", other.uri("hop")));
        request.with_top("Route", format!("<sip:{};lr>", server.sip()))
    };
    let invite = routed(caller.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob")));
    assert_refused(&caller, &invite, &other);
    let message = routed(caller.request(
        "MESSAGE",
        "sip:x@elsewhere.test",
        &aor("alice"),
        "sip:x@elsewhere.test",
    ));
    assert_refused(&caller, &message, &other);

    let invite = routed(caller.request(
        "INVITE",
        "sip:x@elsewhere.test",
        &aor("alice"),
        "sip:x@elsewhere.test",
    ));
    let challenge = caller.exchange(&invite);
    caller.send(&Answer::new("alice", "alicepw").to(&invite, &challenge));
    let arrived = other.expect_request("INVITE");
    assert_eq!(arrived.uri(), "sip:x@elsewhere.test");
    assert_eq!(arrived.list("Route"), [format!("<{};lr>", other.uri("hop"))]);
}

#[test]
fn credentials_must_own_the_from_address_of_an_invite() {
    let (_server, caller, other) = closed();
    let pretended = caller.request(
        "INVITE",
        &other.uri("stranger"),
        &aor("bob"),
        &other.uri("stranger"),
    );
    let response = caller.exchange_as(&pretended, "alice", "alicepw");
    assert_eq!(response.status(), Some(403), "{}", response.text());
    other.expect_silence(SHORT);
}

#[test]
fn credentials_must_own_the_to_address_of_a_register() {
    let (_server, caller, _other) = closed();
    let register = caller.request("REGISTER", &format!("sip:{DOMAIN}"), &aor("alice"), &aor("bob"));
    let response = caller.exchange_as(&register.with("Expires", "60"), "alice", "alicepw");
    assert_eq!(response.status(), Some(403), "{}", response.text());
}

#[test]
fn a_closed_port_is_noticed_at_once() {
    let server = Setup::new().start();
    let caller = Peer::udp(server.sip());
    // Several calls, so that every shard has some: the kernel may tell the error to the socket of another.
    for _ in 0..8 {
        let uri = format!("sip:nobody@127.0.0.1:{}", ports::free());
        let begun = Instant::now();
        let response = caller.exchange(&caller.request("INVITE", &uri, &aor("alice"), &uri));
        assert!(
            response.status().is_some_and(|status| status >= 400),
            "{}",
            response.text()
        );
        // Who says nothing is given up after 3 s.
        assert!(
            begun.elapsed() < Duration::from_millis(2500),
            "took {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn a_next_hop_that_says_nothing_is_given_up_after_three_seconds() {
    let server = Setup::new().start();
    let (caller, silent) = (Peer::udp(server.sip()), Peer::udp(server.sip()));
    let begun = Instant::now();
    let response = caller.exchange(&outward(&caller, "INVITE", &silent));
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(response.status(), Some(408), "{}", response.text());
    assert!((2.5..5.0).contains(&took), "took {took} s");
}

/// RFC 3261 §18.1.1 would have TCP here; a phone that registered by UDP may be behind a NAT that lets only that through.
#[test]
fn a_large_request_to_a_phone_on_udp_goes_by_its_own_flow() {
    let server = Setup::new().start();
    let bob = Peer::udp(server.sip()).registered(&aor("bob"));
    let caller = Peer::tcp(server.sip());
    let body = "x".repeat(3000);
    let request = caller
        .request("MESSAGE", &aor("bob"), &aor("alice"), &aor("bob"))
        .with_body("text/plain", &body);
    caller.send(&request);
    assert_eq!(bob.expect_request("MESSAGE").body, body);
}

/// RFC 3261 §18.1.1.
#[test]
fn a_large_request_to_another_host_goes_by_tcp() {
    let server = Setup::new().start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let _same_port = UdpSocket::bind(address).expect("the same port for UDP");
    let caller = Peer::udp(server.sip());
    let uri = format!("sip:bob@{address}");
    let body = "x".repeat(2000);
    caller.send(
        &caller
            .request("MESSAGE", &uri, &aor("alice"), &uri)
            .with_body("text/plain", &body),
    );
    let (mut stream, _) = listener.accept().expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a time limit");
    let mut buffer = vec![0; 16_384];
    let mut length = 0;
    while !buffer[..length].ends_with(body.as_bytes()) {
        let count = stream.read(&mut buffer[length..]).expect("more of the message");
        assert_ne!(count, 0, "the connection was closed early");
        length += count;
    }
    let arrived = Message::parse(&buffer[..length]).expect("a message");
    assert!(
        arrived.header("Via").starts_with("SIP/2.0/TCP "),
        "{}",
        arrived.header("Via")
    );
}

/// RFC 3261 §18.1.1: when TCP is refused, UDP is tried again.
#[test]
fn a_large_request_goes_back_to_udp_when_tcp_is_refused() {
    let server = Setup::new().start();
    let (caller, other) = (Peer::udp(server.sip()), Peer::udp(server.sip()));
    let body = "x".repeat(2000);
    caller.send(&outward(&caller, "MESSAGE", &other).with_body("text/plain", &body));
    let arrived = other.expect_request("MESSAGE");
    assert_eq!(arrived.body, body);
    assert!(
        arrived.header("Via").starts_with("SIP/2.0/UDP "),
        "{}",
        arrived.header("Via")
    );
}

/// A TCP listener whose queue is full: the kernel answers no SYN to its port any more. The connections that fill it.
fn silent_listener(address: SocketAddr) -> (Socket, Vec<TcpStream>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.set_reuse_address(true).expect("an option");
    listener.bind(&address.into()).expect("a free port");
    listener.listen(0).expect("a listener");
    let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok();
    let filling: Vec<_> = std::iter::repeat_with(connect)
        .take(8)
        .map_while(|made| made)
        .collect();
    assert!(filling.len() < 8, "the queue is never full");
    (listener, filling)
}

/// RFC 3261 §18.1.1: when TCP says nothing for two seconds, UDP is tried again.
#[test]
fn a_large_request_goes_back_to_udp_when_tcp_is_silent() {
    let server = Setup::new().start();
    let caller = Peer::udp(server.sip());
    let other = Peer::udp_at(&format!("127.0.0.1:{}", ports::free()), server.sip());
    let _silent = silent_listener(other.address());
    let body = "x".repeat(2000);
    let begun = Instant::now();
    caller.send(&outward(&caller, "MESSAGE", &other).with_body("text/plain", &body));
    let arrived = other.expect_request("MESSAGE");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(1900), "after {waited:?}");
    assert_eq!(arrived.body, body);
    assert!(
        arrived.header("Via").starts_with("SIP/2.0/UDP "),
        "{}",
        arrived.header("Via")
    );
    other.answer(&arrived, 200, "OK");
    caller.expect_status(200);
}
