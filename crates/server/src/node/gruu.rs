//! GRUUs at the node (RFC 5627): what a phone may not register, whom a URI with `gr` means, and whose GRUUs are in requests.

use smallvec::SmallVec;
use strowger_sip::proxy::{Suits, suits};
use strowger_sip::registrar::{Bindings, Gruu, GruuKey, asked_expires, instance_of};
use strowger_sip::{Now, Reject};
use strowger_syntax::header::{Contact, NameAddr, WrittenAddr};
use strowger_syntax::uri::{SipUri, Uri};
use strowger_syntax::{Message, Method, Name, Status};

use super::Node;
use super::candidates::{Origin, Terms, Way};
use super::dispatch::Case;
use super::flows::put_newest_first;
use super::locate::Patience;
use super::policy::Sender;
use super::trace::{BindingUse, Step};
use crate::config::effective::Ours;
use crate::routing::Role;
use crate::subscriber::Resolved;

/// Whom a URI of our domain means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meant<'u> {
    /// A user, at whichever contact.
    User(Resolved),
    /// One instance of a user's phones.
    Instance(Gruu<'u>, Resolved),
    /// Nobody: it has a `gr`, but is no GRUU.
    Nobody,
}

/// Whether a URI may have a `gr` parameter.
pub(super) fn may_be_gruu(uri: &[u8]) -> bool {
    memchr::memchr_iter(b';', uri).any(|at| {
        let name = uri.get(at + 1..at + 3);
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"gr"))
    })
}

/// Whether it is a URI with a `gr` parameter.
pub(super) fn has_gr(uri: &[u8]) -> bool {
    may_be_gruu(uri) && matches!(Uri::parse(uri), Ok(Uri::Sip(sip)) if sip.params.has(b"gr"))
}

/// What a URI with a `gr` parameter is a GRUU of, and its address-of-record in `aor`, whatever its domain is called.
fn read_gruu<'u>(key: &GruuKey, ours: &Ours, sip: &SipUri<'u>, aor: &mut Vec<u8>) -> Option<Gruu<'u>> {
    let gruu = key.read(sip, aor)?;
    if matches!(gruu, Gruu::Public(_)) {
        aor.clear();
        ours.write_aor(sip, aor);
    }
    Some(gruu)
}

/// Whom it means.
impl Node {
    /// Puts the address-of-record into the work buffers that a URI of our domain is, or is a GRUU of (RFC 5627 §6.1).
    pub(super) fn find_addressed<'u>(&mut self, uri: &'u [u8]) -> Meant<'u> {
        let work = &mut self.work;
        work.aor.clear();
        let mut gruu = None;
        if !work.own.addressed.write_aor(uri, &mut work.aor)
            && let Ok(Uri::Sip(sip)) = Uri::parse(uri)
        {
            if sip.params.has(b"gr") {
                let key = &self.endpoint.identity.keys.gruu;
                gruu = read_gruu(key, &self.shared.ours, &sip, &mut work.aor);
                if gruu.is_none() {
                    self.trace.note(|| Step::gruu(None, None));
                    return Meant::Nobody;
                }
            } else {
                self.shared.ours.write_aor(&sip, &mut work.aor);
            }
        }
        let resolved = self.follow_alias();
        self.trace.note(|| Step::address(uri, &self.work.aor, resolved));
        match gruu {
            Some(gruu) => Meant::Instance(gruu, resolved),
            None => Meant::User(resolved),
        }
    }

    /// Puts the address-of-record into the work buffers that a Request-URI is, as it is written, or is a GRUU of.
    pub(super) fn write_addressed(&mut self, uri: &[u8]) {
        let work = &mut self.work;
        work.aor.clear();
        if !work.own.addressed.write_aor(uri, &mut work.aor)
            && let Ok(Uri::Sip(sip)) = Uri::parse(uri)
        {
            self.write_aor_of(&sip);
        }
    }

    /// Appends the address-of-record to the work buffers that a URI of our domain is, or is a temporary GRUU of.
    pub(super) fn write_aor_of(&mut self, sip: &SipUri<'_>) {
        let aor = &mut self.work.aor;
        let key = &self.endpoint.identity.keys.gruu;
        if !sip.params.has(b"gr") || read_gruu(key, &self.shared.ours, sip, aor).is_none() {
            aor.clear();
            self.shared.ours.write_aor(sip, aor);
        }
    }

    /// Puts the instance that a GRUU of the address-of-record in the work buffers leads to beside it; false when that is not
    /// registered. The record is left there too.
    pub(super) fn find_instance(&mut self, gruu: &Gruu<'_>, now: Now) -> bool {
        let is_there = self.look_for_instance(gruu, now);
        let instance = || is_there.then_some(self.work.instance.as_slice());
        self.trace.note(|| Step::gruu(Some(gruu), instance()));
        is_there
    }

    fn look_for_instance(&mut self, gruu: &Gruu<'_>, now: Now) -> bool {
        let work = &mut self.work;
        self.shared.location.read(&work.aor, &mut work.record);
        let record = Bindings::new(&work.record);
        let instance = gruu.instance(&self.endpoint.identity.keys.gruu, record, now.wall_secs());
        work.instance.clear();
        work.instance.extend_from_slice(instance.unwrap_or(&[]));
        instance.is_some()
    }

    /// Puts the record of whom a Request-URI means into the work buffers. What is known of that user, and whether the contacts of
    /// the instance beside it are meant alone.
    pub(super) fn find_record(&mut self, uri: &[u8], now: Now) -> (Resolved, bool) {
        match self.find_addressed(uri) {
            Meant::User(resolved) => {
                let work = &mut self.work;
                self.shared.location.read(&work.aor, &mut work.record);
                (resolved, false)
            }
            Meant::Instance(gruu, resolved) => {
                let is_there = self.find_instance(&gruu, now);
                (self.standing(&gruu, resolved, is_there, now), true)
            }
            Meant::Nobody => {
                self.work.record.clear();
                (Resolved::Unknown, false)
            }
        }
    }

    /// What is known of the user of a GRUU that leads nowhere: nothing if it does not hold. The record is in the work buffers.
    /// A public one holds as long as its user is there, a temporary one as long as its instance is (RFC 5627 §5.3, §5.4).
    pub(super) fn standing(&self, gruu: &Gruu<'_>, resolved: Resolved, is_there: bool, now: Now) -> Resolved {
        let is_bound = || {
            Bindings::new(&self.work.record)
                .live(now.wall_secs())
                .next()
                .is_some()
        };
        match gruu {
            Gruu::Public(_) if resolved == Resolved::Unknown && is_bound() => Resolved::User,
            Gruu::Public(_) => resolved,
            Gruu::Temporary(_) if is_there => Resolved::User,
            Gruu::Temporary(_) => Resolved::Unknown,
        }
    }
}

/// Where it goes.
impl Node {
    /// Makes the contacts of whom a Request-URI means the candidates (RFC 3261 §16.5).
    pub(super) fn candidates_of_user(
        &mut self,
        case: &Case<'_>,
        uri: &[u8],
        role: &Role,
        sender: Sender,
        patience: Patience,
        now: Now,
    ) -> Result<(), Reject> {
        let known = match self.find_addressed(uri) {
            Meant::User(resolved) => {
                if let Some(reject) = self.without_notifier(case.request) {
                    return Err(reject);
                }
                self.candidates_of_aor(case.request, &case.ingress.source, role, patience, now);
                resolved
            }
            Meant::Instance(gruu, resolved) => {
                self.work.candidates.clear();
                let is_there = self.find_instance(&gruu, now);
                if is_there {
                    self.candidates_of_instance(case, role, patience, now);
                }
                self.standing(&gruu, resolved, is_there, now)
            }
            Meant::Nobody => return Err(self.nowhere(Resolved::Unknown, sender)),
        };
        match self.work.candidates.is_empty() {
            true => Err(self.nowhere(known, sender)),
            false => Ok(()),
        }
    }

    /// Makes the contacts of the instance in the work buffers the candidates, as if it were an address-of-record (RFC 5627 §6.1):
    /// the one that was refreshed last, for which the others stand in.
    fn candidates_of_instance(&mut self, case: &Case<'_>, role: &Role, patience: Patience, now: Now) {
        let instance = std::mem::take(&mut self.work.instance);
        let terms = Terms {
            ring_timeout_ms: role.ring_ms,
            ..Terms::new(Origin::Binding, Way::Nowhere)
        };
        for says_so in [true, false] {
            self.add_bindings(&case.ingress.source, patience, now, |binding| {
                let suits = binding
                    .is_of(&instance)
                    .then(|| suits(case.request, binding.params));
                match suits.ok_or(BindingUse::OtherInstance)? {
                    Suits::Rank(_) if says_so => Ok(terms),
                    Suits::NotByItself if !says_so => Ok(terms),
                    _ => Err(BindingUse::Unsuited),
                }
            });
            if !self.work.candidates.is_empty() {
                break;
            }
        }
        self.work.instance = instance;
    }

    /// Makes the contacts of the instance that a Request-URI is a GRUU of the candidates, where another Route element says the way
    /// to them; their Path does not count then (RFC 5627 §6.1). False if the Request-URI is none, or there is no such element.
    pub(super) fn candidates_by_route(
        &mut self,
        case: &Case<'_>,
        sender: Sender,
        now: Now,
    ) -> Result<bool, Reject> {
        let uri = case.routing.request_uri;
        let is_ours = || matches!(Uri::parse(uri), Ok(Uri::Sip(sip)) if self.shared.is_ours(&sip));
        if case.routing.next.is_none() || !has_gr(uri) || !is_ours() {
            return Ok(false);
        }
        let Meant::Instance(gruu, resolved) = self.find_addressed(uri) else {
            return Err(self.nowhere(Resolved::Unknown, sender));
        };
        if !self.find_instance(&gruu, now) {
            return Err(self.nowhere(self.standing(&gruu, resolved, false, now), sender));
        }
        let work = &mut self.work;
        work.candidates.clear();
        let terms = Terms::new(Origin::Binding, Way::ByUri);
        let bindings = Bindings::new(&work.record).live(now.wall_secs());
        let mut bindings: SmallVec<[_; 2]> = bindings.collect();
        put_newest_first(&mut bindings);
        for binding in bindings {
            if !binding.is_of(&work.instance) || self.shared.names_us(binding.contact) {
                continue;
            }
            let used = match work.candidates.is_empty() {
                true => BindingUse::Target,
                false => BindingUse::StandIn,
            };
            self.trace.note(|| Step::binding(&binding, used, now));
            work.candidates.add(binding.contact, b"", terms);
            if used == BindingUse::StandIn {
                work.candidates.stand_in(0);
            }
        }
        match work.candidates.is_empty() {
            true => Err(self.nowhere(Resolved::User, sender)),
            false => Ok(true),
        }
    }
}

/// Whose it is.
impl Node {
    /// Whether the contacts of a REGISTER that have an instance ID may be bound to the address-of-record in the work buffers:
    /// what leads back to that would loop, and what is no SIP URI can't be reached by a GRUU (RFC 5627 §5.1).
    pub(super) fn check_instances(&mut self, request: Message<'_>) -> Result<(), Reject> {
        for value in request.elements(Name::Contact) {
            let Ok(address) = WrittenAddr::parse(value) else {
                continue;
            };
            if instance_of(address.params).is_none() || is_removed(request, &address) {
                continue;
            }
            match Uri::parse(address.uri_text) {
                Ok(Uri::Sip(contact)) if self.leads_back(&contact) => {
                    return Err(Reject::because(Status::FORBIDDEN, "Contact Leads Back"));
                }
                Ok(Uri::Sip(_)) => {}
                _ => return Err(Reject::because(Status::FORBIDDEN, "Contact Is No SIP URI")),
            }
        }
        Ok(())
    }

    /// Whether a contact is the address-of-record in the work buffers, or a GRUU of it.
    fn leads_back(&mut self, contact: &SipUri<'_>) -> bool {
        if !self.shared.is_ours(contact) {
            return false;
        }
        let swap = |node: &mut Self| std::mem::swap(&mut node.work.aor, &mut node.work.lines);
        swap(self);
        self.write_aor_of(contact);
        self.follow_alias();
        let leads_back = self.work.aor == self.work.lines;
        swap(self);
        leads_back
    }

    /// Whether the Contact of a request that sets up a dialog is a GRUU of ours that holds, so that what follows in the dialog
    /// will come here (RFC 5627 §6.2).
    ///
    /// # Errors
    /// 403 if it is another user's than of who has shown credentials: the answers would go to somebody who never asked (§10.2).
    pub(super) fn check_contact(
        &mut self,
        request: Message<'_>,
        sender: Sender,
        now: Now,
    ) -> Result<bool, Reject> {
        let sets_up = matches!(
            request.method(),
            Method::Invite | Method::Subscribe | Method::Refer
        );
        let contact = match request.only(Name::Contact) {
            Some(contact) if sets_up && may_be_gruu(contact) && request.to_tag().is_none() => contact,
            _ => return Ok(false),
        };
        let Ok(Uri::Sip(sip)) = NameAddr::parse(contact).map(|address| address.uri) else {
            return Ok(false);
        };
        let key = &self.endpoint.identity.keys.gruu;
        let gruu = match self.shared.is_ours(&sip) {
            true => key.read(&sip, &mut self.work.aor),
            false => None,
        };
        let Some(gruu) = gruu else { return Ok(false) };
        let resolved = self.follow_alias();
        let is_there = self.look_for_instance(&gruu, now);
        if self.standing(&gruu, resolved, is_there, now) == Resolved::Unknown {
            return Ok(false);
        }
        if sender == Sender::Authenticated {
            std::mem::swap(&mut self.work.aor, &mut self.work.lines);
            if !self.find_speaker(request) || self.work.aor != self.work.lines {
                return Err(Reject::because(Status::FORBIDDEN, "Contact Is Another User's"));
            }
        }
        Ok(true)
    }
}

/// Whether a REGISTER removes this contact.
fn is_removed(request: Message<'_>, contact: &WrittenAddr<'_>) -> bool {
    let param = contact.params.get(b"expires").map(Contact::expires_of);
    asked_expires(request, param) == Some(0)
}
