//! `cargo xtask test`: the whole gate, as continuous integration runs it.

use std::path::{Path, PathBuf};
use std::thread;

use crate::report::{Ran, Report, announce};
use crate::{bench, check, conform, fuzz, needs, system, target};

/// How much of the system tests to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Small counts: minutes.
    Quick,
    /// The large counts.
    Full,
}

/// Tests below the system that have large counts: package and test. They run in release, because the counts are large.
const LARGE: &[(&str, &str)] = &[("strowger-sip", "model"), ("strowger-server", "sim")];

/// The step that runs the system tests.
const SYSTEM_TESTS: &str = "system tests";

/// What asks a test for its large counts.
const FULL: &str = "STROWGER_FULL";

/// Runs everything; true when all passed.
pub(crate) fn run(root: &Path, extent: Extent) -> bool {
    let mut report = Report::default();
    let target = target(root);
    let python = needs::pjsua_python(&target);
    // Beside the check, which needs none of them.
    let peers = thread::spawn({
        let python = python.clone();
        move || needs::install(&python)
    });
    report.cargo("crates fetched", root, &["fetch", "--locked"]);
    check::steps(root, &mut report);
    let peers = report.run("peers installed", || peers.join().unwrap_or(false));
    let mut builds = Builds::default();
    let built = report.run("release build", || {
        builds = build(root, &target);
        builds.cases.is_some()
    });
    let seconds = match extent {
        Extent::Quick => 40 * fuzz::AT_A_TIME / fuzz::TARGETS.len(),
        Extent::Full => 600,
    };
    let fuzzers = builds.fuzzers.as_deref();
    report.run("fuzzing", || {
        fuzzers.is_some_and(|fuzzers| fuzz::fuzz(root, &target, fuzzers, fuzz::TARGETS, seconds as u64))
    });
    if extent == Extent::Full {
        large(root, &mut report);
    }
    match builds.cases {
        Some(cases) if peers => _ = report.run("instructions", || bench::compare_with(root, &target, &cases)),
        _ => report.not_run("instructions"),
    }
    match builds.system_tests {
        Some(programs) if peers && built => {
            let mut environment = vec![
                (
                    "STROWGER_BIN",
                    target.join("release/strowger").display().to_string(),
                ),
                ("STROWGER_PJSUA_PYTHON", python.display().to_string()),
            ];
            if extent == Extent::Full {
                environment.push((FULL, "1".to_owned()));
            }
            play(&mut report, root, &target, &programs, &environment);
        }
        _ => report.not_run(SYSTEM_TESTS),
    }
    report.close()
}

/// What the later steps run; `None` where it could not be built.
#[derive(Default)]
struct Builds {
    /// The program of the instruction cases, which the server is built beside.
    cases: Option<PathBuf>,
    /// The folder of the fuzzer's programs.
    fuzzers: Option<PathBuf>,
    system_tests: Option<Vec<system::Program>>,
}

/// Builds the server and the instruction cases, and at the same time the fuzzer's programs and the system tests: the link of the
/// former is mostly one thread's work. Each is in a folder of its own, so that neither cargo waits for the other.
fn build(root: &Path, target: &Path) -> Builds {
    thread::scope(|scope| {
        let others = scope.spawn(|| (fuzz::build(root, target, fuzz::TARGETS), system::build(root)));
        let cases = bench::build_with_server(root);
        let (fuzzers, system_tests) = others.join().unwrap_or_default();
        Builds {
            cases,
            fuzzers,
            system_tests,
        }
    })
}

/// Runs the system tests, and beside them the scenarios of others where they are there.
fn play(
    report: &mut Report,
    root: &Path,
    target: &Path,
    programs: &[system::Program],
    environment: &[(&str, String)],
) {
    announce(SYSTEM_TESTS);
    let (tests, scenarios) = thread::scope(|scope| {
        let scenarios =
            conform::beside(root).map(|folder| scope.spawn(move || conform::play(root, &folder, &[])));
        let tests = Ran::of(|| system::run(root, target, programs, environment));
        (tests, scenarios.and_then(|scenarios| scenarios.join().ok()))
    });
    report.add(SYSTEM_TESTS, &tests);
    if let Some(scenarios) = scenarios {
        report.add(conform::STEP, &scenarios);
    }
}

/// Runs the tests below the system with their large counts.
fn large(root: &Path, report: &mut Report) {
    for (package, test) in LARGE {
        let arguments = [
            "test",
            "--offline",
            "--release",
            "--package",
            package,
            "--test",
            test,
        ];
        report.cargo_test(test, root, &arguments, &[(FULL, "1".to_owned())]);
    }
}
