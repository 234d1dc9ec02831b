//! The index as a document.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::citation::Citation;
use super::clauses::{Clause, Clauses};

const HEAD: &str = "\
# RFC index

What obeys which clause, and what tests it. `cargo xtask rfc-index` makes it from the citations in code, tests and scripts;
`cargo xtask tidy` fails when it is not up to date, and when a citation names a clause that does not exist.
";

/// The sections of RFC 3261 of which every step is to have a test.
const WATCHED: &[&str] = &["8.2", "9", "10.3", "16", "17", "18"];

/// Clauses that ask for nothing.
const INFORMATIVE: &[&str] = &["8.2.5", "16.1", "16.12.1.1", "16.12.1.3", "17.1.1.1", "17.1.2.1"];

/// What cites a clause, or one step of it.
#[derive(Default)]
struct Row<'a> {
    code: BTreeSet<&'a str>,
    tests: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

/// A clause, or one step of it; the clause as a whole is step 0.
type Place<'a> = (&'a str, u8);

/// Writes the index.
pub(super) fn render(clauses: &Clauses, citations: &[Citation]) -> String {
    let mut text = HEAD.to_owned();
    let indexed = citations
        .iter()
        .filter(|citation| !citation.path.ends_with(".md"));
    let mut rfcs: BTreeMap<u16, BTreeMap<Place<'_>, Row<'_>>> = BTreeMap::new();
    for citation in indexed {
        let rows = rfcs.entry(citation.rfc).or_default();
        let clause = citation.clause.as_deref().unwrap_or_default();
        let whole = [0];
        let steps = if citation.steps.is_empty() {
            &whole[..]
        } else {
            &citation.steps
        };
        for step in steps {
            rows.entry((clause, *step)).or_default().add(citation);
        }
    }
    render_open(&mut text, clauses, rfcs.get(&3261).unwrap_or(&BTreeMap::new()));
    for (rfc, rows) in &rfcs {
        let _ = write!(
            text,
            "\n## RFC {rfc}\n\n| clause | code | tests |\n|---|---|---|\n"
        );
        let all = clauses.of(*rfc).iter();
        let places = all.flat_map(|clause| (0..=clause.steps).map(move |step| (clause, step)));
        if let Some(row) = rows.get(&("", 0)) {
            row.render(&mut text, "as a whole");
        }
        for (clause, step) in places {
            if let Some(row) = rows.get(&(clause.number.as_str(), step)) {
                let name = match step {
                    0 => format!("§{} {}", clause.number, clause.title),
                    _ => format!("§{} step {step}", clause.number),
                };
                row.render(&mut text, &name);
            }
        }
    }
    text
}

fn render_open(text: &mut String, clauses: &Clauses, rows: &BTreeMap<Place<'_>, Row<'_>>) {
    let _ = write!(
        text,
        "\n## Open\n\nClauses and steps of RFC 3261 §{} that no test names:\n\n",
        WATCHED.join(", ")
    );
    let all = clauses.of(3261);
    let mut count = 0;
    for clause in all.iter().filter(|clause| is_watched(clause, all)) {
        // Steps where there are some, else the clause.
        for step in u8::from(clause.steps > 0)..=clause.steps {
            let tested = rows
                .get(&(clause.number.as_str(), step))
                .is_some_and(|row| !row.tests.is_empty());
            if !tested {
                let _ = match step {
                    0 => writeln!(text, "- §{} {}", clause.number, clause.title),
                    _ => writeln!(text, "- §{} step {step}", clause.number),
                };
                count += 1;
            }
        }
    }
    if count == 0 {
        text.push_str("none.\n");
    }
}

/// True for a clause of the watched sections that asks for something and has no clauses of its own.
fn is_watched(clause: &Clause, all: &[Clause]) -> bool {
    let is_within = |number: &str, section: &str| {
        number
            .strip_prefix(section)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let has_own = all
        .iter()
        .any(|other| other.number != clause.number && is_within(&other.number, &clause.number));
    !has_own
        && !INFORMATIVE.contains(&clause.number.as_str())
        && WATCHED.iter().any(|section| is_within(&clause.number, section))
}

impl<'a> Row<'a> {
    fn add(&mut self, citation: &'a Citation) {
        match &citation.test {
            None => {
                self.code.insert(&citation.path);
            }
            Some(test) => {
                let tests = self.tests.entry(&citation.path).or_default();
                if !test.is_empty() {
                    tests.insert(test);
                }
            }
        }
    }

    fn render(&self, text: &mut String, name: &str) {
        let code: Vec<_> = self.code.iter().map(|path| format!("`{path}`")).collect();
        let tests = self.tests.iter().map(|(path, tests)| {
            let names: Vec<_> = tests.iter().map(|test| format!(" {test}")).collect();
            format!(
                "`{path}`{}{}",
                if names.is_empty() { "" } else { ":" },
                names.join(",")
            )
        });
        let tests: Vec<_> = tests.collect();
        let _ = writeln!(
            text,
            "| {name} | {} | {} |",
            code.join("<br>"),
            tests.join("<br>")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "# 3261\n8.2 UAS\n8.2.1 Method\n9.1 Client\n16.1 Overview\n16.7 (2 steps) Responses\n19 Other\n";

    #[test]
    fn what_no_test_names_is_open_step_by_step() {
        let clauses = Clauses::parse(TABLE).expect("good");
        let cited = |clause: &str, steps: &[u8], test: Option<&str>| Citation {
            rfc: 3261,
            clause: Some(clause.to_owned()),
            steps: steps.to_vec(),
            path: "a.rs".to_owned(),
            line: 1,
            test: test.map(str::to_owned),
        };
        let text = render(
            &clauses,
            &[
                cited("8.2.1", &[], None),
                cited("9.1", &[], Some("")),
                cited("16.7", &[2], Some("t")),
            ],
        );
        let open: Vec<_> = text.lines().filter(|line| line.starts_with("- ")).collect();
        assert_eq!(open, ["- §8.2.1 Method", "- §16.7 step 1"]);
        assert!(text.contains("| §8.2.1 Method | `a.rs` |  |\n| §9.1 Client |  | `a.rs` |\n"));
        assert!(text.contains("| §16.7 step 2 |  | `a.rs`: t |\n"));
    }
}
