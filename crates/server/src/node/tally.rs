//! A shard's counts. One thread writes them, whoever scrapes reads them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use strowger_syntax::{Method, Status};

use super::refused::Why;
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
    empty_datagrams: AtomicU64,
    stun_answered: AtomicU64,
    stun_refused: AtomicU64,
    stun_dropped: AtomicU64,
    keep_alives_sent: AtomicU64,
    keep_alive_answers: AtomicU64,
    phones_gone: AtomicU64,
    phones_removed: AtomicU64,
    rejected: [AtomicU64; 7],
    refused: [AtomicU64; Why::ALL.len()],
    registered: AtomicU64,
    challenges: AtomicU64,
    wrong_passwords: AtomicU64,
    unanswered: AtomicU64,
    calls_started: AtomicU64,
    calls_answered: AtomicU64,
    dns_hits: AtomicU64,
    dns_misses: AtomicU64,
    failed_hops: AtomicU64,
    held: HeldCounts,
    sizes: SizeCounts,
}

macro_rules! held {
    ($($(#[$struct_doc:meta])* $struct:ident $counts:ident { $($(#[$doc:meta])* $field:ident)* })*) => {$(
        $(#[$struct_doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $struct {
            $($(#[$doc])* pub(super) $field: usize,)*
        }

        #[derive(Debug, Default)]
        struct $counts {
            $($field: AtomicU64,)*
        }

        impl $counts {
            fn store(&self, held: &$struct) {
                $(self.$field.store(held.$field as u64, Relaxed);)*
            }
        }
    )*};
}

held! {
    /// What a shard holds at one moment.
    Held HeldCounts {
        server_transactions
        client_transactions
        calls
        /// Stored messages in their buffers.
        message_bytes
        /// Free buffers.
        spare_bytes
    }
    /// How large is what else it holds.
    Sizes SizeCounts {
        transaction_bytes
        /// Response contexts.
        proxy_bytes
        timer_bytes
        call_bytes
        subscription_bytes
        /// Requests that wait for a commit or a name.
        waiting_bytes
    }
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
        empty_datagram empty_datagrams;
        stun_answered stun_answered;
        stun_refused stun_refused;
        stun_dropped stun_dropped;
        keep_alive_sent keep_alives_sent;
        keep_alive_answered keep_alive_answers;
        phone_removed phones_removed;
        registered registered;
        challenged challenges;
        wrong_password wrong_passwords;
        unanswered unanswered;
        call_started calls_started;
        call_answered calls_answered;
        dns_hit dns_hits;
        dns_miss dns_misses;
        failed_hop failed_hops;
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

    pub(super) fn refused(&self, why: Why) {
        add_one(&self.refused[why as usize]);
    }

    pub(super) fn phones_gone(&self, count: u64) {
        self.phones_gone.store(count, Relaxed);
    }

    pub(super) fn publish(&self, held: &Held) {
        self.held.store(held);
    }

    pub(super) fn publish_sizes(&self, sizes: &Sizes) {
        self.sizes.store(sizes);
    }

    /// Server and client transactions.
    pub fn transactions(&self) -> u64 {
        self.held.server_transactions.load(Relaxed) + self.held.client_transactions.load(Relaxed)
    }

    /// Call records.
    pub fn calls(&self) -> u64 {
        self.held.calls.load(Relaxed)
    }

    /// Bytes of messages that are kept.
    pub fn kept_bytes(&self) -> u64 {
        self.held.message_bytes.load(Relaxed)
    }

    /// Bytes that the shard holds, by what for. What was given back to the system is in none of them.
    pub fn memory(&self) -> [(&'static str, u64); 8] {
        let (held, sizes) = (&self.held, &self.sizes);
        [
            ("transactions", &sizes.transaction_bytes),
            ("proxy", &sizes.proxy_bytes),
            ("messages", &held.message_bytes),
            ("spare", &held.spare_bytes),
            ("calls", &sizes.call_bytes),
            ("subscriptions", &sizes.subscription_bytes),
            ("timers", &sizes.timer_bytes),
            ("waiting", &sizes.waiting_bytes),
        ]
        .map(|(part, bytes)| (part, bytes.load(Relaxed)))
    }

    /// The figures of all shards, added up.
    pub fn families(all: &[std::sync::Arc<Self>]) -> Vec<Family> {
        let mut families = Self::labelled(all);
        families.extend(FIGURES.iter().map(|&(name, help, kind, field)| {
            let value = all.iter().map(|tally| field(tally)).sum::<u64>() as f64;
            Family::single(name, help, kind, value)
        }));
        families
    }

    fn labelled(all: &[std::sync::Arc<Self>]) -> Vec<Family> {
        let sum = |field: &dyn Fn(&Self) -> u64| all.iter().map(|t| field(t)).sum::<u64>() as f64;
        let by_method = |i: usize| {
            let method = Method::KNOWN.get(i).map_or("other", |m| m.as_str());
            let value = sum(&|t| t.requests[i].load(Relaxed));
            Sample {
                labels: vec![("method", method.to_owned())],
                value,
            }
        };
        let by_class = |field: &dyn Fn(&Self, usize) -> u64| -> Vec<Sample> {
            let sample = |class: usize| {
                let value = sum(&|t| field(t, class));
                Sample {
                    labels: vec![("class", format!("{class}xx"))],
                    value,
                }
            };
            (1..7).map(sample).collect()
        };
        let by_reason = |why: Why| Sample {
            labels: vec![("reason", why.as_str().to_owned())],
            value: sum(&|t| t.refused[why as usize].load(Relaxed)),
        };
        let family = |name, help, samples| Family {
            name,
            help,
            kind: Kind::Counter,
            samples,
        };
        vec![
            family(
                "strowger_sip_requests_received_total",
                "SIP requests received, retransmissions included.",
                (0..METHODS).map(by_method).collect(),
            ),
            family(
                "strowger_sip_responses_received_total",
                "SIP responses received, retransmissions included.",
                by_class(&|t, class| t.responses[class].load(Relaxed)),
            ),
            family(
                "strowger_sip_requests_rejected_total",
                "SIP requests that were refused here.",
                by_class(&|t, class| t.rejected[class].load(Relaxed)),
            ),
            family(
                "strowger_refused_total",
                "REGISTER requests and new calls that were refused here for what their sender showed, or for whom they are.",
                Why::ALL.map(by_reason).to_vec(),
            ),
        ]
    }
}

/// Name, meaning, kind and value.
type Figure = (&'static str, &'static str, Kind, fn(&Tally) -> u64);

const FIGURES: &[Figure] = &[
    (
        "strowger_sip_retransmissions_absorbed_total",
        "Requests that a transaction absorbed.",
        Kind::Counter,
        |t| t.absorbed.load(Relaxed),
    ),
    (
        "strowger_sip_malformed_total",
        "Messages that could not be used.",
        Kind::Counter,
        |t| t.malformed.load(Relaxed),
    ),
    (
        "strowger_sip_stray_responses_total",
        "Responses that matched nothing.",
        Kind::Counter,
        |t| t.stray.load(Relaxed),
    ),
    (
        "strowger_keep_alives_received_total",
        "Datagrams that only keep a flow open and want no answer: empty lines, zeroes, STUN indications.",
        Kind::Counter,
        |t| t.empty_datagrams.load(Relaxed),
    ),
    (
        "strowger_stun_answered_total",
        "STUN Binding requests answered (RFC 5626 §8).",
        Kind::Counter,
        |t| t.stun_answered.load(Relaxed),
    ),
    (
        "strowger_stun_refused_total",
        "STUN Binding requests that asked for what is not known here.",
        Kind::Counter,
        |t| t.stun_refused.load(Relaxed),
    ),
    (
        "strowger_stun_dropped_total",
        "STUN messages that were no Binding requests, or could not be read.",
        Kind::Counter,
        |t| t.stun_dropped.load(Relaxed),
    ),
    (
        "strowger_keep_alives_sent_total",
        "Keep-alives sent to phones behind a NAT.",
        Kind::Counter,
        |t| t.keep_alives_sent.load(Relaxed),
    ),
    (
        "strowger_keep_alives_answered_total",
        "OPTIONS to phones behind a NAT that were answered.",
        Kind::Counter,
        |t| t.keep_alive_answers.load(Relaxed),
    ),
    (
        "strowger_phones_unanswered",
        "Phones behind a NAT that have not answered several OPTIONS one after the other.",
        Kind::Gauge,
        |t| t.phones_gone.load(Relaxed),
    ),
    (
        "strowger_phones_removed_total",
        "Registrations removed because their phones did not answer.",
        Kind::Counter,
        |t| t.phones_removed.load(Relaxed),
    ),
    (
        "strowger_challenges_total",
        "Digest challenges sent.",
        Kind::Counter,
        |t| t.challenges.load(Relaxed),
    ),
    (
        "strowger_wrong_passwords_total",
        "Credentials with a wrong password or the name of nobody.",
        Kind::Counter,
        |t| t.wrong_passwords.load(Relaxed),
    ),
    (
        "strowger_refusals_withheld_total",
        "Requests that would have been refused, and were not answered because their source had been refused too often.",
        Kind::Counter,
        |t| t.unanswered.load(Relaxed),
    ),
    (
        "strowger_registers_total",
        "REGISTER requests answered with 200.",
        Kind::Counter,
        |t| t.registered.load(Relaxed),
    ),
    (
        "strowger_calls_started_total",
        "Calls forwarded.",
        Kind::Counter,
        |t| t.calls_started.load(Relaxed),
    ),
    (
        "strowger_calls_answered_total",
        "Calls answered with 2xx.",
        Kind::Counter,
        |t| t.calls_answered.load(Relaxed),
    ),
    (
        "strowger_dns_cache_hits_total",
        "Names of next hops whose servers were known.",
        Kind::Counter,
        |t| t.dns_hits.load(Relaxed),
    ),
    (
        "strowger_dns_cache_misses_total",
        "Names of next hops that had to be looked up.",
        Kind::Counter,
        |t| t.dns_misses.load(Relaxed),
    ),
    (
        "strowger_failed_hops_total",
        "Next hops that were silent, refused or answered 503.",
        Kind::Counter,
        |t| t.failed_hops.load(Relaxed),
    ),
    (
        "strowger_transactions",
        "Transactions held.",
        Kind::Gauge,
        Tally::transactions,
    ),
    ("strowger_calls", "Calls held.", Kind::Gauge, Tally::calls),
];
