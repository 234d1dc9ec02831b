//! What a flow token in a Path is worth (RFC 5626 §5.3.1): the way to the peer that it was made for, without credentials, and
//! nothing else.

use strowger_sip::Destination;
use strowger_testkit::message::{lines, registration, request, start_line, with};
use strowger_testkit::{Plan, Site};

use super::{EDGE, INSTANCE, elements, elsewhere, to_datagrams};

/// A site that takes REGISTERs of strangers for another domain there, and calls of nobody without credentials. Alice is
/// registered here.
fn edge() -> Site {
    let routing = format!("{EDGE}when.domain = [\"else.test\"]\nopen = true\n");
    let mut site = Site::of(Plan {
        routing: Box::leak(routing.into_boxed_str()),
        challenged: &["REGISTER", "INVITE"],
        trusted: &["192.0.2.10/32"],
        ..Plan::default()
    });
    site.register('a');
    site
}

/// Registers bob elsewhere, by a datagram: his place in the Path.
#[track_caller]
fn path_of_bob(site: &mut Site) -> String {
    site.send('b', &elsewhere("Supported: path, outbound", INSTANCE));
    let path = elements(site.last('e', "REGISTER"), "Path")[0].to_owned();
    site.answer('e', 200);
    site.log();
    path
}

/// A request of the registrar's proxy by this Route.
fn by_route(method: &str, uri: &str, route: &str, n: u32) -> String {
    let text = request('e', method, uri, n);
    with(
        &text,
        &format!("Route: {route}\r\nContact: <sip:e@192.0.2.14>\r\nEvent: reg\r\nExpires: 600"),
    )
}

// RFC 5626 §5.3.1: over the flow and nowhere else, whomever the Request-URI names; our users and our own services are not
// reached so without credentials.
#[test]
fn whatever_is_asked_for_by_it_goes_over_the_flow() {
    for uri in [
        "sip:bob@10.0.0.6:5060",
        "sip:alice@example.test",
        "sip:1001@example.test",
        "sip:alice@192.0.2.10:5060",
        "sip:example.test",
        "sip:192.0.2.1",
        "sip:x@far.test",
        "sip:x@192.0.2.13",
        "sip:x@far.test;maddr=192.0.2.13",
    ] {
        for method in ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "REGISTER", "BYE"] {
            let mut site = edge();
            let path = path_of_bob(&mut site);
            site.send('e', &by_route(method, uri, &path, 1));
            let log = site.log();
            let expected = match method {
                "INVITE" => "e 100, b INVITE".to_owned(),
                other => format!("b {other}"),
            };
            assert_eq!(log, expected, "{method} {uri}");
            let got = site.last('b', method);
            assert_eq!(start_line(got), format!("{method} {uri} SIP/2.0"));
            assert_eq!(site.last_to(), to_datagrams('b'), "{method} {uri}");
            assert!(site.question().is_none(), "{method} {uri}");
        }
    }
}

// RFC 3261 §19.1.1, §16.4
#[test]
fn what_is_no_uri_of_a_phone_is_refused() {
    for uri in [
        "sip:x@far.test?Subject=y",
        "tel:+15551234",
        "http://example.test/",
    ] {
        let mut site = edge();
        let path = path_of_bob(&mut site);
        site.send('e', &by_route("MESSAGE", uri, &path, 1));
        assert_eq!(site.log(), "e 400", "{uri}");
        let refused = site.last('e', "SIP/2.0 4");
        assert_eq!(start_line(refused), "SIP/2.0 400 Malformed Request-URI", "{uri}");
    }
}

// RFC 5626 §5.2, §5.3.1: one that was changed anywhere leads nowhere without credentials, and nor does one that was made for a
// dialog, or by another node.
#[test]
fn what_was_not_made_here_for_a_path_is_refused() {
    let mut site = edge();
    let path = path_of_bob(&mut site);
    let (before, rest) = path.split_once(':').expect("a URI");
    let (token, behind) = rest.split_once('@').expect("a token");
    let mut n = 1;
    let mut refused = |site: &mut Site, token: &str| {
        n += 1;
        let route = format!("{before}:{token}@{behind}");
        site.send('e', &by_route("INVITE", "sip:bob@10.0.0.6:5060", &route, n));
        // Once there have been many, somebody is answered no more.
        site.pass(60_000);
        site.log()
    };
    for at in 0..token.len() {
        for digit in ["0", "7", "f", "F", "g"] {
            let mut forged = token.to_owned();
            forged.replace_range(at..=at, digit);
            if forged != token {
                let log = refused(&mut site, &forged);
                assert!(["e 403", "e 407", ""].contains(&&*log), "{forged}: {log}");
            }
        }
    }
    for cut in [&token[2..], &token[..token.len() - 2], &format!("{token}00")] {
        let log = refused(&mut site, cut);
        assert!(["e 403", "e 407", ""].contains(&&*log), "{cut}: {log}");
    }
    site.send('e', &by_route("INVITE", "sip:bob@10.0.0.6:5060", &path, 1));
    assert_eq!(site.log(), "e 100, b INVITE");
}

// RFC 5626 §5.3.1: what goes on behind it is no phone's matter.
#[test]
fn it_is_worth_nothing_on_the_way_to_somebody_else() {
    let mut site = edge();
    let path = path_of_bob(&mut site);
    for (n, next) in (1..).zip([
        "<sip:192.0.2.13;lr>",
        "<sip:192.0.2.10:5060;lr>",
        "<sip:far.test;lr>",
    ]) {
        let route = format!("{path}, {next}");
        let asked = site.ask('e', &by_route("INVITE", "sip:bob@10.0.0.6:5060", &route, n));
        assert_eq!(
            start_line(&asked),
            "SIP/2.0 407 Proxy Authentication Required",
            "{next}"
        );
    }
}

// RFC 5626 §5.3: whoever has registered by it is no less asked who it is than before.
#[test]
fn its_own_phone_is_asked_for_credentials() {
    let mut site = edge();
    let path = path_of_bob(&mut site);
    let text = with(
        &request('b', "INVITE", "sip:alice@example.test", 1),
        &format!("Route: {path}"),
    );
    let asked = site.ask('b', &text);
    assert_eq!(start_line(&asked), "SIP/2.0 407 Proxy Authentication Required");
}

// RFC 5626 §12: whoever forges the source of a REGISTER has a token made for somebody else's address, but is not told it: the
// answer goes to that address, whatever Via says (RFC 3261 §18.2.2, RFC 3581 §4).
#[test]
fn who_forges_a_source_is_not_told_the_token() {
    for via in [
        "SIP/2.0/UDP 192.0.2.13:5060;branch",
        "SIP/2.0/UDP 192.0.2.13:5060;rport;branch",
        "SIP/2.0/UDP 192.0.2.11:5060;maddr=192.0.2.13;branch",
        "SIP/2.0/UDP 192.0.2.11:5060;received=192.0.2.13;rport=5060;branch",
    ] {
        let mut site = edge();
        let text = elsewhere("Supported: path, outbound", INSTANCE)
            .replace("SIP/2.0/UDP 192.0.2.11:5060;branch", via);
        assert!(text.contains(via), "{text}");
        site.send('b', &text);
        assert_eq!(site.log(), "e REGISTER", "{via}");
        let path = elements(site.last('e', "REGISTER"), "Path")[0].to_owned();
        let ok = site.response('e', 200, &format!("Path: {path}"));
        site.send('e', &ok);
        for (to, bytes) in site.new_messages() {
            let Destination::Datagram { to, .. } = to else {
                panic!("{via}: {to:?}");
            };
            assert_eq!(to.ip(), strowger_testkit::peer::address('b').ip(), "{via}");
            assert!(bytes.starts_with(b"SIP/2.0 200"), "{via}");
        }
    }
}

// RFC 5626 §12, RFC 3261 §26.3.2.4: with a token for somebody else's address its registrar can have that address sent what it
// could send there itself: one request for each of its own, with the retransmissions of one, and nothing to anybody else.
#[test]
fn by_it_an_address_gets_one_request_for_each() {
    for (method, most) in [("INVITE", 7), ("MESSAGE", 11)] {
        let mut site = edge();
        let path = path_of_bob(&mut site);
        let text = by_route(method, "sip:bob@10.0.0.6:5060", &path, 1);
        let before = site.bytes_to('b');
        for _ in 0..20 {
            site.send('e', &text);
        }
        site.pass(400_000);
        let log = site.log();
        let requests = log.matches(&format!("b {method}")).count();
        assert!(requests <= most, "{method}: {log}");
        let others = log
            .split(", ")
            .filter(|one| !one.starts_with("e ") && !one.starts_with("b "));
        assert_eq!(others.count(), 0, "{method}: {log}");
        let sent = site.bytes_to('b') - before;
        assert!(sent <= most * (text.len() + 400), "{method}: {sent}");
        site.assert_ends();
    }
}

// RFC 3327 §5.2, RFC 5626 §5.1: nobody gets a place in a Path by asking us for one of our own users.
#[test]
fn a_registration_here_makes_no_token() {
    let mut site = Site::new();
    let text = registration('b', "sip:bob@example.test", INSTANCE, 1);
    let ok = site.ask('b', &with(&text, "Supported: path, outbound"));
    assert_eq!(lines(&ok, "Path"), [] as [&str; 0]);
}
