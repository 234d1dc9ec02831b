//! Messages (RFC 3261 §7): index, views, drafts and responses.

mod draft;
mod index;
mod parse;
mod plain;
mod rewrite;
pub mod stream;
mod view;
mod write;

pub use crate::edits::{Edits, Span};
pub use draft::Draft;
pub use index::{BadMessage, Fault, Field, Index, Party, Rport, StartLine, ViaIndex};
pub use rewrite::{Rewrite, write_without_top_via};
pub use view::{FieldView, ListItems, Message};
pub use write::{ResponseWriter, ViaStamp};

#[cfg(test)]
mod tests;
