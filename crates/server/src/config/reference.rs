//! The configuration written out with its documentation, from the same definitions that read it.

use std::fmt::Write as _;

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
use super::route::ROUTE;
use super::schema::{ADMIN, LIMITS, LOG, PROXY, ROOT};
use super::users::USER_LOOKUP;

/// A complete configuration file: every key with what it does. Keys that have a default are written with it; the
/// others are commented out with an example. Loading it is the same as loading nothing.
pub fn reference() -> String {
    let mut text = String::from(
        "# Strowger configuration. Every key is optional. Written out are the defaults; commented out are examples.\n\
         # Durations are numbers with us, ms, s, m, h or d. `strowger check` tells what is wrong with a file.\n\n",
    );
    keys(&mut text, ROOT, Commented::AsGiven);
    section(&mut text, "listen", "# [[listen]]", LISTEN, Commented::All);
    section(&mut text, "admin", "[admin]", ADMIN, Commented::AsGiven);
    section(&mut text, "auth", "[auth]", AUTH, Commented::AsGiven);
    section(
        &mut text,
        "user_lookup",
        "[user_lookup]",
        USER_LOOKUP,
        Commented::AsGiven,
    );
    section(&mut text, "location", "[location]", LOCATION, Commented::AsGiven);
    section(&mut text, "events", "[events]", EVENTS, Commented::AsGiven);
    section(&mut text, "proxy", "[proxy]", PROXY, Commented::AsGiven);
    section(&mut text, "nat", "[nat]", NAT, Commented::AsGiven);
    section(&mut text, "push", "[push]", PUSH, Commented::AsGiven);
    nested(&mut text, PUSH, "provider", "# [[push.provider]]", PROVIDER);
    section(&mut text, "dns", "[dns]", DNS, Commented::AsGiven);
    section(&mut text, "limits", "[limits]", LIMITS, Commented::AsGiven);
    section(&mut text, "defence", "[defence]", DEFENCE, Commented::AsGiven);
    section(&mut text, "log", "[log]", LOG, Commented::AsGiven);
    section(&mut text, "route", "# [[route]]", ROUTE, Commented::All);
    section(&mut text, "group", "# [[group]]", GROUP, Commented::All);
    section(&mut text, "register", "# [[register]]", REGISTER, Commented::All);
    section(&mut text, "dial_plan", "# [dial_plan]", DIAL_PLAN, Commented::All);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Commented {
    AsGiven,
    All,
}

fn section<T>(text: &mut String, name: &str, head: &str, entries: &[Key<T>], commented: Commented) {
    if let Some(key) = ROOT.iter().find(|key| key.name == name) {
        paragraph(text, key.doc);
    }
    text.push_str(head);
    text.push('\n');
    keys(text, entries, commented);
}

/// A section of a section.
fn nested<S, T>(text: &mut String, of: &[Key<S>], name: &str, head: &str, entries: &[Key<T>]) {
    if let Some(key) = of.iter().find(|key| key.name == name) {
        paragraph(text, key.doc);
    }
    text.push_str(head);
    text.push('\n');
    keys(text, entries, Commented::All);
}

fn keys<T>(text: &mut String, entries: &[Key<T>], commented: Commented) {
    for key in entries
        .iter()
        .filter(|key| !matches!(key.given, Given::Table | Given::Reserved))
    {
        paragraph(text, key.doc);
        let mark = if commented == Commented::All || key.given == Given::Example {
            "# "
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{mark}{} = {}\n", key.name, key.example);
    }
}

/// A comment, broken at 110 columns.
fn paragraph(text: &mut String, doc: &str) {
    let mut column = 0;
    for word in doc.split_whitespace() {
        if column == 0 || column + 1 + word.len() > 108 {
            text.push_str(if column == 0 { "#" } else { "\n#" });
            column = 0;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + word.len();
    }
    text.push('\n');
}
