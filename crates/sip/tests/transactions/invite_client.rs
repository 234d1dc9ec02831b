//! RFC 3261 §17.1.1 with RFC 6026 §7.2; CANCEL by RFC 3261 §9.1.

use strowger_sip::transaction::Timers;

use crate::bench::{Bench, request, response, tcp, udp};

#[test]
fn a_retransmission_is_the_same_bytes_to_the_same_place() {
    let mut bench = Bench::new();
    let text = request("INVITE").replace("Content-Length", "X-Odd:   spaces \r\nContent-Length");
    bench.send_text(&text, udp());
    bench.log();
    bench.pass(500);
    assert_eq!(bench.last(), (text.as_str(), udp()));
}

#[test]
fn a_next_hop_that_says_nothing_is_given_up_after_its_own_time() {
    for to in [udp(), tcp()] {
        let mut bench = Bench::with(Timers::DEFAULT);
        bench.send("INVITE", to);
        bench.pass(2999);
        assert_eq!(bench.ended(), []);
        bench.pass(1);
        assert_eq!(bench.ended(), [(3000, true)]);
        bench.assert_empty();
    }
}

#[test]
fn the_time_for_a_silent_next_hop_never_exceeds_timer_b() {
    let mut bench = Bench::with(Timers {
        next_hop_timeout_ms: u64::MAX,
        ..Timers::DEFAULT
    });
    bench.send("INVITE", udp());
    bench.send("MESSAGE", udp());
    bench.pass(40_000);
    assert_eq!(bench.ended(), [(32_000, true), (32_000, true)]);
}

const LONG_INVITE: &str = "INVITE sip:bob@192.0.2.4;x=y SIP/2.0\r\n\
    v: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;z , SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK9\r\n\
    Via: SIP/2.0/TCP 192.0.2.8;branch=z9hG4bK8\r\n\
    Route: <sip:r1.example.test;lr>, <sip:r2.example.test;lr>\r\n\
    Max-Forwards: 12\r\n\
    f: \"A, B\" <sip:alice@example.test>;tag=a\r\n\
    To: <sip:bob@example.test>\r\n\
    Route: <sip:r3.example.test;lr>\r\n\
    i: c1@host\r\n\
    CSeq: 2147483647 INVITE\r\n\
    Require: 100rel\r\n\
    Proxy-Require: privacy\r\n\
    Contact: <sip:alice@192.0.2.7>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 4\r\n\r\nv=0\n";

// §17.1.1.3: Request-URI, the top Via alone, From, Call-ID, CSeq number and Routes of the INVITE, To of the response.
#[test]
fn the_ack_to_a_refusal_is_made_from_the_invite_and_the_responses_to() {
    let mut bench = Bench::new();
    let client = bench.send_text(LONG_INVITE, udp());
    let refusal = response(486, "INVITE")
        .replace("To:", "t:")
        .replace("CSeq: 7", "CSeq: 2147483647");
    assert!(bench.hear(client, &refusal));
    let ack = "ACK sip:bob@192.0.2.4;x=y SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;z\r\n\
        Max-Forwards: 70\r\n\
        Route: <sip:r1.example.test;lr>, <sip:r2.example.test;lr>\r\n\
        f: \"A, B\" <sip:alice@example.test>;tag=a\r\n\
        To: <sip:bob@example.test>;tag=b486\r\n\
        Route: <sip:r3.example.test;lr>\r\n\
        i: c1@host\r\n\
        CSeq: 2147483647 ACK\r\n\
        Content-Length: 0\r\n\r\n";
    assert_eq!(bench.last(), (ack, udp()));
}

// Timer D is at least 32 s however small T1 is, and 64*T1 when that is more.
#[test]
fn timer_d_is_never_less_than_32_seconds() {
    for (t1_ms, d_ms) in [(100, 32_000), (1000, 64_000)] {
        let mut bench = Bench::with(Timers {
            t1_ms,
            ..Timers::DEFAULT
        });
        let client = bench.send("INVITE", udp());
        bench.hear(client, &response(404, "INVITE"));
        bench.pass(100_000);
        assert_eq!(bench.ended(), [(d_ms, false)]);
    }
}

// §9.1: Request-URI, Call-ID, To, CSeq number, From, top Via and Routes of the INVITE; no Require, no Proxy-Require.
#[test]
fn the_cancel_is_made_from_the_invite() {
    let mut bench = Bench::new();
    let client = bench.send_text(LONG_INVITE, tcp());
    bench.hear(client, &response(183, "INVITE"));
    bench.cancel(client);
    let cancel = "CANCEL sip:bob@192.0.2.4;x=y SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;z\r\n\
        Max-Forwards: 70\r\n\
        Route: <sip:r1.example.test;lr>, <sip:r2.example.test;lr>\r\n\
        f: \"A, B\" <sip:alice@example.test>;tag=a\r\n\
        To: <sip:bob@example.test>\r\n\
        Route: <sip:r3.example.test;lr>\r\n\
        i: c1@host\r\n\
        CSeq: 2147483647 CANCEL\r\n\
        Content-Length: 0\r\n\r\n";
    assert_eq!(bench.last(), (cancel, tcp()));
}

// §9.1, §17.1.2: the CANCEL is a non-INVITE transaction of its own. The next hop has spoken already, so that its silence
// now is a loss, not its absence: timer F alone ends it.
#[test]
fn an_unanswered_cancel_is_repeated_as_a_non_invite_request_until_timer_f() {
    let mut bench = Bench::with(Timers::DEFAULT);
    let client = bench.send("INVITE", udp());
    bench.hear(client, &response(180, "INVITE"));
    bench.cancel(client);
    bench.pass(60_000);
    let cancels = [
        0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    let cancels: Vec<_> = cancels.iter().map(|at| format!("{at} CANCEL")).collect();
    assert_eq!(bench.log(), format!("0 INVITE, {}", cancels.join(", ")));
    assert!(
        bench.layer.is_pending(client),
        "the INVITE is the user's to give up"
    );
    bench.layer.drop_client(client);
    bench.assert_empty();
}

#[test]
fn a_response_to_a_cancel_that_was_never_sent_is_dropped() {
    let mut bench = Bench::new();
    let client = bench.send("INVITE", udp());
    assert!(!bench.hear(client, &response(200, "CANCEL")));
    assert!(!bench.hear(client, &response(200, "MESSAGE")));
    bench.pass(500);
    assert_eq!(bench.log(), "0 INVITE, 500 INVITE");
}

// The INVITE may end while its CANCEL is still under way.
#[test]
fn nothing_is_left_when_the_invite_ends_before_its_cancel() {
    let mut bench = Bench::new();
    let client = bench.send("INVITE", tcp());
    bench.hear(client, &response(180, "INVITE"));
    bench.cancel(client);
    bench.hear(client, &response(487, "INVITE"));
    bench.pass(0);
    bench.assert_empty();
}
