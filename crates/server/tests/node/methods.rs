//! RFC 3261 §16: requests of every method, known or not, go through the proxy and their answers come back.

use strowger_testkit::Site;
use strowger_testkit::message::{in_dialog, lines, request, routed, start_line, with};

const BOB: &str = "sip:bob@example.test";

/// All but INVITE, ACK, CANCEL and REGISTER; the last two are nobody's.
const METHODS: &[&str] = &[
    "OPTIONS",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "REFER",
    "UPDATE",
    "PRACK",
    "INFO",
    "BYE",
    "PING",
    "X!%*_+`'~-.",
];

/// What these methods are about, and a body that nobody here understands.
const ABOUT: &str = "Event: x-odd;id=7\r\nRefer-To: <sip:carol@example.test>\r\nRAck: 1 1 INVITE\r\nSIP-If-Match: x\r\nX-Own: <<>>";

// §16.2, §16.3 step 1: what a method is for is no matter of a proxy's.
#[test]
fn every_method_is_forwarded_and_its_answer_comes_back() {
    for (n, method) in (1..).zip(METHODS) {
        let mut site = Site::new();
        site.register('b');
        let text = with(&request('a', method, BOB, n), ABOUT);
        site.send('a', &text);
        site.send('a', &text);
        assert_eq!(site.log(), format!("b {method}"), "once");
        let sent = site.last('b', method).to_owned();
        assert_eq!(
            start_line(&sent),
            format!("{method} sip:bob@192.0.2.11:5060 SIP/2.0")
        );
        for line in ABOUT.split("\r\n") {
            assert!(sent.contains(&format!("\r\n{line}\r\n")), "{sent}");
        }
        assert_eq!(lines(&sent, "CSeq"), [format!("1 {method}")]);
        let answer = site.response('b', 299, "X-Own: ;;;");
        site.send('b', &answer);
        assert_eq!(site.log(), "a 299");
        assert_eq!(lines(site.last('a', "SIP/2.0 299"), "X-Own"), [";;;"]);
        site.assert_ends();
    }
}

// §16.12: within a dialog, both ways, over the route that was recorded.
#[test]
fn every_method_goes_through_within_a_dialog() {
    for method in METHODS {
        let mut site = Site::new();
        site.register('b');
        let ok = site.call(1);
        site.log();
        site.send('a', &with(&routed(&in_dialog(method, &ok, 1), &ok), ABOUT));
        assert_eq!(site.log(), format!("b {method}"));
        assert_eq!(lines(site.last('b', method), "Route"), [] as [&str; 0]);
        site.answer('b', 200);
        assert_eq!(site.log(), "a 200");
    }
}

// §16.7 step 2: a reliable provisional response is the two ends' matter: it comes as it was sent, and so does its
// PRACK, in the dialog that it has begun.
#[test]
fn reliable_provisional_responses_and_their_pracks_pass() {
    let mut site = Site::new();
    site.register('b');
    let invite = with(&request('a', "INVITE", BOB, 1), "Supported: 100rel");
    site.send('a', &invite);
    let route = lines(site.last('b', "INVITE"), "Record-Route").join(",");
    assert_eq!(lines(site.last('b', "INVITE"), "Supported"), ["100rel"]);
    site.log();
    let reliable = format!(
        "Require: 100rel\r\nRSeq: 4711\r\nRecord-Route: {route}\r\nContact: <sip:bob@192.0.2.11:5060>"
    );
    let progress = site.response('b', 183, &reliable);
    site.send('b', &progress);
    site.send('b', &progress);
    assert_eq!(site.log(), "a 183, a 183", "each time that it comes");
    let got = site.last('a', "SIP/2.0 183").to_owned();
    assert_eq!(
        (lines(&got, "Require"), lines(&got, "RSeq")),
        (vec!["100rel"], vec!["4711"])
    );
    for method in ["PRACK", "UPDATE"] {
        site.send(
            'a',
            &with(&routed(&in_dialog(method, &got, 1), &got), "RAck: 4711 1 INVITE"),
        );
        assert_eq!(site.log(), format!("b {method}"));
        assert_eq!(lines(site.last('b', method), "RAck"), ["4711 1 INVITE"]);
        site.answer('b', 200);
        assert_eq!(site.log(), "a 200");
    }
}
