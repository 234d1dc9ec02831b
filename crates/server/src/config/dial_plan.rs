//! `[dial_plan]`: what dialled numbers mean.

use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use super::route::read_length;
use super::schema::{distinct, set};
use super::value::domain;

/// What dialled numbers mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialPlan {
    /// The country code that numbers are in which name none.
    pub country: Option<String>,
    /// What is dialled before a country code.
    pub international: String,
    /// What is dialled before an area code; empty where there is none.
    pub national: String,
    /// The area code that numbers are in which name none.
    pub area: Option<String>,
    /// Global numbers whose extensions are our users: what follows one of them is the user.
    pub own: Vec<String>,
    /// How many digits extensions have; numbers of that length are taken as they are.
    pub extensions: Option<(u16, u16)>,
    /// Numbers that are taken as they are (emergency numbers).
    pub keep: Vec<String>,
    /// The domain of users that are dialled by number; the first of ours without it.
    pub domain: Option<String>,
}

impl Default for DialPlan {
    fn default() -> Self {
        Self {
            country: None,
            international: "00".to_owned(),
            national: "0".to_owned(),
            area: None,
            own: Vec::new(),
            extensions: None,
            keep: Vec::new(),
            domain: None,
        }
    }
}

pub(super) const DIAL_PLAN: &[Key<DialPlan>] = &[
    Key {
        name: "country",
        example: r#""49""#,
        given: Given::Example,
        doc: "The country code of numbers that are dialled without one. Numbers are global ones then (RFC 3966), such as \
              +4930123456, when routes look at them.",
        read: |plan, item, report| plan.country = item.parsed(digits, report),
    },
    Key {
        name: "international",
        example: r#""00""#,
        given: Given::Default,
        doc: "What is dialled before a country code.",
        read: |plan, item, report| set(&mut plan.international, item.parsed(digits, report)),
    },
    Key {
        name: "national",
        example: r#""0""#,
        given: Given::Default,
        doc: "What is dialled before an area code; \"\" where there is nothing.",
        read: |plan, item, report| {
            let read = |text: &str| {
                if text.is_empty() {
                    Ok(String::new())
                } else {
                    digits(text)
                }
            };
            set(&mut plan.national, item.parsed(read, report));
        },
    },
    Key {
        name: "area",
        example: r#""30""#,
        given: Given::Example,
        doc: "The area code of numbers that are dialled without one.",
        read: |plan, item, report| plan.area = item.parsed(digits, report),
    },
    Key {
        name: "own",
        example: r#"["+4930123"]"#,
        given: Given::Example,
        doc: "What the global numbers of our users begin with: what follows is the user, as 42 in +493012342.",
        read: |plan, item, report| {
            if let Some(own) = item.list(report, |item, report| item.parsed(global, report)) {
                plan.own = distinct(own, &item, report);
            }
        },
    },
    Key {
        name: "extensions",
        example: r#""2-4""#,
        given: Given::Example,
        doc: "How many digits extensions have. Numbers of that length are taken as they are.",
        read: |plan, item, report| plan.extensions = item.parsed(read_length, report),
    },
    Key {
        name: "keep",
        example: r#"["110", "112"]"#,
        given: Given::Example,
        doc: "Numbers that are taken as they are.",
        read: |plan, item, report| {
            if let Some(keep) = item.list(report, |item, report| item.parsed(digits, report)) {
                plan.keep = distinct(keep, &item, report);
            }
        },
    },
    Key {
        name: "domain",
        example: r#""example.test""#,
        given: Given::Example,
        doc: "The domain of users who are called by tel: URIs. Without it: the first of ours.",
        read: |plan, item, report| plan.domain = item.parsed(domain, report),
    },
];

fn digits(text: &str) -> Result<String, Complaint> {
    let fits = !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_digit() || b"*#".contains(&b));
    if fits {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(
        format!("`{text}` is not dialled"),
        "write digits, as in \"49\"",
    ))
}

fn global(text: &str) -> Result<String, Complaint> {
    match text.strip_prefix('+') {
        Some(number) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(text.to_owned())
        }
        _ => Err(Complaint::new(
            format!("`{text}` is no global number (RFC 3966 §5.1.4)"),
            "write it with its country code, as in \"+4930123\"",
        )),
    }
}

/// Reads the section.
pub(super) fn read_dial_plan(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<DialPlan> {
    let mut plan = DialPlan::default();
    item.table(DIAL_PLAN, &mut plan, report);
    if plan.area.is_some() && plan.country.is_none() {
        let what = "`area` is within a country, and `country` is missing";
        report.add(
            &item.key_span("area"),
            Complaint::new(what, "add country = \"49\""),
        );
    }
    Some(plan)
}
