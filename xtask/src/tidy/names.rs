//! Names that say nothing.

use super::{File, Problem};

const EMPTY: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "handler", "handlers", "misc",
];

pub(super) fn check(file: &File, problems: &mut Vec<Problem>) {
    if !file.path.ends_with(".rs") {
        return;
    }
    let stems = file.path.split('/').map(|part| part.trim_end_matches(".rs"));
    for stem in stems {
        if EMPTY.contains(&stem) {
            problems.push(Problem::new(
                &file.path,
                1,
                format!("`{stem}` says nothing: name what it does"),
            ));
        }
    }
    for (number, line) in file.text.lines().enumerate() {
        let declared = line
            .trim_start()
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub ");
        let module = declared
            .strip_prefix("mod ")
            .and_then(|rest| rest.split([' ', ';', '{']).next());
        if let Some(module) = module.filter(|module| EMPTY.contains(module)) {
            problems.push(Problem::new(
                &file.path,
                number + 1,
                format!("`mod {module}` says nothing: name what it does"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_name_is_found_in_a_path_and_in_a_declaration() {
        let mut problems = Vec::new();
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&file("crates/x/src/utils.rs", ""), &mut problems);
        check(
            &file("crates/x/src/lib.rs", "mod via;\npub mod helpers;\n"),
            &mut problems,
        );
        check(&file("docs/common.md", ""), &mut problems);
        let lines: Vec<_> = problems
            .iter()
            .map(|problem| (problem.path.as_str(), problem.line))
            .collect();
        assert_eq!(lines, [("crates/x/src/utils.rs", 1), ("crates/x/src/lib.rs", 2)]);
    }
}
