//! The node as a notifier of registrations (RFC 6665, RFC 3680).

mod elsewhere;
mod merged;
mod refreshed;
mod waiting;

use strowger_server::node::Control;
use strowger_testkit::message::{authorize, lines, registration, request, with};
use strowger_testkit::{Plan, Site};

const AOR: &str = "sip:alice@example.test";

/// A SUBSCRIBE of `a` to its own registrations, as number `n`.
fn subscribe(n: u32, expires: &str) -> String {
    let lines = format!(
        "Contact: <sip:alice@192.0.2.10:5060>\r\nEvent: reg\r\nExpires: {expires}\r\nAccept: application/reginfo+xml"
    );
    with(&request('a', "SUBSCRIBE", AOR, n), &lines)
}

/// A later SUBSCRIBE in the dialog that `ok` made, with this number.
fn again(first: &str, ok: &str, cseq: u32, expires: u32) -> String {
    let contact = lines(ok, "Contact")[0].trim_matches(['<', '>']).to_owned();
    let expiry = lines(first, "Expires")[0];
    first
        .replace(&format!("SUBSCRIBE {AOR}"), &format!("SUBSCRIBE {contact}"))
        .replace(&format!("To: <{AOR}>"), &format!("To: {}", lines(ok, "To")[0]))
        .replace("CSeq: 1 ", &format!("CSeq: {cseq} "))
        .replace("z9hG4bK", &format!("z9hG4bKs{cseq}"))
        .replace(&format!("Expires: {expiry}"), &format!("Expires: {expires}"))
}

/// The 200 that a SUBSCRIBE gets.
#[track_caller]
fn accepted(site: &mut Site, text: &str) -> String {
    site.send('a', text);
    let ok = site.last('a', "SIP/2.0").to_owned();
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    ok
}

/// A site at which `a` has subscribed and answered the first NOTIFY, and the SUBSCRIBE with its 200.
#[track_caller]
fn subscribed(site: &mut Site) -> (String, String) {
    let first = subscribe(1, "600");
    let ok = accepted(site, &first);
    site.answer('a', 200);
    site.log();
    (first, ok)
}

/// What the last NOTIFY says: `CSeq Subscription-State | version state registration: contact event ...`.
#[track_caller]
fn told(site: &Site) -> String {
    told_to('a', site)
}

#[track_caller]
fn told_to(who: char, site: &Site) -> String {
    let text = site.last(who, "NOTIFY ");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let cseq = lines(text, "CSeq")[0].split(' ').next().unwrap_or_default();
    let state = lines(head, "Subscription-State")[0];
    format!("{cseq} {state} | {}", document(body))
}

fn document(body: &str) -> String {
    let attribute = |element: &str, name: &str| -> String {
        let from = element.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest);
        from.and_then(|rest| Some(rest.split_once('"')?.0.to_owned()))
            .unwrap_or_default()
    };
    let mut words = Vec::new();
    for element in body.split('<') {
        let of = |names: &[&str]| {
            names
                .iter()
                .map(|name| attribute(element, name))
                .collect::<Vec<_>>()
        };
        match element.split([' ', '>']).next().unwrap_or_default() {
            "reginfo" => words.extend(of(&["version", "state"])),
            "registration" => words.extend(of(&["state"])),
            "contact" => words.extend(of(&["event"])),
            "uri" => words.push(element["uri>".len()..].to_owned()),
            _ => {}
        }
    }
    words.join(" ")
}

/// `a` registers a contact.
fn register(site: &mut Site, contact: &str, n: u32) {
    let text = registration('a', AOR, contact, n);
    site.send('a', &text);
}

#[test]
fn rfc_6665_section_4_2_1_2_who_subscribes_is_told_the_state_at_once() {
    let mut site = Site::new();
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    site.log();
    let ok = accepted(&mut site, &subscribe(1, "600"));
    assert_eq!(lines(&ok, "Expires"), ["600"]);
    assert_eq!(lines(&ok, "Contact"), ["<sip:192.0.2.1:5060>"]);
    assert_eq!(site.log(), "a 200, a NOTIFY");
    let notify = site.last('a', "NOTIFY ").to_owned();
    assert!(
        notify.starts_with("NOTIFY sip:alice@192.0.2.10:5060 SIP/2.0\r\n"),
        "{notify}"
    );
    for (name, value) in [
        ("From", lines(&ok, "To")[0]),
        ("To", lines(&ok, "From")[0]),
        ("Call-ID", lines(&ok, "Call-ID")[0]),
        ("Event", "reg"),
        ("Content-Type", "application/reginfo+xml"),
        ("Contact", "<sip:192.0.2.1:5060>"),
    ] {
        assert_eq!(lines(&notify, name), [value], "{notify}");
    }
    assert_eq!(
        told(&site),
        "1 active;expires=600 | 0 full active registered sip:alice@192.0.2.10"
    );
}

#[test]
fn rfc_3680_section_4_7_2_changes_are_told_as_they_come() {
    let mut site = Site::new();
    subscribed(&mut site);
    assert_eq!(told(&site), "1 active;expires=600 | 0 full init");
    site.pass(6000);
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    assert_eq!(site.log(), "a 200, a NOTIFY");
    assert_eq!(
        told(&site),
        "2 active;expires=594 | 1 partial active registered sip:alice@192.0.2.10"
    );
    site.answer('a', 200);
    site.pass(6000);
    register(&mut site, "<sip:alice@192.0.2.10>", 2);
    assert_eq!(
        told(&site),
        "3 active;expires=588 | 2 partial active refreshed sip:alice@192.0.2.10"
    );
    site.answer('a', 200);
    site.pass(6000);
    register(&mut site, "<sip:alice@192.0.2.10>;expires=0", 3);
    assert_eq!(
        told(&site),
        "4 active;expires=582 | 3 partial terminated unregistered sip:alice@192.0.2.10"
    );
}

#[test]
fn rfc_3680_section_4_10_a_storm_of_changes_is_one_notification() {
    let mut site = Site::new();
    subscribed(&mut site);
    for n in 1..20 {
        register(&mut site, &format!("<sip:alice@192.0.2.{n}>"), n);
        site.pass(100);
    }
    site.log();
    site.pass(3200);
    assert_eq!(site.log(), "a NOTIFY");
    let text = told(&site);
    assert!(
        text.starts_with("2 active;expires=595 | 1 partial active registered"),
        "{text}"
    );
}

#[test]
fn rfc_3680_section_4_7_1_what_expires_is_told_when_it_does() {
    let mut site = Site::new();
    register(&mut site, "<sip:alice@192.0.2.10>;expires=60", 1);
    register(&mut site, "<sip:alice@192.0.2.20>;expires=600", 2);
    subscribed(&mut site);
    site.pass(59_000);
    assert_eq!(site.log(), "");
    site.pass(1000);
    assert_eq!(site.log(), "a NOTIFY");
    assert_eq!(
        told(&site),
        "2 active;expires=540 | 1 partial active expired sip:alice@192.0.2.10"
    );
}

/// The `duration-registered` of each contact that the last NOTIFY tells of.
fn durations(site: &Site) -> Vec<String> {
    let parts = site.last('a', "NOTIFY ").split(" duration-registered=\"").skip(1);
    parts
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect()
}

#[test]
fn rfc_3680_section_4_7_1_what_has_expired_is_told_also_if_its_user_registers_first() {
    let mut site = Site::new();
    register(&mut site, "<sip:alice@192.0.2.10>;expires=60", 1);
    register(&mut site, "<sip:alice@192.0.2.20>;expires=60", 2);
    subscribed(&mut site);
    site.pass(57_000);
    register(&mut site, "<sip:alice@192.0.2.30>", 3);
    assert_eq!(site.log(), "a 200, a NOTIFY");
    site.answer('a', 200);
    // Both expire within the pause between two notifications, and one comes back in it.
    site.pass(4000);
    register(&mut site, "<sip:alice@192.0.2.20>", 4);
    assert_eq!(site.log(), "a 200");
    site.pass(1000);
    assert_eq!(site.log(), "a NOTIFY");
    assert_eq!(
        told(&site),
        "3 active;expires=538 | 2 partial active registered sip:alice@192.0.2.20 expired sip:alice@192.0.2.10"
    );
    assert_eq!(durations(&site), ["1", "60"]);
}

#[test]
fn rfc_6665_section_4_2_1_4_a_refresh_is_told_the_state_and_lengthens() {
    let mut site = Site::new();
    let (first, ok) = subscribed(&mut site);
    site.pass(1000);
    let refreshed = accepted(&mut site, &again(&first, &ok, 2, 900));
    assert_eq!(lines(&refreshed, "To"), lines(&ok, "To"));
    assert_eq!(site.log(), "a 200, a NOTIFY");
    assert_eq!(told(&site), "2 active;expires=900 | 1 full init");
    site.answer('a', 200);
    site.pass(890_000);
    site.log();
    site.pass(10_000);
    assert_eq!(site.log(), "a NOTIFY");
    assert_eq!(told(&site), "3 terminated;reason=timeout | 2 full init");
    site.answer('a', 200);
    site.assert_ends();
}

#[test]
fn rfc_6665_section_4_2_1_4_who_unsubscribes_is_told_once_more() {
    let mut site = Site::new();
    let (first, ok) = subscribed(&mut site);
    let gone = accepted(&mut site, &again(&first, &ok, 2, 0));
    assert_eq!(lines(&gone, "Expires"), ["0"]);
    assert_eq!(site.log(), "a 200, a NOTIFY");
    assert_eq!(told(&site), "2 terminated;reason=timeout | 1 full init");
    let late = site.ask('a', &again(&first, &ok, 3, 600));
    assert!(late.starts_with("SIP/2.0 481 "), "{late}");
    site.answer('a', 200);
    site.assert_ends();
}

#[test]
fn rfc_6665_section_4_4_3_a_poll_leaves_nothing_behind() {
    let mut site = Site::new();
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    site.log();
    let ok = accepted(&mut site, &subscribe(1, "0"));
    assert_eq!(lines(&ok, "Expires"), ["0"]);
    assert_eq!(
        told(&site),
        "1 terminated;reason=timeout | 0 full active registered sip:alice@192.0.2.10"
    );
    site.answer('a', 200);
    site.assert_ends();
}

#[test]
fn a_subscribe_that_comes_again_gets_the_same_answer_and_makes_nothing_new() {
    let mut site = Site::new();
    let first = subscribe(1, "600");
    let ok = accepted(&mut site, &first);
    site.answer('a', 200);
    site.log();
    assert_eq!(site.ask('a', &first), ok);
}

#[test]
fn rfc_6665_section_4_2_2_who_does_not_know_the_subscription_is_told_no_more() {
    for code in [481, 404, 489, 408] {
        let mut site = Site::new();
        accepted(&mut site, &subscribe(1, "600"));
        site.answer('a', code);
        site.pass(10_000);
        site.log();
        register(&mut site, "<sip:alice@192.0.2.10>", 1);
        assert_eq!(site.log(), "a 200", "{code}");
        site.assert_ends();
    }
}

#[test]
fn rfc_6665_section_4_2_2_who_does_not_answer_within_timer_f_is_told_no_more() {
    let mut site = Site::new();
    accepted(&mut site, &subscribe(1, "600"));
    site.log();
    site.pass(31_900);
    assert_eq!(site.log().matches("NOTIFY").count(), 10);
    site.pass(200);
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    assert_eq!(site.log(), "a 200");
    site.assert_ends();
}

#[test]
fn who_is_busy_is_told_everything_when_it_wants() {
    let mut site = Site::new();
    accepted(&mut site, &subscribe(1, "600"));
    let busy = site.response('a', 503, "Retry-After: 20");
    site.send('a', &busy);
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    site.log();
    site.pass(19_900);
    assert_eq!(site.log(), "");
    site.pass(200);
    assert_eq!(site.log(), "a NOTIFY");
    assert_eq!(
        told(&site),
        "2 active;expires=580 | 1 full active registered sip:alice@192.0.2.10"
    );
}

#[test]
fn rfc_6665_section_4_2_1_1_what_is_not_served_or_too_brief_is_refused() {
    let mut site = Site::new();
    let brief = site.ask('a', &subscribe(1, "30"));
    assert!(brief.starts_with("SIP/2.0 423 "), "{brief}");
    assert_eq!(lines(&brief, "Min-Expires"), ["60"]);
    let accept = subscribe(2, "600").replace("application/reginfo+xml", "application/pidf+xml");
    let unreadable = site.ask('a', &accept);
    assert!(unreadable.starts_with("SIP/2.0 406 "), "{unreadable}");
    let node = subscribe(3, "600")
        .replace(AOR, "sip:192.0.2.1")
        .replace("Event: reg", "Event: presence");
    let bad = site.ask('a', &node);
    assert!(bad.starts_with("SIP/2.0 489 "), "{bad}");
    assert_eq!(lines(&bad, "Allow-Events"), ["reg"]);
    let nobody = site.ask('a', &subscribe(4, "600").replace(AOR, "sip:192.0.2.1"));
    assert!(nobody.starts_with("SIP/2.0 404 "), "{nobody}");
    let required = with(&subscribe(5, "600"), "Require: eventlist");
    let unknown = site.ask('a', &required);
    assert!(unknown.starts_with("SIP/2.0 420 "), "{unknown}");
    assert_eq!(lines(&unknown, "Unsupported"), ["eventlist"]);
    let lost = site.ask(
        'a',
        &subscribe(6, "600").replace(&format!("To: <{AOR}>"), &format!("To: <{AOR}>;tag=x")),
    );
    assert!(lost.starts_with("SIP/2.0 481 "), "{lost}");
    site.assert_ends();
}

#[test]
fn rfc_3261_section_12_2_2_a_late_subscribe_of_a_dialog_changes_nothing() {
    let mut site = Site::new();
    let (first, ok) = subscribed(&mut site);
    let late = site.ask('a', &again(&first, &ok, 1, 900));
    assert!(late.starts_with("SIP/2.0 500 "), "{late}");
    let other = site.ask(
        'a',
        &again(&first, &ok, 2, 900).replace("Event: reg", "Event: reg;id=2"),
    );
    assert!(other.starts_with("SIP/2.0 481 "), "{other}");
    let stranger = again(&first, &ok, 3, 900).replace("tag=a1", "tag=b1");
    let stranger = site.ask('a', &stranger);
    assert!(stranger.starts_with("SIP/2.0 481 "), "{stranger}");
}

#[test]
fn rfc_3261_section_12_2_1_1_notifications_follow_the_route_set_and_the_contact() {
    let mut site = Site::new();
    let routed = with(&subscribe(1, "600"), "Record-Route: <sip:192.0.2.13:5060;lr>");
    let ok = accepted(&mut site, &routed);
    assert_eq!(lines(&ok, "Record-Route"), ["<sip:192.0.2.13:5060;lr>"]);
    let notify = site.last('d', "NOTIFY ").to_owned();
    assert!(
        notify.starts_with("NOTIFY sip:alice@192.0.2.10:5060 "),
        "{notify}"
    );
    assert_eq!(lines(&notify, "Route"), ["<sip:192.0.2.13:5060;lr>"]);
    site.answer('d', 200);
    let moved = again(&routed, &ok, 2, 600).replace("<sip:alice@192.0.2.10:5060>", "<sip:alice@192.0.2.77>");
    accepted(&mut site, &moved);
    let notify = site.last('d', "NOTIFY ").to_owned();
    assert!(notify.starts_with("NOTIFY sip:alice@192.0.2.77 "), "{notify}");
}

#[test]
fn over_a_connection_notifications_come_back_by_it() {
    let mut site = Site::new();
    let text = subscribe(1, "600").replace("SIP/2.0/UDP", "SIP/2.0/TCP").replace(
        "<sip:alice@192.0.2.10:5060>",
        "<sip:alice@10.1.1.1;transport=tcp>",
    );
    site.send_tcp('a', &text);
    assert_eq!(site.log(), "a 200, a NOTIFY");
}

const DIGEST: &[&str] = &["REGISTER", "INVITE"];

fn digest(watchers: &'static [&'static str], trusted: &'static [&'static str]) -> Site {
    Site::of(Plan {
        challenged: DIGEST,
        watchers,
        trusted,
        ..Plan::default()
    })
}

/// The same request as another one, so that its credentials are looked at.
fn anew(text: &str, n: u32) -> String {
    text.replace("CSeq: 1 ", &format!("CSeq: {n} "))
        .replace("z9hG4bK", &format!("z9hG4bKx{n}"))
}

#[test]
fn rfc_6665_section_4_2_1_3_who_subscribes_is_asked_as_by_a_server() {
    let mut site = digest(&[], &[]);
    let first = subscribe(1, "600");
    let challenge = site.ask('a', &first);
    assert!(challenge.starts_with("SIP/2.0 401 "), "{challenge}");
    let own = authorize(&anew(&first, 2), &challenge, "alice", 1);
    let ok = accepted(&mut site, &own);
    site.answer('a', 200);
    site.log();
    let refresh = again(&own, &ok, 3, 900).replace("CSeq: 2 ", "CSeq: 3 ");
    let without: String = refresh
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with("Authorization"))
        .collect();
    let again = site.ask('a', &without);
    assert!(again.starts_with("SIP/2.0 401 "), "{again}");
}

#[test]
fn rfc_3680_section_4_6_only_the_user_and_those_who_may_are_told() {
    let mut site = digest(&["carol@example.test"], &["192.0.2.14"]);
    let other = |who: char, name: &str, n: u32| {
        subscribe(n, "600")
            .replace("From: <sip:alice@", &format!("From: <sip:{name}@"))
            .replace(
                "192.0.2.10",
                &format!("192.0.2.{}", 10 + (who as u32 - 'a' as u32)),
            )
            .replace("call", &format!("{who}call"))
    };
    let ask = |site: &mut Site, who: char, name: &str, n: u32| {
        let text = other(who, name, n);
        let challenge = site.ask(who, &text);
        site.send(who, &authorize(&anew(&text, 2), &challenge, name, 1));
        site.log()
    };
    assert_eq!(ask(&mut site, 'b', "bob", 1), "b 403");
    assert_eq!(ask(&mut site, 'c', "carol", 2), "c 200, c NOTIFY");
    site.send('e', &other('e', "somebody", 3));
    assert_eq!(site.log(), "e 200, e NOTIFY");
    let nobody = other('e', "somebody", 4).replace("sip:alice@example.test", "sip:nobody@example.test");
    let nobody = site.ask('e', &nobody);
    assert!(nobody.starts_with("SIP/2.0 404 "), "{nobody}");
}

#[test]
fn subscriptions_are_limited_and_places_come_back() {
    let mut site = Site::new();
    let mut oks = Vec::new();
    for n in 1..=4 {
        oks.push(accepted(&mut site, &subscribe(n, "600")));
        site.answer('a', 200);
    }
    site.log();
    let full = site.ask('a', &subscribe(5, "600"));
    assert!(full.starts_with("SIP/2.0 503 "), "{full}");
    assert_eq!(lines(&full, "Retry-After"), ["60"]);
    accepted(&mut site, &again(&subscribe(1, "600"), &oks[0], 2, 0));
    site.answer('a', 200);
    accepted(&mut site, &subscribe(6, "600"));
}

#[test]
fn rfc_6665_section_4_4_2_a_node_that_keeps_nothing_tells_its_subscribers_when_it_stops() {
    let mut site = Site::new();
    subscribed(&mut site);
    site.control(0, Control::Drain);
    assert_eq!(told(&site), "2 terminated;reason=deactivated | 1 full init");
    site.answer('a', 200);
    let late = site.ask('a', &subscribe(2, "600"));
    assert!(late.starts_with("SIP/2.0 503 "), "{late}");
    site.assert_ends();
}

#[test]
fn changes_reach_subscriptions_of_other_shards() {
    let mut site = Site::of(Plan {
        shards: 4,
        ..Plan::default()
    });
    for n in 1..=4 {
        accepted(&mut site, &subscribe(n, "600"));
        site.answer('a', 200);
    }
    site.pass(6000);
    site.log();
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    assert_eq!(site.log(), "a 200, a NOTIFY, a NOTIFY, a NOTIFY, a NOTIFY");
}

#[test]
fn an_alias_stands_for_its_user() {
    let mut site = digest(&[], &["192.0.2.10"]);
    accepted(&mut site, &subscribe(1, "600").replace("sip:alice@", "sip:1001@"));
    site.answer('a', 200);
    site.pass(6000);
    site.log();
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    assert_eq!(site.log(), "a 200, a NOTIFY");
    let body = site.last('a', "NOTIFY ").to_owned();
    assert!(body.contains("aor=\"sip:alice@example.test\""), "{body}");
}

// RFC 6665 §4.2.1.2, RFC 3261 §10.3 step 5: by whatever name of the domain somebody subscribes, speaks or registers, it is one user.
#[test]
fn a_user_is_watched_by_every_name_of_the_domain() {
    for (watched, speaker, registered) in [
        ("alice@example.org", "alice@example.org", "example.test"),
        ("alice@EXAMPLE.net", "alice@EXAMPLE.net", "example.org"),
        ("alice@example.test", "alice@example.test", "example.net"),
        ("alice@example.org", "alice@example.test", "example.org"),
        ("alice@example.test", "1001@example.org", "example.test"),
        ("1001@EXAMPLE.org", "alice@example.org", "example.net"),
    ] {
        let mut site = Site::of(Plan {
            challenged: DIGEST,
            routing: "domain_aliases = { \"example.org\" = \"example.test\", \"Example.NET\" = \"example.test\" }\n",
            ..Plan::default()
        });
        let text = subscribe(1, "600")
            .replace(
                "From: <sip:alice@example.test>",
                &format!("From: <sip:{speaker}>"),
            )
            .replace(AOR, &format!("sip:{watched}"));
        let challenge = site.ask('a', &text);
        assert!(challenge.contains("realm=\"example.test\""), "{challenge}");
        site.send('a', &authorize(&anew(&text, 2), &challenge, "alice", 1));
        assert_eq!(site.log(), "a 200, a NOTIFY", "{watched} by {speaker}");
        let body = site.last('a', "NOTIFY ").to_owned();
        assert!(body.contains("aor=\"sip:alice@example.test\""), "{body}");
        site.answer('a', 200);
        site.pass(6000);
        let text = registration(
            'a',
            &format!("sip:alice@{registered}"),
            "<sip:alice@192.0.2.10>",
            3,
        );
        let challenge = site.ask('a', &text);
        site.log();
        site.send('a', &authorize(&text, &challenge, "alice", 1));
        assert_eq!(site.log(), "a 200, a NOTIFY", "{watched} {registered}");
    }
}

#[test]
fn packages_of_phones_go_to_phones_and_those_of_servers_do_not_come_back() {
    let mut site = Site::new();
    site.register('a');
    site.register('b');
    site.log();
    let presence = |n: u32| subscribe(n, "600").replace("Event: reg", "Event: presence");
    site.send('a', &presence(1).replace(AOR, "sip:bob@example.test"));
    assert_eq!(site.log(), "b SUBSCRIBE");
    let waiting = site.ask(
        'a',
        &subscribe(2, "600").replace("Event: reg", "Event: message-summary"),
    );
    assert!(waiting.starts_with("SIP/2.0 489 "), "{waiting}");
    assert_eq!(lines(&waiting, "Allow-Events"), ["reg"]);
}
