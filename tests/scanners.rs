//! The scanners that visit every public SIP server (sipvicious), against a server with a thousand users: they learn
//! nothing, guess nothing, and nobody else notices.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use system_tests::server::{DOMAIN, Server, Setup, strowger};
use system_tests::sipvicious::scan;
use system_tests::wait::{Ends, until_true};
use system_tests::{Message, Peer, Scratch};

/// Users have the numbers from 1000 to 1999.
const USERS: std::ops::Range<u32> = 1000..2000;

fn password(user: u32) -> String {
    format!("{user}-secret")
}

fn aor(user: u32) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// The server with its users.
fn start(setup: Setup) -> Server {
    let server = setup.start();
    let mut lines = String::new();
    for user in USERS {
        let _ = writeln!(lines, "{user}@{DOMAIN},{}", password(user));
    }
    let file = server.scratch().write("thousand.csv", lines);
    let (file, data) = (
        file.to_string_lossy(),
        server.data().to_string_lossy().into_owned(),
    );
    let ended = strowger(&["user", "import", &file, "--data-dir", &data]);
    assert!(ended.succeeded(), "{ended:?}");
    server
}

/// A phone of one of the users, at an address that is not the scanners'.
fn phone(server: &Server, user: u32) -> Peer {
    Peer::udp_at("127.0.0.9:0", server.sip()).registered_as(&aor(user), &password(user))
}

fn svwar(server: &Server, method: &str, range: &str) -> Vec<String> {
    let arguments = [
        "-e",
        range,
        "-m",
        method,
        "--domain",
        DOMAIN,
        "--force",
        "--maximumtime",
        "3",
    ];
    scan("svwar", server.sip(), &arguments)
}

/// A dictionary with the right password in this place.
fn dictionary(scratch: &Scratch, user: u32, right: usize) -> String {
    let guesses = (1..right).map(|n| format!("guess{n}\n"));
    // It does not wait for answers: some of these are asked before it knows that it was right, fewer than a ban takes.
    let after = (0..4).map(|n| format!("after{n}\n"));
    let text: String = guesses.chain([password(user) + "\n"]).chain(after).collect();
    let name = format!("dictionary-{user}");
    scratch.write(&name, text).to_string_lossy().into_owned()
}

fn svcrack(server: &Server, user: u32, right: usize) -> Vec<String> {
    let dictionary = dictionary(server.scratch(), user, right);
    let user = user.to_string();
    scan(
        "svcrack",
        server.sip(),
        &["-u", &user, "-d", &dictionary, "--domain", DOMAIN],
    )
}

/// Requests of a method that the server has received.
fn received(server: &Server, method: &str) -> u64 {
    server.metric(&format!(
        "strowger_sip_requests_received_total{{method=\"{method}\"}}"
    ))
}

// svwar asks about a name of its own, then about those of the range, and gives up at an answer that tells them not apart.
#[test]
fn svwar_finds_no_user_whether_registered_away_or_not_there() {
    let server = start(Setup::with_digest());
    let _phones: Vec<_> = (1500..1510).map(|user| phone(&server, user)).collect();
    for method in ["REGISTER", "OPTIONS", "INVITE"] {
        for range in ["1500-1509", "1100-1109", "3000-3009"] {
            let before = received(&server, method);
            assert_eq!(svwar(&server, method, range), [] as [&str; 0], "{method} {range}");
            let asked = received(&server, method) - before;
            assert!(asked >= 2, "{method} {range}: {asked}");
        }
    }
    // That it finds users where there is something to find.
    let open = start(Setup::new());
    let found = svwar(&open, "OPTIONS", "1995-2004");
    assert_eq!(found.len(), 5, "{found:?}");
}

/// What is answered to a question about a user, without the name and the nonce. All questions are alike but for the name.
fn told(peer: &Peer, method: &str, user: u32) -> String {
    let aor = aor(user);
    let uri = match method {
        "REGISTER" => format!("sip:{DOMAIN}"),
        _ => aor.clone(),
    };
    let via = format!("SIP/2.0/UDP {};branch=z9hG4bKquestion;rport", peer.address());
    peer.send(
        &Message::request(method, &uri)
            .with("Via", via)
            .with("Max-Forwards", "70")
            .with("From", format!("<{aor}>;tag=question"))
            .with("To", format!("<{aor}>"))
            .with("Call-ID", "question")
            .with("CSeq", format!("1 {method}"))
            .with("Contact", format!("<sip:somebody@{}>", peer.address())),
    );
    let answer = peer.response().text().replace(&aor, "NAME");
    let (begin, nonce) = answer.split_once("nonce=\"").expect("a challenge");
    let (_, end) = nonce.split_once('"').expect("a quoted string");
    format!("{begin}nonce=\"{end}")
}

#[test]
fn every_user_is_answered_like_a_name_that_nobody_has() {
    let server = start(Setup::with_digest());
    let _phones: Vec<_> = (1500..1510).map(|user| phone(&server, user)).collect();
    for (method, address) in [
        ("REGISTER", "127.0.0.2:0"),
        ("OPTIONS", "127.0.0.3:0"),
        ("INVITE", "127.0.0.4:0"),
    ] {
        // What one source is refused is bounded.
        let peer = Peer::udp_at(address, server.sip());
        let nobody = told(&peer, method, 3000);
        assert!(nobody.starts_with("SIP/2.0 40"), "{nobody}");
        for user in USERS {
            assert_eq!(told(&peer, method, user), nobody, "{method} {user}");
        }
    }
}

#[test]
fn svmap_learns_that_there_is_a_server_and_no_more() {
    let server = start(Setup::with_digest());
    let found = scan("svmap", server.sip(), &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("unknown"), "not which one: {found:?}");
}

#[test]
fn svcrack_is_stopped_before_the_right_password_and_the_user_is_not() {
    let server = start(Setup::with_digest());
    assert_eq!(svcrack(&server, 1001, 5).len(), 1, "a short dictionary has it");
    assert_eq!(svcrack(&server, 1002, 200), [] as [&str; 0]);
    let bans = server.ctl_json("bans");
    assert_eq!(bans.as_array().map(Vec::len), Some(1), "{bans}");
    let account = format!("1002@{DOMAIN}");
    assert_eq!(
        (bans[0]["source"].as_str(), bans[0]["account"].as_str()),
        (Some("127.0.0.1"), Some(account.as_str()))
    );
    phone(&server, 1002);
    let ask = |user| {
        let peer = Peer::udp(server.sip());
        let response = peer.exchange_as(&peer.register(&aor(user), 60), &user.to_string(), &password(user));
        response.status()
    };
    assert_eq!(ask(1003), Some(200), "another user behind the scanner's address");
    assert_eq!(ask(1002), Some(403));
    let lifted = server.ctl(&["unban", "127.0.0.1", &account]);
    assert!(
        lifted.succeeded() && lifted.stdout.contains(&account),
        "{lifted:?}"
    );
    assert_eq!(ask(1002), Some(200));
    let again = server.ctl(&["unban", "127.0.0.1"]);
    assert!(!again.succeeded() && again.stderr.contains("no ban"), "{again:?}");
}

/// How long a phone waits for each of so many REGISTERs (with their challenges) and OPTIONS: the 99th percentile.
fn p99(phone: &Peer, user: u32, rounds: usize) -> Duration {
    let name = user.to_string();
    let mut times: Vec<Duration> = (0..rounds)
        .flat_map(|_| {
            let begin = Instant::now();
            let response = phone.exchange_as(&phone.register(&aor(user), 300), &name, &password(user));
            assert_eq!(response.status(), Some(200), "{}", response.text());
            let registered = begin.elapsed();
            let options = phone.request(
                "OPTIONS",
                &format!("sip:{DOMAIN}"),
                &aor(user),
                &format!("sip:{DOMAIN}"),
            );
            let begin = Instant::now();
            let response = phone.exchange(&options);
            assert_eq!(response.status(), Some(200), "{}", response.text());
            [registered, begin.elapsed()]
        })
        .collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Runs the scanners one after the other until it is enough.
fn keep_scanning(server: &Server, enough: &AtomicBool, scanner: impl Fn(&Server, u32)) {
    for round in 0.. {
        if enough.load(Ordering::Relaxed) {
            return;
        }
        scanner(server, round);
    }
}

/// [`p99`] while scanners are at work.
fn p99_scanned(server: &Server, phone: &Peer, user: u32, rounds: usize) -> Duration {
    let enough = AtomicBool::new(false);
    let before = received(server, "REGISTER");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            keep_scanning(server, &enough, |server, _| {
                drop(svwar(server, "REGISTER", "1000-1999"))
            })
        });
        scope.spawn(|| {
            keep_scanning(server, &enough, |server, round| {
                drop(svcrack(server, 1000 + round, 200))
            })
        });
        let _enough = Ends(&enough);
        let begun = || received(server, "REGISTER") > before + 10;
        assert!(until_true(Duration::from_secs(60), begun), "no scanner has begun");
        p99(phone, user, rounds)
    })
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

// A machine with other work to do has percentiles of its own: windows with and without scanners take turns, and their
// medians are compared, of more of them while the machine is in the way.
#[test]
fn phones_at_other_addresses_are_served_as_quickly_while_scanners_are_at_work() {
    let server = start(Setup::with_digest().toml("[location]\nstore = \"memory\""));
    let phone = phone(&server, 1700);
    let rounds = if system_tests::full() { 2000 } else { 300 };
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    let served = (1..=15).any(|windows| {
        quiet.push(p99(&phone, 1700, rounds));
        busy.push(p99_scanned(&server, &phone, 1700, rounds));
        let most = (2 * median(&mut quiet)).max(Duration::from_millis(2));
        windows >= 3 && median(&mut busy) <= most
    });
    println!("p99 without scanners {quiet:?}, with scanners {busy:?}");
    assert!(served, "p99 without scanners {quiet:?}, with scanners {busy:?}");
}
