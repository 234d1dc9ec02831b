//! RFC 3261 §17.2.1 with RFC 6026 §7.1.

use strowger_sip::transaction::{Matched, Timers};

use crate::bench::{Bench, request, udp};

fn ack() -> String {
    request("ACK").replace("<sip:bob@example.test>", "<sip:bob@example.test>;tag=b")
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
