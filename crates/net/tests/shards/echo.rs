//! The application that the tests drive: it answers every message with itself, and tells the test what it saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use strowger_net::{
    Application, ConnectionOptions, Handled, Listen, Listener, Options, Pinning, Shards, start,
};
use strowger_sip::{Destination, Failure, Flow, Now, Outbox, Source};
use strowger_syntax::{Index, Transport};

/// What the application saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message, by the shard that works on it.
    Received {
        shard: u16,
        hopped: bool,
        source: Source,
        bytes: Vec<u8>,
    },
    Failed {
        shard: u16,
        token: u64,
        failure: Failure,
    },
    Unreachable {
        shard: u16,
        remote: SocketAddr,
        failure: Failure,
        quoted: Vec<u8>,
    },
    Closed {
        shard: u16,
        flow: Flow,
    },
    Woken {
        shard: u16,
    },
}

/// What the test asks of it.
#[derive(Debug)]
pub(crate) enum Control {
    Send {
        to: Destination,
        bytes: Vec<u8>,
        token: u64,
    },
    /// Blocks the shard for so long, as no real application may.
    Block(Duration),
    /// Asks to be woken so much later.
    WakeIn(Duration),
}

pub(crate) struct Echo {
    shard: u16,
    events: Sender<Event>,
    idle: Arc<AtomicBool>,
    deadline: Option<u64>,
}

impl Echo {
    fn answer(&self, bytes: &[u8], source: &Source, hopped: bool, out: &mut Outbox) {
        let to = match source.flow {
            Some(flow) => Destination::Flow(flow),
            None => Destination::Datagram {
                listener: source.listener,
                from: Some(source.local.ip()),
                to: source.remote,
            },
        };
        if !contains(bytes, b"silent") {
            out.send(bytes, to, 0);
        }
        self.tell(Event::Received {
            shard: self.shard,
            hopped,
            source: *source,
            bytes: bytes.into(),
        });
    }

    fn tell(&self, event: Event) {
        // The test may have ended and left no receiver.
        let _: Result<(), _> = self.events.send(event);
    }
}

/// The shard that a message asks for with `hop:N`, also when it is quoted by an ICMP error.
fn wanted_shard(bytes: &[u8]) -> Option<u16> {
    let at = bytes.windows(4).position(|window| window == b"hop:")?;
    bytes.get(at + 4).map(|digit| u16::from(digit - b'0'))
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

impl Application for Echo {
    type Control = Control;

    fn receive(
        &mut self,
        bytes: &[u8],
        _index: &mut Index,
        source: &Source,
        _now: Now,
        out: &mut Outbox,
    ) -> Handled {
        match wanted_shard(bytes) {
            Some(shard) if shard != self.shard => Handled::Hop(shard),
            _ => {
                self.answer(bytes, source, false, out);
                Handled::Done
            }
        }
    }

    fn receive_hop(&mut self, bytes: &[u8], _index: &Index, source: &Source, _now: Now, out: &mut Outbox) {
        self.answer(bytes, source, true, out);
    }

    fn send_failed(&mut self, token: u64, failure: Failure, _now: Now, _out: &mut Outbox) {
        self.tell(Event::Failed {
            shard: self.shard,
            token,
            failure,
        });
    }

    fn unreachable(
        &mut self,
        remote: SocketAddr,
        failure: Failure,
        quoted: &[u8],
        _now: Now,
        _out: &mut Outbox,
    ) -> Handled {
        let wanted = wanted_shard(quoted).filter(|shard| *shard != self.shard);
        if let Some(shard) = wanted {
            return Handled::Hop(shard);
        }
        self.tell(Event::Unreachable {
            shard: self.shard,
            remote,
            failure,
            quoted: quoted.into(),
        });
        if contains(quoted, b"bounce") {
            return Handled::Hop(1 - self.shard);
        }
        Handled::Done
    }

    fn flow_closed(&mut self, flow: Flow, _now: Now, _out: &mut Outbox) {
        self.tell(Event::Closed {
            shard: self.shard,
            flow,
        });
    }

    fn control(&mut self, control: Control, now: Now, out: &mut Outbox) {
        match control {
            Control::Send { to, bytes, token } => out.send(&bytes, to, token),
            Control::Block(time) => std::thread::sleep(time),
            Control::WakeIn(time) => self.deadline = Some(now.mono_ns + time.as_nanos() as u64),
        }
    }

    fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    fn wake(&mut self, _now: Now, _out: &mut Outbox) {
        self.deadline = None;
        self.tell(Event::Woken { shard: self.shard });
    }

    fn turn_ended(&mut self, _now: Now) {}

    fn is_idle(&self) -> bool {
        self.idle.load(Ordering::SeqCst)
    }
}

/// Running shards with the application, and what it tells.
pub(crate) struct Rig {
    pub(crate) shards: Shards<Control>,
    pub(crate) idle: Arc<AtomicBool>,
    events: Receiver<Event>,
}

/// How long a test waits for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

impl Rig {
    /// Starts shards that listen at the given URIs (`udp:127.0.0.1:0`).
    pub(crate) fn new(uris: &[&str], options: &Options) -> Self {
        let listeners = uris
            .iter()
            .map(|uri| Listener::bind(listen(uri), options).expect("the address is free"))
            .collect();
        let (sender, events) = channel();
        let idle = Arc::new(AtomicBool::new(true));
        let shards = start(listeners, options, |shard| Echo {
            shard,
            events: sender.clone(),
            idle: Arc::clone(&idle),
            deadline: None,
        });
        Self {
            shards: shards.expect("the shards start"),
            idle,
            events,
        }
    }

    /// The address of a listener; a wildcard's is a loopback address.
    pub(crate) fn address(&self, listener: usize) -> SocketAddr {
        self.shards.listeners()[listener].address
    }

    pub(crate) fn send(&self, shard: u16, to: Destination, bytes: &[u8], token: u64) {
        let control = Control::Send {
            to,
            bytes: bytes.into(),
            token,
        };
        self.shards.send(shard, control).expect("the shard takes it");
    }

    /// The next thing that the application saw.
    pub(crate) fn event(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("something happens")
    }

    /// The next thing that the application saw and that is wanted.
    pub(crate) fn wait_for<T>(&self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.event()) {
                return found;
            }
        }
    }

    /// That nothing is seen for so long.
    pub(crate) fn expect_nothing(&self, time: Duration) {
        match self.events.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => {}
            other => panic!("{other:?}"),
        }
    }

    /// The sum of a count over the shards.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let mut sum = 0;
        for counters in self.shards.counters() {
            counters.each(|each, _, _, value| sum += if each == name { value } else { 0 });
        }
        sum
    }

    /// Waits until a count has reached a value.
    pub(crate) fn wait_for_count(&self, name: &str, value: u64) {
        let until = Instant::now() + PATIENCE;
        while self.count(name) < value {
            assert!(
                Instant::now() < until,
                "{name} is {} and not {value}",
                self.count(name)
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Reads `udp:HOST:PORT` and `tcp:HOST:PORT`.
pub(crate) fn listen(uri: &str) -> Listen {
    let (transport, address) = uri.split_once(':').expect("a listen URI");
    Listen {
        transport: Transport::from_token(transport.as_bytes()).expect("a transport"),
        address: address.parse().expect("an address"),
    }
}

/// Options for tests: small numbers and short times.
pub(crate) fn options(shards: u16) -> Options {
    Options {
        shards,
        pinning: Pinning::Off,
        udp_buffer: 256 << 10,
        connections: ConnectionOptions {
            connect: Duration::from_millis(300),
            partial: Duration::from_millis(300),
            stall: Duration::from_millis(300),
            linger: Duration::from_millis(200),
            ..ConnectionOptions::default()
        },
        ..Options::default()
    }
}

/// A message of a stream with this body.
pub(crate) fn message(body: &str) -> Vec<u8> {
    format!(
        "OPTIONS sip:a@example.test SIP/2.0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
