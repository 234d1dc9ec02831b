//! The crates and what each may depend on.

use super::{Problem, Tree};

/// A crate's folder, and which of our crates it may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("crates/syntax", &[]),
    ("crates/sip", &["syntax"]),
    ("crates/net", &["sip", "syntax"]),
    ("crates/server", &["net", "sip", "syntax"]),
    ("crates/console", &["server"]),
    ("crates/testkit", &["server", "net", "sip", "syntax"]),
    ("crates/strowger", &["console", "server", "net"]),
    ("fuzz", &["server", "sip", "syntax", "testkit"]),
    ("tests", &["testkit"]),
    ("xtask", &[]),
];

/// What gives a crate a clock, a socket, randomness or a runtime.
const IMPURE: &[&str] = &["getrandom", "libc", "mio", "rand", "socket2", "tokio", "rustix"];

/// The folders whose crates must be a function of their arguments.
const PURE: &[&str] = &["crates/syntax", "crates/sip"];

/// The folders of all crates.
pub(super) fn folders() -> impl Iterator<Item = &'static str> {
    LAYERS.iter().map(|(folder, _)| *folder)
}

pub(super) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    for file in &tree.files {
        let Some(folder) = file.path.strip_suffix("/Cargo.toml") else {
            continue;
        };
        match LAYERS.iter().find(|(known, _)| *known == folder) {
            Some((_, allowed)) => manifest(&file.path, folder, &file.text, allowed, problems),
            None => problems.push(Problem::new(
                &file.path,
                1,
                "a crate that xtask/src/tidy/crates.rs does not know: say there what it may depend on",
            )),
        }
    }
    for folder in folders() {
        let path = format!("{folder}/Cargo.toml");
        if tree.text(&path).is_none() {
            problems.push(Problem::new(
                "xtask/src/tidy/crates.rs",
                1,
                format!("{path} does not exist"),
            ));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Dependencies,
    DevDependencies,
    Other,
}

fn manifest(path: &str, folder: &str, text: &str, allowed: &[&str], problems: &mut Vec<Problem>) {
    let mut section = Section::Other;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = match line {
                "[dependencies]" | "[build-dependencies]" => Section::Dependencies,
                "[dev-dependencies]" => Section::DevDependencies,
                _ if line.contains("dependencies") => {
                    problems.push(Problem::new(
                        path,
                        number + 1,
                        "dependencies stand in [dependencies] or [dev-dependencies]",
                    ));
                    Section::Other
                }
                _ => Section::Other,
            };
            continue;
        }
        let Some(name) = line
            .split(['.', '=', ' '])
            .next()
            .filter(|name| !name.is_empty() && !name.starts_with('#'))
        else {
            continue;
        };
        if section == Section::Other {
            continue;
        }
        let by_tests = section == Section::DevDependencies;
        for text in dependency(folder, name, line, allowed, by_tests) {
            problems.push(Problem::new(path, number + 1, text));
        }
    }
}

/// What is wrong with one dependency.
fn dependency(folder: &str, name: &str, line: &str, allowed: &[&str], by_tests: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if !line.contains("workspace") {
        wrong.push(format!("`{name}`: versions stand in the workspace's Cargo.toml"));
    }
    if let Some(ours) = name.strip_prefix("strowger-")
        && !allowed.contains(&ours)
        && !(by_tests && ours == "testkit")
    {
        let may = if allowed.is_empty() {
            "none of ours".to_owned()
        } else {
            allowed.join(", ")
        };
        wrong.push(format!("{folder} must not depend on `{ours}`; it may on: {may}"));
    }
    if !by_tests && PURE.contains(&folder) && IMPURE.contains(&name) {
        wrong.push(format!("{folder} is pure: `{name}` brings what must be given in"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &str, text: &str) -> Vec<String> {
        let allowed = LAYERS
            .iter()
            .find(|(known, _)| *known == folder)
            .map_or(&[][..], |(_, allowed)| allowed);
        let mut problems = Vec::new();
        manifest("Cargo.toml", folder, text, allowed, &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_edge_that_points_up_is_a_problem() {
        let text = "[dependencies]\nstrowger-syntax.workspace = true\nstrowger-server.workspace = true\n";
        assert_eq!(
            found("crates/sip", text),
            ["Cargo.toml:3: crates/sip must not depend on `server`; it may on: syntax"]
        );
        assert_eq!(found("crates/testkit", text), [""; 0]);
    }

    #[test]
    fn tests_of_any_crate_may_use_the_testkit() {
        assert_eq!(
            found(
                "crates/server",
                "[dev-dependencies]\nstrowger-testkit.workspace = true\n"
            ),
            [""; 0]
        );
        assert_eq!(
            found(
                "crates/server",
                "[dependencies]\nstrowger-testkit.workspace = true\n"
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_clock_in_a_pure_crate_and_a_version_outside_the_workspace_are_problems() {
        assert_eq!(
            found("crates/sip", "[dependencies]\ntokio.workspace = true\n").len(),
            1
        );
        assert_eq!(found("crates/net", "[dependencies]\nlibc = \"0.2\"\n").len(), 1);
    }

    #[test]
    fn an_unknown_crate_is_a_problem() {
        let mut problems = Vec::new();
        check(
            &super::super::tree(&[("crates/utils/Cargo.toml", "")]),
            &mut problems,
        );
        assert!(
            problems
                .iter()
                .any(|problem| problem.path == "crates/utils/Cargo.toml")
        );
    }
}
