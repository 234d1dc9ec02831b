//! Datagrams.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use strowger_sip::{Destination, Failure};

use crate::echo::{Control, Event, PATIENCE, Rig, options};

fn client(bind: &str, peer: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(bind).expect("a free port");
    socket.connect(peer).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket
}

fn answer(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_535];
    let len = socket.recv(&mut buffer).expect("an answer");
    buffer.truncate(len);
    buffer
}

/// A connected socket takes answers from the very address that it asked only.
fn answers_from(rig: &Rig, listener: usize, asked: &str, bind: &str) {
    let ip: IpAddr = asked.parse().expect("an address");
    let socket = client(bind, SocketAddr::new(ip, rig.address(listener).port()));
    socket.send(b"hello").expect("send");
    assert_eq!(answer(&socket), b"hello");
    let Event::Received { source, .. } = rig.event() else {
        panic!("not received")
    };
    assert_eq!(source.local, SocketAddr::new(ip, rig.address(listener).port()));
    assert_eq!(Some(source.remote), socket.local_addr().ok());
    assert_eq!(usize::from(source.listener), listener);
    assert_eq!(source.flow, None);
}

#[test]
fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    let rig = Rig::new(&["udp:0.0.0.0:0", "udp:[::]:0"], &options(2));
    answers_from(&rig, 0, "127.0.0.1", "127.0.0.1:0");
    answers_from(&rig, 0, "127.0.0.9", "127.0.0.1:0");
    answers_from(&rig, 1, "::1", "[::1]:0");
}

#[test]
fn many_datagrams_are_all_answered_in_order_and_in_batches() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(1));
    let socket = client("127.0.0.1:0", rig.address(0));
    let block = Control::Block(Duration::from_millis(300));
    rig.shards.send(0, block).expect("the shard takes it");
    std::thread::sleep(Duration::from_millis(50));
    for number in 0..100u32 {
        socket.send(&number.to_be_bytes()).expect("send");
    }
    for number in 0..100u32 {
        assert_eq!(answer(&socket), number.to_be_bytes());
    }
    assert_eq!(rig.count("strowger_datagrams_received_total"), 100);
    // An answer may be here before it is counted.
    rig.wait_for_count("strowger_datagram_bytes_sent_total", 400);
    assert_eq!(rig.count("strowger_datagrams_sent_total"), 100);
    assert!(rig.count("strowger_receive_batches_total") < 20);
    assert!(rig.count("strowger_send_batches_total") < 20);
}

#[test]
fn what_goes_as_segments_of_one_message_arrives_as_it_would_alone() {
    let rig = Rig::new(&["udp:0.0.0.0:0", "udp:[::]:0"], &options(1));
    for (listener, ip, bind) in [(0, "127.0.0.9", "127.0.0.1:0"), (1, "::1", "[::1]:0")] {
        let ip: IpAddr = ip.parse().expect("an address");
        let asked = SocketAddr::new(ip, rig.address(listener).port());
        let clients = [client(bind, asked), client(bind, asked)];
        let block = Control::Block(Duration::from_millis(200));
        rig.shards.send(0, block).expect("the shard takes it");
        std::thread::sleep(Duration::from_millis(50));
        let message =
            |number: usize| vec![number as u8; if number % 7 == 6 { 90 } else { 300 + number / 40 }];
        for number in 0..100 {
            clients[number % 2].send(&message(number)).expect("send");
        }
        for number in 0..100 {
            assert_eq!(answer(&clients[number % 2]), message(number));
        }
    }
    rig.wait_for_count("strowger_datagrams_sent_total", 200);
    assert_eq!(rig.count("strowger_datagrams_not_sent_total"), 0);
}

#[test]
fn the_largest_datagram_goes_through() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(1));
    let socket = client("127.0.0.1:0", rig.address(0));
    let large = vec![b'x'; 65_507];
    socket.send(&large).expect("send");
    assert_eq!(answer(&socket), large);
}

#[test]
fn a_message_hops_to_the_shard_that_owns_it_and_is_answered() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(2));
    let mut hops = 0;
    // The kernel spreads the sockets over the shards, the messages name both.
    for number in 0..32 {
        let socket = client("127.0.0.1:0", rig.address(0));
        let asked = format!("hop:{} {number}", number % 2);
        socket.send(asked.as_bytes()).expect("send");
        assert_eq!(answer(&socket), asked.as_bytes());
        let Event::Received {
            shard, hopped, bytes, ..
        } = rig.event()
        else {
            panic!("not received")
        };
        assert_eq!(shard, number % 2);
        assert_eq!(bytes, asked.as_bytes());
        hops += u64::from(hopped);
    }
    assert!(hops > 0 && hops < 32, "{hops}");
    assert_eq!(rig.count("strowger_hops_out_total"), hops);
    assert_eq!(rig.count("strowger_hops_in_total"), hops);
}

#[test]
fn a_full_ring_drops_datagrams_and_counts_them() {
    let rig = Rig::new(
        &["udp:127.0.0.1:0"],
        &strowger_net::Options {
            ring: 4,
            ..options(2)
        },
    );
    let socket = client("127.0.0.1:0", rig.address(0));
    // Which shard the kernel gives this socket to is found out first.
    socket.send(b"where").expect("send");
    let Event::Received { shard, .. } = rig.event() else {
        panic!("not received")
    };
    let other = 1 - shard;
    let block = Control::Block(Duration::from_millis(300));
    rig.shards.send(other, block).expect("the shard takes it");
    std::thread::sleep(Duration::from_millis(50));
    for number in 0..20 {
        socket
            .send(format!("hop:{other} {number}").as_bytes())
            .expect("send");
    }
    rig.wait_for_count("strowger_ring_drops_total", 16);
    for _ in 0..4 {
        let Event::Received {
            shard, hopped: true, ..
        } = rig.event()
        else {
            panic!("not received")
        };
        assert_eq!(shard, other);
    }
    rig.expect_nothing(Duration::from_millis(50));
}

#[test]
fn a_closed_port_is_reported_with_what_was_sent() {
    for (uri, host) in [("udp:127.0.0.1:0", "127.0.0.1:0"), ("udp:[::]:0", "[::1]:0")] {
        let rig = Rig::new(&[uri], &options(1));
        let closed = UdpSocket::bind(host)
            .expect("a free port")
            .local_addr()
            .expect("an address");
        let to = Destination::Datagram {
            listener: 0,
            from: None,
            to: closed,
        };
        rig.send(0, to, b"anybody there?", 5);
        let expected = Event::Unreachable {
            shard: 0,
            remote: closed,
            failure: Failure::Refused,
            quoted: b"anybody there?".to_vec(),
        };
        assert_eq!(rig.event(), expected);
        assert_eq!(rig.count("strowger_icmp_errors_total"), 1);
    }
}

/// An address that answers every datagram with an ICMP error: the socket takes what it sends itself only, and nobody
/// else gets its port as long as it is there.
fn closed_port() -> (UdpSocket, Destination) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let to = socket.local_addr().expect("an address");
    socket.connect(to).expect("connect");
    let to = Destination::Datagram {
        listener: 0,
        from: None,
        to,
    };
    (socket, to)
}

#[test]
fn an_icmp_error_hops_to_the_shard_that_it_belongs_to() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(2));
    // The kernel spreads the errors over the shards by the port of the remote, the messages name both.
    for number in 0..32u16 {
        let (closed, to) = closed_port();
        let sent = format!("hop:{} {number}", number % 2);
        rig.send(number % 2, to, sent.as_bytes(), 5);
        let expected = Event::Unreachable {
            shard: number % 2,
            remote: closed.local_addr().expect("an address"),
            failure: Failure::Refused,
            quoted: sent.into_bytes(),
        };
        assert_eq!(rig.event(), expected);
    }
    let hops = rig.count("strowger_hops_in_total");
    assert!(hops > 0 && hops < 32, "{hops}");
    rig.wait_for_count("strowger_hops_out_total", hops);
    assert_eq!(rig.count("strowger_icmp_errors_total"), 32);
    assert_eq!(rig.count("strowger_ring_drops_total"), 0);
}

#[test]
fn an_icmp_error_hops_only_once() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(2));
    let (_closed, to) = closed_port();
    rig.send(0, to, b"bounce", 5);
    let mut shards = [0, 1].map(|_| {
        let Event::Unreachable { shard, quoted, .. } = rig.event() else {
            panic!("no error")
        };
        assert_eq!(quoted, b"bounce");
        shard
    });
    shards.sort_unstable();
    assert_eq!(shards, [0, 1]);
    rig.expect_nothing(Duration::from_millis(50));
    assert_eq!(rig.count("strowger_hops_out_total"), 1);
}

#[test]
fn a_full_ring_drops_icmp_errors_and_counts_them() {
    let rig = Rig::new(
        &["udp:127.0.0.1:0"],
        &strowger_net::Options {
            ring: 4,
            ..options(2)
        },
    );
    let (_closed, to) = closed_port();
    // Which shard the kernel gives the errors of this remote to is found out first.
    rig.send(0, to, b"where", 5);
    let Event::Unreachable { shard, .. } = rig.event() else {
        panic!("no error")
    };
    let other = 1 - shard;
    let block = Control::Block(Duration::from_millis(300));
    rig.shards.send(other, block).expect("the shard takes it");
    std::thread::sleep(Duration::from_millis(50));
    for number in 0..20u64 {
        rig.send(shard, to, format!("hop:{other} {number}").as_bytes(), 5);
        rig.wait_for_count("strowger_icmp_errors_total", 2 + number);
    }
    rig.wait_for_count("strowger_ring_drops_total", 16);
    for _ in 0..4 {
        let Event::Unreachable { shard, .. } = rig.event() else {
            panic!("no error")
        };
        assert_eq!(shard, other);
    }
    rig.expect_nothing(Duration::from_millis(50));
}

#[test]
fn errors_of_one_peer_do_not_lose_datagrams_to_another() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(1));
    let closed = UdpSocket::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("an address");
    let socket = client("127.0.0.1:0", rig.address(0));
    let there = socket.local_addr().expect("an address");
    // All go out in one turn; the one that is answered with an error is the last of a batch, so the error meets the
    // first of the next.
    rig.shards
        .send(0, Control::Block(Duration::from_millis(200)))
        .expect("the shard takes it");
    for number in 0..80u32 {
        let to = if number == 63 { closed } else { there };
        let to = Destination::Datagram {
            listener: 0,
            from: None,
            to,
        };
        rig.send(0, to, &number.to_be_bytes(), 1);
    }
    for number in (0..80u32).filter(|number| *number != 63) {
        assert_eq!(answer(&socket), number.to_be_bytes());
    }
    let Event::Unreachable { remote, quoted, .. } = rig.event() else {
        panic!("no error")
    };
    assert_eq!(
        (remote, quoted.as_slice()),
        (closed, 63u32.to_be_bytes().as_slice())
    );
    rig.expect_nothing(Duration::from_millis(20));
}

#[test]
fn a_destination_that_the_socket_cannot_reach_fails() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(1));
    let v6 = "[::1]:5060".parse().expect("an address");
    rig.send(
        0,
        Destination::Datagram {
            listener: 0,
            from: None,
            to: v6,
        },
        b"x",
        7,
    );
    let expected = Event::Failed {
        shard: 0,
        token: 7,
        failure: Failure::Unreachable,
    };
    assert_eq!(rig.event(), expected);
    rig.send(
        0,
        Destination::Datagram {
            listener: 9,
            from: None,
            to: rig.address(0),
        },
        b"x",
        8,
    );
    let expected = Event::Failed {
        shard: 0,
        token: 8,
        failure: Failure::Unreachable,
    };
    assert_eq!(rig.event(), expected);
}
