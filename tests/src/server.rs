//! The server under test: the built program, with a configuration and a data folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::process::{self, Ended, Process, Signal};
use crate::{Scratch, http, ports, wait};

/// The domain that tests use.
pub const DOMAIN: &str = "strowger.test";

const START: Duration = Duration::from_secs(15);

/// The program: `STROWGER_BIN`, or the release build.
#[track_caller]
pub fn program() -> PathBuf {
    let built = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        target.join("release/strowger")
    };
    let program = std::env::var_os("STROWGER_BIN").map_or_else(built, PathBuf::from);
    assert!(
        program.is_file(),
        "{} is missing: cargo build --release --package strowger, or cargo xtask test",
        program.display()
    );
    program
}

/// Runs the program to its end.
#[track_caller]
pub fn strowger(arguments: &[&str]) -> Ended {
    let program = program();
    process::run(Duration::from_secs(30), &program.to_string_lossy(), arguments)
}

/// How a server shall be.
#[derive(Debug)]
pub struct Setup {
    domains: Vec<String>,
    methods: Vec<String>,
    algorithms: Vec<String>,
    users: Vec<(String, String)>,
    listen: Vec<String>,
    port: u16,
    sections: String,
    top: String,
    environment: Vec<(String, String)>,
    data: Option<PathBuf>,
}

impl Setup {
    /// One domain, UDP and TCP on a free port of 127.0.0.1, nobody challenged.
    pub fn new() -> Self {
        let port = ports::free();
        Self {
            domains: vec![DOMAIN.to_owned()],
            methods: Vec::new(),
            algorithms: vec!["MD5".to_owned()],
            users: Vec::new(),
            listen: vec![format!("udp:127.0.0.1:{port}"), format!("tcp:127.0.0.1:{port}")],
            port,
            sections: String::new(),
            top: String::new(),
            environment: Vec::new(),
            data: None,
        }
    }

    /// The same with REGISTER and INVITE challenged.
    pub fn with_digest() -> Self {
        let mut setup = Self::new();
        setup.methods = vec!["REGISTER".to_owned(), "INVITE".to_owned()];
        setup
    }

    /// The methods that are challenged.
    #[must_use]
    pub fn challenge(mut self, methods: &[&str]) -> Self {
        self.methods = methods.iter().map(|&method| method.to_owned()).collect();
        self
    }

    /// Other domains.
    #[must_use]
    pub fn domains(mut self, domains: &[&str]) -> Self {
        self.domains = domains.iter().map(|&domain| domain.to_owned()).collect();
        self
    }

    /// Other algorithms.
    #[must_use]
    pub fn algorithms(mut self, algorithms: &[&str]) -> Self {
        self.algorithms = algorithms.iter().map(|&algorithm| algorithm.to_owned()).collect();
        self
    }

    /// A subscriber, `alice` or `alice@domain`.
    #[must_use]
    pub fn user(mut self, user: &str, password: &str) -> Self {
        let user = if user.contains('@') {
            user.to_owned()
        } else {
            format!("{user}@{DOMAIN}")
        };
        self.users.push((user, password.to_owned()));
        self
    }

    /// One more listener.
    #[must_use]
    pub fn listen(mut self, uri: &str) -> Self {
        self.listen.push(uri.to_owned());
        self
    }

    /// Keys before the first table: `trusted = [...]`.
    #[must_use]
    pub fn top(mut self, toml: &str) -> Self {
        self.top += toml;
        self.top += "\n";
        self
    }

    /// Further tables: `[proxy]` and what follows.
    #[must_use]
    pub fn toml(mut self, toml: &str) -> Self {
        self.sections += toml;
        self.sections += "\n";
        self
    }

    /// A variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without outbound (RFC 5626).
    #[must_use]
    pub fn without_outbound(mut self) -> Self {
        let key = "[location]\noutbound = false\n";
        if self.sections.contains("[location]\n") {
            self.sections = self.sections.replace("[location]\n", key);
        } else {
            self.sections += key;
        }
        self
    }

    /// A data folder that is there, or is to be made, instead of one of its own.
    #[must_use]
    pub fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_owned());
        self
    }

    /// The port of UDP and TCP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The configuration file's text.
    pub fn text(&self, data: &Path, admin: u16) -> String {
        let quoted = |words: &[String]| {
            words
                .iter()
                .map(|word| format!("{word:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut text = format!(
            "domains = [{}]\ndata_dir = {:?}\nshards = 2\n",
            quoted(&self.domains),
            data
        );
        text += &self.top;
        for uri in &self.listen {
            text += &format!("[[listen]]\nuri = {uri:?}\n");
        }
        text += &format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n");
        text += &format!("[auth]\nmethods = [{}]\n", quoted(&self.methods));
        text += &format!("algorithms = [{}]\n", quoted(&self.algorithms));
        text + &self.sections
    }

    /// Adds the users, starts the server and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Server {
        let scratch = Scratch::new();
        let data = self.data.clone().unwrap_or_else(|| scratch.join("data"));
        let admin = ports::free();
        let config = scratch.write("strowger.toml", self.text(&data, admin));
        if !self.users.is_empty() {
            let lines: String = self
                .users
                .iter()
                .map(|(user, password)| format!("{user},{password}\n"))
                .collect();
            let file = scratch.write("users.csv", lines);
            let arguments = [
                "user",
                "import",
                &file.to_string_lossy(),
                "--data-dir",
                &data.to_string_lossy(),
            ];
            let ended = strowger(&arguments);
            assert!(ended.succeeded(), "user import: {ended:?}");
        }
        let sip = SocketAddr::from(([127, 0, 0, 1], self.port));
        Server::start(scratch, config, data, sip, self.environment)
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Process,
    scratch: Scratch,
    config: PathBuf,
    data: PathBuf,
    sip: SocketAddr,
    environment: Vec<(String, String)>,
}

impl Server {
    #[track_caller]
    fn start(
        scratch: Scratch,
        config: PathBuf,
        data: PathBuf,
        sip: SocketAddr,
        environment: Vec<(String, String)>,
    ) -> Self {
        let process = serve_with(
            &["--config", &config.to_string_lossy()],
            scratch.path(),
            &environment,
        );
        let server = Self {
            process,
            scratch,
            config,
            data,
            sip,
            environment,
        };
        server.await_ready();
        server
    }

    #[track_caller]
    fn await_ready(&self) {
        let line = wait::until(START, || ready_line(&self.process));
        assert!(line.is_some(), "no ready line:\n{}", self.process.output());
    }

    /// Where it listens by UDP and TCP.
    pub fn sip(&self) -> SocketAddr {
        self.sip
    }

    /// The port of that.
    pub fn port(&self) -> u16 {
        self.sip.port()
    }

    /// `host:port` of its administration.
    #[track_caller]
    pub fn admin(&self) -> String {
        let line = ready_line(&self.process).unwrap_or_default();
        match admin_of(&line) {
            Some(address) => address,
            None => panic!("no admin address in: {line}"),
        }
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The folder that the test may use beside it.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The running program.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it with this signal and starts it again with the same configuration and data.
    #[track_caller]
    pub fn restart(&mut self, signal: Signal) {
        self.end(signal);
        self.start_again();
    }

    /// Ends it with this signal.
    #[track_caller]
    pub fn end(&mut self, signal: Signal) {
        self.process.signal(signal);
        let ended = self.process.wait(Duration::from_secs(10));
        assert!(ended.is_some(), "does not end:\n{}", self.process.output());
    }

    /// Starts it with the same configuration and data after it has ended.
    #[track_caller]
    pub fn start_again(&mut self) {
        let config = self.config.to_string_lossy();
        self.process = serve_with(&["--config", &config], self.scratch.path(), &self.environment);
        self.await_ready();
    }

    /// Ends it in good order and returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.process.signal(Signal::Term);
        self.process
            .wait(Duration::from_secs(10))
            .and_then(|status| status.code())
    }

    /// `strowger ctl` for this server.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> Ended {
        let data = self.data.to_string_lossy();
        let mut words = vec!["ctl"];
        words.extend(arguments);
        words.extend(["--data-dir", &data]);
        strowger(&words)
    }

    /// What `strowger ctl ... --json` prints.
    #[track_caller]
    pub fn ctl_json(&self, what: &str) -> Value {
        let ended = self.ctl(&[what, "--json"]);
        assert!(ended.succeeded(), "ctl {what}: {ended:?}");
        match serde_json::from_str(&ended.stdout) {
            Ok(value) => value,
            Err(error) => panic!("ctl {what}: {error}: {}", ended.stdout),
        }
    }

    /// The token of its administration.
    #[track_caller]
    pub fn token(&self) -> String {
        let text =
            std::fs::read_to_string(self.data.join("admin.token")).expect("admin.token in the data folder");
        text.trim().to_owned()
    }

    /// Its metrics, as Prometheus reads them.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let token = format!("Bearer {}", self.token());
        let answer = http::send(&self.admin(), "GET", "/metrics", &[("Authorization", &token)], "");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// One of its metrics, by its name and labels as they are written; 0 when there is none.
    pub fn metric(&self, name: &str) -> u64 {
        let metrics = self.metrics();
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .and_then(|value| value.parse::<f64>().ok())
            .unwrap_or_default() as u64
    }
}

/// Starts `strowger serve` in a folder.
#[track_caller]
pub fn serve(arguments: &[&str], folder: &Path) -> Process {
    serve_with(arguments, folder, &[])
}

#[track_caller]
fn serve_with(arguments: &[&str], folder: &Path, environment: &[(String, String)]) -> Process {
    let program = program();
    let mut words = vec!["serve"];
    words.extend(arguments);
    Process::server(&program.to_string_lossy(), &words, |command| {
        command
            .current_dir(folder)
            .envs(environment.iter().map(|(name, value)| (name, value)));
    })
}

/// The line that says that all listeners are bound.
pub fn ready_line(process: &Process) -> Option<String> {
    let output = process.stdout();
    output
        .lines()
        .find(|line| line.starts_with("strowger ready: "))
        .map(ToOwned::to_owned)
}

/// Waits for that line.
#[track_caller]
pub fn await_ready(process: &Process) -> String {
    match wait::until(START, || ready_line(process)) {
        Some(line) => line,
        None => panic!("no ready line:\n{}", process.output()),
    }
}

/// `host:port` of the administration in a ready line.
pub fn admin_of(line: &str) -> Option<String> {
    let address = line
        .split(' ')
        .find_map(|word| word.strip_prefix("admin=http://"))?;
    Some(address.trim_end_matches('/').to_owned())
}
