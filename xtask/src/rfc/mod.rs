//! `cargo xtask rfc-index` and `cargo xtask rfc-clauses`: which clause of which RFC is obeyed where, and tested by what.
//!
//! A citation is `RFC 3261 §16.7`. A `§` alone belongs to the RFC named last in the same comment, else to RFC 3261. A step is
//! `§16.7 step 6`, a bullet `§16.7 bullet 2`; or `Step 6` where the clause with steps that was cited last in the file is meant.

mod citation;
mod clauses;
mod conformance;
mod index;

use std::collections::BTreeSet;
use std::path::Path;

use crate::tidy::{Problem, Tree};
use citation::Citation;
use clauses::Clauses;

/// The clauses of the cited RFCs.
const CLAUSES: &str = "xtask/rfc-clauses.txt";
/// What is generated.
const INDEX: &str = "docs/rfc-index.md";
const CONFORMANCE: &str = "docs/conformance.md";
/// What the rows of that table are called, and why some have no test.
const ROWS: &str = "xtask/conformance.txt";

/// Writes the index and the table of conformance anew; true when all citations are good and no row is empty.
pub(crate) fn write_index(root: &Path) -> bool {
    said(Tree::read(root).and_then(|tree| {
        let (clauses, citations) = read(&tree)?;
        write(root, INDEX, &index::render(&clauses, &citations))?;
        let table = conformance::render(&tree, &clauses, &citations);
        write(root, CONFORMANCE, &table.text)?;
        let mut left_out = faults(&clauses, &citations);
        left_out.extend(table.problems);
        match left_out.as_slice() {
            [] => Ok(()),
            left_out => {
                let lines: Vec<_> = left_out.iter().map(ToString::to_string).collect();
                Err(format!("left out of it:\n{}", lines.join("\n")))
            }
        }
    }))
}

/// Brings the table of the clauses of all cited RFCs up to date with the texts in a folder, as `rfc3261.txt`. What the folder
/// does not have stays as it is. True when the clauses of all cited RFCs are known then.
pub(crate) fn write_clauses(root: &Path, texts: &Path) -> bool {
    said(Tree::read(root).and_then(|tree| {
        if !texts.is_dir() {
            return Err(format!("{} is no folder", texts.display()));
        }
        let mut clauses = Clauses::parse(tree.text(CLAUSES).unwrap_or_default())?;
        let citations = citation::all(&tree, &clauses);
        let unknown = bring_up_to_date(&mut clauses, &citations, |rfc| {
            let text = std::fs::read(texts.join(format!("rfc{rfc}.txt"))).ok()?;
            Some(String::from_utf8_lossy(&text).into_owned())
        });
        write(root, CLAUSES, &clauses.to_string())?;
        match unknown.as_slice() {
            [] => Ok(()),
            _ => Err(format!("cited, but not in {}: {unknown:?}", texts.display())),
        }
    }))
}

/// Reads the clauses of the cited RFCs that there is a text of; the RFCs whose clauses are still not known.
fn bring_up_to_date(
    clauses: &mut Clauses,
    citations: &[Citation],
    text: impl Fn(u16) -> Option<String>,
) -> Vec<u16> {
    let cited = citations.iter().filter(|citation| citation.clause.is_some());
    let rfcs: BTreeSet<u16> = cited.map(|citation| citation.rfc).collect();
    for &rfc in &rfcs {
        if let Some(text) = text(rfc) {
            clauses.read(rfc, &text);
        }
    }
    rfcs.into_iter()
        .filter(|&rfc| clauses.of(rfc).is_empty())
        .collect()
}

/// Citations of what does not exist, or is not known.
fn faults(clauses: &Clauses, citations: &[Citation]) -> Vec<Problem> {
    let fault = |citation: &Citation| {
        let what = clauses.fault(citation)?;
        Some(Problem::new(&citation.path, citation.line, what))
    };
    citations.iter().filter_map(fault).collect()
}

fn write(root: &Path, path: &str, text: &str) -> Result<(), String> {
    std::fs::write(root.join(path), text).map_err(|error| format!("{path}: {error}"))?;
    println!("{path} is written");
    Ok(())
}

fn said(done: Result<(), String>) -> bool {
    done.inspect_err(|error| println!("{error}")).is_ok()
}

/// Finds citations of what does not exist, rows of the table of conformance that nothing proves, and documents that are not
/// up to date.
pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    let (clauses, citations) = match read(tree) {
        Ok(read) => read,
        Err(error) => return problems.push(Problem::new(CLAUSES, 1, error)),
    };
    problems.extend(faults(&clauses, &citations));
    let table = conformance::render(tree, &clauses, &citations);
    problems.extend(table.problems);
    for (path, text) in [
        (INDEX, index::render(&clauses, &citations)),
        (CONFORMANCE, table.text),
    ] {
        if tree.text(path) != Some(&text) {
            problems.push(Problem::new(
                path,
                1,
                "is not up to date: `cargo xtask rfc-index` writes it",
            ));
        }
    }
}

fn read(tree: &Tree) -> Result<(Clauses, Vec<Citation>), String> {
    let table = tree
        .text(CLAUSES)
        .ok_or("is missing: `cargo xtask rfc-clauses FOLDER` writes it from the RFCs' texts")?;
    let clauses = Clauses::parse(table)?;
    let citations = citation::all(tree, &clauses);
    Ok((clauses, citations))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    const TABLE: (&str, &str) = (CLAUSES, "# 3261\n9.1 Client\n19.7 (10 steps) Responses\n");
    const ROWS_OF: (&str, &str) = (ROWS, "# RFC 3261\n§9.1 Cancelling\n    no test: none here\n");

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let mut problems = Vec::new();
        check(&tree(files), &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_citation_of_nothing_and_a_stale_index_are_problems() {
        let good = ("crates/x/src/a.rs", "// §9.1\n");
        let clauses = Clauses::parse(TABLE.1).expect("good");
        let cited = tree(&[good, ROWS_OF]);
        let citations = citation::all(&cited, &clauses);
        let index = index::render(&clauses, &citations);
        let table = conformance::render(&cited, &clauses, &citations).text;
        let made = [(INDEX, index.as_str()), (CONFORMANCE, &table), ROWS_OF];
        let problems = |files: &[(&str, &str)]| problems(&[files, &made].concat());
        assert_eq!(problems(&[good, TABLE]), [""; 0]);
        for text in ["// §9.3\n", "// §19.7 step 11\n", "// RFC 3263 §4\n"] {
            let found = problems(&[("crates/x/src/a.rs", text), TABLE]);
            assert!(found[0].starts_with("crates/x/src/a.rs:1: RFC 326"), "{found:?}");
        }
        let moved = problems(&[("crates/x/src/b.rs", "// §9.1\n"), TABLE]);
        assert!(moved[0].starts_with(INDEX), "{moved:?}");
        assert_eq!(problems(&[good]).len(), 1, "no table");
    }

    #[test]
    fn clauses_are_read_from_the_texts_that_are_there_and_the_others_stay() {
        let mut clauses = Clauses::parse("# 3261\n9.1 Client\n# 3263\n4 Old\n").expect("good");
        let cited = tree(&[("crates/x/src/a.rs", "// §9.1\n// RFC 3263 §4\n// RFC 3262 §3\n")]);
        let citations = citation::all(&cited, &clauses);
        let text = |rfc| (rfc == 3263).then(|| "5 New\n".to_owned());
        let unknown = bring_up_to_date(&mut clauses, &citations, text);
        assert_eq!(clauses.to_string(), "# 3261\n9.1 Client\n# 3263\n5 New\n");
        assert_eq!(unknown, [3262]);
        let left_out: Vec<_> = faults(&clauses, &citations)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            left_out[0].starts_with("crates/x/src/a.rs:2: RFC 3263 has no §4"),
            "{left_out:?}"
        );
        assert!(
            left_out[1].starts_with("crates/x/src/a.rs:3: RFC 3262: its clauses are not known"),
            "{left_out:?}"
        );
    }
}
