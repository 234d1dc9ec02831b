//! Where a shard keeps its state: slabs of records, a pool of byte buffers and the timer wheel. All of them reuse what
//! they have, so that a message in the steady state allocates nothing, and all of them give memory back after a peak:
//! they take it in chunks so large that the system's allocator asks the kernel for each, and frees none for later use.

pub mod chunks;
pub mod pool;
mod rooms;
pub mod slab;
pub mod wheel;

pub use chunks::Chunks;
pub use pool::{Pool, Stored};
pub use slab::{Id, Slab};
pub use wheel::{TimerId, Wheel};

/// The least bytes of a chunk.
pub const CHUNK_BYTES: usize = 128 << 10;

/// About the bytes of a hash table with room for `capacity` entries of that size: its places are at most seven eighths full,
/// and each has a byte beside it.
pub const fn table_bytes(capacity: usize, entry: usize) -> usize {
    (capacity + capacity / 7) * (entry + 1)
}

/// Whether a table with room for `capacity` entries should be made smaller now that it has so few: to four times those, so
/// that it neither grows nor is made smaller again soon.
pub fn is_sparse(len: usize, capacity: usize) -> bool {
    capacity > 1024 && len < capacity / 16
}
