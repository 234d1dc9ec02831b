//! The registrar (RFC 3261 §10): the pure procedure, the record it works on, and what is answered. Domain, extensions and
//! authority (§10.3 steps 1 to 4) are decided before; storing the record is the location service's.

mod answer;
mod aor;
mod binding;
mod burial;
mod deregister;
mod epoch;
mod gruu;
mod outbound;
mod params;
mod policy;
mod purr;
mod push;
mod refresh;
mod register;
mod removal;
mod sealed;
#[cfg(test)]
mod tests;

pub use answer::{DateLine, Told, write_answer, write_contacts, write_public_contacts};
pub use aor::{canonical_aor, canonical_host};
pub use binding::{
    Binding, Bindings, BoundFlow, Entries, Entry, Order, Origin, Q_DEFAULT, RecordWriter, Tombstone,
    unexpired,
};
pub use burial::{LARGEST_RECORD, TOMBSTONE_SECS};
pub use deregister::{Removal, Removed, deregister, shorten};
pub use epoch::Epoch;
pub use gruu::is_secure;
pub use gruu::{Gruu, GruuKey, Gruus, knows_gruu};
pub use outbound::{InstanceFlow, OB, instance_of, is_same_instance, without_flow};
pub use policy::{PathPolicy, Policy, WhenFull};
pub use purr::{PurrKey, purr_of};
pub use push::{PushParams, may_have_push, write_public_uri, write_shown_text, write_shown_uri};
pub use register::{Changes, Outcome, asked_expires, has_registered, is_merged, register};
pub use removal::without_binding;
