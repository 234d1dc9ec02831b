//! PJSIP through its Python binding, driven by typed commands to a small script.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Process;
use crate::{Account, Scratch, tone, wait};

/// A running PJSIP.
#[derive(Debug)]
pub struct Pjsua {
    process: Process,
    scratch: Scratch,
}

impl Pjsua {
    /// Starts one that answers calls by itself, and waits until it is registered.
    pub fn registered(account: &Account<'_>) -> Self {
        let scratch = Scratch::new();
        tone::write(&scratch.join("tone.wav"), account.tone, 30);
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("pjsua/phone.py")
            .to_string_lossy()
            .into_owned();
        let server = account.server.to_string();
        let arguments = [
            &script,
            account.user,
            account.domain,
            account.password.unwrap_or_default(),
            &server,
            account.transport,
            &account.local.to_string(),
            "tone.wav",
            "heard.wav",
        ];
        let program = python().to_string_lossy().into_owned();
        let process = Process::client(Duration::from_secs(60), &program, &arguments, |command| {
            command.current_dir(scratch.path());
        });
        let pjsua = Self { process, scratch };
        pjsua.expect("registered 200");
        pjsua
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

    /// Waits until it prints a line that begins so.
    #[track_caller]
    pub fn expect(&self, line: &str) {
        let said = || {
            self.process
                .stdout()
                .lines()
                .any(|printed| printed.starts_with(line))
        };
        let limit = Duration::from_secs(12);
        assert!(
            wait::until_true(limit, said),
            "pjsua does not say {line}:\n{}",
            self.process.output()
        );
    }

    /// True when it has heard this tone; to be asked after the call has ended.
    pub fn heard(&self, frequency: f64) -> bool {
        tone::heard(&self.scratch.join("heard.wav"), frequency)
    }
}

/// The Python that has the phones of the Python index.
pub(crate) fn python() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pjsua2/bin/python3");
    let python = std::env::var_os("STROWGER_PJSUA_PYTHON").map_or_else(built, PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: cargo xtask test makes it",
        python.display()
    );
    python
}
