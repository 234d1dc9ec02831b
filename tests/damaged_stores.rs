//! A database that is damaged when the server starts: it does not start, says in one clear message which file, what is wrong
//! and how to mend it, and touches nothing.
#![cfg(target_os = "linux")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::fault::{fill, lock};
use system_tests::process::{Process, Signal};
use system_tests::registering::Phones;
use system_tests::server::{DOMAIN, Server, Setup, program, ready_line, serve, strowger};
use system_tests::{Peer, Random, Scratch, namespace, ports};

const PAGE: usize = 4096;

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// A data folder with users and registrations, after its server has ended.
fn filled(scratch: &Scratch, end: Signal) -> (PathBuf, Phones, Server) {
    let data = scratch.join("data");
    let mut setup = Setup::new().data(&data);
    for user in 0..100 {
        setup = setup.user(&format!("user{user}"), "pw");
    }
    let mut server = setup.start();
    let mut phones = Phones::new("p", 60, server.sip(), Random::seeded(5));
    phones.register_times(200);
    server.end(end);
    (data, phones, server)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// Starts a server, which has to fail; returns its message.
fn refused(data: &Path) -> String {
    let listen = format!("udp:127.0.0.1:{}", ports::free());
    let data = data.to_string_lossy();
    let arguments = ["--data-dir", &data, "--listen", &listen, "--admin", "off"];
    let process = serve(&arguments, Path::new("/"));
    message(process)
}

fn message(mut process: Process) -> String {
    let status = process.wait(Duration::from_secs(20));
    let status = status.unwrap_or_else(|| panic!("it runs:\n{}", process.output()));
    assert_eq!(status.code(), Some(1), "{}", process.output());
    assert_eq!(ready_line(&process), None);
    let said = process.stderr();
    let (_, message) = said.split_once("strowger: ").unwrap_or_else(|| panic!("{said}"));
    assert!(
        message.lines().count() <= 2 && !message.contains("panicked"),
        "{said}"
    );
    message.to_owned()
}

type Damage = (&'static str, fn(&Path), &'static str);

/// What can happen to a file, and what of the message says what to do.
const DAMAGES: &[Damage] = &[
    (
        "its header is zero",
        |file| write(file, 0, &[0; 100]),
        "is damaged",
    ),
    (
        "a page is zero",
        |file| write(file, PAGE, &[0; PAGE]),
        "is damaged",
    ),
    (
        "a page is garbage",
        |file| write(file, PAGE, &[0xa5; PAGE]),
        "is damaged",
    ),
    (
        "half a page is garbage",
        |file| write(file, PAGE + PAGE / 2, &[0xa5; PAGE / 2]),
        "is damaged",
    ),
    (
        "half a page is zero",
        |file| write(file, PAGE + PAGE / 2, &[0; PAGE / 2]),
        "is damaged",
    ),
    (
        "its end is cut off",
        |file| cut(file, |len| len / 2),
        "is damaged",
    ),
    (
        "its end is cut off within a page",
        |file| cut(file, |len| len - 100),
        "is damaged",
    ),
    (
        "nothing is left of it",
        |file| cut(file, |_| 0),
        "has lost its tables",
    ),
    (
        "it is a text",
        |file| fs::write(file, "something else\n".repeat(1000)).expect("written"),
        "is damaged",
    ),
    ("it is a folder", folder, "move it away"),
    ("a later version wrote it", later, "start that version"),
];

fn write(file: &Path, at: usize, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(file).expect("opens");
    file.write_all_at(bytes, at as u64).expect("written");
}

fn cut(file: &Path, to: fn(u64) -> u64) {
    let file = OpenOptions::new().write(true).open(file).expect("opens");
    let len = file.metadata().expect("there").len();
    file.set_len(to(len)).expect("cut");
}

fn folder(file: &Path) {
    fs::remove_file(file).expect("removed");
    fs::create_dir(file).expect("made");
}

/// Format of SQLite, 1.3.16: the user version is at byte 60.
fn later(file: &Path) {
    write(file, 60, &99_u32.to_be_bytes());
}

fn bytes(file: &Path) -> Option<Vec<u8>> {
    fs::read(file).ok()
}

#[test]
fn a_damaged_database_is_named_with_its_mend_and_left_alone() {
    let scratch = Scratch::new();
    let (data, mut phones, mut server) = filled(&scratch, Signal::Term);
    let good = scratch.join("good");
    copy(&data, &good);
    for name in ["location.db", "subscribers.db"] {
        for (what, damage, mend) in DAMAGES {
            let file = data.join(name);
            println!("{name}: {what}");
            damage(&file);
            let before = bytes(&file);
            let said = refused(&data);
            for part in [&*file.to_string_lossy(), mend] {
                assert!(
                    said.contains(part),
                    "{name}, {what}: says nothing of {part}: {said}"
                );
            }
            assert_eq!(bytes(&file), before, "{name}, {what}: was touched");
            if name == "subscribers.db" {
                let list = strowger(&["user", "list", "--data-dir", &data.to_string_lossy()]);
                assert_eq!(list.code, Some(1), "{what}: {list:?}");
                assert!(list.stderr.contains(mend), "{what}: {list:?}");
            }
            // What the message says: a copy in its place.
            if file.is_dir() {
                fs::remove_dir(&file).expect("removed");
            }
            fs::copy(good.join(name), &file).expect("copied");
        }
    }
    server.start_again();
    phones.compare().expect("all is there again");
}

#[test]
fn a_database_that_is_gone_while_its_log_is_there_is_asked_for() {
    let scratch = Scratch::new();
    let (data, mut phones, mut server) = filled(&scratch, Signal::Kill);
    let (file, away) = (data.join("location.db"), scratch.join("away"));
    fs::rename(&file, &away).expect("moved");
    let said = refused(&data);
    for part in [&*file.to_string_lossy(), "is missing", "put", "back"] {
        assert!(said.contains(part), "says nothing of {part}: {said}");
    }
    fs::rename(&away, &file).expect("moved");
    server.start_again();
    phones.compare().expect("all is there again");
}

#[test]
fn a_damaged_log_is_told_and_kept_and_what_is_before_is_there() {
    let scratch = Scratch::new();
    let (data, _, mut server) = filled(&scratch, Signal::Kill);
    let log = data.join("location.db-wal");
    let frame = 24 + PAGE;
    // The second half of the log.
    let at = 32 + bytes(&log).expect("there").len() / frame / 2 * frame;
    write(&log, at + 100, b"damage");
    let before = bytes(&log);
    server.start_again();
    let said = server.process().stderr();
    let kept = data.join("location.db-wal.damaged.1");
    for part in [
        &*log.to_string_lossy(),
        &format!("damaged at byte {at}"),
        &kept.to_string_lossy(),
    ] {
        assert!(said.contains(part), "says nothing of {part}: {said}");
    }
    assert_eq!(bytes(&kept), before);
    let status = server.ctl_json("registrations");
    assert!(status.as_array().is_some_and(|list| !list.is_empty()), "{status}");
}

#[test]
fn damaged_keys_are_named_with_their_mend() {
    let scratch = Scratch::new();
    let (data, ..) = filled(&scratch, Signal::Term);
    for (name, mend) in [("secret", "remove it"), ("admin.token", "remove it")] {
        let file = data.join(name);
        let good = bytes(&file).expect("there");
        fs::write(&file, "?").expect("written");
        let said = refused(&data);
        assert!(
            said.contains(&*file.to_string_lossy()) && said.contains(mend),
            "{said}"
        );
        assert_eq!(bytes(&file).as_deref(), Some(&b"?"[..]));
        fs::write(&file, good).expect("written");
    }
}

#[test]
fn a_database_that_another_program_holds_is_named() {
    let scratch = Scratch::new();
    let (data, mut phones, mut server) = filled(&scratch, Signal::Term);
    let holder = lock(&data.join("location.db"), "BEGIN EXCLUSIVE");
    let said = refused(&data);
    for part in ["location.db", "locked", "end it"] {
        assert!(said.contains(part), "says nothing of {part}: {said}");
    }
    drop(holder);
    server.start_again();
    phones.compare().expect("all is there");
}

#[test]
fn a_disk_that_cannot_be_written_is_named() {
    if !namespace::enter("a_disk_that_cannot_be_written_is_named") {
        return;
    }
    let scratch = Scratch::new();
    for (case, fresh) in [("full", true), ("read-only", true), ("read-only", false)] {
        let disk = scratch.join(&format!("{case}-{fresh}"));
        fs::create_dir(&disk).expect("a folder");
        namespace::mount_disk(&disk, 1024);
        let data = disk.join("data");
        if !fresh {
            drop(Setup::new().data(&data).start());
        }
        let mend = if case == "full" {
            fill(&disk);
            "make room"
        } else {
            namespace::make_read_only(&disk);
            "for writing"
        };
        let said = refused(&data);
        for part in [&*data.to_string_lossy(), case, mend] {
            assert!(
                said.contains(part),
                "{case}, {fresh}: says nothing of {part}: {said}"
            );
        }
    }
}

#[test]
fn on_a_full_disk_a_server_starts_and_serves_calls_by_what_is_there() {
    if !namespace::enter("on_a_full_disk_a_server_starts_and_serves_calls_by_what_is_there") {
        return;
    }
    let scratch = Scratch::new();
    namespace::mount_disk(scratch.path(), 1024);
    let mut server = Setup::new().data(&scratch.join("data")).start();
    let alice = Peer::udp(server.sip()).registered(&aor("alice"));
    server.end(Signal::Kill);
    fill(scratch.path());
    server.start_again();
    let response = alice.exchange(&alice.register(&aor("alice"), 300));
    assert_eq!(response.status(), Some(503), "{}", response.text());
    let caller = Peer::udp(server.sip());
    caller.send(&caller.request("MESSAGE", &aor("alice"), &aor("x"), &aor("alice")));
    alice.expect_request("MESSAGE");
}

#[test]
fn a_folder_of_somebody_else_is_named() {
    let scratch = Scratch::new();
    let (data, ..) = filled(&scratch, Signal::Term);
    let (program, data) = (program(), data.to_string_lossy().into_owned());
    let words = [
        "--reuid=65534",
        "--clear-groups",
        &program.to_string_lossy(),
        "serve",
        "--data-dir",
        &data,
        "--listen",
        "udp:127.0.0.1:0",
    ];
    let said = message(Process::server("setpriv", &words, |_| {}));
    assert!(said.contains(&data) && said.contains("no permission"), "{said}");
}
