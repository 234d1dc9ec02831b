//! What goes wrong with a disk and its files, done to a server's own.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(20);

/// Takes all room that the disk of a folder has; returns the file that does.
#[track_caller]
pub fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("fill");
    let mut file = File::create(&path).expect("a file");
    let mut size = 1 << 16;
    while size > 0 {
        if file.write_all(&vec![1; size]).is_err() {
            size /= 2;
        }
    }
    path
}

/// Runs python3 with a lock on a database, taken by this statement; it is gone when the process is.
#[track_caller]
pub fn lock(database: &Path, begin: &str) -> Process {
    let code = format!(
        "import sqlite3, time\nc = sqlite3.connect({:?}, isolation_level=None)\nc.execute({begin:?})\nprint('locked', flush=True)\ntime.sleep(100)\n",
        database.to_string_lossy()
    );
    let process = Process::server("python3", &["-c", &code], |_| {});
    let locked = wait::until_true(PATIENCE, || process.stdout().contains("locked"));
    assert!(locked, "{}", process.output());
    process
}

/// Files that nobody may write as long as this lives.
#[derive(Debug)]
pub struct Immutable(Vec<PathBuf>);

impl Immutable {
    /// Makes them so.
    #[track_caller]
    pub fn make(paths: Vec<PathBuf>) -> Self {
        let ended = Command::new("chattr").arg("+i").args(&paths).output();
        let ended = ended.expect("chattr of e2fsprogs is there");
        let made = Self(paths);
        assert!(
            ended.status.success(),
            "needs root with CAP_LINUX_IMMUTABLE and a TMPDIR whose file system knows it: {ended:?}"
        );
        made
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").args(&self.0).output();
    }
}

/// Has the kernel answer system calls of a process with an error as long as this lives.
#[track_caller]
pub fn inject(process: &Process, calls: &str, error: &str) -> Process {
    let id = process.id().to_string();
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error={error}"));
    let words = [
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &inject,
        "-p",
        &id,
    ];
    let tracer = Process::server("strace", &words, |_| {});
    let traced = || {
        let tasks = fs::read_dir(format!("/proc/{id}/task")).ok()?;
        let all = tasks.flatten().all(|task| {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        });
        all.then_some(())
    };
    let traced = wait::until(PATIENCE, traced).is_some();
    assert!(traced, "needs the right to trace a process: {}", tracer.output());
    tracer
}
