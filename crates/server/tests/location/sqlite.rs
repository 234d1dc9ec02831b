//! What the store on the disk does beyond the suite: what is answered is there after a restart, and the log stays short.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use strowger_server::location::{
    Commit, CommitError, Location, MAX_AOR, MAX_RECORD, Settings, Sqlite, StoreFailure, Ticket, Version,
};
use strowger_testkit::Scratch;

use crate::stores::{NOW, PATIENCE, open, record, settings, sqlite};

/// The commits in the log: each row is a checksum of 8 bytes, then commits, each with two lengths before its two texts.
pub(crate) fn logged(dir: &Path) -> usize {
    let connection = rusqlite::Connection::open(dir.join("location.db")).expect("opens");
    let mut select = connection.prepare("SELECT commits FROM log").expect("a log");
    let rows = select
        .query_map([], |row| row.get::<_, Vec<u8>>(0))
        .expect("rows");
    rows.map(|row| {
        let row = row.expect("a row");
        let (mut at, mut count) = (8, 0);
        while at < row.len() {
            let len = |at: usize| usize::from(u16::from_le_bytes([row[at], row[at + 1]]));
            at += 4 + len(at) + len(at + 2);
            count += 1;
        }
        count
    })
    .sum()
}

#[test]
fn a_restart_brings_back_what_was_answered() {
    let scratch = Scratch::new();
    let before = {
        let bench = sqlite(scratch.path()).expect("opens");
        for round in 0..3 {
            for n in 0..200 {
                bench.put(&format!("{n}@x"), &record(60, &format!("{n} {round}")));
            }
        }
        bench.put("7@x", b"");
        bench.all()
    };
    let bench = sqlite(scratch.path()).expect("opens");
    assert_eq!(bench.all(), before);
    assert_eq!(bench.read("7@x"), (Version::ABSENT, vec![]));
    assert_eq!(bench.read("8@x").1, record(60, "8 2"));
}

#[test]
fn what_expired_while_the_server_was_down_is_left_out() {
    let scratch = Scratch::new();
    {
        let bench = sqlite(scratch.path()).expect("opens");
        bench.put("short@x", &record(1000, "was longer"));
        bench.put("short@x", &record(60, "r"));
        bench.put("long@x", &record(600, "r"));
    }
    let bench = open(scratch.path(), settings(), NOW + 60).expect("opens");
    assert_eq!(bench.all(), [("long@x".to_owned(), record(600, "r"))]);
}

#[test]
fn a_commit_is_answered_after_it_was_published() {
    let scratch = Scratch::new();
    let bench = sqlite(scratch.path()).expect("opens");
    assert_eq!(
        bench.submit("a@x", Version::ABSENT, &record(60, "one"), 5),
        Commit::Pending
    );
    let committed = bench.answer();
    assert_eq!(committed.caller.ticket, Ticket(5));
    assert_eq!(bench.read("a@x").0, committed.result.expect("done"));
}

#[test]
fn a_log_of_the_first_form_is_brought_over_and_loses_nothing() {
    let scratch = Scratch::new();
    drop(sqlite(scratch.path()).expect("opens"));
    let path = scratch.path().join("location.db");
    let old = rusqlite::Connection::open(&path).expect("opens");
    old.execute_batch(
        "DROP TABLE log; CREATE TABLE log (seq INTEGER PRIMARY KEY, aor BLOB NOT NULL, record BLOB NOT NULL);
         PRAGMA user_version = 1",
    )
    .expect("made old");
    let long = record(60, &"r".repeat(MAX_RECORD - 4));
    let rows: [(&str, &[u8]); 5] = [
        ("a@x", &record(60, "one")),
        ("gone@x", &record(60, "gone")),
        (&"l".repeat(MAX_AOR), &long),
        ("a@x", &record(60, "two")),
        ("gone@x", b""),
    ];
    for (aor, record) in rows {
        old.execute(
            "INSERT INTO log (aor, record) VALUES (?, ?)",
            (aor.as_bytes(), record),
        )
        .expect("written");
    }
    drop(old);
    let peeked = Sqlite::peek(scratch.path(), settings(), NOW).expect("readable");
    assert_eq!(peeked.len(), 2);
    let bench = sqlite(scratch.path()).expect("opens");
    assert_eq!(
        bench.all(),
        [
            ("a@x".to_owned(), record(60, "two")),
            ("l".repeat(MAX_AOR), long.clone())
        ]
    );
    assert_eq!(logged(scratch.path()), rows.len());
}

#[test]
fn the_log_is_compacted_and_loses_nothing() {
    let scratch = Scratch::new();
    let before = {
        let bench = sqlite(scratch.path()).expect("opens");
        for n in 0..100 {
            bench.put(&format!("early {n}"), &record(60, "never refreshed"));
        }
        let mut versions = vec![Version::ABSENT; 500];
        for round in 0..60_u32 {
            for (n, seen) in versions.iter().enumerate() {
                // One in ten goes back and forth between two records; the rest never repeats one.
                let content = if n % 10 == 0 { round % 2 } else { round };
                let record = record(60, &format!("{n} {content}"));
                assert_eq!(
                    bench.submit(&n.to_string(), *seen, &record, n as u64),
                    Commit::Pending
                );
            }
            for _ in 0..versions.len() {
                let committed = bench.answer();
                versions[committed.caller.ticket.0 as usize] = committed.result.expect("written");
            }
        }
        for n in 0..20 {
            bench.put(&n.to_string(), b"");
        }
        let deadline = Instant::now() + PATIENCE;
        while logged(scratch.path()) > 14_000 {
            assert!(
                Instant::now() < deadline,
                "{} commits are left",
                logged(scratch.path())
            );
            thread::sleep(Duration::from_millis(20));
        }
        bench.all()
    };
    assert_eq!(before.len(), 580);
    assert_eq!(sqlite(scratch.path()).expect("opens").all(), before);
}

#[test]
fn a_record_that_is_committed_again_and_again_is_kept_once() {
    let scratch = Scratch::new();
    let bench = sqlite(scratch.path()).expect("opens");
    let mut versions = [Version::ABSENT; 100];
    for _ in 0..150 {
        for (n, seen) in versions.iter().enumerate() {
            let told = bench.submit(&n.to_string(), *seen, &record(60, "always the same"), n as u64);
            assert_eq!(told, Commit::Pending);
        }
        for _ in 0..versions.len() {
            let committed = bench.answer();
            versions[committed.caller.ticket.0 as usize] = committed.result.expect("written");
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while logged(scratch.path()) > 8000 {
        assert!(
            Instant::now() < deadline,
            "{} rows are left",
            logged(scratch.path())
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_commit_that_was_refused_does_not_come_back_with_a_restart() {
    let scratch = Scratch::new();
    for round in 0..20 {
        let bench = sqlite(scratch.path()).expect("opens");
        let (seen, _) = bench.read("a@x");
        let told: Vec<_> = (0..200)
            .map(|n| bench.submit("a@x", seen, &record(60, &format!("{round} {n}")), n))
            .filter(|commit| *commit == Commit::Pending)
            .collect();
        let held: Vec<_> = told
            .iter()
            .map(|_| bench.answer())
            .filter(|told| told.result.is_ok())
            .collect();
        assert_eq!(held.len(), 1);
        drop(bench);
        let expected = record(60, &format!("{round} {}", held[0].caller.ticket.0));
        assert_eq!(sqlite(scratch.path()).expect("opens").read("a@x").1, expected);
    }
}

#[test]
fn a_full_disk_is_answered_and_recovered_from() {
    let scratch = Scratch::new();
    let bench = sqlite(scratch.path()).expect("opens");
    bench.store.limit_file(Some(16 * 4096));
    let mut stored = Vec::new();
    let failure = loop {
        let aor = format!("{}@x", stored.len());
        match bench.commit(&aor, Version::ABSENT, &record(60, &"x".repeat(1000))) {
            Ok(_) => stored.push(aor),
            Err(error) => break error,
        }
        assert!(stored.len() < 1000, "no bound");
    };
    assert_eq!(failure, CommitError::Failed(StoreFailure::Full));
    assert_eq!(bench.store.failing(), Some(StoreFailure::Full));
    assert_eq!(bench.store.len(), stored.len(), "what failed was not published");
    bench.store.limit_file(None);
    bench.put("after@x", &record(60, "room again"));
    assert_eq!(bench.store.failing(), None);
    stored.push("after@x".to_owned());
    drop(bench);
    assert_eq!(sqlite(scratch.path()).expect("opens").store.len(), stored.len());
}

#[test]
fn a_locked_file_is_answered_and_recovered_from() {
    let scratch = Scratch::new();
    let bench = sqlite(scratch.path()).expect("opens");
    let seen = bench.put("a@x", &record(60, "one"));
    let other = rusqlite::Connection::open(scratch.path().join("location.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let refused = bench.commit("a@x", seen, &record(60, "two"));
    assert_eq!(refused, Err(CommitError::Failed(StoreFailure::Busy)));
    assert_eq!(bench.read("a@x"), (seen, record(60, "one")));
    other.execute_batch("ROLLBACK").expect("unlocks");
    bench
        .commit("a@x", seen, &record(60, "three"))
        .expect("free again");
}

#[test]
fn a_queue_that_is_full_refuses_at_once() {
    let scratch = Scratch::new();
    let bench = open(
        scratch.path(),
        Settings {
            queue: 2,
            ..settings()
        },
        NOW,
    )
    .expect("opens");
    let other = rusqlite::Connection::open(scratch.path().join("location.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let begun = Instant::now();
    let told: Vec<_> = (0..20)
        .map(|n| bench.submit(&n.to_string(), Version::ABSENT, &record(60, "r"), n))
        .collect();
    assert!(begun.elapsed() < Duration::from_millis(300), "a commit waited");
    assert!(told.contains(&Commit::Unavailable), "{told:?}");
    other.execute_batch("ROLLBACK").expect("unlocks");
    let pending = told.iter().filter(|commit| **commit == Commit::Pending).count();
    assert!((0..pending).all(|_| bench.answer().result.is_ok()));
}

#[test]
fn a_look_beside_a_running_server_sees_what_is_committed() {
    let scratch = Scratch::new();
    assert!(
        Sqlite::peek(scratch.path(), settings(), NOW)
            .expect("none")
            .is_empty()
    );
    let bench = sqlite(scratch.path()).expect("opens");
    bench.put("a@x", &record(60, "one"));
    let peek = Sqlite::peek(scratch.path(), settings(), NOW).expect("readable");
    let mut found = Vec::new();
    assert_ne!(peek.read(b"a@x", &mut found), Version::ABSENT);
    assert_eq!(found, record(60, "one"));
    bench.put("a@x", &record(60, "two"));
}
