//! `strowger ctl`: questions and commands to a running server.

use std::io::{Write, stdout};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use strowger_server::admin::{
    Ban, Call, ConfigStatus, Deregister, DnsEntry, DnsFlushed, DrainTarget, GroupTarget, PAGE_LIMIT, Page,
    Registration, Reloaded, State, Status, Subscription, Trunk,
};

use crate::args::{self, CtlCommand, DnsCommand, GroupCommand};
use crate::check::tell;
use crate::client::{Client, Content, escaped};
use crate::failed::Failed;
use crate::place::{Found, administration, find};
use crate::table::{Table, span};

pub(crate) fn ctl(args: &args::Ctl) -> Result<(), Failed> {
    let client = client(args)?;
    match &args.command {
        CtlCommand::Status => status(&client, args.json),
        CtlCommand::Registrations { filter } => registrations(&client, filter.as_deref(), args.json),
        CtlCommand::Deregister {
            aor,
            contact,
            reject,
            retry_after,
            after,
        } => deregister(
            &client,
            &Deregister {
                aor: aor.clone(),
                contact: contact.clone(),
                reject: *reject,
                retry_after: *retry_after,
                after: *after,
            },
            args.json,
        ),
        CtlCommand::Subscriptions { filter } => subscriptions(&client, filter.as_deref(), args.json),
        CtlCommand::Calls { filter } => calls(&client, filter.as_deref(), args.json),
        CtlCommand::Bans { filter } => bans(&client, filter.as_deref(), args.json),
        CtlCommand::Unban { source, account } => unban(&client, source, account.as_deref(), args.json),
        CtlCommand::Reload(how) => reload(&client, how, args.json),
        CtlCommand::Groups { filter } => groups(&client, filter.as_deref(), args.json),
        CtlCommand::Trunks { filter } => trunks(&client, filter.as_deref(), args.json),
        CtlCommand::Dns {
            what: Some(DnsCommand::Flush { name }),
            ..
        } => flush_dns(&client, name.as_deref(), args.json),
        CtlCommand::Dns { filter, .. } => dns(&client, filter.as_deref(), args.json),
        CtlCommand::Group { name, what } => group(&client, name, what, args.json),
        CtlCommand::Drain => {
            client.request("POST", "/api/v1/drain", &Content::None)?;
            let text = if args.json {
                "{\"draining\":true}"
            } else {
                "the server drains and will end"
            };
            writeln!(stdout(), "{text}")?;
            Ok(())
        }
    }
}

fn client(args: &args::Ctl) -> Result<Client, Failed> {
    let dir = args.place.data_dir()?;
    let Some(address) = &args.admin else {
        return match find(&dir)? {
            Found::Server(client) => Ok(client),
            Found::Nobody => Err(Failed::NoServer {
                what: format!("no server runs on {}", dir.display()),
                mend: "start it with `strowger serve`, or name its directory with --data-dir".to_owned(),
            }),
        };
    };
    administration(address, &dir)
}

fn status(client: &Client, json: bool) -> Result<(), Failed> {
    let mut out = stdout().lock();
    if json {
        let value: serde_json::Value = client.ask("GET", "/api/v1/status", &Content::None)?;
        writeln!(out, "{value:#}")?;
        return Ok(());
    }
    let status: Status = client.ask("GET", "/api/v1/status", &Content::None)?;
    let state = match status.state {
        State::Running => "running",
        State::Draining => "draining",
    };
    let auth = if status.auth.methods.is_empty() {
        format!("off ({})", status.auth.because)
    } else {
        format!(
            "{} by {} ({})",
            status.auth.methods.join(", "),
            status.auth.algorithms.join(", "),
            status.auth.because
        )
    };
    let counts = status.counts;
    for (name, value) in [
        (
            "state",
            format!(
                "{state} for {}, pid {}, version {}",
                span(status.uptime),
                status.pid,
                status.version
            ),
        ),
        ("config", in_force(&status.config)),
        ("listeners", status.listeners.join(" ")),
        ("domains", status.domains.join(" ")),
        ("data", status.data_dir),
        ("passwords", auth),
        ("shards", status.shards.to_string()),
        ("users", counts.users.to_string()),
        (
            "registered",
            format!("{} with {} contacts", counts.registered, counts.contacts),
        ),
        ("calls", counts.calls.to_string()),
        ("transactions", counts.transactions.to_string()),
        ("connections", counts.connections.to_string()),
        ("bans", counts.bans.to_string()),
    ] {
        writeln!(out, "{name:13}{value}")?;
    }
    if let Some(why) = status.failing {
        writeln!(out, "{:13}registrations can't be stored: {why}", "failing")?;
    }
    Ok(())
}

fn reload(client: &Client, how: &args::Reload, json: bool) -> Result<(), Failed> {
    let path = match &how.rollback_after {
        _ if how.confirm => "/api/v1/reload/confirm".to_owned(),
        _ if how.rollback => "/api/v1/reload/rollback".to_owned(),
        Some(after) => format!("/api/v1/reload?rollback_after={}", escaped(after)),
        None => "/api/v1/reload".to_owned(),
    };
    let reloaded: Reloaded = match client.ask("POST", &path, &Content::None) {
        Err(Failed::Config(wrong)) => {
            tell(&wrong, json, "")?;
            return Err(Failed::Silent);
        }
        answered => answered?,
    };
    let mut out = stdout().lock();
    if json {
        let value = json!({
            "ok": true, "errors": [], "generation": reloaded.generation, "added": reloaded.added,
            "removed": reloaded.removed, "rollback_in": reloaded.rollback_in,
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let did = match (how.confirm, how.rollback) {
        (true, _) => "confirmed",
        (_, true) => "rolled back",
        _ => "reloaded",
    };
    writeln!(out, "{did}: configuration {} is in force", reloaded.generation)?;
    for (sign, uris) in [('+', &reloaded.added), ('-', &reloaded.removed)] {
        for uri in uris {
            writeln!(out, "  {sign} {uri}")?;
        }
    }
    if let Some(secs) = reloaded.rollback_in {
        let left = span(secs);
        writeln!(
            out,
            "the former one comes back in {left}, unless you keep it: strowger ctl reload --confirm"
        )?;
    }
    Ok(())
}

/// The configuration in force, in one line.
fn in_force(config: &ConfigStatus) -> String {
    let file = config.file.as_deref().unwrap_or("no file");
    let mut text = format!(
        "{file}, number {} for {}",
        config.generation,
        span(now_secs().saturating_sub(config.since))
    );
    match (&config.stuck, config.rollback_in) {
        (Some(stuck), _) => text += &format!("; {stuck}"),
        (None, Some(secs)) => {
            text += &format!(
                "; the former one comes back in {} unless it is confirmed",
                span(secs)
            );
        }
        (None, None) => {}
    }
    text
}

fn now_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn registrations(client: &Client, filter: Option<&str>, json: bool) -> Result<(), Failed> {
    let heads = [
        "address",
        "contact",
        "expires",
        "source",
        "user agent",
        "instance",
        "path",
    ];
    list(
        client,
        "registrations",
        filter,
        json,
        heads,
        "nobody is registered",
        |registration: Registration| {
            let source = registration
                .source
                .map(|source| format!("{}:{source}", registration.transport.to_lowercase()));
            [
                registration.aor,
                registration.contact,
                span(registration.expires_in),
                source.unwrap_or_default(),
                registration.user_agent.unwrap_or_default(),
                registration.instance.unwrap_or_default(),
                registration.path.unwrap_or_default(),
            ]
        },
    )
}

fn deregister(client: &Client, which: &Deregister, json: bool) -> Result<(), Failed> {
    if !which.aor.contains('@') {
        return Err(Failed::Usage {
            what: format!("`{}` is no address", which.aor),
            mend: "write user@domain, as `strowger ctl registrations` shows it".to_owned(),
        });
    }
    let mut path = format!("/api/v1/registrations?aor={}", escaped(&which.aor));
    if let Some(contact) = &which.contact {
        path += &format!("&contact={}", escaped(contact));
    }
    if which.reject {
        path += "&reject=true";
    }
    for (name, secs) in [("retry_after", which.retry_after), ("after", which.after)] {
        if let Some(secs) = secs {
            path += &format!("&{name}={secs}");
        }
    }
    let ended: Vec<Registration> = client.ask("DELETE", &path, &Content::None)?;
    let mut out = stdout().lock();
    if json {
        let ended = serde_json::to_string(&ended).map_err(std::io::Error::from)?;
        writeln!(out, "{ended}")?;
        return Ok(());
    }
    for registration in ended {
        let Registration { contact, aor, .. } = &registration;
        match which.after {
            None => writeln!(out, "no longer registered: {contact} of {aor}")?,
            Some(_) => {
                let left = span(registration.expires_in);
                writeln!(out, "registered for {left} more: {contact} of {aor}")?;
            }
        }
    }
    Ok(())
}

fn subscriptions(client: &Client, filter: Option<&str>, json: bool) -> Result<(), Failed> {
    let heads = ["address", "event", "subscriber", "expires", "notified", "source"];
    list(
        client,
        "subscriptions",
        filter,
        json,
        heads,
        "there are no subscriptions",
        |subscription: Subscription| {
            [
                subscription.aor,
                subscription.event,
                subscription.subscriber,
                span(subscription.expires_in),
                subscription.notified.to_string(),
                format!("{}:{}", subscription.transport, subscription.source),
            ]
        },
    )
}

fn calls(client: &Client, filter: Option<&str>, json: bool) -> Result<(), Failed> {
    let now = now_secs();
    let heads = ["from", "to", "state", "for", "call-id"];
    list(
        client,
        "calls",
        filter,
        json,
        heads,
        "there are no calls",
        |call: Call| {
            [
                call.from,
                call.to,
                call.state.as_str().to_owned(),
                span(now.saturating_sub(call.since)),
                call.call_id,
            ]
        },
    )
}

fn bans(client: &Client, filter: Option<&str>, json: bool) -> Result<(), Failed> {
    let heads = ["source", "account", "ends in"];
    list(
        client,
        "bans",
        filter,
        json,
        heads,
        "nobody is banned",
        |ban: Ban| {
            let account = ban.account.unwrap_or_else(|| "any".to_owned());
            [ban.source, account, span(ban.expires_in)]
        },
    )
}

fn unban(client: &Client, source: &str, account: Option<&str>, json: bool) -> Result<(), Failed> {
    let mut path = format!("/api/v1/bans?source={}", escaped(source));
    if let Some(account) = account {
        path += &format!("&account={}", escaped(account));
    }
    let lifted: Vec<Ban> = client.ask("DELETE", &path, &Content::None)?;
    let mut out = stdout().lock();
    if json {
        let lifted = serde_json::to_string(&lifted).map_err(std::io::Error::from)?;
        writeln!(out, "{lifted}")?;
    } else {
        for ban in lifted {
            writeln!(out, "no longer banned: {}", ban.id)?;
        }
    }
    Ok(())
}

fn groups(client: &Client, filter: Option<&str>, json: bool) -> Result<(), Failed> {
    let heads = ["group", "target", "state", "calls", "chosen"];
    list(
        client,
        "groups",
        filter,
        json,
        heads,
        "there are no target groups",
        |target: GroupTarget| {
            [
                target.group,
                target.target,
                target.state,
                target.calls.to_string(),
                target.chosen.to_string(),
            ]
        },
    )
}

fn trunks(client: &Client, filter: Option<&str>, json: bool) -> Result<(), Failed> {
    let heads = ["trunk", "address", "state", "for", "expires in", "next in", "why"];
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let perhaps = |secs: Option<u64>| secs.map_or_else(|| "-".to_owned(), span);
    list(
        client,
        "trunks",
        filter,
        json,
        heads,
        "there are no trunks",
        |trunk: Trunk| {
            [
                trunk.name,
                trunk.aor,
                trunk.state.as_str().to_owned(),
                span(now.saturating_sub(trunk.since)),
                perhaps(trunk.expires_in),
                perhaps(trunk.next_in),
                trunk.why.unwrap_or_else(|| "-".to_owned()),
            ]
        },
    )
}

/// Servers of a name that stand in its line.
const SERVERS_SHOWN: usize = 4;

fn dns(client: &Client, filter: Option<&str>, json: bool) -> Result<(), Failed> {
    let heads = ["name or hop", "wanted", "state", "for", "servers"];
    list(
        client,
        "dns",
        filter,
        json,
        heads,
        "nothing is known",
        |entry: DnsEntry| {
            let shown = entry.servers.len().min(SERVERS_SHOWN);
            let mut servers = entry.servers[..shown].join(", ");
            if shown < entry.servers.len() {
                servers += &format!(" and {} more", entry.servers.len() - shown);
            }
            [
                entry.name,
                entry.wanted,
                entry.state.as_str().to_owned(),
                span(entry.expires_in),
                servers,
            ]
        },
    )
}

fn flush_dns(client: &Client, name: Option<&str>, json: bool) -> Result<(), Failed> {
    let path = match name {
        Some(name) => format!("/api/v1/dns?name={}", escaped(name)),
        None => "/api/v1/dns".to_owned(),
    };
    let flushed: DnsFlushed = client.ask("DELETE", &path, &Content::None)?;
    let mut out = stdout().lock();
    if json {
        let flushed = serde_json::to_string(&flushed).map_err(std::io::Error::from)?;
        writeln!(out, "{flushed}")?;
    } else {
        let DnsFlushed { names, hops } = flushed;
        writeln!(out, "forgotten: {names} answers of DNS, {hops} avoided hops")?;
    }
    Ok(())
}

fn group(client: &Client, name: &str, what: &GroupCommand, json: bool) -> Result<(), Failed> {
    let (target, draining) = match what {
        GroupCommand::Drain { target } => (target, true),
        GroupCommand::Resume { target } => (target, false),
    };
    let which = DrainTarget {
        group: name.to_owned(),
        target: target.clone(),
        draining,
    };
    let body = serde_json::to_value(&which).map_err(std::io::Error::from)?;
    let target: GroupTarget = client.ask("PUT", "/api/v1/groups", &Content::Json(body))?;
    let mut out = stdout().lock();
    if json {
        let target = serde_json::to_string(&target).map_err(std::io::Error::from)?;
        writeln!(out, "{target}")?;
    } else {
        writeln!(out, "{} is {}", target.id, target.state)?;
    }
    Ok(())
}

/// Writes a list page by page, so that a long one needs no memory.
pub(crate) fn list<T: DeserializeOwned + Serialize, const N: usize>(
    client: &Client,
    what: &str,
    filter: Option<&str>,
    json: bool,
    heads: [&'static str; N],
    nothing: &str,
    row: impl Fn(T) -> [String; N],
) -> Result<(), Failed> {
    let mut listing = Listing::new(json, heads);
    let mut after = String::new();
    loop {
        let filter = escaped(filter.unwrap_or_default());
        let path = format!(
            "/api/v1/{what}?limit={PAGE_LIMIT}&q={filter}&after={}",
            escaped(&after)
        );
        let page: Page<T> = client.ask("GET", &path, &Content::None)?;
        listing.write(page.items, &row)?;
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    listing.finish(|| {
        let filter = filter.unwrap_or_default();
        let total = || {
            let page: Page<serde_json::Value> =
                client.ask("GET", &format!("/api/v1/{what}?limit=1"), &Content::None)?;
            Ok(page.total)
        };
        no_match(what, filter, nothing, total)
    })
}

/// What is said where nothing is listed: `nothing`, unless there is something (how much, `total` tells) that the filter
/// leaves out.
pub(crate) fn no_match(
    what: &str,
    filter: &str,
    nothing: &str,
    total: impl FnOnce() -> Result<Option<u64>, Failed>,
) -> Result<String, Failed> {
    let total = if filter.is_empty() { None } else { total()? };
    Ok(match total {
        None | Some(0) => nothing.to_owned(),
        Some(1) => format!("none of the {what} (there is 1) contains `{filter}`"),
        Some(total) => format!("none of the {total} {what} contains `{filter}`"),
    })
}

/// A list on its way to standard output, as a table or as one JSON array.
pub(crate) struct Listing<const N: usize> {
    table: Option<Table<N>>,
    written: u64,
}

impl<const N: usize> Listing<N> {
    pub(crate) fn new(json: bool, heads: [&'static str; N]) -> Self {
        Self {
            table: (!json).then(|| Table::new(heads)),
            written: 0,
        }
    }

    pub(crate) fn write<T: Serialize>(
        &mut self,
        items: Vec<T>,
        row: impl Fn(T) -> [String; N],
    ) -> Result<(), Failed> {
        let mut out = stdout().lock();
        let count = items.len() as u64;
        match &mut self.table {
            Some(table) => {
                let rows: Vec<_> = items.into_iter().map(row).collect();
                table.write(&mut out, &rows)?;
            }
            None => {
                for (position, item) in items.iter().enumerate() {
                    let opening = if self.written == 0 && position == 0 {
                        "[\n"
                    } else {
                        ",\n"
                    };
                    let item = serde_json::to_string(item).map_err(std::io::Error::from)?;
                    write!(out, "{opening}{item}")?;
                }
            }
        }
        self.written += count;
        Ok(())
    }

    /// Ends the list; where it is a table and nothing was in it, says `nothing`.
    pub(crate) fn finish(self, nothing: impl FnOnce() -> Result<String, Failed>) -> Result<(), Failed> {
        let mut out = stdout().lock();
        match (self.table.is_some(), self.written) {
            (false, 0) => writeln!(out, "[]")?,
            (false, _) => writeln!(out, "\n]")?,
            (true, 0) => eprintln!("{}", nothing()?),
            (true, _) => {}
        }
        Ok(())
    }
}
