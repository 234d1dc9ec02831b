//! `cargo xtask conform`: the scenarios of other projects' test suites, played against the release binary.

use std::path::{Path, PathBuf};

use crate::report::{Ran, Report, announce, cargo, counted};
use crate::{needs, target};

/// Where the scenarios are looked for when no folder is given, from the folder that the project is in.
const BESIDE: &str = "shared/corpus/sipp";

/// The step that plays them.
pub(crate) const STEP: &str = "scenarios of others";

/// Runs all scenarios of a folder, or those whose names have one of the words in them; true when none failed.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> bool {
    let (folder, words) = match arguments {
        [folder, words @ ..] if Path::new(folder).is_dir() => (Some(PathBuf::from(folder)), words),
        words => (beside(root), words),
    };
    let Some(folder) = folder else {
        println!(
            "no scenarios: give the folder that has sipssert/, siphon/, kamailio/ and sipp-regress/, as in `cargo xtask conform \
             FOLDER`, or put it at {BESIDE} beside the project"
        );
        return false;
    };
    if !needs::on_path("sipp") {
        println!("no sipp: `cargo xtask test` installs it, or on Debian apt-get install sip-tester");
        return false;
    }
    let mut report = Report::default();
    let build = ["build", "--release", "--package", "strowger"];
    if report.cargo("release build", root, &build) {
        announce(STEP);
        report.add(STEP, &play(root, &folder, words));
    } else {
        report.not_run(STEP);
    }
    report.close()
}

/// The folder of the scenarios, where it is beside the project.
pub(crate) fn beside(root: &Path) -> Option<PathBuf> {
    let folder = root.parent()?.join(BESIDE);
    folder.is_dir().then_some(folder)
}

/// Plays them against the release binary that is there.
pub(crate) fn play(root: &Path, folder: &Path, words: &[&str]) -> Ran {
    let run = [
        "run",
        "--quiet",
        "--package",
        "system-tests",
        "--bin",
        "conform",
        "--",
    ];
    let mut command = cargo(root, &run);
    command
        .arg(folder)
        .args(words)
        .env("STROWGER_BIN", target(root).join("release/strowger"));
    Ran::of(|| counted(&mut command))
}
