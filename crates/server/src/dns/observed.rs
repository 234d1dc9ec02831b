//! Look-ups that somebody watches: what was asked, and what was said.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::procedure::servers_of;
use super::records::{Naptr, Records, Said, Srv};
use super::{Answer, Dns, Question, System, Zone};

/// One question to DNS and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What was asked, as `SRV _sip._udp.example.test`.
    pub(crate) question: String,
    /// The records.
    pub(crate) answers: Vec<String>,
    /// For how many seconds it holds.
    pub(crate) ttl_secs: u32,
    /// Whether nobody could tell.
    pub(crate) failed: bool,
}

enum Source {
    System(Box<System>),
    File(Zone),
}

/// Somebody to be asked, whose answers are noted.
pub(crate) struct Observed {
    source: Source,
    asked: Mutex<Vec<Asked>>,
}

impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Observed({})", self.authority())
    }
}

impl Observed {
    /// The machine's way to DNS.
    pub(crate) fn system(system: System) -> Self {
        Self {
            source: Source::System(Box::new(system)),
            asked: Mutex::default(),
        }
    }

    /// A file's records.
    pub(crate) fn file(zone: Zone) -> Self {
        Self {
            source: Source::File(zone),
            asked: Mutex::default(),
        }
    }

    /// Who it is.
    pub(crate) fn authority(&self) -> &'static str {
        match self.source {
            Source::System(_) => "DNS",
            Source::File(_) => "the file",
        }
    }

    /// Answers a question and notes that in the cache; what was asked for it.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        dns: &Dns,
        question: &Question,
        now_ms: u64,
    ) -> (Answer, Vec<Asked>) {
        let Question { host, wanted, .. } = *question;
        let answer = servers_of(self, host.as_str(), wanted, dns.carried()).await;
        dns.learn(host, wanted, answer.clone(), now_ms);
        let asked = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        (answer, asked)
    }

    fn note<T>(&self, kind: &str, name: &str, said: Said<T>, tell: impl Fn(&T) -> String) -> Said<T> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Asked {
                question: format!("{kind} {name}"),
                answers: said.records.iter().map(tell).collect(),
                ttl_secs: said.ttl_secs,
                failed: said.failed,
            });
        said
    }
}

impl Records for Observed {
    fn local(&self, name: &str) -> Vec<IpAddr> {
        let found = match &self.source {
            Source::System(system) => system.local(name),
            Source::File(zone) => zone.local(name),
        };
        if !found.is_empty() {
            let said = Said {
                records: found.clone(),
                ttl_secs: 0,
                failed: false,
            };
            self.note("the machine's own", name, said, ToString::to_string);
        }
        found
    }

    async fn naptr(&self, name: &str) -> Said<Naptr> {
        let said = match &self.source {
            Source::System(system) => system.naptr(name).await,
            Source::File(zone) => zone.naptr(name).await,
        };
        self.note("NAPTR", name, said, |naptr| {
            let Naptr {
                order,
                preference,
                flags,
                service,
                regexp,
                replacement,
            } = naptr;
            format!("{order} {preference} \"{flags}\" \"{service}\" \"{regexp}\" {replacement}")
        })
    }

    async fn srv(&self, name: &str) -> Said<Srv> {
        let said = match &self.source {
            Source::System(system) => system.srv(name).await,
            Source::File(zone) => zone.srv(name).await,
        };
        self.note("SRV", name, said, |srv| {
            format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target)
        })
    }

    async fn a(&self, name: &str) -> Said<IpAddr> {
        let said = match &self.source {
            Source::System(system) => system.a(name).await,
            Source::File(zone) => zone.a(name).await,
        };
        self.note("A", name, said, ToString::to_string)
    }

    async fn aaaa(&self, name: &str) -> Said<IpAddr> {
        let said = match &self.source {
            Source::System(system) => system.aaaa(name).await,
            Source::File(zone) => zone.aaaa(name).await,
        };
        self.note("AAAA", name, said, ToString::to_string)
    }
}
