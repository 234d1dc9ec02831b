//! The patience with connections. Idle ones cause a wake-up every few minutes at most; those that are busy with
//! something that must end (connecting, an incomplete message, a peer that does not read, closing) are kept in a list
//! and looked at when the first of them is due.

use std::time::Duration;

use strowger_sip::{Failure, Flow};

use super::Connections;
use super::connection::{State, later};
use crate::clock::NEVER;

/// When to look at what.
#[derive(Debug)]
pub(super) struct Watch {
    /// Connections that are looked after closely. One that has become idle again stays in until the next look.
    busy: Vec<Flow>,
    busy_at: u64,
    idle_at: u64,
    /// When to accept again after a pause.
    pub(super) accept_at: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            busy: Vec::new(),
            busy_at: NEVER,
            idle_at: NEVER,
            accept_at: NEVER,
        }
    }
}

/// The longest and shortest time between two looks at idle connections.
const IDLE_SWEEP_MAX: Duration = Duration::from_secs(300);
const IDLE_SWEEP_MIN: Duration = Duration::from_millis(10);

/// Busy connections are looked at together when they are due within such a time.
const BUSY_GRAIN_NS: u64 = 50_000_000;

impl Watch {
    /// Makes sure that busy connections are looked at when this one is due.
    fn expect_busy(&mut self, deadline: u64) {
        let due = deadline
            .checked_next_multiple_of(BUSY_GRAIN_NS)
            .unwrap_or(deadline);
        self.busy_at = self.busy_at.min(due);
    }
}

impl Connections {
    /// When [`sweep`](Self::sweep) wants to be called; monotonic nanoseconds, or [`NEVER`].
    pub(crate) fn deadline(&self) -> u64 {
        let Watch {
            busy_at,
            idle_at,
            accept_at,
            ..
        } = self.watch;
        busy_at.min(idle_at).min(accept_at)
    }

    /// Closes connections whose time is over.
    #[inline(never)]
    pub(crate) fn sweep(&mut self, now: u64) {
        if self.watch.busy_at <= now {
            self.sweep_busy(now);
        }
        if self.watch.idle_at <= now {
            self.sweep_idle(now);
        }
        if self.watch.accept_at <= now {
            self.resume_accepting();
        }
    }

    /// Puts a connection into the list of those that are looked after closely, if it belongs there.
    pub(super) fn look_after(&mut self, index: u32) {
        let Some(connection) = self.slots[index as usize].connection.as_mut() else {
            return;
        };
        let Some(deadline) = connection.busy_deadline(&self.options) else {
            return;
        };
        if !connection.watched {
            connection.watched = true;
            self.watch.busy.push(connection.flow);
        }
        self.watch.expect_busy(deadline);
    }

    /// Makes sure that idle connections are looked at.
    pub(super) fn expect_idle_sweep(&mut self, now: u64) {
        let interval = (self.options.idle / 4).clamp(IDLE_SWEEP_MIN, IDLE_SWEEP_MAX);
        if self.watch.idle_at == NEVER {
            self.watch.idle_at = later(now, interval);
        }
    }

    fn sweep_busy(&mut self, now: u64) {
        self.watch.busy_at = NEVER;
        let mut busy = std::mem::take(&mut self.watch.busy);
        busy.retain(|&flow| self.stays_busy(flow, now));
        // Closing a connection puts none into the list, so nothing was added meanwhile.
        self.watch.busy = busy;
    }

    fn stays_busy(&mut self, flow: Flow, now: u64) -> bool {
        if self.get(flow).is_none() {
            return false;
        }
        let Some(connection) = self.slots[flow.index as usize].connection.as_mut() else {
            return false;
        };
        let Some(deadline) = connection.busy_deadline(&self.options) else {
            connection.watched = false;
            return false;
        };
        if deadline > now {
            self.watch.expect_busy(deadline);
            return true;
        }
        if connection.state == State::Open {
            self.around.counters.connections_timed_out.add(1);
        }
        self.close(flow.index, Failure::TimedOut, now);
        false
    }

    fn sweep_idle(&mut self, now: u64) {
        self.watch.idle_at = NEVER;
        for index in 0..self.slots.len() {
            let Some(connection) = &self.slots[index].connection else {
                continue;
            };
            if connection.idle_deadline(&self.options) <= now {
                self.around.counters.connections_timed_out.add(1);
                self.close(index as u32, Failure::Closed, now);
            }
        }
        if self.open > 0 {
            self.expect_idle_sweep(now);
        }
    }
}
