//! What is wrong with a server's surroundings: which address each kind of peer is told, and what of the machine, its network, its
//! names and its configuration keeps calls from working.
//!
//! [`Facts`] are gathered once (`facts`), and what follows from them is worked out by pure functions: who is told what (`view`),
//! and what is wrong (`checks`).

mod checks;
mod facts;
mod ports;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::admin::{Ban, Status};
use crate::config::Config;
use facts::Facts;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Calls will fail, or anybody may do what only some should.
    Error,
    /// Some calls will fail, or all of them under circumstances.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, in one word.
    pub about: String,
    /// What there is.
    pub what: String,
    /// What it means for calls.
    pub why: String,
    /// How to mend it.
    pub mend: String,
}

/// What one kind of peer is told of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Who.
    pub peer: String,
    /// Host and port.
    pub address: String,
}

/// A listener as its peers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its URI.
    pub listener: String,
    /// What each kind of peer that can reach it is told.
    pub told: Vec<Told>,
}

/// What a running server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Contacts that are registered.
    pub contacts: u64,
    /// Keep-alives sent to phones behind a NAT.
    pub keep_alives_sent: u64,
    /// OPTIONS among them that were answered.
    pub keep_alives_answered: u64,
    /// Phones that do not answer.
    pub phones_unanswered: u64,
    /// Empty datagrams that came.
    pub keep_alives_received: u64,
    /// STUN requests answered.
    pub stun_answered: u64,
    /// Pings over connections answered.
    pub pings_answered: u64,
    /// Datagrams that the kernel has dropped because they were not read in time.
    pub datagrams_dropped: u64,
    /// REGISTER requests and new calls that were refused since the start, by reason, as the log names it.
    pub refused: BTreeMap<String, u64>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The listeners.
    pub listeners: Vec<Seen>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What the server counts, if one runs.
    pub server: Option<Counted>,
}

impl Report {
    /// Whether anything is an error.
    pub fn has_errors(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }
}

/// A server that runs on the data directory.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// How it says that it is.
    pub status: Option<Status>,
    /// Its figures, as Prometheus reads them.
    pub metrics: String,
    /// Some of those whom it has banned.
    pub bans: Vec<Ban>,
}

/// Looks at everything. `live` is the server that runs on the data directory, if one does.
pub async fn examine(config: &Config, live: Option<&Live>) -> Report {
    let facts = Facts::gather(config, live.is_some()).await;
    report(config, &facts, live)
}

fn report(config: &Config, facts: &Facts, live: Option<&Live>) -> Report {
    let server = live.map(checks::count);
    let mut findings = checks::all(config, facts);
    if let (Some(live), Some(counted)) = (live, &server) {
        findings.extend(checks::of_server(config, live, counted));
    }
    findings.sort_by_key(|finding| finding.severity);
    Report {
        listeners: view::all(config, facts),
        findings,
        server,
    }
}
