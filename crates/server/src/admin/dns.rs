//! What DNS has said, and the next hops that have failed, as administrators see them.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use strowger_sip::transport::{Server, Transport, Wanted};

use super::{Filter, Gathering, Page, PageRequest};
use crate::dns::{self, Dns, Known};

/// What is known of a name, or a next hop that is avoided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsEntry {
    /// Its name in the list.
    pub id: String,
    /// The host name, or the hop as `udp:192.0.2.7:5060`.
    pub name: String,
    /// What was asked: `addresses`, `servers`, `sips servers`, or `tcp servers` and the like; nothing of a hop.
    pub wanted: String,
    /// How that stands.
    pub state: DnsState,
    /// The servers, each as `RANK WEIGHT TRANSPORT:ADDRESS:PORT`; what DNS has left to the URI is a `*`.
    pub servers: Vec<String>,
    /// Seconds for which it holds; 0 when the time is over and it is asked for again.
    pub expires_in: u64,
}

/// How it stands with a name or a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsState {
    /// There are servers.
    Found,
    /// There are none.
    None,
    /// Nobody has answered.
    Failed,
    /// The hop has failed and is tried last.
    Avoided,
}

impl DnsState {
    /// In lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::None => "none",
            Self::Failed => "failed",
            Self::Avoided => "avoided",
        }
    }
}

/// What is to be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsFlush {
    /// A host name with the hops that it leads to, or the address of hops; `None` for all.
    pub name: Option<String>,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsFlushed {
    /// Answers of DNS.
    pub names: u64,
    /// Hops that were avoided.
    pub hops: u64,
}

impl From<dns::Forgotten> for DnsFlushed {
    fn from(forgotten: dns::Forgotten) -> Self {
        Self {
            names: forgotten.names as u64,
            hops: forgotten.hops as u64,
        }
    }
}

impl DnsEntry {
    /// One page of all that is known at this time.
    pub fn page(dns: &Dns, filter: &Filter, request: PageRequest, now_ms: u64) -> Page<Self> {
        let mut gathering = Gathering::new(request);
        dns.cache.for_each(now_ms, |known| {
            let name = format!("name {} {}", known.host.as_str(), wanted(known.wanted));
            if filter.matches(&[&name]) {
                gathering.offer(name, |id| Self::of_name(id, known));
            }
        });
        for (transport, to, left_ms) in dns.avoided.list(now_ms) {
            let name = format!("hop {}:{to}", transport.uri_param());
            if filter.matches(&[&name]) {
                gathering.offer(name, |id| Self::of_hop(id, transport, to, left_ms));
            }
        }
        gathering.page()
    }

    fn of_name(id: &str, known: &Known<'_>) -> Self {
        Self {
            id: id.to_owned(),
            name: known.host.as_str().to_owned(),
            wanted: wanted(known.wanted).to_owned(),
            state: match (known.failed, known.servers) {
                (true, _) => DnsState::Failed,
                (false, []) => DnsState::None,
                (false, _) => DnsState::Found,
            },
            servers: known.servers.iter().flat_map(described).collect(),
            expires_in: known.left_ms.div_ceil(1000),
        }
    }

    fn of_hop(id: &str, transport: Transport, to: SocketAddr, left_ms: u64) -> Self {
        Self {
            id: id.to_owned(),
            name: format!("{}:{to}", transport.uri_param()),
            wanted: String::new(),
            state: DnsState::Avoided,
            servers: Vec::new(),
            expires_in: left_ms.div_ceil(1000),
        }
    }
}

fn wanted(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Addresses => "addresses",
        Wanted::AnyServers { secure: false } => "servers",
        Wanted::AnyServers { secure: true } => "sips servers",
        Wanted::Servers(Transport::Udp) => "udp servers",
        Wanted::Servers(Transport::Tcp) => "tcp servers",
        Wanted::Servers(Transport::Tls) => "tls servers",
        Wanted::Servers(Transport::Ws) => "ws servers",
        Wanted::Servers(Transport::Wss) => "wss servers",
    }
}

/// A server at each of its addresses.
fn described(server: &Server) -> impl Iterator<Item = String> {
    let transport = server.transport.map_or("*", Transport::uri_param);
    let port = server
        .port
        .map_or_else(|| "*".to_owned(), |port| port.to_string());
    server.addresses.iter().map(move |ip| {
        let host = if ip.is_ipv6() {
            format!("[{ip}]")
        } else {
            ip.to_string()
        };
        format!("{} {} {transport}:{host}:{port}", server.rank, server.weight)
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use strowger_sip::Destination;

    use super::*;
    use crate::config;
    use crate::dns::{Answer, HostName};

    fn learn(dns: &Dns, name: &str, wanted: Wanted, addresses: &[&str], failed: bool) {
        let address = |ip: &&str| ip.parse::<IpAddr>().expect("an address");
        let server = Server {
            rank: 10,
            weight: 60,
            transport: Some(Transport::Udp),
            port: None,
            addresses: addresses.iter().map(address).collect(),
        };
        let answer = Answer {
            servers: if addresses.is_empty() {
                Vec::new()
            } else {
                vec![server]
            },
            ttl_secs: 60,
            failed,
        };
        let host = HostName::new(name.as_bytes()).expect("a name");
        dns.learn(host, wanted, answer, 0);
    }

    fn dns() -> Dns {
        let settings = config::Dns {
            avoid_failed: Duration::from_secs(30),
            ..config::Dns::default()
        };
        let dns = Dns::new(&settings, [5; 16]).0;
        let any = Wanted::AnyServers { secure: false };
        learn(&dns, "far.test", any, &["2001:db8::1", "192.0.2.1"], false);
        learn(&dns, "gone.test", Wanted::Addresses, &[], false);
        learn(&dns, "dark.test", Wanted::Servers(Transport::Tcp), &[], true);
        for last in [1, 2] {
            let to = SocketAddr::from(([192, 0, 2, last], 5060));
            let transport = Transport::Tcp;
            dns.avoided
                .failed(Destination::Connect { transport, to }, None, 0);
        }
        dns
    }

    fn lines(dns: &Dns, filter: &str) -> Vec<String> {
        let filter = Filter { q: filter.to_owned() };
        let page = DnsEntry::page(dns, &filter, PageRequest::first(), 10_500);
        let line = |entry: DnsEntry| {
            let (state, servers) = (entry.state.as_str(), entry.servers.join(", "));
            format!("{}: {state} {} {servers}", entry.id, entry.expires_in)
        };
        page.items.into_iter().map(line).collect()
    }

    #[test]
    fn names_and_hops_are_shown_with_the_time_that_is_left() {
        let dns = dns();
        let all = [
            "hop tcp:192.0.2.1:5060: avoided 20 ",
            "hop tcp:192.0.2.2:5060: avoided 20 ",
            "name dark.test tcp servers: failed 50 ",
            "name far.test servers: found 50 10 60 udp:[2001:db8::1]:*, 10 60 udp:192.0.2.1:*",
            "name gone.test addresses: none 50 ",
        ];
        assert_eq!(lines(&dns, ""), all);
        assert_eq!(lines(&dns, "FAR"), all[3..4]);
    }

    #[test]
    fn a_name_is_forgotten_with_the_hops_that_it_leads_to() {
        let dns = dns();
        let forget = |what| DnsFlushed::from(dns.forget(what, 10_500));
        assert_eq!(forget(Some("near.test")), DnsFlushed { names: 0, hops: 0 });
        assert_eq!(forget(Some("Far.test")), DnsFlushed { names: 1, hops: 1 });
        for other in [
            "192.0.2.3",
            "192.0.2.2:5061",
            "udp:192.0.2.2:5060",
            "xtcp:192.0.2.2:5060",
        ] {
            assert_eq!(forget(Some(other)), DnsFlushed { names: 0, hops: 0 }, "{other}");
        }
        assert_eq!(lines(&dns, "hop"), ["hop tcp:192.0.2.2:5060: avoided 20 "]);
        assert_eq!(
            forget(Some("tcp:192.0.2.2:5060")),
            DnsFlushed { names: 0, hops: 1 }
        );
        assert_eq!(forget(None), DnsFlushed { names: 2, hops: 0 });
        assert!(lines(&dns, "").is_empty());
    }
}
