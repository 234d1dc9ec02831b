//! The scanners that every public SIP server is visited by: svmap looks for servers, svwar for users, svcrack for passwords.

use std::net::SocketAddr;
use std::time::Duration;

use crate::process::run_with;
use crate::{Scratch, ports};

/// What a scanner says it found: the lines of its table, without the frame, and what it says about them.
pub fn scan(program: &str, server: SocketAddr, arguments: &[&str]) -> Vec<String> {
    let scratch = Scratch::new();
    let (port, local) = (server.port().to_string(), ports::free().to_string());
    let mut words = vec!["-p", &port, "-P", &local];
    words.extend(arguments);
    let host = server.ip().to_string();
    words.push(&host);
    let ended = run_with(Duration::from_secs(240), program, &words, |command| {
        // It keeps its sessions in the home folder.
        command.current_dir(scratch.path()).env("HOME", scratch.path());
    });
    assert!(ended.code.is_some(), "{program}: {ended:?}");
    let found = ended.stdout.lines().filter(|line| line.starts_with("| "));
    found.skip(1).map(ToOwned::to_owned).collect()
}
