//! The index as a document.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::citation::Citation;
use super::clauses::{Clauses, Part};

const HEAD: &str = "\
# RFC index

What obeys which clause, and what tests it. `cargo xtask rfc-index` makes it from the citations in code, tests and scripts;
`cargo xtask tidy` fails when it is not up to date, and when a citation names a clause that does not exist. What every step of
RFC 3261 is tested by, and what has no test, is in [conformance.md](conformance.md).
";

/// What cites a clause, or one part of it.
#[derive(Default)]
struct Row<'a> {
    code: BTreeSet<&'a str>,
    tests: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

/// A clause, or one part of it.
type Place<'a> = (&'a str, Part);

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
        for part in citation.cited() {
            rows.entry((clause, *part)).or_default().add(citation);
        }
    }
    for (rfc, rows) in &rfcs {
        let _ = write!(
            text,
            "\n## RFC {rfc}\n\n| clause | code | tests |\n|---|---|---|\n"
        );
        let all = clauses.of(*rfc).iter();
        let places = all.flat_map(|clause| clause.parts().into_iter().map(move |part| (clause, part)));
        if let Some(row) = rows.get(&("", Part::Whole)) {
            row.render(&mut text, "as a whole");
        }
        for (clause, part) in places {
            if let Some(row) = rows.get(&(clause.number.as_str(), part)) {
                let name = match part {
                    Part::Whole => format!("§{} {}", clause.number, clause.title),
                    _ => format!("§{} {part}", clause.number),
                };
                row.render(&mut text, &name);
            }
        }
    }
    text
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

    const TABLE: &str = "# 3261\n8.2.1 Method\n9.1 Client\n16.7 (2 steps, bullets 1) Responses\n19 Other\n";

    #[test]
    fn code_and_tests_stand_beside_what_they_cite() {
        let clauses = Clauses::parse(TABLE).expect("good");
        let cited = |clause: &str, parts: &[Part], test: Option<&str>| Citation {
            rfc: 3261,
            clause: Some(clause.to_owned()),
            parts: parts.to_vec(),
            path: "a.rs".to_owned(),
            line: 1,
            test: test.map(str::to_owned),
            runs: true,
        };
        let text = render(
            &clauses,
            &[
                cited("8.2.1", &[], None),
                cited("9.1", &[], Some("")),
                cited("16.7", &[Part::Step(2), Part::Bullet(1)], Some("t")),
            ],
        );
        assert!(text.contains("| §8.2.1 Method | `a.rs` |  |\n| §9.1 Client |  | `a.rs` |\n"));
        assert!(text.contains("| §16.7 bullet 1 |  | `a.rs`: t |\n| §16.7 step 2 |  | `a.rs`: t |\n"));
    }
}
