//! The stateful proxy of RFC 3261 §16 between a caller and targets that the tests play, in virtual time.

mod cancelling;
mod choosing;
mod failures;
mod forwarding;
mod responses;
mod scripts;
mod stage;
