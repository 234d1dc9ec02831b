//! Rules for every text file: white space, foreign paths and hosts, citations.

use super::{File, Problem};

/// Paths of one machine, and hosts of package registries: a file that names them works in one place only. Written
/// in two parts, because this file is checked too.
const FOREIGN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/tm", "p/"),
    concat!("/ro", "ot/"),
    concat!("/hom", "e/"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npm", "js.org"),
    concat!("deb.deb", "ian.org"),
];

pub(super) fn check(file: &File, problems: &mut Vec<Problem>) {
    for (number, line) in file.text.lines().enumerate() {
        let mut problem = |text: String| problems.push(Problem::new(&file.path, number + 1, text));
        if line.ends_with([' ', '\t']) {
            problem("white space at the end of the line".to_owned());
        }
        // Cargo writes the registry's name into its lock files.
        if !file.path.ends_with("Cargo.lock") {
            for foreign in FOREIGN.iter().filter(|foreign| names(line, foreign)) {
                problem(format!(
                    "`{foreign}`: the repository must not depend on one machine or registry"
                ));
            }
        }
        if has_citations(&file.path) {
            let cited = line.match_indices("RFC").map(|(at, _)| at);
            let cited = cited.filter(|&at| !is_name(&file.path, line, at));
            for citation in cited.filter_map(|at| malformed(line, at)) {
                problem(format!("`{citation}`: cite as `RFC 3261 §17.2.1`"));
            }
        }
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        let last = file.text.lines().count().max(1);
        problems.push(Problem::new(&file.path, last, "a file ends with one line end"));
    }
}

/// True when the line has this text, and not as a part of a longer relative path.
fn names(line: &str, foreign: &str) -> bool {
    line.match_indices(foreign).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !foreign.starts_with('/')
            || !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}' | ')'))
    })
}

fn has_citations(path: &str) -> bool {
    path.ends_with(".rs") || path.ends_with(".md")
}

/// True for a name in code.
fn is_name(path: &str, line: &str, at: usize) -> bool {
    path.ends_with(".rs")
        && !line[..at].contains("//")
        && line[at + 3..].starts_with(|c: char| c.is_ascii_digit())
}

/// The citation at `at`, when it is one and its form is wrong.
fn malformed(line: &str, at: usize) -> Option<&str> {
    let before = line[..at].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let after = &line[at + 3..];
    let number = after.trim_start_matches([' ', '-', '_', ':']);
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let gap = after.len() - number.len();
    let rest = &number[digits..];
    let end = at + 3 + gap + digits;
    let shown = |extra: usize| line.get(at..end + extra).unwrap_or(line);
    if &after[..gap] != " " || !(3..=5).contains(&digits) {
        return Some(shown(0));
    }
    let clause = rest.trim_start_matches([',', ' ']);
    let skipped = rest.len() - clause.len();
    let lower = clause.to_ascii_lowercase();
    if lower.starts_with("section ") || lower.starts_with("sec. ") || lower.starts_with("clause ") {
        return Some(shown(skipped + 7));
    }
    if let Some(name) = clause.strip_prefix('§') {
        // A brace: what is formatted in names the clause.
        let named = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '{');
        if skipped != 1 || !rest.starts_with(' ') || !named {
            return Some(shown(skipped + '§'.len_utf8()));
        }
    }
    // A bare clause number with a point in it, as in "3261 17.2.1".
    let bare = clause
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count();
    let number = clause[..bare].trim_end_matches('.');
    if skipped == 1 && rest.starts_with(' ') && number.contains('.') {
        return Some(shown(skipped + number.len()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        check(
            &File {
                path: path.to_owned(),
                text: text.to_owned(),
            },
            &mut problems,
        );
        problems.into_iter().map(|problem| problem.text).collect()
    }

    #[test]
    fn white_space_at_the_end_and_a_missing_last_line_end_are_problems() {
        assert_eq!(found("a.md", "a \nb\n").len(), 1);
        assert_eq!(found("a.md", "a\nb").len(), 1);
        assert_eq!(found("a.md", "a\nb\n"), [""; 0]);
    }

    #[test]
    fn a_path_of_one_machine_is_a_problem_and_a_relative_one_is_not() {
        assert_eq!(found("a.md", &format!("see {}x\n", FOREIGN[0])).len(), 1);
        assert_eq!(
            found("a.md", &format!("see net{}x and ..{}y\n", FOREIGN[0], FOREIGN[0])),
            [""; 0]
        );
        assert_eq!(found("a.md", &format!("from {}\n", FOREIGN[4])).len(), 1);
    }

    #[test]
    fn citations_have_one_form() {
        for good in [
            "RFC 3261 §17.2.1",
            "RFC 3261.",
            "the RFC's words",
            "RFC 2543 and RFC 3261 §8",
            "RFC 8760 §A.1)",
            "RFC 3261 10 times",
        ] {
            assert_eq!(found("a.rs", &format!("{good}\n")), [""; 0], "{good}");
        }
        let bad = [
            concat!("RFC", "3261"),
            concat!("RFC", "-3261"),
            concat!("RF", "C 3261 section 17"),
            concat!("RF", "C 3261, §17"),
        ];
        for bad in bad.into_iter().chain([
            concat!("RF", "C 3261 17.2.1"),
            concat!("RF", "C 3261§17"),
            concat!("RF", "C 3261 § 17"),
        ]) {
            assert_eq!(found("a.rs", &format!("// {bad}\n")).len(), 1, "{bad}");
        }
    }
}
