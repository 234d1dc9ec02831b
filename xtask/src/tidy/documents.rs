//! The documents say what is there: the map names every crate and module, every path exists, the commands are known.

use super::source::Source;
use super::{Problem, Tree, crates};

const MAP: &str = "ARCHITECTURE.md";
const README: &str = "README.md";

/// What a reader of the README must find, besides each of the program's commands.
const COMMANDS: &[&str] = &["cargo build --release", "cargo xtask test"];

/// Where the program's commands are defined, as the variants of `enum Command`.
const ARGUMENTS: &str = "crates/strowger/src/args.rs";
const XTASK: &[&str] = &[
    "bench",
    "check",
    "conform",
    "fuzz",
    "rfc-clauses",
    "rfc-index",
    "tidy",
    "test",
];

/// Folders whose names begin a path when they stand in backticks.
const TOP: &[&str] = &[
    ".ci/",
    "bench/",
    "crates/",
    "docs/",
    "examples/",
    "fuzz/",
    "tests/",
    "web/",
    "xtask/",
];

pub(super) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    match tree.text(MAP) {
        Some(map) => check_map(tree, map, problems),
        None => problems.push(Problem::new(MAP, 1, "the map of the crates is missing")),
    }
    let program = program_commands(tree);
    match tree.text(README) {
        Some(text) => {
            let program = program.iter().map(|name| format!("strowger {name}"));
            let needed = COMMANDS.iter().map(|&command| command.to_owned()).chain(program);
            for command in needed.filter(|command| !text.contains(command.as_str())) {
                problems.push(Problem::new(README, 1, format!("does not show `{command}`")));
            }
        }
        None => problems.push(Problem::new(README, 1, "is missing")),
    }
    let known: Vec<&str> = program.iter().map(String::as_str).collect();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        check_paths(tree, &file.path, &file.text, problems);
        check_commands(&file.path, &file.text, &known, problems);
    }
}

/// The names of the program's commands.
fn program_commands(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.text(ARGUMENTS) else {
        return Vec::new();
    };
    let source = Source::new(ARGUMENTS, text);
    let Some(open) = source.code.find("enum Command {").map(|at| at + 13) else {
        return Vec::new();
    };
    let body = &source.code[open + 1..source.closing(open) - 1];
    let names = body
        .split(',')
        .filter_map(|variant| variant.split_whitespace().next_back());
    names
        .filter_map(|name| Some(name.split('(').next()?.to_lowercase()))
        .filter(|name| !name.is_empty())
        .collect()
}

/// Each crate has a heading with its folder, and under it each of its modules in backticks.
fn check_map(tree: &Tree, map: &str, problems: &mut Vec<Problem>) {
    for folder in crates::folders() {
        let Some((line, section)) = section(map, folder) else {
            problems.push(Problem::new(MAP, 1, format!("has no heading for `{folder}`")));
            continue;
        };
        for module in modules(tree, folder) {
            let named = [
                format!("`{module}`"),
                format!("`{module}/`"),
                format!("`{module}.rs`"),
            ];
            if !named.iter().any(|name| section.contains(name.as_str())) {
                problems.push(Problem::new(
                    MAP,
                    line,
                    format!("{folder}: does not name its module `{module}`"),
                ));
            }
        }
    }
}

/// The line (from 1) of the heading that names the folder, and the text up to the next heading.
fn section<'a>(map: &'a str, folder: &str) -> Option<(usize, &'a str)> {
    let name = format!("`{folder}`");
    let mut at = 0;
    for (number, line) in map.lines().enumerate() {
        let end = at + line.len() + 1;
        if line.starts_with('#') && line.contains(&name) {
            let rest = map.get(end..).unwrap_or_default();
            let close = rest.find("\n#").unwrap_or(rest.len());
            return Some((number + 1, &rest[..close]));
        }
        at = end;
    }
    None
}

/// The modules that a crate's root declares, tests left out.
fn modules(tree: &Tree, folder: &str) -> Vec<String> {
    let root = ["src/lib.rs", "src/main.rs"].iter().find_map(|name| {
        let path = format!("{folder}/{name}");
        Some((tree.text(&path)?, path))
    });
    let Some((text, path)) = root else {
        return Vec::new();
    };
    let source = Source::new(&path, text);
    let declarations = source
        .words("mod")
        .filter(|&at| !source.is_test(source.line_of(at)));
    declarations
        .filter_map(|at| {
            let rest = source.code[at + 3..].trim_start();
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            rest[end..]
                .trim_start()
                .starts_with(';')
                .then(|| rest[..end].to_owned())
        })
        .collect()
}

fn check_paths(tree: &Tree, path: &str, text: &str, problems: &mut Vec<Problem>) {
    for (number, line) in text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            let is_path =
                TOP.iter().any(|top| quoted.starts_with(top)) && !quoted.contains([' ', '*', '<', '{', ':']);
            if is_path && !tree.has(quoted) {
                problems.push(Problem::new(
                    path,
                    number + 1,
                    format!("names `{quoted}`, which does not exist"),
                ));
            }
        }
    }
}

fn check_commands(path: &str, text: &str, program: &[&str], problems: &mut Vec<Problem>) {
    let known = [("cargo xtask ", XTASK), ("strowger ", program)];
    let mut in_block = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            in_block = !in_block;
            continue;
        }
        for (program, commands) in known {
            // In running text "strowger" is also the name of the thing.
            if !in_block && program == "strowger " {
                continue;
            }
            for (at, _) in line.match_indices(program) {
                let begins = line[..at]
                    .chars()
                    .next_back()
                    .is_none_or(|c| matches!(c, ' ' | '/' | '`' | '$'));
                let word: String = line[at + program.len()..]
                    .chars()
                    .take_while(|c| c.is_ascii_alphabetic() || *c == '-')
                    .collect();
                if begins && !word.is_empty() && !commands.contains(&word.as_str()) && !is_output(line) {
                    problems.push(Problem::new(
                        path,
                        number + 1,
                        format!("`{program}{word}` is no command"),
                    ));
                }
            }
        }
    }
}

/// True for what the program prints, shown among commands.
fn is_output(line: &str) -> bool {
    line.contains("strowger ready:")
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_module_that_the_map_does_not_name_is_a_problem() {
        let files = [
            (
                "crates/sip/src/lib.rs",
                "pub mod transaction;\nmod proxy;\n#[cfg(test)]\nmod script;\nmod inline { }\n",
            ),
            (
                MAP,
                "# Map\n## `crates/sip`\n- `transaction/`: RFC 3261 §17\n## `crates/net`\n- `proxy`\n",
            ),
        ];
        let mut problems = Vec::new();
        check_map(&tree(&files), files[1].1, &mut problems);
        let about: Vec<_> = problems
            .iter()
            .filter(|problem| problem.text.starts_with("crates/sip"))
            .collect();
        assert_eq!(about.len(), 1, "{about:?}");
        assert_eq!((about[0].line, about[0].text.contains("`proxy`")), (2, true));
    }

    #[test]
    fn a_path_that_does_not_exist_is_a_problem() {
        let tree = tree(&[("crates/sip/src/lib.rs", "")]);
        let mut problems = Vec::new();
        check_paths(
            &tree,
            "a.md",
            "`crates/sip/src/lib.rs` `crates/sip/` `crates/sip`\n`crates/gone` `to/other`\n",
            &mut problems,
        );
        assert_eq!(
            problems.iter().map(|problem| problem.line).collect::<Vec<_>>(),
            [2]
        );
    }

    #[test]
    fn the_programs_commands_are_read_from_its_arguments() {
        let text = "pub enum Command {\n    /// Run, or not.\n    Serve(Serve),\n    #[command(x)]\n    User(User),\n    Bare,\n}\nenum Other { A }\n";
        assert_eq!(
            program_commands(&tree(&[(ARGUMENTS, text)])),
            ["serve", "user", "bare"]
        );
    }

    #[test]
    fn a_command_that_does_not_exist_is_a_problem() {
        let mut problems = Vec::new();
        let text = "`cargo xtask tidy`, `cargo xtask fly`, strowger can\n```\nstrowger serve\n./strowger dance\n```\n";
        check_commands("a.md", text, &["serve"], &mut problems);
        assert_eq!(
            problems.iter().map(|problem| problem.line).collect::<Vec<_>>(),
            [1, 4]
        );
    }
}
