//! A request that is refused: whose fault it is, and the one answer that says so.

use strowger_syntax::{Message, Name, ResponseWriter, Status};

use crate::event::Package;
use crate::uas::ACCEPT;

/// What an answer must carry beside its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    Nothing,
    /// Unsupported, naming what a header field of the request asks for, but for what is known here (RFC 3261 §8.2.2.3,
    /// §16.3).
    Unsupported(Name, &'static [&'static str]),
    /// Unsupported, naming one extension.
    UnsupportedTag(&'static str),
    /// Min-Expires, in seconds (RFC 3261 §10.3).
    MinExpires(u32),
    /// Retry-After, in seconds (RFC 3261 §20.33).
    RetryAfter(u32),
    /// Allow, for a method that is not (RFC 3261 §8.2.1).
    Allow,
    /// Allow-Events, for an event package that is not served (RFC 6665 §4.4.4).
    AllowEvents,
    /// Accept, Accept-Encoding and Accept-Language, for a body that is not understood (RFC 3261 §8.2.3).
    Accept,
    /// Warning, with its code and text (RFC 3261 §20.43).
    Warning(u16, &'static str),
}

/// An answer of 3xx to 6xx made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Its Status-Code.
    pub status: Status,
    /// Its Reason-Phrase: the usual one, or one that says more.
    pub reason: &'static str,
    /// What goes with it.
    pub extra: Extra,
}

/// The methods that the node itself answers, when it is not asked to forward (RFC 3261 §21.4.6).
const ALLOW: &str = "OPTIONS, REGISTER";

/// Appends the names of the event packages that are served.
fn write_packages(out: &mut Vec<u8>) {
    for (number, package) in Package::ALL.iter().enumerate() {
        if number > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(package.name().as_bytes());
    }
}

impl Reject {
    /// A status with its usual Reason-Phrase.
    pub fn new(status: Status) -> Self {
        Self {
            status,
            reason: status.reason(),
            extra: Extra::Nothing,
        }
    }

    /// With a Reason-Phrase that says more.
    pub fn because(status: Status, reason: &'static str) -> Self {
        Self {
            reason,
            ..Self::new(status)
        }
    }

    /// With a header field.
    pub fn with(status: Status, extra: Extra) -> Self {
        Self {
            extra,
            ..Self::new(status)
        }
    }

    /// Adds the header field to an answer.
    pub fn write_extra<'o>(&self, request: Message<'_>, writer: ResponseWriter<'o>) -> ResponseWriter<'o> {
        let number =
            |value: u32| move |out: &mut Vec<u8>| strowger_syntax::scan::put_number(out, u64::from(value));
        match self.extra {
            Extra::Nothing => writer,
            Extra::Unsupported(name, known) => writer.field_with(Name::Unsupported, |out| {
                let is_known = |tag: &[u8]| known.iter().any(|k| tag.eq_ignore_ascii_case(k.as_bytes()));
                for (i, tag) in request.elements(name).filter(|tag| !is_known(tag)).enumerate() {
                    if i > 0 {
                        out.extend_from_slice(b", ");
                    }
                    out.extend_from_slice(tag);
                }
            }),
            Extra::UnsupportedTag(tag) => writer.field(Name::Unsupported, tag.as_bytes()),
            Extra::MinExpires(seconds) => writer.field_with(Name::MinExpires, number(seconds)),
            Extra::RetryAfter(seconds) => writer.field_with(Name::RetryAfter, number(seconds)),
            Extra::Allow => writer.field(Name::Allow, ALLOW.as_bytes()),
            Extra::AllowEvents => writer.field_with(Name::AllowEvents, write_packages),
            Extra::Warning(code, text) => writer.field_with(Name::Warning, |out| {
                strowger_syntax::scan::put_number(out, u64::from(code));
                for part in [" strowger \"", text, "\""] {
                    out.extend_from_slice(part.as_bytes());
                }
            }),
            Extra::Accept => ACCEPT.iter().fold(writer, |writer, &(name, value)| {
                writer.field(name, value.as_bytes())
            }),
        }
    }
}
