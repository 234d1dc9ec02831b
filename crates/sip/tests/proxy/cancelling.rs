//! RFC 3261 §16.8 (timer C) and §16.10 (CANCEL).

use strowger_sip::transaction::Timers;

use crate::stage::{Stage, TIMER_C_MS, request, ways};

fn stage(targets: &str) -> Stage {
    let mut stage = Stage::new();
    stage.start(&request("INVITE"), &ways(targets));
    stage.log();
    stage
}

fn cancel() -> String {
    request("CANCEL")
}

// §9.1: before a provisional response, the CANCEL waits for one.
#[test]
fn a_cancel_before_any_response_waits_for_one() {
    let mut stage = stage("a");
    stage.caller_sends(&cancel());
    stage.pass(600);
    assert_eq!(stage.log(), "500 a INVITE");
    stage.answer('a', 100);
    assert_eq!(stage.log(), "600 a CANCEL");
    stage.answer_cancel('a', 200);
    stage.answer('a', 487);
    assert_eq!(stage.order(), "a ACK, > 487");
    stage.assert_ends();
}

#[test]
fn a_final_response_that_crosses_a_cancel_is_passed_on() {
    for (code, order) in [(200, "> 200"), (486, "a ACK, > 486")] {
        let mut stage = stage("a");
        stage.caller_sends(&cancel());
        stage.answer('a', code);
        assert_eq!(stage.order(), order);
        stage.assert_ends();
        assert!(!stage.log().contains("CANCEL"));
    }
}

// §9.1: without a final response 64*T1 after the CANCEL, the transaction is given up; the caller is told 487.
#[test]
fn a_cancelled_branch_that_never_answers_is_answered_with_487() {
    let mut stage = stage("a");
    stage.answer('a', 180);
    stage.caller_sends(&cancel());
    stage.answer_cancel('a', 200);
    stage.log();
    stage.pass(31_999);
    assert_eq!(stage.log(), "");
    stage.pass(1);
    assert_eq!(stage.log(), "32000 > 487");
    stage.assert_ends();
}

#[test]
fn a_silent_branch_that_was_cancelled_is_answered_with_487() {
    let mut stage = Stage::with(Timers::DEFAULT);
    stage.start(&request("INVITE"), &ways("a"));
    stage.caller_sends(&cancel());
    stage.log();
    stage.pass(3000);
    assert_eq!(stage.log(), "500 a INVITE, 1500 a INVITE, 3000 > 487");
    stage.assert_ends();
}

#[test]
fn a_cancel_after_the_final_response_changes_nothing() {
    for code in [200, 404] {
        let mut stage = stage("a");
        stage.answer('a', code);
        stage.log();
        stage.caller_sends(&cancel());
        assert_eq!(stage.log(), "");
        stage.assert_ends();
        assert!(!stage.log().contains("CANCEL"));
    }
}

// §16.8: a branch without any provisional response behaves as if it had received a 408.
#[test]
fn timer_c_is_for_invite_only() {
    let mut stage = Stage::new();
    stage.start(&request("MESSAGE"), &ways("a"));
    stage.answer('a', 100);
    stage.pass(TIMER_C_MS + 1000);
    assert!(!stage.log().contains("CANCEL"));
    stage.assert_ends();
}
