//! Where a shard keeps its state: slabs of records, a pool of byte buffers and the timer wheel. All of them reuse what
//! they have, so that a message in the steady state allocates nothing, and all of them give memory back after a peak.

pub mod pool;
pub mod slab;
pub mod wheel;

pub use pool::{Pool, Stored};
pub use slab::{Id, Slab};
pub use wheel::{TimerId, Wheel};
