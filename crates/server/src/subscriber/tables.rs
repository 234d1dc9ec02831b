//! The SQL of users and aliases.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::SubscriberError;
use super::directory::{Directory, Hashes};
use crate::admin::{NewUser, User, UserId};
use crate::database::{Schema, StoreFailure};

pub(super) const SCHEMA: Schema = Schema {
    steps: &["
    CREATE TABLE subscriber (
        domain TEXT NOT NULL, user TEXT NOT NULL, display_name TEXT,
        md5 BLOB NOT NULL, sha256 BLOB NOT NULL, sha512_256 BLOB NOT NULL,
        PRIMARY KEY (domain, user)
    ) WITHOUT ROWID;
    CREATE TABLE alias (
        domain TEXT NOT NULL, alias TEXT NOT NULL, user TEXT NOT NULL,
        PRIMARY KEY (domain, alias)
    ) WITHOUT ROWID;
    CREATE INDEX alias_of ON alias (domain, user);
    "],
};

/// Brings everything that look-ups need into memory.
pub(super) fn load(connection: &Connection, directory: &Directory) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT user, domain, md5, sha256, sha512_256 FROM subscriber")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let hashes = Hashes {
            md5: Some(row.get(2)?),
            sha256: Some(row.get(3)?),
            sha512_256: Some(row.get(4)?),
        };
        directory.put_user(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, hashes);
    }
    let mut select = connection.prepare("SELECT alias, domain, user FROM alias")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (alias, domain, user) = (row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?);
        directory.put_alias(alias.as_str()?, domain.as_str()?, user.as_str()?);
    }
    Ok(())
}

/// Whether there are any users.
pub(super) fn any(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM subscriber)", [], |row| row.get(0))
}

/// Adds a user that must not exist, and its aliases.
pub(super) fn add(
    transaction: &Transaction<'_>,
    user: &NewUser,
    hashes: &Hashes,
) -> Result<(), SubscriberError> {
    if exists(transaction, user.address.user(), user.address.domain())? {
        return Err(SubscriberError::Exists(user.address.clone()));
    }
    insert(transaction, user, hashes)
}

/// Writes the row of a user that does not exist, and its aliases.
fn insert(transaction: &Transaction<'_>, user: &NewUser, hashes: &Hashes) -> Result<(), SubscriberError> {
    check_free(transaction, user)?;
    let sql = "INSERT INTO subscriber (domain, user, display_name, md5, sha256, sha512_256) VALUES (?, ?, ?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.execute(params![
        user.address.domain(),
        user.address.user(),
        user.display_name,
        hashes.md5,
        hashes.sha256,
        hashes.sha512_256,
    ])?;
    add_aliases(transaction, user)
}

/// Adds a user, or changes password, aliases and display name (these two if given) of one that exists. Tells whether it
/// was added.
pub(super) fn put(
    transaction: &Transaction<'_>,
    user: &NewUser,
    hashes: &Hashes,
) -> Result<bool, SubscriberError> {
    if !exists(transaction, user.address.user(), user.address.domain())? {
        insert(transaction, user, hashes)?;
        return Ok(true);
    }
    check_free(transaction, user)?;
    set_hashes(transaction, &user.address, hashes)?;
    let (domain, name) = (user.address.domain(), user.address.user());
    if let Some(display) = &user.display_name {
        let sql = "UPDATE subscriber SET display_name = ? WHERE domain = ? AND user = ?";
        transaction
            .prepare_cached(sql)?
            .execute(params![display, domain, name])?;
    }
    add_aliases(transaction, user)?;
    Ok(false)
}

/// Removes a user; returns the aliases that went with it.
pub(super) fn remove(transaction: &Transaction<'_>, user: &UserId) -> Result<Vec<String>, SubscriberError> {
    let key = [user.domain(), user.user()];
    let aliases = aliases(transaction, user)?;
    transaction.execute("DELETE FROM alias WHERE domain = ? AND user = ?", key)?;
    match transaction.execute("DELETE FROM subscriber WHERE domain = ? AND user = ?", key)? {
        0 => Err(SubscriberError::NoSuchUser(user.clone())),
        _ => Ok(aliases),
    }
}

pub(super) fn set_hashes(
    transaction: &Transaction<'_>,
    user: &UserId,
    hashes: &Hashes,
) -> Result<(), SubscriberError> {
    let sql = "UPDATE subscriber SET md5 = ?, sha256 = ?, sha512_256 = ? WHERE domain = ? AND user = ?";
    let changed = transaction.prepare_cached(sql)?.execute(params![
        hashes.md5,
        hashes.sha256,
        hashes.sha512_256,
        user.domain(),
        user.user(),
    ])?;
    if changed == 0 {
        Err(SubscriberError::NoSuchUser(user.clone()))
    } else {
        Ok(())
    }
}

pub(super) fn get(connection: &Connection, user: &UserId) -> Result<Option<User>, SubscriberError> {
    let sql = "SELECT user, domain, display_name FROM subscriber WHERE domain = ? AND user = ?";
    let found = connection
        .prepare_cached(sql)?
        .query_row([user.domain(), user.user()], columns)
        .optional()?;
    found.map(|columns| complete(connection, columns)).transpose()
}

/// How many users each domain has, by its name.
pub(super) fn domains(connection: &Connection) -> Result<Vec<(String, u64)>, SubscriberError> {
    let mut select =
        connection.prepare("SELECT domain, COUNT(*) FROM subscriber GROUP BY domain ORDER BY domain")?;
    let counted = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
    Ok(counted.collect::<Result<_, _>>()?)
}

/// The users behind `after` (`user@domain`, or empty) that contain `q`, ordered by domain and user part.
pub(super) fn list(
    connection: &Connection,
    q: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<User>, SubscriberError> {
    let sql = "SELECT user, domain, display_name FROM subscriber AS s
        WHERE (domain, user) > (?1, ?2) AND (?3 = '' OR instr(lower(user || '@' || domain), ?3)
            OR instr(lower(coalesce(display_name, '')), ?3)
            OR EXISTS (SELECT 1 FROM alias AS a
                WHERE a.domain = s.domain AND a.user = s.user AND instr(lower(a.alias), ?3)))
        ORDER BY domain, user LIMIT ?4";
    let (user, domain) = after.rsplit_once('@').unwrap_or_default();
    let q = q.to_ascii_lowercase();
    let mut select = connection.prepare_cached(sql)?;
    let found: Vec<_> = select
        .query_map(params![domain, user, q, limit as i64], columns)?
        .collect::<Result<_, _>>()?;
    found
        .into_iter()
        .map(|columns| complete(connection, columns))
        .collect()
}

type Columns = (String, String, Option<String>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn complete(connection: &Connection, (user, domain, display_name): Columns) -> Result<User, SubscriberError> {
    // Only what is an address is stored, so anything else was not stored by us.
    let address: UserId = format!("{user}@{domain}")
        .parse()
        .map_err(|_| SubscriberError::Store(StoreFailure::Damaged))?;
    let aliases = aliases(connection, &address)?;
    Ok(User {
        address,
        display_name,
        aliases,
        contacts: None,
    })
}

fn aliases(connection: &Connection, user: &UserId) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT alias FROM alias WHERE domain = ? AND user = ? ORDER BY alias";
    let mut select = connection.prepare_cached(sql)?;
    select
        .query_map([user.domain(), user.user()], |row| row.get(0))?
        .collect()
}

fn exists(transaction: &Transaction<'_>, user: &str, domain: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM subscriber WHERE domain = ? AND user = ?";
    transaction.prepare_cached(sql)?.exists([domain, user])
}

/// Refuses a name that is an alias, and an alias that is a user or an alias of another one.
fn check_free(transaction: &Transaction<'_>, user: &NewUser) -> Result<(), SubscriberError> {
    let (name, domain) = (user.address.user(), user.address.domain());
    if let Some(by) = alias_of(transaction, name, domain)? {
        return Err(SubscriberError::Taken {
            name: user.address.clone(),
            by,
        });
    }
    for alias in &user.aliases {
        let by = if alias == name || exists(transaction, alias, domain)? {
            Some(alias.clone())
        } else {
            alias_of(transaction, alias, domain)?.filter(|by| by != name)
        };
        if let Some(by) = by {
            let name = format!("{alias}@{domain}").parse()?;
            return Err(SubscriberError::Taken { name, by });
        }
    }
    Ok(())
}

fn alias_of(transaction: &Transaction<'_>, alias: &str, domain: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT user FROM alias WHERE domain = ? AND alias = ?";
    transaction
        .prepare_cached(sql)?
        .query_row([domain, alias], |row| row.get(0))
        .optional()
}

fn add_aliases(transaction: &Transaction<'_>, user: &NewUser) -> Result<(), SubscriberError> {
    let sql = "INSERT OR IGNORE INTO alias (domain, alias, user) VALUES (?, ?, ?)";
    for alias in &user.aliases {
        transaction
            .prepare_cached(sql)?
            .execute([user.address.domain(), alias, user.address.user()])?;
    }
    Ok(())
}
