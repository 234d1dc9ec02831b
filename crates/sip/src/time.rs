//! Time as a value. Whoever drives the core says what time it is; the core never asks.

/// One reading of both clocks, taken once for everything that happens in one turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic nanoseconds since an arbitrary start: for timers.
    pub mono_ns: u64,
    /// Milliseconds since the Unix epoch: for expiry times, nonces and everything that outlives the process.
    pub wall_ms: u64,
}

impl Now {
    /// Monotonic milliseconds, the unit of the timers.
    pub fn mono_ms(self) -> u64 {
        self.mono_ns / 1_000_000
    }

    /// Seconds since the Unix epoch, the unit of expiry times.
    pub fn wall_secs(self) -> u64 {
        self.wall_ms / 1000
    }
}
