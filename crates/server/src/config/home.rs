//! Where a key belongs that stands in a section that has none of this name.

use super::auth::AUTH;
use super::defence::DEFENCE;
use super::dial_plan::DIAL_PLAN;
use super::dns::DNS;
use super::events::EVENTS;
use super::group::GROUP;
use super::listen::LISTEN;
use super::location::LOCATION;
use super::nat::NAT;
use super::push::{PROVIDER, PUSH};
use super::read::{Given, Key};
use super::register::REGISTER;
use super::route::{ROUTE, WHEN};
use super::schema::{ADMIN, LIMITS, LOG, PROXY, ROOT};
use super::users::USER_LOOKUP;

/// Says where a key of exactly this name belongs; `None` if there is none anywhere.
pub(super) fn home_of(name: &str) -> Option<String> {
    if let Some(key) = ROOT.iter().find(|key| key.name == name && is_carried(key)) {
        return Some(match (key.given, name) {
            (Given::Table, "listen" | "route" | "group" | "register") => {
                format!("`{name}` is a section of its own: [[{name}]]")
            }
            (Given::Table, _) => format!("`{name}` is a section of its own: [{name}]"),
            _ => format!("`{name}` belongs at the top, before the first [section]"),
        });
    }
    let sections = [
        ("[[listen]]", has(LISTEN, name)),
        ("[admin]", has(ADMIN, name)),
        ("[auth]", has(AUTH, name)),
        ("[user_lookup]", has(USER_LOOKUP, name)),
        ("[location]", has(LOCATION, name)),
        ("[events]", has(EVENTS, name)),
        ("[proxy]", has(PROXY, name)),
        ("[nat]", has(NAT, name)),
        ("[push]", has(PUSH, name)),
        ("[[push.provider]]", has(PROVIDER, name)),
        ("[dns]", has(DNS, name)),
        ("[limits]", has(LIMITS, name)),
        ("[defence]", has(DEFENCE, name)),
        ("[log]", has(LOG, name)),
        ("[[route]]", has(ROUTE, name)),
        ("[[group]]", has(GROUP, name)),
        ("[[register]]", has(REGISTER, name)),
        ("[dial_plan]", has(DIAL_PLAN, name)),
        ("`when` of [[route]]", has(WHEN, name)),
    ];
    let (section, _) = sections.into_iter().find(|(_, has)| *has)?;
    Some(format!("`{name}` belongs in {section}"))
}

fn has<T>(keys: &[Key<T>], name: &str) -> bool {
    keys.iter().any(|key| key.name == name && is_carried(key))
}

fn is_carried<T>(key: &Key<T>) -> bool {
    key.given != Given::Reserved
}
