//! What can be set about sockets, connections and shards.

use std::net::IpAddr;
use std::time::Duration;

use strowger_syntax::Limits;

use strowger_sip::transport::Cidr;

/// Settings of sockets and shards. Everything a peer can make large has its bound here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many shards there are: one thread each. Every listener is bound once per shard.
    pub shards: u16,
    /// How long a message may wait at most while a shard lets some gather, at a moderate load, rather than to be woken for
    /// each. Under 0.1 ms there is no waiting, nor is there at a light load.
    pub longest_nap: Duration,
    /// Whether each shard keeps to one CPU.
    pub pinning: Pinning,
    /// Bytes asked for as receive and send buffer of a UDP socket. The kernel may grant less:
    /// [`Listener::receive_buffer`](crate::Listener::receive_buffer) says what it granted.
    pub udp_buffer: usize,
    /// How many datagrams of one socket are taken in one turn before others get theirs.
    pub datagrams_per_turn: usize,
    /// Bytes of datagrams that may wait for a socket whose send buffer is full; what is beyond is dropped.
    pub udp_backlog: usize,
    /// Items that each ring between two shards holds.
    pub ring: usize,
    /// Messages of the control side that may wait for one shard.
    pub control: usize,
    /// Limits of a message on a connection; a longer one closes it.
    pub limits: Limits,
    /// What holds for connections.
    pub connections: ConnectionOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 1,
            longest_nap: Duration::from_micros(300),
            pinning: Pinning::default(),
            udp_buffer: 4 << 20,
            datagrams_per_turn: 256,
            udp_backlog: 1 << 20,
            ring: 1024,
            control: 65_536,
            limits: Limits::DEFAULT,
            connections: ConnectionOptions::default(),
        }
    }
}

/// Settings of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// Connections that one shard holds, accepted and opened ones together.
    pub per_shard: usize,
    /// Accepted connections of all shards from one source: an IPv4 address or an IPv6 /64.
    pub per_source: usize,
    /// Sources that may have any number of them, and are read on while they don't read.
    pub exempt: Vec<Cidr>,
    /// How long a connection may take to be established.
    pub connect: Duration,
    /// How long a connection without any traffic is kept.
    pub idle: Duration,
    /// How long a peer that connected may take until its first message is here.
    pub silent: Duration,
    /// How long a peer may take to complete a message that it began.
    pub partial: Duration,
    /// How long a peer may take no byte of what waits for it.
    pub stall: Duration,
    /// How long a connection that is being closed may still take and give what is under way.
    pub linger: Duration,
    /// Bytes that may wait for one connection. Nothing is read of a peer for whom a quarter of them waits, unless we have
    /// connected to it or it is [`exempt`](Self::exempt).
    pub backlog: usize,
    /// Bytes that may wait for all connections of a shard; beyond, a sixteenth of [`backlog`](Self::backlog) for each.
    pub backlog_of_all: usize,
}

impl ConnectionOptions {
    /// How many connections a peer's source may have; `None` when any number.
    pub(crate) fn most_of(&self, peer: IpAddr) -> Option<usize> {
        let exempt = self.exempt.iter().any(|block| block.contains(peer));
        (!exempt).then_some(self.per_source)
    }
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            per_shard: 16_384,
            per_source: 4096,
            exempt: Vec::new(),
            connect: Duration::from_secs(2),
            idle: Duration::from_secs(3600),
            silent: Duration::from_secs(30),
            partial: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            backlog: 256 << 10,
            backlog_of_all: 32 << 20,
        }
    }
}

/// Whether shards keep to one CPU each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Each shard to one CPU of those that the process may use; not at all when there are more shards than CPUs.
    #[default]
    OneCpu,
    /// The scheduler moves them as it likes.
    Off,
}
