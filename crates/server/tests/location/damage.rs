//! What the store on the disk does when its files are not what it has written.

use std::fs;
use std::os::unix::fs::FileExt;

use strowger_server::location::{Advice, CommitError, Location, OpenError, StoreFailure};
use strowger_testkit::Scratch;

use crate::sqlite::logged;
use crate::stores::{record, sqlite};

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
