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

    /// After how long each copy of a datagram comes that arrives at all, in nanoseconds. What an address is to the node does
    /// not count for luck but which phone it is.
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
