//! The keys of `[[route]]` and of its tables.

use std::time::Duration;

use strowger_syntax::{Method, Status, Transport};
use toml::de::DeValue;

use super::super::diagnostic::{Complaint, Report};
use super::super::read::{Given, Item, Key};
use super::super::schema::{FORKS, MODES, distinct, s};
use super::super::value::{cidr, domain, listen_uri};
use super::super::{Fork, Mode};
use super::rules::check_route;
use super::target::listed_targets;
use super::words::{header_name, header_value, is_token, length, pattern, piece, q, reply, user};
use super::{Action, ContactUri, HeaderRule, Redirect, Reply, Route, TargetUri, Translation, When};
use crate::routing::MAX_ROUTES;

/// A route while it is read.
#[derive(Default)]
pub(in super::super) struct RouteDraft {
    pub(super) name: Option<String>,
    pub(super) when: When,
    pub(super) to: Option<To>,
    pub(super) reply: Option<Reply>,
    pub(super) redirect: Option<RedirectDraft>,
    pub(super) mode: Option<Mode>,
    pub(super) fork: Option<Fork>,
    pub(super) recurse: Option<bool>,
    pub(super) record_route: Option<bool>,
    pub(super) ring_timeout: Option<Duration>,
    pub(super) number: Option<Translation>,
    pub(super) headers: Vec<HeaderRule>,
    pub(super) open: Option<bool>,
}

/// What `to` says.
pub(super) enum To {
    Targets(Vec<TargetUri>),
    Group(String),
}

pub(in super::super) const ROUTE: &[Key<RouteDraft>] = &[
    Key {
        name: "name",
        example: r#""trunk""#,
        given: Given::Example,
        doc: "What logs and explanations call it. Without it: its number.",
        read: |route, item, report| route.name = item.string(report).map(str::to_owned),
    },
    Key {
        name: "when",
        example: r#"{ method = ["INVITE"], prefix = ["+49", "0049"], source = ["10.0.0.0/8"] }"#,
        given: Given::Example,
        doc: "Which requests it is for. Keys, all of which have to fit: method, to (a regular expression on the Request-URI), domain, \
              user, prefix (what the user or number begins with), length (of the user or number: \"7\", \"7-15\"), from (a regular expression on the URI of From), source, \
              transport, listener, header (names with regular expressions), authenticated, in_dialog. ACK and CANCEL go with \
              INVITE. Requests within a dialog follow that dialog's way unless `in_dialog = true`.",
        read: |route, item, report| item.table(WHEN, &mut route.when, report),
    },
    Key {
        name: "to",
        example: r#"["sip:gw1.example.test", "sip:gw2.example.test"]"#,
        given: Given::Example,
        doc: "Where they go: URIs, or the name of a target group or of a trunk. A URI without a user gets that of the request; one with `lr` \
              is a proxy to go through, and the Request-URI stays. Also { uri = \"...\", mode = \"...\" }. Without `to`, `reply` \
              and `redirect` they go where they would without the route.",
        read: |route, item, report| route.to = read_to(item, report),
    },
    Key {
        name: "reply",
        example: r#""603 Decline""#,
        given: Given::Example,
        doc: "They are refused with this.",
        read: |route, item, report| route.reply = item.parsed(reply, report),
    },
    Key {
        name: "redirect",
        example: r#"{ status = 302, contacts = ["sip:other.example.test"], expires = "60s" }"#,
        given: Given::Example,
        doc: "They are told where else to ask: 300, 301, 302, 305 or 380. Contacts are URIs or { uri = , q = , expires = }; without \
              any, they are where our user is registered.",
        read: |route, item, report| {
            let mut draft = RedirectDraft::default();
            item.table(REDIRECT, &mut draft, report);
            route.redirect = Some(draft);
        },
    },
    Key {
        name: "mode",
        example: r#""transaction""#,
        given: Given::Example,
        doc: "The role for them: stateless, transaction, stateful or redirect, as in [proxy].",
        read: |route, item, report| route.mode = item.word(&MODES, report),
    },
    Key {
        name: "fork",
        example: r#""sequential""#,
        given: Given::Example,
        doc: "How several targets are tried: parallel, or sequential (registered phones by falling q, targets in the order of \
              the list).",
        read: |route, item, report| route.fork = item.word(&FORKS, report),
    },
    Key {
        name: "recurse",
        example: "true",
        given: Given::Example,
        doc: "Whether 3xx answers of targets are followed.",
        read: |route, item, report| route.recurse = item.boolean(report),
    },
    Key {
        name: "record_route",
        example: "false",
        given: Given::Example,
        doc: "Whether to stay on the path of later requests.",
        read: |route, item, report| route.record_route = item.boolean(report),
    },
    Key {
        name: "ring_timeout",
        example: r#""20s""#,
        given: Given::Example,
        doc: "How long each target may ring before the next one is tried.",
        read: |route, item, report| route.ring_timeout = item.duration(s(1)..=s(3600), report),
    },
    Key {
        name: "number",
        example: r#"{ strip = 1, prefix = "+49" }"#,
        given: Given::Example,
        doc: "What the called number becomes: so many characters are cut off at its beginning, and `prefix` and `suffix` are put \
              around what is left.",
        read: |route, item, report| {
            let mut number = Translation::default();
            item.table(NUMBER, &mut number, report);
            route.number = Some(number);
        },
    },
    Key {
        name: "headers",
        example: r#"{ set = { "X-Account" = "7" }, add = { "X-Hop" = "edge" }, remove = ["X-Internal"] }"#,
        given: Given::Example,
        doc: "What changes in the header of what is forwarded. The fields that a proxy must not touch are refused.",
        read: |route, item, report| item.table(HEADERS, &mut route.headers, report),
    },
    Key {
        name: "open",
        example: "true",
        given: Given::Example,
        doc: "Lets anybody through to the targets of `to`; strangers are not asked for credentials then. Without it only those who \
              may relay: who is authenticated or trusted, and this machine while digest is off.",
        read: |route, item, report| route.open = item.boolean(report),
    },
];

const TRANSPORTS: [(&str, Transport); 5] = [
    ("udp", Transport::Udp),
    ("tcp", Transport::Tcp),
    ("tls", Transport::Tls),
    ("ws", Transport::Ws),
    ("wss", Transport::Wss),
];

pub(in super::super) const WHEN: &[Key<When>] = &[
    Key {
        name: "method",
        example: r#"["INVITE"]"#,
        given: Given::Example,
        doc: "Methods.",
        read: |when, item, report| list(&mut when.method, item, method, report),
    },
    Key {
        name: "to",
        example: r#"'^sip:\+'"#,
        given: Given::Example,
        doc: "A regular expression on the Request-URI.",
        read: |when, item, report| when.to = item.parsed(pattern, report),
    },
    Key {
        name: "domain",
        example: r#"["example.test"]"#,
        given: Given::Example,
        doc: "Hosts of the Request-URI.",
        read: |when, item, report| list(&mut when.domain, item, domain, report),
    },
    Key {
        name: "user",
        example: r#"["alice", "100"]"#,
        given: Given::Example,
        doc: "Users or numbers of the Request-URI.",
        read: |when, item, report| list(&mut when.user, item, user, report),
    },
    Key {
        name: "prefix",
        example: r#"["+49"]"#,
        given: Given::Example,
        doc: "What the user or number begins with.",
        read: |when, item, report| list(&mut when.prefix, item, user, report),
    },
    Key {
        name: "length",
        example: r#""7-15""#,
        given: Given::Example,
        doc: "How many characters the user or number has.",
        read: |when, item, report| when.length = item.parsed(length, report),
    },
    Key {
        name: "from",
        example: r#"'@example\.test$'"#,
        given: Given::Example,
        doc: "A regular expression on the URI of From.",
        read: |when, item, report| when.from = item.parsed(pattern, report),
    },
    Key {
        name: "source",
        example: r#"["10.0.0.0/8"]"#,
        given: Given::Example,
        doc: "Where it comes from.",
        read: |when, item, report| list(&mut when.source, item, cidr, report),
    },
    Key {
        name: "transport",
        example: r#"["udp"]"#,
        given: Given::Example,
        doc: "The transports it came by.",
        read: |when, item, report| {
            if let Some(list) = item.list(report, |item, report| item.word(&TRANSPORTS, report)) {
                when.transport = filled(list, &item, report);
            }
        },
    },
    Key {
        name: "listener",
        example: r#"["udp:192.0.2.1:5060"]"#,
        given: Given::Example,
        doc: "The listeners it came to.",
        read: |when, item, report| list(&mut when.listener, item, listen_uri, report),
    },
    Key {
        name: "header",
        example: r#"{ "User-Agent" = "^Gateway" }"#,
        given: Given::Example,
        doc: "Regular expressions on fields of the header.",
        read: |when, item, report| {
            when.header = fields(
                item,
                report,
                |name| {
                    if is_token(name) {
                        return Ok(name.to_owned());
                    }
                    let what = format!("`{name}` is no name of a header field");
                    Err(Complaint::new(what, "write a name such as \"User-Agent\""))
                },
                pattern,
            );
        },
    },
    Key {
        name: "authenticated",
        example: "true",
        given: Given::Example,
        doc: "Whether its sender has shown who it is, with a password.",
        read: |when, item, report| when.authenticated = item.boolean(report),
    },
    Key {
        name: "in_dialog",
        example: "true",
        given: Given::Example,
        doc: "Whether it is within a dialog. Without it: it is not.",
        read: |when, item, report| when.in_dialog = item.boolean(report),
    },
];

/// A redirection while it is read.
#[derive(Default)]
pub(in super::super) struct RedirectDraft {
    status: Option<u16>,
    pub(super) contacts: Vec<ContactUri>,
    expires: Option<Duration>,
}

pub(in super::super) const REDIRECT: &[Key<RedirectDraft>] = &[
    Key {
        name: "status",
        example: "302",
        given: Given::Required,
        doc: "300, 301, 302, 305 or 380.",
        read: |redirect, item, report| {
            let status = item.integer(0..=999u16, report);
            redirect.status = status.filter(|status| matches!(status, 300 | 301 | 302 | 305 | 380));
            if let (Some(status), None) = (status, redirect.status) {
                let what = format!("{status} is no redirection (RFC 3261 §21.3)");
                report.add(
                    &item.span(),
                    Complaint::new(what, "write 300, 301, 302, 305 or 380"),
                );
            }
        },
    },
    Key {
        name: "contacts",
        example: r#"["sip:other.example.test"]"#,
        given: Given::Example,
        doc: "Where to.",
        read: |redirect, item, report| {
            redirect.contacts = item.list(report, read_contact).unwrap_or_default()
        },
    },
    Key {
        name: "expires",
        example: r#""60s""#,
        given: Given::Example,
        doc: "How long it holds.",
        read: |redirect, item, report| redirect.expires = item.duration(s(1)..=s(86_400 * 365), report),
    },
];

#[derive(Default)]
struct ContactDraft {
    uri: Option<TargetUri>,
    q: Option<u16>,
    expires: Option<Duration>,
}

const CONTACT: &[Key<ContactDraft>] = &[
    Key {
        name: "uri",
        example: r#""sip:other.example.test""#,
        given: Given::Required,
        doc: "Where to.",
        read: |contact, item, report| contact.uri = item.parsed(TargetUri::read, report),
    },
    Key {
        name: "q",
        example: "0.5",
        given: Given::Example,
        doc: "How much it is preferred, from 0 to 1.",
        read: |contact, item, report| {
            contact.q = match item.value.get_ref() {
                DeValue::Float(number) => q(number.as_str()),
                DeValue::Integer(number) => q(number.as_str()),
                DeValue::String(text) => q(text),
                _ => None,
            };
            if contact.q.is_none() {
                let complaint =
                    Complaint::new("q is a number from 0 to 1 (RFC 3261 §25.1)", "write it as 0.5");
                report.add(&item.span(), complaint);
            }
        },
    },
    Key {
        name: "expires",
        example: r#""60s""#,
        given: Given::Example,
        doc: "How long it holds.",
        read: |contact, item, report| contact.expires = item.duration(s(1)..=s(86_400 * 365), report),
    },
];

fn read_contact(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<ContactUri> {
    let mut draft = ContactDraft::default();
    if item.value.get_ref().is_str() {
        draft.uri = item.parsed(TargetUri::read, report);
    } else {
        item.table(CONTACT, &mut draft, report);
    }
    Some(ContactUri {
        target: draft.uri?,
        q: draft.q,
        expires: draft.expires,
    })
}

pub(in super::super) const NUMBER: &[Key<Translation>] = &[
    Key {
        name: "strip",
        example: "1",
        given: Given::Example,
        doc: "How many characters are cut off at the beginning.",
        read: |number, item, report| {
            if let Some(strip) = item.integer(0..=64, report) {
                number.strip = strip;
            }
        },
    },
    Key {
        name: "prefix",
        example: r#""+49""#,
        given: Given::Example,
        doc: "What is put before it then.",
        read: |number, item, report| {
            if let Some(text) = item.parsed(piece, report) {
                number.prefix = text;
            }
        },
    },
    Key {
        name: "suffix",
        example: r##""#""##,
        given: Given::Example,
        doc: "What is put behind it.",
        read: |number, item, report| {
            if let Some(text) = item.parsed(piece, report) {
                number.suffix = text;
            }
        },
    },
];

pub(in super::super) const HEADERS: &[Key<Vec<HeaderRule>>] = &[
    Key {
        name: "add",
        example: r#"{ "X-Hop" = "edge" }"#,
        given: Given::Example,
        doc: "Fields that are added.",
        read: |rules, item, report| {
            let added = fields(item, report, header_name, header_value);
            rules.extend(
                added
                    .into_iter()
                    .map(|(name, value)| HeaderRule::Add(name, value)),
            );
        },
    },
    Key {
        name: "set",
        example: r#"{ "X-Account" = "7" }"#,
        given: Given::Example,
        doc: "Fields that take the place of all of their name.",
        read: |rules, item, report| {
            let set = fields(item, report, header_name, header_value);
            rules.extend(set.into_iter().map(|(name, value)| HeaderRule::Set(name, value)));
        },
    },
    Key {
        name: "remove",
        example: r#"["X-Internal"]"#,
        given: Given::Example,
        doc: "Fields that are taken out.",
        read: |rules, item, report| {
            let names = item.list(report, |item, report| item.parsed(header_name, report));
            rules.extend(names.unwrap_or_default().into_iter().map(HeaderRule::Remove));
        },
    },
];

fn list<T: PartialEq>(
    into: &mut Vec<T>,
    item: Item<'_, '_>,
    read: fn(&str) -> Result<T, Complaint>,
    report: &mut Report<'_>,
) {
    if let Some(list) = item.list(report, |item, report| item.parsed(read, report)) {
        *into = filled(list, &item, report);
    }
}

/// A list that says something: an empty one would match nothing or everything, depending on who reads it.
fn filled<T: PartialEq>(list: Vec<T>, item: &Item<'_, '_>, report: &mut Report<'_>) -> Vec<T> {
    if item
        .value
        .get_ref()
        .as_array()
        .is_some_and(|array| array.is_empty())
    {
        let what = format!("`{}` is empty", item.path);
        report.add(
            &item.span(),
            Complaint::new(what, "list something, or remove the key"),
        );
    }
    distinct(list, item, report)
}

fn method(text: &str) -> Result<String, Complaint> {
    let known = Method::from_token(text.as_bytes());
    if matches!(known, Method::Ack | Method::Cancel) {
        let what = format!("{text} goes where its INVITE goes (RFC 3261 §16.10, §17.1.1.3)");
        return Err(Complaint::new(what, "write \"INVITE\""));
    }
    let upper = text.to_ascii_uppercase();
    if known == Method::Other && Method::from_token(upper.as_bytes()) != Method::Other {
        let what = format!("`{text}` is no method: they are compared with their case (RFC 3261 §7.1)");
        return Err(Complaint::new(what, format!("write \"{upper}\"")));
    }
    if is_token(text) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(
        format!("`{text}` is no method"),
        "write a method such as \"INVITE\"",
    ))
}

/// Names and values of a table whose keys are names of header fields.
fn fields(
    item: Item<'_, '_>,
    report: &mut Report<'_>,
    read_name: fn(&str) -> Result<String, Complaint>,
    read_value: fn(&str) -> Result<String, Complaint>,
) -> Vec<(String, String)> {
    let Some(table) = item.value.get_ref().as_table() else {
        item.wrong_type("a table", "{ \"X-Name\" = \"value\" }", report);
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in table.iter() {
        let (path, named) = (item.path, read_name(name.get_ref()));
        let value = Item { path, value }.parsed(read_value, report);
        match named {
            Ok(name) => found.extend(value.map(|value| (name, value))),
            Err(complaint) => report.add(&name.span(), complaint),
        }
    }
    found
}

fn read_to(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<To> {
    match item.value.get_ref().as_str() {
        Some(name) if TargetUri::is_group(name) => Some(To::Group(name.to_owned())),
        _ => listed_targets(item, report).map(|targets| To::Targets(filled(targets, &item, report))),
    }
}

/// Reads all routes.
pub(in super::super) fn read_routes(item: Item<'_, '_>, report: &mut Report<'_>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let Some(array) = item.value.get_ref().as_array() else {
        item.wrong_type("a list", "[[route]], in double brackets", report);
        return routes;
    };
    if array.len() > MAX_ROUTES {
        let what = format!("there are {} routes, more than {MAX_ROUTES}", array.len());
        report.add(
            &item.span(),
            Complaint::new(
                what,
                "write one route with many prefixes instead of many with one",
            ),
        );
        return routes;
    }
    for (place, value) in array.iter().enumerate() {
        let item = Item {
            path: item.path,
            value,
        };
        let mut draft = RouteDraft::default();
        item.table(ROUTE, &mut draft, report);
        check_route(&draft, &item, place + 1 == array.len(), report);
        let route = draft.finish(place, &item, report);
        if routes.iter().any(|other| other.name == route.name) {
            let complaint = Complaint::new(
                format!("there are two routes `{}`", route.name),
                "give one another name",
            );
            report.add(&item.key_span("name"), complaint);
        }
        routes.push(route);
    }
    routes
}

impl RouteDraft {
    /// The role that the route or one of its targets asks for. The stricter one wins.
    pub(super) fn asked_mode(&self) -> Option<Mode> {
        let asked = match &self.to {
            Some(To::Targets(targets)) => targets.iter().filter_map(|target| target.mode).max(),
            _ => None,
        };
        self.mode.max(asked)
    }

    fn finish(self, place: usize, item: &Item<'_, '_>, report: &Report<'_>) -> Route {
        let mode = self.asked_mode();
        Route {
            name: self.name.unwrap_or_else(|| format!("route {}", place + 1)),
            written: report.written(&item.span()),
            when: self.when,
            action: match (self.to, self.reply, self.redirect) {
                (Some(To::Targets(targets)), ..) => Action::Targets(targets),
                (Some(To::Group(name)), ..) => Action::Group(name),
                (None, Some(reply), _) => Action::Reply(reply),
                (None, None, Some(redirect)) => Action::Redirect(Redirect {
                    status: redirect.status.map_or(Status::MOVED_TEMPORARILY, Status::new),
                    contacts: redirect.contacts,
                    expires: redirect.expires,
                }),
                (None, None, None) => Action::BuiltIn,
            },
            mode,
            fork: self.fork,
            recurse: self.recurse,
            record_route: self.record_route,
            ring_timeout: self.ring_timeout,
            number: self.number.filter(|number| *number != Translation::default()),
            headers: self.headers,
            open: self.open.unwrap_or(false),
        }
    }
}
