//! `[auth] users` and `[user_lookup]`: where users come from, and how a server is asked for them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::diagnostic::Complaint;
use super::read::{Given, Key};
use super::schema::{s, set};
use crate::http::{RequestError, Url};

/// Where users come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserSource {
    /// The node keeps them, in SQLite in the data directory.
    #[default]
    Kept,
    /// A file that somebody else writes.
    File(PathBuf),
    /// An HTTP server that is asked for each; the URL.
    Server(String),
}

impl fmt::Display for UserSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("the data directory"),
            Self::File(path) => path.display().fmt(f),
            // Path and query may contain secrets.
            Self::Server(url) => match Url::parse(url) {
                Ok(url) => url.fmt(f),
                Err(_) => f.write_str("an HTTP server"),
            },
        }
    }
}

/// Reads where users come from.
pub(super) fn user_source(text: &str) -> Result<UserSource, Complaint> {
    const MEND: &str = "write \"sqlite\", \"file:PATH\" or \"https://HOST/PATH\"";
    if text == "sqlite" {
        return Ok(UserSource::Kept);
    }
    match text.strip_prefix("file:") {
        Some("") => return Err(Complaint::new("`auth.users` names no file", MEND)),
        Some(path) => return Ok(UserSource::File(PathBuf::from(path))),
        None => {}
    }
    if !text.contains("://") {
        let what = format!("`auth.users` cannot be `{text}`");
        return Err(Complaint::new(what, MEND));
    }
    match Url::parse(text) {
        Ok(url) if url.is_plain() && !url.is_loopback() => Err(Complaint::new(
            format!("what {url} answers could be read and changed on the way"),
            "write https://, or let a server on this machine ask it",
        )),
        Ok(_) => Ok(UserSource::Server(text.to_owned())),
        Err(RequestError::UserInfo) => Err(Complaint::new(
            "the URL of `auth.users` has a user name or password, which would be shown",
            "put a token into a file, and name that as `token_file` in [user_lookup]",
        )),
        Err(why) => Err(Complaint::new(format!("`auth.users`: {why}"), MEND)),
    }
}

/// How the server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLookup {
    /// By which method.
    pub method: LookupMethod,
    /// The file that has the bearer token (RFC 6750 §2.1).
    pub token_file: Option<PathBuf>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long it holds.
    pub ttl: Duration,
    /// How long it holds that there is no such user, or that a password is wrong.
    pub negative_ttl: Duration,
    /// How long an answer that no longer holds is used while the server fails.
    pub stale: Duration,
    /// Users of which answers are kept.
    pub cache_entries: u32,
    /// Questions under way at once.
    pub at_once: u16,
    /// Requests of one shard that may wait for answers.
    pub waiting: u32,
}

/// How a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupMethod {
    /// In the query of the URL.
    Get,
    /// As a JSON object.
    Post,
}

impl Default for UserLookup {
    fn default() -> Self {
        Self {
            method: LookupMethod::Get,
            token_file: None,
            timeout: Duration::from_secs(2),
            ttl: Duration::from_secs(300),
            negative_ttl: Duration::from_secs(30),
            stale: Duration::from_secs(3600),
            cache_entries: 100_000,
            at_once: 64,
            waiting: 1000,
        }
    }
}

pub(super) const USER_LOOKUP: &[Key<UserLookup>] = &[
    Key {
        name: "method",
        example: r#""GET""#,
        given: Given::Default,
        doc: "GET puts user, domain and realm into the query of the URL, POST into a JSON object.",
        read: |lookup, item, report| {
            let words = [("GET", LookupMethod::Get), ("POST", LookupMethod::Post)];
            set(&mut lookup.method, item.word(&words, report));
        },
    },
    Key {
        name: "token_file",
        example: r#""users.token""#,
        given: Given::Example,
        doc: "A file with the token that the server wants (Authorization: Bearer), read at the start.",
        read: |lookup, item, report| lookup.token_file = item.string(report).map(PathBuf::from),
    },
    Key {
        name: "timeout",
        example: r#""2s""#,
        given: Given::Default,
        doc: "How long an answer may take. The SIP request waits for it; what comes too late or fails gets 503.",
        read: |lookup, item, report| {
            let bounds = Duration::from_millis(100)..=s(10);
            set(&mut lookup.timeout, item.duration(bounds, report));
        },
    },
    Key {
        name: "ttl",
        example: r#""5m""#,
        given: Given::Default,
        doc: "How long an answer holds.",
        read: |lookup, item, report| set(&mut lookup.ttl, item.duration(s(1)..=s(86_400), report)),
    },
    Key {
        name: "negative_ttl",
        example: r#""30s""#,
        given: Given::Default,
        doc: "How long it holds that there is no such user. A wrong password is asked about as often, so a changed one counts at \
              once, and nobody learns by the time that it takes who exists.",
        read: |lookup, item, report| set(&mut lookup.negative_ttl, item.duration(s(1)..=s(3600), report)),
    },
    Key {
        name: "stale",
        example: r#""1h""#,
        given: Given::Default,
        doc: "How long after that an answer is still used while the server fails; \"0s\" never does.",
        read: |lookup, item, report| set(&mut lookup.stale, item.duration(s(0)..=s(604_800), report)),
    },
    Key {
        name: "cache_entries",
        example: "100000",
        given: Given::Default,
        doc: "Users and aliases of which answers are kept, and a quarter as many names that are nobody's.",
        read: |lookup, item, report| {
            set(&mut lookup.cache_entries, item.integer(16..=10_000_000, report));
        },
    },
    Key {
        name: "at_once",
        example: "64",
        given: Given::Default,
        doc: "Questions under way at once, one for each user.",
        read: |lookup, item, report| set(&mut lookup.at_once, item.integer(1..=1024, report)),
    },
    Key {
        name: "waiting",
        example: "1000",
        given: Given::Default,
        doc: "SIP requests of one shard that may wait for answers; what comes beyond gets 503.",
        read: |lookup, item, report| set(&mut lookup.waiting, item.integer(1..=65_536, report)),
    },
];
