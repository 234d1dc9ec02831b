//! What `[[route]]`, `[[group]]` and `[dial_plan]` make of requests that the program gets.
#![cfg(target_os = "linux")]

use std::time::Duration;

use system_tests::message::uri_of;
use system_tests::peer::sdp;
use system_tests::server::{DOMAIN, Server, Setup, strowger};
use system_tests::{Message, Peer, Scratch, ports, wait};

const SOON: Duration = Duration::from_millis(300);

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// A port of an element of the test's own that the configuration has to name.
fn place() -> String {
    format!("127.0.0.1:{}", ports::free())
}

fn element(server: &Server, place: &str) -> Peer {
    Peer::udp_at(place, server.sip())
}

fn invite(caller: &Peer, uri: &str) -> Message {
    caller
        .request("INVITE", uri, &aor("alice"), uri)
        .with_body("application/sdp", &sdp(40_000))
}

/// The status of the final answer to an INVITE for this user of ours.
fn status_of(caller: &Peer, user: &str) -> Option<u16> {
    caller.exchange(&invite(caller, &aor(user))).status()
}

/// Sends an INVITE to this URI, which has to arrive at this element; as it arrives.
#[track_caller]
fn arrives(caller: &Peer, uri: &str, element: &Peer) -> Message {
    caller.send(&invite(caller, uri));
    let arrived = element.expect_request("INVITE");
    element.answer(&arrived, 486, "Busy Here");
    element.expect_request("ACK");
    caller.expect_status(486);
    arrived
}

#[test]
fn the_first_route_decides_whose_method_prefix_expression_and_source_fit() {
    let server = Setup::new()
        .toml(
            r#"
[[route]]
when = { method = ["MESSAGE"] }
reply = "405 No Text"
[[route]]
when = { prefix = ["0900", "+49900"] }
reply = "603 Decline"
[[route]]
when = { to = "^sip:[a-f]{3}[0-9]@" }
reply = "410"
[[route]]
when = { source = ["127.0.0.2/32"] }
reply = "403 Not From There"
[[route]]
when = { header = { "User-Agent" = "^Scanner" } }
reply = "606"
"#,
        )
        .start();
    let (caller, other) = (Peer::udp(server.sip()), Peer::udp_at("127.0.0.2:0", server.sip()));
    let text = caller.request("MESSAGE", &aor("bob"), &aor("alice"), &aor("bob"));
    let refused = caller.exchange(&text);
    assert_eq!(refused.start, "SIP/2.0 405 No Text");
    assert_eq!(status_of(&caller, "0900123"), Some(603));
    assert_eq!(status_of(&caller, "+499001"), Some(603));
    assert_eq!(status_of(&caller, "090"), Some(404));
    assert_eq!(status_of(&caller, "abc7"), Some(410));
    assert_eq!(status_of(&caller, "abc77"), Some(404));
    assert_eq!(status_of(&other, "abc77"), Some(403));
    let scanner = invite(&caller, &aor("carol")).with("User-Agent", "Scanner/1");
    assert_eq!(caller.exchange(&scanner).status(), Some(606));
}

// RFC 3261 §8.3, §21.3.
#[test]
fn a_redirection_names_where_else_to_ask() {
    let routes: String = [300, 301, 302, 305, 380]
        .iter()
        .map(|status| {
            format!(
                "[[route]]\nwhen = {{ user = [\"r{status}\"] }}\nredirect = {{ status = {status}, expires = \"10m\", contacts = \
                 [{{ uri = \"sip:a@new.test\", q = 0.9 }}, {{ uri = \"sip:new.test;transport=tcp\", q = 0.25, expires = \"1m\" }}] }}\n"
            )
        })
        .collect();
    let server = Setup::new().toml(&routes).start();
    let caller = Peer::udp(server.sip());
    for status in [300, 301, 302, 305, 380] {
        let response = caller.exchange(&invite(&caller, &aor(&format!("r{status}"))));
        assert_eq!(response.status(), Some(status), "{}", response.text());
        assert_eq!(
            response.list("Contact"),
            [
                "<sip:a@new.test>;q=0.9;expires=600".to_owned(),
                format!("<sip:r{status}@new.test;transport=tcp>;q=0.25;expires=60"),
            ],
            "{}",
            response.text()
        );
    }
}

/// RFC 3261 §16.6 step 4, §16.11.
#[test]
fn each_route_has_its_role() {
    let place = place();
    let routes: String = ["stateless", "transaction", "stateful"]
        .iter()
        .map(|mode| {
            format!("[[route]]\nwhen = {{ user = [\"{mode}\"] }}\nmode = \"{mode}\"\nto = \"sip:{place}\"\n")
        })
        .collect();
    let server = Setup::new().toml(&routes).start();
    let (caller, callee) = (Peer::udp(server.sip()), element(&server, &place));
    for mode in ["stateless", "transaction", "stateful"] {
        let sent = invite(&caller, &aor(mode));
        caller.send(&sent);
        let arrived = callee.expect_request("INVITE");
        assert_eq!(arrived.uri(), format!("sip:{mode}@{place}"));
        assert_eq!(
            arrived.list("Record-Route").len(),
            usize::from(mode == "stateful"),
            "{}",
            arrived.text()
        );
        callee.answer(&arrived, 180, "Ringing");
        caller.expect_status(180);
        callee.answer(&arrived, 200, "OK");
        let accepted = caller.expect_status(200);
        let ack = caller.within("ACK", &sent, &accepted);
        let bye = caller.within("BYE", &sent, &accepted);
        if mode == "stateful" {
            caller.send(&ack);
            callee.expect_request("ACK");
            assert_eq!(server.ctl_json("calls").as_array().map(Vec::len), Some(1));
            caller.send(&bye);
            callee.answer(&callee.expect_request("BYE"), 200, "OK");
            caller.expect_status(200);
        } else {
            caller.send_to(&ack, callee.address());
            callee.expect_request("ACK");
            assert_eq!(server.ctl_json("calls").as_array().map(Vec::len), Some(0));
        }
    }
}

/// RFC 3261 §16.11: with one branch, each retransmission goes on, and so does the ACK of a refusal.
#[test]
fn a_stateless_route_forwards_retransmissions_and_acks() {
    let place = place();
    let server = Setup::new()
        .toml(&format!(
            "[[route]]\nwhen = {{ user = [\"bob\"] }}\nmode = \"stateless\"\nto = \"sip:{place}\"\n"
        ))
        .start();
    let (caller, callee) = (Peer::udp(server.sip()), element(&server, &place));
    let sent = invite(&caller, &aor("bob"));
    caller.send(&sent);
    let first = callee.expect_request("INVITE");
    caller.send(&sent);
    let again = callee.receive_repeats(SOON).expect("the retransmission");
    assert_eq!(first.text(), again.text());
    callee.answer(&first, 404, "Not Found");
    let refused = caller.expect_status(404);
    callee.expect_silence(SOON);
    caller.acknowledge(&sent, &refused);
    let ack = callee.expect_request("ACK");
    assert_eq!(ack.parameter("Via", "branch"), first.parameter("Via", "branch"));
}

#[test]
fn a_routes_header_rules_change_what_is_forwarded() {
    let place = place();
    let server = Setup::new()
        .toml(&format!(
            "[[route]]\nto = \"sip:{place}\"\nheaders = {{ add = {{ \"X-More\" = \"b\" }}, set = {{ \"X-Account\" = \"7\" }}, \
             remove = [\"X-Internal\", \"Subject\"] }}\n"
        ))
        .start();
    let (caller, callee) = (Peer::udp(server.sip()), element(&server, &place));
    let sent = invite(&caller, &aor("bob"))
        .with("X-More", "a")
        .with("X-Account", "1")
        .with("X-Account", "2")
        .with("X-Internal", "secret")
        .with("s", "secret");
    caller.send(&sent);
    let arrived = callee.expect_request("INVITE");
    assert_eq!(arrived.list("X-More"), ["a", "b"], "{}", arrived.text());
    assert_eq!(arrived.list("X-Account"), ["7"]);
    assert_eq!((arrived.get("X-Internal"), arrived.get("Subject")), (None, None));
    assert_eq!(arrived.body, sent.body);
    callee.answer(&arrived, 486, "Busy Here");
    callee.expect_request("ACK");
    caller.expect_status(486);
}

/// RFC 3966.
#[test]
fn numbers_lead_to_users_and_to_gateways() {
    let place = place();
    let server = Setup::new()
        .user("42", "x")
        .toml(&format!(
            r#"
[dial_plan]
country = "49"
area = "30"
international = "00"
national = "0"
own = ["+4930123"]
extensions = "2-4"
[[route]]
when = {{ prefix = ["+33"] }}
number = {{ strip = 1, prefix = "00" }}
to = "sip:{place}"
"#
        ))
        .start();
    let (caller, gateway) = (Peer::udp(server.sip()), element(&server, &place));
    let phone = Peer::udp(server.sip()).registered(&aor("42"));
    let of_ours = |number: &str| aor(number);
    for uri in [
        "tel:+49-30-123-42".to_owned(),
        "tel:42;phone-context=+4930123".to_owned(),
        of_ours("42"),
        of_ours("12342"),
        of_ours("03012342"),
        of_ours("004930(123)42").replace(['(', ')'], ""),
    ] {
        let arrived = arrives(&caller, &uri, &phone);
        assert_eq!(arrived.uri(), phone.uri("42"), "{uri}");
    }
    for uri in ["tel:+33(1)555".to_owned(), of_ours("00331555")] {
        let arrived = arrives(&caller, &uri, &gateway);
        assert!(
            arrived.uri().starts_with(&format!("sip:00331555@{place}")),
            "{uri}: {}",
            arrived.uri()
        );
    }
}

/// A server with a group of these targets and a caller.
fn grouped(targets: &str, more: &str) -> (Server, Peer) {
    let server = Setup::new()
        .toml(&format!(
            "[proxy]\nnext_hop_timeout = \"1s\"\n[[route]]\nto = \"trunks\"\n[[group]]\nname = \"trunks\"\ntargets = [{targets}]\n{more}\n"
        ))
        .start();
    let caller = Peer::udp(server.sip());
    (server, caller)
}

/// State, calls and choices of a group's targets, in their order.
fn states(server: &Server) -> Vec<(String, u64)> {
    let shown = server.ctl_json("groups");
    let shown = shown.as_array().expect("a list").iter();
    shown
        .map(|target| {
            (
                target["state"].as_str().unwrap_or_default().to_owned(),
                target["calls"].as_u64().unwrap_or_default(),
            )
        })
        .collect()
}

#[test]
fn calls_are_spread_over_a_group_by_weight() {
    let (a, b) = (place(), place());
    let (server, caller) = grouped(&format!("{{ uri = \"sip:{a}\", weight = 3 }}, \"sip:{b}\""), "");
    let (first, second) = (element(&server, &a), element(&server, &b));
    let (mut many, mut few) = (0, 0);
    for _ in 0..200 {
        caller.send(&caller.request("MESSAGE", &aor("x"), &aor("alice"), &aor("x")));
        let (peer, count) = match first.receive(Duration::from_millis(50)) {
            Some(message) => ((&first, message), &mut many),
            None => ((&second, second.expect_request("MESSAGE")), &mut few),
        };
        peer.0.answer(&peer.1, 200, "OK");
        caller.expect_status(200);
        *count += 1;
    }
    assert!((120..=175).contains(&many) && many + few == 200, "{many} {few}");
}

#[test]
fn the_next_target_is_tried_on_503_and_on_silence_and_not_on_486() {
    let (a, b) = (place(), place());
    let targets = format!("\"sip:{a}\", {{ uri = \"sip:{b}\", priority = 1 }}");
    let (server, caller) = grouped(&targets, "");
    let (first, second) = (element(&server, &a), element(&server, &b));
    for status in [503, 486] {
        caller.send(&invite(&caller, &aor("x")));
        let arrived = first.expect_request("INVITE");
        first.answer(&arrived, status, "No");
        first.expect_request("ACK");
        if status == 503 {
            let arrived = second.expect_request("INVITE");
            second.answer(&arrived, 404, "Not Found");
            second.expect_request("ACK");
            caller.expect_status(404);
        } else {
            caller.expect_status(486);
            second.expect_silence(SOON);
        }
    }
    caller.send(&invite(&caller, &aor("x")));
    first.expect_request("INVITE");
    let arrived = second.expect_request("INVITE");
    second.answer(&arrived, 404, "Not Found");
    caller.expect_status(404);
}

#[test]
fn probes_find_out_which_targets_are_down_and_up_again() {
    let (a, b) = (place(), place());
    let targets = format!("\"sip:{a}\", {{ uri = \"sip:{b}\", priority = 1 }}");
    let (server, caller) = grouped(&targets, "probe = \"1s\"\ndown_after = 1\nup_after = 1");
    let (first, second) = (element(&server, &a), element(&server, &b));
    // Answers the probes of both until the targets are as expected.
    let until = |first_says: u16, expected: [&str; 2]| {
        let came = wait::until_true(Duration::from_secs(12), || {
            for (peer, status) in [(&first, first_says), (&second, 200)] {
                while let Some(probe) = peer.receive(Duration::from_millis(20)) {
                    assert_eq!(probe.method(), Some("OPTIONS"), "{}", probe.text());
                    peer.answer(&probe, status, "Probed");
                }
            }
            let states = states(&server);
            states
                .iter()
                .map(|(state, _)| state.as_str())
                .eq(expected.iter().copied())
        });
        assert!(came, "{expected:?}: {:?}", states(&server));
    };
    until(503, ["down", "up"]);
    caller.send(&invite(&caller, &aor("x")));
    let arrived = wait::until(Duration::from_secs(3), || {
        let message = second.receive(Duration::from_millis(50))?;
        if message.method() == Some("INVITE") {
            return Some(message);
        }
        second.answer(&message, 200, "OK");
        None
    });
    second.answer(&arrived.expect("the call goes to who is up"), 486, "Busy Here");
    caller.expect_status(486);
    while second
        .receive(SOON)
        .is_some_and(|message| message.method() != Some("ACK"))
    {}
    // Any answer but 503 shows that it is there.
    until(404, ["up", "up"]);
}

#[test]
fn a_target_runs_empty_and_is_used_again_by_command() {
    let (a, b) = (place(), place());
    let targets = format!("\"sip:{a}\", {{ uri = \"sip:{b}\", priority = 1 }}");
    let (server, caller) = grouped(&targets, "");
    let (first, second) = (element(&server, &a), element(&server, &b));
    arrives(&caller, &aor("x"), &first);
    let ended = server.ctl(&["group", "trunks", "drain", &format!("sip:{a}")]);
    assert!(
        ended.succeeded() && ended.stdout.contains("draining"),
        "{ended:?}"
    );
    arrives(&caller, &aor("x"), &second);
    let shown = server.ctl(&["groups"]);
    assert!(
        shown.stdout.contains(&a) && shown.stdout.contains("draining"),
        "{shown:?}"
    );
    let ended = server.ctl(&["group", "trunks", "resume", &format!("sip:{a}")]);
    assert!(ended.succeeded() && ended.stdout.contains("up"), "{ended:?}");
    arrives(&caller, &aor("x"), &first);
    let ended = server.ctl(&["group", "trunks", "drain", "sip:nobody.test"]);
    assert!(!ended.succeeded(), "{ended:?}");
}

#[test]
fn a_target_that_has_all_its_calls_is_passed_over() {
    let (a, b) = (place(), place());
    let targets = format!(
        "{{ uri = \"sip:{a}\", max_calls = 1 }}, {{ uri = \"sip:{b}\", priority = 1, max_calls = 1 }}"
    );
    let (server, caller) = grouped(&targets, "");
    let (first, second) = (element(&server, &a), element(&server, &b));
    let establish = |callee: &Peer| {
        let sent = invite(&caller, &aor("x"));
        caller.send(&sent);
        let arrived = callee.expect_request("INVITE");
        callee.answer(&arrived, 200, "OK");
        let accepted = caller.expect_status(200);
        caller.send(&caller.within("ACK", &sent, &accepted));
        callee.expect_request("ACK");
        (sent, accepted)
    };
    let (sent, accepted) = establish(&first);
    establish(&second);
    assert_eq!(states(&server), [("up".to_owned(), 1), ("up".to_owned(), 1)]);
    let refused = caller.exchange(&invite(&caller, &aor("x")));
    assert_eq!(refused.status(), Some(503), "{}", refused.text());
    assert!(refused.get("Retry-After").is_some(), "{}", refused.text());
    caller.send(&caller.within("BYE", &sent, &accepted));
    first.answer(&first.expect_request("BYE"), 200, "OK");
    caller.expect_status(200);
    establish(&first);
}

#[test]
fn other_hosts_are_reached_through_the_outbound_proxy() {
    let place = place();
    let server = Setup::new()
        .toml(&format!("[proxy]\noutbound = \"sip:{place};lr\"\n"))
        .start();
    let (caller, edge) = (Peer::udp(server.sip()), element(&server, &place));
    let arrived = arrives(&caller, "sip:bob@far.test", &edge);
    assert_eq!(arrived.uri(), "sip:bob@far.test");
    assert_eq!(uri_of(arrived.header("Route")), format!("sip:{place};lr"));
}

#[test]
fn a_stranger_is_led_elsewhere_by_an_open_route_only() {
    let (closed, open) = (place(), place());
    let server = Setup::with_digest()
        .user("alice", "alicepw")
        .toml(&format!(
            "[[route]]\nwhen = {{ user = [\"112\"] }}\nto = \"sip:{open}\"\nopen = true\n[[route]]\nto = \"sip:{closed}\"\n"
        ))
        .start();
    let stranger = Peer::udp(server.sip());
    let (closed, open) = (element(&server, &closed), element(&server, &open));
    for uri in [
        aor("x"),
        format!("sip:x@{}", closed.address()),
        "sip:x@far.test".to_owned(),
    ] {
        let request = stranger
            .request("INVITE", &uri, "sip:mallory@far.test", &uri)
            .with_body("application/sdp", &sdp(40_000));
        let refused = stranger.exchange(&request);
        assert!(
            matches!(refused.status(), Some(401 | 403 | 404 | 407)),
            "{uri}: {}",
            refused.text()
        );
    }
    closed.expect_silence(SOON);
    let call = stranger
        .request("INVITE", &aor("112"), "sip:mallory@far.test", &aor("112"))
        .with_body("application/sdp", &sdp(40_000));
    stranger.send(&call);
    open.answer(&open.expect_request("INVITE"), 486, "Busy Here");
    stranger.expect_status(486);
}

#[test]
fn what_the_rfc_forbids_is_refused_with_its_place() {
    let group = "[[group]]\nname = \"g\"\ntargets = [\"sip:gw.test\"]\nprobe = \"30s\"\n";
    for (route, place, says) in [
        (
            "mode = \"stateless\"\nto = [\"sip:a.test\", \"sip:b.test\"]\nfork = \"parallel\"",
            "4:8:",
            "16.11",
        ),
        (
            "mode = \"stateless\"\nto = \"sip:a.test;transport=tcp\"",
            "3:6:",
            "16.1",
        ),
        (
            "mode = \"stateless\"\nto = \"sip:a.test\"\nring_timeout = \"9s\"",
            "4:16:",
            "16.11",
        ),
        ("mode = \"stateless\"\nto = \"g\"", "3:6:", "16.11"),
        (
            "redirect = { status = 302, contacts = [{ uri = \"sip:a.test\" }] }\nheaders = { remove = [\"X-A\"] }",
            "3:11:",
            "8.3",
        ),
        (
            "mode = \"stateful\"\nrecord_route = false\nto = \"sip:a.test\"",
            "3:16:",
            "16.6",
        ),
        ("to = \"sip:224.0.1.75\"", "2:6:", "multicast"),
        (
            "to = \"sip:a.test\"\nheaders = { set = { \"Via\" = \"x\" } }",
            "3:",
            "Via",
        ),
    ] {
        let scratch = Scratch::new();
        let file = scratch.write("strowger.toml", format!("[[route]]\n{route}\n{group}"));
        let file = file.to_string_lossy();
        let ended = strowger(&["check", "--config", &file]);
        assert_eq!(ended.code, Some(1), "{route}: {ended:?}");
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            told.contains(&format!("{file}:{place}")) && told.contains(says),
            "{route}: {told}"
        );
    }
}
