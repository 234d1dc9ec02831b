//! Writing responses (RFC 3261 §8.2.6) and stamping the top Via (§18.2.1, RFC 3581 §4).

use std::net::IpAddr;

use super::index::{Field, Index, Rport, ViaIndex};
use crate::scan::{put_ip, put_number};
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
    /// Writes `bytes[start..end]`, which holds the top Via value, with the stamp in it.
    pub(super) fn write(self, out: &mut Vec<u8>, bytes: &[u8], start: usize, end: usize, via: &ViaIndex) {
        let mut at = start;
        let mut rport = match (via.rport, self.rport) {
            (Rport::Asked(behind), Some(port)) => Some((usize::from(behind), port)),
            _ => None,
        };
        let put_rport = |out: &mut Vec<u8>, at: &mut usize, behind: usize, port: u16| {
            out.extend_from_slice(&bytes[*at..behind]);
            out.push(b'=');
            put_number(out, u64::from(port));
            *at = behind;
        };
        let replaced = via.received.filter(|_| self.received.is_some());
        if let Some((behind, port)) = rport
            && replaced.is_none_or(|r| behind <= usize::from(r.start))
        {
            put_rport(out, &mut at, behind, port);
            rport = None;
        }
        if let (Some(old), Some(address)) = (replaced, self.received) {
            out.extend_from_slice(&bytes[at..usize::from(old.start)]);
            put_ip(out, address);
            at = usize::from(old.end);
        }
        if let Some((behind, port)) = rport {
            put_rport(out, &mut at, behind, port);
        }
        let value_end = usize::from(via.value.end);
        out.extend_from_slice(&bytes[at..value_end]);
        if let (None, Some(address)) = (replaced, self.received) {
            out.extend_from_slice(b";received=");
            put_ip(out, address);
        }
        out.extend_from_slice(&bytes[value_end..end]);
    }
}

/// Copies lines of a message; those that follow each other in one piece.
struct LineCopy<'a> {
    bytes: &'a [u8],
    /// What was taken and is not written yet.
    start: usize,
    end: usize,
}

impl<'a> LineCopy<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let (start, end) = (0, 0);
        Self { bytes, start, end }
    }

    /// Goes on behind what somebody else has written. Nothing must be waiting.
    fn skip_to(&mut self, end: usize) {
        (self.start, self.end) = (end, end);
    }

    fn take(&mut self, field: &Field, out: &mut Vec<u8>) {
        let start = usize::from(field.start);
        if start != self.end {
            self.write_to(self.end, out);
            self.start = start;
        }
        self.end = usize::from(field.end);
    }

    /// Writes what was taken, up to an offset.
    fn write_to(&mut self, end: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[self.start..end]);
        self.start = end;
    }
}

/// Writes a Status-Line (§7.2).
fn put_status_line(out: &mut Vec<u8>, status: Status, reason: &str) {
    let code = status.code();
    let [a, b, c] = [code / 100, code / 10, code].map(|n| b'0' + (n % 10) as u8);
    out.extend_from_slice(&[b'S', b'I', b'P', b'/', b'2', b'.', b'0', b' ', a, b, c, b' ']);
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
        let mut copy = LineCopy::of(bytes);
        let top = usize::from(request.first[Name::Via as usize]);
        let vias = request.fields.get(top..).unwrap_or_default();
        if let Some(field) = vias.first().filter(|_| request.via.value.end != 0) {
            let (start, end) = (usize::from(field.start), usize::from(field.end));
            stamp.write(out, bytes, start, end, &request.via);
            copy.skip_to(end);
        }
        for via in vias.iter().skip(1).filter(|field| field.name == Name::Via) {
            copy.take(via, out);
        }
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            let Some(field) = request.fields.get(usize::from(request.first[name as usize])) else {
                continue;
            };
            copy.take(field, out);
            if name == Name::To && request.to.tag.is_none() && !to_tag.is_empty() {
                copy.write_to(usize::from(field.value.end), out);
                out.extend_from_slice(b";tag=");
                out.extend_from_slice(to_tag);
            }
        }
        if status == Status::TRYING
            && let Some(field) = request
                .fields
                .get(usize::from(request.first[Name::Timestamp as usize]))
        {
            copy.take(field, out);
        }
        copy.write_to(copy.end, out);
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
