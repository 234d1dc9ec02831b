//! The rules, case by case.

use strowger_syntax::uri::Uri;

use super::super::{Advertise, HostPort, Switch, check};
use super::*;

fn config(text: &str) -> Config {
    check(text, "test").unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

fn machine() -> Machine {
    let addresses = ["127.0.0.1", "192.0.2.10", "::1", "2001:db8::10"];
    Machine {
        host_name: "Pbx.Example.Test".to_owned(),
        addresses: addresses
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect(),
    }
}

#[test]
fn nothing_configured_listens_on_loopback_and_admin_8080() {
    let config = Config::default();
    let uris: Vec<String> = listeners(&config)
        .iter()
        .map(|listener| listener.listen.uri.to_string())
        .collect();
    assert_eq!(
        uris,
        [
            "udp:127.0.0.1:5060",
            "tcp:127.0.0.1:5060",
            "udp:[::1]:5060",
            "tcp:[::1]:5060"
        ]
    );
    assert!(
        listeners(&config)
            .iter()
            .all(|listener| listener.asked == Asked::Default)
    );
    assert_eq!(
        admin(&config),
        Some((SocketAddr::from(([127, 0, 0, 1], 8080)), Asked::Default))
    );
    let config = config_with_listen("udp:127.0.0.1:5070", "admin.listen = \"off\"");
    assert_eq!(listeners(&config)[0].asked, Asked::Explicit);
    assert_eq!(admin(&config), None);
}

fn config_with_listen(uri: &str, more: &str) -> Config {
    config(&format!("{more}\n[[listen]]\nuri = \"{uri}\"\n"))
}

#[test]
fn one_open_listener_turns_digest_on_for_the_whole_node() {
    assert_eq!(digest(&Config::default()).because, Because::OnlyLoopback);
    assert!(!digest(&config_with_listen("udp:127.0.0.9:5060", "")).is_on());
    assert!(!digest(&config_with_listen("udp:[::ffff:127.0.0.1]:5060", "")).is_on());
    for open in ["udp:0.0.0.0:5060", "udp:[::]:5060", "tcp:192.0.2.1:5060"] {
        let digest = digest(&config_with_listen(open, ""));
        assert_eq!(digest.methods, DEFAULT_METHODS, "{open}");
        assert!(matches!(digest.because, Because::Open(uri) if uri.to_string() == open));
    }
}

#[test]
fn what_is_said_about_digest_wins() {
    let off = config_with_listen("udp:0.0.0.0:5060", "auth.methods = []");
    assert_eq!(
        digest(&off),
        Digest {
            methods: Vec::new(),
            because: Because::Asked
        }
    );
    let on = config("auth.methods = [\"MESSAGE\"]");
    assert_eq!(digest(&on).methods, ["MESSAGE"]);
    for (mut config, switch, expected) in [
        (on.clone(), Switch::Off, vec![]),
        (on, Switch::On, vec!["MESSAGE"]),
        (off, Switch::On, vec!["REGISTER", "INVITE"]),
        (Config::default(), Switch::On, vec!["REGISTER", "INVITE"]),
    ] {
        let flags = super::super::Flags {
            auth: Some(switch),
            ..Default::default()
        };
        assert_eq!(config.overlay(&flags), Ok(()));
        assert_eq!(digest(&config).methods, expected);
    }
}

/// Whether a URI of this host and port names the node.
fn names(ours: &Ours, host: &str, port: Option<u16>) -> bool {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let text = format!("sip:alice@{host}{port}");
    match Uri::parse(text.as_bytes()) {
        Ok(Uri::Sip(uri)) => ours.is_ours(&uri),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_domains_addresses_and_the_machines_names_are_ours() {
    let config = config_with_listen("udp:127.0.0.1:5060", "");
    let ours = ours(&config, &config.listen, &machine());
    for (host, port, expected) in [
        ("127.0.0.1", None, true),
        ("127.0.0.1", Some(5060), true),
        ("127.0.0.1", Some(5080), false),
        ("LocalHost", None, true),
        ("pbx.example.test.", Some(5060), true),
        ("192.0.2.10", None, false),
        ("example.test", None, false),
    ] {
        assert_eq!(names(&ours, host, port), expected, "{host} {port:?}");
    }
}

#[test]
fn configured_domains_replace_the_machines_names_but_not_the_addresses() {
    let mut config = config_with_listen(
        "udp:0.0.0.0:5060",
        "domains = [\"Example.Test\", \"198.51.100.7\"]",
    );
    config.listen[0].advertise = vec![Advertise::everywhere(HostPort {
        host: "203.0.113.5".to_owned(),
        port: Some(5070),
    })];
    let ours = ours(&config, &config.listen, &machine());
    for (host, port, expected) in [
        ("example.test", None, true),
        ("EXAMPLE.test", Some(5070), true),
        ("sub.example.test", None, false),
        ("localhost", None, false),
        ("pbx.example.test", None, false),
        ("192.0.2.10", None, true),
        ("[2001:db8::10]", None, false),
        ("203.0.113.5", Some(5070), true),
        ("198.51.100.7", None, true),
    ] {
        assert_eq!(names(&ours, host, port), expected, "{host} {port:?}");
    }
}

#[test]
fn who_writes_an_address_in_place_of_the_domain_means_the_first_that_is_a_name() {
    let meant = |domains: &str, host: &str| {
        let config = config_with_listen("udp:0.0.0.0:5060", domains);
        let ours = ours(&config, &config.listen, &machine());
        ours.domain_meant(host.as_bytes()).map(str::to_owned)
    };
    let domains = "domains = [\"198.51.100.7\", \"example.test\", \"other.test\"]";
    for (host, expected) in [
        ("192.0.2.10", Some("example.test")),
        ("[2001:db8::10]", Some("example.test")),
        ("198.51.100.7", None),
        ("example.test", None),
        ("pbx.example.test", None),
        ("", None),
    ] {
        assert_eq!(meant(domains, host).as_deref(), expected, "{host}");
    }
    assert_eq!(meant("", "192.0.2.10"), None);
    assert_eq!(meant("domains = [\"198.51.100.7\"]", "192.0.2.10"), None);
}

#[test]
fn an_address_may_be_another_name_of_a_domain() {
    let more = "domains = [\"example.test\"]\ndomain_aliases = { \"192.0.2.10\" = \"example.test\" }";
    let config = config_with_listen("udp:192.0.2.10:5060", more);
    let ours = ours(&config, &config.listen, &machine());
    let Ok(Uri::Sip(uri)) = Uri::parse(b"sip:bob@192.0.2.10") else {
        panic!("a URI");
    };
    let mut aor = Vec::new();
    ours.write_aor(&uri, &mut aor);
    assert_eq!(aor, b"bob@example.test");
}

#[test]
fn a_command_that_is_copied_runs_nothing_of_what_a_stranger_has_written() {
    for plain in ["alice@example.test", "/srv/pbx", "+4930123@192.0.2.1"] {
        assert_eq!(shell_word(plain), plain);
    }
    for (text, word) in [
        ("a;reboot@b.test", "'a;reboot@b.test'"),
        ("$(reboot)@b.test", "'$(reboot)@b.test'"),
        ("it's@b.test", r"'it'\''s@b.test'"),
        ("", "''"),
    ] {
        assert_eq!(shell_word(text), word);
    }
}

#[test]
fn commands_name_the_data_directory_where_it_is_not_the_default() {
    let option = |text: &str| {
        let config = config_with_listen("udp:127.0.0.1:5060", text);
        data_dir_option(&config)
    };
    assert_eq!(option(""), "");
    assert_eq!(
        option("data_dir = \"/var/lib/strowger\""),
        " --data-dir /var/lib/strowger"
    );
    assert_eq!(option("data_dir = \"/a b/it's\""), r" --data-dir '/a b/it'\''s'");
    assert!(
        option("data_dir = \"d\"").starts_with(" --data-dir /"),
        "it is absolute"
    );
}

#[test]
fn ipv6_addresses_are_compared_as_addresses() {
    let config = config_with_listen("udp:[2001:db8::10]:5060", "");
    let ours = ours(&config, &config.listen, &machine());
    assert!(names(&ours, "[2001:0DB8:0:0:0:0:0:10]", None));
    assert!(!names(&ours, "[2001:db8::11]", None));
}

#[test]
fn a_maddr_is_ours_or_leads_elsewhere() {
    let config = config_with_listen("udp:192.0.2.10:5060", "");
    let ours = ours(&config, &config.listen, &machine());
    for (maddr, expected) in [
        ("", true),
        (";maddr=192.0.2.10", true),
        (";maddr=192.0.2.11", false),
    ] {
        let text = format!("sip:alice@192.0.2.10{maddr}");
        let Ok(Uri::Sip(uri)) = Uri::parse(text.as_bytes()) else {
            panic!("{text}");
        };
        assert_eq!(ours.is_maddr_ours(&uri), expected, "{text}");
    }
}

#[test]
fn shards_follow_the_cores_unless_told() {
    assert_eq!(shards(&Config::default(), 8), 8);
    assert_eq!(shards(&Config::default(), 0), 1);
    assert_eq!(shards(&config("shards = 3"), 8), 3);
}

#[test]
fn who_leaves_the_node_open_is_told() {
    let open = "udp:192.0.2.1:5060";
    for (uri, more, told) in [
        ("udp:127.0.0.1:5060", "auth.methods = []", None),
        (open, "", None),
        (open, "auth.methods = []", Some("call wherever that leads")),
        (open, "auth.methods = [\"INVITE\"]", Some("register any address")),
        (open, "auth.methods = [\"REGISTER\"]", Some("call every user")),
    ] {
        let exposure = exposure(&config_with_listen(uri, more));
        assert_eq!(exposure.is_some(), told.is_some(), "{more}");
        assert!(
            exposure.is_none_or(|text| told.is_some_and(|told| text.contains(told))),
            "{more}"
        );
    }
}

#[test]
fn this_machine_is_exempt_while_digest_is_off() {
    for (methods, exempt) in [("[]", true), (r#"["INVITE"]"#, false)] {
        let config = config(&format!(
            "trusted = [\"192.0.2.0/24\"]\n[auth]\nmethods = {methods}"
        ));
        let sources = exempt_sources(&config);
        let is_exempt = |address: &str| is_trusted(&sources, address.parse().expect("an address"));
        assert!(is_exempt("192.0.2.7"));
        assert!(!is_exempt("192.0.3.7"));
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(is_exempt(address), exempt, "{address}");
            let source = address.parse().expect("an address");
            assert_eq!(is_local(digest(&config).is_on(), source), exempt, "{address}");
        }
    }
}

#[test]
fn users_of_domains_that_are_not_ours_are_told_with_their_mend() {
    let users = |domains: &[&str]| -> Vec<(String, u64)> {
        domains.iter().map(|domain| ((*domain).to_owned(), 2)).collect()
    };
    let told = |text: &str, domains: &[&str]| {
        let config = config(text);
        let bound: Vec<_> = listeners(&config).into_iter().map(|l| l.listen).collect();
        unserved(&users(domains), &ours(&config, &bound, &machine()))
    };
    assert_eq!(told("", &["127.0.0.1", "localhost", "pbx.example.test"]), None);
    assert_eq!(told("domains = [\"a.test\"]", &["a.test"]), None);
    assert_eq!(
        told("", &["127.0.0.1", "a.test", "b.test"]).as_deref(),
        Some(
            "there are users of domains that this node is not responsible for; their phones cannot register: a.test (2), \
             b.test (2). Add them to `domains` in the configuration, as domains = [\"a.test\"], or give --domain a.test"
        )
    );
    let many = ["a.t", "b.t", "c.t", "d.t", "e.t", "f.t", "g.t"];
    assert!(told("", &many).is_some_and(|text| text.contains("e.t (2), 2 more. ")));
}
