//! Visitors (RFC 3261 §10.2): nobody here knows their passwords, so their number is bounded, and each is believed only from where
//! it has registered.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use strowger_sip::endpoint::Ingress;
use strowger_sip::registrar::Bindings;
use strowger_sip::{Extra, Now, Reject};
use strowger_syntax::{Message, Status};

use super::Node;
use crate::location::Location;

/// How long a visitor is asked to wait where there are too many, in seconds.
const RETRY_AFTER_SECS: u32 = 60;

/// The visitors of all shards: until when each is registered at most, in Unix seconds, by address-of-record. Who was removed by an
/// administrator counts until then, too.
#[derive(Default)]
pub struct Visitors(Mutex<Known>);

#[derive(Clone, Default)]
struct Known {
    ends: HashMap<Box<[u8]>, u32>,
    /// None of them ends earlier: until then it is no use to look for those that have.
    earliest: u32,
}

impl fmt::Debug for Visitors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visitors")
    }
}

impl Visitors {
    /// Those that a location service has: their user parts are whole addresses.
    pub fn of(location: &dyn Location) -> Self {
        let mut known = Known::default();
        location.for_each(&mut |aor, record| {
            if memchr::memchr_iter(b'@', aor).nth(1).is_some()
                && let Some(end) = end_of(Bindings::new(record), 0)
            {
                known.ends.insert(aor.into(), end);
            }
        });
        Self(Mutex::new(known))
    }

    /// The same visitors, of whom no more is told.
    pub fn copy(&self) -> Self {
        Self(Mutex::new(self.known().clone()))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes until when a visitor is registered; `None` when it is no more. False, and nothing is noted, if there are `most` others.
    fn note(&self, aor: &[u8], end: Option<u32>, most: usize, now_secs: u64) -> bool {
        let mut known = self.known();
        let Some(end) = end else {
            known.ends.remove(aor);
            return true;
        };
        if let Some(noted) = known.ends.get_mut(aor) {
            *noted = end;
        } else {
            if known.ends.len() >= most {
                known.forget_ended(now_secs);
            }
            if known.ends.len() >= most {
                return false;
            }
            known.ends.insert(aor.into(), end);
        }
        known.earliest = known.earliest.min(end);
        true
    }
}

impl Known {
    /// Leaves out those that have ended: all are looked at once a second at most, however many ask.
    fn forget_ended(&mut self, now_secs: u64) {
        if u64::from(self.earliest) <= now_secs {
            self.ends.retain(|_, end| u64::from(*end) > now_secs);
            self.earliest = self.ends.values().copied().min().unwrap_or(u32::MAX);
        }
    }
}

/// When the last binding of a record ends.
fn end_of(record: Bindings<'_>, now_secs: u64) -> Option<u32> {
    record.live(now_secs).map(|binding| binding.expires_at).max()
}

impl Node {
    /// Whether a visitor's REGISTER, whose next record is in the work buffers beside that which there is, may be carried out; that
    /// of anybody else may.
    ///
    /// # Errors
    /// 403 while the visitor is registered from another address, 503 when there are too many.
    pub(super) fn check_visitor(
        &self,
        request: Message<'_>,
        ingress: &Ingress,
        now: Now,
    ) -> Result<(), Reject> {
        if !self.is_visitor(request, ingress) {
            return Ok(());
        }
        let (work, now_secs, source) = (&self.work, now.wall_secs(), ingress.source.remote.ip());
        let mut live = Bindings::new(&work.record).live(now_secs);
        if live.any(|binding| binding.origin.remote.ip() != source) {
            return Err(Reject::because(Status::FORBIDDEN, "Visitor Is Elsewhere"));
        }
        let (end, most) = (
            end_of(Bindings::new(&work.next_record), now_secs),
            self.shared.policy.max_visitors,
        );
        match self.shared.visitors.note(&work.aor, end, most, now_secs) {
            true => Ok(()),
            false => Err(Reject {
                reason: "Too Many Visitors",
                ..Reject::with(Status::SERVICE_UNAVAILABLE, Extra::RetryAfter(RETRY_AFTER_SECS))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_is_looked_through_only_when_one_may_have_ended() {
        let visitors = Visitors::default();
        let note = |name: &str, end, now_secs| visitors.note(name.as_bytes(), Some(end), 2, now_secs);
        let earliest = || visitors.known().earliest;
        assert!(note("a", 100, 10) && note("b", 200, 10));
        assert!(!note("c", 300, 10));
        assert_eq!(earliest(), 100, "nothing ends before");
        assert!(note("a", 150, 20), "who is known may stay");
        // It is stale by now, so it is looked once more, and then not before 150.
        assert!(!note("c", 300, 100));
        assert_eq!(earliest(), 150);
        assert!(!note("c", 300, 149));
        assert!(note("c", 160, 150));
        assert_eq!(earliest(), 160);
        assert!(visitors.note(b"c", None, 2, 150) && note("d", 400, 150));
        assert!(!note("e", 500, 199) && note("e", 500, 200));
        assert!(note("d", 210, 200), "who leaves sooner makes room sooner");
        assert!(!note("f", 600, 209) && note("f", 600, 210));
    }
}
