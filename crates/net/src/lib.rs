//! Sockets and the shard loop: the only crate that talks to the operating system's network, and the only one with
//! `unsafe`. It moves bytes between sockets and an [`Application`], and knows nothing of SIP but where a message
//! ends.

mod application;

pub use application::{Application, Handled};
