//! The node as `serve` drives it: started, administered, drained.

use std::net::SocketAddr;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use strowger_server::admin::{
    Admin, AdminError, AuthStatus, Call, Counts, Family, Filter, Import, Kind, NewUser, Page, PageRequest,
    Registration, Secret, State, Status, User, UserId,
};
use strowger_server::config::Config;
use strowger_server::config::effective::{self, Because};
use strowger_server::data_dir::DataDir;
use strowger_server::subscriber::{SubscriberError, Subscribers};
use tokio::sync::Notify;

use crate::failed::Failed;
use crate::place::told;

/// What runs between the ready line and the end.
pub(crate) struct Node {
    config: Config,
    data_dir: String,
    listeners: Vec<String>,
    admin: Option<SocketAddr>,
    users: Arc<Subscribers>,
    started: Instant,
    draining: AtomicBool,
    drain_asked: Notify,
}

impl Node {
    /// Binds the listeners and starts the shards.
    pub(crate) fn start(
        config: &Config,
        data_dir: &DataDir,
        admin: Option<SocketAddr>,
    ) -> Result<Arc<Self>, Failed> {
        let key = data_dir.table_key().map_err(told)?;
        let users = Subscribers::open(data_dir, key, config.location.durability)
            .map_err(|error| Failed::new(error, ""))?;
        users.serve(&config.domains);
        let listeners = effective::listeners(config);
        Ok(Arc::new(Self {
            config: config.clone(),
            data_dir: data_dir.path().display().to_string(),
            listeners: listeners
                .iter()
                .map(|listener| listener.listen.uri.to_string())
                .collect(),
            admin,
            users: Arc::new(users),
            started: Instant::now(),
            draining: AtomicBool::new(false),
            drain_asked: Notify::new(),
        }))
    }

    /// The URIs of the listeners that are bound, with their real ports.
    pub(crate) fn listeners(&self) -> &[String] {
        &self.listeners
    }

    /// Waits until an administrator asks the node to drain.
    pub(crate) async fn drain_asked(&self) {
        self.drain_asked.notified().await;
    }

    /// Refuses new work, and waits until what was begun is finished, at most this long.
    pub(crate) async fn drained(&self, _at_most: Duration) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Runs something that waits for the disk beside the control runtime.
    async fn with_users<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Subscribers) -> Result<T, SubscriberError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let users = Arc::clone(&self.users);
        let done = tokio::task::spawn_blocking(move || work(&users)).await;
        Ok(done.map_err(|_| AdminError::Unavailable("it is stopping"))??)
    }
}

impl Admin for Node {
    async fn status(&self) -> Result<Status, AdminError> {
        let digest = effective::digest(&self.config);
        let because = match digest.because {
            Because::Asked => "as configured".to_owned(),
            Because::OnlyLoopback => "only this machine can reach it".to_owned(),
            Because::Open(uri) => format!("{uri} can be reached from outside"),
        };
        let algorithms = self
            .config
            .auth
            .algorithms
            .iter()
            .map(|algorithm| algorithm.as_str().to_owned())
            .collect();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            uptime: self.started.elapsed().as_secs(),
            state: if self.draining.load(Ordering::Relaxed) {
                State::Draining
            } else {
                State::Running
            },
            listeners: self.listeners.clone(),
            admin: self.admin.map(|address| address.to_string()),
            shards: effective::shards(
                &self.config,
                std::thread::available_parallelism().map_or(1, usize::from),
            ),
            domains: self.config.domains.clone(),
            data_dir: self.data_dir.clone(),
            auth: AuthStatus {
                methods: digest.methods,
                algorithms,
                because,
            },
            counts: Counts {
                users: self.users.count() as u64,
                ..Counts::default()
            },
        })
    }

    async fn registrations(&self, _: Filter, _: PageRequest) -> Result<Page<Registration>, AdminError> {
        Ok(Page {
            items: Vec::new(),
            next: None,
            total: Some(0),
        })
    }

    async fn calls(&self, _: Filter, _: PageRequest) -> Result<Page<Call>, AdminError> {
        Ok(Page {
            items: Vec::new(),
            next: None,
            total: Some(0),
        })
    }

    async fn users(&self, filter: Filter, page: PageRequest) -> Result<Page<User>, AdminError> {
        self.with_users(move |users| users.list(&filter, &page)).await
    }

    async fn add_user(&self, user: NewUser) -> Result<User, AdminError> {
        self.with_users(move |users| {
            users.add(&user)?;
            users.get(&user.address)
        })
        .await
    }

    async fn remove_user(&self, user: UserId) -> Result<(), AdminError> {
        self.with_users(move |users| users.remove(&user)).await
    }

    async fn set_password(&self, user: UserId, password: Secret) -> Result<(), AdminError> {
        self.with_users(move |users| users.set_password(&user, &password))
            .await
    }

    async fn import_users(&self, batch: Vec<NewUser>) -> Result<Import, AdminError> {
        self.with_users(move |users| users.import(batch)).await
    }

    async fn metrics(&self) -> Result<Vec<Family>, AdminError> {
        let users = self.users.count() as f64;
        Ok(vec![Family::single(
            "strowger_users",
            "Users.",
            Kind::Gauge,
            users,
        )])
    }

    async fn drain(&self) -> Result<(), AdminError> {
        self.drain_asked.notify_one();
        Ok(())
    }
}
