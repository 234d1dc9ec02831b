//! sippy's back-to-back user agent as a neighbour.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::Process;
use crate::{Peer, Scratch, wait};

/// A running b2bua, which sends all calls to one next hop.
#[derive(Debug)]
pub struct Sippy {
    _process: Process,
    _scratch: Scratch,
}

impl Sippy {
    /// Listens at this address by UDP.
    #[track_caller]
    pub fn start(listen: SocketAddr, next: SocketAddr) -> Self {
        let scratch = Scratch::new();
        let (host, port) = (listen.ip().to_string(), listen.port().to_string());
        let next = next.to_string();
        let program = program();
        let words = ["-f", "-l", &host, "-p", &port, "-n", &next];
        let process = Process::server(&program.to_string_lossy(), &words, |command| {
            command.current_dir(scratch.path());
        });
        // It binds its port before it looks at it.
        let peer = Peer::udp(listen);
        let uri = format!("sip:{listen}");
        let answers = || {
            peer.send(&peer.request("OPTIONS", &uri, "sip:test@127.0.0.1", &uri));
            peer.receive(Duration::from_millis(300)).is_some()
        };
        let ready = wait::until_true(Duration::from_secs(30), answers);
        assert!(
            ready,
            "{} does not start:\n{}",
            program.display(),
            process.output()
        );
        Self {
            _process: process,
            _scratch: scratch,
        }
    }
}

/// Beside the Python that has pjsua2 (`STROWGER_PJSUA_PYTHON`), or on the path.
fn program() -> PathBuf {
    let python = std::env::var_os("STROWGER_PJSUA_PYTHON").map(PathBuf::from);
    python.map_or_else(
        || PathBuf::from("b2bua_simple"),
        |python| python.with_file_name("b2bua_simple"),
    )
}
