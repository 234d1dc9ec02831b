//! Runs the steps of a command one after the other and says at the end what ran, what passed and how long it took.

use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The outcome of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// Something that it needs had failed before.
    NotRun,
}

/// What cargo's test runner counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// What came of a step that ran beside another.
pub(crate) struct Ran {
    passed: bool,
    counts: Counts,
    took: Duration,
}

impl Ran {
    /// Runs it and takes the time.
    pub(crate) fn of(step: impl FnOnce() -> (bool, Counts)) -> Self {
        let started = Instant::now();
        let (passed, counts) = step();
        Self {
            passed,
            counts,
            took: started.elapsed(),
        }
    }
}

struct Step {
    name: &'static str,
    outcome: Outcome,
    counts: Option<Counts>,
    took: Duration,
}

impl Step {
    /// What it adds to the closing count. A step without tests of its own counts as one, and so does one that failed without
    /// a failed test, because its tests could not even be built.
    fn counted(&self) -> Counts {
        match (self.outcome, self.counts) {
            (Outcome::Passed, counts) => counts.unwrap_or(Counts { passed: 1, failed: 0 }),
            (Outcome::NotRun, _) => Counts { passed: 0, failed: 1 },
            (Outcome::Failed, counts) => {
                let Counts { passed, failed } = counts.unwrap_or_default();
                Counts {
                    passed,
                    failed: failed.max(1),
                }
            }
        }
    }
}

/// The steps so far.
pub(crate) struct Report {
    started: Instant,
    steps: Vec<Step>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            steps: Vec::new(),
        }
    }
}

impl Report {
    /// Runs a step of our own.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> bool) -> bool {
        announce(name);
        let started = Instant::now();
        let passed = step();
        self.push(name, passed, None, started.elapsed());
        passed
    }

    /// Runs cargo with these arguments.
    pub(crate) fn cargo(&mut self, name: &'static str, root: &Path, arguments: &[&str]) -> bool {
        self.run(name, || {
            cargo(root, arguments)
                .status()
                .is_ok_and(|status| status.success())
        })
    }

    /// Runs `cargo test` with these arguments; its output is shown as it comes, its `test result:` lines are counted.
    pub(crate) fn cargo_test(
        &mut self,
        name: &'static str,
        root: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> bool {
        announce(name);
        let mut command = cargo(root, arguments);
        command.envs(environment.iter().map(|(key, value)| (key, value)));
        self.add(name, &Ran::of(|| counted(&mut command)))
    }

    /// Notes a step that has run; true when it passed.
    pub(crate) fn add(&mut self, name: &'static str, ran: &Ran) -> bool {
        self.push(name, ran.passed, Some(ran.counts), ran.took);
        ran.passed
    }

    /// Notes a step that could not be tried.
    pub(crate) fn not_run(&mut self, name: &'static str) {
        self.steps.push(Step {
            name,
            outcome: Outcome::NotRun,
            counts: None,
            took: Duration::ZERO,
        });
    }

    /// Prints the table and the closing line; true when every step passed.
    pub(crate) fn close(&self) -> bool {
        print!("{}", self.table());
        self.steps.iter().all(|step| step.outcome == Outcome::Passed)
    }

    fn push(&mut self, name: &'static str, passed: bool, counts: Option<Counts>, took: Duration) {
        let outcome = if passed { Outcome::Passed } else { Outcome::Failed };
        self.steps.push(Step {
            name,
            outcome,
            counts,
            took,
        });
    }

    fn table(&self) -> String {
        let mut text = format!(
            "\n{:<34} {:<8} {:>8} {:>8} {:>9}\n",
            "step", "outcome", "passed", "failed", "seconds"
        );
        let mut total = Counts::default();
        for step in &self.steps {
            let outcome = match step.outcome {
                Outcome::Passed => "ok",
                Outcome::Failed => "FAILED",
                Outcome::NotRun => "not run",
            };
            let (passed, failed) = step.counts.map_or((String::new(), String::new()), |counts| {
                (counts.passed.to_string(), counts.failed.to_string())
            });
            text += &format!(
                "{:<34} {:<8} {:>8} {:>8} {:>9.1}\n",
                step.name,
                outcome,
                passed,
                failed,
                step.took.as_secs_f64()
            );
            let counts = step.counted();
            total += counts;
        }
        text += &format!(
            "{:<34} {:<8} {:>8} {:>8} {:>9.1}\n",
            "",
            "",
            "",
            "",
            self.started.elapsed().as_secs_f64()
        );
        text += &format!("{} passed, {} failed\n", total.passed, total.failed);
        text
    }
}

/// Says what begins.
pub(crate) fn announce(name: &str) {
    println!("\n== {name}");
}

/// The cargo that runs this program, in the repository's top.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).args(arguments);
    command
}

/// Runs `cargo test`, or what closes like it; its output is shown as it comes.
pub(crate) fn counted(command: &mut Command) -> (bool, Counts) {
    let mut counts = Counts::default();
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("cannot start cargo: {error}");
            return (false, counts);
        }
    };
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            println!("{line}");
            if let Some(result) = counts_of(&line) {
                counts += result;
            }
        }
    }
    (child.wait().is_ok_and(|status| status.success()), counts)
}

/// What all closing lines of a test runner's output say together.
pub(crate) fn counts_in(output: &str) -> Counts {
    let mut counts = Counts::default();
    output
        .lines()
        .filter_map(counts_of)
        .for_each(|of_one| counts += of_one);
    counts
}

/// The counts of a line like `test result: ok. 3 passed; 0 failed; 0 ignored; ...`.
fn counts_of(line: &str) -> Option<Counts> {
    let (_, rest) = line.split_once("test result: ")?;
    let count = |word: &str| {
        let before = rest.split(word).next()?;
        before.trim_end().rsplit([' ', ';']).next()?.parse().ok()
    };
    Some(Counts {
        passed: count("passed")?,
        failed: count("failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_cargos_closing_line() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(
            counts_of(line),
            Some(Counts {
                passed: 12,
                failed: 3
            })
        );
        assert_eq!(counts_of("running 3 tests"), None);
    }

    #[test]
    fn the_closing_line_adds_up_and_a_step_that_was_not_run_counts_as_failed() {
        let mut report = Report::default();
        report.run("good", || true);
        report.not_run("never");
        assert!(
            report.table().ends_with("1 passed, 1 failed\n"),
            "{}",
            report.table()
        );
        assert!(!report.close());
    }

    #[test]
    fn tests_that_could_not_be_built_are_not_left_out_of_the_count() {
        let mut report = Report::default();
        report.push("tests", false, Some(Counts::default()), Duration::ZERO);
        assert!(
            report.table().ends_with("0 passed, 1 failed\n"),
            "{}",
            report.table()
        );
    }
}
