//! What asks the server: one question for each user, however many requests wait for the answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use strowger_net::Handle;
use strowger_sip::memory::Id;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Answer, Question, answer};
use crate::config::UserLookup;
use crate::dns::deliver;
use crate::http::{Client, Limits};
use crate::node::Control;
use crate::subscriber::Subscribers;

/// For so long after the server was not there everybody who asks is told so.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the log tells of failures at most.
const TOLD: Duration = Duration::from_secs(60);

/// The bytes that an answer may have.
const MOST_BODY: usize = 64 << 10;

/// The server.
pub(crate) struct Server {
    client: Client,
    url: String,
    settings: UserLookup,
    token: Option<String>,
}

/// Without its token.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// The one at this URL.
    pub(crate) fn new(url: &str, settings: &UserLookup, token: Option<String>) -> Self {
        let limits = Limits {
            time: settings.timeout,
            body: MOST_BODY,
            at_once: usize::from(settings.at_once),
            // What waits is in the queue of questions.
            waiting: 0,
        };
        Self {
            client: Client::new(limits),
            url: url.to_owned(),
            settings: settings.clone(),
            token,
        }
    }

    async fn ask(&self, question: &Question) -> Result<Answer, Failure> {
        let method = self.settings.method;
        let request = answer::request(&self.url, method, self.token.as_deref(), question)
            .map_err(|error| Failure::of_one(error.to_string()))?;
        let answer = self.client.ask(&request).await.map_err(|error| Failure {
            why: error.to_string(),
            of_all: true,
        })?;
        answer::read(answer.status, &answer.body, question).map_err(|why| Failure {
            why,
            of_all: matches!(answer.status, 502..=504),
        })
    }
}

/// Why there is no answer.
struct Failure {
    why: String,
    /// Whether others would get none either. One name that the server chokes on keeps nobody else out.
    of_all: bool,
}

impl Failure {
    fn of_one(why: String) -> Self {
        Self { why, of_all: false }
    }
}

/// Asks the server, if there is one, whatever shards ask, until nobody can ask any more.
pub(crate) fn spawn(
    subscribers: &Arc<Subscribers>,
    asked: Option<(mpsc::Receiver<Question>, Server)>,
    shards: Handle<Control>,
) {
    let Some((questions, server)) = asked else { return };
    let at_once = usize::from(server.settings.at_once);
    let mut worker = Worker {
        subscribers: Arc::clone(subscribers),
        server: Arc::new(server),
        shards,
        under_way: HashMap::new(),
        fails_until: None,
        told: None,
    };
    tokio::spawn(async move { worker.run(questions, at_once).await });
}

struct Worker {
    subscribers: Arc<Subscribers>,
    server: Arc<Server>,
    shards: Handle<Control>,
    /// Who waits for which user.
    under_way: HashMap<Box<str>, Vec<(u16, Id)>>,
    fails_until: Option<Instant>,
    /// When the log told of a failure.
    told: Option<Instant>,
}

impl Worker {
    async fn run(&mut self, mut questions: mpsc::Receiver<Question>, at_once: usize) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    if let Ok((question, answer)) = ended {
                        self.on_answer(&question, answer);
                    }
                }
                question = questions.recv(), if tasks.len() < at_once => {
                    let Some(question) = question else { return };
                    if self.fails_until.is_some_and(|until| Instant::now() < until) {
                        self.tell(question.asker, false);
                        continue;
                    }
                    let is_new = !self.under_way.contains_key(&question.address);
                    self.under_way.entry(question.address.clone()).or_default().extend(question.asker);
                    if is_new {
                        let server = Arc::clone(&self.server);
                        tasks.spawn(async move {
                            let answer = server.ask(&question).await;
                            (question, answer)
                        });
                    }
                }
            }
        }
    }

    fn on_answer(&mut self, question: &Question, answer: Result<Answer, Failure>) {
        let now = Instant::now();
        match &answer {
            Ok(_) => self.fails_until = None,
            Err(failure) => {
                if failure.of_all {
                    self.fails_until = Some(now + PAUSE);
                }
                if self.told.is_none_or(|told| now >= told + TOLD) {
                    self.told = Some(now);
                    let from = self.subscribers.origin();
                    tracing::error!("a user cannot be looked up at {from}: {}", failure.why);
                }
            }
        }
        let answered = answer.is_ok();
        if let Some(lookup) = self.subscribers.lookup() {
            lookup.learn(question, answer.ok(), strowger_net::now().mono_ms());
        }
        for asker in self.under_way.remove(&question.address).unwrap_or_default() {
            self.tell(Some(asker), answered);
        }
    }

    fn tell(&self, asker: Option<(u16, Id)>, answered: bool) {
        let Some((shard, ticket)) = asker else { return };
        let control = Control::UserLookedUp { ticket, answered };
        if let Err(control) = self.shards.send(shard, control) {
            let shards = self.shards.clone();
            tokio::spawn(async move { deliver(&shards, shard, control).await });
        }
    }
}
