//! What is no TOML: told once, where it begins, with what to do; what recovery made of the rest is not held against its author.

use std::collections::HashSet;

use super::diagnostic::{Complaint, Report};
use super::read::MISSING;

/// Adds what the parser of TOML complains about, and takes back what was said of the same lines.
pub(super) fn add_syntax_errors(text: &str, errors: &[toml::de::Error], report: &mut Report<'_>) {
    let mut places: Vec<_> = errors
        .iter()
        .map(|error| (error.span().map_or(0, |span| span.start), error.message().trim()))
        .collect();
    places.sort_by_key(|(start, _)| *start);
    let mut broken = HashSet::new();
    let mut end = None;
    let mut told = Vec::new();
    for (start, message) in places {
        let (line, _) = report.locate(start);
        if end.is_none() && broken.insert(line) {
            told.push((start, message));
            // Where a list or a section's name does not end, nobody knows what the following lines belong to.
            if is_structural(text, line, message) {
                end = Some(line);
            }
        }
    }
    report.forget(|line, complaint| {
        let missing = !broken.is_empty() && complaint.what.ends_with(MISSING);
        missing || broken.contains(&line) || end.is_some_and(|end| line >= end)
    });
    for (start, message) in told {
        let complaint = Complaint::new(message.replace('\n', ", "), mend(message));
        report.add(&(start..start), complaint);
    }
}

fn is_structural(text: &str, line: u32, message: &str) -> bool {
    let written = text.lines().nth(line as usize - 1).unwrap_or_default();
    message.contains("array") || message.contains("table") || written.trim_start().starts_with('[')
}

/// What to do about a complaint of the parser.
fn mend(message: &str) -> &'static str {
    const MENDS: &[(&str, &str)] = &[
        ("duplicate key", "remove one of them"),
        (
            "inline table",
            "separate its keys by commas and close it with `}`",
        ),
        ("unclosed array table", "close the name of the section with `]]`"),
        ("unclosed table", "close the name of the section with `]`"),
        (
            "array",
            "separate the elements by commas and close the list with `]`",
        ),
        (
            "invalid boolean",
            "write true or false, in small letters; put text in quotes",
        ),
        (
            "must be quoted",
            "put text in quotes; write numbers, true and false without",
        ),
        (
            "invalid float",
            "put text in quotes; write numbers, true and false without",
        ),
        (
            "string",
            "put text between two quotes of the same kind on one line",
        ),
        (
            "quote",
            "put text between two quotes of the same kind on one line",
        ),
        (
            "escape",
            "write \\\\ for a backslash, or put the text in single quotes",
        ),
        ("leading zero", "write the number without it"),
        ("no value", "write it as key = value"),
        ("key", "write it as key = value; a comment begins with #"),
    ];
    let known = MENDS.iter().find(|(part, _)| message.contains(part));
    known.map_or("correct the TOML syntax", |(_, mend)| mend)
}
