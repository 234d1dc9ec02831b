//! Which devices were pushed lately. A table of fixed size that all shards read and write without waiting for each other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Places. A device that takes the place of another one makes that be pushed once more than it should.
const PLACES: usize = 1 << 14;
/// How many low bits of a word are the time, in milliseconds. The next one says that the device has woken since, and the others
/// are the device's.
const TIME_BITS: u32 = 40;
const WOKEN: u64 = 1 << TIME_BITS;
const TIME: u64 = (1 << TIME_BITS) - 1;

/// The devices, each by a keyed hash, and when each was pushed last.
pub(super) struct Recent(Box<[AtomicU64]>);

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Recent {
    fn place(&self, device: u64) -> &AtomicU64 {
        &self.0[device as usize % PLACES]
    }

    /// Whether a word is this device's. Its place was chosen by its lowest bits.
    fn is_of(word: u64, device: u64) -> bool {
        word != 0 && (word ^ device) >> (TIME_BITS + 1) == 0
    }

    /// When a device was pushed, in milliseconds since the Unix epoch, and whether it has woken since, if that is known.
    pub(super) fn at(&self, device: u64, now_ms: u64) -> Option<(u64, bool)> {
        let word = self.place(device).load(Relaxed);
        if !Self::is_of(word, device) {
            return None;
        }
        // The time has a turn of 34 years.
        let ago = (now_ms.wrapping_sub(word)) & TIME;
        Some((now_ms.checked_sub(ago)?, word & WOKEN != 0))
    }

    /// A device is pushed now.
    pub(super) fn note(&self, device: u64, now_ms: u64) {
        let word = device & !(WOKEN | TIME) | (now_ms & TIME);
        self.place(device).store(word, Relaxed);
    }

    /// A device that was pushed has woken.
    pub(super) fn woken(&self, device: u64) {
        let place = self.place(device);
        let word = place.load(Relaxed);
        if Self::is_of(word, device) {
            // Should another one have taken the place meanwhile, it is pushed once more than it should.
            let _ = place.compare_exchange(word, word | WOKEN, Relaxed, Relaxed);
        }
    }

    /// A device was not pushed after all.
    pub(super) fn forget(&self, device: u64) {
        let place = self.place(device);
        if Self::is_of(place.load(Relaxed), device) {
            place.store(0, Relaxed);
        }
    }

    /// The table as it is at this moment.
    pub(super) fn copy(&self) -> Self {
        Self(
            self.0
                .iter()
                .map(|place| AtomicU64::new(place.load(Relaxed)))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_764_000_000_123;

    #[test]
    fn a_device_is_known_by_when_it_was_pushed() {
        let (recent, device) = (Recent::default(), 0xabcd_ef01_2345_6789);
        assert_eq!(recent.at(device, NOW), None);
        recent.note(device, NOW);
        assert_eq!(recent.at(device, NOW + 5000), Some((NOW, false)));
        assert_eq!(recent.copy().at(device, NOW + 5000), Some((NOW, false)));
        recent.forget(device ^ 1 << 60);
        assert_eq!(recent.at(device, NOW + 5000), Some((NOW, false)));
        recent.woken(device);
        assert_eq!(recent.at(device, NOW + 6000), Some((NOW, true)));
        recent.note(device, NOW + 7000);
        assert_eq!(recent.at(device, NOW + 7000), Some((NOW + 7000, false)));
        recent.forget(device);
        assert_eq!(recent.at(device, NOW + 5000), None);
    }

    #[test]
    fn one_device_is_not_taken_for_another() {
        let recent = Recent::default();
        recent.note(1 << 50 | 7, NOW);
        assert_eq!(recent.at(1 << 51 | 7, NOW), None);
        recent.note(1 << 51 | 7, NOW);
        assert_eq!(recent.at(1 << 50 | 7, NOW), None, "its place was taken");
    }
}
