//! What DNS has said. Shards read it without waiting; only the worker writes.

use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use siphasher::sip128::SipHasher13;
use strowger_sip::transport::{Server, Transport, Wanted};

use super::{Answer, HostName};
use crate::config;
use crate::hashed::Identity;

/// An answer is asked for anew when this part of its time is left.
const RENEWED_AT: u64 = 10;
/// When there is no room, this part of the entries goes.
const GIVEN_UP: usize = 8;

/// Who was read more often than this is read often.
const MANY: u8 = 15;

/// The answers, by a 128-bit keyed hash of what was asked: nobody can choose names that collide.
pub struct Cache {
    entries: papaya::HashMap<u128, Entry, BuildHasherDefault<Identity>>,
    hasher: SipHasher13,
    most: AtomicUsize,
    longest_ms: AtomicU64,
    longest_negative_ms: AtomicU64,
}

struct Entry {
    host: HostName,
    wanted: Wanted,
    servers: Vec<Server>,
    standing: Standing,
    /// When it is renewed if somebody reads it, and when it is no longer true.
    renewed_ms: u64,
    ends_ms: u64,
    /// Whether it is being renewed.
    is_asked: AtomicBool,
    /// How often it was read, as far as [`MANY`]; half of it is forgotten whenever room is made.
    uses: AtomicU8,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It was answered.
    Answered,
    /// It was not, and no former answer is known.
    Failed,
    /// The answer was given up. Who waited for it reads it still; nobody else does.
    Forgotten,
}

/// An answer, as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The name.
    pub host: &'a HostName,
    /// What was asked.
    pub wanted: Wanted,
    /// What was said; nothing means that there is nothing.
    pub servers: &'a [Server],
    /// Whether nobody has answered.
    pub failed: bool,
    /// For how many milliseconds it still holds.
    pub left_ms: u64,
}

/// How old an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It holds.
    Fresh,
    /// It holds, and whoever is told so, nobody else, should ask anew.
    Due,
    /// Its time is over.
    Over,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Cache {
    pub(super) fn new(settings: &config::Dns, key: [u8; 16]) -> Self {
        Self {
            entries: papaya::HashMap::default(),
            hasher: SipHasher13::new_with_key(&key),
            most: AtomicUsize::new(settings.cache_entries as usize),
            longest_ms: AtomicU64::new(millis(settings.max_ttl)),
            longest_negative_ms: AtomicU64::new(millis(settings.max_negative_ttl)),
        }
    }

    /// Goes on with other bounds, which hold for what is known, too.
    pub(super) fn bound(&self, settings: &config::Dns, now_ms: u64) {
        self.most.store(settings.cache_entries as usize, Relaxed);
        self.longest_ms.store(millis(settings.max_ttl), Relaxed);
        let negative_ms = millis(settings.max_negative_ttl);
        self.longest_negative_ms.store(negative_ms, Relaxed);
        let entries = self.entries.pin();
        for (&key, entry) in &entries {
            let latest_ms = now_ms.saturating_add(self.longest_of(&entry.servers));
            if entry.ends_ms > latest_ms {
                entries.update(key, |entry| Entry {
                    renewed_ms: entry.renewed_ms.min(latest_ms),
                    ends_ms: entry.ends_ms.min(latest_ms),
                    ..entry.copy()
                });
            }
        }
        if entries.len() > settings.cache_entries as usize {
            self.make_room(settings.cache_entries as usize, now_ms);
        }
    }

    /// For how many milliseconds such an answer holds at most.
    fn longest_of(&self, servers: &[Server]) -> u64 {
        match servers {
            [] => self.longest_negative_ms.load(Relaxed),
            _ => self.longest_ms.load(Relaxed),
        }
    }

    /// All that is known at this moment, or with `forgetful` nothing.
    pub(super) fn copy(&self, forgetful: bool) -> Self {
        let entries = papaya::HashMap::default();
        if !forgetful {
            let known = self.entries.pin();
            let copies = entries.pin();
            for (&key, entry) in &known {
                copies.insert(key, entry.copy());
            }
        }
        Self {
            entries,
            hasher: self.hasher,
            most: AtomicUsize::new(self.most.load(Relaxed)),
            longest_ms: AtomicU64::new(self.longest_ms.load(Relaxed)),
            longest_negative_ms: AtomicU64::new(self.longest_negative_ms.load(Relaxed)),
        }
    }

    fn key(&self, host: &HostName, wanted: Wanted) -> u128 {
        let kind = match wanted {
            Wanted::Addresses => 0,
            Wanted::AnyServers { secure } => 1 + u8::from(secure),
            Wanted::Servers(transport) => 3 + transport as u8,
        };
        // No name is longer, so a kind behind it is part of none.
        let mut text = [0; 256];
        let name = host.as_bytes();
        text[..name.len()].copy_from_slice(name);
        text[name.len()] = kind;
        self.hasher.hash(&text[..=name.len()]).as_u128()
    }

    /// Reads what was said of a name, and how old it is.
    pub fn read<T>(
        &self,
        host: &HostName,
        wanted: Wanted,
        now_ms: u64,
        read: impl FnOnce(&[Server]) -> T,
    ) -> Option<(T, Age)> {
        let entries = self.entries.pin();
        let entry = entries.get(&self.key(host, wanted))?;
        // Another shard may count at the same time; it need not be exact.
        let uses = entry.uses.load(Relaxed);
        if uses < MANY {
            entry.uses.store(uses + 1, Relaxed);
        }
        Some((read(&entry.servers), entry.age(now_ms)))
    }

    /// Notes an answer. A failure leaves what was known before, for as long as it lasts itself.
    pub fn put(&self, host: HostName, wanted: Wanted, answer: Answer, now_ms: u64) {
        let entries = self.entries.pin();
        let key = self.key(&host, wanted);
        let known = entries.get(&key);
        let kept = known.filter(|known| answer.failed && known.standing != Standing::Forgotten);
        let (servers, holds_ms) = match kept {
            Some(known) => (known.servers.clone(), known.ends_ms),
            None => (answer.servers, 0),
        };
        let standing = match answer.failed && servers.is_empty() {
            true => Standing::Failed,
            false => Standing::Answered,
        };
        let longest_ms = self.longest_of(&servers);
        let uses = known.map_or(0, |known| known.uses.load(Relaxed));
        let ttl_ms = (u64::from(answer.ttl_secs) * 1000).min(longest_ms);
        let most = self.most.load(Relaxed);
        if known.is_none() && entries.len() >= most {
            self.make_room(most - (most / GIVEN_UP).max(1), now_ms);
        }
        let entry = Entry {
            host,
            wanted,
            servers,
            standing,
            renewed_ms: now_ms + ttl_ms - ttl_ms / RENEWED_AT,
            ends_ms: holds_ms.max(now_ms + ttl_ms),
            is_asked: AtomicBool::new(false),
            uses: AtomicU8::new(uses),
        };
        entries.insert(key, entry);
    }

    /// Lets go of what is over, and if more than `kept` would be left, of what was read least or ends soonest.
    fn make_room(&self, kept: usize, now_ms: u64) {
        let entries = self.entries.pin();
        let wanted = entries.len().saturating_sub(kept);
        let mut order: Vec<_> = entries
            .iter()
            .map(|(&key, entry)| {
                let uses = entry.uses.load(Relaxed);
                entry.uses.store(uses / 2, Relaxed);
                (entry.ends_ms > now_ms, uses, entry.ends_ms, key)
            })
            .collect();
        order.sort_unstable();
        for (number, (holds, .., key)) in order.into_iter().enumerate() {
            if holds && number >= wanted {
                break;
            }
            entries.remove(&key);
        }
    }

    /// Forgets all answers; how many that were. Requests that have waited for one and were told that it is there go on with it.
    pub(super) fn forget_all(&self) -> usize {
        let entries = self.entries.pin();
        entries.keys().filter(|&&key| self.forget(key).is_some()).count()
    }

    /// Forgets what was said of a name, and shows it; how many answers that were.
    pub(super) fn forget_name(&self, host: &HostName, mut show: impl FnMut(&[Server])) -> usize {
        let any = [false, true].map(|secure| Wanted::AnyServers { secure });
        let by_transport = Transport::ALL.map(Wanted::Servers);
        let all = [Wanted::Addresses].into_iter().chain(any).chain(by_transport);
        let forgotten = all.filter_map(|wanted| self.forget(self.key(host, wanted)));
        forgotten.inspect(|servers| show(servers)).count()
    }

    /// Forgets an answer; what it was.
    fn forget(&self, key: u128) -> Option<Vec<Server>> {
        let entries = self.entries.pin();
        entries
            .get(&key)
            .filter(|known| known.standing != Standing::Forgotten)?;
        let forgotten = entries.update(key, |known| Entry {
            standing: Standing::Forgotten,
            renewed_ms: 0,
            ends_ms: 0,
            ..known.copy()
        });
        forgotten.map(|entry| entry.servers.clone())
    }

    /// How many answers are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows all that are not forgotten, in no order.
    pub fn for_each(&self, now_ms: u64, mut show: impl FnMut(&Known<'_>)) {
        for (_, entry) in &self.entries.pin() {
            if entry.standing != Standing::Forgotten {
                show(&Known {
                    host: &entry.host,
                    wanted: entry.wanted,
                    servers: &entry.servers,
                    failed: entry.standing == Standing::Failed,
                    left_ms: entry.ends_ms.saturating_sub(now_ms),
                });
            }
        }
    }
}

impl Entry {
    fn copy(&self) -> Self {
        Self {
            servers: self.servers.clone(),
            is_asked: AtomicBool::new(self.is_asked.load(Relaxed)),
            uses: AtomicU8::new(self.uses.load(Relaxed)),
            ..*self
        }
    }

    fn age(&self, now_ms: u64) -> Age {
        if now_ms >= self.ends_ms {
            Age::Over
        } else if now_ms >= self.renewed_ms && !self.is_asked.swap(true, Relaxed) {
            Age::Due
        } else {
            Age::Fresh
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Dns;

    const WANTED: Wanted = Wanted::Addresses;

    fn cache(most: u32) -> Cache {
        let settings = Dns {
            cache_entries: most,
            max_ttl: Duration::from_secs(1000),
            max_negative_ttl: Duration::from_secs(20),
            ..Dns::default()
        };
        Cache::new(&settings, [3; 16])
    }

    fn host(name: &str) -> HostName {
        HostName::new(name.as_bytes()).expect("a name")
    }

    fn answer(servers: usize, ttl_secs: u32, failed: bool) -> Answer {
        let server = Server {
            rank: 0,
            weight: 0,
            transport: None,
            port: None,
            addresses: Vec::new(),
        };
        Answer {
            servers: vec![server; servers],
            ttl_secs,
            failed,
        }
    }

    /// How many servers are known of a name, and how old that is.
    fn read(cache: &Cache, name: &str, now_ms: u64) -> Option<(usize, Age)> {
        cache.read(&host(name), WANTED, now_ms, <[Server]>::len)
    }

    #[test]
    fn an_answer_holds_for_its_time_and_one_reader_is_told_to_renew_it() {
        let cache = cache(16);
        cache.put(host("far.test"), WANTED, answer(2, 100, false), 5000);
        assert_eq!(read(&cache, "FAR.test.", 94_999), Some((2, Age::Fresh)));
        assert_eq!(read(&cache, "far.test", 95_000), Some((2, Age::Due)));
        assert_eq!(read(&cache, "far.test", 95_000), Some((2, Age::Fresh)));
        assert_eq!(read(&cache, "far.test", 105_000), Some((2, Age::Over)));
        assert_eq!(read(&cache, "near.test", 95_000), None);
        let secure = Wanted::AnyServers { secure: true };
        assert!(cache.read(&host("far.test"), secure, 5000, |_| ()).is_none());
    }

    #[test]
    fn an_answer_without_time_is_for_those_who_have_waited() {
        let cache = cache(16);
        cache.put(host("far.test"), WANTED, answer(1, 0, false), 5000);
        assert_eq!(read(&cache, "far.test", 5000), Some((1, Age::Over)));
    }

    #[test]
    fn times_are_bounded_and_that_of_nothing_more() {
        let cache = cache(16);
        for (servers, bound_ms) in [(1, 1_000_000), (0, 20_000)] {
            cache.put(host("far.test"), WANTED, answer(servers, u32::MAX, false), 0);
            let age = |now_ms| read(&cache, "far.test", now_ms).map(|(_, age)| age);
            assert_ne!(age(bound_ms - 1), Some(Age::Over));
            assert_eq!(age(bound_ms), Some(Age::Over));
        }
    }

    // Better what was true than nothing.
    #[test]
    fn a_failure_leaves_what_was_known() {
        let cache = cache(16);
        cache.put(host("far.test"), WANTED, answer(3, 100, false), 0);
        cache.put(host("far.test"), WANTED, answer(0, 10, true), 95_000);
        assert_eq!(read(&cache, "far.test", 99_999), Some((3, Age::Fresh)));
        cache.put(host("far.test"), WANTED, answer(0, 10, true), 200_000);
        assert_eq!(read(&cache, "far.test", 205_000), Some((3, Age::Fresh)));
        cache.put(host("far.test"), WANTED, answer(0, 10, false), 210_000);
        assert_eq!(read(&cache, "far.test", 211_000), Some((0, Age::Fresh)));
    }

    #[test]
    fn what_is_read_stays_when_there_is_no_room() {
        let cache = cache(100);
        cache.put(host("used.test"), WANTED, answer(1, 500, false), 0);
        for number in 0..10_000 {
            cache.put(
                host(&format!("h{number}.test")),
                WANTED,
                answer(1, 900, false),
                number,
            );
            assert!(cache.len() <= 100);
            assert!(read(&cache, "used.test", number).is_some(), "{number}");
            assert!(read(&cache, &format!("h{number}.test"), number).is_some());
        }
    }

    /// All that is shown: name, servers, whether it failed, milliseconds left.
    fn shown(cache: &Cache, now_ms: u64) -> Vec<(String, usize, bool, u64)> {
        let mut shown = Vec::new();
        cache.for_each(now_ms, |known| {
            let name = known.host.as_str().to_owned();
            shown.push((name, known.servers.len(), known.failed, known.left_ms));
        });
        shown.sort();
        shown
    }

    #[test]
    fn what_is_forgotten_is_asked_anew_and_is_there_for_who_has_waited_for_it() {
        let cache = cache(16);
        cache.put(host("far.test"), WANTED, answer(2, 100, false), 0);
        cache.put(
            host("far.test"),
            Wanted::Servers(Transport::Tcp),
            answer(1, 100, false),
            0,
        );
        cache.put(host("near.test"), WANTED, answer(1, 100, false), 0);
        let mut seen = 0;
        assert_eq!(
            cache.forget_name(&host("FAR.test."), |servers| seen += servers.len()),
            2
        );
        assert_eq!(seen, 3);
        assert_eq!(cache.forget_name(&host("far.test"), |_| {}), 0);
        assert_eq!(read(&cache, "far.test", 1000), Some((2, Age::Over)));
        assert_eq!(shown(&cache, 1000), [("near.test".to_owned(), 1, false, 99_000)]);
        // A failure does not bring back what was forgotten.
        cache.put(host("far.test"), WANTED, answer(0, 10, true), 1000);
        assert_eq!(read(&cache, "far.test", 1000), Some((0, Age::Fresh)));
        assert_eq!(shown(&cache, 1000)[0], ("far.test".to_owned(), 0, true, 10_000));
        assert_eq!(cache.forget_all(), 2);
        assert!(shown(&cache, 1000).is_empty());
        cache.put(host("far.test"), WANTED, answer(1, 100, false), 2000);
        assert_eq!(read(&cache, "far.test", 2000), Some((1, Age::Fresh)));
    }

    #[test]
    fn other_bounds_hold_for_what_is_known() {
        let cache = cache(200);
        for number in 0..100 {
            cache.put(host(&format!("h{number}.test")), WANTED, answer(1, 900, false), 0);
        }
        cache.put(host("none.test"), WANTED, answer(0, 900, false), 0);
        for name in ["h7.test", "none.test"] {
            assert!(read(&cache, name, 0).is_some());
        }
        let settings = Dns {
            cache_entries: 16,
            max_ttl: Duration::from_secs(50),
            max_negative_ttl: Duration::from_secs(10),
            ..Dns::default()
        };
        cache.bound(&settings, 1000);
        assert_eq!(cache.len(), 16);
        let left = |name| shown(&cache, 1000).into_iter().find(|known| known.0 == name);
        assert_eq!(left("h7.test"), Some(("h7.test".to_owned(), 1, false, 50_000)));
        assert_eq!(
            left("none.test"),
            Some(("none.test".to_owned(), 0, false, 10_000))
        );
        cache.put(host("new.test"), WANTED, answer(1, 900, false), 1000);
        assert_eq!(left("new.test").map(|known| known.3), Some(50_000));
        assert!(cache.len() <= 16);
    }
}
