//! `cargo xtask rfc-index` and `cargo xtask rfc-clauses`: which clause of which RFC is obeyed where, and tested by what.
//!
//! A citation is `RFC 3261 §16.7`. A `§` alone belongs to the RFC named last in the same comment, else to RFC 3261. A step is
//! `§16.7 step 6`, or `Step 6` where the clause with steps that was cited last in the file is meant.

mod citation;
mod clauses;
mod index;

use std::path::Path;

use crate::tidy::{Problem, Tree};
use citation::Citation;
use clauses::Clauses;

/// The clauses of the cited RFCs.
const CLAUSES: &str = "xtask/rfc-clauses.txt";
/// What is generated.
const INDEX: &str = "docs/rfc-index.md";

/// Writes the index anew; true when all citations are good.
pub(crate) fn write_index(root: &Path) -> bool {
    said(Tree::read(root).and_then(|tree| {
        let (clauses, citations) = read(&tree)?;
        write(root, INDEX, &index::render(&clauses, &citations))
    }))
}

/// Writes the table of the clauses of all cited RFCs, from their texts in a folder as `rfc3261.txt`.
pub(crate) fn write_clauses(root: &Path, texts: &Path) -> bool {
    said(Tree::read(root).and_then(|tree| {
        let citations = citation::all(&tree, &Clauses::default());
        let mut rfcs: Vec<u16> = citations
            .iter()
            .filter(|citation| citation.clause.is_some())
            .map(|citation| citation.rfc)
            .collect();
        rfcs.sort_unstable();
        rfcs.dedup();
        let mut clauses = Clauses::default();
        for rfc in rfcs {
            let path = texts.join(format!("rfc{rfc}.txt"));
            let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            clauses.add(rfc, &String::from_utf8_lossy(&text));
        }
        write(root, CLAUSES, &clauses.to_string())
    }))
}

fn write(root: &Path, path: &str, text: &str) -> Result<(), String> {
    std::fs::write(root.join(path), text).map_err(|error| format!("{path}: {error}"))?;
    println!("{path} is written");
    Ok(())
}

fn said(done: Result<(), String>) -> bool {
    done.inspect_err(|error| println!("{error}")).is_ok()
}

/// Finds citations of what does not exist, and an index that is not up to date.
pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    let (clauses, citations) = match read(tree) {
        Ok(read) => read,
        Err(error) => return problems.push(Problem::new(CLAUSES, 1, error)),
    };
    for citation in &citations {
        if let Some(what) = clauses.fault(citation) {
            problems.push(Problem::new(&citation.path, citation.line, what));
        }
    }
    if tree.text(INDEX) != Some(&index::render(&clauses, &citations)) {
        problems.push(Problem::new(
            INDEX,
            1,
            "is not up to date: `cargo xtask rfc-index` writes it",
        ));
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
