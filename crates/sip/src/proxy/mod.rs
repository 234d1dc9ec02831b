//! The stateful proxy (RFC 3261 §16): validation, routes, forwarding, and the response context.

mod best;
mod context;
mod forward;
mod progress;
mod route;
mod validate;

pub use best::is_better;
pub use context::{Proxy, ProxyConfig, Start};
pub use forward::{BranchKind, Forwarding, RecordRoute, write_forward};
pub use progress::{Cause, Progress};
pub use route::{RouteToken, Routing, Taken, next_route, preprocess};
pub use targets::{Target, TargetSet};
pub use validate::validate;

mod targets;
