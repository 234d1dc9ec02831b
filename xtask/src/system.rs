//! The system tests, several of their programs at a time: most of their time they wait for others.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;
use std::{io, thread};

use crate::report::{Counts, cargo, counts_in};

/// Programs that run at a time.
const AT_A_TIME: usize = 4;

/// Tests that one of them runs at a time.
const THREADS: &str = "3";

/// Those that take longest: begun last, they would run alone in the end.
const LONGEST: &[&str] = &[
    "mutations",
    "scanners",
    "sipp",
    "nat",
    "subscriptions",
    "kill_9",
    "slow_peers",
    "power_loss",
    "reload",
];

/// One of the tests' programs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    name: String,
    path: PathBuf,
}

/// Builds them all, the longest first.
pub(crate) fn build(root: &Path) -> Option<Vec<Program>> {
    let arguments = [
        "test",
        "--offline",
        "--package",
        "system-tests",
        "--no-run",
        "--quiet",
    ];
    let output = cargo(root, &arguments)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .ok()?;
    let messages = String::from_utf8(output.stdout).ok()?;
    let mut programs = programs(&messages);
    programs.sort_by_key(|program| {
        let place = LONGEST.iter().position(|name| *name == program.name);
        place.unwrap_or(LONGEST.len())
    });
    output.status.success().then_some(programs)
}

/// Runs them; whether all passed, and how many tests did. What each printed is shown when it has ended.
pub(crate) fn run(
    root: &Path,
    target: &Path,
    programs: &[Program],
    environment: &[(&str, String)],
) -> (bool, Counts) {
    let logs = target.join("system-tests");
    if let Err(error) = fs::create_dir_all(&logs) {
        println!("cannot make {}: {error}", logs.display());
        return (false, Counts::default());
    }
    let waiting = Mutex::new(programs.iter());
    let next = || waiting.lock().ok()?.next();
    let ran = Mutex::new((true, Counts::default()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            let (next, ran, logs) = (&next, &ran, &logs);
            scope.spawn(move || {
                while let Some(program) = next() {
                    let log = logs.join(format!("{}.log", program.name));
                    let started = Instant::now();
                    let passed = program.run(root, environment, &log);
                    let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
                    let counts = counts_in(&text);
                    print!(
                        "\n-- {} ({:.1} s)\n{text}",
                        program.name,
                        started.elapsed().as_secs_f64()
                    );
                    if let Err(error) = &passed {
                        println!("{} did not run: {error}", program.name);
                    }
                    if let Ok(mut ran) = ran.lock() {
                        ran.0 &= passed.is_ok_and(|passed| passed);
                        ran.1 += counts;
                    }
                }
            });
        }
    });
    ran.into_inner().unwrap_or_default()
}

impl Program {
    fn run(&self, root: &Path, environment: &[(&str, String)], log: &Path) -> io::Result<bool> {
        let log = File::create(log)?;
        let status = Command::new(&self.path)
            .current_dir(root.join("tests"))
            .env("RUST_TEST_THREADS", THREADS)
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()?;
        Ok(status.success())
    }
}

/// The programs that cargo says it has made.
fn programs(messages: &str) -> Vec<Program> {
    let program = |line: &str| {
        let (_, rest) = line.rsplit_once("\"executable\":\"")?;
        let path = PathBuf::from(rest.split('"').next()?);
        // What stands behind the last hyphen is cargo's own.
        let name = path.file_stem()?.to_str()?.rsplit_once('-')?.0.to_owned();
        Some(Program { name, path })
    };
    messages.lines().filter_map(program).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_read_from_what_cargo_says() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null,\"fresh\":true}\n\
             {\"reason\":\"compiler-artifact\",\"executable\":\"/t/debug/deps/kill_9-0123abcd\",\"fresh\":true}\n\
             {\"reason\":\"build-finished\",\"success\":true}\n";
        let kill_9 = Program {
            name: "kill_9".to_owned(),
            path: PathBuf::from("/t/debug/deps/kill_9-0123abcd"),
        };
        assert_eq!(programs(messages), [kill_9]);
    }

    #[test]
    fn those_that_are_begun_first_are_there() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("there");
        for name in LONGEST {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }
}
