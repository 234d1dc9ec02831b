//! Peers that hold on to connections: a thousand that send a byte a second, a thousand that never read, one source that
//! opens too many. Calls over other connections do not notice, and the server's memory stays within bounds.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::sipp::{Calls, Transport};
use system_tests::wait::Ends;
use system_tests::{Peer, full, wait};

const PEERS: usize = 1000;

/// A connection from a loopback address of its own.
fn connect(number: usize, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let [high, low] = (number as u16).to_be_bytes();
    let local = SocketAddr::from(([127, 1, high, low.max(1)], 0));
    socket.bind(&local.into()).expect("a loopback address");
    // Little room on this side, so that what is not read waits at the server, and what it does not take is not sent.
    socket.set_recv_buffer_size(4096).expect("an option");
    socket.set_send_buffer_size(32 << 10).expect("an option");
    socket.connect(&server.into()).expect("a connection");
    socket.set_nonblocking(true).expect("an option");
    socket.into()
}

/// Resident memory of the server, in bytes.
fn resident(server: &Server) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.process().id())).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or_default();
    let kilobytes: u64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a running process");
    kilobytes << 10
}

/// The user that calls where callers are challenged.
const CALLER: (&str, &str) = ("carol", "secret");

/// Calls over UDP and over TCP, all of which have to succeed.
fn calls(server: &Server, caller: Option<(&str, &str)>) {
    for transport in [Transport::Udp, Transport::Tcp] {
        let calls = if full() { 5_000 } else { 500 };
        let (caller, called) = Calls {
            server: server.sip(),
            transport,
            calls,
            caller,
        }
        .run();
        for counts in [caller, called] {
            assert_eq!(
                (counts.successful, counts.failed),
                (u64::from(calls), 0),
                "{transport:?}: {counts:?}"
            );
        }
    }
}

/// Calls while the peers go on with what they do, once a second, until the server has closed each of them. Tells by how
/// many bytes its memory has grown.
fn calls_beside(
    server: &Server,
    caller: Option<(&str, &str)>,
    mut peers: Vec<TcpStream>,
    each: impl Fn(usize, &mut TcpStream) + Sync,
) -> u64 {
    let before = resident(server);
    let enough = AtomicBool::new(false);
    let closed = || server.metric("strowger_connections_timed_out_total") >= PEERS as u64;
    let all_closed = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                let begin = Instant::now();
                for (number, peer) in peers.iter_mut().enumerate() {
                    each(number, peer);
                }
                std::thread::sleep(Duration::from_secs(1).saturating_sub(begin.elapsed()));
            }
        });
        let _enough = Ends(&enough);
        calls(server, caller);
        wait::until_true(Duration::from_secs(60), closed)
    });
    assert!(all_closed, "they are still there");
    resident(server).saturating_sub(before)
}

#[test]
fn a_thousand_peers_that_send_a_byte_a_second_do_not_disturb_calls_and_are_closed() {
    let server = Setup::new().start();
    let address = server.sip();
    let peers: Vec<_> = (0..PEERS).map(|number| connect(number, address)).collect();
    let grown = calls_beside(&server, None, peers, |number, peer| {
        // Who is closed comes back.
        if peer.write(b"O").is_err() {
            *peer = connect(number, address);
        }
    });
    println!("{grown} bytes more");
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[test]
fn a_thousand_peers_that_never_read_do_not_disturb_calls_and_are_closed() {
    // While nothing is challenged, this machine is exempt, and is read although it does not read.
    let (user, password) = CALLER;
    let server = Setup::with_digest().user(user, password).start();
    let options = format!(
        "OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
         Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 9\r\nContent-Length: 0\r\n\r\n"
    );
    let burst = options.repeat(100);
    let peers = (0..PEERS).map(|number| {
        let mut peer = connect(number, server.sip());
        // As much as the server takes: of somebody who does not read it takes only so much.
        let mut at = 0;
        while let Ok(count) = peer.write(&burst.as_bytes()[at..]) {
            at = (at + count) % burst.len();
        }
        peer
    });
    let peers = peers.collect();
    let grown = calls_beside(&server, Some(CALLER), peers, |_, peer| {
        drop(peer.write(options.as_bytes()))
    });
    println!("{grown} bytes more");
    assert!(grown < 160 << 20, "{grown} bytes more");
}

#[test]
fn one_source_has_so_many_connections_and_others_have_theirs() {
    let server = Setup::with_digest()
        .top("trusted = [\"127.0.0.8\"]")
        .toml("[limits]\ntcp_connections_per_source = 3")
        .start();
    let answered = |stream: &mut TcpStream| {
        // A ping is answered with a pong (RFC 5626 §4.4.1).
        let limit = stream.set_read_timeout(Some(Duration::from_secs(8)));
        limit.is_ok()
            && stream.write_all(b"\r\n\r\n").is_ok()
            && stream.read(&mut [0; 2]).is_ok_and(|count| count == 2)
    };
    let open = |last: u8, count: usize| -> Vec<TcpStream> {
        let one = |_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket
                .bind(&SocketAddr::from(([127, 0, 0, last], 0)).into())
                .expect("an address");
            socket.connect(&server.sip().into()).expect("a connection");
            TcpStream::from(socket)
        };
        (0..count)
            .map(one)
            .filter_map(|mut stream| answered(&mut stream).then_some(stream))
            .collect()
    };
    let ours = open(7, 6);
    assert_eq!(ours.len(), 3);
    assert_eq!(open(8, 6).len(), 6, "trusted");
    assert_eq!(open(9, 2).len(), 2, "somebody else");
    drop(ours);
    assert!(
        wait::until_true(Duration::from_secs(8), || open(7, 1).len() == 1),
        "places become free"
    );
    let peer = Peer::udp(server.sip());
    let response = peer.exchange(&peer.register(&format!("sip:alice@{DOMAIN}"), 60));
    assert_eq!(response.status(), Some(401));
}
