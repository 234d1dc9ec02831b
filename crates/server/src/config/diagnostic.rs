//! What is wrong with a configuration, where, and how to mend it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::Utf8Error;

use serde::{Deserialize, Serialize};

use super::route::Written;

/// Where a wrong value was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// In a file.
    File {
        /// The file as it was named to us.
        file: String,
        /// Line, counted from 1.
        line: u32,
        /// Column in characters, counted from 1.
        column: u32,
    },
    /// On the command line.
    Flag {
        /// The flag with its dashes.
        flag: Cow<'static, str>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}

/// One error of a configuration. Printed as `file:line:column: what; mend`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub mend: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, mend) = (on_one_line(&self.what), on_one_line(&self.mend));
        write!(f, "{}: {what}; {mend}", self.place)
    }
}

/// A text that may quote what is wrong, with its line ends and other control characters escaped.
fn on_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().collect(),
        false => String::from(c),
    };
    text.chars().map(escaped).collect()
}

/// A complaint about one value: what is wrong, and how to mend it. It gets its place from whoever read the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) what: String,
    pub(super) mend: String,
}

impl Complaint {
    pub(super) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            mend: mend.into(),
        }
    }

    pub(super) fn at_flag(self, flag: &'static str) -> Diagnostic {
        Diagnostic {
            place: Place::Flag { flag: flag.into() },
            what: self.what,
            mend: self.mend,
        }
    }
}

/// Collects the diagnostics of one file, in any order, and knows lines and columns.
pub(super) struct Report<'t> {
    file: &'t str,
    text: &'t str,
    found: Vec<(usize, Complaint)>,
    /// Whether the text is no TOML, so that what was read of it is a guess.
    pub(super) is_broken: bool,
}

impl<'t> Report<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
            is_broken: false,
        }
    }

    pub(super) fn add(&mut self, span: &Range<usize>, complaint: Complaint) {
        self.found.push((span.start.min(self.text.len()), complaint));
    }

    /// Whether nothing was found yet.
    pub(super) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// How many things were found until now.
    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    pub(super) fn locate(&self, offset: usize) -> (u32, u32) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        // A byte order mark takes no column.
        let before = &self.text[..offset];
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(column).unwrap_or(u32::MAX),
        )
    }

    /// Where something was written.
    pub(super) fn written(&self, span: &Range<usize>) -> Written {
        Written {
            file: self.file.into(),
            line: self.locate(span.start).0,
        }
    }

    /// Leaves out some of what was found, by line and complaint.
    pub(super) fn forget(&mut self, this: impl Fn(u32, &Complaint) -> bool) {
        let mut found = std::mem::take(&mut self.found);
        found.retain(|(offset, complaint)| !this(self.locate(*offset).0, complaint));
        self.found = found;
    }

    /// The diagnostics in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(offset, _)| *offset);
        let found = std::mem::take(&mut self.found);
        found
            .into_iter()
            .map(|(offset, complaint)| {
                let (line, column) = self.locate(offset);
                let place = Place::File {
                    file: self.file.to_owned(),
                    line,
                    column,
                };
                Diagnostic {
                    place,
                    what: complaint.what,
                    mend: complaint.mend,
                }
            })
            .collect()
    }
}

/// The one complaint about a file that is no text.
pub(super) fn not_utf8(bytes: &[u8], error: Utf8Error, file: &str) -> Vec<Diagnostic> {
    let (valid, _) = bytes.split_at(error.valid_up_to());
    let text = String::from_utf8_lossy(valid);
    let mut report = Report::new(file, &text);
    report.add(
        &(valid.len()..valid.len()),
        Complaint::new("not UTF-8", "save the file as UTF-8"),
    );
    report.finish()
}

/// The known word nearest to a misspelt one, if it is near enough to be what was meant.
pub(super) fn nearest<'w>(written: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let written = written.to_ascii_lowercase();
    let mut best = None;
    for word in known {
        let distance = edits(&written, &word.to_ascii_lowercase());
        let allowed = (word.len().max(written.len()) / 3).clamp(1, 3);
        let better = best.is_none_or(|(least, _)| distance < least);
        if distance <= allowed && better {
            best = Some((distance, word));
        }
    }
    best.map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// A list of words for people: "`a`, `b` or `c`".
pub(super) fn one_of(words: &[&str]) -> String {
    let mut text = String::new();
    for (position, word) in words.iter().enumerate() {
        if position > 0 {
            text.push_str(if position + 1 == words.len() { " or " } else { ", " });
        }
        text.push('`');
        text.push_str(word);
        text.push('`');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_finds_none() {
        let known = ["listen", "domains", "udp_limit", "shards"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("domain", known), Some("domains"));
        assert_eq!(nearest("upd_limit", known), Some("udp_limit"));
        assert_eq!(nearest("certificate", known), None);
        assert_eq!(nearest("x", known), None);
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let mut report = Report::new("f", "a\né = 1\n");
        report.add(&(5..6), Complaint::new("w", "m"));
        assert_eq!(report.finish()[0].to_string(), "f:2:3: w; m");
    }
}
