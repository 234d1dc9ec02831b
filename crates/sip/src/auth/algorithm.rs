//! The digest algorithms of RFC 8760 §2.1 and the values they make.

use std::fmt;

use md5::Md5;
use md5::block_api::compress;
use sha2::{Digest, Sha256, Sha512_256};
use strowger_syntax::scan::find_near;

/// A digest algorithm. The `-sess` variants are neither offered nor accepted: their A1 holds the nonces of the first
/// challenge of a session (RFC 7616 §3.4.2), which would be state for every phone and proves nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// MD5, which is what most deployed phones can do.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512/256.
    Sha512_256,
}

impl Algorithm {
    /// Every algorithm, the strongest first.
    pub const ALL: [Self; 3] = [Self::Sha512_256, Self::Sha256, Self::Md5];

    /// The token of an `algorithm` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Reads a token; case does not matter.
    pub fn from_token(token: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|a| token.eq_ignore_ascii_case(a.as_str().as_bytes()))
    }

    /// How many hexadecimal digits a digest has (RFC 8760 §2.2).
    pub const fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 | Self::Sha512_256 => 64,
        }
    }

    /// H(): the digest of the parts one after the other, in lower-case hexadecimal.
    pub(super) fn hash(self, parts: &[&[u8]]) -> Hex {
        let mut text = Text::new(self);
        for part in parts {
            text.push(part);
        }
        text.hash()
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes of a text that is hashed in one go: four blocks of MD5, less what they end with.
const SHORT: usize = 4 * 64 - 9;

/// A text on its way to its digest. It is put together first as long as it is short, as nearly all are: what hashes in
/// pieces keeps a block of its own and copies every piece.
pub(super) struct Text {
    algorithm: Algorithm,
    /// What has not gone to `long`, and zeroes.
    bytes: [u8; 4 * 64],
    len: usize,
    long: Option<Long>,
}

impl Text {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            bytes: [0; 4 * 64],
            len: 0,
            long: None,
        }
    }

    /// Appends a part.
    #[inline]
    pub(super) fn push(&mut self, part: &[u8]) {
        match self.bytes[..SHORT].get_mut(self.len..self.len + part.len()) {
            Some(place) => {
                place.copy_from_slice(part);
                self.len += part.len();
            }
            None => self.push_long(part),
        }
    }

    /// Appends the inside of a quoted string without the backslashes that escape (RFC 7616 `unq`).
    #[inline]
    pub(super) fn push_unquoted(&mut self, inside: &[u8]) {
        if find_near(inside, b'\\').is_some() {
            return unquoted(inside).for_each(|piece| self.push(piece));
        }
        self.push(inside);
    }

    #[cold]
    fn push_long(&mut self, part: &[u8]) {
        let long = self.long.get_or_insert_with(|| Long::new(self.algorithm));
        long.update(&self.bytes[..self.len]);
        long.update(part);
        self.len = 0;
    }

    /// The digest.
    pub(super) fn hash(mut self) -> Hex {
        if self.algorithm == Algorithm::Md5 && self.long.is_none() {
            return self.md5();
        }
        self.push_long(&[]);
        self.long.map_or_else(|| Hex::of([0; 32]), Long::hash)
    }

    /// RFC 1321 §3.1 to §3.4: the padding, the length in bits and the blocks.
    fn md5(&mut self) -> Hex {
        let bits = 8 * self.len as u64;
        self.bytes[self.len] = 0x80;
        let (blocks, _) = self.bytes.as_chunks_mut::<64>();
        let blocks = &mut blocks[..=(self.len + 8) / 64];
        if let Some(end) = blocks.last_mut().and_then(|block| block.last_chunk_mut()) {
            *end = bits.to_le_bytes();
        }
        let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        compress(&mut state, blocks);
        let mut digest = [0; 16];
        digest
            .as_chunks_mut()
            .0
            .copy_from_slice(&state.map(u32::to_le_bytes));
        Hex::of(digest)
    }
}

/// The digest of a text of any length.
enum Long {
    Md5(Md5),
    Sha256(Sha256),
    Sha512_256(Sha512_256),
}

impl Long {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512_256 => Self::Sha512_256(Sha512_256::new()),
        }
    }

    fn update(&mut self, part: &[u8]) {
        match self {
            Self::Md5(digest) => digest.update(part),
            Self::Sha256(digest) => digest.update(part),
            Self::Sha512_256(digest) => digest.update(part),
        }
    }

    fn hash(self) -> Hex {
        match self {
            Self::Md5(digest) => Hex::of::<16>(digest.finalize().into()),
            Self::Sha256(digest) => Hex::of::<32>(digest.finalize().into()),
            Self::Sha512_256(digest) => Hex::of::<32>(digest.finalize().into()),
        }
    }
}

/// The pieces of a quoted string's inside between the backslashes that escape.
fn unquoted(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // An escaped character is the first of its piece, so the search begins behind it.
        let begin = usize::from(rest[0] == b'\\' && rest.len() > 1);
        let next = rest[begin + 1..].iter().position(|&b| b == b'\\');
        let end = next.map_or(rest.len(), |at| at + begin + 1);
        let piece = &rest[begin..end];
        rest = &rest[end..];
        Some(piece)
    })
}

/// A digest of at most 32 bytes as lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hex {
    digits: [u8; 64],
    len: u8,
}

impl Hex {
    /// Of 16 or 32 bytes.
    fn of<const N: usize>(digest: [u8; N]) -> Self {
        let digit = |value| value + if value < 10 { b'0' } else { b'a' - 10 };
        let pairs = digest.map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        let mut digits = [0; 64];
        digits[..2 * N].copy_from_slice(pairs.as_flattened());
        Self {
            digits,
            len: 2 * N as u8,
        }
    }

    /// The digits.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[..usize::from(self.len)]
    }
}

/// H(A1) (RFC 7616 §3.4.2): what is stored of a password, for one algorithm. Whoever has it can answer challenges
/// of its realm, so it is not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ha1(pub(super) Hex);

impl Ha1 {
    /// The H(A1) of a user, realm and password.
    pub fn compute(algorithm: Algorithm, user: &[u8], realm: &[u8], password: &[u8]) -> Self {
        Self(algorithm.hash(&[user, b":", realm, b":", password]))
    }

    /// Reads 32 or 64 hexadecimal digits, whichever the algorithm has; `None` for anything else.
    pub fn from_hex(algorithm: Algorithm, text: &[u8]) -> Option<Self> {
        if text.len() != algorithm.hex_len() || !text.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut digits = [0; 64];
        digits[..text.len()].copy_from_slice(text);
        digits.make_ascii_lowercase();
        Some(Self(Hex {
            digits,
            len: text.len() as u8,
        }))
    }

    /// The digits in lower case, to be stored.
    pub fn as_hex(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Of a digest in binary, which takes half the space to store; of MD5 the first 16 bytes count.
    pub fn from_digest(digest: &[u8; 32], algorithm: Algorithm) -> Self {
        Self(match (algorithm, digest.first_chunk::<16>()) {
            (Algorithm::Md5, Some(half)) => Hex::of(*half),
            _ => Hex::of(*digest),
        })
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hex(not shown)")
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_in_any_case_and_session_variants_are_not() {
        for algorithm in Algorithm::ALL {
            let token = algorithm.as_str().to_lowercase();
            assert_eq!(Algorithm::from_token(token.as_bytes()), Some(algorithm));
        }
        for refused in ["", "MD5-sess", "SHA-256-sess", "SHA-512", "SHA256", "AKAv1-MD5"] {
            assert_eq!(Algorithm::from_token(refused.as_bytes()), None, "{refused}");
        }
    }

    #[test]
    fn the_digest_of_nothing_is_the_one_rfc_8760_prints() {
        let empty = Algorithm::Sha256.hash(&[]);
        assert_eq!(
            empty.as_bytes(),
            b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let empty = Algorithm::Md5.hash(&[]);
        assert_eq!(empty.as_bytes(), b"d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn short_and_long_texts_have_the_digests_that_they_have_in_pieces() {
        let text: Vec<u8> = (0..=255).cycle().take(600).collect();
        for algorithm in Algorithm::ALL {
            for len in (0..300).chain([511, 512, 600]) {
                let mut long = Long::new(algorithm);
                long.update(&text[..len]);
                let expected = long.hash();
                let (head, tail) = text[..len].split_at(len / 3);
                assert!(algorithm.hash(&[&text[..len]]) == expected, "{algorithm} {len}");
                assert!(algorithm.hash(&[head, tail]) == expected, "{algorithm} {len}");
            }
        }
    }

    #[test]
    fn escaping_backslashes_are_left_out() {
        for (given, meant) in [
            ("", ""),
            ("ab", "ab"),
            (r#"a\"b"#, "a\"b"),
            (r"a\\b", r"a\b"),
            (r"\\\\", r"\\"),
            (r"\", r"\"),
            (r"a\", r"a\"),
        ] {
            let joined: Vec<u8> = unquoted(given.as_bytes()).flatten().copied().collect();
            assert_eq!(joined, meant.as_bytes(), "{given}");
            let mut text = Text::new(Algorithm::Md5);
            text.push_unquoted(given.as_bytes());
            assert_eq!(text.bytes[..text.len], *meant.as_bytes(), "{given}");
        }
    }

    #[test]
    fn stored_ha1_is_read_back_in_any_case_and_only_at_its_length() {
        let ha1 = Ha1::compute(
            Algorithm::Md5,
            b"Mufasa",
            b"testrealm@host.com",
            b"Circle Of Life",
        );
        assert_eq!(ha1.as_hex(), b"939e7578ed9e3c518a452acee763bce9");
        let upper = ha1.as_hex().to_ascii_uppercase();
        assert_eq!(Ha1::from_hex(Algorithm::Md5, &upper), Some(ha1));
        assert_eq!(Ha1::from_hex(Algorithm::Sha256, &upper), None);
        assert_eq!(Ha1::from_hex(Algorithm::Md5, &upper[1..]), None);
        assert_eq!(Ha1::from_hex(Algorithm::Md5, &[b'g'; 32]), None);
    }

    #[test]
    fn debug_does_not_show_ha1() {
        let ha1 = Ha1::compute(Algorithm::Sha256, b"a", b"b", b"c");
        assert_eq!(format!("{ha1:?}"), "Ha1(not shown)");
    }
}
