//! Session descriptions (RFC 8866): views over their text, and drafts of changed ones.
//!
//! [`SessionDescription::parse`] checks the order of the lines and the grammar of those whose values are read here, once
//! and without allocating. Attributes and types of lines that are not known stay as they are.

mod attribute;
mod connection;
mod draft;
mod line;
mod media;
mod origin;
mod parse;
mod section;

pub use attribute::{Attribute, Direction, RtpMap};
pub use connection::Connection;
pub use draft::Draft;
pub use line::{Line, Lines};
pub use media::{MediaDescription, MediaField};
pub use origin::Origin;
pub use parse::{BadSdp, Fault};
pub use section::{Section, SessionDescription};

#[cfg(test)]
mod tests;
