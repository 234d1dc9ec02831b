//! The servers behind names (RFC 3263): what DNS has said of them, which all shards read; how it is asked, beside the
//! shards; and the hops that have failed lately.

mod avoided;
mod cache;
mod name;
mod observed;
mod procedure;
mod records;
mod system;
mod worker;
mod zone;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use strowger_sip::memory::Id;
use strowger_sip::transport::{Listeners, NextHop, Server, Transport, Wanted};
use tokio::sync::mpsc;

pub use avoided::Avoided;
pub use cache::{Age, Cache, Known};
pub use name::HostName;
pub(crate) use observed::Observed;
pub use procedure::{Answer, Carried};
pub(crate) use system::System;
pub(crate) use worker::{deliver, spawn};
pub use zone::{Zone, ZoneError};

use crate::admin::{Family, Kind, Sample};
use crate::config;

/// Questions that may wait.
const QUESTIONS: usize = 4096;

/// The servers of a domain, as others find them who want to send there by whatever transport these listeners carry.
pub(crate) async fn servers_of_domain(settings: &config::Dns, listeners: &Listeners, name: &str) -> Answer {
    let (records, wanted) = (
        Arc::new(System::new(settings)),
        Wanted::AnyServers { secure: false },
    );
    procedure::servers_of(&records, name, wanted, Carried::by(listeners)).await
}

/// What is to be found out, off the shard.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The name.
    pub host: HostName,
    /// What of it.
    pub wanted: Wanted,
    /// The shard that waits for the answer, and what it waits with; `None` when what is known is only to be renewed.
    pub asker: Option<(u16, Id)>,
}

/// The servers behind names, as far as they are known, and the hops that have failed. It outlives a change of the
/// configuration.
#[derive(Debug)]
pub struct Dns {
    /// What is known.
    pub cache: Cache,
    /// Hops that have failed.
    pub avoided: Avoided,
    questions: mpsc::Sender<Question>,
    carried: AtomicU32,
    counts: Counts,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Answers of DNS.
    pub names: usize,
    /// Hops that were avoided.
    pub hops: usize,
}

/// How often DNS was asked, by what came of it.
#[derive(Debug, Default)]
struct Counts {
    found: AtomicU64,
    none: AtomicU64,
    failed: AtomicU64,
}

impl Dns {
    /// With nothing known. `key` is secret. What is asked comes out of the receiver.
    pub fn new(settings: &config::Dns, key: [u8; 16]) -> (Self, mpsc::Receiver<Question>) {
        Self::with_questions(settings, key, QUESTIONS)
    }

    /// The same, where so many questions may wait.
    pub fn with_questions(
        settings: &config::Dns,
        key: [u8; 16],
        most: usize,
    ) -> (Self, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(most);
        let dns = Self {
            cache: Cache::new(settings, key),
            avoided: Avoided::new(settings.avoid_failed, key),
            questions,
            carried: AtomicU32::new(0),
            counts: Counts::default(),
        };
        (dns, receiver)
    }

    /// What is known at this moment, to try what a request would do; with `forgetful` nothing that DNS has said. What is asked
    /// comes out of the receiver.
    pub fn copy(&self, forgetful: bool) -> (Self, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(QUESTIONS);
        let dns = Self {
            cache: self.cache.copy(forgetful),
            avoided: self.avoided.copy(),
            questions,
            carried: AtomicU32::new(self.carried.load(Ordering::Relaxed)),
            counts: Counts::default(),
        };
        (dns, receiver)
    }

    /// Reads the servers of a next hop, if they are known, and how old that is. What is in use is renewed before its time is
    /// over.
    pub fn look(&self, next_hop: &NextHop<'_>, now_ms: u64, read: impl FnOnce(&[Server])) -> Option<Age> {
        let host = HostName::new(next_hop.name)?;
        let ((), age) = self.cache.read(&host, next_hop.wanted, now_ms, read)?;
        if age != Age::Due {
            return Some(age);
        }
        // If nobody can be asked now, it ends, and is asked for then.
        self.ask(Question {
            host,
            wanted: next_hop.wanted,
            asker: None,
        });
        Some(Age::Fresh)
    }

    /// Asks for the servers of a next hop; false if that cannot be, for then there will be no answer.
    pub fn ask_for(&self, next_hop: &NextHop<'_>, asker: Option<(u16, Id)>) -> bool {
        let wanted = next_hop.wanted;
        let question = HostName::new(next_hop.name).map(|host| Question { host, wanted, asker });
        question.is_some_and(|question| self.ask(question))
    }

    fn ask(&self, question: Question) -> bool {
        self.questions.try_send(question).is_ok()
    }

    /// Goes on with other settings. What other servers have said is forgotten.
    pub fn reconfigure(&self, former: &config::Dns, next: &config::Dns, now_ms: u64) {
        if former.servers != next.servers {
            self.cache.forget_all();
        }
        self.cache.bound(next, now_ms);
        self.avoided.bound(next.avoid_failed, now_ms);
    }

    /// What can be reached from now on: DNS is asked for nothing else. What it has said when that was another is forgotten.
    pub fn carry(&self, listeners: &Listeners) {
        let carried = Carried::by(listeners).to_bits();
        if self.carried.swap(carried, Ordering::Relaxed) != carried {
            self.cache.forget_all();
        }
    }

    /// Forgets all answers, and avoids no hop any longer; or does so with those of a name and with the hops that it leads to,
    /// or with the hops at an address, written as `192.0.2.7`, with a port, or with a transport and a port
    /// (`tcp:192.0.2.7:5060`).
    pub fn forget(&self, what: Option<&str>, now_ms: u64) -> Forgotten {
        let Some(what) = what else {
            return Forgotten {
                names: self.cache.forget_all(),
                hops: self.avoided.forget(now_ms, |_, _| true),
            };
        };
        let mut addresses = Vec::new();
        let mut note = |servers: &[Server]| {
            addresses.extend(servers.iter().flat_map(|server| server.addresses.iter().copied()));
        };
        let names = HostName::new(what.as_bytes()).map_or(0, |host| self.cache.forget_name(&host, &mut note));
        let ip = what.trim_start_matches('[').trim_end_matches(']');
        addresses.extend(ip.parse::<IpAddr>().ok());
        let hops = self.avoided.forget(now_ms, |transport, to| {
            let is_named = what == to.to_string() || what == format!("{}:{to}", transport.uri_param());
            is_named || addresses.contains(&to.ip())
        });
        Forgotten { names, hops }
    }

    fn carried(&self) -> Carried {
        Carried::from_bits(self.carried.load(Ordering::Relaxed))
    }

    /// An answer has come.
    pub fn learn(&self, host: HostName, wanted: Wanted, answer: Answer, now_ms: u64) {
        let counts = &self.counts;
        let count = match (answer.servers.is_empty(), answer.failed) {
            (_, true) => &counts.failed,
            (false, false) => &counts.found,
            (true, false) => &counts.none,
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.cache.put(host, wanted, answer, now_ms);
    }

    /// The figures.
    pub fn families(&self, now_ms: u64) -> Vec<Family> {
        let counts = &self.counts;
        let results = [
            ("found", &counts.found),
            ("none", &counts.none),
            ("failed", &counts.failed),
        ];
        let samples = results.map(|(result, count)| Sample {
            labels: vec![("result", result.to_owned())],
            value: count.load(Ordering::Relaxed) as f64,
        });
        vec![
            Family {
                name: "strowger_dns_lookups_total",
                help: "Names that DNS was asked for.",
                kind: Kind::Counter,
                samples: samples.into(),
            },
            Family::single(
                "strowger_dns_names",
                "Names of which is known what DNS has said.",
                Kind::Gauge,
                self.cache.len() as f64,
            ),
            Family::single(
                "strowger_avoided_hops",
                "Next hops that have failed and are tried last for a while.",
                Kind::Gauge,
                self.avoided.list(now_ms).len() as f64,
            ),
        ]
    }
}

/// The label that DNS has for a service by this transport (RFC 3263 §4.1, RFC 7118 §5).
fn service_of(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        Transport::Ws => "_sip._ws",
        Transport::Wss => "_sips._ws",
    }
}
