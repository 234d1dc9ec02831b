//! A message that is to be explained, as it is asked for over the API.

use serde::{Deserialize, Serialize};

use super::AdminError;
use crate::explain::Unclear;

/// Bytes of a message that is explained at most: more than the largest that a node takes.
pub const MESSAGE_LIMIT: usize = 2 << 20;

/// What is to be explained: a message as text or in hexadecimal, and how it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The message as text.
    #[serde(default)]
    pub message: Option<String>,
    /// The message in hexadecimal, for what is no UTF-8.
    #[serde(default)]
    pub message_hex: Option<String>,
    /// Where it comes from: an address with its port.
    #[serde(default)]
    pub source: Option<String>,
    /// The listener that it comes to, as `udp:192.0.2.1:5060`.
    #[serde(default)]
    pub listener: Option<String>,
    /// When: Unix seconds, `2026-11-27T23:00:00Z`, or from now as `+10m`.
    #[serde(default)]
    pub at: Option<String>,
    /// The user whose right credentials it would have if they were asked for; its own are then left out.
    #[serde(default, rename = "as")]
    pub user: Option<String>,
    /// Records that DNS is said to have, one to a line; without them DNS itself is asked.
    #[serde(default)]
    pub dns: Option<String>,
}

impl Explain {
    /// Of a message's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self {
                message: Some(text.to_owned()),
                ..Self::default()
            },
            Err(_) => Self {
                message_hex: Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
                ..Self::default()
            },
        }
    }

    /// The message's bytes.
    ///
    /// # Errors
    /// [`AdminError::Invalid`]: there is none or there are two, it is too long, or the hexadecimal is none.
    pub fn bytes(&self) -> Result<Vec<u8>, AdminError> {
        let invalid = |what: &str| AdminError::Invalid {
            what: what.to_owned(),
            mend: "give either `message`, a text, or `message_hex`, its bytes in hexadecimal".to_owned(),
        };
        let bytes = match (&self.message, &self.message_hex) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(hex)) => of_hex(hex).ok_or_else(|| invalid("`message_hex` is no hexadecimal"))?,
            (None, None) => return Err(invalid("there is no message")),
            (Some(_), Some(_)) => return Err(invalid("there are two messages")),
        };
        if bytes.len() > MESSAGE_LIMIT {
            return Err(AdminError::Invalid {
                what: format!("the message has {} bytes", bytes.len()),
                mend: format!("no message has more than {MESSAGE_LIMIT}"),
            });
        }
        Ok(bytes)
    }
}

fn of_hex(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4 | digit(*low)?) as u8);
    pairs
        .iter()
        .map(byte)
        .collect::<Option<_>>()
        .filter(|_| rest.is_empty())
}

impl From<Unclear> for AdminError {
    fn from(unclear: Unclear) -> Self {
        Self::Invalid {
            what: unclear.what,
            mend: unclear.mend,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_through() {
        for bytes in [&b"OPTIONS sip:a SIP/2.0\r\n\r\n"[..], b"\xff\x00\x7f", b""] {
            assert_eq!(Explain::of(bytes).bytes().as_deref(), Ok(bytes));
        }
        let hex = |text: &str| Explain {
            message_hex: Some(text.to_owned()),
            ..Explain::default()
        };
        assert_eq!(hex("00fF").bytes(), Ok(vec![0, 255]));
        for wrong in ["0", "0g", "\u{e9}", "0x00"] {
            assert!(hex(wrong).bytes().is_err(), "{wrong}");
        }
        assert!(Explain::default().bytes().is_err());
        let two = Explain {
            message: Some(String::new()),
            ..hex("00")
        };
        assert!(two.bytes().is_err());
    }
}
