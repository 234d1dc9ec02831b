//! What was answered is there after the server was killed.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use strowger_server::location::Version;
use strowger_testkit::Scratch;

use crate::stores::{record, sqlite};

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
            .args(["--exact", "kill::commit_until_killed", "--ignored", "--nocapture"])
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
