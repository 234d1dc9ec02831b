//! The node as a user agent (RFC 3261 §8.1): what it asks of others in its own name.

mod registration;
mod request;

pub use registration::{Given, Registration, Settings, Standing, State, Step, Why};
