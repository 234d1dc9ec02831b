//! What makes two requests one server transaction (RFC 3261 §17.2.3).

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;
use strowger_syntax::{Message, Method, Name};

/// A seeded 128-bit hash over the fields that identify a server transaction. Seeded in secret and shown to nobody, because
/// peers choose the fields; 128 bits wide, so that equal hashes need no second look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(pub u128);

impl ServerKey {
    /// Its lower and its upper half.
    pub(super) fn halves(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }
}

/// Makes server keys.
#[derive(Clone)]
pub struct KeyHasher {
    halves: [FixedState; 2],
}

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher")
    }
}

/// The beginning of every branch by RFC 3261.
pub(super) const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

impl KeyHasher {
    /// A hasher with its secret.
    pub fn new(key: [u8; 16]) -> Self {
        let [a, b] =
            [&key[..8], &key[8..]].map(|half| half.iter().fold(0, |seed, &byte| seed << 8 | u64::from(byte)));
        Self {
            halves: [a, b].map(FixedState::with_seed),
        }
    }

    /// A seeded hash of a Call-ID and a tag, for tables.
    pub fn of_call(&self, call_id: &[u8], tag: &[u8]) -> u64 {
        let mut hasher = self.halves[0].build_hasher();
        put(&mut hasher, &[call_id, tag]);
        hasher.finish()
    }

    /// The key of the transaction that a request belongs to. An ACK has the key of its INVITE, and so has a CANCEL: they
    /// are told apart by method where that matters.
    pub fn of(&self, request: Message<'_>) -> ServerKey {
        let mut hasher = Halves(self.halves.each_ref().map(BuildHasher::build_hasher));
        let method = match request.method() {
            Method::Ack | Method::Cancel => Method::Invite,
            method => method,
        };
        if method == Method::Other {
            put(&mut hasher, &[request.method_text()]);
        }
        match request.branch() {
            Some(branch)
                if branch
                    .get(..7)
                    .is_some_and(|b| b.eq_ignore_ascii_case(MAGIC_COOKIE)) =>
            {
                let mut rest = [method as u8; 72];
                rest[1..3].copy_from_slice(&request.via().port.unwrap_or(0).to_le_bytes());
                let host = request.sent_by_host();
                match rest.get_mut(3..3 + host.len()) {
                    Some(lower) => {
                        lower.copy_from_slice(host);
                        lower.make_ascii_lowercase();
                        put(&mut hasher, &[branch, &rest[..3 + host.len()]]);
                    }
                    // One as long as that is taken as it is.
                    None => put(&mut hasher, &[branch, &rest[..3], host]),
                }
            }
            // RFC 2543 peers: the fields of RFC 3261 §17.2.3 but the To tag, which an ACK has and its INVITE has not.
            _ => {
                let from_tag = request.from_tag().unwrap_or(&[]);
                let via = request.elements(Name::Via).next().unwrap_or(&[]);
                let cseq = request.cseq().to_le_bytes();
                let call_id = request.call_id();
                let uri = request.request_uri();
                put(
                    &mut hasher,
                    &[&[method as u8], uri, from_tag, call_id, &cseq, via],
                );
            }
        }
        let [a, b] = hasher.0.map(|half| half.finish());
        ServerKey(u128::from(a) << 64 | u128::from(b))
    }
}

/// Two hashers that are given the same text.
struct Halves<H>([H; 2]);

impl<H: Hasher> Hasher for Halves<H> {
    fn write(&mut self, text: &[u8]) {
        self.0.iter_mut().for_each(|half| half.write(text));
    }

    fn write_u32(&mut self, number: u32) {
        self.0.iter_mut().for_each(|half| half.write_u32(number));
    }

    fn finish(&self) -> u64 {
        self.0[0].finish()
    }
}

/// Gives a hasher parts with their lengths.
fn put(hasher: &mut impl Hasher, parts: &[&[u8]]) {
    for part in parts {
        hasher.write_u32(part.len() as u32);
        hasher.write(part);
    }
}
