//! What keeps NATs from forgetting the phones behind them: each is sent something over the flow that it registered by, again and
//! again. One shard does it for all.
//!
//! Nothing is kept for a phone: the table of bindings is walked along, evenly over the interval. Only of phones that have been
//! asked and have not answered yet a number is kept.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use strowger_sip::memory::Id;
use strowger_sip::proxy::request_line_uri;
use strowger_sip::registrar::{Binding, Bindings, without_binding};
use strowger_sip::transport::{Departure, Hop, is_behind_nat, way_back};
use strowger_sip::{Now, Outbox};

use super::Node;
use super::probes::{Asking, write_options};
use super::trace::shown;
use super::waking::is_pushed;
use crate::config::{KeepAlive, Nat};
use crate::location::{Caller, Commit, Ticket};

/// The shard that sends.
const SENDS: u16 = 0;

/// The ping of RFC 5626 §3.5.1, which by datagram nobody answers.
const CRLF: &[u8] = b"\r\n\r\n";

/// What stands in a branch for the place of a client transaction, where there is none.
const NO_PLACE: u32 = u32::MAX;

/// Records that are visited at once when nothing is late.
const FEW: usize = 8;

/// Records that are visited at once at most.
const MANY: usize = 1000;

/// The shortest time between two visits, in milliseconds.
const SHORTEST_PAUSE_MS: u64 = 10;

/// Phones that have not answered, of which that is known.
const MOST_SILENT: usize = 65_536;

/// The pings of a node.
#[derive(Debug, Default)]
pub(super) struct Pings {
    /// `None` on shards that send nothing.
    nat: Option<Nat>,
    /// When the next ones are due, in milliseconds.
    due_ms: u64,
    round: Round,
    silent: HashMap<u32, Silent>,
    /// Those of them that count as gone.
    gone: u64,
    /// Counts the OPTIONS.
    count: u64,
    /// Address-of-record and contact of those whose registrations are to be removed.
    removed: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One walk along all bindings.
#[derive(Debug, Default)]
struct Round {
    number: u32,
    /// When it began; `None` before the first one.
    began_ms: Option<u64>,
    cursor: u64,
    /// Records that were visited in it.
    visited: usize,
}

impl Round {
    /// How many of so many records are to be visited now.
    fn share(&mut self, records: usize, interval_ms: u64, now_ms: u64) -> usize {
        let began_ms = *self.began_ms.get_or_insert(now_ms);
        let passed_ms = now_ms.saturating_sub(began_ms).min(interval_ms);
        let due = (records as u64).saturating_mul(passed_ms) / interval_ms.max(1);
        (due as usize + FEW).saturating_sub(self.visited).clamp(1, MANY)
    }

    /// When it goes on, after so many were visited of which so many were sent something.
    fn pause_ms(records: usize, sent: u64, nat: &Nat) -> u64 {
        let interval_ms = millis(nat);
        let even = interval_ms * FEW as u64 / records.max(1) as u64;
        let held_back = sent * 1000 / u64::from(nat.keep_alive_rate);
        even.clamp(SHORTEST_PAUSE_MS.min(interval_ms), interval_ms)
            .max(held_back)
    }

    /// The next one, when this one is at its end.
    fn next(&self, interval_ms: u64, now_ms: u64) -> Self {
        let began_ms = self.began_ms.unwrap_or(now_ms) + interval_ms;
        Self {
            number: self.number.wrapping_add(1),
            began_ms: Some(began_ms.max(now_ms)),
            ..Self::default()
        }
    }
}

/// A phone that was asked and has not answered yet.
#[derive(Clone, Copy, Debug)]
struct Silent {
    /// How often.
    asked: u8,
    /// The round in which it was last asked.
    round: u32,
    /// Stands for the REGISTER that it last sent: who registers is there.
    registered: u32,
}

fn millis(nat: &Nat) -> u64 {
    u64::try_from(nat.keep_alive_interval.as_millis()).unwrap_or(u64::MAX)
}

impl Pings {
    /// Goes on as it is configured.
    pub(super) fn start(&mut self, nat: &Nat, shard: u16) {
        let nat = (shard == SENDS && nat.keep_alive != KeepAlive::Off).then(|| nat.clone());
        if nat != self.nat {
            *self = Self {
                nat,
                ..Self::default()
            };
        }
    }

    /// When the next ones are due, in milliseconds.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.nat.as_ref().map(|_| self.due_ms)
    }

    /// Counts that a phone is asked; how often it has not answered before.
    fn asks(&mut self, key: u32, binding: &Binding<'_>) -> u8 {
        let registered = binding.order.branch ^ binding.order.cseq;
        let round = self.round.number;
        let has_room = self.silent.len() < MOST_SILENT;
        let fresh = Silent {
            asked: 1,
            round,
            registered,
        };
        match self.silent.get_mut(&key) {
            Some(silent) if silent.registered == registered => {
                silent.round = round;
                silent.asked = silent.asked.saturating_add(1);
                silent.asked - 1
            }
            Some(silent) => {
                *silent = fresh;
                0
            }
            None => {
                if has_room {
                    self.silent.insert(key, fresh);
                }
                0
            }
        }
    }

    /// The end of a round: forgets those whose registrations are gone, and counts those who are.
    fn close_round(&mut self, limit: u8) {
        let round = self.round.number;
        self.silent.retain(|_, silent| silent.round == round);
        self.gone = self.silent.values().filter(|silent| silent.asked > limit).count() as u64;
    }
}

impl Node {
    /// Sends those that are due.
    pub(super) fn send_pings(&mut self, now: Now, out: &mut Outbox) {
        let now_ms = now.mono_ms();
        if self.pings.deadline().is_none_or(|due| due > now_ms) {
            return;
        }
        let mut pings = std::mem::take(&mut self.pings);
        if let Some(nat) = pings.nat.take() {
            self.walk(&mut pings, &nat, now, out);
            for (aor, contact) in std::mem::take(&mut pings.removed) {
                self.remove_unanswered(&aor, &contact, now);
            }
            pings.nat = Some(nat);
        }
        self.tally.phones_gone(pings.gone);
        self.pings = pings;
    }

    /// Visits the records whose turn has come, and says when the next ones are due.
    fn walk(&mut self, pings: &mut Pings, nat: &Nat, now: Now, out: &mut Outbox) {
        let location = Arc::clone(&self.shared.location);
        let (records, now_ms, interval_ms) = (location.len(), now.mono_ms(), millis(nat));
        let most = pings.round.share(records, interval_ms, now_ms);
        let (mut visited, mut sent) = (0, 0);
        out.of_call(None);
        let cursor = location.visit(pings.round.cursor, most, &mut |aor, record| {
            visited += 1;
            for binding in Bindings::new(record).live(now.wall_secs()) {
                // Whoever sleeps answers nothing, and is woken otherwise.
                if is_behind_nat(&binding) && !is_pushed(&self.shared, &binding) {
                    sent += u64::from(self.ping(pings, nat, (aor, &binding), now, out));
                }
            }
        });
        pings.round.visited += visited;
        pings.due_ms = now_ms + Round::pause_ms(records, sent, nat);
        if let Some(cursor) = cursor {
            pings.round.cursor = cursor;
            return;
        }
        pings.close_round(nat.unanswered_limit);
        pings.round = pings.round.next(interval_ms, now_ms);
        pings.due_ms = pings.due_ms.max(pings.round.began_ms.unwrap_or_default());
    }

    /// Sends one over the flow that a binding was made by; false when that is gone.
    fn ping(
        &mut self,
        pings: &mut Pings,
        nat: &Nat,
        phone: (&[u8], &Binding<'_>),
        now: Now,
        out: &mut Outbox,
    ) -> bool {
        let origin = &phone.1.origin;
        let from = Departure {
            listeners: &self.endpoint.identity.listeners,
            preferred: (
                origin.listener,
                origin.from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            ),
        };
        let Some(hop) = way_back(from, origin, self.shared.policy.boot) else {
            return false;
        };
        self.tally.keep_alive_sent();
        match nat.keep_alive {
            KeepAlive::Off => {}
            KeepAlive::Crlf => out.send(CRLF, hop.to, 0),
            KeepAlive::Options => self.ask_phone(pings, nat, phone, &hop, now, out),
        }
        true
    }

    /// Asks a phone by OPTIONS (RFC 3261 §11), without a transaction: who does not answer is asked again the next time.
    fn ask_phone(
        &mut self,
        pings: &mut Pings,
        nat: &Nat,
        (aor, binding): (&[u8], &Binding<'_>),
        hop: &Hop,
        now: Now,
        out: &mut Outbox,
    ) {
        let identity = &self.endpoint.identity;
        let key = identity.call_key(binding.contact, aor) as u32;
        let missed = pings.asks(key, binding);
        let told = |line: &'static str, node: &mut Self| {
            node.journal.line(now, line).map(|line| {
                line.text("aor", aor)
                    .text("contact", shown(binding.contact).as_bytes())
                    .number("unanswered", u64::from(missed))
            });
        };
        if missed >= nat.unanswered_limit {
            if missed == nat.unanswered_limit {
                pings.gone += 1;
                told("phone does not answer", self);
            }
            if nat.remove_unanswered {
                pings.removed.push((aor.to_vec(), binding.contact.to_vec()));
                return;
            }
        }
        pings.count += 1;
        let client = Id {
            index: NO_PLACE,
            counter: key,
        };
        let identity = &self.endpoint.identity;
        let asking = Asking {
            uri: &request_line_uri(binding.contact),
            hop,
            client,
            check: identity.branches.check(identity.shard, client),
            count: pings.count,
        };
        let start = out.bytes.len();
        write_options(identity, &asking, now, &mut out.bytes);
        out.send_from(start, hop.to, 0);
    }

    /// Whether a response answers a ping: its branch names one of ours and no client transaction. What it says does not matter.
    pub(super) fn is_ping_answer(&mut self, client: Id, check: u32) -> bool {
        let identity = &self.endpoint.identity;
        if client.index != NO_PLACE || check != identity.branches.check(identity.shard, client) {
            return false;
        }
        let limit = self
            .pings
            .nat
            .as_ref()
            .map_or(u8::MAX, |nat| nat.unanswered_limit);
        if let Some(silent) = self.pings.silent.remove(&client.counter) {
            self.tally.keep_alive_answered();
            if silent.asked > limit {
                self.pings.gone = self.pings.gone.saturating_sub(1);
                self.tally.phones_gone(self.pings.gone);
            }
        }
        true
    }

    /// Removes the binding of a phone that counts as gone, unless its record is changed at this very moment: then it is asked again.
    fn remove_unanswered(&mut self, aor: &[u8], contact: &[u8], now: Now) {
        let location = Arc::clone(&self.shared.location);
        let seen = location.read(aor, &mut self.work.record);
        let record = Bindings::new(&self.work.record);
        let is_it = |binding: &Binding<'_>| binding.contact == contact && is_behind_nat(binding);
        if !without_binding(record, is_it, now.wall_secs(), &mut self.work.next_record) {
            return;
        }
        let caller = Caller {
            shard: self.endpoint.identity.shard,
            ticket: Ticket::NOBODYS,
        };
        match location.commit(aor, seen, &self.work.next_record, caller) {
            Commit::Done(_) | Commit::Pending => {
                self.tally.phone_removed();
                self.journal
                    .line(now, "registration removed")
                    .map(|line| line.text("aor", aor).text("contact", shown(contact).as_bytes()));
            }
            Commit::Conflict | Commit::Unavailable => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// How many are visited at which millisecond, until a round has ended; each is sent something.
    fn round(records: usize, nat: &Nat, late: impl Fn(u64) -> u64) -> Vec<(u64, usize)> {
        let (mut round, mut now_ms, mut visits) = (Round::default(), 1_000_000, Vec::new());
        while round.visited < records {
            let share = round
                .share(records, millis(nat), now_ms)
                .min(records - round.visited);
            round.visited += share;
            visits.push((now_ms - 1_000_000, share));
            now_ms += late(Round::pause_ms(records, share as u64, nat));
        }
        visits
    }

    #[test]
    fn a_round_takes_the_interval_and_has_no_bursts() {
        let nat = Nat::default();
        for records in [1, 7, 100, 2_500, 100_000, 400_000] {
            let visits = round(records, &nat, |pause| pause);
            let (last, _) = visits[visits.len() - 1];
            let most = visits.iter().map(|visit| visit.1).max();
            assert!(last <= 25_000, "{records}: {last}");
            assert!(records < 100 || last > 20_000, "{records}: {last}");
            assert!(most <= Some(FEW + records / 2_400), "{records}: {most:?}");
        }
    }

    #[test]
    fn what_is_late_comes_no_faster_than_the_rate() {
        let nat = Nat {
            keep_alive_rate: 1000,
            keep_alive_interval: Duration::from_secs(1),
            ..Nat::default()
        };
        let visits = round(100_000, &nat, |pause| pause);
        let (last, _) = visits[visits.len() - 1];
        assert!((98_000..=101_000).contains(&last), "{last}");
        // The clock jumps, or the shard stood still for an hour.
        let jumped = round(5_000, &Nat::default(), |pause| pause + 3_600_000);
        assert!(jumped.iter().all(|visit| visit.1 <= MANY), "{jumped:?}");
    }

    #[test]
    fn the_next_round_begins_in_time_or_at_once() {
        let mut round = Round::default();
        round.share(10, 25_000, 500);
        assert_eq!(round.next(25_000, 20_000).began_ms, Some(25_500));
        assert_eq!(round.next(25_000, 40_000).began_ms, Some(40_000));
    }
}
