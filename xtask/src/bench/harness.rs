//! The harness that measures SIP servers side by side, where it lies beside the repository.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::table;
use crate::report::cargo;

/// Where it is looked for, seen from the repository.
const PLACE: &str = "../shared/bench";

/// The folder with our configurations and command line.
const OURS: &str = "bench/strowger";

/// What is missing for a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Harness(PathBuf),
    Program(&'static str),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Harness(place) => write!(f, "the harness is not at {} (bench/README.md)", place.display()),
            Self::Program(program) => write!(f, "the program `{program}` is not installed"),
        }
    }
}

/// The harness.
pub(super) struct Harness {
    place: PathBuf,
}

/// One call of it.
struct Step {
    what: &'static str,
    arguments: &'static [&'static str],
    /// Instead of these, when it has to be quick.
    quick: &'static [&'static str],
}

/// What the table needs. Each of ours stands beside one of the other's in the same run.
const STEPS: &[Step] = &[
    Step {
        what: "CPU time with one core full: 20 minutes, or 1",
        arguments: &[
            "sat",
            "--scen",
            "a,b,c,d,e,f,g,h,bt,et",
            "--runs",
            "5",
            "--secs",
            "5",
        ],
        quick: &["sat", "--scen", "a,b,c,e", "--runs", "1", "--secs", "2"],
    },
    Step {
        what: "instructions: 6 minutes",
        arguments: &["insn", "--scen", "a,b,c,e"],
        quick: &["insn", "--scen", "a"],
    },
    Step {
        what: "memory: 12 minutes",
        arguments: &["memory", "--runs", "1"],
        quick: &[],
    },
];

impl Harness {
    /// The harness, with all that it needs.
    pub(super) fn find(root: &Path) -> Result<Self, Missing> {
        let place = root.join(PLACE);
        if !place.join("bench.py").is_file() {
            return Err(Missing::Harness(PLACE.into()));
        }
        let needed = ["python3", "kamailio", "valgrind"];
        match needed.into_iter().find(|program| !crate::needs::on_path(program)) {
            Some(program) => Err(Missing::Program(program)),
            None => Ok(Self { place }),
        }
    }

    /// Builds the server, measures it beside the other one, and makes the table.
    pub(super) fn measure(&self, root: &Path, target: &Path, quick: bool) -> Option<String> {
        let build = cargo(root, &["build", "--release", "--package", "strowger"]).status();
        if !build.is_ok_and(|status| status.success()) {
            return None;
        }
        let results = target.join("bench.jsonl");
        // What an earlier run left would be taken for this one's.
        let _ = fs::remove_file(&results);
        let steps: Vec<_> = STEPS
            .iter()
            .map(|step| (step.what, if quick { step.quick } else { step.arguments }))
            .filter(|(_, arguments)| !arguments.is_empty())
            .collect();
        for (position, (what, arguments)) in steps.iter().enumerate() {
            println!("\n== {} of {}: {what}", position + 1, steps.len());
            if !self.run(root, target, arguments, &results) {
                println!("the harness failed");
                return None;
            }
        }
        let results = fs::read_to_string(&results).ok()?;
        Some(table::of(&results))
    }

    fn run(&self, root: &Path, target: &Path, arguments: &[&str], results: &Path) -> bool {
        // The harness pins what it measures, and cargo's variables must not reach the generator's build.
        let mut command = Command::new("python3");
        command
            .arg(self.place.join("bench.py"))
            .args(arguments)
            .args(["--systems", "strowger,kamailio", "--out"])
            .arg(results)
            .env("BENCH_STROWGER_BIN", target.join("release/strowger"))
            .env("BENCH_STROWGER_DIR", root.join(OURS))
            .env("CARGO_TARGET_DIR", generator(target));
        command.status().is_ok_and(|status| status.success())
    }
}

/// Where the harness builds its generator.
fn generator(target: &Path) -> OsString {
    target.join("loadgen").into_os_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_harness_it_is_said_what_is_missing() {
        let missing = Harness::find(Path::new("/nowhere/at/all"))
            .err()
            .expect("not there");
        assert_eq!(
            missing.to_string(),
            "the harness is not at ../shared/bench (bench/README.md)"
        );
    }
}
