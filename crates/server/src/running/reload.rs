//! Another configuration for a node that runs, in two steps. *Preparing* does whatever can fail: reading, checking, binding
//! what is new, and changes nothing. *Entering* cannot fail: each shard goes on with the other configuration at a turn of
//! its loop. One change goes on at a time; another one waits.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use strowger_net::{Change, Changes, Joining, NotTaken};
use strowger_sip::EndpointConfig;
use strowger_sip::transport::Listeners;
use tokio::sync::oneshot;

use super::numbers::{Numbers, Obstacle, Step};
use super::{Active, Running, endpoint_config, machine, node_policy, options, warn_of_unserved};
use crate::admin::{AdminError, Family, Kind, Reloaded, Sample};
use crate::config::effective;
use crate::config::{Config, Key, LoadError, Loaded, Source};
use crate::dns::System;
use crate::node::{Control, Reload, Shared};

/// How long it takes until a shard that is busy is asked again, and a rollback that failed is tried again.
const PAUSE: Duration = Duration::from_millis(10);
const ROLLBACK_PAUSE: Duration = Duration::from_secs(1);

const STOPPING: AdminError = AdminError::Unavailable("it is stopping");

/// What follows a configuration besides the node: the log, and the place of administration.
pub trait Surroundings: Send + Sync + 'static {
    /// Gets ready for another configuration. Nothing has changed before [`Ready::enter`] is called.
    ///
    /// # Errors
    /// What keeps it from being put into force.
    fn prepare(&self, former: &Config, next: &Config) -> Result<Ready, Obstacle>;
}

/// Surroundings that are ready for a configuration.
pub struct Ready {
    /// Where the node is administered then.
    pub admin: Option<SocketAddr>,
    /// Puts it into force; it must not fail.
    pub enter: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready")
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

/// Where configurations come from, and what follows them.
pub(super) struct Origin {
    source: Source,
    surroundings: Box<dyn Surroundings>,
}

/// What the one who changes the configuration works on.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) numbers: Numbers,
}

/// A configuration that is to come back.
#[derive(Debug)]
pub(super) struct Pending {
    /// The one that was confirmed last.
    back_to: Config,
    /// The generation that has to be confirmed.
    generation: u64,
    due: Instant,
    /// Why it has not come back in time.
    pub(super) stuck: Option<String>,
}

impl Pending {
    /// Seconds until it is due, the last one begun.
    pub(super) fn secs(&self) -> u64 {
        let left = self.due.saturating_duration_since(Instant::now());
        u64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

/// How many reloads there were, by their result.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    applied: AtomicU64,
    refused: AtomicU64,
    rolled_back: AtomicU64,
}

impl Outcomes {
    pub(super) fn family(&self) -> Family {
        let sample = |(result, count): (&str, &AtomicU64)| Sample {
            labels: vec![("result", result.to_owned())],
            value: count.load(Ordering::Relaxed) as f64,
        };
        Family {
            name: "strowger_reloads_total",
            help: "Configurations that were put into force, refused, or rolled back.",
            kind: Kind::Counter,
            samples: [
                ("applied", &self.applied),
                ("refused", &self.refused),
                ("rolled_back", &self.rolled_back),
            ]
            .map(sample)
            .into(),
        }
    }
}

/// A configuration that can be put into force.
struct Prepared {
    active: Active,
    numbers: Numbers,
    joining: Vec<Joining>,
    retired: Vec<u16>,
    closed: Vec<u16>,
    ready: Option<Ready>,
    /// Another way to DNS.
    records: Option<System>,
}

impl Running {
    /// Says where the configuration comes from, so that it can be read again, and what else follows it.
    pub fn follow(&self, source: Source, surroundings: Box<dyn Surroundings>) {
        // A second call changes nothing.
        let _ = self.origin.set(Origin { source, surroundings });
    }

    /// How long a node that was told to stop waits for what it has begun.
    pub fn drain_time(&self) -> Duration {
        self.active().config.drain
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Option<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that is read again.
    pub(super) fn file(&self) -> Option<String> {
        let file = self.origin.get()?.source.file.as_ref()?;
        Some(file.display().to_string())
    }

    /// Reads the configuration and puts it into force.
    pub(super) async fn reload_now(
        self: Arc<Self>,
        rollback_after: Option<Duration>,
    ) -> Result<Reloaded, AdminError> {
        let mut course = self.course.lock().await;
        let outcome = self.try_reload(&mut course, rollback_after).await;
        match &outcome {
            Ok(reloaded) => {
                self.outcomes.applied.fetch_add(1, Ordering::Relaxed);
                tracing::info!(
                    generation = reloaded.generation,
                    added = ?reloaded.added,
                    removed = ?reloaded.removed,
                    rollback_in = reloaded.rollback_in,
                    "the configuration was reloaded"
                );
            }
            Err(error) => {
                self.outcomes.refused.fetch_add(1, Ordering::Relaxed);
                tell_refused(error);
            }
        }
        outcome
    }

    async fn try_reload(
        self: &Arc<Self>,
        course: &mut Course,
        rollback_after: Option<Duration>,
    ) -> Result<Reloaded, AdminError> {
        let source = self.source()?;
        if self.pending().is_some() && rollback_after.is_none() {
            return Err(AdminError::Conflict {
                what: "the configuration in force is not confirmed yet".to_owned(),
                mend: "keep it with `strowger ctl reload --confirm`, go back with --rollback, or give --rollback-after again"
                    .to_owned(),
            });
        }
        let loaded = tokio::task::spawn_blocking(move || source.load()).await;
        let loaded = loaded.map_err(|_| STOPPING)?.map_err(not_loaded)?;
        let prepared = self.prepare(course, &loaded.config);
        let (prepared, step) = prepared.map_err(|obstacles| placed(&loaded, obstacles))?;
        let algorithms = loaded.config.auth.algorithms.clone();
        let users = self
            .beside(move |shared| shared.subscribers.read_again(&algorithms))
            .await?;
        let users = users.transpose().map_err(AdminError::Configuration)?;
        let former = self.active();
        let generation = self.go_on(course, prepared).await;
        if let Some(users) = users {
            let algorithms = loaded.config.auth.algorithms.clone();
            self.beside(move |shared| shared.subscribers.take(users, &algorithms))
                .await?;
        }
        if let Some(after) = rollback_after {
            let mut pending = self.pending();
            let back_to = pending
                .take()
                .map_or_else(|| former.config.clone(), |earlier| earlier.back_to);
            *pending = Some(Pending {
                back_to,
                generation,
                due: Instant::now() + after,
                stuck: None,
            });
            tokio::spawn(roll_back_later(Arc::downgrade(self), generation, after));
        }
        Ok(self.reloaded(step))
    }

    fn source(&self) -> Result<Source, AdminError> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(STOPPING);
        }
        let source = self.origin.get().map(|origin| &origin.source);
        let source = source.filter(|source| source.file.is_some());
        source.cloned().ok_or_else(|| AdminError::Conflict {
            what: "the server was started without a configuration file, so there is nothing to read again"
                .to_owned(),
            mend: "start it with `strowger serve --config FILE`".to_owned(),
        })
    }

    /// What was done, for people.
    fn reloaded(&self, step: Names) -> Reloaded {
        Reloaded {
            generation: self.active().generation,
            added: step.added,
            removed: step.removed,
            rollback_in: self.pending().as_ref().map(Pending::secs),
        }
    }

    /// Keeps the configuration that would be rolled back.
    pub(super) async fn confirm_now(self: Arc<Self>) -> Result<Reloaded, AdminError> {
        let _course = self.course.lock().await;
        match self.pending().take() {
            Some(_) => tracing::info!("the configuration was confirmed"),
            None => return Err(nothing_pending()),
        }
        Ok(self.reloaded(Names::default()))
    }

    /// Goes back to the configuration that was confirmed last.
    pub(super) async fn roll_back_now(self: Arc<Self>) -> Result<Reloaded, AdminError> {
        let mut course = self.course.lock().await;
        self.try_roll_back(&mut course, None).await
    }

    /// Goes back if this generation, or any, has to be confirmed.
    async fn try_roll_back(
        self: &Arc<Self>,
        course: &mut Course,
        generation: Option<u64>,
    ) -> Result<Reloaded, AdminError> {
        let back_to = {
            let pending = self.pending();
            let pending = pending
                .as_ref()
                .filter(|pending| generation.is_none_or(|generation| generation == pending.generation));
            pending.map(|pending| pending.back_to.clone())
        };
        let back_to = back_to.ok_or_else(nothing_pending)?;
        let (prepared, names) = self.prepare(course, &back_to).map_err(|obstacles| {
            let why: Vec<_> = obstacles
                .iter()
                .map(|obstacle| format!("{}: {}; {}", obstacle.key, obstacle.what, obstacle.mend))
                .collect();
            let what = format!("cannot go back to the former configuration: {}", why.join(", "));
            if let Some(pending) = self.pending().as_mut()
                && pending.stuck.as_ref() != Some(&what)
            {
                tracing::error!("{what}");
                pending.stuck = Some(what.clone());
            }
            let mend = "make room for it, or keep the present one with --confirm".to_owned();
            AdminError::Conflict { what, mend }
        })?;
        *self.pending() = None;
        let generation = self.go_on(course, prepared).await;
        self.outcomes.rolled_back.fetch_add(1, Ordering::Relaxed);
        let file = self.file().unwrap_or_default();
        tracing::warn!(
            generation,
            "the former configuration is in force again; {file} still has the one that was not confirmed"
        );
        Ok(self.reloaded(names))
    }

    /// Does whatever can fail, and changes nothing.
    fn prepare(&self, course: &Course, config: &Config) -> Result<(Prepared, Names), Vec<Obstacle>> {
        let former = self.active();
        let fixed = fixed(&former.config, config);
        if !fixed.is_empty() {
            return Err(fixed);
        }
        let generation = former.generation + 1;
        let (numbers, step) = course.numbers.follow(config, &options(config), generation)?;
        let surroundings = self.origin.get().map(|origin| &origin.surroundings);
        let ready = surroundings.map(|surroundings| surroundings.prepare(&former.config, config));
        let ready = ready.transpose().map_err(|obstacle| vec![obstacle])?;
        let records = System::changed(&former.config.dns, &config.dns).map_err(|error| {
            vec![Obstacle {
                key: Key::Of("dns", "servers"),
                what: format!("there is no name server: {error}"),
                mend: "name one in `dns.servers`, or in /etc/resolv.conf".to_owned(),
            }]
        })?;
        let names = Names {
            added: step.added.clone(),
            removed: step.removed.clone(),
        };
        let mut prepared = self.put_together(config.clone(), numbers, step, ready, generation)?;
        prepared.records = records;
        Ok((prepared, names))
    }

    /// What a configuration comes to under these numbers.
    fn put_together(
        &self,
        config: Config,
        numbers: Numbers,
        step: Step,
        ready: Option<Ready>,
        generation: u64,
    ) -> Result<Prepared, Vec<Obstacle>> {
        let former = self.active();
        let introduce = |(number, listener)| {
            let joining = self.handle.introduce(number, listener);
            joining.map_err(|error| {
                vec![Obstacle {
                    key: Key::Listener(0),
                    what: format!("the system refuses another socket: {error}"),
                    mend: "look at the limits (ulimit -a)".to_owned(),
                }]
            })
        };
        let joining = step
            .joining
            .into_iter()
            .map(introduce)
            .collect::<Result<_, _>>()?;
        let machine = machine();
        let ours = effective::ours(&config, &numbers.reachable(), &machine);
        let policy = node_policy(&config, former.shared.policy.boot);
        let shared = Arc::new(former.shared.reconfigured(policy, ours, &config));
        let listeners = Listeners::new(numbers.describe(), machine.addresses)
            .following(&former.endpoint.listeners, numbers.order().to_vec());
        let EndpointConfig { secret, shards, .. } = *former.endpoint;
        let active = Active {
            endpoint: Arc::new(endpoint_config(&config, &shared, secret, shards, listeners)),
            shared,
            listeners: numbers.names(),
            admin: ready.as_ref().map_or(former.admin, |ready| ready.admin),
            generation,
            since: strowger_net::now().wall_secs(),
            config,
        };
        Ok(Prepared {
            active,
            numbers,
            joining,
            retired: step.retired,
            closed: step.closed,
            ready,
            records: None,
        })
    }

    /// Puts another configuration into force; its generation. Listeners that it retires are closed when the time to drain
    /// is over.
    async fn go_on(self: &Arc<Self>, course: &mut Course, prepared: Prepared) -> u64 {
        let is_retiring = !prepared.retired.is_empty();
        let Active {
            generation,
            ref config,
            ref shared,
            ..
        } = prepared.active;
        let drain = config.drain;
        warn_of_unserved(shared);
        if let Some(exposure) = effective::exposure(config) {
            tracing::warn!("{exposure}");
        }
        for unheard in effective::unheard(config) {
            tracing::warn!("{unheard}");
        }
        self.enter(course, prepared).await;
        if is_retiring {
            tokio::spawn(close_later(Arc::downgrade(self), generation, drain));
        }
        generation
    }

    /// Puts what was prepared into force. It returns when every shard has taken it.
    async fn enter(&self, course: &mut Course, prepared: Prepared) {
        let Prepared {
            active,
            numbers,
            joining,
            retired,
            closed,
            ready,
            records,
        } = prepared;
        if let Some(ready) = ready {
            (ready.enter)();
        }
        active.shared.subscribers.serve(&active.config.domains);
        if let Some(records) = records {
            self.records.send_replace(Arc::new(records));
        }
        let (dns, now_ms) = (&active.shared.dns, strowger_net::now().mono_ms());
        dns.reconfigure(&self.active().config.dns, &active.config.dns, now_ms);
        dns.carry(&active.endpoint.listeners);
        let changes = Changes {
            listening: numbers.listening(),
            joining,
            retired,
            closed,
            options: options(&active.config),
        };
        self.tell_shards(changes, &active.shared, &active.endpoint).await;
        course.numbers = numbers;
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(active);
    }

    async fn tell_shards(&self, changes: Changes, shared: &Arc<Shared>, endpoint: &Arc<EndpointConfig>) {
        let logs = super::wants_logs();
        let mut answers = Vec::new();
        let parts = changes.split(self.handle.count(), |_| {
            let (done, former) = oneshot::channel();
            answers.push(former);
            Control::Reload(Reload {
                shared: Arc::clone(shared),
                endpoint: Arc::clone(endpoint),
                logs,
                done,
            })
        });
        for (shard, part) in (0..).zip(parts) {
            self.deliver(shard, Box::new(part)).await;
        }
        for former in answers {
            // One that has ended has nothing to answer.
            drop(former.await);
        }
    }

    /// A change is never lost: it is offered until the shard takes it, or has ended.
    async fn deliver(&self, shard: u16, mut part: Box<Change<Control>>) {
        loop {
            match self.handle.change(shard, part) {
                Ok(()) | Err(NotTaken::Ended) => return,
                Err(NotTaken::Busy(back)) => part = back,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Ends what was begun at listeners that a generation retired.
    async fn close_retired(&self, generation: u64) {
        let mut course = self.course.lock().await;
        let closed = course.numbers.retired_by(generation);
        if closed.is_empty() {
            return;
        }
        let mut numbers = course.numbers.clone();
        numbers.close(&closed);
        let active = self.active();
        let step = Step {
            closed,
            ..Step::default()
        };
        let prepared = self.put_together(active.config.clone(), numbers, step, None, active.generation);
        // It can fail with a listener that is new only.
        if let Ok(mut prepared) = prepared {
            prepared.active.since = active.since;
            self.enter(&mut course, prepared).await;
        }
    }
}

/// The listeners that came and went.
#[derive(Debug, Default)]
struct Names {
    added: Vec<String>,
    removed: Vec<String>,
}

async fn close_later(node: Weak<Running>, generation: u64, after: Duration) {
    tokio::time::sleep(after).await;
    if let Some(node) = node.upgrade() {
        node.close_retired(generation).await;
    }
}

/// Goes back when nobody has confirmed in time, and tries it until it works or somebody does.
async fn roll_back_later(node: Weak<Running>, generation: u64, after: Duration) {
    tokio::time::sleep(after).await;
    loop {
        let Some(node) = node.upgrade() else { return };
        let mut course = node.course.lock().await;
        // Why it fails is in the log.
        let _ = node.try_roll_back(&mut course, Some(generation)).await;
        drop(course);
        let is_over = node
            .pending()
            .as_ref()
            .is_none_or(|pending| pending.generation != generation);
        if is_over {
            return;
        }
        drop(node);
        tokio::time::sleep(ROLLBACK_PAUSE).await;
    }
}

/// What is different and cannot be while the node runs.
fn fixed(former: &Config, next: &Config) -> Vec<Obstacle> {
    let cores = strowger_net::allowed_cpus().len();
    let (before, after) = (&former.location, &next.location);
    let fixed = [
        (Key::Top("data_dir"), former.data_dir == next.data_dir),
        (
            Key::Top("shards"),
            effective::shards(former, cores) == effective::shards(next, cores),
        ),
        (Key::Of("auth", "users"), former.auth.users == next.auth.users),
        (Key::Top("user_lookup"), former.user_lookup == next.user_lookup),
        (Key::Of("location", "store"), before.store == after.store),
        (
            Key::Of("location", "durability"),
            before.durability == after.durability,
        ),
    ];
    let differing = fixed.into_iter().filter(|(_, same)| !same);
    let obstacle = |(key, _)| Obstacle {
        key,
        what: format!("`{key}` cannot be changed while the server runs"),
        mend: "restart it to apply this, or put the former value back".to_owned(),
    };
    differing.map(obstacle).collect()
}

fn placed(loaded: &Loaded, obstacles: Vec<Obstacle>) -> AdminError {
    let place = |obstacle: Obstacle| loaded.diagnostic(obstacle.key, obstacle.what, obstacle.mend);
    AdminError::Configuration(obstacles.into_iter().map(place).collect())
}

fn not_loaded(error: LoadError) -> AdminError {
    match error {
        LoadError::Wrong(wrong) => AdminError::Configuration(wrong),
        LoadError::Unreadable(path, error) => AdminError::Invalid {
            what: format!("cannot read {}: {error}", path.display()),
            mend: "put the file back, readable for the user that the server runs as".to_owned(),
        },
    }
}

fn nothing_pending() -> AdminError {
    AdminError::Conflict {
        what: "no configuration waits to be confirmed".to_owned(),
        mend: "see `strowger ctl status`".to_owned(),
    }
}

/// For whoever reads the log: the administrator has it in the answer, too.
fn tell_refused(error: &AdminError) {
    match error {
        AdminError::Configuration(wrong) => {
            for diagnostic in wrong {
                tracing::error!("reload refused: {diagnostic}");
            }
        }
        other => tracing::error!("reload refused: {other}; {}", other.mend()),
    }
}
