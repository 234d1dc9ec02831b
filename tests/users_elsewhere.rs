//! Users whom the node does not keep: in a file that somebody else writes, or behind an HTTP server.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::process::Ended;
use system_tests::server::{DOMAIN, Server, Setup, strowger};
use system_tests::{Peer, Scratch, http, wait};

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

fn status_as(server: &Server, user: &str, password: &str) -> Option<u16> {
    let phone = Peer::udp(server.sip());
    phone
        .exchange_as(&phone.register(&aor(user), 300), user, password)
        .status()
}

/// `strowger user` for a server.
fn user(server: &Server, arguments: &[&str]) -> Ended {
    let data = server.data().to_string_lossy();
    strowger(&[&["user"], arguments, &["--data-dir", &data]].concat())
}

fn setup(users: &str) -> Setup {
    Setup::with_digest().toml(&format!("users = {users:?}"))
}

#[test]
fn a_file_of_users_is_followed_and_a_wrong_one_changes_nothing() {
    let scratch = Scratch::new();
    let file = scratch.write(
        "users",
        format!(
            "# phones\nalice@{DOMAIN}:password:alicepw\nalice@{DOMAIN}:alias:1001\nbob:{DOMAIN}:{}\n",
            md5("bob", "bobpw")
        ),
    );
    let server = setup(&format!("file:{}", file.display())).start();
    assert_eq!(status_as(&server, "alice", "alicepw"), Some(200));
    assert_eq!(status_as(&server, "bob", "bobpw"), Some(200));
    assert_eq!(status_as(&server, "bob", "alicepw"), Some(401));
    assert_eq!(status_as(&server, "carol", "carolpw"), Some(401));
    let list = user(&server, &["list", "--json"]);
    assert!(
        list.stdout.contains("1001") && list.stdout.contains("bob@"),
        "{list:?}"
    );
    for arguments in [
        vec!["add", "dan@strowger.test", "--password", "danpw"],
        vec!["remove", "bob@strowger.test"],
        vec!["passwd", "bob@strowger.test", "--password", "x"],
    ] {
        let refused = user(&server, &arguments);
        assert!(!refused.succeeded(), "{refused:?}");
        let told = format!("users come from {}", file.display());
        assert!(
            refused.stderr.contains(&told) && refused.stderr.contains("edit it there"),
            "{refused:?}"
        );
    }
    // A wrong file changes nothing, and is told with its line.
    fs::write(&file, format!("alice@{DOMAIN}:password:other\nmallory:hunter2\n")).expect("written");
    let told = format!("{}:2:1: ", file.display());
    let is_told = || server.process().output().contains(&told).then_some(());
    assert!(
        wait::until(Duration::from_secs(10), is_told).is_some(),
        "{}",
        server.process().output()
    );
    assert!(!server.process().output().contains("hunter2"));
    assert_eq!(status_as(&server, "alice", "alicepw"), Some(200));
    let refused = server.ctl(&["reload"]);
    assert!(
        !refused.succeeded() && refused.stdout.contains(&told),
        "{refused:?}"
    );
    let checked = strowger(&["check", "--config", &server.config().to_string_lossy()]);
    assert!(
        !checked.succeeded() && checked.stdout.contains(&told),
        "{checked:?}"
    );
    // A right one counts without a reload.
    fs::write(&file, format!("alice@{DOMAIN}:password:other\n")).expect("written");
    let is_followed = || {
        server
            .process()
            .output()
            .contains("was read again users=1")
            .then_some(())
    };
    assert!(wait::until(Duration::from_secs(10), is_followed).is_some());
    assert_eq!(status_as(&server, "alice", "other"), Some(200));
    assert_eq!(status_as(&server, "bob", "bobpw"), Some(401));
}

#[test]
fn a_file_that_is_wrong_or_missing_keeps_the_server_from_starting() {
    let scratch = Scratch::new();
    let missing = scratch.join("missing").display().to_string();
    let wrong = scratch.write("users", "alice:hunter2\n").display().to_string();
    for (file, told) in [
        (&missing, ":1:1: the users cannot be read"),
        (&wrong, ":1:1: the line"),
    ] {
        let config = scratch.write(
            "c.toml",
            setup(&format!("file:{file}")).text(&scratch.join("data"), 0),
        );
        let ended = strowger(&["serve", "--config", &config.to_string_lossy()]);
        assert!(!ended.succeeded(), "{ended:?}");
        assert!(ended.stderr.contains(&format!("{file}{told}")), "{ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    }
}

/// An HTTP server of users: what it answers to whom, whom it was asked for, and how it shall fail.
#[derive(Clone)]
struct Directory {
    state: Arc<Mutex<State>>,
    port: u16,
}

#[derive(Default)]
struct State {
    users: HashMap<String, String>,
    asked: Vec<String>,
    delay: Duration,
    failing: bool,
}

impl Directory {
    fn start(users: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let directory = Self {
            state: Arc::default(),
            port: listener.local_addr().expect("bound").port(),
        };
        for (user, answer) in users {
            directory.put(user, answer);
        }
        let answering = directory.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answering = answering.clone();
                thread::spawn(move || answering.serve(stream));
            }
        });
        directory
    }

    fn put(&self, user: &str, answer: &str) {
        let mut state = self.state.lock().expect("whole");
        state.users.insert(user.to_owned(), answer.to_owned());
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/users?site=1", self.port)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("whole"));
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().expect("whole").asked)
    }

    /// Answers requests of one connection until it is closed.
    fn serve(&self, stream: TcpStream) {
        let mut writer = stream.try_clone().expect("a socket");
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let (mut length, mut token) = (0, String::new());
            loop {
                let mut field = String::new();
                reader.read_line(&mut field).expect("a header");
                match field.trim_end().split_once(": ") {
                    Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                        length = value.parse().expect("a length");
                    }
                    Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                        token = value.to_owned()
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let user = asked_for(&line, &body);
            let (delay, answer) = {
                let mut state = self.state.lock().expect("whole");
                state.asked.push(user.clone());
                let answer = match state.users.get(&user) {
                    _ if state.failing || token != "Bearer t0ken" => ("500 Failed", String::new()),
                    Some(answer) => ("200 OK", answer.clone()),
                    None => ("404 Not Found", String::new()),
                };
                (state.delay, answer)
            };
            thread::sleep(delay);
            let (status, body) = answer;
            let text = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            if writer.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// The user of a GET or of a POST.
fn asked_for(line: &str, body: &[u8]) -> String {
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        assert_eq!(json["domain"], DOMAIN);
        return json["user"].as_str().expect("a user").to_owned();
    }
    let query = line.split(['?', ' ']).nth(2).expect("a query");
    assert!(
        query.starts_with("site=1&user=") && query.contains(&format!("&domain={DOMAIN}&realm={DOMAIN}")),
        "{line}"
    );
    let user = query
        .split('&')
        .nth(1)
        .and_then(|user| user.strip_prefix("user="));
    user.expect("a user").to_owned()
}

fn with_directory(directory: &Directory, scratch: &Scratch, lookup: &str) -> Server {
    let token = scratch.write("token", "t0ken\n");
    setup(&directory.url())
        .toml(&format!("[user_lookup]\ntoken_file = {token:?}\n{lookup}"))
        .start()
}

#[test]
fn users_are_asked_for_by_http() {
    let md5 = format!(r#"{{"ha1":{{"MD5":"{}"}}}}"#, md5("bob", "bobpw"));
    let directory = Directory::start(&[
        ("alice", r#"{"password":"alicepw"}"#),
        ("bob", &md5),
        ("1001", r#"{"user":"alice"}"#),
    ]);
    let scratch = Scratch::new();
    for method in ["GET", "POST"] {
        let server = with_directory(&directory, &scratch, &format!("method = {method:?}"));
        assert_eq!(status_as(&server, "alice", "alicepw"), Some(200));
        assert_eq!(status_as(&server, "alice", "alicepw"), Some(200));
        assert_eq!(status_as(&server, "bob", "bobpw"), Some(200));
        assert_eq!(directory.asked(), ["alice", "bob"], "what was said is kept");
        assert_eq!(status_as(&server, "bob", "alicepw"), Some(401));
        assert_eq!(status_as(&server, "nobody", "x"), Some(401));
        assert_eq!(directory.asked(), ["bob", "nobody"]);
        let phone = Peer::udp(server.sip()).registered_as(&aor("alice"), "alicepw");
        let caller = Peer::udp(server.sip());
        let invite = caller.request("INVITE", &aor("1001"), &aor("bob"), &aor("1001"));
        let challenge = caller.exchange(&invite);
        caller.send(&system_tests::digest::Answer::new("bob", "bobpw").to(&invite, &challenge));
        phone.expect_request("INVITE");
        for arguments in [
            vec!["list"],
            vec!["add", "dan@strowger.test", "--password", "danpw"],
        ] {
            let refused = user(&server, &arguments);
            let told = format!("users come from http://127.0.0.1:{}", directory.port);
            assert!(
                !refused.succeeded() && refused.stderr.contains(&told),
                "{refused:?}"
            );
        }
        directory.asked();
        assert_eq!(server.metric("strowger_user_lookups_total{result=\"none\"}"), 1);
    }
}

// RFC 3261 §21.5.4.
#[test]
fn a_slow_or_failing_server_keeps_nobody_else_waiting() {
    let directory = Directory::start(&[("alice", r#"{"password":"alicepw"}"#)]);
    let scratch = Scratch::new();
    let server = with_directory(
        &directory,
        &scratch,
        "timeout = \"1s\"\nttl = \"1s\"\nnegative_ttl = \"1s\"",
    );
    assert_eq!(status_as(&server, "alice", "alicepw"), Some(200));
    directory.change(|state| state.delay = Duration::from_secs(5));
    thread::sleep(Duration::from_millis(1100));
    let begun = Instant::now();
    let waiting = thread::scope(|scope| {
        let slow = scope.spawn(|| status_as(&server, "nobody", "x"));
        thread::sleep(Duration::from_millis(200));
        // The shards go on meanwhile.
        let other = Peer::udp(server.sip());
        for _ in 0..20 {
            let options = other.request(
                "OPTIONS",
                &format!("sip:{DOMAIN}"),
                &aor("x"),
                &format!("sip:{DOMAIN}"),
            );
            assert_eq!(other.exchange(&options).status(), Some(200));
        }
        assert!(
            begun.elapsed() < Duration::from_millis(900),
            "{:?}",
            begun.elapsed()
        );
        slow.join().expect("it ends")
    });
    assert_eq!(waiting, Some(503));
    // What was said of alice is stale and used.
    directory.change(|state| state.failing = true);
    assert_eq!(status_as(&server, "alice", "alicepw"), Some(200));
    assert_eq!(
        status_as(&server, "alice", "wrong"),
        Some(503),
        "nobody is refused by what is stale"
    );
    let output = server.process().output();
    assert!(
        output.contains("a user cannot be looked up at http://127.0.0.1:"),
        "{output}"
    );
    assert!(
        !output.contains("site=1") && !output.contains("t0ken"),
        "{output}"
    );
}

#[test]
fn an_explanation_asks_nobody() {
    let directory = Directory::start(&[("alice", r#"{"password":"alicepw"}"#)]);
    let scratch = Scratch::new();
    let server = with_directory(&directory, &scratch, "");
    let phone = Peer::udp(server.sip());
    let register = phone.register(&aor("alice"), 300);
    let challenge = phone.exchange(&register);
    let answered = system_tests::digest::Answer::new("alice", "alicepw").to(&register, &challenge);
    let body = serde_json::json!({ "message": answered.text(), "source": phone.address().to_string() });
    let token = format!("Bearer {}", server.token());
    let headers = [
        ("Authorization", token.as_str()),
        ("Content-Type", "application/json"),
    ];
    let told = http::send(
        &server.admin(),
        "POST",
        "/api/v1/explain",
        &headers,
        &body.to_string(),
    );
    assert_eq!(told.status, 200, "{told:?}");
    assert!(
        told.body.contains(&format!("alice@{DOMAIN}")) && told.body.contains("undecided"),
        "{told:?}"
    );
    assert_eq!(directory.asked(), Vec::<String>::new());
    assert_eq!(
        phone.exchange(&answered).status(),
        Some(200),
        "it has used up nothing"
    );
}

/// H(A1) for MD5 in hexadecimal digits.
fn md5(user: &str, password: &str) -> String {
    use md5::Digest as _;
    let digest = md5::Md5::digest(format!("{user}:{DOMAIN}:{password}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
