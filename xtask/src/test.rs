//! `cargo xtask test`: the whole gate, as continuous integration runs it.

use std::path::Path;

use crate::report::Report;
use crate::{bench, check, conform, fuzz, needs, target};

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

/// What asks a test for its large counts.
const FULL: &str = "STROWGER_FULL";

/// Runs everything; true when all passed.
pub(crate) fn run(root: &Path, extent: Extent) -> bool {
    let mut report = Report::default();
    let target = target(root);
    let python = needs::pjsua_python(&target);
    let peers = report.run("peers installed", || needs::install(&python));
    report.cargo("crates fetched", root, &["fetch", "--locked"]);
    let fuzzer = ["fetch", "--locked", "--manifest-path", "fuzz/Cargo.toml"];
    report.cargo("crates of the fuzzer fetched", root, &fuzzer);
    check::steps(root, &mut report);
    // Here and not in the check, for its crates must have been fetched; in the folder of the others, which it shares them with.
    let target_dir = target.display().to_string();
    let place = ["--manifest-path", "fuzz/Cargo.toml", "--target-dir", &target_dir];
    let clippy = ["clippy", "--offline", "--locked", "--quiet"];
    let clippy = [&clippy[..], &place, &["--", "-D", "warnings"]].concat();
    report.cargo("clippy of the fuzzer", root, &clippy);
    let seconds = match extent {
        Extent::Quick => 40 * fuzz::AT_A_TIME / fuzz::TARGETS.len(),
        Extent::Full => 600,
    };
    report.run("fuzzing", || {
        fuzz::run(root, &target, fuzz::TARGETS, seconds as u64)
    });
    if extent == Extent::Full {
        large(root, &mut report);
    }
    let mut cases = None;
    let built = report.run("release build", || {
        cases = bench::build_with_server(root);
        cases.is_some()
    });
    match cases {
        Some(cases) if peers => _ = report.run("instructions", || bench::compare_with(root, &target, &cases)),
        _ => report.not_run("instructions"),
    }
    if peers && built {
        let mut environment = vec![
            (
                "STROWGER_BIN",
                target.join("release/strowger").display().to_string(),
            ),
            ("STROWGER_PJSUA_PYTHON", python.display().to_string()),
            // Most of their time they wait for others.
            ("RUST_TEST_THREADS", "4".to_owned()),
        ];
        if extent == Extent::Full {
            environment.push((FULL, "1".to_owned()));
        }
        let arguments = ["test", "--offline", "--package", "system-tests", "--no-fail-fast"];
        report.cargo_test("system tests", root, &arguments, &environment);
        if let Some(folder) = conform::beside(root) {
            conform::play(&mut report, root, &folder, &[]);
        }
    } else {
        report.not_run("system tests");
    }
    report.close()
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
