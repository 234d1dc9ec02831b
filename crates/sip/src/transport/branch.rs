//! Our branch parameters: `z9hG4bK`, a kind, and a token.
//!
//! Kind `t` names a client transaction by shard, place and allocation counter, so that a response finds it without a
//! search; a MAC keeps others from naming one. Kind `s` is a MAC, the same whenever the same request is
//! forwarded without state (RFC 3261 §16.11). Behind both stands the loop part (RFC 5393 §4.2): a keyed hash over
//! what routing depends on.

use crate::keys::MacKey;
use crate::memory::Id;

const COOKIE: &[u8] = b"z9hG4bK";
/// What the branch of a client transaction begins with. The number of its shard follows, as four hexadecimal digits.
pub const BEFORE_SHARD: [u8; 8] = *b"z9hG4bKt";
/// shard, index, counter, boot id, MAC: 4 + 8 + 8 + 4 + 8 digits.
const TOKEN_DIGITS: usize = 32;
/// What follows the cookie: kind, token and loop part.
const STATEFUL: usize = 1 + TOKEN_DIGITS + 16;
const STATELESS: usize = 1 + TOKEN_DIGITS / 2 + 16;

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
        /// The MAC. It is the transaction's, or somebody made the name up.
        check: u32,
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

    /// The MAC that stands behind the name of a client transaction. Who keeps it with the transaction need not make it again
    /// for every response.
    pub fn check(&self, shard: u16, client: Id) -> u32 {
        let name = u64::from(client.index) << 32 | u64::from(client.counter);
        self.key.mac_of_numbers([
            name,
            u64::from(b't') << 32 | u64::from(shard) << 16 | u64::from(self.boot),
        ]) as u32
    }

    /// Appends the branch of a client transaction.
    pub fn write_stateful(&self, out: &mut Vec<u8>, shard: u16, client: Id, check: u32, loop_part: u64) {
        let name = u64::from(shard) << 48 | u64::from(client.index) << 16 | u64::from(client.counter >> 16);
        let rest = u64::from(client.counter & 0xffff) << 48 | u64::from(self.boot) << 32;
        let mut text = [b'_'; BEFORE_SHARD.len() + TOKEN_DIGITS + 16];
        text[..8].copy_from_slice(&BEFORE_SHARD);
        text[8..24].copy_from_slice(&hex_digits(name));
        text[24..40].copy_from_slice(&hex_digits(rest | u64::from(check)));
        text[40..].copy_from_slice(&hex_digits(loop_part));
        out.extend_from_slice(&text);
    }

    /// The token of a stateless branch: a MAC of the key of a server transaction and of the address that its answers go to.
    pub fn stateless_token(&self, key: u64, ip: u128, port: u16) -> u64 {
        self.key.mac_of_numbers([
            key,
            ip as u64,
            (ip >> 64) as u64,
            u64::from(b's') << 32 | u64::from(port),
        ])
    }

    /// Appends a stateless branch.
    pub fn write_stateless(&self, out: &mut Vec<u8>, token: u64, loop_part: u64) {
        let mut text = *b"z9hG4bKs________________________________";
        text[8..24].copy_from_slice(&hex_digits(token));
        text[24..].copy_from_slice(&hex_digits(loop_part));
        out.extend_from_slice(&text);
    }

    /// Reads a branch; `None` when it is not of this start. Whether it is ours is shown by the check of a stateful one, and
    /// by what a stateless one was made from.
    pub fn read(&self, branch: &[u8]) -> Option<OurBranch> {
        let rest = branch.strip_prefix(COOKIE)?;
        match (rest.first()?, rest.len()) {
            (b't', STATEFUL) => {
                let ([name, rest, _], []) = rest[1..].as_chunks::<16>() else {
                    return None;
                };
                let [name, rest] = [name, rest].map(number_of);
                let shard = (name >> 48) as u16;
                let client = Id {
                    index: (name >> 16) as u32,
                    counter: (name << 16) as u32 | (rest >> 48) as u32,
                };
                let check = rest as u32;
                ((rest >> 32) as u16 == self.boot).then_some(OurBranch::Stateful { shard, client, check })
            }
            (b's', STATELESS) => hex(&rest[1..17]).map(|token| OurBranch::Stateless { token }),
            _ => None,
        }
    }

    /// The shard that a branch names as the owner of its transaction. It proves nothing: the owner reads the whole branch.
    pub fn shard_of(&self, branch: &[u8]) -> Option<u16> {
        match self.read(branch)? {
            OurBranch::Stateful { shard, .. } => Some(shard),
            OurBranch::Stateless { .. } => None,
        }
    }

    /// The loop part of a branch that may be ours.
    pub fn loop_part(branch: &[u8]) -> Option<u64> {
        let rest = branch.strip_prefix(COOKIE)?;
        let at = match (rest.first()?, rest.len()) {
            (b't', STATEFUL) => 1 + TOKEN_DIGITS,
            (b's', STATELESS) => 1 + TOKEN_DIGITS / 2,
            _ => return None,
        };
        hex(&rest[at..])
    }

    /// One of our stateful branches somewhere in a text, such as the beginning of a datagram that ICMP gave back.
    pub fn find(&self, text: &[u8]) -> Option<OurBranch> {
        let at = memchr::memmem::find(text, COOKIE)?;
        self.read(text.get(at..at + COOKIE.len() + STATEFUL)?)
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

/// Reads 16 hexadecimal digits of lower case.
pub fn hex(digits: &[u8]) -> Option<u64> {
    let digits = digits.as_array()?;
    let value = number_of(digits);
    (hex_digits(value) == *digits).then_some(value)
}

/// The number that 16 hexadecimal digits spell; some number if they are none.
fn number_of(digits: &[u8; 16]) -> u64 {
    let ([high, low], _) = digits.as_chunks() else {
        return 0;
    };
    half_number_of(*high) << 32 | half_number_of(*low)
}

/// The other way round of [`half_hex_digits`], for digits of either case.
fn half_number_of(digits: [u8; 8]) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_be_bytes(digits);
    let bytes = ((text & (EACH * 15)) + (text >> 6 & EACH) * 9) & (EACH * 15);
    let pairs = (bytes | bytes >> 4) & 0x00ff_00ff_00ff_00ff;
    let quads = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (quads | quads >> 16) & 0xffff_ffff
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
        let check = branches.check(3, client);
        branches.write_stateful(&mut text, 3, client, check, 0xabcd);
        let own = Some(OurBranch::Stateful {
            shard: 3,
            client,
            check,
        });
        assert_eq!(branches.read(&text), own);
        assert_eq!(text[..12], *b"z9hG4bKt0003");
        assert_eq!(text[..8], BEFORE_SHARD);
        assert_eq!(Branches::loop_part(&text), Some(0xabcd));
        assert_eq!(branches.shard_of(&text), Some(3));
        for i in 8..text.len() - 16 {
            let mut forged = text.clone();
            forged[i] = if forged[i] == b'0' { b'1' } else { b'0' };
            match branches.read(&forged) {
                Some(OurBranch::Stateful { shard, client, check }) => {
                    assert_ne!(branches.check(shard, client), check, "digit {i}");
                }
                other => assert_eq!(other, None, "digit {i}"),
            }
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
        branches.write_stateful(&mut text, 0, client, 6, 5);
        text.extend_from_slice(b"\r\nVia: cut o");
        assert_eq!(
            branches.find(&text),
            Some(OurBranch::Stateful {
                shard: 0,
                client,
                check: 6
            })
        );
    }
}
