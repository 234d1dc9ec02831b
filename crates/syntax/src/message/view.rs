//! A message as it is read: an index over bytes, both borrowed.

use super::index::{Field, Index, StartLine, ViaIndex};
use super::parse::read_via;
use crate::edits::Span;
use crate::scan::{quoted_end, trim};
use crate::{Header, HeaderError, Method, Name, Status};

/// A checked message. Copying it copies two references.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    index: &'a Index,
}

/// One header field of a message.
#[derive(Clone, Copy, Debug)]
pub struct FieldView<'a> {
    /// Which header field it is.
    pub name: Name,
    /// Its name as it was written.
    pub text: &'a [u8],
    /// Its value without white space at the ends; folding is still in it.
    pub value: &'a [u8],
    /// Where the value is.
    pub span: Span,
    /// Where its line (or folded lines) begins and ends.
    pub line: Span,
}

impl<'a> Message<'a> {
    /// Joins bytes and the index that [`Index::parse`] made of them.
    pub fn view(bytes: &'a [u8], index: &'a Index) -> Self {
        Self { bytes, index }
    }

    /// The whole message, up to the end of its body.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
            .get(..self.index.body_end as usize)
            .unwrap_or(self.bytes)
    }

    /// The index it is seen through.
    pub fn index(self) -> &'a Index {
        self.index
    }

    /// Whether it is a request.
    pub fn is_request(self) -> bool {
        matches!(self.index.start_line, Some(StartLine::Request { .. }))
    }

    /// The method of a request, or of the request that a response answers.
    pub fn method(self) -> Method {
        match self.index.start_line {
            Some(StartLine::Request { method, .. }) => method,
            _ => self.index.cseq_method,
        }
    }

    /// The method's text, which matters for [`Method::Other`].
    pub fn method_text(self) -> &'a [u8] {
        match self.index.start_line {
            Some(StartLine::Request { method_text, .. }) => method_text.of(self.bytes),
            _ => {
                let value = self.first(Name::CSeq).unwrap_or(&[]);
                let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
                trim(&value[digits..])
            }
        }
    }

    /// The Status-Code of a response.
    pub fn status(self) -> Option<Status> {
        match self.index.start_line {
            Some(StartLine::Response { status, .. }) => Some(status),
            _ => None,
        }
    }

    /// The Reason-Phrase of a response.
    pub fn reason(self) -> &'a [u8] {
        match self.index.start_line {
            Some(StartLine::Response { reason, .. }) => reason.of(self.bytes),
            _ => &[],
        }
    }

    /// The Request-URI; empty for a response.
    pub fn request_uri(self) -> &'a [u8] {
        self.request_uri_span().of(self.bytes)
    }

    pub(super) fn request_uri_span(self) -> Span {
        match self.index.start_line {
            Some(StartLine::Request { uri, .. }) => uri,
            _ => Span::default(),
        }
    }

    /// Call-ID.
    pub fn call_id(self) -> &'a [u8] {
        self.index.call_id.of(self.bytes)
    }

    /// The number of CSeq.
    pub fn cseq(self) -> u32 {
        self.index.cseq
    }

    /// The tag of From.
    pub fn from_tag(self) -> Option<&'a [u8]> {
        self.index.from.tag.map(|s| s.of(self.bytes))
    }

    /// The tag of To.
    pub fn to_tag(self) -> Option<&'a [u8]> {
        self.index.to.tag.map(|s| s.of(self.bytes))
    }

    /// The URI of From, as it is written.
    pub fn from_uri(self) -> &'a [u8] {
        self.index.from.uri.of(self.bytes)
    }

    /// The URI of To, as it is written.
    pub fn to_uri(self) -> &'a [u8] {
        self.index.to.uri.of(self.bytes)
    }

    /// The top Via.
    pub fn via(self) -> &'a ViaIndex {
        &self.index.via
    }

    /// Whether there is one Via value only: the request comes from whom it began with.
    pub fn is_first_hop(self) -> bool {
        let via = self.first_field(Name::Via);
        via.is_some_and(|f| f.value == self.index.via.value) && !self.index.occurs_again(Name::Via)
    }

    /// Whether there is a Via value below the top one.
    pub fn has_second_via(self) -> bool {
        match self.first_field(Name::Via) {
            Some(via) if via.value == self.index.via.value => {
                let below = self.fields_of(Name::Via).skip(1);
                self.index.occurs_again(Name::Via) && below.map(|f| f.value).any(has_element)
            }
            _ => self.elements(Name::Via).nth(1).is_some(),
        }
    }

    /// The Via value below the top one, decoded, with the text that its spans are of; `None` also for a malformed one.
    pub fn second_via(self) -> Option<(ViaIndex, &'a [u8])> {
        let mut via = ViaIndex::default();
        // Nearly always each stands on a line of its own.
        if self.first_field(Name::Via)?.value == self.index.via.value
            && let Some(below) = self.fields_of(Name::Via).nth(1)
            && via.read_plain(self.bytes, below.span)
        {
            return Some((via, self.bytes));
        }
        let text = self.elements(Name::Via).nth(1)?;
        let (via, whole) = read_via(text, Span::new(0, text.len()))?;
        whole.then_some((via, text))
    }

    /// The branch of the top Via.
    pub fn branch(self) -> Option<&'a [u8]> {
        self.index.via.branch.map(|s| s.of(self.bytes))
    }

    /// The host of the top Via's sent-by.
    pub fn sent_by_host(self) -> &'a [u8] {
        self.index.via.host.of(self.bytes)
    }

    /// The body.
    pub fn body(self) -> &'a [u8] {
        self.bytes
            .get(self.index.body_start as usize..self.index.body_end as usize)
            .unwrap_or(&[])
    }

    /// Whether there is such a field.
    pub fn has(self, name: Name) -> bool {
        self.first_field(name).is_some()
    }

    /// The value of the first such field.
    pub fn first(self, name: Name) -> Option<&'a [u8]> {
        self.first_field(name).map(|f| f.value.of(self.bytes))
    }

    /// The value of a field that is there once.
    pub fn only(self, name: Name) -> Option<&'a [u8]> {
        self.first(name).filter(|_| !self.index.occurs_again(name))
    }

    pub(super) fn first_field(self, name: Name) -> Option<&'a Field> {
        self.index.first_field(name)
    }

    /// The first such field.
    #[inline]
    pub fn field(self, name: Name) -> Option<FieldView<'a>> {
        self.first_field(name).map(|f| self.field_view(f))
    }

    /// All fields, in order.
    pub fn fields(self) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        self.index.fields.iter().map(move |f| self.field_view(f))
    }

    #[inline]
    fn field_view(self, f: &'a Field) -> FieldView<'a> {
        let start = usize::from(f.start);
        FieldView {
            name: f.name(),
            text: self
                .bytes
                .get(start..start + usize::from(f.named.len))
                .unwrap_or(&[]),
            value: f.value.of(self.bytes),
            span: f.value,
            line: Span {
                start: f.start,
                end: f.end,
            },
        }
    }

    /// The fields of one name, in order.
    pub fn fields_of(self, name: Name) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        let first = usize::from(self.index.first[name as usize]);
        let fields = self.index.fields.get(first..).unwrap_or(&[]);
        let fields = match fields {
            [first, ..] if !self.index.occurs_again(name) => std::slice::from_ref(first),
            all => all,
        };
        let fields = fields.iter().filter(move |f| f.name() == name);
        fields.map(move |f| self.field_view(f))
    }

    /// The elements of a list field, across commas and lines.
    pub fn elements(self, name: Name) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields_of(name)
            .flat_map(|f| ListItems::new(f.value))
            .map(|(item, _)| item)
    }

    /// The values of a field that is a list, as those of one line (RFC 3261 §7.3.1).
    pub fn joined(self, name: Name) -> Vec<u8> {
        let values: Vec<_> = self.fields_of(name).map(|field| field.value).collect();
        values.join(&b", "[..])
    }

    /// Whether a list of tokens has one, without regard to case (Supported, Require ...).
    pub fn lists(self, name: Name, token: &[u8]) -> bool {
        self.elements(name).any(|item| item.eq_ignore_ascii_case(token))
    }

    /// Decodes a field: the first value, `None` when the field is absent.
    pub fn get<H: Header<'a>>(self) -> Result<Option<H>, HeaderError> {
        match H::NAME.multiplicity() {
            super::super::header::Multiplicity::List => self.all::<H>().next().transpose(),
            _ => self.first(H::NAME).map(H::decode).transpose(),
        }
    }

    /// Decodes every value of a field: elements of lists, lines of the others.
    pub fn all<H: Header<'a>>(self) -> impl Iterator<Item = Result<H, HeaderError>> + use<'a, H> {
        let list = H::NAME.multiplicity() == super::super::header::Multiplicity::List;
        self.fields_of(H::NAME)
            .flat_map(move |f| ListItems::of(f.value, list))
            .map(|(item, _)| H::decode(item))
    }
}

/// The elements of one field value, split at commas outside of quotes and angle brackets. Empty elements are skipped
/// (RFC 3261 §25.1 lets a list have white space around its commas, and peers leave commas behind).
#[derive(Clone, Debug)]
pub struct ListItems<'a> {
    value: &'a [u8],
    at: usize,
    split: bool,
}

impl<'a> ListItems<'a> {
    /// Splits a value.
    pub fn new(value: &'a [u8]) -> Self {
        Self::of(value, true)
    }

    fn of(value: &'a [u8], split: bool) -> Self {
        Self { value, at: 0, split }
    }
}

impl<'a> Iterator for ListItems<'a> {
    /// An element without white space at its ends, and the offset behind its comma (or the end of the value).
    type Item = (&'a [u8], usize);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.value.len() {
            let start = self.at;
            let end = if self.split {
                element_end(self.value, start)
            } else {
                self.value.len()
            };
            self.at = (end + 1).min(self.value.len()).max(end);
            let item = trim(&self.value[start..end]);
            if !item.is_empty() {
                return Some((item, self.at));
            }
        }
        None
    }
}

/// Whether a value has an element that is not empty.
#[inline]
fn has_element(value: &[u8]) -> bool {
    match value {
        [] => false,
        [b',', ..] => ListItems::new(value).next().is_some(),
        _ => true,
    }
}

/// The comma that ends the element at `at`, or the end of the value.
#[inline]
fn element_end(value: &[u8], at: usize) -> usize {
    // Most values are one element and have no comma at all.
    match memchr::memchr(b',', &value[at..]) {
        None => value.len(),
        Some(_) => comma_outside(value, at),
    }
}

/// The first comma from `at` outside of quotes and angle brackets, or the end of the value.
fn comma_outside(value: &[u8], mut at: usize) -> usize {
    let mut angle = false;
    while at < value.len() {
        match value[at] {
            b'"' if !angle => match quoted_end(value, at) {
                Some(end) => {
                    at = end;
                    continue;
                }
                None => return value.len(),
            },
            b'<' => angle = true,
            b'>' => angle = false,
            b',' if !angle => return at,
            _ => {}
        }
        at += 1;
    }
    at
}
