//! What the shard loop drives: one value per shard, given bytes and time, answering with effects.

use std::net::SocketAddr;

use strowger_sip::{Failure, Flow, Now, Outbox, Source};
use strowger_syntax::Index;

/// What became of a received message or ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It is done with; the buffer may be reused.
    Done,
    /// It belongs to this other shard, which gets it in one hop: a message with its index and source by
    /// [`Application::receive_hop`], an ICMP error with what it quotes by [`Application::unreachable`]. When the way
    /// there is full, a datagram or an error is dropped; a message of a connection waits.
    Hop(u16),
}

/// A shard's share of the node. All calls for one shard come from its one thread.
pub trait Application {
    /// What the control side sends to a shard.
    type Control: Send + 'static;

    /// A message arrived at this shard. `bytes` is one datagram, or one framed message of a stream; `index` is scratch
    /// space that the call fills and that a hop carries along. When the end of a stream's message cannot be told
    /// (RFC 3261 §18.3), `bytes` is its head only, as far as it goes; what is sent in answer during this call still
    /// goes out, then the connection is closed.
    fn receive(
        &mut self,
        bytes: &[u8],
        index: &mut Index,
        source: &Source,
        now: Now,
        out: &mut Outbox,
    ) -> Handled;

    /// A message that another shard received and that belongs here; `index` is what its [`receive`](Self::receive) made.
    fn receive_hop(&mut self, bytes: &[u8], index: &Index, source: &Source, now: Now, out: &mut Outbox);

    /// A transmit that carried a token (not 0) could not be sent. It is told on the shard that asked for it, once. A
    /// message that was written to a connection is sent, even if the peer never reads it; but for the latest requests
    /// [`Failure::Lost`] is told when that connection ends within half a minute, whether they were answered or not.
    fn send_failed(&mut self, token: u64, failure: Failure, now: Now, out: &mut Outbox);

    /// An ICMP error came back for a datagram that was sent to `remote`. Not every such datagram has one: routers limit
    /// them, and for several datagrams of one length to one peer of this machine there may be one only, about the
    /// first. The datagram may have been sent from another shard: of the sockets that share an address, the kernel
    /// picks one by the addresses alone. `quoted` is the beginning of that datagram, at most 1,280 bytes of it, with
    /// IPv4 seldom more than 520. An answer of [`Handled::Hop`] has the same call made on the shard that it names;
    /// there, or when it names this shard, such an answer is ignored.
    fn unreachable(
        &mut self,
        remote: SocketAddr,
        failure: Failure,
        quoted: &[u8],
        now: Now,
        out: &mut Outbox,
    ) -> Handled;

    /// A connection of this shard that had been established is gone, whoever closed it.
    fn flow_closed(&mut self, flow: Flow, now: Now, out: &mut Outbox);

    /// The control side sent something.
    fn control(&mut self, control: Self::Control, now: Now, out: &mut Outbox);

    /// When [`wake`](Self::wake) wants to be called next, in monotonic nanoseconds; `None` when there is nothing to wait for.
    fn deadline(&self) -> Option<u64>;

    /// Time has come to [`deadline`](Self::deadline) or later.
    fn wake(&mut self, now: Now, out: &mut Outbox);

    /// The end of one turn of the loop: a chance to hand over log lines and publish counters.
    fn turn_ended(&mut self, now: Now);

    /// True once a draining shard has nothing left to wait for.
    fn is_idle(&self) -> bool;
}
