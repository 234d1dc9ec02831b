//! Hosts (RFC 3261 §25.1 `host`, RFC 5954).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::scan::{find_near, host_end, put_host};

/// A host name or an address.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// A name, as it was written.
    Name(&'a [u8]),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a host that is the whole text; IPv6 addresses stand in brackets.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        Self::read(text)
            .filter(|&(_, len)| len == text.len())
            .map(|(host, _)| host)
    }

    /// Reads the host that a text begins with, and its length.
    #[inline]
    pub(super) fn read(text: &'a [u8]) -> Option<(Self, usize)> {
        match text {
            // No name looks like an address: its top label is no number.
            [b'0'..=b'9', ..] if let Some((address, len)) = ipv4(text) => Some((Self::V4(address), len)),
            [b'[', inner @ ..] => {
                let close = find_near(inner, b']')?;
                ipv6(&inner[..close]).map(|address| (Self::V6(address), close + 2))
            }
            _ => {
                let (name, _) = text.split_at(host_end(text, 0));
                is_name(name).then_some((Self::Name(name), name.len()))
            }
        }
    }

    /// [`parse`](Self::parse), and IPv6 addresses without their brackets too, as `received` and `maddr` have them
    /// (RFC 5118 §4.5).
    pub fn parse_bare(text: &'a [u8]) -> Option<Self> {
        if memchr::memchr(b':', text).is_some() && !text.starts_with(b"[") {
            return ipv6(text).map(Self::V6);
        }
        Self::parse(text)
    }

    /// The address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match *self {
            Self::Name(_) => None,
            Self::V4(address) => Some(address.into()),
            Self::V6(address) => Some(address.into()),
        }
    }

    /// Appends it as a URI has it, names in lower case.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Name(name) => out.extend(name.iter().map(u8::to_ascii_lowercase)),
            Self::V4(address) => put_host(out, address.into()),
            Self::V6(address) => put_host(out, address.into()),
        }
    }
}

/// Names without regard to case and to a final dot, addresses by value. A name is never an address.
impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => rootless(a).eq_ignore_ascii_case(rootless(b)),
            (Self::V4(a), Self::V4(b)) => a == b,
            (Self::V6(a), Self::V6(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl std::fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&String::from_utf8_lossy(name)),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

fn rootless(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

/// `IPv4address`: four decimal groups of at most three digits, and their length, where nothing follows that could belong
/// to a name.
#[inline]
fn ipv4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let (mut address, mut rest) = octet(text)?;
    for _ in 0..3 {
        let (value, behind) = octet(rest.strip_prefix(b".")?)?;
        (address, rest) = (address << 8 | value, behind);
    }
    (host_end(rest, 0) == 0).then(|| (Ipv4Addr::from_bits(address), text.len() - rest.len()))
}

/// A group of an IPv4 address, and what follows.
#[inline]
fn octet(text: &[u8]) -> Option<(u32, &[u8])> {
    let digit = |byte: u8| u32::from(byte - b'0');
    let (value, rest) = match text {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            (digit(*a) * 100 + digit(*b) * 10 + digit(*c), rest)
        }
        [a @ b'0'..=b'9', b @ b'0'..=b'9', rest @ ..] => (digit(*a) * 10 + digit(*b), rest),
        [a @ b'0'..=b'9', rest @ ..] => (digit(*a), rest),
        _ => return None,
    };
    (value <= 255).then_some((value, rest))
}

/// An IPv6 address; the three colons that RFC 3261's own grammar yields before an IPv4 tail count as two
/// (RFC 5118 §4.10).
#[inline(never)]
fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let parse = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
    match memchr::memmem::find(text, b":::") {
        None => parse(text),
        Some(at) => {
            let mut copy = [0u8; 48];
            let shorter = copy.get_mut(..text.len() - 1)?;
            shorter[..at].copy_from_slice(&text[..at]);
            shorter[at..].copy_from_slice(&text[at + 1..]);
            parse(shorter)
        }
    }
}

/// `hostname`, and underscores, which names of real machines have, of bytes that hosts have. The top label must not be a
/// number, or the name would be a broken address.
fn is_name(text: &[u8]) -> bool {
    let name = rootless(text);
    let mut before = b'.';
    let mut number = true;
    for &byte in name {
        if matches!((before, byte), (b'.' | b'-', b'.') | (b'.', b'-')) {
            return false;
        }
        number = byte == b'.' || number && byte.is_ascii_digit();
        before = byte;
    }
    name.len() <= 255 && !number && !matches!(before, b'.' | b'-')
}
