//! RFC 3263: next hops that are names, asked for beside the shards.

use strowger_server::dns::Question;
use strowger_sip::Failure;
use strowger_sip::transport::{Server, Transport, Wanted};
use strowger_testkit::message::{lines, registration, request, start_line, with};
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

// RFC 3263 §4.3, RFC 3261 §16.7 step 6: a call to somebody of another domain goes on to the next server of that when one says 503, of
// which the caller hears nothing; if all say so it is told 500.
#[test]
fn a_call_to_another_domain_goes_on_to_its_next_server_after_a_503() {
    for (last, told) in [(486, "g ACK, a 486"), (503, "g ACK, a 500")] {
        let mut site = site();
        site.send('a', &request('a', "INVITE", FAR, 1));
        let question = site.question().expect("a question");
        site.answer_with(&question, servers(&[(0, 0, 'f'), (1, 0, 'g')]), 600);
        assert_eq!(site.log(), "a 100, f INVITE");
        let busy = site.response('f', 503, "Retry-After: 60");
        site.send('f', &busy);
        assert_eq!(site.log(), "f ACK, g INVITE");
        let sent = site.last('g', "INVITE");
        assert_eq!(start_line(sent), format!("INVITE {FAR} SIP/2.0"));
        site.answer('g', last);
        assert_eq!(site.log(), told);
        site.assert_ends();
    }
}

// A server that ends a connection may take another one, and a queue of ours that is full is not its fault.
#[test]
fn only_what_a_server_is_to_blame_for_makes_it_avoided() {
    for (failure, next) in [
        (Failure::Refused, "g"),
        (Failure::TimedOut, "g"),
        (Failure::Closed, "f"),
        (Failure::Lost, "f"),
        (Failure::Full, "f"),
    ] {
        let mut site = site();
        site.send('a', &request('a', "MESSAGE", FAR, 1));
        let question = site.question().expect("a question");
        site.answer_with(&question, servers(&[(0, 0, 'f'), (1, 0, 'g')]), 600);
        site.fail_last_by(failure);
        assert_eq!(site.log(), "f MESSAGE, g MESSAGE", "{failure:?}");
        site.answer('g', 200);
        assert_eq!(receiver(&mut site, 2), next, "{failure:?}");
        site.answer(next.chars().next().expect("a name"), 200);
        site.assert_ends();
    }
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

/// Registers bob from an edge proxy with this Path, by which he is to be reached.
fn register_behind(site: &mut Site, path: &str, contact: &str) {
    let text = registration('h', "sip:bob@example.test", contact, 1).replacen(
        "Max-Forwards",
        "Via: SIP/2.0/UDP 10.0.0.6;branch=z9hG4bKb\r\nMax-Forwards",
        1,
    );
    let ok = site.ask('h', &with(&text, &format!("Supported: path\r\nPath: {path}")));
    assert_eq!(start_line(&ok), "SIP/2.0 200 OK");
}

const EDGE: &str = "<sip:t1@edge.test;lr>";

// RFC 3327 §5.3, RFC 3263 §4: the first proxy of a Path may be a name, whose second address is tried when the first fails.
#[test]
fn a_binding_whose_path_begins_with_a_name_is_found_by_dns() {
    for (method, contact) in [
        ("INVITE", "<sip:bob@10.0.0.6:5060>"),
        ("MESSAGE", "<sip:bob@192.0.2.11:5060>"),
        ("MESSAGE", "<sip:bob@phone.test>"),
    ] {
        let mut site = site();
        register_behind(&mut site, EDGE, contact);
        let text = request('a', method, "sip:bob@example.test", 1);
        let zone = "edge.test A 192.0.2.15\nedge.test A 192.0.2.16\n";
        let explained = site.explain('a', text.as_bytes(), false, zone);
        let forwarded = explained
            .sent
            .iter()
            .find(|sent| sent.start_line.starts_with(method));
        let forwarded = forwarded.unwrap_or_else(|| panic!("{:#?}", explained.steps));
        let told = serde_json::to_string(&explained.steps).expect("JSON");
        assert!(told.contains("edge.test"), "{told}");
        let nowhere = site.explain('a', text.as_bytes(), false, "other.test A 192.0.2.15\n");
        assert!(
            nowhere
                .verdict
                .line
                .ends_with("502 Next Hop Has No Address: edge.test leads nowhere")
        );
        assert!(
            ["192.0.2.15:5060", "192.0.2.16:5060"].contains(&&*forwarded.to),
            "{forwarded:?}"
        );
        site.send('a', &text);
        assert_eq!(site.resolve(&[address('f').ip(), address('g').ip()]), "edge.test");
        let uri = contact.trim_matches(['<', '>']);
        for who in ['f', 'g'] {
            let got = site.last(who, method);
            assert_eq!(start_line(got), format!("{method} {uri} SIP/2.0"));
            assert_eq!(lines(got, "Route"), [EDGE], "{who}");
            if who == 'f' {
                site.fail_last();
            }
        }
        site.answer('g', 200);
        assert!(site.log().ends_with("a 200"));
    }
}

// RFC 3327 §5.3, RFC 3261 §16.4: a Path that begins with this node's own name leads nowhere else, and nor does one of no SIP URI.
#[test]
fn a_path_that_leads_back_here_is_not_asked_for() {
    for path in [
        "<sip:t1@example.test;lr>",
        "<sip:192.0.2.1;lr>",
        "<sip:127.0.0.1:5999;lr>",
        "<tel:+1>",
    ] {
        let mut site = site();
        register_behind(&mut site, path, "<sip:bob@10.0.0.6:5060>");
        site.send('a', &request('a', "MESSAGE", "sip:bob@example.test", 1));
        assert!(site.question().is_none(), "{path}");
        assert_eq!(site.log(), "a 480", "{path}");
    }
}
