//! The parts that records are made of: numbers, texts and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::V6;

/// Reads what is left of a text.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Option<u32> {
        match self.byte()? {
            byte @ ..0x80 => Some(u32::from(byte)),
            byte => self.varint_after(byte),
        }
    }

    /// The rest of a number whose first byte says that there are more.
    fn varint_after(&mut self, first: u8) -> Option<u32> {
        let mut value = u64::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.varint()?;
        self.take(len as usize)
    }

    pub(super) fn ip(&mut self, kind: u8) -> Option<IpAddr> {
        if kind & V6 != 0 {
            self.array::<16>().map(|octets| Ipv6Addr::from(octets).into())
        } else {
            self.array::<4>().map(|octets| Ipv4Addr::from(octets).into())
        }
    }
}

pub(super) fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
}

#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a number over one that is as long.
#[inline]
pub(super) fn set_varint(place: &mut [u8], mut value: u32) {
    for byte in &mut *place {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    if let Some(last) = place.last_mut() {
        *last &= 0x7f;
    }
}

#[inline]
pub(super) fn size_of_varint(value: u32) -> usize {
    (value.max(1).ilog2() / 7 + 1) as usize
}

#[inline]
pub(super) fn size_of_text(text: &[u8]) -> usize {
    size_of_varint(text.len() as u32) + text.len()
}

#[inline]
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_varint(out, text.len() as u32);
    out.extend_from_slice(text);
}

/// Writes something and its length in front of it, which nearly always fits into the one byte kept free for it.
pub(super) fn put_sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    let (end, len) = (out.len(), out.len() - at - 1);
    put_varint(out, len as u32);
    let head = out.len() - end;
    if head == 1 {
        out.pop();
        out[at] = len as u8;
    } else {
        // The length was written behind: turn it to the front, over the byte kept free.
        out.remove(at);
        out[at..].rotate_right(head);
    }
}
