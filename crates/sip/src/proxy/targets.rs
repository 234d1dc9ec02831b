//! The target set (RFC 3261 §16.5): where a request is to be sent, each with the way to it.

use crate::transport::Hop;

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    texts: TargetTexts,
    /// The way to it.
    pub hop: Hop,
    /// The way that is tried when the first fails before an answer.
    pub fallback: Option<Hop>,
}

/// Where a target's texts are among those of all targets: first its Request-URI, then the values for Route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetTexts {
    start: u32,
    middle: u32,
    end: u32,
}

/// Targets with their texts; reused from request to request.
#[derive(Clone, Debug, Default)]
pub struct TargetSet {
    text: Vec<u8>,
    targets: Vec<Target>,
}

impl TargetSet {
    /// Forgets all targets.
    pub fn clear(&mut self) {
        self.text.clear();
        self.targets.clear();
    }

    /// Adds a target: its Request-URI, and values for a Route header field (a Path; empty for none).
    pub fn add(&mut self, uri: &[u8], routes: &[u8], hop: Hop, fallback: Option<Hop>) {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(uri);
        let middle = self.text.len() as u32;
        self.text.extend_from_slice(routes);
        let end = self.text.len() as u32;
        self.targets.push(Target {
            texts: TargetTexts { start, middle, end },
            hop,
            fallback,
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
}

impl Target {
    /// Its Request-URI.
    pub fn uri<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.texts.start as usize..self.texts.middle as usize)
            .unwrap_or(&[])
    }

    /// The values for its Route header field.
    pub fn routes<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.texts.middle as usize..self.texts.end as usize)
            .unwrap_or(&[])
    }

    /// Where its texts are.
    pub fn texts(&self) -> TargetTexts {
        self.texts
    }
}

impl TargetTexts {
    /// The same target by another way, the last one.
    pub fn with(self, hop: Hop) -> Target {
        Target {
            texts: self,
            hop,
            fallback: None,
        }
    }
}
