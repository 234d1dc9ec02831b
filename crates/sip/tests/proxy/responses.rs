//! RFC 3261 §16.7: what becomes of responses.

use crate::stage::{Stage, lines, request, ways};

fn stage(targets: &str) -> Stage {
    stage_of("INVITE", targets)
}

fn stage_of(method: &str, targets: &str) -> Stage {
    let mut stage = Stage::new();
    stage.start(&request(method), &ways(targets));
    stage.log();
    stage
}

// Steps 3, 5 and 9: our Via goes, the rest stays.
#[test]
fn a_provisional_response_is_passed_on_without_our_via_and_otherwise_as_it_is() {
    let mut stage = stage("a");
    let extra = "X-Odd:  spaces \r\nRecord-Route: <sip:us;lr>\r\nContent-Length";
    let response = stage.response('a', 183).replace("Content-Length", extra);
    stage.hear(&response);
    let ours = response.find("Via: ").expect("a Via");
    let end = ours + response[ours..].find("\r\n").expect("a line") + 2;
    assert_eq!(
        stage.heard(),
        format!("{}{}", &response[..ours], &response[end..])
    );
    assert_eq!(stage.order(), "> 183");
    assert_eq!(stage.progress(), [183]);
}

#[test]
fn our_via_goes_from_a_line_that_it_shares() {
    let mut stage = stage("a");
    let response =
        stage
            .response('a', 180)
            .replacen("\r\nVia: SIP/2.0/UDP 192.0.2.77", " , SIP/2.0/UDP 192.0.2.77", 1);
    assert_eq!(lines(&response, "Via").len(), 1);
    stage.hear(&response);
    assert_eq!(
        lines(stage.heard(), "Via"),
        ["SIP/2.0/UDP 192.0.2.77:6000;branch=z9hG4bKcaller"]
    );
}

// Step 5.
#[test]
fn a_100_is_not_passed_on() {
    let mut stage = stage("a");
    stage.answer('a', 100);
    stage.pass(10_000);
    assert_eq!((stage.order().as_str(), stage.progress()), ("", vec![]));
}

// Step 5: every provisional response of every branch.
// §16.7 bullet 1.
#[test]
fn provisional_responses_of_all_branches_are_passed_on() {
    let mut stage = stage("ab");
    for (who, code) in [('a', 180), ('b', 183), ('a', 180), ('b', 199)] {
        stage.answer(who, code);
    }
    assert_eq!(stage.order(), "> 180, > 183, > 180, > 199");
}

// Step 5: after a final response, every 2xx to an INVITE is passed on at once; RFC 6026 §7.1 lets it through.
// RFC 3261 §16.7 bullet 3.
#[test]
fn more_2xx_are_passed_on_and_nothing_else_is() {
    let mut stage = stage("abc");
    stage.answer('a', 200);
    stage.pass(400);
    stage.answer('a', 200);
    stage.answer('b', 200);
    stage.answer('c', 180);
    stage.answer('c', 486);
    assert_eq!(stage.order(), "> 200, > 200, > 200, c CANCEL, c ACK");
    stage.answer_cancel('c', 200);
    stage.pass(31_500);
    stage.answer('b', 200);
    assert_eq!(stage.order(), "> 200");
    stage.assert_ends();
}

// RFC 6026 §7.3, §8.3: what comes after the client transaction is gone is dropped.
#[test]
fn a_2xx_that_comes_too_late_is_dropped() {
    let mut stage = stage("a");
    stage.answer('a', 200);
    stage.pass(32_000);
    stage.log();
    stage.answer('a', 200);
    assert_eq!(stage.log(), "");
    stage.assert_ends();
}

#[test]
fn a_2xx_that_crosses_the_cancel_of_a_6xx_wins() {
    let mut stage = stage("ab");
    stage.answer('b', 180);
    stage.answer('a', 600);
    stage.answer('b', 200);
    stage.answer_cancel('b', 481);
    assert_eq!(stage.order(), "> 180, a ACK, b CANCEL, > 200");
    stage.assert_ends();
    assert_eq!(stage.log(), "");
}

#[test]
fn a_branch_that_ignores_its_cancel_holds_a_6xx_back_for_64_t1_at_most() {
    let mut stage = stage("ab");
    stage.answer('b', 180);
    stage.answer('a', 603);
    stage.answer_cancel('b', 200);
    stage.log();
    stage.pass(31_999);
    assert_eq!(stage.order(), "");
    stage.pass(1);
    assert_eq!(stage.log(), "32000 > 603");
    stage.assert_ends();
}

// A provisional response of a branch that was cancelled does not give it more time.
#[test]
fn a_cancelled_branch_cannot_prolong_its_life() {
    let mut stage = stage("ab");
    stage.answer('b', 180);
    stage.answer('a', 603);
    stage.answer_cancel('b', 200);
    stage.pass(30_000);
    stage.answer('b', 183);
    stage.log();
    stage.pass(2000);
    assert_eq!(stage.log(), "32000 > 603");
    stage.assert_ends();
}

// Step 6, for every order in which these may come: 6xx first, else the lowest class; in 4xx what helps to try again.
#[test]
fn the_best_response_is_the_same_in_whatever_order_they_come() {
    let best_of = |codes: &[u16]| {
        let first = |wanted: &[u16]| wanted.iter().copied().find(|code| codes.contains(code));
        let best = first(&[
            603, 302, 401, 407, 415, 420, 484, 404, 486, 408, 480, 500, 501, 503,
        ]);
        best.map_or(0, |best| if best == 503 { 500 } else { best })
    };
    for codes in [
        [302, 404, 500, 603],
        [302, 404, 500, 503],
        [404, 500, 503, 501],
        [503, 407, 501, 404],
        [401, 404, 408, 480],
        [484, 404, 408, 503],
        [420, 486, 480, 500],
        [415, 486, 603, 302],
        [503, 503, 503, 503],
        [503, 503, 500, 503],
        [408, 503, 480, 480],
    ] {
        for order in permutations() {
            let mut stage = stage("abcd");
            for (i, who) in order.into_iter().zip("abcd".chars()) {
                stage.answer(who, codes[i]);
            }
            let expected = best_of(&codes);
            let told: u16 = stage.heard()[8..11].parse().expect("a status");
            let same_worth = [
                (404, 486),
                (486, 404),
                (500, 501),
                (501, 500),
                (408, 480),
                (480, 408),
            ];
            assert!(
                told == expected || same_worth.contains(&(told, expected)),
                "{codes:?} {order:?}: {told}"
            );
            assert_eq!(stage.progress(), [told]);
            stage.assert_ends();
        }
    }
}

fn permutations() -> Vec<[usize; 4]> {
    let mut all = Vec::new();
    for code in 0..256 {
        let order = [code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3];
        if (0..4).all(|i| order.contains(&i)) {
            all.push(order);
        }
    }
    assert_eq!(all.len(), 24);
    all
}

#[test]
fn a_refusal_is_passed_on_when_the_last_branch_is_done_and_not_before() {
    let mut stage = stage("abc");
    stage.answer('a', 404);
    stage.answer('b', 486);
    assert_eq!(stage.order(), "a ACK, b ACK");
    stage.answer('c', 500);
    assert_eq!(stage.order(), "c ACK, > 404");
    assert!(
        stage.heard().contains("To: <sip:bob@example.test>;tag=a\r\n"),
        "§16.7 step 6: the To tag stays"
    );
    stage.assert_ends();
}

#[test]
fn timer_c_is_gone_with_its_context() {
    let mut stage = stage("a");
    stage.answer('a', 486);
    stage.pass(60_000);
    assert_eq!(stage.endpoint.layer.wheel.next_deadline(), None);
    assert!(stage.proxy.is_empty());
}

// Step 6: the only response was a 503.
#[test]
fn a_503_alone_becomes_a_500_of_our_own() {
    let mut stage = stage("a");
    stage.answer('a', 503);
    assert_eq!(stage.order(), "a ACK, > 500");
    assert_eq!(
        lines(stage.heard(), "Via"),
        ["SIP/2.0/UDP 192.0.2.77:6000;branch=z9hG4bKcaller"]
    );
    stage.assert_ends();
}

// Step 7: the challenges of all 401 and 407 go into the one that is passed on.
#[test]
fn the_challenges_of_all_branches_are_put_together() {
    let mut stage = stage("abcd");
    let challenge = |stage: &Stage, who, code, name: &str| {
        let line = format!("{name}: Digest realm=\"{who}\", nonce=\"n\"\r\nContent-Length");
        stage.response(who, code).replace("Content-Length", &line)
    };
    for (who, code, name) in [
        ('a', 401, "WWW-Authenticate"),
        ('b', 407, "Proxy-Authenticate"),
        ('d', 401, "WWW-Authenticate"),
    ] {
        let text = challenge(&stage, who, code, name);
        stage.hear(&text);
    }
    stage.answer('c', 404);
    let heard = stage.heard();
    assert!(heard.starts_with("SIP/2.0 401 "), "{heard}");
    let realms = |name| {
        lines(heard, name)
            .iter()
            .map(|v| v[13..16].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(realms("WWW-Authenticate"), ["\"a\"", "\"d\""]);
    assert_eq!(realms("Proxy-Authenticate"), ["\"b\""]);
    assert_eq!(lines(heard, "Via").len(), 1);
    stage.assert_ends();
}

// Step 3: a response with no Via but ours was meant for us.
#[test]
fn a_response_with_our_via_alone_is_not_passed_on() {
    for code in [180, 200, 404] {
        let mut stage = stage("a");
        let response = stage
            .response('a', code)
            .replace("Via: SIP/2.0/UDP 192.0.2.77:6000;branch=z9hG4bKcaller\r\n", "");
        assert_eq!(lines(&response, "Via").len(), 1);
        stage.hear(&response);
        assert!(!stage.order().contains(&format!("> {code}")), "{code}");
        stage.assert_ends();
    }
}

#[test]
fn a_final_response_ends_a_non_invite_request() {
    for code in [200, 302, 404, 603] {
        let mut stage = stage_of("MESSAGE", "a");
        stage.answer('a', code);
        assert_eq!(stage.log(), format!("0 > {code}"));
        stage.caller_sends(&request("MESSAGE"));
        assert_eq!(stage.log(), format!("0 > {code}"));
        stage.assert_ends();
    }
}

// Step 5: exactly one final response to what is no INVITE, and no CANCEL for it (§9.1).
#[test]
fn only_the_first_2xx_to_a_non_invite_request_is_passed_on() {
    let mut stage = stage_of("MESSAGE", "abc");
    stage.answer('a', 200);
    stage.answer('b', 200);
    stage.answer('c', 404);
    assert_eq!(stage.log(), "0 > 200");
    stage.assert_ends();
    assert_eq!(stage.log(), "");
}

// RFC 4320 §4.1: nothing provisional but a 100, which we send ourselves when it is due.
#[test]
fn provisional_responses_to_a_non_invite_request_are_not_passed_on() {
    let mut stage = stage_of("MESSAGE", "a");
    stage.answer('a', 183);
    stage.pass(3499);
    assert_eq!(stage.log(), "500 a MESSAGE");
    stage.pass(1);
    assert_eq!(stage.log(), "3500 > 100");
    assert!(
        stage.heard().contains("To: <sip:bob@example.test>\r\n"),
        "no tag in a 100"
    );
    stage.answer('a', 200);
    assert_eq!(stage.log(), "3500 > 200");
    stage.assert_ends();
}
