//! What a call costs in a node without sockets, in instructions, message by message:
//!
//! ```text
//! cargo build --release -p strowger-testkit --example call
//! for step in invite ringing ok ack bye bye-ok; do
//!     valgrind --tool=callgrind --toggle-collect='*metered*' target/release/examples/call stateful $step 1000
//! done
//! ```
//!
//! `all` counts every message; without a name of a step, every call of the node counts, timers too.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};

use strowger_server::config::Mode;
use strowger_testkit::message::lines;
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

static COUNTS: AtomicBool = AtomicBool::new(false);

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
                   m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

#[inline(never)]
fn metered(call: &mut dyn FnMut()) {
    call();
    std::hint::black_box(());
}

fn meter(call: &mut dyn FnMut()) -> u64 {
    if COUNTS.load(Ordering::Relaxed) {
        metered(call);
    } else {
        call();
    }
    0
}

struct Run {
    site: Site,
    wanted: String,
    direct: bool,
}

impl Run {
    fn step(&mut self, name: &str, who: char, text: &str) {
        let counts = self.wanted == "all" || self.wanted == name;
        COUNTS.store(counts, Ordering::Relaxed);
        self.site.send(who, text);
        COUNTS.store(false, Ordering::Relaxed);
    }

    fn call(&mut self, n: usize) {
        let uri = match self.direct {
            true => format!("sip:bob@{}", address('b')),
            false => "sip:bob@example.test".to_owned(),
        };
        let via = |kind: char| {
            format!(
                "Via: SIP/2.0/UDP {};branch=z9hG4bK{n:08x}000000{kind}a\r\n",
                address('a')
            )
        };
        let from = format!("From: <sip:alice@example.test>;tag=f{n:08x}\r\n");
        let call_id = format!("Call-ID: c{n:08x}-0000002a-7f000001@192.0.2.10\r\n");
        let invite = format!(
            "INVITE {uri} SIP/2.0\r\n{}Max-Forwards: 70\r\n{from}To: <sip:bob@example.test>\r\n{call_id}CSeq: 1 INVITE\r\n\
             Contact: <sip:uac@{}>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, MESSAGE\r\n\
             Supported: timer, replaces\r\nUser-Agent: testkit\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{SDP}",
            via('r'),
            address('a'),
            SDP.len(),
        );
        self.step("invite", 'a', &invite);
        let routes = lines(self.site.last('b', "INVITE"), "Record-Route").join(",");
        let mut more = format!("Contact: <sip:bob@{}>", address('b'));
        if !routes.is_empty() {
            more = format!("{more}\r\nRecord-Route: {routes}");
        }
        for (name, code) in [("ringing", 180), ("ok", 200)] {
            let text = self.site.response('b', code, &more);
            self.step(name, 'b', &text);
        }
        let ok = self.site.last('a', "SIP/2.0 200").to_owned();
        for (name, method, cseq, kind) in [("ack", "ACK", 1, 'k'), ("bye", "BYE", 2, 'b')] {
            let route = match lines(&ok, "Record-Route").first() {
                Some(route) => format!("Route: {route}\r\n"),
                None => String::new(),
            };
            let text = format!(
                "{method} sip:bob@{} SIP/2.0\r\n{}{route}Max-Forwards: 70\r\n{from}To: {}\r\n{call_id}CSeq: {cseq} {method}\r\n\
                 User-Agent: testkit\r\nContent-Length: 0\r\n\r\n",
                address('b'),
                via(kind),
                lines(&ok, "To")[0],
            );
            self.step(name, 'a', &text);
        }
        let text = self.site.response('b', 200, "");
        self.step("bye-ok", 'b', &text);
        let log = self.site.log();
        let trying = if self.direct { "" } else { "a 100, " };
        assert_eq!(
            log,
            format!("{trying}b INVITE, a 180, a 200, b ACK, b BYE, a 200")
        );
        COUNTS.store(self.wanted == "time", Ordering::Relaxed);
        self.site.pass(25);
        COUNTS.store(false, Ordering::Relaxed);
    }
}

fn main() {
    let [mode, wanted, times] = [1, 2, 3].map(|at| env::args().nth(at).expect("MODE STEP TIMES"));
    let direct = mode == "stateless";
    let plan = Plan {
        max_transactions: 1 << 20,
        mode: if direct { Mode::Stateless } else { Mode::Stateful },
        meter,
        ..Plan::default()
    };
    let mut run = Run {
        site: Site::of(plan),
        wanted,
        direct,
    };
    run.site.register('b');
    run.site.log();
    for n in 1..=times.parse().expect("a number") {
        run.call(n);
    }
}
