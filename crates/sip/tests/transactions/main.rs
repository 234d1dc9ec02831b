//! The four state machines of RFC 3261 §17 (with RFC 4320 and RFC 6026) behind the transaction layer, in virtual time.

mod bench;
mod errors;
mod invite_client;
mod invite_server;
mod non_invite_client;
mod non_invite_server;
mod scripts;
