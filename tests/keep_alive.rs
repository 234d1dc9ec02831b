//! What keeps a phone's way open: pings over connections, STUN and empty datagrams on the SIP port.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use system_tests::process::run;
use system_tests::server::Setup;
use system_tests::{Peer, wait};

const PATIENCE: Duration = Duration::from_secs(10);

// RFC 5626 §4.4.1, §3.5.1: each ping is answered at once, by a CRLF; however they are cut.
#[test]
fn a_ping_over_a_connection_is_answered() {
    let server = Setup::new().start();
    let mut stream = TcpStream::connect(server.sip()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    for part in [&b"\r\n\r\n"[..], b"\r", b"\n\r\n\r\n\r\n"] {
        stream.write_all(part).expect("the connection is open");
    }
    let mut pongs = [0; 6];
    stream.read_exact(&mut pongs).expect("pongs");
    assert_eq!(&pongs, b"\r\n\r\n\r\n");
    assert_eq!(server.metric("strowger_pings_answered_total"), 3);
}

// RFC 5626 §8: other people's STUN clients are content with the SIP port, those of RFC 3489 as well.
#[test]
fn stun_clients_learn_their_address_from_the_sip_port() {
    let server = Setup::new().start();
    let port = server.port().to_string();
    let coturn = run(PATIENCE, "turnutils_stunclient", &["-p", &port, "127.0.0.1"]);
    let output = format!("{}{}", coturn.stdout, coturn.stderr);
    assert!(output.contains("reflexive addr: 127.0.0.1:"), "{coturn:?}");
    let source = system_tests::ports::free().to_string();
    let classic = run(
        PATIENCE,
        "stun",
        &[&format!("127.0.0.1:{port}"), "1", "-v", "-p", &source],
    );
    let output = format!("{}{}", classic.stdout, classic.stderr);
    assert!(
        output.contains(&format!("MappedAddress = 127.0.0.1:{source}")),
        "{classic:?}"
    );
    assert!(server.metric("strowger_stun_answered_total") >= 2);
}

// RFC 3261 §7.5: they are counted, not answered, and not taken for broken messages.
#[test]
fn empty_datagrams_are_passed_over() {
    let server = Setup::new().start();
    let phone = Peer::udp(server.sip());
    for ping in [&b"\r\n"[..], b"\r\n\r\n", b"\0", b"jaK"] {
        phone.send_bytes(ping);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.send_to(b"", server.sip()).expect("an empty datagram");
    let count = || server.metric("strowger_keep_alives_received_total");
    assert!(wait::until(PATIENCE, || (count() == 5).then_some(())).is_some());
    assert_eq!(server.metric("strowger_sip_malformed_total"), 0);
    phone.expect_silence(Duration::from_millis(100));
}
