//! The crate seen from outside, on whole messages: our own samples, and the corpus where it lies beside the repository.

mod corpus;
mod description;
mod every;
mod framing;
mod header_reference;
mod mutate;
mod mutation;
mod plain;
mod round_trip;
mod samples;
mod sdp;
mod torture;
