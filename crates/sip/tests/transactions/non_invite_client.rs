//! RFC 3261 §17.1.2.

use strowger_sip::transaction::Timers;

use crate::bench::{Bench, response, tcp, udp};

// Timer E doubles from T1 to T2; timer F is 64*T1.
#[test]
fn an_unanswered_request_is_repeated_at_intervals_up_to_t2_until_timer_f() {
    let mut bench = Bench::new();
    bench.send("MESSAGE", udp());
    bench.pass(31_999);
    let times = [
        0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    let expected: Vec<_> = times.iter().map(|at| format!("{at} MESSAGE")).collect();
    assert_eq!(bench.log(), expected.join(", "));
    assert_eq!(bench.ended(), []);
    bench.pass(1);
    assert_eq!((bench.log().as_str(), bench.ended()), ("", vec![(32_000, true)]));
    bench.assert_empty();
}

#[test]
fn on_a_reliable_transport_a_request_is_sent_once_and_timer_f_still_ends_it() {
    let mut bench = Bench::new();
    bench.send("BYE", tcp());
    bench.pass(31_999);
    assert_eq!((bench.log().as_str(), bench.ended()), ("0 BYE", vec![]));
    bench.pass(1);
    assert_eq!(bench.ended(), [(32_000, true)]);
    bench.assert_empty();
}

// Proceeding goes on repeating, every T2 from the next timer E on.
#[test]
fn after_a_provisional_response_the_request_is_repeated_every_t2_until_timer_f() {
    let mut bench = Bench::new();
    let client = bench.send("MESSAGE", udp());
    bench.pass(600);
    assert!(bench.hear(client, &response(100, "MESSAGE")));
    bench.pass(40_000);
    let times = [0, 500, 1500, 5500, 9500, 13_500, 17_500, 21_500, 25_500, 29_500];
    let expected: Vec<_> = times.iter().map(|at| format!("{at} MESSAGE")).collect();
    assert_eq!(bench.log(), expected.join(", "));
    assert_eq!(bench.ended(), [(32_000, true)]);
    bench.assert_empty();
}

#[test]
fn a_provisional_response_shows_that_the_next_hop_is_there() {
    let mut bench = Bench::with(Timers::DEFAULT);
    let client = bench.send("MESSAGE", tcp());
    bench.pass(2999);
    bench.hear(client, &response(100, "MESSAGE"));
    bench.pass(29_000);
    assert_eq!(bench.ended(), []);
    bench.pass(1);
    assert_eq!(bench.ended(), [(32_000, true)]);
}

#[test]
fn a_next_hop_that_says_nothing_is_given_up_after_its_own_time() {
    for to in [udp(), tcp()] {
        let mut bench = Bench::with(Timers::DEFAULT);
        bench.send("MESSAGE", to);
        bench.pass(3999);
        assert_eq!(bench.ended(), []);
        bench.pass(1);
        assert_eq!(bench.ended(), [(4000, true)]);
        bench.assert_empty();
    }
}

// Timer K: T4 on an unreliable transport. Only the first final response is passed up.
#[test]
fn a_final_response_is_passed_up_once_and_repeats_are_absorbed_until_timer_k() {
    for code in [200, 302, 404, 503, 600] {
        let mut bench = Bench::new();
        let client = bench.send("MESSAGE", udp());
        bench.pass(700);
        assert!(bench.hear(client, &response(code, "MESSAGE")));
        assert!(!bench.layer.is_pending(client));
        bench.pass(4999);
        assert!(!bench.hear(client, &response(code, "MESSAGE")));
        assert!(!bench.hear(client, &response(100, "MESSAGE")));
        assert_eq!(bench.ended(), []);
        bench.pass(1);
        assert_eq!(
            (bench.log().as_str(), bench.ended()),
            ("0 MESSAGE, 500 MESSAGE", vec![(5700, false)])
        );
        bench.assert_empty();
    }
}

#[test]
fn on_a_reliable_transport_a_final_response_ends_the_transaction_at_once() {
    let mut bench = Bench::new();
    let client = bench.send("MESSAGE", tcp());
    bench.pass(700);
    assert!(bench.hear(client, &response(200, "MESSAGE")));
    bench.pass(0);
    assert_eq!(bench.ended(), [(700, false)]);
    bench.assert_empty();
}

// §17.1.3: the method of CSeq is half of the match.
#[test]
fn a_response_to_another_method_is_not_this_transactions() {
    let mut bench = Bench::new();
    let client = bench.send("MESSAGE", udp());
    for method in ["INVITE", "CANCEL", "OPTIONS", "FOO"] {
        assert!(!bench.hear(client, &response(200, method)), "{method}");
    }
    assert!(bench.layer.is_pending(client));
    bench.pass(500);
    assert_eq!(bench.log(), "0 MESSAGE, 500 MESSAGE");
}

// §9.1: a CANCEL should not be sent for anything but INVITE.
#[test]
fn only_an_invite_is_cancelled() {
    let mut bench = Bench::new();
    let client = bench.send("MESSAGE", udp());
    bench.hear(client, &response(100, "MESSAGE"));
    bench.cancel(client);
    assert_eq!(bench.log(), "0 MESSAGE");
}
