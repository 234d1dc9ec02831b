//! From a name to its servers (RFC 3263 §4.1, §4.2): NAPTR, then SRV, then addresses.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use strowger_sip::transport::servers::{MOST_ADDRESSES, MOST_SERVERS, preference};
use strowger_sip::transport::{Listeners, Server, Transport, Wanted};
use tokio::task::JoinSet;

use super::records::{Naptr, Records, Said, Srv};
use super::service_of;

/// For how many seconds addresses hold that the machine itself knows.
const LOCAL_TTL: u32 = 60;
/// Services of a name that are looked at.
const MOST_SERVICES: usize = 8;

/// What can be reached from here: the transports and address families that there are listeners of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// A bit for each transport.
    transports: u8,
    ipv4: bool,
    ipv6: bool,
}

impl Carried {
    /// What these listeners can reach.
    pub fn by(listeners: &Listeners) -> Self {
        let mut carried = Self::default();
        for listener in listeners.all() {
            carried.transports |= 1 << listener.transport as u8;
            carried.ipv4 |= listener.address.is_ipv4();
            carried.ipv6 |= listener.address.is_ipv6();
        }
        carried
    }

    pub(super) fn to_bits(self) -> u32 {
        u32::from(self.transports) | u32::from(self.ipv4) << 8 | u32::from(self.ipv6) << 9
    }

    pub(super) fn from_bits(bits: u32) -> Self {
        Self {
            transports: bits as u8,
            ipv4: bits & 1 << 8 != 0,
            ipv6: bits & 1 << 9 != 0,
        }
    }

    fn has(self, transport: Transport) -> bool {
        self.transports & 1 << transport as u8 != 0
    }
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its servers, by rank.
    pub servers: Vec<Server>,
    /// For how many seconds all of this holds.
    pub ttl_secs: u32,
    /// Whether there are no servers because nobody could tell.
    pub failed: bool,
}

/// A service that a name has: its transport, and where its SRV records are.
type Service = (Transport, String);

/// Something being put together from what is said.
struct Gathered {
    ttl_secs: u32,
    failed: bool,
}

impl Gathered {
    fn new() -> Self {
        Self {
            ttl_secs: u32::MAX,
            failed: false,
        }
    }

    /// Takes the records out of what was said, and notes for how long they hold.
    fn take<T>(&mut self, said: Said<T>) -> Vec<T> {
        self.ttl_secs = self.ttl_secs.min(said.ttl_secs);
        self.failed |= said.failed;
        said.records
    }

    fn answer(self, servers: Vec<Server>) -> Answer {
        Answer {
            failed: self.failed && servers.is_empty(),
            servers,
            ttl_secs: self.ttl_secs,
        }
    }
}

/// Finds the servers of a name.
pub(super) async fn servers_of<R: Records>(
    records: &Arc<R>,
    name: &str,
    wanted: Wanted,
    carried: Carried,
) -> Answer {
    let local = records.local(name);
    if !local.is_empty() {
        let servers = one_server(sorted(local, carried), None);
        let (ttl_secs, failed) = (LOCAL_TTL, false);
        return Answer {
            servers,
            ttl_secs,
            failed,
        };
    }
    let mut gathered = Gathered::new();
    let own = own_services(name, wanted, carried);
    let (naptr, own, addresses) = tokio::join!(
        naptr_of(records, name, wanted),
        srv_of(records, own),
        addresses_of(&**records, name, carried),
    );
    // RFC 3263 §4.1: the services that NAPTR records name, else those that have SRV records by the usual names.
    let services = naptr.map(|said| applicable(gathered.take(said), wanted, carried));
    let found = match services {
        Some(services) if !services.is_empty() => {
            let transport = services.first().map(|&(transport, _)| transport);
            (srv_of(records, services).await, transport)
        }
        _ => (own, None),
    };
    let (services, transport) = found;
    // RFC 3263 §4.2: their servers, or else the name's own addresses.
    let services = services
        .into_iter()
        .map(|(transport, said)| (transport, gathered.take(said)));
    let services: Vec<_> = services.filter(|(_, srv)| !srv.is_empty()).collect();
    let servers = if services.is_empty() {
        one_server(gathered.take(addresses), transport)
    } else {
        servers_by(records, services, carried, &mut gathered).await
    };
    gathered.answer(servers)
}

/// A name that is a server itself.
fn one_server(addresses: Vec<IpAddr>, transport: Option<Transport>) -> Vec<Server> {
    if addresses.is_empty() {
        return Vec::new();
    }
    vec![Server {
        rank: 0,
        weight: 0,
        transport,
        port: None,
        addresses,
    }]
}

async fn naptr_of<R: Records>(records: &Arc<R>, name: &str, wanted: Wanted) -> Option<Said<Naptr>> {
    match wanted {
        Wanted::AnyServers { .. } => Some(records.naptr(name).await),
        Wanted::Servers(_) | Wanted::Addresses => None,
    }
}

/// The services whose SRV records are asked for by their usual names (RFC 3263 §4.1, §4.2).
fn own_services(name: &str, wanted: Wanted, carried: Carried) -> Vec<Service> {
    let transports: &[Transport] = match wanted {
        Wanted::Addresses => &[],
        Wanted::Servers(transport) => &[transport],
        Wanted::AnyServers { secure: false } => &[Transport::Udp, Transport::Tcp],
        Wanted::AnyServers { secure: true } => &[Transport::Tls],
    };
    let service = |&transport: &Transport| (transport, format!("{}.{name}", service_of(transport)));
    let ours = transports.iter().filter(|&&transport| carried.has(transport));
    ours.map(service).collect()
}

/// The services among NAPTR records, best first (RFC 3263 §4.1): those of the lowest order that has any, because no other order is
/// looked at once there is a match (RFC 3403 §4.1).
fn applicable(mut naptr: Vec<Naptr>, wanted: Wanted, carried: Carried) -> Vec<Service> {
    naptr.sort_by_key(|record| (record.order, record.preference));
    let secure_only = wanted == Wanted::AnyServers { secure: true };
    let mut services: Vec<_> = naptr
        .into_iter()
        .filter(|record| record.flags.eq_ignore_ascii_case("s") && record.regexp.is_empty())
        .filter_map(|record| {
            let transport = transport_of(&record.service)?;
            let fits = carried.has(transport) && (transport.is_secure() || !secure_only);
            (fits && !record.replacement.is_empty())
                .then_some((record.order, (transport, record.replacement)))
        })
        .collect();
    let first = services.first().map(|&(order, _)| order);
    services.retain(|&(order, _)| Some(order) == first);
    services.truncate(MOST_SERVICES);
    services.into_iter().map(|(_, service)| service).collect()
}

/// The transport of a NAPTR record's service field (RFC 3263 §4.1, RFC 7118 §5.2).
fn transport_of(service: &str) -> Option<Transport> {
    let services = [
        ("SIP+D2U", Transport::Udp),
        ("SIP+D2T", Transport::Tcp),
        ("SIPS+D2T", Transport::Tls),
        ("SIP+D2W", Transport::Ws),
        ("SIPS+D2W", Transport::Wss),
    ];
    let mut services = services.into_iter();
    services
        .find(|(name, _)| service.eq_ignore_ascii_case(name))
        .map(|(_, transport)| transport)
}

/// Does something with each, all at once; the results in the order of what they come from.
async fn each<T, O, F>(all: Vec<T>, begin: impl Fn(T) -> F) -> Vec<O>
where
    O: Send + 'static,
    F: Future<Output = O> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for (number, one) in all.into_iter().enumerate() {
        let work = begin(one);
        tasks.spawn(async move { (number, work.await) });
    }
    let mut results = tasks.join_all().await;
    results.sort_by_key(|&(number, _)| number);
    results.into_iter().map(|(_, result)| result).collect()
}

async fn srv_of<R: Records>(records: &Arc<R>, services: Vec<Service>) -> Vec<(Transport, Said<Srv>)> {
    each(services, |(transport, name)| {
        let records = Arc::clone(records);
        async move { (transport, records.srv(&name).await) }
    })
    .await
}

/// The addresses of a name, of all families that there are listeners of (RFC 7984 §3.1).
async fn addresses_of<R: Records>(records: &R, name: &str, carried: Carried) -> Said<IpAddr> {
    let ipv4 = async {
        match carried.ipv4 {
            true => Some(records.a(name).await),
            false => None,
        }
    };
    let ipv6 = async {
        match carried.ipv6 {
            true => Some(records.aaaa(name).await),
            false => None,
        }
    };
    let (ipv4, ipv6) = tokio::join!(ipv4, ipv6);
    let mut gathered = Gathered::new();
    let families = [ipv6, ipv4].into_iter().flatten();
    let all = families.flat_map(|said| gathered.take(said)).collect();
    Said {
        records: sorted(all, carried),
        ttl_secs: gathered.ttl_secs,
        failed: gathered.failed,
    }
}

/// Addresses that can be reached, best first (RFC 7984 §4).
fn sorted(mut addresses: Vec<IpAddr>, carried: Carried) -> Vec<IpAddr> {
    addresses.retain(|ip| if ip.is_ipv4() { carried.ipv4 } else { carried.ipv6 });
    addresses.sort_by_key(preference);
    addresses.truncate(MOST_ADDRESSES);
    addresses
}

/// The servers that SRV records name, in the order of the services and of their priorities. What has the same rank is in
/// an order that does not depend on that of the answer (RFC 3263 §4.4).
async fn servers_by<R: Records>(
    records: &Arc<R>,
    services: Vec<(Transport, Vec<Srv>)>,
    carried: Carried,
    gathered: &mut Gathered,
) -> Vec<Server> {
    let mut all = Vec::new();
    for (number, (transport, mut srv)) in (0u32..).zip(services) {
        srv.sort();
        // RFC 2782: the root as a target says that there is no such service.
        srv.retain(|record| !record.target.is_empty());
        all.extend(srv.into_iter().map(|record| (number, transport, record)));
    }
    all.truncate(MOST_SERVERS);
    let mut targets: Vec<_> = all.iter().map(|(.., srv)| srv.target.clone()).collect();
    targets.sort();
    targets.dedup();
    let said = each(targets, |target| {
        let records = Arc::clone(records);
        async move {
            let said = addresses_of(&*records, &target, carried).await;
            (target, said)
        }
    })
    .await;
    let known: Vec<_> = said
        .into_iter()
        .map(|(target, said)| (target, gathered.take(said)))
        .collect();
    let server = |(number, transport, srv): (u32, Transport, Srv)| {
        let (_, addresses) = known.iter().find(|(target, _)| *target == srv.target)?;
        (!addresses.is_empty()).then(|| Server {
            rank: number << 16 | u32::from(srv.priority),
            weight: srv.weight,
            transport: Some(transport),
            port: Some(srv.port),
            addresses: addresses.clone(),
        })
    };
    all.into_iter().filter_map(server).collect()
}
