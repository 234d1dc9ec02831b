//! Draws by weight, and the hops that servers come to.

use super::*;
use crate::transport::{Destination, Listener, Listeners};

fn server(rank: u32, weight: u16, last: u8) -> Server {
    Server {
        rank,
        weight,
        transport: Some(Transport::Udp),
        port: Some(5070),
        addresses: vec![IpAddr::from([192, 0, 2, last])],
    }
}

/// The last numbers of the servers' addresses, in the order of a draw.
fn drawn(servers: &[Server], seed: u64) -> Vec<u8> {
    let mut order = Vec::new();
    draw(servers, seed, |server| match server.addresses[0] {
        IpAddr::V4(ip) => order.push(ip.octets()[3]),
        IpAddr::V6(_) => {}
    });
    order
}

fn hops(ways: Ways, servers: &[Server], listens: &[(Transport, &str)]) -> Vec<String> {
    let listener = |&(transport, address): &(Transport, &str)| Listener {
        transport,
        address: address.parse().expect("an address"),
        advertise: Vec::new(),
    };
    let listeners = Listeners::new(listens.iter().map(listener).collect(), Vec::new());
    let from = Departure {
        listeners: &listeners,
        preferred: (0, listeners.all()[0].address.ip()),
    };
    let mut hops = Vec::new();
    ways.put_servers(from, servers, 1, &mut hops);
    let described = |hop: Hop| match hop.to {
        Destination::Datagram { to, .. } => format!("udp {to}"),
        Destination::Connect { transport, to } => format!("{} {to}", transport.uri_param()),
        Destination::Flow(_) => "flow".to_owned(),
    };
    hops.into_iter().map(described).collect()
}

const UDP_AND_TCP: [(Transport, &str); 2] = [
    (Transport::Udp, "192.0.2.1:5060"),
    (Transport::Tcp, "192.0.2.1:5060"),
];

const SMALL: Ways = Ways {
    port: None,
    transport: Transport::Udp,
    is_large: false,
};

// RFC 2782: a priority that is lower comes first, whatever the weights.
#[test]
fn all_of_a_rank_come_before_those_of_the_next() {
    let servers = [
        server(1, 0, 1),
        server(1, 9, 2),
        server(2, 60_000, 3),
        server(7, 1, 4),
    ];
    for seed in 0..200 {
        let order = drawn(&servers, seed);
        assert_eq!((order.len(), &order[2..]), (4, &[3, 4][..]));
    }
}

// RFC 3261 §16.11, RFC 3263 §4.4: what is forwarded without state goes to the same server again.
#[test]
fn the_same_seed_draws_the_same_order() {
    let servers: Vec<_> = (1..=64).map(|n| server(3, u16::from(n) * 7, n)).collect();
    for seed in 0..50 {
        let mut order = drawn(&servers, seed);
        assert_eq!(order, drawn(&servers, seed));
        order.sort_unstable();
        assert!(order.into_iter().eq(1..=64));
    }
    assert_ne!(drawn(&servers, 1), drawn(&servers, 2));
}

/// Pearson's statistic of how often each server came first in 1,000 draws.
fn chi_square(servers: &[Server], seeds: impl Iterator<Item = u64>) -> f64 {
    let sum: f64 = servers.iter().map(|server| f64::from(server.weight)).sum();
    let mut counts = vec![0.0; servers.len()];
    for seed in seeds.take(1000) {
        counts[usize::from(drawn(servers, seed)[0]) - 1] += 1.0;
    }
    let deviation = |(server, count): (&Server, f64)| {
        let expected = 1000.0 * f64::from(server.weight) / sum;
        (count - expected).powi(2) / expected
    };
    servers.iter().zip(counts).map(deviation).sum()
}

#[test]
fn the_first_of_1000_draws_follows_the_weights() {
    let mut servers: Vec<_> = [10, 20, 30, 40]
        .into_iter()
        .zip(1..)
        .map(|(weight, n)| server(0, weight, n))
        .collect();
    // With 3 degrees of freedom, 16.27 is exceeded by one of a thousand.
    for begin in [0, 1 << 20, u64::MAX / 3] {
        assert!(chi_square(&servers, begin..) < 16.27, "{begin}");
    }
    for (server, weight) in servers.iter_mut().zip([1, 1, 1, 1]) {
        server.weight = weight;
    }
    assert!(chi_square(&servers, 0..) < 16.27);
}

#[test]
fn who_has_no_weight_is_hardly_ever_first_but_never_forgotten() {
    let servers = [server(0, 0, 1), server(0, 1, 2)];
    let first = (0..10_000).filter(|&seed| drawn(&servers, seed)[0] == 1).count();
    assert!((1..200).contains(&first), "{first}");
    let servers = [server(0, 0, 1), server(0, 0, 2)];
    let first = (0..10_000).filter(|&seed| drawn(&servers, seed)[0] == 1).count();
    assert!((4700..5300).contains(&first), "{first}");
}

#[test]
fn there_are_no_hops_by_transports_and_families_without_a_listener() {
    let mut servers = [server(0, 1, 1), server(1, 1, 2), server(2, 1, 3)];
    servers[0].transport = Some(Transport::Tls);
    servers[1]
        .addresses
        .insert(0, "2001:db8::2".parse().expect("one"));
    servers[2].transport = Some(Transport::Tcp);
    assert_eq!(
        hops(SMALL, &servers, &UDP_AND_TCP),
        ["udp 192.0.2.2:5070", "tcp 192.0.2.3:5070"]
    );
    let both = [UDP_AND_TCP[0], (Transport::Udp, "[2001:db8::1]:5060")];
    assert_eq!(
        hops(SMALL, &servers, &both),
        ["udp [2001:db8::2]:5070", "udp 192.0.2.2:5070"]
    );
}

#[test]
fn the_uri_says_what_dns_does_not() {
    let mut servers = [server(0, 1, 1)];
    (servers[0].transport, servers[0].port) = (None, None);
    assert_eq!(hops(SMALL, &servers, &UDP_AND_TCP), ["udp 192.0.2.1:5060"]);
    let ways = Ways {
        port: Some(5075),
        transport: Transport::Tcp,
        ..SMALL
    };
    assert_eq!(hops(ways, &servers, &UDP_AND_TCP), ["tcp 192.0.2.1:5075"]);
}

// RFC 3261 §18.1.1.
#[test]
fn a_large_request_goes_to_servers_that_take_it_by_tcp() {
    let large = Ways {
        is_large: true,
        ..SMALL
    };
    let mut servers = [server(0, 1, 1), server(1, 1, 2)];
    assert_eq!(
        hops(large, &servers, &UDP_AND_TCP),
        [
            "tcp 192.0.2.1:5070",
            "udp 192.0.2.1:5070",
            "tcp 192.0.2.2:5070",
            "udp 192.0.2.2:5070"
        ]
    );
    servers[1].transport = Some(Transport::Tcp);
    assert_eq!(
        hops(large, &servers, &UDP_AND_TCP),
        ["tcp 192.0.2.2:5070", "udp 192.0.2.1:5070"]
    );
}

// RFC 7984 §4.
#[test]
fn addresses_of_one_server_are_sorted_by_family() {
    let mut all = [
        "fd00::1",
        "192.0.2.1",
        "2001:db8::1",
        "2002:c000:201::1",
        "2001::1",
        "::1",
    ]
    .map(|ip| ip.parse().expect("an address"));
    all.sort_by_key(preference);
    let sorted = all.map(|ip: IpAddr| ip.to_string());
    assert_eq!(
        sorted,
        [
            "::1",
            "2001:db8::1",
            "192.0.2.1",
            "2002:c000:201::1",
            "2001::1",
            "fd00::1"
        ]
    );
}
