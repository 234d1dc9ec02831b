//! A message that is to leave changed: the original and a list of edits, written out in one pass.

use super::view::{ListItems, Message};
use super::write::{Copying, ViaStamp};
use crate::Name;
use crate::edits::{Edits, Span};
use crate::scan::skip_ws;

/// A message with edits. What is replaced twice is as it was last; inserts at the same place keep their order.
#[derive(Debug)]
pub struct Draft<'m, 'e> {
    message: Message<'m>,
    edits: &'e mut Edits,
}

impl<'m, 'e> Draft<'m, 'e> {
    /// A draft without edits.
    pub fn of(message: Message<'m>, edits: &'e mut Edits) -> Self {
        edits.clear();
        Self { message, edits }
    }

    /// Puts text in the place of a span.
    pub fn replace(&mut self, cut: Span, write: impl FnOnce(&mut Vec<u8>)) {
        self.edits.replace(cut, write);
    }

    /// Replaces the Request-URI.
    pub fn set_request_uri(&mut self, uri: &[u8]) {
        self.replace(self.message.request_uri_span(), |out| out.extend_from_slice(uri));
    }

    /// Adds a field line above the first of its name, or above all fields.
    pub fn push_top(&mut self, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
        let at = match self.message.first_field(name) {
            Some(field) => field.start,
            None => self.message.index().fields.first().map_or(0, |f| f.start),
        };
        self.insert_field(at, name, write);
    }

    /// Adds a field line below all fields.
    pub fn append(&mut self, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.message.index().fields.last().map_or(0, |f| f.end);
        self.insert_field(at, name, write);
    }

    fn insert_field(&mut self, at: u16, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
        self.replace(Span { start: at, end: at }, |out| {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            write(out);
            out.extend_from_slice(b"\r\n");
        });
    }

    /// Gives a single field a value: the one that is there gets it, else a line is added.
    pub fn set(&mut self, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
        match self.message.first_field(name) {
            Some(field) => self.replace(field.value, write),
            None => self.append(name, write),
        }
    }

    /// Takes out every line of a name.
    pub fn remove(&mut self, name: Name) {
        for field in self.message.fields_of(name) {
            self.replace(field.line, |_| {});
        }
    }

    /// Takes out one field line.
    pub fn remove_line(&mut self, line: Span) {
        self.replace(line, |_| {});
    }

    /// Takes out the first `count` elements of a list field, across lines.
    pub fn remove_first_elements(&mut self, name: Name, mut count: usize) {
        for field in self.message.fields_of(name) {
            if count == 0 {
                return;
            }
            let elements = ListItems::new(field.value).count();
            if elements <= count {
                count -= elements;
                self.replace(field.line, |_| {});
                continue;
            }
            if let Some((_, end)) = ListItems::new(field.value).nth(count - 1) {
                let end = skip_ws(field.value, end);
                let cut = Span {
                    start: field.span.start,
                    end: field.span.start + end as u16,
                };
                self.replace(cut, |_| {});
            }
            return;
        }
    }

    /// Stamps the top Via (RFC 3261 §18.2.1, RFC 3581 §4).
    pub fn stamp_via(&mut self, stamp: ViaStamp) {
        if stamp == ViaStamp::default() {
            return;
        }
        let via = self.message.via();
        let mut copy = Copying::of(self.message.bytes(), via.value);
        self.replace(via.value, |out| {
            stamp.write(out, &mut copy, via);
            copy.finish(out);
        });
    }

    /// Writes the message out: ranges of the original and the edits' texts between them.
    pub fn finish(self, out: &mut Vec<u8>) {
        self.edits.finish(self.message.bytes(), out);
    }
}
