//! Bans as administrators see them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use strowger_net::source_of;

use super::AdminError;
use crate::defence;

/// A ban in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Its name: the source, and the account behind a space when only that is banned.
    pub id: String,
    /// The source: an IPv4 address, or an IPv6 /64.
    pub source: String,
    /// `user@domain`; `None` when the whole source is banned.
    pub account: Option<String>,
    /// When it began, in seconds since the Unix epoch.
    pub since: u64,
    /// Seconds until it ends.
    pub expires_in: u64,
}

impl Ban {
    /// A ban of the node's, at this time.
    pub fn of(ban: &defence::Ban, now_secs: u64) -> Self {
        let source = match ban.source {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("{v6}/64"),
        };
        let id = match &ban.account {
            Some(account) => format!("{source} {account}"),
            None => source.clone(),
        };
        Self {
            id,
            source,
            account: ban.account.clone(),
            since: ban.since,
            expires_in: ban.until.saturating_sub(now_secs),
        }
    }
}

/// Which bans to lift: all of a source, or the one of an account there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unban {
    /// The source: an address, or a /64.
    pub source: String,
    /// `user@domain`; `None` for all bans of the source.
    #[serde(default)]
    pub account: Option<String>,
}

impl Unban {
    /// The source as bans have it.
    ///
    /// # Errors
    /// It is no address.
    pub fn source(&self) -> Result<IpAddr, AdminError> {
        let text = self.source.strip_suffix("/64").unwrap_or(&self.source);
        let ip = text.parse().map_err(|_| AdminError::Invalid {
            what: format!("`{}` is not an IP address", self.source),
            mend: "write it as `strowger ctl bans` shows it".to_owned(),
        });
        ip.map(source_of)
    }

    /// What it names, as a [`Ban::id`].
    pub fn id(&self) -> String {
        match &self.account {
            Some(account) => format!("{} {account}", self.source),
            None => self.source.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_understood_as_it_is_shown_and_as_any_of_its_addresses() {
        let of = |source: &str| {
            let unban = Unban {
                source: source.to_owned(),
                account: None,
            };
            unban.source()
        };
        assert_eq!(of("2001:db8::/64"), of("2001:db8::7"));
        assert_eq!(of("192.0.2.7"), Ok(IpAddr::from([192, 0, 2, 7])));
        for wrong in ["", "alice", "192.0.2.0/24"] {
            assert!(matches!(of(wrong), Err(AdminError::Invalid { .. })), "{wrong}");
        }
    }
}
