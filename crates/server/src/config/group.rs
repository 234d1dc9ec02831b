//! `[[group]]`: targets of which one is chosen, and who is tried after it.

use std::time::Duration;

use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use super::route::{TargetUri, Written};
use super::schema::{distinct, s, set};

/// A target group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name that routes give.
    pub name: String,
    /// Where it is in the file.
    pub written: Written,
    /// The targets.
    pub targets: Vec<GroupTarget>,
    /// Whether and how it is found out which targets are up.
    pub probe: Option<Probe>,
    /// The answers on which the next target is tried.
    pub failover: Vec<u16>,
    /// How long a target may ring before the next one is tried.
    pub ring_timeout: Option<Duration>,
}

/// One target of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTarget {
    /// Where.
    pub uri: TargetUri,
    /// Its share among those of the same priority.
    pub weight: u16,
    /// Smaller ones are tried first, as in SRV records (RFC 2782).
    pub priority: u16,
    /// Calls that it may have at a time.
    pub max_calls: Option<u32>,
    /// Requests that set up something, in a second.
    pub max_rate: Option<u32>,
}

/// How targets are asked whether they are there: OPTIONS (RFC 3261 §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How often.
    pub interval: Duration,
    /// After so many failures in a row a target is down.
    pub down_after: u8,
    /// After so many answers in a row it is up again.
    pub up_after: u8,
}

/// Answers that say more about a gateway than about who is called.
const FAILOVER: [u16; 5] = [408, 500, 502, 503, 504];

/// Targets that a group may have.
pub(crate) const MAX_TARGETS: usize = 64;

impl Group {
    /// The key by which it is not the same each time, if there is one.
    pub(super) fn changes(&self) -> Option<&'static str> {
        let limit = |target: &GroupTarget| match (target.max_calls, target.max_rate) {
            (Some(_), _) => Some("max_calls"),
            (None, Some(_)) => Some("max_rate"),
            (None, None) => None,
        };
        let limits = || self.targets.iter().find_map(limit);
        self.probe.map(|_| "probe").or_else(limits)
    }
}

/// A group while it is read.
pub(super) struct GroupDraft {
    name: String,
    targets: Vec<GroupTarget>,
    probe: Option<Duration>,
    down_after: u8,
    up_after: u8,
    failover: Vec<u16>,
    ring_timeout: Option<Duration>,
}

pub(super) const GROUP: &[Key<GroupDraft>] = &[
    Key {
        name: "name",
        example: r#""trunks""#,
        given: Given::Required,
        doc: "What `to` of routes calls it.",
        read: |group, item, report| {
            let name = item.string(report).unwrap_or_default();
            let fits = !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if !fits {
                let mend = "write letters, digits, `-`, `_` and `.`, as in \"trunks\"";
                report.add(
                    &item.span(),
                    Complaint::new(format!("`{name}` is no name of a group"), mend),
                );
            }
            name.clone_into(&mut group.name);
        },
    },
    Key {
        name: "targets",
        example: r#"[{ uri = "sip:gw1.example.test", weight = 10, max_calls = 30 }, "sip:gw2.example.test"]"#,
        given: Given::Required,
        doc: "URIs as in `to`, or { uri = , weight = 1, priority = 0, max_calls = , max_rate = }. Those of the smallest priority come first, \
              and among them each as often as its weight says. max_calls is how many calls it may have at a time, max_rate how many new ones in a \
              second; one that has so many is passed over.",
        read: |group, item, report| group.targets = read_targets(item, report),
    },
    Key {
        name: "probe",
        example: r#""30s""#,
        given: Given::Example,
        doc: "How often each target is asked by OPTIONS whether it is there. Without it: never, and all count as up.",
        read: |group, item, report| group.probe = item.duration(s(1)..=s(3600), report),
    },
    Key {
        name: "down_after",
        example: "3",
        given: Given::Default,
        doc: "After so many probes in a row without an answer, or answered 503, a target is down.",
        read: |group, item, report| set(&mut group.down_after, item.integer(1..=100, report)),
    },
    Key {
        name: "up_after",
        example: "2",
        given: Given::Default,
        doc: "After so many answered ones in a row it is up again.",
        read: |group, item, report| set(&mut group.up_after, item.integer(1..=100, report)),
    },
    Key {
        name: "failover",
        example: "[408, 500, 502, 503, 504]",
        given: Given::Default,
        doc: "Answers on which the next target is tried; others go back to the caller. One that says nothing counts as 408.",
        read: |group, item, report| {
            if let Some(codes) = item.list(report, |item, report| item.integer(300..=599, report)) {
                group.failover = distinct(codes, &item, report);
            }
        },
    },
    Key {
        name: "ring_timeout",
        example: r#""20s""#,
        given: Given::Example,
        doc: "How long a target may ring before the next one is tried.",
        read: |group, item, report| group.ring_timeout = item.duration(s(1)..=s(3600), report),
    },
];

#[derive(Default)]
struct TargetDraft {
    uri: Option<TargetUri>,
    weight: Option<u16>,
    priority: u16,
    max_calls: Option<u32>,
    max_rate: Option<u32>,
}

const TARGET: &[Key<TargetDraft>] = &[
    Key {
        name: "uri",
        example: r#""sip:gw1.example.test""#,
        given: Given::Required,
        doc: "Where.",
        read: |target, item, report| target.uri = item.parsed(TargetUri::read, report),
    },
    Key {
        name: "weight",
        example: "1",
        given: Given::Default,
        doc: "Its share.",
        read: |target, item, report| target.weight = item.integer(1..=65_535, report),
    },
    Key {
        name: "priority",
        example: "0",
        given: Given::Default,
        doc: "Smaller ones come first.",
        read: |target, item, report| set(&mut target.priority, item.integer(0..=65_535, report)),
    },
    Key {
        name: "max_calls",
        example: "30",
        given: Given::Example,
        doc: "Calls at a time.",
        read: |target, item, report| target.max_calls = item.integer(1..=10_000_000, report),
    },
    Key {
        name: "max_rate",
        example: "10",
        given: Given::Example,
        doc: "New calls in a second.",
        read: |target, item, report| target.max_rate = item.integer(1..=1_000_000, report),
    },
];

fn read_target(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<GroupTarget> {
    let mut draft = TargetDraft::default();
    if item.value.get_ref().is_str() {
        draft.uri = item.parsed(TargetUri::read, report);
    } else {
        item.table(TARGET, &mut draft, report);
    }
    Some(GroupTarget {
        uri: draft.uri?,
        weight: draft.weight.unwrap_or(1),
        priority: draft.priority,
        max_calls: draft.max_calls,
        max_rate: draft.max_rate,
    })
}

fn read_targets(item: Item<'_, '_>, report: &mut Report<'_>) -> Vec<GroupTarget> {
    let written = item.value.get_ref().as_array().map_or(0, |array| array.len());
    let targets: Vec<GroupTarget> = item.list(report, read_target).unwrap_or_default();
    if item.value.get_ref().is_array() && (written == 0 || written > MAX_TARGETS) {
        let what = format!("a group has 1 to {MAX_TARGETS} targets, this one has {written}");
        report.add(
            &item.span(),
            Complaint::new(what, "list them, or make two groups"),
        );
    }
    for (place, target) in targets.iter().enumerate() {
        if targets[..place]
            .iter()
            .any(|other| other.uri.text == target.uri.text)
        {
            let what = format!("`{}` is listed twice", target.uri.text);
            report.add(&item.span(), Complaint::new(what, "give it more weight instead"));
        }
    }
    targets
}

/// Reads all groups.
pub(super) fn read_groups(item: Item<'_, '_>, report: &mut Report<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let Some(array) = item.value.get_ref().as_array() else {
        item.wrong_type("a list", "[[group]], in double brackets", report);
        return groups;
    };
    for value in array.iter() {
        let item = Item {
            path: item.path,
            value,
        };
        let mut draft = GroupDraft {
            name: String::new(),
            targets: Vec::new(),
            probe: None,
            down_after: 3,
            up_after: 2,
            failover: FAILOVER.to_vec(),
            ring_timeout: None,
        };
        item.table(GROUP, &mut draft, report);
        if groups.iter().any(|other| other.name == draft.name) {
            let what = format!("there are two groups `{}`", draft.name);
            report.add(
                &item.key_span("name"),
                Complaint::new(what, "give one another name"),
            );
        }
        groups.push(draft.finish(report.written(&item.span())));
    }
    groups
}

impl GroupDraft {
    fn finish(self, written: Written) -> Group {
        Group {
            name: self.name,
            written,
            targets: self.targets,
            probe: self.probe.map(|interval| Probe {
                interval,
                down_after: self.down_after,
                up_after: self.up_after,
            }),
            failover: self.failover,
            ring_timeout: self.ring_timeout,
        }
    }
}
