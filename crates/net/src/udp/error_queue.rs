//! ICMP errors about datagrams that were sent (IP_RECVERR).
#![expect(unsafe_code, reason = "recvmsg with MSG_ERRQUEUE")]

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use strowger_sip::Failure;

use super::mmsg::{copy_out, each_control};
use crate::address::{self, STORAGE_LEN};

/// One error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IcmpError {
    /// Where the datagram was sent to.
    pub(super) remote: SocketAddr,
    /// What the error means; `None` when it is none of the peer's or the route's.
    pub(super) failure: Option<Failure>,
    /// How many bytes of the datagram it quotes.
    pub(super) quoted: usize,
}

/// Takes one error from a socket's queue, with the quoted bytes in `buffer`. `Ok(None)` when it is one without an
/// address.
///
/// # Errors
/// `WouldBlock` when the queue is empty.
pub(super) fn take(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<IcmpError>> {
    let mut name = address::empty();
    let mut control = [0u64; 64];
    let mut iovec = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: integers and pointers; what matters is set below.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = STORAGE_LEN;
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the header points at buffers on this stack and at `buffer`, with their true lengths.
    let result = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) };
    let quoted = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
    let mut failure = None;
    each_control(&header, |level, kind, data| {
        let is_error = matches!(
            (level, kind),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        );
        if is_error && let Some(error) = copy_out::<libc::sock_extended_err>(data) {
            failure = meaning(&error);
        }
    });
    Ok(address::read(&name).map(|remote| IcmpError {
        remote,
        failure,
        quoted,
    }))
}

fn meaning(error: &libc::sock_extended_err) -> Option<Failure> {
    if error.ee_origin != libc::SO_EE_ORIGIN_ICMP && error.ee_origin != libc::SO_EE_ORIGIN_ICMP6 {
        return None;
    }
    match i32::try_from(error.ee_errno).unwrap_or(0) {
        libc::ECONNREFUSED => Some(Failure::Refused),
        // A router asks for smaller fragments: the kernel makes them, and the retransmission gets through.
        libc::EMSGSIZE => None,
        _ => Some(Failure::Unreachable),
    }
}
