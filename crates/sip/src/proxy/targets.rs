//! The target set (RFC 3261 §16.5): where a request is to be sent, each with the ways to it and its turn.

use crate::transport::Hop;

/// When a target is tried, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Targets of one group are tried at once, the group with the smallest number first, and each of the others when the
    /// one before has come to nothing (§16.6).
    pub group: u16,
    /// For how many milliseconds an INVITE may go without a final response before it is cancelled; `None` for as long as
    /// timer C lets it.
    pub ring_ms: Option<u32>,
}

/// One target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    texts: TargetTexts,
    /// Where its hops begin and end among those of all targets.
    hops: (u32, u32),
    /// When it is tried.
    pub turn: Turn,
}

/// Where a target's texts are among those of all targets: first its Request-URI, then the values for Route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetTexts {
    start: u32,
    middle: u32,
    end: u32,
}

/// Targets with their texts and hops; reused from request to request.
#[derive(Clone, Debug, Default)]
pub struct TargetSet {
    text: Vec<u8>,
    hops: Vec<Hop>,
    targets: Vec<Target>,
}

impl TargetSet {
    /// Forgets all targets.
    pub fn clear(&mut self) {
        self.text.clear();
        self.hops.clear();
        self.targets.clear();
    }

    /// Adds a target: its Request-URI, values for a Route header field (a Path; empty for none), and the hops to it, of which
    /// each is tried when the one before has failed without an answer (RFC 3263 §4.3). Without any hop it is none.
    pub fn add(&mut self, uri: &[u8], routes: &[u8], hops: impl IntoIterator<Item = Hop>, turn: Turn) {
        let first = self.hops.len() as u32;
        self.hops.extend(hops);
        let last = self.hops.len() as u32;
        if first == last {
            return;
        }
        let start = self.text.len() as u32;
        self.text.extend_from_slice(uri);
        let middle = self.text.len() as u32;
        self.text.extend_from_slice(routes);
        let end = self.text.len() as u32;
        self.targets.push(Target {
            texts: TargetTexts { start, middle, end },
            hops: (first, last),
            turn,
        });
    }

    /// The targets.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The texts of all targets, back to back; what [`Target::uri`] and [`Target::routes`] are read from.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The hops of one of its targets; at least one.
    pub fn hops(&self, target: &Target) -> &[Hop] {
        let (first, last) = target.hops;
        self.hops.get(first as usize..last as usize).unwrap_or(&[])
    }
}

impl Target {
    /// Its Request-URI.
    pub fn uri<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        self.texts.uri(text)
    }

    /// The values for its Route header field.
    pub fn routes<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        self.texts.routes(text)
    }

    /// Where its texts are.
    pub fn texts(&self) -> TargetTexts {
        self.texts
    }
}

impl TargetTexts {
    /// The Request-URI.
    pub fn uri<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.start as usize..self.middle as usize).unwrap_or(&[])
    }

    /// The values for the Route header field.
    pub fn routes<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.middle as usize..self.end as usize).unwrap_or(&[])
    }

    /// The same texts where others stand before them.
    #[must_use]
    pub fn behind(self, others: u32) -> Self {
        Self {
            start: self.start + others,
            middle: self.middle + others,
            end: self.end + others,
        }
    }
}
