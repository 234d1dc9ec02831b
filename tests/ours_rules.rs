//! Which hosts the server is responsible for: configured domains and its listeners' addresses, with no port or a
//! listener's port.
#![cfg(target_os = "linux")]

use std::time::Duration;

use system_tests::server::{self, DOMAIN, Setup};
use system_tests::{Message, Peer};

/// A REGISTER to this Request-URI for a user of the same host.
fn register(peer: &Peer, host: &str) -> Message {
    let aor = format!("sip:alice@{host}");
    peer.request("REGISTER", &format!("sip:{host}"), &aor, &aor)
        .with("Expires", "60")
}

fn status_of_register(peer: &Peer, host: &str) -> Option<u16> {
    peer.exchange(&register(peer, host)).status()
}

#[test]
fn a_configured_domain_is_ours_without_a_port_and_with_a_listeners_port() {
    let server = Setup::new().start();
    let peer = Peer::udp(server.sip());
    assert_eq!(status_of_register(&peer, DOMAIN), Some(200));
    assert_eq!(
        status_of_register(&peer, &format!("{DOMAIN}:{}", server.port())),
        Some(200)
    );
    assert_eq!(
        status_of_register(&peer, &DOMAIN.to_uppercase()),
        Some(200),
        "hosts are compared without case"
    );
}

#[test]
fn a_configured_domain_with_another_port_is_foreign() {
    let server = Setup::new().domains(&["localhost"]).start();
    let (caller, other) = (Peer::udp(server.sip()), Peer::udp(server.sip()));
    let uri = format!("sip:bob@localhost:{}", other.address().port());
    caller.send(&caller.request("OPTIONS", &uri, "sip:alice@localhost", "sip:bob@localhost"));
    assert_eq!(other.expect_request("OPTIONS").uri(), uri);
}

#[test]
fn a_listeners_address_is_ours_without_a_port_and_with_its_port() {
    let server = Setup::new().start();
    let peer = Peer::udp(server.sip());
    assert_eq!(status_of_register(&peer, "127.0.0.1"), Some(200));
    assert_eq!(status_of_register(&peer, &server.sip().to_string()), Some(200));
}

#[test]
fn a_listeners_address_with_another_port_is_foreign() {
    let server = Setup::new().start();
    let (caller, other) = (Peer::udp(server.sip()), Peer::udp(server.sip()));
    let uri = other.uri("bob");
    caller.send(&caller.request("OPTIONS", &uri, &format!("sip:alice@{DOMAIN}"), &uri));
    assert_eq!(other.expect_request("OPTIONS").uri(), uri);
}

#[test]
fn without_domains_localhost_and_the_host_name_are_ours() {
    let server = Setup::new().domains(&[]).start();
    let peer = Peer::udp(server.sip());
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("the host's name");
    for host in ["localhost", name.trim(), "127.0.0.1"] {
        assert_eq!(status_of_register(&peer, host), Some(200), "{host}");
    }
}

#[test]
fn with_domains_localhost_is_not_ours() {
    let server = Setup::new().start();
    let peer = Peer::udp(server.sip());
    assert_eq!(status_of_register(&peer, DOMAIN), Some(200));
    // An address of ours without a binding would be 404; nobody listens where the name leads to.
    let uri = "sip:nobody@localhost";
    let response = peer.exchange(&peer.request("INVITE", uri, &format!("sip:alice@{DOMAIN}"), uri));
    assert!(
        matches!(response.status(), Some(408 | 500 | 503)),
        "{}",
        response.text()
    );
    let uri = format!("sip:nobody@{DOMAIN}");
    let response = peer.exchange(&peer.request("INVITE", &uri, &uri, &uri));
    assert_eq!(response.status(), Some(404), "{}", response.text());
}

/// RFC 3261 §10.3 step 5.
#[test]
fn a_binding_for_an_address_of_another_domain_is_refused() {
    let server = Setup::new().start();
    let peer = Peer::udp(server.sip());
    let foreign = "sip:alice@elsewhere.test";
    let response = peer.exchange(&peer.request("REGISTER", &format!("sip:{DOMAIN}"), foreign, foreign));
    assert_eq!(response.status(), Some(404), "{}", response.text());
}

#[test]
fn nobody_known_by_that_name_is_404_and_a_user_without_a_phone_is_480() {
    let server = Setup::new().user("bob", "bobpw").start();
    let peer = Peer::udp(server.sip());
    for (user, status) in [("nobody", 404), ("bob", 480)] {
        let uri = format!("sip:{user}@{DOMAIN}");
        let response = peer.exchange(&peer.request("INVITE", &uri, &format!("sip:alice@{DOMAIN}"), &uri));
        assert_eq!(response.status(), Some(status), "{}", response.text());
    }
}

#[test]
fn the_server_itself_answers_options() {
    let server = Setup::new().start();
    for peer in [Peer::udp(server.sip()), Peer::tcp(server.sip())] {
        let from = format!("sip:alice@{DOMAIN}");
        let response = peer.exchange(&peer.request(
            "OPTIONS",
            &format!("sip:{DOMAIN}"),
            &from,
            &format!("sip:{DOMAIN}"),
        ));
        assert_eq!(response.status(), Some(200), "{}", response.text());
        assert!(
            response.get("Allow").is_some(),
            "RFC 3261 §11.2: {}",
            response.text()
        );
    }
}

#[test]
fn an_address_of_a_second_listener_is_ours_too() {
    let setup = Setup::new();
    let port = setup.port();
    let server = setup.listen(&format!("udp:127.0.0.2:{port}")).start();
    let peer = Peer::udp(server.sip());
    assert_eq!(status_of_register(&peer, "127.0.0.2"), Some(200));
    assert_eq!(status_of_register(&peer, &format!("127.0.0.2:{port}")), Some(200));
}

#[test]
fn what_is_ours_is_shown_at_the_start() {
    let server = Setup::new().start();
    let line = server::ready_line(server.process()).unwrap_or_default();
    for transport in ["udp", "tcp"] {
        assert!(line.contains(&format!(" {transport}:{}", server.sip())), "{line}");
    }
    Peer::udp(server.sip()).expect_silence(Duration::from_millis(100));
}
