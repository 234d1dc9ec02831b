//! Starts the real server and its peers for the whole-system tests: SIP phones and tools made by others, and plain
//! sockets that send hand-written messages. What is sent and expected here is written from the RFCs, not with the
//! project's own parser, so that a mistake is not made twice.
//!
//! `cargo xtask test` builds the server, installs the peers and runs the tests. By hand: `STROWGER_BIN` names the
//! program (by default the release build), `STROWGER_PJSUA_PYTHON` a Python that has pjsua2, `STROWGER_FULL=1` asks for
//! the large counts.

pub mod account;
pub mod baresip;
pub mod baresip_python;
pub mod digest;
pub mod disk;
pub mod dissector;
pub mod fault;
pub mod http;
pub mod kamailio;
pub mod linphone;
pub mod message;
pub mod name_server;
pub mod namespace;
pub mod nat;
pub mod peer;
pub mod pjsua;
pub mod ports;
pub mod process;
pub mod push;
pub mod random;
pub mod registering;
pub mod relay;
pub mod scratch;
pub mod server;
pub mod sipp;
pub mod sippy;
pub mod sipvicious;
pub mod subscriber;
pub mod tone;
pub mod trace;
pub mod wait;

pub use account::Account;
pub use message::Message;
pub use name_server::NameServer;
pub use peer::Peer;
pub use random::Random;
pub use scratch::Scratch;
pub use server::{Server, Setup};

/// True when the large counts are asked for.
pub fn full() -> bool {
    std::env::var_os("STROWGER_FULL").is_some()
}
