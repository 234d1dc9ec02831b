//! Who counts as one source, and how many connections each of them has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Whom a peer is counted under: an IPv4 address, or the first address of its IPv6 /64, of which one user has at least one.
pub fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// How many accepted connections each source has, at all shards together. It is locked when a connection comes or goes,
/// and for nothing else.
#[derive(Debug, Default)]
pub(crate) struct Connected(Mutex<HashMap<IpAddr, usize>>);

impl Connected {
    /// Counts one more of a source, unless it has that many.
    pub(crate) fn enter(&self, source: IpAddr, most: usize) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&source).copied().unwrap_or(0);
        if count < most {
            counts.insert(source, count + 1);
        }
        count < most
    }

    /// One of a source is gone.
    pub(crate) fn leave(&self, source: IpAddr) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_v6_network_is_one_source_and_each_v4_address_is_its_own() {
        let of = |text: &str| source_of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn a_source_has_so_many_connections_and_no_more() {
        let connected = Connected::default();
        let [one, other] = [1, 2].map(|host| IpAddr::from([192, 0, 2, host]));
        assert!(connected.enter(one, 2) && connected.enter(one, 2) && !connected.enter(one, 2));
        assert!(connected.enter(other, 2));
        connected.leave(one);
        assert!(connected.enter(one, 2) && !connected.enter(one, 2));
    }
}
