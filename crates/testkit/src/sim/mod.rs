//! A simulated network: a site's nodes, phones of the testkit's own, and everything that can go wrong between them. Time is
//! virtual, and one seed decides all that is left to chance.
//!
//! What happens to a datagram depends on the seed and on what it is ([`Dice`]), not on what else is under way. So a call
//! has the same course, to the nanosecond, however many shards its node has; [`Sim::outcome`] can be compared.

mod agent;
mod dice;
mod network;
mod outcome;
mod replay;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};

use strowger_server::location::{CommitError, StoreFailure};
use strowger_sip::Destination;

pub use agent::{Account, Answer, How, Script, Side, Standing, T1, View};
pub use dice::{Dice, Roll};
pub use network::{Faults, LONGEST_WAY};
pub use outcome::{Held, Outcome, talked};
pub use replay::{full, with_seeds};

use crate::message::start_line;
use crate::peer;
use crate::plan::Plan;
use crate::site::{BEGIN, Hop, Site};
use agent::{Phone, value};
use network::Network;

/// A millisecond, in nanoseconds.
pub const MS: u64 = 1_000_000;
/// A second, in nanoseconds.
pub const S: u64 = 1000 * MS;

/// How many messages may be on their way between two shards.
const RING: usize = 64;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct World {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// What the nodes are made of.
    pub plan: Plan,
    /// How many phones there are, from number 0 on.
    pub phones: usize,
    /// How many of them belong to one user: 0 and 1 to the first one, when it is 2.
    pub phones_per_user: usize,
    /// The `q` with which the first phone of each user registers, the second, and so on; none beyond the last.
    pub ranks: &'static [&'static str],
    /// What the network does.
    pub faults: Faults,
    /// How long the location service takes at most for a commit, in nanoseconds, and how many commits fail, in percent.
    /// Without these it commits at once.
    pub commits: Option<(u64, u64)>,
    /// How long a message takes at most from the shard that it came to to its owner, in nanoseconds. With 0 the course of
    /// every call is the same for any number of shards.
    pub hop: u64,
}

impl World {
    /// A world of so many phones, each with a user of its own, and a network without faults.
    pub fn new(seed: u64, phones: usize) -> Self {
        Self {
            seed,
            plan: Plan {
                max_transactions: 1_000_000,
                ..Plan::default()
            },
            phones,
            phones_per_user: 1,
            ranks: &[],
            faults: Faults::NONE,
            commits: None,
            hop: 0,
        }
    }
}

/// A world under way. Times are in nanoseconds since it began.
#[derive(Debug)]
pub struct Sim {
    dice: Dice,
    site: Site,
    shards: usize,
    network: Network,
    phones: Vec<Phone>,
    phones_per_user: usize,
    /// Which phone is at an address.
    places: HashMap<SocketAddr, usize>,
    scripts: HashMap<String, Script>,
    commits: Option<(u64, u64)>,
    /// How many commits have a time at which they are made.
    committing: usize,
    hop: u64,
    /// How many messages are on their way from a shard to another.
    rings: HashMap<(usize, usize), usize>,
    queue: BinaryHeap<Reverse<Queued>>,
    queued: u64,
    now: u64,
    /// The call whose messages are printed.
    traced: Option<String>,
}

#[derive(Debug)]
struct Queued {
    at: u64,
    /// Of those at the same time, the first one queued comes first.
    number: u64,
    event: Event,
}

#[derive(Debug)]
enum Event {
    /// A datagram comes to the node.
    Up(SocketAddr, String),
    /// A message comes to its shard.
    Hop(Box<Hop>),
    /// A datagram comes to where a phone may be.
    Down(SocketAddr, String),
    /// Word comes that nobody is at an address that this was sent to.
    Unreachable(SocketAddr, String),
    /// The location service makes a commit.
    Commit,
    /// A phone may have something to do.
    Wake(usize),
    /// Somebody does something.
    Deed(Deed),
}

/// What somebody does.
#[derive(Clone, Debug)]
enum Deed {
    Call {
        from: usize,
        to: usize,
        call_id: String,
    },
    /// For so many seconds at a time.
    Register(usize, u32),
    RegisterOnce(usize, u32),
    Unregister(usize),
    Move(usize),
    Cut(usize),
    Heal(usize),
    Faults(Faults),
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What is to happen.
impl Sim {
    /// A world at its beginning.
    pub fn new(world: World) -> Self {
        let dice = Dice::new(world.seed);
        let shards = usize::from(world.plan.shards);
        let phone = |number: usize| {
            let own = world.phones_per_user;
            let (user, users) = (number / own, world.phones.div_ceil(own));
            let names = [user, (user + 1) % users].map(|user| format!("u{user}"));
            Phone::new(
                number,
                names,
                world.ranks.get(number % own).copied(),
                place(number, 0),
            )
        };
        let phones: Vec<_> = (0..world.phones).map(phone).collect();
        Self {
            dice,
            site: Site::of(Plan {
                slow_store: world.commits.is_some(),
                ..world.plan
            }),
            shards,
            network: Network::new(dice, world.faults),
            places: phones
                .iter()
                .enumerate()
                .map(|(n, phone)| (phone.address(), n))
                .collect(),
            phones,
            phones_per_user: world.phones_per_user,
            scripts: HashMap::new(),
            commits: world.commits,
            committing: 0,
            hop: world.hop,
            rings: HashMap::new(),
            queue: BinaryHeap::new(),
            queued: 0,
            now: 0,
            traced: std::env::var("STROWGER_TRACE").ok(),
        }
    }

    /// What time it is.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The dice of this world's seed.
    pub fn dice(&self) -> Dice {
        self.dice
    }

    /// A phone calls the user of another one.
    pub fn call(&mut self, at: u64, from: usize, to: usize, script: Script) {
        let call_id = format!("call{}", self.scripts.len());
        self.scripts.insert(call_id.clone(), script);
        self.queue(at, Event::Deed(Deed::Call { from, to, call_id }));
    }

    /// A phone registers for so many seconds, and refreshes that when half of them have passed.
    pub fn register(&mut self, at: u64, phone: usize, expires: u32) {
        self.queue(at, Event::Deed(Deed::Register(phone, expires)));
    }

    /// A phone registers for so many seconds, and leaves it at that.
    pub fn register_once(&mut self, at: u64, phone: usize, expires: u32) {
        self.queue(at, Event::Deed(Deed::RegisterOnce(phone, expires)));
    }

    /// A phone removes its registration.
    pub fn unregister(&mut self, at: u64, phone: usize) {
        self.queue(at, Event::Deed(Deed::Unregister(phone)));
    }

    /// A phone gets another address; at the old one there is nobody.
    pub fn change_address(&mut self, at: u64, phone: usize) {
        self.queue(at, Event::Deed(Deed::Move(phone)));
    }

    /// Nothing gets from or to a phone during this time.
    pub fn partition(&mut self, from: u64, until: u64, phone: usize) {
        self.queue(from, Event::Deed(Deed::Cut(phone)));
        self.queue(until, Event::Deed(Deed::Heal(phone)));
    }

    /// The network is another one from then on.
    pub fn set_faults(&mut self, at: u64, faults: Faults) {
        self.queue(at, Event::Deed(Deed::Faults(faults)));
    }

    fn queue(&mut self, at: u64, event: Event) {
        self.queued += 1;
        let number = self.queued;
        self.queue.push(Reverse(Queued { at, number, event }));
    }
}

/// What happens.
impl Sim {
    /// Lets time pass until then.
    pub fn run_until(&mut self, until: u64) {
        loop {
            let event = self.queue.peek().map(|Reverse(next)| next.at);
            let shard = self.site.next_deadline();
            let shard = shard.map(|(at, shard)| (at.saturating_sub(BEGIN.mono_ns).max(self.now), shard));
            match (event, shard) {
                (at, Some((due, shard))) if due <= until && at.is_none_or(|at| due <= at) => {
                    self.go_to(due);
                    self.site.wake(shard);
                }
                (Some(at), _) if at <= until => {
                    let Some(Reverse(next)) = self.queue.pop() else {
                        break;
                    };
                    self.go_to(next.at);
                    self.happen(next.event);
                }
                _ => break,
            }
            self.carry_down();
            self.begin_commits();
        }
        self.go_to(until);
    }

    fn go_to(&mut self, at: u64) {
        self.now = at;
        self.site.go_to(BEGIN.mono_ns + at);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Up(from, text) => {
                let shard = self.shard_of(from);
                if let Some(hop) = self
                    .site
                    .arrive(shard, text.as_bytes(), &peer::datagram_from(from))
                {
                    self.begin_hop(hop);
                }
            }
            Event::Hop(hop) => {
                if let Some(count) = self.rings.get_mut(&(hop.from, hop.to)) {
                    *count -= 1;
                }
                self.site.hand_over(&hop);
            }
            Event::Down(to, text) => {
                if let Some(&phone) = self.places.get(&to) {
                    let script = self.script_of(&text);
                    self.with_phone(phone, |phone, now, out| phone.receive(&text, script, now, out));
                } else {
                    self.queue(self.now + 10 * MS, Event::Unreachable(to, text));
                }
            }
            Event::Unreachable(from, text) => {
                let shard = self.shard_of(from);
                self.site.unreachable(shard, from, &text);
            }
            Event::Commit => self.commit(),
            Event::Wake(phone) => self.with_phone(phone, |phone, now, out| phone.wake(now, out)),
            Event::Deed(deed) => self.perform(deed),
        }
    }

    /// The shard whose socket gets what comes from an address.
    fn shard_of(&self, remote: SocketAddr) -> usize {
        self.dice.roll(("shard", remote)).below(self.shards as u64) as usize
    }

    /// The location service says when it will be done with what it was given.
    fn begin_commits(&mut self) {
        let Some((most, _)) = self.commits else { return };
        while self.committing < self.site.commits() {
            self.committing += 1;
            let takes = self.dice.roll(("commit", self.queued)).below(most);
            self.queue(self.now + takes, Event::Commit);
        }
    }

    fn commit(&mut self) {
        let fails = self.commits.map_or(0, |(_, fails)| fails);
        self.committing -= 1;
        if self.dice.roll(("commit fails", self.queued)).percent(fails) {
            self.site.fail_commit(CommitError::Failed(StoreFailure::Io));
        } else {
            self.site.commit();
        }
    }

    /// A full ring drops a datagram.
    fn begin_hop(&mut self, hop: Hop) {
        let count = self.rings.entry((hop.from, hop.to)).or_default();
        if *count == RING {
            return;
        }
        *count += 1;
        if self.hop == 0 {
            return self.happen(Event::Hop(Box::new(hop)));
        }
        let takes = self.dice.roll(("hop", self.queued)).below(self.hop);
        self.queue(self.now + takes, Event::Hop(Box::new(hop)));
    }

    fn script_of(&self, text: &str) -> Script {
        let script = self.scripts.get(value(text, "Call-ID"));
        script.copied().unwrap_or(Script::PLAIN)
    }

    fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::Call { from, to, call_id } => {
                let (to, script) = (self.phones[to].aor(), self.scripts[&call_id]);
                self.with_phone(from, |phone, now, out| {
                    phone.call(&to, &call_id, script, now, out)
                });
            }
            Deed::Register(phone, expires) => {
                self.with_phone(phone, |phone, now, _| phone.register(expires, now));
            }
            Deed::RegisterOnce(phone, expires) => {
                self.with_phone(phone, |phone, now, _| phone.register_once(expires, now));
            }
            Deed::Unregister(phone) => self.with_phone(phone, |phone, now, _| phone.unregister(now)),
            Deed::Move(phone) => {
                let left = self.phones[phone].address();
                self.places.remove(&left);
                let address = place(phone, left.port() - 5060 + 1);
                self.places.insert(address, phone);
                self.with_phone(phone, |phone, now, out| phone.move_to(address, now, out));
            }
            Deed::Cut(phone) => self.network.cut(self.phones[phone].address()),
            Deed::Heal(phone) => self.network.heal(self.phones[phone].address()),
            Deed::Faults(faults) => self.network.faults = faults,
        }
    }

    /// A phone does something; what it sends is on its way, and it is woken when it wants to be.
    fn with_phone(&mut self, number: usize, act: impl FnOnce(&mut Phone, u64, &mut Vec<String>)) {
        let (now, phone, mut out) = (self.now, &mut self.phones[number], Vec::new());
        let before = phone.deadline();
        act(phone, now, &mut out);
        let (after, address) = (phone.deadline(), phone.address());
        if let Some(at) = after.filter(|_| before != after || before.is_some_and(|at| at <= now)) {
            self.queue(at.max(now), Event::Wake(number));
        }
        for text in out {
            let copies = self.network.copies(number, address, true, &text);
            self.trace(address, true, &text, &copies);
            for takes in copies {
                self.queue(now + takes, Event::Up(address, text.clone()));
            }
        }
    }

    /// What the nodes have sent is on its way.
    fn carry_down(&mut self) {
        for sent in self.site.take_sent() {
            let Destination::Datagram { to, .. } = sent.to else {
                panic!("phones take datagrams only: {:?} for {}", sent.to, sent.text);
            };
            let phone = self.places.get(&to).copied().unwrap_or(usize::MAX);
            let copies = self.network.copies(phone, to, false, &sent.text);
            self.trace(to, false, &sent.text, &copies);
            for takes in copies {
                self.queue(self.now + takes, Event::Down(to, sent.text.clone()));
            }
        }
    }
}

impl Sim {
    /// Prints a datagram of the call that `STROWGER_TRACE` names: when it was sent, and after how many milliseconds its
    /// copies come.
    fn trace(&self, phone: SocketAddr, up: bool, text: &str, copies: &[u64]) {
        if self.traced.as_deref() == Some(value(text, "Call-ID")) {
            let way = if up { "->" } else { "<-" };
            let copies: Vec<_> = copies.iter().map(|takes| takes / MS).collect();
            let (first, cseq) = (start_line(text), value(text, "CSeq"));
            eprintln!("{:>8} {phone} {way} {first} ({cseq}) {copies:?}", self.now / MS);
        }
    }
}

/// Where a phone is after so many moves.
fn place(number: usize, moves: u16) -> SocketAddr {
    let [.., high, low] = (number as u32).to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(198, 18, high, low), 5060 + moves))
}
