//! The project's own commands: `cargo xtask check`, `cargo xtask tidy`, `cargo xtask test`, and what is generated.

mod check;
mod needs;
mod report;
mod rfc;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  check          fmt, clippy, tidy and the unit tests, offline
  tidy           the project's own rules: layers, sizes, names, citations, the map in ARCHITECTURE.md
  test [--full]  check, then the release binary against independent peers; installs on Debian what is missing
                 --full runs the large counts
  rfc-index      writes docs/rfc-index.md: clause, code, test
  rfc-clauses FOLDER
                 writes xtask/rfc-clauses.txt from the texts of the cited RFCs, FOLDER/rfc3261.txt and so on";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let passed = match arguments.as_slice() {
        ["check"] => check::run(&root),
        ["tidy"] => tidy::run(&root),
        ["rfc-index"] => rfc::write_index(&root),
        ["rfc-clauses", folder] => rfc::write_clauses(&root, Path::new(folder)),
        ["test"] => test::run(&root, test::Extent::Quick),
        ["test", "--full"] => test::run(&root, test::Extent::Full),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The repository's top: where the workspace's `Cargo.toml` is.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
