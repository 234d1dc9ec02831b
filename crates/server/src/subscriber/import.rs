//! Many users at once: a line each, in batches of one transaction. A line that can't be taken is told with its number and
//! why; the others are taken.

use std::io::{self, BufRead, Read};
use std::{error, fmt};

use rusqlite::Transaction;

use super::directory::Hashes;
use super::{StoreFailure, SubscriberError, Subscribers, change, lock, tables};
use crate::admin::{Import, NewUser};

/// The users of one transaction.
const BATCH: usize = 10_000;

/// The longest line, in bytes.
const MAX_LINE: u64 = 4096;

/// How far an import is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Lines read and done with.
    pub lines: u64,
    /// What became of them.
    pub import: &'a Import,
}

/// Why an import ended before its end. What it had committed stays; to import the whole again does no harm.
#[derive(Debug)]
pub enum ImportError {
    /// The source can't be read.
    Read {
        /// The line it was at.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// No user is taken.
    Refused(SubscriberError),
    /// The users can't be stored.
    Store {
        /// The last line that was committed.
        line: u64,
        /// Why.
        failure: StoreFailure,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { line, source } => write!(f, "line {line} can't be read: {source}"),
            Self::Refused(why) => why.fmt(f),
            Self::Store { line, failure } => {
                write!(
                    f,
                    "the import stopped behind line {line}: {failure}; import the whole again then"
                )
            }
        }
    }
}

impl error::Error for ImportError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Refused(_) | Self::Store { .. } => None,
        }
    }
}

impl Subscribers {
    /// Adds the users of a text, one a line as [`NewUser::from_line`] reads it; those that exist get the password. Empty
    /// lines and lines that begin with `#` are skipped. `progress` is told after each batch.
    ///
    /// # Errors
    /// [`ImportError`]: the text can't be read, or the users can't be stored. A bad line is no error but told in the
    /// [`Import`].
    pub fn import_lines(
        &self,
        text: &mut dyn BufRead,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Import, ImportError> {
        self.database().map_err(ImportError::Refused)?;
        let _cache = Cache::enlarge(self);
        let mut import = Import::default();
        let mut batch = Vec::new();
        let mut bytes = Vec::new();
        let (mut line, mut committed) = (0, 0);
        loop {
            line += 1;
            let more = read_line(text, &mut bytes).map_err(|source| ImportError::Read { line, source })?;
            if more {
                match parse(&bytes) {
                    Ok(Some(user)) => batch.push((line, user)),
                    Ok(None) => {}
                    Err(wrong) => import.fail(line, wrong),
                }
            }
            if batch.len() >= BATCH || !more {
                let part = self.put_all(&batch).map_err(|failure| ImportError::Store {
                    line: committed,
                    failure,
                })?;
                import.add(part);
                batch.clear();
                committed = if more { line } else { line - 1 };
                progress(Progress {
                    lines: committed,
                    import: &import,
                });
            }
            if !more {
                import.failed.sort_by_key(|failed| failed.line);
                return Ok(import);
            }
        }
    }

    /// Adds users, or gives those that exist the password, the display name and the aliases if these are given. One
    /// transaction; a user that can't be taken is told by its place in the list, from 1.
    ///
    /// # Errors
    /// [`SubscriberError::Store`]; nothing was changed.
    pub fn import(&self, users: Vec<NewUser>) -> Result<Import, SubscriberError> {
        self.database()?;
        let numbered: Vec<_> = (1..).zip(users).collect();
        self.put_all(&numbered).map_err(SubscriberError::Store)
    }

    /// Sets what only speed depends on.
    fn tune(&self, pragmas: &str) {
        let Ok(database) = self.database() else { return };
        let mut database = lock(database);
        if database.is_open()
            && let Ok(connection) = database.connection()
        {
            let _ = connection.execute_batch(pragmas);
        }
    }

    fn put_all(&self, users: &[(u64, NewUser)]) -> Result<Import, StoreFailure> {
        let mut import = Import::default();
        // The hashes take most of the time, so they are made before the store is held.
        let mut hashed = Vec::with_capacity(users.len());
        for (line, user) in users {
            match user
                .check()
                .map_err(Into::into)
                .and_then(|()| self.check_served(&user.address))
            {
                Ok(()) => hashed.push((*line, user, Hashes::of(&user.address, &user.password))),
                Err(wrong) => import.fail(*line, wrong.to_string()),
            }
        }
        let mut database = lock(self.database().map_err(|_| StoreFailure::Io)?);
        let put = |transaction: &Transaction<'_>| {
            let mut taken = Vec::with_capacity(hashed.len());
            for (line, user, hashes) in &hashed {
                match tables::put(transaction, user, hashes) {
                    Ok(added) => {
                        import.added += u64::from(added);
                        import.changed += u64::from(!added);
                        taken.push((*user, hashes));
                    }
                    Err(SubscriberError::Store(failure)) => return Err(SubscriberError::Store(failure)),
                    Err(wrong) => import.fail(*line, wrong.to_string()),
                }
            }
            Ok(taken)
        };
        match self.with(&mut database, |connection| change(connection, put)) {
            Ok(taken) => taken
                .into_iter()
                .for_each(|(user, hashes)| self.publish(user, hashes)),
            Err(SubscriberError::Store(failure)) => return Err(failure),
            Err(_) => return Err(StoreFailure::Io),
        }
        Ok(import)
    }
}

/// A cache of 128 MiB for the time of an import: its lines come in any order, and so touch pages all over the tables.
struct Cache<'a>(&'a Subscribers);

impl<'a> Cache<'a> {
    fn enlarge(subscribers: &'a Subscribers) -> Self {
        subscribers.tune("PRAGMA cache_size = -131072");
        Self(subscribers)
    }
}

impl Drop for Cache<'_> {
    fn drop(&mut self) {
        self.0.tune("PRAGMA cache_size = -2000; PRAGMA shrink_memory");
    }
}

/// Reads a line, its end included, and no more than one byte beyond the longest; the rest of a longer one is skipped.
fn read_line(text: &mut dyn BufRead, into: &mut Vec<u8>) -> io::Result<bool> {
    into.clear();
    let read = Read::take(&mut *text, MAX_LINE + 1).read_until(b'\n', into)?;
    if into.len() as u64 > MAX_LINE && !into.ends_with(b"\n") {
        text.skip_until(b'\n')?;
    }
    Ok(read > 0)
}

fn parse(line: &[u8]) -> Result<Option<NewUser>, String> {
    if line.len() as u64 > MAX_LINE {
        return Err(format!("the line is longer than {MAX_LINE} bytes"));
    }
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8; convert the file".to_owned())?;
    if text.trim().is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    NewUser::from_line(text)
        .map(Some)
        .map_err(|malformed| malformed.to_string())
}
