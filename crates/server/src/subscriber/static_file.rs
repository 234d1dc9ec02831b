//! Users in a file that somebody else writes: a line says one thing of one user.
//!
//! ```text
//! alice@example.test:password:correct horse        the password, up to the end of the line
//! bob@example.test:MD5:0123456789abcdef...         H(A1) (RFC 7616 §3.4.2); also SHA-256 and SHA-512-256
//! carol:example.test:0123456789abcdef...           the same for MD5, as `htdigest` writes it
//! alice@example.test:alias:1001                    another user part by which alice is reached
//! alice@example.test:name:Alice Liddell            the display name
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use strowger_sip::auth::Algorithm;

use super::directory::{Directory, Hashes};
use crate::admin::{Filter, NewUser, Secret, User, UserId};
use crate::config::{Diagnostic, Place};

/// Errors of a file that are told.
const TOLD: usize = 100;

const MEND: &str = "write user@domain:password:PASSWORD, user@domain:MD5:DIGITS, user@domain:alias:NAME or user@domain:name:NAME";

/// A user of a file.
#[derive(Clone)]
struct Listed {
    address: UserId,
    hashes: Hashes,
    aliases: Vec<String>,
    display_name: Option<String>,
    /// Where it is first named.
    line: u32,
}

/// What a file says, and which state of it that is.
pub struct Contents {
    users: Vec<Listed>,
    stamp: Option<Stamp>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents")
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

/// What differs when a file was written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i128,
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        }
    }
}

/// A file of users, and what was last read of it.
#[derive(Debug)]
pub(super) struct StaticFile {
    pub(super) path: PathBuf,
    /// Those that count have a hash for one of these.
    algorithms: Vec<Algorithm>,
    users: Vec<User>,
    stamp: Option<Stamp>,
    /// The state of the file that was refused last, so that it is refused once.
    refused: Option<Stamp>,
}

impl StaticFile {
    /// The file, with nothing read of it.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            algorithms: Vec::new(),
            users: Vec::new(),
            stamp: None,
            refused: None,
        }
    }

    /// Whether the file is another one than when it was last read or refused.
    pub(super) fn has_changed(&self) -> bool {
        let stamp = std::fs::metadata(&self.path)
            .map(|metadata| Stamp::of(&metadata))
            .ok();
        stamp != self.stamp && (stamp.is_none() || stamp != self.refused)
    }

    /// Reads the file again with the algorithms of the last time.
    pub(super) fn read_again(&mut self) -> Result<Contents, Vec<Diagnostic>> {
        let read = read(&self.path, &self.algorithms);
        if read.is_err() {
            self.refused = std::fs::metadata(&self.path)
                .map(|metadata| Stamp::of(&metadata))
                .ok();
        }
        read
    }

    /// Goes on with what was read.
    pub(super) fn take(&mut self, contents: Contents, algorithms: &[Algorithm], directory: &Directory) {
        for listed in &contents.users {
            let (name, domain) = (listed.address.user(), listed.address.domain());
            directory.put_user(name, domain, listed.hashes);
            for alias in &listed.aliases {
                directory.put_alias(alias, domain, name);
            }
        }
        self.algorithms = algorithms.to_vec();
        self.stamp = contents.stamp;
        self.users = contents.users.into_iter().map(Listed::shown).collect();
        self.users.sort_by(|a, b| key(&a.address).cmp(&key(&b.address)));
    }

    /// All of them, by domain and user part.
    pub(super) fn users(&self) -> &[User] {
        &self.users
    }

    /// Those behind `after` (`user@domain`, or empty) that contain `q`.
    pub(super) fn list(&self, q: &str, after: &str, limit: usize) -> Vec<User> {
        let (user, domain) = after.rsplit_once('@').unwrap_or_default();
        let start = self
            .users
            .partition_point(|known| key(&known.address) <= (domain, user));
        let wanted = Filter { q: q.to_owned() };
        let is_wanted = |user: &&User| {
            let name = user.display_name.as_deref().unwrap_or_default();
            wanted.matches(&[user.address.as_str(), name])
                || user.aliases.iter().any(|alias| wanted.matches(&[alias]))
        };
        self.users[start..]
            .iter()
            .filter(is_wanted)
            .take(limit)
            .cloned()
            .collect()
    }

    /// The algorithms that the last reading was for.
    pub(super) fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }
}

/// What users are ordered by.
fn key(address: &UserId) -> (&str, &str) {
    (address.domain(), address.user())
}

impl Listed {
    fn shown(self) -> User {
        User {
            address: self.address,
            display_name: self.display_name,
            aliases: self.aliases,
            contacts: None,
        }
    }
}

/// Reads a file of users; each has to have a hash for one of the algorithms, if any are given.
///
/// # Errors
/// A file that cannot be read, or everything that is wrong with it, each with its line.
pub fn read(path: &Path, algorithms: &[Algorithm]) -> Result<Contents, Vec<Diagnostic>> {
    let unreadable = |error: io::Error| {
        let what = format!("the users cannot be read: {error}");
        vec![at(
            path,
            1,
            what,
            "name a file of lines user@domain:password:PASSWORD",
        )]
    };
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(unreadable)?;
    // Before reading: what is written meanwhile is read again.
    let stamp = file.metadata().map(|metadata| Stamp::of(&metadata)).ok();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    let users = parse(&bytes, path, algorithms)?;
    Ok(Contents { users, stamp })
}

fn parse(bytes: &[u8], path: &Path, algorithms: &[Algorithm]) -> Result<Vec<Listed>, Vec<Diagnostic>> {
    let mut draft = Draft::default();
    let mut wrong = Vec::new();
    let mut complain = |line, (what, mend): Complaint| {
        if wrong.len() < TOLD {
            wrong.push(at(path, line, what, mend));
        }
    };
    for (line, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if let Err(complaint) = draft.take_line(line, bytes) {
            complain(line, complaint);
        }
    }
    for (line, complaint) in draft.check(algorithms) {
        complain(line, complaint);
    }
    wrong.sort_by_key(|diagnostic| match diagnostic.place {
        Place::File { line, .. } => line,
        Place::Flag { .. } => 0,
    });
    if wrong.is_empty() {
        Ok(draft.users)
    } else {
        Err(wrong)
    }
}

fn at(path: &Path, line: u32, what: String, mend: impl Into<String>) -> Diagnostic {
    let place = Place::File {
        file: path.display().to_string(),
        line,
        column: 1,
    };
    let mend = mend.into();
    Diagnostic { place, what, mend }
}

/// What is wrong, and how to mend it. Neither quotes a password.
type Complaint = (String, String);

fn wrong(what: impl Into<String>) -> Complaint {
    (what.into(), MEND.to_owned())
}

/// A file as far as it was read.
#[derive(Default)]
struct Draft {
    users: Vec<Listed>,
    places: HashMap<UserId, usize>,
}

impl Draft {
    fn take_line(&mut self, line: u32, bytes: &[u8]) -> Result<(), Complaint> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("the line is not UTF-8"))?;
        let text = text.trim_end_matches('\r');
        if text.trim().is_empty() || text.starts_with('#') {
            return Ok(());
        }
        let (address, fact) = split(text)?;
        let place = match self.places.entry(address) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let address = new.key().clone();
                new.insert(self.users.len());
                self.users.push(Listed {
                    address,
                    hashes: Hashes::default(),
                    aliases: Vec::new(),
                    display_name: None,
                    line,
                });
                self.users.len() - 1
            }
        };
        self.users[place].add(fact)
    }

    /// What is wrong with the users although each line reads well.
    fn check(&self, algorithms: &[Algorithm]) -> Vec<(u32, Complaint)> {
        let mut found = Vec::new();
        let mut aliases: HashMap<(&str, &str), &UserId> = HashMap::new();
        for user in &self.users {
            let address = &user.address;
            if Algorithm::ALL
                .iter()
                .all(|&algorithm| user.hashes.ha1(algorithm).is_none())
            {
                found.push((
                    user.line,
                    wrong(format!("{address} has neither password nor hash")),
                ));
            } else if !algorithms.is_empty()
                && algorithms
                    .iter()
                    .all(|&algorithm| user.hashes.ha1(algorithm).is_none())
            {
                let asked: Vec<_> = algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
                let what = format!(
                    "{address} has no hash for {}, which phones are asked for",
                    asked.join(" or ")
                );
                let mend = "add it, or add the algorithm that there is to `algorithms` in [auth]";
                found.push((user.line, (what, mend.to_owned())));
            }
            for alias in &user.aliases {
                let other = aliases.insert((address.domain(), alias), address);
                if let Some(other) = other {
                    let what = format!("the alias {alias} of {address} is one of {other} too");
                    found.push((user.line, (what, "remove one of them".to_owned())));
                }
            }
        }
        for user in &self.users {
            let address = &user.address;
            if let Some(owner) = aliases.get(&(address.domain(), address.user())) {
                let what = format!("{address} is an alias of {owner} too");
                found.push((user.line, (what, "give one of them another name".to_owned())));
            }
        }
        found
    }
}

/// What a line says of its user.
enum Fact<'a> {
    Password(&'a str),
    Hash(Algorithm, &'a str),
    Alias(&'a str),
    Name(&'a str),
}

/// The user of a line, and what it says.
fn split(text: &str) -> Result<(UserId, Fact<'_>), Complaint> {
    // An IPv6 address has colons of its own.
    let host = text
        .find("@[")
        .and_then(|at| text[at..].find(']').map(|end| at + end));
    let colon = text[host.unwrap_or(0)..]
        .find(':')
        .map(|colon| colon + host.unwrap_or(0));
    let (name, rest) = colon
        .map(|colon| (&text[..colon], &text[colon + 1..]))
        .ok_or_else(|| wrong("the line has no colon"))?;
    let address = |text: &str| {
        text.parse::<UserId>()
            .map_err(|malformed| (malformed.what, malformed.mend))
    };
    if !name.contains('@') {
        let (realm, digits) = rest
            .rsplit_once(':')
            .ok_or_else(|| wrong("the line names neither user@domain nor user:realm:digits"))?;
        return Ok((
            address(&format!("{name}@{realm}"))?,
            Fact::Hash(Algorithm::Md5, digits),
        ));
    }
    let (word, value) = rest
        .split_once(':')
        .ok_or_else(|| wrong("the line does not say what it tells of its user"))?;
    let fact = match word {
        "password" => Fact::Password(value),
        "alias" => Fact::Alias(value),
        "name" => Fact::Name(value),
        _ => match Algorithm::from_token(word.as_bytes()) {
            Some(algorithm) => Fact::Hash(algorithm, value),
            // What stands there may be a password.
            None => {
                return Err(wrong(
                    "the word behind the user is none of password, MD5, SHA-256, SHA-512-256, alias and name",
                ));
            }
        },
    };
    Ok((address(name)?, fact))
}

impl Listed {
    fn add(&mut self, fact: Fact<'_>) -> Result<(), Complaint> {
        let twice = |what: &str, address: &UserId| wrong(format!("{address} has {what} already"));
        match fact {
            Fact::Password(_) if self.hashes != Hashes::default() => {
                return Err(twice("a password or a hash", &self.address));
            }
            Fact::Password(password) => {
                let password = Secret::new(password);
                check(&self.address, &password, None, &[])?;
                self.hashes = Hashes::of(&self.address, &password);
            }
            Fact::Hash(algorithm, digits) => {
                if digits.len() != algorithm.hex_len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
                {
                    let what = format!(
                        "a hash for {algorithm} has {} hexadecimal digits",
                        algorithm.hex_len()
                    );
                    return Err(wrong(what));
                }
                if !self.hashes.add_hex(algorithm, digits.as_bytes()) {
                    return Err(twice(
                        &format!("a password or a hash for {algorithm}"),
                        &self.address,
                    ));
                }
            }
            Fact::Alias(alias) => {
                let alias = alias.to_owned();
                check(
                    &self.address,
                    &Secret::new("-"),
                    None,
                    std::slice::from_ref(&alias),
                )?;
                if self.aliases.contains(&alias) {
                    return Err(twice("this alias", &self.address));
                }
                self.aliases.push(alias);
            }
            Fact::Name(_) if self.display_name.is_some() => return Err(twice("a name", &self.address)),
            Fact::Name(name) => {
                check(&self.address, &Secret::new("-"), Some(name), &[])?;
                self.display_name = Some(name.to_owned());
            }
        }
        Ok(())
    }
}

fn check(
    address: &UserId,
    password: &Secret,
    name: Option<&str>,
    aliases: &[String],
) -> Result<(), Complaint> {
    let user = NewUser {
        address: address.clone(),
        password: password.clone(),
        display_name: name.map(str::to_owned),
        aliases: aliases.to_vec(),
    };
    user.check().map_err(|malformed| (malformed.what, malformed.mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Listed>, Vec<String>> {
        parse(text.as_bytes(), Path::new("users"), &[Algorithm::Md5])
            .map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_line_says_one_thing_of_a_user() {
        let md5 = "5f4dcc3b5aa765d61d8327deb882cf99";
        let text = format!(
            "\u{feff}# users\n\nalice@example.test:password:a:b c\r\nalice@example.test:alias:1001\n\
             alice@example.test:name:Alice: the first\nbob@example.test:md5:{md5}\n\
             carol:example.test:{md5}\ndan@[2001:db8::1]:MD5:{md5}\neve:[2001:db8::1]:{md5}\n"
        );
        let users = parsed(&text).expect("they read well");
        let names: Vec<_> = users.iter().map(|user| user.address.to_string()).collect();
        assert_eq!(
            names,
            [
                "alice@example.test",
                "bob@example.test",
                "carol@example.test",
                "dan@[2001:db8::1]",
                "eve@[2001:db8::1]"
            ]
        );
        let alice = &users[0];
        let whole = Hashes::of(&alice.address, &Secret::new("a:b c"));
        assert!(alice.hashes == whole);
        assert_eq!(
            (&alice.aliases[..], alice.display_name.as_deref()),
            (&["1001".to_owned()][..], Some("Alice: the first"))
        );
        for user in &users[1..] {
            let ha1 = user.hashes.ha1(Algorithm::Md5).expect("it was given");
            assert_eq!(ha1.as_hex(), md5.as_bytes());
            assert!(user.hashes.ha1(Algorithm::Sha256).is_none());
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_passwords() {
        let sha = "a".repeat(64);
        let text = format!(
            "alice@example.test:password:pw\nalice@example.test:password:other\nalice\nalice@example.test:hunter2\n\
             alice@example.test:hunter2:x\nbob@example.test:MD5:abc\nbob:example.test\ncarol@example.test:alias:1001\n\
             alice@example.test:alias:1001\nd d@example.test:password:x\ne@example.test:SHA-256:{sha}\n\
             1001@example.test:password:x\n"
        );
        let told = parsed(&text).err().expect("nearly all of it is wrong");
        let lines: Vec<_> = told
            .iter()
            .map(|line| {
                line.strip_prefix("users:")
                    .and_then(|rest| rest.split(':').next())
                    .unwrap_or("?")
            })
            .collect();
        assert_eq!(
            lines,
            ["2", "3", "4", "5", "6", "6", "7", "8", "8", "10", "11", "12"],
            "{told:#?}"
        );
        assert!(told.iter().all(|line| !line.contains("hunter2")), "{told:#?}");
        assert!(told[8].contains("1001"), "{told:#?}");
        assert!(told[10].contains("no hash for MD5"), "{told:#?}");
    }
}
