//! Methods (RFC 3261 §7.1). They are compared case-sensitively (§7.3.1 speaks of header fields only).

macro_rules! methods {
    ($($variant:ident $text:literal $doc:literal;)*) => {
        /// A request method. The text of [`Other`](Self::Other) is in the message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Method {
            $(#[doc = $doc] $variant,)*
            /// A method that no code here knows; it is proxied all the same (RFC 3261 §16.3).
            Other,
        }

        impl Method {
            /// Every method with a variant of its own.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),*];

            /// The method's text; empty for [`Other`](Self::Other).
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }

            /// Reads a method.
            pub fn from_token(token: &[u8]) -> Self {
                match token {
                    $(t if t == $text.as_bytes() => Self::$variant,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

methods! {
    Invite "INVITE" "RFC 3261 §13.";
    Ack "ACK" "RFC 3261 §13.2.2.4.";
    Bye "BYE" "RFC 3261 §15.";
    Cancel "CANCEL" "RFC 3261 §9.";
    Options "OPTIONS" "RFC 3261 §11.";
    Register "REGISTER" "RFC 3261 §10.";
    Prack "PRACK" "RFC 3262.";
    Subscribe "SUBSCRIBE" "RFC 6665.";
    Notify "NOTIFY" "RFC 6665.";
    Publish "PUBLISH" "RFC 3903.";
    Info "INFO" "RFC 6086.";
    Refer "REFER" "RFC 3515.";
    Message "MESSAGE" "RFC 3428.";
    Update "UPDATE" "RFC 3311.";
}
