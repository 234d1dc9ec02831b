//! What strangers, and those who should know better, send to harm: registrations, flows, GRUUs, pushes, subscriptions, keep-alives,
//! trunks and multicast. Nothing of it makes the node send much, hold much, say what is secret, or fail.

use std::fmt::Write as _;

use strowger_testkit::message::{lines, registration, request, with};
use strowger_testkit::{Plan, Site, peer};

/// How often each attack is tried.
const TIMES: u32 = 100;
/// What it may leave behind, in bytes: tables that have grown stay as large for a while.
const LEFT: u64 = 1 << 20;

/// A secret of a device, and the password of a trunk.
const SECRETS: [&str; 2] = ["00fc13adff78512", "hunter2"];

const SETTINGS: &str = "[push]\n[[push.provider]]\nname = \"acme\"\nurl = \"http://127.0.0.1:1/wake\"\n\
    [[register]]\nname = \"provider\"\naor = \"sip:4711@provider.example\"\nregistrar = \"sip:192.0.2.20\"\n\
    password = \"hunter2\"\ntrusted = true\n\
    [[route]]\nname = \"registrar\"\nwhen.domain = [\"else.test\"]\nto = [\"sip:192.0.2.19:5060\"]\nopen = true\n";

/// A site with a trunk that is registered, a device of bob's that sleeps, and what lets strangers register elsewhere. With digest
/// where strangers are asked who they are.
fn site(digest: bool) -> Site {
    let mut site = Site::of(Plan {
        routing: SETTINGS,
        challenged: if digest { &["REGISTER", "INVITE"] } else { &[] },
        trusted: &["192.0.2.11/32"],
        max_transactions: 100,
        ..Plan::default()
    });
    site.pass(1);
    let ok = site.response('k', 200, "Contact: <sip:4711@192.0.2.1:5060>;expires=3600");
    site.send('k', &ok);
    let device = format!(
        "<sip:bob@192.0.2.11:5060;pn-provider=acme;pn-param=app;pn-prid={}>;+sip.instance=\"<urn:uuid:1>\"",
        SECRETS[0]
    );
    let text = registration('b', "sip:bob@example.test", &device, 1);
    site.send('b', &with(&text, "Supported: gruu, path, outbound"));
    site.log();
    site
}

struct Attack {
    name: &'static str,
    /// What is sent by one of the strangers.
    make: fn(who: char, n: u32) -> Vec<u8>,
}

fn register(who: char, contact: &str, n: u32) -> String {
    registration(who, "sip:bob@example.test", contact, n).replace("call1@", &format!("call{n}@"))
}

/// A text without end, as far as a datagram has room.
fn long(part: &str, bytes: usize) -> String {
    part.repeat(bytes / part.len())
}

fn stun(kind: [u8; 2], attributes: &[u8]) -> Vec<u8> {
    let len = (attributes.len() as u16).to_be_bytes();
    let head: &[u8] = &[kind, len].concat();
    [head, b"\x21\x12\xa4\x42abcdefghijkl", attributes].concat()
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "a REGISTER with very many contacts",
        make: |who, n| {
            let mut contacts = String::new();
            for at in 0..1500 {
                let _ = write!(contacts, "<sip:x{at}@192.0.2.{who}>,", who = who as u8);
            }
            register(who, &format!("{contacts}<sip:y@192.0.2.9>"), n).into_bytes()
        },
    },
    Attack {
        name: "contacts of which each is longer than the one before",
        make: |who, n| {
            let contact = format!("<sip:x@192.0.2.9;{}>", long("x=y;", 200 * n as usize));
            register(who, &contact, n).into_bytes()
        },
    },
    Attack {
        name: "a REGISTER for ever",
        make: |who, n| {
            let contact = format!("<sip:x{n}@192.0.2.9>;expires=99999999999999999999");
            register(who, &contact, n).into_bytes()
        },
    },
    Attack {
        name: "instances and flows that are none",
        make: |who, n| {
            let value = [
                "+sip.instance=\"<\"",
                "+sip.instance",
                "+sip.instance=\"<urn:uuid:1>\";reg-id=0",
                "+sip.instance=\"<urn:uuid:1>\";reg-id=99999999999",
                "reg-id=1;reg-id=2;+sip.instance=\"<a>\";+sip.instance=\"<b>\"",
                "+sip.instance=\"<\\\"\\\\>\";reg-id=1",
            ][n as usize % 6];
            let text = register(who, &format!("<sip:x@192.0.2.9>;{value}"), n);
            with(&text, "Supported: gruu, path, outbound").into_bytes()
        },
    },
    Attack {
        name: "a Path of very many proxies",
        make: |who, n| {
            let path = long("<sip:192.0.2.9;lr>,", 20_000);
            let text = register(who, "<sip:x@192.0.2.9>", n);
            with(&text, &format!("Supported: path\r\nPath: {path}<sip:a;lr>")).into_bytes()
        },
    },
    Attack {
        name: "a REGISTER through an open route",
        make: |who, n| {
            let contact = format!("<sip:x@192.0.2.9>;reg-id={n};+sip.instance=\"<urn:uuid:1>\"");
            let text = registration(who, "sip:x@else.test", &contact, n);
            let text = text.replace("sip:example.test SIP", "sip:else.test SIP");
            with(&text, "Supported: path, outbound").into_bytes()
        },
    },
    Attack {
        name: "flow tokens that were guessed",
        make: |who, n| {
            let token = long(
                &format!("{:02x}", n % 256),
                [26, 28, 38, 52, 60, 20_000][n as usize % 6],
            );
            let text = request(who, "INVITE", "sip:bob@example.test", n);
            with(&text, &format!("Route: <sip:{token}@192.0.2.1;lr;ob>")).into_bytes()
        },
    },
    Attack {
        name: "GRUUs that were guessed",
        make: |who, n| {
            let user = long("AbCd_-09", 8 + 100 * n as usize);
            let uri = match n % 3 {
                0 => format!("sip:{user}@example.test;gr"),
                1 => format!("sip:tgruu.{user}@example.test;gr"),
                _ => format!("sip:bob@example.test;gr={user}"),
            };
            request(who, "MESSAGE", &uri, n).into_bytes()
        },
    },
    Attack {
        name: "contacts that name a device of theirs",
        make: |who, n| {
            let prid = long("p", 150 * n as usize + 1);
            let contact = format!("<sip:x@192.0.2.9;pn-provider=acme;pn-param=app;pn-prid={prid}>");
            register(who, &contact, n).into_bytes()
        },
    },
    Attack {
        name: "references to devices that were guessed",
        make: |who, n| {
            let uri = format!(
                "sip:bob@192.0.2.1;pn-purr={}",
                long("AbCd_-09", 8 + 100 * n as usize)
            );
            request(who, "INVITE", &uri, n).into_bytes()
        },
    },
    Attack {
        name: "calls to a device that sleeps",
        make: |who, n| request(who, "INVITE", "sip:bob@example.test", n).into_bytes(),
    },
    Attack {
        name: "subscriptions with all that they can have much of",
        make: |who, n| {
            let routes = long("<sip:192.0.2.9;lr>,", 4000);
            let text = request(who, "SUBSCRIBE", "sip:bob@example.test", n);
            let fields = format!(
                "Event: reg;id={}\r\nExpires: 4294967295\r\nContact: <sip:x@192.0.2.9;{}>\r\nRecord-Route: {routes}<sip:a;lr>",
                long("i", 8000),
                long("x=y;", 4000)
            );
            with(&text, &fields).into_bytes()
        },
    },
    Attack {
        name: "subscriptions that are begun again and again",
        make: |who, n| {
            let text = request(who, "SUBSCRIBE", "sip:bob@example.test", n);
            let fields = format!(
                "Event: reg\r\nExpires: 600\r\nContact: <sip:x@{}>",
                peer::address(who)
            );
            with(&text, &fields).into_bytes()
        },
    },
    Attack {
        name: "refreshes of subscriptions that were guessed",
        make: |who, n| {
            let text = request(who, "SUBSCRIBE", "sip:192.0.2.1:5060", n).replace(
                "To: <sip:192.0.2.1:5060>",
                &format!("To: <sip:bob@example.test>;tag={n:016x}"),
            );
            with(&text, "Event: reg\r\nExpires: 600\r\nContact: <sip:x@192.0.2.9>").into_bytes()
        },
    },
    Attack {
        name: "answers to nothing that was asked",
        make: |who, n| {
            let method = ["NOTIFY", "REGISTER", "OPTIONS", "INVITE"][n as usize % 4];
            let code = ["200", "401", "407", "408", "423", "481", "503"][n as usize % 7];
            format!(
                "SIP/2.0 {code} X\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{n:032x}\r\nFrom: <sip:x@192.0.2.1>;tag={who}\r\n\
                 To: <sip:x@192.0.2.1>;tag=1\r\nCall-ID: {n}\r\nCSeq: 1 {method}\r\nContact: <sip:x@192.0.2.9>\r\n\
                 WWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
            )
            .into_bytes()
        },
    },
    Attack {
        name: "a provider that is none",
        make: |who, n| request(who, "INVITE", "sip:4711@192.0.2.1:5060", n).into_bytes(),
    },
    Attack {
        name: "STUN with what nobody knows",
        make: |_, n| stun([0, 1], &b"\x7f\xff\0\0".repeat(n as usize)),
    },
    Attack {
        name: "STUN that is cut, or says that it is longer",
        make: |_, n| {
            let mut text = stun([0, 1], &[0, 6, 0xff, 0xff, 1, 2, 3, 4]);
            text[3] = (n % 40) as u8;
            text.truncate(n as usize % 29);
            text
        },
    },
    // RFC 8489 §6.3: two servers that answered each other's answers would never end.
    Attack {
        name: "answers to STUN requests",
        make: |_, n| stun([[1, 1], [1, 0x11], [0, 0x11]][n as usize % 3], &[]),
    },
];

/// RFC 3261 §26.1.5: what attacks make the node send is no more than three times what they are, not counting what users of ours and
/// targets of open routes get for each; and it holds nothing of them when they are over.
#[test]
fn no_attack_makes_the_node_send_or_hold_much() {
    for digest in [true, false] {
        for attack in ATTACKS {
            let what = format!("{}, digest: {digest}", attack.name);
            let mut site = site(digest);
            let before: u64 = site.memory().values().sum();
            site.journal();
            let (mut came, mut most, mut pushed) = (0, 0, 0);
            for n in 1..=TIMES {
                let who = char::from(b'd' + (n % 5) as u8);
                let bytes = (attack.make)(who, n);
                assert!(bytes.len() < 65_000, "{what}: {}", bytes.len());
                came += bytes.len();
                site.send_bytes(who, &bytes);
                pushed += usize::from(site.push().is_some());
                most = most.max(site.memory().values().sum::<u64>());
                site.pass(10);
            }
            let strangers = || "defgh".chars();
            let told: usize = strangers().map(|who| site.bytes_to(who)).sum();
            assert!(!digest || told <= 3 * came, "{what}: {told} bytes for {came}");
            // Each message is in a transaction of its own at the most, and a subscription is kept as it came.
            assert!(
                most - before < (8 << 20),
                "{what}: {} bytes at once",
                most - before
            );
            assert!(pushed <= 1, "{what}: pushed {pushed} times");
            let said = site.journal().join("\n");
            for secret in SECRETS {
                assert!(!said.contains(secret), "{what}: {said}");
            }
            assert!(said.len() < came + 100_000, "{what}: {} bytes of log", said.len());
            site.pass(4_000_000);
            let after: u64 = site.memory().values().sum();
            assert!(
                after < before + LEFT,
                "{what}: {before} bytes before, {after} after"
            );
        }
    }
}

/// RFC 3261 §10.2.6: a group hears no attack answered.
#[test]
fn no_attack_by_multicast_is_answered() {
    let group = "224.0.1.75:5060".parse().expect("an address");
    for attack in ATTACKS {
        let mut site = site(true);
        site.new_messages();
        let mut came = 0;
        for n in 1..=20 {
            let bytes = (attack.make)('d', n);
            came += bytes.len();
            site.send_multicast('d', group, &bytes);
        }
        let sent: usize = site.new_messages().iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(sent <= 3 * came, "{}: {sent} bytes for {came}", attack.name);
        // Who asks to be registered here is challenged; nothing else gets an answer.
        let log = String::from_utf8_lossy(&(attack.make)('d', 1)).starts_with("REGISTER");
        assert!(log || sent == 0, "{}: {sent}", attack.name);
    }
}

/// What a registrar that means us harm may answer a REGISTER of ours with.
const PROVIDER: &[(u16, &str)] = &[
    (200, "Contact: <sip:4711@192.0.2.1:5060>;expires=0"),
    (200, "Contact: <sip:4711@192.0.2.1:5060>;expires=1"),
    (200, "Contact: <sip:4711@192.0.2.1:5060>;expires=99999999999999"),
    (200, "Expires: x"),
    (200, "Contact: *"),
    (200, "Service-Route: <sip:a;lr"),
    (423, "Min-Expires: 4294967295"),
    (423, "Min-Expires: 0"),
    (423, "Subject: x"),
    (401, "Subject: x"),
    (401, "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\""),
    (
        401,
        "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\", stale=true",
    ),
    (
        401,
        "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\", qop=\"auth-int\", algorithm=ROT13",
    ),
    (401, "WWW-Authenticate: Basic realm=\"x\""),
    (407, "Proxy-Authenticate: Digest realm=\"\", nonce=\"\""),
    (301, "Contact: <sip:192.0.2.13>"),
    (302, "Contact: *"),
    (503, "Retry-After: 0"),
    (503, "Retry-After: 99999999999"),
    (100, "Subject: x"),
    (699, "Retry-After: 0"),
];

/// RFC 3261 §10.2.7, §22.2: whatever a registrar says, it is not asked without pause, and is told no password.
#[test]
fn a_registrar_that_means_harm_is_asked_seldom() {
    for &(code, fields) in PROVIDER {
        let mut site = Site::of(Plan {
            routing: SETTINGS,
            ..Plan::default()
        });
        let long = format!(
            "{fields}\r\nService-Route: {}",
            long("<sip:192.0.2.9;lr>,", 9000) + "<sip:b;lr>"
        );
        let (mut asked, mut told) = (0, 0);
        for turn in 0..3600 {
            site.pass(1000);
            let log = site.log();
            told += site.bytes_to('k');
            let is_asked = log.contains("k REGISTER");
            asked += log.matches(" REGISTER").count();
            if is_asked {
                let text = site.last('k', "REGISTER");
                assert!(!text.contains(SECRETS[1]), "{text}");
                assert_eq!(lines(text, "To"), ["<sip:4711@provider.example>"]);
                let with_long = if turn % 2 == 0 { fields } else { &long };
                let answer = site.response('k', code, with_long);
                site.send('k', &answer);
            }
            // It may name another one.
            let others = log
                .split(", ")
                .filter(|one| !one.is_empty() && !one.starts_with("k "));
            assert!(code / 100 == 3 || others.count() == 0, "{code} {fields}: {log}");
        }
        // Once a second is for those that grant a second.
        let most = if fields.ends_with("expires=1") { 3700 } else { 400 };
        assert!(asked <= most, "{code} {fields}: {asked} times in an hour");
        assert!(told > 0);
        let said = site.journal().join("\n");
        assert!(
            !said.contains(SECRETS[1]) && said.len() < 600_000,
            "{code} {fields}: {}",
            said.len()
        );
    }
}
