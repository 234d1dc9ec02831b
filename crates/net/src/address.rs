//! Socket addresses as the kernel writes them.
#![expect(unsafe_code, reason = "sockaddr_storage is read as the family it says it has")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for an address of either family.
pub(crate) type Storage = libc::sockaddr_storage;

/// How much room [`Storage`] is.
pub(crate) const STORAGE_LEN: libc::socklen_t = size_of::<Storage>() as libc::socklen_t;

/// An empty address.
pub(crate) fn empty() -> Storage {
    // SAFETY: a sockaddr_storage is integers only; all zeroes is AF_UNSPEC.
    unsafe { std::mem::zeroed() }
}

/// Reads an address; `None` for a family other than IPv4 and IPv6.
pub(crate) fn read(storage: &Storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the storage is larger than a sockaddr_in, suitably aligned, and says it holds one.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the storage is larger than a sockaddr_in6, suitably aligned, and says it holds one.
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            // The flow label is left out: it is not part of who the peer is, and two values with different
            // labels would not compare equal.
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Writes an address; returns its length.
pub(crate) fn write(address: SocketAddr, storage: &mut Storage) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            let value = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from(*v4.ip()).to_be(),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is larger than a sockaddr_in and suitably aligned.
            unsafe { (&raw mut *storage).cast::<libc::sockaddr_in>().write(value) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(v6) => {
            let value = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: the storage is larger than a sockaddr_in6 and suitably aligned.
            unsafe { (&raw mut *storage).cast::<libc::sockaddr_in6>().write(value) };
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_way_through_the_kernels_form() {
        for text in ["192.0.2.7:5060", "[2001:db8::1]:5061", "[fe80::1%3]:9"] {
            let address: SocketAddr = text.parse().expect("an address");
            let mut storage = empty();
            write(address, &mut storage);
            assert_eq!(read(&storage), Some(address));
        }
    }

    #[test]
    fn an_unknown_family_is_no_address() {
        assert_eq!(read(&empty()), None);
    }
}
