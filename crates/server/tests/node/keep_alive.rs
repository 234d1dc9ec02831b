//! What keeps a flow open: datagrams that are no SIP messages, and what phones behind a NAT are sent.

use strowger_server::config::{KeepAlive, Nat};
use strowger_sip::Destination;
use strowger_testkit::message::{lines, registration, start_line};
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

const REQUEST: &[u8] = b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl";

// RFC 5626 §8: a Binding request is answered to where it came from, from where it was sent to.
#[test]
fn a_binding_request_is_told_where_it_came_from() {
    let mut site = Site::new();
    for who in ['a', 'l'] {
        site.send_bytes(who, REQUEST);
        let [(to, answer)] = &site.new_messages()[..] else {
            panic!("one answer");
        };
        let Destination::Datagram { from, to, .. } = *to else {
            panic!("by datagram");
        };
        assert_eq!(to, address(who));
        assert_eq!(from.map(|ip| ip.is_loopback()), Some(who == 'l'));
        assert_eq!(answer[..2], [1, 1]);
        assert_eq!(answer[4..20], REQUEST[4..]);
        assert_eq!(answer[20..26], [0, 0x20, 0, 8, 0, 1]);
    }
    site.assert_ends();
}

// RFC 3261 §7.5, RFC 8489 §6.3: nobody waits for an answer, and what is broken gets none.
#[test]
fn what_only_keeps_a_flow_open_is_not_answered() {
    let mut site = Site::new();
    let cut = &REQUEST[..19];
    let indication = [b"\0\x11", &REQUEST[2..]].concat();
    for datagram in [&b""[..], b"\0", b"\r\n", b"\r\n\r\n", b"jaK", cut, &indication] {
        site.send_bytes('a', datagram);
        assert_eq!(site.new_messages(), [], "{datagram:?}");
    }
    site.assert_ends();
}

/// A site that sends keep-alives of this kind each 25 s.
fn pinging(keep_alive: KeepAlive, remove_unanswered: bool) -> Site {
    Site::of(Plan {
        shards: 2,
        users: 400,
        nat: Nat {
            keep_alive,
            remove_unanswered,
            unanswered_limit: 3,
            ..Nat::default()
        },
        ..Plan::default()
    })
}

/// Registers a contact for bob from a peer's address.
fn bind(site: &mut Site, who: char, contact: &str, n: u32) {
    let text = registration(who, "sip:bob@example.test", contact, n);
    assert_eq!(start_line(&site.ask(who, &text)), "SIP/2.0 200 OK");
}

// RFC 5626 §3.5: who registered by UDP from another address than the contact names is sent something, and nobody else.
#[test]
fn phones_behind_a_nat_are_kept_within_reach() {
    let mut site = pinging(KeepAlive::Crlf, false);
    site.pass(60_000);
    assert_eq!(site.new_messages(), [], "there is nobody");
    for (who, contact) in [
        ('d', "<sip:bob@10.0.0.5:5060>"),
        ('e', "<sip:bob@phone.invalid>"),
        ('f', "<sip:bob@192.0.2.15:6000>"),
    ] {
        bind(&mut site, who, contact, who as u32);
    }
    let by_tcp = registration('g', "sip:bob@example.test", "<sip:bob@10.0.0.6;transport=tcp>", 9);
    site.send_tcp('g', &by_tcp.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    let path = registration('h', "sip:bob@example.test", "<sip:bob@10.0.0.7>", 10);
    site.send(
        'h',
        &path.replace(
            "Max-Forwards",
            "Supported: path\r\nPath: <sip:192.0.2.99;lr>\r\nMax-Forwards",
        ),
    );
    site.new_messages();
    for _ in 0..20 {
        site.pass(25_000);
        let mut told = site.new_messages();
        assert!(told.iter().all(|(_, text)| text == b"\r\n\r\n"), "{told:?}");
        told.sort_by_key(|(to, _)| format!("{to:?}"));
        let told: Vec<_> = told.into_iter().map(|(to, _)| to).collect();
        let expected = ['d', 'e'].map(|who| Destination::Datagram {
            listener: 0,
            from: None,
            to: address(who),
        });
        assert_eq!(told, expected);
    }
    // Their registrations have ended.
    site.pass(125_000);
    site.new_messages();
    site.pass(60_000);
    assert_eq!(site.new_messages(), []);
}

#[test]
fn many_phones_are_kept_evenly() {
    let mut site = pinging(KeepAlive::Crlf, false);
    for n in 0..400 {
        let contact = format!("<sip:u{n}@10.0.0.1>");
        let text = registration('d', &format!("sip:u{n}@example.test"), &contact, n);
        let text = text
            .replace("Expires: 600", "Expires: 3600")
            .replace("call1@", &format!("call{n}@"));
        assert_eq!(start_line(&site.ask('d', &text)), "SIP/2.0 200 OK");
    }
    site.pass(25_000);
    for _ in 0..4 {
        site.new_messages();
        let each: Vec<_> = (0..25)
            .map(|_| {
                site.pass(1_000);
                site.new_messages().len()
            })
            .collect();
        assert_eq!(each.iter().sum::<usize>(), 400, "{each:?}");
        assert!(each.iter().all(|count| (8..=24).contains(count)), "{each:?}");
    }
}

// RFC 3261 §11: phones are asked without a transaction; whatever they answer shows that they are there.
#[test]
fn phones_behind_a_nat_are_asked_and_their_answers_counted() {
    let mut site = pinging(KeepAlive::Options, false);
    site.pass(10_000);
    bind(&mut site, 'd', "<sip:bob@10.0.0.5:5060;x=1?a=b>", 1);
    bind(&mut site, 'e', "<sip:bob@10.0.0.6>", 2);
    site.log();
    site.journal();
    for n in 1..=5 {
        site.pass(25_000);
        assert_eq!(site.log(), "d OPTIONS, e OPTIONS");
        let asked = site.last('d', "OPTIONS").to_owned();
        assert_eq!(start_line(&asked), "OPTIONS sip:bob@10.0.0.5:5060;x=1 SIP/2.0");
        assert_eq!(lines(&asked, "To"), ["<sip:bob@10.0.0.5:5060;x=1>"]);
        site.answer('d', if n % 2 == 0 { 405 } else { 200 });
        assert_eq!(site.log(), "");
        let journal = site.journal();
        let told = "INFO phone does not answer aor=bob@example.test contact=sip:bob@10.0.0.6 unanswered=3";
        assert_eq!(journal, if n == 4 { vec![told] } else { vec![] }, "{n}");
    }
    // A phone that registers again is there.
    bind(&mut site, 'e', "<sip:bob@10.0.0.6>", 3);
    site.log();
    site.pass(25_000);
    site.answer('e', 200);
    site.pass(25_000);
    assert_eq!(site.journal(), Vec::<String>::new());
}

#[test]
fn phones_that_do_not_answer_are_removed_where_that_is_wanted() {
    let mut site = pinging(KeepAlive::Options, true);
    bind(&mut site, 'd', "<sip:bob@10.0.0.5>", 1);
    bind(&mut site, 'b', "<sip:bob@192.0.2.11>", 2);
    site.log();
    site.journal();
    site.pass(4 * 25_000 - 1);
    assert_eq!(site.log(), "d OPTIONS, d OPTIONS, d OPTIONS");
    site.pass(25_000);
    assert_eq!(site.log(), "");
    let journal = site.journal();
    assert_eq!(journal.len(), 2, "{journal:?}");
    assert_eq!(
        journal[1],
        "INFO registration removed aor=bob@example.test contact=sip:bob@10.0.0.5"
    );
    let text = registration('b', "sip:bob@example.test", "<sip:bob@192.0.2.11>", 3);
    assert_eq!(lines(&site.ask('b', &text), "Contact").len(), 1);
    site.pass(60_000);
    assert_eq!(site.journal(), Vec::<String>::new());
}
