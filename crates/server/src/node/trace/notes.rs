//! Steps, made of what the node has at hand when it decides.

use std::net::SocketAddr;

use strowger_sip::auth::{Rejection, Selected, Staleness};
use strowger_sip::proxy::{RouteToken, Routing, Target, TargetSet};
use strowger_sip::registrar::{Binding, Changes, Gruu, Outcome, write_shown_uri};
use strowger_sip::transport::{Hop, Listeners, NextHop, Server, Wanted};
use strowger_sip::{Destination, Now, Reject};
use strowger_syntax::message::{BadMessage, Fault};
use strowger_syntax::scan::number;
use strowger_syntax::{Message, Name, Status, Transport};

use super::step::*;
use crate::node::policy::Sender;
use crate::node::shared::Shared;
use crate::routing::{Action, Considered, Group, GroupTarget, Trunk};
use crate::subscriber::Resolved;

/// A text from the wire. What is no UTF-8 of it is shown as such.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A contact's URI, without the name of its device.
pub(crate) fn shown(uri: &[u8]) -> String {
    let mut out = Vec::new();
    write_shown_uri(uri, &mut out);
    text(&out)
}

fn some_text(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| text(bytes))
}

/// `udp:192.0.2.1:5060`.
pub(crate) fn place(transport: Transport, address: SocketAddr) -> String {
    format!("{}:{address}", transport.uri_param())
}

/// A listener by its number.
pub(crate) fn listener(listeners: &Listeners, number: u16) -> String {
    match listeners.get(number) {
        Some(listener) => place(listener.transport, listener.address),
        None => format!("listener {number}, which is not there"),
    }
}

/// Where something goes.
pub(crate) fn destination(to: &Destination) -> String {
    match to {
        Destination::Datagram { to, .. } | Destination::Connect { to, .. } => to.to_string(),
        Destination::Flow(flow) => {
            format!("connection {} of shard {}", flow.index, flow.shard)
        }
    }
}

/// The clause that a fault of a message is about.
fn clause(fault: Fault) -> &'static str {
    match fault {
        Fault::NotSip | Fault::StartLine => "RFC 3261 §7.1",
        Fault::Version => "RFC 3261 §21.5.6",
        Fault::Line | Fault::NoEnd => "RFC 3261 §7.3.1",
        Fault::Missing(Name::ContentLength) | Fault::Truncated => "RFC 3261 §18.3",
        Fault::Missing(_) => "RFC 3261 §8.1.1",
        Fault::Duplicate(_) | Fault::Malformed(_) => "RFC 3261 §7.3",
        Fault::CSeqMethod => "RFC 3261 §8.1.1.5",
        Fault::TooLarge => "RFC 3261 §21.5.7",
        Fault::UriTooLong => "RFC 3261 §21.4.12",
    }
}

impl From<Sender> for SenderKind {
    fn from(sender: Sender) -> Self {
        match sender {
            Sender::Authenticated => Self::Authenticated,
            Sender::Trusted => Self::Trusted,
            Sender::Trunk => Self::Trunk,
            Sender::Local => Self::Local,
            Sender::Stranger => Self::Stranger,
        }
    }
}

impl From<Resolved> for Known {
    fn from(resolved: Resolved) -> Self {
        match resolved {
            Resolved::User => Self::User,
            Resolved::Alias => Self::Alias,
            Resolved::Unknown => Self::Unlisted,
        }
    }
}

impl CredentialsOutcome {
    /// Right, for the user's own address or an alias.
    pub(in crate::node) fn right_for(address: Resolved) -> Self {
        match address {
            Resolved::Alias => Self::RightForAlias,
            Resolved::User | Resolved::Unknown => Self::Right,
        }
    }
}

impl From<Rejection> for CredentialsOutcome {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Malformed(what) => Self::Malformed(what.to_owned()),
            Rejection::Unasked => Self::Unasked,
            Rejection::Wrong => Self::Wrong,
            Rejection::UnknownUser => Self::UnknownUser,
            Rejection::ForeignNonce | Rejection::Stale => Self::Stale,
        }
    }
}

impl HopSeen {
    pub(crate) fn of(hop: &Hop, listeners: &Listeners) -> Self {
        Self {
            transport: hop.transport.uri_param().to_owned(),
            to: destination(&hop.to),
            listener: listener(listeners, hop.listener),
        }
    }
}

impl BindingSeen {
    pub(crate) fn of(binding: &Binding<'_>, now_secs: u64) -> Self {
        Self {
            contact: shown(binding.contact),
            q: binding.q,
            age: now_secs.saturating_sub(u64::from(binding.updated_at)),
            expires_in: u64::from(binding.expires_at).saturating_sub(now_secs),
            source: place(binding.origin.transport, binding.origin.remote),
            path: some_text(binding.path),
            user_agent: some_text(binding.user_agent),
            call_id: text(binding.order.call_id),
            cseq: binding.order.cseq,
        }
    }
}

impl Step {
    pub(in crate::node) fn unusable(bad: BadMessage) -> Self {
        Self::Unusable {
            fault: bad.fault.reason().to_owned(),
            clause: clause(bad.fault).to_owned(),
            answerable: bad.answerable,
        }
    }

    pub(in crate::node) fn route_set(request: Message<'_>, routing: &Routing<'_>) -> Self {
        Self::RouteSet {
            elements: request.elements(Name::Route).count(),
            ours: usize::from(routing.taken.pop),
            strict: routing.taken.strict,
            token: match routing.token {
                RouteToken::Absent => Token::Absent,
                RouteToken::Valid => Token::Valid,
                RouteToken::Forged => Token::Forged,
            },
            next: routing.next.map(text),
            request_uri: text(routing.request_uri),
        }
    }

    /// What the node is for its own matters.
    pub(in crate::node) fn own(role: RoleTaken) -> Self {
        let why = RoleWhy::Own;
        Self::Role { role, why }
    }

    pub(in crate::node) fn bound(to: BoundTo, uri: &[u8]) -> Self {
        Self::Bound { to, uri: text(uri) }
    }

    pub(in crate::node) fn validated(request: Message<'_>) -> Self {
        Self::Validated {
            max_forwards: request.first(Name::MaxForwards).and_then(number),
        }
    }

    pub(in crate::node) fn credentials(
        realm: &[u8],
        selected: Option<&Selected<'_>>,
        outcome: CredentialsOutcome,
    ) -> Self {
        let given = selected.map(|selected| &selected.given);
        Self::Credentials {
            realm: text(realm),
            user: given
                .and_then(|given| given.username)
                .map(|user| text(&user.text())),
            algorithm: selected
                .and_then(Selected::algorithm)
                .map(|algorithm| algorithm.as_str().to_owned()),
            count: given.and_then(|given| given.nonce_count()),
            outcome,
        }
    }

    pub(in crate::node) fn user_asked(user: &[u8], domain: &[u8], asked: bool) -> Self {
        let user = format!("{}@{}", text(user), text(domain));
        Self::UserLookUp { user, asked }
    }

    pub(in crate::node) fn address(asked: &[u8], aor: &[u8], known: Resolved) -> Self {
        Self::Address {
            asked: text(asked),
            aor: text(aor),
            known: known.into(),
        }
    }

    /// Which phone a URI with `gr` means, if it is a GRUU.
    pub(in crate::node) fn gruu(gruu: Option<&Gruu<'_>>, instance: Option<&[u8]>) -> Self {
        Self::Gruu {
            kind: match gruu {
                Some(Gruu::Public(_)) => GruuKind::Public,
                Some(Gruu::Temporary(_)) => GruuKind::Temporary,
                None => GruuKind::None,
            },
            instance: instance.map(text),
        }
    }

    pub(in crate::node) fn dialled(dialled: &[u8], becomes: &[u8]) -> Self {
        Self::Dialled {
            dialled: text(dialled),
            becomes: text(becomes),
        }
    }

    pub(in crate::node) fn translated(becomes: &[u8]) -> Self {
        Self::Translated {
            becomes: text(becomes),
        }
    }

    pub(in crate::node) fn route(considered: &Considered<'_>) -> Self {
        let route = considered.route;
        Self::Route {
            name: route.name.clone(),
            place: route.written.to_string(),
            mismatch: considered.mismatch.map(|mismatch| mismatch.to_string()),
            action: match route.action {
                Action::BuiltIn => RouteAction::BuiltIn,
                Action::Targets(_) => RouteAction::Targets,
                Action::Group(_) => RouteAction::Group,
                Action::Trunk(_) => RouteAction::Trunk,
                Action::FromTrunk(_) => RouteAction::FromTrunk,
                Action::Reply(_) => RouteAction::Reply,
                Action::Redirect(_) => RouteAction::Redirect,
            },
        }
    }

    pub(in crate::node) fn trunk(trunk: &Trunk, inbound: bool) -> Self {
        Self::Trunk {
            name: trunk.name.clone(),
            inbound,
            registered: trunk.state.is_registered(),
        }
    }

    pub(in crate::node) fn group_target(group: &Group, target: &GroupTarget, usable: bool) -> Self {
        Self::GroupTarget {
            group: group.name.clone(),
            target: text(target.target.text()),
            health: target.health().as_str().to_owned(),
            calls: target.state.calls(),
            usable,
        }
    }

    pub(in crate::node) fn binding(binding: &Binding<'_>, used: BindingUse, now: Now) -> Self {
        Self::Binding {
            binding: BindingSeen::of(binding, now.wall_secs()),
            used,
        }
    }

    /// A binding that there is no way to.
    pub(in crate::node) fn not_reached(binding: &Binding<'_>, shared: &Shared, now: Now) -> Self {
        let used = if shared.names_us(binding.contact) {
            BindingUse::NamesUs
        } else {
            BindingUse::NoWay
        };
        Self::binding(binding, used, now)
    }

    /// A binding that a redirection tells, unless it is `ours`.
    pub(in crate::node) fn told(binding: &Binding<'_>, ours: bool, now: Now) -> Self {
        let used = if ours {
            BindingUse::NamesUs
        } else {
            BindingUse::Told
        };
        Self::binding(binding, used, now)
    }

    pub(in crate::node) fn insecure(uri: &[u8], why: InsecureWhy) -> Self {
        Self::Insecure { uri: shown(uri), why }
    }

    pub(in crate::node) fn target(targets: &TargetSet, target: &Target, listeners: &Listeners) -> Self {
        let texts = targets.text();
        let hops = targets.hops(target).iter();
        Self::Target {
            uri: shown(target.uri(texts)),
            routes: some_text(target.routes(texts)),
            group: target.turn.group,
            ring_ms: target.turn.ring_ms,
            hops: hops.map(|hop| HopSeen::of(hop, listeners)).collect(),
        }
    }

    pub(in crate::node) fn looked_up(next_hop: &NextHop<'_>) -> Self {
        Self::LookUp {
            name: text(next_hop.name),
            wanted: match next_hop.wanted {
                Wanted::Addresses => "its addresses".to_owned(),
                Wanted::Servers(transport) => format!("its servers for {}", transport.uri_param()),
                Wanted::AnyServers { secure: true } => "its servers over TLS".to_owned(),
                Wanted::AnyServers { secure: false } => "its servers".to_owned(),
            },
        }
    }

    pub(crate) fn servers(name: &[u8], servers: &[Server], cached: bool) -> Self {
        let seen = |server: &Server| ServerSeen {
            rank: server.rank,
            weight: server.weight,
            transport: server.transport.map(|transport| transport.uri_param().to_owned()),
            port: server.port,
            addresses: server.addresses.iter().map(ToString::to_string).collect(),
        };
        Self::Servers {
            name: text(name),
            servers: servers.iter().map(seen).collect(),
            cached,
        }
    }

    pub(in crate::node) fn challenged(status: Status, staleness: Staleness, told: bool) -> Self {
        Self::Challenged {
            status: status.code(),
            stale: staleness == Staleness::Stale,
            told,
        }
    }

    pub(in crate::node) fn refused(reject: &Reject, told: bool) -> Self {
        Self::Refused {
            status: reject.status.code(),
            reason: reject.reason.to_owned(),
            told,
        }
    }

    pub(in crate::node) fn registered(aor: &[u8], outcome: Outcome) -> Self {
        let (outcome, changes) = match outcome {
            Outcome::Fetch => (RegisterOutcome::Fetch, Changes::default()),
            Outcome::Unchanged => (RegisterOutcome::Unchanged, Changes::default()),
            Outcome::Changed(none) if none == Changes::default() => (RegisterOutcome::Unchanged, none),
            Outcome::Retransmission => (RegisterOutcome::Retransmission, Changes::default()),
            Outcome::Changed(changes) => (RegisterOutcome::Changed, changes),
        };
        Self::Registered {
            aor: text(aor),
            outcome,
            added: changes.added,
            refreshed: changes.refreshed,
            removed: changes.removed,
        }
    }
}
