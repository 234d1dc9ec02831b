//! What is said about routes, groups and dial plans that are wrong or that the RFC forbids.

use crate::config::route::{Action, Takes};
use crate::config::{Config, Mode, check};

#[track_caller]
fn complaints(text: &str) -> Vec<String> {
    let Err(wrong) = check(text, "f") else {
        panic!("must be refused:\n{text}");
    };
    let line =
        |diagnostic: &crate::config::Diagnostic| diagnostic.to_string().trim_start_matches("f:").to_owned();
    wrong.iter().map(line).collect()
}

#[track_caller]
fn accepted(text: &str) -> Config {
    check(text, "f").unwrap_or_else(|wrong| panic!("must be accepted:\n{text}\n{wrong:?}"))
}

#[test]
fn each_error_of_a_route_is_told_with_its_place_and_mend() {
    for (route, expected) in [
        (
            "tp = \"sip:gw.test\"",
            "2:1: `route.tp` is not a key; did you mean `to`?",
        ),
        (
            "prefix = [\"+\"]",
            "2:1: `route.prefix` is not a key; `prefix` belongs in `when` of [[route]]",
        ),
        (
            "when = { method = [\"invite\"] }",
            "2:20: `invite` is no method: they are compared with their case (RFC 3261 §7.1); write \"INVITE\"",
        ),
        (
            "when = { method = [\"ACK\"] }",
            "2:20: ACK goes where its INVITE goes (RFC 3261 §16.10, §17.1.1.3); write \"INVITE\"",
        ),
        (
            "when = { to = \"(\" }",
            "2:15: `(` is no regular expression that can be used: unclosed group; correct it; in single quotes a backslash is \
             written once, as in '^sip:\\+49'",
        ),
        (
            "when = { source = [] }",
            "2:19: `route.when.source` is empty; list something, or remove the key",
        ),
        (
            "when = { length = \"9-7\" }",
            "2:19: `9-7` is no length; write a number of characters from 1 to 255, or a range as in \"7-15\"",
        ),
        (
            "reply = \"486 No\\r\\nX: y\"",
            "2:9: `486 No\\r\\nX: y` cannot be answered: its text has control characters (RFC 3261 §25.1); write a code from 400 to 699 \
             and what it says, as in \"603 Decline\"",
        ),
        (
            "to = 5",
            "2:6: `route.to` must be a URI, a list of them or the name of a target group, not a whole number; write it as \"sip:gw.example.test\"",
        ),
        (
            "to = \"tel:+1\"",
            "2:6: `tel:+1` is no target: requests are sent to sip: and sips: URIs; write it as \"sip:gw.example.test\", or \
             \"sip:edge.example.test;lr\" for a proxy to go through",
        ),
        (
            "to = [\"sip:224.0.1.75\"]",
            "2:7: `sip:224.0.1.75` is multicast, which reaches more than one element at once; name each target by itself; this \
             build sends to no multicast address",
        ),
        (
            "to = \"trunks\"",
            "2:6: there is no target group `trunks`; add [[group]] or [[register]] with name = \"trunks\", or write a URI",
        ),
        (
            "reply = \"200 OK\"",
            "2:9: `200 OK` cannot be answered: nobody here takes up what is asked for; write a code from 400 to 699 and what it \
             says, as in \"603 Decline\"",
        ),
        (
            "reply = \"407\"",
            "2:9: `407` cannot be answered: it needs a challenge (RFC 3261 §22); challenge with [auth] methods, and use \
             `authenticated` in `when`",
        ),
        (
            "redirect = { status = 304 }",
            "2:23: 304 is no redirection (RFC 3261 §21.3); write 300, 301, 302, 305 or 380",
        ),
        (
            "redirect = { status = 302, contacts = [{ uri = \"sip:a.test\", q = 1.5 }] }",
            "2:66: q is a number from 0 to 1 (RFC 3261 §25.1); write it as 0.5",
        ),
        (
            "to = \"sip:a.test\"\nreply = \"603 Decline\"",
            "3:9: `to` and `reply` are two decisions; keep one, or write two routes",
        ),
        (
            "headers = { set = { Via = \"x\" } }",
            "2:21: a proxy must leave Via alone: it is the way back of answers (RFC 3261 §16.6 step 8); remove the rule",
        ),
        (
            "headers = { remove = [\"m\"] }",
            "2:23: a proxy must leave Contact alone: it is where the other side is reached (RFC 3261 §12.1); remove the rule",
        ),
        (
            "headers = { add = { X-A = \"a\\r\\nVia: b\" } }",
            "2:27: the value of a header field is one line of at most 1024 bytes (RFC 3261 §7.3.1); write it without line ends \
             and control characters",
        ),
        (
            "number = { prefix = \"a@b\" }",
            "2:21: `a@b` can be no part of a number; write digits, as in \"+49\"",
        ),
    ] {
        assert_eq!(
            complaints(&format!("[[route]]\n{route}\n")),
            [expected],
            "{route}"
        );
    }
}

#[test]
fn what_the_rfc_forbids_is_refused_with_the_clause() {
    for (route, expected) in [
        (
            "to = [\"sip:a.test\", \"sip:b.test\"]\nmode = \"stateless\"\nfork = \"parallel\"",
            "4:8: a stateless proxy cannot fork: it sends to one target only (RFC 3261 §16.11); remove it, or use mode = \
             \"transaction\"",
        ),
        (
            "to = [\"sip:a.test\", \"sip:b.test\"]\nmode = \"stateless\"\nfork = \"sequential\"",
            "4:8: a stateless proxy cannot try one target after the other: it does not know what became of the first (RFC 3261 \
             §16.11); remove it, or use mode = \"transaction\"",
        ),
        (
            "to = \"sip:a.test;transport=tcp\"\nmode = \"stateless\"",
            "2:6: between datagrams and the connections of `sip:a.test;transport=tcp` somebody has to retransmit, which a \
             stateless proxy does not (RFC 3261 §16.1); use mode = \"transaction\", or the same kind of transport in `when` and \
             in `to`",
        ),
        (
            "to = [{ uri = \"sip:a.test;transport=tcp\", mode = \"stateless\" }]",
            "2:6: between datagrams and the connections of `sip:a.test;transport=tcp` somebody has to retransmit, which a \
             stateless proxy does not (RFC 3261 §16.1); use mode = \"transaction\", or the same kind of transport in `when` and \
             in `to`",
        ),
        (
            "to = \"sip:a.test\"\nmode = \"stateless\"\nrecurse = true",
            "4:11: a stateless proxy passes every answer on (RFC 3261 §16.11); remove it, or use mode = \"transaction\"",
        ),
        (
            "to = \"sip:a.test\"\nmode = \"stateless\"\nring_timeout = \"5s\"",
            "4:16: a stateless proxy has no timers (RFC 3261 §16.11); remove it, or use mode = \"transaction\"",
        ),
        (
            "to = [{ uri = \"sip:a.test\", mode = \"stateful\" }]\nmode = \"stateless\"",
            "2:6: `sip:a.test` asks for another role than the route's `mode`; remove one of them",
        ),
        (
            "mode = \"redirect\"\nheaders = { set = { X-A = \"1\" } }",
            "3:11: `headers` has no effect: a redirect server issues no requests of its own (RFC 3261 §8.3); remove it",
        ),
        (
            "redirect = { status = 302 }\nrecord_route = true",
            "3:16: `record_route` has no effect: a redirect server issues no requests of its own (RFC 3261 §8.3); remove it",
        ),
        (
            "mode = \"stateful\"\nrecord_route = false",
            "3:16: a call-stateful proxy follows only dialogs whose path it stays on (RFC 3261 §16.6 step 4); remove it, or use \
             mode = \"transaction\"",
        ),
        (
            "mode = \"stateless\"\nto = \"g\"\n[[group]]\nname = \"g\"\ntargets = [\"sip:a.test\"]\nprobe = \"5s\"",
            "3:6: a stateless proxy must send each retransmission to where it sent the first, and group `g` has `probe` (RFC 3261 \
             §16.11); use mode = \"transaction\", or a group without it",
        ),
        (
            "mode = \"transaction\"\nto = \"g\"\n[[group]]\nname = \"g\"\ntargets = [{ uri = \"sip:a.test\", max_calls = 1 }]",
            "3:6: group `g` has `max_calls`, and calls are counted by who follows their dialogs only; use mode = \"stateful\", or \
             `max_rate`",
        ),
        (
            "mode = \"stateless\"\nrecord_route = true",
            "3:16: staying on the path without state is not carried by this build; remove it, or use mode = \"transaction\"",
        ),
    ] {
        assert_eq!(
            complaints(&format!("[[route]]\n{route}\n")),
            [expected],
            "{route}"
        );
    }
    let stateless =
        "[proxy]\nmode = \"stateless\"\nfork = \"sequential\"\nrecurse = true\nring_timeout = \"5s\"\n";
    let mend = "remove it, or use mode = \"transaction\" here or in a route";
    assert_eq!(
        complaints(stateless),
        [
            format!(
                "3:8: a stateless proxy cannot fork: it sends to one target only (RFC 3261 §16.11); {mend}"
            ),
            format!("4:11: a stateless proxy passes every answer on (RFC 3261 §16.11); {mend}"),
            format!("5:16: a stateless proxy has no timers (RFC 3261 §16.11); {mend}"),
        ]
    );
    accepted("[proxy]\nmode = \"stateless\"\nfork = \"parallel\"\nrecurse = false\n");
    let route = "[[route]]\nto = \"sip:a.test\"\nmode = \"transaction\"\n";
    assert_eq!(accepted(&format!("{stateless}{route}")).route.len(), 1);
    let outbound = complaints("proxy.outbound = \"sip:edge.test\"");
    assert_eq!(
        outbound,
        ["1:18: `sip:edge.test` is no loose router (RFC 3261 §16.6 step 6); write \"sip:edge.test;lr\""]
    );
}

// RFC 5393 §5.3.3, RFC 3261 §8.3.
#[test]
fn targets_that_a_role_cannot_try_are_refused() {
    let targets = |count: usize, more: &str| {
        let uris: Vec<_> = (0..count).map(|n| format!("\"sip:gw{n}.test\"")).collect();
        format!("[[route]]\nto = [{}]\n{more}", uris.join(", "))
    };
    assert_eq!(
        complaints(&targets(61, "")),
        [
            "2:6: 61 targets at once are more branches than the 60 of a request (RFC 5393 §5.3.3); use fork = \"sequential\", or list fewer"
        ]
    );
    for (count, more) in [
        (60, ""),
        (61, "fork = \"sequential\""),
        (61, "mode = \"redirect\""),
    ] {
        accepted(&targets(count, more));
    }
    let group = "[[group]]\nname = \"g\"\ntargets = [\"sip:a.test\"]\n[[route]]\nto = \"g\"\n";
    let refused = "5:6: a redirect server issues no requests of its own (RFC 3261 §8.3), and group `g` is for requests; use mode = \"stateful\", or `redirect` with contacts";
    assert_eq!(complaints(&format!("{group}mode = \"redirect\"\n")), [refused]);
    let node = format!("proxy.mode = \"redirect\"\n{group}");
    assert_eq!(complaints(&node), [refused.replace("5:6", "6:6")]);
    accepted(&format!("{node}mode = \"stateful\"\n"));
}

#[test]
fn what_is_never_reached_or_there_twice_is_refused() {
    let text = "[[route]]\nto = \"sip:a.test\"\n[[route]]\nreply = \"603\"\n";
    let expected = "1:1: a route without `when` takes everything, and the ones after it are never asked; add `when`, or put it last";
    assert_eq!(complaints(text), [expected]);
    let text = "[[route]]\nname = \"a\"\nwhen.user = [\"x\"]\n[[route]]\nname = \"a\"\n";
    assert_eq!(
        complaints(text),
        ["5:8: there are two routes `a`; give one another name"]
    );
    let text = "[[group]]\nname = \"a\"\ntargets = [\"sip:x.test\"]\n[[group]]\nname = \"a\"\ntargets = [\"sip:x.test\"]";
    assert_eq!(
        complaints(text),
        ["5:8: there are two groups `a`; give one another name"]
    );
    let text = "[[group]]\nname = \"a\"\ntargets = []";
    assert_eq!(
        complaints(text),
        ["3:11: a group has 1 to 64 targets, this one has 0; list them, or make two groups"]
    );
}

#[test]
fn a_route_of_the_documentation_is_read() {
    let config = accepted(
        r#"
        [[route]]
        name = "trunk"
        when = { method = ["INVITE"], to = "^sip:\\+", source = ["10.0.0.0/8"] }
        to   = ["sip:gw1.example.test", "sip:gw2.example.test"]
        mode = "stateless"
        "#,
    );
    let [route] = &config.route[..] else {
        panic!("one route")
    };
    assert_eq!(
        (route.name.as_str(), route.mode),
        ("trunk", Some(Mode::Stateless))
    );
    assert_eq!(route.written.to_string(), "f:2");
    let Action::Targets(targets) = &route.action else {
        panic!("targets")
    };
    assert_eq!(targets.len(), 2);
    assert_eq!(targets[0].takes, Takes::User);
}

#[test]
fn a_stricter_target_makes_the_route_stricter() {
    let config = accepted(
        "[[route]]\nto = [{ uri = \"sip:a.test\", mode = \"stateless\" }, { uri = \"sip:b.test\", mode = \"transaction\" }]",
    );
    assert_eq!(config.route[0].mode, Some(Mode::Transaction));
}
