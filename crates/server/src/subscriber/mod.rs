//! Users: who may register and call, and by which names they are reached.
//!
//! A user is `user@domain`, the user part unescaped and compared exactly, the domain in lower case (an IPv6 address in
//! brackets). The realm of a user is its domain. Of the password only H(A1) is kept (RFC 7616 §3.4.2), for MD5, SHA-256 and
//! SHA-512-256, in binary. An *alias* is another user part of the same domain, an extension such as `1001`; users and
//! aliases of a domain share one name space.
//!
//! Users are stored in `subscribers.db`; the whole of it that a request needs is also in memory, where a look-up takes no lock
//! and allocates nothing. A change is committed first and published then.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{error, fmt};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use strowger_sip::auth::{Algorithm, Ha1};

use self::directory::{Directory, Hashes};
use crate::admin::{AdminError, Filter, Malformed, NewUser, Page, PageRequest, Secret, User, UserId};
use crate::data_dir::DataDir;
use crate::database::{Database, Durability, OpenError, StoreFailure, look_at};

mod directory;
mod import;
mod tables;
#[cfg(test)]
mod tests;

pub use import::{ImportError, Progress};

/// The name of the file in the data directory.
pub(crate) const FILE: &str = "subscribers.db";

/// The users of the node. Look-ups come from any thread; changes are made one after the other and wait for the disk, so they
/// are not made on a shard.
#[derive(Debug)]
pub struct Subscribers {
    directory: Directory,
    key: [u8; 16],
    database: Mutex<Database>,
    /// In lower case; none is all.
    domains: Mutex<Vec<String>>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A user.
    User,
    /// An alias; whose has been written to the caller's buffer.
    Alias,
    /// Nobody.
    Unknown,
}

impl Subscribers {
    /// Opens the users of a data directory, making the file if there is none. `key` (random bytes) keys the hash of the
    /// table.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &DataDir, key: [u8; 16], durability: Durability) -> Result<Self, OpenError> {
        let path = dir.file(FILE);
        let database = Database::open(&path, tables::SCHEMA, durability)?;
        Self::load(database, key).map_err(|source| OpenError::of(&path, source))
    }

    /// The users of a directory that a server may be using, to be looked at only; none if there is no file.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn peek(dir: &Path, key: [u8; 16]) -> Result<Self, OpenError> {
        let path = dir.join(FILE);
        let load = || {
            if path.exists() {
                return Self::load(Database::over(&path, look_at(&path)?), key);
            }
            let connection = Connection::open_in_memory()?;
            tables::SCHEMA
                .steps
                .iter()
                .try_for_each(|step| connection.execute_batch(step))?;
            connection.pragma_update(None, "query_only", true)?;
            Self::load(Database::over(&path, connection), key)
        };
        load().map_err(|source| OpenError::of(&path, source))
    }

    fn load(mut database: Database, key: [u8; 16]) -> rusqlite::Result<Self> {
        let directory = Directory::new(key);
        tables::load(database.connection()?, &directory)?;
        Ok(Self {
            directory,
            key,
            database: Mutex::new(database),
            domains: Mutex::default(),
        })
    }

    /// Lets users be added in these domains only (none: in all). Users that are there stay.
    pub fn serve(&self, domains: &[String]) {
        let lower = domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
        *self.domains.lock().unwrap_or_else(PoisonError::into_inner) = lower;
    }

    /// The H(A1) of a user for one algorithm; `None` if there is no such user. An alias is no user here: credentials are
    /// those of the user itself. Takes no lock and does not allocate.
    pub fn ha1(&self, user: &[u8], domain: &[u8], algorithm: Algorithm) -> Option<Ha1> {
        self.directory.ha1(user, domain, algorithm)
    }

    /// What a name stands for. If it is an alias, `alias_of` is replaced by the user part of its user. Takes no lock, and
    /// does not allocate when `alias_of` has the room.
    pub fn resolve(&self, user: &[u8], domain: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        self.directory.resolve(user, domain, alias_of)
    }

    /// [`resolve`](Self::resolve) of an address-of-record in its canonical form.
    pub fn resolve_aor(&self, aor: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        self.directory.resolve_aor(aor, alias_of)
    }

    /// Whether any name is an alias.
    pub fn has_aliases(&self) -> bool {
        self.directory.has_aliases()
    }

    /// How many users there are.
    pub fn count(&self) -> usize {
        self.directory.users()
    }

    /// About how many bytes the users and aliases take in memory.
    pub fn bytes(&self) -> usize {
        self.directory.bytes()
    }

    /// How many users each domain has, by its name, whether it is served or not.
    ///
    /// # Errors
    /// [`SubscriberError::Store`].
    pub fn domains(&self) -> Result<Vec<(String, u64)>, SubscriberError> {
        self.with(&mut self.lock(), |connection| tables::domains(connection))
    }

    /// Adds a user with its aliases.
    ///
    /// # Errors
    /// [`SubscriberError`]: malformed, not served, the name or an alias taken, or the store failed. Nothing was changed.
    pub fn add(&self, user: &NewUser) -> Result<(), SubscriberError> {
        user.check()?;
        self.check_served(&user.address)?;
        let hashes = Hashes::of(&user.address, &user.password);
        let mut database = self.lock();
        self.with(&mut database, |connection| {
            change(connection, |transaction| tables::add(transaction, user, &hashes))
        })?;
        self.publish(user, &hashes);
        Ok(())
    }

    /// Removes a user and its aliases.
    ///
    /// # Errors
    /// [`SubscriberError::NoSuchUser`] or [`SubscriberError::Store`].
    pub fn remove(&self, user: &UserId) -> Result<(), SubscriberError> {
        let mut database = self.lock();
        let aliases = self.with(&mut database, |connection| {
            change(connection, |transaction| tables::remove(transaction, user))
        })?;
        self.directory.remove(user.user(), user.domain());
        aliases
            .iter()
            .for_each(|alias| self.directory.remove(alias, user.domain()));
        Ok(())
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// [`SubscriberError::Malformed`], [`SubscriberError::NoSuchUser`] or [`SubscriberError::Store`].
    pub fn set_password(&self, user: &UserId, password: &Secret) -> Result<(), SubscriberError> {
        password.check_password()?;
        let hashes = Hashes::of(user, password);
        let mut database = self.lock();
        self.with(&mut database, |connection| {
            change(connection, |transaction| {
                tables::set_hashes(transaction, user, &hashes)
            })
        })?;
        self.directory.put_user(user.user(), user.domain(), hashes);
        Ok(())
    }

    /// One user.
    ///
    /// # Errors
    /// [`SubscriberError::NoSuchUser`] or [`SubscriberError::Store`].
    pub fn get(&self, user: &UserId) -> Result<User, SubscriberError> {
        let found = self.with(&mut self.lock(), |connection| tables::get(connection, user))?;
        found.ok_or_else(|| SubscriberError::NoSuchUser(user.clone()))
    }

    /// A page of the users whose address, display name or alias contains what is asked for, by domain, then user part. Their
    /// contacts are not known here.
    ///
    /// # Errors
    /// [`SubscriberError::Store`].
    pub fn list(&self, filter: &Filter, page: &PageRequest) -> Result<Page<User>, SubscriberError> {
        let mut items = self.with(&mut self.lock(), |connection| {
            tables::list(connection, &filter.q, &page.after, page.entries() + 1)
        })?;
        let more = items.len() > page.entries();
        items.truncate(page.entries());
        let next = items.last().filter(|_| more).map(|last| last.address.to_string());
        let total = filter.q.is_empty().then(|| self.count() as u64);
        Ok(Page { items, next, total })
    }

    fn check_served(&self, user: &UserId) -> Result<(), SubscriberError> {
        let served = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        if served.is_empty() || served.iter().any(|domain| domain == user.domain()) {
            return Ok(());
        }
        Err(SubscriberError::NotServed {
            domain: user.domain().to_owned(),
            served: served.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses the store. If that fails, says where and why, and has it opened anew where that may help.
    fn with<T>(
        &self,
        database: &mut Database,
        work: impl FnOnce(&mut Connection) -> Result<T, SubscriberError>,
    ) -> Result<T, SubscriberError> {
        let opened = if database.is_open() {
            Ok(())
        } else {
            self.reload(database).map_err(Into::into)
        };
        let done = opened.and_then(|()| Ok(database.connection()?)).and_then(work);
        let Err(SubscriberError::Store(failure)) = done else {
            return done;
        };
        let failure = database.failed(failure);
        tracing::error!(
            "users can't be stored in {}: {failure}",
            database.path().display()
        );
        Err(SubscriberError::Store(failure))
    }

    /// After a failure nobody knows whether the last change is in the file, nor whether what is there was synced: syncs it, and
    /// goes on with that.
    fn reload(&self, database: &mut Database) -> rusqlite::Result<()> {
        let connection = database.connection()?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        let fresh = Directory::new(self.key);
        tables::load(connection, &fresh)?;
        self.directory.become_like(&fresh);
        Ok(())
    }

    fn publish(&self, user: &NewUser, hashes: &Hashes) {
        let (name, domain) = (user.address.user(), user.address.domain());
        self.directory.put_user(name, domain, *hashes);
        for alias in &user.aliases {
            self.directory.put_alias(alias, domain, name);
        }
    }
}

/// Makes a change: all of it, or nothing.
fn change<T>(
    connection: &mut Connection,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, SubscriberError>,
) -> Result<T, SubscriberError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = change(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// Why a user was not added, changed or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriberError {
    /// The password, an alias or the display name is malformed.
    Malformed(Malformed),
    /// The domain is none of ours.
    NotServed {
        /// The domain.
        domain: String,
        /// Ours.
        served: Vec<String>,
    },
    /// The user exists already.
    Exists(UserId),
    /// A name that was to be a user's or an alias is somebody's already.
    Taken {
        /// The name and its domain.
        name: UserId,
        /// Whose it is; the name itself if it is a user.
        by: String,
    },
    /// There is no such user.
    NoSuchUser(UserId),
    /// The store could not be read or written.
    Store(StoreFailure),
}

impl fmt::Display for SubscriberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::NotServed { domain, served } => {
                write!(
                    f,
                    "this server is not responsible for {domain}, only for {}; ",
                    served.join(", ")
                )?;
                write!(
                    f,
                    "use one of these, or add `{domain}` to `domains` in the configuration"
                )
            }
            Self::Exists(user) => {
                write!(
                    f,
                    "{user} exists already; change the password with `strowger user passwd {user}`"
                )
            }
            Self::Taken { name, by } if name.user() == by => {
                write!(f, "{name} is a user and can't be an alias; choose another name")
            }
            Self::Taken { name, by } => write!(f, "{name} is an alias of {by}; choose another name"),
            Self::NoSuchUser(user) => write!(f, "there is no user {user}; see `strowger user list`"),
            Self::Store(failure) => write!(f, "users can't be stored in {FILE}: {failure}"),
        }
    }
}

impl error::Error for SubscriberError {}

impl From<Malformed> for SubscriberError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<rusqlite::Error> for SubscriberError {
    fn from(error: rusqlite::Error) -> Self {
        tracing::debug!(%error, "the store of users failed");
        Self::Store(StoreFailure::of(&error))
    }
}

impl From<SubscriberError> for AdminError {
    fn from(error: SubscriberError) -> Self {
        match error {
            SubscriberError::Malformed(malformed) => malformed.into(),
            SubscriberError::NotServed { domain, served } => Self::Invalid {
                what: format!("this server is not responsible for {domain}"),
                mend: format!(
                    "use one of its domains ({}) or add it to `domains`",
                    served.join(", ")
                ),
            },
            SubscriberError::Exists(user) => Self::Exists(user.to_string()),
            SubscriberError::Taken { name, .. } => Self::Exists(name.to_string()),
            SubscriberError::NoSuchUser(user) => Self::NoSuchUser(user),
            SubscriberError::Store(failure) => Self::Store(format!("{FILE}: {failure}")),
        }
    }
}
