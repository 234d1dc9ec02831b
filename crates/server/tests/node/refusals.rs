//! RFC 3261 §16.3 and §8.2: what is refused, with which answer, and what the node answers for itself.

use strowger_server::node::Control;
use strowger_testkit::message::{ack, in_dialog, lines, request, routed, start_line, with};
use strowger_testkit::{Plan, Site};

const BOB: &str = "sip:bob@example.test";

fn message(n: u32) -> String {
    request('a', "MESSAGE", BOB, n)
}

// §16.3 steps 1 to 5, §16.5, §21.4.1: each fault has its own status and reason.
#[test]
fn every_fault_is_answered_with_what_is_wrong() {
    let long = format!("sip:{}@example.test", "b".repeat(5000));
    for (i, (from, to, answer)) in [
        ("Max-Forwards: 70", "Max-Forwards: 0", "483 Too Many Hops"),
        (
            "Max-Forwards: 70",
            "Max-Forwards: many",
            "400 Malformed Max-Forwards",
        ),
        (
            "Max-Forwards: 70",
            "Max-Forwards: 256",
            "400 Malformed Max-Forwards",
        ),
        (
            "Max-Forwards: 70",
            "Max-Forwards: 70\r\nMax-Forwards: 7",
            "400 More Than One Max-Forwards",
        ),
        (
            "MESSAGE sip:bob@example.test ",
            "MESSAGE urn:service:sos ",
            "416 Unsupported URI Scheme",
        ),
        (
            "MESSAGE sip:bob@example.test ",
            "MESSAGE sip:bob@ ",
            "400 Malformed Request-URI",
        ),
        (
            "MESSAGE sip:bob@example.test ",
            "MESSAGE sip:bob@example.test?Subject=x ",
            "400 Headers In Request-URI",
        ),
        (
            "MESSAGE sip:bob@example.test SIP/2.0",
            "MESSAGE sip:x@example.net?Subject=x SIP/2.0\r\nRoute: <sip:192.0.2.13;lr>",
            "400 Headers In Request-URI",
        ),
        (
            "MESSAGE sip:bob@example.test ",
            "MESSAGE tel:+15551234 ",
            "404 Not Found",
        ),
        (
            "MESSAGE sip:bob@example.test ",
            "MESSAGE sip:nobody@example.test ",
            "404 Not Found",
        ),
        (
            "MESSAGE sip:bob@example.test ",
            "MESSAGE sip:carol@example.test ",
            "480 Temporarily Unavailable",
        ),
        (
            "MESSAGE sip:bob@example.test ",
            &format!("MESSAGE {long} "),
            "414 Request-URI Too Long",
        ),
        (
            "MESSAGE sip:bob@example.test SIP/2.0",
            "MESSAGE sip:bob@example.test SIP/3.0",
            "505 Version Not Supported",
        ),
        (
            "Max-Forwards",
            "Proxy-Require: one, two\r\nMax-Forwards",
            "420 Bad Extension",
        ),
        (
            "Max-Forwards",
            "Route: <sip:no bracket\r\nMax-Forwards",
            "400 Malformed Route",
        ),
        (
            "Max-Forwards",
            "Route: <mailto:x@y>\r\nMax-Forwards",
            "400 Malformed Route",
        ),
        (
            "CSeq: 1 MESSAGE",
            "CSeq: 1 INVITE",
            "400 CSeq Method Does Not Match",
        ),
        ("CSeq: 1 MESSAGE", "CSeq: one MESSAGE", "400 Malformed CSeq"),
        ("From: ", "X-From: ", "400 Missing From"),
        (
            "Call-ID: ",
            "Call-ID: other\r\nCall-ID: ",
            "400 More Than One Call-ID",
        ),
        (
            "Content-Length: 0",
            "Content-Length: 5",
            "400 Content-Length Larger Than Body",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut site = Site::new();
        site.register('b');
        let text = message(i as u32).replacen(from, to, 1);
        assert!(text.contains(to), "{from}");
        let refused = site.ask('a', &text);
        assert_eq!(start_line(&refused), format!("SIP/2.0 {answer}"));
        assert!(refused.contains(">;tag="), "§8.2.6.2: {refused}");
        assert_eq!(lines(&refused, "Via").len(), 1);
        site.send('a', &text.replace("MESSAGE", "ACK"));
        assert_eq!(site.log(), "", "§17: an ACK is never answered: {answer}");
        site.assert_ends();
    }
}

// §16.3 step 5: the answer names what is not understood.
#[test]
fn a_420_lists_every_option_that_is_not_known() {
    let mut site = Site::new();
    site.register('b');
    let refused = site.ask(
        'a',
        &with(&message(1), "Proxy-Require: one, two\r\nProxy-Require: three"),
    );
    assert_eq!(lines(&refused, "Unsupported"), ["one, two, three"]);
}

// §16.3 step 1: header fields and methods that nobody here knows are no reason to refuse.
#[test]
fn what_is_not_known_is_forwarded() {
    let mut site = Site::new();
    site.register('b');
    let text = with(
        &request('a', "FROBNICATE", BOB, 1),
        "Date: no date\r\nRequire: the-moon\r\nX-Odd: <<>>",
    );
    site.send('a', &text);
    assert_eq!(site.log(), "b FROBNICATE");
    assert_eq!(lines(site.last('b', "FROB"), "Date"), ["no date"]);
    site.answer('b', 200);
    assert_eq!(site.log(), "a 200");
    site.assert_ends();
}

// §16.3 step 4 with RFC 5393 §4.2: the same request again, through somebody else, is a loop; a changed one is a spiral.
#[test]
fn a_request_that_comes_back_unchanged_is_a_loop_and_a_changed_one_is_not() {
    let mut site = Site::new();
    for who in ['b', 'c'] {
        site.register(who);
    }
    site.send('a', &request('a', "INVITE", BOB, 1));
    let forwarded = site.last('b', "INVITE").to_owned();
    let back = |uri: &str| {
        let (_, rest) = forwarded.split_once(" SIP/2.0\r\n").expect("a request");
        format!("INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKb\r\n{rest}")
    };
    let looped = site.ask('b', &back(BOB));
    assert_eq!(start_line(&looped), "SIP/2.0 482 Loop Detected");
    site.send('b', &ack(&back(BOB), &looped));
    site.log();
    site.send(
        'b',
        &back("sip:carol@example.test").replace("z9hG4bKb", "z9hG4bKc"),
    );
    assert_eq!(site.log(), "b 100, c INVITE");
}

// §11.2, §16.3 step 3.
#[test]
fn options_to_the_node_or_with_no_hops_left_tell_what_it_can() {
    let mut site = Site::new();
    site.register('b');
    let no_hops = request('a', "OPTIONS", BOB, 1).replace("Max-Forwards: 70", "Max-Forwards: 0");
    for text in [
        request('a', "OPTIONS", "sip:example.test", 2),
        request('a', "OPTIONS", "sip:192.0.2.1:5060", 3),
        no_hops,
    ] {
        let told = site.ask('a', &text);
        assert_eq!(start_line(&told), "SIP/2.0 200 OK");
        assert!(lines(&told, "Allow")[0].contains("INVITE"));
        for name in ["Accept", "Accept-Encoding", "Accept-Language", "Supported"] {
            assert_eq!(lines(&told, name).len(), 1, "{name}");
        }
    }
    site.send('a', &request('a', "OPTIONS", BOB, 4));
    assert_eq!(site.log(), "b OPTIONS");
}

// §8.2.2.3: Unsupported lists what is not known, and nothing is refused that is.
#[test]
fn options_that_require_something_unknown_are_refused() {
    let mut site = Site::new();
    let options = |n, tags| with(&request('a', "OPTIONS", "sip:example.test", n), tags);
    let refused = site.ask('a', &options(1, "Require: path, the-moon, the-stars"));
    assert_eq!(start_line(&refused), "SIP/2.0 420 Bad Extension");
    assert_eq!(lines(&refused, "Unsupported"), ["the-moon, the-stars"]);
    assert_eq!(
        start_line(&site.ask('a', &options(2, "Require: Path"))),
        "SIP/2.0 200 OK"
    );
}

// §8.2.1, §21.4.6.
// §8.2.7 bullet 4: a CANCEL has nothing to cancel.
#[test]
fn what_the_node_itself_cannot_do_is_refused() {
    let mut site = Site::new();
    for (method, answer) in [
        ("MESSAGE", "405 Method Not Allowed"),
        ("PUBLISH", "405 Method Not Allowed"),
        ("FOO", "405 Method Not Allowed"),
        ("INVITE", "404 Not Found"),
        ("CANCEL", "481 Call/Transaction Does Not Exist"),
    ] {
        let refused = site.ask('a', &request('a', method, "sip:example.test", 1));
        assert_eq!(start_line(&refused), format!("SIP/2.0 {answer}"));
        assert_eq!(
            lines(&refused, "Allow").len(),
            usize::from(answer.starts_with("405"))
        );
    }
    let in_dialog =
        request('a', "BYE", "sip:example.test", 2).replace("To: <sip:example.test>", "To: <sip:x>;tag=1");
    assert_eq!(
        start_line(&site.ask('a', &in_dialog)),
        "SIP/2.0 481 Call/Transaction Does Not Exist"
    );
    site.send('a', &request('a', "ACK", "sip:example.test", 3));
    assert_eq!(site.log(), "");
    site.assert_ends();
}

// §8.2.7, §17.2.1: an answer that was made without state is acknowledged to nobody.
// §8.2.7 bullet 3.
#[test]
fn the_ack_to_an_answer_of_our_own_goes_nowhere() {
    let mut site = Site::new();
    site.register('b');
    let invite = request('a', "INVITE", BOB, 1).replace("Max-Forwards: 70", "Max-Forwards: 0");
    let refused = site.ask('a', &invite);
    let ack = ack(&request('a', "INVITE", BOB, 1), &refused);
    site.send('a', &ack);
    assert_eq!(site.log(), "");
    let other = ack.replace("Call-ID: ", "Call-ID: x");
    site.send('a', &other);
    assert_eq!(site.log(), "b ACK", "only the tag that was made for this call");
}

// §8.2.7 bullets 1, 2 and 5.
#[test]
fn an_answer_made_without_state_is_the_same_for_a_retransmission() {
    let mut site = Site::new();
    let text = request('a', "INVITE", "sip:nobody@example.test", 1);
    let refused = site.ask('a', &text);
    assert_eq!(
        start_line(&refused),
        "SIP/2.0 404 Not Found",
        "and no 100 before it"
    );
    site.log();
    site.pass(32_000);
    assert_eq!(site.log(), "", "it is not sent again by itself");
    assert_eq!(site.ask('a', &text), refused);
    site.assert_ends();
}

// §21.5.4: new work is shed, what was begun is finished.
#[test]
fn a_draining_node_refuses_new_work_and_finishes_what_was_begun() {
    let mut site = Site::new();
    site.register('b');
    let ok = site.call(1);
    site.send('a', &request('a', "INVITE", BOB, 2));
    site.log();
    site.control(0, Control::Drain);
    for (method, n) in [("INVITE", 3), ("MESSAGE", 4), ("SUBSCRIBE", 5)] {
        let refused = site.ask('a', &request('a', method, BOB, n));
        assert_eq!(start_line(&refused), "SIP/2.0 503 Service Unavailable");
        assert_eq!(lines(&refused, "Retry-After"), ["5"]);
    }
    site.send('a', &request('a', "INVITE", BOB, 2));
    site.answer('b', 486);
    site.log();
    site.send('a', &routed(&in_dialog("BYE", &ok, 1), &ok));
    assert_eq!(site.log(), "b BYE");
    site.answer('b', 200);
    site.register('c');
    site.assert_ends();
}

#[test]
fn a_full_node_refuses_new_work() {
    let mut site = Site::of(Plan {
        max_transactions: 4,
        ..Plan::default()
    });
    site.register('b');
    for n in 1..3 {
        site.send('a', &request('a', "INVITE", BOB, n));
    }
    assert_eq!(
        start_line(&site.ask('a', &request('a', "INVITE", BOB, 3))),
        "SIP/2.0 503 Service Unavailable"
    );
    site.assert_ends();
    site.send('a', &request('a', "INVITE", BOB, 4));
    assert!(site.log().ends_with("b INVITE"));
}

#[test]
fn a_node_whose_memory_for_messages_is_full_refuses_new_work() {
    let mut site = Site::of(Plan {
        max_kept_bytes: 60_000,
        ..Plan::default()
    });
    site.register('b');
    let large = |n| {
        let text = request('a', "INVITE", BOB, n).replace("Content-Length: 0", "Content-Length: 20000");
        text + &"x".repeat(20_000)
    };
    let began = |site: &mut Site, n| {
        site.send('a', &large(n));
        site.log().contains("b INVITE")
    };
    let many = (1..20).take_while(|n| began(&mut site, *n)).count();
    assert!((1..4).contains(&many), "{many} calls were taken");
    let refused = site.ask('a', &large(30));
    assert_eq!(start_line(&refused), "SIP/2.0 503 Service Unavailable");
    site.assert_ends();
    assert!(began(&mut site, 31));
}

// §8.2, §18.3: noise is dropped, and so are responses to nothing (§18.1.2, RFC 6026 §8.9).
#[test]
fn noise_is_not_answered() {
    let mut site = Site::new();
    for text in [
        "",
        "\r\n\r\n",
        "hello",
        "GET / HTTP/1.1\r\n\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
        "OPTIONS sip:x SIP/2.0\r\n\r\n",
    ] {
        site.send('a', text);
    }
    let stray = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKt\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    site.send('a', stray);
    assert_eq!(site.log(), "");
    site.assert_ends();
}
