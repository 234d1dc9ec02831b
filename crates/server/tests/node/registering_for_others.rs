//! REGISTERs of visitors, of third parties, by other names of a domain, and with a Route past it.

use strowger_testkit::message::{authorize, lines, registration, request, start_line, with};
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

fn site(challenged: &'static [&'static str], routing: &'static str) -> Site {
    Site::of(Plan {
        challenged,
        routing,
        domains: &["other.test"],
        ..Plan::default()
    })
}

fn register(who: char, aor: &str, n: u32) -> String {
    registration(who, aor, &format!("<sip:x@{}>", address(who)), n)
}

/// The answer to a REGISTER with the credentials of a user.
fn with_credentials(site: &mut Site, who: char, text: &str, user: &str) -> String {
    let challenge = site.ask(who, text);
    assert_eq!(start_line(&challenge), "SIP/2.0 401 Unauthorized");
    start_line(&site.ask(who, &authorize(text, &challenge, user, 1))).to_owned()
}

const VISITORS: &str = "[location]\nvisitors = [\"192.0.2.10/31\"]\n";

// RFC 3261 §10.3 step 5.
#[test]
fn an_address_of_another_domain_is_not_found_unless_visitors_are_let_in() {
    for (who, routing) in [('a', ""), ('d', VISITORS)] {
        let answer = site(&[], routing).ask(who, &register(who, "sip:zoe@far.test", 1));
        assert_eq!(start_line(&answer), "SIP/2.0 404 Not Found");
    }
}

#[test]
fn a_visitor_is_called_by_an_address_of_the_visited_domain() {
    let mut site = site(&["REGISTER", "INVITE"], VISITORS);
    let visitor = register('a', "sip:zoe@far.test", 1);
    // Nobody here knows a password of far.test.
    assert_eq!(start_line(&site.ask('a', &visitor)), "SIP/2.0 200 OK");
    let invite = request('b', "INVITE", "sip:zoe%40far.test@example.test", 2);
    let challenge = site.ask('b', &invite);
    site.send('b', &authorize(&invite, &challenge, "bob", 1));
    assert_eq!(site.log(), "b 100, a INVITE");
    // §16.5: under its own name it is for its own domain to find.
    let invite = request('b', "INVITE", "sip:zoe@far.test", 3);
    let challenge = site.ask('b', &invite);
    site.send('b', &authorize(&invite, &challenge, "bob", 1));
    assert_eq!(site.resolve(&[address('f').ip()]), "far.test");
    assert!(site.log().ends_with("f INVITE"));
}

#[test]
fn visitors_are_bounded_in_number() {
    let two = "[location]\nvisitors = [\"192.0.2.10/31\"]\nmax_visitors = 2\n";
    let mut site = site(&["REGISTER"], two);
    let register = |who, name: &str, n| register(who, &format!("sip:{name}@far.test"), n);
    for (name, n) in [("zoe", 1), ("yan", 2), ("zoe", 3)] {
        assert_eq!(
            start_line(&site.ask('a', &register('a', name, n))),
            "SIP/2.0 200 OK"
        );
    }
    let refused = site.ask('a', &register('a', "xia", 4));
    assert_eq!(start_line(&refused), "SIP/2.0 503 Too Many Visitors");
    assert_eq!(lines(&refused, "Retry-After"), ["60"]);
    // Who leaves makes room, and so does who is not heard of any more.
    let gone = register('a', "yan", 5).replace("Expires: 600", "Expires: 0");
    assert_eq!(start_line(&site.ask('a', &gone)), "SIP/2.0 200 OK");
    assert_eq!(
        start_line(&site.ask('b', &register('b', "xia", 6))),
        "SIP/2.0 200 OK"
    );
    site.pass(600_000);
    for (name, n) in [("wen", 7), ("vic", 8)] {
        assert_eq!(
            start_line(&site.ask('a', &register('a', name, n))),
            "SIP/2.0 200 OK"
        );
    }
}

#[test]
fn a_visitor_is_changed_only_from_where_it_has_registered() {
    let mut site = site(&["REGISTER"], VISITORS);
    let zoe = |who, n| register(who, "sip:zoe@far.test", n);
    site.ask('a', &zoe('a', 1));
    let all = zoe('b', 3)
        .replace("<sip:x@192.0.2.11:5060>", "*")
        .replace("Expires: 600", "Expires: 0");
    assert!(all.contains("Contact: *"), "{all}");
    for text in [zoe('b', 2), all] {
        assert_eq!(
            start_line(&site.ask('b', &text)),
            "SIP/2.0 403 Visitor Is Elsewhere"
        );
    }
    assert_eq!(start_line(&site.ask('a', &zoe('a', 4))), "SIP/2.0 200 OK");
    site.pass(600_000);
    assert_eq!(start_line(&site.ask('b', &zoe('b', 5))), "SIP/2.0 200 OK");
}

#[test]
fn users_of_ours_need_their_password_also_where_visitors_register() {
    let mut site = site(&["REGISTER"], VISITORS);
    let text = register('a', "sip:alice@example.test", 1);
    assert_eq!(start_line(&site.ask('a', &text)), "SIP/2.0 401 Unauthorized");
    // A visitor's address is nobody's of ours.
    let name = register('a', "sip:alice%40example.test@example.test", 2);
    assert_eq!(
        with_credentials(&mut site, 'a', &name, "alice"),
        "SIP/2.0 403 Forbidden"
    );
}

const THIRD_PARTIES: &str = "[location]\nthird_parties = { \"alice@example.test\" = [\"bob@example.test\"], \
                             \"carol@example.test\" = [\"*\"] }\n";

// RFC 3261 §10.3 step 4.
#[test]
fn who_may_register_for_others_does_so_with_a_password_of_its_own() {
    for (user, aor, status) in [
        ("alice", "sip:alice@example.test", "200 OK"),
        ("alice", "sip:bob@example.test", "200 OK"),
        // An alias of bob.
        ("alice", "sip:1002@example.test", "200 OK"),
        ("alice", "sip:carol@example.test", "403 Forbidden"),
        ("bob", "sip:alice@example.test", "403 Forbidden"),
        ("carol", "sip:alice@example.test", "200 OK"),
        ("carol", "sip:nobody@example.test", "200 OK"),
    ] {
        let mut site = site(&["REGISTER"], THIRD_PARTIES);
        let text = register('d', aor, 1).replacen("From: <sip:", "From: <sip:third-", 1);
        let answer = with_credentials(&mut site, 'd', &text, user);
        assert_eq!(answer, format!("SIP/2.0 {status}"), "{user} for {aor}");
    }
    let mut site = site(&["REGISTER", "INVITE"], THIRD_PARTIES);
    let text = register('d', "sip:1002@example.test", 1);
    with_credentials(&mut site, 'd', &text, "alice");
    let invite = request('c', "INVITE", "sip:bob@example.test", 2);
    let challenge = site.ask('c', &invite);
    site.send('c', &authorize(&invite, &challenge, "carol", 1));
    assert_eq!(site.log(), "c 100, d INVITE", "the alias is bob's");
}

#[test]
fn who_registers_for_others_does_not_call_in_their_name() {
    let mut site = site(&["INVITE"], THIRD_PARTIES);
    let invite = request('b', "INVITE", "sip:carol@example.test", 1);
    let challenge = site.ask('b', &invite);
    let answer = site.ask('b', &authorize(&invite, &challenge, "alice", 1));
    assert_eq!(start_line(&answer), "SIP/2.0 403 Forbidden");
}

const ALIASES: &str =
    "domain_aliases = { \"example.org\" = \"example.test\", \"Example.NET\" = \"example.test\" }\n";

// RFC 3261 §10.3 step 5: the canonical form is one, whatever the domain was called.
#[test]
fn a_user_is_the_same_by_every_name_of_the_domain() {
    for (registered, called) in [
        ("example.org", "example.test"),
        ("example.test", "example.org"),
        ("EXAMPLE.org", "example.net"),
    ] {
        let mut site = site(&["REGISTER", "INVITE"], ALIASES);
        let text = register('b', &format!("sip:bob@{registered}"), 1);
        let challenge = site.ask('b', &text);
        assert!(challenge.contains("realm=\"example.test\""), "{challenge}");
        assert_eq!(with_credentials(&mut site, 'b', &text, "bob"), "SIP/2.0 200 OK");
        let invite = request('a', "INVITE", &format!("sip:1002@{called}"), 2);
        let challenge = site.ask('a', &invite);
        site.send('a', &authorize(&invite, &challenge, "alice", 1));
        assert_eq!(site.log(), "a 100, b INVITE", "{registered} {called}");
    }
}

/// Bob's phone has registered by another name of the domain, with an instance: its public GRUU and its temporary one.
fn gruus(site: &mut Site, domain: &str, n: u32) -> [String; 2] {
    let contact = "<sip:bob@192.0.2.11:5060>;+sip.instance=\"<urn:uuid:1>\"";
    let text = registration('b', &format!("sip:bob@{domain}"), contact, n);
    let ok = site.ask('b', &with(&text, "Supported: gruu"));
    let contact = lines(&ok, "Contact")[0].to_owned();
    ["pub-gruu=\"", "temp-gruu=\""].map(|name| {
        let (_, behind) = contact.split_once(name).unwrap_or_else(|| panic!("{ok}"));
        behind.split('"').next().unwrap_or_default().to_owned()
    })
}

// RFC 5627 §3.1.1, §3.1.2: a public GRUU is of the address-of-record, by each name of its domain; a temporary one is as it was given.
#[test]
fn gruus_are_found_by_every_name_of_the_domain() {
    let mut site = site(&[], ALIASES);
    let mut n = 0;
    for registered in ["example.test", "example.org"] {
        let [public, temporary] = gruus(&mut site, registered, n + 1);
        let names: &[&str] = &["example.test", "example.org", "example.NET"];
        for (gruu, names) in [(public, names), (temporary, &names[..1])] {
            for called in names {
                n += 1;
                let uri = gruu.replace("@example.test", &format!("@{called}"));
                site.send('a', &request('a', "MESSAGE", &uri, n));
                assert_eq!(site.log(), "b MESSAGE", "{uri}");
                site.answer('b', 200);
                site.log();
            }
        }
    }
}

// RFC 3261 §22.1, §26.3.2.1: who speaks for an address by another name of the domain is asked in the one realm.
#[test]
fn a_call_in_the_name_of_another_domain_is_in_the_same_realm() {
    for (from, user, answer) in [
        ("alice@example.org", "alice", "a 480"),
        ("1001@example.net", "alice", "a 480"),
        ("alice@example.org", "bob", "a 403"),
    ] {
        let mut site = site(&["INVITE"], ALIASES);
        let invite = request('a', "INVITE", "sip:bob@example.test", 1)
            .replace("From: <sip:alice@example.test>", &format!("From: <sip:{from}>"));
        assert!(invite.contains(from));
        let challenge = site.ask('a', &invite);
        assert!(challenge.contains("realm=\"example.test\""), "{challenge}");
        site.send('a', &authorize(&invite, &challenge, user, 1));
        assert_eq!(site.log(), answer, "{from} as {user}");
    }
}

// RFC 3261 §10.3 step 5: what looks like another name of the domain is none.
#[test]
fn what_only_resembles_a_name_of_the_domain_is_somebody_elses() {
    for domain in ["example.org.test", "xexample.org", "org", "example", "example.or"] {
        let mut site = site(&[], ALIASES);
        let answer = site.ask('b', &register('b', &format!("sip:bob@{domain}"), 1));
        assert_eq!(start_line(&answer), "SIP/2.0 404 Not Found", "{domain}");
    }
}

// RFC 3261 §10.3 step 1.
#[test]
fn a_register_that_has_reached_its_domain_goes_no_further() {
    let mut site = Site::of(Plan {
        trusted: &["192.0.2.10/32"],
        ..Plan::default()
    });
    let route = "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.15;lr>\r\nCall-ID";
    let text = register('a', "sip:alice@example.test", 1).replacen("Call-ID", route, 1);
    assert_eq!(start_line(&site.ask('a', &text)), "SIP/2.0 200 OK");
    let far = register('a', "sip:alice@far.test", 2)
        .replacen("Call-ID", route, 1)
        .replacen("REGISTER sip:example.test ", "REGISTER sip:far.test ", 1);
    site.send('a', &far);
    assert_eq!(site.log(), "f REGISTER", "another domain's goes on");
}
