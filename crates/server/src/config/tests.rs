//! What is said about broken configurations, to the line and column; and that the reference is the default.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// The diagnostics as `line:column: what; mend`.
#[track_caller]
fn complaints(text: &str) -> Vec<String> {
    let Err(wrong) = check(text, "f") else {
        panic!("must be refused:\n{text}");
    };
    wrong
        .iter()
        .map(|diagnostic| diagnostic.to_string().trim_start_matches("f:").to_owned())
        .collect()
}

#[track_caller]
fn accepted(text: &str) -> Config {
    match check(text, "f") {
        Ok(config) => config,
        Err(wrong) => panic!("must be accepted:\n{text}\n{wrong:?}"),
    }
}

#[test]
#[should_panic(expected = "must be refused:\nshards = 2")]
fn a_case_that_is_not_refused_is_told() {
    complaints("shards = 2");
}

#[test]
fn each_error_is_told_with_its_place_and_mend() {
    for (text, expected) in [
        // Keys.
        (
            "domain = [\"a.test\"]",
            "1:1: `domain` is not a key; did you mean `domains`?",
        ),
        (
            "\n[proxy]\n  frok = \"parallel\"",
            "3:3: `proxy.frok` is not a key; did you mean `fork`?",
        ),
        ("[proxi]\n", "1:2: `proxi` is not a key; did you mean `proxy`?"),
        (
            "[log]\ncolour = true",
            "2:1: `log.colour` is not a key; known here are `level`",
        ),
        (
            "[[listen]]\nuri = \"udp:127.0.0.1:5060\"\nadvertize = \"a\"",
            "3:1: `listen.advertize` is not a key; did you mean `advertise`?",
        ),
        (
            "[[listen]]\nadvertise = \"a.test\"",
            "1:1: `listen.uri` is missing; add uri = \"udp:0.0.0.0:5060\"",
        ),
        (
            "[proxy]\ndomains = [\"a.test\"]",
            "2:1: `proxy.domains` is not a key; `domains` belongs at the top, before the first [section]",
        ),
        (
            "uri = \"udp:127.0.0.1:5060\"",
            "1:1: `uri` is not a key; `uri` belongs in [[listen]]",
        ),
        (
            "[proxy]\nmethods = []",
            "2:1: `proxy.methods` is not a key; `methods` belongs in [auth]",
        ),
        (
            "[admin.log]\nlevel = \"info\"",
            "1:8: `admin.log` is not a key; `log` is a section of its own: [log]",
        ),
        (
            "[log]\ncertificate = \"a.pem\"",
            "2:1: `log.certificate` is not a key; known here are `level`",
        ),
        // Types.
        (
            "listen = [\"udp:0.0.0.0:5060\"]",
            "1:11: `listen` must be a table, not a string; write it as [[listen]], and below it uri = \"udp:0.0.0.0:5060\"",
        ),
        (
            "listen = \"udp:0.0.0.0:5060\"",
            "1:10: `listen` must be a table, not a string; write it as [[listen]], and below it uri = \"udp:0.0.0.0:5060\"",
        ),
        (
            "shards = \"2\"",
            "1:10: `shards` must be a whole number, not a string; write it as digits without quotes",
        ),
        (
            "domains = \"a.test\"",
            "1:11: `domains` must be a list, not a string; write it as [\"...\"], in brackets",
        ),
        (
            "domains = [1]",
            "1:12: `domains` must be a string, not a whole number; write it as \"...\", in quotes",
        ),
        (
            "proxy = 1",
            "1:9: `proxy` must be a table, not a whole number; write it as a section [proxy]",
        ),
        (
            "[listen]\nuri = \"udp:127.0.0.1:1\"",
            "1:1: `listen` must be a list, not a table; write it as [[listen]], in double brackets",
        ),
        (
            "[proxy]\nrecurse = \"yes\"",
            "2:11: `proxy.recurse` must be a boolean, not a string; write it as true or false, without quotes",
        ),
        // Numbers and durations.
        (
            "shards = 0",
            "1:10: `shards` = 0 is out of range; write a number from 1 to 1024",
        ),
        (
            "shards = 99999999999999999999999",
            "1:10: `shards` = 99999999999999999999999 is out of range; write a number from 1 to 1024",
        ),
        (
            "[location]\nwhen_full = \"drop\"",
            "2:13: `location.when_full` cannot be `drop`; use `refuse` or `replace`",
        ),
        (
            "[nat]\nkeep_alive = \"ping\"",
            "2:14: `nat.keep_alive` cannot be `ping`; use `crlf`, `options` or `off`",
        ),
        (
            "[nat]\nkeep_alive_interval = \"100ms\"",
            "2:23: `nat.keep_alive_interval` = 100ms is out of range; write a duration from 1s to 1h",
        ),
        (
            "[nat]\nremove_unanswered = true",
            "2:21: `remove_unanswered` needs answers, and nothing is sent that is answered; add keep_alive = \"options\"",
        ),
        (
            "[location]\nmax_contacts = -1",
            "2:16: `location.max_contacts` = -1 is out of range; write a number from 1 to 1000",
        ),
        (
            "drain = 5",
            "1:9: `drain` must be a duration with its unit, not a bare number; write \"5s\" if you meant seconds",
        ),
        (
            "drain = \"5 sec\"",
            "1:9: `5 sec` is not a duration; write a number with its unit: us, ms, s, m, h or d, as in \"500ms\" or \"5s\"",
        ),
        (
            "drain = \"2h\"",
            "1:9: `drain` = 2h is out of range; write a duration from 0ms to 1h",
        ),
        (
            "proxy.ring_timeout = \"0s\"",
            "1:22: `proxy.ring_timeout` = 0ms is out of range; write a duration from 1s to 3m",
        ),
        (
            "proxy.timer_c = \"3m\"",
            "1:17: `proxy.timer_c` = 3m is out of range; write a duration from 181s to 1d",
        ),
        (
            "location.min_expires = \"1500ms\"",
            "1:24: `location.min_expires` must be whole seconds; write \"1s\"",
        ),
        (
            "auth.realm = \"a\"",
            "1:6: `auth.realm` is not a key; `realm` belongs in [[register]]",
        ),
        // Words.
        (
            "log.level = \"wran\"",
            "1:13: `log.level` cannot be `wran`; did you mean `warn`?",
        ),
        (
            "proxy.fork = \"both\"",
            "1:14: `proxy.fork` cannot be `both`; use `parallel` or `sequential`",
        ),
        (
            "auth.methods = [\"INVITE\", \"REGISTR\"]",
            "1:27: `auth.methods` cannot be `REGISTR`; did you mean `REGISTER`?",
        ),
        (
            "auth.methods = [\"invite\"]",
            "1:17: `auth.methods` cannot be `invite`; did you mean `INVITE`?",
        ),
        (
            "auth.methods = [\"ACK\"]",
            "1:17: ACK cannot be challenged (RFC 3261 §22.1); remove it",
        ),
        (
            "auth.methods = [\"INVITE\", \"INVITE\"]",
            "1:16: `auth.methods` lists the same thing twice; remove one of them",
        ),
        (
            "auth.algorithms = []",
            "1:19: `auth.algorithms` is empty; list one, such as \"MD5\"; to switch digest off write methods = []",
        ),
        (
            "auth.algorithms = [\"SHA256\"]",
            "1:20: `auth.algorithms` cannot be `SHA256`; did you mean `SHA-256`?",
        ),
        // Addresses.
        (
            "trusted = [\"10.0.0.1/8\"]",
            "1:12: `10.0.0.1/8` has address bits set beyond its /8; write \"10.0.0.0/8\", or \"10.0.0.1\" for the one host",
        ),
        (
            "trusted = [\"10.0.0.0/40\"]",
            "1:12: `/40` is not a prefix length; write /0 to /32",
        ),
        (
            "trusted = [\"0.0.0.0/0\"]",
            "1:12: `0.0.0.0/0` trusts every address; name the providers' own blocks, such as \"192.0.2.0/24\"",
        ),
        (
            "domains = [\"sip:a.test\"]",
            "1:12: `sip:a.test` is not a domain: it is a URI; write a host name such as \"example.test\"",
        ),
        (
            "[[listen]]\nuri = \"127.0.0.1:5060\"",
            "2:7: `127.0.0.1:5060` names no transport; write \"udp:127.0.0.1:5060\"",
        ),
        (
            "[[listen]]\nuri = \"upd:127.0.0.1:5060\"",
            "2:7: `upd` is not a transport; did you mean `udp`?",
        ),
        (
            "[[listen]]\nuri = \"udp:127.0.0.1:65536\"",
            "2:7: port 65536 is out of range; write a port from 0 to 65535",
        ),
        (
            "[[listen]]\nuri = \"udp:127.0.0.1\"",
            "2:7: `127.0.0.1` has no port; write it as \"udp:127.0.0.1:5060\", with IPv6 in brackets: \"udp:[::1]:5060\"",
        ),
        (
            "[[listen]]\nuri = \"udp:::1:5060\"",
            "2:7: `::1:5060` is an IPv6 address without brackets and port; write it as \"udp:127.0.0.1:5060\", with IPv6 in brackets: \"udp:[::1]:5060\"",
        ),
        (
            "[[listen]]\nuri = \"udp:pbx.test:5060\"",
            "2:7: `pbx.test` is not an IP address; write an address of this machine, or 0.0.0.0 or [::] for all of them",
        ),
        (
            "[[listen]]\nuri = \"udp:0.0.0.0:5060\"\nadvertise = [\"a.test\", { to = \"10.0.0.0/8\", as = \"b.test\" }]",
            "3:24: nobody is left for this one: the one before it is for everybody; put those with `to` first",
        ),
        (
            "[[listen]]\nuri = \"udp:0.0.0.0:5060\"\nadvertise = { to = \"10.0.0.1/8\", as = \"b.test\" }",
            "3:20: `10.0.0.1/8` has address bits set beyond its /8; write \"10.0.0.0/8\", or \"10.0.0.1\" for the one host",
        ),
        (
            "[[listen]]\nuri = \"udp:0.0.0.0:5060\"\nadvertise = { to = [], as = \"b.test\" }",
            "3:20: `listen.advertise.to` is empty; leave it out for everywhere",
        ),
        (
            "[[listen]]\nuri = \"udp:0.0.0.0:5060\"\nadvertise = { to = \"10.0.0.0/8\" }",
            "3:13: `listen.advertise.as` is missing; add as = \"203.0.113.5:5060\"",
        ),
        (
            "[[listen]]\nuri = \"udp:0.0.0.0:5060\"\nadvertise = \"0.0.0.0\"",
            "3:13: nobody can reach `0.0.0.0`; write the address or name that others reach this node by",
        ),
        (
            "admin.listen = \"0.0.0.0:8080\"",
            "1:16: the admin address 0.0.0.0:8080 is not loopback, and it carries no TLS; write \"127.0.0.1:8080\" and reach it through an SSH tunnel",
        ),
        (
            "admin.listen = \"8080\"",
            "1:16: `8080` has no port; write \"127.0.0.1:8080\", \"[::1]:8080\" or \"off\"",
        ),
        // What does not fit together.
        (
            "[[listen]]\nuri = \"udp:127.0.0.1:5060\"\n[[listen]]\nuri = \"udp:127.0.0.1:5060\"",
            "4:7: `udp:127.0.0.1:5060` is listed twice; remove one of them",
        ),
        (
            "[[listen]]\nuri = \"tcp:0.0.0.0:5060\"\n[[listen]]\nuri = \"tcp:127.0.0.1:5060\"",
            "4:7: `tcp:127.0.0.1:5060` overlaps `tcp:0.0.0.0:5060`; keep one, or give it another port",
        ),
        (
            "admin.listen = \"127.0.0.1:5060\"\n[[listen]]\nuri = \"tcp:0.0.0.0:5060\"",
            "1:16: the admin address 127.0.0.1:5060 is also a SIP listener's; give one of them another port",
        ),
        (
            "[[listen]]\nuri = \"udp:127.0.0.1:5060\"\nkey = \"k.pem\"",
            "3:7: `key` has no meaning for udp; remove it",
        ),
        (
            "[defence]\nban = \"8d\"",
            "2:7: `defence.ban` = 8d is out of range; write a duration from 0ms to 7d",
        ),
        (
            "[defence]\nfailure = 3",
            "2:1: `defence.failure` is not a key; did you mean `failures`?",
        ),
        (
            "[location]\nmin_expires = \"1h\"\nmax_expires = \"30m\"",
            "2:15: `min_expires` is longer than `max_expires`; make it the shorter one",
        ),
        (
            "[location]\nmax_expires = \"30m\"",
            "1:1: `default_expires` is longer than `max_expires`; shorten it, or lengthen `max_expires`",
        ),
        (
            "auth.users = \"http://users.test/\"",
            "1:14: what http://users.test answers could be read and changed on the way; write https://, or let a server on this machine ask it",
        ),
        (
            "auth.users = \"https://me:hunter2@users.test/\"",
            "1:14: the URL of `auth.users` has a user name or password, which would be shown; put a token into a file, and name that as `token_file` in [user_lookup]",
        ),
        (
            "auth.users = \"users.txt\"",
            "1:14: `auth.users` cannot be `users.txt`; write \"sqlite\", \"file:PATH\" or \"https://HOST/PATH\"",
        ),
        (
            "auth.users = \"file:\"",
            "1:14: `auth.users` names no file; write \"sqlite\", \"file:PATH\" or \"https://HOST/PATH\"",
        ),
        (
            "auth.users = \"ldap://users.test\"",
            "1:14: `auth.users`: a URL must begin with http:// or https://; write \"sqlite\", \"file:PATH\" or \"https://HOST/PATH\"",
        ),
        (
            "[[listen]]\nuri = \"tcp:127.0.0.1:5060\"\nmulticast = true",
            "3:13: tcp has no multicast; write it for a `udp` listener",
        ),
        (
            "[[listen]]\nuri = \"udp:0.0.0.0:5060\"\nmulticast = true",
            "3:13: a group is heard on one interface, and this listener is at all of them; write the address of one interface as `uri`, as in \"udp:192.0.2.1:5060\"",
        ),
        (
            "[[listen]]\nuri = \"udp:[::1]:5060\"\nmulticast = true",
            "3:13: there is no well-known group for IPv6 (RFC 3261 §10.2.6); write the one that your phones use; its scope is a part of it, as in \"ff02::4b4b\" or \"ff05::4b4b\"",
        ),
        (
            "[[listen]]\nuri = \"udp:[::1]:5060\"\nmulticast = \"224.0.1.75\"",
            "3:13: the group 224.0.1.75 is of another family than ::1; write one of the same family",
        ),
        (
            "[[listen]]\nuri = \"udp:127.0.0.1:5060\"\nmulticast = \"192.0.2.1\"",
            "3:13: `listen.multicast` must be true, false or a multicast address, not `192.0.2.1`; write true for 224.0.1.75 (\"all SIP servers\"), or the address of a group",
        ),
        (
            "[[listen]]\nuri = \"udp:127.0.0.1:5060\"\nmulticast_ttl = 2",
            "3:17: `multicast_ttl` is for `multicast`; add multicast = true, or remove it",
        ),
        (
            "domains = [\"a.test\"]\ndomain_aliases = { \"a.test\" = \"a.test\" }",
            "2:20: `a.test` is one of `domains`, and cannot be an alias too; remove it here or there",
        ),
        (
            "domain_aliases = { \"b.test\" = \"a.test\" }",
            "1:31: `a.test` is none of `domains`; add domains = [\"a.test\"]",
        ),
        (
            "[location]\nthird_parties = { \"a@a.test\" = [\"b@b.test\"] }",
            "2:33: `b@b.test` is of another domain than `a@a.test`, who has no password there; name users of a.test",
        ),
        // What this build lacks.
        (
            "[[listen]]\nuri = \"tls:127.0.0.1:5061\"\ncertificate = \"c\"",
            "2:7: transport `tls` is not carried by this build; use `udp` or `tcp`",
        ),
        (
            "location.store = \"redis://h\"",
            "1:18: a store behind `redis://` is not carried by this build; use `sqlite` or `memory`",
        ),
    ] {
        assert_eq!(complaints(text), [expected], "{text}");
    }
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let text = "shrads = 2\ndrain = 5\n[proxy]\nrecurse = 1\nfork = \"paralel\"\n[[route]]\nwhen = { source = [\"x\"], nope = 1 }\nreply = \"200 OK\"\n";
    let places: Vec<String> = complaints(text)
        .iter()
        .map(|line| line.split(": ").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(places, ["1:1", "2:9", "4:11", "5:8", "7:20", "7:26", "8:9"]);
}

#[test]
fn syntax_errors_have_places_and_do_not_hide_the_other_errors() {
    let found = complaints("drain = \n[proxy]\nfork = \"x\"\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("1:"), "{found:?}");
    assert!(found[1].starts_with("3:8: `proxy.fork`"), "{found:?}");
    let twice = complaints("drain = \"1s\"\ndrain = \"2s\"\n");
    assert_eq!(twice, ["2:1: duplicate key; remove one of them"]);
    assert!(complaints("x = \"abc").iter().all(|line| line.starts_with("1:")));
}

#[test]
fn no_broken_text_panics() {
    let text = reference();
    // Each place in some keys and values is enough: all of them take their square in time.
    for cut in (0..text.len()).step_by(7) {
        if let Some(part) = text.get(..cut) {
            let _ = check(part, "f");
        }
        if let Some(part) = text.get(cut..) {
            let _ = check(part, "f");
        }
    }
}

#[test]
fn the_reference_is_the_default_and_its_examples_are_right() {
    let text = reference();
    assert_eq!(accepted(&text), Config::default());
    let uncommented: String = text
        .lines()
        // A route has one decision, a trunk one password, and a group is not heard at all addresses.
        .filter(|line| {
            !["reply", "redirect", "multicast", "multicast_ttl", "password_file"]
                .iter()
                .any(|key| line.starts_with(&format!("# {key} = ")))
        })
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.starts_with('[')
                    || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let config = accepted(&uncommented);
    assert_eq!(config.listen.len(), 1);
    assert_eq!(config.admin.names, ["pbx.example.test"]);
    for key in schema::ROOT {
        let section = format!("[{}]\n", key.name);
        let there = [
            section,
            format!("# [[{}]]", key.name),
            format!("\n{} = ", key.name),
            format!("\n# {} = ", key.name),
        ];
        let reserved = key.given == read::Given::Reserved;
        assert_eq!(
            there.iter().any(|form| text.contains(form)),
            !reserved,
            "{} in the reference",
            key.name
        );
    }
}

#[test]
fn a_full_configuration_is_read() {
    let config = accepted(
        r#"
        domains = ["Example.test", "pbx.test."]
        data_dir = "data"
        shards = 2
        trusted = ["192.0.2.0/24"]
        drain = "2s"
        [[listen]]
        uri = "udp:0.0.0.0:5060"
        advertise = "203.0.113.5:5060"
        [[listen]]
        uri = "tcp:[::1]:0"
        [[listen]]
        uri = "udp:0.0.0.0:5062"
        advertise = [
            { to = ["10.0.0.0/8", "192.168.0.0/16"], as = "10.1.2.3" },
            { to = "fd00::/8", as = "pbx.test:5070" },
            "203.0.113.5:5060",
        ]
        [[listen]]
        uri = "udp:0.0.0.0:5064"
        advertise = { to = "10.0.0.0/8", as = "10.1.2.3" }
        [admin]
        listen = "off"
        [auth]
        methods = ["REGISTER"]
        algorithms = ["SHA-256", "MD5"]
        [location]
        store = "memory"
        durability = "process"
        max_contacts = 3
        flow_timer = "25s"
        [proxy]
        record_route = false
        fork = "sequential"
        ring_timeout = "12s"
        recurse = true
        next_hop_timeout = "500ms"
        [nat]
        keep_alive = "options"
        remove_unanswered = true
        [limits]
        tcp_connections_per_source = 7
        [defence]
        refusals = 5
        failures = 3
        accounts = 4
        window = "1m"
        ban = "0s"
        [log]
        level = "debug"
        "#,
    );
    assert_eq!(config.domains, ["example.test", "pbx.test"]);
    assert_eq!(config.data_dir, PathBuf::from("data"));
    assert_eq!((config.shards, config.drain), (Some(2), Duration::from_secs(2)));
    let advertised = |listen: &Listen| -> Vec<_> {
        let told = |told: &Advertise| (told.to.len(), told.address.to_string());
        listen.advertise.iter().map(told).collect()
    };
    let everywhere = (0, "203.0.113.5:5060".to_owned());
    assert_eq!(advertised(&config.listen[0]), std::slice::from_ref(&everywhere));
    let listed = [
        (2, "10.1.2.3".to_owned()),
        (1, "pbx.test:5070".to_owned()),
        everywhere,
    ];
    assert_eq!(advertised(&config.listen[2]), listed);
    assert_eq!(advertised(&config.listen[3]), [(1, "10.1.2.3".to_owned())]);
    assert_eq!(config.listen[1].uri.to_string(), "tcp:[::1]:0");
    assert_eq!(config.admin.listen, AdminListen::Off);
    assert_eq!(
        config.auth.methods,
        AuthMethods::Explicit(vec!["REGISTER".to_owned()])
    );
    assert_eq!(config.auth.algorithms, [Algorithm::Sha256, Algorithm::Md5]);
    assert_eq!(
        (config.location.store, config.location.durability),
        (Store::Memory, Durability::Process)
    );
    assert_eq!(
        (config.proxy.fork, config.proxy.record_route, config.proxy.recurse),
        (Fork::Sequential, false, true)
    );
    assert_eq!(config.proxy.ring_timeout, Duration::from_secs(12));
    assert_eq!(config.proxy.next_hop_timeout, Duration::from_millis(500));
    assert_eq!(config.limits.tcp_connections_per_source, 7);
    let defence = Defence {
        refusals: 5,
        failures: 3,
        accounts: 4,
        window: Duration::from_secs(60),
        ban: Duration::ZERO,
    };
    assert_eq!(config.defence, defence);
    assert_eq!(config.log.level, Level::Debug);
}

#[test]
fn flags_replace_what_the_file_says() {
    let mut config = accepted("domains = [\"a.test\"]\n[[listen]]\nuri = \"udp:0.0.0.0:5060\"\n");
    let flags = Flags {
        listen: vec!["tcp:127.0.0.1:0".to_owned(), "tcp:127.0.0.1:0".to_owned()],
        domain: vec!["B.test".to_owned()],
        data_dir: Some(PathBuf::from("d")),
        admin: Some("off".to_owned()),
        auth: None,
    };
    assert_eq!(config.overlay(&flags), Ok(()));
    assert_eq!(config.domains, ["b.test"]);
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.admin.listen, AdminListen::Off);
    let wrong = Flags {
        listen: vec![
            "udp:1.2.3.4".to_owned(),
            "tls:127.0.0.1:5061".to_owned(),
            "udp:[::]:1".to_owned(),
        ],
        admin: Some("192.0.2.1:8080".to_owned()),
        ..Flags::default()
    };
    let complaints = config.overlay(&wrong).expect_err("must be refused");
    let flags: Vec<String> = complaints
        .iter()
        .map(|diagnostic| diagnostic.place.to_string())
        .collect();
    assert_eq!(flags, ["--listen", "--listen", "--admin"]);
}

#[test]
fn the_files_that_the_benchmark_starts_it_with_are_accepted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/strowger");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("is there").flatten() {
        // There is no TLS yet.
        if entry.path().extension().is_none_or(|end| end != "toml")
            || entry.file_name() == "register_tls.toml"
        {
            continue;
        }
        let mut text = std::fs::read_to_string(entry.path()).expect("is text");
        for (key, value) in [("@PORT@", "5070"), ("@RUN@", "run"), ("@WORKERS@", "1")] {
            text = text.replace(key, value);
        }
        check(&text, "f").unwrap_or_else(|wrong| panic!("{}: {wrong:?}", entry.path().display()));
        files += 1;
    }
    assert!(files >= 5, "{files}");
}
