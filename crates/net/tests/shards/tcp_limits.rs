//! Connections that ask for too much.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use strowger_net::{Cidr, ConnectionOptions, Options};
use strowger_sip::{Destination, Failure, Flow};
use strowger_syntax::Transport;

use crate::echo::{Control, Event, PATIENCE, Rig, message, options};
use crate::tcp::{OF_A_REQUEST, client, read, read_to_end, received_flow};

fn flow_of(rig: &Rig, stream: &mut TcpStream) -> Flow {
    let one = message("who am I");
    stream.write_all(&one).expect("write");
    assert_eq!(read(stream, one.len()), one);
    rig.wait_for(|event| match event {
        Event::Received { source, .. } => source.flow,
        _ => None,
    })
}

/// True when the peer ended the connection, orderly or not.
fn is_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_peer_that_never_completes_a_message_is_closed_however_busy_it_looks() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(1));
    let mut slow = client(rig.address(0));
    let mut good = client(rig.address(0));
    let begin = Instant::now();
    let one = message("all well");
    let until = begin + PATIENCE;
    while rig.count("strowger_connections_timed_out_total") == 0 {
        assert!(Instant::now() < until, "the slow one is still there");
        // A byte now and then, for ever.
        let _: std::io::Result<usize> = slow.write(b"A");
        good.write_all(&one).expect("write");
        assert_eq!(read(&mut good, one.len()), one);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert!(is_ended(&mut slow));
}

#[test]
fn the_patience_with_an_incomplete_message_begins_with_that_message() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(1));
    let mut stream = client(rig.address(0));
    let one = message("in two parts");
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(200));
        stream.write_all(&one[..20]).expect("write");
        std::thread::sleep(Duration::from_millis(50));
        stream.write_all(&one[20..]).expect("write");
        assert_eq!(read(&mut stream, one.len()), one);
        // The next one begins in the same read as the last one ends.
        let end_and_beginning = [&one[..], &one[..20]].concat();
        stream.write_all(&end_and_beginning).expect("write");
        assert_eq!(read(&mut stream, one.len()), one);
        std::thread::sleep(Duration::from_millis(150));
        stream.write_all(&one[20..]).expect("write");
        assert_eq!(read(&mut stream, one.len()), one);
    }
}

#[test]
fn a_peer_that_never_reads_is_closed_while_others_work() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(1));
    let stuck = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    stuck.set_recv_buffer_size(4096).expect("a small buffer");
    stuck.connect(&rig.address(0).into()).expect("connect");
    let mut stuck = TcpStream::from(stuck);
    stuck.write_all(&message("silent")).expect("write");
    let flow = rig.wait_for(|event| match event {
        Event::Received { source, .. } => source.flow,
        _ => None,
    });
    let mut good = client(rig.address(0));
    let large = vec![b'x'; 60_000];
    for token in 1..=300 {
        rig.send(0, Destination::Flow(flow), &large, token);
    }
    let one = message("all well");
    good.write_all(&one).expect("write");
    assert_eq!(read(&mut good, one.len()), one);
    // What does not fit is refused at once, what waits fails when the connection is closed.
    let mut full = 0;
    let closed = loop {
        match rig.event() {
            Event::Failed {
                failure: Failure::Full,
                ..
            } => full += 1,
            Event::Failed {
                failure: Failure::TimedOut,
                token,
                ..
            } => break token,
            _ => {}
        }
    };
    assert!(full > 0);
    assert!(closed > 0);
    rig.wait_for(|event| matches!(event, Event::Closed { flow: gone, .. } if *gone == flow).then_some(()));
    good.write_all(&one).expect("write");
    assert_eq!(read(&mut good, one.len()), one);
}

#[test]
fn a_backlog_is_written_in_order_once_the_peer_reads() {
    let patient = ConnectionOptions {
        backlog: 64 << 20,
        stall: PATIENCE,
        ..options(1).connections
    };
    let rig = Rig::new(
        &["tcp:127.0.0.1:0"],
        &Options {
            connections: patient,
            ..options(1)
        },
    );
    let mut stream = client(rig.address(0));
    let flow = flow_of(&rig, &mut stream);
    let mut expected = Vec::new();
    for number in 0..400u32 {
        let bytes = number.to_be_bytes().repeat(10_000);
        rig.send(0, Destination::Flow(flow), &bytes, u64::from(number) + 1);
        expected.extend_from_slice(&bytes);
    }
    std::thread::sleep(Duration::from_millis(50));
    let got = read(&mut stream, expected.len());
    assert!(got == expected, "16 MB come in another order or form");
    rig.expect_nothing(Duration::from_millis(20));
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let connections = ConnectionOptions {
        idle: Duration::from_millis(200),
        ..options(1).connections
    };
    let rig = Rig::new(
        &["tcp:127.0.0.1:0"],
        &Options {
            connections,
            ..options(1)
        },
    );
    let mut asked = client(rig.address(0));
    asked.write_all(&message("silent")).expect("write");
    let flow = received_flow(&rig);
    rig.send(0, Destination::Flow(flow), b"a", OF_A_REQUEST);
    let mut stream = client(rig.address(0));
    let begin = Instant::now();
    assert_eq!(read_to_end(&mut stream), b"");
    assert!(begin.elapsed() >= Duration::from_millis(150));
    assert!(matches!(rig.event(), Event::Closed { .. }));
    // Over the other one an answer may be on its way.
    rig.expect_nothing(Duration::from_millis(300));
    assert_eq!(rig.count("strowger_connections_timed_out_total"), 1);
}

#[test]
fn connections_beyond_a_limit_are_closed_and_places_become_free_again() {
    let per_source = ConnectionOptions {
        per_source: 2,
        ..options(1).connections
    };
    let per_shard = ConnectionOptions {
        per_shard: 2,
        ..options(1).connections
    };
    for connections in [per_source, per_shard] {
        let rig = Rig::new(
            &["tcp:127.0.0.1:0"],
            &Options {
                connections,
                ..options(1)
            },
        );
        let mut first = client(rig.address(0));
        let mut second = client(rig.address(0));
        flow_of(&rig, &mut first);
        flow_of(&rig, &mut second);
        let mut third = client(rig.address(0));
        assert!(is_ended(&mut third));
        assert_eq!(rig.count("strowger_connections_refused_total"), 1);
        drop(first);
        rig.wait_for(|event| matches!(event, Event::Closed { .. }).then_some(()));
        flow_of(&rig, &mut client(rig.address(0)));
    }
}

/// A rig of two shards with these settings of connections.
fn two_shards(connections: ConnectionOptions) -> Rig {
    let options = Options {
        connections,
        ..options(2)
    };
    Rig::new(&["tcp:127.0.0.1:0"], &options)
}

#[test]
fn the_limit_of_a_source_holds_for_all_shards_together() {
    let rig = two_shards(ConnectionOptions {
        per_source: 5,
        ..options(2).connections
    });
    // Which shard accepts is the kernel's choice.
    let clients: Vec<_> = (0..20).map(|_| client(rig.address(0))).collect();
    let mut open = clients
        .into_iter()
        .filter_map(|mut stream| {
            let one = message("am I in");
            let said =
                stream.write_all(&one).is_ok() && stream.read(&mut [0; 1]).is_ok_and(|count| count == 1);
            said.then_some(stream)
        })
        .collect::<Vec<_>>();
    assert_eq!(open.len(), 5);
    open.pop();
    rig.wait_for(|event| matches!(event, Event::Closed { .. }).then_some(()));
    flow_of(&rig, &mut client(rig.address(0)));
}

#[test]
fn an_exempt_source_has_no_limit() {
    let rig = two_shards(ConnectionOptions {
        per_source: 1,
        exempt: vec![Cidr::new([127, 0, 0, 0].into(), 8)],
        ..options(2).connections
    });
    let mut clients: Vec<_> = (0..5).map(|_| client(rig.address(0))).collect();
    for stream in &mut clients {
        flow_of(&rig, stream);
    }
}

#[test]
fn a_peer_that_says_nothing_at_all_is_closed_and_one_that_has_said_something_is_not() {
    let rig = two_shards(ConnectionOptions {
        silent: Duration::from_millis(400),
        ..options(2).connections
    });
    let (mut silent, mut other) = (client(rig.address(0)), client(rig.address(0)));
    flow_of(&rig, &mut other);
    // Pings alone are no message (RFC 5626 §3.5.1).
    silent.write_all(b"\r\n\r\n").expect("write");
    assert_eq!(read(&mut silent, 2), b"\r\n");
    assert!(is_ended(&mut silent));
    std::thread::sleep(Duration::from_millis(500));
    flow_of(&rig, &mut other);
    assert_eq!(rig.count("strowger_connections_timed_out_total"), 1);
}

#[test]
fn a_peer_that_does_not_read_is_not_read() {
    let rig = two_shards(ConnectionOptions {
        stall: PATIENCE,
        ..options(2).connections
    });
    let mut greedy = client(rig.address(0));
    greedy.set_nonblocking(true).expect("an option");
    // Every byte is sent back; what is not taken there stays here at last.
    let large = message(&"x".repeat(4000));
    let until = Instant::now() + PATIENCE;
    let mut blocked_since = Instant::now();
    let mut at = 0;
    while blocked_since.elapsed() < Duration::from_millis(500) {
        assert!(Instant::now() < until, "it takes and takes");
        match greedy.write(&large[at..]) {
            Ok(count) => (at, blocked_since) = ((at + count) % large.len(), Instant::now()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    assert_eq!(rig.count("strowger_stream_messages_refused_total"), 0);
    let received = rig.count("strowger_stream_bytes_received_total");
    let mut back = 0;
    let mut buffer = vec![0; 64 << 10];
    while rig.count("strowger_stream_bytes_received_total") == received {
        assert!(Instant::now() < until + PATIENCE, "{back} bytes came back");
        match greedy.read(&mut buffer) {
            Ok(count) => back += count,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Sends far more than waits anywhere, every byte of which is sent back, and reads nothing meanwhile.
fn send_without_reading(rig: &Rig, stream: &mut TcpStream) {
    let large = message(&"x".repeat(4000));
    for _ in 0..4000 {
        stream.write_all(&large).expect("it is read");
    }
    // What waits has its bound nevertheless.
    rig.wait_for_count("strowger_stream_messages_refused_total", 1);
}

/// A socket with little room, so that the kernel does not take what the server does not read.
fn small_socket() -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("an option");
    socket.set_send_buffer_size(64 << 10).expect("an option");
    socket.set_write_timeout(Some(PATIENCE)).expect("an option");
    socket
}

// Two proxies that each waited for the other to read would both wait for ever.
#[test]
fn a_peer_that_is_exempt_is_read_while_it_does_not_read() {
    let rig = two_shards(ConnectionOptions {
        stall: Duration::from_secs(60),
        exempt: vec![Cidr::new([127, 0, 0, 0].into(), 8)],
        ..options(2).connections
    });
    let socket = small_socket();
    socket.connect(&rig.address(0).into()).expect("connect");
    send_without_reading(&rig, &mut socket.into());
}

#[test]
fn a_peer_that_the_server_connected_to_is_read_while_it_does_not_read() {
    let rig = two_shards(ConnectionOptions {
        stall: Duration::from_secs(60),
        ..options(2).connections
    });
    let listener = small_socket();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("a port");
    listener.listen(1).expect("a listener");
    let to = listener.local_addr().ok().and_then(|address| address.as_socket());
    let to = Destination::Connect {
        transport: Transport::Tcp,
        to: to.expect("an address"),
    };
    rig.send(0, to, &message("first"), 1);
    let (socket, _) = listener.accept().expect("a connection");
    socket.set_write_timeout(Some(PATIENCE)).expect("an option");
    send_without_reading(&rig, &mut socket.into());
}

#[test]
fn a_message_that_is_too_large_closes_the_connection() {
    let limits = strowger_syntax::Limits {
        body: 1000,
        ..strowger_syntax::Limits::DEFAULT
    };
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &Options { limits, ..options(1) });
    let mut stream = client(rig.address(0));
    stream.write_all(&message(&"x".repeat(1001))).expect("write");
    assert!(is_ended(&mut stream));
    assert!(matches!(rig.event(), Event::Closed { .. }));
}

#[test]
fn a_stream_send_through_a_full_ring_fails_on_the_shard_that_asked() {
    let rig = Rig::new(
        &["tcp:127.0.0.1:0"],
        &Options {
            ring: 4,
            ..options(2)
        },
    );
    let mut stream = client(rig.address(0));
    let flow = flow_of(&rig, &mut stream);
    let asking = 1 - flow.shard;
    let block = Control::Block(Duration::from_millis(300));
    rig.shards.send(flow.shard, block).expect("the shard takes it");
    std::thread::sleep(Duration::from_millis(50));
    for token in 1..=10 {
        rig.send(asking, Destination::Flow(flow), b"x", token);
    }
    for token in 5..=10 {
        assert_eq!(
            rig.event(),
            Event::Failed {
                shard: asking,
                token,
                failure: Failure::Full
            }
        );
    }
    assert_eq!(read(&mut stream, 4), b"xxxx");
    assert_eq!(rig.count("strowger_ring_refusals_total"), 6);
}

#[test]
fn a_failure_on_the_owning_shard_is_told_to_the_shard_that_asked() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(2));
    let stream = client(rig.address(0));
    let address: SocketAddr = stream.local_addr().expect("an address");
    let mut stream = stream;
    let flow = flow_of(&rig, &mut stream);
    drop(stream);
    rig.wait_for(|event| matches!(event, Event::Closed { .. }).then_some(()));
    let asking = 1 - flow.shard;
    rig.send(asking, Destination::Flow(flow), b"x", 9);
    assert_eq!(
        rig.event(),
        Event::Failed {
            shard: asking,
            token: 9,
            failure: Failure::Closed
        }
    );
    assert_ne!(address, rig.address(0));
}
