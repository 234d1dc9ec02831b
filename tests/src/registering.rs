//! Phones that register, refresh and remove contacts without pause by UDP, and remember what was acknowledged: what a server
//! has to know when it comes back.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Message;
use crate::message::{fresh, parameter, uri_of};
use crate::random::Random;
use crate::server::DOMAIN;

/// The contacts that one phone line binds and removes.
const CONTACTS: usize = 3;
/// RFC 3261 §17.1.2.2: timer E begins with T1.
const T1: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(20);
/// Fetches that are under way at a time.
const AT_ONCE: usize = 100;
/// How far a remaining time may be from what it should be, in seconds.
const TOLERANCE: f64 = 2.0;

/// A contact that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Bound {
    /// The number of the REGISTER's CSeq, which goes with the contact as a parameter.
    version: u32,
    expires: u32,
    /// Its time began between these.
    sent: Instant,
    answered: Instant,
}

type Bindings = [Option<Bound>; CONTACTS];

/// Version and remaining time of the contacts in an answer.
type Found = [Option<(u32, u32)>; CONTACTS];

/// A REGISTER without an answer yet.
#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    /// New lifetimes of contacts in seconds; zero removes.
    change: Vec<(usize, u32)>,
    cseq: u32,
    sent: Instant,
    sent_again: Instant,
}

impl Pending {
    fn apply(&self, bindings: &Bindings, answered: Instant) -> Bindings {
        let mut bindings = *bindings;
        for &(contact, expires) in &self.change {
            bindings[contact] = (expires > 0).then_some(Bound {
                version: self.cseq,
                expires,
                sent: self.sent,
                answered,
            });
        }
        bindings
    }
}

/// One address-of-record.
#[derive(Debug)]
struct Line {
    user: String,
    /// The phone's instance, if its contacts are known by it and by their reg-id: then each REGISTER has another URI
    /// (RFC 5626 §6).
    instance: Option<String>,
    call_id: String,
    cseq: u32,
    acknowledged: Bindings,
    pending: Option<Pending>,
}

impl Line {
    fn aor(&self) -> String {
        format!("sip:{}@{DOMAIN}", self.user)
    }

    /// The URI of a contact in a REGISTER.
    fn contact(&self, contact: usize, version: u32, at: SocketAddr) -> String {
        match self.instance {
            Some(_) => format!("sip:{}-{contact}-{version}@{at}", self.user),
            None => format!("sip:{}-{contact}@{at}", self.user),
        }
    }

    /// The value of a Contact.
    fn value(&self, contact: usize, expires: u32, at: SocketAddr) -> String {
        let uri = self.contact(contact, self.cseq, at);
        let known_by = self.instance.as_ref().map_or_else(String::new, |instance| {
            format!(";+sip.instance=\"{instance}\";reg-id={}", contact + 1)
        });
        format!("<{uri}>;v={}{known_by};expires={expires}", self.cseq)
    }

    fn request(&self, at: SocketAddr, call_id: &str, cseq: u32) -> Message {
        let aor = self.aor();
        Message::request("REGISTER", &format!("sip:{DOMAIN}"))
            .with("Via", format!("SIP/2.0/UDP {at};branch={}", fresh("z9hG4bK")))
            .with("Max-Forwards", "70")
            .with("From", format!("<{aor}>;tag={}", self.user))
            .with("To", format!("<{aor}>"))
            .with("Call-ID", call_id)
            .with("CSeq", format!("{cseq} REGISTER"))
            .with("Supported", "path, outbound")
    }

    /// A REGISTER of one of five kinds: one contact, two, one less, none at all, and that with a wildcard.
    fn next(&mut self, at: SocketAddr, random: &mut Random) -> &[u8] {
        self.cseq += 1;
        let first = random.below(CONTACTS);
        let mut lifetime = || 600 + random.below(3000) as u32;
        let (one, two) = (lifetime(), lifetime());
        let change = match random.below(10) {
            0 | 1 => vec![(first, 0)],
            2 => (0..CONTACTS).map(|contact| (contact, 0)).collect(),
            // Several at once may not be known by an instance (RFC 5626 §6).
            3..=5 if self.instance.is_some() => vec![(first, one)],
            3 | 4 => vec![(first, one), ((first + 1) % CONTACTS, two)],
            5 => vec![(first, one), ((first + 1) % CONTACTS, 0)],
            _ => vec![(first, one)],
        };
        let mut request = self.request(at, &self.call_id, self.cseq);
        if change.iter().all(|&(_, expires)| expires == 0) && change.len() == CONTACTS {
            request = request.with("Contact", "*").with("Expires", "0");
        } else {
            for &(contact, expires) in &change {
                request = request.with("Contact", self.value(contact, expires, at));
            }
        }
        let now = Instant::now();
        let pending = Pending {
            bytes: request.text().into_bytes(),
            change,
            cseq: self.cseq,
            sent: now,
            sent_again: now,
        };
        &self.pending.insert(pending).bytes
    }

    /// What a 200 tells.
    fn found(&self, at: SocketAddr, response: &Message) -> Found {
        let mut found = [None; CONTACTS];
        for value in response.list("Contact") {
            let number = |name| parameter(&value, name)?.parse().ok();
            let version = number("v").unwrap_or_default();
            let known = (0..CONTACTS).find(|&contact| self.contact(contact, version, at) == uri_of(&value));
            let contact = known.unwrap_or_else(|| panic!("{value} was never registered"));
            assert!(found[contact].is_none(), "twice there: {}", response.text());
            let both = number("v").zip(number("expires"));
            found[contact] = Some(both.expect("a 200 has the parameters of each contact"));
        }
        found
    }

    /// Compares what the server knows with what it acknowledged, or with that and the request that it has not answered.
    /// True if the latter; it is what counts from now on.
    fn settle(&mut self, found: Found, asked: Instant) -> Result<bool, String> {
        let now = Instant::now();
        let pending = self.pending.take();
        if agree(&self.acknowledged, found, asked) {
            return Ok(false);
        }
        if let Some(pending) = &pending {
            let with_it = pending.apply(&self.acknowledged, now);
            if agree(&with_it, found, asked) {
                self.acknowledged = with_it;
                return Ok(true);
            }
        }
        Err(format!(
            "{}: the server has {found:?}, but acknowledged {:?}; without an answer: {:?}",
            self.user,
            self.acknowledged.map(|bound| bound.map(|bound| (
                bound.version,
                bound.expires,
                bound.answered.elapsed()
            ))),
            pending.map(|pending| pending.change)
        ))
    }
}

/// Whether an answer that was asked for then, and has come now, tells these bindings.
fn agree(bindings: &Bindings, found: Found, asked: Instant) -> bool {
    let now = Instant::now();
    let left = |bound: &Bound, from: Instant, to: Instant| {
        let passed = to.saturating_duration_since(from);
        f64::from(bound.expires) - passed.as_secs_f64()
    };
    bindings
        .iter()
        .zip(found)
        .all(|(bound, found)| match (bound, found) {
            (None, None) => true,
            (Some(bound), Some((version, found))) => {
                let (least, most) = (left(bound, bound.sent, now), left(bound, bound.answered, asked));
                let close = (least - TOLERANCE..=most + TOLERANCE).contains(&f64::from(found));
                bound.version == version && close
            }
            _ => false,
        })
}

/// Many lines on one socket.
#[derive(Debug)]
pub struct Phones {
    socket: UdpSocket,
    at: SocketAddr,
    /// The lines' user parts are this and their number.
    name: String,
    lines: Vec<Line>,
    random: Random,
    next: usize,
    answered: u64,
    refused: u64,
}

impl Phones {
    /// So many lines, with names of their own. The contacts of every second one are known by its instance.
    pub fn new(name: &str, lines: usize, server: SocketAddr, random: Random) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(server).expect("an address on this machine");
        let lines = (0..lines).map(|line| Line {
            user: format!("{name}{line}"),
            instance: (line % 2 == 1).then(|| format!("<urn:uuid:00000000-0000-4000-8000-{line:012}>")),
            call_id: fresh("load"),
            cseq: 0,
            acknowledged: [None; CONTACTS],
            pending: None,
        });
        Self {
            at: socket.local_addr().expect("a bound socket has an address"),
            socket,
            lines: lines.collect(),
            name: name.to_owned(),
            random,
            next: 0,
            answered: 0,
            refused: 0,
        }
    }

    /// How many REGISTERs were answered with 200.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// How many were answered with 503: they change nothing.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Sends so many REGISTERs a second until told to stop; then hears out what was answered before.
    fn register(&mut self, rate: u32, stop: &AtomicBool) {
        let begun = Instant::now();
        let mut sent = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            for _ in 0..(due - sent).min(self.lines.len() as u64) {
                self.send_next();
            }
            // What could not be sent because all lines wait is not made up for in one burst.
            sent = due;
            self.hear(Duration::from_millis(1));
            self.send_again();
        }
        while self.hear(Duration::from_millis(200)) {}
    }

    /// Sends REGISTERs as fast as the server answers, until so many more were answered with 200 and none waits.
    #[track_caller]
    pub fn register_times(&mut self, times: u64) {
        let last = self.answered + times;
        let begun = Instant::now();
        loop {
            let mut waiting = self.lines.iter().filter(|line| line.pending.is_some()).count();
            if self.answered >= last && waiting == 0 {
                return;
            }
            assert!(begun.elapsed() < 5 * PATIENCE, "{waiting} are not answered");
            while self.answered + (waiting as u64) < last && self.send_next() {
                waiting += 1;
            }
            self.hear(Duration::from_millis(1));
            self.send_again();
        }
    }

    /// Has the next line send something, unless it waits for an answer.
    fn send_next(&mut self) -> bool {
        self.next = (self.next + 1) % self.lines.len();
        let line = &mut self.lines[self.next];
        if line.pending.is_some() {
            return false;
        }
        let bytes = line.next(self.at, &mut self.random);
        // Nobody may listen any more.
        let _ = self.socket.send(bytes);
        true
    }

    fn send_again(&mut self) {
        for pending in self.lines.iter_mut().filter_map(|line| line.pending.as_mut()) {
            if pending.sent_again.elapsed() > T1 {
                pending.sent_again = Instant::now();
                let _ = self.socket.send(&pending.bytes);
            }
        }
    }

    /// Takes all that arrives until nothing does for so long; false if nothing came at all.
    fn hear(&mut self, limit: Duration) -> bool {
        self.socket.set_read_timeout(Some(limit)).expect("a time limit");
        let mut heard = false;
        let mut buffer = [0; 4096];
        while let Ok(count) = self.socket.recv(&mut buffer) {
            let message = Message::parse(&buffer[..count]).expect("a message");
            self.take(&message);
            heard = true;
        }
        heard
    }

    fn take(&mut self, response: &Message) {
        let at = self.line_of(response);
        let line = &mut self.lines[at];
        let cseq = response.cseq();
        let Some(pending) = line.pending.take_if(|pending| pending.cseq == cseq) else {
            // The answer to a retransmission.
            return;
        };
        if response.status() == Some(503) {
            self.refused += 1;
            return;
        }
        assert_eq!(response.status(), Some(200), "{}", response.text());
        line.acknowledged = pending.apply(&line.acknowledged, Instant::now());
        self.answered += 1;
        let found = line.found(self.at, response);
        assert!(
            agree(&line.acknowledged, found, pending.sent),
            "{line:?}:\n{}",
            response.text()
        );
    }

    /// Asks the server what it knows, and compares that with what it acknowledged. The number of requests that were not
    /// answered, and of those that the server did nevertheless.
    ///
    /// # Errors
    /// What differs.
    #[track_caller]
    pub fn compare(&mut self) -> Result<(usize, usize), String> {
        let (mut unanswered, mut done) = (0, 0);
        let mut wrong = Vec::new();
        let batch = fresh("fetch");
        let mut asked: Vec<usize> = (0..self.lines.len()).collect();
        let begun = Instant::now();
        while !asked.is_empty() {
            assert!(
                begun.elapsed() < PATIENCE,
                "{} fetches are not answered",
                asked.len()
            );
            for part in asked.clone().chunks(AT_ONCE) {
                for &at in part {
                    let _ = self.socket.send(self.fetch(&batch, at).text().as_bytes());
                }
                while part.iter().any(|at| asked.contains(at))
                    && let Some(response) = self.fetched(&batch)
                {
                    let at = self.line_of(&response);
                    asked.retain(|asked| *asked != at);
                    let line = &mut self.lines[at];
                    unanswered += usize::from(line.pending.is_some());
                    match line.settle(line.found(self.at, &response), begun) {
                        Ok(did) => done += usize::from(did),
                        Err(difference) => wrong.push(difference),
                    }
                }
            }
        }
        if wrong.is_empty() {
            Ok((unanswered, done))
        } else {
            wrong.insert(0, format!("{} of {} lines differ", wrong.len(), self.lines.len()));
            wrong.truncate(5);
            Err(wrong.join("\n"))
        }
    }

    /// RFC 3261 §10.2.3: a REGISTER without Contact is answered with all bindings.
    fn fetch(&self, batch: &str, at: usize) -> Message {
        self.lines[at].request(self.at, &format!("{batch}-{at}"), 1)
    }

    /// The next answer to a fetch of this batch; `None` when nothing comes for a while.
    fn fetched(&self, batch: &str) -> Option<Message> {
        self.socket.set_read_timeout(Some(T1)).expect("a time limit");
        let mut buffer = [0; 4096];
        loop {
            let count = self.socket.recv(&mut buffer).ok()?;
            let response = Message::parse(&buffer[..count]).expect("a message");
            if response.header("Call-ID").starts_with(batch) {
                assert_eq!(response.status(), Some(200), "{}", response.text());
                return Some(response);
            }
        }
    }

    fn line_of(&self, response: &Message) -> usize {
        let to = uri_of(response.header("To"));
        let number = to
            .strip_prefix("sip:")
            .and_then(|user| user.strip_prefix(self.name.as_str()))
            .and_then(|number| number.split('@').next()?.parse().ok());
        number.unwrap_or_else(|| panic!("{to} is none of ours"))
    }
}

/// Phones at work, each group in a thread of its own.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<Phones>>,
}

impl Load {
    /// Lets them register, so many times a second all together, until they are told to stop.
    pub fn start(phones: Vec<Phones>, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let rate = rate / phones.len() as u32;
        let work = |mut phones: Phones| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                phones.register(rate, &stop);
                phones
            })
        };
        Self {
            workers: phones.into_iter().map(work).collect(),
            stop,
        }
    }

    /// Stops them, after all answers that were sent have been taken.
    pub fn stop(self) -> Vec<Phones> {
        self.stop.store(true, Ordering::Relaxed);
        self.workers
            .into_iter()
            .map(|worker| worker.join().expect("the phones heard what they should not"))
            .collect()
    }
}
