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
    /// The credentials are right, and another user's than the address that the request speaks for.
    NotOwner,
    Banned,
    NotOurDomain,
    NoSuchUser,
    NotRegistered,
    RelayingDenied,
}

impl Why {
    fn as_str(self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong-password",
            Self::UnknownUser => "unknown-user",
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

    /// Writes the line of a REGISTER or of a new call that is refused.
    pub(super) fn tell_refused(&mut self, request: Message<'_>, ingress: &Ingress, why: Why, now: Now) {
        let what = match request.method() {
            Method::Register => "registration refused",
            Method::Invite if request.to_tag().is_none() => "call refused",
            _ => return,
        };
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
        let (line, why) = if request.method() == Method::Register {
            // Whose password it is matters less than that nobody can register there.
            let speaks_for = spoken_for(request);
            let foreign = speaks_for.is_some_and(|sip| !self.shared.is_ours(&sip));
            let aor = &mut self.work.lines;
            aor.clear();
            match &speaks_for {
                Some(sip) => self.shared.ours.write_aor(sip, aor),
                None => aor.extend_from_slice(uri(Name::To)),
            }
            let why = if foreign { Why::NotOurDomain } else { why };
            (line.text("aor", shown(aor)), why)
        } else {
            (line.text("from", uri(Name::From)).text("to", uri(Name::To)), why)
        };
        let source = &ingress.source;
        line.address("source", source.transport.uri_param(), source.remote)
            .text("reason", why.as_str().as_bytes());
    }
}

fn shown(text: &[u8]) -> &[u8] {
    &text[..text.len().min(SHOWN)]
}
