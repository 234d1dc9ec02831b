//! Nonces that carry their own proof (RFC 7616 §3.3), and the table that lets each of their counts be used once.
//!
//! A nonce is 18 bytes in base64url: its serial number (48 bits), the second it was made in and a MAC. It is no longer than
//! that so that what a client hashes with it mostly fits into two blocks of MD5. Making one stores nothing, so a flood of
//! requests without credentials costs no memory. The table has one slot for many serial numbers; a nonce takes its slot
//! with the first valid credentials that use it.

use std::net::IpAddr;

use portable_atomic::{AtomicU64, AtomicU128, Ordering};
use subtle::ConstantTimeEq as _;

use crate::keys::MacKey;

/// How many counts below the highest one seen may still come: requests of one client that overtook each other.
pub const WINDOW: u32 = 64;

/// How many characters a nonce has.
pub const NONCE_LEN: usize = 24;

/// A nonce as it is written into a challenge: characters of base64url (RFC 4648 §5), which need no escape in a
/// quoted string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_LEN]);

impl Nonce {
    /// Its characters.
    pub fn as_bytes(&self) -> &[u8; NONCE_LEN] {
        &self.0
    }
}

/// What a nonce of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When it was made, in seconds since the Unix epoch.
    pub(super) issued_secs: u32,
    /// Counts the nonces of a boot, from 0; less than 2^48.
    pub(super) serial: u64,
}

impl Stamp {
    fn seal(&self, table: &NonceTable, key: &MacKey, source: IpAddr) -> Nonce {
        let mac = self.mac(table, key, source);
        Nonce(encode([
            self.serial,
            u64::from(self.issued_secs) << 16 | mac >> 48,
            mac & SEXTETS_8,
        ]))
    }

    /// Reads a nonce; `None` when it was not made with this key, in the boot of this table and for this source.
    pub(super) fn open(nonce: &[u8], table: &NonceTable, key: &MacKey, source: IpAddr) -> Option<Self> {
        let [serial, secs_and_mac, mac] = decode(nonce.try_into().ok()?)?;
        let stamp = Self {
            issued_secs: (secs_and_mac >> 16) as u32,
            serial,
        };
        let right = stamp.mac(table, key, source).ct_eq(&(secs_and_mac << 48 | mac));
        bool::from(right).then_some(stamp)
    }

    /// The source counts, so that who sends from an address that is not theirs has no nonce for it, overheard ones
    /// included. So does the boot: what was used in another is not known.
    fn mac(&self, table: &NonceTable, key: &MacKey, source: IpAddr) -> u64 {
        let time = u64::from(self.issued_secs) << 32 | u64::from(table.boot);
        match source.to_canonical() {
            IpAddr::V4(ip) => key.mac_of_numbers([self.serial, time, u64::from(ip.to_bits())]),
            IpAddr::V6(ip) => {
                let bits = ip.to_bits();
                key.mac_of_numbers([self.serial, time, (bits >> 64) as u64, bits as u64])
            }
        }
    }
}

/// What eight characters say: 48 bits.
const SEXTETS_8: u64 = (1 << 48) - 1;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Which character of the alphabet a byte is; [`NO_SEXTET`] if it is none.
const SEXTETS: [u8; 256] = {
    let mut table = [NO_SEXTET; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        table[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    table
};
const NO_SEXTET: u8 = 0xff;

/// Each number as eight characters.
fn encode(numbers: [u64; 3]) -> [u8; NONCE_LEN] {
    let mut text = [0; NONCE_LEN];
    for (eight, number) in text.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
        *eight = characters(sextets(number)).to_be_bytes();
    }
    text
}

/// A 1 in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The eight groups of six bits of a number, the highest first, each in a byte of its own.
fn sextets(number: u64) -> u64 {
    let halves = (number & 0xffff_ff00_0000) << 8 | number & 0xff_ffff;
    let quarters = (halves & 0x00ff_f000_00ff_f000) << 4 | halves & 0x0000_0fff_0000_0fff;
    (quarters & 0x0fc0_0fc0_0fc0_0fc0) << 2 | quarters & 0x003f_003f_003f_003f
}

/// The characters of eight sextets: all at once by the ranges of the alphabet, each of which lies at another distance from
/// its characters. No byte overflows or borrows.
fn characters(sextets: u64) -> u64 {
    let from = |first: u64| (sextets + EACH * (0x80 - first)) >> 7 & EACH;
    let letters = sextets + EACH * u64::from(b'A') + from(26) * u64::from(b'a' - b'A' - 26);
    letters - from(52) * u64::from(b'a' - 26 + 52 - b'0') - from(62) * 13 + from(63) * 49
}

fn decode(text: &[u8; NONCE_LEN]) -> Option<[u64; 3]> {
    let (mut numbers, mut seen) = ([0; 3], 0);
    for (number, eight) in numbers.iter_mut().zip(text.as_chunks::<8>().0) {
        for &character in eight {
            let sextet = SEXTETS[usize::from(character)];
            seen |= sextet;
            *number = *number << 6 | u64::from(sextet & 63);
        }
    }
    (seen < 64).then_some(numbers)
}

/// Whether a count of a nonce could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It was used for the first time, now.
    Ok,
    /// It had been used, or is too old to tell: the client gets a new nonce with `stale=true`.
    Stale,
}

/// Which use of a nonce credentials are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The count of an `nc` parameter.
    Count(u32),
    /// Without qop there is no count: the nonce is good for this one request.
    Only,
}

/// Makes nonces and remembers which of their counts were used. One table serves all shards.
///
/// A slot is one 128-bit word:
///
/// ```text
///  127          96 95           64 63                             0
/// | lap            | highest count | bit i: count highest-i was used |
/// ```
///
/// The lap (the serial number's upper part, plus one) says which of the nonces that share the slot owns it; 0 is
/// nobody. A slot goes from older to newer laps only, so a nonce that lost its slot can never get it back, and with it
/// never a second chance for a used count.
#[derive(Debug)]
pub struct NonceTable {
    boot: u32,
    lifetime_secs: u32,
    next: Counter,
    slots: Box<[AtomicU128]>,
}

impl NonceTable {
    /// The table as it is at this moment, to try what a request would do to it.
    #[must_use]
    pub fn copy(&self) -> Self {
        let slot = |slot: &AtomicU128| AtomicU128::new(slot.load(Ordering::Relaxed));
        Self {
            boot: self.boot,
            lifetime_secs: self.lifetime_secs,
            next: Counter(AtomicU64::new(self.next.0.load(Ordering::Relaxed))),
            slots: self.slots.iter().map(slot).collect(),
        }
    }
}

/// On cache lines of its own: every challenge writes it, every claim reads its neighbours.
#[derive(Debug)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl NonceTable {
    /// How long nonces live when nothing else is configured, in seconds: longer than the time between the calls of a
    /// busy client, which is spared the challenge; a phone that only refreshes its registration pays one in an hour.
    pub const LIFETIME_SECS: u32 = 300;

    /// Slots for a node of any size: 1 MiB. Two clients get in each other's way (and one is told `stale`) only when as
    /// many challenges as there are slots lie between theirs.
    pub const SLOTS: usize = 1 << 16;

    /// A table. `boot` differs from start to start and from node to node (it may be random): what was used before a
    /// start is forgotten, so nonces from before are stale. `slots` is brought to a power of two.
    pub fn new(boot: u32, slots: usize, lifetime_secs: u32) -> Self {
        let slots = slots.clamp(1, 1 << 24).next_power_of_two();
        let slots = (0..slots).map(|_| AtomicU128::new(0)).collect();
        Self {
            boot,
            lifetime_secs,
            next: Counter(AtomicU64::new(0)),
            slots,
        }
    }

    /// Makes a nonce for a source: from there it can be used.
    pub fn issue(&self, key: &MacKey, source: IpAddr, now_secs: u64) -> Nonce {
        // Relaxed: the number has to be a different one each time, nothing else hangs on it.
        let serial = self.next.0.fetch_add(1, Ordering::Relaxed) & SEXTETS_8;
        let issued_secs = now_secs as u32;
        Stamp { issued_secs, serial }.seal(self, key, source)
    }

    /// Whether a nonce is not too old. A clock that was set back makes none too old.
    pub(super) fn is_fresh(&self, stamp: &Stamp, now_secs: u64) -> bool {
        now_secs.saturating_sub(u64::from(stamp.issued_secs)) <= u64::from(self.lifetime_secs)
    }

    /// Uses a nonce once. Whatever shards do at the same time, [`Claim::Ok`] is answered at most once for a count.
    pub(super) fn claim(&self, serial: u64, which: Use) -> Claim {
        let slots = self.slots.len() as u64;
        let Some(slot) = self.slots.get((serial & (slots - 1)) as usize) else {
            return Claim::Stale;
        };
        let lap = (serial / slots + 1) as u32;
        // Relaxed is enough everywhere: all that is shared is this one word, and the compare-and-exchange decides
        // on its latest value. A losing thread looks again at what the winner wrote.
        let mut seen = slot.load(Ordering::Relaxed);
        loop {
            let Some(next) = Window::unpack(seen).with(lap, which) else {
                return Claim::Stale;
            };
            match slot.compare_exchange_weak(seen, next.pack(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Claim::Ok,
                Err(other) => seen = other,
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Window {
    lap: u32,
    highest: u32,
    used: u64,
}

impl Window {
    fn unpack(word: u128) -> Self {
        Self {
            lap: (word >> 96) as u32,
            highest: (word >> 64) as u32,
            used: word as u64,
        }
    }

    fn pack(self) -> u128 {
        u128::from(self.lap) << 96 | u128::from(self.highest) << 64 | u128::from(self.used)
    }

    /// The window after one more use; `None` when the nonce has lost the slot or the count is used or too old.
    fn with(self, lap: u32, which: Use) -> Option<Self> {
        let taken_over = lap > self.lap;
        match which {
            // All bits set at the highest count there is: no count of this nonce can follow.
            Use::Only => taken_over.then_some(Self {
                lap,
                highest: u32::MAX,
                used: u64::MAX,
            }),
            Use::Count(count) if taken_over => Some(Self {
                lap,
                highest: count,
                used: 1,
            }),
            Use::Count(_) if lap < self.lap => None,
            Use::Count(count) if count > self.highest => {
                let used = self.used.checked_shl(count - self.highest).unwrap_or(0) | 1;
                Some(Self {
                    highest: count,
                    used,
                    ..self
                })
            }
            Use::Count(count) => {
                let behind = self.highest - count;
                let bit = 1u64.checked_shl(behind).unwrap_or(0);
                (behind < WINDOW && self.used & bit == 0).then_some(Self {
                    used: self.used | bit,
                    ..self
                })
            }
        }
    }
}

#[cfg(test)]
mod tests;
