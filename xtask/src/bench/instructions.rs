//! Instructions of the node's operations, counted with callgrind and compared with the ones that are stored.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use crate::report::cargo;

/// Where the counts are stored.
const STORED: &str = "bench/instructions.txt";

/// How to store others.
const SAVE: &str = "cargo xtask bench --instructions --save";

/// Percent that a count may differ by from the stored one. Below it are another processor and another patch of the compiler.
const TOLERANCE: f64 = 5.0;

/// Operations that are counted of each case.
const OPERATIONS: u64 = 300;

/// How many cases are counted at a time.
const AT_A_TIME: usize = 2;

/// What keeps the C library from taking other ways of copying on other processors.
const TUNABLES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM",
);

/// Instructions of one operation, by case.
type Counts = BTreeMap<String, u64>;

/// Counts and compares; true when nothing costs more than what is stored, within the tolerance.
pub(super) fn compare(root: &Path, target: &Path) -> bool {
    build(root, &[]).is_some_and(|cases| compare_with(root, target, &cases))
}

/// Counts the cases of this program and compares; true when nothing costs more than what is stored, within the tolerance.
pub(crate) fn compare_with(root: &Path, target: &Path, cases: &Path) -> bool {
    if !cfg!(target_arch = "x86_64") {
        println!("nothing is compared: the counts of {STORED} are those of x86_64");
        return true;
    }
    let Ok(text) = fs::read_to_string(root.join(STORED)) else {
        println!("no {STORED}; to be made by: {SAVE}");
        return false;
    };
    let Some(counts) = count(cases, target) else {
        return false;
    };
    let (table, passed) = compared(&stored(&text), &counts);
    print!("{table}");
    let (now, then) = (
        compiler(),
        text.lines().find_map(|line| line.strip_prefix("# rustc ")),
    );
    if !passed && then != Some(now.as_str()) {
        println!(
            "the compiler is another one: {now}, not {}",
            then.unwrap_or("known")
        );
    }
    passed
}

/// Counts and stores; true when it could.
pub(super) fn save(root: &Path, target: &Path) -> bool {
    let Some(counts) = build(root, &[]).and_then(|cases| count(&cases, target)) else {
        return false;
    };
    let saved = fs::write(root.join(STORED), written(&counts, &compiler()));
    match &saved {
        Ok(()) => println!("stored in {STORED}"),
        Err(error) => println!("cannot write {STORED}: {error}"),
    }
    saved.is_ok()
}

fn written(counts: &Counts, compiler: &str) -> String {
    let mut text = format!(
        "# Instructions of one operation of a node. The cases are in crates/testkit/benches/cases; written by:\n\
         # {SAVE}\n# rustc {compiler}\n"
    );
    for (name, count) in counts {
        let _ = writeln!(text, "{name} {count}");
    }
    text
}

fn stored(text: &str) -> Counts {
    let count = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    };
    text.lines().filter_map(count).collect()
}

/// A table of what was stored and what was counted, and whether nothing has grown, appeared or gone.
fn compared(stored: &Counts, counted: &Counts) -> (String, bool) {
    let mut text = format!(
        "{:<28} {:>9} {:>9} {:>9}\n",
        "instructions of one", "stored", "now", "change"
    );
    let (mut grown, mut shrunk, mut other) = (0, 0, 0);
    for (name, &now) in counted {
        let Some(&then) = stored.get(name) else {
            other += 1;
            let _ = writeln!(text, "{name:<28} {:>9} {now:>9}            NEW", "");
            continue;
        };
        let change = 100.0 * (now as f64 - then as f64) / (then.max(1) as f64);
        let word = if change > TOLERANCE {
            grown += 1;
            "  GREW"
        } else if change < -TOLERANCE {
            shrunk += 1;
            "  shrank"
        } else {
            ""
        };
        let _ = writeln!(text, "{name:<28} {then:>9} {now:>9} {change:>+8.1}%{word}");
    }
    for name in stored.keys().filter(|name| !counted.contains_key(*name)) {
        other += 1;
        let _ = writeln!(text, "{name:<28} {:>9} {:>9}            GONE", stored[name], "");
    }
    if grown > 0 {
        let _ = writeln!(
            text,
            "{grown} grew by more than {TOLERANCE} % over {STORED}. If that has a good reason, state it and store the new \
             counts: {SAVE}"
        );
    }
    if other > 0 {
        let _ = writeln!(
            text,
            "{other} not the same cases as in {STORED}; to be stored by: {SAVE}"
        );
    }
    if shrunk > 0 {
        let _ = writeln!(
            text,
            "{shrunk} shrank by more than {TOLERANCE} %: store them, so that they stay so: {SAVE}"
        );
    }
    (text, grown == 0 && other == 0)
}

/// Counts each of the cases of a program.
fn count(program: &Path, target: &Path) -> Option<Counts> {
    let names = Command::new(program).output().ok()?;
    let names = String::from_utf8(names.stdout).ok()?;
    let place = target.join("callgrind");
    fs::create_dir_all(&place).ok()?;
    let (waiting, counts) = (Mutex::new(names.lines()), Mutex::new(Counts::new()));
    let next = || waiting.lock().ok()?.next();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(name) = next() {
                    match (count_one(program, name, &place), counts.lock()) {
                        (Some(count), Ok(mut counts)) => _ = counts.insert(name.to_owned(), count),
                        _ => println!("{name} could not be counted; is valgrind there?"),
                    }
                }
            });
        }
    });
    let counts = counts.into_inner().ok()?;
    (!counts.is_empty() && counts.len() == names.lines().count()).then_some(counts)
}

/// Builds the cases, and the server beside them: linked at the same time they take hardly longer than one of them. The program
/// of the cases.
pub(crate) fn build_with_server(root: &Path) -> Option<PathBuf> {
    build(root, &["--package", "strowger", "--bin", "strowger"])
}

/// Builds the cases, and what else is named; the program of the cases. It is built as the server is, for whatever else were not
/// what is shipped.
fn build(root: &Path, others: &[&str]) -> Option<PathBuf> {
    let bench = ["--package", "strowger-testkit", "--bench", "instructions"];
    let output = cargo(root, &["build", "--locked", "--release"])
        .args(bench)
        .args(others)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .ok()?;
    let messages = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| executable(&messages)).flatten()
}

/// The program of the cases, among all that cargo says it has made.
fn executable(messages: &str) -> Option<PathBuf> {
    let (_, rest) = messages
        .lines()
        .filter(|line| line.contains(r#""name":"instructions""#))
        .find_map(|line| line.rsplit_once("\"executable\":\""))?;
    Some(rest.split('"').next()?.into())
}

fn count_one(program: &Path, name: &str, place: &Path) -> Option<u64> {
    let out = place.join(name);
    let mut file = std::ffi::OsString::from("--callgrind-out-file=");
    file.push(&out);
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--toggle-collect=*::counted"])
        .arg(file)
        .arg(program)
        .args([name, &OPERATIONS.to_string()])
        .env(TUNABLES.0, TUNABLES.1)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        println!("{}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let count = total(&fs::read_to_string(out).ok()?)? / OPERATIONS;
    // Nothing is counted where callgrind does not find the function.
    (count > 0).then_some(count)
}

/// The sum of a file of callgrind's.
fn total(text: &str) -> Option<u64> {
    let total = |line: &str| {
        let numbers = line
            .strip_prefix("summary:")
            .or_else(|| line.strip_prefix("totals:"))?;
        numbers.split_whitespace().next()?.parse().ok()
    };
    text.lines().find_map(total)
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    text.split_whitespace().nth(1).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(&str, u64)]) -> Counts {
        all.iter()
            .map(|&(name, count)| (name.to_owned(), count))
            .collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all = counts(&[("call", 63_695), ("options", 5_443)]);
        assert_eq!(stored(&written(&all, "1.95.0")), all);
    }

    #[test]
    fn more_than_five_percent_is_told_and_only_growth_fails() {
        let then = counts(&[("call", 1_000)]);
        for (now, passes, told) in [
            (1_050, true, "+5.0%\n"),
            (1_051, false, "+5.1%  GREW"),
            (950, true, "-5.0%\n"),
            (900, true, "-10.0%  shrank"),
        ] {
            let (text, passed) = compared(&then, &counts(&[("call", now)]));
            assert_eq!(passed, passes, "{now}");
            assert!(text.contains(told), "{text}");
            assert_eq!(text.contains(SAVE), now != 1_050 && now != 950, "{text}");
        }
    }

    #[test]
    fn a_case_that_is_new_or_gone_has_to_be_stored() {
        let (one, two) = (counts(&[("call", 7)]), counts(&[("call", 7), ("options", 3)]));
        let (text, passed) = compared(&one, &two);
        assert!(!passed && text.contains("NEW"), "{text}");
        let (text, passed) = compared(&two, &one);
        assert!(!passed && text.contains("GONE"), "{text}");
    }

    #[test]
    fn the_program_and_the_sum_are_found() {
        let messages = "{\"executable\":null}\n\
            {\"target\":{\"name\":\"instructions\"},\"executable\":\"/t/deps/instructions-1\",\"fresh\":true}\n\
            {\"target\":{\"name\":\"strowger\"},\"executable\":\"/t/strowger\",\"fresh\":true}\n";
        assert_eq!(executable(messages), Some("/t/deps/instructions-1".into()));
        assert_eq!(total("events: Ir\nfn=(1)\nsummary: 439100\n"), Some(439_100));
        assert_eq!(total("events: Ir\ntotals: 12\n"), Some(12));
        assert_eq!(total("nothing"), None);
    }
}
