//! The size and count of everything that a peer can make large.

/// Limits that hold for one message. Exceeding one is a typed error, never an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of start line and header fields together. At most 65,535: spans are 16 bits wide.
    pub head: usize,
    /// Bytes of body.
    pub body: usize,
    /// Header field lines. At most 254.
    pub fields: usize,
    /// Bytes of a Request-URI.
    pub request_uri: usize,
    /// Bytes of a Call-ID.
    pub call_id: usize,
}

impl Limits {
    /// What a server accepts when nothing is configured.
    pub const DEFAULT: Self = Self {
        head: 65_535,
        body: 1 << 20,
        fields: 250,
        request_uri: 4096,
        call_id: 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
