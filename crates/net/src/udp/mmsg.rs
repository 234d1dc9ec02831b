//! Many datagrams per system call: recvmmsg and sendmmsg over arrays that are laid out once and used again.
#![expect(unsafe_code, reason = "recvmmsg, sendmmsg and control messages")]

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use crate::address::{self, STORAGE_LEN, Storage};
use crate::packet::{DATAGRAM_MAX, Packet};

/// Datagrams received by one system call at most.
pub(super) const RECEIVE_BATCH: usize = 32;

/// Datagrams sent by one system call at most.
pub(super) const SEND_BATCH: usize = 64;

const CONTROL_LEN: usize = 128;

/// Room for control messages, aligned as their headers need it.
#[derive(Clone)]
#[repr(align(8))]
struct Control([u8; CONTROL_LEN]);

/// What the kernel says about a datagram beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ancillary {
    /// Our address that it was sent to.
    pub(super) local: Option<IpAddr>,
    /// Datagrams that the socket has dropped since it was made, modulo 2^32.
    pub(super) drops: Option<u32>,
}

/// The arrays of a recvmmsg call and the packets that datagrams land in. The arrays point at each other and at the
/// packets' buffers.
pub(super) struct ReceiveBatch {
    packets: [Box<Packet>; RECEIVE_BATCH],
    headers: Box<[libc::mmsghdr]>,
    iovecs: Box<[libc::iovec]>,
    names: Box<[Storage]>,
    controls: Box<[Control]>,
    /// How many packets the last call filled: those have to be laid out again.
    used: usize,
}

impl ReceiveBatch {
    pub(super) fn new(packets: [Box<Packet>; RECEIVE_BATCH]) -> Self {
        Self {
            packets,
            headers: vec![empty_header(); RECEIVE_BATCH].into(),
            iovecs: vec![empty_iovec(); RECEIVE_BATCH].into(),
            names: vec![address::empty(); RECEIVE_BATCH].into(),
            controls: vec![Control([0; CONTROL_LEN]); RECEIVE_BATCH].into(),
            used: RECEIVE_BATCH,
        }
    }

    /// Receives up to a batch of datagrams; returns how many. What the last call received is gone.
    pub(super) fn receive(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        for position in 0..self.used {
            self.lay_out(position);
        }
        self.used = 0;
        // SAFETY: every header points at an address, a control buffer and an iovec of this value, and every iovec at
        // the whole capacity of a packet's buffer: `lay_out` has written those that were filled, and the others are
        // as they were, because `packet` gives access to filled ones only. All outlive the call.
        let result = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                self.headers.as_mut_ptr(),
                RECEIVE_BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        self.used = count;
        for (header, packet) in self.headers[..count].iter().zip(&mut self.packets) {
            let len = (header.msg_len as usize).min(DATAGRAM_MAX);
            // SAFETY: the kernel has written that many bytes, and the capacity is DATAGRAM_MAX or more.
            unsafe { packet.data.set_len(len) };
        }
        Ok(count)
    }

    /// A packet that the last call filled. It may be taken away by leaving another one.
    pub(super) fn packet(&mut self, position: usize) -> &mut Box<Packet> {
        &mut self.packets[..self.used][position]
    }

    fn lay_out(&mut self, position: usize) {
        let packet = &mut self.packets[position];
        packet.data.clear();
        packet.data.reserve(DATAGRAM_MAX);
        self.iovecs[position] = libc::iovec {
            iov_base: packet.data.as_mut_ptr().cast(),
            iov_len: DATAGRAM_MAX,
        };
        let header = &mut self.headers[position].msg_hdr;
        header.msg_name = (&raw mut self.names[position]).cast();
        header.msg_namelen = STORAGE_LEN;
        header.msg_iov = &raw mut self.iovecs[position];
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut self.controls[position].0).cast();
        header.msg_controllen = CONTROL_LEN as _;
        header.msg_flags = 0;
    }

    /// Who sent a datagram of the last call.
    pub(super) fn remote(&self, position: usize) -> Option<SocketAddr> {
        address::read(&self.names[position])
    }

    /// Whether a datagram of the last call was longer than its buffer.
    pub(super) fn is_truncated(&self, position: usize) -> bool {
        self.headers[position].msg_hdr.msg_flags & libc::MSG_TRUNC != 0
    }

    /// What the kernel said about a datagram of the last call.
    pub(super) fn ancillary(&self, position: usize) -> Ancillary {
        let mut ancillary = Ancillary::default();
        each_control(&self.headers[position].msg_hdr, |level, kind, data| {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    if let Some(info) = copy_out::<libc::in_pktinfo>(data) {
                        let ip = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                        ancillary.local = Some(ip.into());
                    }
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    if let Some(info) = copy_out::<libc::in6_pktinfo>(data) {
                        ancillary.local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    }
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => ancillary.drops = copy_out::<u32>(data),
                _ => {}
            }
        });
        ancillary
    }
}

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    /// The peer.
    pub(super) to: SocketAddr,
    /// The address to send from; `None` lets the kernel choose.
    pub(super) from: Option<IpAddr>,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
}

/// The arrays of a sendmmsg call.
pub(super) struct SendBatch {
    headers: Box<[libc::mmsghdr]>,
    iovecs: Box<[libc::iovec]>,
    names: Box<[Storage]>,
    controls: Box<[Control]>,
}

impl SendBatch {
    pub(super) fn new() -> Self {
        Self {
            headers: vec![empty_header(); SEND_BATCH].into(),
            iovecs: vec![empty_iovec(); SEND_BATCH].into(),
            names: vec![address::empty(); SEND_BATCH].into(),
            controls: vec![Control([0; CONTROL_LEN]); SEND_BATCH].into(),
        }
    }

    /// Sends the first of the datagrams, a batch at most; returns how many the kernel took. An error concerns the
    /// first one, or comes from an ICMP message about an earlier one.
    pub(super) fn send<'a>(
        &mut self,
        fd: BorrowedFd<'_>,
        datagrams: impl Iterator<Item = Datagram<'a>>,
    ) -> io::Result<usize> {
        let mut count = 0;
        for (position, datagram) in datagrams.take(SEND_BATCH).enumerate() {
            self.lay_out(position, &datagram);
            count = position + 1;
        }
        // SAFETY: the first `count` headers point at addresses, control messages and iovecs of this value, and their
        // iovecs at slices that outlive this call ('a). The kernel only reads what they point at.
        let result = unsafe {
            libc::sendmmsg(
                fd.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    fn lay_out(&mut self, position: usize, datagram: &Datagram<'_>) {
        self.iovecs[position] = libc::iovec {
            iov_base: datagram.bytes.as_ptr().cast_mut().cast(),
            iov_len: datagram.bytes.len(),
        };
        let name_len = address::write(datagram.to, &mut self.names[position]);
        let header = &mut self.headers[position].msg_hdr;
        header.msg_name = (&raw mut self.names[position]).cast();
        header.msg_namelen = name_len;
        header.msg_iov = &raw mut self.iovecs[position];
        header.msg_iovlen = 1;
        header.msg_control = ptr::null_mut();
        header.msg_controllen = 0;
        if let Some(from) = datagram.from {
            header.msg_control = (&raw mut self.controls[position].0).cast();
            header.msg_controllen = CONTROL_LEN as _;
            header.msg_controllen = write_source(header, from) as _;
        }
    }
}

/// Writes the control message that names the source address; returns its length.
fn write_source(header: &libc::msghdr, from: IpAddr) -> usize {
    match from {
        IpAddr::V4(ip) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from(ip).to_be(),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            write_control(header, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        IpAddr::V6(ip) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                ipi6_ifindex: 0,
            };
            write_control(header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    }
}

/// Writes one control message at the beginning of the header's control buffer; returns the length it takes.
fn write_control<T: Copy>(header: &libc::msghdr, level: libc::c_int, kind: libc::c_int, value: T) -> usize {
    const { assert!(size_of::<T>() + 2 * size_of::<libc::cmsghdr>() <= CONTROL_LEN) };
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: the control buffer is CONTROL_LEN long and aligned for a cmsghdr, and the value fits behind one.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(header);
        (*control).cmsg_level = level;
        (*control).cmsg_type = kind;
        (*control).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(control).cast::<T>().write_unaligned(value);
        libc::CMSG_SPACE(size) as usize
    }
}

/// Visits level, type and data of every control message of a header that the kernel has filled.
pub(super) fn each_control(header: &libc::msghdr, mut visit: impl FnMut(libc::c_int, libc::c_int, &[u8])) {
    // SAFETY: the kernel has set the length of the control buffer to what it wrote; the CMSG functions stay in it,
    // and cmsg_len covers a header and the data behind it.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while !control.is_null() {
            let data = libc::CMSG_DATA(control);
            let overhead = data.offset_from(control.cast()) as usize;
            let len = ((*control).cmsg_len as usize).saturating_sub(overhead);
            visit(
                (*control).cmsg_level,
                (*control).cmsg_type,
                std::slice::from_raw_parts(data, len),
            );
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
}

/// A value of plain integers that the kernel has written; `None` when there are too few bytes.
pub(super) fn copy_out<T: Plain>(data: &[u8]) -> Option<T> {
    // SAFETY: the bytes are there, and `Plain` types are valid for all of them.
    (data.len() >= size_of::<T>()).then(|| unsafe { data.as_ptr().cast::<T>().read_unaligned() })
}

/// Types for which all bytes are valid.
///
/// # Safety
/// Implement it for types of integers only.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for libc::in_pktinfo {}
// SAFETY: integers.
unsafe impl Plain for libc::in6_pktinfo {}
// SAFETY: integers.
unsafe impl Plain for libc::sock_extended_err {}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: integers and pointers; null pointers with zero lengths point at nothing.
    unsafe { mem::zeroed() }
}

fn empty_iovec() -> libc::iovec {
    libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    }
}
