//! Framing on stream transports (RFC 3261 §18.3).
