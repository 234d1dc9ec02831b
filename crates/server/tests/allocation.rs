//! The path of a message allocates nothing once buffers and tables have their size: counted around every call of the
//! application, for OPTIONS, REGISTER (memory store), REGISTER with digest, and whole calls through the stateful proxy.

#[path = "../src/scratch.rs"]
#[expect(dead_code, reason = "shared with the unit tests, which use more of it")]
mod scratch;

use std::net::SocketAddr;
use std::sync::Arc;

use strowger_net::{Application, Handled};
use strowger_server::admin::{NewUser, Secret, UserId};
use strowger_server::config::effective::{self, Machine};
use strowger_server::config::{Config, Listen, Mode};
use strowger_server::data_dir::DataDir;
use strowger_server::location::{Durability, Memory};
use strowger_server::node::{Journal, JournalEnd, Node, NodePolicy, Shared, Tally};
use strowger_server::subscriber::Subscribers;
use strowger_sip::auth::{Algorithm, Ha1, NonceTable};
use strowger_sip::registrar::Policy;
use strowger_sip::transaction::Timers;
use strowger_sip::transport::{Listener, Listeners};
use strowger_sip::{Destination, EndpointConfig, Now, Outbox, Source};
use strowger_syntax::{Index, Limits, Message, Name, Transport};
use tokio::sync::mpsc;

const PHONE: &str = "127.0.0.1:6000";
const CALLER: &str = "127.0.0.1:7000";

struct Bench {
    node: Node,
    journal: JournalEnd,
    index: Index,
    out: Outbox,
    now_ms: u64,
    allocations: u64,
    _dir: scratch::Scratch,
}

impl Bench {
    fn new(challenged: &[&str]) -> Self {
        let dir = scratch::Scratch::new();
        let data = DataDir::open(dir.path()).expect("a data directory");
        let subscribers = Subscribers::open(&data, [1; 16], Durability::Process).expect("a database");
        let address: UserId = "bob@127.0.0.1".parse().expect("an address");
        let user = NewUser { address, password: Secret::new("secret"), aliases: vec!["1001".into()], display_name: None };
        subscribers.add(&user).expect("a new user");
        let local: SocketAddr = "127.0.0.1:5060".parse().expect("an address");
        let uri = strowger_server::config::ListenUri { transport: Transport::Udp, address: local };
        let ours = effective::ours(&Config::default(), &[Listen::plain(uri)], &Machine::default());
        let shared = Arc::new(Shared {
            policy: NodePolicy {
                challenged: challenged.iter().map(|&m| m.to_owned()).collect(),
                algorithms: vec![Algorithm::Md5],
                trusted: Vec::new(),
                mode: Mode::Stateful,
                record_route: true,
                udp_limit: 1300,
                timer_c_ms: 181_000,
                registrar: Policy::default(),
                max_transactions: 1 << 20,
                boot: 7,
            },
            ours,
            location: Box::new(Memory::new([2; 16], 1 << 26)),
            subscribers,
            nonces: NonceTable::new(7, 1024, 300),
            resolver: mpsc::channel(1).0,
        });
        let listener = Listener { transport: Transport::Udp, address: local, advertise: None };
        let endpoint = EndpointConfig {
            secret: [3; 32],
            boot: 7,
            shards: 1,
            listeners: Arc::new(Listeners::new(vec![listener], Vec::new())),
            realms: vec!["127.0.0.1".to_owned()].into(),
            timers: Timers::DEFAULT,
            limits: Limits::DEFAULT,
        };
        let (journal, end) = Journal::new(true);
        let node = Node::new(0, shared, &endpoint, journal, Arc::new(Tally::default()));
        let (index, out) = (Index::default(), Outbox::default());
        Self { node, journal: end, index, out, now_ms: 1_000, allocations: 0, _dir: dir }
    }

    fn now(&self) -> Now {
        Now { mono_ns: self.now_ms * 1_000_000, wall_ms: 1_700_000_000_000 + self.now_ms }
    }

    /// Gives the node one datagram, and what is due; the messages it sent, with where they went.
    fn give(&mut self, from: &str, text: &str) -> Vec<(SocketAddr, String)> {
        let source = Source {
            transport: Transport::Udp,
            listener: 0,
            local: "127.0.0.1:5060".parse().expect("an address"),
            remote: from.parse().expect("an address"),
            flow: None,
        };
        let now = self.now();
        self.out.clear();
        let Self { node, index, out, .. } = self;
        let counted = allocation_counter::measure(|| {
            let handled = node.receive(text.as_bytes(), index, &source, now, out);
            assert_eq!(handled, Handled::Done);
            if node.deadline().is_some_and(|at| at <= now.mono_ns) {
                node.wake(now, out);
            }
            node.turn_ended(now);
        });
        self.allocations += counted.count_total;
        let sent = |t: &strowger_sip::Transmit| {
            let Destination::Datagram { to, .. } = t.to else { panic!("no datagram: {:?}", t.to) };
            (to, String::from_utf8_lossy(self.out.message(t)).into_owned())
        };
        self.out.transmits.iter().map(sent).collect()
    }

    fn pass_time(&mut self, ms: u64) {
        self.now_ms += ms;
        let now = self.now();
        self.out.clear();
        let Self { node, out, .. } = self;
        let counted = allocation_counter::measure(|| {
            node.wake(now, out);
            node.turn_ended(now);
        });
        self.allocations += counted.count_total;
    }

    fn read_journal(&self) {
        self.journal.write_next(|_| {});
    }
}

fn field(message: &str, name: Name) -> String {
    let mut index = Index::default();
    let message: Message<'_> = index.parse(message.as_bytes(), &Limits::DEFAULT).expect("well-formed");
    let lines = message.fields_of(name).map(|f| String::from_utf8_lossy(f.value).into_owned());
    lines.collect::<Vec<_>>().join("\r\n")
}

fn request(method: &str, uri: &str, from: &str, n: u64, cseq: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@127.0.0.1>;tag=f{n}\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: call-{n:08}@127.0.0.1\r\n\
         CSeq: {cseq} {method}\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

fn response(request: &str, status: &str) -> String {
    let lines = |name: Name| {
        let value = field(request, name);
        if value.is_empty() { return String::new() }
        value.split("\r\n").map(|v| format!("{}: {v}\r\n", name.as_str())).collect::<String>()
    };
    format!(
        "SIP/2.0 {status}\r\n{}{}From: {}\r\nTo: {};tag=callee\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:bob@{PHONE}>\r\n\
         Content-Length: 0\r\n\r\n",
        lines(Name::Via),
        lines(Name::RecordRoute),
        field(request, Name::From),
        field(request, Name::To).replace(";tag=callee", ""),
        field(request, Name::CallId),
        field(request, Name::CSeq),
    )
}

fn register(bench: &mut Bench, n: u64, more: &str) -> Vec<(SocketAddr, String)> {
    let contact = format!("{more}Contact: <sip:bob@{PHONE}>\r\nExpires: 3600\r\n");
    let text = request("REGISTER", "sip:127.0.0.1", PHONE, n, &n.to_string(), &contact);
    bench.give(PHONE, &text.replace(&format!("call-{n:08}"), "one-phone"))
}

/// INVITE, 180, 200, ACK, BYE, 200 through the node.
fn call(bench: &mut Bench, n: u64) {
    let invite = request("INVITE", "sip:1001@127.0.0.1", CALLER, n, "1", &format!("Contact: <sip:al@{CALLER}>\r\n"));
    let sent = bench.give(CALLER, &invite);
    assert!(sent[0].1.starts_with("SIP/2.0 100 "), "{sent:?}");
    let (to, forwarded) = &sent[1];
    assert_eq!(to.to_string(), PHONE);
    let sent = bench.give(PHONE, &response(forwarded, "180 Ringing"));
    assert!(sent[0].1.starts_with("SIP/2.0 180 "), "{sent:?}");
    let sent = bench.give(PHONE, &response(forwarded, "200 OK"));
    let answer = &sent[0].1;
    assert!(answer.starts_with("SIP/2.0 200 "), "{sent:?}");
    let route = format!("Route: {}\r\n", field(answer, Name::RecordRoute));
    for (method, cseq) in [("ACK", "1"), ("BYE", "2")] {
        let text = request(method, &format!("sip:bob@{PHONE}"), CALLER, n, cseq, &route);
        let sent = bench.give(CALLER, &text.replace("To: <sip:bob@127.0.0.1>", "To: <sip:bob@127.0.0.1>;tag=callee"));
        assert_eq!((sent.len(), sent[0].0.to_string().as_str()), (1, PHONE), "{sent:?}");
        if method == "BYE" {
            let sent = bench.give(PHONE, &response(&sent[0].1, "200 OK"));
            assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:?}");
        }
    }
    bench.read_journal();
}

#[test]
fn options_allocates_nothing() {
    let mut bench = Bench::new(&[]);
    for n in 0..1_000 {
        let sent = bench.give(CALLER, &request("OPTIONS", "sip:127.0.0.1", CALLER, n, "1", ""));
        assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:?}");
        if n == 10 {
            bench.allocations = 0;
        }
    }
    assert_eq!(bench.allocations, 0);
}

#[test]
fn refreshing_a_registration_allocates_nothing() {
    let mut bench = Bench::new(&[]);
    for n in 1..=1_000 {
        let sent = register(&mut bench, n, "");
        assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:?}");
        if n == 10 {
            bench.read_journal();
            bench.allocations = 0;
        }
    }
    assert_eq!(bench.allocations, 0);
}

#[test]
fn digest_allocates_nothing() {
    let mut bench = Bench::new(&["REGISTER"]);
    for n in 1..=500 {
        let sent = register(&mut bench, 2 * n, "");
        assert!(sent[0].1.starts_with("SIP/2.0 401 "), "{sent:?}");
        let challenge = field(&sent[0].1, Name::WwwAuthenticate);
        let nonce = challenge.split("nonce=\"").nth(1).and_then(|t| t.split('"').next()).expect("a nonce");
        let md5 = |text: String| {
            // HA1 of three parts with the middle ones empty is not what is wanted: hash by way of the type's own parts.
            let parts: Vec<&str> = text.splitn(3, ':').collect();
            let hash = Ha1::compute(Algorithm::Md5, parts[0].as_bytes(), parts[1].as_bytes(), parts[2].as_bytes());
            String::from_utf8_lossy(hash.as_hex()).into_owned()
        };
        let ha1 = md5("bob:127.0.0.1:secret".to_owned());
        // MD5(REGISTER:sip:127.0.0.1), as three parts.
        let ha2 = md5("REGISTER:sip:127.0.0.1".to_owned());
        let answer = md5(format!("{ha1}:{nonce}:00000001:c:auth:{ha2}"));
        let credentials = format!(
            "Authorization: Digest username=\"bob\", realm=\"127.0.0.1\", nonce=\"{nonce}\", uri=\"sip:127.0.0.1\", \
             response=\"{answer}\", algorithm=MD5, cnonce=\"c\", qop=auth, nc=00000001\r\n"
        );
        let sent = register(&mut bench, 2 * n + 1, &credentials);
        assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:?}");
        if n == 10 {
            bench.read_journal();
            bench.allocations = 0;
        }
    }
    assert_eq!(bench.allocations, 0);
}

#[test]
fn a_call_allocates_nothing_once_as_many_have_been_under_way() {
    let mut bench = Bench::new(&[]);
    register(&mut bench, 1, "");
    bench.read_journal();
    for n in 0..3_000 {
        call(&mut bench, n);
        bench.pass_time(100);
        if n == 2_000 {
            bench.allocations = 0;
        }
    }
    assert_eq!(bench.allocations, 0);
}
