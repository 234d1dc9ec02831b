//! Many datagrams per system call: recvmmsg and sendmmsg over arrays that are laid out once and used again. The calls
//! are made as such, because the C library's functions for them are cancellation points, which costs more than all
//! that is written into a header here.
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
pub(super) const SEND_BATCH: usize = 256;

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

/// What a header points at beside the bytes of its datagram.
#[derive(Clone)]
struct Slot {
    name: Storage,
    control: Control,
}

impl Slot {
    fn row<const N: usize>() -> Box<[Self; N]> {
        let empty = Self {
            name: address::empty(),
            control: Control([0; CONTROL_LEN]),
        };
        Box::new(std::array::from_fn(|_| empty.clone()))
    }
}

/// A datagram that was received.
pub(super) struct Received<'a> {
    /// Its bytes. The packet may be taken away by leaving another one.
    pub(super) packet: &'a mut Box<Packet>,
    /// Who sent it; `None` when it is of no family that we know.
    pub(super) remote: Option<SocketAddr>,
    /// What the kernel says about it.
    pub(super) ancillary: Ancillary,
    /// Whether it was longer than its buffer.
    pub(super) is_truncated: bool,
}

/// The arrays of a recvmmsg call and the packets that datagrams land in. The arrays point at each other and at the
/// packets' buffers.
pub(super) struct ReceiveBatch {
    packets: [Box<Packet>; RECEIVE_BATCH],
    headers: Box<[libc::mmsghdr; RECEIVE_BATCH]>,
    iovecs: Box<[libc::iovec; RECEIVE_BATCH]>,
    slots: Box<[Slot; RECEIVE_BATCH]>,
    /// How many packets the last call filled: those have to be laid out again.
    used: usize,
}

impl ReceiveBatch {
    pub(super) fn new(packets: [Box<Packet>; RECEIVE_BATCH]) -> Self {
        Self {
            packets,
            headers: Box::new([empty_header(); RECEIVE_BATCH]),
            iovecs: Box::new([EMPTY_IOVEC; RECEIVE_BATCH]),
            slots: Slot::row(),
            used: RECEIVE_BATCH,
        }
    }

    /// Receives up to a batch of datagrams and gives each to `deliver`; returns how many.
    pub(super) fn receive(
        &mut self,
        fd: BorrowedFd<'_>,
        mut deliver: impl FnMut(Received<'_>),
    ) -> io::Result<usize> {
        let iovecs = self.iovecs.iter_mut();
        let packets = self.packets[..self.used].iter_mut();
        let headers = self.headers.iter_mut().zip(self.slots.iter_mut());
        for (((header, slot), iovec), packet) in headers.zip(iovecs).zip(packets) {
            lay_out_for_receiving(&mut header.msg_hdr, slot, iovec, packet);
        }
        self.used = 0;
        // SAFETY: every header points at an address, a control buffer and an iovec of this value, and every iovec at
        // the whole capacity of a packet's buffer: those of filled packets have been laid out again above, the others
        // are as they were, because only filled ones are lent out. All outlive the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_recvmmsg,
                fd.as_raw_fd(),
                self.headers.as_mut_ptr(),
                RECEIVE_BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut::<libc::timespec>(),
            )
        };
        let count = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        self.used = count;
        let headers = self.headers.iter_mut().zip(self.slots.iter_mut());
        for ((header, slot), packet) in headers.zip(&mut self.packets[..count]) {
            let len = (header.msg_len as usize).min(DATAGRAM_MAX);
            // SAFETY: the kernel has written that many bytes, and the capacity is DATAGRAM_MAX or more.
            unsafe { packet.data.set_len(len) };
            deliver(Received {
                packet,
                remote: address::read(&slot.name),
                ancillary: ancillary(&header.msg_hdr),
                is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            });
        }
        Ok(count)
    }
}

fn lay_out_for_receiving(
    header: &mut libc::msghdr,
    slot: &mut Slot,
    iovec: &mut libc::iovec,
    packet: &mut Packet,
) {
    packet.data.clear();
    packet.data.reserve(DATAGRAM_MAX);
    *iovec = libc::iovec {
        iov_base: packet.data.as_mut_ptr().cast(),
        iov_len: DATAGRAM_MAX,
    };
    header.msg_name = (&raw mut slot.name).cast();
    header.msg_namelen = STORAGE_LEN;
    header.msg_iov = iovec;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut slot.control.0).cast();
    header.msg_controllen = CONTROL_LEN as _;
    header.msg_flags = 0;
}

fn ancillary(header: &libc::msghdr) -> Ancillary {
    let mut ancillary = Ancillary::default();
    each_control(header, |level, kind, data| match (level, kind) {
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
    });
    ancillary
}

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    /// The peer.
    pub(super) to: &'a SocketAddr,
    /// The address to send from; `None` lets the kernel choose.
    pub(super) from: Option<IpAddr>,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
    /// Whether it follows the one before as a segment of the same message: peer and source are the same, and all
    /// segments but the last have the length of the first (UDP_SEGMENT).
    pub(super) follows: bool,
}

/// What the kernel took of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// How many datagrams, the first ones.
    pub(super) count: usize,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// Why a batch was not sent.
#[derive(Debug)]
pub(super) struct NotSent {
    /// What the kernel says. It concerns the first message, or comes from an ICMP error about an earlier one.
    pub(super) error: io::Error,
    /// How many datagrams the first message has as its segments.
    pub(super) segments: usize,
}

/// The arrays of a sendmmsg call. A header has as many iovecs, one after the other, as its message has segments.
pub(super) struct SendBatch {
    headers: Box<[libc::mmsghdr; SEND_BATCH]>,
    iovecs: Box<[libc::iovec; SEND_BATCH]>,
    slots: Box<[Slot; SEND_BATCH]>,
}

impl SendBatch {
    pub(super) fn new() -> Self {
        Self {
            headers: Box::new([empty_header(); SEND_BATCH]),
            iovecs: Box::new([EMPTY_IOVEC; SEND_BATCH]),
            slots: Slot::row(),
        }
    }

    /// Sends the first of the datagrams, a batch at most; returns what the kernel took.
    pub(super) fn send<'a>(
        &mut self,
        fd: BorrowedFd<'_>,
        datagrams: impl Iterator<Item = Datagram<'a>>,
    ) -> Result<Sent, NotSent> {
        let count = self.lay_out(datagrams);
        // SAFETY: the first `count` headers point at addresses, control messages and iovecs of this value, and their
        // iovecs at slices that outlive this call ('a). The kernel only reads what they point at.
        let result = unsafe {
            libc::syscall(
                libc::SYS_sendmmsg,
                fd.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        let taken = usize::try_from(result).map_err(|_| NotSent {
            error: io::Error::last_os_error(),
            segments: self.headers[0].msg_hdr.msg_iovlen as _,
        })?;
        let mut sent = Sent { count: 0, bytes: 0 };
        for header in self.headers.iter().take(taken) {
            let segments: usize = header.msg_hdr.msg_iovlen as _;
            sent.count += segments;
            sent.bytes += u64::from(header.msg_len);
        }
        Ok(sent)
    }

    /// Fills the arrays; returns how many headers there are.
    fn lay_out<'a>(&mut self, datagrams: impl Iterator<Item = Datagram<'a>>) -> usize {
        let (mut count, mut size) = (0, 0);
        // A header's pointer is one into the whole array, because the kernel reads several of its iovecs by it.
        let iovecs = self.iovecs.as_mut_ptr();
        for (position, datagram) in (0..SEND_BATCH).zip(datagrams) {
            // SAFETY: the position is one of the array's.
            let iovec = unsafe { iovecs.add(position) };
            let bytes = libc::iovec {
                iov_base: datagram.bytes.as_ptr().cast_mut().cast(),
                iov_len: datagram.bytes.len(),
            };
            // SAFETY: as above, and nothing else refers to the array.
            unsafe { iovec.write(bytes) };
            if count > 0 && datagram.follows {
                let header = &mut self.headers[count - 1].msg_hdr;
                if header.msg_iovlen == 1 {
                    write_control(header, libc::SOL_UDP, libc::UDP_SEGMENT, size);
                }
                header.msg_iovlen += 1;
            } else {
                let header = &mut self.headers[count].msg_hdr;
                lay_out_for_sending(header, &mut self.slots[count], iovec, datagram);
                size = datagram.bytes.len() as u16;
                count += 1;
            }
        }
        count
    }
}

fn lay_out_for_sending(
    header: &mut libc::msghdr,
    slot: &mut Slot,
    iovec: *mut libc::iovec,
    datagram: Datagram<'_>,
) {
    header.msg_namelen = address::write(*datagram.to, &mut slot.name);
    header.msg_name = (&raw mut slot.name).cast();
    header.msg_iov = iovec;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut slot.control.0).cast();
    header.msg_controllen = 0;
    if let Some(from) = datagram.from {
        write_source(header, from);
    }
}

/// Writes the control message that names the source address.
fn write_source(header: &mut libc::msghdr, from: IpAddr) {
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

/// Writes one control message behind those that the header has.
fn write_control<T: Copy>(header: &mut libc::msghdr, level: libc::c_int, kind: libc::c_int, value: T) {
    // Two of them at most: the source and the length of segments.
    const { assert!(2 * (size_of::<T>() + 2 * size_of::<libc::cmsghdr>()) <= CONTROL_LEN) };
    let size = size_of::<T>() as libc::c_uint;
    let used: usize = header.msg_controllen as _;
    // SAFETY: the control buffer is CONTROL_LEN long and aligned for a cmsghdr; what is in it ends at a multiple of
    // that alignment, and the value fits behind one more cmsghdr.
    unsafe {
        let control = header.msg_control.cast::<u8>().add(used).cast::<libc::cmsghdr>();
        (*control).cmsg_level = level;
        (*control).cmsg_type = kind;
        (*control).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(control).cast::<T>().write_unaligned(value);
        header.msg_controllen = (used + libc::CMSG_SPACE(size) as usize) as _;
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

const EMPTY_IOVEC: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

fn empty_header() -> libc::mmsghdr {
    // SAFETY: integers and pointers; null pointers with zero lengths point at nothing.
    unsafe { mem::zeroed() }
}
