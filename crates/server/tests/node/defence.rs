//! What a stranger can make the node send, and what becomes of those who try passwords.

use strowger_server::config::{Defence, Mode};
use strowger_sip::auth::{Algorithm, NONCE_LEN};
use strowger_testkit::message::{authorize, lines, registration, request, start_line};
use strowger_testkit::{Plan, Site};

const DIGEST: &[&str] = &["REGISTER", "INVITE"];

fn digest() -> Site {
    Site::of(Plan {
        challenged: DIGEST,
        ..Plan::default()
    })
}

/// The smallest request of its kind: compact names, no spaces, nothing that is not asked for.
fn smallest(method: &str, uri: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nv:SIP/2.0/UDP d;branch=z9hG4bK1\r\nf:sip:a;tag=1\r\nt:sip:a@example.test\r\ni:a\r\n\
         CSeq:1 {method}\r\nMax-Forwards:9\r\n{more}\r\n"
    )
}

const NODE: &str = "sip:example.test";
const USER: &str = "sip:bob@example.test";

/// Every kind of answer that somebody who has shown nothing can get, with the smallest request for it.
fn kinds() -> Vec<(&'static str, String)> {
    let credentials =
        "Authorization:Digest realm=\"example.test\",nonce=\"x\",username=\"a\",uri=\"x\",response=\"x\"\r\n";
    let proxy = format!("Proxy-{credentials}");
    let options = smallest("OPTIONS", NODE, "");
    let line = |begins: &str| {
        let line = options
            .split_inclusive('\n')
            .find(|line| line.starts_with(begins));
        line.unwrap_or_default().to_owned()
    };
    let without = |begins: &str| options.replace(&line(begins), "");
    vec![
        ("200", options.clone()),
        ("200", without("Max-Forwards")),
        ("200", options.replace(";branch=z9hG4bK1", ";rport")),
        (
            "200",
            smallest("OPTIONS", USER, "").replace("Forwards:9", "Forwards:0"),
        ),
        ("401", smallest("REGISTER", NODE, "")),
        ("401", smallest("REGISTER", NODE, credentials)),
        (
            "400",
            smallest("REGISTER", NODE, &credentials.replace("username=\"a\",", "")),
        ),
        ("407", smallest("INVITE", USER, "")),
        ("407", smallest("INVITE", USER, &proxy)),
        ("407", smallest("MESSAGE", USER, "")),
        ("407", smallest("INVITE", "sip:x", "")),
        ("404", smallest("INVITE", NODE, "")),
        ("407", smallest("MESSAGE", "tel:+1", "")),
        ("405", smallest("MESSAGE", NODE, "")),
        ("481", smallest("CANCEL", NODE, "")),
        ("481", smallest("CANCEL", USER, "")),
        (
            "481",
            smallest("BYE", NODE, "").replace("t:sip:a@example.test", "t:sip:a;tag=2"),
        ),
        ("420", smallest("OPTIONS", NODE, "Require:a,a,a,a\r\n")),
        ("420", smallest("REGISTER", NODE, "Require:a,a,a,a\r\n")),
        ("416", smallest("MESSAGE", "a:b", "")),
        (
            "483",
            smallest("MESSAGE", USER, "").replace("Forwards:9", "Forwards:0"),
        ),
        ("400", without("f:")),
        ("400", without("t:")),
        ("400", without("i:")),
        ("400", without("CSeq")),
        ("400", options.replace("1 OPTIONS", "x OPTIONS")),
        ("400", smallest("OPTIONS", NODE, "l:9\r\n")),
        ("400", format!("OPTIONS x SIP/2.0\r\n{}\r\n", line("v:"))),
        ("505", options.replace("SIP/2.0\r\nv", "SIP/9.0\r\nv")),
    ]
}

/// A site that asks for passwords and is defended so.
fn guarded(defence: Defence) -> Site {
    Site::of(Plan {
        challenged: DIGEST,
        defence,
        ..Plan::default()
    })
}

// A datagram's source address can be forged; whoever is there must not be flooded by us (RFC 3261 §26.1.5).
#[test]
fn no_answer_to_a_strangers_datagram_has_more_than_three_times_its_bytes() {
    let algorithms = vec![Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];
    for (status, text) in kinds() {
        let mut site = Site::of(Plan {
            challenged: DIGEST,
            algorithms: algorithms.clone(),
            ..Plan::default()
        });
        for _ in 0..2 {
            site.send('d', &text);
        }
        site.pass(100_000);
        let (sent, most) = (site.bytes_to('d'), 2 * 3 * text.len());
        println!(
            "{status} {:.2} {}",
            sent as f64 / (2 * text.len()) as f64,
            start_line(&text)
        );
        assert!(sent <= most, "{sent} bytes for twice {}: {text}", text.len());
        let answered = site.log();
        assert_eq!(answered, format!("d {status}, d {status}"), "{text}");
    }
}

#[test]
fn what_is_too_large_for_a_tiny_request_is_left_out_least_important_first() {
    let mut site = Site::of(Plan {
        challenged: DIGEST,
        algorithms: vec![Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5],
        ..Plan::default()
    });
    let tiny = site.ask('d', &smallest("REGISTER", NODE, ""));
    assert_eq!(lines(&tiny, "WWW-Authenticate").len(), 2, "{tiny}");
    assert!(lines(&tiny, "WWW-Authenticate")[0].contains("SHA-512-256"));
    let usual = site.ask(
        'b',
        &registration('b', "sip:bob@example.test", "<sip:bob@192.0.2.11:5060>", 1),
    );
    assert_eq!(lines(&usual, "WWW-Authenticate").len(), 3, "{usual}");
    let tiny = smallest("OPTIONS", NODE, "")
        .replace("Max-Forwards:9\r\n", "")
        .replace(";branch=z9hG4bK1", "");
    let told = site.ask('d', &tiny);
    assert_eq!(
        (lines(&told, "Allow").len(), lines(&told, "Supported").len()),
        (1, 0)
    );
    site.send_tcp('d', &tiny.replace("\r\n\r\n", "\r\nl:0\r\n\r\n"));
    assert_eq!(
        lines(site.last('d', "SIP/2.0 200"), "Supported").len(),
        1,
        "a connection cannot be forged"
    );
}

fn bob(n: u32) -> String {
    registration('b', "sip:bob@example.test", "<sip:bob@192.0.2.11:5060>", n)
}

/// A registration of a user, sent by whoever stands behind this letter's address.
fn of(user: &str, n: u32) -> String {
    let aor = format!("sip:{user}@example.test");
    registration('b', &aor, &format!("<sip:{user}@192.0.2.11:5060>"), n)
        .replace("Call-ID: call", &format!("Call-ID: {user}"))
}

/// With credentials that are wrong: for another client nonce than the one they name.
fn wrong(text: &str, challenge: &str, user: &str) -> String {
    authorize(text, challenge, user, 1).replace("cnonce=\"cn\"", "cnonce=\"no\"")
}

/// Asks, and answers the challenge wrongly: the status of what comes back.
fn guess(site: &mut Site, who: char, user: &str, n: u32) -> String {
    let challenge = site.ask(who, &of(user, n));
    let answer = site.ask(who, &wrong(&of(user, n), &challenge, user));
    start_line(&answer).to_owned()
}

/// Asks, and answers the challenge with the right password: the status of what comes back.
fn register(site: &mut Site, who: char, user: &str, n: u32) -> String {
    let challenge = site.ask(who, &of(user, n));
    let answer = site.ask(who, &authorize(&of(user, n), &challenge, user, 1));
    start_line(&answer).to_owned()
}

const OK: &str = "SIP/2.0 200 OK";
const AGAIN: &str = "SIP/2.0 401 Unauthorized";
const FORBIDDEN: &str = "SIP/2.0 403 Forbidden";
const BANNED: &str = FORBIDDEN;

// RFC 3261 §22.2: credentials that were just rejected are not to be tried again; some phones do so at once for as long as they
// are challenged.
#[test]
fn who_repeats_a_wrong_password_is_refused_before_being_banned() {
    let mut site = digest();
    for n in 1..=9 {
        let expected = if n < 3 { AGAIN } else { FORBIDDEN };
        assert_eq!(guess(&mut site, 'b', "bob", n), expected, "{n}");
    }
    assert_eq!(register(&mut site, 'b', "bob", 10), OK, "the password is mended");
}

#[test]
fn guessing_one_password_ends_before_the_right_one_and_shuts_nobody_else_out() {
    // Peers answer to where the request came from, so that all of them can say what bob's phone says.
    for user in ["bob", "nobody"] {
        let mut site = digest();
        let answers: Vec<_> = (1..=12).map(|n| guess(&mut site, 'b', user, n)).collect();
        let expected = [[AGAIN; 2].as_slice(), &[FORBIDDEN; 10]].concat();
        assert_eq!(answers, expected, "whether there is a {user} or not");
        assert_eq!(
            register(&mut site, 'b', "bob", 20),
            if user == "bob" { BANNED } else { OK }
        );
        assert_eq!(
            register(&mut site, 'b', "alice", 1),
            OK,
            "another account behind the same address"
        );
        site.pass(1_900_000);
        assert_eq!(register(&mut site, 'b', "bob", 30), OK, "a ban ends");
    }
}

#[test]
fn an_account_is_banned_at_one_source_only() {
    let mut site = digest();
    for n in 1..=12 {
        guess(&mut site, 'b', "carol", n);
    }
    assert_eq!(register(&mut site, 'b', "carol", 20), BANNED);
    let text = registration('c', "sip:carol@example.test", "<sip:carol@192.0.2.12:5060>", 1);
    let challenge = site.ask('c', &text);
    assert_eq!(
        start_line(&site.ask('c', &authorize(&text, &challenge, "carol", 1))),
        OK
    );
}

#[test]
fn a_source_that_tries_many_accounts_is_banned_but_for_who_is_registered_from_there() {
    let mut site = digest();
    assert_eq!(register(&mut site, 'b', "bob", 1), OK);
    for n in 0..22 {
        guess(&mut site, 'b', &format!("guess{n}"), 1);
    }
    assert_eq!(register(&mut site, 'b', "alice", 1), BANNED);
    assert_eq!(register(&mut site, 'b', "bob", 2), OK, "is registered from there");
    let invite = request('b', "INVITE", "sip:carol@example.test", 7);
    let challenge = site.ask('b', &invite);
    let refused = site.ask('b', &authorize(&invite, &challenge, "bob", 1));
    assert_eq!(
        start_line(&refused),
        "SIP/2.0 480 Temporarily Unavailable",
        "and may call"
    );
}

#[test]
fn who_is_refused_all_the_time_is_told_so_no_more_and_who_is_registered_is() {
    let mut site = guarded(Defence {
        refusals: 2,
        ..Defence::default()
    });
    assert_eq!(register(&mut site, 'b', "bob", 1), OK);
    site.log();
    let told = |site: &mut Site, text: &str| {
        site.send('b', text);
        !site.log().is_empty()
    };
    let challenges = (0..100).filter(|&n| told(&mut site, &of("alice", n))).count();
    assert!((38..=42).contains(&challenges), "{challenges}");
    let refused = request('b', "INVITE", "sip:example.test", 9);
    for text in [refused.clone(), refused.replace("CSeq: 1", "CSeq: x")] {
        assert!(!told(&mut site, &text), "{text}");
    }
    assert!(
        told(&mut site, &request('b', "OPTIONS", "sip:example.test", 10)),
        "no refusal"
    );
    assert_eq!(register(&mut site, 'b', "bob", 2), OK);
    site.pass(1_000);
    assert!(told(&mut site, &refused));
}

#[test]
fn challenges_that_are_met_are_not_held_against_anybody() {
    let mut site = guarded(Defence {
        refusals: 1,
        ..Defence::default()
    });
    for n in 1..200 {
        let challenge = site.ask('b', &bob(2 * n));
        assert_eq!(
            start_line(&site.ask('b', &authorize(&bob(2 * n + 1), &challenge, "bob", 1))),
            OK
        );
    }
}

#[test]
fn refusals_are_not_held_against_this_machine_while_digest_is_off() {
    let answers = |who| {
        let mut site = Site::new();
        let text = request(who, "MESSAGE", "sip:nobody@example.test", 1);
        (0..4000).for_each(|_| {
            site.send(who, &text);
        });
        site.log().split(", ").count()
    };
    assert_eq!(answers('l'), 4000);
    assert!((1990..=2010).contains(&answers('d')));
}

/// A challenge that the node did not make.
fn invented(challenge: &str) -> String {
    let (begin, nonce) = challenge.split_once("nonce=\"").expect("a challenge");
    format!("{begin}nonce=\"{}{}", "x".repeat(NONCE_LEN), &nonce[NONCE_LEN..])
}

// Who sends from an address that is not theirs is told no nonce.
#[test]
fn credentials_for_a_nonce_that_is_not_ours_are_no_guess_and_tell_nothing() {
    let mut site = digest();
    let challenge = invented(&site.ask('b', &bob(1)));
    for n in 2..20 {
        for text in [
            wrong(&bob(n), &challenge, "bob"),
            authorize(&bob(n), &challenge, "bob", 1),
        ] {
            let told = site.ask('b', &text);
            assert!(
                start_line(&told) == AGAIN && told.contains("stale=true"),
                "{told}"
            );
        }
    }
    assert_eq!(register(&mut site, 'b', "bob", 30), OK);
}

#[test]
fn a_phone_that_is_registered_goes_on_while_its_account_is_banned_at_its_address() {
    let mut site = digest();
    assert_eq!(register(&mut site, 'b', "bob", 1), OK);
    // From the same address, but by another way.
    let challenge = site.ask('b', &bob(2));
    for n in 3..15 {
        site.send_tcp('b', &wrong(&bob(n), &challenge, "bob"));
    }
    site.send_tcp('b', &authorize(&bob(15), &challenge, "bob", 1));
    assert_eq!(start_line(site.last('b', "SIP/2.0 403")), BANNED);
    site.log();
    assert_eq!(register(&mut site, 'b', "bob", 20), OK);
}

#[test]
fn a_phone_registered_by_its_alias_is_challenged_whoever_is_refused_behind_its_address() {
    let mut site = guarded(Defence {
        refusals: 1,
        ..Defence::default()
    });
    let by_alias = |n| of("1002", n);
    let register = |site: &mut Site, n| {
        let challenge = site.ask('b', &by_alias(n));
        let answer = site.ask('b', &authorize(&by_alias(n + 1), &challenge, "bob", 1));
        assert_eq!(start_line(&answer), OK);
    };
    register(&mut site, 1);
    for n in 0..50 {
        site.send('b', &of("nobody", n));
    }
    register(&mut site, 3);
}

#[test]
fn who_is_authenticated_is_always_answered() {
    let mut site = guarded(Defence {
        refusals: 2,
        ..Defence::default()
    });
    let message = |n| request('a', "MESSAGE", "sip:carol@example.test", n);
    let early = |n| of("bob", n).replace("Expires: 600", "Expires: 1");
    let challenges = [site.ask('a', &message(1)), site.ask('b', &early(1))];
    for n in 1..100 {
        let away = site.ask('a', &authorize(&message(n + 1), &challenges[0], "alice", n));
        assert_eq!(start_line(&away), "SIP/2.0 480 Temporarily Unavailable");
        let early = site.ask('b', &authorize(&early(n + 1), &challenges[1], "bob", n));
        assert_eq!(start_line(&early), "SIP/2.0 423 Interval Too Brief");
    }
    let mut told = |n: &u32| {
        site.send('b', &of("bob", *n).replace("Expires: 600", "Require: x"));
        !site.log().is_empty()
    };
    let strangers = (200..300).filter(&mut told).count();
    assert!(strangers < 50, "{strangers}");
}

/// A contact of 300 bytes.
fn long_contact(n: u32) -> String {
    format!("<sip:bob@192.0.2.11:5060;n={n};long={}>", "x".repeat(260))
}

/// A site where bob has registered ten long contacts from `b`.
fn many_contacts(mode: Mode) -> Site {
    let mut site = Site::of(Plan {
        challenged: DIGEST,
        mode,
        ..Plan::default()
    });
    for n in 1..=10 {
        let text = registration('b', "sip:bob@example.test", &long_contact(n), n);
        let challenge = site.ask('b', &text);
        let answer = site.ask('b', &authorize(&text, &challenge, "bob", 1));
        assert_eq!(lines(&answer, "Contact").len(), n as usize, "{answer}");
    }
    site.log();
    site
}

// A nonce is good from the address that was given it, and no other.
#[test]
fn many_contacts_are_told_in_full_only_to_where_one_is_registered_from() {
    let mut site = many_contacts(Mode::Stateful);
    let fetch = |n| {
        let text = registration('b', "sip:bob@example.test", "*", n);
        text.replace("Contact: *\r\nExpires: 600\r\n", "")
    };
    let challenge = site.ask('b', &fetch(20));
    let told = site.ask('b', &authorize(&fetch(21), &challenge, "bob", 1));
    assert_eq!(lines(&told, "Contact").len(), 10, "{told}");
    let there = |text: &str| text.replace("SIP/2.0/UDP 192.0.2.11", "SIP/2.0/UDP 192.0.2.13");
    let text = there(&authorize(&fetch(22), &challenge, "bob", 2));
    let challenge = site.ask('d', &text);
    assert!(challenge.starts_with("SIP/2.0 401") && challenge.contains("stale=true"));
    let text = there(&authorize(&fetch(23), &challenge, "bob", 1));
    let told = site.ask('d', &text);
    assert!(told.len() <= 3 * text.len(), "{} for {}", told.len(), text.len());
    assert!((1..10).contains(&lines(&told, "Contact").len()), "{told}");
    assert!(told.ends_with("Content-Length: 0\r\n\r\n"), "{told}");
    site.send_tcp('d', &authorize(&fetch(24), &challenge, "bob", 2));
    let told = site.last('d', "SIP/2.0 200");
    assert_eq!(lines(told, "Contact").len(), 10, "a connection cannot be forged");
}

#[test]
fn a_caller_who_is_registered_is_redirected_to_all_contacts_and_nobody_to_none() {
    let mut site = many_contacts(Mode::Redirect);
    assert_eq!(register(&mut site, 'b', "alice", 1), OK);
    let call = |site: &mut Site, who, user: &str, n| {
        let text = request(who, "INVITE", "sip:bob@example.test", n)
            .replace("somebody@", &format!("{user}@"))
            .replace("From: <sip:bob@", &format!("From: <sip:{user}@"));
        let challenge = site.ask(who, &text);
        let text = authorize(&text, &challenge, user, 1);
        let begun = site.bytes_to(who);
        site.send(who, &text);
        let sent = site.bytes_to(who) - begun;
        let contacts = if sent == 0 {
            0
        } else {
            lines(site.last(who, "SIP/2.0 302"), "Contact").len()
        };
        (contacts, sent > 3 * text.len())
    };
    assert_eq!(call(&mut site, 'b', "alice", 40), (10, true));
    let (some, is_more) = call(&mut site, 'd', "carol", 41);
    assert!((1..10).contains(&some) && !is_more, "{some}");
    let longest = format!("<sip:carol@192.0.2.12:5060;long={}>", "x".repeat(2000));
    let text = registration('c', "sip:carol@example.test", &longest, 1);
    let challenge = site.ask('c', &text);
    site.ask('c', &authorize(&text, &challenge, "carol", 1));
    let text = request('d', "INVITE", "sip:carol@example.test", 42).replace("somebody@", "bob@");
    let challenge = site.ask('d', &text);
    site.send('d', &authorize(&text, &challenge, "bob", 1));
    assert_eq!(site.log(), "", "an answer without contacts leads nowhere");
}
