//! A message that leaves with a few changes whose places are known in their order: written out at once, from front to back.

use super::view::{ListItems, Message};
use super::write::{Copying, ViaStamp};
use crate::Name;
use crate::edits::Span;
use crate::scan::skip_ws;

/// Writes a message out again. What lies between the places that are asked for is copied as it is; a place behind which the
/// writing already is changes nothing of what was written.
#[derive(Debug)]
pub struct Rewrite<'m, 'o> {
    message: Message<'m>,
    bytes: &'m [u8],
    at: usize,
    out: &'o mut Vec<u8>,
}

impl<'m, 'o> Rewrite<'m, 'o> {
    /// Begins; `more` is about how many bytes longer the message will be.
    pub fn begin(message: Message<'m>, more: usize, out: &'o mut Vec<u8>) -> Self {
        let bytes = message.bytes();
        out.reserve(bytes.len() + more);
        Self {
            message,
            bytes,
            at: 0,
            out,
        }
    }

    /// Copies up to a place, and lends the output for what is to stand there.
    #[inline]
    pub fn at(&mut self, place: u16) -> &mut Vec<u8> {
        let place = usize::from(place);
        if let Some(between) = self.bytes.get(self.at..place) {
            self.out.extend_from_slice(between);
            self.at = place;
        }
        self.out
    }

    /// Copies up to a span, leaves that out, and lends the output for what is to stand there.
    #[inline]
    pub fn instead_of(&mut self, cut: Span) -> &mut Vec<u8> {
        self.at(cut.start);
        self.at = self.at.max(usize::from(cut.end));
        self.out
    }

    /// Puts a URI in the place of the Request-URI.
    pub fn set_request_uri(&mut self, uri: &[u8]) {
        let span = self.message.request_uri_span();
        self.instead_of(span).extend_from_slice(uri);
    }

    /// Copies up to the top Via's end, with the stamp in it (RFC 3261 §18.2.1, RFC 3581 §4).
    pub fn stamp_via(&mut self, stamp: ViaStamp) {
        if stamp == ViaStamp::default() {
            return;
        }
        let via = self.message.via();
        let mut copy = Copying::of(self.bytes, via.value);
        let out = self.instead_of(via.value);
        stamp.write(out, &mut copy, via);
        copy.finish(out);
    }

    /// Copies what is left.
    pub fn finish(self) {
        if let Some(rest) = self.bytes.get(self.at..) {
            self.out.extend_from_slice(rest);
        }
    }
}

/// Appends a response without its top Via (RFC 3261 §16.7 step 3).
pub fn write_without_top_via(response: Message<'_>, out: &mut Vec<u8>) {
    let mut rewrite = Rewrite::begin(response, 0, out);
    if let Some(cut) = top_via(response) {
        rewrite.instead_of(cut);
    }
    rewrite.finish();
}

/// What goes with the top Via: its line, or as much of that as belongs to it.
fn top_via(message: Message<'_>) -> Option<Span> {
    let field = message.field(Name::Via)?;
    if field.span == message.via().value {
        return Some(field.line);
    }
    let mut elements = ListItems::new(field.value);
    let (_, end) = elements.next()?;
    if elements.next().is_none() {
        return Some(field.line);
    }
    Some(Span {
        start: field.span.start,
        end: field.span.start + skip_ws(field.value, end) as u16,
    })
}
