//! RFC 5630: SIPS URIs on a node without TLS. What is for one goes nowhere rather than in the clear.

use strowger_server::config::Mode;
use strowger_testkit::message::{in_dialog, lines, registration, request, routed, start_line, with};
use strowger_testkit::{Plan, Site};

const BOB: &str = "sip:bob@example.test";
const SECURE_BOB: &str = "sips:bob@example.test";
/// Where `a` is.
const TRUSTED: &[&str] = &["192.0.2.10/32"];
const NO_WAY: &str = "SIP/2.0 500 No Secure Way To Next Hop";

/// What a request is told that goes to nobody.
#[track_caller]
fn refused(site: &mut Site, text: &str) -> String {
    let told = site.ask('a', text);
    assert_eq!(site.log(), "", "{text}");
    start_line(&told).to_owned()
}

// RFC 5630 §5.3: a phone that has registered a SIP contact is not called by a SIPS URI; the caller is told so.
#[test]
fn nobody_is_called_in_the_clear_by_a_sips_uri() {
    for mode in [Mode::Stateful, Mode::Stateless] {
        let mut site = Site::of(Plan {
            mode,
            ..Plan::default()
        });
        site.register('b');
        for (n, method) in ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE"]
            .into_iter()
            .enumerate()
        {
            let text = request('a', method, SECURE_BOB, n as u32 + 1);
            let told = site.ask('a', &text);
            assert_eq!(start_line(&told), "SIP/2.0 480 Temporarily Unavailable");
            assert_eq!(lines(&told, "Warning"), ["380 strowger \"SIPS Not Allowed\""]);
        }
    }
}

// RFC 5630 §5.3: the same is said by whoever explains it.
#[test]
fn what_is_not_secure_is_explained() {
    let mut site = Site::new();
    site.register('b');
    let text = request('a', "INVITE", SECURE_BOB, 1);
    let explained = site.explain('a', text.as_bytes(), false, "");
    let steps: Vec<_> = explained.steps.iter().map(|step| step.line()).collect();
    assert!(
        steps.iter().any(|line| line.clause == "RFC 5630 §5.3"
            && line.text
                == "sip:bob@192.0.2.11:5060; left out: it is no SIPS URI, as the request is for one"),
        "{steps:#?}"
    );
    let line = explained.verdict.line;
    assert!(
        line.contains("480") && line.ends_with("nothing insecure may be used for a SIPS URI"),
        "{line}"
    );
}

// RFC 3261 §16.6 step 7, §26.2.2: whatever leads there is followed as a SIPS URI is.
#[test]
fn a_sips_uri_leads_over_no_insecure_hop() {
    let mut site = Site::of(Plan {
        trusted: TRUSTED,
        ..Plan::default()
    });
    let foreign = request('a', "MESSAGE", "sips:dave@192.0.2.13", 1);
    assert_eq!(refused(&mut site, &foreign), NO_WAY);
    // By a Route.
    let by_route = with(
        &foreign.replace("z9hG4bK", "z9hG4bKr"),
        "Route: <sip:192.0.2.15;lr>",
    );
    assert_eq!(refused(&mut site, &by_route), NO_WAY);
    // By a name whose servers have no TLS.
    let explained = site.explain(
        'a',
        request('a', "MESSAGE", "sips:dave@far.test", 2).as_bytes(),
        false,
        "far.test A 192.0.2.13\n_sip._udp.far.test SRV 0 0 5060 far.test\n",
    );
    let sent: Vec<_> = explained.sent.iter().map(|sent| &*sent.start_line).collect();
    assert_eq!(sent, ["SIP/2.0 502 Next Hop Has No Address"]);
}

// RFC 5630 §5.3: nor to a target that a route names, with a user of its own or with the one that was asked for.
#[test]
fn a_route_leads_no_sips_uri_to_a_sip_target() {
    for routing in [
        "[[route]]\nname = \"out\"\nto = \"sip:bob@192.0.2.11\"\n",
        "[[route]]\nname = \"out\"\nto = \"sip:192.0.2.11\"\n",
    ] {
        let mut site = Site::of(Plan {
            routing,
            trusted: TRUSTED,
            ..Plan::default()
        });
        let text = request('a', "MESSAGE", SECURE_BOB, 1);
        assert_eq!(refused(&mut site, &text), "SIP/2.0 480 Temporarily Unavailable");
    }
}

// RFC 5630 §5.3: in a dialog too.
#[test]
fn a_dialog_with_a_sips_contact_goes_over_no_flow_in_the_clear() {
    let mut site = Site::of(Plan {
        trusted: TRUSTED,
        ..Plan::default()
    });
    site.register('b');
    site.send('a', &request('a', "INVITE", BOB, 1));
    let route = lines(site.last('b', "INVITE"), "Record-Route").join(",");
    let contact = format!("Contact: <sips:bob@192.0.2.11:5060;ob>\r\nRecord-Route: {route}");
    let ok = site.response('b', 200, &contact);
    site.send('b', &ok);
    let ok = site.last('a', "SIP/2.0 200").to_owned();
    site.log();
    let bye = routed(&in_dialog("BYE", &ok, 2), &ok);
    let bye = bye.replacen("BYE sip:bob", "BYE sips:bob", 1);
    assert!(bye.starts_with("BYE sips:"), "{bye}");
    assert_eq!(refused(&mut site, &bye), NO_WAY);
}

// RFC 5630 §5.3, RFC 3261 §16.7 step 4: a 3xx is followed from SIPS to SIPS, and from SIP to SIP.
#[test]
fn a_redirection_to_the_other_scheme_is_the_callers_to_follow() {
    let mut site = Site::of(Plan {
        recurse: true,
        ..Plan::default()
    });
    site.register('b');
    site.register('c');
    site.send('a', &request('a', "INVITE", BOB, 1));
    let moved = site.response('b', 302, "Contact: <sips:carol@example.test>");
    site.log();
    site.send('b', &moved);
    assert_eq!(site.log(), "b ACK, a 302");
}

// RFC 5630 §5.2: a SIPS contact is bound only where everything about it is SIPS; From and To need not be.
#[test]
fn nothing_secure_is_bound_by_way_of_what_is_not() {
    let (contact, plain) = ("<sips:bob@192.0.2.11>", "<sip:bob@192.0.2.11:5070>");
    let secure = |text: &str| text.replacen("REGISTER sip:", "REGISTER sips:", 1);
    let path = |text: &str, path: &str| with(text, &format!("Supported: path\r\nPath: {path}"));
    let register = |contact: &str, n| registration('b', BOB, contact, n);
    let (bad, ok) = (
        "SIP/2.0 400 SIPS Contact Needs SIPS Request-URI, Contacts And Path",
        "SIP/2.0 200 OK",
    );
    for (n, (text, answer)) in [
        (register(contact, 1), bad),
        (secure(&register(&format!("{contact}, {plain}"), 2)), bad),
        (
            secure(&path(
                &register(contact, 3),
                "<sips:192.0.2.15;lr>, <sip:192.0.2.16;lr>",
            )),
            bad,
        ),
        (secure(&path(&register(contact, 4), "<sips:192.0.2.15;lr>")), ok),
        (secure(&register(contact, 5)), ok),
        // A refresh is one like any other.
        (register(contact, 6), bad),
        // What goes away binds nothing.
        (register(&format!("{contact};expires=0"), 7), ok),
        (secure(&register(plain, 8)), ok),
    ]
    .into_iter()
    .enumerate()
    {
        let mut site = Site::new();
        if n >= 5 {
            site.ask(
                'b',
                &secure(&register(contact, 100))
                    .replace("call100", "call1")
                    .replace("CSeq: 100", "CSeq: 1"),
            );
        }
        assert_eq!(start_line(&site.ask('b', &text)), answer, "{text}");
    }
}

// RFC 5630 §5.1.1.1, RFC 5630 §5.2: of a SIP contact and the same one as SIPS the later counts, for the address-of-record in either form.
#[test]
fn a_sips_contact_takes_the_place_of_the_sip_one() {
    let mut site = Site::new();
    let contacts = |answer: &str| lines(answer, "Contact").join(",");
    let plain = registration('b', BOB, "<sip:bob@192.0.2.11>", 1);
    assert_eq!(
        contacts(&site.ask('b', &plain)),
        "<sip:bob@192.0.2.11>;expires=600"
    );
    let secure = registration('b', SECURE_BOB, "<sips:bob@192.0.2.11>", 2);
    let secure = secure.replacen("REGISTER sip:", "REGISTER sips:", 1);
    assert_eq!(
        contacts(&site.ask('b', &secure)),
        "<sips:bob@192.0.2.11>;expires=600"
    );
    // Without TLS there is no way to it, for anybody (RFC 5630 §5.3).
    let call = request('a', "MESSAGE", BOB, 3);
    assert_eq!(refused(&mut site, &call), "SIP/2.0 480 Temporarily Unavailable");
    let plain = registration('b', BOB, "<sip:bob@192.0.2.11>", 4);
    assert_eq!(
        contacts(&site.ask('b', &plain)),
        "<sip:bob@192.0.2.11>;expires=600"
    );
}
