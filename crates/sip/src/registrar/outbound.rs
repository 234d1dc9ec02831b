//! Registrations over flows (RFC 5626 §6): which contact is one flow of one user agent instance, and when that counts.

use strowger_syntax::header::{NameAddr, Params};
use strowger_syntax::scan::number;
use strowger_syntax::{Message, Name, Status, Uri};

use super::binding::{Binding, Bindings, Entry, RecordWriter};
use crate::reject::Reject;

/// The option tag (RFC 5626 §11.4).
const OUTBOUND: &[u8] = b"outbound";
/// The URI parameter of a first hop that keeps the flow (RFC 5626 §11.3).
pub const OB: &[u8] = b"ob";

/// The instance-id among a contact's parameters (RFC 5626 §4.1): the URN, without quotes and angle brackets.
pub fn instance_of(params: Params<'_>) -> Option<&[u8]> {
    let inside = params.param_value(b"+sip.instance")?.inside().trim_ascii();
    let urn = inside
        .strip_prefix(b"<")
        .and_then(|urn| urn.strip_suffix(b">"))
        .unwrap_or(inside);
    (!urn.is_empty()).then_some(urn)
}

/// Whether two instance-ids are one, by the rules of their scheme (RFC 5626 §4.1): of a UUID no letter's case counts, of
/// others that of `urn` and of the namespace does not.
pub fn is_same_instance(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    if a.len() != b.len() || !a.eq_ignore_ascii_case(b) {
        return false;
    }
    let colons = |urn: &[u8]| memchr::memchr_iter(b':', urn).nth(1).map(|at| at + 1);
    match colons(a) {
        Some(at) => a[..at].eq_ignore_ascii_case(b"urn:uuid:") || a[at..] == b[at..],
        None => false,
    }
}

impl Binding<'_> {
    /// Whether it is a contact of an instance.
    pub fn is_of(&self, instance: &[u8]) -> bool {
        self.instance()
            .is_some_and(|bound| is_same_instance(bound, instance))
    }
}

/// One flow of one user agent instance, which is what a binding is known by instead of its URI.
#[derive(Clone, Copy, Debug)]
pub struct InstanceFlow<'a> {
    /// The instance-id.
    pub instance: &'a [u8],
    /// Which of its flows: 1 to 2^31 - 1.
    pub reg_id: u32,
}

impl PartialEq for InstanceFlow<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.reg_id == other.reg_id && is_same_instance(self.instance, other.instance)
    }
}

impl Eq for InstanceFlow<'_> {}

impl<'a> InstanceFlow<'a> {
    /// The one that a contact's parameters name: none without reg-id, or with one but without an instance-id, when it is ignored
    /// (RFC 5626 §6).
    ///
    /// # Errors
    /// 400 for a reg-id that is none (RFC 5626 §10).
    pub fn of(params: Params<'a>) -> Result<Option<Self>, Reject> {
        let (Some(reg_id), Some(instance)) = (params.get(b"reg-id"), instance_of(params)) else {
            return Ok(None);
        };
        let reg_id = reg_id.and_then(number).filter(|id| (1..1 << 31).contains(id));
        match reg_id {
            Some(reg_id) => Ok(Some(Self {
                instance,
                reg_id: reg_id as u32,
            })),
            None => Err(Reject::because(Status::BAD_REQUEST, "Malformed reg-id")),
        }
    }
}

/// Whether its user agent knows the extension.
fn is_supported(request: Message<'_>) -> bool {
    request.lists(Name::Supported, OUTBOUND) || request.lists(Name::Require, OUTBOUND)
}

/// Whether the flow of a REGISTER is kept by whoever it came to first: that is us, or it says so in its Path value, which is the
/// last one, as each proxy on the way puts its own on top (RFC 5626 §5.1, RFC 3327 §5.2).
/// RFC 5626 §6 calls that value the first URI: the first that was put in, not the first in the field, which would be that of the
/// proxy next to us. That one knows nothing of the flow, and no erratum that is known says otherwise.
fn is_flow_kept(request: Message<'_>) -> bool {
    if !request.has_second_via() {
        return true;
    }
    let first_hop = request.elements(Name::Path).last();
    first_hop.is_some_and(|value| match NameAddr::parse(value).map(|address| address.uri) {
        Ok(Uri::Sip(uri)) => uri.params.has(OB),
        _ => false,
    })
}

/// Whether the reg-id of a REGISTER that has one counts (RFC 5626 §6).
///
/// # Errors
/// 439 where it does not, and its user agent relies on it.
pub(super) fn may_apply(request: Message<'_>) -> Result<bool, Reject> {
    match (is_flow_kept(request), is_supported(request)) {
        (true, _) => Ok(true),
        (false, true) => Err(Reject::new(Status::FIRST_HOP_LACKS_OUTBOUND_SUPPORT)),
        (false, false) => Ok(false),
    }
}

/// Whether the answer to a REGISTER that was carried out says that it was done by the rules of this extension (RFC 5626 §6).
pub(super) fn was_applied(request: Message<'_>) -> bool {
    // Who names no extension has none, and few contacts have a reg-id.
    let says_any = request.has(Name::Supported) || request.has(Name::Require);
    if !says_any || !may_have_reg_id(request) || !is_supported(request) || !is_flow_kept(request) {
        return false;
    }
    request.elements(Name::Contact).any(|value| {
        let params = NameAddr::parse(value).map(|address| address.params);
        params.is_ok_and(|params| matches!(InstanceFlow::of(params), Ok(Some(_))))
    })
}

/// Whether a Contact field has what may be a reg-id.
fn may_have_reg_id(request: Message<'_>) -> bool {
    request.fields_of(Name::Contact).any(|field| {
        memchr::memchr_iter(b'-', field.value).any(|at| {
            let name = field.value.get(at.wrapping_sub(3)..at + 3);
            name.is_some_and(|name| name.eq_ignore_ascii_case(b"reg-id"))
        })
    })
}

/// Writes a record anew without the binding that is known by its flow and has this contact and path. False if there is none.
pub fn without_flow(record: Bindings<'_>, contact: &[u8], path: &[u8], out: &mut Vec<u8>) -> bool {
    let (mut writer, mut found) = (RecordWriter::new(out), false);
    for (entry, encoded) in record.entries() {
        let is_it = matches!(entry, Entry::Binding(binding)
            if binding.outbound && binding.contact == contact && binding.path == path);
        found |= is_it;
        if !is_it {
            writer.copy(entry.ends_at(), encoded);
        }
    }
    writer.finish();
    found
}

#[cfg(test)]
mod tests;
