//! Subscriptions whose subscriber may be told no longer (RFC 6665 §4.1.3, §4.4.1): users and watchers come and go.

use strowger_sip::event::End;
use strowger_sip::memory::Id;
use strowger_sip::{Now, Outbox};
use strowger_syntax::header::NameAddr;
use strowger_syntax::{Status, Uri};

use crate::node::Node;
use crate::node::policy::Sender;
use crate::subscriber::Resolved;

impl Node {
    /// Ends a subscription that would not be accepted any more.
    pub(super) fn review(&mut self, id: Id, now: Now, out: &mut Outbox) {
        let Some(end) = self.withdrawn(id, now) else {
            return;
        };
        if let Some(subscription) = self.events.subscriptions.get_mut(id) {
            subscription.course.end(end, now.mono_ms());
        }
        self.attend(id, now, out);
    }

    /// Why a subscription ends, if it would not be accepted any more.
    pub(super) fn withdrawn(&mut self, id: Id, now: Now) -> Option<End> {
        if !self.shared.auth_on() {
            return None;
        }
        let subscription = self.events.subscriptions.get(id)?;
        let is_trusted = self.shared.is_trusted(subscription.origin.remote.ip());
        let (remote, aor) = (subscription.dialog.remote.clone(), subscription.aor.clone());
        let held = std::mem::take(&mut self.work.aor);
        let end = self.why_withdrawn(&remote, &aor, is_trusted, now);
        self.work.aor = held;
        end
    }

    fn why_withdrawn(&mut self, remote: &[u8], aor: &[u8], is_trusted: bool, now: Now) -> Option<End> {
        // Whom a server of users has said nothing of lately may be there all the same.
        let are_all_known = self.shared.subscribers.lookup().is_none();
        let mut speaker = None;
        if let Ok(NameAddr {
            uri: Uri::Sip(sip), ..
        }) = NameAddr::parse(remote)
        {
            speaker = self.user_of(sip);
        }
        let is_somebody = speaker.is_some() && self.follow_alias() != Resolved::Unknown;
        let sender = if is_trusted {
            Sender::Trusted
        } else if is_somebody {
            Sender::Authenticated
        } else if are_all_known && speaker.as_deref() != Some(aor) {
            return Some(End::Rejected);
        } else {
            // Only what it asks about is looked at.
            Sender::Trusted
        };
        self.work.aor.clear();
        self.work.aor.extend_from_slice(aor);
        let status = self.check_watcher(speaker.as_ref(), sender, now).err()?.status;
        match status {
            // Somebody else's may come back: whoever is registered without being a user.
            Status::NOT_FOUND => {
                (are_all_known && speaker.as_deref() == Some(aor)).then_some(End::NoResource)
            }
            _ => Some(End::Rejected),
        }
    }
}
