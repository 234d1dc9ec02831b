//! The project's own commands: `cargo xtask check`, `conform`, `fuzz`, `tidy`, `test`, and what is generated.

mod bench;
mod check;
mod conform;
mod fuzz;
mod needs;
mod report;
mod rfc;
mod system;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  bench [--quick] [--write]
                 CPU time, instructions and memory beside Kamailio, where the harness is (bench/README.md), else what can
                 be measured without it; --write puts the tables into the README
  bench --instructions [--save]
                 instructions of each operation, compared with bench/instructions.txt; --save stores them there
  bench --location [N]
                 a million registrations, or N: memory of one, time of a start, and of a look-up while others refresh;
                 Kamailio's beside them where it is installed
  check          fmt, clippy, tidy and the unit tests, offline
  conform [FOLDER] [WORD]...
                 the scenarios of other projects' test suites for SIPp, played against the release binary: of FOLDER, or of
                 shared/corpus/sipp beside the project; all of them, or those that have a WORD in their name
  fuzz [TARGET] [--seconds N]
                 libFuzzer on one target or on all, 60 s each or N
  tidy           the project's own rules: layers, sizes, names, citations, the map in ARCHITECTURE.md
  test [--full]  check, then the release binary against independent peers; installs on Debian what is missing
                 --full runs the large counts
  rfc-index      writes docs/rfc-index.md: clause, code, test; and docs/conformance.md: every step and its tests
  rfc-clauses FOLDER
                 brings xtask/rfc-clauses.txt up to date with the cited RFCs' texts in FOLDER, rfc3261.txt and so on";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let passed = match arguments.as_slice() {
        ["bench", rest @ ..] => match bench::Wanted::of(rest) {
            Some(wanted) => bench::run(&root, &target(&root), wanted),
            None => return usage(),
        },
        ["check"] => check::run(&root),
        ["conform", arguments @ ..] => conform::run(&root, arguments),
        ["fuzz", rest @ ..] => match fuzz_arguments(rest) {
            Some((targets, seconds)) => fuzz::run(&root, &target(&root), targets, seconds),
            None => return usage(),
        },
        ["tidy"] => tidy::run(&root),
        ["rfc-index"] => rfc::write_index(&root),
        ["rfc-clauses", folder] => rfc::write_clauses(&root, Path::new(folder)),
        ["test"] => test::run(&root, test::Extent::Quick),
        ["test", "--full"] => test::run(&root, test::Extent::Full),
        _ => return usage(),
    };
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// Which targets are to be fuzzed, and for how many seconds each.
fn fuzz_arguments(arguments: &[&str]) -> Option<(&'static [&'static str], u64)> {
    let (name, rest) = match arguments {
        [name, rest @ ..] if !name.starts_with('-') => (Some(name), rest),
        rest => (None, rest),
    };
    let seconds = match rest {
        [] => 60,
        ["--seconds", seconds] => seconds.parse().ok()?,
        _ => return None,
    };
    let targets = match name {
        None => fuzz::TARGETS,
        Some(name) => {
            let place = fuzz::TARGETS.iter().position(|target| target == name)?;
            &fuzz::TARGETS[place..=place]
        }
    };
    Some((targets, seconds))
}

/// The directory that cargo builds into.
fn target(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root.join(directory),
        None => root.join("target"),
    }
}

/// The repository's top: where the workspace's `Cargo.toml` is.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzzing_is_of_one_target_or_of_all() {
        assert_eq!(fuzz_arguments(&[]), Some((fuzz::TARGETS, 60)));
        assert_eq!(fuzz_arguments(&["--seconds", "5"]), Some((fuzz::TARGETS, 5)));
        assert_eq!(fuzz_arguments(&["uri"]), Some((&["uri"][..], 60)));
        assert_eq!(
            fuzz_arguments(&["uri", "--seconds", "7"]),
            Some((&["uri"][..], 7))
        );
        assert_eq!(fuzz_arguments(&["nothing"]), None);
        assert_eq!(fuzz_arguments(&["uri", "--seconds"]), None);
    }
}
