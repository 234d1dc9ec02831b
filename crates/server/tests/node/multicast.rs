//! Phones that look for their registrar by multicast (RFC 3261 §10.2.6): who answers, what, and where to.

use std::net::SocketAddr;

use strowger_sip::Destination;
use strowger_testkit::message::{authorize, registration, request, start_line};
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

const GROUP: &str = "224.0.1.75:5060";

fn group() -> SocketAddr {
    GROUP.parse().expect("an address")
}

fn site(challenged: &'static [&'static str]) -> Site {
    Site::of(Plan {
        challenged,
        ..Plan::default()
    })
}

/// A REGISTER of alice's phone as a client writes it that sends it by multicast (RFC 3261 §18.1.1).
fn multicast(n: u32) -> String {
    let contact = format!("<sip:alice@{}>", address('a'));
    registration('a', "sip:alice@example.test", &contact, n).replacen(
        ";branch=",
        ";maddr=224.0.1.75;ttl=1;branch=",
        1,
    )
}

/// Where the last message went, and its first line.
fn sent(site: &mut Site) -> Option<(SocketAddr, String)> {
    let messages = site.new_messages();
    assert!(messages.len() < 2, "{}", messages.len());
    let (to, bytes) = messages.into_iter().next()?;
    let Destination::Datagram { to, from, .. } = to else {
        panic!("{to:?}");
    };
    assert!(from.is_none_or(|from| !from.is_multicast()));
    let text = String::from_utf8(bytes).expect("text");
    Some((to, start_line(&text).to_owned()))
}

#[track_caller]
fn ask(site: &mut Site, text: &str) -> Option<(SocketAddr, String)> {
    site.log();
    site.send_multicast('a', group(), text);
    sent(site)
}

// RFC 3261 §18.2.2: to the address of maddr, at the port of sent-by, which rport does not change (RFC 3581 §4).
#[test]
fn the_answer_goes_to_the_group_at_the_port_of_sent_by() {
    let ok = Some((group(), "SIP/2.0 200 OK".to_owned()));
    assert_eq!(ask(&mut site(&[]), &multicast(1)), ok);
    let asked = multicast(1).replacen(";branch=", ";rport;branch=", 1);
    assert_eq!(ask(&mut site(&[]), &asked), ok);
    let other = multicast(1).replacen("192.0.2.10:5060;", "192.0.2.10:7000;", 1);
    let at_7000 = Some((SocketAddr::new(group().ip(), 7000), "SIP/2.0 200 OK".to_owned()));
    assert_eq!(ask(&mut site(&[]), &other), at_7000);
}

#[test]
fn a_via_does_not_lead_anywhere_else() {
    let ok = Some((address('a'), "SIP/2.0 200 OK".to_owned()));
    for maddr in [
        "",
        ";maddr=203.0.113.1",
        ";maddr=224.0.1.76",
        ";maddr=sip.mcast.net",
    ] {
        let text = multicast(1).replacen(";maddr=224.0.1.75;ttl=1", maddr, 1);
        assert_eq!(ask(&mut site(&[]), &text), ok, "{maddr}");
    }
    let mut site = site(&[]);
    site.send('a', &multicast(1));
    assert_eq!(sent(&mut site), ok, "what came by unicast is answered by unicast");
}

#[test]
fn who_registers_so_is_called() {
    for uri in ["sip:example.test", "sip:224.0.1.75", "sip:sip.mcast.net"] {
        let mut site = site(&[]);
        let text = multicast(1).replacen("REGISTER sip:example.test ", &format!("REGISTER {uri} "), 1);
        assert!(ask(&mut site, &text).is_some(), "{uri}");
        site.send('b', &request('b', "INVITE", "sip:alice@example.test", 2));
        assert_eq!(site.log(), "b 100, a INVITE");
    }
}

#[test]
fn whoever_is_not_responsible_and_whatever_is_refused_is_silent() {
    let brief = multicast(1).replacen("Expires: 600", "Expires: 10", 1);
    let required = multicast(1).replacen("Call-ID", "Require: foo\r\nCall-ID", 1);
    let far = multicast(1).replace("alice@example.test", "alice@far.test");
    let elsewhere = multicast(1).replacen("REGISTER sip:example.test ", "REGISTER sip:far.test ", 1);
    let routed = multicast(1).replacen("Call-ID", "Route: <sip:far.test;lr>\r\nCall-ID", 1);
    let malformed = multicast(1).replacen("CSeq: ", "CSeq: x", 1);
    for text in [
        brief,
        required,
        far,
        elsewhere,
        routed,
        malformed,
        request('a', "OPTIONS", "sip:example.test", 1),
        request('a', "INVITE", "sip:alice@example.test", 1),
        request('a', "MESSAGE", "sip:far.test", 1),
        request('a', "CANCEL", "sip:alice@example.test", 1),
    ] {
        let mut site = site(&[]);
        assert_eq!(ask(&mut site, &text), None, "{text}");
        site.assert_ends();
    }
}

// RFC 3261 §22.4: the nonce names who asked.
#[test]
fn of_two_that_challenge_the_one_answers_whose_challenge_is_met() {
    let (mut first, mut second) = (site(&["REGISTER"]), site(&["REGISTER"]));
    let text = multicast(1);
    let challenged = Some((group(), "SIP/2.0 401 Unauthorized".to_owned()));
    first.log();
    first.send_multicast('a', group(), &text);
    let [(_, bytes)] = &first.new_messages()[..] else {
        panic!("a challenge");
    };
    let challenge = String::from_utf8(bytes.clone()).expect("text");
    assert_eq!(ask(&mut second, &text), challenged);
    // The second has another secret in its nonces, as every start of a node has.
    let met = authorize(&text, &challenge, "alice", 1);
    let foreign = met.replacen("nonce=\"", "nonce=\"00", 1);
    assert_eq!(ask(&mut second, &foreign), None);
    assert_eq!(
        ask(&mut first, &met),
        Some((group(), "SIP/2.0 200 OK".to_owned()))
    );
    let wrong = authorize(&multicast(2), &challenge, "alice", 2).replacen("response=\"", "response=\"0", 1);
    assert_eq!(ask(&mut first, &wrong), challenged);
}

#[test]
fn the_owner_of_the_call_id_answers_on_any_number_of_shards() {
    for n in 0..8 {
        let mut site = Site::of(Plan {
            shards: 3,
            ..Plan::default()
        });
        site.send_multicast('a', group(), multicast(n));
        assert_eq!(sent(&mut site), Some((group(), "SIP/2.0 200 OK".to_owned())));
    }
}

// RFC 8489 §6.3.1: what everybody in a group hears is no keep-alive of anybody's flow, and would be answered by all at once.
#[test]
fn stun_that_comes_by_a_group_is_dropped() {
    const REQUEST: &[u8] = b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl";
    let mut site = site(&[]);
    site.send_multicast('a', group(), REQUEST);
    assert_eq!(site.new_messages(), []);
    site.send_bytes('a', REQUEST);
    assert_eq!(site.new_messages().len(), 1, "to this node alone");
    site.assert_ends();
}
