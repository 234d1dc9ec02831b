//! RFC 3261 §16.4 and §16.5: routes, whose a request is, and what is relayed for whom.

use strowger_server::config::Mode;
use strowger_sip::Destination;
use strowger_syntax::Transport;
use strowger_testkit::message::{
    ack, authorize, in_dialog, lines, registration, request, routed, start_line, with,
};
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

const BOB: &str = "sip:bob@example.test";
const CONTACT: &str = "sip:bob@192.0.2.11:5060";
const FOREIGN: &str = "sip:x@192.0.2.15:5060";

const DIGEST: &[&str] = &["REGISTER", "INVITE"];

// §16.6 step 4, §16.4: our own entry comes off, and its token lets the request through to where it is bound.
// §16.12 steps 1 to 3.
#[test]
fn a_request_of_a_dialog_follows_the_route_that_was_recorded() {
    let mut site = Site::new();
    site.register('b');
    let ok = site.call(1);
    for method in ["ACK", "INFO", "INVITE", "BYE"] {
        site.send('a', &routed(&in_dialog(method, &ok, 1), &ok));
        let sent = site.last('b', method).to_owned();
        assert_eq!(start_line(&sent), format!("{method} {CONTACT} SIP/2.0"));
        assert_eq!(lines(&sent, "Route"), [] as [&str; 0]);
        assert_eq!(
            lines(&sent, "Record-Route"),
            [] as [&str; 0],
            "the route set stays what it is"
        );
        if method != "ACK" {
            site.answer('b', 200);
        }
    }
    assert_eq!(
        site.log(),
        "b ACK, b INFO, a 200, a 100, b INVITE, a 200, b BYE, a 200"
    );
    site.assert_ends();
}

#[test]
fn the_callee_finds_the_same_way_back() {
    let mut site = Site::of(Plan {
        challenged: &["INVITE", "BYE", "MESSAGE"],
        ..Plan::default()
    });
    site.register('b');
    let invite = request('a', "INVITE", BOB, 1);
    let challenge = site.ask('a', &invite);
    let invite = authorize(&invite, &challenge, "alice", 1).replace("z9hG4bK1", "z9hG4bK2");
    site.send('a', &invite);
    let arrived = site.last('b', "INVITE").to_owned();
    let route = lines(&arrived, "Record-Route")[0];
    site.answer('b', 200);
    site.log();
    let bye = format!(
        "BYE sip:alice@192.0.2.10:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bKbye\r\nMax-Forwards: 70\r\n\
         Route: {route}\r\nFrom: <{BOB}>;tag=b-side\r\nTo: {}\r\nCall-ID: call1@a\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        lines(&arrived, "From")[0]
    );
    site.send('b', &bye);
    assert_eq!(site.log(), "a BYE", "a valid token needs no credentials");
    site.answer('a', 200);
    site.assert_ends();
}

// RFC 5393 §3: a contact that leads back here would fork again and again.
#[test]
fn a_contact_that_names_the_node_is_no_target() {
    let mut site = Site::new();
    site.ask(
        'b',
        &registration(
            'b',
            "sip:bob@example.test",
            "<sip:bob@192.0.2.1:5060;x=1>, <sip:bob@example.test;x=2>",
            1,
        ),
    );
    let refused = site.ask('a', &request('a', "MESSAGE", "sip:bob@example.test", 2));
    assert_eq!(start_line(&refused), "SIP/2.0 480 Temporarily Unavailable");
}

// A token would let its holder send anywhere.
#[test]
fn whoever_may_not_send_through_us_gets_no_token() {
    let mut site = Site::of(Plan {
        challenged: &["REGISTER"],
        ..Plan::default()
    });
    register_bob(&mut site, true);
    for (n, method) in [(1, "INVITE"), (2, "SUBSCRIBE"), (3, "NOTIFY"), (4, "REFER")] {
        site.send('a', &request('a', method, "sip:bob@example.test", n));
        let forwarded = site.last('b', method);
        assert!(lines(forwarded, "Record-Route").is_empty(), "{forwarded}");
    }
}

// A token is worth something in its own dialog only (§16.6 step 4: not outside of it).
#[test]
fn a_token_is_worth_nothing_outside_of_its_dialog() {
    let refusal = "SIP/2.0 403 Relaying Denied";
    let mut site = Site::new();
    register_bob(&mut site, false);
    let ok = site.call(1);
    let good = routed(&in_dialog("INFO", &ok, 1), &ok);
    for (from, to) in [
        ("Call-ID: call1@a", "Call-ID: call2@a"),
        ("tag=a1", "tag=a9"),
        (";st=", ";st=0"),
        (";st=", ";xt="),
        (";tag=b-side", ""),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        assert_eq!(start_line(&site.ask('a', &bad)), refusal, "{to}");
    }
    let token = good.find(";st=").expect("a token") + 4;
    let digit = if &good[token..=token] == "0" { "1" } else { "0" };
    let forged = format!("{}{digit}{}", &good[..token], &good[token + 1..]);
    assert_eq!(start_line(&site.ask('a', &forged)), refusal);
    site.send('a', &good);
    assert_eq!(site.log(), "b INFO");
}

/// Registers `b`, with credentials if they are asked for.
fn register_bob(site: &mut Site, digest: bool) {
    if !digest {
        return site.register('b');
    }
    let text = request('b', "REGISTER", "sip:example.test", 9)
        .replace("To: <sip:example.test>", &format!("To: <{BOB}>"));
    let text = with(&text, &format!("Contact: <{CONTACT}>"));
    let challenge = site.ask('b', &text);
    let answer = site.ask('b', &authorize(&text, &challenge, "bob", 1));
    assert_eq!(start_line(&answer), "SIP/2.0 200 OK");
}

// RFC 5658 §3: both entries stand for one pass.
// RFC 3261 §16.12.1.3.
#[test]
fn both_entries_of_a_change_of_transport_come_off() {
    let mut site = Site::new();
    site.register('b');
    let invite = request('a', "INVITE", BOB, 1).replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    site.send_tcp('a', &invite);
    let routes: Vec<_> = lines(site.last('b', "INVITE"), "Record-Route")
        .iter()
        .map(|&r| r.to_owned())
        .collect();
    assert_eq!(routes.len(), 2);
    assert!(
        !routes[0].contains("transport=") && routes[1].contains(";transport=tcp"),
        "{routes:?}"
    );
    let ok = site.response(
        'b',
        200,
        &format!("Contact: <{CONTACT}>\r\nRecord-Route: {}", routes.join(", ")),
    );
    site.send('b', &ok);
    let ok = site.last('a', "SIP/2.0 200").to_owned();
    let reversed = format!("Route: {}, {}", routes[1], routes[0]);
    site.send_tcp(
        'a',
        &with(&in_dialog("BYE", &ok, 1), &reversed).replace("SIP/2.0/UDP", "SIP/2.0/TCP"),
    );
    assert_eq!(
        start_line(site.last('b', "BYE")),
        format!("BYE {CONTACT} SIP/2.0")
    );
    assert_eq!(lines(site.last('b', "BYE"), "Route"), [] as [&str; 0]);
    site.answer('b', 200);
    site.assert_ends();
}

// §16.4: a strict router has put our entry into the Request-URI; the target is the last Route.
#[test]
fn a_request_from_a_strict_router_is_put_right() {
    let mut site = Site::new();
    site.register('b');
    let ok = site.call(1);
    let ours = lines(&ok, "Record-Route")[0].trim_matches(['<', '>']).to_owned();
    let bye = in_dialog("BYE", &ok, 1).replacen(CONTACT, &ours, 1);
    site.send('a', &with(&bye, &format!("Route: <{CONTACT}>")));
    let sent = site.last('b', "BYE");
    assert_eq!(start_line(sent), format!("BYE {CONTACT} SIP/2.0"));
    assert_eq!(lines(sent, "Route"), [] as [&str; 0]);
    site.answer('b', 200);
    site.assert_ends();
    // Further hops on the way: the request goes to the first of them.
    let bye = bye.replace("z9hG4bKBYE", "z9hG4bKBYE2");
    site.log();
    site.send(
        'a',
        &with(&bye, &format!("Route: <sip:192.0.2.15;lr>, <{CONTACT}>")),
    );
    let sent = site.last('f', "BYE");
    assert_eq!(start_line(sent), format!("BYE {CONTACT} SIP/2.0"));
    assert_eq!(lines(sent, "Route"), ["<sip:192.0.2.15;lr>"]);
}

// §16.12.1.2: the next hop is a strict router.
#[test]
fn a_strict_router_on_the_way_is_served_as_it_wants() {
    let mut site = Site::new();
    site.register('b');
    let ok = site.call(1);
    let routes = format!(
        "Route: {}, <sip:192.0.2.15>, <sip:p2.test;lr>",
        lines(&ok, "Record-Route")[0]
    );
    site.send('a', &with(&in_dialog("BYE", &ok, 1), &routes));
    let sent = site.last('f', "BYE");
    assert_eq!(start_line(sent), "BYE sip:192.0.2.15 SIP/2.0");
    assert_eq!(
        lines(sent, "Route"),
        ["<sip:p2.test;lr>", &format!("<{CONTACT}>")]
    );
}

// Phones with an outbound proxy put us into Route.
#[test]
fn a_preloaded_route_that_names_us_is_taken_off() {
    let mut site = Site::new();
    site.register('b');
    let text = with(&request('a', "INVITE", BOB, 1), "Route: <sip:192.0.2.1:5060;lr>");
    site.send('a', &text);
    assert_eq!(site.log(), "a 100, b INVITE");
    assert_eq!(lines(site.last('b', "INVITE"), "Route"), [] as [&str; 0]);
    let register = request('c', "REGISTER", "sip:example.test", 2).replace("To: <sip:", "To: <sip:carol@");
    let register = with(
        &register,
        "Route: <sip:example.test;lr>\r\nContact: <sip:carol@192.0.2.12>",
    );
    assert_eq!(start_line(&site.ask('c', &register)), "SIP/2.0 200 OK");
}

// Never an open relay: a foreign target is for those who are known.
#[test]
fn strangers_are_not_relayed() {
    let preloaded = with(&request('a', "MESSAGE", BOB, 2), "Route: <sip:192.0.2.15;lr>");
    let behind_us = with(
        &request('a', "MESSAGE", BOB, 3),
        "Route: <sip:example.test;lr>, <sip:192.0.2.15;lr>",
    );
    let maddr = request('a', "MESSAGE", "sip:bob@example.test;maddr=192.0.2.15", 4);
    let other_port = request('a', "MESSAGE", "sip:bob@example.test:5999", 5);
    let to_tag = request('a', "MESSAGE", FOREIGN, 6).replace(">\r\nCall", ">;tag=x\r\nCall");
    for text in [
        request('a', "MESSAGE", FOREIGN, 1),
        preloaded,
        behind_us,
        maddr,
        other_port,
        to_tag,
    ] {
        let mut site = Site::new();
        site.register('b');
        assert_eq!(
            start_line(&site.ask('a', &text)),
            "SIP/2.0 403 Relaying Denied",
            "{text}"
        );
        for method in ["ACK", "CANCEL"] {
            site.send('a', &text.replace("MESSAGE", method));
            assert!(!site.log().contains('f'), "{method}");
        }
        let mut site = Site::of(Plan {
            challenged: DIGEST,
            ..Plan::default()
        });
        assert_eq!(
            start_line(&site.ask('a', &text)),
            "SIP/2.0 407 Proxy Authentication Required"
        );
        site.assert_ends();
    }
}

#[test]
fn those_who_are_known_are_relayed() {
    let text = request('a', "MESSAGE", FOREIGN, 1);
    let mut trusted = Site::of(Plan {
        trusted: &["192.0.2.10/32"],
        ..Plan::default()
    });
    trusted.send('a', &text);
    assert_eq!(trusted.log(), "f MESSAGE");
    assert_eq!(
        start_line(trusted.last('f', "MESSAGE")),
        format!("MESSAGE {FOREIGN} SIP/2.0")
    );
    trusted.answer('f', 200);
    trusted.assert_ends();
    let mut digest = Site::of(Plan {
        challenged: DIGEST,
        ..Plan::default()
    });
    let challenge = digest.ask('a', &text);
    digest.send('a', &authorize(&text, &challenge, "alice", 1));
    assert_eq!(digest.log(), "f MESSAGE");
    assert_eq!(
        lines(digest.last('f', "MESSAGE"), "Proxy-Authorization"),
        [] as [&str; 0],
        "§22.3"
    );
    let mut local = Site::new();
    local.send('l', &request('l', "MESSAGE", "sip:x@127.0.0.1:6000", 1));
    assert_eq!(local.log(), "l MESSAGE", "on this machine, with digest off");
}

// §16.5: a preloaded route decides where the request goes, not what it says.
// §16.12 step 3.
#[test]
fn a_preloaded_route_leads_on_and_leaves_the_request_uri_alone() {
    let mut site = Site::of(Plan {
        trusted: &["192.0.2.10/32"],
        ..Plan::default()
    });
    site.register('b');
    site.send(
        'a',
        &with(&request('a', "INVITE", BOB, 1), "Route: <sip:192.0.2.15;lr>"),
    );
    assert_eq!(site.log(), "a 100, f INVITE");
    let sent = site.last('f', "INVITE");
    assert_eq!(start_line(sent), format!("INVITE {BOB} SIP/2.0"));
    assert_eq!(lines(sent, "Route"), ["<sip:192.0.2.15;lr>"]);
}

// Ours: a domain or a listener's address, with no port or a listener's.
#[test]
fn a_user_of_ours_is_found_by_every_name_of_ours() {
    for uri in [
        "sip:bob@example.test",
        "sip:bob@EXAMPLE.test.",
        "sip:bob@example.test:5060",
        "sip:%62ob@example.test;x=y",
    ] {
        let mut site = Site::new();
        site.register('b');
        site.send('a', &request('a', "MESSAGE", uri, 1));
        assert_eq!(site.log(), "b MESSAGE", "{uri}");
        assert_eq!(
            start_line(site.last('b', "MESSAGE")),
            format!("MESSAGE {CONTACT} SIP/2.0")
        );
    }
    let mut site = Site::new();
    assert_eq!(
        start_line(&site.ask('a', &request('a', "MESSAGE", "sip:bob@192.0.2.1:5060", 1))),
        "SIP/2.0 404 Not Found"
    );
}

#[test]
fn an_alias_leads_to_its_user() {
    let mut site = Site::new();
    site.register('a');
    site.send('b', &request('b', "INVITE", "sip:1001@example.test", 1));
    assert_eq!(site.log(), "b 100, a INVITE");
    assert_eq!(
        start_line(site.last('a', "INVITE")),
        "INVITE sip:alice@192.0.2.10:5060 SIP/2.0"
    );
}

// §13.2.2.4, §16.6: the ACK to a 2xx is no transaction's; without a route set it goes to the contact all the same.
#[test]
fn the_ack_to_a_2xx_is_forwarded_every_time_it_comes() {
    let mut site = Site::new();
    site.register('b');
    let ok = site.call(1);
    let ack = routed(&in_dialog("ACK", &ok, 1).replace("CSeq: 2", "CSeq: 1"), &ok);
    site.send('a', &ack);
    let first = site.last('b', "ACK").to_owned();
    site.send('a', &ack);
    assert_eq!(site.log(), "b ACK, b ACK");
    assert_eq!(site.last('b', "ACK"), first, "§16.11: the same branch");
    let other = ack.replace("z9hG4bKACK1", "z9hG4bKACK2");
    site.send('a', &other);
    assert_ne!(lines(site.last('b', "ACK"), "Via")[0], lines(&first, "Via")[0]);
}

// §18.1.1: too large for UDP; TCP first, and back to UDP when that fails.
#[test]
fn a_large_request_goes_by_tcp_and_back_to_udp() {
    let mut site = Site::of(Plan {
        trusted: &["192.0.2.10/32"],
        ..Plan::default()
    });
    let text = with(
        &request('a', "MESSAGE", FOREIGN, 1),
        &format!("X-Long: {}", "x".repeat(1400)),
    );
    site.send('a', &text);
    assert_eq!(
        site.last_to(),
        Destination::Connect {
            transport: Transport::Tcp,
            to: address('f')
        }
    );
    site.fail_last();
    assert!(matches!(site.last_to(), Destination::Datagram { to, .. } if to == address('f')));
    site.answer('f', 200);
    assert_eq!(site.log(), "f MESSAGE, f MESSAGE, a 200");
    site.assert_ends();
}

// §16.10: nobody here knows the INVITE; its CANCEL may find it further on.
#[test]
fn a_cancel_that_belongs_to_nothing_is_forwarded_and_its_answer_comes_back() {
    let mut site = Site::new();
    site.register('b');
    site.send('a', &request('a', "CANCEL", BOB, 1));
    assert_eq!(site.log(), "b CANCEL");
    site.answer_cancel('b', 481);
    assert_eq!(site.log(), "a 481");
    assert_eq!(lines(site.last('a', "SIP/2.0 481"), "Via").len(), 1);
    site.assert_ends();
}

// §16.11.
// §16.11 bullets 2 and 3.
#[test]
fn a_stateless_node_forwards_both_ways_and_keeps_nothing() {
    let mut site = Site::of(Plan {
        mode: Mode::Stateless,
        ..Plan::default()
    });
    site.register('b');
    let invite = request('a', "INVITE", BOB, 1);
    site.send('a', &invite);
    let first = site.last('b', "INVITE").to_owned();
    site.send('a', &invite);
    assert_eq!(
        site.last('b', "INVITE"),
        first,
        "a retransmission gets the same branch"
    );
    site.send('a', &request('a', "CANCEL", BOB, 1));
    let via = |text: &str| lines(text, "Via")[0].to_owned();
    assert_eq!(
        via(site.last('b', "CANCEL")),
        via(&first),
        "the CANCEL has the branch of its INVITE"
    );
    site.answer('b', 180);
    site.answer('b', 487);
    site.send('a', &request('a', "ACK", BOB, 1));
    assert_eq!(via(site.last('b', "ACK")), via(&first), "and so has the ACK");
    assert_eq!(site.log(), "b INVITE, b INVITE, b CANCEL, a 180, a 487, b ACK");
    assert_eq!(lines(site.last('a', "SIP/2.0 487"), "Via").len(), 1);
    site.assert_ends();
}

// §16.1: between datagrams and a connection somebody has to see that everything arrives, whatever the mode.
#[test]
fn a_stateless_node_takes_part_in_what_needs_transactions() {
    let stateless = || {
        Site::of(Plan {
            mode: Mode::Stateless,
            trusted: &["192.0.2.10/32"],
            ..Plan::default()
        })
    };
    let mut site = stateless();
    let register = registration('b', BOB, "<sip:bob@192.0.2.11:40000;transport=tcp>", 1);
    site.send_tcp('b', &register.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    site.log();
    let explained = site.explain('a', request('a', "INVITE", BOB, 1).as_bytes(), false, "");
    let texts: Vec<_> = explained.steps.iter().map(|step| step.line().text).collect();
    assert!(
        texts
            .iter()
            .any(|text| text.contains("somebody has to retransmit between datagrams and a connection")),
        "{texts:#?}"
    );
    for method in ["INVITE", "MESSAGE"] {
        let text = request('a', method, BOB, if method == "INVITE" { 1 } else { 2 });
        site.send('a', &text);
        site.send('a', &text);
        let trying = if method == "INVITE" { "a 100, " } else { "" };
        let again = if method == "INVITE" { ", a 100" } else { "" };
        assert_eq!(site.log(), format!("{trying}b {method}{again}"));
        assert_eq!(lines(site.last('b', method), "Record-Route"), [] as [&str; 0]);
        let answer = site
            .response('b', 404, "")
            .replace("SIP/2.0/UDP 192.0.2.1", "SIP/2.0/TCP 192.0.2.1");
        site.send_tcp('b', &answer);
        let ack = if method == "INVITE" { "b ACK, " } else { "" };
        assert_eq!(site.log(), format!("{ack}a 404"));
    }
    site.assert_ends();

    // Where only DNS knows how it leaves, and it comes again meanwhile.
    let mut site = stateless();
    let text = request('a', "INVITE", "sip:x@far.test;transport=tcp", 1);
    site.send('a', &text);
    site.send('a', &text);
    let far = ["192.0.2.15".parse().expect("an address")];
    site.resolve(&far);
    while let Some(question) = site.question() {
        site.answer_question(&question, &far);
    }
    assert_eq!(site.log(), "a 100, f INVITE, a 100");
}

// §16.11, §18.2.2: whoever is sent a branch of ours could name anybody behind it.
#[test]
fn a_response_goes_back_to_whom_the_branch_was_made_for_and_to_nobody_else() {
    let mut site = Site::of(Plan {
        mode: Mode::Stateless,
        ..Plan::default()
    });
    site.register('b');
    site.send('a', &request('a', "INVITE", BOB, 1));
    assert_eq!(site.log(), "b INVITE");
    let response = site.response('b', 180, "");
    let theirs = lines(&response, "Via")[1].to_owned();
    assert_eq!(theirs, "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1");
    for foreign in [
        theirs.replace("192.0.2.10", "192.0.2.15"),
        theirs.replace(":5060", ":5070"),
        theirs.replace("z9hG4bK1", "z9hG4bK2"),
        format!("{theirs};received=192.0.2.15"),
        format!("{theirs};rport=5070"),
        "SIP/2.0/UDP far.test;branch=z9hG4bK1".to_owned(),
    ] {
        site.send('b', &response.replace(&theirs, &foreign));
        assert_eq!(site.log(), "", "{foreign}");
    }
    site.send('b', &response.replace(&format!("Via: {theirs}\r\n"), ""));
    assert_eq!(site.log(), "", "there is no second Via");
    site.send('b', &response);
    assert_eq!(site.log(), "a 180");
    site.assert_ends();
}

// §8.3.
#[test]
fn a_redirect_node_tells_where_the_user_is() {
    let mut site = Site::of(Plan {
        mode: Mode::Redirect,
        ..Plan::default()
    });
    site.register('b');
    let moved = site.ask('a', &request('a', "INVITE", BOB, 1));
    assert_eq!(start_line(&moved), "SIP/2.0 302 Moved Temporarily");
    assert!(
        lines(&moved, "Contact")[0].starts_with(&format!("<{CONTACT}>")),
        "{moved}"
    );
    site.send('a', &ack(&request('a', "INVITE", BOB, 1), &moved));
    assert_eq!(site.log(), "");
    assert_eq!(
        start_line(&site.ask('a', &request('a', "INVITE", "sip:carol@example.test", 2))),
        "SIP/2.0 480 Temporarily Unavailable"
    );
    let here = registration('b', "sip:carol@example.test", "<sip:carol@example.test>", 3);
    assert_eq!(start_line(&site.ask('b', &here)), "SIP/2.0 200 OK");
    assert_eq!(
        start_line(&site.ask('a', &request('a', "INVITE", "sip:carol@example.test", 4))),
        "SIP/2.0 480 Temporarily Unavailable",
        "not to where it was sent"
    );
    site.assert_ends();
}

// §8.3: a CANCEL is no error, and what is not understood is no reason to refuse.
#[test]
fn a_redirect_node_takes_a_cancel_and_whatever_it_does_not_understand() {
    let mut site = Site::of(Plan {
        mode: Mode::Redirect,
        ..Plan::default()
    });
    site.register('b');
    let invite = request('a', "INVITE", BOB, 1);
    let moved = site.ask('a', &invite);
    assert_eq!(
        start_line(&site.ask('a', &invite.replace("INVITE", "CANCEL"))),
        "SIP/2.0 200 OK"
    );
    site.send('a', &ack(&invite, &moved));
    let odd = with(
        &request('a', "FROBNICATE", BOB, 2),
        "Require: the-moon\r\nX-Odd: <<>>",
    );
    assert_eq!(start_line(&site.ask('a', &odd)), "SIP/2.0 302 Moved Temporarily");
    site.assert_ends();
}

// §16.11 bullets 1 and 4: of several targets one, and the same one each time.
#[test]
fn a_stateless_node_sends_the_same_request_the_same_way_each_time() {
    let mut site = Site::of(Plan {
        mode: Mode::Stateless,
        ..Plan::default()
    });
    let contacts = "<sip:bob@192.0.2.11:5060>, <sip:bob@192.0.2.12:5060>";
    let bound = site.ask('b', &registration('b', BOB, contacts, 1));
    assert_eq!(start_line(&bound), "SIP/2.0 200 OK");
    site.log();
    let invite = request('a', "INVITE", BOB, 2);
    site.send('a', &invite);
    let first = site.log();
    assert!(["b INVITE", "c INVITE"].contains(&first.as_str()), "{first}");
    site.pass(500);
    site.send('a', &invite);
    assert_eq!(site.log(), first);
    site.send('a', &ack(&invite, &request('a', "INVITE", BOB, 2)));
    assert_eq!(site.log(), first.replace("INVITE", "ACK"));
}
