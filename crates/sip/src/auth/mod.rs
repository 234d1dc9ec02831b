//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): challenges, and the check of what answers them.

mod algorithm;
mod challenge;
mod client;
mod digest;
mod nonce;
#[cfg(test)]
mod tests;
mod verify;

pub use algorithm::{Algorithm, Ha1};
pub use challenge::{ChallengeLines, Challenger, ProtectionSpace, Qop, Staleness};
pub use client::{Account, Answers, Unanswerable, is_challenge};
pub use digest::{Inputs, Protection, RequestHashes, Response};
pub use nonce::{Claim, NONCE_LEN, Nonce, NonceTable, WINDOW};
pub use verify::{Facts, Proof, Rejection, Selected, check_response, select};
