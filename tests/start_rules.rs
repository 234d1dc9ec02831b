//! How the server starts, refuses to start, and ends.
#![cfg(target_os = "linux")]

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use system_tests::process::{Process, Signal, run_with};
use system_tests::server::{DOMAIN, Setup, admin_of, await_ready, program, ready_line, serve, strowger};
use system_tests::{Peer, Scratch, namespace, ports, wait};

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// Runs `strowger serve` without an admin address until it is ready.
fn serve_at(listen: &str, data: &str, more: &[&str], folder: &Path) -> Process {
    let words = [
        "--listen",
        listen,
        "--domain",
        DOMAIN,
        "--admin",
        "off",
        "--data-dir",
        data,
    ];
    let process = serve(&[&words[..], more].concat(), folder);
    await_ready(&process);
    process
}

/// Runs `strowger serve`, which has to fail by itself; returns what it said.
fn refused(arguments: &[&str], folder: &Path) -> String {
    let mut process = serve(arguments, folder);
    let status = process
        .wait(Duration::from_secs(15))
        .unwrap_or_else(|| panic!("it runs:\n{}", process.output()));
    assert!(
        status.code().is_some_and(|code| code != 0),
        "{status}: {}",
        process.output()
    );
    assert_eq!(ready_line(&process), None);
    process.stderr()
}

/// The lines that are not warnings or information: what a user reads as the reason.
fn assert_one_clear_message(said: &str, about: &str) {
    assert!(said.contains(about), "says nothing of {about}:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.lines().count() <= 8, "one clear message:\n{said}");
}

#[test]
fn a_second_server_on_the_same_port_is_refused() {
    let first = Setup::new().start();
    let scratch = Scratch::new();
    for transport in ["udp", "tcp"] {
        let uri = format!("{transport}:{}", first.sip());
        let said = refused(
            &["--listen", &uri, "--admin", "off", "--data-dir", "other"],
            scratch.path(),
        );
        assert_one_clear_message(&said, &first.sip().to_string());
    }
    let peer = Peer::udp(first.sip());
    assert_eq!(
        peer.exchange(&peer.register(&aor("alice"), 60)).status(),
        Some(200),
        "the first is unharmed"
    );
}

#[test]
fn a_second_server_on_the_same_data_folder_is_refused() {
    let first = Setup::new().start();
    let scratch = Scratch::new();
    let data = first.data().to_string_lossy().into_owned();
    let uri = format!("udp:127.0.0.1:{}", ports::free());
    let said = refused(
        &["--listen", &uri, "--admin", "off", "--data-dir", &data],
        scratch.path(),
    );
    assert_one_clear_message(&said, &data);
}

#[test]
fn an_address_that_somebody_else_has_is_refused_when_it_was_asked_for() {
    let scratch = Scratch::new();
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
    for (transport, address) in [("udp", udp.local_addr()), ("tcp", tcp.local_addr())] {
        let address = address.expect("its address").to_string();
        let uri = format!("{transport}:{address}");
        let said = refused(
            &["--listen", &uri, "--admin", "off", "--data-dir", "data"],
            scratch.path(),
        );
        assert_one_clear_message(&said, &address);
    }
    let taken = tcp.local_addr().expect("its address").to_string();
    let uri = format!("udp:127.0.0.1:{}", ports::free());
    let said = refused(
        &["--listen", &uri, "--admin", &taken, "--data-dir", "data"],
        scratch.path(),
    );
    assert_one_clear_message(&said, &taken);
}

#[test]
fn an_address_that_this_machine_does_not_have_is_refused() {
    let scratch = Scratch::new();
    let said = refused(
        &[
            "--listen",
            "udp:203.0.113.7:5060",
            "--admin",
            "off",
            "--data-dir",
            "data",
        ],
        scratch.path(),
    );
    assert_one_clear_message(&said, "203.0.113.7");
}

#[test]
fn the_data_folder_is_private_and_its_absolute_path_is_told() {
    let server = Setup::with_digest().user("alice", "alicepw").start();
    let _alice = Peer::udp(server.sip()).registered_as(&aor("alice"), "alicepw");
    let mode = |path: &Path| std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(server.data()), 0o700, "{}", server.data().display());
    let mut names = Vec::new();
    for file in std::fs::read_dir(server.data())
        .expect("the data folder")
        .flatten()
    {
        assert_eq!(mode(&file.path()), 0o600, "{}", file.path().display());
        names.push(file.file_name().to_string_lossy().into_owned());
    }
    for needed in ["secret", "admin.token"] {
        assert!(
            names.iter().any(|name| name == needed),
            "no {needed} among {names:?}"
        );
    }
    let absolute = server
        .data()
        .canonicalize()
        .expect("a path")
        .to_string_lossy()
        .into_owned();
    assert!(
        server.process().output().contains(&absolute),
        "{}",
        server.process().output()
    );
}

#[test]
fn without_any_configuration_phones_on_this_machine_can_register_and_call() {
    if !namespace::enter("without_any_configuration_phones_on_this_machine_can_register_and_call") {
        return;
    }
    let scratch = Scratch::new();
    let process = serve(&[], scratch.path());
    let line = await_ready(&process);
    for uri in [
        "udp:127.0.0.1:5060",
        "tcp:127.0.0.1:5060",
        "udp:[::1]:5060",
        "tcp:[::1]:5060",
    ] {
        assert!(line.contains(&format!(" {uri}")), "{line}");
    }
    assert_eq!(admin_of(&line).as_deref(), Some("127.0.0.1:8080"), "{line}");
    assert!(scratch.join("strowger-data").is_dir());
    let said = process.output();
    for lesson in ["strowger user add", "--listen"] {
        assert!(
            said.contains(lesson),
            "the first lines do not tell of {lesson}:\n{said}"
        );
    }
    for server in ["127.0.0.1:5060", "[::1]:5060"] {
        let host = server.trim_end_matches(":5060");
        let bob = Peer::udp_at(&format!("{host}:0"), server.parse().expect("an address"));
        let bob = bob.registered(&format!("sip:bob@{host}"));
        let alice = Peer::udp_at(&format!("{host}:0"), server.parse().expect("an address"));
        let uri = format!("sip:bob@{host}");
        alice.send(&alice.request("MESSAGE", &uri, &format!("sip:alice@{host}"), &uri));
        bob.expect_request("MESSAGE");
    }
}

#[test]
fn defaults_that_are_taken_are_moved_or_left_out_with_a_warning() {
    if !namespace::enter("defaults_that_are_taken_are_moved_or_left_out_with_a_warning") {
        return;
    }
    let scratch = Scratch::new();
    let _admin = TcpListener::bind("127.0.0.1:8080").expect("the default of the administration");
    let _v6 = UdpSocket::bind("[::1]:5060").expect("a default listener");
    let process = serve(&[], scratch.path());
    let line = await_ready(&process);
    let admin = admin_of(&line).unwrap_or_default();
    assert!(
        admin.starts_with("127.0.0.1:") && admin != "127.0.0.1:8080",
        "{line}"
    );
    assert!(
        line.contains(" udp:127.0.0.1:5060") && !line.contains("udp:[::1]:5060"),
        "{line}"
    );
    let said = process.stderr();
    assert!(said.contains("8080") && said.contains("[::1]:5060"), "{said}");
}

// Phones on this machine would ask the other program.
#[test]
fn a_default_of_this_machine_that_is_taken_is_an_error_that_names_the_option() {
    if !namespace::enter("a_default_of_this_machine_that_is_taken_is_an_error_that_names_the_option") {
        return;
    }
    let scratch = Scratch::new();
    let _taken = UdpSocket::bind("127.0.0.1:5060").expect("a default listener");
    let said = refused(&[], scratch.path());
    for expected in ["127.0.0.1:5060", "--listen udp:127.0.0.1:5070"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn one_listener_that_is_not_loopback_turns_digest_on_for_the_whole_node() {
    let scratch = Scratch::new();
    let status = |more: &[&str], data: &str| {
        let (open, local) = (ports::free(), ports::free());
        let (open, local) = (format!("udp:0.0.0.0:{open}"), format!("127.0.0.1:{local}"));
        let local_uri = format!("udp:{local}");
        let words = [&["--listen", &open], more].concat();
        let _process = serve_at(&local_uri, data, &words, scratch.path());
        let peer = Peer::udp(local.parse().expect("an address"));
        peer.exchange(&peer.register(&aor("alice"), 60)).status()
    };
    assert_eq!(status(&[], "a"), Some(401));
    assert_eq!(status(&["--auth", "on"], "b"), Some(401));
    assert_eq!(status(&["--auth", "off"], "c"), Some(200));
}

#[test]
fn a_loopback_listener_alone_asks_for_no_password_unless_told() {
    let scratch = Scratch::new();
    let status = |more: &[&str], data: &str| {
        let local = format!("127.0.0.1:{}", ports::free());
        let uri = format!("udp:{local}");
        let _process = serve_at(&uri, data, more, scratch.path());
        let peer = Peer::udp(local.parse().expect("an address"));
        peer.exchange(&peer.register(&aor("alice"), 60)).status()
    };
    assert_eq!(status(&[], "a"), Some(200));
    assert_eq!(status(&["--auth", "on"], "b"), Some(401));
}

#[test]
fn port_zero_picks_one_and_the_ready_line_names_it() {
    let scratch = Scratch::new();
    let process = serve(
        &[
            "--listen",
            "udp:127.0.0.1:0",
            "--domain",
            DOMAIN,
            "--admin",
            "127.0.0.1:0",
            "--data-dir",
            "data",
        ],
        scratch.path(),
    );
    let line = await_ready(&process);
    let address = line
        .split(' ')
        .find_map(|word| word.strip_prefix("udp:"))
        .expect("a listener");
    let peer = Peer::udp(address.parse().expect("an address with a port"));
    assert_eq!(
        peer.exchange(&peer.register(&aor("alice"), 60)).status(),
        Some(200)
    );
    assert!(
        admin_of(&line).is_some_and(|admin| !admin.ends_with(":0")),
        "{line}"
    );
}

#[test]
fn the_ready_line_comes_once_and_logs_go_to_standard_error() {
    let server = Setup::new().start();
    let _peer = Peer::udp(server.sip()).registered(&aor("alice"));
    let lines: Vec<String> = server.process().stdout().lines().map(ToOwned::to_owned).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn as_root_there_is_a_warning_that_names_the_option() {
    let root = std::fs::metadata("/proc/self").expect("this process").uid() == 0;
    let server = Setup::new().start();
    let said = server.process().stderr();
    let warned = said.contains("root") && said.contains("--user");
    assert_eq!(warned, root, "{said}");
}

#[test]
fn as_root_with_user_it_goes_on_as_that_user() {
    if std::fs::metadata("/proc/self").expect("this process").uid() != 0 {
        return;
    }
    let scratch = Scratch::new();
    // The user has to get through to its data folder.
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).expect("our own folder");
    let uri = format!("udp:127.0.0.1:{}", ports::free());
    let process = serve_at(&uri, "data", &["--user", "nobody"], scratch.path());
    let owner = std::fs::metadata(format!("/proc/{}", process.id()))
        .expect("the process")
        .uid();
    assert_ne!(owner, 0, "{}", process.output());
    for task in std::fs::read_dir(format!("/proc/{}/task", process.id()))
        .expect("its threads")
        .flatten()
    {
        assert_eq!(
            task.metadata().expect("a thread").uid(),
            owner,
            "every thread has changed"
        );
    }
    let peer = Peer::udp(uri.trim_start_matches("udp:").parse().expect("an address"));
    assert_eq!(
        peer.exchange(&peer.register(&aor("alice"), 60)).status(),
        Some(200),
        "and it can write its data"
    );
}

#[test]
fn sigterm_ends_it_with_0() {
    let mut server = Setup::new().start();
    let _peer = Peer::udp(server.sip()).registered(&aor("alice"));
    assert_eq!(server.stop(), Some(0), "{}", server.process().output());
}

/// A server in the middle of setting up a call: alice has called, bob rings.
fn ringing() -> (
    Process,
    Scratch,
    Peer,
    Peer,
    system_tests::Message,
    system_tests::Message,
) {
    let scratch = Scratch::new();
    let address = format!("127.0.0.1:{}", ports::free());
    let uri = format!("udp:{address}");
    let process = serve_at(&uri, "data", &[], scratch.path());
    let server = address.parse().expect("an address");
    let bob = Peer::udp(server).registered(&aor("bob"));
    let alice = Peer::udp(server);
    let invite = alice.request("INVITE", &aor("bob"), &aor("alice"), &aor("bob"));
    alice.send(&invite);
    let arrived = bob.expect_request("INVITE");
    bob.answer(&arrived, 180, "Ringing");
    alice.expect_status(180);
    (process, scratch, alice, bob, invite, arrived)
}

#[test]
fn sigterm_lets_a_call_that_is_being_set_up_finish() {
    let (mut process, _scratch, alice, bob, _invite, arrived) = ringing();
    process.signal(Signal::Term);
    std::thread::sleep(Duration::from_millis(500));
    bob.answer(&arrived, 200, "OK");
    alice.expect_status(200);
    let status = process.wait(Duration::from_secs(8));
    assert_eq!(
        status.and_then(|status| status.code()),
        Some(0),
        "{}",
        process.output()
    );
}

#[test]
fn sigterm_waits_no_longer_than_the_drain_time() {
    let (mut process, _scratch, _alice, _bob, _invite, _arrived) = ringing();
    let begun = Instant::now();
    process.signal(Signal::Term);
    let status = process.wait(Duration::from_secs(10));
    assert_eq!(
        status.and_then(|status| status.code()),
        Some(0),
        "{}",
        process.output()
    );
    let took = begun.elapsed().as_secs_f64();
    assert!((3.0..7.0).contains(&took), "drain is 5 s; took {took} s");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut process, _scratch, _alice, _bob, _invite, _arrived) = ringing();
    process.signal(Signal::Term);
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    process.signal(Signal::Term);
    assert!(
        process.wait(Duration::from_secs(10)).is_some(),
        "{}",
        process.output()
    );
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "took {:?}",
        begun.elapsed()
    );
}

#[test]
fn sighup_does_not_end_it() {
    let server = Setup::new().start();
    server.process().signal(Signal::Hup);
    std::thread::sleep(Duration::from_millis(300));
    let peer = Peer::udp(server.sip());
    assert_eq!(
        peer.exchange(&peer.register(&aor("alice"), 60)).status(),
        Some(200)
    );
}

#[test]
fn registrations_survive_kill_9() {
    let mut server = Setup::new().start();
    let bob = Peer::udp(server.sip()).registered(&aor("bob"));
    server.restart(Signal::Kill);
    let alice = Peer::udp(server.sip());
    alice.send(&alice.request("MESSAGE", &aor("bob"), &aor("alice"), &aor("bob")));
    bob.expect_request("MESSAGE");
}

#[test]
fn an_idle_server_does_not_wake() {
    let server = Setup::new().start();
    let _peer = Peer::udp(server.sip()).registered(&aor("alice"));
    let switches = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.process().id()))
            .expect("its threads")
            .flatten();
        let status = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
        let counts = status.filter_map(|status| {
            let line = status
                .lines()
                .find(|line| line.starts_with("voluntary_ctxt_switches"))?
                .to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        counts.sum::<u64>()
    };
    std::thread::sleep(Duration::from_secs(2));
    let before = switches();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(switches() - before, 0, "wake-ups in two idle seconds");
}

#[test]
fn check_accepts_a_good_configuration_and_tells_every_error_of_a_bad_one() {
    let scratch = Scratch::new();
    let good = scratch.write(
        "good.toml",
        Setup::new().text(&scratch.join("data"), ports::free()),
    );
    let ended = strowger(&["check", "--config", &good.to_string_lossy()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let text = "domains = [\"a.test\"]\nshards = \"two\"\ncolour = \"red\"\n[proxy]\nmode = \"magic\"\n";
    let bad = scratch.write("bad.toml", text);
    let ended = strowger(&["check", "--config", &bad.to_string_lossy()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for place in ["bad.toml:2:", "bad.toml:3:", "bad.toml:5:"] {
        assert!(said.contains(place), "no error at {place}\n{said}");
    }
    assert!(said.contains("colour"), "{said}");
}

#[test]
fn a_bad_configuration_does_not_start() {
    let scratch = Scratch::new();
    let bad = scratch.write("bad.toml", "domain = [\"a.test\"]\n");
    let said = refused(&["--config", &bad.to_string_lossy()], scratch.path());
    assert!(said.contains("bad.toml:1:"), "{said}");
    let said = refused(&["--config", "missing.toml"], scratch.path());
    assert_one_clear_message(&said, "missing.toml");
}

#[test]
fn user_import_reads_a_file_and_standard_input_and_refuses_bad_lines() {
    let scratch = Scratch::new();
    let data = scratch.join("data").to_string_lossy().into_owned();
    let file = scratch.write(
        "users.csv",
        format!("alice@{DOMAIN},alicepw\nbob@{DOMAIN},bobpw\n"),
    );
    let ended = strowger(&["user", "import", &file.to_string_lossy(), "--data-dir", &data]);
    assert!(ended.succeeded(), "{ended:?}");
    let program = program().to_string_lossy().into_owned();
    let lines = format!("printf 'carol@{DOMAIN},carolpw\\n' | \"$0\" user import - --data-dir \"$1\"");
    let ended = run_with(
        Duration::from_secs(20),
        "sh",
        &["-c", &lines, &program, &data],
        |_| {},
    );
    assert!(ended.succeeded(), "{ended:?}");
    let listed = strowger(&["user", "list", "--data-dir", &data]).stdout;
    for user in ["alice", "bob", "carol"] {
        assert!(listed.contains(&format!("{user}@{DOMAIN}")), "{listed}");
    }
    let bad = scratch.write("bad.csv", format!("dave@{DOMAIN},davepw\nno address\n"));
    let ended = strowger(&["user", "import", &bad.to_string_lossy(), "--data-dir", &data]);
    assert!(!ended.succeeded(), "{ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains('2'), "the line's number: {said}");
}

#[test]
fn a_ready_server_answers_at_once() {
    let server = Setup::new().start();
    let peer = Peer::udp(server.sip());
    let ready = wait::until_true(Duration::from_secs(1), || {
        peer.exchange(&peer.register(&aor("alice"), 60)).status() == Some(200)
    });
    assert!(ready);
}
