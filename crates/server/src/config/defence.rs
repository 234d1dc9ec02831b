//! `[defence]`: how much a source may be refused, and when wrong passwords lead to a ban.

use std::time::Duration;

use super::read::{Given, Key};
use super::schema::{s, set};

/// What is held against sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defence {
    /// Requests of one source that are challenged or refused in a second, in the long run.
    pub refusals: u32,
    /// Wrong passwords of one account from one source until they are banned.
    pub failures: u32,
    /// Accounts with wrong passwords from one source until it is banned.
    pub accounts: u32,
    /// Until when wrong passwords are forgotten.
    pub window: Duration,
    /// How long a ban lasts; zero is never.
    pub ban: Duration,
}

impl Default for Defence {
    fn default() -> Self {
        Self {
            refusals: 100,
            failures: 10,
            accounts: 20,
            window: Duration::from_secs(600),
            ban: Duration::from_secs(1800),
        }
    }
}

pub(super) const DEFENCE: &[Key<Defence>] = &[
    Key {
        name: "refusals",
        example: "100",
        given: Given::Default,
        doc: "Challenges and 4xx answers that one source (an IPv4 address or an IPv6 /64) gets in a second, and at once those of \
              20 seconds. Beyond, it gets none. Challenges that are met do not count, nor what `trusted` sources do, nor this \
              machine while digest is off.",
        read: |defence, item, report| set(&mut defence.refusals, item.integer(1..=50_000, report)),
    },
    Key {
        name: "failures",
        example: "10",
        given: Given::Default,
        doc: "Wrong passwords for one account from one source that ban this account there.",
        read: |defence, item, report| set(&mut defence.failures, item.integer(1..=10_000, report)),
    },
    Key {
        name: "accounts",
        example: "20",
        given: Given::Default,
        doc: "Accounts with wrong passwords from one source that ban the source; users who are registered from there go on.",
        read: |defence, item, report| set(&mut defence.accounts, item.integer(1..=10_000, report)),
    },
    Key {
        name: "window",
        example: r#""10m""#,
        given: Given::Default,
        doc: "How long it takes until `failures` or `accounts` are forgotten, bit by bit.",
        read: |defence, item, report| set(&mut defence.window, item.duration(s(1)..=s(86_400), report)),
    },
    Key {
        name: "ban",
        example: r#""30m""#,
        given: Given::Default,
        doc: "How long a ban lasts; \"0s\" bans nobody. `strowger ctl bans` lists them, `strowger ctl unban` lifts one.",
        read: |defence, item, report| set(&mut defence.ban, item.duration(s(0)..=s(604_800), report)),
    },
];
