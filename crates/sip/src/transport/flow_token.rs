//! Flow tokens (RFC 5626 §5.2): a flow, written into the user part of a URI of ours so that we find it again without keeping
//! anything of it, and that nobody else can make one.
//!
//! ```text
//! token      = hexadecimal digits of (content mac:u64)
//! content    = kind:u8 listener:u16 [from] (datagrams | connection)           ; little-endian
//! datagrams  = address port:u16
//! connection = shard:u16 index:u32 generation:u32 boot:u32
//! ```
//!
//! `kind` is the transport, and bits that say which parts are there and of which family.

use std::net::{IpAddr, SocketAddr};

use strowger_syntax::Transport;

use super::{Departure, Destination, Flow, Hop, Source};
use crate::keys::MacKey;

const TRANSPORT: u8 = 0x0f;
const V6: u8 = 1 << 4;
const FROM: u8 = 1 << 5;
const CONNECTION: u8 = 1 << 6;

/// The bytes of a MAC.
const MAC: usize = 8;
/// The bytes of the longest content.
const LONGEST: usize = 3 + 16 + 16 + 2;

/// Where a flow leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// To who sends datagrams from there.
    Datagrams(IpAddr, u16),
    /// Over a connection of this boot.
    Connection(Flow),
}

impl Peer {
    /// The one that sent something.
    pub fn of(source: &Source) -> Self {
        match source.flow {
            Some(flow) => Self::Connection(flow),
            None => Self::Datagrams(source.remote.ip(), source.remote.port()),
        }
    }
}

/// A flow (RFC 5626 §2): a peer, and our end towards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogicalFlow {
    /// The transport.
    pub transport: Transport,
    /// The number of the listener.
    pub listener: u16,
    /// Our address there, for listeners bound to a wildcard.
    pub from: Option<IpAddr>,
    /// The peer.
    pub peer: Peer,
}

/// What a token is worth something for: nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// In the Path of a registration: new requests reach its phone.
    Path,
    /// In the Record-Route entry with this token: later requests of its dialog do.
    Dialog(u64),
}

/// What a text is that may be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadToken {
    /// Something else.
    None,
    /// One that was not made here, or not for this.
    Forged,
    /// A connection of another boot.
    Gone,
    /// A flow that may be there.
    Flow(LogicalFlow),
}

impl LogicalFlow {
    /// The flow that a hop follows; `None` for one that may have to connect first.
    pub fn of_hop(hop: &Hop) -> Option<Self> {
        let (from, peer) = match hop.to {
            Destination::Datagram { from, to, .. } => (from, Peer::Datagrams(to.ip(), to.port())),
            Destination::Flow(flow) => (None, Peer::Connection(flow)),
            Destination::Connect { .. } => return None,
        };
        Some(Self {
            transport: hop.transport,
            listener: hop.listener,
            from,
            peer,
        })
    }

    /// Whether something came over it.
    pub fn is_of(&self, source: &Source) -> bool {
        self.transport == source.transport && self.peer == Peer::of(source)
    }

    /// The hop over it, as long as there is a listener of its kind.
    pub fn hop(&self, from: Departure<'_>) -> Option<Hop> {
        let of_its_kind = from.listeners.get(self.listener)?;
        if of_its_kind.transport != self.transport {
            return None;
        }
        let local = self.from.unwrap_or_else(|| of_its_kind.address.ip());
        let to = match self.peer {
            Peer::Connection(flow) => Destination::Flow(flow),
            Peer::Datagrams(ip, port) => Destination::Datagram {
                listener: self.listener,
                from: self.from,
                to: SocketAddr::new(ip, port),
            },
        };
        Some(Hop {
            transport: self.transport,
            listener: self.listener,
            local,
            to,
            over_flow: true,
        })
    }

    /// Appends its token.
    pub fn write(&self, key: &MacKey, boot: u32, used: TokenUse, out: &mut Vec<u8>) {
        let mut content = Content::default();
        let put = &mut content;
        let v6 = matches!(self.peer, Peer::Datagrams(IpAddr::V6(_), _))
            || self.from.is_some_and(|ip| ip.is_ipv6());
        let kind = self.transport as u8
            | if v6 { V6 } else { 0 }
            | if self.from.is_some() { FROM } else { 0 }
            | if matches!(self.peer, Peer::Connection(_)) {
                CONNECTION
            } else {
                0
            };
        put.bytes(&[kind]);
        put.bytes(&self.listener.to_le_bytes());
        if let Some(from) = self.from {
            put.ip(from, v6);
        }
        match self.peer {
            Peer::Datagrams(ip, port) => {
                put.ip(ip, v6);
                put.bytes(&port.to_le_bytes());
            }
            Peer::Connection(flow) => {
                put.bytes(&flow.shard.to_le_bytes());
                for number in [flow.index, flow.generation, boot] {
                    put.bytes(&number.to_le_bytes());
                }
            }
        }
        let mac = mac(key, used, content.written());
        content
            .written()
            .iter()
            .chain(&mac.to_le_bytes())
            .for_each(|byte| {
                out.extend([byte >> 4, byte & 15].map(|nibble| b"0123456789abcdef"[usize::from(nibble)]));
            });
    }
}

/// Reads what may be the token of a flow.
pub fn read_token(text: &[u8], key: &MacKey, boot: u32, used: TokenUse) -> ReadToken {
    let mut bytes = [0; LONGEST + MAC];
    let Some(bytes) = unhex(text, &mut bytes) else {
        return ReadToken::None;
    };
    let Some((content, given)) = bytes.split_last_chunk::<MAC>() else {
        return ReadToken::None;
    };
    let Some((flow, its_boot)) = decode(content) else {
        return ReadToken::None;
    };
    if !key.verify(&parts(used, content, &mut [0; 8]), u64::from_le_bytes(*given)) {
        return ReadToken::Forged;
    }
    match its_boot {
        Some(its) if its != boot => ReadToken::Gone,
        _ => ReadToken::Flow(flow),
    }
}

/// What the MAC is made of: what the token is for, and its content.
fn parts<'a>(used: TokenUse, content: &'a [u8], room: &'a mut [u8; 8]) -> [&'a [u8]; 2] {
    match used {
        TokenUse::Path => [b"path", content],
        TokenUse::Dialog(token) => {
            *room = token.to_le_bytes();
            [room, content]
        }
    }
}

fn mac(key: &MacKey, used: TokenUse, content: &[u8]) -> u64 {
    key.mac(&parts(used, content, &mut [0; 8]))
}

/// The flow that a content is, and the boot of its connection.
fn decode(content: &[u8]) -> Option<(LogicalFlow, Option<u32>)> {
    let mut rest = content;
    let [kind] = take(&mut rest)?;
    let transport = *Transport::ALL.get(usize::from(kind & TRANSPORT))?;
    let listener = u16::from_le_bytes(take(&mut rest)?);
    let ip = |rest: &mut &[u8]| match kind & V6 {
        0 => take::<4>(rest).map(IpAddr::from),
        _ => take::<16>(rest).map(IpAddr::from),
    };
    let from = if kind & FROM == 0 {
        None
    } else {
        Some(ip(&mut rest)?)
    };
    let (peer, boot) = if kind & CONNECTION == 0 {
        let ip = ip(&mut rest)?;
        (Peer::Datagrams(ip, u16::from_le_bytes(take(&mut rest)?)), None)
    } else {
        let shard = u16::from_le_bytes(take(&mut rest)?);
        let mut number = || take(&mut rest).map(u32::from_le_bytes);
        let flow = Flow {
            shard,
            index: number()?,
            generation: number()?,
        };
        (Peer::Connection(flow), Some(number()?))
    };
    let flow = LogicalFlow {
        transport,
        listener,
        from,
        peer,
    };
    rest.is_empty().then_some((flow, boot))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

/// The bytes that hexadecimal digits of lower case spell.
fn unhex<'b>(text: &[u8], bytes: &'b mut [u8; LONGEST + MAC]) -> Option<&'b [u8]> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let bytes = bytes.get_mut(..pairs.len())?;
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

/// A content while it is written.
#[derive(Default)]
struct Content {
    bytes: smallvec::SmallVec<[u8; 64]>,
}

impl Content {
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An address; one of IPv4 as one of IPv6 where the other is that.
    fn ip(&mut self, ip: IpAddr, v6: bool) {
        match ip {
            IpAddr::V4(ip) if v6 => self.bytes(&ip.to_ipv6_mapped().octets()),
            IpAddr::V4(ip) => self.bytes(&ip.octets()),
            IpAddr::V6(ip) => self.bytes(&ip.octets()),
        }
    }

    fn written(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    fn flows() -> Vec<LogicalFlow> {
        let flow = Flow {
            shard: 3,
            index: 70_000,
            generation: u32::MAX,
        };
        let v4 = IpAddr::from([192, 0, 2, 1]);
        let v6: IpAddr = "2001:db8::7".parse().expect("an address");
        let peers = [
            (Transport::Udp, Peer::Datagrams(v4, 5060), [None, Some(v4)]),
            (Transport::Udp, Peer::Datagrams(v6, 65_535), [None, Some(v6)]),
            (Transport::Tcp, Peer::Connection(flow), [None, None]),
        ];
        let each = peers.into_iter().flat_map(|(transport, peer, from)| {
            from.map(|from| LogicalFlow {
                transport,
                listener: 300,
                from,
                peer,
            })
        });
        each.collect()
    }

    fn token(flow: &LogicalFlow, used: TokenUse) -> Vec<u8> {
        let mut out = Vec::new();
        flow.write(&Keys::derive(&[7; 32]).flow, 5, used, &mut out);
        out
    }

    fn read(text: &[u8], boot: u32, used: TokenUse) -> ReadToken {
        read_token(text, &Keys::derive(&[7; 32]).flow, boot, used)
    }

    // RFC 5626 §5.2: unique to a flow, read back from the token, and not to be modified.
    #[test]
    fn a_token_is_that_of_its_flow_and_nobody_else_makes_one() {
        let uses = [TokenUse::Path, TokenUse::Dialog(77), TokenUse::Dialog(78)];
        for flow in flows() {
            for used in uses {
                let text = token(&flow, used);
                assert_eq!(read(&text, 5, used), ReadToken::Flow(flow));
                for other in uses.into_iter().filter(|&other| other != used) {
                    assert_eq!(read(&text, 5, other), ReadToken::Forged);
                }
                for at in 0..text.len() {
                    let mut forged = text.clone();
                    forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
                    let is_one = matches!(read(&forged, 5, used), ReadToken::Flow(_) | ReadToken::Gone);
                    assert!(!is_one, "digit {at} of {flow:?}");
                    assert_eq!(read(&text[..at], 5, used), ReadToken::None);
                }
            }
        }
    }

    #[test]
    fn a_connection_of_another_boot_is_gone_and_where_datagrams_come_from_is_not() {
        for flow in flows() {
            let expected = match flow.peer {
                Peer::Connection(_) => ReadToken::Gone,
                Peer::Datagrams(..) => ReadToken::Flow(flow),
            };
            assert_eq!(read(&token(&flow, TokenUse::Path), 6, TokenUse::Path), expected);
        }
    }

    #[test]
    fn names_of_users_are_no_tokens() {
        for name in [
            "",
            "bob",
            "1001",
            "abcdef",
            "00",
            "0000000000000000",
            &"0".repeat(200),
        ] {
            assert_eq!(
                read(name.as_bytes(), 5, TokenUse::Path),
                ReadToken::None,
                "{name}"
            );
        }
    }
}
