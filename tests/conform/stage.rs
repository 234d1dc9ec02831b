//! A server, and SIPp around it.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::process::{Process, run_with};
use system_tests::{Peer, Scratch, Server, Setup, ports, wait};

/// What some scenarios play, in the folder that SIPp runs in: silence.
const AUDIO: &str = "beep_1sec_50x160b.alaw";

/// How long one SIPp may take.
const LIMIT: Duration = Duration::from_secs(40);

/// What a case is played on.
pub(crate) struct Stage {
    folder: PathBuf,
    pub(crate) server: Server,
    called: Vec<Sipp>,
}

/// How a SIPp shall be.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    scenario: String,
    /// What is put in place of what in it.
    adapted: Vec<(String, String)>,
    host: &'static str,
    port: u16,
    words: Vec<String>,
    remote: SocketAddr,
    /// Where it sends to when that is not `remote`.
    proxy: Option<SocketAddr>,
    tcp: bool,
}

/// SIPp in the background.
struct Sipp {
    scenario: String,
    process: Process,
    scratch: Scratch,
}

pub(crate) type Played = Result<(), String>;

impl Play {
    /// Another word of the command line.
    pub(crate) fn with(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// With something in place of something that stands in the scenario.
    pub(crate) fn adapted(mut self, from: &str, to: &str) -> Self {
        self.adapted.push((from.to_owned(), to.to_owned()));
        self
    }

    /// At this port.
    pub(crate) fn at(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// By TCP.
    pub(crate) fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// At this address of this machine.
    pub(crate) fn on(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// To somebody else, through the server.
    pub(crate) fn to(mut self, port: u16) -> Self {
        self.proxy = Some(self.remote);
        self.remote = SocketAddr::from(([127, 0, 0, 1], port));
        self
    }

    fn arguments(&self, folder: &Path, scratch: &Scratch) -> Result<Vec<String>, String> {
        let scenario = match self.scenario.strip_prefix("builtin ") {
            Some(name) => ["-sn".to_owned(), name.to_owned()],
            None => {
                let file = self.file(folder.join(&self.scenario), scratch)?;
                ["-sf".to_owned(), file.to_string_lossy().into_owned()]
            }
        };
        let mut words = scenario.to_vec();
        let transport: &[&str] = if self.tcp {
            &["-t", "tn", "-max_socket", "16"]
        } else {
            &["-t", "u1"]
        };
        let common = "-m 1 -nostdin -trace_err -timeout 35 -timeout_error -key custom_media_port 6000";
        words.extend(
            transport
                .iter()
                .copied()
                .chain(common.split(' '))
                .map(str::to_owned),
        );
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.to_owned(),
        };
        words.extend([
            "-i".to_owned(),
            host.clone(),
            "-mi".to_owned(),
            host,
            "-p".to_owned(),
        ]);
        words.push(self.port.to_string());
        if let Some(proxy) = self.proxy {
            words.extend(["-rsa".to_owned(), proxy.to_string()]);
        }
        words.extend(self.words.iter().cloned());
        // The called side only needs an address of the same kind.
        words.push(match self.host.contains(':') {
            true => "[::1]".to_owned(),
            false => self.remote.to_string(),
        });
        Ok(words)
    }

    /// The scenario's file; where it is adapted, a copy that is gone with its run.
    fn file(&self, file: PathBuf, scratch: &Scratch) -> Result<PathBuf, String> {
        if self.adapted.is_empty() {
            return Ok(file);
        }
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut text = text.replace("\r\n", "\n");
        for (from, to) in &self.adapted {
            if !text.contains(from.as_str()) {
                return Err(format!("{} has no `{from}`", self.scenario));
            }
            text = text.replace(from, to);
        }
        Ok(scratch.write("scenario.xml", text))
    }
}

impl Stage {
    /// A server of this setup.
    pub(crate) fn new(folder: &Path, setup: Setup) -> Self {
        Self {
            folder: folder.canonicalize().expect("the folder was read before"),
            server: setup.start(),
            called: Vec::new(),
        }
    }

    /// SIPp with a scenario, that sends to the server.
    pub(crate) fn sipp(&self, scenario: &str) -> Play {
        Play {
            scenario: scenario.to_owned(),
            adapted: Vec::new(),
            host: "127.0.0.1",
            port: ports::free(),
            words: Vec::new(),
            remote: self.server.sip(),
            proxy: None,
            tcp: false,
        }
    }

    /// A folder to run SIPp in.
    fn scratch() -> Scratch {
        let scratch = Scratch::new();
        scratch.write(AUDIO, [0xd5; 8000]);
        scratch
    }

    /// Starts the called side; where it is.
    pub(crate) fn called(&mut self, play: &Play) -> Result<u16, String> {
        let scratch = Self::scratch();
        let arguments = play.arguments(&self.folder, &scratch)?;
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = Process::client(LIMIT, "sipp", &words, |command| {
            command.current_dir(scratch.path());
        });
        let address = SocketAddr::new(play.host.parse().expect("an address"), play.port);
        let is_bound = || match play.tcp {
            true => TcpListener::bind(address).is_err(),
            false => UdpSocket::bind(address).is_err(),
        };
        if !wait::until_true(Duration::from_secs(10), is_bound) {
            return Err(format!("{} does not listen: {}", play.scenario, process.output()));
        }
        self.called.push(Sipp {
            scenario: play.scenario.clone(),
            process,
            scratch,
        });
        Ok(play.port)
    }

    /// Plays the calling side to its end.
    pub(crate) fn calls(&self, play: &Play) -> Played {
        let scratch = Self::scratch();
        let arguments = play.arguments(&self.folder, &scratch)?;
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = run_with(LIMIT, "sipp", &words, |command| {
            command.current_dir(scratch.path());
        });
        let judged = judged(&play.scenario, ended.code, &scratch, &ended.stderr);
        judged.map_err(|what| {
            let called = self
                .called
                .iter()
                .map(|sipp| said(&sipp.scratch, &sipp.process.stderr()));
            let called: Vec<_> = called.filter(|said| !said.is_empty()).collect();
            format!("{what}; the called side: {}", called.join("; "))
        })
    }

    /// Binds a user to a port of this machine.
    pub(crate) fn bind(&self, user: &str, port: u16) {
        let phone = Peer::udp(self.server.sip());
        let contact = format!("<sip:{user}@127.0.0.1:{port}>");
        let register = phone
            .register(&format!("sip:{user}@127.0.0.1"), 600)
            .set("Contact", contact);
        let answer = phone.exchange(&register);
        assert_eq!(answer.status(), Some(200), "{answer:?}");
    }

    /// A phone of a user that refuses the first call with this code.
    pub(crate) fn refuses(&self, user: &str, code: u16) {
        let phone = Peer::udp(self.server.sip());
        self.bind(user, phone.address().port());
        std::thread::spawn(move || {
            let invite = phone.expect_request("INVITE");
            let refusal = phone.answer(&invite, code, "No");
            phone.send(&refusal);
            phone.expect_request("ACK");
        });
    }

    /// A phone of a user that answers the first request of this method with 200.
    pub(crate) fn takes(&self, user: &str, method: &'static str) {
        let phone = Peer::udp(self.server.sip());
        self.bind(user, phone.address().port());
        std::thread::spawn(move || {
            let request = phone.expect_request(method);
            phone.send(&phone.answer(&request, 200, "OK"));
        });
    }

    /// How many contacts the server has.
    pub(crate) fn contacts(&self) -> usize {
        let registrations = self.server.ctl_json("registrations");
        registrations.to_string().matches("\"contact\"").count()
    }

    /// That the server has so many contacts, now or in a few seconds.
    pub(crate) fn await_contacts(&self, count: usize, limit: Duration) -> Played {
        if wait::until_true(limit, || self.contacts() == count) {
            return Ok(());
        }
        Err(format!("{} contacts instead of {count}", self.contacts()))
    }

    /// Waits for the called sides.
    pub(crate) fn all_end(&mut self) -> Played {
        for mut sipp in self.called.drain(..) {
            let status = sipp.process.wait(LIMIT);
            let code = status.and_then(|status| status.code());
            judged(&sipp.scenario, code, &sipp.scratch, &sipp.process.stderr())?;
        }
        Ok(())
    }

    /// Waits for the called sides; the server must still be there.
    pub(crate) fn close(mut self) -> Played {
        self.all_end()?;
        let phone = Peer::udp(self.server.sip());
        let aor = "sip:127.0.0.1";
        let options = phone.request("OPTIONS", aor, "sip:last@127.0.0.1", aor);
        match phone.exchange(&options).status() {
            Some(200) => Ok(()),
            code => Err(format!("in the end OPTIONS is answered with {code:?}")),
        }
    }
}

/// What SIPp says of its call.
fn judged(scenario: &str, code: Option<i32>, scratch: &Scratch, stderr: &str) -> Played {
    if code == Some(0) {
        return Ok(());
    }
    Err(format!(
        "{scenario} ended with {code:?}: {}",
        said(scratch, stderr)
    ))
}

/// What SIPp has to say.
fn said(scratch: &Scratch, stderr: &str) -> String {
    let files = std::fs::read_dir(scratch.path()).into_iter().flatten().flatten();
    let errors = files.filter(|file| file.file_name().to_string_lossy().ends_with("_errors.log"));
    let text: String = errors
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .collect();
    let said = if text.trim().is_empty() { stderr } else { &text };
    let said: String = said.chars().take(1000).collect();
    said.trim().to_owned()
}
