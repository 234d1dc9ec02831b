//! Eight hours of phones that come and go, in virtual time: they die, change their addresses, register early and late, lose
//! requests and answers; several of them are one user's; the clock jumps, and the server starts again. At every step what the
//! server believes is what a model believes that the test keeps by itself, and memory stays flat.
//!
//! `STROWGER_FULL=1` asks for 100,000 users.

mod model;
mod phone;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use strowger_server::config::Mode;
use strowger_server::data_dir::DataDir;
use strowger_server::location::{
    Committed, Durability, Expired, Location, Memory, Settings, Sqlite, Swept, Version,
};
use strowger_server::node::Control;
use strowger_sip::registrar::{Bindings, Entry};
use strowger_testkit::{Plan, Random, Scratch, Site, sim};

use crate::model::{Contacts, Granted, Model};
use crate::phone::{Phone, contact_of};

const MS_OF_HOUR: u64 = 3_600_000;
const HOURS: u64 = 8;
const KEY: [u8; 16] = *b"sixteen bytes...";
const PATIENCE: Duration = Duration::from_secs(20);

/// What happens at a time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A phone acts.
    Act(u32),
    /// A datagram of this user comes once more; not any more if the clock has jumped since: nothing is remembered across that.
    Again {
        user: u32,
        from: SocketAddr,
        text: String,
        jumps: u32,
    },
    Sweep,
    /// All users are looked at.
    Compare,
    /// The wall clock is put forward, or back, by so many seconds.
    Jump(i64),
    Restart,
}

/// The location service, and the answers that it gives late.
struct Store {
    location: Arc<dyn Location>,
    answers: Option<Receiver<Committed>>,
}

impl Store {
    fn in_memory() -> Self {
        Self {
            location: Arc::new(Memory::new(KEY, 1 << 30)),
            answers: None,
        }
    }

    fn on_disk(dir: &Path, now_secs: u64) -> Self {
        let (answer, answers) = channel();
        let answer = Arc::new(move |_, committed: Vec<Committed>| {
            for committed in committed {
                let _ = answer.send(committed);
            }
        });
        let dir = DataDir::open(dir).expect("nobody else has it");
        let settings = Settings::new(KEY, Durability::Process);
        let store = Sqlite::open(&dir, settings, now_secs as u32, answer).expect("opens");
        Self {
            location: Arc::new(store),
            answers: Some(answers),
        }
    }
}

/// The server, its phones, and what is believed.
struct Churn {
    site: Site,
    store: Store,
    scratch: Option<Scratch>,
    model: Model,
    phones: Vec<Phone>,
    random: Random,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    now_ms: u64,
    jumps: u32,
    jumped_secs: i64,
    /// One of so many look-ups is made by a call, the others in the store.
    calls: u64,
    requests: u64,
    looked_up: u64,
    restarts: u32,
}

fn plan() -> Plan {
    Plan {
        mode: Mode::Redirect,
        max_transactions: 100_000,
        ..Plan::default()
    }
}

impl Churn {
    fn new(seed: u64, users: usize, store: Store, scratch: Option<Scratch>) -> Self {
        let mut random = Random::seeded(seed);
        let phones = (0..users as u32)
            .flat_map(|user| {
                let count = [1, 1, 1, 1, 1, 1, 1, 2, 2, 3][random.below(10) as usize];
                (0..count)
                    .map(|number| Phone::new(user, number, &mut random))
                    .collect::<Vec<_>>()
            })
            .collect::<Vec<_>>();
        let mut churn = Self {
            site: Site::over(Arc::clone(&store.location), plan()),
            store,
            scratch,
            model: Model::new(users),
            random,
            events: BinaryHeap::new(),
            sequence: 0,
            now_ms: 0,
            jumps: 0,
            jumped_secs: 0,
            calls: if users > 1000 { 50 } else { 1 },
            requests: 0,
            looked_up: 0,
            restarts: 0,
            phones,
        };
        for phone in 0..churn.phones.len() as u32 {
            let at = churn.random.below(1_800_000);
            churn.at(at, Event::Act(phone));
        }
        churn.at(1000, Event::Sweep);
        churn
    }

    fn at(&mut self, ms: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((ms, self.sequence, event)));
    }

    /// Lets everything happen up to a time.
    fn run_until(&mut self, ms: u64) {
        while let Some(Reverse((at, ..))) = self.events.peek()
            && *at <= ms
        {
            let Some(Reverse((at, _, event))) = self.events.pop() else {
                return;
            };
            self.site.pass(at - self.now_ms);
            self.now_ms = at;
            match event {
                Event::Act(phone) => self.act(phone),
                Event::Again {
                    user,
                    from,
                    text,
                    jumps,
                } => {
                    if jumps == self.jumps {
                        self.send(from, &text);
                        self.look_up(user);
                    }
                }
                Event::Sweep => self.sweep(),
                Event::Compare => self.compare(),
                Event::Jump(secs) => {
                    self.jumps += 1;
                    self.jumped_secs += secs;
                    self.site.jump(secs);
                    self.compare();
                }
                Event::Restart => self.restart(),
            }
        }
        self.site.pass(ms - self.now_ms);
        self.now_ms = ms;
    }

    fn act(&mut self, phone: u32) {
        let acting = &mut self.phones[phone as usize];
        let act = acting.act(&mut self.random);
        let (user, from) = (acting.user, acting.source());
        // As far apart as phones are that do not know of each other.
        self.at(self.now_ms + act.next.max(1), Event::Act(phone));
        if let Some((text, changes)) = act.request {
            let granted = self.model.register(user, &changes, self.site.wall_secs());
            let answer = self.send(from, &text);
            let is_refused = granted == Granted::Refused;
            let expected = if is_refused {
                "SIP/2.0 503 "
            } else {
                "SIP/2.0 200 "
            };
            assert!(answer.starts_with(expected), "{text}{answer}");
            // Whatever was done is not done once more (RFC 3261 §10.3, §17.2.2).
            if let Some(later) = act.again.filter(|_| granted != Granted::Refused) {
                let jumps = self.jumps;
                let again = Event::Again {
                    user,
                    from,
                    text,
                    jumps,
                };
                self.at(self.now_ms + later, again);
            }
        }
        self.look_up(user);
        let other = self.random.below(self.phones.len() as u64) as usize;
        self.look_up(self.phones[other].user);
    }

    /// Sends a REGISTER; the answer, which may have to wait for the disk.
    fn send(&mut self, from: SocketAddr, text: &str) -> String {
        self.requests += 1;
        let mut answers = self.site.exchange(from, text.as_bytes());
        if answers.is_empty()
            && let Some(late) = &self.store.answers
        {
            let committed = late.recv_timeout(PATIENCE).expect("an answer");
            self.site.control(0, Control::Committed(vec![committed]));
            answers = self.site.drain();
        }
        assert_eq!(answers.len(), 1, "{text}");
        String::from_utf8(answers.remove(0)).expect("text")
    }

    /// Where a user is, for the server and for the model.
    #[track_caller]
    fn look_up(&mut self, user: u32) {
        self.looked_up += 1;
        let expected = self.model.look_up(user, self.site.wall_secs());
        assert_eq!(self.stored(user), expected, "u{user} at {} ms", self.now_ms);
        if self.looked_up.is_multiple_of(self.calls) {
            let found: Vec<_> = expected.into_keys().collect();
            assert_eq!(self.redirected(user), found, "u{user} at {} ms", self.now_ms);
        }
    }

    fn stored(&self, user: u32) -> Contacts {
        let mut record = Vec::new();
        let aor = format!("u{user}@example.test");
        let version = self.store.location.read(aor.as_bytes(), &mut record);
        assert_eq!(version == Version::ABSENT, record.is_empty());
        let live = Bindings::new(&record).live(self.site.wall_secs());
        live.map(|binding| {
            let uri = std::str::from_utf8(binding.contact).expect("text");
            (contact_of(uri), u64::from(binding.expires_at))
        })
        .collect()
    }

    /// Where a caller is sent, in the order of the numbers.
    fn redirected(&mut self, user: u32) -> Vec<u32> {
        let number = self.looked_up;
        let (from, uri) = (
            SocketAddr::from(([192, 0, 2, 99], 5060)),
            format!("sip:u{user}@example.test"),
        );
        let invite = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKi{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:caller@example.test>;tag=c\r\nTo: <{uri}>\r\nCall-ID: look{number}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:caller@{from}>\r\nContent-Length: 0\r\n\r\n"
        );
        let answers = self.site.exchange(from, invite.as_bytes());
        let answer = String::from_utf8(answers.into_iter().next_back().expect("an answer")).expect("text");
        let ack = strowger_testkit::message::ack(&invite, &answer);
        assert_eq!(self.site.exchange(from, ack.as_bytes()), [] as [Vec<u8>; 0]);
        // Nobody has made these users: they are those that are registered.
        if answer.starts_with("SIP/2.0 404 ") {
            return Vec::new();
        }
        assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
        let mut contacts: Vec<_> = strowger_testkit::message::lines(&answer, "Contact")
            .iter()
            .flat_map(|line| line.split(','))
            .map(|value| contact_of(value.split(['<', '>']).nth(1).expect("an address")))
            .collect();
        contacts.sort_unstable();
        contacts
    }

    /// As the server does: when something may be due, at least every ten seconds. It tells whose bindings have ended.
    fn sweep(&mut self) {
        let (now, mut told) = (self.site.wall_secs(), BTreeMap::new());
        let mut tell = |expired: &Expired| {
            let aor = std::str::from_utf8(&expired.aor).expect("text");
            let user = aor
                .strip_prefix('u')
                .and_then(|rest| rest.split('@').next()?.parse().ok());
            let ended = bindings(&expired.before) - bindings(&expired.left);
            if ended > 0 {
                let user: u32 = user.expect("a user");
                assert_eq!(told.insert(user, ended), None, "told twice");
            }
        };
        let next = loop {
            if let Swept::Done { next } = self.store.location.sweep(now as u32, &mut tell) {
                break next;
            }
        };
        assert_eq!(told, self.model.sweep(now), "at {} ms", self.now_ms);
        let due = next.map_or(10, |next| u64::from(next).saturating_sub(now));
        self.at(self.now_ms + 1000 * due.clamp(1, 10), Event::Sweep);
    }

    fn compare(&mut self) {
        for user in 0..self.model.users() {
            let expected = self.model.look_up(user, self.site.wall_secs());
            assert_eq!(self.stored(user), expected, "u{user} at {} ms", self.now_ms);
        }
    }

    /// The server ends, and another one reads what is on the disk. Not while the clock is back behind what was swept, which
    /// the disk still has.
    fn restart(&mut self) {
        let wall = self.site.wall_secs();
        let Some(scratch) = self.scratch.as_ref().filter(|_| !self.model.is_behind(wall)) else {
            return;
        };
        self.restarts += 1;
        // The node, its store, and the lock on the folder go.
        self.site = Site::new();
        self.store = Store::in_memory();
        self.store = Store::on_disk(scratch.path(), wall);
        self.site = Site::over(Arc::clone(&self.store.location), plan());
        self.site.pass(self.now_ms);
        self.site.jump(self.jumped_secs);
        assert_eq!(self.site.wall_secs(), wall);
        self.compare();
    }

    /// Everybody is gone a while after the last has registered, and nothing is left.
    fn end(mut self) {
        let mut last = std::mem::take(&mut self.events);
        last.retain(|Reverse((.., event))| matches!(event, Event::Sweep));
        self.events = last;
        self.run_until(self.now_ms + 2 * MS_OF_HOUR);
        assert_eq!(self.model.len(self.site.wall_secs()), 0);
        assert!(
            self.store.location.is_empty(),
            "{} are left",
            self.store.location.len()
        );
        self.site.assert_ends();
    }
}

fn bindings(record: &[u8]) -> usize {
    let entries = Bindings::new(record).entries();
    entries
        .filter(|(entry, _)| matches!(entry, Entry::Binding(_)))
        .count()
}

/// When the clock jumps, and by how many seconds.
const JUMPS: [(u64, i64); 8] = [
    (95, 7),
    (130, -40),
    (170, 600),
    (215, -1800),
    (260, 5400),
    (310, -5400),
    (350, 20_000),
    (400, 1),
];

#[test]
fn eight_hours_of_phones_that_come_and_go_leave_memory_flat_and_nobody_lost() {
    let users = if sim::full() { 100_000 } else { 300 };
    let mut churn = Churn::new(1, users, Store::in_memory(), None);
    for (minute, secs) in JUMPS {
        churn.at(minute * 60_000, Event::Jump(secs));
    }
    for quarter in 1..HOURS * 4 {
        churn.at(quarter * MS_OF_HOUR / 4, Event::Compare);
    }
    let mut most = 0;
    for hour in 1..=HOURS {
        churn.run_until(hour * MS_OF_HOUR);
        let (bytes, contacts) = (
            churn.store.location.bytes(),
            churn.model.len(churn.site.wall_secs()),
        );
        println!(
            "{hour} h: {contacts} contacts, {bytes} bytes of records, {:?} of the nodes, {} requests, {} look-ups",
            churn.site.memory(),
            churn.requests,
            churn.looked_up
        );
        if hour == 1 {
            most = bytes + bytes / 50;
        }
        assert!(
            bytes <= most,
            "{bytes} after {hour} h, where {most} would be flat"
        );
    }
    assert!(churn.requests as usize > users * 10, "{}", churn.requests);
    churn.end();
}

#[test]
fn what_phones_were_told_is_there_whenever_the_server_starts_again() {
    let users = if sim::full() { 3000 } else { 60 };
    let scratch = Scratch::new();
    let begins = Site::new().wall_secs();
    let store = Store::on_disk(scratch.path(), begins);
    let mut churn = Churn::new(2, users, store, Some(scratch));
    for (minute, secs) in [(95, 30), (130, -40), (190, 1200), (300, -600)] {
        churn.at(minute * 60_000, Event::Jump(secs));
    }
    for restart in 1..20 {
        let at = restart * 20 * 60_000 + churn.random.below(600_000);
        churn.at(at, Event::Restart);
    }
    churn.run_until(HOURS * MS_OF_HOUR);
    assert!(churn.restarts > 10, "{}", churn.restarts);
    churn.end();
}
