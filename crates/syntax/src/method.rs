//! Methods (RFC 3261 §7.1). They are compared case-sensitively (§7.3.1 speaks of header fields only).

use crate::lanes::begins;

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

/// What a request begins with.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Start {
    /// A method and the space behind it.
    text: [u8; 16],
    /// A bit for each of its bytes.
    bits: u16,
    method: Method,
    len: u8,
}

type Table = [Start; 32];

/// Open addressing by the first four bytes, which every method has with the space behind it.
static STARTS: Table = {
    let nothing = Start {
        text: [0; 16],
        bits: 0,
        method: Method::Other,
        len: 0,
    };
    let mut table = [nothing; 32];
    let mut i = 0;
    while i < Method::KNOWN.len() {
        let method = Method::KNOWN[i];
        let name = method.as_str().as_bytes();
        let (mut text, mut bits) = ([0; 16], 0);
        let mut at = 0;
        while at <= name.len() {
            text[at] = if at < name.len() { name[at] } else { b' ' };
            bits |= 1 << at;
            at += 1;
        }
        at = slot([text[0], text[1], text[2], text[3]]);
        while table[at].len != 0 {
            at = (at + 1) & 31;
        }
        let len = name.len() as u8;
        table[at] = Start {
            text,
            bits,
            method,
            len,
        };
        i += 1;
    }
    table
};

/// Where to look in the table for what begins with these bytes. Those that are known have places of their own.
#[inline(always)]
const fn slot(first: [u8; 4]) -> usize {
    (u32::from_le_bytes(first).wrapping_mul(0xD622_5675) >> 27) as usize
}

impl Method {
    /// The known method that a request begins with, followed by a space, and its length; [`Other`](Self::Other) when there is
    /// none.
    #[inline(always)]
    pub(crate) fn at_start(request: &[u8; 16]) -> (Self, usize) {
        let mut at = request.first_chunk().map_or(0, |first| slot(*first));
        loop {
            let start = &STARTS[at];
            if begins(request, &start.text, start.bits) {
                return (start.method, usize::from(start.len));
            }
            at = (at + 1) & 31;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_found_at_the_start_of_a_request() {
        let found = |line: &str| Method::at_start(line.as_bytes().first_chunk().expect("long enough"));
        for &method in Method::KNOWN {
            let text = method.as_str();
            assert_eq!(found(&format!("{text} sip:a@example.com")), (method, text.len()));
            for line in [
                format!("{text}Ssip:a@example.com"),
                format!("{}sip:a@example.com", &text[..2]),
            ] {
                assert_eq!(found(&line), (Method::Other, 0), "{line}");
            }
        }
    }
}
