//! Calls from INVITE to BYE through the node, and its account of them.

use strowger_server::admin::CallState;
use strowger_testkit::Site;
use strowger_testkit::message::{ack, in_dialog, lines, request, routed, with};

const BOB: &str = "sip:bob@example.test";

fn site() -> Site {
    let mut site = Site::new();
    site.register('b');
    site
}

fn bye(ok: &str, n: u32) -> String {
    routed(&in_dialog("BYE", ok, n), ok)
}

#[test]
fn a_call_is_seen_from_its_invite_to_its_bye() {
    let mut site = site();
    site.send('a', &request('a', "INVITE", BOB, 1));
    assert_eq!(site.log(), "a 100, b INVITE");
    let call = &site.calls()[0];
    assert_eq!(
        (call.state, call.branches, call.call_id.as_str()),
        (CallState::Trying, 1, "call1@a")
    );
    assert_eq!(
        (call.from.as_str(), call.to.as_str()),
        ("sip:alice@example.test", BOB)
    );
    site.answer('b', 180);
    assert_eq!(site.calls()[0].state, CallState::Ringing);
    site.send('a', &request('a', "INVITE", BOB, 1));
    assert_eq!(
        site.log(),
        "a 180, a 180",
        "a retransmission gets the last response"
    );
    let ok = site.response(
        'b',
        200,
        "Contact: <sip:bob@192.0.2.11:5060>\r\nRecord-Route: <sip:192.0.2.1:5060;lr;st=0>",
    );
    site.send('b', &ok);
    assert_eq!(site.calls()[0].state, CallState::Established);
    let ok = site.last('a', "SIP/2.0 200").to_owned();
    site.send('a', &bye(&ok, 1).replace(";st=0", ""));
    assert_eq!(site.log(), "a 200, a 403", "not without the token");
    let mut site = self::site();
    let ok = site.call(1);
    site.pass(60_000);
    site.send('a', &bye(&ok, 1));
    site.answer('b', 200);
    assert_eq!(site.log(), "b BYE, a 200");
    assert!(site.calls().is_empty());
    site.assert_ends();
}

#[test]
fn a_refused_call_leaves_nothing() {
    let mut site = site();
    site.send('a', &request('a', "INVITE", BOB, 1));
    site.answer('b', 486);
    assert_eq!(site.log(), "a 100, b INVITE, b ACK, a 486");
    assert!(site.calls().is_empty());
    let ack = ack(&request('a', "INVITE", BOB, 1), site.last('a', "SIP/2.0 486"));
    site.send('a', &ack);
    assert_eq!(site.log(), "");
    site.pass(5000);
    assert_eq!(site.log(), "", "the ACK has ended timer G");
    site.assert_ends();
}

// §16.10: 200 for the CANCEL itself at once, 487 from the callee for the INVITE.
#[test]
fn a_caller_who_gives_up_is_answered_and_the_callee_told() {
    let mut site = site();
    site.send('a', &request('a', "INVITE", BOB, 1));
    site.answer('b', 180);
    site.log();
    let cancel = request('a', "CANCEL", BOB, 1);
    site.send('a', &cancel);
    assert_eq!(site.log(), "a 200, b CANCEL");
    site.send('a', &cancel);
    assert_eq!(site.log(), "a 200", "a retransmission");
    assert_eq!(
        lines(site.last('b', "CANCEL"), "Via"),
        lines(site.last('b', "INVITE"), "Via")[..1]
    );
    site.answer_cancel('b', 200);
    site.answer('b', 487);
    assert_eq!(site.log(), "b ACK, a 487");
    assert!(site.calls().is_empty());
    site.assert_ends();
}

#[test]
fn a_bye_that_nobody_answers_ends_the_call_all_the_same() {
    let mut site = site();
    let ok = site.call(1);
    site.send('a', &bye(&ok, 1));
    site.pass(31_500);
    assert!(site.log().ends_with("b BYE"));
    assert_eq!(site.calls().len(), 1);
    // The caller's timer F has fired as well, so nobody waits for an answer (RFC 4320 §4.2).
    site.pass(500);
    assert_eq!(site.log(), "");
    assert!(site.calls().is_empty());
    site.assert_ends();
}

#[test]
fn a_next_hop_that_refuses_or_says_nothing_is_told_of() {
    let mut refused = site();
    refused.send('a', &request('a', "INVITE", BOB, 1));
    refused.icmp(0, 'b');
    assert_eq!(refused.log(), "a 100, b INVITE, a 500");
    refused.assert_ends();
    let mut silent = site();
    silent.send('a', &request('a', "INVITE", BOB, 1));
    silent.pass(3000);
    assert_eq!(
        silent.timed_log(),
        "0 a 100, 0 b INVITE, 500 b INVITE, 1500 b INVITE, 3000 a 408"
    );
    assert!(silent.calls().is_empty());
    silent.assert_ends();
}

// RFC 4028 §10: a session that is not refreshed is over; a peer may not make that a matter of years.
#[test]
fn an_answered_call_is_forgotten_when_nobody_refreshes_or_ends_it() {
    const HOURS: u64 = 3_600_000;
    for (expires, until) in [("1800", 1_832_000), ("4294967295", 12 * HOURS), ("", 12 * HOURS)] {
        let mut site = site();
        site.send('a', &request('a', "INVITE", BOB, 1));
        let line = if expires.is_empty() {
            String::new()
        } else {
            format!("Session-Expires: {expires};refresher=uac")
        };
        let ok = site.response('b', 200, &line);
        site.send('b', &ok);
        site.pass(until - 1);
        assert_eq!(site.calls().len(), 1, "{expires}");
        site.pass(1);
        assert_eq!(site.calls().len(), 0, "{expires}");
        site.assert_ends();
    }
}

#[test]
fn a_call_that_failed_for_us_says_why_and_one_that_was_refused_does_not() {
    let failed = |what: &dyn Fn(&mut Site)| {
        let mut site = site();
        site.journal();
        site.send('a', &request('a', "INVITE", BOB, 1));
        what(&mut site);
        let lines = site.journal();
        let line = lines.first().map_or("", String::as_str);
        let end = line.find(" from=").unwrap_or(line.len());
        line[..end].to_owned()
    };
    assert_eq!(
        failed(&|site| site.icmp(0, 'b')),
        "INFO call failed status=500 reason=next-hop-unreachable"
    );
    assert_eq!(
        failed(&|site| site.pass(40_000)),
        "INFO call failed status=408 reason=next-hop-silent"
    );
    assert_eq!(
        failed(&|site| site.answer('b', 503)),
        "INFO call failed status=500 reason=next-hop-unavailable"
    );
    assert_eq!(
        failed(&|site| site.answer('b', 486)),
        "INFO call failed status=486"
    );
}

// RFC 3262 §3, §4: a reliable provisional response passes as it is, and its PRACK goes by the route set of the dialog.
#[test]
fn a_reliable_ringing_is_acknowledged_through_the_node() {
    let mut site = site();
    let invite = with(&request('a', "INVITE", BOB, 1), "Require: 100rel");
    site.send('a', &invite);
    let route = lines(site.last('b', "INVITE"), "Record-Route")[0].to_owned();
    let ringing = site.response(
        'b',
        183,
        &format!("Contact: <sip:bob@192.0.2.11:5060>\r\nRecord-Route: {route}\r\nRequire: 100rel\r\nRSeq: 7"),
    );
    let refused = site.response('b', 486, "");
    site.send('b', &ringing);
    let ringing = site.last('a', "SIP/2.0 183").to_owned();
    assert_eq!(lines(&ringing, "RSeq"), ["7"]);
    assert_eq!(lines(&ringing, "Require"), ["100rel"]);
    site.log();
    let prack = with(
        &routed(&in_dialog("PRACK", &ringing, 1), &ringing),
        "RAck: 7 1 INVITE",
    );
    site.send('a', &prack);
    assert_eq!(site.log(), "b PRACK");
    assert_eq!(lines(site.last('b', "PRACK"), "RAck"), ["7 1 INVITE"]);
    site.answer('b', 200);
    assert_eq!(site.log(), "a 200");
    site.send('b', &refused);
    assert_eq!(site.log(), "b ACK, a 486");
    site.send('a', &ack(&invite, site.last('a', "SIP/2.0 486")));
    site.assert_ends();
}
