//! The stateful proxy (RFC 3261 §16): validation, routes, forwarding, and the response context.

mod best;
mod context;
mod forward;
mod preferences;
mod progress;
mod route;
mod targets;
mod validate;
mod ways;

pub use best::is_better;
pub use context::{Challenged, FailedFlow, Flows, Proxy, ProxyConfig, Recursion, Redirected, Start};
pub use forward::{
    BranchKind, Forwarding, MAX_BREADTH, RecordRoute, max_breadth, request_line_uri, write_forward,
};
pub use preferences::{Disposition, Suits, suits};
pub use progress::{Cause, Progress};
pub use route::{RouteFlow, RouteToken, Routing, Taken, next_route, preprocess};
pub use targets::{Failover, Target, TargetSet, Turn};
pub use validate::validate;
