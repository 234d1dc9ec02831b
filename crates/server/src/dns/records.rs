//! What DNS says, as far as SIP wants to know it.

use std::future::Future;
use std::net::IpAddr;

/// A NAPTR record (RFC 3403 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Naptr {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) flags: String,
    pub(super) service: String,
    pub(super) regexp: String,
    pub(super) replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Empty for the root, which says that there is no such service.
    pub(super) target: String,
}

/// What came back for one question.
#[derive(Clone, Debug)]
pub(crate) struct Said<T> {
    /// The records; none if there are none, or it is not known.
    pub(super) records: Vec<T>,
    /// For how many seconds this holds.
    pub(super) ttl_secs: u32,
    /// Whether it is not known: nobody answered, or the server could not tell.
    pub(super) failed: bool,
}

/// Whoever can be asked for records. Names are absolute unless they have no dot, and are written without one at the end.
pub(crate) trait Records: Send + Sync + 'static {
    /// The addresses of a name that the machine itself knows.
    fn local(&self, name: &str) -> Vec<IpAddr>;

    fn naptr(&self, name: &str) -> impl Future<Output = Said<Naptr>> + Send;

    fn srv(&self, name: &str) -> impl Future<Output = Said<Srv>> + Send;

    /// IPv4 addresses.
    fn a(&self, name: &str) -> impl Future<Output = Said<IpAddr>> + Send;

    /// IPv6 addresses.
    fn aaaa(&self, name: &str) -> impl Future<Output = Said<IpAddr>> + Send;
}
