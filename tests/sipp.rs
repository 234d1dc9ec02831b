//! SIPp's caller and callee through the proxy: every call succeeds and nothing has to be sent twice.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::sipp::{Counts, Run, Transport};
use system_tests::{full, ports};

/// One run at a time, or they would take the processor from each other and retransmit.
static ONE_RUN: Mutex<()> = Mutex::new(());

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

struct Calls<'a> {
    server: SocketAddr,
    transport: Transport,
    calls: u32,
    /// The callers' user and password when they are challenged.
    caller: Option<(&'a str, &'a str)>,
}

impl Calls<'_> {
    /// Registers the callee, runs all calls and returns the counts of caller and callee.
    fn run(&self) -> (Counts, Counts) {
        let _one = ONE_RUN.lock().unwrap_or_else(PoisonError::into_inner);
        let address = self.server.ip();
        let local = |port| SocketAddr::new(address, port);
        let callee = local(ports::free_at(address));
        let contact = match self.transport {
            Transport::Udp => format!("sip:callee@{callee}"),
            Transport::Tcp => format!("sip:callee@{callee};transport=tcp"),
        };
        let run = |scenario, port, calls, keys| {
            let (transport, remote) = (self.transport, self.server);
            Run {
                scenario,
                transport,
                local: local(port),
                remote,
                calls,
                rate: 200,
                keys,
                credentials: self.caller,
            }
        };
        let (caller, _) = self.caller.unwrap_or(("caller", ""));
        let called = if self.caller.is_some() { caller } else { "callee" };
        let keys = [
            ("user", called),
            ("caller", caller),
            ("domain", DOMAIN),
            ("contact", &contact),
        ];
        let (register, invite) = match self.caller {
            Some(_) => ("register_digest.xml", "caller_digest.xml"),
            None => ("register.xml", "caller.xml"),
        };
        let registered = run(register, ports::free_at(address), 1, &keys).finish();
        assert_eq!(registered.successful, 1, "{registered:?}");
        let callees = run("callee.xml", callee.port(), self.calls, &keys).start();
        let callers = run(invite, ports::free_at(address), self.calls, &keys).finish();
        (callers, callees.finish())
    }

    fn assert_clean(&self) {
        let (caller, callee) = self.run();
        let all = Counts {
            successful: u64::from(self.calls),
            failed: 0,
            retransmissions: 0,
        };
        assert_eq!((caller, callee), (all, all), "caller and callee");
    }
}

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
