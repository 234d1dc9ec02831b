//! A shard's counts. One thread writes them, whoever scrapes reads them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use strowger_syntax::{Method, Status};

use crate::admin::{Family, Kind, Sample};

const METHODS: usize = Method::KNOWN.len() + 1;

/// Counts of what a shard has seen and done, and gauges of what it holds.
#[derive(Debug, Default)]
pub struct Tally {
    requests: [AtomicU64; METHODS],
    responses: [AtomicU64; 7],
    absorbed: AtomicU64,
    malformed: AtomicU64,
    stray: AtomicU64,
    rejected: [AtomicU64; 7],
    registered: AtomicU64,
    challenges: AtomicU64,
    calls_started: AtomicU64,
    calls_answered: AtomicU64,
    server_transactions: AtomicU64,
    client_transactions: AtomicU64,
    calls: AtomicU64,
    pool_bytes: AtomicU64,
}

/// The writer is one thread, so that reading and writing back loses nothing and needs no locked instruction.
fn add_one(count: &AtomicU64) {
    count.store(count.load(Relaxed) + 1, Relaxed);
}

macro_rules! counted {
    ($($(#[$doc:meta])* $method:ident $field:ident;)*) => {
        $($(#[$doc])* pub(super) fn $method(&self) { add_one(&self.$field); })*
    };
}

impl Tally {
    counted! {
        absorbed absorbed;
        malformed malformed;
        stray stray;
        registered registered;
        challenged challenges;
        call_started calls_started;
        call_answered calls_answered;
    }

    pub(super) fn request(&self, method: Method) {
        add_one(&self.requests[(method as usize).min(METHODS - 1)]);
    }

    pub(super) fn response(&self, status: Option<Status>) {
        add_one(&self.responses[usize::from(status.map_or(0, Status::class)).min(6)]);
    }

    pub(super) fn rejected(&self, status: Status) {
        add_one(&self.rejected[usize::from(status.class()).min(6)]);
    }

    pub(super) fn publish(&self, servers: usize, clients: usize, calls: usize, pool_bytes: usize) {
        self.server_transactions.store(servers as u64, Relaxed);
        self.client_transactions.store(clients as u64, Relaxed);
        self.calls.store(calls as u64, Relaxed);
        self.pool_bytes.store(pool_bytes as u64, Relaxed);
    }

    /// Server and client transactions.
    pub fn transactions(&self) -> u64 {
        self.server_transactions.load(Relaxed) + self.client_transactions.load(Relaxed)
    }

    /// Call records.
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// The figures of all shards, added up.
    pub fn families(all: &[std::sync::Arc<Self>]) -> Vec<Family> {
        let sum = |field: &dyn Fn(&Self) -> u64| all.iter().map(|t| field(t)).sum::<u64>() as f64;
        let counter = |name, help, field: &dyn Fn(&Self) -> u64| Family::single(name, help, Kind::Counter, sum(field));
        let gauge = |name, help, field: &dyn Fn(&Self) -> u64| Family::single(name, help, Kind::Gauge, sum(field));
        let mut requests = Vec::new();
        for i in 0..METHODS {
            let method = Method::KNOWN.get(i).map_or("other", |m| m.as_str());
            let value = sum(&|t| t.requests[i].load(Relaxed));
            requests.push(Sample { labels: vec![("method", method.to_owned())], value });
        }
        let by_class = |field: &dyn Fn(&Self, usize) -> u64| -> Vec<Sample> {
            (1..7usize)
                .map(|class| Sample { labels: vec![("class", format!("{class}xx"))], value: sum(&|t| field(t, class)) })
                .collect()
        };
        vec![
            Family {
                name: "strowger_sip_requests_received_total",
                help: "SIP requests received, retransmissions included.",
                kind: Kind::Counter,
                samples: requests,
            },
            Family {
                name: "strowger_sip_responses_received_total",
                help: "SIP responses received, retransmissions included.",
                kind: Kind::Counter,
                samples: by_class(&|t, class| t.responses[class].load(Relaxed)),
            },
            Family {
                name: "strowger_sip_requests_rejected_total",
                help: "SIP requests that were refused here.",
                kind: Kind::Counter,
                samples: by_class(&|t, class| t.rejected[class].load(Relaxed)),
            },
            counter("strowger_sip_retransmissions_absorbed_total", "Requests that a transaction absorbed.", &|t| {
                t.absorbed.load(Relaxed)
            }),
            counter("strowger_sip_malformed_total", "Messages that could not be used.", &|t| t.malformed.load(Relaxed)),
            counter("strowger_sip_stray_responses_total", "Responses that matched nothing.", &|t| t.stray.load(Relaxed)),
            counter("strowger_challenges_total", "Digest challenges sent.", &|t| t.challenges.load(Relaxed)),
            counter("strowger_registers_total", "REGISTER requests answered with 200.", &|t| t.registered.load(Relaxed)),
            counter("strowger_calls_started_total", "Calls forwarded.", &|t| t.calls_started.load(Relaxed)),
            counter("strowger_calls_answered_total", "Calls answered with 2xx.", &|t| t.calls_answered.load(Relaxed)),
            gauge("strowger_transactions", "Transactions held.", &Self::transactions),
            gauge("strowger_calls", "Calls held.", &Self::calls),
            gauge("strowger_pool_bytes", "Bytes of stored messages and their spare buffers.", &|t| {
                t.pool_bytes.load(Relaxed)
            }),
        ]
    }
}
