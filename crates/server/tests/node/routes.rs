//! Routes of the configuration in a whole node: each role, what is answered, what changes on the way, and numbers.

use strowger_server::config::Mode;
use strowger_testkit::message::{ack, in_dialog, lines, registration, request, routed, start_line, with};
use strowger_testkit::{Plan, Site};

/// A site whose `a` and `l` may relay.
fn site(routing: &'static str) -> Site {
    Site::of(Plan {
        routing,
        trusted: &["192.0.2.10"],
        ..Plan::default()
    })
}

fn invite(uri: &str, n: u32) -> String {
    request('a', "INVITE", uri, n)
}

const TO_D: &str = "[[route]]\nwhen.prefix = [\"+49\"]\nto = \"sip:192.0.2.13\"\n";

#[test]
fn a_target_without_a_user_gets_the_number_and_only_from_those_who_may_relay() {
    let mut site = site(TO_D);
    site.send('a', &invite("sip:+4930@example.test", 1));
    let sent = site.last('d', "INVITE").to_owned();
    assert_eq!(start_line(&sent), "INVITE sip:+4930@192.0.2.13 SIP/2.0");
    assert_eq!(lines(&sent, "Record-Route").len(), 1);
    site.answer('d', 603);
    site.send(
        'a',
        &ack(
            &invite("sip:+4930@example.test", 1),
            site.last('a', "SIP/2.0 603"),
        ),
    );
    let refused = site.ask('e', &request('e', "INVITE", "sip:+4930@example.test", 2));
    assert_eq!(start_line(&refused), "SIP/2.0 403 Relaying Denied");
    let other = site.ask('a', &invite("sip:+33@example.test", 3));
    assert_eq!(start_line(&other), "SIP/2.0 404 Not Found");
    site.assert_ends();
}

#[test]
fn an_open_route_lets_anybody_through() {
    let mut site = site("[[route]]\nwhen.user = [\"info\"]\nto = \"sip:desk@192.0.2.13\"\nopen = true\n");
    site.send('e', &request('e', "MESSAGE", "sip:info@example.test", 1));
    assert_eq!(
        start_line(site.last('d', "MESSAGE")),
        "MESSAGE sip:desk@192.0.2.13 SIP/2.0"
    );
    site.answer('d', 200);
    site.assert_ends();
}

#[test]
fn a_request_is_refused_with_the_words_of_its_route() {
    let mut site = site(
        "[[route]]\nwhen = { user = [\"bob\"], source = [\"192.0.2.10\"] }\nreply = \"603 Not Today\"\n",
    );
    site.register('b');
    let refused = site.ask('a', &invite("sip:bob@example.test", 1));
    assert_eq!(start_line(&refused), "SIP/2.0 603 Not Today");
    site.send('a', &ack(&invite("sip:bob@example.test", 1), &refused));
    site.send('c', &request('c', "INVITE", "sip:bob@example.test", 2));
    assert_eq!(site.log(), "c 100, b INVITE");
    site.answer('b', 486);
    site.send(
        'c',
        &ack(
            &request('c', "INVITE", "sip:bob@example.test", 2),
            site.last('c', "SIP/2.0 486"),
        ),
    );
    site.assert_ends();
}

// §8.3.
#[test]
fn a_redirection_lists_contacts_with_q_and_expires() {
    let mut site = site(
        "[[route]]\nwhen.user = [\"bob\"]\nredirect = { status = 301 }\n[[route]]\nwhen.prefix = [\"9\"]\nredirect = { status = 300, \
         expires = \"60s\", contacts = [\"sip:far.test\", { uri = \"sip:desk@far.test\", q = 0.5 }] }\n[[route]]\nwhen.user = [\"alt\"]\n\
         redirect = { status = 380, contacts = [\"sip:x@far.test\"] }\n[[route]]\nwhen.user = [\"moved\"]\nto = \
         \"sip:new@far.test\"\nmode = \"redirect\"\n",
    );
    site.register('b');
    for (user, code, contacts) in [
        (
            "99",
            "300 Multiple Choices",
            vec![
                "<sip:99@far.test>;expires=60",
                "<sip:desk@far.test>;q=0.5;expires=60",
            ],
        ),
        ("alt", "380 Alternative Service", vec!["<sip:x@far.test>"]),
        ("moved", "302 Moved Temporarily", vec!["<sip:new@far.test>"]),
    ] {
        let moved = site.ask('a', &invite(&format!("sip:{user}@example.test"), 1));
        assert_eq!(start_line(&moved), format!("SIP/2.0 {code}"));
        assert_eq!(lines(&moved, "Contact"), contacts);
    }
    let moved = site.ask('a', &invite("sip:bob@example.test", 2));
    assert_eq!(start_line(&moved), "SIP/2.0 301 Moved Permanently");
    assert!(
        lines(&moved, "Contact")[0].starts_with("<sip:bob@192.0.2.11:5060>;expires="),
        "{moved}"
    );
    site.send('a', &ack(&invite("sip:bob@example.test", 2), &moved));
    assert_eq!(site.log(), "");
    site.assert_ends();
}

#[test]
fn a_route_changes_the_header_of_what_it_forwards_and_nothing_else() {
    let mut site = site(
        "[[route]]\nwhen.user = [\"bob\"]\nheaders = { set = { X-Account = \"7\" }, add = { X-Hop = \"edge\" }, remove = [\"Subject\"] }\n",
    );
    site.register('b');
    let invite = with(
        &invite("sip:bob@example.test", 1),
        "Subject: x\r\nX-Account: 1\r\nx-account: 2\r\nX-Keep: y",
    );
    site.send('a', &invite);
    let sent = site.last('b', "INVITE").to_owned();
    assert_eq!(lines(&sent, "X-Account"), ["7"]);
    assert_eq!(lines(&sent, "X-Hop"), ["edge"]);
    assert_eq!(lines(&sent, "X-Keep"), ["y"]);
    assert!(!sent.contains("Subject") && !sent.contains("x-account"), "{sent}");
    assert_eq!(start_line(&sent), "INVITE sip:bob@192.0.2.11:5060 SIP/2.0");
    site.answer('b', 200);
    let ok = site.last('a', "SIP/2.0 200").to_owned();
    assert_eq!(lines(&ok, "Via").len(), 1);
    site.pass(200_000);
    assert_eq!(site.calls().len(), 1);
}

// RFC 3966, RFC 3261 §19.1.6.
#[test]
fn a_telephone_number_reaches_a_user_or_a_gateway() {
    let mut site = site(
        "[dial_plan]\ncountry = \"49\"\narea = \"30\"\nown = [\"+4930123\"]\nextensions = \"2-4\"\n[[route]]\nwhen = { prefix = \
         [\"+\"], length = \"5-16\" }\nto = \"sip:192.0.2.13\"\n",
    );
    site.register('b');
    for (n, uri, who, expected) in [
        (1, "tel:+49-30-123-1002", 'b', "sip:bob@192.0.2.11:5060"),
        (2, "tel:1002", 'b', "sip:bob@192.0.2.11:5060"),
        (3, "sip:0301231002@example.test", 'b', "sip:bob@192.0.2.11:5060"),
        (4, "tel:0171-555", 'd', "sip:+49171555@192.0.2.13;user=phone"),
        (
            5,
            "tel:+1-201-555;ext=7",
            'd',
            "sip:+1201555;ext=7@192.0.2.13;user=phone",
        ),
        (6, "sip:0017021@example.test", 'd', "sip:+17021@192.0.2.13"),
    ] {
        site.send('a', &request('a', "MESSAGE", uri, n));
        assert_eq!(
            start_line(site.last(who, "MESSAGE")),
            format!("MESSAGE {expected} SIP/2.0"),
            "{uri}"
        );
        site.answer(who, 200);
    }
    let unknown = site.ask('a', &request('a', "MESSAGE", "tel:77", 9));
    assert_eq!(start_line(&unknown), "SIP/2.0 404 Not Found");
    site.assert_ends();
}

// RFC 3261 §19.1.1.
#[test]
fn a_number_is_known_by_its_parameter_without_a_dial_plan() {
    let mut site = site(TO_D);
    let uri = "sip:+49-30;ext=7@example.test;user=phone";
    site.send('a', &request('a', "MESSAGE", uri, 1));
    assert_eq!(
        start_line(site.last('d', "MESSAGE")),
        "MESSAGE sip:+4930;ext=7@192.0.2.13;user=phone SIP/2.0"
    );
    site.answer('d', 200);
    site.assert_ends();
}

// RFC 3261 §19.1.6.
#[test]
fn a_number_brings_neither_a_host_nor_a_line_of_its_own() {
    let mut site = site(
        "[dial_plan]\ncountry = \"49\"\n[[route]]\nwhen.prefix = [\"+49\"]\nto = \"sip:192.0.2.13\"\nopen = true\n[[route]]\nwhen.prefix = \
         [\"+33\"]\nredirect = { status = 302, contacts = [\"sip:far.test\"] }\n",
    );
    for (n, uri, extras) in [
        (
            1,
            "tel:+4930;ext=1@192.0.2.15;isub=2",
            ";ext=1%40192.0.2.15;isub=2",
        ),
        (2, "tel:+4930;isub=1@192.0.2.15?x=", ";isub=1%40192.0.2.15?x="),
        (
            3,
            "sip:+4930;ext=1%40192.0.2.15%3fx=@example.test;user=phone",
            ";ext=1%40192.0.2.15?x=",
        ),
        (
            4,
            "sip:+4930;ext=1%0d%0aX-Evil%3a1@example.test;user=phone",
            ";ext=1%0D%0AX-Evil%3A1",
        ),
    ] {
        site.send('e', &request('e', "MESSAGE", uri, n));
        assert_eq!(
            start_line(site.last('d', "MESSAGE")),
            format!("MESSAGE sip:+4930{extras}@192.0.2.13;user=phone SIP/2.0"),
            "{uri}"
        );
        assert_eq!(site.log(), "d MESSAGE");
        site.answer('d', 200);
        site.log();
    }
    let uri = "sip:+33;ext=1%0d%0aX-Evil%3a1@example.test;user=phone";
    let moved = site.ask('a', &request('a', "MESSAGE", uri, 9));
    assert_eq!(
        lines(&moved, "Contact"),
        ["<sip:+33;ext=1%0D%0AX-Evil%3A1@far.test;user=phone>"]
    );
    site.assert_ends();
}

#[test]
fn a_number_is_translated_before_its_user_or_target_is_found() {
    let mut site = site(
        "[[route]]\nwhen.prefix = [\"77\"]\nnumber = { strip = 2, prefix = \"10\" }\n[[route]]\nwhen.prefix = [\"0\"]\nnumber = { strip = \
         1, prefix = \"+49\", suffix = \"#\" }\nto = \"sip:192.0.2.13\"\n",
    );
    site.register('b');
    site.send('a', &request('a', "MESSAGE", "sip:7702@example.test", 1));
    assert_eq!(
        start_line(site.last('b', "MESSAGE")),
        "MESSAGE sip:bob@192.0.2.11:5060 SIP/2.0"
    );
    site.answer('b', 200);
    site.send('a', &request('a', "MESSAGE", "sip:030@example.test", 2));
    assert_eq!(
        start_line(site.last('d', "MESSAGE")),
        "MESSAGE sip:+4930%23@192.0.2.13 SIP/2.0"
    );
    site.answer('d', 200);
    // What is cut off are characters, not what escapes are made of.
    site.send('a', &request('a', "MESSAGE", "sip:%3030@example.test", 3));
    assert_eq!(
        start_line(site.last('d', "MESSAGE")),
        "MESSAGE sip:+4930%23@192.0.2.13 SIP/2.0"
    );
    site.answer('d', 200);
    site.assert_ends();
}

// §16.11.
#[test]
fn a_stateless_route_keeps_nothing_and_sends_all_of_a_call_the_same_way() {
    let mut site = site(
        "[[route]]\nwhen.prefix = [\"+\"]\nto = [\"sip:192.0.2.13\", \"sip:192.0.2.14\"]\nmode = \"stateless\"\n",
    );
    let mut reached = [0, 0];
    for n in 0..20 {
        let uri = "sip:+1@example.test";
        site.send('a', &invite(uri, n));
        site.send('a', &request('a', "CANCEL", uri, n));
        let log = site.log();
        let who = log.chars().next().expect("somebody");
        assert_eq!(log, format!("{who} INVITE, {who} CANCEL"));
        let sent = site.last(who, "INVITE").to_owned();
        assert_eq!(lines(&sent, "Record-Route"), [] as [&str; 0]);
        site.answer(who, 487);
        site.send('a', &ack(&invite(uri, n), site.last('a', "SIP/2.0 487")));
        assert_eq!(
            site.log(),
            format!("a 487, {who} ACK"),
            "it has a To tag, and its INVITE's branch"
        );
        reached[usize::from(who == 'e')] += 1;
    }
    assert!(reached[0] > 2 && reached[1] > 2, "{reached:?}");
    site.assert_ends();
}

// §16.2.
#[test]
fn a_transaction_route_forwards_with_state_and_leaves_the_dialog_alone() {
    let mut site = site("[[route]]\nwhen.user = [\"bob\"]\nmode = \"transaction\"\n");
    site.register('b');
    site.send('a', &invite("sip:bob@example.test", 1));
    assert_eq!(site.log(), "a 100, b INVITE");
    assert_eq!(lines(site.last('b', "INVITE"), "Record-Route"), [] as [&str; 0]);
    assert_eq!(site.calls().len(), 0);
    site.answer('b', 200);
    site.assert_ends();
}

#[test]
fn targets_are_tried_at_once_or_one_after_the_other() {
    let mut site = site(
        "[[route]]\nwhen.user = [\"all\"]\nto = [\"sip:192.0.2.13\", \"sip:192.0.2.14\"]\n[[route]]\nwhen.user = [\"one\"]\nto = \
         [\"sip:192.0.2.13\", \"sip:192.0.2.14\"]\nfork = \"sequential\"\nring_timeout = \"5s\"\n",
    );
    site.send('a', &invite("sip:all@example.test", 1));
    assert_eq!(site.log(), "a 100, d INVITE, e INVITE");
    site.answer('d', 404);
    site.answer('e', 486);
    assert_eq!(site.log(), "d ACK, e ACK, a 404");
    site.send(
        'a',
        &ack(&invite("sip:all@example.test", 1), site.last('a', "SIP/2.0 404")),
    );
    site.send('a', &invite("sip:one@example.test", 2));
    assert_eq!(site.log(), "a 100, d INVITE");
    site.answer('d', 180);
    site.pass(5000);
    assert_eq!(site.log(), "a 180, d CANCEL, e INVITE");
    site.answer_cancel('d', 200);
    site.answer('d', 487);
    site.answer('e', 486);
    assert_eq!(site.log(), "d ACK, e ACK, a 486");
    site.send(
        'a',
        &ack(&invite("sip:one@example.test", 2), site.last('a', "SIP/2.0 486")),
    );
    site.assert_ends();
}

// RFC 3841 §9.1.
#[test]
fn a_caller_says_how_many_targets_of_a_route_are_tried_and_where_to_ask() {
    let mut site = site(
        "[[group]]\nname = \"g\"\ntargets = [\"sip:192.0.2.15\"]\n[[route]]\nwhen.user = [\"g\"]\nto = \"g\"\n[[route]]\nto = \
         [\"sip:192.0.2.13\", \"sip:192.0.2.14\"]\n",
    );
    for (n, user, asked, expected) in [
        (1, "x", "fork", "a 100, d INVITE, e INVITE"),
        (2, "x", "no-fork", "a 100, d INVITE"),
        (3, "x", "sequential", "a 100, d INVITE"),
        (4, "x", "redirect", "a 302"),
        (5, "g", "redirect", "a 100, f INVITE"),
    ] {
        let invite = invite(&format!("sip:{user}@example.test"), n);
        site.send('a', &with(&invite, &format!("Request-Disposition: {asked}")));
        assert_eq!(site.log(), expected, "{asked}");
    }
}

#[test]
fn a_stranger_is_not_told_where_targets_and_phones_are() {
    let mut site = Site::of(Plan {
        routing: "[[route]]\nwhen.user = [\"info\"]\nto = \"sip:desk@192.0.2.13\"\nopen = true\n",
        challenged: &["REGISTER"],
        trusted: &["192.0.2.10"],
        ..Plan::default()
    });
    for (n, who, expected) in [(1, 'e', "e 100, d INVITE"), (2, 'a', "a 302")] {
        let invite = request(who, "INVITE", "sip:info@example.test", n);
        site.send(who, &with(&invite, "Request-Disposition: redirect"));
        assert_eq!(site.log(), expected);
    }
}

// §16.6 step 6.
#[test]
fn what_is_foreign_goes_through_the_outbound_proxy() {
    let mut site = site(
        "proxy.outbound = \"sip:192.0.2.13;lr\"\n[[route]]\nwhen.domain = [\"192.0.2.14\"]\nto = \"sip:192.0.2.15;lr\"\n",
    );
    for (n, uri, who, route) in [
        (1, "sip:x@192.0.2.16", 'd', "<sip:192.0.2.13;lr>"),
        (2, "sip:x@192.0.2.14", 'f', "<sip:192.0.2.15;lr>"),
    ] {
        site.send('a', &request('a', "MESSAGE", uri, n));
        let sent = site.last(who, "MESSAGE").to_owned();
        assert_eq!(start_line(&sent), format!("MESSAGE {uri} SIP/2.0"));
        assert_eq!(lines(&sent, "Route"), [route]);
        site.answer(who, 200);
    }
    site.assert_ends();
}

// §16.7 step 4.
#[test]
fn a_foreign_contact_of_a_3xx_is_tried_through_the_outbound_proxy() {
    let mut site = Site::of(Plan {
        routing: "proxy.outbound = \"sip:192.0.2.13;lr\"\n",
        recurse: true,
        trusted: &["192.0.2.10"],
        ..Plan::default()
    });
    site.register('b');
    site.send('a', &invite("sip:bob@example.test", 1));
    let moved = site.response('b', 302, "Contact: <sip:bob@192.0.2.16>");
    site.send('b', &moved);
    assert_eq!(site.log(), "a 100, b INVITE, b ACK, d INVITE");
    let sent = site.last('d', "INVITE").to_owned();
    assert_eq!(start_line(&sent), "INVITE sip:bob@192.0.2.16 SIP/2.0");
    assert_eq!(lines(&sent, "Route"), ["<sip:192.0.2.13;lr>"]);
    site.answer('d', 486);
    let answer = site.last('a', "SIP/2.0 486").to_owned();
    site.send('a', &ack(&invite("sip:bob@example.test", 1), &answer));
    site.assert_ends();
}

#[test]
fn a_request_with_a_route_of_its_own_is_not_asked_about() {
    let mut site = site("[[route]]\nreply = \"603\"\n");
    let message = with(
        &request('a', "MESSAGE", "sip:x@far.test", 1),
        "Route: <sip:192.0.2.13;lr>",
    );
    site.send('a', &message);
    assert_eq!(site.log(), "d MESSAGE");
    site.answer('d', 200);
    site.assert_ends();
}

#[test]
fn a_redirect_node_may_forward_by_a_route() {
    let mut site = Site::of(Plan {
        mode: Mode::Redirect,
        routing: "[[route]]\nwhen.user = [\"bob\"]\nmode = \"stateful\"\n",
        ..Plan::default()
    });
    site.register('b');
    site.send('a', &invite("sip:bob@example.test", 1));
    assert_eq!(site.log(), "a 100, b INVITE");
    site.answer('b', 486);
    site.send(
        'a',
        &ack(&invite("sip:bob@example.test", 1), site.last('a', "SIP/2.0 486")),
    );
    let carol = registration('c', "sip:carol@example.test", "<sip:carol@192.0.2.12>", 5);
    site.ask('c', &carol);
    let moved = site.ask('a', &invite("sip:carol@example.test", 2));
    assert_eq!(start_line(&moved), "SIP/2.0 302 Moved Temporarily");
    site.assert_ends();
}

const GROUP: &str = "[[group]]\nname = \"g\"\ntargets = [{ uri = \"sip:192.0.2.13\", max_calls = 1 }, { uri = \"sip:192.0.2.14\", \
    priority = 1, max_rate = 1 }]\n[[route]]\nwhen.prefix = [\"+\"]\nto = \"g\"\n";

#[test]
fn a_group_gives_each_target_no_more_calls_than_it_may_have() {
    let mut site = site(GROUP);
    let uri = "sip:+1@example.test";
    site.send('a', &invite(uri, 1));
    assert_eq!(site.log(), "a 100, d INVITE");
    site.send('a', &invite(uri, 2));
    assert_eq!(site.log(), "a 100, e INVITE");
    let full = site.ask('a', &invite(uri, 3));
    assert_eq!(start_line(&full), "SIP/2.0 503 No Target Available");
    assert_eq!(lines(&full, "Retry-After"), ["5"]);
    site.pass(1000);
    site.log();
    site.send('a', &invite(uri, 4));
    assert_eq!(site.log(), "a 100, e INVITE", "the next second has begun");
    site.answer('d', 486);
    site.send('a', &ack(&invite(uri, 1), site.last('a', "SIP/2.0 486")));
    site.log();
    site.send('a', &invite(uri, 5));
    assert_eq!(site.log(), "a 100, d INVITE", "the first call is over");
}

/// A request within the dialog of this 200, to where the call was for.
fn within(method: &str, uri: &str, ok: &str, n: u32) -> String {
    let text = in_dialog(method, ok, n);
    let contact = start_line(&text).split(' ').nth(1).unwrap_or_default().to_owned();
    routed(&text.replacen(&contact, uri, 1), ok)
}

/// Answers the last INVITE with 200; how that came to the caller.
fn pick_up(site: &mut Site, who: char) -> String {
    let route = format!(
        "Record-Route: {}",
        lines(site.last(who, "INVITE"), "Record-Route")[0]
    );
    let ok = site.response(who, 200, &route);
    site.send(who, &ok);
    site.last('a', "SIP/2.0 200").to_owned()
}

const ALSO_IN_DIALOGS: &str = "[[route]]\nwhen = { prefix = [\"+\"], in_dialog = true }\nto = \"g\"\n";

#[test]
fn a_target_that_is_full_gets_the_requests_of_its_own_calls() {
    let mut site = site(Box::leak(format!("{GROUP}{ALSO_IN_DIALOGS}").into_boxed_str()));
    let uri = "sip:+1@example.test";
    site.send('a', &invite(uri, 1));
    let ok = pick_up(&mut site, 'd');
    site.send('a', &invite(uri, 2));
    assert_eq!(site.log(), "a 100, d INVITE, a 200, a 100, e INVITE");
    for method in ["ACK", "INFO", "INVITE", "BYE"] {
        site.send('a', &within(method, uri, &ok, 1));
        if method != "ACK" {
            site.answer('d', 200);
        }
    }
    assert_eq!(
        site.log(),
        "d ACK, d INFO, a 200, a 100, d INVITE, a 200, d BYE, a 200"
    );
}

#[test]
fn a_call_counts_for_the_target_that_it_was_handed_on_to() {
    let groups = "[[group]]\nname = \"g\"\ntargets = [{ uri = \"sip:192.0.2.13\", max_calls = 1 }, { uri = \"sip:192.0.2.14\", \
                  priority = 1, max_calls = 1 }, { uri = \"sip:192.0.2.15\", priority = 2 }]\nfailover = [404]\n[[route]]\n\
                  when.prefix = [\"+\"]\nto = \"g\"\n";
    let mut site = site(Box::leak(format!("{groups}{ALSO_IN_DIALOGS}").into_boxed_str()));
    let uri = "sip:+1@example.test";
    site.send('a', &invite(uri, 1));
    site.answer('d', 404);
    assert_eq!(site.log(), "a 100, d INVITE, d ACK, e INVITE");
    let ok = pick_up(&mut site, 'e');
    for n in [2, 3] {
        site.send('a', &invite(uri, n));
    }
    assert_eq!(site.log(), "a 200, a 100, d INVITE, a 100, f INVITE");
    site.send('a', &within("BYE", uri, &ok, 1));
    site.answer('e', 200);
    site.send('a', &invite(uri, 4));
    assert_eq!(site.log(), "e BYE, a 200, a 100, e INVITE");
}

#[test]
fn a_group_tries_the_next_target_on_chosen_answers_and_on_no_others() {
    let mut site = site(
        "[[group]]\nname = \"g\"\ntargets = [\"sip:192.0.2.13\", { uri = \"sip:192.0.2.14\", priority = 1 }, { uri = \
         \"sip:192.0.2.15\", priority = 2 }]\nfailover = [404, 408, 503]\nring_timeout = \"4s\"\n[[route]]\nwhen.prefix = \
         [\"+\"]\nto = \"g\"\n",
    );
    let uri = "sip:+1@example.test";
    let ended = |site: &mut Site, n, code: u16| {
        let answer = site.last('a', &format!("SIP/2.0 {code}")).to_owned();
        site.send('a', &ack(&invite(uri, n), &answer));
        site.log();
    };
    // 404 is among them, 486 is not.
    site.send('a', &invite(uri, 1));
    site.answer('d', 404);
    assert_eq!(site.log(), "a 100, d INVITE, d ACK, e INVITE");
    site.answer('e', 486);
    assert_eq!(site.log(), "e ACK, a 404");
    ended(&mut site, 1, 404);
    // Nobody is there, and the next one rings for too long. That it then says 487 is our doing.
    site.send('a', &invite(uri, 2));
    site.icmp(0, 'd');
    assert_eq!(site.log(), "a 100, d INVITE, e INVITE");
    site.answer('e', 180);
    site.pass(4000);
    assert_eq!(site.log(), "a 180, e CANCEL, f INVITE");
    site.answer_cancel('e', 200);
    site.answer('e', 487);
    site.answer('f', 603);
    assert_eq!(site.log(), "e ACK, f ACK, a 603");
    ended(&mut site, 2, 603);
    // A 503 of all is none of ours (§16.7 step 6).
    site.send('a', &invite(uri, 3));
    for who in ['d', 'e', 'f'] {
        site.answer(who, 503);
    }
    assert_eq!(
        site.log(),
        "a 100, d INVITE, d ACK, e INVITE, e ACK, f INVITE, f ACK, a 500"
    );
    ended(&mut site, 3, 500);
    site.assert_ends();
}

// RFC 3263 §4.2: a target whose name's addresses hold for less than it is from one probe to the next is asked all the same.
#[test]
fn a_target_with_a_name_is_probed_however_short_its_answers_last() {
    let mut site = Site::of(Plan {
        routing: "[[group]]\nname = \"g\"\ntargets = [\"sip:far.test\"]\nprobe = \"10s\"\n",
        ..Plan::default()
    });
    let mut probes = 0;
    for _ in 0..40 {
        site.pass(1000);
        while let Some(question) = site.question() {
            site.answer_question(&question, &["192.0.2.13".parse().expect("an address")]);
        }
        let sent = site.log().matches("d OPTIONS").count();
        probes += sent;
        if sent > 0 {
            site.answer('d', 200);
        }
    }
    assert!((3..=4).contains(&probes), "{probes}");
}

#[test]
fn a_target_that_does_not_answer_probes_is_passed_over_until_it_does() {
    let mut site = site(
        "[[group]]\nname = \"g\"\ntargets = [\"sip:192.0.2.13\", { uri = \"sip:192.0.2.14\", priority = 1 }]\nprobe = \
         \"10s\"\ndown_after = 2\nup_after = 1\n[[route]]\nwhen.prefix = [\"+\"]\nto = \"g\"\n",
    );
    let message = |n| request('a', "MESSAGE", "sip:+1@example.test", n);
    site.pass(1);
    assert_eq!(site.log(), "d OPTIONS, e OPTIONS");
    let probe = site.last('d', "OPTIONS").to_owned();
    assert_eq!(start_line(&probe), "OPTIONS sip:192.0.2.13 SIP/2.0");
    site.answer('d', 200);
    site.answer('e', 404);
    site.send('a', &message(1));
    assert_eq!(site.log(), "d MESSAGE");
    site.answer('d', 200);
    site.log();
    // Twice there is nothing at d.
    for _ in 0..2 {
        site.pass(10_000);
        site.icmp(0, 'd');
        site.answer('e', 200);
    }
    site.log();
    assert!(
        site.journal()
            .iter()
            .any(|line| line.contains("target down") && line.contains("sip:192.0.2.13")),
        "it is told"
    );
    site.send('a', &message(2));
    assert_eq!(site.log(), "e MESSAGE");
    site.answer('e', 200);
    site.pass(10_000);
    site.answer('d', 200);
    site.answer('e', 200);
    site.log();
    site.send('a', &message(3));
    assert_eq!(site.log(), "d MESSAGE");
    site.answer('d', 200);
}
