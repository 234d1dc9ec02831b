//! The servers that are measured: how they are started, what they take of memory, how they end.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a server is started: its program with arguments.
pub(super) struct Start {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) log: PathBuf,
}

/// A server that runs. It is killed when it goes out of sight.
pub(super) struct Server {
    child: Child,
}

impl Start {
    pub(super) fn run(&self) -> io::Result<Server> {
        let log = fs::File::create(&self.log)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Server { child })
    }
}

impl Server {
    /// What it takes of memory, its processes together, each page counted once (PSS), in bytes.
    pub(super) fn memory(&self) -> u64 {
        let family = family(self.child.id());
        family.iter().map(|&process| proportional(process)).sum()
    }

    /// Asks it to end, and waits until it has; one that takes too long is killed.
    pub(super) fn end(mut self) -> io::Result<()> {
        let number = self.child.id().to_string();
        Command::new("kill").arg(number).status()?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && self.child.try_wait()?.is_none() {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            for process in family(self.child.id()) {
                let _ = Command::new("kill")
                    .args(["-9", &process.to_string()])
                    .stderr(Stdio::null())
                    .status();
            }
            let _ = self.child.wait();
        }
    }
}

/// A process and those that it has started.
fn family(head: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((process, parent(process)?))
        })
        .collect();
    let mut family = vec![head];
    let mut at = 0;
    while let Some(&process) = family.get(at) {
        let children = parents.iter().filter(|(_, parent)| *parent == process);
        family.extend(children.map(|&(child, _)| child));
        at += 1;
    }
    family
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before may have spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

fn proportional(process: u32) -> u64 {
    let Ok(text) = fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else {
        return 0;
    };
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

/// A UDP port that nobody has.
pub(super) fn free_port() -> io::Result<SocketAddr> {
    std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// An empty folder of this name.
pub(super) fn folder(place: &Path, name: &str) -> io::Result<PathBuf> {
    let folder = place.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_memory_and_has_a_parent() {
        let me = std::process::id();
        assert!(proportional(me) > 100_000);
        assert_eq!(parent(me), Some(std::os::unix::process::parent_id()));
        assert!(family(std::os::unix::process::parent_id()).contains(&me));
    }
}
