//! `strowger user import`: as a stream, so that a file of any size needs no memory and progress can be told.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write, stderr, stdin, stdout};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use strowger_server::admin::Import;

use super::Users;
use crate::failed::Failed;

pub(crate) fn import(
    path: &Path,
    json: bool,
    open: impl FnOnce() -> Result<Users, Failed>,
) -> Result<(), Failed> {
    let from_stdin = path == Path::new("-");
    let name = if from_stdin {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let (input, size): (Box<dyn Read>, Option<u64>) = if from_stdin {
        (Box::new(stdin().lock()), None)
    } else {
        let file = File::open(path).map_err(|error| {
            Failed::new(
                format!("cannot read {name}: {error}"),
                "name a file of lines user@domain,password, or -",
            )
        })?;
        let size = file.metadata().ok().map(|file| file.len());
        (Box::new(file), size.filter(|&size| size > 0))
    };
    let read = Rc::new(Cell::new(0));
    let mut input = BufReader::with_capacity(
        1 << 16,
        Counted {
            input,
            read: Rc::clone(&read),
        },
    );
    let users = open()?;
    let begun = Instant::now();
    let mut progress = Progress::new(size, begun);
    let done = users.import(&mut input as &mut dyn BufRead, &mut |lines| {
        progress.tell(lines, read.get())
    });
    progress.end();
    told(&name, &done?, json, begun.elapsed())
}

/// A source, and how many bytes were read of it.
struct Counted {
    input: Box<dyn Read>,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(into)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

fn told(name: &str, total: &Import, json: bool, took: Duration) -> Result<(), Failed> {
    if json {
        let mut value = serde_json::to_value(total).map_err(io::Error::from)?;
        value["seconds"] = json!((took.as_secs_f64() * 1000.0).round() / 1000.0);
        value["source"] = json!(name);
        writeln!(stdout(), "{value}")?;
    } else {
        for failed in &total.failed {
            eprintln!("{name}:{}: {}", failed.line, failed.error);
        }
        let untold = total.failures.saturating_sub(total.failed.len() as u64);
        if untold > 0 {
            eprintln!("... and {untold} more");
        }
        let (added, changed, failures) = (total.added, total.changed, total.failures);
        writeln!(stdout(), "added {added}, changed {changed}, not taken {failures}")?;
    }
    if total.failures > 0 {
        Err(Failed::Silent)
    } else {
        Ok(())
    }
}

/// Tells how far it is: on a terminal one line that changes, else a line now and then.
struct Progress {
    size: Option<u64>,
    on_terminal: bool,
    begun: Instant,
    told: Instant,
    shown: bool,
}

impl Progress {
    fn new(size: Option<u64>, begun: Instant) -> Self {
        Self {
            size,
            on_terminal: stderr().is_terminal(),
            begun,
            told: begun,
            shown: false,
        }
    }

    fn tell(&mut self, lines: u64, bytes: u64) {
        let every = if self.on_terminal {
            Duration::from_millis(100)
        } else {
            Duration::from_secs(5)
        };
        if self.told.elapsed() < every {
            return;
        }
        self.told = Instant::now();
        self.shown = true;
        let line = progress_line(lines, bytes, self.size, self.begun.elapsed());
        if self.on_terminal {
            eprint!("\r{line}\x1b[K");
        } else {
            eprintln!("{line}");
        }
    }

    fn end(&self) {
        if self.on_terminal && self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

/// How far it is, at which rate, and how long it still takes if it goes on so.
fn progress_line(lines: u64, bytes: u64, size: Option<u64>, took: Duration) -> String {
    let ms = took.as_millis().max(1);
    let rate = u128::from(lines) * 1000 / ms;
    let Some(size) = size else {
        return format!("{lines} lines, {rate} a second");
    };
    let bytes = bytes.clamp(1, size);
    let percent = bytes * 100 / size;
    let left = u128::from(size - bytes) * ms / u128::from(bytes);
    format!(
        "{lines} lines ({percent}%), {rate} a second, {} s left",
        left.div_ceil(1000)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_with_the_rate_and_the_time_that_is_left() {
        let line = |bytes, size| progress_line(50_000, bytes, size, Duration::from_secs(2));
        assert_eq!(
            line(1_000, Some(4_000)),
            "50000 lines (25%), 25000 a second, 6 s left"
        );
        assert_eq!(
            line(4_000, Some(4_000)),
            "50000 lines (100%), 25000 a second, 0 s left"
        );
        assert_eq!(line(1_000, None), "50000 lines, 25000 a second");
        // A file that grows meanwhile.
        assert_eq!(
            line(5_000, Some(4_000)),
            "50000 lines (100%), 25000 a second, 0 s left"
        );
    }
}
