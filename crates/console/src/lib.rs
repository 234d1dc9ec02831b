//! The HTTP side of administration: health, metrics and a JSON API over [`strowger_server::admin`]. It is for
//! loopback only, since it speaks no TLS; whoever is on the machine still needs the token, and a web page that a
//! browser on the machine shows can neither read nor change anything.

mod access;
mod api;
mod error;
mod import;
mod metrics;
mod openapi;
mod serve;
#[cfg(test)]
mod tests;

pub use access::Access;
pub use openapi::openapi;
pub use serve::{Refused, serve};
