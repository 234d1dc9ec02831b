//! The record of one address-of-record: its bindings and the tombstones of those removed, in one compact byte string.
//!
//! ```text
//! record    = due:u32 *entry                   ; little-endian; when the first of its entries ends
//! entry     = length:varint kind:u8 (binding | tombstone)
//! tombstone = order until:u32 text(contact) [retry-after:varint]
//! binding   = order expires-at:u32 lifetime:varint text(contact) text(user-agent) [text(params)] [text(path)] [q:u16] origin
//!             [epoch:u32 first-cseq:varint] [bound-at:u32]
//! order     = cseq:varint branch:u32 text(call-id)
//! origin    = transport:u8 (its highest bits: pushed-elsewhere translated) listener:varint remote [from] [shard:varint index:varint generation:varint boot:u32]
//! text      = length:varint bytes
//! ```
//!
//! Parts in brackets are there when a bit of `kind` says so. Behind the origin nothing does: of what is left there the last four
//! bytes are bound-at, unless an epoch is all that is there, as older servers have left it. The kind of a tombstone says too if an
//! administrator removed the binding. Decoding never fails: it ends at the first entry that is
//! not well-formed. What decides on an entry stands at its beginning, so that the rest is decoded only where it is needed.

mod bytes;

use std::net::{IpAddr, SocketAddr};

use strowger_syntax::header::Params;

use super::deregister::Removal;
use super::epoch::Epoch;
use super::outbound::{InstanceFlow, instance_of};
use super::params::put_kept_params;
use crate::transport::{Destination, Flow, Source, Transport};
use bytes::{Reader, put_ip, put_sized, put_text, put_varint, set_varint, size_of_text, size_of_varint};

const TOMBSTONE: u8 = 1;
/// Of a tombstone: why an administrator removed the binding.
const DEACTIVATED: u8 = 1 << 1;
const REJECTED: u8 = 1 << 2;
const PROBATION: u8 = 1 << 3;
const PARAMS: u8 = 1 << 1;
const PATH: u8 = 1 << 2;
const Q: u8 = 1 << 3;
const V6: u8 = 1 << 4;
const FROM: u8 = 1 << 5;
const FLOW: u8 = 1 << 6;
/// Beside the transport of an origin.
const PUSHED_ELSEWHERE: u8 = 1 << 7;
const TRANSLATED: u8 = 1 << 6;
const OUTBOUND: u8 = 1 << 7;

/// The `q` of a contact that has none, in thousandths.
pub const Q_DEFAULT: u16 = 1000;

/// Which REGISTER made an entry: what RFC 3261 §10.3 wants remembered to ignore those that come out of order, and what
/// recognises its retransmissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<'a> {
    /// A hash of its top Via's branch and sent-by. It stands first because it tells two requests apart soonest.
    pub branch: u32,
    /// The number of its CSeq.
    pub cseq: u32,
    /// Its Call-ID.
    pub call_id: &'a [u8],
}

impl Order<'_> {
    /// Whether both are one request that came on two ways (RFC 3261 §8.2.2.2).
    pub fn is_merged(self, other: Order<'_>) -> bool {
        self.branch != other.branch && self.cseq == other.cseq && self.call_id == other.call_id
    }
}

/// A connection, and in which life of the node it was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundFlow {
    /// The connection.
    pub flow: Flow,
    /// The boot that it belongs to: after a restart the same numbers mean another connection.
    pub boot: u32,
}

/// Where a REGISTER came from, and so where its contact can be reached when its URI does not say (NAT, WebSocket).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The transport it came by.
    pub transport: Transport,
    /// The listener it came to.
    pub listener: u16,
    /// Our address that it came to, where the listener alone does not say (wildcards). Of the family of `remote`.
    pub from: Option<IpAddr>,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The connection it came over; `None` for datagrams.
    pub flow: Option<BoundFlow>,
    /// Whether a proxy that it came through pushes the contact's device (RFC 8599 §5.6.1.1).
    pub pushed_elsewhere: bool,
    /// Whether its sender believes to be at another address: a NAT stands between (RFC 3581 §4).
    pub translated: bool,
}

impl Origin {
    /// The origin of what came from `source` in this boot. `from`, `pushed_elsewhere` and `translated` are left out: set what
    /// is to be said of them.
    pub fn of(source: &Source, boot: u32) -> Self {
        let flow = source.flow.map(|flow| BoundFlow { flow, boot });
        Self {
            transport: source.transport,
            listener: source.listener,
            from: None,
            remote: source.remote,
            flow,
            pushed_elsewhere: false,
            translated: false,
        }
    }

    /// The way back. A connection of another boot is gone: its peer is connected to anew.
    pub fn destination(&self, boot: u32) -> Destination {
        match (self.transport, self.flow) {
            (Transport::Udp, _) => Destination::Datagram {
                listener: self.listener,
                from: self.from,
                to: self.remote,
            },
            (_, Some(bound)) if bound.boot == boot => Destination::Flow(bound.flow),
            (transport, _) => Destination::Connect {
                transport,
                to: self.remote,
            },
        }
    }
}

/// A binding of a contact to the address-of-record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The contact's URI as it was written.
    pub contact: &'a [u8],
    /// Its header field parameters as they were written, from the first `;` on, without `expires` and GRUUs.
    pub params: &'a [u8],
    /// Its `q` in thousandths; [`Q_DEFAULT`] without one.
    pub q: u16,
    /// The REGISTER that made or last refreshed it.
    pub order: Order<'a>,
    /// When it expires, in Unix seconds.
    pub expires_at: u32,
    /// When it was made or last refreshed, in Unix seconds.
    pub updated_at: u32,
    /// Since when it has been bound without a break, in Unix seconds; `None` if it is older than servers that keep it.
    pub bound_at: Option<u32>,
    /// Where that REGISTER came from.
    pub origin: Origin,
    /// The values of its Path header fields, with commas between them (RFC 3327 §5.3).
    pub path: &'a [u8],
    /// The beginning of its User-Agent.
    pub user_agent: &'a [u8],
    /// Which temporary GRUUs of its instance hold; `None` if there are none.
    pub epoch: Option<Epoch>,
    /// Whether it is known by the instance and the reg-id among its parameters instead of its URI, and is reached over its flow
    /// alone (RFC 5626 §6).
    pub outbound: bool,
}

impl<'a> Binding<'a> {
    /// The parameters, to be looked up by name.
    pub fn contact_params(&self) -> Params<'a> {
        Params::parse(self.params).unwrap_or_default()
    }

    /// The instance-id of the user agent (RFC 5626 §4.1), if it has one.
    pub fn instance(&self) -> Option<&'a [u8]> {
        instance_of(self.contact_params())
    }

    /// The flow that it is known by, if it is known by one (RFC 5626 §6).
    pub fn instance_flow(&self) -> Option<InstanceFlow<'a>> {
        let params = self.outbound.then(|| self.contact_params())?;
        InstanceFlow::of(params).ok()?
    }
}

/// What is left of a removed binding for a while: a duplicate that comes late must not bring it back, and the removing
/// request may be retransmitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone<'a> {
    /// The URI of the contact that was removed.
    pub contact: &'a [u8],
    /// The REGISTER that removed it, or the one that had made it.
    pub order: Order<'a>,
    /// When it may be forgotten, in Unix seconds.
    pub until: u32,
}

/// One entry of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A binding.
    Binding(Binding<'a>),
    /// A removed one.
    Tombstone(Tombstone<'a>),
}

impl<'a> Entry<'a> {
    /// The contact's URI.
    pub fn contact(&self) -> &'a [u8] {
        match self {
            Self::Binding(binding) => binding.contact,
            Self::Tombstone(tombstone) => tombstone.contact,
        }
    }

    /// The REGISTER that counts for its order.
    pub fn order(&self) -> Order<'a> {
        match self {
            Self::Binding(binding) => binding.order,
            Self::Tombstone(tombstone) => tombstone.order,
        }
    }

    /// When it ends, in Unix seconds.
    pub fn ends_at(&self) -> u32 {
        match self {
            Self::Binding(binding) => binding.expires_at,
            Self::Tombstone(tombstone) => tombstone.until,
        }
    }
}

/// A record, read in place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bindings<'a>(&'a [u8]);

impl<'a> Bindings<'a> {
    /// Looks at a record; the empty string is the record of nobody.
    pub fn new(record: &'a [u8]) -> Self {
        Self(record)
    }

    /// The record itself.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// When the first of its entries ends, in Unix seconds; 0 for an empty one.
    pub fn due(self) -> u32 {
        self.0.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// Every entry, ended ones included, in the order they were made.
    pub fn entries(self) -> Entries<'a> {
        Entries { heads: self.heads() }
    }

    /// The beginning of every entry, ended ones included.
    pub(super) fn heads(self) -> Heads<'a> {
        Heads {
            rest: self.0.get(4..).unwrap_or(&[]),
        }
    }

    /// Whether its first entry is a binding that is known by its flow.
    pub(super) fn begins_with_flow(self) -> bool {
        let mut reader = Reader(self.0.get(4..).unwrap_or(&[]));
        let kind = reader.varint().and_then(|_| reader.byte());
        kind.is_some_and(|kind| kind & (TOMBSTONE | OUTBOUND) == OUTBOUND)
    }

    /// The bindings that have not expired.
    pub fn live(self, now_secs: u64) -> impl Iterator<Item = Binding<'a>> + use<'a> {
        self.heads()
            .filter(move |head| !head.is_tombstone() && u64::from(head.ends_at) > now_secs)
            .map_while(|head| head.binding())
    }
}

/// The entries of a record.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    heads: Heads<'a>,
}

impl<'a> Iterator for Entries<'a> {
    /// An entry and its encoding, length included.
    type Item = (Entry<'a>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.heads.next()?;
        let entry = head.entry();
        if entry.is_none() {
            self.heads.rest = &[];
        }
        entry.map(|entry| (entry, head.encoded))
    }
}

/// The beginning of an entry: what it takes to find it and to judge its order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// The contact's URI.
    pub(super) contact: &'a [u8],
    /// The REGISTER that counts for its order.
    pub(super) order: Order<'a>,
    /// When it ends, in Unix seconds.
    pub(super) ends_at: u32,
    lifetime: u32,
    kind: u8,
    /// The contact, and what of a binding follows it.
    tail: &'a [u8],
    /// What of a binding follows the contact.
    rest: &'a [u8],
    /// The whole entry, length included.
    pub(super) encoded: &'a [u8],
}

/// The beginnings of the entries of a record.
#[derive(Clone, Debug)]
pub(super) struct Heads<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Heads<'a> {
    type Item = Head<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Head<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut reader = Reader(self.rest);
        let entry = reader.text();
        let encoded = &self.rest[..self.rest.len() - reader.0.len()];
        let head = entry.and_then(|entry| Head::decode(entry, encoded));
        self.rest = if head.is_some() { reader.0 } else { &[] };
        head
    }
}

impl<'a> Head<'a> {
    #[inline(always)]
    fn decode(entry: &'a [u8], encoded: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(entry);
        let kind = reader.byte()?;
        let cseq = reader.varint()?;
        let branch = reader.u32()?;
        let call_id = reader.text()?;
        let ends_at = reader.u32()?;
        let lifetime = if kind & TOMBSTONE == 0 {
            reader.varint()?
        } else {
            0
        };
        let tail = reader.0;
        let contact = reader.text()?;
        Some(Self {
            contact,
            tail,
            order: Order {
                branch,
                cseq,
                call_id,
            },
            ends_at,
            lifetime,
            kind,
            rest: reader.0,
            encoded,
        })
    }

    pub(super) fn is_tombstone(&self) -> bool {
        self.kind & TOMBSTONE != 0
    }

    pub(super) fn removal(&self) -> Option<Removal> {
        match self.kind & (DEACTIVATED | REJECTED | PROBATION) {
            DEACTIVATED => Some(Removal::Deactivated),
            REJECTED => Some(Removal::Rejected),
            PROBATION => Some(Removal::Probation {
                retry_after: Reader(self.rest).varint()?,
            }),
            _ => None,
        }
    }

    /// The whole entry; `None` when it is not well-formed.
    pub(super) fn entry(&self) -> Option<Entry<'a>> {
        if self.is_tombstone() {
            return Some(Entry::Tombstone(Tombstone {
                contact: self.contact,
                order: self.order,
                until: self.ends_at,
            }));
        }
        self.binding().map(Entry::Binding)
    }

    /// The binding that it is, unless it is a tombstone.
    #[inline]
    pub(super) fn binding(&self) -> Option<Binding<'a>> {
        let (mut reader, kind) = (Reader(self.rest), self.kind);
        let user_agent = reader.text()?;
        let params = self.params(&mut reader)?;
        let path = if kind & PATH != 0 { reader.text()? } else { &[] };
        let q = if kind & Q != 0 { reader.u16()? } else { Q_DEFAULT };
        let origin = decode_origin(&mut reader, kind)?;
        let (epoch, bound_at) = decode_end(reader)?;
        Some(Binding {
            contact: self.contact,
            params,
            q,
            order: self.order,
            expires_at: self.ends_at,
            updated_at: self.ends_at.saturating_sub(self.lifetime),
            bound_at,
            origin,
            path,
            user_agent,
            outbound: self.is_outbound(),
            epoch,
        })
    }

    /// Whether it is a binding that is known by its flow.
    #[inline]
    pub(super) fn is_outbound(&self) -> bool {
        self.kind & OUTBOUND != 0
    }

    /// The flow that it is known by.
    pub(super) fn instance_flow(&self) -> Option<InstanceFlow<'a>> {
        let binding = self.is_outbound().then(|| self.binding())?;
        binding?.instance_flow()
    }

    /// Writes a record of this binding alone as it is once a request with the same Call-ID has refreshed it, if all that changes
    /// takes as many bytes as what it replaces, as it mostly does. Returns how many bytes the entry takes.
    ///
    /// With Call-ID and lifetime as they are, an entry of the same length has a CSeq of the same length.
    #[inline]
    pub(super) fn write_renewed(
        &self,
        order: &Order<'_>,
        now: u32,
        expires: u32,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let expires_at = now.checked_add(expires)?;
        let size = size_of_refreshed(order, expires, self.tail);
        let is_same = order.call_id == self.order.call_id && expires == self.lifetime;
        if !is_same || self.encoded.len() != size_of_varint(size as u32) + size {
            return None;
        }
        out.clear();
        out.extend_from_slice(&expires_at.to_le_bytes());
        out.extend_from_slice(self.encoded);
        let fields = out.get_mut(4 + self.encoded.len() - size + 1..)?;
        let (cseq, fields) = fields.split_at_mut_checked(size_of_varint(order.cseq))?;
        set_varint(cseq, order.cseq);
        *fields.first_chunk_mut()? = order.branch.to_le_bytes();
        let ends_at = fields.get_mut(4 + size_of_text(order.call_id)..)?;
        *ends_at.first_chunk_mut()? = expires_at.to_le_bytes();
        Some(self.encoded.len())
    }

    #[inline]
    fn params(&self, reader: &mut Reader<'a>) -> Option<&'a [u8]> {
        if self.kind & PARAMS != 0 {
            reader.text()
        } else {
            Some(&[])
        }
    }

    /// The parameters and the epoch of a binding without Path that was made by this user agent from there; `None` if it is
    /// any other. `work` is overwritten.
    pub(super) fn params_if_of(
        &self,
        user_agent: &[u8],
        origin: &Origin,
        work: &mut Vec<u8>,
    ) -> Option<(&'a [u8], Option<Epoch>)> {
        let mut reader = Reader(self.rest);
        if reader.text()? != user_agent {
            return None;
        }
        let params = self.params(&mut reader)?;
        if self.kind & Q != 0 {
            reader.u16()?;
        }
        work.clear();
        let kind = put_origin(work, origin);
        if self.kind & (PATH | FROM | FLOW | V6) != kind {
            return None;
        }
        let mut end = Reader(reader.0.strip_prefix(work.as_slice())?);
        let epoch = decode_epoch(&mut end)?;
        Some((params, epoch))
    }
}

#[inline]
fn decode_origin(reader: &mut Reader<'_>, kind: u8) -> Option<Origin> {
    let first = reader.byte()?;
    let transport = *Transport::ALL.get(usize::from(first & !(PUSHED_ELSEWHERE | TRANSLATED)))?;
    let listener = u16::try_from(reader.varint()?).ok()?;
    let remote = SocketAddr::new(reader.ip(kind)?, reader.u16()?);
    let from = if kind & FROM != 0 {
        Some(reader.ip(kind)?)
    } else {
        None
    };
    let flow = if kind & FLOW != 0 {
        let flow = Flow {
            shard: u16::try_from(reader.varint()?).ok()?,
            index: reader.varint()?,
            generation: reader.varint()?,
        };
        let boot = reader.u32()?;
        Some(BoundFlow { flow, boot })
    } else {
        None
    };
    Some(Origin {
        transport,
        listener,
        from,
        remote,
        flow,
        pushed_elsewhere: first & PUSHED_ELSEWHERE != 0,
        translated: first & TRANSLATED != 0,
    })
}

/// What is left behind the origin: the epoch, and since when it has been bound.
#[inline]
fn decode_end(mut reader: Reader<'_>) -> Option<(Option<Epoch>, Option<u32>)> {
    let epoch = decode_epoch(&mut reader)?;
    Some((epoch, reader.u32()))
}

#[inline]
fn decode_epoch(reader: &mut Reader<'_>) -> Option<Option<Epoch>> {
    if reader.0.len() <= 4 {
        return Some(None);
    }
    let (id, first_cseq) = (reader.u32()?, reader.varint()?);
    Some(Some(Epoch { id, first_cseq }))
}

/// Writes a record, entry by entry.
#[derive(Debug)]
pub struct RecordWriter<'o> {
    out: &'o mut Vec<u8>,
    due: u32,
}

impl<'o> RecordWriter<'o> {
    /// Begins a record in a buffer, whose content is dropped.
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(&[0; 4]);
        Self { out, due: u32::MAX }
    }

    /// Appends an entry; what is not kept of the parameters of a binding is left out. Returns how many bytes it took.
    pub fn put(&mut self, entry: &Entry<'_>) -> usize {
        self.due = self.due.min(entry.ends_at());
        let start = self.out.len();
        put_sized(self.out, |out| match entry {
            Entry::Binding(binding) => encode_binding(out, binding),
            Entry::Tombstone(tombstone) => encode_tombstone(out, TOMBSTONE, tombstone),
        });
        self.out.len() - start
    }

    /// Appends the tombstone of a binding that an administrator has removed.
    pub(super) fn put_removed(&mut self, tombstone: &Tombstone<'_>, why: Removal) {
        self.due = self.due.min(tombstone.until);
        let kind = match why {
            Removal::Deactivated => DEACTIVATED,
            Removal::Rejected => REJECTED,
            Removal::Probation { .. } => PROBATION,
        };
        put_sized(self.out, |out| {
            encode_tombstone(out, TOMBSTONE | kind, tombstone);
            if let Removal::Probation { retry_after } = why {
                put_varint(out, retry_after);
            }
        });
    }

    /// Appends a binding of another record as it is, but for the request that refreshed it and for how long.
    /// Returns how many bytes it took.
    #[inline]
    pub(super) fn put_refreshed(
        &mut self,
        head: &Head<'_>,
        order: &Order<'_>,
        now: u32,
        expires: u32,
    ) -> usize {
        let start = self.out.len();
        let expires_at = now.saturating_add(expires);
        let lifetime = expires_at - now;
        self.due = self.due.min(expires_at);
        put_varint(self.out, size_of_refreshed(order, lifetime, head.tail) as u32);
        self.out.push(head.kind);
        put_order(self.out, order);
        self.out.extend_from_slice(&expires_at.to_le_bytes());
        put_varint(self.out, lifetime);
        self.out.extend_from_slice(head.tail);
        self.out.len() - start
    }

    /// Appends an entry of another record as it is encoded there.
    pub fn copy(&mut self, ends_at: u32, encoded: &[u8]) {
        self.due = self.due.min(ends_at);
        self.out.extend_from_slice(encoded);
    }

    /// Ends the record. One without entries becomes the empty string.
    pub fn finish(self) {
        let has_entries = self.out.len() > 4;
        match self.out.first_chunk_mut() {
            Some(head) if has_entries => *head = self.due.to_le_bytes(),
            _ => self.out.clear(),
        }
    }
}

/// Writes what of a record has not ended into `out`, whose content is dropped: the empty string if nothing has.
pub fn unexpired(record: &[u8], now_secs: u64, out: &mut Vec<u8>) {
    let mut writer = RecordWriter::new(out);
    let heads = Bindings::new(record).heads();
    heads
        .filter(|head| u64::from(head.ends_at) > now_secs)
        .for_each(|head| writer.copy(head.ends_at, head.encoded));
    writer.finish();
}

fn encode_tombstone(out: &mut Vec<u8>, kind: u8, tombstone: &Tombstone<'_>) {
    out.push(kind);
    put_order(out, &tombstone.order);
    out.extend_from_slice(&tombstone.until.to_le_bytes());
    put_text(out, tombstone.contact);
}

fn encode_binding(out: &mut Vec<u8>, binding: &Binding<'_>) {
    let kind_at = out.len();
    let mut kind = 0;
    out.push(kind);
    put_order(out, &binding.order);
    out.extend_from_slice(&binding.expires_at.to_le_bytes());
    put_varint(out, binding.expires_at.saturating_sub(binding.updated_at));
    put_text(out, binding.contact);
    put_text(out, binding.user_agent);
    if !binding.params.is_empty() {
        let params_at = out.len();
        put_sized(out, |out| put_kept_params(out, binding.params));
        if out.len() == params_at + 1 {
            out.truncate(params_at);
        } else {
            kind |= PARAMS;
        }
    }
    if !binding.path.is_empty() {
        kind |= PATH;
        put_text(out, binding.path);
    }
    if binding.q != Q_DEFAULT {
        kind |= Q;
        out.extend_from_slice(&binding.q.to_le_bytes());
    }
    if binding.outbound {
        kind |= OUTBOUND;
    }
    out[kind_at] = kind | put_origin(out, &binding.origin);
    if let Some(Epoch { id, first_cseq }) = binding.epoch {
        out.extend_from_slice(&id.to_le_bytes());
        put_varint(out, first_cseq);
    }
    if let Some(bound_at) = binding.bound_at {
        out.extend_from_slice(&bound_at.to_le_bytes());
    }
}

/// Writes an origin, and tells which bits of `kind` go with it.
#[inline]
fn put_origin(out: &mut Vec<u8>, origin: &Origin) -> u8 {
    let mut kind = 0;
    let mut first = origin.transport as u8;
    if origin.pushed_elsewhere {
        first |= PUSHED_ELSEWHERE;
    }
    if origin.translated {
        first |= TRANSLATED;
    }
    out.push(first);
    put_varint(out, u32::from(origin.listener));
    if origin.remote.is_ipv6() {
        kind |= V6;
    }
    put_ip(out, origin.remote.ip());
    out.extend_from_slice(&origin.remote.port().to_le_bytes());
    if let Some(from) = origin
        .from
        .filter(|from| from.is_ipv6() == origin.remote.is_ipv6())
    {
        kind |= FROM;
        put_ip(out, from);
    }
    if let Some(BoundFlow { flow, boot }) = origin.flow {
        kind |= FLOW;
        put_varint(out, u32::from(flow.shard));
        put_varint(out, flow.index);
        put_varint(out, flow.generation);
        out.extend_from_slice(&boot.to_le_bytes());
    }
    kind
}

#[inline]
fn put_order(out: &mut Vec<u8>, order: &Order<'_>) {
    put_varint(out, order.cseq);
    out.extend_from_slice(&order.branch.to_le_bytes());
    put_text(out, order.call_id);
}

/// How many bytes an entry takes behind its length that ends with this tail.
#[inline]
fn size_of_refreshed(order: &Order<'_>, lifetime: u32, tail: &[u8]) -> usize {
    let order = size_of_varint(order.cseq) + 4 + size_of_text(order.call_id);
    1 + order + 4 + size_of_varint(lifetime) + tail.len()
}

#[cfg(test)]
mod tests;
