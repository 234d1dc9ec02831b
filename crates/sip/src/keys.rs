//! Keys derived from the node's one secret. Everything that must be recognised when it comes back (branches,
//! nonces, To tags, Record-Route tokens) carries a MAC under a key of its own, so that a token made for one purpose is
//! worth nothing for another. The same secret gives the same keys: a restart breaks nothing.

use std::fmt;
use std::hash::Hasher;

use sha2::{Digest as _, Sha256};
use siphasher::sip::{SipHasher13, SipHasher24};
use subtle::ConstantTimeEq as _;

use crate::registrar::{GruuKey, PurrKey};

/// A 128-bit key for short MACs (SipHash-2-4).
#[derive(Clone)]
pub struct MacKey([u8; 16]);

impl MacKey {
    /// A key of these bytes.
    pub const fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// The MAC of a sequence of parts. Each part's length counts, so `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn mac(&self, parts: &[&[u8]]) -> u64 {
        let hasher = SipHasher24::new_with_key(&self.0);
        match gather(parts, &mut [0; GATHERED]) {
            Some(text) => hasher.hash(text),
            None => hash_parts(hasher, parts),
        }
    }

    /// The MAC of at least two numbers, which no sequence of parts that is used under the same key spells.
    pub fn mac_of_numbers<const N: usize>(&self, numbers: [u64; N]) -> u64 {
        let text = numbers.map(u64::to_le_bytes);
        SipHasher24::new_with_key(&self.0).hash(text.as_flattened())
    }

    /// [`hash`](Self::hash) of at least two numbers, which no sequence of parts that is used under the same key spells.
    pub fn hash_of_numbers<const N: usize>(&self, numbers: [u64; N]) -> u64 {
        let text = numbers.map(u64::to_le_bytes);
        SipHasher13::new_with_key(&self.0).hash(text.as_flattened())
    }

    /// A keyed hash of parts that is shown to nobody, or proves nothing (SipHash-1-3): for tables, for the choice of a
    /// shard, for recognising what passed here before.
    pub fn hash(&self, parts: &[&[u8]]) -> u64 {
        let hasher = SipHasher13::new_with_key(&self.0);
        match gather(parts, &mut [0; GATHERED]) {
            Some(text) => hasher.hash(text),
            None => hash_parts(hasher, parts),
        }
    }

    /// [`hash`](Self::hash) of one text, which is not the hash of it as a part.
    pub fn hash_of(&self, text: &[u8]) -> u64 {
        SipHasher13::new_with_key(&self.0).hash(text)
    }

    /// Whether `mac` is the MAC of these parts, in a time that does not tell how much of it is right.
    pub fn verify(&self, parts: &[&[u8]], mac: u64) -> bool {
        self.mac(parts).ct_eq(&mac).into()
    }
}

/// Parts of so many bytes with their lengths are put together first: a hasher is quickest with one text.
const GATHERED: usize = 256;

/// Puts parts together, each behind its length.
fn gather<'t>(parts: &[&[u8]], text: &'t mut [u8; GATHERED]) -> Option<&'t [u8]> {
    let mut len = 0;
    for part in parts {
        let (length, place) = text
            .get_mut(len..len + 4 + part.len())?
            .split_first_chunk_mut::<4>()?;
        *length = (part.len() as u32).to_le_bytes();
        place.copy_from_slice(part);
        len += 4 + part.len();
    }
    Some(&text[..len])
}

/// The same hash for parts of any length.
#[cold]
fn hash_parts(mut hasher: impl Hasher, parts: &[&[u8]]) -> u64 {
    for part in parts {
        hasher.write(&(part.len() as u32).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}

/// The keys of a node, one for each purpose.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Via branches (RFC 3261 §16.6 step 8, §16.11).
    pub branch: MacKey,
    /// Digest nonces (RFC 7616 §3.3).
    pub nonce: MacKey,
    /// To tags of answers made without state (RFC 3261 §8.2.7).
    pub to_tag: MacKey,
    /// Record-Route tokens (RFC 3261 §16.6 step 4).
    pub record_route: MacKey,
    /// What the node makes up as a user agent: Call-IDs, tags and client nonces (RFC 3261 §8.1.1, RFC 7616 §3.4).
    pub user_agent: MacKey,
    /// Flow tokens (RFC 5626 §5.2).
    pub flow: MacKey,
    /// The other half of the secret of [`KeyHasher`](crate::transaction::KeyHasher).
    pub tables: MacKey,
    /// Temporary GRUUs (RFC 5627 §5.4).
    pub gruu: GruuKey,
    /// References to registrations (RFC 8599 §6.2.1).
    pub purr: PurrKey,
}

impl Keys {
    /// Derives every key from the node's secret.
    pub fn derive(secret: &[u8; 32]) -> Self {
        let key = |label: &[u8]| MacKey(first_half(&hmac_sha256(secret, label)));
        Self {
            branch: key(b"strowger branch"),
            nonce: key(b"strowger nonce"),
            to_tag: key(b"strowger to-tag"),
            record_route: key(b"strowger record-route"),
            user_agent: key(b"strowger user-agent"),
            flow: key(b"strowger flow"),
            tables: key(b"strowger tables"),
            gruu: GruuKey::new(hmac_sha256(secret, b"strowger gruu"), key(b"strowger gruu check")),
            purr: PurrKey::new(
                hmac_sha256(secret, b"strowger purr"),
                key(b"strowger purr device"),
            ),
        }
    }
}

fn first_half(digest: &[u8; 32]) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

/// HMAC-SHA-256 (RFC 2104) with a key shorter than a block.
fn hmac_sha256(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let mut inner = [0x36u8; 64];
    let mut outer = [0x5cu8; 64];
    for (i, byte) in key.iter().enumerate() {
        inner[i] ^= byte;
        outer[i] ^= byte;
    }
    let inner = Sha256::new().chain_update(inner).chain_update(text).finalize();
    Sha256::new()
        .chain_update(outer)
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_agrees_with_a_known_answer() {
        // The key and text of test case 2 in RFC 4231 ("Jefe"), the key padded with the zeroes that HMAC itself would add.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let digest = hmac_sha256(&key, b"what do ya want for nothing?");
        assert_eq!(digest[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn one_secret_gives_the_same_keys_and_each_purpose_another() {
        let (a, b) = (Keys::derive(&[7; 32]), Keys::derive(&[7; 32]));
        let macs = |k: &Keys| {
            [
                &k.branch,
                &k.nonce,
                &k.to_tag,
                &k.record_route,
                &k.flow,
                &k.tables,
            ]
            .map(|k| k.mac(&[b"x"]))
        };
        assert_eq!(macs(&a), macs(&b));
        let mut all = macs(&a).to_vec();
        all.extend(macs(&Keys::derive(&[8; 32])));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 12, "no two keys are alike");
    }

    #[test]
    fn the_bounds_between_parts_count() {
        let key = MacKey::new([1; 16]);
        assert_ne!(key.mac(&[b"ab", b"c"]), key.mac(&[b"a", b"bc"]));
        assert_ne!(key.mac(&[b"ab"]), key.mac(&[b"ab", b""]));
        let mac = key.mac(&[b"ab", b"c"]);
        assert!(key.verify(&[b"ab", b"c"], mac));
        assert!(!key.verify(&[b"ab", b"c"], mac ^ 1));
    }

    #[test]
    fn parts_of_any_length_have_one_mac() {
        let key = MacKey::new([1; 16]);
        for len in 0..GATHERED {
            let parts: [&[u8]; 2] = [&vec![b'a'; len], b"tag"];
            let fresh = SipHasher24::new_with_key(&[1; 16]);
            assert_eq!(key.mac(&parts), hash_parts(fresh, &parts), "{len}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?} {:?}", MacKey::new([171; 16]), Keys::derive(&[171; 32]));
        assert!(!shown.contains("171") && !shown.contains("ab, "), "{shown}");
        assert!(!shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
    }
}
