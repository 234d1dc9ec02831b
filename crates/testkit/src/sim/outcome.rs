//! What everybody believes at the end, and what the nodes still hold.

use std::collections::{BTreeMap, BTreeSet};

use super::agent::{Account, How, Side, Standing, T1, View};
use super::{LONGEST_WAY, MS, S, Sim};

/// What became of a world: what each phone believes, with the times, and what the nodes hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The accounts of each call, the caller's first.
    pub calls: BTreeMap<String, Vec<Account>>,
    /// What each phone believes of its registration.
    pub standings: Vec<Standing>,
    /// What the nodes hold.
    pub held: Held,
}

/// What the nodes hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Server and client transactions.
    pub transactions: u64,
    /// Records of calls.
    pub calls: u64,
    /// Bytes of messages that are kept.
    pub kept: u64,
    /// Messages on their way between shards.
    pub hops: usize,
    /// The contacts of each address-of-record that have not expired, and when they will: in seconds since the
    /// simulation began.
    pub bindings: BTreeMap<String, Vec<(String, u64)>>,
}

impl Sim {
    /// What everybody believes now.
    pub fn outcome(&self) -> Outcome {
        let mut calls: BTreeMap<String, Vec<Account>> = BTreeMap::new();
        for account in self.phones.iter().flat_map(|phone| phone.accounts()) {
            let accounts = calls.entry(account.call_id.clone()).or_default();
            accounts.push(account.clone());
            accounts.sort_by_key(|account| (account.side, account.phone));
        }
        Outcome {
            calls,
            standings: self.phones.iter().map(|phone| phone.standing()).collect(),
            held: self.held(),
        }
    }

    /// What the nodes hold now.
    pub fn held(&self) -> Held {
        let (transactions, calls, kept) = self.site.held();
        Held {
            transactions,
            calls,
            kept,
            hops: self.rings.values().sum(),
            bindings: self.site.bindings(),
        }
    }

    /// What each phone believes of its registration is what the node holds, unless an answer is still under way or a request
    /// has timed out. How many phones could be asked.
    ///
    /// A phone learns of its binding up to [`LONGEST_WAY`] after it was made, and counts from then.
    #[track_caller]
    pub fn assert_registrations_agree(&self) -> usize {
        let held = self.held().bindings;
        let mut sure = 0;
        for (number, phone) in self
            .phones
            .iter()
            .enumerate()
            .filter(|(_, phone)| phone.is_sure())
        {
            sure += 1;
            let bound = held.get(&phone.aor()["sip:".len()..]);
            let bound: Vec<_> = bound.into_iter().flatten().collect();
            let contact = phone.contact();
            let ours = bound.iter().find(|(bound, _)| *bound == contact);
            let most = self.phones_per_user;
            assert!(
                bound.len() <= most,
                "phone {number} has left something behind: {bound:?}"
            );
            match (phone.standing(), ours) {
                (Standing::Out, None) => {}
                (Standing::In(until), None) if until <= self.now + S => {}
                (Standing::In(until), Some((_, ends))) => {
                    let ends = ends * S;
                    let agree = ends <= until + S && until <= ends + S + LONGEST_WAY;
                    assert!(agree, "phone {number}: believes {until}, held {ends}");
                }
                (believed, held) => panic!(
                    "phone {number} at {}: believes {believed:?}, held {held:?}",
                    self.now
                ),
            }
        }
        sure
    }

    /// That nothing is left: no transaction, no call, nothing that waits for an event, no message between shards, no record
    /// of a binding; and at the phones nothing either.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        self.site.assert_empty();
        assert_eq!(self.rings.values().sum::<usize>(), 0, "messages between shards");
        assert_eq!(self.site.records(), 0, "records: {:?}", self.held().bindings);
        for (number, phone) in self.phones.iter().enumerate() {
            assert!(phone.is_quiet(), "phone {number}: {phone:?}");
        }
    }

    /// How many REGISTERs of all phones were answered with 200, and how many with anything else but a first
    /// challenge.
    pub fn registers_answered(&self) -> (u32, u32) {
        let answered = self.phones.iter().map(|phone| phone.answered());
        answered.fold((0, 0), |(done, refused), (more, no)| (done + more, refused + no))
    }
}

impl Outcome {
    /// Both sides of every call agree that it is over, and agreed in time: within 64*T1 of when the first of them, the caller
    /// or all who were called, took it for over. Somebody who picks up, or refuses, what the other side has given up
    /// has as long from then on; but no phone rings on when its caller has heard it ring and has given up.
    #[track_caller]
    pub fn assert_calls_agree(&self) {
        for (call_id, accounts) in &self.calls {
            let (caller, called) = accounts.split_first().expect("has one side");
            assert_eq!(caller.side, Side::Caller, "{call_id}: {accounts:#?}");
            let goes_on = accounts.iter().any(|account| !account.is_over());
            assert!(!goes_on, "{call_id} goes on: {accounts:#?}");
            let all_called = called.iter().filter_map(Account::over_at).max();
            let first = caller.over_at().into_iter().chain(all_called).min().unwrap_or(0);
            let heard_and_gave_up = called.len() == 1
                && caller.view() == View::Over(How::Cancelled)
                && caller.views.iter().any(|&(_, view)| view == View::Ringing);
            for account in accounts {
                let picked_up = account.views.iter().any(|&(_, view)| view == View::Answered);
                let acted = match account.side {
                    Side::Callee if picked_up || !heard_and_gave_up => account.acted_at,
                    Side::Callee | Side::Caller => 0,
                };
                let late = account.over_at().unwrap_or(0).saturating_sub(first.max(acted));
                let ms = late / MS;
                assert!(
                    late <= 64 * T1 + 2 * LONGEST_WAY,
                    "{call_id}: {ms} ms late: {accounts:#?}"
                );
            }
        }
    }

    /// In what two outcomes differ: the first three calls, and the accounts of the first; else what is left.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let of = |outcome: &Self, call_id: &str| outcome.calls.get(call_id).cloned();
        let call_ids = self.calls.keys().chain(other.calls.keys());
        let differing: BTreeSet<&str> = call_ids
            .map(String::as_str)
            .filter(|call_id| of(self, call_id) != of(other, call_id))
            .collect();
        if let Some(first) = differing.first() {
            return Some(format!(
                "{} calls took another course: {}\n{:#?}\nand {:#?}",
                differing.len(),
                first_three(&differing),
                of(self, first),
                of(other, first)
            ));
        }
        (self != other).then(|| {
            format!(
                "{:?} {:?}\n{:?} {:?}",
                self.standings, self.held, other.standings, other.held
            )
        })
    }

    /// That two outcomes are the same.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        if let Some(difference) = self.difference(other) {
            panic!("{difference}");
        }
    }

    /// Of all calls at most so many are what `what` says, as `is` decides from their accounts. If it is more, their number
    /// and the first three of them are told.
    #[track_caller]
    pub fn assert_at_most(&self, most: usize, what: &str, is: impl Fn(&[Account]) -> bool) {
        let calls = self.calls.iter().filter(|(_, accounts)| is(accounts));
        let found: BTreeSet<&str> = calls.map(|(call_id, _)| call_id.as_str()).collect();
        assert!(
            found.len() <= most,
            "at most {most} of {} calls may be {what}, but {} are: {}",
            self.calls.len(),
            found.len(),
            first_three(&found)
        );
    }
}

/// Three calls, and how to look at the first.
fn first_three(call_ids: &BTreeSet<&str>) -> String {
    let three: Vec<_> = call_ids.iter().take(3).copied().collect();
    let first = three.first().copied().unwrap_or_default();
    format!("{} (STROWGER_TRACE={first} shows one)", three.join(", "))
}

/// Whether the caller, and whether one who was called, took the call for established.
pub fn talked(accounts: &[Account]) -> [bool; 2] {
    [Side::Caller, Side::Callee].map(|side| {
        let mut accounts = accounts.iter().filter(|account| account.side == side);
        accounts.any(Account::talked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(
        expected = "at most 1 of 5 calls may be odd, but 4 are: call1, call2, call3 (STROWGER_TRACE=call1 shows one)"
    )]
    fn what_is_wrong_with_too_many_calls_is_told_with_three_of_them() {
        let call = |number: usize| {
            let call_id = format!("call{number}");
            (
                call_id.clone(),
                vec![Account::new(&call_id, number, Side::Caller, 0)],
            )
        };
        let outcome = Outcome {
            calls: (0..5).map(call).collect(),
            standings: Vec::new(),
            held: Held {
                transactions: 0,
                calls: 0,
                kept: 0,
                hops: 0,
                bindings: BTreeMap::new(),
            },
        };
        outcome.assert_at_most(4, "odd", |accounts| accounts[0].phone > 0);
        outcome.assert_at_most(1, "odd", |accounts| accounts[0].phone > 0);
    }
}
