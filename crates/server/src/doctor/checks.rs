//! What is wrong: each function looks at one thing, and finds what is to be told of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use strowger_sip::transport::is_private;
use strowger_syntax::Transport;

use super::facts::{Facts, Helper, Leads, described};
use super::{Counted, Finding, Live, Severity, view};
use crate::config::effective::{self, Asked, Because, is_loopback};
use crate::config::{Cidr, Config, HostPort, KeepAlive, Listen, ListenUri};

/// When this was written, so that no clock is right that shows an earlier time.
const NOT_BEFORE_SECS: u64 = 1_767_225_600;

/// How much later than now a file may have been written, in seconds.
const CLOCK_SLACK_SECS: u64 = 60;

/// Descriptors that a server takes besides its connections.
const OTHER_DESCRIPTORS: u64 = 256;

/// The time after which many NATs forget a way by UDP, in seconds (RFC 4787 §4.3 asks them for two minutes at least).
const SHORT_NAT_SECS: u64 = 30;

use Severity::{Error, Note, Warning};

fn finding(
    severity: Severity,
    about: &str,
    what: impl Into<String>,
    why: &str,
    mend: impl Into<String>,
) -> Finding {
    Finding {
        severity,
        about: about.to_owned(),
        what: what.into(),
        why: why.to_owned(),
        mend: mend.into(),
    }
}

/// All that follows from a configuration and what there is.
pub(super) fn all(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    ports(config, facts, &mut found);
    told(config, facts, &mut found);
    advertised(config, facts, &mut found);
    domains(config, facts, &mut found);
    authentication(config, &mut found);
    users(config, facts, &mut found);
    trusted(config, &mut found);
    visitors(config, &mut found);
    transports(config, &mut found);
    keep_alive(config, &mut found);
    machine(config, facts, &mut found);
    found
}

fn is_open(uri: ListenUri) -> bool {
    !is_loopback(uri.address.ip())
}

fn uris(config: &Config) -> Vec<ListenUri> {
    let all = effective::listeners(config).into_iter();
    all.map(|listener| listener.listen.uri).collect()
}

/// Listeners that cannot be bound, and ports that may be gone when they are to be.
fn ports(config: &Config, facts: &Facts, found: &mut Vec<Finding>) {
    for unbound in &facts.unbound {
        let severity = if unbound.asked == Asked::Explicit {
            Error
        } else {
            Warning
        };
        let holder = unbound.holder.as_ref().map(|who| format!(": by {who}"));
        let what = format!("{}{}", unbound.what, holder.unwrap_or_default());
        let why = "the server does not start, or phones that are told this address do not reach it";
        found.push(finding(severity, "ports", what, why, unbound.mend.clone()));
    }
    for uri in uris(config) {
        let port = uri.address.port();
        if port != 0 && facts.picked_ports.iter().any(|range| range.contains(&port)) {
            let what = format!("{uri} is among the ports that the kernel gives to programs that ask for any");
            let why = "if one of them is there when the server starts, it does not start";
            let mend = format!(
                "sysctl -w net.ipv4.ip_local_reserved_ports={port} (and in /etc/sysctl.d), or choose a port below that range"
            );
            found.push(finding(Warning, "ports", what, why, mend));
        }
    }
}

/// Listeners of which peers outside are told an address that means nothing to them.
fn told(config: &Config, facts: &Facts, found: &mut Vec<Finding>) {
    let listeners = described(config, &facts.machine);
    for (number, listener) in (0..).zip(effective::listeners(config)) {
        let Listen { uri, advertise, .. } = &listener.listen;
        let Some(told) = view::outside(&listeners, number, *uri) else {
            continue;
        };
        let is_written = advertise
            .iter()
            .any(|advertise| advertise.address.to_string() == told);
        let Some(ip) = address_of(&told).filter(|&ip| is_private(ip) && !is_written && is_open(*uri)) else {
            continue;
        };
        let what = format!(
            "{uri} tells peers outside of this machine's networks that it is at {ip}, which is a private address"
        );
        let why = "phones and providers outside send BYE, re-INVITE and ACK there, and those are lost: calls cannot be ended, or \
                   end after 32 seconds";
        let mend = "if there are any outside, write the address that they reach this listener by: advertise = \"203.0.113.5\"; for \
                    those inside see `to` (docs/nat.md)";
        found.push(finding(Warning, "advertise", what, why, mend));
    }
}

/// The address in `host:port`.
fn address_of(host_port: &str) -> Option<IpAddr> {
    let host = match host_port.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => host_port.split(':').next()?,
    };
    host.parse().ok()
}

/// What peers are told instead of the address.
fn advertised(config: &Config, facts: &Facts, found: &mut Vec<Finding>) {
    for listen in &config.listen {
        for advertise in &listen.advertise {
            let HostPort { host, .. } = &advertise.address;
            match host.parse::<IpAddr>() {
                Ok(ip) => advertised_address(listen, &advertise.to, ip, facts, found),
                Err(_) => advertised_name(listen, host, facts, found),
            }
        }
    }
}

fn advertised_address(listen: &Listen, to: &[Cidr], ip: IpAddr, facts: &Facts, found: &mut Vec<Finding>) {
    let uri = listen.uri;
    let is_here = facts.machine.addresses.contains(&ip);
    if is_loopback(ip)
        && is_open(uri)
        && (to.is_empty() || !to.iter().all(|block| is_loopback(block.network())))
    {
        let what = format!("{uri} advertises {ip}, which is every peer's own machine");
        let why = "whoever is told so sends to itself";
        found.push(finding(
            Error,
            "advertise",
            what,
            why,
            "write an address of this machine that peers reach",
        ));
    } else if is_private(ip) && to.is_empty() && is_open(uri) {
        let what = format!("{uri} advertises {ip} to everybody, which is a private address");
        let why = "peers outside of that network cannot send there: calls with them cannot be ended";
        let mend = "name the network that it is for: { to = \"10.0.0.0/8\", as = ... }, and another address for all others";
        found.push(finding(Warning, "advertise", what, why, mend));
    } else if !is_here {
        let what = format!("{uri} advertises {ip}, which no interface of this machine has");
        let why = "calls work only if a NAT or load balancer sends what comes there to this listener";
        let mend = format!("forward {} there to {uri}", transport_and_port(listen));
        found.push(finding(Note, "advertise", what, why, mend));
    }
}

fn transport_and_port(listen: &Listen) -> String {
    let transport = if listen.uri.transport == Transport::Udp {
        "UDP"
    } else {
        "TCP"
    };
    format!("{transport} port {}", listen.uri.address.port())
}

fn advertised_name(listen: &Listen, name: &str, facts: &Facts, found: &mut Vec<Finding>) {
    let uri = listen.uri;
    let leads = facts.advertised.iter().find(|(known, _)| known == name);
    let why = "whoever is told so looks for it, and calls with them fail";
    let mend = "add an A or AAAA record, or advertise an address";
    match leads.map(|(_, leads)| leads) {
        Some(Leads::Nowhere) => {
            let what = format!("{uri} advertises {name}, a name that nothing has");
            found.push(finding(Error, "advertise", what, why, mend));
        }
        Some(Leads::Unknown) => {
            let what = format!("{uri} advertises {name}, and no name server can be asked where that is");
            found.push(finding(
                Warning,
                "advertise",
                what,
                why,
                "look at [dns] and /etc/resolv.conf",
            ));
        }
        Some(Leads::To(places)) if is_open(uri) && places.iter().all(|&(ip, _)| is_loopback(ip)) => {
            let what = format!("{uri} advertises {name}, which is every peer's own machine");
            found.push(finding(Error, "advertise", what, why, mend));
        }
        _ => {}
    }
}

/// Domains whose DNS does not lead here.
fn domains(config: &Config, facts: &Facts, found: &mut Vec<Finding>) {
    let uris = uris(config);
    if !uris.iter().any(|&uri| is_open(uri)) {
        return;
    }
    let bound: Vec<Listen> = effective::listeners(config)
        .into_iter()
        .map(|listener| listener.listen)
        .collect();
    let ours = effective::ours(config, &bound, &facts.machine);
    let ports: Vec<u16> = uris.iter().map(|uri| uri.address.port()).collect();
    let is_here = |&(ip, port): &(IpAddr, Option<u16>)| {
        ours.addresses().contains(&ip.to_canonical()) && ports.contains(&port.unwrap_or(effective::SIP_PORT))
    };
    let why = "phones that know the domain alone, and other servers, do not find this server; phones that are given its address as \
               outbound proxy do";
    for (domain, leads) in &facts.domains {
        let (what, mend) = match leads {
            Leads::To(places) if places.iter().any(is_here) => continue,
            Leads::To(places) => {
                let (ip, port) = places[0];
                let port = port.map_or_else(String::new, |port| format!(" port {port}"));
                (
                    format!("the DNS of {domain} leads to {ip}{port}, which is not here"),
                    format!(
                        "if that is the outside of a NAT before this machine, advertise it; else let the SRV records \
                         _sip._udp.{domain} and _sip._tcp.{domain}, or its address, lead here"
                    ),
                )
            }
            Leads::Nowhere => (
                format!("DNS has no server for {domain}"),
                format!("add SRV records _sip._udp.{domain} and _sip._tcp.{domain}, or an address"),
            ),
            Leads::Unknown => (
                format!("no name server can be asked for {domain}"),
                "look at [dns] and /etc/resolv.conf".to_owned(),
            ),
        };
        found.push(finding(Warning, "dns", what, why, mend));
    }
    if config.domains.is_empty() {
        let what = "no domain is configured";
        let why = "addresses of users are made of this machine's address or name, and change with it";
        found.push(finding(
            Note,
            "dns",
            what,
            why,
            "write domains = [\"example.test\"]",
        ));
    }
}

/// Who may do what without a password.
fn authentication(config: &Config, found: &mut Vec<Finding>) {
    if let Some(exposure) = effective::exposure(config) {
        let (what, mend) = exposure.split_once("; ").unwrap_or((&exposure, ""));
        let why = "within hours somebody who scans for open servers calls at your cost";
        found.push(finding(Error, "auth", what, why, mend));
    } else if effective::digest(config).because == Because::OnlyLoopback {
        let what = "every listener is for this machine only, and no passwords are asked for";
        let why = "phones on other machines do not reach it";
        let mend = "to open it to the network: [[listen]] uri = \"udp:0.0.0.0:5060\"";
        found.push(finding(Note, "auth", what, why, mend));
    }
}

/// Listeners for phones that nobody may register.
fn users(config: &Config, facts: &Facts, found: &mut Vec<Finding>) {
    let is_open = uris(config).iter().any(|&uri| is_open(uri));
    if !is_open || !effective::digest(config).is_on() || facts.has_users != Some(false) {
        return;
    }
    let what = "passwords are asked for, and there are no users";
    let why = "no phone can register or call";
    let domain = config.domains.first().map_or("DOMAIN", String::as_str);
    let mend = format!(
        "strowger user add alice@{domain}{}",
        effective::data_dir_option(config)
    );
    found.push(finding(Warning, "users", what, why, mend));
}

/// Sources that are believed whatever they say, and are many.
fn trusted(config: &Config, found: &mut Vec<Finding>) {
    for block in &config.trusted {
        let (network, prefix) = (block.network(), block.prefix());
        let narrow = match (network, is_private(network)) {
            (IpAddr::V4(_), true) => 8,
            (IpAddr::V4(_), false) => 16,
            (IpAddr::V6(_), true) => 7,
            (IpAddr::V6(_), false) => 32,
        };
        if prefix >= narrow {
            continue;
        }
        let what = format!("`trusted` has {block}, which is not one provider");
        let why =
            "whoever is there calls without a password, in anybody's name, and wherever the routes lead";
        found.push(finding(
            Warning,
            "trusted",
            what,
            why,
            "list the addresses of the provider's servers",
        ));
    }
}

/// Phones that register without a password, from addresses that anybody can write into a datagram.
fn visitors(config: &Config, found: &mut Vec<Finding>) {
    let by_udp = |uri: &ListenUri| uri.transport == Transport::Udp && is_open(*uri);
    if config.location.visitors.is_empty() || !uris(config).iter().any(by_udp) {
        return;
    }
    let what = "`location.visitors` lets phones register without a password by UDP, where a source address can be forged";
    let why = "whoever can send such datagrams registers visitors, or removes them, as if it were in these networks";
    let mend = "name only networks for which the routers before this server drop forged addresses (BCP 38), and keep \
                `location.max_visitors` small";
    found.push(finding(Warning, "visitors", what, why, mend));
}

/// Addresses with one transport only.
fn transports(config: &Config, found: &mut Vec<Finding>) {
    let uris = uris(config);
    let has = |transport: Transport, of: ListenUri| {
        uris.iter()
            .any(|uri| uri.transport == transport && uri.address == of.address)
    };
    for uri in uris
        .iter()
        .filter(|uri| uri.transport == Transport::Udp && is_open(**uri))
    {
        if !has(Transport::Tcp, *uri) {
            let what = format!("there is no tcp:{} beside {uri}", uri.address);
            let why = "requests that are too large for a datagram come by TCP (RFC 3261 §18.1.1), such as an INVITE with many codecs: \
                       those calls fail";
            let mend = format!("add [[listen]] uri = \"tcp:{}\"", uri.address);
            found.push(finding(Warning, "listen", what, why, mend));
        }
    }
}

/// Phones behind a NAT that are forgotten.
fn keep_alive(config: &Config, found: &mut Vec<Finding>) {
    let is_open = uris(config)
        .iter()
        .any(|&uri| is_open(uri) && uri.transport == Transport::Udp);
    let interval = config.nat.keep_alive_interval.as_secs();
    let why = "phones behind a NAT by UDP are not called any more once that has forgotten them";
    if is_open && config.nat.keep_alive == KeepAlive::Off {
        let what = "phones behind a NAT are sent no keep-alives";
        found.push(finding(
            Warning,
            "nat",
            what,
            why,
            "set [nat] keep_alive = \"crlf\", or see that all phones do it",
        ));
    } else if is_open && interval >= SHORT_NAT_SECS {
        let what = format!(
            "phones behind a NAT are sent keep-alives every {interval} s; many NATs forget after {SHORT_NAT_SECS} s"
        );
        found.push(finding(
            Warning,
            "nat",
            what,
            why,
            "set [nat] keep_alive_interval = \"25s\"",
        ));
    }
}

/// The machine, and the data directory.
fn machine(config: &Config, facts: &Facts, found: &mut Vec<Finding>) {
    match &facts.data_dir {
        Err(problem) => found.push(finding(
            Error,
            "data",
            problem.clone(),
            "the server does not start",
            "let it belong to the user that the server runs as",
        )),
        Ok(warnings) => found.extend(warnings.iter().map(|warning| {
            let (what, mend) = warning.rsplit_once("; ").unwrap_or((warning, ""));
            let why = "with the secret and the hashes there one registers and calls as anybody";
            finding(Warning, "data", what, why, mend)
        })),
    }
    clock(facts, found);
    let needed = u64::from(config.limits.tcp_connections) + OTHER_DESCRIPTORS;
    if let Some(limit) = facts.descriptors.filter(|&limit| limit < needed) {
        let what = format!(
            "{limit} files may be open at once, and `limits.tcp_connections` alone is {}",
            config.limits.tcp_connections
        );
        let why = "with that many phones on TCP no more can connect, and registrations may not be stored";
        let mend = format!("raise it (ulimit -n {needed}, LimitNOFILE= of systemd), or lower the limit");
        found.push(finding(Warning, "limits", what, why, mend));
    }
    match &facts.udp_buffer {
        Ok((granted, asked)) if granted < asked => {
            let what = format!(
                "the kernel grants {granted} bytes of receive buffer for UDP, and {asked} are asked for"
            );
            let why = "when many phones register at once, as after a loss of power, messages are lost and calls take seconds longer";
            let mend = format!(
                "sysctl -w net.core.rmem_max={asked} net.core.wmem_max={asked} (and in /etc/sysctl.d)"
            );
            found.push(finding(Warning, "buffers", what, why, mend));
        }
        Ok(_) => {}
        Err(problem) => {
            let why = "each shard has a socket of its own at each address (SO_REUSEPORT)";
            found.push(finding(Error, "sockets", problem.clone(), why, "set shards = 1"));
        }
    }
    let why = "it rewrites addresses in messages, wrongly where the server does so already: no audio, calls that cannot be ended";
    let mend = "remove the rule that uses it, and unload it: rmmod nf_nat_sip nf_conntrack_sip";
    match facts.helper {
        Helper::None => {}
        Helper::Loaded => {
            let what = "the kernel has its SIP helper loaded (nf_conntrack_sip)";
            found.push(finding(Warning, "alg", what, why, mend));
        }
        Helper::Automatic => {
            let what = "the kernel's SIP helper works on all traffic (net.netfilter.nf_conntrack_helper = 1)";
            let mend = "sysctl -w net.netfilter.nf_conntrack_helper=0";
            found.push(finding(Error, "alg", what, why, mend));
        }
    }
}

fn clock(facts: &Facts, found: &mut Vec<Finding>) {
    let why = "registrations end by the clock: all phones are lost when it jumps";
    let mend = "set it, and let NTP keep it (chrony, systemd-timesyncd)";
    let latest = facts.last_written.unwrap_or_default();
    if facts.now_secs < NOT_BEFORE_SECS {
        let what = format!(
            "the clock shows {} seconds since 1970, which is long ago",
            facts.now_secs
        );
        found.push(finding(Error, "clock", what, why, mend));
    } else if latest > facts.now_secs + CLOCK_SLACK_SECS {
        let what = format!(
            "the data directory was written {} seconds later than it is now by the clock",
            latest - facts.now_secs
        );
        found.push(finding(Error, "clock", what, why, mend));
    } else if facts.clock_is_kept == Some(false) {
        found.push(finding(Note, "clock", "nothing keeps the clock", why, mend));
    }
}

/// The sum of a figure over its labels.
fn figure(metrics: &str, name: &str) -> u64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let is_it = rest.starts_with(' ') || rest.starts_with('{');
        rest.rsplit(' ').next()?.parse::<f64>().ok().filter(|_| is_it)
    };
    metrics.lines().filter_map(value).sum::<f64>() as u64
}

/// The samples of a figure with one label, by its value; without those of zero.
fn by_label(metrics: &str, name: &str) -> BTreeMap<String, u64> {
    let sample = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
        let label = labels.split('"').nth(1)?;
        Some((label.to_owned(), value.parse::<f64>().ok()? as u64))
    };
    let samples = metrics.lines().filter_map(sample);
    samples.filter(|(_, value)| *value > 0).collect()
}

/// What a server counts.
pub(super) fn count(live: &Live) -> Counted {
    let metrics = &live.metrics;
    let counts = live.status.as_ref().map(|status| status.counts);
    Counted {
        contacts: counts.map_or(0, |counts| counts.contacts),
        keep_alives_sent: figure(metrics, "strowger_keep_alives_sent_total"),
        keep_alives_answered: figure(metrics, "strowger_keep_alives_answered_total"),
        phones_unanswered: figure(metrics, "strowger_phones_unanswered"),
        keep_alives_received: figure(metrics, "strowger_keep_alives_received_total"),
        stun_answered: figure(metrics, "strowger_stun_answered_total"),
        pings_answered: figure(metrics, "strowger_pings_answered_total"),
        datagrams_dropped: figure(metrics, "strowger_datagrams_dropped_by_kernel_total"),
        refused: by_label(metrics, "strowger_refused_total"),
    }
}

/// Bans that are named; that there are more is told.
const NAMED: usize = 3;

/// Whoever is banned for wrong passwords: more often than not a phone with a password that somebody mistyped.
fn of_bans(config: &Config, live: &Live) -> Option<Finding> {
    let first = live.bans.first()?;
    let all = live
        .status
        .as_ref()
        .map_or(0, |status| status.counts.bans as usize);
    let named = live.bans.iter().take(NAMED).map(|ban| {
        let who = ban.account.as_deref().unwrap_or("everybody");
        format!(
            "{who} at {} for {} minutes more",
            ban.source,
            ban.expires_in.div_ceil(60)
        )
    });
    let (named, option) = (named.collect::<Vec<_>>(), effective::data_dir_option(config));
    let more = match all.saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more (strowger ctl bans{option})"),
    };
    let what = format!("banned for wrong passwords: {}{more}", named.join(", "));
    let why = "their requests are answered 403 whatever their passwords are now";
    let account = first.account.as_deref().map(effective::shell_word);
    let account = account.map_or_else(String::new, |account| format!(" {account}"));
    let source = &first.source;
    let mend = format!("give the phone its password, then: strowger ctl unban {source}{account}{option}");
    Some(finding(Warning, "bans", what, why, mend))
}

/// Phones that were set up with the server's address as their domain.
fn of_refused(config: &Config, counted: &Counted) -> Option<Finding> {
    let count = counted.refused.get("address-as-domain")?;
    let domain = config
        .domains
        .iter()
        .find(|name| name.parse::<IpAddr>().is_err())?;
    let what = format!("{count} REGISTER requests or calls had the server's address as their domain");
    let why = "nobody is a user there: their phones cannot register, whatever their passwords are";
    let mend = format!(
        "give those phones {domain} as their domain (\"SIP server domain\"), and the address as their proxy; the log names them \
         (reason=address-as-domain)"
    );
    Some(finding(Warning, "phones", what, why, mend))
}

/// A file whose listeners are not those that are there.
fn of_listeners(config: &Config, live: &Live) -> Option<Finding> {
    let status = live.status.as_ref()?;
    let (mut wanted, mut running): (Vec<_>, Vec<_>) = (uris(config), status.listeners.clone());
    // A listener with port 0 has got one by now.
    wanted.retain(|uri| {
        let written = uri.to_string();
        let is_it = |there: &&String| match uri.address.port() {
            0 => there
                .strip_prefix(written.trim_end_matches('0'))
                .is_some_and(is_port),
            _ => **there == written,
        };
        let place = running.iter().position(|there| is_it(&there));
        place.map(|place| running.remove(place)).is_none()
    });
    if wanted.is_empty() && running.is_empty() {
        return None;
    }
    let list = |what: &str, all: Vec<String>| match all.is_empty() {
        true => String::new(),
        false => format!("; {what}: {}", all.join(", ")),
    };
    let wanted = wanted.iter().map(ToString::to_string).collect();
    let what = format!(
        "the configuration's listeners are not those of the server that runs{}{}",
        list("only configured", wanted),
        list("only there", running)
    );
    let why = "what is told above is of the configuration; phones reach what runs";
    let mend = format!(
        "if the server was started with this file: strowger ctl reload{}; else name its own file",
        effective::data_dir_option(config)
    );
    Some(finding(Note, "listen", what, why, mend))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// What a server that runs tells of itself.
pub(super) fn of_server(config: &Config, live: &Live, counted: &Counted) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(failing) = live.status.as_ref().and_then(|status| status.failing.clone()) {
        let why = "phones that register are answered 503, and are lost when their registrations end";
        found.push(finding(
            Error,
            "store",
            "registrations cannot be stored",
            why,
            failing,
        ));
    }
    if counted.phones_unanswered > 0 {
        let what = format!(
            "{} phones behind a NAT do not answer OPTIONS",
            counted.phones_unanswered
        );
        let why = "calls for them ring nowhere";
        let mend = "see `phone does not answer` in the log; [nat] remove_unanswered = true removes them";
        found.push(finding(Warning, "nat", what, why, mend));
    }
    if counted.datagrams_dropped > 0 {
        let what = format!("the kernel has dropped {} datagrams", counted.datagrams_dropped);
        let why = "each is sent again half a second later: calls and registrations take longer";
        let mend = "raise net.core.rmem_max, or the number of shards";
        found.push(finding(Warning, "buffers", what, why, mend));
    }
    found.extend(of_refused(config, counted));
    found.extend(of_bans(config, live));
    found.extend(of_listeners(config, live));
    if live.status.is_none() {
        let what = "a server runs on the data directory and does not say how it is";
        let why = "what follows from its state is not told";
        found.push(finding(
            Note,
            "server",
            what,
            why,
            "start it without `--admin off`",
        ));
    }
    found
}
