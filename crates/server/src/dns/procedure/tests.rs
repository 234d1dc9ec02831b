//! The procedure over zones that are written down here.

use std::collections::HashMap;
use std::sync::Mutex;

use super::*;

fn of_kind<'a>(lines: &'a [Vec<String>], kind: &'a str) -> impl Iterator<Item = &'a Vec<String>> {
    lines.iter().filter(move |line| line[1] == kind)
}

/// What a zone has: lines of `name ttl type data`, as a zone file has them. `name ttl none` is for names that exist and have
/// nothing more, `name 0 fail` for those that nobody answers for.
struct Zone {
    lines: HashMap<String, Vec<Vec<String>>>,
    asked: Mutex<Vec<String>>,
}

impl Zone {
    fn new(text: &str) -> Arc<Self> {
        let mut lines: HashMap<_, Vec<_>> = HashMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace().map(str::to_owned);
            let name = words.next().expect("a name");
            lines.entry(name).or_default().push(words.collect());
        }
        Arc::new(Self {
            lines,
            asked: Mutex::default(),
        })
    }

    fn said<T>(&self, name: &str, kind: &str, read: impl Fn(&[String]) -> T) -> Said<T> {
        let mut asked = self.asked.lock().expect("not poisoned");
        asked.push(format!("{kind} {name}"));
        let lines = self.lines.get(name).map_or(&[][..], Vec::as_slice);
        let of_kind = |wanted| of_kind(lines, wanted);
        let ttl = |line: &Vec<String>| line[0].parse().expect("a TTL");
        let records: Vec<_> = of_kind(kind).map(|line| read(&line[2..])).collect();
        let ttl_secs = of_kind(kind).chain(of_kind("none")).map(ttl).min();
        Said {
            failed: records.is_empty() && of_kind("fail").next().is_some(),
            records,
            ttl_secs: ttl_secs.unwrap_or(900),
        }
    }
}

impl Records for Zone {
    fn local(&self, name: &str) -> Vec<IpAddr> {
        let lines = self.lines.get(name).into_iter().flatten();
        let hosts = lines.filter(|line| line[1] == "HOSTS");
        hosts.map(|line| line[2].parse().expect("an address")).collect()
    }

    async fn naptr(&self, name: &str) -> Said<Naptr> {
        let unquoted = |word: &String| word.trim_matches('"').to_owned();
        self.said(name, "NAPTR", |data| Naptr {
            order: data[0].parse().expect("an order"),
            preference: data[1].parse().expect("a preference"),
            flags: unquoted(&data[2]),
            service: unquoted(&data[3]),
            regexp: unquoted(&data[4]),
            replacement: data[5].trim_matches('.').to_owned(),
        })
    }

    async fn srv(&self, name: &str) -> Said<Srv> {
        let number = |word: &String| word.parse().expect("a number");
        self.said(name, "SRV", |data| Srv {
            priority: number(&data[0]),
            weight: number(&data[1]),
            port: number(&data[2]),
            target: data[3].trim_matches('.').to_owned(),
        })
    }

    async fn a(&self, name: &str) -> Said<IpAddr> {
        self.said(name, "A", |data| data[0].parse().expect("an address"))
    }

    async fn aaaa(&self, name: &str) -> Said<IpAddr> {
        self.said(name, "AAAA", |data| data[0].parse().expect("an address"))
    }
}

const ALL: Carried = Carried {
    transports: 0b111,
    ipv4: true,
    ipv6: true,
};

fn carrying(transports: &[Transport]) -> Carried {
    let transports = transports.iter().fold(0, |all, &t| all | 1 << t as u8);
    Carried { transports, ..ALL }
}

const ANY: Wanted = Wanted::AnyServers { secure: false };
const SECURE: Wanted = Wanted::AnyServers { secure: true };

fn ask(zone: &Arc<Zone>, wanted: Wanted, carried: Carried) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(servers_of(zone, "far.test", wanted, carried))
}

/// The servers in words: `rank weight transport:port address,address`.
fn described(answer: &Answer) -> Vec<String> {
    let server = |server: &Server| {
        let transport = server.transport.map_or("-", Transport::uri_param);
        let port = server
            .port
            .map_or_else(|| "-".to_owned(), |port| port.to_string());
        let addresses: Vec<_> = server.addresses.iter().map(IpAddr::to_string).collect();
        let (rank, weight) = (server.rank, server.weight);
        format!(
            "{}.{} {weight} {transport}:{port} {}",
            rank >> 16,
            rank & 0xffff,
            addresses.join(",")
        )
    };
    answer.servers.iter().map(server).collect()
}

/// The example of RFC 3263 §4.1, with addresses.
const EXAMPLE: &str = r#"
    far.test 600 NAPTR 50 50 "s" "SIPS+D2T" "" _sips._tcp.far.test.
    far.test 600 NAPTR 90 50 "s" "SIP+D2T" "" _sip._tcp.far.test.
    far.test 600 NAPTR 100 50 "s" "SIP+D2U" "" _sip._udp.far.test.
    _sip._tcp.far.test 500 SRV 0 1 5070 server1.far.test.
    _sip._tcp.far.test 500 SRV 0 2 5071 server2.far.test.
    _sip._udp.far.test 400 SRV 5 1 5072 server1.far.test.
    _sips._tcp.far.test 300 SRV 0 0 5061 server2.far.test.
    server1.far.test 350 A 192.0.2.1
    server2.far.test 250 A 192.0.2.2
    server2.far.test 250 AAAA 2001:db8::2
    far.test 900 A 192.0.2.9
"#;

// RFC 3263 §4.1: the most preferred transport that is carried here.
#[test]
fn naptr_chooses_among_the_transports_that_there_are_listeners_of() {
    let (udp, tcp, tls) = (Transport::Udp, Transport::Tcp, Transport::Tls);
    let by_tcp = ["0.0 1 tcp:5070 192.0.2.1", "0.0 2 tcp:5071 2001:db8::2,192.0.2.2"];
    for (carried, expected) in [
        (carrying(&[udp, tcp]), &by_tcp[..]),
        (carrying(&[udp]), &["0.5 1 udp:5072 192.0.2.1"]),
        (
            carrying(&[udp, tcp, tls]),
            &["0.0 0 tls:5061 2001:db8::2,192.0.2.2"],
        ),
    ] {
        let zone = Zone::new(EXAMPLE);
        assert_eq!(described(&ask(&zone, ANY, carried)), expected);
    }
}

#[test]
fn a_sips_uri_goes_to_services_over_tls_only() {
    let zone = Zone::new(EXAMPLE);
    let expected = ["0.0 0 tls:5061 2001:db8::2,192.0.2.2"];
    assert_eq!(described(&ask(&zone, SECURE, ALL)), expected);
    let zone = Zone::new(r#"far.test 600 NAPTR 90 50 "s" "SIP+D2T" "" _sip._tcp.far.test."#);
    assert_eq!(described(&ask(&zone, SECURE, ALL)), Vec::<String>::new());
}

// RFC 3403 §4.1: no other order once there is a match; RFC 3263 §4.1: only such records as it defines.
#[test]
fn records_of_another_order_or_for_something_else_are_not_looked_at() {
    let zone = Zone::new(
        r#"
        far.test 600 NAPTR 10 10 "u" "E2U+sip" "!^.*$!sip:x@far.test!" .
        far.test 600 NAPTR 10 20 "s" "SIP+D2S" "" _sip._sctp.far.test.
        far.test 600 NAPTR 20 20 "S" "sip+d2u" "" _sip._udp.other.test.
        far.test 600 NAPTR 20 10 "s" "SIP+D2T" "" _sip._tcp.other.test.
        far.test 600 NAPTR 30 10 "s" "SIP+D2T" "" _sip._tcp.third.test.
        _sip._udp.other.test 600 SRV 1 1 5060 a.test.
        _sip._tcp.other.test 600 SRV 1 1 5060 a.test.
        _sip._tcp.third.test 600 SRV 1 1 5060 a.test.
        a.test 600 A 192.0.2.1
        "#,
    );
    assert_eq!(
        described(&ask(&zone, ANY, ALL)),
        ["0.1 1 tcp:5060 192.0.2.1", "1.1 1 udp:5060 192.0.2.1"]
    );
}

// RFC 3263 §4.1: without NAPTR, the SRV records of each transport; RFC 3263 §4.2: without those, the addresses.
#[test]
fn without_naptr_there_may_be_srv_and_without_srv_addresses() {
    let zone = Zone::new(
        "
        _sip._tcp.far.test 600 SRV 1 1 5070 a.test.
        a.test 600 A 192.0.2.1
        far.test 600 A 192.0.2.9
        ",
    );
    assert_eq!(described(&ask(&zone, ANY, ALL)), ["0.1 1 tcp:5070 192.0.2.1"]);
    let udp_only = carrying(&[Transport::Udp]);
    assert_eq!(described(&ask(&zone, ANY, udp_only)), ["0.0 0 -:- 192.0.2.9"]);
    let tcp = Wanted::Servers(Transport::Tcp);
    assert_eq!(described(&ask(&zone, tcp, ALL)), ["0.1 1 tcp:5070 192.0.2.1"]);
    let udp = Wanted::Servers(Transport::Udp);
    assert_eq!(described(&ask(&zone, udp, ALL)), ["0.0 0 -:- 192.0.2.9"]);
    assert_eq!(
        described(&ask(&zone, Wanted::Addresses, ALL)),
        ["0.0 0 -:- 192.0.2.9"]
    );
}

// RFC 3263 §4.2: the transport that NAPTR chose stays chosen.
#[test]
fn a_service_without_srv_records_is_at_the_name_itself() {
    let zone = Zone::new(
        r#"
        far.test 600 NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.far.test.
        far.test 600 A 192.0.2.9
        "#,
    );
    assert_eq!(described(&ask(&zone, ANY, ALL)), ["0.0 0 tcp:- 192.0.2.9"]);
}

// RFC 2782.
#[test]
fn the_root_as_a_target_says_that_there_is_no_such_service() {
    let zone = Zone::new(
        "
        _sip._udp.far.test 600 SRV 0 0 0 .
        _sip._tcp.far.test 600 SRV 0 0 5060 a.test.
        a.test 600 A 192.0.2.1
        far.test 600 A 192.0.2.9
        ",
    );
    assert_eq!(described(&ask(&zone, ANY, ALL)), ["1.0 0 tcp:5060 192.0.2.1"]);
    let udp = Wanted::Servers(Transport::Udp);
    assert_eq!(described(&ask(&zone, udp, ALL)), Vec::<String>::new());
}

// RFC 3263 §4.4: the order among equals does not depend on that of the answer.
#[test]
fn records_come_in_the_same_order_however_they_were_sent() {
    let srv = [
        "_sip._udp.far.test 600 SRV 2 10 5060 c.test.",
        "_sip._udp.far.test 600 SRV 1 10 5060 b.test.",
        "_sip._udp.far.test 600 SRV 1 10 5060 a.test.",
        "_sip._udp.far.test 600 SRV 1 5 5060 c.test.",
    ];
    let hosts = "a.test 600 A 192.0.2.1\nb.test 600 A 192.0.2.2\nc.test 600 A 192.0.2.3\n";
    for turn in 0..srv.len() {
        let mut srv = srv;
        srv.rotate_left(turn);
        let zone = Zone::new(&format!("{hosts}{}", srv.join("\n")));
        assert_eq!(
            described(&ask(&zone, ANY, ALL)),
            [
                "0.1 5 udp:5060 192.0.2.3",
                "0.1 10 udp:5060 192.0.2.1",
                "0.1 10 udp:5060 192.0.2.2",
                "0.2 10 udp:5060 192.0.2.3"
            ]
        );
    }
}

// RFC 7984 §3.1.
#[test]
fn only_addresses_of_families_with_a_listener_are_asked_for() {
    let text = "far.test 600 A 192.0.2.9\nfar.test 600 AAAA 2001:db8::9";
    for (ipv4, ipv6, expected) in [
        (true, true, "2001:db8::9,192.0.2.9"),
        (true, false, "192.0.2.9"),
        (false, true, "2001:db8::9"),
    ] {
        let zone = Zone::new(text);
        let answer = ask(&zone, Wanted::Addresses, Carried { ipv4, ipv6, ..ALL });
        assert_eq!(described(&answer), [format!("0.0 0 -:- {expected}")]);
        let asked = zone.asked.lock().expect("not poisoned").len();
        assert_eq!(asked, usize::from(ipv4) + usize::from(ipv6));
    }
}

#[test]
fn an_answer_holds_as_long_as_the_shortest_of_what_it_was_made_of() {
    let tcp = carrying(&[Transport::Tcp]);
    for (text, ttl) in [
        // server1 has no AAAA, which holds for 900 s.
        (EXAMPLE.to_owned(), 250),
        (EXAMPLE.replace("far.test 600 NAPTR", "far.test 60 NAPTR"), 60),
        (EXAMPLE.replace("far.test 500 SRV", "far.test 7 SRV"), 7),
        // It is not for the addresses of the name itself that it is asked.
        (EXAMPLE.replace("far.test 900 A", "far.test 5 A"), 250),
    ] {
        assert_eq!(ask(&Zone::new(&text), ANY, tcp).ttl_secs, ttl);
    }
}

// RFC 2308.
#[test]
fn that_there_is_nothing_holds_as_long_as_the_zone_says() {
    let zone = Zone::new("far.test 77 none");
    let expected = Answer {
        servers: Vec::new(),
        ttl_secs: 77,
        failed: false,
    };
    assert_eq!(ask(&zone, Wanted::Addresses, ALL), expected);
}

#[test]
fn a_failure_is_told_from_nothing_unless_something_was_found_all_the_same() {
    let zone = Zone::new("far.test 0 fail");
    assert!(ask(&zone, ANY, ALL).failed);
    let zone = Zone::new("far.test 0 fail\nfar.test 600 A 192.0.2.9");
    let answer = ask(&zone, ANY, ALL);
    assert_eq!(
        (described(&answer), answer.failed),
        (vec!["0.0 0 -:- 192.0.2.9".to_owned()], false)
    );
}

#[test]
fn names_that_the_machine_knows_are_not_asked_for() {
    let zone = Zone::new("far.test 0 HOSTS 127.0.0.1\nfar.test 0 HOSTS ::1\nfar.test 600 A 192.0.2.9");
    assert_eq!(described(&ask(&zone, ANY, ALL)), ["0.0 0 -:- ::1,127.0.0.1"]);
    assert!(zone.asked.lock().expect("not poisoned").is_empty());
}

#[test]
fn what_an_answer_may_make_us_keep_is_bounded() {
    let mut text = String::new();
    for number in 0..500 {
        text += &format!("_sip._udp.far.test 600 SRV 1 1 {number} a.test.\n");
        text += &format!("a.test 600 A 10.0.{}.{}\n", number >> 8, number & 255);
    }
    let servers = ask(&Zone::new(&text), ANY, ALL).servers;
    assert_eq!(
        (servers.len(), servers[0].addresses.len()),
        (MOST_SERVERS, MOST_ADDRESSES)
    );
}
