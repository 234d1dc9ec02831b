//! What there is: the machine, its network, its names, and the data directory.

use std::fs;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::UNIX_EPOCH;

use strowger_net::{BindFault, Cidr, Listen as Bound, Listener, Options};
use strowger_sip::transport::{self, Listeners};
use strowger_syntax::Transport;

use super::ports::program_at;
use crate::config::effective::{self, Asked, Machine};
use crate::config::{Config, Listen, UserSource};
use crate::dns::servers_of_domain;
use crate::{data_dir, subscriber};

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// To these addresses, each with a port if DNS says one.
    To(Vec<(IpAddr, Option<u16>)>),
    /// Nowhere.
    Nowhere,
    /// Nobody could tell.
    Unknown,
}

/// Why a listener cannot be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unbound {
    /// Its number.
    pub(super) place: usize,
    /// Whether somebody asked for it.
    pub(super) asked: Asked,
    /// What is wrong.
    pub(super) what: String,
    /// Who is there already.
    pub(super) holder: Option<String>,
    /// What to do.
    pub(super) mend: String,
}

/// What the kernel does with SIP that passes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Helper {
    /// Nothing.
    None,
    /// It can be told to rewrite addresses in messages.
    Loaded,
    /// It does so without being told.
    Automatic,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) machine: Machine,
    /// The networks of its interfaces, each with its own address there.
    pub(super) networks: Vec<(IpAddr, Cidr)>,
    pub(super) unbound: Vec<Unbound>,
    /// What is wrong with the data directory.
    pub(super) data_dir: Result<Vec<String>, String>,
    /// When a file there was last written, in Unix seconds.
    pub(super) last_written: Option<u64>,
    pub(super) now_secs: u64,
    /// Whether something keeps the clock; `None` if the kernel does not say.
    pub(super) clock_is_kept: Option<bool>,
    pub(super) descriptors: Option<u64>,
    /// Bytes of receive buffer granted, and asked for; an error where sockets of several shards cannot share an address.
    pub(super) udp_buffer: Result<(usize, usize), String>,
    /// The ports that the kernel gives to whoever asks for none, without those that it leaves out.
    pub(super) picked_ports: Vec<RangeInclusive<u16>>,
    pub(super) helper: Helper,
    /// Whether there are users; `None` if nobody here knows.
    pub(super) has_users: Option<bool>,
    /// The domains, and names that are advertised.
    pub(super) domains: Vec<(String, Leads)>,
    pub(super) advertised: Vec<(String, Leads)>,
}

impl Facts {
    /// Looks. While a server runs its ports are its own.
    pub(super) async fn gather(config: &Config, runs: bool) -> Self {
        let machine = Machine {
            host_name: strowger_net::host_name(),
            addresses: strowger_net::interface_addresses(),
        };
        let dir = &config.data_dir;
        let listeners = described(config, &machine);
        let (mut domains, mut advertised) = (Vec::new(), Vec::new());
        for name in config.domains.iter().filter(|name| is_name(name)) {
            domains.push((name.clone(), leads(config, &listeners, name).await));
        }
        let told = config.listen.iter().flat_map(|listen| &listen.advertise);
        for name in told.map(|told| &told.address.host).filter(|host| is_name(host)) {
            if !advertised.iter().any(|(known, _)| known == name) {
                advertised.push((name.clone(), leads(config, &listeners, name).await));
            }
        }
        Self {
            machine,
            networks: strowger_net::interface_networks(),
            unbound: if runs { Vec::new() } else { unbound(config) },
            data_dir: data_dir::look_at(dir)
                .map(|warnings| warnings.iter().map(ToString::to_string).collect())
                .map_err(|error| error.to_string()),
            last_written: last_written(dir),
            now_secs: strowger_net::now().wall_secs(),
            clock_is_kept: strowger_net::clock_is_kept(),
            descriptors: strowger_net::raise_descriptor_limit().ok(),
            udp_buffer: udp_buffer(),
            picked_ports: picked_ports(),
            helper: helper(),
            has_users: match &config.auth.users {
                UserSource::Kept => subscriber::has_users(dir),
                UserSource::File(_) | UserSource::Server(_) => None,
            },
            domains,
            advertised,
        }
    }
}

fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
}

/// The listeners as the core knows them.
pub(super) fn described(config: &Config, machine: &Machine) -> Listeners {
    let describe = |listen: &Listen| transport::Listener {
        transport: listen.uri.transport,
        address: listen.uri.address,
        advertise: listen.advertised(),
    };
    let all = effective::listeners(config);
    Listeners::new(
        all.iter().map(|listener| describe(&listener.listen)).collect(),
        machine.addresses.clone(),
    )
}

async fn leads(config: &Config, listeners: &Listeners, name: &str) -> Leads {
    let answer = servers_of_domain(&config.dns, listeners, name).await;
    let places = answer.servers.iter().flat_map(|server| {
        let port = server.port;
        server.addresses.iter().map(move |&ip| (ip, port))
    });
    match places.collect::<Vec<_>>() {
        none if none.is_empty() && answer.failed => Leads::Unknown,
        none if none.is_empty() => Leads::Nowhere,
        places => Leads::To(places),
    }
}

/// The listeners that cannot be bound now.
fn unbound(config: &Config) -> Vec<Unbound> {
    let options = Options::default();
    let try_to_bind = |(place, listener): (usize, effective::Listener)| {
        let uri = listener.listen.uri;
        let listen = Bound {
            transport: uri.transport,
            address: uri.address,
        };
        let error = Listener::bind(listen, &options).err()?;
        let is_taken = matches!(error.fault, BindFault::InUse);
        Some(Unbound {
            place,
            asked: listener.asked,
            what: error.to_string(),
            holder: is_taken.then(|| program_at(listen)).flatten(),
            mend: crate::running::mend_of_bind(&error),
        })
    };
    effective::listeners(config)
        .into_iter()
        .enumerate()
        .filter_map(try_to_bind)
        .collect()
}

/// Binds an address as a server with two shards would.
fn udp_buffer() -> Result<(usize, usize), String> {
    let options = Options {
        shards: 2,
        ..Options::default()
    };
    let listen = Bound {
        transport: Transport::Udp,
        address: ([127, 0, 0, 1], 0).into(),
    };
    let listener = Listener::bind(listen, &options).map_err(|error| error.to_string())?;
    let granted = listener.receive_buffer().unwrap_or(options.udp_buffer);
    Ok((granted, options.udp_buffer))
}

fn last_written(dir: &Path) -> Option<u64> {
    let files = fs::read_dir(dir).ok()?.flatten();
    let written = files.filter_map(|file| file.metadata().ok()?.modified().ok());
    Some(written.max()?.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

fn picked_ports() -> Vec<RangeInclusive<u16>> {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
    let range = read("ip_local_port_range");
    let bounds: Vec<u16> = range
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let &[first, last] = &bounds[..] else {
        return Vec::new();
    };
    left_out(first..=last, &ranges(&read("ip_local_reserved_ports")))
}

/// Ranges as the kernel writes them: `5060,5080-5090`.
pub(super) fn ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |word: &str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.trim().split(',').filter_map(range).collect()
}

/// A range without others.
pub(super) fn left_out(
    range: RangeInclusive<u16>,
    others: &[RangeInclusive<u16>],
) -> Vec<RangeInclusive<u16>> {
    let mut left = vec![range];
    for other in others {
        let cut = |range: RangeInclusive<u16>| {
            let before = *range.start()..=(*range.end()).min(other.start().saturating_sub(1));
            let behind = (*range.start()).max(other.end().saturating_add(1))..=*range.end();
            let misses = other.end() < range.start() || other.start() > range.end();
            if misses { vec![range] } else { vec![before, behind] }
        };
        left = left
            .into_iter()
            .flat_map(cut)
            .filter(|range| !range.is_empty())
            .collect();
    }
    left
}

fn helper() -> Helper {
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    let is_loaded = modules.lines().any(|line| line.starts_with("nf_conntrack_sip "));
    let is_there = is_loaded || Path::new("/sys/module/nf_conntrack_sip").exists();
    let automatic = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_helper").unwrap_or_default();
    match (is_there, automatic.trim() == "1", is_loaded) {
        (true, true, _) => Helper::Automatic,
        (_, _, true) => Helper::Loaded,
        _ => Helper::None,
    }
}
