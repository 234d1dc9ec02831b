//! Registration information (RFC 3680 §5), with GRUUs (RFC 5628): what a subscriber is told of the bindings of an
//! address-of-record, as the difference between what it was last told and what is so now.

use std::borrow::Cow;
use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use strowger_syntax::header::{Params, Q};
use strowger_syntax::uri::escape;

use crate::keys::MacKey;
use crate::registrar::{Binding, Bindings, Gruus, Q_DEFAULT, Removal, Removed, is_secure, write_public_uri};

const REGINFO: &str = "urn:ietf:params:xml:ns:reginfo";
const GRUUINFO: &str = "urn:ietf:params:xml:ns:gruuinfo";

/// Whose registrations are told, and in which document of how many.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// The address-of-record, in its canonical form.
    pub aor: &'a [u8],
    /// Makes the ids of registrations and contacts, which are the same as long as the key is.
    pub ids: &'a MacKey,
    /// The version of the document: 0 for the first one that a subscriber gets (RFC 3680 §5.1).
    pub version: u32,
    /// Whether all contacts are told, or only those that have changed.
    pub is_full: bool,
    /// Unix time in seconds.
    pub now_secs: u64,
    /// Writes GRUUs.
    pub gruus: Gruus<'a>,
    /// Whether the subscriber may register for the address-of-record, and so know of temporary GRUUs (RFC 5628 §5) and of what
    /// leads to a device (RFC 8599 §13).
    pub is_owner: bool,
}

/// What a subscriber was last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    record: Box<[u8]>,
    at_secs: u64,
}

impl Told {
    /// That the bindings are these.
    pub fn of(record: Bindings<'_>, now_secs: u64) -> Self {
        Self {
            record: record.bytes().into(),
            at_secs: now_secs,
        }
    }

    /// When the first of the bindings expires, in Unix seconds: a change that nobody makes.
    pub fn first_expiry(&self) -> Option<u32> {
        self.live().map(|binding| binding.expires_at).min()
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.record.len()
    }

    fn live(&self) -> impl Iterator<Item = Binding<'_>> {
        Bindings::new(&self.record).live(self.at_secs)
    }
}

/// What made a contact what it is (RFC 3680 §4.7.1). None is created: whatever binds a contact here is a REGISTER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Registered,
    Refreshed,
    Shortened,
    Expired,
    Deactivated,
    Probation { retry_after: u32 },
    Unregistered,
    Rejected,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Refreshed => "refreshed",
            Self::Shortened => "shortened",
            Self::Expired => "expired",
            Self::Deactivated => "deactivated",
            Self::Probation { .. } => "probation",
            Self::Unregistered => "unregistered",
            Self::Rejected => "rejected",
        }
    }

    /// What has become of a live binding since it was told as `known`.
    fn of_change(known: &Binding<'_>, binding: &Binding<'_>) -> Option<Self> {
        if known == binding {
            return None;
        }
        Some(match () {
            // It had ended meanwhile, so this is another life of it (figure 2).
            () if known.bound_at != binding.bound_at => Self::Registered,
            () if known.order == binding.order && binding.expires_at < known.expires_at => Self::Shortened,
            () => Self::Refreshed,
        })
    }
}

/// A contact that is gone since it was told.
struct Ended<'a> {
    binding: Binding<'a>,
    cause: Cause,
    /// In Unix seconds.
    at: u64,
}

impl<'a> Ended<'a> {
    fn of(binding: Binding<'a>, record: Bindings<'_>, now_secs: u64) -> Self {
        let expires_at = u64::from(binding.expires_at);
        // What was removed in an earlier life of the contact says nothing of this one.
        let removed = record
            .removed(binding.contact, now_secs)
            .filter(|removed| binding.bound_at.is_none_or(|since| removed.at >= since));
        let (cause, at) = match removed {
            Some(Removed { at, why }) => (why.map_or(Cause::Unregistered, Cause::from), u64::from(at)),
            None if expires_at <= now_secs => (Cause::Expired, expires_at),
            None => (Cause::Unregistered, now_secs),
        };
        Self { binding, cause, at }
    }
}

impl From<Removal> for Cause {
    fn from(why: Removal) -> Self {
        match why {
            Removal::Deactivated => Self::Deactivated,
            Removal::Rejected => Self::Rejected,
            Removal::Probation { retry_after } => Self::Probation { retry_after },
        }
    }
}

/// Appends the document that tells what has become of the bindings since `told`. False, and nothing, if only changes are to be
/// told and there are none.
pub fn write_reginfo(watched: &Watched<'_>, told: &Told, record: Bindings<'_>, out: &mut Vec<u8>) -> bool {
    let now = watched.now_secs;
    let is_there = |contact: &[u8]| record.live(now).any(|binding| binding.contact == contact);
    let gone = told.live().filter(|binding| !is_there(binding.contact));
    let ended: Vec<_> = gone.map(|binding| Ended::of(binding, record, now)).collect();
    let cause = |binding: &Binding<'_>| {
        let before = told.live().find(|known| known.contact == binding.contact);
        before.map_or(Some(Cause::Registered), |known| Cause::of_change(&known, binding))
    };
    let all = record.live(now).map(|binding| (binding, cause(&binding)));
    let live: Vec<_> = all
        .filter(|(_, cause)| watched.is_full || cause.is_some())
        .collect();
    if !watched.is_full && live.is_empty() && ended.is_empty() {
        return false;
    }
    let state = match (record.live(now).next(), ended.is_empty()) {
        (Some(_), _) => "active",
        (None, true) => "init",
        (None, false) => "terminated",
    };
    let start = out.len();
    let written = write_document(watched, state, out, |writer| {
        for (binding, cause) in &live {
            let cause = cause.unwrap_or(Cause::Registered);
            write_contact(watched, record, binding, State::Active(cause), writer)?;
        }
        for Ended { binding, cause, at } in &ended {
            write_contact(watched, record, binding, State::Terminated(*cause, *at), writer)?;
        }
        Ok(())
    });
    // Memory refuses nothing.
    if written.is_err() {
        out.truncate(start);
    }
    written.is_ok()
}

/// The state of a contact and what has brought it there; when, for one that is gone.
#[derive(Clone, Copy, Debug)]
enum State {
    Active(Cause),
    Terminated(Cause, u64),
}

type Xml<'o> = Writer<&'o mut Vec<u8>>;

fn write_document(
    watched: &Watched<'_>,
    state: &str,
    out: &mut Vec<u8>,
    contacts: impl FnOnce(&mut Xml<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = Writer::new(out);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let id = id(watched.ids, b"registration", watched.aor);
    let registration = |writer: &mut Xml<'_>| {
        writer
            .create_element("registration")
            .with_attribute(("aor", &*legal(&aor_uri(watched.aor))))
            .with_attribute(("id", &*id))
            .with_attribute(("state", state))
            .write_inner_content(contacts)
            .map(drop)
    };
    writer
        .create_element("reginfo")
        .with_attribute(("xmlns", REGINFO))
        .with_attribute(("version", &*watched.version.to_string()))
        .with_attribute(("state", if watched.is_full { "full" } else { "partial" }))
        .write_inner_content(registration)
        .map(drop)
}

fn write_contact(
    watched: &Watched<'_>,
    record: Bindings<'_>,
    binding: &Binding<'_>,
    state: State,
    writer: &mut Xml<'_>,
) -> io::Result<()> {
    let id = id(watched.ids, watched.aor, binding.contact);
    let (name, cause, until) = match state {
        State::Active(cause) => ("active", cause, watched.now_secs),
        State::Terminated(cause, at) => ("terminated", cause, at),
    };
    let is_active = matches!(state, State::Active(_));
    let mut element = writer
        .create_element("contact")
        .with_attribute(("id", &*id))
        .with_attribute(("state", name))
        .with_attribute(("event", cause.as_str()));
    if let Some(since) = binding.bound_at {
        let duration = until.saturating_sub(u64::from(since));
        element = element.with_attribute(("duration-registered", &*duration.to_string()));
    }
    if is_active {
        let left = u64::from(binding.expires_at).saturating_sub(watched.now_secs);
        element = element.with_attribute(("expires", &*left.to_string()));
    }
    if let Cause::Probation { retry_after } = cause {
        element = element.with_attribute(("retry-after", &*retry_after.to_string()));
    }
    if binding.q != Q_DEFAULT {
        let mut q = Vec::new();
        Q::of_thousandths(binding.q).encode(&mut q);
        element = element.with_attribute(("q", &*legal(&q)));
    }
    element
        .with_attribute(("callid", &*legal(binding.order.call_id)))
        .with_attribute(("cseq", &*binding.order.cseq.to_string()))
        .write_inner_content(|writer| {
            let mut uri = Vec::new();
            if watched.is_owner {
                uri.extend_from_slice(binding.contact);
            } else {
                write_public_uri(binding.contact, &mut uri);
            }
            writer
                .create_element("uri")
                .write_text_content(BytesText::new(&legal(&uri)))?;
            for (name, value) in unknown_params(binding.params) {
                writer
                    .create_element("unknown-param")
                    .with_attribute(("name", &*legal(name)))
                    .write_text_content(BytesText::new(&legal(value.unwrap_or(&[]))))?;
            }
            match binding.instance().filter(|_| is_active) {
                Some(instance) => write_gruus(watched, record, binding, instance, writer),
                None => Ok(()),
            }
        })
        .map(drop)
}

/// The elements of RFC 5628 §5, for a contact whose phone has been given GRUUs.
fn write_gruus(
    watched: &Watched<'_>,
    record: Bindings<'_>,
    binding: &Binding<'_>,
    instance: &[u8],
    writer: &mut Xml<'_>,
) -> io::Result<()> {
    let Some(epoch) = binding.epoch else {
        return Ok(());
    };
    let (gruus, secure, mut uri): (_, _, Vec<u8>) = (watched.gruus, is_secure(binding.contact), Vec::new());
    gruus.write_public(secure, instance, &mut uri);
    writer
        .create_element("gr:pub-gruu")
        .with_attribute(("xmlns:gr", GRUUINFO))
        .with_attribute(("uri", &*legal(&uri)))
        .write_empty()?;
    uri.clear();
    if watched.is_owner && gruus.write_temporary(secure, instance, record, watched.now_secs, &mut uri) {
        writer
            .create_element("gr:temp-gruu")
            .with_attribute(("xmlns:gr", GRUUINFO))
            .with_attribute(("uri", &*legal(&uri)))
            .with_attribute(("first-cseq", &*epoch.first_cseq.to_string()))
            .write_empty()?;
    }
    Ok(())
}

/// The parameters of a contact that RFC 3261 §20.10 does not know.
fn unknown_params(params: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let params = Params::parse(params).unwrap_or_default();
    let is_known = |name: &[u8]| {
        [&b"q"[..], b"expires"]
            .iter()
            .any(|k| name.eq_ignore_ascii_case(k))
    };
    params.iter().filter(move |(name, _)| !is_known(name))
}

/// The id of what a text names, in a scope.
fn id(ids: &MacKey, scope: &[u8], text: &[u8]) -> String {
    format!("{:016x}", ids.mac(&[b"reginfo", scope, text]))
}

/// The URI of an address-of-record.
fn aor_uri(aor: &[u8]) -> Vec<u8> {
    let mut uri = Vec::from(b"sip:");
    match aor.iter().rposition(|&byte| byte == b'@') {
        Some(at) => {
            escape::escape_user_into(&aor[..at], &mut uri);
            uri.extend_from_slice(&aor[at..]);
        }
        None => uri.extend_from_slice(aor),
    }
    uri
}

/// A text as XML 1.0 may have it: UTF-8 without most control characters, in whose place something else stands.
fn legal(text: &[u8]) -> Cow<'_, str> {
    let is_legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    match String::from_utf8_lossy(text) {
        text if text.chars().all(is_legal) => text,
        text => Cow::Owned(
            text.chars()
                .map(|c| if is_legal(c) { c } else { '\u{fffd}' })
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests;
