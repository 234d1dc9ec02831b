use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use strowger_net::Listen as Bound;
use strowger_syntax::Transport;

use super::facts::{Facts, Helper, Leads, Unbound, left_out, ranges};
use super::ports::sockets_at;
use super::*;
use crate::config::effective::{Asked, Machine};
use crate::config::{Cidr, check};

fn config(text: &str) -> Config {
    check(text, "test").unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A machine where all is well: one public address, and whatever it takes.
fn facts() -> Facts {
    let address = ip("203.0.113.5");
    Facts {
        machine: Machine {
            host_name: "pbx".to_owned(),
            addresses: vec![address, Ipv4Addr::LOCALHOST.into()],
        },
        networks: vec![
            (Ipv4Addr::LOCALHOST.into(), Cidr::new(ip("127.0.0.0"), 8)),
            (address, Cidr::new(ip("203.0.113.0"), 24)),
        ],
        unbound: Vec::new(),
        data_dir: Ok(Vec::new()),
        last_written: None,
        now_secs: 1_800_000_000,
        clock_is_kept: Some(true),
        descriptors: Some(1 << 20),
        udp_buffer: Ok((1 << 22, 1 << 22)),
        picked_ports: vec![32_768..=60_999],
        helper: Helper::None,
        has_users: Some(true),
        domains: vec![(
            "example.test".to_owned(),
            Leads::To(vec![(ip("203.0.113.5"), Some(5060))]),
        )],
        advertised: Vec::new(),
    }
}

/// The same behind a NAT.
fn private() -> Facts {
    let address = ip("192.168.1.5");
    let mut facts = facts();
    facts.machine.addresses[0] = address;
    facts.networks[1] = (address, Cidr::new(ip("192.168.1.0"), 24));
    facts.domains.clear();
    facts
}

const OPEN: &str = "domains = [\"example.test\"]\n[[listen]]\nuri = \"udp:0.0.0.0:5060\"\nADVERTISE\n[[listen]]\nuri = \
                    \"tcp:0.0.0.0:5060\"\nADVERTISE\n";

fn open(advertise: &str) -> Config {
    config(&OPEN.replace("ADVERTISE", advertise))
}

fn examined(config: &Config, facts: &Facts) -> Vec<String> {
    let told = |finding: &Finding| format!("{:?} {}: {}", finding.severity, finding.about, finding.what);
    let report = report(config, facts, None);
    for finding in &report.findings {
        assert!(!finding.why.is_empty() && !finding.mend.is_empty(), "{finding:?}");
    }
    report.findings.iter().map(told).collect()
}

#[track_caller]
fn one(config: &Config, facts: &Facts, expected: &str) {
    let found = examined(config, facts);
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "{expected}: {found:?}"
    );
}

#[test]
fn where_all_is_well_nothing_is_found() {
    assert_eq!(examined(&open(""), &facts()), [] as [&str; 0]);
    assert!(!report(&open(""), &facts(), None).has_errors());
}

#[test]
fn each_peer_is_listed_with_what_it_is_told() {
    let config =
        open("advertise = [{ to = \"192.168.0.0/16\", as = \"192.168.1.5\" }, \"198.51.100.7:5070\"]");
    let seen = report(&config, &private(), None).listeners;
    let told: Vec<_> = seen[0]
        .told
        .iter()
        .map(|told| (&*told.peer, &*told.address))
        .collect();
    let expected = [
        ("this machine", "198.51.100.7:5070"),
        ("192.168.1.0/24", "192.168.1.5"),
        ("everywhere else", "198.51.100.7:5070"),
    ];
    assert_eq!(
        (&*seen[0].listener, &told[..]),
        ("udp:0.0.0.0:5060", &expected[..])
    );
    let seen = report(&Config::default(), &facts(), None).listeners;
    let told: Vec<_> = seen
        .iter()
        .flat_map(|seen| &seen.told)
        .map(|told| &*told.address)
        .collect();
    assert_eq!(
        told,
        ["127.0.0.1:5060", "127.0.0.1:5060", "[::1]:5060", "[::1]:5060"]
    );
}

#[test]
fn addresses_that_mean_nothing_outside_are_found() {
    let both = |advertise: &str, facts: &Facts, expected: &str| {
        let found = examined(&open(advertise), facts);
        assert!(
            found.len() == 2 && found.iter().all(|found| found.contains(expected)),
            "{expected}: {found:?}"
        );
    };
    both("", &private(), "at 192.168.1.5, which is a private address");
    both(
        "advertise = \"192.168.1.5\"",
        &private(),
        "to everybody, which is a private address",
    );
    both("advertise = \"127.0.0.1\"", &private(), "Error advertise: ");
    both("advertise = \"198.51.100.7\"", &private(), "Note advertise: ");
    let mut nameless = private();
    nameless.advertised = vec![("pbx.test".to_owned(), Leads::Nowhere)];
    both("advertise = \"pbx.test\"", &nameless, "Error advertise: ");
    nameless.advertised = vec![("pbx.test".to_owned(), Leads::To(vec![(ip("198.51.100.7"), None)]))];
    assert_eq!(
        examined(&open("advertise = \"pbx.test\""), &nameless),
        [] as [&str; 0]
    );
}

#[test]
fn dns_that_leads_elsewhere_is_found() {
    for (leads, expected) in [
        (Leads::Nowhere, "DNS has no server for example.test"),
        (Leads::Unknown, "no name server can be asked"),
        (
            Leads::To(vec![(ip("198.51.100.9"), None)]),
            "leads to 198.51.100.9, which is not here",
        ),
        (
            Leads::To(vec![(ip("203.0.113.5"), Some(5099))]),
            "port 5099, which is not here",
        ),
    ] {
        let mut facts = facts();
        facts.domains[0].1 = leads;
        one(&open(""), &facts, expected);
    }
}

#[test]
fn what_lets_strangers_in_is_found() {
    let free = OPEN.replace("ADVERTISE", "") + "[auth]\nmethods = []\n";
    one(
        &config(&free),
        &facts(),
        "Error auth: whoever reaches udp:0.0.0.0:5060",
    );
    for (trusted, expected) in [
        ("198.0.0.0/8", "Warning trusted"),
        ("2000::/8", "Warning trusted"),
    ] {
        let text = format!("trusted = [{trusted:?}]\n{}", OPEN.replace("ADVERTISE", ""));
        one(&config(&text), &facts(), expected);
    }
    let visited = OPEN.replace("ADVERTISE", "") + "[location]\nvisitors = [\"10.0.0.0/8\"]\n";
    one(
        &config(&visited),
        &facts(),
        "Warning visitors: `location.visitors` lets",
    );
    let narrow = format!(
        "trusted = [\"10.0.0.0/8\", \"192.0.2.0/24\", \"2001:db8::/32\"]\n{}",
        OPEN.replace("ADVERTISE", "")
    );
    assert_eq!(examined(&config(&narrow), &facts()), [] as [&str; 0]);
}

#[test]
fn what_the_machine_lacks_is_found() {
    type Change = fn(&mut Facts);
    let cases: [(Change, &str); 10] = [
        (
            |facts| facts.descriptors = Some(1024),
            "Warning limits: 1024 files",
        ),
        (
            |facts| facts.udp_buffer = Ok((212_992, 1 << 22)),
            "Warning buffers: ",
        ),
        (
            |facts| facts.udp_buffer = Err("no".to_owned()),
            "Error sockets: no",
        ),
        (|facts| facts.helper = Helper::Loaded, "Warning alg: "),
        (|facts| facts.helper = Helper::Automatic, "Error alg: "),
        (|facts| facts.now_secs = 3, "Error clock: "),
        (|facts| facts.last_written = Some(1_800_000_100), "Error clock: "),
        (|facts| facts.clock_is_kept = Some(false), "Note clock: "),
        (|facts| facts.data_dir = Err("no".to_owned()), "Error data: no"),
        (
            |facts| facts.data_dir = Ok(vec!["x has mode 0755; run `chmod`".to_owned()]),
            "Warning data: x has mode 0755",
        ),
    ];
    for (change, expected) in cases {
        let mut facts = facts();
        change(&mut facts);
        one(&open(""), &facts, expected);
    }
}

#[test]
fn ports_that_are_gone_or_may_be_are_found() {
    let mut taken = facts();
    taken.unbound = vec![Unbound {
        place: 0,
        asked: Asked::Explicit,
        what: "udp:0.0.0.0:5060 is in use".to_owned(),
        holder: Some("kamailio (process 7)".to_owned()),
        mend: "stop it".to_owned(),
    }];
    one(
        &open(""),
        &taken,
        "Error ports: udp:0.0.0.0:5060 is in use: by kamailio (process 7)",
    );
    let mut picked = facts();
    picked.picked_ports = vec![5000..=5059, 5061..=6000];
    assert_eq!(examined(&open(""), &picked), [] as [&str; 0]);
    picked.picked_ports = vec![5000..=6000];
    assert_eq!(examined(&open(""), &picked).len(), 2);
}

#[test]
fn what_phones_need_is_found_missing() {
    let text = "domains = [\"example.test\"]\n[[listen]]\nuri = \"udp:0.0.0.0:5060\"\n";
    one(&config(text), &facts(), "there is no tcp:0.0.0.0:5060");
    let quiet = OPEN.replace("ADVERTISE", "") + "[nat]\nkeep_alive = \"off\"\n";
    one(&config(&quiet), &facts(), "Warning nat: ");
    let slow = OPEN.replace("ADVERTISE", "") + "[nat]\nkeep_alive_interval = \"1m\"\n";
    one(&config(&slow), &facts(), "every 60 s");
}

#[test]
fn a_server_that_runs_is_asked() {
    let live = Live {
        status: None,
        metrics: "# HELP\nstrowger_phones_unanswered 3\nstrowger_phones_unanswered_other 9\n\
                  strowger_datagrams_dropped_by_kernel_total{shard=\"0\"} 2\n\
                  strowger_datagrams_dropped_by_kernel_total{shard=\"1\"} 5\n\
                  strowger_refused_total{reason=\"address-as-domain\"} 2\nstrowger_refused_total{reason=\"banned\"} 0\n\
                  strowger_refused_total{reason=\"unknown-user\"} 11\n"
            .to_owned(),
        bans: vec![Ban {
            id: "192.0.2.7 bob@example.test".to_owned(),
            source: "192.0.2.7".to_owned(),
            account: Some("bob@example.test".to_owned()),
            since: 1_764_000_000,
            expires_in: 1741,
        }],
    };
    let mut config = open("");
    config.data_dir = "/srv/pbx".into();
    let report = report(&config, &facts(), Some(&live));
    let counted = report.server.expect("counted");
    let refused = [("address-as-domain", 2), ("unknown-user", 11)];
    let refused = refused.map(|(reason, count)| (reason.to_owned(), count));
    assert_eq!(counted.refused, BTreeMap::from(refused));
    assert_eq!((counted.phones_unanswered, counted.datagrams_dropped), (3, 7));
    let found: Vec<_> = report.findings.iter().map(|finding| &*finding.about).collect();
    assert_eq!(found, ["nat", "buffers", "phones", "bans", "server"]);
    let phones = &report.findings[2];
    assert!(
        phones.what.starts_with("2 ") && phones.mend.contains("example.test as their domain"),
        "{phones:?}"
    );
    let bans = &report.findings[3];
    assert!(
        bans.what.contains("bob@example.test at 192.0.2.7 for 30 minutes"),
        "{bans:?}"
    );
    assert!(
        bans.mend
            .ends_with("strowger ctl unban 192.0.2.7 bob@example.test --data-dir /srv/pbx"),
        "{bans:?}"
    );
}

#[test]
fn listeners_that_are_not_those_of_the_server_that_runs_are_told() {
    let differ = |running: &str, text: &str| {
        let status = STATUS.replace("LISTENERS", running);
        let live = Live {
            status: Some(serde_json::from_str(&status).expect("a status")),
            ..Live::default()
        };
        let report = report(&config(text), &facts(), Some(&live));
        let found = report
            .findings
            .into_iter()
            .find(|found| found.what.contains("the server that runs"));
        found.map(|found| found.what).unwrap_or_default()
    };
    let text = OPEN.replace("ADVERTISE", "");
    let both = "\"udp:0.0.0.0:5060\", \"tcp:0.0.0.0:5060\"";
    assert_eq!(differ(both, &text), "");
    let any = text.replace(":5060", ":0");
    assert_eq!(differ("\"tcp:0.0.0.0:40001\", \"udp:0.0.0.0:40000\"", &any), "");
    assert_eq!(
        differ("\"udp:0.0.0.0:5060\", \"tcp:127.0.0.1:5060\"", &text),
        "the configuration's listeners are not those of the server that runs; only configured: tcp:0.0.0.0:5060; only there: \
         tcp:127.0.0.1:5060"
    );
    let more = format!("{both}, \"udp:192.0.2.1:5062\"");
    assert!(differ(&more, &text).ends_with("that runs; only there: udp:192.0.2.1:5062"));
}

/// What a server says of itself, but for its listeners.
const STATUS: &str = r#"{"version": "1", "pid": 1, "uptime": 1, "state": "running", "listeners": [LISTENERS], "admin": null,
    "shards": 1, "domains": [], "data_dir": "/d", "auth": {"methods": [], "algorithms": [], "because": ""},
    "counts": {"users": 0, "registered": 0, "contacts": 0, "calls": 0, "transactions": 0, "connections": 0, "bans": 0},
    "config": {"file": null, "generation": 1, "since": 1, "rollback_in": null, "stuck": null}, "failing": null}"#;

#[test]
fn an_open_server_without_users_is_told() {
    let nobody = Facts {
        has_users: Some(false),
        ..facts()
    };
    one(&open(""), &nobody, "Warning users: ");
    let unknown = Facts {
        has_users: None,
        ..facts()
    };
    assert_eq!(examined(&open(""), &unknown), [] as [&str; 0]);
}

#[test]
fn the_kernels_tables_are_read() {
    assert_eq!(ranges("5060,5080-5090\n"), [5060..=5060, 5080..=5090]);
    assert_eq!(ranges("\n"), []);
    assert_eq!(
        left_out(5000..=6000, &[5060..=5060, 5990..=7000]),
        [5000..=5059, 5061..=5989]
    );
    assert_eq!(left_out(5000..=6000, &[0..=65_535]), []);
    let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                 0: 0100007F:13C4 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n\
                 1: 0100007F:13C4 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n\
                 2: 0100007F:13C5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0\n";
    let listen = |transport| Bound {
        transport,
        address: SocketAddr::from(([127, 0, 0, 1], 5060)),
    };
    assert_eq!(sockets_at(table, listen(Transport::Tcp)), ["4711"]);
    assert_eq!(sockets_at(table, listen(Transport::Udp)), ["4711", "4712"]);
}
