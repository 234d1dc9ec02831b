//! Ports that nobody uses.

use std::fs::File;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that the kernel picks from for outgoing connections.
const FIRST: u16 = 11_000;
const COUNT: u16 = 20_000;

/// How many test processes at the same time have ports of their own.
const PARTS: u16 = 20;

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
    // The lock ends with the process, however that ends.
    let claim = |part: &u16| {
        let path = std::env::temp_dir().join(format!("strowger-test-ports-{part}"));
        let file = File::create(path).ok()?;
        file.try_lock().ok()?;
        Some(file)
    };
    let part = (0..PARTS).find_map(|part| Some((part, claim(&part)?)));
    let Some((part, file)) = part else {
        panic!("{PARTS} processes of tests run already");
    };
    std::mem::forget(file);
    let ports = COUNT / PARTS;
    (FIRST + part * ports, ports)
});
