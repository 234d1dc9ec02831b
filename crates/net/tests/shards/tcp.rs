//! Connections: framing, keep-alives, reuse, failures.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use strowger_net::{ConnectionOptions, Options};
use strowger_sip::{Destination, Failure, Flow};
use strowger_syntax::Transport;

use crate::echo::{Event, PATIENCE, Rig, message, options};

pub(crate) fn client(peer: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(peer).expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream
}

pub(crate) fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut buffer = vec![0; len];
    stream.read_exact(&mut buffer).expect("an answer");
    buffer
}

/// Reads to the end of the stream.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = Vec::new();
    stream.read_to_end(&mut buffer).expect("an orderly end");
    buffer
}

fn to_peer(to: SocketAddr) -> Destination {
    Destination::Connect {
        transport: Transport::Tcp,
        to,
    }
}

fn peer() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn accepted(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream
}

pub(crate) fn received_flow(rig: &Rig) -> Flow {
    rig.wait_for(|event| match event {
        Event::Received { source, .. } => source.flow,
        _ => None,
    })
}

#[test]
fn a_message_is_found_wherever_writes_split_it() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(1));
    let mut stream = client(rig.address(0));
    let one = message("abc");
    for split in [1, 10, one.len() - 4, one.len() - 1] {
        stream.write_all(&one[..split]).expect("write");
        std::thread::sleep(Duration::from_millis(5));
        stream.write_all(&one[split..]).expect("write");
        assert_eq!(read(&mut stream, one.len()), one);
    }
    let Event::Received { source, bytes, .. } = rig.event() else {
        panic!("not received")
    };
    assert_eq!(bytes, one);
    assert_eq!(source.transport, Transport::Tcp);
    assert_eq!(Some(source.remote), stream.local_addr().ok());
    assert_eq!(source.local, rig.address(0));
    assert!(source.flow.is_some());
}

#[test]
fn many_messages_in_one_write_are_answered_in_order() {
    let rig = Rig::new(&["tcp:[::1]:0"], &options(1));
    let mut stream = client(rig.address(0));
    let all: Vec<u8> = (0..300).flat_map(|number| message(&number.to_string())).collect();
    stream.write_all(&all).expect("write");
    assert_eq!(read(&mut stream, all.len()), all);
}

#[test]
fn messages_of_all_sizes_are_found_wherever_reads_split_them() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(1));
    let mut stream = client(rig.address(0));
    let sizes = [0, 3000, 200, 9000, 40_000, 100, 5000, 0];
    let all: Vec<u8> = sizes
        .into_iter()
        .cycle()
        .take(64)
        .flat_map(|size| message(&"x".repeat(size)))
        .collect();
    let mut writer = stream.try_clone().expect("a second end");
    let bytes = all.clone();
    let thread = std::thread::spawn(move || {
        for part in bytes.chunks(3777) {
            writer.write_all(part).expect("write");
            std::thread::sleep(Duration::from_micros(200));
        }
    });
    assert_eq!(read(&mut stream, all.len()), all);
    thread.join().expect("the writer");
}

#[test]
fn a_large_message_goes_through() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(2));
    let mut stream = client(rig.address(0));
    let large = message(&format!("hop:1{}hop:0", "x".repeat(200_000)));
    let mut writer = stream.try_clone().expect("a second end");
    let bytes = large.clone();
    let thread = std::thread::spawn(move || writer.write_all(&bytes).expect("write"));
    assert_eq!(read(&mut stream, large.len()), large);
    thread.join().expect("the writer");
}

#[test]
fn a_ping_gets_a_pong_and_empty_lines_before_a_message_get_none() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(1));
    let mut stream = client(rig.address(0));
    stream.write_all(b"\r\n\r\n").expect("write");
    assert_eq!(read(&mut stream, 2), b"\r\n");
    let one = message("after a line");
    stream.write_all(b"\r\n").expect("write");
    stream.write_all(&one).expect("write");
    assert_eq!(read(&mut stream, one.len()), one);
    assert_eq!(rig.count("strowger_pings_answered_total"), 1);
}

#[test]
fn a_message_whose_end_cannot_be_told_is_answered_before_the_connection_ends() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(1));
    let mut stream = client(rig.address(0));
    let head = b"OPTIONS sip:a@example.test SIP/2.0\r\nContent-Length: some\r\n\r\n";
    stream.write_all(b"\r\n").expect("write");
    stream.write_all(head).expect("write");
    stream
        .write_all(b"and what nobody can make sense of")
        .expect("write");
    assert_eq!(read_to_end(&mut stream), head);
    drop(stream);
    let closed = rig.wait_for(|event| match event {
        Event::Closed { shard, .. } => Some(*shard),
        _ => None,
    });
    assert_eq!(closed, 0);
    assert_eq!(rig.count("strowger_connections_open"), 0);
}

#[test]
fn a_peer_that_shuts_its_side_down_still_gets_its_answer() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(2));
    for hop in ["hop:0", "hop:1"] {
        let mut stream = client(rig.address(0));
        let one = message(hop);
        stream.write_all(&one).expect("write");
        stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
        assert_eq!(read_to_end(&mut stream), one);
    }
}

/// What an endpoint gives the request of a client transaction as its token.
pub(crate) const OF_A_REQUEST: u64 = 2 << 62 | 1;

// RFC 3261 §17.1.4: what cannot be answered is no way, and was none for what went before.
#[test]
fn a_peer_that_shuts_its_side_down_gets_answers_and_no_requests() {
    let options = options(2);
    let connections = ConnectionOptions {
        linger: PATIENCE,
        ..options.connections.clone()
    };
    let rig = Rig::new(
        &["tcp:127.0.0.1:0"],
        &Options {
            connections,
            ..options
        },
    );
    let mut stream = client(rig.address(0));
    stream.write_all(&message("silent hop:0")).expect("write");
    let flow = received_flow(&rig);
    rig.send(1, Destination::Flow(flow), b"a", OF_A_REQUEST);
    assert_eq!(read(&mut stream, 1), b"a");
    stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
    assert_eq!(
        rig.event(),
        Event::Failed {
            shard: 1,
            token: OF_A_REQUEST,
            failure: Failure::Lost
        }
    );
    for shard in [0, 1] {
        rig.send(shard, Destination::Flow(flow), b"b", OF_A_REQUEST);
        let (token, failure) = (OF_A_REQUEST, Failure::Closed);
        assert_eq!(
            rig.event(),
            Event::Failed {
                shard,
                token,
                failure
            }
        );
        rig.send(shard, Destination::Flow(flow), b"c", 1);
        assert_eq!(read(&mut stream, 1), b"c");
    }
}

// More than a ring holds, and from the other shard than the one that sends.
#[test]
fn all_requests_of_a_peer_that_goes_with_all_its_connections_are_told_once() {
    let options = Options {
        ring: 16,
        ..options(2)
    };
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options);
    let (mut streams, mut sent) = (Vec::new(), 0);
    for _ in 0..3 {
        let mut stream = client(rig.address(0));
        stream.write_all(&message("silent hop:0")).expect("write");
        let flow = received_flow(&rig);
        for _ in 0..100 {
            sent += 1;
            rig.send(1 - flow.shard, Destination::Flow(flow), b"a", OF_A_REQUEST + sent);
            // An answer and what nobody waits for are not told.
            rig.send(1 - flow.shard, Destination::Flow(flow), b"b", 1 << 62 | sent);
            rig.send(1 - flow.shard, Destination::Flow(flow), b"c", 0);
            rig.wait_for_count("strowger_stream_messages_sent_total", 3 * sent);
        }
        streams.push(stream);
    }
    // They have not read what came, so they are reset.
    drop(streams);
    let (mut lost, mut closed) = (HashSet::new(), 0);
    while closed < 3 || lost.len() < sent as usize {
        match rig.event() {
            Event::Failed { token, failure, .. } => {
                assert_eq!(failure, Failure::Lost);
                assert!(lost.insert(token), "{token} is told twice");
            }
            Event::Closed { .. } => closed += 1,
            other => panic!("{other:?}"),
        }
    }
    rig.expect_nothing(Duration::from_millis(20));
    assert_eq!(rig.count("strowger_ring_drops_total"), 0);
}

#[test]
fn a_message_hops_and_its_answer_comes_back_over_its_connection() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(2));
    let mut stream = client(rig.address(0));
    for number in 0..20 {
        let one = message(&format!("hop:{} {number}", number % 2));
        stream.write_all(&one).expect("write");
        assert_eq!(read(&mut stream, one.len()), one);
        let Event::Received {
            shard,
            hopped,
            source,
            ..
        } = rig.event()
        else {
            panic!("not received")
        };
        assert_eq!(shard, number % 2);
        let owner = source.flow.expect("a flow").shard;
        assert_eq!(hopped, owner != shard);
    }
    // Ten messages went to the other shard, and ten answers came back.
    assert_eq!(rig.count("strowger_hops_in_total"), 20);
}

#[test]
fn a_connection_is_opened_once_and_used_again_by_all_shards() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(2));
    let (listener, address) = peer();
    rig.send(0, to_peer(address), b"one", 1);
    let mut stream = accepted(&listener);
    assert_eq!(read(&mut stream, 3), b"one");
    rig.send(0, to_peer(address), b"two", 2);
    assert_eq!(read(&mut stream, 3), b"two");
    rig.send(1, to_peer(address), b"three", 3);
    assert_eq!(read(&mut stream, 5), b"three");
    assert_eq!(rig.count("strowger_connections_opened_total"), 1);
    // What the peer sends over it is received as from anybody else.
    let one = message("from the peer");
    stream.write_all(&one).expect("write");
    assert_eq!(read(&mut stream, one.len()), one);
}

#[test]
fn an_accepted_connection_is_used_for_its_peers_address() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(2));
    let mut stream = client(rig.address(0));
    rig.wait_for_count("strowger_connections_accepted_total", 1);
    let address = stream.local_addr().expect("an address");
    for shard in 0..2 {
        rig.send(shard, to_peer(address), b"back", 1);
        assert_eq!(read(&mut stream, 4), b"back");
    }
}

#[test]
fn a_refused_connection_fails_every_message_that_waits_for_it() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(2));
    let (listener, address) = peer();
    drop(listener);
    for token in 1..=3 {
        rig.send(1, to_peer(address), b"x", token);
    }
    for token in 1..=3 {
        assert_eq!(
            rig.event(),
            Event::Failed {
                shard: 1,
                token,
                failure: Failure::Refused
            }
        );
    }
    assert_eq!(rig.count("strowger_connections_open"), 0);
}

#[test]
fn a_silent_peer_fails_the_messages_of_all_shards_after_the_time_for_connecting() {
    let rig = Rig::new(&[], &options(2));
    // A listening socket whose queue is full drops what asks for more.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any.into()).expect("bind");
    listener.listen(0).expect("listen");
    let address = listener
        .local_addr()
        .ok()
        .and_then(|a| a.as_socket())
        .expect("an address");
    let _fill = TcpStream::connect(address).expect("the queue has one place");
    rig.send(0, to_peer(address), b"x", 1);
    std::thread::sleep(Duration::from_millis(50));
    rig.send(1, to_peer(address), b"x", 2);
    let mut failed = [rig.event(), rig.event()];
    failed.sort_by_key(|event| {
        if let Event::Failed { token, .. } = event {
            *token
        } else {
            0
        }
    });
    let timed_out = |shard, token| Event::Failed {
        shard,
        token,
        failure: Failure::TimedOut,
    };
    assert_eq!(failed, [timed_out(0, 1), timed_out(1, 2)]);
}

#[test]
fn a_transport_that_is_not_carried_is_refused() {
    let rig = Rig::new(&[], &options(1));
    for (transport, token) in [(Transport::Tls, 1), (Transport::Ws, 2), (Transport::Wss, 3)] {
        let to = "127.0.0.1:5061".parse().expect("an address");
        rig.send(0, Destination::Connect { transport, to }, b"x", token);
        assert_eq!(
            rig.event(),
            Event::Failed {
                shard: 0,
                token,
                failure: Failure::Refused
            }
        );
    }
}

#[test]
fn a_stale_flow_is_closed_even_when_its_place_is_used_again() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(2));
    let mut first = client(rig.address(0));
    first.write_all(&message("hop:0 first")).expect("write");
    let stale = received_flow(&rig);
    drop(first);
    let closed = rig.wait_for(|event| match event {
        Event::Closed { flow, .. } => Some(*flow),
        _ => None,
    });
    assert_eq!(closed, stale);
    // Connections until one gets the same place.
    let mut others = Vec::new();
    loop {
        let mut other = client(rig.address(0));
        other.write_all(&message("again")).expect("write");
        let flow = received_flow(&rig);
        others.push(other);
        if (flow.shard, flow.index) == (stale.shard, stale.index) {
            assert_ne!(flow.generation, stale.generation);
            break;
        }
    }
    for (shard, token) in [(0, 1), (1, 2)] {
        rig.send(shard, Destination::Flow(stale), b"x", token);
        assert_eq!(
            rig.event(),
            Event::Failed {
                shard,
                token,
                failure: Failure::Closed
            }
        );
    }
    let nowhere = Flow {
        shard: 77,
        index: 0,
        generation: 0,
    };
    rig.send(0, Destination::Flow(nowhere), b"x", 3);
    assert_eq!(
        rig.event(),
        Event::Failed {
            shard: 0,
            token: 3,
            failure: Failure::Closed
        }
    );
}

#[test]
fn a_connection_that_has_closed_is_opened_anew() {
    let rig = Rig::new(&[], &options(2));
    let (listener, address) = peer();
    rig.send(0, to_peer(address), b"one", 1);
    let mut stream = accepted(&listener);
    assert_eq!(read(&mut stream, 3), b"one");
    drop(stream);
    assert!(matches!(rig.event(), Event::Closed { shard: 0, .. }));
    rig.send(1, to_peer(address), b"two", 2);
    assert_eq!(read(&mut accepted(&listener), 3), b"two");
}
