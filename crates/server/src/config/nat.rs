//! `[nat]`: what is done so that phones behind a NAT stay within reach.

use std::time::Duration;

use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use super::schema::{s, set};

/// What is done for phones behind a NAT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat {
    /// What they are sent.
    pub keep_alive: KeepAlive,
    /// How often each of them is sent it.
    pub keep_alive_interval: Duration,
    /// How many are sent in a second at most, all phones together.
    pub keep_alive_rate: u32,
    /// After so many OPTIONS without an answer a phone counts as gone.
    pub unanswered_limit: u8,
    /// Whether the registration of one that counts as gone is removed.
    pub remove_unanswered: bool,
}

/// What phones behind a NAT are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// Nothing.
    Off,
    /// Two empty lines.
    Crlf,
    /// OPTIONS, which they answer.
    Options,
}

impl Default for Nat {
    fn default() -> Self {
        Self {
            keep_alive: KeepAlive::Crlf,
            keep_alive_interval: Duration::from_secs(25),
            keep_alive_rate: 20_000,
            unanswered_limit: 5,
            remove_unanswered: false,
        }
    }
}

pub(super) const NAT: &[Key<Nat>] = &[
    Key {
        name: "keep_alive",
        example: r#""crlf""#,
        given: Given::Default,
        doc: "What phones are sent that registered by UDP from another address than their contact names, so that their NAT does \
              not forget them: crlf (two empty lines, which nobody answers), options (OPTIONS, whose answers show who is still \
              there) or off. Those that keep their flow open themselves (RFC 5626) are sent nothing.",
        read: |nat, item, report| {
            let words = [
                ("crlf", KeepAlive::Crlf),
                ("options", KeepAlive::Options),
                ("off", KeepAlive::Off),
            ];
            set(&mut nat.keep_alive, item.word(&words, report));
        },
    },
    Key {
        name: "keep_alive_interval",
        example: r#""25s""#,
        given: Given::Default,
        doc: "How often. Many NATs forget a way by UDP after 30 seconds.",
        read: |nat, item, report| {
            set(
                &mut nat.keep_alive_interval,
                item.duration(s(1)..=s(3600), report),
            );
        },
    },
    Key {
        name: "keep_alive_rate",
        example: "20000",
        given: Given::Default,
        doc: "How many are sent in a second at most. If there are more phones than that in an interval, it gets longer.",
        read: |nat, item, report| set(&mut nat.keep_alive_rate, item.integer(10..=1_000_000, report)),
    },
    Key {
        name: "unanswered_limit",
        example: "5",
        given: Given::Default,
        doc: "A phone that has not answered so many OPTIONS one after the other counts as gone, which the log and the metrics tell.",
        read: |nat, item, report| set(&mut nat.unanswered_limit, item.integer(1..=100, report)),
    },
    Key {
        name: "remove_unanswered",
        example: "false",
        given: Given::Default,
        doc: "Remove the registration of a phone that counts as gone. Takes keep_alive = \"options\".",
        read: |nat, item, report| set(&mut nat.remove_unanswered, item.boolean(report)),
    },
];

/// Only answers show who is gone.
pub(super) fn check_nat(nat: &Nat, item: &Item<'_, '_>, report: &mut Report<'_>) {
    if nat.remove_unanswered && nat.keep_alive != KeepAlive::Options {
        let what = "`remove_unanswered` needs answers, and nothing is sent that is answered";
        let mend = "add keep_alive = \"options\"";
        report.add(&item.key_span("remove_unanswered"), Complaint::new(what, mend));
    }
}
