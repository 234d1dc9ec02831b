//! What commits and starts take.

use std::time::Instant;

use strowger_server::location::{Commit, Durability, Location, Settings};
use strowger_testkit::Scratch;

use crate::sqlite::logged;
use crate::stores::{KEY, NOW, open, record, sqlite};

#[test]
#[ignore = "a measurement, not a test: cargo test --release --test location -- --ignored --nocapture measure"]
fn measure_commits_and_start() {
    const AORS: usize = 1_000_000;
    const ROWS: usize = 3_000_000;
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
