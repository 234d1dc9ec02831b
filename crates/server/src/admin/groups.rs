//! Target groups as administrators see them.

use serde::{Deserialize, Serialize};

use crate::routing;

/// A target of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTarget {
    /// Its name: group and URI.
    pub id: String,
    /// The group.
    pub group: String,
    /// The URI, as the configuration has it.
    pub target: String,
    /// `up`, `down` or `draining`.
    pub state: String,
    /// Calls that it has, as far as they follow their dialogs.
    pub calls: u32,
    /// How often it was chosen.
    pub chosen: u64,
}

impl GroupTarget {
    /// A target of the node's.
    pub fn of(group: &routing::Group, target: &routing::GroupTarget) -> Self {
        let uri = String::from_utf8_lossy(target.target.text()).into_owned();
        Self {
            id: format!("{} {uri}", group.name),
            group: group.name.clone(),
            target: uri,
            state: target.health().as_str().to_owned(),
            calls: target.state.calls(),
            chosen: target.state.chosen(),
        }
    }
}

/// Which target is to run empty, or to be used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainTarget {
    /// The group.
    pub group: String,
    /// The URI, as the configuration has it.
    pub target: String,
    /// Whether it is to run empty.
    pub draining: bool,
}
