//! Which of many chunks have room.

const NONE: usize = usize::MAX;

/// One bit for each chunk, set while it has room, and the first of them at hand.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    words: Vec<u64>,
    first: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            words: Vec::new(),
            first: NONE,
        }
    }
}

impl Rooms {
    /// The first chunk with room.
    #[inline]
    pub(super) fn first(&self) -> Option<usize> {
        (self.first != NONE).then_some(self.first)
    }

    /// A chunk has got room.
    pub(super) fn open(&mut self, chunk: usize) {
        if chunk / 64 >= self.words.len() {
            self.words.resize(chunk / 64 + 1, 0);
        }
        self.words[chunk / 64] |= 1 << (chunk % 64);
        self.first = self.first.min(chunk);
    }

    /// A chunk is full, or gone.
    pub(super) fn close(&mut self, chunk: usize) {
        if let Some(word) = self.words.get_mut(chunk / 64) {
            *word &= !(1 << (chunk % 64));
        }
        if chunk == self.first {
            let words = self.words.iter().enumerate().skip(chunk / 64);
            let next = words
                .filter(|(_, word)| **word != 0)
                .map(|(at, word)| at * 64 + word.trailing_zeros() as usize)
                .next();
            self.first = next.unwrap_or(NONE);
        }
    }
}
