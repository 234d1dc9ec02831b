//! `[[route]]`: what becomes of which requests. The first one that matches decides.

mod keys;
mod rules;
mod target;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use strowger_syntax::{Status, Transport};

use super::value::ListenUri;
use super::{Cidr, Fork, Mode};

pub(super) use keys::{ROUTE, WHEN, read_routes};
pub(super) use rules::check_references;
pub use target::{Takes, TargetUri};
pub(super) use words::length as read_length;

/// Where something was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The file as it was named to us.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u32,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// What logs and explanations call it.
    pub name: String,
    /// Where it is in the file.
    pub written: Written,
    /// Which requests it is for; all of them have to fit.
    pub when: When,
    /// What becomes of them.
    pub action: Action,
    /// The role for them (RFC 3261 §16.1, §8.3); the node's without it.
    pub mode: Option<Mode>,
    /// How several targets are tried.
    pub fork: Option<Fork>,
    /// Whether 3xx answers of targets are followed (RFC 3261 §16.7 step 4).
    pub recurse: Option<bool>,
    /// Whether to stay on the path (RFC 3261 §16.6 step 4).
    pub record_route: Option<bool>,
    /// How long each target may ring.
    pub ring_timeout: Option<Duration>,
    /// What the called number becomes.
    pub number: Option<Translation>,
    /// What changes in the header of what is forwarded.
    pub headers: Vec<HeaderRule>,
    /// Whether it may lead strangers to targets that are not ours.
    pub open: bool,
}

/// The conditions of a route. What is empty or `None` asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// Methods; ACK and CANCEL go with INVITE.
    pub method: Vec<String>,
    /// A regular expression on the Request-URI.
    pub to: Option<String>,
    /// Hosts of the Request-URI, in lower case.
    pub domain: Vec<String>,
    /// Users or numbers of the Request-URI.
    pub user: Vec<String>,
    /// What users or numbers begin with.
    pub prefix: Vec<String>,
    /// How many characters the user or the number has.
    pub length: Option<(u16, u16)>,
    /// A regular expression on the URI of From.
    pub from: Option<String>,
    /// Where it comes from.
    pub source: Vec<Cidr>,
    /// The transports it came by.
    pub transport: Vec<Transport>,
    /// The listeners it came to.
    pub listener: Vec<ListenUri>,
    /// Regular expressions on fields of the header, by their names.
    pub header: Vec<(String, String)>,
    /// Whether its sender has shown who it is.
    pub authenticated: Option<bool>,
    /// Whether it is within a dialog. Without it, routes are for requests outside of dialogs.
    pub in_dialog: Option<bool>,
}

/// What becomes of the requests of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// What would without the route, with what the route says beside it.
    BuiltIn,
    /// They go to these.
    Targets(Vec<TargetUri>),
    /// They go to a target group.
    Group(String),
    /// They are answered with a refusal.
    Reply(Reply),
    /// They are answered with where else to ask (RFC 3261 §8.3).
    Redirect(Redirect),
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its Status-Code.
    pub status: Status,
    /// Its Reason-Phrase; the usual one if empty.
    pub reason: String,
}

/// A redirection.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// 300, 301, 302, 305 or 380.
    pub status: Status,
    /// Where to; where our user is registered if empty.
    pub contacts: Vec<ContactUri>,
    /// How long it holds, for contacts that do not say.
    pub expires: Option<Duration>,
}

/// One contact of a redirection.
#[derive(Clone, Debug, PartialEq)]
pub struct ContactUri {
    /// Its URI.
    pub target: TargetUri,
    /// Thousandths of its q (RFC 3261 §20.10).
    pub q: Option<u16>,
    /// How long it holds.
    pub expires: Option<Duration>,
}

/// What becomes of a called number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// How many characters are cut off at its beginning.
    pub strip: u16,
    /// What is put before it then.
    pub prefix: String,
    /// What is put behind it.
    pub suffix: String,
}

/// A change of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderRule {
    /// A field more.
    Add(String, String),
    /// All fields of a name gone.
    Remove(String),
    /// This field instead of all of its name.
    Set(String, String),
}
