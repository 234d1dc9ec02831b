//! Datagrams that are no SIP messages, and that whoever sends them means so.

/// A datagram that only keeps a flow open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// It says nothing: empty lines (RFC 3261 §7.5) or zeroes, as phones and their NATs' helpers send them. Nobody waits for an
    /// answer.
    Empty,
    /// A STUN message (RFC 5626 §8): its two topmost bits are zero, as in no SIP message.
    Stun,
}

/// Longer datagrams are no keep-alives, whatever is in them.
const LONGEST_EMPTY: usize = 32;

/// What some phones send instead of an empty line.
const ODD_PING: &[u8] = b"jaK";

/// The kind of keep-alive that a datagram is; `None` for what has to be looked at as a SIP message. For one it costs two
/// comparisons: SIP messages are longer and begin with a letter, or with another character of a token (RFC 3261 §25.1), which
/// all stand behind the control characters.
pub fn keep_alive(datagram: &[u8]) -> Option<KeepAlive> {
    match *datagram {
        [] => Some(KeepAlive::Empty),
        [first, ..] if first > b' ' && datagram.len() > ODD_PING.len() => None,
        [0 | 1, _, _, _, ..] if datagram.len() > LONGEST_EMPTY || !is_empty(datagram) => {
            Some(KeepAlive::Stun)
        }
        _ => (datagram.len() <= LONGEST_EMPTY && is_empty(datagram)).then_some(KeepAlive::Empty),
    }
}

fn is_empty(datagram: &[u8]) -> bool {
    datagram == ODD_PING || datagram.iter().all(|byte| b"\0\r\n ".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 5626 §8, RFC 3261 §7.5: what can be told by the first byte is.
    #[test]
    fn keep_alives_are_told_from_messages() {
        let empty: [&[u8]; 10] = [
            b"",
            b"\0",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b" ",
            b"jaK",
            b"\0\0\0\0",
            b"\r\n\0",
            &[0; LONGEST_EMPTY],
        ];
        for datagram in empty {
            assert_eq!(keep_alive(datagram), Some(KeepAlive::Empty), "{datagram:?}");
        }
        let stun: [&[u8]; 4] = [
            b"\0\x01\0\0",
            b"\x01\x01\0\0",
            &[0; LONGEST_EMPTY + 1],
            b"\0\0\0\x01",
        ];
        for datagram in stun {
            assert_eq!(keep_alive(datagram), Some(KeepAlive::Stun), "{datagram:?}");
        }
        let others: [&[u8]; 8] = [
            b"OPTIONS sip:a SIP/2.0\r\n\r\n",
            b"SIP/2.0 200 OK\r\n\r\n",
            b"jaKx",
            b"jak",
            b"\r\nOPTIONS",
            b"\x01",
            b"*",
            &[b'\r'; LONGEST_EMPTY + 1],
        ];
        for datagram in others {
            assert_eq!(keep_alive(datagram), None, "{datagram:?}");
        }
    }
}
