//! Processing REGISTER (RFC 3261 §10.3 steps 6 and 7) as a pure function: request and record in, new record or refusal out.

use std::borrow::Cow;
use std::net::SocketAddr;

use smallvec::SmallVec;
use strowger_syntax::header::{Contact, NameAddr, Params, Path, Q, WrittenAddr};
use strowger_syntax::scan::number;
use strowger_syntax::uri::SipUri;
use strowger_syntax::{Message, Name, Status, Uri};

use super::binding::{Binding, Bindings, Entry, Head, Order, Origin, Q_DEFAULT, RecordWriter, Tombstone};
use super::burial::{Burial, LARGEST_RECORD, TOMBSTONE_SECS, fit};
use super::epoch::{self, Registering, Turn};
use super::gruu::is_secure;
use super::outbound::{InstanceFlow, instance_of, may_apply};
use super::policy::{PathPolicy, Policy, WhenFull};
use super::refresh::refresh;
use crate::reject::{Extra, Reject};

/// How many contacts one request may have.
const MOST_ASKED: usize = 64;
/// How many addresses of a request, and how many entries of a record, are looked at without allocating.
const USUAL_ADDRESSES: usize = 4;
const USUAL_ENTRIES: usize = 16;
/// How many tombstones of earlier requests a record keeps; the oldest go first.
const MOST_TOMBSTONES: usize = 32;
/// The contact of a tombstone that is of none.
const NO_CONTACT: &[u8] = b"*";
/// How many bytes one binding may take.
pub(super) const LARGEST_ENTRY: usize = 4096;
/// The longest instance-id, in bytes: each stands in the answer twice, as it is and in a GRUU.
const LONGEST_INSTANCE: usize = 256;
/// How much of a User-Agent is kept.
const USER_AGENT_LEN: usize = 64;

/// What a REGISTER comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It asks for the current bindings: answer with the record.
    Fetch,
    /// It removes what is not there, and nothing need be left of it: answer with the record, commit nothing.
    Unchanged,
    /// This very request was processed before: answer as before.
    Retransmission,
    /// Commit the new record, then answer with it.
    Changed(Changes),
}

/// How many bindings were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Bindings that are new.
    pub added: u16,
    /// Bindings that were there before.
    pub refreshed: u16,
    /// Bindings that are gone.
    pub removed: u16,
}

/// §10.3 steps 6 and 7: the update is aborted and the request fails, with 500; with 482 when it is the very request that was
/// processed before, and came on another way (§8.2.2.2).
fn out_of_order(request: Order<'_>, known: Order<'_>) -> Reject {
    if request.is_merged(known) {
        Reject::new(Status::LOOP_DETECTED)
    } else {
        Reject::because(Status::SERVER_INTERNAL_ERROR, "CSeq Out Of Order")
    }
}

fn bad_request(reason: &'static str) -> Reject {
    Reject::because(Status::BAD_REQUEST, reason)
}

fn malformed_contact() -> Reject {
    bad_request("Malformed Contact")
}

/// 403 (§21.4.4): repeating the request will not help.
fn too_many_contacts() -> Reject {
    Reject::because(Status::FORBIDDEN, "Too Many Contacts")
}

/// Processes a REGISTER whose domain, extensions, user and address-of-record were found good (§10.3 steps 1 to 5). `record`
/// is what is stored for the address-of-record. Nothing is changed unless everything can be: only
/// [`Outcome::Changed`] leaves a new record in `out`, which is emptied first. If the Contact lines of the answer are known
/// at once they are left in `contacts`, else that is empty.
pub fn register(
    request: Message<'_>,
    record: Bindings<'_>,
    origin: &Origin,
    policy: &Policy,
    now_secs: u64,
    out: &mut Vec<u8>,
    contacts: &mut Vec<u8>,
) -> Result<Outcome, Reject> {
    contacts.clear();
    if let Some(changes) = refresh(request, record, origin, policy, now_secs as u32, out, contacts) {
        return Ok(Outcome::Changed(changes));
    }
    register_any(request, record, origin, policy, now_secs, out)
}

/// [`register`] of any request: what it does, whatever is quicker for the usual one.
pub(super) fn register_any(
    request: Message<'_>,
    record: Bindings<'_>,
    origin: &Origin,
    policy: &Policy,
    now_secs: u64,
    out: &mut Vec<u8>,
) -> Result<Outcome, Reject> {
    out.clear();
    let mut wanted = SmallVec::new();
    let asked = asked(request, &mut wanted)?;
    if asked == Asked::Nothing {
        return Ok(Outcome::Fetch);
    }
    let now = now_secs as u32;
    let mut current = SmallVec::<[_; USUAL_ENTRIES]>::new();
    current.extend(record.heads().filter(|head| head.ends_at > now));
    let step = Step {
        request,
        current: &current,
        order: order(request),
        origin,
        policy,
        now,
    };
    if step.is_retransmission() {
        return Ok(Outcome::Retransmission);
    }
    let result = match asked {
        Asked::RemoveAll => step.remove_all(out),
        Asked::Nothing | Asked::Addresses => step.update(&mut wanted, out),
    };
    if !matches!(result, Ok(Outcome::Changed(_))) {
        out.clear();
    }
    result
}

/// Whether a REGISTER has made one of the live bindings, and came from this address then too; or has left a tombstone,
/// where there is no binding to tell of. Who has overheard one and sends it again from elsewhere is told none.
pub fn has_registered(request: Message<'_>, record: Bindings<'_>, remote: SocketAddr, now_secs: u64) -> bool {
    let order = order(request);
    let mut live = record.live(now_secs).peekable();
    if live.peek().is_none() {
        let mut left = record
            .entries()
            .filter(|(entry, _)| u64::from(entry.ends_at()) > now_secs);
        return left.any(|(entry, _)| entry.order() == order);
    }
    live.any(|binding| binding.order == order && binding.origin.remote == remote)
}

/// Whether a REGISTER has made a binding or left a tombstone, but came on another way then: the same Call-ID and CSeq, and
/// another branch (RFC 3261 §8.2.2.2).
pub fn is_merged(request: Message<'_>, record: Bindings<'_>, now_secs: u64) -> bool {
    let order = order(request);
    let mut current = record
        .entries()
        .filter(|(entry, _)| u64::from(entry.ends_at()) > now_secs);
    current.any(|(entry, _)| order.is_merged(entry.order()))
}

/// The place of a REGISTER among those of its user agent.
#[inline]
pub(super) fn order(request: Message<'_>) -> Order<'_> {
    let via = request.via();
    let branch = request.branch().unwrap_or_else(|| via.value.of(request.bytes()));
    let hash = fold(u64::from(via.port.unwrap_or(0)), branch);
    let hash = fold(hash, request.sent_by_host());
    Order {
        branch: (hash ^ hash >> 32) as u32,
        cseq: request.cseq(),
        call_id: request.call_id(),
    }
}

/// Takes a text into a hash, eight bytes at a time. The hash is kept in records and has no secret: who makes two branches
/// alike fools nobody but himself, for Call-ID and CSeq count too.
#[inline]
pub(super) fn fold(hash: u64, text: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = text.as_chunks::<8>();
    let hash = words
        .iter()
        .fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let last = match text.last_chunk() {
        // Of these some were taken before: that does no harm, and takes fewer steps.
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |last, &byte| last << 8 | u64::from(byte)),
    };
    mix(mix(hash, last), text.len() as u64)
}

/// What the Contact fields ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    RemoveAll,
    Addresses,
}

/// One address of the request, and what is to be done with it.
struct Wanted<'a> {
    /// Its URI as it is written. One that is bound is well-formed, so it is read only if it is not found as it is.
    contact: &'a [u8],
    params: Params<'a>,
    /// Its expires parameter.
    asked: Option<u32>,
    q: u16,
    /// The flow that it is known by, instead of its URI.
    flow: Option<InstanceFlow<'a>>,
    /// Which of the current entries is its binding.
    target: Option<usize>,
    /// Seconds granted; 0 removes.
    expires: u32,
    /// The same address comes again in the request, and the later one counts.
    superseded: bool,
    /// What it does to the temporary GRUUs of its instance.
    turn: Option<Turn>,
}

/// Step 6, first half: whether there are Contact values, and that `*` stands alone and with `Expires: 0`.
fn asked<'a>(
    request: Message<'a>,
    wanted: &mut SmallVec<[Wanted<'a>; USUAL_ADDRESSES]>,
) -> Result<Asked, Reject> {
    let (mut stars, mut addresses) = (0, 0);
    for value in request.elements(Name::Contact) {
        if value == b"*" {
            stars += 1;
            continue;
        }
        let address = WrittenAddr::parse(value).map_err(|_| malformed_contact())?;
        addresses += 1;
        if addresses <= MOST_ASKED {
            wanted.push(Wanted::of(&address));
        }
    }
    match (stars, addresses) {
        (0, 0) => Ok(Asked::Nothing),
        (0, ..=MOST_ASKED) => Ok(Asked::Addresses),
        (0, _) => Err(too_many_contacts()),
        (1, 0) if expires_field(request) == Some(0) => Ok(Asked::RemoveAll),
        (1, 0) => Err(bad_request("Contact * Without Expires 0")),
        _ => Err(bad_request("Contact * Not Alone")),
    }
}

impl<'a> Wanted<'a> {
    fn of(address: &WrittenAddr<'a>) -> Self {
        let params = address.params;
        let mut wanted = Self {
            contact: address.uri_text,
            params,
            asked: None,
            q: Q_DEFAULT,
            flow: None,
            target: None,
            expires: 0,
            superseded: false,
            turn: None,
        };
        if !params.text().is_empty() {
            let q = params.value(b"q").and_then(Q::parse);
            wanted.q = q.map_or(Q_DEFAULT, Q::thousandths);
            wanted.asked = params.get(b"expires").map(Contact::expires_of);
        }
        wanted
    }

    /// Whether another contact of its instance gets another epoch by it.
    fn renews(&self, binding: &Binding<'_>) -> bool {
        let Some(turn) = self.turn.filter(|turn| turn.renews) else {
            return false;
        };
        instance_of(self.params).is_some_and(|instance| binding.is_of(instance))
            && epoch::renewed(binding, turn.epoch) != binding.epoch
    }

    /// Whether it is to be bound, and was not before.
    fn is_new(&self) -> bool {
        self.target.is_none() && self.expires > 0 && !self.superseded
    }

    /// Whether its flow takes the place of one of an earlier life of its user agent: a late duplicate must not bring that back,
    /// at whichever URI it was.
    fn replaces(&self, head: &Head<'_>, order: Order<'_>) -> bool {
        self.flow.is_some() && head.order.call_id != order.call_id
    }

    /// Whether it stands for the same binding as another address of the request that is none yet.
    fn is_as(&self, other: &Self) -> bool {
        match (self.flow, other.flow) {
            (None, None) => self.is_at(other.contact),
            (flow, other) => flow == other,
        }
    }

    /// Whether a stored contact is the same place (§19.1.4).
    fn is_at(&self, contact: &[u8]) -> bool {
        contact == self.contact || are_equivalent(contact, self.contact)
    }
}

/// The beginning of a User-Agent that is kept.
pub(super) fn user_agent(request: Message<'_>) -> &[u8] {
    let text = request.first(Name::UserAgent).unwrap_or(&[]);
    &text[..text.len().min(USER_AGENT_LEN)]
}

/// The Expires field in seconds. What is no number counts as 3600, what is too large as the largest (§10.2.1.1).
#[inline]
pub(super) fn expires_field(request: Message<'_>) -> Option<u32> {
    request
        .first(Name::Expires)
        .map(|text| number(text).map_or(3600, |n| n.min(u64::from(u32::MAX)) as u32))
}

/// The seconds that a contact is asked to be bound for, whose expires parameter is `param`; `None` if nothing is said (§10.2.1.1).
pub fn asked_expires(request: Message<'_>, param: Option<u32>) -> Option<u32> {
    param.or_else(|| expires_field(request))
}

struct Step<'a, 's> {
    request: Message<'a>,
    /// The entries of the record that have not ended.
    current: &'s [Head<'a>],
    order: Order<'a>,
    origin: &'s Origin,
    policy: &'s Policy,
    now: u32,
}

impl<'a> Step<'a, '_> {
    /// Whether an entry shows that this very request has been processed: it came again because its answer was lost, or
    /// over two ways.
    fn is_retransmission(&self) -> bool {
        self.current.iter().any(|head| head.order == self.order)
    }

    /// The bindings, each with its number among the current entries.
    fn live(&self) -> impl Iterator<Item = (usize, &Head<'a>)> {
        self.current
            .iter()
            .enumerate()
            .filter(|(_, head)| !head.is_tombstone())
    }

    fn tombstones(&self) -> impl Iterator<Item = &Head<'a>> {
        self.current.iter().filter(|head| head.is_tombstone())
    }

    /// Step 6, second half: every binding goes, unless one was made by a later request of the same user agent.
    fn remove_all(&self, out: &mut Vec<u8>) -> Result<Outcome, Reject> {
        let later = self
            .live()
            .map(|(_, head)| head.order)
            .find(|known| self.comes_too_late(*known));
        if let Some(known) = later {
            return Err(out_of_order(self.order, known));
        }
        self.write(&[], &[], out, |_| Fate::Remove)
    }

    /// Step 7.
    fn update(&self, wanted: &mut [Wanted<'a>], out: &mut Vec<u8>) -> Result<Outcome, Reject> {
        self.find_flows(wanted)?;
        for one in &mut *wanted {
            one.expires = self.grant(one.asked)?;
            one.target = self.find(one)?;
            self.check_order(one)?;
            one.turn = self.turn(one)?;
        }
        self.check_secure(wanted)?;
        supersede(wanted);
        let path = self.path()?;
        let wanted = &*wanted;
        self.write(wanted, &path, out, |at| {
            match wanted
                .iter()
                .find(|one| one.target == Some(at) && !one.superseded)
            {
                None => Fate::Keep,
                Some(one) if one.expires == 0 => Fate::Remove,
                Some(one) => Fate::Refresh(one),
            }
        })
    }

    /// RFC 5630 §5.2: nothing secure is bound by way of what is not.
    fn check_secure(&self, wanted: &[Wanted<'a>]) -> Result<(), Reject> {
        let mut bound = wanted.iter().filter(|one| one.expires > 0);
        if !bound.clone().any(|one| is_secure(one.contact)) {
            return Ok(());
        }
        let mut path = self.request.elements(Name::Path);
        let are_all = is_secure(self.request.request_uri())
            && bound.all(|one| is_secure(one.contact))
            && path.all(|edge| NameAddr::parse(edge).is_ok_and(|edge| is_secure(edge.uri_text)));
        match are_all {
            true => Ok(()),
            false => Err(bad_request(
                "SIPS Contact Needs SIPS Request-URI, Contacts And Path",
            )),
        }
    }

    /// What binding one address does to the temporary GRUUs of its instance (RFC 5627 §5.1).
    fn turn(&self, one: &Wanted<'_>) -> Result<Option<Turn>, Reject> {
        let len = one.params.text().len();
        if one.expires == 0 || len == 0 {
            return Ok(None);
        }
        if len > LONGEST_INSTANCE && instance_of(one.params).is_some_and(|id| id.len() > LONGEST_INSTANCE) {
            return Err(bad_request("Instance ID Too Long"));
        }
        let live = self.live().filter_map(|(_, head)| head.binding());
        let register = Registering::of(self.request, self.order, self.now);
        Ok(Some(epoch::turn(one.params, one.flow, live, register)))
    }

    /// RFC 5626 §6: which addresses are flows of instances.
    fn find_flows(&self, wanted: &mut [Wanted<'a>]) -> Result<(), Reject> {
        let has_reg_id = |one: &Wanted<'_>| !one.params.text().is_empty() && one.params.has(b"reg-id");
        if !self.policy.outbound || !wanted.iter().any(has_reg_id) || !may_apply(self.request)? {
            return Ok(());
        }
        for one in &mut *wanted {
            one.flow = InstanceFlow::of(one.params)?;
        }
        let bound = || wanted.iter().filter(|one| self.asked(one.asked) > 0);
        if bound().count() > 1 && bound().any(|one| one.flow.is_some()) {
            return Err(bad_request("More Than One Contact With reg-id"));
        }
        Ok(())
    }

    /// The expiration interval that one address asks for: its parameter, else the Expires field, else the default.
    fn asked(&self, asked: Option<u32>) -> u32 {
        asked_expires(self.request, asked).unwrap_or(self.policy.default_expires)
    }

    /// The expiration interval that it is granted.
    fn grant(&self, asked: Option<u32>) -> Result<u32, Reject> {
        self.policy.grant(self.asked(asked)).ok_or_else(|| {
            Reject::with(
                Status::INTERVAL_TOO_BRIEF,
                Extra::MinExpires(self.policy.min_expires),
            )
        })
    }

    /// Which of the live bindings an address is: that of its flow, if it has one; else the one written the same, else the first
    /// that is equivalent (§19.1.4 is not transitive, so there may be several).
    fn find(&self, wanted: &Wanted<'_>) -> Result<Option<usize>, Reject> {
        let uri = || Uri::parse(wanted.contact).map_err(|_| malformed_contact());
        if let Some(flow) = wanted.flow {
            uri()?;
            let bound = self.live().find(|(_, head)| head.instance_flow() == Some(flow));
            return Ok(bound.map(|(at, _)| at));
        }
        let by_uri = || self.live().filter(|(_, head)| !head.is_outbound());
        if let Some((at, _)) = by_uri().find(|(_, head)| head.contact == wanted.contact) {
            return Ok(Some(at));
        }
        let uri = uri()?;
        let equivalent = |contact| Uri::parse(contact).is_ok_and(|bound| are_one_place(&bound, &uri));
        Ok(by_uri()
            .find(|(_, head)| equivalent(head.contact))
            .map(|(at, _)| at))
    }

    /// The order of the requests of one user agent: one with the same Call-ID that is not later than what made or removed
    /// the binding aborts the update. A flow may have been at any URI (RFC 5626 §6), so each removal by its user agent counts,
    /// unless the binding itself shows the order.
    fn check_order(&self, wanted: &Wanted<'_>) -> Result<(), Reject> {
        let bound = wanted.target.and_then(|at| self.current.get(at));
        let is_ordered = bound.is_some_and(|head| head.order.call_id == self.order.call_id);
        let may_be_any = wanted.flow.is_some() && !is_ordered;
        let removed = self
            .tombstones()
            .filter(|head| may_be_any || wanted.is_at(head.contact));
        let mut known = bound.into_iter().chain(removed).map(|head| head.order);
        match known.find(|known| self.comes_too_late(*known)) {
            Some(known) => Err(out_of_order(self.order, known)),
            None => Ok(()),
        }
    }

    fn comes_too_late(&self, known: Order<'_>) -> bool {
        known.cseq >= self.order.cseq && known.call_id == self.order.call_id
    }

    /// The path vector (RFC 3327 §5.3): the values in their order, with commas between them.
    fn path(&self) -> Result<Cow<'a, [u8]>, Reject> {
        let mut fields = self.request.fields_of(Name::Path);
        let Some(first) = fields.next() else {
            return Ok(Cow::Borrowed(&[]));
        };
        if self.policy.path == PathPolicy::RefuseUnsupported && !self.request.lists(Name::Supported, b"path")
        {
            return Err(Reject {
                reason: "Path Not Supported By Client",
                ..Reject::with(Status::BAD_EXTENSION, Extra::UnsupportedTag("path"))
            });
        }
        if self.request.all::<Path<'_>>().any(|path| path.is_err()) {
            return Err(bad_request("Malformed Path"));
        }
        let mut path = Cow::Borrowed(first.value);
        for field in fields {
            let path = path.to_mut();
            path.push(b',');
            path.extend_from_slice(field.value);
        }
        Ok(path)
    }

    /// Writes the new record: `fate` says what becomes of each live binding; addresses that are none of them are added.
    fn write<'w>(
        &self,
        wanted: &[Wanted<'a>],
        path: &[u8],
        out: &mut Vec<u8>,
        fate: impl Fn(usize) -> Fate<'w, 'a>,
    ) -> Result<Outcome, Reject>
    where
        'a: 'w,
    {
        let mut writer = RecordWriter::new(out);
        let mut burial = Burial::by(self.order, self.now);
        let mut changes = Changes::default();
        self.keep_tombstones(&mut writer);
        let mut replaced = self.excess(wanted, &fate)?;
        for (at, head) in self.live() {
            match fate(at) {
                // A broken one hides those behind it.
                Fate::Keep if head.entry().is_none() => {}
                Fate::Keep if replaced > 0 => {
                    replaced -= 1;
                    changes.removed += 1;
                    burial.bury(&mut writer, head);
                }
                Fate::Keep => self.keep(&mut writer, head, wanted),
                Fate::Remove => {
                    changes.removed += 1;
                    burial.bury(&mut writer, head);
                }
                Fate::Refresh(one) => {
                    changes.refreshed += 1;
                    if one.replaces(head, self.order) {
                        burial.bury(&mut writer, head);
                    }
                    self.bind(&mut writer, one, self.bound_since(head, one), path)?;
                }
            }
        }
        for one in wanted.iter().filter(|one| one.is_new()) {
            changes.added += 1;
            self.bind(&mut writer, one, Some(self.now), path)?;
        }
        let bound = changes.added + changes.refreshed;
        if changes == Changes::default() && !self.leave_trace(&mut writer) {
            return Ok(Outcome::Unchanged);
        }
        if bound == 0 {
            burial.mark(&mut writer);
        }
        writer.finish();
        if out.len() > LARGEST_RECORD {
            fit(out)?;
        }
        Ok(Outcome::Changed(changes))
    }

    /// Leaves a tombstone of a request that removes what is not there: a duplicate of it that comes late is a retransmission, which
    /// RFC 3261 §17.2.2 has absorbed for 64 * T1, and must not remove what another user agent has bound meanwhile (§10.3 has no
    /// order between Call-IDs). Who may send it may bind a contact too, which is more to keep and for longer. False where
    /// there are no duplicates.
    fn leave_trace(&self, writer: &mut RecordWriter<'_>) -> bool {
        let is_kept = !self.origin.transport.is_reliable();
        if is_kept {
            writer.put(&Entry::Tombstone(Tombstone {
                contact: NO_CONTACT,
                order: self.order,
                until: self.now.saturating_add(TOMBSTONE_SECS),
            }));
        }
        is_kept
    }

    /// Takes a binding over, with another epoch if a contact of its instance begins one.
    fn keep(&self, writer: &mut RecordWriter<'_>, head: &Head<'a>, wanted: &[Wanted<'a>]) {
        let renewed = head.binding().and_then(|binding| {
            let one = wanted.iter().find(|one| one.renews(&binding))?;
            let epoch = epoch::renewed(&binding, one.turn?.epoch);
            Some(Binding { epoch, ..binding })
        });
        match renewed {
            Some(binding) => {
                writer.put(&Entry::Binding(binding));
            }
            None => writer.copy(head.ends_at, head.encoded),
        }
    }

    /// How many of the bindings that are left alone must go, the oldest first, so that those of the request fit. They are in the
    /// order in which they were made.
    fn excess<'w>(
        &self,
        wanted: &[Wanted<'a>],
        fate: &impl Fn(usize) -> Fate<'w, 'a>,
    ) -> Result<usize, Reject>
    where
        'a: 'w,
    {
        let added = wanted.iter().filter(|one| one.is_new()).count();
        if added == 0 {
            return Ok(0);
        }
        let (mut kept, mut refreshed, mut first_end) = (0, 0, u32::MAX);
        for (at, head) in self.live() {
            match fate(at) {
                Fate::Keep if head.entry().is_none() => {}
                Fate::Keep => {
                    kept += 1;
                    first_end = first_end.min(head.ends_at);
                }
                Fate::Remove => {}
                Fate::Refresh(_) => refreshed += 1,
            }
        }
        let excess = (kept + refreshed + added).saturating_sub(self.policy.max_contacts);
        match self.policy.when_full {
            _ if excess > kept => Err(too_many_contacts()),
            WhenFull::Refuse if excess > 0 => {
                let wait = first_end.saturating_sub(self.now).max(1);
                let extra = Extra::RetryAfter(wait);
                Err(Reject {
                    reason: "Too Many Contacts",
                    ..Reject::with(Status::SERVICE_UNAVAILABLE, extra)
                })
            }
            WhenFull::Refuse | WhenFull::Replace => Ok(excess),
        }
    }

    /// Takes the tombstones over, but for the oldest when there are too many.
    fn keep_tombstones(&self, writer: &mut RecordWriter<'_>) {
        let too_many = self.tombstones().count().saturating_sub(MOST_TOMBSTONES);
        for head in self.tombstones().skip(too_many) {
            writer.copy(head.ends_at, head.encoded);
        }
    }

    /// Since when a binding that is refreshed has been there. Another URI of the same flow is a new contact.
    fn bound_since(&self, head: &Head<'a>, one: &Wanted<'a>) -> Option<u32> {
        if one.flow.is_some() && !one.is_at(head.contact) {
            return Some(self.now);
        }
        head.binding()?.bound_at
    }

    /// Writes the binding of one address of the request.
    fn bind(
        &self,
        writer: &mut RecordWriter<'_>,
        one: &Wanted<'a>,
        bound_at: Option<u32>,
        path: &[u8],
    ) -> Result<(), Reject> {
        let size = writer.put(&Entry::Binding(Binding {
            contact: one.contact,
            params: one.params.text(),
            q: one.q,
            order: self.order,
            expires_at: self.now.saturating_add(one.expires),
            updated_at: self.now,
            bound_at,
            origin: *self.origin,
            path,
            user_agent: user_agent(self.request),
            epoch: one.turn.and_then(|turn| turn.epoch),
            outbound: one.flow.is_some(),
        }));
        if size > LARGEST_ENTRY {
            return Err(Reject::because(Status::MESSAGE_TOO_LARGE, "Contact Too Large"));
        }
        Ok(())
    }
}

/// An address that is in the request more than once counts as it is given last. Of a flow, what is removed is the URI that
/// it was known with before.
fn supersede(wanted: &mut [Wanted<'_>]) {
    for later in 1..wanted.len() {
        let (earlier, rest) = wanted.split_at_mut(later);
        let later = &mut rest[0];
        for one in earlier {
            let is_same = match (one.target, later.target) {
                (Some(a), Some(b)) => a == b,
                (None, None) => one.is_as(later),
                _ => false,
            };
            if is_same && one.flow.is_some() && one.expires > 0 {
                later.superseded = true;
            } else {
                one.superseded |= is_same;
            }
        }
    }
}

/// What becomes of a binding.
enum Fate<'w, 'a> {
    Keep,
    Remove,
    /// Refreshed by this address of the request.
    Refresh(&'w Wanted<'a>),
}

/// Whether two texts are URIs of the same place (§19.1.4).
fn are_equivalent(a: &[u8], b: &[u8]) -> bool {
    match (Uri::parse(a), Uri::parse(b)) {
        (Ok(a), Ok(b)) => are_one_place(&a, &b),
        _ => false,
    }
}

/// Whether two URIs are equivalent, but for the scheme: a SIPS contact stands for the SIP one too, and the later of the two counts
/// (RFC 5630 §5.1.1.1).
fn are_one_place(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    match (*a, *b) {
        (Uri::Sip(a), Uri::Sip(b)) if a.secure != b.secure => {
            let secure = b.secure;
            Uri::equivalent(&Uri::Sip(SipUri { secure, ..a }), &Uri::Sip(b))
        }
        _ => Uri::equivalent(a, b),
    }
}
