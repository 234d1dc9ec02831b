//! `cargo xtask test`: the whole gate, as continuous integration runs it.

use std::path::{Path, PathBuf};

use crate::report::Report;
use crate::{check, needs};

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
    check::steps(root, &mut report);
    if extent == Extent::Full {
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
    let built = report.cargo(
        "release build",
        root,
        &["build", "--offline", "--release", "--package", "strowger"],
    );
    if peers && built {
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
        let arguments = ["test", "--offline", "--package", "system-tests", "--no-fail-fast"];
        report.cargo_test("system tests", root, &arguments, &environment);
    } else {
        report.not_run("system tests");
    }
    report.close()
}

/// The directory that cargo builds into.
fn target(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root.join(directory),
        None => root.join("target"),
    }
}
