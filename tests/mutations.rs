//! Real messages made wrong, valid ones between them, against the running server: it goes on answering, and does not grow.
#![cfg(target_os = "linux")]

use std::time::Duration;

use system_tests::server::{DOMAIN, Server, Setup};
use system_tests::{Message, Peer, full, namespace, wait};

#[path = "../crates/syntax/tests/messages/mutate.rs"]
mod mutate;

use mutate::{Random, mutate};

/// How many datagrams are sent before the answer to one more is waited for: few enough to lie in the socket's buffer.
const BATCH: u32 = 50;

/// Its peers: several, for their datagrams reach different shards.
struct Site {
    server: Server,
    peers: Vec<Peer>,
    random: Random,
}

impl Site {
    /// Sends so many mutated messages, and after each batch one that has to be answered.
    fn batches(&mut self, count: u32) {
        for batch in 0..count / BATCH {
            let number = batch as usize % self.peers.len();
            for _ in 0..BATCH {
                let mut bytes = self.message(number).text().into_bytes();
                mutate(&mut bytes, &mut self.random);
                bytes.truncate(60_000);
                self.peers[number].send_bytes(&bytes);
            }
            self.answered(number);
        }
    }

    /// One of the messages that a phone sends; many of them leave something behind in the server.
    fn message(&mut self, number: usize) -> Message {
        let peer = &self.peers[number];
        let (from, to) = (format!("sip:user{number}@{DOMAIN}"), format!("sip:bob@{DOMAIN}"));
        let request = |method: &str| peer.request(method, &to, &from, &to);
        match self.random.below(12) {
            0..4 => request("INVITE").with_body("application/sdp", &system_tests::peer::sdp(4000)),
            4 | 5 => peer.register(&from, 300),
            6 => request("MESSAGE").with_body("text/plain", "hello"),
            7 => request("CANCEL"),
            8 => request("ACK").with("Route", format!("<sip:{};lr>", self.server.sip())),
            9 => request("BYE")
                .with("Require", "100rel, x")
                .with("Proxy-Require", "y"),
            10 => Message::response(&request("INVITE"), 200, "OK", "t"),
            _ => request("SUBSCRIBE")
                .with("Event", "presence")
                .with("Expires", "600"),
        }
    }

    /// A request of this peer gets its answer, whatever else comes to it meanwhile and fills its buffer.
    fn answered(&self, number: usize) {
        let peer = &self.peers[number];
        let own = format!("sip:ping@{DOMAIN}");
        let request = peer.request("OPTIONS", &format!("sip:{DOMAIN}"), &own, &own);
        let ours = |message: &Message| {
            message.get("Call-ID") == request.get("Call-ID")
                && message.status().is_some_and(|status| status >= 200)
        };
        let answered = (0..20).any(|_| {
            peer.send(&request);
            let mut received = std::iter::from_fn(|| peer.receive(Duration::from_millis(500)));
            received.any(|message| ours(&message))
        });
        assert!(answered, "no answer:\n{}", self.server.process().output());
    }

    /// Resident memory in KiB once no transaction is left.
    fn resident_at_rest(&self) -> u64 {
        let left = || self.server.ctl_json("status")["counts"]["transactions"].as_u64();
        let rest = wait::until_true(Duration::from_secs(200), || left() == Some(0));
        assert!(rest, "transactions are left: {:?}", left());
        let path = format!("/proc/{}/status", self.server.process().id());
        let text = std::fs::read_to_string(path).expect("the server runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.and_then(|line| line.split_whitespace().next());
        words.and_then(|word| word.parse().ok()).expect("a number")
    }
}

#[test]
fn mutated_datagrams_neither_silence_the_server_nor_make_it_grow() {
    // What is mutated can name any address in the world: none of them is reached from here.
    let test = "mutated_datagrams_neither_silence_the_server_nor_make_it_grow";
    if !namespace::enter_for(test, Duration::from_secs(900)) {
        return;
    }
    let count = if full() { 100_000 } else { 8_000 };
    let server = Setup::new().toml("[log]\nlevel = \"error\"").start();
    let bob = Peer::udp(server.sip()).registered(&format!("sip:bob@{DOMAIN}"));
    let peers = (0..4).map(|_| Peer::udp(server.sip())).collect();
    let mut site = Site {
        server,
        peers,
        random: Random(0x5EED_0451_2026_1127),
    };
    // What was done once has taken the memory that so many at a time take, of which the allocator keeps the peak of each thread;
    // doing it again must need no more.
    site.batches(count);
    let before = site.resident_at_rest();
    site.batches(count);
    let after = site.resident_at_rest();
    assert!(
        after * 10 <= before * 11,
        "{before} KiB before, {after} KiB after"
    );
    println!("{count} mutated datagrams: {before} KiB before, {after} KiB after");
    drop(bob);
    let status = site.server.stop();
    assert_eq!(status, Some(0), "{}", site.server.process().output());
}
