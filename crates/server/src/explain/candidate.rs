//! A node as it would be: by a configuration that none runs with, and by what a data directory holds, which stays as it is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use strowger_sip::auth::NonceTable;
use strowger_sip::transport::{Listener, Listeners};
use strowger_sip::{EndpointConfig, Now};

use super::{Asked, Circumstances, Detached, Explanation, Ground, Names, Stage, Unclear, owner};
use crate::config::effective::{self, Machine};
use crate::config::{Config, Diagnostic, UserSource};
use crate::data_dir::{DataDirError, SECRET_LEN, peek_secret};
use crate::defence::Defence;
use crate::dns::Dns;
use crate::events::Events;
use crate::location::{Location, OpenError, Settings, Sqlite};
use crate::node::{Shared, Visitors};
use crate::push::Services;
use crate::running::{endpoint_config, node_policy};
use crate::subscriber::{Subscribers, read_file};

/// Keys the tables, which nobody fills who could choose names that collide.
const TABLE_KEY: [u8; 16] = [0; 16];

/// The start of a node that has not started.
const BOOT: u32 = 0;

/// Why a candidate can't be looked at.
#[derive(Debug)]
pub enum CandidateError {
    /// The data directory does not do.
    DataDir(DataDirError),
    /// A database can't be read.
    Database(OpenError),
    /// The file of users can't be read, or is wrong.
    Users(Vec<Diagnostic>),
}

impl fmt::Display for CandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataDir(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
            Self::Users(wrong) => match &wrong[..] {
                [first, others @ ..] if !others.is_empty() => {
                    write!(f, "{first} (and {} more)", others.len())
                }
                [first, ..] => first.fmt(f),
                [] => f.write_str("the file of users is wrong"),
            },
        }
    }
}

impl std::error::Error for CandidateError {}

/// A node that is not there.
#[derive(Debug)]
pub struct Candidate {
    shared: Shared,
    endpoint: EndpointConfig,
    assumed: Vec<String>,
}

impl Candidate {
    /// Works it out.
    ///
    /// # Errors
    /// [`CandidateError`].
    pub fn open(config: &Config, data_dir: &Path, now: Now) -> Result<Self, CandidateError> {
        let listens: Vec<_> = effective::listeners(config)
            .into_iter()
            .map(|listener| listener.listen)
            .collect();
        let machine = Machine {
            host_name: strowger_net::host_name(),
            addresses: strowger_net::interface_addresses(),
        };
        let settings = Settings::new(TABLE_KEY, config.location.durability);
        let location: Arc<dyn Location> = Arc::new(
            Sqlite::peek(data_dir, settings, now.wall_secs() as u32).map_err(CandidateError::Database)?,
        );
        let subscribers = subscribers(config, data_dir)?;
        let mut assumed = Vec::new();
        let secret = peek_secret(data_dir).map_err(CandidateError::DataDir)?;
        if secret.is_none() {
            assumed.push(
                "the data directory has no secret yet, so tokens are made with one of zeros".to_owned(),
            );
        }
        let shared = Shared {
            policy: node_policy(config, BOOT),
            visitors: Arc::new(Visitors::of(&*location)),
            ours: effective::ours(config, &listens, &machine),
            location,
            subscribers: Arc::new(subscribers),
            nonces: Arc::new(NonceTable::new(
                BOOT,
                NonceTable::SLOTS,
                NonceTable::LIFETIME_SECS,
            )),
            defence: Defence::new(&config.defence, TABLE_KEY).0,
            dns: Arc::new(Dns::new(&config.dns, TABLE_KEY).0),
            events: Arc::new(Events::new(None)),
            push: Services::new(&config.push, TABLE_KEY).0,
        };
        let describe = |listen: &crate::config::Listen| Listener {
            transport: listen.uri.transport,
            address: listen.uri.address,
            advertise: listen.advertised(),
        };
        let listeners = Listeners::new(listens.iter().map(describe).collect(), machine.addresses);
        shared.dns.carry(&listeners);
        let shards = effective::shards(config, strowger_net::allowed_cpus().len());
        let secret = secret.unwrap_or([0; SECRET_LEN]);
        let endpoint = endpoint_config(config, &shared, secret, shards, listeners);
        Ok(Self {
            shared,
            endpoint,
            assumed,
        })
    }

    /// Explains a message.
    ///
    /// # Errors
    /// [`Unclear`].
    pub async fn explain(
        &self,
        given: &[u8],
        wanted: &Circumstances<'_>,
        now: Now,
        names: &Names,
    ) -> Result<Explanation, Unclear> {
        let mut asked = Asked::of(given, wanted, &self.endpoint.listeners, now)?;
        asked.assumed.extend_from_slice(&self.assumed);
        let shard = owner(&self.endpoint, &asked.bytes, asked.source.flow.is_some());
        let stage = Stage::new(
            Detached::of(&self.shared, names.is_given()),
            &self.endpoint,
            Ground::Candidate,
            shard,
        );
        stage.explain(&asked, names).await
    }
}

/// The users of a configuration; nobody asks a server for any.
fn subscribers(config: &Config, data_dir: &Path) -> Result<Subscribers, CandidateError> {
    let auth = &config.auth;
    match &auth.users {
        UserSource::Kept => Subscribers::peek(data_dir, TABLE_KEY).map_err(CandidateError::Database),
        UserSource::File(path) => {
            let contents = read_file(path, &auth.algorithms).map_err(CandidateError::Users)?;
            Ok(Subscribers::of_file(path, contents, &auth.algorithms, TABLE_KEY))
        }
        UserSource::Server(url) => Ok(Subscribers::of_silent_server(url, &config.user_lookup, TABLE_KEY)),
    }
}
