//! Who was refused, and why, for the log: a phone that cannot register, a call that is not let through. So many lines a
//! minute for each shard; the others are counted, and the next line that is written is preceded by how many they were.

use strowger_sip::auth::Rejection;
use strowger_sip::endpoint::Ingress;
use strowger_sip::{Now, Reject};
use strowger_syntax::{Message, Method, Name, Status};

use super::Node;
use super::calls::uri_of;
use super::policy::spoken_for;

/// Lines that a shard writes in a minute.
const A_MINUTE: u32 = 20;
/// Bytes of a text from the wire that are shown.
const SHOWN: usize = 128;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    WrongPassword,
    UnknownUser,
    /// A user of this node's address, which is none of its domains.
    AddressAsDomain,
    /// The credentials are right, and another user's than the address that the request speaks for.
    NotOwner,
    Banned,
    NotOurDomain,
    NoSuchUser,
    NotRegistered,
    RelayingDenied,
}

impl Why {
    /// All of them.
    pub(super) const ALL: [Self; 9] = [
        Self::WrongPassword,
        Self::UnknownUser,
        Self::AddressAsDomain,
        Self::NotOwner,
        Self::Banned,
        Self::NotOurDomain,
        Self::NoSuchUser,
        Self::NotRegistered,
        Self::RelayingDenied,
    ];

    /// One word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong-password",
            Self::UnknownUser => "unknown-user",
            Self::AddressAsDomain => "address-as-domain",
            Self::NotOwner => "not-the-owner",
            Self::Banned => "banned",
            Self::NotOurDomain => "not-our-domain",
            Self::NoSuchUser => "no-such-user",
            Self::NotRegistered => "not-registered",
            Self::RelayingDenied => "relaying-denied",
        }
    }
}

/// The lines of the current minute.
#[derive(Debug, Default)]
pub(super) struct Quota {
    minute: u64,
    written: u32,
    left_out: u64,
}

impl Quota {
    /// Whether one more line may be written; and if so, how many were left out before it.
    fn take(&mut self, now: Now) -> Option<u64> {
        let minute = now.mono_ms() / 60_000;
        if self.minute != minute {
            self.minute = minute;
            self.written = 0;
        }
        if self.written == A_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Node {
    /// Tells of credentials that did not do. Those that answer no challenge of ours, or an old one, only get a new one.
    pub(super) fn tell_rejection(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        rejection: Rejection,
        now: Now,
    ) {
        let why = match rejection {
            Rejection::Wrong => Why::WrongPassword,
            Rejection::UnknownUser if self.domain_meant().is_some() => Why::AddressAsDomain,
            Rejection::UnknownUser => Why::UnknownUser,
            Rejection::Malformed(_) | Rejection::Unasked | Rejection::ForeignNonce | Rejection::Stale => {
                return;
            }
        };
        self.tally.wrong_password();
        self.tell_refused(request, ingress, why, now);
    }

    /// Tells of an answer that refuses, if its reason was not known before (a 403 is told where its reason is found).
    pub(super) fn tell_reject(&mut self, request: Message<'_>, ingress: &Ingress, reject: &Reject, now: Now) {
        match reject.status {
            Status::NOT_FOUND => self.tell_refused(request, ingress, Why::NoSuchUser, now),
            Status::TEMPORARILY_UNAVAILABLE => self.tell_refused(request, ingress, Why::NotRegistered, now),
            _ => {}
        }
    }

    /// Counts a REGISTER or a new call that is refused, and writes its line.
    pub(super) fn tell_refused(&mut self, request: Message<'_>, ingress: &Ingress, why: Why, now: Now) {
        let what = match request.method() {
            Method::Register => "registration refused",
            Method::Invite if request.to_tag().is_none() => "call refused",
            _ => return,
        };
        // Whose password it is matters less than that nobody can register there.
        let speaks_for = spoken_for(request).filter(|_| request.method() == Method::Register);
        let why = match &speaks_for {
            Some(sip) if !self.shared.is_ours(sip) => Why::NotOurDomain,
            _ => why,
        };
        self.tally.refused(why);
        let Some(left_out) = self.refused.take(now) else {
            return;
        };
        if left_out > 0 {
            self.journal
                .line(now, "refusals left out of the log")
                .map(|line| line.number("count", left_out));
        }
        let uri = |name| shown(uri_of(request.first(name).unwrap_or(&[])));
        let Some(line) = self.journal.line(now, what) else {
            return;
        };
        let line = if request.method() == Method::Register {
            let aor = &mut self.work.lines;
            aor.clear();
            match &speaks_for {
                Some(sip) => self.shared.ours.write_aor(sip, aor),
                None => aor.extend_from_slice(uri(Name::To)),
            }
            line.text("aor", shown(aor))
        } else {
            line.text("from", uri(Name::From)).text("to", uri(Name::To))
        };
        let source = &ingress.source;
        let line = line
            .address("source", source.transport.uri_param(), source.remote)
            .text("reason", why.as_str().as_bytes());
        if let (Why::AddressAsDomain, Some(domain)) = (why, self.shared.ours.domain_meant(&self.work.realm)) {
            line.text("domain", domain.as_bytes());
        }
    }
}

fn shown(text: &[u8]) -> &[u8] {
    &text[..text.len().min(SHOWN)]
}
