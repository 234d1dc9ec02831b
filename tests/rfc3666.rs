//! The flows of RFC 3666 through one proxy, message by message: this test plays the caller and the gateways, or the phone and
//! the gateway that calls it; the proxy is real. Each flow is its SIP messages in the RFC's order.
//!
//! What differs from the RFC's pages: addresses are loopback's, sips is sip, and a gateway is bound to the number that it
//! serves. The proxy answers every INVITE with 100, where the RFC leaves some out; and a number that nobody has gets 404 from it,
//! where the RFC's proxy says 604. What passes beyond the gateways is no SIP.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::time::Duration;

use system_tests::peer::sdp;
use system_tests::server::{Server, Setup};
use system_tests::{Message, Peer};

const HOST: &str = "ss1.a.example.com";
const CALLER: &str = "sip:+13145551111@ss1.a.example.com";
const NUMBER: &str = "sip:+19725552222@ss1.a.example.com";

/// Each flow's section and its messages in order. `A` calls, `B` is called, and `C` is called when B has no line left. Who stands
/// before a message sends it, who stands behind it gets it.
const FLOWS: &[(&str, &str)] = &[
    (
        "2.1",
        "A INVITE, 100 A, INVITE B, B 100, B 183, 183 A, B 200, 200 A, A ACK, ACK B, A BYE, BYE B, B 200, 200 A",
    ),
    (
        "2.2",
        "A INVITE, 100 A, INVITE B, B 100, B 180, 180 A, B 200, 200 A, A ACK, ACK B, A BYE, BYE B, B 200, 200 A",
    ),
    (
        "2.3",
        "A INVITE, INVITE B, 100 A, B 503, ACK B, INVITE C, C 183, 183 A, C 200, 200 A, A ACK, ACK C, A BYE, BYE C, C 200, \
         200 A",
    ),
    (
        "2.4",
        "A INVITE, INVITE B, 100 A, B 180, 180 A, B 200, 200 A, A ACK, ACK B, B BYE, BYE A, A 200, 200 B",
    ),
    (
        "2.5",
        "A INVITE, 100 A, INVITE B, B 100, B 183, 183 A, A CANCEL, 200 A, CANCEL B, B 200, B 487, ACK B, 487 A, A ACK",
    ),
    (
        "2.6",
        "A INVITE, 100 A, INVITE B, B 100, B 404, ACK B, 404 A, A ACK",
    ),
    (
        "2.7",
        "A INVITE, 100 A, INVITE B, B 100, B 183, 183 A, B 480, ACK B, 480 A, A ACK",
    ),
    (
        "3.1",
        "A INVITE, INVITE B, B 100, B 180, 180 A, B 200, 200 A, A ACK, ACK B, A BYE, BYE B, B 200, 200 A",
    ),
    (
        "3.2",
        "A INVITE, INVITE B, 100 A, B 200, 200 A, A ACK, ACK B, A BYE, BYE B, B 200, 200 A",
    ),
    (
        "3.3",
        "A INVITE, INVITE B, 100 A, B 180, 180 A, B 200, 200 A, A ACK, ACK B, A BYE, BYE B, B 200, 200 A",
    ),
    ("3.4", "A INVITE, 604 A, A ACK"),
    ("3.5", "A INVITE, INVITE B, 100 A, B 600, ACK B, 600 A, A ACK"),
    ("3.6", "A INVITE, INVITE B, B 100, B 600, ACK B, 600 A, A ACK"),
    ("3.7", "A INVITE, INVITE B, 100 A, A CANCEL, 200 A"),
    ("3.8", "A INVITE, INVITE B"),
    (
        "3.9",
        "A INVITE, INVITE B, B 100, B 180, 180 A, A CANCEL, 200 A, CANCEL B, B 200, B 487, ACK B, 487 A, A ACK",
    ),
    (
        "4.1",
        "A INVITE, INVITE B, B 183, 183 A, B 200, 200 A, A ACK, ACK B, B BYE, BYE A, A 200, 200 B",
    ),
    (
        "4.2",
        "A INVITE, INVITE B, B 503, ACK B, INVITE C, C 100, C 180, 180 A, C 200, 200 A, A ACK, ACK C, C BYE, BYE A, A 200, \
         200 C",
    ),
];

fn reason(code: &str) -> &'static str {
    match code {
        "100" => "Trying",
        "180" => "Ringing",
        "183" => "Session Progress",
        "200" => "OK",
        "404" => "Not Found",
        "480" => "Temporarily Unavailable",
        "487" => "Request Terminated",
        "503" => "Service Unavailable",
        _ => "Busy Everywhere",
    }
}

/// One of the three, and what it has sent and got.
struct Party {
    peer: Peer,
    /// The INVITE, as it was sent or has arrived.
    invite: Option<Message>,
    /// The last request but INVITE that has arrived and is not answered.
    asked: Option<Message>,
    /// The last response to the INVITE, as it was sent or has arrived.
    answer: Option<Message>,
    to_tag: &'static str,
}

impl Party {
    fn new(server: &Server, to_tag: &'static str) -> Self {
        Self {
            peer: Peer::udp(server.sip()),
            invite: None,
            asked: None,
            answer: None,
            to_tag,
        }
    }

    fn invite(&self) -> &Message {
        self.invite.as_ref().expect("there was an INVITE")
    }

    fn answer(&self) -> &Message {
        self.answer.as_ref().expect("it was answered")
    }

    /// Binds it to the number.
    fn registered(self, q: &str) -> Self {
        let register = self.peer.register(NUMBER, 300);
        let contact = format!("{};q={q}", register.header("Contact"));
        let answer = self.peer.exchange(&register.set("Contact", contact));
        assert_eq!(answer.status(), Some(200));
        self
    }

    fn sends_request(&mut self, method: &str) {
        let calls = self
            .invite
            .as_ref()
            .is_none_or(|invite| invite.list("Via").len() == 1);
        let request = match method {
            "INVITE" => {
                let to = format!("{NUMBER};user=phone");
                let invite = self.peer.request("INVITE", &to, CALLER, NUMBER);
                self.invite = Some(invite.with_body("application/sdp", &sdp(49_172)));
                self.invite().clone()
            }
            "ACK" if self.answer().status() != Some(200) => {
                return self.peer.acknowledge(self.invite(), self.answer());
            }
            "CANCEL" => {
                let invite = self.invite();
                let cancel = Message::request("CANCEL", invite.uri()).with("Via", invite.header("Via"));
                let fields = ["Max-Forwards", "From", "To", "Call-ID"];
                let cancel = fields
                    .iter()
                    .fold(cancel, |cancel, name| cancel.with(name, invite.header(name)));
                cancel.with("CSeq", format!("{} CANCEL", invite.cseq()))
            }
            _ if calls => self.peer.within(method, self.invite(), self.answer()),
            _ => self.peer.within_as_callee(method, self.invite(), self.answer()),
        };
        self.peer.send(&request);
    }

    fn sends_response(&mut self, code: &str) {
        let status = code.parse().expect("a code");
        // What was asked last is answered first; 487 is for the INVITE.
        let asked = self.asked.take();
        let (request, is_invite) = match &asked {
            Some(request) => (request, false),
            None => (self.invite(), true),
        };
        let mut response = Message::response(request, status, reason(code), self.to_tag);
        if is_invite && status > 100 && status < 300 {
            response = response.with("Contact", format!("<{}>", self.peer.uri("gw")));
        }
        if is_invite && (status == 183 || status == 200) {
            response = response.with_body("application/sdp", &sdp(3456));
        }
        self.peer.send(&response);
        if is_invite && status > 100 {
            self.answer = Some(response);
        }
    }
}

/// A flow that is played.
struct Call {
    section: &'static str,
    server: Server,
    caller: Party,
    called: [Party; 2],
}

impl Call {
    fn new(section: &'static str, setup: Setup) -> Self {
        let server = setup.domains(&[HOST]).start();
        let caller = Party::new(&server, "unused");
        let called = [Party::new(&server, "b"), Party::new(&server, "c")];
        Self {
            section,
            server,
            caller,
            called,
        }
    }

    fn party(&mut self, letter: &str) -> &mut Party {
        match letter {
            "A" => &mut self.caller,
            "B" => &mut self.called[0],
            _ => &mut self.called[1],
        }
    }

    fn play(mut self) -> Self {
        let flow = FLOWS.iter().find(|(section, _)| *section == self.section);
        let (_, steps) = flow.expect("a flow of the table");
        for step in steps.split(", ") {
            let (first, second) = step.split_once(' ').expect("a message and a party");
            match (first, second) {
                ("A" | "B" | "C", code) if code.starts_with(|c: char| c.is_ascii_digit()) => {
                    self.party(first).sends_response(code);
                }
                ("A" | "B" | "C", method) => self.party(first).sends_request(method),
                (code, who) if code.starts_with(|c: char| c.is_ascii_digit()) => {
                    self.gets_response(code, who)
                }
                (method, who) => self.gets_request(method, who),
            }
        }
        self
    }

    fn gets_request(&mut self, method: &str, who: &str) {
        let proxy = self.server.sip();
        let party = self.party(who);
        let request = party.peer.expect_request(method);
        let vias = request.list("Via");
        assert!(vias[0].starts_with(&format!("SIP/2.0/UDP {proxy};")), "{vias:?}");
        if method != "CANCEL"
            && party
                .answer
                .as_ref()
                .is_none_or(|answer| answer.status() == Some(200))
        {
            assert_eq!(vias.len(), 2, "{}", request.text());
            assert_eq!(request.header("Max-Forwards"), "69");
        }
        match method {
            "INVITE" => {
                assert_eq!(request.list("Record-Route").len(), 1);
                self.compare(who, &request);
                self.party(who).invite = Some(request);
            }
            "ACK" => {}
            _ => self.party(who).asked = Some(request),
        }
    }

    /// What arrived as INVITE is what was sent, but for what a proxy changes.
    fn compare(&mut self, who: &str, arrived: &Message) {
        let uri = self.party(who).peer.uri("x");
        let (_, place) = uri.split_once('@').expect("a host");
        assert!(arrived.uri().contains(place), "{} for {uri}", arrived.uri());
        let sent = self.caller.invite();
        assert_eq!(arrived.body, sent.body);
        for name in ["From", "To", "Call-ID", "CSeq", "Contact", "Content-Type"] {
            assert_eq!(arrived.header(name), sent.header(name));
        }
    }

    fn gets_response(&mut self, code: &str, who: &str) {
        let section = self.section;
        let party = self.party(who);
        if code == "100" {
            let message = party.peer.next();
            assert_eq!(message.status(), Some(100), "{}", message.text());
            return;
        }
        // A number that nobody has: 604 says that it is so everywhere.
        let expected = if code == "604" {
            404
        } else {
            code.parse().expect("a code")
        };
        let response = party.peer.expect_status(expected);
        assert_eq!(response.list("Via").len(), 1, "§{section}: {}", response.text());
        if response.header("CSeq").ends_with(" INVITE") {
            self.party(who).answer = Some(response);
        }
    }
}

fn calls(section: &'static str) {
    let mut call = Call::new(section, Setup::new());
    call.called[0] = Party::new(&call.server, "b").registered("1");
    let call = call.play();
    let (caller, phone) = (&call.caller.peer, &call.called[0].peer);
    caller.expect_silence(Duration::from_millis(200));
    phone.expect_silence(Duration::from_millis(200));
}

fn overflows(section: &'static str) {
    let mut call = Call::new(section, Setup::new().toml("[proxy]\nfork = \"sequential\"\n"));
    for (at, (tag, q)) in [("b", "0.9"), ("c", "0.5")].into_iter().enumerate() {
        call.called[at] = Party::new(&call.server, tag).registered(q);
    }
    let call = call.play();
    call.caller.peer.expect_silence(Duration::from_millis(200));
}

/// RFC 3666 §2.1, §2.2 and §2.4 to §2.7.
#[test]
fn a_phone_calls_by_a_gateway() {
    for section in ["2.1", "2.2", "2.4", "2.5", "2.6", "2.7"] {
        calls(section);
    }
}

/// RFC 3666 §2.3 and §4.2: the second gateway takes what the first has no line for.
#[test]
fn a_call_overflows_to_another_gateway() {
    for section in ["2.3", "4.2"] {
        overflows(section);
    }
}

/// RFC 3666 §3.1 to §3.3, §3.5, §3.6, §3.9 and §4.1.
#[test]
fn a_gateway_calls_a_phone_or_another_gateway() {
    for section in ["3.1", "3.2", "3.3", "3.5", "3.6", "3.9", "4.1"] {
        calls(section);
    }
}

/// RFC 3666 §3.4.
#[test]
fn a_number_that_nobody_has_is_refused() {
    Call::new("3.4", Setup::new()).play();
}

/// RFC 3666 §3.7: the phone says nothing, so it gets no CANCEL; the gateway that gave up hears of its INVITE all the same.
#[test]
fn a_phone_that_says_nothing_gets_no_cancel() {
    let mut call = Call::new("3.7", Setup::new());
    call.called[0] = Party::new(&call.server, "b").registered("1");
    let call = call.play();
    let refused = call.caller.peer.response();
    assert!(matches!(refused.status(), Some(408 | 487)), "{}", refused.text());
    call.caller.peer.acknowledge(call.caller.invite(), &refused);
}

/// RFC 3666 §3.8: without state no 100 and no repeating; what the caller repeats is forwarded again, the same way.
#[test]
fn a_proxy_without_state_forwards_what_is_repeated() {
    let mut call = Call::new(
        "3.8",
        Setup::new().toml("[proxy]\nmode = \"stateless\"\nrecord_route = true\n"),
    );
    call.called[0] = Party::new(&call.server, "b").registered("1");
    call.caller.sends_request("INVITE");
    let arrived = call.called[0].peer.expect_request("INVITE");
    call.caller.peer.expect_silence(Duration::from_millis(300));
    call.called[0].peer.expect_silence(Duration::from_millis(300));
    call.caller.peer.send(call.caller.invite());
    let again = call.called[0].peer.receive_repeats(Duration::from_secs(2));
    assert_eq!(again, Some(arrived));
}

/// Where the messages of the RFC lie beside the repository, the table of flows is compared with them.
#[test]
fn the_flows_are_those_of_the_rfc() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/rfc-flows/FLOWS.tsv");
    let Ok(index) = std::fs::read_to_string(path) else {
        return;
    };
    for (section, steps) in FLOWS {
        let rows = index.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let of_section =
            |row: &Vec<&str>| row[0].starts_with("rfc3666/") && row[1].starts_with(&format!("{section} "));
        let printed: Vec<String> = rows
            .filter(of_section)
            .map(|row| {
                let words = row[3].split_whitespace().find(|word| *word != "SIP/2.0");
                words.unwrap_or_default().to_owned()
            })
            .collect();
        let played: Vec<&str> = steps
            .split(", ")
            .flat_map(|step| step.split(' ').filter(|word| word.len() > 1))
            .collect();
        assert_eq!(printed, played, "RFC 3666 §{section}");
    }
}
