//! What a phone is told, whoever made it.

use std::net::{IpAddr, SocketAddr};

/// A phone's account, where its server is, and what it sends.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The user's part of the address-of-record.
    pub user: &'a str,
    /// Its domain, also the realm.
    pub domain: &'a str,
    /// The password; none when the server asks for none.
    pub password: Option<&'a str>,
    /// The server's address.
    pub server: SocketAddr,
    /// The phone's own address.
    pub local: IpAddr,
    /// `udp` or `tcp`.
    pub transport: &'a str,
    /// The frequency of the tone it sends.
    pub tone: f64,
}
