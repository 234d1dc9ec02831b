//! The path of a message allocates nothing once buffers and tables have their size: counted around every call of a node,
//! for OPTIONS, REGISTER (memory store), REGISTER with digest, look-ups of names, and whole calls through the stateful proxy.

use strowger_sip::transport::Server;
use strowger_testkit::message::{authorize, in_dialog, registration, request, routed, start_line};
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

fn site(challenged: &'static [&'static str]) -> Site {
    Site::of(Plan {
        challenged,
        max_transactions: 1 << 20,
        meter: |call| allocation_counter::measure(call).count_total,
        ..Plan::default()
    })
}

/// Which of the last `counted` runs of `step` allocate, and how often; it is given the numbers from 1 on.
fn allocations(
    site: &mut Site,
    warm_up: u32,
    counted: u32,
    mut step: impl FnMut(&mut Site, u32),
) -> Vec<(u32, u64)> {
    (1..=warm_up).for_each(|n| step(site, n));
    assert_ne!(
        site.spent(),
        0,
        "buffers and tables get their size, so that something is counted"
    );
    let run = |n| {
        step(site, n);
        (n, site.spent())
    };
    (warm_up + 1..=warm_up + counted)
        .map(run)
        .filter(|&(_, spent)| spent > 0)
        .collect()
}

fn bob(n: u32) -> String {
    registration('b', "sip:bob@example.test", "<sip:bob@192.0.2.11:5060>", n)
}

#[test]
fn options_allocates_nothing() {
    let options = |site: &mut Site, n| {
        let told = site.ask('a', &request('a', "OPTIONS", "sip:example.test", n));
        assert_eq!(start_line(&told), "SIP/2.0 200 OK");
    };
    assert_eq!(allocations(&mut site(&[]), 10, 990, options), []);
}

#[test]
fn stun_allocates_nothing() {
    let stun = |site: &mut Site, _| {
        site.send_bytes('a', b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl");
        assert_eq!(site.new_messages().len(), 1);
    };
    assert_eq!(allocations(&mut site(&[]), 10, 990, stun), []);
}

#[test]
fn refreshing_a_registration_allocates_nothing() {
    let refresh = |site: &mut Site, n| {
        assert_eq!(start_line(&site.ask('b', &bob(n))), "SIP/2.0 200 OK");
    };
    assert_eq!(allocations(&mut site(&[]), 10, 990, refresh), []);
}

#[test]
fn digest_allocates_nothing() {
    let challenge_and_refresh = |site: &mut Site, n| {
        let challenge = site.ask('b', &bob(2 * n));
        assert_eq!(start_line(&challenge), "SIP/2.0 401 Unauthorized");
        let ok = site.ask('b', &authorize(&bob(2 * n + 1), &challenge, "bob", 1));
        assert_eq!(start_line(&ok), "SIP/2.0 200 OK");
    };
    assert_eq!(
        allocations(&mut site(&["REGISTER"]), 10, 490, challenge_and_refresh),
        []
    );
}

#[test]
fn looking_a_name_up_allocates_nothing() {
    let send_to_a_name = |site: &mut Site, n| {
        site.send('l', &request('l', "ACK", "sip:x@far.test", n));
        site.resolve(&[address('f').ip()]);
        assert_eq!(site.log(), "f ACK");
    };
    assert_eq!(allocations(&mut site(&[]), 100, 900, send_to_a_name), []);
}

#[test]
fn sending_to_a_name_that_is_known_allocates_nothing() {
    let mut site = site(&[]);
    site.send('l', &request('l', "ACK", "sip:x@far.test", 0));
    let question = site.question().expect("a question");
    let server = Server {
        rank: 0,
        weight: 1,
        transport: None,
        port: None,
        addresses: vec![address('f').ip()],
    };
    site.answer_with(&question, vec![server], 60_000);
    site.log();
    let send_to_a_name = |site: &mut Site, n| {
        site.send('l', &request('l', "ACK", "sip:x@far.test", n));
        assert_eq!(site.log(), "f ACK");
    };
    assert_eq!(allocations(&mut site, 100, 900, send_to_a_name), []);
}

/// INVITE, 180, 200, ACK, BYE, 200 through the node.
fn call(site: &mut Site, n: u32) {
    site.send('a', &request('a', "INVITE", "sip:1002@example.test", n));
    site.answer('b', 180);
    let ok = site.pick_up();
    for method in ["ACK", "BYE"] {
        site.send('a', &routed(&in_dialog(method, &ok, n), &ok));
    }
    site.answer('b', 200);
    assert_eq!(site.log(), "a 100, b INVITE, a 180, a 200, b ACK, b BYE, a 200");
    site.pass(100);
}

#[test]
fn a_call_allocates_nothing_once_as_many_have_been_under_way() {
    let mut site = site(&[]);
    site.register('b');
    assert_eq!(allocations(&mut site, 2_000, 1_000, call), []);
}
