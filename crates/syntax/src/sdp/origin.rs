//! The `o=` line (RFC 8866 §5.2).

use super::line::{all_fields, is_digits, is_token, is_visible};
use crate::scan::number;

/// Who made a session, and which version of its description this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The user's login, or `-`.
    pub username: &'a [u8],
    /// Digits that, with all but the version, identify the session; of any number.
    pub session_id: &'a [u8],
    /// Digits that increase with each change of the description; of any number.
    pub session_version: &'a [u8],
    /// The type of network: `IN`.
    pub net_type: &'a [u8],
    /// The type of address: `IP4` or `IP6`.
    pub addr_type: &'a [u8],
    /// An address or name of the machine that made the session.
    pub unicast_address: &'a [u8],
}

impl<'a> Origin<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let [
            username,
            session_id,
            session_version,
            net_type,
            addr_type,
            unicast_address,
        ] = all_fields(value)?;
        let good = is_visible(username)
            && is_digits(session_id)
            && is_digits(session_version)
            && is_token(net_type)
            && is_token(addr_type)
            && is_visible(unicast_address);
        good.then_some(Self {
            username,
            session_id,
            session_version,
            net_type,
            addr_type,
            unicast_address,
        })
    }

    /// The version as a number; `None` beyond 64 bits, which RFC 3264 §5 forbids to offers.
    pub fn version(&self) -> Option<u64> {
        number(self.session_version)
    }
}
