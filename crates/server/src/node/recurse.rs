//! The contacts of a 3xx as targets (RFC 3261 §16.5, §16.7 step 4).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use strowger_sip::endpoint::{Arrival, Ingress};
use strowger_sip::memory::Id;
use strowger_sip::proxy::{Recursion, Suits, TargetSet, suits};
use strowger_sip::registrar::is_secure;
use strowger_sip::transaction::KEPT;
use strowger_sip::transport::Size;
use strowger_sip::{Now, Outbox, Source};
use strowger_syntax::header::{NameAddr, Q};
use strowger_syntax::uri::Uri;
use strowger_syntax::{Index, Message, Name};

use super::candidates::{Origin, Terms, Way, group_of};
use super::dispatch::ADDED;
use super::gruu::Meant;
use super::locate::{Found, Onward, Patience, Waiting};
use super::trace::BindingUse;
use super::{Kept, Node};

/// How many contacts of one 3xx are looked at; and how many candidates they may come to before no other is, since each may
/// be a user with many phones.
const MOST_CONTACTS: usize = 64;
const MOST_CANDIDATES: usize = 64;

impl Node {
    /// Makes targets of the contacts that came in 3xx responses.
    pub(super) fn recurse(&mut self, now: Now, out: &mut Outbox) {
        while let Some(redirect) = self.proxy.next_redirect() {
            self.follow(redirect, now, out);
        }
    }

    #[cold]
    fn follow(&mut self, redirect: Id, now: Now, out: &mut Outbox) {
        let Kept { mut text, mut index } = self.work.kept.take().unwrap_or_default();
        self.follow_kept(redirect, (&mut text, &mut index), now, out);
        self.work.kept = Some(Kept { text, index });
        self.account(now);
    }

    fn follow_kept(
        &mut self,
        redirect: Id,
        (text, index): (&mut Vec<u8>, &mut Index),
        now: Now,
        out: &mut Outbox,
    ) {
        self.work.candidates.clear();
        let Some(redirected) = self.proxy.redirected(&self.endpoint, redirect) else {
            return self.add_elsewhere(redirect, 0, now, out);
        };
        let (arrival, recursion) = (redirected.arrival, redirected.recursion);
        let others_wait = redirected.others_wait;
        text.clear();
        text.extend_from_slice(redirected.request);
        let request_len = text.len();
        text.extend_from_slice(redirected.response);
        let (request, response) = text.split_at(request_len);
        let source = source_of(&arrival);
        let mut asked = Index::default();
        let followed = match (index.parse(response, &KEPT), asked.parse(request, &KEPT)) {
            (Ok(response), Ok(request)) => self.contacts(request, response, recursion, &source, now),
            _ => 0,
        };
        let turn_ms = self.shared.policy.routes.role().turn_ms;
        self.work.candidates.settle_groups(turn_ms, others_wait);
        let size = Size::of(request.len() + ADDED, self.shared.policy.udp_limit);
        let Ok(request) = index.parse(request, &KEPT) else {
            return self.add_elsewhere(redirect, 0, now, out);
        };
        let ingress = Ingress::of(request, &source);
        let onward = Onward {
            request,
            ingress: &ingress,
            next: None,
            next_uri: None,
            size,
            secure: is_secure(request.request_uri()),
            trunk: None,
        };
        match self.locate_candidates(&onward, Patience::Some, now) {
            Found::Names => {
                let waiting = Waiting::redirected(&onward, redirect, followed);
                self.look_up(&onward, waiting, now, out);
            }
            Found::Targets => self.go_on_elsewhere(request, &source, (redirect, followed), now, out),
        }
    }

    /// Makes candidates of the contacts of a 3xx that may be followed; a bit for each that was.
    fn contacts(
        &mut self,
        request: Message<'_>,
        response: Message<'_>,
        recursion: Recursion,
        source: &Source,
        now: Now,
    ) -> u64 {
        let (mut followed, secure) = (0, is_secure(request.request_uri()));
        let routes = Arc::clone(&self.shared.policy.routes);
        let mut outbound = Vec::new();
        if let Some(proxy) = routes.outbound() {
            proxy.write_route(&mut outbound);
        }
        for (number, element) in response.elements(Name::Contact).enumerate().take(MOST_CONTACTS) {
            let Ok(address) = NameAddr::parse(element) else {
                continue;
            };
            let Uri::Sip(sip) = address.uri else { continue };
            // A sips request goes by nothing else (§16.7 step 4), and no other one by that (RFC 5630 §5.3).
            if secure != sip.secure {
                continue;
            }
            let Suits::Rank(rank) = suits(request, address.params.text()) else {
                continue;
            };
            let q = address.params.value(b"q").and_then(Q::parse).unwrap_or(Q::ONE);
            let terms = Terms {
                group: group_of(q.thousandths(), rank),
                ..Terms::new(Origin::Redirect, Way::ByUri)
            };
            let before = self.work.candidates.list().len();
            if before >= MOST_CANDIDATES {
                break;
            }
            if !self.shared.is_ours(&sip) || !self.shared.ours.is_maddr_ours(&sip) {
                if recursion == Recursion::Anywhere {
                    self.work.candidates.add(address.uri_text, &outbound, terms);
                }
            } else if sip.user.is_some_and(|user| !user.is_empty()) {
                self.add_user(address.uri_text, request, source, terms, now);
            }
            if self.work.candidates.list().len() > before {
                followed |= 1 << number;
            }
        }
        followed
    }

    /// Adds the contacts of whom a URI of our domain means to the candidates, by these terms.
    fn add_user(&mut self, uri: &[u8], request: Message<'_>, source: &Source, terms: Terms, now: Now) {
        let only = match self.find_addressed(uri) {
            Meant::User(_) => None,
            Meant::Instance(gruu, _) if self.find_instance(&gruu, now) => {
                Some(std::mem::take(&mut self.work.instance))
            }
            Meant::Instance(..) | Meant::Nobody => return,
        };
        let patience = Patience::wanted(request);
        self.add_bindings(source, patience, now, |binding| match &only {
            Some(instance) if !binding.is_of(instance) => Err(BindingUse::OtherInstance),
            _ if suits(request, binding.params) == Suits::Not => Err(BindingUse::Unsuited),
            _ => Ok(terms),
        });
        if let Some(instance) = only {
            self.work.instance = instance;
        }
    }

    /// A request that was redirected goes to the targets in the work buffers too, and has the devices woken that sleep.
    pub(super) fn go_on_elsewhere(
        &mut self,
        request: Message<'_>,
        source: &Source,
        (redirect, followed): (Id, u64),
        now: Now,
        out: &mut Outbox,
    ) {
        let asleep = self.work.asleep.len() as u8;
        let redirected = self.proxy.redirected(&self.endpoint, redirect);
        let server = redirected
            .map(|redirected| redirected.server)
            .filter(|_| asleep > 0);
        if let Some(server) = server {
            self.proxy.await_more(&self.endpoint, server, asleep);
        }
        self.add_elsewhere(redirect, followed, now, out);
        if let Some(server) = server {
            self.wake_devices(request, server, source, now, out);
        }
    }

    fn add_elsewhere(&mut self, redirect: Id, followed: u64, now: Now, out: &mut Outbox) {
        let none = TargetSet::default();
        let targets = if followed == 0 { &none } else { &self.work.targets };
        self.proxy.add_targets(
            &mut self.endpoint,
            redirect,
            targets,
            followed,
            now.mono_ms(),
            out,
        );
    }
}

/// As much of where a request came from as says by which of our addresses it leaves.
fn source_of(arrival: &Arrival) -> Source {
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    Source {
        transport: arrival.transport,
        listener: arrival.listener,
        local: SocketAddr::new(arrival.local, 0),
        remote: nobody,
        flow: None,
    }
}
