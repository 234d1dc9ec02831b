//! What makes two requests one server transaction (RFC 3261 §17.2.3).

use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use siphasher::sip::SipHasher24;
use strowger_syntax::{Message, Method, Name};

/// A seeded hash over the fields that identify a server transaction. Seeded in secret and shown to nobody, because peers
/// choose the fields; so wide that equal hashes need no second look: of a million transactions and ten thousand requests
/// a second, two that are not one meet once in sixty years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(pub u64);

/// Makes server keys, and other seeded hashes of what peers write.
#[derive(Clone)]
pub struct KeyHasher {
    first: u64,
    seed: SharedSeed,
    /// Of their own, because these hashes are shown.
    loops: (u64, SharedSeed),
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
        let derived = |label: &[u8]| SipHasher24::new_with_key(&key).hash(label);
        Self {
            first: a,
            seed: SharedSeed::from_u64(b),
            loops: (derived(b"first"), SharedSeed::from_u64(derived(b"seed"))),
        }
    }

    fn hasher(&self) -> FoldHasher<'_> {
        FoldHasher::with_seed(self.first, &self.seed)
    }

    /// A seeded hash of a Call-ID, for the choice of a shard.
    pub fn of_call_id(&self, call_id: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(call_id);
        hasher.finish()
    }

    /// A seeded hash of a Call-ID and a tag, for tables.
    pub fn of_call(&self, call_id: &[u8], tag: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        put(&mut hasher, &[call_id, tag]);
        hasher.finish()
    }

    /// A seeded hash of what the way of a request depends on (RFC 5393 §4.2). It stands in Via, so whoever sees many may work
    /// out its seeds: they are those of no other hash, and lead to none.
    pub fn of_loop(&self, request: Message<'_>) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.loops.0, &self.loops.1);
        let route = request.first(Name::Route).unwrap_or(&[]);
        let from_tag = request.from_tag().unwrap_or(&[]);
        put(
            &mut hasher,
            &[request.request_uri(), route, from_tag, request.call_id()],
        );
        hasher.write_u32(request.cseq());
        hasher.finish()
    }

    /// The key of the transaction that a request belongs to. An ACK has the key of its INVITE, and so has a CANCEL: they
    /// are told apart by method where that matters.
    pub fn of(&self, request: Message<'_>) -> ServerKey {
        let sent = SentBy {
            branch: request.branch().unwrap_or(&[]),
            host: request.sent_by_host(),
            port: request.via().port,
        };
        self.of_sent(request, &sent)
            .unwrap_or_else(|| self.of_old(request))
    }

    /// The key of the transaction of the request that had this Via on top, given a request or a response with its CSeq;
    /// `None` if its branch is not one by RFC 3261.
    pub fn of_sent(&self, message: Message<'_>, sent: &SentBy<'_>) -> Option<ServerKey> {
        let cookie = sent.branch.get(..MAGIC_COOKIE.len())?;
        if cookie != MAGIC_COOKIE && !cookie.eq_ignore_ascii_case(MAGIC_COOKIE) {
            return None;
        }
        let (mut hasher, method) = self.begin(message);
        let mut rest = [method as u8; 72];
        rest[1..3].copy_from_slice(&sent.port.unwrap_or(0).to_le_bytes());
        match rest.get_mut(3..3 + sent.host.len()) {
            Some(lower) => {
                lower.copy_from_slice(sent.host);
                lower.make_ascii_lowercase();
                put(&mut hasher, &[sent.branch, &rest[..3 + sent.host.len()]]);
            }
            // One as long as that is taken as it is.
            None => put(&mut hasher, &[sent.branch, &rest[..3], sent.host]),
        }
        Some(ServerKey(hasher.finish()))
    }

    /// For RFC 2543 peers: the fields of RFC 3261 §17.2.3 but the To tag, which an ACK has and its INVITE has not.
    #[cold]
    fn of_old(&self, request: Message<'_>) -> ServerKey {
        let (mut hasher, method) = self.begin(request);
        let from_tag = request.from_tag().unwrap_or(&[]);
        let via = request.elements(Name::Via).next().unwrap_or(&[]);
        let cseq = request.cseq().to_le_bytes();
        let call_id = request.call_id();
        let uri = request.request_uri();
        put(
            &mut hasher,
            &[&[method as u8], uri, from_tag, call_id, &cseq, via],
        );
        ServerKey(hasher.finish())
    }

    /// A hasher that knows a method of no name of its own.
    fn begin(&self, message: Message<'_>) -> (FoldHasher<'_>, Method) {
        let mut hasher = self.hasher();
        let method = match message.method() {
            Method::Ack | Method::Cancel => Method::Invite,
            method => method,
        };
        if method == Method::Other {
            put(&mut hasher, &[message.method_text()]);
        }
        (hasher, method)
    }
}

/// What a Via says of who sent a request.
#[derive(Clone, Copy, Debug)]
pub struct SentBy<'a> {
    /// The branch; empty without one.
    pub branch: &'a [u8],
    /// The host of sent-by, as it is written.
    pub host: &'a [u8],
    /// The port of sent-by.
    pub port: Option<u16>,
}

/// Gives a hasher parts. It takes their lengths into account.
#[inline]
fn put(hasher: &mut impl Hasher, parts: &[&[u8]]) {
    for part in parts {
        hasher.write(part);
    }
}
