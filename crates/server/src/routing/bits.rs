//! A set of routes by their places.

/// The most routes that a configuration may have.
pub const MAX_ROUTES: usize = 1024;

const WORDS: usize = MAX_ROUTES / 64;

/// Places of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits([u64; WORDS]);

impl Default for Bits {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl Bits {
    /// Adds a place.
    pub(super) fn add(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    /// Whether a place is in it.
    pub(super) fn has(&self, place: usize) -> bool {
        self.0
            .get(place / 64)
            .is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// What is in both.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(word, other)| *word &= other);
        self
    }

    /// The places, from the first on.
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        self.0
            .into_iter()
            .enumerate()
            .flat_map(|(at, word)| Places { at, word })
    }
}

struct Places {
    at: usize,
    word: u64,
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.word == 0 {
            return None;
        }
        let place = self.at * 64 + self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        Some(place)
    }
}
