//! `[[listen]]`: where the node listens, and what others are told of that.

use std::path::PathBuf;

use strowger_syntax::Transport;

use super::Listen;
use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use super::schema::{Feature, carried, refuse};
use super::value::{HostPort, ListenUri, host_port, listen_uri, transport_name};

/// A listener while it is read.
#[derive(Default)]
pub(super) struct ListenDraft {
    uri: Option<ListenUri>,
    advertise: Option<HostPort>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

pub(super) const LISTEN: &[Key<ListenDraft>] = &[
    Key {
        name: "uri",
        example: r#""udp:0.0.0.0:5060""#,
        given: Given::Required,
        doc: "udp:HOST:PORT or tcp:HOST:PORT; IPv6 in brackets; port 0 picks a free one.",
        read: |draft, item, report| {
            draft.uri = item.parsed(listen_uri, report);
            if let Some(uri) = draft.uri {
                refuse(carried(Feature::Transport(uri.transport)), &item.span(), report);
            }
        },
    },
    Key {
        name: "advertise",
        example: r#""203.0.113.5:5060""#,
        given: Given::Example,
        doc: "The address that others reach this listener by, when it is not the one it is bound to.",
        read: |draft, item, report| draft.advertise = item.parsed(host_port, report),
    },
    Key {
        name: "certificate",
        example: r#""cert.pem""#,
        given: Given::Reserved,
        doc: "Certificate chain (PEM), for tls and wss.",
        read: |draft, item, report| draft.certificate = item.string(report).map(PathBuf::from),
    },
    Key {
        name: "key",
        example: r#""key.pem""#,
        given: Given::Reserved,
        doc: "Private key (PEM), for tls and wss.",
        read: |draft, item, report| draft.key = item.string(report).map(PathBuf::from),
    },
];

pub(super) fn wrong_listener(item: Item<'_, '_>, report: &mut Report<'_>) {
    let uri = item.value.get_ref().as_str().unwrap_or_default();
    item.wrong_type(
        "a table",
        &format!("[[listen]], and below it uri = {uri:?}"),
        report,
    );
}

pub(super) fn read_listen(
    item: Item<'_, '_>,
    seen: &mut Vec<ListenUri>,
    report: &mut Report<'_>,
) -> Option<Listen> {
    if item.value.get_ref().is_str() {
        wrong_listener(item, report);
        return None;
    }
    let mut draft = ListenDraft::default();
    item.table(LISTEN, &mut draft, report);
    let uri = draft.uri?;
    let secure = matches!(uri.transport, Transport::Tls | Transport::Wss);
    for (name, given) in [
        ("certificate", draft.certificate.is_some()),
        ("key", draft.key.is_some()),
    ] {
        if given && !secure {
            let what = format!("`{name}` has no meaning for {}", transport_name(uri.transport));
            report.add(&item.key_span(name), Complaint::new(what, "remove it"));
        }
    }
    if let Some(complaint) = overlap(&uri, seen) {
        report.add(&item.key_span("uri"), complaint);
    }
    seen.push(uri);
    Some(Listen {
        uri,
        advertise: draft.advertise,
        certificate: draft.certificate,
        key: draft.key,
    })
}

/// The complaint about a listener whose address another one before it has already taken.
pub(super) fn overlap(uri: &ListenUri, before: &[ListenUri]) -> Option<Complaint> {
    let stream = |uri: &ListenUri| uri.transport != Transport::Udp;
    let other = before.iter().find(|other| {
        let (a, b) = (other.address, uri.address);
        let wildcard = a.ip().is_unspecified() || b.ip().is_unspecified();
        let hosts = a.ip() == b.ip() || (wildcard && a.is_ipv4() == b.is_ipv4());
        stream(other) == stream(uri) && hosts && a.port() == b.port() && a.port() != 0
    })?;
    let complaint = if other == uri {
        Complaint::new(format!("`{uri}` is listed twice"), "remove one of them")
    } else {
        Complaint::new(
            format!("`{uri}` overlaps `{other}`"),
            "keep one, or give it another port",
        )
    };
    Some(complaint)
}
