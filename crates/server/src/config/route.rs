//! The keys of `[[route]]`.

use std::ops::Range;

use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use super::value::cidr;

/// A route while it is read, as far as its parts depend on each other.
#[derive(Default)]
struct RouteDraft {
    to: Option<Range<usize>>,
    reply: Option<Range<usize>>,
}

const ROUTE: &[Key<RouteDraft>] = &[
    Key {
        name: "name",
        example: r#""trunk""#,
        given: Given::Required,
        doc: "What logs and explanations call it.",
        read: |_, item, report| {
            item.string(report);
        },
    },
    Key {
        name: "when",
        example: "",
        given: Given::Table,
        doc: "What a request must be like; without it every request matches.",
        read: |draft, item, report| item.table(WHEN, draft, report),
    },
    Key {
        name: "to",
        example: r#"["sip:gw1.example.test"]"#,
        given: Given::Example,
        doc: "Where matching requests go.",
        read: |draft, item, report| {
            item.list(report, |item, report| item.string(report));
            draft.to = Some(item.span());
        },
    },
    Key {
        name: "reply",
        example: r#""603 Decline""#,
        given: Given::Example,
        doc: "What matching requests are answered.",
        read: |draft, item, report| {
            draft.reply = Some(item.span());
            let Some(reply) = item.string(report) else { return };
            let code = reply.split(' ').next().and_then(|code| code.parse::<u16>().ok());
            if !code.is_some_and(|code| (300..=699).contains(&code)) {
                let mend = "write a status of 300 to 699 and a phrase, such as \"603 Decline\"";
                report.add(
                    &item.span(),
                    Complaint::new(format!("`{reply}` is not a final answer"), mend),
                );
            }
        },
    },
    Key {
        name: "mode",
        example: r#""stateless""#,
        given: Given::Example,
        doc: "The proxy's mode for matching requests.",
        read: |_, item, report| {
            item.word(&[("stateful", ()), ("stateless", ()), ("redirect", ())], report);
        },
    },
];

const WHEN: &[Key<RouteDraft>] = &[
    Key {
        name: "method",
        example: r#"["INVITE"]"#,
        given: Given::Example,
        doc: "Methods.",
        read: |_, item, report| {
            drop(item.list(report, |item, report| item.string(report).map(str::to_owned)))
        },
    },
    Key {
        name: "to",
        example: r#""^sip:""#,
        given: Given::Example,
        doc: "A regular expression for the Request-URI.",
        read: |_, item, report| {
            item.string(report);
        },
    },
    Key {
        name: "source",
        example: r#"["10.0.0.0/8"]"#,
        given: Given::Example,
        doc: "Address blocks that the request comes from.",
        read: |_, item, report| drop(item.list(report, |item, report| item.parsed(cidr, report))),
    },
];

/// Reads one route and checks that its parts go together.
pub(super) fn read_route(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<()> {
    let mut draft = RouteDraft::default();
    item.table(ROUTE, &mut draft, report);
    match (&draft.to, &draft.reply) {
        (Some(_), Some(reply)) => {
            report.add(
                reply,
                Complaint::new("a route has both `to` and `reply`", "keep one of them"),
            );
        }
        (None, None) => {
            let mend = "add to = [\"sip:...\"] or reply = \"603 Decline\"";
            report.add(&item.span(), Complaint::new("a route leads nowhere", mend));
        }
        _ => {}
    }
    Some(())
}
