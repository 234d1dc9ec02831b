//! Texts that a node hands out and reads again, and that tell nobody else anything: enciphered and authenticated in one.
//!
//! ```text
//! sealed  = base64url(AES-SIV(bound-to; head text padding))
//! padding = 0x80 *0x00                               ; to a multiple of a block
//! ```
//!
//! AES-SIV (RFC 5297) is deterministic: the same is sealed the same way. Two texts that differ anywhere have nothing in common when
//! they are sealed, but for the number of blocks that they take.

use aes_siv::siv::Aes128Siv;
use aes_siv::{KeyInit as _, Tag};
use data_encoding::BASE64URL_NOPAD;
use memchr::memrchr;

const TAG: usize = 16;
const LONGEST_PLAIN: usize = 1104;
const LONGEST_TEXT: usize = (TAG + LONGEST_PLAIN) * 4 / 3 + 2;

/// What is sealed with. There are `HEAD` bytes before each text.
#[derive(Clone)]
pub(super) struct Seal<const HEAD: usize, const BLOCK: usize>([u8; 32]);

/// The room in which something sealed is read.
pub(super) struct Room([u8; TAG + LONGEST_PLAIN]);

impl Default for Room {
    fn default() -> Self {
        Self([0; TAG + LONGEST_PLAIN])
    }
}

impl<const HEAD: usize, const BLOCK: usize> Seal<HEAD, BLOCK> {
    /// Of key material.
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Appends a head and a text, sealed; it is read only together with what it is bound to. False, and nothing is appended, if the
    /// text is too long.
    pub(super) fn seal(
        &self,
        bound_to: Option<&[u8]>,
        head: [u8; HEAD],
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let mut room = Room::default();
        let end = HEAD + text.len();
        let Some(sealed) = room.0.get_mut(..TAG + (end + 1).next_multiple_of(BLOCK)) else {
            return false;
        };
        let (tag, plain) = sealed.split_at_mut(TAG);
        plain[..HEAD].copy_from_slice(&head);
        plain[HEAD..end].copy_from_slice(text);
        plain[end] = 0x80;
        let mut siv = Aes128Siv::new(&self.0.into());
        let Ok(made) = siv.encrypt_inout_detached(bound_to, (&mut *plain).into()) else {
            return false;
        };
        tag.copy_from_slice(&made);
        let mut text = [0; LONGEST_TEXT];
        let text = &mut text[..BASE64URL_NOPAD.encode_len(sealed.len())];
        BASE64URL_NOPAD.encode_mut(sealed, text);
        out.extend_from_slice(text);
        true
    }

    /// Reads head and text of what was sealed with this key, bound to the same.
    pub(super) fn open<'r>(
        &self,
        bound_to: Option<&[u8]>,
        sealed: &[u8],
        room: &'r mut Room,
    ) -> Option<(&'r [u8; HEAD], &'r [u8])> {
        let len = BASE64URL_NOPAD.decode_len(sealed.len()).ok()?;
        let bytes = room.0.get_mut(..len)?;
        BASE64URL_NOPAD.decode_mut(sealed, bytes).ok()?;
        let (tag, plain) = bytes.split_at_mut_checked(TAG)?;
        let tag = Tag::try_from(&*tag).ok()?;
        let mut siv = Aes128Siv::new(&self.0.into());
        siv.decrypt_inout_detached(bound_to, (&mut *plain).into(), &tag)
            .ok()?;
        let (head, text) = plain.split_first_chunk::<HEAD>()?;
        Some((head, &text[..memrchr(0x80, text)?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal<2, 16> {
        Seal::new([3; 32])
    }

    fn opened(bound_to: Option<&[u8]>, sealed: &[u8]) -> Option<([u8; 2], Vec<u8>)> {
        let mut room = Room::default();
        let (head, text) = seal().open(bound_to, sealed, &mut room)?;
        Some((*head, text.to_vec()))
    }

    #[test]
    fn what_is_sealed_is_read_together_with_what_it_is_bound_to() {
        for text in [&b""[..], b"a", b"\x80\x80", &[0; 13], &[7; 14], &[9; 1085]] {
            for bound_to in [None, Some(&b"host"[..])] {
                let mut sealed = Vec::new();
                assert!(seal().seal(bound_to, [1, 2], text, &mut sealed));
                assert_eq!(opened(bound_to, &sealed), Some(([1, 2], text.to_vec())));
                assert_eq!(opened(Some(b"other"), &sealed), None);
                for place in [0, 21, sealed.len() / 2, sealed.len() - 2] {
                    let mut changed = sealed.clone();
                    changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
                    assert_eq!(opened(bound_to, &changed), None);
                }
            }
        }
    }

    #[test]
    fn what_is_too_long_is_not_sealed_and_what_is_not_sealed_is_not_read() {
        let mut out = b"before".to_vec();
        assert!(!seal().seal(None, [0; 2], &[0; 1102], &mut out));
        assert_eq!(out, b"before");
        for wrong in [&b""[..], b"A", b"!!!!", &[b'A'; 22], &[b'A'; 5000]] {
            assert_eq!(opened(None, wrong), None);
        }
    }
}
