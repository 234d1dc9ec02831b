//! Where a request may go, before the ways there are known: what becomes the target set (RFC 3261 §16.5) once every name
//! among them has been looked up.

use strowger_sip::proxy::{Failover, TargetSet, Turn};
use strowger_sip::registrar::{Binding, Q_DEFAULT};
use strowger_sip::transport::Hop;
use strowger_syntax::header::NameAddr;
use strowger_syntax::message::ListItems;

/// What made a candidate of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A binding of the address-of-record that the request is for.
    Binding,
    /// A target of the matching route.
    Route,
    /// A member of a target group.
    Group,
    /// It is what the request asks for: its Request-URI, by way of its next Route element.
    RequestUri,
    /// A contact of a 3xx response.
    Redirect,
}

/// How a candidate is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To be located by the first of its Route values, else by the request's next Route element, else by its URI (§16.6
    /// steps 6 and 7).
    ByUri,
    /// By hops that were located: the first of those of all candidates that is its own, and the one behind its last.
    Located(u32, u32),
    /// Not from here.
    Nowhere,
    /// Its device sleeps: it is pushed, and reached by where it registers from then (RFC 8599 §5.6.2). The second text is the
    /// address-of-record.
    Asleep,
}

/// How a binding is reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum BoundWay {
    /// By a hop, or by another one if that fails.
    Hops(Hop, Option<Hop>),
    /// By the first element of its path, whose servers are to be looked up (RFC 3327 §5.3, RFC 3263 §4).
    ByPath,
}

/// A URI that a request may be sent to. Its texts are those of its [`Candidates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    texts: [u32; 3],
    /// What it is tried with: group 0 comes first, and all of a group at once.
    pub group: u16,
    /// How long it may ring before it counts as not answering, in milliseconds; `None` for as long as timer C lets it.
    pub ring_timeout_ms: Option<u32>,
    /// On which of its answers the next group is tried.
    pub failover: Failover,
    /// Its place among the targets of a target group, if it is one of those.
    pub place: Option<u8>,
    /// What made it one.
    pub origin: Origin,
    /// How it is reached.
    pub way: Way,
    /// The place of the one that it stands in for: it is another flow to the same user agent instance (RFC 5626 §7).
    pub instead_of: Option<u32>,
}

/// What is said of a candidate besides its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// See [`Candidate::group`].
    pub group: u16,
    /// See [`Candidate::ring_timeout_ms`].
    pub ring_timeout_ms: Option<u32>,
    /// See [`Candidate::failover`].
    pub failover: Failover,
    /// See [`Candidate::place`].
    pub place: Option<u8>,
    /// See [`Candidate::origin`].
    pub origin: Origin,
    /// See [`Candidate::way`].
    pub way: Way,
}

/// The group of what has this `q`, and this rank by what the caller prefers, in thousandths: the higher they are, the sooner
/// its turn comes (RFC 3841 §7.2.4).
pub(super) fn group_of(q: u16, rank: u16) -> u16 {
    let behind = |thousandths: u16| Q_DEFAULT.saturating_sub(thousandths);
    behind(q) * RANKS + behind(rank) / RANK
}

/// How many ranks are told apart, and how many thousandths one has.
const RANKS: u16 = 64;
const RANK: u16 = 1000 / (RANKS - 1) + 1;

impl Terms {
    /// In the first group, by the rules of its route or of the node.
    pub fn new(origin: Origin, way: Way) -> Self {
        Self {
            group: 0,
            ring_timeout_ms: None,
            failover: Failover::ANY,
            place: None,
            origin,
            way,
        }
    }
}

/// The candidates of one request, in the order in which they were found; reused from request to request.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    text: Vec<u8>,
    /// The hops of those that were located.
    hops: Vec<Hop>,
    list: Vec<Candidate>,
}

/// The parts of [`Candidates`] while ways are found.
pub(super) struct Parts<'a> {
    pub(super) text: &'a [u8],
    pub(super) hops: &'a mut Vec<Hop>,
    pub(super) list: &'a mut [Candidate],
}

impl Candidates {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.text.clear();
        self.hops.clear();
        self.list.clear();
    }

    /// Adds one: the Request-URI that it is sent, and values for its Route header field (a Path; empty for none).
    pub fn add(&mut self, uri: &[u8], routes: &[u8], terms: Terms) {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(uri);
        let middle = self.text.len() as u32;
        self.text.extend_from_slice(routes);
        let end = self.text.len() as u32;
        let Terms {
            group,
            ring_timeout_ms,
            failover,
            place,
            origin,
            way,
        } = terms;
        self.list.push(Candidate {
            texts: [start, middle, end],
            group,
            ring_timeout_ms,
            failover,
            place,
            origin,
            way,
            instead_of: None,
        });
    }

    /// Has the last one stand in for the one at this place: it is tried when that has come to nothing, and in its turn.
    pub(super) fn stand_in(&mut self, place: u32) {
        let group = self.list.get(place as usize).map(|candidate| candidate.group);
        if let (Some(last), Some(group)) = (self.list.last_mut(), group) {
            (last.instead_of, last.group) = (Some(place), group);
        }
    }

    /// Adds one whose hop is known, and another hop if there is one.
    pub fn add_located(
        &mut self,
        uri: &[u8],
        routes: &[u8],
        terms: Terms,
        hop: &Hop,
        fallback: Option<&Hop>,
    ) {
        let first = self.hops.len() as u32;
        self.hops.push(*hop);
        self.hops.extend(fallback);
        let way = Way::Located(first, self.hops.len() as u32);
        self.add(uri, routes, Terms { way, ..terms });
    }

    /// Numbers the groups from 0 on, and lets those that others wait for ring for so long and no longer, unless it was said how
    /// long: those that are not of the last group, and with `others_wait` all.
    pub(super) fn settle_groups(&mut self, ring_timeout_ms: u32, others_wait: bool) {
        if !others_wait && self.list.iter().all(|candidate| candidate.group == 0) {
            return;
        }
        let mut next = 0;
        while let Some(group) = self
            .list
            .iter()
            .map(|c| c.group)
            .filter(|&group| group >= next)
            .min()
        {
            for candidate in self.list.iter_mut().filter(|c| c.group == group) {
                candidate.group = next;
            }
            next += 1;
        }
        let is_awaited = |c: &&mut Candidate| others_wait || c.group + 1 < next;
        for candidate in self.list.iter_mut().filter(is_awaited) {
            candidate.ring_timeout_ms.get_or_insert(ring_timeout_ms);
        }
    }

    /// Leaves the first of the first group alone, with those that stand in for it.
    pub(super) fn keep_first(&mut self) {
        let targets = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, c)| c.instead_of.is_none());
        let first = targets
            .min_by_key(|(_, c)| c.group)
            .map(|(place, _)| place as u32);
        let mut place = 0;
        self.list.retain_mut(|candidate| {
            let is_first = Some(place) == first;
            let stands_in = candidate.instead_of.is_some() && candidate.instead_of == first;
            candidate.instead_of = stands_in.then_some(0);
            place += 1;
            is_first || stands_in
        });
    }

    /// Puts back others that were kept; where their texts are to be put.
    pub(super) fn restore(&mut self, list: &[Candidate], hops: &[Hop]) -> &mut Vec<u8> {
        self.clear();
        self.list.extend_from_slice(list);
        self.hops.extend_from_slice(hops);
        &mut self.text
    }

    /// Adds the contact of a device that sleeps, which is bound to this address-of-record.
    pub(super) fn add_asleep(&mut self, contact: &[u8], aor: &[u8], terms: Terms) {
        let way = Way::Asleep;
        self.add(contact, aor, Terms { way, ..terms });
    }

    /// Adds a binding that is reached so.
    pub(super) fn add_bound(&mut self, binding: &Binding<'_>, terms: Terms, way: BoundWay) {
        let (contact, path) = (binding.contact, binding.path);
        match way {
            BoundWay::Hops(hop, fallback) => self.add_located(contact, path, terms, &hop, fallback.as_ref()),
            BoundWay::ByPath => {
                let way = Way::ByUri;
                self.add(contact, path, Terms { way, ..terms });
            }
        }
    }

    /// Moves those whose device sleeps behind others.
    pub(super) fn take_asleep(&mut self, into: &mut Vec<Sleeper>) {
        into.clear();
        let is_asleep = |candidate: &Candidate| candidate.way == Way::Asleep;
        if !self.list.iter().any(is_asleep) {
            return;
        }
        // Those that are left move up, also those that others stand in for.
        for at in 0..self.list.len() {
            if let Some(place) = self.list[at].instead_of {
                let before = self.list.iter().take(place as usize);
                let left = before.filter(|candidate| !is_asleep(candidate)).count();
                self.list[at].instead_of = Some(left as u32);
            }
        }
        let (text, list) = (&self.text, &mut self.list);
        list.retain(|candidate| {
            let sleeps = candidate.way == Way::Asleep;
            if sleeps {
                into.push(Sleeper {
                    contact: candidate.uri(text).into(),
                    aor: candidate.routes(text).into(),
                    terms: candidate.terms(),
                });
            }
            !sleeps
        });
    }

    /// All of them.
    pub fn list(&self) -> &[Candidate] {
        &self.list
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The texts of all of them, back to back.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The hops of those that were located.
    pub(super) fn located(&self) -> &[Hop] {
        &self.hops
    }

    pub(super) fn parts_mut(&mut self) -> Parts<'_> {
        Parts {
            text: &self.text,
            hops: &mut self.hops,
            list: &mut self.list,
        }
    }

    /// Makes those that can be reached the target set. If there are any, its texts and hops are theirs, and here are none left.
    pub(super) fn fill(&mut self, targets: &mut TargetSet) {
        targets.clear();
        if !self.list.iter().any(Candidate::is_reachable) {
            return;
        }
        targets.adopt(&mut self.text, &mut self.hops);
        let is_target = |c: &&Candidate| c.instead_of.is_none() && c.is_reachable();
        for candidate in self.list.iter().filter(is_target) {
            if let Way::Located(first, end) = candidate.way {
                targets.push(candidate.texts, (first, end), candidate.turn());
            }
        }
        for candidate in &self.list {
            if let (Way::Located(first, end), Some(place)) = (candidate.way, candidate.instead_of) {
                let before = self.list.iter().take(place as usize);
                let number = before.filter(is_target).count() as u16;
                targets.push_instead(number, candidate.texts, (first, end), candidate.turn());
            }
        }
    }
}

/// A contact whose device sleeps.
#[derive(Clone, Debug)]
pub(super) struct Sleeper {
    /// Its URI; or the Request-URI, if that refers to the device.
    pub(super) contact: Box<[u8]>,
    /// The address-of-record that it is bound to.
    pub(super) aor: Box<[u8]>,
    /// When it is tried, once it is awake.
    pub(super) terms: Terms,
}

impl Sleeper {
    /// Whether the request is to go where it says, once the device is awake.
    pub(super) fn is_aimed(&self) -> bool {
        self.terms.origin == Origin::RequestUri
    }

    /// The Request-URI that it is to have then; empty for that of the binding.
    pub(super) fn aim(&self) -> &[u8] {
        if self.is_aimed() { &self.contact } else { &[] }
    }
}

impl Candidate {
    fn terms(&self) -> Terms {
        Terms {
            group: self.group,
            ring_timeout_ms: self.ring_timeout_ms,
            failover: self.failover,
            place: self.place,
            origin: self.origin,
            way: self.way,
        }
    }

    fn turn(&self) -> Turn {
        Turn {
            group: self.group,
            ring_ms: self.ring_timeout_ms,
            failover: self.failover,
            place: self.place,
        }
    }

    fn is_reachable(&self) -> bool {
        matches!(self.way, Way::Located(first, end) if first < end)
    }

    /// Its Request-URI.
    pub fn uri<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let [start, middle, _] = self.texts;
        text.get(start as usize..middle as usize).unwrap_or(&[])
    }

    /// Whether it goes where the request itself says.
    pub(super) fn is_as_asked(&self, text: &[u8]) -> bool {
        self.origin == Origin::RequestUri && self.routes(text).is_empty()
    }

    /// The URI that says where it goes, in a request whose next Route element is `next`. A Route value that is malformed stands
    /// for itself.
    pub(super) fn next_hop<'t>(&self, text: &'t [u8], next: Option<&'t [u8]>) -> &'t [u8] {
        match ListItems::new(self.routes(text)).next() {
            Some((first, _)) => NameAddr::parse(first).map_or(first, |address| address.uri_text),
            None => next.unwrap_or_else(|| self.uri(text)),
        }
    }

    /// The values for its Route header field.
    pub fn routes<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let [_, middle, end] = self.texts;
        text.get(middle as usize..end as usize).unwrap_or(&[])
    }
}
