//! Which of the sockets that share an address a datagram comes to (SO_ATTACH_REUSEPORT_CBPF).
//!
//! Left alone, the kernel chooses by addresses and ports, so that all that a trunk sends is read by one shard. The filter
//! chooses by a few words of the text besides, so that the calls of one peer spread over all shards: of a request, by those
//! of its Request-URI. A response is for the shard that the branch of its topmost Via names, which is ours, usually on the
//! second line, so it needs no hop; where no such branch is found, words of that line are taken. What belongs together and
//! may come at once (180 and 200, ACK and BYE) has the same words, and stays in order.
//!
//! Whose a message is is decided by who reads it, so it does not matter what the filter takes a text for.
#![expect(unsafe_code, reason = "setsockopt with a filter")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::sock_filter;
use strowger_sip::transport::branch::BEFORE_SHARD;

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

/// Where the branch of a response may begin in its second line: behind an address with a port, or a short name.
const BRANCH_BEGINS: std::ops::RangeInclusive<u32> = 28..=60;

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

/// Memory of the filter: the hash so far, where something begins that is read on from there, where the second line does,
/// and two for numbers.
const HASH: u32 = 0;
const PLACE: u32 = 1;
const LINE: u32 = 2;
const NUMBER: u32 = 3;
const DIGIT: u32 = 4;

fn filter(family: Family, count: u16) -> Vec<sock_filter> {
    let fallback = || ret(KERNELS_CHOICE);
    let mut request = Vec::new();
    scan(&mut request, METHOD_ENDS, b' ', BEFORE_URI);
    request.push(fallback());
    let mut response = Vec::new();
    scan(&mut response, STATUS_LINE_ENDS, b'\n', 0);
    response.push(fallback());
    aim(&mut response, count);
    response.push(go_on(request.len()));
    let mut all = sender(family);
    all.extend([
        plain(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0),
        jump(libc::BPF_JGE, SHORTEST, 1, 0),
        fallback(),
        plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump(libc::BPF_JEQ, u32::from_be_bytes(*b"SIP/"), 1, 0),
        go_on(response.len()),
    ]);
    all.extend(response);
    all.extend(request);
    all.extend(words(count));
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
        plain(libc::BPF_ST, HASH),
        plain(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, at(port)),
    ];
    mix(&mut all);
    all
}

/// Looks for a byte at these places. Where it is found, X is set to so many bytes behind it, and the instruction that follows
/// is left out.
fn scan(all: &mut Vec<sock_filter>, places: std::ops::RangeInclusive<u32>, byte: u8, behind: u32) {
    let last = *places.end();
    for place in places {
        let left = 3 * (last - place) as usize;
        all.extend([
            plain(libc::BPF_LDX | libc::BPF_IMM, place + 1 + behind),
            plain(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, place),
            jump(libc::BPF_JEQ, byte.into(), left + 1, 0),
        ]);
    }
}

/// Returns the socket of the shard that one of our branches names in the line that begins at X. Without one, X is set to
/// the words instead.
fn aim(all: &mut Vec<sock_filter>, count: u16) {
    let [begin, end] = [0, 4].map(|at| {
        let word: [u8; 4] = std::array::from_fn(|byte| BEFORE_SHARD[at + byte]);
        u32::from_be_bytes(word)
    });
    let behind = BEFORE_SHARD.len() as u32;
    // From here on, PLACE is where the branch begins.
    let mut named = vec![
        plain(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X, 0),
        plain(libc::BPF_ST, PLACE),
        plain(libc::BPF_MISC | libc::BPF_TAX, 0),
    ];
    let mut number = Vec::new();
    digit(&mut number, behind + 2);
    number.extend([
        plain(libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K, 4),
        plain(libc::BPF_ST, NUMBER),
    ]);
    digit(&mut number, behind + 3);
    number.extend([
        plain(libc::BPF_LDX | libc::BPF_MEM, NUMBER),
        plain(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X, 0),
    ]);
    let left = number.len() + 2;
    named.extend([
        plain(libc::BPF_LD | libc::BPF_W | libc::BPF_IND, 4),
        jump(libc::BPF_JEQ, end, 0, left + 2),
        // More than two digits are for more shards than there are.
        plain(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, behind),
        jump(libc::BPF_JEQ, u16::from_be_bytes(*b"00").into(), 0, left),
    ]);
    named.extend(number);
    named.extend([
        jump(libc::BPF_JGE, count.into(), 1, 0),
        plain(libc::BPF_RET | libc::BPF_A, 0),
    ]);

    all.push(plain(libc::BPF_STX, LINE));
    let last = *BRANCH_BEGINS.end();
    for place in BRANCH_BEGINS {
        all.extend([
            plain(libc::BPF_LD | libc::BPF_W | libc::BPF_IND, place),
            jump(libc::BPF_JEQ, begin, 0, 2),
            plain(libc::BPF_LD | libc::BPF_IMM, place),
            go_on(4 * (last - place) as usize + 1),
        ]);
    }
    all.push(go_on(named.len()));
    all.extend(named);
    all.extend([
        plain(libc::BPF_LD | libc::BPF_MEM, LINE),
        plain(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K, BEFORE_BRANCH),
        plain(libc::BPF_MISC | libc::BPF_TAX, 0),
    ]);
}

/// Reads a hexadecimal digit so far behind PLACE.
fn digit(all: &mut Vec<sock_filter>, at: u32) {
    all.extend([
        plain(libc::BPF_LDX | libc::BPF_MEM, PLACE),
        plain(libc::BPF_LD | libc::BPF_B | libc::BPF_IND, at),
        plain(libc::BPF_MISC | libc::BPF_TAX, 0),
        plain(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 15),
        plain(libc::BPF_ST, DIGIT),
        plain(libc::BPF_MISC | libc::BPF_TXA, 0),
        // 1 for a letter, 0 for a decimal digit.
        plain(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 6),
        plain(libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K, 9),
        plain(libc::BPF_LDX | libc::BPF_MEM, DIGIT),
        plain(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X, 0),
    ]);
}

/// Adds the words from X on to the hash, and returns the socket.
fn words(count: u16) -> Vec<sock_filter> {
    let mut all = vec![plain(libc::BPF_STX, PLACE)];
    for word in 0..WORDS {
        all.push(plain(libc::BPF_LD | libc::BPF_W | libc::BPF_IND, 4 * word));
        mix(&mut all);
        all.push(plain(libc::BPF_LDX | libc::BPF_MEM, PLACE));
    }
    all.extend([
        plain(libc::BPF_LD | libc::BPF_MEM, HASH),
        plain(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 16),
        plain(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count.max(1).into()),
        plain(libc::BPF_RET | libc::BPF_A, 0),
    ]);
    all
}

/// Adds A to the hash.
fn mix(all: &mut Vec<sock_filter>) {
    all.extend([
        plain(libc::BPF_LDX | libc::BPF_MEM, HASH),
        plain(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0),
        plain(libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K, 0x9e37_79b1),
        plain(libc::BPF_ST, HASH),
        // The high bits, which are the good ones, come down for the next round.
        plain(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 15),
        plain(libc::BPF_LDX | libc::BPF_MEM, HASH),
        plain(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0),
        plain(libc::BPF_ST, HASH),
    ]);
}

fn ret(value: u32) -> sock_filter {
    plain(libc::BPF_RET | libc::BPF_K, value)
}

fn plain(code: u32, k: u32) -> sock_filter {
    instruction(code, k, 0, 0)
}

/// Goes on so many instructions further.
fn go_on(so: usize) -> sock_filter {
    plain(libc::BPF_JMP | libc::BPF_JA, so as u32)
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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};

    use super::*;

    const COUNT: u16 = 20;

    /// Sockets that share an address.
    fn group() -> Vec<UdpSocket> {
        let mut sockets: Vec<UdpSocket> = Vec::new();
        for _ in 0..COUNT {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
            socket.set_reuse_port(true).expect("shared");
            let port = sockets
                .first()
                .map_or(0, |s| s.local_addr().expect("bound").port());
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            socket.bind(&address.into()).expect("bound");
            sockets.push(socket.into());
        }
        spread(sockets[0].as_fd(), Family::V4, COUNT).expect("taken");
        sockets
    }

    /// Which of them a text comes to.
    fn taker(sockets: &[UdpSocket], text: &str) -> usize {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let to = sockets[0].local_addr().expect("bound");
        peer.send_to(text.as_bytes(), to).expect("sent");
        for _ in 0..2000 {
            for (number, socket) in sockets.iter().enumerate() {
                socket.set_nonblocking(true).expect("set");
                if socket.recv(&mut [0; 2000]).is_ok() {
                    return number;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("nobody got it");
    }

    fn response(status: &str, via: &str) -> String {
        format!(
            "SIP/2.0 {status}\r\n{via}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds\r\n\
             From: <sip:alice@example.com>;tag=1928301774\r\nTo: <sip:bob@example.com>;tag=314159\r\n\r\n"
        )
    }

    #[test]
    fn a_response_comes_to_the_shard_that_its_branch_names() {
        let sockets = group();
        let vias = [
            "Via: SIP/2.0/UDP 1.2.3.4;branch=",
            "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=",
            "Via: SIP/2.0/UDP 255.255.255.255:65535;rport;branch=",
            "Via:SIP/2.0/UDP 127.0.0.1:5060;branch=",
            "v: SIP/2.0/UDP sip.example.com;branch=",
        ];
        for via in vias {
            for shard in [0, 1, 9, 10, 15, 16, 19] {
                for status in ["100 Trying", "200 OK", "480 Temporarily Unavailable"] {
                    let text = response(status, &format!("{via}z9hG4bKt{shard:04x}000000000000"));
                    assert_eq!(taker(&sockets, &text), shard, "{text}");
                }
            }
        }
    }

    #[test]
    fn what_names_no_shard_is_spread_by_its_words() {
        let sockets = group();
        let branches = [
            "z9hG4bKt0014",
            "z9hG4bKtffff",
            "z9hG4bKs0003",
            "z9hG4bK-0003",
            "0003",
        ];
        for branch in branches {
            let takers: std::collections::HashSet<usize> = (0..16)
                .map(|call| {
                    let via = format!(
                        "Via: SIP/2.0/UDP 127.0.0.1:5060;branch={branch}{:016x}",
                        call * 7919
                    );
                    taker(&sockets, &response("200 OK", &via))
                })
                .collect();
            assert!(takers.len() > 4, "{branch}: {takers:?}");
        }
    }
}
