//! Trunks: the providers that the node registers itself with, as requests to them and from them are routed.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use strowger_sip::auth::Account;
use strowger_sip::ua::Settings;
use strowger_sip::{Keys, MacKey};

use super::target::Target;
use crate::config::route::{Takes, TargetUri};
use crate::config::{ListenUri, Register};

/// A trunk.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// What routes and logs call it.
    pub name: String,
    /// What is registered, and where.
    pub settings: Arc<Settings>,
    /// A number for its name and its account, which is the same after a change of the rest.
    pub id: NonZeroU32,
    /// Where requests go that go out by it.
    pub target: Target,
    /// The proxy that they go through.
    pub outbound: Option<Target>,
    /// The listener that they leave by.
    pub listener: Option<ListenUri>,
    /// Where requests go that come in by it.
    pub to: Vec<Target>,
    /// Whether the routes are asked first where those go.
    pub after_routes: bool,
    /// Whether the addresses of the registrar need not authenticate.
    pub trusted: bool,
    /// What is known of the provider.
    pub state: Arc<TrunkState>,
}

/// How many addresses of a provider are known at a time.
const PEERS: usize = 8;

/// What is known of a provider: written by the shard that registers, read by all.
#[derive(Default)]
pub struct TrunkState {
    is_registered: AtomicBool,
    /// The addresses that the registrar has answered from lately.
    peers: [KnownPeer; PEERS],
    challenges: AtomicU64,
    /// The Service-Route, if there is one.
    service_route: papaya::HashMap<(), Box<[u8]>>,
}

/// An address of a provider.
#[derive(Default)]
struct KnownPeer {
    /// Its keyed hash; 0 for none.
    hash: AtomicU64,
    /// Until when it is known unless it answers again, in monotonic milliseconds.
    until_ms: AtomicU64,
}

impl fmt::Debug for TrunkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrunkState")
            .field("is_registered", &self.is_registered)
            .finish_non_exhaustive()
    }
}

impl Trunk {
    /// What a registration comes to. `domain` is the first of ours.
    pub(super) fn compile(register: &Register, domain: &str) -> Self {
        let uri = |text: String, takes| {
            Target::compile(&TargetUri {
                text,
                takes,
                mode: None,
            })
        };
        let user = format!("sip:{}@{domain}", register.contact_user);
        let to: Vec<_> = register.to.iter().map(Target::compile).collect();
        let after_routes = to.is_empty();
        Self {
            name: register.name.clone(),
            settings: Arc::new(settings(register)),
            id: id_of(register),
            target: uri(register.registrar.clone(), Takes::User),
            outbound: register.outbound.as_ref().map(Target::compile),
            listener: register.listener,
            to: if after_routes {
                vec![uri(user, Takes::Nothing)]
            } else {
                to
            },
            after_routes,
            trusted: register.trusted,
            state: Arc::default(),
        }
    }

    /// Whether it is the same registration, perhaps with other settings: of the same address with the same registrar.
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |trunk: &Self| {
            let settings = &trunk.settings;
            (
                trunk.name.clone(),
                settings.aor.clone(),
                settings.registrar.clone(),
            )
        };
        key(self) == key(other)
    }

    /// Goes on with what is known of a former one.
    pub(super) fn adopt(&mut self, former: &Self) {
        if self.is_same(former) {
            self.state = Arc::clone(&former.state);
        }
    }

    /// Appends the value of Route of what goes out by it: the proxy that it has, else what its registrar has told (RFC 3608 §6.1).
    pub fn write_route(&self, out: &mut Vec<u8>) {
        match &self.outbound {
            Some(outbound) => outbound.write_route(out),
            None => {
                if let Some(route) = self.state.service_route.pin().get(&()) {
                    out.extend_from_slice(route);
                }
            }
        }
    }
}

fn settings(register: &Register) -> Settings {
    let bytes = |text: &str| text.as_bytes().into();
    Settings {
        aor: bytes(&register.aor),
        registrar: bytes(&register.registrar),
        outbound: register.outbound.as_ref().map(|outbound| bytes(&outbound.text)),
        account: Account {
            username: register.username.clone(),
            password: register.password.expose().to_owned(),
            realm: register.realm.clone(),
        },
        contact_user: bytes(&register.contact_user),
        expires: u32::try_from(register.expires.as_secs()).unwrap_or(u32::MAX),
    }
}

fn id_of(register: &Register) -> NonZeroU32 {
    let texts = [&register.name, &register.username, &register.registrar];
    let hash = MacKey::new([0; 16]).hash(&texts.map(String::as_bytes));
    NonZeroU32::new(hash as u32).unwrap_or(NonZeroU32::MIN)
}

impl TrunkState {
    /// Whether the node is registered there.
    pub fn is_registered(&self) -> bool {
        self.is_registered.load(Ordering::Relaxed)
    }

    /// Notes that a challenge to a request that went out was answered.
    pub fn note_challenge(&self) {
        self.challenges.fetch_add(1, Ordering::Relaxed);
    }

    /// How many challenges to requests that went out were answered.
    pub fn challenges(&self) -> u64 {
        self.challenges.load(Ordering::Relaxed)
    }

    /// Notes whether the node is registered there, and by which Service-Route requests go out.
    pub fn note(&self, is_registered: bool, service_route: &[u8]) {
        self.is_registered.store(is_registered, Ordering::Relaxed);
        let route = self.service_route.pin();
        if service_route.is_empty() {
            route.remove(&());
        } else if route.get(&()).is_none_or(|known| **known != *service_route) {
            route.insert((), service_route.into());
        }
    }

    /// Notes that the registrar has answered from this address, for as long as what it has granted lasts. Those whose time is over
    /// are forgotten: an address that the provider has given up may be anybody's by and by. A new one takes the place of the one
    /// that would be forgotten next.
    pub fn note_peer(&self, peer: Peer, now_ms: u64, until_ms: u64) {
        for known in &self.peers {
            if known.until_ms.load(Ordering::Relaxed) <= now_ms {
                known.hash.store(0, Ordering::Relaxed);
            }
        }
        let rank = |known: &&KnownPeer| match known.hash.load(Ordering::Relaxed) {
            hash if hash == peer.0 => (0, 0),
            0 => (1, 0),
            _ => (2, known.until_ms.load(Ordering::Relaxed)),
        };
        if let Some(place) = self.peers.iter().min_by_key(rank) {
            place.until_ms.store(until_ms, Ordering::Relaxed);
            place.hash.store(peer.0, Ordering::Relaxed);
        }
    }

    /// Forgets the addresses of the registrar: the registration has ended.
    pub fn forget_peers(&self) {
        for known in &self.peers {
            known.hash.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the registrar has answered from this address lately.
    pub fn is_peer(&self, peer: Peer) -> bool {
        self.peers
            .iter()
            .any(|known| known.hash.load(Ordering::Relaxed) == peer.0)
    }
}

/// An address as it is compared with those of providers: a keyed hash, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(u64);

impl Peer {
    /// That of an address.
    pub fn of(ip: IpAddr, keys: &Keys) -> Self {
        let ip = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self(keys.tables.hash(&[b"trunk", &ip.octets()]).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_provider_are_forgotten_when_it_answers_from_others() {
        let state = TrunkState::default();
        state.note_peer(Peer(1), 0, 1000);
        state.note_peer(Peer(2), 500, 1500);
        assert!(state.is_peer(Peer(1)) && state.is_peer(Peer(2)));
        state.note_peer(Peer(2), 1000, 2000);
        assert!(!state.is_peer(Peer(1)) && state.is_peer(Peer(2)));
        for n in 3..=10 {
            state.note_peer(Peer(n), 1100, 2100 + n);
        }
        let known = (1..=10).filter(|&n| state.is_peer(Peer(n)));
        assert_eq!(known.collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9, 10]);
        state.forget_peers();
        assert!(!(1..=10).any(|n| state.is_peer(Peer(n))));
    }
}
