//! What is held against whom: how much a source is refused, and who tries passwords.
//!
//! A **source** is an IPv4 address or an IPv6 /64. Whatever is refused to one (challenged, or answered 4xx) goes into its
//! bucket; a challenge that is met is taken out again. Once the bucket is full, what would be refused is not answered. A
//! wrong password goes into the bucket of its source and account together, and fills it: that **pair** is banned, and
//! with it nobody else behind the same address. A source with wrong passwords for many accounts is banned as a whole.
//!
//! A request that is not refused costs at most one load: [`Defence::is_quiet`]. The tables are of a fixed size and shared
//! by all shards without locks; the list of bans that people see is kept by the control side.

mod bans;
mod meters;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strowger_net::source_of;
use strowger_sip::Now;
use strowger_sip::keys::MacKey;
use tokio::sync::mpsc;

pub use bans::{Ban, Banned, Bans};

use crate::config;
use meters::{Bucket, Charged, Key, Meters, Ticks};

/// Bans that may wait for the control side to note them.
const UNNOTED: usize = 1024;

/// How long what is refused is held against a source, in seconds of what it may be refused.
const PATIENCE_SECS: u64 = 20;

/// From so many wrong passwords of a pair on, it is not asked for another one: who repeats a password that was just refused
/// (against RFC 3261 §22.2) would be banned at once.
const INSISTENT: u64 = 3;

/// Bytes of an account's name that count, and that a ban shows.
const SHOWN: usize = 128;

/// The defence of a node: how much it allows, and what it remembers.
pub struct Defence {
    refusals: Bucket,
    failures: Bucket,
    accounts: Bucket,
    ban: Ticks,
    memory: Arc<Memory>,
}

/// What is remembered, whatever is allowed.
struct Memory {
    meters: Meters,
    key: MacKey,
    /// When the last ban ends that was made.
    bans_until: AtomicU64,
    pairs_banned: AtomicU64,
    sources_banned: AtomicU64,
    new: mpsc::Sender<Ban>,
}

impl std::fmt::Debug for Defence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Defence")
            .field("pairs_banned", &self.memory.pairs_banned)
            .field("sources_banned", &self.memory.sources_banned)
            .finish_non_exhaustive()
    }
}

impl Defence {
    /// A defence that holds nothing against anybody, and where its bans are told. `key` is secret: nobody can choose names
    /// that share an entry.
    pub fn new(settings: &config::Defence, key: [u8; 16]) -> (Self, mpsc::Receiver<Ban>) {
        let (new, noted) = mpsc::channel(UNNOTED);
        let memory = Memory {
            meters: Meters::new(),
            key: MacKey::new(key),
            bans_until: AtomicU64::new(0),
            pairs_banned: AtomicU64::new(0),
            sources_banned: AtomicU64::new(0),
            new,
        };
        (Self::allowing(settings, Arc::new(memory)), noted)
    }

    /// The same with other settings: whatever is held against anybody still is.
    #[must_use]
    pub fn reconfigured(&self, settings: &config::Defence) -> Self {
        Self::allowing(settings, Arc::clone(&self.memory))
    }

    fn allowing(settings: &config::Defence, memory: Arc<Memory>) -> Self {
        let second = std::time::Duration::from_secs(1);
        let window = Ticks::of(settings.window);
        let share = |charges: u32| Bucket {
            size: window,
            cost: Ticks(window.0 / u64::from(charges.max(1))),
        };
        let cost = Ticks((Ticks::of(second).0 / u64::from(settings.refusals.max(1))).max(1));
        Self {
            refusals: Bucket {
                size: Ticks(cost.0 * u64::from(settings.refusals) * PATIENCE_SECS),
                cost,
            },
            failures: share(settings.failures),
            accounts: share(settings.accounts),
            ban: Ticks::of(settings.ban),
            memory,
        }
    }

    /// The defence as it is at this moment, to try what a request would be held against whom. Nobody is told of its bans.
    #[must_use]
    pub fn copy(&self) -> Self {
        let memory = &self.memory;
        let read = |count: &AtomicU64| AtomicU64::new(count.load(Ordering::Relaxed));
        Self {
            memory: Arc::new(Memory {
                meters: memory.meters.copy(),
                key: memory.key.clone(),
                bans_until: read(&memory.bans_until),
                pairs_banned: read(&memory.pairs_banned),
                sources_banned: read(&memory.sources_banned),
                new: mpsc::channel(1).0,
            }),
            ..*self
        }
    }

    /// Whether a request of this source that is refused is still told so. Charges it.
    pub fn may_refuse(&self, source: IpAddr, now: Now) -> bool {
        let key = self.source_key(Held::Refusals, source);
        self.memory
            .meters
            .charge(key, self.refusals, Ticks::at(now.mono_ns))
            != Charged::Full
    }

    /// A challenge was met: neither it nor the request that it answered is held against the source.
    pub fn challenge_met(&self, source: IpAddr, now: Now) {
        let key = self.source_key(Held::Refusals, source);
        self.memory
            .meters
            .refund(key, self.refusals.cost, Ticks::at(now.mono_ns));
    }

    /// Whether nobody at all is banned, which is told without looking for anybody.
    pub fn is_quiet(&self, now: Now) -> bool {
        self.memory.bans_until.load(Ordering::Relaxed) <= Ticks::at(now.mono_ns).0
    }

    /// Whether a source is banned, or this account of it.
    pub fn is_banned(&self, source: IpAddr, user: &[u8], domain: &[u8], now: Now) -> Option<Banned> {
        let now = Ticks::at(now.mono_ns);
        if self
            .memory
            .meters
            .is_banned(self.pair_key(source, user, domain), now)
        {
            Some(Banned::Account)
        } else if self
            .memory
            .meters
            .is_banned(self.source_key(Held::Failures, source), now)
        {
            Some(Banned::Source)
        } else {
            None
        }
    }

    /// A wrong password. Bans the pair once there were enough, and the source once there were accounts enough. Whether
    /// the account exists makes no difference. True when it is to be refused for good, and not asked for another.
    pub fn wrong_password(&self, source: IpAddr, user: &[u8], domain: &[u8], now: Now) -> bool {
        let ticks = Ticks::at(now.mono_ns);
        let pair = self.pair_key(source, user, domain);
        let charged = self.memory.meters.charge(pair, self.failures, ticks);
        if matches!(charged, Charged::Filled | Charged::Full) && self.ban(pair, ticks) {
            self.memory.pairs_banned.fetch_add(1, Ordering::Relaxed);
            let account = format!("{}@{}", shown(user).escape_ascii(), domain.escape_ascii());
            self.tell(pair, source, Some(account), now);
        }
        self.insists(charged, source, now)
    }

    /// Credentials for a domain that has no users, as it is only this node's address: more often than not those of a phone that was
    /// set up with it. The pair is not banned, for there is no password to be found; the source is, once there were accounts
    /// enough. True when it is to be refused for good.
    pub fn wrong_domain(&self, source: IpAddr, user: &[u8], domain: &[u8], now: Now) -> bool {
        let pair = self.pair_key(source, user, domain);
        let charged = self
            .memory
            .meters
            .charge(pair, self.failures, Ticks::at(now.mono_ns));
        self.insists(charged, source, now)
    }

    /// Whether a pair that was charged is not to be asked again. The first charge of each is held against the source.
    fn insists(&self, charged: Charged, source: IpAddr, now: Now) -> bool {
        let ticks = Ticks::at(now.mono_ns);
        let insists = match charged {
            Charged::First => false,
            Charged::Fits(wrong) => wrong >= INSISTENT,
            Charged::Filled | Charged::Full => true,
        };
        if charged != Charged::First {
            return insists;
        }
        let source_key = self.source_key(Held::Failures, source);
        let charged = self.memory.meters.charge(source_key, self.accounts, ticks);
        if matches!(charged, Charged::Filled | Charged::Full) && self.ban(source_key, ticks) {
            self.memory.sources_banned.fetch_add(1, Ordering::Relaxed);
            self.tell(source_key, source, None, now);
        }
        insists
    }

    /// Ends the bans of a source, or the one of an account (`user@domain`) there, and forgets what led to them. Those that
    /// have ended. A ban that is not in the list is found by its name; only those of accounts that are not named are not.
    pub fn unban(&self, listed: &Bans, source: IpAddr, account: Option<&str>, now: Now) -> Vec<Ban> {
        let source = source_of(source);
        let ticks = Ticks::at(now.mono_ns);
        let mut ended = listed
            .take(|ban| ban.source == source && (account.is_none() || ban.account.as_deref() == account));
        for ban in &ended {
            self.memory.meters.forget(ban.key, ticks);
        }
        let key = match account.map(|account| account.rsplit_once('@').unwrap_or((account, ""))) {
            Some((user, domain)) => self.pair_key(source, user.as_bytes(), domain.as_bytes()),
            None => self.source_key(Held::Failures, source),
        };
        if let Some(until) = self.memory.meters.forget(key, ticks) {
            let left = until.minus(ticks).as_ms();
            ended.push(Ban {
                key,
                source,
                account: account.map(ToOwned::to_owned),
                since: (now.wall_ms + left).saturating_sub(self.ban.as_ms()) / 1000,
                until: (now.wall_ms + left) / 1000,
            });
        }
        ended
    }

    /// Pairs and sources that were banned since the start.
    pub fn counts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.memory.pairs_banned), read(&self.memory.sources_banned))
    }

    fn ban(&self, key: Key, now: Ticks) -> bool {
        if self.ban == Ticks(0) {
            return false;
        }
        let until = now.plus(self.ban);
        let is_new = self.memory.meters.ban(key, until, now);
        self.memory.bans_until.fetch_max(until.0, Ordering::Relaxed);
        is_new
    }

    fn tell(&self, key: Key, source: IpAddr, account: Option<String>, now: Now) {
        let until = now.wall_ms + self.ban.as_ms();
        // A list that cannot be kept up with is short of entries; the ban holds all the same.
        let _ = self.memory.new.try_send(Ban {
            key,
            source: source_of(source),
            account,
            since: now.wall_ms / 1000,
            until: until / 1000,
        });
    }

    fn source_key(&self, what: Held, source: IpAddr) -> Key {
        let (is_v6, bits) = match source_of(source) {
            IpAddr::V4(v4) => (0, u64::from(v4.to_bits())),
            IpAddr::V6(v6) => (1, (v6.to_bits() >> 64) as u64),
        };
        Key(self.memory.key.hash_of_numbers([what as u64 | is_v6 << 32, bits]))
    }

    fn pair_key(&self, source: IpAddr, user: &[u8], domain: &[u8]) -> Key {
        Key(self
            .memory
            .key
            .hash(&[b"pair", &octets(source), shown(user), domain]))
    }
}

/// What is held against a source.
#[derive(Clone, Copy)]
enum Held {
    Refusals,
    Failures,
}

/// As much of an account's name as counts.
fn shown(user: &[u8]) -> &[u8] {
    &user[..user.len().min(SHOWN)]
}

fn octets(source: IpAddr) -> [u8; 16] {
    match source_of(source) {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));
    const NOW: Now = Now {
        mono_ns: 7_000_000_000_000,
        wall_ms: 1_764_000_000_000,
    };

    /// Of a machine that was started just now.
    const EARLY: Now = Now {
        mono_ns: 9_000_000_000,
        ..NOW
    };

    fn later(secs: u64) -> Now {
        Now {
            mono_ns: NOW.mono_ns + secs * 1_000_000_000,
            wall_ms: NOW.wall_ms + secs * 1000,
        }
    }

    fn defence() -> (Defence, mpsc::Receiver<Ban>) {
        Defence::new(&config::Defence::default(), [5; 16])
    }

    fn fail(defence: &Defence, source: IpAddr, user: &str, times: u32) {
        for _ in 0..times {
            let _ = defence.wrong_password(source, user.as_bytes(), b"example.test", NOW);
        }
    }

    #[test]
    fn enough_wrong_passwords_ban_the_account_at_that_source_and_nobody_else() {
        let (defence, mut new) = defence();
        let is_banned =
            |source, user: &str, now| defence.is_banned(source, user.as_bytes(), b"example.test", now);
        fail(&defence, SOURCE, "alice", 9);
        assert!(defence.is_quiet(NOW));
        fail(&defence, SOURCE, "alice", 2);
        assert!(!defence.is_quiet(NOW));
        assert_eq!(is_banned(SOURCE, "alice", NOW), Some(Banned::Account));
        assert_eq!(is_banned(SOURCE, "bob", NOW), None);
        assert_eq!(is_banned(OTHER, "alice", NOW), None);
        assert_eq!(is_banned(SOURCE, "alice", later(1801)), None);
        assert!(defence.is_quiet(later(1801)));
        let ban = new.try_recv().expect("is told");
        assert_eq!(
            (ban.source, ban.account.as_deref()),
            (SOURCE, Some("alice@example.test"))
        );
        assert!((1795..=1800).contains(&(ban.until - ban.since)), "{ban:?}");
        assert!(new.try_recv().is_err(), "and once");
        let listed = Bans::default();
        listed.note(ban.clone());
        let unban = || defence.unban(&listed, SOURCE, Some("alice@example.test"), NOW);
        assert_eq!((unban(), unban()), (vec![ban], vec![]));
        assert_eq!(is_banned(SOURCE, "alice", NOW), None);
        assert_eq!(defence.counts(), (1, 0));
    }

    #[test]
    fn wrong_passwords_of_many_accounts_ban_the_source() {
        let (defence, mut new) = defence();
        for n in 0..20 {
            fail(&defence, SOURCE, &format!("user{n}"), 2);
        }
        assert_eq!(
            defence.is_banned(SOURCE, b"anybody", b"example.test", NOW),
            Some(Banned::Source)
        );
        assert_eq!(defence.is_banned(OTHER, b"anybody", b"example.test", NOW), None);
        assert_eq!(new.try_recv().expect("is told").account, None);
        assert_eq!(defence.counts(), (0, 1));
    }

    #[test]
    fn the_address_as_a_domain_bans_no_account_and_the_source_only_for_many() {
        let (defence, _new) = defence();
        let wrong = |user: &str| defence.wrong_domain(SOURCE, user.as_bytes(), b"192.0.2.1", NOW);
        assert_eq!(
            (wrong("alice"), wrong("alice"), wrong("alice")),
            (false, false, true)
        );
        for n in 0..19 {
            assert!(defence.is_quiet(NOW));
            (0..50).for_each(|_| {
                wrong(&format!("user{n}"));
            });
        }
        let banned = defence.is_banned(SOURCE, b"alice", b"192.0.2.1", NOW);
        assert_eq!((banned, defence.counts()), (Some(Banned::Source), (0, 1)));
    }

    #[test]
    fn a_ban_that_is_not_listed_can_be_lifted() {
        let (defence, new) = defence();
        drop(new);
        for n in 0..20 {
            fail(&defence, SOURCE, &format!("user{n}"), 10);
        }
        let listed = Bans::default();
        let unban = |source, account| defence.unban(&listed, source, account, later(100));
        let is_banned = |user: &[u8]| defence.is_banned(SOURCE, user, b"example.test", later(100));
        assert_eq!(unban(OTHER, None), []);
        assert_eq!(unban(SOURCE, Some("user20@example.test")), []);
        let account = Some("user7@example.test");
        let [ref ended] = unban(SOURCE, account)[..] else {
            panic!("one ban");
        };
        assert_eq!((ended.source, ended.account.as_deref()), (SOURCE, account));
        assert!(ended.since.abs_diff(NOW.wall_secs()) <= 1, "{ended:?}");
        assert_eq!(is_banned(b"user7"), Some(Banned::Source));
        assert_eq!(unban(SOURCE, None).len(), 1);
        assert_eq!(is_banned(b"user7"), None);
        assert_eq!(is_banned(b"user8"), Some(Banned::Account));
        assert_eq!(unban(SOURCE, None), []);
    }

    #[test]
    fn a_source_is_banned_on_a_machine_that_was_started_just_now() {
        let (defence, _new) = defence();
        for n in 0..20 {
            let _ = defence.wrong_password(SOURCE, format!("user{n}").as_bytes(), b"example.test", EARLY);
        }
        assert_eq!(
            defence.is_banned(SOURCE, b"anybody", b"example.test", EARLY),
            Some(Banned::Source)
        );
    }

    #[test]
    fn a_few_phones_that_try_again_and_again_do_not_shut_their_office_out() {
        let (defence, _new) = defence();
        for minute in 0..600 {
            for user in [&b"one"[..], b"two", b"three", b"four", b"five"] {
                defence.wrong_password(SOURCE, user, b"example.test", later(61 * minute));
            }
        }
        assert_eq!(defence.counts(), (0, 0));
    }

    #[test]
    fn refusals_end_when_there_were_too_many_and_begin_again() {
        let (defence, _new) = defence();
        let told = (0..5000).filter(|_| defence.may_refuse(SOURCE, NOW)).count();
        assert!((1990..=2010).contains(&told), "{told}");
        assert!(defence.may_refuse(OTHER, NOW));
        defence.challenge_met(SOURCE, NOW);
        assert!(defence.may_refuse(SOURCE, NOW) && !defence.may_refuse(SOURCE, NOW));
        let told = (0..5000).filter(|_| defence.may_refuse(SOURCE, later(1))).count();
        assert!((90..=110).contains(&told), "{told}");
    }

    #[test]
    fn other_settings_forget_nobody() {
        let (first, mut new) = defence();
        fail(&first, SOURCE, "alice", 10);
        fail(&first, SOURCE, "bob", 5);
        let settings = config::Defence {
            failures: 6,
            ..config::Defence::default()
        };
        let next = first.reconfigured(&settings);
        assert!(!next.is_quiet(NOW) && next.counts() == (1, 0));
        let is_banned = |user: &[u8]| next.is_banned(SOURCE, user, b"example.test", NOW);
        assert_eq!(
            (is_banned(b"alice"), is_banned(b"bob")),
            (Some(Banned::Account), None)
        );
        fail(&next, SOURCE, "bob", 3);
        assert_eq!(is_banned(b"bob"), Some(Banned::Account));
        assert_eq!((next.counts(), new.try_recv().is_ok()), ((2, 0), true));
    }

    #[test]
    fn one_v6_network_is_one_source() {
        let (defence, _new) = defence();
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        for host in 1..=11 {
            fail(&defence, ip(&format!("2001:db8::{host}")), "alice", 1);
        }
        let banned = |text| defence.is_banned(ip(text), b"alice", b"example.test", NOW);
        assert_eq!(banned("2001:db8::ffff"), Some(Banned::Account));
        assert_eq!(banned("2001:db8:0:1::1"), None);
    }
}
