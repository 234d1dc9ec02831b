//! RFC 3261 §17.2.2 with RFC 4320 §4.

use strowger_sip::transaction::{Expired, Matched, Timers};

use crate::bench::{Bench, request, tcp, udp};

// §17.2.2: Trying discards what comes again.
#[test]
fn a_request_that_comes_again_before_any_answer_is_discarded() {
    let mut bench = Bench::new();
    bench.accept(&request("MESSAGE"), udp());
    assert_eq!(bench.offer(&request("MESSAGE")), Matched::Absorbed);
    assert_eq!(bench.log(), "");
}

// RFC 4320 §4.1: no 100 before a client's timer E would be reset to T2 (3.5 s with the RFC's values), one then.
#[test]
fn a_100_is_due_when_timer_e_reaches_t2_and_not_before() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("MESSAGE"), udp());
    bench.pass(3499);
    assert!(!bench.answer(server, 100), "too early");
    assert_eq!(bench.events, []);
    bench.pass(1);
    assert_eq!(bench.events, [(3500, Expired::TryingDue(server))]);
    assert!(bench.answer(server, 100));
    bench.pass(1000);
    assert_eq!(bench.offer(&request("MESSAGE")), Matched::Absorbed);
    assert_eq!(bench.log(), "3500 100, 4500 100");
    assert!(
        bench.answer(server, 100),
        "another one of the user's is sent as well"
    );
    assert_eq!(bench.log(), "4500 100");
}

// RFC 4320 §4.1: a reliable transport may carry a 100 at any time.
#[test]
fn on_a_reliable_transport_a_100_may_be_sent_at_once() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("MESSAGE"), tcp());
    assert!(bench.answer(server, 100));
    bench.pass(10_000);
    assert_eq!(
        (bench.log().as_str(), bench.events.len()),
        ("0 100", 0),
        "none is due any more"
    );
}

#[test]
fn the_time_of_the_100_follows_t1_and_t2() {
    for (t1_ms, t2_ms, due) in [
        (500, 4000, 3500),
        (500, 3000, 3500),
        (250, 4000, 3750),
        (1000, 1000, 0),
    ] {
        assert_eq!(
            Timers {
                t1_ms,
                t2_ms,
                ..Timers::DEFAULT
            }
            .trying_after_ms(),
            due,
            "{t1_ms} {t2_ms}"
        );
    }
}

// RFC 4320 §4.1: no provisional response but 100.
#[test]
fn no_other_provisional_response_is_sent() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("MESSAGE"), udp());
    bench.pass(4000);
    for code in [180, 182, 183, 199] {
        assert!(!bench.answer(server, code), "{code}");
    }
    bench.answer(server, 100);
    assert!(!bench.answer(server, 183));
    assert_eq!(bench.log(), "4000 100");
}

// RFC 4320 §4.2: no 408 to anything but INVITE.
#[test]
fn a_408_is_never_sent() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("MESSAGE"), udp());
    assert!(!bench.answer(server, 408));
    bench.pass(4000);
    bench.answer(server, 100);
    assert!(!bench.answer(server, 408));
    assert_eq!(bench.log(), "4000 100");
    bench.layer.drop_server(server);
    bench.assert_empty();
}

// Timer J: 64*T1 on an unreliable transport. Completed answers repeats and takes no other final response.
#[test]
fn the_final_response_answers_repeats_until_timer_j() {
    for trying in [false, true] {
        let mut bench = Bench::new();
        let server = bench.accept(&request("MESSAGE"), udp());
        bench.pass(4000);
        if trying {
            bench.answer(server, 100);
            bench.log();
        }
        assert!(bench.answer(server, 202));
        assert!(bench.layer.is_final(server));
        assert!(!bench.answer(server, 500));
        bench.pass(31_999);
        assert_eq!(bench.offer(&request("MESSAGE")), Matched::Absorbed);
        assert_eq!(bench.log(), "4000 202, 35999 202");
        bench.pass(1);
        bench.assert_empty();
        assert_eq!(bench.offer(&request("MESSAGE")), Matched::New);
    }
}

#[test]
fn on_a_reliable_transport_the_final_response_ends_the_transaction_at_once() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("MESSAGE"), tcp());
    bench.answer(server, 200);
    bench.pass(0);
    bench.assert_empty();
}
