//! The registration that a user agent keeps up (RFC 3261 §10.2), by its scripts and by properties.

mod challenges;
mod registrar;
mod scripts;
mod times;
