//! What the server has said of users. Shards read it without waiting; only the worker writes, and notes of refusals.

use std::collections::VecDeque;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use strowger_sip::auth::{Algorithm, Ha1};

use super::Answer;
use crate::hashed::Identity;
use crate::subscriber::Resolved;
use crate::subscriber::directory::{Entry, NameKeys};

/// As many names that are nobody's are kept as a part of those that are somebody's.
const NOBODYS: usize = 4;

/// What is said of a name, and when.
struct Cached {
    /// `None` if it is nobody's.
    entry: Option<Entry>,
    said_ms: u64,
    /// When somebody was last refused after the server was asked; zero if never.
    refused_ms: AtomicU64,
}

/// How old what is known of a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age {
    /// Whether the name is somebody's.
    pub(super) is_known: bool,
    /// How long ago it was said, in milliseconds.
    pub(super) said: u64,
    /// How long ago somebody was refused by it, if ever.
    pub(super) refused: Option<u64>,
}

/// The answers, by keyed hashes of the names.
pub(super) struct Cache {
    entries: papaya::HashMap<u128, Cached, BuildHasherDefault<Identity>>,
    keys: NameKeys,
    /// The names that are somebody's, and those that are nobody's, in the order in which that was said.
    order: [Mutex<VecDeque<(u128, u64)>>; 2],
    most: usize,
}

impl Cache {
    pub(super) fn new(key: [u8; 16], most: usize) -> Self {
        Self {
            entries: papaya::HashMap::default(),
            keys: NameKeys::new(key),
            order: Default::default(),
            most,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.len() * (size_of::<(u128, Cached)>() + 40 + size_of::<(u128, u64)>())
    }

    pub(super) fn ha1(&self, user: &[u8], domain: &[u8], algorithm: Algorithm) -> Option<Ha1> {
        match self
            .entries
            .pin()
            .get(&self.keys.of(user, domain))?
            .entry
            .as_ref()?
        {
            Entry::User(hashes) => hashes.ha1(algorithm),
            Entry::Alias(_) => None,
        }
    }

    pub(super) fn resolve(&self, user: &[u8], domain: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        self.resolve_key(self.keys.of(user, domain), alias_of)
    }

    pub(super) fn resolve_aor(&self, aor: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        self.resolve_key(self.keys.of_aor(aor), alias_of)
    }

    fn resolve_key(&self, key: u128, alias_of: &mut Vec<u8>) -> Resolved {
        match self
            .entries
            .pin()
            .get(&key)
            .and_then(|cached| cached.entry.as_ref())
        {
            Some(Entry::User(_)) => Resolved::User,
            Some(Entry::Alias(of)) => {
                alias_of.clear();
                alias_of.extend_from_slice(of.as_bytes());
                Resolved::Alias
            }
            None => Resolved::Unknown,
        }
    }

    pub(super) fn age(&self, user: &[u8], domain: &[u8], now_ms: u64) -> Option<Age> {
        let entries = self.entries.pin();
        let cached = entries.get(&self.keys.of(user, domain))?;
        let refused = cached.refused_ms.load(Relaxed);
        Some(Age {
            is_known: cached.entry.is_some(),
            said: now_ms.saturating_sub(cached.said_ms),
            refused: (refused != 0).then(|| now_ms.saturating_sub(refused)),
        })
    }

    /// Somebody was refused by what the server has just said.
    pub(super) fn note_refusal(&self, user: &[u8], domain: &[u8], now_ms: u64) {
        if let Some(cached) = self.entries.pin().get(&self.keys.of(user, domain)) {
            cached.refused_ms.store(now_ms, Relaxed);
        }
    }

    /// Notes what the server has said of a name. Of other names it has to be asked: whoever may choose the aliases of a user would
    /// choose whose calls to take.
    pub(super) fn put(&self, user: &str, domain: &str, answer: Answer, now_ms: u64) {
        match answer {
            Answer::Nobody => self.put_entry(user, domain, None, now_ms),
            Answer::AliasOf(of) => {
                let entry = Entry::Alias(of.into());
                self.put_entry(user, domain, Some(entry), now_ms);
            }
            Answer::User(hashes) => self.put_entry(user, domain, Some(Entry::User(hashes)), now_ms),
        }
    }

    fn put_entry(&self, name: &str, domain: &str, entry: Option<Entry>, now_ms: u64) {
        let key = self.keys.of(name.as_bytes(), domain.as_bytes());
        let (order, most) = match entry {
            Some(_) => (&self.order[0], self.most),
            None => (&self.order[1], self.most.div_ceil(NOBODYS)),
        };
        let entries = self.entries.pin();
        let refused_ms = entries
            .get(&key)
            .map_or(0, |cached| cached.refused_ms.load(Relaxed));
        let cached = Cached {
            entry,
            said_ms: now_ms,
            refused_ms: AtomicU64::new(refused_ms),
        };
        entries.insert(key, cached);
        let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push_back((key, now_ms));
        // What was said again stands further back once more.
        while order.len() > most {
            let Some((oldest, said_ms)) = order.pop_front() else {
                break;
            };
            if oldest != key
                && entries
                    .get(&oldest)
                    .is_some_and(|cached| cached.said_ms == said_ms)
            {
                entries.remove(&oldest);
            }
        }
    }
}
