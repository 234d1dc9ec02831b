//! Socket options that std and socket2 have no word for.
#![expect(unsafe_code, reason = "setsockopt and getsockopt")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::c_int;

/// Which of the two buffers of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buffer {
    Receive,
    Send,
}

/// Which family a socket is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Sizes a buffer, beyond the system's limit if we may. Returns the bytes granted, in the measure of the request
/// (the kernel doubles it for its own needs and reports the double).
pub(crate) fn size_buffer(fd: BorrowedFd<'_>, buffer: Buffer, size: usize) -> io::Result<usize> {
    let (force, plain) = match buffer {
        Buffer::Receive => (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        Buffer::Send => (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    };
    let size = c_int::try_from(size).unwrap_or(c_int::MAX / 2);
    if set(fd, libc::SOL_SOCKET, force, size).is_err() {
        set(fd, libc::SOL_SOCKET, plain, size)?;
    }
    Ok(usize::try_from(get(fd, libc::SOL_SOCKET, plain)?).unwrap_or(0) / 2)
}

/// Asks for each datagram's destination address (IP_PKTINFO, IPV6_RECVPKTINFO).
pub(crate) fn receive_destination(fd: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        Family::V6 => set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
    }
}

/// Asks for ICMP errors on the error queue (IP_RECVERR, IPV6_RECVERR).
pub(crate) fn receive_errors(fd: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1),
        Family::V6 => set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1),
    }
}

/// Lets large datagrams be fragmented on their way instead of being lost to path MTU discovery.
pub(crate) fn allow_fragments(fd: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set(
            fd,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_DONT,
        ),
        Family::V6 => set(
            fd,
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_DONT,
        ),
    }
}

/// Asks for the count of datagrams that the kernel dropped (SO_RXQ_OVFL).
pub(crate) fn receive_drops(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// Whether the kernel can send several datagrams as segments of one message (UDP_SEGMENT). One that cannot would send
/// them as a single long one.
pub(crate) fn knows_segments(fd: BorrowedFd<'_>) -> bool {
    get(fd, libc::SOL_UDP, libc::UDP_SEGMENT).is_ok()
}

/// Leaves the checksum out (SO_NO_CHECK).
#[cfg(test)]
pub(crate) fn omit_checksum(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)
}

fn set(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: `value` is valid for reads of the size that is given.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn get(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` is valid for writes of the size that is given.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    if result == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}
