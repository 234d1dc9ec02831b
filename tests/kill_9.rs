//! `kill -9` while phones register: what was answered with 200 is there after the restart with the time it has left, and
//! what was removed is not back, also of phones whose contacts are known by instance and reg-id (RFC 5626 §6) and have another
//! URI each time. The same with subscriptions and pushes under way.
#![cfg(target_os = "linux")]

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use system_tests::process::Signal;
use system_tests::push::{Service, aor, setup, sleeps, wakes};
use system_tests::registering::{Load, Phones};
use system_tests::subscriber::{Subscriber, says};
use system_tests::{Peer, Random, Setup, full};

/// REGISTERs a second: 3,000, and those that are left out because every line waits.
const RATE: u32 = 3300;
const SENDERS: usize = 2;
const LINES: usize = 400;

/// One run at a time, or they would take the processor from each other.
static ONE_RUN: Mutex<()> = Mutex::new(());

fn survives(durability: &str, seed: u64) {
    let _one = ONE_RUN.lock().unwrap_or_else(PoisonError::into_inner);
    let kills = if full() { 50 } else { 5 };
    let mut random = Random::seeded(seed);
    let location = format!("[location]\ndurability = \"{durability}\"\n");
    let mut server = Setup::new().toml(&location).start();
    let mut phones: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let random = Random::seeded(random.number());
            Phones::new(&format!("s{sender}x"), LINES, server.sip(), random)
        })
        .collect();
    let (mut unanswered, mut done, mut under_load) = (0, 0, Duration::ZERO);
    for kill in 0..kills {
        let moment = Duration::from_millis(200 + random.below(1500) as u64);
        let begun = Instant::now();
        let load = Load::start(phones, RATE);
        thread::sleep(moment);
        under_load += begun.elapsed();
        server.end(Signal::Kill);
        phones = load.stop();
        server.start_again();
        for phones in &mut phones {
            let found = phones.compare();
            let (more_unanswered, more_done) =
                found.unwrap_or_else(|wrong| panic!("{durability}, kill {kill} after {moment:?}: {wrong}"));
            unanswered += more_unanswered;
            done += more_done;
        }
    }
    let answered: u64 = phones.iter().map(Phones::answered).sum();
    assert!(answered > 100 * kills, "{answered} REGISTERs are no load");
    assert!(phones.iter().all(|phones| phones.refused() == 0));
    println!(
        "{durability}: {kills} kills, {answered} REGISTERs answered, {:.0}/s; {unanswered} were not answered, {done} of them done",
        answered as f64 / under_load.as_secs_f64()
    );
}

#[test]
fn what_was_answered_is_there_after_kill_9_with_durability_power() {
    survives("power", 1);
}

#[test]
fn what_was_answered_is_there_after_kill_9_with_durability_process() {
    survives("process", 2);
}

/// Phones that sleep, and are called when the server is killed.
const ASLEEP: usize = 10;

/// At most so many subscribe, one after the other, until the server is killed.
const SUBSCRIBERS: usize = 50;

/// So long an answer is waited for.
const LIMIT: Duration = Duration::from_secs(1);

/// Subscribes again and again until nobody answers; who was accepted.
fn subscribe_until_the_end(server: std::net::SocketAddr) -> Vec<Subscriber> {
    let mut accepted = Vec::new();
    while accepted.len() < SUBSCRIBERS
        && let Some(subscriber) = Subscriber::accepted(Peer::udp(server), &aor("alice"), LIMIT)
    {
        if let Some(notify) = subscriber.peer.receive(LIMIT) {
            subscriber.peer.answer(&notify, 200, "OK");
        }
        accepted.push(subscriber);
        thread::sleep(Duration::from_millis(20));
    }
    accepted
}

/// RFC 6665 §4.2.1.2, RFC 3680 §5.1, RFC 8599 §5.6.2: after the restart subscribers are told the whole state, with nothing that was
/// removed, and a call that is repeated wakes the phone.
#[test]
fn what_was_acknowledged_is_there_after_kill_9_with_subscriptions_and_pushes_under_way() {
    let _one = ONE_RUN.lock().unwrap_or_else(PoisonError::into_inner);
    let service = Service::start(&["200"]);
    let mut server = setup(&format!("http://127.0.0.1:{}/", service.port()), "").start();
    let alice = aor("alice");
    let [stays, leaves, comes] = [(); 3].map(|()| Peer::udp(server.sip()));
    for phone in [&stays, &leaves] {
        assert_eq!(phone.exchange(&phone.register(&alice, 300)).status(), Some(200));
    }
    let (former, _) = Subscriber::new(&server, &alice, None, 600);
    assert_eq!(former.again(0).status(), Some(200));
    assert!(says(&former.told(), "terminated;reason=timeout"));
    let users: Vec<_> = (0..ASLEEP)
        .map(|n| format!("user{n}"))
        .chain(["bob".into()])
        .collect();
    users.iter().for_each(|user| sleeps(&server, user));

    let lines = Phones::new("line", LINES, server.sip(), Random::seeded(3));
    let load = Load::start(vec![lines], RATE / 3);
    let at = server.sip();
    let subscribing = thread::spawn(move || subscribe_until_the_end(at));
    let caller = Peer::udp(at);
    let calls: Vec<_> = users
        .iter()
        .map(|user| caller.request("INVITE", &aor(user), &alice, &aor(user)))
        .collect();
    calls.iter().for_each(|call| caller.send(call));
    thread::sleep(Duration::from_millis(300));
    let asked = service.await_asked(1).len();
    // What subscribers were not told of yet when the server is killed.
    assert_eq!(comes.exchange(&comes.register(&alice, 300)).status(), Some(200));
    assert_eq!(leaves.exchange(&leaves.register(&alice, 0)).status(), Some(200));
    server.end(Signal::Kill);

    let mut phones = load.stop();
    let subscribers = subscribing.join().expect("subscribers that are accepted");
    assert!(!subscribers.is_empty(), "nobody was accepted");
    for subscriber in &subscribers {
        while subscriber.peer.receive(Duration::from_millis(1)).is_some() {}
    }
    server.start_again();
    for subscriber in &subscribers {
        let after = subscriber.told();
        let is_whole = says(&after, "state=\"full\"") && says(&after, "Subscription-State: active");
        assert!(is_whole, "{}", after.text());
        for (phone, is_there) in [(&stays, true), (&comes, true), (&leaves, false)] {
            assert_eq!(says(&after, &phone.uri("alice")), is_there, "{}", after.text());
        }
    }
    for phones in &mut phones {
        phones.compare().unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(
            phones.answered() > 50 && phones.refused() == 0,
            "{}",
            phones.answered()
        );
    }
    let listed = server.ctl_json("registrations").to_string();
    for user in &users {
        assert!(listed.contains(&aor(user)["sip:".len()..]), "{user}: {listed}");
    }
    former.peer.expect_silence(Duration::from_millis(100));

    let before = service.asked().len().max(asked);
    let again = calls.last().expect("bob's");
    while caller.receive(Duration::from_millis(1)).is_some() {}
    caller.send(again);
    service.await_asked(before + 1);
    let (phone, request) = wakes(&server, "bob");
    assert_eq!(request.header("Call-ID"), again.header("Call-ID"));
    phone.answer(&request, 200, "OK");
    assert_eq!(
        caller.expect_status(200).header("Call-ID"),
        again.header("Call-ID")
    );
}
