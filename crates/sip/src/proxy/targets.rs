//! The target set (RFC 3261 §16.5): where a request is to be sent, each with the ways to it and its turn.

use strowger_syntax::Status;

use crate::transport::Hop;

/// When a target is tried, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Targets of one group are tried at once, the group with the smallest number first, and each of the others when the
    /// one before has come to nothing (§16.6).
    pub group: u16,
    /// For how many milliseconds an INVITE may go without a final response before it is cancelled; `None` for as long as
    /// timer C lets it.
    pub ring_ms: Option<u32>,
    /// On which of its answers the next group is tried.
    pub failover: Failover,
    /// By which number an account of calls knows it, if it wants to be told which target has its turn and which answers.
    pub place: Option<u8>,
}

/// Final responses on which the next group of targets is tried; on the others nobody else is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failover(u64);

/// The codes that are told apart. Whatever is not among them counts as the x00 of its class (RFC 3261 §8.1.3.2).
const CODES: [u16; 47] = [
    300, 301, 302, 305, 380, 400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 416, 420,
    421, 422, 423, 430, 440, 480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 494, 500, 501, 502,
    503, 504, 505, 513, 580,
];

impl Default for Failover {
    fn default() -> Self {
        Self::ANY
    }
}

impl Failover {
    /// On each.
    pub const ANY: Self = Self(u64::MAX);

    /// On these.
    pub fn on(codes: &[u16]) -> Self {
        Self(codes.iter().fold(0, |bits, &code| bits | Self::bit(code)))
    }

    /// Whether it is on this one.
    pub fn is_on(self, status: Status) -> bool {
        self.0 & Self::bit(status.code()) != 0
    }

    fn bit(code: u16) -> u64 {
        let place = |code| CODES.iter().position(|&known| known == code);
        place(code)
            .or_else(|| place(code / 100 * 100))
            .map_or(0, |place| 1 << place)
    }
}

/// One target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    texts: TargetTexts,
    /// Where its hops begin and end among those of all targets.
    hops: (u32, u32),
    /// When it is tried.
    pub turn: Turn,
    /// The number of the target that it stands in for: it is another flow to the same user agent instance, and tried only when that
    /// one has come to nothing (RFC 5626 §7).
    instead_of: Option<u16>,
}

/// Where a target's texts are among those of all targets: first its Request-URI, then the values for Route. Neither is longer
/// than the head of a message may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetTexts {
    start: u32,
    uri: u16,
    routes: u16,
}

/// Targets with their texts and hops; reused from request to request.
#[derive(Clone, Debug, Default)]
pub struct TargetSet {
    text: Vec<u8>,
    hops: Vec<Hop>,
    targets: Vec<Target>,
    /// How many of them stand in for no other.
    own: usize,
}

impl TargetSet {
    /// Forgets all targets.
    pub fn clear(&mut self) {
        self.text.clear();
        self.hops.clear();
        self.targets.clear();
        self.own = 0;
    }

    /// Adds a target: its Request-URI, values for a Route header field (a Path; empty for none), and the hops to it, of which
    /// each is tried when the one before has failed without an answer (RFC 3263 §4.3). Without any hop it is none.
    pub fn add(&mut self, uri: &[u8], routes: &[u8], hops: impl IntoIterator<Item = Hop>, turn: Turn) {
        let first = self.hops.len() as u32;
        self.hops.extend(hops);
        let last = self.hops.len() as u32;
        if first == last {
            return;
        }
        let start = self.text.len() as u32;
        self.text.extend_from_slice(uri);
        let middle = self.text.len() as u32;
        self.text.extend_from_slice(routes);
        let end = self.text.len() as u32;
        self.push([start, middle, end], (first, last), turn);
    }

    /// Forgets all targets, and takes texts and hops that were gathered already, for [`push`](Self::push). What it had is put
    /// in their place, to be used again.
    pub fn adopt(&mut self, text: &mut Vec<u8>, hops: &mut Vec<Hop>) {
        self.targets.clear();
        self.own = 0;
        std::mem::swap(&mut self.text, text);
        std::mem::swap(&mut self.hops, hops);
    }

    /// Adds a target whose texts and hops were adopted: where its Request-URI begins, where that ends and its values for Route
    /// begin, and where those end; its first hop, and the one behind its last.
    pub fn push(&mut self, texts: [u32; 3], hops: (u32, u32), turn: Turn) {
        self.targets.push(Target::new(texts, hops, turn, None));
        self.own = self.targets.len();
    }

    /// Adds one, as [`push`](Self::push) does, that stands in for the target with this number. Those of one target are tried in
    /// their order; all of them stand behind the targets.
    pub fn push_instead(&mut self, number: u16, texts: [u32; 3], hops: (u32, u32), turn: Turn) {
        self.targets.push(Target::new(texts, hops, turn, Some(number)));
    }

    /// The targets, without those that stand in for others.
    pub fn targets(&self) -> &[Target] {
        &self.targets[..self.own]
    }

    /// Those that stand in for others.
    pub fn stand_ins(&self) -> &[Target] {
        &self.targets[self.own..]
    }

    /// The ways to the target with this number, each with its texts: its own hops but for those that are `known`, and behind them
    /// those of whatever stands in for it.
    pub(super) fn ways(
        &self,
        number: usize,
        known: usize,
    ) -> impl DoubleEndedIterator<Item = (Hop, TargetTexts)> {
        let own = self.targets().get(number);
        let others = self
            .stand_ins()
            .iter()
            .filter(move |target| target.instead_of.map(usize::from) == Some(number));
        let ways = |target: &'_ Target, from: usize| {
            let texts = target.texts;
            let hops = self.hops(target).get(from..).unwrap_or(&[]);
            hops.iter().map(move |&hop| (hop, texts))
        };
        own.into_iter()
            .flat_map(move |target| ways(target, known))
            .chain(others.flat_map(move |target| ways(target, 0)))
    }

    /// The group whose turn comes first.
    pub fn first_group(&self) -> Option<u16> {
        self.targets.iter().map(|target| target.turn.group).min()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The texts of all targets, back to back; what [`Target::uri`] and [`Target::routes`] are read from.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The first hop of the target with this number.
    pub fn first_hop(&self, number: usize) -> Option<Hop> {
        self.hops(self.targets.get(number)?).first().copied()
    }

    /// The hops of one of its targets; at least one.
    pub fn hops(&self, target: &Target) -> &[Hop] {
        let (first, last) = target.hops;
        self.hops.get(first as usize..last as usize).unwrap_or(&[])
    }
}

impl Target {
    /// One whose texts are too long for any message has no hops.
    fn new(texts: [u32; 3], hops: (u32, u32), turn: Turn, instead_of: Option<u16>) -> Self {
        let (texts, hops) = match TargetTexts::new(texts) {
            Some(texts) => (texts, hops),
            None => (TargetTexts::default(), (0, 0)),
        };
        Self {
            texts,
            hops,
            turn,
            instead_of,
        }
    }

    /// Its Request-URI.
    pub fn uri<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        self.texts.uri(text)
    }

    /// The values for its Route header field.
    pub fn routes<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        self.texts.routes(text)
    }

    /// Where its texts are.
    pub fn texts(&self) -> TargetTexts {
        self.texts
    }
}

impl TargetTexts {
    /// Where the Request-URI begins, where it ends and the values for Route begin, and where those end.
    fn new([start, middle, end]: [u32; 3]) -> Option<Self> {
        let len = |from: u32, to: u32| u16::try_from(to.checked_sub(from)?).ok();
        Some(Self {
            start,
            uri: len(start, middle)?,
            routes: len(middle, end)?,
        })
    }

    /// The Request-URI.
    pub fn uri(self, text: &[u8]) -> &[u8] {
        let start = self.start as usize;
        text.get(start..start + usize::from(self.uri)).unwrap_or(&[])
    }

    /// The values for the Route header field.
    pub fn routes(self, text: &[u8]) -> &[u8] {
        let start = self.start as usize + usize::from(self.uri);
        text.get(start..start + usize::from(self.routes)).unwrap_or(&[])
    }

    /// The same texts where others stand before them.
    #[must_use]
    pub fn behind(self, others: u32) -> Self {
        Self {
            start: self.start + others,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::transport::{AdvertisedAs, Destination, Transport};

    #[test]
    fn a_target_that_no_message_has_room_for_has_no_hops() {
        let hop = Hop {
            transport: Transport::Udp,
            listener: 0,
            local: Ipv4Addr::LOCALHOST.into(),
            told: AdvertisedAs::default(),
            to: Destination::Datagram {
                listener: 0,
                from: None,
                to: (Ipv4Addr::LOCALHOST, 5060).into(),
            },
            over_flow: false,
        };
        let mut targets = TargetSet::default();
        for len in [65_535, 65_536] {
            targets.add(&vec![b'u'; len], b"<sip:192.0.2.1;lr>", [hop], Turn::default());
        }
        let [fits, too_long] = targets.targets() else {
            panic!("two targets");
        };
        assert_eq!(
            (fits.uri(targets.text()).len(), fits.routes(targets.text())),
            (65_535, &b"<sip:192.0.2.1;lr>"[..])
        );
        assert_eq!((targets.hops(fits).len(), targets.hops(too_long).len()), (1, 0));
    }
}
