//! Event notification (RFC 6665): the notifier's side, without sockets, clocks or storage.
//!
//! [`asked`] reads what a SUBSCRIBE asks for, or refuses it; [`Dialog`] is what a subscription remembers of its dialog;
//! [`Course`] decides when which notification is sent, and when the subscription is over; [`write_notify`] writes it. What is
//! told is a package's business: [`reginfo`] is that of registrations.

mod course;
mod dialog;
mod notify;
pub mod reginfo;
mod subscribe;

pub use course::{Answer, Course, Due, End, Fate, Number};
pub use dialog::Dialog;
pub use notify::{Notify, Standing, next_hop, write_notify};
pub use reginfo::{Told, Watched, write_reginfo};
pub use subscribe::{Asked, Durations, Package, asked, package_of};
