//! `cargo xtask fuzz`: libFuzzer on whatever reads bytes from a network. Stable Rust has the instrumentation; `unsafe`
//! stands in one crate that is not fuzzed, so the sanitizers, which it does not have, are not missed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, thread};

use crate::check::FUZZER;
use crate::report::cargo;

/// The targets, each a program of `fuzz/`.
pub(crate) const TARGETS: &[&str] = &[
    "message", "header", "uri", "sdp", "scan", "stream", "config", "digest", "node",
];

/// How many run at a time.
pub(crate) const AT_A_TIME: usize = 2;

/// Where everything of the fuzzer is, below the folder of what is built.
const PLACE: &str = "fuzz";

/// What cargo-fuzz builds with, but for the sanitizer.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Builds these targets and fuzzes each for so many seconds; true when nothing is found.
pub(crate) fn run(root: &Path, target: &Path, targets: &[&str], seconds: u64) -> bool {
    println!("building the fuzzer, which takes minutes the first time");
    build(root, target, targets).is_some_and(|programs| fuzz(root, target, &programs, targets, seconds))
}

/// Fuzzes these targets, whose programs are in a folder, for so many seconds each; true when nothing is found.
pub(crate) fn fuzz(root: &Path, target: &Path, programs: &Path, targets: &[&str], seconds: u64) -> bool {
    let place = target.join(PLACE);
    let passed = AtomicBool::new(true);
    let waiting = Mutex::new(targets.iter());
    let next = || waiting.lock().ok()?.next();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(name) = next() {
                    let run = Run {
                        name,
                        program: programs.join(name),
                        dictionary: root.join("fuzz/sip.dict"),
                        place: &place,
                    };
                    if !run.report(seconds) {
                        passed.store(false, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    passed.into_inner()
}

/// Builds these targets; the folder that they are in.
pub(crate) fn build(root: &Path, target: &Path, targets: &[&str]) -> Option<PathBuf> {
    let place = target.join(PLACE);
    let version = Command::new("rustc").arg("-vV").output().ok()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    // With a target, cargo keeps the flags off build scripts and macros, which run without the fuzzer.
    let mut command = cargo(root, &["build", "--locked", "--profile", "fuzz", "--quiet"]);
    command
        .args(programs(targets))
        .args(["--package", FUZZER, "--target", host])
        .arg("--target-dir")
        .arg(&place)
        .env("RUSTFLAGS", INSTRUMENTATION);
    let built = command.status().is_ok_and(|status| status.success());
    built.then(|| place.join(host).join("fuzz"))
}

/// What asks cargo for the programs of these targets and no others.
fn programs<'a>(targets: &[&'a str]) -> Vec<&'a str> {
    targets.iter().flat_map(|name| ["--bin", name]).collect()
}

/// One target's run.
struct Run<'a> {
    name: &'a str,
    program: PathBuf,
    dictionary: PathBuf,
    place: &'a Path,
}

impl Run<'_> {
    /// Runs it and says what came of it.
    fn report(&self, seconds: u64) -> bool {
        let log = self.place.join(format!("{}.log", self.name));
        let passed = self.fuzz(seconds, &log);
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let count = executions(&text).unwrap_or("?");
        match passed {
            Ok(true) => println!("{:<8} {count} executions, no finding", self.name),
            Ok(false) => {
                let lines: Vec<_> = text.lines().collect();
                println!("{}", lines[lines.len().saturating_sub(60)..].join("\n"));
                println!(
                    "{:<8} FOUND something; again with: {} FILE",
                    self.name,
                    self.program.display()
                );
            }
            Err(ref error) => println!("{:<8} did not run: {error}", self.name),
        }
        passed.is_ok_and(|passed| passed)
    }

    fn fuzz(&self, seconds: u64, log: &Path) -> io::Result<bool> {
        let folder = |name: &str| self.place.join(name).join(self.name);
        let (corpus, seeds, findings) = (folder("corpus"), folder("seeds"), folder("findings"));
        let _ = fs::remove_dir_all(&seeds);
        for folder in [&corpus, &seeds, &findings] {
            fs::create_dir_all(folder)?;
        }
        let log = File::create(log)?;
        // One seed: a new machine finds what the last one found. What is kept in the corpus goes further every time.
        let status = Command::new(&self.program)
            .args(["-seed=1", "-max_len=4096", "-timeout=60", "-rss_limit_mb=1024"])
            .args([
                "-print_final_stats=1".to_owned(),
                format!("-max_total_time={seconds}"),
            ])
            .arg(format!("-dict={}", self.dictionary.display()))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .args([&corpus, &seeds])
            .env("STROWGER_FUZZ_SEEDS", &seeds)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .status()?;
        Ok(status.success())
    }
}

/// How many inputs libFuzzer tried, by its closing statistics.
fn executions(log: &str) -> Option<&str> {
    let count = |line: &'_ str| line.starts_with("stat::number_of_executed_units:");
    log.lines().find(|line| count(line))?.split_whitespace().last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_executions_is_read() {
        let log = "Done 12 runs\nstat::number_of_executed_units: 12345\nstat::average_exec_per_sec:     7\n";
        assert_eq!(executions(log), Some("12345"));
        assert_eq!(executions("nothing"), None);
    }

    #[test]
    fn what_is_not_asked_for_is_not_built() {
        assert_eq!(programs(&["uri"]), ["--bin", "uri"]);
        assert_eq!(programs(&["uri", "sdp"]), ["--bin", "uri", "--bin", "sdp"]);
    }

    #[test]
    fn every_program_of_the_folder_is_a_target() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/targets");
        let mut found: Vec<_> = fs::read_dir(folder)
            .expect("there")
            .flatten()
            .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
            .collect();
        found.sort();
        let mut targets = TARGETS.to_vec();
        targets.sort_unstable();
        assert_eq!(found, targets);
    }
}
