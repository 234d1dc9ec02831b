//! Target groups: which target of several a request goes to, which may be used at all, and who comes next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use strowger_sip::proxy::Failover;

use super::route::millis;
use super::target::Target;
use crate::config::group::MAX_TARGETS;
use crate::config::{self, Probe};

/// A target group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The targets.
    pub targets: Vec<GroupTarget>,
    /// What is known of each, for the calls that they have.
    states: Arc<[Arc<TargetState>]>,
    /// How it is found out which are up.
    pub probe: Option<Probe>,
    /// The answers on which the next one is tried.
    pub failover: Failover,
    /// How long one may ring, in milliseconds; `None` for as long as timer C lets it.
    pub ring_ms: Option<u32>,
}

/// One target of a group.
#[derive(Clone, Debug)]
pub struct GroupTarget {
    /// Where.
    pub target: Target,
    /// Its share.
    pub weight: u16,
    /// Smaller ones come first.
    pub priority: u16,
    /// Calls that it may have at a time.
    pub max_calls: Option<u32>,
    /// New ones in a second.
    pub max_rate: Option<u32>,
    /// What is known of it, by all shards.
    pub state: Arc<TargetState>,
    /// Whether it is asked if it is there. What is known of it may be older.
    is_probed: bool,
    hash: u64,
}

/// What is known of a target.
#[derive(Debug, Default)]
pub struct TargetState {
    draining: AtomicBool,
    down: AtomicBool,
    /// Probes in a row that speak for the other state.
    streak: AtomicU32,
    calls: AtomicU32,
    /// The second that is counted, and how many there were in it.
    window: AtomicU64,
    chosen: AtomicU64,
}

/// Whether a target may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It may.
    Up,
    /// It did not answer probes.
    Down,
    /// An administrator lets it run empty.
    Draining,
}

impl Health {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Draining => "draining",
        }
    }
}

impl TargetState {
    fn copy(&self) -> Self {
        Self {
            draining: AtomicBool::new(self.draining.load(Ordering::Relaxed)),
            down: AtomicBool::new(self.down.load(Ordering::Relaxed)),
            streak: AtomicU32::new(self.streak.load(Ordering::Relaxed)),
            calls: AtomicU32::new(self.calls.load(Ordering::Relaxed)),
            window: AtomicU64::new(self.window.load(Ordering::Relaxed)),
            chosen: AtomicU64::new(self.chosen.load(Ordering::Relaxed)),
        }
    }

    /// Lets it run empty, or uses it again.
    pub fn drain(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }

    /// Calls that it has.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How often it was chosen.
    pub fn chosen(&self) -> u64 {
        self.chosen.load(Ordering::Relaxed)
    }

    /// A probe was answered or not. Whether the target is up now, if that has changed.
    pub fn on_probe(&self, answered: bool, probe: &Probe) -> Option<bool> {
        let down = self.down.load(Ordering::Relaxed);
        if answered != down {
            self.streak.store(0, Ordering::Relaxed);
            return None;
        }
        let needed = if down { probe.up_after } else { probe.down_after };
        let streak = self.streak.fetch_add(1, Ordering::Relaxed) + 1;
        if streak < u32::from(needed) {
            return None;
        }
        self.streak.store(0, Ordering::Relaxed);
        self.down.store(!down, Ordering::Relaxed);
        Some(down)
    }

    /// A call has come to it that nobody asked it about.
    fn enter(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// A call of it has ended.
    pub fn leave(&self) {
        let less = |calls: u32| Some(calls.saturating_sub(1));
        let _ = self
            .calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// The place that a call has at a target of a group; it is given back when this is dropped.
#[derive(Debug)]
pub struct Stay {
    states: Arc<[Arc<TargetState>]>,
    at: u8,
}

impl Stay {
    /// The call is for another target of the group now, whether or not that may have one more: it has it.
    pub fn move_to(&mut self, place: u8) {
        if place == self.at {
            return;
        }
        if let Some(next) = self.states.get(usize::from(place)) {
            next.enter();
            self.state().inspect(|former| former.leave());
            self.at = place;
        }
    }

    /// Whether it is at this target.
    pub fn is_at(&self, target: &GroupTarget) -> bool {
        self.state()
            .is_some_and(|state| Arc::ptr_eq(state, &target.state))
    }

    fn state(&self) -> Option<&Arc<TargetState>> {
        self.states.get(usize::from(self.at))
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.state().inspect(|state| state.leave());
    }
}

impl GroupTarget {
    /// Whether it does not answer probes.
    pub fn is_down(&self) -> bool {
        self.is_probed && self.state.down.load(Ordering::Relaxed)
    }

    /// Whether it may be used.
    pub fn health(&self) -> Health {
        if self.state.draining.load(Ordering::Relaxed) {
            Health::Draining
        } else if self.is_down() {
            Health::Down
        } else {
            Health::Up
        }
    }

    /// Whether it may get one more in this second, without taking the place.
    pub fn has_room(&self, now_secs: u64) -> bool {
        let (second, count) = unpack(self.state.window.load(Ordering::Relaxed));
        let rate_left = self
            .max_rate
            .is_none_or(|most| second != now_secs as u32 || count < most);
        self.health() == Health::Up
            && rate_left
            && self.max_calls.is_none_or(|most| self.state.calls() < most)
    }

    /// Takes a place for a new request; for a call (`is_call`) until its [`Stay`] is over. False when there is none, or the
    /// target may not be used.
    pub fn enter(&self, is_call: bool, now_secs: u64) -> bool {
        if !self.has_room(now_secs) {
            return false;
        }
        if is_call {
            let most = self.max_calls.unwrap_or(u32::MAX);
            let more = |calls: u32| (calls < most).then_some(calls + 1);
            if self
                .state
                .calls
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
                .is_err()
            {
                return false;
            }
        }
        if !self.count(now_secs as u32) {
            if is_call {
                self.state.leave();
            }
            return false;
        }
        self.state.chosen.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// One more in this second, unless it has so many.
    fn count(&self, now: u32) -> bool {
        let Some(most) = self.max_rate else { return true };
        let more = |window| match unpack(window) {
            (second, count) if second == now => (count < most).then(|| pack(now, count + 1)),
            _ => Some(pack(now, 1)),
        };
        self.state
            .window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }
}

const fn pack(second: u32, count: u32) -> u64 {
    (second as u64) << 32 | count as u64
}

const fn unpack(window: u64) -> (u32, u32) {
    ((window >> 32) as u32, window as u32)
}

/// Places of a group's targets, in the order in which they are to be tried.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    places: [u8; MAX_TARGETS],
    len: usize,
}

impl IntoIterator for Order {
    type Item = u8;
    type IntoIter = std::iter::Take<std::array::IntoIter<u8, MAX_TARGETS>>;

    fn into_iter(self) -> Self::IntoIter {
        self.places.into_iter().take(self.len)
    }
}

impl Order {
    /// The places.
    pub fn places(&self) -> &[u8] {
        &self.places[..self.len]
    }
}

impl Group {
    /// All targets in the order in which a request with this key tries them: by priority, and among equals each first as
    /// often as its weight says. The same key has the same order, and whoever drops out leaves that of the others as it is.
    pub fn order(&self, key: u64) -> Order {
        let mut ranks = [(u16::MAX, f64::MAX, 0u8); MAX_TARGETS];
        let len = self.targets.len().min(MAX_TARGETS);
        for (place, (rank, target)) in ranks.iter_mut().zip(&self.targets).enumerate() {
            // A race of exponential times: the chance to be first is the weight's share.
            let uniform = ((mix(key ^ target.hash) >> 11) + 1) as f64 / (1u64 << 53) as f64;
            *rank = (
                target.priority,
                -uniform.ln() / f64::from(target.weight.max(1)),
                place as u8,
            );
        }
        ranks[..len].sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut places = [0; MAX_TARGETS];
        places
            .iter_mut()
            .zip(ranks)
            .for_each(|(place, rank)| *place = rank.2);
        Order { places, len }
    }

    /// The place that a call has got at one of the targets by [`GroupTarget::enter`].
    pub fn stay(&self, place: u8) -> Stay {
        Stay {
            states: Arc::clone(&self.states),
            at: place,
        }
    }

    /// Goes on with what is known of its targets at this moment, by itself.
    pub(super) fn detach(&mut self) {
        for target in &mut self.targets {
            target.state = Arc::new(target.state.copy());
        }
        self.states = states_of(&self.targets);
    }

    /// Goes on with what is known of its targets.
    pub(super) fn adopt(&mut self, known: &Self) {
        for target in &mut self.targets {
            let same = known.targets.iter().find(|other| other.target == target.target);
            if let Some(same) = same {
                target.state = Arc::clone(&same.state);
            }
        }
        self.states = states_of(&self.targets);
    }

    /// The target of a URI as it is written.
    pub fn target(&self, uri: &str) -> Option<&GroupTarget> {
        self.targets
            .iter()
            .find(|target| target.target.text() == uri.as_bytes())
    }
}

/// A number all of whose bits depend on all of another's.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn hash_of(text: &[u8]) -> u64 {
    text.iter()
        .fold(0x9E37_79B9_7F4A_7C15, |hash, &b| mix(hash ^ u64::from(b)))
}

fn states_of(targets: &[GroupTarget]) -> Arc<[Arc<TargetState>]> {
    targets.iter().map(|target| Arc::clone(&target.state)).collect()
}

/// Compiles groups.
pub(super) fn compile(groups: &[config::Group]) -> Vec<Group> {
    let compile = |group: &config::Group| {
        let is_probed = group.probe.is_some();
        let targets = group
            .targets
            .iter()
            .map(|target| compile_target(target, is_probed));
        let targets: Vec<_> = targets.collect();
        Group {
            name: group.name.clone(),
            states: states_of(&targets),
            targets,
            probe: group.probe,
            failover: Failover::on(&group.failover),
            ring_ms: group.ring_timeout.map(millis),
        }
    };
    groups.iter().map(compile).collect()
}

fn compile_target(target: &config::GroupTarget, is_probed: bool) -> GroupTarget {
    GroupTarget {
        hash: hash_of(target.uri.text.as_bytes()),
        target: Target::compile(&target.uri),
        weight: target.weight,
        priority: target.priority,
        max_calls: target.max_calls,
        max_rate: target.max_rate,
        state: Arc::default(),
        is_probed,
    }
}
