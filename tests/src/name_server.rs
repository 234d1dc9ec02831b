//! A real DNS server on loopback: BIND, with zones that the test writes.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::process::{Process, Signal};
use crate::{Scratch, ports, wait};

const START: Duration = Duration::from_secs(15);

/// BIND, answering for the zone `far.test`.
#[derive(Debug)]
pub struct NameServer {
    process: Process,
    scratch: Scratch,
    address: SocketAddr,
    serial: u32,
}

impl NameServer {
    /// The zone that it answers for.
    pub const ZONE: &str = "far.test";

    /// Starts it with these records, written as in a zone file. What does not exist does not for 20 s.
    #[track_caller]
    pub fn start(records: &str) -> Self {
        let scratch = Scratch::new();
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let (zone, folder) = (Self::ZONE, scratch.path().display());
        let config = format!(
            "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
             pid-file none; lock-file none; session-keyfile none; recursion no; querylog yes; dnssec-validation no; }};\n\
             controls {{ }};\n\
             zone \"{zone}\" {{ type primary; file \"zone\"; }};\n",
            port = address.port()
        );
        let config = scratch.write("named.conf", config);
        scratch.write("zone", zone_file(1, records));
        let process = Self::run(&config.to_string_lossy());
        let server = Self {
            process,
            scratch,
            address,
            serial: 1,
        };
        server.await_start();
        server
    }

    fn run(config: &str) -> Process {
        Process::server("named", &["-g", "-n", "1", "-c", config], |_| {})
    }

    #[track_caller]
    fn await_start(&self) {
        let is_up =
            || self.process.stderr().contains("running\n") && TcpStream::connect(self.address).is_ok();
        assert!(wait::until_true(START, is_up), "{}", self.process.output());
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts other records in place of those that there are.
    #[track_caller]
    pub fn change(&mut self, records: &str) {
        self.serial += 1;
        self.scratch.write("zone", zone_file(self.serial, records));
        self.process.signal(Signal::Hup);
        let loaded = format!("zone {}/IN: loaded serial {}", Self::ZONE, self.serial);
        let is_loaded = || self.process.stderr().contains(&loaded);
        assert!(wait::until_true(START, is_loaded), "{}", self.process.output());
    }

    /// It says nothing any more, or goes on.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The questions that it was asked so far: `name TYPE`.
    pub fn questions(&self) -> Vec<String> {
        let log = self.process.stderr();
        let questions = log.lines().filter_map(|line| {
            let (_, question) = line.split_once(": query: ")?;
            let mut words = question.split(' ');
            let (name, kind) = (words.next()?, words.nth(1)?);
            Some(format!("{} {kind}", name.to_ascii_lowercase()))
        });
        questions.collect()
    }
}

fn zone_file(serial: u32, records: &str) -> String {
    let zone = NameServer::ZONE;
    format!(
        "$ORIGIN {zone}.\n$TTL 300\n@ SOA ns hostmaster {serial} 3600 600 86400 20\n@ NS ns\nns A 127.0.0.1\n{records}\n"
    )
}
