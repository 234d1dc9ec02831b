//! A long way to the server: what goes through takes its time. Each datagram takes another one, so that some overtake others;
//! what connections carry stays in its order (kernels without `netem` delay nothing by themselves).

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Random;

/// What each datagram and each piece of a stream takes at least.
const DELAY: Duration = Duration::from_millis(20);

/// What it takes more at most. There and back is less than T1 (500 ms), so that nobody has to repeat anything.
const JITTER: Duration = Duration::from_millis(80);

/// What may be on its way at once; what is more is lost, and a stream waits.
const MOST: usize = 1024;

/// Phones that one relay serves.
const MOST_PHONES: usize = 64;

/// A datagram that is on its way.
struct Datagram {
    bytes: Vec<u8>,
    by: Arc<UdpSocket>,
    to: SocketAddr,
    due: Instant,
}

/// The relay. It is there as long as the test program.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    overtaken: Arc<AtomicUsize>,
}

impl Relay {
    /// A relay at this address for datagrams to the server; the delays follow from the seed. The server sees another of its ports for
    /// each phone.
    #[track_caller]
    pub fn udp(at: IpAddr, server: SocketAddr, seed: u64) -> Self {
        let front = Arc::new(UdpSocket::bind((at, 0)).unwrap_or_else(|error| panic!("{at}: {error}")));
        let address = front.local_addr().expect("bound");
        let overtaken = Arc::default();
        let (sender, under_way) = sync_channel(MOST);
        let counter = Arc::clone(&overtaken);
        thread::spawn(move || carry(&under_way, &counter));
        let random = Arc::new(Mutex::new(Random::seeded(seed)));
        thread::spawn(move || serve(&front, server, &sender, &random));
        Self { address, overtaken }
    }

    /// A relay at this address for connections to the server: delay alone.
    #[track_caller]
    pub fn tcp(at: IpAddr, server: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind((at, 0)).unwrap_or_else(|error| panic!("{at}: {error}"));
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            let mut random = Random::seeded(seed);
            for phone in listener.incoming().take(MOST_PHONES).flatten() {
                let Ok(connection) = TcpStream::connect(server) else {
                    continue;
                };
                let both = [(&phone, &connection), (&connection, &phone)];
                for (from, to) in both {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                        continue;
                    };
                    let random = Random::seeded(random.number());
                    thread::spawn(move || carry_stream(from, to, random));
                }
            }
        });
        Self {
            address,
            overtaken: Arc::default(),
        }
    }

    /// Where the phones find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many datagrams another one to the same place has overtaken.
    pub fn overtaken(&self) -> usize {
        self.overtaken.load(Ordering::Relaxed)
    }
}

fn delay(random: &mut Random) -> Duration {
    DELAY + Duration::from_micros(random.below(JITTER.as_micros() as usize) as u64)
}

/// Takes in what phones send, and what the server sends to each of them.
fn serve(
    front: &Arc<UdpSocket>,
    server: SocketAddr,
    under_way: &SyncSender<Datagram>,
    random: &Arc<Mutex<Random>>,
) {
    let Ok(here) = front.local_addr() else { return };
    let mut phones: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    receive(front, |bytes, phone| {
        if !phones.contains_key(&phone) && phones.len() < MOST_PHONES {
            let Ok(back) = UdpSocket::bind((here.ip(), 0)).map(Arc::new) else {
                return;
            };
            phones.insert(phone, Arc::clone(&back));
            let (front, sender, random) = (Arc::clone(front), under_way.clone(), Arc::clone(random));
            thread::spawn(move || receive(&back, |bytes, _| send(&sender, &random, bytes, &front, phone)));
        }
        if let Some(back) = phones.get(&phone) {
            send(under_way, random, bytes, back, server);
        }
    });
}

/// Hands on each datagram that comes, and from whom.
fn receive(at: &UdpSocket, mut hand_on: impl FnMut(&[u8], SocketAddr)) {
    let mut buffer = vec![0; 65_536];
    loop {
        // An error is that of a datagram which found nobody.
        if let Ok((count, from)) = at.recv_from(&mut buffer) {
            hand_on(&buffer[..count], from);
        }
    }
}

/// Sends a datagram on its way.
fn send(
    under_way: &SyncSender<Datagram>,
    random: &Mutex<Random>,
    bytes: &[u8],
    by: &Arc<UdpSocket>,
    to: SocketAddr,
) {
    let delay = delay(&mut random.lock().unwrap_or_else(PoisonError::into_inner));
    let datagram = Datagram {
        bytes: bytes.to_vec(),
        by: Arc::clone(by),
        to,
        due: Instant::now() + delay,
    };
    // Where too many are on their way it is lost.
    let _: Result<(), _> = under_way.try_send(datagram);
}

/// Lets datagrams arrive when they are due.
fn carry(under_way: &Receiver<Datagram>, overtaken: &AtomicUsize) {
    let mut waiting: BTreeMap<(Instant, usize), Datagram> = BTreeMap::new();
    for number in 0.. {
        let next = loop {
            let due = waiting.first_key_value().map(|(&(due, _), _)| due);
            let left = due.map_or(JITTER, |due| due.saturating_duration_since(Instant::now()));
            match under_way.recv_timeout(left) {
                Ok(datagram) => break datagram,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(((_, arrived), datagram)) = due.and_then(|_| waiting.pop_first()) {
                let is_same =
                    |other: &Datagram| other.to == datagram.to && Arc::ptr_eq(&other.by, &datagram.by);
                let late = waiting
                    .iter()
                    .filter(|((_, number), other)| *number < arrived && is_same(other));
                overtaken.fetch_add(late.count(), Ordering::Relaxed);
                // Whom it does not reach it is lost for.
                let _: Result<_, _> = datagram.by.send_to(&datagram.bytes, datagram.to);
            }
        };
        if waiting.len() < MOST {
            waiting.insert((next.due, number), next);
        }
    }
}

/// Carries one direction of a connection, and its end.
fn carry_stream(mut from: TcpStream, mut to: TcpStream, mut random: Random) {
    let (sender, under_way) = sync_channel::<(Instant, Vec<u8>)>(MOST);
    thread::spawn(move || {
        for (due, bytes) in under_way {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // It may have ended by itself.
        let _: Result<(), _> = to.shutdown(Shutdown::Write);
    });
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let due = Instant::now() + delay(&mut random);
        if sender.send((due, buffer[..count].to_vec())).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn datagrams_overtake_each_other_and_all_arrive() {
        let (server, phone) = (UdpSocket::bind((HERE, 0)), UdpSocket::bind((HERE, 0)));
        let (server, phone) = (server.expect("a port"), phone.expect("a port"));
        let relay = Relay::udp(HERE, server.local_addr().expect("bound"), 1);
        for number in 0..50 {
            phone.send_to(&[number], relay.address()).expect("sent");
        }
        let (mut buffer, mut came, mut source) = ([0], Vec::new(), None);
        for at in [&server, &phone] {
            let limit = Duration::from_secs(5);
            at.set_read_timeout(Some(limit)).expect("an option");
        }
        let begun = Instant::now();
        for _ in 0..50 {
            let (_, from) = server.recv_from(&mut buffer).expect("all arrive");
            came.push(buffer[0]);
            source = Some(from);
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "the delay is bounded");
        assert!(!came.is_sorted() && relay.overtaken() > 0, "{came:?}");
        came.sort_unstable();
        assert_eq!(came, (0..50).collect::<Vec<_>>());
        server.send_to(b"x", source.expect("a source")).expect("sent");
        let (_, from) = phone.recv_from(&mut buffer).expect("it comes back");
        assert_eq!(from, relay.address());
    }

    #[test]
    fn a_stream_keeps_its_order_and_ends() {
        let server = TcpListener::bind((HERE, 0)).expect("a port");
        let relay = Relay::tcp(HERE, server.local_addr().expect("bound"), 1);
        let begun = Instant::now();
        let mut phone = TcpStream::connect(relay.address()).expect("connected");
        let (mut accepted, _) = server.accept().expect("a connection");
        for number in 0..20 {
            phone.write_all(&[number]).expect("written");
            thread::sleep(Duration::from_millis(2));
        }
        phone.shutdown(Shutdown::Write).expect("ended");
        let mut came = Vec::new();
        accepted.read_to_end(&mut came).expect("an orderly end");
        assert!(begun.elapsed() >= DELAY);
        assert_eq!(came, (0..20).collect::<Vec<_>>());
        accepted.write_all(b"x").expect("the other side is open");
        phone.read_exact(&mut [0]).expect("it comes back");
    }
}
