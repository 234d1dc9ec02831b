//! Users and aliases in memory, found by a 128-bit keyed hash of name and domain, so that a look-up needs no owned key.
//! The key is secret and the hash a pseudo-random function: nobody can choose names that collide, and by chance two of a
//! million names do so once in 10^26 tables.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use siphasher::sip128::{Hasher128, SipHasher24};
use strowger_sip::auth::{Algorithm, Ha1};

use super::Resolved;
use crate::admin::{Secret, UserId};

/// H(A1) of one user in binary.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashes {
    pub(super) md5: [u8; 16],
    pub(super) sha256: [u8; 32],
    pub(super) sha512_256: [u8; 32],
}

impl Hashes {
    pub(super) fn of(user: &UserId, password: &Secret) -> Self {
        let (name, realm) = (user.user().as_bytes(), user.domain().as_bytes());
        let ha1 = |algorithm| Ha1::compute(algorithm, name, realm, password.expose().as_bytes());
        Self {
            md5: binary(&ha1(Algorithm::Md5)),
            sha256: binary(&ha1(Algorithm::Sha256)),
            sha512_256: binary(&ha1(Algorithm::Sha512_256)),
        }
    }

    fn ha1(&self, algorithm: Algorithm) -> Ha1 {
        let mut digest = [0; 32];
        match algorithm {
            Algorithm::Md5 => digest[..16].copy_from_slice(&self.md5),
            Algorithm::Sha256 => digest = self.sha256,
            Algorithm::Sha512_256 => digest = self.sha512_256,
        }
        Ha1::from_digest(&digest, algorithm)
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

#[derive(Clone)]
enum Entry {
    User(Hashes),
    /// The user part of whose alias it is.
    Alias(Box<str>),
}

type Entries = papaya::HashMap<u128, Entry, BuildHasherDefault<Identity>>;

/// The names of all domains.
pub(super) struct Directory {
    entries: Entries,
    hasher: SipHasher24,
    users: AtomicUsize,
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
            hasher: SipHasher24::new_with_key(&key),
            users: AtomicUsize::new(0),
        }
    }

    pub(super) fn users(&self) -> usize {
        self.users.load(Ordering::Relaxed)
    }

    pub(super) fn ha1(&self, user: &[u8], domain: &[u8], algorithm: Algorithm) -> Option<Ha1> {
        match self.entries.pin().get(&self.key(user, domain))? {
            Entry::User(hashes) => Some(hashes.ha1(algorithm)),
            Entry::Alias(_) => None,
        }
    }

    pub(super) fn resolve(&self, user: &[u8], domain: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        if self.users() == 0 {
            // Nor is there an alias: those go with their user.
            return Resolved::Unknown;
        }
        match self.entries.pin().get(&self.key(user, domain)) {
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
        self.put(user, domain, Entry::User(hashes));
    }

    pub(super) fn put_alias(&self, alias: &str, domain: &str, user: &str) {
        self.put(alias, domain, Entry::Alias(user.into()));
    }

    pub(super) fn remove(&self, name: &str, domain: &str) {
        let key = self.key(name.as_bytes(), domain.as_bytes());
        if let Some(Entry::User(_)) = self.entries.pin().remove(&key) {
            self.users.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes over what another directory with the same key has; look-ups meanwhile find the one or the other.
    pub(super) fn become_like(&self, other: &Self) {
        let (entries, fresh) = (self.entries.pin(), other.entries.pin());
        for (key, entry) in &fresh {
            entries.insert(*key, entry.clone());
        }
        entries.retain(|key, _| fresh.contains_key(key));
        self.users.store(other.users(), Ordering::Relaxed);
    }

    fn put(&self, name: &str, domain: &str, entry: Entry) {
        let added = matches!(entry, Entry::User(_));
        let key = self.key(name.as_bytes(), domain.as_bytes());
        let entries = self.entries.pin();
        let before = matches!(entries.insert(key, entry), Some(Entry::User(_)));
        match (before, added) {
            (false, true) => {
                self.users.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => {
                self.users.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// The length of the name keeps `a`, `bc` apart from `ab`, `c`.
    fn key(&self, name: &[u8], domain: &[u8]) -> u128 {
        let mut hasher = self.hasher;
        hasher.write_usize(name.len());
        hasher.write(name);
        let mut lower = [0; 64];
        for part in domain.chunks(lower.len()) {
            let lower = &mut lower[..part.len()];
            lower.copy_from_slice(part);
            lower.make_ascii_lowercase();
            hasher.write(lower);
        }
        hasher.finish128().as_u128()
    }
}

/// The keys are hashes already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.0 ^= u64::from_ne_bytes(word);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
