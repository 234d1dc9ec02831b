//! RFC 3261 §16.6: the copy that leaves.

use strowger_sip::proxy::RecordRoute;
use strowger_sip::proxy::Turn;
use strowger_sip::transport::Hop;
use strowger_sip::{Destination, transport::OurBranch};

use crate::stage::{Manner, Stage, Way, lines, request, tcp, udp, uri_of, ways};

const TOKEN: RecordRoute = RecordRoute::Dialog {
    caller: None,
    token: 0x0123_4567_89ab_cdef,
};

/// Forwards a request to `a` with these lines put in, and gives what leaves.
fn forwarded(extra: &str, manner: Manner) -> String {
    let mut stage = Stage::new();
    let text = request("INVITE").replace("Content-Length", &format!("{extra}Content-Length"));
    stage.start_with(&text, &ways("a"), manner);
    stage.last('a', "INVITE").to_owned()
}

fn start_line(text: &str) -> &str {
    text.split("\r\n").next().unwrap_or_default()
}

/// Replaces our branch by `OURS`.
fn without_branch(text: &str) -> String {
    let at = text.find("branch=z9hG4bKt").expect("our branch") + "branch=".len();
    let end = at + text[at..].find('\r').expect("a line");
    format!("{}OURS{}", &text[..at], &text[end..])
}

// Steps 1, 2, 3, 8 and 9: Request-URI, Max-Forwards and our Via; everything else as it came, in its order.
#[test]
fn the_copy_differs_by_request_uri_via_and_the_bounds_of_forwarding_only() {
    let text = "INVITE sip:bob@example.test SIP/2.0\r\n\
        v: SIP/2.0/UDP alice.example.test:6000 ;rport;branch=z9hG4bKcaller,SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n\
        X-First:  odd   spaces \r\n\
        Max-Forwards: 12\r\n\
        f: <sip:alice@example.test>;tag=alice\r\n\
        To: <sip:bob@example.test>\r\n\
        Call-ID: c1@caller\r\n\
        Date: no date at all\r\n\
        CSeq: 7 INVITE\r\n\
        x-first: again\r\n\
        l: 5\r\n\r\nhello";
    let mut stage = Stage::new();
    stage.start(text, &ways("a"));
    let expected = "INVITE sip:a@192.0.2.10:5061 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=OURS\r\n\
        v: SIP/2.0/UDP alice.example.test:6000 ;rport=6000;received=192.0.2.77;branch=z9hG4bKcaller,\
        SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n\
        X-First:  odd   spaces \r\n\
        Max-Forwards: 11\r\n\
        Max-Breadth: 60\r\n\
        f: <sip:alice@example.test>;tag=alice\r\n\
        To: <sip:bob@example.test>\r\n\
        Call-ID: c1@caller\r\n\
        Date: no date at all\r\n\
        CSeq: 7 INVITE\r\n\
        x-first: again\r\n\
        l: 5\r\n\r\nhello";
    assert_eq!(without_branch(stage.last('a', "INVITE")), expected);
}

// Step 3.
#[test]
fn a_request_without_max_forwards_gets_70() {
    let mut stage = Stage::new();
    stage.start(&request("INVITE").replace("Max-Forwards: 70\r\n", ""), &ways("a"));
    assert_eq!(lines(stage.last('a', "INVITE"), "Max-Forwards"), ["70"]);
}

// Step 9.
#[test]
fn a_request_without_content_length_gets_one() {
    let mut stage = Stage::new();
    stage.start(
        &request("INVITE").replace("Content-Length: 0\r\n\r\n", "\r\nv=0"),
        &ways("a"),
    );
    let text = stage.last('a', "INVITE");
    assert_eq!(lines(text, "Content-Length"), ["3"]);
    assert!(text.ends_with("\r\n\r\nv=0"));
}

// Step 2: what must not stand in a Request-URI (§19.1.1) is taken out of a target's URI.
#[test]
fn headers_and_method_of_a_target_uri_do_not_reach_the_request_uri() {
    for (uri, sent) in [
        ("sip:a@192.0.2.10:5061?Subject=x&Route=y", "sip:a@192.0.2.10:5061"),
        (
            "sip:a@192.0.2.10:5061;method=INVITE;ob",
            "sip:a@192.0.2.10:5061;ob",
        ),
        (
            "sip:a@192.0.2.10:5061;x=1;Method=BYE?b=c",
            "sip:a@192.0.2.10:5061;x=1",
        ),
        (
            "sip:a?b;method=c@192.0.2.10:5061;lr",
            "sip:a?b;method=c@192.0.2.10:5061;lr",
        ),
        (
            "sip:a@192.0.2.10:5061;methodical=1",
            "sip:a@192.0.2.10:5061;methodical=1",
        ),
    ] {
        let mut stage = Stage::new();
        stage.start(
            &request("INVITE"),
            &[Way {
                uri,
                routes: "",
                hop: udp('a'),
                fallback: None,
                turn: Turn::default(),
            }],
        );
        assert_eq!(
            start_line(stage.last('a', "INVITE")),
            format!("INVITE {sent} SIP/2.0")
        );
    }
}

// Step 4: a loose-routing SIP URI that names us, above the ones that are there.
#[test]
fn record_route_stands_above_those_of_others() {
    let manner = Manner {
        record_route: Some(TOKEN),
        ..Manner::default()
    };
    let text = forwarded(
        "Record-Route: <sip:p1.example.test;lr>, <sip:p0.example.test;lr>\r\n",
        manner,
    );
    let expected = [
        "<sip:192.0.2.1:5060;lr;st=0123456789abcdef>",
        "<sip:p1.example.test;lr>, <sip:p0.example.test;lr>",
    ];
    assert_eq!(lines(&text, "Record-Route"), expected);
    assert_eq!(
        lines(&forwarded("", Manner::default()), "Record-Route"),
        [] as [&str; 0]
    );
}

// RFC 5658 §3: two entries when the two sides find us at different addresses or transports; the next hop's on top.
#[test]
fn record_route_is_doubled_when_the_request_leaves_another_way_than_it_came() {
    let other = Hop {
        listener: 2,
        local: [198, 51, 100, 1].into(),
        ..udp('a')
    };
    let inside = "<sip:192.0.2.1:5060;lr;st=0123456789abcdef>";
    for (hop, outside) in [
        (
            tcp('a'),
            "<sip:192.0.2.1:5060;transport=tcp;lr;st=0123456789abcdef>",
        ),
        (other, "<sip:198.51.100.1:5070;lr;st=0123456789abcdef>"),
    ] {
        let mut stage = Stage::new();
        let way = Way {
            uri: uri_of('a'),
            routes: "",
            hop,
            fallback: None,
            turn: Turn::default(),
        };
        stage.start_with(
            &request("INVITE"),
            &[way],
            Manner {
                record_route: Some(TOKEN),
                ..Manner::default()
            },
        );
        assert_eq!(
            lines(stage.last('a', "INVITE"), "Record-Route"),
            [outside, inside]
        );
    }
}

// §16.4: our own entries go, wherever they stand in the list.
#[test]
fn our_own_routes_are_taken_off() {
    let manner = |pop| Manner {
        pop,
        ..Manner::default()
    };
    for (given, pop, left) in [
        ("Route: <sip:us;lr>\r\n", 1, vec![]),
        ("Route: <sip:us;lr>,<sip:us2;lr>\r\n", 2, vec![]),
        ("Route: <sip:us;lr>\r\nRoute: <sip:us2;lr>\r\n", 2, vec![]),
        ("Route: <sip:us;lr> , <sip:p;lr>\r\n", 1, vec!["<sip:p;lr>"]),
        (
            "Route: <sip:us;lr>\r\nRoute: <sip:us2;lr>,  <sip:p;lr>, <sip:q;lr>\r\n",
            2,
            vec!["<sip:p;lr>, <sip:q;lr>"],
        ),
        (
            "Route: <sip:us;lr>,<sip:p;lr>\r\nRoute: <sip:q;lr>\r\n",
            1,
            vec!["<sip:p;lr>", "<sip:q;lr>"],
        ),
        ("Route: <sip:p;lr>\r\n", 0, vec!["<sip:p;lr>"]),
    ] {
        assert_eq!(lines(&forwarded(given, manner(pop)), "Route"), left, "{given}");
    }
}

// §16.4: the last entry became the Request-URI, because a strict router had put ours there.
#[test]
fn the_last_route_goes_when_it_became_the_request_uri() {
    for (given, pop, left) in [
        ("Route: <sip:bob@h>\r\n", 0, vec![]),
        ("Route: <sip:p;lr>, <sip:bob@h>\r\n", 0, vec!["<sip:p;lr>"]),
        (
            "Route: <sip:p;lr>\r\nRoute: <sip:bob@h>\r\n",
            0,
            vec!["<sip:p;lr>"],
        ),
        ("Route: <sip:us;lr>, <sip:bob@h>\r\n", 1, vec![]),
        ("Route: <sip:us;lr>\r\nRoute: <sip:bob@h>\r\n", 1, vec![]),
        (
            "Route: <sip:us;lr>, <sip:p;lr>, <sip:bob@h>\r\n",
            1,
            vec!["<sip:p;lr>"],
        ),
    ] {
        let text = forwarded(
            given,
            Manner {
                pop,
                strict: true,
                record_route: None,
            },
        );
        assert_eq!(lines(&text, "Route"), left, "{given}");
    }
}

// Step 6: a next hop without lr gets itself as Request-URI, and the target at the end of Route (§16.12.1.2).
// §16.6 bullets 1 and 2.
#[test]
fn a_strict_router_gets_itself_as_request_uri_and_the_target_as_last_route() {
    for (given, pop, strict, left) in [
        (
            "Route: <sip:p3.test>\r\n",
            0,
            false,
            vec!["<sip:a@192.0.2.10:5061>"],
        ),
        (
            "Route: <sip:us;lr>, <sip:p3.test>, <sip:p2.test;lr>\r\n",
            1,
            false,
            vec!["<sip:p2.test;lr>", "<sip:a@192.0.2.10:5061>"],
        ),
        (
            "Route: <sip:us;lr>\r\nRoute: <sip:p3.test>\r\nRoute: <sip:p2.test;lr>\r\n",
            1,
            false,
            vec!["<sip:p2.test;lr>", "<sip:a@192.0.2.10:5061>"],
        ),
        (
            "Route: <sip:p3.test>, <sip:bob@h>\r\n",
            0,
            true,
            vec!["<sip:a@192.0.2.10:5061>"],
        ),
    ] {
        let text = forwarded(
            given,
            Manner {
                pop,
                strict,
                record_route: None,
            },
        );
        assert_eq!(start_line(&text), "INVITE sip:p3.test SIP/2.0", "{given}");
        assert_eq!(lines(&text, "Route"), left, "{given}");
    }
}

// Step 6, RFC 3327 §5.4: the Path of a binding comes before what the request has.
#[test]
fn the_path_of_a_target_stands_above_the_routes_of_the_request() {
    let routes = "<sip:edge.test;lr>,<sip:inner.test;lr>";
    for (given, pop, left) in [
        ("", 0, vec![routes]),
        ("Route: <sip:us;lr>\r\n", 1, vec![routes]),
        (
            "Route: <sip:us;lr>, <sip:p;lr>\r\n",
            1,
            vec![routes, "<sip:p;lr>"],
        ),
    ] {
        let mut stage = Stage::new();
        let text = request("INVITE").replace("Content-Length", &format!("{given}Content-Length"));
        let way = Way {
            uri: uri_of('a'),
            routes,
            hop: udp('a'),
            fallback: None,
            turn: Turn::default(),
        };
        stage.start_with(
            &text,
            &[way],
            Manner {
                pop,
                ..Manner::default()
            },
        );
        let text = stage.last('a', "INVITE");
        assert_eq!(start_line(text), "INVITE sip:a@192.0.2.10:5061 SIP/2.0");
        assert_eq!(lines(text, "Route"), left, "{given}");
    }
}

// §22.3: credentials for our realm end here, those for others go on.
#[test]
fn only_credentials_for_a_realm_of_ours_are_taken_out() {
    let digest = |realm: &str| {
        format!("Digest username=\"alice@example.test\", realm=\"{realm}\", nonce=\"n\", uri=\"sip:x\"")
    };
    let given = [
        "example.test",
        "sub.example.test",
        "example.test.net",
        "other.test",
    ]
    .map(digest);
    let text: String = given
        .iter()
        .map(|value| format!("Proxy-Authorization: {value}\r\n"))
        .collect();
    let authorization = format!("Authorization: {}\r\n", digest("example.test"));
    let text = forwarded(&format!("{text}{authorization}"), Manner::default());
    assert_eq!(lines(&text, "Proxy-Authorization"), given[1..].to_vec());
    assert_eq!(
        lines(&text, "Authorization").len(),
        1,
        "for the server, not for a proxy"
    );
}

// Step 8: each branch has a branch parameter of its own, with the loop part they share.
#[test]
fn every_branch_has_its_own_branch_parameter() {
    let mut stage = Stage::new();
    stage.start(&request("INVITE"), &ways("abc"));
    let via = |name| lines(stage.last(name, "INVITE"), "Via")[0].to_owned();
    let branches = ['a', 'b', 'c']
        .map(via)
        .map(|via| via.split("branch=").nth(1).unwrap_or_default().to_owned());
    for (i, branch) in branches.iter().enumerate() {
        assert!(branch.starts_with("z9hG4bKt"));
        assert!(!branches[i + 1..].contains(branch));
        assert_eq!(
            branch[branch.len() - 16..],
            branches[0][branch.len() - 16..],
            "the loop part"
        );
        let read = stage.endpoint.identity.branches.read(branch.as_bytes());
        assert!(matches!(read, Some(OurBranch::Stateful { shard: 2, .. })));
    }
    assert_eq!(stage.order(), "a INVITE, b INVITE, c INVITE");
    assert!(matches!(udp('a').to, Destination::Datagram { .. }));
}
