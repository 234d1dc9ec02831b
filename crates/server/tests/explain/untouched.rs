//! Nothing is left of an explanation.

use std::io::ErrorKind;
use std::net::UdpSocket;

use strowger_server::config;
use strowger_server::explain::{Candidate, Circumstances, CredentialsOutcome, Names, Outcome, Step};
use strowger_testkit::message::{authorize, registration, request};
use strowger_testkit::{Plan, Scratch, Site};

fn digest() -> Site {
    Site::of(Plan {
        challenged: &["REGISTER", "INVITE"],
        ..Plan::default()
    })
}

#[test]
fn a_nonce_count_is_not_used_up() {
    let mut site = digest();
    let text = registration('a', "sip:alice@example.test", "<sip:alice@192.0.2.10>", 1);
    let challenge = site.ask('a', &text);
    let text = authorize(&text, &challenge, "alice", 1);
    for _ in 0..3 {
        let explained = site.explain('a', text.as_bytes(), false, "");
        assert_eq!(explained.verdict.outcome, Outcome::Answered);
        assert_eq!(explained.changed[0].added.len(), 1);
        assert!(explained.steps.contains(&Step::NonceCount { fresh: true }));
    }
    assert!(site.ask('a', &text).starts_with("SIP/2.0 200 "));
    let again = authorize(&text.replace("bKr1", "bKr2"), &challenge, "alice", 1);
    assert!(again.contains("nc=00000001"));
    let explained = site.explain('a', again.as_bytes(), false, "");
    assert!(explained.steps.contains(&Step::NonceCount { fresh: false }));
}

#[test]
fn nobody_is_banned_and_no_refusal_is_charged() {
    let mut site = digest();
    let text = request('d', "INVITE", "sip:bob@example.test", 1);
    let challenge = site.ask('d', &text);
    let wrong = authorize(&text, &challenge, "alice", 1).replace("response=\"", "response=\"0");
    for _ in 0..5000 {
        // The first of thousands and the last are the same.
        let explained = site.explain('d', wrong.as_bytes(), false, "");
        let wrong = explained.steps.iter().any(|step| {
            matches!(
                step,
                Step::Credentials {
                    outcome: CredentialsOutcome::Wrong,
                    ..
                }
            )
        });
        assert!(wrong, "{:?}", explained.steps);
        if std::env::var_os("STROWGER_FULL").is_none() {
            break;
        }
    }
    for _ in 0..20 {
        site.explain('d', wrong.as_bytes(), false, "");
    }
    assert!(site.ask('d', &wrong).starts_with("SIP/2.0 407 "));
    let right = authorize(&text, &challenge, "alice", 1).replace("From: <sip:somebody", "From: <sip:alice");
    assert_ne!(site.send('d', &right), usize::MAX);
    assert!(!site.log().contains("403"), "nobody was banned");
}

#[test]
fn no_secret_is_told() {
    let mut site = digest();
    let text = request('a', "INVITE", "sip:bob@example.test", 1);
    let challenge = site.ask('a', &text);
    let text = authorize(&text, &challenge, "alice", 1);
    let explained = site.explain('a', text.as_bytes(), false, "");
    let steps = format!("{:?}", explained.steps);
    let response = text
        .split("response=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    assert!(!steps.contains(response.expect("credentials")), "{steps}");
    assert!(!steps.contains("alicepw"), "{steps}");
    // What it is forwarded as, or answered with, has no credentials for us either.
    assert!(
        explained
            .sent
            .iter()
            .all(|sent| !sent.text.contains("Proxy-Authorization"))
    );
}

#[test]
fn what_follows_is_what_happens_if_nobody_answers() {
    for (method, uri) in [
        ("INVITE", "sip:bob@example.test"),
        ("MESSAGE", "sip:bob@example.test"),
        ("BYE", "sip:bob@192.0.2.11"),
        ("OPTIONS", "sip:nobody@example.test"),
    ] {
        let mut site = Site::of(Plan {
            trusted: &["192.0.2.10/32"],
            ..Plan::default()
        });
        site.register('b');
        let text = request('a', method, uri, 1);
        let explained = site.explain('a', text.as_bytes(), false, "");
        site.log();
        site.send('a', &text);
        let now = site.timed_messages();
        assert_eq!(now.len(), explained.sent.len());
        site.pass(240_000);
        let later: Vec<_> = explained
            .later
            .iter()
            .map(|later| (later.after_ms, later.sent.text.clone()))
            .collect();
        assert_eq!(site.timed_messages(), later, "{method}");
    }
}

#[test]
fn no_target_of_a_group_is_looked_for_meanwhile() {
    let dns = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    dns.set_nonblocking(true).expect("set");
    let server = dns.local_addr().expect("bound");
    let text = format!(
        "domains = [\"example.test\"]\nshards = 1\ndns.servers = [\"{server}\"]\n[[listen]]\nuri = \
         \"udp:127.0.0.1:5060\"\n[[group]]\nname = \"g\"\ntargets = [\"sip:gw.test\"]\nprobe = \"1s\"\n"
    );
    let config = config::check(&text, "f").expect("a configuration");
    let (scratch, now) = (Scratch::new(), strowger_net::now());
    let candidate = Candidate::open(&config, scratch.path(), now).expect("opened");
    let names = Names::of(None, &config.dns).expect("DNS");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let invite = request('a', "INVITE", "sip:bob@example.test", 1);
    let wanted = Circumstances::default();
    let explained = candidate.explain(invite.as_bytes(), &wanted, now, &names);
    let explained = runtime.block_on(explained).expect("explained");
    assert_eq!(explained.verdict.outcome, Outcome::Refused);
    let asked = dns.recv(&mut [0; 512]).map_err(|error| error.kind());
    assert_eq!(asked, Err(ErrorKind::WouldBlock));
}
