//! The clauses that the cited RFCs have.

use std::collections::BTreeMap;
use std::fmt;

use super::citation::Citation;

/// One clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    /// `16.7`, `C.1`.
    pub(super) number: String,
    /// How many numbered steps it has.
    pub(super) steps: u8,
    pub(super) title: String,
}

/// The clauses of each RFC, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Clauses {
    rfcs: BTreeMap<u16, Vec<Clause>>,
}

impl Clauses {
    /// Reads what [`fmt::Display`] writes.
    pub(super) fn parse(table: &str) -> Result<Self, String> {
        let mut clauses = Self::default();
        let mut current: Option<&mut Vec<Clause>> = None;
        for (number, line) in table.lines().enumerate() {
            let bad = || format!("line {}: `{line}`", number + 1);
            if let Some(rfc) = line.strip_prefix("# ") {
                current = Some(clauses.rfcs.entry(rfc.parse().map_err(|_| bad())?).or_default());
                continue;
            }
            let (clause, rest) = line.split_once(' ').ok_or_else(bad)?;
            let (steps, title) = match rest
                .strip_prefix('(')
                .and_then(|rest| rest.split_once(" steps) "))
            {
                Some((steps, title)) => (steps.parse().map_err(|_| bad())?, title),
                None => (0, rest),
            };
            current.as_mut().ok_or_else(bad)?.push(Clause {
                number: clause.to_owned(),
                steps,
                title: title.to_owned(),
            });
        }
        Ok(clauses)
    }

    /// Takes the clauses from an RFC's text, in place of what was known: headings begin their line, and everything else is
    /// indented.
    pub(super) fn read(&mut self, rfc: u16, text: &str) {
        let clauses = self.rfcs.entry(rfc).or_default();
        clauses.clear();
        for line in text.lines() {
            match heading(line) {
                Some((number, title)) if clauses.iter().all(|clause| clause.number != number) => {
                    clauses.push(Clause {
                        number: number.to_owned(),
                        steps: 0,
                        title: title.to_owned(),
                    });
                }
                _ => {
                    if let Some(clause) = clauses
                        .last_mut()
                        .filter(|clause| numbered(line) == Some(clause.steps + 1))
                    {
                        clause.steps += 1;
                    }
                }
            }
        }
        for clause in clauses.iter_mut().filter(|clause| clause.steps == 1) {
            clause.steps = 0;
        }
    }

    /// The clauses of an RFC.
    pub(super) fn of(&self, rfc: u16) -> &[Clause] {
        self.rfcs.get(&rfc).map_or(&[], Vec::as_slice)
    }

    /// One clause of an RFC.
    pub(super) fn get(&self, rfc: u16, number: &str) -> Option<&Clause> {
        self.of(rfc).iter().find(|clause| clause.number == number)
    }

    /// What is wrong with a citation.
    pub(super) fn fault(&self, citation: &Citation) -> Option<String> {
        let rfc = citation.rfc;
        let number = citation.clause.as_ref()?;
        if self.of(rfc).is_empty() {
            return Some(format!(
                "RFC {rfc}: its clauses are not known: `cargo xtask rfc-clauses FOLDER` reads them"
            ));
        }
        let Some(clause) = self.get(rfc, number) else {
            return Some(format!("RFC {rfc} has no §{number}"));
        };
        let step = citation
            .steps
            .iter()
            .find(|&&step| step == 0 || step > clause.steps)?;
        Some(format!("RFC {rfc} §{number} has no step {step}"))
    }
}

impl fmt::Display for Clauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rfc, clauses) in &self.rfcs {
            writeln!(f, "# {rfc}")?;
            for Clause { number, steps, title } in clauses {
                match steps {
                    0 => writeln!(f, "{number} {title}")?,
                    _ => writeln!(f, "{number} ({steps} steps) {title}")?,
                }
            }
        }
        Ok(())
    }
}

/// The number and the title of a heading.
fn heading(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("Appendix ").unwrap_or(line);
    let end = line.find([' ', ':'])?;
    let number = line[..end].trim_end_matches('.');
    let title = line[end..].trim_start_matches([':', ' ']).trim_end();
    let mut parts = number.split('.');
    let first = parts.next()?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let letter = first.len() == 1 && first.bytes().all(|byte| byte.is_ascii_uppercase());
    let good = (is_number(first) || letter) && parts.all(is_number);
    // A table of contents that is not indented ends in a page number after dots.
    let contents = title.contains("....") || title.contains(". . .");
    (good && !title.is_empty() && !contents).then_some((number, title))
}

/// The number of a list's item.
fn numbered(line: &str) -> Option<u8> {
    let item = line.trim_start();
    let (number, rest) = item.split_once('.')?;
    let indented = line.len() - item.len();
    ((3..=8).contains(&indented) && rest.starts_with(' ')).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Table of Contents
   1   Introduction .............    3
1  Introduction ........ 3
1 Introduction
   Text of 2002.
      1. One
Author [Page 1]
      2.  Two
   3. Three is not of 4. them
      1. One again
A.1.  A Letter
Appendix B: Another
   RFC 3261
";

    #[test]
    fn headings_are_read_and_their_steps_counted() {
        let mut clauses = Clauses::default();
        clauses.read(9, TEXT);
        assert_eq!(
            clauses.to_string(),
            "# 9\n1 (3 steps) Introduction\nA.1 A Letter\nB Another\n"
        );
        let read = Clauses::parse(&clauses.to_string()).expect("good");
        assert_eq!(read.rfcs, clauses.rfcs);
    }

    #[test]
    fn a_clause_or_step_that_does_not_exist_is_a_fault() {
        let clauses = Clauses::parse("# 9\n1 (3 steps) Introduction\n2 End\n").expect("good");
        let fault = |rfc, clause: &str, steps: &[u8]| {
            clauses.fault(&Citation {
                rfc,
                clause: Some(clause.to_owned()),
                steps: steps.to_vec(),
                path: String::new(),
                line: 1,
                test: None,
            })
        };
        assert_eq!(fault(9, "1", &[1, 3]), None);
        assert_eq!(fault(9, "2", &[]), None);
        for (rfc, clause, steps) in [(8, "1", &[][..]), (9, "3", &[]), (9, "1", &[4]), (9, "2", &[1])] {
            assert!(fault(rfc, clause, steps).is_some(), "{rfc} {clause} {steps:?}");
        }
    }
}
