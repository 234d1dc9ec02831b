//! What the C library's allocator does with memory that is freed.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "mallopt"))]

/// Has large blocks (128 KiB and more) go back to the kernel as soon as they are freed, whatever was freed before. Without
/// this, glibc takes the size of a large block that is freed for a sign that many such will come and go, and from then on
/// keeps those up to that size. A setting of the whole process; it does nothing with other C libraries.
pub fn give_large_blocks_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes two numbers; called from any thread, as it takes the allocator's lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}
