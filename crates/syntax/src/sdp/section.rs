//! A description as it is read: its sections, and what any section can have.

use super::line::{Line, Lines};
use super::media::MediaField;
use super::parse::{self, BadSdp};
use super::{Attribute, Connection, Direction, MediaDescription, Origin};
use crate::edits::Span;
use crate::limits::SdpLimits;

/// A checked session description. Copying it copies references.
#[derive(Clone, Copy, Debug)]
pub struct SessionDescription<'a> {
    text: &'a [u8],
    origin: Origin<'a>,
    session: Section<'a>,
}

impl<'a> SessionDescription<'a> {
    /// Checks a text (RFC 8866 §9). Lines end with CRLF or LF, but for the last one, which may have no end.
    pub fn parse(text: &'a [u8], limits: &SdpLimits) -> Result<Self, BadSdp> {
        let found = parse::check(text, limits)?;
        let span = Span::new(0, found.session_end);
        Ok(Self {
            text,
            origin: found.origin,
            session: Section { text, span },
        })
    }

    /// The whole text.
    pub fn text(self) -> &'a [u8] {
        self.text
    }

    /// Who made the session.
    pub fn origin(self) -> Origin<'a> {
        self.origin
    }

    /// The session-level section, which ends at the first media description.
    pub fn session(self) -> Section<'a> {
        self.session
    }

    /// The media descriptions, in order.
    pub fn media(self) -> impl Iterator<Item = MediaDescription<'a>> + use<'a> {
        let mut at = self.session.span.end;
        std::iter::from_fn(move || {
            let section = Section {
                text: self.text,
                span: Span::new(at.into(), section_end(self.text, at.into())),
            };
            at = section.span.end;
            Some(MediaDescription {
                field: MediaField::parse(&section.lines().next()?)?,
                section,
                session: self.session,
            })
        })
    }

    /// Whether RFC 8866 has all types of its lines. Who acts on a description must refuse or ignore one that has others
    /// (§5); who passes it on need not.
    pub fn is_understood(self) -> bool {
        let whole = Span::new(0, self.text.len());
        Lines::within(self.text, whole).all(|line| parse::is_known(line.letter))
    }
}

/// Where the section that begins at an offset ends: at the next `m=` line, or at the end with the empty lines there.
fn section_end(text: &[u8], at: usize) -> usize {
    let mut lines = Lines::within(text, Span::new(at, text.len()));
    lines.next();
    loop {
        let end = lines.at();
        match lines.next() {
            Some(line) if line.letter == b'm' => return end,
            Some(_) => {}
            None => return text.len(),
        }
    }
}

/// The session-level section or that of one media description.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    text: &'a [u8],
    span: Span,
}

impl<'a> Section<'a> {
    /// Where it begins and ends. The sections follow each other without gaps.
    pub fn span(self) -> Span {
        self.span
    }

    /// Its lines, in order.
    pub fn lines(self) -> Lines<'a> {
        Lines::within(self.text, self.span)
    }

    /// The lines of one type.
    fn lines_of(self, letter: u8) -> impl Iterator<Item = Line<'a>> + use<'a> {
        self.lines().filter(move |line| line.letter == letter)
    }

    /// Its own connections: at most one, but for layers of multicast media.
    pub fn connections(self) -> impl Iterator<Item = Connection<'a>> + use<'a> {
        self.lines_of(b'c').filter_map(|line| Connection::parse(&line))
    }

    /// Its own attributes, in order.
    pub fn attributes(self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.lines_of(b'a')
            .filter_map(|line| Attribute::parse(line.value))
    }

    /// Its first attribute of a name.
    pub fn attribute(self, name: &[u8]) -> Option<Attribute<'a>> {
        self.attributes().find(|attribute| attribute.name() == name)
    }

    /// The values of its attributes of a name.
    pub fn values<'n>(self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let named = self
            .attributes()
            .filter(move |attribute| attribute.name() == name);
        named.filter_map(|attribute| attribute.value())
    }

    /// Its own direction.
    pub fn direction(self) -> Option<Direction> {
        self.attributes().find_map(|attribute| Direction::of(&attribute))
    }
}
