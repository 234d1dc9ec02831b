//! What a site is made of, and the nodes that are made of it.

use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strowger_net::Application;
use strowger_server::admin::{NewUser, Secret};
use strowger_server::config::effective::{self, Machine};
use strowger_server::config::{self, Fork, Listen, ListenUri, Mode};
use strowger_server::data_dir::DataDir;
use strowger_server::defence::Defence;
use strowger_server::dns::{Dns, Question};
use strowger_server::events::{self, Events, Kept, Most, Settled};
use strowger_server::location::{Durability, Location, Memory};
use strowger_server::node::{EventPolicy, Journal, JournalEnd, Node, NodePolicy, Shared, Tally, Visitors};
use strowger_server::push::{Ask, Services};
use strowger_server::routing::Routes;
use strowger_server::subscriber::{self, Subscribers};
use strowger_sip::auth::{Algorithm, NonceTable};
use strowger_sip::event::Durations;
use strowger_sip::transaction::Timers;
use strowger_sip::transport::{Listener, Listeners};
use strowger_sip::{EndpointConfig, registrar};
use strowger_syntax::Limits;
use tokio::sync::mpsc;

use crate::peer;
use crate::scratch::Scratch;
use crate::site::BEGIN;
use crate::slow_store::SlowStore;

/// The domain that is ours.
const DOMAIN: &str = "example.test";

/// This start of the node.
const BOOT: u32 = 9;

/// Users and their aliases; their passwords are [`peer::password`]'s.
const USERS: [(&str, &[&str]); 3] = [("alice", &["1001"]), ("bob", &["1002"]), ("carol", &[])];

/// Makes one call of a node and tells what it cost, in a unit of its own.
pub type Meter = fn(call: &mut dyn FnMut()) -> u64;

/// What a site is made of. Its domain is `example.test`; it listens at 192.0.2.1 with UDP and TCP and at 127.0.0.1 with UDP, port
/// 5060 each.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many shards there are.
    pub shards: u16,
    /// The domains that are ours beside `example.test`.
    pub domains: &'static [&'static str],
    /// How many users there are beside alice, bob and carol: `u0` and so on.
    pub users: usize,
    /// Methods that are challenged.
    pub challenged: &'static [&'static str],
    /// Digest algorithms, the preferred one first.
    pub algorithms: Vec<Algorithm>,
    /// Sources that need not authenticate, as in the configuration.
    pub trusted: &'static [&'static str],
    /// What becomes of requests for others.
    pub mode: Mode,
    /// Routes, target groups, the dial plan and push services, as in the configuration.
    pub routing: &'static str,
    /// How several contacts of a user are tried; they ring for 10 s when others wait.
    pub fork: Fork,
    /// Whether the contacts of a 3xx are tried.
    pub recurse: bool,
    /// Transactions of one shard; beyond, requests get 503.
    pub max_transactions: usize,
    /// Bytes that a shard keeps for its transactions.
    pub max_kept_bytes: usize,
    /// Whether commits of registrations wait until the test answers them.
    pub slow_store: bool,
    /// How a server is asked for users; `None` lets the node keep them.
    pub user_lookup: Option<config::UserLookup>,
    /// What is held against sources.
    pub defence: config::Defence,
    /// The Service-Route line of answers to REGISTER.
    pub service_route: &'static str,
    /// The most subscriptions that there may be.
    pub subscriptions: Most,
    /// A directory in which subscriptions are kept, those that are there already too; `None` keeps none.
    pub subscriptions_in: Option<PathBuf>,
    /// Users who may watch everybody's registrations.
    pub watchers: &'static [&'static str],
    /// What is done for phones behind a NAT; nothing, unless a test wants it.
    pub nat: config::Nat,
    /// Questions to the resolver that may wait.
    pub questions: usize,
    /// Around every call of a node.
    pub meter: Meter,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            shards: 1,
            domains: &[],
            users: 0,
            challenged: &[],
            algorithms: vec![Algorithm::Md5],
            trusted: &[],
            mode: Mode::Stateful,
            routing: "",
            fork: Fork::Parallel,
            recurse: false,
            max_transactions: 1000,
            max_kept_bytes: 1 << 30,
            slow_store: false,
            user_lookup: None,
            defence: config::Defence::default(),
            service_route: "",
            subscriptions: Most {
                per_aor: 4,
                per_source: 8,
                total: 16,
            },
            subscriptions_in: None,
            watchers: &[],
            nat: config::Nat {
                keep_alive: config::KeepAlive::Off,
                ..config::Nat::default()
            },
            questions: 8,
            meter: |call| {
                call();
                0
            },
        }
    }
}

/// Shards that are to be told that bindings have changed.
pub(crate) type Changes = Arc<Mutex<Vec<u16>>>;

/// The node of one shard, and what it tells the world besides messages.
pub(crate) struct Shard {
    pub(crate) node: Node,
    pub(crate) tally: Arc<Tally>,
    pub(crate) journal: JournalEnd,
}

impl Shard {
    fn new(number: u16, shared: &Arc<Shared>, endpoint: &EndpointConfig) -> Self {
        let (journal, end) = Journal::new(true);
        let tally = Arc::new(Tally::default());
        let node = Node::new(number, Arc::clone(shared), endpoint, journal, Arc::clone(&tally));
        Self {
            node,
            tally,
            journal: end,
        }
    }

    /// That nothing is left of all that it has done.
    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.tally.transactions(), 0, "transactions");
        assert_eq!(self.tally.calls(), 0, "calls");
        assert_eq!(self.tally.kept_bytes(), 0, "bytes of messages");
        assert!(self.node.is_idle(), "contexts, look-ups or registrations");
        assert_eq!(self.node.deadline(), None, "timers");
    }
}

/// What a plan comes to.
pub(crate) struct Built {
    pub(crate) shards: Vec<Shard>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) endpoint: Arc<EndpointConfig>,
    pub(crate) questions: mpsc::Receiver<Question>,
    pub(crate) pushes: mpsc::Receiver<Ask>,
    pub(crate) user_questions: Option<mpsc::Receiver<subscriber::Question>>,
    pub(crate) store: Option<SlowStore>,
    pub(crate) settled: blocking::Receiver<Settled>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) changes: Changes,
    pub(crate) scratch: Scratch,
}

impl Plan {
    /// Makes the nodes, over a location service of the test's if it has one.
    pub(crate) fn build(self, given: Option<Arc<dyn Location>>) -> Built {
        let scratch = Scratch::new();
        let (location, store) = given.map_or_else(|| location(self.slow_store), |given| (given, None));
        let config = self.config();
        let endpoint = endpoint(self.shards);
        let (dns, questions) = Dns::with_questions(&config.dns, [8; 16], self.questions);
        dns.carry(&endpoint.listeners);
        let (push, pushes) = Services::new(&config.push, [2; 16]);
        let (subscribers, user_questions) = self.subscribers(&scratch);
        let (settle, settled) = blocking::channel();
        let (events, kept) = events_of(self.subscriptions_in.as_deref(), settle);
        let shared = Arc::new(Shared {
            visitors: Arc::new(Visitors::of(&*location)),
            ours: effective::ours(&config, &listens(), &Machine::default()),
            policy: NodePolicy {
                challenged: self.challenged.iter().map(|&method| method.to_owned()).collect(),
                algorithms: self.algorithms,
                trusted: config.trusted.clone(),
                visitors: config.location.visitors.clone(),
                max_visitors: config.location.max_visitors as usize,
                third_parties: config.location.third_parties.clone(),
                routes: Arc::new(Routes::new(&config)),
                udp_limit: 1300,
                timer_c_ms: 200_000,
                nat: self.nat,
                registrar: registrar::Policy::default(),
                service_route: self.service_route.as_bytes().into(),
                events: EventPolicy {
                    durations: Durations::default(),
                    most: self.subscriptions,
                    watchers: self.watchers.iter().map(|&user| user.to_owned()).collect(),
                },
                max_transactions: self.max_transactions,
                max_kept_bytes: self.max_kept_bytes,
                boot: BOOT,
            },
            location,
            subscribers: Arc::new(subscribers),
            nonces: Arc::new(NonceTable::new(BOOT, 4096, 300)),
            defence: Defence::new(&self.defence, [6; 16]).0, // nobody lists the bans
            dns: Arc::new(dns),
            events: Arc::new(events),
            push,
        });
        Built {
            changes: watch(&*shared.location, self.shards),
            shards: (0..self.shards)
                .map(|number| Shard::new(number, &shared, &endpoint))
                .collect(),
            shared,
            endpoint: Arc::new(endpoint),
            questions,
            pushes,
            user_questions,
            store,
            settled,
            kept,
            scratch,
        }
    }
}

/// The subscriptions that are kept in a directory, and the way to what is said of changes of them.
fn events_of(dir: Option<&Path>, settle: blocking::Sender<Settled>) -> (Events, Vec<Kept>) {
    let Some(path) = dir else {
        return (Events::new(None), Vec::new());
    };
    let dir = DataDir::open(path).expect("a directory that nobody has");
    // A site that is gone hears of nothing.
    let answer = move |settled| _ = settle.send(settled);
    let opened = events::Store::open(&dir, Durability::Process, BEGIN.wall_secs(), Box::new(answer));
    let (store, kept) = opened.expect("a store");
    (Events::new(Some(Arc::new(store))), kept)
}

impl Plan {
    fn config(&self) -> config::Config {
        let domains = [&[DOMAIN], self.domains].concat();
        let text = format!(
            "domains = {domains:?}\ntrusted = {:?}\n{}",
            self.trusted, self.routing
        );
        let mut config = config::check(&text, "plan").expect("a configuration");
        config.proxy.mode = self.mode;
        config.proxy.fork = self.fork;
        config.proxy.recurse = self.recurse;
        config.proxy.ring_timeout = Duration::from_secs(10);
        config
    }

    /// The users, and what their server is asked if they come from one.
    fn subscribers(&self, scratch: &Scratch) -> (Subscribers, Option<mpsc::Receiver<subscriber::Question>>) {
        match &self.user_lookup {
            Some(settings) => {
                let (users, questions) = Subscribers::of_server("http://127.0.0.1/", settings, [3; 16]);
                (users, Some(questions))
            }
            None => (subscribers(scratch, self.users), None),
        }
    }
}

/// The location service, and the way to its commits if they wait.
fn location(is_slow: bool) -> (Arc<dyn Location>, Option<SlowStore>) {
    let memory = Memory::new([4; 16], 1 << 24);
    if is_slow {
        let store = SlowStore::new(memory);
        (Arc::new(store.clone()), Some(store))
    } else {
        (Arc::new(memory), None)
    }
}

/// Has it noted which shards are to be told that bindings have changed.
fn watch(location: &dyn Location, shards: u16) -> Changes {
    let changes = Changes::default();
    let told = Arc::clone(&changes);
    let tell = move |shard| told.lock().unwrap_or_else(PoisonError::into_inner).push(shard);
    location.watch().serve(shards, Box::new(tell));
    changes
}

/// What the sites listen at.
pub(crate) fn listens() -> Vec<Listen> {
    let listen = |(place, (transport, _))| {
        Listen::plain(ListenUri {
            transport,
            address: peer::listener(place),
        })
    };
    peer::LISTENERS.into_iter().enumerate().map(listen).collect()
}

fn endpoint(shards: u16) -> EndpointConfig {
    let listener = |(place, (transport, _))| Listener {
        transport,
        address: peer::listener(place),
        advertise: Vec::new(),
    };
    let listeners = peer::LISTENERS.into_iter().enumerate().map(listener).collect();
    EndpointConfig {
        secret: [7; 32],
        boot: BOOT,
        shards,
        listeners: Arc::new(Listeners::new(listeners, Vec::new())),
        realms: [DOMAIN.to_owned()].into(),
        timers: Timers::DEFAULT,
        limits: Limits::DEFAULT,
    }
}

fn subscribers(scratch: &Scratch, others: usize) -> Subscribers {
    let dir = DataDir::open(scratch.path()).expect("free");
    let subscribers = Subscribers::open(&dir, [3; 16], Durability::Process).expect("opens");
    let named = USERS.iter().map(|&(user, aliases)| new_user(user, aliases));
    let others = (0..others).map(|n| new_user(&format!("u{n}"), &[]));
    let added = subscribers.import(named.chain(others).collect()).expect("added");
    assert!(added.failed.is_empty(), "{:?}", added.failed);
    subscribers
}

fn new_user(user: &str, aliases: &[&str]) -> NewUser {
    NewUser {
        address: format!("{user}@{DOMAIN}").parse().expect("an address"),
        password: Secret::new(peer::password(user)),
        display_name: None,
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
    }
}
