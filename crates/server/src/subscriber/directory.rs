//! Users and aliases in memory, found by a 128-bit keyed hash of name and domain, so that a look-up needs no owned key.
//! The key is secret and the hash a pseudo-random function: nobody can choose names that collide, and by chance two of a
//! million names do so once in 10^26 tables.

use std::hash::{BuildHasherDefault, Hasher as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use siphasher::sip128::{Hasher128, SipHasher13};
use strowger_sip::auth::{Algorithm, Ha1};

use super::Resolved;
use crate::admin::{Secret, UserId};
use crate::hashed::Identity;

/// H(A1) of one user in binary, by those algorithms for which it is known.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hashes {
    pub(super) md5: Option<[u8; 16]>,
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) sha512_256: Option<[u8; 32]>,
}

impl Hashes {
    pub(super) fn of(user: &UserId, password: &Secret) -> Self {
        let (name, realm) = (user.user().as_bytes(), user.domain().as_bytes());
        let ha1 = |algorithm| Ha1::compute(algorithm, name, realm, password.expose().as_bytes());
        Self {
            md5: Some(binary(&ha1(Algorithm::Md5))),
            sha256: Some(binary(&ha1(Algorithm::Sha256))),
            sha512_256: Some(binary(&ha1(Algorithm::Sha512_256))),
        }
    }

    /// Adds the one of an algorithm, in hexadecimal digits; false if it is none, or there is one.
    pub(super) fn add_hex(&mut self, algorithm: Algorithm, digits: &[u8]) -> bool {
        let Some(ha1) = Ha1::from_hex(algorithm, digits) else {
            return false;
        };
        match algorithm {
            Algorithm::Md5 => self.md5.replace(binary(&ha1)).is_none(),
            Algorithm::Sha256 => self.sha256.replace(binary(&ha1)).is_none(),
            Algorithm::Sha512_256 => self.sha512_256.replace(binary(&ha1)).is_none(),
        }
    }

    pub(super) fn ha1(&self, algorithm: Algorithm) -> Option<Ha1> {
        let mut digest = [0; 32];
        match algorithm {
            Algorithm::Md5 => digest[..16].copy_from_slice(&self.md5?),
            Algorithm::Sha256 => digest = self.sha256?,
            Algorithm::Sha512_256 => digest = self.sha512_256?,
        }
        Some(Ha1::from_digest(&digest, algorithm))
    }
}

fn binary<const N: usize>(ha1: &Ha1) -> [u8; N] {
    let value = |digit: u8| {
        if digit < b'a' {
            digit - b'0'
        } else {
            digit - b'a' + 10
        }
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(ha1.as_hex().chunks_exact(2)) {
        *byte = value(pair[0]) << 4 | value(pair[1]);
    }
    bytes
}

/// What names are found by.
#[derive(Clone, Copy)]
pub(super) struct NameKeys(SipHasher13);

impl NameKeys {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&key))
    }

    /// The hash of an address-of-record in its canonical form.
    pub(super) fn of_aor(self, aor: &[u8]) -> u128 {
        self.0.hash(aor).as_u128()
    }

    /// The hash of `name@domain`, which has the domain in lower case: no domain has an `@`, so the last one separates.
    pub(super) fn of(self, name: &[u8], domain: &[u8]) -> u128 {
        let mut text = [0; 128];
        let Some(text) = text.get_mut(..name.len() + 1 + domain.len()) else {
            return self.of_long(name, domain);
        };
        let (user, rest) = text.split_at_mut(name.len());
        user.copy_from_slice(name);
        rest[0] = b'@';
        rest[1..].copy_from_slice(domain);
        rest.make_ascii_lowercase();
        self.0.hash(text).as_u128()
    }

    /// [`of`](Self::of) of any length.
    fn of_long(self, name: &[u8], domain: &[u8]) -> u128 {
        let mut hasher = self.0;
        hasher.write(name);
        hasher.write(b"@");
        for byte in domain {
            hasher.write(&[byte.to_ascii_lowercase()]);
        }
        hasher.finish128().as_u128()
    }
}

/// Whose a name is.
#[derive(Clone)]
pub(super) enum Entry {
    User(Hashes),
    /// The user part of whose alias it is.
    Alias(Box<str>),
}

type Entries = papaya::HashMap<u128, Entry, BuildHasherDefault<Identity>>;

/// The names of all domains.
pub(super) struct Directory {
    entries: Entries,
    keys: NameKeys,
    users: AtomicUsize,
    aliases: AtomicUsize,
    /// Whether a user was ever put in whose domain is an address.
    at_addresses: AtomicBool,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("users", &self.users())
            .finish_non_exhaustive()
    }
}

impl Directory {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self {
            entries: Entries::default(),
            keys: NameKeys::new(key),
            users: AtomicUsize::new(0),
            aliases: AtomicUsize::new(0),
            at_addresses: AtomicBool::new(false),
        }
    }

    pub(super) fn users(&self) -> usize {
        self.users.load(Ordering::Relaxed)
    }

    /// About how many bytes the names take: each its own block with a header, and a pointer to it in a table that is about half
    /// full.
    pub(super) fn bytes(&self) -> usize {
        let names = self.users() + self.aliases.load(Ordering::Relaxed);
        names * (size_of::<(u128, Entry)>() + 40)
    }

    pub(super) fn has_aliases(&self) -> bool {
        self.aliases.load(Ordering::Relaxed) != 0
    }

    /// Whether the domain of any user may be an address.
    pub(super) fn has_users_at_addresses(&self) -> bool {
        self.at_addresses.load(Ordering::Relaxed)
    }

    pub(super) fn ha1(&self, user: &[u8], domain: &[u8], algorithm: Algorithm) -> Option<Ha1> {
        match self.entries.pin().get(&self.keys.of(user, domain))? {
            Entry::User(hashes) => hashes.ha1(algorithm),
            Entry::Alias(_) => None,
        }
    }

    pub(super) fn resolve(&self, user: &[u8], domain: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        self.resolve_key(|| self.keys.of(user, domain), alias_of)
    }

    pub(super) fn resolve_aor(&self, aor: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        self.resolve_key(|| self.keys.of_aor(aor), alias_of)
    }

    fn resolve_key(&self, key: impl FnOnce() -> u128, alias_of: &mut Vec<u8>) -> Resolved {
        if self.users() == 0 {
            // Nor is there an alias: those go with their user.
            return Resolved::Unknown;
        }
        match self.entries.pin().get(&key()) {
            Some(Entry::User(_)) => Resolved::User,
            Some(Entry::Alias(of)) => {
                alias_of.clear();
                alias_of.extend_from_slice(of.as_bytes());
                Resolved::Alias
            }
            None => Resolved::Unknown,
        }
    }

    pub(super) fn put_user(&self, user: &str, domain: &str, hashes: Hashes) {
        if domain.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            self.at_addresses.store(true, Ordering::Relaxed);
        }
        self.put(user, domain, Entry::User(hashes));
    }

    pub(super) fn put_alias(&self, alias: &str, domain: &str, user: &str) {
        self.put(alias, domain, Entry::Alias(user.into()));
    }

    pub(super) fn remove(&self, name: &str, domain: &str) {
        let key = self.keys.of(name.as_bytes(), domain.as_bytes());
        if let Some(before) = self.entries.pin().remove(&key) {
            self.count(before).fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes over what another directory with the same key has; look-ups meanwhile find the one or the other.
    pub(super) fn become_like(&self, other: &Self) {
        let at_addresses = other.at_addresses.load(Ordering::Relaxed);
        self.at_addresses.fetch_or(at_addresses, Ordering::Relaxed);
        let (entries, fresh) = (self.entries.pin(), other.entries.pin());
        for (key, entry) in &fresh {
            entries.insert(*key, entry.clone());
        }
        entries.retain(|key, _| fresh.contains_key(key));
        for (count, fresh) in [(&self.users, &other.users), (&self.aliases, &other.aliases)] {
            count.store(fresh.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn put(&self, name: &str, domain: &str, entry: Entry) {
        let key = self.keys.of(name.as_bytes(), domain.as_bytes());
        self.count(&entry).fetch_add(1, Ordering::Relaxed);
        if let Some(before) = self.entries.pin().insert(key, entry) {
            self.count(before).fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The count that an entry belongs to.
    fn count(&self, entry: &Entry) -> &AtomicUsize {
        match entry {
            Entry::User(_) => &self.users,
            Entry::Alias(_) => &self.aliases,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_lengths_are_made_alike() {
        let keys = NameKeys::new([7; 16]);
        for len in [1, 60, 126, 127, 128, 300] {
            let name = vec![b'A'; len];
            let key = keys.of(&name, b"Example.Test");
            assert_eq!(key, keys.of_long(&name, b"example.test"));
            let aor = [&name[..], b"@example.test"].concat();
            assert_eq!(key, keys.of_aor(&aor));
        }
    }
}
