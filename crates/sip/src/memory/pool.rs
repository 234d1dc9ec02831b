//! Buffers for messages that must be kept: retransmissions, and requests that may have to be answered later.

/// How many bytes of free buffers are kept beyond those in use.
const SPARE: usize = 1 << 20;
const STEP: usize = 64;
const CLASSES: usize = 64;

/// Bytes that are kept. Give it back to its [`Pool`] when it is no longer needed.
#[derive(Debug)]
pub struct Stored {
    buffer: Box<[u8]>,
    len: u32,
}

impl Stored {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len as usize]
    }
}

/// Free buffers by size, in steps of 64 bytes up to 4 KiB. Larger ones are allocated and freed as they come.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Vec<Box<[u8]>>>,
    free_bytes: usize,
    used_bytes: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            free: (0..CLASSES).map(|_| Vec::new()).collect(),
            free_bytes: 0,
            used_bytes: 0,
        }
    }
}

impl Pool {
    /// Keeps a copy of `bytes`.
    pub fn store(&mut self, bytes: &[u8]) -> Stored {
        let class = bytes.len().div_ceil(STEP);
        let size = class * STEP;
        let mut buffer = match self.free.get_mut(class).and_then(Vec::pop) {
            Some(buffer) => {
                self.free_bytes -= size;
                buffer
            }
            None => vec![0; size].into_boxed_slice(),
        };
        self.used_bytes += size;
        buffer[..bytes.len()].copy_from_slice(bytes);
        Stored {
            buffer,
            len: bytes.len() as u32,
        }
    }

    /// Takes a buffer back.
    pub fn give(&mut self, stored: Stored) {
        let size = stored.buffer.len();
        self.used_bytes = self.used_bytes.saturating_sub(size);
        if let Some(class) = self.free.get_mut(size / STEP)
            && self.free_bytes + size <= self.used_bytes + SPARE
        {
            self.free_bytes += size;
            class.push(stored.buffer);
        } else {
            self.trim();
        }
    }

    /// Frees what is more than may be free, now that less is in use than at a peak.
    fn trim(&mut self) {
        let most = self.used_bytes + SPARE;
        for class in self.free.iter_mut().rev() {
            while self.free_bytes > most
                && let Some(buffer) = class.pop()
            {
                self.free_bytes -= buffer.len();
            }
        }
    }

    /// Bytes in buffers that are in use.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Bytes in free buffers.
    pub fn free_bytes(&self) -> usize {
        self.free_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let mut pool = Pool::default();
        let first = pool.store(&[7; 700]);
        let place = first.bytes().as_ptr();
        pool.give(first);
        let second = pool.store(&[9; 690]);
        assert_eq!(
            (second.bytes().as_ptr(), second.bytes()),
            (place, &[9u8; 690][..])
        );
    }

    #[test]
    fn free_buffers_go_when_those_in_use_do() {
        let mut pool = Pool::default();
        let stored: Vec<_> = (0..5000).map(|n| pool.store(&[1; 4000][..n % 4000])).collect();
        stored.into_iter().for_each(|s| pool.give(s));
        assert_eq!(pool.used_bytes(), 0);
        assert!(pool.free_bytes() <= SPARE, "{}", pool.free_bytes());
    }
}
