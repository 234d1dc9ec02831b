//! What all shards of a node share: policy, stores, secrets' tables. Nothing in it is locked on a request's path, but for what counts
//! visitors on that of their REGISTERs.

use std::net::IpAddr;
use std::sync::Arc;

use strowger_sip::Keys;
use strowger_sip::auth::{Algorithm, NonceTable};
use strowger_sip::event::Durations;
use strowger_sip::registrar;
use strowger_syntax::Method;
use strowger_syntax::uri::{SipUri, Uri};

use super::visitors::Visitors;
use crate::config::effective::{self, Ours};
use crate::config::{Cidr, Config, ThirdParty};
use crate::defence::Defence;
use crate::dns::Dns;
use crate::events::{Events, Most};
use crate::location::Location;
use crate::push::Services;
use crate::routing::{Peer, Routes};
use crate::subscriber::Subscribers;

/// What the configuration comes to for a request.
#[derive(Clone, Debug)]
pub struct NodePolicy {
    /// Methods that are challenged out of dialog; none when digest is off.
    pub challenged: Vec<String>,
    /// Algorithms, the preferred one first.
    pub algorithms: Vec<Algorithm>,
    /// Sources that need not authenticate.
    pub trusted: Vec<Cidr>,
    /// Networks that visitors may register from.
    pub visitors: Vec<Cidr>,
    /// How many visitors may be registered at a time.
    pub max_visitors: usize,
    /// Who may register for others.
    pub third_parties: Vec<ThirdParty>,
    /// What becomes of requests for others.
    pub routes: Arc<Routes>,
    /// Larger requests go by TCP (RFC 3261 §18.1.1).
    pub udp_limit: usize,
    /// Timer C, in milliseconds.
    pub timer_c_ms: u64,
    /// What is done for phones behind a NAT.
    pub nat: crate::config::Nat,
    /// What the registrar allows.
    pub registrar: registrar::Policy,
    /// The Service-Route line of answers to REGISTER (RFC 3608 §6.3); empty for none.
    pub service_route: Arc<[u8]>,
    /// What the notifier allows.
    pub events: EventPolicy,
    /// Transactions of one shard; beyond, requests get 503.
    pub max_transactions: usize,
    /// Bytes that one shard keeps for its transactions; beyond, requests get 503.
    pub max_kept_bytes: usize,
    /// This start of the node.
    pub boot: u32,
}

/// What the notifier allows.
#[derive(Clone, Debug)]
pub struct EventPolicy {
    /// How long subscriptions may last.
    pub durations: Durations,
    /// How many there may be.
    pub most: Most,
    /// Users of ours who may watch everybody's registrations, as addresses-of-record.
    pub watchers: Arc<[String]>,
}

/// What all shards share: what a configuration comes to, and stores and tables, which outlive it.
pub struct Shared {
    /// What the configuration comes to.
    pub policy: NodePolicy,
    /// Which hosts are ours.
    pub ours: Ours,
    /// The location service.
    pub location: Arc<dyn Location>,
    /// The users.
    pub subscribers: Arc<Subscribers>,
    /// The nonces under way.
    pub nonces: Arc<NonceTable>,
    /// What is held against sources.
    pub defence: Defence,
    /// The servers behind names.
    pub dns: Arc<Dns>,
    /// Subscriptions, as far as they are not one shard's matter.
    pub events: Arc<Events>,
    /// The services that wake devices.
    pub push: Services,
    /// Who is registered without a password.
    pub visitors: Arc<Visitors>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("policy", &self.policy)
            .field("ours", &self.ours)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// The same stores and tables under another configuration.
    #[must_use]
    pub fn reconfigured(&self, mut policy: NodePolicy, ours: Ours, config: &Config) -> Self {
        if let Some(routes) = Arc::get_mut(&mut policy.routes) {
            routes.adopt(&self.policy.routes);
        }
        Self {
            policy,
            ours,
            location: Arc::clone(&self.location),
            subscribers: Arc::clone(&self.subscribers),
            nonces: Arc::clone(&self.nonces),
            defence: self.defence.reconfigured(&config.defence),
            dns: Arc::clone(&self.dns),
            events: Arc::clone(&self.events),
            push: self.push.reconfigured(&config.push),
            visitors: Arc::clone(&self.visitors),
        }
    }

    /// Whether a URI names this node.
    pub fn is_ours(&self, uri: &SipUri<'_>) -> bool {
        self.ours.is_ours(uri)
    }

    /// Whether a text is a URI that names this node.
    pub fn names_us(&self, uri: &[u8]) -> bool {
        matches!(Uri::parse(uri), Ok(Uri::Sip(sip)) if self.is_ours(&sip))
    }

    /// Whether digest is on.
    pub fn auth_on(&self) -> bool {
        !self.policy.challenged.is_empty()
    }

    /// Whether a method is challenged out of dialog.
    pub fn is_challenged(&self, method: Method, text: &[u8]) -> bool {
        let name = if method == Method::Other {
            text
        } else {
            method.as_str().as_bytes()
        };
        self.policy.challenged.iter().any(|m| m.as_bytes() == name)
    }

    /// Whether strangers cannot call. Then nothing else of theirs reaches a user either, or the answers would tell who
    /// exists.
    pub fn is_closed(&self) -> bool {
        self.is_challenged(Method::Invite, b"INVITE")
    }

    /// Whether a source need not authenticate.
    pub fn is_trusted(&self, source: IpAddr) -> bool {
        !self.policy.trusted.is_empty() && effective::is_trusted(&self.policy.trusted, source)
    }

    /// Whether a source is the registrar of a trunk whose provider need not authenticate.
    pub fn is_trusted_trunk(&self, source: IpAddr, keys: &Keys) -> bool {
        let trunks = self.policy.routes.trunks();
        if trunks.is_empty() {
            return false;
        }
        let peer = Peer::of(source, keys);
        trunks
            .iter()
            .any(|trunk| trunk.trusted && trunk.state.is_peer(peer))
    }
}
