//! Waiting for something with a limit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Asks until there is an answer; `None` after the limit.
pub fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks until it is true; false after the limit.
pub fn until_true(limit: Duration, mut ask: impl FnMut() -> bool) -> bool {
    until(limit, || ask().then_some(())).is_some()
}

/// Tells threads that it is enough when it is dropped, so also when the test fails.
#[derive(Debug)]
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
