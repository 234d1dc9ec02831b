//! `[[listen]]`: where the node listens, and what others are told of that.

use std::path::PathBuf;

use strowger_sip::transport::Advertised;
use strowger_syntax::Transport;

use super::diagnostic::{Complaint, Report};
use super::multicast::{Group, heard, read_group};
use super::read::{Given, Item, Key};
use super::schema::{Feature, carried, refuse};
use super::value::{Cidr, HostPort, ListenUri, cidr, host_port, listen_uri, transport_name};
use super::{Listen, Multicast};

/// A listener while it is read.
#[derive(Default)]
pub(super) struct ListenDraft {
    uri: Option<ListenUri>,
    advertise: Vec<Advertise>,
    multicast: Option<Group>,
    multicast_ttl: Option<u8>,
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
        doc: "The address that others reach this listener by, when it is not the one it is bound to. If that depends on where they \
              are, a list: [{ to = \"10.0.0.0/8\", as = \"10.1.2.3\" }, \"203.0.113.5:5060\"]; the first that fits counts, and \
              whoever none is for is told the address that it is bound to.",
        read: |draft, item, report| draft.advertise = read_advertise(&item, report),
    },
    Key {
        name: "multicast",
        example: "false",
        given: Given::Default,
        doc: "Hear phones that look for their registrar by multicast: true is at 224.0.1.75 (RFC 3261 §10.2.6), or another group, as \
              \"ff02::4b4b\" for IPv6. For udp listeners at the address of one interface. Only REGISTER for users of this node is \
              answered.",
        read: |draft, item, report| draft.multicast = read_group(item, report),
    },
    Key {
        name: "multicast_ttl",
        example: "1",
        given: Given::Default,
        doc: "How far answers to the group go: 1 is no further than the next router, whatever a Via asks for.",
        read: |draft, item, report| draft.multicast_ttl = item.integer(1..=255, report),
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

/// What peers are told instead of a listener's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// Where the peers are that it is for; nowhere stands for everywhere.
    pub to: Vec<Cidr>,
    /// What they are told.
    pub address: HostPort,
}

impl Advertise {
    /// For everybody.
    pub fn everywhere(address: HostPort) -> Self {
        Self {
            to: Vec::new(),
            address,
        }
    }
}

impl Listen {
    /// What peers are told instead of its address, as the core knows it.
    pub fn advertised(&self) -> Vec<Advertised> {
        let advertised = |advertise: &Advertise| Advertised {
            to: advertise.to.clone(),
            host_port: advertise.address.to_string(),
        };
        self.advertise.iter().map(advertised).collect()
    }
}

/// One of `advertise` while it is read.
#[derive(Default)]
struct AdvertiseDraft {
    to: Vec<Cidr>,
    address: Option<HostPort>,
}

const ADVERTISE: &[Key<AdvertiseDraft>] = &[
    Key {
        name: "to",
        example: r#""10.0.0.0/8""#,
        given: Given::Example,
        doc: "Where the peers are that it is for: an address block or a list of them. Without it: everywhere.",
        read: |draft, item, report| {
            draft.to = if item.value.get_ref().is_str() {
                item.parsed(cidr, report).into_iter().collect()
            } else {
                let blocks = item.list(report, |item, report| item.parsed(cidr, report));
                if item
                    .value
                    .get_ref()
                    .as_array()
                    .is_some_and(|array| array.is_empty())
                {
                    let what = format!("`{}` is empty", item.path);
                    report.add(&item.span(), Complaint::new(what, "leave it out for everywhere"));
                }
                blocks.unwrap_or_default()
            };
        },
    },
    Key {
        name: "as",
        example: r#""203.0.113.5:5060""#,
        given: Given::Required,
        doc: "What they are told.",
        read: |draft, item, report| draft.address = item.parsed(host_port, report),
    },
];

/// How many there may be for one listener.
const MOST_ADVERTISED: usize = 64;

/// An address, a table of whom it is for and the address, or a list of either.
fn read_advertise(item: &Item<'_, '_>, report: &mut Report<'_>) -> Vec<Advertise> {
    if !item.value.get_ref().is_array() {
        return read_one_advertise(item, report).into_iter().collect();
    }
    let mut is_left = true;
    let all = item.list(report, |item, report| {
        if !is_left {
            let what = "nobody is left for this one: the one before it is for everybody";
            let mend = "put those with `to` first";
            report.add(&item.span(), Complaint::new(what, mend));
        }
        let one = read_one_advertise(&item, report)?;
        is_left &= !one.to.is_empty();
        Some(one)
    });
    let all = all.unwrap_or_default();
    if all.len() > MOST_ADVERTISED {
        let what = format!("`{}` has {} entries", item.path, all.len());
        let mend = format!("write {MOST_ADVERTISED} at most; `to` may be a list");
        report.add(&item.span(), Complaint::new(what, mend));
    }
    all
}

fn read_one_advertise(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<Advertise> {
    if !item.value.get_ref().is_table() {
        return item.parsed(host_port, report).map(Advertise::everywhere);
    }
    let mut draft = AdvertiseDraft::default();
    item.table(ADVERTISE, &mut draft, report);
    Some(Advertise {
        to: draft.to,
        address: draft.address?,
    })
}

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
    let multicast = read_multicast(&uri, &draft, item, report);
    Some(Listen {
        uri,
        advertise: draft.advertise,
        multicast,
        certificate: draft.certificate,
        key: draft.key,
    })
}

fn read_multicast(
    uri: &ListenUri,
    draft: &ListenDraft,
    item: Item<'_, '_>,
    report: &mut Report<'_>,
) -> Option<Multicast> {
    let Some(group) = draft.multicast else {
        if draft.multicast_ttl.is_some() && item.value.get_ref().get("multicast").is_none() {
            let mend = "add multicast = true, or remove it";
            let complaint = Complaint::new("`multicast_ttl` is for `multicast`", mend);
            report.add(&item.key_span("multicast_ttl"), complaint);
        }
        return None;
    };
    heard(uri, group, draft.multicast_ttl.unwrap_or(1))
        .map_err(|complaint| report.add(&item.key_span("multicast"), complaint))
        .ok()
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
