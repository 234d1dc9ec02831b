//! The program from outside: what it prints, how it ends, and how its commands find a running server.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A directory of a test; gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "strowger-cli-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a fresh directory");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
    command
        .env_remove("STROWGER_TOKEN")
        .env_remove("STROWGER_LOG")
        .stdin(Stdio::null());
    command
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Adds a user to the data folder, by its server if it has one.
fn add_alice(dir: &Path, password: &str) {
    let words = ["user", "add", "alice@a.test", "--password", password];
    let (code, _, errors) = run(dir, &[&words[..], &["--data-dir", "data"]].concat());
    assert_eq!(code, 0, "{errors}");
}

/// Runs to the end in a directory; exit code, standard output, standard error.
fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    told(&program().current_dir(dir).args(args).output().expect("it starts"))
}

fn run_with_input(dir: &Path, args: &[&str], input: &str) -> (i32, String, String) {
    let mut command = program();
    command
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes())
        .expect("written");
    told(&child.wait_with_output().expect("it ends"))
}

/// A running server; killed when this is dropped.
struct Server {
    child: Child,
    ready: String,
}

impl Server {
    fn start(dir: &Path, args: &[&str]) -> Self {
        Self::start_by(program(), dir, args)
    }

    fn start_by(mut command: Command, dir: &Path, args: &[&str]) -> Self {
        command
            .current_dir(dir)
            .arg("serve")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut ready)
            .expect("a line");
        if ready.is_empty() {
            let mut errors = String::new();
            let _ = child.stderr.take().expect("piped").read_to_string(&mut errors);
            panic!("the server did not start: {errors}");
        }
        Self {
            child,
            ready: ready.trim_end().to_owned(),
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for the end; exit code and standard error.
    fn end(&mut self) -> (i32, String) {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("waits") {
                Some(status) => break status,
                None if begun.elapsed() > Duration::from_secs(10) => panic!("the server does not end"),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let mut errors = String::new();
        self.child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut errors)
            .expect("read");
        (status.code().unwrap_or(-1), errors)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const QUIET: [&str; 6] = [
    "--listen",
    "udp:127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--data-dir",
    "data",
];

#[test]
fn check_tells_every_error_with_its_place_and_exits_1() {
    let scratch = Scratch::new();
    scratch.file("bad.toml", "shrads = 2\n[proxy]\nfork = \"paralel\"\n");
    let (code, out, errors) = run(&scratch.0, &["check", "--config", "bad.toml"]);
    assert_eq!(code, 1);
    assert_eq!(
        out,
        "bad.toml:1:1: `shrads` is not a key; did you mean `shards`?\n\
         bad.toml:3:8: `proxy.fork` cannot be `paralel`; did you mean `parallel`?\n"
    );
    assert_eq!(errors, "2 errors\n");
    let (code, out, _) = run(&scratch.0, &["check", "--config", "bad.toml", "--json"]);
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &told["ok"]), (1, &json!(false)));
    assert_eq!(told["errors"][1]["line"], 3);
    assert_eq!(run(&scratch.0, &["check", "--config", "absent.toml"]).0, 1);
    let (code, out, errors) = run(&scratch.0, &["check", "--config", "absent.toml", "--json"]);
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &told["ok"], errors.as_str()), (1, &json!(false), ""));
    assert!(
        told["errors"][0]["what"]
            .as_str()
            .is_some_and(|what| what.contains("absent.toml"))
    );
    assert_eq!(run(&scratch.0, &["serve", "--config", "bad.toml"]).0, 1);
}

#[test]
fn the_printed_default_is_a_configuration_in_order() {
    let scratch = Scratch::new();
    let (code, text, _) = run(&scratch.0, &["check", "--print-default"]);
    assert_eq!(code, 0);
    scratch.file("strowger.toml", &text);
    assert_eq!(run(&scratch.0, &["check", "--config", "strowger.toml"]).0, 0);
    assert_eq!(run(&scratch.0, &["check"]).0, 0);
}

#[test]
fn users_are_kept_without_a_server() {
    let scratch = Scratch::new();
    let dir = &scratch.0;
    let (code, out, errors) = run(
        dir,
        &[
            "user",
            "add",
            "alice@a.test",
            "--password",
            "pw",
            "--alias",
            "1001",
        ],
    );
    assert_eq!((code, out.as_str()), (0, "added alice@a.test\n"), "{errors}");
    let (code, _, errors) = run_with_input(
        dir,
        &["user", "add", "bob@a.test", "--display-name", "Bob"],
        "s3cret\n",
    );
    assert_eq!(code, 0, "{errors}");
    let (code, out, _) = run(dir, &["user", "list", "--json"]);
    let users: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, users.as_array().map(Vec::len)), (0, Some(2)));
    assert_eq!(
        users[0],
        json!({ "address": "alice@a.test", "display_name": null, "aliases": ["1001"], "contacts": null })
    );
    let (code, _, errors) = run(dir, &["user", "add", "alice@a.test", "--password", "pw"]);
    assert_eq!(code, 1);
    assert!(errors.contains("mend:"), "{errors}");
    assert_eq!(
        run(dir, &["user", "passwd", "alice@a.test", "--password", "other"]).0,
        0
    );
    assert_eq!(run(dir, &["user", "remove", "alice@a.test"]).0, 0);
    assert_eq!(run(dir, &["user", "remove", "alice@a.test"]).0, 1);
    assert_eq!(run(dir, &["user", "add", "alice", "--password", "pw"]).0, 1);
    assert_eq!(
        run(dir, &["user", "add", "alice@a.test"]).0,
        1,
        "no password on an empty standard input"
    );
    let (_, out, _) = run(dir, &["user", "list"]);
    assert!(
        out.contains("bob@a.test") && out.contains("Bob") && !out.contains("alice"),
        "{out}"
    );
}

#[test]
fn an_import_names_the_lines_it_did_not_take() {
    let scratch = Scratch::new();
    let mut lines = String::from("# users\n");
    (0..2500).for_each(|number| lines.push_str(&format!("u{number}@a.test,pw{number}\n")));
    lines.push_str("nonsense\n");
    let (code, out, errors) = run_with_input(&scratch.0, &["user", "import", "-"], &lines);
    assert_eq!((code, out.as_str()), (1, "added 2500, changed 0, not taken 1\n"));
    assert!(errors.contains("standard input:2502:"), "{errors}");
    let server = Server::start(
        &scratch.0,
        &["--listen", "udp:127.0.0.1:0", "--admin", "127.0.0.1:0"],
    );
    scratch.file("users.csv", &lines.replace("nonsense", "new@a.test,pw"));
    let (code, out, errors) = run(&scratch.0, &["user", "import", "users.csv"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "added 1, changed 2500, not taken 0\n"),
        "{errors}"
    );
    let (_, out, _) = run(&scratch.0, &["user", "list"]);
    assert_eq!(out.lines().count(), 2502, "heads and users");
    drop(server);
}

#[test]
fn commands_find_a_running_server_by_its_data_directory() {
    let scratch = Scratch::new();
    let dir = &scratch.0;
    let mut server = Server::start(dir, &QUIET);
    assert!(
        server.ready.starts_with("strowger ready: udp:127.0.0.1:"),
        "{}",
        server.ready
    );
    let (_, admin) = server
        .ready
        .split_once(" admin=http://127.0.0.1:")
        .expect("the admin address");
    let admin = format!("127.0.0.1:{admin}");

    add_alice(dir, "pw");
    let (code, out, errors) = run(dir, &["ctl", "status", "--json", "--data-dir", "data"]);
    assert_eq!(code, 0, "{errors}");
    let status: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&status["state"], &status["counts"]["users"]),
        (&json!("running"), &json!(1))
    );
    assert_eq!(status["pid"], server.child.id());
    let (code, out, _) = run(dir, &["ctl", "registrations", "--data-dir", "data", "--json"]);
    assert_eq!((code, out.as_str()), (0, "[]\n"));

    let token = fs::read_to_string(dir.join("data/admin.token")).expect("a token");
    let by_address = |token: &str| {
        let args = ["ctl", "status", "--admin", &admin];
        told(
            &program()
                .current_dir(dir)
                .env("STROWGER_TOKEN", token)
                .args(args)
                .output()
                .expect("it starts"),
        )
    };
    assert_eq!(by_address(&token).0, 0);
    let (code, _, errors) = by_address("wrong");
    assert_eq!(code, 1);
    assert!(errors.contains("the token is missing or wrong"), "{errors}");

    let (code, _, errors) = run(
        dir,
        &[
            "serve",
            "--listen",
            "udp:127.0.0.1:0",
            "--admin",
            "off",
            "--data-dir",
            "data",
        ],
    );
    assert_eq!(code, 1);
    assert!(errors.contains(&format!("pid {}", server.child.id())), "{errors}");

    assert_eq!(run(dir, &["ctl", "drain", "--data-dir", "data"]).0, 0);
    assert_eq!(server.end().0, 0);
    assert!(!dir.join("data/admin.addr").exists());
    let (code, _, errors) = run(dir, &["ctl", "status", "--data-dir", "data"]);
    assert_eq!(code, 3);
    assert!(errors.contains("no server runs"), "{errors}");
}

#[test]
fn an_address_left_by_a_killed_server_misleads_nobody() {
    let scratch = Scratch::new();
    let dir = &scratch.0;
    let mut server = Server::start(dir, &QUIET);
    server.signal(Signal::KILL);
    server.end();
    assert!(dir.join("data/admin.addr").exists());
    assert_eq!(run(dir, &["ctl", "status", "--data-dir", "data"]).0, 3);
    add_alice(dir, "pw");
}

#[test]
fn sigterm_drains_and_sighup_without_a_file_says_that_there_is_nothing_to_reload() {
    let scratch = Scratch::new();
    let mut server = Server::start(&scratch.0, &QUIET);
    server.signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(200));
    server.signal(Signal::TERM);
    let (code, errors) = server.end();
    assert_eq!(code, 0, "{errors}");
    assert!(
        errors.contains("started without a configuration file") && errors.contains("draining"),
        "{errors}"
    );
}

#[test]
fn a_taken_admin_address_is_an_error_when_it_was_asked_for() {
    let scratch = Scratch::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, _, errors) = run(
        &scratch.0,
        &["serve", "--listen", "udp:127.0.0.1:0", "--admin", &address],
    );
    assert_eq!(code, 1);
    assert!(errors.contains(&address) && errors.contains("mend:"), "{errors}");
}

#[test]
fn wrong_flags_are_told_with_a_mend() {
    let scratch = Scratch::new();
    let (code, _, errors) = run(
        &scratch.0,
        &["serve", "--listen", "upd:127.0.0.1:0", "--admin", "192.0.2.1:1"],
    );
    assert_eq!(code, 1);
    assert!(
        errors.contains("--listen: `upd` is not a transport; did you mean `udp`?"),
        "{errors}"
    );
    assert!(
        errors.contains("--admin: the admin address 192.0.2.1:1 is not loopback"),
        "{errors}"
    );
    assert_eq!(run(&scratch.0, &["serve", "--nonsense"]).0, 2);
}

#[test]
fn the_token_and_passwords_are_in_no_log() {
    let scratch = Scratch::new();
    let mut server = Server::start(&scratch.0, &QUIET);
    add_alice(&scratch.0, "hunter2");
    let token = fs::read_to_string(scratch.0.join("data/admin.token")).expect("a token");
    server.signal(Signal::TERM);
    let (_, errors) = server.end();
    assert!(errors.contains("user added"), "{errors}");
    assert!(
        !errors.contains("hunter2") && !errors.contains(token.trim()),
        "{errors}"
    );
}

#[test]
fn a_start_with_users_of_other_domains_says_so() {
    let scratch = Scratch::new();
    add_alice(&scratch.0, "pw");
    let start = |more: &[&str]| {
        let mut server = Server::start(&scratch.0, &[&QUIET[..], more].concat());
        server.signal(Signal::TERM);
        server.end().1
    };
    let errors = start(&[]);
    assert!(
        errors.contains("a.test (1)") && errors.contains("--domain a.test"),
        "{errors}"
    );
    let errors = start(&["--domain", "a.test"]);
    assert!(!errors.contains("not responsible"), "{errors}");
}

#[test]
fn a_filter_that_matches_nothing_says_of_how_many() {
    let scratch = Scratch::new();
    let dir = &scratch.0;
    for user in ["alice@a.test", "bob@a.test"] {
        assert_eq!(
            run(
                dir,
                &["user", "add", user, "--password", "pw", "--data-dir", "data"]
            )
            .0,
            0
        );
    }
    let list = |words: &[&str]| run(dir, &[words, &["--data-dir", "data"]].concat());
    let none = (
        0,
        String::new(),
        "none of the 2 users contains `zzz`\n".to_owned(),
    );
    assert_eq!(list(&["user", "list", "zzz"]), none);
    assert_eq!(list(&["user", "list", "zzz", "--json"]).1, "[]\n");
    let _server = Server::start(dir, &QUIET);
    assert_eq!(list(&["user", "list", "zzz"]), none);
    let (_, _, errors) = list(&["ctl", "registrations", "zzz"]);
    assert_eq!(errors, "nobody is registered\n");
}

#[test]
fn a_mistyped_data_directory_is_told_and_not_made() {
    let scratch = Scratch::new();
    let dir = &scratch.0;
    for words in [
        &["user", "list"][..],
        &["user", "remove", "alice@a.test"],
        &["user", "passwd", "alice@a.test", "--password", "pw"],
    ] {
        let (code, _, errors) = run(dir, &[words, &["--data-dir", "dtaa"]].concat());
        assert_eq!(code, 1, "{errors}");
        assert!(
            errors.contains("no data directory at dtaa") && errors.contains("mend:"),
            "{errors}"
        );
        assert!(!dir.join("dtaa").exists());
    }
    let import = ["user", "import", "-", "--data-dir", "new"];
    assert_eq!(run_with_input(dir, &import, "bob@a.test,pw\n").0, 0);
    assert!(run(dir, &["user", "list", "--data-dir", "new"]).1.contains("bob"));
}

/// Registers somebody with a server that asks for no password.
fn register(server: &Server) {
    let uri = server.ready.split(' ').find_map(|word| word.strip_prefix("udp:"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(uri.expect("a listener")).expect("loopback");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("set");
    let me = socket.local_addr().expect("bound");
    let text = format!(
        "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK1\r\nFrom: <sip:bob@127.0.0.1>;tag=1\r\n\
         To: <sip:bob@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:bob@{me}>\r\n\
         Content-Length: 0\r\n\r\n"
    );
    socket.send(text.as_bytes()).expect("sent");
    let mut answer = [0; 2000];
    let length = socket.recv(&mut answer).expect("an answer");
    assert!(answer[..length].starts_with(b"SIP/2.0 200"));
}

#[test]
fn the_environment_decides_which_lines_the_shards_log_too() {
    for (level, is_told) in [
        ("warn", false),
        ("info", true),
        ("warn,strowger_server=info", true),
    ] {
        let scratch = Scratch::new();
        let mut command = program();
        command.env("STROWGER_LOG", level);
        let mut server = Server::start_by(command, &scratch.0, &QUIET);
        register(&server);
        server.signal(Signal::TERM);
        let (_, errors) = server.end();
        assert_eq!(
            errors.contains("registration aor=bob@127.0.0.1"),
            is_told,
            "{level}: {errors}"
        );
    }
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    let scratch = Scratch::new();
    let mut command = program();
    command
        .env("STROWGER_LOG", "debgu")
        .args(["serve", "--admin", "off", "--data-dir"]);
    let ended = command.arg(&scratch.0).output().expect("it ran");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{errors}");
    assert!(errors.contains("STROWGER_LOG: `debgu` is no level"), "{errors}");
}

#[test]
fn exit_codes_tell_wrong_usage_from_what_could_not_be_done() {
    let scratch = Scratch::new();
    let dir = scratch.0.as_path();
    let message = dir.join("message.sip");
    fs::write(&message, "OPTIONS sip:a.test SIP/2.0\r\n\r\n").expect("written");
    let message = message.to_str().expect("a path");
    for (words, expected) in [
        (&["explain", "/nonexistent/file.sip"][..], 1),
        (&["explain", "--dns", "/nonexistent/zone", message], 1),
        (&["explain", "--at", "tomorrow", message], 2),
        (&["user", "import", "/nonexistent/users.csv"], 1),
    ] {
        let (code, _, errors) = run(dir, words);
        assert_eq!(code, expected, "{words:?}: {errors}");
    }
}

#[test]
fn what_is_done_to_a_user_is_told_as_json_too() {
    let scratch = Scratch::new();
    let dir = scratch.0.as_path();
    for (words, told) in [
        (
            &["user", "add", "a@a.test", "--password", "pw", "--json"][..],
            r#"{"added":"a@a.test"}"#,
        ),
        (
            &["user", "passwd", "a@a.test", "--password", "p2", "--json"],
            r#"{"changed":"a@a.test"}"#,
        ),
        (
            &["user", "remove", "a@a.test", "--json"],
            r#"{"removed":"a@a.test"}"#,
        ),
    ] {
        assert_eq!(run(dir, words).1.trim(), told);
    }
}

#[test]
fn check_warns_of_a_missing_domain_and_of_a_missing_file_of_a_push_provider() {
    let scratch = Scratch::new();
    let dir = scratch.0.as_path();
    let file = "[[listen]]\nuri = \"udp:0.0.0.0:5060\"\n[[push.provider]]\nname = \"fcm\"\n\
                url = \"https://push.example.test/\"\nauthorization = { file = \"none.token\" }\n";
    fs::write(dir.join("s.toml"), file).expect("written");
    let (code, _, errors) = run(dir, &["check", "--config", "s.toml"]);
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("there are no `domains`"), "{errors}");
    assert!(errors.contains("none.token"), "{errors}");
}

#[test]
fn a_registration_is_removed_by_its_whole_address() {
    let scratch = Scratch::new();
    let _server = Server::start(&scratch.0, &QUIET);
    let (code, _, errors) = run(&scratch.0, &["ctl", "deregister", "alice", "--data-dir", "data"]);
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("write user@domain"), "{errors}");
}
