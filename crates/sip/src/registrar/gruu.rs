//! Globally routable user agent URIs (RFC 5627): URIs that lead to one instance of a user's phones.
//!
//! The public one is the address-of-record with the instance ID in its `gr` parameter (§3.1.1). The temporary one hides both
//! (§3.1.2): its user part is what a node needs to find the instance, enciphered. Neither is remembered anywhere.
//!
//! ```text
//! user part = "tgruu." sealed                     ; of check:u64 nonce:u64 and the user, bound to the host
//! check     = keyed hash of the instance ID and its epoch
//! nonce     = keyed hash of the REGISTERs that made the contacts of the instance
//! ```
//!
//! What is the same is [`sealed`](super::sealed) the same way: the answer to a retransmitted REGISTER is the one before. Every
//! REGISTER has another nonce; so nobody can tell whether two temporary GRUUs are of one user (§5.1), but for the number of
//! 16-byte blocks that the user's name takes.

use std::fmt;

use strowger_syntax::scan::put_number;
use strowger_syntax::uri::{SipUri, escape};
use strowger_syntax::{Message, Name};

use super::binding::{Binding, Bindings};
use super::sealed::{Room, Seal};
use super::{canonical_aor, canonical_host};
use crate::keys::MacKey;

/// How the user part of a temporary GRUU begins.
const TEMPORARY: &[u8] = b"tgruu.";
/// How the `gr` of an instance ID begins that is written in hexadecimal digits.
const HEX: &[u8] = b"hex.";

/// Check and nonce.
const HEAD: usize = 16;
/// The longest user whose temporary GRUUs are made.
const LONGEST_USER: usize = 1024;

/// What temporary GRUUs are enciphered with.
#[derive(Clone)]
pub struct GruuKey {
    seal: Seal<HEAD, 16>,
    hashes: MacKey,
}

impl fmt::Debug for GruuKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GruuKey")
    }
}

/// A URI with a `gr` parameter, read as a GRUU of an address-of-record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gruu<'a> {
    /// Of the instance that this `gr` stands for.
    Public(&'a [u8]),
    /// Of the instance and epoch that this is the check of.
    Temporary(u64),
}

/// Writes the GRUUs of one address-of-record: into answers to REGISTER, and into what tells of registrations, where
/// `first-cseq` is [`Epoch::first_cseq`](super::Epoch::first_cseq) of the contact's [`epoch`](Binding::epoch) (RFC 5628 §5).
#[derive(Clone, Copy, Debug)]
pub struct Gruus<'a> {
    /// What temporary ones are enciphered with.
    pub key: &'a GruuKey,
    /// The address-of-record in its canonical form.
    pub aor: &'a [u8],
    /// The port that its users write behind its domain.
    pub port: Option<u16>,
}

/// Whether a request says that its sender knows of GRUUs (RFC 5627 §4.1).
pub fn knows_gruu(request: Message<'_>) -> bool {
    request.lists(Name::Supported, b"gruu")
}

impl GruuKey {
    /// Of key material.
    pub(crate) fn new(siv: [u8; 32], hashes: MacKey) -> Self {
        let seal = Seal::new(siv);
        Self { seal, hashes }
    }

    /// Reads a URI of our domain as a GRUU, and leaves the address-of-record in `aor`. `None`, and nothing there, if it has no
    /// `gr` or is no GRUU: one without a value has to be a temporary one that was made with this key for this host.
    pub fn read<'u>(&self, uri: &SipUri<'u>, aor: &mut Vec<u8>) -> Option<Gruu<'u>> {
        aor.clear();
        match uri.params.get(b"gr")? {
            Some(gr) if !gr.is_empty() => {
                uri.user?;
                canonical_aor(uri, aor);
                Some(Gruu::Public(gr))
            }
            _ => self.decipher(uri, aor),
        }
    }

    fn decipher<'u>(&self, uri: &SipUri<'u>, aor: &mut Vec<u8>) -> Option<Gruu<'u>> {
        let text = uri.user?.strip_prefix(TEMPORARY)?;
        canonical_host(&uri.host, aor);
        let mut room = Room::default();
        let Some((head, user)) = self.seal.open(Some(aor), text, &mut room) else {
            aor.clear();
            return None;
        };
        // The domain comes behind the user.
        let domain = aor.len();
        aor.extend_from_slice(user);
        aor.push(b'@');
        aor.rotate_left(domain);
        let (check, _) = head.split_first_chunk()?;
        Some(Gruu::Temporary(u64::from_le_bytes(*check)))
    }

    /// What tells that a temporary GRUU is of an instance in an epoch.
    fn check(&self, instance: &[u8], epoch: u32) -> u64 {
        self.hashes.hash(&[instance, &epoch.to_le_bytes()])
    }
}

impl Gruu<'_> {
    /// The instance that it leads to, by the bindings of the address-of-record that was read with it: the ID as one of them has
    /// it. `None` if that instance has no live binding; a temporary GRUU then holds no more (RFC 5627 §5.3).
    pub fn instance<'r>(&self, key: &GruuKey, record: Bindings<'r>, now_secs: u64) -> Option<&'r [u8]> {
        let is_meant = |binding: &Binding<'_>, instance: &[u8]| match *self {
            Self::Public(gr) => is_gr_of(gr, instance),
            Self::Temporary(check) => binding
                .epoch
                .is_some_and(|epoch| key.check(instance, epoch.id) == check),
        };
        record.live(now_secs).find_map(|binding| {
            let instance = binding.instance()?;
            is_meant(&binding, instance).then_some(instance)
        })
    }
}

impl Gruus<'_> {
    /// Appends the public GRUU of an instance (RFC 5627 §5.4), as a SIPS URI if it is for a contact that is one (RFC 5630
    /// §5.2.1).
    pub fn write_public(&self, secure: bool, instance: &[u8], out: &mut Vec<u8>) {
        let (user, host) = self.split();
        put_scheme(secure, out);
        escape::escape_user_into(user, out);
        self.put_domain(host, out);
        out.extend_from_slice(b";gr=");
        put_gr(instance, out);
    }

    /// Appends the most recent temporary GRUU of an instance, as a SIPS URI if it is for a contact that is one. False, and
    /// nothing is appended, if it has none: no phone that knows of GRUUs has registered it.
    pub fn write_temporary(
        &self,
        secure: bool,
        instance: &[u8],
        record: Bindings<'_>,
        now_secs: u64,
        out: &mut Vec<u8>,
    ) -> bool {
        let (user, host) = self.split();
        let (mut epoch, mut nonce) = (None, 0);
        for binding in record.live(now_secs).filter(|binding| binding.is_of(instance)) {
            let (order, hashes) = (binding.order, &self.key.hashes);
            epoch = epoch.or_else(|| Some((binding.epoch?.id, binding.instance()?)));
            let request = u64::from(order.branch) << 32 | u64::from(order.cseq);
            nonce = hashes.hash_of_numbers([nonce, request, hashes.hash_of(order.call_id)]);
        }
        let Some((epoch, instance)) = epoch.filter(|_| user.len() <= LONGEST_USER) else {
            return false;
        };
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&self.key.check(instance, epoch).to_le_bytes());
        head[8..].copy_from_slice(&nonce.to_le_bytes());
        let begin = out.len();
        put_scheme(secure, out);
        out.extend_from_slice(TEMPORARY);
        if !self.key.seal.seal(Some(host), head, user, out) {
            out.truncate(begin);
            return false;
        }
        self.put_domain(host, out);
        out.extend_from_slice(b";gr");
        true
    }

    /// Appends the parameters of a binding's Contact in a 200 to REGISTER (RFC 5627 §5.2).
    pub(super) fn write_params(
        &self,
        binding: &Binding<'_>,
        record: Bindings<'_>,
        now_secs: u64,
        out: &mut Vec<u8>,
    ) {
        let Some(instance) = binding.instance() else {
            return;
        };
        let secure = is_secure(binding.contact);
        out.extend_from_slice(b";pub-gruu=\"");
        self.write_public(secure, instance, out);
        let end = out.len();
        out.extend_from_slice(b"\";temp-gruu=\"");
        if !self.write_temporary(secure, instance, record, now_secs, out) {
            out.truncate(end);
        }
        out.push(b'"');
    }

    /// User and domain.
    fn split(&self) -> (&[u8], &[u8]) {
        match self.aor.iter().rposition(|&b| b == b'@') {
            Some(at) => (&self.aor[..at], &self.aor[at + 1..]),
            None => (&[], self.aor),
        }
    }

    fn put_domain(&self, host: &[u8], out: &mut Vec<u8>) {
        out.push(b'@');
        out.extend_from_slice(host);
        if let Some(port) = self.port {
            out.push(b':');
            put_number(out, u64::from(port));
        }
    }
}

/// Whether a URI is a SIPS URI.
pub fn is_secure(uri: &[u8]) -> bool {
    uri.get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"))
}

fn put_scheme(secure: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if secure { b"sips:" } else { b"sip:" });
}

/// Appends the `gr` of an instance ID. In URIs case does not count, so that of an instance ID in which it does is written in
/// hexadecimal digits (RFC 5627 §5.4: GRUUs of different instances differ).
fn put_gr(instance: &[u8], out: &mut Vec<u8>) {
    if !is_hex_written(instance) {
        return escape::escape_param_into(instance, out);
    }
    out.extend_from_slice(HEX);
    for digit in hex_digits(instance) {
        out.push(digit);
    }
}

/// Whether a `gr` is that of an instance ID.
fn is_gr_of(gr: &[u8], instance: &[u8]) -> bool {
    if !is_hex_written(instance) {
        return escape::spells_ignoring_case(gr, instance);
    }
    let Some(digits) = gr.get(HEX.len()..).filter(|_| is_hex_begun(gr)) else {
        return false;
    };
    digits.iter().map(u8::to_ascii_lowercase).eq(hex_digits(instance))
}

fn is_hex_written(instance: &[u8]) -> bool {
    is_hex_begun(instance) || !is_uuid(instance) && instance.iter().any(u8::is_ascii_uppercase)
}

/// Whether case does not count in an instance ID (RFC 5626 §4.1).
fn is_uuid(instance: &[u8]) -> bool {
    instance
        .get(..9)
        .is_some_and(|urn| urn.eq_ignore_ascii_case(b"urn:uuid:"))
}

fn is_hex_begun(text: &[u8]) -> bool {
    text.get(..HEX.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(HEX))
}

fn hex_digits(text: &[u8]) -> impl Iterator<Item = u8> {
    let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
    text.iter().flat_map(move |&b| [digit(b >> 4), digit(b & 15)])
}

#[cfg(test)]
mod tests;
