//! The server as a subscriber of a provider, which is Kamailio: it registers, is called, and calls out.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use system_tests::digest::Answer;
use system_tests::kamailio::Kamailio;
use system_tests::peer::sdp;
use system_tests::process::Signal;
use system_tests::server::{Server, Setup};
use system_tests::{Message, Peer, ports, wait};

const ALICE: &str = "sip:alice@strowger.test";
const CALLER: &str = "sip:+4930123@gateway.example";
const NUMBER: &str = "sip:4711@provider.example";

/// For how long a registration is asked for.
const INTERVAL: Duration = Duration::from_secs(8);
/// How long a busy machine may take for what takes no time.
const SLACK: Duration = Duration::from_secs(5);

/// A provider with its gateway, and the server with its phone.
struct Scene {
    provider: Kamailio,
    gateway: Peer,
    server: Server,
    alice: Peer,
}

impl Scene {
    fn new() -> Self {
        let port = ports::free();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let gateway = Peer::udp(address);
        let setup = Setup::with_digest().user("alice", "pw").toml(&format!(
            "[[register]]\nname = \"provider\"\naor = \"{NUMBER}\"\nregistrar = \"sip:{address}\"\npassword = \"secret\"\n\
             expires = \"{}s\"\nto = [\"{ALICE}\"]\ntrusted = true\n\
             [[route]]\nwhen = {{ prefix = [\"0\"], authenticated = true }}\nto = \"provider\"\n\
             headers.set = {{ \"P-Asserted-Identity\" = \"<{NUMBER}>\" }}\n",
            INTERVAL.as_secs()
        ));
        let listen = [format!("udp:{address}")];
        let provider = Kamailio::provider(&listen, setup.port(), gateway.address());
        let server = setup.start();
        let alice = Peer::udp(server.sip()).registered_as(ALICE, "pw");
        let scene = Self {
            provider,
            gateway,
            server,
            alice,
        };
        scene.await_registered();
        scene
    }

    fn trunk(&self) -> serde_json::Value {
        self.server.ctl_json("trunks")[0].clone()
    }

    #[track_caller]
    fn await_registered(&self) {
        let registered = wait::until_true(INTERVAL + SLACK, || self.trunk()["state"] == "registered");
        assert!(registered, "{}\n{}", self.trunk(), self.server.process().output());
    }

    /// The gateway calls the number; what comes of it.
    fn call_in(&self) -> (Message, Message) {
        let invite = self
            .gateway
            .request("INVITE", NUMBER, CALLER, NUMBER)
            .with_body("application/sdp", &sdp(49_170));
        self.gateway.send(&invite);
        let answer = loop {
            let response = self.gateway.response();
            if response.status() != Some(180) {
                break response;
            }
        };
        (invite, answer)
    }

    /// A call from the gateway to the phone; which of them hangs up.
    #[track_caller]
    fn inbound(&self, callee_ends: bool) {
        let (gateway, alice) = (&self.gateway, &self.alice);
        let invite = gateway
            .request("INVITE", NUMBER, CALLER, NUMBER)
            .with_body("application/sdp", &sdp(49_170));
        gateway.send(&invite);
        let arrived = alice.expect_request("INVITE");
        let ok = Message::response(&arrived, 200, "OK", "alice")
            .with("Contact", format!("<{}>", alice.uri("alice")))
            .with_body("application/sdp", &sdp(49_180));
        alice.send(&ok);
        let got = gateway.expect_status(200);
        assert_eq!(got.body, ok.body);
        gateway.send(&gateway.within("ACK", &invite, &got));
        alice.expect_request("ACK");
        let (from, to, bye) = if callee_ends {
            (alice, gateway, alice.within_as_callee("BYE", &arrived, &ok))
        } else {
            (gateway, alice, gateway.within("BYE", &invite, &got))
        };
        from.send(&bye);
        let ended = to.expect_request("BYE");
        to.send(&Message::response(&ended, 200, "OK", "unused"));
        from.expect_status(200);
    }

    /// A call from the phone through the provider, whose challenge it does not see; which side hangs up.
    #[track_caller]
    fn outbound(&self, callee_ends: bool) {
        let (gateway, alice) = (&self.gateway, &self.alice);
        let first = alice
            .request(
                "INVITE",
                "sip:0301234@strowger.test",
                ALICE,
                "sip:0301234@strowger.test",
            )
            .with_body("application/sdp", &sdp(49_170));
        let challenge = alice.exchange(&first);
        assert_eq!(challenge.status(), Some(407));
        let invite = Answer::new("alice", "pw").to(&first, &challenge);
        alice.send(&invite);
        let arrived = gateway.expect_request("INVITE");
        assert_eq!(arrived.header("P-Asserted-Identity"), format!("<{NUMBER}>"));
        assert_eq!(arrived.cseq(), invite.cseq());
        let ok = Message::response(&arrived, 200, "OK", "gateway")
            .with("Contact", format!("<{}>", gateway.uri("gateway")))
            .with_body("application/sdp", &sdp(49_180));
        gateway.send(&ok);
        let got = alice.expect_status(200);
        assert_eq!(got.body, ok.body);
        alice.send(&alice.within("ACK", &invite, &got));
        gateway.expect_request("ACK");
        let (from, to, bye) = if callee_ends {
            (gateway, alice, gateway.within_as_callee("BYE", &arrived, &ok))
        } else {
            (alice, gateway, alice.within("BYE", &invite, &got))
        };
        from.send(&bye);
        let ended = to.expect_request("BYE");
        to.send(&Message::response(&ended, 200, "OK", "unused"));
        from.expect_status(200);
    }

    /// Calls in until one gets through, which rings and is declined; how long that took.
    #[track_caller]
    fn until_reached(&self) -> Duration {
        let begin = Instant::now();
        loop {
            let invite = self.gateway.request("INVITE", NUMBER, CALLER, NUMBER);
            self.gateway.send(&invite);
            if let Some(arrived) = self.alice.receive(Duration::from_millis(150)) {
                self.alice
                    .send(&Message::response(&arrived, 603, "Decline", "alice"));
                let declined = self.gateway.expect_status(603);
                self.gateway.acknowledge(&invite, &declined);
                self.alice.expect_request("ACK");
                self.alice.expect_silence(Duration::from_millis(300));
                return begin.elapsed();
            }
            let refused = self.gateway.expect_status(404);
            self.gateway.acknowledge(&invite, &refused);
            assert!(begin.elapsed() < 3 * INTERVAL, "{}", self.trunk());
        }
    }
}

/// RFC 3261 §10.2, §22.2, §22.3: digest on REGISTER and on INVITE, calls in both directions, ended by either side; then the
/// provider is killed and comes back with an empty memory, and the server too.
#[test]
fn a_provider_is_registered_with_and_called_through_whatever_restarts() {
    let mut scene = Scene::new();
    let trunk = scene.trunk();
    assert_eq!(
        trunk["contact"],
        format!("sip:4711@127.0.0.1:{}", scene.server.port())
    );
    for ends in [false, true] {
        scene.inbound(ends);
        scene.outbound(ends);
    }
    assert_eq!(
        scene
            .server
            .metric("strowger_trunk_registered{trunk=\"provider\"}"),
        1
    );
    assert_eq!(
        scene
            .server
            .metric("strowger_trunk_challenges_total{trunk=\"provider\"}"),
        2
    );

    scene.provider.kill();
    scene.provider.start_again();
    let took = scene.until_reached();
    assert!(took <= INTERVAL + SLACK, "reached again after {took:?}");
    scene.await_registered();
    scene.inbound(true);
    scene.outbound(false);

    // The binding of the former process is replaced: each call comes once.
    scene.server.restart(Signal::Kill);
    scene.await_registered();
    let took = scene.until_reached();
    assert!(took < SLACK, "reached after {took:?}");
    scene.outbound(true);

    // RFC 3261 §10.2.2: a server that stops removes its binding.
    assert_eq!(scene.server.stop(), Some(0));
    let (_, gone) = scene.call_in();
    assert_eq!(gone.status(), Some(404));
    let log = scene.server.process().output();
    assert!(
        log.contains("trunk registered") && log.contains("trunk removed"),
        "{log}"
    );
    assert!(!log.contains("secret"), "{log}");
}

/// RFC 3261 §22.2: the answer to a challenge goes over a new connection, where the one that the challenge came by has ended with it.
#[test]
fn a_registrar_that_ends_each_connection_is_registered_with() {
    let registrar = TcpListener::bind("127.0.0.1:0").expect("a free port");
    registrar.set_nonblocking(true).expect("an option");
    let address = registrar.local_addr().expect("bound");
    let server = Setup::new()
        .toml(&format!(
            "[[register]]\nname = \"provider\"\naor = \"{NUMBER}\"\nregistrar = \"sip:{address};transport=tcp\"\n\
             password = \"secret\"\nto = [\"{ALICE}\"]\ntrusted = true\n"
        ))
        .start();
    let challenged = answer_once(&registrar, |request| {
        Message::response(request, 401, "Unauthorized", "registrar").with(
            "WWW-Authenticate",
            "Digest realm=\"provider.example\", nonce=\"n\", algorithm=MD5",
        )
    });
    assert_eq!(challenged.get("Authorization"), None);
    let begun = Instant::now();
    let authorized = answer_once(&registrar, |request| {
        Message::response(request, 200, "OK", "registrar")
            .with("Contact", request.header("Contact"))
            .with("Expires", "300")
    });
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(authorized.get("Authorization").is_some(), "{}", authorized.text());
    let state = || server.ctl_json("trunks")[0]["state"].clone();
    assert!(wait::until_true(SLACK, || state() == "registered"), "{}", state());
}

/// Answers the first message of the next connection, and ends that with the same segment.
fn answer_once(listener: &TcpListener, answer: impl FnOnce(&Message) -> Message) -> Message {
    let (mut stream, _) = wait::until(SLACK, || listener.accept().ok()).expect("a connection");
    stream.set_read_timeout(Some(SLACK)).expect("an option");
    let mut bytes = Vec::new();
    let request = loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).expect("a message");
        bytes.extend_from_slice(&part[..count]);
        if let Some(request) = Message::parse(&bytes) {
            break request;
        }
    };
    socket2::SockRef::from(&stream)
        .set_tcp_cork(true)
        .expect("an option of TCP");
    let answer = answer(&request).text();
    stream.write_all(answer.as_bytes()).expect("written");
    request
}
