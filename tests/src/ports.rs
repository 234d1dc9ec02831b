//! Ports that nobody uses.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that the kernel picks from for outgoing connections.
const FIRST: u16 = 11_000;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that is free for UDP and TCP on 127.0.0.1, and not given out before by this process.
pub fn free() -> u16 {
    free_at(IpAddr::from([127, 0, 0, 1]))
}

/// The same on another address.
pub fn free_at(address: IpAddr) -> u16 {
    // Test processes that run at the same time begin at different places.
    let start = (std::process::id() % 97) as u16 * 200;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        let free = UdpSocket::bind((address, port)).is_ok() && TcpListener::bind((address, port)).is_ok();
        if free {
            return port;
        }
    }
    panic!("no free port on {address}");
}

/// The first, an even one, of so many ports that are not given out otherwise: for RTP and RTCP.
pub fn media(count: u16) -> u16 {
    let start = (std::process::id() % 97) as u16 * 200;
    let step = NEXT.fetch_add(count + 1, Ordering::Relaxed);
    let first = FIRST + start.wrapping_add(step) % COUNT;
    first + first % 2
}
