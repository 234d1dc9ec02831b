//! `multicast` of `[[listen]]`: the group at which phones look for their registrar.

use std::net::IpAddr;

use strowger_syntax::Transport;

use super::diagnostic::{Complaint, Report};
use super::read::Item;
use super::value::ListenUri;
use super::{Multicast, transport_name};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// "All SIP servers".
    AllServers,
    /// Another one.
    At(IpAddr),
}

/// Reads `true`, `false` or the address of a group.
pub(super) fn read_group(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<Group> {
    if item.value.get_ref().as_bool().is_some() {
        return item.boolean(report)?.then_some(Group::AllServers);
    }
    let text = item.string(report)?;
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.is_multicast() => Some(Group::At(ip)),
        _ => {
            let mend = "write true for 224.0.1.75 (\"all SIP servers\"), or the address of a group";
            let what = format!(
                "`{}` must be true, false or a multicast address, not `{text}`",
                item.path
            );
            report.add(&item.span(), Complaint::new(what, mend));
            None
        }
    }
}

/// The group that a listener hears.
///
/// # Errors
/// Why it cannot.
pub(super) fn heard(uri: &ListenUri, group: Group, ttl: u8) -> Result<Multicast, Complaint> {
    let local = uri.address.ip();
    if uri.transport != Transport::Udp {
        let what = format!("{} has no multicast", transport_name(uri.transport));
        return Err(Complaint::new(what, "write it for a `udp` listener"));
    }
    if local.is_unspecified() {
        return Err(Complaint::new(
            "a group is heard on one interface, and this listener is at all of them",
            "write the address of one interface as `uri`, as in \"udp:192.0.2.1:5060\"",
        ));
    }
    let group = match group {
        Group::AllServers if local.is_ipv4() => Multicast::ALL_SERVERS,
        Group::AllServers => {
            return Err(Complaint::new(
                "there is no well-known group for IPv6 (RFC 3261 §10.2.6)",
                "write the one that your phones use; its scope is a part of it, as in \"ff02::4b4b\" or \"ff05::4b4b\"",
            ));
        }
        Group::At(group) => group,
    };
    if group.is_ipv4() != local.is_ipv4() {
        let what = format!("the group {group} is of another family than {local}");
        return Err(Complaint::new(what, "write one of the same family"));
    }
    Ok(Multicast { group, ttl })
}
