//! The requests that follow an INVITE to its next hop only: the ACK to a 300-699 and the CANCEL.

use memchr::memchr;
use strowger_syntax::Name;
use strowger_syntax::message::ListItems;
use strowger_syntax::scan::{number_at, put_number, trim, trim_end};

/// Appends the ACK (RFC 3261 §17.1.1.3) or CANCEL (§9.1) that goes with an INVITE that was sent, or an INVITE that the same
/// can be made from: the same Request-URI, top Via, From, Call-ID, CSeq number and Routes. The To of an ACK is the
/// response's, that of a CANCEL (empty `to`) the INVITE's.
///
/// The INVITE was well-formed when it was written, so its lines are walked once instead of indexing it again.
pub(super) fn write_hop_request(invite: &[u8], method: &str, to: &[u8], out: &mut Vec<u8>) {
    let mut lines = Lines { rest: invite };
    let Some(request_line) = lines.next() else { return };
    let behind_method = memchr(b' ', request_line).unwrap_or(request_line.len());
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(&request_line[behind_method..]);
    let mut has_via = false;
    for line in lines {
        let Some(colon) = memchr(b':', line) else { continue };
        let value = &line[colon + 1..];
        match Name::from_bytes(trim_end(&line[..colon])) {
            Name::Via if !has_via => {
                has_via = true;
                let top = ListItems::new(value).next().map_or(&[][..], |(via, _)| via);
                put_line(out, b"Via: ", top);
                put_line(out, b"Max-Forwards: ", b"70");
            }
            Name::To if !to.is_empty() => put_line(out, b"To: ", to),
            Name::From | Name::To | Name::CallId | Name::Route => out.extend_from_slice(line),
            Name::CSeq => {
                let (number, _) = number_at(trim(value), 0, u32::MAX).unwrap_or_default();
                out.extend_from_slice(b"CSeq: ");
                put_number(out, u64::from(number));
                put_line(out, b" ", method.as_bytes());
            }
            _ => {}
        }
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

fn put_line(out: &mut Vec<u8>, begins: &[u8], value: &[u8]) {
    out.extend_from_slice(begins);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The lines of a well-formed head, each with those folded into it and with its line end, up to the empty line.
struct Lines<'m> {
    rest: &'m [u8],
}

impl<'m> Iterator for Lines<'m> {
    type Item = &'m [u8];

    #[inline]
    fn next(&mut self) -> Option<&'m [u8]> {
        let mut end = 0;
        loop {
            // Nothing but the end of a line has a LF.
            end += memchr(b'\n', self.rest.get(end..)?)? + 1;
            if !matches!(self.rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        (line != b"\r\n").then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:bob@192.0.2.11 SIP/2.0\r\nRecord-Route: <sip:r;lr>\r\nf : <sip:a@x>\r\n ;tag=1\r\n\
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nv: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK2\r\nt: <sip:b@x>\r\n\
        Route: <sip:p;lr>,\r\n\t<sip:q;lr>\r\nROUTE: <sip:r;lr>\r\nCSeq:\r\n  007\tINVITE\r\nMax-Forwards: 69\r\ni: c\r\n\
        Subject: From: x\r\nContent-Length: 11\r\n\r\nFrom: body\n";

    #[test]
    fn a_hop_request_has_what_belongs_to_the_transaction() {
        let written = |invite: &str, method, to: &[u8]| {
            let mut out = Vec::new();
            write_hop_request(invite.as_bytes(), method, to, &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        let expected = |method: &str, to: &str| {
            format!(
                "{method} sip:bob@192.0.2.11 SIP/2.0\r\nf : <sip:a@x>\r\n ;tag=1\r\n\
                 Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n{to}\r\n\
                 Route: <sip:p;lr>,\r\n\t<sip:q;lr>\r\nROUTE: <sip:r;lr>\r\nCSeq: 7 {method}\r\ni: c\r\n\
                 Content-Length: 0\r\n\r\n"
            )
        };
        let cancel = written(INVITE, "CANCEL", b"");
        assert_eq!(cancel, expected("CANCEL", "t: <sip:b@x>"));
        let ack = written(INVITE, "ACK", b"<sip:b@x>;tag=2");
        assert_eq!(ack, expected("ACK", "To: <sip:b@x>;tag=2"));
        let short = written(INVITE, "INVITE", b"");
        assert_eq!(
            written(&short, "CANCEL", b""),
            cancel,
            "the same can be made from what is kept of it"
        );
    }

    #[test]
    fn only_the_first_of_several_vias_on_a_line_is_ours() {
        let mut out = Vec::new();
        let invite = b"INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1 , SIP/2.0/UDP b\r\n\r\n";
        write_hop_request(invite, "CANCEL", b"", &mut out);
        assert!(out.starts_with(b"CANCEL sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nMax-"));
    }
}
