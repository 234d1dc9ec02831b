//! The keys of the configuration: for each its name, its default, what it does, and how it is read and checked.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use strowger_syntax::Transport;
use toml::de::DeTable;

use super::auth::AUTH;
use super::defence::DEFENCE;
use super::diagnostic::{Complaint, Diagnostic, Report};
use super::dial_plan::read_dial_plan;
use super::dns::DNS;
use super::domain_aliases::{check_aliases, read_aliases};
use super::events::{EVENTS, check_durations};
use super::group::read_groups;
use super::listen::{overlap, read_listen, wrong_listener};
use super::location::{LOCATION, check_expires};
use super::nat::{NAT, check_nat};
use super::push::{PUSH, check_push_against_location};
use super::read::{Given, Item, Key, read_table};
use super::register::{check_registers, read_registers};
use super::route::{Takes, TargetUri, check_references, read_routes};
use super::syntax::add_syntax_errors;
use super::users::USER_LOOKUP;
use super::value::{ListenUri, admin_listen, cidr, domain, transport_name};
use super::{Admin, AdminListen, Config, Fork, Level, Limits, Log, Mode, Proxy};

/// Reads and checks a whole configuration.
pub(super) fn check(text: &str, path: &str) -> Result<Config, Vec<Diagnostic>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut report = Report::new(path, text);
    report.is_broken = !errors.is_empty();
    let mut config = Config::default();
    read_table(table.get_ref(), "", 0..0, ROOT, &mut config, &mut report);
    check_admin_against_listeners(&config, table.get_ref(), &mut report);
    if report.is_clean() {
        check_aliases(&config, table.get_ref(), &mut report);
    }
    check_references(&config, table.get_ref(), &mut report);
    check_registers(&config, table.get_ref(), &mut report);
    check_push_against_location(&config, table.get_ref(), &mut report);
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
        name: "domain_aliases",
        example: r#"{ "example.org" = "example.test" }"#,
        given: Given::Example,
        doc: "Other names of domains, each with its domain: alice@example.org is alice@example.test, who registers and is called by \
              either, with one password (its realm is the domain).",
        read: |config, item, report| config.domain_aliases = read_aliases(item, report),
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
        name: "user_lookup",
        example: "",
        given: Given::Table,
        doc: "How the server is asked for users, if they come from one.",
        read: |config, item, report| item.table(USER_LOOKUP, &mut config.user_lookup, report),
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
        name: "events",
        example: "",
        given: Given::Table,
        doc: "Subscriptions to registrations.",
        read: |config, item, report| {
            item.table(EVENTS, &mut config.events, report);
            check_durations(&config.events, &item, report);
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
        name: "nat",
        example: "",
        given: Given::Table,
        doc: "Phones behind a NAT.",
        read: |config, item, report| {
            item.table(NAT, &mut config.nat, report);
            check_nat(&config.nat, &item, report);
        },
    },
    Key {
        name: "push",
        example: "",
        given: Given::Table,
        doc: "How devices that sleep are woken by push notifications (RFC 8599).",
        read: |config, item, report| item.table(PUSH, &mut config.push, report),
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
        doc: "A TCP connection that carries nothing for this long is closed, but not within 32 s of a request sent over it.",
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

pub(super) const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

pub(super) const LOG: &[Key<Log>] = &[Key {
    name: "level",
    example: r#""info""#,
    given: Given::Default,
    doc: "The least severe lines that are written: error, warn, info, debug or trace. STROWGER_LOG in the \
          environment goes before it.",
    read: |log, item, report| set(&mut log.level, item.word(&LEVELS, report)),
}];

pub(super) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

pub(super) fn refuse(carried: Result<(), Complaint>, span: &Range<usize>, report: &mut Report<'_>) {
    if let Err(complaint) = carried {
        report.add(span, complaint);
    }
}

/// The list without what it repeats; each repetition is reported.
pub(super) fn distinct<T: PartialEq>(list: Vec<T>, item: &Item<'_, '_>, report: &mut Report<'_>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for value in list {
        if kept.contains(&value) && report.is_broken {
            // What goes on behind the place of a syntax error is read into a list that was to end there.
        } else if kept.contains(&value) {
            let what = format!("`{}` lists the same thing twice", item.path);
            report.add(&item.span(), Complaint::new(what, "remove one of them"));
        } else {
            kept.push(value);
        }
    }
    kept
}
