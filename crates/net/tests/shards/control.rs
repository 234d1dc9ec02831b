//! Sleeping, waking, draining and stopping.

use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use strowger_net::Options;

use crate::echo::{Control, Event, PATIENCE, Rig, options};

#[test]
fn an_idle_server_makes_no_turns() {
    let rig = Rig::new(&["udp:127.0.0.1:0", "tcp:127.0.0.1:0"], &options(2));
    let _idle_connection = TcpStream::connect(rig.address(1)).expect("connect");
    rig.wait_for_count("strowger_connections_accepted_total", 1);
    std::thread::sleep(Duration::from_millis(100));
    let before = rig.count("strowger_shard_turns_total");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(rig.count("strowger_shard_turns_total"), before);
}

#[test]
fn the_application_is_woken_at_its_deadline_and_not_before() {
    let rig = Rig::new(&[], &options(2));
    let begin = Instant::now();
    rig.shards
        .send(1, Control::WakeIn(Duration::from_millis(80)))
        .expect("the shard takes it");
    assert_eq!(rig.event(), Event::Woken { shard: 1 });
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(80), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_shard_that_has_enough_to_do_takes_no_more_messages() {
    let rig = Rig::new(
        &[],
        &Options {
            control: 2,
            ..options(1)
        },
    );
    rig.shards
        .send(0, Control::Block(Duration::from_millis(200)))
        .expect("the shard takes it");
    std::thread::sleep(Duration::from_millis(50));
    let results: Vec<_> = (0..3)
        .map(|_| rig.shards.send(0, Control::WakeIn(Duration::ZERO)).is_ok())
        .collect();
    assert_eq!(results, [true, true, false]);
    assert!(rig.shards.send(9, Control::WakeIn(Duration::ZERO)).is_err());
}

#[test]
fn a_drain_waits_for_what_is_under_way_and_refuses_new_connections() {
    let rig = Rig::new(&["tcp:127.0.0.1:0", "udp:127.0.0.1:0"], &options(2));
    rig.idle.store(false, Ordering::SeqCst);
    rig.shards.drain(Duration::from_secs(20));
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(rig.address(0)).is_ok() {
        assert!(Instant::now() < until, "connections are still accepted");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Work that is under way goes on.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.send_to(b"still there?", rig.address(1)).expect("send");
    assert_eq!(socket.recv(&mut [0; 100]).expect("an answer"), 12);
    let begin = Instant::now();
    rig.idle.store(true, Ordering::SeqCst);
    // The shards look again when something happens.
    for shard in 0..2 {
        rig.shards
            .send(shard, Control::WakeIn(Duration::ZERO))
            .expect("the shard takes it");
    }
    rig.shards.join().expect("no shard panicked");
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn a_drain_ends_when_its_time_is_over() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(2));
    rig.idle.store(false, Ordering::SeqCst);
    let begin = Instant::now();
    rig.shards.drain(Duration::from_millis(200));
    rig.shards.join().expect("no shard panicked");
    assert!(begin.elapsed() >= Duration::from_millis(200));
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn stopping_ends_sleeping_shards_at_once() {
    let rig = Rig::new(&["udp:127.0.0.1:0"], &options(2));
    let handle = rig.shards.handle();
    let begin = Instant::now();
    handle.stop();
    rig.shards.join().expect("no shard panicked");
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert!(handle.send(0, Control::WakeIn(Duration::ZERO)).is_err());
}

#[test]
fn listeners_of_another_number_of_shards_are_refused() {
    let listen = crate::echo::listen("udp:127.0.0.1:0");
    let listener = strowger_net::Listener::bind(listen, &options(1)).expect("a free port");
    let started = strowger_net::start(vec![listener], &options(2), |_| -> crate::echo::Echo {
        unreachable!("nothing is started")
    });
    assert_eq!(
        started.expect_err("refused").kind(),
        std::io::ErrorKind::InvalidInput
    );
}
