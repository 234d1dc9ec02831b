//! Who counts as one source, and how many connections each of them has.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Whom a peer is counted under: an IPv4 address, or the first address of its IPv6 /64, of which one user has at least one.
pub fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// An address block such as `192.0.2.0/24`; a bare address is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The block of this network; `prefix` is at most 32 or 128.
    pub const fn new(network: IpAddr, prefix: u8) -> Self {
        Self { network, prefix }
    }

    /// True when the address lies in the block. An IPv4 address inside an IPv6 one (`::ffff:a.b.c.d`) is that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
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
