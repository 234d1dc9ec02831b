//! Media descriptions: the `m=` line (RFC 8866 §5.14) and the section that it begins.

use std::time::Duration;

use super::attribute::milliseconds;
use super::line::{Line, fields, is_token, split_once};
use super::{Connection, Direction, RtpMap, Section};
use crate::edits::Span;
use crate::scan::number;

/// The value of an `m=` line.
#[derive(Clone, Copy, Debug)]
pub struct MediaField<'a> {
    /// The kind of media: `audio`, `video`, `text`, `application`, `message`, `image` or another token.
    pub media: &'a [u8],
    /// The transport port; an answer refuses a stream with 0 (RFC 3264 §6).
    pub port: u16,
    /// How many ports are used, from 1 on.
    pub port_count: u16,
    /// The transport protocol: `RTP/AVP`, `RTP/SAVP`, `udp` or another.
    pub protocol: &'a [u8],
    /// Where the port is, without the number of ports.
    pub port_span: Span,
    formats: &'a [u8],
}

/// A media description.
#[derive(Clone, Copy, Debug)]
pub struct MediaDescription<'a> {
    /// Its `m=` line.
    pub field: MediaField<'a>,
    /// All its lines.
    pub section: Section<'a>,
    pub(super) session: Section<'a>,
}

impl<'a> MediaField<'a> {
    pub(super) fn parse(line: &Line<'a>) -> Option<Self> {
        let mut rest = line.value;
        let media = next_field(&mut rest)?;
        let ports = next_field(&mut rest)?;
        let port_at = usize::from(line.span.end) - rest.len() - ports.len();
        let protocol = next_field(&mut rest)?;
        let (port, count) = split_once(ports, b'/').unwrap_or((ports, b"1"));
        let mut formats = fields(rest).peekable();
        let good = is_token(media)
            && protocol.split(|&b| b == b'/').all(is_token)
            && formats.peek().is_some()
            && formats.all(is_token);
        good.then_some(Self {
            media,
            port: small(port)?,
            port_count: small(count).filter(|&count| count > 0)?,
            protocol,
            port_span: Span::new(port_at, port_at + port.len()),
            formats: rest,
        })
    }

    /// The formats, the preferred one first: RTP payload types, or what the protocol defines.
    pub fn formats(self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        fields(self.formats)
    }
}

/// Takes the next subfield off.
fn next_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let field = fields(rest).next()?;
    let begin = rest.iter().position(|&b| b != b' ')?;
    *rest = &rest[begin + field.len()..];
    Some(field)
}

/// A number of 16 bits.
fn small(digits: &[u8]) -> Option<u16> {
    number(digits)?.try_into().ok()
}

impl<'a> MediaDescription<'a> {
    /// Its connection, or the session's: without one there is nowhere to send to (RFC 8866 §5.7). Of several, which are
    /// layers of one multicast stream, the first.
    pub fn connection(self) -> Option<Connection<'a>> {
        let own = self.section.connections().next();
        own.or_else(|| self.session.connections().next())
    }

    /// Its direction, or the session's, or `sendrecv` (RFC 8866 §6.7).
    pub fn direction(self) -> Direction {
        let own = self.section.direction();
        own.or_else(|| self.session.direction()).unwrap_or_default()
    }

    /// What a payload type stands for, if the description says so (RFC 8866 §6.6).
    pub fn rtpmap(self, payload_type: u8) -> Option<RtpMap<'a>> {
        let mut maps = self.section.values(b"rtpmap").filter_map(RtpMap::parse);
        maps.find(|map| map.payload_type == payload_type)
    }

    /// The parameters of a format (RFC 8866 §6.15).
    pub fn fmtp(self, format: &[u8]) -> Option<&'a [u8]> {
        let mut values = self.section.values(b"fmtp");
        values
            .find_map(|value| split_once(value, b' ').filter(|(of, _)| *of == format))
            .map(|(_, parameters)| parameters)
    }

    /// How much media a packet should hold (RFC 8866 §6.4).
    pub fn ptime(self) -> Option<Duration> {
        self.section.values(b"ptime").find_map(milliseconds)
    }

    /// How much media a packet may hold at most (RFC 8866 §6.5).
    pub fn maxptime(self) -> Option<Duration> {
        self.section.values(b"maxptime").find_map(milliseconds)
    }
}
