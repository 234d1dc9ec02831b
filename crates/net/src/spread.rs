//! Which of the sockets that share an address a datagram comes to (SO_ATTACH_REUSEPORT_CBPF).
//!
//! Left alone, the kernel chooses by addresses and ports, so that all that a trunk sends is read by one shard. The filter
//! chooses by a few words of the text besides, so that the calls of one peer spread over all shards: of a request, by those
//! of its Request-URI; of a response, by those of its second line, where the branch of the topmost Via usually is. What
//! belongs together and may come at once (180 and 200, ACK and BYE) has the same words, and stays in order.
//!
//! Whose a message is is decided by who reads it, so it does not matter what the filter takes a text for.
#![expect(unsafe_code, reason = "setsockopt with a filter")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::sock_filter;

use crate::socket_option::Family;

/// What lets the kernel choose by addresses and ports: no socket has this number.
const KERNELS_CHOICE: u32 = u32::MAX;

/// Shorter datagrams are left to the kernel, such as keep-alives: the filter reads no further than this.
const SHORTEST: u32 = 136;

/// Where the space behind a method may be.
const METHOD_ENDS: std::ops::RangeInclusive<u32> = 3..=9;

/// Where the first line of a response may end.
const STATUS_LINE_ENDS: std::ops::RangeInclusive<u32> = 12..=52;

/// Bytes of a request between the space and the words: the scheme.
const BEFORE_URI: u32 = 4;

/// Bytes of a response's second line before the words: its name, the transport, a host, and what all branches begin with.
const BEFORE_BRANCH: u32 = 52;

/// How many words of four bytes are looked at.
const WORDS: u32 = 6;

/// Spreads the datagrams of a group of `count` sockets over them.
pub(crate) fn spread(fd: BorrowedFd<'_>, family: Family, count: u16) -> io::Result<()> {
    let mut filter = filter(family, count);
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: `program` is valid for reads of its size, and names the filter, which lives as long as the call takes.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The filter. Its memory 0 is the hash so far, 1 is where the words begin.
fn filter(family: Family, count: u16) -> Vec<sock_filter> {
    let words = words(count);
    let fallback = || ret(KERNELS_CHOICE);
    let mut response = Vec::new();
    scan(&mut response, STATUS_LINE_ENDS, b'\n', BEFORE_BRANCH, 1);
    response.push(fallback());
    let mut request = Vec::new();
    scan(&mut request, METHOD_ENDS, b' ', BEFORE_URI, 1 + response.len());
    request.push(fallback());
    let mut all = sender(family);
    all.extend([
        plain(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0),
        jump(libc::BPF_JGE, SHORTEST, 1, 0),
        fallback(),
        plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump(libc::BPF_JEQ, u32::from_be_bytes(*b"SIP/"), request.len(), 0),
    ]);
    all.extend(request);
    all.extend(response);
    all.extend(words);
    all
}

/// Begins the hash with the end of the sender's address and its port, so that phones with the same words spread as well.
fn sender(family: Family) -> Vec<sock_filter> {
    let (address, port) = match family {
        Family::V4 => (12, 20),
        Family::V6 => (20, 40),
    };
    let at = |offset: i32| (libc::SKF_NET_OFF + offset) as u32;
    let mut all = vec![
        plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at(address)),
        plain(libc::BPF_ST, 0),
        plain(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, at(port)),
    ];
    mix(&mut all);
    all
}

/// Looks for a byte at these places. Where it is found, X is set to so many bytes behind it, and the program goes on `after`
/// instructions behind these ones.
fn scan(
    all: &mut Vec<sock_filter>,
    places: std::ops::RangeInclusive<u32>,
    byte: u8,
    behind: u32,
    after: usize,
) {
    let last = *places.end();
    for place in places {
        let left = 3 * (last - place) as usize;
        all.extend([
            plain(libc::BPF_LDX | libc::BPF_IMM, place + 1 + behind),
            plain(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, place),
            jump(libc::BPF_JEQ, byte.into(), left + after, 0),
        ]);
    }
}

/// Adds the words from X on to the hash, and returns the socket.
fn words(count: u16) -> Vec<sock_filter> {
    let mut all = vec![plain(libc::BPF_STX, 1)];
    for word in 0..WORDS {
        all.push(plain(libc::BPF_LD | libc::BPF_W | libc::BPF_IND, 4 * word));
        mix(&mut all);
        all.push(plain(libc::BPF_LDX | libc::BPF_MEM, 1));
    }
    all.extend([
        plain(libc::BPF_LD | libc::BPF_MEM, 0),
        plain(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 16),
        plain(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count.max(1).into()),
        plain(libc::BPF_RET | libc::BPF_A, 0),
    ]);
    all
}

/// Adds A to the hash.
fn mix(all: &mut Vec<sock_filter>) {
    all.extend([
        plain(libc::BPF_LDX | libc::BPF_MEM, 0),
        plain(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0),
        plain(libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K, 0x9e37_79b1),
        plain(libc::BPF_ST, 0),
        // The high bits, which are the good ones, come down for the next round.
        plain(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 15),
        plain(libc::BPF_LDX | libc::BPF_MEM, 0),
        plain(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0),
        plain(libc::BPF_ST, 0),
    ]);
}

fn ret(value: u32) -> sock_filter {
    plain(libc::BPF_RET | libc::BPF_K, value)
}

fn plain(code: u32, k: u32) -> sock_filter {
    instruction(code, k, 0, 0)
}

/// Goes on so many instructions further if A compares so with `k`, else so many.
fn jump(comparison: u32, k: u32, so: usize, otherwise: usize) -> sock_filter {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, k, so, otherwise)
}

fn instruction(code: u32, k: u32, jt: usize, jf: usize) -> sock_filter {
    debug_assert!(jt < 256 && jf < 256);
    sock_filter {
        code: code as u16,
        jt: jt as u8,
        jf: jf as u8,
        k,
    }
}
