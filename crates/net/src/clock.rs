//! Both clocks, read once per turn.
#![expect(
    unsafe_code,
    reason = "clock_gettime, adjtimex, nanosleep and the slack of timers"
)]

use std::ptr;

use strowger_sip::Now;

/// The time of what never happens.
pub(crate) const NEVER: u64 = u64::MAX;

/// Reads both clocks. The monotonic one is CLOCK_MONOTONIC, the same for all threads; the other may be behind by a
/// tick of the kernel (4 ms or so).
pub fn now() -> Now {
    // Nothing that outlives the process is finer than a tick, and this clock costs a fraction of CLOCK_REALTIME.
    let wall = read(libc::CLOCK_REALTIME_COARSE);
    Now {
        mono_ns: mono_ns(),
        wall_ms: seconds(&wall) * 1000 + nanoseconds(&wall) / 1_000_000,
    }
}

/// Whether something keeps the machine's clock, such as NTP; `None` when the kernel does not say.
pub fn clock_is_kept() -> Option<bool> {
    // SAFETY: a timex is integers only, and all zeroes asks for nothing to be changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `state` is valid for reads and writes.
    let result = unsafe { libc::adjtimex(&raw mut state) };
    (result >= 0).then_some(state.status & libc::STA_UNSYNC == 0)
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn mono_ns() -> u64 {
    let mono = read(libc::CLOCK_MONOTONIC);
    seconds(&mono) * 1_000_000_000 + nanoseconds(&mono)
}

/// Lets this thread's naps end when they should, not some 50 µs later.
pub(crate) fn nap_exactly() {
    // SAFETY: no pointers are passed. It fails on no kernel that has threads.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// Sleeps for so many nanoseconds, less than a second; an interrupting signal ends it.
pub(crate) fn nap(ns: u64) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: ns as libc::c_long,
    };
    // SAFETY: `time` is valid for the read, and nothing is asked to be written.
    unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, 0, &raw const time, ptr::null_mut()) };
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for the write; these clocks exist on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time
}

fn seconds(time: &libc::timespec) -> u64 {
    time.tv_sec.max(0) as u64
}

fn nanoseconds(time: &libc::timespec) -> u64 {
    time.tv_nsec.max(0) as u64
}
