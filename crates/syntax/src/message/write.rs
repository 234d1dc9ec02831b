//! Writing responses (RFC 3261 §8.2.6) and stamping the top Via (§18.2.1, RFC 3581 §4).

use std::net::IpAddr;

use super::index::{Field, Index, Rport, ViaIndex};
use crate::edits::Span;
use crate::scan::{octets, put_ip, put_short, two_digits};
use crate::{Name, Status};

/// What the receiving transport adds to the top Via.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViaStamp {
    /// The address the request came from, when it must be told.
    pub received: Option<IpAddr>,
    /// The port it came from, when rport asks for it.
    pub rport: Option<u16>,
}

impl ViaStamp {
    /// Copies a top Via up to the end of its value, with the stamp in it.
    #[inline(always)]
    pub(super) fn write(self, out: &mut Vec<u8>, copy: &mut Copying<'_>, via: &ViaIndex) {
        let replaced = via.received.filter(|_| self.received.is_some());
        let mut rport = match (via.rport, self.rport) {
            (Rport::Asked(behind), Some(port)) => Some((behind, port)),
            _ => None,
        };
        if let Some((behind, port)) = rport
            && replaced.is_none_or(|received| behind <= received.start)
        {
            copy.write_to(usize::from(behind), out);
            put_short(out, b'=', port);
            rport = None;
        }
        if let Some(address) = self.received {
            match replaced {
                Some(old) => {
                    copy.write_to(usize::from(old.start), out);
                    copy.start = usize::from(old.end);
                    put_ip(out, address);
                }
                None => {
                    copy.write_to(usize::from(via.value.end), out);
                    put_received(out, address);
                }
            }
        }
        if let Some((behind, port)) = rport {
            copy.write_to(usize::from(behind), out);
            put_short(out, b'=', port);
        }
    }
}

/// Writes a received parameter.
#[inline(always)]
fn put_received(out: &mut Vec<u8>, address: IpAddr) {
    const NAME: &[u8; 10] = b";received=";
    let IpAddr::V4(address) = address else {
        out.extend_from_slice(NAME);
        return put_ip(out, address);
    };
    let mut text = [0; NAME.len() + 16];
    let mut end = NAME.len();
    text[..end].copy_from_slice(NAME);
    for (octets, len) in octets(address) {
        if let Some(place) = text.get_mut(end..end + 8) {
            place.copy_from_slice(&octets.to_le_bytes());
        }
        end += len;
    }
    let end = out.len() + end;
    out.extend_from_slice(&text);
    out.truncate(end);
}

/// Copies parts of a message; those that follow each other in one piece.
pub(super) struct Copying<'a> {
    bytes: &'a [u8],
    /// What was taken and is not written yet.
    start: usize,
    end: usize,
}

impl<'a> Copying<'a> {
    /// Begins with this part.
    pub(super) fn of(bytes: &'a [u8], part: Span) -> Self {
        let (start, end) = (usize::from(part.start), usize::from(part.end));
        Self { bytes, start, end }
    }

    #[inline]
    fn take(&mut self, field: &Field, out: &mut Vec<u8>) {
        let start = usize::from(field.start);
        if start != self.end {
            self.finish(out);
            self.start = start;
        }
        self.end = usize::from(field.end);
    }

    /// Writes what was taken, up to an offset.
    #[inline]
    fn write_to(&mut self, end: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[self.start..end]);
        self.start = end;
    }

    /// Writes all that was taken.
    #[inline]
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.write_to(self.end, out);
    }
}

/// Writes a tag parameter. Tags that are made here are of 16 bytes.
#[inline(always)]
fn put_tag(out: &mut Vec<u8>, tag: &[u8]) {
    match <[u8; 16]>::try_from(tag) {
        Ok(tag) => {
            let mut text = *b";tag=0123456789abcdef";
            text[5..].copy_from_slice(&tag);
            out.extend_from_slice(&text);
        }
        Err(_) => {
            out.extend_from_slice(b";tag=");
            out.extend_from_slice(tag);
        }
    }
}

/// Writes a Status-Line (§7.2).
fn put_status_line(out: &mut Vec<u8>, status: Status, reason: &str) {
    let code = status.code();
    let [b, c] = two_digits(code % 100);
    let class = b'0' + (code / 100) as u8;
    out.extend_from_slice(&[b'S', b'I', b'P', b'/', b'2', b'.', b'0', b' ', class, b, c, b' ']);
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a response to a request. Works on the index of a broken request too, as far as that has fields.
#[derive(Debug)]
pub struct ResponseWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> ResponseWriter<'o> {
    /// Start line, then Via, From, To, Call-ID and CSeq as §8.2.6.2 asks, and Timestamp for a 100. `to_tag` goes to a
    /// To that has none.
    pub fn begin(
        out: &'o mut Vec<u8>,
        bytes: &[u8],
        request: &Index,
        status: Status,
        reason: &str,
        stamp: ViaStamp,
        to_tag: &[u8],
    ) -> Self {
        put_status_line(out, status, reason);
        let mut copy = Copying::of(bytes, Span::default());
        let first = |name: Name| usize::from(request.first[name as usize]);
        let vias = request.fields.get(first(Name::Via)..).unwrap_or_default();
        for (i, via) in vias
            .iter()
            .enumerate()
            .filter(|(_, field)| field.name() == Name::Via)
        {
            copy.take(via, out);
            if i == 0 && request.via.value.end != 0 {
                stamp.write(out, &mut copy, &request.via);
            }
        }
        let tagged = request.to.tag.is_some() || to_tag.is_empty();
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            let Some(field) = request.fields.get(first(name)) else {
                continue;
            };
            copy.take(field, out);
            if name == Name::To && !tagged {
                copy.write_to(usize::from(field.value.end), out);
                put_tag(out, to_tag);
            }
        }
        if status == Status::TRYING
            && let Some(field) = request.fields.get(first(Name::Timestamp))
        {
            copy.take(field, out);
        }
        copy.finish(out);
        Self { out }
    }

    /// Adds a field.
    pub fn field(self, name: Name, value: &[u8]) -> Self {
        self.field_with(name, |out| out.extend_from_slice(value))
    }

    /// Adds a field whose value `write` appends.
    pub fn field_with(self, name: Name, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        self.out.extend_from_slice(name.as_str().as_bytes());
        self.out.extend_from_slice(b": ");
        write(self.out);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds whole field lines that are already written out.
    pub fn lines(self, lines: &[u8]) -> Self {
        self.lines_with(|out| out.extend_from_slice(lines))
    }

    /// Adds whole field lines that `write` appends.
    pub fn lines_with(self, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        write(self.out);
        self
    }

    /// Ends the response without a body.
    pub fn finish(self) {
        self.out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }
}
