//! Header fields: the table of names and one file for each typed value.

mod names;

pub use names::{Multiplicity, Name};

/// A value that a header field can be decoded to.
pub trait Header<'a>: Sized {
    /// The field's name.
    const NAME: Name;

    /// Decodes one value: the whole field value for single fields, one element for lists.
    fn decode(value: &'a [u8]) -> Result<Self, HeaderError>;
}

/// A header field whose value breaks its grammar: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderError {
    /// The field.
    pub name: Name,
    /// What is wrong, in a few words for a Reason-Phrase or a log.
    pub what: &'static str,
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name.as_str(), self.what)
    }
}

impl std::error::Error for HeaderError {}
