//! baresip, driven over its control port. It plays a tone and records what it hears.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Process;
use crate::{Account, Scratch, ports, tone, wait};

/// A running baresip.
#[derive(Debug)]
pub struct Baresip {
    process: Process,
    control: TcpStream,
    partial: Vec<u8>,
    events: Vec<Value>,
    scratch: Scratch,
}

impl Baresip {
    /// Starts one that answers calls by itself, and waits until it is registered.
    #[track_caller]
    pub fn registered(account: &Account<'_>) -> Self {
        Self::registered_with(account, "")
    }

    /// The same with more lines in its configuration.
    #[track_caller]
    pub fn registered_with(account: &Account<'_>, lines: &str) -> Self {
        Self::start(account, lines, "")
    }

    /// The same with more parameters of its account, each with its `;`.
    #[track_caller]
    pub fn registered_as(account: &Account<'_>, parameters: &str) -> Self {
        Self::start(account, "", parameters)
    }

    #[track_caller]
    fn start(account: &Account<'_>, lines: &str, parameters: &str) -> Self {
        let baresip = Self::launch(account, lines, parameters);
        let registered = || baresip.process.output().contains("registered successfully");
        let in_time = wait::until_true(Duration::from_secs(12), registered);
        assert!(
            in_time,
            "baresip does not register:\n{}",
            baresip.process.output()
        );
        baresip
    }

    /// Starts one that may not be able to register.
    #[track_caller]
    pub fn started(account: &Account<'_>) -> Self {
        Self::launch(account, "", "")
    }

    #[track_caller]
    fn launch(account: &Account<'_>, lines: &str, parameters: &str) -> Self {
        let scratch = Scratch::new();
        let port = ports::free();
        tone::write(&scratch.join("tone.wav"), account.tone, 30);
        std::fs::create_dir(scratch.join("rec")).expect("a folder for recordings");
        scratch.write("config", configuration(account, &scratch, port) + lines);
        scratch.write("accounts", address(account, parameters));
        scratch.write("contacts", "");
        let folder = scratch.path().to_string_lossy().into_owned();
        let process = Process::client(
            Duration::from_secs(60),
            "baresip",
            &["-f", &folder, "-v", "-s"],
            |_| {},
        );
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let control = wait::until(Duration::from_secs(10), || TcpStream::connect(address).ok());
        let Some(control) = control else {
            panic!("baresip does not start:\n{}", process.output());
        };
        Self {
            process,
            control,
            partial: Vec::new(),
            events: Vec::new(),
            scratch,
        }
    }

    /// Calls someone.
    #[track_caller]
    pub fn dial(&mut self, uri: &str) {
        self.command("dial", uri);
    }

    /// Ends the call.
    #[track_caller]
    pub fn hang_up(&mut self) {
        self.command("hangup", "");
    }

    /// Gives a command, as baresip's help lists them.
    #[track_caller]
    pub fn command(&mut self, command: &str, parameters: &str) {
        let text = json!({ "command": command, "params": parameters, "token": "t" }).to_string();
        let frame = format!("{}:{text},", text.len());
        self.control
            .write_all(frame.as_bytes())
            .expect("baresip takes commands");
    }

    /// Waits for an event of this type and forgets all before it.
    #[track_caller]
    pub fn expect_event(&mut self, kind: &str) -> Value {
        let end = Instant::now() + Duration::from_secs(12);
        loop {
            let found = self.events.iter().position(|event| event["type"] == kind);
            if let Some(at) = found {
                return self.events.drain(..=at).next_back().unwrap_or_default();
            }
            assert!(
                Instant::now() < end,
                "no {kind}; events: {:?}\n{}",
                self.events,
                self.process.output()
            );
            self.read();
        }
    }

    fn read(&mut self) {
        self.control
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a time limit");
        let mut buffer = [0; 8192];
        if let Ok(count) = self.control.read(&mut buffer) {
            self.partial.extend_from_slice(&buffer[..count]);
        }
        while let Some((length, rest)) = netstring(&self.partial) {
            let value: Value = serde_json::from_slice(&self.partial[rest..rest + length]).unwrap_or_default();
            self.partial.drain(..=rest + length);
            if value["event"] == true {
                self.events.push(value);
            }
        }
    }

    /// What it has printed: every SIP message among others.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// True when it has heard this tone.
    pub fn heard(&self, frequency: f64) -> bool {
        self.recordings().iter().any(|path| tone::heard(path, frequency))
    }

    fn recordings(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.scratch.join("rec")).expect("the folder for recordings");
        let paths = files.filter_map(|file| Some(file.ok()?.path()));
        paths
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect()
    }
}

fn netstring(bytes: &[u8]) -> Option<(usize, usize)> {
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    (bytes.len() > colon + 1 + length).then_some((length, colon + 1))
}

fn address(account: &Account<'_>, parameters: &str) -> String {
    let Account {
        user,
        domain,
        server,
        transport,
        ..
    } = account;
    // Without a password baresip would ask for one on its standard input.
    let password = account.password.unwrap_or("none");
    format!(
        "<sip:{user}@{domain};transport={transport}>;auth_pass={password};outbound=\"sip:{server};transport={transport}\";regint=60;\
         audio_codecs=pcma,pcmu;answermode=auto{parameters}\n"
    )
}

fn configuration(account: &Account<'_>, scratch: &Scratch, control: u16) -> String {
    let local = account.local;
    let folder = scratch.path().display();
    let modules = ["stdio", "g711", "sndfile", "aubridge", "aufile"]
        .map(|name| format!("module {name}.so\n"))
        .concat();
    let sip = ports::free();
    let rtp = ports::media(40);
    format!(
        "sip_listen {local}:{sip}\nnet_interface {local}\naudio_source aufile,{folder}/tone.wav\n\
         audio_player aubridge,player\naudio_alert aubridge,alert\nausrc_srate 8000\nauplay_srate 8000\n\
         ausrc_channels 1\nauplay_channels 1\nrtp_ports {rtp}-{}\nmodule_path {}\n{modules}\
         module_tmp uuid.so\nmodule_tmp account.so\nmodule_app contact.so\nmodule_app menu.so\n\
         module_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{control}\nsnd_path {folder}/rec\n",
        rtp + 40,
        module_folder(),
    )
}

fn module_folder() -> String {
    let places = ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules"];
    let found = places
        .into_iter()
        .find(|place| std::path::Path::new(place).is_dir());
    found
        .expect("baresip's modules: apt-get install baresip-core")
        .to_owned()
}
