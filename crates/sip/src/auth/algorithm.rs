//! The digest algorithms of RFC 8760 §2.1 and the values they make.

use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

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
    pub(super) fn hash<'p>(self, parts: impl Iterator<Item = &'p [u8]>) -> Hex {
        match self {
            Self::Md5 => hash::<Md5>(parts),
            Self::Sha256 => hash::<Sha256>(parts),
            Self::Sha512_256 => hash::<Sha512_256>(parts),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn hash<'p, D: Digest>(parts: impl Iterator<Item = &'p [u8]>) -> Hex {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    Hex::of(&digest.finalize())
}

/// A digest of at most 32 bytes as lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hex {
    digits: [u8; 64],
    len: u8,
}

impl Hex {
    fn of(digest: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(digest) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self {
            digits,
            len: (2 * digest.len().min(32)) as u8,
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
        Self(algorithm.hash([user, b":", realm, b":", password].into_iter()))
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
        Self(Hex::of(&digest[..algorithm.hex_len() / 2]))
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
        let empty = Algorithm::Sha256.hash([].into_iter());
        assert_eq!(
            empty.as_bytes(),
            b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let empty = Algorithm::Md5.hash([].into_iter());
        assert_eq!(empty.as_bytes(), b"d41d8cd98f00b204e9800998ecf8427e");
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
