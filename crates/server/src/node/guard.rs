//! Where the node asks its [`defence`](crate::defence): before it looks at credentials, and before it refuses anything.

use strowger_net::source_of;
use strowger_sip::auth::Rejection;
use strowger_sip::endpoint::Ingress;
use strowger_sip::registrar::Bindings;
use strowger_sip::{Now, Source};
use strowger_syntax::Message;

use super::Node;
use super::policy::{Checked, Sender, spoken_for};
use crate::defence::Banned;

/// Whether a record has a binding that was made by the same transport, from the same address and port as a request.
pub(super) fn is_home(record: Bindings<'_>, source: &Source, now: Now) -> bool {
    record
        .live(now.wall_secs())
        .any(|binding| (binding.origin.transport, binding.origin.remote) == (source.transport, source.remote))
}

impl Node {
    /// Whether credentials of this user are not even looked at. The realm is in the work buffers. Who is registered is not
    /// shut out for what others try: from the same source when that is banned, from the very same place when the account
    /// is banned there.
    pub(super) fn is_shut_out(&mut self, ingress: &Ingress, user: &[u8], now: Now) -> bool {
        let defence = &self.shared.defence;
        if defence.is_quiet(now) {
            return false;
        }
        let Some(banned) = defence.is_banned(ingress.source.remote.ip(), user, &self.work.realm, now) else {
            return false;
        };
        self.work.aor.clear();
        self.work.aor.extend_from_slice(user);
        self.work.aor.push(b'@');
        self.work.aor.extend_from_slice(&self.work.realm);
        match banned {
            Banned::Account => !self.is_registered_at(&ingress.source, now),
            Banned::Source => !self.is_registered_from(&ingress.source, now),
        }
    }

    /// Whether the address-of-record in the work buffers has a binding that was made from the source of a request.
    fn is_registered_from(&mut self, source: &Source, now: Now) -> bool {
        self.shared.location.read(&self.work.aor, &mut self.work.record);
        let source = source_of(source.remote.ip());
        Bindings::new(&self.work.record)
            .live(now.wall_secs())
            .any(|binding| source_of(binding.origin.remote.ip()) == source)
    }

    /// Whether it has one that was made by the same transport, from the same address and port.
    fn is_registered_at(&mut self, source: &Source, now: Now) -> bool {
        self.shared.location.read(&self.work.aor, &mut self.work.record);
        is_home(Bindings::new(&self.work.record), source, now)
    }

    /// Whether a request comes from the very phone that the user it speaks for has registered: by the same transport, from
    /// the same address and port.
    pub(super) fn is_from_home(&mut self, request: Message<'_>, ingress: &Ingress, now: Now) -> bool {
        self.find_speaker(request) && self.is_registered_at(&ingress.source, now)
    }

    /// Puts the address-of-record that a request speaks for into the work buffers; an alias stands for its user. False
    /// when it is none of ours.
    pub(super) fn find_speaker(&mut self, request: Message<'_>) -> bool {
        let Some(sip) = spoken_for(request).filter(|sip| self.shared.is_ours(sip)) else {
            return false;
        };
        self.work.aor.clear();
        self.write_aor_of(&sip);
        self.follow_alias();
        true
    }

    /// Holds credentials that did not do against whoever sent them. The realm is in the work buffers.
    pub(super) fn note_rejection(
        &self,
        ingress: &Ingress,
        user: &[u8],
        rejection: Rejection,
        now: Now,
    ) -> Checked {
        let source = ingress.source.remote.ip();
        let (defence, realm) = (&self.shared.defence, &self.work.realm);
        let insists = match rejection {
            Rejection::UnknownUser if self.domain_meant().is_some() => {
                defence.wrong_domain(source, user, realm, now)
            }
            Rejection::Wrong | Rejection::UnknownUser => defence.wrong_password(source, user, realm, now),
            Rejection::Malformed(_) | Rejection::Unasked | Rejection::ForeignNonce | Rejection::Stale => {
                false
            }
        };
        match insists {
            true => Checked::Insists,
            false => Checked::Rejected(rejection),
        }
    }

    /// The domain that a phone should have which was set up with this node's address as its domain. Nobody is a user there: where
    /// anybody might be, there is none. The realm is in the work buffers.
    pub(super) fn domain_meant(&self) -> Option<&str> {
        let domain = self.shared.ours.domain_meant(&self.work.realm)?;
        (!self.shared.subscribers.has_users_at_addresses()).then_some(domain)
    }

    /// Whether a request that is refused is still told so; that it is refused is held against a stranger.
    pub(super) fn may_refuse(&self, ingress: &Ingress, sender: Sender, now: Now) -> bool {
        let may =
            sender != Sender::Stranger || self.shared.defence.may_refuse(ingress.source.remote.ip(), now);
        if !may {
            self.tally.unanswered();
        }
        may
    }

    /// [`may_refuse`](Self::may_refuse) for a challenge: a user who is registered from there is always challenged, or
    /// others behind the same address could keep them from registering again.
    pub(super) fn may_challenge(&mut self, request: Message<'_>, ingress: &Ingress, now: Now) -> bool {
        self.may_refuse(ingress, self.sender_by_source(ingress), now)
            || (self.find_speaker(request) && self.is_registered_from(&ingress.source, now))
    }
}
