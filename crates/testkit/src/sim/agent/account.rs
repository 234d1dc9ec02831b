//! What one side believes of a call, from its beginning to its end.

use super::script::Side;

/// What a side believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// The INVITE is under way.
    Calling,
    /// It rings there, or here.
    Ringing,
    /// Picked up here; the ACK has not come.
    Answered,
    /// Both are there.
    Talking,
    /// It is over.
    Over(How),
}

/// How a call came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// Refused with this status.
    Refused(u16),
    /// The caller gave up.
    Cancelled,
    /// Nobody answered the INVITE.
    TimedOut,
    /// This side hung up.
    HungUp,
    /// The other side hung up.
    PeerHungUp,
    /// No ACK came.
    Unacknowledged,
    /// The dialog was unknown there, or nobody answered within it.
    Lost,
}

/// The account that one side gives of a call. Times are in nanoseconds since the simulation began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The call.
    pub call_id: String,
    /// The phone.
    pub phone: usize,
    /// Which side.
    pub side: Side,
    /// What it believed, and since when.
    pub views: Vec<(u64, View)>,
    /// When the person at the phone last did something.
    pub acted_at: u64,
}

impl Account {
    pub(in crate::sim) fn new(call_id: &str, phone: usize, side: Side, now: u64) -> Self {
        Self {
            call_id: call_id.to_owned(),
            phone,
            side,
            views: vec![(now, View::Calling)],
            acted_at: now,
        }
    }

    pub(super) fn see(&mut self, view: View, now: u64) {
        self.views.push((now, view));
    }

    pub(super) fn acts(&mut self, now: u64) {
        self.acted_at = now;
    }

    /// What it believes now.
    pub fn view(&self) -> View {
        self.views.last().map_or(View::Calling, |&(_, view)| view)
    }

    /// Whether it believes that the call is over.
    pub fn is_over(&self) -> bool {
        self.over_at().is_some()
    }

    /// When it began to believe that.
    pub fn over_at(&self) -> Option<u64> {
        let &(at, view) = self.views.last()?;
        matches!(view, View::Over(_)).then_some(at)
    }

    /// Whether the two ever talked, as far as this side knows.
    pub fn talked(&self) -> bool {
        self.views.iter().any(|&(_, view)| view == View::Talking)
    }
}
