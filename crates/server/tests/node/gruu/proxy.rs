//! RFC 5627 §6: the proxy.

use strowger_server::config::Mode;
use strowger_testkit::message::{authorize, lines, registration, request, start_line, with};
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

use super::*;

// RFC 5627 §4.2, §5.1, §5.3, §5.4, §6.1, §6.2, §10.2
#[test]
fn the_proxy_obeys_every_rule() {
    check(RULES);
}

const NOT_FOUND: &str = "SIP/2.0 404 Not Found";
const AWAY: &str = "SIP/2.0 480 Temporarily Unavailable";

/// What the caller is told of a request that goes nowhere.
fn refused(site: &mut Site, uri: &str, n: u32) -> String {
    start_line(&site.ask('a', &request('a', "MESSAGE", uri, n))).to_owned()
}

/// Where a request goes, and its Request-URI there.
fn sent(site: &mut Site, method: &str, uri: &str, n: u32) -> String {
    site.log();
    site.send('a', &request('a', method, uri, n));
    site.log()
}

/// The contact of a peer as it is bound.
fn bound(who: char) -> String {
    format!("sip:x@{}", address(who))
}

/// The Request-URI of the last such request that a peer was sent.
fn request_uri(site: &Site, who: char, method: &str) -> String {
    let text = site.last(who, method);
    text.split(' ').nth(1).unwrap_or_default().to_owned()
}

const RULES: &[Rule] = &[
    (
        "RFC 5627 §5.4",
        "a GRUU leads to the contacts of its instance alone",
        || {
            let (mut site, temporary) = with_two();
            assert_eq!(
                sent(&mut site, "MESSAGE", BOB, 1),
                "b MESSAGE, c MESSAGE",
                "the AOR to all"
            );
            assert_eq!(sent(&mut site, "MESSAGE", &public(ONE), 2), "b MESSAGE");
            assert_eq!(sent(&mut site, "MESSAGE", &public(TWO), 3), "c MESSAGE");
            assert_eq!(sent(&mut site, "MESSAGE", &temporary, 4), "b MESSAGE");
            assert_eq!(sent(&mut site, "INVITE", &temporary, 5), "a 100, b INVITE");
            let shouted = public(TWO)
                .replace("urn:uuid", "URN:UUID")
                .replace("bob@example", "%62ob@EXAMPLE");
            assert_eq!(
                sent(&mut site, "MESSAGE", &shouted, 6),
                "c MESSAGE",
                "compared as URIs"
            );
        },
    ),
    (
        "RFC 5627 §6.1",
        "the contact takes the place of the GRUU, and `gr` is not carried forward",
        || {
            let (mut site, temporary) = with_two();
            for (n, gruu) in (1..).zip([public(ONE), temporary]) {
                sent(&mut site, "MESSAGE", &gruu, n);
                assert_eq!(request_uri(&site, 'b', "MESSAGE"), bound('b'));
                assert_eq!(lines(site.last('b', "MESSAGE"), "To"), [format!("<{gruu}>")]);
            }
        },
    ),
    (
        "RFC 5627 §4.2",
        "what else the URI has is lost where it is translated",
        || {
            let (mut site, _) = with_two();
            let uri = format!("{};transport=udp;opaque=x", public(ONE));
            assert_eq!(sent(&mut site, "MESSAGE", &uri, 1), "b MESSAGE");
            assert_eq!(request_uri(&site, 'b', "MESSAGE"), bound('b'));
        },
    ),
    (
        "RFC 5627 §6.1",
        "what has `gr` and is no GRUU of the domain is not found",
        || {
            let (mut site, temporary) = with_two();
            let forged = temporary.replace("tgruu.", "tgruu.x");
            let moved = temporary.replace("example.test", "192.0.2.1");
            let nobody = format!("sip:nobody@example.test;gr={ONE}");
            for (n, uri) in (1..).zip([
                "sip:bob@example.test;gr",
                "sip:bob@example.test;gr=",
                &forged,
                &moved,
                &nobody,
                "sip:tgruu.@example.test;gr",
                &temporary.replace(";gr", &format!(";gr={ONE}")),
            ]) {
                assert_eq!(refused(&mut site, uri, n), NOT_FOUND, "{uri}");
            }
        },
    ),
    (
        "RFC 5627 §6.1",
        "a GRUU of another domain goes there as it is",
        || {
            let mut site = Site::new();
            for (n, uri) in (1..).zip(["sip:x@192.0.2.14;gr", "sip:bob@192.0.2.14;gr=urn:uuid:1"]) {
                site.send('l', &request('l', "MESSAGE", uri, n));
                assert_eq!(request_uri(&site, 'e', "MESSAGE"), uri);
            }
        },
    ),
    (
        "RFC 5627 §10.2",
        "without `gr` the temporary one is nobody and the public one the AOR",
        || {
            let (mut site, temporary) = with_two();
            assert_eq!(refused(&mut site, &temporary.replace(";gr", ""), 1), NOT_FOUND);
            let (aor, _) = public(ONE)
                .split_once(';')
                .map(|(aor, gr)| (aor.to_owned(), gr.to_owned()))
                .expect("gr");
            assert_eq!(sent(&mut site, "MESSAGE", &aor, 2), "b MESSAGE, c MESSAGE");
        },
    ),
    ("RFC 5627 §6.1", "without a contact it is 480", || {
        let (mut site, _) = with_two();
        let third = public("urn:uuid:3");
        assert_eq!(refused(&mut site, &third, 1), AWAY);
        assert_eq!(
            refused(&mut site, &format!("sip:carol@example.test;gr={ONE}"), 2),
            AWAY
        );
    }),
    (
        "RFC 5627 §5.3",
        "when the last contact is gone the temporary one ends and the public one is 480",
        || {
            let (mut site, temporary) = with_two();
            let gone = register('b', &format!("{};expires=0", contact('b', ONE)), 2);
            ok(&mut site, 'b', &gone);
            assert_eq!(refused(&mut site, &temporary, 1), NOT_FOUND);
            assert_eq!(refused(&mut site, &public(ONE), 2), AWAY);
            let (mut site, temporary) = with_two();
            site.pass(600_000);
            assert_eq!(refused(&mut site, &temporary, 1), NOT_FOUND, "expired");
            assert_eq!(refused(&mut site, &public(ONE), 2), AWAY);
            ok(&mut site, 'b', &register('b', &contact('b', ONE), 3));
            assert_eq!(
                refused(&mut site, &temporary, 3),
                NOT_FOUND,
                "it does not come back"
            );
            assert_eq!(sent(&mut site, "MESSAGE", &public(ONE), 4), "b MESSAGE");
        },
    ),
    ("RFC 5627 §5.1", "REGISTER with * ends all of them", || {
        let (mut site, temporary) = with_two();
        let all = register('b', "*", 2).replace("Expires: 600", "Expires: 0");
        ok(&mut site, 'b', &all);
        assert_eq!(refused(&mut site, &temporary, 1), NOT_FOUND);
        assert_eq!(refused(&mut site, &public(TWO), 2), AWAY);
    }),
    (
        "RFC 5627 §5.4",
        "all temporary GRUUs of one Call-ID hold, old and new",
        || {
            let mut site = Site::new();
            let made: Vec<_> = (1..5)
                .map(|n| temporary(&ok(&mut site, 'b', &register('b', &contact('b', ONE), n))))
                .collect();
            for (n, gruu) in (1..).zip(&made) {
                assert_eq!(sent(&mut site, "MESSAGE", gruu, n), "b MESSAGE");
            }
        },
    ),
    (
        "RFC 5627 §5.1",
        "another Call-ID ends those before, and no others",
        || {
            let (mut site, temporary) = with_two();
            let other = super::temporary(&ok(&mut Site::new(), 'c', &register('c', &contact('c', TWO), 1)));
            let renewed = ok(
                &mut site,
                'b',
                &of_call(&register('b', &contact('b', ONE), 1), "another"),
            );
            let given = given(&renewed, "temp-gruu")
                .into_iter()
                .flatten()
                .collect::<Vec<_>>();
            assert_eq!(refused(&mut site, &temporary, 1), NOT_FOUND);
            assert_eq!(sent(&mut site, "MESSAGE", &public(ONE), 2), "b MESSAGE");
            assert!(
                given.len() == 2 && given[1] == other,
                "that of the other instance stays"
            );
            for (n, (gruu, who)) in (3..).zip(given.iter().zip(["b", "c"])) {
                assert_eq!(sent(&mut site, "MESSAGE", gruu, n), format!("{who} MESSAGE"));
            }
        },
    ),
    (
        "RFC 5627 §6.1",
        "of several contacts the one refreshed last is taken, the next on 408 and 430 alone",
        || {
            for (code, next) in [
                (408, true),
                (430, true),
                (486, false),
                (503, false),
                (404, false),
                (600, false),
            ] {
                let mut site = Site::new();
                ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
                site.pass(1000);
                ok(&mut site, 'c', &register('c', &contact('c', ONE), 1));
                assert_eq!(
                    sent(&mut site, "INVITE", &public(ONE), 1),
                    "a 100, c INVITE",
                    "the phone has moved"
                );
                site.answer('c', code);
                let log = site.log();
                assert_eq!(log.contains("b INVITE"), next, "{code}: {log}");
            }
            let mut site = Site::new();
            ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
            ok(&mut site, 'c', &register('c', &contact('c', ONE), 1));
            site.pass(2000);
            ok(&mut site, 'b', &register('b', &contact('b', ONE), 2));
            assert_eq!(
                sent(&mut site, "INVITE", &public(ONE), 2),
                "a 100, b INVITE",
                "refreshed, not made"
            );
            site.pass(20_000);
            assert!(site.log().contains("c INVITE"), "nobody is there");
        },
    ),
    (
        "RFC 5627 §6.1",
        "of several flows one is taken, the next on 408 and 430",
        || {
            for (by_temporary, code) in [(false, 430), (true, 430), (false, 408), (true, 408)] {
                let mut site = Site::new();
                let flow = |who, n| format!("{};reg-id={n}", contact(who, ONE));
                let first = temporary(&ok(&mut site, 'b', &register('b', &flow('b', 1), 1)));
                site.pass(1000);
                ok(&mut site, 'c', &register('c', &flow('c', 2), 1));
                let gruu = if by_temporary { first } else { public(ONE) };
                assert_eq!(sent(&mut site, "INVITE", &gruu, 1), "a 100, c INVITE");
                site.answer('c', code);
                assert_eq!(site.log(), "c ACK, b INVITE");
                site.answer('b', 486);
                assert_eq!(site.log(), "b ACK, a 486");
            }
        },
    ),
    (
        "RFC 5627 §6.1",
        "what the caller prefers counts for the contacts of the instance",
        || {
            let mut site = Site::new();
            let able = |who, method: &str| format!("{};methods=\"{method}\"", contact(who, ONE));
            ok(&mut site, 'b', &register('b', &able('b', "MESSAGE"), 1));
            site.pass(1000);
            ok(&mut site, 'c', &register('c', &able('c', "INVITE"), 1));
            assert_eq!(sent(&mut site, "MESSAGE", &public(ONE), 1), "b MESSAGE");
            let asked = with(
                &request('a', "MESSAGE", &public(ONE), 2),
                "Reject-Contact: *;methods=\"MESSAGE\"",
            );
            site.send('a', &asked);
            assert_eq!(site.log(), "c MESSAGE");
            let none = with(
                &request('a', "MESSAGE", &public(ONE), 3),
                "Accept-Contact: *;audio;require;explicit",
            );
            assert_eq!(start_line(&site.ask('a', &none)), AWAY);
        },
    ),
    (
        "RFC 5627 §6.1",
        "the Path is followed, unless the request has other Route elements",
        || {
            let path = "Path: <sip:192.0.2.13;lr>\r\nSupported: path, gruu";
            let mut site = Site::new();
            let made = ok(
                &mut site,
                'b',
                &with(&registration('b', BOB, &contact('b', ONE), 1), path),
            );
            for (n, gruu) in (1..).zip([public(ONE), temporary(&made)]) {
                assert_eq!(sent(&mut site, "MESSAGE", &gruu, n), "d MESSAGE", "by way of d");
                assert_eq!(lines(site.last('d', "MESSAGE"), "Route"), ["<sip:192.0.2.13;lr>"]);
                assert_eq!(request_uri(&site, 'd', "MESSAGE"), bound('b'));
            }
            let routed = |n, uri: &str| {
                with(
                    &request('l', "MESSAGE", uri, n),
                    "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.14;lr>",
                )
            };
            site.send('l', &routed(3, &public(ONE)));
            assert_eq!(site.log(), "e MESSAGE");
            assert_eq!(lines(site.last('e', "MESSAGE"), "Route"), ["<sip:192.0.2.14;lr>"]);
            assert_eq!(request_uri(&site, 'e', "MESSAGE"), bound('b'));
            assert_eq!(
                start_line(&site.ask('l', &routed(4, "sip:bob@example.test;gr"))),
                NOT_FOUND
            );
            assert_eq!(start_line(&site.ask('l', &routed(5, &public(TWO)))), AWAY);
            let stranger = routed(6, &public(ONE))
                .replace("call6", "other")
                .replace("127.0.0.1:6000", "192.0.2.10:5060");
            assert_eq!(
                start_line(&site.ask('a', &stranger)),
                "SIP/2.0 403 Relaying Denied"
            );
        },
    ),
    (
        "RFC 5627 §6.1",
        "it is not forwarded to others: by a 3xx, or as a number",
        || {
            let mut site = Site::of(Plan {
                recurse: true,
                routing: "[dial_plan]\ncountry = \"49\"\ninternational = \"00\"\nnational = \"0\"\n",
                ..Plan::default()
            });
            ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
            ok(
                &mut site,
                'a',
                &registration('a', "sip:alice@example.test", "<sip:alice@192.0.2.10>", 1),
            );
            sent(&mut site, "INVITE", &public(ONE), 1);
            let moved = site.response('b', 302, "Contact: <sip:alice@example.test>");
            site.send('b', &moved);
            assert_eq!(site.log(), "b ACK, a 302");
        },
    ),
    (
        "RFC 5627 §6.1",
        "a 3xx that names a GRUU leads to its phone alone",
        || {
            let mut site = Site::of(Plan {
                recurse: true,
                ..Plan::default()
            });
            let made = ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
            ok(&mut site, 'c', &register('c', &contact('c', TWO), 1));
            ok(
                &mut site,
                'd',
                &registration('d', "sip:carol@example.test", "<sip:carol@192.0.2.13>", 1),
            );
            for (n, gruu) in (1..).zip([public(ONE), temporary(&made)]) {
                sent(&mut site, "INVITE", "sip:carol@example.test", n);
                let moved = site.response('d', 302, &format!("Contact: <{gruu}>"));
                site.send('d', &moved);
                assert_eq!(site.log(), "d ACK, b INVITE");
            }
        },
    ),
    (
        "RFC 5627 §6.1",
        "a caller's wish to be redirected does not count; a redirect server tells of the phone alone",
        || {
            let (mut site, temporary) = with_two();
            let wish = with(
                &request('l', "MESSAGE", &public(ONE), 1),
                "Request-Disposition: redirect",
            );
            site.send('l', &wish);
            assert_eq!(site.log(), "b MESSAGE");
            let mut site = Site::of(Plan {
                mode: Mode::Redirect,
                ..Plan::default()
            });
            ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
            ok(&mut site, 'c', &register('c', &contact('c', TWO), 1));
            for (n, gruu) in (2..).zip([public(ONE), temporary]) {
                let moved = site.ask('a', &request('a', "MESSAGE", &gruu, n));
                assert_eq!(start_line(&moved), "SIP/2.0 302 Moved Temporarily");
                assert_eq!(lines(&moved, "Contact").len(), 1, "{moved}");
                assert!(
                    lines(&moved, "Contact")[0].starts_with(&format!("<{}>", bound('b'))),
                    "{moved}"
                );
            }
            assert_eq!(refused(&mut site, &public("urn:uuid:3"), 4), AWAY);
            assert_eq!(refused(&mut site, "sip:bob@example.test;gr", 5), NOT_FOUND);
        },
    ),
    (
        "RFC 5627 §6.1",
        "a proxy without state takes the same contact for every request of a call",
        || {
            let mut site = Site::of(Plan {
                mode: Mode::Stateless,
                ..Plan::default()
            });
            ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
            ok(&mut site, 'c', &register('c', &contact('c', TWO), 1));
            assert_eq!(sent(&mut site, "INVITE", &public(TWO), 1), "c INVITE");
            assert_eq!(sent(&mut site, "CANCEL", &public(TWO), 1), "c CANCEL");
        },
    ),
    (
        "RFC 5627 §10.2",
        "strangers are told nothing that they are not told of users",
        || {
            let mut site = digest();
            let made = registered(&mut site, 'b', "bob", 1);
            let strange = |site: &mut Site, uri: &str, n| {
                start_line(&site.ask('f', &request('f', "MESSAGE", uri, n))).to_owned()
            };
            let known = strange(&mut site, BOB, 1);
            assert_eq!(known, "SIP/2.0 407 Proxy Authentication Required");
            for (n, uri) in (2..).zip([
                temporary(&made),
                temporary(&made).replace("tgruu.", "tgruu.x"),
                public(ONE),
                public(TWO),
            ]) {
                assert_eq!(strange(&mut site, &uri, n), known);
            }
        },
    ),
    (
        "RFC 5627 §6.2",
        "who has authenticated may not have another's GRUU as Contact",
        || {
            let mut site = digest();
            let bobs = registered(&mut site, 'b', "bob", 1);
            let own = registered(&mut site, 'a', "alice", 1);
            let alices = |n, contact: &str| {
                with(&request('f', "INVITE", BOB, n), &format!("Contact: <{contact}>"))
                    .replace("sip:somebody@", "sip:alice@")
            };
            for (n, contact, code) in [
                (1, temporary(&bobs), 403),
                (2, public(ONE), 403),
                (3, temporary(&own), 100),
                (4, format!("sip:alice@example.test;gr={TWO}"), 100),
                (5, format!("sip:1001@example.test;gr={TWO}"), 100),
                (6, temporary(&bobs).replace("tgruu.", "tgruu.x"), 100),
                (7, format!("sip:bob@other.test;gr={ONE}"), 100),
            ] {
                let text = alices(n, &contact);
                let challenge = site.ask('f', &text);
                site.send('f', &authorize(&text, &challenge, "alice", 1));
                let answer = site.last('f', "SIP/2.0 ");
                assert!(
                    answer.starts_with(&format!("SIP/2.0 {code}")),
                    "{contact}: {answer}"
                );
            }
        },
    ),
    (
        "RFC 5627 §4.4",
        "a From that is a GRUU speaks for its user",
        || {
            let mut site = digest();
            let own = registered(&mut site, 'a', "alice", 1);
            registered(&mut site, 'b', "bob", 1);
            for (n, (from, user, code)) in (1..).zip([
                (temporary(&own), "alice", 100),
                (format!("sip:alice@example.test;gr={ONE}"), "alice", 100),
                (temporary(&own), "bob", 403),
                (temporary(&own).replace("tgruu.", "tgruu.x"), "alice", 403),
            ]) {
                let text = request('f', "INVITE", BOB, n).replace("sip:somebody@example.test", &from);
                let challenge = site.ask('f', &text);
                site.send('f', &authorize(&text, &challenge, user, 1));
                let answer = site.last('f', "SIP/2.0 ");
                assert!(answer.starts_with(&format!("SIP/2.0 {code}")), "{from}: {answer}");
            }
        },
    ),
    (
        "RFC 5627 §6.2",
        "the originating proxy stays if there is a Record-Route and the Contact is a GRUU that holds",
        || {
            let (mut site, temporary) = without_record_route();
            for (n, contact, route, stays) in [
                (1, temporary.clone(), true, true),
                (2, public(ONE), true, true),
                (3, temporary, false, false),
                (4, "sip:alice@192.0.2.10".to_owned(), true, false),
                (5, "sip:bob@example.test;gr".to_owned(), true, false),
            ] {
                let mut text = with(
                    &request('l', "INVITE", "sip:x@192.0.2.14", n),
                    &format!("Contact: <{contact}>"),
                );
                if route {
                    text = with(&text, "Record-Route: <sip:192.0.2.15;lr>");
                }
                site.send('l', &text);
                let routes = lines(site.last('e', "INVITE"), "Record-Route").len();
                assert_eq!(routes > usize::from(route), stays, "{contact}");
            }
        },
    ),
    (
        "RFC 5627 §6.2",
        "the terminating proxy stays if the contact has an instance and a Path",
        || {
            let (mut site, _) = without_record_route();
            for (n, (uri, who, stays)) in (1..).zip([
                (public(ONE), 'b', false),
                (public(TWO), 'd', true),
                ("sip:carol@example.test".to_owned(), 'd', false),
            ]) {
                site.send('l', &request('l', "INVITE", &uri, n));
                let stayed = !lines(site.last(who, "INVITE"), "Record-Route").is_empty();
                assert_eq!(stayed, stays, "{uri}");
            }
        },
    ),
];

/// A node that stays on no path, and the temporary GRUU of bob's phone. Another phone of his, and carol's, are behind `d`.
fn without_record_route() -> (Site, String) {
    let mut site = Site::of(Plan {
        routing: "[proxy]\nmode = \"transaction\"\nrecord_route = false\n",
        mode: Mode::Transaction,
        ..Plan::default()
    });
    let made = ok(&mut site, 'b', &register('b', &contact('b', ONE), 1));
    let path = "Path: <sip:192.0.2.13;lr>\r\nSupported: path";
    ok(
        &mut site,
        'c',
        &with(&registration('c', BOB, &contact('c', TWO), 1), path),
    );
    ok(
        &mut site,
        'd',
        &with(
            &registration('d', "sip:carol@example.test", "<sip:y@192.0.2.16>", 1),
            path,
        ),
    );
    (site, temporary(&made))
}

fn digest() -> Site {
    Site::of(Plan {
        challenged: &["REGISTER", "INVITE"],
        ..Plan::default()
    })
}

/// The answer to the REGISTER of a user's phone, which is challenged.
fn registered(site: &mut Site, who: char, user: &str, n: u32) -> String {
    let aor = format!("sip:{user}@example.test");
    let text = with(&registration(who, &aor, &contact(who, ONE), n), "Supported: gruu");
    let challenge = site.ask(who, &text);
    let again = text.replace(&format!("CSeq: {n}"), &format!("CSeq: {}", n + 1));
    ok(site, who, &authorize(&again, &challenge, user, 1))
}

/// A call from alice's phone to bob's, which both use GRUUs as their contacts: the 200 as alice's gets it.
fn call(site: &mut Site, to: &str, alices: &str, bobs: &str) -> String {
    let invite = with(&request('a', "INVITE", to, 1), &format!("Contact: <{alices}>"));
    let challenge = site.ask('a', &invite);
    let invite = invite
        .replace("CSeq: 1", "CSeq: 2")
        .replace("z9hG4bK1", "z9hG4bK2");
    site.send('a', &authorize(&invite, &challenge, "alice", 1));
    let route = lines(site.last('b', "INVITE"), "Record-Route").join(",");
    assert_eq!(
        lines(site.last('b', "INVITE"), "Contact"),
        [format!("<{alices}>")]
    );
    let answer = site.response('b', 200, &format!("Contact: <{bobs}>\r\nRecord-Route: {route}"));
    site.send('b', &answer);
    site.log();
    site.last('a', "SIP/2.0 200").to_owned()
}

/// A request within that dialog, by `a` or by `b`.
fn within(ok: &str, who: char, method: &str, target: &str, cseq: u32) -> String {
    let [from, to] = ["From", "To"].map(|name| lines(ok, name)[0]);
    let (from, to) = if who == 'a' { (from, to) } else { (to, from) };
    with(
        &format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{who}{method}{cseq}\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
            address(who),
            lines(ok, "Call-ID")[0],
        ),
        &format!("Route: {}", lines(ok, "Record-Route")[0]),
    )
}

// RFC 5627 §6.1, RFC 3261 §16.4
#[test]
fn requests_within_a_dialog_come_to_gruus_both_ways_and_are_not_challenged() {
    for (by_temporary, to_gruu) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut site = digest();
        let [bobs, alices] = [('b', "bob"), ('a', "alice")].map(|(who, user)| {
            let answer = registered(&mut site, who, user, 1);
            match by_temporary {
                true => temporary(&answer),
                false => given(&answer, "pub-gruu")[0].clone().expect("one"),
            }
        });
        let to = if to_gruu { bobs.as_str() } else { BOB };
        let answer = call(&mut site, to, &alices, &bobs);
        site.send('a', &within(&answer, 'a', "ACK", &bobs, 2));
        assert_eq!(site.log(), "b ACK");
        assert_eq!(request_uri(&site, 'b', "ACK"), bound('b'));
        for (n, (who, other, target)) in (3..).zip([('a', 'b', &bobs), ('b', 'a', &alices)]) {
            site.send(who, &within(&answer, who, "INVITE", target, n));
            assert_eq!(site.log(), format!("{who} 100, {other} INVITE"));
            assert_eq!(request_uri(&site, other, "INVITE"), bound(other));
            site.answer(other, 200);
            assert_eq!(site.log(), format!("{who} 200"));
            site.send(who, &within(&answer, who, "ACK", target, n));
            assert_eq!(site.log(), format!("{other} ACK"));
        }
        let (who, other, target) = match to_gruu {
            true => ('a', 'b', &bobs),
            false => ('b', 'a', &alices),
        };
        site.send(who, &within(&answer, who, "BYE", target, 9));
        assert_eq!(site.log(), format!("{other} BYE"));
        site.answer(other, 200);
        assert_eq!(site.log(), format!("{who} 200"));
        assert!(site.calls().is_empty());
    }
}

// RFC 5627 §6.1
#[test]
fn a_token_of_another_dialog_proves_nothing_for_a_gruu() {
    let mut site = digest();
    let bobs = temporary(&registered(&mut site, 'b', "bob", 1));
    let alices = temporary(&registered(&mut site, 'a', "alice", 1));
    let answer = call(&mut site, BOB, &alices, &bobs);
    let stolen = within(&answer, 'a', "INVITE", &bobs, 3).replace("call1@a", "other");
    assert!(site.ask('f', &stolen).starts_with("SIP/2.0 407 "));
}

// RFC 5627 §6.1
#[test]
fn a_route_that_is_a_gruu_of_ours_ends_here() {
    let (mut site, _) = with_two();
    let text = with(
        &request('a', "MESSAGE", &public(ONE), 1),
        &format!("Route: <{};lr>", public(TWO)),
    );
    site.send('a', &text);
    assert_eq!(site.log(), "b MESSAGE");
    assert!(lines(site.last('b', "MESSAGE"), "Route").is_empty());
}

// RFC 5627 §6.1
#[test]
fn an_explanation_tells_which_phone_a_gruu_means_and_why_it_leads_nowhere() {
    let (site, made) = with_two();
    for (uri, verdict, lines) in [
        (
            made.as_str(),
            "is forwarded to udp:192.0.2.11:5060",
            &[
                "is the user bob@example.test",
                "a temporary one of urn:uuid:f81d",
                "left out: it is of another instance",
            ][..],
        ),
        (
            &public(TWO),
            "is forwarded to udp:192.0.2.12:5060",
            &["the public one of urn:uuid:0000"],
        ),
        (
            &public("urn:uuid:3"),
            "is refused with 480 Temporarily Unavailable: the phone that its GRUU means is not registered",
            &["a public one, whose instance is not registered"],
        ),
        (
            "sip:bob@example.test;gr",
            "is refused with 404 Not Found: its Request-URI is no GRUU that was given out here",
            &["it has `gr`, but is none that was given out here"],
        ),
    ] {
        let told = site.explain('a', request('a', "MESSAGE", uri, 1).as_bytes(), false, "");
        assert!(
            told.verdict.line.ends_with(verdict),
            "{uri}: {}",
            told.verdict.line
        );
        let words: Vec<_> = told.steps.iter().map(|step| step.line().text).collect();
        for line in lines {
            assert!(
                words.iter().any(|words| words.contains(line)),
                "{line}: {words:#?}"
            );
        }
    }
}
