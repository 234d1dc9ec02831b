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

/// Limits that hold for one session description (RFC 8866). Exceeding one is a typed error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdpLimits {
    /// Bytes of the whole text. At most 65,535: spans are 16 bits wide.
    pub text: usize,
    /// Bytes of a line without its end.
    pub line: usize,
    /// Lines.
    pub lines: usize,
    /// Media descriptions.
    pub media: usize,
    /// Formats of one media description.
    pub formats: usize,
}

impl SdpLimits {
    /// What a server accepts when nothing is configured.
    pub const DEFAULT: Self = Self {
        text: 65_535,
        line: 8192,
        lines: 4096,
        media: 128,
        formats: 256,
    };
}

impl Default for SdpLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
