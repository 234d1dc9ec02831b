//! RFC 3261 §17.1.4 and §17.2.4: what cannot be sent.

use strowger_sip::transaction::{FailedSend, Matched};
use strowger_sip::{Destination, Failure, Flow};

use crate::bench::{Bench, USER, request, response, tcp, udp};

// §17.1.4: the user is told, and the transaction is gone.
#[test]
fn a_request_that_cannot_be_sent_ends_its_transaction() {
    for method in ["INVITE", "MESSAGE"] {
        let mut bench = Bench::new();
        bench.send(method, tcp());
        let token = bench.tokens[0];
        assert_eq!(bench.fail(token), FailedSend::Client(USER));
        bench.assert_empty();
        assert_eq!(bench.fail(token), FailedSend::Nobody, "told twice");
    }
}

#[test]
fn an_icmp_error_ends_the_transaction_it_belongs_to_and_no_other() {
    let mut bench = Bench::new();
    let client = bench.send("MESSAGE", udp());
    let other = bench.send("MESSAGE", udp());
    assert_eq!(bench.layer.on_unreachable(client), FailedSend::Client(USER));
    assert!(bench.layer.is_pending(other));
    assert_eq!(bench.layer.on_unreachable(client), FailedSend::Nobody);
    assert!(bench.layer.is_pending(other));
}

// A peer that has answered may send the rest over a new connection (§18.2.2), and timer C waits for it.
#[test]
fn a_connection_that_ends_ends_what_was_not_answered_over_it() {
    for (method, heard, expected) in [
        ("INVITE", None, FailedSend::Client(USER)),
        ("INVITE", Some(180), FailedSend::Nobody),
        ("INVITE", Some(200), FailedSend::Nobody),
        ("MESSAGE", None, FailedSend::Client(USER)),
        ("MESSAGE", Some(100), FailedSend::Client(USER)),
        ("MESSAGE", Some(200), FailedSend::Nobody),
    ] {
        let mut bench = Bench::new();
        let client = bench.send(method, tcp());
        let token = bench.tokens[0];
        if let Some(code) = heard {
            bench.hear(client, &response(code, method));
        }
        assert_eq!(
            bench.fail_by(token, Failure::Lost),
            expected,
            "{method} {heard:?}"
        );
    }
}

#[test]
fn what_fails_after_the_final_response_is_nobodys_concern() {
    let mut bench = Bench::new();
    let client = bench.send("INVITE", udp());
    bench.hear(client, &response(486, "INVITE"));
    let ack = bench.tokens[1];
    assert_eq!(bench.fail(ack), FailedSend::Nobody);
    assert_eq!(bench.layer.counts(), (0, 1), "the ACK can still be repeated");
}

#[test]
fn a_stale_token_finds_nothing_in_the_place_it_names() {
    let mut bench = Bench::new();
    let client = bench.send("MESSAGE", udp());
    let token = bench.tokens[0];
    bench.layer.drop_client(client);
    let next = bench.send("MESSAGE", udp());
    assert_eq!(next.index, client.index);
    assert_eq!(bench.fail(token), FailedSend::Nobody);
    assert!(bench.layer.is_pending(next));
}

// §18.2.2, §17.2.4: a response whose connection is gone takes the other way; the transaction stays.
#[test]
fn a_response_whose_connection_is_gone_takes_its_other_way_once() {
    for (method, code) in [("INVITE", 486), ("MESSAGE", 200)] {
        let gone = Destination::Flow(Flow {
            shard: 0,
            index: 1,
            generation: 1,
        });
        let mut bench = Bench::new();
        let server = bench.accept_with(&request(method), gone, Some(tcp()));
        bench.answer(server, code);
        assert_eq!(bench.last().1, gone);
        let token = bench.tokens[0];
        assert_eq!(bench.fail(token), FailedSend::Nobody);
        assert_eq!((bench.last().1, bench.tokens.len()), (tcp(), 2));
        assert_eq!(bench.fail(token), FailedSend::Nobody);
        assert_eq!(bench.tokens.len(), 2, "there is no third way");
        assert_eq!(bench.layer.counts(), (1, 0));
        assert_eq!(bench.offer(&request(method)), Matched::Absorbed);
        assert_eq!(bench.last().1, tcp());
    }
}

// A forwarded INVITE may have grown beyond what can be indexed.
#[test]
fn an_invite_with_a_large_head_is_cancelled_and_acknowledged() {
    let mut bench = Bench::new();
    let text = request("INVITE").replace(
        "Content-Length: 0",
        &format!("X: {}\r\nContent-Length: 0", "x".repeat(66_000)),
    );
    let client = bench.send_text(&text, tcp());
    bench.hear(client, &response(180, "INVITE"));
    bench.cancel(client);
    bench.hear(client, &response(486, "INVITE"));
    bench.hear(client, &response(486, "INVITE"));
    assert_eq!(bench.log(), "0 INVITE, 0 CANCEL, 0 ACK, 0 ACK");
    bench.pass(32_000);
    bench.assert_empty();
}

// The body may be larger than what is accepted by default: limits.body_size says how large.
#[test]
fn an_invite_with_a_large_body_is_acknowledged() {
    let mut bench = Bench::new();
    let body = "x".repeat(3 << 20);
    let text = request("INVITE").replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Length: {}\r\n\r\n{body}", body.len()),
    );
    let client = bench.send_text(&text, tcp());
    bench.hear(client, &response(486, "INVITE"));
    assert_eq!(bench.log(), "0 INVITE, 0 ACK");
}
