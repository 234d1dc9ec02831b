//! One route, and whether it is for a request.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use strowger_syntax::message::FieldView;
use strowger_syntax::uri::Host;
use strowger_syntax::{Message, Method, Name, Status};

use super::Facts;
use super::bits::Bits;
use super::group::Group;
use super::headers::HeaderRules;
use super::index::Index;
use super::pattern::Pattern;
use super::target::Target;
use super::trunk::Trunk;
use crate::config::route::{Reply, Translation, When, Written};
use crate::config::{self, Config, Fork, Mode, Register};

/// What a node is for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// Stateless, stateful or a redirect server.
    pub mode: Mode,
    /// Whether to stay on the path.
    pub record_route: bool,
    /// How several targets are tried.
    pub fork: Fork,
    /// Whether 3xx answers of targets are followed.
    pub recurse: bool,
    /// How long each target may ring, in milliseconds; `None` for as long as timer C lets it.
    pub ring_ms: Option<u32>,
    /// How long those may ring that others wait for, in milliseconds.
    pub turn_ms: u32,
    /// The trunk that they go out by.
    pub trunk: Option<NonZeroU32>,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            mode: Mode::Stateful,
            record_route: true,
            fork: Fork::Parallel,
            recurse: false,
            ring_ms: None,
            turn_ms: 20_000,
            trunk: None,
        }
    }
}

impl Role {
    /// That of a node.
    pub(super) fn of_node(config: &Config) -> Self {
        let proxy = &config.proxy;
        Self {
            mode: proxy.mode,
            record_route: proxy.record_route && proxy.mode == Mode::Stateful,
            fork: proxy.fork,
            recurse: proxy.recurse,
            ring_ms: None,
            turn_ms: millis(proxy.ring_timeout),
            trunk: None,
        }
    }

    fn of_route(route: &config::Route, node: &Self) -> Self {
        let mode = route.mode.unwrap_or(node.mode);
        let stays = match route.mode {
            Some(mode) => mode == Mode::Stateful,
            None => node.record_route,
        };
        Self {
            mode,
            record_route: route.record_route.unwrap_or(stays),
            fork: route.fork.unwrap_or(node.fork),
            recurse: route.recurse.unwrap_or(node.recurse),
            ring_ms: route.ring_timeout.map(millis),
            turn_ms: node.turn_ms,
            trunk: None,
        }
    }
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// What logs and explanations call it.
    pub name: String,
    /// Where it is in the file.
    pub written: Written,
    /// What becomes of its requests.
    pub action: Action,
    /// The role for them.
    pub role: Role,
    /// What the called number becomes.
    pub number: Option<Translation>,
    /// What changes in the header.
    pub headers: Option<HeaderRules>,
    /// Whether it leads strangers to targets that are not ours.
    pub open: bool,
    when: When,
    domains: Vec<Domain>,
    /// Header fields and what is looked for in them.
    fields: Vec<(Name, Box<[u8]>, Pattern)>,
}

/// What becomes of the requests of a route.
#[derive(Clone, Debug)]
pub enum Action {
    /// What would without it.
    BuiltIn,
    /// They go to these.
    Targets(Vec<Target>),
    /// They go to the group of this number.
    Group(usize),
    /// They go out by the trunk of this number.
    Trunk(usize),
    /// They came in by the trunk of this number, and go where that says.
    FromTrunk(usize),
    /// They are refused.
    Reply(Reply),
    /// They are told where else to ask.
    Redirect(Redirect),
}

/// A redirection.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// 300, 301, 302, 305 or 380.
    pub status: Status,
    /// Where to; where our user is registered if empty.
    pub contacts: Vec<Contact>,
}

/// One contact of a redirection.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Where.
    pub target: Target,
    /// What stands behind its URI.
    pub params: String,
}

/// A host that a route asks for.
#[derive(Clone, Debug)]
enum Domain {
    Name(String),
    Address(IpAddr),
}

/// Why a route is not for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Another method.
    Method,
    /// Within a dialog, or outside of one.
    Dialog,
    /// Another user, or another beginning of the number.
    User,
    /// Longer or shorter.
    Length,
    /// Another host.
    Domain,
    /// From elsewhere.
    Source,
    /// By another transport.
    Transport,
    /// To another listener.
    Listener,
    /// Of somebody who has shown who it is, or who has not.
    Authenticated,
    /// Another Request-URI.
    To,
    /// Another From.
    From,
    /// Another field of the header, the number of the condition.
    Header(usize),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "it is for other methods",
            Self::Dialog => "one is within a dialog, the other is not",
            Self::User => "it is for other users or numbers",
            Self::Length => "it is for longer or shorter numbers",
            Self::Domain => "it is for other domains",
            Self::Source => "it is for other sources",
            Self::Transport => "it is for other transports",
            Self::Listener => "it is for other listeners",
            Self::Authenticated => "one is authenticated, the other is not",
            Self::To => "its `to` is not found in the Request-URI",
            Self::From => "its `from` is not found in the URI of From",
            Self::Header(_) => "its `header` is not found",
        })
    }
}

/// A request while routes are tried: what has been found out about all of them at once.
pub(super) struct Scan<'a> {
    facts: &'a Facts<'a>,
    index: &'a Index,
    methods: Bits,
    users: Bits,
    to: Option<Bits>,
    from: Option<Bits>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(index: &'a Index, facts: &'a Facts<'a>) -> Self {
        Self {
            facts,
            index,
            methods: index.of_method(facts.request.method()),
            users: index.of_user(facts.user),
            to: None,
            from: None,
        }
    }

    /// The routes for its method and its user.
    pub(super) fn candidates(&self) -> Bits {
        self.methods.and(&self.users)
    }

    fn is_to(&mut self, place: usize) -> bool {
        let (index, facts) = (self.index, self.facts);
        index.any_to.has(place)
            || self
                .to
                .get_or_insert_with(|| index.to.matches(facts.uri))
                .has(place)
    }

    fn is_from(&mut self, place: usize) -> bool {
        let (index, facts) = (self.index, self.facts);
        let from = || index.from.matches(facts.request.from_uri());
        index.any_from.has(place) || self.from.get_or_insert_with(from).has(place)
    }
}

impl Route {
    /// What becomes of the requests that come in by a trunk.
    pub(super) fn inbound(register: &Register, place: usize, node: &Role) -> Self {
        // An answer to a challenge is no matter of these, so any role that forwards does.
        let mode = node.mode.max(Mode::Stateless);
        Self {
            name: format!("register {}", register.name),
            written: register.written.clone(),
            action: Action::FromTrunk(place),
            role: Role { mode, ..*node },
            number: None,
            headers: None,
            open: false,
            domains: Vec::new(),
            fields: Vec::new(),
            when: When::default(),
        }
    }

    pub(super) fn compile(route: &config::Route, node: &Role, groups: &[Group], trunks: &[Trunk]) -> Self {
        let field = |(name, text): &(String, String)| {
            let known = Name::from_bytes(name.as_bytes());
            Some((known, name.as_bytes().into(), Pattern::new(text).ok()?))
        };
        let action = Action::compile(&route.action, groups, trunks);
        Self {
            name: route.name.clone(),
            written: route.written.clone(),
            role: Role {
                trunk: match action {
                    Action::Trunk(place) => trunks.get(place).map(|trunk| trunk.id),
                    _ => None,
                },
                ..Role::of_route(route, node)
            },
            action,
            number: route.number.clone(),
            headers: HeaderRules::compile(&route.headers),
            open: route.open,
            domains: route.when.domain.iter().map(|text| Domain::of(text)).collect(),
            fields: route.when.header.iter().filter_map(field).collect(),
            when: route.when.clone(),
        }
    }

    /// Why it is not for the request, if it is not.
    pub(super) fn mismatch(&self, place: usize, scan: &mut Scan<'_>) -> Option<Mismatch> {
        let (when, facts) = (&self.when, scan.facts);
        let length = facts.user.len() as u16;
        let among = |source: &[config::Cidr]| source.iter().any(|block| block.contains(facts.source));
        let listens = |listener: &config::ListenUri| {
            listener.transport == facts.transport && listener.address == facts.listener
        };
        let checks: [(Mismatch, bool); 9] = [
            (
                Mismatch::Method,
                scan.methods.has(place) && self.is_for_method(facts),
            ),
            (Mismatch::Dialog, self.is_for_dialog(facts)),
            (Mismatch::User, scan.users.has(place)),
            (
                Mismatch::Length,
                when.length
                    .is_none_or(|(least, most)| (least..=most).contains(&length)),
            ),
            (
                Mismatch::Domain,
                self.domains.is_empty() || self.domains.iter().any(|domain| domain.is(facts.host)),
            ),
            (Mismatch::Source, when.source.is_empty() || among(&when.source)),
            (
                Mismatch::Transport,
                when.transport.is_empty() || when.transport.contains(&facts.transport),
            ),
            (
                Mismatch::Listener,
                when.listener.is_empty() || when.listener.iter().any(listens),
            ),
            (
                Mismatch::Authenticated,
                when.authenticated
                    .is_none_or(|wanted| wanted == facts.authenticated),
            ),
        ];
        if let Some((mismatch, _)) = checks.iter().find(|(_, fits)| !fits) {
            return Some(*mismatch);
        }
        if !scan.is_to(place) {
            return Some(Mismatch::To);
        }
        if !scan.is_from(place) {
            return Some(Mismatch::From);
        }
        let found = |field| is_found(facts.request, field);
        self.fields
            .iter()
            .position(|field| !found(field))
            .map(Mismatch::Header)
    }

    /// Of the unknown methods, those that are named.
    fn is_for_method(&self, facts: &Facts<'_>) -> bool {
        let (methods, text) = (&self.when.method, facts.request.method_text());
        facts.request.method() != Method::Other
            || methods.is_empty()
            || methods.iter().any(|method| method.as_bytes() == text)
    }

    /// An ACK to a refusal has a To tag and goes where its INVITE went (RFC 3261 §16.11). With state it ends here.
    fn is_for_dialog(&self, facts: &Facts<'_>) -> bool {
        let hop_by_hop = facts.request.method() == Method::Ack && self.role.mode == Mode::Stateless;
        self.when.in_dialog.unwrap_or(false) == facts.in_dialog
            || (hop_by_hop && self.when.in_dialog.is_none())
    }
}

/// Whether a field of the header is what a route looks for.
fn is_found(request: Message<'_>, (name, text, pattern): &(Name, Box<[u8]>, Pattern)) -> bool {
    let named = |field: &FieldView<'_>| {
        field.name == *name && (*name != Name::Other || field.text.eq_ignore_ascii_case(text))
    };
    request
        .fields()
        .any(|field| named(&field) && pattern.is_match(field.value))
}

impl Action {
    fn compile(action: &config::route::Action, groups: &[Group], trunks: &[Trunk]) -> Self {
        use config::route::Action as Written;
        match action {
            Written::BuiltIn => Self::BuiltIn,
            Written::Targets(targets) => Self::Targets(targets.iter().map(Target::compile).collect()),
            Written::Group(name) => {
                let trunk = trunks.iter().position(|trunk| trunk.name == *name);
                let group = groups.iter().position(|group| group.name == *name);
                // A group that there is not has no targets.
                trunk.map_or_else(|| Self::Group(group.unwrap_or(usize::MAX)), Self::Trunk)
            }
            Written::Reply(reply) => Self::Reply(reply.clone()),
            Written::Redirect(redirect) => Self::Redirect(Redirect {
                status: redirect.status,
                contacts: redirect
                    .contacts
                    .iter()
                    .map(|contact| Contact::compile(contact, redirect))
                    .collect(),
            }),
        }
    }
}

impl Contact {
    fn compile(contact: &config::route::ContactUri, redirect: &config::route::Redirect) -> Self {
        let mut params = String::new();
        if let Some(q) = contact.q {
            params.push_str(&match q {
                1000 => ";q=1".to_owned(),
                q => format!(";q=0.{}", format!("{q:03}").trim_end_matches('0'))
                    .trim_end_matches('.')
                    .to_owned(),
            });
        }
        if let Some(expires) = contact.expires.or(redirect.expires) {
            params.push_str(&format!(";expires={}", expires.as_secs()));
        }
        Self {
            target: Target::compile(&contact.target),
            params,
        }
    }
}

impl Domain {
    fn of(text: &str) -> Self {
        match text.parse() {
            Ok(address) => Self::Address(address),
            Err(_) => Self::Name(text.to_owned()),
        }
    }

    fn is(&self, host: Host<'_>) -> bool {
        match (self, host) {
            (Self::Name(ours), Host::Name(name)) => ours
                .as_bytes()
                .eq_ignore_ascii_case(name.strip_suffix(b".").unwrap_or(name)),
            (Self::Address(ours), host) => host
                .ip()
                .is_some_and(|ip| ip.to_canonical() == ours.to_canonical()),
            _ => false,
        }
    }
}
