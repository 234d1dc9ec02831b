//! RFC 4475 and RFC 5118 case by case: what a registrar and proxy does with each message. The RFCs leave many choices; what is
//! taken here, and why, stands with the case. Each case has a message of its own, and is played with the RFC's exact bytes too
//! where the corpus lies beside the repository.

use std::path::{Path, PathBuf};

use strowger_sip::Destination;
use strowger_syntax::message::{Index, Message};
use strowger_syntax::{Limits, Name};
use strowger_testkit::message::{lines, registration, request};
use strowger_testkit::{Plan, Site, peer};

use crate::torture_cases::{CASES, Case};

/// What is ours. The IPv6 hosts are those that the cases tell apart.
const DOMAINS: &[&str] = &[
    "example.com",
    "2001:db8::10",
    "2001:db8::10:5070",
    "2001:db8::192.0.2.1",
];

/// Who of them is registered, at bob's.
const USERS: [&str; 7] = [
    "sip:user@example.com",
    "sip:UserB@example.com",
    "sip:remote-target@example.com",
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",
    "sip:user;par=u%40example.net@example.com",
    "sip:user@[2001:db8::10]",
    "sip:user@[2001:db8::192.0.2.1]",
];

/// A node that relays for alice.
fn site() -> Site {
    let mut site = Site::of(Plan {
        domains: DOMAINS,
        trusted: &["192.0.2.10/32"],
        ..Plan::default()
    });
    for (n, user) in USERS.iter().enumerate() {
        site.send(
            'b',
            &registration('b', user, "<sip:bob@192.0.2.11>", n as u32 + 1),
        );
        assert_eq!(site.log(), "b 200", "{user}");
    }
    site
}

/// Plays a message: what the sender gets and what is forwarded, comma-separated, and the text of the last of these.
fn play(site: &mut Site, bytes: &[u8]) -> (String, String) {
    site.send_bytes('a', bytes);
    while let Some(question) = site.question() {
        site.answer_question(&question, &[peer::address('d').ip()]);
    }
    let sent = site.new_messages();
    let described = sent.iter().map(|(to, message)| match is_back(*to) {
        true => status(message),
        false => forwarded(bytes, message),
    });
    let described = described.collect::<Vec<_>>().join(", ");
    let last = sent
        .last()
        .map(|(_, message)| String::from_utf8_lossy(message).into_owned());
    (described, last.unwrap_or_default())
}

fn is_back(to: Destination) -> bool {
    matches!(to, Destination::Datagram { to, .. } if to.ip() == peer::address('a').ip())
}

fn status(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("SIP/2.0 ").expect("an answer").to_owned()
}

/// That a message went on as it came, but for what a proxy has to change (RFC 3261 §16.6).
fn forwarded(original: &[u8], forwarded: &[u8]) -> String {
    let (mut before, mut after) = (Index::default(), Index::default());
    let before = before.parse(original, &Limits::DEFAULT).expect("was taken");
    let after = after.parse(forwarded, &Limits::DEFAULT).expect("is good");
    let ours = [
        Name::Via,
        Name::MaxForwards,
        Name::MaxBreadth,
        Name::Route,
        Name::RecordRoute,
    ];
    // A datagram may lack it, a stream may not (§16.6 step 9).
    let counted = before.has(Name::ContentLength);
    let others = |message: Message<'_>| {
        let others = message
            .fields()
            .filter(|field| !ours.contains(&field.name) && (counted || field.name != Name::ContentLength));
        others
            .map(|field| field.line.of(message.bytes()).to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(others(after), others(before), "every other field is as it was");
    assert_eq!(after.body(), before.body(), "and the body");
    assert_eq!(after.method_text(), before.method_text(), "and the method");
    let below = |message: Message<'_>, skip| {
        message
            .elements(Name::Via)
            .skip(skip)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    assert_eq!(below(after, 2), below(before, 1), "and the lower Vias");
    assert!(
        !after.request_uri().contains(&b'?'),
        "no headers in a Request-URI"
    );
    "forwarded".to_owned()
}

/// The exact bytes of the RFC's archive.
fn exact(case: &Case) -> Option<Vec<u8>> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut places = above.map(|directory| directory.join("shared/corpus/torture"));
    let corpus: PathBuf = places.find(|place| place.is_dir())?;
    if case.clause.starts_with("RFC 4475") {
        let mut bytes = std::fs::read(corpus.join("rfc4475").join(format!("{}.dat", case.name))).ok()?;
        // Of one the archive lacks the empty line, which is not what is wrong with it.
        if case.name == "baddn" {
            bytes.extend_from_slice(b"\r\n");
        }
        return Some(bytes);
    }
    // This archive has bare line feeds, and of two messages the empty line is missing.
    let bytes = std::fs::read(corpus.join("rfc5118").join(case.name)).ok()?;
    let text = String::from_utf8_lossy(&bytes)
        .replace("\r\n", "\n")
        .replace('\n', "\r\n");
    let end = if text.contains("\r\n\r\n") { "" } else { "\r\n" };
    Some((text + end).into_bytes())
}

#[test]
fn every_torture_message_gets_what_its_rfc_says() {
    let mut wrong = Vec::new();
    for case in CASES {
        let archive = exact(case).map(|bytes| (bytes, case.printed.unwrap_or(case.outcome)));
        for (bytes, outcome) in [(case.own.message(), case.outcome)].into_iter().chain(archive) {
            let mut site = site();
            let (found, last) = play(&mut site, &bytes);
            if found != outcome || !last.contains(case.says) {
                wrong.push(format!("{} {}: {found}\n{last}", case.clause, case.name));
            }
            site.assert_ends();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_message_of_the_archives_is_a_case() {
    assert_eq!(
        CASES
            .iter()
            .filter(|case| case.clause.starts_with("RFC 4475"))
            .count(),
        49
    );
    assert_eq!(
        CASES
            .iter()
            .filter(|case| case.clause.starts_with("RFC 5118"))
            .count(),
        12
    );
    assert!(CASES.iter().all(|case| !case.why.is_empty()));
}

// RFC 4475 §3.3.14, RFC 3261 §16.6 step 2, §19.1.1.
#[test]
fn a_contact_keeps_its_headers_and_no_request_gets_them() {
    let mut site = Site::new();
    let contact = "<sip:bob@192.0.2.11?Route=%3Csip:sip.example.com%3E>";
    site.send('b', &registration('b', "sip:bob@example.test", contact, 1));
    assert!(site.last('b', "SIP/2.0 200").contains(contact));
    site.send('a', &request('a', "MESSAGE", "sip:bob@example.test", 1));
    let forwarded = site.last('b', "MESSAGE");
    assert!(
        forwarded.starts_with("MESSAGE sip:bob@192.0.2.11 SIP/2.0\r\n"),
        "{forwarded}"
    );
    assert!(lines(forwarded, "Route").is_empty(), "{forwarded}");
}

// RFC 4475 §3.1.2.11, RFC 3261 §19.1.1.
#[test]
fn headers_in_a_request_uri_are_refused_by_registrar_and_node_too() {
    let mut site = Site::new();
    for method in ["REGISTER", "OPTIONS"] {
        let answer = site.ask(
            'a',
            &request('a', method, "sip:example.test?Route=%3Csip:x%3E", 1),
        );
        assert!(
            answer.starts_with("SIP/2.0 400 Headers In Request-URI\r\n"),
            "{answer}"
        );
    }
}

// RFC 4475 §3.3.7: the second choice that it gives a registrar.
#[test]
fn where_digest_is_on_an_unknown_scheme_is_challenged() {
    let mut site = Site::of(Plan {
        domains: DOMAINS,
        challenged: &["REGISTER"],
        ..Plan::default()
    });
    let case = CASES
        .iter()
        .find(|case| case.name == "regaut01")
        .expect("is there");
    let (found, last) = play(&mut site, &case.own.message());
    assert_eq!(found, "401 Unauthorized");
    assert!(last.contains("WWW-Authenticate: Digest "), "{last}");
}
