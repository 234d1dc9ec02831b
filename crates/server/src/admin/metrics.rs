//! The node's figures as values; what writes them out is above.

/// A set of samples of one meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name: `strowger_` and words joined by underscores; counters end in `_total`, units are base units.
    pub name: &'static str,
    /// What it counts, in one sentence.
    pub help: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// The values, one for each combination of labels.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A family with one sample and no labels.
    pub fn single(name: &'static str, help: &'static str, kind: Kind, value: f64) -> Self {
        Self {
            name,
            help,
            kind,
            samples: vec![Sample {
                labels: Vec::new(),
                value,
            }],
        }
    }
}

/// How a figure behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Label names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}
