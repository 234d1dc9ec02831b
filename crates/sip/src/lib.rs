//! RFC 3261 behaviour as a deterministic function of bytes, time and a seed: transports' rules, transactions,
//! digest authentication, registrar, proxy and notifier. Nothing here opens a socket, reads a clock or draws a random
//! number; the caller gives bytes and [`Now`], and takes effects from an [`Outbox`].

pub mod auth;
pub mod endpoint;
pub mod event;
pub mod keys;
pub mod memory;
pub mod outbox;
pub mod proxy;
pub mod registrar;
pub mod reject;
pub mod time;
pub mod transaction;
pub mod transport;
pub mod ua;
pub mod uas;

pub use endpoint::{Endpoint, EndpointConfig, Identity, Ingress};
pub use keys::{Keys, MacKey};
pub use outbox::{Outbox, Transmit};
pub use reject::{Extra, Reject};
pub use time::Now;
pub use transport::{Destination, Failure, Flow, Source};
