//! Chance, decided by one seed.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

/// Rolls that depend on the seed and on what is rolled for, and on nothing else: not on what was rolled before, so that
/// the same thing has the same luck whatever else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dice {
    seed: u64,
}

/// The outcome of one roll: any number of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roll(u64);

impl Dice {
    /// The dice of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A roll for something.
    pub fn roll(self, what: impl Hash) -> Roll {
        let mut hasher = SipHasher13::new_with_keys(self.seed, 0);
        what.hash(&mut hasher);
        Roll(hasher.finish())
    }
}

impl Roll {
    /// A number from 0 up to and without `end`.
    pub fn below(self, end: u64) -> u64 {
        ((u128::from(self.0) * u128::from(end)) >> 64) as u64
    }

    /// Whether something happens that happens so many times in a hundred.
    pub fn percent(self, chance: u64) -> bool {
        self.below(100) < chance
    }
}
