//! How many subscriptions there may be: of an address-of-record, from a source, and in all. The counts are facts about
//! addresses and sources, so all shards share them; they are tables of fixed size, without a lock.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use strowger_net::source_of;

/// Places of one row of counts.
const PLACES: usize = 16_384;

/// The most subscriptions that there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Of one address-of-record.
    pub per_aor: u32,
    /// From one source: an IPv4 address or an IPv6 /64.
    pub per_source: u32,
    /// In all.
    pub total: u32,
}

/// How many subscriptions there are.
#[derive(Debug, Default)]
pub struct Quota {
    total: AtomicU32,
    aors: Counts,
    sources: Counts,
}

impl Quota {
    /// Takes a place for a subscription of an address-of-record from a source; false when there is none. What is `exempt` (from
    /// a trusted source, which may stand for many) has no limit by its source.
    pub fn enter(&self, most: &Most, aor: &[u8], source: IpAddr, exempt: bool) -> bool {
        self.admit(aor, source);
        let (total, of_aor, of_source) = (
            self.total.load(Ordering::Relaxed),
            self.aors.count(aor),
            self.sources.count(&source_of(source)),
        );
        let fits = total <= most.total && of_aor <= most.per_aor && (exempt || of_source <= most.per_source);
        if !fits {
            self.leave(aor, source);
        }
        fits
    }

    /// Takes a place without asking: for what was accepted before a restart.
    pub fn admit(&self, aor: &[u8], source: IpAddr) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.aors.add(aor);
        self.sources.add(&source_of(source));
    }

    /// Gives a place back.
    pub fn leave(&self, aor: &[u8], source: IpAddr) {
        self.total.fetch_sub(1, Ordering::Relaxed);
        self.aors.take(aor);
        self.sources.take(&source_of(source));
    }

    /// How many there are in all.
    pub fn total(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }
}

/// Counts by key, in two rows that are hashed differently: the smaller of a key's two counts is never too small, and too large
/// only where it shares its places in both.
#[derive(Default)]
struct Counts(OnceLock<Rows>);

struct Rows([(RandomState, Box<[AtomicU32]>); 2]);

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counts")
    }
}

impl Counts {
    /// The places of a key. The table is made when it is first needed.
    fn places<K: std::hash::Hash + ?Sized>(&self, key: &K) -> [&AtomicU32; 2] {
        let row = || {
            let counts = (0..PLACES).map(|_| AtomicU32::new(0)).collect();
            (RandomState::default(), counts)
        };
        let Rows([first, second]) = self.0.get_or_init(|| Rows([row(), row()]));
        [first, second].map(|(hasher, counts)| &counts[(hasher.hash_one(key) % PLACES as u64) as usize])
    }

    fn add<K: std::hash::Hash + ?Sized>(&self, key: &K) {
        for count in self.places(key) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take<K: std::hash::Hash + ?Sized>(&self, key: &K) {
        for count in self.places(key) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn count<K: std::hash::Hash + ?Sized>(&self, key: &K) -> u32 {
        self.places(key)
            .map(|count| count.load(Ordering::Relaxed))
            .into_iter()
            .min()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most {
        per_aor: 2,
        per_source: 3,
        total: 5,
    };

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn places_are_limited_by_address_by_source_and_in_all() {
        let quota = Quota::default();
        let enter = |aor: &str, source, exempt| quota.enter(&MOST, aor.as_bytes(), ip(source), exempt);
        assert!(enter("a", 1, false) && enter("a", 2, false));
        assert!(!enter("a", 3, false), "a third of one address");
        assert!(enter("b", 1, false) && enter("c", 1, false));
        assert!(!enter("d", 1, false), "a fourth from one source");
        assert!(enter("d", 1, true), "from a trusted one");
        assert!(!enter("e", 9, true), "a sixth");
        assert_eq!(quota.total(), 5);
        quota.leave(b"a", ip(1));
        assert!(enter("a", 9, false));
    }

    #[test]
    fn an_ipv6_source_is_its_network() {
        let quota = Quota::default();
        let ip = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        let entered: Vec<_> = (1..5)
            .map(|last| quota.enter(&MOST, &[last as u8], ip(last), false))
            .collect();
        assert_eq!(entered, [true, true, true, false]);
    }
}
