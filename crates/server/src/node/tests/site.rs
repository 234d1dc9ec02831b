//! One node of any number of shards, peers that the tests play, and a log of who was sent what.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use strowger_net::{Application, Handled};
use strowger_sip::auth::{Algorithm, Ha1, Inputs, NonceTable, Protection, Response};
use strowger_sip::transaction::Timers;
use strowger_sip::transport::{Listener, Listeners};
use strowger_sip::{Destination, EndpointConfig, Failure, Flow, Now, Outbox, Source, registrar};
use strowger_syntax::message::{ResponseWriter, ViaStamp};
use strowger_syntax::{Index, Limits, Status, Transport};
use tokio::sync::{mpsc, oneshot};

use crate::admin;
use crate::config::effective::{self, Machine};
use crate::config::{Listen, ListenUri, Mode};
use crate::data_dir::DataDir;
use crate::database::Durability;
use crate::location::{Caller, Commit, CommitError, Committed, Location, Memory, Version};
use crate::node::{Control, Journal, Node, NodePolicy, Question, Shared, Tally};
use crate::scratch::Scratch;
use crate::subscriber::Subscribers;

const BEGIN: Now = Now {
    mono_ns: 5_000_000_000_000,
    wall_ms: 1_764_000_000_000,
};

/// What a site is made of.
pub(super) struct Plan {
    pub(super) shards: u16,
    /// Methods that are challenged.
    pub(super) challenged: &'static [&'static str],
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) trusted: &'static [&'static str],
    pub(super) mode: Mode,
    pub(super) max_transactions: usize,
    /// Commits are answered by [`Site::commit`] only.
    pub(super) slow_store: bool,
    /// Questions to the resolver that may wait.
    pub(super) questions: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            shards: 1,
            challenged: &[],
            algorithms: vec![Algorithm::Md5],
            trusted: &[],
            mode: Mode::Stateful,
            max_transactions: 1000,
            slow_store: false,
            questions: 8,
        }
    }
}

struct Sent {
    shard: usize,
    at_ms: u64,
    to: Destination,
    text: String,
    token: u64,
}

pub(super) struct Site {
    pub(super) nodes: Vec<Node>,
    pub(super) shared: Arc<Shared>,
    pub(super) questions: mpsc::Receiver<Question>,
    /// The shard at which messages arrive.
    pub(super) arrival: usize,
    commits: Arc<Mutex<VecDeque<Held>>>,
    now: Now,
    out: Outbox,
    sent: Vec<Sent>,
    logged: usize,
    _scratch: Scratch,
}

/// Peers by their first letter; `l` is on this machine.
pub(super) fn address(who: char) -> SocketAddr {
    match who {
        'l' => SocketAddr::from(([127, 0, 0, 1], 6000)),
        who => SocketAddr::from(([192, 0, 2, 10 + (who as u8 - b'a')], 5060)),
    }
}

/// A request of a peer, with a branch and a Call-ID by number.
pub(super) fn request(who: char, method: &str, uri: &str, n: u32) -> String {
    let via = address(who);
    let name = name_of(who);
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:{name}@example.test>;tag={who}{n}\r\nTo: <{uri}>\r\nCall-ID: call{n}@{who}\r\nCSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn name_of(who: char) -> &'static str {
    match who {
        'a' => "alice",
        'b' => "bob",
        'c' => "carol",
        _ => "somebody",
    }
}

/// The request with header field lines put in.
pub(super) fn with(text: &str, lines: &str) -> String {
    text.replacen("Max-Forwards:", &format!("{lines}\r\nMax-Forwards:"), 1)
}

/// The lines of a header field.
pub(super) fn lines<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let value = |line: &'t str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    head.split("\r\n").filter_map(value).collect()
}

pub(super) fn start_line(text: &str) -> &str {
    text.split("\r\n").next().unwrap_or_default()
}

impl Site {
    pub(super) fn new() -> Self {
        Self::of(Plan::default())
    }

    pub(super) fn of(plan: Plan) -> Self {
        let scratch = Scratch::new();
        let dir = DataDir::open(scratch.path()).expect("free");
        let subscribers = Subscribers::open(&dir, [3; 16], Durability::Process).expect("opens");
        for (user, aliases) in [
            ("alice", vec!["1001".to_owned()]),
            ("bob", vec![]),
            ("carol", vec![]),
        ] {
            let address = format!("{user}@example.test").parse().expect("an address");
            let password = admin::Secret::new(format!("{user}pw"));
            subscribers
                .add(&admin::NewUser {
                    address,
                    password,
                    display_name: None,
                    aliases,
                })
                .expect("added");
        }
        let bound = [
            (Transport::Udp, [192, 0, 2, 1]),
            (Transport::Tcp, [192, 0, 2, 1]),
            (Transport::Udp, [127, 0, 0, 1]),
        ]
        .map(|(transport, ip)| ListenUri {
            transport,
            address: SocketAddr::from((ip, 5060)),
        });
        let config = format!("domains = [\"example.test\"]\ntrusted = {:?}", plan.trusted);
        let config = crate::config::check(&config, "f").expect("a configuration");
        let ours = effective::ours(&config, &bound.map(Listen::plain), &Machine::default());
        let listener = |uri: ListenUri| Listener {
            transport: uri.transport,
            address: uri.address,
            advertise: None,
        };
        let (resolver, questions) = mpsc::channel(plan.questions);
        let commits = Arc::new(Mutex::new(VecDeque::new()));
        let memory = Memory::new([4; 16], 1 << 24);
        let location: Box<dyn Location> = if plan.slow_store {
            Box::new(Slow {
                memory,
                held: Arc::clone(&commits),
            })
        } else {
            Box::new(memory)
        };
        let shared = Arc::new(Shared {
            policy: NodePolicy {
                challenged: plan.challenged.iter().map(|&method| method.to_owned()).collect(),
                algorithms: plan.algorithms,
                trusted: config.trusted.clone(),
                mode: plan.mode,
                record_route: true,
                udp_limit: 1300,
                timer_c_ms: 200_000,
                registrar: registrar::Policy::default(),
                max_transactions: plan.max_transactions,
                boot: 9,
            },
            ours,
            location,
            subscribers,
            nonces: NonceTable::new(9, 64, 300),
            resolver,
        });
        let endpoint = EndpointConfig {
            secret: [7; 32],
            boot: 9,
            shards: plan.shards,
            listeners: Arc::new(Listeners::new(bound.map(listener).to_vec(), Vec::new())),
            realms: ["example.test".to_owned()].into(),
            timers: Timers::DEFAULT,
            limits: Limits::DEFAULT,
        };
        let node = |shard| {
            let (journal, _) = Journal::new(false);
            Node::new(
                shard,
                Arc::clone(&shared),
                &endpoint,
                journal,
                Arc::new(Tally::default()),
            )
        };
        Self {
            nodes: (0..plan.shards).map(node).collect(),
            shared,
            questions,
            arrival: 0,
            commits,
            now: BEGIN,
            out: Outbox::default(),
            sent: Vec::new(),
            logged: 0,
            _scratch: scratch,
        }
    }

    /// A peer sends a datagram. The shard that dealt with it.
    pub(super) fn send(&mut self, who: char, text: &str) -> usize {
        let listener = if who == 'l' { 2 } else { 0 };
        let local = if who == 'l' {
            [127, 0, 0, 1]
        } else {
            [192, 0, 2, 1]
        };
        let local = SocketAddr::from((local, 5060));
        let source = Source {
            transport: Transport::Udp,
            listener,
            local,
            remote: address(who),
            flow: None,
        };
        self.deliver(text, &source)
    }

    /// A peer sends a message over its connection.
    pub(super) fn send_tcp(&mut self, who: char, text: &str) -> usize {
        let flow = Flow {
            shard: self.arrival as u16,
            index: who as u32,
            generation: 1,
        };
        let remote = SocketAddr::new(address(who).ip(), 40_000);
        let local = SocketAddr::from(([192, 0, 2, 1], 5060));
        let source = Source {
            transport: Transport::Tcp,
            listener: 1,
            local,
            remote,
            flow: Some(flow),
        };
        self.deliver(text, &source)
    }

    fn deliver(&mut self, text: &str, source: &Source) -> usize {
        let (mut index, at) = (Index::default(), self.arrival);
        let handled = self.nodes[at].receive(text.as_bytes(), &mut index, source, self.now, &mut self.out);
        self.collect(at);
        let Handled::Hop(shard) = handled else { return at };
        let shard = usize::from(shard);
        assert_ne!(shard, at, "a hop to itself");
        self.nodes[shard].receive_hop(text.as_bytes(), &index, source, self.now, &mut self.out);
        self.collect(shard);
        shard
    }

    /// A peer answers the last request (neither ACK nor CANCEL) that it was sent.
    pub(super) fn answer(&mut self, who: char, code: u16) {
        let text = self.response(who, code, "");
        self.send(who, &text);
    }

    /// The answer that a peer would give, with header field lines.
    pub(super) fn response(&self, who: char, code: u16, lines: &str) -> String {
        let is_first = |text: &str| {
            !["ACK ", "CANCEL ", "SIP/2.0 "]
                .iter()
                .any(|begin| text.starts_with(begin))
        };
        let request = self
            .sent
            .iter()
            .rfind(|sent| sent.is_to(who) && is_first(&sent.text))
            .expect("was sent one");
        respond_to(&request.text, who, code, lines)
    }

    pub(super) fn answer_cancel(&mut self, who: char, code: u16) {
        let text = respond_to(self.last(who, "CANCEL "), who, code, "");
        self.send(who, &text);
    }

    /// The last message to a peer that begins so.
    pub(super) fn last(&self, who: char, begins: &str) -> &str {
        let sent = self
            .sent
            .iter()
            .rfind(|sent| sent.is_to(who) && sent.text.starts_with(begins));
        &sent.unwrap_or_else(|| panic!("{who} was sent no {begins}")).text
    }

    /// Where the last message of all went.
    pub(super) fn last_to(&self) -> Destination {
        self.sent.last().expect("was sent").to
    }

    /// What came back for the message: the one answer to a request that is not forwarded.
    pub(super) fn ask(&mut self, who: char, text: &str) -> String {
        self.log();
        self.send(who, text);
        let answers = &self.sent[self.logged..];
        assert_eq!(answers.len(), 1, "{} for {text}", answers.len());
        assert!(answers[0].is_to(who), "{:?}", answers[0].to);
        let answer = answers[0].text.clone();
        self.log();
        answer
    }

    /// What was sent since it was last asked: `who what`, comma-separated.
    pub(super) fn log(&mut self) -> String {
        let log: Vec<_> = self.sent[self.logged..].iter().map(Sent::describe).collect();
        self.logged = self.sent.len();
        log.join(", ")
    }

    /// As [`log`](Self::log), with the times in milliseconds.
    pub(super) fn timed_log(&mut self) -> String {
        let log: Vec<_> = self.sent[self.logged..]
            .iter()
            .map(|s| format!("{} {}", s.at_ms, s.describe()))
            .collect();
        self.logged = self.sent.len();
        log.join(", ")
    }

    /// Registers a peer's address as its user's contact.
    pub(super) fn register(&mut self, who: char) {
        let name = name_of(who);
        let text = request(who, "REGISTER", "sip:example.test", 9000 + who as u32).replace(
            "To: <sip:example.test>",
            &format!("To: <sip:{name}@example.test>"),
        );
        let contact = format!("Contact: <sip:{name}@{}>\r\nExpires: 3600", address(who));
        let answer = self.ask(who, &with(&text, &contact));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        self.log();
    }

    /// A call from `a` to `b`, up to the ACK: the 200 as `a` got it.
    pub(super) fn call(&mut self, n: u32) -> String {
        self.send('a', &request('a', "INVITE", "sip:bob@example.test", n));
        let route = lines(self.last('b', "INVITE"), "Record-Route").join(",");
        let contact = format!("Contact: <sip:bob@{}>\r\nRecord-Route: {route}", address('b'));
        let ok = self.response('b', 200, &contact);
        self.send('b', &ok);
        self.log();
        self.last('a', "SIP/2.0 200").to_owned()
    }

    /// The first commit that waits is made, or fails.
    pub(super) fn commit(&mut self, fail: Option<CommitError>) {
        let held = self
            .commits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Held {
            aor,
            seen,
            record,
            caller,
        } = held.expect("a commit waits");
        let result = match fail {
            Some(error) => Err(error),
            // The wrapper would hold it back again; so the store below is asked through it with an owner of its own.
            None => match self.shared.location.commit(&aor, seen, &record, MAKE_IT) {
                Commit::Done(version) => Ok(version),
                Commit::Conflict => Err(CommitError::Conflict),
                other => panic!("{other:?}"),
            },
        };
        self.control(
            usize::from(caller.shard),
            Control::Committed(Committed { caller, result }),
        );
    }

    pub(super) fn commits(&self) -> usize {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The resolver answers the first question that waits; the name that was asked for.
    pub(super) fn resolve(&mut self, addresses: &[IpAddr]) -> String {
        let Question { shard, ticket, host } = self.questions.try_recv().expect("a question");
        self.control(
            usize::from(shard),
            Control::Resolved {
                ticket,
                addresses: addresses.to_vec(),
            },
        );
        host
    }

    pub(super) fn control(&mut self, shard: usize, control: Control) {
        self.nodes[shard].control(control, self.now, &mut self.out);
        self.collect(shard);
    }

    pub(super) fn calls(&mut self) -> Vec<admin::Call> {
        let mut all = Vec::new();
        for shard in 0..self.nodes.len() {
            let (reply, mut calls) = oneshot::channel();
            self.control(shard, Control::ListCalls(reply));
            all.append(&mut calls.try_recv().expect("a list"));
        }
        all
    }

    /// An ICMP error for the last message to a peer comes to this shard.
    pub(super) fn icmp(&mut self, at: usize, who: char) {
        let sent = self.sent.iter().rfind(|sent| sent.is_to(who)).expect("was sent");
        let quoted = sent.text.as_bytes()[..sent.text.len().min(300)].to_vec();
        let (failure, now) = (Failure::Refused, self.now);
        let handled = self.nodes[at].unreachable(address(who), failure, &quoted, now, &mut self.out);
        self.collect(at);
        if let Handled::Hop(shard) = handled {
            let shard = usize::from(shard);
            assert_ne!(shard, at, "a hop to itself");
            let handled = self.nodes[shard].unreachable(address(who), failure, &quoted, now, &mut self.out);
            assert_eq!(handled, Handled::Done);
            self.collect(shard);
        }
    }

    /// The last message of all could not be sent.
    pub(super) fn fail_last(&mut self) {
        let Sent { shard, token, .. } = *self.sent.last().expect("was sent");
        assert_ne!(token, 0);
        self.nodes[shard].send_failed(token, Failure::Refused, self.now, &mut self.out);
        self.collect(shard);
    }

    /// Lets this much time pass, from deadline to deadline.
    pub(super) fn pass(&mut self, ms: u64) {
        let until = self.now.mono_ns + ms * 1_000_000;
        while let Some((at, shard)) = self.next_deadline().filter(|&(at, _)| at <= until) {
            self.go_to(self.now.mono_ns.max(at));
            self.nodes[shard].wake(self.now, &mut self.out);
            self.collect(shard);
        }
        self.go_to(until);
    }

    fn next_deadline(&self) -> Option<(u64, usize)> {
        let deadlines = self.nodes.iter().enumerate();
        deadlines
            .filter_map(|(shard, node)| Some((node.deadline()?, shard)))
            .min()
    }

    fn go_to(&mut self, mono_ns: u64) {
        let wall_ms = BEGIN.wall_ms + (mono_ns - BEGIN.mono_ns) / 1_000_000;
        self.now = Now { mono_ns, wall_ms };
    }

    /// That nothing is left once every timer has run out.
    pub(super) fn assert_ends(&mut self) {
        self.pass(400_000);
        for node in &self.nodes {
            assert_eq!(node.endpoint.layer.counts(), (0, 0), "transactions");
            assert!(node.is_idle(), "contexts, look-ups or registrations");
            assert_eq!(node.calls.len(), 0, "calls");
            assert_eq!(node.endpoint.layer.pool.used_bytes(), 0, "stored bytes");
            assert_eq!(node.deadline(), None, "timers");
        }
    }

    fn collect(&mut self, shard: usize) {
        for transmit in &self.out.transmits {
            let text = String::from_utf8_lossy(self.out.message(transmit)).into_owned();
            if let Err(bad) = Index::default().parse(text.as_bytes(), &Limits::DEFAULT) {
                let broken_request = text.starts_with("SIP/2.0 4") || text.starts_with("SIP/2.0 5");
                assert!(broken_request, "{bad}: {text}");
            }
            let at_ms = (self.now.mono_ns - BEGIN.mono_ns) / 1_000_000;
            self.sent.push(Sent {
                shard,
                at_ms,
                to: transmit.to,
                text,
                token: transmit.token,
            });
        }
        self.out.clear();
    }
}

impl Sent {
    fn is_to(&self, who: char) -> bool {
        match self.to {
            Destination::Datagram { to, .. } => to == address(who),
            Destination::Connect { to, .. } => to.ip() == address(who).ip(),
            Destination::Flow(flow) => flow.index == who as u32,
        }
    }

    fn describe(&self) -> String {
        let who = "abcdefghijkl".chars().find(|&who| self.is_to(who));
        let mut words = self.text.split(' ');
        let first = words.next().unwrap_or_default();
        let word = if first == "SIP/2.0" {
            words.next().unwrap_or_default()
        } else {
            first
        };
        match who {
            Some(who) => format!("{who} {word}"),
            None => format!("{:?} {word}", self.to),
        }
    }
}

fn respond_to(request: &str, who: char, code: u16, lines: &str) -> String {
    let mut index = Index::default();
    index
        .parse(request.as_bytes(), &Limits::DEFAULT)
        .expect("a request");
    let (status, mut out, tag) = (Status::new(code), Vec::new(), format!("{who}-side"));
    let tag = if status == Status::TRYING { "" } else { &tag };
    let stamp = ViaStamp::default();
    let mut writer = ResponseWriter::begin(
        &mut out,
        request.as_bytes(),
        &index,
        status,
        status.reason(),
        stamp,
        tag.as_bytes(),
    );
    if !lines.is_empty() {
        writer = writer.lines(format!("{lines}\r\n").as_bytes());
    }
    writer.finish();
    String::from_utf8(out).expect("text")
}

/// A request with credentials for the challenge in an answer.
pub(super) fn authorize(text: &str, challenge: &str, user: &str, nc: u32) -> String {
    let (name, value) = ["WWW-Authenticate", "Proxy-Authenticate"]
        .into_iter()
        .find_map(|name| Some((name, *lines(challenge, name).first()?)))
        .expect("a challenge");
    let credentials = if name == "WWW-Authenticate" {
        "Authorization"
    } else {
        "Proxy-Authorization"
    };
    let parameter = |name: &str| {
        let at = value.find(&format!("{name}=")).expect("is there") + name.len() + 1;
        value[at..]
            .split([',', ' '])
            .next()
            .unwrap_or_default()
            .trim_matches('"')
            .to_owned()
    };
    let (realm, nonce, algorithm) = (parameter("realm"), parameter("nonce"), parameter("algorithm"));
    let algorithm = Algorithm::from_token(algorithm.as_bytes()).expect("known");
    let ha1 = Ha1::compute(
        algorithm,
        user.as_bytes(),
        realm.as_bytes(),
        format!("{user}pw").as_bytes(),
    );
    let mut words = text.split(' ');
    let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let count = format!("{nc:08x}");
    let protection = Protection::Auth {
        nc: count.as_bytes(),
        cnonce: b"cn",
    };
    let inputs = Inputs {
        method: method.as_bytes(),
        uri: uri.as_bytes(),
        nonce: nonce.as_bytes(),
        protection,
    };
    let response = Response::compute(algorithm, &ha1, &inputs);
    let response = String::from_utf8_lossy(response.as_bytes()).into_owned();
    let line = format!(
        "{credentials}: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         algorithm={algorithm}, qop=auth, nc={count}, cnonce=\"cn\", response=\"{response}\""
    );
    with(text, &line)
}

/// Who commits through [`Slow`] for good.
const MAKE_IT: Caller = Caller {
    shard: u16::MAX,
    ticket: crate::location::Ticket(u64::MAX),
};

struct Held {
    aor: Vec<u8>,
    seen: Version,
    record: Vec<u8>,
    caller: Caller,
}

/// A store that answers later.
struct Slow {
    memory: Memory,
    held: Arc<Mutex<VecDeque<Held>>>,
}

impl Location for Slow {
    fn read(&self, aor: &[u8], into: &mut Vec<u8>) -> Version {
        self.memory.read(aor, into)
    }

    fn commit(&self, aor: &[u8], seen: Version, record: &[u8], caller: Caller) -> Commit {
        if caller == MAKE_IT {
            return self.memory.commit(aor, seen, record, caller);
        }
        let held = Held {
            aor: aor.to_vec(),
            seen,
            record: record.to_vec(),
            caller,
        };
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(held);
        Commit::Pending
    }

    fn for_each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.memory.for_each(visit);
    }

    fn sweep(&self, now_secs: u32, removed: &mut dyn FnMut(&[u8])) -> usize {
        self.memory.sweep(now_secs, removed)
    }

    fn len(&self) -> usize {
        self.memory.len()
    }

    fn bytes(&self) -> usize {
        self.memory.bytes()
    }
}
