//! The SIP node: configuration, administration, and everything that decides what becomes of a request.

pub mod admin;
pub mod config;
pub mod data_dir;
mod database;
pub mod defence;
pub mod dns;
pub mod explain;
mod hashed;
pub mod http;
pub mod location;
pub mod node;
pub mod push;
pub mod routing;
pub mod running;
pub mod subscriber;
