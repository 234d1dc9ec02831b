//! baresip as it is today through its Python binding, driven by typed commands to a small script: it registers by a flow
//! and asks for GRUUs.

use std::path::Path;
use std::time::Duration;

use crate::pjsua::python;
use crate::process::Process;
use crate::{Account, wait};

/// A running baresip of today.
#[derive(Debug)]
pub struct BaresipPython {
    process: Process,
}

impl BaresipPython {
    /// Starts one of this instance that answers calls by itself, and waits until it is registered.
    #[track_caller]
    pub fn registered(account: &Account<'_>, instance: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("baresip_python/phone.py")
            .to_string_lossy()
            .into_owned();
        let server = account.server.to_string();
        let arguments = [
            &script,
            account.user,
            account.domain,
            account.password.unwrap_or("none"),
            &server,
            account.transport,
            instance,
        ];
        let program = python().to_string_lossy().into_owned();
        let process = Process::client(Duration::from_secs(60), &program, &arguments, |_| {});
        let phone = Self { process };
        phone.expect("registered", 1);
        phone
    }

    /// Calls someone.
    pub fn dial(&mut self, uri: &str) {
        self.process.type_line(&format!("dial {uri}"));
    }

    /// Ends the call.
    #[track_caller]
    pub fn hang_up(&mut self) {
        self.process.type_line("hangup");
    }

    /// Waits until it has printed a line so many times.
    #[track_caller]
    pub fn expect(&self, line: &str, times: usize) {
        let said = || {
            self.process
                .stdout()
                .lines()
                .filter(|&printed| printed == line)
                .count()
                >= times
        };
        assert!(
            wait::until_true(Duration::from_secs(12), said),
            "baresip does not say {line}:\n{}",
            self.process.output()
        );
    }
}
