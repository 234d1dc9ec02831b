//! Why a route decided, and the ones before it did not.

use super::route::{Mismatch, Route, Scan};
use super::{Facts, Routes};

/// A route that was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Considered<'r> {
    /// The route.
    pub route: &'r Route,
    /// Why it is not for the request; `None` for the one that decides.
    pub mismatch: Option<Mismatch>,
}

/// The routes up to the one that decides, each with why it is not for the request. It is decided by the same code as in
/// [`decide`](super::decide).
pub fn explain<'r>(routes: &'r Routes, facts: &Facts<'_>) -> Vec<Considered<'r>> {
    let mut scan = Scan::new(&routes.index, facts);
    let mut considered = Vec::new();
    for (place, route) in routes.routes.iter().enumerate() {
        let mismatch = route.mismatch(place, &mut scan);
        considered.push(Considered { route, mismatch });
        if mismatch.is_none() {
            break;
        }
    }
    considered
}
