//! What everybody believes at the end, and what the nodes still hold.

use std::collections::BTreeMap;

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

    /// How many REGISTERs of all phones were answered with 200, and how many with anything else but a challenge.
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

    /// The first thing in which two outcomes differ.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let call = self
            .calls
            .iter()
            .find(|(call_id, accounts)| other.calls.get(*call_id) != Some(accounts));
        if let Some((call_id, accounts)) = call {
            return Some(format!("{accounts:#?}\n{:#?}", other.calls.get(call_id)));
        }
        (self != other).then(|| {
            format!(
                "{:?} {:?}\n{:?} {:?}",
                self.standings, self.held, other.standings, other.held
            )
        })
    }

    /// How many calls both sides took for established, how many neither, and how many one alone.
    pub fn established(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for accounts in self.calls.values() {
            let callee = accounts
                .iter()
                .any(|account| account.side == Side::Callee && account.talked());
            let at = match (accounts[0].talked(), callee) {
                (true, true) => 0,
                (false, false) => 1,
                _ => 2,
            };
            counts[at] += 1;
        }
        counts
    }

    /// The calls of all accounts that ended this way.
    pub fn ended(&self, end: impl Fn(&Account, View) -> bool) -> usize {
        let accounts = self.calls.values().flatten();
        accounts.filter(|account| end(account, account.view())).count()
    }
}
