//! Phones behind NATs: calls reach them after they were idle for longer than the NAT remembers, and after its public address
//! has changed; in both directions, with all that belongs to a call.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::Duration;

use system_tests::baresip::Baresip;
use system_tests::nat::{Internet, Kind, Nat, SERVER, UDP_TIMEOUT};
use system_tests::peer::{KeepAlive, sdp};
use system_tests::pjsua::Pjsua;
use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::{Account, Message, Peer, namespace};

/// How often phones keep their mappings.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// A server on the public network, and its address there.
fn server(toml: &str) -> (Server, SocketAddr) {
    let setup = Setup::new();
    let at = SocketAddr::from((SERVER, setup.port()));
    let setup = setup.listen(&format!("udp:{at}")).listen(&format!("tcp:{at}"));
    (setup.toml(toml).start(), at)
}

/// A phone behind a NAT, which knows nothing but its private address.
struct Phone {
    nat: Nat,
    kind: Kind,
    user: String,
    server: SocketAddr,
    peer: Peer,
    /// The last REGISTER that was accepted.
    registered: Message,
    kept: KeepAlive,
}

impl Phone {
    #[track_caller]
    fn new(
        internet: &Internet,
        number: u8,
        kind: Kind,
        transport: &str,
        user: &str,
        server: SocketAddr,
    ) -> Self {
        let nat = Nat::new(internet, number, kind);
        let peer = connected(&nat, transport, server);
        let registered = peer.register(&aor(user), 300);
        let kept = peer.keep_alive(KEEP_ALIVE);
        let user = user.to_owned();
        let mut phone = Self {
            nat,
            kind,
            user,
            server,
            peer,
            registered,
            kept,
        };
        phone.register(1);
        phone
    }

    /// Registers as before, with this sequence number.
    #[track_caller]
    fn register(&mut self, cseq: u32) {
        let register = self
            .registered
            .clone()
            .set("CSeq", format!("{cseq} REGISTER"))
            .set("Via", self.peer.via());
        let answer = self.peer.exchange(&register);
        assert_eq!(answer.status(), Some(200), "{:?}: {}", self.kind, answer.text());
        self.registered = register;
    }

    /// The NAT gets another public address: a phone notices that its keep-alive is not answered, and registers again.
    #[track_caller]
    fn move_to(&mut self, host: u8) {
        self.nat.connect(host);
        if self.peer.transport() == "TCP" {
            self.peer = connected(&self.nat, "tcp", self.server);
            self.kept = self.peer.keep_alive(KEEP_ALIVE);
        }
        self.register(2);
    }
}

#[track_caller]
fn connected(nat: &Nat, transport: &str, server: SocketAddr) -> Peer {
    let place = format!("{}:5060", nat.inside());
    nat.enter(|| match transport {
        "udp" => Peer::udp_at(&place, server),
        _ => Peer::tcp(server),
    })
}

/// A pair of phones, each behind a NAT of this kind, and idle phones of all kinds at once.
fn pairs(internet: &Internet, transport: &str, server: SocketAddr) -> Vec<[Phone; 2]> {
    let pair = |(at, kind): (u8, Kind)| {
        ["alice", "bob"].map(|name| {
            let number = at * 2 + u8::from(name == "bob") + 1;
            let user = format!("{name}{number}");
            Phone::new(internet, number, kind, transport, &user, server)
        })
    };
    (0..).zip(Kind::ALL).map(pair).collect()
}

/// One calls the other: INVITE, a re-INVITE by the called one, and BYE by whom is said.
#[track_caller]
fn call(caller: &Phone, callee: &Phone, caller_ends: bool) {
    let (a, b) = (&caller.peer, &callee.peer);
    let invite = a
        .request(
            "INVITE",
            &aor(&callee.user),
            &aor(&caller.user),
            &aor(&callee.user),
        )
        .with_body("application/sdp", &sdp(40_000));
    a.send(&invite);
    let arrived = b.expect_request("INVITE");
    let accept =
        Message::response(&arrived, 200, "OK", "callee").with("Contact", format!("<{}>", b.uri("x")));
    b.send(&accept);
    let accepted = a.expect_status(200);
    a.send(&a.within("ACK", &invite, &accepted));
    b.expect_request("ACK");

    let again = b
        .within_as_callee("INVITE", &arrived, &accept)
        .with("Contact", format!("<{}>", b.uri("x")))
        .with_body("application/sdp", &sdp(40_002));
    b.send(&again);
    let offered = a.expect_request("INVITE");
    a.send(&Message::response(&offered, 200, "OK", "").with("Contact", format!("<{}>", a.uri("y"))));
    let agreed = b.expect_status(200);
    let ack = b
        .within_as_callee("ACK", &arrived, &accept)
        .set("CSeq", format!("{} ACK", agreed.cseq()));
    b.send(&ack);
    a.expect_request("ACK");

    let (ending, other, bye) = if caller_ends {
        (a, b, a.within("BYE", &invite, &accepted))
    } else {
        let bye = b
            .within_as_callee("BYE", &arrived, &accept)
            .set("CSeq", "7001 BYE");
        (b, a, bye)
    };
    ending.send(&bye);
    other.answer(&other.expect_request("BYE"), 200, "OK");
    ending.expect_status(200);
}

#[track_caller]
fn calls(pairs: &[[Phone; 2]]) {
    for [alice, bob] in pairs {
        call(alice, bob, true);
        call(bob, alice, false);
    }
}

#[track_caller]
fn calls_reach_phones_behind_nats(transport: &str) {
    let internet = Internet::new();
    let (_server, at) = server("[nat]\nkeep_alive = \"off\"\n");
    let mut pairs = pairs(&internet, transport, at);
    calls(&pairs);
    // Longer than the NATs remember what nobody uses.
    std::thread::sleep(2 * UDP_TIMEOUT);
    calls(&pairs);
    for (host, phone) in (120..).zip(pairs.iter_mut().flatten()) {
        phone.move_to(host);
    }
    calls(&pairs);
}

#[test]
fn calls_reach_phones_on_udp_behind_nats() {
    if namespace::enter("calls_reach_phones_on_udp_behind_nats") {
        calls_reach_phones_behind_nats("udp");
    }
}

#[test]
fn calls_reach_phones_on_tcp_behind_nats() {
    if namespace::enter("calls_reach_phones_on_tcp_behind_nats") {
        calls_reach_phones_behind_nats("tcp");
    }
}

fn account<'a>(nat: &Nat, server: SocketAddr, user: &'a str, transport: &'a str, tone: f64) -> Account<'a> {
    Account {
        user,
        domain: DOMAIN,
        password: None,
        server,
        local: nat.inside(),
        transport,
        tone,
    }
}

/// The server keeps the way to baresip open. PJSIP does it by itself: it names its public address everywhere, so that nobody can tell.
#[test]
fn phones_made_by_others_are_reached_behind_nats() {
    if !namespace::enter("phones_made_by_others_are_reached_behind_nats") {
        return;
    }
    let internet = Internet::new();
    let (_server, at) = server("[nat]\nkeep_alive = \"options\"\nkeep_alive_interval = \"2s\"\n");
    let nat = |number, kind| Nat::new(&internet, number, kind);
    let (first, second) = (nat(1, Kind::Symmetric), nat(2, Kind::PortRestricted));
    let mut baresip = first.enter(|| Baresip::registered(&account(&first, at, "alice", "udp", 440.0)));
    let mut pjsua = second.enter(|| Pjsua::registered(&account(&second, at, "bob", "udp", 880.0)));
    std::thread::sleep(2 * UDP_TIMEOUT);

    pjsua.dial(&aor("alice"));
    baresip.expect_event("CALL_ESTABLISHED");
    pjsua.expect("call CONFIRMED");
    pjsua.hang_up();
    baresip.expect_event("CALL_CLOSED");

    std::thread::sleep(2 * UDP_TIMEOUT);
    baresip.dial(&aor("bob"));
    baresip.expect_event("CALL_ESTABLISHED");
    baresip.command("hold", "");
    std::thread::sleep(Duration::from_secs(1));
    baresip.hang_up();
    pjsua.expect("call DISCONN");
}
