//! `cargo xtask check`: what every commit has to pass, without network (once the crates are fetched) and without other programs.

use std::path::Path;

use crate::report::{Report, cargo};
use crate::tidy;

/// The package of the fuzzer's programs.
pub(crate) const FUZZER: &str = "strowger-fuzz";

/// Names another libFuzzer, so that its own, which is in C++, is not built: what is only looked at is not linked.
const OTHER_LIBFUZZER: &str = "CUSTOM_LIBFUZZER_PATH";

/// Runs the checks; true when all pass.
pub(crate) fn run(root: &Path) -> bool {
    let mut report = Report::default();
    steps(root, &mut report);
    report.close()
}

/// Adds the steps of the check to a report.
pub(crate) fn steps(root: &Path, report: &mut Report) {
    report.cargo("fmt", root, &["fmt", "--all", "--check"]);
    let built = report.run("clippy", || {
        let arguments = ["clippy", "--offline", "--workspace", "--all-targets", "--quiet"];
        cargo(root, &arguments)
            .args(["--", "-D", "warnings"])
            // Any file that is there, or cargo would look at the fuzzer anew each time.
            .env(OTHER_LIBFUZZER, root.join("Cargo.lock"))
            .status()
            .is_ok_and(|status| status.success())
    });
    if !built {
        println!("(where a crate is missing: `cargo fetch --locked`, once, with network)");
    }
    report.run("tidy", || tidy::run(root));
    report.cargo_test(
        "unit tests",
        root,
        &[
            "test",
            "--offline",
            "--workspace",
            "--exclude",
            "system-tests",
            "--exclude",
            FUZZER,
            "--no-fail-fast",
        ],
        &[],
    );
}
