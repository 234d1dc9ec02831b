//! The calls of a shard: a small record from INVITE to the final answer of BYE.

use std::net::IpAddr;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use strowger_sip::memory::{Id, Pool, Slab, Stored, TimerId, Wheel, is_sparse, table_bytes};
use strowger_sip::proxy::{Cause, Progress};
use strowger_sip::transaction::Timed;
use strowger_sip::{Ingress, Now};
use strowger_syntax::{Message, Method, Name, Status};

use super::journal::Journal;
use super::tally::Tally;
use crate::admin::{self, CallState};
use crate::routing::{GroupTarget, Stay};

/// How long an answered call is kept when nothing refreshes or ends it.
const LONGEST_MS: u64 = 12 * 3600 * 1000;
const TEXT: usize = 192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Ringing,
    Answered,
}

/// A small record; of its texts only so much is kept.
#[derive(Clone, Debug)]
struct Record {
    key: u64,
    /// When its INVITE was let through: behind challenges, before names are looked up and devices woken.
    started_ms: u64,
    answered_ms: u64,
    timer: TimerId,
    /// Where it came from, in 20 bytes: an interface's number is not kept.
    source: (IpAddr, u16),
    branches: u16,
    state: State,
    lengths: [u8; 3],
    /// From, To and Call-ID.
    text: Stored,
}

/// All calls of a shard.
#[derive(Debug, Default)]
pub(super) struct Calls {
    records: Slab<Record>,
    /// Of the records: apart from the transactions' messages, which have a limit of their own.
    texts: Pool,
    by_key: HashMap<u64, Id, foldhash::fast::FixedState>,
    /// The places that calls have at targets of groups.
    stays: HashMap<Id, Stay, foldhash::fast::FixedState>,
}

impl Record {
    /// From, To and Call-ID in the text that is kept of them.
    fn texts<'t>(&self, text: &'t [u8]) -> [&'t [u8]; 3] {
        let mut rest = text;
        self.lengths.map(|len| {
            let (text, behind) = rest.split_at(usize::from(len).min(rest.len()));
            rest = behind;
            text
        })
    }
}

/// The texts one behind the other, cut to what may be kept of each, and their lengths.
fn joined(texts: [&[u8]; 3]) -> ([u8; TEXT], [u8; 3]) {
    let (mut text, mut lengths, mut at) = ([0; TEXT], [0; 3], 0);
    for (part, length) in texts.into_iter().zip(&mut lengths) {
        let len = part.len().min(TEXT / 3);
        text[at..at + len].copy_from_slice(&part[..len]);
        *length = len as u8;
        at += len;
    }
    (text, lengths)
}

impl Calls {
    /// A copy that holds no places at targets.
    pub(super) fn copy(&self) -> Self {
        Self {
            stays: HashMap::default(),
            records: self.records.clone(),
            texts: self.texts.clone(),
            by_key: self.by_key.clone(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes of their records and of the table that finds them.
    pub(super) fn bytes(&self) -> usize {
        self.records.bytes()
            + self.texts.bytes_held()
            + table_bytes(self.by_key.capacity(), size_of::<(u64, Id)>())
    }

    /// The call of a Call-ID, whose keyed hash is `key`.
    pub(super) fn find(&self, key: u64) -> Option<Id> {
        self.by_key.get(&key).copied()
    }

    /// Begins a call with its INVITE, or goes on with the one that has the same Call-ID (a retry with credentials). Tells
    /// whether it is new.
    pub(super) fn begin(
        &mut self,
        invite: Message<'_>,
        key: u64,
        ingress: &Ingress,
        branches: usize,
        wheel: &mut Wheel<Timed>,
        now: Now,
    ) -> (Id, bool) {
        let place = match self.by_key.entry(key) {
            Entry::Occupied(known) => return (*known.get(), false),
            Entry::Vacant(place) => place,
        };
        let from = or_value(invite.from_uri(), invite, Name::From);
        let to = or_value(invite.to_uri(), invite, Name::To);
        let (text, lengths) = joined([from, to, invite.call_id()]);
        let len = lengths.iter().map(|&len| usize::from(len)).sum();
        let id = self.records.insert_with(|id| {
            let timer = wheel.add(Timed::Call(id), Some(now.mono_ms() + LONGEST_MS));
            Record {
                key,
                started_ms: now.wall_ms,
                answered_ms: 0,
                timer,
                source: (ingress.source.remote.ip(), ingress.source.remote.port()),
                branches: branches as u16,
                state: State::Trying,
                lengths,
                text: self.texts.store(&text[..len]),
            }
        });
        place.insert(id);
        (id, true)
    }

    /// A call has a place at a target until it ends.
    pub(super) fn enter(&mut self, call: Id, stay: Stay) {
        self.stays.insert(call, stay);
    }

    /// Whether this target has the call.
    pub(super) fn is_at(&self, call: Id, target: &GroupTarget) -> bool {
        self.stays.get(&call).is_some_and(|stay| stay.is_at(target))
    }

    /// The proxy passed an answer on, or a target's turn has come.
    pub(super) fn on_progress(
        &mut self,
        progress: &Progress,
        wheel: &mut Wheel<Timed>,
        journal: &mut Journal,
        tally: &Tally,
        now: Now,
    ) {
        let Some(record) = self.records.get_mut(progress.call) else {
            return;
        };
        let status = progress.status;
        // Within a dialog the call stays with whom it was set up.
        if let Some(place) = progress.place
            && progress.method == Method::Invite
            && record.state != State::Answered
            && let Some(stay) = self.stays.get_mut(&progress.call)
        {
            stay.move_to(place);
        }
        match (progress.method, status.class()) {
            (Method::Invite, 1) if record.state == State::Trying && status != Status::TRYING => {
                record.state = State::Ringing;
            }
            // An UPDATE may come before the answer (RFC 3311 §5.1), and answers nothing.
            (Method::Update, 2) if record.state != State::Answered => {}
            (Method::Invite | Method::Update, 2) => {
                if record.state != State::Answered {
                    tally.call_answered();
                    record.state = State::Answered;
                    record.answered_ms = now.wall_ms;
                }
                // RFC 4028 §10: without a refresh the session is over; some more time for the BYE.
                let expires = progress
                    .session_expires
                    .map_or(LONGEST_MS, |s| u64::from(s) * 1000 + 32_000);
                wheel.set(record.timer, Some(now.mono_ms() + expires.min(LONGEST_MS)));
            }
            (Method::Invite, 3..) if record.state != State::Answered => {
                self.end(progress.call, (status, progress.cause), wheel, journal, now);
            }
            (Method::Bye, 2..)
                if !matches!(
                    status,
                    Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED
                ) =>
            {
                self.end(progress.call, (Status::OK, None), wheel, journal, now);
            }
            _ => {}
        }
    }

    /// Nobody refreshed or ended a call in time.
    pub(super) fn on_deadline(
        &mut self,
        call: Id,
        wheel: &mut Wheel<Timed>,
        journal: &mut Journal,
        now: Now,
    ) {
        self.end(call, (Status::REQUEST_TIMEOUT, None), wheel, journal, now);
    }

    /// Ends a call with a status, and with the cause if that is of our own.
    fn end(
        &mut self,
        call: Id,
        (status, cause): (Status, Option<Cause>),
        wheel: &mut Wheel<Timed>,
        journal: &mut Journal,
        now: Now,
    ) {
        let Some(record) = self.records.remove(call) else {
            return;
        };
        self.by_key.remove(&record.key);
        self.stays.remove(&call);
        if is_sparse(self.by_key.len(), self.by_key.capacity()) {
            self.by_key.shrink_to(4 * self.by_key.len());
        }
        wheel.remove(record.timer);
        let [from, to, call_id] = record.texts(self.texts.bytes(&record.text));
        let talked = now.wall_ms.saturating_sub(record.answered_ms) / 1000;
        let line = match (record.state, status) {
            (State::Answered, Status::OK) => journal
                .line(now, "call ended")
                .map(|l| l.number("duration", talked)),
            (State::Answered, _) => journal
                .line(now, "call lost")
                .map(|l| l.number("duration", talked)),
            _ => journal
                .line(now, "call failed")
                .map(|l| l.number("status", u64::from(status.code())))
                .map(|l| match cause {
                    Some(cause) => l.text("reason", cause.as_str().as_bytes()),
                    None => l,
                }),
        };
        line.map(|l| l.text("from", from).text("to", to).text("call-id", call_id));
        self.texts.give(record.text);
    }

    /// All calls, for an administrator.
    pub(super) fn list(&self) -> Vec<admin::Call> {
        let describe = |(_, record): (Id, &Record)| {
            let [from, to, call_id] = record
                .texts(self.texts.bytes(&record.text))
                .map(|t| String::from_utf8_lossy(t).into_owned());
            let state = match record.state {
                State::Trying => CallState::Trying,
                State::Ringing => CallState::Ringing,
                State::Answered => CallState::Established,
            };
            let since = record.started_ms / 1000;
            admin::Call {
                call_id,
                from,
                to,
                state,
                since,
                branches: record.branches,
                source: Some(record.source.into()),
            }
        };
        self.records.iter().map(describe).collect()
    }
}

/// A URI that was found when the message was indexed, or else what comes closest to one.
fn or_value<'m>(uri: &'m [u8], message: Message<'m>, name: Name) -> &'m [u8] {
    match uri {
        [] => uri_of(message.first(name).unwrap_or(&[])),
        uri => uri,
    }
}

/// The URI of a From or To whose grammar was checked.
pub(super) fn uri_of(value: &[u8]) -> &[u8] {
    let open = value.iter().rposition(|&b| b == b'<').map_or(0, |at| at + 1);
    let uri = &value[open..];
    let end = if open > 0 { b'>' } else { b';' };
    &uri[..uri.iter().position(|&b| b == end).unwrap_or(uri.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_at_most_72_bytes_beside_its_texts() {
        assert!(size_of::<Record>() <= 72, "{}", size_of::<Record>());
    }
}
