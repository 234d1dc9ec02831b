//! The node's configuration: one typed tree, read from TOML and checked as a whole before anything of it is
//! applied. Every key is defined once, in `schema`, and that definition reads it, checks it and documents it.
//! What follows from the tree (listeners, whether digest is on, which hosts are ours) is in [`effective`].

mod auth;
mod defence;
mod diagnostic;
mod dial_plan;
mod dns;
mod domain_aliases;
pub mod effective;
mod events;
mod flags;
pub(crate) mod group;
mod home;
mod listen;
mod location;
mod multicast;
mod nat;
mod push;
mod read;
mod reference;
mod register;
mod registering;
pub mod route;
mod schema;
mod secret;
mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod users;
mod value;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

pub use crate::location::Durability;
pub use strowger_sip::auth::Algorithm;

pub use defence::Defence;
pub use diagnostic::{Diagnostic, Place};
pub use dial_plan::DialPlan;
pub use dns::Dns;
pub use events::Events;
pub use flags::{Flags, Switch};
pub use group::{Group, GroupTarget, Probe};
pub use listen::Advertise;
pub use location::Location;
pub use nat::{KeepAlive, Nat};
pub use push::{Push, PushProvider, Unserved};
pub use reference::reference;
pub use register::Register;
pub use registering::{Others, ThirdParty};
pub use route::Route;
pub use secret::{SecretPlace, Unreadable};
pub use source::{Key, LoadError, Loaded, Source, data_dir_in};
pub use users::{LookupMethod, UserLookup, UserSource};
pub use value::{AdminListen, Cidr, HostPort, ListenUri, transport_name};

/// Everything that can be configured. [`Config::default`] is what a node does with no configuration at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Domains this node is responsible for, in lower case; empty means its own addresses and names.
    pub domains: Vec<String>,
    /// Other names of these domains, in lower case, each with its domain.
    pub domain_aliases: Vec<(String, String)>,
    /// Where data is kept, relative to the working directory.
    pub data_dir: PathBuf,
    /// Number of shards; `None` is one per core.
    pub shards: Option<u16>,
    /// Sources that need not authenticate.
    pub trusted: Vec<Cidr>,
    /// How long a stopping node waits for what it has begun.
    pub drain: Duration,
    /// How long a message may wait for others at a moderate load.
    pub longest_nap: Duration,
    /// Listeners as asked for; empty means the default ones ([`effective::listeners`]).
    pub listen: Vec<Listen>,
    /// Administration.
    pub admin: Admin,
    /// Digest authentication (RFC 3261 §22, RFC 8760).
    pub auth: Auth,
    /// How a server is asked for users, if they come from one.
    pub user_lookup: UserLookup,
    /// Registrar and location service (RFC 3261 §10).
    pub location: Location,
    /// Subscriptions (RFC 6665).
    pub events: Events,
    /// Proxy (RFC 3261 §16).
    pub proxy: Proxy,
    /// Phones behind a NAT.
    pub nat: Nat,
    /// How devices that sleep are woken (RFC 8599).
    pub push: Push,
    /// How names of next hops are looked up.
    pub dns: Dns,
    /// Bounds on what peers can make the node hold.
    pub limits: Limits,
    /// What is held against sources.
    pub defence: Defence,
    /// Logging.
    pub log: Log,
    /// What becomes of which requests, in the order of the file.
    pub route: Vec<Route>,
    /// Target groups.
    pub group: Vec<Group>,
    /// Providers that the node registers itself with.
    pub register: Vec<Register>,
    /// What dialled numbers mean; `None` takes them as they are.
    pub dial_plan: Option<DialPlan>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            domain_aliases: Vec::new(),
            data_dir: PathBuf::from("strowger-data"),
            shards: None,
            trusted: Vec::new(),
            drain: Duration::from_secs(5),
            longest_nap: Duration::from_micros(300),
            listen: Vec::new(),
            admin: Admin::default(),
            auth: Auth::default(),
            user_lookup: UserLookup::default(),
            location: Location::default(),
            events: Events::default(),
            proxy: Proxy::default(),
            nat: Nat::default(),
            push: Push::default(),
            dns: Dns::default(),
            limits: Limits::default(),
            defence: Defence::default(),
            log: Log::default(),
            route: Vec::new(),
            group: Vec::new(),
            register: Vec::new(),
            dial_plan: None,
        }
    }
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Transport, address and port.
    pub uri: ListenUri,
    /// What to write into Via, Record-Route, Path and Contact instead of the listener's address: the first one that is for the
    /// peer.
    pub advertise: Vec<Advertise>,
    /// The multicast group that is heard at its port, where phones look for their registrar (RFC 3261 §10.2.6).
    pub multicast: Option<Multicast>,
    /// Certificate chain (PEM), for tls and wss.
    pub certificate: Option<PathBuf>,
    /// Private key (PEM), for tls and wss.
    pub key: Option<PathBuf>,
}

/// A multicast group that is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multicast {
    /// Its address.
    pub group: IpAddr,
    /// How many routers answers to it may pass.
    pub ttl: u8,
}

impl Multicast {
    /// "All SIP servers" (sip.mcast.net, RFC 3261 §10.2.6).
    pub const ALL_SERVERS: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 1, 75));
}

impl Listen {
    /// A listener with nothing but its URI.
    pub fn plain(uri: ListenUri) -> Self {
        Self {
            uri,
            advertise: Vec::new(),
            multicast: None,
            certificate: None,
            key: None,
        }
    }
}

/// Administration over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// Where.
    pub listen: AdminListen,
    /// Host names, besides loopback's, that a request may ask for.
    pub names: Vec<String>,
}

/// Digest authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Which requests are challenged.
    pub methods: AuthMethods,
    /// One challenge each, in this order.
    pub algorithms: Vec<Algorithm>,
    /// Where users come from.
    pub users: UserSource,
}

/// Methods that are challenged by default once digest is on.
pub const DEFAULT_METHODS: [&str; 2] = ["REGISTER", "INVITE"];

impl Default for Auth {
    fn default() -> Self {
        Self {
            methods: AuthMethods::Automatic,
            algorithms: vec![Algorithm::Md5],
            users: UserSource::Kept,
        }
    }
}

/// Which requests are challenged, as far as somebody said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthMethods {
    /// Nobody said: [`DEFAULT_METHODS`] when a listener is not loopback, else none.
    #[default]
    Automatic,
    /// Exactly these (upper case); none at all switches digest off.
    Explicit(Vec<String>),
}

/// Where bindings live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In memory and in SQLite in the data directory.
    Sqlite,
    /// In memory only: gone with the process.
    Memory,
}

/// The proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What the node does with requests for others.
    pub mode: Mode,
    /// Stay on the path of later requests of a dialog (RFC 3261 §16.6 step 4).
    pub record_route: bool,
    /// The proxy that whatever is foreign goes through.
    pub outbound: Option<route::TargetUri>,
    /// How several contacts are tried.
    pub fork: Fork,
    /// How long a target rings before the next group is tried.
    pub ring_timeout: Duration,
    /// Follow 3xx answers of targets (RFC 3261 §16.7 step 4).
    pub recurse: bool,
    /// Requests of more bytes go by TCP (RFC 3261 §18.1.1).
    pub udp_limit: u16,
    /// A next hop that says nothing at all is given up after this.
    pub next_hop_timeout: Duration,
    /// Timer C: how long a branch of an INVITE may ring (RFC 3261 §16.6 step 11).
    pub timer_c: Duration,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            mode: Mode::Stateful,
            record_route: true,
            outbound: None,
            fork: Fork::Parallel,
            ring_timeout: Duration::from_secs(20),
            recurse: false,
            udp_limit: 1300,
            next_hop_timeout: Duration::from_secs(3),
            timer_c: Duration::from_secs(181),
        }
    }
}

/// What the node does with requests for others; the stricter ones are the greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Answers with 3xx (RFC 3261 §8.3).
    Redirect,
    /// Forwards without state (RFC 3261 §16.11).
    Stateless,
    /// Forwards with transactions (RFC 3261 §16.2), and forgets the dialog.
    Transaction,
    /// Forwards with transactions, stays on the path and follows the dialog (RFC 3261 §6, "call stateful").
    Stateful,
}

/// How several contacts are tried (RFC 3261 §16.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// All at once.
    Parallel,
    /// One after the other, by falling q.
    Sequential,
}

/// Bounds on what peers can make the node hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message's body.
    pub body_size: u32,
    /// Open TCP connections, all shards together.
    pub tcp_connections: u32,
    /// TCP connections that one source may have open to the node.
    pub tcp_connections_per_source: u32,
    /// A TCP connection without traffic is closed after this.
    pub tcp_idle: Duration,
    /// Megabytes of messages that one shard keeps for its transactions; beyond, requests get 503.
    pub transaction_megabytes: u32,
    /// Transactions of one shard; beyond, requests get 503.
    pub transactions: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_size: 262_144,
            tcp_connections: 65_536,
            tcp_connections_per_source: 4096,
            tcp_idle: Duration::from_secs(3900),
            transaction_megabytes: 1024,
            transactions: 1_048_576,
        }
    }
}

/// Logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is written.
    pub level: Level,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info }
    }
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The node cannot do its work.
    Error,
    /// Something needs attention.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Reads a duration as the file has them: numbers with `us`, `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// What is wrong, and how to mend it.
pub fn read_duration(text: &str) -> Result<Duration, (String, String)> {
    value::duration(text).map_err(|complaint| (complaint.what, complaint.mend))
}

/// Reads and checks a whole configuration. `path` is only what diagnostics call the file.
///
/// # Errors
/// Every error of the text, in its order: what is no UTF-8 or no TOML, unknown keys, wrong types, wrong values, and what
/// this build does not carry.
pub fn check(text: impl AsRef<[u8]>, path: &str) -> Result<Config, Vec<Diagnostic>> {
    let bytes = text.as_ref();
    match std::str::from_utf8(bytes) {
        Ok(text) => schema::check(text, path),
        Err(error) => Err(diagnostic::not_utf8(bytes, error, path)),
    }
}
