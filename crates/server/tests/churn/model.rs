//! What a registrar has to believe, kept by the test: contacts and when they end, by user. It shares nothing with the server
//! but the text of the messages.

use std::collections::{BTreeMap, BTreeSet};

/// The most contacts of a user.
pub(crate) const MOST: usize = 10;

/// When contacts end by the wall clock, in Unix seconds, by the number of the contact.
pub(crate) type Contacts = BTreeMap<u32, u64>;

/// One change that a REGISTER asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The contact is bound for so many seconds.
    Bind(u32, u64),
    /// The phone of the contact, which is known by its flow, is bound there and nowhere else (RFC 5626 §6).
    Move(u32, u64),
    /// The phone of the contact, which is known by its flow, is removed, wherever it was.
    Leave(u32),
    /// The contact is removed.
    Remove(u32),
    /// All contacts are removed.
    RemoveAll,
}

/// What a REGISTER in order comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    Changed,
    /// There would be too many contacts.
    Refused,
}

/// What is believed of all users.
#[derive(Debug)]
pub(crate) struct Model {
    users: Vec<Contacts>,
    /// When contacts end, and whose they are, if they are not refreshed.
    ends: BTreeSet<(u64, u32)>,
    /// The latest time by the wall clock that a sweep has seen.
    swept_at: u64,
}

impl Model {
    pub(crate) fn new(users: usize) -> Self {
        Self {
            users: vec![Contacts::new(); users],
            ends: BTreeSet::new(),
            swept_at: 0,
        }
    }

    /// A REGISTER that is in order comes at this time: all of its changes are done, or none.
    pub(crate) fn register(&mut self, user: u32, changes: &[Change], now: u64) -> Granted {
        let mut next = self.users[user as usize].clone();
        next.retain(|_, end| *end > now);
        for change in changes {
            match *change {
                Change::Bind(contact, seconds) => _ = next.insert(contact, now + seconds),
                Change::Remove(contact) => _ = next.remove(&contact),
                Change::Move(contact, seconds) => {
                    next.retain(|bound, _| !is_of_one_phone(*bound, contact));
                    next.insert(contact, now + seconds);
                }
                Change::Leave(contact) => next.retain(|bound, _| !is_of_one_phone(*bound, contact)),
                Change::RemoveAll => next.clear(),
            }
        }
        if next.len() > MOST {
            return Granted::Refused;
        }
        // Also what removes nothing leaves a trace by UDP, and with it goes what has ended.
        self.ends.extend(next.values().map(|end| (*end, user)));
        self.users[user as usize] = next;
        Granted::Changed
    }

    /// Takes out what has ended: whose contacts those were, and how many.
    pub(crate) fn sweep(&mut self, now: u64) -> BTreeMap<u32, usize> {
        let mut gone = BTreeMap::new();
        self.swept_at = self.swept_at.max(now);
        while let Some(&(end, user)) = self.ends.first()
            && end <= now
        {
            self.ends.pop_first();
            let contacts = &mut self.users[user as usize];
            let before = contacts.len();
            contacts.retain(|_, end| *end > now);
            if contacts.len() < before {
                gone.insert(user, before - contacts.len());
            }
        }
        gone
    }

    /// Where a user is now.
    pub(crate) fn look_up(&self, user: u32, now: u64) -> Contacts {
        let contacts = self.users[user as usize].iter();
        contacts
            .filter(|(_, end)| **end > now)
            .map(|(contact, end)| (*contact, *end))
            .collect()
    }

    /// Whether the clock has gone back behind a sweep: what that took out and is not on the disk may have not ended now.
    pub(crate) fn is_behind(&self, now: u64) -> bool {
        now < self.swept_at
    }

    /// How many users there are.
    pub(crate) fn users(&self) -> u32 {
        self.users.len() as u32
    }

    /// How many contacts there are now.
    pub(crate) fn len(&self, now: u64) -> usize {
        let live = |contacts: &Contacts| contacts.values().filter(|end| **end > now).count();
        self.users.iter().map(live).sum()
    }
}

/// Whether two contacts are of one phone of a user.
fn is_of_one_phone(a: u32, b: u32) -> bool {
    a >> 16 == b >> 16
}
