//! Made messages, explained and sent.

use std::collections::HashSet;

use strowger_server::config::{Fork, Mode};
use strowger_server::explain::Explanation;
use strowger_sip::Destination;
use strowger_testkit::sim::full;
use strowger_testkit::{Plan, Random, Site};

use crate::requests::{Made, ZONE, call_to_carol, make};

/// How many messages are played, all sites together.
fn count() -> u32 {
    if full() { 5000 } else { 500 }
}

/// A route of each kind, and a group whose targets have limits.
const ROUTING: &str = r#"
[dial_plan]
country = "1"
[[group]]
name = "carriers"
targets = [{ uri = "sip:192.0.2.13", max_calls = 2 }, { uri = "sip:one.test", priority = 1, max_rate = 3 }]
[[route]]
name = "no strangers"
when.method = ["STRANGE"]
reply = "488 Not Here"
[[route]]
name = "numbers"
when.prefix = ["+", "1"]
to = "carriers"
headers = { add = { "X-Route" = "numbers" } }
[[route]]
name = "carol is elsewhere"
when.user = ["carol"]
redirect = { status = 301, contacts = [{ uri = "sip:carol@192.0.2.16", q = 0.5 }] }
[[route]]
name = "messages"
when.method = ["MESSAGE"]
mode = "stateless"
[[route]]
name = "bob, or else e"
when.user = ["bob"]
when.method = ["INVITE"]
ring_timeout = "5s"
"#;

/// The sites that the messages are spread over.
fn plans() -> [Plan; 8] {
    let digest = |challenged| Plan {
        challenged,
        ..Plan::default()
    };
    [
        Plan::default(),
        digest(&["REGISTER", "INVITE"]),
        Plan {
            trusted: &["192.0.2.10/32"],
            shards: 3,
            ..digest(&["REGISTER", "INVITE", "MESSAGE"])
        },
        digest(&["REGISTER"]),
        Plan {
            routing: ROUTING,
            trusted: &["192.0.2.10/32"],
            recurse: true,
            fork: Fork::Sequential,
            ..Plan::default()
        },
        Plan {
            routing: ROUTING,
            ..digest(&["INVITE"])
        },
        Plan {
            mode: Mode::Stateless,
            ..Plan::default()
        },
        Plan {
            mode: Mode::Redirect,
            ..digest(&["REGISTER"])
        },
    ]
}

#[test]
fn what_is_explained_is_what_is_sent() {
    let sites = plans().len() as u32;
    let mut outcomes = HashSet::new();
    for (number, plan) in plans().into_iter().enumerate() {
        let mut site = Site::of(plan);
        let mut random = Random::seeded(5 + number as u64);
        let called = compare(&mut site, &call_to_carol(), &format!("site {number}, a call"));
        outcomes.insert(called.verdict.outcome);
        let mut sent = Vec::new();
        for n in 1..=count().div_ceil(sites) {
            let made = make(&mut random, &mut site, &sent, n);
            let explained = compare(&mut site, &made, &format!("site {number}, message {n}"));
            outcomes.insert(explained.verdict.outcome);
            sent.push(made);
            site.pass(random.of(&[0, 0, 0, 10, 400, 1000, 5000]));
            site.new_messages();
        }
    }
    assert_eq!(outcomes.len(), 8, "not all outcomes are among them: {outcomes:?}");
}

/// Explains a message, sends it, and compares.
#[track_caller]
fn compare(site: &mut Site, made: &Made, what: &str) -> Explanation {
    let what = format!("{what}:\n{}", String::from_utf8_lossy(&made.text));
    let before = site.contacts();
    let explained = site.explain(made.who, &made.text, made.by_connection, ZONE);
    if made.number.is_multiple_of(10) {
        let again = site.explain(made.who, &made.text, made.by_connection, ZONE);
        assert_eq!(explained, again, "explained twice: {what}");
    }
    assert_eq!(site.contacts(), before, "{what}");
    site.send_as(made.who, &made.text, made.by_connection);
    site.resolve_by(ZONE);
    let came_by = made.by_connection.then_some(made.who as u32);
    let sent: Vec<_> = site
        .new_messages()
        .into_iter()
        .map(|(to, bytes)| (told(&to, came_by), bytes))
        .collect();
    let expected: Vec<_> = explained
        .sent
        .iter()
        .map(|sent| (format!("{}:{}", sent.transport, address(&sent.to)), bytes(sent)))
        .collect();
    let readable = |all: &[(String, Vec<u8>)]| {
        let one = |(to, bytes): &(String, Vec<u8>)| format!("{to}\n{}", String::from_utf8_lossy(bytes));
        all.iter().map(one).collect::<Vec<_>>().join("\n---\n")
    };
    assert_eq!(
        readable(&expected),
        readable(&sent),
        "explained and sent differ for {what}\n{:#?}",
        explained.steps
    );
    assert_eq!(expected, sent, "{what}");
    check_bindings(site, &before, &explained, &what);
    explained
}

fn bytes(sent: &strowger_server::explain::Sent) -> Vec<u8> {
    match &sent.hex {
        None => sent.text.as_bytes().to_vec(),
        Some(hex) => (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect(),
    }
}

fn address(to: &str) -> &str {
    if to.ends_with("over its connection") {
        "back"
    } else {
        to
    }
}

/// Where a message went, as an explanation tells it.
fn told(to: &Destination, came_by: Option<u32>) -> String {
    match to {
        Destination::Datagram { to, .. } => format!("udp:{to}"),
        Destination::Connect { transport, to } => format!("{}:{to}", transport.uri_param()),
        Destination::Flow(flow) if came_by == Some(flow.index) => "tcp:back".to_owned(),
        Destination::Flow(flow) => format!("tcp:connection {} of shard {}", flow.index, flow.shard),
    }
}

/// The contacts that a message has changed are those that were told.
#[track_caller]
fn check_bindings(site: &Site, before: &[(String, String)], explained: &Explanation, what: &str) {
    let mut expected = before.to_vec();
    for change in &explained.changed {
        let of = |contact: &str| (change.aor.clone(), contact.to_owned());
        expected.retain(|binding| !change.removed.iter().any(|gone| *binding == of(&gone.contact)));
        expected.extend(change.added.iter().map(|new| of(&new.contact)));
    }
    expected.sort();
    assert_eq!(site.contacts(), expected, "{what}");
}
