//! Both clocks, read once per turn.
#![expect(unsafe_code, reason = "clock_gettime")]

use strowger_sip::Now;

/// Reads both clocks. The monotonic one is CLOCK_MONOTONIC, the same for all threads.
pub fn now() -> Now {
    let mono = read(libc::CLOCK_MONOTONIC);
    let wall = read(libc::CLOCK_REALTIME);
    Now {
        mono_ns: seconds(&mono) * 1_000_000_000 + nanoseconds(&mono),
        wall_ms: seconds(&wall) * 1000 + nanoseconds(&wall) / 1_000_000,
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn mono_ns() -> u64 {
    let mono = read(libc::CLOCK_MONOTONIC);
    seconds(&mono) * 1_000_000_000 + nanoseconds(&mono)
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for the write; both clocks exist on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time
}

fn seconds(time: &libc::timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0)
}

fn nanoseconds(time: &libc::timespec) -> u64 {
    u64::try_from(time.tv_nsec).unwrap_or(0)
}
