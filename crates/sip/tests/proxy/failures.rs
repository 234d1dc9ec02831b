//! RFC 3261 §16.9: branches that cannot be reached, and their other ways (RFC 3263 §4.3).

use strowger_sip::proxy::Turn;
use strowger_sip::transaction::Timers;

use crate::stage::{Stage, Way, lines, request, tcp, udp, uri_of, ways};

fn stage(method: &str, ways: &[Way]) -> Stage {
    let mut stage = Stage::with(Timers::DEFAULT);
    stage.start(&request(method), ways);
    stage.log();
    stage
}

/// `a` by TCP, then by UDP.
fn two_ways() -> [Way; 1] {
    [Way {
        uri: uri_of('a'),
        routes: "",
        hop: tcp('a'),
        fallback: Some(udp('a')),
        turn: Turn::default(),
    }]
}

// §16.9: as if a 503 had come, which alone becomes a 500 (§16.7 step 6).
#[test]
fn a_branch_that_cannot_be_sent_counts_as_a_503() {
    for method in ["INVITE", "MESSAGE"] {
        let mut stage = stage(method, &ways("a"));
        stage.fail('a');
        assert_eq!(stage.log(), "0 > 500", "{method}");
        assert_eq!(stage.progress(), [500]);
        stage.assert_ends();
        let mut stage = Stage::with(Timers::DEFAULT);
        stage.start(&request(method), &ways("ab"));
        stage.fail('a');
        stage.answer('b', 404);
        assert!(stage.order().ends_with("> 404"));
        stage.assert_ends();
    }
}

#[test]
fn an_icmp_error_counts_at_once() {
    for method in ["INVITE", "MESSAGE"] {
        let mut stage = stage(method, &ways("a"));
        stage.pass(100);
        stage.icmp('a');
        assert_eq!(stage.log(), "100 > 500", "{method}");
        stage.assert_ends();
    }
}

// §16.6 step 7, §16.7 step 6: 408 when there was no final response at all.
#[test]
fn a_next_hop_that_says_nothing_is_answered_with_408() {
    let mut stage = stage("INVITE", &ways("a"));
    stage.pass(3000);
    assert_eq!(stage.log(), "500 a INVITE, 1500 a INVITE, 3000 > 408");
    assert_eq!(stage.progress(), [408]);
    stage.assert_ends();
}

// RFC 4320 §4.2: never a 408 to anything but INVITE.
#[test]
fn a_silent_next_hop_of_another_request_is_answered_with_504() {
    let mut stage = stage("MESSAGE", &ways("a"));
    stage.pass(4000);
    assert_eq!(
        stage.log(),
        "500 a MESSAGE, 1500 a MESSAGE, 3500 a MESSAGE, 3500 > 100, 4000 > 504"
    );
    stage.assert_ends();
}

// Nobody else can answer within a dialog, so the next hop has the whole of timers B and F (§17.1.1.2, §17.1.2.2).
#[test]
fn a_silent_next_hop_within_a_dialog_is_not_given_up_early() {
    for (method, end) in [
        ("INVITE", "31500 a INVITE, 32000 > 408"),
        ("BYE", "27500 a BYE, 31500 a BYE"),
    ] {
        let mut stage = Stage::with(Timers::DEFAULT);
        let within = request(method).replace("\r\nCall-ID", ";tag=b\r\nCall-ID");
        stage.start(&within, &ways("a"));
        stage.pass(32_000);
        let log = stage.log();
        assert!(log.ends_with(end), "{log}");
        stage.assert_ends();
    }
}

// RFC 3263 §4.3: another address of the same next hop is tried within a dialog too.
#[test]
fn within_a_dialog_the_other_way_is_tried_and_then_waited_for() {
    let mut stage = Stage::with(Timers::DEFAULT);
    let within = request("BYE").replace("\r\nCall-ID", ";tag=b\r\nCall-ID");
    stage.start(&within, &two_ways());
    stage.pass(36_000);
    let log = stage.log();
    assert!(log.contains("4000 a BYE, 4500 a BYE"), "{log}");
    assert!(log.contains("31500 a BYE"), "{log}");
    stage.assert_ends();
}

// RFC 4320 §4.2: an element that cannot answer before the transaction expires sends no final response at all.
#[test]
fn what_timer_f_ends_is_not_answered_any_more() {
    let mut stage = stage("MESSAGE", &ways("a"));
    stage.answer('a', 100);
    stage.pass(60_000);
    let log = stage.log();
    assert!(log.contains("3500 > 100"), "{log}");
    assert!(
        !log.contains("> 504") && !log.contains("> 408") && !log.contains("> 500"),
        "{log}"
    );
    stage.assert_ends();
}

#[test]
fn a_silent_branch_does_not_hide_what_another_one_says() {
    let mut stage = stage("INVITE", &ways("ab"));
    stage.answer('b', 486);
    stage.pass(3000);
    assert!(stage.order().ends_with("> 486"));
    stage.assert_ends();
}

// §16.6 step 7: the next way, with a new client transaction: its own branch, and the Via of its transport.
#[test]
fn the_other_way_is_tried_when_the_first_fails() {
    for method in ["INVITE", "MESSAGE"] {
        let mut stage = stage(method, &two_ways());
        let first = stage.last('a', method).to_owned();
        stage.fail('a');
        assert_eq!(stage.log(), format!("0 a {method}"));
        let second = stage.last('a', method);
        let via = |text: &str| lines(text, "Via")[0].to_owned();
        assert!(via(&first).starts_with("SIP/2.0/TCP 192.0.2.1:5060;branch="));
        assert!(via(second).starts_with("SIP/2.0/UDP 192.0.2.1:5060;branch="));
        assert_ne!(
            via(&first).split("branch=").nth(1),
            via(second).split("branch=").nth(1)
        );
        assert_eq!(lines(second, "Max-Forwards"), ["69"], "counted once");
        stage.answer('a', 200);
        assert_eq!(stage.log(), "0 > 200");
        stage.assert_ends();
    }
}

#[test]
fn the_other_way_is_tried_when_the_first_says_nothing() {
    let mut stage = stage("INVITE", &two_ways());
    stage.pass(3000);
    assert_eq!(stage.log(), "2500 a INVITE, 3000 a INVITE");
    stage.pass(3000);
    assert_eq!(stage.log(), "4000 a INVITE, 5500 > 408, 6000 > 408");
    stage.assert_ends();
}

#[test]
fn both_ways_failing_is_answered_once() {
    let mut stage = stage("INVITE", &two_ways());
    stage.fail('a');
    stage.fail('a');
    assert_eq!(stage.order(), "a INVITE, > 500");
    stage.assert_ends();
}

#[test]
fn a_late_response_to_the_way_that_was_given_up_is_dropped() {
    let mut stage = stage("INVITE", &two_ways());
    let late = stage.response('a', 200);
    stage.pass(3000);
    stage.log();
    stage.hear(&late);
    assert_eq!(stage.log(), "");
    stage.answer('a', 486);
    assert_eq!(stage.order(), "a ACK, > 486");
    stage.assert_ends();
}

// The target was there once it has spoken; it is not tried another way then.
#[test]
fn the_other_way_is_not_tried_after_a_provisional_response() {
    let mut stage = stage("MESSAGE", &two_ways());
    stage.answer('a', 100);
    stage.pass(60_000);
    assert!(!stage.order().contains("a MESSAGE"));
    stage.assert_ends();
}

#[test]
fn the_other_way_is_not_tried_for_a_caller_who_gave_up() {
    let mut stage = stage("INVITE", &two_ways());
    stage.caller_sends(&request("CANCEL"));
    stage.fail('a');
    assert_eq!(stage.order(), "> 487");
    stage.assert_ends();
}

// §17.1.4: the CANCEL that cannot be sent ends the branch; the caller hears 487.
#[test]
fn a_cancel_that_cannot_be_sent_ends_its_branch() {
    let mut stage = stage("INVITE", &ways("a"));
    stage.answer('a', 180);
    stage.caller_sends(&request("CANCEL"));
    stage.log();
    stage.fail('a');
    assert_eq!(stage.order(), "> 487");
    stage.assert_ends();
}

// A large body is accepted when the limits say so; what was kept of it must still do.
#[test]
fn a_request_with_a_large_body_is_answered_when_its_target_is_silent() {
    let body = "x".repeat(3 << 20);
    let text = request("INVITE").replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Length: {}\r\n\r\n{body}", body.len()),
    );
    let mut stage = Stage::with(Timers::DEFAULT);
    stage.start(&text, &two_ways());
    stage.fail('a');
    stage.answer('a', 486);
    assert_eq!(stage.order(), "a/tcp INVITE, a INVITE, a ACK, > 486");
    stage.assert_ends();
    let mut stage = Stage::with(Timers::DEFAULT);
    stage.start(&text, &ways("a"));
    stage.fail('a');
    assert_eq!(stage.order(), "a INVITE, > 500");
    stage.assert_ends();
}

// RFC 3263 §4.3: a server that says 503 has failed, and another one of the same name is tried.
#[test]
fn a_503_leads_to_the_next_hop() {
    for method in ["INVITE", "MESSAGE"] {
        let hops = [Way {
            uri: uri_of('a'),
            routes: "",
            hop: udp('a'),
            fallback: Some(udp('b')),
            turn: Turn::default(),
        }];
        let mut stage = stage(method, &hops);
        stage.pass(100);
        stage.answer('a', 503);
        let ack = if method == "INVITE" { "100 a ACK, " } else { "" };
        assert_eq!(stage.log(), format!("{ack}100 b {method}"));
        // The last one's is not passed on (§16.7 step 6).
        stage.answer('b', 503);
        assert!(stage.log().ends_with("100 > 500"));
        stage.assert_ends();
    }
}

#[test]
fn a_silent_hop_of_a_call_is_given_up_sooner_when_there_is_another_one() {
    let mut stage = stage("INVITE", &two_ways());
    stage.pass(2500);
    assert!(stage.log().ends_with("2500 a INVITE"));
    stage.answer('a', 200);
    stage.assert_ends();
}
