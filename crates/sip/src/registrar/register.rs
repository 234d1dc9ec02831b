//! Processing REGISTER (RFC 3261 §10.3 steps 6 and 7) as a pure function: request and record in, new record or refusal out.

use std::borrow::Cow;

use strowger_syntax::header::{Contact, NameAddr, Path};
use strowger_syntax::scan::number;
use strowger_syntax::{Message, Name, Status, Uri};

use super::binding::{Binding, Bindings, Entry, Order, Origin, Q_DEFAULT, RecordWriter, Tombstone};
use crate::keys::MacKey;
use crate::reject::{Extra, Reject};

/// How long a removed binding is remembered, in seconds: as long as a duplicate can be under way (64 * T1).
pub const TOMBSTONE_SECS: u32 = 32;

/// How many contacts one request may have.
const MOST_ASKED: usize = 64;
/// How many tombstones of earlier requests a record keeps; the oldest go first.
const MOST_TOMBSTONES: usize = 32;
/// How many bytes one binding may take.
const LARGEST_ENTRY: usize = 4096;
/// How much of a User-Agent is kept.
const USER_AGENT_LEN: usize = 64;

/// What to do with a Path that the phone has not said it supports: a proxy on the way has put it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathPolicy {
    /// 420, which RFC 3327 §5.3 recommends.
    #[default]
    RefuseUnsupported,
    /// Keep it, for edge proxies that serve phones without the extension.
    Keep,
}

/// What the registrar allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The shortest expiration granted, in seconds; of no effect above one hour (§10.3 step 7).
    pub min_expires: u32,
    /// The longest, in seconds: longer ones are cut to it.
    pub max_expires: u32,
    /// What is granted when nothing was asked for, in seconds.
    pub default_expires: u32,
    /// How many bindings an address-of-record may have.
    pub max_contacts: usize,
    /// What to do with an unsupported Path.
    pub path: PathPolicy,
}

impl Default for Policy {
    fn default() -> Self {
        let path = PathPolicy::default();
        Self {
            min_expires: 60,
            max_expires: 7200,
            default_expires: 3600,
            max_contacts: 10,
            path,
        }
    }
}

/// What a REGISTER comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It asks for the current bindings: answer with the record.
    Fetch,
    /// It has been processed before, or removes what is not there: answer with the record, commit nothing.
    Unchanged,
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

/// §10.3 steps 6 and 7: the update is aborted and the request fails, with 500.
fn out_of_order() -> Reject {
    Reject::because(Status::SERVER_INTERNAL_ERROR, "CSeq Out Of Order")
}

fn bad_request(reason: &'static str) -> Reject {
    Reject::because(Status::BAD_REQUEST, reason)
}

/// 403 (§21.4.4): repeating the request will not help until a binding has gone.
fn too_many_contacts() -> Reject {
    Reject::because(Status::FORBIDDEN, "Too Many Contacts")
}

/// Processes a REGISTER whose domain, extensions, user and address-of-record were found good (§10.3 steps 1 to 5). `record`
/// is what is stored for the address-of-record. Nothing is changed unless everything can be: only
/// [`Outcome::Changed`] leaves a new record in `out`, which is emptied first.
pub fn register(
    request: Message<'_>,
    record: Bindings<'_>,
    origin: &Origin,
    policy: &Policy,
    now_secs: u64,
    out: &mut Vec<u8>,
) -> Result<Outcome, Reject> {
    out.clear();
    let step = Step {
        request,
        record,
        order: order(request),
        origin,
        policy,
        now: now_secs as u32,
    };
    let result = match step.asked()? {
        Asked::Nothing => Ok(Outcome::Fetch),
        _ if step.is_retransmission() => Ok(Outcome::Unchanged),
        Asked::RemoveAll => step.remove_all(out),
        Asked::Addresses(count) => step.update(count, out),
    };
    if !matches!(result, Ok(Outcome::Changed(_))) {
        out.clear();
    }
    result
}

/// The place of a REGISTER among those of its user agent. The hash is kept in records, so its key is fixed.
fn order(request: Message<'_>) -> Order<'_> {
    const HASH: MacKey = MacKey::new([0; 16]);
    let via = request.via();
    let branch = request.branch().unwrap_or_else(|| via.value.of(request.bytes()));
    let port = via.port.map_or([0; 2], u16::to_le_bytes);
    let branch = HASH.mac(&[branch, request.sent_by_host(), &port]) as u32;
    Order {
        call_id: request.call_id(),
        cseq: request.cseq(),
        branch,
    }
}

/// What the Contact fields ask for.
enum Asked {
    Nothing,
    RemoveAll,
    Addresses(usize),
}

/// What is to be done with one address of the request.
#[derive(Clone, Copy, Default)]
struct Plan {
    /// Which of the live bindings it is.
    target: Option<usize>,
    /// Seconds granted; 0 removes.
    expires: u32,
    /// The same address comes again in the request, and the later one counts.
    superseded: bool,
}

struct Step<'a> {
    request: Message<'a>,
    record: Bindings<'a>,
    order: Order<'a>,
    origin: &'a Origin,
    policy: &'a Policy,
    now: u32,
}

impl<'a> Step<'a> {
    /// Step 6, first half: whether there are Contact values, and that `*` stands alone and with `Expires: 0`.
    fn asked(&self) -> Result<Asked, Reject> {
        let (mut stars, mut addresses) = (0, 0);
        for contact in self.request.all::<Contact<'_>>() {
            match contact {
                Ok(Contact::Star) => stars += 1,
                Ok(Contact::Address(_)) => addresses += 1,
                Err(_) => return Err(bad_request("Malformed Contact")),
            }
        }
        match (stars, addresses) {
            (0, 0) => Ok(Asked::Nothing),
            (0, count) if count > MOST_ASKED => Err(too_many_contacts()),
            (0, count) => Ok(Asked::Addresses(count)),
            (1, 0) if self.expires_field() == Some(0) => Ok(Asked::RemoveAll),
            (1, 0) => Err(bad_request("Contact * Without Expires 0")),
            _ => Err(bad_request("Contact * Not Alone")),
        }
    }

    /// The Expires field in seconds. What is no number counts as 3600, what is too large as the largest (§10.2.1.1).
    fn expires_field(&self) -> Option<u32> {
        self.request
            .first(Name::Expires)
            .map(|text| number(text).map_or(3600, |n| n.min(u64::from(u32::MAX)) as u32))
    }

    /// Whether an entry shows that this very request has been processed: it came again because its answer was lost, or
    /// over two ways.
    fn is_retransmission(&self) -> bool {
        self.current().any(|entry| entry.order() == self.order)
    }

    /// The entries that have not ended.
    fn current(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let now = self.now;
        self.record
            .entries()
            .map(|(entry, _)| entry)
            .filter(move |entry| entry.ends_at() > now)
    }

    /// The bindings that have not expired, with their encodings.
    fn live_encoded(&self) -> impl Iterator<Item = (Binding<'a>, &'a [u8])> + use<'a> {
        let now = self.now;
        self.record
            .entries()
            .filter_map(move |(entry, encoded)| match entry {
                Entry::Binding(binding) if binding.expires_at > now => Some((binding, encoded)),
                _ => None,
            })
    }

    fn live(&self) -> impl Iterator<Item = Binding<'a>> + use<'a> {
        self.record.live(u64::from(self.now))
    }

    /// Step 6, second half: every binding goes, unless one was made by a later request of the same user agent.
    fn remove_all(&self, out: &mut Vec<u8>) -> Result<Outcome, Reject> {
        if self.live().any(|binding| self.comes_too_late(binding.order)) {
            return Err(out_of_order());
        }
        self.write(&[], &[], out, |_| Fate::Remove)
    }

    /// Step 7.
    fn update(&self, count: usize, out: &mut Vec<u8>) -> Result<Outcome, Reject> {
        let mut plans = [Plan::default(); MOST_ASKED];
        let plans = &mut plans[..count];
        for (i, address) in self.addresses().enumerate().take(count) {
            let expires = self.grant(&address)?;
            let target = self.find(&address);
            self.check_order(&address, target)?;
            plans[i] = Plan {
                target,
                expires,
                superseded: false,
            };
        }
        self.supersede(plans);
        let path = self.path()?;
        let plans = &*plans;
        self.write(plans, &path, out, |live| {
            match plans
                .iter()
                .position(|plan| plan.target == Some(live) && !plan.superseded)
            {
                None => Fate::Keep,
                Some(i) if plans[i].expires == 0 => Fate::Remove,
                Some(i) => Fate::Refresh(i),
            }
        })
    }

    fn addresses(&self) -> impl Iterator<Item = NameAddr<'a>> + use<'a> {
        self.request
            .all::<Contact<'a>>()
            .filter_map(|contact| match contact {
                Ok(Contact::Address(address)) => Some(address),
                _ => None,
            })
    }

    /// The expiration interval of one address: its parameter, else the Expires field, else the default.
    fn grant(&self, address: &NameAddr<'_>) -> Result<u32, Reject> {
        let asked = Contact::Address(*address)
            .expires()
            .or_else(|| self.expires_field());
        let asked = asked.unwrap_or(self.policy.default_expires);
        if asked > 0 && asked < 3600 && asked < self.policy.min_expires {
            return Err(Reject::with(
                Status::INTERVAL_TOO_BRIEF,
                Extra::MinExpires(self.policy.min_expires),
            ));
        }
        Ok(asked.min(self.policy.max_expires))
    }

    /// Which of the live bindings an address is: the one written the same, else the first that is equivalent (§19.1.4 is
    /// not transitive, so there may be several).
    fn find(&self, address: &NameAddr<'_>) -> Option<usize> {
        self.live()
            .position(|binding| binding.contact == address.uri_text)
            .or_else(|| self.live().position(|binding| is_same(binding.contact, address)))
    }

    /// The order of the requests of one user agent: one with the same Call-ID that is not later than what made or removed
    /// the binding aborts the update.
    fn check_order(&self, address: &NameAddr<'_>, target: Option<usize>) -> Result<(), Reject> {
        let bound = target.and_then(|i| self.live().nth(i));
        let mut removed = self.current().filter(|e| matches!(e, Entry::Tombstone(_)));
        if bound.is_some_and(|binding| self.comes_too_late(binding.order))
            || removed.any(|e| self.comes_too_late(e.order()) && is_same(e.contact(), address))
        {
            return Err(out_of_order());
        }
        Ok(())
    }

    fn comes_too_late(&self, known: Order<'_>) -> bool {
        known.call_id == self.order.call_id && known.cseq >= self.order.cseq
    }

    /// An address that is in the request more than once counts as it is given last.
    fn supersede(&self, plans: &mut [Plan]) {
        for (later, address) in self.addresses().enumerate().take(plans.len()).skip(1) {
            for (earlier, other) in self.addresses().enumerate().take(later) {
                plans[earlier].superseded |= match (plans[earlier].target, plans[later].target) {
                    (Some(a), Some(b)) => a == b,
                    (None, None) => is_same(other.uri_text, &address),
                    _ => false,
                };
            }
        }
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
    fn write(
        &self,
        plans: &[Plan],
        path: &[u8],
        out: &mut Vec<u8>,
        fate: impl Fn(usize) -> Fate,
    ) -> Result<Outcome, Reject> {
        let mut writer = RecordWriter::new(out);
        let until = self.now.saturating_add(TOMBSTONE_SECS);
        let mut burial = Burial {
            order: self.order,
            until,
            last: None,
            marked: false,
        };
        let mut changes = Changes::default();
        let mut kept = 0;
        self.keep_tombstones(&mut writer);
        for (live, (binding, encoded)) in self.live_encoded().enumerate() {
            match fate(live) {
                Fate::Keep => {
                    kept += 1;
                    writer.copy((Entry::Binding(binding), encoded));
                }
                Fate::Remove => {
                    changes.removed += 1;
                    burial.bury(&mut writer, &binding);
                }
                Fate::Refresh(i) => {
                    changes.refreshed += 1;
                    self.bind(&mut writer, i, plans[i].expires, path)?;
                }
            }
        }
        for (i, plan) in plans.iter().enumerate() {
            if plan.target.is_none() && plan.expires > 0 && !plan.superseded {
                changes.added += 1;
                self.bind(&mut writer, i, plan.expires, path)?;
            }
        }
        let bound = changes.added + changes.refreshed;
        if changes.added > 0 && kept + usize::from(bound) > self.policy.max_contacts {
            return Err(too_many_contacts());
        }
        if changes == Changes::default() {
            return Ok(Outcome::Unchanged);
        }
        if bound == 0 {
            burial.mark(&mut writer);
        }
        writer.finish();
        Ok(Outcome::Changed(changes))
    }

    /// Takes the tombstones over, but for the oldest when there are too many.
    fn keep_tombstones(&self, writer: &mut RecordWriter<'_>) {
        let tombstones = self
            .record
            .entries()
            .filter(|(entry, _)| entry.ends_at() > self.now && matches!(entry, Entry::Tombstone(_)));
        let too_many = tombstones.clone().count().saturating_sub(MOST_TOMBSTONES);
        tombstones
            .skip(too_many)
            .for_each(|tombstone| writer.copy(tombstone));
    }

    /// Writes the binding of the request's `i`-th address.
    fn bind(&self, writer: &mut RecordWriter<'_>, i: usize, expires: u32, path: &[u8]) -> Result<(), Reject> {
        let Some(address) = self.addresses().nth(i) else {
            return Ok(());
        };
        let user_agent = self.request.first(Name::UserAgent).unwrap_or(&[]);
        let size = writer.put(&Entry::Binding(Binding {
            contact: address.uri_text,
            params: address.params.text(),
            q: Contact::Address(address)
                .q()
                .map_or(Q_DEFAULT, |q| q.thousandths()),
            order: self.order,
            expires_at: self.now.saturating_add(expires),
            updated_at: self.now,
            origin: *self.origin,
            path,
            user_agent: &user_agent[..user_agent.len().min(USER_AGENT_LEN)],
        }));
        if size > LARGEST_ENTRY {
            return Err(Reject::because(Status::MESSAGE_TOO_LARGE, "Contact Too Large"));
        }
        Ok(())
    }
}

/// What becomes of a binding.
enum Fate {
    Keep,
    Remove,
    /// Refreshed by this address of the request.
    Refresh(usize),
}

/// Leaves tombstones for removed bindings.
struct Burial<'a> {
    order: Order<'a>,
    until: u32,
    /// The contact of the last one.
    last: Option<&'a [u8]>,
    /// Whether a tombstone shows that the removing request has been processed.
    marked: bool,
}

impl<'a> Burial<'a> {
    /// The tombstone stops duplicates of the request that made the binding. If the removing one is of the same user agent,
    /// stopping all up to that covers it.
    fn bury(&mut self, writer: &mut RecordWriter<'_>, binding: &Binding<'a>) {
        let same_agent = binding.order.call_id == self.order.call_id;
        let order = if same_agent { self.order } else { binding.order };
        self.last = Some(binding.contact);
        self.marked |= same_agent;
        writer.put(&Entry::Tombstone(Tombstone {
            contact: binding.contact,
            order,
            until: self.until,
        }));
    }

    /// Makes sure that a retransmission of the removing request is recognised.
    fn mark(&self, writer: &mut RecordWriter<'_>) {
        if let (Some(contact), false) = (self.last, self.marked) {
            writer.put(&Entry::Tombstone(Tombstone {
                contact,
                order: self.order,
                until: self.until,
            }));
        }
    }
}

/// Whether a stored contact and an address are the same place (§19.1.4).
fn is_same(contact: &[u8], address: &NameAddr<'_>) -> bool {
    contact == address.uri_text || Uri::parse(contact).is_ok_and(|uri| Uri::equivalent(&uri, &address.uri))
}
