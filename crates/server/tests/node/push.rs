//! RFC 8599 through the node: contacts whose devices sleep, what the registrar promises them, and requests that wait until they
//! are awake.

mod not_queued;

use strowger_server::config::{KeepAlive, Nat};
use strowger_server::push::NotPushed;
use strowger_testkit::message::{in_dialog, lines, registration, request, routed, start_line, with};
use strowger_testkit::{Plan, Site};

const SERVICES: &str = r#"
[push]
wait = "8s"
window = "10s"
[[push.provider]]
name = "acme"
url = "http://127.0.0.1:1/wake"
[[push.provider]]
name = "fcm"
url = "http://127.0.0.1:1/{pn-param}/send"
"#;

fn site() -> Site {
    Site::of(Plan {
        routing: SERVICES,
        ..Plan::default()
    })
}

/// The contact of a device of bob's, at `b`.
const DEVICE: &str = "<sip:bob@192.0.2.11:5060;pn-provider=acme;pn-param=app;pn-prid=00fc13>";

/// bob's REGISTER number `n` with this contact, for an hour.
fn device(contact: &str, n: u32) -> String {
    registration('b', "sip:bob@example.test", contact, n).replace("Expires: 600", "Expires: 3600")
}

#[track_caller]
fn register(site: &mut Site, contact: &str, n: u32) -> String {
    let answer = site.ask('b', &device(contact, n));
    assert_eq!(start_line(&answer), "SIP/2.0 200 OK");
    answer
}

/// What an answer says of push, without references.
fn caps(answer: &str) -> Vec<String> {
    let without = |caps: &str| match caps.split_once(";+sip.pnspurr=\"") {
        Some((before, behind)) => {
            let (_, after) = behind.split_once('"').expect("an end");
            format!("{before}{after}")
        }
        None => caps.to_owned(),
    };
    lines(answer, "Feature-Caps").into_iter().map(without).collect()
}

/// The reference that a device was given.
fn purr(answer: &str) -> String {
    let caps = lines(answer, "Feature-Caps")[0];
    let (_, behind) = caps.split_once(";+sip.pnspurr=\"").expect("a reference");
    behind.split_once('"').expect("an end").0.to_owned()
}

fn invite(n: u32) -> String {
    request('a', "INVITE", "sip:bob@example.test", n)
}

// RFC 8599 §5.6.1.1, §5.4: the answer says that the device will be pushed.
#[test]
fn a_registration_with_push_parameters_is_promised_a_push() {
    let mut site = site();
    let ok = register(&mut site, DEVICE, 1);
    assert_eq!(caps(&ok), [r#"*;+sip.pns="acme""#]);
    assert!(lines(&ok, "Contact")[0].contains("pn-prid=00fc13"), "{ok}");
    let refreshed = register(&mut site, DEVICE, 2);
    assert_eq!(caps(&refreshed), [r#"*;+sip.pns="acme""#]);
    // The service of `fcm` needs to know the project (RFC 8599 §5.6.1.1: all information that is required).
    let whole = "<sip:bob@192.0.2.11:5060;pn-provider=FCM;pn-param=project;pn-prid=x>";
    assert_eq!(caps(&register(&mut site, whole, 3)), [r#"*;+sip.pns="fcm""#]);
    let lacking = "<sip:bob@192.0.2.11:5060;pn-provider=fcm;pn-prid=x>";
    assert_eq!(caps(&register(&mut site, lacking, 4)), [] as [&str; 0]);
}

// RFC 8599 §4.1.4, §5.6.1.1: who needs no push for it is told how long before the end it has to register again.
#[test]
fn a_device_that_refreshes_by_itself_is_told_when() {
    let ok = register(&mut site(), &format!("{DEVICE};+sip.pnsreg"), 1);
    assert_eq!(caps(&ok), [r#"*;+sip.pns="acme";+sip.pnsreg="151""#]);
}

/// A contact that asks which services there are.
const QUESTION: &str = "<sip:bob@192.0.2.11:5060;pn-provider>";

// RFC 8599 §5.6.1.2: a question names no device, and is answered with the services that there are.
#[test]
fn a_question_is_answered_with_the_services() {
    let mut site = site();
    let all = register(&mut site, QUESTION, 1);
    assert_eq!(caps(&all), [r#"*;+sip.pns="acme""#, r#"*;+sip.pns="fcm""#]);
    let one = register(&mut site, "<sip:bob@192.0.2.11:5060;pn-provider=fcm>", 2);
    assert_eq!(caps(&one), [r#"*;+sip.pns="fcm""#]);
    let none = site.ask('b', &device("<sip:bob@192.0.2.11:5060;pn-provider=apns>", 3));
    assert_eq!(
        start_line(&none),
        "SIP/2.0 555 Push Notification Service Not Supported"
    );
    let mut site = self::site();
    register(&mut site, QUESTION, 1);
    // Nobody is pushed who has named no device (RFC 8599 §4.1.2, §5.5).
    site.log();
    site.send('a', &invite(1));
    assert_eq!(site.log(), "a 100, b INVITE");
    assert!(site.push().is_none());
}

// RFC 8599 §5.6.1.1: a service that is not served is no reason to refuse, unless the configuration makes it one.
#[test]
fn a_device_of_a_service_that_is_not_served_is_promised_nothing() {
    let contact = "<sip:bob@192.0.2.11:5060;pn-provider=apns;pn-prid=x>";
    let mut site = site();
    assert_eq!(caps(&register(&mut site, contact, 1)), [] as [&str; 0]);
    site.send('a', &invite(1));
    assert_eq!(site.log(), "a 100, b INVITE");
    let mut strict = Site::of(Plan {
        routing: "[push]\nunserved = \"refuse\"\n[[push.provider]]\nname = \"acme\"\nurl = \"http://127.0.0.1:1/\"\n",
        ..Plan::default()
    });
    let refused = strict.ask('b', &device(contact, 1));
    assert_eq!(
        start_line(&refused),
        "SIP/2.0 555 Push Notification Service Not Supported"
    );
    let gone = strict.ask('b', &device(contact, 2).replace("Expires: 3600", "Expires: 0"));
    assert_eq!(start_line(&gone), "SIP/2.0 200 OK");
}

// RFC 8599 §5.6.1.1: 423 where the registration would end before it can be refreshed by a push.
#[test]
fn a_registration_that_is_too_brief_for_a_push_is_refused() {
    let (mut site, mut n) = (site(), 0);
    for (expires, status) in [(150, "423 Interval Too Brief"), (151, "200 OK"), (0, "200 OK")] {
        n += 1;
        let text = device(DEVICE, n).replace("Expires: 3600", &format!("Expires: {expires}"));
        let answer = site.ask('b', &text);
        assert_eq!(start_line(&answer), format!("SIP/2.0 {status}"));
        if expires == 150 {
            assert_eq!(lines(&answer, "Min-Expires"), ["151"]);
        }
    }
    let param = device(&format!("{DEVICE};expires=60"), n + 1);
    assert_eq!(
        start_line(&site.ask('b', &param)),
        "SIP/2.0 423 Interval Too Brief"
    );
}

// RFC 8599 §5.6.1.1: a proxy in front that pushes is left to it.
#[test]
fn a_device_that_another_proxy_pushes_is_not_pushed() {
    let mut site = site();
    let text = with(&device(DEVICE, 1), "Feature-Caps: *;+sip.pns=\"acme\"");
    let ok = site.ask('b', &text);
    assert_eq!(caps(&ok), [] as [&str; 0]);
    site.send('a', &invite(1));
    assert_eq!(site.log(), "a 100, b INVITE");
    assert!(site.push().is_none());
    assert_eq!(site.refreshes(None), [] as [&str; 0]);
}

// RFC 8599 §5.6.2: the request waits, the device is pushed, registers, and is sent the request.
#[test]
fn a_call_wakes_a_device_and_reaches_it() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    site.pass(600_000);
    site.send('a', &invite(1));
    assert_eq!(site.log(), "a 100", "a caller is told at once that it goes on");
    let ask = site.push().expect("a push");
    assert_eq!(ask.provider.name(), "acme");
    assert_eq!((&*ask.push.param, &*ask.push.prid.0), ("app", "00fc13"));
    assert_eq!(
        (&*ask.push.aor, &*ask.push.method, ask.push.urgent),
        ("bob@example.test", "INVITE", true)
    );
    assert!(!format!("{ask:?}").contains("00fc13"), "{ask:?}");
    site.answer_push(&ask, Ok(()));
    site.pass(2000);
    assert_eq!(site.log(), "");
    site.send('b', &device(DEVICE, 2));
    let log = site.log();
    assert!(log.contains("b 200") && log.contains("b INVITE"), "{log}");
    assert!(
        site.last('b', "INVITE")
            .starts_with("INVITE sip:bob@192.0.2.11:5060;pn-provider=acme")
    );
    site.answer('b', 180);
    site.pick_up();
    assert_eq!(site.log(), "a 180, a 200");
    let journal = site.journal().join("\n");
    assert!(
        journal.contains("device woken aor=bob@example.test after_ms=2000"),
        "{journal}"
    );
    assert!(!journal.contains("00fc13"), "{journal}");
}

// RFC 8599 §5.6.2: whoever is awake rings meanwhile; and whoever answers first has the call.
#[test]
fn other_phones_ring_while_a_device_is_woken() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    let desk = registration('c', "sip:bob@example.test", "<sip:bob@192.0.2.12:5060>", 1);
    site.ask('c', &desk);
    site.send('a', &invite(1));
    assert_eq!(site.log(), "a 100, c INVITE");
    site.answer('c', 180);
    site.send('b', &device(DEVICE, 2));
    let log = site.log();
    assert!(log.starts_with("a 180, b ") && log.contains("b INVITE"), "{log}");
    site.answer('b', 200);
    assert_eq!(site.log(), "a 200, c CANCEL");
    site.answer_cancel('c', 200);
    site.answer('c', 487);
    // Others answer first.
    site.pass(60_000);
    site.push();
    site.send('a', &invite(2));
    assert_eq!(site.log().matches("c INVITE").count(), 1);
    site.answer('c', 200);
    site.log();
    site.ask('b', &device(DEVICE, 3));
    site.pass(10_000);
    assert!(!site.journal().join("\n").contains("not woken"));
}

// RFC 8599 §5.6.2: nobody else is there, and the device does not register: 480 when the bucket timer has run out.
#[test]
fn a_device_that_does_not_wake_is_answered_for() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    site.send('a', &invite(1));
    let ask = site.push().expect("a push");
    site.answer_push(&ask, Ok(()));
    site.pass(7999);
    assert_eq!(site.log(), "a 100");
    site.pass(1);
    assert_eq!(site.log(), "a 480");
    let journal = site.journal().join("\n");
    assert!(
        journal.contains("device not woken aor=bob@example.test fault=device"),
        "{journal}"
    );
    site.assert_ends();
}

// RFC 8599 §5.6.2: a push that fails ends the wait.
#[test]
fn a_push_that_fails_is_answered_for_at_once() {
    for (error, fault) in [
        (NotPushed::Refused(410), "device"),
        (NotPushed::Refused(403), "this-node"),
        (NotPushed::Refused(503), "push-service"),
        (
            NotPushed::NotReady("push.token: No such file".into()),
            "this-node",
        ),
    ] {
        let mut site = site();
        register(&mut site, DEVICE, 1);
        site.send('a', &invite(1));
        let ask = site.push().expect("a push");
        site.answer_push(&ask, Err(error));
        assert_eq!(site.log(), "a 100, a 480");
        let journal = site.journal().join("\n");
        assert!(journal.contains(&format!("fault={fault}")), "{journal}");
        // The next one is tried anew.
        site.send('a', &invite(2));
        assert!(site.push().is_some());
        site.assert_ends();
    }
}

// RFC 8599 §5.6.2, RFC 3261 §16.10.
#[test]
fn a_caller_who_gives_up_waits_no_longer() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    site.send('a', &invite(1));
    site.log();
    site.send('a', &invite(1).replace("INVITE", "CANCEL"));
    assert_eq!(site.log(), "a 200, a 487");
    site.ask('b', &device(DEVICE, 2));
    site.pass(10_000);
    assert!(!site.journal().join("\n").contains("not woken"));
    site.assert_ends();
}

// RFC 8599 §5.2: what waits is forwarded once, whatever is retransmitted meanwhile.
#[test]
fn a_retransmission_waits_with_its_request() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    site.send('a', &invite(1));
    site.send('a', &invite(1));
    assert_eq!(site.log(), "a 100, a 100");
    assert!(site.push().is_some() && site.push().is_none());
    site.send('b', &device(DEVICE, 2));
    assert_eq!(site.log().matches("b INVITE").count(), 1);
}

// RFC 8599 §5.6.2, RFC 4320 §4.1: a request that is no INVITE waits too, and its sender hears of it in time.
#[test]
fn a_message_wakes_a_device_too() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    site.send('a', &request('a', "MESSAGE", "sip:bob@example.test", 1));
    let ask = site.push().expect("a push");
    assert_eq!(&*ask.push.method, "MESSAGE");
    site.pass(4000);
    assert_eq!(site.log(), "a 100");
    site.send('b', &device(DEVICE, 2));
    assert!(site.log().contains("b MESSAGE"));
    site.answer('b', 200);
    assert_eq!(site.log(), "a 200");
    site.send('a', &request('a', "MESSAGE", "sip:bob@example.test", 2));
    assert!(site.log().starts_with("b MESSAGE"), "it is awake now");
    site.assert_ends();
}

// RFC 8599 §5.6.2: at most one push in the window; who has registered since is awake, and who has not is waited for.
#[test]
fn a_device_is_pushed_once_in_the_window() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    site.send('a', &invite(1));
    site.pass(1000);
    site.send('a', &invite(2));
    assert!(site.push().is_some() && site.push().is_none());
    assert_eq!(site.log(), "a 100, a 100");
    site.pass(1000);
    site.send('b', &device(DEVICE, 2));
    assert_eq!(site.log().matches("b INVITE").count(), 2);
    site.send('a', &invite(3));
    assert_eq!(site.log(), "a 100, b INVITE");
    assert!(site.push().is_none());
    site.pass(9000);
    site.log();
    site.send('a', &invite(4));
    assert_eq!(site.log(), "a 100");
    assert!(site.push().is_some(), "the window is over");
}

// RFC 8599 §5.3: the fresh registration may be from another address, and §4.1.3: with another name of the device.
#[test]
fn a_device_that_has_moved_is_known_again() {
    const INSTANCE: &str = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"";
    for fresh in [
        "<sip:bob@192.0.2.12:5060;pn-provider=acme;pn-param=app;pn-prid=00fc13>".to_owned(),
        format!("<sip:bob@192.0.2.12:5060;pn-provider=acme;pn-param=app;pn-prid=another>{INSTANCE}"),
    ] {
        let mut site = site();
        register(&mut site, &format!("{DEVICE}{INSTANCE}"), 1);
        site.send('a', &invite(1));
        assert_eq!(site.log(), "a 100");
        site.pass(1000);
        site.send('b', &device(&fresh, 2));
        assert!(
            site.log().contains("c INVITE"),
            "it is sent where the device is now"
        );
        site.answer('c', 486);
        site.assert_ends();
    }
}

// Of two bindings of one device the older one is no target of its own.
#[test]
fn a_device_is_waited_for_once() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    site.pass(5000);
    register(&mut site, &DEVICE.replace("192.0.2.11", "192.0.2.12"), 2);
    site.log();
    site.send('a', &invite(1));
    assert!(site.push().is_some() && site.push().is_none());
    site.pass(1000);
    site.send('b', &device(&DEVICE.replace("192.0.2.11", "192.0.2.12"), 3));
    let log = site.log();
    assert!(log.contains("c INVITE") && !log.contains("b INVITE"), "{log}");
}

// RFC 8599 §5.6.2, RFC 3327 §5.3, RFC 3263 §4: a device may have registered through a proxy that is a name, which is looked up while
// the request waits for it.
#[test]
fn a_device_behind_a_proxy_with_a_name_is_woken() {
    let by_name = |n: u32| {
        let text = with(&device(DEVICE, n), "Supported: path\r\nPath: <sip:edge.test;lr>");
        text.replacen(
            "Max-Forwards",
            "Via: SIP/2.0/UDP 10.0.0.6;branch=z9hG4bKb\r\nMax-Forwards",
            1,
        )
    };
    for (answered_after, log) in [(0, "f INVITE"), (5000, "f INVITE"), (9000, "")] {
        let mut site = site();
        site.send('b', &by_name(1));
        site.send('a', &invite(1));
        assert!(site.push().is_some());
        site.pass(1000);
        site.send('b', &by_name(2));
        assert_eq!(site.log(), "b 200, a 100, b 200");
        let question = site.question().expect("the name is asked for");
        site.pass(answered_after);
        assert_eq!(site.log().is_empty(), !log.is_empty(), "it is given up in time");
        let edge = "192.0.2.15".parse().expect("an address");
        site.answer_question(&question, &[edge]);
        site.pass(300);
        let after = site.log();
        assert_eq!(after.contains("f INVITE"), !log.is_empty(), "{after}");
        if !log.is_empty() {
            let route = lines(site.last('f', "INVITE"), "Route");
            assert_eq!(route, ["<sip:edge.test;lr>"]);
            site.answer('f', 486);
            assert_eq!(site.log(), "f ACK, a 486");
        }
        site.assert_ends();
    }
}

// Another binding of the same user is no sign of the device's.
#[test]
fn another_phone_that_registers_wakes_nobody() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    site.send('a', &invite(1));
    let desk = registration('c', "sip:bob@example.test", "<sip:bob@192.0.2.12:5060>", 1);
    site.send('c', &desk);
    assert_eq!(site.log(), "a 100, c 200");
    site.pass(8000);
    assert_eq!(site.log(), "a 480");
}

// RFC 3261 §16.7 step 4: a 3xx that leads to a user whose device sleeps wakes it.
#[test]
fn a_call_that_is_sent_on_wakes_a_device() {
    let mut site = Site::of(Plan {
        routing: SERVICES,
        recurse: true,
        ..Plan::default()
    });
    register(&mut site, DEVICE, 1);
    site.register('c');
    site.send('a', &request('a', "INVITE", "sip:carol@example.test", 1));
    assert_eq!(site.log(), "a 100, c INVITE");
    let moved = site.response('c', 302, "Contact: <sip:bob@example.test>");
    site.send('c', &moved);
    assert!(site.push().is_some());
    assert_eq!(site.log(), "c ACK");
    site.pass(1000);
    site.send('b', &device(DEVICE, 2));
    assert!(site.log().contains("b INVITE"));
    site.answer('b', 486);
    site.assert_ends();
}

// RFC 8599 §13: what leads to the device is told to nobody else.
#[test]
fn a_redirection_tells_nothing_of_the_device() {
    let mut site = Site::of(Plan {
        routing: SERVICES,
        mode: strowger_server::config::Mode::Redirect,
        ..Plan::default()
    });
    register(&mut site, DEVICE, 1);
    let moved = site.ask('a', &invite(1));
    assert_eq!(start_line(&moved), "SIP/2.0 302 Moved Temporarily");
    assert_eq!(
        lines(&moved, "Contact"),
        ["<sip:bob@192.0.2.11:5060>;expires=3600"]
    );
}

// RFC 8599 §13: who looks after the server is not told either.
#[test]
fn what_is_explained_tells_nothing_of_the_device() {
    let mut site = site();
    let text = device(DEVICE, 1);
    let explain = |site: &Site, who: char, text: &str| {
        let explained = site.explain(who, text.as_bytes(), false, "");
        (
            explained.sent.len(),
            serde_json::to_string(&explained).expect("JSON"),
        )
    };
    let (sent, told) = explain(&site, 'b', &text);
    assert!(
        sent > 0 && told.contains("pn-prid=...") && !told.contains("00fc13"),
        "{told}"
    );
    register(&mut site, DEVICE, 1);
    site.pass(1000);
    let (_, told) = explain(&site, 'a', &invite(1));
    assert!(!told.contains("00fc13"), "{told}");
}

// Without state nothing can wait.
#[test]
fn a_stateless_proxy_pushes_nobody() {
    let mut site = Site::of(Plan {
        routing: SERVICES,
        mode: strowger_server::config::Mode::Stateless,
        ..Plan::default()
    });
    register(&mut site, DEVICE, 1);
    site.send('a', &invite(1));
    assert!(site.log().contains("b INVITE"));
    assert!(site.push().is_none());
}

#[test]
fn so_many_requests_wait_and_no_more() {
    let limited = SERVICES.replace("[push]", "[push]\nmax_waiting = 2");
    let mut site = Site::of(Plan {
        routing: Box::leak(limited.into_boxed_str()),
        ..Plan::default()
    });
    register(&mut site, DEVICE, 1);
    for n in 1..4 {
        site.send('a', &invite(n));
    }
    assert_eq!(site.log(), "a 100, a 100, a 100, a 480");
    assert!(site.journal().join("\n").contains("fault=this-node"));
    site.assert_ends();
}

#[test]
fn a_registration_on_another_shard_wakes_too() {
    let mut site = Site::of(Plan {
        routing: SERVICES,
        shards: 4,
        ..Plan::default()
    });
    for n in 1..6 {
        register(&mut site, DEVICE, 2 * n);
        site.send('a', &invite(n));
        assert_eq!(site.log(), "a 100");
        let again = device(DEVICE, 2 * n + 1).replace("r-", "other-");
        site.send('b', &again);
        assert!(site.log().contains("b INVITE"));
        site.answer('b', 486);
        site.log();
        site.pass(60_000);
        site.push();
        site.log();
    }
    site.assert_ends();
}

#[test]
fn a_push_that_fails_ends_the_waits_of_all_shards() {
    let mut site = Site::of(Plan {
        routing: SERVICES,
        shards: 4,
        ..Plan::default()
    });
    register(&mut site, DEVICE, 1);
    for n in 1..9 {
        site.send('a', &invite(n));
    }
    site.log();
    let ask = site.push().expect("a push");
    assert!(site.push().is_none());
    site.answer_push(&ask, Err(NotPushed::Refused(410)));
    assert_eq!(site.log(), ["a 480"; 8].join(", "));
    site.assert_ends();
}

// RFC 8599 §5.5: a device is pushed at least 120 s before its registration ends, once, and once more later.
#[test]
fn registrations_are_refreshed_before_they_end() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    site.register('c');
    let mut at = Vec::new();
    for look in 0..120 {
        let due = site.refreshes(Some(30).filter(|_| look > 0));
        at.extend(due.iter().map(|aor| format!("{aor} {}", 3600 - look * 30)));
        site.pass(30_000);
    }
    assert_eq!(at, ["bob@example.test 150", "bob@example.test 60"]);
    // After a start whoever was due meanwhile is pushed.
    let mut site = self::site();
    register(&mut site, DEVICE, 1);
    assert_eq!(site.refreshes(None), [] as [&str; 0]);
    site.pass(3_500_000);
    assert_eq!(site.refreshes(None), ["bob@example.test"]);
    // One that has gone is pushed no more (RFC 8599 §5.5).
    let gone = device(DEVICE, 2).replace("Expires: 3600", "Expires: 0");
    site.ask('b', &gone);
    assert_eq!(site.refreshes(None), [] as [&str; 0]);
}

/// A call from `a` to bob's device, which refers to its registration: its 200 as `a` got it, and the reference.
fn call_with_purr(site: &mut Site) -> (String, String) {
    let reference = purr(&register(site, DEVICE, 1));
    site.send('a', &invite(1));
    site.pass(1000);
    site.send('b', &device(DEVICE, 2));
    let route = lines(site.last('b', "INVITE"), "Record-Route").join(",");
    let contact = format!("Contact: <sip:bob@192.0.2.11:5060;pn-purr={reference}>\r\nRecord-Route: {route}");
    let ok = site.response('b', 200, &contact);
    site.send('b', &ok);
    let ok = site.last('a', "SIP/2.0 200").to_owned();
    site.pass(600_000);
    while site.push().is_some() {}
    site.log();
    (ok, reference)
}

fn later(method: &str, ok: &str, reference: &str) -> String {
    let text = routed(&in_dialog(method, ok, 1), ok);
    let (old, new) = (
        "sip:bob@192.0.2.11:5060",
        format!("sip:bob@192.0.2.11:5060;pn-purr={reference}"),
    );
    text.replacen(&format!("{method} {old}"), &format!("{method} {new}"), 1)
}

// RFC 8599 §6.2.3: a request within a dialog waits until the device is awake, and goes where it was aimed.
#[test]
fn a_request_within_a_dialog_wakes_the_device_that_it_refers_to() {
    let mut site = site();
    let (ok, reference) = call_with_purr(&mut site);
    site.send('a', &later("BYE", &ok, &reference));
    assert_eq!(site.log(), "");
    let ask = site.push().expect("a push");
    assert_eq!((&*ask.push.prid.0, &*ask.push.method), ("00fc13", "BYE"));
    site.pass(1000);
    site.send('b', &device(DEVICE, 3));
    let log = site.log();
    assert!(log.contains("b BYE"), "{log}");
    let bye = site.last('b', "BYE");
    assert!(
        bye.starts_with(&format!("BYE sip:bob@192.0.2.11:5060;pn-purr={reference}")),
        "{bye}"
    );
    site.answer('b', 200);
    assert_eq!(site.log(), "a 200");
    site.assert_ends();
}

// RFC 8599 §6.2.3, RFC 5057 §5.1: an answer that ends no more than its transaction.
#[test]
fn a_request_within_a_dialog_whose_device_does_not_wake_ends_nothing_else() {
    let mut site = site();
    let (ok, reference) = call_with_purr(&mut site);
    site.send('a', &later("UPDATE", &ok, &reference));
    let ask = site.push().expect("a push");
    site.answer_push(&ask, Err(NotPushed::Refused(410)));
    assert_eq!(site.log(), "a 504");
}

// RFC 8599 §6.2.3: what refers to nothing of ours goes its way.
#[test]
fn a_reference_that_was_not_made_here_wakes_nobody() {
    let mut site = site();
    let (ok, reference) = call_with_purr(&mut site);
    let forged = reference.replace(
        &reference[..1],
        if reference.starts_with('A') { "B" } else { "A" },
    );
    site.send('a', &later("BYE", &ok, &forged));
    assert_eq!(site.log(), "b BYE");
    assert!(site.push().is_none());
}

// RFC 8599 §6.2.1: unlinkable from day to day, and the same for each registration of a day.
#[test]
fn a_reference_is_another_one_each_day() {
    let mut site = site();
    let first = purr(&register(&mut site, DEVICE, 1));
    assert_eq!(purr(&register(&mut site, DEVICE, 2)), first);
    site.pass(86_400_000);
    assert_ne!(purr(&register(&mut site, DEVICE, 3)), first);
}

// RFC 8599 §6.2.2: dialogs in which a device may have to be pushed come through here, whatever the configuration says.
#[test]
fn a_dialog_that_may_need_a_push_stays_here() {
    let off = format!("[proxy]\nrecord_route = false\n{SERVICES}");
    let mut site = Site::of(Plan {
        routing: Box::leak(off.into_boxed_str()),
        ..Plan::default()
    });
    let reference = purr(&register(&mut site, DEVICE, 1));
    site.register('a');
    site.register('c');
    site.log();
    let from = |contact: &str| {
        let text = request('b', "INVITE", "sip:carol@example.test", 7);
        with(&text, &format!("Contact: <sip:bob@192.0.2.11{contact}>"))
    };
    site.send('b', &from(""));
    assert_eq!(lines(site.last('c', "INVITE"), "Record-Route").len(), 0);
    site.answer('c', 486);
    site.send(
        'b',
        &from(&format!(";pn-purr={reference}"))
            .replace("call7", "call8")
            .replace("z9hG4bK7", "z9hG4bK8"),
    );
    assert_eq!(lines(site.last('c', "INVITE"), "Record-Route").len(), 1);
    site.send('a', &invite(1));
    site.send('b', &device(DEVICE, 2));
    assert_eq!(lines(site.last('b', "INVITE"), "Record-Route").len(), 1);
}

// A device that sleeps behind a NAT does not answer a ping, and is not to lose its registration for that.
#[test]
fn who_sleeps_is_not_asked_whether_it_is_there() {
    let mut site = Site::of(Plan {
        routing: SERVICES,
        nat: Nat {
            keep_alive: KeepAlive::Options,
            remove_unanswered: true,
            ..Nat::default()
        },
        ..Plan::default()
    });
    register(&mut site, &DEVICE.replace("192.0.2.11", "10.0.0.5"), 1);
    site.log();
    site.pass(600_000);
    assert_eq!(site.log(), "");
    site.send('a', &invite(1));
    assert!(site.push().is_some());
}
