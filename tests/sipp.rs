//! SIPp's caller and callee through the proxy: every call succeeds and nothing has to be sent twice.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use system_tests::server::{Server, Setup};
use system_tests::sipp::{Calls, Transport};
use system_tests::{full, ports};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn count() -> u32 {
    if full() { 20_000 } else { 2_000 }
}

fn start(setup: Setup) -> Server {
    setup.start()
}

#[test]
fn calls_over_udp_all_succeed_without_retransmissions() {
    let server = start(Setup::new());
    Calls {
        server: server.sip(),
        transport: Transport::Udp,
        calls: count(),
        caller: None,
    }
    .assert_clean();
}

#[test]
fn calls_over_tcp_all_succeed() {
    let server = start(Setup::new());
    Calls {
        server: server.sip(),
        transport: Transport::Tcp,
        calls: count(),
        caller: None,
    }
    .assert_clean();
}

#[test]
fn calls_over_ipv6_all_succeed() {
    let port = ports::free_at(V6);
    let setup = Setup::new().listen(&format!("udp:[::1]:{port}"));
    let server = start(setup);
    assert_eq!(server.sip().ip(), V4);
    let server = SocketAddr::new(V6, port);
    Calls {
        server,
        transport: Transport::Udp,
        calls: 200,
        caller: None,
    }
    .assert_clean();
}

#[test]
fn calls_with_md5_digest_on_register_and_invite_all_succeed() {
    let server = start(Setup::with_digest().user("alice", "alicepw"));
    let calls = Calls {
        server: server.sip(),
        transport: Transport::Udp,
        calls: 400,
        caller: Some(("alice", "alicepw")),
    };
    calls.assert_clean();
}
