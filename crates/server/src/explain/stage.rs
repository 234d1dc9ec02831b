//! Where a message is played through: a node, its stores, its clock, and whatever it asks for.

use std::sync::Arc;

use strowger_net::{Application, Handled};
use strowger_sip::transport::{Listeners, Owner};
use strowger_sip::{Endpoint, EndpointConfig, Now, Outbox, Source};
use strowger_syntax::{Index, Limits, Message};

use super::detached::Detached;
use super::verdict::Verdict;
use super::{
    Arrival, Asked, Explanation, Ground, Later, MessageSeen, RecordChange, Sent, Unclear, credentials,
    remarks,
};
use crate::config;
use crate::dns::{Dns, Observed, Question, System, Zone, ZoneError};
use crate::node::trace::{Step, TransactionFound, listener, place};
use crate::node::{Control, Journal, Node};

/// How long what follows is played, in milliseconds: longer than any transaction and the default timer C.
const HORIZON_MS: u64 = 240_000;
/// Turns of the clock, and messages that are told of what follows.
const TURNS: usize = 20_000;
const TOLD: usize = 64;

/// Who is asked for names: DNS, or records that are given instead.
#[derive(Debug)]
pub struct Names {
    records: Arc<Observed>,
    /// Whether they are given, so that nothing counts that DNS has said before.
    given: bool,
}

impl Names {
    /// Of records, one to a line, if there are any; else of DNS as it is configured.
    ///
    /// # Errors
    /// [`ZoneError`]: the first line that is no record.
    pub fn of(records: Option<&str>, settings: &config::Dns) -> Result<Self, ZoneError> {
        Ok(match records {
            Some(text) => Self {
                records: Arc::new(Observed::file(Zone::parse(text)?)),
                given: true,
            },
            None => Self {
                records: Arc::new(Observed::system(System::new(settings))),
                given: false,
            },
        })
    }

    /// Answers a question into what is known; what was asked for it, and the servers.
    pub async fn answer(&self, dns: &Dns, question: &Question, now_ms: u64) -> Vec<Step> {
        let (answer, asked) = self.records.answer(dns, question, now_ms).await;
        let mut steps = Vec::new();
        for asked in asked {
            let step = Step::Dns {
                question: asked.question,
                answers: asked.answers,
                ttl: asked.ttl_secs,
                failed: asked.failed,
                from: self.records.authority().to_owned(),
            };
            // What NAPTR names may have been asked for by its usual name too.
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
        steps.push(Step::servers(question.host.as_bytes(), &answer.servers, false));
        steps
    }

    /// Whether they are given.
    pub fn is_given(&self) -> bool {
        self.given
    }
}

/// The shard that a message belongs to; the first where that depends on where it arrives.
pub fn owner(endpoint: &EndpointConfig, bytes: &[u8], framed: bool) -> u16 {
    let identity = Endpoint::new(0, endpoint).identity;
    let index = indexed(bytes, &identity.limits, framed);
    match identity.owner(bytes, &index) {
        Owner::Here => 0,
        Owner::Shard(shard) => shard,
    }
}

fn indexed(bytes: &[u8], limits: &Limits, framed: bool) -> Index {
    let mut index = Index::default();
    // What is wrong with it is told by the node.
    let _ = if framed {
        index.parse_framed(bytes, limits).is_ok()
    } else {
        index.parse(bytes, limits).is_ok()
    };
    index
}

/// A node that a message is played to.
#[derive(Debug)]
pub struct Stage {
    node: Node,
    detached: Detached,
    endpoint: EndpointConfig,
    ground: Ground,
    shard: u16,
    /// Whether the node has all that the one has that it stands for.
    whole: bool,
}

impl Stage {
    /// A stage with a node that has just begun.
    pub fn new(
        (detached, journal): (Detached, Journal),
        endpoint: &EndpointConfig,
        ground: Ground,
        shard: u16,
    ) -> Self {
        let shared = Arc::clone(&detached.shared);
        let mut node = Node::new(shard, shared, endpoint, journal, Arc::default());
        node.listen();
        Self {
            node,
            detached,
            endpoint: endpoint.clone(),
            ground,
            shard,
            whole: ground == Ground::Candidate,
        }
    }

    /// A stage with the copy of a running node, over these stores.
    pub fn over(node: Node, detached: Detached, endpoint: &EndpointConfig, shard: u16) -> Self {
        Self {
            node,
            detached,
            endpoint: endpoint.clone(),
            ground: Ground::Live,
            shard,
            whole: true,
        }
    }

    /// Plays a message through. To be called within a tokio runtime if names are asked for.
    ///
    /// # Errors
    /// [`Unclear`]: nothing is known of the user whose credentials it would have.
    pub async fn explain(mut self, asked: &Asked, names: &Names) -> Result<Explanation, Unclear> {
        let listeners = Arc::clone(&self.endpoint.listeners);
        let (source, now) = (&asked.source, asked.now);
        let index = indexed(&asked.bytes, &self.endpoint.limits, source.flow.is_some());
        let mut assumed = asked.assumed.clone();
        let mut play = Play {
            out: Outbox::default(),
            steps: Vec::new(),
            sent: Vec::new(),
            listeners: &listeners,
            source: *source,
        };
        if self.endpoint.shards > 1 {
            play.steps.push(Step::Shard {
                owner: self.shard,
                shards: self.endpoint.shards,
            });
        }
        let message = MessageSeen::of(&asked.bytes, &index);
        let mut remarks = asked.remarks.clone();
        remarks::add(&asked.bytes, &index, source, &mut remarks);
        if !self.whole {
            let found = TransactionFound::NotLookedAt;
            play.steps.push(Step::Transaction { found });
        }
        match &asked.user {
            None => self.play(&asked.bytes, source, now, &mut play),
            Some(user) => assumed.push(self.play_as(user, asked, &mut play)?),
        }
        self.answer_questions(&mut play, names, now).await;
        let changed = self.detached.overlay.changes();
        let log = self.log(now);
        let later = self.play_on(&mut play, names, now, &asked.bytes).await;
        Ok(Explanation {
            verdict: Verdict::of(&message, &play.steps, &play.sent),
            ground: self.ground,
            at: now.wall_secs(),
            arrival: Arrival {
                source: place(source.transport, source.remote),
                listener: listener(&listeners, source.listener),
                shard: self.shard,
                shards: self.endpoint.shards,
                assumed,
            },
            message,
            remarks,
            steps: play.steps,
            sent: play.sent,
            changed: changed
                .iter()
                .map(|change| RecordChange::of(change, now.wall_secs()))
                .collect(),
            later,
            log,
        })
    }

    fn play(&mut self, bytes: &[u8], source: &Source, now: Now, play: &mut Play<'_>) {
        let mut index = indexed(bytes, &self.endpoint.limits, source.flow.is_some());
        let handled = self.node.receive(bytes, &mut index, source, now, &mut play.out);
        debug_assert_eq!(handled, Handled::Done, "the stage is of the owner's");
        play.collect(&self.node);
    }

    /// Plays a request as its sender would have it go on: where it is challenged, with the credentials of a user who answers that.
    /// What is assumed by that.
    fn play_as(&mut self, user: &str, asked: &Asked, play: &mut Play<'_>) -> Result<String, Unclear> {
        let Asked { source, now, .. } = asked;
        let limits = self.endpoint.limits;
        let bytes = credentials::without_credentials(&asked.bytes, &limits);
        let begun = play.steps.len();
        self.play(&bytes, source, *now, play);
        let Some(challenge) = credentials::challenge(&play.sent) else {
            return Ok(format!(
                "there was no challenge that `{user}` could have answered, and the credentials that the message has are left out"
            ));
        };
        let assumed = format!(
            "`{user}` has answered {}, and the credentials that the message has are left out",
            challenge.start_line.trim_start_matches("SIP/2.0 ")
        );
        let subscribers = &self.detached.shared.subscribers;
        let bytes = credentials::with_credentials(&bytes, challenge, user, subscribers, &limits)?;
        play.steps.truncate(begun);
        play.sent.clear();
        self.play(&bytes, source, *now, play);
        Ok(assumed)
    }

    /// Answers what the node asks for, until it asks for nothing more.
    async fn answer_questions(&mut self, play: &mut Play<'_>, names: &Names, now: Now) {
        while let Ok(question) = self.detached.questions.try_recv() {
            let dns = Arc::clone(&self.detached.shared.dns);
            let mut steps = names.answer(&dns, &question, now.mono_ms()).await;
            play.steps.append(&mut steps);
            if let Some((_, ticket)) = question.asker {
                self.node.control(Control::Resolved(ticket), now, &mut play.out);
                play.collect(&self.node);
            }
        }
    }

    fn log(&mut self, now: Now) -> Vec<String> {
        let mut text = Vec::new();
        self.node.turn_ended(now);
        self.detached
            .lines
            .write_all(|lines| text.extend_from_slice(lines));
        let text = String::from_utf8_lossy(&text);
        let timeless = |line: &str| line.split_once("  ").map_or(line, |(_, said)| said).to_owned();
        text.lines().map(timeless).collect()
    }

    /// Lets the time pass in which nobody answers. What the node does for others meanwhile is left out.
    async fn play_on(&mut self, play: &mut Play<'_>, names: &Names, begun: Now, bytes: &[u8]) -> Vec<Later> {
        let limits = &self.endpoint.limits;
        let call_id = indexed(bytes, limits, false).call_id(bytes).map(<[u8]>::to_owned);
        let Some(call_id) = call_id else {
            return Vec::new();
        };
        let mut before = std::mem::take(&mut play.sent);
        let steps = std::mem::take(&mut play.steps);
        let mut later: Vec<Later> = Vec::new();
        for _ in 0..TURNS {
            let Some(deadline) = self.node.deadline() else {
                break;
            };
            // Timers are of whole milliseconds.
            let passed_ms = (deadline / 1_000_000).saturating_sub(begun.mono_ms());
            if passed_ms > HORIZON_MS || later.len() >= TOLD {
                break;
            }
            let now = Now {
                mono_ns: deadline.max(begun.mono_ns),
                wall_ms: begun.wall_ms + passed_ms,
            };
            self.node.wake(now, &mut play.out);
            play.collect_of(&self.node, Some(&call_id));
            self.answer_questions(play, names, now).await;
            for sent in play.sent.drain(..) {
                let same = |other: &Sent| (&other.to, &other.text) == (&sent.to, &sent.text);
                let again = before.iter().any(same) || later.iter().any(|later| same(&later.sent));
                later.push(Later {
                    after_ms: passed_ms,
                    sent,
                    again,
                });
            }
        }
        play.sent = std::mem::take(&mut before);
        play.steps = steps;
        later
    }
}

/// What comes of a message.
struct Play<'l> {
    out: Outbox,
    steps: Vec<Step>,
    sent: Vec<Sent>,
    listeners: &'l Listeners,
    source: Source,
}

impl Play<'_> {
    fn collect(&mut self, node: &Node) {
        self.collect_of(node, None);
    }

    /// Takes what the node has noted and would send; of messages only those with this Call-ID.
    fn collect_of(&mut self, node: &Node, call_id: Option<&[u8]>) {
        self.steps.append(&mut node.steps());
        let source = self.source.remote.to_string();
        let came_by = self
            .source
            .flow
            .map(|flow| (flow, self.source.transport.uri_param(), source.as_str()));
        for transmit in &self.out.transmits {
            let bytes = self.out.message(transmit);
            let index = indexed(bytes, &Limits::DEFAULT, false);
            if call_id.is_none_or(|call_id| Message::view(bytes, &index).call_id() == call_id) {
                self.sent
                    .push(Sent::of(bytes, &transmit.to, self.listeners, came_by));
            }
        }
        self.out.clear();
    }
}
