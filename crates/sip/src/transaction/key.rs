//! What makes two requests one server transaction (RFC 3261 §17.2.3).

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;
use strowger_syntax::{Message, Method, Name};

/// A keyed 128-bit hash over the fields that identify a server transaction. Keyed, because peers choose the fields;
/// 128 bits wide, so that equal hashes need no second look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(pub u128);

/// Makes server keys.
#[derive(Clone)]
pub struct KeyHasher {
    key: [u8; 16],
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
        Self { key }
    }

    /// The key of the transaction that a request belongs to. An ACK has the key of its INVITE, and so has a CANCEL: they
    /// are told apart by method where that matters.
    pub fn of(&self, request: Message<'_>) -> ServerKey {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        let method = match request.method() {
            Method::Ack | Method::Cancel => Method::Invite,
            method => method,
        };
        hasher.write_u8(method as u8);
        if method == Method::Other {
            put(&mut hasher, request.method_text());
        }
        match request.branch() {
            Some(branch) if branch.get(..7).is_some_and(|b| b.eq_ignore_ascii_case(MAGIC_COOKIE)) => {
                put(&mut hasher, branch);
                put_lower(&mut hasher, request.sent_by_host());
                hasher.write_u16(request.via().port.unwrap_or(0));
            }
            // RFC 2543 peers: the fields of §17.2.3 but the To tag, which an ACK has and its INVITE has not.
            _ => {
                put(&mut hasher, request.request_uri());
                put(&mut hasher, request.from_tag().unwrap_or(&[]));
                put(&mut hasher, request.call_id());
                hasher.write_u32(request.cseq());
                put(&mut hasher, request.elements(Name::Via).next().unwrap_or(&[]));
            }
        }
        let hash = hasher.finish128();
        ServerKey(u128::from(hash.h1) << 64 | u128::from(hash.h2))
    }
}

fn put(hasher: &mut SipHasher13, bytes: &[u8]) {
    hasher.write_usize(bytes.len());
    hasher.write(bytes);
}

fn put_lower(hasher: &mut SipHasher13, host: &[u8]) {
    hasher.write_usize(host.len());
    for chunk in host.chunks(32) {
        let mut lower = [0; 32];
        let lower = &mut lower[..chunk.len()];
        lower.copy_from_slice(chunk);
        lower.make_ascii_lowercase();
        hasher.write(lower);
    }
}
