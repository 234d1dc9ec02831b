//! `[dns]`: who is asked for the addresses of names, and what is remembered of them.

use std::net::SocketAddr;
use std::time::Duration;

use super::read::{Given, Key};
use super::schema::{distinct, s, set};
use super::value::name_server;

/// How names of next hops are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Name servers; none means those of the machine.
    pub servers: Vec<SocketAddr>,
    /// How long a name server has for one answer.
    pub timeout: Duration,
    /// How often it is asked.
    pub attempts: u8,
    /// Names of which answers are kept.
    pub cache_entries: u32,
    /// The longest time for which an answer holds, whatever it says.
    pub max_ttl: Duration,
    /// The same for the answer that there is nothing.
    pub max_negative_ttl: Duration,
    /// How long a next hop that has failed is tried last; zero is never.
    pub avoid_failed: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(2),
            attempts: 2,
            cache_entries: 10_000,
            max_ttl: Duration::from_secs(86_400),
            max_negative_ttl: Duration::from_secs(300),
            avoid_failed: Duration::from_secs(30),
        }
    }
}

pub(super) const DNS: &[Key<Dns>] = &[
    Key {
        name: "servers",
        example: r#"["192.0.2.53"]"#,
        given: Given::Example,
        doc: "Name servers, as ADDRESS or ADDRESS:PORT. Without it: those of /etc/resolv.conf. Names in /etc/hosts are taken from \
              there first.",
        read: |dns, item, report| {
            if let Some(servers) = item.list(report, |item, report| item.parsed(name_server, report)) {
                dns.servers = distinct(servers, &item, report);
            }
        },
    },
    Key {
        name: "timeout",
        example: r#""2s""#,
        given: Given::Default,
        doc: "How long a name server has for one answer.",
        read: |dns, item, report| {
            set(
                &mut dns.timeout,
                item.duration(Duration::from_millis(100)..=s(30), report),
            );
        },
    },
    Key {
        name: "attempts",
        example: "2",
        given: Given::Default,
        doc: "How often a name server is asked before that is given up.",
        read: |dns, item, report| set(&mut dns.attempts, item.integer(1..=10, report)),
    },
    Key {
        name: "cache_entries",
        example: "10000",
        given: Given::Default,
        doc: "Names of which answers are kept.",
        read: |dns, item, report| set(&mut dns.cache_entries, item.integer(16..=10_000_000, report)),
    },
    Key {
        name: "max_ttl",
        example: r#""1d""#,
        given: Given::Default,
        doc: "An answer is kept for as long as it says, but not longer than this.",
        read: |dns, item, report| set(&mut dns.max_ttl, item.duration(s(0)..=s(604_800), report)),
    },
    Key {
        name: "max_negative_ttl",
        example: r#""5m""#,
        given: Given::Default,
        doc: "The same for the answer that a name has no servers (RFC 2308).",
        read: |dns, item, report| {
            set(&mut dns.max_negative_ttl, item.duration(s(0)..=s(10_800), report));
        },
    },
    Key {
        name: "avoid_failed",
        example: r#""30s""#,
        given: Given::Default,
        doc: "A next hop that is silent, refuses or answers 503 is tried last for this time, or as long as its Retry-After says; \
              \"0s\" tries it again at once (RFC 3263 §4.3).",
        read: |dns, item, report| set(&mut dns.avoid_failed, item.duration(s(0)..=s(3600), report)),
    },
];
