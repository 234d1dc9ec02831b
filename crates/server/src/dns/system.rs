//! The machine's way to DNS: `/etc/hosts`, and name servers as configured or as `/etc/resolv.conf` names them.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver};

use super::records::{Naptr, Records, Said, Srv};
use crate::config;

/// For how many seconds a failure is not tried again.
const FAILED_TTL: u32 = 10;
/// For how many seconds something does not exist whose zone does not say for how long (RFC 2308 §5).
const NEGATIVE_TTL: u32 = 10;
/// Questions that may be under way to one name server.
const AT_ONCE: usize = 1024;

/// The way to DNS; without a name server only `/etc/hosts`.
pub(crate) struct System {
    resolver: Option<TokioResolver>,
}

impl System {
    /// The way to DNS when other settings are configured; `None` if it is as it was.
    ///
    /// # Errors
    /// There is no name server.
    pub(crate) fn changed(former: &config::Dns, next: &config::Dns) -> Result<Option<Self>, NetError> {
        let way = |settings: &config::Dns| (settings.timeout, settings.attempts);
        if former.servers == next.servers && way(former) == way(next) {
            return Ok(None);
        }
        let resolver = Some(Self::resolver(next)?);
        Ok(Some(Self { resolver }))
    }

    /// As configured.
    pub(crate) fn new(settings: &config::Dns) -> Self {
        let resolver = Self::resolver(settings);
        if let Err(error) = &resolver {
            tracing::warn!(%error, "no name server: only names in /etc/hosts have addresses; set `dns.servers`");
        }
        Self {
            resolver: resolver.ok(),
        }
    }

    fn resolver(settings: &config::Dns) -> Result<TokioResolver, NetError> {
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = settings.servers.iter().map(|&server| name_server(server));
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = settings.timeout;
        options.attempts = usize::from(settings.attempts);
        // There is a cache behind it, and hosts are read as they are at the time.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.max_active_requests = AT_ONCE;
        builder.build()
    }

    async fn ask<T>(
        &self,
        name: &str,
        record_type: RecordType,
        read: impl Fn(&RData) -> Option<T> + Send,
    ) -> Said<T> {
        let failed = Said {
            records: Vec::new(),
            ttl_secs: FAILED_TTL,
            failed: true,
        };
        let Some(resolver) = &self.resolver else {
            return failed;
        };
        let Some(queried) = absolute(name) else {
            return negative(None);
        };
        match resolver.lookup(queried, record_type).await {
            Ok(lookup) => {
                let answers = lookup.answers();
                let records: Vec<_> = answers.iter().filter_map(|record| read(&record.data)).collect();
                match answers.iter().map(|record| record.ttl).min() {
                    Some(ttl_secs) if !records.is_empty() => Said {
                        records,
                        ttl_secs,
                        failed: false,
                    },
                    ttl_secs => negative(ttl_secs),
                }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) if is_denial(&none.response_code) => {
                negative(none.negative_ttl)
            }
            Err(error) => {
                tracing::debug!(name, %record_type, %error, "DNS did not answer");
                failed
            }
        }
    }
}

fn is_denial(code: &hickory_resolver::proto::op::ResponseCode) -> bool {
    use hickory_resolver::proto::op::ResponseCode;
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

fn negative<T>(ttl_secs: Option<u32>) -> Said<T> {
    Said {
        records: Vec::new(),
        ttl_secs: ttl_secs.unwrap_or(NEGATIVE_TTL),
        failed: false,
    }
}

/// A name server at an address and port, by UDP and for long answers by TCP.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

/// The name as DNS has it. One without a dot is looked for where `/etc/resolv.conf` says.
fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    if name.num_labels() > 1 {
        name.set_fqdn(true);
    }
    Some(name)
}

/// The text of a name, without the dot at its end.
fn text(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Records for System {
    fn local(&self, name: &str) -> Vec<IpAddr> {
        let (Some(name), Ok(hosts)) = (Name::from_ascii(name).ok(), Hosts::from_system()) else {
            return Vec::new();
        };
        let types = [RecordType::AAAA, RecordType::A];
        let found = types
            .into_iter()
            .filter_map(|record_type| hosts.lookup_static_host(&Query::query(name.clone(), record_type)));
        let addresses = |lookup: hickory_resolver::lookup::Lookup| {
            let records = lookup.answers().iter();
            records
                .filter_map(|record| record.data.ip_addr())
                .collect::<Vec<_>>()
        };
        found.flat_map(addresses).collect()
    }

    async fn naptr(&self, name: &str) -> Said<Naptr> {
        self.ask(name, RecordType::NAPTR, |data| match data {
            RData::NAPTR(naptr) => Some(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                flags: words(&naptr.flags),
                service: words(&naptr.services),
                regexp: words(&naptr.regexp),
                replacement: text(&naptr.replacement),
            }),
            _ => None,
        })
        .await
    }

    async fn srv(&self, name: &str) -> Said<Srv> {
        self.ask(name, RecordType::SRV, |data| match data {
            RData::SRV(srv) => Some(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: text(&srv.target),
            }),
            _ => None,
        })
        .await
    }

    async fn a(&self, name: &str) -> Said<IpAddr> {
        self.ask(name, RecordType::A, RData::ip_addr).await
    }

    async fn aaaa(&self, name: &str) -> Said<IpAddr> {
        self.ask(name, RecordType::AAAA, RData::ip_addr).await
    }
}
