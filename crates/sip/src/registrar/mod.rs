//! The registrar (RFC 3261 §10): the pure procedure, the record it works on, and what is answered. Domain, extensions and
//! authority (§10.3 steps 1 to 4) are decided before; storing the record is the location service's.

mod answer;
mod aor;
mod binding;
mod deregister;
mod refresh;
mod register;
#[cfg(test)]
mod tests;

pub use answer::{DateLine, write_answer, write_contacts, write_contacts_of};
pub use aor::{canonical_aor, canonical_host};
pub use binding::{
    Binding, Bindings, BoundFlow, Entries, Entry, Order, Origin, Q_DEFAULT, RecordWriter, Removal, Tombstone,
};
pub use deregister::deregister;
pub use register::{
    Changes, Outcome, PathPolicy, Policy, TOMBSTONE_SECS, WhenFull, has_registered, is_merged, register,
};
