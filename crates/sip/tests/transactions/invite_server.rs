//! RFC 3261 §17.2.1 with RFC 6026 §7.1.

use strowger_sip::transaction::{Matched, Timers};

use crate::bench::{Bench, request, tcp, udp};

fn ack() -> String {
    request("ACK").replace("<sip:bob@example.test>", "<sip:bob@example.test>;tag=b")
}

// §17.2.1: the most recent provisional response answers an INVITE that comes again.
#[test]
fn an_invite_that_comes_again_gets_the_last_provisional_response() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("INVITE"), udp());
    assert_eq!(bench.offer(&request("INVITE")), Matched::Absorbed);
    assert_eq!(bench.log(), "", "nothing was sent that could be repeated");
    assert!(bench.answer(server, 100));
    bench.offer(&request("INVITE"));
    assert!(bench.answer(server, 183));
    assert!(bench.answer(server, 180));
    bench.pass(200_000);
    bench.offer(&request("INVITE"));
    assert_eq!(bench.log(), "0 100, 0 100, 0 183, 0 180, 200000 180");
    assert!(!bench.layer.is_final(server));
}

// Timer G doubles from T1 to T2; timer H is 64*T1.
#[test]
fn a_refusal_is_repeated_at_intervals_up_to_t2_until_timer_h() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("INVITE"), udp());
    assert!(bench.answer(server, 486));
    assert!(bench.layer.is_final(server));
    bench.pass(31_999);
    let times = [
        0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    let expected: Vec<_> = times.iter().map(|at| format!("{at} 486")).collect();
    assert_eq!(bench.log(), expected.join(", "));
    assert_eq!(bench.layer.counts(), (1, 0));
    bench.pass(1);
    assert_eq!(bench.log(), "");
    bench.assert_empty();
}

#[test]
fn on_a_reliable_transport_a_refusal_is_sent_once_and_timer_h_still_ends_it() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("INVITE"), tcp());
    bench.answer(server, 486);
    bench.pass(31_999);
    assert_eq!((bench.log().as_str(), bench.layer.counts()), ("0 486", (1, 0)));
    bench.pass(1);
    bench.assert_empty();
}

// §17.2.1: in Completed, an INVITE that comes again gets the final response again.
#[test]
fn an_invite_that_comes_again_gets_the_refusal_again() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("INVITE"), udp());
    bench.answer(server, 603);
    bench.pass(200);
    assert_eq!(bench.offer(&request("INVITE")), Matched::Absorbed);
    assert_eq!(bench.log(), "0 603, 200 603");
    assert!(!bench.answer(server, 486), "one final response");
    assert!(!bench.answer(server, 200));
    assert!(!bench.answer(server, 180));
    assert_eq!(bench.log(), "");
}

// Timer I: T4 on an unreliable transport. Confirmed absorbs ACKs and sends nothing.
#[test]
fn the_ack_ends_the_repeats_and_more_of_them_are_absorbed_until_timer_i() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("INVITE"), udp());
    bench.answer(server, 486);
    bench.pass(600);
    assert_eq!(bench.offer(&ack()), Matched::Absorbed);
    bench.pass(4999);
    assert_eq!(bench.offer(&ack()), Matched::Absorbed);
    assert_eq!(bench.offer(&request("INVITE")), Matched::Absorbed);
    assert_eq!(
        (bench.log().as_str(), bench.layer.counts()),
        ("0 486, 500 486", (1, 0))
    );
    bench.pass(1);
    bench.assert_empty();
    assert_eq!(bench.offer(&ack()), Matched::New);
}

#[test]
fn on_a_reliable_transport_the_ack_ends_the_transaction_at_once() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("INVITE"), tcp());
    bench.answer(server, 486);
    bench.offer(&ack());
    bench.pass(0);
    bench.assert_empty();
}

#[test]
fn an_ack_before_any_final_response_changes_nothing() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("INVITE"), udp());
    bench.answer(server, 180);
    assert_eq!(bench.offer(&ack()), Matched::Absorbed);
    assert!(bench.answer(server, 200));
    assert_eq!(bench.log(), "0 180, 0 200");
}

// RFC 6026 §7.1: Accepted lets more 2xx of the user through, absorbs the INVITE, passes the ACK up, and ends with timer L.
#[test]
fn after_a_2xx_the_invite_is_absorbed_the_ack_passed_up_and_timer_l_ends_it() {
    for to in [udp(), tcp()] {
        let mut bench = Bench::new();
        let server = bench.accept(&request("INVITE"), to);
        bench.answer(server, 180);
        bench.pass(1000);
        assert!(bench.answer(server, 200));
        assert_eq!(bench.offer(&request("INVITE")), Matched::Absorbed);
        assert_eq!(bench.offer(&ack()), Matched::New, "the ACK is the user's");
        bench.pass(31_999);
        assert!(bench.answer(server, 200));
        assert!(!bench.answer(server, 486));
        assert!(!bench.answer(server, 180));
        assert_eq!(bench.offer(&request("INVITE")), Matched::Absorbed);
        assert_eq!(
            (bench.log().as_str(), bench.layer.counts()),
            ("0 180, 1000 200, 32999 200", (1, 0))
        );
        bench.pass(1);
        bench.assert_empty();
        assert!(!bench.answer(server, 200), "RFC 6026 §8.3: discarded");
        assert_eq!(bench.log(), "");
    }
}

#[test]
fn t1_scales_timers_g_h_and_l() {
    let timers = Timers {
        t1_ms: 1000,
        ..Timers::DEFAULT
    };
    let mut bench = Bench::with(timers);
    let server = bench.accept(&request("INVITE"), udp());
    bench.answer(server, 486);
    bench.pass(8000);
    assert_eq!(bench.log(), "0 486, 1000 486, 3000 486, 7000 486");
    bench.pass(56_000);
    bench.assert_empty();
    let server = bench.accept(&request("INVITE"), udp());
    bench.answer(server, 200);
    bench.pass(63_999);
    assert_eq!(bench.layer.counts(), (1, 0));
    bench.pass(1);
    bench.assert_empty();
}

// §9.2: a CANCEL names the INVITE by its branch and sent-by, in every state.
#[test]
fn a_cancel_finds_its_invite_in_every_state() {
    for code in [None, Some(180), Some(200), Some(486)] {
        let mut bench = Bench::new();
        let server = bench.accept(&request("INVITE"), udp());
        code.map(|code| bench.answer(server, code));
        assert_eq!(bench.offer(&request("CANCEL")), Matched::Cancel(server));
    }
    assert_eq!(Bench::new().offer(&request("CANCEL")), Matched::New);
}

#[test]
fn a_transaction_without_final_response_stays() {
    let mut bench = Bench::new();
    let server = bench.accept(&request("INVITE"), udp());
    bench.answer(server, 100);
    bench.pass(24 * 3_600_000);
    assert_eq!(bench.layer.counts(), (1, 0));
    bench.layer.drop_server(server);
    bench.assert_empty();
}
