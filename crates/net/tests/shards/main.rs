//! Real sockets on loopback against a small application.

mod change;
mod control;
mod echo;
mod listen;
mod tcp;
mod tcp_limits;
mod udp;
