//! Transport protocols as they are named in Via (RFC 3261 §18, RFC 7118) and in the `transport` URI parameter.

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    /// Every transport, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// The token of a Via header field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The value of a `transport` URI parameter and of a listen URI's scheme.
    pub const fn uri_param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Reads a token; case does not matter (RFC 3261 §7.3.1).
    pub fn from_token(token: &[u8]) -> Option<Self> {
        match token {
            b"UDP" | b"udp" => Some(Self::Udp),
            b"TCP" | b"tcp" => Some(Self::Tcp),
            _ => Self::ALL
                .into_iter()
                .find(|t| token.eq_ignore_ascii_case(t.as_str().as_bytes())),
        }
    }

    /// Whether lost messages are the transport's business (RFC 3261 §17: "reliable transports").
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether it keeps what it carries from others (RFC 3261 §26.2.1).
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// The port that is meant when none is given (RFC 3261 §19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp | Self::Ws => 5060,
            Self::Tls | Self::Wss => 5061,
        }
    }
}
