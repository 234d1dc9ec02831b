//! SIPp: many calls at a steady rate, counted by SIPp itself.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::ports;
use crate::process::{Ended, Process, run_with};
use crate::server::DOMAIN;
use crate::{Scratch, wait};

/// How SIPp sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One UDP socket.
    Udp,
    /// One TCP connection.
    Tcp,
}

impl Transport {
    fn option(self) -> &'static str {
        match self {
            Self::Udp => "u1",
            Self::Tcp => "t1",
        }
    }
}

/// One run of SIPp.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The scenario's file in `tests/sipp`.
    pub scenario: &'a str,
    /// How it sends.
    pub transport: Transport,
    /// Its own address.
    pub local: SocketAddr,
    /// Where it sends to.
    pub remote: SocketAddr,
    /// Calls altogether.
    pub calls: u32,
    /// Calls in a second.
    pub rate: u32,
    /// Values for `-key`.
    pub keys: &'a [(&'a str, &'a str)],
    /// What `[authentication]` in the scenario uses.
    pub credentials: Option<(&'a str, &'a str)>,
}

/// One run at a time, or they would take the processor from each other and retransmit.
static ONE_RUN: Mutex<()> = Mutex::new(());

/// Calls from one SIPp to another one that is registered.
#[derive(Clone, Copy, Debug)]
pub struct Calls<'a> {
    /// The server.
    pub server: SocketAddr,
    /// How both send.
    pub transport: Transport,
    /// How many, 200 in a second.
    pub calls: u32,
    /// The callers' user and password when they are challenged.
    pub caller: Option<(&'a str, &'a str)>,
}

impl Calls<'_> {
    /// Registers the callee, runs all calls and returns the counts of caller and callee.
    #[track_caller]
    pub fn run(&self) -> (Counts, Counts) {
        let _one = ONE_RUN.lock().unwrap_or_else(PoisonError::into_inner);
        let address = self.server.ip();
        let local = |port| SocketAddr::new(address, port);
        let callee = local(ports::free_at(address));
        let contact = match self.transport {
            Transport::Udp => format!("sip:callee@{callee}"),
            Transport::Tcp => format!("sip:callee@{callee};transport=tcp"),
        };
        let run = |scenario, port, calls, keys| {
            let (transport, remote) = (self.transport, self.server);
            Run {
                scenario,
                transport,
                local: local(port),
                remote,
                calls,
                rate: 200,
                keys,
                credentials: self.caller,
            }
        };
        let (caller, _) = self.caller.unwrap_or(("caller", ""));
        let called = if self.caller.is_some() { caller } else { "callee" };
        let keys = [
            ("user", called),
            ("caller", caller),
            ("domain", DOMAIN),
            ("contact", &contact),
        ];
        let (register, invite) = match self.caller {
            Some(_) => ("register_digest.xml", "caller_digest.xml"),
            None => ("register.xml", "caller.xml"),
        };
        let registered = run(register, ports::free_at(address), 1, &keys).finish();
        assert_eq!(registered.successful, 1, "{registered:?}");
        let callees = run("callee.xml", callee.port(), self.calls, &keys).start();
        let callers = run(invite, ports::free_at(address), self.calls, &keys).finish();
        (callers, callees.finish())
    }

    /// That every call succeeds and nothing has to be sent twice. Something else on the machine may keep SIPp from its
    /// half second, so one run of three has to be without; a call that fails is never excused.
    #[track_caller]
    pub fn assert_clean(&self) {
        let all = Counts {
            successful: u64::from(self.calls),
            failed: 0,
            retransmissions: 0,
        };
        for last in [false, false, true] {
            let (caller, callee) = self.run();
            if (caller, callee) == (all, all) {
                return;
            }
            if last || caller.failed + callee.failed > 0 {
                assert_eq!((caller, callee), (all, all), "caller and callee");
            }
        }
    }
}

/// What SIPp counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that went as the scenario says.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
    /// Messages sent again because no answer came in time.
    pub retransmissions: u64,
}

impl Run<'_> {
    fn arguments(&self) -> Vec<String> {
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("sipp")
            .join(self.scenario);
        let mut words = vec![
            "-sf".to_owned(),
            scenario.to_string_lossy().into_owned(),
            "-t".to_owned(),
            self.transport.option().to_owned(),
            "-i".to_owned(),
            bracketed(self.local),
            "-p".to_owned(),
            self.local.port().to_string(),
            "-m".to_owned(),
            self.calls.to_string(),
            "-r".to_owned(),
            self.rate.to_string(),
        ];
        for word in [
            "-l",
            "5000",
            "-nostdin",
            "-trace_err",
            "-trace_stat",
            "-stf",
            "stat.csv",
            "-fd",
            "1",
        ] {
            words.push(word.to_owned());
        }
        for (key, value) in self.keys {
            words.extend(["-key".to_owned(), (*key).to_owned(), (*value).to_owned()]);
        }
        if let Some((user, password)) = self.credentials {
            words.extend(["-au", user, "-ap", password].map(ToOwned::to_owned));
        }
        words.push(self.remote.to_string());
        words
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.calls / self.rate.max(1)) + 40)
    }

    /// Runs it to its end; fails with SIPp's own words when it does not end well.
    #[track_caller]
    pub fn finish(&self) -> Counts {
        let scratch = Scratch::new();
        let arguments = self.arguments();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = run_with(self.limit(), "sipp", &words, |command| {
            command.current_dir(scratch.path());
        });
        let counts = counts(&scratch);
        assert!(
            ended.succeeded(),
            "sipp {} ended with {:?}, {counts:?}\n{}",
            self.scenario,
            ended.code,
            errors(&scratch, &ended)
        );
        counts
    }

    /// Starts it in the background: the side that is called.
    #[track_caller]
    pub fn start(&self) -> Callee {
        let scratch = Scratch::new();
        let arguments = self.arguments();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = Process::client(self.limit(), "sipp", &words, |command| {
            command.current_dir(scratch.path());
        });
        let (local, transport) = (self.local, self.transport);
        assert!(
            wait::until_true(Duration::from_secs(10), || is_bound(local, transport)),
            "sipp does not listen on {local}:\n{}",
            process.output()
        );
        Callee {
            process,
            scratch,
            limit: self.limit(),
        }
    }
}

/// SIPp in the background.
#[derive(Debug)]
pub struct Callee {
    process: Process,
    scratch: Scratch,
    limit: Duration,
}

impl Callee {
    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Counts {
        let status = self.process.wait(self.limit);
        let counts = counts(&self.scratch);
        let code = status.and_then(|status| status.code());
        assert_eq!(
            code,
            Some(0),
            "the called sipp: {counts:?}\n{}",
            self.process.output()
        );
        counts
    }
}

fn bracketed(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

/// True when somebody has this port.
fn is_bound(address: SocketAddr, transport: Transport) -> bool {
    match transport {
        Transport::Udp => std::net::UdpSocket::bind(address).is_err(),
        Transport::Tcp => std::net::TcpListener::bind(address).is_err(),
    }
}

/// The last line of SIPp's statistics.
fn counts(scratch: &Scratch) -> Counts {
    let text = std::fs::read_to_string(scratch.join("stat.csv")).unwrap_or_default();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(';').collect();
    let last: Vec<&str> = lines.next_back().unwrap_or_default().split(';').collect();
    let count = |name: &str| {
        let at = names.iter().position(|known| *known == name);
        at.and_then(|at| last.get(at)?.trim().parse().ok())
            .unwrap_or_default()
    };
    Counts {
        successful: count("SuccessfulCall(C)"),
        failed: count("FailedCall(C)"),
        retransmissions: count("Retransmissions(C)"),
    }
}

fn errors(scratch: &Scratch, ended: &Ended) -> String {
    let files = std::fs::read_dir(scratch.path()).into_iter().flatten().flatten();
    let errors = files.filter(|file| file.file_name().to_string_lossy().ends_with("_errors.log"));
    let text: String = errors
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .collect();
    let shown: String = text.chars().take(4000).collect();
    let screen: String = ended
        .stdout
        .chars()
        .rev()
        .take(2500)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    format!("{shown}\n{}\n{screen}", ended.stderr)
}
