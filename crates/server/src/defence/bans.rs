//! The bans in force, as people see them: kept by the control side, which hears of each one after it began.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::meters::Key;
use crate::config::effective::shell_word;

/// Bans that are listed. More of them hold without being listed.
const LISTED: usize = 10_000;

/// Log lines of one minute.
const LINES: u32 = 20;

/// Who is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Banned {
    /// This account at this source.
    Account,
    /// Whoever is at this source, but for those who are registered from there.
    Source,
}

/// A ban as it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    pub(super) key: Key,
    /// The source: an address, or the first one of an IPv6 /64.
    pub source: IpAddr,
    /// `user@domain`; `None` when the whole source is banned.
    pub account: Option<String>,
    /// When it began, in seconds since the Unix epoch.
    pub since: u64,
    /// When it ends, in seconds since the Unix epoch.
    pub until: u64,
}

#[derive(Debug, Default)]
struct State {
    bans: Vec<Ban>,
    /// The minute that log lines were last written in, how many, and how many were not.
    minute: u64,
    lines: u32,
    left_out: u32,
}

/// The list of bans.
#[derive(Debug, Default)]
pub struct Bans {
    state: Mutex<State>,
    /// What follows a command for this server.
    option: String,
}

impl Bans {
    /// An empty list. `option` follows the commands that the log names, so that they mean this server: ` --data-dir DIR` where
    /// they need it.
    pub fn told_with(option: String) -> Self {
        Self {
            option,
            ..Self::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a new ban, and logs it unless there were too many just now.
    pub fn note(&self, ban: Ban) {
        let mut state = self.state();
        state
            .bans
            .retain(|other| other.until > ban.since && other.key != ban.key);
        if state.bans.len() >= LISTED {
            state.bans.remove(0);
        }
        let minute = ban.since / 60;
        if state.minute != minute {
            if state.left_out > 0 {
                tracing::warn!(bans = state.left_out, "more were banned than is told here");
            }
            (state.minute, state.lines, state.left_out) = (minute, 0, 0);
        }
        if state.lines < LINES {
            state.lines += 1;
            let (source, option) = (ban.source, &self.option);
            let seconds = ban.until.saturating_sub(ban.since);
            match &ban.account {
                Some(account) => tracing::warn!(
                    %source,
                    account,
                    seconds,
                    "banned for wrong passwords; to lift it: strowger ctl unban {source} {}{option}",
                    shell_word(account)
                ),
                None => tracing::warn!(
                    %source,
                    seconds,
                    "banned for wrong passwords of many accounts; to lift it: strowger ctl unban {source}{option}"
                ),
            }
        } else {
            state.left_out += 1;
        }
        state.bans.push(ban);
    }

    /// The bans that have not ended.
    pub fn list(&self, now_secs: u64) -> Vec<Ban> {
        let mut state = self.state();
        state.bans.retain(|ban| ban.until > now_secs);
        state.bans.clone()
    }

    /// Takes out those that match.
    pub fn take(&self, matches: impl Fn(&Ban) -> bool) -> Vec<Ban> {
        self.state().bans.extract_if(.., |ban| matches(ban)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(number: u64, since: u64) -> Ban {
        Ban {
            key: Key(number),
            source: IpAddr::from([192, 0, 2, 1]),
            account: Some(format!("user{number}@example.test")),
            since,
            until: since + 100,
        }
    }

    #[test]
    fn the_list_is_bounded_and_forgets_what_has_ended() {
        let bans = Bans::default();
        for number in 0..LISTED as u64 + 5 {
            bans.note(ban(number, 1000));
        }
        assert_eq!(bans.list(1000).len(), LISTED);
        assert!(bans.list(1100).is_empty());
    }

    #[test]
    fn a_ban_that_begins_again_is_listed_once_and_can_be_taken_out() {
        let bans = Bans::default();
        bans.note(ban(1, 1000));
        bans.note(ban(1, 1050));
        bans.note(ban(2, 1050));
        assert_eq!(bans.list(1050).len(), 2);
        assert_eq!(bans.take(|ban| ban.key == Key(1)).len(), 1);
        assert_eq!(bans.list(1050), [ban(2, 1050)]);
    }
}
