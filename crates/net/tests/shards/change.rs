//! Other listeners while the shards run.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use strowger_net::{Changes, Joining, Listener, Listening};
use strowger_sip::Destination;

use crate::echo::{Control, Event, PATIENCE, Rig, listen, message, options};

/// What is to be different.
#[derive(Default)]
struct Next {
    listening: Listening,
    joining: Vec<Joining>,
    retired: Vec<u16>,
    closed: Vec<u16>,
}

/// Makes a change on two shards, and waits until both have told their application.
fn change(rig: &Rig, next: Next) {
    let changes = Changes {
        listening: next.listening,
        joining: next.joining,
        retired: next.retired,
        closed: next.closed,
        options: options(2),
    };
    let parts = changes.split(2, |_| Control::WakeIn(Duration::ZERO));
    for (shard, part) in (0..).zip(parts) {
        rig.shards.change(shard, Box::new(part)).expect("nothing waits");
    }
    let mut woken = 0;
    while woken < 2 {
        woken += rig.wait_for(|event| matches!(event, Event::Woken { .. }).then_some(1));
    }
}

fn join(rig: &Rig, number: u16, uri: &str) -> (Joining, SocketAddr) {
    let listener = Listener::bind(listen(uri), &options(2)).expect("it is free");
    let address = listener.address();
    (
        rig.shards.introduce(number, listener).expect("shards take it"),
        address,
    )
}

fn peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket
}

fn is_echoed(socket: &UdpSocket, by: SocketAddr) -> bool {
    let mut buffer = [0; 100];
    socket.send_to(b"hello", by).is_ok() && socket.recv_from(&mut buffer).is_ok_and(|(_, from)| from == by)
}

#[test]
fn a_datagram_socket_is_added_goes_on_while_it_is_retired_and_has_an_heir_when_it_is_closed() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(2));
    let (first, peer) = (rig.address(0), peer());
    let (joining, second) = join(&rig, 3, "udp:127.0.0.1:0");
    peer.send_to(b"early", second).expect("sent");
    rig.expect_nothing(Duration::from_millis(50));
    let [of_first, of_second] = [first, second].map(|address| listen(&format!("udp:{address}")));
    let live = vec![(0, of_first), (3, of_second)];
    let listening = Listening { live, heirs: vec![] };
    change(
        &rig,
        Next {
            listening,
            joining: vec![joining],
            ..Next::default()
        },
    );
    // What came in between was not lost.
    assert_eq!(peer.recv(&mut [0; 100]).expect("an answer"), 5);
    assert!(is_echoed(&peer, first) && is_echoed(&peer, second));
    let listening = |heirs: &[(u16, u16)]| Listening {
        live: vec![(0, of_first)],
        heirs: heirs.to_vec(),
    };
    change(
        &rig,
        Next {
            listening: listening(&[]),
            retired: vec![3],
            ..Next::default()
        },
    );
    assert!(is_echoed(&peer, second));
    peer.send_to(b"the last one", second).expect("sent");
    change(
        &rig,
        Next {
            listening: listening(&[(3, 0)]),
            closed: vec![3],
            ..Next::default()
        },
    );
    assert_eq!(peer.recv(&mut [0; 100]).expect("an answer"), 12);
    let to = Destination::Datagram {
        listener: 3,
        from: None,
        to: peer.local_addr().expect("bound"),
    };
    rig.send(1, to, b"by the heir", 7);
    let (_, from) = peer.recv_from(&mut [0; 100]).expect("an answer");
    assert_eq!(from, first);
    assert!(UdpSocket::bind(second).is_ok());
}

#[test]
fn a_retired_stream_listener_keeps_its_connections_until_it_is_closed() {
    let rig = Rig::new(&["tcp:127.0.0.1:0"], &options(2));
    let (joining, second) = join(&rig, 1, "tcp:127.0.0.1:0");
    let [of_first, of_second] = [rig.address(0), second].map(|address| listen(&format!("tcp:{address}")));
    let live = vec![(0, of_first), (1, of_second)];
    let listening = Listening { live, heirs: vec![] };
    change(
        &rig,
        Next {
            listening,
            joining: vec![joining],
            ..Next::default()
        },
    );
    let mut stream = TcpStream::connect(second).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let mut say = |text: &str| {
        let sent = message(text);
        stream.write_all(&sent).expect("it is open");
        let mut answer = vec![0; sent.len()];
        stream.read_exact(&mut answer).map(|()| answer == sent)
    };
    assert!(say("one").expect("an answer"));
    let listening = || Listening {
        live: vec![(0, of_first)],
        heirs: vec![],
    };
    change(
        &rig,
        Next {
            listening: listening(),
            retired: vec![1],
            ..Next::default()
        },
    );
    assert!(TcpStream::connect(second).is_err());
    assert!(say("two").expect("an answer"));
    change(
        &rig,
        Next {
            listening: listening(),
            closed: vec![1],
            ..Next::default()
        },
    );
    assert_eq!(stream.read(&mut [0; 100]).expect("an end"), 0);
    let again = Listener::bind(of_second, &options(2)).expect("it is free");
    assert_eq!(again.address(), second);
}

#[test]
fn a_listener_at_all_addresses_takes_over_from_one_at_one_of_them() {
    for transport in ["udp", "tcp"] {
        let rig = Rig::new(&[&format!("{transport}:127.0.0.1:0")], &options(2));
        let address = rig.address(0);
        let wide = listen(&format!("{transport}:0.0.0.0:{}", address.port()));
        Listener::bind(wide, &options(2)).expect_err("it is taken");
        let bound = Listener::bind_beside(wide, &options(2)).expect("by ourselves");
        let joining = rig.shards.introduce(1, bound).expect("shards take it");
        let listening = Listening {
            live: vec![(1, wide)],
            heirs: if transport == "udp" { vec![(0, 1)] } else { vec![] },
        };
        let before = (transport == "tcp").then(|| TcpStream::connect(address).expect("it listens"));
        change(
            &rig,
            Next {
                listening,
                joining: vec![joining],
                closed: vec![0],
                ..Next::default()
            },
        );
        if let Some(before) = before {
            for mut stream in [before, TcpStream::connect(address).expect("it listens")] {
                stream.write_all(&message("x")).expect("it is open");
                let listener = rig.wait_for(|event| match event {
                    Event::Received { source, .. } => Some(source.listener),
                    _ => None,
                });
                assert_eq!(listener, 1);
            }
        } else {
            assert!(is_echoed(&peer(), address));
        }
    }
}
