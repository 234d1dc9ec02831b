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
    /// For each of its bullets the step that it belongs to, 0 for none.
    pub(super) bullets: Vec<u8>,
    pub(super) title: String,
}

/// A clause, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Whole,
    /// A numbered step, from 1.
    Step(u8),
    /// A bullet, counted through the clause from 1.
    Bullet(u8),
}

impl Clause {
    /// Its parts in their order: itself, then each step and its bullets.
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::Whole];
        for step in 0..=self.steps {
            parts.extend((step > 0).then_some(Part::Step(step)));
            let of_step = (1..).zip(&self.bullets).filter(|&(_, of)| *of == step);
            parts.extend(of_step.map(|(bullet, _)| Part::Bullet(bullet)));
        }
        parts
    }

    fn has(&self, part: Part) -> bool {
        match part {
            Part::Whole => true,
            Part::Step(step) => (1..=self.steps).contains(&step),
            Part::Bullet(bullet) => (1..=self.bullets.len()).contains(&usize::from(bullet)),
        }
    }

    /// Reads what [`fmt::Display`] writes.
    fn parse(line: &str) -> Option<Self> {
        let (number, rest) = line.split_once(' ')?;
        let (counts, title) = match rest.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
            Some((counts, title)) if counts.contains(" steps") || counts.contains("bullets ") => {
                (counts, title)
            }
            _ => ("", rest),
        };
        let mut clause = Self {
            number: number.to_owned(),
            steps: 0,
            bullets: Vec::new(),
            title: title.to_owned(),
        };
        for count in counts.split(", ").filter(|count| !count.is_empty()) {
            match (count.strip_suffix(" steps"), count.strip_prefix("bullets ")) {
                (Some(steps), _) => clause.steps = steps.parse().ok()?,
                (_, Some(of)) => {
                    clause.bullets = of.split(' ').map(|of| of.parse().ok()).collect::<Option<_>>()?
                }
                _ => return None,
            }
        }
        Some(clause)
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = (self.steps > 0).then(|| format!("{} steps", self.steps));
        let of: Vec<_> = self.bullets.iter().map(ToString::to_string).collect();
        let bullets = (!of.is_empty()).then(|| format!("bullets {}", of.join(" ")));
        let counts: Vec<_> = steps.into_iter().chain(bullets).collect();
        write!(f, "{} ", self.number)?;
        if !counts.is_empty() {
            write!(f, "({}) ", counts.join(", "))?;
        }
        write!(f, "{}", self.title)
    }
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
            let clause = Clause::parse(line).ok_or_else(bad)?;
            current.as_mut().ok_or_else(bad)?.push(clause);
        }
        Ok(clauses)
    }

    /// Takes the clauses from an RFC's text, in place of what was known: headings begin their line, and everything else is
    /// indented.
    pub(super) fn read(&mut self, rfc: u16, text: &str) {
        let clauses = self.rfcs.entry(rfc).or_default();
        clauses.clear();
        let mut step = 0;
        for line in text.lines() {
            match heading(line) {
                Some((number, title)) if clauses.iter().all(|clause| clause.number != number) => {
                    step = 0;
                    clauses.push(Clause {
                        number: number.to_owned(),
                        steps: 0,
                        bullets: Vec::new(),
                        title: title.to_owned(),
                    });
                }
                _ => {
                    let Some(clause) = clauses.last_mut() else {
                        continue;
                    };
                    match numbered(line) {
                        Some(number) if number == clause.steps + 1 => (step, clause.steps) = (number, number),
                        Some(number) if number <= clause.steps => step = number,
                        _ if is_bullet(line) => clause.bullets.push(step),
                        _ => {}
                    }
                }
            }
        }
        for clause in clauses.iter_mut().filter(|clause| clause.steps == 1) {
            clause.steps = 0;
            clause.bullets.fill(0);
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
        let part = citation.parts.iter().find(|&&part| !clause.has(part))?;
        Some(format!("RFC {rfc} §{number} has no {part}"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Step(step) => write!(f, "step {step}"),
            Self::Bullet(bullet) => write!(f, "bullet {bullet}"),
        }
    }
}

impl fmt::Display for Clauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rfc, clauses) in &self.rfcs {
            writeln!(f, "# {rfc}")?;
            for clause in clauses {
                writeln!(f, "{clause}")?;
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

/// True for the first line of a bullet.
fn is_bullet(line: &str) -> bool {
    let item = line.trim_start();
    let text = ["o  ", "-  ", "*  "]
        .iter()
        .find_map(|mark| item.strip_prefix(mark));
    let indented = line.len() - item.len();
    (3..=9).contains(&indented)
        && text.is_some_and(|text| text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '"'))
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
         -  First of two
         -   |  a diagram
   3. Three is not of 4. them
      1. One again
      o  Of one
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
            "# 9\n1 (3 steps, bullets 2 1) Introduction\nA.1 A Letter\nB Another\n"
        );
        let read = Clauses::parse(&clauses.to_string()).expect("good");
        assert_eq!(read.rfcs, clauses.rfcs);
        use Part::{Bullet, Step, Whole};
        assert_eq!(
            clauses.get(9, "1").expect("there").parts(),
            [Whole, Step(1), Bullet(2), Step(2), Bullet(1), Step(3)]
        );
    }

    #[test]
    fn a_clause_or_step_that_does_not_exist_is_a_fault() {
        let clauses = Clauses::parse("# 9\n1 (3 steps, bullets 0 1) Introduction\n2 End\n").expect("good");
        let fault = |rfc, clause: &str, parts: &[Part]| {
            clauses.fault(&Citation {
                rfc,
                clause: Some(clause.to_owned()),
                parts: parts.to_vec(),
                path: String::new(),
                line: 1,
                test: None,
                runs: false,
            })
        };
        let bullet = [Part::Bullet(2)];
        assert_eq!(fault(9, "1", &[Part::Step(1), Part::Step(3)]), None);
        assert_eq!(fault(9, "1", &bullet), None);
        assert_eq!(fault(9, "2", &[]), None);
        for (rfc, clause, parts) in [
            (8, "1", &[][..]),
            (9, "3", &[]),
            (9, "1", &[Part::Step(4)]),
            (9, "1", &[Part::Bullet(3)]),
            (9, "2", &[Part::Step(1)]),
            (9, "2", &bullet),
        ] {
            assert!(fault(rfc, clause, parts).is_some(), "{rfc} {clause} {parts:?}");
        }
    }
}
