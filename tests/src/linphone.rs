//! linphonec, driven by typed commands. It plays a WAV file and records into another.

use std::path::PathBuf;
use std::time::Duration;

use crate::process::Process;
use crate::{Account, Scratch, ports, tone, wait};

/// A running linphonec.
#[derive(Debug)]
pub struct Linphone {
    process: Process,
    scratch: Scratch,
}

impl Linphone {
    /// Starts one that answers calls by itself, and waits until it is registered.
    #[track_caller]
    pub fn registered(account: &Account<'_>) -> Self {
        let scratch = Scratch::new();
        tone::write(&scratch.join("tone.wav"), account.tone, 30);
        std::fs::create_dir_all(scratch.join(".local/share/linphone")).expect("its own folder");
        let configuration = scratch.write("rc", configuration(account));
        let configuration = configuration.to_string_lossy().into_owned();
        let log = scratch.join("log").to_string_lossy().into_owned();
        let arguments = ["-c", &configuration, "-a", "-d", "6", "-l", &log];
        let process = Process::client(Duration::from_secs(60), "linphonec", &arguments, |command| {
            command.env("HOME", scratch.path()).current_dir(scratch.path());
        });
        let mut linphone = Self { process, scratch };
        linphone.expect("LinphoneRegistrationOk");
        let (tone, heard) = (linphone.scratch.join("tone.wav"), linphone.recording());
        linphone.type_line("soundcard use files");
        linphone.type_line(&format!("play {}", tone.display()));
        linphone.type_line(&format!("record {}", heard.display()));
        linphone
    }

    /// Calls someone.
    #[track_caller]
    pub fn dial(&mut self, uri: &str) {
        self.type_line(&format!("call {uri}"));
    }

    /// Ends the call.
    #[track_caller]
    pub fn hang_up(&mut self) {
        self.type_line("terminate");
    }

    /// Types a command.
    #[track_caller]
    pub fn type_line(&mut self, line: &str) {
        self.process.type_line(line);
    }

    /// Waits until the call is answered.
    #[track_caller]
    pub fn expect_call(&self) {
        self.expect("to LinphoneCallStreamsRunning");
    }

    /// Waits until the call has ended.
    #[track_caller]
    pub fn expect_end(&self) {
        self.expect("to LinphoneCallEnd");
    }

    /// Waits until its log has this; its standard output comes too late, in blocks.
    #[track_caller]
    fn expect(&self, state: &str) {
        let log = || std::fs::read_to_string(self.scratch.join("log")).unwrap_or_default();
        let said = || log().contains(state);
        assert!(
            wait::until_true(Duration::from_secs(12), said),
            "linphonec does not reach {state}; its log:\n{}",
            log()
                .lines()
                .filter(|line| line.contains("state") || line.contains("SIP/2.0"))
                .collect::<Vec<_>>()
                .join("\n")
        );
    }

    /// True when it has heard this tone.
    pub fn heard(&self, frequency: f64) -> bool {
        let path = self.recording();
        path.exists() && tone::heard(&path, frequency)
    }

    fn recording(&self) -> PathBuf {
        self.scratch.join("heard.wav")
    }
}

fn configuration(account: &Account<'_>) -> String {
    let Account {
        user,
        domain,
        password,
        server,
        local,
        transport,
        ..
    } = account;
    let password = password.unwrap_or_default();
    let (sip, rtp) = (ports::free(), ports::media(4));
    format!(
        "[sip]\nbind_address={local}\nsip_port={sip}\nsip_tcp_port={sip}\nsip_tls_port=-1\n\
         register_only_when_network_is_up=0\nuse_info=0\nuse_rfc2833=1\nmedia_encryption=none\ndefault_proxy=0\n\
         [rtp]\naudio_rtp_port={rtp}\n[video]\nenabled=0\n\
         [proxy_0]\nreg_proxy=<sip:{server};transport={transport}>\nreg_route=<sip:{server};transport={transport};lr>\n\
         reg_identity=sip:{user}@{domain}\nreg_expires=120\nreg_sendregister=1\n\
         [auth_info_0]\nusername={user}\npasswd={password}\nrealm={domain}\ndomain={domain}\n"
    )
}
