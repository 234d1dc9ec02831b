//! Phones behind NATs: calls reach them after they were idle for longer than the NAT remembers, and after its public address
//! has changed, before a call or during it; over a long way too; in both directions, with all that belongs to a call.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use system_tests::baresip::Baresip;
use system_tests::nat::{Internet, Kind, Nat, RELAY, SERVER, UDP_TIMEOUT};
use system_tests::peer::{KeepAlive, sdp};
use system_tests::pjsua::Pjsua;
use system_tests::relay::Relay;
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
    /// The address that the server has seen it at, of the answer to that (RFC 3581 §4).
    seen_at: SocketAddr,
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
            seen_at: server,
            kept,
        };
        phone.register(1);
        phone
    }

    /// Its contact, the same for as long as it is there.
    fn contact(&self) -> String {
        self.registered.header("Contact").to_owned()
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
        let param = |name: &str| {
            let via = answer.header("Via").split(';');
            let value = via.filter_map(|param| param.strip_prefix(name)).next();
            value.unwrap_or_else(|| panic!("no {name} in {}", answer.text()))
        };
        let seen_at = format!("{}:{}", param("received="), param("rport="));
        self.seen_at = seen_at.parse().expect("an address");
    }

    /// The NAT gets another public address: a phone notices that its keep-alive is not answered, and registers again.
    #[track_caller]
    fn move_to(&mut self, host: u8) {
        self.nat.connect(host);
        if self.peer.transport() == "TCP" {
            self.peer = connected(&self.nat, "tcp", self.server);
            self.kept = self.peer.keep_alive(KEEP_ALIVE);
        }
        self.register(self.registered.cseq() + 1);
    }

    /// The next message that is no provisional response: such a one may come late.
    #[track_caller]
    fn next(&self) -> Message {
        loop {
            let message = self.peer.next();
            if message.status().is_none_or(|status| status >= 200) {
                return message;
            }
        }
    }

    #[track_caller]
    fn request(&self, method: &str) -> Message {
        let message = self.next();
        assert_eq!(
            message.method(),
            Some(method),
            "{:?}: {}",
            self.kind,
            message.text()
        );
        message
    }

    #[track_caller]
    fn ok(&self) -> Message {
        let message = self.next();
        assert_eq!(message.status(), Some(200), "{:?}: {}", self.kind, message.text());
        message
    }

    /// Answers with 200.
    #[track_caller]
    fn accept(&self, request: &Message, tag: &str) -> Message {
        let ok = Message::response(request, 200, "OK", tag).with("Contact", self.contact());
        self.peer.send(&ok);
        ok
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

/// A call that is up: what both sides have of it.
struct Call {
    invite: Message,
    accepted: Message,
    arrived: Message,
    accept: Message,
    /// Requests sent within it.
    sent: u32,
}

impl Call {
    /// One calls the other, who rings and answers at once.
    #[track_caller]
    fn new(caller: &Phone, callee: &Phone) -> Self {
        let (from, to) = (aor(&caller.user), aor(&callee.user));
        let invite = caller
            .peer
            .request("INVITE", &to, &from, &to)
            .set("Contact", caller.contact())
            .with_body("application/sdp", &sdp(40_000));
        caller.peer.send(&invite);
        let arrived = callee.request("INVITE");
        callee
            .peer
            .send(&Message::response(&arrived, 180, "Ringing", "callee"));
        let accept = callee.accept(&arrived, "callee");
        let accepted = caller.ok();
        caller.peer.send(&caller.peer.within("ACK", &invite, &accepted));
        callee.request("ACK");
        Self {
            invite,
            accepted,
            arrived,
            accept,
            sent: 0,
        }
    }

    /// A request within it.
    fn request(&self, phone: &Phone, by: Side, method: &str, number: u32) -> Message {
        let request = match by {
            Side::Caller => phone.peer.within(method, &self.invite, &self.accepted),
            Side::Callee => phone.peer.within_as_callee(method, &self.arrived, &self.accept),
        };
        request.set("CSeq", format!("{number} {method}"))
    }

    /// The sequence number of the next request.
    fn number(&mut self) -> u32 {
        self.sent += 1;
        100 + self.sent
    }

    /// One side sends a re-INVITE, and the other agrees.
    #[track_caller]
    fn change(&mut self, phones: [&Phone; 2], by: Side) {
        let [one, other] = in_order(phones, by);
        let number = self.number();
        let again = self
            .request(one, by, "INVITE", number)
            .with("Contact", one.contact())
            .with_body("application/sdp", &sdp(40_002));
        one.peer.send(&again);
        other.accept(&other.request("INVITE"), "");
        one.ok();
        one.peer.send(&self.request(one, by, "ACK", number));
        other.request("ACK");
    }

    /// One side sends two requests at once, of which the later may be the first that comes.
    #[track_caller]
    fn inform_twice(&mut self, phones: [&Phone; 2], by: Side) {
        let [one, other] = in_order(phones, by);
        for _ in 0..2 {
            let number = self.number();
            one.peer.send(&self.request(one, by, "INFO", number));
        }
        let came = [(); 2].map(|()| other.request("INFO"));
        assert_ne!(came[0].cseq(), came[1].cseq());
        for info in &came {
            other.accept(info, "");
        }
        one.ok();
        one.ok();
    }

    #[track_caller]
    fn end(mut self, phones: [&Phone; 2], by: Side) {
        let [one, other] = in_order(phones, by);
        let number = self.number();
        one.peer.send(&self.request(one, by, "BYE", number));
        other.accept(&other.request("BYE"), "");
        one.ok();
    }
}

/// Who acts, and the other one.
fn in_order([caller, callee]: [&Phone; 2], by: Side) -> [&Phone; 2] {
    match by {
        Side::Caller => [caller, callee],
        Side::Callee => [callee, caller],
    }
}

/// A whole call: what belongs to it is sent by the called one, and whoever is said ends it.
#[track_caller]
fn call(caller: &Phone, callee: &Phone, ended_by: Side) {
    let phones = [caller, callee];
    let mut call = Call::new(caller, callee);
    call.change(phones, Side::Callee);
    call.inform_twice(phones, Side::Caller);
    call.end(phones, ended_by);
}

#[track_caller]
fn calls(pairs: &[[Phone; 2]]) {
    for [alice, bob] in pairs {
        call(alice, bob, Side::Caller);
        call(bob, alice, Side::Callee);
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

/// RFC 5626 §9.4: a side of a call moves while the call is under way. What both sides send afterwards comes to the other one.
#[track_caller]
fn calls_go_on_when_a_nat_moves(transport: &str) {
    let internet = Internet::new();
    let (_server, at) = server("[nat]\nkeep_alive = \"off\"\n");
    let mut hosts = 120..;
    for [mut alice, mut bob] in pairs(&internet, transport, at) {
        for (moved, ended_by) in [
            (Side::Caller, Side::Callee),
            (Side::Callee, Side::Caller),
            (Side::Caller, Side::Caller),
            (Side::Callee, Side::Callee),
        ] {
            let mut call = Call::new(&alice, &bob);
            let host = hosts.next().expect("an address");
            match moved {
                Side::Caller => alice.move_to(host),
                Side::Callee => bob.move_to(host),
            }
            let phones = [&alice, &bob];
            for by in [Side::Caller, Side::Callee] {
                call.change(phones, by);
            }
            call.end(phones, ended_by);
        }
    }
}

#[test]
fn calls_on_udp_go_on_when_a_nat_moves() {
    if namespace::enter("calls_on_udp_go_on_when_a_nat_moves") {
        calls_go_on_when_a_nat_moves("udp");
    }
}

#[test]
fn calls_on_tcp_go_on_when_a_nat_moves() {
    if namespace::enter("calls_on_tcp_go_on_when_a_nat_moves") {
        calls_go_on_when_a_nat_moves("tcp");
    }
}

/// What is on its way takes up to 100 ms, and datagrams overtake each other.
#[test]
fn calls_reach_phones_far_away_behind_nats() {
    if !namespace::enter("calls_reach_phones_far_away_behind_nats") {
        return;
    }
    let internet = Internet::new();
    let (_server, at) = server("[nat]\nkeep_alive = \"off\"\n");
    let relay = Relay::udp(RELAY.into(), at, 7);
    let udp = pairs(&internet, "udp", relay.address());
    calls(&udp);
    assert!(relay.overtaken() > 0, "datagrams overtake each other");
    drop(udp);
    let relay = Relay::tcp(RELAY.into(), at, 7);
    calls(&pairs(&internet, "tcp", relay.address()));
}

/// A phone keeps its own way open and the server sends nothing: each answer shows the phone the NAT's address, and calls come long
/// after all else was sent.
#[track_caller]
fn phones_keep_their_way_open(transport: &str, keep_alive: impl Fn(&Phone)) {
    let internet = Internet::new();
    let (_server, at) = server("[nat]\nkeep_alive = \"off\"\n");
    let phone = |number, user| {
        let mut phone = Phone::new(&internet, number, Kind::Symmetric, transport, user, at);
        phone.kept = phone.peer.keep_alive(10 * UDP_TIMEOUT);
        phone
    };
    let (alice, bob) = (phone(1, "alice"), phone(2, "bob"));
    let begun = Instant::now();
    while begun.elapsed() < 2 * UDP_TIMEOUT {
        keep_alive(&alice);
        keep_alive(&bob);
        std::thread::sleep(KEEP_ALIVE / 2);
    }
    call(&alice, &bob, Side::Caller);
    call(&bob, &alice, Side::Callee);
}

/// RFC 5626 §4.4.2, RFC 5389 §15.2: the mapped address is the NAT's, as the answer to the REGISTER had it in `received` and `rport`.
#[test]
fn phones_that_send_stun_are_reached_behind_nats() {
    if !namespace::enter("phones_that_send_stun_are_reached_behind_nats") {
        return;
    }
    phones_keep_their_way_open("udp", |phone| {
        let answer = phone.peer.ask_stun();
        assert_eq!(answer, phone.seen_at, "{}", phone.user);
        assert_ne!(answer, phone.peer.address(), "{}", phone.user);
    });
}

/// RFC 5626 §4.4.1.
#[test]
fn phones_that_send_empty_lines_are_reached_behind_nats() {
    if !namespace::enter("phones_that_send_empty_lines_are_reached_behind_nats") {
        return;
    }
    phones_keep_their_way_open("tcp", |phone| phone.peer.ask_pong());
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
