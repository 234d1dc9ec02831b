//! What is explained is what happens: requests of all kinds are explained first, then sent, and what is told is compared with
//! what comes, byte by byte. The copies have the state of the node, so even branches, tags and nonces are the same.
//!
//! `STROWGER_FULL=1` asks for the large counts.

mod compared;
mod corpus;
mod credentials;
mod requests;
mod untouched;
