//! Citations, where they stand.

use super::clauses::{Clauses, Part};
use crate::tidy::{File, Source, Tree};

/// One citation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Citation {
    pub(super) rfc: u16,
    /// None when the whole RFC is cited.
    pub(super) clause: Option<String>,
    /// Steps or bullets of the clause; none when all of it is cited.
    pub(super) parts: Vec<Part>,
    pub(super) path: String,
    pub(super) line: usize,
    /// The test that it stands at: a function, or empty for a whole file of tests. None for what is not a test.
    pub(super) test: Option<String>,
    /// Whether that is run by itself: a function that is marked as a test, a script, or a file that has such functions.
    pub(super) runs: bool,
}

impl Citation {
    /// The parts that are cited; the clause itself when none is named.
    pub(super) fn cited(&self) -> &[Part] {
        match self.parts.as_slice() {
            [] => &[Part::Whole],
            parts => parts,
        }
    }
}

/// The RFC of a `§` that stands alone.
const DEFAULT: u16 = 3261;

/// All citations in code, tests, scripts and documents.
pub(super) fn all(tree: &Tree, clauses: &Clauses) -> Vec<Citation> {
    let files = tree.files().filter(|file| is_read(&file.path));
    files.flat_map(|file| of(file, clauses)).collect()
}

/// The checks themselves show what is wrong; the index is made of the others.
fn is_read(path: &str) -> bool {
    let kind = path.ends_with(".rs") || path.ends_with(".md") || is_script(path);
    kind && !path.starts_with("xtask/") && ![super::INDEX, super::CONFORMANCE].contains(&path)
}

/// True for a script of events and effects.
fn is_script(path: &str) -> bool {
    path.contains("/scripts/") && path.ends_with(".txt")
}

fn of(file: &File, clauses: &Clauses) -> Vec<Citation> {
    let source = file
        .path
        .ends_with(".rs")
        .then(|| Source::new(&file.path, &file.text));
    let lines: Vec<&str> = file.text.lines().collect();
    let mut reader = Reader {
        clauses,
        rfc: DEFAULT,
        with_steps: None,
    };
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let comment = source.is_none()
            || ["//", "fn step_"]
                .iter()
                .any(|begin| line.trim_start().starts_with(begin));
        if !comment {
            reader.rfc = DEFAULT;
        }
        for (rfc, clause, parts) in reader.read(line, comment) {
            let (test, runs) = match &source {
                Some(source) if source.is_test(at + 1) => {
                    let name = test_at(&lines, at);
                    let runs = runs(&lines, &name);
                    (Some(name), runs)
                }
                Some(_) => (None, false),
                None if is_script(&file.path) => (Some(String::new()), true),
                None => (None, false),
            };
            found.push(Citation {
                rfc,
                clause,
                parts,
                path: file.path.clone(),
                line: at + 1,
                test,
                runs,
            });
        }
    }
    found
}

/// The function that a line belongs to: the one below a comment, or the one around it. Empty at the top of a file.
fn test_at(lines: &[&str], at: usize) -> String {
    let above = |line: &&&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[")
    };
    if lines[at].starts_with("//!") {
        return String::new();
    }
    let is_comment = lines[at].trim_start().starts_with("//");
    let below = lines[at..]
        .iter()
        .find(|line| !above(line))
        .filter(|_| is_comment);
    below
        .and_then(|line| function(line))
        .or_else(|| lines[..=at].iter().rev().find_map(|line| function(line)))
        .unwrap_or_default()
        .to_owned()
}

/// Whether a function is a test that is run by itself; the empty name stands for the file.
pub(super) fn runs(lines: &[&str], name: &str) -> bool {
    let mut marked = false;
    for line in lines {
        if line.trim_start().starts_with("#[test]") {
            marked = true;
        } else if let Some(declared) = function(line) {
            if marked && (name.is_empty() || declared == name) {
                return true;
            }
            marked = false;
        }
    }
    false
}

/// The name of the function that is declared in a line.
fn function(line: &str) -> Option<&str> {
    let declared = line
        .trim_start()
        .trim_start_matches("pub(crate) ")
        .trim_start_matches("pub ");
    declared.strip_prefix("fn ")?.split(['(', '<']).next()
}

type Found = (u16, Option<String>, Vec<Part>);

/// Reads line after line of a file.
struct Reader<'a> {
    clauses: &'a Clauses,
    /// The RFC that a `§` alone belongs to.
    rfc: u16,
    /// The clause with steps that was cited last: a step that stands alone is of it, a bullet never does.
    with_steps: Option<(u16, String)>,
}

impl Reader<'_> {
    fn read(&mut self, line: &str, comment: bool) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        // Of `steps 1 to 9 of §16.6`, until the clause is read.
        let mut ahead = Vec::new();
        let mut at = 0;
        while let Some((offset, mark)) = line[at..]
            .char_indices()
            .find_map(|(offset, _)| mark(&line[at..], offset))
        {
            at += offset;
            let rest = &line[at..];
            match mark {
                Mark::Rfc => {
                    let end = 4 + count(&rest[4..], |c| c.is_ascii_digit());
                    if let Ok(rfc) = rest[4..end].parse() {
                        self.rfc = rfc;
                        if !rest[end..].starts_with(" §") {
                            found.push((rfc, None, Vec::new()));
                        }
                    }
                    at += end;
                }
                Mark::Clause => {
                    let name = &rest['§'.len_utf8()..];
                    let length = count(name, |c| c.is_ascii_alphanumeric() || c == '.');
                    let clause = name[..length].trim_end_matches('.');
                    at += '§'.len_utf8() + clause.len();
                    if !clause.is_empty() {
                        let after = &line[at..];
                        let (parts, length) = parts(after.strip_prefix(' ').unwrap_or(after));
                        at += if parts.is_empty() { 0 } else { 1 + length };
                        let parts = if parts.is_empty() {
                            std::mem::take(&mut ahead)
                        } else {
                            parts
                        };
                        self.remember(clause);
                        found.push((self.rfc, Some(clause.to_owned()), parts));
                    }
                }
                Mark::Steps => {
                    let (parts, length) = parts(rest);
                    at += length;
                    if line[at..].starts_with(" of §") {
                        ahead = parts;
                    } else if comment && !parts.is_empty() {
                        found.extend(
                            self.with_steps
                                .clone()
                                .map(|(rfc, clause)| (rfc, Some(clause), parts)),
                        );
                    }
                }
            }
        }
        found
    }

    fn remember(&mut self, clause: &str) {
        if self
            .clauses
            .get(self.rfc, clause)
            .is_some_and(|clause| clause.steps > 0)
        {
            self.with_steps = Some((self.rfc, clause.to_owned()));
        }
    }
}

enum Mark {
    Rfc,
    Clause,
    Steps,
}

/// What begins at an offset.
fn mark(text: &str, offset: usize) -> Option<(usize, Mark)> {
    let rest = &text[offset..];
    let mark = match rest {
        _ if rest.starts_with("RFC ") => Mark::Rfc,
        _ if rest.starts_with('§') => Mark::Clause,
        _ if rest.starts_with("step") || rest.starts_with("Step") => Mark::Steps,
        _ => return None,
    };
    let before = text[..offset].chars().next_back();
    (!before.is_some_and(|c| c.is_alphanumeric() || c == '_')).then_some((offset, mark))
}

fn count(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The parts of `step 6`, `steps 1, 2 and 9`, `bullets 1 to 5`, and how long it is.
fn parts(text: &str) -> (Vec<Part>, usize) {
    let found = [("step", true), ("Step", true), ("bullet", false)]
        .iter()
        .find_map(|(word, is_step)| Some((text.strip_prefix(word)?, is_step)));
    let Some((rest, is_step)) = found else {
        return (Vec::new(), 0);
    };
    let part = if *is_step { Part::Step } else { Part::Bullet };
    let (numbers, left) = numbers(rest);
    (numbers.into_iter().map(part).collect(), text.len() - left.len())
}

/// The numbers of ` 6`, `s 1, 2 and 9`, `s 1 to 5`, and what follows.
fn numbers(mut rest: &str) -> (Vec<u8>, &str) {
    rest = rest.strip_prefix('s').unwrap_or(rest);
    let mut numbers: Vec<u8> = Vec::new();
    loop {
        let (range, after) = match (
            rest.strip_prefix(" to "),
            rest.strip_prefix(" and "),
            rest.strip_prefix(", "),
        ) {
            (Some(after), ..) => (true, after),
            (_, Some(after), _) | (.., Some(after)) if !numbers.is_empty() => (false, after),
            _ if numbers.is_empty() => (false, rest.strip_prefix([' ', '_']).unwrap_or(rest)),
            _ => break,
        };
        let digits = count(after, |c| c.is_ascii_digit());
        let Ok(number) = after[..digits].parse() else {
            break;
        };
        let first = numbers.last().map_or(number, |last| last + 1);
        if range {
            numbers.extend(first..number);
        }
        numbers.push(number);
        rest = &after[digits..];
    }
    (numbers, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    const TABLE: &str = "# 3261\n16.6 (11 steps) Forwarding\n16.7 (10 steps, bullets 5 5) Responses\n16.9 Errors\n# 6026\n7.1 Server\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        let clauses = Clauses::parse(TABLE).expect("good");
        let show = |citation: Citation| {
            let Citation {
                rfc,
                clause,
                parts,
                line,
                test,
                ..
            } = citation;
            let test = test.map_or(String::new(), |test| format!(" by {test}"));
            let parts: Vec<_> = parts
                .iter()
                .map(|part| part.to_string().replace("step ", ""))
                .collect();
            format!(
                "{line}: {rfc} {} {}{test}",
                clause.unwrap_or_default(),
                parts.join(",")
            )
        };
        all(&tree(&[(path, text)]), &clauses)
            .into_iter()
            .map(show)
            .collect()
    }

    #[test]
    fn a_sign_alone_is_of_the_rfc_named_last_in_the_comment() {
        let text = "//! RFC 6026 §7.1, §7.2, and RFC 2543.\nfn a() {}\n// §16.9 (RFC 3261 §16.7).\n";
        assert_eq!(
            found("crates/x/src/a.rs", text),
            [
                "1: 6026 7.1 ",
                "1: 6026 7.2 ",
                "1: 2543  ",
                "3: 3261 16.9 ",
                "3: 3261 16.7 "
            ]
        );
    }

    #[test]
    fn steps_are_read_alone_in_lists_and_in_ranges() {
        let text = "// §16.6 steps 1 to 3, §16.7 step 6\n// steps 1, 2 and 9 of §16.6\nfn a() {\n    // Step 4: x\n}\n// §16.9: y\n// steps 7 and 8\n// §16.7 bullets 1 and 2\n";
        assert_eq!(
            found("crates/x/src/a.rs", text),
            [
                "1: 3261 16.6 1,2,3",
                "1: 3261 16.7 6",
                "2: 3261 16.6 1,2,9",
                "4: 3261 16.6 4",
                "6: 3261 16.9 ",
                "7: 3261 16.6 7,8",
                "8: 3261 16.7 bullet 1,bullet 2"
            ]
        );
    }

    #[test]
    fn the_name_of_a_test_may_say_which_step_it_is_for() {
        let text = "//! §16.7\n#[test]\nfn step_4_is_kept() {\n    let step_5 = 1;\n}\n";
        assert_eq!(
            found("crates/x/tests/a.rs", text),
            ["1: 3261 16.7  by ", "3: 3261 16.7 4 by step_4_is_kept"]
        );
    }

    #[test]
    fn a_citation_belongs_to_the_test_below_or_around_it() {
        let text =
            "//! §16.9\nuse a;\n// §16.7\n// more\n#[test]\nfn below() {\n    assert!(true, \"§16.6\");\n}\n";
        assert_eq!(
            found("crates/x/tests/a.rs", text),
            [
                "1: 3261 16.9  by ",
                "3: 3261 16.7  by below",
                "7: 3261 16.6  by below"
            ]
        );
        assert_eq!(
            found("crates/x/tests/scripts/a.txt", "RFC 3261 §16.9: x\n"),
            ["1: 3261 16.9  by "]
        );
    }
}
