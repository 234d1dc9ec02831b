//! Which requests go where and how: the configured routes as a pure function. The first route that matches decides;
//! without one, the built-in routing applies.
//!
//! [`decide`] is asked for every request that could have a route, so it finds candidates by method and by the beginning of
//! the called number, and looks at the rest of the conditions of those only. [`explain`] goes through all of them with the
//! same code.

mod bits;
mod explain;
mod group;
mod headers;
mod index;
mod number;
mod pattern;
mod route;
mod target;
#[cfg(test)]
mod tests;
mod trunk;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use strowger_syntax::uri::Host;
use strowger_syntax::{Message, Transport};

pub use bits::MAX_ROUTES;
pub use explain::{Considered, explain};
pub use group::{Group, GroupTarget, Health, Order, Stay, TargetState};
pub use headers::HeaderRules;
pub use number::{Dialled, NumberPlan};
pub use pattern::Pattern;
pub use route::{Action, Contact, Mismatch, Redirect, Role, Route};
pub use target::Target;
pub use trunk::{Peer, Trunk, TrunkState};

use crate::config::Config;
use crate::config::route::Translation;
use index::Index;
use route::Scan;

/// All routes of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
    groups: Vec<Group>,
    index: Index,
    /// The role of what no route takes.
    role: Role,
    /// The proxy that whatever is foreign goes through.
    outbound: Option<Target>,
    /// What dialled numbers mean.
    pub plan: NumberPlan,
    trunks: Vec<Trunk>,
    /// The routes of what comes in by them, one for each.
    inbound: Vec<Route>,
}

/// What routes look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The request.
    pub request: Message<'a>,
    /// The Request-URI to route by (RFC 3261 §16.4).
    pub uri: &'a [u8],
    /// Its user or number; empty without one.
    pub user: &'a [u8],
    /// Its host.
    pub host: Host<'a>,
    /// Where the request comes from.
    pub source: IpAddr,
    /// The transport it came by.
    pub transport: Transport,
    /// The address of the listener it came to.
    pub listener: SocketAddr,
    /// Whether its sender has shown who it is.
    pub authenticated: bool,
    /// Whether it is within a dialog.
    pub in_dialog: bool,
    /// The trunk that it comes in by, if it does.
    pub trunk: Option<usize>,
}

/// What becomes of a request, and why.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'r> {
    /// The route that decided; `None` is the built-in routing.
    pub route: Option<&'r Route>,
    /// The role for it.
    pub role: Role,
}

impl<'r> Decision<'r> {
    /// Where it goes or how it is answered.
    pub fn action(&self) -> &'r Action {
        self.route.map_or(&Action::BuiltIn, |route| &route.action)
    }

    /// What the called number becomes.
    pub fn translation(&self) -> Option<&'r Translation> {
        self.route?.number.as_ref()
    }

    /// Whether strangers may be led to targets that are not ours.
    pub fn is_open(&self) -> bool {
        self.route.is_some_and(|route| route.open)
    }

    /// Whether the header changes.
    pub fn has_headers(&self) -> bool {
        self.route.is_some_and(|route| route.headers.is_some())
    }
}

impl Routes {
    /// What a configuration comes to.
    pub fn new(config: &Config) -> Self {
        let node = Role::of_node(config);
        let groups = group::compile(&config.group);
        // Without domains, this one is the first of ours.
        let domain = config.domains.first().map_or("localhost", String::as_str);
        let trunks: Vec<_> = config
            .register
            .iter()
            .map(|register| Trunk::compile(register, domain))
            .collect();
        let compile = |route| Route::compile(route, &node, &groups, &trunks);
        let inbound = config.register.iter().enumerate();
        Self {
            index: Index::new(&config.route),
            outbound: config.proxy.outbound.as_ref().map(Target::compile),
            plan: NumberPlan::new(config.dial_plan.as_ref(), domain),
            role: node,
            routes: config.route.iter().map(compile).collect(),
            inbound: inbound
                .map(|(place, register)| Route::inbound(register, place, &node))
                .collect(),
            groups,
            trunks,
        }
    }

    /// Goes on with what is known of the targets of groups that there were before.
    pub fn adopt(&mut self, before: &Self) {
        for group in &mut self.groups {
            if let Some(known) = before.group_named(&group.name) {
                group.adopt(known);
            }
        }
        for trunk in &mut self.trunks {
            before.trunks.iter().for_each(|former| trunk.adopt(former));
        }
    }

    /// The same, with what is known of the targets at this moment, which nobody else hears of.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut copy = self.clone();
        copy.groups.iter_mut().for_each(Group::detach);
        copy
    }

    /// Whether there are none, and no trunks.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.trunks.is_empty()
    }

    /// The trunks.
    pub fn trunks(&self) -> &[Trunk] {
        &self.trunks
    }

    /// The trunk with this number.
    pub fn trunk_of(&self, id: NonZeroU32) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| trunk.id == id)
    }

    fn inbound_by(&self, facts: &Facts<'_>, after_routes: bool) -> Option<Decision<'_>> {
        let trunk = facts.trunk?;
        let route = self.inbound.get(trunk)?;
        let is_asked = self.trunks.get(trunk)?.after_routes == after_routes;
        is_asked.then_some(Decision {
            route: Some(route),
            role: route.role,
        })
    }

    /// Whether one is open to strangers.
    pub fn has_open(&self) -> bool {
        self.routes.iter().any(|route| route.open)
    }

    /// The role of what no route takes.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// What no route takes.
    pub fn built_in<'r>(&self) -> Decision<'r> {
        Decision {
            route: None,
            role: self.role,
        }
    }

    /// The proxy that whatever is foreign goes through.
    pub fn outbound(&self) -> Option<&Target> {
        self.outbound.as_ref()
    }

    /// The target groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// A target group.
    pub fn group(&self, number: usize) -> Option<&Group> {
        self.groups.get(number)
    }

    /// The target group of a name.
    pub fn group_named(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }
}

/// Decides on a request: the first route that matches, or the built-in routing.
pub fn decide<'r>(routes: &'r Routes, facts: &Facts<'_>) -> Decision<'r> {
    if let Some(inbound) = routes.inbound_by(facts, false) {
        return inbound;
    }
    let mut scan = Scan::new(&routes.index, facts);
    let found = scan
        .candidates()
        .iter()
        .filter_map(|place| Some((place, routes.routes.get(place)?)))
        .find(|(place, route)| route.mismatch(*place, &mut scan).is_none());
    match found {
        None => routes
            .inbound_by(facts, true)
            .unwrap_or_else(|| routes.built_in()),
        Some((_, route)) => Decision {
            route: Some(route),
            role: route.role,
        },
    }
}
