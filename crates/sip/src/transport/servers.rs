//! The servers of a name, as DNS tells them, and the order in which they are tried (RFC 3263 §4, RFC 2782, RFC 7984).

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use strowger_syntax::Transport;

use super::{Departure, Hop};

/// The most servers of a name that are looked at.
pub const MOST_SERVERS: usize = 64;
/// The most addresses of a server.
pub const MOST_ADDRESSES: usize = 8;
/// How many parts the weight of one has in a draw, so that what has no weight at all has a very small chance.
const PARTS: u64 = 256;

/// What has to be known of a name before a request can go there (RFC 3263 §4.1, §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Its addresses: the URI has a port.
    Addresses,
    /// Its servers for this transport: the URI names it.
    Servers(Transport),
    /// Its servers for whatever transport it prefers.
    AnyServers {
        /// Over TLS only: the URI is a `sips:` one.
        secure: bool,
    },
}

/// One server of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Servers of a lower rank come first, those of the same one share the load.
    pub rank: u32,
    /// Its share.
    pub weight: u16,
    /// By which transport it is reached; `None` leaves that to the URI.
    pub transport: Option<Transport>,
    /// At which port; `None` leaves that to the URI.
    pub port: Option<u16>,
    /// Its addresses, best first.
    pub addresses: Vec<IpAddr>,
}

/// The ports and transports by which a next hop is tried, as far as its URI says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// The port, if the URI has one.
    pub(super) port: Option<u16>,
    /// The transport where nobody says another one.
    pub(super) transport: Transport,
    /// Whether a request this large goes by TCP wherever it may (RFC 3261 §18.1.1).
    pub(super) is_large: bool,
}

impl Ways {
    /// Adds the hops to one address: by TCP and then by UDP if the request is too large for UDP.
    pub fn put(self, from: Departure<'_>, ip: IpAddr, hops: &mut Vec<Hop>) {
        self.put_by(from, None, None, ip, hops);
    }

    /// The hop to one address, for a request that is not too large.
    pub(super) fn first(self, from: Departure<'_>, ip: IpAddr) -> Option<Hop> {
        let port = self.port.unwrap_or_else(|| self.transport.default_port());
        let to = SocketAddr::new(ip, port);
        from.listeners.hop(self.transport, to, Some(from.preferred))
    }

    fn put_by(
        self,
        from: Departure<'_>,
        transport: Option<Transport>,
        port: Option<u16>,
        ip: IpAddr,
        hops: &mut Vec<Hop>,
    ) {
        let transport = transport.unwrap_or(self.transport);
        let port = self.port.or(port).unwrap_or_else(|| transport.default_port());
        let to = SocketAddr::new(ip, port);
        let mut put = |way| hops.extend(from.listeners.hop(way, to, Some(from.preferred)));
        if self.is_large && transport == Transport::Udp {
            put(Transport::Tcp);
        }
        put(transport);
    }

    /// Adds the hops to the servers of a name, those first that a draw by `seed` puts first: the same for the same seed. A
    /// large request goes to those that take it by TCP, if there are any.
    pub fn put_servers(self, from: Departure<'_>, servers: &[Server], seed: u64, hops: &mut Vec<Hop>) {
        let is_reliable = |server: &Server| server.transport.is_some_and(Transport::is_reliable);
        let start = hops.len();
        if self.is_large {
            draw(servers, seed, |server| {
                if is_reliable(server) {
                    self.put_server(from, server, hops);
                }
            });
        }
        let others = Self {
            is_large: self.is_large && hops.len() == start,
            ..self
        };
        draw(servers, seed, |server| {
            if !self.is_large || !is_reliable(server) {
                others.put_server(from, server, hops);
            }
        });
    }

    fn put_server(self, from: Departure<'_>, server: &Server, hops: &mut Vec<Hop>) {
        for &ip in &server.addresses {
            self.put_by(from, server.transport, server.port, ip, hops);
        }
    }
}

/// Shows servers, which are sorted by rank, in the order in which they are tried: by rank, and among those of the same
/// rank as their weights draw it (RFC 2782). The draw depends on nothing but the seed.
pub fn draw(servers: &[Server], seed: u64, mut show: impl FnMut(&Server)) {
    let mut numbers = Numbers(seed);
    let servers = &servers[..servers.len().min(MOST_SERVERS)];
    for equals in servers.chunk_by(|a, b| a.rank == b.rank) {
        let mut left = u64::MAX >> (64 - equals.len());
        while left != 0 {
            let drawn = draw_one(equals, left, &mut numbers);
            left &= !(1 << drawn);
            if let Some(server) = equals.get(drawn) {
                show(server);
            }
        }
    }
}

/// Draws one of those that are left. Without any weights all have the same chance.
fn draw_one(servers: &[Server], left: u64, numbers: &mut Numbers) -> usize {
    let those_left = || {
        let numbered = servers.iter().enumerate();
        numbered.filter(|(number, _)| left & 1 << number != 0)
    };
    let sum: u64 = those_left().map(|(_, server)| u64::from(server.weight)).sum();
    let first = left.trailing_zeros() as usize;
    if sum == 0 {
        let drawn = numbers.below(u64::from(left.count_ones())) as usize;
        return those_left().nth(drawn).map_or(first, |(number, _)| number);
    }
    let drawn = numbers.below(sum * PARTS + 1);
    let is_weightless = |server: &Server| server.weight == 0;
    if drawn == 0
        && let Some((number, _)) = those_left().find(|(_, server)| is_weightless(server))
    {
        return number;
    }
    let mut running = 0;
    let weighty = those_left().filter(|(_, server)| !is_weightless(server));
    let found = weighty.map(|(number, server)| {
        running += u64::from(server.weight) * PARTS;
        (number, running)
    });
    let mut found = found.skip_while(|&(_, running)| running < drawn);
    found.next().map_or(first, |(number, _)| number)
}

/// Numbers that are a function of a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    /// The next one, below a bound.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = mixed ^ mixed >> 31;
        ((u128::from(number) * u128::from(bound)) >> 64) as u64
    }
}

/// How much an address is preferred to the others of its server, a smaller number first (RFC 6724 §2.1, §6 rule 6). That
/// there is an address of ours to go from is seen when the hop is made.
pub fn preference(ip: &IpAddr) -> u8 {
    match ip {
        IpAddr::V6(ip) if ip.is_loopback() => 0,
        IpAddr::V6(ip) => match ip.segments() {
            [0, 0, 0, 0, 0, 0xffff, ..] => 2,
            [0x2002, ..] => 3,
            [0x2001, 0, ..] => 4,
            [first, ..] if first & 0xfe00 == 0xfc00 => 5,
            _ => 1,
        },
        IpAddr::V4(_) => 2,
    }
}
