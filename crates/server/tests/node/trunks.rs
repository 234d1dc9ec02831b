//! Trunks in a whole node: registrations with a provider, which is peer `d`, and calls to it and from it.

use std::sync::Arc;

use strowger_server::config;
use strowger_server::routing::Routes;
use strowger_testkit::message::{ack, authorize, in_dialog, lines, request, start_line, with};
use strowger_testkit::reload::Next;
use strowger_testkit::{Plan, Site};

const REGISTER: &str = "[[register]]\nname = \"provider\"\naor = \"sip:4711@provider.example\"\n\
    registrar = \"sip:192.0.2.13\"\npassword = \"hunter2\"\n";
const CONTACT: &str = "Contact: <sip:4711@192.0.2.1:5060>;expires=3600";
const CHALLENGE: &str =
    "Proxy-Authenticate: Digest realm=\"provider\", nonce=\"one\", algorithm=SHA-256, qop=\"auth\"";

/// A site of whose users `a` may relay, where digest is on.
fn site(routing: &'static str) -> Site {
    Site::of(Plan {
        routing,
        challenged: &["REGISTER", "INVITE"],
        trusted: &["192.0.2.10"],
        ..Plan::default()
    })
}

/// The same, registered with the provider.
fn registered(routing: &'static str) -> Site {
    let mut site = site(routing);
    site.pass(1);
    let ok = site.response('d', 200, CONTACT);
    site.send('d', &ok);
    assert_eq!(site.log(), "d REGISTER");
    site
}

fn to_contact(n: u32) -> String {
    request('d', "INVITE", "sip:4711@192.0.2.1:5060", n)
}

/// RFC 3261 §10.2, §22.2: a node with a trunk registers itself as soon as it starts, on one shard of however many there are,
/// and tells what becomes of that.
#[test]
fn a_node_registers_itself_at_its_start() {
    for shards in [1, 2, 3] {
        let mut site = Site::of(Plan {
            shards,
            routing: REGISTER,
            ..Plan::default()
        });
        site.pass(1);
        assert_eq!(site.log(), "d REGISTER");
        let first = site.last('d', "REGISTER").to_owned();
        assert_eq!(start_line(&first), "REGISTER sip:192.0.2.13 SIP/2.0");
        assert_eq!(lines(&first, "To"), ["<sip:4711@provider.example>"]);
        let challenge = site.response('d', 401, &CHALLENGE.replace("Proxy", "WWW"));
        site.send('d', &challenge);
        let second = site.last('d', "REGISTER").to_owned();
        assert!(
            lines(&second, "Authorization")[0].contains("nc=00000001"),
            "{second}"
        );
        assert_eq!(lines(&first, "Call-ID"), lines(&second, "Call-ID"));
        let ok = site.response('d', 200, CONTACT);
        site.send('d', &ok);
        assert_eq!(
            site.journal(),
            [
                "INFO trunk registered trunk=provider aor=sip:4711@provider.example address=192.0.2.13:5060 expires=3600"
            ]
        );
        site.log();
        // It is refreshed 600 s before its end, or up to a tenth sooner.
        site.pass(2_690_000);
        assert_eq!(site.log(), "");
        while site.log().is_empty() {
            site.pass(100);
        }
        let refresh = site.last('d', "REGISTER").to_owned();
        assert!(
            lines(&refresh, "Authorization")[0].contains("nc=00000002"),
            "{refresh}"
        );
    }
}

/// A silent registrar is asked again as long as there is a node; the log tells once that it is silent.
#[test]
fn a_silent_registrar_is_asked_again() {
    let mut site = site(REGISTER);
    site.pass(1);
    site.log();
    site.pass(600_000);
    let asked = site.log().matches("d REGISTER").count();
    assert!((3..60).contains(&asked), "{asked}");
    let told = site.journal();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("INFO trunk not registered") && told[0].ends_with("why=no%20answer"),
        "{told:?}"
    );
}

/// RFC 3261 §10.2.2: what is removed from the configuration is removed at the registrar; what comes back registers again; what
/// stays stays.
#[test]
fn a_reload_adds_and_removes_registrations() {
    let mut site = registered(REGISTER);
    site.reload(&Next::default());
    assert_eq!(site.log(), "", "nothing has changed");
    site.reload(&Next {
        policy: |policy| policy.routes = Arc::new(Routes::default()),
        ..Next::default()
    });
    assert_eq!(site.log(), "d REGISTER");
    let removal = site.last('d', "REGISTER").to_owned();
    assert_eq!(
        lines(&removal, "Contact"),
        ["<sip:4711@192.0.2.1:5060>;expires=0"]
    );
    let number = |text: &str| -> u32 {
        let cseq = lines(text, "CSeq")[0];
        cseq.split(' ')
            .next()
            .unwrap_or_default()
            .parse()
            .expect("a number")
    };
    site.answer('d', 200);
    site.assert_ends();
    site.reload(&Next {
        policy: |policy| {
            let config = config::check(REGISTER, "next").expect("a configuration");
            policy.routes = Arc::new(Routes::new(&config));
        },
        ..Next::default()
    });
    site.pass(1);
    let again = site.last('d', "REGISTER").to_owned();
    assert_eq!(
        lines(&again, "Contact"),
        ["<sip:4711@192.0.2.1:5060>;expires=3600"]
    );
    assert!(
        number(&again) > number(&removal),
        "a registrar that remembers takes it"
    );
}

/// RFC 3261 §22.3, §16.7: the provider's challenge to a call is answered by the node, with the same CSeq and another branch; the
/// caller hears of none of it.
#[test]
fn a_challenge_to_a_call_is_answered_with_the_trunks_account() {
    const OUT: &str = "[[route]]\nwhen.prefix = [\"0\"]\nto = \"provider\"\n";
    let routing: &'static str = Box::leak((OUT.to_owned() + REGISTER).into_boxed_str());
    let mut site = registered(routing);
    let invite = with(
        &request('a', "INVITE", "sip:0301234@example.test", 1),
        "Contact: <sip:alice@192.0.2.10>",
    );
    site.send('a', &invite);
    assert_eq!(site.log(), "a 100, d INVITE");
    let first = site.last('d', "INVITE").to_owned();
    assert_eq!(start_line(&first), "INVITE sip:0301234@192.0.2.13 SIP/2.0");
    assert!(lines(&first, "Proxy-Authorization").is_empty());
    let challenge = site.response('d', 407, CHALLENGE);
    site.send('d', &challenge);
    assert_eq!(site.log(), "d ACK, d INVITE");
    let second = site.last('d', "INVITE").to_owned();
    let credentials = lines(&second, "Proxy-Authorization")[0];
    assert!(
        credentials.contains("username=\"4711\"") && credentials.contains("uri=\"sip:0301234@192.0.2.13\""),
        "{credentials}"
    );
    for same in [
        "CSeq",
        "Call-ID",
        "From",
        "To",
        "Contact",
        "Record-Route",
        "Max-Forwards",
    ] {
        assert_eq!(lines(&first, same), lines(&second, same));
    }
    assert_ne!(lines(&first, "Via")[0], lines(&second, "Via")[0]);
    site.send('d', &challenge);
    assert_eq!(site.log(), "d ACK", "a challenge that comes again");
    site.answer('d', 180);
    let ok = site.response('d', 200, "Contact: <sip:gw@192.0.2.13>");
    site.send('d', &ok);
    assert_eq!(site.log(), "a 180, a 200");
    let ok = site.last('a', "SIP/2.0 200").to_owned();
    site.send('a', &in_dialog("ACK", &ok, 1));
    site.log();
    site.send('a', &in_dialog("BYE", &ok, 1));
    site.log();
}

/// RFC 3261 §22.2: a provider that refuses our answer is given it once; its challenge is not passed on, for the caller has no
/// account there.
#[test]
fn a_provider_that_refuses_our_account_is_no_question_to_the_caller() {
    const OUT: &str = "[[route]]\nwhen.prefix = [\"0\"]\nto = \"provider\"\n";
    let routing: &'static str = Box::leak((OUT.to_owned() + REGISTER).into_boxed_str());
    for (second, answers) in [
        (CHALLENGE.to_owned(), 1),
        (CHALLENGE.to_owned() + ", stale=true", 3),
    ] {
        let mut site = registered(routing);
        let invite = request('a', "INVITE", "sip:0301234@example.test", 1);
        site.send('a', &invite);
        let challenge = site.response('d', 407, CHALLENGE);
        site.send('d', &challenge);
        site.log();
        for _ in 0..answers {
            let challenge = site.response('d', 401, &second.replace("Proxy-", "WWW-"));
            site.send('d', &challenge);
        }
        let refused = site.last('a', "SIP/2.0 500").to_owned();
        assert!(!refused.contains("Authenticate"), "{refused}");
        site.send('a', &ack(&invite, &refused));
        let told = site.journal();
        let expected = usize::from(answers == 1);
        let count = told
            .iter()
            .filter(|line| line.contains("trunk refuses a call"))
            .count();
        assert_eq!(count, expected, "{told:?}");
    }
}

/// A challenge to what does not go out by a trunk is the caller's, as ever (RFC 3261 §16.7 step 7).
#[test]
fn other_challenges_are_passed_on() {
    const OUT: &str = "[[route]]\nwhen.prefix = [\"0\"]\nto = \"sip:192.0.2.13\"\n";
    let routing: &'static str = Box::leak((OUT.to_owned() + REGISTER).into_boxed_str());
    let mut site = registered(routing);
    site.send('a', &request('a', "INVITE", "sip:0301234@example.test", 1));
    let challenge = site.response('d', 407, CHALLENGE);
    site.send('d', &challenge);
    assert_eq!(site.log(), "a 100, d INVITE, d ACK, a 407");
}

/// RFC 3608 §6.1: requests go out by the Service-Route that the registrar has told.
#[test]
fn a_service_route_is_followed() {
    const OUT: &str = "[[route]]\nwhen.prefix = [\"0\"]\nto = \"provider\"\n";
    let routing: &'static str = Box::leak((OUT.to_owned() + REGISTER).into_boxed_str());
    let mut site = site(routing);
    site.pass(1);
    let ok = site.response(
        'd',
        200,
        &format!("{CONTACT}\r\nService-Route: <sip:192.0.2.14;lr>"),
    );
    site.send('d', &ok);
    site.log();
    site.send('a', &request('a', "INVITE", "sip:0301234@example.test", 1));
    assert_eq!(site.log(), "a 100, e INVITE");
    assert_eq!(lines(site.last('e', "INVITE"), "Route"), ["<sip:192.0.2.14;lr>"]);
}

/// RFC 3608 §6.1: a Service-Route is forgotten when the registrar refuses to go on, and when the registration has expired.
#[test]
fn a_service_route_is_forgotten() {
    const OUT: &str = "[[route]]\nwhen.prefix = [\"0\"]\nto = \"provider\"\n";
    let routing: &'static str = Box::leak((OUT.to_owned() + REGISTER).into_boxed_str());
    for is_refused in [true, false] {
        let mut site = site(routing);
        site.pass(1);
        let route = format!("{CONTACT}\r\nService-Route: <sip:192.0.2.14;lr>");
        let ok = site.response('d', 200, &route);
        site.send('d', &ok);
        site.log();
        if is_refused {
            while !site.log().contains("d REGISTER") {
                site.pass(10_000);
            }
            let refusal = site.response('d', 403, "");
            site.send('d', &refusal);
        } else {
            site.pass(3_700_000);
        }
        site.log();
        site.send('a', &request('a', "INVITE", "sip:0301234@example.test", 1));
        let log = site.log();
        assert!(!log.contains("e INVITE"), "{is_refused}: {log}");
    }
}

/// A provider need not authenticate only where that is said, and even then gets nowhere but to where its calls go.
#[test]
fn a_trusted_provider_calls_us_and_nobody_else() {
    const TRUSTED: &str = "trusted = true\nto = [\"sip:bob@example.test\"]\n";
    let routing: &'static str = Box::leak((REGISTER.to_owned() + TRUSTED).into_boxed_str());
    let mut site = site(routing);
    site.send('d', &to_contact(1));
    assert!(
        site.log().contains("d 407"),
        "before it has answered, it is a stranger"
    );
    site.pass(1);
    let ok = site.response('d', 200, CONTACT);
    site.send('d', &ok);
    register_bob(&mut site);
    site.log();
    site.send('d', &to_contact(2));
    assert_eq!(site.log(), "d 100, b INVITE");
    let rung = site.last('b', "INVITE").to_owned();
    assert_eq!(start_line(&rung), "INVITE sip:bob@192.0.2.11:5060 SIP/2.0");
    assert_eq!(
        lines(&rung, "Record-Route").len(),
        1,
        "its BYE will come through here"
    );
    site.answer('b', 486);
    site.log();
    site.send('d', &request('d', "INVITE", "sip:x@198.51.100.1", 3));
    assert!(site.log().contains("d 407"), "it may not relay");
    site.send('d', &request('d', "INVITE", "sip:carol@example.test", 6));
    assert!(site.log().contains("d 407"), "nor call others");
    let register = request('d', "REGISTER", "sip:example.test", 4)
        .replace("To: <sip:example.test>", "To: <sip:bob@example.test>");
    assert!(
        site.ask('d', &with(&register, "Contact: <sip:x@192.0.2.13>"))
            .starts_with("SIP/2.0 401")
    );
    site.send('e', &request('e', "INVITE", "sip:4711@192.0.2.1:5060", 5));
    assert!(site.log().contains("e 407"), "a stranger is one");
}

/// Who was a provider is a stranger again when the registration has ended.
#[test]
fn a_provider_is_trusted_as_long_as_it_is_registered_with() {
    const TRUSTED: &str = "trusted = true\nto = [\"sip:bob@example.test\"]\n";
    let routing: &'static str = Box::leak((REGISTER.to_owned() + TRUSTED).into_boxed_str());
    let mut site = registered(routing);
    register_bob(&mut site);
    site.pass(3_500_000);
    site.log();
    site.send('d', &to_contact(2));
    assert_eq!(site.log(), "d 100, b INVITE");
    site.answer('b', 486);
    site.pass(100_000);
    site.log();
    site.send('d', &to_contact(3));
    assert!(site.log().contains("d 407"));
}

/// Registers `b` although digest is on.
fn register_bob(site: &mut Site) {
    let text = request('b', "REGISTER", "sip:example.test", 90)
        .replace("To: <sip:example.test>", "To: <sip:bob@example.test>");
    let text = with(&text, "Contact: <sip:bob@192.0.2.11:5060>\r\nExpires: 3600");
    let challenge = site.ask('b', &text);
    let answer = authorize(&text, &challenge, "bob", 1);
    assert!(site.ask('b', &answer).starts_with("SIP/2.0 200"));
}

/// Without `to`, calls from a provider go where the routes say, and else to the user of the contact's name.
#[test]
fn calls_from_a_provider_follow_the_routes_and_then_the_users_name() {
    const TRUSTED: &str = "contact_user = \"bob\"\ntrusted = true\n";
    const ROUTE: &str = "[[route]]\nwhen.source = [\"192.0.2.13\"]\nreply = 480\n";
    for (route, expected) in [("", "d 100, b INVITE"), (ROUTE, "d 480")] {
        let routing = REGISTER.to_owned() + TRUSTED + &route.replace("480", "\"480\"");
        let routing: &'static str = Box::leak(routing.into_boxed_str());
        let mut site = site(routing);
        site.pass(1);
        let ok = site.response('d', 200, &CONTACT.replace("4711", "bob"));
        site.send('d', &ok);
        register_bob(&mut site);
        site.log();
        site.send('d', &request('d', "INVITE", "sip:bob@192.0.2.1:5060", 2));
        assert_eq!(site.log(), expected, "{route}");
    }
}

/// Nothing that peers or administrators see has the password.
#[test]
fn the_password_is_in_no_log() {
    let mut site = registered(REGISTER);
    let shown = format!("{:?} {:?}", site.journal(), config::check(REGISTER, "f"));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!site.last('d', "REGISTER").contains("hunter2"));
}
