//! Where everything is in a message: the product of one pass over its head.

use crate::edits::Span;
use crate::header::Named;
use crate::{Limits, Message, Method, Name, Status, Transport};

/// The first line (RFC 3261 §7.1, §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    /// A request.
    Request {
        /// The method.
        method: Method,
        /// Its text.
        method_text: Span,
        /// The Request-URI.
        uri: Span,
    },
    /// A response.
    Response {
        /// The Status-Code, 100 to 699.
        status: Status,
        /// The Reason-Phrase.
        reason: Span,
    },
}

/// One header field line, folded lines included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which header field it is, and how long its name is.
    pub(super) named: Named,
    pub(super) start: u16,
    pub(super) value: Span,
    pub(super) end: u16,
}

impl Field {
    const NONE: Self = Self {
        named: Named::NONE,
        start: 0,
        value: Span { start: 0, end: 0 },
        end: 0,
    };

    /// Which header field it is.
    #[inline]
    pub fn name(&self) -> Name {
        self.named.name
    }
}

/// The fields of a message. Room once made is kept, and filled place by place; it never has a place [`ABSENT`].
#[derive(Clone)]
pub(super) struct Fields {
    pub(super) places: Vec<Field>,
    pub(super) len: usize,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            places: vec![Field::NONE; 32],
            len: 0,
        }
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Fields {}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl std::ops::Deref for Fields {
    type Target = [Field];

    #[inline]
    fn deref(&self) -> &[Field] {
        self.places.get(..self.len).unwrap_or_default()
    }
}

impl Fields {
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// The field at a place of [`Index::first`]: there is none at [`ABSENT`].
    #[inline(always)]
    pub(super) fn at(&self, place: u8) -> Option<&Field> {
        self.places.get(usize::from(place))
    }

    #[inline(always)]
    pub(super) fn push(&mut self, field: Field) {
        if self.len == self.places.len() {
            self.grow();
        }
        if let Some(place) = self.places.get_mut(self.len) {
            *place = field;
            self.len += 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let room = (2 * self.places.len()).min(usize::from(ABSENT));
        self.places.resize(room, Field::NONE);
    }
}

/// The `rport` parameter of the top Via (RFC 3581 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rport {
    /// It is not there.
    #[default]
    Absent,
    /// It is there without a value, which asks for one; the offset is right behind the name.
    Asked(u16),
    /// It has a value.
    Value(u16),
}

/// The top Via value, decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViaIndex {
    /// The whole value, without white space at its ends.
    pub value: Span,
    /// The transport; `None` for one we do not know.
    pub transport: Option<Transport>,
    /// The host of sent-by; an IPv6 reference keeps its brackets.
    pub host: Span,
    /// The port of sent-by.
    pub port: Option<u16>,
    /// The branch parameter's value.
    pub branch: Option<Span>,
    /// The rport parameter.
    pub rport: Rport,
    /// The value of a received parameter.
    pub received: Option<Span>,
}

/// A From or To value, as far as every message needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The URI, without its angle brackets; empty when it could be read in two ways (§20: with a `?` it needs brackets).
    pub uri: Span,
    /// The value of the tag parameter (§19.3).
    pub tag: Option<Span>,
}

/// What a message lacks to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not SIP at all: nothing to answer, drop it.
    NotSip,
    /// A SIP version other than 2.0 (answered with 505).
    Version,
    /// The start line breaks its grammar.
    StartLine,
    /// A header field line breaks its grammar.
    Line,
    /// The head does not end.
    NoEnd,
    /// A mandatory header field is missing.
    Missing(Name),
    /// A header field that may occur once occurs more often.
    Duplicate(Name),
    /// A mandatory header field breaks its grammar.
    Malformed(Name),
    /// The method of CSeq is not the request's.
    CSeqMethod,
    /// Content-Length says more than there is.
    Truncated,
    /// Larger than the limits allow (answered with 513).
    TooLarge,
    /// The Request-URI is longer than the limits allow (answered with 414).
    UriTooLong,
}

impl Fault {
    /// The status that says whose fault it is.
    pub fn status(self) -> Status {
        match self {
            Self::Version => Status::VERSION_NOT_SUPPORTED,
            Self::TooLarge => Status::MESSAGE_TOO_LARGE,
            Self::UriTooLong => Status::REQUEST_URI_TOO_LONG,
            _ => Status::BAD_REQUEST,
        }
    }

    /// A Reason-Phrase that names what is wrong (RFC 3261 §21.4.1).
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotSip => "Not SIP",
            Self::Version => "Version Not Supported",
            Self::StartLine => "Malformed Start Line",
            Self::Line => "Malformed Header Field Line",
            Self::NoEnd => "Head Does Not End",
            Self::Missing(name) => missing(name),
            Self::Duplicate(name) => duplicate(name),
            Self::Malformed(name) => malformed(name),
            Self::CSeqMethod => "CSeq Method Does Not Match",
            Self::Truncated => "Content-Length Larger Than Body",
            Self::TooLarge => "Message Too Large",
            Self::UriTooLong => "Request-URI Too Long",
        }
    }
}

fn missing(name: Name) -> &'static str {
    match name {
        Name::Via => "Missing Via",
        Name::From => "Missing From",
        Name::To => "Missing To",
        Name::CallId => "Missing Call-ID",
        Name::CSeq => "Missing CSeq",
        Name::ContentLength => "Missing Content-Length",
        _ => "Missing Header Field",
    }
}

fn duplicate(name: Name) -> &'static str {
    match name {
        Name::From => "More Than One From",
        Name::To => "More Than One To",
        Name::CallId => "More Than One Call-ID",
        Name::CSeq => "More Than One CSeq",
        Name::ContentLength => "More Than One Content-Length",
        Name::MaxForwards => "More Than One Max-Forwards",
        _ => "Header Field Repeated",
    }
}

fn malformed(name: Name) -> &'static str {
    match name {
        Name::Via => "Malformed Via",
        Name::From => "Malformed From",
        Name::To => "Malformed To",
        Name::CallId => "Malformed Call-ID",
        Name::CSeq => "Malformed CSeq",
        Name::ContentLength => "Malformed Content-Length",
        Name::MaxForwards => "Malformed Max-Forwards",
        _ => "Malformed Header Field",
    }
}

/// A message that cannot be used. Its index keeps what was found, so that a request can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMessage {
    /// What is wrong.
    pub fault: Fault,
    /// Whether it is a request with enough of a head to send an answer to.
    pub answerable: bool,
}

impl std::fmt::Display for BadMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.fault.reason())
    }
}

impl std::error::Error for BadMessage {}

pub(super) const ABSENT: u8 = u8::MAX;

/// More than there are different [`Name`]s, and a whole number of blocks that are cleared at once.
pub(super) const NAMES: usize = 80;
const _: () = assert!(Name::COUNT < NAMES, "a name has no bit");

/// Where everything is in one message. Reused from message to message; it owns no bytes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub(super) start_line: Option<StartLine>,
    pub(super) fields: Fields,
    /// The place of each name's first field, [`ABSENT`] without one and for [`Name::Other`].
    pub(super) first: [u8; NAMES],
    /// The names that have more than one field, a bit for each.
    pub(super) again: u128,
    pub(super) body_start: u32,
    pub(super) body_end: u32,
    pub(super) via: ViaIndex,
    pub(super) call_id: Span,
    pub(super) cseq: u32,
    pub(super) cseq_method: Method,
    pub(super) from: Party,
    pub(super) to: Party,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            start_line: None,
            fields: Fields::default(),
            first: [ABSENT; NAMES],
            again: 0,
            body_start: 0,
            body_end: 0,
            via: ViaIndex::default(),
            call_id: Span::default(),
            cseq: 0,
            cseq_method: Method::Other,
            from: Party::default(),
            to: Party::default(),
        }
    }
}

impl Index {
    /// Indexes a datagram: what follows the body is ignored, a body shorter than Content-Length is an error
    /// (RFC 3261 §18.3), and without Content-Length the body reaches to the end.
    pub fn parse<'a>(&'a mut self, bytes: &'a [u8], limits: &Limits) -> Result<Message<'a>, BadMessage> {
        self.run::<true>(bytes, limits, false)
    }

    /// [`parse`](Self::parse) by the whole grammar alone, as what is written in unusual ways is read: for tests that compare.
    #[doc(hidden)]
    pub fn parse_by_grammar<'a>(
        &'a mut self,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<Message<'a>, BadMessage> {
        self.run::<false>(bytes, limits, false)
    }

    /// Indexes a message of a stream: Content-Length must be there (RFC 3261 §18.3).
    pub fn parse_framed<'a>(
        &'a mut self,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<Message<'a>, BadMessage> {
        self.run::<true>(bytes, limits, true)
    }

    fn run<'a, const PLAIN: bool>(
        &'a mut self,
        bytes: &'a [u8],
        limits: &Limits,
        framed: bool,
    ) -> Result<Message<'a>, BadMessage> {
        self.clear();
        match self.read::<PLAIN>(bytes, limits, framed) {
            Ok(()) => Ok(Message::view(bytes, self)),
            Err(fault) => {
                let is_request = matches!(self.start_line, Some(StartLine::Request { .. }));
                let ack = matches!(
                    self.start_line,
                    Some(StartLine::Request {
                        method: Method::Ack,
                        ..
                    })
                );
                let has_via = self.via.value != Span::default();
                Err(BadMessage {
                    fault,
                    answerable: is_request && has_via && !ack,
                })
            }
        }
    }

    fn clear(&mut self) {
        self.start_line = None;
        self.fields.clear();
        self.first = [ABSENT; NAMES];
        self.again = 0;
        (self.body_start, self.body_end) = (0, 0);
        self.via = ViaIndex::default();
        self.call_id = Span::default();
        (self.cseq, self.cseq_method) = (0, Method::Other);
        (self.from, self.to) = (Party::default(), Party::default());
    }

    /// The first field of this name.
    #[inline(always)]
    pub(super) fn first_field(&self, name: Name) -> Option<&Field> {
        self.fields.at(self.first[name as usize])
    }

    /// Whether there is more than one field of this name.
    #[inline]
    pub(super) fn occurs_again(&self, name: Name) -> bool {
        self.again >> name as u32 & 1 != 0
    }

    /// The Call-ID found, if any: enough to choose the shard that owns a request.
    pub fn call_id<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let id = self.call_id.of(bytes);
        (!id.is_empty()).then_some(id)
    }

    /// The top Via, as far as it could be read.
    pub fn via(&self) -> &ViaIndex {
        &self.via
    }

    /// The start line, when it could be read.
    pub fn start_line(&self) -> Option<StartLine> {
        self.start_line
    }
}
