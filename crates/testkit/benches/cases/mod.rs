//! What is measured: each case is one operation of a node, as ordinary phones ask for it, made again and again.

mod messages;

use strowger_server::config::Mode;
use strowger_testkit::message::{authorize, in_dialog, registration, request, routed, start_line, with};
use strowger_testkit::{Meter, Plan, Site};

/// How the operation of a case is made.
pub(crate) enum Operation {
    /// A message is indexed.
    Parse(&'static [u8]),
    /// A datagram is dealt with. The function makes the one with a number, and has the site do what comes before it.
    Datagram(fn(&mut Site, u32) -> (char, String)),
    /// Several messages and the time between them, all with the number. Only the node's work counts.
    Steps(fn(&mut Site, u32)),
}

/// One case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    challenged: &'static [&'static str],
    mode: Mode,
    pub(crate) operation: Operation,
}

impl Case {
    /// The site that it is played on, with whatever must be there at first.
    pub(crate) fn site(&self, meter: Meter) -> Site {
        let mut site = Site::of(Plan {
            challenged: self.challenged,
            mode: self.mode,
            max_transactions: 1 << 20,
            meter,
            ..Plan::default()
        });
        if self.challenged.is_empty() {
            site.register('b');
        }
        site
    }
}

/// All cases.
pub(crate) const CASES: &[Case] = &[
    parse("parse-options", messages::OPTIONS),
    parse("parse-register", messages::REGISTER),
    parse("parse-invite-sdp", messages::INVITE),
    parse("parse-200-sdp", messages::OK),
    node("match-retransmission", Operation::Datagram(retransmission)),
    node("options", Operation::Datagram(options)),
    node("forward-invite", Operation::Datagram(invite)),
    node("forward-200", Operation::Datagram(ok)),
    Case {
        mode: Mode::Stateless,
        ..node("forward-invite-stateless", Operation::Datagram(stateless))
    },
    Case {
        mode: Mode::Stateless,
        ..node("forward-200-stateless", Operation::Datagram(ok_stateless))
    },
    node("register-refresh", Operation::Datagram(refresh)),
    challenged("digest-challenge", challenge),
    challenged("digest-verify", verify),
    node("call", Operation::Steps(call)),
    node("call-cancelled", Operation::Steps(call_cancelled)),
];

const fn parse(name: &'static str, message: &'static [u8]) -> Case {
    node(name, Operation::Parse(message))
}

const fn node(name: &'static str, operation: Operation) -> Case {
    Case {
        name,
        challenged: &[],
        mode: Mode::Stateful,
        operation,
    }
}

const fn challenged(name: &'static str, make: fn(&mut Site, u32) -> (char, String)) -> Case {
    Case {
        challenged: &["REGISTER"],
        ..node(name, Operation::Datagram(make))
    }
}

/// Lines that phones send beside those that a proxy or registrar reads.
const PHONE: &str = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY, PRACK, REFER\r\n\
    Supported: replaces, outbound, gruu\r\nUser-Agent: Phone 4.2 (build 1234)";

/// Lets what is under way end, now and then: an INVITE that nobody answers takes 32 s (64*T1), and then 32 s more.
fn end_now_and_then(site: &mut Site, n: u32) {
    if n.is_multiple_of(64) {
        site.pass(400_000);
        site.register('b');
    }
}

fn new_invite(n: u32) -> String {
    let text = request('a', "INVITE", "sip:bob@example.test", n);
    let contact = "Contact: \"Alice at her desk\" <sip:alice@192.0.2.10:5060;transport=udp>";
    let text = with(
        &text,
        &format!("{contact}\r\n{PHONE}\r\nContent-Type: application/sdp"),
    );
    let sdp = messages::SDP;
    text.replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len()),
    )
}

fn options(_: &mut Site, n: u32) -> (char, String) {
    ('a', with(&request('a', "OPTIONS", "sip:example.test", n), PHONE))
}

fn invite(site: &mut Site, n: u32) -> (char, String) {
    end_now_and_then(site, n);
    ('a', new_invite(n))
}

fn retransmission(site: &mut Site, n: u32) -> (char, String) {
    let invite = invite(site, n);
    site.send('a', &invite.1);
    assert!(site.log().contains("b INVITE"));
    invite
}

fn ok(site: &mut Site, n: u32) -> (char, String) {
    retransmission(site, n);
    picked_up(site)
}

/// The answer to the INVITE that b has got.
fn picked_up(site: &mut Site) -> (char, String) {
    let sdp = messages::SDP;
    let ok = site.response(
        'b',
        200,
        "Contact: <sip:bob@192.0.2.11:5060>\r\nContent-Type: application/sdp",
    );
    (
        'b',
        ok.replace(
            "Content-Length: 0\r\n\r\n",
            &format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len()),
        ),
    )
}

fn stateless(_: &mut Site, n: u32) -> (char, String) {
    ('a', new_invite(n))
}

fn ok_stateless(site: &mut Site, n: u32) -> (char, String) {
    site.send('a', &new_invite(n));
    assert!(site.log().contains("b INVITE"));
    picked_up(site)
}

fn registered(n: u32) -> String {
    with(
        &registration('b', "sip:bob@example.test", "<sip:bob@192.0.2.11:5060>", n),
        PHONE,
    )
}

fn refresh(_: &mut Site, n: u32) -> (char, String) {
    ('b', registered(n))
}

fn challenge(site: &mut Site, n: u32) -> (char, String) {
    // Nobody is held to have asked too often.
    site.pass(1_000);
    ('b', registered(n))
}

fn verify(site: &mut Site, n: u32) -> (char, String) {
    let challenge = site.ask('b', &registered(2 * n));
    assert_eq!(start_line(&challenge), "SIP/2.0 401 Unauthorized");
    ('b', authorize(&registered(2 * n + 1), &challenge, "bob", 1))
}

/// INVITE, 180, 200, ACK, BYE, 200 through the node.
fn call(site: &mut Site, n: u32) {
    site.send('a', &new_invite(n));
    site.answer('b', 180);
    let ok = site.pick_up();
    for method in ["ACK", "BYE"] {
        site.send('a', &with(&routed(&in_dialog(method, &ok, n), &ok), PHONE));
    }
    site.answer('b', 200);
    assert_eq!(site.log(), "a 100, b INVITE, a 180, a 200, b ACK, b BYE, a 200");
    site.pass(500);
}

/// INVITE, 180, CANCEL, 200, 487, ACK through the node.
fn call_cancelled(site: &mut Site, n: u32) {
    end_now_and_then(site, n);
    site.send('a', &new_invite(n));
    site.answer('b', 180);
    site.send('a', &request('a', "CANCEL", "sip:bob@example.test", n));
    site.answer_cancel('b', 200);
    site.answer('b', 487);
    site.send('a', &request('a', "ACK", "sip:bob@example.test", n));
    assert_eq!(
        site.log(),
        "a 100, b INVITE, a 180, a 200, b CANCEL, b ACK, a 487"
    );
    site.pass(500);
}
