//! What is asked and told about the configuration of a node that runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Malformed;
use crate::config::read_duration;

/// The times after which a configuration may be rolled back.
const ROLLBACK_AFTER: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Reads how long a configuration is in force unless it is confirmed: `60s`, as in a configuration file.
///
/// # Errors
/// What is no duration, or one below a second or above a day.
pub fn rollback_after(text: &str) -> Result<Duration, Malformed> {
    let (what, mend) = match read_duration(text) {
        Ok(duration) if ROLLBACK_AFTER.contains(&duration) => return Ok(duration),
        Ok(_) => (
            format!("`{text}` is out of range"),
            "write a duration from 1s to 1d".to_owned(),
        ),
        Err(wrong) => wrong,
    };
    Err(Malformed { what, mend })
}

/// A configuration that was put into force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Counts the configurations since the start, which had the first.
    pub generation: u64,
    /// Listeners that are new, as URIs.
    pub added: Vec<String>,
    /// Those that take no new work any more.
    pub removed: Vec<String>,
    /// Seconds until the former configuration comes back unless this one is confirmed.
    pub rollback_in: Option<u64>,
}

/// The configuration in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// The file that is read again.
    pub file: Option<String>,
    /// Counts the configurations since the start, which had the first.
    pub generation: u64,
    /// When it was put into force, in seconds since the Unix epoch.
    pub since: u64,
    /// Seconds until the former configuration comes back unless this one is confirmed.
    pub rollback_in: Option<u64>,
    /// Why it has not come back although the time is over.
    pub stuck: Option<String>,
}
