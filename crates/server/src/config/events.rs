//! `[events]`: subscriptions to registrations, how long they last and how many there may be.

use std::time::Duration;

use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use super::schema::{distinct, s, set};
use crate::admin::UserId;

/// Subscriptions (RFC 6665).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// Shorter subscriptions get 423 Interval Too Brief (RFC 6665 §4.2.1.1).
    pub min_expires: Duration,
    /// Longer ones are cut to this.
    pub max_expires: Duration,
    /// Users who may watch everybody's registrations, as `user@domain`.
    pub watchers: Vec<String>,
    /// Subscriptions of one address-of-record.
    pub per_aor: u32,
    /// Subscriptions from one source.
    pub per_source: u32,
    /// Subscriptions in all.
    pub total: u32,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(7200),
            watchers: Vec::new(),
            per_aor: 32,
            per_source: 256,
            total: 10_000,
        }
    }
}

pub(super) const EVENTS: &[Key<Events>] = &[
    Key {
        name: "min_expires",
        example: r#""1m""#,
        given: Given::Default,
        doc: "Shorter subscriptions get 423; of no effect above an hour.",
        read: |events, item, report| set(&mut events.min_expires, item.duration(s(1)..=s(3600), report)),
    },
    Key {
        name: "max_expires",
        example: r#""2h""#,
        given: Given::Default,
        doc: "Longer subscriptions are cut to this.",
        read: |events, item, report| set(&mut events.max_expires, item.duration(s(60)..=s(86_400), report)),
    },
    Key {
        name: "watchers",
        example: r#"["operator@example.test"]"#,
        given: Given::Example,
        doc: "Users who may subscribe to the registrations of everybody. Others may to their own, and `trusted` sources to all.",
        read: |events, item, report| {
            let watcher = |text: &str| match text.parse::<UserId>() {
                Ok(user) => Ok(user.to_string()),
                Err(wrong) => Err(Complaint::new(wrong.what, wrong.mend)),
            };
            if let Some(watchers) = item.list(report, |item, report| item.parsed(watcher, report)) {
                events.watchers = distinct(watchers, &item, report);
            }
        },
    },
    Key {
        name: "per_aor",
        example: "32",
        given: Given::Default,
        doc: "Subscriptions to the registrations of one user; beyond, they get 503.",
        read: |events, item, report| set(&mut events.per_aor, item.integer(1..=100_000, report)),
    },
    Key {
        name: "per_source",
        example: "256",
        given: Given::Default,
        doc: "Subscriptions from one source (an IPv4 address or an IPv6 /64) that is not `trusted`; beyond, they get 503.",
        read: |events, item, report| set(&mut events.per_source, item.integer(1..=1_000_000, report)),
    },
    Key {
        name: "total",
        example: "10000",
        given: Given::Default,
        doc: "Subscriptions in all, of about 2 kB each; beyond, they get 503.",
        read: |events, item, report| set(&mut events.total, item.integer(1..=1_000_000, report)),
    },
];

/// Complains of durations that leave nothing between them.
pub(super) fn check_durations(events: &Events, item: &Item<'_, '_>, report: &mut Report<'_>) {
    if events.min_expires > events.max_expires {
        report.add(
            &item.key_span("min_expires"),
            Complaint::new(
                "`min_expires` is longer than `max_expires`",
                "make it the shorter one",
            ),
        );
    }
}
