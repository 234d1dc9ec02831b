//! The `c=` line (RFC 8866 §5.7).

use std::net::IpAddr;

use super::line::{Line, all_fields, is_token, is_visible};
use crate::edits::Span;
use crate::uri::Host;

/// Where media is to be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection<'a> {
    /// The type of network: `IN`.
    pub net_type: &'a [u8],
    /// The type of address: `IP4` or `IP6`.
    pub addr_type: &'a [u8],
    /// The address or name, with the TTL and the number of addresses that a multicast address may have behind it.
    pub address: &'a [u8],
    /// Where the line's value is.
    pub span: Span,
}

impl<'a> Connection<'a> {
    pub(super) fn parse(line: &Line<'a>) -> Option<Self> {
        let [net_type, addr_type, address] = all_fields(line.value)?;
        let good = is_token(net_type) && is_token(addr_type) && is_visible(address);
        good.then_some(Self {
            net_type,
            addr_type,
            address,
            span: line.value_span(),
        })
    }

    /// The address on the Internet, when it is one and of the type that the line says. An unspecified address
    /// (`0.0.0.0`) is what hold was once asked for with (RFC 3264 §8.4).
    pub fn ip(&self) -> Option<IpAddr> {
        let base = self.address.split(|&b| b == b'/').next()?;
        let ip = Host::parse_bare(base)?.ip()?;
        let agrees = self.net_type == b"IN" && self.addr_type == addr_type(ip).as_bytes();
        (agrees && !base.starts_with(b"[")).then_some(ip)
    }
}

/// The `addrtype` of an address.
pub(super) fn addr_type(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}
