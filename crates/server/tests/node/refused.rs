//! What the node writes into its log about those whom it refuses, so that their operator finds out why a phone stays out.

use strowger_testkit::message::{authorize, registration, request};
use strowger_testkit::{Plan, Site};

fn digest() -> Site {
    Site::of(Plan {
        challenged: &["REGISTER", "INVITE"],
        ..Plan::default()
    })
}

fn of(user: &str, n: u32) -> String {
    let aor = format!("sip:{user}@example.test");
    registration('b', &aor, &format!("<sip:{user}@192.0.2.11:5060>"), n)
}

/// Asks with the credentials of a user, right or not, and takes the lines that this is worth.
fn told(site: &mut Site, text: &str, user: &str, right: bool) -> Vec<String> {
    let challenge = site.ask('b', text);
    assert_eq!(site.journal(), [""; 0], "a first challenge is no refusal");
    let with = authorize(text, &challenge, user, 1);
    let with = if right {
        with
    } else {
        with.replace("cnonce=\"cn\"", "cnonce=\"no\"")
    };
    site.ask('b', &with);
    site.journal()
}

#[test]
fn a_register_that_is_refused_leaves_one_line_that_says_why() {
    let line = |aor: &str, why: &str| {
        format!("INFO registration refused aor={aor} source=udp:192.0.2.11:5060 reason={why}")
    };
    for (user, aor, right, why) in [
        ("bob", "bob@example.test", false, "wrong-password"),
        ("nobody", "nobody@example.test", true, "unknown-user"),
        ("bob", "alice@example.test", true, "not-the-owner"),
        ("bob", "bob@elsewhere.test", true, "not-our-domain"),
    ] {
        let text = of("bob", 1).replace("sip:bob@example.test", &format!("sip:{aor}"));
        assert_eq!(told(&mut digest(), &text, user, right), [line(aor, why)]);
    }
    let text = of("bob", 1).replace("To: <sip:bob@", "To: <sip:");
    let mut open = Site::new();
    open.ask('b', &text);
    assert_eq!(open.journal(), [line("example.test", "no-such-user")]);
}

#[test]
fn a_call_that_is_refused_leaves_one_line_that_says_why() {
    let mut site = digest();
    let call = |to: &str| request('b', "INVITE", &format!("sip:{to}@example.test"), 1);
    let why = |lines: Vec<String>| -> Vec<String> {
        let reason = |line: &String| {
            assert!(
                line.starts_with("INFO call refused from=sip:bob@example.test to=sip:"),
                "{line}"
            );
            line.rsplit_once("reason=")
                .map(|(_, why)| why.to_owned())
                .unwrap_or_default()
        };
        lines.iter().map(reason).collect()
    };
    assert_eq!(
        why(told(&mut site, &call("carol"), "bob", false)),
        ["wrong-password"]
    );
    assert_eq!(
        why(told(&mut site, &call("carol"), "bob", true)),
        ["not-registered"]
    );
    assert_eq!(
        why(told(&mut site, &call("nobody"), "bob", true)),
        ["no-such-user"]
    );
    assert_eq!(
        why(told(&mut site, &call("carol"), "alice", true)),
        ["not-the-owner"]
    );
    let mut open = Site::new();
    open.ask('b', &request('b', "INVITE", "sip:x@far.test", 1));
    assert_eq!(why(open.journal()), ["relaying-denied"]);
}

// RFC 3261 §10.3 step 5: nobody is a user of the address, so there is no password to be found.
#[test]
fn a_phone_with_the_address_as_its_domain_is_told_of_and_its_account_is_not_banned() {
    let mut site = digest();
    let text = |n| of("bob", n).replace("sip:bob@example.test", "sip:bob@192.0.2.1");
    let expected = "INFO registration refused aor=bob@192.0.2.1 source=udp:192.0.2.11:5060 reason=address-as-domain \
                    domain=example.test";
    for n in 1..=15 {
        assert_eq!(told(&mut site, &text(n), "bob", true), [expected], "{n}");
    }
    let call = request('b', "INVITE", "sip:carol@example.test", 1)
        .replace("From: <sip:bob@example.test", "From: <sip:bob@192.0.2.1");
    let lines = told(&mut site, &call, "bob", true);
    assert!(
        lines.len() == 1 && lines[0].ends_with(" reason=address-as-domain domain=example.test"),
        "{lines:?}"
    );
    site.pass(60_000);
    let challenge = site.ask('b', &of("bob", 30));
    assert!(
        site.ask('b', &authorize(&of("bob", 31), &challenge, "bob", 1))
            .starts_with("SIP/2.0 200 ")
    );
}

#[test]
fn who_tries_many_accounts_of_the_address_is_banned_as_ever() {
    let mut site = digest();
    let last = (0..30).map(|n| {
        // Twenty lines a minute are written.
        site.pass(if n == 18 { 60_000 } else { 1 });
        let text = of("bob", n).replace("sip:bob@example.test", &format!("sip:u{n}@192.0.2.1"));
        told(&mut site, &text, &format!("u{n}"), true)
    });
    let last = last.last().expect("the last");
    assert!(last[0].ends_with(" reason=banned"), "{last:?}");
}

#[test]
fn a_ban_is_told_and_nothing_of_the_credentials() {
    let mut site = digest();
    for n in 1..=12 {
        told(&mut site, &of("bob", n), "bob", false);
    }
    let lines = told(&mut site, &of("bob", 20), "bob", true);
    assert!(
        lines.len() == 1 && lines[0].ends_with(" reason=banned"),
        "{lines:?}"
    );
    assert!(
        !lines[0].contains("nonce") && !lines[0].contains("response"),
        "{lines:?}"
    );
}

#[test]
fn twenty_refusals_a_minute_are_told_and_the_others_counted() {
    let mut site = Site::new();
    let refuse = |site: &mut Site, count: u32| {
        (0..count).for_each(|n| {
            site.ask('b', &request('b', "INVITE", "sip:nobody@example.test", n));
        });
        site.journal()
    };
    assert_eq!(refuse(&mut site, 50).len(), 20);
    site.pass(60_000);
    let lines = refuse(&mut site, 1);
    assert_eq!(lines[0], "INFO refusals left out of the log count=30");
    assert_eq!(lines.len(), 2, "{lines:?}");
}
