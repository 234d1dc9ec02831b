//! Whole nodes without sockets: messages in, messages out, in virtual time.

mod calls;
mod defence;
mod gruu;
mod keep_alive;
mod names;
mod outbound;
mod push;
mod refusals;
mod refused;
mod registration;
mod reload;
mod routes;
mod routing;
mod scripts;
mod secrecy;
mod shards;
mod torture;
mod torture_cases;
mod trunks;
mod uas;
mod user_lookup;
