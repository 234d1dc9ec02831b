//! `[auth]`: which requests are challenged, how, and where users come from.

use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key, unknown_word};
use super::schema::{distinct, set};
use super::users::user_source;
use super::{Algorithm, Auth, AuthMethods};

/// Methods that can be challenged: all but ACK and CANCEL (RFC 3261 §22.1).
const METHODS: [&str; 12] = [
    "REGISTER",
    "INVITE",
    "MESSAGE",
    "SUBSCRIBE",
    "PUBLISH",
    "OPTIONS",
    "REFER",
    "NOTIFY",
    "INFO",
    "BYE",
    "UPDATE",
    "PRACK",
];

const ALGORITHMS: [(&str, Algorithm); 3] = [
    ("MD5", Algorithm::Md5),
    ("SHA-256", Algorithm::Sha256),
    ("SHA-512-256", Algorithm::Sha512_256),
];

pub(super) const AUTH: &[Key<Auth>] = &[
    Key {
        name: "methods",
        example: r#"["REGISTER", "INVITE"]"#,
        given: Given::Example,
        doc: "Requests that are challenged when they are out of dialog; [] is off. Without it: these two as soon as one \
              listener is not loopback, else none. While INVITE is among them, whatever else is for a user is challenged too \
              unless it comes from where its sender is registered, or the answers would tell who exists.",
        read: |auth, item, report| {
            if let Some(methods) = item.list(report, challenged_method) {
                auth.methods = AuthMethods::Explicit(distinct(methods, &item, report));
            }
        },
    },
    Key {
        name: "algorithms",
        example: r#"["MD5"]"#,
        given: Given::Default,
        doc: "One challenge each, in this order: MD5, SHA-256, SHA-512-256. Some phones read the first only, or give up on \
              any that they do not know.",
        read: |auth, item, report| {
            let Some(algorithms) = item.list(report, |item, report| item.word(&ALGORITHMS, report)) else {
                return;
            };
            let written = item.value.get_ref().as_array().map_or(0, |array| array.len());
            if written == 0 {
                let mend = "list one, such as \"MD5\"; to switch digest off write methods = []";
                report.add(&item.span(), Complaint::new("`auth.algorithms` is empty", mend));
                return;
            }
            auth.algorithms = distinct(algorithms, &item, report);
        },
    },
    Key {
        name: "users",
        example: r#""sqlite""#,
        given: Given::Default,
        doc: "Where users come from: sqlite (`strowger user` keeps them in the data directory), file:PATH (read again when it               changes), or the URL of a server that is asked for each of them. See docs/users.md.",
        read: |auth, item, report| set(&mut auth.users, item.parsed(user_source, report)),
    },
];

fn challenged_method(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.string(report)?;
    if METHODS.contains(&text) {
        return Some(text.to_owned());
    }
    let complaint = if matches!(text, "ACK" | "CANCEL") {
        Complaint::new(
            format!("{text} cannot be challenged (RFC 3261 §22.1)"),
            "remove it",
        )
    } else {
        unknown_word(item.path, text, METHODS.to_vec())
    };
    report.add(&item.span(), complaint);
    None
}
