//! Users whom a server is asked for: what waits, what is believed for how long, and that nobody can tell who exists.

use std::time::Duration;

use strowger_server::config::UserLookup;
use strowger_testkit::message::{ack, authorize, registration, request, start_line, with};
use strowger_testkit::peer::{address, password};
use strowger_testkit::{Plan, Site};

fn site() -> Site {
    limited(UserLookup {
        ttl: Duration::from_secs(300),
        negative_ttl: Duration::from_secs(30),
        stale: Duration::from_secs(3600),
        ..UserLookup::default()
    })
}

fn limited(lookup: UserLookup) -> Site {
    Site::of(Plan {
        challenged: &["REGISTER", "INVITE"],
        user_lookup: Some(lookup),
        ..Plan::default()
    })
}

/// What the server says of a user of these names.
fn known(user: &str, aliases: &str) -> String {
    format!(r#"{{"password":"{}","aliases":[{aliases}]}}"#, password(user))
}

/// The REGISTER of a peer as this user, with the credentials of another name's password.
fn credentials(site: &mut Site, who: char, user: &str, by: &str, n: u32) -> String {
    let address = format!("<sip:{user}@{}>", address(who));
    let text = registration(who, &format!("sip:{user}@example.test"), &address, n);
    let challenge = site.ask(who, &text);
    assert_eq!(start_line(&challenge), "SIP/2.0 401 Unauthorized");
    authorize(&text, &challenge, by, 1)
        .replace(&format!("username=\"{by}\""), &format!("username=\"{user}\""))
}

#[track_caller]
fn answer(site: &mut Site, user: &str, status: u16, body: &str) {
    let question = site.user_question().expect("the server is asked");
    assert_eq!((question.user(), question.domain()), (user, "example.test"));
    site.answer_user(&question, status, body);
}

#[test]
fn a_register_waits_for_what_the_server_says_and_is_asked_for_once() {
    let mut site = site();
    let text = credentials(&mut site, 'a', "alice", "alice", 1);
    site.send('a', &text);
    site.send('a', &text);
    assert_eq!(site.log(), "", "it waits, and so does its retransmission");
    answer(&mut site, "alice", 200, &known("alice", ""));
    assert_eq!(site.log(), "a 200");
    assert!(site.user_question().is_none());
    // What was said holds.
    let text = credentials(&mut site, 'a', "alice", "alice", 2);
    assert_eq!(start_line(&site.ask('a', &text)), "SIP/2.0 200 OK");
    // Until its time is over.
    site.pass(301_000);
    let text = credentials(&mut site, 'a', "alice", "alice", 3);
    site.send('a', &text);
    assert_eq!(site.log(), "");
    answer(&mut site, "alice", 200, &known("alice", ""));
    assert_eq!(site.log(), "a 200");
}

// RFC 3261 §22.4: whoever has no valid nonce has the server asked for nobody.
#[test]
fn nobody_is_asked_for_without_a_nonce_of_ours() {
    let mut site = site();
    let text = credentials(&mut site, 'a', "alice", "alice", 1);
    let forged = text.replacen("nonce=\"", "nonce=\"0", 1);
    assert_eq!(start_line(&site.ask('a', &forged)), "SIP/2.0 401 Unauthorized");
    assert!(site.user_question().is_none());
}

/// What a peer sees that tries a wrong password for a user: the answers and when the server is asked, for one attempt after the
/// other.
fn seen(site: &mut Site, user: &str, exists: bool, tries: u32) -> Vec<(bool, String)> {
    let mut all = Vec::new();
    for n in 0..tries {
        let text = credentials(site, 'd', user, "mallory", 100 + n);
        site.send('d', &text);
        let question = site.user_question();
        if let Some(question) = &question {
            assert_eq!(site.log(), "", "it waits");
            match exists {
                true => site.answer_user(question, 200, &known(user, "")),
                false => site.answer_user(question, 404, ""),
            }
        }
        all.push((question.is_some(), site.log()));
        site.pass(20_000);
    }
    all
}

#[test]
fn a_wrong_password_and_an_unknown_user_take_the_same_steps() {
    // Somebody who is known from a moment ago, somebody who exists, and nobody.
    let mut first = site();
    let text = credentials(&mut first, 'a', "alice", "alice", 1);
    first.send('a', &text);
    answer(&mut first, "alice", 200, &known("alice", ""));
    assert_eq!(first.log(), "a 200");
    let active = seen(&mut first, "alice", true, 4);
    let quiet = seen(&mut site(), "alice", true, 4);
    let nobody = seen(&mut site(), "nobody", false, 4);
    assert_eq!(active, quiet);
    assert_eq!(quiet, nobody);
    let asked: Vec<_> = nobody.iter().map(|(asked, _)| *asked).collect();
    assert_eq!(asked, [true, false, true, false], "what was said holds for 30 s");
}

#[test]
fn a_password_that_was_changed_meanwhile_counts_before_its_time_is_over() {
    let mut site = site();
    let text = credentials(&mut site, 'a', "alice", "alice", 1);
    site.send('a', &text);
    answer(&mut site, "alice", 200, r#"{"password":"another"}"#);
    assert_eq!(site.log(), "a 401");
    site.pass(31_000);
    let text = credentials(&mut site, 'a', "alice", "alice", 2);
    site.send('a', &text);
    answer(&mut site, "alice", 200, &known("alice", ""));
    assert_eq!(site.log(), "a 200");
}

// RFC 3261 §21.5.4: 503 with Retry-After, whoever it is about.
#[test]
fn while_the_server_fails_what_was_said_before_is_used_and_nobody_is_told_who_exists() {
    let mut site = site();
    let text = credentials(&mut site, 'a', "alice", "alice", 1);
    site.send('a', &text);
    answer(&mut site, "alice", 200, &known("alice", ""));
    site.log();
    site.pass(400_000);
    let text = credentials(&mut site, 'a', "alice", "alice", 2);
    site.send('a', &text);
    answer(&mut site, "alice", 500, "");
    assert_eq!(site.log(), "a 200", "what was said is stale and used");
    for user in ["alice", "nobody"] {
        let text = credentials(&mut site, 'd', user, "mallory", 3);
        site.send('d', &text);
        answer(&mut site, user, 500, "");
        let refusal = site.last('d', "SIP/2.0 503");
        assert!(refusal.contains("Retry-After: 2\r\n"), "{user}: {refusal}");
        assert_eq!(site.log(), "d 503");
    }
    site.pass(3_600_000);
    let text = credentials(&mut site, 'a', "alice", "alice", 4);
    site.send('a', &text);
    answer(&mut site, "alice", 500, "");
    assert_eq!(site.log(), "a 503", "that was too long ago");
}

#[test]
fn no_more_requests_wait_than_may() {
    let mut site = limited(UserLookup {
        waiting: 2,
        ..UserLookup::default()
    });
    for (n, user) in ["u1", "u2", "u3"].into_iter().enumerate() {
        let text = credentials(&mut site, 'a', user, "mallory", n as u32 + 1);
        site.send('a', &text);
        assert_eq!(site.log(), if n < 2 { "" } else { "a 503" });
    }
    for user in ["u1", "u2"] {
        answer(&mut site, user, 404, "");
    }
    assert_eq!(site.log(), "a 401, a 401");
    site.assert_ends();
}

fn invite(site: &mut Site, who: char, to: &str, n: u32) -> String {
    let text = request(who, "INVITE", &format!("sip:{to}@example.test"), n);
    let challenge = site.ask(who, &text);
    assert_eq!(
        start_line(&challenge),
        "SIP/2.0 407 Proxy Authentication Required"
    );
    authorize(&text, &challenge, "alice", 1)
}

#[test]
fn a_call_to_an_alias_waits_for_whose_it_is() {
    let mut site = site();
    let bob = credentials(&mut site, 'b', "bob", "bob", 1);
    site.send('b', &bob);
    answer(&mut site, "bob", 200, &known("bob", ""));
    assert_eq!(site.log(), "b 200");
    let text = invite(&mut site, 'a', "1002", 2);
    site.send('a', &text);
    answer(&mut site, "alice", 200, &known("alice", ""));
    assert_eq!(site.log(), "", "the caller is known, the called number is not");
    answer(&mut site, "1002", 200, r#"{"user":"bob"}"#);
    assert_eq!(site.log(), "a 100, b INVITE");
    assert!(site.user_question().is_none());
    let text = invite(&mut site, 'a', "nobody", 3);
    site.send('a', &text);
    answer(&mut site, "nobody", 404, "");
    assert_eq!(site.log(), "a 404");
    let text = invite(&mut site, 'a', "9999", 4);
    site.send('a', &text);
    answer(&mut site, "9999", 500, "");
    assert_eq!(site.log(), "a 503", "nobody knows whether there is one");
}

#[test]
fn who_is_registered_is_called_without_asking() {
    let mut site = site();
    let bob = credentials(&mut site, 'b', "bob", "bob", 1);
    site.send('b', &bob);
    answer(&mut site, "bob", 200, &known("bob", r#""1002""#));
    site.log();
    let text = invite(&mut site, 'a', "bob", 2);
    site.send('a', &text);
    answer(&mut site, "alice", 200, &known("alice", ""));
    assert!(site.log().ends_with("b INVITE"));
    // Whose another name is the server says when it is asked for that.
    let text = invite(&mut site, 'a', "1002", 3);
    site.send('a', &text);
    answer(&mut site, "1002", 200, ALIAS_OF_BOB);
    assert!(site.log().ends_with("b INVITE"));
}

#[test]
fn nobody_takes_calls_by_an_alias_that_is_somebody_elses_name() {
    for is_alice_known in [false, true] {
        let mut site = site();
        if is_alice_known {
            let alice = credentials(&mut site, 'a', "alice", "alice", 1);
            site.send('a', &alice);
            answer(&mut site, "alice", 200, &known("alice", ""));
        }
        let bob = credentials(&mut site, 'b', "bob", "bob", 2);
        site.send('b', &bob);
        answer(&mut site, "bob", 200, &known("bob", r#""alice""#));
        // Nor speaks he for her.
        let text = registration('b', "sip:alice@example.test", "<sip:bob@192.0.2.11>", 3);
        let challenge = site.ask('b', &text);
        site.log();
        site.send('b', &authorize(&text, &challenge, "bob", 1));
        if !is_alice_known {
            answer(&mut site, "alice", 200, &known("alice", ""));
        }
        assert_eq!(site.log(), "b 403");
        let carol = credentials(&mut site, 'c', "carol", "carol", 4);
        site.send('c', &carol);
        answer(&mut site, "carol", 200, &known("carol", ""));
        let text = request('c', "INVITE", "sip:alice@example.test", 5);
        let challenge = site.ask('c', &text);
        site.send('c', &ack(&text, &challenge));
        site.log();
        site.send('c', &authorize(&text, &challenge, "carol", 1));
        let expected = if is_alice_known {
            "c 100, a INVITE"
        } else {
            "c 480"
        };
        assert_eq!(site.log(), expected);
    }
}

#[test]
fn who_registers_by_an_alias_waits_for_whose_it_is() {
    let mut site = site();
    let text = registration('b', "sip:1002@example.test", "<sip:bob@192.0.2.11>", 1);
    let challenge = site.ask('b', &text);
    site.log();
    site.send('b', &authorize(&text, &challenge, "bob", 1));
    answer(&mut site, "bob", 200, &known("bob", r#""1002""#));
    assert_eq!(site.log(), "");
    answer(&mut site, "1002", 200, ALIAS_OF_BOB);
    assert_eq!(site.log(), "b 200");
}

/// A site where bob is registered and alice's INVITE to `1002`, who is bob, waits: for what is said of alice, or of `1002`.
fn waiting(for_called: bool) -> (Site, String) {
    let mut site = site();
    let bob = credentials(&mut site, 'b', "bob", "bob", 1);
    site.send('b', &bob);
    answer(&mut site, "bob", 200, &known("bob", ""));
    let text = invite(&mut site, 'a', "1002", 2);
    site.log();
    site.send('a', &text);
    if for_called {
        answer(&mut site, "alice", 200, &known("alice", ""));
    }
    assert_eq!(site.log(), "", "it waits");
    (site, text)
}

/// The CANCEL of an INVITE (RFC 3261 §9.1).
fn cancel(invite: &str) -> String {
    let text = invite
        .replacen("INVITE", "CANCEL", 1)
        .replace("1 INVITE", "1 CANCEL");
    let is_kept = |line: &&str| !line.starts_with("Proxy-Authorization");
    text.split_inclusive("\r\n").filter(is_kept).collect()
}

// RFC 3261 §9.2: whoever has cancelled its INVITE gets a 487, and nobody rings, also when it comes again meanwhile.
#[test]
fn an_invite_that_waits_is_cancelled() {
    for for_called in [false, true] {
        let (mut site, text) = waiting(for_called);
        let question = site.user_question().expect("the server is asked");
        site.send('a', &cancel(&text));
        assert_eq!(site.log(), "a 200, a 487");
        let refusal = site.last('a', "SIP/2.0 487").to_owned();
        site.send('a', &text);
        assert_eq!(site.log(), "a 487", "one that had been sent before");
        site.send('a', &ack(&text, &refusal));
        assert_eq!(site.log(), "");
        let said = match for_called {
            true => r#"{"user":"bob"}"#.to_owned(),
            false => known("alice", ""),
        };
        site.answer_user(&question, 200, &said);
        assert_eq!(site.log(), "", "nothing is left that could be taken up");
        site.assert_ends();
    }
}

// RFC 3261 §9.2: all but the method says that it is for that INVITE.
#[test]
fn a_cancel_of_something_else_leaves_what_waits() {
    let (mut site, text) = waiting(true);
    let question = site.user_question().expect("the server is asked");
    let cancel = cancel(&text);
    for (part, other) in [
        ("z9hG4bK2", "z9hG4bK3"),
        ("SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.10:5070"),
        ("SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/UDP 192.0.2.19:5060"),
        ("call2@a", "call3@a"),
        ("CSeq: 1 ", "CSeq: 2 "),
    ] {
        let stray = cancel.replace(part, other);
        assert_ne!(stray, cancel, "{part}");
        site.send('a', &stray);
        let log = site.log();
        assert!(!log.contains(" 200") && !log.contains(" 487"), "{other}: {log}");
    }
    site.answer_user(&question, 200, r#"{"user":"bob"}"#);
    assert_eq!(site.log(), "a 100, b INVITE");
}

// RFC 3261 §17.1.1.2: after timer B nobody is there who would hear of it.
#[test]
fn an_invite_that_has_waited_too_long_rings_nowhere() {
    for (ms, log) in [(31_900, "a 100, b INVITE"), (32_000, "")] {
        let (mut site, _) = waiting(true);
        let question = site.user_question().expect("the server is asked");
        site.pass(ms);
        site.answer_user(&question, 200, r#"{"user":"bob"}"#);
        assert_eq!(site.log(), log, "{ms}");
        if log.is_empty() {
            site.assert_ends();
        }
    }
}

const TRUNK: &str = "[[register]]\nname = \"provider\"\naor = \"sip:4711@provider.example\"\n\
    registrar = \"sip:192.0.2.13\"\npassword = \"hunter2\"\ntrusted = true\n\
    to = [\"sip:1002@example.test\", \"sip:1001@example.test\"]\n";

/// A site that was restarted: bob is registered, and nothing is known of any user. `a` need not authenticate.
fn restarted() -> Site {
    let mut site = Site::of(Plan {
        challenged: &["REGISTER", "INVITE"],
        trusted: &["192.0.2.10"],
        routing: TRUNK,
        user_lookup: Some(UserLookup {
            ttl: Duration::from_secs(300),
            ..UserLookup::default()
        }),
        ..Plan::default()
    });
    site.pass(1);
    let ok = site.response('d', 200, "Contact: <sip:4711@192.0.2.1:5060>;expires=7200");
    site.send('d', &ok);
    let bob = credentials(&mut site, 'b', "bob", "bob", 1);
    site.send('b', &bob);
    answer(&mut site, "bob", 200, &known("bob", ""));
    site.pass(301_000);
    site.log();
    site
}

const ALIAS_OF_BOB: &str = r#"{"user":"bob"}"#;

// RFC 3261 §10.3 step 5.
#[test]
fn a_trusted_source_registers_an_alias_as_its_user() {
    let mut site = restarted();
    let text = registration('a', "sip:1002@example.test", "<sip:bob@192.0.2.10>", 1);
    site.send('a', &text);
    site.send('a', &text);
    assert_eq!(site.log(), "", "it waits, and so does its retransmission");
    answer(&mut site, "1002", 200, ALIAS_OF_BOB);
    assert_eq!(site.log(), "a 200");
    let contacts = site.last('a', "SIP/2.0 200").matches("\r\nContact: ").count();
    assert_eq!(contacts, 2, "bob has two");
    // Of who is registered nothing need be known.
    let text = registration('a', "sip:bob@example.test", "<sip:bob@192.0.2.10>", 2);
    assert_eq!(start_line(&site.ask('a', &text)), "SIP/2.0 200 OK");
    assert!(site.user_question().is_none());
    let text = registration('a', "sip:9999@example.test", "<sip:bob@192.0.2.10>", 3);
    site.send('a', &text);
    answer(&mut site, "9999", 500, "");
    assert_eq!(site.log(), "a 503", "nobody knows whose it is");
}

// RFC 3680 §4.6.
#[test]
fn a_trusted_source_watches_the_user_of_an_alias() {
    let mut site = restarted();
    let subscribe = |user: &str, n: u32| {
        let text = request('a', "SUBSCRIBE", &format!("sip:{user}@example.test"), n);
        let lines = "Contact: <sip:a@192.0.2.10:5060>\r\nEvent: reg\r\nExpires: 600";
        with(&text, lines)
    };
    site.send('a', &subscribe("1002", 1));
    assert_eq!(site.log(), "");
    answer(&mut site, "1002", 200, ALIAS_OF_BOB);
    assert_eq!(site.log(), "a 200, a NOTIFY");
    let notify = site.last('a', "NOTIFY ").to_owned();
    assert!(notify.contains("aor=\"sip:bob@example.test\""), "{notify}");
    site.answer('a', 200);
    site.log();
    site.send('a', &subscribe("bob", 2));
    assert!(site.user_question().is_none(), "who is registered is somebody");
    assert_eq!(site.log(), "a 200, a NOTIFY");
    site.answer('a', 200);
    site.log();
    site.send('a', &subscribe("nobody", 3));
    answer(&mut site, "nobody", 404, "");
    assert_eq!(site.log(), "a 404");
}

#[test]
fn a_user_watches_by_an_alias_that_is_asked_for_and_its_nonce_count_is_used_once() {
    let mut site = restarted();
    let text = request('b', "SUBSCRIBE", "sip:1002@example.test", 1);
    let lines = "Contact: <sip:b@192.0.2.11:5060>\r\nEvent: reg\r\nExpires: 600";
    let text = with(&text, lines);
    let challenge = site.ask('b', &text);
    site.log();
    site.send('b', &authorize(&text, &challenge, "bob", 1));
    answer(&mut site, "bob", 200, &known("bob", ""));
    answer(&mut site, "1002", 200, ALIAS_OF_BOB);
    assert_eq!(site.log(), "b 200, b NOTIFY");
}

#[test]
fn a_call_from_a_trunk_waits_for_whose_each_of_its_targets_is() {
    let mut site = restarted();
    let call = |n: u32| request('d', "INVITE", "sip:4711@192.0.2.1:5060", n);
    site.send('d', &call(1));
    answer(&mut site, "1002", 200, ALIAS_OF_BOB);
    assert_eq!(site.log(), "");
    answer(&mut site, "1001", 404, "");
    assert_eq!(site.log(), "d 100, b INVITE");
    assert!(site.user_question().is_none());
    // What was said holds, and leaves nothing behind for others.
    site.send('d', &call(2));
    assert!(site.log().ends_with("b INVITE"));
    assert!(site.user_question().is_none());
    let text = registration('a', "sip:9999@example.test", "<sip:bob@192.0.2.10>", 3);
    site.send('a', &text);
    answer(&mut site, "9999", 404, "");
}
