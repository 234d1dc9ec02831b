//! Flows (RFC 5626 §5): who is reached over the one that it came by, and what goes over one that a Route names.

use std::cmp::Reverse;
use std::net::IpAddr;

use smallvec::SmallVec;
use strowger_sip::proxy::{FailedFlow, RecordRoute, RouteFlow, RouteToken};
use strowger_sip::registrar::{Binding, Bindings, is_same_instance, without_flow};
use strowger_sip::transport::{Hop, LogicalFlow, Peer, ReadToken, needs_flow, way_to, way_without_flow};
use strowger_sip::{Now, Reject};
use strowger_syntax::header::{NameAddr, WrittenAddr};
use strowger_syntax::scan::{find_near, quoted_near, strip_ipv4};
use strowger_syntax::uri::{SipUri, Uri};
use strowger_syntax::{Message, Name, Status};

use super::Node;
use super::candidates::{Origin, Terms, Way};
use super::dispatch::Case;
use super::locate::is_contact;
use super::trace::{BindingUse, FlowFound, Step, shown};
use crate::location::{Caller, Commit, Ticket};

/// 430 (RFC 5626 §5.3.1).
fn flow_failed() -> Reject {
    Reject::new(Status::FLOW_FAILED)
}

/// The user agent instances that a request is sent to, each over one of its flows at a time (RFC 5626 §7).
#[derive(Default)]
pub(super) struct Instances<'a>(SmallVec<[(&'a [u8], u32); 2]>);

impl<'a> Instances<'a> {
    /// The place of the candidate that leads to the instance of a binding already; else that one is to be at `place`.
    pub(super) fn place_of(&mut self, binding: &Binding<'a>, place: u32) -> Option<u32> {
        let instance = binding.instance()?;
        let known = self.0.iter().find(|(known, _)| is_same_instance(known, instance));
        let known = known.map(|&(_, place)| place);
        if known.is_none() {
            self.0.push((instance, place));
        }
        known
    }
}

/// Leaves bindings in the order in which they were made; but where several are of one instance, puts those that were refreshed
/// last first.
pub(super) fn put_newest_first(bindings: &mut [Binding<'_>]) {
    let mut instances = Instances::default();
    if bindings.len() > 1
        && bindings
            .iter()
            .any(|binding| instances.place_of(binding, 0).is_some())
    {
        bindings.reverse();
        bindings.sort_by_key(|binding| Reverse(binding.updated_at));
    }
}

/// Whether the Contact of a request plainly names the address that it came from, as nearly all do, and asks for no flow. False also
/// for what is written in any other way than the usual one.
fn names_source(request: Message<'_>, source: IpAddr) -> bool {
    let IpAddr::V4(source) = source else {
        return false;
    };
    let value = request.only(Name::Contact).unwrap_or(&[]);
    let behind_name = match value {
        [b'"', ..] => quoted_near(value, 0).and_then(|end| value.get(end..)),
        _ => Some(value),
    };
    let contact = behind_name.map_or(&[][..], <[u8]>::trim_ascii_start);
    if !contact.starts_with(b"<sip:") {
        return false;
    }
    let host = find_near(contact, b'@').map_or(&[][..], |at| &contact[at + 1..]);
    let Some(rest @ [b':' | b';' | b'>', ..]) = strip_ipv4(host, source) else {
        return false;
    };
    let asks = |at: usize| {
        let name = rest.get(at + 1..at + 3);
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"ob") || name.eq_ignore_ascii_case(b"ma"))
    };
    !memchr::memchr_iter(b';', rest).any(asks)
}

impl Node {
    /// What the flow comes to that our Route entries name (RFC 5626 §5.3): none where the request has come over it itself and goes
    /// out, by its Route or its Request-URI.
    ///
    /// # Errors
    /// 403 for a token that nobody here has made.
    pub(super) fn settle_flow(&self, case: &mut Case<'_>) -> Result<(), Reject> {
        let Some(flow) = case.routing.flow else {
            return Ok(());
        };
        if flow.token == ReadToken::Forged {
            self.trace.note(|| Step::Flow {
                found: FlowFound::Forged,
            });
            return Err(Reject::because(Status::FORBIDDEN, "Forged Flow Token"));
        }
        if !flow.is_incoming(&case.ingress.source) {
            self.trace.note(|| Step::Flow {
                found: FlowFound::Outgoing,
            });
            case.routing.flow = None;
            case.keeps_caller = flow.ob;
        }
        Ok(())
    }

    /// Makes the flow that the Route of a request names the candidate (RFC 5626 §5.3.1). Somebody who has registered anew since the
    /// dialog began is tried there first. False if it names none.
    ///
    /// # Errors
    /// 430 if the flow is gone, and its peer is nowhere else.
    pub(super) fn candidate_of_flow(
        &mut self,
        case: &Case<'_>,
        uri: &SipUri<'_>,
        now: Now,
    ) -> Result<bool, Reject> {
        let Some(flow) = case.routing.flow else {
            return Ok(false);
        };
        let from = self.endpoint.identity.departure(&case.ingress.source);
        let kept = match flow.token {
            ReadToken::Flow(kept) => kept.hop(from),
            ReadToken::Gone | ReadToken::Forged | ReadToken::None => None,
        };
        let local = kept.map_or(from.preferred.1, |hop| hop.local);
        let is_connection = !matches!(
            flow.token,
            ReadToken::Flow(LogicalFlow {
                peer: Peer::Datagrams(..),
                ..
            })
        );
        let otherwise = way_without_flow(from, uri, local).filter(|_| is_connection && !flow.by_path);
        let anew = self.way_anew(case, &flow, now);
        let mut hops = [anew, kept, otherwise].into_iter().flatten();
        let Some(first) = hops.next() else {
            self.trace.note(|| Step::Flow {
                found: FlowFound::Gone,
            });
            return Err(flow_failed());
        };
        self.trace.note(|| Step::Flow {
            found: match (anew, kept) {
                (Some(_), _) => FlowFound::Anew,
                (None, Some(_)) => FlowFound::Kept,
                (None, None) => FlowFound::Without,
            },
        });
        let candidates = &mut self.work.candidates;
        candidates.clear();
        let terms = Terms::new(Origin::Binding, Way::Nowhere);
        let second = hops.next();
        candidates.add_located(case.routing.request_uri, &[], terms, &first, second.as_ref());
        Ok(true)
    }

    /// The way to the contact that a request within a dialog is for, if it is registered over other flows than this one.
    fn way_anew(&mut self, case: &Case<'_>, flow: &RouteFlow, now: Now) -> Option<Hop> {
        let (request, uri) = (case.request, case.routing.request_uri);
        if flow.by_path || !self.write_registered(request.to_uri()) {
            return None;
        }
        let work = &mut self.work;
        self.shared.location.read(&work.aor, &mut work.record);
        let (shared, from) = (
            &self.shared,
            self.endpoint.identity.departure(&case.ingress.source),
        );
        let mut last = None;
        for binding in Bindings::new(&work.record).live(now.wall_secs()) {
            if !binding.path.is_empty() || !is_contact(binding.contact, uri) {
                continue;
            }
            let way = way_to(from, &binding, shared.policy.boot, |uri| shared.is_ours(uri));
            let Some((hop, _)) = way else { continue };
            let is_same = match (LogicalFlow::of_hop(&hop), flow.token) {
                (Some(its), ReadToken::Flow(kept)) => its.peer == kept.peer,
                _ => false,
            };
            if is_same {
                return None;
            }
            let is_later = |&(_, updated_at): &(Hop, u32)| updated_at <= binding.updated_at;
            if last.as_ref().is_none_or(is_later) {
                self.trace
                    .note(|| Step::binding(&binding, BindingUse::Target, now));
                last = Some((hop, binding.updated_at));
            }
        }
        last.map(|(hop, _)| hop)
    }

    /// Takes the binding out whose first hop says that its flow is gone (RFC 5626 §7, §9.3). If it has been made anew meanwhile it
    /// stays.
    pub(super) fn unbind_flow(&mut self, failed: &FailedFlow, now: Now) {
        self.write_addressed(&failed.asked);
        self.follow_alias();
        let work = &mut self.work;
        let seen = self.shared.location.read(&work.aor, &mut work.record);
        let record = Bindings::new(&work.record);
        if !without_flow(record, &failed.contact, &failed.path, &mut work.next_record) {
            return;
        }
        let caller = Caller {
            shard: self.endpoint.identity.shard,
            ticket: Ticket::NOBODYS,
        };
        let commit = self
            .shared
            .location
            .commit(&work.aor, seen, &work.next_record, caller);
        if matches!(commit, Commit::Done(_) | Commit::Pending) {
            self.journal.line(now, "flow-failed").map(|line| {
                line.text("aor", &work.aor)
                    .text("contact", shown(&failed.contact).as_bytes())
                    .text("path", &failed.path)
            });
        }
    }

    /// The flow that the caller of a dialog is to be reached over, if its contact does not lead to it (RFC 5626 §5.3.2). Whoever
    /// stands behind another proxy is that one's to reach.
    pub(super) fn callers_flow(&self, case: &Case<'_>) -> Option<Peer> {
        let (request, source) = (case.request, &case.ingress.source);
        if request.has_second_via() {
            return None;
        }
        if !case.keeps_caller && source.flow.is_none() && names_source(request, source.remote.ip()) {
            return None;
        }
        let value = request.elements(Name::Contact).next()?;
        let address = WrittenAddr::parse(value).ok()?;
        let needs = match Uri::parse(address.uri_text) {
            Ok(Uri::Sip(contact)) => case.keeps_caller || needs_flow(&contact, source),
            _ => false,
        };
        needs.then(|| Peer::of(source))
    }

    /// The place in the Path of a REGISTER that is not for us, if we are its first hop and its phone can be told (RFC 5626 §5.1, RFC
    /// 3327 §5.2).
    ///
    /// By UDP the source may be forged, where an `open` route lets strangers register through us. The token then leads to somebody
    /// else's address; but only its registrar is told it, as the answer goes to that address, too. Its bearer can have one request
    /// sent there for each of its own, with no more retransmissions than its own one has: what a registrar that takes any Contact
    /// could be made to do without us. So a token needs no further bond, such as a time, which phones would pay for that register
    /// for longer.
    pub(super) fn registration_path(&self, case: &Case<'_>) -> Option<RecordRoute> {
        let request = case.request;
        if request.has_second_via() {
            return None;
        }
        let has_reg_id = |value| NameAddr::parse(value).is_ok_and(|address| address.params.has(b"reg-id"));
        let is_told =
            request.lists(Name::Supported, b"path") || request.elements(Name::Contact).any(has_reg_id);
        is_told.then(|| RecordRoute::Registration(Peer::of(&case.ingress.source)))
    }

    /// Whether a request goes on where it was sent already: within a dialog that was set up through us, or to a phone that has
    /// registered through us.
    pub(super) fn is_begun(case: &Case<'_>) -> bool {
        case.routing.token == RouteToken::Valid || case.routing.is_by_path()
    }
}

#[cfg(test)]
mod tests {
    use strowger_sip::Source;
    use strowger_syntax::{Index, Limits, Transport};

    use super::*;

    // RFC 5626 §5.3.2
    #[test]
    fn what_is_seen_at_a_glance_is_what_the_whole_contact_says() {
        let source = Source {
            transport: Transport::Udp,
            listener: 0,
            local: ([198, 51, 100, 1], 5060).into(),
            remote: ([192, 0, 2, 10], 5062).into(),
            flow: None,
        };
        for (contact, at_a_glance) in [
            ("<sip:a@192.0.2.10>", true),
            ("<sip:a@192.0.2.10:5062;transport=udp>;expires=60", true),
            ("\"A, B <sip:c@10.0.0.1>\" <sip:a@192.0.2.10:5060>", true),
            ("<sip:a@192.0.2.10;ob>", false),
            ("<sip:a@192.0.2.10;maddr=10.0.0.1>", false),
            ("<sip:a@192.0.2.100>", false),
            ("<sip:a@10.0.0.1>", false),
            ("<sip:a@phone.invalid>", false),
            ("\"<sip:a@192.0.2.10>\" <sip:a@10.0.0.1>", false),
            ("A <sip:a@192.0.2.10>", false),
            ("<sip:192.0.2.10>", false),
            ("sip:a@192.0.2.10", false),
        ] {
            let text = format!(
                "INVITE sip:b@b.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
                 From: <sip:a@b.test>;tag=1\r\nTo: <sip:b@b.test>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContact: {contact}\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            let mut index = Index::default();
            let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
            assert_eq!(
                names_source(request, source.remote.ip()),
                at_a_glance,
                "{contact}"
            );
            let address = WrittenAddr::parse(contact.as_bytes()).expect("a contact");
            let Ok(Uri::Sip(uri)) = Uri::parse(address.uri_text) else {
                panic!("{contact} is a SIP URI");
            };
            assert!(!at_a_glance || !needs_flow(&uri, &source), "{contact}");
        }
    }
}
