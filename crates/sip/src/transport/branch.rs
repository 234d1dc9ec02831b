//! Our branch parameters: `z9hG4bK`, a kind, and a token.
//!
//! Kind `t` names a client transaction by shard, place and allocation counter, so that a response finds it without a
//! search; a MAC keeps others from naming one. Kind `s` is a keyed hash, the same whenever the same request is
//! forwarded without state (RFC 3261 §16.11). Behind both stands the loop part (RFC 5393 §4.2): a keyed hash over
//! what routing depends on.

use crate::keys::MacKey;
use crate::memory::Id;

const COOKIE: &[u8] = b"z9hG4bK";
const HEX: &[u8; 16] = b"0123456789abcdef";
/// shard, index, counter, boot id, MAC: 4 + 8 + 8 + 4 + 8 digits.
const TOKEN_DIGITS: usize = 32;

/// Writes and reads this process's branches.
#[derive(Clone, Debug)]
pub struct Branches {
    key: MacKey,
    boot: u16,
}

/// What one of our branches says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OurBranch {
    /// A client transaction of this process.
    Stateful {
        /// The shard that owns it.
        shard: u16,
        /// Its name there.
        client: Id,
    },
    /// Forwarded without state.
    Stateless {
        /// What it was made from.
        token: u64,
    },
}

impl Branches {
    /// For a key of the node's and a number that changes from start to start.
    pub fn new(key: MacKey, boot: u16) -> Self {
        Self { key, boot }
    }

    fn mac(&self, shard: u16, client: Id) -> u32 {
        let name = u64::from(client.index) << 32 | u64::from(client.counter);
        self.key.mac_of_numbers(
            name,
            u64::from(b't') << 32 | u64::from(shard) << 16 | u64::from(self.boot),
        ) as u32
    }

    /// Appends the branch of a client transaction.
    pub fn write_stateful(&self, out: &mut Vec<u8>, shard: u16, client: Id, loop_part: u64) {
        let name = u64::from(shard) << 48 | u64::from(client.index) << 16 | u64::from(client.counter >> 16);
        let rest = u64::from(client.counter & 0xffff) << 48 | u64::from(self.boot) << 32;
        let mut text = *b"z9hG4bKt________________________________________________";
        text[8..24].copy_from_slice(&hex_digits(name));
        text[24..40].copy_from_slice(&hex_digits(rest | u64::from(self.mac(shard, client))));
        text[40..].copy_from_slice(&hex_digits(loop_part));
        out.extend_from_slice(&text);
    }

    /// Appends a stateless branch.
    pub fn write_stateless(&self, out: &mut Vec<u8>, token: u64, loop_part: u64) {
        out.extend_from_slice(COOKIE);
        out.push(b's');
        out.extend_from_slice(&hex_digits(token));
        out.extend_from_slice(&hex_digits(self.key.mac_of_numbers(token, u64::from(b's') << 32))[8..]);
        out.extend_from_slice(&hex_digits(loop_part));
    }

    /// Reads a branch; `None` when it is not ours, or of an earlier start.
    pub fn read(&self, branch: &[u8]) -> Option<OurBranch> {
        let rest = branch.strip_prefix(COOKIE)?;
        match (rest.first()?, rest.len()) {
            (b't', len) if len == 1 + TOKEN_DIGITS + 16 => {
                let shard = hex(&rest[1..5])? as u16;
                let client = Id {
                    index: hex(&rest[5..13])? as u32,
                    counter: hex(&rest[13..21])? as u32,
                };
                let ours = hex(&rest[21..25])? == u64::from(self.boot)
                    && hex(&rest[25..33])? == u64::from(self.mac(shard, client));
                ours.then_some(OurBranch::Stateful { shard, client })
            }
            (b's', 41) => {
                let token = hex(&rest[1..17])?;
                let mac = self.key.mac_of_numbers(token, u64::from(b's') << 32) & 0xffff_ffff;
                (hex(&rest[17..25])? == mac).then_some(OurBranch::Stateless { token })
            }
            _ => None,
        }
    }

    /// The shard that a branch names as the owner of its transaction. It proves nothing: the owner reads the whole branch.
    pub fn shard_of(&self, branch: &[u8]) -> Option<u16> {
        let rest = branch.strip_prefix(COOKIE)?;
        if rest.first() != Some(&b't') || rest.len() != 1 + TOKEN_DIGITS + 16 {
            return None;
        }
        let (name, boot) = (hex(&rest[1..9])?, hex(&rest[17..25])? as u16);
        (boot == self.boot).then_some((name >> 16) as u16)
    }

    /// The loop part of a branch that may be ours.
    pub fn loop_part(branch: &[u8]) -> Option<u64> {
        let rest = branch.strip_prefix(COOKIE)?;
        let at = match (rest.first()?, rest.len()) {
            (b't', len) if len == 1 + TOKEN_DIGITS + 16 => 1 + TOKEN_DIGITS,
            (b's', 41) => 25,
            _ => return None,
        };
        hex(&rest[at..])
    }

    /// One of our stateful branches somewhere in a text, such as the beginning of a datagram that ICMP gave back.
    pub fn find(&self, text: &[u8]) -> Option<OurBranch> {
        let at = memchr::memmem::find(text, COOKIE)?;
        self.read(text.get(at..at + COOKIE.len() + 1 + TOKEN_DIGITS + 16)?)
    }
}

/// The 16 hexadecimal digits of a number.
pub fn hex_digits(value: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&half_hex_digits(value >> 32));
    digits[8..].copy_from_slice(&half_hex_digits(value & 0xffff_ffff));
    digits
}

/// The 8 hexadecimal digits of a number of 32 bits, all made at once: its nibbles are moved to a byte each, and what is
/// above 9 is moved on to the letters.
fn half_hex_digits(value: u64) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let pairs = (value | value << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (bytes | bytes << 4) & (EACH * 15);
    let letters = ((nibbles + EACH * 6) >> 4) & EACH;
    (nibbles + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut i = 0;
    while i < 16 {
        values[HEX[i] as usize] = i as u8;
        i += 1;
    }
    values
};

/// Reads hexadecimal digits of lower case, at most 16.
pub fn hex(digits: &[u8]) -> Option<u64> {
    let (mut value, mut wrong) = (0u64, 0);
    for &digit in digits {
        let digit = VALUES[usize::from(digit)];
        wrong |= digit;
        value = value << 4 | u64::from(digit & 15);
    }
    (wrong < 16).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    #[test]
    fn a_branch_names_its_transaction_and_no_other_does() {
        let branches = Branches::new(Keys::derive(&[7; 32]).branch, 9);
        let client = Id {
            index: 77,
            counter: 4_000_000_000,
        };
        let mut text = Vec::new();
        branches.write_stateful(&mut text, 3, client, 0xabcd);
        assert_eq!(
            branches.read(&text),
            Some(OurBranch::Stateful { shard: 3, client })
        );
        assert_eq!(Branches::loop_part(&text), Some(0xabcd));
        assert_eq!(branches.shard_of(&text), Some(3));
        for i in 8..text.len() - 16 {
            let mut forged = text.clone();
            forged[i] = if forged[i] == b'0' { b'1' } else { b'0' };
            assert_eq!(branches.read(&forged), None, "digit {i}");
        }
        let next_start = Branches::new(Keys::derive(&[7; 32]).branch, 10);
        assert_eq!(next_start.read(&text), None);
        assert_eq!(next_start.shard_of(&text), None);
    }

    #[test]
    fn hexadecimal_digits_are_as_the_standard_library_writes_them() {
        for value in [
            0,
            1,
            0x0123_4567_89ab_cdef,
            0xfedc_ba98_7654_3210,
            u64::MAX,
            0x9a00_0000_00a9,
        ] {
            assert_eq!(hex_digits(value), format!("{value:016x}").as_bytes());
            assert_eq!(hex(&hex_digits(value)), Some(value));
        }
    }

    #[test]
    fn a_quoted_datagram_gives_its_branch() {
        let branches = Branches::new(Keys::derive(&[7; 32]).branch, 9);
        let client = Id { index: 1, counter: 2 };
        let mut text = b"INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=".to_vec();
        branches.write_stateful(&mut text, 0, client, 5);
        text.extend_from_slice(b"\r\nVia: cut o");
        assert_eq!(
            branches.find(&text),
            Some(OurBranch::Stateful { shard: 0, client })
        );
    }
}
