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

/// Year, month (1 to 12) and day (1 to 31) of the Gregorian calendar, of days since 1970-01-01. Years are counted from March
/// on, so that the leap day comes last.
pub fn civil(days: u64) -> (u64, u64, u64) {
    const FOUR_CENTURIES: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / FOUR_CENTURIES, days % FOUR_CENTURIES);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (
        era * 400 + year + u64::from(month <= 2),
        month,
        day - (153 * march_month + 2) / 5 + 1,
    )
}
