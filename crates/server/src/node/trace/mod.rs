//! What a node notes of its decisions while somebody wants to know: typed steps, in the order in which they are taken.
//! The code that decides says what it did; when nobody listens that costs one comparison.

mod notes;
mod step;

use std::cell::RefCell;

pub(crate) use notes::{destination, listener, place, shown, text};
pub use step::*;

/// Where the steps go; nowhere by default.
#[derive(Debug, Default)]
pub(super) struct Tracer(Option<Box<RefCell<Vec<Step>>>>);

impl Tracer {
    /// One that listens.
    pub(super) fn listening() -> Self {
        Self(Some(Box::default()))
    }

    /// Notes a step, which is made only if somebody listens.
    #[inline(always)]
    pub(super) fn note(&self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &self.0 {
            push(steps, step);
        }
    }

    /// Whether somebody listens.
    pub(super) fn is_listening(&self) -> bool {
        self.0.is_some()
    }

    /// The steps since they were last taken.
    pub(super) fn take(&self) -> Vec<Step> {
        self.0.as_ref().map(|steps| steps.take()).unwrap_or_default()
    }
}

#[cold]
#[inline(never)]
fn push(steps: &RefCell<Vec<Step>>, step: impl FnOnce() -> Step) {
    let step = step();
    if let Ok(mut steps) = steps.try_borrow_mut() {
        steps.push(step);
    }
}
