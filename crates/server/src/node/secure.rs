//! Requests for SIPS URIs (RFC 5630 §5.3, RFC 3261 §26.2.2): they go to SIPS URIs, over TLS, or nowhere.

use strowger_sip::registrar::is_secure;
use strowger_sip::{Extra, Reject};
use strowger_syntax::Status;

use super::Node;
use super::candidates::Way;
use super::trace::{InsecureWhy, Step};

impl Node {
    /// Leaves out the candidates that a request for a SIPS URI may not go to.
    #[cold]
    pub(super) fn leave_out_insecure(&mut self) {
        let work = self.work.candidates.parts_mut();
        for candidate in &mut *work.list {
            let uri = candidate.uri(work.text);
            let is_insecure = |first: u32, end: u32| {
                let hops = work.hops.get(first as usize..end as usize).unwrap_or(&[]);
                hops.iter().any(|hop| !hop.transport.is_secure())
            };
            let why = match candidate.way {
                Way::Nowhere => continue,
                _ if !is_secure(uri) => InsecureWhy::Uri,
                Way::Located(first, end) if is_insecure(first, end) => InsecureWhy::Way,
                Way::Located(..) | Way::ByUri | Way::Asleep => continue,
            };
            self.trace.note(|| Step::insecure(uri, why));
            candidate.way = Way::Nowhere;
        }
    }

    /// Why a request for a SIPS URI goes nowhere although there are candidates.
    #[cold]
    pub(super) fn no_secure_way(&self) -> Reject {
        let candidates = &self.work.candidates;
        let mut uris = candidates
            .list()
            .iter()
            .map(|candidate| candidate.uri(candidates.text()));
        if uris.any(is_secure) {
            Reject::because(Status::SERVER_INTERNAL_ERROR, "No Secure Way To Next Hop")
        } else {
            Reject::with(
                Status::TEMPORARILY_UNAVAILABLE,
                Extra::Warning(380, "SIPS Not Allowed"),
            )
        }
    }
}
