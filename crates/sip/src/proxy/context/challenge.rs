//! Challenges of a next hop that we have an account with (RFC 3261 §22.3): the request is sent there once more, as another
//! attempt of the same branch, with credentials of ours. CSeq stays the caller's, whose dialog it is.

use std::num::NonZeroU32;

use strowger_syntax::{Message, Method};

use super::super::forward::request_line_uri;
use super::super::progress::Cause;
use super::branch::BranchState;
use super::search::Attempt;
use super::{Proxy, whole};
use crate::transaction::User;
use crate::transport::Hop;
use crate::{Destination, Endpoint, Outbox};

/// The branch that has the account.
const FIRST: u16 = 0;
/// Challenges of one request that are answered: the first, and those that say that the nonce was old.
const MOST_ANSWERED: u8 = 3;

/// A challenge to a request that we forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenged {
    /// Whose credentials answer it.
    pub account: NonZeroU32,
    /// How many challenges were answered before.
    pub answered: u8,
}

impl Proxy {
    /// Whether a branch has an account to answer its challenges with. What has one must be answered with
    /// [`answer_challenge`](Self::answer_challenge) or [`refuse_challenge`](Self::refuse_challenge).
    pub fn challenged(&self, user: User) -> Option<Challenged> {
        let context = self.contexts.get(user.context)?;
        let pending = self.pending.get(context.pending?)?;
        let branch = pending.branches.get(usize::from(user.branch))?;
        let is_open = user.branch == FIRST && branch.state == BranchState::Pending;
        let account = pending.account.filter(|_| is_open)?;
        let answered = pending.answered;
        Some(Challenged { account, answered })
    }

    /// Sends the request to the same next hop again. `credentials` appends whole lines, given its method and Request-URI.
    /// False if that cannot be.
    pub fn answer_challenge(
        &mut self,
        endpoint: &mut Endpoint,
        user: User,
        credentials: impl FnOnce(Message<'_>, &[u8], &mut Vec<u8>),
        now_ms: u64,
        out: &mut Outbox,
    ) -> bool {
        let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, user.context) else {
            return false;
        };
        let Some(branch) = pending.branches.get_mut(usize::from(user.branch)) else {
            return false;
        };
        let (target, client) = (branch.target, branch.client);
        let Some(hop) = endpoint.layer.peer_of(client).and_then(|to| hop_to(endpoint, to)) else {
            return false;
        };
        if pending.answered >= MOST_ANSWERED {
            return false;
        }
        pending.answered += 1;
        branch.state = BranchState::Done;
        let sent = self.with_request(endpoint, user.context, |proxy, endpoint, request, texts| {
            let mut lines = Vec::new();
            credentials(request, &request_line_uri(target.uri(texts)), &mut lines);
            let attempt = Attempt {
                user,
                uri: target.uri(texts),
                routes: target.routes(texts),
                hop,
                credentials: &lines,
                now_ms,
            };
            if let Some((context, pending)) = whole(&mut proxy.contexts, &mut proxy.pending, user.context) {
                if context.method == Method::Invite {
                    pending.timer_c = pending.after(now_ms, proxy.config.timer_c_ms);
                }
                pending.send(context, &mut proxy.edits, endpoint, request, &attempt, out);
            }
        });
        self.conclude(endpoint, user.context, now_ms, out);
        sent.is_some()
    }

    /// Ends a branch whose challenge is not answered. It is not passed on: the caller has no account there, and would be asked
    /// for a password that is none of theirs.
    pub fn refuse_challenge(&mut self, endpoint: &mut Endpoint, user: User, now_ms: u64, out: &mut Outbox) {
        if let Some((_, pending)) = whole(&mut self.contexts, &mut self.pending, user.context)
            && let Some(branch) = pending.branches.get_mut(usize::from(user.branch))
        {
            branch.state = BranchState::Done;
            self.ways.forget(&mut branch.ways);
            pending.fail(Cause::Challenged);
            self.stop_unless_next(user.context, Cause::Challenged.counts_as());
        }
        self.conclude(endpoint, user.context, now_ms, out);
    }
}

/// The way by which a request was sent there.
fn hop_to(endpoint: &Endpoint, to: Destination) -> Option<Hop> {
    let listeners = &endpoint.identity.listeners;
    match to {
        Destination::Datagram { listener, from, to } => {
            let local = from.or_else(|| listeners.local(listener, to.ip()))?;
            let transport = listeners.get(listener)?.transport;
            listeners.hop(transport, to, Some((listener, local)))
        }
        Destination::Connect { transport, to } => listeners.hop(transport, to, None),
        Destination::Flow(_) => None,
    }
}
