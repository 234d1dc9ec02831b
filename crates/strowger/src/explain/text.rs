//! An explanation as people read it: the verdict first, then what led there, then what would be sent.

use std::io::{self, Write};

use strowger_server::explain::{
    BindingSeen, Explanation, Ground, Later, Line, Mark, Outcome, RecordChange, Remark, Sent, Weight,
};

/// Columns of what is to the left of the texts.
const TOPIC: usize = 16;
/// Columns of a line, after which texts go on in the next one.
const WIDTH: usize = 110;

const PLAIN: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const BLUE: &str = "\x1b[36m";

/// Writes an explanation; one that `ends` at a challenge tells how to go on.
pub(super) fn write(
    explanation: &Explanation,
    ends: bool,
    coloured: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut page = Page { out, coloured };
    page.verdict(explanation)?;
    if ends && explanation.verdict.outcome == Outcome::Challenged {
        let hint = "(what becomes of it with right credentials: --as USER)";
        let hint = page.paint(DIM, hint);
        writeln!(page.out, "{hint}")?;
    }
    page.arrival(explanation)?;
    page.remarks(&explanation.remarks)?;
    page.heading("What was decided")?;
    for step in &explanation.steps {
        page.step(&step.line())?;
    }
    page.changes(&explanation.changed)?;
    page.sent(&explanation.sent)?;
    page.later(&explanation.later)?;
    page.log(&explanation.log)
}

struct Page<'o, W> {
    out: &'o mut W,
    coloured: bool,
}

impl<W: Write> Page<'_, W> {
    fn paint(&self, colour: &str, text: &str) -> String {
        if self.coloured {
            format!("{colour}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint(BOLD, text);
        writeln!(self.out, "\n{text}")
    }

    fn verdict(&mut self, explanation: &Explanation) -> io::Result<()> {
        let colour = match explanation.verdict.outcome {
            Outcome::Forwarded | Outcome::Answered | Outcome::Redirected | Outcome::PassedBack => GREEN,

            Outcome::Challenged | Outcome::Absorbed | Outcome::Undecided | Outcome::Waits => YELLOW,
            Outcome::Refused | Outcome::Dropped => RED,
        };
        let line = visible(&explanation.verdict.line);
        let line = self.paint(colour, &self.paint(BOLD, &line));
        writeln!(self.out, "{line}")
    }

    fn arrival(&mut self, explanation: &Explanation) -> io::Result<()> {
        let arrival = &explanation.arrival;
        let ground = match explanation.ground {
            Ground::Live => "by the running server",
            Ground::Candidate => "by a server that would start with this configuration",
        };
        let message = &explanation.message;
        self.heading("What came")?;
        self.row("explained", Mark::Plain, ground, "")?;
        let from = format!("from {} to {}", arrival.source, arrival.listener);
        self.row("arrival", Mark::Plain, &from, "")?;
        for assumed in &arrival.assumed {
            self.row("", Mark::Plain, &format!("assumed: {assumed}"), "")?;
        }
        let size = format!("{} bytes, {} of them body", message.length, message.body);
        self.row("message", Mark::Plain, &size, "")?;
        for (name, value) in [
            ("From", &message.from),
            ("To", &message.to),
            ("Call-ID", &message.call_id),
            ("CSeq", &message.cseq),
        ] {
            if let Some(value) = value {
                self.row(name, Mark::Plain, value, "")?;
            }
        }
        Ok(())
    }

    fn remarks(&mut self, remarks: &[Remark]) -> io::Result<()> {
        if remarks.is_empty() {
            return Ok(());
        }
        self.heading("What is odd about it")?;
        for remark in remarks {
            let (topic, mark) = match remark.weight {
                Weight::Given => ("file", Mark::Plain),
                Weight::Odd => ("odd", Mark::Plain),
                Weight::Wrong => ("wrong", Mark::Bad),
            };
            self.row(topic, mark, &remark.what, &remark.clause)?;
        }
        Ok(())
    }

    fn step(&mut self, line: &Line) -> io::Result<()> {
        self.row(line.topic, line.mark, &line.text, line.clause)
    }

    /// A topic, a text that goes on below itself, and the clause at its end.
    fn row(&mut self, topic: &str, mark: Mark, text: &str, clause: &str) -> io::Result<()> {
        let mut lines = wrapped(&visible(text), WIDTH - TOPIC);
        let clause = match clause {
            "" => String::new(),
            clause => format!("[{clause}]"),
        };
        let used = lines.last().map_or(0, |last| last.chars().count());
        if !clause.is_empty() && used + 1 + clause.chars().count() > WIDTH - TOPIC {
            lines.push(String::new());
        }
        let count = lines.len();
        for (number, line) in lines.iter().enumerate() {
            let head = if number == 0 { topic } else { "" };
            let head = self.paint(BLUE, &format!("  {head:<width$}", width = TOPIC - 2));
            let line = match mark {
                Mark::Plain => line.clone(),
                Mark::Good => self.paint(GREEN, line),
                Mark::Bad => self.paint(RED, line),
            };
            let end = if number + 1 == count && !clause.is_empty() {
                let gap = if line.is_empty() { "" } else { " " };
                format!("{gap}{}", self.paint(DIM, &clause))
            } else {
                String::new()
            };
            writeln!(self.out, "{}", format!("{head}{line}{end}").trim_end())?;
        }
        Ok(())
    }

    fn changes(&mut self, changed: &[RecordChange]) -> io::Result<()> {
        if changed.is_empty() {
            return Ok(());
        }
        self.heading("Bindings that would change (none does)")?;
        for change in changed {
            self.row(&change.aor, Mark::Plain, "", "")?;
            let kinds: [(&str, Mark, &[BindingSeen]); 3] = [
                ("+ added", Mark::Good, &change.added),
                ("~ refreshed", Mark::Plain, &change.refreshed),
                ("- removed", Mark::Bad, &change.removed),
            ];
            for (topic, mark, bindings) in kinds {
                for binding in bindings {
                    self.row(topic, mark, &binding.words(), "")?;
                }
            }
            if change.untouched > 0 {
                self.row("= untouched", Mark::Plain, &change.untouched.to_string(), "")?;
            }
        }
        Ok(())
    }

    fn sent(&mut self, sent: &[Sent]) -> io::Result<()> {
        match sent.len() {
            0 => return self.heading("Nothing would be sent"),
            1 => self.heading("What would be sent (nothing is)")?,
            count => self.heading(&format!("What would be sent (nothing is): {count} messages"))?,
        }
        for (number, sent) in sent.iter().enumerate() {
            if number > 0 {
                writeln!(self.out)?;
            }
            let from = sent
                .listener
                .as_ref()
                .map_or(String::new(), |by| format!(" from {by}"));
            let head = format!("  to {}:{}{from}, {} bytes", sent.transport, sent.to, sent.length);
            let head = self.paint(YELLOW, &visible(&head));
            writeln!(self.out, "{head}")?;
            for line in sent.text.trim_end_matches(['\r', '\n']).split('\n') {
                let line = visible(line.strip_suffix('\r').unwrap_or(line));
                let bar = self.paint(DIM, "|");
                writeln!(self.out, "{}", format!("  {bar} {line}").trim_end())?;
            }
        }
        Ok(())
    }

    fn later(&mut self, later: &[Later]) -> io::Result<()> {
        if later.is_empty() {
            return Ok(());
        }
        self.heading("What would follow if nobody answered")?;
        // What is only sent again is one row, with all its times.
        let mut told: Vec<&Later> = Vec::new();
        for first in later {
            let same = |other: &&Later| {
                (&other.sent.to, &other.sent.text, other.again)
                    == (&first.sent.to, &first.sent.text, first.again)
            };
            if told.iter().any(same) {
                continue;
            }
            told.push(first);
            let times: Vec<_> = later
                .iter()
                .filter(same)
                .map(|later| seconds(later.after_ms))
                .collect();
            let sent = &first.sent;
            let again = if first.again { " again" } else { "" };
            let text = format!("{}{again}  to {}:{}", sent.start_line, sent.transport, sent.to);
            self.row(&times[0].clone(), Mark::Plain, &text, "")?;
            if times.len() > 1 {
                self.row(
                    "",
                    Mark::Plain,
                    &format!("and after {}", times[1..].join(", ")),
                    "",
                )?;
            }
        }
        Ok(())
    }

    fn log(&mut self, log: &[String]) -> io::Result<()> {
        if log.is_empty() {
            return Ok(());
        }
        self.heading("What the log would say")?;
        log.iter()
            .try_for_each(|line| writeln!(self.out, "  {}", visible(line)))
    }
}

fn seconds(ms: u64) -> String {
    match ms % 1000 {
        0 => format!("{} s", ms / 1000),
        rest => format!("{}.{} s", ms / 1000, format!("{rest:03}").trim_end_matches('0')),
    }
}

/// A text that can't do anything to a terminal.
fn visible(text: &str) -> String {
    let clean = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() || is_invisible(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(clean).collect()
}

/// Characters that turn the direction of a text or have no width: what they stand in does not look like what it is.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A text in lines of at most so many characters, broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let used = lines[last].chars().count();
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if used > 0 {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_broken_at_spaces_and_nothing_is_lost() {
        assert_eq!(wrapped("", 10), [""]);
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("onetwothree four", 5), ["onetwothree", "four"]);
        assert_eq!(
            wrapped("\u{e9}\u{e9} \u{e9}\u{e9}", 5),
            ["\u{e9}\u{e9} \u{e9}\u{e9}"]
        );
    }

    #[test]
    fn what_is_told_can_do_nothing_to_a_terminal() {
        assert_eq!(visible("a\x1b[2J\tb\u{202e}c"), "a\u{fffd}[2J b\u{fffd}c");
    }

    #[test]
    fn times_are_short() {
        assert_eq!([500, 3000, 1250].map(seconds), ["0.5 s", "3 s", "1.25 s"]);
    }
}
