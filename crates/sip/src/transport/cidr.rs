//! Address blocks.

use std::fmt;
use std::net::IpAddr;

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

    /// Its first address.
    pub const fn network(&self) -> IpAddr {
        self.network
    }

    /// How many bits all of its addresses have in common.
    pub const fn prefix(&self) -> u8 {
        self.prefix
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
