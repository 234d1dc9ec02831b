//! The nodes of a plan, a virtual clock, and a log of who was sent what.

mod explaining;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc as blocking;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use strowger_net::{Application, Handled};
use strowger_server::admin;
use strowger_server::dns::{Answer, Question};
use strowger_server::events::{Outcome, Settled};
use strowger_server::location::{CommitError, Committed, Location, StoreFailure, Swept};
use strowger_server::node::{Control, Node, Shared};
use strowger_server::push::{Ask, NotPushed, Pushed, Sweep};
use strowger_server::subscriber;
use strowger_sip::registrar::{Binding, Bindings};
use strowger_sip::transport::{Server, keep_alive};
use strowger_sip::{Destination, EndpointConfig, Failure, Now, Outbox, Source};
use strowger_syntax::{Index, Limits};
use tokio::sync::{mpsc, oneshot};

use crate::message::{self, request, with};
use crate::peer;
use crate::plan::{Built, Changes, Meter, Plan, Shard};
use crate::scratch::Scratch;
use crate::sent::Sent;
use crate::slow_store::SlowStore;

/// What the clock shows at first.
pub(crate) const BEGIN: Now = Now {
    mono_ns: 5_000_000_000_000,
    wall_ms: 1_764_000_000_000,
};

/// A node of any number of shards, driven by hand: the test plays its peers, its resolver, its slow store and its clock.
///
/// Whatever a test does is one turn of one shard (two, when a message hops): nothing else happens meanwhile, and what was
/// sent is in the log when the method returns.
pub struct Site {
    /// The shard at which messages arrive.
    pub arrival: usize,
    pub(crate) shards: Vec<Shard>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) endpoint: Arc<EndpointConfig>,
    questions: mpsc::Receiver<Question>,
    pushes: mpsc::Receiver<Ask>,
    user_questions: Option<mpsc::Receiver<subscriber::Question>>,
    store: Option<SlowStore>,
    settled: blocking::Receiver<Settled>,
    changes: Changes,
    meter: Meter,
    spent: u64,
    now: Now,
    /// By how much the wall clock was put forward.
    wall_jumps_ms: i64,
    index: Index,
    out: Outbox,
    sent: Vec<Sent>,
    /// How much of `sent` was asked for.
    logged: usize,
    journal: Vec<u8>,
    _scratch: Scratch,
}

/// A message on its way from the shard that it came to to the one that it belongs to.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) from: usize,
    pub(crate) to: usize,
    bytes: Vec<u8>,
    /// What the first shard has found in it.
    index: Index,
    source: Source,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Site {{ shards: {}, sent: {} }}",
            self.shards.len(),
            self.sent.len()
        )
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::of(Plan::default())
    }
}

impl Site {
    /// The site of the default plan.
    pub fn new() -> Self {
        Self::default()
    }

    /// The site of a plan.
    pub fn of(plan: Plan) -> Self {
        Self::built(plan, None)
    }

    /// The site of a plan, over a location service of the test's.
    pub fn over(location: Arc<dyn Location>, plan: Plan) -> Self {
        Self::built(plan, Some(location))
    }

    fn built(plan: Plan, location: Option<Arc<dyn Location>>) -> Self {
        let meter = plan.meter;
        let Built {
            shards,
            shared,
            endpoint,
            questions,
            pushes,
            user_questions,
            store,
            settled,
            kept,
            changes,
            scratch,
        } = plan.build(location);
        let mut site = Self {
            arrival: 0,
            shards,
            shared,
            endpoint,
            questions,
            pushes,
            user_questions,
            store,
            settled,
            changes,
            meter,
            spent: 0,
            now: BEGIN,
            wall_jumps_ms: 0,
            index: Index::default(),
            out: Outbox::default(),
            sent: Vec::new(),
            logged: 0,
            journal: Vec::new(),
            _scratch: scratch,
        };
        for shard in &mut site.shards {
            let its = kept.iter().filter(|kept| shard.node.owns(&kept.dialog.call_id));
            shard.node.resume(its.cloned().collect(), BEGIN);
        }
        site
    }

    /// One turn of a shard.
    pub(crate) fn turn<T>(
        &mut self,
        shard: usize,
        call: impl FnOnce(&mut Node, &mut Index, Now, &mut Outbox) -> T,
    ) -> T {
        let (node, index, out, now) = (
            &mut self.shards[shard].node,
            &mut self.index,
            &mut self.out,
            self.now,
        );
        let (mut call, mut result) = (Some(call), None);
        self.spent += (self.meter)(&mut || {
            result = call.take().map(|call| call(node, index, now, out));
            node.turn_ended(now);
        });
        let journal = &mut self.journal;
        self.shards[shard]
            .journal
            .write_all(|lines| journal.extend_from_slice(lines));
        self.collect(shard);
        self.tell_changes();
        result.expect("a meter makes the call")
    }

    /// Tells the shards that wait for bindings that have changed.
    fn tell_changes(&mut self) {
        let told = std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner));
        for shard in told {
            self.control(usize::from(shard), Control::BindingsChanged);
        }
    }

    fn collect(&mut self, shard: usize) {
        for transmit in &self.out.transmits {
            let bytes = self.out.message(transmit).to_vec();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if keep_alive(&bytes).is_none()
                && let Err(bad) = Index::default().parse(&bytes, &Limits::DEFAULT)
            {
                // What is wrong with a request may be what its answer has to copy.
                let refusal = text.starts_with("SIP/2.0 4") || text.starts_with("SIP/2.0 5");
                assert!(refusal, "{bad}: {text}");
            }
            self.sent.push(Sent {
                shard,
                at_ms: (self.now.mono_ns - BEGIN.mono_ns) / 1_000_000,
                to: transmit.to,
                text,
                bytes,
                token: transmit.token,
            });
        }
        self.out.clear();
    }

    /// What the calls of the nodes have cost by the plan's meter since it was last asked.
    pub fn spent(&mut self) -> u64 {
        std::mem::take(&mut self.spent)
    }

    /// That nothing is left once every timer has run out: no transaction, no call, nothing that waits.
    #[track_caller]
    pub fn assert_ends(&mut self) {
        self.pass(400_000);
        self.assert_empty();
    }

    /// That nothing is left now.
    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        for shard in &self.shards {
            shard.assert_empty();
        }
    }
}

/// What the nodes hold.
impl Site {
    /// Transactions, records of calls, and bytes of messages that are kept.
    pub(crate) fn held(&self) -> (u64, u64, u64) {
        let tallies = self.shards.iter().map(|shard| &shard.tally);
        tallies.fold((0, 0, 0), |(transactions, calls, kept), tally| {
            (
                transactions + tally.transactions(),
                calls + tally.calls(),
                kept + tally.kept_bytes(),
            )
        })
    }

    /// The bytes that the nodes hold, by what for.
    pub fn memory(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for (part, bytes) in self.shards.iter().flat_map(|shard| shard.tally.memory()) {
            *all.entry(part).or_default() += bytes;
        }
        all
    }

    /// The contacts of each address-of-record that have not expired, and when they will, in seconds since the beginning.
    pub(crate) fn bindings(&self) -> BTreeMap<String, Vec<(String, u64)>> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut all = BTreeMap::new();
        self.shared.location.for_each(&mut |aor, record| {
            let live = Bindings::new(record).live(self.now.wall_secs());
            let bound = |b: Binding<'_>| (text(b.contact), u64::from(b.expires_at) - BEGIN.wall_secs());
            let bindings: Vec<_> = live.map(bound).collect();
            if !bindings.is_empty() {
                all.insert(text(aor), bindings);
            }
        });
        all
    }

    /// How many records the location service has left when it has let go of those that have expired.
    pub(crate) fn records(&self) -> usize {
        let location = &self.shared.location;
        while location.sweep(self.now.wall_secs() as u32, &mut |_| {}) == Swept::Going {}
        location.len()
    }
}

/// Peers.
impl Site {
    /// A peer sends a datagram. The shard that dealt with it.
    pub fn send(&mut self, who: char, text: &str) -> usize {
        self.send_bytes(who, text.as_bytes())
    }

    /// A peer sends a datagram that need not be text. The shard that dealt with it.
    pub fn send_bytes(&mut self, who: char, bytes: &[u8]) -> usize {
        self.deliver(bytes, &peer::datagram(who))
    }

    /// A peer sends a datagram to a site of one shard, and nobody looks at what comes of it: nothing but the node's own
    /// work, to be measured.
    pub fn send_unseen(&mut self, who: char, bytes: &[u8]) {
        let (shard, source) = (&mut self.shards[self.arrival], peer::datagram(who));
        let index = &mut self.index;
        let handled = shard.node.receive(bytes, index, &source, self.now, &mut self.out);
        assert_eq!(handled, Handled::Done);
        shard.node.turn_ended(self.now);
        self.out.clear();
    }

    /// Somebody sends a datagram from any address, whom no letter stands for. What the nodes send because of it, which
    /// nothing keeps, nor what they have written into their logs.
    pub fn exchange(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.deliver(bytes, &peer::datagram_from(from));
        self.drain()
    }

    /// What the nodes have sent, which nothing keeps then, nor what they have written into their logs.
    pub fn drain(&mut self) -> Vec<Vec<u8>> {
        self.journal.clear();
        self.take_sent().into_iter().map(|sent| sent.bytes).collect()
    }

    /// A peer sends a datagram to a multicast group. The shard that dealt with it.
    pub fn send_multicast(&mut self, who: char, group: SocketAddr, bytes: impl AsRef<[u8]>) -> usize {
        self.deliver(bytes.as_ref(), &peer::multicast(who, group))
    }

    /// A peer sends a message over its connection. The shard that dealt with it.
    pub fn send_tcp(&mut self, who: char, text: &str) -> usize {
        let source = peer::connection(who, self.arrival);
        self.deliver(text.as_bytes(), &source)
    }

    fn deliver(&mut self, bytes: &[u8], source: &Source) -> usize {
        let at = self.arrival;
        let Some(hop) = self.arrive(at, bytes, source) else {
            return at;
        };
        let shard = hop.to;
        self.hand_over(&hop);
        shard
    }

    /// A message arrives at a shard: the hop that it has to make from there, if it belongs to another one.
    pub(crate) fn arrive(&mut self, at: usize, bytes: &[u8], source: &Source) -> Option<Hop> {
        let handled = self.turn(at, |node, index, now, out| {
            node.receive(bytes, index, source, now, out)
        });
        let Handled::Hop(to) = handled else { return None };
        let to = usize::from(to);
        assert_ne!(to, at, "a hop to itself");
        Some(Hop {
            from: at,
            to,
            bytes: bytes.to_owned(),
            index: std::mem::take(&mut self.index),
            source: *source,
        })
    }

    /// A message has made its hop.
    pub(crate) fn hand_over(&mut self, hop: &Hop) {
        self.turn(hop.to, |node, _, now, out| {
            node.receive_hop(&hop.bytes, &hop.index, &hop.source, now, out)
        });
    }

    /// What came back for the message: the one answer to a request that is not forwarded.
    #[track_caller]
    pub fn ask(&mut self, who: char, text: &str) -> String {
        self.log();
        self.send(who, text);
        let answers = &self.sent[self.logged..];
        assert_eq!(answers.len(), 1, "{} for {text}", answers.len());
        assert!(answers[0].is_to(who), "{:?}", answers[0].to);
        let answer = answers[0].text.clone();
        self.log();
        answer
    }

    /// A peer answers the last request (neither ACK nor CANCEL) that it was sent.
    #[track_caller]
    pub fn answer(&mut self, who: char, code: u16) {
        let text = self.response(who, code, "");
        self.send(who, &text);
    }

    /// The answer that a peer would give, with header field lines of its own.
    #[track_caller]
    pub fn response(&self, who: char, code: u16, lines: &str) -> String {
        let is_first = |text: &str| {
            !["ACK ", "CANCEL ", "SIP/2.0 "]
                .iter()
                .any(|begin| text.starts_with(begin))
        };
        let request = self
            .sent
            .iter()
            .rfind(|sent| sent.is_to(who) && is_first(&sent.text))
            .expect("was sent one");
        message::response(&request.text, who, code, lines)
    }

    /// A peer answers the last CANCEL that it was sent.
    #[track_caller]
    pub fn answer_cancel(&mut self, who: char, code: u16) {
        let text = message::response(self.last(who, "CANCEL "), who, code, "");
        self.send(who, &text);
    }

    /// Registers a peer's address as its user's contact, for an hour.
    #[track_caller]
    pub fn register(&mut self, who: char) {
        let name = peer::user(who);
        let text = request(who, "REGISTER", "sip:example.test", 9000 + who as u32).replace(
            "To: <sip:example.test>",
            &format!("To: <sip:{name}@example.test>"),
        );
        let contact = format!("Contact: <sip:{name}@{}>\r\nExpires: 3600", peer::address(who));
        let answer = self.ask(who, &with(&text, &contact));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }

    /// A call from `a` to `b`, up to the ACK: the 200 as `a` got it.
    #[track_caller]
    pub fn call(&mut self, n: u32) -> String {
        self.send('a', &request('a', "INVITE", "sip:bob@example.test", n));
        let ok = self.pick_up();
        self.log();
        ok
    }

    /// `b` answers the INVITE that it was sent, with its contact and the route that was recorded: the 200 as `a` got it.
    #[track_caller]
    pub fn pick_up(&mut self) -> String {
        let route = message::lines(self.last('b', "INVITE"), "Record-Route").join(",");
        let contact = format!(
            "Contact: <sip:bob@{}>\r\nRecord-Route: {route}",
            peer::address('b')
        );
        let ok = self.response('b', 200, &contact);
        self.send('b', &ok);
        self.last('a', "SIP/2.0 200").to_owned()
    }
}

/// The log.
impl Site {
    /// The lines that the node wrote into its own log since this was last asked for, without their times.
    pub fn journal(&mut self) -> Vec<String> {
        let lines = String::from_utf8_lossy(&std::mem::take(&mut self.journal)).into_owned();
        let timeless = |line: &str| line.split_once("  ").map_or(line, |(_, text)| text).to_owned();
        lines.lines().map(timeless).collect()
    }

    /// What was sent since it was last asked: `who what`, comma-separated.
    pub fn log(&mut self) -> String {
        self.describe_new(Sent::describe)
    }

    /// As [`log`](Self::log), with the times in milliseconds.
    pub fn timed_log(&mut self) -> String {
        self.describe_new(|sent| format!("{} {}", sent.at_ms, sent.describe()))
    }

    /// The messages sent since it was last asked.
    pub(crate) fn take_new(&mut self) -> &[Sent] {
        let from = std::mem::replace(&mut self.logged, self.sent.len());
        &self.sent[from..]
    }

    fn describe_new(&mut self, describe: impl Fn(&Sent) -> String) -> String {
        let log: Vec<_> = self.sent[self.logged..].iter().map(describe).collect();
        self.logged = self.sent.len();
        log.join(", ")
    }

    /// The last message to a peer that begins so.
    #[track_caller]
    pub fn last(&self, who: char, begins: &str) -> &str {
        let sent = self
            .sent
            .iter()
            .rfind(|sent| sent.is_to(who) && sent.text.starts_with(begins));
        &sent.unwrap_or_else(|| panic!("{who} was sent no {begins}")).text
    }

    /// What was sent since this or the log was last asked for, byte by byte, and where each went.
    pub fn new_messages(&mut self) -> Vec<(Destination, Vec<u8>)> {
        let new = &self.sent[self.logged..];
        let new = new.iter().map(|sent| (sent.to, sent.bytes.clone())).collect();
        self.logged = self.sent.len();
        new
    }

    /// Takes all messages that were sent out of the log.
    pub(crate) fn take_sent(&mut self) -> Vec<Sent> {
        self.logged = 0;
        std::mem::take(&mut self.sent)
    }

    /// The bytes of all messages that a peer was sent.
    pub fn bytes_to(&self, who: char) -> usize {
        let sent = self.sent.iter().filter(|sent| sent.is_to(who));
        sent.map(|sent| sent.text.len()).sum()
    }

    /// Where the last message of all went.
    #[track_caller]
    pub fn last_to(&self) -> Destination {
        self.sent.last().expect("was sent").to
    }
}

/// What the network says of messages that were sent.
impl Site {
    /// An ICMP error for the last message to a peer comes to this shard.
    #[track_caller]
    pub fn icmp(&mut self, at: usize, who: char) {
        let sent = self.sent.iter().rfind(|sent| sent.is_to(who)).expect("was sent");
        let text = sent.text.clone();
        self.unreachable(at, peer::address(who), &text);
    }

    /// An ICMP error for a message to this address comes to this shard.
    pub(crate) fn unreachable(&mut self, at: usize, remote: SocketAddr, text: &str) {
        let quoted = &text.as_bytes()[..text.len().min(300)];
        let mut tell = |shard| {
            self.turn(shard, |node, _, now, out| {
                node.unreachable(remote, Failure::Refused, quoted, now, out)
            })
        };
        if let Handled::Hop(shard) = tell(at) {
            let shard = usize::from(shard);
            assert_ne!(shard, at, "a hop to itself");
            assert_eq!(tell(shard), Handled::Done);
        }
    }

    /// The last message of all could not be sent.
    #[track_caller]
    pub fn fail_last(&mut self) {
        self.fail_last_by(Failure::Refused);
    }

    /// The last message of all could not be sent, or was sent in vain.
    #[track_caller]
    pub fn fail_last_by(&mut self, failure: Failure) {
        let Sent { shard, token, .. } = *self.sent.last().expect("was sent");
        assert_ne!(token, 0);
        self.turn(shard, |node, _, now, out| {
            node.send_failed(token, failure, now, out)
        });
    }
}

/// The control side.
impl Site {
    /// Sends something to a shard.
    pub fn control(&mut self, shard: usize, control: Control) {
        self.turn(shard, |node, _, now, out| node.control(control, now, out));
    }

    /// The calls of all shards, as an administrator sees them.
    pub fn calls(&mut self) -> Vec<admin::Call> {
        let mut all = Vec::new();
        for shard in 0..self.shards.len() {
            let (reply, mut calls) = oneshot::channel();
            self.control(shard, Control::ListCalls(reply));
            all.append(&mut calls.try_recv().expect("a list"));
        }
        all
    }

    /// The first question to the resolver that waits.
    pub fn question(&mut self) -> Option<Question> {
        self.questions.try_recv().ok()
    }

    /// The resolver answers the first question that waits: the name has these addresses, but only for now. The name that was
    /// asked for.
    #[track_caller]
    pub fn resolve(&mut self, addresses: &[IpAddr]) -> String {
        let question = self.question().expect("a question");
        self.answer_question(&question, addresses);
        question.host.as_str().to_owned()
    }

    /// The resolver answers a question with addresses, which hold only for now.
    pub fn answer_question(&mut self, question: &Question, addresses: &[IpAddr]) {
        let server = Server {
            rank: 0,
            weight: 0,
            transport: None,
            port: None,
            addresses: addresses.to_vec(),
        };
        let servers = Some(server).filter(|server| !server.addresses.is_empty());
        self.answer_with(question, servers.into_iter().collect(), 0);
    }

    /// The resolver answers a question with servers, which hold for so many seconds.
    pub fn answer_with(&mut self, question: &Question, servers: Vec<Server>, ttl_secs: u32) {
        let answer = Answer {
            servers,
            ttl_secs,
            failed: false,
        };
        let now_ms = self.now.mono_ms();
        let dns = Arc::clone(&self.shared.dns);
        dns.learn(question.host, question.wanted, answer, now_ms);
        if let Some((shard, ticket)) = question.asker {
            self.control(usize::from(shard), Control::Resolved(ticket));
        }
    }

    /// The first device that is to be pushed.
    pub fn push(&mut self) -> Option<Ask> {
        self.pushes.try_recv().ok()
    }

    /// The push service has taken a push, or why it has not.
    pub fn answer_push(&mut self, ask: &Ask, result: Result<(), NotPushed>) {
        let (shard, ticket) = ask.asker;
        let is_failed = result.is_err();
        let pushed = Pushed { ticket, result };
        self.control(usize::from(shard), Control::Pushed(Box::new(pushed)));
        for other in (0..self.shards.len()).filter(|&other| is_failed && other != usize::from(shard)) {
            self.control(other, Control::NotPushed(ask.device));
        }
    }

    /// The devices whose registrations are refreshed by a push now, if it was looked for them so many seconds ago: whose they are.
    pub fn refreshes(&mut self, ago_secs: Option<u64>) -> Vec<String> {
        let at_secs = self.now.wall_secs();
        let before_secs = ago_secs.map(|ago| at_secs - ago);
        let sweep = Sweep { at_secs, before_secs };
        let due = self.shared.push.due(&*self.shared.location, sweep);
        due.iter().map(|due| due.push.aor.to_string()).collect()
    }

    /// The first question to the server of users that waits.
    pub fn user_question(&mut self) -> Option<subscriber::Question> {
        self.user_questions.as_mut()?.try_recv().ok()
    }

    /// Removes a user from those that the node keeps.
    #[track_caller]
    pub fn remove_user(&mut self, user: &str) {
        let user = user.parse().expect("a user");
        self.shared.subscribers.remove(&user).expect("it is removed");
    }

    /// The server of users answers a question with this status and body; it fails with what means nothing.
    pub fn answer_user(&mut self, question: &subscriber::Question, status: u16, body: &str) {
        let (subscribers, now_ms) = (Arc::clone(&self.shared.subscribers), self.now.mono_ms());
        let lookup = subscribers.lookup().expect("a plan with a server of users");
        let answered = lookup
            .learn_text(question, status, body.as_bytes(), now_ms)
            .is_ok();
        if let Some((shard, ticket)) = question.asker {
            self.control(usize::from(shard), Control::UserLookedUp { ticket, answered });
        }
    }

    /// How many commits wait for the slow store.
    #[track_caller]
    pub fn commits(&self) -> usize {
        self.store().waiting()
    }

    /// The slow store makes the first commit that waits, and says so.
    #[track_caller]
    pub fn commit(&mut self) {
        let committed = self.store().commit_next();
        self.committed(committed.expect("a commit waits"));
    }

    /// The slow store cannot make the first commit that waits, and says so.
    #[track_caller]
    pub fn fail_commit(&mut self, error: CommitError) {
        let committed = self.store().fail_next(error);
        self.committed(committed.expect("a commit waits"));
    }

    fn committed(&mut self, committed: Committed) {
        self.control(
            usize::from(committed.caller.shard),
            Control::Committed(vec![committed]),
        );
    }

    #[track_caller]
    fn store(&self) -> &SlowStore {
        self.store.as_ref().expect("a plan with a slow store")
    }
}

/// Subscriptions on the disk.
impl Site {
    /// The next change of a subscription that somebody waits for is on the disk.
    #[track_caller]
    pub fn subscription_kept(&mut self) {
        self.subscription_settled(|settled| settled);
    }

    /// The next change of a subscription that somebody waits for could not be written, as the node is told.
    #[track_caller]
    pub fn subscription_not_kept(&mut self) {
        let outcome = Outcome::Failed(StoreFailure::Io);
        self.subscription_settled(|settled| Settled { outcome, ..settled });
    }

    #[track_caller]
    fn subscription_settled(&mut self, told: impl Fn(Settled) -> Settled) {
        let settled = self.settled.recv_timeout(Duration::from_secs(10));
        let settled = settled.expect("a change is under way");
        let shard = usize::from(settled.caller.shard);
        self.control(shard, Control::SubscriptionsKept(vec![told(settled)]));
    }
}

/// The clock.
impl Site {
    /// Lets this much time pass, in milliseconds, from deadline to deadline.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now.mono_ns + ms * 1_000_000;
        while let Some((at, shard)) = self.next_deadline().filter(|&(at, _)| at <= until) {
            self.go_to(self.now.mono_ns.max(at));
            self.wake(shard);
        }
        self.go_to(until);
    }

    /// Time has come to the deadline of a shard.
    pub(crate) fn wake(&mut self, shard: usize) {
        self.turn(shard, |node, _, now, out| node.wake(now, out));
    }

    /// When a shard wants to be woken next, in monotonic nanoseconds, and which.
    pub(crate) fn next_deadline(&self) -> Option<(u64, usize)> {
        let shards = self.shards.iter().enumerate();
        shards
            .filter_map(|(number, shard)| Some((shard.node.deadline()?, number)))
            .min()
    }

    /// The clock shows this many monotonic nanoseconds.
    pub(crate) fn go_to(&mut self, mono_ns: u64) {
        let wall_ms = BEGIN.wall_ms + (mono_ns - BEGIN.mono_ns) / 1_000_000;
        self.now = Now {
            mono_ns,
            wall_ms: wall_ms.saturating_add_signed(self.wall_jumps_ms),
        };
    }

    /// The wall clock is put forward, or back, by so many seconds; monotonic time goes on.
    pub fn jump(&mut self, secs: i64) {
        self.wall_jumps_ms += secs * 1000;
        self.go_to(self.now.mono_ns);
    }

    /// What the wall clock shows, in Unix seconds.
    pub fn wall_secs(&self) -> u64 {
        self.now.wall_secs()
    }
}
