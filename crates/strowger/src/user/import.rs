//! `strowger user import`: in pieces, so that a file of any size needs no memory and progress can be told.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write, stderr, stdin, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use strowger_server::admin::Import;

use super::Users;
use crate::failed::Failed;

pub(crate) fn import(path: &Path, open: impl FnOnce() -> Result<Users, Failed>) -> Result<(), Failed> {
    let from_stdin = path == Path::new("-");
    let name = if from_stdin {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let cannot_read = |error: std::io::Error| {
        Failed::new(
            format!("cannot read {name}: {error}"),
            "name a file of lines user@domain,password, or -",
        )
    };
    let (mut input, size): (Box<dyn BufRead>, Option<u64>) = if from_stdin {
        (Box::new(stdin().lock()), None)
    } else {
        let file = File::open(path).map_err(cannot_read)?;
        let size = file
            .metadata()
            .ok()
            .map(|file| file.len())
            .filter(|&size| size > 0);
        (Box::new(BufReader::new(file)), size)
    };
    let users = open()?;
    let mut total = Import::default();
    let mut progress = Progress::new(size);
    let (mut lines, mut bytes) = (0, 0);
    let at_once = users.lines_at_once();
    let mut piece = Vec::new();
    loop {
        piece.clear();
        let mut count = 0;
        while count < at_once && input.read_until(b'\n', &mut piece).map_err(cannot_read)? > 0 {
            count += 1;
        }
        if count == 0 {
            break;
        }
        let mut done = users.import(&piece).inspect_err(|_| progress.end())?;
        done.failed.iter_mut().for_each(|failed| failed.line += lines);
        total.add(done);
        lines += count;
        bytes += piece.len() as u64;
        progress.tell(lines, bytes);
    }
    progress.end();
    told(&name, &total)
}

fn told(name: &str, total: &Import) -> Result<(), Failed> {
    for failed in &total.failed {
        eprintln!("{name}:{}: {}", failed.line, failed.error);
    }
    let untold = total.failures.saturating_sub(total.failed.len() as u64);
    if untold > 0 {
        eprintln!("... and {untold} more");
    }
    writeln!(
        stdout(),
        "added {}, changed {}, not taken {}",
        total.added,
        total.changed,
        total.failures
    )?;
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
    told: Instant,
    shown: bool,
}

impl Progress {
    fn new(size: Option<u64>) -> Self {
        Self {
            size,
            on_terminal: stderr().is_terminal(),
            told: Instant::now(),
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
        let part = self.size.map_or_else(String::new, |size| {
            format!(" ({}%)", (bytes * 100 / size).min(100))
        });
        if self.on_terminal {
            eprint!("\r{lines} lines{part} ");
        } else {
            eprintln!("{lines} lines{part}");
        }
    }

    fn end(&self) {
        if self.on_terminal && self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
