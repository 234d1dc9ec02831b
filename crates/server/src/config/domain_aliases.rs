//! `domain_aliases`: other names of domains.

use toml::de::DeTable;

use super::Config;
use super::diagnostic::{Complaint, Report};
use super::read::Item;
use super::value::domain;

pub(super) fn read_aliases(item: Item<'_, '_>, report: &mut Report<'_>) -> Vec<(String, String)> {
    let Some(table) = item.value.get_ref().as_table() else {
        item.wrong_type("a table", "{ \"example.org\" = \"example.test\" }", report);
        return Vec::new();
    };
    let mut aliases = Vec::new();
    for (name, value) in table.iter() {
        let alias = domain(name.get_ref()).map_err(|complaint| report.add(&name.span(), complaint));
        let of = Item {
            path: item.path,
            value,
        };
        let of = of.parsed(domain, report);
        if let (Ok(alias), Some(of)) = (alias, of) {
            aliases.push((alias, of));
        }
    }
    aliases
}

/// An alias is one name more, of a domain that is there.
pub(super) fn check_aliases(config: &Config, root: &DeTable<'_>, report: &mut Report<'_>) {
    let Some(table) = root
        .get("domain_aliases")
        .and_then(|item| item.get_ref().as_table())
    else {
        return;
    };
    for (name, value) in table.iter() {
        let Ok(alias) = domain(name.get_ref()) else {
            continue;
        };
        if config.domains.contains(&alias) {
            let what = format!("`{alias}` is one of `domains`, and cannot be an alias too");
            report.add(&name.span(), Complaint::new(what, "remove it here or there"));
        }
        let of = value.get_ref().as_str().and_then(|of| domain(of).ok());
        if let Some(of) = of.filter(|of| !config.domains.contains(of)) {
            let what = format!("`{of}` is none of `domains`");
            let mend = match config.domains.first() {
                Some(domain) => format!("write one of them, such as \"{domain}\", or add it there"),
                None => format!("add domains = [\"{of}\"]"),
            };
            report.add(&value.span(), Complaint::new(what, mend));
        }
    }
}
