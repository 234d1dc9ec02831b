//! Decisions as tables: requests, and the route that takes them.

use strowger_syntax::{Index, Limits, Message, Transport, Uri};

use super::*;
use crate::config::{Mode, check};

const OTHERS: &str = "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.test>;tag=1\r\n\
    To: <sip:bob@example.test>\r\nCall-ID: 1\r\nUser-Agent: Gateway 7\r\nX-Account: 12\r\nContent-Length: 0\r\n\r\n";

/// What a request is like beside its start line.
#[derive(Clone, Copy)]
struct From {
    source: &'static str,
    transport: Transport,
    authenticated: bool,
    in_dialog: bool,
    trunk: Option<usize>,
}

const PHONE: From = From {
    source: "10.0.0.1",
    transport: Transport::Udp,
    authenticated: false,
    in_dialog: false,
    trunk: None,
};

fn routes(text: &str) -> Routes {
    let config = check(text, "f").unwrap_or_else(|wrong| panic!("{text}\n{wrong:?}"));
    Routes::new(&config)
}

/// The name of the route that takes a request.
fn taken(routes: &Routes, method: &str, uri: &str, from: From) -> Option<String> {
    with_facts(method, uri, from, |facts| {
        let decided = decide(routes, facts).route.map(|route| route.name.clone());
        let considered = explain(routes, facts);
        let explained = considered
            .iter()
            .find(|c| c.mismatch.is_none())
            .map(|c| c.route.name.clone());
        assert_eq!(decided, explained, "{method} {uri}");
        decided
    })
}

fn with_facts<R>(method: &str, uri: &str, from: From, use_facts: impl FnOnce(&Facts<'_>) -> R) -> R {
    let cseq = format!("CSeq: 1 {method}\r\n");
    let text = format!("{method} {uri} SIP/2.0\r\n{cseq}{OTHERS}");
    let mut index = Index::default();
    let request: Message<'_> = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
    let Ok(Uri::Sip(sip)) = Uri::parse(uri.as_bytes()) else {
        panic!("{uri}")
    };
    use_facts(&Facts {
        request,
        uri: uri.as_bytes(),
        user: sip.user.unwrap_or_default(),
        host: sip.host,
        source: from.source.parse().expect("an address"),
        transport: from.transport,
        listener: "192.0.2.1:5060".parse().expect("an address"),
        authenticated: from.authenticated,
        in_dialog: from.in_dialog,
        trunk: from.trunk,
    })
}

#[test]
fn the_first_route_that_matches_decides() {
    let routes = routes(
        r#"
        [[route]]
        name = "emergency"
        when = { user = ["110", "112"] }
        to = "sip:psap.test"
        [[route]]
        name = "premium"
        when = { prefix = ["+49900", "0900"], method = ["INVITE"] }
        reply = "603 Decline"
        [[route]]
        name = "germany"
        when = { prefix = ["+49", "0"], length = "5-15" }
        to = "sip:gw.test"
        [[route]]
        name = "gateway"
        when = { source = ["198.51.100.0/24"] }
        [[route]]
        name = "regex"
        when = { to = "^sip:x[0-9]+@", from = "@example" }
        reply = "404"
        [[route]]
        name = "other regex"
        when = { to = "^sip:.*@b" }
        reply = "404"
        [[route]]
        name = "domain"
        when = { domain = ["b.test", "192.0.2.9"] }
        reply = "404"
        [[route]]
        name = "tcp"
        when = { transport = ["tcp"], header = { "user-agent" = "^Gateway", x-account = "2$" } }
        reply = "404"
        [[route]]
        name = "known"
        when = { authenticated = true }
        reply = "404"
        [[route]]
        name = "dialog"
        when = { in_dialog = true, method = ["INVITE", "FOO"] }
        reply = "404"
        "#,
    );
    let tcp = From {
        transport: Transport::Tcp,
        ..PHONE
    };
    let known = From {
        authenticated: true,
        ..PHONE
    };
    let dialog = From {
        in_dialog: true,
        ..PHONE
    };
    let gateway = From {
        source: "198.51.100.7",
        ..PHONE
    };
    for (method, uri, from, expected) in [
        ("INVITE", "sip:112@a.test", PHONE, Some("emergency")),
        ("CANCEL", "sip:112@a.test", PHONE, Some("emergency")),
        ("MESSAGE", "sip:112@a.test", PHONE, Some("emergency")),
        ("INVITE", "sip:1121@a.test", PHONE, None),
        ("INVITE", "sip:+4990012@a.test", PHONE, Some("premium")),
        ("MESSAGE", "sip:+4990012@a.test", PHONE, Some("germany")),
        ("INVITE", "sip:+4930123@a.test", PHONE, Some("germany")),
        ("INVITE", "sip:+4930@a.test", PHONE, Some("germany")),
        ("INVITE", "sip:+49@a.test", PHONE, None),
        ("INVITE", "sip:+491234567890123@a.test", PHONE, None),
        ("INVITE", "sip:01234@a.test", gateway, Some("germany")),
        ("INVITE", "sip:zoe@a.test", gateway, Some("gateway")),
        ("INVITE", "sip:x1@a.test", PHONE, Some("regex")),
        ("INVITE", "sip:x1@b.test", PHONE, Some("regex")),
        ("INVITE", "sip:y1@bb.test", PHONE, Some("other regex")),
        ("INVITE", "sip:B.TEST.", PHONE, Some("domain")),
        ("INVITE", "sip:y@192.0.2.9:5070", PHONE, Some("domain")),
        ("INVITE", "sip:y@a.test", tcp, Some("tcp")),
        ("INVITE", "sip:y@a.test", known, Some("known")),
        ("INVITE", "sip:112@a.test", dialog, Some("dialog")),
        ("FOO", "sip:112@a.test", dialog, Some("dialog")),
        ("BAR", "sip:112@a.test", dialog, None),
        ("BAR", "sip:112@a.test", PHONE, Some("emergency")),
        ("BYE", "sip:112@a.test", dialog, None),
        ("INVITE", "sip:y@a.test", PHONE, None),
    ] {
        assert_eq!(
            taken(&routes, method, uri, from).as_deref(),
            expected,
            "{method} {uri}"
        );
    }
}

#[test]
fn an_ack_to_a_refusal_goes_where_its_invite_went_without_state() {
    let routes = routes(
        "[[route]]\nname = \"a\"\nwhen.user = [\"1\"]\nto = \"sip:gw.test\"\nmode = \"stateless\"\n[[route]]\nname = \"b\"\nto = \
         \"sip:gw.test\"",
    );
    let dialog = From {
        in_dialog: true,
        ..PHONE
    };
    assert_eq!(
        taken(&routes, "ACK", "sip:1@a.test", dialog).as_deref(),
        Some("a")
    );
    assert_eq!(taken(&routes, "BYE", "sip:1@a.test", dialog), None);
    assert_eq!(taken(&routes, "ACK", "sip:2@a.test", dialog), None);
}

#[test]
fn each_route_before_the_one_that_decides_says_why_it_does_not() {
    let routes = routes(
        "[[route]]\nname = \"a\"\nwhen.method = [\"MESSAGE\"]\n[[route]]\nwhen = { to = \"^sips:\" }\n[[route]]\nwhen = { header = { \
         Subject = \"x\" } }\n[[route]]\nname = \"d\"\nreply = \"404\"\n",
    );
    with_facts("INVITE", "sip:x@a.test", PHONE, |facts| {
        let told: Vec<String> = explain(&routes, facts)
            .iter()
            .map(|c| match c.mismatch {
                Some(why) => format!("{} {}: {why}", c.route.written, c.route.name),
                None => format!("{} {}", c.route.written, c.route.name),
            })
            .collect();
        assert_eq!(
            told,
            [
                "f:1 a: it is for other methods",
                "f:4 route 2: its `to` is not found in the Request-URI",
                "f:6 route 3: its `header` is not found",
                "f:8 d",
            ]
        );
    });
}

#[test]
fn a_thousand_routes_with_prefixes_are_found_by_their_prefix() {
    let mut text = String::new();
    for n in 0..1000 {
        text.push_str(&format!(
            "[[route]]\nname = \"{n}\"\nwhen = {{ prefix = [\"+{n:03}\"] }}\nreply = \"404\"\n"
        ));
    }
    let routes = routes(&text);
    for n in [0, 7, 500, 999] {
        let uri = format!("sip:+{n:03}55@a.test");
        assert_eq!(taken(&routes, "INVITE", &uri, PHONE), Some(n.to_string()));
    }
}

#[test]
fn roles_come_from_the_node_and_are_overridden_by_the_route() {
    let routes = routes(
        "proxy.record_route = true\n[[route]]\nwhen.user = [\"1\"]\nmode = \"transaction\"\n[[route]]\nwhen.user = [\"2\"]\nmode = \"stateless\"\n[[route]]\nwhen.user = [\"3\"]\nring_timeout = \"5s\"",
    );
    let role = |user| {
        with_facts("INVITE", &format!("sip:{user}@a.test"), PHONE, |facts| {
            let role = decide(&routes, facts).role;
            (role.mode, role.record_route, role.ring_ms)
        })
    };
    assert_eq!(role("1"), (Mode::Transaction, false, None));
    assert_eq!(role("2"), (Mode::Stateless, false, None));
    assert_eq!(role("3"), (Mode::Stateful, true, Some(5000)));
    assert_eq!(role("4"), (Mode::Stateful, true, None));
}

#[test]
fn targets_take_the_user_the_whole_uri_or_nothing() {
    for (target, phone, uri, route) in [
        ("sip:gw.test", false, "sip:+49@gw.test", ""),
        (
            "sips:gw.test:5071;transport=tls",
            true,
            "sips:+49@gw.test:5071;transport=tls;user=phone",
            "",
        ),
        ("sip:fixed@gw.test", true, "sip:fixed@gw.test", ""),
        ("sip:edge.test;lr", true, "sip:+49@a.test", "<sip:edge.test;lr>"),
    ] {
        let routes = routes(&format!("[[route]]\nto = {target:?}"));
        let Action::Targets(targets) = &routes.routes[0].action else {
            panic!("targets")
        };
        let (mut written, mut routed) = (Vec::new(), Vec::new());
        targets[0].write_uri(b"sip:+49@a.test", b"+49", phone, &mut written);
        targets[0].write_route(&mut routed);
        assert_eq!(String::from_utf8_lossy(&written), uri);
        assert_eq!(String::from_utf8_lossy(&routed), route);
    }
}

#[test]
fn rfc3966_numbers_are_users_or_global_numbers_by_the_dial_plan() {
    let plan = |text: &str| {
        let config = check(text, "f").unwrap_or_else(|wrong| panic!("{wrong:?}"));
        NumberPlan::new(config.dial_plan.as_ref(), "example.test")
    };
    let berlin = plan(
        "[dial_plan]\ncountry = \"49\"\narea = \"30\"\nown = [\"+4930123\"]\nextensions = \"2-4\"\nkeep = [\"112\", \"115115\"]\n",
    );
    let paris = plan("[dial_plan]\ncountry = \"33\"\n");
    let none = plan("");
    let mut dialled = Dialled::default();
    for (plan, uri, expected) in [
        (
            &none,
            "tel:+1-201-555-0123",
            "sip:+12015550123@example.test;user=phone",
        ),
        (
            &none,
            "tel:7042;phone-context=example.com",
            "sip:7042@example.com;user=phone",
        ),
        (
            &none,
            "tel:863-1234;phone-context=+1-914-555",
            "sip:+19145558631234@example.test;user=phone",
        ),
        (&berlin, "tel:+49-30-123-42", "sip:42@example.test"),
        (&berlin, "tel:+49(30)123", "sip:+4930123@example.test;user=phone"),
        (&berlin, "tel:42", "sip:42@example.test;user=phone"),
        (&berlin, "tel:112", "sip:112@example.test;user=phone"),
        (&berlin, "tel:115115", "sip:115115@example.test;user=phone"),
        (&berlin, "tel:98765", "sip:+493098765@example.test;user=phone"),
        (&berlin, "tel:0171.2345", "sip:+491712345@example.test;user=phone"),
        (&berlin, "tel:0033-1-2345", "sip:+3312345@example.test;user=phone"),
        (&berlin, "tel:*21*5#", "sip:*21*5%23@example.test;user=phone"),
        (
            &berlin,
            "sip:0171-2345@example.test;x=y",
            "sip:+491712345@example.test;x=y",
        ),
        (&berlin, "sip:%2B493012342@example.test", "sip:42@example.test"),
        (&berlin, "sip:+49-900;x=1@example.test", "sip:+49900@example.test"),
        (&berlin, "sip:;x@example.test", ""),
        (&paris, "sip:0123456@example.test", "sip:+33123456@example.test"),
        (&paris, "sip:00@example.test", ""),
        (&paris, "sip:55@example.test", ""),
        (&berlin, "sip:alice@example.test", ""),
        (&berlin, "sip:face@example.test", ""),
        (&berlin, "sip:42@example.test", ""),
        (&none, "sip:01-23@example.test", ""),
        (
            &none,
            "sip:01-23@example.test;user=phone",
            "sip:0123@example.test;user=phone",
        ),
    ] {
        let changed = match Uri::parse(uri.as_bytes()).expect(uri) {
            Uri::Tel(tel) => {
                plan.dial_tel(&tel, &mut dialled);
                true
            }
            Uri::Sip(sip) => plan.dial_sip(&sip, &mut dialled),
            Uri::Other { .. } => panic!("{uri}"),
        };
        assert_eq!(changed, !expected.is_empty(), "{uri}");
        if changed {
            assert_eq!(String::from_utf8_lossy(dialled.uri()), expected, "{uri}");
        }
    }
    let Ok(Uri::Tel(tel)) = Uri::parse(b"tel:201;phone-context=+1;ext=7;isub=9;npdi;rn=+1-202:5") else {
        panic!("a number")
    };
    none.dial_tel(&tel, &mut dialled);
    assert_eq!(
        (dialled.user(), dialled.extras()),
        (&b"+1201"[..], &b";ext=7;isub=9;npdi;rn=+1-202%3A5"[..])
    );
}

#[test]
fn a_number_is_translated() {
    let mut dialled = Dialled::default();
    let translation = Translation {
        strip: 2,
        prefix: "+".to_owned(),
        suffix: "#".to_owned(),
    };
    for (uri, expected) in [
        ("sip:0049@a.test;x", "sip:+49%23@a.test;x"),
        ("sip:0@a.test", "sip:+%23@a.test"),
    ] {
        let Ok(Uri::Sip(sip)) = Uri::parse(uri.as_bytes()) else {
            panic!("{uri}")
        };
        dialled.translate(&sip, sip.user.unwrap_or_default(), &translation);
        assert_eq!(String::from_utf8_lossy(dialled.uri()), expected);
    }
}

#[test]
fn a_thousand_draws_follow_the_weights_within_a_priority() {
    let routes = routes(
        "[[group]]\nname = \"g\"\ntargets = [{ uri = \"sip:a.test\", weight = 30 }, { uri = \"sip:b.test\", weight = 10 }, { uri = \
         \"sip:c.test\", priority = 1 }]",
    );
    let group = routes.group_named("g").expect("there");
    let mut first = [0; 3];
    for key in 0..1000u64 {
        let order = group.order(key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        assert_eq!(order.places().len(), 3);
        assert_eq!(order.places()[2], 2);
        first[usize::from(order.places()[0])] += 1;
    }
    assert!((700..=800).contains(&first[0]), "{first:?}");
    assert_eq!(group.order(5).places(), group.order(5).places());
}

#[test]
fn a_target_has_limits_runs_empty_and_goes_down_and_up() {
    let text = "[[group]]\nname = \"g\"\nprobe = \"1s\"\ntargets = [{ uri = \"sip:a.test\", max_calls = 2 }, { uri = \"sip:b.test\", \
                max_rate = 1 }]";
    let routes = routes(text);
    let group = routes.group_named("g").expect("there");
    let (a, b) = (&group.targets[0], &group.targets[1]);
    assert!(a.enter(true, 1) && a.enter(true, 1) && !a.enter(true, 1));
    a.state.leave();
    assert!(a.enter(true, 1));
    assert!(b.enter(true, 1) && !b.enter(true, 1) && b.enter(true, 2));
    b.state.drain(true);
    assert_eq!((b.health(), b.enter(true, 3)), (Health::Draining, false));
    b.state.drain(false);
    let probe = group.probe.expect("probed");
    let told: Vec<_> = [false, false, true, false, false, false, true, true]
        .map(|answered| b.state.on_probe(answered, &probe))
        .to_vec();
    assert_eq!(
        told,
        [None, None, None, None, None, Some(false), None, Some(true)]
    );
    // A new configuration does not forget.
    let config = check(text, "f").expect("read");
    let mut after = Routes::new(&config);
    after.adopt(&routes);
    assert_eq!(
        after.group_named("g").map(|group| group.targets[0].state.calls()),
        Some(2)
    );
}

#[test]
fn a_target_that_was_down_is_used_once_nobody_asks_it_any_more() {
    let text = "[[group]]\nname = \"g\"\nprobe = \"1s\"\ntargets = [\"sip:a.test\"]";
    let before = routes(text);
    let group = before.group_named("g").expect("there");
    let probe = group.probe.expect("probed");
    for _ in 0..3 {
        group.targets[0].state.on_probe(false, &probe);
    }
    for (text, expected) in [
        (text.to_owned(), Health::Down),
        (text.replace("probe = \"1s\"\n", ""), Health::Up),
    ] {
        let mut after = routes(&text);
        after.adopt(&before);
        let target = &after.groups()[0].targets[0];
        assert_eq!(
            (target.health(), target.has_room(1)),
            (expected, expected == Health::Up)
        );
    }
}

#[test]
fn header_rules_take_out_and_add_lines() {
    let routes = routes(
        "[[route]]\nheaders = { set = { X-Account = \"7\" }, add = { X-New = \"a, b\" }, remove = [\"user-agent\"] }",
    );
    let rules = routes.routes[0].headers.as_ref().expect("rules");
    with_facts("INVITE", "sip:x@a.test", PHONE, |facts| {
        let mut out = Vec::new();
        rules.write(facts.request, &mut Default::default(), &mut out);
        let text = String::from_utf8(out).expect("text");
        assert!(
            text.ends_with("Content-Length: 0\r\nX-New: a, b\r\nX-Account: 7\r\n\r\n"),
            "{text}"
        );
        assert!(
            !text.contains("User-Agent") && !text.contains("X-Account: 12"),
            "{text}"
        );
        assert!(
            text.starts_with("INVITE sip:x@a.test SIP/2.0\r\nCSeq: 1 INVITE\r\nVia: "),
            "{text}"
        );
    });
}

#[test]
fn contacts_of_a_redirection_have_q_and_expires() {
    let routes = routes(
        "[[route]]\nredirect = { status = 300, expires = \"60s\", contacts = [\"sip:a.test\", { uri = \"sip:b.test\", q = 0.5, expires \
         = \"5s\" }, { uri = \"sip:c.test\", q = 1 }, { uri = \"sip:d.test\", q = 0 }] }",
    );
    let Action::Redirect(redirect) = &routes.routes[0].action else {
        panic!("a redirection")
    };
    let params: Vec<&str> = redirect
        .contacts
        .iter()
        .map(|contact| contact.params.as_str())
        .collect();
    assert_eq!(
        params,
        [
            ";expires=60",
            ";q=0.5;expires=5",
            ";q=1;expires=60",
            ";q=0;expires=60"
        ]
    );
}
