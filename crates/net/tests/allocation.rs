//! The promise that a shard allocates nothing per message, kept under the eyes of a counting allocator.
#![expect(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use strowger_net::{Application, Handled, Listen, Listener, Options, Pinning, start};
use strowger_sip::{Destination, Failure, Flow, Now, Outbox, Source};
use strowger_syntax::{Index, Transport};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_SHARD: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if IS_SHARD.with(Cell::get) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Answers every message with itself. Even ones are worked on by shard 0, odd ones by the last shard, and so are ICMP
/// errors about the answers.
struct Mirror {
    shard: u16,
    last: u16,
    /// Where datagrams that begin with `!` are sent instead of back.
    closed: SocketAddr,
    /// ICMP errors that have come to their shard.
    told: Arc<AtomicU64>,
}

impl Mirror {
    fn answer(&self, bytes: &[u8], source: &Source, out: &mut Outbox) {
        let remote = if bytes.first() == Some(&b'!') {
            self.closed
        } else {
            source.remote
        };
        let to = match source.flow {
            Some(flow) => Destination::Flow(flow),
            None => Destination::Datagram {
                listener: source.listener,
                from: None,
                to: remote,
            },
        };
        out.send(bytes, to, 1);
    }

    fn owner(&self, bytes: &[u8]) -> u16 {
        if bytes.last().is_some_and(|last| last % 2 == 1) {
            self.last
        } else {
            0
        }
    }
}

impl Application for Mirror {
    type Control = ();

    fn receive(
        &mut self,
        bytes: &[u8],
        _index: &mut Index,
        source: &Source,
        _now: Now,
        out: &mut Outbox,
    ) -> Handled {
        let owner = self.owner(bytes);
        if owner != self.shard {
            return Handled::Hop(owner);
        }
        self.answer(bytes, source, out);
        Handled::Done
    }

    fn receive_hop(&mut self, bytes: &[u8], _index: &Index, source: &Source, _now: Now, out: &mut Outbox) {
        self.answer(bytes, source, out);
    }

    fn send_failed(&mut self, _token: u64, _failure: Failure, _now: Now, _out: &mut Outbox) {}

    fn unreachable(
        &mut self,
        _to: SocketAddr,
        _failure: Failure,
        quoted: &[u8],
        _now: Now,
        _out: &mut Outbox,
    ) -> Handled {
        let owner = self.owner(quoted);
        if owner != self.shard {
            return Handled::Hop(owner);
        }
        self.told.fetch_add(1, Ordering::Relaxed);
        Handled::Done
    }

    fn flow_closed(&mut self, _flow: Flow, _now: Now, _out: &mut Outbox) {}

    fn control(&mut self, _control: (), _now: Now, _out: &mut Outbox) {}

    fn deadline(&self) -> Option<u64> {
        None
    }

    fn wake(&mut self, _now: Now, _out: &mut Outbox) {}

    fn turn_ended(&mut self, _now: Now) {
        IS_SHARD.with(|is_shard| is_shard.set(true));
    }

    fn is_idle(&self) -> bool {
        true
    }
}

/// Bursts of datagrams, each waited for.
fn exchange_datagrams(socket: &UdpSocket, count: u32) {
    let mut buffer = [0; 2048];
    let text = [b'x'; 600];
    for burst in 0..count / 20 {
        for number in 0..20 {
            let mut message = text;
            message[599] = (burst + number) as u8;
            socket.send(&message).expect("send");
        }
        for _ in 0..20 {
            assert_eq!(socket.recv(&mut buffer).expect("an answer"), 600);
        }
    }
}

fn exchange_stream(stream: &mut TcpStream, count: u32) {
    let message = |last: char| {
        format!("OPTIONS sip:a@example.test SIP/2.0\r\nContent-Length: 4\r\n\r\nabc{last}").into_bytes()
    };
    let both = [message('a'), message('b')].concat();
    let mut answer = vec![0; both.len()];
    for _ in 0..count / 2 {
        stream.write_all(&both).expect("write");
        stream.read_exact(&mut answer).expect("an answer");
    }
}

/// Bursts of datagrams whose answers go to a closed port, the errors of each waited for. They are short, because an ICMP
/// error does not quote a whole long one, and each is longer than the one before, because those of one length may go as
/// segments of one message, and then the first of them alone has an error.
fn provoke_errors(socket: &UdpSocket, told: &AtomicU64, bursts: u64, size: u64) {
    let before = told.load(Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(30);
    for burst in 1..=bursts {
        for number in 0..size as usize {
            let mut message = [burst as u8; 64];
            message[0] = b'!';
            socket.send(&message[..2 + number]).expect("send");
        }
        while told.load(Ordering::Relaxed) < before + burst * size {
            assert!(Instant::now() < until, "burst {burst} of {bursts}");
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// One test, because the count is one for the whole process.
#[test]
fn nothing_is_allocated_per_message_on_any_shard() {
    for shards in [1u16, 2] {
        let options = Options {
            shards,
            pinning: Pinning::Off,
            ..Options::default()
        };
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let bind = |transport| {
            Listener::bind(
                Listen {
                    transport,
                    address: any,
                },
                &options,
            )
            .expect("a free port")
        };
        let listeners = vec![bind(Transport::Udp), bind(Transport::Tcp)];
        let (udp, tcp) = (listeners[0].address(), listeners[1].address());
        // It takes what it sends itself only; everything else is answered with an ICMP error.
        let closed = UdpSocket::bind(any).expect("a free port");
        closed
            .connect(closed.local_addr().expect("an address"))
            .expect("connect");
        let told = Arc::new(AtomicU64::new(0));
        let shards = start(listeners, &options, |shard| Mirror {
            shard,
            last: options.shards - 1,
            closed: closed.local_addr().expect("an address"),
            told: Arc::clone(&told),
        });
        let shards = shards.expect("the shards start");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(udp).expect("connect");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("timeout");
        let mut stream = TcpStream::connect(tcp).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        exchange_datagrams(&socket, 2000);
        exchange_stream(&mut stream, 500);
        provoke_errors(&socket, &told, 20, 20);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        // The buffers have grown meanwhile, which shows that the count works.
        assert!(before > 0);
        exchange_datagrams(&socket, 10_000);
        exchange_stream(&mut stream, 2000);
        let hops = || -> u64 {
            let counters = shards.counters().iter();
            counters.map(|counters| counters.hops_in.read()).sum()
        };
        assert_eq!(hops() > 5000, options.shards > 1, "{}", hops());
        let before_errors = hops();
        provoke_errors(&socket, &told, 1000, 1);
        // Every other datagram and every other error.
        let expected = if options.shards > 1 { 1000 } else { 0 };
        assert_eq!(hops() - before_errors, expected);
        // On a busy machine more may come at once than ever before, and a buffer grows to a new peak. What is allocated for
        // each message, or for each turn, is counted in thousands.
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert!(allocations < 20, "{allocations} allocations");
        shards.stop();
        shards.join().expect("no shard panicked");
    }
}
