//! RFC 5626 through the node: who is reached over a flow, by which rule.

mod path_token;

use strowger_sip::Destination;
use strowger_testkit::message::{lines, registration, request, response, start_line, with};
use strowger_testkit::{Plan, Site, peer};

/// The elements of a list field, over its lines.
fn elements<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    lines(text, name)
        .into_iter()
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect()
}

/// The Route of the callee, who got this INVITE.
fn callees_route(invite: &str) -> String {
    format!("Route: {}", elements(invite, "Record-Route").join(", "))
}

/// The Route of the caller, whose callee got this INVITE.
fn callers_route(invite: &str) -> String {
    let mut entries = elements(invite, "Record-Route");
    entries.reverse();
    format!("Route: {}", entries.join(", "))
}

/// Whether a URI of ours names a flow: it has a user part.
fn names_flow(entry: &str) -> bool {
    entry.starts_with("<sip:") && entry.contains('@')
}

fn to_datagrams(who: char) -> Destination {
    Destination::Datagram {
        listener: 0,
        from: None,
        to: peer::address(who),
    }
}

fn invite(contact: &str, n: u32) -> String {
    let text = request('a', "INVITE", "sip:bob@example.test", n);
    with(&text, &format!("Contact: {contact}"))
}

/// A request of the callee within the dialog of this INVITE that it got, for this contact of the caller.
fn from_callee(method: &str, got: &str, contact: &str, n: u32) -> String {
    let uri = contact.trim_matches(['<', '>']);
    let text = request('b', method, uri, 70 + n)
        .replace(
            &format!("From: <sip:bob@example.test>;tag=b{}", 70 + n),
            "From: <sip:bob@example.test>;tag=b-side",
        )
        .replace(&format!("To: <{uri}>"), &format!("To: {}", lines(got, "From")[0]))
        .replace(
            &format!("Call-ID: call{}@b", 70 + n),
            &format!("Call-ID: {}", lines(got, "Call-ID")[0]),
        );
    with(&text, &callees_route(got))
}

/// A request of the caller within the dialog of an INVITE that its callee got, for this contact of the callee.
fn from_caller(method: &str, got: &str, contact: &str, n: u32) -> String {
    let uri = contact.trim_matches(['<', '>']);
    let text = request('a', method, uri, n)
        .replace(&format!("To: <{uri}>"), "To: <sip:bob@example.test>;tag=b-side")
        .replace("CSeq: 1", "CSeq: 2")
        .replace("z9hG4bK", &format!("z9hG4bK{method}"));
    with(&text, &callers_route(got))
}

// RFC 5626 §5.3.2, §4.3: the flow of a caller is recorded where its contact asks for that or does not lead back to it, and
// requests of its callee come over it.
#[test]
fn a_caller_is_reached_over_its_flow_where_its_contact_does_not_lead_to_it() {
    let rows: &[(&str, bool, bool)] = &[
        ("<sip:alice@192.0.2.10:5060>", false, false),
        ("<sip:alice@192.0.2.10>", false, false),
        ("<sip:alice@192.0.2.10:5060;ob>", false, true),
        ("<sip:alice@10.0.0.5:5060>", false, true),
        ("<sip:alice@127.0.0.1:5070>", false, true),
        ("<sip:alice@q2k9.invalid>", false, true),
        ("<sip:alice@192.0.2.10:5060>", true, true),
        ("<sip:alice@192.0.2.10:5060;transport=tcp>", true, true),
        ("<sip:alice@192.0.2.10:40000;transport=tcp>", true, false),
        ("<sip:alice@192.0.2.10:40000;transport=tcp;ob>", true, true),
        ("<sip:alice@q2k9.invalid;transport=tcp>", true, true),
    ];
    for (n, &(contact, by_tcp, is_kept)) in (1..).zip(rows) {
        let mut site = Site::new();
        site.register('b');
        let text = invite(contact, n);
        if by_tcp {
            site.send_tcp('a', &text.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
        } else {
            site.send('a', &text);
        }
        let got = site.last('b', "INVITE").to_owned();
        let entries = elements(&got, "Record-Route");
        assert_eq!(
            entries.len(),
            if by_tcp { 2 } else { 1 },
            "{contact}: {entries:?}"
        );
        let last = entries.last().expect("an entry");
        assert_eq!(names_flow(last), is_kept, "{contact}: {last}");
        assert!(!last.contains(";ob"), "{last}");
        site.answer('b', 200);
        site.log();
        site.send('b', &from_callee("BYE", &got, contact, n));
        assert_eq!(site.log(), "a BYE", "{contact}");
        match (by_tcp, site.last_to()) {
            (false, to) => assert_eq!(to, to_datagrams('a'), "{contact}"),
            (true, to) => assert_eq!(matches!(to, Destination::Flow(_)), is_kept, "{contact}: {to:?}"),
        }
        let bye = site.last('a', "BYE");
        assert_eq!(elements(bye, "Route"), [] as [&str; 0], "{contact}");
    }
}

// RFC 5626 §5.3: what comes over the flow that its Route names is outgoing, and goes where it says.
#[test]
fn what_has_come_over_the_flow_of_its_route_goes_out() {
    let mut site = Site::new();
    site.register('b');
    site.send('a', &invite("<sip:alice@10.0.0.5:5060;ob>", 1));
    let got = site.last('b', "INVITE").to_owned();
    assert!(names_flow(elements(&got, "Record-Route")[0]));
    site.answer('b', 200);
    site.log();
    site.send('a', &from_caller("ACK", &got, "<sip:bob@192.0.2.11:5060>", 1));
    assert_eq!(site.log(), "b ACK");
    site.send('a', &from_caller("BYE", &got, "<sip:bob@192.0.2.11:5060>", 1));
    assert_eq!(site.log(), "b BYE");
}

// RFC 5626 §7: a callee who was reached over a flow is reached over it by what follows; with both sides behind NATs each has an
// entry of its own.
#[test]
fn both_sides_are_reached_over_their_flows() {
    let private = "<sip:bob@10.0.0.6:5060>";
    for (callers, entries) in [
        ("<sip:alice@192.0.2.10:5060>", 1),
        ("<sip:alice@10.0.0.5:5060>", 2),
    ] {
        let mut site = Site::new();
        site.ask('b', &registration('b', "sip:bob@example.test", private, 1));
        site.send('a', &invite(callers, 1));
        let got = site.last('b', "INVITE").to_owned();
        let recorded = elements(&got, "Record-Route");
        assert_eq!(recorded.len(), entries, "{callers}");
        assert!(recorded.iter().all(|entry| names_flow(entry)), "{recorded:?}");
        site.answer('b', 200);
        site.log();
        for method in ["ACK", "INFO"] {
            site.send('a', &from_caller(method, &got, private, 1));
            assert_eq!(site.log(), format!("b {method}"), "{callers}");
            assert_eq!(site.last_to(), to_datagrams('b'));
        }
        site.answer('b', 200);
        site.log();
        site.send('b', &from_callee("BYE", &got, callers, 1));
        assert_eq!(site.log(), "a BYE", "{callers}");
        assert_eq!(site.last_to(), to_datagrams('a'));
    }
}

// RFC 5626 §5.3.1: 430 when the connection is gone and the contact is nowhere else; where it is, that is tried.
#[test]
fn a_flow_that_is_gone_is_answered_with_430() {
    for (contact, after) in [
        ("<sip:alice@10.0.0.5:5060;transport=tcp;ob>", "b 430"),
        ("<sip:alice@q2k9.invalid;transport=tcp>", "b 430"),
        ("<sip:alice@10.0.0.5:5060;transport=tcp>", "b 430"),
        ("<sip:alice@192.0.2.10:5060;transport=tcp>", "a BYE"),
    ] {
        let mut site = Site::new();
        site.register('b');
        site.send_tcp('a', &invite(contact, 1).replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
        let got = site.last('b', "INVITE").to_owned();
        site.answer('b', 200);
        site.log();
        site.send('b', &from_callee("BYE", &got, contact, 1));
        assert_eq!(site.log(), "a BYE", "{contact}");
        site.fail_last();
        assert_eq!(site.log(), after, "{contact}");
    }
}

// RFC 5626 §5.3.1: a token that was tampered with is refused, and what was made for one dialog is worth nothing in another one.
#[test]
fn a_forged_flow_token_is_refused() {
    let mut site = Site::new();
    site.register('b');
    let contact = "<sip:alice@10.0.0.5:5060;ob>";
    site.send('a', &invite(contact, 1));
    let got = site.last('b', "INVITE").to_owned();
    site.answer('b', 200);
    site.send('a', &invite(contact, 2));
    let other = site.last('b', "INVITE").to_owned();
    site.answer('b', 200);
    site.log();
    let entry = elements(&got, "Record-Route")[0];
    let (token, rest) = entry[5..].split_once('@').expect("a token");
    let theirs = elements(&other, "Record-Route")[0];
    let (others, _) = theirs[5..].split_once('@').expect("a token");
    let bye = from_callee("BYE", &got, contact, 1);
    let changed = format!("{}{}", if &token[..1] == "0" { "1" } else { "0" }, &token[1..]);
    let last = format!(
        "{}{}",
        &token[..token.len() - 1],
        if token.ends_with('0') { "1" } else { "0" }
    );
    for forged in [&last, others] {
        assert_ne!(forged, token);
        let refused = site.ask('b', &bye.replace(token, forged));
        assert_eq!(start_line(&refused), "SIP/2.0 403 Forged Flow Token", "{forged}");
    }
    // As one from a Path, it would lead strangers to the caller.
    let no_token = format!("<sip:{token}@{}", rest.split(";st=").next().expect("a URI"));
    for loose in [format!("{no_token}>"), format!("{no_token};ob>")] {
        let refused = site.ask('b', &bye.replace(entry, &loose));
        assert_eq!(start_line(&refused), "SIP/2.0 403 Forged Flow Token", "{loose}");
    }
    // What is no token at all is a user part, as phones have it in the URI of their outbound proxy.
    site.send('b', &bye.replace(token, &changed).replace("z9hG4bK", "z9hG4bKx"));
    assert_eq!(
        site.log(),
        "Datagram { listener: 0, from: None, to: 10.0.0.5:5060 } BYE"
    );
    site.send('b', &bye);
    assert_eq!(site.log(), "a BYE");
}

const EDGE: &str = "[[route]]\nname = \"registrar\"\nto = [\"sip:192.0.2.14:5060\"]\n";

fn edge() -> Site {
    Site::of(Plan {
        routing: EDGE,
        trusted: &["192.0.2.0/24"],
        ..Plan::default()
    })
}

/// A REGISTER of `b` for another domain.
fn elsewhere(fields: &str, contact: &str) -> String {
    let text = registration('b', "sip:bob@else.test", contact, 1);
    with(&text.replace("sip:example.test SIP", "sip:else.test SIP"), fields).replace("\r\n\r\nMax", "\r\nMax")
}

const INSTANCE: &str = "<sip:bob@10.0.0.6:5060>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"";

// RFC 5626 §5.1: the first hop of a registration puts itself into its Path, with a flow token and `ob`; others do not.
#[test]
fn an_edge_proxy_stands_in_the_path_of_registrations() {
    let behind = "Via: SIP/2.0/UDP 192.0.2.20;branch=z9hG4bKp\r\nSupported: path, outbound";
    let rows: &[(&str, &str, bool)] = &[
        ("Supported: path, outbound", INSTANCE, true),
        ("Supported: outbound", INSTANCE, true),
        ("Supported: path", "<sip:bob@10.0.0.6:5060>", true),
        ("Subject: x", "<sip:bob@10.0.0.6:5060>", false),
        (behind, INSTANCE, false),
    ];
    for &(fields, contact, is_in_path) in rows {
        let mut site = edge();
        site.send('b', &elsewhere(fields, contact));
        let got = site.last('e', "REGISTER").to_owned();
        let path = elements(&got, "Path");
        assert_eq!(path.len(), usize::from(is_in_path), "{fields}: {got}");
        assert!(
            path.iter()
                .all(|entry| names_flow(entry) && entry.ends_with(";lr;ob>")),
            "{path:?}"
        );
        assert_eq!(elements(&got, "Record-Route"), [] as [&str; 0]);
    }
}

// RFC 5626 §5.3.1: a request that comes by the Path goes over the flow, whoever sends it and whatever the routes say, and a
// dialog that it sets up stays on that flow.
#[test]
fn what_comes_by_the_path_goes_over_the_flow() {
    for by_tcp in [false, true] {
        let mut site = Site::of(Plan {
            routing: EDGE,
            trusted: &["192.0.2.11/32"],
            challenged: &["REGISTER", "INVITE"],
            ..Plan::default()
        });
        let register = elsewhere("Supported: path, outbound", INSTANCE);
        if by_tcp {
            site.send_tcp('b', &register.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
        } else {
            site.send('b', &register);
        }
        let path = elements(site.last('e', "REGISTER"), "Path")[0].to_owned();
        site.answer('e', 200);
        site.log();
        let private = "sip:bob@10.0.0.6:5060";
        let text = request('e', "INVITE", private, 1);
        let text = with(&text, &format!("Route: {path}\r\nContact: <sip:e@192.0.2.14>"));
        let by_stranger = site.ask('e', &text.replace(&path, "<sip:192.0.2.1;lr>"));
        assert_eq!(
            start_line(&by_stranger),
            "SIP/2.0 407 Proxy Authentication Required"
        );
        site.send('e', &text.replace("z9hG4bK1", "z9hG4bK2"));
        assert_eq!(site.log(), "e 100, b INVITE");
        assert_eq!(matches!(site.last_to(), Destination::Flow(_)), by_tcp);
        let got = site.last('b', "INVITE").to_owned();
        assert!(got.starts_with(&format!("INVITE {private} SIP/2.0")));
        assert_eq!(elements(&got, "Route"), [] as [&str; 0]);
        let ok = response(&got, 'b', 200, &format!("Contact: <{private}>"));
        if by_tcp {
            site.send_tcp('b', &ok);
        } else {
            site.send('b', &ok);
        }
        site.log();
        let entries = elements(&got, "Record-Route");
        assert_eq!(entries.len(), if by_tcp { 2 } else { 1 });
        let ack = request('e', "ACK", private, 1).replace(
            &format!("To: <{private}>"),
            &format!("To: <{private}>;tag=b-side"),
        );
        site.send('e', &with(&ack, &callers_route(&got)));
        assert_eq!(site.log(), "b ACK");
        assert_eq!(matches!(site.last_to(), Destination::Flow(_)), by_tcp);
    }
}

// RFC 5626 §5.3.1, §9.3: 430 to the registrar's proxy when the flow of a Path is gone.
#[test]
fn a_path_whose_flow_is_gone_is_answered_with_430() {
    let mut site = edge();
    let register = elsewhere("Supported: path, outbound", INSTANCE);
    site.send_tcp('b', &register.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    let path = elements(site.last('e', "REGISTER"), "Path")[0].to_owned();
    let text = request('e', "INVITE", "sip:bob@10.0.0.6:5060", 1);
    site.log();
    site.send('e', &with(&text, &format!("Route: {path}")));
    assert_eq!(site.log(), "e 100, b INVITE");
    site.fail_last();
    assert_eq!(site.log(), "e 430");
}

/// A REGISTER of a flow of bob's only user agent, from the address of a peer, with this Path of the peer if there is any.
fn flow(who: char, reg_id: u32, path: &str) -> String {
    let contact = format!("<sip:bob@10.0.0.6:5060>;reg-id={reg_id};+sip.instance=\"<urn:uuid:1>\"");
    let text = registration(who, "sip:bob@example.test", &contact, 1);
    let text = with(&text, "Supported: path, outbound");
    match path {
        "" => text,
        path => with(
            &text.replacen(
                "Max-Forwards",
                "Via: SIP/2.0/UDP 10.0.0.6;branch=z9hG4bKb\r\nMax-Forwards",
                1,
            ),
            &format!("Path: {path}"),
        ),
    }
}

/// A site where bob's user agent has registered over a flow from `b`, and later over one from `c`.
fn two_flows() -> Site {
    two_flows_at(Site::new())
}

fn two_flows_at(mut site: Site) -> Site {
    for (who, reg_id) in [('b', 1), ('c', 2)] {
        let ok = site.ask(who, &flow(who, reg_id, ""));
        assert_eq!(elements(&ok, "Require"), ["outbound"]);
        assert_eq!(elements(&ok, "Flow-Timer"), ["29"]);
        site.pass(2000);
    }
    site.log();
    site
}

// RFC 5626 §7: one flow of an instance at a time, the newest first; the next one after 430, 408, silence or a failure to send,
// and after no other answer.
#[test]
fn flows_of_one_instance_are_tried_one_after_the_other() {
    let rows: &[(&str, &str)] = &[
        ("430", "c ACK, b INVITE"),
        ("408", "c ACK, b INVITE"),
        ("unreachable", "b INVITE"),
        ("silent", "b INVITE"),
        ("503", "c ACK, a 500"),
        ("486", "c ACK, a 486"),
        ("480", "c ACK, a 480"),
        ("603", "c ACK, a 603"),
    ];
    for &(answer, then) in rows {
        let mut site = two_flows();
        site.send('a', &invite("<sip:alice@192.0.2.10:5060>", 1));
        assert_eq!(site.log(), "a 100, c INVITE");
        match answer {
            "unreachable" => site.fail_last(),
            "silent" => {
                site.pass(3500);
                let log = site.log();
                assert!(log.ends_with("b INVITE") && !log.contains("a "), "{log}");
                continue;
            }
            code => site.answer('c', code.parse().expect("a status")),
        }
        assert_eq!(site.log(), then, "{answer}");
        if then.ends_with("b INVITE") {
            site.answer('b', 200);
            assert_eq!(site.log(), "a 200", "{answer}");
        }
    }
}

// RFC 5626 §7, RFC 8599 §5.6.2: a device that sleeps is woken beside the flows of another user agent, whose order stays.
#[test]
fn flows_have_their_order_beside_a_device_that_sleeps() {
    let mut site = two_flows_at(Site::of(Plan {
        routing: "[[push.provider]]\nname = \"acme\"\nurl = \"http://127.0.0.1:1/wake\"\n",
        ..Plan::default()
    }));
    let device = "<sip:bob@192.0.2.13:5060;pn-provider=acme;pn-param=app;pn-prid=1>";
    site.ask('d', &registration('d', "sip:bob@example.test", device, 1));
    site.log();
    site.send('a', &invite("<sip:alice@192.0.2.10:5060>", 1));
    assert_eq!(site.log(), "a 100, c INVITE");
    site.answer('c', 430);
    assert_eq!(site.log(), "c ACK, b INVITE");
}

// RFC 5626 §7: what is no INVITE goes over one flow at a time, too.
#[test]
fn a_message_reaches_an_instance_once() {
    let mut site = two_flows();
    site.send('a', &request('a', "MESSAGE", "sip:bob@example.test", 1));
    assert_eq!(site.log(), "c MESSAGE");
    site.fail_last();
    assert_eq!(site.log(), "b MESSAGE");
    site.answer('b', 200);
    assert_eq!(site.log(), "a 200");
    site.assert_ends();
}

// RFC 5626 §7: a flow over which its phone registers again is the newest; other user agents are called beside it.
#[test]
fn the_flow_that_was_refreshed_last_is_the_first() {
    let mut site = two_flows();
    site.ask(
        'b',
        &flow('b', 1, "")
            .replace("CSeq: 1", "CSeq: 2")
            .replace("z9hG4bK", "z9hG4bK2"),
    );
    let other = registration('d', "sip:bob@example.test", "<sip:bob@192.0.2.13:5060>", 1);
    site.ask('d', &other);
    site.log();
    site.send('a', &invite("<sip:alice@192.0.2.10:5060>", 1));
    let log = site.log();
    assert!(
        log == "a 100, d INVITE, b INVITE" || log == "a 100, b INVITE, d INVITE",
        "{log}"
    );
    site.answer('d', 100);
    site.answer('b', 430);
    assert_eq!(site.log(), "b ACK, c INVITE");
    site.answer('c', 200);
    assert_eq!(site.log(), "a 200, d CANCEL");
}

/// A phone with two flows, each to an edge proxy of its own; the one by `f` is newer.
fn two_edges() -> Site {
    let mut site = Site::of(Plan {
        trusted: &["192.0.2.0/24"],
        ..Plan::default()
    });
    for (who, reg_id, path) in [
        ('e', 1, "<sip:t1@192.0.2.14:5060;lr;ob>"),
        ('f', 2, "<sip:t2@192.0.2.15:5060;lr;ob>"),
    ] {
        let ok = site.ask(who, &flow(who, reg_id, path));
        assert_eq!(elements(&ok, "Require"), ["outbound"]);
        site.pass(2000);
    }
    site.log();
    site
}

// RFC 5626 §7: a 408 by way of an edge proxy says that the phone has not answered over this flow, and nothing of the flow itself:
// the next one is tried, and the binding stays.
#[test]
fn a_flow_whose_edge_proxy_gets_no_answer_is_followed_by_the_next() {
    let mut site = two_edges();
    for n in [1, 2] {
        site.send('a', &invite("<sip:alice@192.0.2.10:5060>", n));
        assert_eq!(site.log(), "a 100, f INVITE");
        site.answer('f', 100);
        site.answer('f', 408);
        assert_eq!(site.log(), "f ACK, e INVITE");
        site.answer('e', 200);
        assert_eq!(site.log(), "a 200");
    }
}

// RFC 5626 §9.3, §11.5: the binding whose edge proxy says 430 is gone, the next flow is tried, and nobody who calls is told 430.
#[test]
fn a_flow_whose_edge_proxy_has_lost_it_is_unbound() {
    let mut site = two_edges();
    site.send('a', &invite("<sip:alice@192.0.2.10:5060>", 1));
    assert_eq!(site.log(), "a 100, f INVITE");
    assert_eq!(
        elements(site.last('f', "INVITE"), "Route"),
        ["<sip:t2@192.0.2.15:5060;lr;ob>"]
    );
    site.answer('f', 430);
    assert_eq!(site.log(), "f ACK, e INVITE");
    assert_eq!(
        elements(site.last('e', "INVITE"), "Route"),
        ["<sip:t1@192.0.2.14:5060;lr;ob>"]
    );
    let journal = site.journal();
    let unbound = |line: &String| line.contains("flow-failed") && line.contains("t2@192.0.2.15");
    assert!(journal.iter().any(unbound), "{journal:?}");
    site.answer('e', 430);
    assert_eq!(site.log(), "e ACK, a 480");
    let again = site.ask('a', &invite("<sip:alice@192.0.2.10:5060>", 2));
    assert_eq!(start_line(&again), "SIP/2.0 480 Temporarily Unavailable");
}

// RFC 5626 §7: over its flow and no other way, also where its contact could be reached.
#[test]
fn a_binding_known_by_its_flow_is_reached_over_that_alone() {
    let mut site = Site::new();
    let contact = "<sip:bob@192.0.2.13:5060;transport=tcp>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"";
    let text = registration('b', "sip:bob@example.test", contact, 1);
    let text = with(&text, "Supported: path, outbound").replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    site.send_tcp('b', &text);
    assert_eq!(site.log(), "b 200");
    site.send('a', &request('a', "MESSAGE", "sip:bob@example.test", 1));
    assert_eq!(site.log(), "b MESSAGE");
    assert!(matches!(site.last_to(), Destination::Flow(_)));
}

// RFC 5626 §9.4: a phone that has registered over another flow since its call began is reached over that by what follows.
#[test]
fn a_phone_whose_nat_has_moved_is_reached_within_its_call() {
    let private = "<sip:bob@10.0.0.6:5060>";
    let mut site = Site::new();
    site.ask('b', &flow('b', 1, ""));
    site.send('a', &invite("<sip:alice@192.0.2.10:5060>", 1));
    let got = site.last('b', "INVITE").to_owned();
    site.answer('b', 200);
    let moved = flow('c', 1, "").replace("@c", "@b").replace("CSeq: 1", "CSeq: 2");
    site.ask('c', &moved);
    site.log();
    site.send('a', &from_caller("BYE", &got, private, 1));
    assert_eq!(site.log(), "c BYE");
}
