//! Trunks as administrators see them.

use serde::{Deserialize, Serialize};

/// A provider that the node registers itself with. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trunk {
    /// Its name.
    pub name: String,
    /// The address-of-record there.
    pub aor: String,
    /// The registrar.
    pub registrar: String,
    /// How the registration is.
    pub state: TrunkState,
    /// Why the last attempt came to nothing; `None` if it did not.
    pub why: Option<String>,
    /// When it came into this state, in seconds since the Unix epoch.
    pub since: u64,
    /// Seconds until the registration expires, if there is one.
    pub expires_in: Option<u64>,
    /// Seconds until it is refreshed or tried again; `None` while it is.
    pub next_in: Option<u64>,
    /// The contact that is registered.
    pub contact: Option<String>,
    /// The address that the last REGISTER went to.
    pub address: Option<String>,
    /// The Service-Route that the registrar has told (RFC 3608 §6.1).
    pub service_route: Option<String>,
    /// The Path that the registrar has told (RFC 3327 §5.3).
    pub path: Option<String>,
}

/// How a registration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrunkState {
    /// It has not been answered yet.
    Registering,
    /// The node is registered.
    Registered,
    /// The node is not registered.
    Failing,
    /// It is being removed.
    Removing,
}

impl TrunkState {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registering => "registering",
            Self::Registered => "registered",
            Self::Failing => "failing",
            Self::Removing => "removing",
        }
    }
}
