//! Scripts: what happens to a state machine and what it does, as text, in virtual time.
//!
//! ```text
//! RFC 3261 §17.2.1: an INVITE that comes again gets the last provisional response.
//! over UDP
//!
//!     0  network -> INVITE
//!     0  TU      -> 180
//!     0  network <- 180
//!   400  network -> INVITE
//!   400  network <- 180
//! ```
//!
//! Each line has a time in milliseconds since the beginning, a party, and what it does to the subject (`->`) or gets from it (`<-`).
//! Everything the subject does must be there, in its order. Deeper lines below a message are header fields that it has; those of an
//! effect are compared, all of one name at once, and `no NAME` says that there is none. A line `TIME  end` says that the subject has
//! nothing left. Lines before the first time that are not its title (the first line) are settings.

mod site;

pub use site::OnSite;

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;

use crate::message;

/// Something that a script is about.
pub trait Subject {
    /// A setting, before anything happens. What is wrong with it, if something is.
    fn set(&mut self, setting: &str) -> Result<(), String>;

    /// A party does something, with header fields as they stand in the script.
    fn happen(&mut self, party: &str, what: &str, fields: &[&str]) -> Result<(), String>;

    /// Time goes on to this moment, in milliseconds since the beginning.
    fn go_to(&mut self, at_ms: u64);

    /// What the subject did since it was last asked, in its order.
    fn effects(&mut self) -> Vec<Effect>;

    /// What is left when nothing should be.
    fn left(&mut self) -> Option<String>;
}

/// Something that a subject did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Milliseconds since the beginning.
    pub at_ms: u64,
    /// Who gets it.
    pub party: String,
    /// What: by convention a method or a status code, and ` to METHOD` for what is not about the request that all is about.
    pub what: String,
    /// The whole message, where there is one.
    pub text: String,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {} <- {}", self.at_ms, self.party, self.what)
    }
}

/// Where a script and its subject differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The line, from 1.
    pub line: usize,
    /// What the script says.
    pub expected: String,
    /// What came.
    pub came: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, expected, came } = self;
        write!(f, "{line}: expected `{expected}`, came `{came}`")
    }
}

/// One line with a time, and the header fields below it.
#[derive(Debug)]
struct Line<'t> {
    number: usize,
    text: &'t str,
    at_ms: u64,
    act: Act<'t>,
    fields: Vec<&'t str>,
}

#[derive(Debug)]
enum Act<'t> {
    Event { party: &'t str, what: &'t str },
    Effect { party: &'t str, what: &'t str },
    End,
}

/// Plays every script (`.txt`) of a folder, each with a subject of its own.
///
/// # Panics
///
/// With all differences, if there are any, and when the folder has no script.
#[track_caller]
pub fn play_all<S: Subject>(folder: &Path, subject: impl Fn() -> S) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(!paths.is_empty(), "no script in {}", folder.display());
    let failed = paths.iter().filter_map(|path| {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let difference = play(&text, &mut subject()).err()?;
        Some(format!("{}:{difference}", path.display()))
    });
    let failed: Vec<_> = failed.collect();
    assert!(
        failed.is_empty(),
        "{} of {} scripts:\n{}",
        failed.len(),
        paths.len(),
        failed.join("\n")
    );
}

/// Plays a script; the first difference, if there is one.
pub fn play(script: &str, subject: &mut impl Subject) -> Result<(), Difference> {
    let lines = read(script, subject)?;
    let mut effects = VecDeque::new();
    for line in &lines {
        if effects.is_empty() || !matches!(line.act, Act::Effect { .. }) {
            subject.go_to(line.at_ms);
            effects.extend(subject.effects());
        }
        match line.act {
            Act::Effect { party, what } => expect(line, party, what, effects.pop_front())?,
            _ if !effects.is_empty() => return Err(line.differs(&effects[0].to_string())),
            Act::Event { party, what } => {
                subject
                    .happen(party, what, &line.fields)
                    .map_err(|wrong| line.differs(&wrong))?;
                effects.extend(subject.effects());
            }
            Act::End => subject.left().map_or(Ok(()), |left| Err(line.differs(&left)))?,
        }
    }
    effects.pop_front().map_or(Ok(()), |effect| {
        Err(Difference {
            line: script.lines().count(),
            expected: "nothing more".to_owned(),
            came: effect.to_string(),
        })
    })
}

fn expect(line: &Line<'_>, party: &str, what: &str, came: Option<Effect>) -> Result<(), Difference> {
    let Some(came) = came else {
        return Err(line.differs("nothing"));
    };
    if (line.at_ms, party, what) != (came.at_ms, came.party.as_str(), came.what.as_str()) {
        return Err(line.differs(&came.to_string()));
    }
    let mut fields = line.fields.as_slice();
    while let [field, ..] = fields {
        let name = field
            .strip_prefix("no ")
            .or_else(|| Some(field.split_once(':')?.0))
            .unwrap_or(field);
        let of_name = |field: &&&str| field.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
        let expected: Vec<_> = fields
            .iter()
            .take_while(of_name)
            .map(|field| field[name.len() + 1..].trim())
            .collect();
        let values = message::lines(&came.text, name);
        if values != expected {
            let came = if values.is_empty() {
                format!("no {name}")
            } else {
                format!("{name}: {}", values.join(" | "))
            };
            return Err(Difference {
                line: line.number,
                expected: (*field).to_owned(),
                came,
            });
        }
        fields = &fields[expected.len().max(1)..];
    }
    Ok(())
}

impl Line<'_> {
    fn differs(&self, came: &str) -> Difference {
        Difference {
            line: self.number,
            expected: self.text.split_whitespace().collect::<Vec<_>>().join(" "),
            came: came.to_owned(),
        }
    }
}

/// Reads a script, and gives the subject its settings.
fn read<'t>(script: &'t str, subject: &mut impl Subject) -> Result<Vec<Line<'t>>, Difference> {
    let mut lines: Vec<Line<'t>> = Vec::new();
    for (at, text) in script.lines().enumerate().skip(1) {
        let wrong = |came: String| Difference {
            line: at + 1,
            expected: "a line of a script".to_owned(),
            came,
        };
        let (first, rest) = text.trim().split_once(' ').unwrap_or_else(|| (text.trim(), ""));
        match (first.parse(), lines.last_mut()) {
            (Ok(at_ms), _) => {
                let act = act(rest.trim()).ok_or_else(|| wrong(text.to_owned()))?;
                lines.push(Line {
                    number: at + 1,
                    text,
                    at_ms,
                    act,
                    fields: Vec::new(),
                });
            }
            _ if first.is_empty() => {}
            (Err(_), Some(line)) => line.fields.push(text.trim()),
            (Err(_), None) => subject.set(text.trim()).map_err(wrong)?,
        }
    }
    Ok(lines)
}

fn act(text: &str) -> Option<Act<'_>> {
    if text == "end" {
        return Some(Act::End);
    }
    let (party, rest) = text.split_once(' ')?;
    match rest.trim_start().split_once(' ')? {
        ("->", what) => Some(Act::Event {
            party,
            what: what.trim(),
        }),
        ("<-", what) => Some(Act::Effect {
            party,
            what: what.trim(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says everything back after 10 ms, with what it was told to.
    #[derive(Default)]
    struct Echo {
        now_ms: u64,
        waiting: Vec<(u64, String)>,
        left: bool,
    }

    impl Subject for Echo {
        fn set(&mut self, setting: &str) -> Result<(), String> {
            self.left = setting == "left";
            Err(format!("no {setting}")).or(if self.left {
                Ok(())
            } else {
                Err("unknown".to_owned())
            })
        }

        fn happen(&mut self, party: &str, what: &str, fields: &[&str]) -> Result<(), String> {
            let text = format!("{party} {what}\r\n{}\r\n\r\n", fields.join("\r\n"));
            self.waiting.push((self.now_ms + 10, text));
            (what != "nonsense")
                .then_some(())
                .ok_or_else(|| "what?".to_owned())
        }

        fn go_to(&mut self, at_ms: u64) {
            self.now_ms = at_ms;
        }

        fn effects(&mut self) -> Vec<Effect> {
            let (due, waiting) = self.waiting.drain(..).partition(|(at, _)| *at <= self.now_ms);
            self.waiting = waiting;
            let due: Vec<(u64, String)> = due;
            let effect = |(at_ms, text): (u64, String)| {
                let (party, what) = text
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .split_once(' ')
                    .unwrap_or_default();
                Effect {
                    at_ms,
                    party: party.to_owned(),
                    what: what.to_owned(),
                    text: text.clone(),
                }
            };
            due.into_iter().map(effect).collect()
        }

        fn left(&mut self) -> Option<String> {
            self.left.then(|| "a leftover".to_owned())
        }
    }

    fn played(script: &str) -> String {
        play(&format!("Title\n{script}"), &mut Echo::default())
            .map_or_else(|wrong| wrong.to_string(), |()| String::new())
    }

    #[test]
    fn a_script_that_tells_everything_as_it_is_passes() {
        assert_eq!(
            played("\n 0 a -> x\n 5 b -> y\n 10 a <- x\n 15 b <- y\n 20 end\n"),
            ""
        );
        let fields = "\n 0 a -> x\n  F: 1\n  G: 2\n  F: 3\n 10 a <- x\n  F: 1\n  F: 3\n  no H\n  G: 2\n";
        assert_eq!(played(fields), "");
    }

    #[test]
    fn every_difference_is_found_where_it_is() {
        for (script, expected) in [
            ("0 a -> x\n9 a <- x\n", "3: expected `9 a <- x`, came `nothing`"),
            (
                "0 a -> x\n11 a <- x\n",
                "3: expected `11 a <- x`, came `10  a <- x`",
            ),
            (
                "0 a -> x\n10 b <- x\n",
                "3: expected `10 b <- x`, came `10  a <- x`",
            ),
            (
                "0 a -> x\n10 a <- y\n",
                "3: expected `10 a <- y`, came `10  a <- x`",
            ),
            (
                "0 a -> x\n20 b -> y\n",
                "3: expected `20 b -> y`, came `10  a <- x`",
            ),
            ("0 a -> x\n20 end\n", "3: expected `20 end`, came `10  a <- x`"),
            (
                "0 a -> x\n10 a -> y\n10 a <- x\n20 a <- y\n20 a <- y\n",
                "3: expected `10 a -> y`, came `10  a <- x`",
            ),
            (
                "0 a -> x\n F: 1\n10 a <- x\n F: 2\n",
                "4: expected `F: 2`, came `F: 1`",
            ),
            (
                "0 a -> x\n F: 1\n F: 2\n10 a <- x\n F: 2\n",
                "5: expected `F: 2`, came `F: 1 | 2`",
            ),
            (
                "0 a -> x\n F: 1\n10 a <- x\n no F\n",
                "4: expected `no F`, came `F: 1`",
            ),
            ("0 a -> x\n10 a <- x\n F: 1\n", "3: expected `F: 1`, came `no F`"),
            ("left\n0 end\n", "3: expected `0 end`, came `a leftover`"),
            ("odd\n0 end\n", "2: expected `a line of a script`, came `unknown`"),
            ("0 a = x\n", "2: expected `a line of a script`, came `0 a = x`"),
            ("0 a -> nonsense\n", "2: expected `0 a -> nonsense`, came `what?`"),
        ] {
            assert_eq!(played(script), expected, "{script}");
        }
    }

    #[test]
    fn what_comes_after_the_last_line_is_a_difference() {
        let mut echo = Echo::default();
        echo.waiting.push((0, "a x\r\n\r\n".to_owned()));
        echo.waiting.push((0, "a y\r\n\r\n".to_owned()));
        let difference = play("Title\n0 a <- x\n", &mut echo).expect_err("two");
        assert_eq!(
            difference.to_string(),
            "2: expected `nothing more`, came `0  a <- y`"
        );
    }
}
