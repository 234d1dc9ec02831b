//! URIs (RFC 3261 §19.1, RFC 3966).

/// A URI.
#[derive(Clone, Copy, Debug)]
pub struct Uri;
