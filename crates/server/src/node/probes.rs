//! Whether the targets of groups are there: each is asked by OPTIONS (RFC 3261 §11), by one shard for all.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use strowger_sip::endpoint::Identity;
use strowger_sip::memory::{Id, Slab};
use strowger_sip::transaction::{Patience, Sending, User};
use strowger_sip::transport::branch::hex_digits;
use strowger_sip::transport::{Departure, Hop, Located, Server, Size, locate};
use strowger_sip::{Now, Outbox};
use strowger_syntax::{Method, Status};

use super::Node;
use crate::config::Probe;
use crate::dns::Age;
use crate::routing::{Routes, Target, TargetState};

/// What stands for a branch in the name of a client transaction that is a probe's.
const PROBE: u16 = u16::MAX;

/// The shard that asks.
const ASKS: u16 = 0;

/// The probes of a node.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// When each group is asked next, in milliseconds.
    due: Vec<Option<u64>>,
    under_way: Slab<UnderWay>,
    count: u64,
}

/// A target that was asked.
#[derive(Debug)]
struct UnderWay {
    group: String,
    uri: Box<[u8]>,
    state: Arc<TargetState>,
    probe: Probe,
}

impl Probes {
    /// Those of these routes; all of them are due.
    pub(super) fn start(&mut self, routes: &Routes, shard: u16) {
        let due = |probe: Option<Probe>| probe.filter(|_| shard == ASKS).map(|_| 0);
        self.due = routes.groups().iter().map(|group| due(group.probe)).collect();
    }

    /// When the next one is due.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.due.iter().copied().flatten().min()
    }
}

/// The way to a target.
enum Way {
    To(Hop),
    /// There is none.
    None,
    /// Its name has not been looked up.
    Unknown,
}

/// Whether a client transaction works for a probe.
pub(super) fn is_probe(user: User) -> bool {
    user.branch == PROBE
}

impl Node {
    /// Asks the targets of the groups whose turn has come.
    pub(super) fn send_probes(&mut self, now: Now, out: &mut Outbox) {
        let now_ms = now.mono_ms();
        if self.probes.deadline().is_none_or(|due| due > now_ms) {
            return;
        }
        let routes = Arc::clone(&self.shared.policy.routes);
        for (place, group) in routes.groups().iter().enumerate() {
            let Some(probe) = group.probe else { continue };
            if self
                .probes
                .due
                .get(place)
                .copied()
                .flatten()
                .is_none_or(|due| due > now_ms)
            {
                continue;
            }
            self.probes.due[place] =
                Some(now_ms + u64::try_from(probe.interval.as_millis()).unwrap_or(u64::MAX));
            for target in &group.targets {
                let asked = UnderWay {
                    group: group.name.clone(),
                    uri: target.target.text().into(),
                    state: Arc::clone(&target.state),
                    probe,
                };
                self.ask(&target.target, asked, now, out);
            }
        }
    }

    fn ask(&mut self, target: &Target, asked: UnderWay, now: Now, out: &mut Outbox) {
        let hop = match self.way_to_target(target, now) {
            Way::To(hop) => Some(hop),
            Way::None => None,
            // It is looked up until the next time.
            Way::Unknown => return,
        };
        self.probes.count += 1;
        let context = self.probes.under_way.insert_with(|_| asked);
        let Some(hop) = hop else {
            return self.on_probed(context, false, now);
        };
        let user = User {
            context,
            branch: PROBE,
        };
        let sending = Sending {
            method: Method::Options,
            to: hop.to,
            user,
            patience: Patience::Usual,
        };
        let (identity, count) = (&self.endpoint.identity, self.probes.count);
        self.endpoint
            .layer
            .send(sending, now.mono_ms(), out, |client, bytes| {
                let check = identity.branches.check(identity.shard, client);
                let asking = Asking {
                    uri: target.text(),
                    hop: &hop,
                    client,
                    check,
                    count,
                };
                write_options(identity, &asking, now, bytes);
                check
            });
    }

    /// The first hop to a target.
    fn way_to_target(&self, target: &Target, now: Now) -> Way {
        let listeners = &self.endpoint.identity.listeners;
        let first = listeners.get(0).map(|first| first.address.ip());
        let from = Departure {
            listeners,
            preferred: (0, first.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))),
        };
        let Some(uri) = target.uri() else {
            return Way::None;
        };
        let mut hops = Vec::new();
        match locate(&uri, Size::Small) {
            Located::Address(ip, ways) => ways.put(from, ip, &mut hops),
            Located::Name(next_hop) => {
                let put =
                    |servers: &[Server]| next_hop.ways.put_servers(from, servers, now.mono_ms(), &mut hops);
                let known = self.shared.dns.look(&next_hop, now.mono_ms(), put);
                if known != Some(Age::Fresh) {
                    self.shared.dns.ask_for(&next_hop, None);
                }
                // The last answer will do, however old: many last less long than it is from one time to the next.
                if known.is_none() {
                    return Way::Unknown;
                }
            }
            Located::Unreachable => {}
        }
        hops.first().map_or(Way::None, |hop| Way::To(*hop))
    }

    /// A target answered. One that says 503 is there, and of no use.
    pub(super) fn on_probe_answer(&mut self, user: User, status: Status, now: Now) {
        if !status.is_provisional() {
            self.on_probed(user.context, status != Status::SERVICE_UNAVAILABLE, now);
        }
    }

    /// A target did not answer, or was not reached.
    pub(super) fn on_probe_failed(&mut self, user: User, now: Now) {
        self.on_probed(user.context, false, now);
    }

    fn on_probed(&mut self, asked: Id, answered: bool, now: Now) {
        let Some(asked) = self.probes.under_way.remove(asked) else {
            return;
        };
        let Some(is_up) = asked.state.on_probe(answered, &asked.probe) else {
            return;
        };
        let what = if is_up { "target up" } else { "target down" };
        self.journal.line(now, what).map(|line| {
            line.text("group", asked.group.as_bytes())
                .text("target", &asked.uri)
        });
    }
}

/// Who is asked by an OPTIONS, and by what its answer is known.
pub(super) struct Asking<'a> {
    /// Whom: a URI without headers.
    pub(super) uri: &'a [u8],
    /// The way there.
    pub(super) hop: &'a Hop,
    /// What the branch names, and its MAC.
    pub(super) client: Id,
    pub(super) check: u32,
    /// Tells it from all others of this moment.
    pub(super) count: u64,
}

/// Appends an OPTIONS of the node's own (RFC 3261 §8.1.1, §11.1).
pub(super) fn write_options(identity: &Identity, asking: &Asking<'_>, now: Now, out: &mut Vec<u8>) {
    let &Asking { uri, hop, .. } = asking;
    let mut moment = [0; 16];
    moment[..8].copy_from_slice(&now.wall_ms.to_be_bytes());
    moment[8..].copy_from_slice(&asking.count.to_be_bytes());
    let call_id = identity.call_key(&moment, uri);
    let tag = identity.call_key(&call_id.to_be_bytes(), b"tag");
    let put_us = |out: &mut Vec<u8>| {
        identity
            .listeners
            .write_uri(hop.transport, (hop.listener, hop.told), hop.local, out)
    };
    out.extend_from_slice(b"OPTIONS ");
    out.extend_from_slice(uri);
    out.extend_from_slice(b" SIP/2.0\r\nVia: ");
    identity.listeners.write_via(hop, out);
    out.extend_from_slice(b";branch=");
    identity
        .branches
        .write_stateful(out, identity.shard, asking.client, asking.check, 0);
    out.extend_from_slice(b"\r\nMax-Forwards: 70\r\nFrom: <");
    put_us(out);
    out.extend_from_slice(b">;tag=");
    out.extend_from_slice(&hex_digits(tag));
    out.extend_from_slice(b"\r\nTo: <");
    out.extend_from_slice(uri);
    out.extend_from_slice(b">\r\nCall-ID: ");
    out.extend_from_slice(&hex_digits(call_id));
    out.extend_from_slice(b"\r\nCSeq: 1 OPTIONS\r\nContact: <");
    put_us(out);
    out.extend_from_slice(b">\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n");
}
