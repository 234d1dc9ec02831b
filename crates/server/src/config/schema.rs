//! The keys of the configuration: for each its name, its default, what it does, and how it is read and checked.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use strowger_sip::registrar::WhenFull;
use strowger_syntax::Transport;
use toml::de::DeTable;

use super::defence::DEFENCE;
use super::diagnostic::{Complaint, Diagnostic, Report};
use super::dial_plan::read_dial_plan;
use super::dns::DNS;
use super::group::read_groups;
use super::log::LOG;
use super::read::{Given, Item, Key, read_table, unknown_word};
use super::register::{check_registers, read_registers};
use super::route::{Takes, TargetUri, check_references, read_routes};
use super::syntax::add_syntax_errors;
use super::value::{HostPort, ListenUri, admin_listen, cidr, domain, host_port, listen_uri, transport_name};
use super::{
    Admin, AdminListen, Algorithm, Auth, AuthMethods, Config, Durability, Fork, Limits, Listen, Location,
    Mode, Proxy, Store,
};

/// Reads and checks a whole configuration.
pub(super) fn check(text: &str, path: &str) -> Result<Config, Vec<Diagnostic>> {
    let mut report = Report::new(path, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut config = Config::default();
    read_table(table.get_ref(), "", 0..0, ROOT, &mut config, &mut report);
    check_admin_against_listeners(&config, table.get_ref(), &mut report);
    check_references(&config, table.get_ref(), &mut report);
    check_registers(&config, table.get_ref(), &mut report);
    add_syntax_errors(text, &errors, &mut report);
    let found = report.finish();
    if found.is_empty() { Ok(config) } else { Err(found) }
}

/// What a configuration may ask for but a build may lack.
#[derive(Clone, Copy)]
pub(super) enum Feature<'a> {
    Transport(Transport),
    Store(&'a str),
}

/// What this build carries. Everything else is understood and refused, so that nothing is silently ignored.
pub(super) fn carried(feature: Feature<'_>) -> Result<(), Complaint> {
    match feature {
        Feature::Transport(Transport::Udp | Transport::Tcp) => Ok(()),
        Feature::Transport(transport) => {
            let what = format!(
                "transport `{}` is not carried by this build",
                transport_name(transport)
            );
            Err(Complaint::new(what, "use `udp` or `tcp`"))
        }
        Feature::Store(url) => {
            let scheme = url.split("://").next().unwrap_or(url);
            let what = format!("a store behind `{scheme}://` is not carried by this build");
            Err(Complaint::new(what, "use `sqlite` or `memory`"))
        }
    }
}

/// Seconds, for bounds.
pub(super) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds, for bounds.
const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(super) const ROOT: &[Key<Config>] = &[
    Key {
        name: "domains",
        example: r#"["example.test"]"#,
        given: Given::Example,
        doc: "Domains this node is responsible for. Without it: its listeners' addresses, localhost and the host name.",
        read: |config, item, report| {
            if let Some(domains) = item.list(report, |item, report| item.parsed(domain, report)) {
                config.domains = distinct(domains, &item, report);
            }
        },
    },
    Key {
        name: "data_dir",
        example: r#""strowger-data""#,
        given: Given::Default,
        doc: "Where users, registrations and keys are kept, relative to the working directory. Made if missing.",
        read: |config, item, report| match item.string(report) {
            Some("") => report.add(
                &item.span(),
                Complaint::new("`data_dir` is empty", "write a directory"),
            ),
            Some(path) => config.data_dir = PathBuf::from(path),
            None => {}
        },
    },
    Key {
        name: "shards",
        example: "2",
        given: Given::Example,
        doc: "Threads that carry messages. Without it: one per core.",
        read: |config, item, report| config.shards = item.integer(1..=1024, report),
    },
    Key {
        name: "trusted",
        example: r#"["192.0.2.0/24"]"#,
        given: Given::Example,
        doc: "Sources (providers, gateways) that need not authenticate and may relay.",
        read: |config, item, report| {
            let blocks = item.list(report, |item, report| {
                let block = item.parsed(cidr, report)?;
                if block.to_string().ends_with("/0") {
                    let mend = "name the providers' own blocks, such as \"192.0.2.0/24\"";
                    report.add(
                        &item.span(),
                        Complaint::new(format!("`{block}` trusts every address"), mend),
                    );
                    return None;
                }
                Some(block)
            });
            if let Some(blocks) = blocks {
                config.trusted = distinct(blocks, &item, report);
            }
        },
    },
    Key {
        name: "drain",
        example: r#""5s""#,
        given: Given::Default,
        doc: "How long a node that was told to stop waits for what it has begun.",
        read: |config, item, report| set(&mut config.drain, item.duration(s(0)..=s(3600), report)),
    },
    Key {
        name: "longest_nap",
        example: r#""300us""#,
        given: Given::Default,
        doc: "How long a message may wait for others at a moderate load, which spares wake-ups. No wait when load is light; \"0s\": never.",
        read: |config, item, report| set(&mut config.longest_nap, item.duration(s(0)..=ms(10), report)),
    },
    Key {
        name: "listen",
        example: "",
        given: Given::Table,
        doc: "Listeners. Without any: udp and tcp on 127.0.0.1:5060 and [::1]:5060.",
        read: |config, item, report| {
            // Not the list of texts that a list suggests: each listener is a section.
            if item.value.get_ref().is_str() {
                return wrong_listener(item, report);
            }
            let mut seen = Vec::new();
            let listen = item.list(report, |item, report| read_listen(item, &mut seen, report));
            config.listen = listen.unwrap_or_default();
        },
    },
    Key {
        name: "admin",
        example: "",
        given: Given::Table,
        doc: "Administration over HTTP: health, metrics, API.",
        read: |config, item, report| item.table(ADMIN, &mut config.admin, report),
    },
    Key {
        name: "auth",
        example: "",
        given: Given::Table,
        doc: "Digest authentication.",
        read: |config, item, report| item.table(AUTH, &mut config.auth, report),
    },
    Key {
        name: "location",
        example: "",
        given: Given::Table,
        doc: "Registrations.",
        read: |config, item, report| {
            item.table(LOCATION, &mut config.location, report);
            check_expires(&config.location, &item, report);
        },
    },
    Key {
        name: "proxy",
        example: "",
        given: Given::Table,
        doc: "Forwarding.",
        read: |config, item, report| item.table(PROXY, &mut config.proxy, report),
    },
    Key {
        name: "dns",
        example: "",
        given: Given::Table,
        doc: "How the next hops of names are found.",
        read: |config, item, report| item.table(DNS, &mut config.dns, report),
    },
    Key {
        name: "limits",
        example: "",
        given: Given::Table,
        doc: "Bounds on what peers can make the node hold.",
        read: |config, item, report| item.table(LIMITS, &mut config.limits, report),
    },
    Key {
        name: "defence",
        example: "",
        given: Given::Table,
        doc: "What is held against whoever tries passwords or is refused too often.",
        read: |config, item, report| item.table(DEFENCE, &mut config.defence, report),
    },
    Key {
        name: "log",
        example: "",
        given: Given::Table,
        doc: "Logging, to standard error.",
        read: |config, item, report| item.table(LOG, &mut config.log, report),
    },
    Key {
        name: "route",
        example: "",
        given: Given::Table,
        doc: "Routes. The first one that matches decides; without one, the built-in routing applies.",
        read: |config, item, report| config.route = read_routes(item, report),
    },
    Key {
        name: "group",
        example: "",
        given: Given::Table,
        doc: "Target groups, for `to` of routes.",
        read: |config, item, report| config.group = read_groups(item, report),
    },
    Key {
        name: "register",
        example: "",
        given: Given::Table,
        doc: "Providers that this node registers itself with (trunks). Requests go out by one where `to` of a route has its name.",
        read: |config, item, report| config.register = read_registers(item, report),
    },
    Key {
        name: "dial_plan",
        example: "",
        given: Given::Table,
        doc: "What dialled numbers mean. Without it they are taken as they are.",
        read: |config, item, report| config.dial_plan = read_dial_plan(item, report),
    },
];

/// A listener while it is read.
#[derive(Default)]
pub(super) struct ListenDraft {
    uri: Option<ListenUri>,
    advertise: Option<HostPort>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

pub(super) const LISTEN: &[Key<ListenDraft>] = &[
    Key {
        name: "uri",
        example: r#""udp:0.0.0.0:5060""#,
        given: Given::Required,
        doc: "udp:HOST:PORT or tcp:HOST:PORT; IPv6 in brackets; port 0 picks a free one.",
        read: |draft, item, report| {
            draft.uri = item.parsed(listen_uri, report);
            if let Some(uri) = draft.uri {
                refuse(carried(Feature::Transport(uri.transport)), &item.span(), report);
            }
        },
    },
    Key {
        name: "advertise",
        example: r#""203.0.113.5:5060""#,
        given: Given::Example,
        doc: "The address that others reach this listener by, when it is not the one it is bound to.",
        read: |draft, item, report| draft.advertise = item.parsed(host_port, report),
    },
    Key {
        name: "certificate",
        example: r#""cert.pem""#,
        given: Given::Reserved,
        doc: "Certificate chain (PEM), for tls and wss.",
        read: |draft, item, report| draft.certificate = item.string(report).map(PathBuf::from),
    },
    Key {
        name: "key",
        example: r#""key.pem""#,
        given: Given::Reserved,
        doc: "Private key (PEM), for tls and wss.",
        read: |draft, item, report| draft.key = item.string(report).map(PathBuf::from),
    },
];

fn wrong_listener(item: Item<'_, '_>, report: &mut Report<'_>) {
    let uri = item.value.get_ref().as_str().unwrap_or_default();
    item.wrong_type(
        "a table",
        &format!("[[listen]], and below it uri = {uri:?}"),
        report,
    );
}

fn read_listen(item: Item<'_, '_>, seen: &mut Vec<ListenUri>, report: &mut Report<'_>) -> Option<Listen> {
    if item.value.get_ref().is_str() {
        wrong_listener(item, report);
        return None;
    }
    let mut draft = ListenDraft::default();
    item.table(LISTEN, &mut draft, report);
    let uri = draft.uri?;
    let secure = matches!(uri.transport, Transport::Tls | Transport::Wss);
    for (name, given) in [
        ("certificate", draft.certificate.is_some()),
        ("key", draft.key.is_some()),
    ] {
        if given && !secure {
            let what = format!("`{name}` has no meaning for {}", transport_name(uri.transport));
            report.add(&item.key_span(name), Complaint::new(what, "remove it"));
        }
    }
    if let Some(complaint) = overlap(&uri, seen) {
        report.add(&item.key_span("uri"), complaint);
    }
    seen.push(uri);
    Some(Listen {
        uri,
        advertise: draft.advertise,
        certificate: draft.certificate,
        key: draft.key,
    })
}

/// The complaint about a listener whose address another one before it has already taken.
pub(super) fn overlap(uri: &ListenUri, before: &[ListenUri]) -> Option<Complaint> {
    let stream = |uri: &ListenUri| uri.transport != Transport::Udp;
    let other = before.iter().find(|other| {
        let (a, b) = (other.address, uri.address);
        let wildcard = a.ip().is_unspecified() || b.ip().is_unspecified();
        let hosts = a.ip() == b.ip() || (wildcard && a.is_ipv4() == b.is_ipv4());
        stream(other) == stream(uri) && hosts && a.port() == b.port() && a.port() != 0
    })?;
    let complaint = if other == uri {
        Complaint::new(format!("`{uri}` is listed twice"), "remove one of them")
    } else {
        Complaint::new(
            format!("`{uri}` overlaps `{other}`"),
            "keep one, or give it another port",
        )
    };
    Some(complaint)
}

fn check_admin_against_listeners(config: &Config, root: &DeTable<'_>, report: &mut Report<'_>) {
    let AdminListen::At(admin) = config.admin.listen else {
        return;
    };
    let admin_uri = ListenUri {
        transport: Transport::Tcp,
        address: admin,
    };
    let listeners: Vec<ListenUri> = config.listen.iter().map(|listen| listen.uri).collect();
    if overlap(&admin_uri, &listeners).is_some() {
        let span = root
            .get("admin")
            .and_then(|admin| admin.get_ref().get("listen"))
            .map_or(0..0, |item| item.span());
        let what = format!("the admin address {admin} is also a SIP listener's");
        report.add(&span, Complaint::new(what, "give one of them another port"));
    }
}

pub(super) const ADMIN: &[Key<Admin>] = &[
    Key {
        name: "listen",
        example: r#""127.0.0.1:8080""#,
        given: Given::Example,
        doc: "Loopback address and port, or \"off\". Without it: 127.0.0.1:8080, or a free port when that is taken.",
        read: |admin, item, report| set(&mut admin.listen, item.parsed(admin_listen, report)),
    },
    Key {
        name: "names",
        example: r#"["pbx.example.test"]"#,
        given: Given::Example,
        doc: "Host names, besides loopback's, by which a reverse proxy or tunnel may ask for it.",
        read: |admin, item, report| {
            if let Some(names) = item.list(report, |item, report| item.parsed(domain, report)) {
                admin.names = distinct(names, &item, report);
            }
        },
    },
];

/// Methods that can be challenged: all but ACK and CANCEL (RFC 3261 §22.1).
const METHODS: [&str; 12] = [
    "REGISTER",
    "INVITE",
    "MESSAGE",
    "SUBSCRIBE",
    "PUBLISH",
    "OPTIONS",
    "REFER",
    "NOTIFY",
    "INFO",
    "BYE",
    "UPDATE",
    "PRACK",
];

const ALGORITHMS: [(&str, Algorithm); 3] = [
    ("MD5", Algorithm::Md5),
    ("SHA-256", Algorithm::Sha256),
    ("SHA-512-256", Algorithm::Sha512_256),
];

pub(super) const AUTH: &[Key<Auth>] = &[
    Key {
        name: "methods",
        example: r#"["REGISTER", "INVITE"]"#,
        given: Given::Example,
        doc: "Requests that are challenged when they are out of dialog; [] is off. Without it: these two as soon as one \
              listener is not loopback, else none. While INVITE is among them, whatever else is for a user is challenged too \
              unless it comes from where its sender is registered, or the answers would tell who exists.",
        read: |auth, item, report| {
            if let Some(methods) = item.list(report, challenged_method) {
                auth.methods = AuthMethods::Explicit(distinct(methods, &item, report));
            }
        },
    },
    Key {
        name: "algorithms",
        example: r#"["MD5"]"#,
        given: Given::Default,
        doc: "One challenge each, in this order: MD5, SHA-256, SHA-512-256. Some phones read the first only, or give up on \
              any that they do not know.",
        read: |auth, item, report| {
            let Some(algorithms) = item.list(report, |item, report| item.word(&ALGORITHMS, report)) else {
                return;
            };
            let written = item.value.get_ref().as_array().map_or(0, |array| array.len());
            if written == 0 {
                let mend = "list one, such as \"MD5\"; to switch digest off write methods = []";
                report.add(&item.span(), Complaint::new("`auth.algorithms` is empty", mend));
                return;
            }
            auth.algorithms = distinct(algorithms, &item, report);
        },
    },
];

fn challenged_method(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.string(report)?;
    if METHODS.contains(&text) {
        return Some(text.to_owned());
    }
    let complaint = if matches!(text, "ACK" | "CANCEL") {
        Complaint::new(
            format!("{text} cannot be challenged (RFC 3261 §22.1)"),
            "remove it",
        )
    } else {
        unknown_word(item.path, text, METHODS.to_vec())
    };
    report.add(&item.span(), complaint);
    None
}

pub(super) const LOCATION: &[Key<Location>] = &[
    Key {
        name: "store",
        example: r#""sqlite""#,
        given: Given::Default,
        doc: "Where registrations live: sqlite (in the data directory) or memory (gone with the process).",
        read: |location, item, report| {
            if let Some(url) = item.value.get_ref().as_str().filter(|text| text.contains("://")) {
                refuse(carried(Feature::Store(url)), &item.span(), report);
                return;
            }
            set(
                &mut location.store,
                item.word(&[("sqlite", Store::Sqlite), ("memory", Store::Memory)], report),
            );
        },
    },
    Key {
        name: "durability",
        example: r#""power""#,
        given: Given::Default,
        doc: "What an acknowledged registration survives: power (its loss) or process (only kill -9; faster).",
        read: |location, item, report| {
            let words = [("power", Durability::Power), ("process", Durability::Process)];
            set(&mut location.durability, item.word(&words, report));
        },
    },
    Key {
        name: "min_expires",
        example: r#""1m""#,
        given: Given::Default,
        doc: "Shorter registrations are answered 423 Interval Too Brief. At most 1h (RFC 3261 §10.3 step 7).",
        read: |location, item, report| {
            set(
                &mut location.min_expires,
                whole_seconds(&item, s(1)..=s(3600), report),
            )
        },
    },
    Key {
        name: "max_expires",
        example: r#""1d""#,
        given: Given::Default,
        doc: "Longer registrations are shortened to this.",
        read: |location, item, report| {
            set(
                &mut location.max_expires,
                whole_seconds(&item, s(1)..=s(31_536_000), report),
            )
        },
    },
    Key {
        name: "default_expires",
        example: r#""1h""#,
        given: Given::Default,
        doc: "How long a registration lasts that does not say.",
        read: |location, item, report| {
            set(
                &mut location.default_expires,
                whole_seconds(&item, s(1)..=s(31_536_000), report),
            );
        },
    },
    Key {
        name: "max_contacts",
        example: "10",
        given: Given::Default,
        doc: "Contacts that one user may have registered at a time.",
        read: |location, item, report| set(&mut location.max_contacts, item.integer(1..=1000, report)),
    },
    Key {
        name: "when_full",
        example: r#""refuse""#,
        given: Given::Default,
        doc: "One contact more than that is answered 503 with Retry-After (refuse), or takes the place of the oldest (replace).",
        read: |location, item, report| {
            let words = [("refuse", WhenFull::Refuse), ("replace", WhenFull::Replace)];
            set(&mut location.when_full, item.word(&words, report));
        },
    },
];

/// Durations that travel as delta-seconds cannot have fractions.
pub(super) fn whole_seconds(
    item: &Item<'_, '_>,
    bounds: std::ops::RangeInclusive<Duration>,
    report: &mut Report<'_>,
) -> Option<Duration> {
    let duration = item.duration(bounds, report)?;
    if duration.subsec_nanos() == 0 {
        return Some(duration);
    }
    let what = format!("`{}` must be whole seconds", item.path);
    report.add(
        &item.span(),
        Complaint::new(what, format!("write \"{}s\"", duration.as_secs().max(1))),
    );
    None
}

fn check_expires(location: &Location, item: &Item<'_, '_>, report: &mut Report<'_>) {
    let Location {
        min_expires: min,
        default_expires: default,
        max_expires: max,
        ..
    } = *location;
    let complain = |key: &str, what: &str, mend: &str, report: &mut Report<'_>| {
        report.add(&item.key_span(key), Complaint::new(what, mend));
    };
    if min > max {
        complain(
            "min_expires",
            "`min_expires` is longer than `max_expires`",
            "make it the shorter one",
            report,
        );
    } else if default < min {
        let mend = "lengthen it, or shorten `min_expires`";
        complain(
            "default_expires",
            "`default_expires` is shorter than `min_expires`",
            mend,
            report,
        );
    } else if default > max {
        let mend = "shorten it, or lengthen `max_expires`";
        complain(
            "default_expires",
            "`default_expires` is longer than `max_expires`",
            mend,
            report,
        );
    }
}

/// The roles for requests for others.
pub(super) const MODES: [(&str, Mode); 4] = [
    ("stateful", Mode::Stateful),
    ("transaction", Mode::Transaction),
    ("stateless", Mode::Stateless),
    ("redirect", Mode::Redirect),
];

/// How several targets are tried.
pub(super) const FORKS: [(&str, Fork); 2] = [("parallel", Fork::Parallel), ("sequential", Fork::Sequential)];

pub(super) const PROXY: &[Key<Proxy>] = &[
    Key {
        name: "mode",
        example: r#""stateful""#,
        given: Given::Default,
        doc: "What happens to requests for others: `stateful` forwards them with transactions and follows their dialogs, `transaction` with transactions alone, `stateless` without either, `redirect` answers where our users are (302).",
        read: |proxy, item, report| {
            let Some(mode) = item.word(&MODES, report) else {
                return;
            };
            proxy.mode = mode;
        },
    },
    Key {
        name: "record_route",
        example: "true",
        given: Given::Default,
        doc: "Stay on the path of later requests of a call.",
        read: |proxy, item, report| set(&mut proxy.record_route, item.boolean(report)),
    },
    Key {
        name: "outbound",
        example: r#""sip:edge.example.test;lr""#,
        given: Given::Example,
        doc: "The proxy that requests for other hosts go through, where no route says otherwise.",
        read: |proxy, item, report| {
            let outbound = item.parsed(TargetUri::read, report);
            if let Some(other) = outbound.as_ref().filter(|uri| uri.takes != Takes::Whole) {
                let what = format!("`{}` is no loose router (RFC 3261 §16.6 step 6)", other.text);
                report.add(
                    &item.span(),
                    Complaint::new(what, format!("write \"{};lr\"", other.text)),
                );
            }
            proxy.outbound = outbound;
        },
    },
    Key {
        name: "fork",
        example: r#""parallel""#,
        given: Given::Default,
        doc: "How several contacts of a user are tried: parallel (all at once) or sequential (by falling q, those with the same q at \
              once).",
        read: |proxy, item, report| {
            set(&mut proxy.fork, item.word(&FORKS, report));
        },
    },
    Key {
        name: "ring_timeout",
        example: r#""20s""#,
        given: Given::Default,
        doc: "How long contacts ring that are not the last, when they are tried one after the other.",
        read: |proxy, item, report| set(&mut proxy.ring_timeout, item.duration(s(1)..=s(180), report)),
    },
    Key {
        name: "recurse",
        example: "false",
        given: Given::Default,
        doc: "Follow 3xx answers of targets, by their q, instead of passing them on: to users of this node for everybody, elsewhere for \
              those who may send requests there.",
        read: |proxy, item, report| set(&mut proxy.recurse, item.boolean(report)),
    },
    Key {
        name: "udp_limit",
        example: "1300",
        given: Given::Default,
        doc: "Requests of more bytes than this go by TCP (RFC 3261 §18.1.1).",
        read: |proxy, item, report| set(&mut proxy.udp_limit, item.integer(500..=65_535, report)),
    },
    Key {
        name: "next_hop_timeout",
        example: r#""3s""#,
        given: Given::Default,
        doc: "A next hop that says nothing at all to an INVITE is given up after this; one that says nothing to another request \
              after four seconds if this is less, because it may be silent so long (RFC 4320 §4.1). Within a dialog it has 32 \
              seconds.",
        read: |proxy, item, report| {
            set(
                &mut proxy.next_hop_timeout,
                item.duration(Duration::from_millis(500)..=s(32), report),
            );
        },
    },
    Key {
        name: "timer_c",
        example: r#""181s""#,
        given: Given::Default,
        doc: "How long a call may ring. More than three minutes (RFC 3261 §16.6 step 11).",
        read: |proxy, item, report| set(&mut proxy.timer_c, item.duration(s(181)..=s(86_400), report)),
    },
];

pub(super) const LIMITS: &[Key<Limits>] = &[
    Key {
        name: "body_size",
        example: "262144",
        given: Given::Default,
        doc: "Bytes of a message's body. Start line and headers have 65535 bytes of their own.",
        read: |limits, item, report| set(&mut limits.body_size, item.integer(1024..=67_108_864, report)),
    },
    Key {
        name: "tcp_connections",
        example: "65536",
        given: Given::Default,
        doc: "Open TCP connections of the whole node.",
        read: |limits, item, report| set(&mut limits.tcp_connections, item.integer(1..=10_000_000, report)),
    },
    Key {
        name: "tcp_connections_per_source",
        example: "4096",
        given: Given::Default,
        doc: "TCP connections that one source (an IPv4 address or an IPv6 /64) may have open to the node. No limit for `trusted` \
              sources, nor for this machine while digest is off.",
        read: |limits, item, report| {
            set(
                &mut limits.tcp_connections_per_source,
                item.integer(1..=10_000_000, report),
            );
        },
    },
    Key {
        name: "tcp_idle",
        example: r#""65m""#,
        given: Given::Default,
        doc: "A TCP connection that carries nothing for this long is closed.",
        read: |limits, item, report| set(&mut limits.tcp_idle, item.duration(s(10)..=s(604_800), report)),
    },
    Key {
        name: "transaction_megabytes",
        example: "1024",
        given: Given::Default,
        doc: "Megabytes of messages that one shard keeps for its transactions; what comes beyond is answered 503.",
        read: |limits, item, report| {
            set(
                &mut limits.transaction_megabytes,
                item.integer(1..=1_048_576, report),
            );
        },
    },
    Key {
        name: "transactions",
        example: "1048576",
        given: Given::Default,
        doc: "Transactions that one shard holds; what comes beyond is answered 503.",
        read: |limits, item, report| set(&mut limits.transactions, item.integer(1024..=16_777_216, report)),
    },
];

pub(super) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn refuse(carried: Result<(), Complaint>, span: &Range<usize>, report: &mut Report<'_>) {
    if let Err(complaint) = carried {
        report.add(span, complaint);
    }
}

/// The list without what it repeats; each repetition is reported.
pub(super) fn distinct<T: PartialEq>(list: Vec<T>, item: &Item<'_, '_>, report: &mut Report<'_>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for value in list {
        if kept.contains(&value) {
            let what = format!("`{}` lists the same thing twice", item.path);
            report.add(&item.span(), Complaint::new(what, "remove one of them"));
        } else {
            kept.push(value);
        }
    }
    kept
}
