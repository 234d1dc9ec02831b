//! RFC 3263: next hops that are names, asked for beside the shards.

use strowger_server::dns::Question;
use strowger_sip::transport::{Server, Transport, Wanted};
use strowger_testkit::message::{lines, request, start_line, with};
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

const FAR: &str = "sip:x@far.test";

fn site() -> Site {
    Site::of(Plan {
        trusted: &["192.0.2.10/32"],
        ..Plan::default()
    })
}

#[test]
fn a_name_is_asked_for_and_the_request_goes_on_when_the_answer_comes() {
    let mut site = site();
    site.send('a', &request('a', "INVITE", FAR, 1));
    assert_eq!(site.log(), "a 100");
    site.send('a', &request('a', "INVITE", FAR, 1));
    assert_eq!(site.log(), "a 100", "it is not asked for twice");
    assert_eq!(site.resolve(&[address('f').ip()]), "far.test");
    assert_eq!(site.log(), "f INVITE");
    assert_eq!(
        start_line(site.last('f', "INVITE")),
        format!("INVITE {FAR} SIP/2.0")
    );
    assert!(site.question().is_none());
    site.answer('f', 486);
    assert_eq!(site.log(), "f ACK, a 486");
    site.assert_ends();
}

// RFC 3263 §4.3: the next address when the first says nothing or refuses.
#[test]
fn the_second_address_is_tried_when_the_first_fails() {
    let mut site = site();
    site.send('a', &request('a', "MESSAGE", FAR, 1));
    site.resolve(&[address('f').ip(), address('g').ip()]);
    site.icmp(0, 'f');
    assert_eq!(site.log(), "f MESSAGE, g MESSAGE");
    site.answer('g', 200);
    assert_eq!(site.log(), "a 200");
    site.assert_ends();
}

#[test]
fn a_name_without_an_address_is_answered_with_502() {
    for (method, addresses) in [
        ("INVITE", vec![]),
        ("MESSAGE", vec![]),
        ("INVITE", vec!["2001:db8::1".parse().expect("one")]),
    ] {
        let mut site = site();
        site.send('a', &request('a', method, FAR, 1));
        site.resolve(&addresses);
        assert!(site.log().ends_with("a 502"));
        site.assert_ends();
    }
}

#[test]
fn a_question_that_cannot_be_asked_is_answered_at_once() {
    let mut site = Site::of(Plan {
        trusted: &["192.0.2.10/32"],
        questions: 1,
        ..Plan::default()
    });
    site.send('a', &request('a', "MESSAGE", FAR, 1));
    site.send('a', &request('a', "MESSAGE", FAR, 2));
    assert_eq!(site.log(), "a 502");
    site.resolve(&[]);
    site.assert_ends();
}

// §16.10: the caller gives up while the name is being looked up; nothing rings then.
#[test]
fn a_request_that_is_cancelled_while_it_waits_is_not_sent() {
    let mut site = site();
    site.send('a', &request('a', "INVITE", FAR, 1));
    site.log();
    site.send('a', &request('a', "CANCEL", FAR, 1));
    assert_eq!(site.log(), "a 200, a 487");
    site.resolve(&[address('f').ip()]);
    assert_eq!(site.log(), "");
    site.send('a', &request('a', "ACK", FAR, 1));
    site.assert_ends();
}

// RFC 4320 §4.1: what waits for a name is waiting all the same.
#[test]
fn a_request_that_waits_long_gets_its_100_and_its_answer() {
    let mut site = site();
    site.send('a', &request('a', "MESSAGE", FAR, 1));
    site.pass(3499);
    assert_eq!(site.timed_log(), "");
    site.pass(1);
    assert_eq!(site.timed_log(), "3500 a 100");
    site.pass(1000);
    site.resolve(&[address('f').ip()]);
    site.answer('f', 200);
    assert_eq!(site.timed_log(), "4500 f MESSAGE, 4500 a 200");
    site.assert_ends();
}

// A dialog whose far end has a name as its contact: its ACK and BYE find it.
#[test]
fn an_ack_to_a_name_is_forwarded_when_the_answer_comes() {
    let mut site = site();
    site.send('a', &request('a', "ACK", FAR, 1));
    site.resolve(&[address('f').ip()]);
    assert_eq!(site.log(), "f ACK");
    site.send('a', &request('a', "ACK", FAR, 2));
    site.resolve(&[]);
    assert_eq!(site.log(), "", "an ACK is not answered");
    site.assert_ends();
}

#[test]
fn the_name_of_the_next_route_is_asked_for_not_that_of_the_request_uri() {
    let mut site = site();
    site.send(
        'a',
        &with(&request('a', "MESSAGE", FAR, 1), "Route: <sip:near.test:5070;lr>"),
    );
    assert_eq!(site.resolve(&[address('f').ip()]), "near.test");
    let sent = site.log();
    assert!(sent.contains("192.0.2.15:5070"), "{sent}");
}

#[test]
fn an_answer_to_no_question_is_ignored() {
    let mut site = site();
    site.send('a', &request('a', "MESSAGE", FAR, 1));
    let question = site.question().expect("a question");
    site.answer_question(&question, &[address('f').ip()]);
    site.answer_question(&question, &[address('f').ip()]);
    assert_eq!(site.log(), "f MESSAGE");
    assert_eq!(lines(site.last('f', "MESSAGE"), "Max-Forwards"), ["69"]);
    site.answer('f', 200);
    site.assert_ends();
}

/// Servers of one rank each, with their weights, at the addresses of peers.
fn servers(all: &[(u32, u16, char)]) -> Vec<Server> {
    let server = |&(rank, weight, who)| Server {
        rank,
        weight,
        transport: Some(Transport::Udp),
        port: None,
        addresses: vec![address(who).ip()],
    };
    all.iter().map(server).collect()
}

/// Sends a MESSAGE; who gets it.
fn receiver(site: &mut Site, n: u32) -> String {
    site.log();
    site.send('a', &request('a', "MESSAGE", FAR, n));
    let log = site.log();
    log.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn what_is_known_is_not_asked_for_until_its_time_is_nearly_over() {
    let mut site = site();
    site.send('a', &request('a', "MESSAGE", FAR, 1));
    let question = site.question().expect("a question");
    assert_eq!(question.wanted, Wanted::AnyServers { secure: false });
    site.answer_with(&question, servers(&[(0, 0, 'f')]), 100);
    site.pass(89_000);
    assert_eq!(receiver(&mut site, 2), "f");
    assert!(site.question().is_none());
    // In use: it is renewed, and nobody waits for that.
    site.pass(2000);
    assert_eq!(receiver(&mut site, 3), "f");
    assert_eq!(receiver(&mut site, 4), "f");
    let Question { asker, .. } = site.question().expect("a question");
    assert_eq!(asker, None);
    assert!(site.question().is_none(), "one is enough");
    site.answer_with(&question, servers(&[(0, 0, 'g')]), 0);
    site.pass(10_000);
    site.log();
    site.send('a', &request('a', "MESSAGE", FAR, 5));
    assert_eq!(site.log(), "", "it is over");
    site.resolve(&[address('g').ip()]);
    assert_eq!(site.log(), "g MESSAGE");
}

// RFC 3263 §4.3.
#[test]
fn a_server_that_has_failed_is_tried_last_for_a_while() {
    let mut site = site();
    let known = servers(&[(0, 0, 'f'), (1, 0, 'g'), (2, 0, 'h')]);
    site.send('a', &request('a', "MESSAGE", FAR, 1));
    let question = site.question().expect("a question");
    site.answer_with(&question, known, 600);
    site.icmp(0, 'f');
    assert_eq!(site.log(), "f MESSAGE, g MESSAGE");
    site.answer('g', 200);
    assert_eq!(receiver(&mut site, 2), "g");
    let busy = site.response('g', 503, "Retry-After: 60 (overload)");
    site.send('g', &busy);
    assert_eq!(site.log(), "h MESSAGE", "a 503 is not for the caller");
    site.answer('h', 200);
    assert_eq!(receiver(&mut site, 3), "h");
    // The first has had its 30 s, the second asked for more.
    site.pass(31_000);
    assert_eq!(receiver(&mut site, 4), "f");
    site.answer('f', 200);
    site.icmp(0, 'f');
    site.pass(30_000);
    assert_eq!(receiver(&mut site, 5), "f");
    site.assert_ends();
}

#[test]
fn a_server_that_answers_is_not_avoided_any_more() {
    let mut site = site();
    site.send('a', &request('a', "MESSAGE", FAR, 1));
    let question = site.question().expect("a question");
    site.answer_with(&question, servers(&[(0, 0, 'f'), (1, 0, 'g')]), 600);
    site.icmp(0, 'f');
    site.icmp(0, 'g');
    assert_eq!(site.log(), "f MESSAGE, g MESSAGE, a 500");
    // Both have failed, so both are tried, in their order.
    assert_eq!(receiver(&mut site, 2), "f");
    site.answer('f', 200);
    assert_eq!(receiver(&mut site, 3), "f");
    site.assert_ends();
}

// RFC 3261 §16.11, RFC 3263 §4.4.
#[test]
fn without_state_the_same_call_goes_to_the_same_server() {
    let mut site = Site::of(Plan {
        trusted: &["192.0.2.10/32"],
        mode: strowger_server::config::Mode::Stateless,
        ..Plan::default()
    });
    let known = servers(&[(0, 1, 'f'), (0, 1, 'g'), (0, 1, 'h')]);
    site.send('a', &request('a', "INVITE", FAR, 1));
    let question = site.question().expect("a question");
    site.answer_with(&question, known, 600);
    let mut seen = std::collections::BTreeSet::new();
    for n in 1..60 {
        site.log();
        for method in ["INVITE", "INVITE", "CANCEL", "ACK"] {
            site.send('a', &request('a', method, FAR, n));
        }
        let log = site.log();
        let receivers: Vec<_> = log.split(", ").filter_map(|sent| sent.chars().next()).collect();
        assert!(
            receivers.len() == 4 && receivers.iter().all(|who| *who == receivers[0]),
            "{log}"
        );
        seen.insert(receivers[0]);
    }
    assert_eq!(seen.len(), 3, "the load is shared");
}

#[test]
fn a_name_that_is_known_to_lead_nowhere_is_answered_with_502() {
    let mut site = site();
    site.send('a', &request('a', "MESSAGE", FAR, 1));
    let question = site.question().expect("a question");
    site.answer_with(&question, Vec::new(), 60);
    site.send('a', &request('a', "MESSAGE", FAR, 2));
    assert_eq!(site.log(), "a 502, a 502");
    site.assert_ends();
}

// RFC 3261 §16.3 step 4, RFC 5393 §4.2: what the node has sent to itself by a name that it does not know as its own.
#[test]
fn a_request_that_comes_back_for_the_same_uri_is_a_loop() {
    let mut site = site();
    site.send('a', &request('a', "INVITE", FAR, 1));
    site.resolve(&[address('f').ip()]);
    assert_eq!(site.log(), "a 100, f INVITE");
    let returned = site.last('f', "INVITE").to_owned();
    site.send('f', &returned);
    assert_eq!(site.log(), "f 482");
    let refused = site.last('f', "SIP/2.0 482").to_owned();
    site.send('f', &refused);
    assert_eq!(site.log(), "f ACK, a 482");
    site.assert_ends();
}
