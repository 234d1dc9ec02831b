//! What the RFC forbids, or what would be without effect: combinations of a route's keys that are refused.

use strowger_sip::proxy::MAX_BREADTH;
use toml::de::DeTable;

use super::super::diagnostic::{Complaint, Report, nearest};
use super::super::read::Item;
use super::super::{Config, Fork, Group, Mode, Proxy};
use super::keys::{RouteDraft, To};
use super::{Action, When};

/// Checks one route by itself.
pub(super) fn check_route(draft: &RouteDraft, item: &Item<'_, '_>, is_last: bool, report: &mut Report<'_>) {
    check_action(draft, item, report);
    check_roles(draft, item, report);
    if draft.asked_mode() == Some(Mode::Stateless) {
        check_stateless(draft, item, report);
    }
    if draft.when == When::default() && !is_last {
        let what = "a route without `when` takes everything, and the ones after it are never asked";
        report.add(&item.span(), Complaint::new(what, "add `when`, or put it last"));
    }
}

fn complain(item: &Item<'_, '_>, key: &str, what: &str, mend: &str, report: &mut Report<'_>) {
    report.add(&item.key_span(key), Complaint::new(what, mend));
}

/// What the route does, once; and nothing beside it that has no effect then.
fn check_action(draft: &RouteDraft, item: &Item<'_, '_>, report: &mut Report<'_>) {
    let actions = [
        ("to", draft.to.is_some()),
        ("reply", draft.reply.is_some()),
        ("redirect", draft.redirect.is_some()),
    ];
    let mut given = actions.iter().filter(|(_, given)| *given);
    if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
        let what = format!("`{first}` and `{second}` are two decisions");
        complain(item, second, &what, "keep one, or write two routes", report);
        return;
    }
    let (why, is_redirect) = match (&draft.reply, &draft.redirect, draft.mode) {
        (Some(_), ..) => ("what is refused is not forwarded", false),
        (_, Some(_), _) | (_, _, Some(Mode::Redirect)) => (
            "a redirect server issues no requests of its own (RFC 3261 §8.3)",
            true,
        ),
        _ => return,
    };
    let without_effect = [
        ("fork", draft.fork.is_some()),
        ("recurse", draft.recurse.is_some()),
        ("record_route", draft.record_route.is_some()),
        ("ring_timeout", draft.ring_timeout.is_some()),
        ("headers", !draft.headers.is_empty()),
        ("number", draft.number.is_some() && !is_redirect),
        ("open", draft.open.is_some()),
        (
            "mode",
            draft
                .mode
                .is_some_and(|mode| mode != Mode::Redirect || !is_redirect),
        ),
    ];
    for (key, _) in without_effect.iter().filter(|(_, given)| *given) {
        complain(
            item,
            key,
            &format!("`{key}` has no effect: {why}"),
            "remove it",
            report,
        );
    }
}

fn check_roles(draft: &RouteDraft, item: &Item<'_, '_>, report: &mut Report<'_>) {
    if draft.mode == Some(Mode::Stateful) && draft.record_route == Some(false) {
        let what =
            "a call-stateful proxy follows only dialogs whose path it stays on (RFC 3261 §16.6 step 4)";
        complain(
            item,
            "record_route",
            what,
            "remove it, or use mode = \"transaction\"",
            report,
        );
    }
    if draft.fork.is_some() && matches!(draft.to, Some(To::Group(_))) {
        let what = "a target group tries its targets in an order of its own";
        complain(
            item,
            "fork",
            what,
            "remove it, or list the targets in `to`",
            report,
        );
    }
    if draft.open.is_some() && draft.to.is_none() {
        let what = "`open` is about the targets of `to`, and there are none";
        complain(item, "open", what, "remove it", report);
    }
    let Some(To::Targets(targets)) = &draft.to else {
        return;
    };
    for target in targets {
        let (Some(asked), Some(mode)) = (target.mode, draft.mode) else {
            continue;
        };
        if (asked == Mode::Redirect) != (mode == Mode::Redirect) || (mode == Mode::Stateless && asked > mode)
        {
            let what = format!("`{}` asks for another role than the route's `mode`", target.text);
            complain(item, "to", &what, "remove one of them", report);
        }
    }
}

/// RFC 3261 §16.11, and §16.1 of what a proxy without state must not do.
fn check_stateless(draft: &RouteDraft, item: &Item<'_, '_>, report: &mut Report<'_>) {
    const STATEFUL: &str = "remove it, or use mode = \"transaction\"";
    if let Some(fork) = draft.fork {
        let what = match fork {
            Fork::Parallel => "a stateless proxy cannot fork: it sends to one target only (RFC 3261 §16.11)",
            Fork::Sequential => {
                "a stateless proxy cannot try one target after the other: it does not know what became of the first (RFC 3261 §16.11)"
            }
        };
        complain(item, "fork", what, STATEFUL, report);
    }
    if draft.recurse == Some(true) {
        let what = "a stateless proxy passes every answer on (RFC 3261 §16.11)";
        complain(item, "recurse", what, STATEFUL, report);
    }
    if draft.record_route == Some(true) {
        let what = "staying on the path without state is not carried by this build";
        complain(item, "record_route", what, STATEFUL, report);
    }
    if draft.ring_timeout.is_some() {
        let what = "a stateless proxy has no timers (RFC 3261 §16.11)";
        complain(item, "ring_timeout", what, STATEFUL, report);
    }
    let streams_only =
        !draft.when.transport.is_empty() && draft.when.transport.iter().all(|t| t.is_reliable());
    if let Some(To::Targets(targets)) = &draft.to
        && let Some(target) = targets
            .iter()
            .find(|target| target.asks_for_stream() != streams_only)
        && (target.asks_for_stream() || streams_only)
    {
        let what = format!(
            "between datagrams and the connections of `{}` somebody has to retransmit, which a stateless proxy does not (RFC 3261 §16.1)",
            target.text
        );
        let mend = "use mode = \"transaction\", or the same kind of transport in `when` and in `to`";
        complain(item, "to", &what, mend, report);
    }
}

/// What `[proxy]` asks of a node that forwards without state, where no route forwards in another role (RFC 3261 §16.11).
fn check_stateless_node(config: &Config, root: &DeTable<'_>, report: &mut Report<'_>) {
    let with_state = |mode| matches!(mode, Mode::Stateful | Mode::Transaction);
    let is_stateless = config.proxy.mode == Mode::Stateless;
    if !is_stateless
        || config
            .route
            .iter()
            .any(|route| route.mode.is_some_and(with_state))
    {
        return;
    }
    let Some(value) = root.get("proxy") else { return };
    let item = Item { path: "proxy", value };
    // A file that has every setting has the defaults, too.
    let default = Proxy::default();
    for (key, is_asked, what) in [
        (
            "fork",
            config.proxy.fork != default.fork,
            "a stateless proxy cannot fork: it sends to one target only (RFC 3261 §16.11)",
        ),
        (
            "recurse",
            config.proxy.recurse,
            "a stateless proxy passes every answer on (RFC 3261 §16.11)",
        ),
        (
            "ring_timeout",
            config.proxy.ring_timeout != default.ring_timeout,
            "a stateless proxy has no timers (RFC 3261 §16.11)",
        ),
    ] {
        if is_asked {
            let mend = "remove it, or use mode = \"transaction\" here or in a route";
            complain(&item, key, what, mend, report);
        }
    }
}

/// Checks what routes and groups say of each other and of the node.
pub(in super::super) fn check_references(config: &Config, root: &DeTable<'_>, report: &mut Report<'_>) {
    check_stateless_node(config, root, report);
    let Some(written) = root.get("route").and_then(|routes| routes.get_ref().as_array()) else {
        return;
    };
    for (route, value) in config.route.iter().zip(written.iter()) {
        let item = Item { path: "route", value };
        check_listeners(config, route, &item, report);
        let mode = route.mode.unwrap_or(config.proxy.mode);
        let name = match &route.action {
            Action::Group(name) => name,
            Action::Targets(targets) => {
                let forks = matches!(mode, Mode::Stateful | Mode::Transaction);
                if forks && route.fork.unwrap_or(config.proxy.fork) == Fork::Parallel {
                    check_count(targets.len(), &item, report);
                }
                continue;
            }
            _ => continue,
        };
        if config.register.iter().any(|register| register.name == *name) {
            check_trunk(name, mode, &item, report);
            continue;
        }
        let Some(group) = config.group.iter().find(|group| group.name == *name) else {
            let groups = config.group.iter().map(|group| group.name.as_str());
            let trunks = config.register.iter().map(|register| register.name.as_str());
            let mend = match nearest(name, groups.chain(trunks)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add [[group]] or [[register]] with name = \"{name}\", or write a URI"),
            };
            complain(
                &item,
                "to",
                &format!("there is no target group `{name}`"),
                &mend,
                report,
            );
            continue;
        };
        check_group(group, mode, &item, report);
    }
}

/// A trunk answers the challenges of its provider, which takes state.
fn check_trunk(name: &str, mode: Mode, item: &Item<'_, '_>, report: &mut Report<'_>) {
    if matches!(mode, Mode::Stateless | Mode::Redirect) {
        let what = format!(
            "the challenges of trunk `{name}` are answered by a stateful proxy only (RFC 3261 §16.7)"
        );
        complain(item, "to", &what, "write mode = \"stateful\"", report);
    }
}

/// More targets than a request may have branches at once would be none.
fn check_count(targets: usize, item: &Item<'_, '_>, report: &mut Report<'_>) {
    if targets > usize::from(MAX_BREADTH) {
        let what = format!(
            "{targets} targets at once are more branches than the {MAX_BREADTH} of a request (RFC 5393 §5.3.3)"
        );
        complain(
            item,
            "to",
            &what,
            "use fork = \"sequential\", or list fewer",
            report,
        );
    }
}

/// What a group has that a role cannot keep.
fn check_group(group: &Group, mode: Mode, item: &Item<'_, '_>, report: &mut Report<'_>) {
    let name = &group.name;
    match (mode, group.changes()) {
        (Mode::Stateless, Some(key)) => {
            let what = format!(
                "a stateless proxy must send each retransmission to where it sent the first, and group `{name}` has `{key}` (RFC 3261 §16.11)"
            );
            complain(
                item,
                "to",
                &what,
                "use mode = \"transaction\", or a group without it",
                report,
            );
        }
        (Mode::Redirect, _) => {
            let what = format!(
                "a redirect server issues no requests of its own (RFC 3261 §8.3), and group `{name}` is for requests"
            );
            complain(
                item,
                "to",
                &what,
                "use mode = \"stateful\", or `redirect` with contacts",
                report,
            );
        }
        (Mode::Transaction, _) if group.targets.iter().any(|target| target.max_calls.is_some()) => {
            let what = format!(
                "group `{name}` has `max_calls`, and calls are counted by who follows their dialogs only"
            );
            complain(
                item,
                "to",
                &what,
                "use mode = \"stateful\", or `max_rate`",
                report,
            );
        }
        _ => {}
    }
}

fn check_listeners(config: &Config, route: &super::Route, item: &Item<'_, '_>, report: &mut Report<'_>) {
    if config.listen.is_empty() {
        return;
    }
    for listener in &route.when.listener {
        if !config.listen.iter().any(|listen| listen.uri == *listener) {
            let what = format!("nothing listens on `{listener}`");
            complain(item, "when", &what, "name one of [[listen]]", report);
        }
    }
}
