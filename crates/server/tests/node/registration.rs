//! RFC 3261 §10.3 and §22 through the node: REGISTER, its credentials, its commit, and the binding that calls find.

use strowger_server::location::{CommitError, StoreFailure};
use strowger_sip::auth::Algorithm;
use strowger_testkit::message::{authorize, lines, registration, request, start_line, with};
use strowger_testkit::{Plan, Site};

const DIGEST: &[&str] = &["REGISTER", "INVITE"];

fn bob(n: u32) -> String {
    registration('b', "sip:bob@example.test", "<sip:bob@192.0.2.11:5060>", n)
}

fn digest() -> Site {
    Site::of(Plan {
        challenged: DIGEST,
        ..Plan::default()
    })
}

fn slow() -> Site {
    Site::of(Plan {
        slow_store: true,
        ..Plan::default()
    })
}

#[test]
fn a_binding_is_made_told_found_and_removed() {
    let mut site = Site::new();
    let ok = site.ask('b', &bob(1));
    assert_eq!(start_line(&ok), "SIP/2.0 200 OK");
    assert_eq!(lines(&ok, "Contact"), ["<sip:bob@192.0.2.11:5060>;expires=600"]);
    assert_eq!(lines(&ok, "Date").len(), 1);
    site.pass(100_000);
    let fetch =
        registration('b', "sip:bob@example.test", "x", 2).replace("Contact: x\r\nExpires: 600\r\n", "");
    assert_eq!(
        lines(&site.ask('b', &fetch), "Contact"),
        ["<sip:bob@192.0.2.11:5060>;expires=500"]
    );
    site.send('a', &request('a', "INVITE", "sip:bob@example.test", 1));
    assert_eq!(site.log(), "a 100, b INVITE");
    site.answer('b', 486);
    let gone = registration('b', "sip:bob@example.test", "*", 3).replace("Expires: 600", "Expires: 0");
    assert_eq!(lines(&site.ask('b', &gone), "Contact"), [] as [&str; 0]);
    let refused = site.ask('a', &request('a', "INVITE", "sip:bob@example.test", 2));
    assert_eq!(start_line(&refused), "SIP/2.0 480 Temporarily Unavailable");
    site.assert_ends();
}

// §10.3 step 7: a phone that has been started anew counts its requests anew, under another Call-ID.
#[test]
fn a_register_with_another_call_id_counts_whatever_its_cseq() {
    let mut site = Site::new();
    site.ask('b', &bob(9));
    site.pass(100_000);
    let anew = |n| bob(n).replace("call1@b", "anew@b");
    let ok = site.ask('b', &anew(3));
    assert_eq!(start_line(&ok), "SIP/2.0 200 OK");
    assert_eq!(lines(&ok, "Contact"), ["<sip:bob@192.0.2.11:5060>;expires=600"]);
    // From then on it is that one's order that counts.
    let late = site.ask('b', &anew(2));
    assert_eq!(start_line(&late), "SIP/2.0 500 CSeq Out Of Order");
    let gone = anew(4).replace("Expires: 600", "Expires: 0");
    assert_eq!(lines(&site.ask('b', &gone), "Contact"), [] as [&str; 0]);
    site.assert_ends();
}

#[test]
fn a_binding_that_has_expired_is_found_no_more() {
    let mut site = Site::new();
    site.ask('b', &bob(1));
    site.pass(599_999);
    site.send('a', &request('a', "MESSAGE", "sip:bob@example.test", 1));
    assert_eq!(site.log(), "b MESSAGE");
    site.pass(1);
    let refused = site.ask('a', &request('a', "MESSAGE", "sip:bob@example.test", 2));
    assert_eq!(start_line(&refused), "SIP/2.0 480 Temporarily Unavailable");
}

#[test]
fn a_call_forks_to_all_bindings() {
    let mut site = Site::new();
    site.ask(
        'b',
        &registration(
            'b',
            "sip:bob@example.test",
            "<sip:bob@192.0.2.11:5060>, <sip:bob@192.0.2.12:5060>",
            1,
        ),
    );
    site.send('a', &request('a', "INVITE", "sip:bob@example.test", 1));
    assert_eq!(
        site.log(),
        "a 100, b INVITE, c INVITE",
        "each at the address it names"
    );
    let mut site = Site::new();
    site.ask('b', &bob(1));
    let second = registration('c', "sip:bob@example.test", "<sip:bob@192.0.2.12:5060>", 1);
    site.ask('c', &second);
    site.send('a', &request('a', "INVITE", "sip:bob@example.test", 1));
    assert_eq!(site.log(), "a 100, b INVITE, c INVITE");
    site.answer('b', 180);
    site.answer('c', 200);
    assert_eq!(site.log(), "a 180, a 200, b CANCEL");
}

// §10.3 step 5, §19.1.4: not for others, and not for no user.
#[test]
fn a_registrar_registers_for_its_own_domains_only() {
    let mut site = Site::new();
    for aor in ["sip:bob@other.test", "sip:example.test"] {
        assert_eq!(
            start_line(&site.ask('b', &registration('b', aor, "<sip:b@192.0.2.11>", 1))),
            "SIP/2.0 404 Not Found"
        );
    }
    let no_sip = site.ask('b', &registration('b', "tel:+15551234", "<sip:b@192.0.2.11>", 1));
    assert_eq!(start_line(&no_sip), "SIP/2.0 400 To Is No SIP Address");
    let refused = site.ask('b', &with(&bob(1), "Require: path, gruu, x"));
    assert_eq!(
        (start_line(&refused), lines(&refused, "Unsupported")),
        ("SIP/2.0 420 Bad Extension", vec!["x"])
    );
}

#[test]
fn registering_by_an_alias_is_registering_the_user() {
    let mut site = Site::new();
    site.ask(
        'a',
        &registration('a', "sip:1001@example.test", "<sip:alice@192.0.2.10:5060>", 1),
    );
    site.send('b', &request('b', "MESSAGE", "sip:alice@example.test", 1));
    assert_eq!(site.log(), "a MESSAGE");
}

// §22.2: no credentials, a challenge; right ones, the binding.
#[test]
fn a_challenge_is_answered_and_the_binding_made() {
    let mut site = digest();
    let challenge = site.ask('b', &bob(1));
    assert_eq!(start_line(&challenge), "SIP/2.0 401 Unauthorized");
    assert!(lines(&challenge, "WWW-Authenticate")[0].contains("realm=\"example.test\""));
    assert!(!challenge.contains("stale"));
    let ok = site.ask('b', &authorize(&bob(2), &challenge, "bob", 1));
    assert_eq!(start_line(&ok), "SIP/2.0 200 OK");
    let again = site.ask('b', &authorize(&bob(3), &challenge, "bob", 2));
    assert_eq!(
        start_line(&again),
        "SIP/2.0 200 OK",
        "a nonce serves more than one request"
    );
    site.assert_ends();
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_challenged_alike() {
    let mut site = digest();
    let challenge = site.ask('b', &bob(1));
    let wrong = authorize(&bob(2), &challenge, "bob", 1);
    let at = wrong.find("response=\"").expect("a response") + 10;
    let digit = if &wrong[at..=at] == "0" { "1" } else { "0" };
    let wrong = format!("{}{digit}{}", &wrong[..at], &wrong[at + 1..]);
    for text in [wrong, authorize(&bob(3), &challenge, "mallory", 1)] {
        let refused = site.ask('b', &text);
        assert_eq!(start_line(&refused), "SIP/2.0 401 Unauthorized");
        assert!(!refused.contains("stale"));
    }
}

// §22.4: right credentials with a used count are stale, not wrong.
#[test]
fn a_count_that_was_used_is_stale() {
    let mut site = digest();
    let challenge = site.ask('b', &bob(1));
    site.ask('b', &authorize(&bob(2), &challenge, "bob", 1));
    let replayed = site.ask('b', &authorize(&bob(3), &challenge, "bob", 1));
    assert_eq!(start_line(&replayed), "SIP/2.0 401 Unauthorized");
    assert!(lines(&replayed, "WWW-Authenticate")[0].contains("stale=true"));
    site.pass(400_000);
    let old = site.ask('b', &authorize(&bob(4), &challenge, "bob", 2));
    assert!(
        lines(&old, "WWW-Authenticate")[0].contains("stale=true"),
        "§22.4: its time is over"
    );
}

// A retransmission has used its count; it is known for what it is, and gets its 200 again.
#[test]
fn a_register_that_comes_again_gets_its_200_again() {
    let mut site = digest();
    let challenge = site.ask('b', &bob(1));
    let text = authorize(&bob(2), &challenge, "bob", 1);
    let ok = site.ask('b', &text);
    assert_eq!(start_line(&ok), "SIP/2.0 200 OK");
    site.pass(500);
    assert_eq!(start_line(&site.ask('b', &text)), "SIP/2.0 200 OK");
    let gone = registration('b', "sip:bob@example.test", "*", 3).replace("Expires: 600", "Expires: 0");
    let gone = authorize(&gone, &challenge, "bob", 2);
    assert_eq!(start_line(&site.ask('b', &gone)), "SIP/2.0 200 OK");
    assert_eq!(start_line(&site.ask('b', &gone)), "SIP/2.0 200 OK");
    assert!(
        !site.ask('b', &text).contains("Contact:"),
        "the first one does not bring its binding back"
    );
}

// What a refresh is told is read while it is made; what its retransmission is told, from the record.
#[test]
fn a_refresh_and_its_retransmission_get_the_same_200() {
    let mut site = Site::of(Plan {
        challenged: &[],
        ..Plan::default()
    });
    for contact in [
        "<sip:bob@192.0.2.11:5060>",
        "\"B\" <sip:bob@192.0.2.11:5060>;ob;q=0.5;expires=300",
    ] {
        let of = |n| registration('b', "sip:bob@example.test", contact, n);
        let first = site.ask('b', &of(1));
        let refreshed = site.ask('b', &of(2));
        assert_eq!(lines(&first, "Contact"), lines(&refreshed, "Contact"));
        assert_eq!(site.ask('b', &of(2)), refreshed);
        site.pass(700_000);
    }
}

// RFC 7616 §5.5: overheard credentials are worth nothing, also to those who only want to know where somebody is.
#[test]
fn credentials_that_were_used_tell_no_bindings() {
    let mut site = digest();
    let challenge = site.ask('b', &bob(1));
    let bound = authorize(&bob(2), &challenge, "bob", 1);
    assert!(site.ask('b', &bound).contains("Contact:"));
    let fetch = |text: &str| without(&without(text, "Contact"), "Expires");
    let others = bob(2).replace("192.0.2.11:5060>", "192.0.2.15>;expires=0");
    for (what, replayed) in [
        ("a query", authorize(&fetch(&bob(3)), &challenge, "bob", 1)),
        ("a query that looks like what was answered", fetch(&bound)),
        ("the very request that was answered", bound.clone()),
        (
            "the request that was answered, for another contact",
            bound.replace("192.0.2.11:5060>", "192.0.2.15>"),
        ),
        (
            "a removal of nothing",
            authorize(&others.replace("z9hG4bKr2", "z9hG4bKr3"), &challenge, "bob", 1),
        ),
    ] {
        let refused = site.ask('f', &replayed);
        assert_eq!(start_line(&refused), "SIP/2.0 401 Unauthorized", "{what}");
        assert!(refused.contains("stale=true"), "{what}");
        assert!(!refused.contains("Contact:"), "{what}: {refused}");
    }
    let own = authorize(&fetch(&bob(3)), &challenge, "bob", 2);
    assert!(
        site.ask('b', &own).contains("Contact:"),
        "a count of its own does"
    );
}

// RFC 7616 §5.5: nor do they bind anything, when what they had bound is over.
#[test]
fn credentials_that_were_used_bind_nothing_once_their_binding_has_ended() {
    let mut site = digest();
    let challenge = site.ask('b', &bob(1));
    let brief = |cseq| bob(cseq).replace("Expires: 600", "Expires: 60");
    let bound = authorize(&brief(2), &challenge, "bob", 1);
    assert!(site.ask('b', &bound).contains("Contact:"));
    site.pass(61_000);
    let elsewhere = bound.replace("192.0.2.11:5060>", "192.0.2.15>");
    for replayed in [&bound, &elsewhere] {
        let refused = site.ask('f', replayed);
        assert_eq!(start_line(&refused), "SIP/2.0 401 Unauthorized");
        assert!(refused.contains("stale=true"));
    }
    let next = authorize(&brief(3), &challenge, "bob", 2);
    assert!(site.ask('b', &next).contains("Contact:"));
    let gone = registration('b', "sip:bob@example.test", "*", 4).replace("Expires: 600", "Expires: 0");
    let gone = authorize(&gone, &challenge, "bob", 3);
    assert_eq!(start_line(&site.ask('b', &gone)), "SIP/2.0 200 OK");
    site.pass(33_000);
    assert_eq!(start_line(&site.ask('f', &next)), "SIP/2.0 401 Unauthorized");
}

/// The message without its lines of a header field.
fn without(text: &str, name: &str) -> String {
    let is_kept = |line: &&str| !line.starts_with(&format!("{name}:"));
    text.split_inclusive("\r\n").filter(is_kept).collect()
}

// Credentials must own the address they speak for.
#[test]
fn credentials_of_somebody_else_are_forbidden() {
    let mut site = digest();
    let text = registration('b', "sip:alice@example.test", "<sip:bob@192.0.2.11:5060>", 1);
    let challenge = site.ask('b', &text);
    assert_eq!(
        start_line(&site.ask('b', &authorize(&text, &challenge, "bob", 1))),
        "SIP/2.0 403 Forbidden"
    );
    let invite = request('a', "INVITE", "sip:bob@example.test", 2);
    let challenge = site.ask('a', &invite);
    assert_eq!(
        start_line(&challenge),
        "SIP/2.0 407 Proxy Authentication Required"
    );
    assert_eq!(
        start_line(&site.ask('a', &authorize(&invite, &challenge, "bob", 1))),
        "SIP/2.0 403 Forbidden"
    );
    let alias = registration('a', "sip:1001@example.test", "<sip:alice@192.0.2.10:5060>", 3);
    let challenge = site.ask('a', &alias);
    assert_eq!(
        start_line(&site.ask('a', &authorize(&alias, &challenge, "alice", 1))),
        "SIP/2.0 200 OK"
    );
}

// RFC 8760 §2.3: one challenge for each algorithm, in the order of preference.
#[test]
fn algorithms_are_offered_in_their_order_and_each_is_taken() {
    let order = vec![Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5];
    for chosen in 0..3 {
        let mut site = Site::of(Plan {
            challenged: DIGEST,
            algorithms: order.clone(),
            ..Plan::default()
        });
        let challenge = site.ask('b', &bob(1));
        let offered = lines(&challenge, "WWW-Authenticate");
        let names: Vec<_> = offered
            .iter()
            .filter_map(|line| line.split("algorithm=").nth(1)?.split(',').next())
            .collect();
        assert_eq!(names, ["SHA-256", "SHA-512-256", "MD5"]);
        let one = format!("WWW-Authenticate: {}\r\n\r\n", offered[chosen]);
        assert_eq!(
            start_line(&site.ask('b', &authorize(&bob(2), &one, "bob", 1))),
            "SIP/2.0 200 OK"
        );
    }
}

// Commit, publish, answer, in this order.
#[test]
fn a_register_is_answered_when_it_is_stored_and_not_before() {
    let mut site = slow();
    site.send('b', &bob(1));
    assert_eq!((site.log().as_str(), site.commits()), ("", 1));
    assert_eq!(
        start_line(&site.ask('a', &request('a', "MESSAGE", "sip:bob@example.test", 1))),
        "SIP/2.0 480 Temporarily Unavailable"
    );
    site.commit();
    assert_eq!(site.log(), "b 200");
    assert_eq!(
        lines(site.last('b', "SIP/2.0 200"), "Contact"),
        ["<sip:bob@192.0.2.11:5060>;expires=600"]
    );
    site.send('a', &request('a', "MESSAGE", "sip:bob@example.test", 2));
    assert_eq!(site.log(), "b MESSAGE");
    site.assert_ends();
}

#[test]
fn what_is_answered_after_a_commit_is_what_would_be_answered_without_one() {
    let (mut site, mut other) = (slow(), Site::new());
    for n in 1..=2 {
        let expected = other.ask('b', &bob(n));
        site.send('b', &bob(n));
        site.commit();
        assert_eq!(site.last('b', "SIP/2.0 200"), expected, "REGISTER {n}");
    }
    site.send('b', &bob(3));
    site.pass(3_000);
    site.commit();
    let late = site.last('b', "SIP/2.0 200");
    assert_eq!(lines(late, "CSeq"), ["3 REGISTER"]);
    assert_eq!(lines(late, "Contact"), ["<sip:bob@192.0.2.11:5060>;expires=597"]);
    site.assert_ends();
}

// §10.3: all or nothing, also when two come at once.
#[test]
fn two_registers_at_once_both_count() {
    let mut site = slow();
    site.send('b', &bob(1));
    site.send(
        'c',
        &registration('c', "sip:bob@example.test", "<sip:bob@192.0.2.12:5060>", 1),
    );
    site.commit();
    assert_eq!(site.log(), "b 200");
    site.commit();
    assert_eq!(
        (site.log().as_str(), site.commits()),
        ("", 1),
        "the second saw an older record and runs again"
    );
    site.commit();
    assert_eq!(site.log(), "c 200");
    assert_eq!(lines(site.last('c', "SIP/2.0 200"), "Contact").len(), 2);
    site.assert_ends();
}

#[test]
fn a_record_that_keeps_changing_is_given_up_after_three_attempts() {
    let mut site = slow();
    site.send('b', &bob(1));
    for _ in 0..3 {
        site.fail_commit(CommitError::Conflict);
    }
    assert_eq!((site.log().as_str(), site.commits()), ("b 500", 0));
    site.assert_ends();
}

#[test]
fn a_store_that_fails_is_answered_with_503() {
    let mut site = slow();
    site.send('b', &bob(1));
    site.fail_commit(CommitError::Failed(StoreFailure::Full));
    assert_eq!(site.log(), "b 503");
    assert_eq!(lines(site.last('b', "SIP/2.0 503"), "Retry-After"), ["5"]);
    site.assert_ends();
}

// A retransmission that comes while the commit is under way is no replay.
#[test]
fn a_register_that_comes_again_while_it_is_stored_is_answered_once_and_well() {
    let mut site = Site::of(Plan {
        challenged: DIGEST,
        slow_store: true,
        ..Plan::default()
    });
    let challenge = site.ask('b', &bob(1));
    let text = authorize(&bob(2), &challenge, "bob", 1);
    site.send('b', &text);
    site.pass(500);
    site.send('b', &text);
    assert_eq!(site.commits(), 1);
    site.commit();
    assert_eq!(site.log(), "b 200");
    let replay = authorize(&bob(3), &challenge, "bob", 1);
    assert!(site.ask('b', &replay).contains("stale=true"));
    site.assert_ends();
}

// A count of a nonce tells which of many it is (RFC 7616 §3.4).
#[test]
fn each_of_many_that_are_stored_is_known_when_it_comes_again() {
    let mut site = Site::of(Plan {
        challenged: DIGEST,
        slow_store: true,
        ..Plan::default()
    });
    let challenge = site.ask('b', &bob(1));
    let texts: Vec<_> = (1..=40)
        .map(|n| authorize(&bob(n + 1), &challenge, "bob", n))
        .collect();
    for text in &texts {
        site.send('b', text);
    }
    let stored = site.commits();
    for text in &texts {
        site.send('b', text);
    }
    assert_eq!((site.commits(), &*site.log()), (stored, ""), "all wait");
    // The same count in another request is a replay.
    let replay = authorize(&bob(60), &challenge, "bob", 7);
    assert!(site.ask('b', &replay).contains("stale=true"));
}

const SERVICE_ROUTE: &str = "Service-Route: <sip:p1.example.test;lr>, <sip:p2.example.test;lr>\r\n";

// RFC 3608 §6.1, §6.3: each 200 to a REGISTER tells the way that the phone's requests are to take, as it is configured, and
// nothing else does.
#[test]
fn each_200_to_a_register_tells_the_service_route() {
    let route = ["<sip:p1.example.test;lr>, <sip:p2.example.test;lr>"];
    for slow_store in [false, true] {
        let mut site = Site::of(Plan {
            service_route: SERVICE_ROUTE,
            slow_store,
            ..Plan::default()
        });
        let contact = "<sip:bob@192.0.2.11:5060>";
        let asked = [
            bob(1),
            bob(1),
            bob(2),
            registration('b', "sip:bob@example.test", "", 3).replace("Contact: \r\n", ""),
            registration('b', "sip:bob@example.test", &format!("{contact};expires=0"), 4),
        ];
        for text in asked {
            site.send('b', &text);
            if slow_store && site.commits() > 0 {
                site.commit();
            }
            assert_eq!(site.log(), "b 200", "{text}");
            assert_eq!(lines(site.last('b', "SIP/2.0"), "Service-Route"), route, "{text}");
        }
        for refused in [
            bob(5).replace("Expires: 600", "Expires: 1"),
            bob(6).replace("bob@example.test", "bob@far.test"),
            request('b', "OPTIONS", "sip:example.test", 7),
        ] {
            let answer = site.ask('b', &refused);
            assert_eq!(lines(&answer, "Service-Route"), [] as [&str; 0], "{answer}");
        }
    }
    let ok = Site::new().ask('b', &bob(1));
    assert_eq!(lines(&ok, "Service-Route"), [] as [&str; 0]);
}

#[test]
fn a_binding_whose_answer_fits_into_no_datagram_is_refused_and_not_made() {
    let mut site = Site::new();
    let aor = format!("sip:{}@example.test", "%25".repeat(1000));
    let register = |n: u32| {
        let (pad, id) = ("x".repeat(2500), "X".repeat(250));
        let contact = format!("<sip:{n}{pad}@192.0.2.11>;+sip.instance=\"<{id}{n:04}>\"");
        with(&registration('b', &aor, &contact, n), "Supported: gruu")
    };
    let mut made = 0;
    let refused = loop {
        let answer = site.ask('b', &register(made + 1));
        if start_line(&answer) != "SIP/2.0 200 OK" {
            break answer;
        }
        made += 1;
        assert_eq!(lines(&answer, "Contact").len(), made as usize);
    };
    assert_eq!(start_line(&refused), "SIP/2.0 513 Answer Too Large For UDP");
    assert!((5..10).contains(&made), "{made}");
    let fetch = registration('b', &aor, "x", 20).replace("Contact: x\r\nExpires: 600\r\n", "");
    assert_eq!(lines(&site.ask('b', &fetch), "Contact").len(), made as usize);
    let fetch = with(&fetch, "Supported: gruu").replace("CSeq: 20", "CSeq: 21");
    assert_eq!(start_line(&site.ask('b', &fetch)), "SIP/2.0 200 OK");
    site.assert_ends();
}
