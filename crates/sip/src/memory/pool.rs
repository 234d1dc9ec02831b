//! Bytes of messages that must be kept: retransmissions, and requests that may have to be answered later.

use super::rooms::Rooms;
use super::{CHUNK_BYTES, Slab};
use crate::memory::Id;

/// How many empty chunks are kept ready.
const SPARES: usize = 4;
/// How much of an empty chunk may have been touched that stays where it is: messages that come and go one at a time open
/// and close no chunk.
const LITTLE: u32 = 8 << 10;
const STEP: usize = 32;
const CLASSES: usize = 128;
const NONE: u32 = u32::MAX;

/// Bytes that are kept; none by default. Give it back to its [`Pool`] when it is no longer needed. A clone is for
/// a clone of the pool.
#[derive(Clone, Debug)]
pub struct Stored {
    len: u32,
    /// The chunk of its class, or the place of a large one.
    chunk: u32,
    /// Where it begins in the chunk, or the counter of a large one.
    at: u32,
}

#[derive(Debug)]
struct Chunk {
    bytes: Box<[u8]>,
    used: u32,
    /// The first free buffer; each names the next one in its first bytes.
    free: u32,
    /// What comes behind was never used, nor was its memory touched.
    fresh: u32,
}

impl Clone for Chunk {
    /// Touches no more memory than was touched here.
    fn clone(&self) -> Self {
        let mut bytes = vec![0; self.bytes.len()].into_boxed_slice();
        let touched = self.fresh as usize;
        bytes[..touched].copy_from_slice(&self.bytes[..touched]);
        Self { bytes, ..*self }
    }
}

#[derive(Clone, Debug, Default)]
struct Class {
    chunks: Vec<Option<Chunk>>,
    rooms: Rooms,
}

/// Buffers by size, in steps of 32 bytes up to 4 KiB, in chunks that serve any size once they are empty. Larger ones are
/// allocated and freed as they come.
#[derive(Clone, Debug)]
pub struct Pool {
    classes: Box<[Class]>,
    large: Slab<Box<[u8]>>,
    spares: Vec<Box<[u8]>>,
    used_bytes: usize,
    /// Bytes of chunks that were touched and not given back, and of large buffers.
    held_bytes: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            classes: (0..CLASSES).map(|_| Class::default()).collect(),
            large: Slab::default(),
            spares: Vec::with_capacity(SPARES),
            used_bytes: 0,
            held_bytes: 0,
        }
    }
}

/// The class of buffers for so many bytes, and their size.
fn class_of(len: usize) -> (usize, usize) {
    let class = len.saturating_sub(1) / STEP;
    (class, (class + 1) * STEP)
}

impl Pool {
    /// Keeps a copy of `bytes`. Nothing takes no buffer.
    pub fn store(&mut self, bytes: &[u8]) -> Stored {
        if bytes.is_empty() {
            return Stored::default();
        }
        let (class, size) = class_of(bytes.len());
        let len = bytes.len() as u32;
        let Some(class) = self.classes.get_mut(class) else {
            self.used_bytes += bytes.len();
            self.held_bytes += bytes.len();
            let Id { index, counter } = self.large.insert_with(|_| bytes.into());
            let (chunk, at) = (index, counter);
            return Stored { len, chunk, at };
        };
        self.used_bytes += size;
        let place = class.rooms.first().unwrap_or_else(|| class.open());
        let chunk = class.chunks[place].get_or_insert_with(|| {
            let spare = self.spares.pop();
            self.held_bytes -= spare.as_ref().map_or(0, |bytes| bytes.len());
            Chunk::new(spare.unwrap_or_else(|| vec![0; CHUNK_BYTES].into_boxed_slice()))
        });
        let at = if chunk.free == NONE {
            self.held_bytes += size;
            let at = chunk.fresh;
            chunk.fresh += size as u32;
            at
        } else {
            let at = chunk.free;
            chunk.free = chunk.link(at);
            at
        };
        chunk.used += 1;
        chunk.bytes[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        if chunk.is_full(size) {
            class.rooms.close(place);
        }
        let chunk = place as u32;
        Stored { len, chunk, at }
    }

    /// What is kept.
    pub fn bytes(&self, stored: &Stored) -> &[u8] {
        let (at, len) = (stored.at as usize, stored.len as usize);
        let bytes = match self.classes.get(class_of(len).0) {
            Some(class) => match class.chunks.get(stored.chunk as usize) {
                Some(Some(chunk)) => chunk.bytes.get(at..at + len),
                _ => None,
            },
            None => self.large.get(stored.large()).map(|bytes| &bytes[..]),
        };
        bytes.unwrap_or(&[])
    }

    /// Takes a buffer back, if there is one.
    #[inline]
    pub fn give(&mut self, stored: Stored) {
        if stored.len > 0 {
            self.take_back(stored);
        }
    }

    fn take_back(&mut self, stored: Stored) {
        let len = stored.len as usize;
        let (class, size) = class_of(len);
        let Some(class) = self.classes.get_mut(class) else {
            self.large.remove(stored.large());
            self.used_bytes -= len;
            self.held_bytes -= len;
            return;
        };
        let place = stored.chunk as usize;
        let Some(Some(chunk)) = class.chunks.get_mut(place) else {
            return;
        };
        if chunk.is_full(size) {
            class.rooms.open(place);
        }
        let at = stored.at as usize;
        chunk.bytes[at..at + 4].copy_from_slice(&chunk.free.to_le_bytes());
        chunk.free = stored.at;
        chunk.used -= 1;
        self.used_bytes -= size;
        if chunk.used == 0
            && chunk.fresh > LITTLE
            && let Some(empty) = class.close(place)
        {
            self.held_bytes -= empty.fresh as usize;
            if self.spares.len() < SPARES {
                self.held_bytes += CHUNK_BYTES;
                self.spares.push(empty.bytes);
            }
        }
    }

    /// Copies what is kept to `text`, and takes its buffer back.
    pub fn take(&mut self, stored: Stored, text: &mut Vec<u8>) {
        text.clear();
        text.extend_from_slice(self.bytes(&stored));
        self.give(stored);
    }

    /// Bytes in buffers that are in use.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Bytes in all buffers.
    pub fn bytes_held(&self) -> usize {
        self.held_bytes
    }

    /// Bytes in free buffers.
    pub fn free_bytes(&self) -> usize {
        self.held_bytes - self.used_bytes
    }
}

impl Default for Stored {
    fn default() -> Self {
        Self {
            len: 0,
            chunk: NONE,
            at: 0,
        }
    }
}

impl Stored {
    fn large(&self) -> Id {
        Id {
            index: self.chunk,
            counter: self.at,
        }
    }
}

impl Chunk {
    fn new(bytes: Box<[u8]>) -> Self {
        Self {
            bytes,
            used: 0,
            free: NONE,
            fresh: 0,
        }
    }

    /// Whether no buffer of that size is left.
    fn is_full(&self, size: usize) -> bool {
        self.free == NONE && self.fresh as usize + size > CHUNK_BYTES
    }

    /// The free buffer behind the one that begins at `at`.
    fn link(&self, at: u32) -> u32 {
        let mut link = [0; 4];
        link.copy_from_slice(&self.bytes[at as usize..at as usize + 4]);
        u32::from_le_bytes(link)
    }
}

impl Class {
    fn open(&mut self) -> usize {
        let vacant = self.chunks.iter().position(Option::is_none);
        let place = vacant.unwrap_or(self.chunks.len());
        if place == self.chunks.len() {
            self.chunks.push(None);
        }
        self.rooms.open(place);
        place
    }

    fn close(&mut self, place: usize) -> Option<Chunk> {
        self.rooms.close(place);
        let empty = self.chunks[place].take();
        while let Some(None) = self.chunks.last() {
            self.chunks.pop();
        }
        empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let mut pool = Pool::default();
        let [first, other] = [7, 8].map(|byte| pool.store(&[byte; 700]));
        let place = first.at;
        pool.give(first);
        let second = pool.store(&[9; 690]);
        assert_eq!((second.at, pool.bytes(&second)), (place, &[9u8; 690][..]));
        assert_eq!(pool.bytes(&other), [8; 700]);
    }

    #[test]
    fn what_is_kept_stays_as_it_is() {
        let mut pool = Pool::default();
        let mut kept = std::collections::VecDeque::new();
        for n in 0..30_000usize {
            let text = vec![n as u8; n * 37 % 5000];
            kept.push_back((pool.store(&text), text));
            if kept.len() > 700 + n % 900 {
                let take = if n % 3 == 0 {
                    kept.pop_back()
                } else {
                    kept.pop_front()
                };
                let Some((stored, text)) = take else { continue };
                assert_eq!(pool.bytes(&stored), text);
                pool.give(stored);
            }
        }
        for (stored, text) in kept {
            assert_eq!(pool.bytes(&stored), text);
            pool.give(stored);
        }
        assert_eq!(pool.used_bytes(), 0);
    }

    #[test]
    fn chunks_go_when_their_buffers_do() {
        let mut pool = Pool::default();
        let stored: Vec<_> = (0..5000).map(|n| pool.store(&[1; 9000][..n % 9000])).collect();
        assert!(pool.used_bytes() > 11_000_000 && pool.free_bytes() < pool.used_bytes() / 20);
        stored.into_iter().for_each(|s| pool.give(s));
        assert_eq!(pool.used_bytes(), 0);
        assert!(
            pool.free_bytes() <= SPARES * CHUNK_BYTES + CLASSES * LITTLE as usize,
            "{}",
            pool.free_bytes()
        );
        let touched = pool
            .classes
            .iter()
            .flat_map(|class| class.chunks.iter().flatten());
        assert!(touched.map(|chunk| chunk.fresh).all(|fresh| fresh <= LITTLE));
    }
}
