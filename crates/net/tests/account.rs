//! Going on as another user, in a process of its own: there is no way back.

use std::fs;
use std::process::Command;

use strowger_net::{become_account, is_root, rehearse_account};

/// Names the process that may lose its rights.
const CHILD: &str = "STROWGER_TEST_BECOMES_NOBODY";

fn ids_of(name: &str) -> Option<(u32, u32)> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let entry = text
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == name)?;
    Some((entry[2].parse().ok()?, entry[3].parse().ok()?))
}

/// The four ids of every thread: real, effective, saved, of the file system.
fn ids_of_threads(field: &str) -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").expect("procfs");
    let of_one = |path: std::path::PathBuf| {
        let status = fs::read_to_string(path.join("status")).expect("procfs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.expect("the field")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    threads
        .map(|thread| of_one(thread.expect("procfs").path()))
        .collect()
}

#[test]
fn all_threads_go_on_as_the_account_and_none_comes_back() {
    let Some((uid, gid)) = ids_of("nobody") else {
        return;
    };
    if std::env::var_os(CHILD).is_none() {
        let status = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "all_threads_go_on_as_the_account_and_none_comes_back"])
            .env(CHILD, "1")
            .status();
        assert!(status.expect("a child process").success());
        return;
    }
    let may = is_root();
    assert_eq!(rehearse_account(uid, gid, "nobody").is_ok(), may);
    assert_eq!(is_root(), may, "the rehearsal changes nothing");
    if !may {
        assert!(become_account(uid, gid, "nobody").is_err());
        return;
    }
    become_account(uid, gid, "nobody").expect("root may");
    assert!(!is_root());
    let uids = ids_of_threads("Uid:");
    assert!(uids.len() > 1, "the test runs beside its main thread");
    assert!(
        uids.iter()
            .all(|ids| *ids == [uid.to_string().as_str(); 4].join(" "))
    );
    let gids = ids_of_threads("Gid:");
    assert!(
        gids.iter()
            .all(|ids| *ids == [gid.to_string().as_str(); 4].join(" "))
    );
    assert_eq!(ids_of_threads("Groups:")[0], gid.to_string());
    become_account(uid, gid, "nobody").expect("it is that account already");
    assert!(become_account(1, 1, "daemon").is_err());
}

#[test]
fn root_is_no_account_to_go_on_as() {
    assert!(become_account(0, 0, "root").is_err());
    assert!(rehearse_account(0, 0, "root").is_err());
}
