//! A shard's front door: what every part of it needs to receive, answer and send.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use strowger_syntax::message::{Index, ResponseWriter, ViaIndex, ViaStamp};
use strowger_syntax::{Limits, Message, Status, Transport};

use crate::keys::Keys;
use crate::reject::Reject;
use crate::transaction::{KeyHasher, Layer, SentBy, ServerKey, Timers};
use crate::transport::branch::{hex, hex_digits};
use crate::transport::owner::of_call_id;
use crate::transport::{
    AdvertisedAs, Branches, Departure, Listeners, Owner, ReadToken, TokenUse, owner, read_token, via,
};
use crate::{Destination, Outbox, Source};

/// How many times the bytes of a datagram the answer to it may have. Whoever sends from an address that is not theirs
/// cannot use the node to flood it with much more than they send themselves.
pub const AMPLIFICATION: usize = 3;

/// A To tag that is made without state: a MAC, in hexadecimal.
pub type Tag = [u8; 16];

/// The bytes that the answer to a request of so many bytes may have. A connection proves its address.
fn most(request: usize, ingress: &Ingress) -> usize {
    match ingress.source.flow {
        None => AMPLIFICATION * request,
        Some(_) => usize::MAX,
    }
}

/// How many of the first `len` bytes are whole lines.
fn whole_lines(lines: &[u8], len: usize) -> usize {
    let first = &lines[..len.min(lines.len())];
    first
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1)
}

/// Takes as many of an answer's lines out, from the last one on, as have `over` bytes. False when it then says too little
/// to be sent.
fn shorten(out: &mut Vec<u8>, lines: Range<usize>, over: usize, status: Status) -> bool {
    let Some(len) = lines.len().checked_sub(over) else {
        return false;
    };
    let kept = whole_lines(&out[lines.clone()], len);
    out.drain(lines.start + kept..lines.end);
    let needs_lines = matches!(
        status,
        Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED | Status::MOVED_TEMPORARILY
    );
    kept > 0 || !needs_lines
}

/// Sends what was written since `start` as the answer to a request of `request` bytes, if it is not too large for that.
pub fn send_bounded(request: usize, ingress: &Ingress, start: usize, out: &mut Outbox) {
    if out.bytes.len() - start <= most(request, ingress) {
        out.send_from(start, ingress.to(), 0);
    } else {
        out.bytes.truncate(start);
    }
}

/// What came with a request from outside.
#[derive(Clone, Copy, Debug)]
pub struct Ingress {
    /// Where it came from.
    pub source: Source,
    /// What its top Via is told.
    pub stamp: ViaStamp,
    via: ViaIndex,
    /// The multicast group that its responses go to.
    group: Option<SocketAddr>,
}

/// What of that the forwarded copy of a request is made with.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The transport it arrived by.
    pub transport: Transport,
    /// The listener it arrived at.
    pub listener: u16,
    /// Our address that it was sent to.
    pub local: IpAddr,
    /// What whoever sent it is told of the listener.
    pub told: AdvertisedAs,
    /// What its top Via is told.
    pub stamp: ViaStamp,
}

impl Ingress {
    /// What the forwarded copy needs.
    pub fn arrival(&self, listeners: &Listeners) -> Arrival {
        Arrival {
            transport: self.source.transport,
            listener: self.source.listener,
            local: self.source.local.ip(),
            told: listeners.told(self.source.listener, self.source.remote.ip()),
            stamp: self.stamp,
        }
    }

    /// For a request and its source (RFC 3261 §18.2).
    pub fn of(request: Message<'_>, source: &Source) -> Self {
        Self {
            source: *source,
            stamp: via::stamp(request, source),
            via: *request.via(),
            group: via::response_group(request, source),
        }
    }

    /// Where its responses go.
    pub fn to(&self) -> Destination {
        match self.group {
            None => via::response_destination(&self.via, &self.source),
            Some(to) => Destination::Datagram {
                listener: self.source.listener,
                from: None,
                to,
            },
        }
    }

    /// Where they go when the connection is gone.
    pub fn fallback(&self) -> Option<Destination> {
        via::response_fallback(&self.via, &self.source)
    }

    /// The address that its top Via names once it is stamped.
    pub fn reply_address(&self) -> SocketAddr {
        via::stamped_address(&self.via, &self.source)
    }
}

/// Who we are: what every message that is written here needs, and nothing that changes with messages.
#[derive(Clone, Debug)]
pub struct Identity {
    /// This shard's number.
    pub shard: u16,
    /// How many shards there are.
    pub shards: u16,
    /// A number that changes from start to start.
    pub boot: u32,
    /// The node's keys.
    pub keys: Keys,
    /// Our branches.
    pub branches: Branches,
    /// What we listen on.
    pub listeners: Arc<Listeners>,
    /// The realms whose credentials are for us.
    pub realms: Arc<[String]>,
    /// Sizes and counts that are accepted.
    pub limits: Limits,
    key_hasher: KeyHasher,
}

/// A shard's identity and its transactions.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Who we are.
    pub identity: Identity,
    /// The transactions.
    pub layer: Layer,
}

/// What an endpoint is made of.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The node's secret: all keys come from it.
    pub secret: [u8; 32],
    /// A number that changes from start to start.
    pub boot: u32,
    /// How many shards there are.
    pub shards: u16,
    /// What we listen on.
    pub listeners: Arc<Listeners>,
    /// The realms whose credentials are for us.
    pub realms: Arc<[String]>,
    /// The timers.
    pub timers: Timers,
    /// Sizes and counts that are accepted.
    pub limits: Limits,
}

impl Endpoint {
    /// The endpoint of one shard.
    pub fn new(shard: u16, config: &EndpointConfig) -> Self {
        let keys = Keys::derive(&config.secret);
        let mut hasher_key = [0; 16];
        hasher_key[..8].copy_from_slice(&keys.branch.mac(&[b"server key"]).to_le_bytes());
        hasher_key[8..].copy_from_slice(&keys.tables.mac(&[b"server key"]).to_le_bytes());
        let identity = Identity {
            shard,
            shards: config.shards,
            boot: config.boot,
            branches: Branches::new(keys.branch.clone(), (config.boot ^ config.boot >> 16) as u16),
            keys,
            listeners: Arc::clone(&config.listeners),
            realms: Arc::clone(&config.realms),
            limits: config.limits,
            key_hasher: KeyHasher::new(hasher_key),
        };
        Self {
            identity,
            layer: Layer::new(config.timers),
        }
    }
}

impl Endpoint {
    /// Goes on with another configuration, of which secret, boot and number of shards are the same. What was begun goes on.
    pub fn reconfigure(&mut self, config: &EndpointConfig) {
        self.identity.listeners = Arc::clone(&config.listeners);
        self.identity.realms = Arc::clone(&config.realms);
        self.identity.limits = config.limits;
        self.layer.timers = config.timers;
    }
}

impl Identity {
    /// Whose a message is that arrived here.
    pub fn owner(&self, bytes: &[u8], index: &Index) -> Owner {
        match owner(bytes, index, self.shards, &self.key_hasher, &self.branches) {
            Owner::Shard(shard) if shard == self.shard => Owner::Here,
            owner => owner,
        }
    }

    /// The shard of a Call-ID.
    pub fn owner_of(&self, call_id: &[u8]) -> u16 {
        of_call_id(call_id, self.shards, &self.key_hasher)
    }

    /// What identifies the server transaction of a request.
    pub fn server_key(&self, request: Message<'_>) -> ServerKey {
        self.key_hasher.of(request)
    }

    /// A number for a call, to find what belongs to it: of its Call-ID and its caller's tag.
    pub fn call_key(&self, call_id: &[u8], caller_tag: &[u8]) -> u64 {
        self.key_hasher.of_call(call_id, caller_tag)
    }

    /// The To tag of answers made here: the same for every answer to the same Call-ID, so that an ACK that carries it is
    /// known for what it is. Who could guess one would gain an ACK that goes nowhere, so the shorter hash does.
    pub fn to_tag(&self, bytes: &[u8], index: &Index) -> Tag {
        let call_id = index.call_id(bytes).unwrap_or(&[]);
        hex_digits(self.keys.to_tag.hash_of(call_id))
    }

    /// Whether a request's To tag was made here without state.
    pub fn has_own_tag(&self, request: Message<'_>) -> bool {
        // Most tags show at once that they are not.
        let Some(tag) = request.to_tag().filter(|tag| hex(tag).is_some()) else {
            return false;
        };
        *tag == self.to_tag(request.bytes(), request.index())
    }

    /// The token of our Record-Route: a MAC over Call-ID and the caller's tag.
    pub fn route_token(&self, call_id: &[u8], tag: &[u8]) -> u64 {
        self.keys.record_route.mac(&[call_id, tag])
    }

    /// Whether a token belongs to the dialog of a request: made with the tag of either side.
    pub fn is_route_token(&self, request: Message<'_>, token: u64) -> bool {
        let tags = [request.from_tag(), request.to_tag()];
        tags.into_iter()
            .flatten()
            .any(|tag| self.keys.record_route.verify(&[request.call_id(), tag], token))
    }

    /// The flow that the user part of a URI of ours may name (RFC 5626 §5.3.1).
    pub fn read_flow(&self, user: &[u8], used: TokenUse) -> ReadToken {
        read_token(user, &self.keys.flow, self.boot, used)
    }

    /// The loop part of branches (RFC 5393 §4.2): a seeded hash over what routing depends on, taken from the request as
    /// it came. Without the To tag: an ACK to a 300-699 has one, its INVITE had none, and both must get the same branch.
    pub fn loop_part(&self, request: Message<'_>) -> u64 {
        self.key_hasher.of_loop(request)
    }

    /// What the stateless branch of a request is made from: the request, and where its answers go.
    pub fn stateless_token(&self, key: ServerKey, reply_address: SocketAddr) -> u64 {
        let ip = match reply_address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        self.branches
            .stateless_token(key.0, ip.to_bits(), reply_address.port())
    }

    /// Where a request leaves from that came from there: by the listener it came to, if that will do.
    pub fn departure(&self, source: &Source) -> Departure<'_> {
        Departure {
            listeners: &self.listeners,
            preferred: (source.listener, source.local.ip()),
        }
    }

    /// Where a response goes once it has lost our Via, if its request came from there and our branch has this token.
    pub fn way_back(&self, response: Message<'_>, token: u64) -> Option<Destination> {
        let (via, text) = response.second_via()?;
        let sent = SentBy {
            branch: via.branch?.of(text),
            host: via.host.of(text),
            port: via.port,
        };
        let (transport, address) = (via.transport?, via::written_address(&via, text)?);
        let key = self.key_hasher.of_sent(response, &sent)?;
        let ours = self.stateless_token(key, address) == token;
        let hop = self.listeners.hop(transport, address, None).filter(|_| ours)?;
        Some(hop.to)
    }

    /// Answers a request without state. `lines` are whole header field lines, the most important ones first: what makes
    /// the answer to a datagram larger than [`AMPLIFICATION`] allows is left out, and a challenge that cannot challenge
    /// is not sent, nor a redirection that leads nowhere.
    pub fn reply(
        &self,
        request: Message<'_>,
        ingress: &Ingress,
        status: Status,
        lines: &[u8],
        out: &mut Outbox,
    ) {
        self.reply_with(
            request,
            ingress,
            status,
            || false,
            out,
            |out| out.extend_from_slice(lines),
        );
    }

    /// [`reply`](Self::reply) with header field lines that `write` appends, however large it is where `is_there` says that
    /// whoever asks is at the address that the request came from. It is asked only about what is too large.
    pub fn reply_with(
        &self,
        request: Message<'_>,
        ingress: &Ingress,
        status: Status,
        is_there: impl FnOnce() -> bool,
        out: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = out.bytes.len();
        if self.append_reply(request, ingress, status, is_there, &mut out.bytes, write) {
            out.send_from(start, ingress.to(), 0);
        }
    }

    /// Appends what [`reply_with`](Self::reply_with) sends; false, and nothing, where it sends nothing.
    pub fn append_reply(
        &self,
        request: Message<'_>,
        ingress: &Ingress,
        status: Status,
        is_there: impl FnOnce() -> bool,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let start = out.len();
        let lines = self.write_reply(request, ingress, status, out, write);
        let over = (out.len() - start).saturating_sub(most(request.bytes().len(), ingress));
        let fits = over == 0 || is_there() || shorten(out, lines, over, status);
        if !fits {
            out.truncate(start);
        }
        fits
    }

    /// Appends an answer. Where in it the lines are that `write` appended.
    fn write_reply(
        &self,
        request: Message<'_>,
        ingress: &Ingress,
        status: Status,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Range<usize> {
        let (bytes, index, reason) = (request.bytes(), request.index(), status.reason());
        let tag = self.to_tag(bytes, index);
        let mut lines = 0..0;
        ResponseWriter::begin(out, bytes, index, status, reason, ingress.stamp, &tag)
            .lines_with(|out| {
                lines.start = out.len();
                write(out);
                lines.end = out.len();
            })
            .finish();
        lines
    }

    /// Refuses a request without state.
    pub fn reject(&self, request: Message<'_>, ingress: &Ingress, reject: &Reject, out: &mut Outbox) {
        let start = out.bytes.len();
        self.write_reject(request, ingress.stamp, reject, &mut out.bytes);
        send_bounded(request.bytes().len(), ingress, start, out);
    }

    /// Appends the answer that refuses a request.
    pub fn write_reject(&self, request: Message<'_>, stamp: ViaStamp, reject: &Reject, out: &mut Vec<u8>) {
        let (bytes, index, status) = (request.bytes(), request.index(), reject.status);
        let tag = (status != Status::TRYING).then(|| self.to_tag(bytes, index));
        let tag = tag.as_ref().map_or(&[][..], |tag| tag);
        let writer = ResponseWriter::begin(out, bytes, index, status, reject.reason, stamp, tag);
        reject.write_extra(request, writer).finish();
    }
}
