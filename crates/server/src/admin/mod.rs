//! What an administrator asks of a node and tells it, as typed values: no HTTP here. The node implements
//! [`Admin`]; the console and the command line speak it.

mod bans;
mod dns;
mod explain;
mod groups;
mod metrics;
mod registrations;
mod reload;
mod secret;
mod trunks;
mod users;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Diagnostic;
use crate::explain::Explanation;

pub use bans::{Ban, Unban};
pub use dns::{DnsEntry, DnsFlush, DnsFlushed, DnsState};
pub use explain::{Explain, MESSAGE_LIMIT};
pub use groups::{DrainTarget, GroupTarget};
pub use metrics::{Family, Kind, Sample};
pub use registrations::{Deregister, Ending, Registration};
pub use reload::{ConfigStatus, Reloaded, rollback_after};
pub use secret::Secret;
pub use trunks::{Trunk, TrunkState};
pub use users::{IMPORT_BATCH, Import, LINE_LIMIT, LineError, Malformed, NewUser, User, UserId, import_line};

/// Most entries that one page carries.
pub const PAGE_LIMIT: u32 = 1000;

/// The administration of a running node. The futures are driven by the control runtime; the node asks its shards
/// and its store, and none of them waits for another administrator.
pub trait Admin: Send + Sync + 'static {
    /// How the node is.
    fn status(&self) -> impl Future<Output = Result<Status, AdminError>> + Send;

    /// Who is registered.
    fn registrations(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Registration>, AdminError>> + Send;

    /// Ends registrations, now or soon, and tells which; [`AdminError::NoSuchRegistration`] when there are none.
    fn deregister(
        &self,
        which: Deregister,
    ) -> impl Future<Output = Result<Vec<Registration>, AdminError>> + Send;

    /// Subscriptions to registrations.
    fn subscriptions(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Subscription>, AdminError>> + Send;

    /// Calls that are being set up or established, as far as the node keeps state of them.
    fn calls(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Call>, AdminError>> + Send;

    /// Users, by address.
    fn users(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<User>, AdminError>> + Send;

    /// Adds a user; [`AdminError::Exists`] when the address or an alias is taken.
    fn add_user(&self, user: NewUser) -> impl Future<Output = Result<User, AdminError>> + Send;

    /// Removes a user and its registrations.
    fn remove_user(&self, user: UserId) -> impl Future<Output = Result<(), AdminError>> + Send;

    /// Gives a user another password.
    fn set_password(
        &self,
        user: UserId,
        password: Secret,
    ) -> impl Future<Output = Result<(), AdminError>> + Send;

    /// Adds many users, or changes the passwords of those that exist. One batch is committed as a whole. The failures
    /// name users by their place in the batch, counted from 1, instead of by line.
    fn import_users(&self, users: Vec<NewUser>) -> impl Future<Output = Result<Import, AdminError>> + Send;

    /// The bans in force.
    fn bans(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Ban>, AdminError>> + Send;

    /// Lifts bans, and tells which; [`AdminError::NoSuchBan`] when there are none.
    fn unban(&self, which: Unban) -> impl Future<Output = Result<Vec<Ban>, AdminError>> + Send;

    /// What would become of a message, and why. Nothing is changed by it.
    fn explain(&self, asked: Explain) -> impl Future<Output = Result<Explanation, AdminError>> + Send;

    /// The targets of target groups.
    fn groups(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<GroupTarget>, AdminError>> + Send;

    /// Lets a target of a group run empty, or uses it again; [`AdminError::NoSuchTarget`] when there is none.
    fn drain_target(
        &self,
        which: DrainTarget,
    ) -> impl Future<Output = Result<GroupTarget, AdminError>> + Send;

    /// The trunks: providers that the node registers itself with.
    fn trunks(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Trunk>, AdminError>> + Send;

    /// What DNS has said of names, and which next hops are avoided because they have failed.
    fn dns(
        &self,
        filter: Filter,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<DnsEntry>, AdminError>> + Send;

    /// Forgets that, or part of it.
    fn flush_dns(&self, which: DnsFlush) -> impl Future<Output = Result<DnsFlushed, AdminError>> + Send;

    /// The figures of the node.
    fn metrics(&self) -> impl Future<Output = Result<Vec<Family>, AdminError>> + Send;

    /// Reads the configuration again and puts it into force, all of it or nothing. It comes back to the former one by itself
    /// after `rollback_after`, unless it is confirmed.
    fn reload(
        &self,
        rollback_after: Option<Duration>,
    ) -> impl Future<Output = Result<Reloaded, AdminError>> + Send;

    /// Keeps the configuration that would be rolled back.
    fn confirm_reload(&self) -> impl Future<Output = Result<Reloaded, AdminError>> + Send;

    /// Goes back to the former configuration at once.
    fn roll_back(&self) -> impl Future<Output = Result<Reloaded, AdminError>> + Send;

    /// Begins to drain: new work is refused, the process ends when what was begun is finished or the time is up.
    fn drain(&self) -> impl Future<Output = Result<(), AdminError>> + Send;
}

/// Why a query or command was not answered. Says whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminError {
    /// What was asked for is malformed.
    Invalid {
        /// What is wrong.
        what: String,
        /// What to write instead.
        mend: String,
    },
    /// There is no such user.
    NoSuchUser(UserId),
    /// The address or alias belongs to a user already.
    Exists(String),
    /// There is no such registration.
    NoSuchRegistration(String),
    /// There is no such ban.
    NoSuchBan(String),
    /// There is no such target of a group.
    NoSuchTarget(String),
    /// The node is stopping, or a shard did not answer in time.
    Unavailable(&'static str),
    /// The store failed; the text is its reason.
    Store(String),
    /// The configuration is wrong, or cannot be put into force while the node runs. Nothing has changed.
    Configuration(Vec<Diagnostic>),
    /// It does not go with what the node does at the moment.
    Conflict {
        /// Why.
        what: String,
        /// What to do instead.
        mend: String,
    },
}

impl AdminError {
    /// What to do about it, for people.
    pub fn mend(&self) -> String {
        match self {
            Self::Invalid { mend, .. } | Self::Conflict { mend, .. } => mend.clone(),
            Self::Configuration(_) => "mend it and reload again; the former one stays in force".to_owned(),
            Self::NoSuchUser(_) => "see `strowger user list`".to_owned(),
            Self::Exists(_) => {
                "choose another one, or change the password with `strowger user passwd`".to_owned()
            }
            Self::NoSuchRegistration(_) => "see `strowger ctl registrations`".to_owned(),
            Self::NoSuchBan(_) => "see `strowger ctl bans`".to_owned(),
            Self::NoSuchTarget(_) => "see `strowger ctl groups`".to_owned(),
            Self::Unavailable(_) => "try again".to_owned(),
            Self::Store(_) => {
                "look at the server's log, at the free space and at the permissions of the data directory"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { what, .. } | Self::Conflict { what, .. } => f.write_str(what),
            Self::Configuration(wrong) => match &wrong[..] {
                [only] => write!(f, "the configuration is refused: {only}"),
                [first, others @ ..] => write!(
                    f,
                    "the configuration is refused: {first} (and {} more)",
                    others.len()
                ),
                [] => f.write_str("the configuration is refused"),
            },
            Self::NoSuchUser(user) => write!(f, "there is no user {user}"),
            Self::Exists(name) => write!(f, "{name} exists already"),
            Self::NoSuchRegistration(id) => write!(f, "there is no registration of {id}"),
            Self::NoSuchBan(id) => write!(f, "there is no ban of {id}"),
            Self::NoSuchTarget(id) => write!(f, "there is no target {id}"),
            Self::Unavailable(why) => write!(f, "the node cannot answer: {why}"),
            Self::Store(why) => write!(f, "the store failed: {why}"),
        }
    }
}

impl std::error::Error for AdminError {}

impl From<Malformed> for AdminError {
    fn from(malformed: Malformed) -> Self {
        Self::Invalid {
            what: malformed.what,
            mend: malformed.mend,
        }
    }
}

/// Which entries to list: those that contain the text, ignoring case, in their address, contact or Call-ID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Filter {
    /// The text; empty matches all.
    #[serde(default)]
    pub q: String,
}

impl Filter {
    /// True when one of the texts contains what is asked for.
    pub fn matches(&self, texts: &[&str]) -> bool {
        if self.q.is_empty() {
            return true;
        }
        let wanted = self.q.to_ascii_lowercase();
        texts
            .iter()
            .any(|text| text.to_ascii_lowercase().contains(&wanted))
    }
}

/// Which part of a list to answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PageRequest {
    /// Where to go on: [`Page::next`] of the page before; empty for the first.
    pub after: String,
    /// Entries wanted, at most [`PAGE_LIMIT`].
    pub limit: u32,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            after: String::new(),
            limit: 100,
        }
    }
}

impl PageRequest {
    /// The first page of the greatest size.
    pub fn first() -> Self {
        Self {
            after: String::new(),
            limit: PAGE_LIMIT,
        }
    }

    /// How many entries to answer.
    pub fn entries(&self) -> usize {
        self.limit.clamp(1, PAGE_LIMIT) as usize
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries, in the order of their key.
    pub items: Vec<T>,
    /// What to ask for next; `None` at the end.
    pub next: Option<String>,
    /// Entries that match in all, when they were counted.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// Cuts one page out of all the entries that match, which may come in any order.
    pub fn cut(matching: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> &str) -> Self {
        let mut gathering = Gathering::new(request.clone());
        for entry in matching {
            gathering.offer(key(&entry).to_owned(), |_| entry);
        }
        gathering.page()
    }
}

/// Gathers one page of entries that come one by one, in any order, and may be too many to be held. As a page is found by the key
/// of the last entry before it, those of one key are all on one page, in the order in which they came, even if it has more than
/// were wanted: the contacts of an address, or the calls of one Call-ID, of which there are no more than calls.
#[derive(Debug)]
pub struct Gathering<T> {
    request: PageRequest,
    kept: BTreeMap<String, Vec<T>>,
    /// How many entries are kept.
    held: usize,
    more: bool,
    total: u64,
}

impl<T> Gathering<T> {
    /// Of nothing yet.
    pub fn new(request: PageRequest) -> Self {
        Self {
            request,
            kept: BTreeMap::new(),
            held: 0,
            more: false,
            total: 0,
        }
    }

    /// An entry that matches, by its key; it is made only if it may be on the page.
    pub fn offer(&mut self, key: String, make: impl FnOnce(&str) -> T) {
        self.total += 1;
        if key <= self.request.after && !self.request.after.is_empty() {
            return;
        }
        let is_full = self.held >= self.request.entries();
        if is_full && self.kept.last_key_value().is_some_and(|(last, _)| *last < key) {
            self.more = true;
            return;
        }
        let entry = make(&key);
        self.kept.entry(key).or_default().push(entry);
        self.held += 1;
        self.let_go();
    }

    /// Lets the last key go if the page is full without it.
    fn let_go(&mut self) {
        let Some(last) = self.kept.last_entry() else {
            return;
        };
        let left = self.held - last.get().len();
        if left >= self.request.entries() {
            last.remove();
            self.held = left;
            self.more = true;
        }
    }

    /// The page.
    pub fn page(self) -> Page<T> {
        let last = self.kept.last_key_value().map(|(key, _)| key.clone());
        Page {
            next: last.filter(|_| self.more),
            items: self.kept.into_values().flatten().collect(),
            total: Some(self.total),
        }
    }
}

/// How the node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Seconds since the start.
    pub uptime: u64,
    /// What it is doing.
    pub state: State,
    /// The listeners that are bound, as URIs.
    pub listeners: Vec<String>,
    /// The admin address.
    pub admin: Option<String>,
    /// Number of shards.
    pub shards: u16,
    /// What the node is responsible for.
    pub domains: Vec<String>,
    /// The absolute path of the data directory.
    pub data_dir: String,
    /// Digest authentication.
    pub auth: AuthStatus,
    /// Counts of what is held at this moment.
    pub counts: Counts,
    /// The configuration in force.
    pub config: ConfigStatus,
    /// Why registrations can't be stored, and what mends it; `None` while all is well.
    pub failing: Option<String>,
}

/// What the node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Working.
    Running,
    /// Finishing what it has begun.
    Draining,
}

/// Digest authentication as it is in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthStatus {
    /// Methods that are challenged; none when it is off.
    pub methods: Vec<String>,
    /// Algorithms offered, in order.
    pub algorithms: Vec<String>,
    /// Why it is on or off.
    pub because: String,
}

/// Counts of what is held at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Users.
    pub users: u64,
    /// Addresses-of-record that are registered.
    pub registered: u64,
    /// Contacts they are registered with.
    pub contacts: u64,
    /// Calls being set up or established.
    pub calls: u64,
    /// Server and client transactions.
    pub transactions: u64,
    /// Open connections.
    pub connections: u64,
    /// Accounts and sources that are banned for wrong passwords.
    pub bans: u64,
}

/// One subscription (RFC 6665).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its name: the tag of our side of its dialog.
    pub id: String,
    /// The event package.
    pub event: String,
    /// The address-of-record that it is about.
    pub aor: String,
    /// The subscriber's contact.
    pub subscriber: String,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// How often the subscriber was notified, or more often after a restart.
    pub notified: u32,
    /// The transport that the last SUBSCRIBE came by.
    pub transport: String,
    /// Where it came from.
    pub source: SocketAddr,
    /// The Call-ID of its dialog.
    pub call_id: String,
}

/// One call that the node keeps state of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The Call-ID.
    pub call_id: String,
    /// The caller's address.
    pub from: String,
    /// The callee's address.
    pub to: String,
    /// How far it is.
    pub state: CallState,
    /// When its INVITE was let through (behind challenges, before the next hop was found), in seconds since the Unix epoch.
    pub since: u64,
    /// Branches it was forked to.
    pub branches: u16,
    /// Where the INVITE came from.
    pub source: Option<SocketAddr>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallState {
    /// No answer yet.
    Trying,
    /// At least one branch rings.
    Ringing,
    /// Answered.
    Established,
    /// Being given up.
    Cancelling,
}

impl CallState {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Ringing => "ringing",
            Self::Established => "established",
            Self::Cancelling => "cancelling",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let all: Vec<String> = (0..25).rev().map(|number| format!("u{number:02}")).collect();
        let mut request = PageRequest {
            limit: 10,
            ..PageRequest::default()
        };
        let mut seen = Vec::new();
        for expected in [10, 10, 5] {
            let page = Page::cut(all.clone(), &request, String::as_str);
            assert_eq!((page.items.len(), page.total), (expected, Some(25)));
            seen.extend(page.items);
            request.after = page.next.unwrap_or_default();
        }
        assert!(request.after.is_empty());
        assert_eq!(
            seen,
            (0..25).map(|number| format!("u{number:02}")).collect::<Vec<_>>()
        );
    }

    #[test]
    fn entries_of_one_key_are_on_one_page_in_their_order() {
        let all = ["c1", "a1", "b1", "b2", "a2", "b3", "d1"];
        let pages = |limit| {
            let mut request = PageRequest {
                limit,
                ..PageRequest::default()
            };
            let mut pages = Vec::new();
            loop {
                let page = Page::cut(all.to_vec(), &request, |entry| &entry[..1]);
                assert_eq!(page.total, Some(7));
                pages.push(page.items.join(" "));
                match page.next {
                    Some(next) => request.after = next,
                    None => return pages,
                }
            }
        };
        assert_eq!(pages(1), ["a1 a2", "b1 b2 b3", "c1", "d1"]);
        assert_eq!(pages(2), ["a1 a2", "b1 b2 b3", "c1 d1"]);
        assert_eq!(pages(3), ["a1 a2 b1 b2 b3", "c1 d1"]);
        assert_eq!(pages(6), ["a1 a2 b1 b2 b3 c1", "d1"]);
        assert_eq!(pages(7), ["a1 a2 b1 b2 b3 c1 d1"]);
    }

    #[test]
    fn the_pages_of_what_comes_in_any_order_are_all_of_it_in_order() {
        let all: Vec<String> = (0..25).map(|number| format!("u{:02}", number * 7 % 25)).collect();
        let sorted: Vec<String> = (0..25).map(|number| format!("u{number:02}")).collect();
        for limit in [1, 10, 24, 25, 26] {
            let mut request = PageRequest {
                limit,
                ..PageRequest::default()
            };
            let mut pages = sorted.chunks(limit as usize).peekable();
            while let Some(expected) = pages.next() {
                let page = Page::cut(all.clone(), &request, String::as_str);
                let next = pages.peek().and_then(|_| expected.last());
                assert_eq!((&page.items[..], page.next.as_ref()), (expected, next));
                assert_eq!(page.total, Some(25));
                request.after = page.next.unwrap_or_default();
            }
        }
    }

    #[test]
    fn a_page_is_never_larger_than_the_limit() {
        assert_eq!(
            PageRequest {
                limit: u32::MAX,
                ..PageRequest::default()
            }
            .entries(),
            1000
        );
        assert_eq!(
            PageRequest {
                limit: 0,
                ..PageRequest::default()
            }
            .entries(),
            1
        );
    }

    #[test]
    fn a_filter_ignores_case() {
        let filter = Filter {
            q: "ALICE".to_owned(),
        };
        assert!(filter.matches(&["x", "sip:alice@example.test"]));
        assert!(!filter.matches(&["sip:bob@example.test"]));
        assert!(Filter::default().matches(&[]));
    }
}
