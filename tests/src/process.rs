//! A program under test or beside it: its output is kept, and it never outlives its test.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{self, Pid};

use crate::wait;

/// How long a program that was killed may take to be gone.
const END: Duration = Duration::from_secs(10);

/// A signal that tests send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End in good order.
    Term,
    /// Reload.
    Hup,
    /// End at once.
    Kill,
    /// Stop running for a while.
    Stop,
    /// Go on.
    Continue,
}

impl Signal {
    fn of_the_system(self) -> process::Signal {
        match self {
            Self::Term => process::Signal::TERM,
            Self::Hup => process::Signal::HUP,
            Self::Kill => process::Signal::KILL,
            Self::Stop => process::Signal::STOP,
            Self::Continue => process::Signal::CONT,
        }
    }
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a program that is ended after `limit` at the latest, however it behaves.
    #[track_caller]
    pub fn client(
        limit: Duration,
        program: &str,
        arguments: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let seconds = limit.as_secs().max(1).to_string();
        let mut words = vec![
            "timeout",
            "--kill-after=2",
            &seconds,
            "setpriv",
            "--pdeathsig",
            "KILL",
            program,
        ];
        words.extend(arguments);
        Self::start(program, &words, prepare)
    }

    /// Starts a program that ends with its test.
    #[track_caller]
    pub fn server(program: &str, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut words = vec![program];
        words.extend(arguments);
        Self::start(program, &words, prepare)
    }

    #[track_caller]
    fn start(name: &str, words: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        // The kernel ends it even if the test process is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(words).process_group(0);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv of util-linux, which starts {name}: {error}"));
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let stdin = child.stdin.take();
        Self {
            name: name.to_owned(),
            child,
            stdin,
            stdout,
            stderr,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed on standard output.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has printed on standard error.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Both, for messages of failing tests.
    pub fn output(&self) -> String {
        let mut text = String::new();
        for (name, output) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
            let from = output.len().saturating_sub(20_000);
            let tail = (from..output.len())
                .find_map(|at| output.get(at..))
                .unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "--- {} {name}\n{tail}", self.name);
        }
        text
    }

    /// Types a line.
    #[track_caller]
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .expect("the program reads its standard input");
    }

    /// Waits until it ends by itself, and until all that it has printed is here.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let status = wait::until(limit, || self.child.try_wait().expect("our own child"))?;
        // Each reader holds its output until the stream ends; a child of the program may keep that open.
        let read = || Arc::strong_count(&self.stdout) == 1 && Arc::strong_count(&self.stderr) == 1;
        wait::until_true(Duration::from_secs(2), read);
        Some(status)
    }

    /// Sends a signal to it and to what it started.
    pub fn signal(&self, signal: Signal) {
        match process::kill_process_group(Pid::from_child(&self.child), signal.of_the_system()) {
            // It may have ended in the meantime.
            Ok(()) | Err(Errno::SRCH) => {}
            // Not a panic: this is also how a test that fails is cleaned up.
            Err(error) => eprintln!("{signal:?} to {}: {error}", self.name),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.output());
        }
        self.signal(Signal::Kill);
        if wait::until(END, || self.child.try_wait().ok().flatten()).is_none() {
            eprintln!("{} does not end, whatever is done to it", self.name);
        }
    }
}

fn collect(stream: Option<impl Read + Send + 'static>) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    if let Some(stream) = stream {
        let kept = Arc::clone(&kept);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                // Enough for every test, and bounded when a program runs wild.
                if kept.len() < 16 << 20 {
                    kept.push_str(&String::from_utf8_lossy(&line));
                }
                line.clear();
            }
        });
    }
    kept
}

/// Runs a program to its end.
#[track_caller]
pub fn run(limit: Duration, program: &str, arguments: &[&str]) -> Ended {
    run_with(limit, program, arguments, |_| {})
}

/// Runs a program to its end, prepared by the caller.
#[track_caller]
pub fn run_with(
    limit: Duration,
    program: &str,
    arguments: &[&str],
    prepare: impl FnOnce(&mut Command),
) -> Ended {
    let mut process = Process::client(limit, program, arguments, prepare);
    drop(process.stdin.take());
    let status = process.wait(limit + Duration::from_secs(5));
    let code = status.and_then(|status| status.code());
    Ended {
        code,
        stdout: process.stdout(),
        stderr: process.stderr(),
    }
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Ended {
    /// True when it said that all went well.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a process runs; one that nobody has reaped yet does not.
    fn runs(id: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.contains("State:") && !status.contains("State:\tZ")
    }

    #[test]
    fn a_program_that_is_dropped_is_gone_with_what_it_started() {
        let program = Process::server("sh", &["-c", "sleep 1000 & echo $!; wait"], |_| {});
        let started = wait::until(Duration::from_secs(10), || {
            Some(program.stdout().trim().to_owned()).filter(|id| !id.is_empty())
        });
        let ids = [program.id().to_string(), started.expect("it started another")];
        assert!(ids.iter().all(|id| runs(id)));
        drop(program);
        let gone = || !ids.iter().any(|id| runs(id));
        assert!(wait::until_true(Duration::from_secs(10), gone), "{ids:?}");
    }

    #[test]
    #[should_panic(expected = "setpriv of util-linux")]
    fn what_is_missing_to_start_a_program_is_named() {
        Process::server("true", &[], |command| {
            command.env("PATH", "/nowhere");
        });
    }
}
