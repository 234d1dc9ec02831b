//! Users: who may register and call, and by which names they are reached.
//!
//! A user is `user@domain`, the user part unescaped and compared exactly, the domain in lower case (an IPv6 address in
//! brackets). The realm of a user is its domain. Of the password only H(A1) is kept (RFC 7616 §3.4.2), for MD5, SHA-256 and
//! SHA-512-256, in binary. An *alias* is another user part of the same domain, an extension such as `1001`; users and
//! aliases of a domain share one name space.
//!
//! Users are stored in `subscribers.db`; the whole of it that a request needs is also in memory, where a look-up takes no lock
//! and allocates nothing. A change is committed first and published then.
//!
//! Or somebody else keeps them: in a file ([`static_file`]) that is read into the same tables, or behind an HTTP server
//! ([`lookup`]). Then nothing is changed here.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{error, fmt};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use strowger_sip::auth::{Algorithm, Ha1};
use tokio::sync::mpsc;

use self::directory::{Directory, Hashes};
use crate::admin::{AdminError, Filter, Malformed, NewUser, Page, PageRequest, Secret, User, UserId};
use crate::config::{Diagnostic, UserLookup, UserSource};
use crate::data_dir::DataDir;
use crate::database::{Database, Durability, OpenError, StoreFailure, look_at};

mod directory;
mod import;
pub(crate) mod lookup;
mod static_file;
mod tables;
#[cfg(test)]
mod tests;

pub use import::{ImportError, Progress};
pub use lookup::{Belief, Looked, Lookup, Question};
use static_file::StaticFile;
pub use static_file::{Contents, read as read_file};

/// The name of the file in the data directory.
pub(crate) const FILE: &str = "subscribers.db";

/// The users of the node. Look-ups come from any thread; changes are made one after the other and wait for the disk, so they
/// are not made on a shard.
#[derive(Debug)]
pub struct Subscribers {
    directory: Directory,
    key: [u8; 16],
    source: Source,
    /// Where they come from.
    origin: UserSource,
    /// In lower case; none is all.
    domains: Mutex<Vec<String>>,
}

/// Whether a data directory has users; `None` if that can't be read.
pub fn has_users(dir: &Path) -> Option<bool> {
    let path = dir.join(FILE);
    match path.try_exists() {
        Ok(false) => Some(false),
        Ok(true) => tables::any(&look_at(&path).ok()?).ok(),
        Err(_) => None,
    }
}

/// Who keeps the users.
#[derive(Debug)]
enum Source {
    /// The node.
    Kept(Mutex<Database>),
    /// A file.
    File(Mutex<StaticFile>),
    /// A server.
    Server(Lookup),
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
            source: Source::Kept(Mutex::new(database)),
            origin: UserSource::Kept,
            domains: Mutex::default(),
        })
    }

    /// The users of a file that was read for these algorithms.
    pub fn of_file(path: &Path, contents: Contents, algorithms: &[Algorithm], key: [u8; 16]) -> Self {
        let directory = Directory::new(key);
        let mut file = StaticFile::new(path.to_owned());
        file.take(contents, algorithms, &directory);
        Self {
            directory,
            key,
            source: Source::File(Mutex::new(file)),
            origin: UserSource::File(path.to_owned()),
            domains: Mutex::default(),
        }
    }

    /// The users whom a server is asked for. What is asked comes out of the receiver.
    pub fn of_server(url: &str, settings: &UserLookup, key: [u8; 16]) -> (Self, mpsc::Receiver<Question>) {
        let (lookup, questions) = Lookup::new(settings, key);
        (Self::behind(url, lookup, key), questions)
    }

    /// The same without anybody who asks.
    pub fn of_silent_server(url: &str, settings: &UserLookup, key: [u8; 16]) -> Self {
        Self::behind(url, Lookup::silent(settings, key), key)
    }

    /// The same users for whoever may not cause anything outside: a server is not asked.
    pub fn silenced(self: &Arc<Self>) -> Arc<Self> {
        match (&self.source, &self.origin) {
            (Source::Server(lookup), UserSource::Server(url)) => {
                Arc::new(Self::behind(url, lookup.silenced(), self.key))
            }
            _ => Arc::clone(self),
        }
    }

    fn behind(url: &str, lookup: Lookup, key: [u8; 16]) -> Self {
        Self {
            directory: Directory::new(key),
            key,
            source: Source::Server(lookup),
            origin: UserSource::Server(url.to_owned()),
            domains: Mutex::default(),
        }
    }

    /// Where they come from.
    pub fn origin(&self) -> &UserSource {
        &self.origin
    }

    /// What asks the server, if they come from one.
    pub fn lookup(&self) -> Option<&Lookup> {
        match &self.source {
            Source::Server(lookup) => Some(lookup),
            Source::Kept(_) | Source::File(_) => None,
        }
    }

    /// Reads the file of users again, for other algorithms; `None` if they come from none. To be taken by
    /// [`take`](Self::take).
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn read_again(&self, algorithms: &[Algorithm]) -> Option<Result<Contents, Vec<Diagnostic>>> {
        let path = lock(self.file()?).path.clone();
        Some(read_file(&path, algorithms))
    }

    /// Goes on with what was read of the file. Look-ups meanwhile find the one or the other.
    pub fn take(&self, contents: Contents, algorithms: &[Algorithm]) {
        if let Some(file) = self.file() {
            let fresh = Directory::new(self.key);
            let mut file = lock(file);
            file.take(contents, algorithms, &fresh);
            self.directory.become_like(&fresh);
        }
    }

    /// Reads the file of users again if it was written meanwhile; how many users there are then. `None` if it is the same, or
    /// there is none.
    ///
    /// # Errors
    /// Everything that is wrong with the file, once for each state of it; the users stay as they were.
    pub fn follow_file(&self) -> Option<Result<usize, Vec<Diagnostic>>> {
        let mut file = lock(self.file()?);
        if !file.has_changed() {
            return None;
        }
        let contents = match file.read_again() {
            Ok(contents) => contents,
            Err(wrong) => return Some(Err(wrong)),
        };
        let algorithms = file.algorithms().to_vec();
        drop(file);
        self.take(contents, &algorithms);
        Some(Ok(self.count()))
    }

    fn file(&self) -> Option<&Mutex<StaticFile>> {
        match &self.source {
            Source::File(file) => Some(file),
            Source::Kept(_) | Source::Server(_) => None,
        }
    }

    /// Lets users be added in these domains only (none: in all). Users that are there stay.
    pub fn serve(&self, domains: &[String]) {
        let lower = domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
        *self.domains.lock().unwrap_or_else(PoisonError::into_inner) = lower;
    }

    /// The H(A1) of a user for one algorithm; `None` if there is no such user. An alias is no user here: credentials are
    /// those of the user itself. Takes no lock and does not allocate.
    pub fn ha1(&self, user: &[u8], domain: &[u8], algorithm: Algorithm) -> Option<Ha1> {
        match self.lookup() {
            None => self.directory.ha1(user, domain, algorithm),
            Some(lookup) => lookup.ha1(user, domain, algorithm),
        }
    }

    /// What a name stands for. If it is an alias, `alias_of` is replaced by the user part of its user. Takes no lock, and
    /// does not allocate when `alias_of` has the room.
    pub fn resolve(&self, user: &[u8], domain: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        match self.lookup() {
            None => self.directory.resolve(user, domain, alias_of),
            Some(lookup) => lookup.resolve(user, domain, alias_of),
        }
    }

    /// [`resolve`](Self::resolve) of an address-of-record in its canonical form.
    pub fn resolve_aor(&self, aor: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        match self.lookup() {
            None => self.directory.resolve_aor(aor, alias_of),
            Some(lookup) => lookup.resolve_aor(aor, alias_of),
        }
    }

    /// Whether any name may be an alias.
    pub fn has_aliases(&self) -> bool {
        self.lookup().is_some() || self.directory.has_aliases()
    }

    /// Whether the domain of any user may be an address.
    pub fn has_users_at_addresses(&self) -> bool {
        self.lookup().is_some() || self.directory.has_users_at_addresses()
    }

    /// How many users there are, as far as they are known here.
    pub fn count(&self) -> usize {
        self.lookup().map_or_else(|| self.directory.users(), Lookup::len)
    }

    /// About how many bytes the users and aliases take in memory.
    pub fn bytes(&self) -> usize {
        self.lookup()
            .map_or_else(|| self.directory.bytes(), Lookup::bytes)
    }

    /// How many users each domain has, by its name, whether it is served or not.
    ///
    /// # Errors
    /// [`SubscriberError::Store`].
    pub fn domains(&self) -> Result<Vec<(String, u64)>, SubscriberError> {
        match &self.source {
            Source::Kept(database) => {
                self.with(&mut lock(database), |connection| tables::domains(connection))
            }
            Source::File(file) => {
                let mut domains: Vec<(String, u64)> = Vec::new();
                for user in lock(file).users() {
                    match domains.last_mut() {
                        Some((domain, count)) if domain == user.address.domain() => *count += 1,
                        _ => domains.push((user.address.domain().to_owned(), 1)),
                    }
                }
                Ok(domains)
            }
            Source::Server(_) => Ok(Vec::new()),
        }
    }

    /// Adds a user with its aliases.
    ///
    /// # Errors
    /// [`SubscriberError`]: malformed, not served, the name or an alias taken, or the store failed. Nothing was changed.
    pub fn add(&self, user: &NewUser) -> Result<(), SubscriberError> {
        let database = self.database()?;
        user.check()?;
        self.check_served(&user.address)?;
        let hashes = Hashes::of(&user.address, &user.password);
        let mut database = lock(database);
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
        let mut database = lock(self.database()?);
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
        let database = self.database()?;
        password.check_password()?;
        let hashes = Hashes::of(user, password);
        let mut database = lock(database);
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
        let found = match &self.source {
            Source::File(file) => lock(file)
                .users()
                .iter()
                .find(|known| known.address == *user)
                .cloned(),
            _ => self.with(&mut lock(self.database()?), |connection| {
                tables::get(connection, user)
            })?,
        };
        found.ok_or_else(|| SubscriberError::NoSuchUser(user.clone()))
    }

    /// A page of the users whose address, display name or alias contains what is asked for, by domain, then user part. Their
    /// contacts are not known here.
    ///
    /// # Errors
    /// [`SubscriberError::Store`].
    pub fn list(&self, filter: &Filter, page: &PageRequest) -> Result<Page<User>, SubscriberError> {
        let mut items = match &self.source {
            Source::File(file) => lock(file).list(&filter.q, &page.after, page.entries() + 1),
            _ => self.with(&mut lock(self.database()?), |connection| {
                tables::list(connection, &filter.q, &page.after, page.entries() + 1)
            })?,
        };
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

    /// The database, if the node keeps its users.
    fn database(&self) -> Result<&Mutex<Database>, SubscriberError> {
        match &self.source {
            Source::Kept(database) => Ok(database),
            Source::File(_) | Source::Server(_) => Err(SubscriberError::Elsewhere(self.origin.clone())),
        }
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// The node does not keep its users.
    Elsewhere(UserSource),
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
            Self::Elsewhere(source) => write!(f, "{}; {}", elsewhere(source), elsewhere_mend(source)),
            Self::Store(failure) => write!(f, "users can't be stored in {FILE}: {failure}"),
        }
    }
}

impl error::Error for SubscriberError {}

fn elsewhere(source: &UserSource) -> String {
    format!("users come from {source}")
}

fn elsewhere_mend(source: &UserSource) -> &'static str {
    match source {
        UserSource::Server(_) => "change and list them there",
        UserSource::File(_) | UserSource::Kept => "edit it there; the server reads it again when it changes",
    }
}

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
            SubscriberError::Elsewhere(source) => Self::Conflict {
                what: elsewhere(&source),
                mend: elsewhere_mend(&source).to_owned(),
            },
            SubscriberError::Store(failure) => Self::Store(format!("{FILE}: {failure}")),
        }
    }
}
