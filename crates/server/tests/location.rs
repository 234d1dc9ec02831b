//! What every location store has to do, run on each of them; then what the one that survives does beyond that.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use strowger_server::data_dir::DataDir;
use strowger_server::location::{
    Advice, Caller, Commit, CommitError, Committed, Durability, Location, MAX_AOR, MAX_RECORD, Memory,
    OpenError, Settings, Sqlite, StoreFailure, Ticket, Version, Watcher,
};
use strowger_testkit::Scratch;

const NOW: u32 = 1_000_000;
const KEY: [u8; 16] = *b"sixteen bytes...";
const PATIENCE: Duration = Duration::from_secs(20);

/// A store and the answers it gives late.
struct Bench<L: ?Sized> {
    store: Box<L>,
    answers: Receiver<Committed>,
}

impl<L: Location + ?Sized> Bench<L> {
    fn submit(&self, aor: &str, seen: Version, record: &[u8], ticket: u64) -> Commit {
        self.store.commit(
            aor.as_bytes(),
            seen,
            record,
            Caller {
                shard: 3,
                ticket: Ticket(ticket),
            },
        )
    }

    fn answer(&self) -> Committed {
        self.answers.recv_timeout(PATIENCE).expect("an answer")
    }

    /// Commits and waits for the answer, whichever way it comes.
    fn commit(&self, aor: &str, seen: Version, record: &[u8]) -> Result<Version, CommitError> {
        match self.submit(aor, seen, record, 77) {
            Commit::Done(version) => Ok(version),
            Commit::Conflict => Err(CommitError::Conflict),
            Commit::Unavailable => Err(CommitError::Failed(StoreFailure::Full)),
            Commit::Pending => {
                let committed = self.answer();
                assert_eq!(
                    committed.caller,
                    Caller {
                        shard: 3,
                        ticket: Ticket(77)
                    }
                );
                committed.result
            }
        }
    }

    /// Replaces a record whatever it is.
    fn put(&self, aor: &str, record: &[u8]) -> Version {
        let (seen, _) = self.read(aor);
        self.commit(aor, seen, record).expect("nobody else writes")
    }

    fn read(&self, aor: &str) -> (Version, Vec<u8>) {
        let mut record = b"left over".to_vec();
        let version = self.store.read(aor.as_bytes(), &mut record);
        (version, record)
    }

    fn all(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        self.store.for_each(&mut |aor, record| {
            all.push((String::from_utf8_lossy(aor).into_owned(), record.to_vec()));
        });
        all.sort();
        all
    }
}

fn settings() -> Settings {
    Settings::new(KEY, Durability::Process)
}

fn memory() -> Bench<dyn Location> {
    let (_, answers) = channel();
    Bench {
        store: Box::new(Memory::new(KEY, 64 << 20)),
        answers,
    }
}

fn sqlite(dir: &Path) -> Result<Bench<Sqlite>, OpenError> {
    open(dir, settings(), NOW)
}

fn open(dir: &Path, settings: Settings, now: u32) -> Result<Bench<Sqlite>, OpenError> {
    let dir = DataDir::open(dir).expect("a free directory");
    let (answer, answers) = channel();
    let answer = Arc::new(move |_, committed: Vec<Committed>| {
        for committed in committed {
            let _ = answer.send(committed);
        }
    });
    Ok(Bench {
        store: Box::new(Sqlite::open(&dir, settings, now, answer)?),
        answers,
    })
}

/// Runs a test on an empty store of each kind.
fn on_each(test: impl Fn(&Bench<dyn Location>)) {
    test(&memory());
    let scratch = Scratch::new();
    let Bench { store, answers } = sqlite(scratch.path()).expect("opens");
    test(&Bench {
        store: store as Box<dyn Location>,
        answers,
    });
}

/// A record that expires `seconds` after [`NOW`].
fn record(seconds: u32, content: &str) -> Vec<u8> {
    [&(NOW + seconds).to_le_bytes(), content.as_bytes()].concat()
}

#[test]
fn a_record_is_read_as_it_was_committed() {
    on_each(|bench| {
        assert_eq!(bench.read("alice@example.org"), (Version::ABSENT, vec![]));
        let version = bench
            .commit("alice@example.org", Version::ABSENT, &record(60, "one"))
            .expect("free");
        assert_ne!(version, Version::ABSENT);
        assert_eq!(bench.read("alice@example.org"), (version, record(60, "one")));
        assert_eq!(bench.read("alice@example.or"), (Version::ABSENT, vec![]));
        assert_eq!(bench.store.len(), 1);
        assert!(bench.store.bytes() > 0);
    });
}

#[test]
fn records_are_visited_part_by_part() {
    on_each(|bench| {
        for n in 0..20 {
            bench.put(&format!("u{n}@x"), &record(60, "one"));
        }
        let (mut seen, mut from, mut parts) = (Vec::new(), Some(0), 0);
        while let Some(place) = from {
            let before = seen.len();
            from = bench.store.visit(place, 3, &mut |aor, record| {
                seen.push((String::from_utf8_lossy(aor).into_owned(), record.to_vec()));
            });
            parts += 1;
            assert!(seen.len() - before <= 3);
        }
        seen.sort();
        assert_eq!(seen, bench.all());
        assert!(parts >= 7, "{parts}");
    });
}

#[test]
fn who_did_not_see_the_last_version_changes_nothing() {
    on_each(|bench| {
        let first = bench
            .commit("a@x", Version::ABSENT, &record(60, "one"))
            .expect("free");
        let second = bench.commit("a@x", first, &record(60, "two")).expect("seen");
        for stale in [Version::ABSENT, first] {
            assert_eq!(
                bench.commit("a@x", stale, &record(60, "late")),
                Err(CommitError::Conflict)
            );
            assert_eq!(bench.commit("a@x", stale, b""), Err(CommitError::Conflict));
        }
        assert_eq!(bench.read("a@x"), (second, record(60, "two")));
    });
}

#[test]
fn a_removed_record_is_absent_and_its_versions_are_void() {
    on_each(|bench| {
        let first = bench
            .commit("a@x", Version::ABSENT, &record(60, "one"))
            .expect("free");
        assert_eq!(bench.commit("a@x", first, b""), Ok(Version::ABSENT));
        assert_eq!(bench.read("a@x"), (Version::ABSENT, vec![]));
        assert_eq!(bench.commit("a@x", Version::ABSENT, b""), Ok(Version::ABSENT));
        bench
            .commit("a@x", Version::ABSENT, &record(60, "again"))
            .expect("free");
        assert_eq!(
            bench.commit("a@x", first, &record(60, "late")),
            Err(CommitError::Conflict)
        );
        assert_eq!(bench.store.len(), 1);
    });
}

#[test]
fn of_many_commits_on_one_version_exactly_one_holds() {
    on_each(|bench| {
        let seen = bench
            .commit("a@x", Version::ABSENT, &record(60, "one"))
            .expect("free");
        let mut held = 0;
        let mut pending = 0;
        for ticket in 0..100 {
            match bench.submit("a@x", seen, &record(60, &ticket.to_string()), ticket) {
                Commit::Done(_) => held += 1,
                Commit::Pending => pending += 1,
                Commit::Conflict => {}
                Commit::Unavailable => panic!("room for a hundred"),
            }
        }
        held += (0..pending).filter(|_| bench.answer().result.is_ok()).count();
        assert_eq!(held, 1);
    });
}

#[test]
fn records_grow_and_shrink() {
    on_each(|bench| {
        for len in [1, 500, 20, 4000, MAX_RECORD - 4, 10] {
            let record = record(60, &"x".repeat(len));
            bench.put("a@x", &record);
            assert_eq!(bench.read("a@x").1, record);
        }
    });
}

#[test]
fn what_is_too_long_is_refused() {
    on_each(|bench| {
        assert_eq!(
            bench.submit("a@x", Version::ABSENT, &vec![255; MAX_RECORD + 1], 1),
            Commit::Unavailable
        );
        let aor = "a".repeat(MAX_AOR + 1);
        assert_eq!(
            bench.submit(&aor, Version::ABSENT, &record(60, "one"), 1),
            Commit::Unavailable
        );
        assert!(bench.store.is_empty());
    });
}

#[test]
fn every_record_is_listed_once() {
    on_each(|bench| {
        let expected: Vec<_> = (100..400)
            .map(|n| (format!("{n}@x"), record(60, &n.to_string())))
            .collect();
        for (aor, record) in &expected {
            bench.put(aor, record);
        }
        bench.put("removed@x", &record(60, "gone"));
        bench.put("removed@x", b"");
        assert_eq!(bench.all(), expected);
    });
}

#[test]
fn who_watches_is_told_of_every_change_that_was_published() {
    on_each(|bench| {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let watch = bench.store.watch();
        watch.serve(
            2,
            Box::new(move |shard| tell.lock().expect("told").send(shard).expect("heard")),
        );
        let mut watcher = Watcher::new(1);
        let slot = watcher.add(watch, b"a@x");
        let changed = |does: &dyn Fn()| {
            does();
            let mut slots = Vec::new();
            watcher.take_changed(watch, &mut slots);
            (told.try_iter().collect::<Vec<_>>(), slots)
        };
        let new = changed(&|| _ = bench.put("a@x", &record(1, "one")));
        assert_eq!(new, (vec![1], vec![slot]));
        let same = changed(&|| _ = bench.put("a@x", &record(2, "two")));
        assert_eq!(same, (vec![1], vec![slot]));
        let refused = changed(&|| _ = bench.commit("a@x", Version::ABSENT, b"late").is_err());
        assert_eq!(refused, (vec![], vec![]));
        let swept = changed(&|| _ = bench.store.sweep(NOW + 100, &mut |_| {}));
        assert_eq!(swept, (vec![1], vec![slot]));
    });
}

#[test]
fn a_sweep_removes_what_has_expired_and_says_whose_it_was() {
    on_each(|bench| {
        for n in 0..50 {
            bench.put(&format!("{n:02}@x"), &record(n, "r"));
        }
        let mut removed = Vec::new();
        let count = bench.store.sweep(NOW + 19, &mut |aor| {
            removed.push(String::from_utf8_lossy(aor).into_owned())
        });
        removed.sort();
        assert_eq!(removed, (0..20).map(|n| format!("{n:02}@x")).collect::<Vec<_>>());
        assert_eq!((count, bench.store.len()), (20, 30));
        bench
            .commit("00@x", Version::ABSENT, &record(60, "back"))
            .expect("free");
    });
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

/// The commits in the log: each row is a checksum of 8 bytes, then commits, each with two lengths before its two texts.
fn logged(dir: &Path) -> usize {
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
fn a_row_that_was_changed_on_the_disk_is_told() {
    let scratch = Scratch::new();
    sqlite(scratch.path())
        .expect("opens")
        .put("a@x", &record(60, "one"));
    let path = scratch.path().join("location.db");
    let other = rusqlite::Connection::open(&path).expect("opens");
    other
        .execute_batch(
            "UPDATE log SET commits = CAST(substr(commits, 1, length(commits) - 1) || 'x' AS BLOB)",
        )
        .expect("changed");
    drop(other);
    let Err(error) = sqlite(scratch.path()) else {
        panic!("opened")
    };
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
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
fn a_damaged_file_is_refused_with_its_mend() {
    let scratch = Scratch::new();
    fs::write(
        scratch.path().join("location.db"),
        "this is no database ".repeat(500),
    )
    .expect("written");
    let Err(error) = sqlite(scratch.path()) else {
        panic!("opened")
    };
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("backup"));
}

#[test]
fn a_file_that_is_damaged_while_it_is_open_is_written_anew() {
    let scratch = Scratch::new();
    let bench = sqlite(scratch.path()).expect("opens");
    let seen = bench.put("a@x", &record(60, "one"));
    let path = scratch.path().join("location.db");
    let other = rusqlite::Connection::open(&path).expect("opens");
    other
        .execute_batch("DELETE FROM log; PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("changed");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("there");
    file.write_all_at(&[0xa5; 4096], 0).expect("written");
    let refused = bench.commit("a@x", seen, &record(60, "two"));
    assert_eq!(refused, Err(CommitError::Failed(StoreFailure::Damaged)));
    let failing = bench.store.failing().expect("it fails");
    // An older copy would lack what was acknowledged since.
    let advice = Advice(failing).to_string();
    assert!(
        !advice.contains("copy") && advice.contains("by itself"),
        "{advice}"
    );
    let seen = bench
        .commit("a@x", seen, &record(60, "three"))
        .expect("written anew");
    assert_eq!(bench.store.failing(), None);
    assert_eq!(bench.read("a@x"), (seen, record(60, "three")));
    drop((bench, other));
    let after = sqlite(scratch.path()).expect("opens");
    assert_eq!(after.read("a@x").1, record(60, "three"));
}

#[test]
fn each_damaged_log_is_kept_up_to_a_number() {
    let scratch = Scratch::new();
    sqlite(scratch.path())
        .expect("opens")
        .put("a@x", &record(60, "one"));
    let kept = |number: u8| {
        let name = format!("location.db-wal.damaged.{number}");
        let bytes = fs::read(scratch.path().join(name)).ok()?;
        Some((bytes[0], bytes.len()))
    };
    for number in 1..=7 {
        fs::write(scratch.path().join("location.db-wal"), [number; 9000]).expect("written");
        let bench = sqlite(scratch.path()).expect("opens");
        assert_eq!(bench.read("a@x").1, record(60, "one"));
    }
    for number in 1..=5 {
        assert_eq!(kept(number), Some((number, 9000)));
    }
    assert_eq!(kept(6), None);
}

#[test]
fn a_damaged_page_is_refused_and_not_taken_for_the_end() {
    let scratch = Scratch::new();
    {
        let bench = sqlite(scratch.path()).expect("opens");
        for n in 0..200 {
            bench.put(&format!("{n}@x"), &record(60, &"x".repeat(500)));
        }
    }
    let path = scratch.path().join("location.db");
    let mut bytes = fs::read(&path).expect("there");
    assert!(bytes.len() > 10 * 4096);
    bytes[5 * 4096..6 * 4096].fill(0xa5);
    fs::write(&path, bytes).expect("written");
    let Err(error) = sqlite(scratch.path()) else {
        panic!("opened")
    };
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_file_of_a_later_version_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    sqlite(scratch.path())
        .expect("opens")
        .put("a@x", &record(60, "one"));
    let path = scratch.path().join("location.db");
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.pragma_update(None, "user_version", 99).expect("written");
    let Err(error) = sqlite(scratch.path()) else {
        panic!("opened")
    };
    assert!(matches!(error, OpenError::TooNew { found: 99, .. }), "{error}");
    assert_eq!(logged(scratch.path()), 1);
}

#[test]
fn a_file_that_was_spoilt_is_written_anew_from_memory() {
    let scratch = Scratch::new();
    let bench = sqlite(scratch.path()).expect("opens");
    let seen = bench.put("a@x", &record(60, "one"));
    bench.put("b@x", &record(60, "stays"));
    let other = rusqlite::Connection::open(scratch.path().join("location.db")).expect("opens");
    other.execute_batch("DROP TABLE log").expect("dropped");
    drop(other);
    let refused = bench.commit("a@x", seen, &record(60, "two"));
    assert!(matches!(refused, Err(CommitError::Failed(_))), "{refused:?}");
    bench
        .commit("a@x", seen, &record(60, "three"))
        .expect("written anew");
    assert_eq!(bench.store.failing(), None);
    let all = bench.all();
    drop(bench);
    assert_eq!(sqlite(scratch.path()).expect("opens").all(), all);
    assert_eq!(all.len(), 2);
}

#[test]
fn a_replacement_that_is_complete_takes_the_place_of_file_and_log() {
    let (old, new, cut) = (Scratch::new(), Scratch::new(), Scratch::new());
    sqlite(new.path()).expect("opens").put("new@x", &record(60, "r"));
    let bench = sqlite(old.path()).expect("opens");
    bench.put("old@x", &record(60, "r"));
    for file in ["location.db", "location.db-wal"] {
        fs::copy(old.path().join(file), cut.path().join(file)).expect("copied");
    }
    let replacement = cut.path().join("location.db.replacement");
    fs::copy(new.path().join("location.db"), &replacement).expect("copied");
    let found = sqlite(cut.path()).expect("opens").all();
    assert_eq!(found, [("new@x".to_owned(), record(60, "r"))]);
    assert!(!replacement.exists());
}

#[test]
fn the_files_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let bench = sqlite(scratch.path()).expect("opens");
    bench.put("a@x", &record(60, "one"));
    for file in ["location.db", "location.db-wal", "location.db-shm"] {
        let mode = fs::metadata(scratch.path().join(file))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
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

const CHILD_DIR: &str = "STROWGER_TEST_LOCATION_DIR";

#[test]
#[ignore = "the child of what_was_answered_survives_kill_9"]
fn commit_until_killed() {
    let Ok(dir) = env::var(CHILD_DIR) else { return };
    let bench = sqlite(Path::new(&dir)).expect("opens");
    let mut seen = [Version::ABSENT; 50];
    for round in 0.. {
        for (n, seen) in seen.iter_mut().enumerate() {
            let record = record(60, &round.to_string());
            *seen = bench.commit(&n.to_string(), *seen, &record).expect("written");
            println!("acknowledged {n} {round}");
        }
    }
}

#[test]
fn what_was_answered_survives_kill_9() {
    let scratch = Scratch::new();
    let mut acknowledged = [-1_i64; 50];
    for life in 1..=3_usize {
        let mut child = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", "commit_until_killed", "--ignored", "--nocapture"])
            .env(CHILD_DIR, scratch.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("runs itself");
        let out = child.stdout.take().expect("piped");
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let mut note = |line: &str| {
            let mut words = line.split(' ').skip_while(|word| *word != "acknowledged").skip(1);
            if let (Some(n), Some(round)) = (words.next(), words.next()) {
                let n: usize = n.parse().expect("a number");
                acknowledged[n] = round.parse().expect("a number");
            }
        };
        lines.by_ref().take(700 * life).for_each(|line| note(&line));
        child.kill().expect("running");
        child.wait().expect("ended");
        lines.for_each(|line| note(&line));
        let bench = sqlite(scratch.path()).expect("opens after a kill");
        for (n, round) in acknowledged.iter().enumerate() {
            let (_, found) = bench.read(&n.to_string());
            let found: i64 = String::from_utf8_lossy(&found[4..]).parse().expect("a round");
            // The commit after the last acknowledged one may have reached the disk, too.
            assert!(
                found == *round || found == round + 1,
                "{n}: {found}, acknowledged {round}"
            );
        }
        // The child of the next life begins with what is absent.
        for n in 0..acknowledged.len() {
            bench.put(&n.to_string(), b"");
        }
    }
}

#[test]
#[ignore = "a measurement, not a test: cargo test --release --test location -- --ignored --nocapture measure"]
fn measure_commits_and_start() {
    const AORS: usize = 200_000;
    const ROWS: usize = 1_000_000;
    let scratch = Scratch::new();
    for durability in [Durability::Process, Durability::Power] {
        let bench = open(scratch.path(), Settings::new(KEY, durability), NOW).expect("opens");
        let begun = Instant::now();
        let (mut done, mut next) = (0, 0);
        let mut seen: Vec<_> = (0..AORS)
            .map(|n| bench.read(&format!("{n:06}@example.org")).0)
            .collect();
        while done < ROWS / 2 {
            while next < ROWS / 2 && next - done < 10_000 {
                let n = next % AORS;
                let record = record(60, &format!("{next:106}"));
                let told = bench.submit(&format!("{n:06}@example.org"), seen[n], &record, n as u64);
                assert_eq!(told, Commit::Pending);
                next += 1;
            }
            let committed = bench.answer();
            seen[committed.caller.ticket.0 as usize] = committed.result.expect("written");
            done += 1;
        }
        println!("{done} commits ({durability:?}) in {:?}", begun.elapsed());
    }
    let rows = logged(scratch.path());
    let begun = Instant::now();
    let bench = sqlite(scratch.path()).expect("opens");
    println!(
        "{rows} rows, {} records read in {:?}",
        bench.store.len(),
        begun.elapsed()
    );
    println!(
        "{} bytes for each record",
        bench.store.bytes() / bench.store.len()
    );
}
