//! What the network does to a datagram: it comes once, late, twice or not at all.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::dice::{Dice, Roll};
use super::{MS, S};
use crate::message::{lines, start_line};

/// What the network does, in percent of the datagrams on one way between a phone and the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// How many are lost.
    pub loss: u64,
    /// How many come twice, the second one up to two seconds after the first.
    pub duplication: u64,
    /// How many are held back for up to a second, so that later ones overtake them.
    pub reordering: u64,
    /// How many come once more, up to half a minute later.
    pub echo: u64,
}

impl Faults {
    /// Nothing goes wrong; a datagram still takes its time.
    pub const NONE: Self = Self {
        loss: 0,
        duplication: 0,
        reordering: 0,
        echo: 0,
    };

    /// Three datagrams in ten are lost, as many come twice, as many are overtaken.
    pub const HEAVY: Self = Self {
        loss: 30,
        duplication: 30,
        reordering: 30,
        echo: 0,
    };
}

/// The longest that a datagram is under way, in nanoseconds, but for its echo.
pub const LONGEST_WAY: u64 = 80 * MS + S + 2 * S;

/// What a datagram is about: who sends it to whom, its method or status, its transaction. Messages that are the same in
/// this have luck of their own by their number.
type About = u64;

/// The ways between the phones and the node.
#[derive(Debug)]
pub(super) struct Network {
    dice: Dice,
    pub(super) faults: Faults,
    counts: HashMap<About, u32>,
    cut: HashSet<SocketAddr>,
}

impl Network {
    pub(super) fn new(dice: Dice, faults: Faults) -> Self {
        Self {
            dice,
            faults,
            counts: HashMap::new(),
            cut: HashSet::new(),
        }
    }

    /// Nothing gets from or to this address from now on.
    pub(super) fn cut(&mut self, address: SocketAddr) {
        self.cut.insert(address);
    }

    /// The partition is over.
    pub(super) fn heal(&mut self, address: SocketAddr) {
        self.cut.remove(&address);
    }

    /// After how long each copy of a datagram comes that arrives at all, in nanoseconds. `up` is to the node.
    pub(super) fn copies(&mut self, phone: usize, address: SocketAddr, up: bool, text: &str) -> Vec<u64> {
        if self.cut.contains(&address) {
            return Vec::new();
        }
        let first = start_line(text);
        let word = match first.strip_prefix("SIP/2.0 ") {
            Some(status) => &status[..3],
            None => first.split(' ').next().unwrap_or_default(),
        };
        let about = (phone, up, word, lines(text, "Call-ID"), lines(text, "CSeq"));
        let about = self.dice.roll(("about", about)).below(u64::MAX);
        let count = self.counts.entry(about).or_default();
        *count += 1;
        let (dice, count, faults) = (self.dice, *count, self.faults);
        let roll = |what: &str| dice.roll((what, about, count));
        if roll("loss").percent(faults.loss) {
            return Vec::new();
        }
        let part = |roll: Roll, most: u64| 1 + roll.below(most);
        let mut first = 5 * MS + part(roll("delay"), 75 * MS);
        if roll("reordering").percent(faults.reordering) {
            first += part(roll("held back"), S);
        }
        let mut copies = vec![first];
        if roll("duplication").percent(faults.duplication) {
            copies.push(first + part(roll("second"), 2 * S));
        }
        if roll("echo").percent(faults.echo) {
            copies.push(first + part(roll("late"), 25 * S));
        }
        copies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::request;

    fn place() -> SocketAddr {
        crate::peer::address('a')
    }

    /// What becomes of a hundred requests, sent three times each.
    fn sent(faults: Faults, numbers: impl Iterator<Item = u32>) -> HashMap<u32, Vec<Vec<u64>>> {
        let mut network = Network::new(Dice::new(7), faults);
        let mut send = |n| {
            let text = request('a', "INVITE", "sip:bob@example.test", n);
            (0..3).map(|_| network.copies(1, place(), true, &text)).collect()
        };
        numbers.map(|n| (n, send(n))).collect()
    }

    #[test]
    fn a_datagram_has_the_same_luck_whatever_else_is_under_way() {
        let faults = Faults {
            echo: 10,
            ..Faults::HEAVY
        };
        assert_eq!(sent(faults, 0..100), sent(faults, (0..100).rev()));
        assert_ne!(sent(faults, 0..100)[&1], sent(faults, 0..100)[&2]);
    }

    #[test]
    fn faults_are_as_frequent_as_they_are_said_to_be() {
        let all: Vec<_> = sent(Faults::HEAVY, 0..1000).into_values().flatten().collect();
        let share =
            |is: &dyn Fn(&Vec<u64>) -> bool| all.iter().filter(|copies| is(copies)).count() * 100 / all.len();
        assert!((28..=32).contains(&share(&|copies| copies.is_empty())));
        assert!(
            (19..=23).contains(&share(&|copies| copies.len() == 2)),
            "of those that come"
        );
        assert!((17..=23).contains(&share(&|copies| {
            copies.first().is_some_and(|&takes| takes > 80 * MS)
        })));
        assert!(all.iter().flatten().all(|&takes| takes <= LONGEST_WAY));
        let none = sent(Faults::NONE, 0..100);
        assert!(none.values().flatten().all(|copies| copies.len() == 1));
    }

    #[test]
    fn nothing_passes_a_partition() {
        let mut network = Network::new(Dice::new(7), Faults::NONE);
        let text = request('a', "INVITE", "sip:bob@example.test", 1);
        network.cut(place());
        assert!(network.copies(1, place(), true, &text).is_empty());
        assert!(network.copies(1, place(), false, &text).is_empty());
        network.heal(place());
        assert_eq!(network.copies(1, place(), false, &text).len(), 1);
    }
}
