//! Which datagrams of a turn go to the kernel as segments of one message (UDP_SEGMENT), so that it makes the way through
//! its layers once for all of them: those to one peer that have the same length. What belongs to one call comes to a peer
//! in the order in which it was queued; datagrams of different calls may change places.

use std::net::{IpAddr, SocketAddr};

use super::Queued;

/// The longest datagram that may be a segment, for the kernel refuses what does not fit the link's MTU: the smallest MTU
/// of IPv6 (RFC 8200) without its header and that of UDP.
const SEGMENT_MAX: u32 = 1232;

/// Segments of one message: what every kernel that knows them takes. As long as they may be, they are also fewer than
/// 64 KiB together.
const SEGMENTS_MAX: u32 = 48;

/// Places in which something is remembered of peers. Those that share a place have shorter messages, nothing worse.
const PLACES: usize = 1024;

const NONE: u32 = u32::MAX;

/// Arranges the datagrams of one socket and turn. Messages have numbers that go on from turn to turn, so that what an
/// earlier turn has left in a place is known for it.
pub(super) struct Arrangement {
    messages: Vec<Message>,
    /// The number of the first of them.
    base: u64,
    /// By peer: its latest message.
    latest: Box<[u64; PLACES]>,
    /// By peer and length: the latest message of such datagrams.
    alike: Box<[u64; PLACES]>,
    /// By peer and call: a message behind which there is none with a datagram of the call to the peer.
    last: Box<[u64; PLACES]>,
    /// The positions in the queue, in the order in which they are to be sent.
    order: Vec<u32>,
}

/// What is to be one message for the kernel.
struct Message {
    /// The position of its first datagram.
    first: u32,
    segments: u32,
    /// Where in the order its next datagram is put.
    next: u32,
    /// The peer's message before, if it is known.
    before: u32,
    /// Whether more may be joined to it.
    is_open: bool,
    /// Whether it has become the last segment of the one before.
    is_tail: bool,
}

impl Arrangement {
    pub(super) fn new() -> Self {
        Self {
            messages: Vec::new(),
            base: 1,
            latest: Box::new([0; PLACES]),
            alike: Box::new([0; PLACES]),
            last: Box::new([0; PLACES]),
            order: Vec::new(),
        }
    }

    /// Says in which order the datagrams are to be sent, and marks those that follow one before as segments of the same
    /// message.
    pub(super) fn arrange(&mut self, queue: &mut [Queued], joins: bool) -> &[u32] {
        if queue.len() < 2 {
            return &[0][..queue.len()];
        }
        self.order.clear();
        if !joins || !self.join(queue) {
            self.order.extend(0..queue.len() as u32);
            return &self.order;
        }
        let mut next = 0;
        for number in 0..self.messages.len() {
            let message = &self.messages[number];
            let (before, segments) = (message.before as usize, message.segments);
            self.messages[number].next = if message.is_tail {
                let before = &self.messages[before];
                before.next + before.segments - 1
            } else {
                next += segments;
                next - segments
            };
        }
        // A tail's place is reckoned from the beginning of its message, so nothing is put anywhere before.
        self.order.resize(queue.len(), 0);
        for (position, queued) in queue.iter().enumerate() {
            let next = &mut self.messages[queued.message as usize].next;
            self.order[*next as usize] = position as u32;
            *next += 1;
        }
        &self.order
    }

    /// Gives each datagram its message; false when each has one of its own.
    fn join(&mut self, queue: &mut [Queued]) -> bool {
        self.base += self.messages.len() as u64;
        self.messages.clear();
        for position in 0..queue.len() {
            let (earlier, rest) = queue.split_at_mut(position);
            let queued = &mut rest[0];
            let peer = peer(&queued.to);
            let joined = self.find(peer, earlier, queued);
            queued.follows = joined.is_some();
            queued.message = joined.unwrap_or_else(|| self.begin(peer, earlier, queued));
            self.last[place(peer, queued.call)] = self.base + u64::from(queued.message);
        }
        let has_tails = self.join_tails(queue);
        has_tails || self.messages.len() < queue.len()
    }

    /// Joins a datagram to the latest message of its like, unless it would overtake one of its call.
    fn find(&mut self, peer: u64, earlier: &[Queued], queued: &Queued) -> Option<u32> {
        let number = self.alike[place(peer, queued.len)];
        let index = number.checked_sub(self.base)?;
        // Nothing is known of one without a call, so neither does it overtake any nor any it.
        let may_join = if queued.call == 0 {
            number >= self.latest[place(peer, 0)]
        } else {
            number >= self.last[place(peer, queued.call)] && number >= self.last[place(peer, 0)]
        };
        let message = self.messages.get_mut(index as usize)?;
        let first = &earlier[message.first as usize];
        if !may_join || !message.is_open || first.len != queued.len || !is_one_way(first, queued) {
            return None;
        }
        message.segments += 1;
        message.is_open = message.segments < SEGMENTS_MAX;
        Some(index as u32)
    }

    /// Begins a message with a datagram.
    fn begin(&mut self, peer: u64, earlier: &[Queued], queued: &Queued) -> u32 {
        let index = self.messages.len() as u32;
        let number = self.base + u64::from(index);
        let latest = std::mem::replace(&mut self.latest[place(peer, 0)], number);
        let before = latest.checked_sub(self.base).filter(|&before| {
            let first = &earlier[self.messages[before as usize].first as usize];
            is_one_way(first, queued)
        });
        self.alike[place(peer, queued.len)] = number;
        self.messages.push(Message {
            first: earlier.len() as u32,
            segments: 1,
            next: 0,
            before: before.map_or(NONE, |before| before as u32),
            is_open: (1..=SEGMENT_MAX).contains(&queued.len) && is_of_one(queued.to.ip()),
            is_tail: false,
        });
        index
    }

    /// Makes datagrams that are alone the last segment of the message before, for that one may be shorter; whether there
    /// are any.
    fn join_tails(&mut self, queue: &mut [Queued]) -> bool {
        let mut any = false;
        for index in 1..self.messages.len() {
            let (earlier, rest) = self.messages.split_at_mut(index);
            let message = &mut rest[0];
            let Some(before) = earlier.get_mut(message.before as usize) else {
                continue;
            };
            let first = message.first as usize;
            let fits = (1..=queue[before.first as usize].len).contains(&queue[first].len);
            if message.segments == 1 && before.is_open && !before.is_tail && fits {
                before.segments += 1;
                before.is_open = false;
                message.is_tail = true;
                queue[first].follows = true;
                any = true;
            }
        }
        any
    }
}

/// Whether two datagrams go from one address to one peer.
fn is_one_way(one: &Queued, other: &Queued) -> bool {
    one.to == other.to && one.from == other.from
}

fn peer(to: &SocketAddr) -> u64 {
    let host = match to.ip() {
        IpAddr::V4(ip) => u32::from(ip),
        IpAddr::V6(ip) => u128::from(ip) as u32,
    };
    u64::from(host) << 16 | u64::from(to.port())
}

/// Where something of a peer is remembered.
fn place(peer: u64, what: u32) -> usize {
    let key = (peer ^ u64::from(what).rotate_left(40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (key >> (u64::BITS - PLACES.ilog2())) as usize
}

/// Whether an address is that of one host.
fn is_of_one(ip: IpAddr) -> bool {
    !ip.is_multicast() && !matches!(ip, IpAddr::V4(v4) if v4.is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Datagrams by (port, length, call).
    fn queue(datagrams: impl IntoIterator<Item = (u16, u32, u32)>) -> Vec<Queued> {
        let queued = |(position, (port, len, call))| Queued {
            position,
            len,
            to: SocketAddr::from(([192, 0, 2, 1], port)),
            from: None,
            call,
            message: 0,
            follows: false,
        };
        (0..).zip(datagrams).map(queued).collect()
    }

    /// What is sent, as (port, position, whether it follows).
    fn arranged(queue: &mut [Queued]) -> Vec<(u16, u32, bool)> {
        let mut arrangement = Arrangement::new();
        let order = arrangement.arrange(queue, true);
        let at = |&position: &u32| &queue[position as usize];
        let sent = order.iter().map(at);
        sent.map(|queued| (queued.to.port(), queued.position, queued.follows))
            .collect()
    }

    #[test]
    fn equal_lengths_to_one_peer_are_joined_and_a_shorter_one_is_the_last() {
        let datagrams = [(1, 300, 1), (2, 300, 2), (1, 300, 3), (1, 200, 4), (1, 300, 5)];
        let expected = [
            (1, 0, false),
            (1, 2, true),
            (1, 4, true),
            (1, 3, true),
            (2, 1, false),
        ];
        assert_eq!(arranged(&mut queue(datagrams)), expected);
    }

    #[test]
    fn different_calls_change_places_and_one_does_not() {
        let expected = [(1, 0, false), (1, 2, true), (1, 1, false), (1, 3, true)];
        let of_two = [(1, 300, 7), (1, 400, 7), (1, 300, 8), (1, 400, 8)];
        assert_eq!(arranged(&mut queue(of_two)), expected);
        for call in [0, 7] {
            let of_one = of_two.map(|(port, len, _)| (port, len, call));
            let expected = [(1, 0, false), (1, 1, false), (1, 2, true), (1, 3, false)];
            assert_eq!(arranged(&mut queue(of_one)), expected, "{call}");
        }
    }

    #[test]
    fn what_is_too_long_or_empty_or_for_many_goes_alone() {
        let datagrams = [(1, 1300), (1, 1300), (2, 0), (2, 0), (3, 9), (3, 9)];
        let mut queue = queue(datagrams.map(|(port, len)| (port, len, 0)));
        for queued in &mut queue[4..] {
            queued.to = SocketAddr::from(([224, 0, 1, 75], 5060));
        }
        assert!(arranged(&mut queue).iter().all(|&(_, _, follows)| !follows));
    }

    /// Of many turns, for what one leaves behind must not mislead the next.
    #[test]
    fn a_call_keeps_its_order_at_a_peer_and_messages_their_bounds() {
        let mut arrangement = Arrangement::new();
        for turn in 0..200u32 {
            let of = |n: u32| n.wrapping_mul(2_654_435_761).wrapping_add(turn * 977) >> 8;
            let datagram = |n: u32| {
                let (peer, call) = (of(n) % 7, of(n + 9) % 40);
                (peer as u16, 300 + of(n + 3) % 4, call)
            };
            let mut queue = queue((0..turn * 7 % 500).map(datagram));
            let order = arrangement.arrange(&mut queue, true).to_vec();
            let mut positions = order.clone();
            positions.sort_unstable();
            assert!(positions.into_iter().eq(0..queue.len() as u32));
            let sent: Vec<_> = order.iter().map(|&position| &queue[position as usize]).collect();
            for (at, later) in sent.iter().enumerate() {
                let overtaken = sent[at + 1..].iter().find(|earlier| {
                    let may_not = earlier.call == later.call || earlier.call == 0 || later.call == 0;
                    earlier.position < later.position && earlier.to == later.to && may_not
                });
                assert!(overtaken.is_none(), "{later:?} {overtaken:?}");
            }
            let messages = sent.chunk_by(|_, next| next.follows);
            for message in messages.filter(|message| message.len() > 1) {
                let (last, others) = message.split_last().expect("not empty");
                let first = message[0];
                assert!(message.len() <= SEGMENTS_MAX as usize);
                assert!(message.iter().all(|part| part.to == first.to));
                assert!(others.iter().all(|part| part.len == first.len) && last.len <= first.len);
            }
        }
    }
}
