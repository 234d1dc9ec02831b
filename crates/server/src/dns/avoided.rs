//! Hops that have failed (RFC 3263 §4.3): for a while they are tried last. A table of fixed size that all shards read and write
//! without waiting for each other.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use portable_atomic::AtomicU128;
use strowger_sip::Destination;
use strowger_sip::keys::MacKey;
use strowger_sip::transport::{Hop, Transport};

/// Sets of places, and places of each.
const SETS: usize = 1024;
const WAYS: usize = 4;
/// However long a peer asks for, it is forgotten after this.
const LONGEST_MS: u64 = 3_600_000;
/// How many low bits of a word are the time.
const TIME_BITS: u32 = 40;

/// The hops, each with the time until which it is avoided.
pub struct Avoided {
    sets: Box<[[Place; WAYS]]>,
    /// The end of the last avoidance: behind it nobody has to look.
    latest_ms: AtomicU64,
    usual_ms: AtomicU64,
    key: MacKey,
}

/// One hop. Its two words are not written at once: whoever reads between them takes a hop for another one, and tries an
/// order that is not the best, once.
#[derive(Default)]
struct Place {
    ip: AtomicU128,
    /// Port, transport and time.
    rest: AtomicU64,
}

impl std::fmt::Debug for Avoided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Avoided").finish_non_exhaustive()
    }
}

/// Where a hop leads; `None` for a connection that there is already.
fn peer_of(to: Destination) -> Option<(Transport, SocketAddr)> {
    match to {
        Destination::Datagram { to, .. } => Some((Transport::Udp, to)),
        Destination::Connect { transport, to } => Some((transport, to)),
        Destination::Flow(_) => None,
    }
}

fn ip_bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// Port and transport as they stand above the time.
fn peer_bits(transport: Transport, port: u16) -> u64 {
    u64::from(port) << 8 | transport as u64
}

fn bounded_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).map_or(LONGEST_MS, |ms| ms.min(LONGEST_MS))
}

impl Avoided {
    /// Nothing is avoided yet; what fails will be for so long. `key` is secret.
    pub fn new(usual: Duration, key: [u8; 16]) -> Self {
        Self {
            sets: (0..SETS).map(|_| Default::default()).collect(),
            latest_ms: AtomicU64::new(0),
            usual_ms: AtomicU64::new(bounded_ms(usual)),
            key: MacKey::new(key),
        }
    }

    /// What fails from now on is avoided for so long; what is avoided already no longer than was said then, and not at all when
    /// nothing is to be.
    pub(super) fn bound(&self, usual: Duration, now_ms: u64) {
        self.usual_ms.store(bounded_ms(usual), Relaxed);
        if usual.is_zero() {
            self.forget(now_ms, |_, _| true);
        }
    }

    /// The table as it is at this moment.
    pub(super) fn copy(&self) -> Self {
        let place = |place: &Place| Place {
            ip: AtomicU128::new(place.ip.load(Relaxed)),
            rest: AtomicU64::new(place.rest.load(Relaxed)),
        };
        Self {
            sets: self.sets.iter().map(|set| set.each_ref().map(place)).collect(),
            latest_ms: AtomicU64::new(self.latest_ms.load(Relaxed)),
            usual_ms: AtomicU64::new(self.usual_ms.load(Relaxed)),
            key: self.key.clone(),
        }
    }

    fn set_of(&self, ip: u128, peer: u64) -> &[Place; WAYS] {
        let hash = self.key.hash_of_numbers([ip as u64, (ip >> 64) as u64, peer]);
        &self.sets[hash as usize % SETS]
    }

    /// Whether any hop is avoided.
    pub fn any(&self, now_ms: u64) -> bool {
        self.latest_ms.load(Relaxed) > now_ms
    }

    /// Whether this one is.
    pub fn has(&self, hop: &Hop, now_ms: u64) -> bool {
        let Some((transport, to)) = peer_of(hop.to).filter(|_| self.any(now_ms)) else {
            return false;
        };
        let (ip, peer) = (ip_bits(to.ip()), peer_bits(transport, to.port()));
        let set = self.set_of(ip, peer);
        set.iter()
            .any(|place| place.is_of(ip, peer) && place.until_ms() > now_ms)
    }

    /// A hop has failed. A peer that said 503 may have said for how many seconds.
    pub fn failed(&self, to: Destination, retry_after: Option<u64>, now_ms: u64) {
        let asked = retry_after.map(|secs| secs.saturating_mul(1000).min(LONGEST_MS));
        let usual_ms = self.usual_ms.load(Relaxed);
        let pause_ms = asked.map_or(usual_ms, |asked| asked.max(usual_ms));
        let Some((transport, to)) = peer_of(to).filter(|_| usual_ms > 0) else {
            return;
        };
        let until_ms = (now_ms + pause_ms) & ((1 << TIME_BITS) - 1);
        let (ip, peer) = (ip_bits(to.ip()), peer_bits(transport, to.port()));
        let set = self.set_of(ip, peer);
        let place = set.iter().find(|place| place.is_of(ip, peer));
        let place = place.or_else(|| set.iter().min_by_key(|place| place.until_ms()));
        if let Some(place) = place {
            place.ip.store(ip, Relaxed);
            place.rest.store(peer << TIME_BITS | until_ms, Relaxed);
            self.latest_ms.fetch_max(until_ms, Relaxed);
        }
    }

    /// A hop works.
    pub fn works(&self, to: Destination, now_ms: u64) {
        let Some((transport, to)) = peer_of(to).filter(|_| self.any(now_ms)) else {
            return;
        };
        let (ip, peer) = (ip_bits(to.ip()), peer_bits(transport, to.port()));
        let set = self.set_of(ip, peer);
        for place in set.iter().filter(|place| place.is_of(ip, peer)) {
            place.rest.store(0, Relaxed);
        }
    }

    /// Puts the hops that are avoided behind the others; their order among themselves stays.
    pub fn put_last(&self, hops: &mut [Hop], now_ms: u64) {
        if hops.len() < 2 || !self.any(now_ms) {
            return;
        }
        let mut good = 0;
        for at in 0..hops.len() {
            if !self.has(&hops[at], now_ms) {
                hops[good..=at].rotate_right(1);
                good += 1;
            }
        }
    }

    /// Avoids no longer what this is true of; how many hops that were.
    pub fn forget(&self, now_ms: u64, is_meant: impl Fn(Transport, SocketAddr) -> bool) -> usize {
        let avoided = self
            .avoided(now_ms)
            .filter(|&(_, transport, to, _)| is_meant(transport, to));
        avoided.map(|(place, ..)| place.rest.store(0, Relaxed)).count()
    }

    /// All that are avoided, and for how many milliseconds more.
    pub fn list(&self, now_ms: u64) -> Vec<(Transport, SocketAddr, u64)> {
        let avoided = self.avoided(now_ms);
        avoided
            .map(|(_, transport, to, left_ms)| (transport, to, left_ms))
            .collect()
    }

    /// The same, each with its place.
    fn avoided(&self, now_ms: u64) -> impl Iterator<Item = (&Place, Transport, SocketAddr, u64)> {
        let places = self.sets.iter().flatten();
        places.filter_map(move |place| {
            let rest = place.rest.load(Relaxed);
            let left_ms = place.until_ms().checked_sub(now_ms).filter(|&left| left > 0)?;
            let peer = rest >> TIME_BITS;
            let transport = *Transport::ALL.get(peer as usize & 0xff)?;
            let ip = Ipv6Addr::from_bits(place.ip.load(Relaxed)).to_canonical();
            Some((place, transport, SocketAddr::new(ip, (peer >> 8) as u16), left_ms))
        })
    }
}

impl Place {
    fn is_of(&self, ip: u128, peer: u64) -> bool {
        self.rest.load(Relaxed) >> TIME_BITS == peer && self.ip.load(Relaxed) == ip
    }

    fn until_ms(&self) -> u64 {
        self.rest.load(Relaxed) & ((1 << TIME_BITS) - 1)
    }
}

#[cfg(test)]
mod tests {
    use strowger_sip::transport::AdvertisedAs;

    use super::*;

    fn hop(number: u32) -> Hop {
        let ip = IpAddr::from([10, (number >> 16) as u8, (number >> 8) as u8, number as u8]);
        Hop {
            transport: Transport::Udp,
            listener: 0,
            local: IpAddr::from([192, 0, 2, 1]),
            told: AdvertisedAs::default(),
            to: Destination::Datagram {
                listener: 0,
                from: None,
                to: (ip, 5060).into(),
            },
            over_flow: false,
        }
    }

    fn avoided() -> Avoided {
        Avoided::new(Duration::from_secs(30), [7; 16])
    }

    #[test]
    fn what_has_failed_is_tried_last_until_its_time_is_over_or_it_works() {
        let avoided = avoided();
        let order = |now_ms| {
            let mut hops = [1, 2, 3, 4].map(hop);
            avoided.put_last(&mut hops, now_ms);
            hops.map(|hop| peer_of(hop.to).expect("a peer").1.ip().to_string())
                .map(|ip| ip.as_bytes()[ip.len() - 1] - b'0')
        };
        assert_eq!(order(1000), [1, 2, 3, 4]);
        avoided.failed(hop(1).to, None, 1000);
        avoided.failed(hop(3).to, None, 2000);
        assert_eq!(order(2000), [2, 4, 1, 3]);
        assert_eq!(order(31_000), [1, 2, 4, 3]);
        avoided.works(hop(3).to, 31_000);
        assert_eq!(order(31_000), [1, 2, 3, 4]);
        assert!(avoided.list(31_000).is_empty());
    }

    // RFC 3261 §21.5.4.
    #[test]
    fn a_peer_that_asks_for_a_longer_pause_gets_it() {
        let avoided = avoided();
        for (number, retry_after, until_ms) in [(1, 60, 60_000), (2, 5, 30_000), (3, u64::MAX, LONGEST_MS)] {
            let hop = hop(number);
            avoided.failed(hop.to, Some(retry_after), 0);
            assert!(avoided.has(&hop, until_ms - 1) && !avoided.has(&hop, until_ms));
        }
    }

    #[test]
    fn transports_and_ports_fail_apart() {
        let avoided = avoided();
        let to = SocketAddr::from(([10, 0, 0, 1], 5060));
        let tcp = Destination::Connect {
            transport: Transport::Tcp,
            to,
        };
        avoided.failed(tcp, None, 0);
        assert!(!avoided.has(&hop(1), 1));
        assert_eq!(avoided.list(10_000), [(Transport::Tcp, to, 20_000)]);
    }

    #[test]
    fn nothing_is_avoided_when_that_is_switched_off() {
        let avoided = Avoided::new(Duration::ZERO, [7; 16]);
        avoided.failed(hop(1).to, Some(60), 0);
        assert!(!avoided.any(0));
    }

    #[test]
    fn another_time_is_for_what_fails_from_then_on_and_none_for_nothing() {
        let avoided = avoided();
        avoided.failed(hop(1).to, None, 0);
        avoided.bound(Duration::from_secs(10), 0);
        avoided.failed(hop(2).to, None, 0);
        let left = || {
            let mut left: Vec<_> = avoided.list(0).iter().map(|&(.., left_ms)| left_ms).collect();
            left.sort();
            left
        };
        assert_eq!(left(), [10_000, 30_000]);
        avoided.bound(Duration::ZERO, 0);
        assert!(left().is_empty());
    }

    #[test]
    fn a_flood_of_failures_takes_no_more_memory_and_leaves_the_latest() {
        let avoided = avoided();
        for number in 0..100_000 {
            avoided.failed(hop(number).to, None, u64::from(number));
            assert!(avoided.has(&hop(number), u64::from(number)));
        }
        let kept = avoided.list(100_000).len();
        assert!(kept <= SETS * WAYS && kept > SETS * WAYS / 2, "{kept}");
    }
}
