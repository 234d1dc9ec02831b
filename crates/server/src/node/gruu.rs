//! GRUUs at the node (RFC 5627): what a phone may not register, and who is meant by a URI with `gr`.

use strowger_sip::Reject;
use strowger_sip::registrar::{canonical_aor, instance_of};
use strowger_syntax::header::{Contact, WrittenAddr};
use strowger_syntax::scan::number;
use strowger_syntax::uri::{SipUri, Uri};
use strowger_syntax::{Message, Name, Status};

use super::Node;

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
        let aor = std::mem::take(&mut self.work.aor);
        if contact.params.has(b"gr") {
            self.endpoint.identity.keys.gruu.read(contact, &mut self.work.aor);
        } else {
            canonical_aor(contact, &mut self.work.aor);
        }
        self.follow_alias();
        let leads_back = self.work.aor == aor;
        self.work.aor = aor;
        leads_back
    }
}

/// Whether a REGISTER removes this contact.
fn is_removed(request: Message<'_>, contact: &WrittenAddr<'_>) -> bool {
    match contact.params.get(b"expires") {
        Some(value) => Contact::expires_of(value) == 0,
        None => request.first(Name::Expires).and_then(number) == Some(0),
    }
}
