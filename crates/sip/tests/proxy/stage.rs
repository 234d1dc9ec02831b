//! An endpoint and a proxy, a clock that goes from deadline to deadline, and a log of who was sent what when.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use strowger_sip::memory::Id;
use strowger_sip::proxy::{
    Flows, Progress, Proxy, ProxyConfig, RecordRoute, Recursion, Start, Taken, TargetSet, Turn,
};
use strowger_sip::transaction::{Expired, Matched, Timers};
use strowger_sip::transport::{AdvertisedAs, Hop, Listener, Listeners, OurBranch};
use strowger_sip::{Destination, Endpoint, EndpointConfig, Failure, Ingress, Outbox, Source};
use strowger_syntax::message::{ResponseWriter, ViaStamp};
use strowger_syntax::{Index, Limits, Message, Method, Status, Transport};
use strowger_testkit::script::Effect;

const BEGIN: u64 = 5_000_000;
pub(crate) const TIMER_C_MS: u64 = 200_000;
const CALLER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)), 6000);
pub(crate) const CALL: Id = Id {
    index: 4,
    counter: 44,
};

/// One target: its Request-URI, its Path, the way to it and the other way.
pub(crate) struct Way {
    pub(crate) uri: &'static str,
    pub(crate) routes: &'static str,
    pub(crate) hop: Hop,
    pub(crate) fallback: Option<Hop>,
    pub(crate) turn: Turn,
}

/// What a request asks of the proxy beside its targets.
#[derive(Clone, Copy, Default)]
pub(crate) struct Manner {
    pub(crate) pop: u16,
    pub(crate) strict: bool,
    pub(crate) record_route: Option<RecordRoute>,
}

struct Sent {
    at: u64,
    to: Destination,
    text: String,
    token: u64,
}

impl Sent {
    fn effect(&self) -> Effect {
        let mut words = self.text.split(' ');
        let first = words.next().unwrap_or_default();
        let what = match first {
            "SIP/2.0" => words.next().unwrap_or_default(),
            method => method,
        };
        let party = name_of(self.to);
        Effect {
            at_ms: self.at,
            party: if party == ">" { "caller".to_owned() } else { party },
            what: what.to_owned(),
            text: self.text.clone(),
        }
    }
}

pub(crate) struct Stage {
    pub(crate) endpoint: Endpoint,
    pub(crate) proxy: Proxy,
    now_ms: u64,
    out: Outbox,
    sent: Vec<Sent>,
    logged: usize,
    /// Whether the contacts of a 3xx are tried.
    pub(crate) recurse: bool,
    /// Whether the caller cancels the other targets.
    pub(crate) keeps_others: bool,
    /// Whose credentials answer the challenges of the first target.
    pub(crate) account: Option<NonZeroU32>,
    /// Whose the flows are.
    pub(crate) flows: Flows,
}

/// By UDP to one of the targets `a`, `b`, `c` ..., from our first listener.
pub(crate) fn udp(name: char) -> Hop {
    let to = Destination::Datagram {
        listener: 0,
        from: None,
        to: address(name),
    };
    Hop {
        transport: Transport::Udp,
        listener: 0,
        local: [192, 0, 2, 1].into(),
        told: AdvertisedAs::default(),
        to,
        over_flow: false,
    }
}

/// By TCP to one of the targets.
pub(crate) fn tcp(name: char) -> Hop {
    let to = Destination::Connect {
        transport: Transport::Tcp,
        to: address(name),
    };
    Hop {
        transport: Transport::Tcp,
        listener: 1,
        local: [192, 0, 2, 1].into(),
        told: AdvertisedAs::default(),
        to,
        over_flow: false,
    }
}

fn address(name: char) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 10], 5061 + (name as u16 - 'a' as u16)))
}

/// Targets reached by UDP.
pub(crate) fn ways(names: &str) -> Vec<Way> {
    let way = |name| Way {
        uri: uri_of(name),
        routes: "",
        hop: udp(name),
        fallback: None,
        turn: Turn::default(),
    };
    names.chars().map(way).collect()
}

/// The Request-URIs of the targets `a` to `t`.
const URIS: [&str; 20] = [
    "sip:a@192.0.2.10:5061",
    "sip:b@192.0.2.10:5062",
    "sip:c@192.0.2.10:5063",
    "sip:d@192.0.2.10:5064",
    "sip:e@192.0.2.10:5065",
    "sip:f@192.0.2.10:5066",
    "sip:g@192.0.2.10:5067",
    "sip:h@192.0.2.10:5068",
    "sip:i@192.0.2.10:5069",
    "sip:j@192.0.2.10:5070",
    "sip:k@192.0.2.10:5071",
    "sip:l@192.0.2.10:5072",
    "sip:m@192.0.2.10:5073",
    "sip:n@192.0.2.10:5074",
    "sip:o@192.0.2.10:5075",
    "sip:p@192.0.2.10:5076",
    "sip:q@192.0.2.10:5077",
    "sip:r@192.0.2.10:5078",
    "sip:s@192.0.2.10:5079",
    "sip:t@192.0.2.10:5080",
];

pub(crate) fn uri_of(name: char) -> &'static str {
    URIS[name as usize - 'a' as usize]
}

/// A request as the caller sends it.
pub(crate) fn request(method: &str) -> String {
    format!(
        "{method} sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.77:6000;branch=z9hG4bKcaller\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.test>;tag=alice\r\nTo: <sip:bob@example.test>\r\n\
         Call-ID: c1@caller\r\nCSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Timers {
            next_hop_timeout_ms: 32_000,
            ..Timers::DEFAULT
        })
    }

    pub(crate) fn with(timers: Timers) -> Self {
        let listener = |transport, address: [u8; 4], port| Listener {
            transport,
            address: SocketAddr::from((address, port)),
            advertise: Vec::new(),
        };
        let listeners = vec![
            listener(Transport::Udp, [192, 0, 2, 1], 5060),
            listener(Transport::Tcp, [192, 0, 2, 1], 5060),
            listener(Transport::Udp, [198, 51, 100, 1], 5070),
        ];
        let config = EndpointConfig {
            secret: [7; 32],
            boot: 9,
            shards: 4,
            listeners: Arc::new(Listeners::new(listeners, Vec::new())),
            realms: ["example.test".to_owned()].into(),
            timers,
            limits: Limits::DEFAULT,
        };
        Self {
            endpoint: Endpoint::new(2, &config),
            proxy: Proxy::new(ProxyConfig {
                timer_c_ms: TIMER_C_MS,
            }),
            now_ms: BEGIN,
            out: Outbox::default(),
            sent: Vec::new(),
            logged: 0,
            recurse: false,
            keeps_others: false,
            account: None,
            flows: Flows::default(),
        }
    }

    /// A request of the caller is forwarded.
    pub(crate) fn start(&mut self, text: &str, ways: &[Way]) -> Id {
        self.start_with(text, ways, Manner::default())
    }

    pub(crate) fn start_with(&mut self, text: &str, ways: &[Way], manner: Manner) -> Id {
        let mut index = Index::default();
        let request = parse(&mut index, text);
        let ingress = ingress(request);
        let key = self.endpoint.identity.server_key(request);
        let (layer, now) = (&mut self.endpoint.layer, self.now_ms);
        assert_eq!(layer.on_request(request, key, now, &mut self.out), Matched::New);
        let server = layer.accept(
            key,
            request.method(),
            ingress.to(),
            ingress.fallback(),
            now,
            &mut self.out,
        );
        let targets = target_set(ways);
        let start = Start {
            server,
            ingress: &ingress,
            loop_part: self.endpoint.identity.loop_part(request),
            taken: Taken::of(request, manner.pop, manner.strict),
            record_route: manner.record_route,
            call: Some(CALL),
            awaited: 0,
            keeps_others: self.keeps_others,
            account: self.account,
            flows: self.flows,
            recursion: if self.recurse {
                Recursion::Anywhere
            } else {
                Recursion::Never
            },
        };
        self.proxy
            .start(&mut self.endpoint, request, &start, &targets, now, &mut self.out);
        self.collect();
        server
    }

    /// The caller sends something of which a transaction must know.
    pub(crate) fn caller_sends(&mut self, text: &str) {
        let mut index = Index::default();
        let request = parse(&mut index, text);
        let key = self.endpoint.identity.server_key(request);
        match self
            .endpoint
            .layer
            .on_request(request, key, self.now_ms, &mut self.out)
        {
            Matched::Absorbed => {}
            Matched::Cancel(server) => {
                if let Some(context) = self.endpoint.layer.context_of(server) {
                    self.proxy
                        .on_cancel(&mut self.endpoint, context, self.now_ms, &mut self.out);
                }
            }
            Matched::New => panic!("unknown: {text}"),
        }
        self.collect();
    }

    /// A target answers the last INVITE (or other request that is neither ACK nor CANCEL) that it was sent.
    pub(crate) fn answer(&mut self, who: char, code: u16) {
        let response = self.response(who, code);
        self.hear(&response);
    }

    /// The answer that a target would give.
    pub(crate) fn response(&self, who: char, code: u16) -> String {
        let is_first = |sent: &&Sent| !sent.text.starts_with("ACK ") && !sent.text.starts_with("CANCEL ");
        let request = self
            .sent
            .iter()
            .filter(|sent| name_of(sent.to).starts_with(who))
            .rfind(is_first);
        respond_to(&request.expect("was sent something").text, code, who)
    }

    pub(crate) fn answer_cancel(&mut self, who: char, code: u16) {
        let cancel = self.last(who, "CANCEL").to_owned();
        self.hear(&respond_to(&cancel, code, who));
    }

    /// A response comes, as it is.
    pub(crate) fn hear(&mut self, text: &str) {
        let mut index = Index::default();
        let response = parse(&mut index, text);
        let branch = response
            .branch()
            .and_then(|b| self.endpoint.identity.branches.read(b));
        let Some(OurBranch::Stateful { shard: 2, client, .. }) = branch else {
            panic!("not our branch: {text}")
        };
        if let Some(user) = self
            .endpoint
            .layer
            .on_response(client, response, self.now_ms, &mut self.out)
        {
            self.proxy
                .on_response(&mut self.endpoint, user, response, self.now_ms, &mut self.out);
        }
        self.collect();
    }

    /// The last message to somebody that begins so.
    pub(crate) fn last(&self, who: char, begins: &str) -> &str {
        let to_them = |sent: &&Sent| name_of(sent.to).starts_with(who) && sent.text.starts_with(begins);
        &self.sent.iter().rfind(to_them).expect("was sent").text
    }

    /// Whether somebody was sent a message that begins so.
    pub(crate) fn was_sent(&self, who: char, begins: &str) -> bool {
        let mut sent = self.sent.iter().filter(|sent| name_of(sent.to).starts_with(who));
        sent.any(|sent| sent.text.starts_with(begins))
    }

    /// The last message to the caller.
    pub(crate) fn heard(&self) -> &str {
        self.last('>', "SIP/2.0")
    }

    /// The transmit of the last request to a target could not be sent.
    pub(crate) fn fail(&mut self, who: char) {
        let sent = self.sent.iter().rfind(|sent| name_of(sent.to).starts_with(who));
        let token = sent.expect("was sent something").token;
        let failed = self
            .endpoint
            .layer
            .on_send_failed(token, Failure::Refused, self.now_ms, &mut self.out);
        self.proxy
            .on_send_failed(&mut self.endpoint, failed, self.now_ms, &mut self.out);
        self.collect();
    }

    /// An ICMP error comes for the last request to a target.
    pub(crate) fn icmp(&mut self, who: char) {
        let sent = self
            .sent
            .iter()
            .rfind(|sent| name_of(sent.to).starts_with(who))
            .expect("was sent something");
        let quoted = &sent.text.as_bytes()[..sent.text.len().min(200)];
        let Some(OurBranch::Stateful { client, .. }) = self.endpoint.identity.branches.find(quoted) else {
            panic!("no branch in {}", sent.text)
        };
        let failed = self.endpoint.layer.on_unreachable(client);
        self.proxy
            .on_send_failed(&mut self.endpoint, failed, self.now_ms, &mut self.out);
        self.collect();
    }

    /// Lets this much time pass, from deadline to deadline.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(next) = self
            .endpoint
            .layer
            .wheel
            .next_deadline()
            .filter(|&next| next <= until)
        {
            self.now_ms = self.now_ms.max(next);
            let now = self.now_ms;
            while let Some(event) = self.endpoint.layer.expired(now, &mut self.out) {
                let (endpoint, out) = (&mut self.endpoint, &mut self.out);
                match event {
                    Expired::Client { user, timed_out, .. } => {
                        self.proxy.on_client_ended(endpoint, user, timed_out, now, out);
                    }
                    Expired::Ringing(user) => self.proxy.on_ringing(endpoint, user),
                    Expired::TryingDue(server) => self.proxy.on_trying_due(endpoint, server, now, out),
                    Expired::Context(context) => self.proxy.on_deadline(endpoint, context, now, out),
                    Expired::Call(_)
                    | Expired::Registration(_)
                    | Expired::Waking(_)
                    | Expired::Subscription(_) => {
                        panic!("nobody asked for it")
                    }
                }
            }
            self.collect();
        }
        self.now_ms = until;
    }

    /// What was sent since it was last asked: `time who what`, comma-separated. The caller is `>`.
    pub(crate) fn log(&mut self) -> String {
        let mut log = String::new();
        for Effect {
            at_ms, party, what, ..
        } in self.take_new()
        {
            let comma = if log.is_empty() { "" } else { ", " };
            let party = if party == "caller" { ">" } else { &party };
            let word = what.split(' ').next().unwrap_or_default();
            let _ = write!(log, "{comma}{at_ms} {party} {word}");
        }
        log
    }

    /// The same, message by message.
    pub(crate) fn take_new(&mut self) -> Vec<Effect> {
        let from = std::mem::replace(&mut self.logged, self.sent.len());
        self.sent[from..].iter().map(Sent::effect).collect()
    }

    /// As [`log`](Self::log), without the times.
    pub(crate) fn order(&mut self) -> String {
        let log = self.log();
        let events = log
            .split(", ")
            .map(|event| event.split_once(' ').map_or("", |(_, rest)| rest));
        events.collect::<Vec<_>>().join(", ")
    }

    /// What the account of calls was told.
    pub(crate) fn progress(&mut self) -> Vec<u16> {
        let mut codes = Vec::new();
        while let Some(Progress { call, status, .. }) = self.proxy.next_progress() {
            assert_eq!(call, CALL);
            codes.push(status.code());
        }
        codes
    }

    /// That nothing at all is left once every timer has run out.
    pub(crate) fn assert_ends(&mut self) {
        self.pass(TIMER_C_MS + 100_000);
        assert_eq!(self.left(), None);
    }

    /// What is left.
    pub(crate) fn left(&self) -> Option<String> {
        let layer = &self.endpoint.layer;
        let (counts, bytes, deadline) = (
            layer.counts(),
            layer.pool.used_bytes(),
            layer.wheel.next_deadline(),
        );
        let nothing = counts == (0, 0) && self.proxy.is_empty() && bytes == 0 && deadline.is_none();
        (!nothing).then(|| {
            let contexts = if self.proxy.is_empty() { "no" } else { "some" };
            format!(
                "{counts:?} transactions, {contexts} contexts, {bytes} stored bytes, deadline {deadline:?}"
            )
        })
    }

    /// The contacts of a 3xx become targets, those with the same q at once; but only those that are known here.
    fn recurse(&mut self) {
        while let Some(redirect) = self.proxy.next_redirect() {
            let Some(redirected) = self.proxy.redirected(&self.endpoint, redirect) else {
                continue;
            };
            let text = String::from_utf8_lossy(redirected.response).into_owned();
            let (mut found, mut followed) = (Vec::<(f64, char)>::new(), 0);
            for (number, contact) in lines(&text, "Contact").into_iter().enumerate() {
                let (uri, params) = contact
                    .trim_start_matches('<')
                    .split_once('>')
                    .expect("a contact");
                let q = params
                    .strip_prefix(";q=")
                    .map_or(1.0, |q| q.parse().expect("a number"));
                if let Some(name) = ('a'..='t').find(|&name| uri_of(name) == uri) {
                    found.push((q, name));
                    followed |= 1 << number;
                }
            }
            found.sort_by(|(p, _), (q, _)| q.total_cmp(p));
            let mut ranks: Vec<f64> = found.iter().map(|&(q, _)| q).collect();
            ranks.dedup();
            let group = |q| ranks.iter().position(|&rank| rank == q).expect("a rank") as u16;
            let way = |&(q, name)| Way {
                turn: Turn {
                    group: group(q),
                    ..Turn::default()
                },
                ..ways(&String::from(name)).remove(0)
            };
            let targets = target_set(&found.iter().map(way).collect::<Vec<_>>());
            self.proxy.add_targets(
                &mut self.endpoint,
                redirect,
                &targets,
                followed,
                self.now_ms,
                &mut self.out,
            );
        }
    }

    fn collect(&mut self) {
        self.recurse();
        for transmit in &self.out.transmits {
            let text = String::from_utf8_lossy(self.out.message(transmit)).into_owned();
            let mut index = Index::default();
            parse(&mut index, &text);
            self.sent.push(Sent {
                at: self.now_ms - BEGIN,
                to: transmit.to,
                text,
                token: transmit.token,
            });
        }
        self.out.clear();
    }
}

fn target_set(ways: &[Way]) -> TargetSet {
    let mut targets = TargetSet::default();
    for way in ways {
        let hops = [way.hop].into_iter().chain(way.fallback);
        targets.add(way.uri.as_bytes(), way.routes.as_bytes(), hops, way.turn);
    }
    targets
}

fn ingress(request: Message<'_>) -> Ingress {
    let source = Source {
        transport: Transport::Udp,
        listener: 0,
        local: SocketAddr::from(([192, 0, 2, 1], 5060)),
        remote: CALLER,
        flow: None,
    };
    Ingress::of(request, &source)
}

fn name_of(to: Destination) -> String {
    let (address, by) = match to {
        Destination::Datagram { to, .. } => (to, ""),
        Destination::Connect { to, .. } => (to, "/tcp"),
        Destination::Flow(flow) => panic!("{flow:?}"),
    };
    let name = if address == CALLER {
        '>'
    } else {
        (b'a' + (address.port() - 5061) as u8) as char
    };
    format!("{name}{by}")
}

fn respond_to(request: &str, code: u16, who: char) -> String {
    let mut index = Index::default();
    parse(&mut index, request);
    let (status, mut out) = (Status::new(code), Vec::new());
    let mut tag = [0; 4];
    let tag = if status == Status::TRYING {
        ""
    } else {
        who.encode_utf8(&mut tag)
    };
    let stamp = ViaStamp::default();
    ResponseWriter::begin(
        &mut out,
        request.as_bytes(),
        &index,
        status,
        status.reason(),
        stamp,
        tag.as_bytes(),
    )
    .finish();
    String::from_utf8(out).expect("text")
}

fn parse<'a>(index: &'a mut Index, text: &'a str) -> Message<'a> {
    match index.parse(
        text.as_bytes(),
        &Limits {
            body: usize::MAX,
            ..Limits::DEFAULT
        },
    ) {
        Ok(message) if message.method() != Method::Other => message,
        Ok(_) => panic!("odd method: {text}"),
        Err(bad) => panic!("{bad}: {text}"),
    }
}

/// The lines of a header field, as they stand.
pub(crate) fn lines<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let value = |line: &'t str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    head.split("\r\n").filter_map(value).collect()
}
