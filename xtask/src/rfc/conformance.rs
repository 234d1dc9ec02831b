//! The table of conformance: every step and bullet of RFC 3261's sections on servers, and the purposes of public test suites,
//! each with the tests that prove it or with the reason why there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::citation::{self, Citation};
use super::clauses::{Clause, Clauses, Part};
use super::{CLAUSES, ROWS};
use crate::tidy::{Problem, Tree};

const HEAD: &str = "\
# Conformance

What proves that the server does what RFC 3261 asks. `cargo xtask rfc-index` makes the first table from the clauses that tests
and scripts cite; what a row is called, and the reason where there is no test, is in `xtask/conformance.txt`. `cargo xtask
tidy` fails when a row is empty, when a test that is named does not exist, and when this is not up to date.
";

/// The RFC and the sections of it of which every step and bullet has a row.
const RFC: u16 = 3261;
const SECTIONS: &[&str] = &["8.2", "8.3", "9", "10", "16", "17", "18"];

/// Why a row has no test.
const REASON: &str = "no test: ";

/// What is generated, and what is wrong with it.
pub(super) struct Table {
    pub(super) text: String,
    pub(super) problems: Vec<Problem>,
}

/// A row as it is written down: `§16.7 step 5 Title` or `RG-1-1-1 Title`, and below it, indented, what stands for it.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    line: usize,
    name: &'a str,
    title: &'a str,
    notes: Vec<(usize, &'a str)>,
}

impl Row<'_> {
    fn reason(&self) -> Option<&str> {
        self.notes.iter().find_map(|(_, note)| note.strip_prefix(REASON))
    }
}

/// The tests that prove something: by file, none by name when the whole file does.
type Proofs<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Writes the table.
pub(super) fn render(tree: &Tree, clauses: &Clauses, citations: &[Citation]) -> Table {
    let mut writer = Writer {
        tree,
        proofs: proofs(citations),
        text: HEAD.to_owned(),
        problems: Vec::new(),
    };
    let groups = groups(tree.text(ROWS).unwrap_or_default());
    let (own, suites): (Vec<_>, Vec<_>) = groups
        .into_iter()
        .partition(|(title, _)| *title == format!("RFC {RFC}"));
    let own = own.into_iter().flat_map(|(_, rows)| rows).collect();
    writer.rfc(clauses, own);
    for (title, rows) in suites {
        writer.suite(title, &rows);
    }
    Table {
        text: writer.text,
        problems: writer.problems,
    }
}

/// What cites each part of each clause of the RFC and is run as a test.
fn proofs(citations: &[Citation]) -> BTreeMap<(&str, Part), Proofs<'_>> {
    let mut proofs: BTreeMap<_, Proofs<'_>> = BTreeMap::new();
    for citation in citations {
        let (Some(clause), Some(test)) = (&citation.clause, &citation.test) else {
            continue;
        };
        if citation.rfc != RFC || !citation.runs {
            continue;
        }
        for part in citation.cited() {
            let tests = proofs.entry((clause.as_str(), *part)).or_default();
            let names = tests.entry(&citation.path).or_default();
            names.extend((!test.is_empty()).then_some(test.as_str()));
        }
    }
    proofs
}

/// The rows below each `# title`.
fn groups(text: &str) -> Vec<(&str, Vec<Row<'_>>)> {
    let mut groups: Vec<(&str, Vec<Row<'_>>)> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(title) = text.strip_prefix("# ") {
            groups.push((title, Vec::new()));
            continue;
        }
        let Some((_, rows)) = groups.last_mut() else {
            continue;
        };
        match (text.strip_prefix("    "), rows.last_mut()) {
            (Some(note), Some(row)) => row.notes.push((line, note)),
            _ if text.trim().is_empty() => {}
            _ => {
                let (name, title) = name_and_title(text);
                rows.push(Row {
                    line,
                    name,
                    title,
                    notes: Vec::new(),
                });
            }
        }
    }
    groups
}

/// `§16.7 step 5` or `RG-1-1-1`, and what follows it.
fn name_and_title(text: &str) -> (&str, &str) {
    let mut words = text.match_indices(' ').map(|(at, _)| at);
    let first = words.next().unwrap_or(text.len());
    let is_part = text.starts_with('§')
        && (text[first..].starts_with(" step ") || text[first..].starts_with(" bullet "));
    let end = if is_part {
        words.nth(1).unwrap_or(text.len())
    } else {
        first
    };
    (&text[..end], text[end..].trim_start())
}

/// The parts that have a row: the clauses that have no steps and no clauses of their own, all steps, and all bullets.
fn wanted(clauses: &Clauses) -> Vec<(&Clause, Part)> {
    let all = clauses.of(RFC);
    let is_within = |number: &str, section: &str| {
        number
            .strip_prefix(section)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let has_own = |clause: &Clause| {
        all.iter()
            .any(|other| other.number != clause.number && is_within(&other.number, &clause.number))
    };
    all.iter()
        .filter(|clause| SECTIONS.iter().any(|section| is_within(&clause.number, section)))
        .flat_map(|clause| {
            let whole = clause.steps == 0 && !has_own(clause);
            let parts = clause.parts().into_iter();
            parts
                .filter(move |part| whole || *part != Part::Whole)
                .map(move |part| (clause, part))
        })
        .collect()
}

struct Writer<'a> {
    tree: &'a Tree,
    proofs: BTreeMap<(&'a str, Part), Proofs<'a>>,
    text: String,
    problems: Vec<Problem>,
}

impl Writer<'_> {
    fn problem(&mut self, line: usize, what: impl Into<String>) {
        self.problems.push(Problem::new(ROWS, line, what));
    }

    fn rfc(&mut self, clauses: &Clauses, rows: Vec<Row<'_>>) {
        let _ = write!(
            self.text,
            "\n## RFC {RFC}\n\nSections {}. Bullets are counted through their clause.\n\n| clause | what it asks | proved by |\n|---|---|---|\n",
            SECTIONS.join(", ")
        );
        let mut rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.name.to_owned(), row)).collect();
        for (clause, part) in wanted(clauses) {
            let name = format!("§{} {part}", clause.number).trim_end().to_owned();
            let Some(row) = rows.remove(&name) else {
                self.problem(1, format!("has no row `{name}`"));
                continue;
            };
            let proofs = self.proofs.get(&(clause.number.as_str(), part));
            let proved = proofs.map(show).unwrap_or_default();
            match (row.reason(), proved.is_empty()) {
                (None, true) => self.problem(
                    row.line,
                    format!("{name}: no test cites it, and no reason says why"),
                ),
                (Some(_), false) => {
                    self.problem(row.line, format!("{name}: has tests, so it needs no reason"))
                }
                _ => {}
            }
            let proved = row.reason().map_or(proved, |reason| format!("no test: {reason}"));
            let _ = writeln!(self.text, "| {name} | {} | {proved} |", row.title);
        }
        for (name, row) in rows {
            self.problem(row.line, format!("{name}: is no row of the table ({CLAUSES})"));
        }
    }

    fn suite(&mut self, title: &str, rows: &[Row<'_>]) {
        let _ = write!(
            self.text,
            "\n## {title}\n\n| purpose | what it asks | proved by |\n|---|---|---|\n"
        );
        for row in rows {
            let mut proved = Vec::new();
            for (line, note) in &row.notes {
                match self.note(note) {
                    Ok(shown) => proved.push(shown),
                    Err(what) => self.problem(*line, what),
                }
            }
            if row.notes.is_empty() {
                self.problem(row.line, format!("{}: neither a test nor a reason", row.name));
            }
            let _ = writeln!(
                self.text,
                "| {} | {} | {} |",
                row.name,
                row.title,
                proved.join("<br>")
            );
        }
    }

    /// What stands for a purpose: a test, a clause whose row is in the first table, or a reason.
    fn note(&self, note: &str) -> Result<String, String> {
        if note.starts_with(REASON) {
            return Ok(note.to_owned());
        }
        if note.starts_with('§') {
            let mut clauses = note.split(", ").map(|clause| clause.trim_start_matches('§'));
            let proved = |clause: &str| {
                let below = format!("{clause}.");
                self.proofs
                    .keys()
                    .any(|(number, _)| *number == clause || number.starts_with(&below))
            };
            return match clauses.find(|clause| !proved(clause)) {
                Some(clause) => Err(format!("no test cites §{clause}")),
                None => Ok(format!("what cites {note}")),
            };
        }
        let (path, test) = note.split_once(": ").unwrap_or((note, ""));
        let text = self
            .tree
            .text(path)
            .ok_or_else(|| format!("{path} does not exist"))?;
        let lines: Vec<&str> = text.lines().collect();
        if !path.ends_with(".rs") || citation::runs(&lines, test) {
            Ok(show(&BTreeMap::from([(path, BTreeSet::from([test]))])))
        } else {
            Err(format!("{path} has no test `{test}`"))
        }
    }
}

fn show(proofs: &Proofs<'_>) -> String {
    let file = |(path, tests): (&&str, &BTreeSet<&str>)| {
        let names: Vec<_> = tests.iter().copied().filter(|name| !name.is_empty()).collect();
        let colon = if names.is_empty() { "" } else { ": " };
        format!("`{path}`{colon}{}", names.join(", "))
    };
    proofs.iter().map(file).collect::<Vec<_>>().join("<br>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    const CLAUSES_OF: &str =
        "# 3261\n8.1 Other\n8.2 UAS\n8.2.1 Method\n16.7 (2 steps, bullets 1) Responses\n";
    const TESTS: (&str, &str) = (
        "crates/x/tests/a.rs",
        "// §8.2.1, §16.7 bullet 1\n#[test]\nfn a() {}\n// §16.7 step 2\nfn helper() {}\n",
    );

    fn table(rows: &str) -> (String, Vec<String>) {
        let tree = tree(&[TESTS, (ROWS, rows)]);
        let clauses = Clauses::parse(CLAUSES_OF).expect("good");
        let table = render(&tree, &clauses, &citation::all(&tree, &clauses));
        let problems = table.problems.iter().map(ToString::to_string).collect();
        (table.text, problems)
    }

    const GOOD: &str = "# RFC 3261\n§8.2.1 A method\n§16.7 step 1 One\n    no test: because\n§16.7 bullet 1 Of one\n\
        §16.7 step 2 Two\n    no test: not yet\n\n# Suite\nA-1 First\n    crates/x/tests/a.rs: a\n    §16.7\n";

    #[test]
    fn every_row_has_a_test_or_a_reason() {
        let (text, problems) = table(GOOD);
        assert_eq!(problems, [""; 0]);
        for row in [
            "| §8.2.1 | A method | `crates/x/tests/a.rs`: a |\n",
            "| §16.7 step 1 | One | no test: because |\n| §16.7 bullet 1 | Of one | `crates/x/tests/a.rs`: a |\n",
            "## Suite\n\n| purpose | what it asks | proved by |\n|---|---|---|\n| A-1 | First | `crates/x/tests/a.rs`: a<br>what cites §16.7 |\n",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
    }

    #[test]
    fn an_empty_row_and_one_that_proves_nothing_are_problems() {
        for (from, to, what) in [
            ("    no test: because\n", "", "no test cites it"),
            ("§8.2.1 A method\n", "", "has no row `§8.2.1`"),
            ("A method\n", "A method\n    no test: x\n", "needs no reason"),
            ("§8.2.1 A", "§8.2.9 No\n§8.2.1 A", "is no row"),
            ("tests/a.rs: a", "tests/a.rs: helper", "has no test `helper`"),
            ("tests/a.rs: a", "tests/b.rs: a", "does not exist"),
            ("    §16.7\n", "    §16.8\n", "no test cites §16.8"),
            ("First\n", "First\nA-2 Second\n", "neither a test nor a reason"),
        ] {
            assert!(GOOD.contains(from));
            let (_, problems) = table(&GOOD.replace(from, to));
            assert!(
                problems.iter().any(|problem| problem.contains(what)),
                "{what}: {problems:?}"
            );
        }
    }
}
