//! Another configuration while the server runs: all of it or nothing, listeners included, and no call is lost.
#![cfg(target_os = "linux")]

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::peer::sdp;
use system_tests::process::{Ended, Signal};
use system_tests::server::{DOMAIN, Server, Setup, await_ready, serve};
use system_tests::sipp::{Calls, Counts, Transport};
use system_tests::{Peer, Scratch, full, http, ports, wait};

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The text of the configuration that the server has begun with.
fn text(server: &Server) -> String {
    std::fs::read_to_string(server.config()).expect("the file that it was started with")
}

fn write(server: &Server, text: &str) {
    std::fs::write(server.config(), text).expect("a file of the test's own");
}

/// With one more listener.
fn with_listener(text: &str, uri: &str) -> String {
    format!("{text}\n[[listen]]\nuri = \"{uri}\"\n")
}

fn reload(server: &Server) -> Ended {
    server.ctl(&["reload"])
}

/// Puts a configuration into force.
#[track_caller]
fn apply(server: &Server, text: &str) {
    write(server, text);
    let ended = reload(server);
    assert!(ended.succeeded(), "{ended:?}\n{}", server.process().output());
}

/// That a configuration is refused with this in the answer, and nothing has changed.
#[track_caller]
fn assert_refused(server: &Server, text: &str, why: &str) {
    let before = server.ctl_json("status");
    write(server, text);
    let ended = reload(server);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains(why), "`{why}` is not in\n{told}");
    let after = server.ctl_json("status");
    assert_eq!(
        (&before["config"], &before["listeners"], &before["domains"]),
        (&after["config"], &after["listeners"], &after["domains"])
    );
}

/// What the status says of the configuration.
fn config(server: &Server) -> Value {
    server.ctl_json("status")["config"].clone()
}

/// Memory of the server that is its own, in bytes.
fn memory(server: &Server) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", server.process().id());
    let text = std::fs::read_to_string(path).expect("a running process");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let line = line.expect("its memory").trim().trim_end_matches(" kB");
    line.parse::<u64>().expect("a number") << 10
}

fn descriptors(server: &Server) -> usize {
    let path = format!("/proc/{}/fd", server.process().id());
    std::fs::read_dir(path).expect("a running process").count()
}

/// Configurations that differ from each other in what they listen at, whose they are, what they ask and how long they
/// wait; every tenth is broken.
struct Variants {
    base: String,
    extra: [u16; 2],
}

impl Variants {
    fn of(server: &Server) -> Self {
        Self {
            base: text(server),
            extra: [ports::free(), ports::free()],
        }
    }

    fn is_broken(number: usize) -> bool {
        number % 10 == 9
    }

    fn text(&self, number: usize) -> String {
        let mut text = self.base.replace(
            &format!("domains = [\"{DOMAIN}\"]"),
            &format!("domains = [\"{DOMAIN}\", \"other{}.test\"]", number % 7),
        );
        for (place, port) in self.extra.iter().enumerate() {
            if (number >> place).is_multiple_of(2) {
                text = with_listener(&text, &format!("udp:127.0.0.1:{port}"));
            }
            if (number >> place).is_multiple_of(3) {
                text = with_listener(&text, &format!("tcp:127.0.0.1:{port}"));
            }
        }
        text += &format!("[proxy]\ntimer_c = \"{}s\"\n", 181 + number % 50);
        text += &format!("[defence]\nfailures = {}\n", 10 + number % 5);
        if Self::is_broken(number) {
            text += "banana = 1\n";
        }
        text
    }

    /// One reload; a broken one is refused with its line.
    #[track_caller]
    fn reload(&self, server: &Server, number: usize) {
        let text = self.text(number);
        write(server, &text);
        let ended = reload(server);
        if !Self::is_broken(number) {
            assert!(
                ended.succeeded(),
                "{number}: {ended:?}\n{}",
                server.process().output()
            );
            return;
        }
        let place = format!("{}:{}:1: ", server.config().display(), text.lines().count());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.starts_with(&place), "{place}: {ended:?}");
        assert!(ended.stdout.contains("banana"), "{ended:?}");
    }
}

/// A server whose retired listeners are gone soon.
fn quick() -> Server {
    Setup::new().top("drain = \"500ms\"").start()
}

#[test]
fn no_call_fails_and_nothing_grows_while_the_configuration_changes_again_and_again() {
    let server = quick();
    let variants = Variants::of(&server);
    let count = if full() { 300 } else { 20 };
    // SIPp needs a moment before its first call.
    let calls = if full() { 12_000 } else { 1_600 };
    let (caller, callee) = thread::scope(|scope| {
        let run = Calls {
            server: server.sip(),
            transport: Transport::Udp,
            calls,
            caller: None,
        };
        let running = scope.spawn(move || run.run());
        let begun = || server.metric("strowger_calls_answered_total") > 100;
        assert!(wait::until_true(Duration::from_secs(20), begun));
        let (start, span) = (Instant::now(), Duration::from_secs(u64::from(calls) / 300));
        for number in 0..count {
            variants.reload(&server, number);
            let due = span * (number as u32 + 1) / count as u32;
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
        assert!(!running.is_finished(), "the calls ended before the last reload");
        running.join().expect("SIPp ends well")
    });
    for Counts {
        successful, failed, ..
    } in [caller, callee]
    {
        assert_eq!((successful, failed), (u64::from(calls), 0));
    }
    let (applied, refused) = (count * 9 / 10, count / 10);
    let result = |result| server.metric(&format!("strowger_reloads_total{{result=\"{result}\"}}"));
    assert_eq!(
        (result("applied"), result("refused")),
        (applied as u64, refused as u64)
    );
    assert_eq!(server.metric("strowger_config_generation"), applied as u64 + 1);
    // What a call leaves for 32 seconds is not what is looked for.
    let settle = || {
        variants.reload(&server, 0);
        thread::sleep(Duration::from_secs(1));
        (memory(&server), descriptors(&server))
    };
    let before = settle();
    for number in 0..count {
        variants.reload(&server, number);
    }
    let limit = before.0 + (1 << 20);
    // What a shard has left is given back in its next turns.
    let has_settled = wait::until_true(Duration::from_secs(10), || {
        let (bytes, descriptors) = settle();
        bytes <= limit && descriptors == before.1
    });
    assert!(
        has_settled,
        "{:?} bytes and descriptors after {before:?}",
        settle()
    );
}

/// A call from a peer of a listener to one of the first listener, as far as it rings: the INVITE as it was sent and as it
/// arrived.
fn ringing(caller: &Peer, bob: &Peer) -> (system_tests::Message, system_tests::Message) {
    let invite = caller.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"));
    let invite = invite.with_body("application/sdp", &sdp(40_000));
    caller.send(&invite);
    let arrived = bob.expect_request("INVITE");
    bob.answer(&arrived, 180, "Ringing");
    caller.expect_status(180);
    (invite, arrived)
}

/// A listener that goes takes no new call; those that were begun there, also over its connections, go on to their end.
#[test]
fn a_listener_comes_and_goes_under_calls() {
    let server = Setup::new().top("drain = \"3s\"").start();
    let (first, port) = (text(&server), ports::free());
    let bob = Peer::udp(server.sip()).registered(&aor("bob"));
    assert!(TcpStream::connect(at(port)).is_err());
    let second = with_listener(&first, &format!("udp:127.0.0.1:{port}"));
    apply(&server, &with_listener(&second, &format!("tcp:127.0.0.1:{port}")));
    assert_eq!(
        server.ctl_json("status")["listeners"].as_array().map(Vec::len),
        Some(4)
    );
    let callers = [Peer::udp(at(port)), Peer::tcp(at(port))];
    let rung: Vec<_> = callers.iter().map(|caller| ringing(caller, &bob)).collect();
    // A phone that is only there while its listener is reached by another one later.
    let carol = Peer::udp(at(port)).registered(&aor("carol"));
    apply(&server, &first);
    assert!(TcpStream::connect(at(port)).is_err(), "it accepts no longer");
    for (caller, (invite, arrived)) in callers.iter().zip(&rung) {
        bob.answer(arrived, 200, "OK");
        let answered = caller.expect_status(200);
        caller.send(&caller.within("ACK", invite, &answered));
        bob.expect_request("ACK");
        caller.send(&caller.within("BYE", invite, &answered));
        bob.answer(&bob.expect_request("BYE"), 200, "OK");
        caller.expect_status(200);
        let another = caller.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"));
        assert_eq!(caller.exchange(&another).status(), Some(503));
    }
    let is_free = || UdpSocket::bind(at(port)).is_ok() && TcpListener::bind(at(port)).is_ok();
    assert!(!is_free());
    assert!(
        wait::until_true(Duration::from_secs(8), is_free),
        "it is closed in the end"
    );
    let alice = Peer::udp(server.sip());
    alice.send(&alice.request("MESSAGE", &aor("carol"), &aor("alice"), &aor("carol")));
    carol.expect_request("MESSAGE");
}

#[test]
fn a_dialog_survives_that_the_advertised_address_changes() {
    let server = Setup::new().start();
    let first = text(&server);
    let bob = Peer::udp(server.sip()).registered(&aor("bob"));
    let alice = Peer::udp(server.sip());
    let advertised = |name: &str| {
        let uri = format!("uri = \"udp:127.0.0.1:{}\"\n", server.port());
        first.replace(&uri, &format!("{uri}advertise = \"{name}:{}\"\n", server.port()))
    };
    apply(&server, &advertised("old.test"));
    let (invite, arrived) = ringing(&alice, &bob);
    bob.answer(&arrived, 200, "OK");
    let answered = alice.expect_status(200);
    assert!(answered.header("Record-Route").contains("old.test"));
    apply(&server, &advertised("new.test"));
    alice.send(&alice.within("ACK", &invite, &answered));
    bob.expect_request("ACK");
    alice.send(&alice.within("BYE", &invite, &answered));
    bob.answer(&bob.expect_request("BYE"), 200, "OK");
    alice.expect_status(200);
    let arrived = {
        alice.send(&alice.request("MESSAGE", &aor("bob"), &aor("alice"), &aor("bob")));
        bob.expect_request("MESSAGE")
    };
    assert!(arrived.header("Via").contains("new.test"), "{}", arrived.text());
}

/// The same port at all addresses instead of one, and back: what comes in between is served.
#[test]
fn a_listener_is_widened_and_narrowed_without_a_gap() {
    let server = quick();
    let first = text(&server);
    let wide = first.replace("uri = \"udp:127.0.0.1:", "uri = \"udp:0.0.0.0:");
    let wide = wide.replace("uri = \"tcp:127.0.0.1:", "uri = \"tcp:0.0.0.0:");
    // Or it would ask for passwords.
    assert!(first.contains("methods = []"));
    let alice = Peer::udp(server.sip());
    let stays = Peer::tcp(server.sip());
    for text in [&wide, &first, &wide, &first] {
        apply(&server, text);
        for peer in [&alice, &stays, &Peer::tcp(server.sip())] {
            let register = peer.register(&aor("alice"), 60);
            assert_eq!(peer.exchange(&register).status(), Some(200));
        }
    }
}

#[test]
fn what_cannot_change_while_it_runs_is_refused_with_its_place() {
    let server = Setup::new().start();
    let first = text(&server);
    let name = server.config().display().to_string();
    for (from, to, place, key) in [
        ("shards = 2", "shards = 3", ":3:10: ", "`shards`"),
        ("data_dir = \"", "data_dir = \"x", ":2:12: ", "`data_dir`"),
    ] {
        let next = first.replace(from, to);
        assert_refused(&server, &next, &format!("{name}{place}{key} cannot be changed"));
    }
    let next = format!("{first}[location]\nstore = \"memory\"\ndurability = \"process\"\n");
    assert_refused(&server, &next, "`location.store` cannot be changed");
    assert_refused(&server, &next, "`location.durability` cannot be changed");
    // A default that is written out is no change.
    apply(&server, &format!("{first}[location]\nstore = \"sqlite\"\n"));
    assert_refused(&server, "nonsense", &format!("{name}:1:"));
    std::fs::remove_file(server.config()).expect("it is there");
    let ended = reload(&server);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("cannot read"), "{ended:?}");
    // In the end it is as it was.
    apply(&server, &first);
}

#[test]
fn a_listener_that_cannot_be_bound_leaves_everything_as_it_was() {
    let server = Setup::new().start();
    let (first, free) = (text(&server), ports::free());
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("bound");
    let next = with_listener(&first, &format!("tcp:127.0.0.1:{free}"));
    let next = with_listener(&next, &format!("udp:{taken}"));
    let line = next.lines().count();
    let why = format!("{}:{line}:7: udp:{taken} is in use", server.config().display());
    assert_refused(&server, &next, &why);
    assert!(
        TcpListener::bind(at(free)).is_ok(),
        "what was bound is given back"
    );
    let admin = server.admin();
    let next = first.replace(&admin, "127.0.0.1:1");
    write(&server, &next);
    let ended = server.ctl(&["reload", "--json"]);
    // Whoever may bind it has it now.
    if let Some(1) = ended.code {
        let answer: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(answer["ok"], false);
        assert!(answer["errors"][0]["line"].as_u64().is_some(), "{answer}");
    }
}

#[test]
fn administration_moves_to_another_address() {
    let server = Setup::new().start();
    let (first, admin, port) = (text(&server), server.admin(), ports::free());
    let next = first.replace(&admin, &format!("127.0.0.1:{port}"));
    apply(&server, &next);
    let is_gone = || TcpStream::connect(&admin).is_err();
    assert!(wait::until_true(Duration::from_secs(5), is_gone));
    assert_eq!(
        http::send(&format!("127.0.0.1:{port}"), "GET", "/healthz", &[], "").status,
        200
    );
    assert_eq!(config(&server)["generation"], 2);
    let names = next.replace("[auth]", "names = [\"pbx.test\"]\n[auth]");
    let token = format!("Bearer {}", server.token());
    let asked_for = |host: &str| {
        let headers = [("Authorization", token.as_str()), ("Host", host)];
        http::send(
            &format!("127.0.0.1:{port}"),
            "GET",
            "/api/v1/status",
            &headers,
            "",
        )
        .status
    };
    apply(&server, &names);
    let is_known = || asked_for("pbx.test") == 200;
    assert!(wait::until_true(Duration::from_secs(5), is_known));
}

#[test]
fn a_configuration_that_nobody_confirms_goes_back() {
    let server = Setup::new().start();
    let (first, port) = (text(&server), ports::free());
    let next = with_listener(&first, &format!("udp:127.0.0.1:{port}"));
    let listeners = || server.ctl_json("status")["listeners"].as_array().map(Vec::len);
    write(&server, &next);
    assert!(server.ctl(&["reload", "--rollback-after", "2s"]).succeeded());
    assert_eq!(listeners(), Some(3));
    assert!(
        config(&server)["rollback_in"]
            .as_u64()
            .is_some_and(|secs| secs <= 2)
    );
    // One without an end would make it unclear what to go back to.
    let ended = reload(&server);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("not confirmed"), "{ended:?}");
    let is_back = || listeners() == Some(2);
    assert!(wait::until_true(Duration::from_secs(6), is_back));
    let after = config(&server);
    assert_eq!(
        (&after["generation"], &after["rollback_in"]),
        (&Value::from(3), &Value::Null)
    );
    assert_eq!(server.metric("strowger_reloads_total{result=\"rolled_back\"}"), 1);
    assert!(
        server
            .process()
            .stderr()
            .contains("the former configuration is in force again")
    );

    assert!(server.ctl(&["reload", "--rollback-after", "2s"]).succeeded());
    assert!(server.ctl(&["reload", "--confirm"]).succeeded());
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(
        (listeners(), &config(&server)["generation"]),
        (Some(3), &Value::from(4))
    );
    assert_eq!(server.ctl(&["reload", "--confirm"]).code, Some(1));

    // Again and again before it is confirmed: back to what was confirmed last, at once.
    write(&server, &first);
    for _ in 0..2 {
        assert!(server.ctl(&["reload", "--rollback-after", "60s"]).succeeded());
    }
    assert_eq!(listeners(), Some(2));
    assert!(server.ctl(&["reload", "--rollback"]).succeeded());
    assert_eq!(listeners(), Some(3));
    for wrong in ["0s", "2d", "soon", "5"] {
        assert_eq!(
            server.ctl(&["reload", "--rollback-after", wrong]).code,
            Some(1),
            "{wrong}"
        );
    }
}

#[test]
fn sighup_reloads_and_a_wrong_file_is_told_in_the_log() {
    let server = Setup::new().start();
    let (first, port) = (text(&server), ports::free());
    write(&server, &with_listener(&first, &format!("tcp:127.0.0.1:{port}")));
    server.process().signal(Signal::Hup);
    let is_there = || TcpStream::connect(at(port)).is_ok();
    assert!(wait::until_true(Duration::from_secs(5), is_there));
    write(&server, "domains = 7\n");
    server.process().signal(Signal::Hup);
    let place = format!("reload refused: {}:1:11: ", server.config().display());
    let is_told = || server.process().stderr().contains(&place);
    assert!(wait::until_true(Duration::from_secs(5), is_told));
    assert!(is_there());
    assert_eq!(config(&server)["generation"], 2);
}

// The server says what is wrong, not the command that looks for it in the same file.
#[test]
fn a_server_is_found_by_a_file_that_is_broken() {
    let server = Setup::new().start();
    write(&server, &text(&server).replace("shards = 2", "shards = \"two\""));
    let file = server.config().to_string_lossy();
    let ctl = |what| system_tests::server::strowger(&["ctl", what, "--config", &file]);
    let refused = ctl("reload");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stdout.contains(&format!("{file}:3:10: ")), "{refused:?}");
    assert_eq!(server.metric("strowger_reloads_total{result=\"refused\"}"), 1);
    assert!(ctl("status").succeeded());
    // Where it cannot be told which server is meant, none is asked.
    write(&server, "data_dir = \"\n");
    let wrong = ctl("status");
    assert_eq!(wrong.code, Some(1));
    let told = format!("{}{}", wrong.stdout, wrong.stderr);
    assert!(told.contains(&format!("{file}:1:")), "{wrong:?}");
}

#[test]
fn after_kill_9_it_starts_with_the_file_as_it_is() {
    let mut server = Setup::new().start();
    let (first, port) = (text(&server), ports::free());
    write(&server, &with_listener(&first, &format!("udp:127.0.0.1:{port}")));
    assert!(server.ctl(&["reload", "--rollback-after", "60s"]).succeeded());
    server.restart(Signal::Kill);
    let status = server.ctl_json("status");
    assert_eq!(status["listeners"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (&status["config"]["generation"], &status["config"]["rollback_in"]),
        (&Value::from(1), &Value::Null)
    );
}

#[test]
fn flags_stay_on_top_and_without_a_file_there_is_nothing_to_reload() {
    let scratch = Scratch::new();
    let (data, port) = (scratch.join("data"), ports::free());
    let data = data.to_string_lossy();
    let listen = format!("udp:127.0.0.1:{port}");
    let plain = ["--listen", &listen, "--admin", "127.0.0.1:0", "--data-dir", &data];
    let ctl = |words: &[&str]| {
        let words = [&["ctl"], words, &["--data-dir", &data]].concat();
        system_tests::server::strowger(&words)
    };
    let process = serve(&plain, scratch.path());
    await_ready(&process);
    let ended = ctl(&["reload"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("without a configuration file"), "{ended:?}");
    drop(process);

    let file = scratch.write("strowger.toml", "domains = [\"one.test\"]\n");
    let file = file.to_string_lossy();
    let process = serve(&[&["--config", &file], &plain[..]].concat(), scratch.path());
    let ready = await_ready(&process);
    assert!(ready.contains(&listen), "{ready}");
    scratch.write(
        "strowger.toml",
        "domains = [\"two.test\"]\n[[listen]]\nuri = \"tcp:127.0.0.1:1\"\n",
    );
    let ended = ctl(&["reload"]);
    assert!(ended.succeeded(), "{ended:?}");
    let status: Value = serde_json::from_str(&ctl(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(status["listeners"], serde_json::json!([listen]));
    assert_eq!(status["domains"][0], "two.test");
}
