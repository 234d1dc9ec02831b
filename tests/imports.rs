//! Many users at once: `strowger user import`, alone and beside a running server.
#![cfg(target_os = "linux")]

use std::env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::process::{Ended, Signal, run};
use system_tests::server::{DOMAIN, Setup, program, strowger};
use system_tests::{Peer, Scratch};

/// Users that are committed together.
const BATCH: u64 = 10_000;

/// How many users there are.
fn users() -> u64 {
    if env::var_os("STROWGER_FULL").is_some() {
        1_000_000
    } else {
        20_000
    }
}

/// So many users, each once, in no order.
fn lines(users: u64, password: &str) -> String {
    let mut text = String::new();
    for n in 0..users {
        // A prime that divides none of these numbers of users.
        let user = n * 7919 % users;
        writeln!(text, "user{user:07}@{DOMAIN},{password}{user}").expect("written");
    }
    text
}

fn import(file: &Path, data: &Path) -> Ended {
    let (file, data) = (file.to_string_lossy(), data.to_string_lossy());
    let arguments = ["user", "import", "--json", &file, "--data-dir", &data];
    run(Duration::from_secs(180), &program().to_string_lossy(), &arguments)
}

fn told(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).expect("JSON")
}

fn count(data: &Path) -> u64 {
    let listed = strowger(&["user", "list", "--json", "--data-dir", &data.to_string_lossy()]);
    assert!(listed.succeeded(), "{}", listed.stderr);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    listed.as_array().map_or(0, |users| users.len() as u64)
}

#[test]
fn a_million_users_are_there_within_a_minute() {
    let scratch = Scratch::new();
    let (data, users) = (scratch.join("data"), users());
    let file = scratch.write("users.csv", lines(users, "pw"));
    let begun = Instant::now();
    let ended = import(&file, &data);
    let alone = begun.elapsed();
    assert!(ended.succeeded(), "{}", ended.stderr);
    assert_eq!(told(&ended)["added"], users);
    // Beside a server, the whole again with other passwords.
    let server = Setup::with_digest().data(&data).start();
    let file = scratch.write("users.csv", lines(users, "other"));
    let begun = Instant::now();
    let ended = import(&file, &data);
    let beside = begun.elapsed();
    assert!(ended.succeeded(), "{}", ended.stderr);
    assert_eq!(
        (&told(&ended)["added"], &told(&ended)["changed"]),
        (&0.into(), &users.into())
    );
    let phone = Peer::udp(server.sip());
    let last = users - 1;
    let aor = format!("sip:user{last:07}@{DOMAIN}");
    let register = phone.register(&aor, 300);
    let answer = phone.exchange_as(&register, &format!("user{last:07}"), &format!("other{last}"));
    assert_eq!(answer.status(), Some(200));
    println!("{users} users: {alone:?} alone, {beside:?} beside a server");
    for took in [alone, beside] {
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
}

#[test]
fn what_is_not_taken_is_told_with_file_and_line_and_the_rest_is_there() {
    let scratch = Scratch::new();
    let data = scratch.join("data");
    let text = format!("alice@{DOMAIN},alicepw\nhunter2\nbob@{DOMAIN},bobpw\ncarol@elsewhere.test\n");
    let file = scratch.write("users.csv", text);
    let mut server = Setup::new().data(&data).start();
    for beside in [true, false] {
        let ended = strowger(&[
            "user",
            "import",
            &file.to_string_lossy(),
            "--data-dir",
            &data.to_string_lossy(),
        ]);
        assert!(!ended.succeeded(), "{ended:?}");
        for line in [2, 4] {
            let place = format!("{}:{line}: ", file.display());
            assert!(ended.stderr.contains(&place), "{place} {ended:?}");
        }
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
        let expected = if beside {
            "added 2, changed 0"
        } else {
            "added 0, changed 2"
        };
        assert!(ended.stdout.contains(expected), "{ended:?}");
        if beside {
            server.end(Signal::Kill);
        }
    }
    let ended = import(&file, &data);
    let told = told(&ended);
    assert_eq!(
        (&told["failures"], &told["failed"][0]["line"]),
        (&2.into(), &2.into())
    );
}

#[test]
fn a_long_import_tells_how_far_it_is() {
    let scratch = Scratch::new();
    let mut importing = Command::new(program())
        .args(["user", "import", "-", "--data-dir"])
        .arg(scratch.join("data"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut input = importing.stdin.take().expect("a pipe");
    let text = lines(2 * BATCH, "pw");
    let (first, second) = text.split_at(text.len() / 2);
    input.write_all(first.as_bytes()).expect("read");
    // Where nobody watches it is told every five seconds at most.
    thread::sleep(Duration::from_millis(5200));
    input.write_all(second.as_bytes()).expect("read");
    drop(input);
    let ended = importing.wait_with_output().expect("it ends");
    let (told, result) = (
        String::from_utf8_lossy(&ended.stderr),
        String::from_utf8_lossy(&ended.stdout),
    );
    assert!(
        told.contains(" lines, ") && told.contains(" a second\n"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(result.contains("added 20000, changed 0"), "{result}");
}

#[test]
fn a_batch_is_there_as_a_whole_or_not_at_all_and_the_import_can_be_run_again() {
    let scratch = Scratch::new();
    let file = scratch.write("users.csv", lines(20_000, "pw"));
    for after_ms in [50, 150, 300, 600] {
        let data = scratch.join(&format!("data{after_ms}"));
        let mut importing = Command::new(program())
            .args(["user", "import"])
            .arg(&file)
            .arg("--data-dir")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        thread::sleep(Duration::from_millis(after_ms));
        importing.kill().and_then(|()| importing.wait()).expect("killed");
        let ended = import(&file, &data);
        assert!(ended.succeeded(), "{}", ended.stderr);
        let before = told(&ended)["changed"].as_u64().expect("a number");
        assert_eq!(before % BATCH, 0, "killed after {after_ms} ms");
        assert_eq!(count(&data), 20_000);
    }
}
