//! What this machine is called and which addresses it has.
#![expect(unsafe_code, reason = "getifaddrs and gethostname")]

use std::net::IpAddr;
use std::ptr;

use strowger_sip::transport::Cidr;

use crate::address;

/// The addresses of the interfaces that are up, without duplicates: first those that others can reach, then IPv4
/// link-local ones, then loopback. IPv6 link-local addresses mean nothing without their interface, so they are listed
/// only when there is nothing else. Empty when the kernel does not say.
pub fn interface_addresses() -> Vec<IpAddr> {
    let mut addresses = all_addresses();
    if addresses.iter().any(|address| rank(address) != Rank::Scoped) {
        addresses.retain(|address| rank(address) != Rank::Scoped);
    }
    addresses.sort_by_key(rank);
    let mut distinct = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    distinct
}

/// The networks of the interfaces that are up, each with the address of this machine there. IPv6 link-local ones are left out.
pub fn interface_networks() -> Vec<(IpAddr, Cidr)> {
    let network = |Interface { address, mask, .. }: Interface| {
        let prefix = match mask? {
            IpAddr::V4(mask) => mask.to_bits().leading_ones(),
            IpAddr::V6(mask) => mask.to_bits().leading_ones(),
        };
        let first: IpAddr = match (address, mask?) {
            (IpAddr::V4(address), IpAddr::V4(mask)) => (address & mask).into(),
            (IpAddr::V6(address), IpAddr::V6(mask)) => (address & mask).into(),
            _ => return None,
        };
        Some((address, Cidr::new(first, prefix as u8)))
    };
    let all = interfaces().into_iter().filter_map(network);
    all.filter(|(address, _)| rank(address) != Rank::Scoped).collect()
}

/// The name of this machine as the kernel has it, often without a domain. Empty when the kernel does not say.
pub fn host_name() -> String {
    // Linux allows 64 bytes, POSIX 255.
    let mut name = [0u8; 256];
    // SAFETY: the buffer is valid for writes of one byte less than it has, so its last byte stays a null.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    if result != 0 {
        return String::new();
    }
    let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..len]).into_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Reachable,
    LinkLocal,
    Loopback,
    /// Of one interface only, and nothing without its name.
    Scoped,
}

fn rank(address: &IpAddr) -> Rank {
    match address {
        _ if address.is_loopback() => Rank::Loopback,
        IpAddr::V4(v4) if v4.is_link_local() => Rank::LinkLocal,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Rank::Scoped,
        _ => Rank::Reachable,
    }
}

/// The number of the interface that has an address; `None` if none that is up has it.
pub(crate) fn interface_of(address: IpAddr) -> Option<u32> {
    let found = interfaces()
        .into_iter()
        .find(|interface| interface.address == address);
    found.map(|interface| interface.number)
}

/// The addresses of all interfaces that are up, in the kernel's order.
fn all_addresses() -> Vec<IpAddr> {
    let interfaces = interfaces().into_iter();
    interfaces.map(|interface| interface.address).collect()
}

/// An address of an interface that is up.
struct Interface {
    address: IpAddr,
    mask: Option<IpAddr>,
    number: u32,
}

/// All of them, in the kernel's order.
fn interfaces() -> Vec<Interface> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `list` is valid for the write of one pointer.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Vec::new();
    }
    let mut addresses = Vec::new();
    let mut next = list;
    // SAFETY: getifaddrs made the list, and it is not freed before the end.
    while let Some(entry) = unsafe { next.as_ref() } {
        if entry.ifa_flags & libc::IFF_UP as libc::c_uint != 0 {
            // SAFETY: the addresses of an entry are null or as long as their families say.
            let (address, mask) = unsafe { (address_of(entry.ifa_addr), address_of(entry.ifa_netmask)) };
            // SAFETY: the name of an entry is a string that ends with a null.
            let number = unsafe { libc::if_nametoindex(entry.ifa_name) };
            addresses.extend(address.map(|address| Interface {
                address,
                mask,
                number,
            }));
        }
        next = entry.ifa_next;
    }
    // SAFETY: getifaddrs made the list, and nothing points into it any more.
    unsafe { libc::freeifaddrs(list) };
    addresses
}

/// Reads an address that is only as long as its family needs.
///
/// # Safety
/// The pointer is null, or what it points at is as long as the family there says.
unsafe fn address_of(from: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: not null, and every address begins with its family.
    let family = libc::c_int::from(unsafe { from.as_ref() }?.sa_family);
    let len = match family {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => return None,
    };
    let mut storage = address::empty();
    // SAFETY: the source is `len` long by its family, the storage has room for an address of any family.
    unsafe { ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut storage).cast::<u8>(), len) };
    address::read(&storage).map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_listed_once_and_after_reachable_ones() {
        let addresses = interface_addresses();
        let loopback: IpAddr = [127, 0, 0, 1].into();
        assert_eq!(addresses.iter().filter(|&&one| one == loopback).count(), 1);
        assert!(addresses.is_sorted_by_key(rank));
        assert!(addresses.iter().all(|address| rank(address) != Rank::Scoped));
    }

    #[test]
    fn addresses_rank_by_who_can_reach_them() {
        let by_rank = ["192.0.2.1", "169.254.3.4", "127.0.0.1", "fe80::1"];
        let ranks = by_rank.map(|text| rank(&text.parse().expect("an address")));
        assert!(ranks.is_sorted_by(|one, other| one < other));
        assert_eq!(rank(&"2001:db8::1".parse().expect("an address")), Rank::Reachable);
    }

    #[test]
    fn the_host_name_is_what_the_kernel_has() {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("procfs");
        assert_eq!(host_name(), kernel.trim_end());
    }
}
