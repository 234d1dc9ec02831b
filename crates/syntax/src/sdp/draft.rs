//! A description that is to leave changed: the original and a list of edits, written out in one pass.

use std::net::IpAddr;

use super::connection::addr_type;
use super::{Attribute, Connection, MediaField, Section, SessionDescription};
use crate::edits::{Edits, Span};
use crate::scan::{put_ip, put_number};

/// A description with edits. What is replaced twice is as it was last; attributes are added in the order in which they
/// were given. What is edited must be of this description.
#[derive(Debug)]
pub struct Draft<'a, 'e> {
    description: SessionDescription<'a>,
    edits: &'e mut Edits,
}

impl<'a, 'e> Draft<'a, 'e> {
    /// A draft without edits.
    pub fn of(description: SessionDescription<'a>, edits: &'e mut Edits) -> Self {
        edits.clear();
        Self { description, edits }
    }

    /// Gives a connection another address.
    pub fn set_address(&mut self, connection: &Connection<'_>, address: IpAddr) {
        self.edits.replace(connection.span, |out| {
            out.extend_from_slice(b"IN ");
            out.extend_from_slice(addr_type(address).as_bytes());
            out.push(b' ');
            put_ip(out, address);
        });
    }

    /// Gives a media description another port; 0 refuses it.
    pub fn set_port(&mut self, field: &MediaField<'_>, port: u16) {
        self.edits
            .replace(field.port_span, |out| put_number(out, port.into()));
    }

    /// Adds an attribute below all lines of a section.
    pub fn add_attribute(&mut self, section: Section<'_>, attribute: Attribute<'_>) {
        let Some(last) = section.lines().last() else {
            return;
        };
        let at = last.span.end;
        let line_end = self.line_end();
        // The last line of a text may have no end, so a line goes with the end in front of it.
        self.edits.replace(Span { start: at, end: at }, |out| {
            out.extend_from_slice(line_end);
            out.extend_from_slice(b"a=");
            attribute.write(out);
        });
    }

    /// Takes out those attributes of a section that are to go.
    pub fn remove_attributes(&mut self, section: Section<'_>, goes: impl Fn(&Attribute<'_>) -> bool) {
        let mut before = section.span().start;
        for line in section.lines() {
            let attribute = (line.letter == b'a')
                .then(|| Attribute::parse(line.value))
                .flatten();
            if attribute.is_some_and(|attribute| goes(&attribute)) {
                let cut = Span {
                    start: before,
                    end: line.span.end,
                };
                self.edits.replace(cut, |_| {});
            }
            before = line.span.end;
        }
    }

    /// How the description ends its first line.
    fn line_end(&self) -> &'static [u8] {
        let text = self.description.text();
        let first = memchr::memchr(b'\n', text).unwrap_or_default();
        if text[..first].ends_with(b"\r") {
            b"\r\n"
        } else {
            b"\n"
        }
    }

    /// Writes the description out: ranges of the original and the edits' texts between them.
    pub fn finish(self, out: &mut Vec<u8>) {
        self.edits.finish(self.description.text(), out);
    }
}
