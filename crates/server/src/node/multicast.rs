//! What comes by multicast: phones that look for their registrar (RFC 3261 §10.2.6). Whoever else hears a group stays silent,
//! for one request has many readers: nothing but a REGISTER is answered, by nobody but a registrar of the domain, and not with
//! an error (RFC 3261 §18.1.1). A challenge is no error here, since without it no phone could be found.

use strowger_sip::endpoint::Ingress;
use strowger_sip::{Now, Outbox, Source};
use strowger_syntax::uri::{Host, SipUri, Uri};
use strowger_syntax::{Message, Method, Name};

use super::Node;
use super::policy::spoken_for;
use super::trace::{DroppedWhy, Step};

/// The name of "all SIP servers".
const ALL_SERVERS: &[u8] = b"sip.mcast.net";

impl Node {
    /// Deals with a request that was sent to a group.
    pub(super) fn on_multicast(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        now: Now,
        out: &mut Outbox,
    ) {
        if self.is_responsible(request, &ingress.source) {
            self.on_register(request, ingress, now, out);
        } else {
            let why = DroppedWhy::Multicast;
            self.trace.note(|| Step::Dropped { why });
        }
    }

    /// Whether it is a REGISTER for a user of ours. Its Request-URI may be that of the group: a phone that looks for its
    /// registrar does not know another one.
    fn is_responsible(&self, request: Message<'_>, source: &Source) -> bool {
        let is_here = |uri: &SipUri<'_>| self.shared.is_ours(uri) || names_group(uri, source);
        request.method() == Method::Register
            && !request.has(Name::Route)
            && matches!(Uri::parse(request.request_uri()), Ok(Uri::Sip(uri)) if is_here(&uri))
            && spoken_for(request).is_some_and(|sip| self.shared.is_ours(&sip) && sip.user.is_some())
    }
}

fn names_group(uri: &SipUri<'_>, source: &Source) -> bool {
    let is_group = uri.host.ip() == Some(source.local.ip());
    is_group || matches!(uri.host, Host::Name(name) if name.eq_ignore_ascii_case(ALL_SERVERS))
}
