//! Ports that nobody uses.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that the kernel picks from for outgoing connections.
const FIRST: u16 = 11_000;
const COUNT: u16 = 20_000;

/// The part of the ports that is this process's own, `N/M`: which, and of how many. Who runs several at a time says it.
const PART: &str = "STROWGER_TEST_PORTS";

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that is free for UDP and TCP on 127.0.0.1, and not given out before by this process.
pub fn free() -> u16 {
    free_at(IpAddr::from([127, 0, 0, 1]))
}

/// The same on another address.
pub fn free_at(address: IpAddr) -> u16 {
    for _ in 0..COUNT {
        let port = take(1);
        let free = UdpSocket::bind((address, port)).is_ok() && TcpListener::bind((address, port)).is_ok();
        if free {
            return port;
        }
    }
    panic!("no free port on {address}");
}

/// The first, an even one, of so many ports that are not given out otherwise: for RTP and RTCP.
pub fn media(count: u16) -> u16 {
    let first = take(count + 1);
    first + first % 2
}

/// The first of so many ports that this process has not used for the longest time.
fn take(count: u16) -> u16 {
    let (first, ports) = *RANGE;
    let step = NEXT.fetch_add(count, Ordering::Relaxed);
    first + step % (ports - count)
}

/// The first port of this process, and how many it has.
static RANGE: LazyLock<(u16, u16)> = LazyLock::new(|| {
    let part = std::env::var(PART).ok();
    let part = part.as_deref().and_then(|part| part.split_once('/'));
    let part = part.and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    // Nobody has said it: processes that run at the same time begin at different places.
    let (part, of) = part.unwrap_or_else(|| (std::process::id() % 20, 20));
    range(part, of)
});

fn range(part: u32, of: u32) -> (u16, u16) {
    let ports = COUNT / of as u16;
    (FIRST + part as u16 * ports, ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_overlap_and_end_before_the_kernels_own() {
        for part in 1..5 {
            let (before, ports) = range(part - 1, 5);
            assert_eq!(before + ports, range(part, 5).0);
        }
        let (last, ports) = range(4, 5);
        assert!(last + ports <= FIRST + COUNT);
    }
}
