//! Subscriptions to registrations (RFC 6665, RFC 3680), as subscribers see them: also over a `kill -9`, when an administrator
//! removes registrations, by many at once, and from a phone that wants what there is not.
#![cfg(target_os = "linux")]

use std::thread;
use std::time::Duration;

use system_tests::baresip::Baresip;
use system_tests::process::Signal;
use system_tests::sipp::{Run, Transport};
use system_tests::subscriber::{Subscriber, says, version};
use system_tests::{Account, Peer, Setup, ports, wait};

const ALICE: &str = "sip:alice@strowger.test";
const CREDENTIALS: Option<(&str, &str)> = Some(("alice", "alicepw"));

fn setup() -> Setup {
    Setup::with_digest().user("alice", "alicepw")
}

/// RFC 6665 §4.2.1.2: what was accepted is kept: after the restart each subscriber is told the whole state.
#[test]
fn subscriptions_survive_kill_9_and_changes_meanwhile_are_told() {
    let mut server = setup().toml("[location]\nmin_expires = \"1s\"\n").start();
    let phone = Peer::udp(server.sip());
    let registered = phone.exchange_as(&phone.register(ALICE, 2), "alice", "alicepw");
    assert_eq!(registered.status(), Some(200));
    let (subscriber, first) = Subscriber::new(&server, ALICE, CREDENTIALS, 600);
    assert!(
        says(&first, "state=\"full\"") && says(&first, "event=\"registered\""),
        "{}",
        first.text()
    );
    let (gone, _) = Subscriber::new(&server, ALICE, CREDENTIALS, 600);
    assert_eq!(gone.again(0).status(), Some(200));
    assert!(says(&gone.told(), "terminated;reason=timeout"));

    server.end(Signal::Kill);
    thread::sleep(Duration::from_secs(2));
    server.start_again();
    let after = subscriber.told();
    assert!(
        says(&after, "Subscription-State: active;expires=5"),
        "{}",
        after.text()
    );
    assert!(
        says(&after, "state=\"full\"") && says(&after, "state=\"init\""),
        "{}",
        after.text()
    );
    assert!(version(&after) > version(&first) && after.cseq() > first.cseq());

    // It goes on as before.
    thread::sleep(Duration::from_secs(5));
    phone.exchange_as(&phone.register(ALICE, 300), "alice", "alicepw");
    let change = subscriber.told();
    assert!(
        says(&change, "state=\"partial\"") && says(&change, "event=\"registered\""),
        "{}",
        change.text()
    );
    assert_eq!(version(&change), version(&after) + 1);
    assert_eq!(subscriber.again(0).status(), Some(200));
    assert!(says(&subscriber.told(), "terminated;reason=timeout"));

    server.restart(Signal::Kill);
    subscriber.peer.expect_silence(Duration::from_secs(1));
    gone.peer.expect_silence(Duration::from_millis(100));
}

/// RFC 3680 §4.7.1: subscribers are told why.
#[test]
fn an_administrator_sees_and_removes_registrations() {
    let server = setup().start();
    let phone = Peer::udp(server.sip());
    let instance = "urn:uuid:00000000-0000-1000-8000-000a95a0e128";
    let register = phone.register(ALICE, 300);
    let contact = format!("{};+sip.instance=\"<{instance}>\"", register.header("Contact"));
    let register = register.set("Contact", contact).with("User-Agent", "tester");
    assert_eq!(
        phone.exchange_as(&register, "alice", "alicepw").status(),
        Some(200)
    );
    let (subscriber, _) = Subscriber::new(&server, ALICE, CREDENTIALS, 600);

    let listed = server.ctl_json("registrations").to_string();
    for what in [instance, "tester", "\"aor\":\"alice@strowger.test\""] {
        assert!(listed.contains(what), "{listed}");
    }
    let subscriptions = server.ctl(&["subscriptions"]);
    assert!(
        subscriptions.stdout.contains("alice@strowger.test"),
        "{}",
        subscriptions.stdout
    );

    thread::sleep(Duration::from_secs(5));
    let uri = phone.uri("alice");
    let removed = server.ctl(&["deregister", "alice@strowger.test", &uri]);
    assert!(
        removed.succeeded() && removed.stdout.contains(&uri),
        "{}",
        removed.stdout
    );
    let told = subscriber.told();
    assert!(
        says(&told, "state=\"terminated\" event=\"deactivated\""),
        "{}",
        told.text()
    );
    let nobody = server.ctl(&["deregister", "alice@strowger.test"]);
    assert!(
        !nobody.succeeded() && nobody.stderr.contains("no registration"),
        "{}",
        nobody.stderr
    );

    let again = phone.exchange_as(&phone.register(ALICE, 300), "alice", "alicepw");
    assert_eq!(again.status(), Some(200));
    let told = subscriber.told();
    assert!(says(&told, "event=\"registered\""), "{}", told.text());
    let shortened = server.ctl(&["deregister", "alice@strowger.test", "--after", "90"]);
    assert!(
        shortened.succeeded() && shortened.stdout.starts_with("registered for 1m 30s more: "),
        "{}{}",
        shortened.stdout,
        shortened.stderr
    );
    let told = subscriber.told();
    assert!(
        says(&told, "event=\"shortened\"")
            && says(&told, " expires=\"")
            && says(&told, "duration-registered=\""),
        "{}",
        told.text()
    );
    let removed = server.ctl(&["deregister", "alice@strowger.test", "--retry-after", "300"]);
    assert!(removed.succeeded(), "{}", removed.stderr);
    assert!(says(&subscriber.told(), "event=\"probation\""));
}

/// RFC 3608 §6.3.
#[test]
fn phones_are_told_the_service_route() {
    let route = "<sip:p1.strowger.test;lr>";
    let server = Setup::new()
        .toml(&format!(
            "[location]\nservice_route = [\"{route}\", \"<sip:p2.strowger.test;lr>\"]\n"
        ))
        .start();
    let phone = Peer::udp(server.sip());
    for expires in [300, 300, 0] {
        let ok = phone.exchange(&phone.register(ALICE, expires));
        assert_eq!(ok.list("Service-Route"), [route, "<sip:p2.strowger.test;lr>"]);
    }
}

#[test]
fn sipp_subscribes_and_unsubscribes_many_times() {
    let server = Setup::new().start();
    let local = server.sip();
    let subscriber = Run {
        scenario: "subscriber.xml",
        transport: Transport::Udp,
        local: std::net::SocketAddr::new(local.ip(), ports::free()),
        remote: local,
        calls: 200,
        rate: 100,
        keys: &[("domain", "strowger.test")],
        credentials: None,
    };
    let counts = subscriber.finish();
    assert_eq!((counts.successful, counts.failed), (200, 0));
    let none_left = || {
        server
            .ctl_json("subscriptions")
            .as_array()
            .is_some_and(Vec::is_empty)
    };
    assert!(wait::until_true(Duration::from_secs(5), none_left));
}

/// baresip asks for its messages waiting again and again, thousands of times a second, without waiting for an answer: only a refusal
/// that comes in time for its next turn ends that, whatever its status. So each is refused at once, nothing is kept of it, and
/// others are served meanwhile.
#[test]
fn a_phone_that_asks_for_messages_waiting_is_refused_and_harms_nobody() {
    let server = Setup::with_digest()
        .user("alice", "alicepw")
        .user("bob", "bobpw")
        .start();
    let account = Account {
        user: "alice",
        domain: "strowger.test",
        password: Some("alicepw"),
        server: server.sip(),
        local: server.sip().ip(),
        transport: "udp",
        tone: 440.0,
    };
    let _baresip = Baresip::registered_with(&account, "module_app mwi.so\n");
    let asked = || server.metric("strowger_sip_requests_received_total{method=\"SUBSCRIBE\"}");
    let refused = || server.metric("strowger_sip_requests_rejected_total{class=\"4xx\"}");
    assert!(wait::until_true(Duration::from_secs(5), || asked() > 0 && refused() > 0));
    for _ in 0..5 {
        let phone = Peer::udp(server.sip());
        let ok = phone.exchange_as(&phone.register("sip:bob@strowger.test", 300), "bob", "bobpw");
        assert_eq!(ok.status(), Some(200), "{}", ok.text());
        thread::sleep(Duration::from_millis(300));
    }
    let (asked, refused) = (asked(), refused());
    assert!(refused + 1000 >= asked, "{refused} of {asked}");
    let subscriptions = server.ctl_json("subscriptions");
    assert!(
        subscriptions.as_array().is_some_and(Vec::is_empty),
        "{subscriptions}"
    );
    // What the REGISTERs leave for a while.
    let kept = server.metric("strowger_transactions");
    assert!(kept < 100, "{kept}");
}
