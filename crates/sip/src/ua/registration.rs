//! A registration that a user agent keeps up with a registrar (RFC 3261 §10.2), as a state machine: it is told of time and of
//! what came back, and says what is to be done next. Whoever drives it finds the registrar's address and has the client
//! transaction.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use strowger_syntax::header::{Contact, NameAddr};
use strowger_syntax::scan::number;
use strowger_syntax::uri::Uri;
use strowger_syntax::{Message, Name, Status};

use super::request::{Register, contact_uri};
use crate::auth::{Account, Answers, Unanswerable};
use crate::endpoint::Identity;
use crate::keys::MacKey;
use crate::memory::Id;
use crate::transport::Hop;
use crate::transport::branch::hex_digits;

/// What is registered, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address-of-record, a SIP URI.
    pub aor: Box<[u8]>,
    /// The registrar: a SIP URI without user (RFC 3261 §10.2).
    pub registrar: Box<[u8]>,
    /// The proxy that the REGISTER goes through: a SIP URI with `lr`.
    pub outbound: Option<Box<[u8]>>,
    /// Who we are when the registrar, or a proxy before it, asks.
    pub account: Account,
    /// The user of our Contact.
    pub contact_user: Box<[u8]>,
    /// For how many seconds it is asked for.
    pub expires: u32,
}

/// Why a registrar has not been registered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It answered so.
    Answered(Status),
    /// Nothing came back.
    Silent,
    /// It could not be sent anything.
    Unreachable,
    /// Its name has no address, or none that can be reached from here.
    NoAddress,
    /// Its challenge cannot be answered.
    Challenge(Unanswerable),
    /// It said 200 and named other contacts than ours.
    NotOurContact,
    /// It said 423 to what is as long as it had asked for.
    TooBrief,
    /// It sent us from one registrar to the next, or to none.
    Redirected,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "answered {} {}", status.code(), status.reason()),
            Self::Silent => f.write_str("no answer"),
            Self::Unreachable => f.write_str("cannot be reached"),
            Self::NoAddress => f.write_str("its name leads to no address that can be reached"),
            Self::Challenge(unanswerable) => unanswerable.fmt(f),
            Self::NotOurContact => f.write_str("its 200 does not name our contact"),
            Self::TooBrief => f.write_str("answered 423 to the interval that it had asked for"),
            Self::Redirected => f.write_str("redirected too often, or to nowhere"),
        }
    }
}

impl Why {
    /// Whether the registrar has decided against us: to ask soon again would only look like an attack.
    fn is_refusal(self) -> bool {
        match self {
            Self::Answered(status) => matches!(status.class(), 4 | 6) && status != Status::REQUEST_TIMEOUT,
            Self::Challenge(_) | Self::NotOurContact | Self::TooBrief => true,
            Self::Silent | Self::Unreachable | Self::NoAddress | Self::Redirected => false,
        }
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before the deadline.
    Wait,
    /// The way to [`Registration::next_hop`] is to be found, for [`Registration::on_located`].
    Locate,
    /// What [`Registration::write`] writes is to be sent there, in a client transaction.
    Send(Hop),
    /// It is over: what it had registered is removed, or will expire.
    End,
}

/// Where it is.
#[derive(Clone, Debug)]
pub enum State {
    /// Until it is time to register, again or for the first time.
    Waiting {
        /// When, in monotonic milliseconds.
        at_ms: u64,
    },
    /// The way to the registrar is being found.
    Locating {
        /// When is looked again.
        next_ms: u64,
        /// When that is given up.
        until_ms: u64,
        /// What it is for.
        attempt: Attempt,
    },
    /// A REGISTER is under way: its transaction has the timers.
    Asking(Attempt),
    /// Nothing more will happen.
    Ended,
}

/// One attempt to register, or to remove what was registered: several REGISTERs, because of challenges and redirections.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    hops: SmallVec<[Hop; 2]>,
    /// Which of them is asked.
    place: usize,
    /// The Request-URI, where a redirection has named another one.
    target: Option<Box<[u8]>>,
    redirections: u8,
    /// Whether the interval was lengthened because of a 423.
    lengthened: bool,
    /// The Contact that the last REGISTER had.
    contact: Box<[u8]>,
    /// Whether that was to remove it.
    removes: bool,
}

/// Our binding at the registrar.
#[derive(Clone, Debug)]
struct Bound {
    contact: Box<[u8]>,
    until_ms: u64,
}

/// What a registration has come to, for those who look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not been answered yet.
    Registering,
    /// It is registered; the last attempt to refresh that has failed if there is a reason.
    Registered(Option<Why>),
    /// It is not registered.
    Failing(Why),
    /// It is being removed.
    Removing,
    /// It is over.
    Ended,
}

/// What the registrar has told with its 200.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The values of Service-Route, for requests that go out (RFC 3608 §6.1); none after a refusal.
    pub service_route: Box<[u8]>,
    /// The values of Path, by which requests come in (RFC 3327 §5.3).
    pub path: Box<[u8]>,
    /// For how many seconds we are registered.
    pub expires: u32,
}

/// A registration that is kept up.
#[derive(Clone, Debug)]
pub struct Registration {
    settings: Arc<Settings>,
    call_id: [u8; 16],
    tag: [u8; 16],
    /// Of the last REGISTER.
    cseq: u32,
    state: State,
    /// Whether it is to be removed.
    leaves: bool,
    bound: Option<Bound>,
    given: Given,
    answers: Answers,
    /// The seconds that are asked for.
    expires: u32,
    failures: u32,
    why: Option<Why>,
    /// Where the next random number comes from.
    seed: u64,
}

/// Redirections that are followed in one attempt.
const MOST_REDIRECTIONS: u8 = 5;
/// The longest interval that a 423 makes us ask for, in seconds.
const LONGEST: u32 = 7 * 86_400;
/// The times of RFC 5626 §4.5, in milliseconds.
const BASE_MS: u64 = 30_000;
const MOST_MS: u64 = 1_800_000;
/// How long a Retry-After is obeyed at most.
const LONGEST_RETRY_MS: u64 = 86_400_000;
/// How soon a look-up is looked after again, and how long it may take.
const LOOK_AGAIN_MS: u64 = 100;
const LOCATE_MS: u64 = 15_000;
/// The shortest time from one refresh to the next.
const SHORTEST_MS: u64 = 1000;

impl Registration {
    /// The Call-ID of the registration of a name at an address-of-record: one for all REGISTERs (RFC 3261 §10.2), another one
    /// for each start of the node.
    pub fn call_id_of(settings: &Settings, key: &MacKey, boot: u32, name: &str) -> [u8; 16] {
        hex_digits(made(settings, key, boot, name, b"call-id"))
    }

    /// One that begins at once. The CSeq of its first REGISTER is one more than `cseq`.
    pub fn new(settings: Arc<Settings>, key: &MacKey, boot: u32, name: &str, cseq: u32, now_ms: u64) -> Self {
        let made = |what: &[u8]| made(&settings, key, boot, name, what);
        Self {
            call_id: Self::call_id_of(&settings, key, boot, name),
            tag: hex_digits(made(b"tag")),
            cseq,
            state: State::Waiting { at_ms: now_ms },
            leaves: false,
            bound: None,
            given: Given::default(),
            answers: Answers::default(),
            expires: settings.expires,
            failures: 0,
            why: None,
            seed: made(b"seed"),
            settings,
        }
    }

    /// The Call-ID of all its REGISTERs, which says whose shard it is.
    pub fn call_id(&self) -> &[u8] {
        &self.call_id
    }

    /// The CSeq number of the last REGISTER: what answers another one comes too late.
    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    /// Whether the next hop of an attempt is looked for the first time.
    pub fn is_first_look(&self) -> bool {
        matches!(self.state, State::Locating { next_ms, until_ms, .. } if next_ms + LOCATE_MS == until_ms)
    }

    /// What is registered.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What it has come to.
    pub fn standing(&self) -> Standing {
        match (&self.state, &self.bound, self.why) {
            (State::Ended, ..) => Standing::Ended,
            _ if self.leaves => Standing::Removing,
            (_, Some(_), why) => Standing::Registered(why),
            (_, None, Some(why)) => Standing::Failing(why),
            (_, None, None) => Standing::Registering,
        }
    }

    /// What the registrar has told; nothing when the registration has ended.
    pub fn given(&self) -> &Given {
        &self.given
    }

    /// When our binding expires, in monotonic milliseconds.
    pub fn bound_until_ms(&self) -> Option<u64> {
        self.bound.as_ref().map(|bound| bound.until_ms)
    }

    /// When it registers next, in monotonic milliseconds; `None` while it does.
    pub fn next_ms(&self) -> Option<u64> {
        match self.state {
            State::Waiting { at_ms } => Some(at_ms),
            _ => None,
        }
    }

    /// Our Contact at the registrar.
    pub fn contact(&self) -> Option<&[u8]> {
        self.bound.as_ref().map(|bound| &*bound.contact)
    }

    /// When [`on_deadline`](Self::on_deadline) wants to be called, in monotonic milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        let next = match self.state {
            State::Waiting { at_ms } => Some(at_ms),
            State::Locating { next_ms, .. } => Some(next_ms),
            State::Asking(_) => None,
            State::Ended => return None,
        };
        [next, self.bound_until_ms()].into_iter().flatten().min()
    }

    /// Time has come to the deadline.
    pub fn on_deadline(&mut self, now_ms: u64) -> Step {
        if self.bound.take_if(|bound| bound.until_ms <= now_ms).is_some() {
            self.given = Given::default();
        }
        match self.state {
            State::Waiting { at_ms } if at_ms <= now_ms => self.begin(now_ms),
            State::Locating {
                next_ms, until_ms, ..
            } if next_ms <= now_ms => {
                if until_ms <= now_ms {
                    self.fail(Why::NoAddress, None, now_ms)
                } else {
                    Step::Locate
                }
            }
            _ => Step::Wait,
        }
    }

    /// It is to be removed: by an expiration of zero (RFC 3261 §10.2.2), as soon as what is under way has ended.
    pub fn leave(&mut self, now_ms: u64) -> Step {
        self.leaves = true;
        match self.state {
            State::Waiting { .. } => self.begin(now_ms),
            State::Locating { .. } if self.bound.is_none() => self.end(),
            State::Locating { .. } | State::Asking(_) => Step::Wait,
            State::Ended => Step::End,
        }
    }

    /// It is to be kept up after all, if it was to be removed.
    pub fn stay(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.leaves) {
            self.hurry(now_ms);
        }
    }

    /// It goes on with other settings of the same address-of-record and registrar, at once.
    pub fn change(&mut self, settings: Arc<Settings>, now_ms: u64) {
        self.expires = settings.expires;
        self.answers = Answers::default();
        self.failures = 0;
        self.settings = settings;
        if let State::Waiting { at_ms } = &mut self.state {
            *at_ms = now_ms;
        }
    }

    /// It registers at once, whatever it waits for.
    pub fn hurry(&mut self, now_ms: u64) {
        if let State::Waiting { at_ms } = &mut self.state {
            *at_ms = now_ms;
        }
    }

    fn begin(&mut self, now_ms: u64) -> Step {
        if self.leaves && self.bound.is_none() {
            return self.end();
        }
        self.answers.begin();
        self.locate(Attempt::default(), now_ms)
    }

    fn locate(&mut self, attempt: Attempt, now_ms: u64) -> Step {
        self.state = State::Locating {
            next_ms: now_ms,
            until_ms: now_ms + LOCATE_MS,
            attempt,
        };
        Step::Locate
    }

    fn end(&mut self) -> Step {
        self.state = State::Ended;
        self.bound = None;
        self.given = Given::default();
        Step::End
    }

    /// The URI whose servers the REGISTER goes to (RFC 3261 §8.1.2).
    pub fn next_hop(&self) -> &[u8] {
        self.settings.outbound.as_deref().unwrap_or_else(|| self.target())
    }

    /// The Request-URI.
    fn target(&self) -> &[u8] {
        let (State::Locating { attempt, .. } | State::Asking(attempt)) = &self.state else {
            return &self.settings.registrar;
        };
        attempt.target.as_deref().unwrap_or(&self.settings.registrar)
    }

    /// The ways to the next hop, the best first; `None` while they are not known yet.
    pub fn on_located(&mut self, hops: Option<&[Hop]>, now_ms: u64) -> Step {
        let State::Locating { next_ms, attempt, .. } = &mut self.state else {
            return Step::Wait;
        };
        match hops {
            None => {
                *next_ms = now_ms + LOOK_AGAIN_MS;
                Step::Wait
            }
            Some([]) => self.fail(Why::NoAddress, None, now_ms),
            Some(hops @ [first, ..]) => {
                let attempt = Attempt {
                    hops: SmallVec::from_slice(hops),
                    place: 0,
                    ..std::mem::take(attempt)
                };
                self.state = State::Asking(attempt);
                Step::Send(*first)
            }
        }
    }

    /// Appends the next REGISTER (RFC 3261 §10.2), for a hop and with the branch of a client transaction. `key` makes the
    /// nonces of ours in credentials.
    pub fn write(
        &mut self,
        identity: &Identity,
        key: &MacKey,
        hop: &Hop,
        branch: (Id, u32),
        out: &mut Vec<u8>,
    ) {
        let target: Box<[u8]> = self.target().into();
        let removes = self.leaves;
        let current = contact_uri(identity, hop, &self.settings.contact_user);
        let former = self.bound.as_ref().map(|bound| &*bound.contact);
        let contact: Box<[u8]> = match former {
            Some(former) if removes => former.into(),
            _ => current.into(),
        };
        let mut credentials = Vec::new();
        let account = &self.settings.account;
        self.answers
            .write(account, "REGISTER", &target, key, &mut credentials);
        // One more each time (RFC 3261 §10.2), the answer to a challenge included (§22.2).
        self.cseq += 1;
        let register = Register {
            settings: &self.settings,
            target: &target,
            call_id: &self.call_id,
            tag: &self.tag,
            cseq: self.cseq,
            contact: (&contact, if removes { 0 } else { self.expires }),
            former: former.filter(|&former| !is_same(former, &contact)),
            credentials: &credentials,
        };
        register.write(identity, hop, branch, out);
        if let State::Asking(attempt) = &mut self.state {
            (attempt.contact, attempt.removes) = (contact, removes);
        }
    }

    /// A response came to the REGISTER that is under way.
    pub fn on_response(&mut self, response: Message<'_>, now_ms: u64) -> Step {
        let (State::Asking(attempt), Some(status)) = (&mut self.state, response.status()) else {
            return Step::Wait;
        };
        match (status.class(), status) {
            (1, _) => Step::Wait,
            (2, _) => self.on_success(response, now_ms),
            (3, _) => self.on_redirection(response, now_ms),
            (_, Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED) => {
                match self.answers.take(response, &self.settings.account) {
                    Ok(()) => self.send_again(),
                    Err(unanswerable) => self.fail(Why::Challenge(unanswerable), None, now_ms),
                }
            }
            (_, Status::INTERVAL_TOO_BRIEF) if !attempt.removes => self.on_too_brief(response, now_ms),
            (5, _) if attempt.place + 1 < attempt.hops.len() => self.ask_next(),
            _ => {
                let wait_ms = response.first(Name::RetryAfter).and_then(leading_number);
                let wait_ms = wait_ms.map(|secs| secs.saturating_mul(1000).min(LONGEST_RETRY_MS));
                self.fail(Why::Answered(status), wait_ms, now_ms)
            }
        }
    }

    /// Its transaction has ended without an answer (RFC 3261 §10.2.7: the same registrar is not asked again at once), or its
    /// request could not be sent.
    pub fn on_no_answer(&mut self, why: Why, now_ms: u64) -> Step {
        match &self.state {
            State::Asking(attempt) if attempt.place + 1 < attempt.hops.len() => self.ask_next(),
            State::Asking(_) => self.fail(why, None, now_ms),
            _ => Step::Wait,
        }
    }

    /// The next of the registrar's servers is asked (RFC 3263 §4.3).
    fn ask_next(&mut self) -> Step {
        if let State::Asking(attempt) = &mut self.state {
            attempt.place += 1;
        }
        self.answers.begin();
        self.send_again()
    }

    fn send_again(&self) -> Step {
        match &self.state {
            State::Asking(attempt) => attempt
                .hops
                .get(attempt.place)
                .map_or(Step::Wait, |hop| Step::Send(*hop)),
            _ => Step::Wait,
        }
    }

    /// RFC 3261 §10.2.4: the bindings that there are now, each with its time.
    fn on_success(&mut self, response: Message<'_>, now_ms: u64) -> Step {
        let State::Asking(attempt) = &mut self.state else {
            return Step::Wait;
        };
        if attempt.removes {
            if self.leaves {
                return self.end();
            }
            self.bound = None;
            return self.begin(now_ms);
        }
        let contact = std::mem::take(&mut attempt.contact);
        let Some(granted) = granted(response, &contact).map(|granted| granted.unwrap_or(self.expires)) else {
            return self.fail(Why::NotOurContact, None, now_ms);
        };
        // Nobody may have it bound for longer than was asked for (§10.3 step 7).
        let expires = granted.min(self.expires);
        if expires == 0 {
            return self.fail(Why::NotOurContact, None, now_ms);
        }
        self.given = Given {
            service_route: response.joined(Name::ServiceRoute).into(),
            path: response.joined(Name::Path).into(),
            expires,
        };
        self.bound = Some(Bound {
            contact,
            until_ms: now_ms + 1000 * u64::from(expires),
        });
        (self.failures, self.why) = (0, None);
        let at_ms = now_ms + self.refresh_after(expires);
        self.state = State::Waiting { at_ms };
        if self.leaves {
            self.begin(now_ms)
        } else {
            Step::Wait
        }
    }

    /// When a registration for so many seconds is refreshed, in milliseconds: when half of it is over, or 600 s before its end
    /// where it is longer than 1200 s, and up to a tenth sooner, so that many do not come at once.
    fn refresh_after(&mut self, expires: u32) -> u64 {
        let ms = 1000 * u64::from(if expires > 1200 { expires - 600 } else { 0 });
        let ms = ms.max(500 * u64::from(expires.min(1200)));
        (ms - self.draw(ms / 10)).max(SHORTEST_MS)
    }

    /// RFC 3261 §8.1.3.4: the first contact that is a registrar takes the place of the one that was asked.
    fn on_redirection(&mut self, response: Message<'_>, now_ms: u64) -> Step {
        let State::Asking(attempt) = &mut self.state else {
            return Step::Wait;
        };
        let target = response.elements(Name::Contact).find_map(redirected);
        match target {
            Some(target) if attempt.redirections < MOST_REDIRECTIONS => {
                let attempt = Attempt {
                    redirections: attempt.redirections + 1,
                    target: Some(target),
                    ..std::mem::take(attempt)
                };
                self.answers.begin();
                self.locate(attempt, now_ms)
            }
            _ => self.fail(Why::Redirected, None, now_ms),
        }
    }

    /// RFC 3261 §10.2.8: once more, for as long as the registrar wants it at least.
    fn on_too_brief(&mut self, response: Message<'_>, now_ms: u64) -> Step {
        let State::Asking(attempt) = &mut self.state else {
            return Step::Wait;
        };
        let least = response.first(Name::MinExpires).and_then(number);
        let least = least.and_then(|least| u32::try_from(least).ok());
        match least {
            Some(least) if !attempt.lengthened && least > self.expires && least <= LONGEST => {
                attempt.lengthened = true;
                self.expires = least;
                self.send_again()
            }
            _ => self.fail(Why::TooBrief, None, now_ms),
        }
    }

    /// An attempt came to nothing. The next one is made later, each time twice as late (RFC 5626 §4.5), but while nothing
    /// says that the registrar does not want us, within the time of one registration.
    fn fail(&mut self, why: Why, retry_after_ms: Option<u64>, now_ms: u64) -> Step {
        if self.leaves {
            return self.end();
        }
        self.failures = self.failures.saturating_add(1);
        self.why = Some(why);
        if why.is_refusal() {
            // RFC 3608 §6.1.
            self.given.service_route = Box::default();
        }
        let interval_ms = 1000 * u64::from(self.expires);
        let (base_ms, most_ms) = if why.is_refusal() {
            (BASE_MS, MOST_MS)
        } else {
            let base_ms = (interval_ms / 8).clamp(SHORTEST_MS, BASE_MS);
            (base_ms, interval_ms.clamp(2 * base_ms, MOST_MS))
        };
        let upper_ms = (base_ms << self.failures.min(16)).min(most_ms);
        let wait_ms = upper_ms / 2 + self.draw(upper_ms / 2);
        self.state = State::Waiting {
            at_ms: now_ms + wait_ms.max(retry_after_ms.unwrap_or(0)),
        };
        Step::Wait
    }

    /// A random number up to this one (SplitMix64).
    fn draw(&mut self, most: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % (most + 1)
    }
}

/// A number for a registration and what it is for.
fn made(settings: &Settings, key: &MacKey, boot: u32, name: &str, what: &[u8]) -> u64 {
    key.mac(&[what, &boot.to_be_bytes(), name.as_bytes(), &settings.aor])
}

/// For how many seconds a contact is bound by a 200: the inner `None` where it does not say (RFC 3261 §10.2.4). The outer one
/// if it is not among the contacts.
fn granted(response: Message<'_>, contact: &[u8]) -> Option<Option<u32>> {
    let ours = |element| {
        NameAddr::parse(element)
            .ok()
            .filter(|address| is_same(address.uri_text, contact))
    };
    let address = response.elements(Name::Contact).find_map(ours)?;
    let said = address.params.get(b"expires").map(Contact::expires_of);
    let of_all = || {
        let value = response.first(Name::Expires)?;
        u32::try_from(number(value)?).ok()
    };
    Some(said.or_else(of_all))
}

/// A contact of a redirection as the next Request-URI: a SIP URI without a user, for it names a registrar.
fn redirected(element: &[u8]) -> Option<Box<[u8]>> {
    let address = NameAddr::parse(element).ok()?;
    match address.uri {
        Uri::Sip(sip) if sip.user.is_none() && sip.headers.is_empty() => Some(address.uri_text.into()),
        _ => None,
    }
}

/// Whether two URIs are equivalent (RFC 3261 §19.1.4).
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a == b || matches!((Uri::parse(a), Uri::parse(b)), (Ok(a), Ok(b)) if Uri::equivalent(&a, &b))
}

/// The number at the beginning of a value such as Retry-After (RFC 3261 §20.33).
fn leading_number(value: &[u8]) -> Option<u64> {
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    number(&value[..digits])
}
