//! Which datagrams of a turn go to the kernel as segments of one message (UDP_SEGMENT), so that it makes the way through
//! its layers once for all of them: those to one peer that have the same length.

use std::net::{IpAddr, SocketAddr};

use super::Queued;

/// The longest datagram that may be a segment, for the kernel refuses what does not fit the link's MTU: the smallest MTU
/// of IPv6 (RFC 8200) without its header and that of UDP.
const SEGMENT_MAX: u32 = 1232;

/// Segments of one message: what every kernel that knows them takes. As long as they may be, they are also fewer than
/// 64 KiB together.
const SEGMENTS_MAX: u32 = 48;

/// Peers whose latest message is remembered. Those that share a place have shorter messages, nothing worse.
const PLACES: usize = 64;

/// Arranges the datagrams of one socket and turn.
pub(super) struct Arrangement {
    /// Where each peer's latest message is in `messages`. What an earlier turn has left there names the wrong peer.
    latest: [u32; PLACES],
    messages: Vec<Message>,
    /// The positions in the queue, in the order in which they are to be sent.
    order: Vec<u32>,
}

/// What is to be one message for the kernel.
struct Message {
    /// The position of its first datagram.
    first: u32,
    segments: u32,
    /// Whether more may be joined to it.
    is_open: bool,
}

impl Arrangement {
    pub(super) fn new() -> Self {
        Self {
            latest: [0; PLACES],
            messages: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Says in which order the datagrams are to be sent, and marks those that follow one before as segments of the same
    /// message. The datagrams to one peer stay in order: each joins the peer's latest message or begins a new one.
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
        for message in &mut self.messages {
            let segments = std::mem::replace(&mut message.segments, next);
            next += segments;
        }
        self.order.resize(queue.len(), 0);
        for (position, queued) in queue.iter().enumerate() {
            let place = &mut self.messages[queued.message as usize].segments;
            self.order[*place as usize] = position as u32;
            *place += 1;
        }
        &self.order
    }

    /// Gives each datagram its message; false when each has one of its own.
    fn join(&mut self, queue: &mut [Queued]) -> bool {
        self.messages.clear();
        for position in 0..queue.len() {
            let (before, rest) = queue.split_at_mut(position);
            let queued = &mut rest[0];
            let latest = &mut self.latest[place(&queued.to)];
            if let Some(message) = self.messages.get_mut(*latest as usize)
                && message.takes(&before[message.first as usize], queued)
            {
                queued.message = *latest;
                queued.follows = true;
                continue;
            }
            *latest = self.messages.len() as u32;
            queued.message = *latest;
            self.messages.push(Message {
                first: position as u32,
                segments: 1,
                is_open: (1..=SEGMENT_MAX).contains(&queued.len) && is_of_one(queued.to.ip()),
            });
        }
        self.messages.len() < queue.len()
    }
}

impl Message {
    /// Joins a datagram to the message if it can be one of its segments.
    fn takes(&mut self, first: &Queued, next: &Queued) -> bool {
        let takes = self.is_open && next.len <= first.len && next.to == first.to && next.from == first.from;
        if takes {
            self.segments += 1;
            self.is_open = next.len == first.len && self.segments < SEGMENTS_MAX;
        }
        takes
    }
}

/// Where a peer's latest message is remembered.
fn place(to: &SocketAddr) -> usize {
    let host = match to.ip() {
        IpAddr::V4(ip) => u32::from(ip),
        IpAddr::V6(ip) => u128::from(ip) as u32,
    };
    let key = (u64::from(host) << 16 | u64::from(to.port())).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (key >> 58) as usize
}

/// Whether an address is that of one host.
fn is_of_one(ip: IpAddr) -> bool {
    !ip.is_multicast() && !matches!(ip, IpAddr::V4(v4) if v4.is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(datagrams: &[(u16, u32)]) -> Vec<Queued> {
        let queued = |(position, &(port, len))| Queued {
            position,
            len,
            to: SocketAddr::from(([192, 0, 2, 1], port)),
            from: None,
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
        let mut queue = queue(&[(1, 300), (2, 300), (1, 300), (1, 200), (1, 200), (2, 310)]);
        let expected = [
            (1, 0, false),
            (1, 2, true),
            (1, 3, true),
            (2, 1, false),
            (1, 4, false),
            (2, 5, false),
        ];
        assert_eq!(arranged(&mut queue), expected);
    }

    #[test]
    fn nothing_is_joined_across_a_datagram_of_another_length() {
        let mut queue = queue(&[(1, 300), (1, 400), (1, 300), (1, 400)]);
        let expected = [(1, 0, false), (1, 1, false), (1, 2, true), (1, 3, false)];
        assert_eq!(arranged(&mut queue), expected);
    }

    #[test]
    fn what_is_too_long_or_empty_or_for_many_goes_alone() {
        let mut queue = queue(&[(1, 1300), (1, 1300), (2, 0), (2, 0), (3, 9), (3, 9)]);
        for queued in &mut queue[4..] {
            queued.to = SocketAddr::from(([224, 0, 1, 75], 5060));
        }
        assert!(arranged(&mut queue).iter().all(|&(_, _, follows)| !follows));
    }

    #[test]
    fn the_datagrams_of_each_peer_keep_their_order_and_messages_their_bound() {
        let datagrams: Vec<(u16, u32)> = (0u32..2000)
            .map(|n| ((n * n % 97) as u16, 300 + n % 3 * (n % 2)))
            .collect();
        let mut queue = queue(&datagrams);
        let sent = arranged(&mut queue);
        let mut positions: Vec<u32> = sent.iter().map(|&(_, position, _)| position).collect();
        for port in 0..97 {
            let of_peer = sent.iter().filter(|sent| sent.0 == port);
            assert!(of_peer.is_sorted_by_key(|sent| sent.1));
        }
        positions.sort_unstable();
        assert!(positions.into_iter().eq(0..2000));
        let mut run = 0;
        for (before, after) in sent.iter().zip(&sent[1..]) {
            run = if after.2 { run + 1 } else { 0 };
            assert!(run < SEGMENTS_MAX && (!after.2 || before.0 == after.0));
        }
    }
}
