//! Whole nodes without sockets: messages in, messages out, in virtual time.

mod attacks;
mod calls;
mod defence;
mod events;
mod gruu;
mod keep_alive;
mod multicast;
mod names;
mod outbound;
mod push;
mod refusals;
mod refused;
mod registering_for_others;
mod registration;
mod reload;
mod routes;
mod routing;
mod scripts;
mod secrecy;
mod secure;
mod shards;
mod torture;
mod torture_cases;
mod trunks;
mod uas;
mod user_lookup;
