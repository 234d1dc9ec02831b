//! One pass over a text: the order of its lines and the grammar of their values (RFC 8866 §5, §9).

use super::line::{Line, all_fields, is_byte_string, is_digits, split_line};
use super::media::MediaField;
use super::{Attribute, Connection, Origin};
use crate::edits::Span;
use crate::limits::SdpLimits;

/// What keeps a text from being a session description. Letters are types of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not a letter, an equals sign and a value.
    Line,
    /// A NUL, or a CR that ends no line.
    Byte,
    /// A mandatory line is not where it belongs.
    Missing(u8),
    /// A line belongs further up, or in the other kind of section.
    Order(u8),
    /// A line that may occur once in its section occurs again.
    Repeated(u8),
    /// A value breaks its grammar.
    Malformed(u8),
    /// A version other than 0.
    Version,
    /// The text is longer than the limits allow.
    TooLong,
    /// The line is longer than the limits allow.
    LineTooLong,
    /// There are more lines than the limits allow.
    TooManyLines,
    /// There are more media descriptions than the limits allow.
    TooManyMedia,
    /// The media description has more formats than the limits allow.
    TooManyFormats,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |letter: u8| char::from(letter);
        match *self {
            Self::Line => f.write_str("not a type and a value"),
            Self::Byte => f.write_str("NUL or CR within the line"),
            Self::Missing(letter) => write!(f, "missing {}=", of(letter)),
            Self::Order(letter) => write!(f, "{}= out of order", of(letter)),
            Self::Repeated(letter) => write!(f, "more than one {}=", of(letter)),
            Self::Malformed(letter) => write!(f, "malformed {}=", of(letter)),
            Self::Version => f.write_str("version not supported"),
            Self::TooLong => f.write_str("description too long"),
            Self::LineTooLong => f.write_str("line too long"),
            Self::TooManyLines => f.write_str("too many lines"),
            Self::TooManyMedia => f.write_str("too many media descriptions"),
            Self::TooManyFormats => f.write_str("too many formats"),
        }
    }
}

/// A text that is no session description: the fault of who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSdp {
    /// The line where it shows, from 1 on; 0 for the text as a whole.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

impl std::fmt::Display for BadSdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => self.fault.fmt(f),
            line => write!(f, "line {line}: {}", self.fault),
        }
    }
}

impl std::error::Error for BadSdp {}

/// What a check finds on its way.
pub(super) struct Found<'a> {
    pub(super) origin: Origin<'a>,
    /// Where the first media description begins, or the end.
    pub(super) session_end: usize,
}

pub(super) fn check<'a>(text: &'a [u8], limits: &SdpLimits) -> Result<Found<'a>, BadSdp> {
    if text.len() > limits.text.min(usize::from(u16::MAX)) {
        return Err(BadSdp {
            line: 0,
            fault: Fault::TooLong,
        });
    }
    let mut checker = Checker::new(text, limits);
    let (mut at, mut line) = (0, 0);
    while let Some((content, next)) = split_line(text, at) {
        line += 1;
        if content.is_empty() && line > 1 && only_line_ends(text, at) {
            break;
        }
        let checked = checker.line(content, at, line);
        checked.map_err(|fault| BadSdp { line, fault })?;
        at = next;
    }
    let ended = checker.order.end();
    ended.map_err(|fault| BadSdp {
        line: line + 1,
        fault,
    })?;
    Ok(checker.found)
}

/// Whether empty lines are all that is left. Peers leave them behind.
fn only_line_ends(text: &[u8], mut at: usize) -> bool {
    while let Some((content, next)) = split_line(text, at) {
        if !content.is_empty() {
            return false;
        }
        at = next;
    }
    true
}

struct Checker<'a, 'l> {
    limits: &'l SdpLimits,
    order: Order,
    media: usize,
    found: Found<'a>,
}

impl<'a, 'l> Checker<'a, 'l> {
    fn new(text: &'a [u8], limits: &'l SdpLimits) -> Self {
        Self {
            limits,
            order: Order {
                types: SESSION,
                last: None,
            },
            media: 0,
            found: Found {
                origin: Origin::default(),
                session_end: text.len(),
            },
        }
    }

    fn line(&mut self, content: &'a [u8], at: usize, number: usize) -> Result<(), Fault> {
        if number > self.limits.lines {
            return Err(Fault::TooManyLines);
        }
        if content.len() > self.limits.line {
            return Err(Fault::LineTooLong);
        }
        let [letter @ (b'a'..=b'z' | b'A'..=b'Z'), b'=', value @ ..] = content else {
            return Err(Fault::Line);
        };
        if !is_byte_string(value) {
            return Err(Fault::Byte);
        }
        self.order.next(*letter)?;
        self.value(&Line {
            letter: *letter,
            value,
            span: Span::new(at, at + content.len()),
        })
    }

    /// The values that are read here. An empty `s=`, which the grammar does not have, harms nobody.
    fn value(&mut self, line: &Line<'a>) -> Result<(), Fault> {
        let malformed = Fault::Malformed(line.letter);
        match line.letter {
            b'v' if line.value != b"0" => return Err(Fault::Version),
            b'o' => self.found.origin = Origin::parse(line.value).ok_or(malformed)?,
            b'c' => drop(Connection::parse(line).ok_or(malformed)?),
            b't' if !is_time(line.value) => return Err(malformed),
            b'a' => drop(Attribute::parse(line.value).ok_or(malformed)?),
            b'm' => {
                let field = MediaField::parse(line).ok_or(malformed)?;
                if field.formats().nth(self.limits.formats).is_some() {
                    return Err(Fault::TooManyFormats);
                }
                if self.media == self.limits.media {
                    return Err(Fault::TooManyMedia);
                }
                if self.media == 0 {
                    self.found.session_end = line.span.start.into();
                }
                self.media += 1;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Start and stop (RFC 8866 §5.9).
fn is_time(value: &[u8]) -> bool {
    all_fields::<2>(value).is_some_and(|times| times.into_iter().all(is_digits))
}

/// The types of lines of the session-level section in their order, and those of a media description.
const SESSION: &[u8] = b"vosiuepcbtrzka";
const MEDIA: &[u8] = b"micbka";

/// What every description has.
const MANDATORY: &[u8] = b"vost";

/// Whether RFC 8866 has this type of line.
pub(super) fn is_known(letter: u8) -> bool {
    letter == b'm' || SESSION.contains(&letter)
}

/// Where in the grammar a text has got to.
struct Order {
    /// The types of the section, in order.
    types: &'static [u8],
    /// The last one there was.
    last: Option<u8>,
}

impl Order {
    fn place(&self, letter: u8) -> Option<usize> {
        self.types.iter().position(|&it| it == letter)
    }

    fn next(&mut self, letter: u8) -> Result<(), Fault> {
        if letter == b'm' {
            self.end()?;
            (self.types, self.last) = (MEDIA, Some(letter));
            return Ok(());
        }
        if !is_known(letter) {
            // It may stand anywhere but above the version.
            return self.last.map(|_| ()).ok_or(Fault::Missing(b'v'));
        }
        let place = self.place(letter).ok_or(Fault::Order(letter))?;
        let last = self.last.and_then(|last| self.place(last));
        let in_media = self.types == MEDIA;
        let again = match (self.last, letter) {
            // RFC 8866 §9: a time description may follow another, and only repetitions have a time zone.
            (Some(b'r' | b'z'), b't') => true,
            (Some(b'r'), b'z') => true,
            (_, b'z') => return Err(Fault::Order(letter)),
            (Some(before), _) if before == letter => {
                let repeatable: &[u8] = if in_media { b"cba" } else { b"epbtra" };
                repeatable
                    .contains(&letter)
                    .then_some(true)
                    .ok_or(Fault::Repeated(letter))?
            }
            _ => false,
        };
        if !again && last.is_some_and(|last| place < last) {
            return Err(Fault::Order(letter));
        }
        if !in_media {
            self.none_missing(last, place)?;
        }
        self.last = Some(letter);
        Ok(())
    }

    /// Nothing mandatory stands between two places.
    fn none_missing(&self, last: Option<usize>, place: usize) -> Result<(), Fault> {
        let from = last.map_or(0, |last| last + 1);
        let passed = self.types.get(from..place).unwrap_or(&[]);
        let missing = passed.iter().find(|&it| MANDATORY.contains(it));
        missing.map_or(Ok(()), |&it| Err(Fault::Missing(it)))
    }

    /// The section may end here.
    fn end(&self) -> Result<(), Fault> {
        if self.types == MEDIA {
            return Ok(());
        }
        self.none_missing(self.last.and_then(|last| self.place(last)), SESSION.len())
    }
}
