//! Ways to hosts and bindings, case by case.

use super::*;
use crate::registrar::{BoundFlow, Order, Origin};
use crate::transport::{Flow, Listener};

const BOOT: u32 = 9;

fn listeners() -> Listeners {
    let listener = |(transport, address): (Transport, &str)| Listener {
        transport,
        address: address.parse().expect("an address"),
        advertise: Vec::new(),
    };
    let all = [
        (Transport::Udp, "192.0.2.1:5060"),
        (Transport::Tcp, "192.0.2.1:5060"),
        (Transport::Udp, "127.0.0.1:5060"),
    ];
    Listeners::new(all.map(listener).to_vec(), Vec::new())
}

fn departure(listeners: &Listeners) -> Departure<'_> {
    Departure {
        listeners,
        preferred: (0, IpAddr::from([192, 0, 2, 1])),
    }
}

/// A way in words: `udp 192.0.2.10:5060`, `flow 7`.
fn described(hop: Hop) -> String {
    match hop.to {
        Destination::Datagram { to, .. } => format!("udp {to}"),
        Destination::Connect { to, .. } => format!("tcp {to}"),
        Destination::Flow(flow) => format!("flow {}", flow.index),
    }
}

fn both((first, second): (Hop, Option<Hop>)) -> String {
    match second {
        Some(second) => format!("{}, {}", described(first), described(second)),
        None => described(first),
    }
}

fn located(uri: &str, size: Size) -> String {
    let listeners = listeners();
    let Ok(Uri::Sip(uri)) = Uri::parse(uri.as_bytes()) else {
        panic!("{uri}");
    };
    match locate(&uri, size) {
        Located::Address(ip, ways) => {
            let mut hops = Vec::new();
            ways.put(departure(&listeners), ip, &mut hops);
            let described: Vec<_> = hops.into_iter().map(described).collect();
            described.join(", ")
        }
        Located::Name(NextHop { name, wanted, ways }) => {
            let port = ways.port.map_or(String::new(), |port| format!(" at {port}"));
            format!(
                "{wanted:?} of {} by {:?}{port}",
                String::from_utf8_lossy(name),
                ways.transport
            )
        }
        Located::Unreachable => "unreachable".to_owned(),
    }
}

// RFC 3263 §4.1, §4.2.
#[test]
fn transport_and_port_are_the_uris_or_the_usual_ones() {
    for (uri, expected) in [
        ("sip:192.0.2.10", "udp 192.0.2.10:5060"),
        ("sip:192.0.2.10:5070", "udp 192.0.2.10:5070"),
        ("sip:192.0.2.10;transport=tcp", "tcp 192.0.2.10:5060"),
        ("sip:far.test;maddr=192.0.2.11", "udp 192.0.2.11:5060"),
        (
            "sip:192.0.2.10;maddr=far.test",
            "AnyServers { secure: false } of far.test by Udp",
        ),
        ("sip:far.test", "AnyServers { secure: false } of far.test by Udp"),
        ("sip:far.test;transport=tcp", "Servers(Tcp) of far.test by Tcp"),
        ("sip:far.test:5070", "Addresses of far.test by Udp at 5070"),
        ("sips:far.test", "AnyServers { secure: true } of far.test by Tls"),
        ("sips:far.test:5071", "Addresses of far.test by Tls at 5071"),
        ("sips:192.0.2.10", ""),
        ("sips:192.0.2.10;transport=tcp", ""),
        ("sips:far.test;transport=tcp", "Servers(Tls) of far.test by Tls"),
        ("sips:far.test;transport=tls", "Servers(Tls) of far.test by Tls"),
        ("sips:far.test;transport=ws", "Servers(Wss) of far.test by Wss"),
        ("sips:far.test;transport=udp", "unreachable"),
        ("sip:192.0.2.10;transport=sctp", "unreachable"),
        ("sip:[2001:db8::1]", ""),
    ] {
        assert_eq!(located(uri, Size::Small), expected, "{uri}");
    }
}

// RFC 3261 §18.1.1.
#[test]
fn a_large_request_goes_by_tcp_and_else_by_udp_unless_a_transport_is_asked_for() {
    for (uri, expected) in [
        ("sip:192.0.2.10", "tcp 192.0.2.10:5060, udp 192.0.2.10:5060"),
        ("sip:192.0.2.10;transport=udp", "udp 192.0.2.10:5060"),
        ("sip:127.0.0.2", "udp 127.0.0.2:5060"),
    ] {
        assert_eq!(located(uri, Size::Large), expected, "{uri}");
    }
    assert_eq!(
        (Size::of(1300, 1300), Size::of(1301, 1300)),
        (Size::Small, Size::Large)
    );
}

/// The way to a contact that was registered from 198.51.100.7, port 4000, by datagrams or over connection 7 of a boot.
fn way(contact: &str, path: &str, connection_of: Option<u32>) -> Option<String> {
    hops(&listeners(), contact, path, connection_of).map(both)
}

fn hops(
    listeners: &Listeners,
    contact: &str,
    path: &str,
    connection_of: Option<u32>,
) -> Option<(Hop, Option<Hop>)> {
    let flow = Flow {
        shard: 0,
        index: 7,
        generation: 1,
    };
    let (transport, listener) = match connection_of {
        Some(_) => (Transport::Tcp, 1),
        None => (Transport::Udp, 0),
    };
    let binding = Binding {
        contact: contact.as_bytes(),
        params: b"",
        q: 1000,
        order: Order {
            branch: 0,
            cseq: 1,
            call_id: b"x",
        },
        expires_at: 0,
        updated_at: 0,
        bound_at: None,
        origin: Origin {
            transport,
            listener,
            from: None,
            remote: ([198, 51, 100, 7], 4000).into(),
            flow: connection_of.map(|boot| BoundFlow { flow, boot }),
            pushed_elsewhere: false,
            translated: false,
        },
        path: path.as_bytes(),
        user_agent: b"",
        epoch: None,
        outbound: false,
    };
    let is_ours = |uri: &SipUri<'_>| uri.host.ip() == Some([192, 0, 2, 1].into());
    way_to(departure(listeners), &binding, BOOT, is_ours)
}

#[test]
fn a_binding_whose_listener_is_gone_is_reached_by_another_one_of_its_kind() {
    let also = |transport| Listener {
        transport,
        address: ([192, 0, 2, 1], 5070).into(),
        advertise: Vec::new(),
    };
    let before = listeners();
    let all = [before.all(), &[also(Transport::Udp), also(Transport::Tcp)]];
    let next = |live: &[u16]| Listeners::new(all.concat(), vec![]).following(&before, live.to_vec());
    let first = |live: &[u16], connection_of| {
        let (hop, _) = hops(&next(live), "sip:b@10.0.0.5", "", connection_of)?;
        Some((hop.listener, described(hop)))
    };
    let udp = "udp 198.51.100.7:4000".to_owned();
    let (flow, tcp) = ("flow 7".to_owned(), "tcp 198.51.100.7:4000".to_owned());
    assert_eq!(first(&[0, 3], None), Some((0, udp.clone())));
    assert_eq!(first(&[2, 3, 4], None), Some((3, udp.clone())));
    assert_eq!(first(&[2, 4], None), Some((0, udp)), "better than none");
    assert_eq!(first(&[3, 4], Some(BOOT)), Some((4, flow.clone())));
    assert_eq!(first(&[3, 4], Some(BOOT - 1)), Some((4, tcp)));
    assert_eq!(first(&[3], Some(BOOT)), Some((1, flow)));
}

#[test]
fn a_contact_is_believed_unless_it_means_nothing_from_here() {
    let back = "udp 198.51.100.7:4000";
    for (contact, expected) in [
        ("sip:b@203.0.113.9:5070", Some("udp 203.0.113.9:5070")),
        ("sip:b@10.0.0.5", Some(back)),
        ("sip:b@100.64.0.5", Some(back)),
        ("sip:b@169.254.0.5", Some(back)),
        ("sip:b@127.0.0.1", Some(back)),
        ("sip:b@0.0.0.0", Some(back)),
        ("sip:b@[fd00::5]", Some(back)),
        ("sip:b@phone.test", Some(back)),
        ("sip:b@203.0.113.9;maddr=203.0.113.10", Some(back)),
        ("sip:b@192.0.2.1", None),
        ("mailto:b@example.test", None),
        // RFC 3261 §26.2.2: not in clear text, neither there nor back.
        ("sips:b@203.0.113.9", None),
        ("sips:b@203.0.113.9;transport=tcp", None),
    ] {
        assert_eq!(way(contact, "", None).as_deref(), expected, "{contact}");
    }
}

#[test]
fn a_connection_is_used_where_the_contact_does_not_say_otherwise() {
    for (contact, boot, expected) in [
        ("sip:b@203.0.113.9", BOOT, "flow 7, tcp 203.0.113.9:5060"),
        ("sip:b@10.0.0.5", BOOT, "flow 7"),
        (
            "sip:b@203.0.113.9;transport=tcp",
            BOOT,
            "tcp 203.0.113.9:5060, flow 7",
        ),
        (
            "sip:b@198.51.100.7:4000;transport=tcp",
            BOOT,
            "flow 7, tcp 198.51.100.7:4000",
        ),
        (
            "sip:b@203.0.113.9",
            BOOT - 1,
            "tcp 198.51.100.7:4000, tcp 203.0.113.9:5060",
        ),
    ] {
        assert_eq!(
            way(contact, "", Some(boot)).as_deref(),
            Some(expected),
            "{contact}"
        );
    }
}

// RFC 3327 §5.3.
#[test]
fn a_path_leads_to_its_first_element() {
    let path = "<sip:203.0.113.3:5070;lr>,<sip:203.0.113.4;lr>";
    assert_eq!(
        way("sip:b@203.0.113.9", path, None).as_deref(),
        Some("udp 203.0.113.3:5070")
    );
    assert_eq!(way("sip:b@203.0.113.9", "<sip:edge.test;lr>", None), None);
    // It would come back here and fork again; and it leads no stranger to what listens on this machine only.
    for (contact, path) in [
        ("sip:b@203.0.113.9", "<sip:192.0.2.1;lr>"),
        ("sip:b@192.0.2.1", "<sip:203.0.113.3:5070;lr>"),
        ("sip:b@203.0.113.9", "<sip:127.0.0.1:6379;transport=tcp;lr>"),
        ("sip:b@203.0.113.9", "<sip:0.0.0.0;lr>"),
    ] {
        assert_eq!(way(contact, path, None), None, "{contact} {path}");
    }
}

#[test]
fn a_contact_that_plainly_names_an_address_does_so_when_it_is_read() {
    let ip = Ipv4Addr::new(192, 0, 2, 1);
    let mut plain = 0;
    for contact in [
        "sip:a@192.0.2.1",
        "sip:a@192.0.2.1:5060",
        "sip:a@192.0.2.1;ob",
        "sip:a@192.0.2.1?x=y",
        "sip:a:b@192.0.2.1:5060;transport=udp",
        "sip:a@192.0.2.11",
        "sip:a@192.0.2.1.example",
        "sip:a@192.0.2.2",
        "sip:192.0.2.1",
        "sip:192.0.2.2;x=@192.0.2.1",
        "sip:a@[::ffff:192.0.2.1]",
        "sips:a@192.0.2.1",
        "tel:1@192.0.2.1",
        "sip:a@",
        "",
    ] {
        if plainly_names(contact.as_bytes(), ip) {
            plain += 1;
            if let Ok(Uri::Sip(uri)) = Uri::parse(contact.as_bytes()) {
                assert_eq!(uri.host.ip(), Some(ip.into()), "{contact}");
            }
        }
    }
    assert!(plain >= 5, "{plain}");
}
