//! A running node: bound, its shards started, administered, drained.

mod administration;
mod bind;
mod explaining;
mod numbers;
mod reload;

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use strowger_net::{BindError, Handle, Options, Shards};
use strowger_sip::EndpointConfig;
use strowger_sip::auth::NonceTable;
use strowger_sip::event::Durations;
use strowger_sip::registrar::{Bindings, Entry, PathPolicy, Policy};
use strowger_sip::transaction::Timers;
use strowger_sip::transport::Listeners;
use strowger_syntax::Limits;
use strowger_syntax::scan::put_visible;
use tokio::sync::{Notify, mpsc, watch};

pub use numbers::Obstacle;
pub use reload::{Ready, Surroundings};

use crate::config::effective::{self, Machine, Ours};
use crate::config::{Config, Diagnostic, Store, UserSource};
use crate::data_dir::{DataDir, DataDirError};
use crate::defence::{Ban, Bans, Defence};
use crate::dns::{self, Dns, Question};
use crate::events::{self, Events, Kept, Most, Settled};
use crate::location::{Answer, Expired, Location, Memory, OpenError, Settings, Sqlite, Swept};
use crate::node::{Control, EventPolicy, Journal, Node, NodePolicy, Shared, Tally, Visitors};
use crate::push::{self, Ask, Services, Sweep};
use crate::routing::Routes;
use crate::subscriber::{self, Subscribers, lookup, read_file};
use reload::{Course, Origin, Outcomes, Pending};

/// The most memory that bindings may take without a disk, in bytes.
const MEMORY_STORE: usize = 8 << 30;
/// How long bindings that have expired are not looked for at most; usually it is known when the next will.
const SWEEP: Duration = Duration::from_secs(10);
/// How often the file of users is looked at.
const FOLLOW: Duration = Duration::from_secs(1);

/// Why a node cannot start. Each says what to do about it.
#[derive(Debug)]
pub enum StartError {
    /// An address that was asked for cannot be bound.
    Bind(BindError),
    /// None of the default addresses can be bound.
    NothingBound,
    /// The data directory does not do.
    DataDir(DataDirError),
    /// A database cannot be opened.
    Database(OpenError),
    /// The file of users cannot be read, or is wrong.
    Users(Vec<Diagnostic>),
    /// The token for the server of users cannot be read.
    Token(PathBuf, io::Error),
    /// The system refuses threads, memory or descriptors.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::NothingBound => f.write_str("none of the default addresses can be bound"),
            Self::DataDir(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
            Self::Users(wrong) => wrong
                .iter()
                .try_for_each(|diagnostic| writeln!(f, "{diagnostic}")),
            Self::Token(path, error) => write!(f, "cannot read the token in {}: {error}", path.display()),
            Self::System(error) => write!(f, "cannot start the shards: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl StartError {
    /// What to do about it; empty when the message says it.
    pub fn mend(&self) -> String {
        let mend = match self {
            Self::Bind(error) => return bind::mend(error),
            Self::NothingBound => {
                "stop the other SIP server on port 5060, or choose a port: --listen udp:127.0.0.1:5070"
            }
            Self::DataDir(_) | Self::Database(_) | Self::Users(_) => "",
            Self::Token(..) => "write it there, or leave `token_file` out of [user_lookup]",
            Self::System(_) => "look at the limits (ulimit -a)",
        };
        mend.to_owned()
    }
}

/// The configuration in force, and what it comes to.
struct Active {
    config: Config,
    shared: Arc<Shared>,
    endpoint: Arc<EndpointConfig>,
    /// The URIs of the listeners, with their real ports.
    listeners: Vec<String>,
    admin: Option<SocketAddr>,
    /// Counts the configurations from the start on.
    generation: u64,
    /// When it was put into force, in Unix seconds.
    since: u64,
}

/// A node with its shards.
pub struct Running {
    me: Weak<Self>,
    active: RwLock<Arc<Active>>,
    course: tokio::sync::Mutex<Course>,
    pending: Mutex<Option<Pending>>,
    origin: OnceLock<Origin>,
    outcomes: Outcomes,
    data_dir: String,
    bans: Bans,
    handle: Handle<Control>,
    /// The way to DNS.
    records: watch::Sender<Arc<dns::System>>,
    shards: Mutex<Option<Shards<Control>>>,
    tallies: Vec<Arc<Tally>>,
    journals: Mutex<Vec<thread::JoinHandle<()>>>,
    started: Instant,
    draining: AtomicBool,
    drain_asked: Notify,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("listeners", &self.active().listeners)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// Binds the listeners, opens the stores and starts the shards. `admin` is where the node is administered. To be
    /// called within a tokio runtime, which then serves the control side.
    ///
    /// # Errors
    /// The first thing that keeps the node from starting.
    pub fn start(
        config: &Config,
        data_dir: &DataDir,
        admin: Option<SocketAddr>,
    ) -> Result<Arc<Self>, StartError> {
        let options = options(config);
        raise_descriptor_limit();
        let (listeners, numbers) = bind::bind(config, &options)?;
        let machine = machine();
        let answers = Arc::new(OnceLock::new());
        let ours = effective::ours(config, &numbers.reachable(), &machine);
        let opened = open(config, data_dir, ours, &answers, options.shards)?;
        let shared = Arc::new(opened.shared);
        warn_of_unserved(&shared);
        let secret = data_dir.secret().map_err(StartError::DataDir)?;
        let bound = Listeners::new(numbers.describe(), machine.addresses);
        shared.dns.carry(&bound);
        let endpoint = endpoint_config(config, &shared, *secret.bytes(), options.shards, bound);
        let tallies: Vec<_> = (0..options.shards).map(|_| Arc::new(Tally::default())).collect();
        let kept = opened.subscriptions;
        let (shards, journals) = start_shards(listeners, &options, &shared, &endpoint, &tallies, kept)?;
        let handle = shards.handle();
        introduce(&answers, &handle);
        let records = opened.questions.answer(config, &shared, &handle);
        let active = Active {
            config: config.clone(),
            shared,
            endpoint: Arc::new(endpoint),
            listeners: numbers.names(),
            admin,
            generation: 1,
            since: strowger_net::now().wall_secs(),
        };
        let option = effective::data_dir_option(config);
        let running = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            active: RwLock::new(Arc::new(active)),
            course: tokio::sync::Mutex::new(Course { numbers }),
            pending: Mutex::default(),
            origin: OnceLock::new(),
            outcomes: Outcomes::default(),
            data_dir: data_dir.path().display().to_string(),
            bans: Bans::told_with(option),
            handle,
            records,
            shards: Mutex::new(Some(shards)),
            tallies,
            journals: Mutex::new(journals),
            started: Instant::now(),
            draining: AtomicBool::new(false),
            drain_asked: Notify::new(),
        });
        tokio::spawn(sweep(Arc::downgrade(&running)));
        tokio::spawn(note_bans(opened.bans, Arc::downgrade(&running)));
        tokio::spawn(refresh_by_push(Arc::downgrade(&running)));
        tokio::spawn(follow_users(Arc::downgrade(&running)));
        Ok(running)
    }

    /// The configuration in force.
    fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the shards share.
    fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.active().shared)
    }

    /// The URIs of the listeners that are bound, with their real ports.
    pub fn listeners(&self) -> Vec<String> {
        self.active().listeners.clone()
    }

    /// Waits until an administrator asks the node to drain.
    pub async fn drain_asked(&self) {
        self.drain_asked.notified().await;
    }

    /// Refuses new work, and waits until what was begun is finished, at most this long. The shards have ended then.
    pub async fn drained(&self, at_most: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        for shard in 0..self.handle.count() {
            // A shard that is too busy to be told ends when the time is over.
            let _ = self.handle.send(shard, Control::Drain);
        }
        self.handle.drain(at_most);
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner).take();
        let journals = std::mem::take(&mut *self.journals.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = tokio::task::spawn_blocking(move || {
            let ended = shards.map_or(Ok(()), Shards::join);
            journals.into_iter().for_each(|journal| drop(journal.join()));
            ended.is_ok()
        });
        if !ended.await.unwrap_or(false) {
            tracing::error!("a shard had panicked");
        }
    }
}

/// What to do about an address that cannot be bound.
pub(crate) fn mend_of_bind(error: &BindError) -> String {
    bind::mend(error)
}

/// What the machine says of itself now.
fn machine() -> Machine {
    Machine {
        host_name: strowger_net::host_name(),
        addresses: strowger_net::interface_addresses(),
    }
}

/// Starts the shards, each with its node and with the thread that writes its log.
fn start_shards(
    listeners: Vec<strowger_net::Listener>,
    options: &Options,
    shared: &Arc<Shared>,
    endpoint: &EndpointConfig,
    tallies: &[Arc<Tally>],
    subscriptions: Vec<Kept>,
) -> Result<(Shards<Control>, Vec<thread::JoinHandle<()>>), StartError> {
    let mut journals = Vec::new();
    let mut left = subscriptions;
    let shards = strowger_net::start(listeners, options, |shard| {
        let journal = start_journal(shard, &mut journals);
        let tally = Arc::clone(&tallies[usize::from(shard)]);
        let mut node = Node::new(shard, Arc::clone(shared), endpoint, journal, tally);
        let (its, others) = std::mem::take(&mut left)
            .into_iter()
            .partition(|kept| node.owns(&kept.dialog.call_id));
        left = others;
        node.resume(its, strowger_net::now());
        node
    });
    Ok((shards.map_err(StartError::System)?, journals))
}

fn raise_descriptor_limit() {
    if let Err(error) = strowger_net::raise_descriptor_limit() {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn options(config: &Config) -> Options {
    let cores = strowger_net::allowed_cpus().len();
    let shards = effective::shards(config, cores);
    let mut options = Options {
        shards,
        longest_nap: config.longest_nap,
        ..Options::default()
    };
    options.limits.body = config.limits.body_size as usize;
    options.connections.per_shard = (config.limits.tcp_connections as usize).div_ceil(usize::from(shards));
    options.connections.per_source = config.limits.tcp_connections_per_source as usize;
    options.connections.exempt = effective::exempt_sources(config);
    options.connections.idle = config.limits.tcp_idle;
    options
}

/// What all shards share, and what comes out of it.
struct Opened {
    shared: Shared,
    bans: mpsc::Receiver<Ban>,
    questions: Questions,
    /// Subscriptions that go on.
    subscriptions: Vec<Kept>,
}

/// What shards ask of others.
struct Questions {
    /// Names that are to be looked up.
    names: mpsc::Receiver<Question>,
    /// Devices that are to be pushed.
    asks: mpsc::Receiver<Ask>,
    /// Users whom a server is to be asked for, and that server.
    users: Option<Asked>,
}

impl Questions {
    /// Has them answered as long as the shards live; names by the way to DNS that is told here.
    fn answer(
        self,
        config: &Config,
        shared: &Shared,
        handle: &Handle<Control>,
    ) -> watch::Sender<Arc<dns::System>> {
        let (records, told) = watch::channel(Arc::new(dns::System::new(&config.dns)));
        dns::spawn(Arc::clone(&shared.dns), self.names, told, handle.clone());
        push::spawn(&shared.push, self.asks, handle.clone());
        lookup::spawn(&shared.subscribers, self.users, handle.clone());
        records
    }
}

type Asked = (mpsc::Receiver<subscriber::Question>, lookup::Server);

/// The way to shards that are not started yet.
type Shardward = Arc<OnceLock<Handle<Control>>>;

/// Opens the stores, and puts together what all shards share.
fn open(
    config: &Config,
    data_dir: &DataDir,
    ours: Ours,
    answers: &Shardward,
    shards: u16,
) -> Result<Opened, StartError> {
    let table_key = data_dir.table_key().map_err(StartError::DataDir)?;
    let (subscribers, users) = open_users(config, data_dir, table_key)?;
    subscribers.serve(&config.domains);
    let location = open_location(config, data_dir, table_key, answers)?;
    location.watch().serve(shards, Box::new(teller(answers)));
    let (events, subscriptions) = open_events(config, data_dir, answers)?;
    let boot = data_dir.boot_id();
    let nonces = NonceTable::new(boot, NonceTable::SLOTS, NonceTable::LIFETIME_SECS);
    let (defence, bans) = Defence::new(&config.defence, table_key);
    let (dns, names) = Dns::new(&config.dns, table_key);
    let (push, asks) = Services::new(&config.push, table_key);
    let shared = Shared {
        policy: node_policy(config, boot),
        visitors: Arc::new(Visitors::of(&*location)),
        ours,
        location,
        subscribers: Arc::new(subscribers),
        nonces: Arc::new(nonces),
        defence,
        dns: Arc::new(dns),
        push,
        events: Arc::new(events),
    };
    Ok(Opened {
        shared,
        bans,
        questions: Questions { names, asks, users },
        subscriptions,
    })
}

/// Opens the store of subscriptions beside that of registrations; without that one nothing is kept.
fn open_events(
    config: &Config,
    data_dir: &DataDir,
    answers: &Shardward,
) -> Result<(Events, Vec<Kept>), StartError> {
    if config.location.store == Store::Memory {
        return Ok((Events::new(None), Vec::new()));
    }
    let send = sender(answers);
    let answer =
        move |settled: Settled| send(settled.caller.shard, Control::SubscriptionsKept(vec![settled]));
    let now_secs = strowger_net::now().wall_secs();
    let opened = events::Store::open(data_dir, config.location.durability, now_secs, Box::new(answer));
    let (store, kept) = opened.map_err(StartError::Database)?;
    Ok((Events::new(Some(Arc::new(store))), kept))
}

/// Tells those who send to the shards that they are there. The stores were opened before there were any, and nothing of theirs
/// can have been committed yet; what others have changed meanwhile is looked at now.
fn introduce(answers: &Shardward, handle: &Handle<Control>) {
    let _ = answers.set(handle.clone());
    for shard in 0..handle.count() {
        let _ = handle.send(shard, Control::BindingsChanged);
    }
}

/// Sends to shards from any thread: what finds no room waits for it. Before the shards are started there is nobody.
fn sender(answers: &Shardward) -> impl Fn(u16, Control) + Send + Sync + use<> {
    let (answers, runtime) = (Arc::clone(answers), tokio::runtime::Handle::current());
    move |shard, control| {
        let Some(handle) = answers.get() else { return };
        if let Err(control) = handle.send(shard, control) {
            let handle = handle.clone();
            runtime.spawn(async move { dns::deliver(&handle, shard, control).await });
        }
    }
}

/// Tells shards of changes of bindings that they wait for.
fn teller(answers: &Shardward) -> impl Fn(u16) + Send + Sync + use<> {
    let send = sender(answers);
    move |shard| send(shard, Control::BindingsChanged)
}

/// The users, and what is to be asked of their server if they come from one.
fn open_users(
    config: &Config,
    data_dir: &DataDir,
    key: [u8; 16],
) -> Result<(Subscribers, Option<Asked>), StartError> {
    let auth = &config.auth;
    match &auth.users {
        UserSource::Kept => {
            let users = Subscribers::open(data_dir, key, config.location.durability);
            Ok((users.map_err(StartError::Database)?, None))
        }
        UserSource::File(path) => {
            let contents = read_file(path, &auth.algorithms).map_err(StartError::Users)?;
            let users = Subscribers::of_file(path, contents, &auth.algorithms, key);
            Ok((users, None))
        }
        UserSource::Server(url) => {
            let settings = &config.user_lookup;
            let token =
                lookup::read_token(settings).map_err(|(path, error)| StartError::Token(path, error))?;
            let (users, questions) = Subscribers::of_server(url, settings, key);
            let server = lookup::Server::new(url, settings, token);
            Ok((users, Some((questions, server))))
        }
    }
}

/// Tells of users whose domains are not ours. A failure of the store has told of itself.
fn warn_of_unserved(shared: &Shared) {
    let users = shared.subscribers.domains().unwrap_or_default();
    if let Some(unserved) = effective::unserved(&users, &shared.ours) {
        tracing::warn!("{unserved}");
    }
}

pub(crate) fn endpoint_config(
    config: &Config,
    shared: &Shared,
    secret: [u8; 32],
    shards: u16,
    listeners: Listeners,
) -> EndpointConfig {
    let addresses = shared.ours.addresses().iter().map(ToString::to_string);
    EndpointConfig {
        secret,
        boot: shared.policy.boot,
        shards,
        listeners: Arc::new(listeners),
        realms: shared.ours.names().iter().cloned().chain(addresses).collect(),
        timers: Timers {
            next_hop_timeout_ms: millis(config.proxy.next_hop_timeout),
            ..Timers::DEFAULT
        },
        limits: Limits {
            body: config.limits.body_size as usize,
            ..Limits::DEFAULT
        },
    }
}

pub(crate) fn node_policy(config: &Config, boot: u32) -> NodePolicy {
    let location = &config.location;
    NodePolicy {
        challenged: effective::digest(config).methods,
        algorithms: config.auth.algorithms.clone(),
        trusted: config.trusted.clone(),
        visitors: location.visitors.clone(),
        max_visitors: location.max_visitors as usize,
        third_parties: location.third_parties.clone(),
        routes: Arc::new(Routes::new(config)),
        udp_limit: usize::from(config.proxy.udp_limit),
        timer_c_ms: millis(config.proxy.timer_c),
        nat: config.nat.clone(),
        registrar: Policy {
            min_expires: seconds(location.min_expires),
            max_expires: seconds(location.max_expires),
            default_expires: seconds(location.default_expires),
            max_contacts: usize::from(location.max_contacts),
            when_full: location.when_full,
            path: PathPolicy::default(),
            outbound: location.outbound,
            flow_timer: seconds(location.flow_timer),
        },
        service_route: service_route(&location.service_route),
        events: EventPolicy {
            durations: Durations {
                min: seconds(config.events.min_expires),
                max: seconds(config.events.max_expires),
            },
            most: Most {
                per_aor: config.events.per_aor,
                per_source: config.events.per_source,
                total: config.events.total,
            },
            watchers: config.events.watchers.clone().into(),
        },
        max_transactions: config.limits.transactions as usize,
        max_kept_bytes: (config.limits.transaction_megabytes as usize) << 20,
        boot,
    }
}

/// The Service-Route line of a route (RFC 3608 §5); empty for none.
fn service_route(route: &[String]) -> Arc<[u8]> {
    if route.is_empty() {
        return Arc::default();
    }
    format!("Service-Route: {}\r\n", route.join(", "))
        .into_bytes()
        .into()
}

fn open_location(
    config: &Config,
    data_dir: &DataDir,
    key: [u8; 16],
    answers: &Shardward,
) -> Result<Arc<dyn Location>, StartError> {
    let now_secs = (strowger_net::now().wall_ms / 1000) as u32;
    if config.location.store == Store::Memory {
        let store = Memory::new(key, MEMORY_STORE);
        store.begin_at(now_secs);
        return Ok(Arc::new(store));
    }
    let send = sender(answers);
    let answer: Answer = Arc::new(move |shard, committed| send(shard, Control::Committed(committed)));
    let settings = Settings::new(key, config.location.durability);
    Ok(Arc::new(
        Sqlite::open(data_dir, settings, now_secs, answer).map_err(StartError::Database)?,
    ))
}

/// Whether the lines of shards are wanted: where those of the node of their level are.
fn wants_logs() -> bool {
    tracing::enabled!(target: "strowger_server::node", tracing::Level::INFO)
}

/// The journal of one shard, with the thread that writes it.
fn start_journal(shard: u16, writers: &mut Vec<thread::JoinHandle<()>>) -> Journal {
    let (mut journal, end) = Journal::new(wants_logs());
    // Whoever closed standard error does not want the lines.
    let write = move || end.run(|lines| drop(io::stderr().write_all(lines)));
    match thread::Builder::new()
        .name(format!("journal-{shard}"))
        .spawn(write)
    {
        Ok(writer) => {
            journal.wake(writer.thread().clone());
            writers.push(writer);
        }
        Err(error) => tracing::warn!(%error, shard, "no thread to write the log of a shard"),
    }
    journal
}

/// Takes out bindings that have expired, when they do, as long as the node lives.
async fn sweep(node: Weak<Running>) {
    let mut nap = SWEEP;
    loop {
        tokio::time::sleep(nap).await;
        nap = SWEEP;
        let Some(node) = node.upgrade() else { return };
        let location = Arc::clone(&node.shared().location);
        if location.is_empty() {
            continue;
        }
        let now_secs = (strowger_net::now().wall_ms / 1000) as u32;
        let swept = tokio::task::spawn_blocking(move || {
            loop {
                if let Swept::Done { next } = location.sweep(now_secs, &mut note_expired) {
                    return next;
                }
                thread::yield_now();
            }
        });
        if let Ok(Some(next)) = swept.await {
            let left = Duration::from_secs(u64::from(next.saturating_sub(now_secs)));
            nap = left.clamp(Duration::from_secs(1), SWEEP);
        }
    }
}

/// Notes that bindings have expired, if it was that: of one that was removed a tombstone is left for a while.
fn note_expired(expired: &Expired) {
    let bindings = |record| {
        let entries = Bindings::new(record).entries();
        entries
            .filter(|(entry, _)| matches!(entry, Entry::Binding(_)))
            .count()
    };
    let (before, left) = (bindings(&expired.before), bindings(&expired.left));
    if left < before {
        let mut word = Vec::new();
        put_visible(&mut word, &expired.aor);
        let aor = String::from_utf8_lossy(&word);
        tracing::info!(
            "registration expired aor={aor} removed={} contacts={left}",
            before - left
        );
    }
}

/// Has devices that sleep refresh their registrations, as long as the node lives.
async fn refresh_by_push(node: Weak<Running>) {
    let mut before_secs = None;
    loop {
        let Some(shared) = node.upgrade().map(|node| node.shared()) else {
            return;
        };
        let now = strowger_net::now();
        let sweep = Sweep {
            at_secs: now.wall_secs(),
            before_secs,
        };
        before_secs = Some(sweep.at_secs);
        let (of, pause) = (Arc::clone(&shared), shared.push.look_every());
        let due = tokio::task::spawn_blocking(move || of.push.due(&*of.location, sweep)).await;
        if let Ok(due) = due {
            push::push_all(&shared.push, due).await;
        }
        drop(shared);
        tokio::time::sleep(pause).await;
    }
}

/// Reads the file of users again whenever it is written, if there is one, as long as the node lives.
async fn follow_users(node: Weak<Running>) {
    loop {
        tokio::time::sleep(FOLLOW).await;
        let Some(node) = node.upgrade() else { return };
        let subscribers = Arc::clone(&node.shared().subscribers);
        if !matches!(subscribers.origin(), UserSource::File(_)) {
            return;
        }
        drop(node);
        match tokio::task::spawn_blocking(move || subscribers.follow_file()).await {
            Ok(Some(Ok(users))) => tracing::info!(users, "the file of users was read again"),
            Ok(Some(Err(wrong))) => {
                for diagnostic in wrong {
                    tracing::error!("the users stay as they were: {diagnostic}");
                }
            }
            Ok(None) | Err(_) => {}
        }
    }
}

/// Notes bans as they are made, as long as the node lives.
async fn note_bans(mut new: mpsc::Receiver<Ban>, node: Weak<Running>) {
    while let Some(ban) = new.recv().await {
        let Some(node) = node.upgrade() else { return };
        node.bans.note(ban);
    }
}
