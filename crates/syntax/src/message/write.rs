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
    /// Copies a top Via up to the end of its value, with the stamp in it: what it asks for in its place, and the address in
    /// the place of another one, or behind the port, or at the end.
    #[inline(always)]
    pub(super) fn write(self, out: &mut Vec<u8>, copy: &mut Copying<'_>, via: &ViaIndex) {
        let port = match (via.rport, self.rport) {
            (Rport::Asked(behind), Some(port)) => Some((behind, port)),
            _ => None,
        };
        match (port, self.received, via.received) {
            (Some((behind, port)), Some(address), None) => {
                copy.write_to(usize::from(behind), out);
                put_short(out, b'=', port);
                put_received(out, address);
            }
            (None, None, _) => {}
            _ => self.write_apart(out, copy, via, port),
        }
    }

    /// [`write`](Self::write), however the parameters are.
    #[inline(never)]
    fn write_apart(
        self,
        out: &mut Vec<u8>,
        copy: &mut Copying<'_>,
        via: &ViaIndex,
        port: Option<(u16, u16)>,
    ) {
        let put_port = |out: &mut Vec<u8>, copy: &mut Copying<'_>| {
            if let Some((behind, port)) = port {
                copy.write_to(usize::from(behind), out);
                put_short(out, b'=', port);
            }
        };
        match (self.received, via.received) {
            (None, _) => put_port(out, copy),
            (Some(address), None) => {
                copy.write_to(usize::from(via.value.end), out);
                put_received(out, address);
            }
            (Some(address), Some(old)) => {
                let is_before = port.is_some_and(|(behind, _)| behind <= old.start);
                if is_before {
                    put_port(out, copy);
                }
                copy.write_to(usize::from(old.start), out);
                copy.start = usize::from(old.end);
                put_ip(out, address);
                if !is_before {
                    put_port(out, copy);
                }
            }
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

    #[inline(always)]
    fn take_first(&mut self, request: &Index, name: Name, out: &mut Vec<u8>) {
        if let Some(field) = request.first_field(name) {
            self.take(field, out);
        }
    }

    /// Takes the fields of a name behind its first one.
    #[cold]
    fn take_again(&mut self, request: &Index, name: Name, out: &mut Vec<u8>) {
        let fields = request.fields.iter().filter(|field| field.name() == name);
        for field in fields.skip(1) {
            self.take(field, out);
        }
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
#[inline]
fn put_status_line(out: &mut Vec<u8>, status: Status, reason: &str) {
    // Nearly all answers begin with this one.
    if status == Status::OK && reason == "OK" {
        return out.extend_from_slice(b"SIP/2.0 200 OK\r\n");
    }
    put_any_status_line(out, status, reason);
}

fn put_any_status_line(out: &mut Vec<u8>, status: Status, reason: &str) {
    let code = status.code();
    let [b, c] = two_digits(code % 100);
    let class = b'0' + (code / 100) as u8;
    let mut text = *b"SIP/2.0 200 ";
    text[8..].copy_from_slice(&[class, b, c, b' ']);
    out.extend_from_slice(&text);
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
        if let Some(via) = request.first_field(Name::Via) {
            copy.take(via, out);
            if request.via.value.end != 0 {
                stamp.write(out, &mut copy, &request.via);
            }
        }
        if request.occurs_again(Name::Via) {
            copy.take_again(request, Name::Via, out);
        }
        copy.take_first(request, Name::From, out);
        if let Some(to) = request.first_field(Name::To) {
            copy.take(to, out);
            if request.to.tag.is_none() && !to_tag.is_empty() {
                copy.write_to(usize::from(to.value.end), out);
                put_tag(out, to_tag);
            }
        }
        copy.take_first(request, Name::CallId, out);
        copy.take_first(request, Name::CSeq, out);
        if status == Status::TRYING {
            copy.take_first(request, Name::Timestamp, out);
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
