//! `strowger doctor`: what peers are told, and what is wrong, on machines that are behind a NAT or not.
#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use system_tests::namespace::{OUTSIDE, enter};
use system_tests::process::Ended;
use system_tests::server::{DOMAIN, strowger};
use system_tests::{NameServer, Peer, Setup, ports, wait};

const PATIENCE: Duration = Duration::from_secs(20);

fn ip(arguments: &str) {
    let ended = Command::new("ip").args(arguments.split(' ')).output();
    let ended = ended.expect("ip of iproute2 is there");
    assert!(ended.status.success(), "ip {arguments}: {ended:?}");
}

fn doctor(config: &Path) -> (Ended, Value) {
    let ended = strowger(&["doctor", "--json", "--config", &config.to_string_lossy()]);
    let report = serde_json::from_str(&ended.stdout);
    match report {
        Ok(report) => (ended, report),
        Err(error) => panic!("{error}: {ended:?}"),
    }
}

/// What is told to whom of the first listener, as `peer=address`.
fn told(report: &Value) -> Vec<String> {
    let told = report["listeners"][0]["told"].as_array().expect("a list");
    let pair = |told: &Value| {
        let text = |name| told[name].as_str().unwrap_or_default().to_owned();
        format!("{}={}", text("peer"), text("address"))
    };
    told.iter().map(pair).collect()
}

/// The findings about something, as `severity: what`.
fn about(report: &Value, word: &str) -> Vec<String> {
    let findings = report["findings"].as_array().expect("a list");
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .filter(|finding| finding["about"] == word)
        .map(|finding| {
            assert!(
                !text(finding, "why").is_empty() && !text(finding, "mend").is_empty(),
                "{finding}"
            );
            format!("{}: {}", text(finding, "severity"), text(finding, "what"))
        })
        .collect()
}

/// A configuration that is open to the network, in a folder of its own.
fn config(folder: &Path, listen: &str, more: &str) -> std::path::PathBuf {
    let path = folder.join("strowger.toml");
    let text = format!(
        "domains = [\"far.test\"]\ndata_dir = {:?}\n{more}",
        folder.join("data")
    );
    std::fs::write(&path, format!("{text}\n{listen}")).expect("written");
    path
}

fn listen(transport: &str, port: u16, advertise: &str) -> String {
    format!("[[listen]]\nuri = \"{transport}:0.0.0.0:{port}\"\n{advertise}\n")
}

#[test]
fn a_machine_behind_a_nat_is_told_what_peers_outside_see() {
    if !enter("a_machine_behind_a_nat_is_told_what_peers_outside_see") {
        return;
    }
    ip(&format!("address del {OUTSIDE}/32 dev lo"));
    ip("address add 10.9.8.7/24 dev lo");
    let scratch = system_tests::Scratch::new();
    let port = ports::free();
    let both = |advertise: &str| listen("udp", port, advertise) + &listen("tcp", port, advertise);
    let (ended, report) = doctor(&config(scratch.path(), &both(""), ""));
    assert_eq!(ended.code, Some(0), "{report:#}");
    let here = format!("10.9.8.7:{port}");
    let expected = [
        format!("this machine=127.0.0.1:{port}"),
        format!("10.9.8.0/24={here}"),
        format!("everywhere else={here}"),
    ];
    assert_eq!(told(&report), expected);
    let found = about(&report, "advertise");
    assert!(
        found.len() == 2 && found[0].starts_with("warning: udp:0.0.0.0:"),
        "{found:?}"
    );

    let advertise = "advertise = [{ to = \"10.0.0.0/8\", as = \"10.9.8.7\" }, { as = \"203.0.113.5:5070\" }]";
    let (_, report) = doctor(&config(scratch.path(), &both(advertise), ""));
    let expected = [
        "this machine=203.0.113.5:5070",
        "10.9.8.0/24=10.9.8.7",
        "everywhere else=203.0.113.5:5070",
    ];
    assert_eq!(told(&report), expected);
    let found = about(&report, "advertise");
    assert!(
        found.len() == 2 && found.iter().all(|found| found.starts_with("note: ")),
        "{found:?}"
    );
}

#[test]
fn names_ports_and_doors_are_looked_at() {
    if !enter("names_ports_and_doors_are_looked_at") {
        return;
    }
    let scratch = system_tests::Scratch::new();
    let port = ports::free();
    let both = listen("udp", port, "") + &listen("tcp", port, "");
    for (records, found) in [
        (format!("_sip._udp SRV 0 0 {port} here\nhere A {OUTSIDE}\n"), ""),
        ("@ A 203.0.113.9\n".to_owned(), "leads to 203.0.113.9"),
        (String::new(), "DNS has no server for far.test"),
    ] {
        let names = NameServer::start(&records);
        let dns = format!("[dns]\nservers = [\"{}\"]\n", names.address());
        let (_, report) = doctor(&config(scratch.path(), &both, &dns));
        let about = about(&report, "dns");
        let is_right = match about.as_slice() {
            [] => found.is_empty(),
            [only] => !found.is_empty() && only.contains(found),
            _ => false,
        };
        assert!(is_right, "{found}: {about:?}");
    }
    let taken = UdpSocket::bind(("0.0.0.0", port)).expect("a free port");
    let open = format!("{both}[auth]\nmethods = []\n");
    let (ended, report) = doctor(&config(scratch.path(), &open, ""));
    assert_eq!(ended.code, Some(1), "{report:#}");
    let ports = about(&report, "ports");
    let who = format!("(process {})", std::process::id());
    assert!(
        ports.len() == 1 && ports[0].starts_with("error: ") && ports[0].ends_with(&who),
        "{ports:?}"
    );
    assert!(
        about(&report, "auth")[0].starts_with("error: whoever reaches"),
        "{report:#}"
    );
    drop(taken);
    let said = strowger(&[
        "doctor",
        "--config",
        &scratch.path().join("strowger.toml").to_string_lossy(),
    ]);
    assert!(
        said.code == Some(1) && said.stdout.contains("ERROR auth: "),
        "{said:?}"
    );
}

#[test]
fn a_running_server_tells_which_phones_do_not_answer() {
    let server = Setup::new()
        .toml("[nat]\nkeep_alive = \"options\"\nkeep_alive_interval = \"1s\"\nunanswered_limit = 1")
        .start();
    let phone = Peer::udp(server.sip());
    let aor = format!("sip:bob@{DOMAIN}");
    let register = phone
        .register(&aor, 300)
        .set("Contact", "<sip:bob@10.0.0.5:5060>");
    assert_eq!(phone.exchange(&register).status(), Some(200));
    phone.expect_request("OPTIONS");
    let report = || {
        let data = server.data().to_string_lossy().into_owned();
        let ended = strowger(&["doctor", "--json", "--data-dir", &data]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str::<Value>(&ended.stdout).expect("JSON")
    };
    let silent = || report()["server"]["phones_unanswered"] == 1;
    assert!(wait::until_true(PATIENCE, silent), "{:#}", report());
    let found = about(&report(), "nat");
    assert!(
        found.len() == 1 && found[0].starts_with("warning: 1 phones"),
        "{found:?}"
    );
    assert_eq!(report()["server"]["contacts"], 1);
    // It answers the next one, and all is well again.
    let answered = || {
        phone.answer(&phone.expect_request("OPTIONS"), 200, "OK");
        report()["server"]["phones_unanswered"] == 0
    };
    assert!(wait::until_true(PATIENCE, answered), "{:#}", report());
}
