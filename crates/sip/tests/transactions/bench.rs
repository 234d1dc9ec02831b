//! A transaction layer, a clock that goes from deadline to deadline, and a log of what was sent when.

use std::fmt::Write as _;
use std::net::SocketAddr;

use strowger_sip::memory::Id;
use strowger_sip::transaction::{
    Expired, FailedSend, KeyHasher, Layer, Matched, Patience, Sending, Timers, User,
};
use strowger_sip::{Destination, Failure, Outbox};
use strowger_syntax::{Index, Limits, Message, Method, Status, Transport};

/// When a bench begins, in monotonic milliseconds.
const BEGIN: u64 = 5_000_000;

/// The RFC's timers, with silent next hops given up by timers B and F only.
pub(crate) const PATIENT: Timers = Timers {
    next_hop_timeout_ms: 32_000,
    ..Timers::DEFAULT
};

pub(crate) const USER: User = User {
    context: Id { index: 3, counter: 9 },
    branch: 2,
};

pub(crate) struct Bench {
    pub(crate) layer: Layer,
    now_ms: u64,
    out: Outbox,
    sent: Vec<(u64, Destination, String)>,
    pub(crate) tokens: Vec<u64>,
    pub(crate) events: Vec<(u64, Expired)>,
    hasher: KeyHasher,
}

pub(crate) fn udp() -> Destination {
    Destination::Datagram {
        listener: 0,
        from: None,
        to: SocketAddr::from(([192, 0, 2, 4], 5060)),
    }
}

pub(crate) fn tcp() -> Destination {
    Destination::Connect {
        transport: Transport::Tcp,
        to: SocketAddr::from(([192, 0, 2, 4], 5060)),
    }
}

/// A request as it might be sent or received, by method.
pub(crate) fn request(method: &str) -> String {
    format!(
        "{method} sip:bob@192.0.2.4 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@example.test>;tag=a\r\nTo: <sip:bob@example.test>\r\nCall-ID: c1\r\nCSeq: 7 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// A response to [`request`].
pub(crate) fn response(code: u16, method: &str) -> String {
    format!(
        "SIP/2.0 {code} Reason\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n\
         From: <sip:alice@example.test>;tag=a\r\nTo: <sip:bob@example.test>;tag=b{code}\r\nCall-ID: c1\r\n\
         CSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(PATIENT)
    }

    pub(crate) fn with(timers: Timers) -> Self {
        Self {
            layer: Layer::new(timers),
            now_ms: BEGIN,
            out: Outbox::default(),
            sent: Vec::new(),
            tokens: Vec::new(),
            events: Vec::new(),
            hasher: KeyHasher::new([7; 16]),
        }
    }

    /// Sends a request in a client transaction.
    pub(crate) fn send(&mut self, method: &str, to: Destination) -> Id {
        self.send_text(&request(method), to)
    }

    pub(crate) fn send_text(&mut self, text: &str, to: Destination) -> Id {
        let method = Method::from_token(text.split(' ').next().unwrap_or_default().as_bytes());
        let write = |_, out: &mut Vec<u8>| {
            out.extend_from_slice(text.as_bytes());
            0
        };
        let sending = Sending {
            method,
            to,
            user: USER,
            patience: Patience::Usual,
        };
        let id = self.layer.send(sending, self.now_ms, &mut self.out, write);
        self.collect();
        id
    }

    /// A response comes; whether it is for the user.
    pub(crate) fn hear(&mut self, client: Id, text: &str) -> bool {
        let mut index = Index::default();
        let message = parse(&mut index, text);
        let user = self
            .layer
            .on_response(client, message, self.now_ms, &mut self.out);
        self.collect();
        assert!(user.is_none_or(|user| user == USER));
        user.is_some()
    }

    pub(crate) fn cancel(&mut self, client: Id) -> bool {
        let sent = self.layer.cancel(client, self.now_ms, &mut self.out);
        self.collect();
        sent
    }

    /// A request comes: offered to the transactions that there are.
    pub(crate) fn offer(&mut self, text: &str) -> Matched {
        let mut index = Index::default();
        let message = parse(&mut index, text);
        let key = self.hasher.of(message);
        let matched = self.layer.on_request(message, key, self.now_ms, &mut self.out);
        self.collect();
        matched
    }

    /// A request comes that is known to be new, and gets a server transaction.
    pub(crate) fn accept(&mut self, text: &str, to: Destination) -> Id {
        self.accept_with(text, to, None)
    }

    pub(crate) fn accept_with(&mut self, text: &str, to: Destination, fallback: Option<Destination>) -> Id {
        assert_eq!(self.offer(text), Matched::New);
        let mut index = Index::default();
        let message = parse(&mut index, text);
        let key = self.hasher.of(message);
        self.layer
            .accept(key, message.method(), to, fallback, self.now_ms, &mut self.out)
    }

    /// Answers in a server transaction; whether its state allows it.
    pub(crate) fn answer(&mut self, server: Id, code: u16) -> bool {
        let start = self.out.bytes.len();
        self.out
            .bytes
            .extend_from_slice(response(code, "INVITE").as_bytes());
        let sent = self
            .layer
            .respond(server, Status::new(code), start, self.now_ms, &mut self.out);
        self.collect();
        sent.is_ok()
    }

    /// A transmit could not be sent.
    pub(crate) fn fail(&mut self, token: u64) -> FailedSend {
        self.fail_by(token, Failure::Refused)
    }

    /// A transmit could not be sent, or was sent in vain.
    pub(crate) fn fail_by(&mut self, token: u64, failure: Failure) -> FailedSend {
        let (layer, out) = (&mut self.layer, &mut self.out);
        let failed = layer.on_send_failed(token, failure, self.now_ms, out);
        self.collect();
        failed
    }

    /// Lets this much time pass, from deadline to deadline.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(next) = self.layer.wheel.next_deadline().filter(|&next| next <= until) {
            // A far deadline is approached in steps, the first of which may lie behind.
            self.now_ms = self.now_ms.max(next);
            while let Some(event) = self.layer.expired(self.now_ms, &mut self.out) {
                self.events.push((self.now_ms - BEGIN, event));
            }
            self.collect();
        }
        self.now_ms = until;
    }

    /// What was sent since it was last asked, as `time first-word`, comma-separated.
    pub(crate) fn log(&mut self) -> String {
        let mut log = String::new();
        for (at, _, text) in self.sent.drain(..) {
            let mut words = text.split(' ');
            let first = words.next().unwrap_or_default();
            let word = if first == "SIP/2.0" {
                words.next().unwrap_or_default()
            } else {
                first
            };
            let comma = if log.is_empty() { "" } else { ", " };
            let _ = write!(log, "{comma}{at} {word}");
        }
        log
    }

    /// The messages sent since it was last asked, and when.
    pub(crate) fn take_sent(&mut self) -> Vec<(u64, String)> {
        self.sent.drain(..).map(|(at, _, text)| (at, text)).collect()
    }

    /// The last message sent, and where to.
    pub(crate) fn last(&self) -> (&str, Destination) {
        let (_, to, text) = self.sent.last().expect("something was sent");
        (text, *to)
    }

    /// Client transactions that ended: when, and whether without a final response.
    pub(crate) fn ended(&self) -> Vec<(u64, bool)> {
        let ended = |&(at, event): &(u64, Expired)| match event {
            Expired::Client { user, timed_out, .. } => {
                assert_eq!(user, USER);
                Some((at, timed_out))
            }
            _ => None,
        };
        self.events.iter().filter_map(ended).collect()
    }

    /// That nothing is left of any transaction.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.layer.counts(), (0, 0), "transactions");
        assert_eq!(self.layer.pool.used_bytes(), 0, "stored bytes");
        assert_eq!(self.layer.wheel.next_deadline(), None, "timers");
    }

    fn collect(&mut self) {
        for transmit in &self.out.transmits {
            let text = String::from_utf8_lossy(self.out.message(transmit)).into_owned();
            assert!(!text.is_empty(), "an empty message was sent");
            self.sent.push((self.now_ms - BEGIN, transmit.to, text));
            self.tokens.push(transmit.token);
        }
        self.out.clear();
    }
}

fn parse<'a>(index: &'a mut Index, text: &'a str) -> Message<'a> {
    match index.parse(text.as_bytes(), &Limits::DEFAULT) {
        Ok(message) => message,
        Err(bad) => panic!("{bad}: {text}"),
    }
}
