//! Users whom an HTTP server is asked for, each when a request needs to know of it. Shards read what was said before, and
//! name what they lack with a ticket; one question for each user is under way, however many requests wait.
//!
//! Nobody is refused by what was said a while ago: the server is asked again first, whether there is such a user or not. So a
//! changed password counts at once, and the time that a refusal takes does not tell who exists.

mod answer;
mod cache;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, io};

use strowger_sip::auth::{Algorithm, Ha1, Proof, Rejection};
use strowger_sip::memory::Id;
use tokio::sync::mpsc;

use self::answer::Answer;
use self::cache::{Age, Cache};
pub(crate) use self::worker::{Server, spawn};
use super::Resolved;
use crate::admin::{Family, Kind, Sample};
use crate::config::UserLookup;

/// Questions that may wait for their turn.
const QUESTIONS: usize = 4096;

/// The longest name and domain that the server is asked for.
const MOST_NAME: usize = 128;
const MOST_DOMAIN: usize = 255;

/// A user whom the server is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    address: Box<str>,
    at: usize,
    /// The shard that waits for the answer, and what it waits with.
    pub asker: Option<(u16, Id)>,
}

impl Question {
    /// A question, if a server can have users of such a name.
    pub fn of(user: &[u8], domain: &[u8], asker: Option<(u16, Id)>) -> Option<Self> {
        let (user, domain) = (std::str::from_utf8(user).ok()?, std::str::from_utf8(domain).ok()?);
        let fits = (1..=MOST_NAME).contains(&user.len()) && (1..=MOST_DOMAIN).contains(&domain.len());
        let is_plain = !user.chars().chain(domain.chars()).any(char::is_control);
        (fits && is_plain).then(|| Self {
            address: format!("{user}@{}", domain.to_ascii_lowercase()).into(),
            at: user.len(),
            asker,
        })
    }

    /// The user part.
    pub fn user(&self) -> &str {
        &self.address[..self.at]
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        &self.address[self.at + 1..]
    }
}

/// What came of asking for a user, for a request that asks what is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Looked {
    /// Nobody was asked for it.
    #[default]
    NotYet,
    /// The server has answered.
    Answered,
    /// The server failed.
    Failed,
}

/// What to make of what is known of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// It counts.
    Holds,
    /// The server has to be asked first.
    Ask,
    /// The server failed, and what is known is not enough.
    Fails,
}

/// The users of a server.
pub struct Lookup {
    cache: Arc<Cache>,
    settings: UserLookup,
    /// `None` for one that asks nobody.
    questions: Option<mpsc::Sender<Question>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    found: AtomicU64,
    none: AtomicU64,
    failed: AtomicU64,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup")
            .field("known", &self.cache.len())
            .finish_non_exhaustive()
    }
}

impl Lookup {
    /// With nothing known. What is asked comes out of the receiver.
    pub(super) fn new(settings: &UserLookup, key: [u8; 16]) -> (Self, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(QUESTIONS);
        let lookup = Self {
            questions: Some(questions),
            ..Self::silent(settings, key)
        };
        (lookup, receiver)
    }

    /// The same, where nobody is asked.
    pub(super) fn silent(settings: &UserLookup, key: [u8; 16]) -> Self {
        Self {
            cache: Arc::new(Cache::new(key, settings.cache_entries as usize)),
            settings: settings.clone(),
            questions: None,
            counts: Counts::default(),
        }
    }

    /// What this one knows, without anybody who asks for more.
    pub(super) fn silenced(&self) -> Self {
        Self {
            cache: Arc::clone(&self.cache),
            settings: self.settings.clone(),
            questions: None,
            counts: Counts::default(),
        }
    }

    pub(super) fn ha1(&self, user: &[u8], domain: &[u8], algorithm: Algorithm) -> Option<Ha1> {
        self.cache.ha1(user, domain, algorithm)
    }

    pub(super) fn resolve(&self, user: &[u8], domain: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        self.cache.resolve(user, domain, alias_of)
    }

    pub(super) fn resolve_aor(&self, aor: &[u8], alias_of: &mut Vec<u8>) -> Resolved {
        self.cache.resolve_aor(aor, alias_of)
    }

    pub(super) fn len(&self) -> usize {
        self.cache.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Requests of one shard that may wait.
    pub fn most_waiting(&self) -> usize {
        self.settings.waiting as usize
    }

    /// What to make of credentials that were checked by what is known of their user. Those that were not compared with anything
    /// are what they are.
    pub fn judge_credentials(
        &self,
        user: &[u8],
        domain: &[u8],
        checked: &Result<Proof, Rejection>,
        looked: Looked,
        now_ms: u64,
    ) -> Belief {
        let age = self.cache.age(user, domain, now_ms);
        match checked {
            Ok(_) => self.judge_right(age, looked),
            Err(Rejection::Wrong | Rejection::UnknownUser) => {
                if Question::of(user, domain, None).is_none() {
                    return Belief::Holds;
                }
                self.judge_refusal(age, looked, || self.cache.note_refusal(user, domain, now_ms))
            }
            Err(_) => Belief::Holds,
        }
    }

    fn judge_right(&self, age: Option<Age>, looked: Looked) -> Belief {
        let within = |ms: u64| age.is_some_and(|age| age.said <= ms);
        match looked {
            Looked::Answered => Belief::Holds,
            Looked::NotYet if within(self.ttl_ms()) => Belief::Holds,
            Looked::NotYet => Belief::Ask,
            Looked::Failed if within(self.stale_ms()) => Belief::Holds,
            Looked::Failed => Belief::Fails,
        }
    }

    /// Users who exist and those who do not are treated alike.
    fn judge_refusal(&self, age: Option<Age>, looked: Looked, note: impl FnOnce()) -> Belief {
        let refused = age.and_then(|age| age.refused);
        match looked {
            Looked::Answered => {
                note();
                Belief::Holds
            }
            Looked::NotYet if refused.is_some_and(|ago| ago <= self.negative_ms()) => Belief::Holds,
            Looked::NotYet => Belief::Ask,
            Looked::Failed => Belief::Fails,
        }
    }

    /// What to make of what is known of a name that is called.
    pub fn judge_name(&self, user: &[u8], domain: &[u8], looked: Looked, now_ms: u64) -> Belief {
        if Question::of(user, domain, None).is_none() {
            return Belief::Holds;
        }
        let age = self.cache.age(user, domain, now_ms);
        let ttl_ms = match age {
            Some(Age { is_known: false, .. }) => self.negative_ms(),
            _ => self.ttl_ms(),
        };
        let within = |ms: u64| age.is_some_and(|age| age.said <= ms);
        match looked {
            Looked::Answered => Belief::Holds,
            Looked::NotYet if within(ttl_ms) => Belief::Holds,
            Looked::NotYet => Belief::Ask,
            Looked::Failed if within(self.stale_ms()) => Belief::Holds,
            Looked::Failed => Belief::Fails,
        }
    }

    /// Whether anybody is asked at all.
    pub fn asks(&self) -> bool {
        self.questions.is_some()
    }

    /// Asks for a user; false if that cannot be, for then there will be no answer.
    pub fn ask(&self, question: Question) -> bool {
        self.questions
            .as_ref()
            .is_some_and(|questions| questions.try_send(question).is_ok())
    }

    /// The server has answered, or failed.
    fn learn(&self, question: &Question, answer: Option<Answer>, now_ms: u64) {
        let counts = &self.counts;
        let count = match answer {
            Some(Answer::Nobody) => &counts.none,
            Some(_) => &counts.found,
            None => &counts.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(answer) = answer {
            self.cache.put(question.user(), question.domain(), answer, now_ms);
        }
    }

    /// Notes what the server would have answered, in the words of its answers.
    ///
    /// # Errors
    /// Why it means nothing.
    pub fn learn_text(
        &self,
        question: &Question,
        status: u16,
        body: &[u8],
        now_ms: u64,
    ) -> Result<(), String> {
        let answer = answer::read(status, body, question)?;
        self.learn(question, Some(answer), now_ms);
        Ok(())
    }

    /// The figures.
    pub fn families(&self) -> Vec<Family> {
        let counts = &self.counts;
        let results = [
            ("found", &counts.found),
            ("none", &counts.none),
            ("failed", &counts.failed),
        ];
        let samples = results.map(|(result, count)| Sample {
            labels: vec![("result", result.to_owned())],
            value: count.load(Ordering::Relaxed) as f64,
        });
        vec![Family {
            name: "strowger_user_lookups_total",
            help: "Users whom the server was asked for.",
            kind: Kind::Counter,
            samples: samples.into(),
        }]
    }

    fn ttl_ms(&self) -> u64 {
        self.settings.ttl.as_millis() as u64
    }

    fn negative_ms(&self) -> u64 {
        self.settings.negative_ttl.as_millis() as u64
    }

    /// How long an answer is used at most.
    fn stale_ms(&self) -> u64 {
        self.ttl_ms() + self.settings.stale.as_millis() as u64
    }
}

/// The token that the server wants.
///
/// # Errors
/// The file and why it cannot be read.
pub(crate) fn read_token(settings: &UserLookup) -> Result<Option<String>, (PathBuf, io::Error)> {
    let Some(path) = &settings.token_file else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path).map_err(|error| (path.clone(), error))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let error = io::Error::new(io::ErrorKind::InvalidData, "it is no token");
        return Err((path.clone(), error));
    }
    Ok(Some(token.to_owned()))
}
