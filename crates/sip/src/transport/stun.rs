//! STUN Binding requests on a SIP port (RFC 5626 §8), answered with where they came from (RFC 8489).
//!
//! It is the limited server that RFC 5626 asks for: no credentials, no other methods, and nothing is sent anywhere but back.

use std::net::{IpAddr, SocketAddr};

/// Bytes of a header (RFC 8489 §5).
const HEADER: usize = 20;

const MAGIC_COOKIE: u32 = 0x2112_A442;

/// Message types of the Binding method (RFC 8489 §5).
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_INDICATION: u16 = 0x0011;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

/// Attributes (RFC 8489 §18.3).
const MAPPED_ADDRESS: u16 = 0x0001;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;

/// An attribute by which clients of RFC 3489 ask for another way back, or, with no flag set, for the usual one.
const CHANGE_REQUEST: u16 = 0x0003;

/// Attributes from here on may be ignored by whoever does not know them (RFC 8489 §14).
const COMPREHENSION_OPTIONAL: u16 = 0x8000;

/// Attributes below that which RFC 8489 defines; in a request that is not authenticated, none of them matters.
const KNOWN: [u16; 11] = [
    MAPPED_ADDRESS,
    0x0006, // USERNAME
    MESSAGE_INTEGRITY,
    ERROR_CODE,
    UNKNOWN_ATTRIBUTES,
    0x0014, // REALM
    0x0015, // NONCE
    MESSAGE_INTEGRITY_SHA256,
    0x001D, // PASSWORD-ALGORITHM
    0x001E, // USERHASH
    XOR_MAPPED_ADDRESS,
];

/// A FINGERPRINT, as bytes of a message: type, length and value.
const FINGERPRINT_LEN: usize = 8;

/// What a fingerprint is mixed with (RFC 8489 §14.7).
const FINGERPRINT_MIX: u32 = 0x5354_554E;

/// What became of a STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Its sender is told where it came from.
    Answered,
    /// It asks for what is not known here; it is told so with 420.
    Refused,
    /// An indication, which has no answer.
    Indication,
    /// It is no request, or none that can be read, and is dropped.
    Dropped,
}

/// Answers a datagram from `peer` that begins as a STUN message: its answer is appended to `out`, if it has any.
///
/// The answer to a request without attributes has 12 bytes more than it with IPv4, and 24 with IPv6.
pub fn answer(datagram: &[u8], peer: SocketAddr, out: &mut Vec<u8>) -> Binding {
    let Some(request) = Request::read(datagram) else {
        return Binding::Dropped;
    };
    match request.kind {
        BINDING_INDICATION => Binding::Indication,
        BINDING_REQUEST if request.unknown().next().is_some() => {
            request.write(BINDING_ERROR, out, |out| request.put_unknown(out));
            Binding::Refused
        }
        BINDING_REQUEST => {
            request.write(BINDING_SUCCESS, out, |out| request.put_address(peer, out));
            Binding::Answered
        }
        _ => Binding::Dropped,
    }
}

/// A message that is well formed.
struct Request<'a> {
    kind: u16,
    /// The magic cookie, or what stands in its place, and the transaction ID.
    id: &'a [u8; 16],
    attributes: &'a [u8],
    has_fingerprint: bool,
}

impl<'a> Request<'a> {
    /// The checks of RFC 8489 §6.3; a FINGERPRINT has to be right if there is one.
    fn read(datagram: &'a [u8]) -> Option<Self> {
        let (head, attributes) = datagram.split_first_chunk::<HEADER>()?;
        let [kind_high, kind_low, len_high, len_low, id @ ..] = head;
        let len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
        if len != attributes.len() || len % 4 != 0 {
            return None;
        }
        let has_fingerprint = has_right_fingerprint(datagram, attributes)?;
        Some(Self {
            kind: u16::from_be_bytes([*kind_high, *kind_low]),
            id,
            attributes,
            has_fingerprint,
        })
    }

    /// Whether it was sent by a client of RFC 3489, which knows no magic cookie (RFC 5389 §12.2).
    fn is_classic(&self) -> bool {
        !self.id.starts_with(&MAGIC_COOKIE.to_be_bytes())
    }

    /// The attributes that would have to be known. What follows MESSAGE-INTEGRITY is none of the message's
    /// (RFC 8489 §14.5).
    fn unknown(&self) -> impl Iterator<Item = u16> {
        let is_classic = self.is_classic();
        attributes(self.attributes)
            .map_while(Result::ok)
            .take_while(|attribute| !matches!(attribute.kind, MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256))
            .filter(move |attribute| {
                let asks_for_nothing =
                    is_classic && attribute.kind == CHANGE_REQUEST && attribute.value == [0; 4];
                attribute.kind < COMPREHENSION_OPTIONAL
                    && !KNOWN.contains(&attribute.kind)
                    && !asks_for_nothing
            })
            .map(|attribute| attribute.kind)
    }

    /// Appends an answer with the attributes that `put` appends.
    fn write(&self, kind: u16, out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(self.id);
        put(out);
        let fingerprint = if self.has_fingerprint { FINGERPRINT_LEN } else { 0 };
        let len = (out.len() - start - HEADER + fingerprint) as u16;
        out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
        if self.has_fingerprint {
            let value = fingerprint_of(&out[start..]);
            put_attribute(FINGERPRINT, 4, out);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }

    /// RFC 8489 §14.1, §14.2: where the request came from; mixed with the header, so that no NAT takes it for an address that
    /// it should rewrite, for all but the clients of RFC 3489.
    fn put_address(&self, peer: SocketAddr, out: &mut Vec<u8>) {
        let mut mix = [0; 16];
        let kind = if self.is_classic() {
            MAPPED_ADDRESS
        } else {
            mix = *self.id;
            XOR_MAPPED_ADDRESS
        };
        let mixed = |byte: u8, with: &u8| byte ^ with;
        let port = peer.port().to_be_bytes();
        let port = port.into_iter().zip(&mix).map(|(byte, with)| mixed(byte, with));
        match peer.ip().to_canonical() {
            IpAddr::V4(ip) => {
                put_attribute(kind, 8, out);
                out.extend_from_slice(&[0, 1]);
                out.extend(port);
                out.extend(
                    ip.octets()
                        .into_iter()
                        .zip(&mix)
                        .map(|(byte, with)| mixed(byte, with)),
                );
            }
            IpAddr::V6(ip) => {
                put_attribute(kind, 20, out);
                out.extend_from_slice(&[0, 2]);
                out.extend(port);
                out.extend(
                    ip.octets()
                        .into_iter()
                        .zip(&mix)
                        .map(|(byte, with)| mixed(byte, with)),
                );
            }
        }
    }

    /// RFC 8489 §6.3.1, §14.8, §14.13: 420 and what is not known. Without a reason phrase, which nobody reads, the answer is
    /// 12 bytes longer than the request at most.
    fn put_unknown(&self, out: &mut Vec<u8>) {
        put_attribute(ERROR_CODE, 4, out);
        out.extend_from_slice(&[0, 0, 4, 20]);
        let count = self.unknown().count();
        let is_padded = count % 2 == 1;
        // RFC 3489 §11.2.9: there is no padding, but the last one twice.
        let counts_padding = is_padded && self.is_classic();
        put_attribute(UNKNOWN_ATTRIBUTES, 2 * (count + usize::from(counts_padding)), out);
        let mut last = 0;
        for kind in self.unknown() {
            out.extend_from_slice(&kind.to_be_bytes());
            last = if counts_padding { kind } else { 0 };
        }
        if is_padded {
            out.extend_from_slice(&last.to_be_bytes());
        }
    }
}

fn put_attribute(kind: u16, len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&(len as u16).to_be_bytes());
}

/// One attribute.
struct Attribute<'a> {
    kind: u16,
    value: &'a [u8],
}

/// The attributes of a message, and at the end an error if something is left that is none.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = Result<Attribute<'_>, ()>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (attribute, behind) = split_attribute(rest).map_or((Err(()), &[][..]), |(a, b)| (Ok(a), b));
        rest = behind;
        Some(attribute)
    })
}

fn split_attribute(bytes: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let (&[kind_high, kind_low, len_high, len_low], rest) = bytes.split_first_chunk()?;
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    let (padded, behind) = rest.split_at_checked(len.next_multiple_of(4))?;
    let kind = u16::from_be_bytes([kind_high, kind_low]);
    let value = &padded[..len];
    Some((Attribute { kind, value }, behind))
}

/// Whether there is a FINGERPRINT, the last attribute; `None` when it is wrong or the attributes cannot be told apart.
fn has_right_fingerprint(datagram: &[u8], all: &[u8]) -> Option<bool> {
    let mut found = false;
    for attribute in attributes(all) {
        let attribute = attribute.ok().filter(|_| !found)?;
        found = attribute.kind == FINGERPRINT;
    }
    if !found {
        return Some(false);
    }
    let (before, last) = datagram.split_at_checked(datagram.len() - FINGERPRINT_LEN)?;
    (last.get(4..) == Some(&fingerprint_of(before).to_be_bytes())).then_some(true)
}

/// RFC 8489 §14.7: the CRC-32 of ITU V.42, mixed.
fn fingerprint_of(message: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table();
    let step = |crc: u32, byte: &u8| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)];
    !message.iter().fold(u32::MAX, step) ^ FINGERPRINT_MIX
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut place = 0;
    while place < table.len() {
        let mut crc = place as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
            bit += 1;
        }
        table[place] = crc;
        place += 1;
    }
    table
}

#[cfg(test)]
mod tests;
