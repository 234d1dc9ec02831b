//! 3xx responses whose contacts may become targets (RFC 3261 §16.7 step 4).

use strowger_syntax::message::Draft;
use strowger_syntax::uri::Uri;
use strowger_syntax::{Index, Message, Name, Status};

use super::super::targets::TargetSet;
use super::branch::Branch;
use super::{Phase, Proxy, Recursion, whole};
use crate::endpoint::Arrival;
use crate::memory::{Id, Stored};
use crate::transaction::KEPT;
use crate::{Endpoint, Outbox};

/// How many targets a request may have before no further 3xx is followed.
const MOST_BRANCHES: usize = 64;

/// A 3xx that was reported.
#[derive(Clone, Debug)]
pub(super) struct Redirection {
    pub(super) context: Id,
    pub(super) response: Stored,
}

/// What there is to know of a 3xx whose contacts may become targets.
#[derive(Clone, Copy, Debug)]
pub struct Redirected<'a> {
    /// Its server transaction.
    pub server: Id,
    /// The request, as it came.
    pub request: &'a [u8],
    /// The 3xx.
    pub response: &'a [u8],
    /// Where the request came in.
    pub arrival: Arrival,
    /// Which of its contacts may be tried.
    pub recursion: Recursion,
    /// Whether there are targets whose turn comes after them.
    pub others_wait: bool,
}

impl Proxy {
    /// Takes the next 3xx whose contacts may become targets. Each must be answered with [`add_targets`](Self::add_targets).
    pub fn next_redirect(&mut self) -> Option<Id> {
        self.redirected.pop_front()
    }

    /// What that 3xx is; `None` once its request was answered otherwise.
    pub fn redirected<'a>(&'a self, endpoint: &'a Endpoint, redirect: Id) -> Option<Redirected<'a>> {
        let redirection = self.redirections.get(redirect)?;
        let context = self.contexts.get(redirection.context)?;
        let pending = self.pending.get(context.pending?)?;
        let pool = &endpoint.layer.pool;
        Some(Redirected {
            server: context.server,
            request: pool.bytes(&pending.request),
            response: pool.bytes(&redirection.response),
            arrival: pending.arrival,
            recursion: pending.recursion,
            others_wait: pending.standing().next.is_some(),
        })
    }

    /// Whether the contacts of a response are tried; if so it is kept and reported.
    pub(super) fn redirect(
        &mut self,
        endpoint: &mut Endpoint,
        id: Id,
        response: Message<'_>,
        status: Status,
    ) -> bool {
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return false;
        };
        // A 305 names a proxy and a 380 another service, not the user.
        let names_user = matches!(status.code(), 300..=302);
        if pending.recursion == Recursion::Never
            || !names_user
            || context.phase != Phase::Open
            || pending.branches.len() >= MOST_BRANCHES
            || !response.has(Name::Contact)
        {
            return false;
        }
        pending.redirections += 1;
        let response = endpoint.layer.pool.store(response.bytes());
        let redirection = Redirection {
            context: id,
            response,
        };
        let redirect = self.redirections.insert_with(|_| redirection);
        self.redirected.push_back(redirect);
        true
    }

    /// Adds the targets that the contacts of a 3xx have come to, none if they came to nothing. Their first group is tried with
    /// the group that has its turn, the others before those that wait. `followed` has a bit for each contact, counted from
    /// the first, of which a target was made; the others stay in the 3xx, which is one of the answers if any is left. What
    /// was a target of the request before is none again.
    pub fn add_targets(
        &mut self,
        endpoint: &mut Endpoint,
        redirect: Id,
        targets: &TargetSet,
        followed: u64,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let Some(Redirection {
            context: id,
            response,
        }) = self.redirections.remove(redirect)
        else {
            return;
        };
        let Some((context, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            endpoint.layer.pool.give(response);
            return;
        };
        pending.redirections -= 1;
        let added = context.phase == Phase::Open && self.add_new(endpoint, id, targets);
        self.keep_rest(endpoint, id, &response, if added { followed } else { 0 });
        endpoint.layer.pool.give(response);
        self.conclude(endpoint, id, now_ms, out);
    }

    /// Puts targets that are new behind those of a request.
    pub(super) fn add_new(&mut self, endpoint: &mut Endpoint, id: Id, targets: &TargetSet) -> bool {
        let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, id) else {
            return false;
        };
        let pool = &mut endpoint.layer.pool;
        self.text.clear();
        self.text.extend_from_slice(pool.bytes(&pending.texts));
        let before = self.text.len() as u32;
        let (now, first_new) = (pending.group, pending.branches.len());
        for target in targets.targets() {
            if pending.branches.len() >= MOST_BRANCHES {
                break;
            }
            let uri = target.uri(targets.text());
            let known = pending
                .branches
                .iter()
                .any(|b| is_same(b.target.uri(&self.text), uri));
            if known {
                continue;
            }
            if pending.branches.len() == first_new {
                self.text.extend_from_slice(targets.text());
            }
            let ways = self.ways.keep(targets.hops(target));
            let mut branch = Branch::new(target.texts().behind(before), ways, target.turn);
            branch.group = now.saturating_add(target.turn.group);
            pending.branches.push(branch);
        }
        let (waited, new) = pending.branches.split_at_mut(first_new);
        let behind = new.iter().map(|branch| branch.group - now).max();
        let Some(behind) = behind else {
            return false;
        };
        for branch in waited.iter_mut().filter(|branch| branch.group > now) {
            branch.group = branch.group.saturating_add(behind);
        }
        let texts = pool.store(&self.text);
        pool.give(std::mem::replace(&mut pending.texts, texts));
        true
    }

    /// Keeps a 3xx as one of the answers, without the contacts that were followed; not at all if none is left.
    fn keep_rest(&mut self, endpoint: &mut Endpoint, id: Id, response: &Stored, followed: u64) {
        let (mut index, mut text) = (std::mem::take(&mut self.scratch), std::mem::take(&mut self.text));
        text.clear();
        text.extend_from_slice(endpoint.layer.pool.bytes(response));
        if let Ok(whole) = index.parse(&text, &KEPT)
            && let Some(status) = whole.status()
        {
            let is_left = |n: usize| n >= 64 || followed & 1 << n == 0;
            let left = || {
                whole
                    .elements(Name::Contact)
                    .enumerate()
                    .filter(|&(n, _)| is_left(n))
            };
            if followed == 0 {
                self.keep_if_better(endpoint, id, whole, status);
            } else if left().next().is_some() {
                let mut rest = Vec::new();
                let mut draft = Draft::of(whole, &mut self.edits);
                draft.remove(Name::Contact);
                for (_, contact) in left() {
                    draft.append(Name::Contact, |out| out.extend_from_slice(contact));
                }
                draft.finish(&mut rest);
                let mut index = Index::default();
                if let Ok(rest) = index.parse(&rest, &KEPT) {
                    self.keep_if_better(endpoint, id, rest, status);
                }
            }
        }
        (self.scratch, self.text) = (index, text);
    }
}

/// Whether two URIs are one target (§16.5, §19.1.4).
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a == b || matches!((Uri::parse(a), Uri::parse(b)), (Ok(a), Ok(b)) if Uri::equivalent(&a, &b))
}
